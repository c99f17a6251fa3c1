package reconcile_test

import (
	"maps"
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
	switch {
	case e.enabled == nil:
	case *e.enabled:
		if !p.enabled && p.handMade() && p.hand == 0 {
			p.hand = p.sites
		}
		p.enabled, p.reason = true, foyer.NotDisabled
	default:
		p.enabled, p.reason = false, foyer.ByHand
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
	m.change(b, b.add(), e)
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
	takes := p.handMade() && !q.handMade() && !m.kept(p, foyer.Email)
	for f := foyer.Email; f < foyer.NumFields; f++ {
		if f == foyer.Email && takes || f != foyer.Email && m.yields(p, q, f) {
			p.values[f], p.owners[f], p.guesses[f] = q.values[f], q.owners[f], q.guesses[f]
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
	*q = modelPerson{}
	m.decide(p)
	act = m.act(foyer.Join, 0, b)
	act.joined = [2]int{first, second}
	return act, true
}

// yields tells whether the first's value gives way to that of the second when they are joined: to the second's owner, as R8 has it.
func (m *model) yields(p, q *modelPerson, f foyer.Field) bool {
	owner := p.owners[f]
	switch {
	case q.values[f] == "" || m.kept(p, f):
		return false
	case p.values[f] == "":
		return true
	case q.owners[f] == 0:
		return false
	}
	return owner == 0 || p.guesses[f] || !p.claims[owner].listed || owner == q.owners[f] || m.outranks(q.owners[f], owner)
}

// erase takes somebody out of the book for good; hashes of their emails and ids stay (R28). It is no act that can be undone.
func (m *model) erase(who int) {
	b := m.book.copy()
	for key, e := range m.book.emails {
		if e.who == who {
			b.hashes[key] = true
			delete(b.emails, key)
		}
	}
	for src, id := range b.who(who).ids {
		if id != "" {
			b.hashes[idHash(foyer.SourceID(src), id)] = true
		}
	}
	*b.who(who) = modelPerson{}
	m.erased[who] = true
	m.book = b
}

// endSource plans the end of a source: it lists nobody any more (R10), or leaves those whom nobody else lists as hand-made.
func (m *model) endSource(src modelSource, leave bool) *modelSync {
	s := &modelSync{model: m, src: src, before: m.book, after: m.book.copy(), file: &modelFile{}}
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
				if p.reason == foyer.BySource {
					p.enabled, p.reason = true, foyer.NotDisabled
				}
			}
			m.decide(p)
		}
	}
	s.counts = tally(s.counts, s.before, s.after)
	if src.guard.Off {
		s.counts.Warnings++
	}
	if !leave {
		s.watch()
	}
	return s
}
