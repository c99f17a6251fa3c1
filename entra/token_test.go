package entra_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"foyer/entra"
	"foyer/entra/entratest"
)

// TestNew_RefusesWhatCannotWork holds that settings which cannot be meant are told at once.
func TestNew_RefusesWhatCannotWork(t *testing.T) {
	w := newWorld(t)
	certificate, key := newCertificate(t)
	_, otherKey := newCertificate(t)
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*entra.Config){
		"no client id":             func(c *entra.Config) { c.ClientID = "" },
		"client id is a name":      func(c *entra.Config) { c.ClientID = "foyer" },
		"authority without TLS":    func(c *entra.Config) { c.Authority = "http://login.microsoftonline.com" },
		"authority with a tenant":  func(c *entra.Config) { c.Authority = "https://login.microsoftonline.com/common" },
		"authority with a user":    func(c *entra.Config) { c.Authority = "https://a@login.microsoftonline.com" },
		"authority without a host": func(c *entra.Config) { c.Authority = "https://" },
		"graph without TLS":        func(c *entra.Config) { c.Graph = "http://graph.microsoft.com" },
		"graph with a version":     func(c *entra.Config) { c.Graph = "https://graph.microsoft.com/v1.0" },
		"graph with a query":       func(c *entra.Config) { c.Graph = "https://graph.microsoft.com?a" },
		"no credential":            func(c *entra.Config) { c.Credential = entra.Credential{} },
		"two credentials":          func(c *entra.Config) { c.Credential.Certificate, c.Credential.Key = certificate, key },
		"certificate, no key":      func(c *entra.Config) { c.Credential = entra.Credential{Certificate: certificate} },
		"another key":              func(c *entra.Config) { c.Credential = entra.Credential{Certificate: certificate, Key: otherKey} },
		"key not RSA": func(c *entra.Config) {
			c.Credential = entra.Credential{Certificate: &x509.Certificate{PublicKey: curve.Public()}, Key: curve}
		},
	} {
		c := w.config()
		change(&c)
		app, err := entra.New(c)
		if app != nil {
			t.Errorf("%s: it was taken", name)
		}
		wantKind(t, err, entra.Invalid)
	}
	c := w.config()
	c.Authority, c.Graph, c.Clock, c.Sleep, c.Client = "", "", nil, nil, nil
	app, err := entra.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if got := app.ConsentURL("x", callback, "s"); !strings.HasPrefix(got, "https://login.microsoftonline.com/x/v2.0/adminconsent?") {
		t.Errorf("the usual authority is %s", got)
	}
}

