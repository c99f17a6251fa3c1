package reconcile

import (
	"fmt"
	"slices"

	"foyer"
	"foyer/store"
)

// finish puts the aspects of a change back that nothing touched since.
func (u *undo) finish(d *draft, c *foyer.Change, since touched) (*store.Write, error) {
	e := d.after
	untouched := func(aspect string, same bool) bool {
		by, changed := since[aspect]
		switch {
		case changed && by == u.target.ID: // what is wrong with it was said
		case changed && u.runs[by] != nil && u.runs[by].Of == u.target.ID:
			u.already = by // it is as this undo would have it
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
	u.restoreClaims(d, c, since, untouched)
	u.restoreStatus(d, c, since, untouched)
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
		before := k.Before
		if before.Ended(u.policy.now) {
			before = foyer.Keep{}
		}
		if k.After.Ended(u.policy.now) || before == k.After {
			continue // there is nothing to put back
		}
		if untouched("keep:"+k.Field.Label(), c.Removed || d.after.Keeps[k.Field] == k.After) {
			d.keep(k.Field, before)
		}
	}
}

func (u *undo) restoreIDs(d *draft, c *foyer.Change, untouched func(string, bool) bool) error {
	for _, id := range c.IDs {
		free, err := u.isFree(id, c.Entry, map[foyer.EntryID]bool{c.Entry: true})
		if err != nil {
			return err
		}
		if untouched(fmt.Sprintf("id:%v", id.Source), free && d.after.KnownAs(id.Source) == id.After) {
			d.know(id.Source, id.Before)
		}
	}
	return nil
}

// isFree tells whether an entry can have again the id that it had: nobody has it now, or this undo takes it away from who has. on are those that wait
// for one another.
func (u *undo) isFree(id foyer.IDChange, entry foyer.EntryID, on map[foyer.EntryID]bool) (bool, error) {
	if id.Before == "" {
		return true, nil
	}
	taken := entry
	if err := u.b.EntryOfID(id.Source, []string{id.Before}, func(_ string, by foyer.EntryID) { taken = by }); err != nil || taken == entry {
		return true, err
	}
	return u.movesBack(taken, id, on)
}

// movesBack tells whether this undo takes an id away from the entry that has it now: it does where the one that this entry had before is free, or
// where they have exchanged theirs.
func (u *undo) movesBack(entry foyer.EntryID, id foyer.IDChange, on map[foyer.EntryID]bool) (bool, error) {
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
	at := slices.IndexFunc(c.IDs, func(x foyer.IDChange) bool { return x.Source == id.Source && x.After == id.Before })
	if at < 0 || on[entry] {
		return at >= 0, nil
	}
	on[entry] = true
	return u.isFree(c.IDs[at], entry, on)
}

// restoreClaims puts the claims back, but for those of ended sources: then the status stays too, since it would be that of somebody who is listed.
func (u *undo) restoreClaims(d *draft, c *foyer.Change, since touched, untouched func(string, bool) bool) {
	for _, claim := range c.Claims {
		source := u.b.Source(claim.Source)
		now := claimOf(d.has, claim.Source)
		if source == nil || !untouched("claim:"+source.Name, c.Removed || now.Same(claim.After)) {
			continue
		}
		if claim.Before != nil && !source.EndedAt.IsZero() && !(u.root.Kind == foyer.End && u.undone) {
			u.leave(c, d.after, "listed by "+source.Name, "the source has ended")
			since["claim:"+source.Name], since["status"] = u.target.ID, u.target.ID // it is said
			continue
		}
		d.setClaim(source, claim.Before) // without a hash: its row is looked at again (R17)
	}
}

// restoreStatus puts back the status and the sites. Where the entry was claimed otherwise then than it is now, the claims decide, as after a sync (R13); else
// the status is what it was, also where a person enabled the entry against its sources.
func (u *undo) restoreStatus(d *draft, c *foyer.Change, since touched, untouched func(string, bool) bool) {
	e := d.after
	before := e.StatusNow()
	if c.Status != nil && untouched("status", c.Removed || before == c.Status[1]) {
		e.Enabled, e.Reason = c.Status[0].Enabled, c.Status[0].Reason
	}
	decides := d.count()
	if decides != nil && since.claims() && (e.StatusNow() != before || len(claimChanges(d.had, d.has)) > 0) {
		d.follow(decides)
	}
	d.place(decides != nil)
	if c.Sites != nil && !e.Enabled && decides == nil && (c.Removed || slices.Equal(e.Sites, c.Sites[1])) {
		e.Sites = c.Sites[0] // its last
	}
}
