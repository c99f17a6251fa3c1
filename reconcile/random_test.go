package reconcile_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"foyer"
	"foyer/foyertest"
	"foyer/store"
	"foyer/store/storetest"
)

// TestModel drives random sequences of uploads, acts of people and days against the engine and the model, and compares everything after
// each step. The same sequence goes to a second organization in which no row is ever skipped as unchanged: the books must be equal (R17).
func TestModel(t *testing.T) {
	batch, batches := 100, 1
	if os.Getenv("FOYER_LONG") == "1" {
		batch = 300
		batches = 100_000/batch + 1
	}
	setChecks(t, batch)
	for i := range batches {
		t.Run(fmt.Sprint("batch ", i), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			rapid.Check(t, func(r *rapid.T) {
				d := newDriver(r, w)
				for range rapid.IntRange(2, 16).Draw(r, "steps") {
					d.step()
					d.compare()
				}
				d.compareRuns()
			})
		})
	}
}

// setChecks says how many sequences a test tries, unless the command line does.
func setChecks(t *testing.T, checks int) {
	t.Helper()
	if storetest.OnPostgres() { // the rules are the same there, and TestModel_BothStoresEndEqual compares the two
		checks = (checks + 3) / 4
	}
	values := map[string]string{"rapid.checks": fmt.Sprint(checks), "rapid.nofailfile": "true"}
	if os.Getenv("FOYER_LONG") != "1" {
		values["rapid.seed"] = "7" // the same sequences each time; the long mode draws others
	}
	flag.Visit(func(f *flag.Flag) { delete(values, f.Name) }) // the command line wins
	for name, value := range values {
		if err := flag.Lookup(name).Value.Set(value); err != nil {
			t.Fatal(err)
		}
	}
}

// world is a store in which each sequence makes organizations of its own.
type world struct {
	t     *testing.T
	store *store.Store
	twin  *store.Store // nil, or another store in which the same is done to a copy of the organization
	clock *foyertest.Clock
	orgs  int
}

// place is an organization in a store.
type place struct {
	store *store.Store
	id    foyer.OrgID
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, clock: foyertest.NewClock()}
	w.store, _ = foyertest.OpenStore(t, t.TempDir(), w.clock.Now)
	return w
}

// driver does the same to the model, to an organization, and to one that skips nothing.
type driver struct {
	*rapid.T
	*world
	model  *model
	orgs   [2]place      // the second one keeps no row in memory, and skips none unless it is a twin
	active []modelSource // those that deliver in this sequence: with few the same files come back
	last   map[foyer.SourceID]map[string]foyer.Row
	files  map[foyer.SourceID][]rows // delivered so far
	loaded []modelUpload             // applied
	script []string
	ottawa bool
}

var operator = foyer.Operator("model")

// tight is a guard that holds often in so small a book.
var tight = foyer.Guard{Many: foyer.Limit{Count: 3, Percent: 40}, Few: foyer.Limit{Count: 2, Percent: 60}, Names: foyer.Limit{Count: 3, Percent: 50},
	Renames: foyer.Limit{Count: 2, Percent: 40}}

func newDriver(r *rapid.T, w *world) *driver {
	d := &driver{T: r, world: w, last: map[foyer.SourceID]map[string]foyer.Row{}, files: map[foyer.SourceID][]rows{}}
	d.model = &model{now: w.clock.Now(), book: &modelBook{emails: map[string]modelEmail{}, hashes: map[string]int{}}, prov: modelProv{}, erased: map[int]bool{},
		sites: map[string]foyer.SiteID{"Toronto": 1, "TORONTO": 1, "Montréal": 2, "montreal": 2, "MTL": 2}}
	priority := rapid.IntRange(0, 2)
	leave := rapid.IntRange(0, 3).Draw(r, "leave hand-made") == 0
	off := rapid.IntRange(0, 6).Draw(r, "guard off")
	for i, site := range []foyer.SiteID{0, 1, 2, 0} {
		src := modelSource{id: foyer.SourceID(i + 1), site: siteOf(site), priority: priority.Draw(r, "priority"), leave: leave && i == 3, guard: tight}
		src.guard.Off = off == i
		d.model.sources = append(d.model.sources, src)
	}
	d.active = rapid.Permutation(d.model.sources).Draw(r, "order")[:rapid.IntRange(1, 4).Draw(r, "active")]
	for _, src := range d.model.sources {
		d.say("source S-%d: sites %v, priority %d, leaves hand-made %t, guard off %t", src.id, src.site.ids(), src.priority, src.leave, src.guard.Off)
	}
	d.orgs[0] = d.newOrg()
	if d.twin == nil {
		d.orgs[1] = d.newOrg()
		return d
	}
	d.must(store.Copy(d.t.Context(), operator, d.store, d.twin, func(store.Copied) {}))
	d.orgs[1] = place{d.twin, d.orgs[0].id}
	return d
}

