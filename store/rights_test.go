package store_test

import (
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"foyer"
	"foyer/store"
)

// rule is who may call a method of the store, of a caller without a key ("nobody"), with a key of the organization and one scope ("read", "sync"), with a key of another organization and all scopes
// ("other"), of who came by a link to connect a tenant ("connector"), and the operator.
type rule struct {
	may  string
	call func(w *world, c foyer.Caller) error
	act  bool // it is among the acts
}

const (
	operatorOnly = "operator"
	readers      = "operator read"
	syncers      = "operator sync connector"
	connectors   = "operator connector"
)

var nothing = func(*foyer.Entry) error { return nil }

// rules classifies every exported method of the store that takes a caller. One that is not in it fails the test.
var rules = map[string]rule{
	"Alerts": {may: readers, call: func(w *world, c foyer.Caller) error {
		_, err := w.Store.Alerts(w.t.Context(), c, w.Org.ID, true)
		return err
	}},
	"Entries": {may: readers, call: func(w *world, c foyer.Caller) error { return w.Store.Entries(w.t.Context(), c, w.Org.ID, nothing) }},
	"View": {may: readers, call: func(w *world, c foyer.Caller) error {
		return w.Store.View(w.t.Context(), c, w.Org.ID, func(*store.Book) error { return nil })
	}},
	"Sites": {may: readers, call: func(w *world, c foyer.Caller) error { _, err := w.Store.Sites(w.t.Context(), c, w.Org.ID); return err }},
	"Sources": {may: readers, call: func(w *world, c foyer.Caller) error {
		_, err := w.Store.Sources(w.t.Context(), c, w.Org.ID)
		return err
	}},
	"Run": {may: readers, call: func(w *world, c foyer.Caller) error { _, err := w.Store.Run(w.t.Context(), c, w.Org.ID, 1); return err }},
	"Runs": {may: readers, call: func(w *world, c foyer.Caller) error {
		_, err := w.Store.Runs(w.t.Context(), c, w.Org.ID, 0, true)
		return err
	}},
	"HeldDetail": {may: readers, call: func(w *world, c foyer.Caller) error {
		_, err := w.Store.HeldDetail(w.t.Context(), c, w.Org.ID, 3)
		return err
	}},
	"Changes": {may: readers, call: func(w *world, c foyer.Caller) error {
		return w.Store.Changes(w.t.Context(), c, w.Org.ID, 1, func(*foyer.Change) error { return nil })
	}},
	"OrgOf": {may: "read sync other connector", call: func(w *world, c foyer.Caller) error { return orgOfIsItsOwn(w, c) }},
	"Preview": {may: syncers, call: func(w *world, c foyer.Caller) error {
		return w.Store.Preview(w.t.Context(), c, w.Org.ID, 1, func(*store.Book) error { return nil })
	}},
	"Update":    {may: syncers, call: func(w *world, c foyer.Caller) error { return update(w, c, foyer.SyncBook) }},
	"RecordRun": {may: syncers, call: func(w *world, c foyer.Caller) error { return record(w, c) }},
	"RevokeToken": {may: "read sync other", call: func(w *world, c foyer.Caller) error {
		return w.Store.RevokeToken(w.t.Context(), c, []byte(w.next()), w.Clock.Now().Add(time.Hour))
	}},

	"Audit": {may: operatorOnly, call: func(w *world, c foyer.Caller) error {
		return w.Store.Audit(w.t.Context(), c, w.Org.ID, func(*foyer.Audit) error { return nil })
	}},
	"AuditHead": {may: operatorOnly, call: func(w *world, c foyer.Caller) error {
		_, err := w.Store.AuditHead(w.t.Context(), c, w.Org.ID)
		return err
	}},
	"VerifyAudit": {may: operatorOnly, call: func(w *world, c foyer.Caller) error {
		_, err := w.Store.VerifyAudit(w.t.Context(), c, w.Org.ID)
		return err
	}},
	"Contacts": {may: operatorOnly, call: func(w *world, c foyer.Caller) error {
		_, err := w.Store.Contacts(w.t.Context(), c, w.Org.ID)
		return err
	}},
	"Keys": {may: operatorOnly, call: func(w *world, c foyer.Caller) error { _, err := w.Store.Keys(w.t.Context(), c, w.Org.ID); return err }},
	"OrgAllow": {may: operatorOnly, call: func(w *world, c foyer.Caller) error {
		_, err := w.Store.OrgAllow(w.t.Context(), c, w.Org.ID)
		return err
	}},
	"TokenCounts": {may: operatorOnly, call: func(w *world, c foyer.Caller) error {
		_, err := w.Store.TokenCounts(w.t.Context(), c, w.Org.ID, w.spare, time.Time{})
		return err
	}},
	"TryErase": {may: operatorOnly, call: func(w *world, c foyer.Caller) error {
		_, err := w.Store.TryErase(w.t.Context(), c, w.Org.ID, 0, "p1@test.com")
		return err
	}},
	"Orgs":         {may: operatorOnly, call: func(w *world, c foyer.Caller) error { _, err := w.Store.Orgs(w.t.Context(), c); return err }},
	"FindOrg":      {may: operatorOnly, call: func(w *world, c foyer.Caller) error { _, err := w.Store.FindOrg(w.t.Context(), c, "acme"); return err }},
	"Reseal":       {may: operatorOnly, call: func(w *world, c foyer.Caller) error { _, err := w.Store.Reseal(w.t.Context(), c); return err }},
	"DropAtRest":   {may: operatorOnly, call: func(w *world, c foyer.Caller) error { _, err := w.Store.DropAtRest(w.t.Context(), c); return err }},
	"TakeNews":     {may: operatorOnly, call: func(w *world, c foyer.Caller) error { _, err := w.Store.TakeNews(w.t.Context(), c); return err }},
	"TakeMail":     {may: operatorOnly, call: func(w *world, c foyer.Caller) error { _, err := w.Store.TakeMail(w.t.Context(), c, 1); return err }},
	"MailSent":     {may: operatorOnly, call: func(w *world, c foyer.Caller) error { return w.Store.MailSent(w.t.Context(), c, &store.Mail{}) }},
	"MailFailed":   {may: operatorOnly, call: func(w *world, c foyer.Caller) error { return w.Store.MailFailed(w.t.Context(), c, &store.Mail{}) }},
	"DropMail":     {may: operatorOnly, call: func(w *world, c foyer.Caller) error { _, err := w.Store.DropMail(w.t.Context(), c); return err }},
	"WatchSources": {may: operatorOnly, call: func(w *world, c foyer.Caller) error { return w.Store.WatchSources(w.t.Context(), c) }},
	"WatchKeys":    {may: operatorOnly, call: func(w *world, c foyer.Caller) error { return w.Store.WatchKeys(w.t.Context(), c) }},

	"EntraLinks": {may: operatorOnly, call: func(w *world, c foyer.Caller) error {
		_, err := w.Store.EntraLinks(w.t.Context(), c, w.Org.ID)
		return err
	}},
	"Connections": {may: "operator read connector", call: func(w *world, c foyer.Caller) error {
		_, err := w.Store.Connections(w.t.Context(), c, w.Org.ID)
		return err
	}},
	"EntraPeople": {may: connectors, call: func(w *world, c foyer.Caller) error {
		return w.Store.EntraPeople(w.t.Context(), c, w.Org.ID, 2, func(*store.EntraPerson) error { return nil })
	}},
	"EntraApp": {may: operatorOnly, call: func(w *world, c foyer.Caller) error {
		_, err := w.Store.EntraApp(w.t.Context(), c)
		if c.May(foyer.Operate, "") == nil && foyer.KindOf(err) == foyer.NotFound {
			return nil // none is set up
		}
		return err
	}},
	"SetEntraApp": {may: operatorOnly, call: func(w *world, c foyer.Caller) error {
		return w.Store.SetEntraApp(w.t.Context(), c, func(*store.EntraApp) error { return nil })
	}},
	"TakeReading": {may: operatorOnly, call: func(w *world, c foyer.Caller) error { _, err := w.Store.TakeReading(w.t.Context(), c); return err }},
	"HoldReading": {may: operatorOnly, call: func(w *world, c foyer.Caller) error {
		return reading(w, c, func(r *store.Reading) error { return w.Store.HoldReading(w.t.Context(), c, r) })
	}},
	"KeepPlan": {may: operatorOnly, call: func(w *world, c foyer.Caller) error {
		return reading(w, c, func(r *store.Reading) error { return w.Store.KeepPlan(w.t.Context(), c, r, []byte("{}")) })
	}},
	"WatchEntraApp": {may: operatorOnly, call: func(w *world, c foyer.Caller) error { return w.Store.WatchEntraApp(w.t.Context(), c) }},
	"EntraKnown": {may: operatorOnly, call: func(w *world, c foyer.Caller) error {
		return reading(w, c, func(r *store.Reading) error {
			_, err := w.Store.EntraKnown(w.t.Context(), c, r, []string{"a"})
			return err
		})
	}},
	"StoreReading": {may: operatorOnly, call: func(w *world, c foyer.Caller) error {
		return reading(w, c, func(r *store.Reading) error {
			_, err := w.Store.StoreReading(w.t.Context(), c, r, true, "", func(func([]store.EntraItem) error) error { return nil })
			return err
		})
	}},
	"EndReading": {may: operatorOnly, call: func(w *world, c foyer.Caller) error {
		return reading(w, c, func(r *store.Reading) error {
			return w.Store.EndReading(w.t.Context(), c, r, store.ReadingEnd{Next: w.Clock.Now()})
		})
	}},

	"AddContact":    act("contact.add"),
	"RemoveContact": act("contact.remove"),
	"Erase":         act("entry.erase"),
	"Forget":        act("entry.forget"),
	"Reject":        act("run.reject"),
	"LapseHeld":     act("run.lapse"),
	"CreateKey":     act("key.create"),
	"RotateKey":     act("key.rotate"),
	"AllowKey":      act("key.allow"),
	"AllowOrg":      act("org.allow"),
	"RevokeKey":     act("key.revoke"),
	"DeleteKey":     act("key.delete"),

	"CreateEntraLink": act("entra.link"),
	"RevokeEntraLink": act("entra.unlink"),
	"BindTenant":      act("entra.bind", "connector"),
	"RefuseVisit":     act("entra.refuse", "connector"),
	"EditConnection":  act("entra.set", "connector"),

	"CreateOrg":    act("org.create"),
	"CreateSite":   act("site.create"),
	"EditSite":     act("site.edit"),
	"CreateSource": act("source.create"),
	"EditSource":   act("source.edit"),
	"Prune":        act("log.prune"),
	"Backup":       act("store.backup"),
}

