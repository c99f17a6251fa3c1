package reconcile_test

import (
	"fmt"

	"pgregory.net/rapid"

	"foyer"
	"foyer/reconcile"
)

func (d *driver) undo() {
	var acts []*modelAct
	for _, act := range d.model.acts {
		if act.runs[0] != 0 {
			acts = append(acts, act)
		}
	}
	if len(acts) == 0 {
		return
	}
	act := acts[len(acts)-1]
	if rapid.IntRange(0, 2).Draw(d.T, "the last") == 0 {
		act = rapid.SampledFrom(acts).Draw(d.T, "act")
	}
	scope, real, text := d.drawScope(act)
	d.say("undo %v (%s), %s", act.runs, act.kind, text)
	undo, ok := d.model.undo(act, real != reconcile.UndoScope{}, scope)
	for i, org := range d.orgs {
		try, dryErr := reconcile.Undo(d.t.Context(), org.store, operator, org.id, reconcile.Undoing{Run: act.runs[i], UndoScope: real, DryRun: true})
		run, err := reconcile.Undo(d.t.Context(), org.store, operator, org.id, reconcile.Undoing{Run: act.runs[i], UndoScope: real})
		d.conflict(ok, err)
		d.conflict(ok, dryErr)
		if ok {
			undo.runs[i] = run.ID
			if try.Counts != run.Counts || fmt.Sprint(try.Problems) != fmt.Sprint(run.Problems) {
				d.fail("R24: tried %+v %v\nundone %+v %v", try.Counts, try.Problems, run.Counts, run.Problems)
			}
		}
	}
}

// drawScope draws what of an act is undone.
func (d *driver) drawScope(act *modelAct) (scope func(int) bool, real reconcile.UndoScope, text string) {
	switch rapid.IntRange(0, 5).Draw(d.T, "scope") {
	case 0:
		if len(d.model.book.emails) > 0 {
			email, one := d.somebody("whose")
			name := reconcile.ParseName(email)
			return func(who int) bool { return who == one }, reconcile.UndoScope{Entry: &name}, "of " + email
		}
	case 1:
		site := rapid.SampledFrom([]foyer.SiteID{1, 2}).Draw(d.T, "site")
		there := func(b *modelBook, who int) bool { return who <= len(b.people) && b.who(who).sites&siteOf(site) != 0 }
		now := d.model.book
		return func(who int) bool { return there(act.before, who) || there(act.after, who) || there(now, who) }, reconcile.UndoScope{Site: site}, "at " + site.String()
	}
	return func(int) bool { return true }, reconcile.UndoScope{}, "all of it"
}

func (d *driver) join() {
	if len(d.model.book.emails) == 0 {
		return
	}
	first, one := d.somebody("first")
	second, other := d.somebody("second")
	if one == other {
		return
	}
	d.say("join %s %s", first, second)
	act, ok := d.model.join(one, other)
	for i, org := range d.orgs {
		_, run, err := reconcile.Join(d.t.Context(), org.store, operator, org.id, reconcile.ParseName(first), reconcile.ParseName(second))
		d.conflict(ok, err)
		if ok {
			act.runs[i] = run.ID
		}
	}
	if !ok {
		d.say("  is refused")
	}
}

func (d *driver) erase() {
	if len(d.model.book.emails) == 0 {
		return
	}
	email, who := d.somebody("whom")
	d.say("erase %s", email)
	d.model.erase(who)
	for _, org := range d.orgs {
		_, err := org.store.Erase(d.t.Context(), operator, org.id, foyer.EntryID(who), "")
		d.must(err)
	}
}

func (d *driver) forget() {
	email := rapid.SampledFrom(universe).Draw(d.T, "whom")
	d.say("forget %s", email)
	known := d.model.forget(email)
	for i, org := range d.orgs {
		err := org.store.Forget(d.t.Context(), operator, org.id, email)
		if known {
			d.must(err)
		} else if foyer.KindOf(err) != foyer.NotFound {
			d.fail("organization %d: forgot %s: %v", i, email, err)
		}
	}
}

func (d *driver) end() {
	src := rapid.SampledFrom(d.active).Draw(d.T, "source")
	if d.model.book.ended[src.id] {
		return
	}
	leave := rapid.Bool().Draw(d.T, "leave")
	d.say("S-%d ends, leave %t", src.id, leave)
	s := d.model.endSource(src, leave)
	act := d.model.settle(s, foyer.End, nil)
	for i, org := range d.orgs {
		try, err := reconcile.EndSource(d.t.Context(), org.store, operator, org.id, reconcile.Ending{Source: src.id, Leave: leave, DryRun: true})
		d.must(err)
		run, err := reconcile.EndSource(d.t.Context(), org.store, operator, org.id, reconcile.Ending{Source: src.id, Leave: leave})
		d.must(err)
		act.runs[i] = run.ID
		d.checkSync(i, s, try, run, modelUpload{source: src.id})
	}
}
