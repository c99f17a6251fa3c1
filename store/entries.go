package store

import (
	"bytes"
	"cmp"
	"database/sql"
	"encoding/binary"
	"slices"
	"strings"

	"foyer"
)

// newColumns are what a new entry that a source brought always has; the other columns have their defaults in it.
const newColumns = `org, id, email, first_name, last_name, display_name, title, division, mobile, desk_phone, manager, assistant,
	mobile_e164, desk_phone_e164, sites, claimed_by, last_run, origins`

const allColumns = newColumns + `, hand_sites, enabled, reason, permanent, pinned, notes, keeps, keep_end, external_ids, notify`

const (
	countNewColumns = 18
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
	insertEntries   = `INSERT INTO entry (` + newColumns + `) `
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

// entryArgs appends the values of newColumns, and of the rest where all is set.
func entryArgs(args []any, org foyer.OrgID, e *foyer.Entry, all bool) []any {
	args = append(args, string(org), int64(e.ID))
	for _, v := range e.Values {
		args = append(args, v)
	}
	args = append(args, e.E164[0], e.E164[1], string(appendIDs(nil, e.Sites)), string(appendIDs(nil, e.ClaimedBy)),
		int64(e.LastRun), string(appendOrigins(nil, &e.Origins)))
	if all {
		args = append(args, string(appendIDs(nil, e.HandSites)), flag(e.Enabled), string(e.Reason), flag(e.Permanent), flag(e.Pinned), e.Notes,
			string(appendKeeps(nil, &e.Keeps)), millis(e.KeepEnd()), string(appendExternalIDs(nil, e.IDs)), int64(e.Notify))
	}
	return args
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
	news    []any // of newColumns
	changed []any // of allColumns
	removed []any // ids, ascending
}

// remove removes an entry.
func (w *entryEncoder) remove(id foyer.EntryID, out *batch) {
	if w.removed = append(w.removed, int64(id)); len(w.removed) == w.dialect.size(lookupBatch, lookupMany) {
		w.flush(out)
	}
}

func (w *entryEncoder) put(e *foyer.Entry, isNew bool, out *batch) {
	if isNew && isPlain(e) {
		full := w.dialect.size(entryBatch, entryMany) * countNewColumns
		if w.news == nil {
			w.news = make([]any, 0, full)
		}
		w.news = entryArgs(w.news, w.org, e, false)
		if len(w.news) == full {
			w.flush(out)
		}
		return
	}
	w.changed = entryArgs(w.changed, w.org, e, true)
	if len(w.changed) == w.dialect.size(entryBatch, entryMany)*countAllColumns {
		w.flush(out)
	}
}

func (w *entryEncoder) flush(out *batch) {
	if len(w.news) > 0 {
		text, args := w.dialect.rows(&w.texts, w.news, countNewColumns)
		out.statements = append(out.statements, statement{insertEntries + text, args})
	}
	if len(w.changed) > 0 {
		text, args := w.dialect.rows(nil, w.changed, countAllColumns)
		out.statements = append(out.statements, statement{upsertEntries + text + onEntryConflict, args})
	}
	if len(w.removed) > 0 {
		// They ascend: between the first and the last of each batch there are no more rows than PostgreSQL may read, whatever it knows of the table.
		text, list := w.dialect.rows(nil, w.removed, 1)
		args := append([]any{string(w.org), w.removed[0], w.removed[len(w.removed)-1]}, list...)
		out.statements = append(out.statements, statement{`DELETE FROM entry WHERE org = ? AND id BETWEEN ? AND ? AND id IN (` + text + `)`, args})
	}
	w.news, w.changed, w.removed = nil, nil, nil
}

// newAddresses are emails that are to mean entries, kept until all are known: a first load has as many as rows.
type newAddresses struct {
	list   []newAddress
	pieces [][]byte // of each its entry, the length of its key, its key
}

// newAddress is one of them: how its key begins, and where the rest is.
type newAddress struct {
	prefix    uint64
	piece, at uint32
}

// addressPiece is the size of a large piece of memory, in bytes.
const addressPiece = 1 << 20

func (n *newAddresses) add(key string, entry foyer.EntryID) {
	last, room := len(n.pieces)-1, len(key)+2*binary.MaxVarintLen64
	if last < 0 || len(n.pieces[last])+room > cap(n.pieces[last]) {
		last++
		size := min(addressPiece, 4096<<min(last, 8)) // most syncs bring few
		n.pieces = append(n.pieces, make([]byte, 0, max(size, room)))
	}
	var prefix [8]byte
	copy(prefix[:], key)
	n.list = append(n.list, newAddress{binary.BigEndian.Uint64(prefix[:]), uint32(last), uint32(len(n.pieces[last]))})
	b := binary.AppendUvarint(n.pieces[last], uint64(entry))
	b = binary.AppendUvarint(b, uint64(len(key)))
	n.pieces[last] = append(b, key...)
}

// get returns what was added. The key is good for as long as n is.
func (n *newAddresses) get(a newAddress) (key []byte, entry foyer.EntryID) {
	b := n.pieces[a.piece][a.at:]
	id, size := binary.Uvarint(b)
	length, more := binary.Uvarint(b[size:])
	return b[size+more:][:length], foyer.EntryID(id)
}

// sort puts them in the order of their keys.
func (n *newAddresses) sort() {
	slices.SortFunc(n.list, func(a, b newAddress) int {
		if a.prefix != b.prefix {
			return cmp.Compare(a.prefix, b.prefix)
		}
		keyA, _ := n.get(a)
		keyB, _ := n.get(b)
		return bytes.Compare(keyA, keyB)
	})
}

// writeAddresses stores addresses in the order of the index that they go into: a first load is a quarter faster for it. first says that the book is empty.
func writeAddresses(t *txn, org foyer.OrgID, addresses *newAddresses, first bool) error {
	addresses.sort()
	conflict := onAddressConflict
	if first {
		conflict = "" // nobody has an email yet; PostgreSQL is twice as fast where it need not look
	}
	var texts rowTexts
	size := t.dialect.size(addressBatch, rowsMany)
	args := make([]any, 0, 4*size)
	for batch := range slices.Chunk(addresses.list, size) {
		args = args[:0]
		for _, a := range batch {
			key, entry := addresses.get(a)
			args = append(args, string(org), string(key), int64(entry), int64(0))
		}
		text, few := t.dialect.rows(&texts, args, 4)
		written, err := t.count(insertAddresses+text+conflict, few...)
		if err != nil {
			return err
		}
		if written != int64(len(batch)) {
			return foyer.Errorf(foyer.Conflict, "an email of this change belongs to another entry by now; nothing was changed, try again")
		}
	}
	return nil
}

// changeEmails makes emails mean what the changes say. It must come before the emails of new entries, which may take a place that becomes free.
func changeEmails(t *txn, org foyer.OrgID, changes []foyer.EmailChange) error {
	var gone, mean []any
	last := map[string]int{} // where what an email means stands in mean: what is said last counts
	for _, c := range changes {
		if c.After.Entry == 0 {
			gone = append(gone, c.Key, int64(c.Before.Entry))
			continue
		}
		at, ok := last[c.Key]
		if !ok {
			at, last[c.Key] = len(mean), len(mean)
			mean = append(mean, string(org), c.Key, nil, nil)
		}
		mean[at+2], mean[at+3] = int64(c.After.Entry), flag(c.After.Alias)
	}
	size := t.dialect.size(addressBatch, rowsMany)
	for rows := range slices.Chunk(gone, 2*size) {
		text, args := t.dialect.rows(nil, rows, 2)
		if err := t.exec(`DELETE FROM address WHERE org = ? AND (email, entry) IN (`+text+`)`, append([]any{org}, args...)...); err != nil {
			return err
		}
	}
	for rows := range slices.Chunk(mean, 4*size) {
		text, args := t.dialect.rows(nil, rows, 4)
		err := t.exec(insertAddresses+text+` ON CONFLICT (org, email) DO UPDATE SET entry = excluded.entry, alias = excluded.alias`, args...)
		if err != nil {
			return err
		}
	}
	return nil
}

// changeIDs makes sources know entries by the ids that the changes say, in the order of the index; first what they were known by goes.
func changeIDs(t *txn, org foyer.OrgID, changes []idItem) error {
	var gone []any
	for _, c := range changes {
		if c.change.Before != "" {
			gone = append(gone, int64(c.change.Source), c.change.Before, int64(c.entry))
		}
	}
	size := t.dialect.size(addressBatch, rowsMany)
	for rows := range slices.Chunk(gone, 3*size) {
		text, args := t.dialect.rows(nil, rows, 3)
		if err := t.exec(`DELETE FROM external_id WHERE org = ? AND (source, external_id, entry) IN (`+text+`)`, append([]any{org}, args...)...); err != nil {
			return err
		}
	}
	changes = slices.DeleteFunc(changes, func(c idItem) bool { return c.change.After == "" })
	slices.SortStableFunc(changes, func(a, b idItem) int {
		return cmp.Or(cmp.Compare(a.change.Source, b.change.Source), cmp.Compare(a.change.After, b.change.After))
	})
	args := make([]any, 0, 4*size)
	for i, c := range changes {
		if i+1 < len(changes) && changes[i+1].change.Source == c.change.Source && changes[i+1].change.After == c.change.After {
			continue // what is said last counts
		}
		args = append(args, string(org), int64(c.change.Source), c.change.After, int64(c.entry))
	}
	for rows := range slices.Chunk(args, 4*size) {
		text, few := t.dialect.rows(nil, rows, 4)
		err := t.exec(`INSERT INTO external_id (org, source, external_id, entry) `+text+` ON CONFLICT (org, source, external_id) DO UPDATE SET entry = excluded.entry`, few...)
		if err != nil {
			return err
		}
	}
	return nil
}