// callerless says why a method takes no caller.
var callerless = map[string]string{
	"Close":         "whoever opened it closes it",
	"Now":           "it tells the time",
	"Written":       "it tells how many rows were written",
	"Ready":         "it tells what anybody may know",
	"LookupKey":     "it is how a caller comes to be known",
	"TokenRevoked":  "it is how a caller comes to be known",
	"TouchKey":      "it notes that a caller came to be known",
	"CountTokens":   "it is about who asked to become one",
	"NoteEndedKey":  "it is about who did not become one",
	"NoteLeakedKey": "it is about who did not become one",

	"FollowEntraLink": "the link's token is the proof",
	"BeginVisit":      "it is for who showed a token",
	"TakeVisit":       "the state is the proof",
	"Session":         "the cookie is the proof",
}

// act returns the rule of an act, as the table of audited acts has it. The operator may carry it out, and whoever else is named.
func act(name string, others ...string) rule {
	return rule{strings.Join(append([]string{operatorOnly}, others...), " "), func(w *world, c foyer.Caller) error { return acts[name].do(w, c) }, true}
}

// reading calls fn with a reading of Acme's tenant, taken for a caller that may take one; for another with one that was never taken.
func reading(w *world, c foyer.Caller, fn func(*store.Reading) error) error {
	if c.May(foyer.Operate, "") != nil {
		return fn(&store.Reading{Org: w.Org, Connection: foyer.Connection{Source: 2}})
	}
	w.Clock.Move(2 * store.ReadingLease) // what was taken before is not any more
	r, err := w.Store.TakeReading(w.t.Context(), c)
	w.must(err)
	return fn(r)
}

