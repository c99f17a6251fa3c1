package entra_test

import (
	"net/url"
	"testing"

	"foyer/entra"
	"foyer/entra/entratest"
)

// consent leads somebody through the admin consent of a tenant that does not know us.
func (w *world) consent(t *testing.T, tenant *entratest.Tenant, walk entratest.Walk) url.Values {
	t.Helper()
	r, err := w.Walk(t.Context(), w.app.ConsentURL(tenant.ID, callback, "st4te"), walk)
	if err != nil {
		t.Fatal(err)
	}
	if r.URL.Query().Get("state") != "st4te" {
		t.Errorf("the state that came back is %q", r.URL.Query().Get("state"))
	}
	return r.URL.Query()
}

// TestConsent_OpensTheTenant holds the way from no consent to reading.
func TestConsent_OpensTheTenant(t *testing.T) {
	w := newWorld(t)
	fresh := w.Fake.Tenant("Fresh", "fresh.com")
	admin := fresh.Add(entratest.User{Mail: "bo@fresh.com", Role: entratest.GlobalAdministrator})
	wantKind(t, w.app.Tenant(fresh.ID).Check(t.Context()), entra.Withdrawn)
	tenant, err := entra.ParseConsent(w.consent(t, fresh, entratest.Walk{Account: admin}))
	if err != nil || tenant != fresh.ID {
		t.Fatalf("the consent is of %q, %v", tenant, err)
	}
	if err := w.app.Tenant(fresh.ID).Check(t.Context()); err != nil {
		t.Error(err)
	}
	if p := must(t, w.app.Tenant(fresh.ID), ""); len(p.items) != 1 {
		t.Errorf("%d people were read of 1", len(p.items))
	}
}

// TestConsent_DenialCarriesConsentTrue holds that the error is looked at first: a denial says admin_consent=True all the same.
func TestConsent_DenialCarriesConsentTrue(t *testing.T) {
	w := newWorld(t)
	fresh := w.Fake.Tenant("Fresh", "fresh.com")
	admin := fresh.Add(entratest.User{Mail: "bo@fresh.com", Role: entratest.GlobalAdministrator})
	worker := fresh.Add(entratest.User{Mail: "cy@fresh.com", SignsIn: true})
	for name, walk := range map[string]entratest.Walk{"declined": {Account: admin, Decline: true}, "no administrator": {Account: worker, Decline: true}, "another tenant's": {Account: w.ann}} {
		t.Run(name, func(t *testing.T) {
			back := w.consent(t, fresh, walk)
			if back.Get("admin_consent") != "True" {
				t.Fatalf("the fake says %v", back)
			}
			tenant, err := entra.ParseConsent(back)
			if tenant != "" {
				t.Errorf("it is taken as a consent of %q", tenant)
			}
			wantKind(t, err, entra.Denied)
		})
	}
}

// TestParseConsent_TakesNothingHalf holds that a consent names one tenant and says that it is one.
func TestParseConsent_TakesNothingHalf(t *testing.T) {
	const id = "11111111-2222-3333-4444-555555555555"
	if tenant, err := entra.ParseConsent(url.Values{"admin_consent": {"True"}, "tenant": {"AAAAAAAA-2222-3333-4444-555555555555"}}); err != nil || tenant != "aaaaaaaa-2222-3333-4444-555555555555" {
		t.Errorf("a consent is %q, %v", tenant, err)
	}
	for _, v := range []url.Values{
		{},
		{"tenant": {id}},
		{"admin_consent": {"True"}},
		{"admin_consent": {"False"}, "tenant": {id}},
		{"admin_consent": {"True"}, "tenant": {"organizations"}},
		{"admin_consent": {"True"}, "tenant": {id, id}},
		{"admin_consent": {"True", "True"}, "tenant": {id}},
		{"admin_consent": {"True"}, "tenant": {id + "\n"}},
	} {
		if tenant, err := entra.ParseConsent(v); err == nil || tenant != "" {
			t.Errorf("%v is taken as a consent of %q", v, tenant)
		}
	}
}
