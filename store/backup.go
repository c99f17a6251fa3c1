package store

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"foyer"
)

// Backup copies the database as it is at one moment into a new file, which only its owner can read. Syncs go on meanwhile. foyer.Conflict where the file exists. It is noted in the
// audit of every organization, after which the copy is there to be used; it is removed where that fails.
func (s *Store) Backup(ctx context.Context, caller foyer.Caller, path string) error {
	if err := caller.May(foyer.Operate, ""); err != nil {
		return err
	}
	if s.dialect != sqliteDialect {
		return foyer.Errorf(foyer.Invalid, "this copies SQLite's file; of PostgreSQL take copies with pg_dump or pg_basebackup, and of keys/ besides: docs/scale.md")
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return foyer.Errorf(foyer.Conflict, "%s exists; give another name", path)
	}
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	conn, err := s.ident.Conn(ctx)
	if err != nil {
		return s.busy("copy the database", err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, `PRAGMA query_only(0)`); err != nil {
		return s.busy("copy the database", err)
	}
	defer conn.ExecContext(context.WithoutCancel(ctx), `PRAGMA query_only(1)`)
	if _, err := conn.ExecContext(ctx, `VACUUM INTO $1`, path); err != nil { // into an empty file
		os.Remove(path)
		return s.busy("copy the database", err)
	}
	err = errors.Join(syncFile(path), s.auditAll(ctx, caller, "store.backup"))
	if err != nil {
		os.Remove(path)
	}
	return err
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
