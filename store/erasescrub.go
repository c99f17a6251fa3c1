package store

import (
	"bytes"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"foyer"
	"foyer/match"
)

// removeEntries removes the entries, what emails and ids mean them, and the claims on them.
func (e *erasure) removeEntries() error {
	ids := e.entryIDs()
	claims := e.claims()
	err := readEntries(e.t, e.org, ids, func(entry *foyer.Entry) error {
		for _, source := range entry.ClaimedBy {
			if err := claims.of(source).put(entry.ID, nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = claims.flush()
	}
	if err == nil {
		err = e.scrubEntra()
	}
	for _, id := range ids {
		for _, q := range []string{`DELETE FROM entry WHERE org = $1 AND id = $2`, `DELETE FROM address WHERE org = $1 AND entry = $2`, `DELETE FROM external_id WHERE org = $1 AND entry = $2`} {
			if err == nil {
				err = e.t.exec(q, e.org, id)
			}
		}
	}
	return err
}

// claimWriters write claims of several sources, by ascending entry.
type claimWriters struct {
	e  *erasure
	by map[foyer.SourceID]*claimWriter
}

func (e *erasure) claims() claimWriters { return claimWriters{e, map[foyer.SourceID]*claimWriter{}} }

func (w claimWriters) of(source foyer.SourceID) *claimWriter {
	if w.by[source] == nil {
		w.by[source] = &claimWriter{t: w.e.t, org: w.e.org, source: source}
	}
	return w.by[source]
}

func (w claimWriters) flush() error {
	for _, writer := range w.by {
		if err := writer.finish(); err != nil {
			return err
		}
	}
	return nil
}

// scrubOthers takes the person out of the entries that name them as manager or assistant.
func (e *erasure) scrubOthers() error {
	claims := e.claims()
	for ids := range slices.Chunk(e.others, lookupBatch) {
		var out batch
		encoder := entryEncoder{org: e.org, dialect: e.t.dialect}
		err := readEntries(e.t, e.org, ids, func(other *foyer.Entry) error {
			if !e.scrubEntry(other) {
				return nil
			}
			encoder.put(other, false, &out)
			for _, source := range other.ClaimedBy {
				if err := claims.of(source).forget(other.ID); err != nil { // the next row is looked at whatever it says (R17)
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		encoder.flush(&out)
		for _, s := range out.statements {
			if _, err := e.t.carryOut(s); err != nil {
				return err
			}
		}
	}
	return claims.flush()
}

// scrubEntry takes the person out of another's entry. It tells whether they were in it.
func (e *erasure) scrubEntry(other *foyer.Entry) (changed bool) {
	for i := range other.Values {
		f := foyer.Field(i)
		if value := &other.Values[f]; isPersonField(f) && e.scrubValue(f, value) {
			changed = true
		}
		if e.scrubValue(f, &other.Origins[f].Before) {
			changed = true
		}
	}
	return changed
}

// scrubValue empties a value of another's field that is an email of the person, or names them as manager or assistant.
func (e *erasure) scrubValue(f foyer.Field, value *string) bool {
	if !e.isKey(*value) && !(isPersonField(f) && e.isCalled(*value)) {
		return false
	}
	*value = ""
	return true
}

// isPersonField tells whether a field names another person.
func isPersonField(f foyer.Field) bool { return f == foyer.Manager || f == foyer.Assistant }

// scrubChanges drops what the log says of the person, and takes them out of others' changes.
func (e *erasure) scrubChanges() error {
	for _, at := range e.chunks {
		var chunk []byte
		err := e.t.get(`SELECT changes FROM change_chunk WHERE org = $1 AND run = $2 AND first = $3`, []any{e.org, at.run, at.first}, &chunk)
		if errors.Is(err, sql.ErrNoRows) {
			continue // it was pruned meanwhile
		}
		if err != nil {
			return err
		}
		var kept []byte
		for line := range bytes.Lines(chunk) {
			if line, err = e.scrubLine(line); err != nil {
				return err
			}
			kept = append(kept, line...)
		}
		if err := e.t.exec(`UPDATE change_chunk SET changes = $1 WHERE org = $2 AND run = $3 AND first = $4`, string(kept), e.org, at.run, at.first); err != nil {
			return err
		}
	}
	return nil
}

// scrubLine returns what stays of a line of the log.
func (e *erasure) scrubLine(line []byte) ([]byte, error) {
	if !e.any.passes(line) {
		return line, nil
	}
	c, err := parseChange(line)
	switch {
	case err != nil || e.entries[c.Entry]:
		return nil, err
	case e.scrubChange(&c):
		return appendChange(nil, &c), nil
	}
	return line, nil
}

// scrubChange takes the person out of another's change. It tells whether they were in it.
func (e *erasure) scrubChange(c *foyer.Change) (changed bool) {
	for i := range c.Fields {
		f := &c.Fields[i]
		for _, text := range []*string{&f.Before, &f.After, &f.From.Before} {
			if e.scrubValue(f.Field, text) {
				changed = true
			}
		}
	}
	emails, ids := len(c.Emails), len(c.IDs)
	c.Emails = slices.DeleteFunc(c.Emails, func(m foyer.EmailChange) bool { return e.keys[m.Key] })
	c.IDs = slices.DeleteFunc(c.IDs, func(id foyer.IDChange) bool {
		return e.ids[foyer.ExternalID{Source: id.Source, ID: id.Before}] || e.ids[foyer.ExternalID{Source: id.Source, ID: id.After}]
	})
	return changed || len(c.Emails) < emails || len(c.IDs) < ids
}

// erasedText stands for a text that named the person.
const erasedText = "[what it said named someone who was erased]"

// scrubRuns drops the problems of rows that name the person, and their name in what runs say.
func (e *erasure) scrubRuns() error {
	for _, id := range e.runs {
		r, err := readRun(e.t, e.org, id)
		if err != nil {
			return err
		}
		if !e.scrubRun(r) {
			continue
		}
		problems, err := json.Marshal(append([]foyer.Problem{}, r.Problems...))
		if err != nil {
			return err
		}
		refusal, err := textOrNothing(r.Refusal)
		if err != nil {
			return err
		}
		if err := e.t.exec(`UPDATE run SET problems = $1, message = $2, refusal = $3 WHERE org = $4 AND id = $5`, string(problems), r.Message, refusal, e.org, r.ID); err != nil {
			return err
		}
	}
	return nil
}

// scrubRun takes the person out of what a run says. It tells whether they were in it.
func (e *erasure) scrubRun(r *foyer.Run) (changed bool) {
	problems := len(r.Problems)
	r.Problems = slices.DeleteFunc(r.Problems, e.namedBy)
	changed = len(r.Problems) < problems
	if e.names(r.Message) {
		r.Message, changed = erasedText, true
	}
	if r.Refusal != nil && e.names(r.Refusal.Column) {
		r.Refusal.Column, changed = "", true
	}
	return changed
}

func (e *erasure) namedBy(p foyer.Problem) bool {
	return e.names(p.Value) || e.names(p.Message) || e.names(p.Column)
}

// scrubAlerts drops the person's name in what alerts say.
func (e *erasure) scrubAlerts() error {
	alerts, err := readAlerts(e.t, `WHERE org = $1`, e.org)
	if err != nil {
		return err
	}
	for _, a := range alerts {
		changed := false
		for _, text := range []*string{&a.Title, &a.Message, &a.Cure, &a.Ending} {
			if e.names(*text) {
				*text, changed = erasedText, true
			}
		}
		if !changed {
			continue
		}
		const q = `UPDATE alert SET title = $1, message = $2, cure = $3, ending = $4 WHERE org = $5 AND id = $6`
		if err := e.t.exec(q, a.Title, a.Message, a.Cure, a.Ending, e.org, a.ID); err != nil {
			return err
		}
	}
	return nil
}

// scrubHeld writes the parts of what held runs keep anew that name the person.
func (e *erasure) scrubHeld() error {
	for at, parts := range e.held {
		if err := e.scrubSequence(at, slices.Max(slices.Collect(maps.Keys(parts))), parts); err != nil {
			return err
		}
	}
	return nil
}

// scrubSequence writes parts of one sequence anew, of which the last is given. A part of which nothing stays is left out, since an empty one is the end: then those
// behind it move up.
func (e *erasure) scrubSequence(at heldAt, last int, concerned map[int]bool) error {
	w := e.s.newHeldWriter(e.t, e.org, at.run, at.kind)
	for part, more := 0, true; more; part++ {
		if w.part == part && part > last {
			return nil
		}
		if w.part == part && !concerned[part] {
			w.part++
			continue
		}
		plain, err := openPart(e.t, e.s, e.org, at.run, at.kind, part)
		if errors.Is(err, errCut) && part == w.part {
			return nil // it was decided on meanwhile
		}
		if err != nil {
			return err
		}
		kept, _, err := e.scrubPart(at, plain)
		if err != nil {
			return err
		}
		if more = len(plain) > 0; more && len(kept) == 0 {
			continue
		}
		const q = `DELETE FROM held_chunk WHERE org = $1 AND run = $2 AND kind = $3 AND part = $4`
		if err := e.t.exec(q, e.org, at.run, at.kind, w.part); err != nil {
			return err
		}
		w.open = kept
		if err := w.flush(); err != nil {
			return err
		}
	}
	return e.t.exec(`DELETE FROM held_chunk WHERE org = $1 AND run = $2 AND kind = $3 AND part >= $4`, e.org, at.run, at.kind, w.part)
}

// scrubPart returns what stays of a part.
func (e *erasure) scrubPart(at heldAt, plain []byte) (kept []byte, changed bool, err error) {
	err = eachRecord(at.run, plain, func(record []byte) error {
		stays, other, err := e.scrubRecord(at, record)
		if changed = changed || other; err != nil || stays == nil {
			return err
		}
		kept = binary.AppendUvarint(kept, uint64(len(stays)))
		kept = append(kept, stays...)
		return nil
	})
	return kept, changed, err
}

// scrubRecord returns what stays of a record, nil where nothing does.
func (e *erasure) scrubRecord(at heldAt, record []byte) (stays []byte, changed bool, err error) {
	switch at.kind {
	case "changes":
		stays, err = e.scrubLine(record)
		return stays, !bytes.Equal(stays, record), err
	case "rows":
		if !e.rows.passes(record) {
			return record, false, nil
		}
		row, err := parseRow(bytes.Clone(record))
		if err != nil || e.isRow(at.source, row) {
			return nil, true, err
		}
		if !e.scrubRow(row) {
			return record, false, nil
		}
		stays, err = appendRow(nil, row)
		return stays, true, err
	}
	id, n := binary.Uvarint(record)
	if n <= 0 {
		return nil, false, fmt.Errorf("what the run %v keeps is damaged", at.run)
	}
	if e.entries[foyer.EntryID(id)] {
		return nil, true, nil
	}
	return record, false, nil
}

// isRow tells whether a row is the person's: of a row without an email that can be read, by what it mentions or by the full name.
func (e *erasure) isRow(source foyer.SourceID, row *foyer.Row) bool {
	if e.isKey(row.Values[foyer.Email]) || row.ExternalID != "" && e.ids[foyer.ExternalID{Source: source, ID: row.ExternalID}] {
		return true
	}
	if _, err := match.Email(row.Values[foyer.Email]); err == nil {
		return false // somebody else's
	}
	name := strings.ToLower(row.Values[foyer.FirstName] + " " + row.Values[foyer.LastName])
	return slices.ContainsFunc(row.Mentions, e.isKey) || e.called[name] || e.called[strings.ToLower(row.Values[foyer.DisplayName])]
}

// scrubRow takes the person out of another's row. It tells whether they were in it.
func (e *erasure) scrubRow(row *foyer.Row) (changed bool) {
	for _, f := range []foyer.Field{foyer.Manager, foyer.Assistant} {
		if e.scrubValue(f, &row.Values[f]) {
			changed = true
		}
	}
	mentions, problems := len(row.Mentions), len(row.Problems)
	row.Mentions = slices.DeleteFunc(row.Mentions, e.isKey)
	row.Problems = slices.DeleteFunc(row.Problems, e.namedBy)
	return changed || len(row.Mentions) < mentions || len(row.Problems) < problems
}
