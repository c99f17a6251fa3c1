package store

import (
	"testing"
	"time"

	"foyer"
)

// TestPrune_CountsOfTokensGoAfter90Days holds that they do so also in an organization that has nothing else to be pruned.
func TestPrune_CountsOfTokensGoAfter90Days(t *testing.T) {
	s := openTest(t)
	org := newOrg(t, s).ID
	key, _, err := s.CreateKey(t.Context(), operator, org, NewKey{ID: "fk_a", SecretMAC: []byte("x"), Scopes: foyer.ScopeSync})
	if err != nil {
		t.Fatal(err)
	}
	now := s.clock()
	for _, age := range []time.Duration{0, keepCounts - time.Hour, keepCounts + time.Hour} {
		if err := s.CountTokens(t.Context(), org, []TokenCount{{Org: org, Key: key.ID, Minute: now.Add(-age), Address: "203.0.113.7", Refused: 1}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Prune(t.Context(), operator, 90*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	counts, err := s.TokenCounts(t.Context(), operator, org, key.ID, time.Time{})
	if err != nil || len(counts) != 1 || counts[0].Refused != 2 {
		t.Errorf("the counts are %+v, %v; want 2", counts, err)
	}
}
