package entratest_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"foyer/entra/entratest"
)

// claims are those of a token.
type claims map[string]any

func TestToken_ClientSecrets(t *testing.T) {
	w := start(t)
	w.app.Secrets = append(w.app.Secrets, entratest.Secret{Text: "old", Ends: w.clock.Now().Add(time.Hour)})
	w.Register(w.app)
	for name, c := range map[string]struct {
		tenant, code string
		more         url.Values
		number       int
	}{
		"wrong secret":      {w.acme.ID, "invalid_client", url.Values{"client_secret": {"wrong"}}, 7000215},
		"no secret":         {w.acme.ID, "invalid_client", url.Values{"client_secret": {""}}, 7000218},
		"unknown client":    {w.acme.ID, "unauthorized_client", url.Values{"client_id": {"nobody"}}, 700016},
		"no tenant":         {"organizations", "invalid_request", nil, 50059},
		"unknown tenant":    {"nowhere.example", "invalid_request", nil, 90002},
		"scope of a person": {w.acme.ID, "invalid_scope", url.Values{"scope": {"https://graph.microsoft.com/User.Read.All"}}, 1002012},
		"another resource":  {w.acme.ID, "invalid_resource", url.Values{"scope": {"https://vault.azure.net/.default"}}, 500011},
		"grant type":        {w.acme.ID, "unsupported_grant_type", url.Values{"grant_type": {"password"}}, 70003},
	} {
		status, reply := w.redeem(t, c.tenant, replaced(w.clientCredentials(), c.more))
		if status < 400 || code(reply) != c.number || reply["error"] != c.code || reply["trace_id"] == nil || reply["correlation_id"] == nil || reply["timestamp"] == nil {
			t.Errorf("%s: %d %v", name, status, reply)
		}
	}
	old := url.Values{"client_secret": {"old"}}
	if status, reply := w.redeem(t, "acme.com", replaced(w.clientCredentials(), old)); status != http.StatusOK {
		t.Errorf("before it ends: %d %v", status, reply)
	}
	w.clock.move(time.Hour)
	if status, reply := w.redeem(t, w.acme.ID, replaced(w.clientCredentials(), old)); status != http.StatusUnauthorized || code(reply) != 7000222 {
		t.Errorf("after: %d %v", status, reply)
	}
}

func TestToken_LastsAnHour(t *testing.T) {
	w := start(t)
	w.clock.move(time.Hour)
	if resp, reply := w.get(t, "/users/delta"); resp.StatusCode != http.StatusUnauthorized || code(reply) != "InvalidAuthenticationToken" {
		t.Errorf("after an hour: %d %v", resp.StatusCode, reply)
	}
	w.bearer = w.appToken(t)
	w.EndTokens()
	if resp, _ := w.get(t, "/users/delta"); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("ended: %d", resp.StatusCode)
	}
	w.bearer = "nonsense"
	if resp, _ := w.get(t, "/users/delta"); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("nonsense: %d", resp.StatusCode)
	}
}

// newCertificate makes a certificate of a client, good for a year by the test's clock.
func (w *world) newCertificate(t *testing.T) (*x509.Certificate, *rsa.PrivateKey) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "foyer"}, NotBefore: w.clock.Now().Add(-time.Minute), NotAfter: w.clock.Now().AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	certificate, err := x509.ParseCertificate(der)
	must(t, err)
	return certificate, key
}

