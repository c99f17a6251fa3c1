package reconcile_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"foyer"
	"foyer/reconcile"
)

func (f *fixture) undo(id foyer.RunID) *foyer.Run {
	f.t.Helper()
	run, err := reconcile.Undo(f.t.Context(), f.store, f.operator, f.org, reconcile.Undoing{Run: id})
	f.must(err)
	return run
}

// restored wants the book to be as it was, whichever run touched it last.
func (f *fixture) restored(before map[string]*foyer.Entry) {
	f.t.Helper()
	after := f.book()
	for _, book := range []map[string]*foyer.Entry{before, after} {
		for _, e := range book {
			e.LastRun = 0
		}
	}
	f.same(before, after)
}

const changed = "EMAIL,FIRSTNAME,TITLE,SITE,EMPLOYEEID\nann@x.ca,Ann,Chief,MTL,1\nnew@x.ca,New,Intern,Toronto,9\nrobert@x.ca,Rob,Clerk,Toronto,2\n"

const original = "EMAIL,FIRSTNAME,TITLE,SITE,EMPLOYEEID\nann@x.ca,Ann,Boss,Toronto,1\nbob@x.ca,Rob,Clerk,Toronto,2\ncy@x.ca,Cy,Clerk,Toronto,3\n"

// TestR25_UndoOfASync holds that values, sites, status, ids, claims, renames and additions are put back, and by undoing the undo are there again.
func TestR25_UndoOfASync(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, original)
	f.edit("ann@x.ca", reconcile.Edit{Values: map[foyer.Field]string{foyer.Division: "Ops"}, Pinned: new(true)})
	before := f.book()
	run := f.upload(f.hr, changed)
	after := f.book()
	f.status("cy@x.ca", "disabled (absent)")
	undo := f.undo(run.ID)
	f.counts(undo, foyer.Counts{Updated: 2, Enabled: 1, Removed: 1})
	f.restored(before)
	f.runStatus(run.ID, foyer.Undone)
	again := f.undo(undo.ID)
	f.counts(again, foyer.Counts{Added: 1, Updated: 2, Disabled: 1})
	f.restored(after)
	f.runStatus(run.ID, foyer.Applied)
	f.runStatus(undo.ID, foyer.Undone)
	f.undo(run.ID)
	f.restored(before)
}

func TestR25_UndoOfAFirstLoadLeavesNobody(t *testing.T) {
	f := newFixture(t)
	run := f.upload(f.hr, original)
	undo := f.undo(run.ID)
	f.emails()
	f.undo(undo.ID)
	f.emails("ann@x.ca", "bob@x.ca", "cy@x.ca")
	f.upload(f.hr, original)
	f.emails("ann@x.ca", "bob@x.ca", "cy@x.ca")
}

func TestR25_UndoOfAnEdit(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, original)
	before := f.book()
	act := f.edit("ann@x.ca", reconcile.Edit{Values: map[foyer.Field]string{foyer.Email: "anne@x.ca", foyer.Title: "Queen"}, AddSites: []foyer.SiteID{f.montreal},
		Enabled: new(false), Permanent: new(true), Notify: new(foyer.NotifySMS), Notes: new("left a note"), Keep: []foyer.Field{foyer.Title}})
	f.undo(act)
	f.restored(before)
}

func TestR25_WhatWasTouchedSinceStays(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, original)
	run := f.upload(f.hr, "EMAIL,FIRSTNAME,TITLE,SITE,EMPLOYEEID\nann@x.ca,Anna,Chief,Toronto,1\nnew@x.ca,New,Intern,Toronto,9\nbob@x.ca,Rob,Clerk,Toronto,2\ncy@x.ca,Cy,Clerk,Toronto,3\n")
	act := f.edit("ann@x.ca", set(foyer.Title, "Queen"))
	f.edit("new@x.ca", reconcile.Edit{Notes: new("a note")})
	undo := f.undo(run.ID)
	f.value("ann@x.ca", foyer.FirstName, "Ann")
	f.value("ann@x.ca", foyer.Title, "Queen")
	f.emails("ann@x.ca", "bob@x.ca", "cy@x.ca", "new@x.ca")
	if undo.Warnings != 2 || !strings.Contains(fmt.Sprint(undo.Problems), fmt.Sprintf("title \"ann@x.ca (E-1)\": not put back: %v changed it since", act)) {
		t.Errorf("what is left: %v", undo.Problems)
	}
	f.runStatus(run.ID, foyer.Applied) // not all of it was put back
}

