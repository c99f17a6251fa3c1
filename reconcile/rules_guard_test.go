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

const day = 24 * time.Hour

// staff is a file of the people from..to, all at one site, with an id each.
func staff(from, to int, site string) string {
	var b strings.Builder
	b.WriteString("EMAIL,FIRSTNAME,LASTNAME,TITLE,DIVISION,SITE,EMPLOYEEID\n")
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, "p%03d@x.ca,First%d,Last%d,Clerk,Ops,%s,e%d\n", i, i, i, site, i)
	}
	return b.String()
}

// sync delivers a file and wants the run to have that status.
func (f *fixture) sync(source foyer.SourceID, file string, want foyer.RunStatus) *foyer.Run {
	f.t.Helper()
	run, err := f.deliver(reconcile.Delivery{Source: source}, file)
	f.must(err)
	if run.Status != want {
		f.t.Fatalf("the run is %s (%s), want %s", run.Status, run.Message, want)
	}
	return run
}

// held delivers a file that must be held, leaving the book as it is, and wants the message to say that.
func (f *fixture) held(source foyer.SourceID, file, says string) *foyer.Run {
	f.t.Helper()
	before := f.book()
	tried, err := f.deliver(reconcile.Delivery{Source: source, DryRun: true}, file)
	f.must(err)
	run := f.sync(source, file, foyer.Held)
	if !strings.Contains(run.Message, says) {
		f.t.Errorf("the run says %q, want %q in it", run.Message, says)
	}
	if tried.Hold == nil || !slices.Equal(tried.Hold.Reasons, run.Hold.Reasons) || tried.Counts != run.Counts {
		f.t.Errorf("R24: the dry run said %+v %+v, the run %+v %+v", tried.Hold, tried.Counts, run.Hold, run.Counts)
	}
	f.same(before, f.book())
	return run
}

func (f *fixture) approve(id foyer.RunID, want foyer.RunStatus) *foyer.Run {
	f.t.Helper()
	run, err := reconcile.Approve(f.t.Context(), f.store, f.operator, f.org, id)
	f.must(err)
	if run.Status != want {
		f.t.Fatalf("the approval is %s (%s), want %s", run.Status, run.Message, want)
	}
	return run
}

// runStatus wants a run to have a status by now.
func (f *fixture) runStatus(id foyer.RunID, want foyer.RunStatus) {
	f.t.Helper()
	run, err := f.store.Run(f.t.Context(), f.operator, f.org, id)
	f.must(err)
	if run.Status != want {
		f.t.Errorf("%v is %s, want %s", id, run.Status, want)
	}
}

// enabled returns how many entries are enabled.
func (f *fixture) enabled() (n int) {
	for _, e := range f.book() {
		if e.Enabled {
			n++
		}
	}
	return n
}

func TestR21_ManyAreHeld(t *testing.T) {
	for _, test := range []struct {
		had, left int
		held      bool
	}{
		{50, 40, false}, // 10 of 50 are 20 %, not more
		{49, 39, true},
		{44, 35, false}, // 9 are fewer than 10
		{1000, 799, true},
		{1000, 800, false},
	} {
		t.Run(fmt.Sprintf("%d of %d", test.had-test.left, test.had), func(t *testing.T) {
			f := newFixture(t)
			f.upload(f.hr, staff(0, test.had, "Toronto"))
			if test.held {
				f.held(f.hr, staff(0, test.left, "Toronto"), fmt.Sprintf("would disable %d of %d (limit 20%%)", test.had-test.left, test.had))
			} else {
				f.sync(f.hr, staff(0, test.left, "Toronto"), foyer.Applied)
			}
		})
	}
}

func TestR21_SmallOrganizationIsNotWiped(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, staff(0, 9, "Toronto"))
	f.held(f.hr, staff(0, 4, "Toronto"), "would disable 5 of 9 (limit 50%)")
	f.held(f.hr, staff(8, 9, "Toronto"), "would disable 8 of 9 (limit 50%)")
	f.sync(f.hr, staff(4, 9, "Toronto"), foyer.Applied) // 4 are fewer than 5
}

