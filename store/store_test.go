package store

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"foyer"
	"foyer/store/storetest"
	"foyer/vault"
)

func TestOpen_RefusesOtherKeys(t *testing.T) {
	dir := t.TempDir()
	zero, one := strings.Repeat("00", 32), strings.Repeat("01", 32)
	for _, test := range []struct{ pepper, atRest, want string }{
		{zero, "1:" + zero, ""}, {one, "1:" + zero, "another pepper"}, {zero, "1:" + one, "key at rest number 1 is another one"}, {zero, "1:" + zero + " 2:" + one, ""}, {zero, "2:" + zero, "number 2 is another"},
	} {
		v, err := vault.Open(vault.Config{Pepper: test.pepper, AtRest: test.atRest})
		if err != nil {
			t.Fatal(err)
		}
		s, err := Open(t.Context(), Config{Dir: dir, Vault: v})
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Fatalf("the error is %v, want %q", err, test.want)
		}
		if err == nil {
			s.Close()
		}
	}
}

// newOrg makes an organization.
func newOrg(t *testing.T, s *Store) foyer.Org {
	t.Helper()
	org, err := s.CreateOrg(t.Context(), operator, "Élan & Fils 2", "")
	if err != nil {
		t.Fatal(err)
	}
	return org
}

var operator = foyer.Operator("test")

func TestCreateOrg_SlugHasNoAccents(t *testing.T) {
	if org := newOrg(t, openTest(t)); org.Slug != "elan-fils-2" {
		t.Errorf("the slug is %q", org.Slug)
	}
}

// TestR19_OneAtATime holds that acts of an organization never overlap, and those of two do.
func TestR19_OneAtATime(t *testing.T) {
	s := openTest(t)
	org := newOrg(t, s)
	inside, most := 0, 0
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			err := s.Update(context.Background(), operator, Act{Org: org.ID, Right: foyer.EditBook}, func(*Book) (*Delta, error) {
				mu.Lock()
				inside++
				most = max(most, inside)
				mu.Unlock()
				time.Sleep(time.Millisecond)
				mu.Lock()
				inside--
				mu.Unlock()
				return &Delta{Run: &foyer.Run{Kind: foyer.Edit, Status: foyer.Applied}}, nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if most != 1 {
		t.Errorf("%d acts of one organization ran at once", most)
	}
	if len(s.locks.held) != 0 {
		t.Errorf("%d locks are held by nobody", len(s.locks.held))
	}
}

// TestR18_FailureWritesNothing holds that a delta which fails on the way leaves nothing behind, and that the next one goes through.
func TestR18_FailureWritesNothing(t *testing.T) {
	s := openTest(t)
	org := newOrg(t, s)
	broken := errors.New("broken")
	for _, fail := range []error{broken, nil} {
		err := s.Update(t.Context(), operator, Act{Org: org.ID, Right: foyer.EditBook}, func(b *Book) (*Delta, error) {
			return &Delta{Run: &foyer.Run{Kind: foyer.Edit, Status: foyer.Applied}, Writes: func(yield func(*Write, error) bool) {
				for i := range foyer.EntryID(2000) {
					e := &foyer.Entry{ID: b.NextEntry + i, Enabled: true}
					if !yield(&Write{ID: e.ID, Entry: e, New: true, Key: e.ID.String()}, nil) {
						return
					}
				}
				if fail != nil {
					yield(nil, fail)
				}
			}}, nil
		})
		if !errors.Is(err, fail) {
			t.Fatalf("the error is %v, want %v", err, fail)
		}
		count := 0
		if err := s.Entries(t.Context(), operator, org.ID, func(*foyer.Entry) error { count++; return nil }); err != nil {
			t.Fatal(err)
		}
		if want := map[bool]int{true: 0, false: 2000}[fail != nil]; count != want {
			t.Errorf("%d entries are there, want %d", count, want)
		}
	}
}

// TestUpdate_StartsOverWhereTheBookChanged holds that what was planned on an older book is not written.
func TestUpdate_StartsOverWhereTheBookChanged(t *testing.T) {
	storetest.SQLiteOnly(t)
	s := openTest(t)
	org := newOrg(t, s)
	calls := 0
	err := s.Update(t.Context(), operator, Act{Org: org.ID, Right: foyer.EditBook}, func(*Book) (*Delta, error) {
		if calls++; calls == 1 {
			if _, err := s.CreateSite(t.Context(), operator, org.ID, foyer.Site{Name: "Toronto"}); err != nil {
				t.Fatal(err)
			}
		}
		return &Delta{Run: &foyer.Run{Kind: foyer.Edit, Status: foyer.Applied}}, nil
	})
	if err != nil || calls != 2 {
		t.Errorf("it was planned %d times, want twice (%v)", calls, err)
	}
}

func TestCaller_KeyOfAnotherOrganizationSeesNothing(t *testing.T) {
	s := openTest(t)
	org := newOrg(t, s)
	stranger := foyer.KeyCaller("zzzzzz", &foyer.Key{ID: "fk_x", Source: 1, Scopes: foyer.ScopeRead | foyer.ScopeSync}, 1, foyer.ScopeRead|foyer.ScopeSync, operator.Address)
	for _, id := range []foyer.OrgID{org.ID, "qqqqqq"} {
		_, err := s.Runs(t.Context(), stranger, id, 0, false)
		if foyer.KindOf(err) != foyer.NotFound || err.Error() != "there is no such organization" {
			t.Errorf("for %s the error is %v", id, err)
		}
	}
}

// TestUpdate_PanicFailsTheDeltaOnly holds that a fault in working out one organization's delta does not end the process.
func TestUpdate_PanicFailsTheDeltaOnly(t *testing.T) {
	s := openTest(t)
	org := newOrg(t, s)
	err := s.Update(t.Context(), operator, Act{Org: org.ID, Right: foyer.EditBook}, func(*Book) (*Delta, error) {
		return &Delta{Run: &foyer.Run{Kind: foyer.Edit, Status: foyer.Applied}, Writes: func(func(*Write, error) bool) { panic("one bad row") }}, nil
	})
	if err == nil || !strings.Contains(err.Error(), "one bad row") {
		t.Errorf("the error is %v", err)
	}
	if runs, err := s.Runs(t.Context(), operator, org.ID, 0, true); err != nil || len(runs) != 0 {
		t.Errorf("the runs are %v, %v", runs, err)
	}
}

// TestLookupKey_DoesNotWaitForSyncs holds that a token can be had while more syncs wait than the pool of books has connections.
func TestLookupKey_DoesNotWaitForSyncs(t *testing.T) {
	s := openTest(t)
	waiting, release := make(chan struct{}, 16), make(chan struct{})
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			err := s.snapshot(context.Background(), "", "wait", func(*txn) error {
				waiting <- struct{}{}
				<-release
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	for range 16 {
		<-waiting
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := s.LookupKey(ctx, "aaaaaa", "fk_x"); foyer.KindOf(err) != foyer.NotFound {
		t.Errorf("the error is %v, want that there is no such key", err)
	}
	close(release)
	all.Wait()
}
