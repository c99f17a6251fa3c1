package reconcile_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"foyer"
	"foyer/foyertest"
	"foyer/reconcile"
	"foyer/store/storetest"
)

// approveWhile approves a held run in another process, and before that writes its plan lets meanwhile happen. On PostgreSQL nothing can happen meanwhile: see
// TestR22_RejectingWaitsForAnApproval.
func (f *fixture) approveWhile(held foyer.RunID, meanwhile func() error) {
	f.t.Helper()
	const planned = 3 // the clock is looked at as the run begins, as it is held against its end, and as it is about to be written
	reads, err := 0, error(nil)
	other, _ := foyertest.OpenStore(f.t, f.dir, func() time.Time {
		if reads++; reads == planned {
			err = meanwhile()
		}
		return f.clock.Now()
	})
	reads = 0
	_, approved := reconcile.Approve(f.t.Context(), other, f.operator, f.org, held)
	f.must(err)
	if reads < planned || foyer.KindOf(approved) != foyer.Conflict {
		f.t.Errorf("approved all the same, after %d looks at the clock: %v", reads, approved)
	}
}

func TestR22_RejectedWhileItIsApprovedIsNotApplied(t *testing.T) {
	storetest.SQLiteOnly(t)
	f := newFixture(t)
	f.upload(f.hr, staff(0, 30, "Toronto"))
	held := f.held(f.hr, staff(0, 10, "Toronto"), "20 of 30")
	f.approveWhile(held.ID, func() error {
		_, err := f.store.Reject(t.Context(), f.operator, f.org, held.ID)
		return err
	})
	f.runStatus(held.ID, foyer.Rejected)
	f.status("p023@x.ca", "enabled")
}

// TestR22_RejectingWaitsForAnApproval holds that on PostgreSQL whoever rejects a run that is being approved waits, and is told that it was approved.
func TestR22_RejectingWaitsForAnApproval(t *testing.T) {
	if !storetest.OnPostgres() {
		return
	}
	f := newFixture(t)
	f.upload(f.hr, staff(0, 30, "Toronto"))
	held := f.held(f.hr, staff(0, 10, "Toronto"), "20 of 30")
	approved, rejected, reads := make(chan error, 1), make(chan error, 1), 0
	other, _ := foyertest.OpenStore(f.t, f.dir, func() time.Time {
		if reads++; reads == 3 {
			go func() {
				_, err := f.store.Reject(t.Context(), f.operator, f.org, held.ID)
				rejected <- err
			}()
			time.Sleep(200 * time.Millisecond)
		}
		return f.clock.Now()
	})
	reads = 0
	go func() {
		_, err := reconcile.Approve(t.Context(), other, f.operator, f.org, held.ID)
		approved <- err
	}()
	f.must(<-approved)
	if err := <-rejected; foyer.KindOf(err) != foyer.Conflict {
		t.Errorf("rejected what was approved: %v", err)
	}
	f.runStatus(held.ID, foyer.Approved)
	f.status("p023@x.ca", "disabled (absent)")
}

func TestR22_SupersededWhileItIsApprovedIsNotApplied(t *testing.T) {
	storetest.SQLiteOnly(t)
	f := newFixture(t)
	f.upload(f.hr, staff(0, 30, "Toronto"))
	held := f.held(f.hr, staff(0, 10, "Toronto"), "20 of 30")
	var newer *foyer.Run
	f.approveWhile(held.ID, func() error {
		newer = f.held(f.hr, staff(0, 15, "Toronto"), "15 of 30")
		return nil
	})
	f.runStatus(held.ID, foyer.Superseded)
	f.runStatus(newer.ID, foyer.Held)
	f.status("p023@x.ca", "enabled")
}

// TestR22_R25_UndoneSinceTheHoldIsHeldAgain holds that who approves learns that it would do again what somebody undid after the run was held.
func TestR22_R25_UndoneSinceTheHoldIsHeldAgain(t *testing.T) {
	f := newFixture(t)
	old := staff(0, 30, "Toronto")
	few := strings.ReplaceAll(staff(0, 10, "Toronto"), "Clerk", "Chief")
	f.upload(f.hr, old)
	renamed := f.upload(f.hr, strings.ReplaceAll(old, "Clerk", "Chief"))
	held := f.held(f.hr, few, "20 of 30")
	f.undo(renamed.ID)
	run, err := reconcile.Approve(t.Context(), f.store, f.operator, f.org, held.ID)
	f.must(err)
	if run.Status != foyer.Held {
		t.Errorf("the approval did again what was undone: %s %q", run.Status, run.Message)
	}
	f.value("p005@x.ca", foyer.Title, "Clerk")
}

