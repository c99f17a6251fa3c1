package csvfile

import (
	"bytes"
	"io"
	"slices"
	"unicode/utf8"

	"foyer"
)

// Reader reads the rows of a CSV file.
type Reader struct {
	scan     *scanner
	raw      *counter
	size     int64 // bytes that the Sniffer saw
	encoding Encoding
	steps    []step // which columns fill what, in the order that decides
	has      [numTargets]bool
	unnamed  []int // columns without a header, in which nothing was found yet
	quotes   bool  // the file puts its cells in quotes, judging by its last header
	rows     int
	warnings []foyer.Problem
	err      error
}

// bufferSize is how much of a file is held, but for records that are longer.
const bufferSize = 128 << 10

// NewReader reads the header of the file whose bytes r gives from the start, and of which s saw all. The error is a *foyer.Error: Malformed
// or Unsupported (see Sniffer.Err); Invalid for a header that cannot be used, without an email column or with the same header twice;
// TooLarge for one beyond the limits. Any other error is one of r.
func NewReader(r io.Reader, s *Sniffer, o Options) (*Reader, error) {
	return newReader(r, s, o, bufferSize)
}

func newReader(src io.Reader, s *Sniffer, o Options, size int) (*Reader, error) {
	if err := s.Err(); err != nil {
		return nil, err
	}
	further, err := foldHeaders(o.Headers)
	if err != nil {
		return nil, err
	}
	raw := &counter{src: src}
	r := &Reader{raw: raw, size: s.Size(), encoding: s.Encoding(o.Windows1252)}
	r.scan = newScanner(newDecoder(raw, r.encoding), size, o.Limits.withDefaults())
	if r.encoding == Windows1252 && !o.Windows1252 {
		r.warn("", "the file is not UTF-8 and was read as Windows-1252; save it as UTF-8, or set the source to Windows-1252")
	}
	if err := r.scan.fill(); err != nil {
		return nil, err
	}
	if bytes.HasPrefix(r.scan.buf[:r.scan.end], []byte(byteOrderMark)) {
		r.scan.after = len(byteOrderMark)
	}
	sep, err := r.scan.preamble()
	if err != nil {
		return nil, err
	}
	if err := r.scan.detect(sep, further); err != nil {
		return nil, err
	}
	if err := r.header(further); err != nil {
		return nil, err
	}
	return r, nil
}

// Encoding returns how the file's characters are written.
func (r *Reader) Encoding() Encoding { return r.encoding }

// Header returns the headers as they stand in the file.
func (r *Reader) Header() []string { return slices.Clone(r.scan.names) }

// Has tells whether the file has a column for the field of that name, as CheckHeaders takes it: "site", "enabled", "mobile".
func (r *Reader) Has(name string) bool {
	t, ok := parseTarget(name)
	return ok && t < numTargets && r.has[t]
}

// Warnings returns what was found about the file as a whole, of Line 0: unknown columns, a column without a header that holds values,
// an encoding that had to be guessed. It is complete once Next returned io.EOF.
func (r *Reader) Warnings() []foyer.Problem { return r.warnings }

// Next reads the next row into row, replacing what is in it. Lines of nothing but blanks and delimiters are passed over; a row without an
// email is returned, for its caller to count (R15). Problems of the row are in it, and do not stop the file.
//
// It returns io.EOF after the last row of a file that was read to its end (R20), and then only. A *foyer.Error refuses the file, Invalid for a
// broken or cut one, TooLarge for one beyond the limits; any other error is one of reading. An error is returned again by every later call.
//
// The strings of row.Record and row.Mentions alias the Reader's buffer and hold until the next call, as the two slices do; what a Problem
// says may be kept. Mentions is filled of bad rows, and of those whose email is none, which the caller will find bad.
func (r *Reader) Next(row *foyer.Row) error {
	if r.err == nil {
		r.err = r.next(row)
	}
	return r.err
}