// assert makes a client assertion.
func assert(t *testing.T, key *rsa.PrivateKey, header, body claims) string {
	t.Helper()
	var parts []string
	for _, c := range []claims{header, body} {
		text, err := json.Marshal(c)
		must(t, err)
		parts = append(parts, base64.RawURLEncoding.EncodeToString(text))
	}
	input := strings.Join(parts, ".")
	sum := sha256.Sum256([]byte(input))
	var signature []byte
	var err error
	if header["alg"] == "PS256" {
		signature, err = rsa.SignPSS(rand.Reader, key, crypto.SHA256, sum[:], nil)
	} else {
		signature, err = rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	}
	must(t, err)
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func TestToken_ClientAssertions(t *testing.T) {
	w := start(t)
	certificate, key := w.newCertificate(t)
	stranger, strangersKey := w.newCertificate(t)
	w.app.Certificates = []*x509.Certificate{certificate}
	w.Register(w.app)
	long, short, strange := sha256.Sum256(certificate.Raw), sha1.Sum(certificate.Raw), sha256.Sum256(stranger.Raw)
	b64 := base64.RawURLEncoding.EncodeToString
	endpoint := w.Authority + "/" + w.acme.ID + "/oauth2/v2.0/token"
	now := w.clock.Now().Unix()
	for i, c := range []struct {
		name         string
		key          *rsa.PrivateKey
		header, body claims
		number       any // of the error; nil: it is taken
	}{
		{"PS256 and SHA-256", key, nil, nil, nil},
		{"RS256 and SHA-1", key, claims{"alg": "RS256", "x5t": b64(short[:]), "x5t#S256": nil}, nil, nil},
		{"no thumbprint", key, claims{"x5t#S256": nil}, nil, 50027},
		{"another certificate", strangersKey, claims{"x5t#S256": b64(strange[:])}, nil, 700027},
		{"another key", strangersKey, nil, nil, 700027},
		{"alg of another padding", key, claims{"alg": "none"}, nil, 50027},
		{"issuer", key, nil, claims{"iss": "somebody"}, 700021},
		{"subject", key, nil, claims{"sub": "somebody"}, 700021},
		{"audience", key, nil, claims{"aud": w.Authority}, 700023},
		{"expired", key, nil, claims{"exp": now - 301}, 700024},
		{"no expiry", key, nil, claims{"exp": nil}, 700024},
		{"not yet", key, nil, claims{"nbf": now + 360}, 700024},
		{"replayed", key, nil, claims{"jti": "0"}, 50027},
		{"no jti", key, nil, claims{"jti": nil}, 50027},
	} {
		header := claims{"alg": "PS256", "typ": "JWT", "x5t#S256": b64(long[:])}
		body := claims{"aud": endpoint, "iss": w.app.ID, "sub": w.app.ID, "jti": fmt.Sprint(i), "nbf": now, "exp": now + 300}
		maps.Copy(header, c.header)
		maps.Copy(body, c.body)
		form := replaced(w.clientCredentials(), url.Values{"client_secret": {""}, "client_assertion": {assert(t, c.key, header, body)},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}})
		status, reply := w.redeem(t, w.acme.ID, form)
		if (status == http.StatusOK) != (c.number == nil) || code(reply) != c.number {
			t.Errorf("%s: %d %v", c.name, status, reply)
		}
	}
}

func TestToken_CertificatesEnd(t *testing.T) {
	w := start(t)
	certificate, key := w.newCertificate(t)
	w.app.Certificates = []*x509.Certificate{certificate}
	w.Register(w.app)
	w.clock.move(366 * 24 * time.Hour)
	sum := sha256.Sum256(certificate.Raw)
	now := w.clock.Now().Unix()
	assertion := assert(t, key, claims{"alg": "PS256", "x5t#S256": base64.RawURLEncoding.EncodeToString(sum[:])},
		claims{"aud": w.Authority + "/" + w.acme.ID + "/oauth2/v2.0/token", "iss": w.app.ID, "sub": w.app.ID, "jti": "a", "nbf": now, "exp": now + 300})
	form := replaced(w.clientCredentials(), url.Values{"client_secret": {""}, "client_assertion": {assertion}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}})
	if status, reply := w.redeem(t, w.acme.ID, form); status != http.StatusUnauthorized || code(reply) != 700027 || !strings.Contains(reply["error_description"].(string), "expired") {
		t.Errorf("%d %v", status, reply)
	}
}

// idToken signs somebody in and takes the ID token apart.
func (w *world) idToken(t *testing.T) (header, body claims, input string, signature []byte) {
	t.Helper()
	_, reply := w.redeem(t, "organizations", w.codeForm(w.signIn(t, w.bob).Get("code")))
	text, _ := reply["id_token"].(string)
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		t.Fatalf("no ID token: %v", reply)
	}
	for i, into := range []*claims{&header, &body} {
		part, err := base64.RawURLEncoding.DecodeString(parts[i])
		must(t, err)
		must(t, json.Unmarshal(part, into))
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	must(t, err)
	return header, body, parts[0] + "." + parts[1], signature
}

