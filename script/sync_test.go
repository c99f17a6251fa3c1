package script_test

import (
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"foyer/script"
)

const secret = "fs_secret"

// settings are those of a customer with two sites.
func settings(server string) script.Settings {
	return script.Settings{Server: server, ClientID: "fk_acme", Org: "Acme", Sites: []string{"Toronto", "Montreal"}}
}

// generated returns the syntax tree of a generated script whose $People is filled in.
func generated(t *testing.T, s script.Settings, people string) *node {
	t.Helper()
	text, err := s.Generate()
	if err != nil {
		t.Fatal(err)
	}
	const example = "    @{ OU = 'OU=Staff,DC=example,DC=com' }\r\n"
	if strings.Count(text, example) != 1 {
		t.Fatal("$People does not have the line that is to be filled in")
	}
	tree, wrong := parse(t, strings.Replace(text, example, "    "+people+"\r\n", 1))
	if len(wrong) > 0 {
		t.Fatalf("this is not PowerShell: %q", wrong)
	}
	return tree
}

const staff = "@{ OU = 'OU=Staff,DC=acme,DC=test' }"

// computer returns a computer in a domain with one person, on which the script can run.
func computer(t *testing.T, edition script.Edition, roots *x509.CertPool) *windows {
	t.Helper()
	return &windows{
		t: t, edition: edition, conn: &script.Conn{Edition: edition, Roots: roots}, home: t.TempDir(), temp: t.TempDir(), hasSource: true, sealedHere: true,
		environment: map[string]any{"FOYER_CLIENT_SECRET": secret},
		directory: &directory{groups: map[string]*group{}, people: []*person{
			{dn: "CN=Ann Lee,OU=Staff,DC=acme,DC=test", attributes: map[string]any{"mail": "ann@acme.test", "givenName": "Ann", "sn": "Lee", "title": "Boss"}},
		}},
	}
}

// leftNothing checks that no file with people in it is left.
func (w *windows) leftNothing() {
	w.t.Helper()
	if left, err := os.ReadDir(w.temp); err != nil || len(left) > 0 {
		w.t.Errorf("it left %v, %v", left, err)
	}
}

var editions = map[string]script.Edition{"Windows PowerShell 5.1": script.Desktop, "PowerShell 7": script.Core}

// TestSync_DoesWhatTheScriptDoes holds that Sync, which stands for the generated script in other tests, and the script's own text, run from its syntax tree, do
// the same whatever is answered: the same bytes on the wire, the same waiting, the same exit code.
func TestSync_DoesWhatTheScriptDoes(t *testing.T) {
	ok := answer{200, "", "OK run=R-1 added=1 errors=0 warnings=0\n"}
	cases := map[string][]answer{
		"applied":                    {token, ok},
		"held":                       {token, {202, "", "HELD run=R-1 would disable 9 of 9. Nothing changed.\n"}},
		"busy, then applied":         {token, {503, "30", `{"detail":"busy"}`}, ok},
		"busy for long":              {token, {503, "3600", "{}"}, ok},
		"busy for ten minutes":       {token, {503, "601", "{}"}, ok},
		"busy, as a date":            {token, {503, "Wed, 21 Oct 2026 07:28:00 GMT", "{}"}, ok},
		"too many, twice":            {token, {429, "7", "{}"}, {429, "7", "{}"}},
		"no answer, then applied":    {token, {}, ok},
		"the first still at work":    {token, {}, {409, "", `{"detail":"still running"}`}},
		"no answer, twice":           {token, {}, {}},
		"no token, then one":         {{503, "", "{}"}, token, ok},
		"no token, twice":            {{}, {}},
		"a page for a token":         {{200, "", "<html>"}},
		"an answer without a token":  {{200, "", "{}"}},
		"the secret is refused":      {{401, "", `{"error":"invalid_client","error_description":"wrong"}`}},
		"a proxy's page":             {token, {403, "", "<html>" + strings.Repeat("no ", 200)}},
		"a dry run":                  {token, {200, "", "DRY RUN would add=1 errors=0 warnings=0\n"}},
		"a dry run that is held":     {token, {200, "", "DRY RUN would be HELD: would disable 9 of 9.\n"}},
		"a page to log in":           {token, {200, "", "<html>Log in"}},
		"a page, not held":           {token, {202, "", "<html>Log in"}},
		"a page, not a token":        {{202, "", "<html>Log in"}},
		"a redirect":                 {token, {302, "https://login.test/in?for=me", "<html>"}},
		"a redirect, not a token":    {{307, "https://login.test/in?for=me", "<html>"}},
		"nothing at all":             {token, {200, "", ""}},
		"OK, but not of a run":       {token, {200, "", "ok run=R-1\n"}},
		"held while it is tried too": {token, {500, "", "{}"}, {202, "", "HELD run=R-1\n"}},
	}
	for status := 201; status < 600; status += 7 {
		if last := (answer{status, "2", "{}"}); status == 409 || status == 429 || status >= 500 {
			cases[fmt.Sprint(status)] = []answer{token, last, last}
		} else {
			cases[fmt.Sprint(status)] = []answer{token, last}
		}
	}
	for name, edition := range editions {
		tree := generated(t, settings("https://127.0.0.1:1"), staff)
		for what, answers := range cases {
			for _, dry := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %s, dry run %v", name, what, dry), func(t *testing.T) {
					compare(t, tree, edition, dry, answers)
				})
			}
		}
	}
}

