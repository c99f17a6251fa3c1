package reconcile

import (
	"slices"

	"foyer"
	"foyer/match"
	"foyer/store"
)

// draft is an entry while it is decided what becomes of it.
type draft struct {
	policy   *policy
	run      foyer.RunID
	before   *foyer.Entry // nil: it is new
	after    *foyer.Entry
	had      *foyer.Claim // the source's claim before; nil: none
	claim    *foyer.Claim // and after
	others   []claimOn    // the claims of other sources
	fields   []foyer.FieldChange
	flags    []foyer.FlagChange
	forget   bool // every claim's row is to be looked at again (R17)
	named    bool // a name changed
	line     int
	problems []foyer.Problem
}

func (d *draft) othersClaim() bool { return len(d.others) > 0 }

// merge stores what a listing says, field by field (R4, R5, R8, R9).
func (d *draft) merge(l *listing) {
	values := &l.record.Values
	if !l.alias {
		d.submit(foyer.Email, values[foyer.Email])
	}
	// Names come before the display name, which is compared with them where it is empty.
	d.submit(foyer.FirstName, values[foyer.FirstName])
	d.submit(foyer.LastName, values[foyer.LastName])
	d.submit(foyer.DisplayName, values[foyer.DisplayName])
	for f := foyer.Title; f < foyer.NumFields; f++ {
		d.submit(f, values[f])
	}
	display := values[foyer.DisplayName]
	isFirstAndLast := d.after.Values[foyer.DisplayName] == "" && d.same(foyer.DisplayName, display)
	if display != "" && !isFirstAndLast { // else a guess could only undo what it was compared with
		first, last := match.SplitName(display)
		if values[foyer.FirstName] == "" {
			d.guess(foyer.FirstName, first)
		}
		if values[foyer.LastName] == "" {
			d.guess(foyer.LastName, last)
		}
	}
	d.normalise(values)
}

// submit stores a value of the source in a field that it may replace.
func (d *draft) submit(f foyer.Field, value string) {
	if value == "" || !d.mayReplace(f) {
		return
	}
	from := d.after.Origins[f]
	source := d.policy.source.ID
	if d.same(f, value) {
		if d.after.Values[f] != "" && (from.Owner != source || from.Guess) {
			d.set(f, d.after.Values[f], foyer.Origin{Owner: source, Run: from.Run, Before: from.Before})
		}
		return
	}
	if match.Mangled(value) {
		d.warn(f, value, `holds a "?" where a letter was lost: export the file as UTF-8 (Export-Csv -Encoding UTF8)`)
	}
	d.set(f, value, foyer.Origin{Owner: source, Run: d.run, Before: d.after.Values[f]})
}

// guess stores a part of a split display name where there is nothing, or an earlier guess of the same source (R9).
func (d *draft) guess(f foyer.Field, value string) {
	now, from := d.after.Values[f], d.after.Origins[f]
	source := d.policy.source.ID
	if value == "" || now != "" && (!from.Guess || from.Owner != source || d.same(f, value)) {
		return
	}
	d.set(f, value, foyer.Origin{Owner: source, Run: d.run, Guess: true, Before: now})
}

// mayReplace tells whether the source may replace a field: as its owner, above its owner, or after an owner that no longer claims
// the entry. What no source owns yields to any, and a guess is nobody's word (R8, R9).
func (d *draft) mayReplace(f foyer.Field) bool {
	from := d.after.Origins[f]
	source := d.policy.source
	if from.Owner == 0 || from.Owner == source.ID || from.Guess || d.before == nil || !d.before.Claimed(from.Owner) {
		return true
	}
	owner := d.policy.book(from.Owner)
	return owner == nil || source.Outranks(owner)
}

// same tells whether a submitted value counts as equal to the stored one (R9).
func (d *draft) same(f foyer.Field, value string) bool {
	stored := d.after.Values[f]
	if f == foyer.DisplayName && stored == "" {
		stored = d.after.FullName()
	}
	return stored != "" && match.SameASCII(stored, value)
}

func (d *draft) set(f foyer.Field, value string, origin foyer.Origin) {
	d.fields = append(d.fields, foyer.FieldChange{Field: f, Before: d.after.Values[f], After: value, From: d.after.Origins[f], Owner: origin.Owner})
	d.named = d.named || value != d.after.Values[f] && (f == foyer.FirstName || f == foyer.LastName || f == foyer.DisplayName)
	d.after.Values[f], d.after.Origins[f] = value, origin
}

