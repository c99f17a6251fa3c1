package reconcile_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"golang.org/x/text/encoding/charmap"
	"pgregory.net/rapid"

	"foyer"
	"foyer/csvfile"
	"foyer/reconcile"
)

// What must hold whatever the rules say of a single case: these need no model.

// file is a delivery of bytes.
type file []byte

// Rows implements reconcile.Input.
func (f file) Rows(yield func(*foyer.Row) error) ([]foyer.Problem, error) {
	sniffer := &csvfile.Sniffer{}
	sniffer.Write(f)
	return csvfile.Rows(bytes.NewReader(f), sniffer, csvfile.Options{}, yield)
}

// table is what a file says: a header, and rows with an email of their own.
type table [][]string

func drawTable(r *rapid.T, label string) table {
	t := table{{"EMAIL", "FIRSTNAME", "LASTNAME", "TITLE", "MOBILE", "SITE", "ENABLED", "EMPLOYEEID"}}
	text := rapid.SampledFrom([]string{"", "", "René", "Zoë O'Hara", "Łukasz", `the "boss"`, "a, b; c", "two\nlines", "東京"})
	for i, email := range universe {
		if rapid.IntRange(0, 4).Draw(r, label+" leaves out "+email) == 0 {
			continue
		}
		id := fmt.Sprint(i + rapid.SampledFrom([]int{0, 0, 0, 10}).Draw(r, "id"))
		t = append(t, []string{email, text.Draw(r, "first"), text.Draw(r, "last"), text.Draw(r, "title"), phones.Draw(r, "mobile"),
			rapid.SampledFrom([]string{"", "Toronto", "MTL", "Toronto;Montréal"}).Draw(r, "site"), rapid.SampledFrom([]string{"", "yes", "no"}).Draw(r, "enabled"), id})
	}
	return t
}

// shuffled has the rows and columns in another order.
func (t table) shuffled(r *rapid.T) table {
	columns := []int{}
	for i := range t[0] {
		columns = append(columns, i)
	}
	columns = rapid.Permutation(columns).Draw(r, "columns")
	rows := append(table{t[0]}, rapid.Permutation(t[1:]).Draw(r, "rows")...)
	var other table
	for _, row := range rows {
		cells := []string{}
		for _, c := range columns {
			cells = append(cells, row[c])
		}
		other = append(other, cells)
	}
	return other
}

// write writes the table with any delimiter, line ends, quoting and encoding that can carry it.
func (t table) write(r *rapid.T) file {
	delimiter := rapid.SampledFrom([]string{",", ";", "\t", "|"}).Draw(r, "delimiter")
	end := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(r, "line end")
	all := rapid.Bool().Draw(r, "quote all")
	var b strings.Builder
	for _, row := range t {
		cells := []string{}
		for _, cell := range row {
			if all || strings.ContainsAny(cell, "\"\n"+delimiter) {
				cell = `"` + strings.ReplaceAll(cell, `"`, `""`) + `"`
			}
			cells = append(cells, cell)
		}
		b.WriteString(strings.Join(cells, delimiter) + end)
	}
	return encode(r, b.String())
}

// encode writes a text in an encoding that can carry it.
func encode(r *rapid.T, text string) file {
	utf8 := file(text)
	encodings := []file{utf8, append(file("\uFEFF"), utf8...)}
	units := utf16.Encode([]rune("\uFEFF" + text))
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		b := make(file, 2*len(units))
		for i, unit := range units {
			order.PutUint16(b[2*i:], unit)
		}
		encodings = append(encodings, b)
	}
	if b, err := charmap.Windows1252.NewEncoder().Bytes(utf8); err == nil {
		encodings = append(encodings, b)
	}
	return encodings[rapid.IntRange(0, len(encodings)-1).Draw(r, "encoding")]
}

// byEmail is a book without the numbers of entries and acts, which follow the order of the file.
func (pic *picture) byEmail() map[string]foyer.Entry {
	book := map[string]foyer.Entry{}
	for _, e := range pic.people {
		c := *e.Clone()
		c.ID, c.LastRun = 0, 0
		book[e.Values[foyer.Email]] = c
	}
	return book
}

func TestOrderQuotingAndEncodingSayNothing(t *testing.T) {
	setChecks(t, 100)
	w := newWorld(t)
	rapid.Check(t, func(r *rapid.T) {
		d := newDriver(r, w)
		org, other := d.orgs[0], d.orgs[1]
		src := rapid.SampledFrom([]foyer.SourceID{1, 4}).Draw(r, "source")
		for range 3 {
			said := drawTable(r, "file")
			if len(said) == 1 {
				continue
			}
			d.run(org, src, said.write(r))
			d.run(other, src, said.shuffled(r).write(r))
			a, b := d.read(org), d.read(other)
			if !reflect.DeepEqual(a.byEmail(), b.byEmail()) {
				d.fail("%q\nmakes %+v\nelse  %+v", said, a.byEmail(), b.byEmail())
			}
		}
	})
}

