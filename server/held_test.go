package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"foyer"
	"foyer/foyertest"
	"foyer/reconcile"
	"foyer/script"
	"foyer/store"
)

// people is a file of n people, who are at Montréal.
func people(n int) string {
	var b strings.Builder
	b.WriteString("EMAIL,TITLE,SITE\n")
	for i := range n {
		fmt.Fprintf(&b, "p%d@test.com,Clerk,MTL\n", i)
	}
	return b.String()
}

func TestUpload_R21_HeldIs202(t *testing.T) {
	f := foyertest.Start(t)
	f.Upload(t, people(20))
	reply := f.Upload(t, people(6))
	if want := "HELD run=R-2 would disable 14 of 20 (limit 20%). Nothing changed.\n"; reply.Status != http.StatusAccepted || !strings.HasPrefix(reply.Body, want) {
		t.Errorf("got %d %s, want 202 %s", reply.Status, reply.Body, want)
	}
	for _, line := range []string{"14 of 14 are of the site Montreal.", "Decide: foyer run show --org acme R-2"} {
		if !strings.Contains(reply.Body, "\n"+line) {
			t.Errorf("the reply does not say %q: %s", line, reply.Body)
		}
	}
	if enabled(t, f) != 20 {
		t.Errorf("%d are enabled", enabled(t, f))
	}
	alerts, err := f.Store.Alerts(t.Context(), f.Operator, f.Org.ID, false)
	must(t, err)
	if len(alerts) != 1 || alerts[0].Kind != foyer.AlertHeld {
		t.Errorf("the alerts are %+v", alerts)
	}
	_, err = f.Store.Reject(t.Context(), f.Operator, f.Org.ID, 2)
	must(t, err)
	if alerts, err = f.Store.Alerts(t.Context(), f.Operator, f.Org.ID, false); err != nil || len(alerts) != 0 {
		t.Errorf("after the decision the alerts are %+v, %v", alerts, err)
	}
}

func enabled(t *testing.T, f *foyertest.Foyer) (n int) {
	for _, e := range f.Book(t) {
		if e.Enabled {
			n++
		}
	}
	return n
}

func TestUpload_R21_HeldAsJSON(t *testing.T) {
	f := foyertest.Start(t)
	f.Upload(t, people(20))
	reply := upload(t, f, people(6), header("Accept", "application/json"))
	var out struct {
		Run, Status, Message, See string
		Disabled                  int
	}
	must(t, json.Unmarshal([]byte(reply.Body), &out))
	if reply.Status != http.StatusAccepted || out.Status != "held" || out.Run != "R-2" || out.Disabled != 14 || !strings.HasPrefix(out.Message, "would disable 14 of 20 (limit 20%).") {
		t.Errorf("%d %s", reply.Status, reply.Body)
	}
}

func TestUpload_R24_DryRunSaysItWouldBeHeld(t *testing.T) {
	f := foyertest.Start(t)
	f.Upload(t, people(20))
	reply := upload(t, f, people(6), query("dry_run=1"))
	if reply.Status != http.StatusOK {
		t.Errorf("the status is %d", reply.Status)
	}
	wantLine(t, reply, "DRY RUN would be HELD: would disable 14 of 20 (limit 20%).")
	if len(runs(t, f)) != 1 {
		t.Error("it is recorded")
	}
}

func TestUpload_R21_StrictIsConflict(t *testing.T) {
	f := foyertest.Start(t)
	f.Upload(t, people(20))
	p := wantProblem(t, upload(t, f, people(6), header("Prefer", "handling=strict")), 409, "conflict")
	if !strings.Contains(p.Detail, "would disable 14 of 20 (limit 20%)") || p.Run != "R-2" {
		t.Errorf("the problem is %+v", p)
	}
	if run := runs(t, f)[0]; run.Status != foyer.Refused || enabled(t, f) != 20 {
		t.Errorf("the run is %+v, %d are enabled", run, enabled(t, f))
	}
}

func TestUpload_EndedSourceIsForbidden(t *testing.T) {
	f := foyertest.Start(t)
	f.Upload(t, ann)
	_, err := reconcile.EndSource(t.Context(), f.Store, f.Operator, f.Org.ID, reconcile.Ending{Source: 1, Leave: true})
	must(t, err)
	p := wantProblem(t, f.Upload(t, ann), 403, "forbidden")
	if !strings.Contains(p.Detail, "has ended") {
		t.Errorf("the problem is %+v", p)
	}
}

func TestUpload_OldFileIsTold(t *testing.T) {
	f := foyertest.Start(t)
	old := "EMAIL,TITLE\nann@test.com,Clerk\n"
	f.Upload(t, old)
	f.Clock.Move(24 * time.Hour)
	f.Upload(t, ann)
	first := runs(t, f)[1]
	reply := f.Upload(t, old)
	wantLine(t, reply, "OK run=R-3 added=0 updated=1 disabled=0 enabled=0 unchanged=0 skipped=0 errors=0 warnings=0")
	want := "\nThis is the file of " + first.Started.UTC().Format("2006-01-02 15:04 UTC") + " (R-1), not a new one.\n"
	if !strings.Contains(reply.Body, want) {
		t.Errorf("the reply does not say %q: %s", want, reply.Body)
	}
	if run := runs(t, f)[0]; run.Replays != 1 || !strings.Contains(run.Message, "This is the file of ") {
		t.Errorf("the run is %+v", run)
	}
	alerts, err := f.Store.Alerts(t.Context(), f.Operator, f.Org.ID, false)
	must(t, err)
	if len(alerts) != 1 || alerts[0].Kind != foyer.AlertReplayed {
		t.Errorf("the alerts are %+v", alerts)
	}
	if reply := f.Upload(t, old); strings.Contains(reply.Body, "This is the file of") {
		t.Errorf("the latest file is called old: %s", reply.Body)
	}
}

