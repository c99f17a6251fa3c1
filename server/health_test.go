package server_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"foyer/foyertest"
	"foyer/script"
	"foyer/server"
	"foyer/store/storetest"
)

// ask gets a path of a server.
func ask(t *testing.T, s *script.Script, path string) *script.Reply {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, s.URL+path, nil)
	must(t, err)
	return do(t, s, req)
}

// wantState waits until /readyz says that, and checks that /healthz goes on saying ok.
func wantState(t *testing.T, f *foyertest.Foyer, status int, line string) {
	t.Helper()
	var reply *script.Reply
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if reply = ask(t, f.Script, "/readyz"); reply.Status == status {
			break
		}
	}
	if reply.Status != status || reply.Body != line+"\n" || reply.Header.Get("Cache-Control") != "no-store" || (reply.Header.Get("Retry-After") != "") != (status != 200) {
		t.Errorf("/readyz says %d %q, %v; want %d %q", reply.Status, reply.Body, reply.Header, status, line)
	}
	if reply := ask(t, f.Script, "/healthz"); reply.Status != 200 || reply.Body != "ok\n" {
		t.Errorf("/healthz says %d %q", reply.Status, reply.Body)
	}
}

// logLines is a log that a test reads while it is written.
type logLines struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements io.Writer.
func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logLines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

func (l *logLines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// TestReady_SaysWhatIsWrongUntilItIsMended holds that the reply names what is wrong and nothing of the inside, that the log says why, once, and that it is ready again without a restart.
func TestReady_SaysWhatIsWrongUntilItIsMended(t *testing.T) {
	log := &logLines{}
	f := foyertest.StartWith(t, server.Config{Log: log.logger()})
	wantState(t, f, 200, "ready")
	db := storetest.Open(t, f.Dir)
	defer db.Close()
	_, err := db.Exec(`UPDATE goose_db_version SET version_id = version_id - 3 WHERE version_id > 1`)
	must(t, err)
	wantState(t, f, 503, "not ready: the database has an older schema")
	for range 5 {
		ask(t, f.Script, "/readyz")
	}
	_, err = db.Exec(`UPDATE goose_db_version SET version_id = version_id + 3 WHERE version_id <> 0`)
	must(t, err)
	wantState(t, f, 200, "ready")
	if log.count(`the database has an older schema: its schema is number`) != 1 || log.count("ready again") != 1 {
		t.Errorf("the log has not once what is wrong, and once that it is over:\n%s", log.text.String())
	}
	if log.count("path=/readyz") != 0 || log.count("path=/healthz") != 0 {
		t.Error("who asks whether it is ready fills the log")
	}
}

func TestReady_NotWithoutItsDatabase(t *testing.T) {
	f := foyertest.Start(t)
	must(t, f.Store.Close())
	wantState(t, f, 503, "not ready: the database cannot be read")
}

// TestReady_NewerSchemaIsReady holds that a server goes on when a newer one has brought the database up to date.
func TestReady_NewerSchemaIsReady(t *testing.T) {
	f := foyertest.Start(t)
	db := storetest.Open(t, f.Dir)
	defer db.Close()
	_, err := db.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, ` + map[bool]string{true: "true", false: "1"}[storetest.OnPostgres()] + `)`)
	must(t, err)
	wantState(t, f, 200, "ready")
}

// TestReady_ShutdownSaysSoFirst holds that a server which is told to end is not ready at once, while it still takes uploads, and then ends.
func TestReady_ShutdownSaysSoFirst(t *testing.T) {
	f := foyertest.Start(t)
	stop, ended := serveInTheClear(t, f, server.New(server.Config{Store: f.Store, Authority: f.Authority, Log: slog.New(slog.DiscardHandler), SpoolDir: f.Dir, Drain: 3 * time.Second}))
	wantState(t, f, 200, "ready")
	stop()
	wantState(t, f, 503, "not ready: the server is shutting down")
	wantLine(t, f.Upload(t, ann), annLine)
	select {
	case err := <-ended:
		must(t, err)
	case <-time.After(time.Minute):
		t.Fatal("it does not end")
	}
	if _, err := net.Dial("tcp", strings.TrimPrefix(f.Script.URL, "http://")); err == nil {
		t.Error("it still takes connections")
	}
}

// serveInTheClear serves over HTTP/1.1 besides, without TLS, and has the script go there. It returns what ends that, and where the end is told.
func serveInTheClear(t *testing.T, f *foyertest.Foyer, s *server.Server) (stop func(), ended <-chan error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	end := make(chan error, 1)
	go func() { end <- s.Serve(ctx, l) }()
	f.Script.URL = "http://" + l.Addr().String()
	return stop, end
}

// TestHTTP_ASlowAnswerCancelsNothingAfterIt holds that a request which takes longer than a client may stall (a sync that waits for its turn) does not spoil its connection for those after it.
func TestHTTP_ASlowAnswerCancelsNothingAfterIt(t *testing.T) {
	f := foyertest.Start(t)
	s := server.New(server.Config{Store: f.Store, Authority: f.Authority, Log: slog.New(slog.DiscardHandler), Limits: server.Limits{Stall: 100 * time.Millisecond}})
	server.Handle(s, http.MethodPost, "/slow", func(w http.ResponseWriter, r *http.Request) error {
		io.Copy(io.Discard, r.Body)
		r.Body.Read(make([]byte, 1)) // once more, as whoever reads parts does
		time.Sleep(300 * time.Millisecond)
		return r.Context().Err()
	})
	serveInTheClear(t, f, s)
	connections := map[string]bool{}
	trace := &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { connections[c.Conn.LocalAddr().String()] = true }}
	for range 3 {
		req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodPost, f.Script.URL+"/slow", strings.NewReader("a body"))
		must(t, err)
		if reply := do(t, f.Script, req); reply.Status != http.StatusOK {
			t.Errorf("it gets %d %s", reply.Status, reply.Body)
		}
	}
	if len(connections) != 1 {
		t.Errorf("%d connections were used: the test shows nothing", len(connections))
	}
}
