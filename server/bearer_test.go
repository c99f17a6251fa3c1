package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"foyer"
	"foyer/foyertest"
	"foyer/store"
)

// challenges: what RFC 6750 §3 wants of a 401, without a token and with one that is no good.
const (
	plainChallenge   = `Bearer realm="foyer"`
	invalidChallenge = plainChallenge + `, error="invalid_token", error_description="`
)

// TestUpload_NoToken holds that a request without a bearer token gets the challenge without an error code (RFC 6750 §3.1).
func TestUpload_NoToken(t *testing.T) {
	f := foyertest.Start(t)
	for name, change := range map[string]func(*http.Request){
		"nothing":        func(r *http.Request) { r.Header.Del("Authorization") },
		"another scheme": func(r *http.Request) { r.SetBasicAuth(f.Script.ClientID, f.Script.ClientSecret) },
		"in the URL": func(r *http.Request) {
			r.Header.Del("Authorization")
			r.URL.RawQuery = url.Values{"access_token": {token(t, f.Script)}}.Encode()
		},
	} {
		t.Run(name, func(t *testing.T) {
			reply := upload(t, f, ann, change)
			wantProblem(t, reply, 401, "unauthenticated")
			if got := reply.Header.Get("WWW-Authenticate"); got != plainChallenge {
				t.Errorf("the challenge is %q, want %q", got, plainChallenge)
			}
		})
	}
	wantBook(t, f)
}

// wantInvalidToken checks that an upload is 401 invalid_token, has no effect and is no run.
func wantInvalidToken(t *testing.T, f *foyertest.Foyer, bearer, detail string) {
	t.Helper()
	reply := uploadWith(t, f, bearer, ann, func(*http.Request) {})
	p := wantProblem(t, reply, 401, "unauthenticated")
	if !strings.Contains(p.Detail, detail) {
		t.Errorf("the detail %q does not say %q", p.Detail, detail)
	}
	if got := reply.Header.Get("WWW-Authenticate"); !strings.HasPrefix(got, invalidChallenge) || strings.Count(got, `"`) != 6 {
		t.Errorf("the challenge is %q", got)
	}
	wantBook(t, f)
	if all := runs(t, f); len(all) != 0 {
		t.Errorf("there are %d runs", len(all))
	}
}

func TestUpload_MalformedToken(t *testing.T) {
	f := foyertest.Start(t)
	good := token(t, f.Script)
	for name, bearer := range map[string]string{
		"no token at all": "wrong", "cut": good[:len(good)-1], "longer": good + "a", "upper case": strings.ToUpper(good), "a secret": f.Script.ClientSecret,
		"a client id": f.Script.ClientID, "two": good + " " + good, "quotes": `a"b\c`,
	} {
		t.Run(name, func(t *testing.T) { wantInvalidToken(t, f, bearer, "not one of this server's") })
	}
}

func TestUpload_TokenExpires(t *testing.T) {
	f := foyertest.Start(t)
	bearer := token(t, f.Script)
	f.Clock.Move(time.Hour + time.Second)
	wantInvalidToken(t, f, bearer, "expired")
}

func TestUpload_TokenLivesUntilItExpires(t *testing.T) {
	f := foyertest.Start(t)
	bearer := token(t, f.Script)
	f.Clock.Move(time.Hour - 2*time.Second)
	wantLine(t, uploadWith(t, f, bearer, ann, func(*http.Request) {}), annLine)
}

func TestUpload_TokenRevoked(t *testing.T) {
	f := foyertest.Start(t)
	bearer := token(t, f.Script)
	if reply := revoke(t, f, f.Script, bearer); reply.Status != 200 {
		t.Fatalf("the revocation: %d %s", reply.Status, reply.Body)
	}
	wantInvalidToken(t, f, bearer, "revoked")
}

func TestUpload_TokenOfARevokedKey(t *testing.T) {
	f := foyertest.Start(t)
	bearer := token(t, f.Script)
	must(t, f.Store.RevokeKey(t.Context(), f.Operator, f.Org.ID, foyer.KeyID(f.Script.ClientID)))
	wantInvalidToken(t, f, bearer, "revoked")
}

