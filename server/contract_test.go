package server_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"foyer"
	"foyer/foyertest"
	"foyer/script"
)

func TestUpload_GoodFileIsApplied(t *testing.T) {
	f := foyertest.Start(t)
	reply := f.Upload(t, sample)
	wantLine(t, reply, annLine)
	if want := annLine + "\nSee: foyer run show --org acme R-1\n"; reply.Body != want {
		t.Errorf("the reply is %q, want %q", reply.Body, want)
	}
	wantBook(t, f, "rob.jones@test.com")
	wantValue(t, f, "rob.jones@test.com", foyer.Division, "Management")
}

func TestUpload_CountsAreTold(t *testing.T) {
	f := foyertest.Start(t)
	f.Upload(t, "EMAIL,TITLE\nann@test.com,Boss\nbob@test.com,Clerk\ncy@test.com,Clerk\n")
	reply := f.Upload(t, "EMAIL,TITLE\nann@test.com,Chief\ncy@test.com,Clerk\nnew@test.com,Intern\n,Nobody\nbroken,Clerk\n")
	wantLine(t, reply, "OK run=R-2 added=1 updated=1 disabled=1 enabled=0 unchanged=1 skipped=1 errors=1 warnings=0")
	if !strings.Contains(reply.Body, "\nline 6: ") {
		t.Errorf("the row with an error is not named: %s", reply.Body)
	}
	wantBook(t, f, "ann@test.com", "cy@test.com", "new@test.com")
}

func TestUpload_AtMost20ProblemsAreShown(t *testing.T) {
	f := foyertest.Start(t)
	reply := f.Upload(t, ann+strings.Repeat("broken,Clerk\n", 25))
	wantLine(t, reply, "OK run=R-1 added=1 updated=0 disabled=0 enabled=0 unchanged=0 skipped=0 errors=25 warnings=0")
	if got := strings.Count(reply.Body, "\nline "); got != 20 || !strings.Contains(reply.Body, "\nand 5 more\n") {
		t.Errorf("%d problems are shown: %s", got, reply.Body)
	}
}

func TestUpload_NothingDiffersIsRecorded(t *testing.T) {
	f := foyertest.Start(t)
	f.Upload(t, ann)
	wantLine(t, f.Upload(t, ann), "OK run=R-2 added=0 updated=0 disabled=0 enabled=0 unchanged=1 skipped=0 errors=0 warnings=0")
	if all := runs(t, f); len(all) != 2 || all[0].Status != foyer.Applied || all[0].Unchanged != 1 {
		t.Errorf("the runs are %+v", all)
	}
}

// TestUpload_BareBody holds that the body may be the file itself, under each of the labels that clients give it.
func TestUpload_BareBody(t *testing.T) {
	f := foyertest.Start(t)
	for _, contentType := range []string{"text/csv", "text/csv; charset=utf-8", "application/octet-stream", "application/x-www-form-urlencoded"} {
		t.Run(contentType, func(t *testing.T) {
			f := tenant(t, f)
			wantLine(t, post(t, f, contentType, ann), annLine)
			wantBook(t, f, "ann@test.com")
		})
	}
}

// TestUpload_AnyPart holds that the file part may have any name and type, and that fields beside it mean nothing.
func TestUpload_AnyPart(t *testing.T) {
	f := foyertest.Start(t)
	file := func(head string) string { return "--b\r\n" + head + "\r\n\r\n" + ann + "\r\n" }
	const end = "--b--\r\n"
	for name, body := range map[string]string{
		"another name":    file(`Content-Disposition: form-data; name="upload"; filename="x"`) + end,
		"another type":    file("Content-Disposition: form-data; name=file; filename=x\r\nContent-Type: application/pdf") + end,
		"lower case":      file(`content-disposition: FORM-DATA; NAME="file"; FILENAME="x"`) + end,
		"RFC 5987 name":   file(`Content-Disposition: form-data; name="file"; filename*=UTF-8''%e2%82%ac.csv`) + end,
		"a field besides": "--b\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhello\r\n" + file(`Content-Disposition: form-data; name="file"; filename="x"`) + end,
		"text around":     "preamble\r\n" + file(`Content-Disposition: form-data; name="file"; filename="x"`) + end + "epilogue",
	} {
		t.Run(name, func(t *testing.T) {
			f := tenant(t, f)
			wantLine(t, post(t, f, "multipart/form-data; boundary=b", body), annLine)
			wantBook(t, f, "ann@test.com")
		})
	}
}

