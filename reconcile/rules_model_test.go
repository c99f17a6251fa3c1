package reconcile_test

import (
	"testing"

	"foyer"
	"foyer/reconcile"
)

// What the random sequences of TestModel found, each as its shortest steps.

func TestR17_UnchangedRowWhoseIDStandsAtTwoOtherEmailsIsNamed(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,EMPLOYEEID\nann@x.ca,1\nbob@x.ca,2\n")
	run := f.upload(f.hr, "EMAIL,EMPLOYEEID\nann@x.ca,1\nbob@x.ca,2\ncat@x.ca,1\ndan@x.ca,1\n")
	f.counts(run, foyer.Counts{Added: 2, Unchanged: 2, Warnings: 3})
	if id := f.entry("ann@x.ca").KnownAs(f.hr); id != "1" {
		t.Errorf("ann is known as %q, want 1", id)
	}
}

func TestR17_RowWhoseIDMovedToAnotherMeanwhileIsLookedAt(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,EMPLOYEEID,SITE\nann@x.ca,1,\nbob@x.ca,2,\n")
	f.upload(f.hr, "EMAIL,EMPLOYEEID,SITE\nann@x.ca,,Nowhere\nbob@x.ca,1,\n") // ann's row has an error: she stays as she is, but for the id
	f.upload(f.hr, "EMAIL,EMPLOYEEID,SITE\nann@x.ca,1,\nbob@x.ca,,\n")
	if id := f.entry("ann@x.ca").KnownAs(f.hr); id != "1" {
		t.Errorf("ann is known as %q, want 1", id)
	}
}

func TestR21_DisabledWhomAbsenceTakesOffASiteAreNotLost(t *testing.T) {
	f := newFixture(t)
	second := f.source(foyer.Source{Name: "second", Guard: foyer.Guard{Many: foyer.Limit{Count: 2, Percent: 20}, Few: foyer.Limit{Count: 2, Percent: 20}}})
	const leavers = "EMAIL,ENABLED,SITE\nann@x.ca,no,Toronto\nbob@x.ca,no,Toronto\ncat@x.ca,,Toronto\n"
	f.upload(f.hr, leavers)
	f.upload(second, "EMAIL,SITE\nann@x.ca,MTL\nbob@x.ca,MTL\ncat@x.ca,MTL\n")
	if run := f.upload(second, "EMAIL,SITE\ncat@x.ca,MTL\n"); run.Status != foyer.Applied {
		t.Errorf("the run is %s: %s", run.Status, run.Message)
	}
}

func TestR21_DisabledWhoseSiteChangesIsStillAway(t *testing.T) {
	f := newFixture(t)
	guarded := f.source(foyer.Source{Name: "guarded", LeaveHandMade: true, Guard: foyer.Guard{Many: foyer.Limit{Count: 2, Percent: 20}, Few: foyer.Limit{Count: 2, Percent: 20}}})
	f.upload(guarded, "EMAIL,ENABLED,SITE\nann@x.ca,,Toronto\nbob@x.ca,,Toronto\ncat@x.ca,,Toronto\n")
	f.upload(guarded, "EMAIL,ENABLED,SITE\nann@x.ca,no,Toronto\nbob@x.ca,,Toronto\ncat@x.ca,,Toronto\n")
	if run := f.upload(guarded, "EMAIL,ENABLED,SITE\nann@x.ca,no,MTL\nbob@x.ca,no,Toronto\ncat@x.ca,,Toronto\n"); run.Status != foyer.Held {
		t.Errorf("the run is %s, want held: it is the second of the week", run.Status)
	}
}

func TestR17_SameBytesWithAnErrorAreLookedAtAgain(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,NAME,SITE\nann@x.ca,Jane Lee,\nbob@x.ca,Bob Lee,\n")
	const file = "EMAIL,NAME,SITE\nbob@x.ca,Jane Lee,\nj.lee@x.ca,Jane Lee,Nowhere\n"
	f.upload(f.hr, file)
	f.status("ann@x.ca", "enabled") // she is the only Jane Lee
	f.upload(f.hr, file)
	f.status("ann@x.ca", "disabled (absent)") // there are two now
}

func TestR25_UndoByASiteIsAboutWhoWasThereThen(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,SITE,TITLE\nann@x.ca,MTL,Boss\n")
	run := f.upload(f.hr, "EMAIL,SITE,TITLE\nann@x.ca,MTL,Chief\n")
	f.upload(f.hr, "EMAIL,SITE,TITLE\nann@x.ca,Toronto,Chief\n")
	_, err := reconcile.Undo(t.Context(), f.store, f.operator, f.org, reconcile.Undoing{Run: run.ID, UndoScope: reconcile.UndoScope{Site: f.montreal}})
	f.must(err)
	f.value("ann@x.ca", foyer.Title, "Boss")
}

func TestR25_IDThatStaysWithAnotherIsNotPutBack(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,EMPLOYEEID\nann@x.ca,1\n")
	run := f.upload(f.hr, "EMAIL,EMPLOYEEID\nann@x.ca,2\nbob@x.ca,1\n")
	f.edit("bob@x.ca", set(foyer.Title, "Boss"))
	_, err := reconcile.Undo(t.Context(), f.store, f.operator, f.org, reconcile.Undoing{Run: run.ID})
	if foyer.KindOf(err) != foyer.Conflict { // nothing of it can be put back
		t.Errorf("error %v", err)
	}
	for email, want := range map[string]string{"ann@x.ca": "2", "bob@x.ca": "1"} { // bob was changed since: he stays
		if id := f.entry(email).KnownAs(f.hr); id != want {
			t.Errorf("%s is known as %q, want %s", email, id, want)
		}
	}
}
