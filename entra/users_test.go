package entra_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"foyer/entra"
	"foyer/entra/entratest"
)

// TestUsers_ReadsEverybody holds that a full read brings each person, over several pages, with all that is asked for and nothing else.
func TestUsers_ReadsEverybody(t *testing.T) {
	w := newWorld(t)
	w.acme.Populate(950, 1)
	p := must(t, w.tenant(), "")
	all := p.byID()
	for _, u := range w.acme.Users() {
		item, ok := all[u.ID]
		if !ok {
			t.Fatalf("%s is missing", u.UserPrincipalName)
		}
		for name, want := range map[string]string{"mail": u.Mail, "userPrincipalName": u.UserPrincipalName, "givenName": u.GivenName, "surname": u.Surname, "displayName": u.DisplayName,
			"jobTitle": u.JobTitle, "department": u.Department, "mobilePhone": u.MobilePhone, "officeLocation": u.OfficeLocation, "employeeId": u.EmployeeID, "userType": u.UserType} {
			if got := text(t, item, name); got != want {
				t.Errorf("%s is %q, not %q", name, got, want)
			}
		}
		if got, want := string(item.Attributes["accountEnabled"]), fmt.Sprint(!u.Disabled); got != want {
			t.Errorf("accountEnabled is %s, not %s", got, want)
		}
		if u.Manager != "" && (item.Manager == nil || *item.Manager != u.Manager) {
			t.Errorf("the manager of %s is not said", u.ID)
		}
		for name := range item.Attributes {
			if !slices.Contains(entra.Attributes(), name) {
				t.Errorf("%q was not asked for", name)
			}
		}
	}
	if len(all) != len(w.acme.Users()) || p.pages < 5 || p.link == "" {
		t.Errorf("there were %d people on %d pages, and the deltaLink %q", len(all), p.pages, p.link)
	}
}

// text returns an attribute that is a text, "" for null and for none.
func text(t *testing.T, item entra.Item, name string) string {
	t.Helper()
	var s *string
	if raw, ok := item.Attributes[name]; ok {
		if err := json.Unmarshal(raw, &s); err != nil {
			t.Fatalf("%s is %s: %v", name, raw, err)
		}
	}
	if s == nil {
		return ""
	}
	return *s
}

// TestUsers_AsksForNothingButWhatIsRead holds the first request, and that links are followed as they are.
func TestUsers_AsksForNothingButWhatIsRead(t *testing.T) {
	w := newWorld(t)
	w.SetHabits(entratest.Habits{PageSize: 2})
	w.acme.Populate(3, 1)
	must(t, w.tenant(), "")
	var queries []string
	for _, r := range w.Requests() {
		if r.Server == entratest.Graph {
			queries = append(queries, r.Query)
		}
	}
	q, err := url.ParseQuery(queries[0])
	if err != nil || len(q) != 1 || q.Get("$select") != "id,"+strings.Join(entra.Attributes(), ",")+",manager" {
		t.Errorf("the first request asks for %q", queries[0])
	}
	if len(queries) != 2 || !strings.HasPrefix(queries[1], "$skiptoken=") {
		t.Errorf("the requests are %q", queries)
	}
}