// normalise keeps E.164 beside the phone numbers, and warns of a number submitted that cannot be one.
func (d *draft) normalise(submitted *[foyer.NumFields]string) {
	for i, f := range []foyer.Field{foyer.Mobile, foyer.DeskPhone} {
		value, ok := d.after.Values[f], true
		d.after.E164[i] = ""
		if value != "" {
			d.after.E164[i], ok = d.policy.phones.E164(value)
		}
		if submitted != nil && submitted[f] != value {
			value, ok = submitted[f], true
			if value != "" {
				_, ok = d.policy.phones.E164(value)
			}
		}
		if submitted != nil && !ok {
			d.warn(f, value, "is no phone number; it is stored as given, but cannot be called or texted")
		}
	}
}

func (d *draft) warn(f foyer.Field, value, message string) {
	d.problems = append(d.problems, foyer.Problem{Line: d.line, Column: f.Label(), Value: value, Message: message})
}

// settle decides status and sites from the claims (R12, R13) and returns what is to be written; nil where nothing is.
func (d *draft) settle() *store.Write {
	d.count()
	if d.claim != nil && len(d.problems) > 0 {
		d.claim.Hash = foyer.Hash{} // the warning is to be given again next time
	}
	w := &store.Write{ID: d.after.ID, Claims: d.claimWrites()}
	c := d.change()
	if !c.Empty() {
		w.Change, d.after.LastRun = c, d.run
		w.Entry = d.after
	} else if d.after.E164 != d.before.E164 {
		w.Entry = d.after
	}
	if w.Entry == nil && len(w.Claims) == 0 {
		return nil
	}
	return w
}

// count sets who claims the entry, and its status and sites accordingly.
func (d *draft) count() {
	e := d.after
	e.ClaimedBy = e.ClaimedBy[:0:0]
	var sites []foyer.SiteID
	var decides *claimOn // of the sources that list the entry the one of highest priority (R13)
	mine := claimOn{d.policy.source, d.claim}
	for _, c := range append(slices.Clone(d.others), mine) {
		if c.claim == nil {
			continue
		}
		e.ClaimedBy = append(e.ClaimedBy, c.source.ID)
		sites = union(sites, c.claim.Sites)
		if decides == nil || c.source.Outranks(decides.source) {
			decides = &c
		}
	}
	slices.Sort(e.ClaimedBy)
	if decides != nil && d.policy.source != nil && e.Reason != foyer.ByHand {
		e.Enabled, e.Reason = true, foyer.NotDisabled
		if decides.claim.Disabled {
			e.Enabled, e.Reason = false, foyer.BySource
		}
	}
	if e.Enabled || decides != nil {
		e.Sites = union(sites, e.HandSites)
	}
}

// claimWrites returns what becomes of the claims. A claim that comes or goes clears the others' hashes, and so does a name that changes: what
// another source's display name is compared with changed with it (R17).
func (d *draft) claimWrites() (writes []store.ClaimWrite) {
	cameOrWent := (d.had == nil) != (d.claim == nil)
	if cameOrWent || d.claim != nil && (!d.claim.Same(d.had) || d.claim.Hash != d.had.Hash) {
		writes = append(writes, store.ClaimWrite{Source: d.policy.source.ID, Claim: d.claim})
	}
	if cameOrWent || d.forget || d.named {
		for _, c := range d.others {
			writes = append(writes, store.ClaimWrite{Source: c.source.ID, Forget: true})
		}
	}
	return writes
}

// change returns the difference for the log.
func (d *draft) change() *foyer.Change {
	c := &foyer.Change{Entry: d.after.ID, Fields: d.fields, Flags: d.flags}
	before := d.before
	if before == nil {
		c.Added = true
		before = &foyer.Entry{}
	}
	c.Prev = before.LastRun
	was, is := foyer.Status{Enabled: before.Enabled, Reason: before.Reason}, foyer.Status{Enabled: d.after.Enabled, Reason: d.after.Reason}
	if was != is {
		c.Status = &[2]foyer.Status{was, is}
	}
	if !slices.Equal(before.Sites, d.after.Sites) {
		c.Sites = &[2][]foyer.SiteID{before.Sites, d.after.Sites}
	}
	if !slices.Equal(before.HandSites, d.after.HandSites) {
		c.HandSites = &[2][]foyer.SiteID{before.HandSites, d.after.HandSites}
	}
	if d.policy.source != nil && !d.claim.Same(d.had) {
		c.Claims = []foyer.ClaimChange{{Source: d.policy.source.ID, Before: d.had, After: d.claim}}
	}
	return c
}