func TestUpload_R24_DryRunWritesNothing(t *testing.T) {
	f := foyertest.Start(t)
	f.Upload(t, ann)
	before := f.Book(t)["ann@test.com"]
	reply := upload(t, f, "EMAIL,TITLE\nbob@test.com,Clerk\n", query("dry_run=1"))
	wantLine(t, reply, "DRY RUN would add=1 update=0 disable=1 enable=0 unchanged=0 skipped=0 errors=0 warnings=0")
	wantBook(t, f, "ann@test.com")
	if after := f.Book(t)["ann@test.com"]; after.LastRun != before.LastRun || len(runs(t, f)) != 1 {
		t.Errorf("the dry run left a trace: %d runs, entry %+v", len(runs(t, f)), after)
	}
}

func TestUpload_R24_DryRunOfARefusalIsNotRecorded(t *testing.T) {
	f := foyertest.Start(t)
	for name, test := range map[string]struct {
		file   string
		status int
		kind   string
	}{"empty": {"", 400, "malformed"}, "header only": {"EMAIL\n", 422, "unusable-file"}, "zip": {"PK\x03\x04 and more of it", 415, "unsupported-format"}} {
		t.Run(name, func(t *testing.T) {
			f := tenant(t, f)
			p := wantProblem(t, upload(t, f, test.file, query("dry_run=1")), test.status, test.kind)
			if all := runs(t, f); len(all) != 0 || p.Run != "" {
				t.Errorf("the dry run left %d runs, and the problem names %q", len(all), p.Run)
			}
		})
	}
}

func TestUpload_StrictRefusesRowErrors(t *testing.T) {
	f := seeded(t, foyertest.Start(t))
	reply := upload(t, f, "EMAIL,TITLE\nann@test.com,Chief\nbroken,Clerk\n", header("Prefer", "handling=strict"))
	p := wantProblem(t, reply, 422, "unusable-file")
	if !strings.Contains(p.Detail, "line 3") {
		t.Errorf("the row is not named: %s", p.Detail)
	}
	wantRefused(t, f, p)
}

// TestUpload_StrictRefusesRowErrorsOfTheSameFile holds that a file which was applied but for a row is refused when it comes again with strict handling.
func TestUpload_StrictRefusesRowErrorsOfTheSameFile(t *testing.T) {
	f := foyertest.Start(t)
	const file = ann + "broken,Clerk\n"
	f.Upload(t, file)
	p := wantProblem(t, upload(t, f, file, header("Prefer", "handling=strict")), 422, "unusable-file")
	wantRefused(t, f, p)
}

func TestUpload_StrictAppliesAGoodFile(t *testing.T) {
	f := foyertest.Start(t)
	wantLine(t, upload(t, f, ann, header("Prefer", "respond-async, handling=strict")), annLine)
	wantBook(t, f, "ann@test.com")
}

// reportFields are the fields of a reply in JSON, as the contract lists them.
var reportFields = []string{"run", "status", "added", "updated", "disabled", "enabled", "unchanged", "skipped", "errors", "warnings", "problems", "see"}

// acceptJSON uploads a file, asks for JSON, and returns the reply and what is in it.
func acceptJSON(t *testing.T, f *foyertest.Foyer, file string) (*script.Reply, map[string]any) {
	t.Helper()
	reply := upload(t, f, file, header("Accept", "application/json"))
	got := map[string]any{}
	if err := json.Unmarshal([]byte(reply.Body), &got); err != nil || reply.Status != 200 || reply.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("got %d %s %s", reply.Status, reply.Header.Get("Content-Type"), reply.Body)
	}
	return reply, got
}

func TestUpload_JSONFields(t *testing.T) {
	f := foyertest.Start(t)
	_, got := acceptJSON(t, f, ann)
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, slices.Sorted(slices.Values(reportFields))) {
		t.Errorf("the fields are %v, want %v", names, reportFields)
	}
	for name, want := range map[string]any{"run": "R-1", "status": "applied", "added": 1.0, "unchanged": 0.0, "see": "foyer run show --org acme R-1"} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	if problems, ok := got["problems"].([]any); !ok || len(problems) != 0 {
		t.Errorf("the problems are %v, want an empty list", got["problems"])
	}
}

// TestUpload_JSONProblems holds that each problem has all its fields, and that what is not ASCII comes as escapes that mean the same.
func TestUpload_JSONProblems(t *testing.T) {
	f := foyertest.Start(t)
	reply, got := acceptJSON(t, f, "EMAIL,SITE\nann@test.com,Toronto\nbob@test.com,Québec 😀\n")
	wantASCII(t, reply.Body)
	if !strings.Contains(reply.Body, `Qu\u00e9bec \ud83d\ude00`) {
		t.Errorf("the value is not escaped: %s", reply.Body)
	}
	problems, _ := got["problems"].([]any)
	if len(problems) != 1 || got["errors"] != 1.0 {
		t.Fatalf("the problems are %v, errors %v", problems, got["errors"])
	}
	problem := problems[0].(map[string]any)
	if problem["line"] != 3.0 || problem["value"] != "Québec 😀" || problem["message"] == "" || !strings.EqualFold(problem["column"].(string), "SITE") {
		t.Errorf("the problem is %v", problem)
	}
}

