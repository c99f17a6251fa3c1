// Package foyertest runs a real Foyer for tests: TLS, SQLite, an organization, a key, in two calls.
//
//	f := foyertest.Start(t)
//	reply := f.Upload(t, "EMAIL,TITLE\nann@test.com,Boss\n")
//
// Its Script does what the customers' PowerShell script does.
package foyertest

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"foyer"
	"foyer/certs"
	"foyer/oauth"
	"foyer/reconcile"
	"foyer/script"
	"foyer/server"
	"foyer/store"
	"foyer/store/storetest"
	"foyer/vault"
)

// Clock is a clock that tests move.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock that shows the present time until it is moved.
func NewClock() *Clock { return &Clock{now: time.Now()} }

// Now returns the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Move moves the clock.
func (c *Clock) Move(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(by)
}

// Foyer is a running server and what it runs on.
type Foyer struct {
	Dir       string
	Clock     *Clock
	Store     *store.Store
	Authority *oauth.Authority
	Operator  foyer.Caller
	Org       foyer.Org
	Script    *script.Script // with a key of Org
	CAFile    string
	URL       string // of the server: https://127.0.0.1:PORT
}

// OpenStore opens a store in a folder of the test's.
func OpenStore(t testing.TB, dir string, clock foyer.Clock) (*store.Store, *vault.Vault) {
	t.Helper()
	v, err := vault.Open(vault.Config{Dir: dir})
	must(t, err)
	s, err := store.Open(t.Context(), store.Config{Dir: dir, Database: storetest.Database(t, dir), Vault: v, Clock: clock})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s, v
}

// Start starts a server, with an organization "Acme" in Canada, the sites Toronto and Montréal, and a key. It ends with the test.
func Start(t testing.TB) *Foyer {
	t.Helper()
	return StartWith(t, server.Config{})
}

// StartWith is Start with settings of the server; what Start fills in is overwritten, but for a folder for uploads.
func StartWith(t testing.TB, c server.Config) *Foyer {
	t.Helper()
	return start(t, c, func(*Foyer, *vault.Vault, *server.Config) {})
}

// start starts a server once ready has had the last word on its settings, which stand in f by then.
func start(t testing.TB, c server.Config, ready func(*Foyer, *vault.Vault, *server.Config)) *Foyer {
	t.Helper()
	f := &Foyer{Dir: t.TempDir(), Clock: NewClock(), Operator: foyer.Operator("test")}
	s, v := OpenStore(t, f.Dir, f.Clock.Now)
	if c.Log == nil {
		c.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	f.Store, f.Authority = s, oauth.New(s, v, c.Log)
	certificates, err := certs.Load(certs.Config{Dir: f.Dir + "/tls", Log: c.Log})
	must(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	c.Store, c.Authority = s, f.Authority
	if c.SpoolDir == "" {
		c.SpoolDir = f.Dir
	}
	f.URL = "https://" + l.Addr().String()
	ready(f, v, &c)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	srv := server.New(c)
	go func() { ended <- srv.Serve(ctx, tls.NewListener(srv.Limit(l), certificates.TLSConfig())) }()
	t.Cleanup(func() {
		stop()
		must(t, <-ended)
		f.Authority.Close()
	})
	f.CAFile = certificates.CAFile()
	f.Org = f.NewOrg(t, "Acme")
	f.Script = f.NewKey(t, f.Org, store.NewKey{})
	f.Script.URL = f.URL
	return f
}

// NewOrg makes an organization in Canada with the sites Toronto and Montréal, also called MTL.
func (f *Foyer) NewOrg(t testing.TB, name string) foyer.Org {
	t.Helper()
	org, err := f.Store.CreateOrg(t.Context(), f.Operator, name, "CA")
	must(t, err)
	for _, site := range []foyer.Site{{Name: "Toronto"}, {Name: "Montréal", Aliases: []string{"MTL"}}} {
		_, err := f.Store.CreateSite(t.Context(), f.Operator, org.ID, site)
		must(t, err)
	}
	return org
}

// NewKey makes a key and returns a script that uses it. Its scopes are sync unless set.
func (f *Foyer) NewKey(t testing.TB, org foyer.Org, n store.NewKey) *script.Script {
	t.Helper()
	made := f.Authority.NewCredentials(org.ID)
	n.ID, n.SecretMAC = made.ID, made.SecretMAC
	if n.Scopes == 0 {
		n.Scopes = foyer.ScopeSync
	}
	_, _, err := f.Store.CreateKey(t.Context(), f.Operator, org.ID, n)
	must(t, err)
	client, err := script.Trust(f.CAFile)
	must(t, err)
	s := &script.Script{ClientID: string(made.ID), ClientSecret: made.Secret, Client: client}
	if f.Script != nil {
		s.URL = f.Script.URL
	}
	return s
}

// Upload sends a file as the script does and returns the reply.
func (f *Foyer) Upload(t testing.TB, file string) *script.Reply {
	t.Helper()
	reply, err := f.Script.Upload([]byte(file), nil)
	must(t, err)
	return reply
}

// Book returns the entries of the organization by email.
func (f *Foyer) Book(t testing.TB) map[string]*foyer.Entry {
	t.Helper()
	book := map[string]*foyer.Entry{}
	must(t, f.Store.Entries(t.Context(), f.Operator, f.Org.ID, func(e *foyer.Entry) error {
		book[e.Values[foyer.Email]] = e
		return nil
	}))
	return book
}

// Edit changes an entry by hand.
func (f *Foyer) Edit(t testing.TB, name string, edit reconcile.Edit) {
	t.Helper()
	_, _, err := reconcile.Change(t.Context(), f.Store, f.Operator, f.Org.ID, reconcile.ParseName(name), edit)
	must(t, err)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
