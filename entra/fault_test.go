package entra_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"foyer/entra"
	"foyer/entra/entratest"
)

// always spoils every request whose path ends so.
func always(suffix string, failure entratest.Failure) func(*http.Request) *entratest.Failure {
	return func(r *http.Request) *entratest.Failure {
		if strings.HasSuffix(r.URL.Path, suffix) {
			return &failure
		}
		return nil
	}
}

// TestThrottling_RetryAfterIsKeptToTheSecond holds that a read waits as long as it is told, early or late in it, and not shorter nor longer.
func TestThrottling_RetryAfterIsKeptToTheSecond(t *testing.T) {
	for _, failure := range []entratest.Failure{entratest.Throttled(17 * time.Second), entratest.Unavailable(2 * time.Minute)} {
		for nth := 1; nth <= 4; nth++ {
			w := newWorld(t)
			w.acme.Populate(700, 1)
			w.FailAt("/delta", nth, failure)
			p := must(t, w.tenant(), "")
			if len(p.byID()) != 701 || len(p.items) != 701 {
				t.Errorf("%d people were read", len(p.items))
			}
			if got := w.clock.waits(); !slices.Equal(got, []time.Duration{failure.RetryAfter}) {
				t.Errorf("after the %dth page it waited for %v, not %v", nth, got, failure.RetryAfter)
			}
			if n := w.TooEarly(); n != 0 {
				t.Errorf("%d requests came too early", n)
			}
		}
	}
}

// TestThrottling_OfTheSignIn holds that tokens are waited for as well, and a date is as good as seconds.
func TestThrottling_OfTheSignIn(t *testing.T) {
	w := newWorld(t)
	at := w.clock.Now().Add(40 * time.Second)
	w.FailAt("/token", 1, entratest.Failure{Status: 429, Header: http.Header{"Retry-After": {at.UTC().Format(http.TimeFormat)}}})
	must(t, w.tenant(), "")
	if got := w.clock.waits(); len(got) != 1 || got[0] != 40*time.Second { // the date has no fractions, and is not to be undercut
		t.Errorf("it waited for %v", got)
	}
}

// TestThrottling_TooLongIsTheCallersToWait holds that a read does not hang for long, and tells how long it would.
func TestThrottling_TooLongIsTheCallersToWait(t *testing.T) {
	w := newWorld(t)
	w.Fail(always("/delta", entratest.Throttled(121*time.Second)))
	_, err := read(t, w.tenant(), "")
	if e := wantKind(t, err, entra.Throttled); e.RetryAfter != 121*time.Second || e.Status != 429 || len(w.clock.waits()) != 0 {
		t.Errorf("the error is %v, to wait %v, and it waited for %v", e, e.RetryAfter, w.clock.waits())
	}
}

// TestThrottling_WithoutEnd holds that there is an end to it, with and without a header.
func TestThrottling_WithoutEnd(t *testing.T) {
	w := newWorld(t)
	w.Fail(always("/delta", entratest.Throttled(10*time.Second)))
	_, err := read(t, w.tenant(), "")
	wantKind(t, err, entra.Throttled)
	if got := w.clock.waits(); !slices.Equal(got, slices.Repeat([]time.Duration{10 * time.Second}, 5)) {
		t.Errorf("it waited for %v", got)
	}
	w = newWorld(t)
	w.Fail(always("/delta", entratest.Failure{Status: 429}))
	_, err = read(t, w.tenant(), "")
	if e := wantKind(t, err, entra.Throttled); e.RetryAfter != 0 {
		t.Errorf("nobody said %v", e.RetryAfter)
	}
	got := w.clock.waits()
	for i, d := range got {
		if least := time.Second << i; d < least || d >= 2*least {
			t.Errorf("the pause %d is %v", i, d)
		}
	}
	if len(got) != 5 {
		t.Errorf("it waited for %v", got)
	}
}

// TestThrottling_EndsWithItsContext holds that who calls a read off does not wait for it.
func TestThrottling_EndsWithItsContext(t *testing.T) {
	w := newWorld(t)
	c := w.config()
	c.Sleep = nil // a true minute
	ctx, cancel := context.WithCancel(t.Context())
	c.Log = slog.New(slog.NewTextHandler(write(func() { cancel() }), nil)) // it is logged when the wait begins
	app, err := entra.New(c)
	if err != nil {
		t.Fatal(err)
	}
	w.Fail(always("/delta", entratest.Throttled(time.Minute)))
	_, err = app.Tenant(w.acme.ID).Users(ctx, "", func([]entra.Item) error { return nil })
	if e := wantKind(t, err, entra.Throttled); !errors.Is(e, context.Canceled) || e.RetryAfter != time.Minute {
		t.Errorf("the error is %v", e)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	begun := time.Now()
	_, err = app.Tenant(w.acme.ID).Users(ctx, "", func([]entra.Item) error { return nil })
	wantKind(t, err, entra.Throttled)
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it waited %v for nothing", took)
	}
	_, err = app.Tenant(w.acme.ID).Users(canceled(t), "", func([]entra.Item) error { return nil })
	if e := wantKind(t, err, entra.Unavailable); !errors.Is(e, context.Canceled) {
		t.Errorf("the error is %v", e)
	}
}

