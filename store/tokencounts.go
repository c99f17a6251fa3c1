package store

import (
	"context"
	"database/sql"
	"time"

	"foyer"
)

// TokenCount is how many tokens were issued and refused to a key from an address within a minute.
type TokenCount struct {
	Org     foyer.OrgID
	Key     foyer.KeyID
	Minute  time.Time
	Address string // "others" where there were too many
	Issued  int64
	Refused int64
}

// keepCounts is how long they are kept.
const keepCounts = 90 * 24 * time.Hour

// minuteOf is how their minute is stored.
func minuteOf(t time.Time) int64 { return t.Unix() / 60 }

// CountTokens adds to the counts of an organization, all or none. Counts of keys that are not there are passed over. It takes no caller: it is about who asked to become one.
func (s *Store) CountTokens(ctx context.Context, org foyer.OrgID, counts []TokenCount) error {
	return s.beside(ctx, org, "count the tokens", func(t *txn) error {
		for _, c := range counts {
			const q = `INSERT INTO token_count (org, key, minute, address, issued, refused)
				SELECT $1, $2, $3, $4, $5, $6 WHERE EXISTS (SELECT 1 FROM client_key WHERE org = $1 AND id = $2)
				ON CONFLICT (org, key, minute, address) DO UPDATE SET issued = token_count.issued + excluded.issued, refused = token_count.refused + excluded.refused`
			if err := t.exec(q, org, c.Key, minuteOf(c.Minute), c.Address, c.Issued, c.Refused); err != nil {
				return err
			}
		}
		return nil
	})
}

// TokenCounts returns the counts of a key since a time, summed up by address, those with the most tokens first.
func (s *Store) TokenCounts(ctx context.Context, caller foyer.Caller, org foyer.OrgID, key foyer.KeyID, since time.Time) (counts []TokenCount, err error) {
	if err := caller.May(foyer.Administer, org); err != nil {
		return nil, err
	}
	err = s.snapshot(ctx, org, "read the counts of tokens", func(t *txn) error {
		const q = `SELECT address, SUM(issued), SUM(refused) FROM token_count WHERE org = $1 AND key = $2 AND minute >= $3 GROUP BY address ORDER BY 2 DESC, 3 DESC, 1`
		return t.each(q, []any{org, key, minuteOf(since)}, func(rows *sql.Rows) error {
			c := TokenCount{Org: org, Key: key, Minute: since}
			err := rows.Scan(&c.Address, &c.Issued, &c.Refused)
			counts = append(counts, c)
			return err
		})
	})
	return counts, err
}
