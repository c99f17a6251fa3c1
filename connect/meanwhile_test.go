package connect_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"foyer"
	"foyer/connect"
	"foyer/entra/entratest"
	"foyer/reconcile"
)

// TestReading_BackWithinOneReadingIsAskedFor holds that of somebody whom a reading calls gone, or a guest, and then there again, more is known than what that says of them.
func TestReading_BackWithinOneReadingIsAskedFor(t *testing.T) {
	for name, before := range map[string]string{"removed": `"@removed":{"reason":"changed"}`, "a guest": `"userType":"Guest"`} {
		for _, full := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				f := newFixture(t)
				ann := f.people("ann@acme.com")[0]
				f.connected()
				if full {
					f.tenant.Reset(entratest.Gone)
				}
				f.tenant.Update(ann.ID, func(u *entratest.User) { u.JobTitle = "Chief" })
				page := `{"value":[{"id":"` + f.admin.ID + `","mail":"root@acme.com"},{"id":"` + ann.ID + `",` + before + `},{"id":"` + ann.ID + `","jobTitle":"Chief","userType":"Member"}],
					"@odata.deltaLink":"` + f.fake.Graph + `/v1.0/users/delta?$deltatoken=x"}`
				f.fake.FailAt("/users/delta", map[bool]int{false: 1, true: 2}[full], entratest.Failure{Status: 200, Body: page})
				f.later()
				if e := f.book()["ann@acme.com"]; !e.Enabled || e.Values[foyer.Title] != "Chief" || e.Values[foyer.LastName] != "S" {
					t.Errorf("full %v: ann is %v: %q", full, e.StatusNow(), e.Values)
				}
			})
		}
	}
}

// TestReading_LongOneStaysOneProcess holds that a reading that goes on is nobody else's, also where its groups take longer than a lease, or Microsoft lets it wait again and again.
func TestReading_LongOneStaysOneProcess(t *testing.T) {
	f := newFixture(t)
	all := f.people("ann@acme.com")
	session := f.connected()
	var groups []foyer.GroupSite
	for range 12 {
		groups = append(groups, foyer.GroupSite{Group: f.tenant.AddGroup("Staff", all[0].ID), Site: f.toronto})
	}
	f.must(f.Set(t.Context(), session, browser, here, func(s *foyer.EntraSettings) error { s.Groups = groups; return nil }))
	asked := 0
	f.fake.Fail(func(r *http.Request) *entratest.Failure {
		if strings.Contains(r.URL.Path, "transitiveMembers") {
			f.clock.Move(65 * time.Second)
		}
		if other, err := f.store.TakeReading(t.Context(), f.operator); other != nil || err != nil {
			t.Errorf("another process takes it after %d requests: %v", asked, err)
		}
		if asked++; strings.HasSuffix(r.URL.Path, "/users/delta") && asked <= 5 {
			slow := entratest.Throttled(2 * time.Minute)
			return &slow
		}
		return nil
	})
	f.tick()
	if e := f.book()["ann@acme.com"]; len(e.Sites) == 0 || asked < 17 {
		t.Errorf("after %d requests ann is at %v: %s", asked, e.Sites, f.one().Problem)
	}
}

