package reconcile_test

import (
	"net/netip"
	"testing"

	"foyer"
	"foyer/reconcile"
)

// TestRights_SiteAdministratorEditsOwnSitesOnly holds it beside the data: the store refuses what is not theirs, whoever asks it.
func TestRights_SiteAdministratorEditsOwnSitesOnly(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,SITE\nann@x.ca,Toronto\nbob@x.ca,MTL\n")
	caller := foyer.PersonCaller("tina", f.org, foyer.SiteAdministrator, []foyer.SiteID{f.toronto}, netip.Addr{})
	change := func(email string, edit reconcile.Edit) error {
		_, _, err := reconcile.Change(t.Context(), f.store, caller, f.org, reconcile.ParseName(email), edit)
		return err
	}
	add := func(edit reconcile.Edit) error {
		edit.Values = map[foyer.Field]string{foyer.Email: "new@x.ca"}
		_, err := reconcile.Add(t.Context(), f.store, caller, f.org, edit)
		return err
	}
	for name, test := range map[string]struct {
		err error
		may bool
	}{
		"another site's":        {change("bob@x.ca", set(foyer.Title, "Boss")), false},
		"own, to another site":  {change("ann@x.ca", reconcile.Edit{AddSites: []foyer.SiteID{f.montreal}}), false},
		"own":                   {change("ann@x.ca", set(foyer.Title, "Boss")), true},
		"a new one elsewhere":   {add(reconcile.Edit{AddSites: []foyer.SiteID{f.montreal}}), false},
		"a new one at no site":  {add(reconcile.Edit{}), false},
		"a new one at own site": {add(reconcile.Edit{AddSites: []foyer.SiteID{f.toronto}}), true},
	} {
		if (test.err == nil) != test.may || !test.may && foyer.KindOf(test.err) != foyer.Forbidden {
			t.Errorf("%s: %v", name, test.err)
		}
	}
	f.value("bob@x.ca", foyer.Title, "")
	if _, err := reconcile.Undo(t.Context(), f.store, caller, f.org, reconcile.Undoing{Run: 1}); foyer.KindOf(err) != foyer.Forbidden {
		t.Errorf("a site administrator undoes: %v", err)
	}
}
