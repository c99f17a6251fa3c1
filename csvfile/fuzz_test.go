package csvfile

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"foyer"
)

const fuzzHeader = "EMAIL,FIRSTNAME,TITLE,SITE\n"

// own are the things in which a Reader differs from encoding/csv on purpose: a CR alone ends a line; a NUL, and bytes that are not UTF-8, refuse the
// file (or make it Windows-1252); blanks around a quoted cell do not count.
var own = regexp.MustCompile(`\r([^\n]|$)|\x00|[ \t]"|"[ \t]`)

// FuzzReader compares with encoding/csv, below a fixed header. But for the things of own:
//   - What both read is the same: rows, lines and values; lines of nothing but blanks and delimiters aside, which a Reader passes over.
//   - What encoding/csv refuses for its quotes a Reader refuses too; but a quote in the middle of a cell without quotes is a character to it.
//   - A Reader alone refuses: a last row that is short and has no line end; a row over several lines with another number of cells than the
//     header, or with what looks like rows in it; what is beyond the limits.
func FuzzReader(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.csv")
	for _, path := range files {
		file, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(file)
	}
	for _, body := range []string{
		"a@b.c,x,y,z\n", "a@b.c,\"x\"\"\",\"y\nz\",\n", "a@b.c,x", "\"a@b.c", "\"a\"b,\n", "a\"b\",\n", " \"a\" ,\n", ",,,\r\n\r\n", "a@b.c,1,2,3,4\n", "\n\n\"\",\"\"\n,x@y.z",
		"a,\"b\n,@,,\",c,d\n", "1,2,3\r4,5\r\n", "é,ü\xE9,\x01\u0085,\u200b\n", "'=1,''=2,'x,'\n", "a@b.c,System.String[],,\n",
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		// As a whole file of its own it must not panic, nor fail otherwise than by refusal.
		if _, _, err := rows(body, Options{}); err != nil && foyer.KindOf(err) == foyer.Internal {
			t.Fatalf("failed: %v", err)
		}
		file := append([]byte(fuzzHeader), body...)
		if own.Match(body) || !utf8.Valid(body) {
			rows(file, Options{})
			return
		}
		compare(t, file)
	})
}

func compare(t *testing.T, file []byte) {
	got, _, err := rows(file, Options{})
	c := csv.NewReader(bytes.NewReader(file))
	c.FieldsPerRecord = -1
	c.Read()
	mayRefuse := false // a reason of the Reader's own came by
	for n := 0; ; {
		want, cerr := c.Read()
		if cerr == io.EOF {
			if err != nil && !mayRefuse {
				t.Fatalf("refused, though encoding/csv reads it: %v", err)
			}
			if err == nil && n != len(got) {
				t.Fatalf("got %d rows, encoding/csv has %d", len(got), n)
			}
			return
		}
		if cerr != nil {
			if errors.Is(cerr, csv.ErrQuote) && err == nil {
				t.Fatalf("read, though encoding/csv says %v", cerr)
			}
			return
		}
		mayRefuse = mayRefuse || ownReason(file, want, int(c.InputOffset()))
		if blankRecord(want) {
			continue
		}
		if n >= len(got) {
			if err == nil || !mayRefuse {
				t.Fatalf("row %d is missing: %q, err %v", n, want, err)
			}
			return
		}
		line, _ := c.FieldPos(0)
		sameRow(t, &got[n], want, line)
		n++
	}
}

// ownReason tells whether a Reader may refuse a record that encoding/csv read, or a file that ends with it.
func ownReason(file []byte, record []string, end int) bool {
	if len(record) > 200 {
		return true
	}
	for _, v := range record {
		if len(v) > 2000 || strings.Contains(v, "\n") && (len(record) != 4 || strings.Contains(v, "@")) {
			return true
		}
	}
	return end == len(file) && len(record) < 4 && file[end-1] != '\n'
}

func blankRecord(record []string) bool {
	for _, v := range record {
		if expected(v) != "" {
			return false
		}
	}
	return true
}

// expected returns what a Reader makes of a cell's content, short of what hangs on the field.
func expected(v string) string {
	b, _ := tame([]byte(v))
	return strings.TrimFunc(string(b), isBlank)
}

func sameRow(t *testing.T, got *foyer.Row, want []string, line int) {
	if got.Line != line {
		t.Fatalf("got line %d, want %d", got.Line, line)
	}
	for i, value := range []string{got.Values[foyer.Email], got.Values[foyer.FirstName], got.Values[foyer.Title], got.Site} {
		cell := ""
		if i < len(want) {
			cell = unguard(expected(want[i]))
		}
		if isTypeName(cell) {
			cell = ""
		}
		if value != cell {
			t.Fatalf("line %d, cell %d: got %q, want %q", line, i+1, value, cell)
		}
	}
	extra := false
	for _, v := range want[min(4, len(want)):] {
		extra = extra || expected(v) != ""
	}
	if extra && !got.Bad {
		t.Fatalf("line %d has %d cells and is not bad", line, len(want))
	}
}
