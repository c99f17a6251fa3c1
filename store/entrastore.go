package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"foyer"
)

// peopleBatch is how many people one transaction of a reading writes: others write meanwhile. sweepBatch is how many rows are looked at at once for those that nobody sees.
const (
	peopleBatch = 1000
	sweepBatch  = 5000
)

// StoreReading stores what a reading found once it came to its end: after a full one nobody else is known any more. items are stored in their order, whole or not at all.
// delta is where the next one begins. It tells whether that changed what is known.
func (s *Store) StoreReading(ctx context.Context, caller foyer.Caller, r *Reading, full bool, delta string, items func(yield func([]EntraItem) error) error) (changed bool, err error) {
	if err := caller.May(foyer.Operate, ""); err != nil {
		return false, err
	}
	w := personWriter{s: s, ctx: ctx, r: r, full: full, seen: map[[16]byte]struct{}{}, superseded: map[string]struct{}{}}
	if err := w.begin(); err != nil {
		return false, err
	}
	err = items(w.write)
	if err == nil {
		err = w.flush(1)
	}
	if err == nil && full {
		err = w.dropUnseen()
	}
	if err == nil {
		err = w.finish(delta)
	}
	if err != nil {
		w.begin() // which sweeps what it wrote; or the next reading does
		return false, err
	}
	w.sweepSuperseded() // the same
	return w.pending > 0, nil
}

// personWriter writes what a reading says of people.
type personWriter struct {
	s          *Store
	ctx        context.Context
	r          *Reading
	full       bool
	whole      int64 // the number of the newest reading that is whole: this one has the next
	waiting    []EntraItem
	seen       map[[16]byte]struct{} // of a full reading: hashes of the ids that it named
	superseded map[string]struct{}   // who has rows of earlier readings and of this one
	pending    int                   // rows of this reading
}

// step runs fn in a transaction in which the reading is this process's.
func (w *personWriter) step(fn func(*txn) error) error {
	return w.s.beside(w.ctx, w.r.Org.ID, "store what was read", func(t *txn) error {
		if err := w.r.hold(t); err != nil {
			return err
		}
		return fn(t)
	})
}

// begin finds out the number of the reading, and sweeps away what an earlier one left that did not come to its end.
func (w *personWriter) begin() error {
	unswept := false
	err := w.step(func(t *txn) error {
		return t.get(`SELECT reading, unswept FROM entra_connection WHERE org = $1 AND source = $2`, []any{w.r.Org.ID, w.r.Connection.Source}, &w.whole, &unswept)
	})
	if err == nil && unswept {
		err = w.sweep()
	}
	return err
}

// write takes some items; they are written once there are enough of them.
func (w *personWriter) write(items []EntraItem) error {
	for i := range items {
		if err := items[i].check(); err != nil {
			return err
		}
	}
	w.waiting = append(w.waiting, items...)
	return w.flush(peopleBatch)
}

// flush writes the items that wait, where they are so many.
func (w *personWriter) flush(least int) error {
	for len(w.waiting) >= least {
		items := w.waiting[:min(peopleBatch, len(w.waiting))]
		if err := w.step(func(t *txn) error { return w.apply(t, items) }); err != nil {
			return err
		}
		w.waiting = w.waiting[len(items):]
	}
	return nil
}

// apply writes some items, of which a later one of the same person goes on from the earlier.
func (w *personWriter) apply(t *txn, items []EntraItem) error {
	ids := map[string]bool{}
	for _, item := range items {
		ids[item.ID] = true
	}
	p, err := w.load(t, slices.Sorted(maps.Keys(ids)))
	if err != nil {
		return err
	}
	for _, item := range items {
		now, err := p.now(item.ID)
		if err != nil {
			return err
		}
		if _, met := w.seen[idHash(item.ID)]; w.full && !met {
			w.seen[idHash(item.ID)] = struct{}{}
			now = nil // a full reading says all anew
		}
		p.after[item.ID] = item.onto(now)
	}
	return w.settle(t, p)
}

func idHash(id string) [16]byte {
	sum := sha256.Sum256([]byte(id))
	return [16]byte(sum[:16])
}

// portion is what is known of some people, and what will be.
type portion struct {
	ids     []string
	known   map[string]*personRow // as it counts now
	pending map[string]*personRow // as this reading wrote it so far
	after   map[string]*EntraPerson
}

func (w *personWriter) load(t *txn, ids []string) (p portion, err error) {
	p = portion{ids, map[string]*personRow{}, map[string]*personRow{}, map[string]*EntraPerson{}}
	err = rowsOf(t, w.r.Org.ID, w.r.Connection.Source, ids, func(r personRow) {
		of := p.known
		if r.reading > w.whole {
			of = p.pending
		}
		if before := of[r.id]; before == nil || before.reading < r.reading {
			of[r.id] = &r
		}
	})
	return p, err
}

// now returns what the reading knows of a person so far; nil: nobody.
func (p *portion) now(id string) (*EntraPerson, error) {
	if after, ok := p.after[id]; ok {
		return after, nil
	}
	if pending := p.pending[id]; pending != nil {
		return pending.person()
	}
	return p.known[id].person()
}

