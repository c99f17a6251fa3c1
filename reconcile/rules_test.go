package reconcile_test

import (
	"strings"
	"testing"

	"foyer"
	"foyer/reconcile"
)

func TestR1_EmailIsMatchedIgnoringCase(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,TITLE\nann@x.ca,Boss\n")
	f.counts(f.upload(f.hr, "EMAIL,TITLE\nANN@X.CA,Chief\n"), foyer.Counts{Updated: 1})
	f.value("ANN@X.CA", foyer.Title, "Chief")
}

func TestR1_DomainIsMatchedInItsASCIIForm(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL\nann@bücher.ca\n")
	f.counts(f.upload(f.hr, "EMAIL\nann@xn--bcher-kva.ca\n"), foyer.Counts{Updated: 1})
}

func TestR1_LookAlikeIsRefusedNeverMerged(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,TITLE\nkim@x.ca,Boss\n")
	f.counts(f.upload(f.hr, "EMAIL,TITLE\nkim@x.ca,Boss\n\u212Aim@x.ca,Thief\n"), foyer.Counts{Unchanged: 1, Errors: 1})
	f.value("kim@x.ca", foyer.Title, "Boss")
}

func TestR2_OldEmailStillMatchesAfterARename(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,TITLE\nann@x.ca,Boss\n")
	f.edit("ann@x.ca", set(foyer.Email, "ann.lee@x.ca"))
	f.counts(f.upload(f.hr, "EMAIL,TITLE\nann@x.ca,Chief\n"), foyer.Counts{Updated: 1})
	f.emails("ann.lee@x.ca")
	f.value("ann.lee@x.ca", foyer.Title, "Chief")
}

func TestR2_AliasMovesWhenTheCurrentEmailIsInTheFile(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL\nann@x.ca\n")
	f.edit("ann@x.ca", set(foyer.Email, "ann.lee@x.ca"))
	f.counts(f.upload(f.hr, "EMAIL\nann@x.ca\nann.lee@x.ca\n"), foyer.Counts{Added: 1, Unchanged: 1})
	f.emails("ann.lee@x.ca", "ann@x.ca")
}

func TestR4_SourceOverwritesWhatWasTypedByHand(t *testing.T) {
	f := newFixture(t)
	f.add(reconcile.Edit{Values: map[foyer.Field]string{foyer.Email: "ann@x.ca", foyer.Title: "Boss"}})
	f.upload(f.hr, "EMAIL,TITLE\nann@x.ca,Chief\n")
	f.value("ann@x.ca", foyer.Title, "Chief")
	f.owner("ann@x.ca", foyer.Title, f.hr)
}

func TestR5_EmptyFieldSaysNothing(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,TITLE\nann@x.ca,Boss\n")
	f.counts(f.upload(f.hr, "EMAIL,TITLE\nann@x.ca,\n"), foyer.Counts{Unchanged: 1})
	f.value("ann@x.ca", foyer.Title, "Boss")
}

func TestR5_MissingColumnSaysNothing(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,TITLE,SITE,ENABLED\nann@x.ca,Boss,Toronto,no\n")
	f.counts(f.upload(f.hr, "EMAIL\nann@x.ca\n"), foyer.Counts{Unchanged: 1})
	f.value("ann@x.ca", foyer.Title, "Boss")
	f.sites("ann@x.ca", f.toronto)
	f.status("ann@x.ca", "disabled (source)")
}

func TestR7_HandEditLastsUntilTheOwnersNextSyncOfTheSameFile(t *testing.T) {
	f := newFixture(t)
	const file = "EMAIL,TITLE\nann@x.ca,Boss\n"
	f.upload(f.hr, file)
	f.edit("ann@x.ca", set(foyer.Title, "Chief"))
	f.owner("ann@x.ca", foyer.Title, f.hr)
	f.counts(f.upload(f.hr, file), foyer.Counts{Updated: 1})
	f.value("ann@x.ca", foyer.Title, "Boss")
}

func TestR7_HandEditOutlastsTheSyncOfAnotherSource(t *testing.T) {
	f := newFixture(t)
	second := f.source(foyer.Source{Name: "second"})
	f.upload(f.hr, "EMAIL,TITLE\nann@x.ca,Boss\n")
	f.edit("ann@x.ca", set(foyer.Title, "Chief"))
	f.upload(second, "EMAIL,TITLE\nann@x.ca,Clerk\n")
	f.value("ann@x.ca", foyer.Title, "Chief")
}

func TestR8_OlderSourceWinsByDefaultAndTheyNeverTakeTurns(t *testing.T) {
	f := newFixture(t)
	second := f.source(foyer.Source{Name: "second"})
	for range 2 {
		f.upload(second, "EMAIL,TITLE\nann@x.ca,Clerk\n")
		f.upload(f.hr, "EMAIL,TITLE\nann@x.ca,Boss\n")
	}
	f.counts(f.upload(second, "EMAIL,TITLE\nann@x.ca,Clerk\n"), foyer.Counts{Unchanged: 1})
	f.value("ann@x.ca", foyer.Title, "Boss")
}

