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
	run     int            // how many are sorted at once
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
	addressRun   = 1 << 16
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
	if last < 0 || len(n.runs[last]) == n.run {
		if last >= 0 {
			n.sort(n.runs[last], 0)
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

// sort sorts addresses whose keys begin with the same so many bytes: by the next byte, and then those that have the same one. It takes half the time of comparing them all.
func (n *newAddresses) sort(list []newAddress, same int) {
	if len(list) < 64 || same == 16 {
		slices.SortFunc(list, n.compare)
		return
	}
	var next, ends [256]int
	for i := range list {
		ends[list[i].byteAt(same)]++
	}
	sum := 0
	for b, count := range ends {
		next[b] = sum
		sum += count
		ends[b] = sum
	}
	for b := range ends { // each is swapped to where its byte's part goes on
		for i := next[b]; i < ends[b]; i = next[b] {
			to := list[i].byteAt(same)
			list[i], list[next[to]] = list[next[to]], list[i]
			next[to]++
		}
	}
	start := 0
	for _, end := range ends {
		n.sort(list[start:end], same+1)
		start = end
	}
}

// byteAt returns a byte of how the key begins.
func (a *newAddress) byteAt(i int) byte { return byte(a.prefix[i/8] >> (56 - 8*(i%8))) }

func (n *newAddresses) compare(a, b newAddress) int {
	if a.prefix[0] != b.prefix[0] {
		return cmp.Compare(a.prefix[0], b.prefix[0])
	}
	if a.prefix[1] != b.prefix[1] {
		return cmp.Compare(a.prefix[1], b.prefix[1])
	}
	keyA, _ := n.get(a)
	keyB, _ := n.get(b)
	return bytes.Compare(keyA, keyB)
}

// sorted yields all of them in the order of their keys. Nothing is to be added any more.
func (n *newAddresses) sorted() iter.Seq[newAddress] {
	return func(yield func(newAddress) bool) {
		runs := addressHeap{n.compare, slices.Clone(n.runs)}
		if last := len(n.runs) - 1; last >= 0 {
			n.sort(n.runs[last], 0)
		}
		for i := range runs.of {
			runs.sink(len(runs.of) - 1 - i)
		}
		for len(runs.of) > 0 {
			least := &runs.of[0]
			if !yield((*least)[0]) {
				return
			}
			if *least = (*least)[1:]; len(*least) == 0 {
				last := len(runs.of) - 1
				runs.of[0], runs.of = runs.of[last], runs.of[:last]
			}
			runs.sink(0)
		}
	}
}

// addressHeap has the run that goes on with the least key at its top.
type addressHeap struct {
	compare func(a, b newAddress) int
	of      [][]newAddress
}

// sink moves the run at i down to its place.
func (h addressHeap) sink(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h.of); child++ {
			if h.compare(h.of[child][0], h.of[least][0]) < 0 {
				least = child
			}
		}
		if least == i {
			return
		}
		h.of[i], h.of[least] = h.of[least], h.of[i]
		i = least
	}
}

// statements calls send with the statements that store them, until it returns false.
func (n *newAddresses) statements(send func(statement) bool) {
	if n.first && n.dialect == postgresDialect { // nobody has an email yet: none can be another entry's
		n.load(send)
		return
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
		return send(statement{query: insertAddresses + text + onAddressConflict, args: few, rows: rows})
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

// load is statements for PostgreSQL where the book was empty before.
func (n *newAddresses) load(send func(statement) bool) {
	var rows *load
	flush := func() bool {
		s := statement{query: loadAddresses, load: rows, rows: rows.rows}
		rows = nil
		return send(s)
	}
	for a := range n.sorted() {
		if rows == nil {
			rows = newLoad()
		}
		key, entry := n.get(a)
		rows.begin(3)
		rows.built(key)
		rows.number(int64(entry))
		rows.truth(false)
		if rows.full() && !flush() {
			return
		}
	}
	if rows != nil {
		flush()
	}
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
