package reconcile_test

import (
	"bytes"
	"crypto/sha256"
	"maps"
	"slices"
	"testing"

	"foyer"
	"foyer/csvfile"
	"foyer/foyertest"
	"foyer/reconcile"
	"foyer/store"
)

// rows is a delivery that is made in the test.
type rows []foyer.Row

// Rows implements reconcile.Input.
func (r rows) Rows(yield func(*foyer.Row) error) ([]foyer.Problem, error) {
	for i := range r {
		row := r[i]
		if err := yield(&row); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// csv is a delivery of a file.
type csv string

// Rows implements reconcile.Input.
func (file csv) Rows(yield func(*foyer.Row) error) ([]foyer.Problem, error) {
	sniffer := &csvfile.Sniffer{}
	sniffer.Write([]byte(file))
	return csvfile.Rows(bytes.NewReader([]byte(file)), sniffer, csvfile.Options{}, yield)
}

// fixture is an organization in Canada with the sites Toronto and Montréal, and a source "hr" that covers all of it.
type fixture struct {
	t                 *testing.T
	dir               string
	store             *store.Store
	clock             *foyertest.Clock
	operator          foyer.Caller
	org               foyer.OrgID
	toronto, montreal foyer.SiteID
	hr                foyer.SourceID
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{t: t, dir: t.TempDir(), clock: foyertest.NewClock(), operator: foyer.Operator("root")}
	f.store, _ = foyertest.OpenStore(t, f.dir, f.clock.Now)
	org, err := f.store.CreateOrg(t.Context(), f.operator, "Acme", "CA")
	f.must(err)
	f.org = org.ID
	f.toronto = f.site(foyer.Site{Name: "Toronto"})
	f.montreal = f.site(foyer.Site{Name: "Montréal", Aliases: []string{"MTL"}})
	f.hr = f.source(foyer.Source{Name: "hr"})
	return f
}

func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) site(site foyer.Site) foyer.SiteID {
	f.t.Helper()
	made, err := f.store.CreateSite(f.t.Context(), f.operator, f.org, site)
	f.must(err)
	return made.ID
}

func (f *fixture) source(source foyer.Source) foyer.SourceID {
	f.t.Helper()
	source.Kind = foyer.CSV
	made, err := f.store.CreateSource(f.t.Context(), f.operator, f.org, source)
	f.must(err)
	return made.ID
}

// deliver runs a delivery; its organization and input are filled in.
func (f *fixture) deliver(d reconcile.Delivery, file string) (*foyer.Run, error) {
	digest := sha256.Sum256([]byte(file))
	d.Org, d.Digest = f.org, digest[:]
	d.Input = func(*foyer.Source) reconcile.Input { return csv(file) }
	return reconcile.Run(f.t.Context(), f.store, f.operator, d)
}

// upload delivers a file that must be applied.
func (f *fixture) upload(source foyer.SourceID, file string) *foyer.Run {
	f.t.Helper()
	run, err := f.deliver(reconcile.Delivery{Source: source}, file)
	f.must(err)
	return run
}

// refused delivers a file that must be refused, and returns why.
func (f *fixture) refused(source foyer.SourceID, file string) *foyer.Error {
	f.t.Helper()
	before := f.book()
	run, err := f.deliver(reconcile.Delivery{Source: source}, file)
	if err == nil {
		f.t.Fatalf("was applied: %+v", run.Counts)
	}
	if run.Status != foyer.Refused {
		f.t.Errorf("the run is %s, want refused", run.Status)
	}
	f.same(before, f.book())
	refusal, ok := err.(*foyer.Error)
	if !ok {
		f.t.Fatalf("is no *foyer.Error: %v", err)
	}
	return refusal
}

func (f *fixture) add(edit reconcile.Edit) *foyer.Entry {
	f.t.Helper()
	entry, err := reconcile.Add(f.t.Context(), f.store, f.operator, f.org, edit)
	f.must(err)
	return entry
}

func (f *fixture) edit(name string, edit reconcile.Edit) foyer.RunID {
	f.t.Helper()
	_, act, err := reconcile.Change(f.t.Context(), f.store, f.operator, f.org, reconcile.ParseName(name), edit)
	f.must(err)
	return act
}

// set is an edit of one field.
func set(field foyer.Field, value string) reconcile.Edit {
	return reconcile.Edit{Values: map[foyer.Field]string{field: value}}
}

// book returns all entries by email.
func (f *fixture) book() map[string]*foyer.Entry {
	f.t.Helper()
	book := map[string]*foyer.Entry{}
	f.must(f.store.Entries(f.t.Context(), f.operator, f.org, func(e *foyer.Entry) error {
		book[e.Values[foyer.Email]] = e
		return nil
	}))
	return book
}

func (f *fixture) entry(email string) *foyer.Entry {
	f.t.Helper()
	book := f.book()
	if book[email] == nil {
		f.t.Fatalf("there is no entry %s, but %q", email, slices.Sorted(maps.Keys(book)))
	}
	return book[email]
}

// changes returns what a run did.
func (f *fixture) changes(run foyer.RunID) (changes []*foyer.Change) {
	f.t.Helper()
	f.must(f.store.Changes(f.t.Context(), f.operator, f.org, run, func(c *foyer.Change) error {
		changes = append(changes, c)
		return nil
	}))
	return changes
}

// The wants. Each says what it wants when it does not get it.

func (f *fixture) value(email string, field foyer.Field, want string) {
	f.t.Helper()
	if got := f.entry(email).Values[field]; got != want {
		f.t.Errorf("%s of %s = %q, want %q", field, email, got, want)
	}
}

func (f *fixture) owner(email string, field foyer.Field, want foyer.SourceID) {
	f.t.Helper()
	if got := f.entry(email).Origins[field].Owner; got != want {
		f.t.Errorf("owner of %s of %s = %v, want %v", field, email, got, want)
	}
}

func (f *fixture) status(email, want string) {
	f.t.Helper()
	e := f.entry(email)
	if got := (foyer.Status{Enabled: e.Enabled, Reason: e.Reason}).String(); got != want {
		f.t.Errorf("%s is %s, want %s", email, got, want)
	}
}

func (f *fixture) sites(email string, want ...foyer.SiteID) {
	f.t.Helper()
	if got := f.entry(email).Sites; !slices.Equal(got, want) {
		f.t.Errorf("sites of %s = %v, want %v", email, got, want)
	}
}

func (f *fixture) emails(want ...string) {
	f.t.Helper()
	if got := slices.Sorted(maps.Keys(f.book())); !slices.Equal(got, want) {
		f.t.Errorf("the book has %q, want %q", got, want)
	}
}

// counts compares a run's counts but for how many rows were read.
func (f *fixture) counts(run *foyer.Run, want foyer.Counts) {
	f.t.Helper()
	got := run.Counts
	got.Rows, got.Listed = want.Rows, want.Listed
	if got != want {
		f.t.Errorf("counts = %+v\nwant     %+v\nproblems: %v", got, want, run.Problems)
	}
}

// same compares two books.
func (f *fixture) same(before, after map[string]*foyer.Entry) {
	f.t.Helper()
	for _, email := range slices.Sorted(maps.Keys(after)) {
		if was := before[email]; was == nil || !sameEntry(was, after[email]) {
			f.t.Errorf("%s changed: from %+v to %+v", email, was, after[email])
		}
	}
	if len(before) != len(after) {
		f.t.Errorf("from %d entries to %d", len(before), len(after))
	}
}
