package store

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"iter"
	"slices"

	"foyer"
)

// newAddresses are emails that are to mean entries, kept until all are known: a first load has as many as rows, and is a quarter faster where they are written in the order of the
// index. They are sorted by and by, while the database works on what else is written.
type newAddresses struct {
	org     foyer.OrgID
	dialect dialect
	first   bool           // the book was empty before
	runs    [][]newAddress // sorted, but for the last
	pieces  [][]byte       // of each its entry, the length of its key, its key
}

// newAddress is one of them: how its key begins, and where the rest is.
type newAddress struct {
	prefix    [2]uint64
	piece, at uint32
}

const (
	addressPiece = 1 << 20 // the size of a large piece of memory, in bytes
	addressRun   = 1 << 16 // how many are sorted at once
)

func (n *newAddresses) add(key string, entry foyer.EntryID) {
	last, room := len(n.pieces)-1, len(key)+2*binary.MaxVarintLen64
	if last < 0 || len(n.pieces[last])+room > cap(n.pieces[last]) {
		last++
		size := min(addressPiece, 4096<<min(last, 8)) // most syncs bring few
		n.pieces = append(n.pieces, make([]byte, 0, max(size, room)))
	}
	var prefix [16]byte
	copy(prefix[:], key)
	begins := [2]uint64{binary.BigEndian.Uint64(prefix[:]), binary.BigEndian.Uint64(prefix[8:])}
	n.put(newAddress{begins, uint32(last), uint32(len(n.pieces[last]))})
	b := binary.AppendUvarint(n.pieces[last], uint64(entry))
	b = binary.AppendUvarint(b, uint64(len(key)))
	n.pieces[last] = append(b, key...)
}

func (n *newAddresses) put(a newAddress) {
	last := len(n.runs) - 1
	if last < 0 || len(n.runs[last]) == addressRun {
		if last >= 0 {
			slices.SortFunc(n.runs[last], n.compare)
		}
		last++
		n.runs = append(n.runs, nil)
	}
	n.runs[last] = append(n.runs[last], a)
}

// get returns what was added. The key is good for as long as n is.
func (n *newAddresses) get(a newAddress) (key []byte, entry foyer.EntryID) {
	b := n.pieces[a.piece][a.at:]
	id, size := binary.Uvarint(b)
	length, more := binary.Uvarint(b[size:])
	return b[size+more:][:length], foyer.EntryID(id)
}

func (n *newAddresses) compare(a, b newAddress) int {
	if a.prefix != b.prefix {
		return cmp.Or(cmp.Compare(a.prefix[0], b.prefix[0]), cmp.Compare(a.prefix[1], b.prefix[1]))
	}
	keyA, _ := n.get(a)
	keyB, _ := n.get(b)
	return bytes.Compare(keyA, keyB)
}

// sorted yields all of them in the order of their keys. Nothing is to be added any more.
func (n *newAddresses) sorted() iter.Seq[newAddress] {
	return func(yield func(newAddress) bool) {
		runs := slices.Clone(n.runs)
		if len(runs) > 0 {
			slices.SortFunc(runs[len(runs)-1], n.compare)
		}
		for len(runs) > 0 {
			least := 0
			for i := range runs {
				if n.compare(runs[i][0], runs[least][0]) < 0 {
					least = i
				}
			}
			if !yield(runs[least][0]) {
				return
			}
			if runs[least] = runs[least][1:]; len(runs[least]) == 0 {
				runs = slices.Delete(runs, least, least+1)
			}
		}
	}
}

// statements calls send with the statements that store them, until it returns false.
func (n *newAddresses) statements(send func(statement) bool) {
	conflict := onAddressConflict
	if n.first {
		conflict = "" // nobody has an email yet; PostgreSQL is twice as fast where it need not look
	}
	var texts rowTexts
	var args []any
	full := 4 * n.dialect.size(addressBatch, rowsMany)
	flush := func() bool {
		if len(args) == 0 {
			return true
		}
		rows := len(args) / 4
		text, few := n.dialect.rows(&texts, args, 4)
		args = nil
		return send(statement{insertAddresses + text + conflict, few, rows})
	}
	for a := range n.sorted() {
		if args == nil {
			args = make([]any, 0, full)
		}
		key, entry := n.get(a)
		args = append(args, string(n.org), string(key), int64(entry), int64(0))
		if len(args) == full && !flush() {
			return
		}
	}
	flush()
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