// settle writes what will be of some people, where it differs from what is known.
func (w *personWriter) settle(t *txn, p portion) error {
	erased, err := w.erased(t)
	if err != nil {
		return err
	}
	var rows []any
	var same []string
	for _, id := range p.ids {
		after, known := erased.without(p.after[id]), p.known[id]
		row := personRow{id: id, gone: after == nil, attributes: "{}"}
		key := ""
		if after != nil {
			attributes, err := json.Marshal(after.Attributes)
			if err != nil {
				return err
			}
			row.manager, row.attributes = after.ManagerID, strings.ToValidUTF8(string(attributes), "\uFFFD")
			if keys := after.mailKeys(); len(keys) > 0 {
				key = keys[0]
			}
		}
		if row.as(known) {
			if p.pending[id] != nil {
				same = append(same, id)
				w.pending--
				delete(w.superseded, id)
			}
			continue
		}
		if p.pending[id] == nil {
			w.pending++
		}
		if known != nil {
			w.superseded[id] = struct{}{}
		}
		rows = append(rows, string(w.r.Org.ID), int64(w.r.Connection.Source), id, key, row.manager, row.attributes, w.whole+1, flag(row.gone))
	}
	if err := w.remove(t, same, `reading > ?`); err != nil {
		return err
	}
	return w.insert(t, rows)
}

// as tells whether a row says the same as one that is known; nil says that nobody is there.
func (r *personRow) as(known *personRow) bool {
	if known == nil || known.gone {
		return r.gone
	}
	return !r.gone && r.attributes == known.attributes && r.manager == known.manager
}

// insert writes rows of this reading.
func (w *personWriter) insert(t *txn, args []any) error {
	const columns = 8
	if len(args) == 0 {
		return nil
	}
	if err := t.exec(`UPDATE entra_connection SET unswept = 1 WHERE org = $1 AND source = $2 AND unswept = 0`, w.r.Org.ID, w.r.Connection.Source); err != nil {
		return err
	}
	for args := range slices.Chunk(args, columns*t.dialect.size(entryBatch, peopleBatch)) {
		text, params := t.dialect.rows(nil, args, columns)
		err := t.exec(`INSERT INTO entra_person (org, source, id, mail, manager, attributes, reading, gone) `+text+
			` ON CONFLICT (org, source, id, reading) DO UPDATE SET mail = excluded.mail, manager = excluded.manager, attributes = excluded.attributes, gone = excluded.gone`, params...)
		if err != nil {
			return err
		}
	}
	return nil
}

// remove deletes rows of some people: those of which where is true, in which the ? is the number of the newest whole reading.
func (w *personWriter) remove(t *txn, ids []string, where string) error {
	for ids := range slices.Chunk(ids, t.dialect.size(lookupBatch, lookupMany)) {
		wanted := make([]any, len(ids))
		for i, id := range ids {
			wanted[i] = id
		}
		text, params := t.dialect.rows(nil, wanted, 1)
		err := t.exec(`DELETE FROM entra_person WHERE org = ? AND source = ? AND `+where+` AND id IN (`+text+`)`, append([]any{w.r.Org.ID, w.r.Connection.Source, w.whole}, params...)...)
		if err != nil {
			return err
		}
	}
	return nil
}

// dropUnseen writes of whomever a full reading did not name that they are gone.
func (w *personWriter) dropUnseen() error {
	var unseen []string
	err := w.s.snapshot(w.ctx, w.r.Org.ID, "look who is gone", func(t *txn) error {
		const q = `SELECT id FROM entra_person WHERE org = $1 AND source = $2 AND reading <= $3 ORDER BY id`
		return t.each(q, []any{w.r.Org.ID, w.r.Connection.Source, w.whole}, func(rows *sql.Rows) error {
			var id string
			err := rows.Scan(&id)
			if _, met := w.seen[idHash(id)]; !met {
				unseen = append(unseen, id)
			}
			return err
		})
	})
	if err != nil {
		return err
	}
	for ids := range slices.Chunk(slices.Compact(unseen), peopleBatch) {
		err := w.step(func(t *txn) error {
			p, err := w.load(t, ids)
			if err != nil {
				return err
			}
			return w.settle(t, p) // of whom nothing is said after, nobody is
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// finish makes what the reading wrote count.
func (w *personWriter) finish(delta string) error {
	org, source := w.r.Org.ID, w.r.Connection.Source
	if w.pending == 0 {
		return w.step(func(t *txn) error {
			return t.exec(`UPDATE entra_connection SET delta = $1 WHERE org = $2 AND source = $3`, delta, org, source)
		})
	}
	people := 0
	err := w.s.snapshot(w.ctx, org, "count the people", func(t *txn) (err error) {
		people, err = countPeople(t, org, source, w.whole+1)
		return err
	})
	if err != nil {
		return err
	}
	err = w.step(func(t *txn) error {
		const q = `UPDATE entra_connection SET delta = $1, people = $2, version = version + 1, reading = $3, unswept = $4 WHERE org = $5 AND source = $6`
		return t.exec(q, delta, people, w.whole+1, flag(len(w.superseded) > 0), org, source)
	})
	if err == nil {
		w.whole++
	}
	return err
}

// countPeople counts who is known up to a reading.
func countPeople(t *txn, org foyer.OrgID, source foyer.SourceID, reading int64) (n int, err error) {
	last, there := "", false
	const q = `SELECT id, gone FROM entra_person WHERE org = $1 AND source = $2 AND reading <= $3 ORDER BY id, reading`
	err = t.each(q, []any{org, source, reading}, func(rows *sql.Rows) error {
		var id string
		var gone bool
		err := rows.Scan(&id, &gone)
		if id != last && there {
			n++
		}
		last, there = id, !gone
		return err
	})
	if there {
		n++
	}
	return n, err
}
