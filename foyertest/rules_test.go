package foyertest_test

import (
	"strings"
	"testing"

	"foyer"
	"foyer/foyertest"
	"foyer/reconcile"
	"foyer/store"
)

// These tests hold the rules through the whole server: a file goes in as a customer's script sends it, and the book is looked at.

// applied uploads a file that must be applied.
func applied(t *testing.T, f *foyertest.Foyer, lines ...string) string {
	t.Helper()
	reply := f.Upload(t, strings.Join(lines, "\n")+"\n")
	if reply.Status != 200 {
		t.Fatalf("the upload was answered %d: %s", reply.Status, reply.Body)
	}
	return reply.Body
}

// want compares a field of an entry.
func want(t *testing.T, f *foyertest.Foyer, email string, field foyer.Field, value string) {
	t.Helper()
	e := f.Book(t)[email]
	if e == nil {
		t.Fatalf("%s is not in the book", email)
	}
	if e.Values[field] != value {
		t.Errorf("the %s of %s is %q, want %q", field.Label(), email, e.Values[field], value)
	}
}

// wantStatus compares the status of an entry.
func wantStatus(t *testing.T, f *foyertest.Foyer, email, status string) {
	t.Helper()
	e := f.Book(t)[email]
	if e == nil {
		t.Fatalf("%s is not in the book", email)
	}
	if got := (foyer.Status{Enabled: e.Enabled, Reason: e.Reason}).String(); got != status {
		t.Errorf("%s is %s, want %s", email, got, status)
	}
}

func wantCounts(t *testing.T, reply, counts string) {
	t.Helper()
	if !strings.Contains(reply, counts) {
		t.Errorf("the reply is %q, want %q in it", reply, counts)
	}
}

func set(field foyer.Field, value string) reconcile.Edit {
	return reconcile.Edit{Values: map[foyer.Field]string{field: value}}
}

func enabled(on bool) reconcile.Edit { return reconcile.Edit{Enabled: &on} }

func TestR1_EmailsDifferOnlyInCase(t *testing.T) {
	f := foyertest.Start(t)
	applied(t, f, "EMAIL,TITLE", "Ann@Test.com,A")
	wantCounts(t, applied(t, f, "EMAIL,TITLE", "ann@TEST.COM,B"), "added=0 updated=1")
}

func TestR1_LookalikeIsRefused(t *testing.T) {
	f := foyertest.Start(t)
	reply := applied(t, f, "EMAIL", "kim@test.com", "\u212Aim@test.com")
	wantCounts(t, reply, "added=1")
	wantCounts(t, reply, "errors=1")
}

func TestR2_FormerEmailStillMatches(t *testing.T) {
	f := foyertest.Start(t)
	applied(t, f, "EMAIL,TITLE", "ann@test.com,A", "bob@test.com,B")
	f.Edit(t, "ann@test.com", set(foyer.Email, "ann.lee@test.com"))
	wantCounts(t, applied(t, f, "EMAIL,TITLE", "ann@test.com,C", "bob@test.com,B"), "added=0 updated=1 disabled=0")
	want(t, f, "ann.lee@test.com", foyer.Title, "C")
}

func TestR2_FormerEmailBesideTheCurrentIsSomeoneNew(t *testing.T) {
	f := foyertest.Start(t)
	applied(t, f, "EMAIL,TITLE", "ann@test.com,A")
	f.Edit(t, "ann@test.com", set(foyer.Email, "ann.lee@test.com"))
	applied(t, f, "EMAIL,TITLE", "ann@test.com,A")
	wantCounts(t, applied(t, f, "EMAIL,TITLE", "ann@test.com,A", "ann.lee@test.com,B"), "added=1 updated=1 disabled=0")
}

func TestR4_SyncOverwritesWhatWasTyped(t *testing.T) {
	f := foyertest.Start(t)
	if _, err := reconcile.Add(t.Context(), f.Store, f.Operator, f.Org.ID, reconcile.Edit{Values: map[foyer.Field]string{foyer.Email: "ann@test.com", foyer.Title: "typed"}}); err != nil {
		t.Fatal(err)
	}
	applied(t, f, "EMAIL,TITLE", "ann@test.com,synced")
	want(t, f, "ann@test.com", foyer.Title, "synced")
}

