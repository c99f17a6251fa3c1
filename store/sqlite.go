package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// openSQLite opens the database in the data folder, makes it where there is none, and brings its schema up to date.
func (s *Store) openSQLite(ctx context.Context, c Config) error {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	path := filepath.Join(c.Dir, databaseName)
	var err error
	share := shareFolder
	if c.Alone {
		share = takeFolder
	}
	if s.lock, err = share(c.Dir); err != nil {
		return err
	}
	if err := makePrivate(path); err != nil {
		return err
	}
	if s.write, err = sql.Open("sqlite", dsn(path, "_txlock", "immediate")); err != nil {
		return err
	}
	s.write.SetMaxOpenConns(1)
	for pool, size := range map[**sql.DB]int{&s.read: 16, &s.ident: 4} {
		if *pool, err = sql.Open("sqlite", dsn(path, "_pragma", "query_only(1)")); err != nil {
			return err
		}
		(*pool).SetMaxOpenConns(size)
	}
	log, err := sql.Open("sqlite", logDSN(path))
	if err != nil {
		return err
	}
	s.log = startCheckpointer(log, s.write)
	if err := migrate(ctx, s.write, goose.DialectSQLite3); err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	return nil
}

// makePrivate creates the database's file so that only its owner can read it: the names in it are nobody else's business.
func makePrivate(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	return f.Close()
}

func dsn(path, key, value string) string {
	q := url.Values{"_pragma": {
		"busy_timeout(" + fmt.Sprint(busyTimeout.Milliseconds()) + ")", "journal_mode(WAL)", "synchronous(FULL)",
		"cache_size(-32768)", "temp_store(MEMORY)", "secure_delete(ON)", "wal_autocheckpoint(0)",
		"recursive_triggers(1)", // or REPLACE would delete rows of the audit past its triggers
	}}
	q.Add(key, value)
	return (&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: q.Encode()}).String()
}

// logDSN is for the connection of the checkpointer, which needs no cache and must not wait.
func logDSN(path string) string {
	q := url.Values{"_pragma": {"busy_timeout(0)", "synchronous(FULL)", "secure_delete(ON)", "wal_autocheckpoint(0)", "cache_size(1)"}}
	return (&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: q.Encode()}).String()
}

// sqliteBusy returns what to say of a failure that may pass; "" of any other.
func sqliteBusy(err error) string {
	code, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return ""
	}
	switch code.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return "the database is busy; nothing was changed, try again"
	case sqlite3.SQLITE_FULL:
		return "the disk is full; nothing was changed, try again once it has room"
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY:
		return "the database cannot be used now, since its disk fails or is read-only; nothing was changed, try again"
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB: // SQLite says so too where the disk could not be read
		return "the database cannot be read now; nothing was changed, try again"
	}
	return ""
}
