// Package jobs is what runs on a schedule inside the server: once a minute, one job after the other.
//
// Several servers may run on one database. A job therefore either comes to the same result when two do it at once, or takes what it works on
// from the store, which gives it to one of them only. A job that fails is tried again a minute later, and does not stop the others.
//
// A new job is a line in New.
package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"foyer"
	"foyer/notify"
	"foyer/store"
)

// Config says what the jobs work with. Store and Log are needed. The time is the store's.
type Config struct {
	Store  *store.Store
	Mailer Mailer                      // nil: alerts are listed and logged, and nobody is sent mail
	Keep   time.Duration               // how long changes can be undone (R25); 0: DefaultKeep
	Flush  func(context.Context) error // writes what is counted in memory; nil: nothing is
	Log    *slog.Logger
}

// DefaultKeep is how long changes can be undone (R25).
const DefaultKeep = 90 * 24 * time.Hour

// Mailer sends messages and returns what became of each: nil where it was sent.
type Mailer interface {
	Send(ctx context.Context, mails []notify.Mail) []error
}

// Runner runs the jobs.
type Runner struct {
	Config
	caller foyer.Caller
	jobs   []job
	mu     sync.Mutex // held during a tick
}

// job is something that is done every minute.
type job struct {
	name string
	run  func(context.Context) error
}

// Every is how often the jobs run.
const Every = time.Minute

// jobTimeout is how long one job may take each time.
const jobTimeout = 5 * time.Minute

// New returns a runner of all jobs.
func New(c Config) *Runner {
	if c.Keep <= 0 {
		c.Keep = DefaultKeep
	}
	r := &Runner{Config: c, caller: foyer.Operator("serve")}
	r.jobs = []job{
		{"look for silent sources", func(ctx context.Context) error { return r.Store.WatchSources(ctx, r.caller) }},
		{"look for keys that end", func(ctx context.Context) error { return r.Store.WatchKeys(ctx, r.caller) }},
		{"look for the end of the application at Microsoft", func(ctx context.Context) error { return r.Store.WatchEntraApp(ctx, r.caller) }},
		{"lapse held runs", func(ctx context.Context) error { return r.Store.LapseHeld(ctx, r.caller) }},
		{"prune the log", hourly(r.Store.Now, func(ctx context.Context) error { return r.Store.Prune(ctx, r.caller, r.Keep) })},
		{"log the heads of the audit", hourly(r.Store.Now, r.logHeads)},
		{"tell of alerts", r.announce},
		{"send mail", r.sendMail},
	}
	if c.Flush != nil {
		r.jobs = append(r.jobs, job{"write the counts", c.Flush})
	}
	return r
}

// logHeads writes where the audit of each organization ends into the log: whoever cuts the audit off later, and its head with it, does not reach there.
func (r *Runner) logHeads(ctx context.Context) error {
	orgs, err := r.Store.Orgs(ctx, r.caller)
	if err != nil {
		return err
	}
	for _, org := range orgs {
		head, err := r.Store.AuditHead(ctx, r.caller, org.ID)
		if err != nil {
			r.Log.Error("the audit of an organization does not hold; foyer audit verify says where", "org", org.Slug, "error", err)
			continue
		}
		if head.Seq > 0 {
			r.Log.Info("audit head", "org", org.Slug, "seq", head.Seq, "mac", head.MAC)
		}
	}
	return nil
}

// hourly does nothing where run was called, and came to its end, less than an hour ago.
func hourly(now foyer.Clock, run func(context.Context) error) func(context.Context) error {
	var last time.Time
	return func(ctx context.Context) error {
		if !last.IsZero() && now().Sub(last) < time.Hour {
			return nil
		}
		if err := run(ctx); err != nil {
			return err
		}
		last = now()
		return nil
	}
}

// Run runs the jobs now and then every minute, until ctx ends. A tick that takes longer puts off the next.
func (r *Runner) Run(ctx context.Context) {
	every := time.NewTicker(Every)
	defer every.Stop()
	for {
		r.Tick(ctx)
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
	}
}

// Tick runs each job once. Two ticks of a runner do not overlap. It ends early when ctx does.
func (r *Runner) Tick(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, j := range r.jobs {
		if ctx.Err() != nil {
			return
		}
		if err := j.once(ctx); err != nil && ctx.Err() == nil {
			r.Log.Warn("a job failed; it runs again in a minute", "job", j.name, "error", err)
		}
	}
}

// once runs a job once. A fault in it is an error like others.
func (j *job) once(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, jobTimeout)
	defer cancel()
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("panic: %v\n%s", fault, debug.Stack())
		}
	}()
	return j.run(ctx)
}
