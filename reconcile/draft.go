package reconcile

import (
	"fmt"
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
	had      []claimOn // the claims on it before, by ascending source
	has      []claimOn // and after
	fields   []foyer.FieldChange
	flags    []foyer.FlagChange
	keeps    []foyer.KeepChange
	ids      []foyer.IDChange
	emails   []foyer.EmailChange
	joined   foyer.EntryID // the entry that is joined to this one
	forget   bool          // every claim's row is to be looked at again (R17)
	named    bool          // a name changed
	line     int
	problems []foyer.Problem
}

// claimOf returns a source's claim; nil where it has none.
func claimOf(claims []claimOn, source foyer.SourceID) *foyer.Claim {
	for _, c := range claims {
		if c.source.ID == source {
			return c.claim
		}
	}
	return nil
}

// setClaim makes a claim of a source stand after, nil withdraws it.
func (d *draft) setClaim(source *foyer.Source, claim *foyer.Claim) {
	at, found := slices.BinarySearchFunc(d.has, source.ID, func(c claimOn, id foyer.SourceID) int { return int(c.source.ID - id) })
	switch {
	case claim == nil && found:
		d.has = slices.Concat(d.has[:at], d.has[at+1:])
	case claim == nil:
	case found:
		d.has = slices.Clone(d.has)
		d.has[at].claim = claim
	default:
		d.has = slices.Concat(d.has[:at], []claimOn{{source, claim}}, d.has[at:])
	}
}

// othersClaim tells whether a source besides the policy's claims the entry.
func (d *draft) othersClaim() bool {
	return slices.ContainsFunc(d.has, func(c claimOn) bool { return c.source.ID != d.policy.source.ID })
}

