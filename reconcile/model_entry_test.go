package reconcile_test

import (
	"foyer"
)

// merge stores what a source says about one person, and that it says so (R2, R4, R5, R8, R9, R13, R14).
func (s *modelSync) merge(l *modelListed) {
	p, v := s.after.who(l.who), &l.record.Values
	if s.mayRename(l, p) {
		s.submit(p, foyer.Email, v[foyer.Email])
	}
	s.submit(p, foyer.FirstName, v[foyer.FirstName])
	s.submit(p, foyer.LastName, v[foyer.LastName])
	// An empty display name is compared as first + last (R9).
	full := modelName("", p.values[foyer.FirstName], p.values[foyer.LastName])
	if p.values[foyer.DisplayName] != "" || !modelSame(full, v[foyer.DisplayName]) {
		s.submit(p, foyer.DisplayName, v[foyer.DisplayName])
	}
	for f := foyer.Title; f < foyer.NumFields; f++ {
		s.submit(p, f, v[f])
		if f.IsPhone() && v[f] != "" && modelE164[v[f]] == "" {
			s.counts.Warnings++
		}
	}
	split := modelSplits[v[foyer.DisplayName]]
	for i, f := range []foyer.Field{foyer.FirstName, foyer.LastName} {
		if v[f] == "" && split[i] != "" {
			s.guess(p, f, split[i])
		}
	}
	s.claim(l, p)
	s.decide(p)
}

// mayRename tells whether the email of a row is the person's: not where it is an earlier one, and where the row means them by their id
// only if the source alone lists them, or is the highest of those who do, and the email is not kept; else the rename is proposed (R2).
func (s *modelSync) mayRename(l *modelListed, p *modelPerson) bool {
	if l.how != byID {
		return l.how != byAlias
	}
	may := !s.kept(p, foyer.Email)
	for _, other := range p.listers() {
		may = may && (other == s.src.id || s.outranks(s.src.id, other))
	}
	if !may {
		s.counts.Warnings++
		return false
	}
	s.after.mean(s.after.current(l.who), modelEmail{l.who, true})
	s.after.mean(l.key, modelEmail{who: l.who})
	p.values[foyer.Email], p.owners[foyer.Email], p.guesses[foyer.Email] = l.record.Values[foyer.Email], s.src.id, false
	s.renames++
	return false
}

// submit is a source giving a value (R4, R5), which it may store if it is not kept (R6), and if nobody owns the field, if it owns it itself,
// if it outranks the owner, or if the owner no longer claims the entry (R8). A guess is nobody's word (R9). An equal value makes the
// source the owner.
func (s *modelSync) submit(p *modelPerson, f foyer.Field, value string) {
	if value == "" || s.kept(p, f) {
		return
	}
	owner := p.owners[f]
	if owner != 0 && owner != s.src.id && p.claims[owner].listed && !s.outranks(s.src.id, owner) && !p.guesses[f] {
		return
	}
	if !modelSame(p.values[f], value) {
		for accented, export := range modelExports {
			if value == export && p.values[f] != accented {
				s.counts.Warnings++
			}
		}
		p.values[f] = value
	}
	p.owners[f], p.guesses[f] = s.src.id, false
}

// guess stores part of a display name where nothing is, or over an earlier guess of the same source (R9).
func (s *modelSync) guess(p *modelPerson, f foyer.Field, value string) {
	own := p.guesses[f] && p.owners[f] == s.src.id
	if s.kept(p, f) || p.values[f] != "" && (!own || modelSame(p.values[f], value)) {
		return
	}
	p.values[f], p.owners[f], p.guesses[f] = value, s.src.id, true
}

// claim notes that the source lists the person: where, and whether as enabled. What the rows do not say stays as it was said (R5).
func (s *modelSync) claim(l *modelListed, p *modelPerson) {
	c := &p.claims[s.src.id]
	c.listed = true
	if l.record.Enabled != foyer.Unsaid {
		c.disabled = l.record.Enabled == foyer.No
	}
	switch {
	case s.src.site != 0:
		c.sites = s.src.site
	case l.partial:
		c.sites |= l.sites
	case l.sites != 0:
		c.sites = l.sites
	}
}

// decide settles status and sites by who claims the entry (R12, R13).
func (m *model) decide(p *modelPerson) {
	var top foyer.SourceID
	for _, id := range p.listers() {
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
	p.place()
}

// place gives an entry the sites of its claims and those given by hand; one that is disabled and not claimed keeps its last (R12).
func (p *modelPerson) place() {
	if !p.enabled && p.handMade() {
		return
	}
	p.sites = p.hand
	for _, c := range p.claims {
		p.sites |= c.sites
	}
}

// withdraw is a source no longer listing whom it claimed (R10).
func (s *modelSync) withdraw(p *modelPerson) {
	p.claims[s.src.id] = modelClaim{}
	if !p.handMade() {
		s.decide(p)
		return
	}
	s.leave(p)
}

// covers tells whether a hand-made entry is the source's business: within its scope only (R11, R12).
func (src modelSource) covers(p *modelPerson) bool {
	return p.there && p.handMade() && p.enabled && !p.permanent && !src.leave && (src.site == 0 || p.hand&src.site != 0)
}

// leave is the absence of an entry that no source claims (R10, R11, R12).
func (s *modelSync) leave(p *modelPerson) {
	hand := p.hand &^ s.src.site
	switch {
	case p.permanent: // no absence disables it; without any site it would be everywhere
		if hand == 0 {
			hand = p.sites
		}
		p.hand = hand
	case s.src.site != 0 && hand != 0: // it is still elsewhere
		p.hand = hand
	case p.enabled || p.reason == foyer.BySource:
		p.enabled, p.reason = false, foyer.Absent
	}
	p.place()
}
