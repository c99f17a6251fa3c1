package store

import (
	"database/sql"
	"slices"
	"strings"

	"foyer"
)

// newColumns are, after org, what a new entry that a source brought always has; the other columns have their defaults in it.
const newColumns = `id, email, first_name, last_name, display_name, title, division, mobile, desk_phone, manager, assistant,
	mobile_e164, desk_phone_e164, sites, claimed_by, last_run, origins`

const allColumns = `org, ` + newColumns + `, hand_sites, enabled, reason, permanent, pinned, notes, keeps, keep_end, external_ids, notify`

const (
	countNewColumns = 17
	countAllColumns = 28
	entryBatch      = 25  // rows of one INSERT: more save no more time
	addressBatch    = 100 // the same for addresses
	lookupBatch     = 200 // keys of one SELECT

	// The same on PostgreSQL, to which each statement is a way.
	entryMany  = 2000
	rowsMany   = 5000
	lookupMany = 2000
)

var (
	insertEntries   = `INSERT INTO entry (org, ` + newColumns + `) `
	loadEntries     = `entry (` + newColumns + `)`
	loadAddresses   = `address (email, entry, alias)`
	loadChanges     = `change_chunk (run, first, changes)`
	insertAddresses = `INSERT INTO address (org, email, entry, alias) `
	upsertEntries   = `INSERT INTO entry (` + allColumns + `) `
	onEntryConflict = ` ON CONFLICT (org, id) DO UPDATE SET ` + setExcluded(allColumns)

	// An address may take the place of an alias, never that of a current email of another entry.
	onAddressConflict = ` ON CONFLICT (org, email) DO UPDATE SET entry = excluded.entry, alias = excluded.alias
		WHERE address.alias = 1 OR address.entry = excluded.entry`
)

// setExcluded returns "email = excluded.email, …" for all columns but the key's.
func setExcluded(columns string) string {
	var sets []string
	for name := range strings.SplitSeq(columns, ",") {
		if name = strings.TrimSpace(name); name != "org" && name != "id" {
			sets = append(sets, name+" = excluded."+name)
		}
	}
	return strings.Join(sets, ", ")
}

// writeNew writes the values of newColumns. scratch is memory that it may use, which it returns.
func writeNew(w rowWriter, e *foyer.Entry, scratch []byte) []byte {
	w.number(int64(e.ID))
	for _, v := range e.Values {
		w.text(v)
	}
	w.text(e.E164[0])
	w.text(e.E164[1])
	scratch = appendIDs(scratch[:0], e.Sites)
	w.built(scratch)
	scratch = appendIDs(scratch[:0], e.ClaimedBy)
	w.built(scratch)
	w.number(int64(e.LastRun))
	scratch = appendOrigins(scratch[:0], &e.Origins)
	w.built(scratch)
	return scratch
}

// entryArgs appends the values of allColumns.
func entryArgs(args params, org foyer.OrgID, e *foyer.Entry) params {
	args.text(string(org))
	writeNew(&args, e, nil)
	return append(args, string(appendIDs(nil, e.HandSites)), flag(e.Enabled), string(e.Reason), flag(e.Permanent), flag(e.Pinned), e.Notes,
		string(appendKeeps(nil, &e.Keeps)), millis(e.KeepEnd()), string(appendExternalIDs(nil, e.IDs)), int64(e.Notify))
}

// flag is how a truth is stored: 0 or 1.
func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// isPlain tells whether all columns beyond newColumns have their defaults.
func isPlain(e *foyer.Entry) bool {
	return len(e.HandSites) == 0 && e.Enabled && e.Reason == "" && !e.Permanent && !e.Pinned && e.Notes == "" &&
		e.Keeps == [foyer.NumFields]foyer.Keep{} && len(e.IDs) == 0 && e.Notify == 0
}

func scanEntry(rows *sql.Rows) (*foyer.Entry, error) {
	e := &foyer.Entry{}
	var org, sites, claimedBy, origins, handSites, keeps, ids string
	var keepEnd int64
	dest := []any{&org, &e.ID}
	for f := range e.Values {
		dest = append(dest, &e.Values[f])
	}
	dest = append(dest, &e.E164[0], &e.E164[1], &sites, &claimedBy, &e.LastRun, &origins, &handSites, &e.Enabled, &e.Reason, &e.Permanent, &e.Pinned, &e.Notes,
		&keeps, &keepEnd, &ids, &e.Notify)
	if err := rows.Scan(dest...); err != nil {
		return nil, err
	}
	var err error
	if e.Sites, err = parseIDs[foyer.SiteID](sites); err != nil {
		return nil, err
	}
	if e.HandSites, err = parseIDs[foyer.SiteID](handSites); err != nil {
		return nil, err
	}
	if e.ClaimedBy, err = parseIDs[foyer.SourceID](claimedBy); err != nil {
		return nil, err
	}
	if e.IDs, err = parseExternalIDs(ids); err != nil {
		return nil, err
	}
	if err := parseKeeps(keeps, &e.Keeps); err != nil {
		return nil, err
	}
	return e, parseOrigins(origins, &e.Origins)
}

