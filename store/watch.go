package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"foyer"
)

// What time alone brings is looked for every minute, over all organizations: it is an operator's list. Nothing is written, and the
// writer is not waited for, unless something is to be opened or closed.

// place is a cause within its organization.
type place struct {
	org   foyer.OrgID
	cause string
}

// watch looks for causes of alerts of one kind.
type watch struct {
	kind foyer.AlertKind
	// due returns which alerts ought to be open; of those that are not, how to make them. org "" means all organizations.
	due func(t *txn, org foyer.OrgID, open map[place]foyer.Alert, now time.Time) (map[place]func(foyer.Org) foyer.Alert, error)
	// over says why an open alert is not due any more; "" where nobody needs to be told.
	over func(t *txn, org foyer.OrgID, a foyer.Alert, now time.Time) (string, error)
}

// WatchSources opens the alerts of sources that are silent, and closes those of sources that are not (R27).
func (s *Store) WatchSources(ctx context.Context, caller foyer.Caller) error {
	return s.watch(ctx, caller, "look for silent sources", watch{foyer.AlertSilent, silentSources, func(*txn, foyer.OrgID, foyer.Alert, time.Time) (string, error) {
		return "the source is not overdue any more", nil
	}})
}

// WatchKeys opens the alerts of keys that end soon, one for each stage, and closes those of keys that have ended, and of ended keys
// that nobody uses any more (R27).
func (s *Store) WatchKeys(ctx context.Context, caller foyer.Caller) error {
	return errors.Join(
		s.watch(ctx, caller, "look for keys that end soon", watch{foyer.AlertKeyExpires, endingKeys, endOfExpiry}),
		s.watch(ctx, caller, "look for ended keys in use", watch{foyer.AlertKeyEnded, endedKeys, func(*txn, foyer.OrgID, foyer.Alert, time.Time) (string, error) {
			return fmt.Sprintf("the key was not used for %d days", endedQuiet/(24*time.Hour)), nil
		}}),
	)
}

// watch opens and closes the alerts of one kind. One organization's failure does not stop the others.
func (s *Store) watch(ctx context.Context, caller foyer.Caller, doing string, w watch) error {
	if err := caller.May(foyer.Operate, ""); err != nil {
		return err
	}
	turned := map[foyer.OrgID]bool{}
	err := s.snapshot(ctx, everyOrg, doing, func(t *txn) error {
		return w.turns(t, "", s.clock(), func(p place, _ func(foyer.Org) foyer.Alert, _ foyer.Alert) error {
			turned[p.org] = true
			return nil
		})
	})
	for org := range turned {
		if ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		err = errors.Join(err, s.transact(ctx, org, doing, func(t *txn) error { return w.turn(t, org, s.clock()) }))
	}
	return err
}

// turns calls yield for each alert that ought to be open and is not, with how to make it, and for each that is open and ought not, with nil.
func (w *watch) turns(t *txn, org foyer.OrgID, now time.Time, yield func(place, func(foyer.Org) foyer.Alert, foyer.Alert) error) error {
	query, args := `WHERE closed_at = 0 AND kind = $1`, []any{w.kind}
	if org != "" {
		query, args = `WHERE org = $1 AND closed_at = 0 AND kind = $2`, []any{org, w.kind}
	}
	stored, err := readAlerts(t, query, args...)
	if err != nil {
		return err
	}
	open := map[place]foyer.Alert{}
	for _, a := range stored {
		open[place{a.org, a.Cause}] = a.Alert
	}
	due, err := w.due(t, org, open, now)
	if err != nil {
		return err
	}
	for p, make := range due {
		if _, is := open[p]; !is {
			if err := yield(p, make, foyer.Alert{}); err != nil {
				return err
			}
		}
	}
	for p, a := range open {
		if _, is := due[p]; !is {
			if err := yield(p, nil, a); err != nil {
				return err
			}
		}
	}
	return nil
}

// turn opens and closes what is to be opened and closed in one organization: it looks again, in the transaction that writes.
func (w *watch) turn(t *txn, org foyer.OrgID, now time.Time) error {
	o, err := readOrg(t, org)
	if err != nil {
		return err
	}
	return w.turns(t, org, now, func(p place, make func(foyer.Org) foyer.Alert, a foyer.Alert) error {
		if make != nil {
			return openAlert(t, org, make(o))
		}
		how, err := w.over(t, org, a, now)
		if err != nil {
			return err
		}
		return closeAlert(t, org, p.cause, ending{now, how})
	})
}

// inOrg narrows a query to one organization; "" is all.
func inOrg(query, column string, org foyer.OrgID) (string, []any) {
	if org == "" {
		return query, nil
	}
	return query + ` AND ` + column + ` = $1`, []any{org}
}

