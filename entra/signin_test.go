package entra_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"foyer/entra"
	"foyer/entra/entratest"
)

// walk signs somebody in and returns what the browser brings back, with the sign-in.
func (w *world) walk(t *testing.T, who entratest.Walk) (url.Values, entra.SignIn) {
	t.Helper()
	s := newSignIn()
	r, err := w.Walk(t.Context(), w.app.SignInURL(s), who)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.URL.Query().Get("state"); got != s.State {
		t.Fatalf("the state that came back is %q, not %q", got, s.State)
	}
	return r.URL.Query(), s
}

// code signs somebody in as far as the code.
func (w *world) code(t *testing.T, who entratest.User) (string, entra.SignIn) {
	t.Helper()
	back, s := w.walk(t, entratest.Walk{Account: who})
	code, err := entra.ParseCallback(back)
	if err != nil {
		t.Fatal(err)
	}
	return code, s
}

// signIn signs somebody in to the end.
func (w *world) signIn(t *testing.T, who entratest.User) (*entra.Visitor, error) {
	t.Helper()
	code, s := w.code(t, who)
	return w.app.Redeem(t.Context(), code, s)
}

// TestSignInURL_AsksForAnAccountOfAnyTenant holds what a sign-in is begun with.
func TestSignInURL_AsksForAnAccountOfAnyTenant(t *testing.T) {
	w := newWorld(t)
	s := newSignIn()
	u, err := url.Parse(w.app.SignInURL(s))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := u.Scheme+"://"+u.Host+u.Path, w.Authority+"/organizations/oauth2/v2.0/authorize"; got != want {
		t.Errorf("it goes to %s, not %s", got, want)
	}
	q := u.Query()
	for name, want := range map[string]string{"client_id": w.registration.ID, "response_type": "code", "redirect_uri": callback, "state": s.State, "nonce": s.Nonce,
		"prompt": "select_account", "scope": "openid profile " + w.Graph + "/User.Read", "code_challenge_method": "S256", "response_mode": "query"} {
		if got := q.Get(name); got != want {
			t.Errorf("%s is %q, not %q", name, got, want)
		}
	}
	if strings.Contains(u.RawQuery, s.Verifier) || strings.Contains(u.RawQuery, secret) {
		t.Error("the address holds what only the server may know")
	}
}

// TestRedeem_TellsWhoAndWhichTenant holds what a sign-in tells: the tenant of the token, its name, and the domains that it has proved.
func TestRedeem_TellsWhoAndWhichTenant(t *testing.T) {
	w := newWorld(t)
	w.acme.AddDomain(entratest.Domain{Name: "bigbank.com", Unverified: true})
	v, err := w.signIn(t, w.ann)
	if err != nil {
		t.Fatal(err)
	}
	if v.Tenant != w.acme.ID || v.Object != w.ann.ID || v.Name != "Ann Lee" || v.Username != "ann@acme.com" || v.TenantName != "Acme" {
		t.Errorf("the visitor is %+v", v)
	}
	slices.Sort(v.Domains)
	if want := []string{"acme.com", "acme.de", "acme.onmicrosoft.com"}; !slices.Equal(v.Domains, want) {
		t.Errorf("the domains are %q, not %q", v.Domains, want)
	}
}

// TestRedeem_RefusesEveryWrongIDToken holds that an ID token is taken only if all of it is right; each of these is a way in otherwise.
func TestRedeem_RefusesEveryWrongIDToken(t *testing.T) {
	w := newWorld(t)
	w.Fake.Tenant("Other", "other.com")
	for _, wrong := range entratest.Wrongs() {
		t.Run(string(wrong), func(t *testing.T) {
			code, s := w.code(t, w.ann)
			w.SpoilIDTokens(wrong)
			defer w.SpoilIDTokens(entratest.Nothing)
			v, err := w.app.Redeem(t.Context(), code, s)
			if v != nil {
				t.Errorf("it was taken: %+v", v)
			}
			wantKind(t, err, entra.Forged)
		})
	}
	if n := w.Count(entratest.Graph, "/organization"); n != 0 {
		t.Errorf("the Graph was asked %d times on behalf of nobody", n)
	}
}

