package connect_test

import (
	"context"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"foyer"
	"foyer/connect"
	"foyer/entra/entratest"
	"foyer/store"
	"foyer/store/storetest"
)

// failing lets every request to users/delta fail until stop is called.
func (f *fixture) failing(failure entratest.Failure) (stop func()) {
	return f.fake.Fail(func(r *http.Request) *entratest.Failure {
		if r.URL.Path == "/v1.0/users/delta" {
			return &failure
		}
		return nil
	})
}

func TestFaults_RestLongerEachTimeAndComeBack(t *testing.T) {
	f := newFixture(t)
	f.people("ann@acme.com", "bob@acme.com")
	f.connected()
	stop := f.failing(entratest.Failure{Status: 500})
	f.clock.Move(time.Hour)
	for n, want := range []time.Duration{6 * time.Hour, 12 * time.Hour, 24 * time.Hour, 24 * time.Hour} {
		f.tick()
		c := f.wantState(foyer.Connected)
		if rest := c.NextAt.Sub(f.clock.Now()).Round(time.Minute); rest != want || c.Failures != n+1 || c.Problem == "" {
			t.Errorf("failure %d: it rests %v, want %v: %+v", n+1, rest, want, c)
		}
		f.wantAlerts("unread")
		f.clock.Move(want + time.Minute)
	}
	stop()
	f.tick()
	if c := f.one(); c.Failures != 0 || c.Problem != "" {
		t.Errorf("it goes on from %+v", c)
	}
	f.wantAlerts()
	if f.enabled() != 3 {
		t.Errorf("%d are enabled", f.enabled())
	}
}

func TestFaults_GivenUpAfter28Days(t *testing.T) {
	f := newFixture(t)
	f.people("ann@acme.com")
	f.connected()
	f.failing(entratest.Failure{Status: 503})
	for range 32 {
		f.clock.Move(24 * time.Hour)
		f.tick()
	}
	f.wantState(foyer.Disconnected)
	f.wantAlerts("disconnected")
	if f.enabled() != 2 {
		t.Errorf("%d are enabled", f.enabled())
	}
}

// TestFaults_RetryAfterIsKept holds that Microsoft is not asked before it said, however long that is.
func TestFaults_RetryAfterIsKept(t *testing.T) {
	for _, wait := range []time.Duration{17 * time.Second, 40 * time.Minute} {
		f := newFixture(t)
		f.people("ann@acme.com")
		f.connected()
		f.people("bob@acme.com")
		f.clock.Move(time.Hour)
		stop := f.fake.FailAt("/users/delta", 1, entratest.Throttled(wait))
		f.tick()
		stop()
		if next := f.one().NextAt; wait > 2*time.Minute && next.Sub(f.clock.Now()).Round(time.Second) != wait {
			t.Errorf("it is read again in %v, want %v", next.Sub(f.clock.Now()), wait)
		}
		f.wantAlerts()
		f.clock.Move(wait + time.Second)
		f.tick()
		if f.book()["bob@acme.com"] == nil || f.fake.TooEarly() > 0 {
			t.Errorf("after %v: the book has %v; asked too early %d times", wait, f.book(), f.fake.TooEarly())
		}
	}
}

func TestFaults_PermissionTakenBack(t *testing.T) {
	for name, take := range map[string]func(f *fixture){
		"application removed":  func(f *fixture) { f.tenant.Remove(f.app) },
		"permission withdrawn": func(f *fixture) { f.tenant.Withdraw(f.app, "User.Read.All") },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.people("ann@acme.com")
			session := f.connected()
			take(f)
			f.fake.EndTokens()
			f.later()
			f.wantState(foyer.Disconnected)
			f.wantAlerts("disconnected")
			if f.enabled() != 2 {
				t.Errorf("%d are enabled", f.enabled())
			}
			f.later() // it is not asked any more
			agree, err := f.AskAgain(t.Context(), session, browser)
			f.must(err)
			f.must(f.Agreed(t.Context(), f.callback(agree, entratest.Walk{Account: f.admin}), browser, here))
			f.people("new@acme.com")
			f.tick()
			f.wantState(foyer.Connected)
			f.wantAlerts()
			if f.enabled() != 3 {
				t.Errorf("%d are enabled once it agreed again", f.enabled())
			}
		})
	}
}

// TestFaults_GroupsMayNotBeSeen holds that one permission that is taken back does not end the connection, nor take anybody off their site.
func TestFaults_GroupsMayNotBeSeen(t *testing.T) {
	f := newFixture(t)
	ann := f.people("ann@acme.com")[0]
	group := f.tenant.AddGroup("Toronto staff", ann.ID)
	session := f.connected()
	f.set(session, func(s *foyer.EntraSettings) { s.Groups = []foyer.GroupSite{{Group: group, Site: f.toronto}} })
	f.tenant.Withdraw(f.app, "GroupMember.Read.All")
	f.fake.EndTokens()
	f.later()
	f.wantState(foyer.Connected)
	f.wantAlerts("unread")
	if at := f.book()["ann@acme.com"].Sites; !slices.Equal(at, []foyer.SiteID{f.toronto}) {
		t.Errorf("ann is at %v", at)
	}
	f.tenant.Consent(f.app, "User.Read.All", "GroupMember.Read.All")
	f.fake.EndTokens()
	f.later()
	f.wantAlerts()
}

