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
	"context"

	"foyer"
	"foyer/match"
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
	Org    foyer.OrgID
	Source foyer.SourceID
	Input  func(*foyer.Source) Input // opens it as the source's settings say
	Digest []byte                    // SHA-256 of the bytes delivered; nil: never taken for the same as the last
	DryRun bool                      // plan only (R24)
	Strict bool                      // a row with an error refuses the delivery
	NoSkip bool                      // look at every row, whatever its hash (for tests of R17)
	Spill  Spill                     // where rows wait that do not fit into memory
}

// Spill says where the rows wait that are to be applied.
type Spill struct {
	Dir    string // of the file for those that do not fit into memory; empty: the system's folder for temporary files
	Memory int    // how many bytes of rows may wait in memory; 0: 16 MiB
}

// Run applies a delivery, or tries it where it is a dry run, and returns the run. A delivery that is refused is an error of a kind other
// than foyer.Internal and foyer.Busy; it is recorded as a run too, which is returned beside the error.
//
// When Run returns nil and it is no dry run, everything is on disk. It does not stop when ctx ends once it has begun to write.
func Run(ctx context.Context, s *store.Store, caller foyer.Caller, d Delivery) (*foyer.Run, error) {
	run := &foyer.Run{Kind: foyer.Sync, Source: d.Source, Actor: caller.Name, Status: foyer.Applied, Started: s.Now(), Digest: d.Digest}
	if caller.Address.IsValid() {
		run.Address = caller.Address.String()
	}
	rows := &arena{dir: d.Spill.Dir, budget: d.Spill.Memory}
	defer rows.Close() // nothing in it is needed any more
	if d.DryRun {
		return run, s.Preview(ctx, caller, d.Org, d.Source, func(b *store.Book) error { return try(b, d, run, rows) })
	}
	act := store.Act{Org: d.Org, Kind: foyer.Sync, Source: d.Source}
	err := s.Update(context.WithoutCancel(ctx), caller, act, func(b *store.Book) (*store.Delta, error) { return delta(b, d, run, rows) })
	if err == nil || !refusal(err) {
		return run, err
	}
	return Refuse(context.WithoutCancel(ctx), s, caller, d.Org, run, err)
}

// Refuse records that a delivery was refused for the reason err, and returns the run beside err. Where the database is too busy for that, the
// reason still is what the sender has to know: the run then has no ID.
func Refuse(ctx context.Context, s *store.Store, caller foyer.Caller, org foyer.OrgID, run *foyer.Run, err error) (*foyer.Run, error) {
	run.Status, run.Message, run.Counts, run.Problems = foyer.Refused, message(err), foyer.Counts{}, nil
	if failed := s.RecordRun(ctx, caller, org, run); failed != nil && foyer.KindOf(failed) != foyer.Busy {
		return nil, failed
	}
	return run, err
}

// refusal tells whether an error is about what was delivered.
func refusal(err error) bool {
	switch foyer.KindOf(err) {
	case foyer.Malformed, foyer.Invalid, foyer.TooLarge, foyer.Unsupported, foyer.Forbidden:
		return true
	}
	return false
}

// try makes a plan and counts what it would do.
func try(b *store.Book, d Delivery, run *foyer.Run, rows *arena) error {
	delta, err := delta(b, d, run, rows)
	if err != nil || delta.Writes == nil {
		return err
	}
	for _, err := range delta.Writes {
		if err != nil {
			return err
		}
	}
	return nil
}

// delta plans a delivery on the book as it is. rows must stay open until what it returns is written.
func delta(b *store.Book, d Delivery, run *foyer.Run, rows *arena) (*store.Delta, error) {
	run.Counts, run.Problems = foyer.Counts{}, nil
	source := b.Source(d.Source)
	if source == nil {
		return nil, foyer.Errorf(foyer.NotFound, "there is no source %v", d.Source)
	}
	last, err := b.LastApplied(d.Source)
	if err != nil {
		return nil, err
	}
	if last != nil && !d.NoSkip && !d.Strict && len(d.Digest) > 0 && bytes.Equal(last.Digest, d.Digest) && last.Book == b.Version {
		repeat(run, last)
		return &store.Delta{Run: run}, nil
	}
	if err := rows.reset(); err != nil {
		return nil, err
	}
	plan, err := newPlan(b, d, source, rows)
	if err != nil {
		return nil, err
	}
	return &store.Delta{Run: run, Writes: plan.writes(run)}, nil
}

// repeat fills in the run of a delivery that is byte for byte the one that the book was last made from.
func repeat(run, last *foyer.Run) {
	run.Counts, run.Problems = last.Counts, last.Problems
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
	phones, err := match.NewPhones(b.Org.Country)
	if err != nil {
		return nil, err
	}
	return &policy{source: source, book: b.Source, sites: newSiteNames(b.Sites), phones: phones}, nil
}
