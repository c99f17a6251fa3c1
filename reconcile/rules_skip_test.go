package reconcile_test

import (
	"testing"

	"foyer"
	"foyer/reconcile"
)

// What decides a row's outcome is more than the row and its own entry: these hold whom it means and what it is compared with.

func TestR17_RowWhoseAliasMovedToAHandMadeEntryIsLookedAt(t *testing.T) {
	f := newFixture(t)
	const file = "EMAIL\nann@x.ca\nbob@x.ca\n"
	f.upload(f.hr, file)
	f.edit("ann@x.ca", set(foyer.Email, "ann.lee@x.ca"))
	f.upload(f.hr, file) // the alias matches
	f.add(set(foyer.Email, "ann@x.ca"))
	f.upload(f.hr, file)
	f.status("ann@x.ca", "enabled")
	f.status("ann.lee@x.ca", "disabled (absent)")
}

func TestR17_RowWhoseAliasAnotherSourceMovedIsLookedAt(t *testing.T) {
	f := newFixture(t)
	second := f.source(foyer.Source{Name: "second"})
	const file = "EMAIL\nann@x.ca\nbob@x.ca\n"
	f.upload(f.hr, file)
	f.edit("ann@x.ca", set(foyer.Email, "ann.lee@x.ca"))
	f.upload(second, "EMAIL\nann.lee@x.ca\n")
	f.upload(f.hr, file)
	f.upload(second, "EMAIL\nann@x.ca\nann.lee@x.ca\n")
	f.upload(f.hr, file)
	if e := f.entry("ann@x.ca"); !e.Claimed(f.hr) {
		t.Errorf("hr lists ann@x.ca, but claims it not: %+v", e)
	}
	if e := f.entry("ann.lee@x.ca"); e.Claimed(f.hr) {
		t.Errorf("hr does not list ann.lee@x.ca, but claims it: %+v", e)
	}
}

func TestR17_RowByAnAliasIsLookedAtWhenABadRowNamesTheCurrentEmail(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,SITE\nann@x.ca,\nbob@x.ca,\n")
	f.edit("ann@x.ca", set(foyer.Email, "ann.lee@x.ca"))
	f.upload(f.hr, "EMAIL,SITE\nann@x.ca,\nbob@x.ca,\n")
	f.counts(f.upload(f.hr, "EMAIL,SITE\nann@x.ca,\nbob@x.ca,\nann.lee@x.ca,Nowhere\n"), foyer.Counts{Added: 1, Unchanged: 1, Errors: 1})
	f.emails("ann.lee@x.ca", "ann@x.ca", "bob@x.ca") // the current email is in the file too: the alias moves (R2)
}

func TestR17_DisplayNameThatWasFirstAndLastIsLookedAtWhenTheyChange(t *testing.T) {
	f := newFixture(t)
	second := f.source(foyer.Source{Name: "second", Priority: 1})
	const file = "EMAIL,NAME\nann@x.ca,Ann Lee\n"
	f.upload(second, "EMAIL,FIRSTNAME,LASTNAME\nann@x.ca,Ann,Lee\n")
	f.upload(f.hr, file)
	f.value("ann@x.ca", foyer.DisplayName, "") // it equals first + last (R9)
	f.upload(second, "EMAIL,FIRSTNAME,LASTNAME\nann@x.ca,Ann,Smith\n")
	f.upload(f.hr, file)
	f.value("ann@x.ca", foyer.DisplayName, "Ann Lee")
}

func TestR17_DisplayNameThatWasFirstAndLastIsLookedAtWhenAnotherIsStored(t *testing.T) {
	f := newFixture(t)
	second := f.source(foyer.Source{Name: "second"})
	const file = "EMAIL,FIRSTNAME,LASTNAME,NAME\nann@x.ca,Ann,Lee,Ann Lee\n"
	f.upload(f.hr, file)
	f.upload(second, "EMAIL\nann@x.ca\n")
	f.upload(f.hr, file)
	f.upload(second, "EMAIL,NAME\nann@x.ca,Annie\n")
	f.upload(f.hr, file)
	f.value("ann@x.ca", foyer.DisplayName, "Ann Lee") // hr is the older source (R8)
}

func TestR14_OfficeThatIsNoSiteIsAWarningEachTime(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,OFFICE\nann@x.ca,5th floor\n")
	f.counts(f.upload(f.hr, "EMAIL,OFFICE\nann@x.ca,5th floor\nbob@x.ca,\n"), foyer.Counts{Added: 1, Unchanged: 1, Warnings: 1})
}

func TestR17_HashIsOfTheWholeRow(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,TITLE,DIVISION\nann@x.ca,Boss,\n")
	f.upload(f.hr, "EMAIL,TITLE,DIVISION\nann@x.ca,,Boss\n")
	f.value("ann@x.ca", foyer.Division, "Boss")
}

func TestR17_SameRowTwiceIsOnePerson(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,TITLE\nann@x.ca,Boss\n")
	f.counts(f.upload(f.hr, "EMAIL,TITLE\nann@x.ca,Boss\nann@x.ca,Boss\n"), foyer.Counts{Unchanged: 1, Warnings: 1})
}

func TestR17_EndOfAHandDisableIsLookedAt(t *testing.T) {
	f := newFixture(t)
	const file = "EMAIL,ENABLED\nann@x.ca,no\n"
	f.upload(f.hr, file)
	f.edit("ann@x.ca", reconcile.Edit{Enabled: new(true)})
	f.upload(f.hr, file)
	f.status("ann@x.ca", "disabled (source)")
}
