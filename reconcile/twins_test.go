package reconcile_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"foyer/foyertest"
	"foyer/store"
	"foyer/store/storetest"
)

// TestModel_BothStoresEndEqual does the same random sequences to an organization on SQLite and to its copy on PostgreSQL: in the end every row of every table is the same, byte for
// byte, but for what held runs keep, which is sealed anew each time.
func TestModel_BothStoresEndEqual(t *testing.T) {
	if !storetest.OnPostgres() {
		return
	}
	setChecks(t, 40)
	rapid.Check(t, func(r *rapid.T) {
		dir := t.TempDir()
		w := &world{t: t, clock: foyertest.NewClock()}
		twin, v := foyertest.OpenStore(t, dir, w.clock.Now)
		own, err := store.Open(t.Context(), store.Config{Dir: dir, Vault: v, Clock: w.clock.Now})
		if err != nil {
			t.Fatal(err)
		}
		defer own.Close()
		w.store, w.twin = own, twin
		d := newDriver(r, w)
		for range rapid.IntRange(2, 16).Draw(r, "steps") {
			d.step()
			d.compare()
		}
		there := storetest.Rows(t, dir)
		for table, rows := range storetest.SQLiteRows(t, dir) {
			if table == "held_chunk" || table == "meta" || table == "goose_db_version" || strings.HasPrefix(table, "sqlite_") {
				continue
			}
			copied := there[table]
			slices.Sort(rows)
			slices.Sort(copied)
			if !slices.Equal(rows, copied) {
				d.fail("%s on SQLite\n%s\non PostgreSQL\n%s", table, strings.Join(rows, "\n"), strings.Join(copied, "\n"))
			}
		}
	})
}
