package reconcile_test

import (
	"maps"

	"foyer"
)

// modelSync is one run of a source: planned on a copy of the book, and then held or applied.
type modelSync struct {
	*model
	src     modelSource
	rows    []foyer.Row // of a sync
	spare   bool        // of the end of a source
	file    *modelFile
	before  *modelBook
	after   *modelBook
	counts  foyer.Counts
	refused foyer.Kind // why nothing of it can be used; 0: it can
	renames int
	names   int
	matched int
	lost    map[int]bool // whom it takes away
	d, n    map[int]bool // as R21 counts them
	hold    bool
}

// plan works out what an upload would do (R24), refused where nothing of it can be used (R23).
func (m *model) plan(src modelSource, rows []foyer.Row) *modelSync {
	s := &modelSync{model: m, src: src, rows: rows, before: m.book, after: m.book.copy()}
	s.file = m.read(src, rows)
	if len(s.file.listed) == 0 {
		s.refused = foyer.Invalid
		if s.file.away > 0 && s.file.away == s.file.counts.Rows-s.file.counts.Skipped {
			s.refused = foyer.Forbidden
		}
		return s
	}
	present := s.file.present(s.after, src)
	s.file.passOver(s.after, src, false)
	s.file.resolve(s.after, src)
	s.file.passOver(s.after, src, true)
	if len(s.file.listed) == 0 {
		s.refused = foyer.Invalid
		return s
	}
	s.counts = s.file.counts
	if src.guard.Off {
		s.counts.Warnings++
	}
	s.moveIDs()
	named := map[int]bool{}
	for _, l := range s.file.listed {
		if l.who == 0 {
			l.who = s.after.add()
			s.after.mean(l.key, modelEmail{who: l.who})
		}
		named[l.who] = true
		s.counts.Warnings += l.warned
		s.learnID(l)
		s.merge(l)
	}
	for _, who := range s.before.everybody() {
		p := s.after.who(who)
		if named[who] || present[who] {
			continue
		}
		if p.claims[src.id].listed {
			s.withdraw(p)
		} else if src.covers(s.before.who(who)) {
			s.leave(p)
		}
	}
	s.askRenamed()
	s.tally(named)
	s.watch()
	return s
}

// moveIDs takes the ids of the rows from those who had them. Where a row means somebody by their email whom the id does not, a warning
// says so (R2).
func (s *modelSync) moveIDs() {
	for _, l := range s.file.listed {
		was := s.after.known(s.src.id, l.record.ExternalID)
		if was == 0 || was == l.who {
			continue
		}
		s.counts.Warnings++
		s.after.who(was).ids[s.src.id] = ""
	}
}

func (s *modelSync) learnID(l *modelListed) {
	if l.record.ExternalID != "" {
		s.after.who(l.who).ids[s.src.id] = l.record.ExternalID
	}
}

// askRenamed warns of each who appears and may be one who vanishes (R3).
func (s *modelSync) askRenamed() {
	for id := len(s.before.people) + 1; id <= len(s.after.people); id++ {
		for _, who := range s.before.everybody() {
			p := s.after.who(who)
			if s.before.who(who).enabled && !p.enabled && p.reason == foyer.Absent && mayBe(p, s.after.who(id)) {
				s.counts.Warnings++
				break
			}
		}
	}
}

// mayBe tells whether two may be one person: of the same name, and with a site in common, or no site both, or a phone number.
func mayBe(p, q *modelPerson) bool {
	if p.name() == "" || modelFold(p.name()) != modelFold(q.name()) {
		return false
	}
	phone := modelE164[p.values[foyer.Mobile]]
	return p.sites&q.sites != 0 || p.sites == 0 && q.sites == 0 || phone != "" && phone == modelE164[q.values[foyer.Mobile]]
}

// tally counts what a person sees: values, marks, sites and status, not ownership.
func (s *modelSync) tally(listed map[int]bool) {
	s.counts = tally(s.counts, s.before, s.after)
	for who := range listed {
		if who <= len(s.before.people) && seenAlike(s.before.who(who), s.after.who(who)) {
			s.counts.Unchanged++
		}
	}
}

func seenAlike(was, p *modelPerson) bool { return visiblyAlike(was, p) && was.enabled == p.enabled }

func visiblyAlike(was, p *modelPerson) bool {
	return was.values == p.values && was.sites == p.sites && was.permanent == p.permanent && was.pinned == p.pinned && was.notes == p.notes
}

