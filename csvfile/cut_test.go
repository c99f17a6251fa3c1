package csvfile

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"foyer"
)

const plainFile = "FIRSTNAME,EMAIL,TITLE,SITE\r\n" +
	"Rob,rob@test.com,VP \"S\",Toronto\r\n" +
	"José,jose@test.com,\"a\r\nb\",Montreal\r\n" +
	"\r\n" +
	"Zoë,zoe@test.com,,Québec\r\n"

const quotedFile = "#TYPE x\r\n\"FIRSTNAME\",\"EMAIL\",\"TITLE\",\"SITE\"\r\n" +
	"\"Rob\",\"rob@test.com\",\"VP \"\"S\"\"\",\"Toronto\"\r\n" +
	"\"José\",\"jose@test.com\",\"a,\r\nb\",\"Montreal\"\r\n" +
	"\"Zoë\",\"zoe@test.com\",\"\",\"Québec\"\r\n"

// cutEverywhere reads each start of a file. What is not refused must be a prefix of the rows of the whole file; sameSite tells whether that
// goes for the last cell of the last row too.
func cutEverywhere(t *testing.T, file []byte, sameSite bool) {
	t.Helper()
	whole, _, err := rows(file, Options{})
	if err != nil || len(whole) != 3 {
		t.Fatalf("the whole file: %d rows, err %v", len(whole), err)
	}
	refused := 0
	for i := range file {
		got, _, err := rows(file[:i], Options{})
		if err != nil {
			if kind := foyer.KindOf(err); kind != foyer.Invalid && kind != foyer.Malformed {
				t.Errorf("cut at %d: %v", i, err)
			}
			refused++
			continue
		}
		if len(got) > 0 && !sameSite {
			last := &got[len(got)-1]
			if site := whole[len(got)-1].Site; strings.HasPrefix(site, last.Site) {
				last.Site = site
			}
		}
		if len(got) > len(whole) || len(got) > 0 && !reflect.DeepEqual(got, whole[:len(got)]) {
			t.Errorf("cut at %d, after %q: got %+v", i, file[max(0, i-20):i], got)
		}
	}
	if refused < len(file)/2 {
		t.Errorf("of %d cuts %d were refused", len(file), refused)
	}
}

// TestR20_CutAnywhere_Quoted cuts a file in which all cells are in quotes at every byte. It is refused, but for a cut between two rows, which
// nothing in the file shows; R21 guards against that one. (A last cell with a doubled quote may also be cut between the two.)
func TestR20_CutAnywhere_Quoted(t *testing.T) {
	cutEverywhere(t, []byte(quotedFile), true)
	cutEverywhere(t, []byte("\xFF\xFE"+widen(quotedFile)), true)
}

// TestR20_CutAnywhere_Plain cuts a file without quotes at every byte. It is refused, but for a cut between two rows or within the last cell
// of one, since a file may well end without a line end.
func TestR20_CutAnywhere_Plain(t *testing.T) {
	cutEverywhere(t, []byte(plainFile), false)
	cutEverywhere(t, []byte("\xFF\xFE"+widen(plainFile)), false)
}

// widen returns text without characters beyond U+FFFF as UTF-16LE.
func widen(s string) string {
	var b strings.Builder
	for _, r := range s {
		b.WriteByte(byte(r))
		b.WriteByte(byte(r >> 8))
	}
	return b.String()
}

// TestBufferDoesNotMatter reads each file of testdata in the smallest bites with the smallest buffer: the same must come out.
func TestBufferDoesNotMatter(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.csv")
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			file, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			want, _, wantErr := rows(file, Options{})
			var s Sniffer
			for i := range file {
				s.Write(file[i : i+1])
			}
			r, err := newReader(iotest.OneByteReader(bytes.NewReader(file)), &s, Options{}, 1)
			var got []foyer.Row
			for err == nil {
				var row foyer.Row
				if err = r.Next(&row); err == nil {
					got = append(got, keep(&row))
				}
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v\nwant %+v", got, want)
			}
			if wantErr != nil && err.Error() != wantErr.Error() {
				t.Errorf("got error %v, want %v", err, wantErr)
			}
		})
	}
}

// TestRecordsAcrossBuffers reads more rows than the buffer holds, of all lengths, so that its end falls everywhere in a row.
func TestRecordsAcrossBuffers(t *testing.T) {
	for _, end := range []string{"\n", "\r\n", "\r"} {
		var file bytes.Buffer
		file.WriteString("EMAIL,TITLE" + end)
		const n = 9000
		for i := range n {
			file.WriteString("a@b.c,\"" + strings.Repeat("x", i%61) + "\"" + end)
		}
		got, _, err := rows(file.Bytes(), Options{})
		if err != nil || len(got) != n {
			t.Fatalf("got %d rows, err %v", len(got), err)
		}
		for i, row := range got {
			if len(row.Values[foyer.Title]) != i%61 || row.Line != i+2 {
				t.Fatalf("row %d: %+v", i, row)
			}
		}
	}
}
