package entra_test

import (
	"crypto/rsa"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"foyer/entra"
)

const (
	client  = "aaaaaaaa-0000-4000-8000-000000000001"
	someone = "bbbbbbbb-0000-4000-8000-000000000001"
	tenant  = "cccccccc-0000-4000-8000-000000000001"
)

// issuer is an identity platform and Graph that signs any claims: those that no fake of Microsoft would make.
type issuer struct {
	*httptest.Server
	key    *rsa.PrivateKey
	claims map[string]any
	none   bool   // no ID token at all
	org    string // whom the Graph says it is
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{}
	_, i.key = newCertificate(t)
	i.Server = httptest.NewTLSServer(i)
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/organizations/discovery/v2.0/keys":
		json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: i.key.Public(), KeyID: "k", Use: "sig"}}})
	case "/organizations/oauth2/v2.0/token":
		reply := map[string]any{"access_token": "opaque", "token_type": "Bearer", "expires_in": 3600}
		if !i.none {
			signer, _ := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: i.key, KeyID: "k"}}, nil)
			reply["id_token"], _ = jwt.Signed(signer).Claims(i.claims).Serialize()
		}
		json.NewEncoder(w).Encode(reply)
	case "/v1.0/organization":
		json.NewEncoder(w).Encode(map[string]any{"value": []any{map[string]any{"id": i.org, "displayName": "Acme"}}})
	default:
		http.NotFound(w, r)
	}
}

// redeem ends a sign-in whose ID token has these claims in place of the right ones; nil takes one away.
func (i *issuer) redeem(t *testing.T, wrong map[string]any) (*entra.Visitor, error) {
	t.Helper()
	app, err := entra.New(entra.Config{ClientID: client, Authority: i.URL, Graph: i.URL, Credential: entra.Credential{Secret: secret}, Client: i.Client(), Sleep: newClock().Sleep})
	if err != nil {
		t.Fatal(err)
	}
	s := newSignIn()
	now := time.Now().Unix()
	i.claims = map[string]any{"iss": i.URL + "/" + tenant + "/v2.0", "aud": client, "tid": tenant, "oid": someone, "nonce": s.Nonce, "iat": now, "nbf": now, "exp": now + 3600}
	maps.Copy(i.claims, wrong)
	i.org, _ = i.claims["tid"].(string) // the Graph agrees
	maps.DeleteFunc(i.claims, func(_ string, v any) bool { return v == nil })
	return app.Redeem(t.Context(), "code", s)
}

// TestRedeem_ClaimsThatOnlyWeCheck holds what the library leaves to us; the first of them is right, so that the others fail for what they are.
func TestRedeem_ClaimsThatOnlyWeCheck(t *testing.T) {
	i := newIssuer(t)
	if v, err := i.redeem(t, nil); err != nil || v.Tenant != tenant || v.Name != "" {
		t.Fatalf("the right token gives %+v, %v", v, err)
	}
	const personal = "9188040d-6c67-4c5b-b112-36a304b66dad"
	later := time.Now().Add(time.Hour).Unix()
	for name, wrong := range map[string]map[string]any{
		"a personal account":            {"tid": personal, "iss": i.URL + "/" + personal + "/v2.0"},
		"tid no GUID":                   {"tid": "acme.com", "iss": i.URL + "/acme.com/v2.0"},
		"tid a way out":                 {"tid": "../" + tenant, "iss": i.URL + "/../" + tenant + "/v2.0"},
		"tid a number":                  {"tid": 7},
		"tid of several":                {"tid": []string{tenant}},
		"tid in capitals":               {"tid": "CCCCCCCC-0000-4000-8000-000000000001", "iss": i.URL + "/CCCCCCCC-0000-4000-8000-000000000001/v2.0"},
		"issuer with a slash":           {"iss": i.URL + "/" + tenant + "/v2.0/"},
		"issuer of version 1":           {"iss": i.URL + "/" + tenant + "/"},
		"issuer with more before":       {"iss": "https://evil.example/" + i.URL + "/" + tenant + "/v2.0"},
		"no issuer":                     {"iss": nil},
		"no account":                    {"oid": nil},
		"account no GUID":               {"oid": "7"},
		"no audience":                   {"aud": nil},
		"audience that begins like us":  {"aud": client + "0"},
		"issued never":                  {"iat": nil},
		"issued in the future":          {"iat": later, "exp": later + 3600},
		"no nonce":                      {"nonce": nil},
		"empty nonce":                   {"nonce": ""},
		"expired":                       {"exp": time.Now().Add(-time.Second).Unix()},
		"claims that are to be fetched": {"_claim_names": map[string]string{"tid": "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := i.redeem(t, wrong)
			if v != nil {
				t.Errorf("it was taken: %+v", v)
			}
			wantKind(t, err, entra.Forged)
		})
	}
}

// TestRedeem_NoIDToken holds that an access token alone says nothing of who it is.
func TestRedeem_NoIDToken(t *testing.T) {
	i := newIssuer(t)
	i.none = true
	_, err := i.redeem(t, nil)
	wantKind(t, err, entra.Forged)
}