func (r *Reader) next(row *foyer.Row) error {
	for {
		if err := r.scan.record(); err == io.EOF {
			return r.finish()
		} else if err != nil {
			return err
		}
		if err := r.decoded(); err != nil {
			return err
		}
		cells := r.scan.cells
		if len(cells) == 1 && r.emptyFrom(0) {
			continue
		}
		if err := r.whole(); err != nil {
			return err
		}
		if !r.emptyFrom(0) {
			break
		}
	}
	if r.rows++; r.rows > r.scan.limits.Rows {
		return r.scan.refuse(foyer.TooLarge, r.scan.line, -1, "the file has more than %d rows, which is the limit", r.scan.limits.Rows)
	}
	row.Record = foyer.Record{}
	row.Line, row.Bad = r.scan.line, false
	row.Mentions, row.Problems = row.Mentions[:0], row.Problems[:0]
	r.read(row)
	return nil
}

// finish ends a file that was scanned to its end.
func (r *Reader) finish() error {
	if r.raw.n != r.size {
		return errChanged
	}
	return io.EOF
}

// emptyFrom tells whether the record's cells say nothing, from that one on.
func (r *Reader) emptyFrom(col int) bool {
	cells := r.scan.cells
	for i := col; i < len(cells); i++ {
		if r.scan.text(&cells[i]) != "" {
			return false
		}
	}
	return true
}

// whole refuses a file at a record that must be taken for two that ran into one, or for half of one: who is missing would be disabled.
func (r *Reader) whole() error {
	s := r.scan
	have, want := len(s.cells), len(s.names)
	if s.unended && have < want {
		return s.refuse(foyer.Invalid, s.line, -1, "the last row has %d cells, the header has %d, and no line end follows: the file was cut; send it again", have, want)
	}
	if last := s.cells[have-1]; s.unended && have == want && want > 1 && r.quotes && last.marks&quoted == 0 && last.start == last.end {
		return s.refuse(foyer.Invalid, s.line, want-1, "the last row ends before its last cell, and no line end follows: the file was cut; send it again")
	}
	if s.marks&lines == 0 {
		return nil
	}
	for i, c := range s.cells {
		if c.marks&lines == 0 {
			continue
		}
		if have != want {
			return s.refuse(foyer.Invalid, s.lineAt(c.start), i, "a value in quotes runs over several lines, and its row has %d cells where the header has %d: "+
				"close the quote opened here, or double the quotes inside the value", have, want)
		}
		content := s.buf[c.start:c.end]
		if want > 1 && bytes.IndexByte(content, '@') >= 0 && bytes.Count(content, []byte{s.delim}) >= want-1 {
			return s.refuse(foyer.Invalid, s.lineAt(c.start), i, "a value in quotes runs over several lines and holds what looks like other rows: "+
				"close the quote opened here, or double the quotes inside the value")
		}
	}
	return nil
}

// decoded refuses a file at bytes that are not text in its encoding.
func (r *Reader) decoded() error {
	s := r.scan
	if s.marks&high == 0 || utf8.Valid(s.buf[s.pos:s.after]) {
		return nil
	}
	at := s.pos
	for {
		c, n := utf8.DecodeRune(s.buf[at:s.after])
		if c == utf8.RuneError && n <= 1 {
			break
		}
		at += n
	}
	col := slices.IndexFunc(s.cells, func(c cell) bool { return at < c.end })
	bad := s.buf[at]
	cut := s.unended && !utf8.FullRune(s.buf[at:s.after])
	line := s.lineAt(at)
	switch utf16 := r.encoding == UTF16LE || r.encoding == UTF16BE; {
	case cut && r.encoding == UTF8, utf16 && bad == 0xFF:
		return s.refuse(foyer.Invalid, line, col, "the file ends in the middle of a character: it was cut; send it again")
	case utf16:
		return s.refuse(foyer.Invalid, line, col, "half of a UTF-16 character: the file is damaged; save it as UTF-8")
	case r.encoding == Windows1252:
		return s.refuse(foyer.Invalid, line, col, "the byte 0x%02X is neither UTF-8 nor Windows-1252; save the file as UTF-8", bad)
	}
	return s.refuse(foyer.Invalid, line, col, "the byte 0x%02X is not UTF-8, as other characters of the file are: it is neither UTF-8 nor Windows-1252; save it as UTF-8", bad)
}
