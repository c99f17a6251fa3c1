package entratest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Failure is what goes wrong with one request. Either Status is set, and this is the reply; or the reply is the true one, spoiled.
type Failure struct {
	Status     int
	Code       string        // of the error object; "": what Microsoft says with this status
	Number     int           // of AADSTS, at the login; 0: 90033, a transient error
	Message    string        // of the error object; "": "Something went wrong."
	RetryAfter time.Duration // whole seconds; who asks again before that is answered 429 again, and counted by TooEarly
	Header     http.Header   // more headers
	Body       string        // instead of an error object

	Cut      bool   // half of the body comes, then the connection breaks
	Truncate bool   // half of the body comes, with the Content-Length of that half: JSON that ends in the middle
	LinkHost string // scheme and host, as Fake.Elsewhere, of the nextLink or deltaLink
}

// Throttled is 429 with Retry-After.
func Throttled(wait time.Duration) Failure {
	return Failure{Status: http.StatusTooManyRequests, RetryAfter: wait}
}

// Unavailable is 503 with Retry-After.
func Unavailable(wait time.Duration) Failure {
	return Failure{Status: http.StatusServiceUnavailable, RetryAfter: wait}
}

// hook is one call of Fail.
type hook struct {
	decide func(*http.Request) *Failure
}

// Fail asks decide at every request, of any server, until the returned function is called. nil: nothing is wrong. Hooks are asked in the order they
// came, one at a time, and the first failure wins. The request's Host tells the servers apart.
func (f *Fake) Fail(decide func(r *http.Request) *Failure) (stop func()) {
	h := &hook{decide}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hooks = append(f.hooks, h)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.hooks = slices.DeleteFunc(slices.Clone(f.hooks), func(other *hook) bool { return other == h })
	}
}

// FailAt spoils the nth request from now on, counted from 1, whose path ends so; it alone.
func (f *Fake) FailAt(suffix string, nth int, failure Failure) (stop func()) {
	n := 0
	return f.Fail(func(r *http.Request) *Failure {
		if !strings.HasSuffix(r.URL.Path, suffix) {
			return nil
		}
		if n++; n != nth {
			return nil
		}
		return &failure
	})
}

// TooEarly returns how many requests came before the time that a Retry-After named.
func (f *Fake) TooEarly() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tooEarly
}

// fault returns what goes wrong with the request, if anything.
func (f *Fake) fault(server string, r *http.Request) *Failure {
	now := f.clock()
	f.mu.Lock()
	who := f.waiter(server, r)
	left, hooks := f.waits[who].Sub(now), slices.Clone(f.hooks)
	if left > 0 {
		f.tooEarly++
	}
	f.mu.Unlock()
	if left > 0 {
		return &Failure{Status: http.StatusTooManyRequests, RetryAfter: left}
	}
	f.hooking.Lock()
	defer f.hooking.Unlock()
	for _, h := range hooks {
		failure := h.decide(r)
		if failure == nil {
			continue
		}
		if failure.RetryAfter > 0 {
			f.mu.Lock()
			f.waits[who] = now.Add(failure.RetryAfter)
			f.mu.Unlock()
		}
		return failure
	}
	return nil
}

// waiter names who has to wait after a Retry-After: on the Graph the application in the tenant, whatever token it comes with, so that one tenant does not slow
// another; at the login the path.
func (f *Fake) waiter(server string, r *http.Request) string {
	bearer := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if g := f.grants[bearer]; g != nil {
		return server + " " + g.app + " " + g.tenant.ID
	}
	return server + " " + r.URL.Path
}

// refuse answers with the failure.
func (f *Fake) refuse(a *answer, server string, r *http.Request, failure *Failure) {
	for name, values := range failure.Header {
		a.header[name] = values
	}
	if failure.RetryAfter > 0 {
		a.header.Set("Retry-After", strconv.Itoa(int(math.Ceil(failure.RetryAfter.Seconds()))))
	}
	message := failure.Message
	if message == "" {
		message = "Something went wrong."
	}
	switch {
	case failure.Body != "":
		a.WriteHeader(failure.Status)
		a.WriteString(failure.Body)
	case server == Login:
		number := failure.Number
		if number == 0 {
			number = 90033
		}
		f.tokenError(a, &stsError{failure.Status, failure.Code, number, message})
	default:
		f.graphError(a, r, &graphError{failure.Status, failure.Code, message})
	}
}

// answer is a reply before it goes.
type answer struct {
	bytes.Buffer
	header http.Header
	status int
}

func (a *answer) Header() http.Header    { return a.header }
func (a *answer) WriteHeader(status int) { a.status = status }

// send sends the reply, spoiled if failure says so.
func (a *answer) send(w http.ResponseWriter, failure *Failure) {
	body, cut := a.Bytes(), false
	for name, values := range a.header {
		w.Header()[name] = values
	}
	if failure != nil && failure.Status == 0 {
		if failure.LinkHost != "" {
			body = relink(body, failure.LinkHost)
		}
		if cut = failure.Cut; failure.Truncate {
			body = body[:len(body)/2]
		}
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(a.status)
	if !cut {
		w.Write(body)
		return
	}
	w.Write(body[:len(body)/2])
	http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// relink puts another host into the links of a page.
func relink(body []byte, host string) []byte {
	var page map[string]json.RawMessage
	if json.Unmarshal(body, &page) != nil {
		return body
	}
	for _, name := range []string{"@odata.nextLink", "@odata.deltaLink"} {
		var link string
		if json.Unmarshal(page[name], &link) != nil {
			continue
		}
		_, rest, _ := strings.Cut(strings.TrimPrefix(link, "https://"), "/")
		page[name], _ = json.Marshal(host + "/" + rest)
	}
	body, _ = json.Marshal(page)
	return body
}

// elsewhere answers as a page of users/delta with nobody on it, so that whoever trusts it goes on undisturbed.
func (f *Fake) elsewhere(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", graphContent)
	json.NewEncoder(w).Encode(map[string]any{"value": []any{}, "@odata.deltaLink": f.Elsewhere + "/v1.0/users/delta?$deltatoken=stolen"})
}
