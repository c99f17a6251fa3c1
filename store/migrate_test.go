package store

import (
	"context"
	"database/sql"
	"io/fs"
	"path"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/pressly/goose/v3"

	"foyer"
)

const later = "-- +goose Up\nSET LOCAL lock_timeout = '50ms';\nALTER TABLE site ADD COLUMN later BIGINT NOT NULL DEFAULT 0;\n"

// TestMigrate_LetsOthersThrough holds that a migration of a table which a long sync uses gives up and comes back, rather than let everybody wait behind it: with a clear word in
// the end, or once the table is free.
func TestMigrate_LetsOthersThrough(t *testing.T) {
	s := openTest(t)
	if s.dialect != postgresDialect {
		t.Skip("SQLite has one writer")
	}
	p, err := goose.NewProvider(goose.DialectPostgres, s.write, fstest.MapFS{"9000_later.sql": {Data: []byte(later)}})
	if err != nil {
		t.Fatal(err)
	}
	var reader *sql.Tx
	hold := func() { // a sync that has read the table
		if reader, err = s.read.BeginTx(context.Background(), nil); err == nil {
			_, err = reader.Exec(`LOCK TABLE site IN ACCESS SHARE MODE`)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	hold()
	if err := up(t.Context(), p, time.Millisecond); foyer.KindOf(err) != foyer.Busy || !strings.Contains(err.Error(), "foyer migrate again") {
		t.Errorf("the error is %v", err)
	}
	reader.Rollback()
	hold()
	time.AfterFunc(200*time.Millisecond, func() { reader.Rollback() })
	if err := up(t.Context(), p, 50*time.Millisecond); err != nil {
		t.Error(err)
	}
}

// TestMigrate_NoneWaitsForLong holds that each migration for PostgreSQL but the first, which makes the tables, says how long it waits for one.
func TestMigrate_NoneWaitsForLong(t *testing.T) {
	files, err := fs.Glob(migrations, "migrations/postgres/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files[1:] {
		text, err := fs.ReadFile(migrations, file)
		if err != nil || !strings.Contains(string(text), "SET LOCAL lock_timeout") {
			t.Errorf("%s does not begin with SET LOCAL lock_timeout = '5s'; %v", path.Base(file), err)
		}
	}
}
