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

const callback = "https://foyer.example/entra/callback"

// clock is one that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) move(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(by)
}

// world is a Fake with an application, which Acme has consented to, and people.
type world struct {
	*entratest.Fake
	clock  *clock
	client *http.Client
	app    entratest.App
	acme   *entratest.Tenant
	ann    entratest.User // administrator
	bob    entratest.User
	bearer string // of the application for Acme
}

func start(t *testing.T) *world {
	t.Helper()
	w := &world{clock: &clock{now: time.Now()}}
	w.Fake = entratest.StartWith(t, entratest.Config{Clock: w.clock.Now})
	w.client = w.Client()
	w.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	t.Cleanup(w.client.CloseIdleConnections)
	w.app = w.Register(entratest.App{Secrets: []entratest.Secret{{Text: "s3cret"}}, RedirectURIs: []string{callback}, Permissions: []string{"User.Read.All", "GroupMember.Read.All"}})
	w.acme = w.Tenant("Acme", "acme.com")
	w.ann = w.acme.Add(entratest.User{Mail: "ann@acme.com", GivenName: "Ann", Role: entratest.GlobalAdministrator})
	w.bob = w.acme.Add(entratest.User{Mail: "bob@acme.com", GivenName: "Bob", SignsIn: true})
	w.acme.Consent(w.app)
	w.bearer = w.appToken(t)
	return w
}

// appToken gets an access token for the application in Acme.
func (w *world) appToken(t *testing.T) string {
	t.Helper()
	status, reply := w.redeem(t, w.acme.ID, w.clientCredentials())
	if status != http.StatusOK {
		t.Fatalf("client credentials: %d %v", status, reply)
	}
	return reply["access_token"].(string)
}

func (w *world) clientCredentials() url.Values {
	return url.Values{"grant_type": {"client_credentials"}, "client_id": {w.app.ID}, "client_secret": {"s3cret"}, "scope": {"https://graph.microsoft.com/.default"}}
}

// redeem asks the token endpoint.
func (w *world) redeem(t *testing.T, tenant string, form url.Values) (int, map[string]any) {
	t.Helper()
	resp, err := w.client.PostForm(w.Authority+"/"+tenant+"/oauth2/v2.0/token", form)
	must(t, err)
	return resp.StatusCode, decode(t, resp)
}

// get asks the Graph: a path, or a whole link. headers come in pairs.
func (w *world) get(t *testing.T, link string, headers ...string) (*http.Response, map[string]any) {
	t.Helper()
	if strings.HasPrefix(link, "/") {
		link = w.Graph + "/v1.0" + link
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, link, nil)
	must(t, err)
	r.Header.Set("Authorization", "Bearer "+w.bearer)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := w.client.Do(r)
	must(t, err)
	return resp, decode(t, resp)
}

// round follows the links from one on, and returns the items of all pages in their order, how many pages there were, and the deltaLink.
func (w *world) round(t *testing.T, link string, headers ...string) (items []map[string]any, pages int, deltaLink string) {
	t.Helper()
	for link != "" {
		resp, page := w.get(t, link, headers...)
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %v", link, resp.StatusCode, page)
		}
		for _, v := range page["value"].([]any) {
			items = append(items, v.(map[string]any))
		}
		pages++
		link, _ = page["@odata.nextLink"].(string)
		deltaLink, _ = page["@odata.deltaLink"].(string)
	}
	return items, pages, deltaLink
}

// authorizeURL is a sign-in of the application; more replaces parameters, "" removes one.
func (w *world) authorizeURL(more url.Values) string {
	q := url.Values{"client_id": {w.app.ID}, "response_type": {"code"}, "redirect_uri": {callback}, "scope": {"openid profile User.Read"}, "state": {"st&te"},
		"nonce": {"n0nce"}, "prompt": {"select_account"}, "code_challenge_method": {"S256"}, "code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}}
	return w.Authority + "/organizations/oauth2/v2.0/authorize?" + replaced(q, more).Encode()
}

// verifier is the one of the challenge above, both from RFC 7636, appendix B.
const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

func replaced(q, more url.Values) url.Values {
	for name, values := range more {
		if q[name] = values; values[0] == "" {
			q.Del(name)
		}
	}
	return q
}

// signIn walks through a sign-in, and returns what came to the callback.
func (w *world) signIn(t *testing.T, who entratest.User) url.Values {
	t.Helper()
	r, err := w.Walk(t.Context(), w.authorizeURL(nil), entratest.Walk{Account: who})
	must(t, err)
	return r.URL.Query()
}

// codeForm is what the application redeems a code with.
func (w *world) codeForm(code string) url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "client_id": {w.app.ID}, "client_secret": {"s3cret"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}
}

func decode(t *testing.T, resp *http.Response) map[string]any {
	t.Helper()
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	var v map[string]any
	if err := json.Unmarshal(text, &v); err != nil {
		return map[string]any{"text": string(text)}
	}
	return v
}

// code returns the number of an error of the identity platform, or the code of one of the Graph.
func code(reply map[string]any) any {
	if numbers, ok := reply["error_codes"].([]any); ok {
		return int(numbers[0].(float64))
	}
	if e, ok := reply["error"].(map[string]any); ok {
		return e["code"]
	}
	return nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
