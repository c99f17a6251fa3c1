package reconcile_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"foyer"
)

// modelEdit is a change by hand.
type modelEdit struct {
	values      map[foyer.Field]string
	add, remove foyer.SiteID // 0: none
	enabled     *bool
	permanent   *bool
	pinned      *bool
	notes       *string
	keep        []foyer.Field
	until       time.Time
	release     []foyer.Field
}

// edit changes an entry by hand; false where another one has the email.
func (m *model) edit(who int, e modelEdit) (act *modelAct, ok bool) {
	b := m.book.copy()
	if !m.change(b, who, e) {
		return nil, false
	}
	return m.act(foyer.Edit, 0, b), true
}

func (m *model) change(b *modelBook, who int, e modelEdit) bool {
	p := b.who(who)
	if email, ok := e.values[foyer.Email]; ok && !b.rename(who, modelKey(email)) {
		return false
	}
	for f, value := range e.values {
		if value != p.values[f] {
			if p.guesses[f] {
				p.owners[f], p.guesses[f] = 0, false
			}
			p.values[f] = value
		}
	}
	switch {
	case e.enabled == nil:
	case *e.enabled:
		if !p.enabled && p.handMade() { // where they were last, and where a person put them
			p.hand |= p.sites
		}
		p.enabled, p.reason = true, foyer.NotDisabled
	default:
		p.enabled, p.reason = false, foyer.ByHand
	}
	p.hand = (p.hand | siteOf(e.add)) &^ siteOf(e.remove)
	assign(&p.permanent, e.permanent)
	assign(&p.pinned, e.pinned)
	assign(&p.notes, e.notes)
	for _, f := range e.keep {
		p.keeps[f] = modelKeep{true, e.until}
	}
	for _, f := range e.release {
		p.keeps[f] = modelKeep{}
	}
	p.place()
	return true
}

func assign[T any](to *T, value *T) {
	if value != nil {
		*to = *value
	}
}

// rename gives an entry a new email; the old one stays an alias (R2). An alias of another entry moves.
func (b *modelBook) rename(who int, key string) bool {
	taken, ok := b.emails[key]
	if ok && !taken.alias {
		return taken.who == who
	}
	if b.hashes[key] != 0 { // of someone who was erased (R28)
		return false
	}
	for old, e := range maps.Clone(b.emails) {
		if e.who == who && !e.alias {
			b.emails[old] = modelEmail{who, true}
		}
	}
	b.emails[key] = modelEmail{who: who}
	return true
}

// addByHand makes an entry by hand; false where an entry has the email.
func (m *model) addByHand(e modelEdit) (act *modelAct, ok bool) {
	b := m.book.copy()
	if taken, ok := b.emails[modelKey(e.values[foyer.Email])]; ok && !taken.alias {
		return nil, false
	}
	if !m.change(b, b.add(), e) {
		return nil, false
	}
	return m.act(foyer.Edit, 0, b), true
}