// TestCredential_Certificate holds that a certificate does all that a secret does: the sign-in and the application's own token.
func TestCredential_Certificate(t *testing.T) {
	w := newWorld(t)
	certificate, key := newCertificate(t)
	w.registration.Secrets, w.registration.Certificates = nil, []*x509.Certificate{certificate}
	w.Register(w.registration)
	w.app = w.newApp(t, entra.Credential{Certificate: certificate, Key: key})
	if _, err := w.signIn(t, w.ann); err != nil {
		t.Error(err)
	}
	for range 2 { // an assertion is good once
		if err := w.tenant().Check(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// TestCredential_AssertionIsAsMicrosoftAdvises holds the header and the life of what the certificate signs (certificate-credentials).
func TestCredential_AssertionIsAsMicrosoftAdvises(t *testing.T) {
	w := newWorld(t)
	certificate, key := newCertificate(t)
	w.registration.Certificates = []*x509.Certificate{certificate}
	w.Register(w.registration)
	var form url.Values
	c := w.config()
	c.Credential = entra.Credential{Certificate: certificate, Key: key}
	c.Client.Transport = spy{c.Client.Transport, func(f url.Values) { form = f }}
	app, err := entra.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Tenant(w.acme.ID).Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	assertion, err := jwt.ParseSigned(form.Get("client_assertion"), []jose.SignatureAlgorithm{jose.PS256})
	if err != nil {
		t.Fatal(err)
	}
	var claims jwt.Claims
	if err := assertion.Claims(key.Public(), &claims); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(certificate.Raw)
	header := assertion.Headers[0].ExtraHeaders
	if header["x5t#S256"] != base64.RawURLEncoding.EncodeToString(sum[:]) || header["typ"] != "JWT" {
		t.Errorf("the header is %v", header)
	}
	if life := claims.Expiry.Time().Sub(claims.NotBefore.Time()); life > 10*time.Minute || life <= 0 || form.Has("client_secret") {
		t.Errorf("it is good for %v, and the form has a secret: %v", life, form.Has("client_secret"))
	}
}

// spy shows the forms that are sent.
type spy struct {
	http.RoundTripper
	see func(url.Values)
}

func (s spy) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPost {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		form, _ := url.ParseQuery(string(body))
		s.see(form)
	}
	return s.RoundTripper.RoundTrip(r)
}

// TestCredential_ThatMicrosoftDoesNotTake holds that our own credential is blamed, and nobody's tenant.
func TestCredential_ThatMicrosoftDoesNotTake(t *testing.T) {
	w := newWorld(t)
	certificate, key := newCertificate(t)
	for _, c := range []struct {
		name       string
		registered []entratest.Secret
		credential entra.Credential
		code       string
	}{
		{"wrong secret", []entratest.Secret{{Text: "another"}}, entra.Credential{Secret: secret}, "AADSTS7000215"},
		{"ended secret", []entratest.Secret{{Text: secret, Ends: w.clock.Now().Add(-time.Hour)}}, entra.Credential{Secret: secret}, "AADSTS7000222"},
		{"unknown certificate", nil, entra.Credential{Certificate: certificate, Key: key}, "AADSTS700027"},
	} {
		w.registration.Secrets = c.registered
		w.Register(w.registration)
		w.app = w.newApp(t, c.credential)
		_, err := read(t, w.tenant(), "")
		if e := wantKind(t, err, entra.BadCredential); e.Code != c.code {
			t.Errorf("%s: the code is %s, not %s", c.name, e.Code, c.code)
		}
		_, err = w.signIn(t, w.ann)
		wantKind(t, err, entra.BadCredential)
	}
}

// TestCredential_CertificateAndItsTime holds what an ended certificate and a wrong clock are told as.
func TestCredential_CertificateAndItsTime(t *testing.T) {
	w := newWorld(t)
	certificate, key := newCertificate(t)
	w.registration.Certificates = []*x509.Certificate{certificate}
	w.Register(w.registration)
	c := w.config()
	c.Credential = entra.Credential{Certificate: certificate, Key: key}
	c.Clock = func() time.Time { return w.clock.Now().Add(-time.Hour) }
	late, err := entra.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if e := wantKind(t, late.Tenant(w.acme.ID).Check(t.Context()), entra.BadCredential); e.Code != "AADSTS700024" || !strings.Contains(e.Message, "clock") {
		t.Errorf("a clock that is late is %v", e)
	}
	w.app = w.newApp(t, c.Credential)
	w.clock.forward(2 * 366 * 24 * time.Hour)
	if e := wantKind(t, w.tenant().Check(t.Context()), entra.BadCredential); e.Code != "AADSTS700027" {
		t.Errorf("an ended certificate is %v", e)
	}
}

// TestCheck_TenantThatDoesNotLetUsRead holds the ways in which a consent ends, or was never there.
func TestCheck_TenantThatDoesNotLetUsRead(t *testing.T) {
	for name, end := range map[string]func(*world){
		"application removed":   func(w *world) { w.acme.Remove(w.registration) },
		"registration deleted":  func(w *world) { w.Unregister(w.registration.ID) },
		"permission withdrawn":  func(w *world) { w.acme.Withdraw(w.registration, "User.Read.All") },
		"application disabled":  func(w *world) { w.FailAt("/token", 1, entratest.Failure{Status: 401, Number: 7000112}) },
		"consent not there":     func(w *world) { w.FailAt("/token", 1, entratest.Failure{Status: 400, Number: 65001}) },
		"blocked by a policy":   func(w *world) { w.FailAt("/token", 1, entratest.Failure{Status: 400, Number: 53003}) },
		"no such tenant at all": func(w *world) { w.FailAt("/token", 1, entratest.Failure{Status: 400, Number: 90002}) },
	} {
		w := newWorld(t)
		if err := w.tenant().Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		end(w)
		if k, _ := entra.KindOf(w.tenant().Check(t.Context())); k != entra.Withdrawn {
			t.Errorf("%s: the kind is %v", name, k)
		}
	}
	w := newWorld(t)
	wantKind(t, w.app.Tenant("acme.com").Check(t.Context()), entra.Invalid)
	wantKind(t, w.app.Tenant("../"+w.acme.ID).Check(t.Context()), entra.Invalid)
}

// TestMaySeeGroups_IsWhatWasConsentedTo holds that groups are another permission.
func TestMaySeeGroups_IsWhatWasConsentedTo(t *testing.T) {
	w := newWorld(t)
	if may, err := w.tenant().MaySeeGroups(t.Context()); err != nil || !may {
		t.Errorf("with the permission it is %v, %v", may, err)
	}
	w.acme.Withdraw(w.registration, "GroupMember.Read.All")
	if may, err := w.tenant().MaySeeGroups(t.Context()); err != nil || may {
		t.Errorf("without it is %v, %v", may, err)
	}
	if err := w.tenant().Check(t.Context()); err != nil {
		t.Errorf("people can be read without it: %v", err)
	}
	if n := w.Count(entratest.Graph, ""); n != 0 {
		t.Errorf("the Graph was asked %d times for what the token says", n)
	}
}

// TestMaySeeGroups_TokenThatCannotBeRead holds that the Graph is asked where the token does not say what it is for: nobody promised that we can read it.
func TestMaySeeGroups_TokenThatCannotBeRead(t *testing.T) {
	for groups, want := range map[int]bool{http.StatusOK: true, http.StatusForbidden: false} {
		server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			switch {
			case strings.HasSuffix(r.URL.Path, "/token"):
				fmt.Fprint(w, `{"access_token":"0paque","token_type":"Bearer","expires_in":3599}`)
			case r.URL.Path == "/v1.0/users" || r.URL.Path == "/v1.0/groups" && groups == http.StatusOK:
				fmt.Fprint(w, `{"value":[]}`)
			default:
				w.WriteHeader(groups)
				fmt.Fprint(w, `{"error":{"code":"Authorization_RequestDenied"}}`)
			}
		}))
		app, err := entra.New(entra.Config{ClientID: client, Authority: server.URL, Graph: server.URL, Credential: entra.Credential{Secret: secret}, Client: server.Client()})
		if err != nil {
			t.Fatal(err)
		}
		if err := app.Tenant(tenant).Check(t.Context()); err != nil {
			t.Error(err)
		}
		if may, err := app.Tenant(tenant).MaySeeGroups(t.Context()); err != nil || may != want {
			t.Errorf("where groups are answered %d it is %v, %v", groups, may, err)
		}
		server.Close()
	}
}

