package push

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"
)

// soon is when at the latest a run that did not reach the server, did not get to the end of a directory, or found settings or a secret that somebody is at work on, is tried again.
const soon = time.Hour

// Every runs at once and then again and again, each time after the interval and by chance up to a tenth of it later, at most half an hour, so that the customers of one server do
// not all come at the same minute. What failed on the way is tried again within the hour. It returns once ctx is done.
func Every(ctx context.Context, interval time.Duration, log *slog.Logger, run func(context.Context) Outcome) {
	for {
		outcome := run(ctx)
		if ctx.Err() != nil {
			return
		}
		pause := interval
		switch outcome {
		case Unreachable, NotRead, Misused:
			pause = min(pause, soon)
		}
		pause += rand.N(min(pause/10, 30*time.Minute) + 1)
		log.Info("next run", "after", outcome.String(), "at", time.Now().Add(pause).Format(time.RFC3339))
		if sleep(ctx, pause) != nil {
			return
		}
	}
}
