package store

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"time"

	"foyer"
)

// keepHashes keeps hashes of the emails and ids, under a key that is not in the database.
func (e *erasure) keepHashes() error {
	hashes := [][]byte{}
	for key := range e.keys {
		hashes = append(hashes, e.s.erasedHash(e.org, key))
	}
	for id := range e.ids {
		hashes = append(hashes, e.s.erasedHash(e.org, idText(id.Source, id.ID)))
	}
	for _, hash := range hashes {
		const q = `INSERT INTO erased (org, hash, run, erased_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`
		if err := e.t.exec(q, e.org, hash, e.run, millis(e.t.now)); err != nil {
			return err
		}
	}
	return nil
}

// idText is the text of an external id that is hashed; no email has a space.
func idText(source foyer.SourceID, id string) string { return fmt.Sprintf("%v %s", source, id) }

func (s *Store) erasedHash(org foyer.OrgID, text string) []byte {
	mac := hmac.New(sha256.New, s.vault.Key("erased"))
	mac.Write([]byte(string(org) + " " + text))
	return mac.Sum(nil)[:16]
}

// Erased are the hashes of those who were erased from a book.
type Erased struct {
	at  map[string]time.Time
	b   *Book
	src foyer.SourceID
}

// Erased returns whom a source must not bring back.
func (b *Book) Erased(source foyer.SourceID) (*Erased, error) {
	e := &Erased{at: map[string]time.Time{}, b: b, src: source}
	err := b.t.each(`SELECT hash, erased_at FROM erased WHERE org = $1`, []any{b.Org.ID}, func(rows *sql.Rows) error {
		var hash []byte
		var at int64
		err := rows.Scan(&hash, &at)
		e.at[string(hash)] = fromMillis(at)
		return err
	})
	return e, err
}

// Empty tells whether nobody was erased.
func (e *Erased) Empty() bool { return e == nil || len(e.at) == 0 }

// When returns when the person of an email's key or of the source's id was erased; zero where nobody was.
func (e *Erased) When(key, id string) time.Time {
	if e.Empty() {
		return time.Time{}
	}
	if at, ok := e.at[string(e.b.store.erasedHash(e.b.Org.ID, key))]; ok || id == "" {
		return at
	}
	return e.at[string(e.b.store.erasedHash(e.b.Org.ID, idText(e.src, id)))]
}

// Forget lets files bring back the person of that email who was erased. foyer.NotFound where none was.
func (s *Store) Forget(ctx context.Context, caller foyer.Caller, org foyer.OrgID, key string) error {
	if err := caller.May(foyer.Administer, org); err != nil {
		return err
	}
	return s.transact(ctx, org, "forget the erasure", func(t *txn) error {
		forgotten, err := t.count(`DELETE FROM erased WHERE org = $1 AND run IN (SELECT run FROM erased WHERE org = $1 AND hash = $2)`, org, s.erasedHash(org, key))
		if err == nil && forgotten == 0 {
			return foyer.Errorf(foyer.NotFound, "nobody of the email %s was erased from this organization", key)
		}
		if err != nil {
			return err
		}
		if err := t.exec(`UPDATE book SET version = version + 1 WHERE org = $1`, org); err != nil {
			return err
		}
		connections, err := readConnections(t, org)
		for _, c := range connections { // which passed the person over
			if err == nil {
				err = readAnew(t, org, c.Source)
			}
		}
		if err != nil {
			return err
		}
		return s.audit(t, caller, org, "entry.forget", "", "")
	})
}