// TestToken_OneForARun holds that a token is used until shortly before it ends, by our clock.
func TestToken_OneForARun(t *testing.T) {
	w := newWorld(t)
	w.acme.Populate(500, 1)
	tenant := w.tenant()
	must(t, tenant, "")
	must(t, tenant, "")
	if n := w.Count(entratest.Login, "/token"); n != 1 {
		t.Errorf("%d tokens were got for two reads", n)
	}
	w.clock.forward(56 * time.Minute)
	must(t, tenant, "")
	if n := w.Count(entratest.Login, "/token"); n != 2 {
		t.Errorf("%d tokens were got, the first of which is about to end", n)
	}
}

// TestToken_EndedEarlyIsRenewedOnce holds that a 401 is answered with one fresh token, and then believed.
func TestToken_EndedEarlyIsRenewedOnce(t *testing.T) {
	w := newWorld(t)
	tenant := w.tenant()
	must(t, tenant, "")
	w.EndTokens()
	must(t, tenant, "")
	if n := w.Count(entratest.Login, "/token"); n != 2 {
		t.Errorf("%d tokens were got", n)
	}
	w.Forget()
	w.Fail(func(r *http.Request) *entratest.Failure {
		if strings.HasSuffix(r.URL.Path, "/delta") {
			return &entratest.Failure{Status: 401}
		}
		return nil
	})
	_, err := read(t, tenant, "")
	if e := wantKind(t, err, entra.Withdrawn); e.Status != 401 || e.Code != "InvalidAuthenticationToken" {
		t.Errorf("the error is %v, status %d", e, e.Status)
	}
	if tokens, asked := w.Count(entratest.Login, "/token"), w.Count(entratest.Graph, "/delta"); tokens != 1 || asked != 2 {
		t.Errorf("it was asked %d times with %d new tokens", asked, tokens)
	}
}

