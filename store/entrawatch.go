package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"foyer"
)

// WatchEntraApp opens the alerts that the application's credential at Microsoft ends, 30, 7 and 1 days before, in each organization whose book follows a tenant, and closes
// them once there is another one (R27).
func (s *Store) WatchEntraApp(ctx context.Context, caller foyer.Caller) error {
	return s.watch(ctx, caller, "look for the end of the application's credential", watch{foyer.AlertCredential, s.endingApp, func(t *txn, _ foyer.OrgID, a foyer.Alert, now time.Time) (string, error) {
		days, _, err := s.appStage(t, now)
		if days > 0 && !strings.HasSuffix(a.Cause, fmt.Sprintf(":%d", days)) {
			return "", err // a stage that follows another
		}
		return "the credential was renewed", err
	}})
}

// appStage returns within how many days of those that count the application has no credential any more; 0 where that is far away.
func (s *Store) appStage(t *txn, now time.Time) (days int, ends time.Time, err error) {
	app, err := s.readEntraApp(t)
	if foyer.KindOf(err) == foyer.NotFound {
		return 0, ends, nil
	}
	for _, c := range app.Credentials {
		if c.InUse && c.ExpiresAt.After(ends) {
			ends = c.ExpiresAt
		}
	}
	if err != nil || ends.IsZero() {
		return 0, ends, err
	}
	for _, days := range keyExpiryDays {
		if ends.Sub(now) <= time.Duration(days)*24*time.Hour {
			return days, ends, nil
		}
	}
	return 0, ends, nil
}

// endingApp returns the alerts about the end of the application's credential.
func (s *Store) endingApp(t *txn, org foyer.OrgID, _ map[place]foyer.Alert, now time.Time) (map[place]func(foyer.Org) foyer.Alert, error) {
	days, ends, err := s.appStage(t, now)
	if err != nil || days == 0 {
		return nil, err
	}
	query, args := inOrg(`SELECT DISTINCT org FROM entra_connection WHERE state <> ''`, "org", org)
	due := map[place]func(foyer.Org) foyer.Alert{}
	cause := fmt.Sprintf("%s:%d", foyer.AlertCredential, days)
	err = t.each(query, args, func(rows *sql.Rows) error {
		var of foyer.OrgID
		err := rows.Scan(&of)
		due[place{of, cause}] = func(foyer.Org) foyer.Alert { return credentialAlert(cause, days, ends, now) }
		return err
	})
	return due, err
}

func credentialAlert(cause string, days int, ends, now time.Time) foyer.Alert {
	a := foyer.Alert{Cause: cause, Kind: foyer.AlertCredential, Opened: now, Title: fmt.Sprintf("Foyer's credential at Microsoft ends within %d days", days)}
	if !ends.After(now) {
		a.Title = "Foyer's credential at Microsoft has ended"
	} else if days == 1 {
		a.Title = "Foyer's credential at Microsoft ends within 1 day"
	}
	a.Message = fmt.Sprintf("The credential with which Foyer reads tenants of Microsoft Entra ends on %s. From then on no tenant is read; nobody is disabled by that.", ends.UTC().Format("2006-01-02 15:04 UTC"))
	a.Cure = "Whoever runs Foyer makes another one, registers it at Microsoft, and uses it: foyer entra app --certificate FILE, then foyer entra app --use NUMBER. The tenants' administrators have nothing to do."
	return a
}
