package entra_test

import (
	"net/url"
	"slices"
	"testing"

	"foyer/entra"
	"foyer/entra/entratest"
)

// walk signs somebody in and returns what the browser brings back, with the sign-in.
func (w *world) walk(t *testing.T, who entratest.User) (url.Values, entra.SignIn) {
	t.Helper()
	s := entra.NewSignIn(callback)
	r, err := w.Walk(t.Context(), w.app.SignInURL(s), entratest.Walk{Account: who})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.URL.Query().Get("state"); got != s.State {
		t.Fatalf("the state that came back is %q, not %q", got, s.State)
	}
	return r.URL.Query(), s
}

// signIn signs somebody in to the end.
func (w *world) signIn(t *testing.T, who entratest.User) (*entra.Visitor, error) {
	t.Helper()
	back, s := w.walk(t, who)
	code, err := entra.ParseCallback(back)
	if err != nil {
		t.Fatal(err)
	}
	return w.app.Redeem(t.Context(), code, s)
}

// TestRedeem_TellsWhoAndWhichTenant holds what a sign-in tells: the tenant of the token, its name, and the domains that it has proved.
func TestRedeem_TellsWhoAndWhichTenant(t *testing.T) {
	w := newWorld(t)
	w.acme.AddDomain(entratest.Domain{Name: "bigbank.com", Unverified: true})
	v, err := w.signIn(t, w.ann)
	if err != nil {
		t.Fatal(err)
	}
	if v.Tenant != w.acme.ID || v.Object != w.ann.ID || v.Name != "Ann Lee" || v.Username != "ann@acme.com" || v.TenantName != "Acme" {
		t.Errorf("the visitor is %+v", v)
	}
	slices.Sort(v.Domains)
	if want := []string{"acme.com", "acme.de", "acme.onmicrosoft.com"}; !slices.Equal(v.Domains, want) {
		t.Errorf("the domains are %q, not %q", v.Domains, want)
	}
}
