// Package csvfile reads what a source pushes: the bytes of a CSV file, into rows; and writes records as a CSV that is safe to open.
//
// Whoever is absent from a file is disabled, so a file that was cut or is broken is refused, never read as a shorter list. A Reader gives
// rows as it goes, hence nothing of a file may be applied before Next has returned io.EOF. What is wrong with one row only is data of that
// row (R15).
//
// A file is passed over twice: a Sniffer sees its bytes as they come in and settles what they are, for one byte at the end may show that
// the file is not UTF-8; then a Reader scans them. The scanner works in place on one buffer, eight bytes at a time, and the strings of
// a row alias that buffer: they hold until the next call of Next.
package csvfile

import (
	"strconv"
	"strings"

	"foyer"
)

// Options are the settings of a source that decide how its files are read. The zero value reads what docs/api.md describes.
type Options struct {
	Windows1252 bool              // the source is set to Windows-1252; a byte order mark still wins
	Headers     map[string]string // further headers and the fields they fill (see CheckHeaders); they win over the built-in ones
	Limits      Limits
}

// Limits are the sizes beyond which a file is refused as foyer.TooLarge. A zero means the default.
type Limits struct {
	Rows    int // rows after the header that hold anything; 2,000,000
	Columns int // cells in the header or in a row; 200
	Field   int // bytes of one cell, in UTF-8; 4096
}

// withDefaults returns l with its zeros filled in.
func (l Limits) withDefaults() Limits {
	if l.Rows <= 0 {
		l.Rows = 2_000_000
	}
	if l.Columns <= 0 {
		l.Columns = 200
	}
	if l.Field <= 0 {
		l.Field = 4096
	}
	return l
}

// looksLikeEmail tells whether something stands on both sides of an @. It is generous on purpose: what it finds counts as present (R15).
func looksLikeEmail(s string) bool {
	at := strings.IndexByte(s, '@')
	return at > 0 && at < len(s)-1
}

// shorten returns a copy of s of at most 80 characters, to be shown in a problem.
func shorten(s string) string {
	const most = 80
	count, cut := 0, 0
	for i := range s {
		switch count {
		case most - 1:
			cut = i
		case most:
			return s[:cut] + "…"
		}
		count++
	}
	return strings.Clone(s)
}

// place says where something was found: "line 88, column TITLE".
func place(line, col int, names []string) string {
	at := "line " + strconv.Itoa(line)
	if col < 0 {
		return at
	}
	return at + ", column " + columnName(col, names)
}

// columnName returns the header of a column, or its number (from 1) where it has none.
func columnName(col int, names []string) string {
	if col < len(names) && names[col] != "" {
		return shorten(names[col])
	}
	return strconv.Itoa(col + 1)
}

// refusal makes the error for a file that is not read any further. col counts from 0 and is negative where no column is meant.
func refusal(kind foyer.Kind, line, col int, names []string, format string, args ...any) *foyer.Error {
	e := foyer.Errorf(kind, format, args...)
	e.Message = place(line, col, names) + ": " + e.Message
	e.Line = line
	if col >= 0 && col < len(names) {
		e.Column = shorten(names[col])
	}
	return e
}