// compare runs the script and then Sync, each at a recorder of its own.
func compare(t *testing.T, tree *node, edition script.Edition, dry bool, answers []answer) {
	t.Helper()
	r := startRecorder(t, answers...)
	w := computer(t, edition, r.roots)
	exit := runScript(t, at(tree, r.address), w, map[string]any{"dryrun": dry})
	w.leftNothing()

	s := &script.Sync{Server: r.address, ClientID: "fk_acme", ClientSecret: secret, DryRun: dry, Conn: &script.Conn{Edition: edition, Roots: r.roots}}
	var slept []time.Duration
	s.Sleep = func(d time.Duration) { slept = append(slept, d) }
	var file []byte
	for _, request := range w.sent {
		if request.Type == "text/csv; charset=utf-8" {
			file, s.DeliveryKey = request.Body, request.Header[2][1]
		}
	}
	requests, _ := r.took(answers)
	got, _ := s.Run(file)
	s.Conn.Close()
	again, left := r.took(nil)
	if got != exit {
		t.Errorf("Sync exits with %d, the script with %d", got, exit)
	}
	if !slices.Equal(slept, w.slept) {
		t.Errorf("Sync waits %v, the script %v", slept, w.slept)
	}
	if !slices.Equal(again, requests) {
		t.Errorf("Sync sends\n%q\nthe script\n%q", again, requests)
	}
	if len(left) > 0 {
		t.Errorf("%d answers were not asked for", len(left))
	}
}

// at returns a script with another address of the server.
func at(tree *node, address string) *node {
	moved := *tree
	if tree.Text == "'https://127.0.0.1:1'" {
		moved.Text = "'" + address + "'"
	}
	moved.Children = nil
	for _, c := range tree.Children {
		moved.Children = append(moved.Children, at(c, address))
	}
	return &moved
}

