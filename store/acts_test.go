package store_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"foyer"
	"foyer/reconcile"
	"foyer/store"
	"foyer/store/storetest"
)

// audited is an act and the row that it leaves.
type audited struct {
	target string // the beginning of it
	detail string // something in it
	do     func(w *world, c foyer.Caller) error
	also   string // another act that comes with it
	all    bool   // it concerns every organization
	fresh  bool   // it makes the organization whose audit has it
}

// acts are all that the audit notes.
var acts = map[string]audited{
	"org.create": {target: "", detail: "slug=new-", fresh: true, do: func(w *world, c foyer.Caller) error {
		_, err := w.Store.CreateOrg(w.t.Context(), c, w.next(), "CA")
		return err
	}},
	"org.allow": {target: "", detail: "addresses=203.0.113.0/24 log_only=true", do: func(w *world, c foyer.Caller) error {
		list, err := foyer.ParseAllowed([]string{"203.0.113.0/24"})
		w.must(err)
		return w.Store.AllowOrg(w.t.Context(), c, w.Org.ID, foyer.Allowed{Prefixes: list, LogOnly: true})
	}},
	"site.create": {target: "L-3", do: func(w *world, c foyer.Caller) error {
		_, err := w.Store.CreateSite(w.t.Context(), c, w.Org.ID, foyer.Site{Name: w.next()})
		return err
	}},
	"site.edit": {target: "L-1", do: func(w *world, c foyer.Caller) error {
		_, err := w.Store.EditSite(w.t.Context(), c, w.Org.ID, 1, func(s *foyer.Site) { s.Name = w.next() })
		return err
	}},
	"source.create": {target: "S-3", detail: "guard=", do: func(w *world, c foyer.Caller) error {
		_, err := w.Store.CreateSource(w.t.Context(), c, w.Org.ID, foyer.Source{Name: w.next(), Kind: foyer.CSV})
		return err
	}},
	"source.edit": {target: "S-1", detail: "priority=7", do: func(w *world, c foyer.Caller) error {
		_, err := w.Store.EditSource(w.t.Context(), c, w.Org.ID, 1, func(s *foyer.Source) { s.Priority = 7 })
		return err
	}},
	"key.create": {target: "fk_", detail: "source=S-1 scopes=sync", do: func(w *world, c foyer.Caller) error {
		made := w.Authority.NewCredentials(w.Org.ID)
		_, _, err := w.Store.CreateKey(w.t.Context(), c, w.Org.ID, store.NewKey{ID: made.ID, SecretMAC: made.SecretMAC, Scopes: foyer.ScopeSync})
		return err
	}},
	"key.rotate": {target: "fk_", detail: "secret=2 overlap=1h0m0s", do: func(w *world, c foyer.Caller) error {
		_, err := w.Store.RotateKey(w.t.Context(), c, w.Org.ID, w.spare, []byte("x"), time.Hour)
		return err
	}},
	"key.allow": {target: "fk_", detail: "addresses= log_only=false", do: func(w *world, c foyer.Caller) error {
		_, err := w.Store.AllowKey(w.t.Context(), c, w.Org.ID, w.spare, foyer.Allowed{})
		return err
	}},
	"key.revoke": {target: "fk_", do: func(w *world, c foyer.Caller) error { return w.Store.RevokeKey(w.t.Context(), c, w.Org.ID, w.spare) }},
	"key.delete": {target: "fk_", do: func(w *world, c foyer.Caller) error { return w.Store.DeleteKey(w.t.Context(), c, w.Org.ID, w.ended) }},
	"token.revoke": {target: "fk_", do: func(w *world, _ foyer.Caller) error {
		return w.Store.RevokeToken(w.t.Context(), w.callers()["sync"], []byte(w.next()), w.Clock.Now().Add(time.Hour))
	}},
	"contact.add": {do: func(w *world, c foyer.Caller) error {
		_, err := w.Store.AddContact(w.t.Context(), c, w.Org.ID, foyer.Contact{Email: "other@acme.example"})
		return err
	}},
	"contact.remove": {do: func(w *world, c foyer.Caller) error {
		return w.Store.RemoveContact(w.t.Context(), c, w.Org.ID, "it@acme.example")
	}},
	"run.sync": {target: "R-5", also: "run.supersede", detail: "source=S-1 status=applied added=1", do: func(w *world, c foyer.Caller) error { return deliver(w, c, 21) }},
	"run.edit": {target: "R-5", detail: "entry=E-", do: func(w *world, c foyer.Caller) error { return edit(w, c, "p1@test.com", "Boss") }},
	"run.join": {target: "R-5", detail: "entry=E-", do: func(w *world, c foyer.Caller) error { return join(w, c) }},
	"run.undo": {target: "R-5", detail: "of=R-1", do: func(w *world, c foyer.Caller) error { return undo(w, c, 1) }},
	"run.end":  {target: "R-5", detail: "source=S-1", do: func(w *world, c foyer.Caller) error { return end(w, c) }},
	"run.reject": {target: "R-3", do: func(w *world, c foyer.Caller) error {
		_, err := w.Store.Reject(w.t.Context(), c, w.Org.ID, 3)
		return err
	}},
	"run.lapse": {target: "R-3", do: func(w *world, c foyer.Caller) error {
		w.Clock.Move(8 * 24 * time.Hour)
		return w.Store.LapseHeld(w.t.Context(), c)
	}},
	"entry.erase": {target: "R-5", detail: "E-", do: func(w *world, c foyer.Caller) error {
		_, err := w.Store.Erase(w.t.Context(), c, w.Org.ID, 0, "p2@test.com")
		return err
	}},
	"entry.forget": {do: func(w *world, c foyer.Caller) error {
		return w.Store.Forget(w.t.Context(), c, w.Org.ID, "p19@test.com")
	}},
	"entra.link": {target: "link-3", detail: "for=gamma.example any=false site=L-0 shared=false", do: func(w *world, c foyer.Caller) error {
		_, _, err := w.Store.CreateEntraLink(w.t.Context(), c, w.Org.ID, foyer.EntraLink{For: "gamma.example"})
		return err
	}},
	"entra.unlink": {target: "link-2", do: func(w *world, c foyer.Caller) error { return w.Store.RevokeEntraLink(w.t.Context(), c, w.Org.ID, 2) }},
	"entra.bind": {target: "S-3", detail: "tenant=22222222-0000-4000-8000-000000000002 by=link-2", do: func(w *world, c foyer.Caller) error {
		_, err := w.Store.BindTenant(w.t.Context(), c, w.Org.ID, 2, store.Tenant{ID: "22222222-0000-4000-8000-000000000002", Name: "Beta", Domains: []string{"beta.example"}})
		return err
	}},
	"entra.refuse": {target: "link-2", detail: "consent denied", do: func(w *world, c foyer.Caller) error {
		return w.Store.RefuseVisit(w.t.Context(), c, w.Org.ID, 2, "consent denied")
	}},
	"entra.agree":   connecting("agree", func(c *foyer.Connection) { c.State = foyer.Confirming }),
	"entra.confirm": connecting("confirm", func(c *foyer.Connection) { c.State = foyer.Connected }),
	"entra.set":     connecting("set", func(c *foyer.Connection) { c.Settings.Guests = true }),
	"entra.pause":   connecting("pause", func(c *foyer.Connection) { c.State = foyer.Paused }),
	"entra.resume":  connecting("resume", func(c *foyer.Connection) { c.State = foyer.Connected }),
	"entra.resync":  connecting("resync", func(*foyer.Connection) {}),
	"entra.disconnect": connecting("disconnect", func(c *foyer.Connection) {
		c.State = foyer.Removed
	}),
	"log.prune": {target: "R-", do: func(w *world, c foyer.Caller) error {
		w.Clock.Move(100 * 24 * time.Hour)
		return w.Store.Prune(w.t.Context(), c, 90*24*time.Hour)
	}},
	"store.backup": {all: true, do: func(w *world, c foyer.Caller) error { return w.Store.Backup(w.t.Context(), c, w.path(), nil) }},
}