// TestUsers_Delta holds what a second read brings: who changed, and how; null for what was cleared.
func TestUsers_Delta(t *testing.T) {
	for name, habits := range map[string]entratest.Habits{"whole": {}, "partial": {Partial: true}, "empty pages": {EmptyEvery: 2, PageSize: 1}, "repeats": {Repeat: 3, PageSize: 2}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.SetHabits(habits)
			people := w.acme.Populate(20, 1)
			changed, cleared, left, gone, boss := people[0], people[1], people[2], people[3], people[4]
			w.acme.Update(cleared.ID, func(u *entratest.User) { u.JobTitle, u.Manager = "Porter", boss.ID })
			link := must(t, w.tenant(), "").link
			w.acme.Update(changed.ID, func(u *entratest.User) { u.JobTitle, u.Manager = "Head of Doors", w.ann.ID })
			w.acme.Update(cleared.ID, func(u *entratest.User) { u.JobTitle, u.Manager = "", "" })
			w.acme.SoftDelete(left.ID)
			w.acme.Delete(gone.ID)
			p := must(t, w.tenant(), link)
			all := p.byID()
			if len(all) != 4 {
				t.Errorf("%d people changed, not 4", len(all))
			}
			if got := all[changed.ID]; text(t, got, "jobTitle") != "Head of Doors" || got.Manager == nil || *got.Manager != w.ann.ID || got.Removed != "" {
				t.Errorf("who changed is %+v", got)
			}
			if got := all[cleared.ID]; string(got.Attributes["jobTitle"]) != "null" || got.Manager == nil || *got.Manager != "" {
				t.Errorf("whose title and manager were cleared is %+v", got)
			}
			if got := all[left.ID]; got.Removed != entra.RemovedChanged || got.Attributes != nil {
				t.Errorf("who was deleted is %+v", got)
			}
			if got := all[gone.ID]; got.Removed != entra.RemovedDeleted {
				t.Errorf("who was deleted for good is %+v", got)
			}
			if _, said := all[changed.ID].Attributes["mail"]; said == habits.Partial {
				t.Errorf("the mail is said: %v", said)
			}
			w.acme.Restore(left.ID)
			if got := must(t, w.tenant(), p.link).byID(); len(got) != 1 || got[left.ID].Removed != "" || text(t, got[left.ID], "mail") != left.Mail {
				t.Errorf("who was restored is %+v", got)
			}
		})
	}
}

// TestUsers_NothingChanged holds that a read of nothing is one: its page is handed on, and it has a deltaLink.
func TestUsers_NothingChanged(t *testing.T) {
	w := newWorld(t)
	link := must(t, w.tenant(), "").link
	if p := must(t, w.tenant(), link); p.pages != 1 || len(p.items) != 0 || p.link == "" {
		t.Errorf("nothing is %+v", p)
	}
}

// TestUsers_ReplaysAreHandedOn holds that the Graph may tell of changes again, and that it does not disturb.
func TestUsers_ReplaysAreHandedOn(t *testing.T) {
	w := newWorld(t)
	w.SetHabits(entratest.Habits{Replay: true, RemovedFirst: true})
	people := w.acme.Populate(5, 1)
	w.acme.SoftDelete(people[0].ID)
	first := must(t, w.tenant(), "")
	if first.byID()[people[0].ID].Removed != entra.RemovedChanged {
		t.Error("the first round may name the deleted")
	}
	w.acme.Update(people[1].ID, func(u *entratest.User) { u.JobTitle = "One" })
	second := must(t, w.tenant(), first.link)
	w.acme.Update(people[2].ID, func(u *entratest.User) { u.JobTitle = "Two" })
	third := must(t, w.tenant(), second.link).byID()
	if text(t, third[people[1].ID], "jobTitle") != "One" || text(t, third[people[2].ID], "jobTitle") != "Two" {
		t.Errorf("the replay is %+v", third)
	}
}

