package store

import (
	"errors"
	"testing"

	"foyer"
)

// erasing is an organization with one entry, and its erasure that has looked but written nothing.
func erasing(t *testing.T, s *Store) (foyer.OrgID, foyer.SourceID, *erasure) {
	t.Helper()
	operator := foyer.Operator("root")
	org, err := s.CreateOrg(t.Context(), operator, "Acme", "CA")
	if err != nil {
		t.Fatal(err)
	}
	source, err := s.CreateSource(t.Context(), operator, org.ID, foyer.Source{Name: "hr", Kind: foyer.CSV})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Update(t.Context(), operator, Act{Org: org.ID, Right: foyer.EditBook}, func(b *Book) (*Delta, error) {
		entry := &foyer.Entry{ID: 1, Enabled: true}
		entry.Values[foyer.Email] = "zelda@x.ca"
		return &Delta{Run: &foyer.Run{Kind: foyer.Edit, Status: foyer.Applied}, Writes: func(yield func(*Write, error) bool) {
			yield(&Write{ID: 1, Entry: entry, New: true, Key: "zelda@x.ca"}, nil)
		}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var e *erasure
	err = s.snapshot(t.Context(), org.ID, "look", func(txn *txn) error {
		e = newErasure(s, txn, org.ID)
		if found, err := e.find(0, "zelda@x.ca"); err != nil || !found {
			t.Fatalf("found %v: %v", found, err)
		}
		return e.locate()
	})
	if err != nil {
		t.Fatal(err)
	}
	return org.ID, source.ID, e
}

func write(t *testing.T, e *erasure) error {
	return e.s.transact(t.Context(), e.org, "erase", func(txn *txn) error {
		return e.write(txn, foyer.Operator("root"), &foyer.Run{Kind: foyer.Erase, Status: foyer.Applied})
	})
}

// TestErase_StartsOverWhereTheBookChanged holds that what was found is not written once another process changed the book.
func TestErase_StartsOverWhereTheBookChanged(t *testing.T) {
	dir := t.TempDir()
	s, other := openBeside(t, dir), openBeside(t, dir)
	defer s.Close()
	defer other.Close()
	org, _, e := erasing(t, s)
	if _, err := other.CreateSite(t.Context(), foyer.Operator("root"), org, foyer.Site{Name: "Toronto"}); err != nil {
		t.Fatal(err)
	}
	if err := write(t, e); !errors.Is(err, errStale) {
		t.Errorf("got %v", err)
	}
}

// TestErase_TakesWhatWasRefusedMeanwhile holds that a refusal that names the person and came after the look, which changes no book, is erased too.
func TestErase_TakesWhatWasRefusedMeanwhile(t *testing.T) {
	s := openBeside(t, t.TempDir())
	defer s.Close()
	org, source, e := erasing(t, s)
	refused := &foyer.Run{Kind: foyer.Sync, Source: source, Status: foyer.Refused, Message: "of Zelda@x.ca", Problems: []foyer.Problem{{Value: "zelda@x.ca"}, {Value: "bob"}}}
	if err := s.RecordRun(t.Context(), foyer.Operator("root"), Act{Org: org, Right: foyer.SyncBook, Source: source}, refused); err != nil {
		t.Fatal(err)
	}
	if err := write(t, e); err != nil {
		t.Fatal(err)
	}
	r, err := s.Run(t.Context(), foyer.Operator("root"), org, refused.ID)
	if err != nil || r.Message != erasedText || len(r.Problems) != 1 || r.Problems[0].Value != "bob" {
		t.Errorf("it says %q and %v: %v", r.Message, r.Problems, err)
	}
}

// TestErase_LogIsEmptiedByWhoeverIsThere holds that a log which a process owes to empty, that ended, is emptied by another.
func TestErase_LogIsEmptiedByWhoeverIsThere(t *testing.T) {
	dir := t.TempDir()
	s, other := openBeside(t, dir), openBeside(t, dir)
	defer s.Close()
	defer other.Close()
	_, _, e := erasing(t, s)
	if err := write(t, e); err != nil {
		t.Fatal(err)
	}
	within10s(t, "nobody emptied it", func() bool {
		owed := 0
		err := other.snapshot(t.Context(), "", "look", func(txn *txn) error {
			return txn.get(`SELECT COUNT(*) FROM meta WHERE name LIKE 'empty_log %'`, nil, &owed)
		})
		return err == nil && owed == 0
	})
}

func TestErase_KeyText(t *testing.T) {
	for key, want := range map[string]string{"ann@x.ca": "ann@x.ca", "ann@xn--mnchen-3ya.de": "ann@", "zoé.li@x.ca": ".li@x.ca", "é@xn--a.de": "@"} {
		if got := keyText(key); got != want {
			t.Errorf("keyText(%q) = %q, want %q", key, got, want)
		}
	}
}

func TestErase_DistinguishedNames(t *testing.T) {
	e := &erasure{called: map[string]bool{"ann lee": true, "lee, ann": true}}
	for value, want := range map[string]bool{
		"Ann Lee": true, "cn=ANN LEE": true, "CN=Ann Lee,OU=Staff": true, `CN=Lee\, Ann,OU=Staff`: true,
		"Ann Leeson": false, "Joann Lee": false, "OU=Ann Lee": false, "Ann": false, "": false, `CN=Ann Lee\, Jr,OU=x`: false,
	} {
		if got := e.isCalled(value); got != want {
			t.Errorf("isCalled(%q) = %v", value, got)
		}
	}
}
