package csvfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"foyer"
)

// wantRefused checks that a file is refused with that kind, message, line and column.
func wantRefused(t *testing.T, file string, o Options, kind foyer.Kind, line int, column, message string) {
	t.Helper()
	_, _, err := rows([]byte(file), o)
	refused, ok := errors.AsType[*foyer.Error](err)
	if !ok {
		t.Fatalf("the file was not refused: err %v", err)
	}
	if refused.Kind != kind || refused.Line != line || refused.Column != column || refused.Message != message {
		t.Errorf("got  kind %d, line %d, column %q: %s\nwant kind %d, line %d, column %q: %s",
			refused.Kind, refused.Line, refused.Column, refused.Message, kind, line, column, message)
	}
}

// TestR20_BrokenFileIsRefused holds that a file which was cut, or is broken such that rows may be missing from it, is not read as a shorter list.
func TestR20_BrokenFileIsRefused(t *testing.T) {
	const head = "EMAIL,TITLE,SITE\n"
	for _, test := range []struct {
		name, file string
		line       int
		column     string
		message    string
	}{
		{"last row cut", head + "a@b.c,VP", 2, "",
			"line 2: the last row has 2 cells, the header has 3, and no line end follows: the file was cut; send it again"},
		{"last row cut before anything was said", head + ",", 2, "",
			"line 2: the last row has 2 cells, the header has 3, and no line end follows: the file was cut; send it again"},
		{"last cell cut off, among quotes", "\"EMAIL\",\"TITLE\"\n\"a@b.c\",", 2, "TITLE",
			"line 2, column TITLE: the last row ends before its last cell, and no line end follows: the file was cut; send it again"},
		{"open quote", head + "a@b.c,VP,Rome\nb@b.c,\"VP,\nRome", 3, "TITLE",
			"line 3, column TITLE: the quote opened here is never closed: the file was cut, or a quote inside a value is not doubled"},
		{"quote opened and not one byte more", head + "a@b.c,\"", 2, "TITLE",
			"line 2, column TITLE: the quote opened here is never closed: the file was cut, or a quote inside a value is not doubled"},
		{"text after a quote", head + "a@b.c,\"V\n\n\"P,Rome\n", 4, "TITLE",
			`line 4, column TITLE: text follows the closing quote of "V\n\n": double the quotes inside a value, and put a comma between cells`},
		{"text after a quote in the header", "EMAIL;\"TIT\"LE\n", 1, "",
			`line 1, column 2: text follows the closing quote of "TIT": double the quotes inside a value, and put a semicolon between cells`},
		{"rows swallowed by a quote", head + "a@b.c,\"VP,Rome\nb@b.c,CFO,Rome\nc@b.c,\"\n", 2, "TITLE",
			"line 2, column TITLE: a value in quotes runs over several lines, and its row has 2 cells where the header has 3: close the quote opened here, or double the quotes inside the value"},
		{"rows swallowed, yet as many cells", head + "x@b.c,,\na@b.c,\"VP,Rome\nb@b.c,CFO,Rome\nc@b.c,19\",Rome\n", 3, "TITLE",
			"line 3, column TITLE: a value in quotes runs over several lines and holds what looks like other rows: close the quote opened here, or double the quotes inside the value"},
		{"NUL", head + "a@b.c,VP,Rome\nb@b.c,V\x00P,Rome\n", 3, "TITLE",
			"line 3, column TITLE: a NUL byte: the file is damaged, or it is UTF-16 without a byte order mark; save it as UTF-8"},
		{"NUL in quotes", head + "a@b.c,\"V\n\x00P\",Rome\n", 3, "TITLE",
			"line 3, column TITLE: a NUL byte: the file is damaged, or it is UTF-16 without a byte order mark; save it as UTF-8"},
		{"NUL after quotes", head + "a@b.c,\"V\"\x00,Rome\n", 2, "TITLE",
			"line 2, column TITLE: a NUL byte: the file is damaged, or it is UTF-16 without a byte order mark; save it as UTF-8"},
		{"UTF-16 without mark", "E\x00M\x00", 1, "",
			"line 1, column 1: a NUL byte: the file is damaged, or it is UTF-16 without a byte order mark; save it as UTF-8"},
		{"neither UTF-8 nor Windows-1252", head + "a@b.c,Caf\xE9,Rome\nb@b.c,\x81,Rome\n", 3, "TITLE",
			"line 3, column TITLE: the byte 0x81 is neither UTF-8 nor Windows-1252; save the file as UTF-8"},
		{"one bad byte among UTF-8", head + "a@b.c,Café,Rome\nb@b.c,Caf\xE9,Rome\n", 3, "TITLE",
			"line 3, column TITLE: the byte 0xE9 is not UTF-8, as other characters of the file are: it is neither UTF-8 nor Windows-1252; save it as UTF-8"},
		{"bad byte in the header", "EMAIL,é,\xE9\n", 1, "",
			"line 1, column 3: the byte 0xE9 is not UTF-8, as other characters of the file are: it is neither UTF-8 nor Windows-1252; save it as UTF-8"},
		{"mark of UTF-8, bytes that are not", byteOrderMark + head + "a@b.c,Caf\xE9,Rome\n", 2, "TITLE",
			"line 2, column TITLE: the byte 0xE9 is not UTF-8, as other characters of the file are: it is neither UTF-8 nor Windows-1252; save it as UTF-8"},
		{"cut in a character", head + "a@b.c,Café,Rome\nb@b.c,VP,Caf\xC3", 3, "SITE",
			"line 3, column SITE: the file ends in the middle of a character: it was cut; send it again"},
		{"UTF-16 of odd length", "\xFF\xFE" + wide("EMAIL,SITE\na@b.c,Rome") + "\n", 2, "SITE",
			"line 2, column SITE: the file ends in the middle of a character: it was cut; send it again"},
		{"half a surrogate pair", "\xFF\xFE" + wide("EMAIL,SITE\na@b.c,R") + "\x3D\xD8" + wide("e\n"), 2, "SITE",
			"line 2, column SITE: half of a UTF-16 character: the file is damaged; save it as UTF-8"},
		{"cut in a surrogate pair", "\xFF\xFE" + wide("EMAIL,SITE\na@b.c,R") + "\x3D\xD8", 2, "SITE",
			"line 2, column SITE: half of a UTF-16 character: the file is damaged; save it as UTF-8"},
	} {
		t.Run(test.name, func(t *testing.T) {
			wantRefused(t, test.file, Options{}, foyer.Invalid, test.line, test.column, test.message)
		})
	}
}

