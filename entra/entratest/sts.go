package entratest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// stsError is an error of the identity platform: AADSTS and a number.
type stsError struct {
	status int    // of the token endpoint's reply
	code   string // OAuth's: invalid_grant
	number int    // 0: it has none, and the text goes alone
	text   string
}

func refusal(status int, code string, number int, format string, args ...any) *stsError {
	return &stsError{status, code, number, fmt.Sprintf(format, args...)}
}

// described is an stsError as it is sent.
type described struct {
	Error         string `json:"error"`
	Description   string `json:"error_description"`
	Codes         []int  `json:"error_codes"`
	Timestamp     string `json:"timestamp"`
	TraceID       string `json:"trace_id"`
	CorrelationID string `json:"correlation_id"`
	URI           string `json:"error_uri"`
}

// describe adds what Microsoft's support asks for.
func (f *Fake) describe(e *stsError) described {
	d := described{Error: e.code, Codes: []int{e.number}, Timestamp: f.clock().UTC().Format("2006-01-02 15:04:05Z"), TraceID: newID(), CorrelationID: newID(),
		URI: fmt.Sprintf("%s/error?code=%d", f.Authority, e.number)}
	if d.Error == "" {
		d.Error = "temporarily_unavailable"
	}
	if d.Description = e.text; e.number == 0 {
		return d
	}
	d.Description = fmt.Sprintf("AADSTS%d: %s\r\nTrace ID: %s\r\nCorrelation ID: %s\r\nTimestamp: %s", e.number, e.text, d.TraceID, d.CorrelationID, d.Timestamp)
	return d
}

// tokenError answers with an error as the token endpoint does.
func (f *Fake) tokenError(w http.ResponseWriter, e *stsError) {
	writeJSON(w, e.status, f.describe(e))
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store, no-cache")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

// loginRoutes are the paths of the identity platform.
func (f *Fake) loginRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{tenant}/v2.0/.well-known/openid-configuration", f.metadata)
	mux.HandleFunc("GET /{tenant}/discovery/v2.0/keys", f.publishKeys)
	mux.HandleFunc("/{tenant}/oauth2/v2.0/authorize", f.page(f.authorize))
	mux.HandleFunc("/{tenant}/v2.0/adminconsent", f.page(f.adminConsent))
	mux.HandleFunc("POST /{tenant}/oauth2/v2.0/token", f.token)
	return mux
}

// metadata is OpenID Connect Discovery. For organizations the issuer has {tenantid} in it, literally.
func (f *Fake) metadata(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("tenant")
	base := f.Authority + "/" + name
	issuer := f.issuer("{tenantid}")
	if !anyTenant(name) {
		f.mu.Lock()
		t := f.tenant(name)
		f.mu.Unlock()
		if t == nil {
			f.tokenError(w, noTenant(name))
			return
		}
		issuer = f.issuer(t.ID)
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer":                                issuer,
		"authorization_endpoint":                base + "/oauth2/v2.0/authorize",
		"token_endpoint":                        base + "/oauth2/v2.0/token",
		"jwks_uri":                              base + "/discovery/v2.0/keys",
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "private_key_jwt", "client_secret_basic"},
		"response_modes_supported":              []string{"query", "form_post"},
		"response_types_supported":              []string{"code"},
		"subject_types_supported":               []string{"pairwise"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"scopes_supported":                      []string{"openid", "profile", "email", "offline_access"},
		"claims_supported":                      []string{"sub", "iss", "aud", "exp", "iat", "nonce", "preferred_username", "name", "tid", "ver"},
	})
}

// publishKeys is the JSON Web Key Set (RFC 7517).
func (f *Fake) publishKeys(w http.ResponseWriter, _ *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.signer()
	keys := []map[string]string{}
	for _, k := range f.keys {
		keys = append(keys, k.jwk(f.issuer("{tenantid}")))
	}
	writeJSON(w, http.StatusOK, map[string]any{"keys": keys})
}

func noTenant(name string) *stsError {
	return refusal(http.StatusBadRequest, "invalid_request", 90002, "Tenant '%s' not found. Check to make sure you have the correct tenant ID and are signing into "+
		"the correct cloud. Check with your subscription administrator, this may happen if there are no active subscriptions for the tenant.", name)
}

func noApp(id, directory string) *stsError {
	return refusal(http.StatusBadRequest, "unauthorized_client", 700016, "Application with identifier '%s' was not found in the directory '%s'. This can happen if the "+
		"application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You may have sent your "+
		"authentication request to the wrong tenant.", id, directory)
}

// tokenLife is how long an access token lasts.
const tokenLife = time.Hour
