package server_test

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"foyer"
	"foyer/connect"
	"foyer/entra/entratest"
	"foyer/foyertest"
	"foyer/server"
	"foyer/store/storetest"
)

// anonymous is a page without what differs from one request to the next.
func anonymous(page seenPage) string {
	return strconv.Itoa(page.status) + strings.ReplaceAll(page.body, page.header.Get("X-Request-Id"), "ID")
}

// TestConnect_SessionsAreOfOneBrowser walks all pages that take a session, with what is none: no cookie, a session in another browser, one that is altered, a link or a state as a session,
// one that has ended. All of that reads alike, and does nothing.
func TestConnect_SessionsAreOfOneBrowser(t *testing.T) {
	m := foyertest.StartMicrosoft(t, server.Config{Limits: server.Limits{Pages: 1 << 20}})
	p := newPerson(t, m)
	link := p.link()
	p.arrive(link)
	session, browser := p.cookie("__Host-foyer-connect"), p.cookie("__Host-foyer-browser")
	other := newVictim(t, m)
	other.leads(other.get(other.callback()))
	begun := newPerson(t, m)
	state := param(t, begun.begin(p.link()), "state")
	cookies := map[string][2]string{
		"nothing":                       {"", ""},
		"the session without a browser": {session, ""},
		"the browser without a session": {"", browser},
		"another browser":               {session, other.cookie("__Host-foyer-browser")},
		"another's session":             {other.cookie("__Host-foyer-connect"), browser},
		"altered":                       {session[:len(session)-1] + "_", browser},
		"of another organization":       {string(other.org.ID) + session[strings.Index(session, "."):], browser},
		"a link":                        {param(t, p.link(), "link"), browser},
		"a state":                       {state, begun.cookie("__Host-foyer-browser")},
		"nonsense":                      {"\"; DROP TABLE", browser},
	}
	before, refused := dump(t, m), ""
	walk := func(name string, with [2]string) {
		for route, a := range routes {
			if !a.visit {
				continue
			}
			method, path, _ := strings.Cut(route, " ")
			stranger := newPerson(t, m)
			r, err := http.NewRequest(method, m.URL+path, strings.NewReader(map[string]string{"/connect/entra/act": "act=confirm&version=1", "/connect/entra/set": "part=all&every=5m"}[path]))
			must(t, err)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Cookie", "__Host-foyer-connect="+with[0]+"; __Host-foyer-browser="+with[1])
			page := stranger.do(r)
			wantPage(t, page, http.StatusForbidden, "Your visit has ended")
			if refused == "" {
				refused = anonymous(page)
			}
			if anonymous(page) != refused {
				t.Errorf("%s, %s: it reads %s", name, route, text(page.body))
			}
		}
	}
	for name, with := range cookies {
		walk(name, with)
	}
	wantSame(t, before, dump(t, m))
	wantPage(t, p.get("/connect/entra/connection"), http.StatusOK, "Review what will happen")
	m.Clock.Move(12 * time.Hour)
	walk("after twelve hours", [2]string{session, browser})
}

// TestConnect_LinksThatCannotBeUsedReadAlike holds that nobody learns whether there is, or was, such a link.
func TestConnect_LinksThatCannotBeUsedReadAlike(t *testing.T) {
	m := foyertest.StartMicrosoft(t, server.Config{})
	p := newPerson(t, m)
	used := p.link()
	p.arrive(used)
	ended := p.link()
	m.Clock.Move(foyer.LinkLife)
	whole := param(t, p.link(), "link")
	links := map[string]string{"used": param(t, used, "link"), "ended": param(t, ended, "link"), "altered": whole[:len(whole)-1] + "_", "cut": whole[:len(whole)-2], "none": "",
		"of no organization": "zzzzzz" + whole[strings.Index(whole, "."):], "nonsense": "<script>alert(1)</script>"}
	stranger := newPerson(t, m)
	first := ""
	for name, link := range links {
		for way, page := range map[string]seenPage{"landing": stranger.get("/connect/entra?link=" + url.QueryEscape(link)), "begin": stranger.post("/connect/entra/begin", url.Values{"link": {link}})} {
			wantPage(t, page, http.StatusNotFound, "You need a new link")
			if first == "" {
				first = anonymous(page)
			}
			if anonymous(page) != first || len(page.header.Values("Set-Cookie")) > 0 {
				t.Errorf("%s, %s: it reads %s", name, way, text(page.body))
			}
		}
	}
}

