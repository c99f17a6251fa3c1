package reconcile_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"foyer"
	"foyer/foyertest"
	"foyer/reconcile"
	"foyer/store"
	"foyer/store/storetest"
)

// rowsOf is how a delivery is read, for one that does something meanwhile.
type rowsOf func(yield func(*foyer.Row) error) ([]foyer.Problem, error)

// Rows implements reconcile.Input.
func (r rowsOf) Rows(yield func(*foyer.Row) error) ([]foyer.Problem, error) { return r(yield) }

// during is a delivery of a file that calls act when it is read for the first time: between the plan's beginning and the write.
func during(file string, act func()) reconcile.Input {
	first := true
	return rowsOf(func(yield func(*foyer.Row) error) ([]foyer.Problem, error) {
		if first {
			first = false
			act()
		}
		return csv(file).Rows(yield)
	})
}

// run delivers an input as a caller.
func (f *fixture) run(ctx context.Context, caller foyer.Caller, input reconcile.Input) (*foyer.Run, error) {
	d := reconcile.Delivery{Org: f.org, Source: f.hr, Input: func(*foyer.Source) reconcile.Input { return input }}
	return reconcile.Run(ctx, f.store, caller, d)
}

// open opens the database beside the store.
func (f *fixture) open() *sql.DB {
	f.t.Helper()
	db := storetest.Open(f.t, f.dir)
	f.t.Cleanup(func() { db.Close() })
	return db
}

// dump returns every row of every table, as text that begins with the table's name.
func (f *fixture) dump() map[string]bool {
	f.t.Helper()
	all := map[string]bool{}
	for table, rows := range storetest.Rows(f.t, f.dir) {
		for _, row := range rows {
			all[table+": "+row] = true
		}
	}
	return all
}

// written returns the rows of after that are not in before; a row of before that is gone is shown with a minus.
func written(before, after map[string]bool) (rows []string) {
	for row := range after {
		if !before[row] {
			rows = append(rows, row)
		}
	}
	for row := range before {
		if !after[row] {
			rows = append(rows, "- "+row)
		}
	}
	slices.Sort(rows)
	return rows
}

// claim returns a source's claim on an entry, which must be there.
func (f *fixture) claim(source foyer.SourceID, entry foyer.EntryID) *foyer.Claim {
	f.t.Helper()
	var claim *foyer.Claim
	f.must(f.store.View(f.t.Context(), f.operator, f.org, func(b *store.Book) (err error) {
		claim, err = b.Claim(source, entry)
		return err
	}))
	if claim == nil {
		f.t.Fatalf("%v does not claim %v", source, entry)
	}
	return claim
}

// key makes a key of hr and returns who presents it.
func (f *fixture) key(expires time.Time) foyer.Caller {
	f.t.Helper()
	n := store.NewKey{ID: foyer.KeyID("fk_" + string(f.org)), SecretMAC: []byte("mac"), Source: f.hr, Scopes: foyer.ScopeSync, ExpiresAt: expires}
	key, _, err := f.store.CreateKey(f.t.Context(), f.operator, f.org, n)
	f.must(err)
	return foyer.KeyCaller(f.org, &key, 1, foyer.ScopeSync, foyer.Caller{}.Address)
}

const everybody = "EMAIL,TITLE,SITE,MOBILE\nann@x.ca,Boss,Toronto,416-555-0100\nbob@x.ca,Clerk,MTL,\ncat@x.ca,Clerk,Toronto;MTL,\n"

func TestR17_UnchangedRowsWriteTheRunAndNothingElse(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, everybody)
	before := f.dump()
	// Other bytes that say the same.
	f.counts(f.upload(f.hr, strings.ReplaceAll(everybody, ",", "\t")), foyer.Counts{Unchanged: 3})
	if rows := written(before, f.dump()); len(rows) != 1 || !strings.HasPrefix(rows[0], "run: ") {
		t.Errorf("wrote %d rows, want the run alone:\n%s", len(rows), strings.Join(rows, "\n"))
	}
}

