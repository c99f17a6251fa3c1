package reconcile

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"foyer"
	"foyer/store"
)

// UndoScope says what of a run is to be undone; the zero scope is all of it.
type UndoScope struct {
	Entry *Name        // this entry only
	Site  foyer.SiteID // those only who are or were at this site
}

// Undo puts back what a run changed, field by field, claims and sites included: what nothing has touched since; the rest is listed in the run's problems with the
// reason. An added entry that nothing touched is removed. The undo is a run of its own, and can be undone. What it puts back of a source's run,
// the source's next run does not do again unnoticed: that is held once (R25). With dry nothing is written.
//
// foyer.Conflict where the run changed nothing, or is undone already, or is older than its changes are kept.
func Undo(ctx context.Context, s *store.Store, caller foyer.Caller, org foyer.OrgID, id foyer.RunID, scope UndoScope, dry bool) (*foyer.Run, error) {
	run := newRun(s, caller, foyer.Undo)
	run.Of = id
	if dry {
		return run, s.View(ctx, caller, org, func(b *store.Book) error { return tryDelta(undoDelta(b, run, scope)) })
	}
	act := store.Act{Org: org, Right: foyer.DecideRuns}
	return run, s.Update(context.WithoutCancel(ctx), caller, act, func(b *store.Book) (*store.Delta, error) { return undoDelta(b, run, scope) })
}

// undo is the undoing of one run.
type undo struct {
	b      *store.Book
	policy *policy
	target *foyer.Run
	root   *foyer.Run // the act that is undone in the end, besides undos of undos
	undone bool       // it is undone; else done again
	run    *foyer.Run
	scope  UndoScope
	entry  foyer.EntryID // of the scope; 0: all
	runs   map[foyer.RunID]*foyer.Run
	left   problems // what is not put back
	wrote  bool     // something is
	tried  []*foyer.Change
	sites  map[foyer.SiteID]string
}

func undoDelta(b *store.Book, run *foyer.Run, scope UndoScope) (*store.Delta, error) {
	run.Counts, run.Problems = foyer.Counts{}, nil
	u, err := newUndo(b, run, scope)
	if err != nil {
		return nil, err
	}
	delta := &store.Delta{Run: run, Marks: map[foyer.RunID]foyer.RunStatus{}}
	switch {
	case u.root.Kind == foyer.Sync && u.undone:
		delta.Watch = []store.Watch{{Source: u.root.Source}}
	case u.root.Kind == foyer.Sync:
		delta.Watch = []store.Watch{{Source: u.root.Source, Undo: u.target.ID, Over: true}}
	case u.root.Kind == foyer.End:
		delta.End = []store.Ending{{Source: u.root.Source, Ended: !u.undone}}
	}
	var undid *foyer.Run // the run that the target undid
	if u.target.Kind == foyer.Undo {
		if undid, err = b.Run(u.target.Of); err != nil {
			return nil, err
		}
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
		delta.Marks[u.target.ID] = foyer.Undone
		if undid != nil && undid.Status == foyer.Undone {
			delta.Marks[undid.ID] = foyer.Applied
		}
	}
	delta.Verdict = func() (*store.Delta, error) { return nil, u.nothing() }
	return delta, nil
}

// nothing refuses an undo that puts nothing back.
func (u *undo) nothing() error {
	switch {
	case u.wrote:
		return nil
	case u.left.countWarned > 0:
		return foyer.Errorf(foyer.Conflict, "nothing of the run %v can be put back; the first: %v", u.target.ID, u.left.list()[0])
	}
	return foyer.Errorf(foyer.Conflict, "the run %v changed nothing there", u.target.ID)
}

// findRoot finds the act that is undone in the end, or done again where undoing it is what is undone.
func (u *undo) findRoot() (err error) {
	for u.root, u.undone = u.target, true; u.root.Kind == foyer.Undo; u.undone = !u.undone {
		if u.root, err = u.b.Run(u.root.Of); err != nil {
			return err
		}
	}
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
	return foyer.Errorf(foyer.Conflict, "the run %v changed nothing", u.target.ID)
}

