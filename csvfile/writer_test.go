package csvfile

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"foyer"
)

func TestAppendRow(t *testing.T) {
	for _, test := range []struct{ cell, want string }{
		{"plain", "plain"},
		{"Jones, Rob", `"Jones, Rob"`},
		{`19"`, `"19"""`},
		{"a\r\nb", "\"a\r\nb\""},
		{" x", `" x"`},
		{"a;b", `"a;b"`},
		{"", `""`},
		{"=1+1", "'=1+1"},
		{"@SUM(A1)", "'@SUM(A1)"},
		{"-2+3", "'-2+3"},
		{"+1-A1", "'+1-A1"},
		{"+", "'+"},
		{"\t=1", "\"'\t=1\""},
		{"\tx", "\"'\tx\""},
		{" =1", `"' =1"`},
		{"'=1", "''=1"},
		{"'tis", "'tis"},
		{"+1 (416) 999-8888 x12", "+1 (416) 999-8888 x12"},
		{"=HYPERLINK(\"http://x\",\"y\")", `"'=HYPERLINK(""http://x"",""y"")"`},
	} {
		if got := string(AppendRow(nil, test.cell)); got != test.want+"\r\n" {
			t.Errorf("%q: got %q, want %q", test.cell, got, test.want)
		}
	}
	if got := string(AppendRow([]byte("x\n"), "a", "", "b")); got != "x\na,,b\r\n" {
		t.Errorf("got %q", got)
	}
}

// TestWriter_ReadsBack holds that a Reader reads what a Writer wrote as it was, of values that are trimmed, as a book's are.
func TestWriter_ReadsBack(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	alphabet := []rune("ab=+-@'\",; |é€😀1x.")
	value := func() string {
		var b strings.Builder
		for range random.IntN(8) {
			b.WriteRune(alphabet[random.IntN(len(alphabet))])
		}
		return strings.TrimSpace(b.String())
	}
	var wrote []foyer.Record
	var file bytes.Buffer
	w := NewWriter(&file)
	for range 3000 {
		rec := foyer.Record{Site: value()}
		for _, f := range []foyer.Field{foyer.FirstName, foyer.LastName, foyer.Title, foyer.Division, foyer.Mobile, foyer.DeskPhone} {
			rec.Values[f] = value()
		}
		rec.Values[foyer.Email] = "r" + value() + "@test.com"
		wrote = append(wrote, rec)
		if err := w.Write(&rec); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	got, warnings, err := rows(file.Bytes(), Options{})
	if err != nil || len(got) != len(wrote) || len(warnings) > 0 {
		t.Fatalf("got %d rows, warnings %v, err %v", len(got), warnings, err)
	}
	for i := range got {
		if got[i].Record != wrote[i] || got[i].Bad {
			t.Fatalf("wrote %+v, read %+v", wrote[i], got[i])
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestWriter_KeepsItsError(t *testing.T) {
	w := NewWriter(full{})
	if w.Flush() == nil || w.Write(&foyer.Record{}) == nil || w.Flush() == nil {
		t.Error("an error was lost")
	}
}
