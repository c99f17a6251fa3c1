package script_test

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"foyer"
	"foyer/foyertest"
	"foyer/script"
	"foyer/server"
)

// roots are the certificate authorities that a customer of that server trusts.
func roots(t *testing.T, f *foyertest.Foyer) *x509.CertPool {
	t.Helper()
	pem, err := os.ReadFile(f.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatal("there is no certificate")
	}
	return pool
}

// newSync returns what the generated script does, at a real server. It fails where it waits, unless sleep is set.
func newSync(t *testing.T, f *foyertest.Foyer, edition script.Edition, key string) *script.Sync {
	t.Helper()
	s := &script.Sync{Server: f.Script.URL, ClientID: f.Script.ClientID, ClientSecret: f.Script.ClientSecret, DeliveryKey: key,
		Conn:  &script.Conn{Edition: edition, Roots: roots(t, f)},
		Sleep: func(d time.Duration) { t.Errorf("it waits %v", d) }}
	t.Cleanup(s.Conn.Close)
	return s
}

// wantRun checks how a run ends: its exit code, and how the answer begins.
func wantRun(t *testing.T, s *script.Sync, file string, exit int, begins string) *script.Reply {
	t.Helper()
	got, reply := s.Run([]byte(file))
	if got != exit || !strings.HasPrefix(reply.Body, begins) {
		t.Errorf("it exits with %d, and the answer is %d %s\nwant %d, %s", got, reply.Status, reply.Body, exit, begins)
	}
	return reply
}

// both runs a test with a server of its own for each edition.
func both(t *testing.T, test func(*testing.T, *foyertest.Foyer, script.Edition)) {
	t.Helper()
	for name, edition := range editions {
		t.Run(name, func(t *testing.T) { test(t, foyertest.Start(t), edition) })
	}
}

const ten = "\"EMAIL\"\r\n\"p0@t.test\"\r\n\"p1@t.test\"\r\n\"p2@t.test\"\r\n\"p3@t.test\"\r\n\"p4@t.test\"\r\n\"p5@t.test\"\r\n\"p6@t.test\"\r\n\"p7@t.test\"\r\n\"p8@t.test\"\r\n\"p9@t.test\"\r\n"

func TestServer_AppliedThenHeld(t *testing.T) {
	both(t, func(t *testing.T, f *foyertest.Foyer, edition script.Edition) {
		wantRun(t, newSync(t, f, edition, "monday"), ten, 0, "OK run=R-1 added=10 ")
		wantRun(t, newSync(t, f, edition, "tuesday"), "\"EMAIL\"\r\n\"p0@t.test\"\r\n", 3, "HELD run=R-2 would disable 9 of 10")
	})
}

func TestServer_DryRunChangesNothing(t *testing.T) {
	both(t, func(t *testing.T, f *foyertest.Foyer, edition script.Edition) {
		s := newSync(t, f, edition, "x")
		s.DryRun = true
		wantRun(t, s, ten, 0, "DRY RUN would add=10 ")
		if n := len(f.Book(t)); n != 0 {
			t.Errorf("there are %d entries", n)
		}
	})
}

func TestServer_Refused(t *testing.T) {
	both(t, func(t *testing.T, f *foyertest.Foyer, edition script.Edition) {
		wantRun(t, newSync(t, f, edition, "a"), "\"NAME\"\r\n\"Ann\"\r\n", 4, `{"type":"urn:foyer:problem:unusable-file"`)
		s := newSync(t, f, edition, "b")
		s.ClientSecret += "x"
		if reply := wantRun(t, s, ten, 4, `{"error":"invalid_client"`); reply.Status != 401 {
			t.Errorf("the status is %d", reply.Status)
		}
	})
}

// TestServer_BusyThenApplied starts a server without its folder for uploads, so that a real 503 is answered, and makes it while the script waits.
func TestServer_BusyThenApplied(t *testing.T) {
	for name, edition := range editions {
		t.Run(name, func(t *testing.T) { busyThenApplied(t, edition) })
	}
}

