package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"foyer"
	"foyer/match"
)

// Reading is one reading of a tenant, by one process at a time.
type Reading struct {
	Org        foyer.Org
	Connection foyer.Connection
	Delta      string // where it begins; "": with everybody
	lease      string
}

// ReadingLease is how long a process may be silent before another one may read the tenant.
const ReadingLease = 10 * time.Minute

// TakeReading gives the caller a tenant that is due; nil where none is. It is this process's until EndReading, or until it was silent for ReadingLease.
func (s *Store) TakeReading(ctx context.Context, caller foyer.Caller) (r *Reading, err error) {
	if err := caller.May(foyer.Operate, ""); err != nil {
		return nil, err
	}
	type due struct {
		org    foyer.OrgID
		source foyer.SourceID
	}
	var all []due
	err = s.snapshot(ctx, everyOrg, "look for tenants that are due", func(t *txn) error {
		const q = `SELECT org, source FROM entra_connection WHERE state IN ($1, $2) AND next_at <= $3 AND leased_until <= $3 ORDER BY next_at LIMIT 20`
		return t.each(q, []any{foyer.Confirming, foyer.Connected, millis(t.now)}, func(rows *sql.Rows) error {
			var d due
			err := rows.Scan(&d.org, &d.source)
			all = append(all, d)
			return err
		})
	})
	for _, d := range all {
		if err != nil {
			return nil, err
		}
		if r, err = s.takeReading(ctx, d.org, d.source); r != nil {
			return r, err
		}
	}
	return nil, err
}

func (s *Store) takeReading(ctx context.Context, org foyer.OrgID, source foyer.SourceID) (r *Reading, err error) {
	err = s.beside(ctx, org, "take the tenant", func(t *txn) error {
		lease := rand.Text()
		const q = `UPDATE entra_connection SET lease = $1, leased_until = $2 WHERE org = $3 AND source = $4 AND state IN ($5, $6) AND next_at <= $7 AND leased_until <= $7`
		n, err := t.count(q, lease, millis(t.now.Add(ReadingLease)), org, source, foyer.Confirming, foyer.Connected, millis(t.now))
		if err != nil || n == 0 {
			return err
		}
		taken := &Reading{lease: lease}
		if taken.Org, err = readOrg(t, org); err != nil {
			return err
		}
		if taken.Connection, err = readConnection(t, org, source); err != nil {
			return err
		}
		r = taken
		return t.get(`SELECT delta FROM entra_connection WHERE org = $1 AND source = $2`, []any{org, source}, &r.Delta)
	})
	return r, err
}

// errLost says that a reading is another process's by now, or that the connection was changed meanwhile.
var errLost = foyer.Errorf(foyer.Conflict, "the connection was changed while it was read; it is read again")

// hold extends the lease of a reading, and fails where it is lost.
func (r *Reading) hold(t *txn) error {
	n, err := t.count(`UPDATE entra_connection SET leased_until = $1 WHERE org = $2 AND source = $3 AND lease = $4`, millis(t.now.Add(ReadingLease)), r.Org.ID, r.Connection.Source, r.lease)
	if err == nil && n == 0 {
		err = errLost
	}
	return err
}

// HoldReading says that a reading goes on. foyer.Conflict where it is another process's by now.
func (s *Store) HoldReading(ctx context.Context, caller foyer.Caller, r *Reading) error {
	if err := caller.May(foyer.Operate, ""); err != nil {
		return err
	}
	return s.beside(ctx, r.Org.ID, "go on reading", r.hold)
}

// EntraItem is what a reading says of one person: what they have by now, or that they are gone.
type EntraItem struct {
	ID         string
	Gone       bool
	Whole      bool                       // all that is read of a person is in it; else only what changed
	Attributes map[string]json.RawMessage // null: it is empty by now
	Manager    *string                    // the id; "": none any more; nil: nothing is said
}

// EntraKnown returns which of some people the store knows of a tenant: of others, a change alone says too little.
func (s *Store) EntraKnown(ctx context.Context, caller foyer.Caller, r *Reading, ids []string) (known map[string]bool, err error) {
	if err := caller.May(foyer.Operate, ""); err != nil {
		return nil, err
	}
	known = map[string]bool{}
	err = s.snapshot(ctx, r.Org.ID, "look for people", func(t *txn) error {
		return eachPerson(t, r.Org.ID, r.Connection.Source, ids, func(p *EntraPerson) error {
			known[p.ID] = true
			return nil
		})
	})
	return known, err
}

// EntraPerson is somebody of a tenant.
type EntraPerson struct {
	ID          string
	Attributes  map[string]json.RawMessage
	ManagerID   string
	ManagerMail string // in EntraPeople only; "" where the manager is not known
}

