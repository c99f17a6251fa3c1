package reconcile_test

import (
	"fmt"
	"strings"
	"testing"

	"foyer"
	"foyer/reconcile"
	"foyer/store"
)

// knownAs wants an entry to be known to a source by an id.
func (f *fixture) knownAs(email string, source foyer.SourceID, want string) {
	f.t.Helper()
	e := f.entry(email)
	if got := e.KnownAs(source); got != want {
		f.t.Errorf("%s is known as %q, want %q", email, got, want)
	}
	f.must(f.store.View(f.t.Context(), f.operator, f.org, func(b *store.Book) error {
		return b.EntryOfID(source, []string{want}, func(id string, entry foyer.EntryID) {
			if want != "" && entry != e.ID {
				f.t.Errorf("the id %s means %v, want %v", id, entry, e.ID)
			}
		})
	}))
}

// warns wants a run to have one warning, about that.
func (f *fixture) warns(run *foyer.Run, about ...string) {
	f.t.Helper()
	if run.Warnings != len(about) {
		f.t.Errorf("%d warnings, want %d: %v", run.Warnings, len(about), run.Problems)
		return
	}
	for i, text := range about {
		if !strings.Contains(run.Problems[i].String(), text) {
			f.t.Errorf("the problem %v, want %q in it", run.Problems[i], text)
		}
	}
}

const two = "EMAIL,TITLE,EMPLOYEEID\nann@x.ca,Boss,1\nbob@x.ca,Clerk,2\n"

func TestR2_RenamedById(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, two)
	ann := f.entry("ann@x.ca").ID
	run := f.upload(f.hr, "EMAIL,TITLE,EMPLOYEEID\nann.lee@x.ca,Boss,1\nbob@x.ca,Clerk,2\n")
	f.counts(run, foyer.Counts{Updated: 1, Unchanged: 1})
	f.emails("ann.lee@x.ca", "bob@x.ca")
	if e := f.entry("ann.lee@x.ca"); e.ID != ann || !e.Enabled {
		t.Errorf("it is %+v", e)
	}
	f.knownAs("ann.lee@x.ca", f.hr, "1")
	// The old email still finds her, and lists her.
	f.upload(f.hr, "EMAIL,TITLE\nann@x.ca,Chief\nbob@x.ca,Clerk\n")
	f.value("ann.lee@x.ca", foyer.Title, "Chief")
	f.emails("ann.lee@x.ca", "bob@x.ca")
}

func TestR2_RenamedBackToAnEarlierEmail(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, two)
	f.upload(f.hr, strings.Replace(two, "ann@", "lee@", 1))
	f.upload(f.hr, two)
	f.emails("ann@x.ca", "bob@x.ca")
	f.upload(f.hr, strings.Replace(two, "ann@", "lee@", 1))
	f.emails("bob@x.ca", "lee@x.ca")
}

// TestR2_NoRenameWhereTheCurrentEmailIsListedToo holds that the id does not make one person of two rows.
func TestR2_NoRenameWhereTheCurrentEmailIsListedToo(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, two)
	run := f.upload(f.hr, "EMAIL,TITLE,EMPLOYEEID\nann@x.ca,Boss,\nnew@x.ca,Clerk,1\nbob@x.ca,Clerk,2\n")
	f.emails("ann@x.ca", "bob@x.ca", "new@x.ca")
	f.warns(run, "was the id of E-1")
	f.knownAs("new@x.ca", f.hr, "1")
	f.knownAs("ann@x.ca", f.hr, "")
}

func TestR2_EmailBeatsId(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, two)
	run := f.upload(f.hr, "EMAIL,TITLE,EMPLOYEEID\nann@x.ca,Boss,2\n")
	f.warns(run, "was the id of E-2")
	f.knownAs("ann@x.ca", f.hr, "2")
	f.knownAs("bob@x.ca", f.hr, "")
	f.status("bob@x.ca", "disabled (absent)")
	again := f.upload(f.hr, "EMAIL,TITLE,EMPLOYEEID\nann@x.ca,Boss,2\n#\n")
	if again.Warnings != 0 {
		t.Errorf("the warning is given again: %v", again.Problems)
	}
}

func TestR2_SwappedIdsMoveBothWays(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, two)
	run := f.upload(f.hr, "EMAIL,TITLE,EMPLOYEEID\nann@x.ca,Boss,2\nbob@x.ca,Clerk,1\n")
	f.warns(run, "was the id of E-2", "was the id of E-1")
	f.knownAs("ann@x.ca", f.hr, "2")
	f.knownAs("bob@x.ca", f.hr, "1")
	before := f.undo(run.ID)
	if before.Warnings != 0 {
		t.Errorf("not put back: %v", before.Problems)
	}
	f.knownAs("ann@x.ca", f.hr, "1")
	f.knownAs("bob@x.ca", f.hr, "2")
}

