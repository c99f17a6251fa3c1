package entratest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// visit is somebody at a page of the sign-in or of the consent: what the application asked for, carried from page to page in the form, and what was chosen so far.
type visit struct {
	name   string // what stands in the path for the tenant
	tenant *Tenant
	form   url.Values
	app    *App
	who    *account // who was picked; nil while nobody is
	admin  bool     // it is admin consent that is asked for
}

// account is somebody who signs in.
type account struct {
	tenant *Tenant
	*person
}

// outcome is what a visit leads to: a page, or back to the application.
type outcome struct {
	page     string // a template of pages.html; "": back to the application
	data     any
	status   int // of the page; 0: 200
	redirect url.Values
}

// authorize is the authorization endpoint: account, consent, code.
func (f *Fake) authorize(v *visit) *outcome {
	scopes := f.scopesOf(v.form.Get("scope"))
	if out := f.checkAuthorize(v, scopes); out != nil {
		return out
	}
	if out := f.pickAccount(v); out != nil {
		return out
	}
	if out := f.consentOf(v, scopes); out != nil {
		return out
	}
	c := &code{app: v.app.ID, tenant: v.who.tenant, user: v.who.User, redirect: v.form.Get("redirect_uri"), challenge: v.form.Get("code_challenge"),
		nonce: v.form.Get("nonce"), scopes: scopes, ends: f.clock().Add(codeLife)}
	text := "1.A" + strings.ReplaceAll(newID()+newID(), "-", "")
	f.codes[text] = c
	return &outcome{redirect: url.Values{"code": {text}, "session_state": {newID()}}}
}

// scopesOf splits a scope, without the Graph's name before its own.
func (f *Fake) scopesOf(scope string) []string {
	scopes := strings.Fields(scope)
	for i := range scopes {
		for _, resource := range f.resource {
			scopes[i] = strings.TrimPrefix(scopes[i], resource+"/")
		}
	}
	return scopes
}

// checkAuthorize refuses requests that are wrong; the application learns it.
func (f *Fake) checkAuthorize(v *visit, scopes []string) *outcome {
	known := []string{"openid", "profile", "email", "offline_access", "User.Read", "User.ReadBasic.All", "User.Read.All", "GroupMember.Read.All", "Directory.Read.All"}
	invalid := func(code string, number int, format string, args ...any) *outcome {
		return f.back(refusal(http.StatusBadRequest, code, number, format, args...))
	}
	switch {
	case v.form.Get("response_type") != "code":
		return invalid("unsupported_response_type", 700054, "response_type '%s' is not enabled for the application.", v.form.Get("response_type"))
	case len(scopes) == 0:
		return invalid("invalid_request", 900144, "The request body must contain the following parameter: 'scope'.")
	case slices.ContainsFunc(scopes, func(s string) bool { return !slices.Contains(known, s) }):
		return invalid("invalid_scope", 70011, "The provided value for the input parameter 'scope' is not valid. The scope '%s' is not valid.", v.form.Get("scope"))
	case v.form.Has("response_mode") && !slices.Contains([]string{"query", "form_post"}, v.form.Get("response_mode")):
		return invalid("invalid_request", 70007, "The response_mode '%s' is not supported here.", v.form.Get("response_mode"))
	case v.form.Has("code_challenge_method") && v.form.Get("code_challenge_method") != "S256", v.form.Has("code_challenge") && !v.form.Has("code_challenge_method"):
		return invalid("invalid_request", 9002313, "Proof Key for Code Exchange is taken with S256 only.")
	case v.form.Has("code_challenge_method") && len(v.form.Get("code_challenge")) != 43:
		return invalid("invalid_request", 501491, "Invalid size of Code_Challenge parameter.")
	case v.form.Get("prompt") == "none":
		return invalid("login_required", 50058, "A silent sign-in request was sent but no user is signed in.")
	}
	return nil
}

