package entra_test

import (
	"testing"
)

// TestUsers_ReadsEverybody holds that a full read brings each person, over several pages.
func TestUsers_ReadsEverybody(t *testing.T) {
	w := newWorld(t)
	w.acme.Populate(950, 1)
	p := must(t, w.tenant(), "")
	if got, want := len(p.byID()), len(w.acme.Users()); got != want {
		t.Errorf("%d people were read of %d", got, want)
	}
	if p.pages < 5 || p.link == "" {
		t.Errorf("there were %d pages, and the deltaLink %q", p.pages, p.link)
	}
}
