package oauth_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"foyer/oauth"
	"foyer/store"
)

// counts returns what is written of the tokens of a key, by address.
func (i *installation) counts(t *testing.T, c oauth.Credentials) map[string]store.TokenCount {
	t.Helper()
	all, err := i.store.TokenCounts(t.Context(), operator, i.org, c.ID, time.Now().Add(-time.Hour))
	must(t, err)
	by := map[string]store.TokenCount{}
	for _, count := range all {
		by[count.Address] = count
	}
	return by
}

func (i *installation) ask(t *testing.T, c oauth.Credentials, secret, from string) {
	t.Helper()
	i.Issue(t.Context(), oauth.Client{ID: string(c.ID), Secret: secret, From: netip.MustParseAddr(from)}, 0)
}

func TestCounts_TokensAreCountedByKeyAndAddress(t *testing.T) {
	i := install(t)
	c := i.key(t)
	for range 3 {
		i.ask(t, c, c.Secret, "203.0.113.7")
	}
	i.ask(t, c, "fs_wrong", "203.0.113.7")
	i.ask(t, c, "fs_wrong", "::ffff:203.0.113.8")
	must(t, i.Flush(t.Context()))
	i.ask(t, c, c.Secret, "203.0.113.7")
	must(t, i.Flush(t.Context()))
	got := i.counts(t, c)
	if one, other := got["203.0.113.7"], got["203.0.113.8"]; len(got) != 2 || one.Issued != 4 || one.Refused != 1 || other.Issued != 0 || other.Refused != 1 {
		t.Errorf("the counts are %+v", got)
	}
}

// TestCounts_AreBounded holds that whoever knows an id, and has many addresses, cannot fill the database: beyond 50 addresses in a minute the others are counted together. What is no key is not
// counted at all.
func TestCounts_AreBounded(t *testing.T) {
	i := install(t)
	c, unknown := i.key(t), i.NewCredentials(i.org)
	from := netip.MustParseAddr("10.0.0.0")
	for range 300 {
		from = from.Next()
		i.ask(t, c, "fs_wrong", from.String())
		i.ask(t, unknown, "fs_wrong", from.String())
	}
	must(t, i.Flush(t.Context()))
	got := i.counts(t, c)
	total := int64(0)
	for _, count := range got {
		total += count.Refused
	}
	if len(got) > 102 || got["others"].Refused < 150 || total != 300 { // twice as many where the minute ended meanwhile
		t.Errorf("%d addresses, %d of others, %d in all", len(got), got["others"].Refused, total)
	}
	if got := i.counts(t, unknown); len(got) != 0 {
		t.Errorf("of an unknown id there are %v", got)
	}
}

// TestCounts_SurviveAWriteThatFails holds that what could not be written is counted on.
func TestCounts_SurviveAWriteThatFails(t *testing.T) {
	i := install(t)
	c := i.key(t)
	i.ask(t, c, c.Secret, "203.0.113.7")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := i.Flush(gone); err == nil {
		t.Fatal("the write did not fail")
	}
	i.ask(t, c, c.Secret, "203.0.113.7")
	must(t, i.Flush(t.Context()))
	if got := i.counts(t, c); got["203.0.113.7"].Issued != 2 {
		t.Errorf("the counts are %+v", got)
	}
}
