package reconcile

import (
	"context"
	"iter"
	"slices"

	"foyer"
	"foyer/store"
)

// Approve applies a held run: what it was delivered is planned again on the book as it is now, and the approval covers the people that were shown. Where someone
// else would be disabled now, the run that is returned is held again (R22). foyer.Conflict where the run waits no more.
func Approve(ctx context.Context, s *store.Store, caller foyer.Caller, org foyer.OrgID, id foyer.RunID) (run *foyer.Run, err error) {
	rows := Spill{}.open()
	defer rows.Close() // nothing in it is needed any more
	act := store.Act{Org: org, Right: foyer.DecideRuns}
	err = s.Update(context.WithoutCancel(ctx), caller, act, func(b *store.Book) (delta *store.Delta, err error) {
		run, delta, err = approval(b, s, caller, id, rows, false)
		return delta, err
	})
	return run, err
}

// TryApproval returns what Approve would do now, and changes nothing (R24).
func TryApproval(ctx context.Context, s *store.Store, caller foyer.Caller, org foyer.OrgID, id foyer.RunID) (run *foyer.Run, err error) {
	rows := Spill{}.open()
	defer rows.Close()
	err = s.View(ctx, caller, org, func(b *store.Book) error {
		var delta *store.Delta
		run, delta, err = approval(b, s, caller, id, rows, true)
		return tryDelta(delta, err)
	})
	return run, err
}

// approval plans a held run again. rows must stay open until what it returns is written.
func approval(b *store.Book, s *store.Store, caller foyer.Caller, id foyer.RunID, rows *arena, dry bool) (*foyer.Run, *store.Delta, error) {
	held, err := b.Held(id)
	if err != nil {
		return nil, nil, err
	}
	covers := append([]foyer.EntryID{}, held.Lost...)
	if held.Kind == foyer.End {
		run := newRun(s, caller, foyer.End)
		run.Source, run.Of = held.Source, id
		delta, err := endDelta(b, run, ending{leave: held.Hold.Leave, covers: covers, held: id})
		return run, delta, err
	}
	d := Delivery{Org: b.Org.ID, Source: held.Source, Digest: held.Digest, DryRun: dry, covers: covers, redoes: held.Hold.Redoes, held: id, Input: func(*foyer.Source) Input { return held }}
	run := NewRun(s, caller, d)
	delta, err := delta(b, d, run, rows)
	return run, delta, err
}

// Ending says how a source is to end.
type Ending struct {
	Source foyer.SourceID
	Leave  bool // whom no other source lists stays enabled, as hand-made; else absence disables them
	DryRun bool // plan only (R24)
}

// ending is how a source ends.
type ending struct {
	leave  bool            // whom nobody else lists stays, as hand-made; else absence disables them
	covers []foyer.EntryID // whom an approval covers; nil: there is none
	held   foyer.RunID     // the held run that is approved; 0: none
}

// EndSource ends a source: it lists nobody any more, and delivers no more. It is a run: held where the guard wants a person to decide, and it can be undone.
func EndSource(ctx context.Context, s *store.Store, caller foyer.Caller, org foyer.OrgID, e Ending) (*foyer.Run, error) {
	run := newRun(s, caller, foyer.End)
	run.Source = e.Source
	if e.DryRun {
		return run, s.View(ctx, caller, org, func(b *store.Book) error { return tryDelta(endDelta(b, run, ending{leave: e.Leave})) })
	}
	act := store.Act{Org: org, Right: foyer.DecideRuns}
	return run, s.Update(context.WithoutCancel(ctx), caller, act, func(b *store.Book) (*store.Delta, error) {
		return endDelta(b, run, ending{leave: e.Leave})
	})
}

// tryDelta works out a delta and writes nothing.
func tryDelta(delta *store.Delta, err error) error {
	if err != nil || delta == nil || delta.Writes == nil {
		return err
	}
	for _, err := range delta.Writes {
		if err != nil {
			return err
		}
	}
	if delta.Verdict == nil {
		return nil
	}
	_, err = delta.Verdict()
	return err
}

