package entra_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"foyer/entra"
	"foyer/entra/entratest"
)

func members(t *testing.T, tenant *entra.Tenant, group string) (ids map[string]bool, pages int, err error) {
	t.Helper()
	ids = map[string]bool{}
	err = tenant.Members(t.Context(), group, func(page []string) error {
		pages++
		for _, id := range page {
			ids[id] = true
		}
		return nil
	})
	return ids, pages, err
}

// TestMembers_OfGroupsWithinGroups holds that members are people, also those of inner groups, over several pages; circles of groups do not disturb.
func TestMembers_OfGroupsWithinGroups(t *testing.T) {
	w := newWorld(t)
	var want, other []string
	for i, u := range w.acme.Populate(2600, 1) {
		if i%10 == 9 {
			other = append(other, u.ID)
		} else {
			want = append(want, u.ID)
		}
	}
	inner := w.acme.AddGroup("Inner", want[1000:]...)
	outer := w.acme.AddGroup("Outer", append(slices.Clone(want[:1000]), inner)...)
	w.acme.SetMembers(inner, append(slices.Clone(want[1000:]), outer)...)
	w.acme.AddGroup("Other", other...)
	ids, pages, err := members(t, w.tenant(), outer)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(ids)); !slices.Equal(got, want) {
		t.Errorf("%d members were read of %d", len(got), len(want))
	}
	if pages != 3 {
		t.Errorf("there were %d pages", pages)
	}
	for _, r := range w.Requests() {
		if strings.HasSuffix(r.Path, "/transitiveMembers") {
			t.Error("members were asked for without the cast to people")
		}
	}
}

// TestMembers_OfNobody holds that an empty group has no members, and that one which is not there is told apart from it.
func TestMembers_OfNobody(t *testing.T) {
	w := newWorld(t)
	group := w.acme.AddGroup("Empty")
	if ids, pages, err := members(t, w.tenant(), group); err != nil || len(ids) != 0 || pages != 1 {
		t.Errorf("nobody is %v on %d pages, %v", ids, pages, err)
	}
	w.acme.DeleteGroup(group)
	_, pages, err := members(t, w.tenant(), group)
	wantKind(t, err, entra.Missing)
	if pages != 0 {
		t.Error("a group that is not there has a page")
	}
	_, _, err = members(t, w.tenant(), "Empty")
	wantKind(t, err, entra.Invalid)
	full := errors.New("full")
	if err := w.tenant().Members(t.Context(), w.acme.AddGroup("One", w.ann.ID), func([]string) error { return full }); err != full {
		t.Errorf("the caller's error comes back as %v", err)
	}
}

// TestMembers_WithoutPermission holds that it is the tenant that does not let us.
func TestMembers_WithoutPermission(t *testing.T) {
	w := newWorld(t)
	group := w.acme.AddGroup("Berlin", w.ann.ID)
	w.acme.Withdraw(w.registration, "GroupMember.Read.All")
	_, _, err := members(t, w.tenant(), group)
	wantKind(t, err, entra.Withdrawn)
	_, err = w.tenant().Groups(t.Context(), "")
	wantKind(t, err, entra.Withdrawn)
}

// TestMembers_PagesAreWhole holds that half a page is none, and that a link elsewhere gets no token.
func TestMembers_PagesAreWhole(t *testing.T) {
	w := newWorld(t)
	var ids []string
	for _, u := range w.acme.Populate(1500, 1) {
		ids = append(ids, u.ID)
	}
	group := w.acme.AddGroup("All", ids...)
	stop := w.FailAt("/microsoft.graph.user", 2, entratest.Failure{Cut: true})
	if got, pages, err := members(t, w.tenant(), group); err != nil || len(got) != 1500 || pages != 2 {
		t.Errorf("after a cut, %d members were read on %d pages, %v", len(got), pages, err)
	}
	stop()
	w.FailAt("/microsoft.graph.user", 1, entratest.Failure{LinkHost: w.Elsewhere})
	_, pages, err := members(t, w.tenant(), group)
	wantKind(t, err, entra.Forged)
	if pages != 0 || w.Count(entratest.Elsewhere, "") != 0 {
		t.Errorf("%d pages were handed on, and elsewhere was asked %d times", pages, w.Count(entratest.Elsewhere, ""))
	}
	for _, body := range []string{`{"value":[{"id":""}]}`, `{"value":[{}]}`, `{"value":[null]}`, `{"value":null}`, `{}`, `[]`} {
		stop := w.Fail(always("/microsoft.graph.user", entratest.Failure{Status: 200, Body: body}))
		_, pages, err := members(t, w.tenant(), group)
		wantKind(t, err, entra.Unavailable)
		if pages != 0 {
			t.Errorf("%s is a page", body)
		}
		stop()
	}
}

// TestGroups_ForChoosing holds that groups are found by how their name begins, quotes and all, at most 100 of them.
func TestGroups_ForChoosing(t *testing.T) {
	w := newWorld(t)
	for i := range 150 {
		w.acme.AddGroup(fmt.Sprintf("Team %03d", 149-i))
	}
	odd := w.acme.AddGroup("O'Brien's & Söhne #1")
	groups, err := w.tenant().Groups(t.Context(), "O'Brien's & S")
	if err != nil || len(groups) != 1 || groups[0].ID != odd || groups[0].Name != "O'Brien's & Söhne #1" || groups[0].Mail != "" {
		t.Errorf("the group is %+v, %v", groups, err)
	}
	groups, err = w.tenant().Groups(t.Context(), "team 0")
	if err != nil || len(groups) != 100 || groups[0].Name != "Team 000" || groups[99].Name != "Team 099" {
		t.Errorf("there are %d groups, %v", len(groups), err)
	}
	if groups, err = w.tenant().Groups(t.Context(), ""); err != nil || len(groups) != 100 {
		t.Errorf("there are %d groups of any name, %v", len(groups), err)
	}
	if groups, err = w.tenant().Groups(t.Context(), "') or startswith(displayName,'"); err != nil || len(groups) != 0 {
		t.Errorf("a name that is a filter finds %d groups, %v", len(groups), err)
	}
	_, err = w.tenant().Groups(t.Context(), strings.Repeat("x", 300))
	wantKind(t, err, entra.Invalid)
	if g, err := w.tenant().Group(t.Context(), odd); err != nil || g.Name != "O'Brien's & Söhne #1" {
		t.Errorf("the group alone is %+v, %v", g, err)
	}
	w.acme.DeleteGroup(odd)
	_, err = w.tenant().Group(t.Context(), odd)
	wantKind(t, err, entra.Missing)
	_, err = w.tenant().Group(t.Context(), "..")
	wantKind(t, err, entra.Invalid)
}
