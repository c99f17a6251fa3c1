package server_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"foyer"
	"foyer/foyertest"
	"foyer/script"
	"foyer/server"
	"foyer/store/storetest"
)

// lines is a log that tests can wait for: a request's line is written after its reply.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func newLines() *lines { return &lines{more: make(chan struct{}, 1<<16)} }

// Write takes a line.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if bytes.Contains(p, []byte("msg=request ")) {
		l.more <- struct{}{}
	}
	return l.text.Write(p)
}

// after returns the log once it has so many requests more.
func (l *lines) after(t *testing.T, requests int) string {
	t.Helper()
	for range requests {
		select {
		case <-l.more:
		case <-time.After(30 * time.Second):
			t.Fatalf("the log has not all requests: %s", &l.text)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *lines) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// planting sends something that nobody may find later.
type planting func(t *testing.T, f *foyertest.Foyer, planted string)

// asking sends a form to the token endpoint; %s stands for what is planted.
func asking(format string, change ...func(*http.Request, string)) planting {
	return func(t *testing.T, f *foyertest.Foyer, planted string) {
		form := strings.NewReplacer("%s", planted, "%id", f.Script.ClientID, "%right", f.Script.ClientSecret).Replace(format)
		askForm(t, f.Script, tokenPath, form, func(r *http.Request) {
			for _, c := range change {
				c(r, planted)
			}
		})
	}
}

// uploading sends a file with what is planted somewhere in its request.
func uploading(change func(*http.Request, string)) planting {
	return func(t *testing.T, f *foyertest.Foyer, planted string) {
		upload(t, f, ann, func(r *http.Request) { change(r, planted) })
	}
}

// with sets a header; %s stands for what is planted.
func with(name, format string) func(*http.Request, string) {
	return func(r *http.Request, planted string) { r.Header.Set(name, strings.ReplaceAll(format, "%s", planted)) }
}

// secretsIn are the places where a client may put a secret or a token by mistake.
var secretsIn = map[string]planting{
	"URL of the token, wrong":    asking("", func(r *http.Request, s string) { r.URL.RawQuery = "client_id=x&client_secret=" + s }),
	"path of the token":          asking(grant, func(r *http.Request, s string) { r.URL.Path += "/" + s }),
	"path":                       asking(grant, func(r *http.Request, s string) { r.URL.Path = "/" + s }),
	"wrong secret":               asking(grant + "&client_id=%id&client_secret=%s"),
	"wrong secret as Basic":      asking(grant, func(r *http.Request, s string) { r.SetBasicAuth("fk_x", s) }),
	"client id":                  asking(grant + "&client_id=%s&client_secret=x"),
	"client id as Basic":         asking(grant, func(r *http.Request, s string) { r.SetBasicAuth(s, "x") }),
	"grant type":                 asking("grant_type=%s"),
	"scope":                      asking(grant + "&scope=%s&client_id=%id&client_secret=x"),
	"name of a parameter, twice": asking("%s=1&%s=2"),
	"form that cannot be read":   asking("client_secret=%s%zz"),
	"media type of the form":     asking(grant, with("Content-Type", "application/%s")),
	"method":                     asking(grant, func(r *http.Request, s string) { r.Method = strings.ReplaceAll(s, "_", "") }),
	"Host":                       asking(grant, func(r *http.Request, s string) { r.Host = strings.ReplaceAll(s, "_", "-") + ".example.com" }),
	"Referer":                    asking(grant, with("Referer", "https://example.com/?token=%s")),
	"Cookie":                     asking(grant, with("Cookie", "token=%s")),
	"bearer token, unknown":      uploading(with("Authorization", "Bearer %s")),
	"Basic at the upload":        uploading(func(r *http.Request, s string) { r.SetBasicAuth("fk_x", s) }),
	"another scheme":             uploading(with("Authorization", "Token %s")),
	"X-Forwarded-For":            uploading(with("X-Forwarded-For", "%s")),
	"Prefer":                     uploading(with("Prefer", "handling=%s")),
	"Accept":                     uploading(with("Accept", "%s/json")),
	"media type":                 uploading(with("Content-Type", "text/%s")),
	"media type, unreadable":     uploading(with("Content-Type", "text/csv; %s;;=")),
	"coding":                     uploading(with("Content-Encoding", "%s")),
	"boundary":                   uploading(with("Content-Type", "multipart/form-data; boundary=%s")),
	"Idempotency-Key":            uploading(with("Idempotency-Key", "%s")),
	"Idempotency-Key, refused": func(t *testing.T, f *foyertest.Foyer, s string) {
		upload(t, f, "NAME\nx\n", header("Idempotency-Key", s))
	},
	"Idempotency-Key, too long":    uploading(with("Idempotency-Key", "%s"+strings.Repeat("x", 300))),
	"URL of the upload":            uploading(func(r *http.Request, s string) { r.URL.RawQuery = "access_token=" + s }),
	"value in URL of the upload":   uploading(func(r *http.Request, s string) { r.URL.RawQuery = "dry_run=" + s }),
	"unreadable URL":               uploading(func(r *http.Request, s string) { r.URL.RawQuery = "dry_run=%zz" + s }),
	"token to revoke":              func(t *testing.T, f *foyertest.Foyer, s string) { revoke(t, f, f.Script, s) },
	"program's name":               asking(grant+"&client_id=%id&client_secret=%right", with("User-Agent", "curl/8 %s")),
	"program's name, upper case":   asking(grant+"&client_id=%id&client_secret=%right", func(r *http.Request, s string) { r.Header.Set("User-Agent", strings.ToUpper(s)) }),
	"program's name, wrong secret": asking(grant+"&client_id=%id&client_secret=x", with("User-Agent", "%s")),
}

// found returns in which files of a folder, and of what, a text is.
func found(t *testing.T, dir, text string) (in []string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if bytes.Contains(bytes.ToLower(content), []byte(strings.ToLower(text))) {
			in = append(in, filepath.Base(path))
		}
		return err
	}))
	return in
}