func busyThenApplied(t *testing.T, edition script.Edition) {
	spool := filepath.Join(t.TempDir(), "spool")
	mend := func() {
		if err := os.Mkdir(spool, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	f := foyertest.StartWith(t, server.Config{SpoolDir: spool})
	big := "\"EMAIL\",\"TITLE\"\r\n\"ann@t.test\",\"Boss\"\r\n" + strings.Repeat("\"\",\"a row without an email is skipped\"\r\n", 50_000) // is not kept in memory
	s := newSync(t, f, edition, "a")
	var waited time.Duration
	s.Sleep = func(d time.Duration) { waited = d; mend() }
	wantRun(t, s, big, 0, "OK run=R-")
	if waited != time.Minute {
		t.Errorf("it waited %v; the server says a minute", waited)
	}
	if n := len(f.Book(t)); n != 1 {
		t.Errorf("there are %d entries", n)
	}
}

// TestServer_TooManyThenApplied holds that the script waits as long as the server says.
func TestServer_TooManyThenApplied(t *testing.T) {
	f := foyertest.StartWith(t, server.Config{Limits: server.Limits{Uploads: 1}})
	s := newSync(t, f, script.Core, "a")
	wantRun(t, s, ten, 0, "OK run=R-1 ")
	s.DeliveryKey = "b"
	waits := 0
	s.Sleep = func(d time.Duration) { waits++; f.Clock.Move(d + time.Second) }
	wantRun(t, s, ten, 0, "OK run=R-2 ")
	if waits != 1 {
		t.Errorf("it waited %d times", waits)
	}
}

// TestServer_LostAnswerIsAppliedOnce holds that a file whose answer was lost, and that the script sends again, is applied once.
func TestServer_LostAnswerIsAppliedOnce(t *testing.T) {
	both(t, func(t *testing.T, f *foyertest.Foyer, edition script.Edition) {
		s := newSync(t, f, edition, "a")
		wantRun(t, s, ten, 0, "OK run=R-1 added=10 ")
		s.Conn.Close() // and nobody read that
		wantRun(t, s, ten, 0, "OK run=R-1 added=10 ")
		s.DeliveryKey = "b"
		wantRun(t, s, ten, 0, "OK run=R-2 added=0 ")
	})
}

// TestServer_ScriptItself holds that the script's own text, run from its syntax tree, makes the book what the directory says.
func TestServer_ScriptItself(t *testing.T) {
	both(t, func(t *testing.T, f *foyertest.Foyer, edition script.Edition) {
		s := settings(f.Script.URL)
		s.ClientID = f.Script.ClientID
		w := computer(t, edition, roots(t, f))
		w.directory, w.environment = acme(), map[string]any{"FOYER_CLIENT_SECRET": f.Script.ClientSecret}
		tree := generated(t, s, `@{ OU = 'OU=Staff,DC=acme,DC=test'; Site = 'Montreal' }; @{ Group = 'Inner'; Site = 'Toronto' }`)
		if exit := runScript(t, tree, w, nil); exit != 0 {
			t.Fatalf("it exits with %d: %q", exit, w.screen)
		}
		w.leftNothing()
		wantEvent := event{"Foyer", "OK run=R-1 added=4 updated=0 disabled=0 enabled=0 unchanged=0 skipped=0 errors=0 warnings=0", "Information", 100}
		if len(w.events) != 1 || w.events[0] != wantEvent {
			t.Errorf("the event log has %+v", w.events)
		}
		book := f.Book(t)
		zoe, ann := book["zoe@acme.test"], book["ann@acme.test"]
		if len(book) != 4 || zoe.Values[foyer.LastName] != "M\u00fcller" || len(zoe.Sites) != 2 || len(ann.Sites) != 1 || ann.Values[foyer.Manager] != "rob@acme.test" {
			t.Errorf("the book is %+v", book)
		}
		// Rob's mail address changes; he stays the same person.
		w.directory.people[0].attributes["mail"] = "robert@acme.test"
		if exit := runScript(t, tree, w, nil); exit != 0 {
			t.Fatalf("it exits with %d: %q", exit, w.screen)
		}
		if book := f.Book(t); len(book) != 4 || book["robert@acme.test"] == nil {
			t.Errorf("the book is %+v", book)
		}
	})
}

// TestServer_SourceSetToWindows1252 holds that accents arrive also where an older script of the customer's wrote another encoding.
func TestServer_SourceSetToWindows1252(t *testing.T) {
	f := foyertest.Start(t)
	sources, err := f.Store.Sources(t.Context(), f.Operator, f.Org.ID)
	if err == nil {
		_, err = f.Store.EditSource(t.Context(), f.Operator, f.Org.ID, sources[0].ID, func(s *foyer.Source) { s.Windows1252 = true })
	}
	if err != nil {
		t.Fatal(err)
	}
	_, file := export(t, script.Desktop, staff)
	wantRun(t, newSync(t, f, script.Desktop, "a"), file, 0, "OK run=R-1 added=3 ")
	if got := f.Book(t)["zoe@acme.test"].Values[foyer.LastName]; got != "M\u00fcller" {
		t.Errorf("the last name is %q", got)
	}
}

// TestServer_BothScriptsFeedOneBook holds that a customer who goes over from the document's script to the generated one keeps the people.
func TestServer_BothScriptsFeedOneBook(t *testing.T) {
	f := foyertest.Start(t)
	if reply := f.Upload(t, "\"mail\",\"DisplayName\"\r\n\"ann@acme.test\",\"Ann Lee\"\r\n"); reply.Status != 200 {
		t.Fatalf("%+v", reply)
	}
	wantRun(t, newSync(t, f, script.Desktop, "a"), "\"EMAIL\",\"FIRSTNAME\"\r\n\"ann@acme.test\",\"Ann\"\r\n", 0, "OK run=R-2 added=0 updated=")
}
