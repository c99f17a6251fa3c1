// Package store keeps the address books in a database: SQLite, one file beside the server, or PostgreSQL, which many servers share.
//
// Each exported method takes the Caller and checks what it may do beside the data, owns its transaction, and filters by
// organization; none can be called without naming one, but for the operator's lists. Failures that a user can act on are *foyer.Error;
// a database that is locked, full or away is of kind foyer.Busy.
//
// A book is changed in one way only: Update reads it as it is at one moment, lets a function decide what to write, and writes it in one
// durable transaction. On SQLite it starts over where the book changed in between; on PostgreSQL nobody can, since its row is locked.
package store

import (
	"cmp"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"

	"foyer"
	"foyer/vault"
)

//go:embed migrations
var migrations embed.FS

// Config says which database to open. Vault is needed, and one of Dir and Database.
type Config struct {
	Dir      string       // the data folder; the database is foyer.db in it, unless Database names another
	Database string       // postgres://…; empty: SQLite in Dir
	Vault    *vault.Vault // the pepper, which is not in the database
	Clock    foyer.Clock  // nil: time.Now
	Alone    bool         // of SQLite: nobody else has it open meanwhile; else foyer.Conflict
}

// Store is an open database. It may be used by many goroutines, and other processes may have the same database open.
type Store struct {
	dialect dialect
	write   *sql.DB       // of SQLite one connection: it has one writer
	read    *sql.DB       // of books: a sync holds one while it waits to write
	ident   *sql.DB       // of keys: who asks is found out however many syncs wait
	log     *checkpointer // of SQLite; nil: there is none
	vault   *vault.Vault
	clock   foyer.Clock
	locks   orgLocks

	auditKey []byte
	written  atomic.Int64
	doors    string       // of PostgreSQL, the schema by which rows come in by COPY
	dir      string       // the data folder
	lock     *flock.Flock // a share of the data folder's; nil: the database is not in it
	faults   faults
}

// ErrOtherKeys says that the vault is not the one that the database was used with.
var ErrOtherKeys = errors.New("these keys are others")

// busyTimeout is how long a write waits for another process, and a sync for another one of its organization.
const busyTimeout = 30 * time.Second

// everyOrg is whose rows a transaction may read that makes one of the operator's lists. None may write so.
const everyOrg foyer.OrgID = "*"

// Open opens the database and brings its schema up to date; a file is made where there is none. A database that was made with another pepper is refused,
// and so is one of PostgreSQL that is reached over a network unprotected, or through a role that row-level security does not hold.
func Open(ctx context.Context, c Config) (*Store, error) {
	s := &Store{vault: c.Vault, clock: c.Clock, auditKey: c.Vault.Key("audit"), dir: c.Dir}
	if s.clock == nil {
		s.clock = time.Now
	}
	open := s.openSQLite
	if c.Database != "" {
		open = s.openPostgres
	}
	if err := open(ctx, c); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := errors.Join(s.checkPepper(ctx), s.checkAtRest(ctx)); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// checkPepper compares the pepper with the one that the database was made with, and notes it in a new one.
func (s *Store) checkPepper(ctx context.Context) error {
	check := s.vault.Check()
	kept, err := s.noted(ctx, "pepper", check)
	if err != nil {
		return err
	}
	if kept != check {
		return fmt.Errorf("%w: this database was made with another pepper: put its keys/pepper (or FOYER_PEPPER) back; with a new one no customer's key would work", ErrOtherKeys)
	}
	return nil
}

// noted returns what the database notes under a name; where it has nothing there, value is noted first. It writes only then: who only reads need not wait for whoever writes, and a replica can be read.
func (s *Store) noted(ctx context.Context, name, value string) (kept string, err error) {
	const find = `SELECT value FROM meta WHERE name = $1`
	err = s.read.QueryRowContext(ctx, find, name).Scan(&kept)
	if !errors.Is(err, sql.ErrNoRows) {
		return kept, s.busy("open the database", err)
	}
	if _, err := s.write.ExecContext(ctx, `INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING`, name, value); err != nil {
		return "", s.busy("open the database", err)
	}
	err = s.read.QueryRowContext(ctx, find, name).Scan(&kept)
	return kept, s.busy("open the database", err)
}

// Close closes the database. Running transactions are finished or rolled back first.
func (s *Store) Close() error {
	err := s.log.close()
	for _, pool := range []*sql.DB{s.ident, s.read, s.write} {
		if pool != nil {
			err = errors.Join(err, pool.Close())
		}
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Unlock())
	}
	return err
}

// scope is whose rows a transaction is about, and what it is for. The second wall of PostgreSQL shows it no others.
type scope struct {
	org    foyer.OrgID
	doing  string
	writes bool
	book   bool // it changes the book, or numbers something by it: nobody else does so meanwhile (R19)
}

// transact runs fn in a transaction that may change an organization's book, all or nothing; when it returns nil, what fn wrote is on disk.
func (s *Store) transact(ctx context.Context, org foyer.OrgID, doing string, fn func(*txn) error) error {
	if s.dialect == postgresDialect { // who waits for the organization waits here, and holds no connection meanwhile
		release, err := s.locks.take(ctx, org)
		if err != nil {
			return err
		}
		defer release()
	}
	return s.inTurn(ctx, org, doing, fn)
}

// inTurn is transact for who has the organization's turn already.
func (s *Store) inTurn(ctx context.Context, org foyer.OrgID, doing string, fn func(*txn) error) error {
	return s.changing(ctx, s.write, scope{org, doing, true, true}, fn)
}

