package reconcile_test

import (
	"crypto/sha256"
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
	"foyer/reconcile"
	"foyer/store"
)

// TestModel drives random sequences of uploads, edits and settings against the engine and the model, and compares everything after each step.
// The same sequence goes to a second organization in which no row is ever skipped as unchanged: the books must be equal (R17).
func TestModel(t *testing.T) {
	checks := "300"
	if os.Getenv("FOYER_LONG") == "1" {
		checks = "10000"
	}
	for name, value := range map[string]string{"rapid.checks": checks, "rapid.nofailfile": "true"} {
		if f := flag.Lookup(name); f.Value.String() == f.DefValue { // the command line wins
			if err := f.Value.Set(value); err != nil {
				t.Fatal(err)
			}
		}
	}
	s, _ := foyertest.OpenStore(t, t.TempDir(), nil)
	orgs := 0
	rapid.Check(t, func(r *rapid.T) {
		d := newDriver(r, t, s, &orgs)
		for range rapid.IntRange(2, 16).Draw(r, "steps") {
			d.step()
			d.compare()
		}
	})
}

// driver does the same to the model, to an organization, and to one that skips nothing.
type driver struct {
	*rapid.T
	t      *testing.T
	store  *store.Store
	model  *model
	orgs   [2]foyer.OrgID // the second one skips no row, and keeps none in memory
	active []modelSource  // those that deliver in this sequence: with few the same files come back
	last   map[foyer.SourceID]map[string]foyer.Row
	digest map[foyer.SourceID][32]byte // of the last upload applied
	script []string
	ottawa bool
}

var operator = foyer.Operator("model")

// never is a guard that holds nothing.
var never = foyer.Guard{Many: foyer.Limit{Count: 1000}, Few: foyer.Limit{Count: 1000}, Renames: foyer.Limit{Count: 1000}, Names: foyer.Limit{Count: 1000}}

