package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
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

// KeyRecord is a key with what proves its secrets, and from where its organization lets any key be used.
type KeyRecord struct {
	foyer.Key
	MACs     [][]byte // of the secrets, in their order
	OrgAllow foyer.Allowed
}

// CreateKey stores a key and returns it with the source that it delivers for. An id that was issued before is refused, also after its key was deleted.
func (s *Store) CreateKey(ctx context.Context, caller foyer.Caller, org foyer.OrgID, n NewKey) (key foyer.Key, source foyer.Source, err error) {
	if err := caller.May(foyer.Administer, org); err != nil {
		return key, source, err
	}
	if err := checkName("a key", n.Name); err != nil {
		return key, source, err
	}
	err = s.transact(ctx, org, "create the key", func(t *txn) error {
		if n.Source == 0 {
			source, err = s.defaultSource(t, caller, org, n.Site)
		} else {
			source, err = readSource(t, org, n.Source)
		}
		if err != nil {
			return err
		}
		if source.Kind != foyer.CSV {
			return foyer.Errorf(foyer.Conflict, "the source %q is read from a directory: a file for it would take away whom it does not list. Make another source for files", source.Name)
		}
		if !source.EndedAt.IsZero() {
			return foyer.Errorf(foyer.Conflict, "the source %q has ended, and delivers no more; name another one, or undo its end", source.Name)
		}
		var issued int
		const before = `SELECT (SELECT COUNT(*) FROM client_key WHERE org = $1 AND id = $2) + (SELECT COUNT(*) FROM retired_key WHERE org = $1 AND id = $2)`
		if err := t.get(before, []any{org, n.ID}, &issued); err != nil {
			return err
		}
		if issued > 0 {
			return foyer.Errorf(foyer.Conflict, "the id %s was issued before; none is issued twice", n.ID)
		}
		const q = `INSERT INTO client_key (org, id, source, name, scopes, created_at, expires_at, revoked_at) VALUES ($1, $2, $3, $4, $5, $6, $7, 0)`
		if err := t.exec(q, org, n.ID, source.ID, n.Name, n.Scopes, millis(t.now), millis(n.ExpiresAt)); err != nil {
			return err
		}
		if err := insertSecret(t, org, n.ID, 1, n.SecretMAC); err != nil {
			return err
		}
		if key, err = readKey(t, org, n.ID); err != nil {
			return err
		}
		return s.audit(t, caller, org, "key.create", string(n.ID), fmt.Sprintf("source=%v scopes=%s expires=%d", source.ID, n.Scopes, millis(n.ExpiresAt)))
	})
	return key, source, err
}

func insertSecret(t *txn, org foyer.OrgID, key foyer.KeyID, number int, mac []byte) error {
	const q = `INSERT INTO client_secret (org, key, number, mac, created_at, expires_at, last_used, last_address, last_agent) VALUES ($1, $2, $3, $4, $5, 0, 0, '', '')`
	return t.exec(q, org, key, number, mac, millis(t.now))
}

// readKeys returns keys with their secrets; query goes on after FROM client_key.
func readKeys(t *txn, org foyer.OrgID, query string, args ...any) (keys []KeyRecord, err error) {
	const columns = `SELECT id, source, name, scopes, created_at, expires_at, revoked_at, allow, allow_log_only FROM client_key `
	at := map[foyer.KeyID]int{}
	err = t.each(columns+query, args, func(rows *sql.Rows) error {
		var k KeyRecord
		var created, expires, revoked int64
		var allow string
		if err := rows.Scan(&k.ID, &k.Source, &k.Name, &k.Scopes, &created, &expires, &revoked, &allow, &k.Allow.LogOnly); err != nil {
			return err
		}
		k.CreatedAt, k.ExpiresAt, k.RevokedAt = fromMillis(created), fromMillis(expires), fromMillis(revoked)
		at[k.ID] = len(keys)
		keys = append(keys, k)
		return parseAllow(allow, &keys[len(keys)-1].Allow)
	})
	if err != nil || len(keys) == 0 {
		return nil, err
	}
	secrets, of := `WHERE org = $1`, []any{org}
	if len(keys) == 1 {
		secrets, of = `WHERE org = $1 AND key = $2`, []any{org, keys[0].ID}
	}
	const read = `SELECT key, number, mac, created_at, expires_at, last_used, last_address, last_agent FROM client_secret `
	return keys, t.each(read+secrets+` ORDER BY key, number`, of, func(rows *sql.Rows) error {
		var id foyer.KeyID
		var x foyer.Secret
		var mac []byte
		var created, expires, used int64
		if err := rows.Scan(&id, &x.Number, &mac, &created, &expires, &used, &x.LastAddress, &x.LastAgent); err != nil {
			return err
		}
		x.CreatedAt, x.ExpiresAt, x.LastUsed = fromMillis(created), fromMillis(expires), fromMillis(used)
		if i, ok := at[id]; ok {
			keys[i].Secrets, keys[i].MACs = append(keys[i].Secrets, x), append(keys[i].MACs, mac)
		}
		return nil
	})
}