func TestR2_IdAtTwoEmailsIsIgnored(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, two)
	run := f.upload(f.hr, "EMAIL,TITLE,EMPLOYEEID\nann@x.ca,Boss,1\nnew@x.ca,Clerk,1\nbob@x.ca,Clerk,2\n")
	f.warns(run, "another email in line 3", "another email in line 2")
	f.emails("ann@x.ca", "bob@x.ca", "new@x.ca")
	f.knownAs("ann@x.ca", f.hr, "1")
	f.knownAs("new@x.ca", f.hr, "")
}

// TestR2_AliasOfSomeoneElseById holds that whoever has another id than the one whose email it was is someone new, and the alias moves.
func TestR2_AliasOfSomeoneElseById(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, two)
	f.upload(f.hr, strings.Replace(two, "ann@", "lee@", 1)) // ann@ is an alias of E-1 now
	run := f.upload(f.hr, "EMAIL,TITLE,EMPLOYEEID\nann@x.ca,Intern,7\nbob@x.ca,Clerk,2\n")
	f.counts(run, foyer.Counts{Added: 1, Disabled: 1, Unchanged: 1})
	f.status("lee@x.ca", "disabled (absent)")
	f.undo(run.ID)
	f.upload(f.hr, "EMAIL,TITLE\nann@x.ca,Boss\nbob@x.ca,Clerk\n") // the alias is E-1's again
	f.emails("bob@x.ca", "lee@x.ca")
}

// TestR2_IdStaysKnownWhileAway holds that somebody who comes back under another email is the same person.
func TestR2_IdStaysKnownWhileAway(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, two)
	f.upload(f.hr, "EMAIL,TITLE,EMPLOYEEID\nbob@x.ca,Clerk,2\n")
	f.upload(f.hr, strings.Replace(two, "ann@", "lee@", 1))
	f.emails("bob@x.ca", "lee@x.ca")
	f.status("lee@x.ca", "enabled")
}

// TestR2_OnlyTheHighestRenames holds that a source proposes where another one of higher priority lists the person too.
func TestR2_OnlyTheHighestRenames(t *testing.T) {
	f := newFixture(t)
	high := f.source(foyer.Source{Name: "high", Priority: 9, LeaveHandMade: true})
	f.upload(f.hr, two)
	f.upload(high, "EMAIL\nann@x.ca\n")
	renamed := strings.Replace(two, "ann@", "lee@", 1)
	for range 2 { // and says so each time
		run := f.upload(f.hr, renamed+"\n")
		f.warns(run, `renamed? The id "1" is that of E-1`)
		renamed += "\n"
	}
	f.emails("ann@x.ca", "bob@x.ca")
	f.status("ann@x.ca", "enabled")
	if !f.entry("ann@x.ca").Claimed(f.hr) {
		t.Error("hr does not list her any more")
	}
}

func TestR2_IdsAreTheSources(t *testing.T) {
	f := newFixture(t)
	other := f.source(foyer.Source{Name: "other", LeaveHandMade: true})
	f.upload(f.hr, two)
	f.upload(other, "EMAIL,EMPLOYEEID\nzoe@x.ca,1\n")
	f.emails("ann@x.ca", "bob@x.ca", "zoe@x.ca")
	f.knownAs("zoe@x.ca", other, "1")
	f.knownAs("zoe@x.ca", f.hr, "")
}

func TestR15_BadRowIsPresentByItsId(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, two)
	f.upload(f.hr, "EMAIL,TITLE,EMPLOYEEID\nann-x.ca,Boss,1\nbob@x.ca,Clerk,2\n")
	f.status("ann@x.ca", "enabled")
	f.upload(f.hr, "EMAIL,TITLE,EMPLOYEEID\nann-x.ca,Boss,8\nbob@x.ca,Clerk,2\n")
	f.status("ann@x.ca", "disabled (absent)")
}

func TestR3_RenamedIsAsked(t *testing.T) {
	const before = "EMAIL,FIRSTNAME,LASTNAME,SITE,MOBILE\nann@x.ca,Ann,Lee,Toronto,416-555-0100\nbob@x.ca,Bob,Roy,Toronto,\n"
	for name, test := range map[string]struct {
		row   string
		asked bool
	}{
		"same name and site":       {"lee@x.ca,ann,LEE,Toronto,", true},
		"same name and phone":      {"lee@x.ca,Ann,Lee,MTL,(416) 555-0100", true},
		"same name, another site":  {"lee@x.ca,Ann,Lee,MTL,", false},
		"another name, same phone": {"lee@x.ca,Anna,Lee,Toronto,416-555-0100", false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.upload(f.hr, before)
			run := f.upload(f.hr, "EMAIL,FIRSTNAME,LASTNAME,SITE,MOBILE\n"+test.row+"\nbob@x.ca,Bob,Roy,Toronto,\n")
			if !test.asked {
				f.warns(run)
				return
			}
			f.warns(run, "renamed? ann@x.ca (E-1) vanishes, and this appears")
			f.emails("ann@x.ca", "bob@x.ca", "lee@x.ca") // Foyer never joins by itself
		})
	}
}

