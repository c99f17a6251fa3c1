// Package reconcile brings an address book in step with what a source delivered. It is the only way into the book from outside,
// and edits by hand go through the same merge.
//
// A delivery is read against the claims of its source (reading.go): rows whose hash is known are done with at once. For the rest it is found
// out who is who (resolve.go). The plan (plan.go) then says what becomes of each entry concerned; what it says of one entry is a pure function
// of the entry, its claims and the row (policy.go, draft.go). The store writes what the plan yields in one transaction. Trying a
// delivery makes the same plan and writes nothing.
package reconcile

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"foyer"
	"foyer/phone"
	"foyer/store"
)

// Input is what a source delivered, read to its end before it gets here (R20).
type Input interface {
	// Rows calls yield for each row, in order, and returns what was wrong with the whole. A row is good only until yield returns.
	// It may be called more than once and gives the same rows each time. A *foyer.Error refuses the delivery.
	Rows(yield func(*foyer.Row) error) (warnings []foyer.Problem, err error)
}

// Delivery is one snapshot from a source: everybody it lists.
type Delivery struct {
	Org     foyer.OrgID
	Source  foyer.SourceID
	Input   func(*foyer.Source) Input // opens it as the source's settings say
	Digest  []byte                    // SHA-256 of the bytes delivered; nil: never taken for the same as the last
	DryRun  bool                      // plan only (R24)
	Strict  bool                      // a row with an error refuses the delivery, and so does what would be held
	NoSkip  bool                      // look at every row, whatever its hash (for tests of R17)
	Request store.Request             // so that it is applied once however often it is sent
	Spill   Spill                     // where rows wait that do not fit into memory
	covers  []foyer.EntryID           // whom the approval of a held run covers; nil: it is none
	redoes  []foyer.RunID             // the undos for which that run was held
	held    foyer.RunID               // that run
}

// Spill says where the rows wait that are to be applied.
type Spill struct {
	Dir    string // of the file for those that do not fit into memory; empty: the system's folder for temporary files
	Memory int    // how many bytes of rows may wait in memory; 0: 16 MiB
}

// open returns room for the rows. It must be closed.
func (s Spill) open() *arena { return &arena{dir: s.Dir, budget: s.Memory} }

// Run applies a delivery, or tries it where it is a dry run, and returns the run. Its status is foyer.Held where the guard wants a person to decide: then
// nothing was changed. A delivery that is refused is an error of a kind other than foyer.Internal and foyer.Busy; it is recorded as a run
// too, which is returned beside the error. A request that was answered before is a store.AnsweredError.
//
// When Run returns nil and it is no dry run, everything is on disk. It does not stop when ctx ends once it has begun to write.
func Run(ctx context.Context, s *store.Store, caller foyer.Caller, d Delivery) (*foyer.Run, error) {
	run := NewRun(s, caller, d)
	rows := d.Spill.open()
	defer rows.Close() // nothing in it is needed any more
	if d.DryRun {
		return run, s.Preview(ctx, caller, d.Org, d.Source, func(b *store.Book) error { return try(b, d, run, rows) })
	}
	ctx = context.WithoutCancel(ctx)
	err := s.Update(ctx, caller, d.act(), func(b *store.Book) (*store.Delta, error) { return delta(b, d, run, rows) })
	if err == nil {
		return run, nil
	}
	return Refuse(ctx, s, caller, d, run, err)
}

// NewRun returns the run of a delivery that begins now.
func NewRun(s *store.Store, caller foyer.Caller, d Delivery) *foyer.Run {
	run := newRun(s, caller, foyer.Sync)
	run.Source, run.Digest, run.Of = d.Source, d.Digest, d.held
	return run
}

// newRun returns an act of the caller that begins now.
func newRun(s *store.Store, caller foyer.Caller, kind foyer.RunKind) *foyer.Run {
	run := &foyer.Run{Kind: kind, Actor: caller.Name, Status: foyer.Applied, Started: s.Now()}
	if caller.Address.IsValid() {
		run.Address = caller.Address.String()
	}
	return run
}

