package server

import (
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"foyer"
	"foyer/oauth"
)

// maxForm is how long the body of a request for a token may be, in bytes.
const maxForm = 16 << 10

// token answers RFC 6749 §4.4: client credentials for a token.
func (s *Server) token(w http.ResponseWriter, r *http.Request) error {
	form, client, err := s.client(r)
	if err != nil {
		return err
	}
	switch form.Get("grant_type") {
	case "client_credentials":
	case "":
		return foyer.Errorf(foyer.Malformed, "grant_type is missing; send grant_type=client_credentials")
	default:
		return &oauthError{failure{foyer.Errorf(foyer.Malformed, "the grant type %q is not offered; send grant_type=client_credentials", form.Get("grant_type"))}, "unsupported_grant_type"}
	}
	scopes, err := foyer.ParseScopes(form.Get("scope"))
	if err != nil {
		return &oauthError{failure{foyer.Errorf(foyer.Malformed, "%v", err)}, "invalid_scope"}
	}
	logOf(r).caller = callerName(client.ID)
	token, err := s.Authority.Issue(r.Context(), client, scopes)
	if err != nil {
		return err
	}
	w.Header().Set("Pragma", "no-cache")
	writeJSON(w, "application/json", http.StatusOK, struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int    `json:"expires_in"`
		Scope       string `json:"scope"`
	}{token.Text, "Bearer", int(token.Expiry.Seconds()), token.Scopes.String()})
	return nil
}

// callerName is who asks, for the log: what is presented as an id may be anything.
func callerName(id string) string {
	if _, ok := oauth.OrgOf(foyer.KeyID(id)); !ok {
		return "key unknown"
	}
	return "key " + id
}

// revoke answers RFC 7009.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request) error {
	form, client, err := s.client(r)
	if err != nil {
		return err
	}
	if form.Get("token") == "" {
		return foyer.Errorf(foyer.Malformed, "the parameter token is missing")
	}
	if err := s.Authority.Revoke(r.Context(), client, form.Get("token")); err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	return nil
}

// client reads who asks, of a request for or about a token. What is sent in the URL is refused; if id and secret in it are right, the key is flagged.
func (s *Server) client(r *http.Request) (url.Values, oauth.Client, error) {
	c := oauth.Client{From: s.clientAddress(r), Agent: r.UserAgent()}
	if r.URL.RawQuery != "" {
		leaked := c
		_, leaked.ID, _, _ = credentials(r)
		drain(r)
		if r.URL.Query().Has("client_id") {
			leaked.ID = strings.TrimSpace(r.URL.Query().Get("client_id"))
		}
		leaked.Secret = strings.TrimSpace(r.URL.Query().Get("client_secret"))
		s.Authority.Leaked(r.Context(), leaked)
		return nil, c, foyer.Errorf(foyer.Malformed, "send the parameters in the body, not in the URL: URLs end up in logs (RFC 6749 section 2.3.1). A secret that was sent so is to be replaced: foyer key rotate")
	}
	form, id, secret, err := credentials(r)
	c.ID, c.Secret = id, secret
	return form, c, err
}

// credentials reads the form of a request and the client's id and secret: in the form, or as Basic (RFC 6749 §2.3.1), never both and never in the URL.
func credentials(r *http.Request) (form url.Values, id, secret string, err error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxForm+1))
	if err != nil {
		return nil, "", "", foyer.Errorf(foyer.Malformed, "the body was cut short").Because(err)
	}
	if len(body) > maxForm {
		drain(r)
		return nil, "", "", foyer.Errorf(foyer.Malformed, "the body is longer than %d bytes", maxForm)
	}
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/x-www-form-urlencoded" {
		return nil, "", "", foyer.Errorf(foyer.Malformed, "the Content-Type must be application/x-www-form-urlencoded")
	}
	form, err = url.ParseQuery(string(body))
	if err != nil {
		return nil, "", "", foyer.Errorf(foyer.Malformed, "the body is no form: %v", err)
	}
	for name, values := range form {
		if len(values) > 1 {
			return nil, "", "", foyer.Errorf(foyer.Malformed, "the parameter %s is there twice", name)
		}
	}
	id, secret, basic := r.BasicAuth()
	if !basic {
		return form, strings.TrimSpace(form.Get("client_id")), strings.TrimSpace(form.Get("client_secret")), nil
	}
	if form.Has("client_secret") {
		return nil, "", "", foyer.Errorf(foyer.Malformed, "send the client id and secret in the body or as Basic, not both")
	}
	id, err1 := url.QueryUnescape(id)
	secret, err2 := url.QueryUnescape(secret)
	if err1 != nil || err2 != nil || form.Has("client_id") && form.Get("client_id") != id {
		return nil, "", "", foyer.Errorf(foyer.Malformed, "the client id or secret is not escaped as a form wants")
	}
	return form, id, secret, nil
}

// metadata answers RFC 8414.
func (s *Server) metadata(w http.ResponseWriter, r *http.Request) error {
	issuer := strings.TrimSuffix(s.PublicURL, "/")
	if issuer == "" {
		issuer = "https://" + r.Host
	}
	methods := []string{"client_secret_post", "client_secret_basic"}
	writeJSON(w, "application/json", http.StatusOK, map[string]any{
		"issuer":         issuer,
		"token_endpoint": issuer + "/auth/connect/token", "token_endpoint_auth_methods_supported": methods,
		"revocation_endpoint": issuer + "/auth/connect/revoke", "revocation_endpoint_auth_methods_supported": methods,
		"grant_types_supported": []string{"client_credentials"}, "response_types_supported": []string{},
		"scopes_supported": []string{"sync", "read"},
	})
	return nil
}
