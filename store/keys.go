package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"foyer"
)

// NewKey is what a key is made from.
type NewKey struct {
	ID        foyer.KeyID
	SecretMAC []byte         // the secret's HMAC: the secret itself is nowhere
	Source    foyer.SourceID // 0: the default CSV source of Site, or of the organization, which is made once
	Site      foyer.SiteID
	Name      string
	Scopes    foyer.Scopes
	ExpiresAt time.Time // zero: never
}

// CreateKey stores a key and returns it with the source that it delivers for.
func (s *Store) CreateKey(ctx context.Context, caller foyer.Caller, org foyer.OrgID, n NewKey) (key foyer.Key, source foyer.Source, err error) {
	if err := caller.May(foyer.Administer, org); err != nil {
		return key, source, err
	}
	err = s.transact(ctx, "create the key", func(t *txn) error {
		if n.Source == 0 {
			source, err = s.defaultSource(t, org, n.Site)
		} else {
			source, err = readSource(t, org, n.Source)
		}
		if err != nil {
			return err
		}
		key = foyer.Key{ID: n.ID, Source: source.ID, Name: n.Name, Scopes: n.Scopes, CreatedAt: s.clock(), ExpiresAt: n.ExpiresAt}
		const q = `INSERT INTO client_key (org, id, source, name, secret_mac, scopes, created_at, expires_at, revoked_at, last_used)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, 0)`
		return t.exec(q, org, key.ID, key.Source, key.Name, n.SecretMAC, key.Scopes, millis(key.CreatedAt), millis(key.ExpiresAt))
	})
	return key, source, err
}

func readSource(t *txn, org foyer.OrgID, id foyer.SourceID) (foyer.Source, error) {
	sources, err := readSources(t, org)
	if err != nil {
		return foyer.Source{}, err
	}
	for _, source := range sources {
		if source.ID == id {
			return source, nil
		}
	}
	return foyer.Source{}, foyer.Errorf(foyer.NotFound, "there is no source %v", id)
}

func readKeys(t *txn, query string, args ...any) (keys []foyer.Key, macs [][]byte, err error) {
	const columns = `SELECT id, source, name, secret_mac, scopes, created_at, expires_at, revoked_at, last_used FROM client_key `
	err = t.each(columns+query, args, func(rows *sql.Rows) error {
		var k foyer.Key
		var mac []byte
		var created, expires, revoked, used int64
		err := rows.Scan(&k.ID, &k.Source, &k.Name, &mac, &k.Scopes, &created, &expires, &revoked, &used)
		k.CreatedAt, k.ExpiresAt, k.RevokedAt, k.LastUsed = fromMillis(created), fromMillis(expires), fromMillis(revoked), fromMillis(used)
		keys, macs = append(keys, k), append(macs, mac)
		return err
	})
	return keys, macs, err
}

// LookupKey returns a key and its secret's HMAC, whatever became of it; foyer.NotFound where there is none. It takes no caller: it is
// how a caller comes to be known.
func (s *Store) LookupKey(ctx context.Context, org foyer.OrgID, id foyer.KeyID) (key foyer.Key, secretMAC []byte, err error) {
	err = s.identify(ctx, "look up the key", func(t *txn) error {
		keys, macs, err := readKeys(t, `WHERE org = $1 AND id = $2`, org, id)
		if err == nil && len(keys) == 0 {
			return foyer.Errorf(foyer.NotFound, "there is no key %s", id)
		}
		if err == nil {
			key, secretMAC = keys[0], macs[0]
		}
		return err
	})
	return key, secretMAC, err
}

// Keys lists an organization's keys, ended ones too, the newest first.
func (s *Store) Keys(ctx context.Context, caller foyer.Caller, org foyer.OrgID) (keys []foyer.Key, err error) {
	if err := caller.May(foyer.Administer, org); err != nil {
		return nil, err
	}
	err = s.snapshot(ctx, "list the keys", func(t *txn) error {
		keys, _, err = readKeys(t, `WHERE org = $1 ORDER BY created_at DESC, id`, org)
		return err
	})
	return keys, err
}

// RevokeKey ends a key for good, and its tokens with it; one that ended before stays as it is.
func (s *Store) RevokeKey(ctx context.Context, caller foyer.Caller, org foyer.OrgID, id foyer.KeyID) error {
	if err := caller.May(foyer.Administer, org); err != nil {
		return err
	}
	return s.transact(ctx, "revoke the key", func(t *txn) error {
		found, err := t.count(`UPDATE client_key SET revoked_at = CASE WHEN revoked_at = 0 THEN $1 ELSE revoked_at END WHERE org = $2 AND id = $3`, millis(s.clock()), org, id)
		if err == nil && found == 0 {
			return foyer.Errorf(foyer.NotFound, "there is no key %s in this organization; foyer key list shows them", id)
		}
		return err
	})
}

// TouchKey notes that a key was used.
func (s *Store) TouchKey(ctx context.Context, org foyer.OrgID, id foyer.KeyID, at time.Time) error {
	return s.transact(ctx, "note the use of the key", func(t *txn) error {
		return t.exec(`UPDATE client_key SET last_used = $1 WHERE org = $2 AND id = $3 AND last_used < $1`, millis(at), org, id)
	})
}

// RevokeToken ends a token, named by its MAC, before its time.
func (s *Store) RevokeToken(ctx context.Context, org foyer.OrgID, mac []byte, expires time.Time) error {
	return s.transact(ctx, "revoke the token", func(t *txn) error {
		if err := t.exec(`DELETE FROM revoked_token WHERE org = $1 AND expires_at < $2`, org, millis(s.clock())); err != nil {
			return err
		}
		return t.exec(`INSERT INTO revoked_token (org, mac, expires_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, org, mac, millis(expires))
	})
}

// TokenRevoked tells whether a token was ended before its time.
func (s *Store) TokenRevoked(ctx context.Context, org foyer.OrgID, mac []byte) (revoked bool, err error) {
	err = s.identify(ctx, "look up the token", func(t *txn) error {
		err := t.get(`SELECT 1 FROM revoked_token WHERE org = $1 AND mac = $2`, []any{org, mac}, &revoked)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	return revoked, err
}

// checkKey fails where the caller's key ended since it was presented (R18).
func (s *Store) checkKey(t *txn, caller foyer.Caller) error {
	if caller.Key == "" {
		return nil
	}
	keys, _, err := readKeys(t, `WHERE org = $1 AND id = $2`, caller.Org, caller.Key)
	if err == nil && (len(keys) == 0 || !keys[0].Live(s.clock())) {
		return foyer.Errorf(foyer.Unauthenticated, "the key has ended; nothing was changed")
	}
	return err
}
