package storetest

import (
	"bytes"
	"database/sql"
	"path/filepath"
	"testing"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// Open opens the database of a data folder beside its store. On PostgreSQL it may read the rows of all organizations.
func Open(t testing.TB, dir string) *sql.DB {
	t.Helper()
	driver, address := "sqlite", filepath.Join(dir, "foyer.db")
	if on := Database(t, dir); on != "" {
		driver, address = "pgx", withQuery(on, "foyer.org", "*")
	}
	db, err := sql.Open(driver, address)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// Rows returns every row of every table in the database of a data folder, each as one text, by table.
func Rows(t testing.TB, dir string) map[string][]string {
	t.Helper()
	if !OnPostgres() {
		return SQLiteRows(t, dir)
	}
	return rowsOf(t, Open(t, dir), `SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'`, " AS t ORDER BY t")
}

// SQLiteRows is Rows for the file in the folder, whichever database tests run on.
func SQLiteRows(t testing.TB, dir string) map[string][]string {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "foyer.db"))
	if err != nil {
		t.Fatal(err)
	}
	return rowsOf(t, db, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`, "")
}

func rowsOf(t testing.TB, db *sql.DB, tables, order string) map[string][]string {
	t.Helper()
	defer db.Close()
	all := map[string][]string{}
	for _, table := range Texts(t, db, tables) {
		all[table] = Texts(t, db, `SELECT * FROM `+table+order)
	}
	return all
}

// Texts returns the rows of a query, each as one text.
func Texts(t testing.TB, db *sql.DB, query string) (all []string) {
	t.Helper()
	rows, err := db.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		values, into := make([][]byte, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		all = append(all, string(bytes.Join(values, []byte("|"))))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}
