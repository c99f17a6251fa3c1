package entratest

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// code is an authorization code.
type code struct {
	app       string
	tenant    *Tenant
	user      User
	redirect  string
	challenge string // of PKCE, S256; "": none
	nonce     string
	scopes    []string
	ends      time.Time
	used      bool
}

// codeLife is how long an authorization code lasts.
const codeLife = 10 * time.Minute

// grant is what an access token is good for.
type grant struct {
	tenant *Tenant
	app    string
	user   string   // "": the application itself
	scopes []string // delegated permissions
	roles  []string // application permissions
	ends   time.Time
}

// issued is the token endpoint's reply.
type issued struct {
	Type        string `json:"token_type"`
	Scope       string `json:"scope,omitempty"`
	Expires     int    `json:"expires_in"`
	ExtExpires  int    `json:"ext_expires_in"`
	AccessToken string `json:"access_token"`
	IDToken     string `json:"id_token,omitempty"`
}

// token is the token endpoint.
func (f *Fake) token(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		f.tokenError(w, refusal(http.StatusBadRequest, "invalid_request", 900144, "The request body must be a form."))
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	reply, refused := f.issue(r.PathValue("tenant"), r)
	if refused != nil {
		f.tokenError(w, refused)
		return
	}
	writeJSON(w, http.StatusOK, reply)
}

func (f *Fake) issue(name string, r *http.Request) (*issued, *stsError) {
	t := f.tenant(name)
	if t == nil && !anyTenant(name) {
		return nil, noTenant(name)
	}
	form := r.PostForm
	if id, secret, ok := r.BasicAuth(); ok { // both are URL-encoded within it (RFC 6749 §2.3.1)
		id, _ = url.QueryUnescape(id)
		secret, _ = url.QueryUnescape(secret)
		form.Set("client_id", id)
		form.Set("client_secret", secret)
	}
	for _, needed := range []string{"grant_type", "client_id"} {
		if form.Get(needed) == "" {
			return nil, refusal(http.StatusBadRequest, "invalid_request", 900144, "The request body must contain the following parameter: '%s'.", needed)
		}
	}
	app := f.apps[form.Get("client_id")]
	if app == nil || t != nil && t.principals[app.ID] == nil {
		return nil, noApp(form.Get("client_id"), directory(t, name))
	}
	if refused := f.authenticate(app, name, form); refused != nil {
		return nil, refused
	}
	switch form.Get("grant_type") {
	case "client_credentials":
		return f.forApplication(app, t, form)
	case "authorization_code":
		return f.forCode(app, t, form)
	}
	return nil, refusal(http.StatusBadRequest, "unsupported_grant_type", 70003, "The app requested an unsupported grant type '%s'.", form.Get("grant_type"))
}

func directory(t *Tenant, name string) string {
	if t == nil {
		return name
	}
	return t.Name
}

// forApplication is the client credentials grant. Its token carries what the tenant has consented to, which may be nothing.
func (f *Fake) forApplication(app *App, t *Tenant, form url.Values) (*issued, *stsError) {
	if t == nil {
		return nil, refusal(http.StatusBadRequest, "invalid_request", 50059, "No tenant-identifying information found in either the request or implied by any provided credentials.")
	}
	scope := form.Get("scope")
	if !slices.ContainsFunc(f.resource, func(resource string) bool { return scope == resource+"/.default" }) {
		if strings.HasSuffix(scope, "/.default") {
			return nil, refusal(http.StatusBadRequest, "invalid_resource", 500011, "The resource principal named %s was not found in the tenant named %s. This can happen if the "+
				"application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You might have sent your "+
				"authentication request to the wrong tenant.", strings.TrimSuffix(scope, "/.default"), t.Name)
		}
		return nil, refusal(http.StatusBadRequest, "invalid_scope", 1002012, "The provided value for scope %s is not valid. Client credential flows must have a scope value with "+
			"/.default suffixed to the resource identifier (application ID URI).", scope)
	}
	g := &grant{tenant: t, app: app.ID, roles: t.principals[app.ID].permissions()}
	return f.give(g, "", claims{"aud": f.resource[0], "roles": g.roles, "idtyp": "app", "sub": app.ID, "oid": app.ID}), nil
}

// forCode redeems an authorization code (RFC 6749 §4.1.3, RFC 7636 §4.6).
func (f *Fake) forCode(app *App, t *Tenant, form url.Values) (*issued, *stsError) {
	c := f.codes[form.Get("code")]
	verifier := sha256.Sum256([]byte(form.Get("code_verifier")))
	grantError := func(number int, format string, args ...any) *stsError {
		return refusal(http.StatusBadRequest, "invalid_grant", number, format, args...)
	}
	switch {
	case c == nil:
		return nil, grantError(9002313, "Invalid request. Request is malformed or invalid.")
	case c.app != app.ID:
		return nil, grantError(70000, "Provided grant is invalid or malformed. The code was issued to another client.")
	case t != nil && t != c.tenant:
		return nil, grantError(700005, "Provided Authorization Code is intended to use against other tenant, thus rejected.")
	case c.used:
		return nil, grantError(54005, "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing refresh token.")
	case !f.clock().Before(c.ends):
		return nil, grantError(70008, "The provided authorization code or refresh token has expired due to inactivity. Send a new interactive authorization request for this user and resource.")
	case form.Get("redirect_uri") != c.redirect:
		return nil, refusal(http.StatusUnauthorized, "invalid_client", 500112, "The reply address '%s' does not match the reply address '%s' provided when requesting Authorization code.",
			form.Get("redirect_uri"), c.redirect)
	case c.challenge != "" && subtle.ConstantTimeCompare([]byte(encode(verifier[:])), []byte(c.challenge)) == 0:
		return nil, grantError(501481, "The Code_Verifier does not match the code_challenge supplied in the authorization request.")
	case len(c.tenant.principals[app.ID].lacks(c.user.ID, c.scopes)) > 0:
		return nil, grantError(65001, "The user or administrator has not consented to use the application with ID '%s' named '%s'. Send an interactive authorization request for this user and resource.",
			app.ID, app.Name)
	}
	c.used = true
	g := &grant{tenant: c.tenant, app: app.ID, user: c.user.ID, scopes: c.scopes}
	scope := strings.Join(c.scopes, " ")
	reply := f.give(g, scope, claims{"aud": f.resource[0], "scp": scope, "idtyp": "user", "sub": c.user.ID, "oid": c.user.ID, "upn": c.user.UserPrincipalName})
	if slices.Contains(c.scopes, "openid") {
		reply.IDToken = f.idToken(c)
	}
	return reply, nil
}

// give makes an access token. To the Graph it is a word that it knows; that it is a JWT too is Microsoft's business, and signed with the key of the ID tokens:
// who takes the one for the other is wrong.
func (f *Fake) give(g *grant, scope string, c claims) *issued {
	now := f.clock()
	g.ends = now.Add(tokenLife)
	c["iss"], c["tid"], c["appid"], c["ver"], c["uti"] = f.issuer(g.tenant.ID), g.tenant.ID, g.app, "1.0", newID()
	c["iat"], c["nbf"], c["exp"] = now.Unix(), now.Unix(), g.ends.Unix()
	reply := &issued{Type: "Bearer", Scope: scope, Expires: int(tokenLife.Seconds()) - 1, AccessToken: f.signer().sign(c)}
	reply.ExtExpires = reply.Expires
	f.grants[reply.AccessToken] = g
	return reply
}
