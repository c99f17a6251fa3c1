package reconcile

import (
	"fmt"
	"runtime/debug"
	"sync/atomic"

	"foyer"
)

// ahead hands rows from the goroutine that reads them to one that works on them, some hundreds at a time.
type ahead struct {
	work   func(packed []byte, row aheadRow) error
	filled *rowBatch
	full   chan *rowBatch
	spare  chan *rowBatch
	ended  chan struct{}
	failed atomic.Bool // it goes on for nothing
	err    error       // of work, once it ended
}

// rowBatch is rows on their way, each behind a prefix.
type rowBatch struct {
	packed []byte
	rows   []aheadRow
}

// aheadRow is a row on its way.
type aheadRow struct {
	end    int32 // where it ends in its batch
	line   int32
	noHash bool // its hash must not be kept
}

// aheadBytes is how many bytes of rows are handed over at once.
const aheadBytes = 64 << 10

// newAhead begins to call work for each row that is put, in their order, until it returns an error.
func newAhead(work func(packed []byte, row aheadRow) error) *ahead {
	a := &ahead{work: work, filled: &rowBatch{}, full: make(chan *rowBatch, 1), spare: make(chan *rowBatch, 3), ended: make(chan struct{})}
	a.spare <- &rowBatch{}
	a.spare <- &rowBatch{}
	go func() {
		defer close(a.ended)
		for batch := range a.full {
			if a.err == nil {
				a.err = a.take(batch)
				a.failed.Store(a.err != nil)
			}
			batch.packed, batch.rows = batch.packed[:0], batch.rows[:0]
			a.spare <- batch
		}
	}()
	return a
}

// take works on a batch. A panic on the way fails the delivery, not the process, which serves other organizations too.
func (a *ahead) take(batch *rowBatch) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("panic while comparing rows: %v\n%s", fault, debug.Stack())
		}
	}()
	start := int32(0)
	for _, row := range batch.rows {
		if err := a.work(batch.packed[start:row.end], row); err != nil {
			return err
		}
		start = row.end
	}
	return nil
}

// put hands over a row, packed behind a prefix.
func (a *ahead) put(r *foyer.Record, prefix []byte, row aheadRow) {
	b := a.filled
	b.packed = r.AppendPacked(append(b.packed, prefix...))
	row.end = int32(len(b.packed))
	b.rows = append(b.rows, row)
	if len(b.packed) >= aheadBytes {
		a.full <- b
		a.filled = <-a.spare
	}
}

// end waits until all rows are worked on, and returns what work returned.
func (a *ahead) end() error {
	a.full <- a.filled
	close(a.full)
	<-a.ended
	return a.err
}
