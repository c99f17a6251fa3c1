package csvfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"foyer"
)

var update = flag.Bool("update", false, "write the golden files of testdata anew")

// open starts to read a file held in memory.
func open(file []byte, o Options) (*Reader, error) {
	var s Sniffer
	s.Write(file)
	return NewReader(bytes.NewReader(file), &s, o)
}

// rows reads a file to its end, or up to what refuses it; err is nil at a clean end. The rows are copies.
func rows(file []byte, o Options) (rows []foyer.Row, warnings []foyer.Problem, err error) {
	r, err := open(file, o)
	if err != nil {
		return nil, nil, err
	}
	for {
		var row foyer.Row
		if err := r.Next(&row); err == io.EOF {
			return rows, r.Warnings(), nil
		} else if err != nil {
			return rows, r.Warnings(), err
		}
		rows = append(rows, keep(&row))
	}
}

// keep returns a copy of row that holds beyond the next call of Next.
func keep(row *foyer.Row) foyer.Row {
	kept := *row
	kept.Record = foyer.Packed(row.AppendPacked(nil)).Unpack()
	kept.Mentions, kept.Problems = nil, append([]foyer.Problem(nil), row.Problems...)
	for _, m := range row.Mentions {
		kept.Mentions = append(kept.Mentions, strings.Clone(m))
	}
	return kept
}

// describe writes what was read of a file as text.
func describe(file []byte, o Options) string {
	var b strings.Builder
	if r, err := open(file, o); err == nil {
		fmt.Fprintf(&b, "%s, delimiter %q, header %q\n", r.Encoding(), r.scan.delim, r.Header())
	}
	read, warnings, err := rows(file, o)
	for _, row := range read {
		fmt.Fprintf(&b, "line %d", row.Line)
		if row.Bad {
			b.WriteString(" BAD")
		}
		b.WriteByte('\n')
		for f, v := range row.Values {
			if v != "" {
				fmt.Fprintf(&b, "\t%s %q\n", foyer.Field(f), v)
			}
		}
		for _, other := range []struct{ name, value string }{
			{"external_id", row.ExternalID}, {"site", row.Site}, {"office", row.Office},
			{"enabled", [...]string{"", "yes", "no"}[row.Enabled]}, {"mentions", strings.Join(row.Mentions, " ")},
		} {
			if other.value != "" {
				fmt.Fprintf(&b, "\t%s %q\n", other.name, other.value)
			}
		}
		for _, p := range row.Problems {
			fmt.Fprintf(&b, "\tproblem %s\n", asJSON(p))
		}
	}
	for _, p := range warnings {
		fmt.Fprintf(&b, "file %s\n", asJSON(p))
	}
	if refused, ok := errors.AsType[*foyer.Error](err); ok {
		fmt.Fprintf(&b, "REFUSED kind %d, line %d, column %q: %s\n", refused.Kind, refused.Line, refused.Column, refused.Message)
	} else if err != nil {
		fmt.Fprintf(&b, "FAILED %v\n", err)
	}
	return b.String()
}

func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// goldenOptions are the settings of the sources whose files need some.
var goldenOptions = map[string]Options{
	"windows1252-set": {Windows1252: true},
	"mapped-headers":  {Headers: map[string]string{"KONTAKT": "email", "ort": "site", "Werk": "external_id", "cost center": "ignore"}},
}

func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.csv")
	if err != nil || len(files) < 30 {
		t.Fatalf("found %d files, err %v", len(files), err)
	}
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".csv")
		t.Run(name, func(t *testing.T) {
			file, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := describe(file, goldenOptions[name])
			golden := strings.TrimSuffix(path, ".csv") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}