// readEntries calls yield for the organization's entries of those ids, which must ascend; those that do not exist are passed over.
func readEntries(t *txn, org foyer.OrgID, ids []foyer.EntryID, yield func(*foyer.Entry) error) error {
	for batch := range slices.Chunk(ids, t.dialect.size(lookupBatch, lookupMany)) {
		low, high := batch[0], batch[len(batch)-1]
		query := `SELECT ` + allColumns + ` FROM entry WHERE org = $1 AND id BETWEEN $2 AND $3 ORDER BY id`
		args := []any{org, low, high}
		if int(high-low) >= 2*len(batch) {
			query, args = lookUp(t.dialect, allColumns, "entry", "org = ?", args[:1], "id", batch)
			query += ` ORDER BY id`
		}
		// The result is read to its end before any of it is used: yield may need the connection.
		var found []*foyer.Entry
		err := t.each(query, args, func(rows *sql.Rows) error {
			e, err := scanEntry(rows)
			if err == nil {
				found = append(found, e)
			}
			return err
		})
		if err != nil {
			return err
		}
		for _, e := range found {
			if _, wanted := slices.BinarySearch(batch, e.ID); !wanted {
				continue
			}
			if err := yield(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// readAddresses calls yield for each of the keys that means an entry.
func readAddresses(t *txn, org foyer.OrgID, keys []string, yield func(key string, a foyer.Address)) error {
	for batch := range slices.Chunk(keys, t.dialect.size(lookupBatch, lookupMany)) {
		query, args := lookUp(t.dialect, "email, entry, alias", "address", "org = ?", []any{org}, "email", batch)
		err := t.each(query, args, func(rows *sql.Rows) error {
			var key string
			var a foyer.Address
			if err := rows.Scan(&key, &a.Entry, &a.Alias); err != nil {
				return err
			}
			yield(key, a)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// entryEncoder turns entries into statements of many rows.
type entryEncoder struct {
	org     foyer.OrgID
	dialect dialect
	texts   rowTexts
	news    params // of newColumns, for SQLite
	load    *load  // the same for PostgreSQL; nil: there are none
	changed params // of allColumns
	removed []any  // ids, ascending
	scratch []byte
}

// remove removes an entry.
func (w *entryEncoder) remove(id foyer.EntryID, out *batch) {
	if w.removed = append(w.removed, int64(id)); len(w.removed) == w.dialect.size(lookupBatch, lookupMany) {
		w.flush(out)
	}
}

func (w *entryEncoder) put(e *foyer.Entry, isNew bool, out *batch) {
	if isNew && isPlain(e) {
		w.putNew(e, out)
		return
	}
	w.changed = entryArgs(w.changed, w.org, e)
	if len(w.changed) == w.dialect.size(entryBatch, entryMany)*countAllColumns {
		w.flush(out)
	}
}

func (w *entryEncoder) putNew(e *foyer.Entry, out *batch) {
	if w.dialect == postgresDialect {
		if w.load == nil {
			w.load = newLoad()
		}
		w.load.begin(countNewColumns)
		w.scratch = writeNew(w.load, e, w.scratch)
		if w.load.full() {
			w.flush(out)
		}
		return
	}
	const columns = 1 + countNewColumns
	const full = entryBatch * columns
	if w.news == nil {
		w.news = make(params, 0, full)
	}
	w.news.text(string(w.org))
	w.scratch = writeNew(&w.news, e, w.scratch)
	if len(w.news) == full {
		w.flush(out)
	}
}

func (w *entryEncoder) flush(out *batch) {
	if w.load != nil {
		out.statements = append(out.statements, statement{query: loadEntries, load: w.load, rows: w.load.rows})
	}
	if len(w.news) > 0 {
		text, args := w.dialect.rows(&w.texts, w.news, 1+countNewColumns)
		out.statements = append(out.statements, statement{query: insertEntries + text, args: args})
	}
	if len(w.changed) > 0 {
		text, args := w.dialect.rows(nil, w.changed, countAllColumns)
		out.statements = append(out.statements, statement{query: upsertEntries + text + onEntryConflict, args: args})
	}
	if len(w.removed) > 0 {
		// They ascend: between the first and the last of each batch there are no more rows than PostgreSQL may read, whatever it knows of the table.
		text, list := w.dialect.rows(nil, w.removed, 1)
		args := append([]any{string(w.org), w.removed[0], w.removed[len(w.removed)-1]}, list...)
		out.statements = append(out.statements, statement{query: `DELETE FROM entry WHERE org = ? AND id BETWEEN ? AND ? AND id IN (` + text + `)`, args: args})
	}
	w.load, w.news, w.changed, w.removed = nil, nil, nil, nil
}
