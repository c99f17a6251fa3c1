package store

import (
	"bytes"
	"database/sql"
	"slices"
	"time"

	"foyer"
)

// Loss is an entry that a run of a source took away: disabled, or taken off sites.
type Loss struct {
	Entry foyer.EntryID
	Sites []foyer.SiteID // it lost these and stayed as it was; none: it was disabled
	Moved bool           // not by absence: the source listed it at other sites, and at none of those that it had
}

// Losses returns whom the runs of a source took away since a time and since the last run of it that was approved, by ascending entry.
// Of an entry that was taken away twice the last loss counts.
func (b *Book) Losses(source foyer.SourceID, since time.Time) ([]Loss, error) {
	const approved = `SELECT COALESCE(MAX(id), 0) FROM run WHERE org = $1 AND source = $2 AND status = 'applied' AND of_run > 0`
	var after foyer.RunID
	if err := b.t.get(approved, []any{b.Org.ID, source}, &after); err != nil {
		return nil, err
	}
	lost := map[foyer.EntryID]Loss{}
	const q = `SELECT c.changes FROM run r JOIN change_chunk c ON c.org = r.org AND c.run = r.id
		WHERE r.org = $1 AND r.source = $2 AND r.id > $3 AND r.finished_at >= $4 AND r.status = 'applied' ORDER BY r.id, c.first`
	err := b.t.each(q, []any{b.Org.ID, source, after, millis(since)}, func(rows *sql.Rows) error {
		var chunk sql.RawBytes
		if err := rows.Scan(&chunk); err != nil {
			return err
		}
		return lossesOf(chunk, source, lost)
	})
	all := make([]Loss, 0, len(lost))
	for _, loss := range lost {
		all = append(all, loss)
	}
	slices.SortFunc(all, func(a, b Loss) int { return int(a.Entry - b.Entry) })
	return all, err
}

func lossesOf(chunk []byte, source foyer.SourceID, lost map[foyer.EntryID]Loss) error {
	for line := range bytes.Lines(chunk) {
		disabled := bytes.Contains(line, []byte(`"status":["enabled"`))
		if !disabled && (!bytes.Contains(line, []byte(`"sites":`)) || bytes.Contains(line, []byte(`"new":`))) {
			continue
		}
		c, err := parseChange(line)
		if err != nil {
			return err
		}
		if loss, ok := LossOf(&c, source); ok {
			lost[c.Entry] = loss
		}
	}
	return nil
}

// LossOf tells whether a change takes its entry away: it is disabled, or a source's absence takes it off sites, or its listing off all that it had (R21).
func LossOf(c *foyer.Change, source foyer.SourceID) (Loss, bool) {
	loss := Loss{Entry: c.Entry}
	if s := c.Status; !c.Removed && s != nil && s[0].Enabled && !s[1].Enabled {
		return loss, true
	}
	if c.Sites == nil || c.Added || c.Removed || c.Status != nil {
		return loss, false
	}
	absent := slices.ContainsFunc(c.Claims, func(claim foyer.ClaimChange) bool { return claim.Source == source && claim.After == nil })
	if !absent && c.HandSites == nil {
		kept := slices.ContainsFunc(c.Sites[0], func(site foyer.SiteID) bool { return slices.Contains(c.Sites[1], site) })
		if kept || len(c.Sites[1]) == 0 {
			return loss, false
		}
		loss.Moved = true
	}
	for _, site := range c.Sites[0] {
		if !slices.Contains(c.Sites[1], site) {
			loss.Sites = append(loss.Sites, site)
		}
	}
	return loss, len(loss.Sites) > 0
}

// ListedDisabled returns the ids of the disabled entries that some source lists, ascending.
func (b *Book) ListedDisabled() ([]foyer.EntryID, error) {
	return b.ids(`SELECT id FROM entry WHERE org = $1 AND claimed_by <> '' AND enabled = 0 ORDER BY id`, b.Org.ID)
}

// CountHandMade returns how many enabled hand-made entries the absence of a source of that site (0: of the whole organization) could disable.
func (b *Book) CountHandMade(site foyer.SiteID) (n int, err error) {
	const q = `SELECT COUNT(*) FROM entry WHERE org = $1 AND claimed_by = '' AND enabled = 1 AND permanent = 0
		AND ($2 = 0 OR ' ' || hand_sites || ' ' LIKE '% ' || $2 || ' %')`
	return n, b.t.get(q, []any{b.Org.ID, site}, &n)
}

// KeepsEnded returns the ids of the entries of which a keep came to its end by now, ascending (R6).
func (b *Book) KeepsEnded() ([]foyer.EntryID, error) {
	return b.ids(`SELECT id FROM entry WHERE org = $1 AND keep_end > 0 AND keep_end <= $2 ORDER BY id`, b.Org.ID, millis(b.store.clock()))
}

func (b *Book) ids(query string, args ...any) (ids []foyer.EntryID, err error) {
	err = b.t.each(query, args, func(rows *sql.Rows) error {
		var id foyer.EntryID
		if err := rows.Scan(&id); err != nil {
			return err
		}
		ids = append(ids, id)
		return nil
	})
	return ids, err
}
