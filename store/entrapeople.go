package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"unicode/utf8"

	"foyer"
	"foyer/match"
)

// What is known of a tenant's people is never seen in part, and yet no transaction is long: a reading writes rows under its own number, whatever it takes, and one last
// statement says that from now on they count. Of several rows of a person that of the newest whole reading counts; the others are swept away afterwards, or by the next reading.

// EntraItem is what a reading says of one person: what they have by now, or that they are gone.
type EntraItem struct {
	ID         string
	Gone       bool
	Whole      bool                       // all that is read of a person is in it; else only what changed
	Attributes map[string]json.RawMessage // null: it is empty by now
	Manager    *string                    // the id; "": none any more; nil: nothing is said
}

// EntraPerson is somebody of a tenant.
type EntraPerson struct {
	ID          string
	Attributes  map[string]json.RawMessage
	ManagerID   string
	ManagerMail string // in EntraPeople only; "" where the manager is not known
}

// onto returns what is known of a person after an item; nil: nobody. What it does not say stays.
func (item *EntraItem) onto(p *EntraPerson) *EntraPerson {
	if item.Gone {
		return nil
	}
	after := &EntraPerson{ID: item.ID, Attributes: map[string]json.RawMessage{}}
	if p != nil {
		after.ManagerID = p.ManagerID
		for name, value := range p.Attributes {
			if !item.Whole {
				after.Attributes[name] = value
			}
		}
	}
	for name, value := range item.Attributes {
		if len(value) == 0 || string(value) == "null" {
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

// check refuses ids that no directory has and not every database takes.
func (item *EntraItem) check() error {
	ids := []string{item.ID}
	if item.Manager != nil && *item.Manager != "" {
		ids = append(ids, *item.Manager)
	}
	for _, id := range ids {
		if id == "" || len(id) > maxName || !utf8.ValidString(id) || cleanLine(id) != id {
			return foyer.Errorf(foyer.Invalid, "the directory names somebody by an id that cannot be one: %.40q", id)
		}
	}
	return nil
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

// mailAttributes are those by which a person may be listed.
var mailAttributes = []string{"mail", "userPrincipalName"}

// mailKeys returns the emails by which a person may be listed, that by which they are found to be erased (R28) first.
func (p *EntraPerson) mailKeys() (keys []string) {
	for _, attribute := range mailAttributes {
		if key, err := match.Email(p.Text(attribute)); err == nil {
			keys = append(keys, string(key))
		}
	}
	return keys
}

// personRow is what one reading wrote of a person.
type personRow struct {
	id         string
	reading    int64
	gone       bool
	manager    string
	attributes string // JSON
}

const personColumns = `id, reading, gone, manager, attributes`

func scanPerson(rows *sql.Rows, more ...any) (r personRow, err error) {
	err = rows.Scan(append([]any{&r.id, &r.reading, &r.gone, &r.manager, &r.attributes}, more...)...)
	return r, err
}

// person returns who a row says is there; nil: nobody.
func (r *personRow) person() (*EntraPerson, error) {
	if r == nil || r.gone {
		return nil, nil
	}
	p := &EntraPerson{ID: r.id, ManagerID: r.manager, Attributes: map[string]json.RawMessage{}}
	return p, json.Unmarshal([]byte(r.attributes), &p.Attributes)
}

// rowsOf calls yield for the rows of some people.
func rowsOf(t *txn, org foyer.OrgID, source foyer.SourceID, ids []string, yield func(personRow)) error {
	for ids := range slices.Chunk(ids, t.dialect.size(lookupBatch, lookupMany)) {
		query, args := lookUp(t.dialect, personColumns, "entra_person", "org = ? AND source = ?", []any{org, source}, "id", ids)
		err := t.each(query, args, func(rows *sql.Rows) error {
			r, err := scanPerson(rows)
			if err == nil {
				yield(r)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// wholeReading returns the number of the newest reading of a tenant that is whole.
func wholeReading(t *txn, org foyer.OrgID, source foyer.SourceID) (reading int64, err error) {
	err = t.get(`SELECT reading FROM entra_connection WHERE org = $1 AND source = $2`, []any{org, source}, &reading)
	if errors.Is(err, sql.ErrNoRows) {
		err = foyer.Errorf(foyer.NotFound, "the source %v is no connection to a tenant; foyer entra status shows them", source)
	}
	return reading, err
}

// EntraKnown returns which of some people the store knows of a tenant: of others, a change alone says too little.
func (s *Store) EntraKnown(ctx context.Context, caller foyer.Caller, r *Reading, ids []string) (known map[string]bool, err error) {
	if err := caller.May(foyer.Operate, ""); err != nil {
		return nil, err
	}
	err = s.snapshot(ctx, r.Org.ID, "look for people", func(t *txn) error {
		whole, err := wholeReading(t, r.Org.ID, r.Connection.Source)
		if err != nil {
			return err
		}
		newest := map[string]personRow{}
		err = rowsOf(t, r.Org.ID, r.Connection.Source, ids, func(row personRow) {
			if row.reading <= whole && row.reading >= newest[row.id].reading {
				newest[row.id] = row
			}
		})
		known = map[string]bool{}
		for id, row := range newest {
			if !row.gone {
				known[id] = true
			}
		}
		return err
	})
	return known, err
}

// EntraPeople calls yield for everybody who is known of a tenant, by ascending id: as the newest reading said that is whole. A person is good until yield returns.
// foyer.NotFound where the source is no connection.
func (s *Store) EntraPeople(ctx context.Context, caller foyer.Caller, org foyer.OrgID, source foyer.SourceID, yield func(*EntraPerson) error) error {
	if err := caller.May(foyer.ConnectDirectory, org); err != nil {
		return err
	}
	return s.snapshot(ctx, org, "read the people of the tenant", func(t *txn) error {
		whole, err := wholeReading(t, org, source)
		if err != nil {
			return err
		}
		c, err := readConnection(t, org, source)
		if err != nil {
			return err
		}
		mails := managerMails{by: map[string]string{}, principals: c.Settings.PrincipalNames}
		return eachRow(t, org, source, whole, func(r *personRow, manager string) error {
			p, err := r.person()
			if err != nil || p == nil {
				return err
			}
			if p.ManagerMail, err = mails.of(p.ManagerID, manager); err != nil {
				return err
			}
			return yield(p)
		})
	})
}

// eachRow calls yield for the row of each person that counts up to a reading, by ascending id, and the attributes of the manager, "" where there is none.
func eachRow(t *txn, org foyer.OrgID, source foyer.SourceID, reading int64, yield func(r *personRow, manager string) error) error {
	const q = `SELECT ` + personColumns + `, COALESCE((SELECT CASE WHEN m.gone = 1 THEN '' ELSE m.attributes END FROM entra_person m
			WHERE m.org = $1 AND m.source = $2 AND m.id = p.manager AND m.reading <= $3 ORDER BY m.reading DESC LIMIT 1), '')
		FROM entra_person p WHERE org = $1 AND source = $2 AND reading <= $3 ORDER BY id, reading`
	var last *personRow
	var managers string
	flush := func() error {
		if last == nil {
			return nil
		}
		return yield(last, managers)
	}
	err := t.each(q, []any{org, source, reading}, func(rows *sql.Rows) error {
		var manager string
		r, err := scanPerson(rows, &manager)
		if err == nil && last != nil && last.id != r.id {
			err = flush()
		}
		last, managers = &r, manager
		return err
	})
	if err != nil {
		return err
	}
	return flush()
}

// managerMails finds the emails under which managers are listed: each is a manager of many.
type managerMails struct {
	by         map[string]string
	principals bool // who has no mail is listed by userPrincipalName
}

func (m *managerMails) of(id, attributes string) (mail string, err error) {
	if id == "" || attributes == "" {
		return "", nil
	}
	if mail, ok := m.by[id]; ok {
		return mail, nil
	}
	r := personRow{id: id, attributes: attributes}
	p, err := r.person()
	if err != nil {
		return "", err
	}
	if mail = p.Text("mail"); mail == "" && m.principals {
		mail = p.Text("userPrincipalName")
	}
	m.by[id] = mail
	return mail, nil
}
