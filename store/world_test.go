package store_test

import (
	"database/sql"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"foyer"
	"foyer/foyertest"
	"foyer/reconcile"
	"foyer/store"
	"foyer/store/storetest"
)

// world is an installation with something in it of everything that can be acted on: Acme has people, a contact, somebody who was erased, a held run, a key that has ended, and alerts; Other is another
// organization. Acme has also a tenant of Microsoft Entra (S-2, by the link 1), and a link that nobody used yet (2).
type world struct {
	*foyertest.Foyer
	t     *testing.T
	other foyer.Org
	ended foyer.KeyID
	spare foyer.KeyID
	token string // of the link 2
	made  int    // of what needs a new name each time
}

// people is a file of n people.
func people(n int) string {
	var b strings.Builder
	b.WriteString("EMAIL,TITLE\n")
	for i := range n {
		fmt.Fprintf(&b, "p%d@test.com,Clerk\n", i)
	}
	return b.String()
}

func startWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Foyer: foyertest.Start(t), t: t}
	w.other = w.NewOrg(t, "Other")
	w.spare = foyer.KeyID(w.NewKey(t, w.Org, store.NewKey{}).ClientID)
	w.ended = foyer.KeyID(w.NewKey(t, w.Org, store.NewKey{}).ClientID)
	w.must(w.Store.RevokeKey(t.Context(), w.Operator, w.Org.ID, w.ended))
	_, err := w.Store.AddContact(t.Context(), w.Operator, w.Org.ID, foyer.Contact{Email: "it@acme.example"})
	w.must(err)
	w.Upload(t, people(20))
	_, err = w.Store.Erase(t.Context(), w.Operator, w.Org.ID, 0, "p19@test.com")
	w.must(err)
	if reply := w.Upload(t, people(6)); reply.Status != http.StatusAccepted {
		t.Fatalf("nothing was held: %d %s", reply.Status, reply.Body)
	}
	_, err = reconcile.Add(t.Context(), w.Store, w.Operator, w.Org.ID, reconcile.Edit{Values: map[foyer.Field]string{foyer.Email: "hand@test.com"}})
	w.must(err)
	w.connect()
	w.Authority.Close() // the use of the key is noted behind the request's back
	return w
}

// connect connects a tenant to Acme, and makes one more link.
func (w *world) connect() {
	w.t.Helper()
	ctx, c, org := w.t.Context(), w.Operator, w.Org.ID
	_, link, err := w.Store.CreateEntraLink(ctx, c, org, foyer.EntraLink{For: "acme.example"})
	w.must(err)
	source, err := w.Store.BindTenant(ctx, c, org, link.ID, store.Tenant{ID: "11111111-0000-4000-8000-000000000001", Name: "Acme Corp", Domains: []string{"acme.example"}})
	w.must(err)
	_, err = w.Store.EditConnection(ctx, c, org, source.ID, "agree", func(c *foyer.Connection) error {
		c.State = foyer.Connected
		return nil
	})
	w.must(err)
	r, err := w.Store.TakeReading(ctx, c)
	w.must(err)
	_, err = w.Store.StoreReading(ctx, c, r, true, "delta", each([][]store.EntraItem{{item("a", "mail=a@acme.example"), item("b", "manager=a")}}))
	w.must(err)
	w.must(w.Store.EndReading(ctx, c, r, store.ReadingEnd{Next: w.Clock.Now()}))
	_, err = w.Store.BeginVisit(ctx, store.Visit{Org: org, Step: store.StepSession, Source: source.ID, Visitor: "visitor"}, "browser")
	w.must(err)
	w.token, _, err = w.Store.CreateEntraLink(ctx, c, org, foyer.EntraLink{For: "beta.example"})
	w.must(err)
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// next returns a name that nothing has yet.
func (w *world) next() string {
	w.made++
	return fmt.Sprint("New ", w.made)
}

// key is a caller with a key of an organization.
func (w *world) key(org foyer.OrgID, id foyer.KeyID, scopes foyer.Scopes) foyer.Caller {
	return foyer.KeyCaller(org, &foyer.Key{ID: id, Source: 1, Scopes: scopes}, 1, scopes, w.Operator.Address)
}

// callers are all kinds of callers of Acme's book.
func (w *world) callers() map[string]foyer.Caller {
	mine := foyer.KeyID(w.Script.ClientID)
	all := foyer.ScopeRead | foyer.ScopeSync
	return map[string]foyer.Caller{
		"nobody": {}, "read": w.key(w.Org.ID, mine, foyer.ScopeRead), "sync": w.key(w.Org.ID, mine, foyer.ScopeSync), "other": w.key(w.other.ID, mine, all), "operator": w.Operator,
		"connector": foyer.PersonCaller("visitor", w.Org.ID, foyer.Connector, nil, w.Operator.Address),
	}
}

// open opens the database beside the store.
func (w *world) open() *sql.DB {
	w.t.Helper()
	db := storetest.Open(w.t, w.Dir)
	w.t.Cleanup(func() { db.Close() })
	return db
}

// state returns all that is in the database, but for what is to be left out.
func (w *world) state(but ...string) string {
	w.t.Helper()
	rows := storetest.Rows(w.t, w.Dir)
	var out strings.Builder
	for _, table := range slices.Sorted(maps.Keys(rows)) {
		if !slices.Contains(but, table) {
			fmt.Fprintf(&out, "%s\n%s\n", table, strings.Join(rows[table], "\n"))
		}
	}
	return out.String()
}

// audit returns the acts noted of Acme, or of an organization.
func (w *world) audit(org foyer.OrgID) (all []foyer.Audit) {
	w.t.Helper()
	w.must(w.Store.Audit(w.t.Context(), w.Operator, org, func(a *foyer.Audit) error {
		all = append(all, *a)
		return nil
	}))
	return all
}
