package reconcile

import (
	"context"
	"fmt"
	"slices"

	"foyer"
	"foyer/store"
)

// UndoScope says what of a run is to be undone; the zero scope is all of it.
type UndoScope struct {
	Entry *Name        // this entry only
	Site  foyer.SiteID // those only who are or were at this site
}

// Undoing is what is undone, and how.
type Undoing struct {
	Run foyer.RunID
	UndoScope
	DryRun bool // plan only (R24)
}

// Undo puts back what a run changed, field by field, claims and sites included: what nothing has touched since; the rest is listed in the run's problems with the
// reason. An added entry that nothing touched is removed. The undo is a run of its own, and can be undone. What it puts back of a source's run,
// the source's next run does not do again unnoticed: that is held once (R25). A dry run writes nothing.
//
// foyer.Conflict where the run changed nothing, or is undone already, or is older than its changes are kept.
func Undo(ctx context.Context, s *store.Store, caller foyer.Caller, org foyer.OrgID, what Undoing) (*foyer.Run, error) {
	run := newRun(s, caller, foyer.Undo)
	run.Of = what.Run
	if what.DryRun {
		return run, s.View(ctx, caller, org, func(b *store.Book) error { return tryDelta(undoDelta(b, run, what.UndoScope)) })
	}
	act := store.Act{Org: org, Right: foyer.DecideRuns}
	return run, s.Update(context.WithoutCancel(ctx), caller, act, func(b *store.Book) (*store.Delta, error) { return undoDelta(b, run, what.UndoScope) })
}

// undo is the undoing of one run.
type undo struct {
	b       *store.Book
	policy  *policy
	target  *foyer.Run
	root    *foyer.Run // the act that is undone in the end, besides undos of undos
	undone  bool       // it is undone; else done again
	ends    bool       // what is undone ended a source, or made it go on again; the undo of a part did neither
	run     *foyer.Run
	scope   UndoScope
	entry   foyer.EntryID // of the scope; 0: all
	runs    map[foyer.RunID]*foyer.Run
	left    problems    // what is not put back
	wrote   bool        // something is
	already foyer.RunID // an earlier undo of the target that put something back
	tried   []*foyer.Change
	sites   map[foyer.SiteID]string
}

func undoDelta(b *store.Book, run *foyer.Run, scope UndoScope) (*store.Delta, error) {
	run.Counts, run.Problems = foyer.Counts{}, nil
	u, err := newUndo(b, run, scope)
	if err != nil {
		return nil, err
	}
	delta := &store.Delta{Run: run, Marks: map[foyer.RunID]foyer.RunStatus{}}
	if u.root.Kind == foyer.Sync && u.undone {
		delta.Watch = []store.Watch{{Source: u.root.Source}}
	}
	delta.Writes = func(yield func(*store.Write, error) bool) {
		err := b.ChangeBatches(u.target.ID, func(batch []*foyer.Change) error { return u.putBack(batch, yield) })
		if err != nil {
			if err != errStopped {
				yield(nil, err)
			}
			return
		}
		run.Problems, run.Warnings, run.Tried = u.left.list(), u.left.countWarned, u.tried
		if u.left.countWarned > 0 || scope != (UndoScope{}) {
			return
		}
		if err := u.whole(delta); err != nil {
			yield(nil, err)
		}
	}
	delta.Verdict = func() (*store.Delta, error) { return nil, u.nothing() }
	return delta, nil
}

// whole notes what becomes of other runs and of the source once all of the target is put back: the target is undone, what it undid itself is applied again, and
// so on; the source whose end it was goes on; and what was undone and is done again is not watched any more.
func (u *undo) whole(delta *store.Delta) (err error) {
	status := foyer.Undone
	for run := u.target; ; status = map[foyer.RunStatus]foyer.RunStatus{foyer.Undone: foyer.Applied, foyer.Applied: foyer.Undone}[status] {
		if run.ID != u.target.ID && run.Status == status {
			break
		}
		delta.Marks[run.ID] = status
		if !wasWhole(run) {
			break
		}
		if run, err = u.b.Run(run.Of); err != nil {
			return err
		}
	}
	switch {
	case u.root.Kind == foyer.Sync && !u.undone:
		delta.Watch = append(delta.Watch, store.Watch{Source: u.root.Source, Undo: u.target.ID, Over: true})
	case u.ends:
		delta.End = []store.Ending{{Source: u.root.Source, Ended: !u.undone}}
	}
	return nil
}

// wasWhole tells whether a run is an undo that put back all of what it undid.
func wasWhole(run *foyer.Run) bool {
	return run.Kind == foyer.Undo && run.Message == "" && run.Warnings == 0
}