func TestR17_TheSameBytesWriteTheRunAndNothingElse(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, everybody)
	before := f.dump()
	f.counts(f.upload(f.hr, everybody), foyer.Counts{Unchanged: 3})
	if rows := written(before, f.dump()); len(rows) != 1 || !strings.HasPrefix(rows[0], "run: ") {
		t.Errorf("wrote %d rows, want the run alone:\n%s", len(rows), strings.Join(rows, "\n"))
	}
}

func TestR17_SeveralRowsOfAPersonAreSkippedTogether(t *testing.T) {
	f := newFixture(t)
	const file = "EMAIL,SITE\nann@x.ca,Toronto\nann@x.ca,MTL\nbob@x.ca,\n"
	f.upload(f.hr, file)
	before := f.dump()
	f.counts(f.upload(f.hr, strings.ReplaceAll(file, ",", ";")), foyer.Counts{Unchanged: 2})
	if rows := written(before, f.dump()); len(rows) != 1 {
		t.Errorf("wrote %d rows:\n%s", len(rows), strings.Join(rows, "\n"))
	}
}

func TestR17_SeveralRowsOfAPersonBecomeOne(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,SITE\nann@x.ca,Toronto\nann@x.ca,MTL\n")
	f.counts(f.upload(f.hr, "EMAIL,SITE\nann@x.ca,Toronto\n"), foyer.Counts{Updated: 1})
	f.sites("ann@x.ca", f.toronto)
	f.counts(f.upload(f.hr, "EMAIL,SITE\nann@x.ca,Toronto\nann@x.ca,MTL\n"), foyer.Counts{Updated: 1})
	f.sites("ann@x.ca", f.toronto, f.montreal)
}

func TestAnotherOrganizationIsNeverChanged(t *testing.T) {
	f := newFixture(t)
	other := *f
	org, err := f.store.CreateOrg(t.Context(), f.operator, "Other", "CA")
	f.must(err)
	other.org = org.ID
	other.toronto = other.site(foyer.Site{Name: "Toronto"})
	other.hr = other.source(foyer.Source{Name: "hr"})
	other.upload(other.hr, "EMAIL,TITLE\nann@x.ca,Boss\nbob@x.ca,\n")
	before := f.dump()
	f.upload(f.hr, everybody)
	f.upload(f.hr, "EMAIL,TITLE\nann@x.ca,Chief\n")
	f.edit("ann@x.ca", set(foyer.Email, "bob@x.com"))
	f.edit("bob@x.com", reconcile.Edit{Enabled: new(false)})
	for _, row := range written(before, f.dump()) {
		if strings.Contains(row, string(other.org)) {
			t.Errorf("wrote %s", row)
		}
	}
}

func TestR18_KeyRevokedBetweenPlanAndWriteChangesNothing(t *testing.T) {
	f := newFixture(t)
	caller := f.key(time.Time{})
	var before map[string]bool
	_, err := f.run(t.Context(), caller, during(everybody, func() {
		f.must(f.store.RevokeKey(t.Context(), f.operator, f.org, caller.Key))
		before = f.dump()
	}))
	if foyer.KindOf(err) != foyer.Unauthenticated {
		t.Errorf("error %v", err)
	}
	if rows := written(before, f.dump()); len(rows) > 0 {
		t.Errorf("wrote %s", strings.Join(rows, "\n"))
	}
}

func TestR18_KeyExpiredBetweenPlanAndWriteChangesNothing(t *testing.T) {
	f := newFixture(t)
	caller := f.key(f.clock.Now().Add(time.Minute))
	before := f.dump()
	_, err := f.run(t.Context(), caller, during(everybody, func() { f.clock.Move(time.Hour) }))
	if foyer.KindOf(err) != foyer.Unauthenticated {
		t.Errorf("error %v", err)
	}
	if rows := written(before, f.dump()); len(rows) > 0 {
		t.Errorf("wrote %s", strings.Join(rows, "\n"))
	}
}

