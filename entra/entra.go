// Package entra speaks with Microsoft: the identity platform, where a customer's administrator signs in and consents, and the Graph, from which
// the people of the customer's tenant are read. It knows the protocol and nothing of Foyer's book.
//
// One application of ours (App) serves many tenants, and its credential reads every tenant that ever consented. So whose tenant it is comes from
// a verified ID token alone (Redeem), never from a parameter of a callback. After that, Tenant reads as the application.
//
// Reading is all or nothing by pages: a page is handed on once it is whole, and a read has ended only where the Graph gave a deltaLink.
// What fails is an *Error, whose Kind says what to do about it; neither it nor the log names people, secrets, tokens or codes.
//
// Sources, named as they are in Microsoft's documentation: entra-docs v2-oauth2-auth-code-flow, v2-oauth2-client-creds-grant-flow, v2-admin-consent,
// certificate-credentials, id-token-claims-reference, reference-error-codes; microsoft-graph-docs delta-query-overview, user-delta, paging, throttling, errors.
package entra

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"foyer"
)

// Where the application of Microsoft's global cloud signs in and reads. National clouds have others.
const (
	DefaultAuthority = "https://login.microsoftonline.com"
	DefaultGraph     = "https://graph.microsoft.com"
)

const (
	requestTime = time.Minute // for one request and its whole reply
	maxReply    = 32 << 20    // bytes of one reply; a page of 200 people has some 200 KiB
)

// Config says which application this is, and where Microsoft is.
type Config struct {
	ClientID   string // of the application registration, a GUID
	Authority  string // base URL of the identity platform, https only; "": DefaultAuthority
	Graph      string // base URL of the Graph without v1.0, https only; "": DefaultGraph
	Credential Credential

	Client *http.Client // proxies and whom to trust; nil: as the environment says. Its redirects, cookies and, where it has none, time-out are replaced
	Clock  foyer.Clock  // nil: time.Now
	Log    *slog.Logger // nil: nothing is logged

	// Sleep waits for d, or less where ctx ends, and then returns its error. nil: it waits by the machine's clock. It is called from one read at a time,
	// but several reads may run.
	Sleep func(ctx context.Context, d time.Duration) error
}

// Credential is how our application proves who it is: a secret, or a certificate with its key. Exactly one of them is set.
type Credential struct {
	Secret      string
	Certificate *x509.Certificate // with an RSA key: the identity platform takes no other
	Key         crypto.Signer     // of the certificate
}

// App is our application. Its methods may be called at the same time.
type App struct {
	id        string
	authority string
	graph     string
	secret    string
	signer    jose.Signer // nil with a secret
	client    *http.Client
	keys      oidc.KeySet // those of ID tokens
	clock     foyer.Clock
	log       *slog.Logger
	sleep     func(context.Context, time.Duration) error
}

// New makes an App. It asks nobody: what is wrong with the credential shows at the first request (BadCredential), what is wrong with c is an Invalid Error.
func New(c Config) (*App, error) {
	a := &App{id: strings.ToLower(c.ClientID), clock: c.Clock, log: c.Log, sleep: c.Sleep, client: newClient(c.Client)}
	if !isGUID(a.id) {
		return nil, invalid("the client id of the application is no GUID; it is the \"Application (client) ID\" of the app registration")
	}
	var err error
	if a.authority, err = baseURL(c.Authority, DefaultAuthority); err != nil {
		return nil, err
	}
	if a.graph, err = baseURL(c.Graph, DefaultGraph); err != nil {
		return nil, err
	}
	if err := a.setCredential(c.Credential); err != nil {
		return nil, err
	}
	if a.clock == nil {
		a.clock = time.Now
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if a.sleep == nil {
		a.sleep = Sleep
	}
	a.keys = oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), a.client), a.authority+"/organizations/discovery/v2.0/keys")
	return a, nil
}

// setCredential takes the secret, or makes what signs assertions.
func (a *App) setCredential(c Credential) error {
	a.secret = c.Secret
	switch {
	case c.Secret == "" && c.Certificate == nil:
		return invalid("the application has neither a certificate nor a secret")
	case c.Secret != "" && c.Certificate != nil:
		return invalid("the application has a certificate and a secret; give it one of them")
	case c.Secret != "":
		return nil
	case c.Key == nil:
		return invalid("the key of the application's certificate is missing")
	}
	public, ok := c.Certificate.PublicKey.(*rsa.PublicKey)
	if !ok {
		return invalid("the key of the application's certificate is not RSA, the only one that Microsoft takes")
	}
	if !public.Equal(c.Key.Public()) {
		return invalid("the key does not belong to the application's certificate")
	}
	signer, err := newSigner(c.Certificate, c.Key)
	a.signer = signer
	return err
}

// baseURL returns an address without the slash at its end, or the usual one for "".
func baseURL(s, usual string) (string, error) {
	if s == "" {
		return usual, nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return "", invalid(fmt.Sprintf("%q is not the address of a cloud of Microsoft's; they look like %s", s, usual))
	}
	return "https://" + strings.ToLower(u.Host), nil
}

// newClient is c without redirects and cookies, with bounds. A redirect would carry the bearer, or a form with a secret, to whoever is named in it.
func newClient(c *http.Client) *http.Client {
	client := http.Client{}
	if c != nil {
		client = *c
	}
	if client.Transport == nil {
		client.Transport = http.DefaultTransport
	}
	if client.Timeout == 0 {
		client.Timeout = requestTime
	}
	client.Transport, client.Jar = bounded{client.Transport}, nil
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

// bounded ends each reply at maxReply.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{http.MaxBytesReader(nil, resp.Body, maxReply), resp.Body}
	}
	return resp, err
}

// Sleep waits for d by the machine's clock, or until ctx ends, and then returns its error.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

var guid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// isGUID tells whether s is one in lower case.
func isGUID(s string) bool { return guid.MatchString(s) }

func invalid(message string) *Error { return &Error{Kind: Invalid, Message: message} }
