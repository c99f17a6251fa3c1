package reconcile

import (
	"context"
	"strconv"

	"foyer"
	"foyer/match"
	"foyer/store"
)

// Edit is what a person changes of an entry by hand. What is not set stays.
type Edit struct {
	Values      map[foyer.Field]string // empty clears the field, until a source fills it again
	AddSites    []foyer.SiteID
	RemoveSites []foyer.SiteID // of those given by hand
	Enabled     *bool
	Permanent   *bool
	Pinned      *bool
	Notes       *string
}

// Name says which entry is meant: by its id, or by an email, its current one or an earlier one.
type Name struct {
	ID    foyer.EntryID
	Email string
}

// ParseName reads E-1042 or an email.
func ParseName(s string) Name {
	if id, ok := foyer.ParseEntryID(s); ok {
		return Name{ID: id}
	}
	return Name{Email: s}
}

// Find returns the entry that a name means, foyer.NotFound where it means none.
func (n Name) Find(b *store.Book) (*foyer.Entry, error) {
	if n.ID != 0 {
		return n.named(b.FindEntry(n.ID, ""))
	}
	key, err := match.Email(n.Email)
	if err != nil {
		return nil, foyer.Errorf(foyer.Invalid, "%q is neither an email nor the id of an entry (E-1042): %v", n.Email, err)
	}
	return n.named(b.FindEntry(0, string(key)))
}

// named says in an error of kind foyer.NotFound who was asked for.
func (n Name) named(e *foyer.Entry, err error) (*foyer.Entry, error) {
	if foyer.KindOf(err) != foyer.NotFound {
		return e, err
	}
	asked := n.Email
	if n.ID != 0 {
		asked = n.ID.String()
	}
	return nil, foyer.Errorf(foyer.NotFound, "there is no entry %s in this organization; foyer entry list shows who is there", asked)
}

// Change edits an entry by hand and returns it as it is now, and the act (0: nothing differed). A synced field that is edited lasts until its owner's
// next sync (R7). The change is in the log like any other (R26).
func Change(ctx context.Context, s *store.Store, caller foyer.Caller, org foyer.OrgID, name Name, edit Edit) (entry *foyer.Entry, act foyer.RunID, err error) {
	run := editRun(s, caller)
	err = s.Update(context.WithoutCancel(ctx), caller, store.Act{Org: org, Kind: foyer.Edit}, func(b *store.Book) (*store.Delta, error) {
		before, err := name.Find(b)
		if err != nil {
			return nil, err
		}
		k, err := knownOf(b, before)
		if err != nil {
			return nil, err
		}
		entry = before
		return editDelta(b, run, edit, func(p *policy) *draft { return p.draftOf(k, 0) }, &entry)
	})
	return entry, run.ID, err
}

// Add makes an entry by hand and returns it. foyer.Conflict where the email is that of an entry.
func Add(ctx context.Context, s *store.Store, caller foyer.Caller, org foyer.OrgID, edit Edit) (entry *foyer.Entry, err error) {
	run := editRun(s, caller)
	err = s.Update(context.WithoutCancel(ctx), caller, store.Act{Org: org, Kind: foyer.Edit}, func(b *store.Book) (*store.Delta, error) {
		if edit.Values[foyer.Email] == "" {
			return nil, foyer.Errorf(foyer.Invalid, "an entry needs an email: it is what identifies a person")
		}
		return editDelta(b, run, edit, func(p *policy) *draft {
			return &draft{policy: p, after: &foyer.Entry{ID: b.NextEntry, Enabled: true}}
		}, &entry)
	})
	return entry, err
}

func editRun(s *store.Store, caller foyer.Caller) *foyer.Run {
	return &foyer.Run{Kind: foyer.Edit, Actor: caller.Name, Status: foyer.Applied, Started: s.Now()}
}

