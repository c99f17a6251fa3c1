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
	"errors"
	"log/slog"
	"net/netip"
	"strconv"
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
	ended     sync.Map // the same of keys that have ended
	leaked    sync.Map // the same of secrets in URLs
	notes     sync.WaitGroup
	counts    counts

	failures, revocations failures
}

// New returns the authority over a store's keys.
func New(s *store.Store, v *vault.Vault, log *slog.Logger) *Authority {
	return &Authority{store: s, log: log, secretKey: v.Key("secret"), tokenKey: v.Key("token")}
}

// Close waits until what is to be noted of keys' uses is written.
func (a *Authority) Close() {
	a.notes.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := a.Flush(ctx); err != nil {
		a.log.Warn("the counts of tokens could not be noted", "error", err)
	}
}

// secretMAC returns what is stored of a secret. It is bound to the key's id.
func (a *Authority) secretMAC(id foyer.KeyID, secret string) []byte {
	mac := hmac.New(sha256.New, a.secretKey)
	mac.Write([]byte(id))
	mac.Write([]byte{0})
	mac.Write([]byte(secret))
	return mac.Sum(nil)
}

// Client is who asks for a token: what it presents, from where, and with which program.
type Client struct {
	ID, Secret string
	From       netip.Addr
	Agent      string
}

// Token is an issued token.
type Token struct {
	Text   string
	Scopes foyer.Scopes
	Expiry time.Duration // from now
}

// refused returns the one answer to an unknown id, a wrong secret, a key that ended, and an address that is not allowed: it does not tell which. The reason is
// for the server's log.
func refused(reason error) error {
	return foyer.Errorf(foyer.Unauthenticated, "the client id or secret is wrong, the key has expired or been revoked, or it may not be used from this address").Because(reason)
}

// Issue returns a token to a client. Scopes narrow those of the key; 0 asks for all. The error is of kind foyer.Unauthenticated (invalid_client),
// foyer.Forbidden (invalid_scope), foyer.Limited after too many failures, or the store's. A right secret is never kept waiting.
func (a *Authority) Issue(ctx context.Context, c Client, scopes foyer.Scopes) (Token, error) {
	key, secret, err := a.identify(ctx, c)
	if err != nil {
		return Token{}, err
	}
	if scopes == 0 {
		scopes = key.Scopes
	}
	if scopes&^key.Scopes != 0 {
		return Token{}, foyer.Errorf(foyer.Forbidden, "the key has the scopes %q, not %q", key.Scopes, scopes)
	}
	now := a.store.Now()
	expires := now.Add(TokenLifetime)
	for _, end := range []time.Time{key.ExpiresAt, secret.ExpiresAt} {
		if !end.IsZero() && end.Before(expires) {
			expires = end
		}
	}
	org, _ := OrgOf(key.ID)
	a.counts.add(org, key.ID, c.From, now, true)
	a.note(&a.touched, string(key.ID)+strconv.Itoa(secret.Number), now, func(ctx context.Context) error {
		return a.store.TouchKey(ctx, org, store.Use{Key: key.ID, Secret: secret.Number, At: now, Address: c.From, Agent: Redact(c.Agent)})
	})
	return Token{Text: a.seal(org, key, secret.Number, scopes, expires), Scopes: scopes, Expiry: expires.Sub(now)}, nil
}

// identify returns the living key and secret that a client presents, from an address that both lists allow; else the error is refused, or of kind foyer.Limited.
func (a *Authority) identify(ctx context.Context, c Client) (*foyer.Key, *foyer.Secret, error) {
	now := a.store.Now()
	key, secret, err := a.match(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	reason := errors.New("wrong secret")
	switch {
	case key.ID == "":
		reason = errors.New("unknown client id")
	case secret == nil:
	case !key.LiveSecret(secret.Number, now):
		a.noteEnded(key.ID, secret.Number, now)
		reason = errors.New("the key or the secret has ended")
	case !a.permits(key, c.From):
		reason = errors.New("address not allowed")
	default:
		return &key.Key, secret, nil
	}
	if org, known := OrgOf(key.ID); known {
		a.counts.add(org, key.ID, c.From, now, false)
	}
	if wait := a.failures.add(c.ID, c.From, now, maxFailures); wait > 0 {
		return nil, nil, &foyer.Error{Kind: foyer.Limited, Message: "too many failures with this client id; a right secret of a living key is accepted at any time", RetryAfter: wait, Err: reason}
	}
	return nil, nil, refused(reason)
}

// match returns the key of a client's id, the zero key where there is none, and which of its secrets the client's is; nil: none of them. All secrets are compared whether
// or not there is a key, so that no answer takes longer than another.
func (a *Authority) match(ctx context.Context, c Client) (key store.KeyRecord, secret *foyer.Secret, err error) {
	org, known := OrgOf(foyer.KeyID(c.ID))
	if known {
		key, err = a.store.LookupKey(ctx, org, foyer.KeyID(c.ID))
		if err != nil && foyer.KindOf(err) != foyer.NotFound {
			return key, nil, err
		}
	}
	given := a.secretMAC(foyer.KeyID(c.ID), c.Secret)
	for i, mac := range key.MACs {
		if hmac.Equal(given, mac) {
			secret = &key.Secrets[i]
		}
	}
	return key, secret, nil
}

// permits tells whether a key may be used from an address. What a list that only notes would refuse is logged.
func (a *Authority) permits(key store.KeyRecord, from netip.Addr) bool {
	if key.Notes(from) {
		a.log.Warn("an address list that only notes would refuse this address", "key", key.ID, "from", from)
	}
	if key.Permits(from) {
		return true
	}
	a.log.Warn("a key was used from an address that is not allowed", "key", key.ID, "from", from)
	return false
}

// noteEnded notes that a key, or one of its secrets, was used though it has ended (R27); one that turns out to live is passed over. It is called only for who has
// the secret, or a genuine token got with it: an id alone is known to many, and makes nobody remember anything.
func (a *Authority) noteEnded(id foyer.KeyID, secret int, now time.Time) {
	org, _ := OrgOf(id)
	a.note(&a.ended, string(id), now, func(ctx context.Context) error { return a.store.NoteEndedKey(ctx, org, id, secret) })
}

// Leaked notes that id and secret were sent in a URL, if they are right (RFC 6749 §2.3.1 forbids it): the key is to be given another secret.
func (a *Authority) Leaked(ctx context.Context, c Client) {
	key, secret, err := a.match(ctx, c)
	if err != nil || secret == nil {
		return
	}
	now := a.store.Now()
	org, _ := OrgOf(key.ID)
	a.note(&a.leaked, string(key.ID), now, func(ctx context.Context) error { return a.store.NoteLeakedKey(ctx, org, key.ID) })
}

// note calls write behind the request's back, at most once a minute for a key; last remembers when.
func (a *Authority) note(last *sync.Map, id string, now time.Time, write func(context.Context) error) {
	if at, ok := last.Load(id); ok && now.Sub(at.(time.Time)) < time.Minute {
		return
	}
	last.Store(id, now)
	a.notes.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := write(ctx); err != nil {
			a.log.Warn("the use of a key could not be noted", "error", err)
		}
	})
}

