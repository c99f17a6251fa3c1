package reconcile_test

import (
	"testing"
	"time"

	"foyer"
	"foyer/reconcile"
)

const boss = "EMAIL,TITLE\nann@x.ca,Boss\n"

func TestR6_KeptValueIsNotOverwritten(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, boss)
	f.edit("ann@x.ca", reconcile.Edit{Values: map[foyer.Field]string{foyer.Title: "Queen"}, Keep: []foyer.Field{foyer.Title}})
	f.upload(f.hr, boss)
	f.upload(f.hr, "EMAIL,TITLE\nann@x.ca,Chief\n")
	f.value("ann@x.ca", foyer.Title, "Queen")
}

// TestR6_R17_ReleasedValueIsTheOwnersAgain holds that the next sync replaces it, though the file did not change.
func TestR6_R17_ReleasedValueIsTheOwnersAgain(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, boss)
	f.edit("ann@x.ca", reconcile.Edit{Values: map[foyer.Field]string{foyer.Title: "Queen"}, Keep: []foyer.Field{foyer.Title}})
	f.upload(f.hr, boss)
	f.edit("ann@x.ca", reconcile.Edit{Release: []foyer.Field{foyer.Title}})
	f.value("ann@x.ca", foyer.Title, "Queen")
	f.upload(f.hr, boss)
	f.value("ann@x.ca", foyer.Title, "Boss")
}

// TestR6_R17_KeepEnds holds that a keep ends by itself, though neither file nor entry changed, and the very same bytes come again.
func TestR6_R17_KeepEnds(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, boss)
	f.edit("ann@x.ca", reconcile.Edit{Values: map[foyer.Field]string{foyer.Title: "Queen"}, Keep: []foyer.Field{foyer.Title}, KeepUntil: f.clock.Now().Add(3 * day)})
	f.upload(f.hr, boss)
	f.upload(f.hr, boss)
	f.clock.Move(3*day - time.Second)
	f.upload(f.hr, boss)
	f.value("ann@x.ca", foyer.Title, "Queen")
	f.clock.Move(time.Second)
	run := f.upload(f.hr, boss)
	f.value("ann@x.ca", foyer.Title, "Boss")
	f.counts(run, foyer.Counts{Updated: 1})
	if k := f.entry("ann@x.ca").Keeps[foyer.Title]; k != (foyer.Keep{}) {
		t.Errorf("the keep is noted still: %+v", k)
	}
}

// TestR6_EndOfAKeepLetsEachSourceSpeak holds that of two sources the owner speaks again, whichever syncs first.
func TestR6_EndOfAKeepLetsEachSourceSpeak(t *testing.T) {
	f := newFixture(t)
	other := f.source(foyer.Source{Name: "other", Priority: 5, LeaveHandMade: true})
	f.upload(f.hr, boss)
	f.upload(other, "EMAIL,TITLE\nann@x.ca,Chief\n")
	f.edit("ann@x.ca", reconcile.Edit{Values: map[foyer.Field]string{foyer.Title: "Queen"}, Keep: []foyer.Field{foyer.Title}, KeepUntil: f.clock.Now().Add(day)})
	f.upload(f.hr, boss)
	f.upload(other, "EMAIL,TITLE\nann@x.ca,Chief\n")
	f.clock.Move(2 * day)
	f.upload(f.hr, boss)
	f.value("ann@x.ca", foyer.Title, "Queen")
	f.upload(other, "EMAIL,TITLE\nann@x.ca,Chief\n")
	f.value("ann@x.ca", foyer.Title, "Chief")
}

func TestR6_KeptEmptyValueStaysEmpty(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,DISPLAYNAME\nann@x.ca,Ann Lee\n")
	f.edit("ann@x.ca", reconcile.Edit{Values: map[foyer.Field]string{foyer.FirstName: ""}, Keep: []foyer.Field{foyer.FirstName}})
	f.upload(f.hr, "EMAIL,DISPLAYNAME\nann@x.ca,Ann Lee\n")
	f.value("ann@x.ca", foyer.FirstName, "")
}

func TestR6_R2_KeptEmailIsNotRenamed(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, two)
	f.edit("ann@x.ca", reconcile.Edit{Keep: []foyer.Field{foyer.Email}})
	run := f.upload(f.hr, "EMAIL,TITLE,EMPLOYEEID\nlee@x.ca,Boss,1\nbob@x.ca,Clerk,2\n")
	f.emails("ann@x.ca", "bob@x.ca")
	f.warns(run, "renamed?")
}

// TestR8_NoTakingTurns holds that two sources which differ never take turns, however often they alternate.
func TestR8_NoTakingTurns(t *testing.T) {
	f := newFixture(t)
	other := f.source(foyer.Source{Name: "other", LeaveHandMade: true})
	f.upload(other, "EMAIL,TITLE\nann@x.ca,Clerk\n")
	f.upload(f.hr, boss)
	for range 5 {
		if run := f.upload(other, "EMAIL,TITLE\nann@x.ca,Clerk\n"); run.Updated != 0 {
			t.Errorf("the other source changed her: %+v", run.Counts)
		}
		if run := f.upload(f.hr, boss); run.Updated != 0 {
			t.Errorf("hr changed her: %+v", run.Counts)
		}
	}
	f.value("ann@x.ca", foyer.Title, "Boss")
}
