package reconcile_test

import (
	"strings"
	"testing"

	"foyer"
	"foyer/reconcile"
)

func TestR10_SnapshotAddsWhoIsNew(t *testing.T) {
	f := newFixture(t)
	f.counts(f.upload(f.hr, "EMAIL\nann@x.ca\nbob@x.ca\n"), foyer.Counts{Added: 2})
	f.emails("ann@x.ca", "bob@x.ca")
	f.status("ann@x.ca", "enabled")
}

func TestR10_WhoIsNotListedIsDisabledNeverDeleted(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,TITLE\nann@x.ca,Boss\nbob@x.ca,\n")
	f.counts(f.upload(f.hr, "EMAIL,TITLE\nbob@x.ca,\n"), foyer.Counts{Disabled: 1, Unchanged: 1})
	f.status("ann@x.ca", "disabled (absent)")
	f.value("ann@x.ca", foyer.Title, "Boss")
	if !f.entry("ann@x.ca").HandMade() {
		t.Error("the claim is not withdrawn")
	}
}

func TestR10_WhoAnotherSourceListsStays(t *testing.T) {
	f := newFixture(t)
	second := f.source(foyer.Source{Name: "second"})
	f.upload(f.hr, "EMAIL\nann@x.ca\nbob@x.ca\n")
	f.upload(second, "EMAIL\nann@x.ca\n")
	f.counts(f.upload(f.hr, "EMAIL\nbob@x.ca\n"), foyer.Counts{Unchanged: 1})
	f.status("ann@x.ca", "enabled")
}

func TestR10_PermanentOutlastsItsSource(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,SITE\nann@x.ca,Toronto\nbob@x.ca,\n")
	f.edit("ann@x.ca", reconcile.Edit{Permanent: new(true)})
	f.upload(f.hr, "EMAIL\nbob@x.ca\n")
	f.status("ann@x.ca", "enabled")
	f.sites("ann@x.ca", f.toronto) // with no site they could be asked for everywhere
}

func TestR12_WhoIsEnabledByHandIsWhereTheyWereLast(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,SITE\nann@x.ca,Toronto\nbob@x.ca,\n")
	f.edit("ann@x.ca", reconcile.Edit{AddSites: []foyer.SiteID{f.montreal}})
	f.upload(f.hr, "EMAIL\nbob@x.ca\n")
	f.status("ann@x.ca", "disabled (absent)")
	f.edit("ann@x.ca", reconcile.Edit{Enabled: new(true)})
	f.sites("ann@x.ca", f.toronto, f.montreal)
	f.upload(f.hr, "EMAIL\nbob@x.ca\n") // R11
	f.edit("ann@x.ca", reconcile.Edit{Enabled: new(true), RemoveSites: []foyer.SiteID{f.toronto}})
	f.sites("ann@x.ca", f.montreal)
}

func TestR11_SnapshotDisablesHandMadeEntriesItDoesNotList(t *testing.T) {
	f := newFixture(t)
	f.add(set(foyer.Email, "ann@x.ca"))
	f.counts(f.upload(f.hr, "EMAIL\nbob@x.ca\n"), foyer.Counts{Added: 1, Disabled: 1})
	f.status("ann@x.ca", "disabled (absent)")
}

func TestR11_PermanentHandMadeEntryStays(t *testing.T) {
	f := newFixture(t)
	edit := set(foyer.Email, "ann@x.ca")
	edit.Permanent = new(true)
	f.add(edit)
	f.upload(f.hr, "EMAIL\nbob@x.ca\n")
	f.status("ann@x.ca", "enabled")
}

func TestR11_SourceMayLeaveHandMadeEntriesAlone(t *testing.T) {
	f := newFixture(t)
	f.add(set(foyer.Email, "ann@x.ca"))
	f.upload(f.source(foyer.Source{Name: "mild", LeaveHandMade: true}), "EMAIL\nbob@x.ca\n")
	f.status("ann@x.ca", "enabled")
}

func TestR11_WhatAnotherSourceClaimsIsNotTouched(t *testing.T) {
	f := newFixture(t)
	second := f.source(foyer.Source{Name: "second", Priority: 9})
	f.upload(f.hr, "EMAIL\nann@x.ca\n")
	before := f.entry("ann@x.ca")
	f.upload(second, "EMAIL\nbob@x.ca\n")
	if !sameEntry(before, f.entry("ann@x.ca")) {
		t.Error("it was touched")
	}
}

// siteSource makes a source that covers Toronto only.
func (f *fixture) siteSource() foyer.SourceID {
	f.t.Helper()
	return f.source(foyer.Source{Name: "desk", Site: f.toronto})
}

func TestR12_SitesAreThoseOfTheClaimsAndThoseGivenByHand(t *testing.T) {
	f := newFixture(t)
	ottawa := f.site(foyer.Site{Name: "Ottawa"})
	f.upload(f.siteSource(), "EMAIL\nann@x.ca\n")
	f.upload(f.hr, "EMAIL,SITE\nann@x.ca,MTL\n")
	f.edit("ann@x.ca", reconcile.Edit{AddSites: []foyer.SiteID{ottawa}})
	f.sites("ann@x.ca", f.toronto, f.montreal, ottawa)
}

