package store

import (
	"context"

	"foyer"
)

// KeepPlan keeps what a connection would do to the book, for whoever is to confirm it.
func (s *Store) KeepPlan(ctx context.Context, caller foyer.Caller, r *Reading, plan []byte) error {
	if err := caller.May(foyer.Operate, ""); err != nil {
		return err
	}
	return s.beside(ctx, r.Org.ID, "keep the plan", func(t *txn) error {
		if err := r.hold(t); err != nil {
			return err
		}
		return t.exec(`UPDATE entra_connection SET plan = $1 WHERE org = $2 AND source = $3`, string(plan), r.Org.ID, r.Connection.Source)
	})
}

// LastOf returns the newest delivery of the source, whatever became of it; nil where there was none.
func (b *Book) LastOf(source foyer.SourceID) (*foyer.Run, error) {
	runs, err := readRuns(b.t, `WHERE org = $1 AND source = $2 AND kind = 'sync' ORDER BY id DESC LIMIT 1`, b.Org.ID, source)
	if err != nil || len(runs) == 0 {
		return nil, err
	}
	return runs[0], nil
}

// WaitingOf returns the source's delivery that is held and waits for a decision; nil where none does.
func (b *Book) WaitingOf(source foyer.SourceID) (*foyer.Run, error) {
	runs, err := readRuns(b.t, `WHERE org = $1 AND source = $2 AND status = 'held' AND kind = 'sync' ORDER BY id DESC LIMIT 1`, b.Org.ID, source)
	if err != nil || len(runs) == 0 {
		return nil, err
	}
	return runs[0], nil
}
