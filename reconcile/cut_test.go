package reconcile_test

import (
	"fmt"
	"strings"
	"testing"

	"foyer"
	"foyer/reconcile"
	"foyer/store/storetest"
)

// TestR20_R21_FileCutAtEveryKilobyte cuts a file of 10,000 people at every kilobyte. Most cuts are seen; of one between two rows nothing is to be seen, and
// the guard limits what it may do, however many come one after the other.
func TestR20_R21_FileCutAtEveryKilobyte(t *testing.T) {
	t.Parallel()
	const people = 10_000
	kilobyte := 1 << 10
	if storetest.OnPostgres() {
		kilobyte <<= 4 // what a cut file does is decided before a database is asked
	}
	f := newFixture(t)
	var b strings.Builder
	b.WriteString("FIRSTNAME,LASTNAME,TITLE,DIVISION,EMAIL,MOBILE,DESKPHONE,SITE\r\n")
	for i := range people {
		fmt.Fprintf(&b, "Rob%d,Jones,Manager,Management,rob.jones%d@test.com,4169998888,4169997777,Toronto\r\n", i, i)
	}
	whole := b.String()
	f.upload(f.hr, whole)
	statuses := map[foyer.RunStatus]int{}
	for cut := len(whole) / kilobyte * kilobyte; cut > 0; cut -= kilobyte {
		run, err := f.deliver(reconcile.Delivery{Source: f.hr}, whole[:cut])
		if err != nil && foyer.KindOf(err) == foyer.Internal {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		statuses[run.Status]++
		f.enabledAtLeast(people * 80 / 100)
	}
	t.Logf("%v", statuses)
	if statuses[foyer.Refused] == 0 {
		t.Error("no cut was seen")
	}
	// Between rows: the same from the longest to the shortest, 500 rows fewer each time.
	for rows := people - 1; rows > 0; rows -= 500 {
		file := whole[:strings.Index(whole, fmt.Sprintf("\r\nRob%d,", rows))+2]
		run, err := f.deliver(reconcile.Delivery{Source: f.hr}, file)
		f.must(err)
		statuses[run.Status]++
		f.enabledAtLeast(people * 80 / 100)
	}
	if statuses[foyer.Held] == 0 {
		t.Errorf("nothing was held: %v", statuses)
	}
	f.upload(f.hr, whole)
	f.enabledAtLeast(people)
}

// enabledAtLeast wants so many entries to be enabled.
func (f *fixture) enabledAtLeast(want int) {
	f.t.Helper()
	db := f.open()
	defer db.Close()
	var got int
	f.must(db.QueryRow(`SELECT COUNT(*) FROM entry WHERE enabled = 1`).Scan(&got))
	if got < want {
		f.t.Fatalf("%d are enabled, want at least %d", got, want)
	}
}
