package foyertest_test

import (
	"fmt"
	"strings"
	"testing"

	"foyer"
	"foyer/foyertest"
	"foyer/store"
	"foyer/store/storetest"
)

// dump returns every row of every table of the database, by table.
func dump(t *testing.T, dir string) map[string]map[string]bool {
	t.Helper()
	tables := map[string]map[string]bool{}
	for table, rows := range storetest.Rows(t, dir) {
		tables[table] = map[string]bool{}
		for _, row := range rows {
			tables[table][row] = true
		}
	}
	return tables
}

// differences returns how many rows are in one dump only, by table.
func differences(a, b map[string]map[string]bool) map[string]int {
	count := map[string]int{}
	for name := range a {
		for row := range a[name] {
			if !b[name][row] {
				count[name]++
			}
		}
		for row := range b[name] {
			if !a[name][row] {
				count[name]++
			}
		}
	}
	return count
}

func TestR17_UnchangedFileWritesTheRunOnly(t *testing.T) {
	f := foyertest.Start(t)
	file := "EMAIL,TITLE,SITE\n"
	for i := range 500 {
		file += fmt.Sprintf("p%d@test.com,Title %d,Toronto\n", i, i%7)
	}
	applied(t, f, file)
	f.Authority.Close() // the use of the key is noted behind the request's back
	for name, again := range map[string]string{"the same people": file + "\n\n", "the same bytes": file + "\n\n"} {
		before := dump(t, f.Dir)
		wantCounts(t, applied(t, f, again), "unchanged=500")
		if diff := differences(before, dump(t, f.Dir)); len(diff) != 1 || diff["run"] != 1 {
			t.Errorf("%s wrote %v, want one row of run", name, diff)
		}
	}
}

func TestR24_DryRunWritesNothing(t *testing.T) {
	f := foyertest.Start(t)
	applied(t, f, "EMAIL", "ann@test.com", "bob@test.com")
	f.Authority.Close()
	before := dump(t, f.Dir)
	reply, err := f.Script.Upload([]byte("EMAIL,TITLE\nann@test.com,Boss\nzoe@test.com,\n"), map[string][]string{"dry_run": {"1"}})
	if err != nil {
		t.Fatal(err)
	}
	if want := "DRY RUN would add=1 update=1 disable=1 enable=0 unchanged=0"; !strings.HasPrefix(reply.Body, want) {
		t.Errorf("the reply is %q, want %q", reply.Body, want)
	}
	if diff := differences(before, dump(t, f.Dir)); len(diff) != 0 {
		t.Errorf("the dry run wrote %v", diff)
	}
}

func TestOrganizationsDoNotTouchEachOther(t *testing.T) {
	f := foyertest.Start(t)
	applied(t, f, "EMAIL,TITLE", "ann@test.com,Acme")
	other := *f
	other.Org = f.NewOrg(t, "Other")
	other.Script = f.NewKey(t, other.Org, store.NewKey{})
	applied(t, &other, "EMAIL,TITLE", "ann@test.com,Other", "bob@test.com,Other")
	want(t, f, "ann@test.com", foyer.Title, "Acme")
	if n := len(f.Book(t)); n != 1 {
		t.Errorf("the first organization has %d entries, want 1", n)
	}
}