// merge stores what a listing says, field by field (R4, R5, R8, R9).
func (d *draft) merge(l *listing) {
	values := &l.record.Values
	switch {
	case l.byID:
		d.rename(l)
	case !l.alias:
		d.submit(foyer.Email, values[foyer.Email])
	}
	d.identify(l)
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

// rename gives the entry that the source knows by the row's id the row's email; the one that it had stays as an alias. A source renames only whom it
// alone lists, or as the highest of those who do; else it is proposed (R2).
func (d *draft) rename(l *listing) {
	email := l.record.Values[foyer.Email]
	source := d.policy.source
	outranked := slices.ContainsFunc(d.has, func(c claimOn) bool { return c.source.ID != source.ID && !source.Outranks(c.source) })
	if outranked || d.after.Keeps[foyer.Email].Holds(d.policy.now) {
		d.warn(foyer.Email, email, fmt.Sprintf("renamed? The id %q is that of %v, %s, whose email this source does not decide; if they are one person: foyer entry edit %v --email %s",
			l.record.ExternalID, d.after.ID, d.after.Values[foyer.Email], d.after.ID, email))
		return
	}
	old := string(d.policy.key(d.after.Values[foyer.Email]))
	d.emails = append(d.emails,
		foyer.EmailChange{Key: l.key, Before: l.meant, After: foyer.Address{Entry: d.after.ID}},
		foyer.EmailChange{Key: old, Before: foyer.Address{Entry: d.after.ID}, After: foyer.Address{Entry: d.after.ID, Alias: true}})
	d.set(foyer.Email, email, foyer.Origin{Owner: source.ID, Run: d.run, Before: d.after.Values[foyer.Email]})
	d.forget = true // whom the other sources' rows mean by the old email depends on their other rows now (R17)
}

// identify notes the id by which the source knows the entry (R2); where the id that it had is another's now, it has none.
func (d *draft) identify(l *listing) {
	if l.record.ExternalID != "" && l.record.ExternalID != d.after.KnownAs(d.policy.source.ID) {
		d.know(d.policy.source.ID, l.record.ExternalID)
	}
}

// know makes a source know the entry by an id; "" by none.
func (d *draft) know(source foyer.SourceID, id string) {
	at := slices.IndexFunc(d.ids, func(c foyer.IDChange) bool { return c.Source == source })
	if at < 0 {
		at = len(d.ids)
		d.ids = append(d.ids, foyer.IDChange{Source: source, Before: d.after.KnownAs(source)})
	}
	d.ids[at].After = id
	d.after.SetKnownAs(source, id)
}

// loseID takes the entry's id away where another entry has it now (R2).
func (d *draft) loseID(id string) {
	if id != "" && d.after.KnownAs(d.policy.source.ID) == id {
		d.know(d.policy.source.ID, "")
		if own := claimOf(d.has, d.policy.source.ID); own != nil { // the row that gave the id may come again (R17)
			d.setClaim(d.policy.source, &foyer.Claim{Disabled: own.Disabled, Sites: own.Sites})
		}
	}
}

// endKeeps lets go of the fields whose keep has come to its end (R6).
func (d *draft) endKeeps() {
	for f, k := range d.after.Keeps {
		if k.Ended(d.policy.now) {
			d.keep(foyer.Field(f), foyer.Keep{})
			d.forget = true
		}
	}
}

func (d *draft) keep(f foyer.Field, keep foyer.Keep) {
	d.keeps = append(d.keeps, foyer.KeepChange{Field: f, Before: d.after.Keeps[f], After: keep})
	d.after.Keeps[f] = keep
}

// submit stores a value of the source in a field that it may replace.
func (d *draft) submit(f foyer.Field, value string) {
	if value == "" || !d.mayReplace(f) || d.namesErased(f, value) {
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

// namesErased tells whether a value names someone who was erased as manager or assistant; it is not stored, with a warning (R28).
func (d *draft) namesErased(f foyer.Field, value string) bool {
	if f != foyer.Manager && f != foyer.Assistant {
		return false
	}
	key, err := match.Email(value)
	if err != nil || d.policy.erased.When(string(key), "").IsZero() {
		return false
	}
	d.problems = append(d.problems, foyer.Problem{Line: d.line, Column: f.Label(), Message: "names someone who was erased; it is not stored"})
	return true
}

// guess stores a part of a split display name where there is nothing, or an earlier guess of the same source (R9).
func (d *draft) guess(f foyer.Field, value string) {
	now, from := d.after.Values[f], d.after.Origins[f]
	source := d.policy.source.ID
	if value == "" || d.after.Keeps[f].Holds(d.policy.now) || now != "" && (!from.Guess || from.Owner != source || d.same(f, value)) {
		return
	}
	d.set(f, value, foyer.Origin{Owner: source, Run: d.run, Guess: true, Before: now})
}

// mayReplace tells whether the source may replace a field: never one that a person keeps (R6); else as its owner, above its owner, or after an owner that no longer claims
// the entry. What no source owns yields to any, and a guess is nobody's word (R8, R9).
func (d *draft) mayReplace(f foyer.Field) bool {
	from := d.after.Origins[f]
	source := d.policy.source
	if d.after.Keeps[f].Holds(d.policy.now) {
		return false
	}
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
	d.decide()
	return d.finish()
}

// decide sets who claims the entry, and its status and sites accordingly.
func (d *draft) decide() {
	decides := d.count()
	if decides != nil && d.policy.source != nil {
		d.follow(decides)
	}
	d.place(decides != nil)
}

// count notes who claims the entry, and returns of these the source of highest priority with what it says (R13); nil where none does.
func (d *draft) count() (decides *claimOn) {
	e := d.after
	e.ClaimedBy = e.ClaimedBy[:0:0]
	for i, c := range d.has {
		e.ClaimedBy = append(e.ClaimedBy, c.source.ID)
		if decides == nil || c.source.Outranks(decides.source) {
			decides = &d.has[i]
		}
	}
	return decides
}

// follow lets the source that decides enable or disable the entry, unless a person disabled it (R13).
func (d *draft) follow(decides *claimOn) {
	e := d.after
	if e.Reason == foyer.ByHand {
		return
	}
	e.Enabled, e.Reason = true, foyer.NotDisabled
	if decides.claim.Disabled {
		e.Enabled, e.Reason = false, foyer.BySource
	}
}

// place gives the entry the sites of its claims and those given by hand; one that is disabled and not claimed keeps its last (R12).
func (d *draft) place(claimed bool) {
	if !d.after.Enabled && !claimed {
		return
	}
	var sites []foyer.SiteID
	for _, c := range d.has {
		sites = union(sites, c.claim.Sites)
	}
	d.after.Sites = union(sites, d.after.HandSites)
}

// finish returns what is to be written of the entry as it is now; nil where nothing is.
func (d *draft) finish() *store.Write {
	if d.policy.source != nil && len(d.problems) > 0 {
		if own := claimOf(d.has, d.policy.source.ID); own != nil {
			own.Hash = foyer.Hash{} // the warning is to be given again next time
		}
	}
	w := &store.Write{ID: d.after.ID, New: d.before == nil, Claims: d.claimWrites(), Emails: d.emails, IDs: d.ids}
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

// claimWrites returns what becomes of the claims. A claim that comes or goes clears the others' hashes, and so does a name that changes: what
// another source's display name is compared with changed with it; and what emails mean, by which another source may name it (R17).
func (d *draft) claimWrites() (writes []store.ClaimWrite) {
	cameOrWent := false
	for _, c := range d.had {
		if claimOf(d.has, c.source.ID) == nil {
			cameOrWent = true
			writes = append(writes, store.ClaimWrite{Source: c.source.ID})
		}
	}
	for _, c := range d.has {
		had := claimOf(d.had, c.source.ID)
		cameOrWent = cameOrWent || had == nil
		if had == nil || !c.claim.Same(had) || c.claim.Hash != had.Hash {
			writes = append(writes, store.ClaimWrite{Source: c.source.ID, Claim: c.claim})
		}
	}
	if !cameOrWent && !d.forget && !d.named && len(d.emails) == 0 {
		return writes
	}
	for _, c := range d.has {
		mine := d.policy.source != nil && c.source.ID == d.policy.source.ID
		written := slices.ContainsFunc(writes, func(w store.ClaimWrite) bool { return w.Source == c.source.ID })
		if !mine && !written && c.claim.Hash != (foyer.Hash{}) {
			writes = append(writes, store.ClaimWrite{Source: c.source.ID, Forget: true})
		}
	}
	return writes
}

// change returns the difference for the log.
func (d *draft) change() *foyer.Change {
	c := &foyer.Change{Entry: d.after.ID, Fields: d.fields, Flags: d.flags, Keeps: d.keeps, IDs: d.ids, Emails: d.emails, Joined: d.joined}
	before := d.before
	if before == nil {
		c.Added = true
		before = &foyer.Entry{}
	}
	c.Prev = before.LastRun
	was, is := before.StatusNow(), d.after.StatusNow()
	if was != is {
		c.Status = &[2]foyer.Status{was, is}
	}
	if !slices.Equal(before.Sites, d.after.Sites) {
		c.Sites = &[2][]foyer.SiteID{before.Sites, d.after.Sites}
	}
	if !slices.Equal(before.HandSites, d.after.HandSites) {
		c.HandSites = &[2][]foyer.SiteID{before.HandSites, d.after.HandSites}
	}
	c.Claims = claimChanges(d.had, d.has)
	return c
}

// claimChanges returns what two sets of claims say differently, rows aside.
func claimChanges(had, has []claimOn) (changes []foyer.ClaimChange) {
	for _, c := range had {
		if after := claimOf(has, c.source.ID); !c.claim.Same(after) {
			changes = append(changes, foyer.ClaimChange{Source: c.source.ID, Before: c.claim, After: after})
		}
	}
	for _, c := range has {
		if claimOf(had, c.source.ID) == nil {
			changes = append(changes, foyer.ClaimChange{Source: c.source.ID, After: c.claim})
		}
	}
	return changes
}