func (d *Delivery) act() store.Act {
	return store.Act{Org: d.Org, Right: foyer.SyncBook, Source: d.Source, Request: d.Request}
}

// Refuse records that a delivery was refused, or failed, for the reason err, and returns the run beside err. A fault that may pass, and an answer given
// again, are not recorded. Where the database is too busy for the record, the reason still is what the sender has to know: the run then has no ID.
func Refuse(ctx context.Context, s *store.Store, caller foyer.Caller, d Delivery, run *foyer.Run, err error) (*foyer.Run, error) {
	refusal := &foyer.Refusal{Kind: foyer.KindOf(err)}
	switch refusal.Kind {
	case foyer.Busy, foyer.Unauthenticated, foyer.NotFound, foyer.Limited:
		return run, err
	case foyer.Internal:
		if _, answered := errors.AsType[*store.AnsweredError](err); answered || ctx.Err() != nil {
			return run, err
		}
		run.Status, run.Message, d.Request = foyer.Failed, "a fault on the server's side; its log says more", store.Request{}
	default:
		run.Status, run.Message, run.Refusal = foyer.Refused, message(err), refusal
		if known, ok := errors.AsType[*foyer.Error](err); ok {
			refusal.Line, refusal.Column = known.Line, known.Column
		}
	}
	run.Counts, run.Problems, run.Hold = foyer.Counts{}, nil, nil
	failed := s.RecordRun(ctx, caller, d.act(), run)
	if answered, ok := errors.AsType[*store.AnsweredError](failed); ok {
		return run, answered
	}
	if failed != nil && foyer.KindOf(failed) != foyer.Busy {
		return nil, errors.Join(failed, err)
	}
	return run, err
}

// try makes a plan and counts what it would do; the run is held where the guard would hold it.
func try(b *store.Book, d Delivery, run *foyer.Run, rows *arena) error {
	return tryDelta(delta(b, d, run, rows))
}

// delta plans a delivery on the book as it is. rows must stay open until what it returns is written.
func delta(b *store.Book, d Delivery, run *foyer.Run, rows *arena) (*store.Delta, error) {
	run.Counts, run.Problems, run.Hold, run.Status, run.Message, run.Replays, run.Redoes, run.SameAs, run.Book = foyer.Counts{}, nil, nil, foyer.Applied, "", 0, 0, 0, 0
	source, err := sourceOf(b, d.Source)
	if err != nil {
		return nil, err
	}
	last, err := b.LastApplied(d.Source)
	if err != nil {
		return nil, err
	}
	again := last != nil && len(d.Digest) > 0 && bytes.Equal(last.Digest, d.Digest)
	// Whom a row with an error names may be another once the rest is applied (R15), and what was approved may lack rows of the erased (R28): such
	// a file is looked at again.
	if again && d.held == 0 && !d.NoSkip && !d.Strict && last.Book == b.Version && last.Errors == 0 && last.Of == 0 {
		ended, err := keepsEnded(b, source.ID)
		if err != nil {
			return nil, err
		}
		if !ended {
			repeat(run, last)
			return &store.Delta{Run: run}, nil
		}
	}
	if last != nil && !again && len(d.Digest) > 0 {
		if err := noteReplay(b, d, run); err != nil {
			return nil, err
		}
	}
	if err := rows.reset(); err != nil {
		return nil, err
	}
	plan, err := newPlan(b, d, source, rows)
	if err != nil {
		return nil, err
	}
	result := &store.Delta{Run: run, Writes: plan.writes(run)}
	if d.held != 0 {
		result.Decided = &d.held
	}
	result.Verdict = func() (*store.Delta, error) {
		if last != nil && len(run.Problems) > 0 && slices.Equal(run.Problems, last.Problems) {
			run.SameAs = cmp.Or(last.SameAs, last.ID)
		}
		g := plan.guarded()
		hold, err := g.judge(d.covers, d.redoes)
		if d.DryRun {
			run.Tried = plan.toll.shown()
		}
		if err != nil {
			return nil, err
		}
		if hold != nil {
			return held(d, run, hold, g, plan.rows)
		}
		result.Watch = plan.toll.settleWatches(run, d.covers != nil)
		return nil, nil
	}
	return result, nil
}

