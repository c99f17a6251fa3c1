package store_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"foyer"
	"foyer/foyertest"
	"foyer/store"
	"foyer/store/storetest"
)

// tenants is an installation of two processes, with two organizations that tenants are connected to.
type tenants struct {
	*store.Store
	beside   *store.Store // another process
	t        *testing.T
	dir      string
	clock    *foyertest.Clock
	operator foyer.Caller
	acme     foyer.OrgID
	other    foyer.OrgID
}

func startTenants(t *testing.T) *tenants {
	t.Helper()
	w := &tenants{t: t, dir: t.TempDir(), clock: foyertest.NewClock(), operator: foyer.Operator("op")}
	w.Store, _ = foyertest.OpenStore(t, w.dir, w.clock.Now)
	w.beside, _ = foyertest.OpenStore(t, w.dir, w.clock.Now)
	for name, id := range map[string]*foyer.OrgID{"Acme": &w.acme, "Other": &w.other} {
		org, err := w.CreateOrg(t.Context(), w.operator, name, "CA")
		w.must(err)
		*id = org.ID
	}
	return w
}

func (w *tenants) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// refused wants an error of a kind.
func (w *tenants) refused(what string, err error, kind foyer.Kind) {
	w.t.Helper()
	if foyer.KindOf(err) != kind || err == nil {
		w.t.Errorf("%s: %v, want %v", what, err, kind)
	}
}

// link makes a link for a domain.
func (w *tenants) link(org foyer.OrgID, link foyer.EntraLink) (token string, id int64) {
	w.t.Helper()
	token, made, err := w.CreateEntraLink(w.t.Context(), w.operator, org, link)
	w.must(err)
	return token, made.ID
}

func (w *tenants) follow(token string) error {
	_, _, err := w.FollowEntraLink(w.t.Context(), token)
	return err
}

func tenantOf(domains ...string) store.Tenant {
	return store.Tenant{ID: "aaaaaaaa-0000-4000-8000-000000000001", Name: "Acme Corp", Domains: domains}
}

func (w *tenants) bind(org foyer.OrgID, link foyer.EntraLink, tenant store.Tenant) (foyer.Source, error) {
	w.t.Helper()
	_, id := w.link(org, link)
	return w.BindTenant(w.t.Context(), w.operator, org, id, tenant)
}