// silentSources returns the sources that are overdue. What was refused, or failed, is no sync; what is held, or was undone later, is one.
func silentSources(t *txn, org foyer.OrgID, _ map[place]foyer.Alert, now time.Time) (map[place]func(foyer.Org) foyer.Alert, error) {
	query, args := inOrg(`SELECT s.org, s.id, s.name, s.created_at, s.expect, COALESCE(r.id, 0), COALESCE(r.finished_at, 0) FROM source s
		LEFT JOIN run r ON r.org = s.org AND r.id = (SELECT l.id FROM run l WHERE l.org = s.org AND l.source = s.id AND l.kind = 'sync'
			AND l.status NOT IN ('refused', 'failed') ORDER BY l.id DESC LIMIT 1)
		WHERE s.expect >= 0`, "s.org", org)
	due := map[place]func(foyer.Org) foyer.Alert{}
	err := t.each(query, args, func(rows *sql.Rows) error {
		var of foyer.OrgID
		var source foyer.Source
		var run foyer.RunID
		var created, expect, finished int64
		if err := rows.Scan(&of, &source.ID, &source.Name, &created, &expect, &run, &finished); err != nil {
			return err
		}
		source.CreatedAt, source.Expect = fromMillis(created), fromExpect(expect)
		synced := fromMillis(finished)
		if at := source.Due(synced); !at.IsZero() && now.After(at) {
			due[place{of, foyer.AlertCause(foyer.AlertSilent, source.ID)}] = func(o foyer.Org) foyer.Alert { return silentAlert(o, source, run, synced, now) }
		}
		return nil
	})
	return due, err
}

// keyExpiryDays are how many days before its end a key raises an alert; the nearest first.
var keyExpiryDays = [...]int{1, 7, 30}

// endingKeys returns the keys that end soon, each at its nearest stage.
func endingKeys(t *txn, org foyer.OrgID, _ map[place]foyer.Alert, now time.Time) (map[place]func(foyer.Org) foyer.Alert, error) {
	query, args := inOrg(`SELECT k.org, k.id, k.source, k.name, k.expires_at, COALESCE(s.name, '') FROM client_key k
		LEFT JOIN source s ON s.org = k.org AND s.id = k.source
		WHERE k.expires_at > 0 AND k.revoked_at = 0`, "k.org", org)
	due := map[place]func(foyer.Org) foyer.Alert{}
	err := t.each(query, args, func(rows *sql.Rows) error {
		var of foyer.OrgID
		var k foyer.Key
		var source string
		var expires int64
		if err := rows.Scan(&of, &k.ID, &k.Source, &k.Name, &expires, &source); err != nil {
			return err
		}
		k.ExpiresAt = fromMillis(expires)
		if days := stageOf(&k, now); days > 0 {
			due[place{of, expiryCause(k.ID, days)}] = func(o foyer.Org) foyer.Alert { return expiryAlert(o, source, k, days, now) }
		}
		return nil
	})
	return due, err
}

// stageOf returns within how many days of those that count a key ends; 0 where its end is far away, or past.
func stageOf(k *foyer.Key, now time.Time) int {
	if k.ExpiresAt.IsZero() || !k.Live(now) {
		return 0
	}
	for _, days := range keyExpiryDays {
		if k.ExpiresAt.Sub(now) <= time.Duration(days)*24*time.Hour {
			return days
		}
	}
	return 0
}

// endOfExpiry says why a key is not about to end any more. A stage that follows another does not need a message that the other is over.
func endOfExpiry(t *txn, org foyer.OrgID, a foyer.Alert, now time.Time) (string, error) {
	keys, err := readKeys(t, org, `WHERE org = $1 AND id = $2`, org, a.Key)
	switch {
	case err != nil:
		return "", err
	case len(keys) == 0:
		return "the key is gone", nil
	case !keys[0].RevokedAt.IsZero():
		return "the key was revoked", nil
	case !keys[0].Live(now):
		return "the key has ended; what still uses it is refused", nil
	case stageOf(&keys[0].Key, now) > 0 && !strings.HasSuffix(a.Cause, fmt.Sprintf(":%d", stageOf(&keys[0].Key, now))):
		return "", nil
	}
	return "the end of the key is far away again", nil
}

// endedQuiet is how long an ended key must not be used for the alert about it to be over.
const endedQuiet = 7 * 24 * time.Hour

// endedKeys returns the alerts of ended keys that are still used: they stay open. Those that open do so when a key is used: see NoteEndedKey.
func endedKeys(_ *txn, _ foyer.OrgID, open map[place]foyer.Alert, now time.Time) (map[place]func(foyer.Org) foyer.Alert, error) {
	due := map[place]func(foyer.Org) foyer.Alert{}
	for p, a := range open {
		if now.Sub(a.Seen) < endedQuiet {
			due[p] = nil
		}
	}
	return due, nil
}

// NoteEndedKey notes that somebody who knows its secret of that number, or has a token got with it, used a key after its end, or the secret after its own (R27). What is
// there and lives, or is not there, is passed over. It takes no caller: it is about who did not become one.
func (s *Store) NoteEndedKey(ctx context.Context, org foyer.OrgID, id foyer.KeyID, secret int) error {
	return s.transact(ctx, org, "note the use of an ended key", func(t *txn) error {
		k, err := readKey(t, org, id)
		if foyer.KindOf(err) == foyer.NotFound || err == nil && k.LiveSecret(secret, t.now) {
			return nil
		}
		if err != nil {
			return err
		}
		o, source, err := readOrgAndSource(t, org, k.Source)
		if err != nil {
			return err
		}
		return openAlert(t, org, endedAlert(o, source.Name, k, secret, t.now))
	})
}

// NoteLeakedKey notes that a right secret of a key was sent in a URL, where logs and proxies keep it. It takes no caller: whoever did so did not become one.
func (s *Store) NoteLeakedKey(ctx context.Context, org foyer.OrgID, id foyer.KeyID) error {
	return s.transact(ctx, org, "note the leak of a key", func(t *txn) error {
		k, err := readKey(t, org, id)
		if err != nil || !k.Live(t.now) {
			return err
		}
		o, err := readOrg(t, org)
		if err != nil {
			return err
		}
		return openAlert(t, org, leakedAlert(o, k, t.now))
	})
}
