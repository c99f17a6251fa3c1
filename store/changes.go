package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"foyer"
)

// The change log stores what one run did in chunks of up to maxChunkChanges entries, one line of JSON an entry, by ascending entry:
//
//	{"entry":7,"new":[source,"ann@test.com","Ann","Lee"],"sites":[[],[1]],"claims":[[1,null,[false,[1]]]]}
//	{"entry":7,"added":true,"prev":3,"fields":{"title":["old","new",owner,fromOwner,fromRun,fromGuess,"fromBefore"]},
//	 "status":["enabled","","disabled","absent"],"sites":[[1],[1,2]],"hand_sites":[[],[1]],"flags":{"permanent":["false","true"]},
//	 "claims":[[source,before,after]],   where a claim is null or [disabled,[sites]]
//	 "keeps":{"title":[run,until,run,until]},"ids":[[source,"before","after"]],"emails":[["ann@test.com",entry,alias,entry,alias]],
//	 "removed":true,"joined":8}
//
// What did not change is left out. The first form is that of an entry which one source brought, enabled: "new" has the fields in
// the order of foyer.Field, up to the last that is not empty.
const maxChunkChanges = 64

type changeLine struct {
	Entry     foyer.EntryID                `json:"entry"`
	New       []json.RawMessage            `json:"new"`
	Added     bool                         `json:"added"`
	Prev      foyer.RunID                  `json:"prev"`
	Fields    map[string][]json.RawMessage `json:"fields"`
	Status    []string                     `json:"status"`
	Sites     *[2][]foyer.SiteID           `json:"sites"`
	HandSites *[2][]foyer.SiteID           `json:"hand_sites"`
	Flags     map[string][2]string         `json:"flags"`
	Claims    [][3]json.RawMessage         `json:"claims"`
	Removed   bool                         `json:"removed"`
	Joined    foyer.EntryID                `json:"joined"`
	Keeps     map[string][4]int64          `json:"keeps"`
	IDs       [][]json.RawMessage          `json:"ids"`
	Emails    [][]json.RawMessage          `json:"emails"`
}

func appendChange(b []byte, c *foyer.Change) []byte {
	b = append(b, `{"entry":`...)
	b = strconv.AppendInt(b, int64(c.Entry), 10)
	if c.Added && isBrought(c) {
		b = appendNew(b, c)
		b = appendSites(b, `,"sites":`, c.Sites)
		return append(appendClaims(b, c.Claims), '}', '\n')
	}
	if c.Added {
		b = append(b, `,"added":true`...)
	}
	if c.Prev != 0 {
		b = append(b, `,"prev":`...)
		b = strconv.AppendInt(b, int64(c.Prev), 10)
	}
	if len(c.Fields) > 0 {
		b = append(b, `,"fields":{`...)
		for i := range c.Fields {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendFieldChange(b, &c.Fields[i])
		}
		b = append(b, '}')
	}
	if s := c.Status; s != nil {
		b = append(b, `,"status":`...)
		b = appendJSON(b, []string{statusWord(s[0].Enabled), string(s[0].Reason), statusWord(s[1].Enabled), string(s[1].Reason)})
	}
	b = appendSites(b, `,"sites":`, c.Sites)
	b = appendSites(b, `,"hand_sites":`, c.HandSites)
	if len(c.Flags) > 0 {
		flags := map[string][2]string{}
		for _, f := range c.Flags {
			flags[f.Name] = [2]string{f.Before, f.After}
		}
		b = append(b, `,"flags":`...)
		b = appendJSON(b, flags)
	}
	b = appendRest(b, c)
	return append(appendClaims(b, c.Claims), '}', '\n')
}

// appendRest appends what few changes have.
func appendRest(b []byte, c *foyer.Change) []byte {
	if c.Removed {
		b = append(b, `,"removed":true`...)
	}
	if c.Joined != 0 {
		b = append(b, `,"joined":`...)
		b = strconv.AppendInt(b, int64(c.Joined), 10)
	}
	if len(c.Keeps) > 0 {
		keeps := map[string][4]int64{}
		for _, k := range c.Keeps {
			keeps[k.Field.String()] = [4]int64{int64(k.Before.Run), millis(k.Before.Until), int64(k.After.Run), millis(k.After.Until)}
		}
		b = append(b, `,"keeps":`...)
		b = appendJSON(b, keeps)
	}
	if len(c.IDs) > 0 {
		ids := [][3]any{}
		for _, id := range c.IDs {
			ids = append(ids, [3]any{id.Source, id.Before, id.After})
		}
		b = append(b, `,"ids":`...)
		b = appendJSON(b, ids)
	}
	if len(c.Emails) > 0 {
		emails := [][5]any{}
		for _, e := range c.Emails {
			emails = append(emails, [5]any{e.Key, e.Before.Entry, e.Before.Alias, e.After.Entry, e.After.Alias})
		}
		b = append(b, `,"emails":`...)
		b = appendJSON(b, emails)
	}
	return b
}