// beside is transact for what does not touch the book, such as the use of a key: it does not wait for a sync.
func (s *Store) beside(ctx context.Context, org foyer.OrgID, doing string, fn func(*txn) error) error {
	pool := s.write
	if s.dialect == postgresDialect {
		pool = s.ident // or many long syncs would hold all connections
	}
	return s.changing(ctx, pool, scope{org, doing, true, false}, fn)
}

func (s *Store) changing(ctx context.Context, pool *sql.DB, about scope, fn func(*txn) error) error {
	err := s.within(ctx, pool, about, nil, fn)
	s.faults.note(err)
	if err == nil {
		s.log.committed()
	}
	return err
}

// snapshot runs fn on one consistent state of the database.
func (s *Store) snapshot(ctx context.Context, org foyer.OrgID, doing string, fn func(*txn) error) error {
	return s.within(ctx, s.read, scope{org: org, doing: doing}, s.dialect.snapshot(), fn)
}

// identify is snapshot for finding out who asks.
func (s *Store) identify(ctx context.Context, org foyer.OrgID, doing string, fn func(*txn) error) error {
	return s.within(ctx, s.ident, scope{org: org, doing: doing}, s.dialect.snapshot(), fn)
}

// within runs fn in a transaction of a pool. It waits at most busyTimeout for a connection.
func (s *Store) within(ctx context.Context, pool *sql.DB, about scope, options *sql.TxOptions, fn func(*txn) error) error {
	conn, tx, end, err := s.start(ctx, pool, options)
	if err != nil {
		return s.busy(about.doing, err)
	}
	defer end()
	t := &txn{ctx: ctx, tx: tx, conn: conn, now: s.clock(), dialect: s.dialect, doors: s.doors, written: &s.written, prepared: map[string]*sql.Stmt{}}
	err = s.dialect.begin(t, about)
	if err == nil {
		err = fn(t)
	}
	if err != nil {
		return s.busyOn(conn, about.doing, err)
	}
	return s.unconfirmed(conn, about, tx.Commit())
}

// start begins a transaction on a connection of a pool, within busyTimeout: a pooler may let it wait for others. A connection that died while it lay there is put away, and
// another one is taken: nothing was said on it yet. end rolls back what was not committed, and gives the connection back.
func (s *Store) start(ctx context.Context, pool *sql.DB, options *sql.TxOptions) (conn *sql.Conn, tx *sql.Tx, end func(), err error) {
	wait, cancel := context.WithTimeout(ctx, busyTimeout)
	defer cancel()
	for try := 1; ; try++ {
		conn, err := pool.Conn(wait)
		if err != nil {
			return nil, nil, nil, err
		}
		begun, stop := context.WithCancel(ctx) // the transaction lives as long as this one
		late := time.AfterFunc(time.Until(deadlineOf(wait)), stop)
		tx, err := conn.BeginTx(begun, options)
		inTime := late.Stop()
		if inTime && err == nil {
			return conn, tx, func() { tx.Rollback(); conn.Close(); stop() }, nil
		}
		stop()
		gone := s.dialect.gone(conn)
		conn.Close()
		switch {
		case !inTime || wait.Err() != nil:
			return nil, nil, nil, cmp.Or(ctx.Err(), context.DeadlineExceeded)
		case !gone || try > maxDead:
			return nil, nil, nil, err
		}
		time.Sleep(time.Duration(try) * time.Millisecond)
	}
}

// maxDead is how many dead connections are put away for one transaction: more than lie in any pool.
const maxDead = 20

func deadlineOf(ctx context.Context) time.Time {
	at, _ := ctx.Deadline()
	return at
}

// busy gives an error of the database its kind: what may succeed later is foyer.Busy, the rest stays internal and gets doing in front.
func (s *Store) busy(doing string, err error) error {
	var known *foyer.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	message := sqliteBusy(err)
	if s.dialect == postgresDialect {
		message = postgresBusy(err)
	}
	if message == "" && errors.Is(err, context.DeadlineExceeded) {
		message = "the database did not answer in time; nothing was changed, try again"
	}
	if message != "" {
		return retryable(message, doing, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// busyOn is busy for what failed on a connection: one that is gone was the reason, whatever the error says.
func (s *Store) busyOn(conn *sql.Conn, doing string, err error) error {
	if known := s.busy(doing, err); foyer.KindOf(known) != foyer.Internal || !s.dialect.gone(conn) {
		return known
	}
	return retryable("the database went away; nothing was changed, try again", doing, err)
}

// unconfirmed is busyOn for a commit: where the database went away before it answered, nobody knows yet whether it has it.
func (s *Store) unconfirmed(conn *sql.Conn, about scope, err error) error {
	switch {
	case err == nil:
		return nil
	case !about.writes:
		return s.busyOn(conn, about.doing, err)
	case !s.dialect.gone(conn):
		return s.committed(about.doing, err)
	}
	message := "the database went away before it said whether this is stored; look first, before you do it again"
	if about.doing == writingToTheBook {
		message = "the database went away before it said whether this is stored; send it again: what is stored already is not applied twice"
	}
	return retryable(message, about.doing, err)
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

// Written returns how many rows this process has written, those of transactions that were undone included: for measuring.
func (s *Store) Written() int64 { return s.written.Load() }

// Now returns the time by the store's clock, which is the one that its rows are stamped with.
func (s *Store) Now() time.Time { return s.clock() }
