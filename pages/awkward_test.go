package pages_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"foyer"
	"foyer/connect"
	"foyer/entra"
	"foyer/pages"
)

// awkward are pages of states that are rare, with names as long, and written in such letters, as they come.
func awkward(now time.Time) map[string]pages.Page {
	long := strings.Repeat("Donaudampfschifffahrtsgesellschaft", 3)
	sites := []foyer.Site{{ID: 1, Name: "Toronto"}, {ID: 2, Name: long}}
	problems := []foyer.Problem{{Column: "office", Value: long + "/" + long, Message: "offices that are no sites say nothing; make this a site, or an alias of one, if it is"},
		{Column: "email", Value: strings.Repeat("x", 200) + "@acme.com", Message: "this is no email"}, {Message: "something of nobody"}}
	view := func(state foyer.ConnectionState, change func(*connect.View)) *connect.View {
		v := &connect.View{Org: foyer.Org{Name: "شركة المباني العامة " + long}, Visitor: strings.Repeat("somebody.with.a.long.name", 4) + "@" + strings.ToLower(long) + ".example", Sites: sites,
			Site: long, Microsoft: "https://login.microsoftonline.com", SeesGroups: true,
			Connection: foyer.Connection{Tenant: "0b5664b5-e5a1-4741-81f0-dae656f1b2ba", TenantName: "株式会社 " + long, Domains: []string{"acme.com", strings.ToLower(long) + ".example", "مثال.إختبار"}, State: state,
				People: 51234, CheckedAt: now.Add(-26 * time.Hour), NextAt: now.Add(6 * time.Hour), Version: 7}}
		v.Connection.Settings.Groups = []foyer.GroupSite{{Group: "11111111-1111-1111-1111-111111111111", Name: long + " " + long, Site: 2}, {Group: "22222222-2222-2222-2222-222222222222", Name: "All"}}
		if change != nil {
			change(v)
		}
		return v
	}
	counts := foyer.Counts{Rows: 51234, Listed: 49876, Added: 48211, Updated: 1204, Enabled: 3, Disabled: 412, Unchanged: 46, Errors: 2, Warnings: 1377}
	held := func(v *connect.View) {
		v.Plan = &connect.Plan{At: now.Add(-time.Minute), Version: 7, Counts: counts, Held: "would disable 412 of 900 (limit 20%)", Problems: problems}
	}
	return map[string]pages.Page{
		"landing": pages.Landing{Landing: &connect.Landing{Org: foyer.Org{Name: long}, Link: foyer.EntraLink{For: strings.ToLower(long) + ".example", CreatedAt: now}, Site: long, Expires: now.Add(time.Hour),
			Microsoft: "https://login.microsoftonline.us"}, Token: "t", Host: strings.ToLower(long) + ".example", Now: now},
		"landing-of-a-tenant": pages.Landing{Landing: &connect.Landing{Org: foyer.Org{Name: "Acme"}, Link: foyer.EntraLink{For: "0b5664b5-e5a1-4741-81f0-dae656f1b2ba", CreatedAt: now}, Expires: now.Add(time.Minute),
			Microsoft: "https://login.microsoftonline.com"}, Token: "t", Host: "foyer.example.com", Now: now},
		"plan-held": pages.Connection{View: view(foyer.Confirming, held), Now: now, Said: "Saved."},
		"plan-refused": pages.Connection{View: view(foyer.Confirming, func(v *connect.View) {
			v.Plan = &connect.Plan{At: now, Version: 7, Refused: "no row can be used", Problems: problems, Counts: foyer.Counts{Errors: 3}}
		}), Now: now},
		"reading-with-a-problem": pages.Connection{View: view(foyer.Confirming, func(v *connect.View) { v.Connection.Problem = "the Graph asks us to wait" }), Now: now},
		"connected": pages.Connection{View: view(foyer.Connected, func(v *connect.View) {
			v.Last = &foyer.Run{ID: 4711, Status: foyer.Applied, Started: now.Add(-3 * time.Hour), Counts: counts, Problems: problems}
		}), Now: now},
		"settings": pages.Settings{View: view(foyer.Connected, func(v *connect.View) { v.SeesGroups = false }), Settings: view(foyer.Connected, nil).Connection.Settings, Problem: "the group \"" + long + "\" is to be at S-9, which is no site"},
		"groups": pages.Groups{View: view(foyer.Connected, nil), Prefix: long, Found: []entra.Group{{ID: "11111111-1111-1111-1111-111111111111", Name: long + " " + long, Mail: strings.ToLower(long) + "@acme.com"},
			{ID: "33333333-3333-3333-3333-333333333333", Name: "مجموعة"}}},
		"groups-none": pages.Groups{View: view(foyer.Connected, nil), Prefix: "Zzz"},
		"fault":       pages.Failure{Status: 500, Title: "Something went wrong on this side", Message: "something went wrong on this side; nothing was changed. The log has it under request ABCDEFGHIJKL", Cures: []string{"Go back, and try it again."}, Request: "ABCDEFGHIJKL"},
	}
}

// TestBrowser_AwkwardPages holds that whatever names and numbers a page has to show, it stays in the window and in order.
func TestBrowser_AwkwardPages(t *testing.T) {
	all := awkward(time.Date(2026, 11, 25, 9, 30, 0, 0, time.UTC))
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch page := all[strings.TrimPrefix(r.URL.Path, "/")]; {
		case r.URL.Path == pages.StylePath:
			pages.WriteStyle(w)
		case r.URL.Path == pages.IconPath:
			pages.WriteIcon(w)
		case page == nil:
			http.NotFound(w, r)
		default:
			if err := pages.Write(w, http.StatusOK, page); err != nil {
				t.Error(err)
			}
		}
	}))
	defer srv.Close()
	s := newScreen(t)
	s.count = 50
	for name := range all {
		s.open(srv.URL + "/" + name)
		s.look("awkward-" + name)
	}
}