// nothing refuses an undo that puts nothing back.
func (u *undo) nothing() error {
	switch {
	case u.wrote, u.goesOn() && u.left.countWarned == 0:
		return nil
	case u.already != 0 && u.left.countWarned == 0:
		return foyer.Errorf(foyer.Conflict, "the run %v is undone already, by %v", u.target.ID, u.already)
	case u.left.countWarned > 0:
		return foyer.Errorf(foyer.Conflict, "nothing of the run %v can be put back; the first: %v", u.target.ID, u.left.list()[0])
	}
	return foyer.Errorf(foyer.Conflict, "the run %v changed nothing there", u.target.ID)
}

// findRoot finds the act that is undone in the end, or done again where undoing it is what is undone.
func (u *undo) findRoot() (err error) {
	all := true
	for u.root, u.undone = u.target, true; u.root.Kind == foyer.Undo; u.undone = !u.undone {
		all = all && wasWhole(u.root)
		if u.root, err = u.b.Run(u.root.Of); err != nil {
			return err
		}
	}
	u.ends = all && u.root.Kind == foyer.End
	return nil
}

func newUndo(b *store.Book, run *foyer.Run, scope UndoScope) (*undo, error) {
	target, err := b.Run(run.Of)
	if err != nil {
		return nil, err
	}
	switch target.Status {
	case foyer.Applied:
	case foyer.Undone:
		return nil, foyer.Errorf(foyer.Conflict, "the run %v is undone already", target.ID)
	case foyer.Approved:
		return nil, foyer.Errorf(foyer.Conflict, "the run %v itself changed nothing: it was approved (%s); undo that run", target.ID, target.Hold.Decided)
	default:
		return nil, foyer.Errorf(foyer.Conflict, "the run %v is %s: it changed nothing", target.ID, target.Status)
	}
	p, err := policyOf(b, nil)
	if err != nil {
		return nil, err
	}
	u := &undo{b: b, policy: p, target: target, run: run, scope: scope, runs: map[foyer.RunID]*foyer.Run{}, sites: p.sites.of}
	if err := u.findRoot(); err != nil {
		return nil, err
	}
	if scope.Site != 0 {
		run.Message = fmt.Sprintf("Only for those at %s.", u.sites[scope.Site])
	}
	if scope.Entry != nil {
		e, err := scope.Entry.Find(b)
		if err != nil {
			return nil, err
		}
		u.entry = e.ID
		run.Message = fmt.Sprintf("Only for %v.", e.ID)
	}
	return u, u.check()
}

// check refuses to undo what cannot be: a run without changes, one whose changes are not kept any more, and a join of which an entry was touched since.
func (u *undo) check() error {
	changed := false
	err := u.b.ChangeBatches(u.target.ID, func(batch []*foyer.Change) error {
		changed = true
		if u.target.Kind != foyer.Join && u.target.Kind != foyer.Undo {
			return errStopped
		}
		return u.checkJoin(batch)
	})
	switch {
	case err != nil && err != errStopped:
		return err
	case changed:
		return nil
	case u.target.Added+u.target.Updated+u.target.Disabled+u.target.Enabled+u.target.Removed > 0:
		return foyer.Errorf(foyer.Conflict, "the changes of the run %v are not kept any more: it is too old to be undone", u.target.ID)
	}
	if u.goesOn() {
		return nil
	}
	return foyer.Errorf(foyer.Conflict, "the run %v changed nothing", u.target.ID)
}

// goesOn tells whether the undo makes a source that ended go on, or one that goes on end: that is something, though the source listed nobody.
func (u *undo) goesOn() bool {
	if !u.ends || u.scope != (UndoScope{}) {
		return false
	}
	source := u.b.Source(u.root.Source)
	return source != nil && source.EndedAt.IsZero() == !u.undone // else another end did so already, or the undo of one
}

// checkJoin refuses to part, or to join again, two entries of which one was touched since: half of it would leave a person without an email.
func (u *undo) checkJoin(batch []*foyer.Change) error {
	ids := []foyer.EntryID{}
	for _, c := range batch {
		if c.Joined == 0 {
			continue
		}
		ids = append(ids, c.Entry)
		if why, err := u.mean(c.Emails); err != nil {
			return err
		} else if why != "" {
			return foyer.Errorf(foyer.Conflict, "%v was joined or parted by %v, and %s: undo that first", c.Entry, u.target.ID, why)
		}
	}
	return u.b.Entries(ids, func(e *foyer.Entry) error {
		since, err := u.touchedSince(e)
		if err != nil {
			return err
		}
		for _, by := range since {
			return foyer.Errorf(foyer.Conflict, "%v was changed by %v since it was joined or parted by %v: undo that first", e.ID, by, u.target.ID)
		}
		return nil
	})
}