// wide returns ASCII as UTF-16LE.
func wide(ascii string) string {
	var b strings.Builder
	for i := range len(ascii) {
		b.WriteByte(ascii[i])
		b.WriteByte(0)
	}
	return b.String()
}

func TestHeaderIsRefused(t *testing.T) {
	for _, test := range []struct {
		name, file string
		line       int
		column     string
		message    string
	}{
		{"no email column", "#TYPE x\nNAME;Phone\nRob;1\n", 2, "", `line 2: there is no email column: the headers are "NAME", "Phone". ` +
			"Name it EMAIL, mail, Email Address, E-mail or userPrincipalName, or map it in the settings of the source."},
		{"no header", "Rob,rob@b.c\nAnn,ann@b.c\n", 1, "", `line 1: there is no email column: no header of the line is known. ` +
			"Name it EMAIL, mail, Email Address, E-mail or userPrincipalName, or map it in the settings of the source. " +
			"The line holds an email address, so the header line may be missing."},
		{"a header that is not known among others", "NAME,Ann,416-555-0177\n", 1, "", `line 1: there is no email column: the headers are "NAME", and 2 that are not known. ` +
			"Name it EMAIL, mail, Email Address, E-mail or userPrincipalName, or map it in the settings of the source."},
		{"no header, the same cell twice", "Ann,Ann,ann@b.c\n", 1, "", "line 1: the same header twice: in column 1 and in column 2 (case, spaces, _ and - do not count); remove or rename one. " +
			"It is none that is known, so the header line may be missing."},
		{"the same header twice", "EMAIL,First Name,TITLE,first_name\n", 1, "first_name", `line 1, column first_name: the same header twice: "First Name" is column 2 ` +
			`and "first_name" is column 4 (case, spaces, _ and - do not count); remove or rename one`},
		{"an unknown header twice", "EMAIL,x,X\n", 1, "X", `line 1, column X: the same header twice: "x" is column 2 ` +
			`and "X" is column 3 (case, spaces, _ and - do not count); remove or rename one`},
		{"blank lines only", "\n  \r\n;;\n\n", 5, "", "line 5: the file ends without a header: its first line must name the columns"},
		{"nothing but a mark", byteOrderMark, 1, "", "line 1: the file ends without a header: its first line must name the columns"},
		{"strange sep line", "sep=:\nEMAIL:x\n", 1, "", "line 1: the delimiter ':' is not read: use a comma, a semicolon, a tab or |"},
	} {
		t.Run(test.name, func(t *testing.T) {
			wantRefused(t, test.file, Options{}, foyer.Invalid, test.line, test.column, test.message)
		})
	}
}

