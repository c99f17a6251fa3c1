package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"foyer/store/storetest"
)

// commit writes so many bytes to a row and commits.
func commit(t *testing.T, s *Store, row, bytes int) {
	t.Helper()
	text := strings.Repeat(fmt.Sprintf("%020d", time.Now().UnixNano()), bytes/20) // another each time: SQLite leaves a page that stays the same
	err := s.transact(t.Context(), "", "write", func(t *txn) error {
		return t.exec(`INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT DO UPDATE SET value = excluded.value`, fmt.Sprint("row", row), text)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// logged returns how many frames of the log are not in the database yet.
func logged(t *testing.T, s *Store) int {
	t.Helper()
	_, left, ok := frames(t.Context(), s.read, `PRAGMA wal_checkpoint(NOOP)`)
	if !ok {
		t.Fatal("the log cannot be looked at")
	}
	return left
}

func within10s(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

// TestCheckpoint_LogStaysBoundedUnderASteadyLoad holds that the log is begun anew although two processes commit and read without a pause: however long that takes on a busy machine, in the
// end the log was never as long as half of what was written.
func TestCheckpoint_LogStaysBoundedUnderASteadyLoad(t *testing.T) {
	storetest.SQLiteOnly(t)
	dir := t.TempDir()
	stores := []*Store{openBeside(t, dir), openBeside(t, dir)}
	ctx, cancel := context.WithCancel(t.Context())
	var readers, writers sync.WaitGroup
	var longest, written atomic.Int64
	begunAnew := func() bool { return written.Load() >= 80<<20 && written.Load() > 2*longest.Load() }
	deadline := time.Now().Add(2 * time.Minute)
	for i, s := range stores {
		readers.Go(func() {
			for ctx.Err() == nil {
				s.snapshot(ctx, "", "read", func(t *txn) error {
					var n int
					return t.get(`SELECT count(*) FROM meta`, nil, &n)
				})
				if info, err := os.Stat(filepath.Join(dir, "foyer.db-wal")); err == nil {
					longest.Store(max(longest.Load(), info.Size()))
				}
			}
		})
		writers.Go(func() {
			for n := 0; !begunAnew() && time.Now().Before(deadline); n++ {
				commit(t, s, i*10+n%10, 1<<20)
				written.Add(1 << 20)
			}
		})
	}
	writers.Wait()
	cancel()
	readers.Wait()
	if !begunAnew() {
		t.Errorf("commits of %d MiB left a log of %d MiB", written.Load()>>20, longest.Load()>>20)
	}
	for _, s := range stores {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestCheckpoint_WaitsForNobody(t *testing.T) {
	storetest.SQLiteOnly(t)
	s := openTest(t)
	commit(t, s, 1, 1<<10)
	err := s.snapshot(t.Context(), "", "read", func(r *txn) error {
		var n int
		if err := r.get(`SELECT count(*) FROM meta`, nil, &n); err != nil {
			return err
		}
		start := time.Now()
		for i := range 20 {
			commit(t, s, i, 1<<20)
		}
		if took := time.Since(start); took >= busyTimeout {
			t.Errorf("20 commits took %v beside a reader", took)
		}
		if logged(t, s) < longFrames {
			t.Error("the log was carried over under a reader that must not see it")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	within10s(t, "the log was not carried over after the reader had ended", func() bool { return logged(t, s) == 0 })
}

func TestCheckpoint_AProcessLeavesNoLongLog(t *testing.T) {
	storetest.SQLiteOnly(t)
	dir := t.TempDir()
	server := openBeside(t, dir)
	defer server.Close()
	command := openBeside(t, dir)
	commit(t, command, 1, 8<<20)
	if err := command.Close(); err != nil {
		t.Fatal(err)
	}
	if left := logged(t, server); left >= worthFrames {
		t.Errorf("%d frames are left", left)
	}
}

func TestCheckpoint_TheFileOfALongLogBecomesSmall(t *testing.T) {
	storetest.SQLiteOnly(t)
	s := openTest(t)
	commit(t, s, 1, 100<<20)
	var path string
	if err := s.read.QueryRow(`SELECT file FROM pragma_database_list`).Scan(&path); err != nil {
		t.Fatal(err)
	}
	within10s(t, "the log's file was not cut", func() bool {
		info, err := os.Stat(path + "-wal")
		return err == nil && info.Size() < keptFrames*4096
	})
	commit(t, s, 2, 10)
}
