package jobs

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"foyer/foyertest"
)

// runnerOf returns a runner of other jobs than the real ones.
func runnerOf(t *testing.T, jobs ...job) (*Runner, *bytes.Buffer) {
	t.Helper()
	s, _ := foyertest.OpenStore(t, t.TempDir(), time.Now)
	log := &bytes.Buffer{}
	r := New(Config{Store: s, Log: slog.New(slog.NewTextHandler(log, nil))})
	r.jobs = jobs
	return r, log
}

func TestTick_FailureDoesNotStopTheOthers(t *testing.T) {
	ran := false
	r, log := runnerOf(t,
		job{"first", func(context.Context) error { return errors.New("broken") }},
		job{"second", func(context.Context) error { panic("oh") }},
		job{"third", func(context.Context) error { ran = true; return nil }})
	r.Tick(t.Context())
	if !ran || !strings.Contains(log.String(), "job=first error=broken") || !strings.Contains(log.String(), `job=second error="panic: oh`) {
		t.Errorf("the third ran: %v; the log: %s", ran, log)
	}
}

func TestTick_TicksDoNotOverlap(t *testing.T) {
	var inside, most atomic.Int32
	r, _ := runnerOf(t, job{"slow", func(context.Context) error {
		most.Store(max(most.Load(), inside.Add(1)))
		time.Sleep(5 * time.Millisecond)
		inside.Add(-1)
		return nil
	}})
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() { r.Tick(t.Context()) })
	}
	all.Wait()
	if most.Load() != 1 {
		t.Errorf("%d ticks ran at once", most.Load())
	}
}

// TestRun_EndsOnShutdown holds that the first tick comes at once, and that a job is told of the end and no other begins after it.
func TestRun_EndsOnShutdown(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	r, log := runnerOf(t,
		job{"long", func(ctx context.Context) error {
			stop()
			<-ctx.Done()
			return ctx.Err()
		}},
		job{"next", func(context.Context) error { t.Error("a job began after the end"); return nil }})
	ended := make(chan struct{})
	go func() {
		r.Run(ctx)
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("it did not end")
	}
	if log.Len() != 0 {
		t.Errorf("the log: %s", log)
	}
}