// connecting is an act on the connection of Acme.
func connecting(act string, edit func(*foyer.Connection)) audited {
	return audited{target: "S-2", detail: "state=", do: func(w *world, c foyer.Caller) error {
		_, err := w.Store.EditConnection(w.t.Context(), c, w.Org.ID, 2, act, func(c *foyer.Connection) error {
			edit(c)
			return nil
		})
		return err
	}}
}

// rows is what was delivered.
type rows []foyer.Row

// Rows implements reconcile.Input.
func (r rows) Rows(yield func(*foyer.Row) error) ([]foyer.Problem, error) {
	for i := range r {
		if err := yield(&r[i]); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func deliver(w *world, c foyer.Caller, n int) error {
	in := rows{}
	for i := range n {
		r := foyer.Row{Line: i + 2}
		r.Values[foyer.Email], r.Values[foyer.Title] = fmt.Sprintf("p%d@test.com", i), "Clerk"
		in = append(in, r)
	}
	_, err := reconcile.Run(w.t.Context(), w.Store, c, reconcile.Delivery{Org: w.Org.ID, Source: 1, Input: func(*foyer.Source) reconcile.Input { return in }})
	return err
}

func edit(w *world, c foyer.Caller, email, title string) error {
	_, _, err := reconcile.Change(w.t.Context(), w.Store, c, w.Org.ID, reconcile.ParseName(email), reconcile.Edit{Values: map[foyer.Field]string{foyer.Title: title}})
	return err
}

func join(w *world, c foyer.Caller) error {
	_, _, err := reconcile.Join(w.t.Context(), w.Store, c, w.Org.ID, reconcile.ParseName("p1@test.com"), reconcile.ParseName("hand@test.com"))
	return err
}

func undo(w *world, c foyer.Caller, run foyer.RunID) error {
	_, err := reconcile.Undo(w.t.Context(), w.Store, c, w.Org.ID, reconcile.Undoing{Run: run})
	return err
}

func end(w *world, c foyer.Caller) error {
	_, err := reconcile.EndSource(w.t.Context(), w.Store, c, w.Org.ID, reconcile.Ending{Source: 1, Leave: true})
	return err
}

// rowsOf returns which rows an act added, of each organization that it concerns.
func (a audited) rowsOf(w *world, act func()) map[foyer.OrgID][]foyer.Audit {
	before := map[foyer.OrgID]int{}
	orgs := func() []foyer.Org {
		all, err := w.Store.Orgs(w.t.Context(), w.Operator)
		w.must(err)
		return all
	}
	for _, org := range orgs() {
		before[org.ID] = len(w.audit(org.ID))
	}
	act()
	added := map[foyer.OrgID][]foyer.Audit{}
	for _, org := range orgs() {
		if rows := w.audit(org.ID)[before[org.ID]:]; len(rows) > 0 {
			added[org.ID] = rows
		}
	}
	return added
}

// TestAudit_EachActLeavesItsRow holds that every act which changes something is in the audit of whom it concerns, and of nobody else: who, which, on what, with ids alone.
func TestAudit_EachActLeavesItsRow(t *testing.T) {
	for name, a := range acts {
		t.Run(name, func(t *testing.T) {
			w := startWorld(t)
			if name == "store.backup" && storetest.OnPostgres() {
				return // pg_dump makes it
			}
			added := a.rowsOf(w, func() { w.must(a.do(w, w.Operator)) })
			if want := map[bool]int{true: 2, false: 1}[a.all]; len(added) != want || !a.fresh && len(added[w.Org.ID]) == 0 {
				t.Fatalf("the rows are %+v", added)
			}
			for org, rows := range added {
				row := rows[len(rows)-1]
				actor := w.Operator.Name
				if name == "token.revoke" {
					actor = w.callers()["sync"].Name
				}
				if row.Act != name || row.Actor != actor || !strings.HasPrefix(row.Target, a.target) || !strings.Contains(row.Detail, a.detail) {
					t.Errorf("the row is %+v", row)
				}
				if n := len(rows); n != 1 && (n != 2 || rows[0].Act != a.also) {
					t.Errorf("there are %d rows: %+v", n, rows)
				}
				if text := row.Target + row.Detail; strings.Contains(text, "@") || strings.Contains(text, "Clerk") {
					t.Errorf("the row holds personal data: %s", text)
				}
				if _, err := w.Store.VerifyAudit(t.Context(), w.Operator, org); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestAudit_TheDocumentListsTheActs holds that docs/security.md says what the audit notes.
func TestAudit_TheDocumentListsTheActs(t *testing.T) {
	document, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, a := range acts {
		for _, act := range []string{name, a.also} {
			if !strings.Contains(string(document), "`"+act+"`") && act != "" {
				t.Errorf("%s is not in it", act)
			}
		}
	}
}

// TestAudit_AnActAndItsRowAreOne holds that an act whose row cannot be written does not happen: both are in one transaction.
func TestAudit_AnActAndItsRowAreOne(t *testing.T) {
	w := startWorld(t)
	fault := `CREATE TRIGGER fault BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'fault'); END`
	if storetest.OnPostgres() {
		fault = `ALTER TABLE audit ADD CONSTRAINT fault CHECK (false) NOT VALID`
	}
	_, err := w.open().Exec(fault)
	w.must(err)
	last := []string{"run.lapse", "log.prune"} // they move the clock
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(acts)), func(name string) bool {
		return slices.Contains(last, name) || name == "store.backup" && storetest.OnPostgres()
	})
	for _, name := range append(names, last...) {
		but := []string{}
		if name == "run.sync" {
			but = []string{"run", "alert", "book"} // that it failed is on record as a run, with its alert
		}
		before := w.state(but...)
		if err := acts[name].do(w, w.Operator); err == nil || !strings.Contains(err.Error(), "fault") {
			t.Errorf("%s was carried out, or failed before: %v", name, err)
		}
		if after := w.state(but...); after != before {
			t.Errorf("%s: something was changed:\n%s", name, difference(before, after))
		}
	}
}

// TestAudit_WhatFailsLeavesNoRow holds that an act which is refused is not on record as one.
func TestAudit_WhatFailsLeavesNoRow(t *testing.T) {
	w := startWorld(t)
	ctx, c, org := t.Context(), w.Operator, w.Org.ID
	for name, try := range map[string]func() error{
		"an organization of the same name": func() error { _, err := w.Store.CreateOrg(ctx, c, "Acme", ""); return err },
		"a site of the same name":          func() error { _, err := w.Store.CreateSite(ctx, c, org, foyer.Site{Name: "toronto"}); return err },
		"a site that is not there":         func() error { _, err := w.Store.EditSite(ctx, c, org, 99, func(*foyer.Site) {}); return err },
		"a source of the same name":        func() error { _, err := w.Store.CreateSource(ctx, c, org, foyer.Source{Name: "csv"}); return err },
		"a key of the same id":             func() error { _, _, err := w.Store.CreateKey(ctx, c, org, store.NewKey{ID: w.spare}); return err },
		"a key of another organization":    func() error { return w.Store.RevokeKey(ctx, c, w.other.ID, w.spare) },
		"a living key":                     func() error { return w.Store.DeleteKey(ctx, c, org, w.spare) },
		"an ended key":                     func() error { _, err := w.Store.RotateKey(ctx, c, org, w.ended, []byte("x"), 0); return err },
		"the same contact": func() error {
			_, err := w.Store.AddContact(ctx, c, org, foyer.Contact{Email: "IT@acme.example"})
			return err
		},
		"a run that waits not":       func() error { _, err := w.Store.Reject(ctx, c, org, 1); return err },
		"nobody":                     func() error { _, err := w.Store.Erase(ctx, c, org, 0, "nobody@test.com"); return err },
		"nobody who was erased":      func() error { return w.Store.Forget(ctx, c, org, "p1@test.com") },
		"an entry that is not there": func() error { return edit(w, c, "nobody@test.com", "Boss") },
		"a link for nobody": func() error {
			_, _, err := w.Store.CreateEntraLink(ctx, c, org, foyer.EntraLink{})
			return err
		},
		"a link that was used": func() error { return w.Store.RevokeEntraLink(ctx, c, org, 1) },
		"another tenant": func() error {
			_, err := w.Store.BindTenant(ctx, c, org, 2, store.Tenant{ID: "2", Name: "Eve", Domains: []string{"eve.example"}})
			return err
		},
		"a connection that is none": func() error {
			_, err := w.Store.EditConnection(ctx, c, org, 1, "pause", func(*foyer.Connection) error { return nil })
			return err
		},
		"settings that cannot be meant": func() error {
			_, err := w.Store.EditConnection(ctx, c, org, 2, "set", func(c *foyer.Connection) error { c.Settings.OnlyGroups = true; return nil })
			return err
		},
		"a copy over a file": func() error { return w.Store.Backup(ctx, c, w.Dir+"/foyer.db", nil) },
	} {
		before := w.state()
		if err := try(); err == nil {
			t.Errorf("%s: it was carried out", name)
		}
		if after := w.state(); after != before {
			t.Errorf("%s: something was changed:\n%s", name, difference(before, after))
		}
	}
}

// TestAudit_WhatChangesNothingLeavesNoRow holds that the nightly file of an organization in which nothing changed does not fill its audit.
func TestAudit_WhatChangesNothingLeavesNoRow(t *testing.T) {
	w := startWorld(t)
	w.must(deliver(w, w.Operator, 20))
	before := w.state("run")
	w.must(deliver(w, w.Operator, 20))
	w.must(w.Store.Prune(t.Context(), w.Operator, 90*24*time.Hour))
	w.must(w.Store.LapseHeld(t.Context(), w.Operator))
	if after := w.state("run"); after != before {
		t.Errorf("something was written:\n%s", difference(before, after))
	}
}

// TestAudit_AnUnchangedSyncThatEndsAHeldRunLeavesARow holds that what was held does not vanish without a trace: what it kept is deleted.
func TestAudit_AnUnchangedSyncThatEndsAHeldRunLeavesARow(t *testing.T) {
	w := startWorld(t)
	w.must(deliver(w, w.Operator, 20))
	if reply := w.Upload(t, people(6)); !strings.HasPrefix(reply.Body, "HELD run=R-6 ") {
		t.Fatalf("nothing was held: %s", reply.Body)
	}
	added := audited{}.rowsOf(w, func() { w.must(deliver(w, w.Operator, 20)) })
	if rows := added[w.Org.ID]; len(rows) != 1 || rows[0].Act != "run.supersede" || rows[0].Target != "R-6" || rows[0].Detail != "by=R-7" {
		t.Errorf("the rows are %+v", rows)
	}
}

// TestAudit_RowOfAKeyNamesItAndItsAddress holds that the row of a key's sync names the key and from where it came.
func TestAudit_RowOfAKeyNamesItAndItsAddress(t *testing.T) {
	w := startWorld(t)
	w.Upload(t, people(22))
	all := w.audit(w.Org.ID)
	if last := all[len(all)-1]; last.Act != "run.sync" || last.Actor != "key "+w.Script.ClientID || last.Address != "127.0.0.1" {
		t.Errorf("the row is %+v", last)
	}
}

// difference returns the lines of two texts that are in one only.
func difference(a, b string) string {
	in := map[string]int{}
	for _, line := range strings.Split(a, "\n") {
		in[line]--
	}
	for _, line := range strings.Split(b, "\n") {
		in[line]++
	}
	out := []string{}
	for line, n := range in {
		if n != 0 {
			out = append(out, fmt.Sprintf("%+d %s", n, line))
		}
	}
	return strings.Join(out, "\n")
}
