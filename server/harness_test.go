package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"foyer"
	"foyer/foyertest"
	"foyer/script"
	"foyer/store"
)

// sample is the sample file of the document that Foyer implements.
const sample = "FIRSTNAME,LASTNAME,TITLE,DIVISION,EMAIL,MOBILE,DESKPHONE,SITE\r\n" +
	"Rob,Jones,Manager,Management,rob.jones@test.com,4169998888,4169997777,Toronto\r\n"

// ann is a file that applies, and annLine the first line of the reply to it where nobody was there before.
const (
	ann     = "EMAIL,TITLE\nann@test.com,Boss\n"
	annLine = "OK run=R-1 added=1 updated=0 disabled=0 enabled=0 unchanged=0 skipped=0 errors=0 warnings=0"
)

// tenant returns f as another organization sees it: the cases of a table share a server, not a book.
func tenant(t *testing.T, f *foyertest.Foyer) *foyertest.Foyer {
	t.Helper()
	return tenantWith(t, f, store.NewKey{})
}

func tenantWith(t *testing.T, f *foyertest.Foyer, key store.NewKey) *foyertest.Foyer {
	t.Helper()
	other := *f
	other.Org = f.NewOrg(t, t.Name())
	other.Script = f.NewKey(t, other.Org, key)
	return &other
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func token(t *testing.T, s *script.Script) string {
	t.Helper()
	text, err := s.Token()
	must(t, err)
	return text
}

// upload sends a file as the script does, after change had its way with the request.
func upload(t *testing.T, f *foyertest.Foyer, file string, change func(*http.Request)) *script.Reply {
	t.Helper()
	return uploadWith(t, f, token(t, f.Script), file, change)
}

func uploadWith(t *testing.T, f *foyertest.Foyer, token, file string, change func(*http.Request)) *script.Reply {
	t.Helper()
	req, err := f.Script.UploadRequest(token, []byte(file))
	must(t, err)
	change(req)
	return do(t, f.Script, req)
}

func do(t *testing.T, s *script.Script, req *http.Request) *script.Reply {
	t.Helper()
	reply, err := s.Do(req)
	must(t, err)
	return reply
}

// post sends a body as it is to the upload.
func post(t *testing.T, f *foyertest.Foyer, contentType, body string) *script.Reply {
	t.Helper()
	return upload(t, f, "", func(r *http.Request) {
		r.Header.Set("Content-Type", contentType)
		r.Body, r.ContentLength, r.GetBody = io.NopCloser(strings.NewReader(body)), int64(len(body)), nil
	})
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func as(method string) func(*http.Request) { return func(r *http.Request) { r.Method = method } }

func query(q string) func(*http.Request) { return func(r *http.Request) { r.URL.RawQuery = q } }

// problem is what RFC 9457 says of a refusal.
type problem struct {
	Type, Title, Detail, Column, Run, Request string
	Status, Line                              int
}

// wantProblem checks that a reply is a problem of that status and type, in ASCII, and returns it.
func wantProblem(t *testing.T, r *script.Reply, status int, kind string) problem {
	t.Helper()
	var p problem
	if err := json.Unmarshal([]byte(r.Body), &p); err != nil {
		t.Fatalf("the reply %d %q is no JSON: %v", r.Status, r.Body, err)
	}
	if r.Status != status || p.Status != status || p.Type != "urn:foyer:problem:"+kind {
		t.Errorf("got %d, %s; want %d, %s", r.Status, r.Body, status, kind)
	}
	if got := r.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type is %q", got)
	}
	if p.Title == "" || p.Detail == "" || p.Request == "" || p.Request != r.Header.Get("X-Request-Id") {
		t.Errorf("the problem lacks a title, a detail or its request: %s", r.Body)
	}
	wantASCII(t, r.Body)
	return p
}

func wantASCII(t *testing.T, body string) {
	t.Helper()
	if at := strings.IndexFunc(body, func(r rune) bool { return r > '~' || r < ' ' && r != '\n' }); at >= 0 {
		t.Errorf("not ASCII at byte %d: %q", at, body)
	}
}

// wantLine checks that an upload was carried out, and the first line of the reply in plain ASCII text.
func wantLine(t *testing.T, r *script.Reply, line string) {
	t.Helper()
	if r.Status != http.StatusOK || r.Line() != line {
		t.Errorf("got %d %s\nwant 200 %s", r.Status, r.Body, line)
	}
	if got := r.Header.Get("Content-Type"); got != "text/plain; charset=us-ascii" {
		t.Errorf("Content-Type is %q", got)
	}
	wantASCII(t, r.Body)
}

// wantBook checks who is in the book, and enabled.
func wantBook(t *testing.T, f *foyertest.Foyer, emails ...string) {
	t.Helper()
	got := []string{}
	for email, e := range f.Book(t) {
		if e.Enabled {
			got = append(got, email)
		}
	}
	slices.Sort(got)
	slices.Sort(emails)
	if !slices.Equal(got, emails) {
		t.Errorf("enabled in the book are %q, want %q", got, emails)
	}
}

// wantValue checks a field of an entry.
func wantValue(t *testing.T, f *foyertest.Foyer, email string, field foyer.Field, want string) {
	t.Helper()
	e := f.Book(t)[email]
	if e == nil {
		t.Fatalf("%s is not in the book", email)
	}
	if got := e.Values[field]; got != want {
		t.Errorf("the %s of %s is %q, want %q", field.Label(), email, got, want)
	}
}

// runs returns the organization's syncs, the newest first.
func runs(t *testing.T, f *foyertest.Foyer) []*foyer.Run {
	t.Helper()
	all, err := f.Store.Runs(t.Context(), f.Operator, f.Org.ID, 0, false)
	must(t, err)
	return all
}

// wantRefused checks that the newest run is the refusal that the problem tells of, and that Ann, whom seeded put there, is left as she was.
func wantRefused(t *testing.T, f *foyertest.Foyer, p problem) {
	t.Helper()
	all := runs(t, f)
	if len(all) != 2 || all[0].Status != foyer.Refused || all[0].Message != p.Detail || all[0].ID.String() != p.Run {
		t.Errorf("the refusal %+v is not what the newest of %d runs records: %+v", p, len(all), all[0])
	}
	wantBook(t, f, "ann@test.com")
	wantValue(t, f, "ann@test.com", foyer.Title, "Boss")
}

// seeded is tenant with Ann in the book.
func seeded(t *testing.T, f *foyertest.Foyer) *foyertest.Foyer {
	t.Helper()
	f = tenant(t, f)
	wantLine(t, f.Upload(t, ann), annLine)
	return f
}