func TestR21_SmallSiteOfALargeOrganizationIsNotWiped(t *testing.T) {
	f := newFixture(t)
	site := f.source(foyer.Source{Name: "montreal", Site: f.montreal})
	f.upload(f.hr, staff(0, 900, "Toronto"))
	f.upload(site, staff(1000, 1015, "MTL"))
	f.held(site, staff(2000, 2001, "MTL"), "would disable 15 of 15 (limit 20%)")
}

// TestR21_HandMadeInScopeAreCovered holds that hand-made entries count, and not where the source leaves them alone.
func TestR21_HandMadeInScopeAreCovered(t *testing.T) {
	f := newFixture(t)
	for i := range 12 {
		f.add(reconcile.Edit{Values: map[foyer.Field]string{foyer.Email: fmt.Sprintf("hand%d@x.ca", i)}})
	}
	f.held(f.hr, staff(0, 1, "Toronto"), "would disable 12 of 12 (limit 20%)")
	leaves := f.source(foyer.Source{Name: "contractors", LeaveHandMade: true})
	f.sync(leaves, staff(0, 12, "Toronto"), foyer.Applied)
	f.held(leaves, staff(0, 1, "Toronto"), "would disable 11 of 12")
}

// TestR21_TakingOffASiteCounts holds that absence from a site source counts, though the people stay enabled elsewhere.
func TestR21_TakingOffASiteCounts(t *testing.T) {
	f := newFixture(t)
	toronto := f.source(foyer.Source{Name: "toronto", Site: f.toronto})
	montreal := f.source(foyer.Source{Name: "montreal", Site: f.montreal})
	f.upload(toronto, staff(0, 15, ""))
	f.upload(montreal, staff(0, 15, ""))
	run := f.held(toronto, staff(0, 1, ""), "of 15")
	if run.Disabled != 0 || run.Hold.Lost != 14 {
		t.Errorf("%d would be disabled and %d lost, want 0 and 14", run.Disabled, run.Hold.Lost)
	}
}

func TestR21_ListedAsDisabledCounts(t *testing.T) {
	f := newFixture(t)
	file := func(enabled string) string {
		text := "EMAIL,ENABLED\n"
		for i := range 20 {
			text += fmt.Sprintf("p%d@x.ca,%s\n", i, enabled)
		}
		return text
	}
	f.upload(f.hr, file("yes"))
	f.held(f.hr, file("no"), "would disable 20 of 20")
}

// TestR21_TheWeekCounts holds that ten files, each 15 % shorter than the last, do not empty the book.
func TestR21_TheWeekCounts(t *testing.T) {
	f := newFixture(t)
	size := 100
	f.upload(f.hr, staff(0, size, "Toronto"))
	held := 0
	for range 10 {
		f.clock.Move(12 * time.Hour)
		size = size * 85 / 100
		run, err := f.deliver(reconcile.Delivery{Source: f.hr}, staff(0, size, "Toronto"))
		f.must(err)
		if run.Status == foyer.Held {
			held++
		}
	}
	if f.enabled() < 80 || held != 9 {
		t.Errorf("%d of 100 are enabled, %d runs were held, want 85 and 9", f.enabled(), held)
	}
}

func TestR21_TheWeekEnds(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, staff(0, 100, "Toronto"))
	f.sync(f.hr, staff(0, 85, "Toronto"), foyer.Applied)
	f.clock.Move(day)
	f.held(f.hr, staff(0, 75, "Toronto"), "would disable 10 of 85; with those of the last 7 days 25 of 100 (limit 20%)")
	f.clock.Move(6*day + time.Second)
	f.sync(f.hr, staff(0, 75, "Toronto"), foyer.Applied)
}

// TestR21_WhoCameBackCountsNoMore holds that only those count who still are away.
func TestR21_WhoCameBackCountsNoMore(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, staff(0, 100, "Toronto"))
	f.sync(f.hr, staff(15, 100, "Toronto"), foyer.Applied)
	f.sync(f.hr, staff(0, 85, "Toronto"), foyer.Applied)
}

func TestR21_ApprovalRestartsTheCount(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, staff(0, 100, "Toronto"))
	run := f.held(f.hr, staff(0, 70, "Toronto"), "30 of 100")
	f.approve(run.ID, foyer.Applied)
	f.sync(f.hr, staff(0, 60, "Toronto"), foyer.Applied) // 10 of 70
}

