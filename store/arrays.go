package store

import (
	"context"
	"encoding/binary"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// packedArray is an array as PostgreSQL's protocol has it (array_recv in its arrayfuncs.c). The driver would make one only when the statement is sent, while the server waits, and
// would take longer.
type packedArray []byte

// columnOf returns the values of one column of rows as an array: texts, integers or bytes.
func columnOf(args []any, column, columns int) packedArray {
	element, size := uint32(pgtype.Int8OID), 0
	for i := column; i < len(args); i += columns {
		switch v := plain(args[i]).(type) {
		case string:
			element, size = pgtype.TextOID, size+len(v)
		case []byte:
			element, size = pgtype.ByteaOID, size+len(v)
		case int64:
			size += 8
		}
	}
	values := len(args) / columns
	b := make([]byte, 0, 20+4*values+size)
	b = binary.BigEndian.AppendUint32(b, 1) // dimensions
	b = binary.BigEndian.AppendUint32(b, 0) // none of the values is null
	b = binary.BigEndian.AppendUint32(b, element)
	b = binary.BigEndian.AppendUint32(b, uint32(values))
	b = binary.BigEndian.AppendUint32(b, 1) // the number of the first
	for i := column; i < len(args); i += columns {
		switch v := plain(args[i]).(type) {
		case string:
			b = append(binary.BigEndian.AppendUint32(b, uint32(len(v))), v...)
		case []byte:
			b = append(binary.BigEndian.AppendUint32(b, uint32(len(v))), v...)
		case int64:
			b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(b, 8), uint64(v))
		}
	}
	return b
}

// packedCodec makes a connection take packed arrays as they are.
type packedCodec struct{ pgtype.Codec }

// PlanEncode implements pgtype.Codec.
func (c packedCodec) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if _, ok := value.(packedArray); ok && format == pgtype.BinaryFormatCode {
		return packedPlan{}
	}
	return c.Codec.PlanEncode(m, oid, format, value)
}

type packedPlan struct{}

// Encode implements pgtype.EncodePlan.
func (packedPlan) Encode(value any, b []byte) ([]byte, error) {
	return append(b, value.(packedArray)...), nil
}

// takePackedArrays makes a new connection take packed arrays.
func takePackedArrays(_ context.Context, conn *pgx.Conn) error {
	for _, oid := range []uint32{pgtype.TextArrayOID, pgtype.ByteaArrayOID, pgtype.Int8ArrayOID} {
		known, _ := conn.TypeMap().TypeForOID(oid)
		conn.TypeMap().RegisterType(&pgtype.Type{Name: known.Name, OID: oid, Codec: packedCodec{known.Codec}})
	}
	return nil
}