func TestUpload_JSONRefusalIsAProblem(t *testing.T) {
	f := foyertest.Start(t)
	wantProblem(t, upload(t, f, "", header("Accept", "application/json")), 400, "malformed")
}

// TestUpload_NeverARedirect holds that paths with doubled and trailing slashes are answered where they are.
func TestUpload_NeverARedirect(t *testing.T) {
	f := foyertest.Start(t)
	f.Script.Client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for name, path := range map[string]string{
		"doubled": "//addressbook//uploadcsv", "trailing": "/addressbook/uploadcsv/", "both": "//addressbook//uploadcsv//", "dots": "/./addressbook/x/../uploadcsv",
	} {
		t.Run(name, func(t *testing.T) {
			f := tenant(t, f)
			wantLine(t, upload(t, f, ann, func(r *http.Request) { r.URL.Path = path }), annLine)
			wantBook(t, f, "ann@test.com")
		})
	}
	t.Run("nothing there", func(t *testing.T) {
		wantProblem(t, upload(t, f, ann, func(r *http.Request) { r.URL.Path = "//addressbook" }), 404, "not-found")
	})
}

func TestUpload_WrongMethod(t *testing.T) {
	f := foyertest.Start(t)
	for _, method := range []string{"GET", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		t.Run(method, func(t *testing.T) {
			reply := upload(t, f, ann, as(method))
			wantProblem(t, reply, 405, "malformed")
			if got := reply.Header.Get("Allow"); got != "POST" {
				t.Errorf("Allow is %q", got)
			}
		})
	}
	wantBook(t, f)
}

// protocols are the versions of HTTP that clients speak.
var protocols = map[string]func(*http.Transport){
	"HTTP/1.1": func(t *http.Transport) {
		t.ForceAttemptHTTP2 = false
		t.TLSClientConfig.NextProtos = []string{"http/1.1"}
	},
	"HTTP/2": func(t *http.Transport) { t.ForceAttemptHTTP2 = true },
}

// speaking returns f as a client of one version of HTTP sees it.
func speaking(t *testing.T, f *foyertest.Foyer, set func(*http.Transport)) *foyertest.Foyer {
	t.Helper()
	f = tenant(t, f)
	set(f.Script.Client.Transport.(*http.Transport))
	return f
}

func TestUpload_Protocols(t *testing.T) {
	f := foyertest.Start(t)
	for name, set := range protocols {
		t.Run(name, func(t *testing.T) {
			f := speaking(t, f, set)
			req, err := f.Script.UploadRequest(token(t, f.Script), []byte(ann))
			must(t, err)
			resp, err := f.Script.Client.Do(req)
			must(t, err)
			defer resp.Body.Close()
			if resp.StatusCode != 200 || !strings.HasPrefix(resp.Proto, name) {
				t.Errorf("got %s %s, want 200 by %s", resp.Proto, resp.Status, name)
			}
			wantBook(t, f, "ann@test.com")
			wantProblem(t, f.Upload(t, "EMAIL\n"), 422, "unusable-file")
		})
	}
}

// TestUpload_UnknownFaultTellsNothing holds that a fault of ours is a 500 with the request's id and no word about what it was.
func TestUpload_UnknownFaultTellsNothing(t *testing.T) {
	f := foyertest.Start(t)
	bearer := token(t, f.Script)
	f.Authority.Close()
	must(t, f.Store.Close())
	reply := uploadWith(t, f, bearer, ann, func(*http.Request) {})
	p := wantProblem(t, reply, 500, "internal")
	if !strings.Contains(p.Detail, p.Request) || strings.Contains(reply.Body, "sql") || strings.Contains(reply.Body, "database") {
		t.Errorf("the reply tells too little or too much: %s", reply.Body)
	}
}

// TestUpload_R18_HangingUpDoesNotUndo holds that an upload which arrived whole is applied though the client is gone.
func TestUpload_R18_HangingUpDoesNotUndo(t *testing.T) {
	f := foyertest.Start(t)
	w := dial(t, f)
	body := uploadBody("a.csv", ann)
	w.send(w.uploadHead(w.token(f), "", len(body)) + body)
	must(t, w.conn.Close())
	for end := time.Now().Add(20 * time.Second); len(f.Book(t)) == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the upload of a client that hung up was never applied")
		}
	}
	wantBook(t, f, "ann@test.com")
}
