package entratest_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"foyer/entra/entratest"
)

func TestAuthorize_LeadsBackWithCodeAndState(t *testing.T) {
	w := start(t)
	got := w.signIn(t, w.bob)
	if got.Get("code") == "" || got.Get("state") != "st&te" || got.Get("session_state") == "" {
		t.Errorf("got %v", got)
	}
	status, reply := w.redeem(t, "organizations", w.codeForm(got.Get("code")))
	if status != http.StatusOK || reply["id_token"] == nil || reply["scope"] != "openid profile User.Read" || reply["expires_in"] != 3599.0 {
		t.Fatalf("%d %v", status, reply)
	}
	w.bearer = reply["access_token"].(string)
	if _, me := w.get(t, "/me"); me["userPrincipalName"] != "bob@acme.com" {
		t.Errorf("me: %v", me)
	}
	_, orgs := w.get(t, "/organization?$select=id,displayName,verifiedDomains")
	org := orgs["value"].([]any)[0].(map[string]any)
	if domains := org["verifiedDomains"].([]any); org["id"] != w.acme.ID || org["displayName"] != "Acme" || len(domains) != 2 || domains[0].(map[string]any)["name"] != "acme.com" {
		t.Errorf("organization: %v", org)
	}
	if resp, reply := w.get(t, "/users/delta"); resp.StatusCode != http.StatusForbidden || code(reply) != "Authorization_RequestDenied" {
		t.Errorf("users with User.Read: %d %v", resp.StatusCode, reply)
	}
}

func TestAuthorize_AsksForConsentTheFirstTime(t *testing.T) {
	w := start(t)
	pages := 0
	w.Fail(func(r *http.Request) *entratest.Failure {
		if strings.HasSuffix(r.URL.Path, "/authorize") {
			pages++
		}
		return nil
	})
	w.signIn(t, w.bob)
	first := pages
	w.signIn(t, w.bob)
	if first != 3 || pages != 5 {
		t.Errorf("%d pages at first, then %d", first, pages-first)
	}
}

func TestAuthorize_FormPost(t *testing.T) {
	w := start(t)
	r, err := w.Walk(t.Context(), w.authorizeURL(url.Values{"response_mode": {"form_post"}}), entratest.Walk{Account: w.bob})
	must(t, err)
	must(t, r.ParseForm())
	if r.Method != http.MethodPost || r.URL.String() != callback || r.PostForm.Get("code") == "" || r.PostForm.Get("state") != "st&te" {
		t.Errorf("%s %s %v", r.Method, r.URL, r.PostForm)
	}
}

func TestAuthorize_Declined(t *testing.T) {
	w := start(t)
	r, err := w.Walk(t.Context(), w.authorizeURL(nil), entratest.Walk{Account: w.bob, Decline: true})
	must(t, err)
	got := r.URL.Query()
	if got.Get("error") != "access_denied" || !strings.HasPrefix(got.Get("error_description"), "AADSTS65004: ") || got.Get("state") != "st&te" || got.Has("code") {
		t.Errorf("got %v", got)
	}
}

func TestAuthorize_BadRequestsLeadNowhere(t *testing.T) {
	w := start(t)
	other := w.Tenant("Other", "other.com")
	for name, c := range map[string]struct {
		address, code string
	}{
		"unknown application":  {w.authorizeURL(url.Values{"client_id": {"nobody"}}), "AADSTS700016"},
		"redirect URI":         {w.authorizeURL(url.Values{"redirect_uri": {callback + "/"}}), "AADSTS50011"},
		"unknown tenant":       {strings.Replace(w.authorizeURL(nil), "organizations", "nowhere.example", 1), "AADSTS90002"},
		"account of elsewhere": {strings.Replace(w.authorizeURL(nil), "organizations", other.ID, 1), "AADSTS50020"},
	} {
		r, err := w.Walk(t.Context(), c.address, entratest.Walk{Account: w.bob})
		var end *entratest.EndOfWalk
		if !errors.As(err, &end) || end.Status != http.StatusBadRequest || !strings.Contains(end.Page, c.code) {
			t.Errorf("%s: %v %v", name, r, err)
		}
	}
}