// pickAccount shows the account picker until somebody is picked who may go on here. Nobody is ever signed in beforehand, whatever prompt says.
func (f *Fake) pickAccount(v *visit) *outcome {
	switch {
	case v.form.Get("do") == "cancel-sign-in":
		return f.back(refusal(http.StatusBadRequest, "access_denied", 0, "the user canceled the authentication"))
	case v.form.Get("account") == "":
		return &outcome{page: "picker", data: pickerPage{v.app.Name, v.hidden(), f.knownAccounts(), ""}}
	}
	v.who = f.account(v.form.Get("account"))
	if v.who == nil {
		return &outcome{page: "picker", data: pickerPage{v.app.Name, v.hidden(), f.knownAccounts(), "This username may be incorrect. Make sure you typed it correctly."}}
	}
	if v.who.Disabled {
		return f.trouble(v, refusal(http.StatusBadRequest, "", 50057, "The user account is disabled."))
	}
	if v.tenant != nil && v.tenant != v.who.tenant {
		return f.stranger(v)
	}
	return nil
}

// stranger refuses an account of another tenant than the one that the path names. Admin consent leads back with it, a sign-in stays.
func (f *Fake) stranger(v *visit) *outcome {
	e := refusal(http.StatusBadRequest, "access_denied", 50020, "User account '%s' from identity provider '%s' does not exist in tenant '%s' and cannot access the application '%s'(%s) "+
		"in that tenant. The account needs to be added as an external user in the tenant first. Sign out and sign in again with a different Azure Active Directory user account.",
		v.who.UserPrincipalName, f.issuer(v.who.tenant.ID), v.tenant.Name, v.app.ID, v.app.Name)
	if v.admin {
		return f.back(e)
	}
	return f.trouble(v, e)
}

// consentOf shows the delegated permissions that nobody has consented to yet, and notes what the account says to them.
func (f *Fake) consentOf(v *visit, scopes []string) *outcome {
	missing := v.who.tenant.principals[v.app.ID].lacks(v.who.ID, scopes)
	if len(missing) == 0 && v.form.Get("prompt") != "consent" {
		return nil
	}
	restricted := slices.ContainsFunc(missing, func(s string) bool { return strings.HasSuffix(s, ".All") && s != "User.ReadBasic.All" })
	if (restricted || v.who.tenant.blockConsent) && !v.who.Role.consents() {
		return f.needApproval(v, nil)
	}
	switch v.form.Get("do") {
	case "accept":
		v.who.tenant.principal(v.app.ID).grant(v.who.ID, scopes, nil)
		return nil
	case "cancel":
		return f.back(declined())
	}
	return &outcome{page: "consent", data: consentPage{App: v.app.Name, Hidden: v.hidden("account"), Account: v.who.UserPrincipalName, Permissions: titles(missing)}}
}

// consents tells whether the role may consent to application permissions of the Graph.
func (r Role) consents() bool { return r == GlobalAdministrator || r == PrivilegedRoleAdministrator }

func declined() *stsError {
	return refusal(http.StatusBadRequest, "access_denied", 65004, "User declined to consent to access the app.")
}

// back brings an error to the application.
func (f *Fake) back(e *stsError) *outcome {
	d := f.describe(e)
	return &outcome{redirect: url.Values{"error": {d.Error}, "error_description": {d.Description}, "error_uri": {d.URI}}}
}

// account finds one by its user principal name.
func (f *Fake) account(name string) *account {
	for _, t := range f.tenants {
		for _, p := range t.people {
			if p.presence == alive && strings.EqualFold(p.UserPrincipalName, name) {
				return &account{t, p}
			}
		}
	}
	return nil
}

// knownAccounts are those that the browser remembers, of all tenants.
func (f *Fake) knownAccounts() []User {
	var known []User
	for _, t := range f.tenants {
		for _, p := range t.people {
			if p.presence == alive && (p.SignsIn || p.Role != "") {
				known = append(known, p.User)
			}
		}
	}
	return known
}