// isBrought tells whether a change is an entry that one source brought, enabled.
func isBrought(c *foyer.Change) bool {
	if c.Prev != 0 || c.Removed || c.Joined != 0 || len(c.Keeps)+len(c.IDs)+len(c.Emails) > 0 {
		return false
	}
	if len(c.Fields) == 0 || len(c.Flags) > 0 || c.HandSites != nil || c.Status == nil || *c.Status != enabledNow {
		return false
	}
	for _, f := range c.Fields {
		if f.Before != "" || f.From != (foyer.Origin{}) || f.Owner != c.Fields[0].Owner {
			return false
		}
	}
	return true
}

// enabledNow is the status of an entry that is new and enabled.
var enabledNow = [2]foyer.Status{{}, {Enabled: true}}

func appendNew(b []byte, c *foyer.Change) []byte {
	var values [foyer.NumFields]string
	last := foyer.Email
	for _, f := range c.Fields {
		values[f.Field] = f.After
		last = max(last, f.Field)
	}
	b = append(b, `,"new":[`...)
	b = strconv.AppendInt(b, int64(c.Fields[0].Owner), 10)
	for _, value := range values[:last+1] {
		b = appendText(append(b, ','), value)
	}
	return append(b, ']')
}

// readNew is the reverse of appendNew.
func readNew(tuple []json.RawMessage, c *foyer.Change) error {
	status := enabledNow
	c.Added, c.Status = true, &status
	var owner foyer.SourceID
	if err := unmarshalTuple(tuple[:1], &owner); err != nil {
		return err
	}
	for f, raw := range tuple[1:] {
		change := foyer.FieldChange{Field: foyer.Field(f), Owner: owner}
		if err := unmarshalTuple([]json.RawMessage{raw}, &change.After); err != nil {
			return err
		}
		if change.After != "" {
			c.Fields = append(c.Fields, change)
		}
	}
	return nil
}

func appendClaims(b []byte, claims []foyer.ClaimChange) []byte {
	for i, claim := range claims {
		b = append(b, [2]string{`,"claims":[[`, `,[`}[min(i, 1)]...)
		b = strconv.AppendInt(b, int64(claim.Source), 10)
		b = appendClaimJSON(append(b, ','), claim.Before)
		b = appendClaimJSON(append(b, ','), claim.After)
		b = append(b, ']')
	}
	if len(claims) > 0 {
		b = append(b, ']')
	}
	return b
}

func appendFieldChange(b []byte, f *foyer.FieldChange) []byte {
	b = appendText(b, f.Field.String())
	b = append(b, ':', '[')
	b = appendText(b, f.Before)
	b = append(b, ',')
	b = appendText(b, f.After)
	b = append(b, ',')
	b = strconv.AppendInt(b, int64(f.Owner), 10)
	if f.From != (foyer.Origin{}) {
		b = append(b, ',')
		b = strconv.AppendInt(b, int64(f.From.Owner), 10)
		b = append(b, ',')
		b = strconv.AppendInt(b, int64(f.From.Run), 10)
		b = append(b, ',')
		b = strconv.AppendBool(b, f.From.Guess)
		b = append(b, ',')
		b = appendText(b, f.From.Before)
	}
	return append(b, ']')
}

func appendSites(b []byte, name string, sites *[2][]foyer.SiteID) []byte {
	if sites == nil {
		return b
	}
	b = append(b, name...)
	b = appendList(append(b, '['), sites[0])
	b = appendList(append(b, ','), sites[1])
	return append(b, ']')
}

func appendList(b []byte, sites []foyer.SiteID) []byte {
	b = append(b, '[')
	for i, site := range sites {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(site), 10)
	}
	return append(b, ']')
}

func appendClaimJSON(b []byte, c *foyer.Claim) []byte {
	if c == nil {
		return append(b, "null"...)
	}
	b = append(b, '[')
	b = strconv.AppendBool(b, c.Disabled)
	return append(appendList(append(b, ','), c.Sites), ']')
}

// appendText appends a JSON string; plain text, which nearly all is, without going through encoding/json.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == '"' || s[i] == '\\' || s[i] >= utf8.RuneSelf {
			return appendJSON(b, s)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

func appendJSON(b []byte, v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings, numbers and lists of them
	}
	return append(b, text...)
}

func statusWord(enabled bool) string { return (&foyer.Entry{Enabled: enabled}).Status() }

