package reconcile

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"

	"foyer"
	"foyer/match"
)

// person is one email of a delivery, and whom it means. Its key is made again from its first row where it is asked for: of a first load
// there are as many as rows.
type person struct {
	hash    uint32 // of the key
	first   int32  // the pending row that names it first
	last    int32  // and last
	alias   bool   // by an earlier email of the entry
	partial bool   // another row of it had an error
	entry   foyer.EntryID
}

// people are the persons of the pending rows: by row, and by email.
type people struct {
	reading *reading
	persons []person
	next    []int32 // of each pending row the next row of the same person; -1: none; dropped: it has an error
	table   []int32 // open-addressing table of person + 1 by the email's key
	seed    maphash.Seed
	present map[foyer.EntryID]bool // whom rows with errors name (R15); true: by the current email
	names   []string               // folded names of rows with errors that name nobody otherwise
	away    int                    // rows that name another site than the source's
}

const dropped = -2

// resolve finds out who is who. A person whose row was seen and who is named by a pending row too is read again: what the two
// rows say together is not what was applied.
func (p *plan) resolve() error {
	for {
		if err := p.reading.rows.seal(); err != nil {
			return err
		}
		if err := p.gather(); err != nil {
			return err
		}
		if err := p.lookUp(); err != nil {
			return err
		}
		if err := p.lookUpIDs(); err != nil {
			return err
		}
		again := p.seenTwice()
		if len(again) == 0 {
			break
		}
		if err := p.readAgain(again); err != nil {
			return err
		}
	}
	p.people.table = nil
	return p.settle()
}

// gather makes persons of the pending rows.
func (p *plan) gather() error {
	r := p.reading
	w := &people{reading: r, seed: maphash.MakeSeed(), present: map[foyer.EntryID]bool{}, next: make([]int32, len(r.pending))}
	size := 16
	for size < 2*len(r.pending) {
		size *= 2
	}
	w.table = make([]int32, size)
	w.persons = make([]person, 0, len(r.pending))
	p.people, p.rowProblems, p.bad = w, problems{}, nil
	for i := range r.pending {
		w.next[i] = -1
		packed, err := r.rows.get(r.pending[i].row)
		if err != nil {
			return err
		}
		record := packed.Unpack()
		key, problem := p.check(&record)
		if problem != nil {
			problem.Line, problem.Error = int(r.pending[i].line), true
			p.rowProblems.add(*problem)
			w.next[i] = dropped
			p.addBad(key, &record)
			continue
		}
		if err := w.add(int32(i), key); err != nil {
			return err
		}
	}
	return nil
}

// check returns the key of a record's email, and what is wrong with the record.
func (p *plan) check(record *foyer.Record) (string, *foyer.Problem) {
	key, err := match.Email(record.Values[foyer.Email])
	if err != nil {
		return "", &foyer.Problem{Column: foyer.Email.Label(), Value: record.Values[foyer.Email], Message: err.Error()}
	}
	if record.Site == "" {
		return string(key), nil
	}
	sites, err := p.policy.sites.find(record.Site)
	if err != nil {
		return string(key), &foyer.Problem{Column: "site", Value: record.Site, Message: err.Error()}
	}
	own := p.policy.source.Site
	if own != 0 && len(sites) > 0 && !slices.Equal(sites, []foyer.SiteID{own}) {
		p.people.away++
		return string(key), &foyer.Problem{Column: "site", Value: record.Site,
			Message: fmt.Sprintf("this key delivers for the site %q only; nothing of this row is applied", p.policy.sites.of[own])}
	}
	return string(key), nil
}

// addBad notes whom a pending row with an error names.
func (p *plan) addBad(key string, record *foyer.Record) {
	name := foyer.FullName(record.Values[foyer.DisplayName], record.Values[foyer.FirstName], record.Values[foyer.LastName])
	b := badRow{externalID: strings.Clone(record.ExternalID), name: strings.Clone(name)} // the rows' memory is large
	if key != "" {
		b.emails = []string{strings.Clone(key)}
	}
	p.bad = append(p.bad, b)
}