// eachPerson calls yield for each of some people that is known.
func eachPerson(t *txn, org foyer.OrgID, source foyer.SourceID, ids []string, yield func(*EntraPerson) error) error {
	for ids := range slices.Chunk(ids, lookupBatch) {
		query, args := lookUp(t.dialect, "id, attributes, manager", "entra_person", "org = ? AND source = ?", []any{org, source}, "id", ids)
		var found []*EntraPerson // the result is read to its end before any of it is used: yield may need the connection
		err := t.each(query, args, func(rows *sql.Rows) error {
			p := &EntraPerson{Attributes: map[string]json.RawMessage{}}
			var attributes []byte
			if err := rows.Scan(&p.ID, &attributes, &p.ManagerID); err != nil {
				return err
			}
			found = append(found, p)
			return json.Unmarshal(attributes, &p.Attributes)
		})
		for _, p := range found {
			if err == nil {
				err = yield(p)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// StoreReading stores what a reading found once it came to its end: after a full one nobody else is known any more. items are stored in their order, whole or not at all.
// delta is where the next one begins. It tells whether that changed what is known.
func (s *Store) StoreReading(ctx context.Context, caller foyer.Caller, r *Reading, full bool, delta string, items func(yield func([]EntraItem) error) error) (changed bool, err error) {
	if err := caller.May(foyer.Operate, ""); err != nil {
		return false, err
	}
	err = s.beside(ctx, r.Org.ID, "store what was read", func(t *txn) error {
		if err := r.hold(t); err != nil {
			return err
		}
		w := personWriter{t: t, org: r.Org.ID, source: r.Connection.Source, reading: t.now.UnixNano(), full: full}
		if err := items(w.write); err != nil {
			return err
		}
		if full {
			n, err := t.count(`DELETE FROM entra_person WHERE org = $1 AND source = $2 AND reading <> $3`, w.org, w.source, w.reading)
			if err != nil {
				return err
			}
			w.changed = w.changed || n > 0
		}
		changed = w.changed
		people := 0
		if err := t.get(`SELECT COUNT(*) FROM entra_person WHERE org = $1 AND source = $2`, []any{w.org, w.source}, &people); err != nil {
			return err
		}
		const q = `UPDATE entra_connection SET delta = $1, people = $2, version = version + $3 WHERE org = $4 AND source = $5`
		return t.exec(q, delta, people, flag(changed), w.org, w.source)
	})
	return changed, err
}

// personWriter writes what a reading says of people.
type personWriter struct {
	t       *txn
	org     foyer.OrgID
	source  foyer.SourceID
	reading int64
	full    bool
	changed bool
}

// write writes some items, of which a later one of the same person goes on from the earlier.
func (w *personWriter) write(items []EntraItem) error {
	ids := make([]string, len(items))
	for i, item := range items {
		ids[i] = item.ID
	}
	before, now := map[string]*EntraPerson{}, map[string]*EntraPerson{}
	err := eachPerson(w.t, w.org, w.source, ids, func(p *EntraPerson) error {
		before[p.ID] = p
		now[p.ID] = p
		return nil
	})
	if err != nil {
		return err
	}
	for _, item := range items {
		now[item.ID] = item.onto(now[item.ID])
	}
	for _, id := range slices.Sorted(maps.Keys(now)) {
		if err := w.put(id, before[id], now[id]); err != nil {
			return err
		}
	}
	return nil
}

// onto returns what is known of a person after an item; nil: nobody. What it does not say stays.
func (item *EntraItem) onto(p *EntraPerson) *EntraPerson {
	if item.Gone {
		return nil
	}
	after := &EntraPerson{ID: item.ID, Attributes: map[string]json.RawMessage{}}
	if p != nil {
		after.ManagerID = p.ManagerID
		if !item.Whole {
			maps.Copy(after.Attributes, p.Attributes)
		}
	}
	for name, value := range item.Attributes {
		if string(value) == "null" {
			delete(after.Attributes, name)
		} else {
			after.Attributes[name] = value
		}
	}
	if item.Manager != nil {
		after.ManagerID = *item.Manager
	}
	return after
}

func (w *personWriter) put(id string, before, now *EntraPerson) error {
	if now == nil {
		w.changed = w.changed || before != nil
		return w.t.exec(`DELETE FROM entra_person WHERE org = $1 AND source = $2 AND id = $3`, w.org, w.source, id)
	}
	attributes, err := json.Marshal(now.Attributes)
	if err != nil {
		return err
	}
	same := false
	if before != nil {
		was, err := json.Marshal(before.Attributes)
		if err != nil {
			return err
		}
		same = string(was) == string(attributes) && before.ManagerID == now.ManagerID
	}
	if same && !w.full {
		return nil
	}
	w.changed = w.changed || !same
	const q = `INSERT INTO entra_person (org, source, id, mail, manager, attributes, reading) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (org, source, id) DO UPDATE SET mail = excluded.mail, manager = excluded.manager, attributes = excluded.attributes, reading = excluded.reading`
	return w.t.exec(q, w.org, w.source, id, now.mailKey(), now.ManagerID, string(attributes), w.reading)
}

// Text returns an attribute that is a text, or the first of a list of texts; "" where it is empty.
func (p *EntraPerson) Text(attribute string) string {
	var text string
	if json.Unmarshal(p.Attributes[attribute], &text) == nil {
		return text
	}
	var list []string
	if json.Unmarshal(p.Attributes[attribute], &list) == nil && len(list) > 0 {
		return list[0]
	}
	return ""
}

// mailKey returns by which email a person is found, to be erased (R28).
func (p *EntraPerson) mailKey() string {
	for _, attribute := range []string{"mail", "userPrincipalName"} {
		if key, err := match.Email(p.Text(attribute)); err == nil {
			return string(key)
		}
	}
	return ""
}

// EntraPeople calls yield for everybody who is known of a tenant, by ascending id. A person is good until yield returns.
func (s *Store) EntraPeople(ctx context.Context, caller foyer.Caller, org foyer.OrgID, source foyer.SourceID, yield func(*EntraPerson) error) error {
	if err := caller.May(foyer.ConnectDirectory, org); err != nil {
		return err
	}
	return s.snapshot(ctx, org, "read the people of the tenant", func(t *txn) error {
		const q = `SELECT p.id, p.attributes, p.manager, COALESCE(m.attributes, '') FROM entra_person p
			LEFT JOIN entra_person m ON m.org = p.org AND m.source = p.source AND m.id = p.manager WHERE p.org = $1 AND p.source = $2 ORDER BY p.id`
		return t.each(q, []any{org, source}, func(rows *sql.Rows) error {
			p := EntraPerson{Attributes: map[string]json.RawMessage{}}
			var attributes, manager []byte
			if err := rows.Scan(&p.ID, &attributes, &p.ManagerID, &manager); err != nil {
				return err
			}
			if err := json.Unmarshal(attributes, &p.Attributes); err != nil {
				return err
			}
			if len(manager) > 0 {
				m := EntraPerson{Attributes: map[string]json.RawMessage{}}
				if err := json.Unmarshal(manager, &m.Attributes); err != nil {
					return err
				}
				p.ManagerMail = m.Text("mail")
			}
			return yield(&p)
		})
	})
}

// ReadingEnd is how a reading ended.
type ReadingEnd struct {
	State    foyer.ConnectionState // that the connection is in from now on; "": as before
	Next     time.Time             // when it is read next
	Problem  string                // what is wrong and what to do; "": it went well
	Failures int                   // how many failed by now, one after the other
	Forget   bool                  // the next one begins with everybody
	Alert    foyer.AlertKind       // which alert it raises; "": none, and those that are open are over
	Title    string                // of the alert: what happened, in a few words
	Cure     string                // what to do
}

// EndReading notes how a reading ended, and lets the connection go. A reading that is lost is none.
func (s *Store) EndReading(ctx context.Context, caller foyer.Caller, r *Reading, e ReadingEnd) error {
	if err := caller.May(foyer.Operate, ""); err != nil {
		return err
	}
	return s.transact(ctx, r.Org.ID, "end the reading", func(t *txn) error {
		org, source := r.Org.ID, r.Connection.Source
		err := r.hold(t)
		if errors.Is(err, errLost) {
			return nil
		}
		if err != nil {
			return err
		}
		now, err := readConnection(t, org, source)
		if err != nil {
			return err
		}
		if e.State != "" && now.State.Reads() { // nobody paused it meanwhile
			now.State = e.State
		}
		checked := millis(now.CheckedAt)
		if e.Problem == "" {
			checked = millis(t.now)
		}
		if now.NextAt.After(r.Connection.NextAt) || now.NextAt.Before(r.Connection.NextAt) { // somebody asked for another time meanwhile
			e.Next = now.NextAt
		}
		const q = `UPDATE entra_connection SET state = $1, next_at = $2, problem = $3, failures = $4, checked_at = $5, lease = '', leased_until = 0, delta = CASE WHEN $6 = 1 THEN '' ELSE delta END
			WHERE org = $7 AND source = $8`
		if err := t.exec(q, now.State, millis(e.Next), e.Problem, e.Failures, checked, flag(e.Forget), org, source); err != nil {
			return err
		}
		return alertReading(t, org, source, e)
	})
}

// alertReading opens and closes the alerts that follow from how a reading ended (R27).
func alertReading(t *txn, org foyer.OrgID, id foyer.SourceID, e ReadingEnd) error {
	for _, kind := range []foyer.AlertKind{foyer.AlertUnread, foyer.AlertDisconnected} {
		if kind == e.Alert || e.Problem != "" && e.Alert == "" {
			continue
		}
		if err := closeAlert(t, org, foyer.AlertCause(kind, id), ending{t.now, "the directory was read again"}); err != nil {
			return err
		}
	}
	if e.Alert == "" {
		return nil
	}
	source, err := readSource(t, org, id)
	if err != nil {
		return err
	}
	a := sourceAlert(e.Alert, source, 0, t.now)
	a.Title, a.Message, a.Cure = fmt.Sprintf("%q %s", source.Name, e.Title), e.Problem, e.Cure
	return openAlert(t, org, a)
}