// checkJoin refuses to part, or to join again, two entries of which one was touched since: half of it would leave a person without an email.
func (u *undo) checkJoin(batch []*foyer.Change) error {
	ids := []foyer.EntryID{}
	for _, c := range batch {
		if c.Joined != 0 {
			ids = append(ids, c.Entry)
		}
	}
	return u.b.Entries(ids, func(e *foyer.Entry) error {
		since, err := u.touchedSince(e)
		if err != nil {
			return err
		}
		for _, by := range since {
			return foyer.Errorf(foyer.Conflict, "%v was changed by %v since it was joined by %v: undo that first", e.ID, by, u.target.ID)
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

// inScope tells whether the undo is about an entry: it is the one asked for, or is or was at the site asked for, now, or when the run changed it.
func (u *undo) inScope(c *foyer.Change, e *foyer.Entry) (bool, error) {
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
		u.leave(c, e, "entry", "it is there again")
		return nil, nil
	case c.Removed:
		return u.bringBack(c)
	case e == nil:
		u.leave(c, nil, "entry", "it is not there any more")
		return nil, nil
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
	return removal(u.policy, k, emails, u.run.ID), nil
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
	if free != "" {
		u.leave(c, nil, "entry", free)
		return nil, nil
	}
	d := &draft{policy: u.policy, run: u.run.ID, forget: true, after: &foyer.Entry{ID: c.Entry, Enabled: true}}
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

// restore puts back what a run changed of an entry that it neither added nor removed.
func (u *undo) restore(c *foyer.Change, k known, since touched) (*store.Write, error) {
	if free, err := u.mean(c.Emails); err != nil {
		return nil, err
	} else if free != "" {
		u.leave(c, k.entry, "email", free)
		since["email"] = u.target.ID
	}
	d := u.policy.draftOf(k, u.run.ID)
	d.forget = true
	return u.finish(d, c, since)
}

// finish puts the aspects of a change back that nothing touched since.
func (u *undo) finish(d *draft, c *foyer.Change, since touched) (*store.Write, error) {
	e := d.after
	untouched := func(aspect string, same bool) bool {
		by, changed := since[aspect]
		switch {
		case changed && by == u.target.ID: // what is wrong with it was said
		case changed && u.runs[by] != nil && u.runs[by].Of == u.target.ID:
			u.leave(c, e, aspectName(aspect), fmt.Sprintf("%v put it back already", by))
		case changed:
			u.leave(c, e, aspectName(aspect), fmt.Sprintf("%v changed it since", by))
		case !same:
			u.leave(c, e, aspectName(aspect), "it is something else by now")
		default:
			return true
		}
		return false
	}
	for _, f := range c.Fields {
		if untouched(aspectOf(f.Field), c.Removed || e.Values[f.Field] == f.After && e.Origins[f.Field].Owner == f.Owner) {
			d.set(f.Field, f.Before, f.From)
		}
	}
	if _, changed := since["email"]; !changed {
		for _, m := range c.Emails {
			was, err := u.stillThere(m.Before)
			if err != nil {
				return nil, err
			}
			if m.Before.Entry == c.Entry {
				was = m.Before
			}
			d.emails = append(d.emails, foyer.EmailChange{Key: m.Key, Before: m.After, After: was})
		}
	}
	if c.HandSites != nil && untouched("sites given by hand", c.Removed || slices.Equal(e.HandSites, c.HandSites[1])) {
		e.HandSites = c.HandSites[0]
	}
	u.restoreMarks(d, c, untouched)
	if err := u.restoreIDs(d, c, untouched); err != nil {
		return nil, err
	}
	u.restoreClaims(d, c, untouched)
	u.restoreStatus(d, c, untouched)
	d.normalise(nil)
	return d.finish(), nil
}

func (u *undo) restoreMarks(d *draft, c *foyer.Change, untouched func(string, bool) bool) {
	now := map[string]string{"permanent": fmt.Sprint(d.after.Permanent), "pinned": fmt.Sprint(d.after.Pinned), "notify": d.after.Notify.String(), "notes": d.after.Notes}
	edit := &Edit{}
	for _, f := range c.Flags {
		if !untouched(f.Name, c.Removed || now[f.Name] == f.After) {
			continue
		}
		yes := f.Before == "true"
		switch f.Name {
		case "permanent":
			edit.Permanent = &yes
		case "pinned":
			edit.Pinned = &yes
		case "notify":
			set, _ := foyer.ParseMethods(f.Before)
			edit.Notify = &set
		case "notes":
			edit.Notes = &f.Before
		}
	}
	d.mark(edit)
	for _, k := range c.Keeps {
		if untouched("keep:"+k.Field.Label(), c.Removed || d.after.Keeps[k.Field] == k.After) {
			d.keep(k.Field, k.Before)
		}
	}
}

func (u *undo) restoreIDs(d *draft, c *foyer.Change, untouched func(string, bool) bool) error {
	for _, id := range c.IDs {
		same := d.after.KnownAs(id.Source) == id.After
		taken := foyer.EntryID(0)
		if id.Before != "" {
			err := u.b.EntryOfID(id.Source, []string{id.Before}, func(_ string, entry foyer.EntryID) { taken = entry })
			if err != nil {
				return err
			}
		}
		if taken != 0 && taken != c.Entry {
			moved, err := u.movesBack(taken, id)
			if err != nil {
				return err
			}
			same = same && moved
		}
		if untouched(fmt.Sprintf("id:%v", id.Source), same) {
			d.know(id.Source, id.Before)
		}
	}
	return nil
}

// movesBack tells whether this undo takes an id away from the entry that has it now.
func (u *undo) movesBack(entry foyer.EntryID, id foyer.IDChange) (bool, error) {
	c, err := u.b.ChangeOf(u.target.ID, entry)
	if err != nil || c == nil {
		return false, err
	}
	e, err := u.b.FindEntry(entry, "")
	if err != nil {
		return false, err
	}
	if concerned, err := u.inScope(c, e); err != nil || !concerned {
		return false, err
	}
	since, err := u.touchedSince(e)
	if err != nil {
		return false, err
	}
	if _, touched := since[fmt.Sprintf("id:%v", id.Source)]; touched || c.Added && len(since) > 0 {
		return false, nil // it stays there
	}
	return slices.ContainsFunc(c.IDs, func(x foyer.IDChange) bool { return x.Source == id.Source && x.After == id.Before }), nil
}

func (u *undo) restoreClaims(d *draft, c *foyer.Change, untouched func(string, bool) bool) {
	for _, claim := range c.Claims {
		source := u.b.Source(claim.Source)
		now := claimOf(d.has, claim.Source)
		if source == nil || !untouched("claim:"+source.Name, c.Removed || now.Same(claim.After)) {
			continue
		}
		if claim.Before != nil && !source.EndedAt.IsZero() && !(u.root.Kind == foyer.End && u.undone) {
			u.leave(c, d.after, "listed by "+source.Name, "the source has ended")
			continue
		}
		d.setClaim(source, claim.Before) // without a hash: its row is looked at again (R17)
	}
}

// restoreStatus puts back the status, within what the claims say now, and the sites.
func (u *undo) restoreStatus(d *draft, c *foyer.Change, untouched func(string, bool) bool) {
	e := d.after
	if c.Status != nil && untouched("status", c.Removed || e.StatusNow() == c.Status[1]) {
		e.Enabled, e.Reason = c.Status[0].Enabled, c.Status[0].Reason
	}
	decides := d.count()
	if decides != nil {
		d.follow(decides)
	}
	d.place(decides != nil)
	if c.Sites != nil && !e.Enabled && decides == nil && (c.Removed || slices.Equal(e.Sites, c.Sites[1])) {
		e.Sites = c.Sites[0] // its last
	}
}

// touched says of each aspect of an entry which run changed it since.
type touched map[string]foyer.RunID

func aspectOf(f foyer.Field) string {
	if f == foyer.Email {
		return "email"
	}
	return "field:" + f.Label()
}

// aspectName is what an aspect is called to a person.
func aspectName(aspect string) string {
	what, of, _ := strings.Cut(aspect, ":")
	switch what {
	case "field":
		return of
	case "claim":
		return "listed by " + of
	case "keep":
		return "kept " + of
	case "id":
		return "id of " + of
	}
	return aspect
}

// aspects calls yield with the name of each aspect that a change is about. sources names sources.
func (u *undo) aspects(c *foyer.Change, yield func(string)) {
	for _, f := range c.Fields {
		yield(aspectOf(f.Field))
	}
	if len(c.Emails) > 0 {
		yield("email")
	}
	if c.Status != nil {
		yield("status")
	}
	if c.HandSites != nil {
		yield("sites given by hand")
	}
	for _, f := range c.Flags {
		yield(f.Name)
	}
	for _, k := range c.Keeps {
		yield("keep:" + k.Field.Label())
	}
	for _, id := range c.IDs {
		yield(fmt.Sprintf("id:%v", id.Source))
	}
	for _, claim := range c.Claims {
		if source := u.b.Source(claim.Source); source != nil {
			yield("claim:" + source.Name)
		}
	}
}

// touchedSince returns what was changed of an entry after the target, besides what undos put back again.
func (u *undo) touchedSince(e *foyer.Entry) (touched, error) {
	since := touched{}
	undone := map[foyer.RunID]touched{} // of later runs, which aspects a still later undo put back
	err := u.since(e, func(id foyer.RunID, c *foyer.Change) error {
		run, err := u.runOf(id)
		if err != nil {
			return err
		}
		u.aspects(c, func(aspect string) {
			if _, ok := undone[id][aspect]; ok {
				return
			}
			if run.Kind != foyer.Undo || run.Of <= u.target.ID {
				if _, later := since[aspect]; !later {
					since[aspect] = id
				}
				return
			}
			if undone[run.Of] == nil {
				undone[run.Of] = touched{}
			}
			undone[run.Of][aspect] = id
		})
		return nil
	})
	return since, err
}

func (u *undo) runOf(id foyer.RunID) (*foyer.Run, error) {
	if u.runs[id] == nil {
		run, err := u.b.Run(id)
		if err != nil {
			return nil, err
		}
		u.runs[id] = run
	}
	return u.runs[id], nil
}
