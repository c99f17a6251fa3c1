// Package connect is the life of a connection to a tenant of Microsoft Entra: its administrator follows a link, signs in, agrees, sees what would happen and confirms
// it; from then on the book follows the directory until somebody ends that.
//
// Each step proves something, and nothing is believed that is not proved: the link proves who was invited, the ID token which tenant they come from, the consent that the tenant's
// administrator agrees, and the confirmation that they have seen what it does. What Microsoft's page sends a browser back with proves nothing by itself: it must
// name a state that Foyer made for this browser minutes ago, once.
//
// Reading (reading.go) keeps, beside the book, what the directory said last. What goes into the book is always all of that, as if it were a file (rows.go): so every rule about
// files holds for it, and a reading that ends half way does nothing.
package connect

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"time"

	"foyer"
	"foyer/entra"
	"foyer/store"
)

// Config says what a Connector works with. Store and Log are needed, PublicURL too where links are followed.
type Config struct {
	Store     *store.Store
	PublicURL string // as browsers reach the server: https://foyer.example.com
	Key       []byte // from which what a state stands for is derived
	SpoolDir  string // where a reading waits until it is whole; empty: the system's folder for temporary files
	Client    *http.Client
	Sleep     func(context.Context, time.Duration) error // nil: by the clock
	Log       *slog.Logger
}

// Connector connects tenants and reads them.
type Connector struct {
	Config
	operator  foyer.Caller
	wake      chan struct{}
	mu        sync.Mutex
	app       *entra.App     // as it was set up
	made      store.EntraApp // from this
	presented int            // with this credential
	refusals  refusals
}

// New returns a connector.
func New(c Config) *Connector {
	if c.Sleep == nil {
		c.Sleep = entra.Sleep
	}
	return &Connector{Config: c, operator: foyer.Operator("serve"), wake: make(chan struct{}, 1)}
}

// Paths of the pages to which Microsoft sends browsers back. They are registered with the application.
const (
	SignedInPath = "/connect/entra/signed-in"
	AgreedPath   = "/connect/entra/agreed"
)

// RedirectURIs returns the addresses that have to be registered with the application.
func RedirectURIs(publicURL string) []string {
	base := strings.TrimSuffix(publicURL, "/")
	return []string{base + SignedInPath, base + AgreedPath}
}

// LinkURL returns the address of a link.
func LinkURL(publicURL, token string) string {
	return strings.TrimSuffix(publicURL, "/") + "/connect/entra?link=" + url.QueryEscape(token)
}

// client returns the client of Microsoft's services, made anew where the application was set up anew.
func (c *Connector) client(ctx context.Context) (*entra.App, error) {
	kept, err := c.Store.EntraApp(ctx, c.operator)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.app != nil && reflect.DeepEqual(kept, c.made) && presented(kept, c.Store.Now()) == c.presented {
		return c.app, nil
	}
	credential, err := Credential(kept, c.Store.Now())
	if err != nil {
		return nil, err
	}
	app, err := entra.New(entra.Config{ClientID: kept.ClientID, Authority: kept.Authority, Graph: kept.Graph, Credential: credential, Client: c.Client, Clock: c.Store.Now, Sleep: c.pause, Log: c.Log})
	if err != nil {
		return nil, err
	}
	c.app, c.made, c.presented = app, kept, presented(kept, c.Store.Now())
	return app, nil
}

// authority returns where Microsoft signs people in, https://HOST.
func (c *Connector) authority(ctx context.Context) (string, error) {
	kept, err := c.Store.EntraApp(ctx, c.operator)
	return cmp.Or(kept.Authority, entra.DefaultAuthority), err
}

// presented returns the place of the credential that is presented: of those in use the newest that has not ended; -1 where there is none.
func presented(app store.EntraApp, now time.Time) (at int) {
	at = -1
	for i, kept := range app.Credentials {
		if kept.InUse && (kept.ExpiresAt.IsZero() || kept.ExpiresAt.After(now)) {
			at = i
		}
	}
	return at
}

