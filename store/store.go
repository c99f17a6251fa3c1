// Package store keeps the address books in a database: SQLite, one file beside the server.
//
// Each exported method takes the Caller and checks what it may do beside the data, owns its transaction, and filters by
// organization; none can be called without naming one, but for the operator's lists. Failures that a user can act on are *foyer.Error;
// a database that is locked, full or away is of kind foyer.Busy.
//
// A book is changed in one way only: Update reads a snapshot, lets a function decide what to write, and writes it in one
// durable transaction, unless the book changed in between, then it starts over.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"
	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"foyer"
	"foyer/vault"
)

//go:embed migrations/sqlite/*.sql
var migrations embed.FS

// Config says which database to open. Dir and Vault are needed.
type Config struct {
	Dir   string       // the data folder; the database is foyer.db in it
	Vault *vault.Vault // the pepper, which is not in the database
	Clock foyer.Clock  // nil: time.Now
}

// Store is an open database. It may be used by many goroutines, and other processes may have the same database open.
type Store struct {
	write *sql.DB // one connection: SQLite has one writer
	read  *sql.DB // of books: a sync holds one while it waits to write
	ident *sql.DB // of keys: who asks is found out however many syncs wait
	log   *checkpointer
	vault *vault.Vault
	clock foyer.Clock
	locks orgLocks

	auditKey []byte
	written  atomic.Int64
	dir      string
	lock     *flock.Flock // a share of the data folder's
	faults   faults
}

// busyTimeout is how long a write waits for another process, and a sync for another one of its organization.
const busyTimeout = 30 * time.Second

