package reconcile_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"foyer"
	"foyer/store"
	"foyer/store/storetest"
)

// tenant connects a tenant, and returns its source.
func (f *fixture) tenant() foyer.SourceID {
	f.t.Helper()
	_, link, err := f.store.CreateEntraLink(f.t.Context(), f.operator, f.org, foyer.EntraLink{For: "x.ca"})
	f.must(err)
	source, err := f.store.BindTenant(f.t.Context(), f.operator, f.org, link.ID, store.Tenant{ID: "t", Name: "X", Domains: []string{"x.ca"}})
	f.must(err)
	_, err = f.store.EditConnection(f.t.Context(), f.operator, f.org, source.ID, "agree", func(c *foyer.Connection) error { c.State = foyer.Connected; return nil })
	f.must(err)
	return source.ID
}

// member is somebody of a tenant.
func member(id, mail, principal, name, manager string) store.EntraItem {
	attributes := map[string]json.RawMessage{}
	for attribute, value := range map[string]string{"mail": mail, "userPrincipalName": principal, "displayName": name} {
		attributes[attribute] = json.RawMessage(fmt.Sprintf("%q", value))
	}
	return store.EntraItem{ID: id, Whole: true, Attributes: attributes, Manager: &manager}
}

// reads stores a reading of the tenant, and returns where it began.
func (f *fixture) reads(full bool, members ...store.EntraItem) (delta string) {
	f.t.Helper()
	f.clock.Move(time.Hour)
	r, err := f.store.TakeReading(f.t.Context(), f.operator)
	f.must(err)
	_, err = f.store.StoreReading(f.t.Context(), f.operator, r, full, "delta", func(yield func([]store.EntraItem) error) error { return yield(members) })
	f.must(err)
	f.must(f.store.EndReading(f.t.Context(), f.operator, r, store.ReadingEnd{Next: f.clock.Now()}))
	return r.Delta
}

// members wants these to be known of the tenant.
func (f *fixture) members(source foyer.SourceID, want ...string) {
	f.t.Helper()
	var known []string
	f.must(f.store.EntraPeople(f.t.Context(), f.operator, f.org, source, func(p *store.EntraPerson) error {
		known = append(known, p.ID+" "+p.ManagerID)
		return nil
	}))
	if !slices.Equal(known, want) {
		f.t.Errorf("known are %q, want %q", known, want)
	}
	connections, err := f.store.Connections(f.t.Context(), f.operator, f.org)
	if err != nil || connections[0].People != len(want) {
		f.t.Errorf("%+v, %v", connections, err)
	}
}

// TestR28_ErasedIsNowhereInATenant holds that what a tenant says of a person goes too: by an email, by the principal name, by the id, and as others' manager.
func TestR28_ErasedIsNowhereInATenant(t *testing.T) {
	for how, zelda := range map[string]store.EntraItem{
		"by mail":           member("zq-4711", "Zelda.Quux@x.ca", "zelda@quux.onmicrosoft.example", "Zelda Quux", ""),
		"by principal name": member("zq-4711", "zelda@quux.example", "zelda.quux@X.ca", "Zelda Quux", "b"),
		"by id":             member("zq-4711", "", "", "Zelda Quux", "b"),
	} {
		t.Run(how, func(t *testing.T) {
			f := newFixture(t)
			source := f.tenant()
			f.upload(source, planted)
			f.reads(true, member("a", "ann@x.ca", "", "Ann", ""), member("b", "bob@x.ca", "", "Bob", "zq-4711"), zelda)
			f.reads(false, zelda, member("a", "ann@x.ca", "", "Ann Roy", ""))
			f.erase("zelda.quux@x.ca")
			f.nowhere("zelda", "quux", "zq-4711")
			f.members(source, "a ", "b ")
			if delta := f.reads(false, zelda, member("b", "bob@x.ca", "", "Bob", "zq-4711")); delta != "delta" {
				t.Errorf("it begins at %q", delta)
			}
			f.reads(true, zelda, member("b", "bob@x.ca", "", "Bob", "zq-4711"))
			f.nowhere("zelda", "quux", "zq-4711")
			f.members(source, "b ")
			f.must(f.store.Forget(t.Context(), f.operator, f.org, "zelda.quux@x.ca"))
			if delta := f.reads(true, zelda, member("b", "bob@x.ca", "", "Bob", "zq-4711")); delta != "" {
				t.Errorf("it begins at %q", delta)
			}
			f.members(source, "b zq-4711", "zq-4711 "+*zelda.Manager)
		})
	}
}