// add enters a pending row.
func (w *people) add(row int32, key string) error {
	slot, found, err := w.find(key)
	if err != nil {
		return err
	}
	if found == nil {
		w.persons = append(w.persons, person{hash: w.hash(key), first: row, last: row})
		w.table[slot] = int32(len(w.persons))
		return nil
	}
	w.next[found.last] = row
	found.last = row
	return nil
}

func (w *people) hash(key string) uint32 { return uint32(maphash.String(w.seed, key) >> 32) }

// find returns the person of a key, or nil and the slot of the table where it belongs.
func (w *people) find(key string) (slot uint64, found *person, err error) {
	mask := uint64(len(w.table) - 1)
	sum := maphash.String(w.seed, key)
	for slot = sum & mask; w.table[slot] != 0; slot = (slot + 1) & mask {
		person := &w.persons[w.table[slot]-1]
		if person.hash != uint32(sum>>32) {
			continue
		}
		if its, err := w.reading.key(person.first); err != nil || its == key {
			return slot, person, err
		}
	}
	return slot, nil, nil
}

// lookUpBatch is how many emails are looked up at once.
const lookUpBatch = 10_000

// lookUp finds the entries that the emails mean, of good rows and of bad ones.
func (p *plan) lookUp() error {
	keys, byKey := make([]string, 0, lookUpBatch), map[string]*person{}
	for batch := range slices.Chunk(p.people.persons, lookUpBatch) {
		if p.b.NextEntry == 1 {
			break // the book is empty
		}
		keys = keys[:0]
		clear(byKey)
		for i := range batch {
			key, err := p.reading.key(batch[i].first)
			if err != nil {
				return err
			}
			keys, byKey[key] = append(keys, key), &batch[i]
		}
		err := p.b.Addresses(keys, func(key string, a foyer.Address) {
			byKey[key].entry, byKey[key].alias = a.Entry, a.Alias
		})
		if err != nil {
			return err
		}
	}
	return p.lookUpBad()
}

// lookUpBad finds whom the rows with errors name: by an email, else later by name (R15).
func (p *plan) lookUpBad() error {
	w := p.people
	bad := slices.Concat(p.reading.bad, p.bad)
	var keys []string
	for _, b := range bad {
		for _, email := range b.emails {
			if key, err := match.Email(email); err == nil {
				keys = append(keys, string(key))
			}
		}
	}
	found := map[string]foyer.Address{}
	if err := p.b.Addresses(keys, func(key string, a foyer.Address) { found[key] = a }); err != nil {
		return err
	}
	byID, err := p.entriesOfBad(bad)
	if err != nil {
		return err
	}
	for _, b := range bad {
		named := false
		for _, email := range b.emails {
			key, err := match.Email(email)
			if err != nil {
				continue
			}
			_, person, err := w.find(string(key))
			if err != nil {
				return err
			}
			if person != nil {
				person.partial, named = true, true
			}
			if a, ok := found[string(key)]; ok {
				w.present[a.Entry], named = w.present[a.Entry] || !a.Alias, true
			}
		}
		if entry := byID[b.externalID]; entry != 0 && !named {
			if _, there := w.present[entry]; !there {
				w.present[entry] = false
			}
			named = true
		}
		if folded := match.Fold(b.name); !named && folded != "" {
			w.names = append(w.names, folded)
		}
	}
	return nil
}

// entriesOfBad returns the entries that the source knows by the ids of rows with errors.
func (p *plan) entriesOfBad(bad []badRow) (map[string]foyer.EntryID, error) {
	var ids []string
	for _, b := range bad {
		if b.externalID != "" {
			ids = append(ids, b.externalID)
		}
	}
	byID := map[string]foyer.EntryID{}
	return byID, p.b.EntryOfID(p.policy.source.ID, ids, func(id string, entry foyer.EntryID) { byID[id] = entry })
}