// TestReading_ChangedWhileItIsRead holds that what somebody does to a connection while its tenant is read holds for that reading too.
func TestReading_ChangedWhileItIsRead(t *testing.T) {
	for _, at := range []string{"/users/delta", "/transitiveMembers/microsoft.graph.user"} {
		t.Run(at, func(t *testing.T) {
			f := newFixture(t)
			all := f.people("ann@acme.com")
			group := f.tenant.AddGroup("Staff", all[0].ID)
			session := f.connected()
			f.set(session, func(s *foyer.EntraSettings) { s.Groups = []foyer.GroupSite{{Group: group, Site: f.toronto}} })
			meanwhile := func(do func()) {
				once := false
				f.clock.Move(time.Hour)
				defer f.fake.Fail(func(r *http.Request) *entratest.Failure {
					if strings.HasSuffix(r.URL.Path, at) && !once {
						once = true
						do()
					}
					return nil
				})()
				f.tick()
			}
			f.people("new@acme.com")
			meanwhile(func() {
				_, err := f.store.EditConnection(t.Context(), f.operator, f.org.ID, f.one().Source, "set", func(n *foyer.Connection) error {
					n.Settings.Groups[0].Site, n.NextAt = f.montreal, f.clock.Now()
					return nil
				})
				f.must(err)
			})
			if e := f.book()["ann@acme.com"]; e.Sites[0] != f.montreal || f.book()["new@acme.com"] == nil {
				t.Errorf("set while it is read: ann is at %v", e.Sites)
			}
			for _, run := range f.runs()[:1] {
				if run.Added != 1 || run.Updated != 1 {
					t.Errorf("the newest run is %+v: one was made of what was set before", run.Counts)
				}
			}
			f.people("late@acme.com")
			meanwhile(func() { f.act(session, connect.ActPause) })
			f.wantState(foyer.Paused)
			if f.book()["late@acme.com"] != nil {
				t.Error("the book followed it after it was paused")
			}
			f.act(session, connect.ActResume)
			f.tick()
			if f.book()["late@acme.com"] == nil {
				t.Error("it is resumed, and who came meanwhile is not there")
			}
		})
	}
}

// TestReading_EndedSourceRests holds that of a tenant nothing is read whose source was ended by itself, until the end is undone.
func TestReading_EndedSourceRests(t *testing.T) {
	f := newFixture(t)
	f.people("ann@acme.com")
	f.connected()
	end, err := reconcile.EndSource(t.Context(), f.store, f.operator, f.org.ID, reconcile.Ending{Source: f.one().Source, Leave: true})
	f.must(err)
	f.people("new@acme.com")
	f.fake.Forget()
	f.later()
	if n := f.fake.Count("graph", ""); n > 0 || f.enabled() != 2 {
		t.Errorf("it is read by %d requests, and %d are enabled", n, f.enabled())
	}
	undo(f, end.ID)
	f.tick()
	if f.book()["new@acme.com"] == nil {
		t.Error("the end is undone, and it is not read on")
	}
}

// TestRun_SlowTenantKeepsNoOtherWaiting holds that a tenant that Microsoft lets wait does not stop the others of the server.
func TestRun_SlowTenantKeepsNoOtherWaiting(t *testing.T) {
	f := newFixture(t)
	f.people("ann@acme.com")
	f.connected()
	slow := f.org
	asleep, wakeUp := make(chan struct{}), make(chan struct{})
	f.Config.Sleep = func(context.Context, time.Duration) error {
		close(asleep)
		<-wakeUp
		return context.Canceled
	}
	f.clock.Move(time.Hour)
	f.fake.FailAt("/users/delta", 1, entratest.Throttled(time.Minute))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		f.Connector.Run(ctx)
		close(ended)
	}()
	<-asleep
	var err error
	f.org, err = f.store.CreateOrg(t.Context(), f.operator, "Other", "CA")
	f.must(err)
	f.tenant = f.fake.Tenant("Other", "other.com")
	f.admin = f.tenant.Add(entratest.User{Mail: "root@other.com", Role: entratest.GlobalAdministrator})
	session, agree, err := f.SignedIn(t.Context(), f.signIn(f.link(foyer.EntraLink{For: "other.com"}), f.admin), browser, here)
	f.must(err)
	f.must(f.Agreed(t.Context(), f.callback(agree, entratest.Walk{Account: f.admin}), browser, here))
	for begun := time.Now(); f.one().CheckedAt.IsZero(); time.Sleep(10 * time.Millisecond) {
		if time.Since(begun) > 10*time.Second {
			t.Errorf("the tenant of %s waits for that of %s; session %v", f.org.Name, slow.Name, session != "")
			break
		}
	}
	stop()
	close(wakeUp)
	<-ended
}
