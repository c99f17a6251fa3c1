package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"foyer"
)

// Copied is what Copy did with one organization.
type Copied struct {
	Org    foyer.Org
	Rows   int64 // of all tables
	Before bool  // it was there from an earlier try, and was only compared
}

// copyRows and copyBytes bound what is read before it is written: rows of held runs have up to a megabyte.
const (
	copyRows  = 2000
	copyBytes = 8 << 20
)

// copyTable is a table as it is copied.
type copyTable struct {
	name    string
	columns []string
	texts   []bool // which are text
	key     string // "org, id"
	org     string // the column that says whose a row is
}

// Copy copies all organizations of a store on SQLite into one on PostgreSQL, each in one transaction in which the copy is compared with the original row by row. What an
// earlier try copied is only compared. The original is not written to meanwhile by anybody; whoever goes on with it afterwards does so without the copy. done is told of each
// organization. The application at Microsoft comes along, sealed as it is. foyer.Conflict where the target has another organization, another application, or other rows.
func Copy(ctx context.Context, caller foyer.Caller, from, to *Store, done func(Copied)) error {
	if err := caller.May(foyer.Operate, ""); err != nil {
		return err
	}
	if from.dialect != sqliteDialect || to.dialect != postgresDialect {
		return foyer.Errorf(foyer.Invalid, "a copy goes from a data folder to a database of PostgreSQL")
	}
	tables, err := to.copyTables(ctx)
	if err != nil {
		return to.busy("read the schema", err)
	}
	there, err := to.Orgs(ctx, caller)
	if err != nil {
		return err
	}
	return from.transact(ctx, everyOrg, "copy", func(source *txn) error { // as the one writer
		orgs, err := readOrgs(source, `ORDER BY id`)
		if err != nil {
			return err
		}
		before := map[foyer.OrgID]bool{}
		for _, org := range orgs {
			before[org.ID] = false
		}
		for _, org := range there {
			if _, known := before[org.ID]; !known {
				return foyer.Errorf(foyer.Conflict, "the database has an organization %q that the data folder has not: copy into an empty one", org.Slug)
			}
			before[org.ID] = true
		}
		if err := copyEntraApp(ctx, source, to); err != nil {
			return err
		}
		for _, org := range orgs {
			copied := Copied{Org: org, Before: before[org.ID]}
			err := to.beside(ctx, org.ID, "copy "+org.Slug, func(target *txn) (err error) {
				for _, table := range tables {
					if !copied.Before {
						if err := table.copy(source, target, org.ID); err != nil {
							return fmt.Errorf("%s: %w", table.name, err)
						}
					}
					n, err := table.compare(source, target, org)
					if err != nil {
						return err
					}
					copied.Rows += n
				}
				return nil
			})
			if err != nil {
				return err
			}
			done(copied)
		}
		return nil
	})
}

// copyTables returns the tables with rows of organizations.
func (s *Store) copyTables(ctx context.Context) (tables []*copyTable, err error) {
	names, err := customerTables(ctx, s.read)
	for _, name := range append([]string{"org", "entra_tenant"}, names...) {
		if err != nil {
			return nil, err
		}
		table := &copyTable{name: name, org: "org"}
		if name == "org" {
			table.org = "id"
		}
		const columns = `SELECT column_name, data_type = 'text' FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position`
		err = eachOf(ctx, s.read, columns, name, func(rows *sql.Rows) error {
			var column string
			var text bool
			err := rows.Scan(&column, &text)
			table.columns, table.texts = append(table.columns, column), append(table.texts, text)
			return err
		})
		if err != nil {
			return nil, err
		}
		const key = `SELECT a.attname FROM pg_index i JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(attnum, n) ON true
			JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum WHERE i.indisprimary AND i.indrelid = $1::text::regclass ORDER BY k.n`
		var parts []string
		err = eachOf(ctx, s.read, key, name, func(rows *sql.Rows) error {
			var part string
			err := rows.Scan(&part)
			parts = append(parts, part)
			return err
		})
		table.key = strings.Join(parts, ", ")
		tables = append(tables, table)
	}
	return tables, err
}

