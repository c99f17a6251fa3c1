package reconcile

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"foyer"
)

// deliver puts so many rows, and returns those that were worked on, as they were put, with what the end returned.
func deliver(count int, work func(n int) error) (came []string, err error) {
	a := newAhead(func(packed []byte, row aheadRow) error {
		came = append(came, fmt.Sprintf("%d %v %s", row.line, row.noHash, packed))
		return work(len(came))
	})
	for i := range count {
		r := foyer.Record{ExternalID: strings.Repeat("x", i%300)}
		a.put(&r, []byte("key"), aheadRow{line: int32(i), noHash: i%7 == 0})
	}
	err = a.end()
	return came, err
}

func TestAhead_HandsAllRowsOverInTheirOrder(t *testing.T) {
	for _, count := range []int{0, 1, 5000} {
		came, err := deliver(count, func(int) error { return nil })
		if err != nil || len(came) != count {
			t.Fatalf("%d of %d, %v", len(came), count, err)
		}
		for i, got := range came {
			r := foyer.Record{ExternalID: strings.Repeat("x", i%300)}
			if want := fmt.Sprintf("%d %v key%s", i, i%7 == 0, r.AppendPacked(nil)); got != want {
				t.Fatalf("row %d is %q, want %q", i, got, want)
			}
		}
	}
}

func TestAhead_StopsAtTheFirstErrorAndAtAPanic(t *testing.T) {
	broken := errors.New("broken")
	came, err := deliver(5000, func(n int) error {
		if n == 10 {
			return broken
		}
		return nil
	})
	if err != broken || len(came) != 10 {
		t.Errorf("%d rows, %v", len(came), err)
	}
	came, err = deliver(5000, func(n int) error {
		if n == 3000 {
			panic("a fault")
		}
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "a fault") || len(came) != 3000 {
		t.Errorf("%d rows, %v", len(came), err)
	}
}
