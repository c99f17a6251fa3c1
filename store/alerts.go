package store

import (
	"context"
	"database/sql"
	"time"

	"foyer"
)

// What of an alert nobody was told of yet.
const (
	newsOpened = 1
	newsOver   = 2
)

// ending is when and why an alert is over. Where how is "", nobody is told.
type ending struct {
	at  time.Time
	how string // "R-82 was applied"
}

// openAlert opens an alert in the transaction that brought its cause about. Where one of that cause is open, it stays the one message of
// its cause, and only gets what is newest; but of a held run it is told anew where other people are at stake.
func openAlert(t *txn, org foyer.OrgID, a foyer.Alert) error {
	const again = `UPDATE alert SET run = $1, seen_at = $2, title = $3, message = $4, cure = $5, news = CASE WHEN $8 = 1 AND title <> $3 THEN $9 ELSE news END
		WHERE org = $6 AND cause = $7 AND closed_at = 0`
	open, err := t.count(again, a.Run, millis(a.Opened), a.Title, a.Message, a.Cure, org, a.Cause, flag(a.Kind == foyer.AlertHeld), newsOpened)
	if err != nil || open > 0 {
		return err
	}
	id, err := takeID(t, org, "next_alert")
	if err != nil {
		return err
	}
	const q = `INSERT INTO alert (org, id, cause, kind, source, run, key_id, opened_at, seen_at, closed_at, mailed_at, title, message, cure, ending, news)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, 0, 0, $9, $10, $11, '', $12)`
	return t.exec(q, org, id, a.Cause, a.Kind, a.Source, a.Run, a.Key, millis(a.Opened), a.Title, a.Message, a.Cure, newsOpened)
}

// closeAlert ends the open alert of a cause; where none is open it does nothing.
func closeAlert(t *txn, org foyer.OrgID, cause string, e ending) error {
	news := newsOver
	if e.how == "" {
		news = 0
	}
	const q = `UPDATE alert SET closed_at = $1, ending = $2, news = news | $3 WHERE org = $4 AND cause = $5 AND closed_at = 0`
	return t.exec(q, millis(e.at), e.how, news, org, cause)
}

// alertRun opens and closes the alerts that follow from a run that is being stored (R27).
func alertRun(t *txn, org foyer.OrgID, r *foyer.Run) error {
	if r.Kind != foyer.Sync && r.Kind != foyer.End || r.Source == 0 {
		return nil
	}
	if r.Kind == foyer.End {
		return alertEnd(t, org, r)
	}
	over, how := []foyer.AlertKind{}, ""
	switch r.Status {
	case foyer.Applied:
		over, how = []foyer.AlertKind{foyer.AlertRefused, foyer.AlertFailed, foyer.AlertSilent, foyer.AlertHeld}, r.ID.String()+" was applied"
		if err := endOldNews(t, org, r); err != nil {
			return err
		}
	case foyer.Held:
		over, how = []foyer.AlertKind{foyer.AlertRefused, foyer.AlertFailed, foyer.AlertSilent}, r.ID.String()+" could be read, and is held"
	}
	for _, kind := range over {
		if err := closeAlert(t, org, foyer.AlertCause(kind, r.Source), ending{r.Finished, how}); err != nil {
			return err
		}
	}
	kind, raises := map[foyer.RunStatus]foyer.AlertKind{
		foyer.Refused: foyer.AlertRefused, foyer.Held: foyer.AlertHeld, foyer.Failed: foyer.AlertFailed,
	}[r.Status]
	if !raises {
		return nil
	}
	o, source, err := readOrgAndSource(t, org, r.Source)
	if err != nil {
		return err
	}
	return openAlert(t, org, runAlert(kind, o, source, r))
}

// alertEnd is alertRun for the end of a source: held, it is an alert beside that of a held delivery; applied, the source raises none any more.
func alertEnd(t *txn, org foyer.OrgID, r *foyer.Run) error {
	switch r.Status {
	case foyer.Held:
		o, source, err := readOrgAndSource(t, org, r.Source)
		if err != nil {
			return err
		}
		a := runAlert(foyer.AlertHeld, o, source, r)
		a.Cause = heldCause(r)
		return openAlert(t, org, a)
	case foyer.Applied:
		for _, kind := range []foyer.AlertKind{foyer.AlertRefused, foyer.AlertFailed, foyer.AlertSilent, foyer.AlertHeld, foyer.AlertReplayed, foyer.AlertRedone} {
			if err := closeAlert(t, org, foyer.AlertCause(kind, r.Source), ending{r.Finished, "the source ended"}); err != nil {
				return err
			}
		}
		return closeAlert(t, org, heldCause(r), ending{r.Finished, r.ID.String() + " was applied"})
	}
	return nil
}

