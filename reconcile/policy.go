package reconcile

import (
	"slices"
	"time"

	"foyer"
	"foyer/match"
	"foyer/phone"
	"foyer/store"
)

// policy is what decides the outcome of a source's rows besides the rows. What it says of an entry depends on its arguments alone.
type policy struct {
	source *foyer.Source // nil: a person acts
	book   func(foyer.SourceID) *foyer.Source
	sites  *siteNames
	phones *phone.Numbers
	now    time.Time
	erased *store.Erased // who must not come back (R28); nil: a person acts
}

// key returns the key of an email that is in the book, and so has one.
func (p *policy) key(email string) match.Key {
	key, _ := match.Email(email)
	return key
}

// listing is what a source says about one person in one delivery: one row, or the rows of one email made one (R16).
type listing struct {
	key     string // the email's key (R1)
	record  foyer.Record
	sites   []foyer.SiteID  // the sites that it names; none: it says nothing of sites
	partial bool            // a row of this person had an error: what it would have said of sites is unknown
	alias   bool            // the email is an earlier one of the entry
	byID    bool            // the entry is the one that the source knows by the row's id: its email changes (R2)
	meant   foyer.Address   // what the email meant, where it is to mean the entry from now on
	found   []foyer.Problem // what was found out about the listing before the entry was known
	hash    foyer.Hash      // zero: to be looked at again next time
	line    int
}

// known is an entry as it is, with the claims on it.
type known struct {
	entry  *foyer.Entry
	claims []claimOn // by ascending source
	lostID string    // an id that another entry takes over (R2)
}

// claimOn is one source's claim on an entry.
type claimOn struct {
	source *foyer.Source
	claim  *foyer.Claim
}

// newcomer is memory for one new entry after another: half of what a first load takes otherwise.
type newcomer struct {
	draft  draft
	entry  foyer.Entry
	fields [foyer.NumFields]foyer.FieldChange
}

// add returns the new entry that a listing makes (R10). It is in the memory of n.
func (p *policy) add(n *newcomer, id foyer.EntryID, l *listing, run foyer.RunID) (*store.Write, []foyer.Problem) {
	n.entry = foyer.Entry{ID: id, Enabled: true}
	n.draft = draft{policy: p, run: run, line: l.line, after: &n.entry, problems: l.found, fields: n.fields[:0]}
	d := &n.draft
	d.merge(l)
	if l.meant.Entry != 0 {
		d.emails = append(d.emails, foyer.EmailChange{Key: l.key, Before: l.meant, After: foyer.Address{Entry: id}})
	}
	d.has = []claimOn{{p.source, p.claimFrom(nil, l)}}
	w := d.settle()
	if len(d.emails) == 0 {
		w.Key = l.key
	}
	return w, d.problems
}

// list returns what a listing makes of an entry that it names; nil where nothing is to be written.
func (p *policy) list(k known, l *listing, run foyer.RunID) (*store.Write, []foyer.Problem) {
	d := p.draftOf(k, run)
	d.line, d.problems = l.line, l.found
	d.merge(l)
	d.setClaim(p.source, p.claimFrom(claimOf(d.had, p.source.ID), l))
	return d.settle(), d.problems
}

// claimFrom returns the claim that a listing makes. Empty says nothing: sites and enabled stay as they were claimed (R5).
func (p *policy) claimFrom(before *foyer.Claim, l *listing) *foyer.Claim {
	c := &foyer.Claim{Hash: l.hash}
	if l.alias {
		c.Hash = foyer.Hash{} // whom an earlier email means depends on other rows and entries: it is looked at every time (R17)
	}
	if before != nil {
		c.Disabled, c.Sites = before.Disabled, before.Sites
	}
	if l.record.Enabled != foyer.Unsaid {
		c.Disabled = l.record.Enabled == foyer.No
	}
	switch {
	case p.source.Site != 0:
		c.Sites = []foyer.SiteID{p.source.Site}
	case l.partial:
		c.Sites = union(c.Sites, l.sites)
	case len(l.sites) > 0:
		c.Sites = l.sites
	}
	return c
}

// withdraw returns what becomes of an entry that the source claimed and no longer lists (R10, R12).
func (p *policy) withdraw(k known, run foyer.RunID) *store.Write {
	d := p.draftOf(k, run)
	d.setClaim(p.source, nil)
	if !d.othersClaim() {
		d.leave()
	}
	return d.settle()
}

// drop returns what becomes of a hand-made entry in the source's scope that it does not list (R11); nil where it is none of its business.
func (p *policy) drop(k known, run foyer.RunID) *store.Write {
	e := k.entry
	if !e.HandMade() || !e.Enabled || e.Permanent || p.source.LeaveHandMade {
		return nil
	}
	if p.source.Site != 0 && !slices.Contains(e.HandSites, p.source.Site) {
		return nil
	}
	d := p.draftOf(k, run)
	d.leave()
	return d.settle()
}

// unname returns what becomes of an entry of which the delivery says no more than that its id is another's now (R2): nothing but that.
func (p *policy) unname(k known, run foyer.RunID) *store.Write { return p.draftOf(k, run).finish() }

func (p *policy) draftOf(k known, run foyer.RunID) *draft {
	d := &draft{policy: p, run: run, before: k.entry, after: k.entry.Clone(), had: k.claims, has: k.claims}
	if p.source != nil {
		d.endKeeps()
		d.loseID(k.lostID)
	}
	return d
}

// leave is what absence does to an entry that no source claims any more: it takes the site of a site source away, and disables
// where no site given by hand is left. A permanent entry stays enabled, and keeps its last site rather than be at every one.
func (d *draft) leave() {
	e := d.after
	site := d.policy.source.Site
	if site != 0 {
		e.HandSites = without(e.HandSites, site)
	}
	switch {
	case e.Permanent:
		if len(e.HandSites) == 0 {
			e.HandSites = slices.Clone(d.before.Sites)
		}
	case site != 0 && len(e.HandSites) > 0:
	case e.Enabled || e.Reason == foyer.BySource:
		e.HandSites = slices.Clone(d.before.HandSites)
		e.Enabled, e.Reason = false, foyer.Absent
	default:
		e.HandSites = slices.Clone(d.before.HandSites)
	}
}
