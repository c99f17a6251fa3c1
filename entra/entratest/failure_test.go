package entratest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"foyer/entra/entratest"
)

func TestFailure_RetryAfterIsKeptToTheSecond(t *testing.T) {
	w := start(t)
	w.FailAt("/users/delta", 1, entratest.Throttled(7*time.Second))
	resp, reply := w.get(t, "/users/delta")
	if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") != "7" || code(reply) != "TooManyRequests" {
		t.Errorf("%d %v %v", resp.StatusCode, resp.Header, reply)
	}
	w.clock.move(7*time.Second - time.Millisecond)
	w.bearer = w.appToken(t) // a new token is no way round
	if resp, _ := w.get(t, "/users/delta"); resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") != "1" || w.TooEarly() != 1 {
		t.Errorf("too early: %d, Retry-After %s, %d", resp.StatusCode, resp.Header.Get("Retry-After"), w.TooEarly())
	}
	w.clock.move(time.Millisecond)
	if resp, _ := w.get(t, "/users/delta"); resp.StatusCode != http.StatusOK || w.TooEarly() != 1 {
		t.Errorf("in time: %d, %d", resp.StatusCode, w.TooEarly())
	}
}

func TestFailure_OneTenantDoesNotSlowAnother(t *testing.T) {
	w := start(t)
	other := w.Tenant("Other", "other.com")
	other.Consent(w.app)
	w.FailAt("/users/delta", 1, entratest.Unavailable(time.Minute))
	if resp, _ := w.get(t, "/users/delta"); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("got %d", resp.StatusCode)
	}
	_, reply := w.redeem(t, other.ID, w.clientCredentials())
	w.bearer = reply["access_token"].(string)
	if resp, _ := w.get(t, "/users/delta"); resp.StatusCode != http.StatusOK {
		t.Errorf("the other: %d", resp.StatusCode)
	}
}

func TestFailure_PageIsCutOrTruncated(t *testing.T) {
	w := start(t)
	w.acme.Populate(500, 1)
	for _, failure := range []entratest.Failure{{Cut: true}, {Truncate: true}} {
		w.FailAt("/users/delta", 2, failure)
		_, page := w.get(t, "/users/delta")
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, page["@odata.nextLink"].(string), nil)
		must(t, err)
		r.Header.Set("Authorization", "Bearer "+w.bearer)
		resp, err := w.client.Do(r)
		must(t, err)
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK || (err != nil) != failure.Cut || len(text) < 1000 || json.Valid(text) {
			t.Errorf("%+v: %d, %d bytes, %v", failure, resp.StatusCode, len(text), err)
		}
		if _, again := w.get(t, page["@odata.nextLink"].(string)); again["value"] == nil {
			t.Errorf("%+v: the page does not come when it is asked for again", failure)
		}
	}
}

func TestFailure_LinkLeadsElsewhere(t *testing.T) {
	w := start(t)
	w.acme.Populate(500, 1)
	w.FailAt("/users/delta", 1, entratest.Failure{LinkHost: w.Elsewhere})
	_, page := w.get(t, "/users/delta")
	link := page["@odata.nextLink"].(string)
	if !strings.HasPrefix(link, w.Elsewhere+"/v1.0/users/delta?$skiptoken=") {
		t.Fatalf("the link is %s", link)
	}
	w.Forget()
	if _, page := w.get(t, link); page["@odata.deltaLink"] == nil {
		t.Errorf("there: %v", page)
	}
	if got := w.Requests(); len(got) != 1 || got[0].Server != entratest.Elsewhere || !got[0].Bearer || w.Count(entratest.Elsewhere, "/users/delta") != 1 {
		t.Errorf("noted: %+v", got)
	}
}

