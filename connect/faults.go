package connect

import (
	"cmp"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"foyer"
	"foyer/entra"
	"foyer/store"
)

func asEntra(err error) (*entra.Error, bool) { return errors.AsType[*entra.Error](err) }

func parseKey(der []byte) (crypto.Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("the application's key does not sign")
	}
	return signer, nil
}

// forPeople returns an error of Microsoft's services as one that a page can show.
func forPeople(err error) error {
	known, ok := asEntra(err)
	if _, plain := errors.AsType[*foyer.Error](err); !ok || plain {
		return err
	}
	kind := map[entra.Kind]foyer.Kind{
		entra.Throttled: foyer.Busy, entra.Unavailable: foyer.Busy, entra.Resync: foyer.Busy, entra.Withdrawn: foyer.Forbidden,
		entra.BadCredential: foyer.Conflict, entra.Missing: foyer.NotFound, entra.Denied: foyer.Forbidden, entra.Forged: foyer.Forbidden, entra.Invalid: foyer.Invalid,
	}[known.Kind]
	message := known.Message
	if known.Kind == entra.BadCredential {
		message = "Microsoft does not take Foyer's own credential: whoever runs Foyer has to renew it (foyer entra app); nothing is wrong on your side"
	}
	plain := foyer.Errorf(kind, "%s", message).Because(err)
	plain.RetryAfter = known.RetryAfter
	return plain
}

// backOff is how long a connection rests after so many readings in a row that failed: 6, 12, 24 hours, then a day each time.
func backOff(failures int) time.Duration {
	switch failures {
	case 1:
		return 6 * time.Hour
	case 2:
		return 12 * time.Hour
	}
	return 24 * time.Hour
}

// GivenUp is how long a tenant that cannot be read is tried.
const GivenUp = 28 * 24 * time.Hour

// ended returns how a reading ended that failed. Nobody is disabled by it, whatever it was.
func (c *Connector) ended(r *store.Reading, err error) store.ReadingEnd {
	now := c.Store.Now()
	e := store.ReadingEnd{Failures: r.Connection.Failures, Next: now.Add(time.Minute)}
	known, ok := asEntra(err)
	switch {
	case errors.Is(err, errUnseen):
		e.Next, e.Alert, e.Title = now.Add(time.Hour), foyer.AlertUnread, "could not be read: it may not be seen who is in which group"
		e.Problem = "groups say who is at which site, but the tenant does not let Foyer see who is in which group (GroupMember.Read.All); the book stays as it is"
		e.Cure = "An administrator of the tenant agrees again, by a new link (foyer entra link --org " + r.Org.Slug + "), or the groups are taken out: foyer entra set --org " + r.Org.Slug + " --group ID="
		return e
	case errors.Is(err, context.Canceled):
		e.Next, e.Problem = now, cmp.Or(r.Connection.Problem, "the server stopped while the tenant was read; it goes on by itself")
		return e
	case !ok: // a fault of ours, that may pass
		e.Problem = "the server had a fault; its log says more. It tries again by itself"
		return c.overdue(r, e)
	case known.Kind == entra.Throttled:
		e.Next, e.Problem = now.Add(min(max(known.RetryAfter, time.Minute), 24*time.Hour)), known.Message
		return c.overdue(r, e)
	case known.Kind == entra.BadCredential:
		e.Next, e.Problem, e.Alert = now.Add(time.Hour), known.Message, foyer.AlertUnread
		e.Title, e.Cure = "could not be read: Microsoft does not take Foyer's own credential", "Whoever runs Foyer makes a new one, and registers it: foyer entra app"
		return e
	case known.Kind == entra.Withdrawn:
		e.State, e.Problem, e.Alert = lost(r.Connection.State), known.Message, foyer.AlertDisconnected
		e.Title = "is disconnected: its tenant does not let Foyer read any more"
		e.Cure = "Nobody was disabled; the book stays as it is. If that was not meant: an administrator of the tenant opens a new link and agrees again (foyer entra link --org " +
			r.Org.Slug + "). If it was: foyer entra disconnect --org " + r.Org.Slug
		return e
	}
	if of, ok := errors.AsType[*groupError](err); ok && known.Kind == entra.Missing { // it is gone until somebody says otherwise: that is no reason to give up
		e.Next, e.Alert, e.Title = now.Add(time.Hour), foyer.AlertUnread, "could not be read: a group that says who is where is gone"
		e.Problem = fmt.Sprintf("there is no group %q (%s) in the tenant any more, by which people are put at sites; the book stays as it is", of.group.Name, of.group.Group)
		e.Cure = fmt.Sprintf("Take the group out, or choose another: foyer entra set --org %s --group %s=", r.Org.Slug, of.group.Group)
		return e
	}
	e.Failures++
	e.Next, e.Problem, e.Alert = now.Add(backOff(e.Failures)), known.Message, foyer.AlertUnread
	e.Title = "could not be read"
	e.Cure = "Nobody was disabled; the book stays as it is. It is tried again by itself, or at once: foyer entra sync --org " + r.Org.Slug
	e.Forget = known.Kind == entra.Forged || known.Kind == entra.Resync
	if last := r.Connection.CheckedAt; e.Failures > 2 && now.Sub(laterOf(last, r.Connection.ConnectedAt)) > GivenUp {
		e.State, e.Alert, e.Title = lost(r.Connection.State), foyer.AlertDisconnected, "is given up: it could not be read for 28 days"
	}
	return e
}

// patience is how much longer than usual a tenant may be unread, by what passes by itself, before somebody is told.
const patience = 6 * time.Hour

// overdue returns how a reading ended that is tried again soon, with an alert where that has gone on for hours.
func (c *Connector) overdue(r *store.Reading, e store.ReadingEnd) store.ReadingEnd {
	now := c.Store.Now()
	unread := now.Sub(laterOf(r.Connection.CheckedAt, r.Connection.ConnectedAt))
	if unread < r.Connection.Settings.Interval()+patience {
		return e
	}
	e.Alert, e.Title = foyer.AlertUnread, "could not be read for hours"
	e.Cure = "Nobody was disabled; the book stays as it is. It is tried again by itself. Whoever runs Foyer sees more in the log of the server"
	if soon := now.Add(time.Hour); e.Next.Before(soon) {
		e.Next = soon
	}
	return e
}

// lost returns the state of a connection whose permission is gone. From disconnected it goes on where it was once they agree again: one that nobody has confirmed begins anew instead.
func lost(state foyer.ConnectionState) foyer.ConnectionState {
	if state == foyer.Confirming {
		return foyer.Consenting
	}
	return foyer.Disconnected
}

func laterOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