// join makes two entries of one person one (R3); false where one source lists both.
func (m *model) join(first, second int) (act *modelAct, ok bool) {
	b := m.book.copy()
	p, q := b.who(first), b.who(second)
	for id, c := range q.claims {
		if c.listed && p.claims[id].listed {
			return nil, false
		}
	}
	if first == second {
		return nil, false
	}
	firstKey, secondKey := b.current(first), b.current(second)
	takes := p.handMade() && !q.handMade()
	said := []foyer.Field{} // what the second says of the first, too
	for f := foyer.Email; f < foyer.NumFields; f++ {
		if f == foyer.Email && takes || f != foyer.Email && m.yields(p, q, f) {
			p.values[f], p.owners[f], p.guesses[f] = q.values[f], q.owners[f], q.guesses[f]
			said = append(said, f)
			if q.keeps[f].on {
				p.keeps[f] = q.keeps[f]
			}
		}
	}
	for id, c := range q.claims {
		if c.listed {
			p.claims[id] = c
		}
		if q.ids[id] != "" && (p.ids[id] == "" || c.listed) {
			p.ids[id] = q.ids[id]
		}
	}
	for key, e := range maps.Clone(b.emails) {
		if e.who == second {
			b.emails[key] = modelEmail{first, true}
		}
	}
	if takes {
		b.emails[firstKey], b.emails[secondKey] = modelEmail{first, true}, modelEmail{who: first}
	}
	p.hand |= q.hand
	p.permanent, p.pinned = p.permanent || q.permanent, p.pinned || q.pinned
	if p.notes != q.notes {
		p.notes = strings.TrimSpace(p.notes + "\n" + q.notes)
	}
	switch {
	case p.reason == foyer.ByHand || q.reason == foyer.ByHand: // whom a person disabled stays so (R13)
		p.enabled, p.reason = false, foyer.ByHand
	case p.handMade() && q.enabled:
		p.enabled, p.reason = true, foyer.NotDisabled
	}
	*q = modelPerson{}
	m.decide(p)
	act = m.act(foyer.Join, 0, b)
	act.joined = [2]int{first, second}
	for _, f := range said {
		x := aspect{who: first, kind: "field", n: int(f)}
		if value := b.aspects()[x]; act.changes[x] == (modelChange{}) { // an undo of who said the same before does not take it away
			act.changes[x] = modelChange{value, value}
			act.prov[x] += fmt.Sprint(">", act.number)
		}
	}
	return act, true
}

// yields tells whether the first's value gives way to that of the second when they are joined: an empty one, a guess to what is none, and
// else to the second's owner, as R8 has it.
func (m *model) yields(p, q *modelPerson, f foyer.Field) bool {
	mine, theirs := p.owners[f], q.owners[f]
	switch {
	case q.values[f] == "" || m.kept(p, f):
		return false
	case p.values[f] == "":
		return true
	case p.guesses[f] || q.guesses[f]:
		return !q.guesses[f]
	}
	return theirs != 0 && (mine == 0 || !p.claims[mine].listed || m.outranks(theirs, mine))
}

// erase takes somebody out of the book for good; hashes of their emails and ids stay (R28), also of those that they had before, unless these are
// another's now. It is no act that can be undone.
func (m *model) erase(who int) {
	b, group, of := m.book.copy(), m.traces(who), map[string]bool{}
	for _, old := range m.books() {
		for one := range group {
			if one > len(old.people) || !old.who(one).there {
				continue
			}
			if key := old.current(one); m.book.emails[key].who == 0 || group[m.book.emails[key].who] {
				of[key] = true
			}
			for src, id := range old.who(one).ids {
				if now := m.book.known(foyer.SourceID(src), id); id != "" && (now == 0 || group[now]) {
					of[idHash(foyer.SourceID(src), id)] = true
				}
			}
		}
	}
	for key, e := range m.book.emails {
		if e.who == who {
			of[key] = true
			delete(b.emails, key)
		}
	}
	for one := range group {
		*b.who(one) = modelPerson{}
		m.erased[one] = true
	}
	for text := range of {
		if b.hashes[text] == 0 { // the first erasure counts
			b.hashes[text] = who
		}
	}
	m.book = b
	for _, act := range m.acts {
		act.scrub(of)
	}
	for _, act := range m.waiting() {
		act.held.forget(of, m.called(group))
	}
}

// scrub takes emails and ids of an erased person out of what an act changed of others.
func (a *modelAct) scrub(of map[string]bool) {
	maps.DeleteFunc(a.changes, func(x aspect, c modelChange) bool {
		before, _ := c.before.(string)
		after, _ := c.after.(string)
		src := foyer.SourceID(x.n)
		return x.kind == "email" && of[x.key] || x.kind == "id" && (of[idHash(src, before)] || of[idHash(src, after)])
	})
	for x, c := range a.changes {
		if was, _ := c.before.(modelValue); x.kind == "field" && x.n == int(foyer.Email) && of[modelKey(was.value)] {
			a.changes[x] = modelChange{modelForgotten{}, c.after}
		}
	}
}