// TestSecrets_AreInNoLogAndOnNoDisk plants a secret wherever a client may put one, with the log at debug level, and looks for it in the log and in all files.
func TestSecrets_AreInNoLogAndOnNoDisk(t *testing.T) {
	log := newLines()
	f := foyertest.StartWith(t, server.Config{Log: log.logger()})
	planted := map[string]string{}
	for name, plant := range secretsIn {
		secret, _ := f.Authority.NewSecret(f.Org.ID, foyer.KeyID(f.Script.ClientID))
		planted[name] = secret
		plant(t, f, secret)
	}
	f.Authority.Close()
	text := strings.ToLower(log.after(t, len(secretsIn)))
	for name, secret := range planted {
		short := strings.ToLower(strings.ReplaceAll(strings.ReplaceAll(secret, "_", ""), "-", ""))[8:40]
		if strings.Contains(text, short) || strings.Contains(text, strings.ToLower(base64.StdEncoding.EncodeToString([]byte("fk_x:"+secret)))) {
			t.Errorf("%s: it is in the log", name)
		}
		if in := found(t, f.Dir, short); len(in) > 0 {
			t.Errorf("%s: it is in %v", name, in)
		}
	}
}

// TestSecrets_RightOnesAreKeptNowhere holds the same of those that work: a key's secret, used in the body and sent in a URL, the token got with it, used and revoked, and the secret of an ended key.
func TestSecrets_RightOnesAreKeptNowhere(t *testing.T) {
	log := newLines()
	f := foyertest.StartWith(t, server.Config{Log: log.logger()})
	bearer := token(t, f.Script)
	uploadWith(t, f, bearer, ann, unchanged)
	uploadWith(t, f, bearer, ann, query("access_token="+bearer))
	revoke(t, f, f.Script, bearer)
	uploadWith(t, f, bearer, ann, unchanged)
	askForm(t, f.Script, tokenPath, "", query(grant+"&"+inBody(f.Script)))
	must(t, f.Store.RevokeKey(t.Context(), f.Operator, f.Org.ID, foyer.KeyID(f.Script.ClientID)))
	askToken(t, f.Script, "")
	f.Authority.Close()
	text := log.after(t, 7)
	for name, secret := range map[string]string{"secret": f.Script.ClientSecret, "token": bearer} {
		if in := found(t, f.Dir, secret); len(in) > 0 || strings.Contains(text, secret) {
			t.Errorf("the %s is in the log or in %v", name, in)
		}
	}
}