func TestR5_EmptySaysNothing(t *testing.T) {
	f := foyertest.Start(t)
	applied(t, f, "EMAIL,TITLE,SITE", "ann@test.com,Boss,Toronto")
	wantCounts(t, applied(t, f, "EMAIL,TITLE,SITE", "ann@test.com,,"), "unchanged=1")
	wantCounts(t, applied(t, f, "EMAIL", "ann@test.com"), "unchanged=1")
	want(t, f, "ann@test.com", foyer.Title, "Boss")
}

func TestR7_HandEditLastsUntilTheNextSync(t *testing.T) {
	f := foyertest.Start(t)
	applied(t, f, "EMAIL,TITLE", "ann@test.com,Boss")
	f.Edit(t, "ann@test.com", set(foyer.Title, "typed"))
	want(t, f, "ann@test.com", foyer.Title, "typed")
	wantCounts(t, applied(t, f, "EMAIL,TITLE", "ann@test.com,Boss"), "updated=1")
	want(t, f, "ann@test.com", foyer.Title, "Boss")
}

// second returns a Foyer whose uploads come from another source of the same organization.
func second(t *testing.T, f *foyertest.Foyer, source foyer.Source) *foyertest.Foyer {
	t.Helper()
	source.Kind = foyer.CSV
	made, err := f.Store.CreateSource(t.Context(), f.Operator, f.Org.ID, source)
	if err != nil {
		t.Fatal(err)
	}
	other := *f
	other.Script = f.NewKey(t, f.Org, store.NewKey{Source: made.ID})
	return &other
}

func TestR8_LowerSourceDoesNotReplace(t *testing.T) {
	f := foyertest.Start(t)
	low := second(t, f, foyer.Source{Name: "low", Priority: -1})
	for range 3 { // however often they alternate
		applied(t, f, "EMAIL,TITLE", "ann@test.com,high")
		applied(t, low, "EMAIL,TITLE,DIVISION", "ann@test.com,low,Sales")
		want(t, f, "ann@test.com", foyer.Title, "high")
		want(t, f, "ann@test.com", foyer.Division, "Sales")
	}
}

func TestR8_FormerOwnerYields(t *testing.T) {
	f := foyertest.Start(t)
	low := second(t, f, foyer.Source{Name: "low", Priority: -1})
	applied(t, f, "EMAIL,TITLE", "ann@test.com,high", "bob@test.com,B")
	applied(t, low, "EMAIL,TITLE", "ann@test.com,low")
	applied(t, f, "EMAIL,TITLE", "bob@test.com,B")
	wantStatus(t, f, "ann@test.com", "enabled")
	applied(t, low, "EMAIL,TITLE", "ann@test.com,low")
	want(t, f, "ann@test.com", foyer.Title, "low")
}

func TestR9_QuestionMarksOfAnASCIIExportCountAsEqual(t *testing.T) {
	f := foyertest.Start(t)
	applied(t, f, "EMAIL,FIRSTNAME", "andre@test.com,André")
	wantCounts(t, applied(t, f, "EMAIL,FIRSTNAME", "andre@test.com,Andr?"), "unchanged=1 skipped=0 errors=0 warnings=0")
	want(t, f, "andre@test.com", foyer.FirstName, "André")
	wantCounts(t, applied(t, f, "EMAIL,FIRSTNAME", "andre@test.com,Ren?"), "updated=1 disabled=0 enabled=0 unchanged=0 skipped=0 errors=0 warnings=1")
}

func TestR9_DisplayNameIsSplitAsAGuess(t *testing.T) {
	f := foyertest.Start(t)
	applied(t, f, "mail,DisplayName", `rob@test.com,"Jones, Rob"`)
	want(t, f, "rob@test.com", foyer.FirstName, "Rob")
	want(t, f, "rob@test.com", foyer.LastName, "Jones")
	f.Edit(t, "rob@test.com", set(foyer.FirstName, "Robert"))
	applied(t, f, "mail,DisplayName", `rob@test.com,"Jones, Bob"`)
	want(t, f, "rob@test.com", foyer.FirstName, "Robert")
}

func TestR9_PhonesInE164(t *testing.T) {
	f := foyertest.Start(t)
	wantCounts(t, applied(t, f, "EMAIL,MOBILE,DESKPHONE", "ann@test.com,(416) 999-8888,12"), "warnings=1")
	e := f.Book(t)["ann@test.com"]
	if e.Values[foyer.Mobile] != "(416) 999-8888" || e.E164 != [2]string{"+14169998888", ""} {
		t.Errorf("the phones are %q and %q", e.Values[foyer.Mobile], e.E164)
	}
}