func TestR18_FaultInTheLastWriteUndoesAll(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, everybody)
	fault := `CREATE TRIGGER fault BEFORE INSERT ON run BEGIN SELECT RAISE(ABORT, 'fault'); END`
	if storetest.OnPostgres() {
		fault = `ALTER TABLE run ADD CONSTRAINT fault CHECK (false) NOT VALID`
	}
	_, err := f.open().Exec(fault)
	f.must(err)
	before := f.dump()
	if _, err := f.deliver(reconcile.Delivery{Source: f.hr}, "EMAIL,TITLE\nann@x.ca,Chief\ndan@x.ca,\n"); err == nil {
		t.Error("there is no error")
	}
	if rows := written(before, f.dump()); len(rows) > 0 {
		t.Errorf("wrote %s", strings.Join(rows, "\n"))
	}
}

func TestR18_ClientHangingUpDoesNotUndoAnApply(t *testing.T) {
	f := newFixture(t)
	ctx, hangUp := context.WithCancel(t.Context())
	_, err := f.run(ctx, f.operator, during(everybody, hangUp))
	f.must(err)
	f.emails("ann@x.ca", "bob@x.ca", "cat@x.ca")
}

func TestR19_SyncsOfOneOrganizationAreAppliedOneAtATime(t *testing.T) {
	f := newFixture(t)
	reading, goOn, second := make(chan bool), make(chan bool), make(chan bool, 1)
	ended := make(chan error, 2)
	go func() {
		_, err := f.run(t.Context(), f.operator, during("EMAIL,TITLE\nann@x.ca,First\n", func() { reading <- true; <-goOn }))
		ended <- err
	}()
	<-reading
	go func() {
		_, err := f.run(t.Context(), f.operator, during("EMAIL,TITLE\nann@x.ca,Second\n", func() { second <- true }))
		ended <- err
	}()
	select {
	case <-second:
		t.Error("the second began while the first was under way")
	case <-time.After(100 * time.Millisecond):
	}
	close(goOn)
	f.must(errors.Join(<-ended, <-ended))
	f.value("ann@x.ca", foyer.Title, "Second")
}

// TestR19_AnotherProcessWaits holds that on PostgreSQL an act of another process waits for one that is under way, and finds what that one wrote.
func TestR19_AnotherProcessWaits(t *testing.T) {
	if !storetest.OnPostgres() {
		return // there it is planned again: see below
	}
	f := newFixture(t)
	other := *f
	other.store, _ = foyertest.OpenStore(t, f.dir, f.clock.Now)
	ended := make(chan error, 1)
	_, err := f.run(t.Context(), f.operator, during("EMAIL,TITLE\nann@x.ca,First\n", func() {
		go func() {
			_, err := other.run(t.Context(), f.operator, csv("EMAIL,TITLE\nann@x.ca,Second\nbob@x.ca,\n"))
			ended <- err
		}()
		select {
		case err := <-ended:
			t.Errorf("the other one ended first: %v", err)
		case <-time.After(300 * time.Millisecond):
		}
	}))
	f.must(errors.Join(err, <-ended))
	f.value("ann@x.ca", foyer.Title, "Second")
	runs, err := f.store.Runs(t.Context(), f.operator, f.org, 0, false)
	f.must(err)
	if len(runs) != 2 || runs[0].Updated != 1 || runs[0].Added != 1 || runs[1].Added != 1 {
		t.Errorf("the runs are %+v", runs)
	}
}

func TestR19_BookChangedByAnotherProcessMeanwhileIsPlannedAgain(t *testing.T) {
	storetest.SQLiteOnly(t)
	f := newFixture(t)
	f.upload(f.hr, "EMAIL\nann@x.ca\n")
	other := *f
	other.store, _ = foyertest.OpenStore(t, f.dir, f.clock.Now)
	run, err := f.run(t.Context(), f.operator, during("EMAIL\nann@x.ca\nbob@x.ca\n", func() { other.add(set(foyer.Email, "bob@x.ca")) }))
	f.must(err)
	f.counts(run, foyer.Counts{Unchanged: 2})
	if !f.entry("bob@x.ca").Claimed(f.hr) {
		t.Error("bob is not claimed")
	}
}

func TestR20_CutFileAppliesNothing(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, everybody)
	f.refused(f.hr, "EMAIL,TITLE\nann@x.ca,Chief\ndan@x.ca,\"Boss")
}