// personal is what is looked for of persons; each planting makes another one.
func personal(n int) (email, name string) {
	return fmt.Sprintf("zebedee%d.quux%d@test.com", n, n), fmt.Sprintf("Zebedee%dQuux%d", n, n)
}

// peopleIn are the places where persons may show up. %e stands for an email, %n for a name.
var peopleIn = map[string]planting{
	"applied file":           sending("EMAIL,FIRSTNAME\n%e,%n\n"),
	"no header line":         sending("%e,%n,Boss\nbob@test.com,Bob,Clerk\n"),
	"text behind a quote":    sending("EMAIL,FIRSTNAME\n%e,\"%n\" x\n"),
	"the same header twice":  sending("EMAIL,%n,%n\nbob@test.com,a,b\n"),
	"open quote":             sending("EMAIL,FIRSTNAME\n%e,\"%n\n"),
	"unreadable email":       sending("EMAIL,FIRSTNAME\nann@test.com,Ann\n%e@@,%n\n"),
	"no usable row":          sending("EMAIL,FIRSTNAME\n%e@@,%n\n"),
	"unknown site":           sending("EMAIL,SITE\nann@test.com,\n%e,%n\n"),
	"every row elsewhere":    sending("EMAIL,SITE,FIRSTNAME\n%e,%n,%n\n"),
	"unknown column":         sending("EMAIL,%n\nann@test.com,x\n"),
	"NUL":                    sending("EMAIL,FIRSTNAME\n%e,%n\x00\n"),
	"long cell":              sending("EMAIL,FIRSTNAME\n%e,%n" + strings.Repeat("x", 5000) + "\n"),
	"delimiter line":         sending("sep=%n\nEMAIL\n%e\n"),
	"multipart, line broken": posting("--b\r\n%e: %n\r\n%n\r\n\r\nEMAIL\r\n--b--\r\n"),
	"multipart, cut":         posting("--b\r\nContent-Disposition: form-data; filename=x\r\n\r\nEMAIL\r\n%e"),
	"multipart, other mark":  posting("--%n\r\nContent-Disposition: form-data; filename=x\r\n\r\nEMAIL\r\n%e\r\n--%n--\r\n"),
	"name of the file":       posting("--b\r\nContent-Disposition: form-data; filename=\"%n %e.csv\"\r\n\r\nEMAIL\r\nann@test.com\r\n--b--\r\n"),
	"email as client id":     asking(grant + "&client_id=%s&client_secret=x"),
	"email in the path":      asking(grant, func(r *http.Request, s string) { r.URL.Path = "/" + s }),
	"email as a parameter":   uploading(func(r *http.Request, s string) { r.URL.RawQuery = url.Values{s: {"1"}}.Encode() }),
	"email as token":         uploading(with("Authorization", "Bearer %s")),
	"Idempotency-Key":        uploading(with("Idempotency-Key", "%s")),
	"From":                   uploading(with("From", "%s")),
}

func filled(text, email string) string {
	name := strings.ReplaceAll(strings.ReplaceAll(strings.TrimSuffix(email, "@test.com"), "zebedee", "Zebedee"), ".quux", "Quux")
	return strings.NewReplacer("%e", email, "%n", name).Replace(text)
}

func sending(file string) planting {
	return func(t *testing.T, f *foyertest.Foyer, email string) { upload(t, f, filled(file, email), unchanged) }
}

