package csvfile

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"

	"foyer"
)

// cell is where the content of one cell stands in the scanner's buffer, without its quotes.
type cell struct {
	start, end int
	marks      marks
}

// marks say what is special about a cell; most have none, and are text as they stand.
type marks uint8

const (
	escaped  marks = 1 << iota // holds doubled quotes
	lines                      // holds line ends, in quotes
	controls                   // holds control characters, line ends and tabs among them
	high                       // holds bytes that are not ASCII
	blanks                     // begins or ends with a space, in quotes
	removed                    // held control characters, which text took out
	quoted                     // stood in quotes

	work = escaped | controls | high | blanks // what text has to undo
)

// scanner cuts UTF-8 into records and cells. It knows quotes, delimiters and line ends; what the cells mean it does not.
//
// A record is scanned only once it stands in the buffer as a whole: where the buffer ends too early, more is read and the record
// is scanned again from its start. That happens once in a buffer's length, and spares every other line of this file a state.
type scanner struct {
	src    io.Reader
	buf    []byte // its last padding bytes stay free
	end    int    // buf[:end] was read
	eof    bool
	delim  byte
	limits Limits
	names  []string // the header, for refusals; empty while the header itself is read

	// The record: buf[pos:after], the lines from line up to, not including, nextLine.
	pos, after     int
	line, nextLine int
	cells          []cell
	marks          marks // those of all its cells
	unended        bool  // ended by the end of the file, not by a line end
}

// padding is how many zero bytes follow what was read, so that eight can be loaded at every index, and find stops.
const padding = 8

// newScanner returns a scanner with a buffer of that many bytes, which grows only for a record that is longer.
func newScanner(src io.Reader, size int, limits Limits) *scanner {
	return &scanner{src: src, buf: make([]byte, size+padding), delim: ',', limits: limits, line: 1, nextLine: 1}
}

// record scans the next record. It returns io.EOF after the last, and a *foyer.Error for what cannot be read.
func (s *scanner) record() error {
	s.pos, s.line = s.after, s.nextLine
	return s.rescan()
}

// rescan scans the same record again, for another delimiter.
func (s *scanner) rescan() error {
	for {
		done, err := s.scan()
		if done || err != nil {
			return err
		}
		if err := s.fill(); err != nil {
			return err
		}
	}
}

// fill reads more, keeping what was read from the start of the record on.
func (s *scanner) fill() error {
	s.end = copy(s.buf, s.buf[s.pos:s.end])
	s.pos = 0
	if s.end+padding == len(s.buf) {
		grown := make([]byte, 2*len(s.buf))
		copy(grown, s.buf[:s.end])
		s.buf = grown
	}
	for !s.eof && s.end+padding < len(s.buf) {
		n, err := readSome(s.src, s.buf[s.end:len(s.buf)-padding])
		s.end += n
		if err == io.EOF {
			s.eof = true
		} else if err != nil {
			return fmt.Errorf("read the file: %w", err)
		}
	}
	clear(s.buf[s.end : s.end+padding])
	return nil
}

// scan cuts the record at pos into cells. It returns false where the buffer ends before the record does.
func (s *scanner) scan() (bool, error) {
	if s.pos == s.end && s.eof {
		return true, io.EOF
	}
	s.cells = s.cells[:0]
	s.marks, s.unended = 0, false
	s.nextLine = s.line
	for i := s.pos; ; i++ {
		if s.buf[i] > '"' {
			i = s.run(i)
		}
		var err error
		if c := s.buf[i]; c == ' ' || c == '\t' {
			if i, err = s.skipSpaces(i); err != nil {
				return false, err
			}
		}
		if s.buf[i] == '"' {
			i, err = s.inQuotes(i + 1)
		} else {
			i, err = s.plain(i)
		}
		if i < 0 || err != nil {
			return false, err
		}
		// The cell ends at i: at a delimiter, at a line end, or with the file.
		if len(s.cells) > s.limits.Columns {
			return false, s.refuse(foyer.TooLarge, s.nextLine, -1, "more than %d cells in a row; the limit is %[1]d columns", s.limits.Columns)
		}
		if i == s.end {
			s.after, s.unended = i, true
			return true, nil
		}
		switch s.buf[i] {
		case '\r':
			if i+1 == s.end && !s.eof {
				return false, nil
			}
			if s.buf[i+1] == '\n' {
				i++
			}
			fallthrough
		case '\n':
			s.after = i + 1
			s.nextLine++
			return true, nil
		}
	}
}

// skipSpaces returns the index of the first byte at or after i that is no blank: the blanks around a quoted cell are not part of it.
func (s *scanner) skipSpaces(i int) (int, error) {
	start := i
	for s.buf[i] == ' ' || s.buf[i] == '\t' && s.delim != '\t' {
		i++
	}
	if i-start > s.limits.Field {
		return 0, s.tooLong()
	}
	return i, nil
}

// add appends a cell to the record.
func (s *scanner) add(c cell) {
	s.marks |= c.marks
	s.cells = append(s.cells, c)
}

// run cuts off, from the start of a cell on, the cells with nothing special to them, and returns the start of the first that it leaves to plain and
// inQuotes; the last of a record always. It does nothing that they do not; it takes half their time, for it need not start anew with each cell.
func (s *scanner) run(start int) int {
	pattern := repeat(s.delim)
	cells := s.cells
	defer func() { s.cells = cells }()
	for i := start; ; i += 8 {
		w := binary.LittleEndian.Uint64(s.buf[i:])
		if w&highBits != 0 {
			return start
		}
		for stop := stops(w, pattern); stop != 0; stop &= stop - 1 {
			at := i + bits.TrailingZeros64(stop)>>3
			if s.buf[at] != s.delim || s.buf[start] <= '"' || at > start && s.buf[at-1] == ' ' || at-start > s.limits.Field || len(cells) >= s.limits.Columns {
				return start
			}
			cells = append(cells, cell{start: start, end: at})
			start = at + 1
		}
	}
}