// readKeyRecord returns a key, whatever became of it; foyer.NotFound where the organization has none of that id.
func readKeyRecord(t *txn, org foyer.OrgID, id foyer.KeyID) (KeyRecord, error) {
	keys, err := readKeys(t, org, `WHERE org = $1 AND id = $2`, org, id)
	if err == nil && len(keys) == 0 {
		err = foyer.Errorf(foyer.NotFound, "there is no key %s in this organization; foyer key list shows them", id)
	}
	if err != nil {
		return KeyRecord{}, err
	}
	return keys[0], nil
}

func readKey(t *txn, org foyer.OrgID, id foyer.KeyID) (foyer.Key, error) {
	k, err := readKeyRecord(t, org, id)
	return k.Key, err
}

// parseAllow reads a list of addresses as it is stored.
func parseAllow(text string, a *foyer.Allowed) error {
	if text == "" || text == "[]" {
		return nil
	}
	var texts []string
	if err := json.Unmarshal([]byte(text), &texts); err != nil {
		return err
	}
	for _, t := range texts {
		p, err := netip.ParsePrefix(t)
		if err != nil {
			return err
		}
		a.Prefixes = append(a.Prefixes, p)
	}
	return nil
}

func readOrgAllow(t *txn, org foyer.OrgID) (a foyer.Allowed, err error) {
	var text string
	err = t.get(`SELECT allow, allow_log_only FROM org WHERE id = $1`, []any{org}, &text, &a.LogOnly)
	if errors.Is(err, sql.ErrNoRows) {
		return a, nil
	}
	return a, errors.Join(err, parseAllow(text, &a))
}

// LookupKey returns a key, whatever became of it, and what proves its secrets; foyer.NotFound where there is none. It takes no caller: it is
// how a caller comes to be known.
func (s *Store) LookupKey(ctx context.Context, org foyer.OrgID, id foyer.KeyID) (key KeyRecord, err error) {
	err = s.identify(ctx, org, "look up the key", func(t *txn) error {
		if key, err = readKeyRecord(t, org, id); err != nil {
			return err
		}
		key.OrgAllow, err = readOrgAllow(t, org)
		return err
	})
	return key, err
}

// Keys lists an organization's keys, ended ones too, the newest first.
func (s *Store) Keys(ctx context.Context, caller foyer.Caller, org foyer.OrgID) (keys []foyer.Key, err error) {
	if err := caller.May(foyer.Administer, org); err != nil {
		return nil, err
	}
	err = s.snapshot(ctx, org, "list the keys", func(t *txn) error {
		records, err := readKeys(t, org, `WHERE org = $1 ORDER BY created_at DESC, id`, org)
		for _, k := range records {
			keys = append(keys, k.Key)
		}
		return err
	})
	return keys, err
}

// changeKey runs fn in a transaction on a key of the organization, and notes the act.
func (s *Store) changeKey(ctx context.Context, caller foyer.Caller, org foyer.OrgID, id foyer.KeyID, act string, fn func(*txn, KeyRecord) (detail string, err error)) (key foyer.Key, err error) {
	if err := caller.May(foyer.Administer, org); err != nil {
		return key, err
	}
	err = s.beside(ctx, org, act, func(t *txn) error {
		k, err := readKeyRecord(t, org, id)
		if err != nil {
			return err
		}
		detail, err := fn(t, k)
		if err != nil {
			return err
		}
		key, err = readKey(t, org, id)
		if err != nil && foyer.KindOf(err) != foyer.NotFound {
			return err
		}
		return s.audit(t, caller, org, act, string(id), detail)
	})
	return key, err
}

// RotateKey gives a key a further secret. Those that it has end after overlap; 0 ends them at once. foyer.Conflict where the key has ended, or has two living secrets.
func (s *Store) RotateKey(ctx context.Context, caller foyer.Caller, org foyer.OrgID, id foyer.KeyID, mac []byte, overlap time.Duration) (foyer.Key, error) {
	return s.changeKey(ctx, caller, org, id, "key.rotate", func(t *txn, k KeyRecord) (string, error) {
		if !k.Live(t.now) {
			return "", foyer.Errorf(foyer.Conflict, "the key %s is %s, and lives no more; make a new one", id, k.State(t.now))
		}
		last, end := 0, t.now.Add(overlap)
		for _, secret := range k.Secrets {
			last = max(last, secret.Number)
			ending := secret.Live(t.now) && !secret.ExpiresAt.IsZero()
			if ending && overlap > 0 {
				return "", foyer.Errorf(foyer.Conflict, "two secrets of this key live already; the older one ends on %s. To end it now: --now", secret.ExpiresAt.Format(time.DateTime))
			}
			if secret.Live(t.now) {
				const q = `UPDATE client_secret SET expires_at = $1 WHERE org = $2 AND key = $3 AND number = $4`
				if err := t.exec(q, millis(end), org, id, secret.Number); err != nil {
					return "", err
				}
			}
		}
		if last >= maxSecrets {
			return "", foyer.Errorf(foyer.Conflict, "this key had %d secrets; make a new key", last)
		}
		if err := insertSecret(t, org, id, last+1, mac); err != nil {
			return "", err
		}
		detail := fmt.Sprintf("secret=%d overlap=%s", last+1, overlap)
		return detail, closeAlert(t, org, leakCause(id), ending{t.now, "the key was rotated"})
	})
}