func posting(body string) planting {
	return func(t *testing.T, f *foyertest.Foyer, email string) { post(t, f, boundary, filled(body, email)) }
}

// tables are those that hold nothing of a person, whatever a file or a request says: the rows of held runs in them are sealed.
var tables = []string{"alert", "alert_mail", "audit", "audit_head", "held_chunk", "idempotency", "token_count", "client_key", "client_secret", "retired_key", "revoked_token", "meta", "book", "source"}

// TestPersons_AreInNoLogAlertOrAudit plants persons in files that are applied, refused and held, and in requests, and looks for them in the log and in every table that is not the book's.
func TestPersons_AreInNoLogAlertOrAudit(t *testing.T) {
	log := newLines()
	f := foyertest.StartWith(t, server.Config{Log: log.logger()})
	planted, n := map[string]string{}, 0
	for name, plant := range peopleIn {
		n++
		email, _ := personal(n)
		planted[name] = email
		t.Run(name, func(t *testing.T) { plant(t, tenant(t, f), email) }) // alone, so that it is no replay
	}
	held := tenant(t, f)
	email, name := personal(99)
	upload(t, held, strings.Replace(people(20), "p1@test.com,Clerk", email+","+name, 1), unchanged)
	if reply := upload(t, held, strings.Replace(people(2), "p1@test.com,Clerk", email+",Dr "+name, 1), unchanged); reply.Status != http.StatusAccepted {
		t.Fatalf("it was not held: %d %s", reply.Status, reply.Body)
	}
	planted["held file"] = email
	text := log.after(t, 2*len(peopleIn)-2+4) // a token and an upload each; two of them ask for a token only, and the held one sends two files
	rows := storetest.Rows(t, f.Dir)
	for _, table := range tables {
		text += strings.Join(rows[table], "\n") + "\n"
	}
	text = strings.ToLower(text)
	for where, email := range planted {
		before, _, _ := strings.Cut(email, "@")
		first, last, _ := strings.Cut(before, ".")
		for _, mark := range []string{first + ".", first + last} {
			if at := strings.Index(text, mark); at >= 0 {
				t.Errorf("%s: %q is there: …%s…", where, mark, text[max(0, at-200):min(len(text), at+80)])
			}
		}
	}
}

// TestPanic_TellsNobodyWhatItWasAbout holds that of a fault the client gets the request's id, and the log the place, and neither what was worked on.
func TestPanic_TellsNobodyWhatItWasAbout(t *testing.T) {
	log := newLines()
	f := foyertest.Start(t)
	s := server.New(server.Config{Store: f.Store, Authority: f.Authority, Log: log.logger()})
	for path, fault := range map[string]any{"/text": "fs_secret of zebedee@test.com", "/error": fmt.Errorf("row %q", "fs_secret zebedee@test.com")} {
		server.Handle(s, http.MethodGet, path, func(http.ResponseWriter, *http.Request) error { panic(fault) })
	}
	server.Handle(s, http.MethodGet, "/fault", func(http.ResponseWriter, *http.Request) error {
		return fmt.Errorf("sql: %w", os.ErrPermission)
	})
	tls := httptest.NewTLSServer(s)
	defer tls.Close()
	for _, path := range []string{"/text", "/error", "/fault"} {
		req, err := http.NewRequest(http.MethodGet, tls.URL+path, nil)
		must(t, err)
		reply := do(t, &script.Script{Client: tls.Client()}, req)
		p := wantProblem(t, reply, http.StatusInternalServerError, "internal")
		if want := "something went wrong on this side; nothing was changed. The log has it under request " + p.Request; p.Detail != want {
			t.Errorf("%s: the detail is %q", path, p.Detail)
		}
	}
	text := log.after(t, 3)
	if strings.Contains(text, "fs_secret") || strings.Contains(text, "zebedee") {
		t.Errorf("the log has it: %s", text)
	}
	if strings.Count(text, "planted_test.go") < 2 || !strings.Contains(text, "permission denied") {
		t.Errorf("the log does not say where it was: %s", text)
	}
}
