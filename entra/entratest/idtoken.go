package entratest

import (
	"crypto/sha256"
	"time"
)

// Wrong is one thing that is wrong with an ID token.
type Wrong string

// What may be wrong with an ID token.
const (
	Nothing           Wrong = ""
	WrongIssuer       Wrong = "issuer of another host"
	IssuerUnfilled    Wrong = "issuer with {tenantid} in it, as the metadata of organizations has it"
	WrongAudience     Wrong = "audience is another application"
	SeveralAudiences  Wrong = "audience is a list of this application and another"
	WrongNonce        Wrong = "another nonce"
	NoNonce           Wrong = "no nonce"
	Expired           Wrong = "expired a day ago"
	NoExpiry          Wrong = "no exp"
	NotYet            Wrong = "nbf is tomorrow"
	UnsignedToken     Wrong = "alg none"
	SymmetricToken    Wrong = "alg HS256, signed with the public key"
	UnknownKey        Wrong = "signed with a key that is not published"
	WrongSignature    Wrong = "signed with a key that is not published, under the kid of one that is"
	NoTenantID        Wrong = "no tid"
	OtherTenantID     Wrong = "tid of another tenant, issuer of the true one"
	OtherTenantIssuer Wrong = "issuer of another tenant, tid of the true one"
)

// Wrongs are all of them but Nothing.
func Wrongs() []Wrong {
	return []Wrong{WrongIssuer, IssuerUnfilled, WrongAudience, SeveralAudiences, WrongNonce, NoNonce, Expired, NoExpiry, NotYet, UnsignedToken, SymmetricToken,
		UnknownKey, WrongSignature, NoTenantID, OtherTenantID, OtherTenantIssuer}
}

// SpoilIDTokens makes this wrong with every ID token from now on, until Nothing is.
func (f *Fake) SpoilIDTokens(w Wrong) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wrong = w
}

// idToken makes the ID token of a sign-in.
func (f *Fake) idToken(c *code) string {
	now := f.clock()
	subject := sha256.Sum256([]byte(c.app + "\x00" + c.user.ID)) // pairwise: another one in every application
	body := claims{"ver": "2.0", "iss": f.issuer(c.tenant.ID), "aud": c.app, "sub": encode(subject[:]), "oid": c.user.ID, "tid": c.tenant.ID,
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(), "preferred_username": c.user.UserPrincipalName, "name": c.user.DisplayName, "uti": newID()}
	if c.nonce != "" {
		body["nonce"] = c.nonce
	}
	f.spoil(body, now)
	key := f.signer()
	switch f.wrong {
	case UnsignedToken:
		return part(claims{"typ": "JWT", "alg": "none"}) + "." + part(body) + "."
	case SymmetricToken:
		return key.confuse(body)
	case UnknownKey:
		return signingKey{"unknown", newKey()}.sign(body)
	case WrongSignature:
		return signingKey{key.id, newKey()}.sign(body)
	}
	return key.sign(body)
}

// spoil makes the claims wrong that have to be.
func (f *Fake) spoil(body claims, now time.Time) {
	switch f.wrong {
	case WrongIssuer:
		body["iss"] = f.Elsewhere + "/" + body.text("tid") + "/v2.0"
	case IssuerUnfilled:
		body["iss"] = f.issuer("{tenantid}")
	case WrongAudience:
		body["aud"] = newID()
	case SeveralAudiences:
		body["aud"] = []any{body["aud"], newID()}
	case WrongNonce:
		body["nonce"] = newID()
	case NoNonce:
		delete(body, "nonce")
	case Expired:
		body["iat"], body["nbf"], body["exp"] = now.Add(-25*time.Hour).Unix(), now.Add(-25*time.Hour).Unix(), now.Add(-24*time.Hour).Unix()
	case NoExpiry:
		delete(body, "exp")
	case NotYet:
		body["nbf"], body["exp"] = now.Add(24*time.Hour).Unix(), now.Add(25*time.Hour).Unix()
	case NoTenantID:
		delete(body, "tid")
	case OtherTenantID:
		body["tid"] = f.otherTenant(body.text("tid"))
	case OtherTenantIssuer:
		body["iss"] = f.issuer(f.otherTenant(body.text("tid")))
	}
}

// otherTenant returns the id of another tenant, made up if there is only one.
func (f *Fake) otherTenant(id string) string {
	for _, t := range f.tenants {
		if t.ID != id {
			return t.ID
		}
	}
	return newID()
}

// issuer is the issuer of a tenant's tokens.
func (f *Fake) issuer(tenant string) string { return f.Authority + "/" + tenant + "/v2.0" }
