package store

import (
	"database/sql"
	"slices"

	"foyer"
)

// What tenants say of a person goes with the person (R28), and is not kept again when a tenant names them anew.

// erasedPeople tells who was erased from the book of an organization.
type erasedPeople struct {
	s      *Store
	org    foyer.OrgID
	source foyer.SourceID
	hashes map[string]bool
}

// erased returns who was erased, by now: the row of the connection, which an erasure takes too, is this transaction's.
func (w *personWriter) erased(t *txn) (*erasedPeople, error) {
	e := &erasedPeople{w.s, w.r.Org.ID, w.r.Connection.Source, map[string]bool{}}
	err := t.each(`SELECT hash FROM erased WHERE org = $1`, []any{e.org}, func(rows *sql.Rows) error {
		var hash []byte
		err := rows.Scan(&hash)
		e.hashes[string(hash)] = true
		return err
	})
	return e, err
}

func (e *erasedPeople) has(text string) bool { return e.hashes[string(e.s.erasedHash(e.org, text))] }

// without returns what may be kept of a person: nil where they were erased, and no manager who was.
func (e *erasedPeople) without(p *EntraPerson) *EntraPerson {
	if p == nil || len(e.hashes) == 0 {
		return p
	}
	if e.has(idText(e.source, p.ID)) || slices.ContainsFunc(p.mailKeys(), e.has) {
		return nil
	}
	if p.ManagerID != "" && e.has(idText(e.source, p.ManagerID)) {
		p.ManagerID = ""
	}
	return p
}

// collectEntra finds the person among those whom tenants named: by an email, or by the source's id.
func (e *erasure) collectEntra(found *bool) error {
	type at struct {
		source foyer.SourceID
		row    personRow
	}
	var mine []at
	var mails sieve
	for key := range e.keys {
		mails.add(keyText(key))
	}
	err := e.t.each(`SELECT source, id, attributes FROM entra_person WHERE org = $1`, []any{e.org}, func(rows *sql.Rows) error {
		var source foyer.SourceID
		var id string
		var attributes sql.RawBytes
		if err := rows.Scan(&source, &id, &attributes); err != nil {
			return err
		}
		known := e.ids[foyer.ExternalID{Source: source, ID: id}]
		if !known && !mails.passes(attributes) {
			return nil
		}
		row := personRow{id: id, attributes: string(attributes)}
		p, err := row.person()
		if err == nil && (known || slices.ContainsFunc(p.mailKeys(), func(key string) bool { return e.keys[key] })) {
			mine = append(mine, at{source, row})
		}
		return err
	})
	for _, m := range mine {
		if err == nil {
			*found = true
			err = e.collectPerson(m.source, &m.row)
		}
	}
	return err
}

// collectPerson notes what a tenant says of the person.
func (e *erasure) collectPerson(source foyer.SourceID, row *personRow) error {
	p, err := row.person()
	if err != nil {
		return err
	}
	for _, key := range p.mailKeys() {
		if err := e.addKey(key); err != nil {
			return err
		}
	}
	var values [foyer.NumFields]string
	usual := foyer.EntraSettings{}
	for _, f := range []foyer.Field{foyer.FirstName, foyer.LastName, foyer.DisplayName, foyer.Mobile, foyer.DeskPhone} {
		values[f] = p.Text(usual.Attribute(f))
	}
	e.name(&values)
	return e.addID(foyer.ExternalID{Source: source, ID: p.ID})
}

// scrubEntra drops what tenants say of the person, as others' manager too, and in what connections say. From now on readings pass them over.
func (e *erasure) scrubEntra() error {
	// The rows of the connections are taken first, as by a reading: what it writes comes before, or passes the person over.
	// What a connection would do may name them among its problems: it is worked out anew.
	if err := e.t.exec(`UPDATE entra_connection SET plan = '' WHERE org = $1`, e.org); err != nil {
		return err
	}
	for key := range e.keys {
		const q = `SELECT source, id FROM entra_person WHERE org = $1 AND mail = $2`
		err := e.t.each(q, []any{e.org, key}, func(rows *sql.Rows) error { // that came meanwhile
			var id foyer.ExternalID
			err := rows.Scan(&id.Source, &id.ID)
			e.ids[id] = true
			return err
		})
		if err != nil {
			return err
		}
	}
	concerned := map[foyer.SourceID]bool{}
	for id := range e.ids {
		for _, q := range []string{`DELETE FROM entra_person WHERE org = $1 AND source = $2 AND id = $3`, `UPDATE entra_person SET manager = '' WHERE org = $1 AND source = $2 AND manager = $3`} {
			n, err := e.t.count(q, e.org, id.Source, id.ID)
			if err != nil {
				return err
			}
			concerned[id.Source] = concerned[id.Source] || n > 0
		}
	}
	if err := e.scrubConnections(concerned); err != nil {
		return err
	}
	return e.scrubVisits()
}

// scrubConnections takes the person out of what connections say, and counts again who is known of those that are concerned.
func (e *erasure) scrubConnections(concerned map[foyer.SourceID]bool) error {
	connections, err := readConnections(e.t, e.org)
	if err != nil {
		return err
	}
	for _, c := range connections {
		if e.names(c.Problem) {
			if err := e.t.exec(`UPDATE entra_connection SET problem = $1 WHERE org = $2 AND source = $3`, erasedText, e.org, c.Source); err != nil {
				return err
			}
		}
		if !concerned[c.Source] {
			continue
		}
		whole, err := wholeReading(e.t, e.org, c.Source)
		if err != nil {
			return err
		}
		people, err := countPeople(e.t, e.org, c.Source, whole)
		if err != nil {
			return err
		}
		if err := e.t.exec(`UPDATE entra_connection SET people = $1, version = version + 1 WHERE org = $2 AND source = $3`, people, e.org, c.Source); err != nil {
			return err
		}
	}
	return nil
}

// scrubVisits ends the visits of the person.
func (e *erasure) scrubVisits() error {
	var ended [][]byte
	err := e.t.each(`SELECT mac, visitor FROM entra_visit WHERE org = $1`, []any{e.org}, func(rows *sql.Rows) error {
		var mac []byte
		var visitor string
		err := rows.Scan(&mac, &visitor)
		if e.isKey(visitor) || e.names(visitor) {
			ended = append(ended, mac)
		}
		return err
	})
	for _, mac := range ended {
		if err == nil {
			err = e.t.exec(`DELETE FROM entra_visit WHERE org = $1 AND mac = $2`, e.org, mac)
		}
	}
	return err
}

// readAnew makes the next reading of a tenant begin with everybody. One that is under way is lost: it would say where the next one begins.
func readAnew(t *txn, org foyer.OrgID, source foyer.SourceID) error {
	return t.exec(`UPDATE entra_connection SET delta = '', lease = '', leased_until = 0 WHERE org = $1 AND source = $2`, org, source)
}
