package store

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"foyer"
	"foyer/match"
)

// find finds all that is of the person.
func (e *erasure) find(id foyer.EntryID, key string) (found bool, err error) {
	if err := e.t.get(`SELECT version FROM book WHERE org = $1`, []any{e.org}, &e.version); err != nil { // before anything else is read
		return false, err
	}
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

// collect finds all that names the person: in the entry, its addresses, and what the log says of it.
func (e *erasure) collect() (found bool, err error) {
	for {
		known := e.known()
		for _, id := range e.entryIDs() {
			if err := e.collectEntry(id, &found); err != nil {
				return false, err
			}
		}
		if err := e.collectChanges(&found); err != nil {
			return false, err
		}
		if err := e.collectEntra(&found); err != nil {
			return false, err
		}
		if known == e.known() {
			return found, nil
		}
	}
}

// known is how much is known of the person: it only grows.
func (e *erasure) known() int { return len(e.entries) + len(e.keys) + len(e.ids) }

// collectChanges goes through the log once.
func (e *erasure) collectChanges(found *bool) error {
	known := -1
	return e.eachChunk(func(_ chunkAt, chunk []byte) error {
		if known != e.known() {
			known = e.known()
			e.own = e.ownSieve()
		}
		return e.own.lines(chunk, func(_ []byte, c *foyer.Change) error {
			mine, err := e.isOf(c)
			if err == nil && mine {
				*found = true
				err = e.collectChange(c)
			}
			return err
		})
	})
}

// lines calls yield for the changes of a chunk that may hold one of the texts.
func (s sieve) lines(chunk []byte, yield func(line []byte, c *foyer.Change) error) error {
	if !s.passes(chunk) {
		return nil
	}
	for line := range bytes.Lines(chunk) {
		if !s.passes(line) {
			continue
		}
		c, err := parseChange(line)
		if err == nil {
			err = yield(line, &c)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ownSieve is what a change that isOf may be true of has: one of the entries, or one of the emails.
func (e *erasure) ownSieve() (s sieve) {
	for id := range e.entries {
		s.add(fmt.Sprintf(`{"entry":%d,`, id))
	}
	for key := range e.keys {
		s.add(keyText(key))
	}
	return s
}

// keyText returns what each address of a key holds, in lower case: a domain may be written in its own letters, and letters in two ways.
func keyText(key string) string {
	if strings.Contains(key, "xn--") {
		key = key[:strings.LastIndexByte(key, '@')+1]
	}
	longest := ""
	for part := range strings.FieldsFuncSeq(key, func(r rune) bool { return r >= utf8.RuneSelf }) {
		if len(part) > len(longest) {
			longest = part
		}
	}
	return strings.ToLower(longest)
}

// eachChunk calls yield for each chunk of the organization's log. yield may ask the database.
func (e *erasure) eachChunk(yield func(at chunkAt, chunk []byte) error) error {
	at := chunkAt{}
	for {
		var chunk []byte
		const q = `SELECT run, first, changes FROM change_chunk WHERE org = $1 AND (run, first) > ($2, $3) ORDER BY run, first LIMIT 1`
		err := e.t.get(q, []any{e.org, at.run, at.first}, &at.run, &at.first, &chunk)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err == nil {
			err = yield(at, chunk)
		}
		if err != nil {
			return err
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
	names := []string{values[foyer.DisplayName]}
	if first, last := values[foyer.FirstName], values[foyer.LastName]; first != "" && last != "" {
		names = append(names, first+" "+last, last+", "+first)
		e.lasts[last] = true
	}
	for _, name := range names {
		e.need(name)
		if name = strings.ToLower(name); strings.ContainsAny(name, " ,") {
			e.called[name] = true
		}
	}
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

// isCalled tells whether a manager or assistant is the person by a full name, alone or as the CN of a distinguished name.
func (e *erasure) isCalled(value string) bool {
	value = strings.ToLower(strings.TrimSpace(value))
	if name, ok := strings.CutPrefix(value, "cn="); ok {
		value = unescapedName(name)
	}
	return e.called[value]
}

// unescapedName returns what stands before the first comma of a distinguished name, without its escapes (RFC 4514 §2.4, but for those in hex).
func unescapedName(name string) string {
	var b strings.Builder
	for i := 0; i < len(name) && name[i] != ','; i++ {
		if name[i] == '\\' && i+1 < len(name) {
			i++
		}
		b.WriteByte(name[i])
	}
	return strings.TrimSpace(b.String())
}

// makeSieves makes those of the person, once all is known of them.
func (e *erasure) makeSieves() {
	e.any = e.ownSieve()
	for key := range e.keys {
		e.need(key)
		e.rows.add(keyText(key))
	}
	for name := range e.called {
		e.any.add(name)
		e.rows.add(name)
	}
	for last := range e.lasts {
		e.rows.addPacked(foyer.Record{Values: [foyer.NumFields]string{foyer.LastName: last}})
	}
	for id := range e.ids {
		e.need(id.ID)
		e.any.add(`"` + strings.ToLower(id.ID) + `"`)
		e.rows.addPacked(foyer.Record{ExternalID: id.ID})
	}
	for _, needle := range e.needles {
		e.rows.add(needle)
	}
}

// addPacked adds what a packed row of that value has.
func (s *sieve) addPacked(r foyer.Record) { *s = append(*s, bytes.ToLower(r.AppendPacked(nil))) }

// locate notes where the person is named.
func (e *erasure) locate() error {
	e.makeSieves()
	if err := e.t.get(`SELECT COALESCE(MAX(id), 0) FROM run WHERE org = $1`, []any{e.org}, &e.seen); err != nil {
		return err
	}
	for _, step := range []func() error{e.locateChanges, e.locateOthers} {
		if err := step(); err != nil {
			return err
		}
	}
	return e.locateRuns(0)
}

// locateNew notes which runs name the person that came since: they changed nothing, or the book would have another version.
func (e *erasure) locateNew() error { return e.locateRuns(e.seen) }

func (e *erasure) locateChanges() error {
	return e.eachChunk(func(at chunkAt, chunk []byte) error {
		concerned := false
		err := e.any.lines(chunk, func(_ []byte, c *foyer.Change) error {
			concerned = concerned || e.entries[c.Entry] || e.scrubChange(c)
			return nil
		})
		if concerned {
			e.chunks = append(e.chunks, at)
		}
		return err
	})
}

func (e *erasure) locateOthers() error {
	return e.t.each(`SELECT id, manager || ' ' || assistant || ' ' || origins FROM entry WHERE org = $1 ORDER BY id`, []any{e.org}, func(rows *sql.Rows) error {
		var id foyer.EntryID
		var text sql.RawBytes
		err := rows.Scan(&id, &text)
		if err == nil && !e.entries[id] && (bytes.IndexByte(text, '%') >= 0 || e.any.passes(text)) {
			e.others = append(e.others, id)
		}
		return err
	})
}

func (e *erasure) locateRuns(after foyer.RunID) error {
	var held []heldAt
	const q = `SELECT id, source, kind, status, problems || message || refusal FROM run WHERE org = $1 AND id > $2`
	err := e.t.each(q, []any{e.org, after}, func(rows *sql.Rows) error {
		var at heldAt
		var kind foyer.RunKind
		var status foyer.RunStatus
		var text sql.RawBytes
		if err := rows.Scan(&at.run, &at.source, &kind, &status, &text); err != nil {
			return err
		}
		if bytes.IndexByte(text, '\\') >= 0 || e.names(string(text)) {
			e.runs = append(e.runs, at.run)
		}
		if status != foyer.Held {
			return nil
		}
		for _, at.kind = range []string{"lost", "new", "away", "changes"} {
			held = append(held, at)
		}
		if at.kind = "rows"; kind == foyer.Sync {
			held = append(held, at)
		}
		return nil
	})
	for _, at := range held {
		if err == nil {
			err = e.locateHeld(at)
		}
	}
	return err
}

// locateHeld notes which parts of what a held run keeps name the person.
func (e *erasure) locateHeld(at heldAt) error {
	for part := 0; ; part++ {
		plain, err := openPart(e.t, e.s, e.org, at.run, at.kind, part)
		if err != nil || len(plain) == 0 {
			return err
		}
		_, changed, err := e.scrubPart(at, plain)
		if err != nil {
			return err
		}
		if changed {
			if e.held[at] == nil {
				e.held[at] = map[int]bool{}
			}
			e.held[at][part] = true
		}
	}
}
