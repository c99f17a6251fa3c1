package entratest

import (
	"net/http"
	"strings"
	"time"
)

// The names of the three servers in Request.Server.
const (
	Login     = "login"
	Graph     = "graph"
	Elsewhere = "elsewhere"
)

// Request is one request that a Fake got.
type Request struct {
	At     time.Time // by the Fake's clock
	Server string    // Login, Graph or Elsewhere
	Method string
	Path   string // without the query
	Query  string // as sent
	Bearer bool   // it carried an Authorization header
	Prefer string // the Prefer header
	Status int    // what was answered; 0 while it is not
}

// Requests returns what came so far, or since Forget, in the order of arrival.
func (f *Fake) Requests() []Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]Request, len(f.log))
	for i, r := range f.log {
		all[i] = *r
	}
	return all
}

// Count returns how many requests to a server had a path that ends so: Count(entratest.Graph, "/users/delta").
func (f *Fake) Count(server, suffix string) int {
	n := 0
	for _, r := range f.Requests() {
		if r.Server == server && strings.HasSuffix(r.Path, suffix) {
			n++
		}
	}
	return n
}

// Forget empties the log and what TooEarly counts.
func (f *Fake) Forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log, f.tooEarly = nil, 0
}

// observe notes every request, lets faults happen, and sends what the handler answers. A reply is whole in memory before it goes: none is larger than a page.
func (f *Fake) observe(server string, handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		entry := &Request{At: f.clock(), Server: server, Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery,
			Bearer: r.Header.Get("Authorization") != "", Prefer: r.Header.Get("Prefer")}
		f.mu.Lock()
		f.log = append(f.log, entry)
		f.mu.Unlock()
		a := &answer{header: http.Header{}, status: http.StatusOK}
		failure := f.fault(server, r)
		if failure != nil && failure.Status != 0 {
			f.refuse(a, server, r, failure)
		} else {
			handler.ServeHTTP(a, r)
		}
		f.mu.Lock()
		entry.Status = a.status
		f.mu.Unlock()
		a.send(w, failure)
	})
}
