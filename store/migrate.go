package store

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pressly/goose/v3"

	"foyer"
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

// migrate applies what is missing of the schema, each step in a transaction.
func migrate(ctx context.Context, db *sql.DB, kind goose.Dialect) error {
	p, err := schemaFrom(db, kind)
	if err != nil {
		return err
	}
	return up(ctx, p, 100*time.Millisecond)
}

// up applies migrations, with up to 20 tries. Two processes that start at once race; the one that loses looks again. A schema that is newer than this program is left alone: it has
// all that this one needs.
//
// A migration of a table that is in use must not wait for a long sync, since all who use the table would wait behind it: those for PostgreSQL begin with SET LOCAL lock_timeout = '5s', give
// up, and let the others through before the next try.
func up(ctx context.Context, p *goose.Provider, pause time.Duration) error {
	for try := 1; ; try++ {
		pending, err := p.HasPending(ctx)
		if err == nil && !pending {
			return nil
		}
		if err == nil {
			_, err = p.Up(ctx)
		}
		code, answered := errors.AsType[*pgconn.PgError](err)
		held := answered && code.Code == "55P03"
		switch {
		case err == nil:
			return nil
		case held && try == 20:
			return &foyer.Error{Kind: foyer.Busy, Message: "the schema was not changed: for minutes somebody held a table that is to be changed, most likely a long sync; run foyer migrate again when it is over", Err: err}
		case try == 20:
			return err
		}
		time.Sleep(pause)
	}
}
