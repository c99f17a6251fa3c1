package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"math"

	"foyer"
)

const runColumns = `id, kind, source, actor, address, status, started_at, finished_at, counts, problems, message, digest, book, of_run, replays, hold, refusal, same_as`

// nextRun returns the number of the next run. The transaction must hold the organization's book.
func nextRun(t *txn, org foyer.OrgID) (id foyer.RunID, err error) {
	err = t.get(`SELECT COALESCE((SELECT id FROM run WHERE org = $1 ORDER BY id DESC LIMIT 1), 0) + 1`, []any{org}, &id)
	return id, err
}

// insertRun stores a run, and opens and closes the alerts that follow from it (R27).
func insertRun(t *txn, org foyer.OrgID, r *foyer.Run) error {
	counts, err := json.Marshal(r.Counts)
	if err != nil {
		return err
	}
	problems := []byte("[]")
	if len(r.Problems) > 0 && r.SameAs == 0 {
		if problems, err = json.Marshal(r.Problems); err != nil {
			return err
		}
	}
	hold, err := textOrNothing(r.Hold)
	if err != nil {
		return err
	}
	refusal, err := textOrNothing(r.Refusal)
	if err != nil {
		return err
	}
	digest := append([]byte{}, r.Digest...)
	const q = `INSERT INTO run (org, ` + runColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)`
	err = t.exec(q, org, r.ID, r.Kind, r.Source, r.Actor, r.Address, r.Status, millis(r.Started), millis(r.Finished),
		string(counts), string(problems), r.Message, digest, r.Book, r.Of, r.Replays, hold, refusal, r.SameAs)
	if err != nil {
		return err
	}
	return alertRun(t, org, r)
}

// textOrNothing returns v as JSON, nil as an empty text.
func textOrNothing[T any](v *T) (string, error) {
	if v == nil {
		return "", nil
	}
	text, err := json.Marshal(v)
	return string(text), err
}

func parseOrNothing[T any](text []byte, v **T) error {
	if len(text) == 0 {
		return nil
	}
	return json.Unmarshal(text, v)
}

func scanRun(rows *sql.Rows) (*foyer.Run, error) {
	r := &foyer.Run{}
	var started, finished int64
	var counts, problems, hold, refusal []byte
	err := rows.Scan(&r.ID, &r.Kind, &r.Source, &r.Actor, &r.Address, &r.Status, &started, &finished, &counts, &problems, &r.Message, &r.Digest, &r.Book,
		&r.Of, &r.Replays, &hold, &refusal, &r.SameAs)
	r.Started, r.Finished = fromMillis(started), fromMillis(finished)
	if err != nil {
		return nil, err
	}
	return r, errors.Join(json.Unmarshal(counts, &r.Counts), json.Unmarshal(problems, &r.Problems), parseOrNothing(hold, &r.Hold), parseOrNothing(refusal, &r.Refusal))
}

func readRuns(t *txn, query string, args ...any) (runs []*foyer.Run, err error) {
	err = t.each(`SELECT `+runColumns+` FROM run `+query, args, func(rows *sql.Rows) error {
		r, err := scanRun(rows)
		runs = append(runs, r)
		return err
	})
	return runs, err
}

func readRun(t *txn, org foyer.OrgID, id foyer.RunID) (*foyer.Run, error) {
	runs, err := readRuns(t, `WHERE org = $1 AND id = $2`, org, id)
	if err != nil {
		return nil, err
	}
	if len(runs) == 0 {
		return nil, foyer.Errorf(foyer.NotFound, "there is no run %v in this organization; foyer run list shows them", id)
	}
	return runs[0], withProblems(t, org, runs[0])
}

// withProblems fills in the problems that a run shares with an earlier one.
func withProblems(t *txn, org foyer.OrgID, r *foyer.Run) error {
	if r.SameAs == 0 {
		return nil
	}
	earlier, err := readRuns(t, `WHERE org = $1 AND id = $2`, org, r.SameAs)
	if err == nil && len(earlier) > 0 {
		r.Problems = earlier[0].Problems
	}
	return err
}

// LastApplied returns the run that applied the source's last delivery; nil where there was none.
func (b *Book) LastApplied(source foyer.SourceID) (*foyer.Run, error) {
	runs, err := readRuns(b.t, `WHERE org = $1 AND source = $2 AND status = $3 ORDER BY id DESC LIMIT 1`, b.Org.ID, source, foyer.Applied)
	if err != nil || len(runs) == 0 {
		return nil, err
	}
	return runs[0], withProblems(b.t, b.Org.ID, runs[0])
}

// AppliedBefore returns the run that last applied the very same bytes of the source; 0 where none did.
func (b *Book) AppliedBefore(source foyer.SourceID, digest []byte) (id foyer.RunID, err error) {
	const q = `SELECT COALESCE(MAX(id), 0) FROM run WHERE org = $1 AND source = $2 AND digest = $3 AND status = 'applied'`
	return id, b.t.get(q, []any{b.Org.ID, source, digest}, &id)
}

// UndosOf returns the undos of a run, the newest first.
func (b *Book) UndosOf(id foyer.RunID) (undos []foyer.RunID, err error) {
	const q = `SELECT id FROM run WHERE org = $1 AND of_run = $2 AND of_run > 0 AND kind = 'undo' AND status = 'applied' ORDER BY id DESC`
	err = b.t.each(q, []any{b.Org.ID, id}, func(rows *sql.Rows) error {
		var undo foyer.RunID
		err := rows.Scan(&undo)
		undos = append(undos, undo)
		return err
	})
	return undos, err
}

// Run returns a run; foyer.NotFound where the organization has none of that id.
func (b *Book) Run(id foyer.RunID) (*foyer.Run, error) { return readRun(b.t, b.Org.ID, id) }

// RecordRun stores a run that changed nothing: a refused or failed one. It gets its ID and its end.
func (s *Store) RecordRun(ctx context.Context, caller foyer.Caller, act Act, r *foyer.Run) error {
	if err := mayAct(caller, act); err != nil {
		return err
	}
	s.hideToken(&act)
	return s.transact(ctx, act.Org, "record the run", func(t *txn) (err error) {
		if err := seenBefore(t, caller, act); err != nil {
			return err
		}
		if r.ID, err = nextRun(t, act.Org); err != nil {
			return err
		}
		if err := t.get(`SELECT version FROM book WHERE org = $1`, []any{act.Org}, &r.Book); err != nil {
			return err
		}
		r.Finished = s.clock()
		if err := insertRun(t, act.Org, r); err != nil {
			return err
		}
		return answer(t, caller, act, r)
	})
}

// Run returns one run with its problems; foyer.NotFound where the organization has none of that id.
func (s *Store) Run(ctx context.Context, caller foyer.Caller, org foyer.OrgID, id foyer.RunID) (r *foyer.Run, err error) {
	if err := caller.May(foyer.ReadBook, org); err != nil {
		return nil, err
	}
	err = s.snapshot(ctx, org, "read the run", func(t *txn) error {
		r, err = readRun(t, org, id)
		return err
	})
	return r, err
}

// Runs returns an organization's syncs, the newest first, at most limit of them (0: all); with edits, the acts of persons too.
func (s *Store) Runs(ctx context.Context, caller foyer.Caller, org foyer.OrgID, limit int, edits bool) (runs []*foyer.Run, err error) {
	if err := caller.May(foyer.ReadBook, org); err != nil {
		return nil, err
	}
	if limit <= 0 {
		limit = math.MaxInt32
	}
	err = s.snapshot(ctx, org, "list the runs", func(t *txn) error {
		query := `WHERE org = $1 AND kind <> 'edit' ORDER BY id DESC LIMIT $2`
		if edits {
			query = `WHERE org = $1 ORDER BY id DESC LIMIT $2`
		}
		runs, err = readRuns(t, query, org, limit)
		return err
	})
	return runs, err
}
