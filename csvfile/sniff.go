package csvfile

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf8"

	"foyer"
)

// Encoding is how the characters of a file are written.
type Encoding uint8

// The encodings that are read.
const (
	UTF8 Encoding = iota
	UTF16LE
	UTF16BE
	Windows1252
)

// String returns the name of the encoding.
func (e Encoding) String() string {
	return [...]string{"UTF-8", "UTF-16LE", "UTF-16BE", "Windows-1252"}[e]
}

// Sniffer is an io.Writer that sees all bytes of a file once, while the upload is spooled, and then knows what they are.
// The zero Sniffer is ready. Its Write never fails.
type Sniffer struct {
	size    int64
	head    [16]byte // the first bytes
	tail    [utf8.UTFMax]byte
	tails   int   // how many bytes of tail are an unfinished character at the end of what was written so far
	valid   int64 // characters of several bytes that are UTF-8
	invalid int64 // bytes that are not
}

// highBits has the top bit of each of eight bytes set: the bit that ASCII does not use.
const highBits = 0x8080808080808080

// Write takes the next bytes of the file.
func (s *Sniffer) Write(p []byte) (int, error) {
	if s.size < int64(len(s.head)) {
		copy(s.head[s.size:], p)
	}
	s.size += int64(len(p))
	rest := p
	if s.tails > 0 {
		rest = s.joinTail(p)
	}
	s.check(rest)
	return len(p), nil
}

// joinTail finishes, with the start of p, the character that the write before broke off. It returns the rest of p.
func (s *Sniffer) joinTail(p []byte) []byte {
	for len(p) > 0 && !utf8.FullRune(s.tail[:s.tails]) {
		s.tail[s.tails] = p[0]
		s.tails++
		p = p[1:]
	}
	if !utf8.FullRune(s.tail[:s.tails]) {
		return nil
	}
	// A bad start may be followed by good bytes within the tail, hence check and not just a look at its first character.
	var tail [utf8.UTFMax]byte
	n := copy(tail[:], s.tail[:s.tails])
	s.tails = 0
	s.check(tail[:n])
	if s.tails > 0 {
		return s.joinTail(p)
	}
	return p
}

// check counts what in p is UTF-8 and what is not, and keeps an unfinished last character as the tail.
func (s *Sniffer) check(p []byte) {
	for i := 0; i < len(p); {
		if i = skipASCII(p, i); i == len(p) {
			return
		}
		// Two bytes are the bulk of all accented, Greek, Cyrillic, Hebrew and Arabic text.
		if c := p[i]; 0xC2 <= c && c < 0xE0 && i+1 < len(p) && p[i+1]&0xC0 == 0x80 {
			s.valid++
			i += 2
			continue
		}
		if !utf8.FullRune(p[i:]) {
			s.tails = copy(s.tail[:], p[i:])
			return
		}
		r, n := utf8.DecodeRune(p[i:])
		if r == utf8.RuneError && n == 1 {
			s.invalid++
		} else {
			s.valid++
		}
		i += n
	}
}

// skipASCII returns the index of the first byte of p at or after i that is not ASCII, len(p) where there is none.
func skipASCII(p []byte, i int) int {
	for ; i+32 <= len(p); i += 32 {
		q := p[i : i+32 : i+32]
		if (binary.LittleEndian.Uint64(q)|binary.LittleEndian.Uint64(q[8:])|
			binary.LittleEndian.Uint64(q[16:])|binary.LittleEndian.Uint64(q[24:]))&highBits != 0 {
			break
		}
	}
	for ; i+8 <= len(p); i += 8 {
		if high := binary.LittleEndian.Uint64(p[i:]) & highBits; high != 0 {
			return i + bits.TrailingZeros64(high)>>3
		}
	}
	for i < len(p) && p[i] < utf8.RuneSelf {
		i++
	}
	return i
}

// Size returns how many bytes were seen.
func (s *Sniffer) Size() int64 { return s.size }

// Err returns why the file cannot be a CSV, whatever is in it: it has 0 bytes (foyer.Malformed), or it is an archive or a workbook
// (foyer.Unsupported); nil otherwise. It may be asked at any time once the first 16 bytes were written.
func (s *Sniffer) Err() error {
	if s.size == 0 {
		return foyer.Errorf(foyer.Malformed, "the file is empty (0 bytes): check that the export ran before the upload")
	}
	for _, m := range [...]struct{ magic, what string }{
		{"PK\x03\x04", "a zip archive or an Excel workbook (.xlsx)"},
		{"PK\x05\x06", "an empty zip archive"},
		{"\x1F\x8B", "compressed with gzip"},
		{"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", "an old Excel workbook (.xls)"},
		{"7z\xBC\xAF\x27\x1C", "a 7-Zip archive"},
		{"Rar!\x1A\x07", "a RAR archive"},
		{"\xFD7zXZ\x00", "compressed with xz"},
		{"\x28\xB5\x2F\xFD", "compressed with zstd"},
		{"BZh", "compressed with bzip2"},
		{"%PDF-", "a PDF"},
	} {
		// Of "BZh" alone a header line may consist; bzip2 goes on with a digit and the digits of pi.
		if m.magic == "BZh" && string(s.head[4:10]) != "1AY&SY" {
			continue
		}
		if bytes.HasPrefix(s.head[:], []byte(m.magic)) {
			return foyer.Errorf(foyer.Unsupported, "the file is %s, not a CSV: save it as CSV (UTF-8), uncompressed, and send that", m.what)
		}
	}
	return nil
}

// Encoding returns the encoding of the bytes seen: that of the byte order mark, else UTF-8, else Windows-1252. set tells that the source is
// set to Windows-1252. Where at least half of what is not ASCII is UTF-8 it stays UTF-8, and the Reader refuses the file at the first bad byte: read
// as Windows-1252, one damaged byte, or a cut in the middle of a character, would spoil every accented name in it.
func (s *Sniffer) Encoding(set bool) Encoding {
	switch {
	case bytes.HasPrefix(s.head[:], []byte{0xFF, 0xFE}):
		return UTF16LE
	case bytes.HasPrefix(s.head[:], []byte{0xFE, 0xFF}):
		return UTF16BE
	case bytes.HasPrefix(s.head[:], []byte(byteOrderMark)):
		return UTF8
	case set:
		return Windows1252
	}
	invalid := s.invalid
	if s.tails > 0 {
		invalid++
	}
	if invalid > s.valid {
		return Windows1252
	}
	return UTF8
}
