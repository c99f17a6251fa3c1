package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"

	"foyer"
	"foyer/vault"
)

// checkAtRest compares the keys at rest with those that the database was used with, and notes new ones. A node with another key refuses to start.
func (s *Store) checkAtRest(ctx context.Context) error {
	numbers, err := s.vault.AtRest()
	if err != nil {
		return err
	}
	for _, n := range numbers {
		check, err := s.vault.AtRestCheck(n)
		if err != nil {
			return err
		}
		kept, err := s.noted(ctx, "at_rest_"+strconv.Itoa(n), check)
		if err != nil {
			return err
		}
		if kept != check {
			return fmt.Errorf("%w: the key at rest number %d is another one than this database was used with: put its keys/at-rest (or FOYER_AT_REST) back", ErrOtherKeys, n)
		}
	}
	return nil
}

// sealedPart names something sealed.
type sealedPart struct {
	org  foyer.OrgID
	run  foyer.RunID
	kind string
	part int
}

// sealed returns what is sealed under another key at rest than that one, of all organizations.
func (s *Store) sealed(ctx context.Context, but int) (parts []sealedPart, err error) {
	err = s.snapshot(ctx, everyOrg, "find what is sealed", func(t *txn) error {
		return t.each(`SELECT org, run, kind, part, substr(data, 1, 2) FROM held_chunk`, nil, func(rows *sql.Rows) error {
			var p sealedPart
			var head []byte
			err := rows.Scan(&p.org, &p.run, &p.kind, &p.part, &head)
			if vault.SealedUnder(head) != but {
				parts = append(parts, p)
			}
			return err
		})
	})
	return parts, err
}

// Reseal seals anew, under the newest key at rest, whatever is sealed under another, and returns how many parts that were.
func (s *Store) Reseal(ctx context.Context, caller foyer.Caller) (int, error) {
	if err := caller.May(foyer.Operate, ""); err != nil {
		return 0, err
	}
	numbers, err := s.vault.AtRest()
	if err != nil {
		return 0, err
	}
	parts, err := s.sealed(ctx, numbers[len(numbers)-1])
	if err != nil {
		return 0, err
	}
	app, err := s.resealEntraApp(ctx, numbers[len(numbers)-1])
	if err != nil {
		return 0, err
	}
	for _, p := range parts {
		if err := s.beside(ctx, p.org, "seal anew", func(t *txn) error { return s.reseal(t, p) }); err != nil {
			return 0, err
		}
	}
	return len(parts) + app, s.checkAtRest(ctx)
}

func (s *Store) reseal(t *txn, p sealedPart) error {
	where := []any{p.org, p.run, p.kind, p.part}
	var data []byte
	err := t.get(`SELECT data FROM held_chunk WHERE org = $1 AND run = $2 AND kind = $3 AND part = $4`+t.dialect.locked(), where, &data)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // it was decided on meanwhile
	}
	if err != nil {
		return err
	}
	identity := heldIdentity(p.org, p.run, p.kind, p.part)
	plain, err := s.vault.Open(identity, data)
	if err != nil {
		return err
	}
	sealed, err := s.vault.Seal(identity, plain)
	if err != nil {
		return err
	}
	return t.exec(`UPDATE held_chunk SET data = $5 WHERE org = $1 AND run = $2 AND kind = $3 AND part = $4`, append(where, sealed)...)
}

// DropAtRest removes the keys at rest under which nothing is sealed any more, but for the newest, and returns their numbers.
func (s *Store) DropAtRest(ctx context.Context, caller foyer.Caller) (dropped []int, err error) {
	if err := caller.May(foyer.Operate, ""); err != nil {
		return nil, err
	}
	numbers, err := s.vault.AtRest()
	if err != nil {
		return nil, err
	}
	newest := numbers[len(numbers)-1]
	left, err := s.sealed(ctx, newest)
	if err != nil {
		return nil, err
	}
	under, err := s.entraAppUnder(ctx)
	if err != nil {
		return nil, err
	}
	if len(left) > 0 || under != 0 && under != newest {
		return nil, foyer.Errorf(foyer.Conflict, "%d parts of held runs, or the application at Microsoft, are sealed under an older key still; run: foyer vault rotate", len(left))
	}
	for _, n := range numbers[:len(numbers)-1] {
		if err := s.vault.DropAtRest(n); err != nil {
			return dropped, err
		}
		if _, err := s.write.ExecContext(ctx, `DELETE FROM meta WHERE name = $1`, "at_rest_"+strconv.Itoa(n)); err != nil {
			return dropped, s.busy("forget the key", err)
		}
		dropped = append(dropped, n)
	}
	return dropped, nil
}