// write is a writer that is a function.
type write func()

func (w write) Write(p []byte) (int, error) {
	w()
	return len(p), nil
}

func canceled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// TestFault_PageIsTriedAgain holds that what passes is not noticed: each page comes once, whole, whatever happened to it once or twice.
func TestFault_PageIsTriedAgain(t *testing.T) {
	failures := map[string]entratest.Failure{"500": {Status: 500}, "502": {Status: 502, Body: "<html>"}, "503": {Status: 503}, "504": {Status: 504}, "cut": {Cut: true}, "truncated": {Truncate: true},
		"no JSON": {Status: 200, Body: "<html>sign in to the proxy</html>"}, "no page": {Status: 200, Body: "{}"}, "moved": {Status: 307, Header: http.Header{"Location": {"https://127.0.0.1:1/"}}, Body: "-"}}
	for name, failure := range failures {
		for k := 1; k <= 4; k++ {
			w := newWorld(t)
			w.SetHabits(entratest.Habits{PageSize: 20})
			w.acme.Populate(70, 1)
			w.FailAt("/delta", k, failure)
			w.FailAt("/delta", k, failure) // counts beside the first, and so spoils the next try
			p := must(t, w.tenant(), "")
			if len(p.items) != 71 || p.pages != 4 {
				t.Errorf("%s at page %d: %d people on %d pages", name, k, len(p.items), p.pages)
			}
			if n := len(w.clock.waits()); n != 1 && n != 2 {
				t.Errorf("%s at page %d: it paused %d times", name, k, n)
			}
		}
	}
}

// TestFault_EndsAfterThePagesBefore holds that a page which cannot be had ends the read, at every page of it: only whole pages were handed on, and no deltaLink.
func TestFault_EndsAfterThePagesBefore(t *testing.T) {
	for name, failure := range map[string]entratest.Failure{"cut": {Cut: true}, "truncated": {Truncate: true}, "503": {Status: 503}} {
		for k := range 4 {
			w := newWorld(t)
			w.SetHabits(entratest.Habits{PageSize: 20})
			w.acme.Populate(70, 1)
			n := 0
			w.Fail(func(r *http.Request) *entratest.Failure {
				if !strings.HasSuffix(r.URL.Path, "/delta") {
					return nil
				}
				if n++; n <= k {
					return nil
				}
				return &failure
			})
			p, err := read(t, w.tenant(), "")
			wantKind(t, err, entra.Unavailable)
			if len(p.items) != 20*k || p.pages != k || p.link != "" {
				t.Errorf("%s after %d pages: %d people on %d pages, and the deltaLink %q", name, k, len(p.items), p.pages, p.link)
			}
			if n != k+3 {
				t.Errorf("%s after %d pages: %d requests, not 3 of the last", name, k, n)
			}
		}
	}
}

// TestLinks_ElsewhereNeverSeesTheBearer holds that no other host is asked, whichever page names it, or what is stored.
func TestLinks_ElsewhereNeverSeesTheBearer(t *testing.T) {
	for k := 1; k <= 4; k++ {
		w := newWorld(t)
		w.acme.Populate(700, 1)
		w.FailAt("/delta", k, entratest.Failure{LinkHost: w.Elsewhere})
		p, err := read(t, w.tenant(), "")
		wantKind(t, err, entra.Forged)
		if p.pages != k-1 || p.link != "" {
			t.Errorf("a poisoned page %d: %d pages were handed on, and the link %q", k, p.pages, p.link)
		}
		if n := w.Count(entratest.Elsewhere, ""); n != 0 {
			t.Fatalf("elsewhere was asked %d times", n)
		}
	}
	w := newWorld(t)
	for _, link := range []string{w.Elsewhere + "/v1.0/users/delta?$deltatoken=a", strings.Replace(w.Graph, "https", "http", 1) + "/v1.0/users/delta", "//evil.example/", "/v1.0/users/delta",
		"https://graph@evil.example/", w.Graph + "@evil.example/", w.Graph + ".evil.example/", strings.Replace(w.Graph, "127.0.0.1", "evil.example", 1), "https:evil", " " + w.Graph,
		strings.Replace(w.Graph, "https://", "https://user@", 1), w.Graph + "/" + strings.Repeat("x", 70000)} {
		_, err := read(t, w.tenant(), link)
		wantKind(t, err, entra.Forged)
	}
	if n := w.Count(entratest.Graph, ""); n != 0 {
		t.Errorf("the Graph was asked %d times", n)
	}
}