func tally(counts foyer.Counts, before, after *modelBook) foyer.Counts {
	for i, p := range after.people {
		var was modelPerson
		if i < len(before.people) {
			was = before.people[i]
		}
		switch {
		case !was.there && !p.there:
		case !was.there:
			counts.Added++
		case !p.there:
			counts.Removed++
		default:
			if !visiblyAlike(&was, &p) {
				counts.Updated++
			}
			if p.enabled && !was.enabled {
				counts.Enabled++
			} else if was.enabled && !p.enabled {
				counts.Disabled++
			}
		}
	}
	return counts
}

// watch is the guard (R21), and holds once what would do again what was undone (R25).
func (s *modelSync) watch() {
	s.lost = losses(s.src.id, s.before, s.after)
	for _, l := range s.file.listed {
		if l.how == isNew {
			continue
		}
		s.matched++
		was, is := s.before.who(l.who).values, s.after.who(l.who).values
		for f := foyer.FirstName; f <= foyer.DisplayName; f++ {
			if was[f] != "" && was[f] != is[f] {
				s.names++
				break
			}
		}
	}
	s.count()
	s.hold = s.tripped()
	for _, undo := range s.watches {
		if s.redoes(undo) {
			s.hold = true
		}
	}
}

// count works out D and N.
func (s *modelSync) count() {
	away := s.awaySince()
	for who := range away {
		if !stillAway(s.after.who(who), away[who]) {
			delete(away, who)
		}
	}
	d := maps.Clone(s.lost)
	n := map[int]bool{}
	for who := range away {
		d[who], n[who] = true, true
	}
	for _, who := range s.before.everybody() {
		p := s.before.who(who)
		if p.enabled && (p.claims[s.src.id].listed || s.src.covers(p)) {
			n[who] = true
		}
	}
	s.d, s.n = d, n
}

func (s *modelSync) tripped() bool {
	g := s.src.guard
	trips := func(l foyer.Limit, n, all int) bool { return n >= l.Count && n*100 > l.Percent*all }
	return !g.Off && (len(s.lost) > 0 && (trips(g.Many, len(s.d), len(s.n)) || trips(g.Few, len(s.d), len(s.n))) ||
		trips(g.Renames, s.renames, s.matched) || trips(g.Names, s.names, s.matched))
}

// losses returns whom a run of a source takes away: disabled, or, enabled, off a site by its absence (R21).
func losses(src foyer.SourceID, before, after *modelBook) map[int]bool {
	lost := map[int]bool{}
	for _, who := range before.everybody() {
		was, p := before.who(who), after.who(who)
		if p.there && was.enabled && (!p.enabled || takenOff(src, was, p) != 0) {
			lost[who] = true
		}
	}
	return lost
}

// takenOff returns off which sites the absence of a source takes somebody, or its listing them at none of the sites that they had.
func takenOff(src foyer.SourceID, was, p *modelPerson) siteSet {
	if !p.there {
		return 0
	}
	if absent := was.claims[src].listed && !p.claims[src].listed || was.handMade() && p.handMade(); !absent && (p.sites == 0 || was.sites&p.sites != 0) {
		return 0
	}
	return was.sites &^ p.sites
}

// modelLoss is how somebody was taken away.
type modelLoss struct {
	off siteSet // 0: disabled
}

func stillAway(p *modelPerson, l modelLoss) bool {
	return p.there && (l.off == 0 && !p.enabled || p.enabled && l.off&^p.sites != 0)
}

// awaySince returns whom the source's applied runs of the last 7 days took away, since the last approval. Who was taken off a site while disabled
// is away once they are enabled.
func (m *modelSync) awaySince() map[int]modelLoss {
	away := map[int]modelLoss{}
	for _, act := range m.acts {
		if act.source != m.src.id || act.status != foyer.Applied || !act.delivered() || m.now.Sub(act.at) > foyer.HoldLife {
			continue
		}
		if act.of != nil { // an approval restarts the count
			clear(away)
			continue
		}
		for _, who := range act.before.everybody() {
			was, p := act.before.who(who), act.after.who(who)
			if off := takenOff(m.src.id, was, p); was.enabled && !p.enabled && p.there {
				away[who] = modelLoss{}
			} else if off != 0 && was.enabled == p.enabled && was.reason == p.reason {
				away[who] = modelLoss{off}
			}
		}
	}
	return away
}
