package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"foyer"
	"foyer/match"
)

// erasure takes a person out of everything that an organization's book keeps (R28). It looks through the whole log, since others' changes, problems of rows and held
// files may name the person too: erasures are rare, and nothing may be left.
type erasure struct {
	s       *Store
	t       *txn
	org     foyer.OrgID
	run     foyer.RunID
	entries map[foyer.EntryID]bool // the entry, and those that were joined to it
	keys    map[string]bool        // keys of its emails, earlier ones too
	ids     map[foyer.ExternalID]bool
	needles []string // texts that name the person, in lower case
}

// Erasing says whom an erasure takes.
type Erasing struct {
	Entry  *foyer.Entry    // who is erased; nil: they are in the log only
	Others []foyer.EntryID // entries that were joined to it, or removed under one of its emails
}

// TryErase returns whom Erase would take, and changes nothing.
func (s *Store) TryErase(ctx context.Context, caller foyer.Caller, org foyer.OrgID, id foyer.EntryID, key string) (who Erasing, err error) {
	if err := caller.May(foyer.Administer, org); err != nil {
		return who, err
	}
	err = s.snapshot(ctx, "look for whom to erase", func(t *txn) error {
		e := newErasure(s, t, org)
		found, err := e.find(id, key)
		if err == nil && !found {
			err = nothingOf(id, key)
		}
		if err != nil {
			return err
		}
		for id := range e.entries {
			err := readEntries(t, org, []foyer.EntryID{id}, func(entry *foyer.Entry) error {
				who.Entry = entry
				return nil
			})
			if err != nil {
				return err
			}
			if who.Entry == nil || who.Entry.ID != id {
				who.Others = append(who.Others, id)
			}
		}
		slices.Sort(who.Others)
		return nil
	})
	return who, err
}

func nothingOf(id foyer.EntryID, key string) error {
	return foyer.Errorf(foyer.NotFound, "there is nothing of %s%s in this organization", key, idOrNothing(id))
}