// putBack puts back some changes.
func (u *undo) putBack(batch []*foyer.Change, yield func(*store.Write, error) bool) error {
	ids := make([]foyer.EntryID, len(batch))
	for i, c := range batch {
		ids[i] = c.Entry
	}
	now := map[foyer.EntryID]*foyer.Entry{}
	err := u.b.Entries(ids, func(e *foyer.Entry) error {
		now[e.ID] = e
		return nil
	})
	if err != nil {
		return err
	}
	for _, c := range batch {
		concerned, err := u.inScope(c, now[c.Entry])
		if err != nil {
			return err
		}
		if !concerned {
			continue
		}
		w, err := u.reverse(c, now[c.Entry])
		if err != nil {
			return err
		}
		if w == nil {
			continue
		}
		tally(&u.run.Counts, w)
		if w.Change != nil {
			u.wrote = true
			u.tried = keepFirst(u.tried, w.Change, maxGravest)
		}
		if !yield(w, nil) {
			return errStopped
		}
	}
	return nil
}

// inScope tells whether the undo is about an entry. Of two that were joined it is about both, if about either: half a join would lose a person.
func (u *undo) inScope(c *foyer.Change, e *foyer.Entry) (bool, error) {
	about, err := u.isAbout(c, e)
	if err != nil || about || c.Joined == 0 {
		return about, err
	}
	other, err := u.b.ChangeOf(u.target.ID, c.Joined)
	if err != nil || other == nil {
		return false, err
	}
	var its *foyer.Entry
	err = u.b.Entries([]foyer.EntryID{c.Joined}, func(e *foyer.Entry) error {
		its = e
		return nil
	})
	if err != nil {
		return false, err
	}
	return u.isAbout(other, its)
}

// isAbout tells whether the undo is about an entry: it is the one asked for, or is or was at the site asked for, now, or when the run changed it.
func (u *undo) isAbout(c *foyer.Change, e *foyer.Entry) (bool, error) {
	if u.entry != 0 && c.Entry != u.entry {
		return false, nil
	}
	site := u.scope.Site
	if site == 0 || e != nil && slices.Contains(e.Sites, site) {
		return true, nil
	}
	if c.Sites != nil || e == nil {
		return c.Sites != nil && (slices.Contains(c.Sites[0], site) || slices.Contains(c.Sites[1], site)), nil
	}
	then := e.Sites
	err := u.since(e, func(_ foyer.RunID, c *foyer.Change) error {
		if c.Sites != nil {
			then = c.Sites[0]
		}
		return nil
	})
	return slices.Contains(then, site), err
}

// since calls yield for each change of an entry after the target, the newest first.
func (u *undo) since(e *foyer.Entry, yield func(foyer.RunID, *foyer.Change) error) error {
	for id := e.LastRun; id > u.target.ID; {
		c, err := u.b.ChangeOf(id, e.ID)
		if err != nil {
			return err
		}
		if c == nil {
			return fmt.Errorf("the log has no change of %v by %v", e.ID, id)
		}
		if err := yield(id, c); err != nil {
			return err
		}
		id = c.Prev
	}
	return nil
}

// leave lists something that is not put back.
func (u *undo) leave(c *foyer.Change, e *foyer.Entry, what, why string) {
	who := c.Entry.String()
	if e != nil {
		who = e.Values[foyer.Email] + " (" + who + ")"
	}
	u.left.add(foyer.Problem{Column: what, Value: who, Message: "not put back: " + why})
}

// reverse returns what puts one change back; nil where there is nothing to be written. e is the entry as it is now; nil: it is not there.
func (u *undo) reverse(c *foyer.Change, e *foyer.Entry) (*store.Write, error) {
	switch {
	case c.Removed && e != nil:
		return nil, u.leaveAsIs(c, e, "it is there again")
	case c.Removed:
		return u.bringBack(c)
	case e == nil:
		return nil, u.leaveAsIs(c, nil, "it is not there any more")
	}
	k, err := knownOf(u.b, e)
	if err != nil {
		return nil, err
	}
	since, err := u.touchedSince(e)
	if err != nil {
		return nil, err
	}
	if c.Added {
		return u.takeBack(c, k, since)
	}
	return u.restore(c, k, since)
}

