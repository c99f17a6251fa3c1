// Package server puts Foyer's parts on one TLS listener. It is the one place that turns an error into a reply.
//
// A request gets an id, a line in the log, and a bounded body. The handlers return errors; fail.go maps the kind of an error to
// the shape that the path promises: RFC 6749's JSON on the token endpoint, a page where people are, RFC 9457's elsewhere. For programs there is never a redirect: those
// that upload would follow it without their body or their token. The pages (connect.go) lead browsers on by 303, to Microsoft and to each other.
package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"path"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"foyer"
	"foyer/connect"
	"foyer/oauth"
	"foyer/store"
)

// Config says what a Server serves. Store, Authority and Log are needed.
type Config struct {
	Store          *store.Store
	Authority      *oauth.Authority
	Log            *slog.Logger
	Connect        *connect.Connector // nil: there are no pages to connect a directory with
	SpoolDir       string             // where large uploads wait until they are applied; empty: the system's folder for temporary files
	PublicURL      string             // as clients reach the server: https://foyer.example.com
	TrustedProxies []netip.Prefix
	Limits         Limits
	Drain          time.Duration // how long /readyz says that the server shuts down before it takes no more requests
}

// Server answers requests.
type Server struct {
	Config
	routes  map[string]route
	running sync.Map // key and Idempotency-Key of each request that is being carried out
	uploads perMinute[foyer.KeyID]
	visits  perMinute[netip.Prefix] // of pages
	health  health
}

// route is a path: its method, and how it is answered and fails.
type route struct {
	method string
	handle func(http.ResponseWriter, *http.Request) error
	fail   func(http.ResponseWriter, *http.Request, error)
}

// New returns a server.
func New(c Config) *Server {
	c.Limits = c.Limits.orDefault()
	s := &Server{Config: c}
	s.routes = map[string]route{
		"/auth/connect/token":                     {http.MethodPost, s.token, failOAuth},
		"/auth/connect/revoke":                    {http.MethodPost, s.revoke, failOAuth},
		"/.well-known/oauth-authorization-server": {http.MethodGet, s.metadata, failProblem},
		"/addressbook/uploadcsv":                  {http.MethodPost, s.upload, failProblem},
		"/healthz":                                {http.MethodGet, s.healthy, failProblem},
		"/readyz":                                 {http.MethodGet, s.ready, failProblem},
		"/":                                       {http.MethodGet, s.welcome, failProblem},
	}
	if c.Connect != nil {
		maps.Copy(s.routes, s.pageRoutes())
	}
	return s
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	entry := &logEntry{id: rand.Text()[:12]}
	r = r.WithContext(context.WithValue(r.Context(), logKey{}, entry))
	out := &recorder{ResponseWriter: w, stall: s.Limits.Stall}
	out.deadline(time.Time{}) // that of the request before
	out.Header().Set("Strict-Transport-Security", "max-age=63072000")
	out.Header().Set("X-Content-Type-Options", "nosniff")
	out.Header().Set("X-Request-Id", entry.id)
	if len(r.TransferEncoding) > 0 { // there may have been a Content-Length besides, which a proxy may have gone by (RFC 9112 §6.1)
		out.Header().Set("Connection", "close")
	}
	defer func() {
		if fault := recover(); fault != nil {
			entry.err = panicked(fault)
			s.Log.Error("panic", "request", entry.id, "error", entry.err, "stack", string(debug.Stack()))
			s.failOf(r)(out, r, entry.err)
		}
		s.logRequest(r, out, entry, time.Since(start))
	}()
	s.answer(out, r, entry)
}

// failOf returns how a request fails.
func (s *Server) failOf(r *http.Request) func(http.ResponseWriter, *http.Request, error) {
	if route, ok := s.routes[path.Clean("/"+r.URL.Path)]; ok {
		return route.fail
	}
	return failProblem
}

// panicked is the error of a panic. Of one that is not Go's own nobody knows what is in its text; the type, and the stack, say where it was.
func panicked(fault any) error {
	if known, ok := fault.(runtime.Error); ok {
		return fmt.Errorf("panic: %w", known)
	}
	return fmt.Errorf("panic: a %T", fault)
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request, entry *logEntry) {
	r.Body = s.timedBody(w, r)
	clean := path.Clean("/" + r.URL.Path)
	route, ok := s.routes[clean]
	if ok {
		entry.path = clean
	}
	switch {
	case !ok:
		entry.err = foyer.Errorf(foyer.NotFound, "there is nothing at %s; the upload is at /addressbook/uploadcsv, the token at /auth/connect/token", r.URL.Path)
		drain(r)
		failProblem(w, r, entry.err)
	case r.Method != route.method && !(route.method == http.MethodGet && r.Method == http.MethodHead):
		w.Header().Set("Allow", route.method)
		entry.err = &methodError{&failure{foyer.Errorf(foyer.Malformed, "%s takes %s, not %s", r.URL.Path, route.method, r.Method)}}
		drain(r)
		route.fail(w, r, entry.err)
	default:
		if entry.err = route.handle(w, r); entry.err != nil {
			route.fail(w, r, entry.err)
		}
	}
}

// methodError is an error about the request's method (405).
type methodError struct{ *failure }