// Credential returns which credential of the application is presented.
func Credential(app store.EntraApp, now time.Time) (c entra.Credential, err error) {
	at := presented(app, now)
	if at < 0 {
		return c, foyer.Errorf(foyer.Conflict, "the application has no credential that is good today; foyer entra app makes one")
	}
	kept := app.Credentials[at]
	if kept.Secret != "" {
		return entra.Credential{Secret: kept.Secret}, nil
	}
	if c.Certificate, err = x509.ParseCertificate(kept.Certificate); err != nil {
		return c, err
	}
	c.Key, err = parseKey(kept.Key)
	return c, err
}

// signIn returns the sign-in that a state stands for. What else Microsoft must give back, and what only this server knows, are derived from the state: nothing of it is stored.
func (c *Connector) signIn(state string) entra.SignIn {
	derive := func(use string) string {
		mac := hmac.New(sha256.New, c.Key)
		mac.Write([]byte(use + " " + state))
		return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	return entra.SignIn{State: state, Nonce: derive("nonce"), Verifier: derive("verifier"), RedirectURI: RedirectURIs(c.PublicURL)[0]}
}

// Landing is what the page of a link says before anything is done.
type Landing struct {
	Org       foyer.Org
	Link      foyer.EntraLink
	Site      string // its name; "": the whole organization
	Expires   time.Time
	Microsoft string // where it leads to, https://HOST
}

// Landing returns what the page of a link says. foyer.NotFound where the link cannot be used.
func (c *Connector) Landing(ctx context.Context, link string) (*Landing, error) {
	org, l, err := c.Store.FollowEntraLink(ctx, link)
	if err != nil {
		return nil, err
	}
	landing := &Landing{Org: org, Link: l, Expires: l.ExpiresAt}
	if landing.Microsoft, err = c.authority(ctx); err != nil {
		return nil, err
	}
	sites, err := c.Store.Sites(ctx, c.operator, org.ID)
	for _, site := range sites {
		if site.ID == l.Site {
			landing.Site = site.Name
		}
	}
	return landing, err
}

// Begin returns the address of Microsoft's sign-in for somebody who follows a link, to which this browser is sent. browser is what it is told apart by.
func (c *Connector) Begin(ctx context.Context, link, browser string) (address string, err error) {
	org, l, err := c.Store.FollowEntraLink(ctx, link)
	if err != nil {
		return "", err
	}
	app, err := c.client(ctx)
	if err != nil {
		return "", err
	}
	state, err := c.Store.BeginVisit(ctx, store.Visit{Org: org.ID, Step: store.StepSignIn, Link: l.ID}, browser)
	if err != nil {
		return "", err
	}
	return app.SignInURL(c.signIn(state)), nil
}

// visitor is the caller that somebody is who came by a link.
func visitor(v store.Visit, from netip.Addr) foyer.Caller {
	name := v.Visitor
	switch {
	case name == "" && v.Link == 0:
		name = "of no link"
	case name == "":
		name = fmt.Sprintf("of link-%d", v.Link)
	}
	return foyer.PersonCaller(name, v.Org, foyer.Connector, nil, from)
}

// SignedIn carries on where Microsoft's sign-in sent the browser back to: it finds out the tenant, binds it, and returns a session for this browser, and the address where the
// tenant's administrator agrees. What is refused is noted in the audit of the organization, and nothing else is written.
func (c *Connector) SignedIn(ctx context.Context, query url.Values, browser string, from netip.Addr) (session, agree string, err error) {
	v, err := c.Store.TakeVisit(ctx, query.Get("state"), store.StepSignIn, browser)
	if err != nil {
		return "", "", c.refused(ctx, stray(query.Get("state")), from, err)
	}
	app, err := c.client(ctx)
	if err != nil {
		return "", "", err
	}
	code, err := entra.ParseCallback(query)
	if err != nil {
		return "", "", c.refused(ctx, v, from, err)
	}
	who, err := app.Redeem(ctx, code, c.signIn(query.Get("state")))
	if err != nil {
		return "", "", c.refused(ctx, v, from, err)
	}
	v.Visitor = who.Username
	if v.Source, err = c.bind(ctx, v, from, who); err != nil {
		return "", "", c.refused(ctx, v, from, err)
	}
	v.Step = store.StepSession
	if session, err = c.Store.BeginVisit(ctx, v, browser); err != nil {
		return "", "", err
	}
	connection, err := c.connection(ctx, v)
	if err != nil || connection.State != foyer.Consenting && connection.State != foyer.Disconnected {
		return session, "", err // it is connected already: its page says how it stands
	}
	agree, err = c.consent(ctx, app, v, browser, connection)
	return session, agree, err
}

// maxRefusals is how many refusals are noted in an hour of those who came by a link, and of those who came by none to an organization: anybody can be refused as often as they
// like, the state of a sign-in that was begun is enough, and each note is a row for good.
const maxRefusals = 20

// stray is the visit of a state that is none: all that is known is which organization it names, if there is one.
func stray(state string) store.Visit {
	org, _, _ := strings.Cut(state, ".")
	return store.Visit{Org: foyer.OrgID(org)}
}

// refusal is whose refusals are counted.
type refusal struct {
	org  foyer.OrgID
	link int64 // 0: none
}

// refusals counts them.
type refusals struct {
	mu     sync.Mutex
	hour   int64
	counts map[refusal]int
}

// maxCounted is how many are counted of those who came by no link: they may name any organization.
const maxCounted = 10_000

// take counts one, and tells whether it is within the limit.
func (r *refusals) take(of refusal, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if hour := now.Unix() / 3600; r.counts == nil || r.hour != hour {
		r.hour, r.counts = hour, map[refusal]int{}
	}
	if r.counts[of] == 0 && of.link == 0 && len(r.counts) >= maxCounted {
		return false
	}
	r.counts[of]++
	return r.counts[of] <= maxRefusals
}

// bind connects the tenant that somebody signed in to, and uses up the link. Where it is connected to this organization already, the link leads to that connection: sessions end within
// hours, and whoever wants to look at a connection later, or has to agree anew, comes by another link.
func (c *Connector) bind(ctx context.Context, v store.Visit, from netip.Addr, who *entra.Visitor) (foyer.SourceID, error) {
	source, err := c.Store.BindTenant(ctx, visitor(v, from), v.Org, v.Link, store.Tenant{ID: who.Tenant, Name: who.TenantName, Domains: who.Domains})
	if foyer.KindOf(err) != foyer.Conflict {
		return source.ID, err
	}
	all, failed := c.Store.Connections(ctx, c.operator, v.Org)
	if failed != nil {
		return 0, failed
	}
	for _, one := range all {
		if one.Tenant == who.Tenant { // and the link was made for it: whose is not is refused before anything contradicts
			return one.Source, c.Store.RevokeEntraLink(ctx, foyer.PersonCaller(v.Visitor, v.Org, foyer.AccountAdministrator, nil, from), v.Org, v.Link)
		}
	}
	return 0, err
}

// refused notes in the audit that somebody was refused, and returns err as a page can show it.
func (c *Connector) refused(ctx context.Context, v store.Visit, from netip.Addr, err error) error {
	plain := forPeople(err)
	kind := foyer.KindOf(plain)
	if v.Org == "" || kind == foyer.Busy || kind == foyer.Internal || !c.refusals.take(refusal{v.Org, v.Link}, c.Store.Now()) {
		return plain
	}
	if noted := c.Store.RefuseVisit(ctx, visitor(v, from), v.Org, v.Link, auditText(err)); noted != nil && foyer.KindOf(noted) != foyer.NotFound { // there may be no such organization
		c.Log.Error("a refusal could not be noted", "error", noted)
	}
	return plain
}

// consent returns the address where the administrator of a tenant agrees.
func (c *Connector) consent(ctx context.Context, app *entra.App, v store.Visit, browser string, connection foyer.Connection) (string, error) {
	v.Step = store.StepConsent
	state, err := c.Store.BeginVisit(ctx, v, browser)
	if err != nil {
		return "", err
	}
	return app.ConsentURL(connection.Tenant, RedirectURIs(c.PublicURL)[1], state), nil
}

// Agreed carries on where Microsoft's page for agreeing sent the browser back to. The tenant that it names must be the one that was bound; that it agreed is believed once
// the application gets a token there that lets it read.
func (c *Connector) Agreed(ctx context.Context, query url.Values, browser string, from netip.Addr) error {
	v, err := c.Store.TakeVisit(ctx, query.Get("state"), store.StepConsent, browser)
	if err != nil {
		return c.refused(ctx, stray(query.Get("state")), from, err)
	}
	tenant, err := entra.ParseConsent(query)
	if known, ok := asEntra(err); ok && known.Kind == entra.Denied {
		plain := foyer.Errorf(foyer.Forbidden, "whoever was asked at Microsoft did not accept, or may not accept for the whole organization").Because(err)
		return c.refused(ctx, v, from, plain)
	}
	if err != nil {
		return c.refused(ctx, v, from, err)
	}
	connection, err := c.connection(ctx, v)
	if err != nil {
		return err
	}
	if !strings.EqualFold(tenant, connection.Tenant) {
		return c.refused(ctx, v, from, foyer.Errorf(foyer.Forbidden, "somebody agreed for another tenant than %s, with which the link was signed in: nothing was changed. Agree with an account of %s",
			connection.TenantName, connection.TenantName))
	}
	app, err := c.client(ctx)
	if err != nil {
		return err
	}
	if err := c.check(ctx, app, connection.Tenant); err != nil {
		return c.refused(ctx, v, from, err)
	}
	_, err = c.Store.EditConnection(ctx, visitor(v, from), v.Org, v.Source, "agree", func(n *foyer.Connection) error {
		if n.State == foyer.Consenting {
			n.State = foyer.Confirming
		} else if n.State == foyer.Disconnected {
			n.State = foyer.Connected // it was confirmed before
		}
		n.NextAt, n.Problem, n.Failures = c.Store.Now(), "", 0
		return nil
	})
	c.Wake()
	return err
}

// check tells whether a tenant that has just agreed can be read. It may take Microsoft some seconds until it knows of that everywhere.
func (c *Connector) check(ctx context.Context, app *entra.App, tenant string) (err error) {
	for _, pause := range []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 0} {
		err = app.Tenant(tenant).Check(ctx)
		if known, ok := asEntra(err); !ok || known.Kind != entra.Withdrawn || pause == 0 {
			break
		}
		if c.Sleep(ctx, pause) != nil {
			break
		}
	}
	return err
}

func (c *Connector) connection(ctx context.Context, v store.Visit) (foyer.Connection, error) {
	all, err := c.Store.Connections(ctx, foyer.PersonCaller("", v.Org, foyer.Connector, nil, netip.Addr{}), v.Org)
	for _, one := range all {
		if one.Source == v.Source {
			return one, err
		}
	}
	if err == nil {
		err = foyer.Errorf(foyer.NotFound, "this connection is not there any more: it was disconnected")
	}
	return foyer.Connection{}, err
}

// auditText is what the audit says of an error: without what its text may quote of a person.
func auditText(err error) string {
	if known, ok := asEntra(err); ok && known.Code != "" {
		return known.Code
	}
	return fmt.Sprint(foyer.KindOf(err))
}

// Wake lets tenants that are due be read now, instead of in some seconds.
func (c *Connector) Wake() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}