func TestR21_ManyRenamesAreHeld(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, staff(0, 40, "Toronto"))
	renamed := func(n int) string {
		file := staff(0, 40, "Toronto")
		for i := range n {
			file = strings.Replace(file, fmt.Sprintf("p%03d@", i), fmt.Sprintf("new%03d@", i), 1)
		}
		return file
	}
	f.held(f.hr, renamed(10), "would rename 10 of 40 (limit 20%)")
	run := f.sync(f.hr, renamed(9), foyer.Applied)
	f.counts(run, foyer.Counts{Updated: 9, Unchanged: 31})
}

func TestR21_ShiftedNamesAreHeld(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, staff(0, 60, "Toronto"))
	shifted := func(n int) string {
		file := staff(0, 60, "Toronto")
		for i := range n {
			file = strings.Replace(file, fmt.Sprintf(",First%d,Last%d,", i, i), fmt.Sprintf(",Last%d,First%d,", i, i), 1)
		}
		return file
	}
	f.held(f.hr, shifted(20), "would change the names of 20 of 60 (limit 30%)")
	f.sync(f.hr, shifted(18), foyer.Applied)
}

func TestR21_SettingsOfTheSourceDecide(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, staff(0, 100, "Toronto"))
	_, err := f.store.EditSource(t.Context(), f.operator, f.org, f.hr, func(s *foyer.Source) { s.Guard.Many = foyer.Limit{Count: 2, Percent: 1} })
	f.must(err)
	f.held(f.hr, staff(0, 98, "Toronto"), "would disable 2 of 100 (limit 1%)")
}

func TestR21_OffIsNeverSilent(t *testing.T) {
	f := newFixture(t)
	_, err := f.store.EditSource(t.Context(), f.operator, f.org, f.hr, func(s *foyer.Source) { s.Guard.Off = true })
	f.must(err)
	f.upload(f.hr, staff(0, 100, "Toronto"))
	run := f.sync(f.hr, staff(0, 1, "Toronto"), foyer.Applied)
	if run.Disabled != 99 || run.Warnings != 1 || !strings.Contains(run.Problems[0].Message, "the guard of this source is off") {
		t.Errorf("disabled=%d, problems %v", run.Disabled, run.Problems)
	}
}

func TestR22_HeldRunSaysWhatTheLostShare(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, staff(0, 80, "Toronto")+strings.TrimPrefix(staff(100, 115, "MTL"), "EMAIL,FIRSTNAME,LASTNAME,TITLE,DIVISION,SITE,EMPLOYEEID\n"))
	run := f.held(f.hr, staff(5, 80, "Toronto"), "would disable 20 of 95")
	want := []foyer.HoldGroup{{By: "division", Value: "Ops", Count: 20}, {By: "site", Value: "Montréal", Count: 15}, {By: "site", Value: "Toronto", Count: 5}}
	if !slices.Equal(run.Hold.Shared, want) {
		t.Errorf("they share %+v, want %+v", run.Hold.Shared, want)
	}
	kept, err := f.store.HeldDetail(t.Context(), f.operator, f.org, run.ID)
	f.must(err)
	lost := kept.Lost
	if len(lost) != 20 || !slices.Contains(lost, f.entry("p100@x.ca").ID) {
		t.Errorf("the run names %v", lost)
	}
}

// TestR22_ApprovalPlansAgain holds that what happened between is not undone by an approval.
func TestR22_ApprovalPlansAgain(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, staff(0, 20, "Toronto"))
	run := f.held(f.hr, staff(0, 10, "Toronto"), "10 of 20")
	f.edit("p015@x.ca", reconcile.Edit{Permanent: new(true)})
	tried, err := reconcile.TryApproval(t.Context(), f.store, f.operator, f.org, run.ID)
	f.must(err)
	approved := f.approve(run.ID, foyer.Applied)
	if tried.Counts != approved.Counts {
		t.Errorf("R24: tried %+v, did %+v", tried.Counts, approved.Counts)
	}
	if approved.Of != run.ID || approved.Disabled != 9 {
		t.Errorf("the approval %+v", approved)
	}
	f.status("p015@x.ca", "enabled")
	f.status("p016@x.ca", "disabled (absent)")
	f.runStatus(run.ID, foyer.Approved)
	if _, err := reconcile.Approve(t.Context(), f.store, f.operator, f.org, run.ID); foyer.KindOf(err) != foyer.Conflict {
		t.Errorf("approved twice: %v", err)
	}
}

