package server_test

import (
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"foyer"
	"foyer/connect"
	"foyer/entra/entratest"
	"foyer/foyertest"
	"foyer/server"
)

// person is somebody with a browser, on the way through the pages of a link.
type person struct {
	*testing.T
	*foyertest.Microsoft
	client *http.Client
}

// seenPage is a page as a browser got it.
type seenPage struct {
	status int
	header http.Header
	body   string
}

func newPerson(t *testing.T, m *foyertest.Microsoft) *person {
	t.Helper()
	return &person{t, m, m.Browser(t)}
}

func (p *person) do(r *http.Request) seenPage {
	p.Helper()
	resp, err := p.client.Do(r)
	must(p.T, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(p.T, err)
	return seenPage{resp.StatusCode, resp.Header, string(body)}
}

func (p *person) get(address string) seenPage {
	p.Helper()
	if strings.HasPrefix(address, "/") {
		address = p.URL + address
	}
	r, err := http.NewRequest(http.MethodGet, address, nil)
	must(p.T, err)
	return p.do(r)
}

// post sends a form as a browser does from a page of the server.
func (p *person) post(path string, form url.Values, change ...func(*http.Request)) seenPage {
	p.Helper()
	r, err := http.NewRequest(http.MethodPost, p.URL+path, strings.NewReader(form.Encode()))
	must(p.T, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for _, c := range change {
		c(r)
	}
	return p.do(r)
}

// leads returns where a page sends the browser on to.
func (p *person) leads(page seenPage) string {
	p.Helper()
	if page.status != http.StatusSeeOther {
		p.Fatalf("it leads nowhere: %d %s", page.status, text(page.body))
	}
	return page.header.Get("Location")
}

var (
	inline = regexp.MustCompile(`</?(bdi|strong|em|span|time|small|a)\b[^>]*>`)
	blocks = regexp.MustCompile(`<[^>]*>|\s+`)
	spaces = regexp.MustCompile(`\s+`)
)

// text is what somebody reads of a page.
func text(page string) string {
	return html.UnescapeString(spaces.ReplaceAllString(blocks.ReplaceAllString(inline.ReplaceAllString(page, ""), " "), " "))
}

// begin follows a link to Microsoft's sign-in, and returns its address.
func (p *person) begin(link string) string {
	p.Helper()
	u, err := url.Parse(link)
	must(p.T, err)
	return p.leads(p.post("/connect/entra/begin", url.Values{"link": {u.Query().Get("link")}}))
}

// walk does what somebody does at Microsoft's pages, and returns where they lead back to.
func (p *person) walk(address string, w entratest.Walk) string {
	p.Helper()
	r, err := p.Fake.Walk(p.Context(), address, w)
	must(p.T, err)
	return r.URL.String()
}

// signIn follows a link up to where Microsoft's sign-in leads back to.
func (p *person) signIn(link string, as entratest.User) string {
	p.Helper()
	return p.walk(p.begin(link), entratest.Walk{Account: as})
}

// arrive goes the whole way up to the page that is to be confirmed, read.
func (p *person) arrive(link string) {
	p.Helper()
	agree := p.leads(p.get(p.signIn(link, p.Admin)))
	if to := p.leads(p.get(p.walk(agree, entratest.Walk{Account: p.Admin}))); to != "/connect/entra/connection" {
		p.Fatalf("it leads to %s", to)
	}
	must(p.T, p.Connector.Tick(p.Context()))
}

func (p *person) link() string {
	p.Helper()
	return p.Link(p.T, p.Org.ID, foyer.EntraLink{For: "acme.com"})
}

var versionField = regexp.MustCompile(`name="version" value="(\d+)"`)

// act presses a button of the connection's page.
func (p *person) act(act string) seenPage {
	p.Helper()
	form := url.Values{"act": {act}}
	if m := versionField.FindStringSubmatch(p.get("/connect/entra/connection").body); m != nil && act == connect.ActConfirm {
		form.Set("version", m[1])
	}
	return p.post("/connect/entra/act", form)
}

// wantPage checks the status of a page, that it says all that, and the headers that all pages have.
func wantPage(t *testing.T, page seenPage, status int, says ...string) {
	t.Helper()
	if page.status != status {
		t.Errorf("the status is %d, want %d: %s", page.status, status, text(page.body))
	}
	read := text(page.body)
	for _, want := range says {
		if !strings.Contains(read, want) {
			t.Errorf("the page does not say %q: %s", want, read)
		}
	}
	for name, want := range map[string]string{"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
		"X-Content-Type-Options": "nosniff"} {
		if got := page.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	policy := page.header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'", "frame-ancestors 'none'; base-uri 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy is %q", policy)
		}
	}
}

func TestConnect_TheWholeWay(t *testing.T) {
	m := foyertest.StartMicrosoft(t, server.Config{})
	ann := m.Tenant.Add(entratest.User{Mail: "ann@acme.com", GivenName: "Ann", JobTitle: "Boss", OfficeLocation: "Toronto"})
	p := newPerson(t, m)
	link := p.link()
	landing := p.get(link)
	wantPage(t, landing, http.StatusOK, "Connect acme.com to the address book of Acme", "all sites", "Continue to Microsoft", "What it never does", "Enterprise applications", "UTC")
	if policy := landing.header.Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self' "+m.Fake.Authority+";") {
		t.Errorf("the form may not lead to Microsoft: %s", policy)
	}
	p.arrive(link)
	wantPage(t, p.get("/connect/entra/connection"), http.StatusOK, "Review what will happen", "2 accounts", "acme.com, acme.ca", m.Tenant.ID, "signed in as root@acme.com", "jobTitle", "Confirm")
	if len(m.Book(t)) != 0 {
		t.Error("somebody is in the book before it was confirmed")
	}
	if to := p.leads(p.act(connect.ActConfirm)); to != "/connect/entra/connection?said=confirm" {
		t.Errorf("it leads to %s", to)
	}
	wantPage(t, p.get("/connect/entra/connection?said=confirm"), http.StatusOK, "Confirmed.", "reading the directory now.")
	must(t, m.Connector.Tick(t.Context()))
	wantPage(t, p.get("/connect/entra/connection"), http.StatusOK, "Acme is connected", "2 added", "then about every 30 minutes", "Pause")
	wantValue(t, m.Foyer, "ann@acme.com", foyer.Title, "Boss")
	m.Tenant.Update(ann.ID, func(u *entratest.User) { u.JobTitle = "Chief" })
	p.leads(p.act(connect.ActSync))
	must(t, m.Connector.Tick(t.Context()))
	wantValue(t, m.Foyer, "ann@acme.com", foyer.Title, "Chief")
	p.leads(p.act(connect.ActPause))
	wantPage(t, p.get("/connect/entra/connection?said=pause"), http.StatusOK, "Acme is paused", "Resume")
	p.leads(p.act(connect.ActResume))
	wantPage(t, p.act(connect.ActDisconnect), http.StatusBadRequest, "nothing was disconnected")
	if to := p.leads(p.post("/connect/entra/act", url.Values{"act": {"disconnect"}, "sure": {"yes"}})); to != "/connect/entra/ended" {
		t.Errorf("it leads to %s", to)
	}
	wantPage(t, p.get("/connect/entra/ended"), http.StatusOK, "The directory is disconnected", "Nobody was disabled")
	wantPage(t, p.get("/connect/entra/connection"), http.StatusForbidden, "Your visit has ended")
	wantPage(t, p.get(link), http.StatusNotFound, "You need a new link")
	wantBook(t, m.Foyer, "ann@acme.com", "root@acme.com")
}