func TestR3_JoinAndPart(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,FIRSTNAME,LASTNAME,TITLE,SITE,EMPLOYEEID\nann@x.ca,Ann,Lee,Boss,Toronto,1\n")
	f.edit("ann@x.ca", reconcile.Edit{Pinned: new(true), Notes: new("prefers tea"), Notify: new(foyer.NotifySMS), AddSites: []foyer.SiteID{f.montreal}})
	f.upload(f.hr, "EMAIL,FIRSTNAME,LASTNAME,TITLE,SITE,EMPLOYEEID\nlee@x.ca,Ann,Lee,Chief,Toronto,2\n")
	before := f.book()
	e, run, err := reconcile.Join(t.Context(), f.store, f.operator, f.org, reconcile.ParseName("ann@x.ca"), reconcile.ParseName("lee@x.ca"))
	f.must(err)
	f.emails("lee@x.ca")
	if e.ID != before["ann@x.ca"].ID || !e.Enabled || !e.Pinned || e.Notes != "prefers tea" || e.Notify != foyer.NotifySMS || !e.Claimed(f.hr) {
		t.Errorf("the joined entry is %+v", e)
	}
	f.value("lee@x.ca", foyer.Title, "Chief")
	f.sites("lee@x.ca", f.toronto, f.montreal)
	f.knownAs("lee@x.ca", f.hr, "2")
	joined := f.book()

	undo := f.undo(run.ID)
	f.restored(before)
	f.knownAs("ann@x.ca", f.hr, "1")
	f.knownAs("lee@x.ca", f.hr, "2")
	f.undo(undo.ID)
	f.restored(joined)
	f.upload(f.hr, "EMAIL,FIRSTNAME,LASTNAME,TITLE,SITE\nann@x.ca,Ann,Lee,Chief,Toronto\n") // the earlier email finds the one entry
	f.emails("lee@x.ca")
	f.status("lee@x.ca", "enabled")
}

func TestR3_JoinOfTwoWhomOneSourceListsIsRefused(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, two)
	_, _, err := reconcile.Join(t.Context(), f.store, f.operator, f.org, reconcile.ParseName("ann@x.ca"), reconcile.ParseName("bob@x.ca"))
	if foyer.KindOf(err) != foyer.Conflict {
		t.Errorf("error %v", err)
	}
	if _, _, err := reconcile.Join(t.Context(), f.store, f.operator, f.org, reconcile.ParseName("ann@x.ca"), reconcile.ParseName("E-1")); foyer.KindOf(err) != foyer.Invalid {
		t.Errorf("joined with itself: %v", err)
	}
}

func TestR3_PartingIsRefusedOnceOneWasTouched(t *testing.T) {
	f := newFixture(t)
	f.add(set(foyer.Email, "ann@x.ca"))
	f.add(set(foyer.Email, "lee@x.ca"))
	_, run, err := reconcile.Join(t.Context(), f.store, f.operator, f.org, reconcile.ParseName("ann@x.ca"), reconcile.ParseName("lee@x.ca"))
	f.must(err)
	act := f.edit("ann@x.ca", set(foyer.Title, "Boss"))
	_, err = reconcile.Undo(t.Context(), f.store, f.operator, f.org, reconcile.Undoing{Run: run.ID})
	if foyer.KindOf(err) != foyer.Conflict || !strings.Contains(err.Error(), fmt.Sprint(act)) {
		t.Errorf("error %v", err)
	}
	f.undo(act)
	f.undo(run.ID)
	f.emails("ann@x.ca", "lee@x.ca")
}

// TestR8_AdoptionKeepsMarks holds that a hand-made entry which a source lists, by email or alias, keeps pin, notes and notification methods.
func TestR8_AdoptionKeepsMarks(t *testing.T) {
	f := newFixture(t)
	f.add(reconcile.Edit{Values: map[foyer.Field]string{foyer.Email: "old@x.ca", foyer.Title: "Boss"}, Pinned: new(true), Notes: new("tea"), Notify: new(foyer.NotifyVoice)})
	f.edit("old@x.ca", set(foyer.Email, "ann@x.ca"))
	f.upload(f.hr, "EMAIL,TITLE\nold@x.ca,Chief\n")
	f.emails("ann@x.ca")
	if e := f.entry("ann@x.ca"); !e.Pinned || e.Notes != "tea" || e.Notify != foyer.NotifyVoice || e.HandMade() {
		t.Errorf("the entry is %+v", e)
	}
	f.value("ann@x.ca", foyer.Title, "Chief")
}
