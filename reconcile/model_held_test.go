package reconcile_test

import (
	"slices"

	"foyer"
)

// settle holds or applies what was planned, as a run of its own. A newer run of the source, applied or held, supersedes one of its kind that is held (R22).
func (m *model) settle(s *modelSync, kind foyer.RunKind, approved *modelAct) *modelAct {
	for _, act := range m.waiting() {
		if act.source == s.src.id && act.kind == kind {
			act.status = foyer.Superseded
		}
	}
	redone := func(undo *modelAct) bool { return kind == foyer.Sync && s.redoes(undo) }
	if !s.hold { // what it does again is not watched any more (R25)
		m.watches = slices.DeleteFunc(m.watches, redone)
		m.spent = slices.DeleteFunc(m.spent, redone)
		return m.act(kind, s.src.id, s.after)
	}
	var redoes []*modelAct
	if kind == foyer.Sync {
		redoes = m.unasked(s, approved)
	}
	for _, undo := range redoes { // held once (R25)
		m.watches = slices.DeleteFunc(m.watches, func(w *modelAct) bool { return w == undo })
		if !slices.Contains(m.spent, undo) {
			m.spent = append(m.spent, undo)
		}
	}
	act := m.act(kind, s.src.id, m.book)
	act.status, act.held, act.redoes = foyer.Held, s, redoes
	return act
}

// unasked returns the undos that a run would do again though nobody was asked: those for which none was held yet, on approval those for which the approved run
// was not held.
func (m *model) unasked(s *modelSync, approved *modelAct) (undos []*modelAct) {
	watched := m.watches
	if approved != nil {
		watched = slices.Concat(m.watches, m.spent)
	}
	for _, undo := range watched {
		if s.redoes(undo) && (approved == nil || !slices.Contains(approved.redoes, undo)) {
			undos = append(undos, undo)
		}
	}
	return undos
}

// redoes tells whether a sync would do again what an undo of one of its source's put back.
func (s *modelSync) redoes(undo *modelAct) bool {
	back := map[int]bool{}
	for _, act := range s.model.acts {
		if act.of == undo && act.kind == foyer.Undo && act.status == foyer.Applied {
			for x := range act.changes {
				back[act.about(x)] = true
			}
		}
	}
	return undo.source == s.src.id && undo.redoneBy(s, back)
}

// reject ends a held run. The next that would do again what it would have is held again (R25).
func (m *model) reject(held *modelAct) {
	held.status = foyer.Rejected
	for _, undo := range held.redoes {
		if slices.Contains(m.spent, undo) {
			m.spent = slices.DeleteFunc(m.spent, func(w *modelAct) bool { return w == undo })
			m.watches = append(m.watches, undo)
		}
	}
}

// waiting returns the runs that wait for a person to decide; after 7 days they lapse (R22).
func (m *model) waiting() (held []*modelAct) {
	for _, act := range m.acts {
		if act.status == foyer.Held && m.now.Sub(act.at) < foyer.HoldLife {
			held = append(held, act)
		}
	}
	return held
}

// approve plans a held run again on today's book. If someone else than those who were shown would be taken away now, it is held again (R22).
func (m *model) approve(held *modelAct) (s *modelSync, act *modelAct) {
	if s = m.plan(held.held.src, held.held.rows); held.kind == foyer.End {
		s = m.endSource(held.held.src, held.held.spare)
	}
	if s.refused != 0 {
		return s, nil
	}
	s.hold = false
	for who := range s.lost {
		s.hold = s.hold || !held.held.lost[who]
	}
	s.hold = s.hold || held.kind == foyer.Sync && len(m.unasked(s, held)) > 0
	act = m.settle(s, held.kind, held)
	if !s.hold {
		held.status = foyer.Approved
		act.of = held
	}
	return s, act
}