// newOrg makes an organization with the sites and sources of the model.
func (d *driver) newOrg() place {
	d.world.orgs++
	ctx, name := d.t.Context(), fmt.Sprint("Org ", d.world.orgs)
	org, err := d.store.CreateOrg(ctx, operator, name, "CA")
	if err != nil && foyer.KindOf(err) == foyer.Internal { // among so many organizations an id is drawn twice
		org, err = d.store.CreateOrg(ctx, operator, name, "CA")
	}
	d.must(err)
	for _, site := range []foyer.Site{{Name: "Toronto"}, {Name: "Montréal", Aliases: []string{"MTL"}}} {
		_, err := d.store.CreateSite(ctx, operator, org.ID, site)
		d.must(err)
	}
	for _, src := range d.model.sources {
		real := foyer.Source{Name: fmt.Sprint(src.id), Kind: foyer.CSV, Priority: src.priority, LeaveHandMade: src.leave, Guard: src.guard}
		for _, site := range src.site.ids() {
			real.Site = site
		}
		_, err := d.store.CreateSource(ctx, operator, org.ID, real)
		d.must(err)
	}
	return place{d.store, org.ID}
}

// say notes a step, for the report of a failure.
func (d *driver) say(format string, args ...any) {
	d.script = append(d.script, fmt.Sprintf(format, args...))
}

// fail reports the steps so far and what is wrong.
func (d *driver) fail(format string, args ...any) {
	d.Fatalf("%s\n%s", strings.Join(d.script, "\n"), fmt.Sprintf(format, args...))
}

func (d *driver) must(err error) {
	if err != nil {
		d.fail("%v", err)
	}
}

// compare holds the book against the model, and against the one for which no row was skipped.
func (d *driver) compare() {
	got, again := d.read(d.orgs[0]), d.read(d.orgs[1])
	for _, who := range d.model.book.everybody() {
		id := foyer.EntryID(who)
		if got.people[id] == nil {
			d.fail("%v is not there", id)
		}
		if got, want := d.seen(got.people[id], got.claims[id]), d.expected(d.model.book.who(who)); !reflect.DeepEqual(got, want) {
			d.fail("%v:\n got %+v\nwant %+v", id, got, want)
		}
	}
	if there := d.model.book.everybody(); len(there) != len(got.people) {
		d.fail("there are %v, want %v", slices.Sorted(maps.Keys(got.people)), there)
	}
	want := map[string]foyer.Address{}
	for key, e := range d.model.book.emails {
		want[key] = foyer.Address{Entry: foyer.EntryID(e.who), Alias: e.alias}
	}
	if !maps.Equal(got.emails, want) {
		d.fail("the emails mean %v\nwant            %v", got.emails, want)
	}
	for id, e := range got.people {
		if !sameEntry(e, again.people[id]) {
			d.fail("R17: where rows are skipped:\n     %+v\nelse %+v", e, again.people[id])
		}
	}
	if !maps.Equal(got.emails, again.emails) {
		d.fail("R17: where rows are skipped the emails mean %v, else %v", got.emails, again.emails)
	}
}

// compareRuns holds what became of the acts against the model.
func (d *driver) compareRuns() {
	for i, org := range d.orgs {
		runs, err := org.store.Runs(d.t.Context(), operator, org.id, 0, true)
		d.must(err)
		status := map[foyer.RunID]foyer.RunStatus{}
		for _, run := range runs {
			status[run.ID] = run.Status
		}
		for _, act := range d.model.acts {
			if act.runs[i] != 0 && status[act.runs[i]] != act.status {
				d.fail("organization %d: %v is %s, want %s", i, act.runs[i], status[act.runs[i]], act.status)
			}
		}
	}
}

