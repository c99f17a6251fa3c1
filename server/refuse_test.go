package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"foyer"
	"foyer/csvfile"
	"foyer/foyertest"
	"foyer/server"
)

const boundary = "multipart/form-data; boundary=b"

func part(disposition, content string) string {
	return "--b\r\nContent-Disposition: form-data; " + disposition + "\r\n\r\n" + content + "\r\n"
}

// TestUpload_BodyWithoutOneFile holds that a body without exactly one file is refused, and nothing of it applied.
func TestUpload_BodyWithoutOneFile(t *testing.T) {
	f := foyertest.Start(t)
	one := part(`name="file"; filename="a.csv"`, "EMAIL\nnew@test.com\n")
	for name, test := range map[string]struct{ contentType, body, detail string }{
		"no part at all":           {boundary, "--b--\r\n", "no file"},
		"empty body":               {boundary, "", "no file"},
		"a field is no file":       {boundary, part(`name="file"`, "EMAIL\nnew@test.com\n") + "--b--\r\n", "no file"},
		"a field called filename":  {boundary, part(`name="filename"`, "EMAIL\nnew@test.com\n") + "--b--\r\n", "no file"},
		"not multipart as labeled": {boundary, ann, "no file"},
		"two files":                {boundary, one + part(`name="file"; filename="b.csv"`, "EMAIL\nbob@test.com\n") + "--b--\r\n", "more than one file"},
		"the same file twice":      {boundary, one + one + "--b--\r\n", "more than one file"},
		"0 bytes in a part":        {boundary, part(`name="file"; filename="a.csv"`, "") + "--b--\r\n", "empty"},
		"0 bytes as text/csv":      {"text/csv", "", "empty"},
		"cut in the file":          {boundary, one[:len(one)-6], "cut short"},
		"cut behind the file":      {boundary, one[:len(one)-2], "cut short"},
		"no boundary at the end":   {boundary, one, "cut short"},
		"cut in the last boundary": {boundary, one + "--b", "cut short"},
		"cut before the next part": {boundary, one + "--b\r\n", "cut short"},
		"cut in the next head":     {boundary, one + "--b\r\nContent-Dispo", "cut short"},
		"no boundary in the type":  {"multipart/form-data", one, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := seeded(t, f)
			p := wantProblem(t, post(t, f, test.contentType, test.body), 400, "malformed")
			if !strings.Contains(p.Detail, test.detail) {
				t.Errorf("the detail %q does not say %q", p.Detail, test.detail)
			}
			wantRefused(t, f, p)
		})
	}
}

// TestUpload_R20_ConnectionCut holds that an upload of which less came than its Content-Length says applies nothing, whether or not what came could be read.
func TestUpload_R20_ConnectionCut(t *testing.T) {
	f := foyertest.Start(t)
	bare := strings.NewReplacer("multipart/form-data; boundary=---------------------8df492f9c1cea88", "text/csv")
	for name, test := range map[string]struct {
		head func(string) string
		body string
	}{
		"in the multipart file": {func(s string) string { return s }, strings.TrimSuffix(uploadBody("a.csv", ann), "s\n\r\n-----------------------8df492f9c1cea88--\r\n")},
		"before the end mark":   {func(s string) string { return s }, strings.TrimSuffix(uploadBody("a.csv", ann), "8--\r\n")},
		"behind the end mark":   {func(s string) string { return s }, uploadBody("a.csv", ann)},
		"in the bare file":      {bare.Replace, "EMAIL,TITLE\nbob@test.com,Clerk\n"},
		"before anything":       {bare.Replace, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := seeded(t, f)
			w := dial(t, f)
			w.send(test.head(w.uploadHead(w.token(f), "", len(test.body)+100)) + test.body)
			must(t, w.conn.CloseWrite())
			if reply := w.receive(); reply.status != "HTTP/1.1 400 Bad Request" || !strings.Contains(reply.body, "cut short") {
				t.Errorf("got %s %s", reply.status, reply.body)
			}
			wantBook(t, f, "ann@test.com")
			if all := runs(t, f); len(all) != 2 || all[0].Status != foyer.Refused {
				t.Errorf("the refusal is not recorded: %+v", all[0])
			}
		})
	}
}