func TestLimits(t *testing.T) {
	small := Options{Limits: Limits{Rows: 2, Columns: 3, Field: 10}}
	const head = "EMAIL,TITLE\n"
	for _, test := range []struct {
		name, file string
		kind       foyer.Kind
		line       int
		column     string
		message    string
	}{
		{"rows", head + "a@b.c,\nb@b.c,\n\nc@b.c,\n", foyer.TooLarge, 5, "", "line 5: the file has more than 2 rows, which is the limit"},
		{"columns of the header", "EMAIL,a,b,c\n", foyer.TooLarge, 1, "", "line 1: more than 3 cells in a row; the limit is 3 columns"},
		{"columns of a row", head + "a@b.c,,,\n", foyer.TooLarge, 2, "", "line 2: more than 3 cells in a row; the limit is 3 columns"},
		{"field", head + "a@b.c,12345678901\n", foyer.TooLarge, 2, "TITLE", "line 2, column TITLE: the value is longer than 10 bytes"},
		{"field that is not the last", head + "a@b.cdefghi,\n", foyer.TooLarge, 2, "EMAIL", "line 2, column EMAIL: the value is longer than 10 bytes"},
		{"field in quotes", head + "a@b.c,\"12345678901\n\"\n", foyer.TooLarge, 2, "TITLE", "line 2, column TITLE: the value is longer than 10 bytes"},
		{"blanks", head + "a@b.c,           x\n", foyer.TooLarge, 2, "TITLE", "line 2, column TITLE: the value is longer than 10 bytes"},
		{"blanks after quotes", head + "a@b.c,\"x\"           \n", foyer.TooLarge, 2, "TITLE", "line 2, column TITLE: the value is longer than 10 bytes"},
		{"open quote", head + "a@b.c,\"VP\nb@b.c,CFO\n", foyer.Invalid, 2, "TITLE",
			"line 2, column TITLE: the quote opened here is still open after 10 bytes and 1 lines: close it, or double the quotes inside the value"},
	} {
		t.Run(test.name, func(t *testing.T) {
			wantRefused(t, test.file, small, test.kind, test.line, test.column, test.message)
		})
	}
	t.Run("what just fits", func(t *testing.T) {
		got, _, err := rows([]byte("EMAIL,b,c\na@b.cdefgh,\"1234567890\",3\n\nb@b.c,,1234567890\n"), small)
		if err != nil || len(got) != 2 {
			t.Errorf("got %d rows, err %v", len(got), err)
		}
	})
}

func TestLimits_MemoryStaysBounded(t *testing.T) {
	many := func(s string) string { return strings.Repeat(s, 1<<20) }
	for name, rest := range map[string]string{
		"open quote":          "\"" + many("a\n"),
		"long quoted value":   "\"" + many("a"),
		"doubled quotes":      "\"" + many("\"\""),
		"long value":          many("aaaaaaaa"),
		"blanks":              many(" "),
		"blanks after quotes": "\"\"" + many(" "),
		"commas":              many(","),
		"controls":            many("\x01"),
	} {
		t.Run(name, func(t *testing.T) {
			file := "EMAIL,TITLE\na@b.c," + rest
			r, err := open([]byte(file), Options{})
			if err != nil {
				t.Fatal(err)
			}
			var row foyer.Row
			if err := r.Next(&row); err == nil || err == io.EOF {
				t.Fatalf("the row was read, err %v", err)
			}
			if len(r.scan.buf) > 2*bufferSize {
				t.Errorf("the buffer grew to %d bytes", len(r.scan.buf))
			}
		})
	}
}