// TestConnect_LandingDoesNothing holds that a link can be looked at as often as one likes, also by a mail program: it is as good as before, and nothing is written.
func TestConnect_LandingDoesNothing(t *testing.T) {
	m := foyertest.StartMicrosoft(t, server.Config{})
	p := newPerson(t, m)
	link := p.link()
	before := storetest.Rows(t, m.Dir)
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		r, err := http.NewRequest(method, link, nil)
		must(t, err)
		page := p.do(r)
		wantPage(t, page, http.StatusOK)
		if (page.body == "") != (method == http.MethodHead) || len(page.header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s: %d bytes, cookies %q", method, len(page.body), page.header.Values("Set-Cookie"))
		}
	}
	wantSame(t, before, storetest.Rows(t, m.Dir))
	p.arrive(link)
}

// TestConnect_HeadUsesNothingUp holds that a HEAD of what Microsoft leads back to does nothing.
func TestConnect_HeadUsesNothingUp(t *testing.T) {
	m := foyertest.StartMicrosoft(t, server.Config{})
	p := newPerson(t, m)
	head := func(address string) {
		r, err := http.NewRequest(http.MethodHead, address, nil)
		must(t, err)
		if page := p.do(r); page.status != http.StatusOK || page.header.Get("Set-Cookie") != "" {
			t.Errorf("HEAD: %d %v", page.status, page.header)
		}
	}
	callback := p.signIn(p.link(), m.Admin)
	head(callback)
	consented := p.walk(p.leads(p.get(callback)), entratest.Walk{Account: m.Admin})
	head(consented)
	p.leads(p.get(consented))
}

func TestConnect_CookiesStayHere(t *testing.T) {
	m := foyertest.StartMicrosoft(t, server.Config{})
	p := newPerson(t, m)
	begun := p.post("/connect/entra/begin", url.Values{"link": {param(t, p.link(), "link")}})
	back := p.get(p.walk(p.leads(begun), entratest.Walk{Account: m.Admin}))
	for name, page := range map[string]seenPage{"__Host-foyer-browser": begun, "__Host-foyer-connect": back} {
		all := page.header.Values("Set-Cookie")
		if len(all) != 1 || !strings.HasPrefix(all[0], name+"=") || !strings.HasSuffix(all[0], "; Path=/; Max-Age=43200; HttpOnly; Secure; SameSite=Lax") {
			t.Errorf("the cookies are %q", all)
		}
		if referrer := page.header.Get("Referrer-Policy"); referrer != "no-referrer" {
			t.Errorf("on the way to Microsoft the policy about referrers is %q", referrer)
		}
	}
	kept := p.cookie("__Host-foyer-browser")
	p.begin(p.link())
	if p.cookie("__Host-foyer-browser") != kept {
		t.Error("a browser that is known is told apart anew: another tab's visit ends")
	}
	r := p.post("/connect/entra/begin", url.Values{"link": {param(t, p.link(), "link")}}, func(r *http.Request) { r.Header.Set("Cookie", "__Host-foyer-browser=mine") })
	if strings.HasPrefix(r.header.Get("Set-Cookie"), "__Host-foyer-browser=mine") {
		t.Error("what a browser made up is taken as its name")
	}
}