// keepsEnded tells whether a keep on an entry that the source lists came to its end, and was not looked at since.
func keepsEnded(b *store.Book, source foyer.SourceID) (bool, error) {
	ids, err := b.KeepsEnded()
	for _, id := range ids {
		claim, err := b.Claim(source, id)
		if err != nil || claim != nil {
			return claim != nil, err
		}
	}
	return false, err
}

// settleWatches ends the watches whose undo an applied run did again: with approval, or since a run was held for them before and nobody decided. The latter is told.
func (t *toll) settleWatches(run *foyer.Run, approved bool) (over []store.Watch) {
	undos := t.redo(true)
	if !approved && len(undos) > 0 {
		run.Redoes = undos[0]
		run.Message = strings.TrimSpace(fmt.Sprintf("%s It did again for %d what %v undid, for which a run was held before.", run.Message, t.again, undos[0]))
	}
	for _, undo := range append(undos, t.redo(false)...) {
		over = append(over, store.Watch{Source: run.Source, Undo: undo, Over: true})
	}
	return over
}

// noteReplay says of a run that it brings the file of an earlier one, which is not the latest. That is legitimate, as is restoring an old list, but never silent.
func noteReplay(b *store.Book, d Delivery, run *foyer.Run) (err error) {
	if run.Replays, err = b.AppliedBefore(d.Source, d.Digest); err != nil || run.Replays == 0 {
		return err
	}
	earlier, err := b.Run(run.Replays)
	if err == nil {
		run.Message = fmt.Sprintf("This is the file of %s (%v), not a new one.", earlier.Started.UTC().Format("2006-01-02 15:04 UTC"), earlier.ID)
	}
	return err
}

// sourceOf returns a source that may deliver.
func sourceOf(b *store.Book, id foyer.SourceID) (*foyer.Source, error) {
	source := b.Source(id)
	if source == nil {
		return nil, foyer.Errorf(foyer.NotFound, "there is no source %v", id)
	}
	if !source.EndedAt.IsZero() {
		return nil, foyer.Errorf(foyer.Forbidden, "the source %q has ended, on %s, and delivers no more", source.Name, source.EndedAt.Format(time.DateOnly))
	}
	return source, nil
}

// held returns what is written in place of a run that the guard holds. The counts of the run stay: they say what it would do.
func held(d Delivery, run *foyer.Run, hold *foyer.Hold, g *guarded, rows func(func(*foyer.Row) error) error) (*store.Delta, error) {
	if d.Strict && !d.DryRun {
		return nil, foyer.Errorf(foyer.Conflict, "%s, and handling=strict was asked for. Nothing changed", hold.Reasons[0])
	}
	run.HoldFor(hold)
	delta := &store.Delta{Run: run, Kept: g.kept()}
	delta.Kept.Rows = rows
	for _, undo := range hold.Redoes {
		delta.Watch = append(delta.Watch, store.Watch{Source: run.Source, Undo: undo, Spent: true}) // it is held once (R25)
	}
	return delta, nil
}

// repeat fills in the run of a delivery that is byte for byte the one that the book was last made from.
func repeat(run, last *foyer.Run) {
	run.Counts, run.Problems, run.SameAs = last.Counts, last.Problems, cmp.Or(last.SameAs, last.ID)
	run.Added, run.Updated, run.Disabled, run.Enabled, run.Unchanged = 0, 0, 0, 0, last.Listed
}

func message(err error) string {
	if e, ok := err.(*foyer.Error); ok {
		return e.Message
	}
	return err.Error()
}

// policyOf returns what decides the outcome of a source's rows besides the rows; source is nil for a person.
func policyOf(b *store.Book, source *foyer.Source) (*policy, error) {
	phones, err := phone.New(b.Org.Country)
	if err != nil {
		return nil, err
	}
	p := &policy{source: source, book: b.Source, sites: newSiteNames(b.Sites), phones: phones, now: b.Now}
	if source != nil {
		p.erased, err = b.Erased(source.ID)
	}
	return p, err
}