// TestSync_Bytes pins what goes over the wire, for a reader: in both editions, the first time.
func TestSync_Bytes(t *testing.T) {
	s := &script.Sync{Server: "https://foyer.example.com", ClientID: "fk_1", ClientSecret: "fs_1", DeliveryKey: "abc", DryRun: true, Conn: &script.Conn{}}
	for edition, want := range map[script.Edition][2]string{
		script.Desktop: {
			"POST /auth/connect/token HTTP/1.1\r\nUser-Agent: Foyer-Script/1 PowerShell/5.1.20348.2227\r\nContent-Type: application/x-www-form-urlencoded\r\n" +
				"Host: foyer.example.com\r\nContent-Length: 63\r\nConnection: Keep-Alive\r\n\r\n" +
				"grant_type=client_credentials&client_id=fk_1&client_secret=fs_1",
			"POST /addressbook/uploadcsv?dry_run=1 HTTP/1.1\r\nUser-Agent: Foyer-Script/1 PowerShell/5.1.20348.2227\r\nAuthorization: Bearer ft_1\r\n" +
				"Idempotency-Key: abc\r\nContent-Type: text/csv; charset=utf-8\r\nHost: foyer.example.com\r\nContent-Length: 9\r\n\r\n\"EMAIL\"\r\n",
		},
		script.Core: {
			"POST /auth/connect/token HTTP/1.1\r\nHost: foyer.example.com\r\nUser-Agent: Foyer-Script/1 PowerShell/7.4.6\r\n" +
				"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 63\r\n\r\ngrant_type=client_credentials&client_id=fk_1&client_secret=fs_1",
			"POST /addressbook/uploadcsv?dry_run=1 HTTP/1.1\r\nHost: foyer.example.com\r\nUser-Agent: Foyer-Script/1 PowerShell/7.4.6\r\n" +
				"Authorization: Bearer ft_1\r\nIdempotency-Key: abc\r\nContent-Type: text/csv; charset=utf-8\r\nContent-Length: 9\r\n\r\n\"EMAIL\"\r\n",
		},
	} {
		s.Conn.Edition = edition
		for i, request := range []script.Request{s.TokenRequest(), s.UploadRequest("ft_1", []byte("\"EMAIL\"\r\n"))} {
			if got, err := request.Bytes(edition, i == 0); err != nil || string(got) != want[i] {
				t.Errorf("%v\n%q\nwant\n%q", err, got, want[i])
			}
		}
	}
}

// save writes a secret as -SaveSecret does, so that a run finds it there.
func save(t *testing.T, tree *node, w *windows, typed string) (exit int) {
	t.Helper()
	w.admin, w.typed = true, typed
	return runScript(t, tree, w, map[string]any{"savesecret": true, "account": `ACME\svc-foyer$`})
}

// TestScript_SavesTheSecretForOneAccount holds that the secret is tried, sealed, put into a file that others cannot read, and found by the next run.
func TestScript_SavesTheSecretForOneAccount(t *testing.T) {
	r := startRecorder(t, token, token, answer{200, "", "OK run=R-1 errors=0 warnings=0\n"})
	tree := generated(t, settings(r.address), staff)
	w := computer(t, script.Core, r.roots)
	delete(w.environment, "FOYER_CLIENT_SECRET")
	if exit := save(t, tree, w, " fs_typed "); exit != 0 {
		t.Fatalf("it exits with %d: %q", exit, w.screen)
	}
	path := filepath.Join(w.home, "fk_acme.secret")
	if sealed, err := os.ReadFile(path); err != nil || strings.Contains(string(sealed), "fs_typed") || len(sealed) == 0 {
		t.Errorf("the file holds %q, %v", sealed, err)
	}
	want := []string{path + ".new", "/inheritance:r", "/grant:r", "*S-1-5-18:(F)", "*S-1-5-32-544:(F)", `ACME\svc-foyer$:(R)`}
	if !slices.Equal(w.granted, want) {
		t.Errorf("granted is %q", w.granted)
	}
	w.admin = false
	if exit := runScript(t, tree, w, nil); exit != 0 || !strings.HasSuffix(string(w.sent[1].Body), "client_secret=fs_typed") {
		t.Errorf("the next run exits with %d, and sent %q", exit, w.sent[1].Body)
	}
}

