package foyer_test

import (
	"net/netip"
	"testing"

	"foyer"
)

// TestCaller_RightsOfRoles holds what each role may do, and that none does it elsewhere.
func TestCaller_RightsOfRoles(t *testing.T) {
	all := []foyer.Right{foyer.ReadBook, foyer.SyncBook, foyer.EditBook, foyer.DecideRuns, foyer.Administer, foyer.Operate}
	for name, test := range map[string]struct {
		role foyer.Role
		may  map[foyer.Right]bool
	}{
		"nobody":                {foyer.NoRole, nil},
		"viewer":                {foyer.Viewer, map[foyer.Right]bool{foyer.ReadBook: true}},
		"site administrator":    {foyer.SiteAdministrator, map[foyer.Right]bool{foyer.ReadBook: true, foyer.EditBook: true}},
		"account administrator": {foyer.AccountAdministrator, map[foyer.Right]bool{foyer.ReadBook: true, foyer.SyncBook: true, foyer.EditBook: true, foyer.DecideRuns: true, foyer.Administer: true}},
	} {
		c := foyer.PersonCaller("ann", "aaaaaa", test.role, []foyer.SiteID{1}, netip.Addr{})
		for _, right := range all {
			if err := c.May(right, "aaaaaa"); (err == nil) != test.may[right] {
				t.Errorf("%s, right %d: %v", name, right, err)
			}
			if err := c.May(right, "bbbbbb"); foyer.KindOf(err) != foyer.NotFound {
				t.Errorf("%s, right %d in another organization: %v", name, right, err)
			}
		}
	}
}

func TestCaller_SiteAdministratorHasOwnSitesOnly(t *testing.T) {
	c := foyer.PersonCaller("ann", "aaaaaa", foyer.SiteAdministrator, []foyer.SiteID{1}, netip.Addr{})
	for _, test := range []struct {
		before, after []foyer.SiteID
		edit, move    bool
	}{
		{[]foyer.SiteID{1}, []foyer.SiteID{1}, true, true},
		{[]foyer.SiteID{1, 2}, []foyer.SiteID{2}, true, true},
		{[]foyer.SiteID{1}, []foyer.SiteID{1, 2}, true, false},
		{[]foyer.SiteID{2}, []foyer.SiteID{1, 2}, false, true},
		{nil, []foyer.SiteID{1}, false, true},
	} {
		if err := c.MayEditAt(test.before); (err == nil) != test.edit {
			t.Errorf("edit one at %v: %v", test.before, err)
		}
		if err := c.MayMove(test.before, test.after); (err == nil) != test.move {
			t.Errorf("move one from %v to %v: %v", test.before, test.after, err)
		}
	}
}

// TestOperator_IsNamedInUTF8 holds that the audit has no text that a database may refuse, whatever the system's user is called.
func TestOperator_IsNamedInUTF8(t *testing.T) {
	if name := foyer.Operator("J\xf6rg\x00").Name; name != "operator J?rg?" {
		t.Errorf("the name is %q", name)
	}
}