// leaveAsIs lists an entry that is not as the target left it, there or not, unless earlier undos of the target put back what it did: then it is as it should be.
func (u *undo) leaveAsIs(c *foyer.Change, e *foyer.Entry, why string) error {
	undos, err := u.b.UndosOf(u.target.ID)
	if err != nil {
		return err
	}
	open := touched{}
	u.aspects(c, func(aspect string) { open[aspect] = u.target.ID })
	for _, undo := range undos {
		back, err := u.b.ChangeOf(undo, c.Entry)
		if err != nil {
			return err
		}
		if back == nil {
			continue
		}
		u.aspects(back, func(aspect string) { delete(open, aspect) })
		if back.Removed == (e == nil) && (back.Removed || back.Added) || e == nil && !c.Added && len(open) == 0 {
			u.already = undo
			return nil
		}
	}
	u.leave(c, e, "entry", why)
	return nil
}

// takeBack removes an added entry that nothing touched since.
func (u *undo) takeBack(c *foyer.Change, k known, since touched) (*store.Write, error) {
	if len(since) > 0 {
		u.leave(c, k.entry, "entry", fmt.Sprintf("it was added, and changed by %v since", k.entry.LastRun))
		return nil, nil
	}
	aliases, err := u.b.Aliases(k.entry.ID)
	if err != nil {
		return nil, err
	}
	current := string(u.policy.key(k.entry.Values[foyer.Email]))
	var emails []foyer.EmailChange
	for _, key := range append([]string{current}, aliases...) {
		change := foyer.EmailChange{Key: key, Before: foyer.Address{Entry: k.entry.ID, Alias: key != current}}
		for _, was := range c.Emails {
			if was.Key == key {
				change.After, err = u.stillThere(was.Before)
			}
		}
		if err != nil {
			return nil, err
		}
		emails = append(emails, change)
	}
	w := removal(u.policy, k, emails, u.run.ID)
	w.Change.Joined = c.Joined
	return w, nil
}

// stillThere returns what an email meant, nobody where that entry is gone.
func (u *undo) stillThere(a foyer.Address) (foyer.Address, error) {
	if a.Entry == 0 {
		return a, nil
	}
	found := foyer.Address{}
	return found, u.b.Entries([]foyer.EntryID{a.Entry}, func(e *foyer.Entry) error {
		found = a
		return nil
	})
}

// bringBack makes a removed entry again.
func (u *undo) bringBack(c *foyer.Change) (*store.Write, error) {
	free, err := u.mean(c.Emails)
	if err != nil {
		return nil, err
	}
	if forgot(c) {
		free = erasedEmail
	}
	if free != "" {
		u.leave(c, nil, "entry", free)
		return nil, nil
	}
	d := &draft{policy: u.policy, run: u.run.ID, forget: true, joined: c.Joined, after: &foyer.Entry{ID: c.Entry, Enabled: true}}
	w, err := u.finish(d, c, touched{})
	if err == nil {
		w.Change.Prev = u.target.ID
	}
	return w, err
}

// mean returns why emails cannot mean again what they meant; "" where they can.
func (u *undo) mean(emails []foyer.EmailChange) (why string, err error) {
	now := map[string]foyer.Address{}
	var keys []string
	for _, e := range emails {
		keys = append(keys, e.Key)
	}
	if err := u.b.Addresses(keys, func(key string, a foyer.Address) { now[key] = a }); err != nil {
		return "", err
	}
	for _, e := range emails {
		if now[e.Key] != e.After {
			return fmt.Sprintf("the email %s means %v by now", e.Key, now[e.Key].Entry), nil
		}
	}
	return "", nil
}

// erasedEmail says why an email is not put back that is in the log no more.
const erasedEmail = "the email before was that of somebody who was erased"

// forgot tells whether the log does not say any more which email an entry had before (R28).
func forgot(c *foyer.Change) bool {
	return slices.ContainsFunc(c.Fields, func(f foyer.FieldChange) bool { return f.Field == foyer.Email && f.Before == "" })
}

// restore puts back what a run changed of an entry that it neither added nor removed.
func (u *undo) restore(c *foyer.Change, k known, since touched) (*store.Write, error) {
	free, err := u.mean(c.Emails)
	if err != nil {
		return nil, err
	}
	if _, changed := since["email"]; free == "" && !changed && forgot(c) {
		free = erasedEmail
	}
	if free != "" {
		u.leave(c, k.entry, "email", free)
		since["email"] = u.target.ID
	}
	d := u.policy.draftOf(k, u.run.ID)
	d.forget, d.joined = true, c.Joined
	return u.finish(d, c, since)
}
