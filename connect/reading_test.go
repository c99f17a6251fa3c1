package connect_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"foyer"
	"foyer/connect"
	"foyer/entra/entratest"
	"foyer/reconcile"
)

func TestReading_NothingIsInTheBookBeforeItIsConfirmed(t *testing.T) {
	f := newFixture(t)
	f.people("ann@acme.com", "bob@acme.com")
	session, _ := f.connect()
	f.wantState(foyer.Confirming)
	f.tick()
	if len(f.book()) > 0 || len(f.runs()) > 0 {
		t.Errorf("the book has %v, and runs %v", f.book(), f.runs())
	}
	view, err := f.Show(t.Context(), session, browser, here)
	f.must(err)
	if view.Plan == nil || view.Plan.Counts.Added != 3 || view.Connection.TenantName != "Acme" || !slices.Contains(view.Connection.Domains, "acme.ca") {
		t.Fatalf("the page shows %+v of %+v", view.Plan, view.Connection)
	}
	f.act(session, connect.ActConfirm)
	f.tick()
	f.wantState(foyer.Connected)
	if len(f.book()) != 3 || f.enabled() != 3 {
		t.Errorf("the book has %v", f.book())
	}
	if run := f.runs()[0]; run.Actor != "person of Microsoft Entra" || run.Added != 3 {
		t.Errorf("the run is %+v", run)
	}
}

func TestReading_FieldsManagersGuestsAndTheDisabled(t *testing.T) {
	f := newFixture(t)
	boss := f.tenant.Add(entratest.User{Mail: "boss@acme.com", DisplayName: "Zoé Boss"})
	f.tenant.Add(entratest.User{Mail: "ann@acme.com", GivenName: "Ann", Surname: "Lee", DisplayName: "Lee, Ann", JobTitle: "Clerk", Department: "Sales", OfficeLocation: "montreal",
		MobilePhone: "416-555-0100", BusinessPhones: []string{"416-555-0101", "x"}, Manager: boss.ID})
	f.tenant.Add(entratest.User{Mail: "gone@acme.com", Disabled: true})
	f.tenant.Add(entratest.User{UserPrincipalName: "nomail@acme.com"})
	f.tenant.Add(entratest.User{Mail: "guest@other.com", UserType: "Guest"})
	session := f.connected()
	book := f.book()
	ann := book["ann@acme.com"]
	if len(book) != 4 || ann == nil {
		t.Fatalf("the book has %v", book)
	}
	for field, want := range map[foyer.Field]string{foyer.FirstName: "Ann", foyer.LastName: "Lee", foyer.DisplayName: "Lee, Ann", foyer.Title: "Clerk", foyer.Division: "Sales", foyer.Mobile: "416-555-0100",
		foyer.DeskPhone: "416-555-0101", foyer.Manager: "boss@acme.com"} {
		if got := ann.Values[field]; got != want {
			t.Errorf("%s is %q, want %q", field, got, want)
		}
	}
	if !slices.Equal(ann.Sites, []foyer.SiteID{f.montreal}) {
		t.Errorf("ann is at %v", ann.Sites)
	}
	if gone := book["gone@acme.com"]; gone.Enabled || gone.Reason != foyer.BySource {
		t.Errorf("who is disabled there is %v here", gone.StatusNow())
	}
	f.set(session, func(s *foyer.EntraSettings) {
		s.Guests, s.PrincipalNames, s.NoOffices, s.Attributes = true, true, true, map[string]string{"division": "officeLocation"}
	})
	book = f.book()
	if len(book) != 6 || book["guest@other.com"] == nil || book["nomail@acme.com"] == nil || book["ann@acme.com"].Values[foyer.Division] != "montreal" {
		t.Errorf("the book has %v", book)
	}
}

func TestReading_ChangesFollow(t *testing.T) {
	for name, habits := range map[string]entratest.Habits{"whole": {}, "partial": {Partial: true}, "hard": {PageSize: 2, EmptyEvery: 2, Repeat: 1, Replay: true, Partial: true, RemovedFirst: true}} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.fake.SetHabits(habits)
			all := f.people("ann@acme.com", "bob@acme.com", "cat@acme.com", "dan@acme.com", "eve@acme.com", "fay@acme.com")
			f.connected()
			f.tenant.Update(all[0].ID, func(u *entratest.User) { u.JobTitle = "Chief" })
			f.tenant.Update(all[1].ID, func(u *entratest.User) { u.Mail = "robert@acme.com" })
			f.tenant.SoftDelete(all[2].ID)
			f.tenant.Delete(all[3].ID)
			f.tenant.Update(all[4].ID, func(u *entratest.User) { u.DisplayName = "" })
			f.people("new@acme.com")
			f.later()
			book := f.book()
			if book["ann@acme.com"].Values[foyer.Title] != "Chief" || book["ann@acme.com"].Values[foyer.FirstName] == "" || book["robert@acme.com"] == nil || book["bob@acme.com"] != nil {
				t.Errorf("the book has %v", book)
			}
			for _, email := range []string{"cat@acme.com", "dan@acme.com"} {
				if e := book[email]; e.Enabled || e.Reason != foyer.Absent {
					t.Errorf("%s is %v", email, e.StatusNow())
				}
			}
			if book["eve@acme.com"].Values[foyer.DisplayName] == "" || book["new@acme.com"] == nil {
				t.Errorf("what is cleared says nothing (R5), and who is new is there: %v", book)
			}
			f.tenant.Restore(all[2].ID)
			f.later()
			if !f.book()["cat@acme.com"].Enabled {
				t.Error("who comes back is not enabled again")
			}
		})
	}
}

