package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"foyer"
	"foyer/vault"
)

// Restoring says what is to be restored, and how. Dir, From and Keys are needed.
type Restoring struct {
	Dir       string                                  // the data folder
	From      io.Reader                               // the backup, decrypted
	Keys      func(atRest bool) (*vault.Vault, error) // opens the keys that the backup needs; atRest: those at rest among them
	Clock     foyer.Clock                             // nil: time.Now
	Replace   bool                                    // put a database that is there aside
	CheckOnly bool                                    // check that it could be restored, and change nothing
}

// Restored tells what was restored.
type Restored struct {
	Schema  int64     // of the backup; it was brought up to date
	Orgs    int64     // organizations in it
	Entries int64     // entries in it
	LastAct time.Time // when the last act in its audits was; zero where there is none
	Lost    int       // parts of held runs that no key at rest opens any more: these runs cannot be approved
	Aside   string    // where the database is now that was there before; "" where there was none
}

// Restore puts a backup in the place of the database. It is checked whole before anything that is there is touched: that it is not damaged (foyer.Invalid), is of this program's schema or an older
// one, which is brought up to date (foyer.Conflict), and was made with these keys. Then it takes the place of the database in one step, in which there is one or the other whenever it ends. What was there
// is put aside under another name, whole. foyer.Conflict where there is a database and it is not to be replaced, or anybody has it open. What was restored has a row about it in the audit of each organization.
func Restore(ctx context.Context, caller foyer.Caller, r Restoring) (*Restored, error) {
	if err := caller.May(foyer.Operate, ""); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(r.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	if !r.CheckOnly { // a check disturbs nobody
		lock, err := takeFolder(r.Dir)
		if err != nil {
			return nil, err
		}
		defer lock.Unlock()
		if there := r.there(); len(there) > 0 && !r.Replace {
			return nil, foyer.Errorf(foyer.Conflict, "there is a database in %s already (%s); to put it aside and restore over it: --replace. Nothing was changed", r.Dir, strings.Join(there, ", "))
		}
		if err := r.sweep(); err != nil {
			return nil, err
		}
	}
	staging, err := os.MkdirTemp(r.Dir, stagingPrefix+"*")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the backup: %w", err)
	}
	defer os.RemoveAll(staging)
	done, err := r.prepare(ctx, caller, staging)
	if err != nil || r.CheckOnly {
		return done, err
	}
	done.Aside, err = r.swap(ctx, filepath.Join(staging, databaseName))
	return done, err
}

// stagingPrefix begins the names of the folders in which backups are made ready. They lie in the data folder: so what is in them is moved, not copied, and is as well kept as the database.
const stagingPrefix = "restore-"

// sweep removes what restores that were killed left behind.
func (r *Restoring) sweep() error {
	left, err := filepath.Glob(filepath.Join(r.Dir, stagingPrefix+"*"))
	for _, dir := range left {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}

// there returns the files of a database that the data folder has.
func (r *Restoring) there() (names []string) {
	for _, name := range []string{databaseName, databaseName + "-wal"} {
		if _, err := os.Lstat(filepath.Join(r.Dir, name)); !errors.Is(err, fs.ErrNotExist) {
			names = append(names, name)
		}
	}
	return names
}

// prepare makes of the backup, in a folder of its own, the database that is to be: checked, brought up to date, and all in one file, on disk.
func (r *Restoring) prepare(ctx context.Context, caller foyer.Caller, staging string) (*Restored, error) {
	path := filepath.Join(staging, databaseName)
	if err := r.fetch(path); err != nil {
		return nil, err
	}
	done := &Restored{}
	keys, err := inspect(ctx, path, done)
	if err != nil {
		return nil, err
	}
	v, err := r.Keys(keys)
	if err != nil {
		return nil, err
	}
	s, err := Open(ctx, Config{Dir: staging, Vault: v, Clock: r.Clock})
	if err != nil {
		return nil, fmt.Errorf("the backup cannot be used here; nothing was changed: %w", err)
	}
	err = errors.Join(s.describe(ctx, done), s.auditAll(ctx, caller, "store.restore"))
	if err = errors.Join(err, s.Close()); err != nil {
		return nil, err
	}
	if err := fold(ctx, path, nil); err != nil {
		return nil, fmt.Errorf("make one file of the backup: %w", err)
	}
	return done, syncFile(path)
}

// magic begins every file of SQLite's (https://www.sqlite.org/fileformat2.html §1.3).
const magic = "SQLite format 3\x00"

// fetch writes the backup to a file. What is no database is foyer.Invalid.
func (r *Restoring) fetch(path string) error {
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(r.From, head); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the backup: %w", err)
	}
	if string(head) != magic {
		return foyer.Errorf(foyer.Invalid, "this is no backup of Foyer's: it does not begin like a database; foyer backup makes them. Nothing was changed")
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(head)
	if err == nil {
		_, err = io.Copy(f, r.From)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("bring the backup into the data folder; nothing was changed: %w", err)
	}
	return nil
}

// inspect reads all of a backup before anything is written to it. It tells whether the keys at rest were used with it.
func inspect(ctx context.Context, path string, found *Restored) (atRest bool, err error) {
	db, err := sql.Open("sqlite", dsn(path, "_pragma", "query_only(1)"))
	if err != nil {
		return false, err
	}
	defer db.Close()
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return false, damaged(err)
	}
	defer tx.Rollback()
	t := &txn{ctx: ctx, tx: tx, prepared: map[string]*sql.Stmt{}}
	if err := checkIntegrity(t); err != nil {
		return false, damaged(err)
	}
	var tables int
	if err := t.get(`SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('goose_db_version', 'meta', 'org')`, nil, &tables); err != nil {
		return false, damaged(err)
	}
	if tables != 3 {
		return false, foyer.Errorf(foyer.Invalid, "this is no backup of Foyer's: it is the database of another program. Nothing was changed")
	}
	if found.Schema, err = schemaOf(t); err != nil {
		return false, damaged(err)
	}
	if newest := newestSchema(); found.Schema > newest {
		return false, foyer.Errorf(foyer.Conflict, "the backup was made by a newer Foyer: its schema is number %d, this one knows %d. Install that version, or a newer one, and restore with it. Nothing was changed", found.Schema, newest)
	}
	var used int
	if err := t.get(`SELECT COUNT(*) FROM meta WHERE name LIKE 'at\_rest\_%' ESCAPE '\'`, nil, &used); err != nil {
		return false, damaged(err)
	}
	return used > 0, nil
}

