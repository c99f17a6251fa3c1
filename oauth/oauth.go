// Package oauth is the authorization server for machines: it turns a client id and secret into a short-lived token
// (RFC 6749 §4.4), and a token into the Caller that acts.
//
// A token is not stored. It carries its key, its scopes and its end, under an HMAC whose key derives from the pepper; what is checked at
// each use is that HMAC, that the token was not revoked (RFC 7009), and that its key still lives. So issuing writes nothing to the disk,
// and the tokens of a key that ends die with it. Secrets are stored as HMACs under the pepper.
package oauth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"foyer"
	"foyer/store"
	"foyer/vault"
)

// TokenLifetime is how long a token lives.
const TokenLifetime = time.Hour

// Authority issues and checks tokens.
type Authority struct {
	store     *store.Store
	log       *slog.Logger
	secretKey []byte
	tokenKey  []byte
	touched   sync.Map // foyer.KeyID -> time.Time of the use noted last
	ended     sync.Map // the same, of uses after the key's end
	notes     sync.WaitGroup
}

// New returns the authority over a store's keys.
func New(s *store.Store, v *vault.Vault, log *slog.Logger) *Authority {
	return &Authority{store: s, log: log, secretKey: v.Key("secret"), tokenKey: v.Key("token")}
}

// Close waits until what is to be noted of keys' uses is written.
func (a *Authority) Close() { a.notes.Wait() }

// secretMAC returns what is stored of a secret. It is bound to the key's id.
func (a *Authority) secretMAC(id foyer.KeyID, secret string) []byte {
	mac := hmac.New(sha256.New, a.secretKey)
	mac.Write([]byte(id))
	mac.Write([]byte{0})
	mac.Write([]byte(secret))
	return mac.Sum(nil)
}

// Token is an issued token.
type Token struct {
	Text   string
	Scopes foyer.Scopes
	Expiry time.Duration // from now
}

// errClient is the one answer to an unknown id, a wrong secret, and a key that ended: it does not tell which.
var errClient = foyer.Errorf(foyer.Unauthenticated, "the client id or secret is wrong, or the key has expired or been revoked")

// Issue returns a token for a client id and secret. Scopes narrow those of the key; 0 asks for all. The error is of kind
// foyer.Unauthenticated (invalid_client), foyer.Forbidden (invalid_scope), or the store's.
func (a *Authority) Issue(ctx context.Context, id, secret string, scopes foyer.Scopes) (Token, error) {
	now := a.store.Now()
	org, known := OrgOf(foyer.KeyID(id))
	var key foyer.Key
	var stored []byte
	if known {
		var err error
		key, stored, err = a.store.LookupKey(ctx, org, foyer.KeyID(id))
		if err != nil && foyer.KindOf(err) != foyer.NotFound {
			return Token{}, err
		}
	}
	// The secret is hashed whether or not there is a key, so that both take the same time.
	given := a.secretMAC(foyer.KeyID(id), secret)
	if !hmac.Equal(given, stored) {
		return Token{}, errClient
	}
	if !key.Live(now) {
		a.noteEnded(org, key.ID, now)
		return Token{}, errClient
	}
	if scopes == 0 {
		scopes = key.Scopes
	}
	if scopes&^key.Scopes != 0 {
		return Token{}, foyer.Errorf(foyer.Forbidden, "the key has the scopes %q, not %q", key.Scopes, scopes)
	}
	expires := now.Add(TokenLifetime)
	if !key.ExpiresAt.IsZero() && key.ExpiresAt.Before(expires) {
		expires = key.ExpiresAt
	}
	a.noteUse(org, &key, now)
	return Token{Text: a.seal(org, &key, scopes, expires), Scopes: scopes, Expiry: expires.Sub(now)}, nil
}

// noteUse notes that a key was used.
func (a *Authority) noteUse(org foyer.OrgID, key *foyer.Key, now time.Time) {
	a.note(&a.touched, key.ID, now, func(ctx context.Context) error { return a.store.TouchKey(ctx, org, key.ID, now) })
}

// noteEnded notes that a key was used though it has ended (R27); one that turns out to live is passed over. It is called only for who has
// the key's secret, or a genuine token got with it: an id alone is known to many, and makes nobody remember anything.
func (a *Authority) noteEnded(org foyer.OrgID, id foyer.KeyID, now time.Time) {
	a.note(&a.ended, id, now, func(ctx context.Context) error {
		key, _, err := a.store.LookupKey(ctx, org, id)
		if err == nil && !key.Live(now) {
			err = a.store.NoteEndedKey(ctx, org, id)
		}
		return err
	})
}