func newDriver(r *rapid.T, t *testing.T, s *store.Store, orgs *int) *driver {
	d := &driver{T: r, t: t, store: s, last: map[foyer.SourceID]map[string]foyer.Row{}, digest: map[foyer.SourceID][32]byte{}}
	d.model = &model{emails: map[string]modelEmail{}, sites: map[string]foyer.SiteID{
		"Toronto": 1, "TORONTO": 1, "Montréal": 2, "montreal": 2, "MTL": 2,
	}}
	priority := rapid.IntRange(0, 2)
	leave := rapid.IntRange(0, 3).Draw(r, "leave hand-made") == 0
	for i, site := range []foyer.SiteID{0, 1, 2, 0} {
		id := foyer.SourceID(i + 1)
		d.model.sources = append(d.model.sources, modelSource{id: id, site: site, priority: priority.Draw(r, "priority"), leave: leave && i == 3})
	}
	d.active = rapid.Permutation(d.model.sources).Draw(r, "order")[:rapid.IntRange(1, 4).Draw(r, "active")]
	d.say("sources %+v", d.model.sources)
	for i := range d.orgs {
		*orgs++
		name := fmt.Sprint("Org ", *orgs)
		org, err := s.CreateOrg(t.Context(), operator, name, "CA")
		if err != nil && foyer.KindOf(err) == foyer.Internal { // among so many organizations an id is drawn twice
			org, err = s.CreateOrg(t.Context(), operator, name, "CA")
		}
		d.must(err)
		d.orgs[i] = org.ID
		for _, site := range []foyer.Site{{Name: "Toronto"}, {Name: "Montréal", Aliases: []string{"MTL"}}} {
			_, err := s.CreateSite(t.Context(), operator, org.ID, site)
			d.must(err)
		}
		for _, src := range d.model.sources {
			_, err := s.CreateSource(t.Context(), operator, org.ID, foyer.Source{Name: fmt.Sprint(src.id), Kind: foyer.CSV, Site: src.site,
				Priority: src.priority, LeaveHandMade: src.leave, Guard: never})
			d.must(err)
		}
	}
	return d
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

func (d *driver) step() {
	switch kind := rapid.IntRange(0, 19).Draw(d.T, "kind"); {
	case kind < 12:
		d.upload()
	case kind < 17:
		d.editSomeone()
	case kind < 19:
		d.addSomeone()
	default:
		d.newSite()
	}
}

// newSite makes a site that files named before it was there.
func (d *driver) newSite() {
	if d.ottawa {
		return
	}
	d.ottawa = true
	d.say("new site Ottawa, alias YOW")
	d.model.sites["Ottawa"], d.model.sites["YOW"] = 3, 3
	for _, org := range d.orgs {
		_, err := d.store.CreateSite(d.t.Context(), operator, org, foyer.Site{Name: "Ottawa", Aliases: []string{"YOW"}})
		d.must(err)
	}
}

// The universe. What stands twice is drawn twice as often.
var (
	universe   = []string{"ann@x.ca", "bob@x.ca", "cat@x.ca", "dan@x.ca", "eve@x.ca"}
	anyEmail   = rapid.SampledFrom(append([]string{"Ann@X.ca", "ann.x.ca", "\u212Aat@x.ca", "", "BOB@x.ca"}, universe...))
	goodEmail  = rapid.SampledFrom(append([]string{"Ann@x.ca"}, universe...))
	firstNames = rapid.SampledFrom([]string{"", "", "", "René", "Ren?", "Rob"})
	lastNames  = rapid.SampledFrom([]string{"", "", "", "Jones", "Smith"})
	displays   = rapid.SampledFrom([]string{"", "", "", "René Jones", "Ren? Jones", "Jones, Rob", "Rob", "Rob Jones"})
	titles     = rapid.SampledFrom([]string{"", "", "Boss", "Clerk"})
	phones     = rapid.SampledFrom([]string{"", "", "416-555-0100", "(416) 555-0100", "12"})
	cells      = rapid.SampledFrom([]string{"", "", "", "Toronto", "TORONTO", "Montréal", "montreal", "MTL", "Toronto;Montréal", "Ottawa", "YOW; Toronto", "Nowhere"})
	offices    = rapid.SampledFrom([]string{"", "", "", "", "Toronto", "MTL", "Ottawa"})
	enableds   = rapid.SampledFrom([]foyer.Tristate{foyer.Unsaid, foyer.Unsaid, foyer.Unsaid, foyer.Yes, foyer.No})
)

func (d *driver) drawRow(email string) foyer.Row {
	var row foyer.Row
	row.Values[foyer.Email] = email
	row.Values[foyer.FirstName] = firstNames.Draw(d.T, "first")
	row.Values[foyer.LastName] = lastNames.Draw(d.T, "last")
	row.Values[foyer.DisplayName] = displays.Draw(d.T, "display")
	row.Values[foyer.Title] = titles.Draw(d.T, "title")
	row.Values[foyer.Mobile] = phones.Draw(d.T, "mobile")
	row.Site = cells.Draw(d.T, "site")
	row.Office = offices.Draw(d.T, "office")
	row.Enabled = enableds.Draw(d.T, "enabled")
	return row
}

// drawFile makes a file of rows like those of the source's last one, of new ones, and of odd ones.
func (d *driver) drawFile(src modelSource) (file rows) {
	if d.last[src.id] == nil {
		d.last[src.id] = map[string]foyer.Row{}
	}
	for _, email := range universe {
		fate := rapid.IntRange(0, 9).Draw(d.T, "fate of "+email)
		row, known := d.last[src.id][email]
		switch {
		case fate < 2:
			continue
		case !known || fate < 4:
			row = d.drawRow(email)
			if src.site != 0 && rapid.IntRange(0, 3).Draw(d.T, "own site") > 0 {
				row.Site = []string{"Toronto", "MTL"}[src.site-1]
			}
			d.last[src.id][email] = row
		}
		file = append(file, row)
	}
	for range max(0, rapid.IntRange(-3, 2).Draw(d.T, "odd rows")) {
		file = append(file, d.drawOdd())
	}
	if rapid.IntRange(0, 3).Draw(d.T, "turned round") == 0 {
		slices.Reverse(file)
	}
	for i := range file {
		file[i].Line = i + 2
	}
	return file
}

// drawOdd makes a row that may be a second one of an email, or have no email, a bad one, or another error.
func (d *driver) drawOdd() foyer.Row {
	row := d.drawRow(anyEmail.Draw(d.T, "email"))
	email := row.Values[foyer.Email]
	row.Bad = rapid.IntRange(0, 3).Draw(d.T, "bad") == 0
	if row.Bad {
		row.Problems = []foyer.Problem{{Column: "ENABLED", Message: "is neither yes nor no", Error: true}}
	}
	if (row.Bad || email != "" && modelKey(email) == "") && rapid.Bool().Draw(d.T, "mentions") {
		row.Mentions = []string{goodEmail.Draw(d.T, "mentioned")}
	}
	return row
}

func (d *driver) upload() {
	src := rapid.SampledFrom(d.active).Draw(d.T, "source")
	file := d.drawFile(src)
	d.say("upload to S-%d:", src.id)
	for _, row := range file {
		d.say("  %s", describe(&row))
	}
	digest := sha256.Sum256(fmt.Append(nil, file))
	want, refused, ok := d.model.sync(src, file)
	for i, org := range d.orgs {
		run, err := reconcile.Run(d.t.Context(), d.store, operator, reconcile.Delivery{Org: org, Source: src.id, Digest: digest[:], NoSkip: i == 1, Spill: reconcile.Spill{Memory: i},
			Input: func(*foyer.Source) reconcile.Input { return file }})
		if !ok {
			if err == nil || foyer.KindOf(err) != refused {
				d.fail("organization %d: error %v, want one of kind %d", i, err, refused)
			}
			continue
		}
		d.must(err)
		got := run.Counts
		for _, p := range run.Problems {
			if p.Column == "office" || strings.HasPrefix(p.Message, "renamed?") {
				got.Warnings-- // the model has no such thing
			}
		}
		if digest == d.digest[src.id] {
			got.Warnings = want.Warnings // where the same bytes are not looked at again, those of the last time are repeated
		}
		if got != want {
			d.fail("organization %d:\ncounts %+v\nwant   %+v\nproblems %v", i, got, want, run.Problems)
		}
	}
	if ok {
		d.digest[src.id] = digest
	}
}

func describe(row *foyer.Row) string {
	text := ""
	for f, value := range row.Values {
		if value != "" {
			text += fmt.Sprintf("%s=%q ", foyer.Field(f), value)
		}
	}
	for name, value := range map[string]string{"site": row.Site, "office": row.Office} {
		if value != "" {
			text += fmt.Sprintf("%s=%q ", name, value)
		}
	}
	text += []string{"", "enabled=yes ", "enabled=no "}[row.Enabled]
	if row.Bad {
		text += "BAD "
	}
	if len(row.Mentions) > 0 {
		text += fmt.Sprintf("mentions=%q", row.Mentions)
	}
	return text
}

// drawEdit draws a change by hand.
func (d *driver) drawEdit() modelEdit {
	e := modelEdit{values: map[foyer.Field]string{}}
	switch rapid.IntRange(0, 9).Draw(d.T, "edit") {
	case 0:
		e.values[foyer.Title] = titles.Draw(d.T, "title")
	case 1:
		e.values[foyer.FirstName] = firstNames.Draw(d.T, "first")
	case 2:
		e.values[foyer.DisplayName] = displays.Draw(d.T, "display")
		e.values[foyer.Mobile] = phones.Draw(d.T, "mobile")
	case 3, 9:
		e.values[foyer.Email] = goodEmail.Draw(d.T, "email")
	case 4:
		e.add = rapid.SampledFrom([]foyer.SiteID{1, 2}).Draw(d.T, "add site")
	case 5:
		e.remove = rapid.SampledFrom([]foyer.SiteID{1, 2}).Draw(d.T, "remove site")
	case 6:
		e.permanent = new(rapid.Bool().Draw(d.T, "permanent"))
	case 7:
		e.enabled = new(false)
	case 8:
		e.enabled = new(true)
	}
	return e
}

func (e modelEdit) String() string {
	text := ""
	for f, value := range e.values {
		text += fmt.Sprintf("%s=%q ", f, value)
	}
	if e.enabled != nil {
		text += fmt.Sprint("enabled=", *e.enabled, " ")
	}
	if e.permanent != nil {
		text += fmt.Sprint("permanent=", *e.permanent, " ")
	}
	return text + fmt.Sprintf("sites +%d -%d", e.add, e.remove)
}

func (e modelEdit) real() reconcile.Edit {
	edit := reconcile.Edit{Values: maps.Clone(e.values), Enabled: e.enabled, Permanent: e.permanent}
	if e.add != 0 {
		edit.AddSites = []foyer.SiteID{e.add}
	}
	if e.remove != 0 {
		edit.RemoveSites = []foyer.SiteID{e.remove}
	}
	return edit
}

func (d *driver) editSomeone() {
	if len(d.model.emails) == 0 {
		return
	}
	email := rapid.SampledFrom(slices.Sorted(maps.Keys(d.model.emails))).Draw(d.T, "whom") // an alias will do
	edit := d.drawEdit()
	d.say("edit %s: %v", email, edit)
	ok := d.model.edit(d.model.emails[email].who, edit)
	for _, org := range d.orgs {
		_, _, err := reconcile.Change(d.t.Context(), d.store, operator, org, reconcile.ParseName(email), edit.real())
		d.conflict(ok, err)
	}
}

func (d *driver) addSomeone() {
	email := goodEmail.Draw(d.T, "email")
	for _, key := range slices.Sorted(maps.Keys(d.model.emails)) {
		if d.model.emails[key].alias && rapid.Bool().Draw(d.T, "an earlier email") {
			email = key
		}
	}
	edit := modelEdit{values: map[foyer.Field]string{foyer.Email: email, foyer.Title: titles.Draw(d.T, "title"),
		foyer.FirstName: firstNames.Draw(d.T, "first")}}
	edit.add = rapid.SampledFrom([]foyer.SiteID{0, 1, 2}).Draw(d.T, "site")
	if rapid.IntRange(0, 3).Draw(d.T, "permanent") == 0 {
		edit.permanent = new(true)
	}
	d.say("add %v", edit)
	ok := d.model.add(edit)
	for _, org := range d.orgs {
		_, err := reconcile.Add(d.t.Context(), d.store, operator, org, edit.real())
		d.conflict(ok, err)
	}
}

func (d *driver) conflict(ok bool, err error) {
	if ok {
		d.must(err)
	} else if foyer.KindOf(err) != foyer.Conflict {
		d.fail("error %v, want a conflict", err)
	}
}

// compare holds the book against the model, and against the one for which no row was skipped.
func (d *driver) compare() {
	book, aliases := d.read(d.orgs[0])
	if len(book) != len(d.model.people) {
		d.fail("%d entries, want %d", len(book), len(d.model.people))
	}
	for i, p := range d.model.people {
		if got, want := seen(book[i]), d.model.expected(p); !reflect.DeepEqual(got, want) {
			d.fail("%v:\n got %+v\nwant %+v", book[i].ID, got, want)
		}
	}
	for email, e := range d.model.emails {
		if got := aliases[email]; got != (foyer.Address{Entry: foyer.EntryID(e.who.id + 1), Alias: e.alias}) {
			d.fail("%s means %+v, want E-%d, alias %v", email, got, e.who.id+1, e.alias)
		}
	}
	again, aliasesAgain := d.read(d.orgs[1])
	for i := range book {
		if !sameEntry(book[i], again[i]) {
			d.fail("R17: where rows are skipped:\n     %+v\nelse %+v", book[i], again[i])
		}
	}
	if !maps.Equal(aliases, aliasesAgain) {
		d.fail("R17: where rows are skipped the emails mean %v, else %v", aliases, aliasesAgain)
	}
}

// sameEntry compares all of two entries.
func sameEntry(a, b *foyer.Entry) bool { return reflect.DeepEqual(a, b) }

func (d *driver) read(org foyer.OrgID) (book []*foyer.Entry, emails map[string]foyer.Address) {
	emails = map[string]foyer.Address{}
	d.must(d.store.View(d.t.Context(), operator, org, func(b *store.Book) error {
		var ids []foyer.EntryID
		for id := foyer.EntryID(1); id < b.NextEntry; id++ {
			ids = append(ids, id)
		}
		err := b.Entries(ids, func(e *foyer.Entry) error {
			book = append(book, e)
			return nil
		})
		if err != nil {
			return err
		}
		return b.Addresses(universe, func(key string, a foyer.Address) { emails[key] = a })
	}))
	return book, emails
}

// view is what the model says of an entry.
type view struct {
	Values    [foyer.NumFields]string
	Owners    [foyer.NumFields]foyer.SourceID
	Guesses   [foyer.NumFields]bool
	Mobile    string
	HandSites []foyer.SiteID
	Sites     []foyer.SiteID
	ClaimedBy []foyer.SourceID
	Enabled   bool
	Reason    foyer.Reason
	Permanent bool
}

func seen(e *foyer.Entry) view {
	v := view{Values: e.Values, Mobile: e.E164[0], HandSites: e.HandSites, Sites: e.Sites, ClaimedBy: e.ClaimedBy, Enabled: e.Enabled, Reason: e.Reason, Permanent: e.Permanent}
	for f, o := range e.Origins {
		v.Owners[f], v.Guesses[f] = o.Owner, o.Guess
	}
	return v
}

func (m *model) expected(p *modelPerson) view {
	return view{Values: p.values, Owners: p.owners, Guesses: p.guesses, Mobile: modelE164[p.values[foyer.Mobile]], HandSites: slices.Sorted(maps.Keys(p.hand)),
		Sites: slices.Sorted(maps.Keys(p.sites)), ClaimedBy: slices.Sorted(maps.Keys(p.claims)), Enabled: p.enabled, Reason: p.reason, Permanent: p.permanent}
}