// TestRedeem_TakesRotatedKeys holds that a new key of Microsoft's is found without a restart, and that the one before still counts while it is published.
func TestRedeem_TakesRotatedKeys(t *testing.T) {
	w := newWorld(t)
	for range 3 {
		if _, err := w.signIn(t, w.ann); err != nil {
			t.Fatal(err)
		}
		w.RotateKeys()
	}
	if n := w.Count(entratest.Login, "/keys"); n != 3 {
		t.Errorf("the keys were read %d times for 3 keys", n)
	}
	if _, err := w.signIn(t, w.ann); err != nil {
		t.Fatal(err)
	}
	if _, err := w.signIn(t, w.ann); err != nil {
		t.Fatal(err)
	}
	if n := w.Count(entratest.Login, "/keys"); n != 4 {
		t.Errorf("known keys were read again: %d times", n)
	}
}

// TestRedeem_KeysThatCannotBeReadAreNoForgery holds that an outage at Microsoft is not told, and audited, as an attack.
func TestRedeem_KeysThatCannotBeReadAreNoForgery(t *testing.T) {
	for name, failure := range map[string]entratest.Failure{"503": entratest.Unavailable(0), "cut": {Cut: true}, "no JSON": {Status: 200, Body: "<html>"}, "elsewhere": {Status: 302, Body: "-"}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			code, s := w.code(t, w.ann)
			stop := w.Fail(func(r *http.Request) *entratest.Failure {
				if strings.HasSuffix(r.URL.Path, "/keys") {
					return &failure
				}
				return nil
			})
			_, err := w.app.Redeem(t.Context(), code, s)
			wantKind(t, err, entra.Unavailable)
			if n := w.Count(entratest.Login, "/keys"); n < 1 || n > 3 { // tries that come at once share an answer
				t.Errorf("the keys were asked for %d times", n)
			}
			stop()
			if _, err := w.signIn(t, w.ann); err != nil {
				t.Errorf("after the outage: %v", err)
			}
		})
	}
}

// TestRedeem_CodeOfAnotherSignIn holds that a code is good only with the verifier and the nonce that were made for it.
func TestRedeem_CodeOfAnotherSignIn(t *testing.T) {
	w := newWorld(t)
	code, s := w.code(t, w.ann)
	other := newSignIn()
	_, err := w.app.Redeem(t.Context(), code, other)
	if e := wantKind(t, err, entra.Forged); e.Code != "AADSTS501481" {
		t.Errorf("the code is %q", e.Code)
	}
	mixed := s
	mixed.Nonce = other.Nonce
	_, err = w.app.Redeem(t.Context(), code, mixed)
	wantKind(t, err, entra.Forged)
	if _, err := w.app.Redeem(t.Context(), code, entra.SignIn{RedirectURI: callback}); err == nil {
		t.Error("a sign-in without nonce and verifier was taken")
	}
}

// TestRedeem_CodeIsGoodOnceAndTenMinutes holds that old sign-ins are told as such.
func TestRedeem_CodeIsGoodOnceAndTenMinutes(t *testing.T) {
	w := newWorld(t)
	code, s := w.code(t, w.ann)
	if _, err := w.app.Redeem(t.Context(), code, s); err != nil {
		t.Fatal(err)
	}
	_, err := w.app.Redeem(t.Context(), code, s)
	wantKind(t, err, entra.Invalid)
	code, s = w.code(t, w.ann)
	w.clock.forward(11 * 60e9)
	_, err = w.app.Redeem(t.Context(), code, s)
	wantKind(t, err, entra.Invalid)
}

// TestRedeem_LostAnswerIsNotAskedForAgain holds that a code is sent once: the second time would be told as a replay.
func TestRedeem_LostAnswerIsNotAskedForAgain(t *testing.T) {
	w := newWorld(t)
	code, s := w.code(t, w.ann)
	w.FailAt("/token", 1, entratest.Failure{Cut: true})
	_, err := w.app.Redeem(t.Context(), code, s)
	wantKind(t, err, entra.Unavailable)
	if n := w.Count(entratest.Login, "/token"); n != 1 {
		t.Errorf("the code was sent %d times", n)
	}
}