func TestFailure_OfChosenRequests(t *testing.T) {
	w := start(t)
	stop := w.Fail(func(r *http.Request) *entratest.Failure {
		if r.URL.Path == "/v1.0/me" {
			return &entratest.Failure{Status: http.StatusBadGateway, Body: "<html>", Header: http.Header{"X-Was": {"here"}}}
		}
		return nil
	})
	resp, reply := w.get(t, "/me")
	if resp.StatusCode != http.StatusBadGateway || reply["text"] != "<html>" || resp.Header.Get("X-Was") != "here" {
		t.Errorf("%d %v", resp.StatusCode, reply)
	}
	if resp, _ := w.get(t, "/users"); resp.StatusCode != http.StatusOK {
		t.Errorf("another: %d", resp.StatusCode)
	}
	stop()
	if resp, reply := w.get(t, "/me"); resp.StatusCode != http.StatusBadRequest || code(reply) != "BadRequest" {
		t.Errorf("an application: %d %v", resp.StatusCode, reply)
	}
	w.FailAt("/token", 2, entratest.Failure{Status: http.StatusBadRequest, Code: "invalid_grant", Number: 65001})
	w.FailAt("/token", 1, entratest.Failure{Status: http.StatusServiceUnavailable})
	if status, reply := w.redeem(t, w.acme.ID, w.clientCredentials()); status != http.StatusServiceUnavailable || reply["error"] != "temporarily_unavailable" {
		t.Errorf("token: %d %v", status, reply)
	}
	if status, reply := w.redeem(t, w.acme.ID, w.clientCredentials()); status != http.StatusBadRequest || code(reply) != 65001 {
		t.Errorf("token the second time: %d %v", status, reply)
	}
}

func TestRequests_AreNoted(t *testing.T) {
	w := start(t)
	w.Forget()
	w.get(t, "/users/delta?$select=mail", "Prefer", "return=minimal")
	want := entratest.Request{At: w.clock.Now(), Server: entratest.Graph, Method: "GET", Path: "/v1.0/users/delta", Query: "$select=mail", Bearer: true, Prefer: "return=minimal", Status: 200}
	if got := w.Requests(); len(got) != 1 || got[0] != want {
		t.Errorf("got %+v", got)
	}
}

func TestNew_ListensWhereItIsTold(t *testing.T) {
	f, err := entratest.New(entratest.Config{Login: "localhost:0"})
	must(t, err)
	defer f.Close()
	if !strings.HasPrefix(f.Authority, "https://localhost:") || !strings.HasPrefix(f.Graph, "https://127.0.0.1:") {
		t.Errorf("%s %s", f.Authority, f.Graph)
	}
	resp, err := f.Client().Get(f.Authority + "/organizations/v2.0/.well-known/openid-configuration")
	must(t, err)
	resp.Body.Close()
}

func TestFake_MayBeChangedWhileItAnswers(t *testing.T) {
	w := start(t)
	people := w.acme.Populate(2000, 1)
	var changes sync.WaitGroup
	changes.Go(func() {
		for i, u := range people {
			w.acme.Update(u.ID, func(u *entratest.User) { u.JobTitle = "Boss" })
			if i%100 == 0 {
				w.acme.SoftDelete(u.ID)
				w.SetHabits(entratest.Habits{PageSize: 10 + i, Repeat: 2})
			}
		}
	})
	_, _, link := w.round(t, selection)
	changes.Wait()
	items, _, _ := w.round(t, link)
	for range items {
		w.Requests()
	}
}

func TestConfig_ResourceIsWhatTheCloudSays(t *testing.T) {
	w := start(t)
	china := entratest.StartWith(t, entratest.Config{Resource: "https://microsoftgraph.chinacloudapi.cn"})
	w.Fake, w.client = china, china.Client()
	w.acme = china.Tenant("Acme", "acme.com")
	w.app = china.Register(w.app)
	w.acme.Consent(w.app)
	if _, reply := w.redeem(t, w.acme.ID, w.clientCredentials()); code(reply) != 500011 {
		t.Errorf("the Graph of another cloud: %v", reply)
	}
	if status, reply := w.redeem(t, w.acme.ID, replaced(w.clientCredentials(), url.Values{"scope": {"https://microsoftgraph.chinacloudapi.cn/.default"}})); status != http.StatusOK {
		t.Errorf("its own: %d %v", status, reply)
	}
}
