package push_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"foyer/foyertest"
	"foyer/push"
)

const two = "EMAIL,FIRSTNAME,LASTNAME,SITE\r\nann@test.com,Ann,Lee,Toronto\r\nrob@test.com,Rob,Jones,Toronto\r\n"

func TestUpload_AppliedIsInTheBook(t *testing.T) {
	f := foyertest.Start(t)
	c := newCustomer(t, f, f.Script.URL, f.CAFile, "")
	sent, outcome := c.send(t, two, false)
	if outcome != push.Applied || sent.Reply == nil || sent.Reply.Added != 2 || sent.Reply.Run != "R-1" {
		t.Fatalf("%v, %+v", outcome, sent)
	}
	if book := f.Book(t); len(book) != 2 || book["ann@test.com"] == nil {
		t.Errorf("the book holds %v", book)
	}
	if strings.Contains(c.log.String(), f.Script.ClientSecret) {
		t.Errorf("the log holds the secret: %s", c.log.String())
	}
}

func TestUpload_DryRunChangesNothing(t *testing.T) {
	f := foyertest.Start(t)
	c := newCustomer(t, f, f.Script.URL, f.CAFile, "")
	sent, outcome := c.send(t, two, true)
	if outcome != push.Applied || sent.Reply.Added != 2 || !strings.HasPrefix(sent.Reply.Text(), "DRY RUN would have: added=2") {
		t.Errorf("%v, %s", outcome, sent.Reply.Text())
	}
	if book := f.Book(t); len(book) != 0 {
		t.Errorf("the book holds %v", book)
	}
}

func TestUpload_HeldIsItsOwnOutcome(t *testing.T) {
	f := foyertest.Start(t)
	var rows strings.Builder
	for i := range 12 {
		rows.WriteString("p" + string(rune('a'+i)) + "@test.com,P,Q,Toronto\r\n")
	}
	c := newCustomer(t, f, f.Script.URL, f.CAFile, "")
	c.send(t, two+rows.String(), false)
	for _, dry := range []bool{true, false} {
		sent, outcome := c.send(t, two, dry)
		if outcome != push.Held || !strings.Contains(sent.Reply.Text(), "HELD") || !strings.Contains(sent.Reply.Text(), "12 of 14") {
			t.Errorf("dry=%v: %v, %s", dry, outcome, sent.Reply.Text())
		}
	}
}

func TestUpload_StrictIsRefusedInsteadOfHeld(t *testing.T) {
	f := foyertest.Start(t)
	c := newCustomer(t, f, f.Script.URL, f.CAFile, "")
	c.write(t, "foyer-push.toml", strings.Replace(c.read(t, "foyer-push.toml"), "[server]", "[server]\nstrict = true", 1))
	sent, outcome := c.send(t, strings.Replace(two, "rob@test.com,Rob,Jones,Toronto", "rob@test.com,Rob,Jones,Nowhere", 1), false)
	if outcome != push.Refused || sent.Err == nil || !strings.Contains(sent.Err.Error(), "line 3") {
		t.Errorf("%v, %v", outcome, sent.Err)
	}
}

// TestUpload_ALineIsNamedOnce holds that the line is not named before a text that names it.
func TestUpload_ALineIsNamedOnce(t *testing.T) {
	f := foyertest.Start(t)
	c := newCustomer(t, f, f.Script.URL, f.CAFile, "")
	sent, outcome := c.send(t, "NAME\nAnn Lee\n", false)
	if outcome != push.Refused || sent.Err == nil || strings.Count(sent.Err.Error(), "line 1: ") != 1 {
		t.Errorf("%v, %v", outcome, sent.Err)
	}
}

// TestUpload_LostReplyIsAppliedOnce holds that a file whose answer is lost, at any of the tries, is applied once, and that its answer is had in the end.
func TestUpload_LostReplyIsAppliedOnce(t *testing.T) {
	f := foyertest.Start(t)
	fr := newFront(t, f, func(n int, w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if n <= 2 {
			pass.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		pass.ServeHTTP(w, r)
	})
	c := newCustomer(t, f, fr.url, fr.caFile, "")
	sent, outcome := c.send(t, two, false)
	if outcome != push.Applied || sent.Reply.Run != "R-1" || sent.Reply.Added != 2 {
		t.Fatalf("%v, %+v", outcome, sent)
	}
	if n := fr.uploads.Load(); n != 3 {
		t.Errorf("it was sent %d times", n)
	}
	runs, err := f.Store.Runs(t.Context(), f.Operator, f.Org.ID, 10, false)
	if err != nil || len(runs) != 1 {
		t.Errorf("there are %d runs, %v", len(runs), err)
	}
}

// TestUpload_StillRunningIsWaitedFor holds that an answer is waited for where an earlier try is still at work.
func TestUpload_StillRunningIsWaitedFor(t *testing.T) {
	f := foyertest.Start(t)
	fr := newFront(t, f, func(n int, w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if n == 1 {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusConflict)
			w.Write([]byte(`{"detail":"a request with this Idempotency-Key is still running"}`))
			return
		}
		pass.ServeHTTP(w, r)
	})
	c := newCustomer(t, f, fr.url, fr.caFile, "")
	if sent, outcome := c.send(t, two, false); outcome != push.Applied {
		t.Errorf("%v, %v", outcome, sent.Err)
	}
}

