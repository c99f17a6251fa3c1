package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"maps"
	"slices"

	"foyer"
)

// sweepSuperseded removes the earlier rows of those of whom a reading that counts now has newer ones.
func (w *personWriter) sweepSuperseded() error {
	if len(w.superseded) == 0 {
		return nil
	}
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(w.superseded)), peopleBatch) {
		// of those who are gone that reading's row too
		err := w.step(func(t *txn) error { return w.remove(t, ids, `reading <= ? - 1 + gone`) })
		if err != nil {
			return err
		}
	}
	return w.swept()
}

func (w *personWriter) swept() error {
	return w.step(func(t *txn) error {
		return t.exec(`UPDATE entra_connection SET unswept = 0 WHERE org = $1 AND source = $2`, w.r.Org.ID, w.r.Connection.Source)
	})
}

// sweep removes all rows that nobody sees: of readings that did not come to their end, and earlier ones.
func (w *personWriter) sweep() error {
	for after, more := "", true; more; {
		var unseen []personRow
		err := w.s.snapshot(w.ctx, w.r.Org.ID, "look for what nobody sees", func(t *txn) (err error) {
			unseen, after, more, err = w.unseen(t, after)
			return err
		})
		if err != nil {
			return err
		}
		for rows := range slices.Chunk(unseen, peopleBatch) {
			err := w.step(func(t *txn) error {
				for _, r := range rows {
					const q = `DELETE FROM entra_person WHERE org = $1 AND source = $2 AND id = $3 AND reading = $4`
					if err := t.exec(q, w.r.Org.ID, w.r.Connection.Source, r.id, r.reading); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	return w.swept()
}

// unseen returns the rows of the next some people that nobody sees, whose are the last ones looked at, and whether there are more.
func (w *personWriter) unseen(t *txn, after string) (unseen []personRow, last string, more bool, err error) {
	var met []personRow
	const q = `SELECT id, reading, gone FROM entra_person WHERE org = $1 AND source = $2 AND id > $3 ORDER BY id, reading LIMIT $4`
	err = t.each(q, []any{w.r.Org.ID, w.r.Connection.Source, after, sweepBatch}, func(rows *sql.Rows) error {
		var r personRow
		err := rows.Scan(&r.id, &r.reading, &r.gone)
		met = append(met, r)
		return err
	})
	if err != nil || len(met) == 0 {
		return nil, after, false, err
	}
	if more = len(met) == sweepBatch; more { // of the last one there may be further rows: they are looked at next
		whole := slices.IndexFunc(met, func(r personRow) bool { return r.id == met[len(met)-1].id })
		met = met[:whole]
	}
	for i, r := range met {
		superseded := i+1 < len(met) && met[i+1].id == r.id && met[i+1].reading <= w.whole
		if r.reading > w.whole || superseded || r.gone {
			unseen = append(unseen, r)
		}
	}
	return unseen, met[len(met)-1].id, more, nil
}

// sweepDead sweeps what readings of an organization's tenants left whose processes ended, where none comes after them: those of connections that rest.
func (s *Store) sweepDead(ctx context.Context, org foyer.OrgID) error {
	var dead []*Reading
	err := s.snapshot(ctx, org, "look for readings that ended", func(t *txn) error {
		return t.each(`SELECT source FROM entra_connection WHERE org = $1 AND unswept = 1 AND leased_until <= $2`, []any{org, millis(t.now)}, func(rows *sql.Rows) error {
			r := &Reading{Org: foyer.Org{ID: org}, lease: rand.Text()}
			dead = append(dead, r)
			return rows.Scan(&r.Connection.Source)
		})
	})
	for _, r := range dead {
		if err == nil {
			err = s.sweepAs(ctx, r)
		}
	}
	return err
}

// sweepAs takes a tenant, as a reading does, and sweeps it.
func (s *Store) sweepAs(ctx context.Context, r *Reading) error {
	taken := int64(0)
	err := s.beside(ctx, r.Org.ID, "take the tenant", func(t *txn) (err error) {
		const q = `UPDATE entra_connection SET lease = $1, leased_until = $2 WHERE org = $3 AND source = $4 AND leased_until <= $5`
		taken, err = t.count(q, r.lease, millis(t.now.Add(ReadingLease)), r.Org.ID, r.Connection.Source, millis(t.now))
		return err
	})
	if err != nil || taken == 0 {
		return err
	}
	w := personWriter{s: s, ctx: ctx, r: r}
	if err := w.begin(); err != nil {
		return err
	}
	return w.step(func(t *txn) error {
		return t.exec(`UPDATE entra_connection SET lease = '', leased_until = 0 WHERE org = $1 AND source = $2`, r.Org.ID, r.Connection.Source)
	})
}