// TestScript_SecretThatCannotBeSavedLeavesTheOldOne holds that nothing is half done.
func TestScript_SecretThatCannotBeSavedLeavesTheOldOne(t *testing.T) {
	refused := answer{401, "", `{"error":"invalid_client","error_description":"the id or the secret is wrong"}`}
	for name, c := range map[string]struct {
		answers []answer
		change  func(*windows)
		typed   string
		says    string
	}{
		"refused":          {[]answer{refused}, func(*windows) {}, "fs_wrong", "answered 401: the id or the secret is wrong"},
		"no secret":        {nil, func(*windows) {}, "password", "begins with fs_"},
		"no account":       {[]answer{token}, func(w *windows) { w.noAccount = true }, "fs_new", `no account 'ACME\svc-foyer$'`},
		"another computer": {[]answer{token}, func(w *windows) { w.sealedHere = false }, "fs_new", "Key not valid"},
	} {
		t.Run(name, func(t *testing.T) {
			r := startRecorder(t, c.answers...)
			w := computer(t, script.Desktop, r.roots)
			c.change(w)
			path := filepath.Join(w.home, "fk_acme.secret")
			w.write(path, "old")
			exit := save(t, generated(t, settings(r.address), staff), w, c.typed)
			left, err := os.ReadDir(w.home)
			if exit != 1 || w.read(path) != "old" || err != nil || len(left) != 1 || !strings.Contains(strings.Join(w.screen, "\n"), c.says) {
				t.Errorf("exit %d, %q, %v left, %q", exit, w.read(path), left, w.screen)
			}
		})
	}
	w := computer(t, script.Desktop, nil)
	w.typed = "fs_new"
	if exit := runScript(t, generated(t, settings("https://127.0.0.1:1"), staff), w, map[string]any{"savesecret": true}); exit != 1 || len(w.sent) > 0 {
		t.Errorf("without the rights of an administrator it exits with %d", exit)
	}
}

// TestScript_SecretOfTheEnvironmentIsTrimmed holds that the end of a line behind the secret does not go with it, and that blanks alone are no secret.
func TestScript_SecretOfTheEnvironmentIsTrimmed(t *testing.T) {
	r := startRecorder(t, token, answer{200, "", "OK run=R-1 errors=0 warnings=0\n"})
	tree := generated(t, settings(r.address), staff)
	w := computer(t, script.Desktop, r.roots)
	w.environment["FOYER_CLIENT_SECRET"] = " fs_given\r\n"
	if exit := runScript(t, tree, w, nil); exit != 0 || !strings.HasSuffix(string(w.sent[0].Body), "&client_secret=fs_given") {
		t.Errorf("it exits with %d, and sent %q", exit, w.sent[0].Body)
	}
	w.environment["FOYER_CLIENT_SECRET"], w.sent, w.screen = " \n", nil, nil
	if exit := runScript(t, tree, w, nil); exit != 1 || len(w.sent) > 0 || !strings.Contains(w.screen[0], "-SaveSecret") {
		t.Errorf("with blanks it exits with %d, sent %d requests, and says %q", exit, len(w.sent), w.screen)
	}
}

// TestScript_ProxyIsOfferedTheAccount holds that also the proxy that Windows has set is offered the account's credentials, in the way that each edition knows.
func TestScript_ProxyIsOfferedTheAccount(t *testing.T) {
	for name, edition := range editions {
		r := startRecorder(t, token, answer{200, "", "OK run=R-1 errors=0 warnings=0\n"})
		w := computer(t, edition, r.roots)
		w.proxy = &object{properties: map[string]any{}}
		exit := runScript(t, generated(t, settings(r.address), staff), w, nil)
		offered := w.proxy.properties["credentials"]
		if edition == script.Core {
			offered = w.asked["defaultproxycredentials"]
		}
		if exit != 0 || offered != "the account's own" {
			t.Errorf("%s: it exits with %d, and the proxy is offered %v", name, exit, offered)
		}
	}
}

// TestScript_SecretIsNotPutIntoAFileOfSomebodyElse holds that a file that lay in the secret's way, and of which somebody has another name (as they may have its
// rights), does not become the secret's.
func TestScript_SecretIsNotPutIntoAFileOfSomebodyElse(t *testing.T) {
	r := startRecorder(t, token)
	w := computer(t, script.Core, r.roots)
	path, theirs := filepath.Join(w.home, "fk_acme.secret"), filepath.Join(t.TempDir(), "theirs")
	w.write(path+".new", "planted")
	if err := os.Link(path+".new", theirs); err != nil {
		t.Fatal(err)
	}
	if exit := save(t, generated(t, settings(r.address), staff), w, "fs_typed"); exit != 0 {
		t.Fatalf("it exits with %d: %q", exit, w.screen)
	}
	if got := w.read(theirs); got != "planted" || w.read(path) == "planted" {
		t.Errorf("theirs is %q, the secret's %q", got, w.read(path))
	}
}
