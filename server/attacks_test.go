package server_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
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

// victim is an organization, its tenant, and somebody on the way to connect the two.
type victim struct {
	*person
	org    foyer.Org
	tenant *entratest.Tenant
	admin  entratest.User
	domain string
	link   string
}

var victims int

// newVictim makes one beside those that are there.
func newVictim(t *testing.T, m *foyertest.Microsoft) *victim {
	t.Helper()
	victims++
	v := &victim{person: newPerson(t, m), domain: fmt.Sprintf("v%d.example", victims)}
	v.org = m.NewOrg(t, fmt.Sprintf("Victim %d", victims))
	v.tenant = m.Fake.Tenant(fmt.Sprintf("Tenant %d", victims), v.domain)
	v.admin = v.tenant.Add(entratest.User{Mail: "root@" + v.domain, Role: entratest.GlobalAdministrator})
	v.link = m.Link(t, v.org.ID, foyer.EntraLink{For: v.domain})
	return v
}

// callback is where Microsoft's sign-in leads v back to.
func (v *victim) callback() string {
	v.Helper()
	return v.signIn(v.link, v.admin)
}

// consent is where the consent leads v back to, once v has signed in.
func (v *victim) consent(w entratest.Walk) string {
	v.Helper()
	return v.walk(v.leads(v.get(v.callback())), w)
}

// altered returns an address with another value of a parameter; "" takes it out.
func altered(t *testing.T, address, name, value string) string {
	t.Helper()
	u, err := url.Parse(address)
	must(t, err)
	query := u.Query()
	query.Set(name, value)
	if value == "" {
		query.Del(name)
	}
	u.RawQuery = query.Encode()
	return u.String()
}

func param(t *testing.T, address, name string) string {
	t.Helper()
	u, err := url.Parse(address)
	must(t, err)
	return u.Query().Get(name)
}

