package store

import (
	"context"
	"database/sql"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"
)

// schemaFolders are where the migrations of each database lie. A migration has the same number in both: it brings the same tables about.
var schemaFolders = map[goose.Dialect]string{goose.DialectSQLite3: "migrations/sqlite", goose.DialectPostgres: "migrations/postgres"}

func schemaFrom(db *sql.DB, kind goose.Dialect) (*goose.Provider, error) {
	dir, err := fs.Sub(migrations, schemaFolders[kind])
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(kind, db, dir)
}

// migrate applies what is missing of the schema, each step in a transaction. Two processes that start at once race; the one that loses looks again. A schema that is newer than
// this program is left alone: it has all that this one needs.
func migrate(ctx context.Context, db *sql.DB, kind goose.Dialect) error {
	p, err := schemaFrom(db, kind)
	if err != nil {
		return err
	}
	for try := 0; ; try++ {
		pending, err := p.HasPending(ctx)
		if err == nil && !pending {
			return nil
		}
		if err == nil {
			_, err = p.Up(ctx)
		}
		if err == nil || try == 20 {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
}
