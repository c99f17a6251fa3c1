package reconcile_test

import (
	"testing"

	"foyer"
	"foyer/reconcile"
)

// These tests are about undos of a part, undos of undos, and undos of acts on two entries or on a source.

func (f *fixture) undoPart(id foyer.RunID, scope reconcile.UndoScope) *foyer.Run {
	f.t.Helper()
	run, err := reconcile.Undo(f.t.Context(), f.store, f.operator, f.org, reconcile.Undoing{Run: id, UndoScope: scope})
	f.must(err)
	return run
}

func only(name string) reconcile.UndoScope {
	entry := reconcile.ParseName(name)
	return reconcile.UndoScope{Entry: &entry}
}

func (f *fixture) join(stays, goes string) *foyer.Run {
	f.t.Helper()
	_, run, err := reconcile.Join(f.t.Context(), f.store, f.operator, f.org, reconcile.ParseName(stays), reconcile.ParseName(goes))
	f.must(err)
	return run
}

func (f *fixture) end(source foyer.SourceID) *foyer.Run {
	f.t.Helper()
	run, err := reconcile.EndSource(f.t.Context(), f.store, f.operator, f.org, reconcile.Ending{Source: source})
	f.must(err)
	return run
}

func (f *fixture) ended(source foyer.SourceID, want bool) {
	f.t.Helper()
	sources, err := f.store.Sources(f.t.Context(), f.operator, f.org)
	f.must(err)
	for _, s := range sources {
		if s.ID == source && s.EndedAt.IsZero() == want {
			f.t.Errorf("%s ended at %v, want ended %v", s.Name, s.EndedAt, want)
		}
	}
}

func (f *fixture) redone(file string) {
	f.t.Helper()
	run, err := f.deliver(reconcile.Delivery{Source: f.hr}, file)
	f.must(err)
	if run.Status != foyer.Held {
		f.t.Errorf("doing again what was undone is %s, want held: %+v", run.Status, run.Counts)
	}
}

func TestR25_PartThenAllPutsBackTheRest(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, original)
	before := f.book()
	run := f.upload(f.hr, changed)
	f.undoPart(run.ID, only("ann@x.ca"))
	rest := f.undo(run.ID)
	f.restored(before)
	f.runStatus(run.ID, foyer.Undone)
	if rest.Warnings > 0 {
		t.Errorf("what an earlier undo put back was listed as left: %v", rest.Problems)
	}
}

func TestR25_EveryOtherUndoOfAnUndoIsWatched(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, original)
	run := f.upload(f.hr, changed)
	undo := f.undo(run.ID)
	again := f.undo(undo.ID)
	f.runStatus(run.ID, foyer.Applied)
	f.undo(again.ID)
	f.runStatus(run.ID, foyer.Undone)
	f.runStatus(undo.ID, foyer.Applied)
	f.redone(changed)
}

func TestR25_PartOfAnUndoUndoneLeavesTheRestWatched(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, original)
	run := f.upload(f.hr, changed)
	undo := f.undo(run.ID)
	f.undoPart(undo.ID, only("ann@x.ca"))
	f.redone(changed)
}

// TestR25_JoinIsUndoneWhole holds that both of a join are parted, whichever of the two, or whichever site of the two, was asked for.
func TestR25_JoinIsUndoneWhole(t *testing.T) {
	for i, name := range []string{"ann@x.ca", "at Toronto"} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			low := f.source(foyer.Source{Name: "low"})
			f.upload(f.hr, "EMAIL,FIRSTNAME,SITE\nann@x.ca,Ann,Toronto\nzed@x.ca,Zed,MTL\n")
			f.upload(low, "EMAIL,TITLE,SITE\nann2@x.ca,Boss,MTL\nyam@x.ca,B,MTL\n")
			before := f.book()
			run := f.join("ann@x.ca", "ann2@x.ca")
			f.undoPart(run.ID, []reconcile.UndoScope{only(name), {Site: f.toronto}}[i])
			f.restored(before)
		})
	}
}

func TestR25_PartOfAnEndUndoneLeavesTheSourceEnded(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, original)
	end := f.end(f.hr)
	f.undoPart(end.ID, only("ann@x.ca"))
	f.ended(f.hr, true)
	f.status("bob@x.ca", "disabled (absent)")
	f.runStatus(end.ID, foyer.Applied)
}

func TestR25_EndUndoneAndDoneAgain(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, original)
	before := f.book()
	end := f.end(f.hr)
	after := f.book()
	undo := f.undo(end.ID)
	f.ended(f.hr, false)
	f.restored(before)
	f.undo(undo.ID)
	f.ended(f.hr, true)
	f.restored(after)
}

func TestR25_EndOfASourceThatListsNobodyIsUndone(t *testing.T) {
	f := newFixture(t)
	end := f.end(f.hr)
	f.ended(f.hr, true)
	f.undo(end.ID)
	f.ended(f.hr, false)
	f.runStatus(end.ID, foyer.Undone)
	f.upload(f.hr, original)
}

func TestR25_UndoOfATitleTouchesNoStatus(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,TITLE,ENABLED\nann@x.ca,Boss,no\nbob@x.ca,Boss,yes\n")
	title := f.edit("ann@x.ca", set(foyer.Title, "Queen"))
	f.edit("ann@x.ca", reconcile.Edit{Enabled: new(true)})
	f.undo(title)
	f.value("ann@x.ca", foyer.Title, "Boss")
	f.status("ann@x.ca", "enabled")
}

// TestR25_UndoOfAWithdrawalByAnEndedSourceEnablesNobody holds that nobody is enabled for whom no source, and nobody by hand, stands any more.
func TestR25_UndoOfAWithdrawalByAnEndedSourceEnablesNobody(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, original)
	run := f.upload(f.hr, original[:len(original)-len("cy@x.ca,Cy,Clerk,Toronto,3\n")])
	f.status("cy@x.ca", "disabled (absent)")
	f.end(f.hr)
	_, err := reconcile.Undo(t.Context(), f.store, f.operator, f.org, reconcile.Undoing{Run: run.ID})
	if foyer.KindOf(err) != foyer.Conflict {
		t.Errorf("undone: %v", err)
	}
	f.status("cy@x.ca", "disabled (absent)")
}

func TestR25_RenamesOfOneIdThereAndBackAreUndone(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,EMPLOYEEID\na@x.ca,1\nz@x.ca,2\n")
	first := f.book()
	there := f.upload(f.hr, "EMAIL,EMPLOYEEID\nb@x.ca,1\nz@x.ca,2\n")
	second := f.book()
	back := f.upload(f.hr, "EMAIL,EMPLOYEEID\na@x.ca,1\nz@x.ca,2\n")
	f.undo(back.ID)
	f.restored(second)
	f.undo(there.ID)
	f.restored(first)
}

// TestR25_R21_UndoneUndoCountsAgain holds that the week's losses are counted through undos of undos.
func TestR25_R21_UndoneUndoCountsAgain(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, staff(0, 40, "Toronto"))
	run := f.upload(f.hr, staff(9, 40, "Toronto")) // 9 of 40 are few enough
	undo := f.undo(run.ID)
	f.undo(undo.ID)
	if run, err := f.deliver(reconcile.Delivery{Source: f.hr}, staff(11, 40, "Toronto")); err != nil || run.Status != foyer.Held {
		t.Errorf("9 and 2 more of 40 within a week: %v, %v", run.Status, err)
	}
}