func TestR21_MovesOffEverySiteCount(t *testing.T) {
	f := newFixture(t)
	file := "EMAIL,SITE\n"
	for i := range 40 {
		file += fmt.Sprintf("p%d@x.ca,MTL\n", i)
	}
	f.upload(f.hr, file)
	run, err := f.deliver(reconcile.Delivery{Source: f.hr}, strings.ReplaceAll(file, "MTL", "Toronto"))
	f.must(err)
	if run.Status != foyer.Held || !strings.Contains(run.Message, "take off their sites 40 of 40") {
		t.Errorf("40 of 40 moved to another site: %s %q", run.Status, run.Message)
	}
	f.sites("p7@x.ca", f.montreal)
}

func TestR23_FileOfTheErasedOnlyIsRefused(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL\nann@x.ca\nbob@x.ca\ncy@x.ca\n")
	_, err := f.store.Erase(t.Context(), f.operator, f.org, 0, "ann@x.ca")
	f.must(err)
	f.refused(f.hr, "EMAIL\nann@x.ca\n")
}

func TestR3_WhoWasDisabledByHandStaysSoJoined(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,FIRSTNAME\nann@x.ca,Ann\n")
	f.add(reconcile.Edit{Values: map[foyer.Field]string{foyer.Email: "ann2@x.ca"}, Enabled: new(false)})
	f.join("ann@x.ca", "ann2@x.ca")
	f.status("ann@x.ca", "disabled (by hand)")
}

// TestR17_EmailThatMeansAnotherSinceIsLookedAtAgain holds that a row which did not change is not skipped once its email means somebody else.
func TestR17_EmailThatMeansAnotherSinceIsLookedAtAgain(t *testing.T) {
	for _, noSkip := range []bool{true, false} {
		t.Run(fmt.Sprint(noSkip), func(t *testing.T) {
			f := newFixture(t)
			low := f.source(foyer.Source{Name: "low"})
			_, err := f.store.EditSource(t.Context(), f.operator, f.org, f.hr, func(s *foyer.Source) { s.Priority = 10 })
			f.must(err)
			f.upload(f.hr, "EMAIL,FIRSTNAME,EMPLOYEEID\nann@x.ca,Ann,1\nbob@x.ca,Bob,2\n")
			f.upload(low, "EMAIL,TITLE\nann@x.ca,Boss\n")
			f.upload(low, "EMAIL,TITLE\nann@x.ca,Boss\n")
			f.upload(f.hr, "EMAIL,FIRSTNAME,EMPLOYEEID\nanna@x.ca,Ann,1\nbob@x.ca,Bob,2\n")
			f.upload(f.hr, "EMAIL,FIRSTNAME,EMPLOYEEID\nanna@x.ca,Ann,1\nbob@x.ca,Bob,2\nann@x.ca,Annabel,3\n")
			_, err = f.deliver(reconcile.Delivery{Source: low, NoSkip: noSkip}, "EMAIL,TITLE\nann@x.ca,Boss\n")
			f.must(err)
			if !f.entry("ann@x.ca").Claimed(low) {
				t.Error("low lists ann@x.ca, and does not claim its entry")
			}
		})
	}
}

// TestR17_SameProblemsAreKeptOnce holds that a file with many mistakes that comes every hour does not fill the disk.
func TestR17_SameProblemsAreKeptOnce(t *testing.T) {
	storetest.SQLiteOnly(t)
	f := newFixture(t)
	var file strings.Builder
	file.WriteString("EMAIL,TITLE\nann@x.ca,A\n")
	for i := range 500 {
		fmt.Fprintf(&file, "broken address number %d of somebody at example,T\n", i)
	}
	f.upload(f.hr, file.String())
	size := func() (n int64) {
		for _, name := range []string{"foyer.db", "foyer.db-wal"} {
			info, err := os.Stat(filepath.Join(f.dir, name))
			f.must(err)
			n += info.Size()
		}
		return n
	}
	before := size()
	var last *foyer.Run
	for range 200 {
		last = f.upload(f.hr, file.String())
	}
	if grown := size() - before; grown > 5<<20 { // 200 lists of the problems would be over 10 MB
		t.Errorf("the database grew by %d kB", grown>>10)
	}
	run, err := f.store.Run(t.Context(), f.operator, f.org, last.ID)
	f.must(err)
	if run.Warnings+run.Errors != 500 || len(run.Problems) == 0 {
		t.Errorf("the last run tells of %d warnings, %d errors, and lists %d", run.Warnings, run.Errors, len(run.Problems))
	}
}