func TestR10_AbsentIsDisabledNeverDeleted(t *testing.T) {
	f := foyertest.Start(t)
	applied(t, f, "EMAIL", "ann@test.com", "bob@test.com")
	wantCounts(t, applied(t, f, "EMAIL", "bob@test.com"), "disabled=1 enabled=0 unchanged=1")
	wantStatus(t, f, "ann@test.com", "disabled (absent)")
}

func TestR11_HandMadeIsDisabledUnlessPermanent(t *testing.T) {
	f := foyertest.Start(t)
	permanent := true
	for email, mark := range map[string]*bool{"ann@test.com": nil, "bob@test.com": &permanent} {
		if _, err := reconcile.Add(t.Context(), f.Store, f.Operator, f.Org.ID, reconcile.Edit{Values: map[foyer.Field]string{foyer.Email: email}, Permanent: mark}); err != nil {
			t.Fatal(err)
		}
	}
	applied(t, f, "EMAIL", "zoe@test.com")
	wantStatus(t, f, "ann@test.com", "disabled (absent)")
	wantStatus(t, f, "bob@test.com", "enabled")
}

func TestR12_SiteSourceTouchesItsSiteOnly(t *testing.T) {
	f := foyertest.Start(t)
	toronto := second(t, f, foyer.Source{Name: "toronto", Site: 1})
	montreal := second(t, f, foyer.Source{Name: "montreal", Site: 2})
	applied(t, toronto, "EMAIL", "ann@test.com", "bob@test.com")
	applied(t, montreal, "EMAIL", "ann@test.com", "zoe@test.com")
	applied(t, toronto, "EMAIL", "bob@test.com")
	wantStatus(t, f, "ann@test.com", "enabled")
	if sites := f.Book(t)["ann@test.com"].Sites; len(sites) != 1 || sites[0] != 2 {
		t.Errorf("her sites are %v, want Montréal alone", sites)
	}
	applied(t, montreal, "EMAIL", "zoe@test.com")
	wantStatus(t, f, "ann@test.com", "disabled (absent)")
	wantStatus(t, f, "bob@test.com", "enabled")
}

func TestR13_DisabledByHandStaysDisabled(t *testing.T) {
	f := foyertest.Start(t)
	applied(t, f, "EMAIL", "ann@test.com", "bob@test.com")
	f.Edit(t, "ann@test.com", enabled(false))
	applied(t, f, "EMAIL", "bob@test.com")
	applied(t, f, "EMAIL,TITLE", "ann@test.com,A", "bob@test.com,B")
	wantStatus(t, f, "ann@test.com", "disabled (by hand)")
}

func TestR13_WhoComesBackIsEnabled(t *testing.T) {
	f := foyertest.Start(t)
	applied(t, f, "EMAIL,ENABLED", "ann@test.com,false", "bob@test.com,true")
	wantStatus(t, f, "ann@test.com", "disabled (source)")
	wantCounts(t, applied(t, f, "EMAIL,ENABLED", "ann@test.com,yes", "bob@test.com,1"), "enabled=1")
	applied(t, f, "EMAIL", "ann@test.com")
	wantCounts(t, applied(t, f, "EMAIL", "ann@test.com", "bob@test.com"), "enabled=1")
}

func TestR14_UnknownSiteLeavesThePerson(t *testing.T) {
	f := foyertest.Start(t)
	applied(t, f, "EMAIL,TITLE,SITE", "ann@test.com,A,toronto", "bob@test.com,B,MTL")
	reply := applied(t, f, "EMAIL,TITLE,SITE", "ann@test.com,Z,Torronto", "bob@test.com,B,montreal", "new@test.com,N,Nowhere")
	wantCounts(t, reply, "added=0 updated=0 disabled=0 enabled=0 unchanged=1 skipped=0 errors=2")
	wantCounts(t, reply, `line 2: site "Torronto": there is no site "Torronto"; did you mean "Toronto"?`)
	want(t, f, "ann@test.com", foyer.Title, "A")
}