// Erase erases a person for good: the entry of that id, or of that email, with the entries that were joined to it, and all that the log, held runs and problems of rows
// say of it. Nobody else who is in the book is erased, whatever email they once had in common. Keyed hashes of its emails and ids stay, so that the next file
// does not bring it back unnoticed. It cannot be undone. An email that means nobody any more is erased from the log. foyer.NotFound where there is nothing of it.
func (s *Store) Erase(ctx context.Context, caller foyer.Caller, org foyer.OrgID, id foyer.EntryID, key string) (run *foyer.Run, err error) {
	if err := caller.May(foyer.Administer, org); err != nil {
		return nil, err
	}
	release, err := s.locks.take(ctx, org)
	if err != nil {
		return nil, err
	}
	defer release()
	run = &foyer.Run{Kind: foyer.Erase, Actor: caller.Name, Status: foyer.Applied, Started: s.clock()}
	err = s.transact(ctx, "erase the entry", func(t *txn) error {
		if err := t.exec(`PRAGMA secure_delete = ON`); err != nil {
			return err
		}
		defer t.exec(`PRAGMA secure_delete = FAST`)
		if run.ID, err = nextRun(t, org); err != nil {
			return err
		}
		e := newErasure(s, t, org)
		e.run = run.ID
		found, err := e.find(id, key)
		if err == nil && !found {
			err = nothingOf(id, key)
		}
		if err == nil {
			err = e.erase()
		}
		if err != nil {
			return err
		}
		run.Removed = len(e.entries)
		for entry := range e.entries {
			run.Message = strings.TrimSpace(run.Message + " " + entry.String())
		}
		if err := t.exec(`UPDATE book SET version = version + 1 WHERE org = $1`, org); err != nil {
			return err
		}
		if err := t.get(`SELECT version FROM book WHERE org = $1`, []any{org}, &run.Book); err != nil {
			return err
		}
		run.Finished = s.clock()
		if err := insertRun(t, org, run); err != nil {
			return err
		}
		return s.audit(t, caller, org, "entry.erase", run.ID.String(), run.Message)
	})
	if err != nil {
		return nil, err
	}
	_, err = s.write.ExecContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`) // what was erased is in the log of the database still
	return run, busy("empty the database's log", err)
}

func idOrNothing(id foyer.EntryID) string {
	if id == 0 {
		return ""
	}
	return id.String()
}

func newErasure(s *Store, t *txn, org foyer.OrgID) *erasure {
	return &erasure{s: s, t: t, org: org, entries: map[foyer.EntryID]bool{}, keys: map[string]bool{}, ids: map[foyer.ExternalID]bool{}}
}

// find finds all that is of the person.
func (e *erasure) find(id foyer.EntryID, key string) (found bool, err error) {
	if key != "" {
		e.keys[key] = true
		err := readAddresses(e.t, e.org, []string{key}, func(_ string, a foyer.Address) { id = a.Entry })
		if err != nil {
			return false, err
		}
	}
	if id != 0 {
		e.entries[id] = true
	}
	return e.collect()
}

// erase carries it out.
func (e *erasure) erase() error {
	for _, step := range []func() error{e.removeEntries, e.scrubOthers, e.scrubChanges, e.scrubRuns, e.scrubHeld, e.keepHashes} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// collect finds all that names the person: in the entry, its addresses, and what the log says of it.
func (e *erasure) collect() (found bool, err error) {
	for {
		known := len(e.entries) + len(e.keys) + len(e.ids)
		for id := range e.entries {
			if err := e.collectEntry(id, &found); err != nil {
				return false, err
			}
		}
		err := e.chunks(func(_ foyer.RunID, _ foyer.EntryID, c *foyer.Change) (string, bool, error) {
			mine, err := e.isOf(c)
			if err == nil && mine {
				found = true
				err = e.collectChange(c)
			}
			return "", false, err
		})
		if err != nil {
			return false, err
		}
		if known == len(e.entries)+len(e.keys)+len(e.ids) {
			return found, nil
		}
	}
}

func (e *erasure) collectEntry(id foyer.EntryID, found *bool) error {
	err := readEntries(e.t, e.org, []foyer.EntryID{id}, func(entry *foyer.Entry) error {
		*found = true
		for _, known := range entry.IDs {
			e.ids[known] = true
		}
		e.name(&entry.Values)
		for _, origin := range entry.Origins {
			e.need(origin.Before)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return e.t.each(`SELECT email FROM address WHERE org = $1 AND entry = $2`, []any{e.org, id}, func(rows *sql.Rows) error {
		var key string
		err := rows.Scan(&key)
		e.keys[key] = true
		return err
	})
}

// isOf tells whether a change is about the person: by the entry, or by an email under which an entry was added or removed that is not there any more.
func (e *erasure) isOf(c *foyer.Change) (bool, error) {
	if e.entries[c.Entry] {
		return true, nil
	}
	if !c.Added && !c.Removed {
		return false, nil
	}
	for _, f := range c.Fields {
		if f.Field == foyer.Email && (e.isKey(f.Before) || e.isKey(f.After)) {
			there, err := e.isThere(c.Entry)
			return !there, err
		}
	}
	return false, nil
}

// isThere tells whether an entry is in the book.
func (e *erasure) isThere(id foyer.EntryID) (there bool, err error) {
	err = e.t.get(`SELECT COUNT(*) FROM entry WHERE org = $1 AND id = $2`, []any{e.org, id}, &there)
	return there, err
}

// addKey notes an email of the person, unless it is somebody else's by now.
func (e *erasure) addKey(email string) error {
	key, err := match.Email(email)
	if err != nil || e.keys[string(key)] {
		return nil
	}
	free := true
	err = readAddresses(e.t, e.org, []string{string(key)}, func(_ string, a foyer.Address) { free = e.entries[a.Entry] })
	if err == nil && free {
		e.keys[string(key)] = true
		e.need(email)
	}
	return err
}

// addID notes an id of the person, unless it is somebody else's by now.
func (e *erasure) addID(id foyer.ExternalID) error {
	if id.ID == "" || e.ids[id] {
		return nil
	}
	var entry foyer.EntryID
	err := e.t.get(`SELECT entry FROM external_id WHERE org = $1 AND source = $2 AND external_id = $3`, []any{e.org, id.Source, id.ID}, &entry)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if entry == 0 || e.entries[entry] {
		e.ids[id] = true
	}
	return nil
}

// isKey tells whether a text is one of the person's emails.
func (e *erasure) isKey(email string) bool {
	if email == "" {
		return false
	}
	key, err := match.Email(email)
	return err == nil && e.keys[string(key)]
}

func (e *erasure) collectChange(c *foyer.Change) error {
	e.entries[c.Entry] = true
	if c.Joined != 0 {
		there, err := e.isThere(c.Joined)
		if err != nil {
			return err
		}
		if !there { // else they were parted again: another person
			e.entries[c.Joined] = true
		}
	}
	var before, after [foyer.NumFields]string
	for _, f := range c.Fields {
		before[f.Field], after[f.Field] = f.Before, f.After
		if f.Field == foyer.Email {
			if err := errors.Join(e.addKey(f.Before), e.addKey(f.After)); err != nil {
				return err
			}
		}
	}
	e.name(&before)
	e.name(&after)
	for _, id := range c.IDs {
		if err := errors.Join(e.addID(foyer.ExternalID{Source: id.Source, ID: id.Before}), e.addID(foyer.ExternalID{Source: id.Source, ID: id.After})); err != nil {
			return err
		}
	}
	return nil
}

// name notes what names a person among values besides emails: full names and phone numbers.
func (e *erasure) name(values *[foyer.NumFields]string) {
	if first, last := values[foyer.FirstName], values[foyer.LastName]; first != "" && last != "" {
		e.need(first + " " + last)
		e.need(last + ", " + first)
	}
	e.need(values[foyer.DisplayName])
	e.need(values[foyer.Mobile])
	e.need(values[foyer.DeskPhone])
}

// need notes a text that names the person. Short ones name nobody.
func (e *erasure) need(text string) {
	if text = strings.ToLower(text); len(text) >= 4 && !slices.Contains(e.needles, text) {
		e.needles = append(e.needles, text)
	}
}

// names tells whether a text names the person.
func (e *erasure) names(text string) bool {
	text = strings.ToLower(text)
	return slices.ContainsFunc(e.needles, func(needle string) bool { return strings.Contains(text, needle) })
}

// removeEntries removes the entries, what emails and ids mean them, and the claims on them.
func (e *erasure) removeEntries() error {
	for id := range e.entries {
		var sources []foyer.SourceID
		err := readEntries(e.t, e.org, []foyer.EntryID{id}, func(entry *foyer.Entry) error {
			sources = entry.ClaimedBy
			return nil
		})
		if err != nil {
			return err
		}
		for _, source := range sources {
			if err := e.claim(source, func(w *claimWriter) error { return w.put(id, nil) }); err != nil {
				return err
			}
		}
		for _, q := range []string{`DELETE FROM entry WHERE org = $1 AND id = $2`, `DELETE FROM address WHERE org = $1 AND entry = $2`, `DELETE FROM external_id WHERE org = $1 AND entry = $2`} {
			if err := e.t.exec(q, e.org, id); err != nil {
				return err
			}
		}
	}
	for key := range e.keys {
		e.need(key)
	}
	for id := range e.ids {
		e.need(id.ID)
	}
	return nil
}

// claim does something to one claim of a source.
func (e *erasure) claim(source foyer.SourceID, do func(*claimWriter) error) error {
	w := claimWriter{t: e.t, org: e.org, source: source}
	if err := do(&w); err != nil {
		return err
	}
	return w.flush()
}

// scrubOthers takes the person's emails out of the entries that name them as manager or assistant.
func (e *erasure) scrubOthers() error {
	var others []*foyer.Entry
	err := e.t.each(`SELECT `+allColumns+` FROM entry WHERE org = $1 AND (manager LIKE '%@%' OR assistant LIKE '%@%' OR origins LIKE '%@%')`, []any{e.org}, func(rows *sql.Rows) error {
		other, err := scanEntry(rows)
		if err != nil {
			return err
		}
		changed := false
		for f, value := range other.Values {
			if isPersonField(foyer.Field(f)) && e.isKey(value) {
				other.Values[f], changed = "", true
			}
			if before := other.Origins[f].Before; e.isKey(before) {
				other.Origins[f].Before, changed = "", true
			}
		}
		if changed {
			others = append(others, other)
		}
		return nil
	})
	if err != nil {
		return err
	}
	var out batch
	encoder := entryEncoder{org: e.org}
	for _, other := range others {
		encoder.put(other, false, &out)
		for _, source := range other.ClaimedBy {
			if err := e.claim(source, func(w *claimWriter) error { return w.forget(other.ID) }); err != nil {
				return err // the next row is looked at whatever it says (R17)
			}
		}
	}
	encoder.flush(&out)
	for _, s := range out.statements {
		if err := e.t.exec(s.query, s.args...); err != nil {
			return err
		}
	}
	return nil
}

// isPersonField tells whether a field names another person.
func isPersonField(f foyer.Field) bool { return f == foyer.Manager || f == foyer.Assistant }

// scrubChanges drops what the log says of the person, and their email where it names them as somebody's manager or assistant.
func (e *erasure) scrubChanges() error {
	return e.chunks(func(run foyer.RunID, first foyer.EntryID, c *foyer.Change) (string, bool, error) {
		if e.entries[c.Entry] {
			return "", true, nil
		}
		changed := false
		for i := range c.Fields {
			f := &c.Fields[i]
			for _, text := range []*string{&f.Before, &f.After, &f.From.Before} {
				if e.isKey(*text) {
					*text, changed = "", true
				}
			}
		}
		return string(appendChange(nil, c)), changed, nil
	})
}

// chunks calls scrub for each change of the organization's log; where it says that the change is to be replaced, its line becomes what it returns.
func (e *erasure) chunks(scrub func(foyer.RunID, foyer.EntryID, *foyer.Change) (line string, replace bool, err error)) error {
	run, first := foyer.RunID(0), foyer.EntryID(0)
	for {
		var chunk []byte
		const q = `SELECT run, first, changes FROM change_chunk WHERE org = $1 AND (run, first) > ($2, $3) ORDER BY run, first LIMIT 1`
		err := e.t.get(q, []any{e.org, run, first}, &run, &first, &chunk)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		var kept []byte
		changed := false
		for text := range bytes.Lines(chunk) {
			c, err := parseChange(text)
			if err != nil {
				return err
			}
			line, replace, err := scrub(run, first, &c)
			if err != nil {
				return err
			}
			if !replace {
				kept = append(kept, text...)
				continue
			}
			changed = true
			kept = append(kept, line...)
		}
		if changed {
			if err := e.t.exec(`UPDATE change_chunk SET changes = $1 WHERE org = $2 AND run = $3 AND first = $4`, string(kept), e.org, run, first); err != nil {
				return err
			}
		}
	}
}

// scrubRuns drops the problems of rows that name the person, and their name in what runs say.
func (e *erasure) scrubRuns() error {
	runs, err := readRuns(e.t, `WHERE org = $1 AND (problems <> '[]' OR message <> '')`, e.org)
	if err != nil {
		return err
	}
	for _, r := range runs {
		kept := slices.DeleteFunc(slices.Clone(r.Problems), func(p foyer.Problem) bool { return e.names(p.Value) || e.names(p.Message) })
		named := e.names(r.Message)
		if len(kept) == len(r.Problems) && !named {
			continue
		}
		if named {
			r.Message = "[what it said named someone who was erased]"
		}
		problems, err := json.Marshal(append([]foyer.Problem{}, kept...))
		if err != nil {
			return err
		}
		if err := e.t.exec(`UPDATE run SET problems = $1, message = $2 WHERE org = $3 AND id = $4`, string(problems), r.Message, e.org, r.ID); err != nil {
			return err
		}
	}
	return nil
}

// scrubHeld drops the person's rows from held runs, and them from those whom these would take away.
func (e *erasure) scrubHeld() error {
	held, err := readRuns(e.t, `WHERE org = $1 AND status = 'held'`, e.org)
	if err != nil {
		return err
	}
	for _, run := range held {
		kept, err := readKept(e.t, e.s, e.org, run.ID)
		if err != nil {
			return err
		}
		for _, ids := range []*[]foyer.EntryID{&kept.Lost, &kept.New, &kept.Away} {
			*ids = slices.DeleteFunc(*ids, func(id foyer.EntryID) bool { return e.entries[id] })
		}
		kept.Changes = slices.DeleteFunc(kept.Changes, func(c *foyer.Change) bool {
			return e.entries[c.Entry] || slices.ContainsFunc(c.Fields, func(f foyer.FieldChange) bool { return e.isKey(f.Before) || e.isKey(f.After) })
		})
		if run.Kind == foyer.Sync {
			var rows []*foyer.Row
			err := readHeld(e.t, e.s, e.org, run.ID, "rows", func(record []byte) error {
				row, err := parseRow(bytes.Clone(record))
				if err == nil && !e.isRow(run.Source, row) {
					rows = append(rows, row)
				}
				return err
			})
			if err != nil {
				return err
			}
			kept.Rows = func(yield func(*foyer.Row) error) error {
				for _, row := range rows {
					if err := yield(row); err != nil {
						return err
					}
				}
				return nil
			}
		}
		if err := e.t.exec(`DELETE FROM held_chunk WHERE org = $1 AND run = $2`, e.org, run.ID); err != nil {
			return err
		}
		if err := e.s.keep(e.t, e.org, run.ID, &kept); err != nil {
			return err
		}
	}
	return nil
}

// isRow tells whether a row names the person.
func (e *erasure) isRow(source foyer.SourceID, row *foyer.Row) bool {
	return e.isKey(row.Values[foyer.Email]) || slices.ContainsFunc(row.Mentions, e.isKey) || row.ExternalID != "" && e.ids[foyer.ExternalID{Source: source, ID: row.ExternalID}]
}
