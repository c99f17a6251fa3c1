package reconcile_test

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"foyer"
)

// modelAct is one act on the book, or a run that is held: with the book before and after, and which aspect of whom it changed.
type modelAct struct {
	number  int // its place among the acts
	runs    [2]foyer.RunID
	kind    foyer.RunKind
	source  foyer.SourceID // of a sync and the end of a source; of an undo that of the run undone
	status  foyer.RunStatus
	at      time.Time
	of      *modelAct // the run that it undoes, or approves
	whole   bool      // it undoes all of it
	joined  [2]int    // whom it joins, or parts
	before  *modelBook
	after   *modelBook
	changes map[aspect]modelChange
	was     modelProv // before
	prov    modelProv // after
	upload  modelUpload
	held    *modelSync  // what it would do, if it is held
	redoes  []*modelAct // the undos for which it is held
}

// delivered tells whether the act is a source's own: a sync, or its end.
func (a *modelAct) delivered() bool { return a.kind == foyer.Sync || a.kind == foyer.End }

// aspect is the smallest part of a book that an undo puts back: one field with its owner, the status, the sites given by hand, a mark, a
// keep, a claim, an id, whom an email means, whether somebody is there.
type aspect struct {
	who  int
	kind string
	n    int
	key  string // of an email; who is 0
}

// modelChange is an aspect before and after.
type modelChange struct{ before, after any }

// modelProv says of each aspect which acts made it what it is: those that were undone are not among them.
type modelProv map[aspect]string

// aspects takes a book to pieces.
func (b *modelBook) aspects() map[aspect]any {
	all := map[aspect]any{}
	set := func(a aspect, value, zero any) {
		if value != zero {
			all[a] = value
		}
	}
	for key, e := range b.emails {
		set(aspect{kind: "email", key: key}, e, modelEmail{})
	}
	for id, ended := range b.ended {
		set(aspect{kind: "ended", n: id}, ended, false)
	}
	for i := range b.people {
		for a, value := range b.people[i].aspects(i + 1) {
			all[a] = value
		}
	}
	return all
}

type modelValue struct {
	value string
	owner foyer.SourceID
	guess bool
}

// modelForgotten is an email before that was somebody's who is erased: it is in the log no more (R28).
type modelForgotten struct{}

type modelStatus struct {
	enabled bool
	reason  foyer.Reason
}

func (p *modelPerson) aspects(who int) map[aspect]any {
	all := map[aspect]any{}
	if !p.there {
		return all
	}
	set := func(kind string, n int, value, zero any) {
		if value != zero {
			all[aspect{who: who, kind: kind, n: n}] = value
		}
	}
	set("there", 0, true, false)
	set("status", 0, modelStatus{p.enabled, p.reason}, modelStatus{})
	set("hand", 0, p.hand, siteSet(0))
	set("permanent", 0, p.permanent, false)
	set("pinned", 0, p.pinned, false)
	set("notes", 0, p.notes, "")
	for f := range p.values {
		set("field", f, modelValue{p.values[f], p.owners[f], p.guesses[f]}, modelValue{})
		set("keep", f, p.keeps[f], modelKeep{})
	}
	for id := range p.claims {
		set("claim", id, p.claims[id], modelClaim{})
		set("id", id, p.ids[id], "")
	}
	return all
}

// put gives an aspect a value; nil is none.
func (b *modelBook) put(a aspect, value any) {
	switch a.kind {
	case "email":
		e, _ := value.(modelEmail)
		b.mean(a.key, e)
		return
	case "ended":
		b.ended[a.n], _ = value.(bool)
		return
	}
	p := b.who(a.who)
	switch a.kind {
	case "there":
		if p.there, _ = value.(bool); !p.there {
			*p = modelPerson{}
		}
	case "status":
		s, _ := value.(modelStatus)
		p.enabled, p.reason = s.enabled, s.reason
	case "hand":
		p.hand, _ = value.(siteSet)
	case "permanent":
		p.permanent, _ = value.(bool)
	case "pinned":
		p.pinned, _ = value.(bool)
	case "notes":
		p.notes, _ = value.(string)
	case "field":
		v, _ := value.(modelValue)
		p.values[a.n], p.owners[a.n], p.guesses[a.n] = v.value, v.owner, v.guess
	case "keep":
		p.keeps[a.n], _ = value.(modelKeep)
	case "claim":
		p.claims[a.n], _ = value.(modelClaim)
	case "id":
		p.ids[a.n], _ = value.(string)
	default:
		panic(a.kind)
	}
}