func TestWhatIsNoCSV(t *testing.T) {
	for _, test := range []struct {
		name, file string
		kind       foyer.Kind
		message    string
	}{
		{"empty", "", foyer.Malformed, "the file is empty (0 bytes): check that the export ran before the upload"},
		{"xlsx", "PK\x03\x04\x14\x00", foyer.Unsupported, "the file is a zip archive or an Excel workbook (.xlsx), not a CSV: save it as CSV (UTF-8), uncompressed, and send that"},
		{"gzip", "\x1F\x8B\x08", foyer.Unsupported, "the file is compressed with gzip, not a CSV: save it as CSV (UTF-8), uncompressed, and send that"},
		{"bzip2", "BZh91AY&SY", foyer.Unsupported, "the file is compressed with bzip2, not a CSV: save it as CSV (UTF-8), uncompressed, and send that"},
	} {
		t.Run(test.name, func(t *testing.T) { wantRefused(t, test.file, Options{}, test.kind, 0, "", test.message) })
	}
	if _, _, err := rows([]byte("BZhdr,EMAIL\n"), Options{}); err != nil {
		t.Errorf("a header that begins like bzip2: %v", err)
	}
}

// TestR20_FailedReadIsNoEnd holds that an error of the reader underneath is returned, and again; also one that other readers take for an end.
func TestR20_FailedReadIsNoEnd(t *testing.T) {
	file := []byte("EMAIL,TITLE\na@b.c,VP\nb@b.c,CFO\n")
	for _, cause := range []error{io.ErrUnexpectedEOF, errors.New("disk")} {
		var s Sniffer
		s.Write(file)
		r, err := newReader(iotest.OneByteReader(io.MultiReader(bytes.NewReader(file[:25]), iotest.ErrReader(cause))), &s, Options{}, 16)
		var row foyer.Row
		for range 3 {
			if err == nil {
				err = r.Next(&row)
			}
		}
		if !errors.Is(err, cause) || foyer.KindOf(err) != foyer.Internal {
			t.Errorf("got %v, want %v", err, cause)
		}
		if r == nil {
			continue
		}
		if again := r.Next(&row); again != err {
			t.Errorf("the error became %v", again)
		}
	}
}

// TestR20_FileChangedBetweenPasses holds that bytes missing from the second pass are no end.
func TestR20_FileChangedBetweenPasses(t *testing.T) {
	file := []byte("EMAIL\na@b.c\nb@b.c\n")
	var s Sniffer
	s.Write(file)
	r, err := NewReader(bytes.NewReader(file[:12]), &s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var row foyer.Row
	if err := r.Next(&row); err != nil {
		t.Fatal(err)
	}
	if err := r.Next(&row); err != errChanged {
		t.Errorf("got %v, want %v", err, errChanged)
	}
}

func TestCheckHeaders(t *testing.T) {
	for _, test := range []struct {
		headers map[string]string
		ok      bool
	}{
		{nil, true},
		{map[string]string{"Kontakt": "email", "Werk": "external-id", "x": "ignore", "y": "Site"}, true},
		{map[string]string{"Kontakt": "e-Mail"}, true},
		{map[string]string{"Kontakt": "contact"}, false},
		{map[string]string{"Cost Center": "ignore", "cost_center": "title"}, false},
		{map[string]string{" - ": "title"}, false},
	} {
		t.Run(fmt.Sprint(test.headers), func(t *testing.T) {
			if err := CheckHeaders(test.headers); (err == nil) != test.ok || err != nil && foyer.KindOf(err) != foyer.Invalid {
				t.Errorf("got %v", err)
			}
		})
	}
}
