package foyertest_test

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	sqlite3 "modernc.org/sqlite/lib"

	"foyer/foyertest"
	"foyer/server"
	"foyer/store/storetest"
)

// numbered is the nth upload: so many people, whose title says which upload it was, and one who is in every second only.
func numbered(n, people int) string {
	var b strings.Builder
	b.WriteString("EMAIL,TITLE\n")
	for i := range people {
		fmt.Fprintf(&b, "p%d@test.com,Title %d\n", i, n)
	}
	if n%2 == 0 {
		fmt.Fprintf(&b, "even@test.com,Title %d\n", n)
	}
	return b.String()
}

// trial sends numbered files to a server whose disk fails.
type trial struct {
	*foyertest.Foyer
	t        *testing.T
	disk     *faultyDisk
	people   int
	sent     int      // number of the file that was sent last
	last     int      // of the one that was acknowledged last
	runs     []string // that were acknowledged
	random   *rand.Rand
	refusals int
	whole    int // of the files that were refused those that a restart found as a whole
}

func startTrial(t *testing.T, people int) *trial {
	t.Helper()
	if _, err := os.Stat("/dev/shm"); err == nil {
		t.Setenv("TMPDIR", "/dev/shm") // what is durable is looked after here, so nothing needs to wait for a disk
	}
	disk := startDisk(t)
	f := foyertest.StartWith(t, server.Config{Limits: server.Limits{Uploads: 1 << 30}})
	tr := &trial{Foyer: f, t: t, disk: disk, people: people, random: rand.New(rand.NewPCG(3, 4))}
	tr.send()
	tr.Authority.Close() // the use of the key is noted behind the request's back
	return tr
}

// send sends the next file, and tells whether it was acknowledged. Whatever happens, a token can be had, and what is not acknowledged is refused for a while, not for good.
func (tr *trial) send() bool {
	tr.t.Helper()
	tr.sent++
	reply := tr.Upload(tr.t, numbered(tr.sent, tr.people))
	switch reply.Status {
	case http.StatusOK:
		run, _, _ := strings.Cut(strings.TrimPrefix(reply.Line(), "OK run="), " ")
		tr.last, tr.runs = tr.sent, append(tr.runs, strings.TrimPrefix(run, "R-"))
		return true
	case http.StatusServiceUnavailable:
		if wait, err := strconv.Atoi(reply.Header.Get("Retry-After")); err != nil || wait < 1 {
			tr.t.Errorf("Retry-After is %q", reply.Header.Get("Retry-After"))
		}
		tr.refusals++
		return false
	}
	tr.t.Fatalf("upload %d: %d %s", tr.sent, reply.Status, reply.Body)
	return false
}

// check looks at what each kind of restart, or those that are named, would find: the book is that of one whole file, the last that was acknowledged or one that was sent after it, and every run that was acknowledged is there.
func (tr *trial) check(where string, only ...string) {
	tr.t.Helper()
	want := []string{}
	for n := tr.last; n <= tr.sent; n++ {
		want = append(want, fmt.Sprintf("Title %d: %d, even: %v", n, tr.people, n%2 == 0))
	}
	for restart := range restarts {
		if len(only) > 0 && !slices.Contains(only, restart) {
			continue
		}
		dir, err := os.MkdirTemp(tr.t.TempDir(), imagePrefix)
		must(tr.t, err)
		tr.disk.after(tr.t, restart, tr.Dir, dir, tr.random)
		found, runs := tr.read(dir)
		if found == want[len(want)-1] && tr.sent > tr.last {
			tr.whole++
		}
		if !slices.Contains(want, found) {
			tr.t.Errorf("%s, %s: acknowledged was %d, sent %d, and there is %q", where, restart, tr.last, tr.sent, found)
		}
		for _, run := range tr.runs {
			if !slices.Contains(runs, run) {
				tr.t.Errorf("%s, %s: R-%s was acknowledged and is not there", where, restart, run)
			}
		}
		must(tr.t, os.RemoveAll(dir))
	}
}