// act makes a book the model's, and notes what that changed. Where nothing differs it is no act.
func (m *model) act(kind foyer.RunKind, source foyer.SourceID, after *modelBook) *modelAct {
	a := &modelAct{number: len(m.acts) + 1, kind: kind, source: source, status: foyer.Applied, at: m.now, before: m.book, after: after,
		changes: map[aspect]modelChange{}, was: m.prov, prov: maps.Clone(m.prov)}
	was, is := a.before.aspects(), after.aspects()
	for x, value := range is {
		if was[x] != value {
			a.changes[x] = modelChange{was[x], value}
		}
	}
	for x, value := range was {
		if is[x] == nil {
			a.changes[x] = modelChange{value, nil}
		}
	}
	for x := range a.changes {
		a.prov[x] += fmt.Sprint(">", a.number)
	}
	m.acts = append(m.acts, a)
	m.book, m.prov = after, a.prov
	return a
}

// about tells whom a change of an aspect is about: of an email who is removed and had it, or whose current one it was and another's alias is, else whom it
// means after, else whom it meant.
func (a *modelAct) about(x aspect) int {
	if x.kind != "email" {
		return x.who
	}
	was, _ := a.changes[x].before.(modelEmail)
	is, _ := a.changes[x].after.(modelEmail)
	if is.who == 0 || was.who != 0 && (!a.after.who(was.who).there || !was.alias && is.alias) {
		return was.who
	}
	return is.who
}

// unit names what is put back together or not at all: a person's email and whom emails mean.
func unit(a aspect) string {
	if a.kind == "email" || a.kind == "field" && a.n == int(foyer.Email) {
		return "email"
	}
	return fmt.Sprint(a)
}

// undo puts back what an act changed of those in scope and nothing has touched since (R25). ok is false where there is nothing of it to
// undo, and where of two who were joined one was touched: undoing a join parts them whole, or not at all (R3).
func (m *model) undo(act *modelAct, scoped bool, scope func(who int) bool) (undo *modelAct, ok bool) {
	if act.status != foyer.Applied || !act.changed() || act.joined[0] != 0 && m.touchedJoin(act) {
		return nil, false
	}
	if a, b := act.joined[0], act.joined[1]; a != 0 && (scope(a) || scope(b)) {
		scope = func(int) bool { return true }
	}
	after, was, all := m.book.copy(), m.prov, !scoped
	back := map[aspect]bool{}
	for who := 0; who <= len(after.people); who++ {
		if who == 0 || scope(who) {
			maps.Copy(back, m.restorable(act, who))
		}
	}
	m.keepIDs(act, back)
	for x := range act.changes { // put back by this undo, or by one of a part before; nobody brings the erased back (R28)
		there := aspect{who: act.about(x), kind: "there"}
		gone := act.added(there.who) && m.prov[there] == act.was[there]
		all = all && (back[x] || m.prov[x] == act.was[x] || gone || m.erased[there.who] || m.over(x, act.changes[x]))
	}
	for x := range back {
		if x.kind == "ended" && !all { // the source goes on for all, or not
			delete(back, x)
		}
	}
	for x := range back {
		if x.kind != "email" {
			after.put(x, act.changes[x].before)
		}
	}
	for x, c := range act.changes {
		if x.kind == "email" && back[x] {
			e, _ := c.before.(modelEmail)
			if e.who != 0 && !after.who(e.who).there {
				e = modelEmail{} // nobody is brought back that way, least of all the erased (R28)
			}
			after.put(x, e)
		}
	}
	for who := 1; who <= len(after.people); who++ {
		if p := after.who(who); p.there && scope(who) && act.concerns(who) && !act.added(who) {
			if !m.book.who(who).there && !back[aspect{who: who, kind: "status"}] {
				p.enabled = true
			}
			if m.redecides(act, who, back, was) {
				m.decide(p)
			}
			p.place()
			if !p.enabled && p.handMade() && p.sites == act.after.who(who).sites && who <= len(act.before.people) {
				p.sites = act.before.who(who).sites // its last
			}
		}
	}
	if slices.Equal(after.people, m.book.people) && maps.Equal(after.emails, m.book.emails) && after.ended == m.book.ended {
		return nil, false // nothing is put back
	}
	undo = m.act(foyer.Undo, act.source, after)
	for x := range back {
		undo.prov[x] = act.was[x]
	}
	undo.of, undo.whole = act, all
	undo.joined = act.joined
	m.mark(act, all)
	m.rewatch(act, undo, all)
	return undo, true
}

