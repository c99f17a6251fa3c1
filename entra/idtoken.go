package entra

import (
	"context"
	"crypto/subtle"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// consumers is the tenant of all personal accounts (id-token-claims-reference). Nobody's directory is in it.
const consumers = "9188040d-6c67-4c5b-b112-36a304b66dad"

// skew is how far our clock may be behind Microsoft's.
const skew = 5 * time.Minute

// verify returns who an ID token names, if it is Microsoft's, for this application and this sign-in (OpenID Connect Core §3.1.3.7). The tenant is part of
// the issuer, and the keys are the same for all: so the issuer is compared here, with the token's own tid in it, and not by the library.
func (a *App) verify(ctx context.Context, raw, nonce string) (*Visitor, error) {
	var token *oidc.IDToken
	err := a.persist(ctx, func(ctx context.Context) error {
		keys := &watchedKeys{KeySet: a.keys}
		verifier := oidc.NewVerifier("", keys, &oidc.Config{ClientID: a.id, SupportedSigningAlgs: []string{oidc.RS256}, SkipIssuerCheck: true, Now: a.clock})
		var err error
		token, err = verifier.Verify(ctx, raw)
		switch {
		case err == nil:
			return nil
		case keys.unread:
			return &Error{Kind: Unavailable, Message: "Microsoft's keys cannot be read: " + again, Err: ctx.Err()}
		}
		return forged("it is not signed by Microsoft, or not for our application, or not for now")
	})
	if err != nil {
		return nil, err
	}
	var c struct {
		Tenant   string `json:"tid"`
		Object   string `json:"oid"`
		Name     string `json:"name"`
		Username string `json:"preferred_username"`
		IssuedAt *int64 `json:"iat"`
	}
	if err := token.Claims(&c); err != nil {
		return nil, forged("its claims have other types than Microsoft's")
	}
	switch {
	case len(token.Audience) != 1: // the library only sees that we are among them
		return nil, forged("it is for others too")
	case !isGUID(c.Tenant) || c.Tenant == consumers:
		return nil, forged("it names no tenant of an organization; personal accounts cannot be connected")
	case token.Issuer != a.authority+"/"+c.Tenant+"/v2.0":
		return nil, forged("its issuer is not that of its tenant")
	case !isGUID(c.Object):
		return nil, forged("it names no account")
	case c.IssuedAt == nil || token.IssuedAt.After(a.clock().Add(skew)):
		return nil, forged("it was issued in the future, or never; is the clock of this machine right?")
	case subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(nonce)) == 0:
		return nil, forged("it belongs to another sign-in")
	}
	return &Visitor{Tenant: c.Tenant, Object: c.Object, Name: c.Name, Username: c.Username}, nil
}

func forged(why string) *Error {
	return &Error{Kind: Forged, Message: "the ID token of the sign-in is refused, since " + why + ": start again from the link"}
}

// watchedKeys notes when it was the keys that could not be read, which the verifier does not tell from a wrong signature.
type watchedKeys struct {
	oidc.KeySet
	unread bool
}

func (k *watchedKeys) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	payload, err := k.KeySet.VerifySignature(ctx, jwt)
	k.unread = err != nil && strings.HasPrefix(err.Error(), "fetching keys") // as the RemoteKeySet says; the tests hold it
	return payload, err
}