// TestUpload_FileThatCannotBeUsed holds that a file which is not a whole list of people is refused, saying where, and disables nobody.
func TestUpload_FileThatCannotBeUsed(t *testing.T) {
	f := foyertest.Start(t)
	for name, test := range map[string]struct {
		file   string
		line   int
		column string
	}{
		"R23 header only":          {"EMAIL,TITLE\n", 0, ""},
		"R23 no row with an email": {"EMAIL,TITLE\n,Boss\n", 0, ""},
		"R23 no row that is right": {"EMAIL,TITLE\nbroken,Boss\n", 0, ""},
		"no email column":          {"NAME,TITLE\nAnn,Boss\n", 1, ""},
		"no header":                {"Ann,ann@test.com\n", 1, ""},
		"same header twice":        {"EMAIL,TITLE,title\nann@test.com,a,b\n", 1, "title"},
		"open quote":               {"EMAIL,TITLE\nann@test.com,Boss\nbob@test.com,\"Clerk\n", 3, "TITLE"},
		"last record cut":          {"EMAIL,TITLE,SITE\nann@test.com,Boss,Toronto\nbob@test.com,Cl", 3, ""},
		"bytes of no encoding":     {"EMAIL,TITLE\nann@test.com,Caf\xE9\nbob@test.com,\x81\n", 3, "TITLE"},
		"NUL":                      {"EMAIL,TITLE\nann@test.com,Boss\nbob@test.com,Cle\x00rk\n", 3, "TITLE"},
		"UTF-16 without BOM":       {"E\x00M\x00A\x00I\x00L\x00\n\x00", 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := seeded(t, f)
			p := wantProblem(t, f.Upload(t, test.file), 422, "unusable-file")
			if p.Line != test.line || p.Column != test.column {
				t.Errorf("the problem names line %d, column %q; want %d, %q: %s", p.Line, p.Column, test.line, test.column, p.Detail)
			}
			if want := fmt.Sprintf("line %d", test.line); test.line > 0 && !strings.Contains(p.Detail, want) {
				t.Errorf("the detail does not name %s: %s", want, p.Detail)
			}
			wantRefused(t, f, p)
		})
	}
}

// TestUpload_OtherFormats holds that what is compressed or no text is 415.
func TestUpload_OtherFormats(t *testing.T) {
	f := foyertest.Start(t)
	for name, file := range map[string]string{
		"zip or xlsx": "PK\x03\x04\x14\x00\x06\x00\x08\x00", "gzip": "\x1F\x8B\x08\x00\x00\x00\x00\x00", "xls": "\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			f := seeded(t, f)
			wantRefused(t, f, wantProblem(t, f.Upload(t, file), 415, "unsupported-format"))
		})
	}
	for _, coding := range []string{"gzip", "deflate", "br", "x-unknown"} {
		t.Run("Content-Encoding "+coding, func(t *testing.T) {
			f := seeded(t, f)
			wantRefused(t, f, wantProblem(t, upload(t, f, ann, header("Content-Encoding", coding)), 415, "unsupported-format"))
		})
	}
	for _, contentType := range []string{"application/json", "multipart/mixed; boundary=b", "text/html", "image/png; x"} {
		t.Run(contentType, func(t *testing.T) {
			f := seeded(t, f)
			wantRefused(t, f, wantProblem(t, post(t, f, contentType, ann), 415, "unsupported-format"))
		})
	}
}

// smallLimits are limits that a test can pass.
var smallLimits = server.Limits{Body: 1 << 20, CSV: csvfile.Limits{Rows: 3, Columns: 4, Field: 20}}

func TestUpload_Limits(t *testing.T) {
	f := foyertest.StartWith(t, server.Config{Limits: smallLimits})
	for name, test := range map[string]struct {
		file   string
		line   int
		column string
	}{
		"bytes":   {ann + strings.Repeat("bob@test.com,Clerk\n", 1<<20/19+1), 0, ""},
		"rows":    {"EMAIL\na@test.com\nb@test.com\nc@test.com\nd@test.com\n", 5, ""},
		"columns": {"EMAIL,a,b,c,d\na@test.com,,,,\n", 1, ""},
		"field":   {"EMAIL,TITLE\na@test.com,123456789012345678901\n", 2, "TITLE"},
	} {
		t.Run(name, func(t *testing.T) {
			f := seeded(t, f)
			p := wantProblem(t, f.Upload(t, test.file), 413, "too-large")
			if p.Line != test.line || p.Column != test.column {
				t.Errorf("the problem names line %d, column %q; want %d, %q: %s", p.Line, p.Column, test.line, test.column, p.Detail)
			}
			wantRefused(t, f, p)
		})
	}
}

