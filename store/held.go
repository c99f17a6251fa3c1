package store

import (
	"bytes"
	"compress/flate"
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"foyer"
)

// A held run keeps what was delivered, and whom it would take away, until it is decided on (R22). Both are sequences of records in parts of about
// heldPart bytes, compressed and sealed under the run and the part's place. The last part is empty: without it the sequence was cut.
const heldPart = 1 << 20

// Kept is what a held run keeps.
type Kept struct {
	Rows    func(yield func(*foyer.Row) error) error // what was delivered; nil: nothing was
	Lost    []foyer.EntryID                          // whom the run would disable or take off their site, ascending
	New     []foyer.EntryID                          // of these, who were not among those that an approval covered
	Away    []foyer.EntryID                          // whom the guard counted besides: taken away in the days before
	Changes []*foyer.Change                          // what it would do to the first people, the gravest first
}

// heldWriter writes one sequence of a held run.
type heldWriter struct {
	t    *txn
	seal func(part int, plain []byte) ([]byte, error)
	org  foyer.OrgID
	run  foyer.RunID
	kind string
	part int
	open []byte
}

// heldIdentity is under what a part of a held run is sealed.
func heldIdentity(org foyer.OrgID, run foyer.RunID, kind string, part int) string {
	return fmt.Sprintf("held %s %d %s %d", org, run, kind, part)
}

func (s *Store) newHeldWriter(t *txn, org foyer.OrgID, run foyer.RunID, kind string) *heldWriter {
	seal := func(part int, plain []byte) ([]byte, error) {
		return s.vault.Seal(heldIdentity(org, run, kind, part), plain)
	}
	return &heldWriter{t: t, seal: seal, org: org, run: run, kind: kind}
}

func (w *heldWriter) add(record []byte) error {
	w.open = binary.AppendUvarint(w.open, uint64(len(record)))
	w.open = append(w.open, record...)
	if len(w.open) < heldPart {
		return nil
	}
	return w.flush()
}

func (w *heldWriter) flush() error {
	var packed bytes.Buffer
	z, err := flate.NewWriter(&packed, flate.BestSpeed)
	if err != nil {
		return err
	}
	z.Write(w.open)
	if err := z.Close(); err != nil {
		return err
	}
	sealed, err := w.seal(w.part, packed.Bytes())
	if err != nil {
		return err
	}
	const q = `INSERT INTO held_chunk (org, run, kind, part, data) VALUES ($1, $2, $3, $4, $5)`
	err = w.t.exec(q, w.org, w.run, w.kind, w.part, sealed)
	w.part++
	w.open = w.open[:0]
	return err
}

// finish writes what is open, and the empty part that says that nothing is missing.
func (w *heldWriter) finish() error {
	if len(w.open) > 0 {
		if err := w.flush(); err != nil {
			return err
		}
	}
	return w.flush()
}

// keep stores what a held run keeps.
func (s *Store) keep(t *txn, org foyer.OrgID, run foyer.RunID, k *Kept) error {
	for kind, ids := range map[string][]foyer.EntryID{"lost": k.Lost, "new": k.New, "away": k.Away} {
		w := s.newHeldWriter(t, org, run, kind)
		for _, id := range ids {
			if err := w.add(binary.AppendUvarint(nil, uint64(id))); err != nil {
				return err
			}
		}
		if err := w.finish(); err != nil {
			return err
		}
	}
	changes := s.newHeldWriter(t, org, run, "changes")
	for _, c := range k.Changes {
		if err := changes.add(appendChange(nil, c)); err != nil {
			return err
		}
	}
	if err := changes.finish(); err != nil || k.Rows == nil {
		return err
	}
	rows := s.newHeldWriter(t, org, run, "rows")
	var record []byte
	err := k.Rows(func(row *foyer.Row) (err error) {
		if record, err = appendRow(record[:0], row); err != nil {
			return err
		}
		return rows.add(record)
	})
	if err != nil {
		return err
	}
	return rows.finish()
}

// errCut says that a part of what a held run keeps is missing.
var errCut = errors.New("is cut")

// openPart returns the records of one part of what a held run keeps; none of the last.
func openPart(t *txn, s *Store, org foyer.OrgID, run foyer.RunID, kind string, part int) ([]byte, error) {
	var data []byte
	err := t.get(`SELECT data FROM held_chunk WHERE org = $1 AND run = $2 AND kind = $3 AND part = $4`, []any{org, run, kind, part}, &data)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("what the run %v keeps %w", run, errCut)
	}
	if err != nil {
		return nil, err
	}
	packed, err := s.vault.Open(heldIdentity(org, run, kind, part), data)
	if err != nil {
		return nil, fmt.Errorf("what the run %v keeps is damaged: %w", run, err)
	}
	plain, err := io.ReadAll(flate.NewReader(bytes.NewReader(packed)))
	if err != nil {
		return nil, fmt.Errorf("what the run %v keeps is damaged: %w", run, err)
	}
	return plain, nil
}

