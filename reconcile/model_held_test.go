package reconcile_test

import (
	"maps"
	"slices"

	"foyer"
)

// settle holds or applies what was planned, as a run of its own. A newer run of the source, applied or held, supersedes one that is held (R22).
func (m *model) settle(s *modelSync, kind foyer.RunKind, again func() *modelSync) *modelAct {
	for _, act := range m.waiting() {
		if act.source == s.src.id {
			act.status = foyer.Superseded
		}
	}
	if !s.hold {
		act := m.act(kind, s.src.id, s.after)
		return act
	}
	m.watches = slices.DeleteFunc(m.watches, func(undo *modelAct) bool { // held once (R25)
		return undo.source == s.src.id && undo.redoneBy(s.before, s.after)
	})
	act := m.act(kind, s.src.id, m.book)
	act.status, act.held, act.again = foyer.Held, s, again
	return act
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
	s = held.again()
	if s.refused != 0 {
		return s, nil
	}
	s.hold = false
	for who := range s.lost {
		s.hold = s.hold || !held.held.lost[who]
	}
	act = m.settle(s, held.kind, held.again)
	if !s.hold {
		held.status = foyer.Approved
		act.of = held
	}
	return s, act
}

// lost returns whom a held run would take away.
func (a *modelAct) lost() []int { return slices.Sorted(maps.Keys(a.held.lost)) }