// over tells whether a change is of a keep that has come to its end since: there is nothing to put back.
func (m *model) over(x aspect, c modelChange) bool {
	keep, _ := c.after.(modelKeep)
	return x.kind == "keep" && keep.on && !keep.until.IsZero() && !m.now.Before(keep.until)
}

// redecides tells whether the claims decide the status of somebody of whom a claim or the status is put back: where they were claimed otherwise
// before the act than they are now (R13).
func (m *model) redecides(act *modelAct, who int, back map[aspect]bool, prov modelProv) bool {
	some, otherwise := back[aspect{who: who, kind: "status"}], false
	for id := range modelSources {
		x := aspect{who: who, kind: "claim", n: id}
		some = some || back[x]
		otherwise = otherwise || prov[x] != act.prov[x] || act.changes[x] != (modelChange{}) && !back[x]
	}
	return some && otherwise
}

func (a *modelAct) added(who int) bool {
	return a.changes[aspect{who: who, kind: "there"}].after == true
}

// touchedJoin tells whether one of the two of a join was touched since.
func (m *model) touchedJoin(act *modelAct) bool {
	for x, by := range m.prov {
		e := m.book.emails[x.key]
		c := act.changes[x]
		about := x.who
		if x.kind == "email" {
			if about = e.who; c != (modelChange{}) {
				about = act.about(x)
			}
		}
		if (about == act.joined[0] || about == act.joined[1]) && !m.erased[about] && by != act.prov[x] {
			return true
		}
	}
	return false
}

// keepIDs leaves an id with whom it is another's by now, unless the undo takes it from them; and so whoever waits for the one that they would give away.
func (m *model) keepIDs(act *modelAct, back map[aspect]bool) {
	for left := true; left; {
		left = false
		for x := range back {
			id, _ := act.changes[x].before.(string)
			if x.kind != "id" || id == "" {
				continue
			}
			if now := m.book.known(foyer.SourceID(x.n), id); now != 0 && now != x.who && !back[aspect{who: now, kind: "id", n: x.n}] {
				delete(back, x)
				left = true
			}
		}
	}
}

// mark notes that all of an act is undone, and what that makes of the acts that it undid itself.
func (m *model) mark(act *modelAct, all bool) {
	if !all {
		return
	}
	act.status = foyer.Undone
	for undone := false; act.kind == foyer.Undo && act.whole; undone = !undone {
		act = act.of
		act.status = map[bool]foyer.RunStatus{true: foyer.Undone, false: foyer.Applied}[undone]
	}
}

// rewatch says which undos the next run of a source must not make undone: each that undoes a sync, itself or by undoing that an undo of it
// was undone (R25). What is done again in part is watched as before.
func (m *model) rewatch(act, undo *modelAct, all bool) {
	for _, list := range []*[]*modelAct{&m.watches, &m.spent} {
		*list = slices.DeleteFunc(*list, func(w *modelAct) bool { return all && w == act })
	}
	if root, undone := act.root(); root.kind == foyer.Sync && undone {
		m.watches = append(m.watches, undo)
	}
}