// TestConnect_FormsAreReadStrictly holds that what the pages do not send is not read.
func TestConnect_FormsAreReadStrictly(t *testing.T) {
	m := foyertest.StartMicrosoft(t, server.Config{})
	p := newPerson(t, m)
	p.arrive(p.link())
	before := dump(t, m)
	body := func(text string) func(*http.Request) {
		return func(r *http.Request) {
			r.Body, r.ContentLength, r.GetBody = http.NoBody, 0, nil
			fresh, _ := http.NewRequest(http.MethodPost, r.URL.String(), strings.NewReader(text))
			r.Body, r.ContentLength, r.GetBody = fresh.Body, fresh.ContentLength, fresh.GetBody
		}
	}
	for name, c := range map[string]struct {
		path   string
		status int
		change func(*http.Request)
	}{
		"unknown field":   {"/connect/entra/act", 400, body("act=pause&more=1")},
		"field twice":     {"/connect/entra/act", 400, body("act=pause&act=disconnect&sure=yes")},
		"unknown act":     {"/connect/entra/act", 400, body("act=resync")},
		"no act":          {"/connect/entra/act", 400, body("")},
		"unreadable":      {"/connect/entra/act", 400, body("act=%zz")},
		"in the URL":      {"/connect/entra/act?act=pause", 400, body("")},
		"JSON":            {"/connect/entra/act", 400, header("Content-Type", "application/json")},
		"too long":        {"/connect/entra/set", 413, body("part=" + strings.Repeat("x", 70_000))},
		"unknown part":    {"/connect/entra/set", 400, body("part=some")},
		"no interval":     {"/connect/entra/set", 400, body("part=all")},
		"bad interval":    {"/connect/entra/set", 422, body("part=all&every=1m")},
		"only groups":     {"/connect/entra/set", 422, body("part=all&every=30m&only_groups=yes")},
		"bad attribute":   {"/connect/entra/set", 422, body("part=all&every=30m&attribute.title=passwordProfile")},
		"no such group":   {"/connect/entra/set", 422, body("part=groups&site.11111111-1111-1111-1111-111111111111=0")},
		"a group no GUID": {"/connect/entra/set", 422, body("part=groups&site.x=0")},
		"bad site":        {"/connect/entra/set", 400, body("part=groups&site.11111111-1111-1111-1111-111111111111=-1")},
		"GET of an act":   {"/connect/entra/act", 405, func(r *http.Request) { r.Method = http.MethodGet }},
		"DELETE":          {"/connect/entra/connection", 405, func(r *http.Request) { r.Method = http.MethodDelete }},
	} {
		page := p.post(c.path, url.Values{"act": {"pause"}}, c.change)
		if page.status != c.status {
			t.Errorf("%s: got %d %s, want %d", name, page.status, text(page.body), c.status)
		}
		wantPage(t, page, c.status)
	}
	wantSame(t, before, dump(t, m))
}

func TestConnect_PagesAreLimitedByAddress(t *testing.T) {
	m := foyertest.StartMicrosoft(t, server.Config{Limits: server.Limits{Pages: 13}})
	p := newPerson(t, m)
	form := url.Values{"link": {param(t, p.link(), "link")}}
	for range 2 {
		p.leads(p.post("/connect/entra/begin", form))
	}
	page := p.post("/connect/entra/begin", form)
	wantPage(t, page, http.StatusTooManyRequests, "One moment, please", "seconds.")
	if wait, err := strconv.Atoi(page.header.Get("Retry-After")); err != nil || wait < 1 || wait > 60 {
		t.Errorf("Retry-After is %q", page.header.Get("Retry-After"))
	}
	if css := p.get("/connect/entra/foyer.css"); css.status != http.StatusOK {
		t.Errorf("without its style sheet the page has %d", css.status)
	}
}

// TestConnect_StrangersFillNoAudit holds that states which were made up are noted some times in an hour, and no more.
func TestConnect_StrangersFillNoAudit(t *testing.T) {
	m := foyertest.StartMicrosoft(t, server.Config{Limits: server.Limits{Pages: 1 << 20}})
	p := newPerson(t, m)
	made := "/connect/entra/signed-in?code=1&state=" + string(m.Org.ID) + "." + strings.Repeat("B", 43)
	for range 30 {
		wantPage(t, p.get(made), http.StatusForbidden)
	}
	if n := refusals(t, m, m.Org.ID); n != 20 {
		t.Errorf("%d are noted", n)
	}
	m.Clock.Move(time.Hour)
	p.get(made)
	if n := refusals(t, m, m.Org.ID); n != 21 {
		t.Errorf("an hour later %d are noted", n)
	}
}

