package csvfile

import (
	"io"
	"strings"

	"foyer"
)

// Writer writes records as a CSV with the header of the sample format, in UTF-8, which a Reader reads back as it was. What the sample format
// has no column for (display name, manager, external id, enabled …) is left out. Create one with NewWriter and end it with Flush.
type Writer struct {
	w   io.Writer
	buf []byte
	err error
}

// NewWriter returns a Writer to w. The header is written with the first record, or by Flush.
func NewWriter(w io.Writer) *Writer {
	header := AppendRow(nil, "FIRSTNAME", "LASTNAME", "TITLE", "DIVISION", "EMAIL", "MOBILE", "DESKPHONE", "SITE")
	return &Writer{w: w, buf: header}
}

// Write writes one record. An error is one of the underlying writer, and returned by all later calls.
func (w *Writer) Write(rec *foyer.Record) error {
	v := &rec.Values
	w.buf = AppendRow(w.buf, v[foyer.FirstName], v[foyer.LastName], v[foyer.Title], v[foyer.Division], v[foyer.Email], v[foyer.Mobile], v[foyer.DeskPhone], rec.Site)
	if len(w.buf) >= 32<<10 {
		return w.Flush()
	}
	return w.err
}

// Flush writes what is still held back.
func (w *Writer) Flush() error {
	if w.err == nil {
		_, w.err = w.w.Write(w.buf)
	}
	w.buf = w.buf[:0]
	return w.err
}

// AppendRow appends one row of CSV (RFC 4180): cells separated by commas, quoted where they must be, ended by CRLF.
//
// A spreadsheet takes a cell that begins with = + - @ tab or CR for a formula, and a name may have been typed by an attacker: such a cell gets an
// apostrophe in front, which a Reader takes off again. A phone number (+1 416 999-8888 x12) is left alone: it holds nothing that could call anything.
func AppendRow(b []byte, cells ...string) []byte {
	for i, cell := range cells {
		if i > 0 {
			b = append(b, ',')
		}
		guarded := isFormula(cell) || unguard(cell) != cell // the latter, or the Reader would take off an apostrophe that is the value's own
		// Alone on its line, an empty cell would be a blank line.
		quoted := strings.ContainsAny(cell, ",;|\t\r\n\"") || cell != strings.TrimSpace(cell) || cell == "" && len(cells) == 1
		if quoted {
			b = append(b, '"')
		}
		if guarded {
			b = append(b, '\'')
		}
		for {
			before, after, found := strings.Cut(cell, `"`)
			b = append(b, before...)
			if !found {
				break
			}
			b = append(b, `""`...)
			cell = after
		}
		if quoted {
			b = append(b, '"')
		}
	}
	return append(b, '\r', '\n')
}

// isFormula tells whether a spreadsheet might take the cell for a formula, blanks in front or not.
func isFormula(cell string) bool {
	first := strings.TrimLeftFunc(cell, isBlank)
	if first == "" {
		return false
	}
	switch first[0] {
	case '=', '-', '@':
		return true
	case '+':
		digits := strings.TrimRight(first[1:], "0123456789 ().-/x")
		return digits != "" || len(first) == 1
	}
	return cell[0] == '\t' || cell[0] == '\r'
}

// unguard takes off the apostrophe that AppendRow puts in front of what a spreadsheet would take for a formula. Of several it takes one.
func unguard(v string) string {
	if rest := strings.TrimLeft(v, "'"); len(rest) < len(v) && rest != "" && strings.IndexByte("=+-@", rest[0]) >= 0 {
		return v[1:]
	}
	return v
}