// eachRecord calls yield for each record of a part.
func eachRecord(run foyer.RunID, plain []byte, yield func(record []byte) error) error {
	for len(plain) > 0 {
		size, n := binary.Uvarint(plain)
		if n <= 0 || size > uint64(len(plain)-n) {
			return fmt.Errorf("what the run %v keeps is damaged", run)
		}
		if err := yield(plain[n : n+int(size)]); err != nil {
			return err
		}
		plain = plain[n+int(size):]
	}
	return nil
}

// readHeld calls yield for each record of a sequence of a held run.
func readHeld(t *txn, s *Store, org foyer.OrgID, run foyer.RunID, kind string, yield func(record []byte) error) error {
	for part := 0; ; part++ {
		plain, err := openPart(t, s, org, run, kind, part)
		if err == nil {
			err = eachRecord(run, plain, yield)
		}
		if err != nil || len(plain) == 0 {
			return err
		}
	}
}

// heldRow is a row as a held run keeps it; the record is packed beside it.
type heldRow struct {
	Line     int             `json:"line"`
	Bad      bool            `json:"bad,omitempty"`
	Mentions []string        `json:"mentions,omitempty"`
	Problems []foyer.Problem `json:"problems,omitempty"`
}

func appendRow(b []byte, row *foyer.Row) ([]byte, error) {
	head, err := json.Marshal(heldRow{row.Line, row.Bad, row.Mentions, row.Problems})
	if err != nil {
		return nil, err
	}
	b = binary.AppendUvarint(b, uint64(len(head)))
	b = append(b, head...)
	return row.AppendPacked(b), nil
}

func parseRow(record []byte) (*foyer.Row, error) {
	size, n := binary.Uvarint(record)
	if n <= 0 || size > uint64(len(record)-n) {
		return nil, errors.New("a row that a held run keeps is damaged")
	}
	var head heldRow
	if err := json.Unmarshal(record[n:n+int(size)], &head); err != nil {
		return nil, err
	}
	return &foyer.Row{Record: foyer.Packed(record[n+int(size):]).Unpack(), Line: head.Line, Bad: head.Bad, Mentions: head.Mentions, Problems: head.Problems}, nil
}

// Held is a run that waits for a decision, with what it keeps.
type Held struct {
	*foyer.Run
	Lost []foyer.EntryID // whom it was shown to take away, ascending
	b    *Book
}

// Held returns a held run. foyer.NotFound where there is none of that id, foyer.Conflict where it waits no more.
func (b *Book) Held(id foyer.RunID) (*Held, error) {
	run, err := readRun(b.t, b.Org.ID, id)
	if err != nil {
		return nil, err
	}
	if err := waits(run, b.store.clock()); err != nil {
		return nil, err
	}
	h := &Held{Run: run, b: b}
	h.Lost, err = readHeldIDs(b.t, b.store, b.Org.ID, id, "lost")
	return h, err
}

// waits returns nil while a run can be decided on.
func waits(run *foyer.Run, now time.Time) error {
	switch {
	case run.Status == foyer.Superseded && run.Hold != nil:
		return foyer.Errorf(foyer.Conflict, "the run %v was superseded by %s: look at that one, foyer run show", run.ID, run.Hold.Decided)
	case run.Status != foyer.Held || run.Hold == nil:
		return foyer.Errorf(foyer.Conflict, "the run %v is not held, but %s%s", run.ID, run.Status, because(run.Message))
	case !now.Before(run.Hold.Expires):
		return foyer.Errorf(foyer.Conflict, "the run %v waited for a decision until %s, and has lapsed; send the file again", run.ID, run.Hold.Expires.Format(time.DateTime))
	}
	return nil
}

func because(message string) string {
	if message == "" {
		return ""
	}
	return ": " + message
}

func readHeldIDs(t *txn, s *Store, org foyer.OrgID, run foyer.RunID, kind string) (ids []foyer.EntryID, err error) {
	err = readHeld(t, s, org, run, kind, func(record []byte) error {
		id, n := binary.Uvarint(record)
		if n <= 0 {
			return fmt.Errorf("what the run %v keeps is damaged", run)
		}
		ids = append(ids, foyer.EntryID(id))
		return nil
	})
	return ids, err
}

// Rows implements reconcile.Input with what the held run was delivered.
func (h *Held) Rows(yield func(*foyer.Row) error) ([]foyer.Problem, error) {
	err := readHeld(h.b.t, h.b.store, h.b.Org.ID, h.ID, "rows", func(record []byte) error {
		row, err := parseRow(record)
		if err != nil {
			return err
		}
		return yield(row)
	})
	return nil, err
}

// HeldDetail returns what a held run keeps, but for the rows; nothing of a run that waits no more.
func (s *Store) HeldDetail(ctx context.Context, caller foyer.Caller, org foyer.OrgID, run foyer.RunID) (k Kept, err error) {
	if err := caller.May(foyer.ReadBook, org); err != nil {
		return k, err
	}
	err = s.snapshot(ctx, org, "read the held run", func(t *txn) error {
		r, err := readRun(t, org, run)
		if err != nil || r.Status != foyer.Held {
			return err
		}
		k, err = readKept(t, s, org, run)
		return err
	})
	return k, err
}