// TestR28_WhoIsInATenantOnlyIsErased holds that somebody can be erased whom nothing but a directory named, and in what connections and visits say.
func TestR28_WhoIsInATenantOnlyIsErased(t *testing.T) {
	f := newFixture(t)
	source := f.tenant()
	f.reads(true, member("zq-4711", "zelda.quux@x.ca", "", "Zelda Quux", ""), member("b", "bob@x.ca", "", "Bob", "zq-4711"))
	_, err := f.store.BeginVisit(t.Context(), store.Visit{Org: f.org, Step: store.StepSession, Source: source, Visitor: "Zelda.Quux@x.ca"}, "browser")
	f.must(err)
	f.clock.Move(time.Hour)
	r, err := f.store.TakeReading(t.Context(), f.operator)
	f.must(err)
	f.must(f.store.EndReading(t.Context(), f.operator, r, store.ReadingEnd{Next: f.clock.Now(), Problem: "Zelda Quux cannot be read", Alert: foyer.AlertUnread, Title: "cannot be read"}))
	f.erase("zelda.quux@x.ca")
	f.nowhere("zelda", "quux", "zq-4711")
	f.members(source, "b ")
	if _, err := f.store.Erase(t.Context(), f.operator, f.org, 0, "nobody@x.ca"); foyer.KindOf(err) != foyer.NotFound {
		t.Errorf("nobody was erased: %v", err)
	}
}

// TestR28_AReadingUnderWayDoesNotBringBack holds it for who is erased between what a reading wrote of them and its end.
func TestR28_AReadingUnderWayDoesNotBringBack(t *testing.T) {
	f := newFixture(t)
	source := f.tenant()
	zelda := member("zq-4711", "zelda.quux@x.ca", "", "Zelda Quux", "")
	r, err := f.store.TakeReading(t.Context(), f.operator)
	f.must(err)
	_, err = f.store.StoreReading(t.Context(), f.operator, r, true, "delta", func(yield func([]store.EntraItem) error) error {
		first := []store.EntraItem{zelda}
		for i := range 1500 {
			first = append(first, member(fmt.Sprintf("m%04d", i), "", "", "Member", "zq-4711"))
		}
		if err := yield(first); err != nil {
			return err
		}
		f.erase("zelda.quux@x.ca")
		return yield([]store.EntraItem{zelda, member("z", "", "", "Last", "zq-4711")})
	})
	f.must(err)
	f.nowhere("zelda", "quux", "zq-4711")
	if n := len(storetest.Rows(t, f.dir)["entra_person"]); n != 1501 {
		t.Errorf("%d people are left", n)
	}
	connections, err := f.store.Connections(t.Context(), f.operator, f.org)
	if err != nil || connections[0].People != 1501 || connections[0].Source != source {
		t.Errorf("%+v, %v", connections, err)
	}
}

// TestConnection_NothingOfARemovedTenantIsOnDisk holds that disconnecting leaves nothing in the database's log either.
func TestConnection_NothingOfARemovedTenantIsOnDisk(t *testing.T) {
	f := newFixture(t)
	source := f.tenant()
	f.reads(true, member("zq-4711", "zelda.quux@x.ca", "", "Zelda Quux", ""))
	if !f.onDisk("quux") {
		t.Fatal("it was not there")
	}
	_, err := f.store.EditConnection(t.Context(), f.operator, f.org, source, "disconnect", func(c *foyer.Connection) error { c.State = foyer.Removed; return nil })
	f.must(err)
	for end := time.Now().Add(20 * time.Second); f.onDisk("quux") && time.Now().Before(end); {
		time.Sleep(50 * time.Millisecond)
	}
	f.nowhere("zelda", "quux", "zq-4711")
}