func TestR25_UndoForOneEntryOrSite(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, original)
	run := f.upload(f.hr, changed)
	name := reconcile.ParseName("ann@x.ca")
	_, err := reconcile.Undo(t.Context(), f.store, f.operator, f.org, reconcile.Undoing{Run: run.ID, UndoScope: reconcile.UndoScope{Entry: &name}})
	f.must(err)
	f.value("ann@x.ca", foyer.Title, "Boss")
	f.emails("ann@x.ca", "cy@x.ca", "new@x.ca", "robert@x.ca")
	_, err = reconcile.Undo(t.Context(), f.store, f.operator, f.org, reconcile.Undoing{Run: run.ID, UndoScope: reconcile.UndoScope{Site: f.toronto}})
	f.must(err)
	f.emails("ann@x.ca", "bob@x.ca", "cy@x.ca")
}

func TestR25_R24_UndoCanBeTried(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, original)
	run := f.upload(f.hr, changed)
	before := f.dump()
	tried, err := reconcile.Undo(t.Context(), f.store, f.operator, f.org, reconcile.Undoing{Run: run.ID, DryRun: true})
	f.must(err)
	if rows := written(before, f.dump()); len(rows) > 0 {
		t.Errorf("the dry run wrote %v", rows)
	}
	if undo := f.undo(run.ID); undo.Counts != tried.Counts {
		t.Errorf("the undo %+v, tried %+v", undo.Counts, tried.Counts)
	}
}

// TestR25_TheNextRunDoesNotRedoUnnoticed holds that tonight's file is held once, and another file is not.
func TestR25_TheNextRunDoesNotRedoUnnoticed(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, original)
	undo := f.undo(f.upload(f.hr, changed).ID)
	f.upload(f.hr, original) // does none of it again
	held := f.held(f.hr, changed, fmt.Sprintf("would do again for 4 what %v undid", undo.ID))
	f.runStatus(held.ID, foyer.Held)
	run := f.sync(f.hr, changed, foyer.Applied) // it is held once
	if want := fmt.Sprintf("It did again for 4 what %v undid, for which a run was held before.", undo.ID); run.Message != want {
		t.Errorf("the run says %q, want %q", run.Message, want)
	}
	f.alerted(foyer.AlertRedone)
	if again := f.sync(f.hr, changed+"\n", foyer.Applied); again.Message != "" {
		t.Errorf("the next says %q", again.Message)
	}
	f.alerted()
}

// alerted wants alerts of those kinds to be open.
func (f *fixture) alerted(want ...foyer.AlertKind) {
	f.t.Helper()
	alerts, err := f.store.Alerts(f.t.Context(), f.operator, f.org, false)
	f.must(err)
	var got []foyer.AlertKind
	for _, a := range alerts {
		got = append(got, a.Kind)
	}
	if !slices.Equal(got, want) {
		f.t.Errorf("the alerts are %v, want %v", got, want)
	}
}

// TestR25_RejectedRedoIsHeldAgain holds that who said no is asked again, not passed over.
func TestR25_RejectedRedoIsHeldAgain(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, original)
	f.undo(f.upload(f.hr, changed).ID)
	for range 3 {
		held := f.held(f.hr, changed, "would do again")
		_, err := f.store.Reject(t.Context(), f.operator, f.org, held.ID)
		f.must(err)
	}
}

// TestR22_HeldRunShowsWhatItWouldDo holds that renames, names and what is done again are named too.
func TestR22_HeldRunShowsWhatItWouldDo(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, original)
	f.undo(f.upload(f.hr, changed).ID)
	held := f.held(f.hr, changed, "would do again")
	kept, err := f.store.HeldDetail(t.Context(), f.operator, f.org, held.ID)
	f.must(err)
	if len(kept.Changes) != 4 || kept.Changes[0].Entry != 1 || kept.Changes[0].Fields[0].After != "Chief" {
		t.Errorf("it shows %+v", kept.Changes)
	}
}

// TestR25_NothingLeftToUndoIsNoRun holds that an undo which puts nothing back says why, and leaves no run.
func TestR25_NothingLeftToUndoIsNoRun(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, original)
	run := f.upload(f.hr, strings.Replace(original, "Boss", "Chief", 1))
	act := f.edit("ann@x.ca", set(foyer.Title, "Queen"))
	before := f.dump()
	_, err := reconcile.Undo(t.Context(), f.store, f.operator, f.org, reconcile.Undoing{Run: run.ID})
	if foyer.KindOf(err) != foyer.Conflict || !strings.Contains(err.Error(), fmt.Sprintf("title \"ann@x.ca (E-1)\": not put back: %v changed it since", act)) {
		t.Errorf("error %v", err)
	}
	bob := reconcile.ParseName("bob@x.ca")
	_, err = reconcile.Undo(t.Context(), f.store, f.operator, f.org, reconcile.Undoing{Run: run.ID, UndoScope: reconcile.UndoScope{Entry: &bob}})
	if foyer.KindOf(err) != foyer.Conflict || !strings.Contains(err.Error(), "changed nothing there") {
		t.Errorf("error %v", err)
	}
	if rows := written(before, f.dump()); len(rows) > 0 {
		t.Errorf("it wrote %v", rows)
	}
}

