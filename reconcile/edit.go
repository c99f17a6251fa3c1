package reconcile

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

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
	Notify      *foyer.Methods
	Notes       *string
	Keep        []foyer.Field // not to be overwritten by any source (R6)
	KeepUntil   time.Time     // the end of what Keep asks for; zero: until it is released
	Release     []foyer.Field // not kept any more
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

// Key returns the id of the name, or the key of its email.
func (n Name) Key() (foyer.EntryID, string, error) {
	if n.ID != 0 {
		return n.ID, "", nil
	}
	key, err := match.Email(n.Email)
	if err != nil {
		return 0, "", foyer.Errorf(foyer.Invalid, "%q is neither an email nor the id of an entry (E-1042): %v", n.Email, err)
	}
	return 0, string(key), nil
}

// Find returns the entry that a name means, foyer.NotFound where it means none.
func (n Name) Find(b *store.Book) (*foyer.Entry, error) {
	id, key, err := n.Key()
	if err != nil {
		return nil, err
	}
	return n.named(b.FindEntry(id, key))
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
	run := newRun(s, caller, foyer.Edit)
	err = s.Update(context.WithoutCancel(ctx), caller, store.Act{Org: org, Right: foyer.EditBook}, func(b *store.Book) (*store.Delta, error) {
		run.ID = 0
		before, err := name.Find(b)
		if err != nil {
			return nil, err
		}
		k, err := knownOf(b, before)
		if err != nil {
			return nil, err
		}
		entry = before
		return editDelta(b, run, edit, k, &entry)
	})
	return entry, run.ID, err
}

// Add makes an entry by hand and returns it. foyer.Conflict where the email is that of an entry.
func Add(ctx context.Context, s *store.Store, caller foyer.Caller, org foyer.OrgID, edit Edit) (entry *foyer.Entry, err error) {
	run := newRun(s, caller, foyer.Edit)
	err = s.Update(context.WithoutCancel(ctx), caller, store.Act{Org: org, Right: foyer.EditBook}, func(b *store.Book) (*store.Delta, error) {
		if edit.Values[foyer.Email] == "" {
			return nil, foyer.Errorf(foyer.Invalid, "an entry needs an email: it is what identifies a person")
		}
		return editDelta(b, run, edit, known{}, &entry)
	})
	return entry, err
}

// checkTexts refuses what no database keeps as it is.
func (e *Edit) checkTexts() error {
	unfit := func(text string) bool { return !utf8.ValidString(text) || strings.ContainsRune(text, 0) }
	for f, value := range e.Values {
		if unfit(value) {
			return foyer.Errorf(foyer.Invalid, "the %s is no text in UTF-8", f.Label())
		}
	}
	if e.Notes != nil && unfit(*e.Notes) {
		return foyer.Errorf(foyer.Invalid, "the notes are no text in UTF-8")
	}
	return nil
}

// editDelta carries out an edit on an entry, or on a new one where k has none; result becomes the entry as it is to be.
func editDelta(b *store.Book, run *foyer.Run, edit Edit, k known, result **foyer.Entry) (*store.Delta, error) {
	if err := edit.checkTexts(); err != nil {
		return nil, err
	}
	p, err := policyOf(b, nil)
	if err != nil {
		return nil, err
	}
	entry := b.NextEntry
	if k.entry != nil {
		entry = k.entry.ID
	}
	emails, err := edit.checkEmail(b, p, k.entry, entry)
	if err != nil {
		return nil, err
	}
	run.Message = ""
	if len(emails) > 0 && emails[0].Before.Entry != 0 && emails[0].Before.Entry != entry {
		run.Message = fmt.Sprintf("The email was an earlier one of %v, and means %v from now on: what lists it lists %v.", emails[0].Before.Entry, entry, entry)
	}
	write := func(id foyer.RunID) *store.Write {
		d := &draft{policy: p, after: &foyer.Entry{ID: entry, Enabled: true}}
		if k.entry != nil {
			d = p.draftOf(k, id)
		}
		d.run, d.forget, d.emails = id, true, emails
		d.carryOut(&edit)
		w := d.settle()
		if w != nil && w.Entry != nil {
			*result = w.Entry
		}
		return w
	}
	if w := write(0); w == nil || w.Entry == nil {
		return nil, nil
	}
	run.Counts = foyer.Counts{}
	return &store.Delta{Run: run, Writes: one(func() *store.Write {
		w := write(run.ID)
		tally(&run.Counts, w)
		return w
	})}, nil
}

// one yields what make returns.
func one(make func() *store.Write) iter.Seq2[*store.Write, error] {
	return func(yield func(*store.Write, error) bool) { yield(make(), nil) }
}

// checkEmail returns what emails mean after an edit of the entry's email. It refuses one that cannot be read, or that is another entry's.
func (edit *Edit) checkEmail(b *store.Book, p *policy, before *foyer.Entry, entry foyer.EntryID) ([]foyer.EmailChange, error) {
	email, set := edit.Values[foyer.Email]
	if !set {
		return nil, nil
	}
	key, err := match.Email(email)
	if err != nil {
		return nil, foyer.Errorf(foyer.Invalid, "the email %q cannot be read: %v", email, err)
	}
	var old match.Key
	if before != nil {
		if old = p.key(before.Values[foyer.Email]); old == key {
			return nil, nil
		}
	}
	var meant foyer.Address
	if err := b.Addresses([]string{string(key)}, func(_ string, a foyer.Address) { meant = a }); err != nil {
		return nil, err
	}
	if meant.Entry != 0 && !meant.Alias {
		return nil, foyer.Errorf(foyer.Conflict, "the email %s is that of the entry %v already; edit that one", key, meant.Entry)
	}
	erased, err := b.Erased(0)
	if err != nil {
		return nil, err
	}
	if at := erased.When(string(key), ""); !at.IsZero() {
		return nil, foyer.Errorf(foyer.Conflict, "the person of this email was erased on %s; to let them in again: foyer entry erase --org %s --forget EMAIL", at.Format(time.DateOnly), b.Org.Slug)
	}
	changes := []foyer.EmailChange{{Key: string(key), Before: meant, After: foyer.Address{Entry: entry}}}
	if before != nil {
		changes = append(changes, foyer.EmailChange{Key: string(old), Before: foyer.Address{Entry: entry}, After: foyer.Address{Entry: entry, Alias: true}})
	}
	return changes, nil
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
	d.mark(edit)
	for _, f := range edit.Keep {
		if k := e.Keeps[f]; k.Run == 0 || !k.Until.Equal(edit.KeepUntil) {
			d.keep(f, foyer.Keep{Run: d.run, Until: edit.KeepUntil})
		}
	}
	for _, f := range edit.Release {
		if e.Keeps[f].Run != 0 {
			d.keep(f, foyer.Keep{})
		}
	}
	d.normalise(nil)
}

// mark sets marks and notes.
func (d *draft) mark(edit *Edit) {
	e := d.after
	d.flag("permanent", &e.Permanent, edit.Permanent)
	d.flag("pinned", &e.Pinned, edit.Pinned)
	if edit.Notify != nil && *edit.Notify != e.Notify {
		d.flags = append(d.flags, foyer.FlagChange{Name: "notify", Before: e.Notify.String(), After: edit.Notify.String()})
		e.Notify = *edit.Notify
	}
	if edit.Notes != nil && *edit.Notes != e.Notes {
		d.flags = append(d.flags, foyer.FlagChange{Name: "notes", Before: e.Notes, After: *edit.Notes})
		e.Notes = *edit.Notes
	}
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