func TestR8_HigherPriorityReplaces(t *testing.T) {
	f := newFixture(t)
	second := f.source(foyer.Source{Name: "second", Priority: 1})
	f.upload(f.hr, "EMAIL,TITLE\nann@x.ca,Boss\n")
	f.upload(second, "EMAIL,TITLE\nann@x.ca,Clerk\n")
	f.upload(f.hr, "EMAIL,TITLE\nann@x.ca,Chief\n")
	f.value("ann@x.ca", foyer.Title, "Clerk")
	f.owner("ann@x.ca", foyer.Title, second)
}

func TestR8_AnySourceReplacesOnceTheOwnerNoLongerClaims(t *testing.T) {
	f := newFixture(t)
	second := f.source(foyer.Source{Name: "second"})
	const clerk = "EMAIL,TITLE\nann@x.ca,Clerk\n"
	f.upload(f.hr, "EMAIL,TITLE\nann@x.ca,Boss\n")
	f.upload(second, clerk)
	f.upload(f.hr, "EMAIL\nbob@x.ca\n")
	f.value("ann@x.ca", foyer.Title, "Boss")
	f.upload(second, clerk)
	f.value("ann@x.ca", foyer.Title, "Clerk")
}

func TestR8_EqualValueMakesTheSourceTheOwner(t *testing.T) {
	f := newFixture(t)
	f.add(reconcile.Edit{Values: map[foyer.Field]string{foyer.Email: "ann@x.ca", foyer.Title: "Boss"}})
	f.counts(f.upload(f.hr, "EMAIL,TITLE\nann@x.ca,Boss\n"), foyer.Counts{Unchanged: 1})
	f.owner("ann@x.ca", foyer.Title, f.hr)
}

func TestR8_FieldKnowsItsRunAndItsValueBefore(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,TITLE\nann@x.ca,Boss\n")
	run := f.upload(f.hr, "EMAIL,TITLE\nann@x.ca,Chief\n")
	want := foyer.Origin{Owner: f.hr, Run: run.ID, Before: "Boss"}
	if got := f.entry("ann@x.ca").Origins[foyer.Title]; got != want {
		t.Errorf("origin = %+v, want %+v", got, want)
	}
}

func TestR9_ASCIIExportOfAnAccentedNameCountsAsEqual(t *testing.T) {
	for _, export := range []string{"Ren?e", "Rene?e"} { // of NFC and of NFD
		f := newFixture(t)
		f.upload(f.hr, "EMAIL,FIRSTNAME\nann@x.ca,Renée\n")
		f.counts(f.upload(f.hr, "EMAIL,FIRSTNAME\nann@x.ca,"+export+"\n"), foyer.Counts{Unchanged: 1})
		f.value("ann@x.ca", foyer.FirstName, "Renée")
	}
}

func TestR9_AnotherValueWithALostLetterIsStoredWithAWarning(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,FIRSTNAME\nann@x.ca,Renée\n")
	run := f.upload(f.hr, "EMAIL,FIRSTNAME\nann@x.ca,Zo?\n")
	f.counts(run, foyer.Counts{Updated: 1, Warnings: 1})
	if got := run.Problems[0]; got.Line != 2 || got.Value != "Zo?" {
		t.Errorf("problem = %+v", got)
	}
	f.value("ann@x.ca", foyer.FirstName, "Zo?")
}

func TestR9_EmptyDisplayNameIsComparedAsFirstAndLast(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,FIRSTNAME,LASTNAME,NAME\nann@x.ca,Ann,Lee,Ann Lee\n")
	f.value("ann@x.ca", foyer.DisplayName, "")
}

func TestR9_DisplayNameIsSplitAsAGuess(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,NAME\nann@x.ca,Ann Lee\nrob@x.ca,\"Jones, Rob\"\n")
	f.value("ann@x.ca", foyer.LastName, "Lee")
	f.value("rob@x.ca", foyer.FirstName, "Rob")
	if !f.entry("rob@x.ca").Origins[foyer.LastName].Guess {
		t.Error("the last name is no guess")
	}
}

func TestR9_GuessReplacesItsOwnEarlierGuess(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,NAME\nann@x.ca,Ann Lee\n")
	f.upload(f.hr, "EMAIL,NAME\nann@x.ca,Ann Smith\n")
	f.value("ann@x.ca", foyer.LastName, "Smith")
}

func TestR9_GuessReplacesNothingElse(t *testing.T) {
	f := newFixture(t)
	second := f.source(foyer.Source{Name: "second", Priority: 1})
	f.upload(f.hr, "EMAIL,LASTNAME\nann@x.ca,Lee\n")
	f.upload(second, "EMAIL,NAME\nann@x.ca,Ann Smith\n")
	f.value("ann@x.ca", foyer.LastName, "Lee")
	f.value("ann@x.ca", foyer.FirstName, "Ann")
}