func parseChange(line []byte) (foyer.Change, error) {
	var l changeLine
	if err := json.Unmarshal(line, &l); err != nil {
		return foyer.Change{}, fmt.Errorf("the change log is damaged: %w", err)
	}
	c := foyer.Change{Entry: l.Entry, Added: l.Added, Prev: l.Prev, Sites: l.Sites, HandSites: l.HandSites}
	var errs []error
	if len(l.New) > 0 && len(l.New) <= 1+int(foyer.NumFields) {
		errs = append(errs, readNew(l.New, &c))
	}
	for f := foyer.Email; f < foyer.NumFields; f++ {
		if tuple, ok := l.Fields[f.String()]; ok {
			change := foyer.FieldChange{Field: f}
			errs = append(errs, unmarshalTuple(tuple, &change.Before, &change.After, &change.Owner, &change.From.Owner, &change.From.Run, &change.From.Guess, &change.From.Before))
			c.Fields = append(c.Fields, change)
		}
	}
	if s := l.Status; len(s) == 4 {
		c.Status = &[2]foyer.Status{{Enabled: s[0] == statusWord(true), Reason: foyer.Reason(s[1])}, {Enabled: s[2] == statusWord(true), Reason: foyer.Reason(s[3])}}
	}
	for _, name := range FlagNames {
		if f, ok := l.Flags[name]; ok {
			c.Flags = append(c.Flags, foyer.FlagChange{Name: name, Before: f[0], After: f[1]})
		}
	}
	for _, tuple := range l.Claims {
		var change foyer.ClaimChange
		var before, after []json.RawMessage
		errs = append(errs, unmarshalTuple(tuple[:], &change.Source, &before, &after))
		change.Before, errs = parseClaimJSON(before, errs)
		change.After, errs = parseClaimJSON(after, errs)
		c.Claims = append(c.Claims, change)
	}
	return c, errors.Join(append(errs, parseRest(&l, &c))...)
}

// parseRest is the reverse of appendRest.
func parseRest(l *changeLine, c *foyer.Change) error {
	c.Removed, c.Joined = l.Removed, l.Joined
	for f := foyer.Email; f < foyer.NumFields; f++ {
		if k, ok := l.Keeps[f.String()]; ok {
			c.Keeps = append(c.Keeps, foyer.KeepChange{Field: f,
				Before: foyer.Keep{Run: foyer.RunID(k[0]), Until: fromMillis(k[1])}, After: foyer.Keep{Run: foyer.RunID(k[2]), Until: fromMillis(k[3])}})
		}
	}
	var errs []error
	for _, tuple := range l.IDs {
		var id foyer.IDChange
		errs = append(errs, unmarshalTuple(tuple, &id.Source, &id.Before, &id.After))
		c.IDs = append(c.IDs, id)
	}
	for _, tuple := range l.Emails {
		var e foyer.EmailChange
		errs = append(errs, unmarshalTuple(tuple, &e.Key, &e.Before.Entry, &e.Before.Alias, &e.After.Entry, &e.After.Alias))
		c.Emails = append(c.Emails, e)
	}
	return errors.Join(errs...)
}

func parseClaimJSON(tuple []json.RawMessage, errs []error) (*foyer.Claim, []error) {
	if tuple == nil {
		return nil, errs
	}
	var c foyer.Claim
	return &c, append(errs, unmarshalTuple(tuple, &c.Disabled, &c.Sites))
}

func unmarshalTuple(tuple []json.RawMessage, to ...any) error {
	for i, raw := range tuple {
		if i < len(to) {
			if err := json.Unmarshal(raw, to[i]); err != nil {
				return fmt.Errorf("the change log is damaged: %w", err)
			}
		}
	}
	return nil
}

// FlagNames are the names of what a foyer.FlagChange can be about.
var FlagNames = []string{"permanent", "pinned", "notify", "notes"}

// changeEncoder turns the changes of one run, in the order of their entries, into chunks.
type changeEncoder struct {
	org     foyer.OrgID
	run     foyer.RunID
	dialect dialect
	first   foyer.EntryID
	count   int
	lines   []byte
	load    *load // chunks that are not handed over yet, to PostgreSQL; nil: there are none
}

func (w *changeEncoder) put(c *foyer.Change, out *batch) {
	if w.count == 0 {
		w.first = c.Entry
	}
	w.lines = appendChange(w.lines, c)
	if w.count++; w.count == maxChunkChanges {
		w.flush(out)
	}
}