func TestR12_SiteSourceWithdrawsItsOwnSiteOnly(t *testing.T) {
	f := newFixture(t)
	desk := f.siteSource()
	f.upload(f.hr, "EMAIL,SITE\nann@x.ca,Montréal\n")
	f.upload(desk, "EMAIL\nann@x.ca\nbob@x.ca\n")
	f.counts(f.upload(desk, "EMAIL\nbob@x.ca\n"), foyer.Counts{Updated: 1, Unchanged: 1})
	f.sites("ann@x.ca", f.montreal)
	f.status("ann@x.ca", "enabled")
}

func TestR12_SiteSourceTakesItsSiteFromAHandMadeEntry(t *testing.T) {
	f := newFixture(t)
	edit := set(foyer.Email, "ann@x.ca")
	edit.AddSites = []foyer.SiteID{f.toronto, f.montreal}
	f.add(edit)
	f.upload(f.siteSource(), "EMAIL\nbob@x.ca\n")
	f.sites("ann@x.ca", f.montreal)
	f.status("ann@x.ca", "enabled")
}

func TestR12_SiteSourceDisablesWhereNoSiteIsLeft(t *testing.T) {
	f := newFixture(t)
	edit := set(foyer.Email, "ann@x.ca")
	edit.AddSites = []foyer.SiteID{f.toronto}
	f.add(edit)
	f.upload(f.siteSource(), "EMAIL\nbob@x.ca\n")
	f.status("ann@x.ca", "disabled (absent)")
	f.sites("ann@x.ca", f.toronto) // for display
}

func TestR12_HandMadeEntryElsewhereOrNowhereIsOutsideASiteSource(t *testing.T) {
	f := newFixture(t)
	f.add(set(foyer.Email, "everywhere@x.ca"))
	edit := set(foyer.Email, "elsewhere@x.ca")
	edit.AddSites = []foyer.SiteID{f.montreal}
	f.add(edit)
	f.counts(f.upload(f.siteSource(), "EMAIL\nbob@x.ca\n"), foyer.Counts{Added: 1})
}

func TestR13_WhoComesBackIsEnabledAgain(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL\nann@x.ca\nbob@x.ca\n")
	f.upload(f.hr, "EMAIL\nbob@x.ca\n")
	f.counts(f.upload(f.hr, "EMAIL\nann@x.ca\nbob@x.ca\n"), foyer.Counts{Enabled: 1, Unchanged: 1})
	f.status("ann@x.ca", "enabled")
}

func TestR13_DisabledByHandStaysDisabled(t *testing.T) {
	f := newFixture(t)
	const file = "EMAIL,ENABLED\nann@x.ca,yes\n"
	f.upload(f.hr, file)
	f.edit("ann@x.ca", reconcile.Edit{Enabled: new(false)})
	f.upload(f.hr, file)
	f.status("ann@x.ca", "disabled (by hand)")
	f.upload(f.hr, "EMAIL\nbob@x.ca\n")
	f.upload(f.hr, file)
	f.status("ann@x.ca", "disabled (by hand)")
	f.edit("ann@x.ca", reconcile.Edit{Enabled: new(true)})
	f.status("ann@x.ca", "enabled")
}

func TestR13_ListedAsDisabledIsDisabledUntilListedAsEnabled(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,ENABLED\nann@x.ca,yes\n")
	f.counts(f.upload(f.hr, "EMAIL,ENABLED\nann@x.ca,0\n"), foyer.Counts{Disabled: 1})
	f.status("ann@x.ca", "disabled (source)")
	f.counts(f.upload(f.hr, "EMAIL,ENABLED\nann@x.ca,1\n"), foyer.Counts{Enabled: 1})
	f.status("ann@x.ca", "enabled")
}

func TestR13_SourceOfHighestPriorityDecidesTheStatus(t *testing.T) {
	f := newFixture(t)
	second := f.source(foyer.Source{Name: "second"})
	f.upload(f.hr, "EMAIL,ENABLED\nann@x.ca,no\n")
	f.upload(second, "EMAIL,ENABLED\nann@x.ca,yes\n")
	f.status("ann@x.ca", "disabled (source)")
	f.upload(f.hr, "EMAIL\nbob@x.ca\n") // absence says nothing: the second is the only one that says something
	f.status("ann@x.ca", "enabled")
}

func TestR14_SiteMatchesByNameOrAliasIgnoringCaseAccentsAndSpacing(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,SITE\nann@x.ca,MONTREAL\nbob@x.ca,mtl\ncat@x.ca,mont réal\n")
	for _, email := range []string{"ann@x.ca", "bob@x.ca", "cat@x.ca"} {
		f.sites(email, f.montreal)
	}
}