// plain scans a cell without quotes from i on, in which a quote is a character like others. It returns where the cell
// ended, or -1 where the buffer did.
func (s *scanner) plain(i int) (int, error) {
	c := cell{start: i}
	pattern := repeat(s.delim)
	for {
		var seen uint64
		i, seen = find(s.buf, i, pattern)
		if seen != 0 {
			c.marks |= high
		}
		if i-c.start > s.limits.Field {
			return 0, s.tooLong()
		}
		if i == s.end {
			if !s.eof {
				return -1, nil
			}
			break
		}
		b := s.buf[i]
		if b == s.delim || b == '\n' || b == '\r' {
			break
		}
		if b == 0 {
			return 0, s.nul()
		}
		c.marks |= controls
		i++
	}
	for c.end = i; c.end > c.start && s.buf[c.end-1] == ' '; {
		c.end--
	}
	s.add(c)
	return i, nil
}

// inQuotes scans a cell in quotes, of which the first stands before start. It returns where the cell ended, or -1 where the buffer did.
func (s *scanner) inQuotes(start int) (int, error) {
	c := cell{start: start, marks: quoted}
	opened := s.nextLine
	for i := start; ; i++ {
		var seen uint64
		i, seen = find(s.buf, i, quotes)
		if seen != 0 {
			c.marks |= high
		}
		if i-start > s.limits.Field {
			if c.marks&lines == 0 {
				return 0, s.tooLong()
			}
			return 0, s.refuse(foyer.Invalid, opened, len(s.cells),
				"the quote opened here is still open after %d bytes and %d lines: close it, or double the quotes inside the value", s.limits.Field, s.nextLine-opened)
		}
		if i >= s.end-1 && !s.eof {
			return -1, nil // the byte after a quote or a CR matters too
		}
		if i == s.end {
			return 0, s.refuse(foyer.Invalid, opened, len(s.cells),
				"the quote opened here is never closed: the file was cut, or a quote inside a value is not doubled")
		}
		switch s.buf[i] {
		case '"':
			if s.buf[i+1] != '"' {
				c.end = i
				return s.closed(c)
			}
			c.marks |= escaped
			i++
		case '\n', '\r':
			if s.buf[i] == '\r' && s.buf[i+1] == '\n' {
				i++
			}
			c.marks |= lines | controls
			s.nextLine++
		case 0:
			return 0, s.nul()
		default:
			c.marks |= controls
		}
	}
}

// closed takes a cell that ends at its closing quote, and sees that nothing but blanks follows up to the delimiter or line end.
func (s *scanner) closed(c cell) (int, error) {
	i, err := s.skipSpaces(c.end + 1)
	if err != nil {
		return 0, err
	}
	switch b := s.buf[i]; {
	case i == s.end && !s.eof:
		return -1, nil
	case i == s.end, b == s.delim, b == '\n', b == '\r':
		if c.end > c.start && (s.buf[c.start] == ' ' || s.buf[c.end-1] == ' ') {
			c.marks |= blanks
		}
		s.add(c)
		return i, nil
	case b == 0:
		return 0, s.nul()
	}
	return 0, s.refuse(foyer.Invalid, s.nextLine, len(s.cells),
		"text follows the closing quote of %q: double the quotes inside a value, and put %s between cells", shorten(string(s.buf[c.start:c.end])), delimiterName(s.delim))
}

// tooLong refuses the cell that is being scanned for its length.
func (s *scanner) tooLong() error {
	return s.refuse(foyer.TooLarge, s.nextLine, len(s.cells), "the value is longer than %d bytes", s.limits.Field)
}

// nul refuses the cell that is being scanned for a NUL in it.
func (s *scanner) nul() error {
	return s.refuse(foyer.Invalid, s.nextLine, len(s.cells),
		"a NUL byte: the file is damaged, or it is UTF-16 without a byte order mark; save it as UTF-8")
}

func (s *scanner) refuse(kind foyer.Kind, line, col int, format string, args ...any) error {
	return refusal(kind, line, col, s.names, format, args...)
}

// lineAt returns the line of the record's byte at that index.
func (s *scanner) lineAt(index int) int {
	line := s.line
	for i := s.pos; i < index; i++ {
		if c := s.buf[i]; c == '\n' || c == '\r' && s.buf[i+1] != '\n' {
			line++
		}
	}
	return line
}

// Eight bytes with one value each, and the quote so.
const (
	ones   = 0x0101010101010101
	quotes = '"' * ones
)

// repeat returns a word of which each byte is c.
func repeat(c byte) uint64 { return uint64(c) * ones }

// stops returns a word with the top bit set of each byte of w that is the one of the pattern, or below 0x20.
func stops(w, pattern uint64) uint64 {
	// Both sums keep within their byte, so each top bit is exact: unset where the byte equals the pattern; where it is below 0x20.
	x := w ^ pattern
	differs := x&^highBits + 0x7F*ones | x
	printable := w&^highBits + 0x60*ones | w
	return ^(differs & printable) & highBits
}

// find returns the index of the first byte at or after i that is the one of the pattern or below 0x20 (line ends, NUL and other controls).
// seen is not 0 if a byte before it is not ASCII. The padding ends the search at the end of the buffer.
func find(b []byte, i int, pattern uint64) (index int, seen uint64) {
	for {
		w := binary.LittleEndian.Uint64(b[i:])
		if stop := stops(w, pattern); stop != 0 {
			return i + bits.TrailingZeros64(stop)>>3, (seen | w&(stop-1)&^stop) & highBits
		}
		seen |= w
		i += 8
	}
}
