package connect_test

import (
	"net/url"
	"testing"
	"time"

	"foyer"
)

// TestRefused_NotesAreBounded holds that whoever has the state of a sign-in, from a browser's history say, cannot fill the audit with it.
func TestRefused_NotesAreBounded(t *testing.T) {
	f := newFixture(t)
	address, err := f.Begin(t.Context(), f.link(foyer.EntraLink{For: "acme.com"}), browser)
	f.must(err)
	begun, err := url.Parse(address)
	f.must(err)
	noted := func() (n int) {
		f.must(f.store.Audit(t.Context(), f.operator, f.org.ID, func(a *foyer.Audit) error {
			if a.Act == "entra.refuse" {
				n++
			}
			return nil
		}))
		return n
	}
	for range 60 {
		_, _, err := f.SignedIn(t.Context(), url.Values{"state": begun.Query()["state"], "code": {"x"}}, "another browser", here)
		if foyer.KindOf(err) != foyer.Forbidden {
			t.Fatalf("another browser is answered %v", err)
		}
	}
	if n := noted(); n != 20 {
		t.Errorf("%d of 60 refusals are noted, want 20", n)
	}
	f.clock.Move(time.Hour)
	f.SignedIn(t.Context(), url.Values{"state": begun.Query()["state"], "code": {"x"}}, "another browser", here)
	if n := noted(); n != 21 {
		t.Errorf("an hour later %d are noted, want 21", n)
	}
}