// readKept returns what a held run keeps, but for the rows.
func readKept(t *txn, s *Store, org foyer.OrgID, run foyer.RunID) (k Kept, err error) {
	for kind, ids := range map[string]*[]foyer.EntryID{"lost": &k.Lost, "new": &k.New, "away": &k.Away} {
		if *ids, err = readHeldIDs(t, s, org, run, kind); err != nil {
			return k, err
		}
	}
	return k, readHeld(t, s, org, run, "changes", func(record []byte) error {
		c, err := parseChange(record)
		k.Changes = append(k.Changes, &c)
		return err
	})
}

// Reject ends a held run: it will not be applied. foyer.Conflict where it waits no more.
func (s *Store) Reject(ctx context.Context, caller foyer.Caller, org foyer.OrgID, id foyer.RunID) (run *foyer.Run, err error) {
	if err := caller.May(foyer.DecideRuns, org); err != nil {
		return nil, err
	}
	err = s.transact(ctx, org, "reject the run", func(t *txn) error {
		if run, err = readRun(t, org, id); err != nil {
			return err
		}
		if err := waits(run, s.clock()); err != nil {
			return err
		}
		run.Status = foyer.Rejected
		if err := s.endHeld(t, org, run, caller.Name); err != nil {
			return err
		}
		for _, undo := range run.Hold.Redoes { // a person said no: the next that would do it again is held again (R25)
			if err := t.exec(`UPDATE redo_watch SET spent = 0 WHERE org = $1 AND source = $2 AND undo = $3`, org, run.Source, undo); err != nil {
				return err
			}
		}
		return s.audit(t, caller, org, "run.reject", id.String(), "")
	})
	return run, err
}

// LapseHeld ends the held runs of all organizations on which nobody decided in time (R22).
func (s *Store) LapseHeld(ctx context.Context, caller foyer.Caller) error {
	if err := caller.May(foyer.Operate, ""); err != nil {
		return err
	}
	late := map[foyer.OrgID][]foyer.RunID{}
	err := s.snapshot(ctx, everyOrg, "find the held runs", func(t *txn) error {
		return t.each(`SELECT org, id, hold FROM run WHERE status = 'held'`, nil, func(rows *sql.Rows) error {
			var org foyer.OrgID
			var id foyer.RunID
			var text []byte
			var hold foyer.Hold
			if err := errors.Join(rows.Scan(&org, &id, &text), json.Unmarshal(text, &hold)); err != nil {
				return err
			}
			if !s.clock().Before(hold.Expires) {
				late[org] = append(late[org], id)
			}
			return nil
		})
	})
	for org, ids := range late {
		for _, id := range ids {
			err = errors.Join(err, s.lapse(ctx, caller, org, id))
		}
	}
	return err
}

func (s *Store) lapse(ctx context.Context, caller foyer.Caller, org foyer.OrgID, id foyer.RunID) error {
	return s.transact(ctx, org, "lapse the run", func(t *txn) error {
		run, err := readRun(t, org, id)
		if err != nil || run.Status != foyer.Held {
			return err
		}
		run.Status = foyer.Lapsed
		if err := s.endHeld(t, org, run, ""); err != nil {
			return err
		}
		return s.audit(t, caller, org, "run.lapse", id.String(), "")
	})
}

// endHeld stores the new status of a held run, and by whom it was decided, and deletes what it kept.
func (s *Store) endHeld(t *txn, org foyer.OrgID, run *foyer.Run, by string) error {
	if by != "" {
		run.Hold.Decided = by + ", " + s.clock().UTC().Format("2006-01-02 15:04:05 UTC")
	}
	hold, err := textOrNothing(run.Hold)
	if err != nil {
		return err
	}
	if err := t.exec(`UPDATE run SET status = $1, hold = $2 WHERE org = $3 AND id = $4`, run.Status, hold, org, run.ID); err != nil {
		return err
	}
	if run.Status == foyer.Rejected || run.Status == foyer.Lapsed {
		how := fmt.Sprintf("%v was %s", run.ID, run.Status)
		if run.Status == foyer.Lapsed {
			how = fmt.Sprintf("nobody decided on %v in time, and it has lapsed", run.ID)
		}
		if err := closeAlert(t, org, heldCause(run), ending{s.clock(), how}); err != nil {
			return err
		}
	}
	return t.exec(`DELETE FROM held_chunk WHERE org = $1 AND run = $2`, org, run.ID)
}

// supersede ends the held runs of a source that delivered anew (R22). The held end of a source waits on: it is no delivery.
func (s *Store) supersede(t *txn, caller foyer.Caller, org foyer.OrgID, by *foyer.Run) error {
	held, err := readRuns(t, `WHERE org = $1 AND source = $2 AND status = 'held' AND kind = $3`, org, by.Source, by.Kind)
	if err != nil {
		return err
	}
	for _, run := range held {
		run.Status = foyer.Superseded
		if err := s.endHeld(t, org, run, by.ID.String()); err != nil {
			return err
		}
		if err := s.audit(t, caller, org, "run.supersede", run.ID.String(), "by="+by.ID.String()); err != nil {
			return err
		}
	}
	return nil
}