func TestReading_NothingChangedMakesNoRun(t *testing.T) {
	f := newFixture(t)
	f.people("ann@acme.com")
	f.connected()
	before := len(f.runs())
	for range 5 {
		f.later()
	}
	if len(f.runs()) != before {
		t.Errorf("%d runs were made though nothing changed", len(f.runs())-before)
	}
	f.clock.Move(24 * time.Hour)
	f.tick()
	if len(f.runs()) != before+1 {
		t.Errorf("after a day there are %d more runs, want 1", len(f.runs())-before)
	}
}

func TestReading_GroupsSayTheSite(t *testing.T) {
	f := newFixture(t)
	all := f.people("ann@acme.com", "bob@acme.com", "cat@acme.com")
	inner := f.tenant.AddGroup("Inner", all[1].ID)
	outer := f.tenant.AddGroup("Toronto staff", all[0].ID, inner)
	other := f.tenant.AddGroup("Montreal staff", all[1].ID)
	session := f.connected()
	f.set(session, func(s *foyer.EntraSettings) {
		s.Groups = []foyer.GroupSite{{Group: outer, Site: f.toronto}, {Group: other, Site: f.montreal}}
	})
	sites := func(email string, want ...foyer.SiteID) {
		t.Helper()
		if got := f.book()[email].Sites; !slices.Equal(got, want) {
			t.Errorf("%s is at %v, want %v", email, got, want)
		}
	}
	sites("ann@acme.com", f.toronto)
	sites("bob@acme.com", f.toronto, f.montreal)
	sites("cat@acme.com")
	f.tenant.SetMembers(other, all[2].ID)
	f.later()
	sites("bob@acme.com", f.toronto)
	sites("cat@acme.com", f.montreal)
	f.set(session, func(s *foyer.EntraSettings) { s.OnlyGroups = true })
	if root := f.book()["root@acme.com"]; root.Enabled {
		t.Error("who is in no group is enabled still")
	}
	f.set(session, func(s *foyer.EntraSettings) { s.Groups = s.Groups[:1] })
	f.tenant.DeleteGroup(outer)
	f.later()
	if f.enabled() == 0 {
		t.Error("a group that is gone has disabled its members")
	}
	f.wantAlerts("unread")
	if c := f.one(); c.Failures != 0 || !strings.Contains(c.Problem, "Toronto staff") {
		t.Errorf("the connection says %+v", c)
	}
	f.set(session, func(s *foyer.EntraSettings) { s.OnlyGroups, s.Groups = false, nil })
	f.wantAlerts()
}

// TestR25_WhatWasUndoneWaitsADay holds that what somebody undid is not done again half an hour later.
func TestR25_WhatWasUndoneWaitsADay(t *testing.T) {
	f := newFixture(t)
	all := f.people("ann@acme.com", "bob@acme.com")
	f.connected()
	f.tenant.Update(all[0].ID, func(u *entratest.User) { u.JobTitle = "Chief" })
	f.later()
	undo(f, f.runs()[0].ID)
	f.later()
	if run := f.runs()[0]; run.Status != foyer.Held {
		t.Fatalf("the run is %s", run.Status)
	}
	for n := range 20 {
		f.tenant.Update(all[1].ID, func(u *entratest.User) { u.JobTitle = fmt.Sprint("Clerk ", n) })
		f.later()
	}
	if title := f.book()["ann@acme.com"].Values[foyer.Title]; title != "" {
		t.Errorf("it was done again: %q", title)
	}
	f.clock.Move(24 * time.Hour)
	f.tick()
	if title := f.book()["ann@acme.com"].Values[foyer.Title]; title != "Chief" {
		t.Errorf("after a day the title is %q", title)
	}
}

func TestReading_TooManyGoneIsHeld(t *testing.T) {
	f := newFixture(t)
	all := f.tenant.Populate(100, 1)
	f.connected()
	before := f.enabled()
	for _, u := range all[:60] {
		f.tenant.Delete(u.ID)
	}
	f.later()
	held := f.runs()[0]
	if f.enabled() != before || held.Status != foyer.Held {
		t.Fatalf("%d of %d are enabled; the run is %s", f.enabled(), before, held.Status)
	}
	f.wantAlerts("held")
	f.later()
	if f.runs()[0].ID != held.ID {
		t.Error("the same was held once more")
	}
	_, err := reconcile.Approve(t.Context(), f.store, f.operator, f.org.ID, held.ID)
	f.must(err)
	if f.enabled() >= before {
		t.Error("the approval took nobody away")
	}
	f.later()
	f.wantAlerts()
}

