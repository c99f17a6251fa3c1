package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"sync/atomic"
	"time"
)

// txn is a transaction under way. On SQLite it prepares each statement once: a sync runs a few of them many thousand times. PostgreSQL is told each anew, since behind
// a pooler no connection remembers one.
type txn struct {
	ctx      context.Context // the transaction's: it ends with it
	tx       *sql.Tx
	conn     *sql.Conn // that of tx
	now      time.Time // when it began, by the store's clock
	dialect  dialect
	doors    string // the schema of PostgreSQL by which rows come in by COPY
	written  *atomic.Int64
	prepared map[string]*sql.Stmt
}

func (t *txn) prepare(query string) (*sql.Stmt, error) {
	if st := t.prepared[query]; st != nil {
		return st, nil
	}
	st, err := t.tx.PrepareContext(t.ctx, query)
	if err == nil {
		t.prepared[query] = st
	}
	return st, err
}

func (t *txn) exec(query string, args ...any) error {
	_, err := t.count(query, args...)
	return err
}

// count runs a statement and returns how many rows it changed.
func (t *txn) count(query string, args ...any) (rows int64, err error) {
	var result sql.Result
	if t.dialect == postgresDialect {
		result, err = t.tx.ExecContext(t.ctx, t.dialect.text(query), plainAll(args)...)
	} else {
		var st *sql.Stmt
		if st, err = t.prepare(query); err == nil {
			result, err = st.ExecContext(t.ctx, args...)
		}
	}
	if err != nil {
		return 0, err
	}
	rows, err = result.RowsAffected()
	t.written.Add(rows)
	return rows, err
}

// carryOut runs a statement and returns how many rows it changed.
func (t *txn) carryOut(s statement) (rows int64, err error) {
	if s.load != nil {
		return t.load(s.query, s.load)
	}
	return t.count(s.query, s.args...)
}

func (t *txn) query(query string, args []any) (*sql.Rows, error) {
	if t.dialect == postgresDialect {
		return t.tx.QueryContext(t.ctx, t.dialect.text(query), plainAll(args)...)
	}
	st, err := t.prepare(query)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(t.ctx, args...)
}

// get reads the first row into dest; sql.ErrNoRows where there is none.
func (t *txn) get(query string, args []any, dest ...any) error {
	rows, err := t.query(query, args)
	if err != nil {
		return err
	}
	defer rows.Close()
	if !rows.Next() {
		return cmp.Or(rows.Err(), sql.ErrNoRows)
	}
	return errors.Join(rows.Scan(dest...), rows.Close())
}

// each calls row for each row of the result; it scans it, and asks the transaction for nothing.
func (t *txn) each(query string, args []any, row func(*sql.Rows) error) error {
	rows, err := t.query(query, args)
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

// nested runs fn, and takes back what it wrote where it fails, but for what was written before.
func (t *txn) nested(fn func() error) error {
	if err := t.exec(`SAVEPOINT nested`); err != nil {
		return err
	}
	err := fn()
	if err != nil && t.ctx.Err() == nil {
		if undo := t.exec(`ROLLBACK TO SAVEPOINT nested`); undo != nil {
			return errors.Join(err, undo)
		}
	}
	return err
}

func plainAll(args []any) []any {
	for i, v := range args {
		args[i] = plain(v)
	}
	return args
}