func endDelta(b *store.Book, run *foyer.Run, e ending) (*store.Delta, error) {
	run.Counts, run.Hold, run.Status, run.Message = foyer.Counts{}, nil, foyer.Applied, ""
	source, err := sourceOf(b, run.Source)
	if err != nil {
		return nil, err
	}
	p, err := policyOf(b, source)
	if err != nil {
		return nil, err
	}
	claims, err := b.Claims(source.ID)
	if err != nil {
		return nil, err
	}
	toll := newToll()
	delta := &store.Delta{Run: run, Writes: p.endWrites(b, run, claims, e.leave, toll), End: []store.Ending{{Source: source.ID, Ended: true}}}
	if e.held != 0 {
		delta.Decided = &e.held
	}
	delta.Verdict = func() (*store.Delta, error) {
		g := &guarded{b: b, source: source, toll: toll, listed: claims.Len(), claims: claims, now: b.Now}
		hold, err := g.judge(e.covers, nil)
		run.Tried = toll.shown()
		if err != nil || hold == nil {
			return nil, err
		}
		hold.Leave = e.leave
		run.HoldFor(hold)
		return &store.Delta{Run: run, Kept: g.kept()}, nil
	}
	return delta, nil
}

// endWrites withdraws all claims of a source.
func (p *policy) endWrites(b *store.Book, run *foyer.Run, claims *store.Claims, leave bool, toll *toll) iter.Seq2[*store.Write, error] {
	return func(yield func(*store.Write, error) bool) {
		ids := make([]foyer.EntryID, 0, stepBatch)
		for i := 0; i < claims.Len(); i += stepBatch {
			ids = ids[:0]
			for at := i; at < min(i+stepBatch, claims.Len()); at++ {
				ids = append(ids, claims.Entry(at))
			}
			err := b.Entries(ids, func(e *foyer.Entry) error {
				k, err := knownOf(b, e)
				if err != nil {
					return err
				}
				w := p.withdraw(k, run.ID)
				if leave {
					w = p.release(k, run.ID)
				}
				if w == nil {
					return nil
				}
				toll.note(p.source.ID, e, w, true)
				tally(&run.Counts, w)
				if !yield(w, nil) {
					return errStopped
				}
				return nil
			})
			if err != nil {
				if err != errStopped {
					yield(nil, err)
				}
				return
			}
		}
	}
}

// release returns what becomes of an entry that the source lists no more, though nothing is said against the person: whom no other source lists stays
// as is, at the sites that the source named.
func (p *policy) release(k known, run foyer.RunID) *store.Write {
	d := p.draftOf(k, run)
	claim := claimOf(d.had, p.source.ID)
	d.setClaim(p.source, nil)
	if !d.othersClaim() && claim != nil {
		d.after.HandSites = union(d.after.HandSites, claim.Sites)
	}
	return d.settle()
}

// Join makes two entries of one person one: the first goes on, with its history, notes and marks, and takes over what the second has; of the two
// emails the one that a source lists is current, the other an alias. The second entry is removed. It is an act that can be undone (R3, R25).
// foyer.Conflict where a source lists both.
func Join(ctx context.Context, s *store.Store, caller foyer.Caller, org foyer.OrgID, first, second Name) (entry *foyer.Entry, run *foyer.Run, err error) {
	run = newRun(s, caller, foyer.Join)
	act := store.Act{Org: org, Right: foyer.EditBook}
	err = s.Update(context.WithoutCancel(ctx), caller, act, func(b *store.Book) (*store.Delta, error) {
		pair, err := pairOf(b, first, second)
		if err != nil {
			return nil, err
		}
		run.Counts = foyer.Counts{}
		return &store.Delta{Run: run, Writes: func(yield func(*store.Write, error) bool) {
			goesOn, removed := pair.join(run.ID)
			entry = goesOn.Entry
			writes := []*store.Write{goesOn, removed}
			slices.SortFunc(writes, func(a, b *store.Write) int { return int(a.ID - b.ID) })
			for _, w := range writes {
				tally(&run.Counts, w)
				if !yield(w, nil) {
					return
				}
			}
		}}, nil
	})
	return entry, run, err
}

