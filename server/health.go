package server

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"foyer"
)

// health is what the server knows of its own state.
type health struct {
	ending atomic.Bool // it shuts down
	mu     sync.Mutex
	asked  time.Time // when the store was asked
	wrong  string    // what was not as it should be then
}

// How long an answer of the store is good for, so that whoever asks all the time costs nothing, and how long the store may take for it.
const (
	readyFor     = time.Second
	readyTimeout = 5 * time.Second
)

// healthy answers GET /healthz: whoever gets an answer knows that the process lives. It looks at nothing else, since a restart would mend nothing else.
func (s *Server) healthy(w http.ResponseWriter, r *http.Request) error {
	return tellState(w, r, http.StatusOK, "ok")
}

// ready answers GET /readyz: whether requests should come here. It says the same to everybody, in a few words what is not as it should be; the log says why.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) error {
	if wrong := s.notReady(r.Context()); wrong != "" {
		w.Header().Set("Retry-After", strconv.Itoa(int(readyTimeout.Seconds())))
		return tellState(w, r, http.StatusServiceUnavailable, "not ready: "+wrong)
	}
	return tellState(w, r, http.StatusOK, "ready")
}

// notReady returns why no requests should come here; "": they should. The store is asked at most once a second, whoever asks, and what becomes of its answer is logged.
func (s *Server) notReady(ctx context.Context) string {
	if s.health.ending.Load() {
		return "the server is shutting down"
	}
	h := &s.health
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.asked.IsZero() && time.Since(h.asked) < readyFor {
		return h.wrong
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyTimeout) // the answer is for others too
	defer cancel()
	err, wrong := s.Store.Ready(ctx), ""
	if known, ok := errors.AsType[*foyer.Error](err); ok {
		wrong = known.Message
	} else if err != nil {
		wrong = "something is wrong; the server's log has it"
	}
	if wrong != "" && wrong != h.wrong {
		s.Log.Error("not ready", "error", err)
	} else if wrong == "" && h.wrong != "" {
		s.Log.Info("ready again")
	}
	h.asked, h.wrong = time.Now(), wrong
	return wrong
}

// tellState replies in one line. The log does not need it.
func tellState(w http.ResponseWriter, r *http.Request, status int, line string) error {
	logOf(r).quiet = true
	w.Header().Set("Content-Type", "text/plain; charset=us-ascii")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, err := w.Write([]byte(line + "\n"))
	return err
}

// sayGoodbye says at /readyz that the server shuts down, for as long as Drain: whoever spreads requests over several servers sends them elsewhere by then. Requests are still answered.
func (s *Server) sayGoodbye(ended <-chan error) {
	s.health.ending.Store(true)
	if s.Drain <= 0 {
		return
	}
	s.Log.Info("shutting down; /readyz says so, and requests are still taken", "for", s.Drain)
	select {
	case <-time.After(s.Drain):
	case <-ended:
	}
}