// read returns what is in the book of a database, and its applied runs, after all of it was checked.
func (tr *trial) read(dir string) (book string, runs []string) {
	tr.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "foyer.db"))
	if err != nil {
		tr.t.Fatal(err)
	}
	defer db.Close()
	var whole, all string
	const titles = `SELECT (SELECT group_concat(line, '; ') FROM (SELECT title || ': ' || count(*) AS line FROM entry WHERE email <> 'even@test.com' GROUP BY title))
		|| ', even: ' || CASE WHEN EXISTS (SELECT 1 FROM entry WHERE email = 'even@test.com' AND enabled) THEN 'true' ELSE 'false' END`
	for query, to := range map[string]*string{`PRAGMA integrity_check`: &whole, titles: &book, `SELECT group_concat(id) FROM run WHERE status = 'applied'`: &all} {
		if err := db.QueryRow(query).Scan(to); err != nil {
			tr.t.Errorf("%s: %v", query, err)
		}
	}
	if whole != "ok" {
		tr.t.Errorf("the database is damaged: %s", whole)
	}
	return book, strings.Split(all, ",")
}

// faults are what is done to each call of an apply in turn.
var faults = map[string]fault{
	"EIO once, and what waited is lost": {code: sqlite3.SQLITE_IOERR, loses: true},
	"EIO from there on":                 {code: sqlite3.SQLITE_IOERR, stays: true, loses: true},
	"ENOSPC once":                       {code: sqlite3.SQLITE_FULL},
	"ENOSPC from there on":              {code: sqlite3.SQLITE_FULL, stays: true},
}

// TestR18_FailedWritesAreNeverAcknowledged fails each call of an apply that changes a file, one after the other, in each way. Whatever fails, and however the machine restarts after it, what was acknowledged is there, and
// what was not is there as a whole or not at all. Without a restart the next upload goes through, and is durable, also where the disk forgot what it had failed to sync.
func TestR18_FailedWritesAreNeverAcknowledged(t *testing.T) {
	storetest.SQLiteOnly(t)
	for name, f := range faults {
		t.Run(name, func(t *testing.T) {
			tr := startTrial(t, 40)
			n := 1
			for ; ; n++ {
				where := fmt.Sprintf("call %d", n)
				tr.disk.set(n, f)
				applied := tr.send()
				tr.wantReading(where)
				failed := tr.disk.mend()
				tr.check(where)
				if applied && failed == 0 {
					break
				}
				if !tr.send() {
					t.Fatalf("%s: the disk works again, and the server does not", where)
				}
				tr.check(where+", and the next", "no power")
			}
			t.Logf("%d calls, %d refusals; %d restarts found what was refused, as a whole", n-1, tr.refusals, tr.whole)
			if n < 20 || tr.refusals < 20 {
				t.Error("too few calls failed: the test shows little")
			}
			if _, err := tr.Store.VerifyAudit(t.Context(), tr.Operator, tr.Org.ID); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestR18_FailedCheckpointsLoseNothing fails each call of what carries the log into the database and empties it, which is done beside the syncs. What was acknowledged is there whatever fails, and the next try is as good as the
// first, also where the disk forgot what it had failed to sync.
func TestR18_FailedCheckpointsLoseNothing(t *testing.T) {
	storetest.SQLiteOnly(t)
	for name, f := range faults {
		t.Run(name, func(t *testing.T) {
			tr := startTrial(t, 40)
			db, err := sql.Open("sqlite", filepath.Join(tr.Dir, "foyer.db"))
			must(t, err)
			defer db.Close()
			carry := func() error {
				var busy, log, carried int
				return db.QueryRow(`PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &log, &carried)
			}
			n := 1
			for ; ; n++ {
				where := fmt.Sprintf("call %d", n)
				if !tr.send() {
					t.Fatalf("%s: the disk works, and the server does not", where)
				}
				tr.disk.set(n, f)
				err := carry()
				failed := tr.disk.mend()
				tr.check(where)
				if failed == 0 {
					break
				}
				if err == nil && f.stays {
					t.Errorf("%s: %d calls failed, and nobody was told", where, failed)
				}
				must(t, carry())
				tr.check(where+", and again", "no power")
			}
			if t.Logf("%d calls", n-1); n < 10 {
				t.Error("too few calls failed: the test shows little")
			}
		})
	}
}

// wantReading checks that the book can be read while writing fails.
func (tr *trial) wantReading(where string) {
	tr.t.Helper()
	if book := tr.Book(tr.t); len(book) < tr.people {
		tr.t.Errorf("%s: %d people can be read", where, len(book))
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
