package pages_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"foyer"
	"foyer/entra/entratest"
	"foyer/foyertest"
	"foyer/server"
)

// accountOf is the button of somebody in Microsoft's list of accounts.
func accountOf(u entratest.User) string { return `button[value="` + u.UserPrincipalName + `"]` }

const (
	accept  = `button[value="accept"]`
	decline = `button[value="cancel"]`
)

// press is the button of an act on the connection's page.
func press(act string) string { return `form:has(input[name=act][value="` + act + `"]) button` }

// tenantOf fills the tenant as one that is in use.
func tenantOf(t *testing.T, m *foyertest.Microsoft) (sales string) {
	t.Helper()
	all := m.Tenant.Populate(640, 7)
	var some []string
	for _, u := range all[:40] {
		some = append(some, u.ID)
	}
	inner := m.Tenant.AddGroup("Sales EMEA", some[20:]...)
	sales = m.Tenant.AddGroup("Sales", append(some[:20:20], inner)...)
	for _, name := range []string{"Salon de thé", "All employees of the Toronto Western District Office and Annex", "IT"} {
		m.Tenant.AddGroup(name, all[0].ID)
	}
	return sales
}

// TestBrowser_TheWholeWay goes from the link to the end of the connection in a real browser, with Microsoft on another site, and looks at every page.
func TestBrowser_TheWholeWay(t *testing.T) {
	m := foyertest.StartMicrosoft(t, server.Config{Limits: server.Limits{Pages: 1 << 20}})
	sales := tenantOf(t, m)
	s := newScreen(t)
	link := m.Link(t, m.Org.ID, foyer.EntraLink{For: "acme.com"})

	s.invited(m, link)
	m.Follow(t)
	m.Connector.Wake()
	s.click(`a[href="/connect/entra/connection"]`)
	s.says("Review what will happen")
	s.do(chromedp.Click(chromedp.CSS(".problems summary")))
	s.look("plan")
	if len(m.Book(t)) > 0 {
		t.Error("somebody is in the book before it was confirmed")
	}
	s.settings(sales)
	s.click(press("confirm"))
	s.says("Acme is connected")
	s.says("added")
	s.look("connected")
	book := m.Book(t)
	if len(book) < 500 {
		t.Errorf("after the first sync the book has %d entries", len(book))
	}
	for _, u := range m.Tenant.Users()[1:41] {
		if e := book[u.Mail]; e != nil && len(e.Sites) != 1 {
			t.Errorf("%s of Sales is at %v", u.Mail, e.Sites)
		}
	}
	s.paused(m)
	s.withdrawn(t, m)
	s.held(m)
	s.ended(m, link)
}

// invited goes from the link to the first reading, by way of a permission that is denied first.
func (s *screen) invited(m *foyertest.Microsoft, link string) {
	s.open(link)
	s.look("landing")
	s.click("button.primary")
	s.says("Pick an account")
	s.picture("90-microsoft-account")
	s.quiet("Microsoft's sign-in")
	s.click(accountOf(m.Admin))
	s.says("Permissions requested")
	s.click(accept) // to be signed in
	s.says("Pick an account")
	s.click(accountOf(m.Admin))
	s.says("Review for your organization")
	s.picture("91-microsoft-permissions")
	s.click(decline)
	s.says("No permission was given")
	s.look("denied")
	s.click("a.button")
	s.says("has to agree")
	s.look("consenting")
	s.click(press("agree"))
	s.click(accountOf(m.Admin))
	s.click(accept)
	s.says("Reading Acme")
	s.look("reading")
	s.click(`a[href$="wait=yes"]`)
	s.says("stays as it is until you look again")
}

// settings changes the settings, in vain first, and puts a group at a site.
func (s *screen) settings(sales string) {
	s.click(`a[href="/connect/entra/settings"]`)
	s.look("settings")
	s.do(chromedp.Click(chromedp.CSS(`input[name=only_groups]`)))
	s.click("button.primary")
	s.says("Nothing was saved")
	s.look("settings-refused")
	s.click(`a[href="/connect/entra/groups"]`)
	s.do(chromedp.SendKeys(chromedp.CSS("#prefix"), "Sal"))
	s.click(".search button")
	s.says("3 groups that begin with")
	s.look("groups")
	s.do(chromedp.SetValue(chromedp.CSS(`select[name="site.`+sales+`"]`), "2"))
	s.click("button.primary")
	s.says("Saved.")
	s.look("settings-with-a-group")
	s.do(chromedp.Click(chromedp.CSS(`input[name=principal_names]`)))
	s.click(`form[action="/connect/entra/set"] button.primary`)
	s.says("Review what will happen")
	s.says("Montréal")
	s.look("plan-with-a-group")
}

// paused pauses the connection and resumes it.
func (s *screen) paused(m *foyertest.Microsoft) {
	s.click(press("pause"))
	s.says("Acme is paused")
	s.look("paused")
	s.click(press("resume"))
	s.says("Acme is connected")
	s.says("Last read")
}

// withdrawn has a reading fail, and then the tenant take the permission back; and agrees again.
func (s *screen) withdrawn(t *testing.T, m *foyertest.Microsoft) {
	stop := m.Fake.Fail(func(r *http.Request) *entratest.Failure {
		if r.URL.Path == "/v1.0/users/delta" {
			return &entratest.Failure{Status: 500}
		}
		return nil
	})
	s.says("follows this directory")
	s.click(press("sync"))
	s.says("did not succeed")
	s.look("connected-with-a-problem")
	stop()
	m.Tenant.Remove(m.App)
	m.Fake.EndTokens()
	m.Clock.Move(time.Second)
	s.click(press("sync"))
	s.says("does not read this directory any more")
	s.look("disconnected")
	s.click(press("agree"))
	s.click(accountOf(m.Admin))
	s.click(accept)
	s.says("follows this directory")
}

// held has most people vanish, which waits for a decision.
func (s *screen) held(m *foyertest.Microsoft) {
	for _, u := range m.Tenant.Users()[200:] {
		m.Tenant.SoftDelete(u.ID)
	}
	s.click(press("sync"))
	s.says("waits for a decision")
	s.look("connected-and-held")
}

// ended disconnects for good.
func (s *screen) ended(m *foyertest.Microsoft, link string) {
	before := len(m.Book(s))
	s.do(chromedp.Click(chromedp.CSS("#leave ~ details summary")))
	s.look("connected-about-to-end")
	s.do(chromedp.Click(chromedp.CSS("input[name=sure]")))
	s.click("button.danger")
	s.says("The directory is disconnected")
	s.look("ended")
	if now := len(m.Book(s)); now != before {
		s.Errorf("the book had %d entries, and has %d", before, now)
	}
	s.open(link)
	s.look("link-used")
	s.open(m.URL + "/connect/entra/connection")
	s.look("visit-ended")
}
