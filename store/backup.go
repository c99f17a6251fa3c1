package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"foyer"
)

// Seal encrypts what is written to the writer that it returns, and ends with its Close.
type Seal func(io.Writer) (io.WriteCloser, error)

// Backup copies the database as it is at one moment into a new file, which only its owner can read, through seal where that is not nil; nothing lies unencrypted on any disk then. Syncs go on
// meanwhile. It is checked whole first, and the file is read again and compared with what was written. foyer.Conflict where the file exists, foyer.Invalid where the database is damaged.
//
// The file has its name only once all of it is on disk, and the copy is in the audit of every organization. Until then its name has ".part-" and a number behind; of that nothing is left when
// Backup fails.
func (s *Store) Backup(ctx context.Context, caller foyer.Caller, path string, seal Seal) (err error) {
	if err := caller.May(foyer.Operate, ""); err != nil {
		return err
	}
	if s.dialect != sqliteDialect {
		return foyer.Errorf(foyer.Invalid, "this copies SQLite's file; of PostgreSQL take copies with pg_dump or pg_basebackup, and of keys/ besides: docs/scale.md")
	}
	if err := mustNotExist(path); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".part-*") // of mode 0600
	if errors.Is(err, fs.ErrNotExist) {
		return foyer.Errorf(foyer.Invalid, "the folder %s of the backup is not there; make it first", filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("make the backup's file: %w", err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if err := s.writeBackup(ctx, f, seal); err != nil {
		return err
	}
	if err := s.auditAll(ctx, caller, "store.backup"); err != nil {
		return err
	}
	if err := mustNotExist(path); err != nil { // another backup may have ended meanwhile
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("give the backup its name: %w", err)
	}
	return syncFolder(filepath.Dir(path))
}

func mustNotExist(path string) error {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		return foyer.Errorf(foyer.Conflict, "%s exists; give another name", path)
	}
	return err
}

// writeBackup fills a backup's file, and closes it when what is on disk is what was written.
func (s *Store) writeBackup(ctx context.Context, f *os.File, seal Seal) error {
	written := sha256.New()
	out := io.Writer(&diskWriter{io.MultiWriter(f, written)})
	if seal == nil {
		if err := s.copyPages(ctx, out); err != nil {
			return err
		}
	} else {
		sealed, err := seal(out)
		if err != nil {
			return err
		}
		if err := errors.Join(s.copyPages(ctx, sealed), sealed.Close()); err != nil {
			return err
		}
	}
	if err := f.Sync(); err != nil {
		return diskError(err)
	}
	found := sha256.New()
	if _, err := io.Copy(found, io.NewSectionReader(f, 0, 1<<62)); err != nil {
		return diskError(err)
	}
	if !bytes.Equal(found.Sum(nil), written.Sum(nil)) {
		return diskError(errors.New("what was read again is not what was written"))
	}
	return f.Close()
}

// diskWriter says of an error that it is the backup's disk that fails, and not the database's.
type diskWriter struct{ to io.Writer }

// Write implements io.Writer.
func (d *diskWriter) Write(p []byte) (int, error) {
	n, err := d.to.Write(p)
	return n, diskError(err)
}

func diskError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("the backup could not be written, and nothing is left of it: %w", err)
}

// copyPages checks the database, and writes its pages, all in one transaction: so what is written is what was checked. The connection is its own: a check of a large database takes its time, and
// nobody who asks for a token waits for it.
func (s *Store) copyPages(ctx context.Context, out io.Writer) error {
	db, err := sql.Open("sqlite", dsn(filepath.Join(s.dir, databaseName), "_pragma", "query_only(1)"))
	if err != nil {
		return err
	}
	defer db.Close()
	return s.within(ctx, db, scope{org: everyOrg, doing: "copy the database"}, s.dialect.snapshot(), func(t *txn) error {
		if err := checkIntegrity(t); err != nil {
			return foyer.Errorf(foyer.Invalid, "the database is damaged, and was not copied: %v. Restore the last good backup: foyer restore", err)
		}
		var pages, copied int64
		if err := t.get(`PRAGMA page_count`, nil, &pages); err != nil {
			return err
		}
		var page sql.RawBytes
		err := t.each(`SELECT data FROM sqlite_dbpage ORDER BY pgno`, nil, func(rows *sql.Rows) error {
			if err := rows.Scan(&page); err != nil {
				return err
			}
			copied++
			_, err := out.Write(page)
			return err
		})
		if err == nil && copied != pages {
			err = fmt.Errorf("%d of %d pages were copied", copied, pages)
		}
		return err
	})
}

// maxDamages is how many damages of a database are told.
const maxDamages = 5

// checkIntegrity reads all of a database, and returns what is damaged in it as an error.
func checkIntegrity(t *txn) error {
	damages := []string{}
	err := t.each(fmt.Sprintf(`PRAGMA integrity_check(%d)`, maxDamages), nil, func(rows *sql.Rows) error {
		var damage string
		err := rows.Scan(&damage)
		if damage != "ok" {
			damages = append(damages, strings.ReplaceAll(damage, "\n", " "))
		}
		return err
	})
	if err == nil && len(damages) > 0 {
		err = errors.New(strings.Join(damages, "; "))
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
