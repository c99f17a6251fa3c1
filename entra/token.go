package entra

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"
	"github.com/go-jose/go-jose/v4/jwt"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

const (
	assertionLife = 10 * time.Minute // as certificate-credentials advises at most
	renewBefore   = 5 * time.Minute  // a token that ends so soon is not used any more
)

func (a *App) tokenURL(tenant string) string {
	return a.authority + "/" + tenant + "/oauth2/v2.0/token"
}

// withClient hands our client to the OAuth library.
func (a *App) withClient(ctx context.Context) context.Context {
	return context.WithValue(ctx, oauth2.HTTPClient, a.client)
}

// newSigner signs assertions as certificate-credentials asks for: PS256, with the SHA-256 of the certificate in the header.
func newSigner(certificate *x509.Certificate, key crypto.Signer) (jose.Signer, error) {
	sum := sha256.Sum256(certificate.Raw)
	options := (&jose.SignerOptions{}).WithType("JWT").WithHeader("x5t#S256", base64.RawURLEncoding.EncodeToString(sum[:]))
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.PS256, Key: cryptosigner.Opaque(key)}, options)
	if err != nil {
		return nil, &Error{Kind: BadCredential, Message: "the key of the application's certificate cannot sign", Err: err}
	}
	return signer, nil
}

// assertion returns what proves who the application is, towards one token endpoint and once; nothing with a secret, which the OAuth library sends.
func (a *App) assertion(tenant string) (url.Values, error) {
	if a.signer == nil {
		return nil, nil
	}
	now := a.clock()
	text, err := jwt.Signed(a.signer).Claims(jwt.Claims{Issuer: a.id, Subject: a.id, Audience: jwt.Audience{a.tokenURL(tenant)}, ID: random(),
		IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(assertionLife))}).Serialize()
	if err != nil {
		return nil, &Error{Kind: BadCredential, Message: "the key of the application's certificate cannot sign", Err: err}
	}
	return url.Values{"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {text}}, nil
}

// access is an access token of the application for a tenant.
type access struct {
	bearer string
	ends   time.Time
	roles  []string // the application permissions in it
	opaque bool     // it does not say which: clients are not promised that they can read it
}

// token returns a token for the tenant, the one from before as long as it is good.
func (t *Tenant) token(ctx context.Context) (*access, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.access != nil && t.app.clock().Add(renewBefore).Before(t.access.ends) {
		return t.access, nil
	}
	if !isGUID(t.id) {
		return nil, invalid("the id of the tenant is no GUID")
	}
	extra, err := t.app.assertion(t.id)
	if err != nil {
		return nil, err
	}
	asked := t.app.clock()
	config := clientcredentials.Config{ClientID: t.app.id, ClientSecret: t.app.secret, TokenURL: t.app.tokenURL(t.id), Scopes: []string{t.app.graph + "/.default"},
		EndpointParams: extra, AuthStyle: oauth2.AuthStyleInParams}
	token, err := config.Token(t.app.withClient(ctx))
	if err != nil {
		return nil, t.app.tokenFailure(err)
	}
	t.access = newAccess(token.AccessToken, asked.Add(time.Until(token.Expiry))) // Expiry is by the machine's clock
	return t.access, nil
}

// drop forgets a token, unless there is a newer one already.
func (t *Tenant) drop(old *access) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.access == old {
		t.access = nil
	}
}

// newAccess reads the roles of a token. It is not verified: it came from where it is from, and the Graph decides.
func newAccess(bearer string, ends time.Time) *access {
	a := &access{bearer: bearer, ends: ends, opaque: true}
	parts := strings.Split(bearer, ".")
	if len(parts) != 3 {
		return a
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct{ Roles []string }
	if err == nil && json.Unmarshal(text, &claims) == nil {
		a.roles, a.opaque = claims.Roles, false
	}
	return a
}

// The application permissions of which one is enough (permissions-reference): the least first, then those that hold it.
var (
	readUsers   = []string{"User.Read.All", "User.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"}
	readMembers = []string{"GroupMember.Read.All", "Group.Read.All", "GroupMember.ReadWrite.All", "Group.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"}
)

// Check tells whether the tenant's people can be read: nil if they can, Withdrawn if the tenant does not let us. Right after a consent it may take Microsoft
// a minute until a new token shows it: ask again then, of a new Tenant.
func (t *Tenant) Check(ctx context.Context) error {
	ok, err := t.may(ctx, readUsers, "/users")
	if err == nil && !ok {
		err = &Error{Kind: Withdrawn, Message: "the tenant has not agreed to the permission User.Read.All, or has withdrawn it: " + askAdmin}
	}
	return err
}

// MaySeeGroups tells whether groups and their members can be read too (GroupMember.Read.All).
func (t *Tenant) MaySeeGroups(ctx context.Context) (bool, error) {
	return t.may(ctx, readMembers, "/groups")
}

// may tells whether one of the permissions is in the token; where the token does not say, whether the Graph lists one of those things.
func (t *Tenant) may(ctx context.Context, enough []string, things string) (bool, error) {
	var token *access
	err := t.app.persist(ctx, func(ctx context.Context) (err error) {
		token, err = t.token(ctx)
		return err
	})
	if err != nil {
		return false, err
	}
	if !token.opaque {
		return slices.ContainsFunc(token.roles, func(r string) bool { return slices.Contains(enough, r) }), nil
	}
	var some list[struct{}]
	err = t.get(ctx, query{address: t.app.graph + "/v1.0" + things + "?$select=id&$top=1", parse: into(&some)})
	if e, ok := errors.AsType[*Error](err); ok && e.Status == http.StatusForbidden {
		return false, nil
	}
	return err == nil, err
}

// random returns 256 random bits as text.
func random() string {
	var b [32]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}