// logEntry is what a handler adds to its request's line in the log.
type logEntry struct {
	id     string
	path   string // of the route; "": there is none, and what stands there may be anything
	caller string
	run    string
	err    error
	quiet  bool // it is asked every few seconds, and its line would tell nothing
}

type logKey struct{}

func logOf(r *http.Request) *logEntry {
	if entry, ok := r.Context().Value(logKey{}).(*logEntry); ok {
		return entry
	}
	return &logEntry{}
}

// logRequest writes a request's line: ids, no personal data. The cause of a fault goes with it.
func (s *Server) logRequest(r *http.Request, w *recorder, entry *logEntry, took time.Duration) {
	if entry.quiet {
		return
	}
	level := slog.LevelInfo
	attrs := []slog.Attr{
		slog.String("request", entry.id), slog.String("method", methodName(r.Method)), slog.String("path", cmp.Or(entry.path, "unknown")),
		slog.Int("status", w.status), slog.Int64("ms", took.Milliseconds()), slog.String("from", s.clientAddress(r).String()),
	}
	if entry.caller != "" {
		attrs = append(attrs, slog.String("caller", entry.caller))
	}
	if entry.run != "" {
		attrs = append(attrs, slog.String("run", entry.run))
	}
	if entry.err != nil {
		kind := foyer.KindOf(entry.err)
		if kind == foyer.Internal || kind == foyer.Busy {
			level = slog.LevelError
			attrs = append(attrs, slog.String("error", entry.err.Error()))
		} else if known, ok := errors.AsType[*foyer.Error](entry.err); ok && known.Err != nil {
			attrs = append(attrs, slog.String("reason", known.Err.Error()))
		}
	}
	s.Log.LogAttrs(r.Context(), level, "request", attrs...)
}

// methodName is a method for the log: one that is not known may be anything.
func methodName(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "unknown"
}

// recorder remembers the status of a reply, and cuts who does not take it.
type recorder struct {
	http.ResponseWriter
	status int
	stall  time.Duration
}

// deadline sets until when the reply must be taken; the zero time: no matter when. Over HTTP/2 a client can hold it up without a limit, by a window of nothing.
func (w *recorder) deadline(at time.Time) {
	http.NewResponseController(w.ResponseWriter).SetWriteDeadline(at) // what cannot be timed is a test's
}

// WriteHeader notes and sends the status.
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
		w.deadline(time.Now().Add(w.stall))
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write sends a part of the reply.
func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// clientAddress returns whom a request comes from: the peer, or behind a trusted proxy the rightmost address of X-Forwarded-For that is no
// trusted proxy's. Over a Unix socket it is 127.0.0.1.
func (s *Server) clientAddress(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	address := peer.Addr().Unmap()
	if err != nil {
		address = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && s.trusted(address); i-- {
		hop, err := parseHop(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		address = hop.Unmap()
	}
	return address
}

// parseHop reads an address as proxies write it: alone, in brackets, or with a port.
func parseHop(text string) (netip.Addr, error) {
	if hop, err := netip.ParseAddrPort(text); err == nil {
		return hop.Addr(), nil
	}
	if inner, ok := strings.CutPrefix(text, "["); ok && strings.HasSuffix(inner, "]") {
		text = strings.TrimSuffix(inner, "]")
	}
	return netip.ParseAddr(text)
}

func (s *Server) trusted(address netip.Addr) bool {
	for _, prefix := range s.TrustedProxies {
		if prefix.Contains(address) {
			return true
		}
	}
	return false
}

// Timeouts of a connection.
const (
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 2 * time.Minute
	maxHeader       = 32 << 10
)

// Serve answers on the listeners until ctx ends; then it says so at /readyz for as long as Drain, takes no more requests, finishes those that run, applies among them, and returns.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	h := &http.Server{
		Handler: s, ReadHeaderTimeout: s.Limits.Header, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(handshakeHints{s.Log.Handler()}, slog.LevelWarn),
	}
	ended := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { ended <- h.Serve(l) }()
	}
	select {
	case err := <-ended:
		h.Close()
		return err
	case <-ctx.Done():
	}
	s.sayGoodbye(ended)
	wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	s.Log.Info("shutting down; running syncs are finished first")
	if err := h.Shutdown(wait); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("shut down: %w", err)
	}
	return nil
}

// handshakeHints adds to the log of a handshake that failed for TLS 1.0 or 1.1 what the customer has to do, and leaves out what a client said that speaks no HTTP/2.
type handshakeHints struct{ slog.Handler }

// Handle passes a record on, with a hint where it is about an old version of TLS.
func (h handshakeHints) Handle(ctx context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "unsupported versions") {
		r.AddAttrs(slog.String("hint", "the client offered no TLS 1.2: on an old Windows the script must set [System.Net.ServicePointManager]::SecurityProtocol to Tls12 before its first call"))
	}
	if before, _, said := strings.Cut(r.Message, "bogus greeting"); said {
		r = slog.NewRecord(r.Time, r.Level, before+"bogus greeting", r.PC)
	}
	return h.Handler.Handle(ctx, r)
}

func (s *Server) welcome(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "text/plain; charset=us-ascii")
	_, err := w.Write([]byte("This is Foyer. Scripts get a token at POST /auth/connect/token and send their file to POST /addressbook/uploadcsv.\n"))
	return err
}
