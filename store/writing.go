package store

import (
	"fmt"
	"iter"
	"runtime/debug"
	"strconv"
	"strings"

	"foyer"
)

// A delta is written by two goroutines: one works out what to write and encodes it, batch by batch; the other, which has the transaction,
// carries the batches out. A first load takes a third less time for it.

// batch is a part of a delta, encoded.
type batch struct {
	claims     []claimItem
	statements []statement
	emails     []foyer.EmailChange
	ids        []idItem
	last       foyer.EntryID
	after      bool  // its statements come after all else
	err        error // working out the delta failed here
}

type claimItem struct {
	entry foyer.EntryID
	write ClaimWrite
}

type idItem struct {
	entry  foyer.EntryID
	change foyer.IDChange
}

type statement struct {
	query string
	args  []any
	load  *load // rows that go in by COPY: query says into what; nil for any other
	rows  int   // how many it is to write, unless an email belongs to another entry by now; 0: any number
}

// writeBatch is how many writes are handed over at once.
const writeBatch = 500

// writeAll writes a delta. It returns the id of the next new entry, and whether there was anything to write.
func writeAll(t *txn, org foyer.OrgID, d *Delta, next foyer.EntryID) (_ foyer.EntryID, wrote bool, err error) {
	if d.Writes == nil {
		return next, false, nil
	}
	batches, stop := make(chan *batch, t.dialect.size(2, 2*loadRows/writeBatch)), make(chan struct{})
	e := encoder{entryEncoder{org: org, dialect: t.dialect}, changeEncoder{org: org, run: d.Run.ID, dialect: t.dialect}, newAddresses{org: org, dialect: t.dialect, first: next == 1, run: addressRun}}
	go e.encode(d.Writes, batches, stop)
	w := writers{t: t, org: org, claims: map[foyer.SourceID]*claimWriter{}}
	for b := range batches {
		if err == nil {
			if err = b.err; err == nil {
				err = w.carryOut(b)
			}
			if err != nil {
				close(stop)
			}
		}
		wrote = wrote || len(b.claims)+len(b.statements) > 0
		next = max(next, b.last+1)
	}
	if err != nil {
		return 0, false, err
	}
	return next, wrote, w.finish()
}

// encoder turns writes into batches.
type encoder struct {
	entries   entryEncoder
	changes   changeEncoder
	addresses newAddresses
}

// encode encodes writes and sends them until there are no more, or nobody wants any. It closes batches in the end. A panic on the way fails
// the delta, not the process, which serves other organizations too.
func (e *encoder) encode(writes iter.Seq2[*Write, error], batches chan<- *batch, stop <-chan struct{}) {
	defer close(batches)
	out, count := &batch{}, 0
	send := func() bool {
		select {
		case batches <- out:
			out, count = &batch{}, 0
			return true
		case <-stop:
			return false
		}
	}
	defer func() {
		if fault := recover(); fault != nil {
			out = &batch{err: fmt.Errorf("panic while working out what to write: %v\n%s", fault, debug.Stack())}
			send()
		}
	}()
	for write, err := range writes {
		if err != nil {
			out.err = err
			send()
			return
		}
		e.put(write, out)
		if count++; count == writeBatch && !send() {
			return
		}
	}
	e.entries.flush(out)
	e.changes.flush(out)
	e.changes.send(out)
	if !send() {
		return
	}
	e.addresses.statements(func(s statement) bool {
		out.after, out.statements = true, []statement{s}
		return send()
	})
}

// put encodes one write.
func (e *encoder) put(write *Write, b *batch) {
	b.last = write.ID
	for _, claim := range write.Claims {
		b.claims = append(b.claims, claimItem{write.ID, claim})
	}
	if write.Change != nil {
		e.changes.put(write.Change, b)
	}
	if write.Key != "" {
		e.addresses.add(write.Key, write.ID)
	}
	b.emails = append(b.emails, write.Emails...)
	for _, id := range write.IDs {
		b.ids = append(b.ids, idItem{write.ID, id})
	}
	if write.Remove {
		e.entries.remove(write.ID, b)
	} else if write.Entry != nil {
		e.entries.put(write.Entry, write.New, b)
	}
}

// writers carry out batches.
type writers struct {
	t        *txn
	org      foyer.OrgID
	claims   map[foyer.SourceID]*claimWriter
	emails   []foyer.EmailChange
	ids      []idItem
	finished bool
}

func (w *writers) carryOut(b *batch) error {
	if b.after {
		if err := w.finish(); err != nil {
			return err
		}
	}
	for i := range b.claims {
		if err := w.putClaim(b.claims[i].entry, &b.claims[i].write); err != nil {
			return err
		}
	}
	for _, s := range b.statements {
		rows, err := w.t.carryOut(s)
		if err != nil {
			return err
		}
		if s.rows != 0 && rows != int64(s.rows) {
			return foyer.Errorf(foyer.Conflict, "an email of this change belongs to another entry by now; nothing was changed, try again")
		}
	}
	w.emails = append(w.emails, b.emails...)
	w.ids = append(w.ids, b.ids...)
	return nil
}

func (w *writers) putClaim(entry foyer.EntryID, c *ClaimWrite) error {
	writer := w.claims[c.Source]
	if writer == nil {
		writer = &claimWriter{t: w.t, org: w.org, source: c.Source}
		w.claims[c.Source] = writer
	}
	if c.Forget {
		return writer.forget(entry)
	}
	return writer.put(entry, c.Claim)
}

// finish writes what waited for all entries. It does so once.
func (w *writers) finish() error {
	if w.finished {
		return nil
	}
	w.finished = true
	for _, claims := range w.claims {
		if err := claims.finish(); err != nil {
			return err
		}
	}
	if err := changeEmails(w.t, w.org, w.emails); err != nil {
		return err
	}
	return changeIDs(w.t, w.org, w.ids)
}

// rowTexts makes the text of many rows of values where some columns say the same in all of them, as most do of what one file brought: such a
// value is handed to the database once. Handing it over takes longer than storing it.
type rowTexts struct {
	texts map[rowShape]string
}

// rowShape is how many rows there are, and a bit for each column that is the same in all.
type rowShape struct {
	rows int
	same uint32
}

// maxShapes bounds how many statements are kept prepared for it.
const maxShapes = 64

// of returns the text "(?, ?), (?1, ?), …" for args, which are whole rows of so many columns, and the parameters for it, in the memory of args.
func (r *rowTexts) of(args []any, columns int) (text string, few []any) {
	shape := rowShape{len(args) / columns, 1<<columns - 1}
	for i := columns; i < len(args) && shape.same != 0; i++ {
		if column := i % columns; shape.same>>column&1 != 0 && args[i] != args[column] {
			shape.same &^= 1 << column
		}
	}
	text, known := r.texts[shape]
	if !known && len(r.texts) >= maxShapes || shape.rows == 1 {
		return values(shape.rows, columns), args
	}
	if !known {
		text = shape.text(columns)
		if r.texts == nil {
			r.texts = map[rowShape]string{}
		}
		r.texts[shape] = text
	}
	few = args[:columns]
	for i := columns; i < len(args); i++ {
		if shape.same>>(i%columns)&1 == 0 {
			few = append(few, args[i])
		}
	}
	return text, few
}

func (s rowShape) text(columns int) string {
	row := make([]string, columns)
	for column := range row {
		row[column] = "?"
		if s.same>>column&1 != 0 {
			row[column] = "?" + strconv.Itoa(column+1) // that of the first row
		}
	}
	return values(1, columns) + strings.Repeat(", ("+strings.Join(row, ", ")+")", s.rows-1)
}
