package connect_test

import (
	"context"
	"io"
	"log/slog"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"foyer"
	"foyer/connect"
	"foyer/entra/entratest"
	"foyer/foyertest"
	"foyer/reconcile"
	"foyer/store"
)

const (
	publicURL = "https://foyer.example.com"
	browser   = "the browser of ann"
)

var here = netip.MustParseAddr("203.0.113.7")

// fixture is an organization, a tenant of a fake Microsoft, and what connects them.
type fixture struct {
	*testing.T
	*connect.Connector
	store    *store.Store
	clock    *foyertest.Clock
	fake     *entratest.Fake
	app      entratest.App
	tenant   *entratest.Tenant
	admin    entratest.User
	operator foyer.Caller
	org      foyer.Org
	toronto  foyer.SiteID
	montreal foyer.SiteID
	slept    *naps
}

// naps is how long was slept, all in all: no test waits.
type naps struct {
	mu    sync.Mutex
	all   []time.Duration
	clock *foyertest.Clock
}

func (n *naps) sleep(ctx context.Context, d time.Duration) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, d)
	n.clock.Move(d)
	return ctx.Err()
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{T: t, clock: foyertest.NewClock(), operator: foyer.Operator("root")}
	s, vault := foyertest.OpenStore(t, t.TempDir(), f.clock.Now)
	f.store = s
	f.fake = entratest.StartWith(t, entratest.Config{Clock: f.clock.Now})
	f.app = f.fake.Register(entratest.App{Secrets: []entratest.Secret{{Text: "s3cret"}}, RedirectURIs: connect.RedirectURIs(publicURL),
		Permissions: []string{"User.Read.All", "GroupMember.Read.All"}})
	f.tenant = f.fake.Tenant("Acme", "acme.com", "acme.ca")
	f.admin = f.tenant.Add(entratest.User{Mail: "root@acme.com", DisplayName: "Root Admin", Role: entratest.GlobalAdministrator})
	f.slept = &naps{clock: f.clock}
	f.Connector = connect.New(connect.Config{Store: s, PublicURL: publicURL, Key: vault.Key("connect visits"), SpoolDir: t.TempDir(), Client: f.fake.Client(), Sleep: f.slept.sleep,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	f.must(s.SetEntraApp(t.Context(), f.operator, func(app *store.EntraApp) error {
		*app = store.EntraApp{ClientID: f.app.ID, Authority: f.fake.Authority, Graph: f.fake.Graph,
			Credentials: []store.EntraCredential{{Number: 1, Secret: "s3cret", InUse: true, ExpiresAt: f.clock.Now().Add(365 * 24 * time.Hour)}}}
		return nil
	}))
	var err error
	f.org, err = s.CreateOrg(t.Context(), f.operator, "Acme", "CA")
	f.must(err)
	f.toronto, f.montreal = f.site("Toronto"), f.site("Montréal")
	return f
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) site(name string) foyer.SiteID {
	site, err := f.store.CreateSite(f.Context(), f.operator, f.org.ID, foyer.Site{Name: name})
	f.must(err)
	return site.ID
}

func (f *fixture) link(l foyer.EntraLink) string {
	f.Helper()
	token, _, err := f.store.CreateEntraLink(f.Context(), f.operator, f.org.ID, l)
	f.must(err)
	return token
}

// callback is what Microsoft sends the browser back with.
func (f *fixture) callback(address string, w entratest.Walk) url.Values {
	f.Helper()
	request, err := f.fake.Walk(f.Context(), address, w)
	f.must(err)
	return request.URL.Query()
}

// signIn follows a link until Microsoft's sign-in sends the browser back.
func (f *fixture) signIn(link string, as entratest.User) url.Values {
	f.Helper()
	address, err := f.Begin(f.Context(), link, browser)
	f.must(err)
	return f.callback(address, entratest.Walk{Account: as})
}

// connect goes the whole way to a connection that is to be confirmed, and returns its session and its source.
func (f *fixture) connect() (session string, source foyer.SourceID) {
	f.Helper()
	session, agree, err := f.SignedIn(f.Context(), f.signIn(f.link(foyer.EntraLink{For: "acme.com"}), f.admin), browser, here)
	f.must(err)
	f.must(f.Agreed(f.Context(), f.callback(agree, entratest.Walk{Account: f.admin}), browser, here))
	return session, f.one().Source
}

// one returns the only connection.
func (f *fixture) one() foyer.Connection {
	f.Helper()
	all, err := f.store.Connections(f.Context(), f.operator, f.org.ID)
	f.must(err)
	if len(all) != 1 {
		f.Fatalf("there are %d connections", len(all))
	}
	return all[0]
}

// tick reads what is due.
func (f *fixture) tick() {
	f.Helper()
	f.must(f.Tick(f.Context()))
}

// connected goes the whole way, confirms, and reads.
func (f *fixture) connected() (session string) {
	f.Helper()
	session, _ = f.connect()
	f.tick()
	f.act(session, connect.ActConfirm)
	f.tick()
	return session
}

func (f *fixture) act(session, act string) {
	f.Helper()
	_, err := f.Act(f.Context(), session, browser, here, act)
	f.must(err)
}

// later lets the time pass until the tenant is due again, and reads it.
func (f *fixture) later() {
	f.Helper()
	f.clock.Move(time.Hour)
	f.tick()
}

func (f *fixture) set(session string, edit func(*foyer.EntraSettings)) {
	f.Helper()
	f.must(f.Set(f.Context(), session, browser, here, func(s *foyer.EntraSettings) error {
		edit(s)
		return nil
	}))
	f.tick()
}

// book returns the entries by their email.
func (f *fixture) book() map[string]*foyer.Entry {
	f.Helper()
	book := map[string]*foyer.Entry{}
	f.must(f.store.Entries(f.Context(), f.operator, f.org.ID, func(e *foyer.Entry) error {
		book[e.Values[foyer.Email]] = e.Clone()
		return nil
	}))
	return book
}

func (f *fixture) enabled() (n int) {
	for _, e := range f.book() {
		if e.Enabled {
			n++
		}
	}
	return n
}

func (f *fixture) runs() []*foyer.Run {
	f.Helper()
	runs, err := f.store.Runs(f.Context(), f.operator, f.org.ID, 0, false)
	f.must(err)
	return runs
}

// alerts returns the kinds of the open alerts.
func (f *fixture) alerts() (kinds []string) {
	f.Helper()
	all, err := f.store.Alerts(f.Context(), f.operator, f.org.ID, false)
	f.must(err)
	for _, a := range all {
		kinds = append(kinds, string(a.Kind))
	}
	slices.Sort(kinds)
	return kinds
}

func (f *fixture) wantAlerts(want ...string) {
	f.Helper()
	if got := f.alerts(); !slices.Equal(got, want) {
		f.Errorf("the open alerts are %q, want %q", got, want)
	}
}

func (f *fixture) wantState(want foyer.ConnectionState) foyer.Connection {
	f.Helper()
	c := f.one()
	if c.State != want {
		f.Errorf("the connection is %s (%s), want %s", c.State, c.Problem, want)
	}
	return c
}

// people adds so many members with mail to the tenant.
func (f *fixture) people(emails ...string) (all []entratest.User) {
	for _, email := range emails {
		all = append(all, f.tenant.Add(entratest.User{Mail: email, UserPrincipalName: email, GivenName: "G " + email[:3], Surname: "S", DisplayName: "D " + email[:3]}))
	}
	return all
}

func undo(f *fixture, id foyer.RunID) {
	f.Helper()
	_, err := reconcile.Undo(f.Context(), f.store, f.operator, f.org.ID, reconcile.Undoing{Run: id})
	f.must(err)
}
