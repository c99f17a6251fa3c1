package store

import (
	"context"
	"database/sql"
	"errors"

	"foyer"
)

// Entries calls yield for every entry of an organization, by ascending id.
func (s *Store) Entries(ctx context.Context, caller foyer.Caller, org foyer.OrgID, yield func(*foyer.Entry) error) error {
	if err := caller.May(foyer.ReadBook, org); err != nil {
		return err
	}
	return s.snapshot(ctx, org, "list the entries", func(t *txn) error {
		return t.each(`SELECT `+allColumns+` FROM entry WHERE org = $1 ORDER BY id`, []any{org}, func(rows *sql.Rows) error {
			e, err := scanEntry(rows)
			if err != nil {
				return err
			}
			return yield(e)
		})
	})
}

// FindEntry returns the entry of an id, or that an email's key (R1) means, as its current email or an alias; foyer.NotFound where there is none.
func (b *Book) FindEntry(id foyer.EntryID, key string) (entry *foyer.Entry, err error) {
	if id == 0 {
		var a foyer.Address
		err := b.t.get(`SELECT entry, alias FROM address WHERE org = $1 AND email = $2`, []any{b.Org.ID, key}, &a.Entry, &a.Alias)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, err
		}
		id = a.Entry
	}
	err = b.Entries([]foyer.EntryID{id}, func(e *foyer.Entry) error {
		entry = e
		return nil
	})
	if err == nil && entry == nil {
		err = foyer.Errorf(foyer.NotFound, "there is no such entry in this organization; foyer entry list shows them")
	}
	return entry, err
}

// Aliases returns the keys of an entry's earlier emails.
func (b *Book) Aliases(id foyer.EntryID) (keys []string, err error) {
	err = b.t.each(`SELECT email FROM address WHERE org = $1 AND entry = $2 AND alias = 1 ORDER BY email`, []any{b.Org.ID, id}, func(rows *sql.Rows) error {
		var key string
		err := rows.Scan(&key)
		keys = append(keys, key)
		return err
	})
	return keys, err
}

// History returns what happened to an entry, the newest first, as far back as the log goes.
func (b *Book) History(e *foyer.Entry) (acts []*foyer.Run, changes []*foyer.Change, err error) {
	for run := e.LastRun; run != 0; {
		change, err := changeOf(b.t, b.Org.ID, run, e.ID)
		if err != nil || change == nil {
			return acts, changes, err
		}
		act, err := readRun(b.t, b.Org.ID, run)
		if err != nil {
			return nil, nil, err
		}
		acts, changes = append(acts, act), append(changes, change)
		run = change.Prev
	}
	return acts, changes, nil
}