// TestLinks_RedirectsAreNotFollowed holds that no redirect takes the bearer, or the secret, along.
func TestLinks_RedirectsAreNotFollowed(t *testing.T) {
	w := newWorld(t)
	moved := entratest.Failure{Status: 307, Header: http.Header{"Location": {w.Elsewhere + "/v1.0/users/delta"}}, Body: "-"}
	stop := w.Fail(always("/delta", moved))
	_, err := read(t, w.tenant(), "")
	wantKind(t, err, entra.Unavailable)
	stop()
	w.Fail(always("/token", moved))
	_, err = read(t, w.tenant(), "")
	wantKind(t, err, entra.Unavailable)
	if n := w.Count(entratest.Elsewhere, ""); n != 0 {
		t.Errorf("elsewhere was asked %d times", n)
	}
}

// TestFault_UntrustedCertificate holds that nobody in between gets a token, and that it is told as that.
func TestFault_UntrustedCertificate(t *testing.T) {
	w := newWorld(t)
	between := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was asked") }))
	between.Config.ErrorLog = log.New(io.Discard, "", 0)
	defer between.Close()
	c := w.config()
	c.Graph = between.URL
	c.Client = w.Client()
	app, err := entra.New(c)
	if err != nil {
		t.Fatal(err)
	}
	w.FailAt("/token", 1, entratest.Failure{Status: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"access_token":"a","token_type":"Bearer","expires_in":3600}`})
	_, err = read(t, app.Tenant(w.acme.ID), "")
	if e := wantKind(t, err, entra.Unavailable); !strings.Contains(e.Message, "certificate") {
		t.Errorf("it says %q", e.Message)
	}
}

// TestFault_ReplyWithoutEnd holds that memory has a bound, and time.
func TestFault_ReplyWithoutEnd(t *testing.T) {
	var sent atomic.Int64
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case strings.HasSuffix(r.URL.Path, "/token"):
			fmt.Fprint(w, `{"access_token":"a","token_type":"Bearer","expires_in":3600}`)
		case r.URL.Path == "/v1.0/users/"+tenant:
			<-r.Context().Done()
		default:
			chunk := []byte(strings.Repeat(" ", 1<<20))
			for r.Context().Err() == nil {
				n, err := w.Write(chunk)
				if sent.Add(int64(n)); err != nil {
					return
				}
			}
		}
	}))
	defer server.Close()
	slow := server.Client()
	slow.Timeout = 20 * time.Second
	c := entra.Config{ClientID: client, Authority: server.URL, Graph: server.URL, Credential: entra.Credential{Secret: secret}, Client: slow, Sleep: newClock().Sleep}
	app, err := entra.New(c)
	if err != nil {
		t.Fatal(err)
	}
	_, err = read(t, app.Tenant(tenant), "")
	wantKind(t, err, entra.Invalid)
	if n := sent.Load(); n > 64<<20 {
		t.Errorf("%d MiB were taken", n>>20)
	}
	slow.Timeout = 100 * time.Millisecond
	c.Client = slow
	if app, err = entra.New(c); err != nil {
		t.Fatal(err)
	}
	_, err = app.Tenant(tenant).User(t.Context(), tenant)
	wantKind(t, err, entra.Unavailable)
}

// TestUsers_MemoryIsFlat holds that a tenant of 50,000 is read with the memory of its pages.
func TestUsers_MemoryIsFlat(t *testing.T) {
	if testing.Short() {
		t.Skip("50,000 people")
	}
	w := newWorld(t)
	w.acme.Populate(50000, 1)
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, most, n, pages := heap(), uint64(0), 0, 0
	link, err := w.tenant().Users(t.Context(), "", func(items []entra.Item) error {
		n += len(items)
		if pages++; pages%50 == 0 {
			most = max(most, heap())
		}
		return nil
	})
	if err != nil || link == "" || n != 50001 {
		t.Fatalf("%d people were read, %v", n, err)
	}
	if grown := int64(most) - int64(before); grown > 8<<20 {
		t.Errorf("the heap grew by %d KiB over %d pages", grown>>10, pages)
	}
}