// heldCause is the cause of the alert about a held run.
func heldCause(r *foyer.Run) string {
	cause := foyer.AlertCause(foyer.AlertHeld, r.Source)
	if r.Kind == foyer.End {
		cause += ":end"
	}
	return cause
}

// replayed opens the alert that a run applied a file which an earlier run had applied, though others were applied in between. It is called
// before the run is stored: storing it ends the alerts of earlier replays.
func replayed(t *txn, org foyer.OrgID, run *foyer.Run, earlier foyer.RunID, at time.Time) error {
	o, source, err := readOrgAndSource(t, org, run.Source)
	if err != nil {
		return err
	}
	return openAlert(t, org, replayAlert(o, source, run, earlier, at))
}

// redone opens the alert that a run did again what an undo had put back. It is called before the run is stored, as replayed is.
func redone(t *txn, org foyer.OrgID, run *foyer.Run) error {
	o, source, err := readOrgAndSource(t, org, run.Source)
	if err != nil {
		return err
	}
	return openAlert(t, org, redoneAlert(o, source, run))
}

// endOldNews ends the alerts about a replay, or about what was done again, by an earlier run.
func endOldNews(t *txn, org foyer.OrgID, r *foyer.Run) error {
	for kind, how := range map[foyer.AlertKind]string{foyer.AlertReplayed: " applied another file", foyer.AlertRedone: " was applied, and did not do it again"} {
		cause := foyer.AlertCause(kind, r.Source)
		var mine int
		if err := t.get(`SELECT COUNT(*) FROM alert WHERE org = $1 AND cause = $2 AND closed_at = 0 AND run = $3`, []any{org, cause, r.ID}, &mine); err != nil {
			return err
		}
		if mine > 0 {
			continue
		}
		if err := closeAlert(t, org, cause, ending{r.Finished, r.ID.String() + how}); err != nil {
			return err
		}
	}
	return nil
}

func readOrgAndSource(t *txn, org foyer.OrgID, id foyer.SourceID) (foyer.Org, foyer.Source, error) {
	o, err := readOrg(t, org)
	if err != nil {
		return o, foyer.Source{}, err
	}
	source, err := readSource(t, org, id)
	return o, source, err
}

const alertColumns = `org, id, cause, kind, source, run, key_id, opened_at, seen_at, closed_at, mailed_at, title, message, cure, ending, news`

// storedAlert is an alert as it is stored.
type storedAlert struct {
	foyer.Alert
	org  foyer.OrgID
	news int
}

func readAlerts(t *txn, query string, args ...any) (alerts []storedAlert, err error) {
	err = t.each(`SELECT `+alertColumns+` FROM alert `+query, args, func(rows *sql.Rows) error {
		var a storedAlert
		var opened, seen, closed, mailed int64
		err := rows.Scan(&a.org, &a.ID, &a.Cause, &a.Kind, &a.Source, &a.Run, &a.Key, &opened, &seen, &closed, &mailed, &a.Title, &a.Message, &a.Cure, &a.Ending, &a.news)
		a.Opened, a.Seen, a.Closed, a.Mailed = fromMillis(opened), fromMillis(seen), fromMillis(closed), fromMillis(mailed)
		alerts = append(alerts, a)
		return err
	})
	return alerts, err
}

// Alerts lists an organization's open alerts, the newest first; with all, those that are over too.
func (s *Store) Alerts(ctx context.Context, caller foyer.Caller, org foyer.OrgID, all bool) (alerts []foyer.Alert, err error) {
	if err := caller.May(foyer.ReadBook, org); err != nil {
		return nil, err
	}
	query := `WHERE org = $1 AND closed_at = 0 ORDER BY id DESC`
	if all {
		query = `WHERE org = $1 ORDER BY id DESC`
	}
	err = s.snapshot(ctx, org, "list the alerts", func(t *txn) error {
		stored, err := readAlerts(t, query, org)
		for _, a := range stored {
			alerts = append(alerts, a.Alert)
		}
		return err
	})
	return alerts, err
}