// TestReading_RejectedIsNotAskedAgainAtOnce holds that whoever said no is not asked the same every half hour.
func TestReading_RejectedIsNotAskedAgainAtOnce(t *testing.T) {
	f := newFixture(t)
	all := f.tenant.Populate(60, 1)
	f.connected()
	for _, u := range all[:40] {
		f.tenant.Delete(u.ID)
	}
	f.later()
	held := f.runs()[0]
	_, err := f.store.Reject(t.Context(), f.operator, f.org.ID, held.ID)
	f.must(err)
	for range 5 {
		f.later()
	}
	if newest := f.runs()[0]; newest.ID != held.ID {
		t.Errorf("%v is %s, though the same was rejected", newest.ID, newest.Status)
	}
	f.clock.Move(24 * time.Hour)
	f.tick()
	if newest := f.runs()[0]; newest.Status != foyer.Held || newest.ID == held.ID {
		t.Errorf("a day later %v is %s", newest.ID, newest.Status)
	}
}

func TestReading_EmptyTenantEmptiesNothing(t *testing.T) {
	f := newFixture(t)
	all := f.people("ann@acme.com", "bob@acme.com")
	f.connected()
	for _, u := range append(all, f.admin) {
		f.tenant.Delete(u.ID)
	}
	f.later()
	if f.enabled() != 3 {
		t.Errorf("%d are enabled", f.enabled())
	}
	if len(f.alerts()) != 1 {
		t.Errorf("the alerts are %v", f.alerts())
	}
}

func TestReading_ExpiredChangesAreReadAnew(t *testing.T) {
	for _, how := range []entratest.Reset{entratest.Gone, entratest.SyncStateNotFound, entratest.ResyncRequired} {
		t.Run(fmt.Sprint(how), func(t *testing.T) {
			f := newFixture(t)
			all := f.people("ann@acme.com", "bob@acme.com", "cat@acme.com")
			f.connected()
			f.tenant.Delete(all[0].ID)
			f.tenant.Reset(how)
			f.people("new@acme.com")
			f.later()
			book := f.book()
			if book["ann@acme.com"].Enabled || !book["new@acme.com"].Enabled || !book["bob@acme.com"].Enabled {
				t.Errorf("the book has %v", book)
			}
			f.wantAlerts()
		})
	}
}

func TestReading_SevenDaysPausedIsReadAnew(t *testing.T) {
	f := newFixture(t)
	all := f.people("ann@acme.com", "bob@acme.com")
	session := f.connected()
	f.act(session, connect.ActPause)
	f.tenant.Delete(all[0].ID)
	for range 10 {
		f.clock.Move(24 * time.Hour)
		f.tick()
	}
	if f.enabled() != 3 {
		t.Error("a paused tenant was read")
	}
	_, err := f.store.Connections(t.Context(), f.operator, f.org.ID)
	f.must(err)
	f.must(f.ActAs(t.Context(), f.operator, f.org.ID, f.one().Source, connect.ActResume))
	f.tick()
	if f.enabled() != 2 {
		t.Errorf("%d are enabled", f.enabled())
	}
}

// TestReading_DyingAtAnyPageDisablesNobody cuts a full reading, and one of changes, at each of its pages.
func TestReading_DyingAtAnyPageDisablesNobody(t *testing.T) {
	for _, full := range []bool{true, false} {
		f := newFixture(t)
		f.fake.SetHabits(entratest.Habits{PageSize: 10})
		all := f.tenant.Populate(95, 7)
		f.connected()
		before := f.enabled()
		for _, u := range all[:40] {
			f.tenant.Update(u.ID, func(u *entratest.User) { u.JobTitle += " II" })
		}
		gone := all[50:53]
		for _, u := range gone {
			f.tenant.Delete(u.ID)
		}
		for page := 1; page < 12; page++ {
			if full {
				f.must(f.ActAs(t.Context(), f.operator, f.org.ID, f.one().Source, connect.ActResync))
			} else {
				f.must(f.ActAs(t.Context(), f.operator, f.org.ID, f.one().Source, connect.ActSync))
			}
			seen := 0
			stop := f.fake.Fail(func(r *http.Request) *entratest.Failure {
				if r.URL.Path != "/v1.0/users/delta" {
					return nil
				}
				if seen++; seen < page {
					return nil
				}
				return &entratest.Failure{Cut: true}
			})
			f.tick()
			stop()
			if seen < page {
				break // there are no more pages
			}
			if f.enabled() != before {
				t.Fatalf("full %v: after dying at page %d %d of %d are enabled", full, page, f.enabled(), before)
			}
			f.wantAlerts("unread")
		}
		f.must(f.ActAs(t.Context(), f.operator, f.org.ID, f.one().Source, connect.ActSync))
		f.tick()
		if f.enabled() >= before {
			t.Errorf("full %v: once it is read whole nobody is gone", full)
		}
		f.wantAlerts()
	}
}