func TestR20_SourceThatFailsAtItsEndAppliesNothing(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, everybody)
	before := f.dump()
	failed := errors.New("the last page failed")
	_, err := f.run(t.Context(), f.operator, rowsOf(func(yield func(*foyer.Row) error) ([]foyer.Problem, error) {
		_, err := csv("EMAIL,TITLE\nann@x.ca,Chief\ndan@x.ca,\n").Rows(yield)
		return nil, errors.Join(err, failed)
	}))
	if !errors.Is(err, failed) {
		t.Errorf("error %v", err)
	}
	for _, row := range written(before, f.dump()) {
		table, values, _ := strings.Cut(strings.TrimPrefix(row, "- "), ": ")
		if table != "book" && table != "alert" && (table != "run" || !strings.Contains(values, "|failed|")) {
			t.Errorf("wrote %s, want the failed run and its alert only", row)
		}
	}
}

func TestR23_FileWithoutOneUsableRowIsRefused(t *testing.T) {
	for name, file := range map[string]string{
		"header only": "EMAIL,SITE\n", "no email": "EMAIL,SITE\n,Toronto\n,Toronto\n", "bad emails": "EMAIL,SITE\nnobody,\nno one,\n",
		"unknown sites": "EMAIL,SITE\nann@x.ca,Nowhere\n", "bad cells": "EMAIL,ENABLED\nann@x.ca,perhaps\n",
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.upload(f.hr, everybody)
			if err := f.refused(f.hr, file); err.Kind != foyer.Invalid {
				t.Errorf("kind %d: %v", err.Kind, err)
			}
		})
	}
}

func TestR24_DryRunSaysTheSameAndWritesNothing(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, everybody)
	const file = "EMAIL,TITLE,SITE\nann@x.ca,Chief,\nbob@x.ca,Clerk,Nowhere\ndan@x.ca,,\n,Boss,\n"
	before := f.dump()
	dry, err := f.deliver(reconcile.Delivery{Source: f.hr, DryRun: true}, file)
	f.must(err)
	if rows := written(before, f.dump()); len(rows) > 0 {
		t.Errorf("wrote %s", strings.Join(rows, "\n"))
	}
	run := f.upload(f.hr, file)
	f.counts(run, foyer.Counts{Added: 1, Updated: 1, Disabled: 1, Skipped: 1, Errors: 1})
	if dry.Counts != run.Counts || !slices.Equal(dry.Problems, run.Problems) {
		t.Errorf("tried: %+v %v\napplied: %+v %v", dry.Counts, dry.Problems, run.Counts, run.Problems)
	}
}

// TestR24_DryRunShowsWhatEachNewPersonGets holds that the changes which are shown are each person's own: entries are made one after another in the same memory.
func TestR24_DryRunShowsWhatEachNewPersonGets(t *testing.T) {
	f := newFixture(t)
	dry, err := f.deliver(reconcile.Delivery{Source: f.hr, DryRun: true}, "EMAIL,TITLE\nann@x.ca,Chief\nbob@x.ca,Clerk\ndan@x.ca,Guard\n")
	f.must(err)
	var shown []string
	for _, c := range dry.Tried {
		for _, field := range c.Fields {
			shown = append(shown, field.After)
		}
	}
	if want := []string{"ann@x.ca", "Chief", "bob@x.ca", "Clerk", "dan@x.ca", "Guard"}; !slices.Equal(shown, want) {
		t.Errorf("shown are %q, want %q", shown, want)
	}
}

func TestR24_DryRunOfWhatIsRefusedWritesNothing(t *testing.T) {
	f := newFixture(t)
	before := f.dump()
	if _, err := f.deliver(reconcile.Delivery{Source: f.hr, DryRun: true}, "EMAIL\nnobody\n"); foyer.KindOf(err) != foyer.Invalid {
		t.Errorf("error %v", err)
	}
	if rows := written(before, f.dump()); len(rows) > 0 {
		t.Errorf("wrote %s", strings.Join(rows, "\n"))
	}
}