// maxSecrets is how many secrets a key may have had: their number is a byte of a token.
const maxSecrets = 255

// AllowKey replaces the list of addresses from which a key may be used; an empty one is from anywhere.
func (s *Store) AllowKey(ctx context.Context, caller foyer.Caller, org foyer.OrgID, id foyer.KeyID, allow foyer.Allowed) (foyer.Key, error) {
	return s.changeKey(ctx, caller, org, id, "key.allow", func(t *txn, _ KeyRecord) (string, error) {
		text, err := json.Marshal(allow.Texts())
		if err != nil {
			return "", err
		}
		err = t.exec(`UPDATE client_key SET allow = $1, allow_log_only = $2 WHERE org = $3 AND id = $4`, string(text), flag(allow.LogOnly), org, id)
		return fmt.Sprintf("addresses=%s log_only=%v", strings.Join(allow.Texts(), ","), allow.LogOnly), err
	})
}

// AllowOrg replaces the list of addresses from which any key of an organization may be used; an empty one is from anywhere.
func (s *Store) AllowOrg(ctx context.Context, caller foyer.Caller, org foyer.OrgID, allow foyer.Allowed) error {
	if err := caller.May(foyer.Administer, org); err != nil {
		return err
	}
	text, err := json.Marshal(allow.Texts())
	if err != nil {
		return err
	}
	return s.beside(ctx, org, "change the addresses", func(t *txn) error {
		if _, err := readOrg(t, org); err != nil {
			return err
		}
		if err := t.exec(`UPDATE org SET allow = $1, allow_log_only = $2 WHERE id = $3`, string(text), flag(allow.LogOnly), org); err != nil {
			return err
		}
		return s.audit(t, caller, org, "org.allow", string(org), fmt.Sprintf("addresses=%s log_only=%v", strings.Join(allow.Texts(), ","), allow.LogOnly))
	})
}

// OrgAllow returns from which addresses any key of an organization may be used.
func (s *Store) OrgAllow(ctx context.Context, caller foyer.Caller, org foyer.OrgID) (a foyer.Allowed, err error) {
	if err := caller.May(foyer.Administer, org); err != nil {
		return a, err
	}
	err = s.snapshot(ctx, org, "read the addresses", func(t *txn) error {
		a, err = readOrgAllow(t, org)
		return err
	})
	return a, err
}

// RevokeKey ends a key for good, and its tokens with it; one that ended before stays as it is.
func (s *Store) RevokeKey(ctx context.Context, caller foyer.Caller, org foyer.OrgID, id foyer.KeyID) error {
	_, err := s.changeKey(ctx, caller, org, id, "key.revoke", func(t *txn, k KeyRecord) (string, error) {
		const q = `UPDATE client_key SET revoked_at = CASE WHEN revoked_at = 0 THEN $1 ELSE revoked_at END WHERE org = $2 AND id = $3`
		if err := t.exec(q, millis(t.now), org, id); err != nil {
			return "", err
		}
		return "", closeAlert(t, org, leakCause(id), ending{t.now, "the key was revoked"})
	})
	return err
}

// DeleteKey removes a key that has ended. Its id stays known, and is never issued again.
func (s *Store) DeleteKey(ctx context.Context, caller foyer.Caller, org foyer.OrgID, id foyer.KeyID) error {
	_, err := s.changeKey(ctx, caller, org, id, "key.delete", func(t *txn, k KeyRecord) (string, error) {
		if k.Live(t.now) {
			return "", foyer.Errorf(foyer.Conflict, "the key %s lives; revoke it first: foyer key revoke %s", id, id)
		}
		return "", errors.Join(
			t.exec(`INSERT INTO retired_key (org, id) VALUES ($1, $2)`, org, id),
			t.exec(`DELETE FROM client_secret WHERE org = $1 AND key = $2`, org, id),
			t.exec(`DELETE FROM client_key WHERE org = $1 AND id = $2`, org, id),
			t.exec(`DELETE FROM token_count WHERE org = $1 AND key = $2`, org, id),
		)
	})
	return err
}

