package csvfile

import (
	"errors"
	"io"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// byteOrderMark is U+FEFF in UTF-8, which the decoders below make of the one in UTF-16 too.
const byteOrderMark = "\xEF\xBB\xBF"

// decoder turns the bytes of another encoding into UTF-8. What cannot be decoded is handed on as bytes that are not UTF-8,
// so that the Reader finds them where they stand and can name line and column.
type decoder struct {
	src     io.Reader
	convert func(dst, src []byte, end bool) (out []byte, used int)
	raw     []byte // read and not yet converted
	out     []byte // converted and not yet handed out
	buf     []byte // what out was cut from
	err     error  // of src
}

// newDecoder returns a reader of what src holds, as UTF-8.
func newDecoder(src io.Reader, e Encoding) io.Reader {
	switch e {
	case UTF16LE:
		return &decoder{src: src, convert: func(dst, src []byte, end bool) ([]byte, int) { return fromUTF16(dst, src, end, 0) }}
	case UTF16BE:
		return &decoder{src: src, convert: func(dst, src []byte, end bool) ([]byte, int) { return fromUTF16(dst, src, end, 1) }}
	case Windows1252:
		return &decoder{src: src, convert: windows1252()}
	}
	return src
}

// Read implements io.Reader.
func (d *decoder) Read(p []byte) (int, error) {
	for len(d.out) == 0 {
		if d.err != nil {
			return 0, d.err
		}
		if d.raw == nil {
			d.raw = make([]byte, 0, 32<<10)
		}
		n, err := readSome(d.src, d.raw[len(d.raw):cap(d.raw)])
		d.raw, d.err = d.raw[:len(d.raw)+n], err
		out, used := d.convert(d.buf[:0], d.raw, err == io.EOF)
		d.buf, d.out = out, out
		d.raw = d.raw[:copy(d.raw, d.raw[used:])]
	}
	n := copy(p, d.out)
	d.out = d.out[n:]
	return n, nil
}

// readSome reads at least one byte, or returns an error.
func readSome(src io.Reader, p []byte) (int, error) {
	for range 100 {
		if n, err := src.Read(p); n > 0 || err != nil {
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}

// windows1252 returns the conversion from Windows-1252. The five bytes that it does not define are handed on as they are.
func windows1252() func(dst, src []byte, end bool) ([]byte, int) {
	var table [256]rune
	for i := range table {
		table[i] = charmap.Windows1252.DecodeByte(byte(i))
	}
	return func(dst, src []byte, _ bool) ([]byte, int) {
		for _, c := range src {
			switch {
			case c < utf8.RuneSelf, c == 0x81, c == 0x8D, c == 0x8F, c == 0x90, c == 0x9D:
				dst = append(dst, c)
			default:
				dst = utf8.AppendRune(dst, table[c])
			}
		}
		return dst, len(src)
	}
}

// fromUTF16 appends src to dst as UTF-8; high is the index of the higher byte of a unit. Half of a surrogate pair is written in three
// bytes, which UTF-8 forbids; half of a unit, at the end, as the byte 0xFF.
func fromUTF16(dst, src []byte, end bool, high int) ([]byte, int) {
	unit := func(i int) rune { return rune(src[i+1-high])<<8 | rune(src[i+high]) }
	i := 0
	for ; i+2 <= len(src); i += 2 {
		r := unit(i)
		if !utf16.IsSurrogate(r) {
			dst = utf8.AppendRune(dst, r)
			continue
		}
		if i+4 > len(src) && !end {
			return dst, i
		}
		if i+4 <= len(src) {
			if pair := utf16.DecodeRune(r, unit(i+2)); pair != utf8.RuneError {
				dst = utf8.AppendRune(dst, pair)
				i += 2
				continue
			}
		}
		dst = append(dst, 0xE0|byte(r>>12), 0x80|byte(r>>6)&0x3F, 0x80|byte(r)&0x3F)
	}
	if end && i < len(src) {
		dst = append(dst, 0xFF)
		i++
	}
	return dst, i
}

// errChanged tells that the bytes read are not those that the Sniffer saw.
var errChanged = errors.New("csvfile: the file changed between its two passes")

// counter counts the bytes read.
type counter struct {
	src io.Reader
	n   int64
}

// Read implements io.Reader.
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.src.Read(p)
	c.n += int64(n)
	return n, err
}