// called returns the full names that some had, in lower case, in both orders of first and last name. One word is no full name.
func (m *model) called(group map[int]bool) map[string]bool {
	names := map[string]bool{}
	for _, b := range m.books() {
		for who := range group {
			if who <= len(b.people) && b.who(who).there {
				v := b.who(who).values
				first, last, display := strings.ToLower(v[foyer.FirstName]), strings.ToLower(v[foyer.LastName]), strings.ToLower(v[foyer.DisplayName])
				names[display] = strings.ContainsAny(display, " ,")
				if first != "" && last != "" {
					names[first+" "+last], names[last+", "+first] = true, true
				}
			}
		}
	}
	return names
}

// forget takes the rows of an erased person out of a held run: by email or id, and of a row without an email that can be read by what it
// mentions or by the full name.
func (s *modelSync) forget(of, called map[string]bool) {
	s.rows = slices.DeleteFunc(slices.Clone(s.rows), func(row foyer.Row) bool {
		if of[modelKey(row.Values[foyer.Email])] || of[idHash(s.src.id, row.ExternalID)] {
			return true
		}
		mentioned := slices.ContainsFunc(row.Mentions, func(email string) bool { return of[modelKey(email)] })
		name := strings.ToLower(row.Values[foyer.FirstName] + " " + row.Values[foyer.LastName])
		return modelKey(row.Values[foyer.Email]) == "" && (mentioned || called[name] || called[strings.ToLower(row.Values[foyer.DisplayName])])
	})
}

// books returns the book as it was over time.
func (m *model) books() (all []*modelBook) {
	for _, act := range m.acts {
		all = append(all, act.after)
	}
	return append(all, m.book)
}

// traces returns somebody, and those who are not in the book any more and were the same person: joined to them, or added or removed with an email
// of theirs.
func (m *model) traces(who int) map[int]bool {
	group, keys := map[int]bool{who: true}, map[string]bool{}
	for known := 0; known != len(group)+len(keys); {
		known = len(group) + len(keys)
		for key, e := range m.book.emails {
			if group[e.who] {
				keys[key] = true
			}
		}
		for _, act := range m.acts {
			for one := 1; one <= len(act.after.people); one++ {
				m.trace(act, one, group, keys)
			}
		}
	}
	return group
}

func (m *model) trace(act *modelAct, one int, group map[int]bool, keys map[string]bool) {
	if m.erased[one] {
		return
	}
	gone := !m.book.who(one).there
	there := act.changes[aspect{who: one, kind: "there"}]
	for _, b := range []*modelBook{act.before, act.after} {
		if one > len(b.people) || !b.who(one).there {
			continue
		}
		if key := b.current(one); group[one] {
			keys[key] = true
		} else if gone && there != (modelChange{}) && keys[key] {
			group[one] = true
		}
	}
	a, b := act.joined[0], act.joined[1]
	if gone && act.kind == foyer.Join && (one == a && group[b] || one == b && group[a]) {
		group[one] = true
	}
}

// forget lets files bring back the person of an email who was erased; false where nobody was.
func (m *model) forget(email string) bool {
	b, who := m.book.copy(), m.book.hashes[email]
	maps.DeleteFunc(b.hashes, func(_ string, of int) bool { return of == who })
	m.book = b
	return who != 0
}

// endSource plans the end of a source: it lists nobody any more (R10), or leaves those whom nobody else lists as hand-made.
func (m *model) endSource(src modelSource, leave bool) *modelSync {
	s := &modelSync{model: m, src: src, spare: leave, before: m.book, after: m.book.copy(), file: &modelFile{}}
	s.after.ended[src.id] = true
	for _, who := range s.before.everybody() {
		p := s.after.who(who)
		c := p.claims[src.id]
		switch {
		case !c.listed:
		case !leave:
			s.withdraw(p)
		default:
			p.claims[src.id] = modelClaim{}
			if p.handMade() {
				p.hand |= c.sites
			}
			m.decide(p)
		}
	}
	s.counts = tally(s.counts, s.before, s.after)
	s.lost = losses(src.id, s.before, s.after)
	s.count()
	s.hold = s.tripped()
	return s
}