// attacks each do something that must be refused. They prepare it, and return what is done at last, by whom.
var attacks = map[string]struct {
	prepare func(t *testing.T, m *foyertest.Microsoft, v *victim) (by *person, address string)
	status  int
	silent  bool // it names no organization in whose audit it could be
}{
	"state of another's sign-in": {prepare: func(t *testing.T, m *foyertest.Microsoft, v *victim) (*person, string) {
		mallory := newVictim(t, m)
		return mallory.person, altered(t, mallory.callback(), "state", param(t, v.begin(v.link), "state"))
	}},
	"another's sign-in, in this browser": {prepare: func(t *testing.T, m *foyertest.Microsoft, v *victim) (*person, string) {
		mallory := newVictim(t, m)
		v.callback()
		v.org = mallory.org // whose state it is, in whose audit it is noted
		return v.person, mallory.callback()
	}},
	"another's code, with our state": {prepare: func(t *testing.T, m *foyertest.Microsoft, v *victim) (*person, string) {
		mallory := newVictim(t, m)
		return v.person, altered(t, v.callback(), "code", param(t, mallory.callback(), "code"))
	}},
	"state, again": {prepare: func(t *testing.T, m *foyertest.Microsoft, v *victim) (*person, string) {
		address := v.callback()
		v.leads(v.get(address))
		return v.person, address
	}},
	"code, again, with a fresh state": {prepare: func(t *testing.T, m *foyertest.Microsoft, v *victim) (*person, string) {
		address := v.callback()
		v.get(altered(t, address, "code", "x")) // the state is used up, the code is not
		return v.person, altered(t, address, "state", param(t, v.begin(v.link), "state"))
	}},
	"no state": {silent: true, prepare: func(t *testing.T, m *foyertest.Microsoft, v *victim) (*person, string) {
		return v.person, altered(t, v.callback(), "state", "")
	}},
	"two states": {silent: true, prepare: func(t *testing.T, m *foyertest.Microsoft, v *victim) (*person, string) {
		address := v.callback()
		return v.person, address + "&state=" + param(t, address, "state")
	}},
	"state that is too old": {prepare: func(t *testing.T, m *foyertest.Microsoft, v *victim) (*person, string) {
		address := v.callback()
		m.Clock.Move(10 * time.Minute)
		return v.person, address
	}},
	"state that was made up": {prepare: func(t *testing.T, m *foyertest.Microsoft, v *victim) (*person, string) {
		return v.person, altered(t, v.callback(), "state", string(v.org.ID)+"."+strings.Repeat("A", 43))
	}},
	"another browser": {prepare: func(t *testing.T, m *foyertest.Microsoft, v *victim) (*person, string) {
		address := v.callback()
		other := newPerson(t, m)
		other.begin(v.link)
		return other, address
	}},
	"a browser without cookies": {prepare: func(t *testing.T, m *foyertest.Microsoft, v *victim) (*person, string) {
		return newPerson(t, m), v.callback()
	}},
	"state of the sign-in, at the consent": {prepare: func(t *testing.T, m *foyertest.Microsoft, v *victim) (*person, string) {
		state := param(t, v.callback(), "state")
		return v.person, m.URL + connect.AgreedPath + "?admin_consent=True&tenant=" + v.tenant.ID + "&state=" + state
	}},
	"state of the consent, at the sign-in": {prepare: func(t *testing.T, m *foyertest.Microsoft, v *victim) (*person, string) {
		state := param(t, v.leads(v.get(v.callback())), "state")
		return v.person, m.URL + connect.SignedInPath + "?code=1&state=" + state
	}},
	"session as a state": {prepare: func(t *testing.T, m *foyertest.Microsoft, v *victim) (*person, string) {
		v.get(v.callback())
		return v.person, m.URL + connect.AgreedPath + "?admin_consent=True&tenant=" + v.tenant.ID + "&state=" + url.QueryEscape(v.cookie("__Host-foyer-connect"))
	}},
	"consent that names another tenant": {prepare: func(t *testing.T, m *foyertest.Microsoft, v *victim) (*person, string) {
		other := m.Fake.Tenant("Rich", "rich.example")
		other.Consent(m.App)
		return v.person, altered(t, v.consent(entratest.Walk{Account: v.admin}), "tenant", other.ID)
	}},
	"consent that names two tenants": {prepare: func(t *testing.T, m *foyertest.Microsoft, v *victim) (*person, string) {
		return v.person, v.consent(entratest.Walk{Account: v.admin}) + "&tenant=" + m.Tenant.ID
	}},
	"consent that was denied, though it says True": {prepare: func(t *testing.T, m *foyertest.Microsoft, v *victim) (*person, string) {
		address := v.consent(entratest.Walk{Account: v.admin, Decline: true})
		if param(t, address, "admin_consent") != "True" || param(t, address, "error") == "" {
			t.Fatalf("the denial is %s", address)
		}
		return v.person, address
	}},
	"consent that nobody gave": {prepare: func(t *testing.T, m *foyertest.Microsoft, v *victim) (*person, string) {
		state := param(t, v.leads(v.get(v.callback())), "state")
		return v.person, m.URL + connect.AgreedPath + "?admin_consent=True&tenant=" + v.tenant.ID + "&state=" + state
	}},
	"sign-in that was called off": {prepare: func(t *testing.T, m *foyertest.Microsoft, v *victim) (*person, string) {
		state := param(t, v.begin(v.link), "state")
		return v.person, m.URL + connect.SignedInPath + "?error=access_denied&error_description=AADSTS65004&state=" + state
	}},
	"tenant that is another organization's": {status: http.StatusConflict, prepare: func(t *testing.T, m *foyertest.Microsoft, v *victim) (*person, string) {
		v.get(v.callback())
		second := newVictim(t, m)
		v.org, v.link = second.org, m.Link(t, second.org.ID, foyer.EntraLink{For: v.domain})
		return v.person, v.callback()
	}},
	"tenant without the link's domain": {prepare: func(t *testing.T, m *foyertest.Microsoft, v *victim) (*person, string) {
		return v.person, v.signIn(v.link, newVictim(t, m).admin)
	}},
	"tenant that claims the link's domain": {prepare: func(t *testing.T, m *foyertest.Microsoft, v *victim) (*person, string) {
		mallory := newVictim(t, m)
		mallory.tenant.AddDomain(entratest.Domain{Name: v.domain, Unverified: true})
		return v.person, v.signIn(v.link, mallory.admin)
	}},
	"guest of the tenant, signed in at home": {prepare: func(t *testing.T, m *foyertest.Microsoft, v *victim) (*person, string) {
		mallory := newVictim(t, m)
		v.tenant.Add(entratest.User{Mail: mallory.admin.Mail, UserPrincipalName: "x#EXT#@" + v.domain, UserType: "Guest"})
		return v.person, v.signIn(v.link, mallory.admin)
	}},
	"link for one tenant, used for another": {prepare: func(t *testing.T, m *foyertest.Microsoft, v *victim) (*person, string) {
		v.link = m.Link(t, v.org.ID, foyer.EntraLink{For: v.tenant.ID})
		return v.person, v.signIn(v.link, newVictim(t, m).admin)
	}},
	"link that somebody else used first": {status: http.StatusNotFound, prepare: func(t *testing.T, m *foyertest.Microsoft, v *victim) (*person, string) {
		late := newPerson(t, m)
		address := late.signIn(v.link, v.admin)
		v.get(v.callback())
		return late, address
	}},
	"link that was taken back meanwhile": {status: http.StatusForbidden, prepare: func(t *testing.T, m *foyertest.Microsoft, v *victim) (*person, string) {
		address := v.callback()
		links, err := m.Store.EntraLinks(t.Context(), m.Operator, v.org.ID)
		must(t, err)
		must(t, m.Store.RevokeEntraLink(t.Context(), m.Operator, v.org.ID, links[0].ID))
		return v.person, address
	}},
	"link that ended meanwhile": {status: http.StatusNotFound, prepare: func(t *testing.T, m *foyertest.Microsoft, v *victim) (*person, string) {
		m.Clock.Move(foyer.LinkLife - 5*time.Minute)
		address := v.callback()
		m.Clock.Move(5 * time.Minute)
		return v.person, address
	}},
}

