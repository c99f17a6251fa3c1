package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"foyer"
)

// Reading is one reading of a tenant, by one process at a time.
type Reading struct {
	Org        foyer.Org
	Connection foyer.Connection
	Delta      string // where it begins; "": with everybody
	lease      string
}

// ReadingLease is how long a process may be silent before another one may read the tenant.
const ReadingLease = 10 * time.Minute

// TakeReading gives the caller a tenant that is due; nil where none is. It is this process's until EndReading, or until it was silent for ReadingLease.
func (s *Store) TakeReading(ctx context.Context, caller foyer.Caller) (r *Reading, err error) {
	if err := caller.May(foyer.Operate, ""); err != nil {
		return nil, err
	}
	type due struct {
		org    foyer.OrgID
		source foyer.SourceID
	}
	var all []due
	err = s.snapshot(ctx, everyOrg, "look for tenants that are due", func(t *txn) error {
		const q = `SELECT c.org, c.source FROM entra_connection c JOIN source s ON s.org = c.org AND s.id = c.source AND s.ended_at = 0
			WHERE c.state IN ($1, $2) AND c.next_at <= $3 AND c.leased_until <= $3 ORDER BY c.next_at LIMIT 20`
		return t.each(q, []any{foyer.Confirming, foyer.Connected, millis(t.now)}, func(rows *sql.Rows) error {
			var d due
			err := rows.Scan(&d.org, &d.source)
			all = append(all, d)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, d := range all { // one that cannot be taken stops no other
		r, err := s.takeReading(ctx, d.org, d.source)
		if err == nil && r != nil {
			return r, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func (s *Store) takeReading(ctx context.Context, org foyer.OrgID, source foyer.SourceID) (*Reading, error) {
	var r *Reading
	err := s.beside(ctx, org, "take the tenant", func(t *txn) error {
		lease := rand.Text()
		const q = `UPDATE entra_connection SET lease = $1, leased_until = $2 WHERE org = $3 AND source = $4 AND state IN ($5, $6) AND next_at <= $7 AND leased_until <= $7`
		n, err := t.count(q, lease, millis(t.now.Add(ReadingLease)), org, source, foyer.Confirming, foyer.Connected, millis(t.now))
		if err != nil || n == 0 {
			return err
		}
		taken := &Reading{lease: lease}
		if taken.Org, err = readOrg(t, org); err != nil {
			return err
		}
		if taken.Connection, err = readConnection(t, org, source); err != nil {
			return err
		}
		r = taken
		return t.get(`SELECT delta FROM entra_connection WHERE org = $1 AND source = $2`, []any{org, source}, &r.Delta)
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// errLost says that a reading is another process's by now, or that the connection was changed meanwhile.
var errLost = foyer.Errorf(foyer.Conflict, "the connection was changed while it was read; it is read again")

// hold extends the lease of a reading, and fails where it is lost.
func (r *Reading) hold(t *txn) error {
	n, err := t.count(`UPDATE entra_connection SET leased_until = $1 WHERE org = $2 AND source = $3 AND lease = $4`, millis(t.now.Add(ReadingLease)), r.Org.ID, r.Connection.Source, r.lease)
	if err == nil && n == 0 {
		err = errLost
	}
	return err
}

// HoldReading says that a reading goes on. foyer.Conflict where it is another process's by now.
func (s *Store) HoldReading(ctx context.Context, caller foyer.Caller, r *Reading) error {
	if err := caller.May(foyer.Operate, ""); err != nil {
		return err
	}
	return s.beside(ctx, r.Org.ID, "go on reading", r.hold)
}

// ReadingEnd is how a reading ended.
type ReadingEnd struct {
	State    foyer.ConnectionState // that the connection is in from now on; "": as before
	Next     time.Time             // when it is read next
	Problem  string                // what is wrong and what to do; "": it went well
	Failures int                   // how many failed by now, one after the other
	Forget   bool                  // the next one begins with everybody
	Alert    foyer.AlertKind       // which alert it raises; "": none, and those that are open are over
	Title    string                // of the alert: what happened, in a few words
	Cure     string                // what to do
}

// EndReading notes how a reading ended, and lets the connection go. A reading that is lost is none.
func (s *Store) EndReading(ctx context.Context, caller foyer.Caller, r *Reading, e ReadingEnd) error {
	if err := caller.May(foyer.Operate, ""); err != nil {
		return err
	}
	return s.transact(ctx, r.Org.ID, "end the reading", func(t *txn) error {
		org, source := r.Org.ID, r.Connection.Source
		err := r.hold(t)
		if errors.Is(err, errLost) {
			return nil
		}
		if err != nil {
			return err
		}
		now, err := readConnection(t, org, source)
		if err != nil {
			return err
		}
		if !now.State.Reads() { // somebody paused it meanwhile: how the reading went is of no concern
			e.Alert = ""
		} else if e.State != "" {
			now.State = e.State
		}
		e.Problem, e.Title, e.Cure = cleanText(e.Problem), cleanLine(e.Title), cleanText(e.Cure)
		checked := millis(now.CheckedAt)
		if e.Problem == "" {
			checked = millis(t.now)
		}
		if !now.NextAt.Equal(r.Connection.NextAt) { // somebody asked for another time meanwhile
			e.Next = now.NextAt
		}
		const q = `UPDATE entra_connection SET state = $1, next_at = $2, problem = $3, failures = $4, checked_at = $5, lease = '', leased_until = 0, delta = CASE WHEN $6 = 1 THEN '' ELSE delta END
			WHERE org = $7 AND source = $8`
		if err := t.exec(q, now.State, millis(e.Next), e.Problem, e.Failures, checked, flag(e.Forget), org, source); err != nil {
			return err
		}
		return alertReading(t, org, source, e)
	})
}

// alertReading opens and closes the alerts that follow from how a reading ended (R27).
func alertReading(t *txn, org foyer.OrgID, id foyer.SourceID, e ReadingEnd) error {
	for _, kind := range []foyer.AlertKind{foyer.AlertUnread, foyer.AlertDisconnected} {
		if kind == e.Alert || e.Problem != "" && e.Alert == "" {
			continue
		}
		if err := closeAlert(t, org, foyer.AlertCause(kind, id), ending{t.now, "the directory was read again"}); err != nil {
			return err
		}
	}
	if e.Alert == "" {
		return nil
	}
	source, err := readSource(t, org, id)
	if err != nil {
		return err
	}
	a := sourceAlert(e.Alert, source, 0, t.now)
	a.Title, a.Message, a.Cure = fmt.Sprintf("%q %s", source.Name, e.Title), e.Problem, e.Cure
	return openAlert(t, org, a)
}
