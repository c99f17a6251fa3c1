package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"foyer"
)

// keepAlerts is how long alerts that are over are listed.
const keepAlerts = 400 * 24 * time.Hour

// keepLinks is how long links that ended are listed.
const keepLinks = 30 * 24 * time.Hour

// Prune deletes what is older than it is kept: changes, after which their runs cannot be undone any more (R25); alerts that are over; answered requests; counts of tokens; links and visits that ended,
// and what readings left that did not come to their end. Runs stay.
// It goes through all organizations, one transaction each, so that none waits long for another.
func (s *Store) Prune(ctx context.Context, caller foyer.Caller, keep time.Duration) error {
	orgs, err := s.Orgs(ctx, caller)
	if err != nil {
		return err
	}
	var errs []error
	for _, org := range orgs {
		errs = append(errs, s.prune(ctx, caller, org.ID, keep), s.sweepDead(ctx, org.ID))
	}
	return errors.Join(errs...)
}

func (s *Store) prune(ctx context.Context, caller foyer.Caller, org foyer.OrgID, keep time.Duration) error {
	now := s.clock()
	old := foyer.RunID(0)
	var waste bool
	err := s.snapshot(ctx, org, "look for what is old", func(t *txn) error {
		const last = `SELECT COALESCE(MAX(id), 0) FROM run WHERE org = $1 AND finished_at < $2 AND id >= (SELECT run FROM change_chunk WHERE org = $1 ORDER BY run LIMIT 1)`
		if err := t.get(last, []any{org, millis(now.Add(-keep))}, &old); err != nil {
			return err
		}
		const wasteful = `SELECT 1 WHERE EXISTS (SELECT 1 FROM idempotency WHERE org = $1 AND created_at <= $2) OR EXISTS (SELECT 1 FROM alert WHERE org = $1 AND closed_at > 0 AND closed_at < $3)
			OR EXISTS (SELECT 1 FROM token_count WHERE org = $1 AND minute < $4) OR EXISTS (SELECT 1 FROM entra_visit WHERE org = $1 AND expires_at <= $5)
			OR EXISTS (SELECT 1 FROM entra_link WHERE org = $1 AND expires_at < $6)`
		err := t.get(wasteful, []any{org, millis(now.Add(-requestLife)), millis(now.Add(-keepAlerts)), minuteOf(now.Add(-keepCounts)), millis(now), millis(now.Add(-keepLinks))}, &waste)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	if err != nil || old == 0 && !waste {
		return err
	}
	return s.transact(ctx, org, "delete what is old", func(t *txn) error {
		err := errors.Join(
			t.exec(`DELETE FROM change_chunk WHERE org = $1 AND run <= $2`, org, old),
			t.exec(`DELETE FROM redo_watch WHERE org = $1 AND undo <= $2`, org, old),
			t.exec(`DELETE FROM idempotency WHERE org = $1 AND created_at <= $2`, org, millis(now.Add(-requestLife))),
			t.exec(`DELETE FROM token_count WHERE org = $1 AND minute < $2`, org, minuteOf(now.Add(-keepCounts))),
			t.exec(`DELETE FROM entra_visit WHERE org = $1 AND expires_at <= $2`, org, millis(now)),
			t.exec(`DELETE FROM entra_link WHERE org = $1 AND expires_at < $2`, org, millis(now.Add(-keepLinks))),
			t.exec(`DELETE FROM alert WHERE org = $1 AND closed_at > 0 AND closed_at < $2`, org, millis(now.Add(-keepAlerts))),
		)
		if err != nil || old == 0 {
			return err
		}
		return s.audit(t, caller, org, "log.prune", old.String(), "")
	})
}