// Open opens the database in the data folder, makes it where there is none, and brings its schema up to date.
// A database that was made with another pepper is refused.
func Open(ctx context.Context, c Config) (*Store, error) {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	path := filepath.Join(c.Dir, databaseName)
	lock, err := shareFolder(c.Dir)
	if err != nil {
		return nil, err
	}
	if err := makePrivate(path); err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	s := &Store{vault: c.Vault, clock: c.Clock, auditKey: c.Vault.Key("audit"), dir: c.Dir, lock: lock}
	if s.clock == nil {
		s.clock = time.Now
	}
	if s.write, err = sql.Open("sqlite", dsn(path, "_txlock", "immediate")); err != nil {
		return nil, err
	}
	s.write.SetMaxOpenConns(1)
	for pool, size := range map[**sql.DB]int{&s.read: 16, &s.ident: 4} {
		if *pool, err = sql.Open("sqlite", dsn(path, "_pragma", "query_only(1)")); err != nil {
			return nil, err
		}
		(*pool).SetMaxOpenConns(size)
	}
	log, err := sql.Open("sqlite", logDSN(path))
	if err != nil {
		return nil, err
	}
	s.log = startCheckpointer(log, s.write)
	if err := s.migrate(ctx); err != nil {
		s.Close()
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	if err := errors.Join(s.checkPepper(ctx), s.checkAtRest(ctx)); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
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

// migrate applies what is missing of the schema. Two processes that start at once race; the one that loses looks again.
func (s *Store) migrate(ctx context.Context) error {
	dir, err := fs.Sub(migrations, "migrations/sqlite")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, s.write, dir)
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

// checkPepper compares the pepper with the one that the database was made with, and notes it in a new one.
func (s *Store) checkPepper(ctx context.Context) error {
	check := s.vault.Check()
	kept, err := s.noted(ctx, "pepper", check)
	if err != nil {
		return err
	}
	if kept != check {
		return errors.New("this database was made with another pepper: put its keys/pepper (or FOYER_PEPPER) back; with a new one no customer's key would work")
	}
	return nil
}

// noted returns what the database notes under a name; where it has nothing there, value is noted first. It writes only then: who only reads need not wait for whoever writes.
func (s *Store) noted(ctx context.Context, name, value string) (kept string, err error) {
	const find = `SELECT value FROM meta WHERE name = $1`
	err = s.read.QueryRowContext(ctx, find, name).Scan(&kept)
	if !errors.Is(err, sql.ErrNoRows) {
		return kept, busy("open the database", err)
	}
	if _, err := s.write.ExecContext(ctx, `INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING`, name, value); err != nil {
		return "", busy("open the database", err)
	}
	err = s.read.QueryRowContext(ctx, find, name).Scan(&kept)
	return kept, busy("open the database", err)
}

// Close closes the database. Running transactions are finished or rolled back first.
func (s *Store) Close() error {
	return errors.Join(s.log.close(), s.ident.Close(), s.read.Close(), s.write.Close(), s.lock.Unlock())
}

// transact runs fn in a writing transaction, all or nothing; when it returns nil, what fn wrote is on disk.
func (s *Store) transact(ctx context.Context, doing string, fn func(*txn) error) error {
	err := s.within(ctx, s.write, nil, doing, fn)
	s.faults.note(err)
	if err == nil {
		s.log.committed()
	}
	return err
}

// snapshot runs fn on one consistent state of the database.
func (s *Store) snapshot(ctx context.Context, doing string, fn func(*txn) error) error {
	return s.within(ctx, s.read, &sql.TxOptions{ReadOnly: true}, doing, fn)
}

// identify is snapshot for finding out who asks.
func (s *Store) identify(ctx context.Context, doing string, fn func(*txn) error) error {
	return s.within(ctx, s.ident, &sql.TxOptions{ReadOnly: true}, doing, fn)
}

// within runs fn in a transaction of a pool. It waits at most busyTimeout for a connection.
func (s *Store) within(ctx context.Context, pool *sql.DB, options *sql.TxOptions, doing string, fn func(*txn) error) error {
	wait, cancel := context.WithTimeout(ctx, busyTimeout)
	conn, err := pool.Conn(wait)
	cancel()
	if err != nil {
		return busy(doing, err)
	}
	defer conn.Close()
	tx, err := conn.BeginTx(ctx, options)
	if err != nil {
		return busy(doing, err)
	}
	defer tx.Rollback()
	if err := fn(newTxn(ctx, tx, s.clock(), &s.written)); err != nil {
		return busy(doing, err)
	}
	return committed(doing, tx.Commit())
}

// busy gives an error of the database its kind: what may succeed later is foyer.Busy, the rest stays internal and gets doing in front.
func busy(doing string, err error) error {
	var known *foyer.Error
	var code *sqlite.Error
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case errors.As(err, &code):
		switch code.Code() & 0xff {
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
			return retryable("the database is busy; nothing was changed, try again", doing, err)
		case sqlite3.SQLITE_FULL:
			return retryable("the disk is full; nothing was changed, try again once it has room", doing, err)
		case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY:
			return retryable("the database cannot be used now, since its disk fails or is read-only; nothing was changed, try again", doing, err)
		case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB: // SQLite says so too where the disk could not be read
			return retryable("the database cannot be read now; nothing was changed, try again", doing, err)
		}
	case errors.Is(err, context.DeadlineExceeded):
		return retryable("the database did not answer in time; nothing was changed, try again", doing, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

func retryable(message, doing string, err error) error {
	return &foyer.Error{Kind: foyer.Busy, Message: message, Err: fmt.Errorf("%s: %w", doing, err), RetryAfter: busyTimeout}
}

// millis and fromMillis are how times are stored: milliseconds since 1970, UTC; 0 is the zero time.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// values returns the text "(?, ?), (?, ?)" for so many rows and columns. The parameters have no numbers: the driver looks each number up
// among all, which for a thousand of them takes longer than the insert.
func values(rows, columns int) string {
	row := "(" + strings.Repeat("?, ", columns-1) + "?)"
	return strings.Repeat(row+", ", rows-1) + row
}

// Written returns how many rows this process has written, those of transactions that were undone included: for measuring.
func (s *Store) Written() int64 { return s.written.Load() }

// Now returns the time by the store's clock, which is the one that its rows are stamped with.
func (s *Store) Now() time.Time { return s.clock() }
