package store

import (
	"fmt"
	"testing"

	"foyer"
)

// TestPostgres_ReadsWhatItLooksUp holds that looking some rows up reads these and no others in a table that PostgreSQL knows nothing of yet, as it is right after a first load.
func TestPostgres_ReadsWhatItLooksUp(t *testing.T) {
	s := openTest(t)
	if s.dialect != postgresDialect {
		t.Skip("SQLite has one way to a key")
	}
	const all, wanted = 20_000, 100
	err := s.transact(t.Context(), "o", "test", func(tx *txn) error {
		for _, statement := range []string{
			`INSERT INTO entry (org, ` + newColumns + `) SELECT 'o', n, 'p' || n, '', '', '', '', '', '', '', '', '', '', '', '', '', 1, '' FROM generate_series(1, %d) AS n`,
			`INSERT INTO address (org, email, entry, alias) SELECT 'o', 'p' || n, n, 0 FROM generate_series(1, %d) AS n`,
			`INSERT INTO external_id (org, source, external_id, entry) SELECT 'o', 1, 'p' || n, n FROM generate_series(1, %d) AS n`,
			`INSERT INTO claim_chunk (org, source, first, claims) SELECT 'o', 1, n, '' FROM generate_series(1, %d) AS n`,
		} {
			if err := tx.exec(fmt.Sprintf(statement, all)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var ids []foyer.EntryID
	var keys []string
	for i := range wanted {
		id := foyer.EntryID(1 + i*all/wanted)
		ids, keys = append(ids, id), append(keys, fmt.Sprint("p", int(id)))
	}
	for what, ask := range map[string]func(*Book, func()) error{
		"entry":       func(b *Book, got func()) error { return b.Entries(ids, func(*foyer.Entry) error { got(); return nil }) },
		"address":     func(b *Book, got func()) error { return b.Addresses(keys, func(string, foyer.Address) { got() }) },
		"external_id": func(b *Book, got func()) error { return b.EntryOfID(1, keys, func(string, foyer.EntryID) { got() }) },
		"claim_chunk": func(b *Book, got func()) error {
			chunk, err := (&chunkReader{t: b.t, org: "o", source: 1}).seek(all/2 + 1)
			for range wanted {
				if chunk.first == all/2+1 {
					got()
				}
			}
			return err
		},
	} {
		err := s.snapshot(t.Context(), "o", "test", func(tx *txn) error {
			found, read := 0, 0
			if err := ask(&Book{Org: foyer.Org{ID: "o"}, t: tx}, func() { found++ }); err != nil {
				return err
			}
			const q = `SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = $1 AND schemaname = current_schema()`
			if err := tx.get(q, []any{what}, &read); err != nil {
				return err
			}
			if found != wanted || read > wanted {
				t.Errorf("%s: found %d of %d and read %d rows", what, found, wanted, read)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
