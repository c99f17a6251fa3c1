package connect

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"foyer"
	"foyer/entra"
	"foyer/reconcile"
	"foyer/store"
)

const (
	// every is how often it is looked whether a tenant is due.
	every = 15 * time.Second
	// atOnce is how many tenants one process reads at once: it mostly waits for Microsoft.
	atOnce = 4
	// redoWait is how long what somebody has undone is not done again while its held run waits for a decision, and what somebody has rejected is not held again, as if the directory came
	// in a nightly file (R25).
	redoWait = 24 * time.Hour
	// shownDaily is after how long a run is made though nothing changed: it shows that the book was followed, and lets go of keeps that have come to their end.
	shownDaily = 24 * time.Hour
	// spoolBatch is how many items are stored at once.
	spoolBatch = 500
)

// Run reads tenants as they are due, until ctx ends. One that takes long keeps no other waiting.
func (c *Connector) Run(ctx context.Context) {
	var all sync.WaitGroup
	for range atOnce {
		all.Go(func() { c.run(ctx) })
	}
	all.Wait()
}

func (c *Connector) run(ctx context.Context) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		if err := c.readDue(ctx); err != nil && ctx.Err() == nil {
			c.Log.Error("tenants could not be read", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-c.wake:
		}
	}
}

// Tick reads all tenants that are due.
func (c *Connector) Tick(ctx context.Context) error {
	var all sync.WaitGroup
	errs := make([]error, atOnce)
	for i := range atOnce {
		all.Go(func() { errs[i] = c.readDue(ctx) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// readDue reads one tenant after the other that is due.
func (c *Connector) readDue(ctx context.Context) error {
	for ctx.Err() == nil {
		r, err := c.Store.TakeReading(ctx, c.operator)
		if err != nil || r == nil {
			return err
		}
		if err := c.Read(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// Read reads a tenant that was taken, brings the book in step with it, and notes how that ended. What it returns is a fault of this server's.
func (c *Connector) Read(ctx context.Context, r *store.Reading) (err error) {
	failed := c.readAndApply(ctx, r)
	e := store.ReadingEnd{Next: c.Store.Now().Add(jitter(r.Connection.Settings.Interval()))}
	if failed != nil {
		if ctx.Err() != nil {
			failed = ctx.Err()
		}
		e = c.ended(r, failed)
		c.Log.Warn("a tenant could not be read", "org", r.Org.Slug, "source", r.Connection.Source.String(), "error", failed, "next", e.Next)
	}
	return c.Store.EndReading(context.WithoutCancel(ctx), c.operator, r, e)
}

// jitter returns a duration that differs by a tenth at most, so that the tenants of a server are not all due at once.
func jitter(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5)
}

func (c *Connector) readAndApply(ctx context.Context, r *store.Reading) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			c.Log.Error("panic", "org", r.Org.Slug, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: a %T", fault)
		}
	}()
	app, err := c.client(ctx)
	switch foyer.KindOf(err) {
	case foyer.NotFound, foyer.Conflict: // no application, or none of its credentials is good today
		return &entra.Error{Kind: entra.BadCredential, Message: err.Error()}
	}
	if err != nil {
		return err
	}
	tenant, h := app.Tenant(r.Connection.Tenant), &holder{c: c, r: r, at: c.Store.Now()}
	ctx = context.WithValue(ctx, holderKey{}, h)
	if err := c.read(ctx, tenant, r, h); err != nil {
		return err
	}
	return c.apply(ctx, tenant, r, h)
}

// holder says that a reading goes on, before its lease ends: between pages, and before each pause for which Microsoft asks.
type holder struct {
	c  *Connector
	r  *store.Reading
	at time.Time // when it was said last
}

type holderKey struct{}

// hold says so where a minute has passed. It fails where the reading is another process's by now.
func (h *holder) hold(ctx context.Context) error {
	now := h.c.Store.Now()
	if now.Sub(h.at) < time.Minute {
		return nil
	}
	h.at = now
	return h.c.Store.HoldReading(ctx, h.c.operator, h.r)
}

// pause waits as long as Microsoft asks; of who reads a tenant it is said meanwhile that they go on.
func (c *Connector) pause(ctx context.Context, d time.Duration) error {
	if h, ok := ctx.Value(holderKey{}).(*holder); ok {
		if err := h.hold(ctx); err != nil {
			return err
		}
	}
	return c.Sleep(ctx, d)
}

// read brings what is known of the tenant up to date: by what changed since the last reading, or, where Microsoft does not know any more since when, by everybody.
func (c *Connector) read(ctx context.Context, tenant *entra.Tenant, r *store.Reading, h *holder) error {
	full := r.Delta == ""
	err := c.readFrom(ctx, tenant, r, h, full)
	if known, ok := asEntra(err); ok && known.Kind == entra.Resync && !full {
		c.Log.Info("a tenant is read from the beginning", "org", r.Org.Slug, "source", r.Connection.Source.String(), "code", known.Code)
		return c.readFrom(ctx, tenant, r, h, true)
	}
	return err
}

func (c *Connector) readFrom(ctx context.Context, tenant *entra.Tenant, r *store.Reading, h *holder, full bool) error {
	spool, err := os.CreateTemp(c.SpoolDir, "entra-*")
	if err != nil {
		return err
	}
	os.Remove(spool.Name()) // nobody else can open it, and it goes with the process
	defer spool.Close()
	w := spooler{c: c, tenant: tenant, r: r, holder: h, full: full, out: bufio.NewWriter(spool), gone: map[string]bool{}}
	begin := r.Delta
	if full {
		begin = ""
	}
	delta, err := tenant.Users(ctx, begin, func(items []entra.Item) error { return w.page(ctx, items) })
	if err != nil {
		return err
	}
	if err := w.out.Flush(); err != nil {
		return err
	}
	if _, err := c.Store.StoreReading(ctx, c.operator, r, full, delta, func(yield func([]store.EntraItem) error) error { return spooled(spool, yield) }); err != nil {
		return err
	}
	_, err = c.refresh(ctx, r)
	r.Delta = delta
	return err
}

// refresh brings the connection of a reading up to date, but for when it is due, by which EndReading sees that somebody asked for another time. It tells whether the connection is
// to be read as before.
func (c *Connector) refresh(ctx context.Context, r *store.Reading) (same bool, err error) {
	all, err := c.Store.Connections(ctx, c.operator, r.Org.ID)
	for _, now := range all {
		if was := r.Connection; now.Source == was.Source {
			now.NextAt = was.NextAt
			r.Connection, same = now, now.State == was.State && reflect.DeepEqual(now.Settings, was.Settings)
		}
	}
	return same, err
}

// spooler writes what a reading says into a file, page by page.
type spooler struct {
	c      *Connector
	tenant *entra.Tenant
	r      *store.Reading
	holder *holder
	full   bool
	out    *bufio.Writer
	gone   map[string]bool // whom the reading said to be gone, or does not list
}

func (w *spooler) page(ctx context.Context, items []entra.Item) error {
	if err := w.holder.hold(ctx); err != nil {
		return err
	}
	known := map[string]bool{}
	if !w.full {
		ids := make([]string, len(items))
		for i, item := range items {
			ids[i] = item.ID
		}
		var err error
		if known, err = w.c.Store.EntraKnown(ctx, w.c.operator, w.r, ids); err != nil {
			return err
		}
	}
	for _, item := range items {
		kept, err := w.item(ctx, item, known[item.ID])
		if err != nil {
			return err
		}
		if kept == nil {
			continue
		}
		line, err := json.Marshal(kept)
		if err != nil {
			return err
		}
		w.out.Write(line)
		if err := w.out.WriteByte('\n'); err != nil {
			return err
		}
	}
	return nil
}

// item returns what is kept of an item; nil: nothing. Of somebody who is not known, or not any more, a change alone says too little: who they are is asked.
func (w *spooler) item(ctx context.Context, item entra.Item, known bool) (*store.EntraItem, error) {
	if item.Removed != "" || w.isGuest(item) {
		w.gone[item.ID] = true
		return &store.EntraItem{ID: item.ID, Gone: true}, nil
	}
	if (w.full || known) && !w.gone[item.ID] {
		return &store.EntraItem{ID: item.ID, Attributes: item.Attributes, Manager: item.Manager}, nil
	}
	if err := w.holder.hold(ctx); err != nil {
		return nil, err
	}
	all, err := w.tenant.User(ctx, item.ID)
	missing, ok := asEntra(err)
	switch {
	case ok && missing.Status == 404:
		return &store.EntraItem{ID: item.ID, Gone: true}, nil
	case err != nil:
		return nil, err
	case w.isGuest(*all):
		return nil, nil
	}
	return &store.EntraItem{ID: item.ID, Whole: true, Attributes: all.Attributes, Manager: all.Manager}, nil
}

// isGuest tells whether an item is of a guest whom the settings do not list.
func (w *spooler) isGuest(item entra.Item) bool {
	return bytes.EqualFold(item.Attributes["userType"], []byte(`"Guest"`)) && !w.r.Connection.Settings.Guests
}

// spooled reads what a spooler wrote, from the beginning.
func spooled(file io.ReadSeeker, yield func([]store.EntraItem) error) error {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	in := json.NewDecoder(bufio.NewReader(file))
	batch := make([]store.EntraItem, 0, spoolBatch)
	for {
		var item store.EntraItem
		err := in.Decode(&item)
		if err == nil {
			batch = append(batch, item)
		} else if err != io.EOF {
			return err
		}
		if len(batch) == spoolBatch || err == io.EOF && len(batch) > 0 {
			if err := yield(batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
		if err == io.EOF {
			return nil
		}
	}
}

// apply brings the book in step with what is known of the tenant, or, before somebody confirmed that, works out what it would do.
func (c *Connector) apply(ctx context.Context, tenant *entra.Tenant, r *store.Reading, h *holder) error {
	member, err := readMembers(ctx, tenant, r.Connection.Settings.Groups, h)
	if err != nil {
		return err
	}
	if err := c.Store.HoldReading(ctx, c.operator, r); err != nil {
		return err
	}
	if same, err := c.refresh(ctx, r); err != nil || !same || !r.Connection.State.Reads() {
		return err // it was paused, or is set otherwise and is read again at once
	}
	d, err := c.delivery(ctx, r.Org.ID, r.Connection, member)
	if err != nil {
		return err
	}
	if r.Connection.State != foyer.Connected {
		return c.rehearse(ctx, r, d)
	}
	if same, err := c.upToDate(ctx, r, d.Digest); err != nil || same {
		return err
	}
	caller := foyer.PersonCaller("of Microsoft Entra", r.Org.ID, foyer.Connector, nil, netip.Addr{})
	run, err := reconcile.Run(ctx, c.Store, caller, d)
	if err == nil {
		c.Log.Info("a tenant was read", "org", r.Org.Slug, "source", r.Connection.Source.String(), "run", run.ID.String(), "status", string(run.Status))
	}
	switch foyer.KindOf(err) {
	case foyer.Internal, foyer.Busy:
		return err
	}
	return nil // a refusal is a run, and has raised its alert
}

// delivery returns what is known of a tenant as a delivery of its source.
func (c *Connector) delivery(ctx context.Context, org foyer.OrgID, conn foyer.Connection, member members) (reconcile.Delivery, error) {
	sites, err := c.Store.Sites(ctx, c.operator, org)
	if err != nil {
		return reconcile.Delivery{}, err
	}
	names := map[foyer.SiteID]string{}
	for _, site := range sites {
		names[site.ID] = site.Name
	}
	rows := &people{ctx: context.WithoutCancel(ctx), c: c, org: org, conn: conn, member: member, sites: names}
	return reconcile.Delivery{Org: org, Source: conn.Source, Digest: member.digest(conn), Input: func(*foyer.Source) reconcile.Input { return rows },
		Spill: reconcile.Spill{Dir: c.SpoolDir}}, nil
}

// upToDate tells whether a delivery need not be made: it says what the last one said, which is in the book or waits for a decision.
func (c *Connector) upToDate(ctx context.Context, r *store.Reading, digest []byte) (same bool, err error) {
	err = c.Store.View(ctx, c.operator, r.Org.ID, func(b *store.Book) error {
		if source := b.Source(r.Connection.Source); source == nil || !source.EndedAt.IsZero() {
			same = true // it delivers no more
			return nil
		}
		last, err := b.LastApplied(r.Connection.Source)
		if err != nil {
			return err
		}
		held, err := b.WaitingOf(r.Connection.Source)
		if err != nil {
			return err
		}
		newest, err := b.LastOf(r.Connection.Source)
		if err != nil {
			return err
		}
		switch {
		case newest != nil && newest.Status == foyer.Rejected && bytes.Equal(newest.Digest, digest) && b.Now.Sub(newest.Started) < redoWait:
			same = true // somebody said no to just that
		case held != nil:
			same = bytes.Equal(held.Digest, digest) || held.Hold != nil && len(held.Hold.Redoes) > 0 && b.Now.Sub(held.Started) < redoWait
		case last != nil:
			same = bytes.Equal(last.Digest, digest) && last.Book == b.Version && b.Now.Sub(last.Started) < shownDaily
		}
		return nil
	})
	return same, err
}

// rehearse works out what a delivery would do, and keeps that for the page where it is confirmed.
func (c *Connector) rehearse(ctx context.Context, r *store.Reading, d reconcile.Delivery) error {
	d.DryRun = true
	run, err := reconcile.Run(ctx, c.Store, c.operator, d)
	plan := Plan{At: c.Store.Now(), Version: r.Connection.Version}
	switch foyer.KindOf(err) {
	case foyer.Internal, foyer.Busy:
		if err != nil {
			return err
		}
		plan.of(run)
	default:
		plan.Refused = err.Error()
	}
	text, err := json.Marshal(plan)
	if err != nil {
		return err
	}
	return c.Store.KeepPlan(ctx, c.operator, r, text)
}

// Plan is what a connection would do to the book, worked out when the tenant was last read.
type Plan struct {
	At       time.Time       `json:"at"`
	Version  int64           `json:"version"` // of the connection: it is of the settings as they were then
	Counts   foyer.Counts    `json:"counts"`
	Held     string          `json:"held,omitempty"`    // why the guard would hold it; "": it would not
	Refused  string          `json:"refused,omitempty"` // why nothing of it can be used; "": it can
	Problems []foyer.Problem `json:"problems,omitempty"`
}

// maxPlanProblems is how many problems of rows a plan shows.
const maxPlanProblems = 20

func (p *Plan) of(run *foyer.Run) {
	p.Counts, p.Problems = run.Counts, slices.Clone(run.Problems[:min(len(run.Problems), maxPlanProblems)])
	if run.Status == foyer.Held {
		p.Held = strings.TrimSpace(run.Message)
	}
}