func (w *changeEncoder) flush(out *batch) {
	if w.count == 0 {
		return
	}
	if w.dialect == postgresDialect {
		if w.load == nil {
			w.load = newLoad()
		}
		w.load.begin(3)
		w.load.number(int64(w.run))
		w.load.number(int64(w.first))
		w.load.built(w.lines)
		if w.load.rows == maxChunkChanges {
			w.send(out)
		}
	} else {
		out.statements = append(out.statements, statement{query: `INSERT INTO change_chunk (org, run, first, changes) VALUES (?, ?, ?, ?)`,
			args: []any{string(w.org), int64(w.run), int64(w.first), string(w.lines)}})
	}
	w.count, w.lines = 0, w.lines[:0]
}

// send hands over the chunks that wait.
func (w *changeEncoder) send(out *batch) {
	if w.load != nil {
		out.statements = append(out.statements, statement{query: loadChanges, load: w.load})
		w.load = nil
	}
}

// Changes calls yield for each entry that a run changed, by ascending id, until it returns an error.
func (s *Store) Changes(ctx context.Context, caller foyer.Caller, org foyer.OrgID, run foyer.RunID, yield func(*foyer.Change) error) error {
	if err := caller.May(foyer.ReadBook, org); err != nil {
		return err
	}
	return s.snapshot(ctx, org, "read the change log", func(t *txn) error { return readChanges(t, org, run, yield) })
}

// Changes calls yield for each entry that a run changed, by ascending id, until it returns an error. yield must not ask the book for anything.
func (b *Book) Changes(run foyer.RunID, yield func(*foyer.Change) error) error {
	return readChanges(b.t, b.Org.ID, run, yield)
}

func readChanges(t *txn, org foyer.OrgID, run foyer.RunID, yield func(*foyer.Change) error) error {
	const q = `SELECT changes FROM change_chunk WHERE org = $1 AND run = $2 ORDER BY first`
	return t.each(q, []any{org, run}, func(rows *sql.Rows) error {
		var chunk []byte
		if err := rows.Scan(&chunk); err != nil {
			return err
		}
		for line := range bytes.Lines(chunk) {
			change, err := parseChange(line)
			if err != nil {
				return err
			}
			if err := yield(&change); err != nil {
				return err
			}
		}
		return nil
	})
}

// ChangeBatches calls yield for what a run changed, some entries at a time, by ascending id. Unlike that of Changes, yield may ask the book.
func (b *Book) ChangeBatches(run foyer.RunID, yield func([]*foyer.Change) error) error {
	for first := foyer.EntryID(0); ; {
		var chunk []byte
		const q = `SELECT first, changes FROM change_chunk WHERE org = $1 AND run = $2 AND first > $3 ORDER BY first LIMIT 1`
		err := b.t.get(q, []any{b.Org.ID, run, first}, &first, &chunk)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		var batch []*foyer.Change
		for line := range bytes.Lines(chunk) {
			change, err := parseChange(line)
			if err != nil {
				return err
			}
			batch = append(batch, &change)
		}
		if err := yield(batch); err != nil {
			return err
		}
	}
}

// RemovedBy calls yield for each entry that a run removed. yield must not ask the book for anything.
func (b *Book) RemovedBy(run foyer.RunID, yield func(*foyer.Change) error) error {
	const q = `SELECT changes FROM change_chunk WHERE org = $1 AND run = $2 ORDER BY first`
	return b.t.each(q, []any{b.Org.ID, run}, func(rows *sql.Rows) error {
		var chunk sql.RawBytes
		if err := rows.Scan(&chunk); err != nil {
			return err
		}
		for line := range bytes.Lines(chunk) {
			if !bytes.Contains(line, []byte(`,"removed":true`)) {
				continue
			}
			c, err := parseChange(line)
			if err == nil && c.Removed {
				err = yield(&c)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// ChangeOf returns what a run did to one entry; nil where the log has nothing of it.
func (b *Book) ChangeOf(run foyer.RunID, entry foyer.EntryID) (*foyer.Change, error) {
	return changeOf(b.t, b.Org.ID, run, entry)
}

// changeOf returns what a run did to one entry; nil where the log no longer has it.
func changeOf(t *txn, org foyer.OrgID, run foyer.RunID, entry foyer.EntryID) (*foyer.Change, error) {
	var chunk []byte
	const q = `SELECT changes FROM change_chunk WHERE org = $1 AND run = $2 AND first <= $3 ORDER BY first DESC LIMIT 1`
	err := t.get(q, []any{org, run, entry}, &chunk)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	wanted := []byte(fmt.Sprintf(`{"entry":%d,`, entry))
	for line := range bytes.Lines(chunk) {
		if bytes.HasPrefix(line, wanted) {
			change, err := parseChange(line)
			return &change, err
		}
	}
	return nil, nil
}