// state returns all that is in the database, but for some tables.
func (w *tenants) state(but ...string) string {
	w.t.Helper()
	var out []string
	for table, rows := range storetest.Rows(w.t, w.dir) {
		if !slices.Contains(but, table) {
			slices.Sort(rows)
			out = append(out, table+"\n"+strings.Join(rows, "\n"))
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

func TestEntraLink_IsFollowedUntilItIsUsed(t *testing.T) {
	w := startTenants(t)
	token, id := w.link(w.acme, foyer.EntraLink{For: "ACME.example", Name: "people", Site: 0})
	for range 2 { // who only looks uses nothing up
		org, link, err := w.FollowEntraLink(t.Context(), token)
		w.must(err)
		if org.ID != w.acme || link.ID != id || link.For != "acme.example" || link.ExpiresAt.Sub(w.clock.Now()).Round(time.Minute) != foyer.LinkLife {
			t.Errorf("%+v %+v", org, link)
		}
	}
	source, err := w.BindTenant(t.Context(), w.operator, w.acme, id, tenantOf("acme.example"))
	w.must(err)
	w.refused("a used link", w.follow(token), foyer.NotFound)
	_, err = w.BindTenant(t.Context(), w.operator, w.acme, id, store.Tenant{ID: "x", Domains: []string{"acme.example"}})
	w.refused("a tenant by a used link", err, foyer.NotFound)
	links, err := w.EntraLinks(t.Context(), w.operator, w.acme)
	w.must(err)
	if len(links) != 1 || links[0].UsedAt.IsZero() || links[0].Source != source.ID || source.Name != "people" || source.Kind != foyer.Entra {
		t.Errorf("%+v %+v", links, source)
	}
}

func TestEntraLink_EndsAfterAtMost72Hours(t *testing.T) {
	w := startTenants(t)
	token, id := w.link(w.acme, foyer.EntraLink{For: "acme.example"})
	w.clock.Move(foyer.LinkLife + time.Second)
	w.refused("an ended link", w.follow(token), foyer.NotFound)
	_, err := w.BindTenant(t.Context(), w.operator, w.acme, id, tenantOf("acme.example"))
	w.refused("a tenant by an ended link", err, foyer.NotFound)
	for _, expires := range []time.Duration{foyer.LinkLife + time.Minute, -time.Minute} {
		_, _, err := w.CreateEntraLink(t.Context(), w.operator, w.acme, foyer.EntraLink{For: "acme.example", ExpiresAt: w.clock.Now().Add(expires)})
		w.refused(fmt.Sprint("a link for ", expires), err, foyer.Invalid)
	}
	token, _ = w.link(w.acme, foyer.EntraLink{For: "acme.example", ExpiresAt: w.clock.Now().Add(time.Hour)})
	w.clock.Move(61 * time.Minute)
	w.refused("a link for an hour", w.follow(token), foyer.NotFound)
}

func TestEntraLink_OtherTokensAreAllAlike(t *testing.T) {
	w := startTenants(t)
	token, _ := w.link(w.acme, foyer.EntraLink{For: "acme.example"})
	revoked, id := w.link(w.acme, foyer.EntraLink{For: "acme.example"})
	w.must(w.RevokeEntraLink(t.Context(), w.operator, w.acme, id))
	w.refused("revoked twice", w.RevokeEntraLink(t.Context(), w.operator, w.acme, id), foyer.NotFound)
	w.refused("another's link", w.RevokeEntraLink(t.Context(), w.operator, w.other, 1), foyer.NotFound)
	_, random, _ := strings.Cut(token, ".")
	said := map[string]bool{}
	for _, wrong := range []string{"", ".", random, "." + random, string(w.other) + "." + random, "zzzzzz." + random, "*." + random, "'zzzzz." + random, string(w.acme) + "." + random[:42] + "\x00",
		token[:len(token)-1], token + "A", revoked, strings.ToUpper(token)} {
		err := w.follow(wrong)
		w.refused(fmt.Sprintf("the token %q", wrong), err, foyer.NotFound)
		said[fmt.Sprint(err)] = true
	}
	if len(said) != 1 {
		t.Errorf("they can be told apart: %v", said)
	}
	w.must(w.follow(token))
	if all := w.state(); strings.Contains(all, random) {
		t.Error("the token is in the database")
	}
}

func TestEntraLink_IsForADomainOrATenant(t *testing.T) {
	w := startTenants(t)
	for _, wrong := range []string{"", " ", "acme", "https://acme.example", "ann@acme.example", "acme example.com", "a\x00.example", strings.Repeat("a.", 200) + "b", "aaaaaaaa-0000-4000-8000-00000000000z"} {
		_, _, err := w.CreateEntraLink(t.Context(), w.operator, w.acme, foyer.EntraLink{For: wrong})
		w.refused(fmt.Sprintf("a link for %q", wrong), err, foyer.Invalid)
	}
	_, _, err := w.CreateEntraLink(t.Context(), w.operator, w.acme, foyer.EntraLink{For: "acme.example", Site: 9})
	w.refused("a link for a site that is not there", err, foyer.NotFound)
	_, _, err = w.CreateEntraLink(t.Context(), w.operator, "zzzzzz", foyer.EntraLink{For: "acme.example"})
	w.refused("a link of no organization", err, foyer.NotFound)
	for link, allowed := range map[foyer.EntraLink]bool{
		{For: "acme.example"}: true, {For: "sub.acme.example"}: false, {For: "ACME.EXAMPLE"}: true, {For: "AAAAAAAA-0000-4000-8000-000000000001"}: true,
		{For: "bbbbbbbb-0000-4000-8000-000000000001"}: false, {AnyTenant: true}: true, {For: "eve.example", AnyTenant: true}: true,
	} {
		w := startTenants(t)
		token, id := w.link(w.acme, link)
		before := w.state()
		source, err := w.BindTenant(t.Context(), w.operator, w.acme, id, tenantOf("Acme.Example", "acme.onmicrosoft.example"))
		if allowed {
			w.must(err)
			continue
		}
		w.refused(fmt.Sprintf("%+v", link), err, foyer.Forbidden)
		if w.state() != before || source.ID != 0 {
			t.Errorf("%+v: something was written: %+v", link, source)
		}
		w.must(w.follow(token)) // the right account may try again
	}
}

// TestEntraLink_OnlyTheOperatorSaysThatATenantIsAnybodys holds that who administers an organization cannot make a link by which another's tenant comes to it.
func TestEntraLink_OnlyTheOperatorSaysThatATenantIsAnybodys(t *testing.T) {
	w := startTenants(t)
	admin := foyer.PersonCaller("ann", w.acme, foyer.AccountAdministrator, nil, w.operator.Address)
	for _, link := range []foyer.EntraLink{{For: "acme.example", Shared: true}, {AnyTenant: true}} {
		_, _, err := w.CreateEntraLink(t.Context(), admin, w.acme, link)
		w.refused(fmt.Sprintf("%+v", link), err, foyer.Forbidden)
	}
	_, _, err := w.CreateEntraLink(t.Context(), admin, w.acme, foyer.EntraLink{For: "acme.example"})
	w.must(err)
}

func TestBindTenant_ATenantIsOneOrganizations(t *testing.T) {
	w := startTenants(t)
	plain, shared := foyer.EntraLink{For: "acme.example"}, foyer.EntraLink{For: "acme.example", Shared: true}
	first, err := w.bind(w.acme, plain, tenantOf("acme.example"))
	w.must(err)
	_, err = w.bind(w.acme, shared, tenantOf("acme.example"))
	w.refused("here already", err, foyer.Conflict)
	upper := tenantOf("acme.example")
	upper.ID = strings.ToUpper(upper.ID)
	_, err = w.bind(w.other, plain, upper)
	w.refused("elsewhere", err, foyer.Conflict)
	if strings.Contains(err.Error(), string(w.acme)) || strings.Contains(err.Error(), `"Acme"`) {
		t.Errorf("it tells where: %v", err)
	}
	if sources, err := w.Sources(t.Context(), w.operator, w.other); err != nil || len(sources) != 0 {
		t.Errorf("the sources are %+v, %v", sources, err)
	}
	_, err = w.bind(w.other, shared, tenantOf("acme.example"))
	w.must(err)
	w.disconnect(w.acme, first.ID)
	_, err = w.bind(w.acme, plain, tenantOf("acme.example"))
	w.refused("shared, but not with this one", err, foyer.Conflict)
	again, err := w.bind(w.acme, shared, tenantOf("acme.example"))
	w.must(err)
	if again.Name != "entra 2" {
		t.Errorf("the source is called %q", again.Name)
	}
}

func (w *tenants) disconnect(org foyer.OrgID, source foyer.SourceID) {
	w.t.Helper()
	w.edit(org, source, "disconnect", func(c *foyer.Connection) { c.State = foyer.Removed })
}

func (w *tenants) edit(org foyer.OrgID, source foyer.SourceID, act string, edit func(*foyer.Connection)) foyer.Connection {
	w.t.Helper()
	c, err := w.EditConnection(w.t.Context(), w.operator, org, source, act, func(c *foyer.Connection) error { edit(c); return nil })
	w.must(err)
	return c
}

// TestBindTenant_OfTwoAtOnceOneWins holds it for two who come by one link, and for two organizations.
func TestBindTenant_OfTwoAtOnceOneWins(t *testing.T) {
	w := startTenants(t)
	_, id := w.link(w.acme, foyer.EntraLink{For: "acme.example"})
	_, there := w.link(w.other, foyer.EntraLink{For: "acme.example"})
	var all sync.WaitGroup
	won := make(chan foyer.OrgID, 8)
	for i := range 8 {
		org, link, s := w.acme, id, w.Store
		if i%2 == 1 {
			org, link, s = w.other, there, w.beside
		}
		all.Go(func() {
			_, err := s.BindTenant(context.Background(), w.operator, org, link, tenantOf("acme.example"))
			if kind := foyer.KindOf(err); err == nil {
				won <- org
			} else if kind != foyer.Conflict && kind != foyer.NotFound {
				t.Errorf("it failed: %v", err)
			}
		})
	}
	all.Wait()
	if len(won) != 1 {
		t.Errorf("%d won", len(won))
	}
	connections := 0
	for _, org := range []foyer.OrgID{w.acme, w.other} {
		all, err := w.Connections(t.Context(), w.operator, org)
		w.must(err)
		connections += len(all)
	}
	if connections != 1 {
		t.Errorf("there are %d connections", connections)
	}
}

// TestBindTenant_TakesNoTextOnTrust holds that both databases take whatever a tenant says of itself.
func TestBindTenant_TakesNoTextOnTrust(t *testing.T) {
	w := startTenants(t)
	link := foyer.EntraLink{For: "acme.example"}
	_, err := w.bind(w.acme, link, store.Tenant{Domains: []string{"acme.example"}})
	w.refused("a tenant without an id", err, foyer.Invalid)
	source, err := w.bind(w.acme, link, store.Tenant{ID: "x\x00", Name: "Ren\xe9\x00\n" + strings.Repeat("é", 3000), Domains: []string{"", "Acme.Example\x00"}})
	w.must(err)
	all, err := w.Connections(t.Context(), w.operator, w.acme)
	w.must(err)
	if c := all[0]; c.Source != source.ID || c.Tenant != "x" || !strings.HasPrefix(c.TenantName, "Ren\uFFFD é") || len(c.TenantName) > 200 || !slices.Equal(c.Domains, []string{"acme.example"}) || c.State != foyer.Consenting {
		t.Errorf("%+v", c)
	}
	var many []string
	for i := range 900 {
		many = append(many, fmt.Sprint("d", i, ".example"))
	}
	_, err = w.bind(w.acme, link, store.Tenant{ID: "y", Name: "Many", Domains: many})
	if foyer.KindOf(err) != foyer.Forbidden || !strings.Contains(err.Error(), "d4.example and 895 more)") {
		t.Errorf("the error is %v", err)
	}
}

func (w *tenants) visit(v store.Visit, browser string) string {
	w.t.Helper()
	v.Org = w.acme
	token, err := w.BeginVisit(w.t.Context(), v, browser)
	w.must(err)
	return token
}

func TestVisit_AStateIsTakenOnceByItsBrowserAndForItsStep(t *testing.T) {
	w := startTenants(t)
	_, id := w.link(w.acme, foyer.EntraLink{For: "acme.example"})
	state := w.visit(store.Visit{Step: store.StepSignIn, Link: id, Visitor: "ann@acme.example"}, "browser")
	take := func(token, step, browser string) error {
		v, err := w.TakeVisit(t.Context(), token, step, browser)
		if err != nil && v != (store.Visit{}) {
			t.Errorf("who is refused is told %+v", v)
		}
		return err
	}
	_, random, _ := strings.Cut(state, ".")
	w.refused("another browser", take(state, store.StepSignIn, "another"), foyer.Forbidden)
	w.refused("no browser", take(state, store.StepSignIn, ""), foyer.Forbidden)
	w.refused("another step", take(state, store.StepConsent, "browser"), foyer.Forbidden)
	w.refused("a session", take(state, store.StepSession, "browser"), foyer.Forbidden)
	w.refused("another organization", take(string(w.other)+"."+random, store.StepSignIn, "browser"), foyer.Forbidden)
	w.refused("no state", take("", store.StepSignIn, "browser"), foyer.Forbidden)
	v, err := w.beside.TakeVisit(t.Context(), state, store.StepSignIn, "browser") // by another process
	w.must(err)
	if v.Org != w.acme || v.Link != id || v.Visitor != "ann@acme.example" {
		t.Errorf("%+v", v)
	}
	w.refused("twice", take(state, store.StepSignIn, "browser"), foyer.Forbidden)
	late := w.visit(store.Visit{Step: store.StepConsent, Source: 1}, "browser")
	w.clock.Move(10*time.Minute + time.Second)
	w.refused("late", take(late, store.StepConsent, "browser"), foyer.Forbidden)
	if strings.Contains(w.state(), random) {
		t.Error("the state is in the database")
	}
	if _, err := w.BeginVisit(t.Context(), store.Visit{Org: w.acme, Step: store.StepSignIn, Link: id}, ""); err == nil {
		t.Error("a visit of no browser began")
	}
}

// TestVisit_OfTwoAtOnceOneTakesTheState holds that a state that comes back twice at the same moment is good once.
func TestVisit_OfTwoAtOnceOneTakesTheState(t *testing.T) {
	w := startTenants(t)
	for range 5 {
		state := w.visit(store.Visit{Step: store.StepConsent, Source: 1}, "browser")
		var all sync.WaitGroup
		taken := make(chan bool, 8)
		for range 8 {
			all.Go(func() {
				_, err := w.TakeVisit(context.Background(), state, store.StepConsent, "browser")
				if err == nil {
					taken <- true
				} else if foyer.KindOf(err) != foyer.Forbidden {
					t.Errorf("it failed: %v", err)
				}
			})
		}
		all.Wait()
		if len(taken) != 1 {
			t.Fatalf("it was taken %d times", len(taken))
		}
	}
}

func TestVisit_NeedsALinkThatCanBeUsed(t *testing.T) {
	w := startTenants(t)
	_, id := w.link(w.acme, foyer.EntraLink{For: "acme.example"})
	w.must(w.RevokeEntraLink(t.Context(), w.operator, w.acme, id))
	_, err := w.BeginVisit(t.Context(), store.Visit{Org: w.acme, Step: store.StepSignIn, Link: id}, "browser")
	w.refused("a visit by a revoked link", err, foyer.NotFound)
}

func TestVisit_SessionsEnd(t *testing.T) {
	w := startTenants(t)
	source, err := w.bind(w.acme, foyer.EntraLink{For: "acme.example"}, tenantOf("acme.example"))
	w.must(err)
	begin := func() string {
		return w.visit(store.Visit{Step: store.StepSession, Source: source.ID, Visitor: "ann"}, "browser")
	}
	look := func(token, browser string) error {
		v, err := w.Session(t.Context(), token, browser)
		if err == nil && (v.Org != w.acme || v.Source != source.ID || v.Visitor != "ann") {
			t.Errorf("%+v", v)
		}
		return err
	}
	cookie, state := begin(), w.visit(store.Visit{Step: store.StepConsent, Source: source.ID}, "browser")
	w.must(look(cookie, "browser"))
	w.must(look(cookie, "browser"))
	w.refused("another browser", look(cookie, "another"), foyer.Unauthenticated)
	w.refused("a state as a cookie", look(state, "browser"), foyer.Unauthenticated)
	w.refused("nothing", look("", ""), foyer.Unauthenticated)
	w.clock.Move(12*time.Hour + time.Second)
	w.refused("late", look(cookie, "browser"), foyer.Unauthenticated)
	cookie = begin()
	w.disconnect(w.acme, source.ID)
	w.refused("disconnected", look(cookie, "browser"), foyer.Unauthenticated)
}

// TestPrune_LinksAndVisitsThatEnded holds that they do not pile up.
func TestPrune_LinksAndVisitsThatEnded(t *testing.T) {
	w := startTenants(t)
	w.link(w.acme, foyer.EntraLink{For: "acme.example"})
	w.visit(store.Visit{Step: store.StepSession, Source: 1}, "browser")
	prune := func(links, visits int) {
		t.Helper()
		w.must(w.Prune(t.Context(), w.operator, 90*24*time.Hour))
		rows := storetest.Rows(t, w.dir)
		if len(rows["entra_link"]) != links || len(rows["entra_visit"]) != visits {
			t.Errorf("%d links and %d visits are left, want %d and %d", len(rows["entra_link"]), len(rows["entra_visit"]), links, visits)
		}
	}
	prune(1, 1)
	w.clock.Move(13 * time.Hour)
	prune(1, 0)
	w.clock.Move(20 * 24 * time.Hour)
	prune(1, 0)
	w.clock.Move(14 * 24 * time.Hour)
	prune(0, 0)
}