// note calls write behind the request's back, at most once a minute for a key; last remembers when.
func (a *Authority) note(last *sync.Map, id foyer.KeyID, now time.Time, write func(context.Context) error) {
	if at, ok := last.Load(id); ok && now.Sub(at.(time.Time)) < time.Minute {
		return
	}
	last.Store(id, now)
	a.notes.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := write(ctx); err != nil {
			a.log.Warn("the use of a key could not be noted", "key", id, "error", err)
		}
	})
}

// A token's body is: its end (unix seconds, 5 bytes), scopes (1 byte), the random part of the key's id (10 bytes), random bytes (8),
// and the HMAC of all that and of the organization (16 bytes).
const (
	tokenNonce = 8
	tokenMAC   = 16
	tokenFixed = 5 + 1 + keyRandom + tokenNonce
)

func (a *Authority) seal(org foyer.OrgID, key *foyer.Key, scopes foyer.Scopes, expires time.Time) string {
	_, id, _ := decompose(keyPrefix, string(key.ID))
	body := binary.BigEndian.AppendUint64(nil, uint64(expires.Unix()))[3:]
	body = append(body, byte(scopes))
	body = append(body, id...)
	nonce := make([]byte, tokenNonce)
	rand.Read(nonce)
	body = append(body, nonce...)
	return compose(tokenPrefix, org, append(body, a.tokenMACOf(org, body)...))
}

func (a *Authority) tokenMACOf(org foyer.OrgID, body []byte) []byte {
	mac := hmac.New(sha256.New, a.tokenKey)
	mac.Write([]byte(org))
	mac.Write(body)
	return mac.Sum(nil)[:tokenMAC]
}

// opened is what a genuine token says.
type opened struct {
	org     foyer.OrgID
	key     foyer.KeyID
	scopes  foyer.Scopes
	expires time.Time
	mac     []byte
}

func (a *Authority) open(text string) (opened, bool) {
	org, body, ok := decompose(tokenPrefix, text)
	if !ok || len(body) != tokenFixed+tokenMAC || !hmac.Equal(a.tokenMACOf(org, body[:tokenFixed]), body[tokenFixed:]) {
		return opened{}, false
	}
	end := binary.BigEndian.Uint64(append([]byte{0, 0, 0}, body[:5]...))
	id := body[6 : 6+keyRandom]
	return opened{
		org: org, key: foyer.KeyID(compose(keyPrefix, org, id)), scopes: foyer.Scopes(body[5]),
		expires: time.Unix(int64(end), 0), mac: body[tokenFixed:],
	}, true
}

// Caller returns who presents a token, from the address that the request came from. foyer.Unauthenticated where the token is not
// genuine, has expired or was revoked, or its key has ended: the message says which only to who holds a genuine one.
func (a *Authority) Caller(ctx context.Context, token string, from netip.Addr) (foyer.Caller, error) {
	t, ok := a.open(token)
	if !ok {
		return foyer.Caller{}, foyer.Errorf(foyer.Unauthenticated, "the token is not one of this server's; get one from /auth/connect/token")
	}
	now := a.store.Now()
	if !now.Before(t.expires) {
		a.noteEnded(t.org, t.key, now)
		return foyer.Caller{}, foyer.Errorf(foyer.Unauthenticated, "the token has expired; get a new one from /auth/connect/token")
	}
	key, _, err := a.store.LookupKey(ctx, t.org, t.key)
	if err != nil && foyer.KindOf(err) != foyer.NotFound {
		return foyer.Caller{}, err
	}
	if err != nil || !key.Live(now) {
		a.noteEnded(t.org, t.key, now)
		return foyer.Caller{}, foyer.Errorf(foyer.Unauthenticated, "the key of this token has expired or been revoked")
	}
	revoked, err := a.store.TokenRevoked(ctx, t.org, t.mac)
	if err != nil {
		return foyer.Caller{}, err
	}
	if revoked {
		return foyer.Caller{}, foyer.Errorf(foyer.Unauthenticated, "the token was revoked; get a new one from /auth/connect/token")
	}
	return foyer.KeyCaller(t.org, &key, t.scopes, from), nil
}

// Revoke ends a token for the key that got it (RFC 7009). A token that is not genuine, has ended, or is another key's is passed over in
// silence, as §2.2 wants. The client id and secret are checked as in Issue.
func (a *Authority) Revoke(ctx context.Context, id, secret, token string) error {
	if _, err := a.Issue(ctx, id, secret, 0); err != nil {
		return err
	}
	t, ok := a.open(token)
	if !ok || string(t.key) != id || !a.store.Now().Before(t.expires) {
		return nil
	}
	return a.store.RevokeToken(ctx, t.org, t.mac, t.expires)
}