// root returns the act at the end of a chain of undos, and whether to undo this one undoes it or does it again.
func (a *modelAct) root() (root *modelAct, undone bool) {
	undone = true
	for ; a.kind == foyer.Undo; a = a.of {
		undone = !undone
	}
	return a, undone
}

// changed tells whether an act changed anything.
func (a *modelAct) changed() bool {
	for who := 1; who <= len(a.after.people); who++ {
		if a.concerns(who) {
			return true
		}
	}
	return len(a.changes) > 0
}

// concerns tells whether an act changed somebody: also by the last sites of who is disabled alone, which follow from nothing that is there now.
func (a *modelAct) concerns(who int) bool {
	if who <= len(a.before.people) && a.before.who(who).there && a.after.who(who).there && a.before.who(who).sites != a.after.who(who).sites {
		return true
	}
	for x := range a.changes {
		if a.about(x) == who {
			return true
		}
	}
	return false
}

// restorable returns which of the changes to one person an undo of the act puts back. Who was added goes only if nothing of them was touched,
// and who was removed comes back only if their emails are free still.
func (m *model) restorable(act *modelAct, who int) map[aspect]bool {
	back, touched := map[aspect]bool{}, map[string]bool{}
	for x := range act.changes {
		if act.about(x) == who && !m.erased[who] {
			back[x] = true
			if m.prov[x] != act.prov[x] || act.changes[x].before == (modelForgotten{}) {
				touched[unit(x)] = true
			}
		}
	}
	there := act.changes[aspect{who: who, kind: "there"}]
	if act.added(who) {
		for x, by := range m.prov {
			if (x.who == who || x.kind == "email" && m.book.emails[x.key].who == who) && by != act.prov[x] {
				return nil
			}
		}
	}
	gone := who > 0 && !m.book.who(who).there && there.before != true
	if gone || there != (modelChange{}) && len(touched) > 0 {
		return nil
	}
	for x := range back {
		root, undone := act.root()
		ended := x.kind == "claim" && act.changes[x].before != nil && m.book.ended[x.n] && !(root.kind == foyer.End && undone)
		if touched[unit(x)] || ended || m.over(x, act.changes[x]) {
			delete(back, x)
		}
		if ended && !touched[unit(x)] { // the status would be that of somebody who is listed
			delete(back, aspect{who: who, kind: "status"})
		}
	}
	return back
}

// redoneBy tells whether a run would do again something that the undo put back, and that a person sees: a value, who can be asked for, and
// where, or who is in the book (R25). back are those whom an undo of the undo put back.
func (a *modelAct) redoneBy(s *modelSync, back map[int]bool) bool {
	for who := 1; who <= len(s.after.people); who++ {
		if who > len(s.before.people) {
			if a.removed(s.model, s.after.current(who), back) {
				return true
			}
			continue
		}
		was, is := s.before.who(who), s.after.who(who)
		if was.there && is.there && !back[who] && who <= len(a.before.people) && redoes(was, is, a.before.who(who), a.after.who(who)) {
			return true
		}
	}
	return false
}

// removed tells whether the act removed somebody of that email, who was not put back or erased since.
func (a *modelAct) removed(m *model, email string, back map[int]bool) bool {
	for _, who := range a.before.everybody() {
		if !a.after.who(who).there && !back[who] && !m.erased[who] && a.before.current(who) == email {
			return true
		}
	}
	return false
}

func redoes(was, is, undone, back *modelPerson) bool {
	if !undone.there || !back.there {
		return false
	}
	for f := range is.values {
		if was.values[f] != is.values[f] && undone.values[f] != back.values[f] && is.values[f] == undone.values[f] {
			return true
		}
	}
	return was.enabled != is.enabled && undone.enabled != back.enabled && is.enabled == undone.enabled ||
		was.sites != is.sites && undone.sites != back.sites && is.sites == undone.sites
}
