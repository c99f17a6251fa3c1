package reconcile_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"foyer"
	benchstaff "foyer/bench/staff"
	"foyer/csvfile"
	"foyer/foyertest"
	"foyer/reconcile"
)

// BenchmarkSync measures a sync of realistic staff on a real SQLite, the commit included: go test ./reconcile -run '^$' -bench Sync. Beside the sqlite3 command and up
// to a million people it is measured by foyer bench.
func BenchmarkSync(b *testing.B) {
	for _, rows := range []int{1_000, 10_000, 100_000} {
		base, changed := staffFile(b, benchstaff.File{Rows: rows}), staffFile(b, benchstaff.File{Rows: rows, Changed: rows / 100})
		b.Run(fmt.Sprintf("first load of %d", rows), func(b *testing.B) {
			s := newSyncs(b)
			for b.Loop() {
				b.StopTimer()
				s.newOrg()
				b.StartTimer()
				s.apply(base)
			}
			s.report()
		})
		b.Run(fmt.Sprintf("1 %% of %d changed", rows), func(b *testing.B) {
			s := newSyncs(b)
			s.newOrg()
			s.apply(base)
			s.begin()
			for i := 0; b.Loop(); i++ {
				s.apply([][]byte{changed, base}[i%2])
			}
			s.report()
		})
		b.Run(fmt.Sprintf("nothing of %d changed", rows), func(b *testing.B) {
			s := newSyncs(b)
			s.newOrg()
			s.apply(base)
			s.begin()
			for b.Loop() {
				s.apply(base)
			}
			s.report()
		})
	}
}

func staffFile(b *testing.B, file benchstaff.File) []byte {
	b.Helper()
	var text bytes.Buffer
	if _, err := file.WriteTo(&text); err != nil {
		b.Fatal(err)
	}
	return text.Bytes()
}

// syncs applies files, none of which counts as the same bytes again.
type syncs struct {
	b      *testing.B
	f      *fixture
	org    foyer.OrgID
	source foyer.SourceID
	orgs   int
	runs   int
	before int64
}

func newSyncs(b *testing.B) *syncs {
	b.Helper()
	s := &syncs{b: b, f: &fixture{operator: foyer.Operator("bench")}}
	s.f.store, _ = foyertest.OpenStore(b, b.TempDir(), nil)
	return s
}

func (s *syncs) must(err error) {
	s.b.Helper()
	if err != nil {
		s.b.Fatal(err)
	}
}

func (s *syncs) newOrg() {
	s.orgs++
	org, err := s.f.store.CreateOrg(s.b.Context(), s.f.operator, fmt.Sprint("Org ", s.orgs), "CA")
	s.must(err)
	for _, name := range benchstaff.Sites() {
		_, err := s.f.store.CreateSite(s.b.Context(), s.f.operator, org.ID, foyer.Site{Name: name})
		s.must(err)
	}
	source, err := s.f.store.CreateSource(s.b.Context(), s.f.operator, org.ID, foyer.Source{Name: "hr", Kind: foyer.CSV})
	s.must(err)
	s.org, s.source = org.ID, source.ID
	if s.before == 0 {
		s.before = s.f.store.Written()
	}
}

// begin counts from now.
func (s *syncs) begin() { s.runs, s.before = 0, s.f.store.Written() }

func (s *syncs) apply(file []byte) {
	s.runs++
	sniffer := &csvfile.Sniffer{}
	sniffer.Write(file)
	input := rowsOf(func(yield func(*foyer.Row) error) ([]foyer.Problem, error) {
		return csvfile.Rows(bytes.NewReader(file), sniffer, csvfile.Options{}, yield)
	})
	run, err := reconcile.Run(s.b.Context(), s.f.store, s.f.operator, reconcile.Delivery{Org: s.org, Source: s.source, Input: func(*foyer.Source) reconcile.Input { return input }})
	s.must(err)
	if run.Status != foyer.Applied {
		s.b.Fatalf("the run is %s: %s", run.Status, run.Message)
	}
}

// report tells how many rows of the database each sync wrote.
func (s *syncs) report() {
	s.b.ReportMetric(float64(s.f.store.Written()-s.before)/float64(s.runs), "rows-written/op")
	s.b.ReportAllocs()
}

// BenchmarkErase measures the erasure of one among 100,000 people whose titles all changed four times, and how long it kept the writer from others.
func BenchmarkErase(b *testing.B) {
	const rows = 100_000
	base, changed := staffFile(b, benchstaff.File{Rows: rows}), staffFile(b, benchstaff.File{Rows: rows, Changed: rows})
	s := newSyncs(b)
	s.newOrg()
	for i := range 5 {
		s.apply([][]byte{base, changed}[i%2])
	}
	other, err := s.f.store.CreateOrg(b.Context(), s.f.operator, "Other", "CA")
	if err != nil {
		b.Fatal(err)
	}
	var slowest time.Duration
	stop, stopped := make(chan bool), make(chan bool)
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
			at := time.Now()
			if _, err := s.f.store.CreateSite(b.Context(), s.f.operator, other.ID, foyer.Site{Name: fmt.Sprint("X", i)}); err != nil {
				b.Error(err)
			}
			slowest = max(slowest, time.Since(at))
		}
	}()
	id := foyer.EntryID(0)
	for b.Loop() {
		id++
		if _, err := s.f.store.Erase(b.Context(), s.f.operator, s.org, id, ""); err != nil {
			b.Fatal(err)
		}
	}
	close(stop)
	<-stopped
	b.ReportMetric(float64(slowest.Milliseconds()), "ms-slowest-write-of-others")
}