func TestUpload_TokenOfAnExpiredKey(t *testing.T) {
	f := foyertest.Start(t)
	f = tenantWith(t, f, store.NewKey{ExpiresAt: f.Clock.Now().Add(10 * time.Minute)})
	bearer := token(t, f.Script)
	f.Clock.Move(11 * time.Minute)
	wantInvalidToken(t, f, bearer, "expired")
}

func TestUpload_TokenOfAnotherInstallation(t *testing.T) {
	wantInvalidToken(t, foyertest.Start(t), token(t, foyertest.Start(t).Script), "not one of this server's")
}

func TestUpload_WrongScope(t *testing.T) {
	f := foyertest.Start(t)
	f = tenantWith(t, f, store.NewKey{Scopes: foyer.ScopeRead})
	reply := upload(t, f, ann, func(*http.Request) {})
	wantProblem(t, reply, 403, "forbidden")
	if got := reply.Header.Get("WWW-Authenticate"); got != plainChallenge+`, error="insufficient_scope", scope="sync"` {
		t.Errorf("the challenge is %q", got)
	}
	wantBook(t, f)
}

// TestUpload_NarrowedScope holds that a token is worth no more than the scope that was asked for, whatever its key may do.
func TestUpload_NarrowedScope(t *testing.T) {
	f := foyertest.Start(t)
	f = tenantWith(t, f, store.NewKey{Scopes: foyer.ScopeRead | foyer.ScopeSync})
	got := wantToken(t, askToken(t, f.Script, "scope=read"))
	if got.Scope != "read" {
		t.Errorf("the scope is %q", got.Scope)
	}
	wantProblem(t, uploadWith(t, f, got.AccessToken, ann, func(*http.Request) {}), 403, "forbidden")
	wantBook(t, f)
}

// siteTenant is an organization whose key delivers for Toronto only, with Ann there.
func siteTenant(t *testing.T, f *foyertest.Foyer) *foyertest.Foyer {
	t.Helper()
	f = tenant(t, f)
	f.Script = f.NewKey(t, f.Org, store.NewKey{Site: 1})
	wantLine(t, f.Upload(t, ann), annLine)
	return f
}

func TestUpload_R14_EveryRowOfAnotherSite(t *testing.T) {
	f := siteTenant(t, foyertest.Start(t))
	reply := f.Upload(t, "EMAIL,SITE\nbob@test.com,Montreal\ncy@test.com,MTL\n,\n")
	p := wantProblem(t, reply, 403, "forbidden")
	if !strings.Contains(p.Detail, "Toronto") {
		t.Errorf("the detail does not name the key's site: %s", p.Detail)
	}
	wantRefused(t, f, p)
}

// TestUpload_R14_SiteIsNoMatterOfScope holds that the challenge for another site does not send the client for a scope that it has.
func TestUpload_R14_SiteIsNoMatterOfScope(t *testing.T) {
	f := siteTenant(t, foyertest.Start(t))
	reply := f.Upload(t, "EMAIL,SITE\nbob@test.com,Montreal\n")
	if got := reply.Header.Get("WWW-Authenticate"); strings.Contains(got, "scope") {
		t.Errorf("the challenge is %q", got)
	}
}

func TestUpload_R14_OneRowOfAnotherSiteIsItsError(t *testing.T) {
	f := siteTenant(t, foyertest.Start(t))
	reply := f.Upload(t, "EMAIL,SITE\nann@test.com,Toronto\nbob@test.com,Montreal\n")
	wantLine(t, reply, "OK run=R-2 added=0 updated=0 disabled=0 enabled=0 unchanged=1 skipped=0 errors=1 warnings=0")
	wantBook(t, f, "ann@test.com")
}

// TestUpload_KeyOfAnotherOrganization holds that a key fills its own organization's book and no other.
func TestUpload_KeyOfAnotherOrganization(t *testing.T) {
	f := foyertest.Start(t)
	other := tenant(t, f)
	wantLine(t, other.Upload(t, ann), annLine)
	wantBook(t, other, "ann@test.com")
	wantBook(t, f)
}