// logged returns the one change of a run on an entry, as text.
func (f *fixture) logged(run foyer.RunID, entry foyer.EntryID) string {
	f.t.Helper()
	var found []string
	for _, c := range f.changes(run) {
		if c.Entry != entry {
			continue
		}
		for _, field := range c.Fields {
			found = append(found, fmt.Sprintf("%s %q to %q", field.Field, field.Before, field.After))
		}
		if c.Status != nil {
			found = append(found, fmt.Sprintf("%v to %v", c.Status[0], c.Status[1]))
		}
		if c.Sites != nil {
			found = append(found, fmt.Sprintf("sites %v to %v", c.Sites[0], c.Sites[1]))
		}
		for _, flag := range c.Flags {
			found = append(found, fmt.Sprintf("%s %s to %s", flag.Name, flag.Before, flag.After))
		}
		for _, claim := range c.Claims {
			found = append(found, fmt.Sprintf("claimed %t to %t", claim.Before != nil, claim.After != nil))
		}
	}
	return strings.Join(found, "; ")
}

func TestR26_SyncIsLoggedBeforeAndAfter(t *testing.T) {
	f := newFixture(t)
	first := f.upload(f.hr, "EMAIL,TITLE,SITE\nann@x.ca,Boss,Toronto\nbob@x.ca,,\n")
	ann := f.entry("ann@x.ca").ID
	second := f.upload(f.hr, "EMAIL,TITLE,SITE\nann@x.ca,Chief,MTL\nbob@x.ca,,\n")
	third := f.upload(f.hr, "EMAIL\nbob@x.ca\n")
	for run, want := range map[*foyer.Run]string{
		first:  `email "" to "ann@x.ca"; title "" to "Boss"; disabled to enabled; sites [] to [L-1]; claimed false to true`,
		second: `title "Boss" to "Chief"; sites [L-1] to [L-2]`,
		third:  `enabled to disabled (absent); claimed true to false`,
	} {
		if got := f.logged(run.ID, ann); run == second && !strings.HasPrefix(got, want) || run != second && got != want {
			t.Errorf("%v logged %s\nwant %s", run.ID, got, want)
		}
	}
}

func TestR26_HandEditIsLoggedBeforeAndAfter(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,TITLE\nann@x.ca,Boss\n")
	edit := set(foyer.Title, "Chief")
	edit.AddSites, edit.Permanent, edit.Enabled = []foyer.SiteID{f.montreal}, new(true), new(false)
	act := f.edit("ann@x.ca", edit)
	const want = `title "Boss" to "Chief"; enabled to disabled (by hand); sites [] to [L-2]; permanent false to true`
	if got := f.logged(act, f.entry("ann@x.ca").ID); got != want {
		t.Errorf("logged %s\nwant   %s", got, want)
	}
}

func TestR26_EditThatChangesNothingIsNoAct(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,TITLE\nann@x.ca,Boss\n")
	before := f.dump()
	if act := f.edit("ann@x.ca", set(foyer.Title, "Boss")); act != 0 {
		t.Errorf("it is the act %v", act)
	}
	if rows := written(before, f.dump()); len(rows) > 0 {
		t.Errorf("wrote %s", strings.Join(rows, "\n"))
	}
}

func TestR18_RowsThatCannotBeKeptChangeNothing(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,TITLE\nann@x.ca,Chief\n")
	before := f.dump()
	d := reconcile.Delivery{Source: f.hr, Spill: reconcile.Spill{Dir: filepath.Join(f.dir, "gone"), Memory: 1}}
	_, err := f.deliver(d, "EMAIL,TITLE\nann@x.ca,Cook\nbob@x.ca,\n")
	if foyer.KindOf(err) != foyer.Busy || !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("error %v, want that it is to be tried again", err)
	}
	if !maps.Equal(before, f.dump()) {
		t.Error("the database changed")
	}
	d.Spill.Dir = f.dir
	_, err = f.deliver(d, "EMAIL,TITLE\nann@x.ca,Cook\nbob@x.ca,\n")
	f.must(err)
	f.value("ann@x.ca", foyer.Title, "Cook")
}
