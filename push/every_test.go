package push_test

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"foyer/push"
)

// TestEvery_ComesAgain holds when a run comes again: after the interval and a little later, and within the hour where it did not get through.
func TestEvery_ComesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		outcomes := []push.Outcome{push.Applied, push.Unreachable, push.NotRead, push.Misused, push.Held, push.Refused, push.Applied}
		var at []time.Time
		push.Every(ctx, 24*time.Hour, slog.New(slog.NewTextHandler(io.Discard, nil)), func(context.Context) push.Outcome {
			at = append(at, time.Now())
			if len(at) == len(outcomes) {
				cancel()
			}
			return outcomes[len(at)-1]
		})
		if len(at) != len(outcomes) {
			t.Fatalf("it ran %d times", len(at))
		}
		chance := map[time.Duration]bool{}
		for i, outcome := range outcomes[:len(outcomes)-1] {
			least, later := 24*time.Hour, 30*time.Minute
			if outcome == push.Unreachable || outcome == push.NotRead || outcome == push.Misused {
				least, later = time.Hour, 6*time.Minute
			}
			pause := at[i+1].Sub(at[i])
			if pause < least || pause > least+later {
				t.Errorf("after %v it waited %v", outcome, pause)
			}
			chance[pause-least] = true
		}
		if len(chance) == 1 {
			t.Errorf("chance has no part in it: %v", chance)
		}
	})
}
