package foyertest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/cookiejar"
	"os"
	"sync"
	"testing"
	"time"

	"foyer"
	"foyer/connect"
	"foyer/entra/entratest"
	"foyer/server"
	"foyer/store"
	"foyer/vault"
)

// Microsoft is a Foyer beside a Microsoft that is made up, with a tenant and somebody who may agree for it. Its sign-in is another site than the server, as in life.
type Microsoft struct {
	*Foyer
	Fake      *entratest.Fake
	App       entratest.App
	Tenant    *entratest.Tenant // Acme, with the verified domains acme.com and acme.ca
	Admin     entratest.User    // of Tenant
	Connector *connect.Connector
}

// StartMicrosoft starts both. The connector reads when a test says so (Connector.Tick), or always after Follow.
func StartMicrosoft(t testing.TB, c server.Config) *Microsoft {
	t.Helper()
	m := &Microsoft{}
	m.Foyer = start(t, c, func(f *Foyer, v *vault.Vault, c *server.Config) {
		m.Fake = entratest.StartWith(t, entratest.Config{Login: "localhost:0", Clock: f.Clock.Now})
		m.App = m.Fake.Register(entratest.App{Secrets: []entratest.Secret{{Text: "s3cret"}}, RedirectURIs: connect.RedirectURIs(f.URL),
			Permissions: []string{"User.Read.All", "GroupMember.Read.All"}})
		m.Connector = connect.New(connect.Config{Store: f.Store, PublicURL: f.URL, Key: v.Key("connect visits"), SpoolDir: f.Dir, Client: m.Fake.Client(), Log: c.Log,
			Sleep: func(ctx context.Context, d time.Duration) error { f.Clock.Move(d); return ctx.Err() }})
		must(t, f.Store.SetEntraApp(t.Context(), f.Operator, func(app *store.EntraApp) error {
			*app = store.EntraApp{ClientID: m.App.ID, Authority: m.Fake.Authority, Graph: m.Fake.Graph,
				Credentials: []store.EntraCredential{{Number: 1, Secret: "s3cret", InUse: true, ExpiresAt: f.Clock.Now().Add(365 * 24 * time.Hour)}}}
			return nil
		}))
		c.Connect, c.PublicURL = m.Connector, f.URL
	})
	m.Tenant = m.Fake.Tenant("Acme", "acme.com", "acme.ca")
	m.Admin = m.Tenant.Add(entratest.User{Mail: "root@acme.com", DisplayName: "Root Admin", Role: entratest.GlobalAdministrator})
	return m
}

// Follow lets the connector read what is due, until the test ends.
func (m *Microsoft) Follow(t testing.TB) {
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { m.Connector.Run(ctx) })
	t.Cleanup(func() { stop(); running.Wait() })
}

// Link makes a link, and returns its address.
func (m *Microsoft) Link(t testing.TB, org foyer.OrgID, l foyer.EntraLink) string {
	t.Helper()
	token, _, err := m.Store.CreateEntraLink(t.Context(), m.Operator, org, l)
	must(t, err)
	return connect.LinkURL(m.URL, token)
}

// Browser returns a client with cookies of its own that trusts the server and follows no redirects.
func (f *Foyer) Browser(t testing.TB) *http.Client {
	t.Helper()
	pem, err := os.ReadFile(f.CAFile)
	must(t, err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	jar, err := cookiejar.New(nil)
	must(t, err)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}