func TestR25_ApprovedRedoIsDone(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, original)
	f.undo(f.upload(f.hr, changed).ID)
	f.approve(f.held(f.hr, changed, "would do again").ID, foyer.Applied)
	f.value("ann@x.ca", foyer.Title, "Chief")
}

func TestR25_UndoneUndoIsNotWatched(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, original)
	run := f.upload(f.hr, changed)
	f.undo(f.undo(run.ID).ID)
	f.upload(f.hr, original)
	f.sync(f.hr, changed, foyer.Applied)
}

func TestR25_WhatCannotBeUndone(t *testing.T) {
	f := newFixture(t)
	run := f.upload(f.hr, original)
	same := f.upload(f.hr, original)
	f.upload(f.hr, staff(0, 20, "Toronto"))
	held := f.held(f.hr, original, "would disable 20")
	undone := f.upload(f.source(foyer.Source{Name: "other", LeaveHandMade: true}), "EMAIL,TITLE\nzoe@x.ca,Boss\n")
	f.undo(undone.ID)
	for name, id := range map[string]foyer.RunID{"nothing changed": same.ID, "held": held.ID, "undone already": undone.ID} {
		if _, err := reconcile.Undo(t.Context(), f.store, f.operator, f.org, reconcile.Undoing{Run: id}); foyer.KindOf(err) != foyer.Conflict {
			t.Errorf("%s: %v", name, err)
		}
	}
	f.clock.Move(91 * day)
	f.must(f.store.Prune(t.Context(), f.operator, 90*day))
	if _, err := reconcile.Undo(t.Context(), f.store, f.operator, f.org, reconcile.Undoing{Run: run.ID}); foyer.KindOf(err) != foyer.Conflict || !strings.Contains(err.Error(), "too old") {
		t.Errorf("too old: %v", err)
	}
}

func TestR25_ChangesAreKept90Days(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, original)
	before := f.book()
	run := f.upload(f.hr, changed)
	f.clock.Move(90*day - time.Minute)
	f.must(f.store.Prune(t.Context(), f.operator, 90*day))
	f.undo(run.ID)
	f.restored(before)
}

// TestR25_UndoLeavesWhatOthersClaim holds that whom another source listed since stays enabled.
func TestR25_UndoLeavesWhatOthersClaim(t *testing.T) {
	f := newFixture(t)
	other := f.source(foyer.Source{Name: "other", LeaveHandMade: true})
	f.upload(f.hr, original)
	f.upload(f.hr, "EMAIL,TITLE\nann@x.ca,Boss\nbob@x.ca,Clerk\n")
	back := f.upload(f.hr, original)
	f.upload(other, "EMAIL\ncy@x.ca\n")
	f.undo(back.ID)
	f.status("cy@x.ca", "enabled")
	if e := f.entry("cy@x.ca"); e.Claimed(f.hr) || !e.Claimed(other) {
		t.Errorf("it is claimed by %v", e.ClaimedBy)
	}
}

func TestEndOfASource(t *testing.T) {
	for _, leave := range []bool{true, false} {
		t.Run(fmt.Sprint("leave=", leave), func(t *testing.T) {
			f := newFixture(t)
			other := f.source(foyer.Source{Name: "other", LeaveHandMade: true})
			f.upload(f.hr, original)
			f.upload(other, "EMAIL\ncy@x.ca\n")
			before := f.book()
			run, err := reconcile.EndSource(t.Context(), f.store, f.operator, f.org, reconcile.Ending{Source: f.hr, Leave: leave})
			f.must(err)
			f.status("cy@x.ca", "enabled")
			f.status("ann@x.ca", map[bool]string{true: "enabled", false: "disabled (absent)"}[leave])
			f.sites("ann@x.ca", f.toronto)
			if e := f.entry("ann@x.ca"); !e.HandMade() {
				t.Errorf("it is claimed by %v", e.ClaimedBy)
			}
			if _, err := f.deliver(reconcile.Delivery{Source: f.hr}, original); foyer.KindOf(err) != foyer.Forbidden {
				t.Errorf("an ended source delivers: %v", err)
			}
			f.undo(run.ID)
			f.restored(before)
			f.upload(f.hr, original)
		})
	}
}

func TestEndOfASource_R21_IsHeld(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, staff(0, 20, "Toronto"))
	run, err := reconcile.EndSource(t.Context(), f.store, f.operator, f.org, reconcile.Ending{Source: f.hr})
	f.must(err)
	if run.Status != foyer.Held || f.enabled() != 20 {
		t.Fatalf("the run is %s, %d enabled", run.Status, f.enabled())
	}
	f.upload(f.hr, staff(0, 20, "Toronto")) // it has not ended, and no delivery takes the decision away
	f.runStatus(run.ID, foyer.Held)
	f.approve(run.ID, foyer.Applied)
	if f.enabled() != 0 {
		t.Errorf("%d are enabled", f.enabled())
	}
}