func damaged(err error) error {
	return foyer.Errorf(foyer.Invalid, "the backup is damaged: %v. Take another one. Nothing was changed", err)
}

// describe notes what is in a database.
func (s *Store) describe(ctx context.Context, found *Restored) error {
	numbers, err := s.vault.AtRest()
	if err != nil {
		return err
	}
	return s.snapshot(ctx, everyOrg, "look at the backup", func(t *txn) error {
		var last int64
		const q = `SELECT (SELECT COUNT(*) FROM org), (SELECT COUNT(*) FROM entry), (SELECT COALESCE(MAX(at), 0) FROM audit)`
		if err := t.get(q, nil, &found.Orgs, &found.Entries, &last); err != nil {
			return err
		}
		found.LastAct = fromMillis(last)
		return t.each(`SELECT substr(data, 1, 2) FROM held_chunk`, nil, func(rows *sql.Rows) error {
			var head []byte
			err := rows.Scan(&head)
			if !slices.Contains(numbers, vault.SealedUnder(head)) {
				found.Lost++
			}
			return err
		})
	})
}

// fold carries a database's log into it and removes the log, so that all is in one file, and calls then, if there is one, while nobody else can open it.
func fold(ctx context.Context, path string, then func() error) error {
	q := url.Values{"mode": {"rw"}, "_pragma": {"busy_timeout(1000)", "synchronous(FULL)", "locking_mode(EXCLUSIVE)"}}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: q.Encode()}).String())
	if err != nil {
		return err
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	var mode string
	if err := conn.QueryRowContext(ctx, `PRAGMA journal_mode(DELETE)`).Scan(&mode); err != nil {
		return err
	}
	if mode != "delete" {
		return fmt.Errorf("the database stays in the journal mode %q", mode)
	}
	if _, err := conn.ExecContext(ctx, `BEGIN EXCLUSIVE`); err != nil {
		return err
	}
	defer conn.ExecContext(context.WithoutCancel(ctx), `ROLLBACK`)
	if then == nil {
		return nil
	}
	return then()
}

// swap puts the database that is ready in the place of the one that is there, which is put aside, and returns under what name.
func (r *Restoring) swap(ctx context.Context, ready string) (aside string, err error) {
	path := filepath.Join(r.Dir, databaseName)
	if len(r.there()) == 0 {
		return "", r.place(ready, path)
	}
	aside = path + ".before-" + r.now().UTC().Format("20060102T150405.000Z")
	move := func() error {
		if err := r.setAside(path, aside); err != nil {
			return err
		}
		return r.place(ready, path)
	}
	err = fold(ctx, path, move)
	code, broken := errors.AsType[*sqlite.Error](err)
	switch {
	case err == nil:
		return aside, nil
	case !broken:
		return "", err
	case code.Code()&0xff == sqlite3.SQLITE_BUSY || code.Code()&0xff == sqlite3.SQLITE_LOCKED: // by a program that does not know the lock of the folder
		return "", inUse(r.Dir)
	}
	return aside, move() // it is damaged: it is put aside as it is, with its log
}

// setAside gives a database, and its log where it still has one, another name, and takes the old one from the log. The database keeps the old one too, so that there is one whenever this ends.
func (r *Restoring) setAside(path, aside string) error {
	for _, name := range r.there() {
		old := filepath.Join(r.Dir, name)
		if err := os.Link(old, aside+strings.TrimPrefix(old, path)); err != nil {
			return fmt.Errorf("put the old database aside: %w", err)
		}
	}
	if err := syncFolder(r.Dir); err != nil {
		return err
	}
	for _, name := range []string{path + "-wal", path + "-shm"} { // or what is restored would be taken for what they belong to
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (r *Restoring) place(ready, path string) error {
	if err := os.Rename(ready, path); err != nil {
		return fmt.Errorf("put the backup in its place: %w", err)
	}
	return syncFolder(r.Dir)
}

func (r *Restoring) now() time.Time {
	if r.Clock == nil {
		return time.Now()
	}
	return r.Clock()
}
