package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"sync"

	"github.com/jackc/pgx/v5/stdlib"
)

// loadTables are where new entries, addresses and changes go in by COPY, which takes PostgreSQL two thirds of the time of an INSERT, and which it refuses for a table with row-level security. They are
// tables over those without rows of their own: nothing can be read, changed or removed through them, and nobody says there of which organization a row is: it is of the one that the transaction is about.
var loadTables = []string{"address_load", "change_chunk_load", "entry_load"}

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

// loadRows is how many rows of a person go in at once. What COPY prepares for each of them is worth a millisecond.
const loadRows = 10000

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

func (l *load) text(v string) {
	l.data = append(binary.BigEndian.AppendUint32(l.data, uint32(len(v))), v...)
}

func (l *load) built(v []byte) {
	l.data = append(binary.BigEndian.AppendUint32(l.data, uint32(len(v))), v...)
}

func (l *load) number(v int64) {
	l.data = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(l.data, 8), uint64(v))
}

// truth writes a column of type smallint, 0 or 1.
func (l *load) truth(v bool) {
	l.data = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint32(l.data, 2), uint16(flag(v)))
}

// load runs a COPY … FROM STDIN (FORMAT binary) and returns how many rows it wrote. It takes the rows' memory.
func (t *txn) load(query string, l *load) (rows int64, err error) {
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
		return 0, err // the driver may still be reading
	}
	l.rows = 0
	loads.Put(l)
	t.written.Add(rows)
	return rows, nil
}