// TestFaults_PermissionTakenBackBeforeItIsConfirmed holds that nothing goes into the book that nobody confirmed, also after a permission that was taken back and given again.
func TestFaults_PermissionTakenBackBeforeItIsConfirmed(t *testing.T) {
	f := newFixture(t)
	f.people("ann@acme.com")
	session, source := f.connect()
	f.tick()
	f.tenant.Withdraw(f.app, "User.Read.All")
	f.fake.EndTokens()
	f.later()
	f.wantState(foyer.Consenting)
	f.wantAlerts("disconnected")
	if err := f.ActAs(t.Context(), f.operator, f.org.ID, source, connect.ActResume); foyer.KindOf(err) != foyer.Conflict {
		t.Errorf("to resume it is answered %v", err)
	}
	agree, err := f.AskAgain(t.Context(), session, browser)
	f.must(err)
	f.must(f.Agreed(t.Context(), f.callback(agree, entratest.Walk{Account: f.admin}), browser, here))
	f.tick()
	f.wantState(foyer.Confirming)
	f.wantAlerts()
	if len(f.book()) > 0 {
		t.Errorf("nobody confirmed it, and the book has %v", f.book())
	}
}

func TestFaults_OurOwnCredential(t *testing.T) {
	f := newFixture(t)
	f.people("ann@acme.com")
	f.connected()
	f.app.Secrets = []entratest.Secret{{Text: "another"}}
	f.fake.Register(f.app)
	f.fake.EndTokens()
	f.later()
	c := f.wantState(foyer.Connected)
	f.wantAlerts("unread")
	if strings.Contains(c.Problem, "s3cret") || c.Failures != 0 {
		t.Errorf("the connection says %+v", c)
	}
	f.must(f.store.SetEntraApp(t.Context(), f.operator, func(app *store.EntraApp) error {
		app.Credentials = append(app.Credentials, store.EntraCredential{Number: 2, Secret: "another", InUse: true, ExpiresAt: f.clock.Now().Add(400 * 24 * time.Hour)})
		return nil
	}))
	f.clock.Move(2 * time.Hour)
	f.tick()
	f.wantAlerts()
}

// TestFaults_CredentialBeforeIsPresentedAgain holds that once the newest credential has ended, one from before is presented that has not.
func TestFaults_CredentialBeforeIsPresentedAgain(t *testing.T) {
	f := newFixture(t)
	ends := f.clock.Now().Add(2 * time.Hour)
	f.app.Secrets = []entratest.Secret{{Text: "s3cret"}, {Text: "short", Ends: ends}}
	f.fake.Register(f.app)
	f.must(f.store.SetEntraApp(t.Context(), f.operator, func(app *store.EntraApp) error {
		app.Credentials = append(app.Credentials, store.EntraCredential{Number: 2, Secret: "short", InUse: true, ExpiresAt: ends})
		return nil
	}))
	f.people("ann@acme.com")
	f.connected()
	f.fake.EndTokens()
	f.clock.Move(3 * time.Hour)
	f.tick()
	if c := f.one(); c.Problem != "" {
		t.Errorf("the connection says %q", c.Problem)
	}
}

