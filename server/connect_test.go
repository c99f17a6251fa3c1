package server_test

import (
	"html"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

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

// one returns the only connection of the organization.
func (p *person) one() foyer.Connection {
	p.Helper()
	all, err := p.Store.Connections(p.Context(), p.Operator, p.Org.ID)
	must(p.T, err)
	if len(all) != 1 {
		p.Fatalf("there are %d connections", len(all))
	}
	return all[0]
}

// TestConnect_AnotherLinkLeadsBack holds that whoever comes by a new link gets to the connection that is there, once: to look at it, or to agree again.
func TestConnect_AnotherLinkLeadsBack(t *testing.T) {
	m := foyertest.StartMicrosoft(t, server.Config{})
	first := newPerson(t, m)
	first.arrive(first.link())
	first.leads(first.act(connect.ActConfirm))
	must(t, m.Connector.Tick(t.Context()))

	second := newPerson(t, m)
	link := second.link()
	if to := second.leads(second.get(second.signIn(link, m.Admin))); to != "/connect/entra/connection" {
		t.Errorf("it leads to %s", to)
	}
	wantPage(t, second.get("/connect/entra/connection"), http.StatusOK, "Acme is connected", "signed in as root@acme.com")
	wantPage(t, second.get(link), http.StatusNotFound, "You need a new link")
	connection := first.one()

	m.Tenant.Remove(m.App)
	m.Fake.EndTokens()
	second.leads(second.act(connect.ActSync))
	must(t, m.Connector.Tick(t.Context()))
	wantPage(t, second.get("/connect/entra/connection"), http.StatusOK, "Acme is disconnected", "nobody was disabled", "Ask for the permission again")
	third := newPerson(t, m)
	third.arrive(third.link())
	if again := first.one(); again.Source != connection.Source || again.State != foyer.Connected {
		t.Errorf("it is %+v", again)
	}
	wantPage(t, third.get("/connect/entra/connection"), http.StatusOK, "Acme is connected")
	wantBook(t, m.Foyer, "root@acme.com")
}

// TestConnect_SettingsAreWhatTheFormSays sends the form of the settings as a browser does, and changes groups one by one.
func TestConnect_SettingsAreWhatTheFormSays(t *testing.T) {
	m := foyertest.StartMicrosoft(t, server.Config{Limits: server.Limits{Pages: 1 << 20}})
	sales, it := m.Tenant.AddGroup("Sales", m.Admin.ID), m.Tenant.AddGroup("IT")
	p := newPerson(t, m)
	p.arrive(p.link())
	save := func(form url.Values) {
		t.Helper()
		p.leads(p.post("/connect/entra/set", form))
	}
	save(url.Values{"part": {"groups"}, "site." + sales: {"2"}, "site." + it: {""}})
	save(url.Values{"part": {"groups"}, "site." + it: {"0"}})
	save(url.Values{"part": {"all"}, "guests": {"yes"}, "only_groups": {"yes"}, "every": {"2h0m0s"}, "attribute.title": {"department"}, "attribute.division": {""}, "attribute.mobile": {"mobilePhone"}})
	s := p.one().Settings
	want := foyer.EntraSettings{Every: 2 * time.Hour, Guests: true, NoOffices: true, OnlyGroups: true, Attributes: map[string]string{"title": "department", "division": ""},
		Groups: []foyer.GroupSite{{Group: sales, Name: "Sales", Site: 2}, {Group: it, Name: "IT"}}}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("the settings are %+v\nwant %+v", s, want)
	}
	page := p.get("/connect/entra/settings")
	wantPage(t, page, http.StatusOK, "Sales", "IT", "2 hours")
	for _, want := range []string{`name="guests" value="yes" checked`, `name="offices" value="yes">`, `<option value="2" selected>Montréal</option>`, `<option selected>department</option>`, `<option value="2h0m0s" selected>2 hours</option>`} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the form does not have %s: %s", want, page.body)
		}
	}
	save(url.Values{"part": {"groups"}, "site." + sales: {""}, "site." + it: {"1"}})
	if groups := p.one().Settings.Groups; len(groups) != 1 || groups[0] != (foyer.GroupSite{Group: it, Name: "IT", Site: 1}) {
		t.Errorf("the groups are %+v", groups)
	}
	wantPage(t, p.get("/connect/entra/groups?prefix=sa"), http.StatusOK, "1 group that begins with", "Sales")
}

// TestConnect_WhatIsConfirmedWasSeen holds that nobody confirms what they were not shown.
func TestConnect_WhatIsConfirmedWasSeen(t *testing.T) {
	m := foyertest.StartMicrosoft(t, server.Config{})
	p := newPerson(t, m)
	p.arrive(p.link())
	version := versionField.FindStringSubmatch(p.get("/connect/entra/connection").body)[1]
	m.Tenant.Add(entratest.User{Mail: "late@acme.com"})
	m.Clock.Move(time.Hour)
	must(t, m.Connector.Tick(t.Context()))
	for _, old := range []string{version, "", "x"} {
		wantPage(t, p.post("/connect/entra/act", url.Values{"act": {connect.ActConfirm}, "version": {old}}), http.StatusConflict, "not any more what you were shown")
	}
	if state := p.one().State; state != foyer.Confirming {
		t.Errorf("it is %s", state)
	}
	p.leads(p.act(connect.ActConfirm))
}

// TestConnect_MicrosoftIsBusy holds that who has to wait is told how long, and has lost nothing.
func TestConnect_MicrosoftIsBusy(t *testing.T) {
	m := foyertest.StartMicrosoft(t, server.Config{})
	p := newPerson(t, m)
	link := p.link()
	callback := p.signIn(link, m.Admin)
	stop := m.Fake.Fail(func(r *http.Request) *entratest.Failure {
		if strings.HasSuffix(r.URL.Path, "/token") {
			failure := entratest.Throttled(5 * time.Minute)
			return &failure
		}
		return nil
	})
	page := p.get(callback)
	stop()
	wantPage(t, page, http.StatusServiceUnavailable, "Not at the moment", "the link was not used up", "300 seconds")
	if page.header.Get("Retry-After") != "300" {
		t.Errorf("Retry-After is %q", page.header.Get("Retry-After"))
	}
	m.Clock.Move(5 * time.Minute)
	p.arrive(link)
}