// editDelta carries out an edit on the draft that start makes; result becomes the entry as it is to be.
func editDelta(b *store.Book, run *foyer.Run, edit Edit, start func(*policy) *draft, result **foyer.Entry) (*store.Delta, error) {
	p, err := policyOf(b, nil)
	if err != nil {
		return nil, err
	}
	d := start(p)
	keys, err := edit.checkEmail(b, d)
	if err != nil {
		return nil, err
	}
	write := func(id foyer.RunID) *store.Write {
		d := start(p)
		d.run, d.forget = id, true
		d.carryOut(&edit)
		w := d.settle()
		if w != nil && w.Entry != nil {
			w.New, w.Key, w.OldKey = d.before == nil, keys.new, keys.old
			*result = w.Entry
		}
		return w
	}
	if w := write(0); w == nil || w.Entry == nil {
		return nil, nil
	}
	run.Counts = foyer.Counts{}
	return &store.Delta{Run: run, Writes: func(yield func(*store.Write, error) bool) {
		w := write(run.ID)
		tally(&run.Counts, w)
		yield(w, nil)
	}}, nil
}

// emailKeys are an entry's email keys after and before an edit of the email; both empty where it stays.
type emailKeys struct{ new, old string }

// checkEmail refuses an email that cannot be read, or that is another entry's.
func (edit *Edit) checkEmail(b *store.Book, d *draft) (keys emailKeys, err error) {
	email, set := edit.Values[foyer.Email]
	if !set {
		return keys, nil
	}
	key, err := match.Email(email)
	if err != nil {
		return keys, foyer.Errorf(foyer.Invalid, "the email %q cannot be read: %v", email, err)
	}
	keys.new = string(key)
	if d.before != nil {
		old, err := match.Email(d.before.Values[foyer.Email])
		if err != nil {
			return keys, err
		}
		if keys.old = string(old); keys.old == keys.new {
			return emailKeys{}, nil
		}
	}
	var taken foyer.EntryID
	err = b.Addresses([]string{keys.new}, func(_ string, a foyer.Address) {
		if !a.Alias {
			taken = a.Entry
		}
	})
	if err == nil && taken != 0 {
		err = foyer.Errorf(foyer.Conflict, "the email %s is that of the entry %v already; edit that one", keys.new, taken)
	}
	return keys, err
}

// carryOut makes the changes of an edit.
func (d *draft) carryOut(edit *Edit) {
	e := d.after
	for f := foyer.Email; f < foyer.NumFields; f++ {
		if value, ok := edit.Values[f]; ok && value != e.Values[f] {
			owner := e.Origins[f].Owner
			if e.Origins[f].Guess {
				owner = 0 // a guess is nobody's word
			}
			d.set(f, value, foyer.Origin{Owner: owner, Run: d.run, Before: e.Values[f]})
		}
	}
	if edit.Enabled != nil {
		d.enable(*edit.Enabled)
	}
	e.HandSites = union(e.HandSites, edit.AddSites)
	for _, site := range edit.RemoveSites {
		e.HandSites = without(e.HandSites, site)
	}
	d.flag("permanent", &e.Permanent, edit.Permanent)
	d.flag("pinned", &e.Pinned, edit.Pinned)
	if edit.Notes != nil && *edit.Notes != e.Notes {
		d.flags = append(d.flags, foyer.FlagChange{Name: "notes", Before: e.Notes, After: *edit.Notes})
		e.Notes = *edit.Notes
	}
	d.normalise(nil)
}

func (d *draft) flag(name string, now, wanted *bool) {
	if wanted != nil && *wanted != *now {
		d.flags = append(d.flags, foyer.FlagChange{Name: name, Before: strconv.FormatBool(*now), After: strconv.FormatBool(*wanted)})
		*now = *wanted
	}
}

// enable sets the status by hand. Who is disabled by hand stays so until a person says otherwise (R13). Who is enabled and whom no source lists keeps
// the sites at which they were last, as given by hand: with none they could be asked for everywhere.
func (d *draft) enable(enabled bool) {
	e := d.after
	if !enabled {
		e.Enabled, e.Reason = false, foyer.ByHand
		return
	}
	if !e.Enabled && e.HandMade() {
		e.HandSites = union(e.HandSites, e.Sites)
	}
	e.Enabled, e.Reason = true, foyer.NotDisabled
}