func eachOf(ctx context.Context, db *sql.DB, query, arg string, row func(*sql.Rows) error) error {
	rows, err := db.QueryContext(ctx, query, arg)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// each calls row for each of an organization's rows, in the order of their key, with the values as PostgreSQL's columns have them.
func (c *copyTable) each(t *txn, org foyer.OrgID, row func(values []any) error) error {
	query := `SELECT ` + strings.Join(c.columns, ", ") + ` FROM ` + c.name + ` WHERE ` + c.org + ` = $1 ORDER BY ` + c.key
	values, into := make([]any, len(c.columns)), make([]any, len(c.columns))
	for i := range values {
		into[i] = &values[i]
	}
	return t.each(query, []any{org}, func(rows *sql.Rows) error {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		for i, value := range values {
			if b, ok := value.([]byte); ok && c.texts[i] {
				values[i] = string(b)
			}
		}
		return row(values)
	})
}

// copy writes an organization's rows into the target.
func (c *copyTable) copy(source, target *txn, org foyer.OrgID) error {
	var waiting []any
	size, row := 0, 0
	send := func() error {
		if len(waiting) == 0 {
			return nil
		}
		text, args := target.dialect.rows(nil, waiting, len(c.columns))
		waiting, size = waiting[:0], 0
		return target.exec(`INSERT INTO `+c.name+` (`+strings.Join(c.columns, ", ")+`) `+text, args...)
	}
	err := c.each(source, org, func(values []any) error {
		row++
		for i, value := range values {
			if text, ok := value.(string); ok && (!utf8.ValidString(text) || strings.Contains(text, "\x00")) {
				return c.unfit(row, c.columns[i], text)
			}
			if b, ok := value.([]byte); ok {
				value = append([]byte{}, b...) // an empty one is none to PostgreSQL otherwise
			}
			waiting, size = append(waiting, value), size+sizeOf(value)
		}
		if size < copyBytes && len(waiting) < copyRows*len(c.columns) {
			return nil
		}
		return send()
	})
	if err != nil {
		return err
	}
	return send()
}

// unfit says of a text that PostgreSQL does not take it, and what to do.
func (c *copyTable) unfit(row int, column, text string) error {
	cure := "give it another text, and copy again"
	if c.name == "audit" || c.name == "run" {
		cure = "nothing may change what was done: this installation stays in its data folder"
	}
	return foyer.Errorf(foyer.Invalid, "row %d of %s has in %s a text that is no UTF-8, which PostgreSQL does not take: %q; %s", row, c.name, column, text, cure)
}

func sizeOf(value any) int {
	switch v := value.(type) {
	case string:
		return len(v)
	case []byte:
		return len(v)
	}
	return 8
}

// compare compares an organization's rows on both sides and returns how many there are.
func (c *copyTable) compare(source, target *txn, org foyer.Org) (n int64, err error) {
	original, n, err := c.sum(source, org.ID)
	if err != nil {
		return n, err
	}
	copied, m, err := c.sum(target, org.ID)
	if err != nil {
		return n, err
	}
	if n != m {
		return n, foyer.Errorf(foyer.Conflict, "%s has %d rows of %s, and %d in the copy: copy into an empty database", org.Slug, n, c.name, m)
	}
	for i := range original {
		if original[i] != copied[i] {
			return n, foyer.Errorf(foyer.Conflict, "row %d of %s's %s is another one in the copy: copy into an empty database", i+1, org.Slug, c.name)
		}
	}
	return n, nil
}

// sum returns a short hash of each of an organization's rows.
func (c *copyTable) sum(t *txn, org foyer.OrgID) (hashes []uint64, n int64, err error) {
	h := sha256.New()
	err = c.each(t, org, func(values []any) error {
		h.Reset()
		for _, value := range values {
			addTo(h, value)
		}
		hashes, n = append(hashes, binary.BigEndian.Uint64(h.Sum(nil))), n+1
		return nil
	})
	return hashes, n, err
}

func addTo(h hash.Hash, value any) {
	text := fmt.Sprint(value)
	switch v := value.(type) {
	case string:
		text = v
	case []byte:
		text = string(v)
	}
	h.Write(binary.AppendUvarint(nil, uint64(len(text))))
	h.Write([]byte(text))
}

// PutAside gives the database in a data folder another name, whole and in one file, so that nobody goes on with it by mistake, and returns its path. To go back to it, give it its
// old name, foyer.db. The store must be closed. foyer.Conflict where anybody has it open.
func PutAside(ctx context.Context, dir string, now time.Time) (string, error) {
	lock, err := takeFolder(dir)
	if err != nil {
		return "", err
	}
	defer lock.Unlock()
	path := filepath.Join(dir, databaseName)
	aside := path + ".copied-" + now.UTC().Format("20060102T150405Z")
	err = fold(ctx, path, func() error { return os.Rename(path, aside) })
	return aside, errors.Join(err, syncFolder(dir))
}
