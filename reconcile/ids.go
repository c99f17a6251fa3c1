package reconcile

import (
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"strings"

	"foyer"
)

// ids are what the external ids of a delivery say about who is who (R2).
type ids struct {
	known   map[int32]foyer.EntryID  // of each person whose id the source knows, the entry
	ignored map[int32]foyer.Problem  // of each person whose id stands at another email too, why it is ignored
	renamed map[int32]bool           // persons that are their entry by the id: its email changes
	meant   map[int32]foyer.Address  // of each person whose email is an alias, and is to mean someone else, whom it meant
	lost    map[foyer.EntryID]string // entries whose id is another's now
	shared  []foyer.EntryID          // entries that the source knows by an id that is ignored
}

func newIDs() *ids {
	return &ids{known: map[int32]foyer.EntryID{}, ignored: map[int32]foyer.Problem{}, renamed: map[int32]bool{},
		meant: map[int32]foyer.Address{}, lost: map[foyer.EntryID]string{}}
}

// idOf returns the external id of a person: of its rows the last one's that has one.
func (p *plan) idOf(person *person) (id string, line int32, err error) {
	if !p.reading.hasIDs {
		return "", 0, nil
	}
	for row := person.first; row >= 0; row = p.people.next[row] {
		packed, err := p.reading.rows.get(p.reading.pending[row].row)
		if err != nil {
			return "", 0, err
		}
		if of := packed.Unpack().ExternalID; of != "" {
			id, line = of, p.reading.pending[row].line
		}
	}
	return id, line, nil
}

// lookUpIDs finds the entries that the source knows by the ids of the persons. An id that stands at two emails is ignored (R2).
func (p *plan) lookUpIDs() error {
	p.ids = newIDs()
	if !p.reading.hasIDs {
		return nil
	}
	byHash := map[uint64]int32{}
	for i := range p.people.persons {
		id, line, err := p.idOf(&p.people.persons[i])
		if err != nil {
			return err
		}
		if id == "" {
			continue
		}
		hash := maphash.String(p.people.seed, id)
		other, met := byHash[hash]
		if !met {
			byHash[hash] = int32(i)
			continue
		}
		otherID, otherLine, err := p.idOf(&p.people.persons[other])
		if err != nil {
			return err
		}
		if otherID == id {
			p.ids.ignore(int32(i), id, line, otherLine)
			p.ids.ignore(other, id, otherLine, line)
		}
	}
	return p.lookUpKnown()
}

// ignore notes that the id of a person stands at another email in another line.
func (x *ids) ignore(i int32, id string, line, other int32) {
	if _, told := x.ignored[i]; !told {
		x.ignored[i] = foyer.Problem{Line: int(line), Column: "external id", Value: strings.Clone(id),
			Message: fmt.Sprintf("the id stands at another email in line %d; an id is of one person, so it is ignored in this file", other)}
	}
}

func (p *plan) lookUpKnown() error {
	wanted := map[string]int32{}
	ask := func() error {
		err := p.b.EntryOfID(p.policy.source.ID, slices.Collect(maps.Keys(wanted)), func(id string, entry foyer.EntryID) {
			if _, ignored := p.ids.ignored[wanted[id]]; ignored {
				p.ids.shared = append(p.ids.shared, entry)
			} else {
				p.ids.known[wanted[id]] = entry
			}
		})
		clear(wanted)
		return err
	}
	for i := range p.people.persons {
		id, _, err := p.idOf(&p.people.persons[i])
		if err != nil {
			return err
		}
		if id == "" {
			continue
		}
		if wanted[id] = int32(i); len(wanted) == lookUpBatch {
			if err := ask(); err != nil {
				return err
			}
		}
	}
	return ask()
}

