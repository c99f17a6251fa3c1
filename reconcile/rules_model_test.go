package reconcile_test

import (
	"testing"
	"time"

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

func TestR2_WhoseIDMovesToAnotherStaysEnabledByHand(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,EMPLOYEEID,ENABLED,SITE\nann@x.ca,1,no,\nbob@x.ca,2,,\n")
	yes := true
	f.edit("ann@x.ca", reconcile.Edit{Enabled: &yes})
	f.upload(f.hr, "EMAIL,EMPLOYEEID,ENABLED,SITE\nann@x.ca,,no,Nowhere\nbob@x.ca,1,,\n") // nothing of ann's row is applied
	f.status("ann@x.ca", "enabled")
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

func TestR2_IDMovesAwayFromAPermanentHandMadeEntry(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,EMPLOYEEID\nann@x.ca,1\nbob@x.ca,2\n")
	f.edit("ann@x.ca", reconcile.Edit{Permanent: new(true)})
	f.upload(f.hr, "EMAIL,EMPLOYEEID\nbob@x.ca,2\n")
	f.upload(f.hr, "EMAIL,EMPLOYEEID\nbob@x.ca,1\n")
	for email, want := range map[string]string{"ann@x.ca": "", "bob@x.ca": "1"} {
		if id := f.entry(email).KnownAs(f.hr); id != want {
			t.Errorf("%s is known as %q, want %q", email, id, want)
		}
	}
}

func TestR3_ValueTypedInTheFirstStaysWhereTheSecondsIsTyped(t *testing.T) {
	f := newFixture(t)
	f.add(reconcile.Edit{Values: map[foyer.Field]string{foyer.Email: "ann@x.ca", foyer.Title: "Boss"}})
	f.add(reconcile.Edit{Values: map[foyer.Field]string{foyer.Email: "a.lee@x.ca", foyer.Title: "Clerk", foyer.Division: "Sales"}})
	_, _, err := reconcile.Join(t.Context(), f.store, f.operator, f.org, reconcile.ParseName("ann@x.ca"), reconcile.ParseName("a.lee@x.ca"))
	f.must(err)
	f.value("ann@x.ca", foyer.Title, "Boss")
	f.value("ann@x.ca", foyer.Division, "Sales")
}

func TestR25_UndoneUndoOfAnEndEndsTheSourceAgain(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL\nann@x.ca\n")
	end, err := reconcile.EndSource(t.Context(), f.store, f.operator, f.org, reconcile.Ending{Source: f.hr, Leave: true})
	f.must(err)
	undo, err := reconcile.Undo(t.Context(), f.store, f.operator, f.org, reconcile.Undoing{Run: end.ID})
	f.must(err)
	_, err = reconcile.Undo(t.Context(), f.store, f.operator, f.org, reconcile.Undoing{Run: undo.ID})
	f.must(err)
	if _, err := f.deliver(reconcile.Delivery{Source: f.hr}, "EMAIL\nann@x.ca\n"); foyer.KindOf(err) != foyer.Forbidden {
		t.Errorf("error %v, want that the source has ended", err)
	}
}

func TestR28_RowThatIsPassedOverTakesNobodysID(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,EMPLOYEEID\nann@x.ca,1\nbob@x.ca,2\n")
	_, err := f.store.Erase(t.Context(), f.operator, f.org, f.entry("bob@x.ca").ID, "")
	f.must(err)
	f.counts(f.upload(f.hr, "EMAIL,EMPLOYEEID\nann@x.ca,\nbob@x.ca,1\n"), foyer.Counts{Unchanged: 1, Warnings: 1})
	if id := f.entry("ann@x.ca").KnownAs(f.hr); id != "1" {
		t.Errorf("ann is known as %q, want 1", id)
	}
}

func TestR28_NobodyIsRenamedToTheEmailOfTheErased(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,EMPLOYEEID\nann@x.ca,1\nbob@x.ca,2\ncat@x.ca,3\n")
	_, err := f.store.Erase(t.Context(), f.operator, f.org, f.entry("bob@x.ca").ID, "")
	f.must(err)
	f.upload(f.hr, "EMAIL,EMPLOYEEID\nbob@x.ca,1\ncat@x.ca,3\n")
	f.emails("ann@x.ca", "cat@x.ca")
}

func TestR25_EndOfASourceThatListsNobodyCanBeUndone(t *testing.T) {
	f := newFixture(t)
	end, err := reconcile.EndSource(t.Context(), f.store, f.operator, f.org, reconcile.Ending{Source: f.hr})
	f.must(err)
	_, err = reconcile.Undo(t.Context(), f.store, f.operator, f.org, reconcile.Undoing{Run: end.ID})
	f.must(err)
	f.upload(f.hr, "EMAIL\nann@x.ca\n")
}

func TestR28_ErasureTakesNobodyElseWhoOnceHadTheEmail(t *testing.T) {
	f := newFixture(t)
	f.add(set(foyer.Email, "ann@x.ca"))
	f.edit("ann@x.ca", set(foyer.Email, "ann.lee@x.ca"))
	second := f.add(set(foyer.Email, "ann@x.ca")) // another Ann, to whom the alias moves
	_, err := f.store.Erase(t.Context(), f.operator, f.org, second.ID, "")
	f.must(err)
	f.emails("ann.lee@x.ca")
}

func TestR28_ErasureTakesOneOfTwoWhoWereParted(t *testing.T) {
	f := newFixture(t)
	f.add(set(foyer.Email, "ann@x.ca"))
	f.add(set(foyer.Email, "bob@x.ca"))
	_, join, err := reconcile.Join(t.Context(), f.store, f.operator, f.org, reconcile.ParseName("ann@x.ca"), reconcile.ParseName("bob@x.ca"))
	f.must(err)
	_, err = reconcile.Undo(t.Context(), f.store, f.operator, f.org, reconcile.Undoing{Run: join.ID})
	f.must(err)
	_, err = f.store.Erase(t.Context(), f.operator, f.org, f.entry("ann@x.ca").ID, "")
	f.must(err)
	f.emails("bob@x.ca")
}

func TestR3_UndoOfAJoinForOneOfTheTwoPartsBoth(t *testing.T) {
	f := newFixture(t)
	f.add(set(foyer.Email, "ann@x.ca"))
	f.add(set(foyer.Email, "bob@x.ca"))
	ann := reconcile.ParseName("ann@x.ca")
	_, join, err := reconcile.Join(t.Context(), f.store, f.operator, f.org, ann, reconcile.ParseName("bob@x.ca"))
	f.must(err)
	_, err = reconcile.Undo(t.Context(), f.store, f.operator, f.org, reconcile.Undoing{Run: join.ID, UndoScope: reconcile.UndoScope{Entry: &ann}})
	f.must(err)
	f.emails("ann@x.ca", "bob@x.ca")
}

func TestR3_PartedAreNotJoinedAgainByHalf(t *testing.T) {
	f := newFixture(t)
	f.add(reconcile.Edit{Values: map[foyer.Field]string{foyer.Email: "ann@x.ca"}, Permanent: new(true)})
	f.upload(f.hr, "EMAIL,TITLE\nbob@x.ca,Clerk\n")
	_, join, err := reconcile.Join(t.Context(), f.store, f.operator, f.org, reconcile.ParseName("ann@x.ca"), reconcile.ParseName("bob@x.ca"))
	f.must(err)
	undo, err := reconcile.Undo(t.Context(), f.store, f.operator, f.org, reconcile.Undoing{Run: join.ID})
	f.must(err)
	f.edit("bob@x.ca", set(foyer.Mobile, "416-555-0100"))
	if _, err := reconcile.Undo(t.Context(), f.store, f.operator, f.org, reconcile.Undoing{Run: undo.ID}); foyer.KindOf(err) != foyer.Conflict {
		t.Errorf("error %v, want a conflict", err)
	}
	if f.entry("ann@x.ca").Claimed(f.hr) || !f.entry("bob@x.ca").Claimed(f.hr) {
		t.Error("hr lists bob, and not ann")
	}
}

func TestR17_RowOfSomeoneWhomAnotherSourceRenamedIsLookedAt(t *testing.T) {
	f := newFixture(t)
	second := f.source(foyer.Source{Name: "second"})
	f.upload(f.hr, "EMAIL,EMPLOYEEID\nann@x.ca,1\n")
	f.upload(second, "EMAIL\nann@x.ca\n")
	f.upload(f.hr, "EMAIL,EMPLOYEEID\na.lee@x.ca,1\n")
	// Both emails are in the file: the alias is another person's (R2).
	f.upload(second, "EMAIL\nann@x.ca\na.lee@x.ca\n")
	f.emails("a.lee@x.ca", "ann@x.ca")
}

func TestR25_UndoOfAFieldLeavesWhoAPersonEnabledAgainstTheSource(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,ENABLED\nann@x.ca,no\n")
	f.edit("ann@x.ca", reconcile.Edit{Enabled: new(true)})
	act := f.edit("ann@x.ca", set(foyer.Mobile, "416-555-0100"))
	_, err := reconcile.Undo(t.Context(), f.store, f.operator, f.org, reconcile.Undoing{Run: act})
	f.must(err)
	f.status("ann@x.ca", "enabled")
}

func TestR25_UndoneEndOfASourceThatEndedAnewIsNothingToUndo(t *testing.T) {
	f := newFixture(t)
	ending := reconcile.Ending{Source: f.hr, Leave: true}
	end, err := reconcile.EndSource(t.Context(), f.store, f.operator, f.org, ending)
	f.must(err)
	undo, err := reconcile.Undo(t.Context(), f.store, f.operator, f.org, reconcile.Undoing{Run: end.ID})
	f.must(err)
	_, err = reconcile.EndSource(t.Context(), f.store, f.operator, f.org, ending)
	f.must(err)
	if _, err := reconcile.Undo(t.Context(), f.store, f.operator, f.org, reconcile.Undoing{Run: undo.ID}); foyer.KindOf(err) != foyer.Conflict {
		t.Errorf("error %v, want a conflict", err)
	}
}

func TestR25_KeepThatCameToItsEndIsNothingToPutBack(t *testing.T) {
	f := newFixture(t)
	const file = "EMAIL,DIVISION\nann@x.ca,Sales\n"
	f.upload(f.hr, file)
	edit := set(foyer.Title, "Chief")
	edit.Keep, edit.KeepUntil = []foyer.Field{foyer.Division}, f.clock.Now().Add(24*time.Hour)
	act := f.edit("ann@x.ca", edit)
	f.clock.Move(48 * time.Hour)
	f.upload(f.hr, file)
	undo, err := reconcile.Undo(t.Context(), f.store, f.operator, f.org, reconcile.Undoing{Run: act})
	f.must(err)
	if len(undo.Problems) > 0 {
		t.Errorf("problems %v", undo.Problems)
	}
}

func TestR28_UndoGivesNobodyTheEmailOfTheErased(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,EMPLOYEEID\ncat@x.ca,2\n")
	renamed := f.upload(f.hr, "EMAIL,EMPLOYEEID,TITLE\nbob@x.ca,2,Boss\n")
	f.upload(f.hr, "EMAIL,EMPLOYEEID\nbob@x.ca,2\ncat@x.ca,9\n") // another cat
	f.erase("cat@x.ca")
	undo := f.undo(renamed.ID)
	f.value("bob@x.ca", foyer.Title, "")
	if undo.Warnings != 1 {
		t.Errorf("it lists %v", undo.Problems)
	}
}

func TestR25_UndoOfAPartOfAnUndoLeavesTheSource(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL\nann@x.ca\nbob@x.ca\n")
	undo := f.undo(f.end(f.hr).ID)
	part := f.undoPart(undo.ID, only("ann@x.ca"))
	f.undo(f.undo(part.ID).ID)
	f.ended(f.hr, false)
}

func TestR25_IDStaysWithWhomTheirOwnDoesNotComeBackTo(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,EMPLOYEEID,SITE\ndan@x.ca,1,Toronto\nann@x.ca,2,MTL\n")
	run := f.upload(f.hr, "EMAIL,EMPLOYEEID,SITE\nbob@x.ca,2,MTL\nann@x.ca,1,MTL\n")
	undo := f.undo(run.ID)
	f.undoPart(undo.ID, reconcile.UndoScope{Site: f.montreal}) // dan keeps the 1, so ann the 2
	for email, want := range map[string]string{"dan@x.ca": "1", "ann@x.ca": "2", "bob@x.ca": ""} {
		if id := f.entry(email).KnownAs(f.hr); id != want {
			t.Errorf("%s is known as %q, want %q", email, id, want)
		}
	}
}

func TestR25_WhoIsGoneAndWasPutBackBeforeIsNotListed(t *testing.T) {
	f := newFixture(t)
	second := f.source(foyer.Source{Name: "second"})
	first := f.upload(f.hr, "EMAIL\nann@x.ca\nbob@x.ca\n")
	run := f.upload(second, "EMAIL,TITLE\nann@x.ca,Boss\nbob@x.ca,Boss\n")
	f.undoPart(run.ID, only("ann@x.ca"))
	f.undo(first.ID)
	f.emails("bob@x.ca")
	if undo := f.undo(run.ID); undo.Warnings > 0 {
		t.Errorf("it lists %v", undo.Problems)
	}
	f.runStatus(run.ID, foyer.Undone)
}

// TestR17_SameBytesAreLookedAtAgainWhereAnIDWasLearned holds that a row which means somebody by an earlier email, and brings their id, means them by the id the next time,
// also where the file is the same.
func TestR17_SameBytesAreLookedAtAgainWhereAnIDWasLearned(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,EMPLOYEEID\nann@x.ca,\nbob@x.ca,\n")
	f.edit("ann@x.ca", set(foyer.Email, "ann.lee@x.ca"))
	const file = "EMAIL,EMPLOYEEID\nann@x.ca,1\nbob@x.ca,\n"
	f.upload(f.hr, file)
	f.emails("ann.lee@x.ca", "bob@x.ca")
	f.upload(f.hr, file)
	f.emails("ann@x.ca", "bob@x.ca")
	f.counts(f.upload(f.hr, file), foyer.Counts{Unchanged: 2})
}

func TestR25_KeepThatHasEndedIsNotPutBack(t *testing.T) {
	f := newFixture(t)
	const file = "EMAIL,TITLE\nann@x.ca,Boss\n"
	f.upload(f.hr, file)
	until := f.clock.Now().Add(24 * time.Hour)
	f.edit("ann@x.ca", reconcile.Edit{Keep: []foyer.Field{foyer.Title}, KeepUntil: until})
	f.clock.Move(25 * time.Hour)
	run := f.upload(f.hr, file) // lets go of it
	_, err := reconcile.Undo(t.Context(), f.store, f.operator, f.org, reconcile.Undoing{Run: run.ID})
	if foyer.KindOf(err) != foyer.Conflict {
		t.Errorf("the undo is answered %v: there is nothing to put back", err)
	}
}
