package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"sync"

	"github.com/jackc/pgx/v5/stdlib"
)

// rowWriter takes the values of rows, column by column.
type rowWriter interface {
	text(string)
	built([]byte) // a text, which is copied
	number(int64)
}

// params are the values of rows as a statement has them.
type params []any

func (p *params) text(v string)  { *p = append(*p, v) }
func (p *params) built(v []byte) { *p = append(*p, string(v)) }
func (p *params) number(v int64) { *p = append(*p, v) }

// How many rows of people go in at once, unless they are long. What COPY prepares each time takes a millisecond or two.
const (
	loadRows  = 10000
	loadBytes = 4 << 20
)

// load is rows as COPY has them in its binary form (PostgreSQL's manual, COPY, Binary Format).
type load struct {
	data []byte
	rows int
}

// loads keeps the memory of loads that were sent.
var loads = sync.Pool{New: func() any { return &load{} }}

const loadHeader = "PGCOPY\n\xff\r\n\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00" // no flags, nothing that extends the header

func newLoad() *load { return loads.Get().(*load) }

// begin begins a row of so many columns.
func (l *load) begin(columns int) {
	if l.rows++; l.rows == 1 {
		l.data = append(l.data[:0], loadHeader...)
	}
	l.data = binary.BigEndian.AppendUint16(l.data, uint16(columns))
}

func (l *load) text(v string)  { l.data = appendSized(l.data, v) }
func (l *load) built(v []byte) { l.data = appendSized(l.data, v) }

func appendSized[T string | []byte](b []byte, v T) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(v))), v...)
}

func (l *load) number(v int64) {
	l.data = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(l.data, 8), uint64(v))
}

// full tells whether the rows are to go in.
func (l *load) full() bool { return l.rows == loadRows || len(l.data) >= loadBytes }

// truth writes a column of type smallint, 0 or 1.
func (l *load) truth(v bool) {
	l.data = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint32(l.data, 2), uint16(flag(v)))
}

// load inserts rows, of a table with these columns, and returns how many it wrote. It takes the rows' memory.
func (t *txn) load(into string, l *load) (rows int64, err error) {
	query := "COPY " + t.doors + "." + into + " FROM STDIN (FORMAT binary)"
	l.data = binary.BigEndian.AppendUint16(l.data, 0xffff) // the end
	err = t.conn.Raw(func(driver any) error {
		conn, ok := driver.(*stdlib.Conn)
		if !ok {
			return errors.New("COPY is for PostgreSQL")
		}
		tag, err := conn.Conn().PgConn().CopyFrom(t.ctx, bytes.NewReader(l.data), query)
		rows = tag.RowsAffected()
		return err
	})
	if err != nil {
		return 0, errors.Join(t.ctx.Err(), err) // the driver may still be reading
	}
	l.rows = 0
	loads.Put(l)
	t.written.Add(rows)
	return rows, nil
}
