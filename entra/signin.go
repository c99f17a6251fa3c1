package entra

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// redeemTime is how long the end of a sign-in may take: somebody looks at an empty page meanwhile.
const redeemTime = 30 * time.Second

// SignIn is one sign-in of the person who connects a tenant. It is kept where only the browser that began it leads to, and used once.
type SignIn struct {
	State       string // comes back with the callback; the caller compares it
	Nonce       string // comes back within the ID token; Redeem compares it
	Verifier    string // of PKCE (RFC 7636): never leaves us before Redeem
	RedirectURI string // where Microsoft leads back to; the app registration lists it
}

// SignInURL returns where the browser goes to sign in with a work account of any tenant: the code flow with PKCE (v2-oauth2-auth-code-flow). The account
// is always asked for.
func (a *App) SignInURL(s SignIn) string {
	return a.oauth(s).AuthCodeURL(s.State, oauth2.S256ChallengeOption(s.Verifier), oidc.Nonce(s.Nonce),
		oauth2.SetAuthURLParam("prompt", "select_account"), oauth2.SetAuthURLParam("response_mode", "query"))
}

func (a *App) oauth(s SignIn) *oauth2.Config {
	return &oauth2.Config{ClientID: a.id, ClientSecret: a.secret, RedirectURL: s.RedirectURI, Scopes: []string{"openid", "profile", a.graph + "/User.Read"},
		Endpoint: oauth2.Endpoint{AuthURL: a.authority + "/organizations/oauth2/v2.0/authorize", TokenURL: a.tokenURL("organizations"), AuthStyle: oauth2.AuthStyleInParams}}
}

// ParseCallback reads what the browser brings back from a sign-in. Its state is the caller's to compare, before this.
func ParseCallback(v url.Values) (code string, err error) {
	if v.Has("error") {
		return "", brought(v)
	}
	if len(v["code"]) != 1 || v.Get("code") == "" {
		return "", &Error{Kind: Forged, Message: "this is not how Microsoft leads back from a sign-in: start again from the link"}
	}
	return v.Get("code"), nil
}

// Visitor is who signed in, and their tenant. All of it is Microsoft's word.
type Visitor struct {
	Tenant     string   // tid, a GUID in lower case
	Object     string   // id of the account in the tenant
	Name       string   // as the account shows itself; "" if it does not
	Username   string   // mostly an email; for showing, never for deciding (id-token-claims-reference)
	TenantName string   // of the organization
	Domains    []string // that the tenant has proved to be its own, in lower case
}

// Redeem ends a sign-in: it exchanges the code, verifies the ID token, and asks the Graph for the tenant's name and verified domains, as the person who
// signed in: the application alone would need more than User.Read.All for that. The code is good once, and so is the call: a failure starts a new sign-in.
func (a *App) Redeem(ctx context.Context, code string, s SignIn) (*Visitor, error) {
	if code == "" || s.Nonce == "" || s.Verifier == "" {
		return nil, &Error{Kind: Forged, Message: "the sign-in was not begun here: start again from the link"}
	}
	ctx, cancel := context.WithTimeout(ctx, redeemTime)
	defer cancel()
	token, err := a.exchange(ctx, code, s)
	if err != nil {
		return nil, err
	}
	raw, _ := token.Extra("id_token").(string)
	visitor, err := a.verify(ctx, raw, s.Nonce)
	if err != nil {
		return nil, err
	}
	if err := a.askOrganization(ctx, token.AccessToken, visitor); err != nil {
		return nil, err
	}
	return visitor, nil
}

// exchange asks for the tokens of a code, once: if the answer is lost, the code is lost with it.
func (a *App) exchange(ctx context.Context, code string, s SignIn) (*oauth2.Token, error) {
	options := []oauth2.AuthCodeOption{oauth2.VerifierOption(s.Verifier)}
	extra, err := a.assertion("organizations")
	if err != nil {
		return nil, err
	}
	for name := range extra {
		options = append(options, oauth2.SetAuthURLParam(name, extra.Get(name)))
	}
	token, err := a.oauth(s).Exchange(a.withClient(ctx), code, options...)
	if err == nil {
		return token, nil
	}
	e := a.tokenFailure(err)
	if e.Kind == Withdrawn { // nothing was given yet
		e.Kind = Denied
	}
	return nil, e
}

// askOrganization fills in the tenant's name and domains. The Graph lists only verified ones.
func (a *App) askOrganization(ctx context.Context, bearer string, v *Visitor) error {
	var reply list[struct {
		ID              string
		DisplayName     string
		VerifiedDomains []struct{ Name string }
	}]
	err := a.persist(ctx, func(ctx context.Context) error {
		return a.fetch(ctx, query{address: a.graph + "/v1.0/organization?$select=id,displayName,verifiedDomains", bearer: bearer, parse: into(&reply)})
	})
	if err != nil {
		return err
	}
	if len(reply.Value) != 1 || !strings.EqualFold(reply.Value[0].ID, v.Tenant) {
		return &Error{Kind: Forged, Message: "the Graph tells of another tenant than the one that was signed in to: start again from the link"}
	}
	v.TenantName = reply.Value[0].DisplayName
	for _, d := range reply.Value[0].VerifiedDomains {
		v.Domains = append(v.Domains, strings.ToLower(d.Name))
	}
	return nil
}