// seenTwice returns the lines of seen rows whose entry a pending row names too.
func (p *plan) seenTwice() (lines []int32) {
	see := func(entry foyer.EntryID) {
		if at, ok := p.reading.claims.Find(entry); ok && p.reading.lines[at] != 0 {
			lines = append(lines, p.reading.lines[at])
			p.reading.lines[at] = 0
		}
	}
	for i := range p.people.persons {
		see(p.people.persons[i].entry)
	}
	for _, entry := range p.ids.known {
		see(entry)
	}
	for _, entry := range p.ids.shared { // its row may be one of those that have the id
		see(entry)
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// readAgain makes the rows at those lines pending.
func (p *plan) readAgain(lines []int32) error {
	r := p.reading
	_, err := p.input.Rows(func(row *foyer.Row) error {
		if _, wanted := slices.BinarySearch(lines, int32(row.Line)); !wanted {
			return nil
		}
		return r.keep(row.AppendPacked(nil), aheadRow{line: int32(row.Line)})
	})
	slices.SortFunc(r.pending, func(a, b pendingRow) int { return cmp.Compare(a.line, b.line) })
	return err
}

// listing returns what the rows of a person say together: of each field the last value that is not empty (R16).
//
// What is wrong with the rows taken together goes to found.
func (p *plan) listing(person *person, found *problems) (*listing, error) {
	r := p.reading
	row := person.first
	l := &listing{alias: person.alias, partial: person.partial, line: int(r.pending[row].line)}
	var err error
	if l.record, l.hash, err = r.row(row); err != nil {
		return nil, err
	}
	key, err := match.Email(l.record.Values[foyer.Email])
	if err != nil {
		return nil, err // not so: it was checked when the row was gathered
	}
	l.key = string(key)
	l.sites = p.sitesOf(&l.record)
	if p.people.next[row] < 0 {
		if l.partial {
			l.hash = foyer.Hash{}
		}
		return l, nil
	}
	hashes := append([]byte{}, l.hash[:]...)
	lineOf := map[foyer.SiteID]int{}
	sameSite(lineOf, l.sites, l.line)
	clean := l.hash != (foyer.Hash{}) && !l.partial
	for row = p.people.next[row]; row >= 0; row = p.people.next[row] {
		record, hash, err := r.row(row)
		if err != nil {
			return nil, err
		}
		line := int(r.pending[row].line)
		sites := p.sitesOf(&record)
		clean = clean && hash != (foyer.Hash{})
		if earlier := sameSite(lineOf, sites, line); earlier != 0 {
			clean = false
			found.add(twice(l.key, earlier, line))
		}
		overlay(&l.record, &record)
		l.sites = union(l.sites, sites)
		hashes = append(hashes, hash[:]...)
	}
	l.hash = foyer.Hash{}
	if clean {
		sum := sha256.Sum256(hashes)
		l.hash = foyer.Hash(sum[:])
	}
	return l, nil
}

func twice(key string, earlier, line int) foyer.Problem {
	return foyer.Problem{Line: line, Column: foyer.Email.Label(), Value: key,
		Message: fmt.Sprintf("the same email as in line %d; of each field the last value that is not empty counts", earlier)}
}

// sameSite notes the line in which each site was named, and returns the first line that named one of them before; no site is a site here.
func sameSite(lineOf map[foyer.SiteID]int, sites []foyer.SiteID, line int) (earlier int) {
	if len(sites) == 0 {
		sites = []foyer.SiteID{0}
	}
	for _, site := range sites {
		if lineOf[site] != 0 && earlier == 0 {
			earlier = lineOf[site]
		}
		lineOf[site] = cmp.Or(lineOf[site], line)
	}
	return earlier
}

// overlay puts the values of a later row over those of an earlier one.
func overlay(under, over *foyer.Record) {
	for f, value := range over.Values {
		under.Values[f] = cmp.Or(value, under.Values[f])
	}
	under.ExternalID = cmp.Or(over.ExternalID, under.ExternalID)
	under.Enabled = cmp.Or(over.Enabled, under.Enabled)
}

// sitesOf returns the sites that a record names: in the SITE column, else in an office column where it matches one.
func (p *plan) sitesOf(record *foyer.Record) []foyer.SiteID {
	if p.policy.source.Site != 0 {
		return nil // it names its own, whatever the row says
	}
	if record.Site != "" {
		sites, _ := p.policy.sites.find(record.Site) // checked when the row was gathered
		return sites
	}
	if record.Office == "" {
		return nil
	}
	sites, _ := p.policy.sites.find(record.Office) // an office that is no site says nothing
	return sites
}