// TestToken_PermissionGivenSince holds that a consent counts at once, though the token is of before.
func TestToken_PermissionGivenSince(t *testing.T) {
	w := newWorld(t)
	w.acme.Withdraw(w.registration, "User.Read.All")
	tenant := w.tenant()
	_, err := read(t, tenant, "")
	if e := wantKind(t, err, entra.Withdrawn); e.Status != 403 || e.Code != "Authorization_RequestDenied" {
		t.Errorf("the error is %v", e)
	}
	w.acme.Consent(w.registration)
	must(t, tenant, "")
}

// TestErrors_NameNobodyAndNoSecret holds that neither errors nor the log hold tokens, secrets, codes or what Microsoft says of people.
func TestErrors_NameNobodyAndNoSecret(t *testing.T) {
	w := newWorld(t)
	var log bytes.Buffer
	c := w.config()
	c.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	if w.app, err = entra.New(c); err != nil {
		t.Fatal(err)
	}
	code, s := w.code(t, w.ann)
	link := must(t, w.tenant(), "").link
	var said []error
	for _, f := range []entratest.Failure{{Status: 400, Message: "ann@acme.com"}, {Status: 404, Message: "ann@acme.com"}, {Status: 403, Message: "ann@acme.com"}, {Status: 500, Message: "ann@acme.com"},
		{Status: 400, Code: "ann@acme.com"}, {Status: 429}, {Cut: true}, {Truncate: true}, {Status: 200, Body: `{"value":"ann@acme.com"}`}, {Status: 200, Body: "ann@acme.com"},
		{Status: 302, Header: http.Header{"Location": {"https://ann@acme.com/" + secret}}, Body: "-"}, {LinkHost: "https://ann@acme.com"}} {
		stop := w.Fail(func(*http.Request) *entratest.Failure { return &f })
		_, err := w.app.Redeem(t.Context(), code, s)
		said = append(said, err)
		stop()
		stop = w.Fail(func(r *http.Request) *entratest.Failure {
			if strings.HasSuffix(r.URL.Path, "/token") {
				return nil
			}
			return &f
		})
		_, err = read(t, w.tenant(), link)
		_, err2 := w.tenant().User(t.Context(), w.ann.ID)
		_, err3 := w.app.Redeem(t.Context(), code, s)
		said = append(said, err, err2, err3)
		stop()
	}
	dead := w.config()
	dead.Graph = "https://127.0.0.1:1"
	app, err := entra.New(dead)
	if err != nil {
		t.Fatal(err)
	}
	w.FailAt("/token", 1, entratest.Failure{Status: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"access_token":"a","token_type":"Bearer","expires_in":3600}`})
	_, err = app.Tenant(w.acme.ID).Users(t.Context(), "https://127.0.0.1:1/v1.0/users/delta?$deltatoken=t0ken", func([]entra.Item) error { return nil })
	if e := wantKind(t, err, entra.Unavailable); e.Status != 0 {
		t.Errorf("a Graph that is not there answered %d", e.Status)
	}
	said = append(said, err)
	for _, err := range said {
		if err == nil {
			continue
		}
		for _, text := range []string{"ann@acme.com", secret, code, s.Verifier, s.Nonce, "token=", "eyJ"} {
			if strings.Contains(err.Error(), text) {
				t.Errorf("%q holds %q", err, text)
			}
		}
	}
	if log.Len() == 0 || strings.Contains(log.String(), "@") || strings.Contains(log.String(), secret) {
		t.Errorf("the log is %q", log.String())
	}
}