// TestConnect_NothingOfPeopleRunsOrIsLogged puts a script wherever others say what is shown, and looks for it in the pages; and for secrets and people in the log.
func TestConnect_NothingOfPeopleRunsOrIsLogged(t *testing.T) {
	const evil = `<script>alert(1)</script>`
	log := newLines()
	m := foyertest.StartMicrosoft(t, server.Config{Log: log.logger(), Limits: server.Limits{Pages: 1 << 20}})
	org, err := m.Store.CreateOrg(t.Context(), m.Operator, "Org "+evil, "CA")
	must(t, err)
	_, err = m.Store.CreateSite(t.Context(), m.Operator, org.ID, foyer.Site{Name: "Site " + evil})
	must(t, err)
	v := newVictim(t, m)
	v.org, v.tenant = org, m.Fake.Tenant("Tenant "+evil, "evil.example")
	v.admin = v.tenant.Add(entratest.User{Mail: "zebedee@evil.example", UserPrincipalName: "zebedee" + evil + "@evil.example", Role: entratest.GlobalAdministrator})
	v.tenant.Add(entratest.User{Mail: "quux" + evil + "@evil.example", DisplayName: "Quux " + evil, MobilePhone: "phone " + evil})
	group := v.tenant.AddGroup("Group "+evil, v.admin.ID)
	v.link = m.Link(t, org.ID, foyer.EntraLink{For: "evil.example"})
	var seen []string
	see := func(page seenPage) seenPage { seen = append(seen, page.body); return page }
	see(v.get(v.link))
	callback := v.callback()
	agree := v.leads(v.get(callback))
	see(v.get("/connect/entra/connection"))
	consented := v.walk(agree, entratest.Walk{Account: v.admin})
	v.leads(v.get(consented))
	see(v.get("/connect/entra/connection"))
	must(t, m.Connector.Tick(t.Context()))
	see(v.get("/connect/entra/connection"))
	see(v.get("/connect/entra/groups?prefix=Group"))
	see(v.get("/connect/entra/groups?prefix=" + url.QueryEscape(evil)))
	v.leads(v.post("/connect/entra/set", url.Values{"part": {"groups"}, "site." + group: {"1"}}))
	see(v.get("/connect/entra/settings?said=saved"))
	see(v.get("/connect/entra/settings?said=" + url.QueryEscape(evil)))
	see(v.post("/connect/entra/set", url.Values{"part": {"all"}, "every": {"30m"}, "attribute.title": {evil}}))
	see(v.get("/connect/entra?link=" + url.QueryEscape(evil)))
	see(v.get("/connect/entra/connection?" + url.QueryEscape(evil) + "=1"))
	see(v.get("/connect/entra/signed-in?error=" + url.QueryEscape(evil) + "&error_description=" + url.QueryEscape(evil) + "&state=" + param(t, v.begin(m.Link(t, org.ID, foyer.EntraLink{For: "evil.example"})), "state")))
	must(t, m.Connector.Tick(t.Context()))
	v.leads(v.act(connect.ActConfirm))
	must(t, m.Connector.Tick(t.Context()))
	see(v.get("/connect/entra/connection"))
	shown := false
	for _, page := range seen {
		shown = shown || strings.Contains(page, "&lt;script&gt;")
		if strings.Contains(strings.ToLower(page), "<script") {
			t.Errorf("a page has it as it was sent: %s", page)
		}
	}
	if !shown {
		t.Error("no page shows it: the test looks for what is not there")
	}
	written := strings.ToLower(log.after(t, len(seen)))
	for name, secret := range map[string]string{"link": param(t, v.link, "link"), "state": param(t, callback, "state"), "code": param(t, callback, "code"), "state of the consent": param(t, consented, "state"),
		"session": v.cookie("__Host-foyer-connect"), "browser": v.cookie("__Host-foyer-browser"), "administrator": "zebedee", "person": "quux", "script": "<script", "secret of the application": "s3cret"} {
		if _, random, ok := strings.Cut(secret, "."); ok {
			secret = random
		}
		if at := strings.Index(written, strings.ToLower(secret)); at >= 0 {
			t.Errorf("the log has the %s: …%s…", name, written[max(0, at-200):min(len(written), at+100)])
		}
	}
}

// TestConnect_WithoutAConnectorThereIsNothing holds that a server that connects no directories has none of the pages.
func TestConnect_WithoutAConnectorThereIsNothing(t *testing.T) {
	f := foyertest.Start(t)
	for route, a := range routes {
		method, path, _ := strings.Cut(route, " ")
		if !strings.HasPrefix(path, "/connect/") || a.ask != nil {
			continue
		}
		r, err := http.NewRequest(method, f.URL+path, nil)
		must(t, err)
		wantProblem(t, do(t, f.Script, r), http.StatusNotFound, "not-found")
	}
}
