package reconcile_test

import (
	"maps"

	"foyer"
)

// merge stores what a source says about one person, and that it says so (R4, R5, R8, R9, R13, R14).
func (m *model) merge(src modelSource, l *modelListed, counts *foyer.Counts) {
	p, v := l.who, &l.record.Values
	if !l.alias {
		m.submit(src, p, foyer.Email, v[foyer.Email], counts)
	}
	m.submit(src, p, foyer.FirstName, v[foyer.FirstName], counts)
	m.submit(src, p, foyer.LastName, v[foyer.LastName], counts)
	// An empty display name is compared as first + last (R9).
	full := modelName("", p.values[foyer.FirstName], p.values[foyer.LastName])
	if p.values[foyer.DisplayName] != "" || !modelSame(full, v[foyer.DisplayName]) {
		m.submit(src, p, foyer.DisplayName, v[foyer.DisplayName], counts)
	}
	for f := foyer.Title; f < foyer.NumFields; f++ {
		m.submit(src, p, f, v[f], counts)
		if f.IsPhone() && v[f] != "" && modelE164[v[f]] == "" {
			counts.Warnings++
		}
	}
	split := modelSplits[v[foyer.DisplayName]]
	for i, f := range []foyer.Field{foyer.FirstName, foyer.LastName} {
		if v[f] == "" && split[i] != "" {
			m.guess(src, p, f, split[i])
		}
	}
	m.claim(src, l)
	m.decide(p)
}

// submit is a source giving a value (R4, R5), which it may store if nobody owns the field, if it owns it itself, if it outranks the owner, or if the owner no
// longer claims the entry (R8). A guess is nobody's word (R9). An equal value makes the source the owner.
func (m *model) submit(src modelSource, p *modelPerson, f foyer.Field, value string, counts *foyer.Counts) {
	if value == "" {
		return
	}
	owner := p.owners[f]
	_, claims := p.claims[owner]
	if owner != 0 && owner != src.id && claims && !m.outranks(src.id, owner) && !p.guesses[f] {
		return
	}
	if !modelSame(p.values[f], value) {
		for accented, export := range modelExports {
			if value == export && p.values[f] != accented {
				counts.Warnings++
			}
		}
		p.values[f] = value
	}
	p.owners[f], p.guesses[f] = src.id, false
}

// guess stores part of a display name where nothing is, or over an earlier guess of the same source (R9).
func (m *model) guess(src modelSource, p *modelPerson, f foyer.Field, value string) {
	own := p.guesses[f] && p.owners[f] == src.id
	if p.values[f] != "" && (!own || modelSame(p.values[f], value)) {
		return
	}
	p.values[f], p.owners[f], p.guesses[f] = value, src.id, true
}

// claim notes that the source lists the person: where, and whether as enabled. What the rows do not say stays as it was said (R5).
func (m *model) claim(src modelSource, l *modelListed) {
	c := l.who.claims[src.id]
	if l.record.Enabled != foyer.Unsaid {
		c.disabled = l.record.Enabled == foyer.No
	}
	switch {
	case src.site != 0:
		c.sites = siteSet{src.site: true}
	case l.partial:
		c.sites = c.sites.plus(l.sites)
	case len(l.sites) > 0:
		c.sites = l.sites
	}
	l.who.claims[src.id] = c
}

// decide settles status and sites by who claims the entry (R12, R13).
func (m *model) decide(p *modelPerson) {
	var top foyer.SourceID
	for id := range p.claims {
		if top == 0 || m.outranks(id, top) {
			top = id
		}
	}
	if top != 0 && p.reason != foyer.ByHand {
		p.enabled, p.reason = true, foyer.NotDisabled
		if p.claims[top].disabled {
			p.enabled, p.reason = false, foyer.BySource
		}
	}
	m.place(p)
}

// place gives an entry the sites of its claims and those given by hand; one that is disabled and not claimed keeps its last (R12).
func (m *model) place(p *modelPerson) {
	if !p.enabled && len(p.claims) == 0 {
		return
	}
	p.sites = p.hand.plus()
	for _, c := range p.claims {
		p.sites = p.sites.plus(c.sites)
	}
}

// withdraw is a source no longer listing whom it claimed (R10).
func (m *model) withdraw(src modelSource, p *modelPerson) {
	delete(p.claims, src.id)
	if len(p.claims) > 0 {
		m.decide(p)
		return
	}
	m.leave(src, p)
}

// drop is a source not listing a hand-made entry: it is its business only within its scope (R11, R12).
func (m *model) drop(src modelSource, p *modelPerson) {
	if p.enabled && !p.permanent && !src.leave && (src.site == 0 || p.hand[src.site]) {
		m.leave(src, p)
	}
}

// leave is the absence of an entry that no source claims (R10, R11, R12).
func (m *model) leave(src modelSource, p *modelPerson) {
	hand := p.hand.minus(src.site)
	switch {
	case p.permanent: // no absence disables it; without any site it would be everywhere
		if len(hand) == 0 {
			hand = p.sites.plus()
		}
		p.hand = hand
	case src.site != 0 && len(hand) > 0: // it is still elsewhere
		p.hand = hand
	case p.enabled || p.reason == foyer.BySource:
		p.enabled, p.reason = false, foyer.Absent
	}
	m.place(p)
}

// modelEdit is a change by hand.
type modelEdit struct {
	values      map[foyer.Field]string
	add, remove foyer.SiteID // 0: none
	enabled     *bool
	permanent   *bool
}

// edit changes an entry by hand; false where another one has the email.
func (m *model) edit(p *modelPerson, e modelEdit) bool {
	if email, ok := e.values[foyer.Email]; ok && !m.rename(p, modelKey(email)) {
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
	if e.add != 0 {
		p.hand = p.hand.plus(siteSet{e.add: true})
	}
	p.hand = p.hand.minus(e.remove)
	if e.permanent != nil {
		p.permanent = *e.permanent
	}
	switch {
	case e.enabled == nil:
	case *e.enabled:
		if !p.enabled && len(p.claims) == 0 && len(p.hand) == 0 {
			p.hand = p.sites.plus()
		}
		p.enabled, p.reason = true, foyer.NotDisabled
	default:
		p.enabled, p.reason = false, foyer.ByHand
	}
	m.place(p)
	return true
}

// rename gives an entry a new email; the old one stays an alias (R2). An alias of another entry moves.
func (m *model) rename(p *modelPerson, key string) bool {
	taken, ok := m.emails[key]
	if ok && !taken.alias {
		return taken.who == p
	}
	for old, e := range maps.Clone(m.emails) {
		if e.who == p && !e.alias {
			m.emails[old] = modelEmail{p, true}
		}
	}
	m.emails[key] = modelEmail{p, false}
	return true
}

// add makes an entry by hand; false where an entry has the email.
func (m *model) add(e modelEdit) bool {
	if taken, ok := m.emails[modelKey(e.values[foyer.Email])]; ok && !taken.alias {
		return false
	}
	return m.edit(m.newPerson(), e)
}
