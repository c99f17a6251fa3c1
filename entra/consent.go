package entra

import (
	"net/url"
	"strings"
)

// ConsentURL returns where an administrator of the tenant agrees to the application permissions that the app registration lists (v2-admin-consent). The
// tenant is the one of a Visitor: another's administrator cannot agree for it there.
func (a *App) ConsentURL(tenant, redirectURI, state string) string {
	q := url.Values{"client_id": {a.id}, "scope": {a.graph + "/.default"}, "redirect_uri": {redirectURI}, "state": {state}}
	return a.authority + "/" + url.PathEscape(tenant) + "/v2.0/adminconsent?" + q.Encode()
}

// ParseConsent reads what the browser brings back from there. A denial carries admin_consent=True as well, so error is looked at first. The tenant proves
// nothing: the caller compares it with the one that was signed in to, after the state.
func ParseConsent(v url.Values) (tenant string, err error) {
	if v.Has("error") {
		return "", brought(v)
	}
	tenant = strings.ToLower(v.Get("tenant"))
	if len(v["tenant"]) != 1 || !isGUID(tenant) || len(v["admin_consent"]) != 1 || !strings.EqualFold(v.Get("admin_consent"), "true") {
		return "", &Error{Kind: Forged, Message: "this is not how Microsoft leads back from a consent: start again from the link"}
	}
	return tenant, nil
}
