package entratest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// adminConsent is the admin consent endpoint: account, permissions, and back. Whoever asks does not choose the account: another tenant's administrator may
// consent for that one, where the path leaves it open. What leads back has admin_consent=True, a denial too (v2-admin-consent).
func (f *Fake) adminConsent(v *visit) *outcome {
	v.admin = true
	out := f.adminConsentOf(v)
	if out.redirect != nil {
		out.redirect.Set("admin_consent", "True")
	}
	return out
}

func (f *Fake) adminConsentOf(v *visit) *outcome {
	scope := v.form.Get("scope")
	if scope == "" {
		return f.back(refusal(http.StatusBadRequest, "invalid_request", 900144, "The request body must contain the following parameter: 'scope'."))
	}
	if v.name == "common" {
		return f.trouble(v, refusal(http.StatusBadRequest, "", 50194, "Use 'organizations' or a tenant, not 'common', to ask for an administrator's consent."))
	}
	if out := f.pickAccount(v); out != nil {
		return out
	}
	scopes, roles := f.scopesOf(scope), []string(nil)
	if i := slices.Index(scopes, ".default"); i >= 0 {
		scopes, roles = slices.Replace(scopes, i, i+1, "User.Read"), v.app.Permissions
	}
	if !v.who.Role.consents() {
		return f.needApproval(v, roles)
	}
	switch v.form.Get("do") {
	case "accept":
		v.who.tenant.principal(v.app.ID).grant("", append(scopes, "openid", "profile"), roles)
		granted := slices.Concat(scopes, roles)
		for i := range granted {
			granted[i] = f.resource[0] + "/" + granted[i]
		}
		return &outcome{redirect: url.Values{"tenant": {v.who.tenant.ID}, "scope": {strings.Join(granted, " ")}}}
	case "cancel":
		return f.back(declined())
	}
	return &outcome{page: "consent", data: consentPage{App: v.app.Name, Hidden: v.hidden("account"), Account: v.who.UserPrincipalName, Tenant: v.who.tenant.Name,
		Permissions: titles(slices.Concat(roles, scopes))}}
}

// needApproval tells an account that may not consent; from there it leads back, or to another account.
func (f *Fake) needApproval(v *visit, roles []string) *outcome {
	if v.form.Get("do") == "cancel" {
		return f.back(declined())
	}
	e := f.describe(refusal(http.StatusForbidden, "access_denied", 90094, "The grant requires admin permission. An administrator of %s can grant permissions to '%s' on your behalf.",
		v.who.tenant.Name, v.app.Name))
	return &outcome{page: "approval", status: http.StatusForbidden, data: consentPage{App: v.app.Name, Hidden: v.hidden(), Account: v.who.UserPrincipalName,
		Tenant: v.who.tenant.Name, Permissions: titles(roles), Description: e.Description}}
}