// pair is two entries that are to be joined.
type pair struct {
	policy        *policy
	first, second known
	aliases       []string // of the second
}

func pairOf(b *store.Book, first, second Name) (*pair, error) {
	p, err := policyOf(b, nil)
	if err != nil {
		return nil, err
	}
	both := pair{policy: p}
	for k, name := range map[*known]Name{&both.first: first, &both.second: second} {
		e, err := name.Find(b)
		if err != nil {
			return nil, err
		}
		if *k, err = knownOf(b, e); err != nil {
			return nil, err
		}
	}
	if both.first.entry.ID == both.second.entry.ID {
		return nil, foyer.Errorf(foyer.Invalid, "both names mean the entry %v", both.first.entry.ID)
	}
	for _, c := range both.first.claims {
		if claimOf(both.second.claims, c.source.ID) != nil {
			return nil, foyer.Errorf(foyer.Conflict, "the source %q lists both as two people; correct its file first, or its next sync would part them again", c.source.Name)
		}
	}
	both.aliases, err = b.Aliases(both.second.entry.ID)
	return &both, err
}

// join returns what becomes of the entry that goes on, and of the one that is removed.
func (p *pair) join(run foyer.RunID) (goesOn, removed *store.Write) {
	d := p.policy.draftOf(p.first, run)
	d.forget = true
	from := p.second.entry
	takes := len(p.first.claims) == 0 && len(p.second.claims) > 0 // the second's email is the current one from now on
	p.takeFields(d, takes)
	p.takeMarks(d)
	for _, c := range p.second.claims {
		claim := *c.claim
		claim.Hash = foyer.Hash{}
		d.setClaim(c.source, &claim)
	}
	for _, id := range from.IDs {
		if d.after.KnownAs(id.Source) == "" || claimOf(p.second.claims, id.Source) != nil {
			d.know(id.Source, id.ID)
		}
	}
	decides := d.count()
	switch {
	case from.Reason == foyer.ByHand || d.after.Reason == foyer.ByHand: // whom a person disabled stays so (R13)
		d.after.Enabled, d.after.Reason = false, foyer.ByHand
	case decides != nil:
		d.follow(decides)
	case from.Enabled:
		d.after.Enabled, d.after.Reason = true, foyer.NotDisabled
	}
	d.place(len(d.has) > 0)
	d.normalise(nil)
	d.joined = from.ID
	goesOn = d.finish()

	removed = removal(p.policy, p.second, nil, run)
	removed.Change.Joined = p.first.entry.ID
	current := string(p.policy.key(from.Values[foyer.Email]))
	for _, key := range append([]string{current}, p.aliases...) {
		moved := foyer.EmailChange{Key: key, Before: foyer.Address{Entry: from.ID, Alias: key != current}, After: foyer.Address{Entry: d.after.ID, Alias: key != current || !takes}}
		removed.Emails = append(removed.Emails, moved)
	}
	removed.Change.Emails = removed.Emails
	return goesOn, removed
}

// takeFields takes over the second's values where the first's yield to them (R8).
func (p *pair) takeFields(d *draft, takesEmail bool) {
	from := p.second.entry
	for f := foyer.Email; f < foyer.NumFields; f++ {
		yields := p.yields(d.after, f)
		if f == foyer.Email {
			if yields = takesEmail; takesEmail {
				old := string(p.policy.key(d.after.Values[f]))
				d.emails = append(d.emails, foyer.EmailChange{Key: old, Before: foyer.Address{Entry: d.after.ID}, After: foyer.Address{Entry: d.after.ID, Alias: true}})
			}
		}
		if from.Values[f] == "" || !yields {
			continue
		}
		origin := from.Origins[f]
		origin.Before = d.after.Values[f]
		d.set(f, from.Values[f], origin)
		if from.Keeps[f].Run != 0 {
			d.keep(f, from.Keeps[f])
		}
	}
}