func orgOfIsItsOwn(w *world, c foyer.Caller) error {
	org, err := w.Store.OrgOf(w.t.Context(), c)
	if err == nil && org.ID != c.Org {
		w.t.Errorf("the organization of a caller of %s is %s", c.Org, org.ID)
	}
	return err
}

func update(w *world, c foyer.Caller, right foyer.Right) error {
	return w.Store.Update(w.t.Context(), c, store.Act{Org: w.Org.ID, Right: right, Source: 1}, func(*store.Book) (*store.Delta, error) { return nil, nil })
}

func record(w *world, c foyer.Caller) error {
	return w.Store.RecordRun(w.t.Context(), c, store.Act{Org: w.Org.ID, Right: foyer.SyncBook, Source: 1}, &foyer.Run{Kind: foyer.Sync, Source: 1, Status: foyer.Refused, Message: "no"})
}

func TestRights_EachMethodIsClassified(t *testing.T) {
	all := reflect.TypeFor[*store.Store]()
	caller := reflect.TypeFor[foyer.Caller]()
	for i := range all.NumMethod() {
		m := all.Method(i)
		takes := slices.ContainsFunc(slices.Collect(m.Type.Ins()), func(in reflect.Type) bool { return in == caller })
		_, ruled := rules[m.Name]
		_, excused := callerless[m.Name]
		if takes != ruled || takes == excused {
			t.Errorf("%s takes a caller: %v; it is among the rules: %v, among the methods without a caller: %v", m.Name, takes, ruled, excused)
		}
	}
	if n := len(rules) + len(callerless); n != all.NumMethod() {
		t.Errorf("%d methods are classified, and there are %d", n, all.NumMethod())
	}
}