func TestR14_UnknownSiteIsAnErrorWithTheNearestName(t *testing.T) {
	f := newFixture(t)
	run := f.upload(f.hr, "EMAIL,SITE\nann@x.ca,Tornto\nbob@x.ca,Toronto\n")
	f.counts(run, foyer.Counts{Added: 1, Errors: 1})
	f.emails("bob@x.ca")
	if p := run.Problems[0]; p.Line != 2 || !strings.Contains(p.Message, "Toronto") {
		t.Errorf("problem = %v", p)
	}
}

func TestR14_UnknownSiteLeavesWhoExistsAsTheyAre(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,TITLE,SITE\nann@x.ca,Boss,Toronto\nbob@x.ca,,\n")
	before := f.entry("ann@x.ca")
	f.counts(f.upload(f.hr, "EMAIL,TITLE,SITE\nann@x.ca,Chief,Nowhere\nbob@x.ca,,\n"), foyer.Counts{Unchanged: 1, Errors: 1})
	if after := f.entry("ann@x.ca"); !sameEntry(before, after) {
		t.Errorf("from %+v to %+v", before, after)
	}
}

func TestR14_SeveralSitesInOneCellOrOnSeveralRows(t *testing.T) {
	f := newFixture(t)
	run := f.upload(f.hr, "EMAIL,SITE\nann@x.ca,Toronto;Montréal\nbob@x.ca,Toronto\nbob@x.ca,MTL\n")
	f.counts(run, foyer.Counts{Added: 2})
	f.sites("ann@x.ca", f.toronto, f.montreal)
	f.sites("bob@x.ca", f.toronto, f.montreal)
}

func TestR14_ForASiteSourceAnotherSiteIsAnErrorOfTheRow(t *testing.T) {
	f := newFixture(t)
	f.counts(f.upload(f.siteSource(), "EMAIL,SITE\nann@x.ca,Montréal\nbob@x.ca,\ncat@x.ca,toronto\n"), foyer.Counts{Added: 2, Errors: 1})
	f.emails("bob@x.ca", "cat@x.ca")
	f.sites("bob@x.ca", f.toronto)
}

func TestR14_EveryRowAtAnotherSiteIsForbidden(t *testing.T) {
	f := newFixture(t)
	if err := f.refused(f.siteSource(), "EMAIL,SITE\nann@x.ca,Montréal\nbob@x.ca,Montréal\n"); err.Kind != foyer.Forbidden {
		t.Errorf("kind %d: %v", err.Kind, err)
	}
}

func TestR14_OfficeCountsOnlyWhereItMatchesASite(t *testing.T) {
	f := newFixture(t)
	f.counts(f.upload(f.hr, "EMAIL,OFFICE\nann@x.ca,toronto\nbob@x.ca,5th floor\ncat@x.ca,6th floor\n"), foyer.Counts{Added: 3, Warnings: 1})
	f.sites("ann@x.ca", f.toronto)
	f.sites("bob@x.ca")
}

func TestR15_RowWithoutAnEmailIsSkippedAndCounted(t *testing.T) {
	f := newFixture(t)
	f.counts(f.upload(f.hr, "EMAIL,TITLE\nann@x.ca,Boss\n,Nobody\n"), foyer.Counts{Added: 1, Skipped: 1})
}

func TestR15_GoodRowsApplyBesideBadOnes(t *testing.T) {
	f := newFixture(t)
	f.counts(f.upload(f.hr, "EMAIL\nann@x.ca\nnonsense\n"), foyer.Counts{Added: 1, Errors: 1})
}

func TestR15_BadRowKeepsByItsEmailWhomItNames(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,TITLE,ENABLED\nann@x.ca,Boss,yes\nbob@x.ca,,yes\n")
	f.counts(f.upload(f.hr, "EMAIL,TITLE,ENABLED\nann@x.ca,Chief,perhaps\nbob@x.ca,,yes\n"), foyer.Counts{Unchanged: 1, Errors: 1})
	f.status("ann@x.ca", "enabled")
	f.value("ann@x.ca", foyer.Title, "Boss")
}

func TestR15_BadRowKeepsByItsFullNameIfExactlyOneHasIt(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,NAME\nann@x.ca,Ann Lee\nbob@x.ca,Bob Ray\nbob2@x.ca,Bob Ray\ncat@x.ca,Cat Fox\n")
	f.upload(f.hr, "EMAIL,NAME\nann.x.ca,Ann Lee\nbob.x.ca,Bob Ray\ncat@x.ca,Cat Fox\n")
	f.status("ann@x.ca", "enabled")
	f.status("bob@x.ca", "disabled (absent)")
	f.status("bob2@x.ca", "disabled (absent)")
}

func TestR15_AnotherRowOfThePersonWithAnErrorOnlyAddsSites(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,SITE\nann@x.ca,Toronto\n")
	f.upload(f.hr, "EMAIL,SITE\nann@x.ca,Montréal\nann@x.ca,Tornto\n")
	f.sites("ann@x.ca", f.toronto, f.montreal)
}