func TestAuthorize_BadRequestsAreToldToTheApplication(t *testing.T) {
	w := start(t)
	for name, c := range map[string]struct {
		more url.Values
		code string
	}{
		"response type":    {url.Values{"response_type": {"token"}}, "unsupported_response_type"},
		"no scope":         {url.Values{"scope": {""}}, "invalid_request"},
		"unknown scope":    {url.Values{"scope": {"openid Nonsense"}}, "invalid_scope"},
		"plain PKCE":       {url.Values{"code_challenge_method": {"plain"}}, "invalid_request"},
		"no PKCE method":   {url.Values{"code_challenge_method": {""}}, "invalid_request"},
		"short challenge":  {url.Values{"code_challenge": {"short"}}, "invalid_request"},
		"without a prompt": {url.Values{"prompt": {"none"}}, "login_required"},
	} {
		r, err := w.Walk(t.Context(), w.authorizeURL(c.more), entratest.Walk{Account: w.bob})
		if err != nil || r.URL.Query().Get("error") != c.code || r.URL.Query().Get("state") != "st&te" {
			t.Errorf("%s: %v %v", name, r, err)
		}
	}
}

func TestAuthorize_TenantMayBlockConsent(t *testing.T) {
	w := start(t)
	w.acme.BlockConsent()
	_, err := w.Walk(t.Context(), w.authorizeURL(nil), entratest.Walk{Account: w.bob})
	var end *entratest.EndOfWalk
	if !errors.As(err, &end) || !strings.Contains(end.Page, "AADSTS90094") {
		t.Errorf("got %v", err)
	}
	if got := w.signIn(t, w.ann); got.Get("code") == "" {
		t.Errorf("an administrator: %v", got)
	}
}

func TestCode_IsBoundAndGoodOnce(t *testing.T) {
	w := start(t)
	other := w.Register(entratest.App{Secrets: []entratest.Secret{{Text: "other"}}, RedirectURIs: []string{callback}})
	elsewhere := w.Tenant("Other", "other.com")
	elsewhere.Consent(w.app)
	for name, c := range map[string]struct {
		tenant string
		more   url.Values
		after  time.Duration
		number int
	}{
		"of another application": {"organizations", url.Values{"client_id": {other.ID}, "client_secret": {"other"}}, 0, 70000},
		"redirect URI":           {"organizations", url.Values{"redirect_uri": {callback + "2"}}, 0, 500112},
		"no verifier":            {"organizations", url.Values{"code_verifier": {""}}, 0, 501481},
		"verifier":               {"organizations", url.Values{"code_verifier": {strings.Repeat("x", 43)}}, 0, 501481},
		"too late":               {"organizations", nil, 10 * time.Minute, 70008},
		"another tenant":         {elsewhere.ID, nil, 0, 700005},
		"made up":                {"organizations", url.Values{"code": {"nonsense"}}, 0, 9002313},
		"secret":                 {"organizations", url.Values{"client_secret": {"wrong"}}, 0, 7000215},
	} {
		form := w.codeForm(w.signIn(t, w.bob).Get("code"))
		w.clock.move(c.after)
		if status, reply := w.redeem(t, c.tenant, replaced(form, c.more)); status < 400 || code(reply) != c.number {
			t.Errorf("%s: %d %v", name, status, reply)
		}
	}
	form := w.codeForm(w.signIn(t, w.bob).Get("code"))
	if status, reply := w.redeem(t, w.acme.ID, form); status != http.StatusOK {
		t.Errorf("in its own tenant: %d %v", status, reply)
	}
	if status, reply := w.redeem(t, w.acme.ID, form); status != http.StatusBadRequest || code(reply) != 54005 || reply["error"] != "invalid_grant" {
		t.Errorf("a second time: %d %v", status, reply)
	}
}