// A token's body is: its end (unix seconds, 5 bytes), scopes (1 byte), the number of the secret (1 byte), the random part of the key's id (10 bytes),
// random bytes (8), and the HMAC of all that and of the organization (16 bytes).
const (
	tokenNonce = 8
	tokenMAC   = 16
	tokenFixed = 5 + 1 + 1 + keyRandom + tokenNonce
)

func (a *Authority) seal(org foyer.OrgID, key *foyer.Key, secret int, scopes foyer.Scopes, expires time.Time) string {
	_, id, _ := decompose(keyPrefix, string(key.ID))
	body := binary.BigEndian.AppendUint64(nil, uint64(expires.Unix()))[3:]
	body = append(body, byte(scopes), byte(secret))
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
	secret  int
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
	id := body[7 : 7+keyRandom]
	return opened{
		org: org, key: foyer.KeyID(compose(keyPrefix, org, id)), scopes: foyer.Scopes(body[5]), secret: int(body[6]),
		expires: time.Unix(int64(end), 0), mac: body[tokenFixed:],
	}, true
}

// Caller returns who presents a token, from the address that the request came from. foyer.Unauthenticated where the token is not
// genuine, has expired or was revoked, or its key or secret has ended: the message says which only to who holds a genuine one. foyer.Forbidden where the key
// may not be used from there.
func (a *Authority) Caller(ctx context.Context, token string, from netip.Addr) (foyer.Caller, error) {
	t, ok := a.open(token)
	if !ok {
		return foyer.Caller{}, foyer.Errorf(foyer.Unauthenticated, "the token is not one of this server's; get one from /auth/connect/token")
	}
	now := a.store.Now()
	if !now.Before(t.expires) {
		a.noteEnded(t.key, t.secret, now)
		return foyer.Caller{}, foyer.Errorf(foyer.Unauthenticated, "the token has expired; get a new one from /auth/connect/token")
	}
	key, err := a.store.LookupKey(ctx, t.org, t.key)
	if err != nil && foyer.KindOf(err) != foyer.NotFound {
		return foyer.Caller{}, err
	}
	if err != nil || !key.LiveSecret(t.secret, now) {
		a.noteEnded(t.key, t.secret, now)
		return foyer.Caller{}, foyer.Errorf(foyer.Unauthenticated, "the key of this token has expired or been revoked")
	}
	revoked, err := a.store.TokenRevoked(ctx, t.org, t.mac)
	if err != nil {
		return foyer.Caller{}, err
	}
	if revoked {
		return foyer.Caller{}, foyer.Errorf(foyer.Unauthenticated, "the token was revoked; get a new one from /auth/connect/token")
	}
	if !a.permits(key, from) {
		return foyer.Caller{}, foyer.Errorf(foyer.Forbidden, "this key may not be used from the address %s", from)
	}
	return foyer.KeyCaller(t.org, &key.Key, t.secret, t.scopes, from), nil
}

// Revoke ends a token for the key that got it (RFC 7009). A token that is not genuine, has ended, or is another key's is passed over in
// silence, as §2.2 wants. The client id and secret are checked as in Issue. foyer.Limited after too many, since each is a row of the audit.
func (a *Authority) Revoke(ctx context.Context, c Client, token string) error {
	key, secret, err := a.identify(ctx, c)
	if err != nil {
		return err
	}
	now := a.store.Now()
	t, ok := a.open(token)
	if !ok || t.key != key.ID || !now.Before(t.expires) {
		return nil
	}
	if wait := a.revocations.add(c.ID, netip.Addr{}, now, maxRevocations); wait > 0 {
		return &foyer.Error{Kind: foyer.Limited, Message: "this key has revoked too many tokens within a minute", RetryAfter: wait}
	}
	return a.store.RevokeToken(ctx, foyer.KeyCaller(t.org, key, secret.Number, key.Scopes, c.From), t.mac, t.expires)
}
