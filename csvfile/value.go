package csvfile

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
	"unsafe"

	"foyer"
)

// text returns what the cell says, as foyer.Record wants it. Quotes are undone; blanks around it go, also those that cannot be seen; a
// line end or a tab becomes a space; other control characters (U+0001 to U+001F, U+0080 to U+009F) go, and the cell says so.
//
// All of it happens in place: the string aliases the buffer and holds until the scanner reads on. This is the only place that makes such a string.
func (s *scanner) text(c *cell) string {
	if c.marks&work != 0 {
		s.tidy(c)
	}
	return unsafe.String(&s.buf[c.start], c.end-c.start)
}

// tidy does the work of text, and leaves the cell such that none is done twice.
func (s *scanner) tidy(c *cell) {
	b := s.buf[c.start:c.end]
	if c.marks&escaped != 0 {
		b = undouble(b)
	}
	// U+0080 to U+009F begin with 0xC2.
	if c.marks&controls != 0 || c.marks&high != 0 && bytes.IndexByte(b, 0xC2) >= 0 {
		var cut bool
		if b, cut = tame(b); cut {
			c.marks |= removed
		}
	}
	c.marks &^= work
	// Trimming by index keeps what is left where it stands.
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if !isBlank(r) {
			break
		}
		b = b[n:]
		c.start += n
	}
	for len(b) > 0 {
		r, n := utf8.DecodeLastRune(b)
		if !isBlank(r) {
			break
		}
		b = b[:len(b)-n]
	}
	c.end = c.start + len(b)
}

// undouble makes, in place, one quote of two.
func undouble(b []byte) []byte {
	out := b[:0]
	for i := 0; i < len(b); i++ {
		out = append(out, b[i])
		if b[i] == '"' {
			i++
		}
	}
	return out
}

// tame replaces line ends and tabs, in place, by spaces, and removes other control characters.
func tame(b []byte) (out []byte, removed bool) {
	out = b[:0]
	for i := 0; i < len(b); {
		if c := b[i]; c < utf8.RuneSelf {
			i++
			switch {
			case c >= ' ':
				out = append(out, c)
			case c == '\r' && i < len(b) && b[i] == '\n':
			case c == '\n', c == '\r', c == '\t':
				out = append(out, ' ')
			default:
				removed = true
			}
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		switch {
		case r == '\u0085': // NEL, a line end
			out = append(out, ' ')
		case 0x80 <= r && r < 0xA0:
			removed = true
		default:
			out = append(out, b[i:i+n]...)
		}
		i += n
	}
	return out, removed
}

// isBlank tells whether a character around a value is not part of it: white space, no-break and zero-width spaces, and the marks of
// writing direction that come along when a value is copied from a window.
func isBlank(r rune) bool {
	switch {
	case r < utf8.RuneSelf:
		return r == ' ' || '\t' <= r && r <= '\r'
	case 0x200B <= r && r <= 0x200F, 0x202A <= r && r <= 0x202E, 0x2060 <= r && r <= 0x2069, r == 0xFEFF:
		return true
	}
	return unicode.IsSpace(r)
}

// isTypeName tells whether a value is the name of a .NET type, which Export-Csv writes for an attribute of several values.
func isTypeName(v string) bool {
	return v == "Microsoft.ActiveDirectory.Management.ADPropertyValueCollection" || strings.HasPrefix(v, "System.") && strings.HasSuffix(v, "[]")
}

// parseEnabled reads what stands in an ENABLED column.
func parseEnabled(v string) (foyer.Tristate, bool) {
	switch strings.ToLower(v) {
	case "true", "yes", "y", "1":
		return foyer.Yes, true
	case "false", "no", "n", "0":
		return foyer.No, true
	}
	return foyer.Unsaid, v == ""
}
