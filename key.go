package foyer

import "time"

// KeyID is a client id (RFC 6749 §2.2): fk_, the organization, random characters and a checksum.
type KeyID string

// Key is a client id and secret, issued to one source of one organization, for good. The secret is not in it.
type Key struct {
	ID        KeyID
	Source    SourceID
	Name      string
	Scopes    Scopes
	CreatedAt time.Time
	ExpiresAt time.Time // zero: never
	RevokedAt time.Time // zero: not revoked
	LastUsed  time.Time // to the minute; zero: never
}

// Live tells whether the key may be used at that time. What has ended never lives again.
func (k *Key) Live(now time.Time) bool {
	return k.RevokedAt.IsZero() && (k.ExpiresAt.IsZero() || now.Before(k.ExpiresAt))
}

// State returns "live", "expired" or "revoked".
func (k *Key) State(now time.Time) string {
	switch {
	case !k.RevokedAt.IsZero():
		return "revoked"
	case !k.Live(now):
		return "expired"
	}
	return "live"
}
