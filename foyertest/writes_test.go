package foyertest_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	_ "modernc.org/sqlite"

	"foyer"
	"foyer/foyertest"
	"foyer/store"
)

// dump returns every row of every table of the database, by table.
func dump(t *testing.T, dir string) map[string]map[string]bool {
	t.Helper()
	db, err := sql.Open("sqlite", dir+"/foyer.db")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tables := map[string]map[string]bool{}
	rows, err := db.Query(`SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		tables[name] = dumpTable(t, db, name)
	}
	return tables
}

func dumpTable(t *testing.T, db *sql.DB, name string) map[string]bool {
	t.Helper()
	rows, err := db.Query(`SELECT * FROM ` + name)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		all[fmt.Sprint(values)] = true
	}
	return all
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