// run applies a delivery, also where the guard holds it.
func (d *driver) run(org place, src foyer.SourceID, input reconcile.Input) *foyer.Run {
	run, err := reconcile.Run(d.t.Context(), org.store, operator, reconcile.Delivery{Org: org.id, Source: src, Input: func(*foyer.Source) reconcile.Input { return input }})
	d.must(err)
	for run.Status == foyer.Held { // again, where it would do again what was undone
		run, err = reconcile.Approve(d.t.Context(), org.store, operator, org.id, run.ID)
		d.must(err)
	}
	return run
}

// walk makes a book by some random steps.
func walk(r *rapid.T, w *world) *driver {
	d := newDriver(r, w)
	for range rapid.IntRange(2, 10).Draw(r, "steps") {
		d.step()
	}
	return d
}

func TestTheSameFileTwiceIsOnce(t *testing.T) {
	setChecks(t, 100)
	w := newWorld(t)
	rapid.Check(t, func(r *rapid.T) {
		d := walk(r, w)
		src := rapid.SampledFrom(d.active).Draw(r, "source")
		rows := d.drawFile(src)
		d.say("twice to S-%d: %v", src.id, rows)
		if d.model.book.ended[src.id] || d.model.plan(src, rows).refused != 0 {
			return
		}
		for _, org := range d.orgs {
			if d.run(org, src.id, rows).Errors > 0 {
				return // whom a row with an error names may be another once the rest is applied (R15)
			}
			once := d.read(org)
			d.run(org, src.id, rows)
			d.same(once, d.read(org))
		}
	})
}

func TestUndoOfTheLastRunIsTheStateBefore(t *testing.T) {
	setChecks(t, 100)
	w := newWorld(t)
	rapid.Check(t, func(r *rapid.T) {
		d := walk(r, w)
		before := [2]*picture{d.read(d.orgs[0]), d.read(d.orgs[1])}
		known := len(d.model.acts)
		acts := []func(){d.upload, d.upload, d.editSomeone, d.addSomeone, d.join, d.end, d.approve}
		acts[rapid.IntRange(0, len(acts)-1).Draw(r, "the last")]()
		if len(d.model.acts) == known {
			return
		}
		act := d.model.acts[len(d.model.acts)-1]
		if act.status != foyer.Applied || len(act.changes) == 0 {
			return
		}
		for i, org := range d.orgs {
			run, err := reconcile.Undo(d.t.Context(), org.store, operator, org.id, reconcile.Undoing{Run: act.runs[i]})
			d.must(err)
			if len(run.Problems) > 0 {
				d.fail("not all of %v is put back: %v", act.runs[i], run.Problems)
			}
			d.same(before[i], d.read(org))
		}
	})
}

// same compares two books in all but the act that touched an entry last.
func (d *driver) same(a, b *picture) {
	for _, pic := range []*picture{a, b} {
		for _, e := range pic.people {
			e.LastRun = 0
		}
	}
	for _, id := range slices.Sorted(maps.Keys(a.people)) {
		if b.people[id] == nil || !sameEntry(a.people[id], b.people[id]) {
			d.fail("%v before %+v\nafter     %+v", id, a.people[id], b.people[id])
		}
	}
	if len(a.people) != len(b.people) || !maps.Equal(a.emails, b.emails) || !maps.Equal(a.claims, b.claims) {
		d.fail("before %d people, %v, %v\nafter  %d people, %v, %v", len(a.people), a.emails, a.claims, len(b.people), b.emails, b.claims)
	}
}

func TestAnotherOrganizationStaysAsItIs(t *testing.T) {
	setChecks(t, 50)
	w := newWorld(t)
	rapid.Check(t, func(r *rapid.T) {
		d := newDriver(r, w)
		third := d.newOrg()
		if theirs := drawTable(r, "theirs"); len(theirs) > 1 {
			d.run(third, 1, theirs.write(r))
		}
		runs, err := third.store.Runs(d.t.Context(), operator, third.id, 0, true)
		d.must(err)
		before := d.read(third)
		for range rapid.IntRange(2, 10).Draw(r, "steps") {
			d.step()
		}
		d.same(before, d.read(third))
		after, err := third.store.Runs(d.t.Context(), operator, third.id, 0, true)
		d.must(err)
		if !reflect.DeepEqual(runs, after) {
			d.fail("runs of another organization: %v, were %v", after, runs)
		}
	})
}