// once sends a file with an Idempotency-Key.
func once(t *testing.T, f *foyertest.Foyer, key, file string, change ...func(*http.Request)) *script.Reply {
	t.Helper()
	return upload(t, f, file, func(r *http.Request) {
		r.Header.Set("Idempotency-Key", key)
		for _, c := range change {
			c(r)
		}
	})
}

func TestIdempotency_SameRequestGetsTheSameAnswer(t *testing.T) {
	f := foyertest.Start(t)
	f.Upload(t, people(20))
	for name, test := range map[string]struct {
		file   string
		status int
		change func(*http.Request)
	}{
		"applied": {people(21), 200, func(*http.Request) {}},
		"held":    {people(3), 202, func(*http.Request) {}},
		"refused": {"EMAIL\nbroken\n", 422, func(*http.Request) {}},
		"strict":  {people(2), 409, header("Prefer", "handling=strict")},
	} {
		t.Run(name, func(t *testing.T) {
			first := once(t, f, name, test.file, test.change)
			before := len(runs(t, f))
			again := once(t, f, name, test.file, test.change)
			strip := func(body string) string { body, _, _ = strings.Cut(body, `,"request":`); return body }
			if first.Status != test.status || again.Status != first.Status || strip(again.Body) != strip(first.Body) {
				t.Errorf("first %d %s, then %d %s", first.Status, first.Body, again.Status, again.Body)
			}
			if len(runs(t, f)) != before {
				t.Error("it was carried out twice")
			}
		})
	}
}

func TestIdempotency_AnotherRequestUnderTheSameKeyIsRefused(t *testing.T) {
	f := foyertest.Start(t)
	once(t, f, "k", ann)
	bob := "EMAIL,TITLE\nann@test.com,Boss\nbob@test.com,Clerk\n"
	for name, reply := range map[string]*script.Reply{
		"another file":   once(t, f, "k", bob),
		"another query":  once(t, f, "k", ann, query("dry_run=0")),
		"another Prefer": once(t, f, "k", ann, header("Prefer", "handling=strict")),
	} {
		if p := wantProblem(t, reply, 422, "unusable-file"); !strings.Contains(p.Detail, "Idempotency-Key") {
			t.Errorf("%s: %+v", name, p)
		}
	}
	wantBook(t, f, "ann@test.com")
	if other := f.NewKey(t, f.Org, store.NewKey{}); true {
		g := *f
		g.Script = other
		if reply := once(t, &g, "k", bob); reply.Status != 200 {
			t.Errorf("another client's request: %d %s", reply.Status, reply.Body)
		}
	}
}

func TestIdempotency_IsForgottenAfter24Hours(t *testing.T) {
	f := foyertest.Start(t)
	once(t, f, "k", ann)
	f.Clock.Move(24*time.Hour + time.Second)
	wantLine(t, once(t, f, "k", "EMAIL,TITLE\nann@test.com,Chief\n"), "OK run=R-2 added=0 updated=1 disabled=0 enabled=0 unchanged=0 skipped=0 errors=0 warnings=0")
}

// TestIdempotency_Malformed holds what a key must look like, and that a body cut short does not use it up.
func TestIdempotency_Malformed(t *testing.T) {
	f := foyertest.Start(t)
	for name, key := range map[string]string{"empty": " ", "too long": strings.Repeat("x", 256), "not ASCII": "é"} {
		t.Run(name, func(t *testing.T) { wantProblem(t, once(t, f, key, ann), 400, "malformed") })
	}
	cut := upload(t, f, "", func(r *http.Request) {
		r.Header.Set("Idempotency-Key", "k")
		r.Header.Set("Content-Type", boundary)
		r.Body, r.ContentLength = http.NoBody, 0
	})
	wantProblem(t, cut, 400, "malformed")
	if reply := once(t, f, "k", ann); reply.Status != 200 {
		t.Errorf("after a cut body: %d %s", reply.Status, reply.Body)
	}
}

// TestIdempotency_TogetherAppliesOnce sends one request many times at once: one is carried out, the others wait for it or are told to.
func TestIdempotency_TogetherAppliesOnce(t *testing.T) {
	f := foyertest.Start(t)
	bearer := token(t, f.Script)
	var all sync.WaitGroup
	statuses := make(chan int, 20)
	for range 20 {
		all.Go(func() {
			req, err := f.Script.UploadRequest(bearer, []byte(people(500)))
			if err != nil {
				t.Error(err)
				return
			}
			req.Header.Set("Idempotency-Key", "k")
			reply, err := f.Script.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			statuses <- reply.Status
		})
	}
	all.Wait()
	close(statuses)
	good := 0
	for status := range statuses {
		switch status {
		case 200:
			good++
		case 409:
		default:
			t.Errorf("status %d", status)
		}
	}
	if good == 0 || len(runs(t, f)) != 1 {
		t.Errorf("%d were answered, %d runs", good, len(runs(t, f)))
	}
}
