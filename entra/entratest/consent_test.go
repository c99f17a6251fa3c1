package entratest_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"foyer/entra/entratest"
)

func (w *world) consentURL(tenant string, more url.Values) string {
	q := url.Values{"client_id": {w.app.ID}, "scope": {"https://graph.microsoft.com/.default"}, "redirect_uri": {callback}, "state": {"st&te"}}
	return w.Authority + "/" + tenant + "/v2.0/adminconsent?" + replaced(q, more).Encode()
}

func TestAdminConsent_GrantsWhatTheApplicationAsksFor(t *testing.T) {
	w := start(t)
	w.acme.Remove(w.app)
	if status, reply := w.redeem(t, w.acme.ID, w.clientCredentials()); status != http.StatusBadRequest || code(reply) != 700016 || reply["error"] != "unauthorized_client" {
		t.Errorf("before: %d %v", status, reply)
	}
	r, err := w.Walk(t.Context(), w.consentURL(w.acme.ID, nil), entratest.Walk{Account: w.ann})
	must(t, err)
	got := r.URL.Query()
	if got.Get("admin_consent") != "True" || got.Get("tenant") != w.acme.ID || got.Get("state") != "st&te" || got.Has("error") ||
		!strings.Contains(got.Get("scope"), "/User.Read.All") {
		t.Errorf("got %v", got)
	}
	w.bearer = w.appToken(t)
	if resp, _ := w.get(t, "/users/delta"); resp.StatusCode != http.StatusOK {
		t.Errorf("after: %d", resp.StatusCode)
	}
}

func TestAdminConsent_ADenialSaysTrueToo(t *testing.T) {
	w := start(t)
	w.acme.Remove(w.app)
	r, err := w.Walk(t.Context(), w.consentURL("organizations", nil), entratest.Walk{Account: w.ann, Decline: true})
	must(t, err)
	got := r.URL.Query()
	if got.Get("admin_consent") != "True" || got.Get("error") != "access_denied" || !strings.HasPrefix(got.Get("error_description"), "AADSTS65004") || got.Get("state") != "st&te" {
		t.Errorf("got %v", got)
	}
	if p := w.acme.Permissions(w.app); p != nil {
		t.Errorf("it has %v all the same", p)
	}
}

func TestAdminConsent_AnotherAccountBringsAnotherTenant(t *testing.T) {
	w := start(t)
	other := w.Tenant("Other", "other.com")
	mallory := other.Add(entratest.User{Mail: "mallory@other.com", Role: entratest.PrivilegedRoleAdministrator})
	r, err := w.Walk(t.Context(), w.consentURL("organizations", nil), entratest.Walk{Account: mallory})
	if err != nil || r.URL.Query().Get("tenant") != other.ID {
		t.Errorf("organizations: %v %v", r, err)
	}
	r, err = w.Walk(t.Context(), w.consentURL(w.acme.ID, nil), entratest.Walk{Account: mallory})
	must(t, err)
	if got := r.URL.Query(); got.Get("error") != "access_denied" || !strings.HasPrefix(got.Get("error_description"), "AADSTS50020") || got.Has("tenant") {
		t.Errorf("the tenant by its id: %v", got)
	}
}

func TestAdminConsent_NeedsAnAdministrator(t *testing.T) {
	w := start(t)
	w.acme.Remove(w.app)
	cloud := w.acme.Add(entratest.User{Mail: "cloud@acme.com", Role: entratest.CloudApplicationAdministrator})
	for _, who := range []entratest.User{w.bob, cloud} {
		_, err := w.Walk(t.Context(), w.consentURL(w.acme.ID, nil), entratest.Walk{Account: who})
		var end *entratest.EndOfWalk
		if !errors.As(err, &end) || end.Status != http.StatusForbidden || !strings.Contains(end.Page, "AADSTS90094") {
			t.Errorf("%s: %v", who.Mail, err)
		}
		r, err := w.Walk(t.Context(), w.consentURL(w.acme.ID, nil), entratest.Walk{Account: who, Decline: true})
		if err != nil || r.URL.Query().Get("error") != "access_denied" {
			t.Errorf("%s goes back: %v %v", who.Mail, r, err)
		}
	}
	if p := w.acme.Permissions(w.app); p != nil {
		t.Errorf("it has %v all the same", p)
	}
}

func TestConsent_SignInAloneGivesNoApplicationPermission(t *testing.T) {
	w := start(t)
	w.acme.Remove(w.app)
	w.signIn(t, w.bob)
	w.bearer = w.appToken(t)
	if resp, reply := w.get(t, "/users/delta"); resp.StatusCode != http.StatusForbidden || code(reply) != "Authorization_RequestDenied" {
		t.Errorf("%d %v", resp.StatusCode, reply)
	}
}

func TestConsent_Withdrawn(t *testing.T) {
	w := start(t)
	w.acme.Withdraw(w.app, "User.Read.All")
	if resp, _ := w.get(t, "/users/delta"); resp.StatusCode != http.StatusOK {
		t.Errorf("with a token of before: %d", resp.StatusCode)
	}
	w.bearer = w.appToken(t)
	if resp, _ := w.get(t, "/users/delta"); resp.StatusCode != http.StatusForbidden {
		t.Errorf("with a new token: %d", resp.StatusCode)
	}
	w.Unregister(w.app.ID)
	if _, reply := w.redeem(t, w.acme.ID, w.clientCredentials()); code(reply) != 700016 {
		t.Errorf("unregistered: %v", reply)
	}
}