// TestRights_NobodyElseIsLetIn calls every method with every kind of caller that may not. Each is told so, changes nothing, and can tell nothing of another organization from what is not there.
func TestRights_NobodyElseIsLetIn(t *testing.T) {
	w := startWorld(t)
	before := w.state()
	for name, r := range rules {
		for who, c := range w.callers() {
			if slices.Contains(strings.Fields(r.may), who) {
				continue
			}
			err := r.call(w, c)
			if kind := foyer.KindOf(err); kind != foyer.NotFound && kind != foyer.Forbidden {
				t.Errorf("%s lets in %s: %v", name, who, err)
			} else if said := "there is no such organization"; who == "other" && strings.Trim(strings.ReplaceAll(err.Error(), said, ""), "\n") != "" {
				t.Errorf("%s tells another organization's key: %v", name, err)
			}
		}
	}
	if after := w.state(); after != before {
		t.Errorf("who may not call it changed something:\n%s", difference(before, after))
	}
}

// TestRights_WhoMayIsLetIn holds the other half; that the operator may carry out each act is held by TestAudit_EachActLeavesItsRow.
func TestRights_WhoMayIsLetIn(t *testing.T) {
	w := startWorld(t)
	for name, r := range rules {
		for who, c := range w.callers() {
			if slices.Contains(strings.Fields(r.may), who) && !r.act {
				if err := r.call(w, c); err != nil {
					t.Errorf("%s does not let in %s: %v", name, who, err)
				}
			}
		}
	}
}

// TestRights_OfAnUpdate holds which callers may carry out an act that asks for each right; a sync is for the key's own source only.
func TestRights_OfAnUpdate(t *testing.T) {
	w := startWorld(t)
	for right, may := range map[foyer.Right]string{
		foyer.ReadBook: readers, foyer.SyncBook: syncers, foyer.EditBook: operatorOnly, foyer.DecideRuns: operatorOnly, foyer.Administer: operatorOnly, foyer.Operate: operatorOnly,
	} {
		for who, c := range w.callers() {
			if err := update(w, c, right); (err == nil) != slices.Contains(strings.Fields(may), who) {
				t.Errorf("the right %d, %s: %v", right, who, err)
			}
		}
	}
	stray := w.callers()["sync"]
	stray.Source = 2
	if err := update(w, stray, foyer.SyncBook); foyer.KindOf(err) != foyer.Forbidden {
		t.Errorf("a key of another source: %v", err)
	}
}

func (w *world) path() string { return filepath.Join(w.t.TempDir(), "copy.db") }