func TestR14_SeveralSites(t *testing.T) {
	f := foyertest.Start(t)
	for _, lines := range [][]string{{"EMAIL,SITE", "ann@test.com,Toronto", "ann@test.com,MTL"}, {"EMAIL,SITE", "ann@test.com,Toronto;Montreal"}} {
		wantCounts(t, applied(t, f, lines...), "errors=0 warnings=0")
		if sites := f.Book(t)["ann@test.com"].Sites; len(sites) != 2 {
			t.Errorf("her sites are %v, want both", sites)
		}
	}
}

func TestR15_RowWithAnErrorCountsAsPresent(t *testing.T) {
	f := foyertest.Start(t)
	applied(t, f, "EMAIL,FIRSTNAME,LASTNAME,ENABLED", "ann@test.com,Ann,Lee,1", "bob@test.com,Bob,Ray,1", "zoe@test.com,Zoe,Kim,1")
	reply := applied(t, f, "EMAIL,FIRSTNAME,LASTNAME,ENABLED", "ann@test.com,Ann,Lee,maybe", "bob at test,Bob,Ray,1", "zoe@test.com,Zoe,Kim,1", ",No,Mail,1")
	wantCounts(t, reply, "disabled=0 enabled=0 unchanged=1 skipped=1 errors=2")
	wantStatus(t, f, "ann@test.com", "enabled")
	wantStatus(t, f, "bob@test.com", "enabled")
}

func TestR16_SameEmailTwice(t *testing.T) {
	f := foyertest.Start(t)
	lines := []string{"EMAIL,TITLE,DIVISION", "ann@test.com,A,Sales", "ann@test.com,B,"}
	for range 2 { // the warning comes every time
		wantCounts(t, applied(t, f, lines...), "line 3: email \"ann@test.com\": the same email as in line 2")
		want(t, f, "ann@test.com", foyer.Title, "B")
		want(t, f, "ann@test.com", foyer.Division, "Sales")
		lines = append(lines, "")
	}
	applied(t, f, "EMAIL,TITLE,DIVISION", "ann@test.com,A,Sales")
	wantCounts(t, applied(t, f, "EMAIL,TITLE,DIVISION", "ann@test.com,A,Sales", "ann@test.com,C,"), "updated=1")
}

func TestR17_SettingsMakeEveryRowNew(t *testing.T) {
	f := foyertest.Start(t)
	file := []string{"EMAIL,office", "ann@test.com,Ottawa"}
	applied(t, f, file...)
	if _, err := f.Store.CreateSite(t.Context(), f.Operator, f.Org.ID, foyer.Site{Name: "Ottawa"}); err != nil {
		t.Fatal(err)
	}
	wantCounts(t, applied(t, f, file...), "updated=1")
}

func TestR23_NoUsableRowIsRefused(t *testing.T) {
	f := foyertest.Start(t)
	applied(t, f, "EMAIL", "ann@test.com")
	if reply := f.Upload(t, "EMAIL\n"); reply.Status != 422 {
		t.Errorf("a header alone was answered %d", reply.Status)
	}
	wantStatus(t, f, "ann@test.com", "enabled")
}

func TestR26_ChangesAreLoggedWithBeforeAndAfter(t *testing.T) {
	f := foyertest.Start(t)
	applied(t, f, "EMAIL,TITLE", "ann@test.com,A")
	applied(t, f, "EMAIL,TITLE", "ann@test.com,B")
	f.Edit(t, "ann@test.com", set(foyer.Title, "C"))
	for run, title := range map[foyer.RunID][2]string{1: {"", "A"}, 2: {"A", "B"}, 3: {"B", "C"}} {
		found := false
		err := f.Store.Changes(t.Context(), f.Operator, f.Org.ID, run, func(c *foyer.Change) error {
			for _, change := range c.Fields {
				found = found || change.Field == foyer.Title && change.Before == title[0] && change.After == title[1]
			}
			return nil
		})
		if err != nil || !found {
			t.Errorf("run %v does not tell %q before and %q after (%v)", run, title[0], title[1], err)
		}
	}
}

func TestR9_GuessDoesNotUndoWhatTheDisplayNameWasComparedWith(t *testing.T) {
	f := foyertest.Start(t)
	applied(t, f, "EMAIL,NAME", `ann@test.com,"Lee Jones, Ann"`)
	f.Edit(t, "ann@test.com", set(foyer.DisplayName, ""))
	wantCounts(t, applied(t, f, "EMAIL,NAME", "ann@test.com,Ann Lee Jones"), "updated=0")
	want(t, f, "ann@test.com", foyer.LastName, "Lee Jones")
}
