package foyer_test

import (
	"testing"
	"time"

	"foyer"
)

// TestR27_WhenASourceIsMissed holds from when on a source counts as silent.
func TestR27_WhenASourceIsMissed(t *testing.T) {
	made := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	synced := made.Add(48 * time.Hour)
	for _, c := range []struct {
		expect       time.Duration
		synced, want time.Time
	}{
		{0, time.Time{}, time.Time{}}, {0, synced, synced.Add(26 * time.Hour)}, {time.Hour, time.Time{}, made.Add(time.Hour)}, {time.Hour, synced, synced.Add(time.Hour)},
		{foyer.Never, time.Time{}, time.Time{}}, {foyer.Never, synced, time.Time{}},
	} {
		if got := (&foyer.Source{CreatedAt: made, Expect: c.expect}).Due(c.synced); !got.Equal(c.want) {
			t.Errorf("expected every %v, synced %v: due %v, want %v", c.expect, c.synced, got, c.want)
		}
	}
}
