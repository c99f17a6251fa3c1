package store

import (
	"context"
	"database/sql"
	"sync/atomic"
	"time"
)

// txn is a transaction under way. It prepares each statement once: a sync runs a few of them many thousand times.
type txn struct {
	ctx      context.Context // the transaction's: it ends with it
	tx       *sql.Tx
	now      time.Time // when it began, by the store's clock
	written  *atomic.Int64
	prepared map[string]*sql.Stmt
}

func newTxn(ctx context.Context, tx *sql.Tx, now time.Time, written *atomic.Int64) *txn {
	return &txn{ctx: ctx, tx: tx, now: now, written: written, prepared: map[string]*sql.Stmt{}}
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
func (t *txn) count(query string, args ...any) (int64, error) {
	st, err := t.prepare(query)
	if err != nil {
		return 0, err
	}
	result, err := st.ExecContext(t.ctx, args...)
	if err != nil {
		return 0, err
	}
	rows, err := result.RowsAffected()
	t.written.Add(rows)
	return rows, err
}

// get reads one row into dest; sql.ErrNoRows where there is none.
func (t *txn) get(query string, args []any, dest ...any) error {
	st, err := t.prepare(query)
	if err != nil {
		return err
	}
	return st.QueryRowContext(t.ctx, args...).Scan(dest...)
}

// each calls row for each row of the result; it scans it.
func (t *txn) each(query string, args []any, row func(*sql.Rows) error) error {
	st, err := t.prepare(query)
	if err != nil {
		return err
	}
	rows, err := st.QueryContext(t.ctx, args...)
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