// TestFaults_NoneIsSilent holds that a tenant that is not read is told of at last, whatever the reason.
func TestFaults_NoneIsSilent(t *testing.T) {
	for name, fail := range map[string]func(f *fixture){
		"throttled": func(f *fixture) { f.failing(entratest.Failure{Status: http.StatusTooManyRequests}) },
		"our fault": func(f *fixture) { f.SpoolDir = "/nowhere" },
		"no credential that is good": func(f *fixture) {
			f.must(f.store.SetEntraApp(t.Context(), f.operator, func(app *store.EntraApp) error {
				app.Credentials[0].ExpiresAt = f.clock.Now()
				return nil
			}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.people("ann@acme.com")
			f.connected()
			fail(f)
			for range 8 {
				f.later()
			}
			f.wantAlerts("unread")
			if c := f.wantState(foyer.Connected); strings.Contains(c.Problem, "fault") != (name == "our fault") || c.NextAt.Sub(f.clock.Now()) < 59*time.Minute {
				t.Errorf("the connection says %q, and is read again in %v", c.Problem, c.NextAt.Sub(f.clock.Now()))
			}
		})
	}
}

// TestFaults_ServerStops holds that a server that stops while it reads calls that no fault.
func TestFaults_ServerStops(t *testing.T) {
	f := newFixture(t)
	f.people("ann@acme.com")
	f.connected()
	ctx, stop := context.WithCancel(t.Context())
	f.clock.Move(time.Hour)
	f.fake.Fail(func(r *http.Request) *entratest.Failure {
		stop()
		return nil
	})
	f.Tick(ctx)
	if c := f.one(); c.Failures > 0 || !strings.Contains(c.Problem, "stopped") || c.NextAt.After(f.clock.Now()) {
		t.Errorf("the connection says %+v", c)
	}
	f.wantAlerts()
	f.tick()
	if c := f.one(); c.Problem != "" {
		t.Errorf("after the next reading it says %q", c.Problem)
	}
}

func TestFaults_PoisonedLinkIsNotFollowed(t *testing.T) {
	f := newFixture(t)
	f.fake.SetHabits(entratest.Habits{PageSize: 2})
	f.people("ann@acme.com", "bob@acme.com", "cat@acme.com")
	f.connected()
	f.people("new@acme.com")
	f.clock.Move(time.Hour)
	stop := f.fake.FailAt("/users/delta", 1, entratest.Failure{LinkHost: f.fake.Elsewhere})
	f.tick()
	stop()
	if f.fake.Count("elsewhere", "") > 0 {
		t.Error("the stranger's host was asked")
	}
	f.wantAlerts("unread")
	f.must(f.ActAs(t.Context(), f.operator, f.org.ID, f.one().Source, connect.ActSync))
	f.tick()
	f.wantAlerts()
	if f.enabled() != 5 {
		t.Errorf("%d are enabled", f.enabled())
	}
}

func TestFaults_CredentialEnds(t *testing.T) {
	f := newFixture(t)
	f.connected()
	for _, step := range []struct {
		days int
		want []string
	}{{330, nil}, {6, []string{"credential"}}, {23, []string{"credential"}}, {5, []string{"credential"}}} {
		f.clock.Move(time.Duration(step.days) * 24 * time.Hour)
		f.must(f.store.WatchEntraApp(t.Context(), f.operator))
		got := slices.DeleteFunc(f.alerts(), func(kind string) bool { return kind != "credential" })
		if !slices.Equal(got, step.want) {
			t.Errorf("after %d days more the alerts are %q", step.days, got)
		}
	}
}

// TestReading_ManyPeople reads 50,000 people and then 1 % changes, in memory that does not grow with them.
func TestReading_ManyPeople(t *testing.T) {
	f := newFixture(t)
	f.fake.SetHabits(entratest.Habits{PageSize: 999})
	n := 50_000
	if storetest.OnPostgres() {
		n = 5_000 // what grows with them is this side's, whatever the database
	}
	all := f.tenant.Populate(n, 3)
	session, _ := f.connect()
	before := heap()
	f.tick()
	if grown := heap() - before; grown > 64<<20 {
		t.Errorf("after the reading %d MiB more are used", grown>>20)
	}
	f.act(session, connect.ActConfirm)
	f.tick()
	first := f.runs()[0]
	if first.Status != foyer.Applied || first.Added < n*8/10 {
		t.Fatalf("the first run is %+v", first)
	}
	for _, u := range all[:n/100] {
		f.tenant.Update(u.ID, func(u *entratest.User) { u.JobTitle += " II" })
	}
	f.fake.Forget()
	f.later()
	run := f.runs()[0]
	if run.ID == first.ID || run.Updated == 0 || run.Updated > n/100 || run.Disabled > 0 {
		t.Errorf("the run of the changes is %+v", run)
	}
	if asked := f.fake.Count("graph", "/users/delta"); asked > 3 {
		t.Errorf("%d changes took %d requests", n/100, asked)
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestVisit_EndsWithItsLink holds that whoever came by a link is sent away where the link is taken back, though it was used.
func TestVisit_EndsWithItsLink(t *testing.T) {
	f := newFixture(t)
	session, _ := f.connect()
	links, err := f.store.EntraLinks(t.Context(), f.operator, f.org.ID)
	f.must(err)
	f.must(f.store.RevokeEntraLink(t.Context(), f.operator, f.org.ID, links[0].ID))
	if _, err := f.Show(t.Context(), session, browser, here); foyer.KindOf(err) != foyer.Unauthenticated {
		t.Errorf("the session is answered %v", err)
	}
	if err := f.store.RevokeEntraLink(t.Context(), f.operator, f.org.ID, links[0].ID); foyer.KindOf(err) != foyer.NotFound {
		t.Errorf("once more it is answered %v", err)
	}
}

// TestBegin_Makes256BitsEach holds that nothing of a sign-in can be guessed, and none is like another.
func TestBegin_Makes256BitsEach(t *testing.T) {
	f := newFixture(t)
	link, seen := f.link(foyer.EntraLink{For: "acme.com"}), map[string]bool{}
	for range 5 {
		address, err := f.Begin(t.Context(), link, browser)
		f.must(err)
		at, err := url.Parse(address)
		f.must(err)
		_, state, _ := strings.Cut(at.Query().Get("state"), ".")
		for _, text := range []string{state, at.Query().Get("nonce"), at.Query().Get("code_challenge")} {
			if len(text) != 43 || seen[text] {
				t.Errorf("%q is no value of 256 bits of its own", text)
			}
			seen[text] = true
		}
	}
}