// TestUpload_RetryAfterIsAnHourAtMost holds that a number of seconds beyond all measure is neither none nor a wait without end.
func TestUpload_RetryAfterIsAnHourAtMost(t *testing.T) {
	f := foyertest.Start(t)
	asked := []string{"9223372037", "18446744074", "99999999999999999999999", time.Now().Add(9000 * time.Hour).UTC().Format(http.TimeFormat)}
	fr := newFront(t, f, func(n int, w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if n > len(asked) {
			pass.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Retry-After", asked[n-1])
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	c := newCustomer(t, f, fr.url, fr.caFile, "")
	c.write(t, "foyer-push.toml", strings.Replace(c.read(t, "foyer-push.toml"), "[server]", "[server]\ngive_up = \"20h\"", 1))
	config := c.load(t)
	files, err := push.FromCSV(config, c.write(t, "staff.csv", two), "")
	if err != nil {
		t.Fatal(err)
	}
	client := c.client(t, config)
	waits := client.Waits()
	if _, outcome, err := push.Send(t.Context(), config, client, files, false); outcome != push.Applied || err != nil {
		t.Fatalf("%v, %v", outcome, err)
	}
	if want := slices.Repeat([]time.Duration{time.Hour}, len(asked)); !slices.Equal(*waits, want) {
		t.Errorf("it waited %v, not %v", *waits, want)
	}
}

func TestUpload_RetryAfterIsKept(t *testing.T) {
	f := foyertest.Start(t)
	fr := newFront(t, f, func(n int, w http.ResponseWriter, r *http.Request, pass http.Handler) {
		switch n {
		case 1:
			w.Header().Set("Retry-After", "77")
			w.WriteHeader(http.StatusTooManyRequests)
		case 2:
			w.Header().Set("Retry-After", time.Now().Add(20*time.Minute).UTC().Format(http.TimeFormat))
			w.WriteHeader(http.StatusServiceUnavailable)
		case 3, 4:
			w.WriteHeader(http.StatusBadGateway)
		default:
			pass.ServeHTTP(w, r)
		}
	})
	c := newCustomer(t, f, fr.url, fr.caFile, "")
	config := c.load(t)
	client, err := push.NewClient(config, c.logger(), nil)
	if err != nil {
		t.Fatal(err)
	}
	waits := client.Waits()
	files, err := push.FromCSV(config, c.write(t, "staff.csv", two), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, outcome, err := push.Send(t.Context(), config, client, files, false); outcome != push.Applied || err != nil {
		t.Fatalf("%v, %v", outcome, err)
	}
	w := *waits
	if len(w) != 4 || w[0] != 77*time.Second || w[1] < 15*time.Minute || w[1] > 20*time.Minute || w[2] < 4*time.Second || w[2] > 6*time.Second || w[3] < 8*time.Second {
		t.Errorf("it would have waited %v", w)
	}
}

// TestUpload_GivesUpInTheEnd holds that it does not try for ever, and says so.
func TestUpload_GivesUpInTheEnd(t *testing.T) {
	f := foyertest.Start(t)
	fr := newFront(t, f, func(n int, w http.ResponseWriter, r *http.Request, pass http.Handler) {
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	c := newCustomer(t, f, fr.url, fr.caFile, "")
	sent, outcome := c.send(t, two, false)
	if outcome != push.Unreachable || !strings.Contains(sent.Err.Error(), "8 times") || fr.uploads.Load() != 8 {
		t.Errorf("%v, %v, %d", outcome, sent.Err, fr.uploads.Load())
	}
}

// TestUpload_WhatIsNotFoyerIsUnreachable holds that a page of something on the way never passes for success, whatever its status, and that no redirect is followed.
func TestUpload_WhatIsNotFoyerIsUnreachable(t *testing.T) {
	f := foyertest.Start(t)
	for _, status := range []int{200, 202, 301, 307, 403, 404, 409} {
		fr := newFront(t, f, func(n int, w http.ResponseWriter, r *http.Request, pass http.Handler) {
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("Location", f.Script.URL)
			w.WriteHeader(status)
			w.Write([]byte("<html>Please log in</html>"))
		})
		c := newCustomer(t, f, fr.url, fr.caFile, "")
		sent, outcome := c.send(t, two, false)
		if outcome != push.Unreachable || !strings.Contains(sent.Err.Error(), "not Foyer") || fr.uploads.Load() != 1 {
			t.Errorf("%d: %v, %v, %d uploads", status, outcome, sent.Err, fr.uploads.Load())
		}
	}
}

func TestUpload_TokenThatEndedIsRenewedOnce(t *testing.T) {
	f := foyertest.Start(t)
	fr := newFront(t, f, func(n int, w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if n == 1 {
			r.Header.Set("Authorization", "Bearer ft_ended")
		}
		pass.ServeHTTP(w, r)
	})
	c := newCustomer(t, f, fr.url, fr.caFile, "")
	if sent, outcome := c.send(t, two, false); outcome != push.Applied || fr.uploads.Load() != 2 {
		t.Errorf("%v, %v", outcome, sent.Err)
	}
}

func TestUpload_WrongSecretIsRefused(t *testing.T) {
	f := foyertest.Start(t)
	c := newCustomer(t, f, f.Script.URL, f.CAFile, "")
	c.write(t, "key.secret", "fs_wrong")
	sent, outcome := c.send(t, two, false)
	if outcome != push.Refused || !strings.Contains(sent.Err.Error(), "foyer key show fk_") || strings.Contains(sent.Err.Error(), "fs_wrong") {
		t.Errorf("%v, %v", outcome, sent.Err)
	}
}

// TestUpload_UntrustedServerGetsNothing holds that a certificate that cannot be verified ends it at once, before any secret is sent.
func TestUpload_UntrustedServerGetsNothing(t *testing.T) {
	f := foyertest.Start(t)
	fr := newFront(t, f, func(n int, w http.ResponseWriter, r *http.Request, pass http.Handler) { pass.ServeHTTP(w, r) })
	c := newCustomer(t, f, fr.url, f.CAFile, "") // another authority
	config := c.load(t)
	client, err := push.NewClient(config, c.logger(), nil)
	if err != nil {
		t.Fatal(err)
	}
	waits := client.Waits()
	files, err := push.FromCSV(config, c.write(t, "staff.csv", two), "")
	if err != nil {
		t.Fatal(err)
	}
	sent, outcome, err := push.Send(t.Context(), config, client, files, false)
	if err != nil || outcome != push.Unreachable || !strings.Contains(sent[0].Err.Error(), "set ca_file") || len(*waits) != 0 {
		t.Errorf("%v, %v, %+v, %v", outcome, err, sent, *waits)
	}
}

func TestUpload_NobodyListensIsUnreachable(t *testing.T) {
	f := foyertest.Start(t)
	c := newCustomer(t, f, "https://127.0.0.1:1", f.CAFile, "")
	sent, outcome := c.send(t, two, false)
	if outcome != push.Unreachable || !strings.Contains(sent.Err.Error(), "https://127.0.0.1:1 cannot be reached") {
		t.Errorf("%v, %v", outcome, sent.Err)
	}
}

// TestSend_OneKeyPerSite holds that one set of settings serves a key for each site, and that the failure of one keeps nobody back.
func TestSend_OneKeyPerSite(t *testing.T) {
	f := foyertest.Start(t)
	c := newCustomer(t, f, f.Script.URL, f.CAFile, "csv = \"one.csv\"\n[[key]]\nid = \"fk_unknown\"\nname = \"other\"\nsecret_file = \"key.secret\"\ncsv = \"two.csv\"\n")
	c.write(t, "one.csv", two)
	c.write(t, "two.csv", two)
	config := c.load(t)
	files, err := push.FromCSV(config, "", "")
	if err != nil {
		t.Fatal(err)
	}
	sent, worst, err := push.Send(t.Context(), config, c.client(t, config), files, false)
	if err != nil || worst != push.Refused || len(sent) != 2 || sent[0].Outcome() != push.Applied || sent[1].Outcome() != push.Refused {
		t.Errorf("%v, %v, %+v", worst, err, sent)
	}
	if _, err := push.FromCSV(config, c.dir+"/one.csv", ""); err == nil || push.OutcomeOf(err) != push.Misused {
		t.Errorf("a file without a key, of several: %v", err)
	}
}