// Use is a use of a key's secret.
type Use struct {
	Key     foyer.KeyID
	Secret  int
	At      time.Time
	Address netip.Addr
	Agent   string
}

// maxAgent bounds what is kept of the name of a client's program, in bytes.
const maxAgent = 200

// TouchKey notes that a key was used.
func (s *Store) TouchKey(ctx context.Context, org foyer.OrgID, u Use) error {
	agent := strings.ToValidUTF8(u.Agent[:min(len(u.Agent), maxAgent)], "")
	return s.beside(ctx, org, "note the use of the key", func(t *txn) error {
		const q = `UPDATE client_secret SET last_used = $1, last_address = $2, last_agent = $3 WHERE org = $4 AND key = $5 AND number = $6 AND last_used < $1`
		return t.exec(q, millis(u.At), u.Address.String(), agent, org, u.Key, u.Secret)
	})
}

// RevokeToken ends a token of the caller's key, named by its MAC, before its time. One that was ended so before stays as it is. foyer.Forbidden where the caller is no key.
func (s *Store) RevokeToken(ctx context.Context, caller foyer.Caller, mac []byte, expires time.Time) error {
	org := caller.Org
	if caller.Key == "" || org == "" {
		return foyer.Errorf(foyer.Forbidden, "only a key can revoke its token")
	}
	return s.beside(ctx, org, "revoke the token", func(t *txn) error {
		if err := t.exec(`DELETE FROM revoked_token WHERE org = $1 AND expires_at < $2`, org, millis(t.now)); err != nil {
			return err
		}
		revoked, err := t.count(`INSERT INTO revoked_token (org, mac, expires_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, org, mac, millis(expires))
		if err != nil || revoked == 0 {
			return err
		}
		return s.audit(t, caller, org, "token.revoke", string(caller.Key), "")
	})
}

// TokenRevoked tells whether a token was ended before its time.
func (s *Store) TokenRevoked(ctx context.Context, org foyer.OrgID, mac []byte) (revoked bool, err error) {
	err = s.identify(ctx, org, "look up the token", func(t *txn) error {
		err := t.get(`SELECT 1 FROM revoked_token WHERE org = $1 AND mac = $2`, []any{org, mac}, &revoked)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	return revoked, err
}

// checkKeyAgain is checkKey right before the commit: whoever ends the key meanwhile waits until that is through, so that nothing is written by a key whose end was confirmed (R18).
func (s *Store) checkKeyAgain(t *txn, caller foyer.Caller) error {
	if t.dialect == sqliteDialect || caller.Key == "" {
		return nil // there nobody else writes between the first look and the commit
	}
	for _, q := range []string{`SELECT 1 FROM org WHERE id = $1 FOR SHARE`, `SELECT 1 FROM client_key WHERE org = $1 AND id = $2 FOR SHARE`, `SELECT 1 FROM client_secret WHERE org = $1 AND key = $2 FOR SHARE`} {
		args := []any{caller.Org, caller.Key}
		if strings.Contains(q, "FROM org") {
			args = args[:1]
		}
		if err := t.each(q, args, func(*sql.Rows) error { return nil }); err != nil {
			return err
		}
	}
	return s.checkKey(t, caller)
}

// checkKey fails where the caller's key or secret ended since it was presented, or may not be used from its address any more (R18).
func (s *Store) checkKey(t *txn, caller foyer.Caller) error {
	if caller.Key == "" {
		return nil
	}
	k, err := readKeyRecord(t, caller.Org, caller.Key)
	if err != nil && foyer.KindOf(err) != foyer.NotFound {
		return err
	}
	if err != nil || !k.LiveSecret(caller.Secret, t.now) {
		return foyer.Errorf(foyer.Unauthenticated, "the key has ended; nothing was changed")
	}
	if k.OrgAllow, err = readOrgAllow(t, caller.Org); err != nil {
		return err
	}
	if !k.Permits(caller.Address) {
		return foyer.Errorf(foyer.Forbidden, "the key may not be used from this address any more; nothing was changed")
	}
	return nil
}

// Permits tells whether the key may be used from an address: by its own list and by that of its organization, those aside that only note.
func (k *KeyRecord) Permits(address netip.Addr) bool {
	return (k.Allow.LogOnly || k.Allow.Permits(address)) && (k.OrgAllow.LogOnly || k.OrgAllow.Permits(address))
}

// Notes tells whether a list that only notes would not permit the address.
func (k *KeyRecord) Notes(address netip.Addr) bool {
	return k.Allow.LogOnly && !k.Allow.Permits(address) || k.OrgAllow.LogOnly && !k.OrgAllow.Permits(address)
}