// settle decides whom the emails mean that are nobody's current one (R2): by its id the entry that the source knows by it, unless that entry's current
// email is in the delivery too; else the entry that had the email earlier, unless its current email is in the delivery, it is another by its id, or
// another row is that entry; then it is someone new.
func (p *plan) settle() error {
	w := p.people
	taken := maps.Clone(w.present)
	for i := range w.persons {
		if person := &w.persons[i]; person.entry != 0 && !person.alias {
			taken[person.entry] = true
		}
	}
	for i := range w.persons {
		person := &w.persons[i]
		entry := p.ids.known[int32(i)]
		if entry == 0 || person.entry != 0 && !person.alias || taken[entry] {
			continue
		}
		if at, err := p.erasedAt(int32(i), false); err != nil {
			return err
		} else if person.entry == 0 && !at.IsZero() {
			continue // nobody gets the email of someone who was erased (R28)
		}
		if person.alias {
			p.ids.meant[int32(i)] = foyer.Address{Entry: person.entry, Alias: true}
		}
		taken[entry] = true
		person.entry, person.alias = entry, false
		p.ids.renamed[int32(i)] = true
	}
	if err := p.settleAliases(taken); err != nil {
		return err
	}
	return p.settleIDs()
}

// settleAliases decides who an earlier email means. Of two earlier emails of one entry the first in the alphabet is the entry's.
func (p *plan) settleAliases(taken map[foyer.EntryID]bool) error {
	w := p.people
	other, err := p.otherByID()
	if err != nil {
		return err
	}
	best := map[foyer.EntryID]string{}
	keys := map[int32]string{}
	for i := range w.persons {
		person := &w.persons[i]
		if !person.alias {
			continue
		}
		key, err := p.reading.key(person.first)
		if err != nil {
			return err
		}
		keys[int32(i)] = strings.Clone(key)
		if before, ok := best[person.entry]; !other[int32(i)] && (!ok || key < before) {
			best[person.entry] = keys[int32(i)]
		}
	}
	for i, key := range keys {
		person := &w.persons[i]
		if first, ok := best[person.entry]; taken[person.entry] || !ok || first != key {
			p.ids.meant[i] = foyer.Address{Entry: person.entry, Alias: true}
			person.entry, person.alias = 0, false
		}
	}
	return nil
}

// otherByID returns the persons whose email is an alias of an entry that the source knows by another id than the row's.
func (p *plan) otherByID() (map[int32]bool, error) {
	rowID := map[foyer.EntryID]map[int32]string{}
	for i := range p.people.persons {
		person := &p.people.persons[i]
		if _, ignored := p.ids.ignored[int32(i)]; !person.alias || ignored || !p.reading.hasIDs {
			continue
		}
		id, _, err := p.idOf(person)
		if err != nil {
			return nil, err
		}
		if id != "" {
			if rowID[person.entry] == nil {
				rowID[person.entry] = map[int32]string{}
			}
			rowID[person.entry][int32(i)] = strings.Clone(id)
		}
	}
	other := map[int32]bool{}
	err := p.b.Entries(slices.Sorted(maps.Keys(rowID)), func(e *foyer.Entry) error {
		known := e.KnownAs(p.policy.source.ID)
		for i, id := range rowID[e.ID] {
			other[i] = known != "" && known != id
		}
		return nil
	})
	return other, err
}

// settleIDs notes whose id is another's from now on: the email decided who the row is, and the id moves along (R2).
func (p *plan) settleIDs() error {
	for i, entry := range p.ids.known {
		person := &p.people.persons[i]
		if person.entry == entry {
			continue
		}
		if at, err := p.erasedAt(i, true); err != nil {
			return err
		} else if person.entry == 0 && !at.IsZero() {
			continue // they are passed over
		}
		id, _, err := p.idOf(person)
		if err != nil {
			return err
		}
		p.ids.lost[entry] = strings.Clone(id)
	}
	return nil
}

// listingOf returns the listing of the person of that number, with what its id says.
func (p *plan) listingOf(i int32, found *problems) (*listing, error) {
	person := &p.people.persons[i]
	l, err := p.listing(person, found)
	if err != nil {
		return nil, err
	}
	l.byID, l.meant = p.ids.renamed[i], p.ids.meant[i]
	if ignored, ok := p.ids.ignored[i]; ok {
		l.record.ExternalID = ""
		l.found = append(l.found, ignored)
	}
	if entry := p.ids.known[i]; entry != 0 && entry != person.entry {
		l.found = append(l.found, foyer.Problem{Line: l.line, Column: "external id", Value: l.record.ExternalID,
			Message: fmt.Sprintf("was the id of %v; the email decides who the row is, and the id is theirs now", entry)})
	}
	return l, nil
}