// TestRedeem_DoesNotKeepAPersonWaiting holds that a wait which nobody would sit out is not begun.
func TestRedeem_DoesNotKeepAPersonWaiting(t *testing.T) {
	w := newWorld(t)
	code, s := w.code(t, w.ann)
	w.FailAt("/organization", 1, entratest.Throttled(100e9))
	_, err := w.app.Redeem(t.Context(), code, s)
	if e := wantKind(t, err, entra.Throttled); e.RetryAfter != 100e9 {
		t.Errorf("the wait is told as %v", e.RetryAfter)
	}
	if len(w.clock.waits()) != 0 {
		t.Errorf("it was waited for %v", w.clock.waits())
	}
}

// TestRedeem_OrganizationOfAnotherTenant holds that the name and domains are of the tenant that was signed in to.
func TestRedeem_OrganizationOfAnotherTenant(t *testing.T) {
	w := newWorld(t)
	code, s := w.code(t, w.ann)
	w.FailAt("/organization", 1, entratest.Failure{Status: 200, Body: `{"value":[{"id":"11111111-2222-3333-4444-555555555555","displayName":"Acme","verifiedDomains":[{"name":"acme.com"}]}]}`})
	_, err := w.app.Redeem(t.Context(), code, s)
	wantKind(t, err, entra.Forged)
}

// TestRedeem_NotAgreedTo holds that a consent which is missing at a sign-in is no connection that ended.
func TestRedeem_NotAgreedTo(t *testing.T) {
	w := newWorld(t)
	code, s := w.code(t, w.ann)
	w.FailAt("/token", 1, entratest.Failure{Status: 400, Code: "invalid_grant", Number: 65001})
	_, err := w.app.Redeem(t.Context(), code, s)
	wantKind(t, err, entra.Denied)
}

// TestParseCallback_DeclinedSignIn holds that who says no is told as that.
func TestParseCallback_DeclinedSignIn(t *testing.T) {
	w := newWorld(t)
	stranger := w.Fake.Tenant("Fresh", "fresh.com").Add(entratest.User{Mail: "bo@fresh.com", SignsIn: true})
	back, _ := w.walk(t, entratest.Walk{Account: stranger, Decline: true})
	_, err := entra.ParseCallback(back)
	wantKind(t, err, entra.Denied)
}

// TestParseCallback_LooksAtErrorFirst holds what is made of what a browser brings, which anybody may have written.
func TestParseCallback_LooksAtErrorFirst(t *testing.T) {
	for query, want := range map[string]entra.Kind{
		"":                           entra.Forged,
		"code=":                      entra.Forged,
		"code=a&code=b":              entra.Forged,
		"error=&code=a":              entra.Invalid,
		"state=s&kode=a":             entra.Forged,
		"code=a&error=access_denied": entra.Denied,
		"error=consent_required&error_description=AADSTS65001%3a+no":             entra.Denied,
		"error=access_denied&error_description=AADSTS90094%3a+ask":               entra.Denied,
		"error=temporarily_unavailable":                                          entra.Unavailable,
		"error=server_error&error_description=AADSTS90033":                       entra.Unavailable,
		"error=invalid_request&error_description=AADSTS50011":                    entra.Invalid,
		"error=invalid_client&error_description=AADSTS7000215%3a+nobody's+blame": entra.Invalid,
		"error=unauthorized_client&error_description=AADSTS700016%3a+who":        entra.Denied,
	} {
		v, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		code, err := entra.ParseCallback(v)
		if code != "" {
			t.Errorf("%q gives the code %q", query, code)
		}
		if kind, ok := entra.KindOf(err); !ok || kind != want {
			t.Errorf("%q is %v, not %v", query, err, want)
		}
	}
}

// TestParseCallback_DoesNotRepeatWhatItWasTold holds that a crafted callback puts no words into our mouth.
func TestParseCallback_DoesNotRepeatWhatItWasTold(t *testing.T) {
	_, err := entra.ParseCallback(url.Values{"error": {"call +1 555 0100"}, "error_description": {"AADSTS65004: please call +1 555 0100 at once"}})
	if e := wantKind(t, err, entra.Denied); strings.Contains(e.Error(), "555") || e.Code != "AADSTS65004" {
		t.Errorf("it says %q", e)
	}
}
