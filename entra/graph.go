package entra

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	maxWait     = 2 * time.Minute // a longer Retry-After ends the read
	waits       = 5               // Retry-After of one request that are waited for
	tries       = 3               // of one request that fails otherwise
	firstPause  = time.Second     // after the first failure; doubled after each, and jittered
	maxLink     = 64 << 10        // bytes of a link
	maxErrorLen = 64 << 10        // bytes that are read of a reply that is an error
)

// Tenant reads one tenant as the application. Each has an access token of its own, got when it is first needed and good for an hour: so a new Tenant for
// each run sees at once what was consented to or withdrawn. Its methods may be called at the same time.
type Tenant struct {
	app *App
	id  string

	mu     sync.Mutex // held while the token is got
	access *access    // nil: none yet
}

// Tenant returns the tenant with this id, a GUID. It asks nobody.
func (a *App) Tenant(id string) *Tenant {
	own := *a
	own.log = a.log.With("tenant", id)
	return &Tenant{app: &own, id: strings.ToLower(id)}
}

// query is one GET of the Graph.
type query struct {
	address  string
	bearer   string
	eventual bool // ConsistencyLevel: eventual, which advanced queries ask for (aad-advanced-queries)
	parse    func(body []byte) error
}

// get asks the Graph as the application, and again where that may help. After a 401 or 403 it asks once more with a fresh token: the one before may have
// ended early, or be of before the consent.
func (t *Tenant) get(ctx context.Context, q query) error {
	fresh := false
	return t.app.persist(ctx, func(ctx context.Context) error {
		for {
			token, err := t.token(ctx)
			if err != nil {
				return err
			}
			q.bearer = token.bearer
			err = t.app.fetch(ctx, q)
			e, refused := errors.AsType[*Error](err)
			if !refused || fresh || e.Status != http.StatusUnauthorized && e.Status != http.StatusForbidden {
				return err
			}
			fresh = true
			t.drop(token)
		}
	})
}

// fetch asks the Graph once. The reply is parsed when it is whole.
func (a *App) fetch(ctx context.Context, q query) error {
	if err := a.checkLink(q.address); err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, q.address, nil)
	if err != nil {
		return poisoned()
	}
	r.Header.Set("Authorization", "Bearer "+q.bearer)
	if q.eventual {
		r.Header.Set("ConsistencyLevel", "eventual")
	}
	resp, err := a.client.Do(r)
	if err != nil {
		return unreachable(err, "the Graph")
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorLen))
		return a.graphFailure(resp, body)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return unreachable(err, "the Graph")
	}
	if err := q.parse(body); err != nil {
		return misread("the Graph")
	}
	return nil
}

// into parses a reply into v, and leaves nothing there of a try before.
func into[T any](v *T) func([]byte) error {
	return func(body []byte) error {
		var fresh T
		err := json.Unmarshal(body, &fresh)
		*v = fresh
		return err
	}
}

// list is a reply with several of something, a page or all. A reply without value, such as that of somebody in between, is none.
type list[T any] struct {
	Value []T
	Next  string // @odata.nextLink
}

var errReply = errors.New("not the reply that was asked for")

// UnmarshalJSON reads a page (paging).
func (l *list[T]) UnmarshalJSON(text []byte) error {
	var raw struct {
		Value *[]T   `json:"value"`
		Next  string `json:"@odata.nextLink"`
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		return err
	}
	if raw.Value == nil {
		return errReply
	}
	l.Value, l.Next = *raw.Value, raw.Next
	return nil
}

// checkLink holds that a link is one of the Graph's, before the bearer goes there: who writes another host into a page, or into what is stored, gets no token.
func (a *App) checkLink(link string) error {
	u, err := url.Parse(link)
	own, _ := url.Parse(a.graph)
	if err != nil || len(link) > maxLink || u.Scheme != "https" || u.User != nil || u.Opaque != "" || hostPort(u) != hostPort(own) {
		return poisoned()
	}
	return nil
}

func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = "443"
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

func poisoned() *Error {
	return &Error{Kind: Forged, Message: "a link that should lead on within the Graph leads elsewhere; it was not followed"}
}

// persist does something until it works, or fails for good, or was tried often enough. Retry-After is kept to the second (throttling): asking early counts
// against us. Where a request has no such header, the pause doubles, jittered so that the tenants of a server do not ask in step. A pause that the deadline
// of ctx does not allow is not begun.
func (a *App) persist(ctx context.Context, do func(context.Context) error) error {
	waited, failed := 0, 0
	for {
		err := do(ctx)
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Kind != Throttled && e.Kind != Unavailable {
			return err
		}
		pause := e.RetryAfter
		if e.Kind == Throttled {
			waited++
		} else {
			failed++
		}
		if pause == 0 {
			pause = firstPause << (waited + failed - 1)
			pause += rand.N(pause)
		}
		deadline, limited := ctx.Deadline()
		if waited > waits || failed >= tries || pause > maxWait || limited && time.Until(deadline) < pause {
			return err
		}
		a.log.Info("waiting for Microsoft", "kind", e.Kind.String(), "status", e.Status, "code", e.Code, "seconds", pause.Seconds())
		if err := a.sleep(ctx, pause); err != nil {
			return &Error{Kind: e.Kind, RetryAfter: e.RetryAfter, Code: e.Code, Status: e.Status, Message: e.Message, Err: err}
		}
	}
}
