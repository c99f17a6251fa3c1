package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"foyer"
)

// CreateSource makes a source. foyer.Conflict where the organization has one of that name.
func (s *Store) CreateSource(ctx context.Context, caller foyer.Caller, org foyer.OrgID, source foyer.Source) (foyer.Source, error) {
	err := s.changeSettings(ctx, caller, org, "source.create", func(t *txn) (target, detail string, err error) {
		source, err = createSource(t, s, org, source)
		return source.ID.String(), sourceDetail(&source), err
	})
	return source, err
}

func createSource(t *txn, s *Store, org foyer.OrgID, source foyer.Source) (foyer.Source, error) {
	source.Name = strings.TrimSpace(source.Name)
	if source.Name == "" {
		return source, foyer.Errorf(foyer.Invalid, "the name of the source is empty")
	}
	if err := checkName("a source", source.Name); err != nil {
		return source, err
	}
	var taken int
	if err := t.get(`SELECT COUNT(*) FROM source WHERE org = $1 AND name = $2`, []any{org, source.Name}, &taken); err != nil {
		return source, err
	}
	if taken > 0 {
		return source, foyer.Errorf(foyer.Conflict, "there is a source %q already; give another name", source.Name)
	}
	id, err := takeID(t, org, "next_source")
	if err != nil {
		return source, err
	}
	source.ID, source.CreatedAt = foyer.SourceID(id), s.clock()
	headers, err := json.Marshal(source.Headers)
	if err != nil {
		return source, err
	}
	if source.Guard == (foyer.Guard{}) {
		source.Guard = foyer.DefaultGuard()
	}
	guard, err := encodeGuard(source.Guard)
	if err != nil {
		return source, err
	}
	const q = `INSERT INTO source (org, id, name, kind, site, priority, created_at, leave_hand_made, windows_1252, headers, guard, expect)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`
	return source, t.exec(q, org, source.ID, source.Name, source.Kind, source.Site, source.Priority, millis(source.CreatedAt),
		flag(source.LeaveHandMade), flag(source.Windows1252), string(headers), guard, expectMillis(source.Expect))
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

// EditSource changes the settings of a source: all but its id, kind and site, which are for good. What decides rows makes every row count as new (R17).
func (s *Store) EditSource(ctx context.Context, caller foyer.Caller, org foyer.OrgID, id foyer.SourceID, edit func(*foyer.Source)) (source foyer.Source, err error) {
	err = s.changeSettings(ctx, caller, org, "source.edit", func(t *txn) (target, detail string, err error) {
		if source, err = readSource(t, org, id); err != nil {
			return "", "", err
		}
		edit(&source)
		source.Name = strings.TrimSpace(source.Name)
		if source.Name == "" {
			return "", "", foyer.Errorf(foyer.Invalid, "the name of the source is empty")
		}
		if err := checkName("a source", source.Name); err != nil {
			return "", "", err
		}
		var taken int
		if err := t.get(`SELECT COUNT(*) FROM source WHERE org = $1 AND name = $2 AND id <> $3`, []any{org, source.Name, id}, &taken); err != nil {
			return "", "", err
		}
		if taken > 0 {
			return "", "", foyer.Errorf(foyer.Conflict, "there is a source %q already; give another name", source.Name)
		}
		headers, err := json.Marshal(source.Headers)
		if err != nil {
			return "", "", err
		}
		guard, err := encodeGuard(source.Guard)
		if err != nil {
			return "", "", err
		}
		const q = `UPDATE source SET name = $1, priority = $2, leave_hand_made = $3, windows_1252 = $4, headers = $5, guard = $6, expect = $7 WHERE org = $8 AND id = $9`
		err = t.exec(q, source.Name, source.Priority, flag(source.LeaveHandMade), flag(source.Windows1252), string(headers), guard, expectMillis(source.Expect), org, id)
		return source.ID.String(), sourceDetail(&source), err
	})
	return source, err
}

// sourceDetail says for the audit what is set of a source.
func sourceDetail(source *foyer.Source) string {
	return fmt.Sprintf("site=%v priority=%d leave_hand_made=%v guard=%v", source.Site, source.Priority, source.LeaveHandMade, source.Guard)
}

// encodeGuard returns a guard as it is stored: the default as an empty text, so that it follows the program.
func encodeGuard(guard foyer.Guard) (string, error) {
	if guard == foyer.DefaultGuard() {
		return "", nil
	}
	text, err := json.Marshal(guard)
	return string(text), err
}

// expectMillis and fromExpect are how the interval of a source is stored: in milliseconds, -1 for foyer.Never.
func expectMillis(d time.Duration) int64 {
	if d < 0 {
		return -1
	}
	return d.Milliseconds()
}

func fromExpect(ms int64) time.Duration {
	if ms < 0 {
		return foyer.Never
	}
	return time.Duration(ms) * time.Millisecond
}

// Sources lists an organization's sources.
func (s *Store) Sources(ctx context.Context, caller foyer.Caller, org foyer.OrgID) (sources []foyer.Source, err error) {
	err = s.View(ctx, caller, org, func(b *Book) error {
		sources = b.Sources
		return nil
	})
	return sources, err
}

func readSources(t *txn, org foyer.OrgID) (sources []foyer.Source, err error) {
	const q = `SELECT id, name, kind, site, priority, created_at, leave_hand_made, windows_1252, headers, guard, ended_at, expect FROM source WHERE org = $1 ORDER BY id`
	err = t.each(q, []any{org}, func(rows *sql.Rows) error {
		var source foyer.Source
		var created, ended, expect int64
		var headers, guard []byte
		err := rows.Scan(&source.ID, &source.Name, &source.Kind, &source.Site, &source.Priority, &created, &source.LeaveHandMade, &source.Windows1252, &headers, &guard, &ended, &expect)
		if err != nil {
			return err
		}
		source.CreatedAt, source.EndedAt, source.Guard, source.Expect = fromMillis(created), fromMillis(ended), foyer.DefaultGuard(), fromExpect(expect)
		if len(guard) > 0 {
			if err := json.Unmarshal(guard, &source.Guard); err != nil {
				return err
			}
		}
		if err := json.Unmarshal(headers, &source.Headers); err != nil {
			return err
		}
		sources = append(sources, source)
		return nil
	})
	return sources, err
}

// defaultSource returns the CSV source that keys without a named source belong to: the organization's, or the site's; it is made once.
func (s *Store) defaultSource(t *txn, caller foyer.Caller, org foyer.OrgID, site foyer.SiteID) (foyer.Source, error) {
	name := "csv"
	if site != 0 {
		var siteName string
		err := t.get(`SELECT name FROM site WHERE org = $1 AND id = $2`, []any{org, site}, &siteName)
		if errors.Is(err, sql.ErrNoRows) {
			return foyer.Source{}, foyer.Errorf(foyer.NotFound, "there is no site %v", site)
		}
		if err != nil {
			return foyer.Source{}, err
		}
		name = "csv " + siteName
	}
	sources, err := readSources(t, org)
	if err != nil {
		return foyer.Source{}, err
	}
	for _, source := range sources {
		if source.Name == name && source.Kind == foyer.CSV && source.Site == site {
			return source, nil
		}
	}
	source, err := createSource(t, s, org, foyer.Source{Name: name, Kind: foyer.CSV, Site: site})
	if err != nil {
		return source, fmt.Errorf("make the default source: %w", err)
	}
	if err := t.exec(`UPDATE book SET version = version + 1, settings = settings + 1 WHERE org = $1`, org); err != nil {
		return source, err
	}
	return source, s.audit(t, caller, org, "source.create", source.ID.String(), sourceDetail(&source))
}