func TestR9_ValueOfALowerSourceReplacesAGuess(t *testing.T) {
	f := newFixture(t)
	second := f.source(foyer.Source{Name: "second", Priority: 1})
	f.upload(second, "EMAIL,NAME\nann@x.ca,Ann Smith\n")
	f.upload(f.hr, "EMAIL,LASTNAME\nann@x.ca,Lee\n")
	f.value("ann@x.ca", foyer.LastName, "Lee")
	f.owner("ann@x.ca", foyer.LastName, f.hr)
}

func TestR9_PhoneIsStoredAsGivenAndNormalisedBeside(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,MOBILE\nann@x.ca,(416) 555-0100\n")
	f.value("ann@x.ca", foyer.Mobile, "(416) 555-0100")
	if got := f.entry("ann@x.ca").E164[0]; got != "+14165550100" {
		t.Errorf("normalised to %q", got)
	}
}

func TestR9_BadPhoneIsAWarningEachTime(t *testing.T) {
	f := newFixture(t)
	f.counts(f.upload(f.hr, "EMAIL,MOBILE\nann@x.ca,12\n"), foyer.Counts{Added: 1, Warnings: 1})
	f.counts(f.upload(f.hr, "EMAIL,MOBILE\nann@x.ca,12\nbob@x.ca,\n"), foyer.Counts{Added: 1, Unchanged: 1, Warnings: 1})
	f.value("ann@x.ca", foyer.Mobile, "12")
}

func TestR16_OfEachFieldTheLastValueThatIsNotEmptyWins(t *testing.T) {
	f := newFixture(t)
	run := f.upload(f.hr, "EMAIL,TITLE,DIVISION\nann@x.ca,Boss,Sales\nbob@x.ca,,\nAnn@x.ca,Chief,\n")
	f.counts(run, foyer.Counts{Added: 2, Warnings: 1})
	f.value("Ann@x.ca", foyer.Title, "Chief")
	f.value("Ann@x.ca", foyer.Division, "Sales")
	if p := run.Problems[0]; p.Line != 4 || !strings.Contains(p.Message, "line 2") {
		t.Errorf("the warning does not name both lines: %v", p)
	}
}

func TestR17_EditClearsTheHash(t *testing.T) {
	for name, edit := range map[string]reconcile.Edit{
		"value": set(foyer.Title, "Chief"), "site": {AddSites: []foyer.SiteID{1}}, "permanent": {Permanent: new(true)},
		"disabled": {Enabled: new(false)}, "notes": {Notes: new("n")},
	} {
		f := newFixture(t)
		f.upload(f.hr, "EMAIL,TITLE\nann@x.ca,Boss\nbob@x.ca,Boss\n")
		id := f.entry("ann@x.ca").ID
		if f.claim(f.hr, id).Hash == (foyer.Hash{}) {
			t.Fatal("there is no hash to clear")
		}
		f.edit("ann@x.ca", edit)
		if f.claim(f.hr, id).Hash != (foyer.Hash{}) {
			t.Errorf("%s: the hash is not cleared", name)
		}
	}
}

func TestR17_AnotherClaimComingAndGoingClearsTheHash(t *testing.T) {
	f := newFixture(t)
	second := f.source(foyer.Source{Name: "second"})
	const file = "EMAIL,TITLE\nann@x.ca,Boss\n"
	f.upload(f.hr, file)
	id := f.entry("ann@x.ca").ID
	for _, other := range []string{"EMAIL\nann@x.ca\n", "EMAIL\nbob@x.ca\n"} {
		f.upload(f.hr, file)
		f.upload(second, other)
		if f.claim(f.hr, id).Hash != (foyer.Hash{}) {
			t.Errorf("after %q the hash is not cleared", other)
		}
	}
}

func TestR17_NewSiteMakesAnErrorOfYesterdayGood(t *testing.T) {
	f := newFixture(t)
	const file = "EMAIL,SITE\nann@x.ca,Ottawa\nbob@x.ca,Toronto\n"
	f.counts(f.upload(f.hr, file), foyer.Counts{Added: 1, Errors: 1})
	ottawa := f.site(foyer.Site{Name: "Ottawa"})
	f.counts(f.upload(f.hr, file), foyer.Counts{Added: 1, Unchanged: 1})
	f.sites("ann@x.ca", ottawa)
}

func TestR17_NewSiteMakesAnOfficeOfYesterdayASite(t *testing.T) {
	f := newFixture(t)
	const file = "EMAIL,OFFICE\nann@x.ca,Ottawa\n"
	f.counts(f.upload(f.hr, file), foyer.Counts{Added: 1, Warnings: 1})
	f.sites("ann@x.ca")
	ottawa := f.site(foyer.Site{Name: "Ottawa"})
	f.counts(f.upload(f.hr, file), foyer.Counts{Updated: 1})
	f.sites("ann@x.ca", ottawa)
}