func TestUpload_WhatJustFits(t *testing.T) {
	f := foyertest.StartWith(t, server.Config{Limits: smallLimits})
	reply := f.Upload(t, "EMAIL,TITLE,a,b\na@test.com,12345678901234567890,,\nb@test.com,,,\nc@test.com,,,\n")
	wantLine(t, reply, "OK run=R-1 added=3 updated=0 disabled=0 enabled=0 unchanged=0 skipped=0 errors=0 warnings=2")
	wantBook(t, f, "a@test.com", "b@test.com", "c@test.com")
}

// tooBig is a body far beyond smallLimits, and beyond what the buffers of a connection take.
var tooBig = ann + strings.Repeat("bob@test.com,Clerk\n", 12<<20/19)

// TestUpload_BigRefusalIsSeen holds that a client which reads nothing until it has sent everything, like .NET's, sees why it was refused and not
// a broken connection, whatever the reason.
func TestUpload_BigRefusalIsSeen(t *testing.T) {
	f := foyertest.StartWith(t, server.Config{Limits: smallLimits})
	for name, test := range map[string]struct {
		head   func(string) string
		status string
	}{
		"too large":  {func(s string) string { return s }, "HTTP/1.1 413 Request Entity Too Large"},
		"no token":   {func(s string) string { return strings.Replace(s, "Bearer ", "Bearer x", 1) }, "HTTP/1.1 401 Unauthorized"},
		"compressed": {func(s string) string { return strings.Replace(s, "Host:", "Content-Encoding: gzip\r\nHost:", 1) }, "HTTP/1.1 415 Unsupported Media Type"},
		"wrong path": {func(s string) string { return strings.Replace(s, "uploadcsv", "upload", 1) }, "HTTP/1.1 404 Not Found"},
		"method":     {func(s string) string { return strings.Replace(s, "POST", "PUT", 1) }, "HTTP/1.1 405 Method Not Allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			f := tenant(t, f)
			w := dial(t, f)
			body := uploadBody("a.csv", tooBig)
			w.send(test.head(w.uploadHead(w.token(f), "", len(body))))
			w.send(body)
			if reply := w.receive(); reply.status != test.status || reply.header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("got %s %v %s, want %s", reply.status, reply.header, reply.body, test.status)
			}
			wantBook(t, f)
		})
	}
}

// TestUpload_BigRefusalByProtocol is the same with Go's client, which reads while it sends.
func TestUpload_BigRefusalByProtocol(t *testing.T) {
	f := foyertest.StartWith(t, server.Config{Limits: smallLimits})
	for name, set := range protocols {
		t.Run(name, func(t *testing.T) {
			f := speaking(t, f, set)
			wantProblem(t, upload(t, f, tooBig, func(r *http.Request) { r.Header.Del("Expect") }), 413, "too-large")
			wantBook(t, f)
		})
	}
}

// TestUpload_RefusalBeforeTheBody holds that a client which waits for 100 Continue is told to go on, and then why it was refused.
func TestUpload_RefusalBeforeTheBody(t *testing.T) {
	f := foyertest.Start(t)
	w := dial(t, f)
	body := uploadBody("a.csv", ann)
	w.send(w.uploadHead("wrong", "Expect: 100-continue\r\n", len(body)))
	if got, err := w.in.ReadLine(); err != nil || got != "HTTP/1.1 100 Continue" {
		t.Fatalf("got %q, %v", got, err)
	}
	if _, err := w.in.ReadLine(); err != nil {
		t.Fatal(err)
	}
	w.send(body)
	if reply := w.receive(); reply.status != "HTTP/1.1 401 Unauthorized" {
		t.Errorf("got %s", reply.status)
	}
}
