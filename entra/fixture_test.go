package entra_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"foyer/entra"
	"foyer/entra/entratest"
)

const (
	callback = "https://foyer.example/entra/callback"
	secret   = "s3cret~value"
)

// clock is one that only waiting moves: so a test sees how long was waited, and waits not at all.
type clock struct {
	mu    sync.Mutex
	now   time.Time
	slept []time.Duration
}

func newClock() *clock { return &clock{now: time.Now()} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.slept = append(c.slept, d)
	return ctx.Err()
}

func (c *clock) forward(d time.Duration) { c.Sleep(context.Background(), d); c.forget() }

func (c *clock) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.slept = nil
}

func (c *clock) waits() []time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.slept
}

// world is a Microsoft with one tenant that has consented, and our application.
type world struct {
	*entratest.Fake
	clock        *clock
	registration entratest.App
	acme         *entratest.Tenant
	ann          entratest.User // an administrator of Acme
	app          *entra.App
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{clock: newClock()}
	w.Fake = entratest.StartWith(t, entratest.Config{Clock: w.clock.Now})
	w.registration = w.Register(entratest.App{Secrets: []entratest.Secret{{Text: secret}}, RedirectURIs: []string{callback},
		Permissions: []string{"User.Read.All", "GroupMember.Read.All"}})
	w.acme = w.Fake.Tenant("Acme", "acme.com", "acme.de")
	w.ann = w.acme.Add(entratest.User{Mail: "ann@acme.com", GivenName: "Ann", Surname: "Lee", Role: entratest.GlobalAdministrator})
	w.acme.Consent(w.registration)
	w.app = w.newApp(t, entra.Credential{Secret: secret})
	return w
}

// config is that of an application with the secret.
func (w *world) config() entra.Config {
	return entra.Config{ClientID: w.registration.ID, Authority: w.Authority, Graph: w.Graph, Credential: entra.Credential{Secret: secret},
		Client: w.Client(), Clock: w.clock.Now, Sleep: w.clock.Sleep}
}

func (w *world) newApp(t *testing.T, credential entra.Credential) *entra.App {
	t.Helper()
	c := w.config()
	c.Credential = credential
	app, err := entra.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return app
}

// tenant reads Acme, with no token yet.
func (w *world) tenant() *entra.Tenant { return w.app.Tenant(w.acme.ID) }

// people is a read of users: its items in order, and how many pages there were.
type people struct {
	items []entra.Item
	pages int
	link  string
}

func read(t *testing.T, tenant *entra.Tenant, link string) (*people, error) {
	t.Helper()
	var p people
	var err error
	p.link, err = tenant.Users(t.Context(), link, func(items []entra.Item) error {
		p.items = append(p.items, items...)
		p.pages++
		return nil
	})
	return &p, err
}

// must is read, of which nothing may fail.
func must(t *testing.T, tenant *entra.Tenant, link string) *people {
	t.Helper()
	p, err := read(t, tenant, link)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// byID returns what was said last of each person.
func (p *people) byID() map[string]entra.Item {
	all := map[string]entra.Item{}
	for _, item := range p.items {
		all[item.ID] = item
	}
	return all
}

// wantKind holds that err is an Error of this kind, and returns it.
func wantKind(t *testing.T, err error, kind entra.Kind) *entra.Error {
	t.Helper()
	e, ok := errors.AsType[*entra.Error](err)
	if !ok || e.Kind != kind {
		t.Fatalf("the error is %v, not of the kind %v", err, kind)
	}
	if e.Message == "" {
		t.Error("the error has no message for a person")
	}
	return e
}

// newCertificate makes a certificate with its key.
func newCertificate(t *testing.T) (*x509.Certificate, *rsa.PrivateKey) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Foyer"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate, key
}

// newSignIn makes a sign-in as its callers do: each of its values is of its own.
func newSignIn() entra.SignIn {
	return entra.SignIn{State: strings.ToLower(rand.Text()), Nonce: rand.Text(), Verifier: rand.Text() + rand.Text(), RedirectURI: callback}
}
