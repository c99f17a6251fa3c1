package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"foyer"
)

// lowSpace is how much of the disk must be free, in bytes, for the store to call itself ready. It still works with less, until a write fails.
const lowSpace = 32 << 20

// Ready tells whether the store can do all of its work: the database answers, its schema is that of this program or a newer one, the disk has room, and takes what is written. Else the error is
// of kind foyer.Busy: its message says which of these is not so, and is fit for anybody; its cause is for the log.
//
// It reads two numbers, and writes nothing unless the last write failed: then it tries one, so that a disk which works again is noticed though nobody sends anything.
func (s *Store) Ready(ctx context.Context) error {
	if err := s.checkSchema(ctx); err != nil {
		return err
	}
	free, known, err := freeSpace(s.dir)
	if err != nil {
		return notReady("the disk cannot be looked at", err)
	}
	if known && free < lowSpace {
		return notReady("the disk is full", fmt.Errorf("%d bytes are free in %s, fewer than %d", free, s.dir, lowSpace))
	}
	if s.faults.writing.Load() && !s.isReplica(ctx) {
		if err := s.tryToWrite(ctx); err != nil {
			return notReady("the database cannot be written", err)
		}
	}
	return nil
}

func (s *Store) checkSchema(ctx context.Context) error {
	var have int64
	err := s.identify(ctx, "", "look at the schema", func(t *txn) (err error) {
		have, err = schemaOf(t)
		return err
	})
	if err != nil {
		return notReady("the database cannot be read", err)
	}
	if want := newestSchema(); have < want {
		return notReady("the database has an older schema", fmt.Errorf("its schema is number %d, this program needs %d", have, want))
	}
	return nil
}

// schemaOf returns the number of the newest migration that was applied to a database.
func schemaOf(t *txn) (version int64, err error) {
	err = t.get(`SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version WHERE is_applied`, nil, &version)
	return version, err
}

// newestSchema returns the number of the newest migration that this program has.
func newestSchema() (newest int64) {
	names, err := fs.Glob(migrations, "migrations/sqlite/*.sql")
	if err != nil || len(names) == 0 {
		panic("there are no migrations in this program") // they are embedded
	}
	for _, name := range names {
		number, _, _ := strings.Cut(strings.TrimPrefix(name, "migrations/sqlite/"), "_")
		if n, err := strconv.ParseInt(number, 10, 64); err == nil {
			newest = max(newest, n)
		}
	}
	return newest
}

// isReplica tells whether this is a replica of PostgreSQL's, of which nobody expects that it is written to.
func (s *Store) isReplica(ctx context.Context) (replica bool) {
	if s.dialect != postgresDialect {
		return false
	}
	err := s.identify(ctx, "", "look whether this is a replica", func(t *txn) error { return t.get(`SELECT pg_is_in_recovery()`, nil, &replica) })
	return err == nil && replica
}

// tryToWrite writes a row of no meaning.
func (s *Store) tryToWrite(ctx context.Context) error {
	const q = `INSERT INTO meta (name, value) VALUES ('written', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value`
	err := s.beside(ctx, "", "try to write", func(t *txn) error { return t.exec(q, strconv.FormatInt(millis(t.now), 10)) })
	if known, ok := errors.AsType[*foyer.Error](err); ok && known.Err != nil {
		return known.Err
	}
	return err
}