// yields tells whether the first's value of a field gives way to the second's: an empty one, and a guess to what is none; else one that is not kept
// gives way to the source that owns the second's (R6, R8, R9).
func (p *pair) yields(first *foyer.Entry, f foyer.Field) bool {
	mine, theirs := first.Origins[f], p.second.entry.Origins[f]
	switch {
	case first.Keeps[f].Holds(p.policy.now):
		return false
	case first.Values[f] == "":
		return true
	case theirs.Guess || mine.Guess:
		return !theirs.Guess
	case theirs.Owner == 0:
		return false
	}
	return mine.Owner == 0 || claimOf(p.first.claims, mine.Owner) == nil || p.outranks(theirs.Owner, mine.Owner)
}

func (p *pair) outranks(a, b foyer.SourceID) bool {
	source, other := p.policy.book(a), p.policy.book(b)
	return source != nil && other != nil && source.Outranks(other)
}

// takeMarks takes over sites given by hand, marks and notes.
func (p *pair) takeMarks(d *draft) {
	e, from := d.after, p.second.entry
	e.HandSites = union(e.HandSites, from.HandSites)
	permanent, pinned, notify := e.Permanent || from.Permanent, e.Pinned || from.Pinned, e.Notify|from.Notify
	notes := e.Notes
	if notes != from.Notes && from.Notes != "" {
		notes = joinNotes(notes, from.Notes)
	}
	d.mark(&Edit{Permanent: &permanent, Pinned: &pinned, Notify: &notify, Notes: &notes})
}

func joinNotes(a, b string) string {
	if a == "" {
		return b
	}
	return a + "\n" + b
}

// removal returns what removes an entry, with all that it had in the log. restored says what emails mean after, which are not named mean nobody.
func removal(p *policy, k known, emails []foyer.EmailChange, run foyer.RunID) *store.Write {
	e := k.entry
	c := &foyer.Change{Entry: e.ID, Removed: true, Prev: e.LastRun, Emails: emails, Claims: claimChanges(k.claims, nil)}
	for f, value := range e.Values {
		if value != "" || e.Origins[f].Run != 0 {
			c.Fields = append(c.Fields, foyer.FieldChange{Field: foyer.Field(f), Before: value, From: e.Origins[f]})
		}
		if e.Keeps[f].Run != 0 {
			c.Keeps = append(c.Keeps, foyer.KeepChange{Field: foyer.Field(f), Before: e.Keeps[f]})
		}
	}
	c.Status = &[2]foyer.Status{e.StatusNow(), {}}
	if len(e.Sites) > 0 {
		c.Sites = &[2][]foyer.SiteID{e.Sites, nil}
	}
	if len(e.HandSites) > 0 {
		c.HandSites = &[2][]foyer.SiteID{e.HandSites, nil}
	}
	d := &draft{policy: p, after: e.Clone()}
	no, nothing, none := false, "", foyer.Methods(0)
	d.mark(&Edit{Permanent: &no, Pinned: &no, Notify: &none, Notes: &nothing})
	c.Flags = d.flags
	for _, id := range e.IDs {
		c.IDs = append(c.IDs, foyer.IDChange{Source: id.Source, Before: id.ID})
	}
	w := &store.Write{ID: e.ID, Remove: true, Entry: e, Emails: emails, IDs: c.IDs, Change: c}
	for _, claim := range k.claims {
		w.Claims = append(w.Claims, store.ClaimWrite{Source: claim.source.ID})
	}
	return w
}