func (p *person) cookie(name string) string {
	p.Helper()
	u, err := url.Parse(p.URL)
	must(p.T, err)
	for _, c := range p.client.Jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	p.Fatalf("the browser has no cookie %s", name)
	return ""
}

// touched are the tables that an attack may touch: the state is used up, and the refusal is noted.
var touched = []string{"entra_visit", "audit", "audit_head"}

// dump returns what is in the database, but for the state of visits and the audit.
func dump(t *testing.T, m *foyertest.Microsoft) map[string][]string {
	t.Helper()
	rows := storetest.Rows(t, m.Dir)
	for _, name := range touched {
		delete(rows, name)
	}
	return rows
}

func wantSame(t *testing.T, before, after map[string][]string) {
	t.Helper()
	for _, table := range slices.Sorted(maps.Keys(after)) {
		if !slices.Equal(before[table], after[table]) {
			t.Errorf("the table %s changed:\n%s\n%s", table, strings.Join(before[table], "\n"), strings.Join(after[table], "\n"))
		}
	}
}

// refusals returns how many are in the audit of an organization.
func refusals(t *testing.T, m *foyertest.Microsoft, org foyer.OrgID) (n int) {
	t.Helper()
	must(t, m.Store.Audit(t.Context(), m.Operator, org, func(a *foyer.Audit) error {
		if a.Act == "entra.refuse" {
			n++
		}
		return nil
	}))
	return n
}

// wantAttackRefused does what an attack does at last, and checks that it is refused, written nowhere, and noted.
func wantAttackRefused(t *testing.T, m *foyertest.Microsoft, v *victim, by *person, address string, status int, silent bool) {
	t.Helper()
	before, noted := dump(t, m), refusals(t, m, v.org.ID)
	page := by.get(address)
	wantPage(t, page, status)
	if location := page.header.Get("Location"); location != "" {
		t.Errorf("it leads to %s", location)
	}
	wantSame(t, before, dump(t, m))
	want := noted + 1
	if silent {
		want = noted
	}
	if got := refusals(t, m, v.org.ID); got != want {
		t.Errorf("the audit has %d refusals, want %d", got, want)
	}
	for _, secret := range []string{param(t, address, "state"), param(t, address, "code")} {
		if len(secret) > 8 && strings.Contains(page.body, secret) {
			t.Error("the page says the state, or the code")
		}
	}
}

func TestConnect_Attacks(t *testing.T) {
	m := foyertest.StartMicrosoft(t, server.Config{Limits: server.Limits{Pages: 1 << 20}})
	for name, attack := range attacks {
		t.Run(name, func(t *testing.T) {
			v := newVictim(t, m)
			by, address := attack.prepare(t, m, v)
			status := attack.status
			if status == 0 {
				status = http.StatusForbidden
			}
			wantAttackRefused(t, m, v, by, address, status, attack.silent)
		})
	}
}

// TestConnect_SpoiledIDTokens holds that whatever is wrong with an ID token, nothing comes of it; and that the link is as good as before.
func TestConnect_SpoiledIDTokens(t *testing.T) {
	m := foyertest.StartMicrosoft(t, server.Config{Limits: server.Limits{Pages: 1 << 20}})
	v := newVictim(t, m)
	for _, wrong := range entratest.Wrongs() {
		t.Run(string(wrong), func(t *testing.T) {
			v.T = t
			m.Fake.SpoilIDTokens(wrong)
			defer m.Fake.SpoilIDTokens(entratest.Nothing)
			wantAttackRefused(t, m, v, v.person, v.callback(), http.StatusForbidden, false)
		})
	}
	v.T = t
	v.leads(v.get(v.callback()))
}

// TestConnect_FormsOfOtherSites holds that no other site's page can send a form, whatever the browser brings along.
func TestConnect_FormsOfOtherSites(t *testing.T) {
	m := foyertest.StartMicrosoft(t, server.Config{})
	p := newPerson(t, m)
	link := p.link()
	p.arrive(link)
	for name, from := range map[string]func(*http.Request){
		"another site":       func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"a neighbouring one": func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
		"an older browser":   func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "https://evil.example") },
		"nobody's page":      func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "null") },
	} {
		for path, form := range map[string]url.Values{
			"/connect/entra/begin": {"link": {param(t, p.link(), "link")}},
			"/connect/entra/act":   {"act": {"confirm"}, "version": {"3"}},
			"/connect/entra/set":   {"part": {"all"}, "every": {"5m"}},
		} {
			before := dump(t, m)
			visits := len(storetest.Rows(t, m.Dir)["entra_visit"])
			wantPage(t, p.post(path, form, from), http.StatusForbidden, "from the page of another site")
			wantSame(t, before, dump(t, m))
			if now := len(storetest.Rows(t, m.Dir)["entra_visit"]); now != visits {
				t.Errorf("%s, %s: a visit was begun", name, path)
			}
		}
	}
}