// TestR22_ApprovalCoversWhoWasShown holds that somebody else is not disabled by it.
func TestR22_ApprovalCoversWhoWasShown(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, staff(0, 20, "Toronto"))
	run := f.held(f.hr, staff(0, 10, "Toronto"), "10 of 20")
	f.add(set(foyer.Email, "new@x.ca"))
	again := f.approve(run.ID, foyer.Held)
	if !strings.Contains(again.Message, "would disable 1 who were not among those approved") || f.enabled() != 21 {
		t.Errorf("%q, %d enabled", again.Message, f.enabled())
	}
	f.runStatus(run.ID, foyer.Superseded)
	f.approve(again.ID, foyer.Applied)
	f.status("new@x.ca", "disabled (absent)")
}

func TestR22_NewerRunSupersedes(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, staff(0, 20, "Toronto"))
	first := f.held(f.hr, staff(0, 10, "Toronto"), "10 of 20")
	second := f.held(f.hr, staff(0, 9, "Toronto"), "11 of 20")
	f.runStatus(first.ID, foyer.Superseded)
	f.refused(f.hr, "TITLE\nBoss\n")
	f.runStatus(second.ID, foyer.Held)
	f.upload(f.hr, staff(0, 20, "Toronto"))
	f.runStatus(second.ID, foyer.Superseded)
}

func TestR22_RejectedRunIsOver(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, staff(0, 20, "Toronto"))
	run := f.held(f.hr, staff(0, 10, "Toronto"), "10 of 20")
	_, err := f.store.Reject(t.Context(), f.operator, f.org, run.ID)
	f.must(err)
	f.runStatus(run.ID, foyer.Rejected)
	if _, err := reconcile.Approve(t.Context(), f.store, f.operator, f.org, run.ID); foyer.KindOf(err) != foyer.Conflict {
		t.Errorf("approved a rejected run: %v", err)
	}
}

func TestR22_HeldRunLapsesAfter7Days(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, staff(0, 20, "Toronto"))
	run := f.held(f.hr, staff(0, 10, "Toronto"), "10 of 20")
	f.clock.Move(7*day - time.Second)
	f.must(f.store.LapseHeld(t.Context(), f.operator))
	f.runStatus(run.ID, foyer.Held)
	f.clock.Move(2 * time.Second)
	if _, err := reconcile.Approve(t.Context(), f.store, f.operator, f.org, run.ID); foyer.KindOf(err) != foyer.Conflict {
		t.Errorf("approved a run that has lapsed: %v", err)
	}
	f.must(f.store.LapseHeld(t.Context(), f.operator))
	f.runStatus(run.ID, foyer.Lapsed)
}

// TestR22_WhatAHeldRunKeepsIsSealed holds that neither a name nor an email of a held file is in the database as it is, and that it is gone once decided.
func TestR22_WhatAHeldRunKeepsIsSealed(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, staff(0, 20, "Toronto"))
	run := f.held(f.hr, strings.ReplaceAll(staff(0, 10, "Toronto"), "First0", "Secretname"), "10 of 20")
	kept := 0
	for row := range f.dump() {
		if strings.Contains(row, "Secretname") {
			t.Errorf("it is there in plain: %s", row)
		}
		if strings.HasPrefix(row, "held_chunk:") {
			kept++
		}
	}
	if kept == 0 {
		t.Error("nothing is kept")
	}
	f.approve(run.ID, foyer.Applied)
	f.value("p000@x.ca", foyer.FirstName, "Secretname")
	for row := range f.dump() {
		if strings.HasPrefix(row, "held_chunk:") {
			t.Error("it is kept after the decision")
		}
	}
}

func TestR21_StrictIsRefusedInsteadOfHeld(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, staff(0, 20, "Toronto"))
	before := f.book()
	run, err := f.deliver(reconcile.Delivery{Source: f.hr, Strict: true}, staff(0, 10, "Toronto"))
	if foyer.KindOf(err) != foyer.Conflict || run.Status != foyer.Refused || run.Hold != nil {
		t.Errorf("error %v, run %+v", err, run)
	}
	f.same(before, f.book())
}
