package foyer

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// Tristate is yes, no, or nothing said.
type Tristate uint8

// The values of a Tristate.
const (
	Unsaid Tristate = iota
	Yes
	No
)

// Record is what a source says about one person: nothing else enters the book from outside.
// An empty value says nothing (R5).
type Record struct {
	Values     [NumFields]string // as given, surrounding white space removed; Values[Email] is not yet a key (R1)
	ExternalID string            // the id by which the source knows the person (R2)
	Site       string            // the SITE column, strict: each name in it must be a site (R14)
	Office     string            // an office or location column: used where it matches a site
	Enabled    Tristate
}

// Packed is a Record in few bytes: what is hashed to see whether a row changed, and kept until it is applied.
// Equal records pack to equal bytes; an empty value takes none.
type Packed string

// Tags of a packed record: the fields have their own numbers.
const (
	tagExternalID = byte(NumFields) + iota
	tagSite
	tagOffice
	tagEnabled
)

// AppendPacked appends r's packed form to b.
func (r *Record) AppendPacked(b []byte) []byte {
	for f := Email; f < NumFields; f++ {
		b = appendTagged(b, byte(f), r.Values[f])
	}
	b = appendTagged(b, tagExternalID, r.ExternalID)
	b = appendTagged(b, tagSite, r.Site)
	b = appendTagged(b, tagOffice, r.Office)
	if r.Enabled != Unsaid {
		b = append(b, tagEnabled, 1, byte(r.Enabled))
	}
	return b
}

func appendTagged(b []byte, tag byte, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, tag)
	b = binary.AppendUvarint(b, uint64(len(value)))
	return append(b, value...)
}

// Unpack returns the record that p holds; its values share p's memory. It panics on bytes that AppendPacked did not make.
func (p Packed) Unpack() Record {
	var r Record
	for at := 0; at < len(p); {
		tag := p[at]
		length, n := uvarint(p[at+1:])
		start := at + 1 + n
		at = start + length
		value := string(p[start:at])
		switch {
		case tag < byte(NumFields):
			r.Values[tag] = value
		case tag == tagExternalID:
			r.ExternalID = value
		case tag == tagSite:
			r.Site = value
		case tag == tagOffice:
			r.Office = value
		case tag == tagEnabled:
			r.Enabled = Tristate(value[0])
		}
	}
	return r
}

// uvarint is binary.Uvarint for the bytes of a string.
func uvarint(p Packed) (value, size int) {
	for shift := 0; ; shift += 7 {
		b := p[size]
		size++
		value |= int(b&0x7f) << shift
		if b < 0x80 {
			return value, size
		}
	}
}

// Row is one row of what a source delivers: a record, where it stood, and what was wrong with it.
type Row struct {
	Record
	Line     int       // of the file, as an editor counts (from 1); of another source, the position of the record
	Bad      bool      // the row has an error: it changes nothing, but whom it names counts as present (R15)
	Mentions []string  // of a bad row: cells of other columns that hold an email address (R15)
	Problems []Problem // what was found in the row; an error among them where Bad
}

// Problem is what was wrong with a row or with one cell of it. It is data, not an error.
type Problem struct {
	Line    int    `json:"line"`             // as an editor counts; 0: of the whole file
	Column  string `json:"column,omitempty"` // the header as it stands in the file
	Value   string `json:"value,omitempty"`  // what was found
	Message string `json:"message"`          // what is wrong with it and what to do
	Error   bool   `json:"error,omitempty"`  // the row was not applied; false: a warning
}

// String returns the problem as one line: where, what was found, what is wrong with it.
func (p Problem) String() string {
	var b strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", p.Line)
	}
	switch {
	case p.Column != "" && p.Value != "":
		fmt.Fprintf(&b, "%s %q: ", p.Column, p.Value)
	case p.Column != "":
		fmt.Fprintf(&b, "%s: ", p.Column)
	}
	b.WriteString(p.Message)
	return b.String()
}