// published returns the keys that the metadata leads to, by their ids.
func (w *world) published(t *testing.T) map[string]*rsa.PublicKey {
	t.Helper()
	_, metadata := w.get(t, w.Authority+"/organizations/v2.0/.well-known/openid-configuration")
	if metadata["issuer"] != w.Authority+"/{tenantid}/v2.0" {
		t.Errorf("issuer %v", metadata["issuer"])
	}
	_, set := w.get(t, metadata["jwks_uri"].(string))
	keys := map[string]*rsa.PublicKey{}
	for _, k := range set["keys"].([]any) {
		k := k.(map[string]any)
		n, err := base64.RawURLEncoding.DecodeString(k["n"].(string))
		must(t, err)
		e, err := base64.RawURLEncoding.DecodeString(k["e"].(string))
		must(t, err)
		keys[k["kid"].(string)] = &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	}
	return keys
}

func verify(key *rsa.PublicKey, input string, signature []byte) bool {
	sum := sha256.Sum256([]byte(input))
	return key != nil && rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature) == nil
}

func TestIDToken_SaysWhoAndIsSigned(t *testing.T) {
	w := start(t)
	header, body, input, signature := w.idToken(t)
	now := float64(w.clock.Now().Unix())
	want := claims{"ver": "2.0", "iss": w.Authority + "/" + w.acme.ID + "/v2.0", "aud": w.app.ID, "tid": w.acme.ID, "oid": w.bob.ID, "nonce": "n0nce",
		"preferred_username": "bob@acme.com", "name": "Bob", "iat": now, "nbf": now, "exp": now + 3600}
	for name, value := range want {
		if body[name] != value {
			t.Errorf("%s is %v, want %v", name, body[name], value)
		}
	}
	if header["alg"] != "RS256" || !verify(w.published(t)[header["kid"].(string)], input, signature) {
		t.Errorf("header %v, and the signature is not that of a key that is published", header)
	}
	if _, metadata := w.get(t, w.Authority+"/"+w.acme.ID+"/v2.0/.well-known/openid-configuration"); metadata["issuer"] != body["iss"] {
		t.Errorf("the tenant's metadata: %v", metadata)
	}
}

func TestKeys_Rotate(t *testing.T) {
	w := start(t)
	before, _, input, signature := w.idToken(t)
	w.RotateKeys()
	after, _, _, _ := w.idToken(t)
	keys := w.published(t)
	if before["kid"] == after["kid"] || len(keys) != 2 || !verify(keys[before["kid"].(string)], input, signature) {
		t.Errorf("signed by %v, then %v; published are %d", before["kid"], after["kid"], len(keys))
	}
	w.RotateKeys()
	if w.published(t)[before["kid"].(string)] != nil {
		t.Error("the first key is still published")
	}
}

func TestIDToken_Wrongs(t *testing.T) {
	w := start(t)
	_, good, _, _ := w.idToken(t)
	for _, wrong := range entratest.Wrongs() {
		w.SpoilIDTokens(wrong)
		header, body, input, signature := w.idToken(t)
		key := w.published(t)[fmt.Sprint(header["kid"])]
		signed := header["alg"] == "RS256" && verify(key, input, signature)
		differ := []string{}
		for _, name := range []string{"iss", "aud", "nonce", "tid", "exp", "nbf"} {
			if fmt.Sprint(body[name]) != fmt.Sprint(good[name]) {
				differ = append(differ, name)
			}
		}
		got := fmt.Sprint(header["alg"], " ", key != nil, " ", signed, " ", differ)
		want := map[entratest.Wrong]string{
			entratest.WrongIssuer: "RS256 true true [iss]", entratest.IssuerUnfilled: "RS256 true true [iss]", entratest.OtherTenantIssuer: "RS256 true true [iss]",
			entratest.WrongAudience: "RS256 true true [aud]", entratest.SeveralAudiences: "RS256 true true [aud]",
			entratest.WrongNonce: "RS256 true true [nonce]", entratest.NoNonce: "RS256 true true [nonce]",
			entratest.Expired: "RS256 true true [exp nbf]", entratest.NoExpiry: "RS256 true true [exp]", entratest.NotYet: "RS256 true true [exp nbf]",
			entratest.UnsignedToken: "none false false []", entratest.SymmetricToken: "HS256 true false []",
			entratest.UnknownKey: "RS256 false false []", entratest.WrongSignature: "RS256 true false []",
			entratest.NoTenantID: "RS256 true true [tid]", entratest.OtherTenantID: "RS256 true true [tid]",
		}[wrong]
		if got != want {
			t.Errorf("%s: %s, want %s", wrong, got, want)
		}
	}
}