// TestUsers_Resync holds the ways in which the Graph says that all has to be read anew, and that it then can be.
func TestUsers_Resync(t *testing.T) {
	for name, how := range map[string]entratest.Reset{"410": entratest.Gone, "400 syncStateNotFound": entratest.SyncStateNotFound, "400 resyncRequired": entratest.ResyncRequired} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			link := must(t, w.tenant(), "").link
			w.acme.Reset(how)
			p, err := read(t, w.tenant(), link)
			if e := wantKind(t, err, entra.Resync); p.pages != 0 || e.Code == "" {
				t.Errorf("there were %d pages, and the error is %v", p.pages, e)
			}
			must(t, w.tenant(), "")
		})
	}
	t.Run("a week later", func(t *testing.T) {
		w := newWorld(t)
		link := must(t, w.tenant(), "").link
		w.clock.forward(7 * 24 * time.Hour)
		_, err := read(t, w.tenant(), link)
		wantKind(t, err, entra.Resync)
	})
	t.Run("a link of another tenant", func(t *testing.T) {
		w := newWorld(t)
		other := w.Fake.Tenant("Other", "other.com")
		other.Consent(w.registration)
		link := must(t, w.app.Tenant(other.ID), "").link
		_, err := read(t, w.tenant(), link)
		wantKind(t, err, entra.Resync)
	})
	t.Run("in the middle", func(t *testing.T) {
		w := newWorld(t)
		w.acme.Populate(500, 1)
		w.FailAt("/delta", 2, entratest.Failure{Status: 400, Code: "Directory_ExpiredPageToken"})
		p, err := read(t, w.tenant(), "")
		wantKind(t, err, entra.Resync)
		if p.pages != 1 || p.link != "" {
			t.Errorf("there were %d pages, and the deltaLink %q", p.pages, p.link)
		}
	})
	t.Run("not of a first request", func(t *testing.T) {
		w := newWorld(t)
		w.FailAt("/delta", 1, entratest.Failure{Status: 400})
		_, err := read(t, w.tenant(), "")
		wantKind(t, err, entra.Invalid)
	})
}

// TestUsers_ErrorOfThePageEndsIt holds that the caller's own error comes back as it is.
func TestUsers_ErrorOfThePageEndsIt(t *testing.T) {
	w := newWorld(t)
	w.acme.Populate(500, 1)
	full := errors.New("full")
	link, err := w.tenant().Users(t.Context(), "", func([]entra.Item) error { return full })
	if err != full || link != "" {
		t.Errorf("it ended with %q, %v", link, err)
	}
	if n := w.Count(entratest.Graph, "/delta"); n != 1 {
		t.Errorf("%d pages were read", n)
	}
}

// TestUsers_LinksInACircle holds that a read ends although the Graph leads it round.
func TestUsers_LinksInACircle(t *testing.T) {
	w := newWorld(t)
	n := 0
	w.Fail(func(r *http.Request) *entratest.Failure {
		if !strings.HasSuffix(r.URL.Path, "/delta") {
			return nil
		}
		n++
		return &entratest.Failure{Status: 200, Body: fmt.Sprintf(`{"value":[],"@odata.nextLink":"%s/v1.0/users/delta?$skiptoken=%d"}`, w.Graph, n%7)}
	})
	_, err := read(t, w.tenant(), "")
	wantKind(t, err, entra.Unavailable)
	if n > 40 {
		t.Errorf("it went %d steps of a circle of 7", n)
	}
}

// TestUser_IsOnePerson holds that one person can be read alone, with the manager; null is what is not set.
func TestUser_IsOnePerson(t *testing.T) {
	w := newWorld(t)
	bo := w.acme.Add(entratest.User{Mail: "bo@acme.com", GivenName: "Bo", BusinessPhones: []string{"+49 30 1"}, Manager: w.ann.ID})
	item, err := w.tenant().User(t.Context(), strings.ToUpper(bo.ID))
	if err != nil {
		t.Fatal(err)
	}
	if item.ID != bo.ID || text(t, *item, "givenName") != "Bo" || *item.Manager != w.ann.ID || string(item.Attributes["surname"]) != "null" || string(item.Attributes["businessPhones"]) != `["+49 30 1"]` {
		t.Errorf("the person is %+v", item)
	}
	if len(item.Attributes) != len(entra.Attributes()) {
		t.Errorf("%d attributes were read of %d", len(item.Attributes), len(entra.Attributes()))
	}
	if item, err = w.tenant().User(t.Context(), w.ann.ID); err != nil || *item.Manager != "" {
		t.Errorf("who has no manager is %+v, %v", item, err)
	}
	w.acme.SoftDelete(bo.ID)
	_, err = w.tenant().User(t.Context(), bo.ID)
	wantKind(t, err, entra.Missing)
	_, err = w.tenant().User(t.Context(), "me/../"+bo.ID)
	wantKind(t, err, entra.Invalid)
}
