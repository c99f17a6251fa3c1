package csvfile

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"foyer"
)

// readOne reads the one row of a file.
func readOne(t *testing.T, file string) foyer.Row {
	t.Helper()
	got, _, err := rows([]byte(file), Options{})
	if err != nil || len(got) != 1 {
		t.Fatalf("got %d rows, err %v", len(got), err)
	}
	return got[0]
}

func TestR15_RowWithTooManyCellsMentionsWhomItNames(t *testing.T) {
	row := readOne(t, "TITLE;EMAIL;MOBILE\nVP; Sales;rob@test.com;x@;@y;416;ann@test.com;\n")
	if want := []string{"rob@test.com", "ann@test.com"}; !row.Bad || !reflect.DeepEqual(row.Mentions, want) {
		t.Errorf("bad %v, mentions %q, want %q", row.Bad, row.Mentions, want)
	}
	want := []foyer.Problem{{Line: 2, Value: "ann@test.com", Error: true, Message: "line 2 has 8 cells, the header has 3: put quotes around a value that holds a semicolon"}}
	if !reflect.DeepEqual(row.Problems, want) {
		t.Errorf("got problems %+v, want %+v", row.Problems, want)
	}
}

func TestR15_UnreadableEmailMentionsWhomTheRowNames(t *testing.T) {
	row := readOne(t, "TITLE,EMAIL,MOBILE\nVP,Rome,rob@test.com\n")
	if row.Bad || len(row.Mentions) != 1 || row.Mentions[0] != "rob@test.com" {
		t.Errorf("bad %v, mentions %q: it is the caller who judges the email", row.Bad, row.Mentions)
	}
}

func TestR15_RowWithoutEmailIsReturned(t *testing.T) {
	if row := readOne(t, "DISPLAYNAME,EMAIL,MANAGER\nrob@test.com,,boss@test.com\n"); row.Bad || row.Values[foyer.Email] != "" || row.Mentions != nil {
		t.Errorf("got %+v", row)
	}
}

func TestR15_ShiftedRowIsNotSkipped(t *testing.T) {
	row := readOne(t, "FIRSTNAME,LASTNAME,DIVISION,EMAIL\nRob,Jones,rob@test.com\n")
	if !row.Bad || len(row.Mentions) != 1 || row.Problems[0].Column != "DIVISION" {
		t.Errorf("got %+v", row)
	}
}

func TestR15_UnclearEnabledIsAnError(t *testing.T) {
	row := readOne(t, "EMAIL,Active\nrob@test.com,maybe\n")
	want := []foyer.Problem{{Line: 2, Column: "Active", Value: "maybe", Error: true,
		Message: `"maybe" is neither yes nor no: write true or false, yes or no, 1 or 0, or leave it empty`}}
	if !row.Bad || row.Enabled != foyer.Unsaid || !reflect.DeepEqual(row.Problems, want) {
		t.Errorf("got %+v", row)
	}
}

func TestR5_CellThatIsNotThereIsEmpty(t *testing.T) {
	if row := readOne(t, "EMAIL,TITLE,office,employeeID\nrob@test.com\n"); row.Record != (foyer.Record{Values: [foyer.NumFields]string{foyer.Email: "rob@test.com"}}) || row.Bad {
		t.Errorf("got %+v", row)
	}
}

func TestEveryDocumentedHeaderIsKnown(t *testing.T) {
	for name, headers := range map[string]string{
		"email":        "EMAIL|mail|Email Address|E-mail|userPrincipalName",
		"first_name":   "FIRSTNAME|givenName|First Name",
		"last_name":    "LASTNAME|sn|surname|Last Name",
		"display_name": "displayName|Full Name|Name|cn",
		"title":        "TITLE|Job Title",
		"division":     "DIVISION|department",
		"mobile":       "MOBILE|mobilePhone|Mobile Phone|Cell|homePhone",
		"desk_phone":   "DESKPHONE|telephoneNumber|Desk Phone|Phone|businessPhone",
		"site":         "SITE",
		"office":       "office|physicalDeliveryOfficeName|location",
		"external_id":  "employeeID|employeeNumber|objectGUID|externalId",
		"manager":      "manager|Manager Email",
		"assistant":    "assistant",
		"enabled":      "ENABLED|accountEnabled|active",
	} {
		for header := range strings.SplitSeq(headers, "|") {
			r, err := open(fmt.Appendf(nil, "userPrincipalName,%s\n", strings.Replace(header, "userPrincipalName", "EMAIL", 1)), Options{})
			if err != nil {
				t.Fatal(err)
			}
			if !r.Has(name) || len(r.Warnings()) > 0 {
				t.Errorf("%s does not fill %s", header, name)
			}
			if r.Has("nonsense") || r.Has("ignore") {
				t.Error("it has what is no field")
			}
		}
	}
}

func TestLongValuesAreShortenedInProblems(t *testing.T) {
	row := readOne(t, "EMAIL,ENABLED\nrob@test.com,"+strings.Repeat("é", 100)+"\n")
	if v := row.Problems[0].Value; utf8.RuneCountInString(v) != 80 || !strings.HasSuffix(v, "é…") {
		t.Errorf("got %q", v)
	}
	if v := shorten(strings.Repeat("é", 80)); utf8.RuneCountInString(v) != 80 || strings.HasSuffix(v, "…") {
		t.Errorf("80 characters became %q", v)
	}
}

func TestManyHeadersAreCounted(t *testing.T) {
	header := []string{"NAME"}
	for i := range 30 {
		header = append(header, fmt.Sprintf("h%d", i))
	}
	_, err := open([]byte(strings.Join(header, "\t")), Options{})
	if err == nil || !strings.Contains(err.Error(), `the headers are "NAME", and 30 that are not known. Name it`) {
		t.Errorf("got %v", err)
	}
}

// TestNextDoesNotAllocate holds that the strings of a row alias the buffer, and that its slices are used again.
func TestNextDoesNotAllocate(t *testing.T) {
	file := sample(3000, true, "André")
	var s Sniffer
	s.Write(file)
	r, err := NewReader(bytes.NewReader(file), &s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var row foyer.Row
	if n := testing.AllocsPerRun(2000, func() {
		if err := r.Next(&row); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("a row takes %v allocations", n)
	}
}

// TestRowIsReplaced holds that nothing of a row is left in the next.
func TestRowIsReplaced(t *testing.T) {
	file := []byte("EMAIL,SITE,ENABLED\nrob@test.com,x@y,maybe,z\nann@test.com\n")
	r, err := open(file, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var row foyer.Row
	for err == nil {
		last := keep(&row)
		if err = r.Next(&row); err == io.EOF && (last.Bad || last.Site != "" || len(last.Problems)+len(last.Mentions) > 0 || last.Line != 3) {
			t.Errorf("got %+v", last)
		}
	}
}
