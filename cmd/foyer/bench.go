package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"time"

	"foyer"
	"foyer/bench/staff"
	"foyer/reconcile"
	"foyer/store"
)

type benchCmd struct {
	Rows    int    `help:"People in the file." default:"100000"`
	Rival   string `help:"Folder with sqlite-schema.sql and sqlite-sync.sql, psql-schema.sql and psql-sync.sql: the sqlite3 command, or psql with --database, does the same work beside it." default:"bench" placeholder:"DIR"`
	Profile string `help:"Write a CPU profile here." placeholder:"FILE"`
	Times   int    `help:"Rounds; each line shows the fastest and the slowest." default:"3"`
}

// benchCase is a kind of work that is measured.
type benchCase struct {
	name string
	file string
	took []time.Duration
	peak uint64 // bytes above idle
	rows int64  // that it wrote
}

// Run measures first load, nothing changed, 1 % changed and the very same file, beside a script of the database's own command in turn.
func (c *benchCmd) Run(a *app) error {
	dir, err := os.MkdirTemp("", "foyer-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	files := map[string]staff.File{"base.csv": {Rows: c.Rows}, "changed.csv": {Rows: c.Rows, Changed: c.Rows / 100}}
	for name, file := range files {
		if err := writeFile(filepath.Join(dir, name), file); err != nil {
			return err
		}
	}
	if c.Profile != "" {
		f, err := os.Create(c.Profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	a.printf("%d people, %d rounds, %s, %d cores", c.Rows, c.Times, runtime.Version(), runtime.NumCPU())
	ours := []*benchCase{{name: "first load", file: "base.csv"}, {name: "1 % changed", file: "changed.csv"}, {name: "1 % changed back", file: "base.csv"},
		{name: "nothing changed", file: "base.csv"}, {name: "the same bytes", file: "base.csv"}}
	theirs := []*benchCase{{name: "first load", file: "base.csv"}, {name: "1 % changed", file: "changed.csv"}, {name: "1 % changed back", file: "base.csv"},
		{name: "nothing changed", file: "base.csv"}}
	rival := newRival(c.Rival, a.cli.Database)
	for number := range c.Times {
		if err := c.round(a, dir, number, ours); err != nil {
			return err
		}
		if err := rival.round(dir, theirs); err != nil {
			return err
		}
	}
	rows := [][]string{}
	for i, own := range ours {
		row := []string{own.name, span(own.took), fmt.Sprintf("%d MiB", own.peak>>20), fmt.Sprint(own.rows), "-", "-"}
		if i < len(theirs) && len(theirs[i].took) > 0 {
			row[4] = span(theirs[i].took)
			row[5] = fmt.Sprintf("%.2f", fastest(own.took).Seconds()/fastest(theirs[i].took).Seconds())
		}
		rows = append(rows, row)
	}
	return a.table("WORK,FOYER,MEMORY ABOVE IDLE,ROWS WRITTEN,"+strings.ToUpper(rival.command)+",RATIO", rows)
}

func writeFile(path string, file staff.File) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = file.WriteTo(f)
	return err
}

func span(took []time.Duration) string {
	slowest := time.Duration(0)
	for _, d := range took {
		slowest = max(slowest, d)
	}
	return fmt.Sprintf("%.3f..%.3f s", fastest(took).Seconds(), slowest.Seconds())
}

func fastest(took []time.Duration) time.Duration {
	best := took[0]
	for _, d := range took {
		best = min(best, d)
	}
	return best
}

// round does each kind of work once on a new book.
func (c *benchCmd) round(a *app, dir string, number int, cases []*benchCase) error {
	if a.cli.Database == "" { // else the keys stay those of the database
		a.cli.Data = filepath.Join(dir, "data")
		os.RemoveAll(a.cli.Data)
	}
	o, err := a.openOrMake()
	if err != nil {
		return err
	}
	defer o.Close()
	org, err := o.CreateOrg(a.ctx, o.operator, fmt.Sprintf("Bench %d %d", os.Getpid(), number), "CA")
	if err != nil {
		return err
	}
	for _, name := range staff.Sites() {
		if _, err := o.CreateSite(a.ctx, o.operator, org.ID, foyer.Site{Name: name}); err != nil {
			return err
		}
	}
	source, err := o.CreateSource(a.ctx, o.operator, org.ID, foyer.Source{Name: "bench", Kind: foyer.CSV})
	if err != nil {
		return err
	}
	for _, work := range cases {
		if err := a.measure(o, org, source, work, filepath.Join(dir, work.file), work.name != "nothing changed" && work.name != "the same bytes"); err != nil {
			return fmt.Errorf("%s: %w", work.name, err)
		}
	}
	return nil
}

// measure applies a file and notes the time and the peak of the memory. fresh makes the bytes count as new.
func (a *app) measure(o *opened, org foyer.Org, source foyer.Source, work *benchCase, path string, fresh bool) error {
	runtime.GC()
	debug.FreeOSMemory()
	idle := resident()
	var peak atomic.Uint64
	stop := make(chan struct{})
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				peak.Store(max(peak.Load(), resident()))
			}
		}
	}()
	start, before := time.Now(), o.Written()
	_, err := applyFile(a, o.Store, o.operator, org, source, path, fresh)
	took := time.Since(start)
	close(stop)
	if err != nil {
		return err
	}
	work.took = append(work.took, took)
	if above := peak.Load(); above > idle {
		work.peak = max(work.peak, above-idle)
	}
	work.rows = o.Written() - before
	return nil
}

// applyFile does what an upload does once the file is on the server.
func applyFile(a *app, s *store.Store, caller foyer.Caller, org foyer.Org, source foyer.Source, path string, fresh bool) (*foyer.Run, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	in := &fileInput{file: f}
	sum, err := in.digest()
	if err != nil {
		return nil, err
	}
	if fresh {
		sum = fmt.Append(sum, time.Now())
	}
	return reconcile.Run(a.ctx, s, caller, reconcile.Delivery{Org: org.ID, Source: source.ID, Digest: sum,
		Input: func(*foyer.Source) reconcile.Input { return in }})
}

// resident returns the memory that the process holds, in bytes, as Linux counts it.
func resident() uint64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var pages uint64
	fmt.Sscan(strings.Fields(string(text))[1], &pages)
	return pages * uint64(os.Getpagesize())
}