// sameEntry compares all of two entries.
func sameEntry(a, b *foyer.Entry) bool { return reflect.DeepEqual(a, b) }

// picture is a book as it is read.
type picture struct {
	people map[foyer.EntryID]*foyer.Entry
	claims map[foyer.EntryID][modelSources]modelClaim
	emails map[string]foyer.Address
}

func (d *driver) read(org place) *picture {
	pic := &picture{map[foyer.EntryID]*foyer.Entry{}, map[foyer.EntryID][modelSources]modelClaim{}, map[string]foyer.Address{}}
	d.must(org.store.View(d.t.Context(), operator, org.id, func(b *store.Book) error {
		var ids []foyer.EntryID
		for id := foyer.EntryID(1); id < b.NextEntry; id++ {
			ids = append(ids, id)
		}
		err := b.Entries(ids, func(e *foyer.Entry) error {
			pic.people[e.ID] = e
			return nil
		})
		if err != nil {
			return err
		}
		for _, src := range d.model.sources {
			if err := pic.readClaims(b, src.id); err != nil {
				return err
			}
		}
		return b.Addresses(universe, func(key string, a foyer.Address) { pic.emails[key] = a })
	}))
	return pic
}

func (pic *picture) readClaims(b *store.Book, source foyer.SourceID) error {
	claims, err := b.Claims(source)
	if err != nil {
		return err
	}
	for i := range claims.Len() {
		claim, all := claims.Claim(i), pic.claims[claims.Entry(i)]
		c := modelClaim{listed: true, disabled: claim.Disabled}
		for _, site := range claim.Sites {
			c.sites |= siteOf(site)
		}
		all[source] = c
		pic.claims[claims.Entry(i)] = all
	}
	return nil
}

// view is what the model says of an entry.
type view struct {
	Values    [foyer.NumFields]string
	Owners    [foyer.NumFields]foyer.SourceID
	Guesses   [foyer.NumFields]bool
	Keeps     [foyer.NumFields]modelKeep
	Mobile    string
	HandSites []foyer.SiteID
	Sites     []foyer.SiteID
	ClaimedBy []foyer.SourceID
	Claims    [modelSources]modelClaim
	IDs       [modelSources]string
	Enabled   bool
	Reason    foyer.Reason
	Permanent bool
	Pinned    bool
	Notes     string
}

func (d *driver) seen(e *foyer.Entry, claims [modelSources]modelClaim) view {
	v := view{Values: e.Values, Mobile: e.E164[0], HandSites: slices.Clip(e.HandSites), Sites: e.Sites, ClaimedBy: e.ClaimedBy, Claims: claims,
		Enabled: e.Enabled, Reason: e.Reason, Permanent: e.Permanent, Pinned: e.Pinned, Notes: e.Notes}
	for f, o := range e.Origins {
		v.Owners[f], v.Guesses[f] = o.Owner, o.Guess
	}
	for f, k := range e.Keeps {
		if k.Holds(d.model.now) {
			v.Keeps[f] = modelKeep{true, k.Until.UTC()}
		}
	}
	for _, id := range e.IDs {
		v.IDs[id.Source] = id.ID
	}
	return v
}

func (d *driver) expected(p *modelPerson) view {
	v := view{Values: p.values, Owners: p.owners, Guesses: p.guesses, Mobile: modelE164[p.values[foyer.Mobile]], HandSites: p.hand.ids(), Sites: p.sites.ids(),
		ClaimedBy: p.listers(), Claims: p.claims, IDs: p.ids, Enabled: p.enabled, Reason: p.reason, Permanent: p.permanent, Pinned: p.pinned, Notes: p.notes}
	for f := foyer.Email; f < foyer.NumFields; f++ {
		if d.model.kept(p, f) {
			v.Keeps[f] = modelKeep{true, p.keeps[f].until.UTC()}
		}
	}
	return v
}
