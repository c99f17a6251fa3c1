package oauth_test

import (
	"io"
	"log/slog"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"foyer"
	"foyer/foyertest"
	"foyer/oauth"
	"foyer/store"
	"foyer/vault"
)

// alphabet is what the seed's script can put into a form without escaping it.
const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"

// installation is an authority and the store that it works on.
type installation struct {
	*oauth.Authority
	store *store.Store
	org   foyer.OrgID
}

var operator = foyer.Operator("test")

// install makes an installation with a pepper of its own.
func install(t *testing.T) *installation {
	t.Helper()
	s, v := foyertest.OpenStore(t, t.TempDir(), time.Now)
	i := &installation{store: s, Authority: oauth.New(s, v, slog.New(slog.NewTextHandler(io.Discard, nil)))}
	t.Cleanup(i.Authority.Close)
	org, err := s.CreateOrg(t.Context(), operator, "Acme", "")
	must(t, err)
	i.org = org.ID
	return i
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// key makes a key that is stored.
func (i *installation) key(t *testing.T) oauth.Credentials {
	t.Helper()
	c := i.NewCredentials(i.org)
	_, _, err := i.store.CreateKey(t.Context(), operator, i.org, store.NewKey{ID: c.ID, SecretMAC: c.SecretMAC, Scopes: foyer.ScopeSync})
	must(t, err)
	return c
}

func (i *installation) token(t *testing.T, c oauth.Credentials) string {
	t.Helper()
	token, err := i.Issue(t.Context(), oauth.Client{ID: string(c.ID), Secret: c.Secret}, 0)
	must(t, err)
	return token.Text
}

// accepts tells whether a token is good.
func (i *installation) accepts(t *testing.T, token string) bool {
	t.Helper()
	_, err := i.Caller(t.Context(), token, netip.Addr{})
	if err != nil && foyer.KindOf(err) != foyer.Unauthenticated {
		t.Fatalf("the error is of another kind: %v", err)
	}
	return err == nil
}

func TestFormat_PrefixOrganizationAlphabet(t *testing.T) {
	i := install(t)
	c := i.key(t)
	for prefix, text := range map[string]string{"fk_": string(c.ID), "fs_": c.Secret, "ft_": i.token(t, c)} {
		if !strings.HasPrefix(text, prefix+string(i.org)) {
			t.Errorf("%s does not begin with %s and the organization %s", text, prefix, i.org)
		}
		if rest := strings.Trim(text, alphabet); rest != "" {
			t.Errorf("%s holds characters that a form would have to escape", text)
		}
	}
}

func TestFormat_NothingIsIssuedTwice(t *testing.T) {
	i := install(t)
	seen := map[string]bool{}
	for range 200 {
		c := i.NewCredentials(i.org)
		for _, text := range []string{string(c.ID), c.Secret} {
			if seen[text] {
				t.Fatalf("%s was issued twice", text)
			}
			seen[text] = true
		}
	}
}

func TestFormat_OrgOf(t *testing.T) {
	i := install(t)
	c := i.NewCredentials(i.org)
	if org, ok := oauth.OrgOf(c.ID); !ok || org != i.org {
		t.Errorf("the organization of %s is %q, %v; want %s", c.ID, org, ok, i.org)
	}
	for _, text := range []string{"", "fk_", "fk_abcdef", c.Secret, strings.ToUpper(string(c.ID)), string(c.ID) + " "} {
		if org, ok := oauth.OrgOf(foyer.KeyID(text)); ok {
			t.Errorf("%q passes for a client id of %s", text, org)
		}
	}
}

// TestFormat_ChecksumDetectsAnySlip holds that an id with any one character replaced by any other of the alphabet is no id.
func TestFormat_ChecksumDetectsAnySlip(t *testing.T) {
	id := string(install(t).NewCredentials("abcdef").ID)
	for at := range id {
		for _, c := range alphabet {
			slip := id[:at] + string(c) + id[at+1:]
			if org, ok := oauth.OrgOf(foyer.KeyID(slip)); ok && slip != id {
				t.Errorf("%s, a slip of %s at %d, passes for an id of %s", slip, id, at, org)
			}
		}
	}
}

// TestFormat_ChecksumDetectsSwaps holds that two neighbours in the wrong order are noticed.
func TestFormat_ChecksumDetectsSwaps(t *testing.T) {
	id := string(install(t).NewCredentials("abcdef").ID)
	for at := range len(id) - 1 {
		slip := id[:at] + id[at+1:at+2] + id[at:at+1] + id[at+2:]
		if _, ok := oauth.OrgOf(foyer.KeyID(slip)); ok && slip != id {
			t.Errorf("%s, a slip of %s at %d, passes for an id", slip, id, at)
		}
	}
}

func TestToken_AnySlipIsRefused(t *testing.T) {
	i := install(t)
	text := i.token(t, i.key(t))
	for at := range text {
		slip := text[:at] + string(alphabet[(strings.IndexByte(alphabet, text[at])+1)%len(alphabet)]) + text[at+1:]
		if i.accepts(t, slip) {
			t.Errorf("%s, a slip of %s at %d, is a good token", slip, text, at)
		}
	}
}

// TestToken_OtherPepper holds that an installation with the same keys and another pepper takes neither the tokens nor the secrets of the first.
func TestToken_OtherPepper(t *testing.T) {
	i := install(t)
	c := i.key(t)
	text := i.token(t, c)
	v, err := vault.Open(vault.Config{Dir: t.TempDir()})
	must(t, err)
	other := &installation{Authority: oauth.New(i.store, v, slog.New(slog.NewTextHandler(io.Discard, nil)))}
	if other.accepts(t, text) {
		t.Error("a token of another pepper is good")
	}
	if _, err := other.Issue(t.Context(), oauth.Client{ID: string(c.ID), Secret: c.Secret}, 0); foyer.KindOf(err) != foyer.Unauthenticated {
		t.Errorf("a secret of another pepper gives %v", err)
	}
	if !i.accepts(t, text) {
		t.Error("the token is no longer good where it was issued")
	}
}

// TestSecret_BoundToItsKey holds that a secret is good for one id only.
func TestSecret_BoundToItsKey(t *testing.T) {
	i := install(t)
	one, other := i.key(t), i.key(t)
	if _, err := i.Issue(t.Context(), oauth.Client{ID: string(one.ID), Secret: other.Secret}, 0); foyer.KindOf(err) != foyer.Unauthenticated {
		t.Errorf("the secret of another key gives %v", err)
	}
}

func TestToken_CallerIsItsKey(t *testing.T) {
	i := install(t)
	c := i.key(t)
	from := netip.MustParseAddr("192.0.2.7")
	caller, err := i.Caller(t.Context(), i.token(t, c), from)
	must(t, err)
	want := foyer.Caller{Name: "key " + string(c.ID), Org: i.org, Key: c.ID, Secret: 1, Source: 1, Scopes: foyer.ScopeSync, Address: from}
	if !reflect.DeepEqual(caller, want) {
		t.Errorf("the caller is %+v, want %+v", caller, want)
	}
}

// TestKey_UseIsNoted holds that one can see when a key was used last.
func TestKey_UseIsNoted(t *testing.T) {
	i := install(t)
	c := i.key(t)
	i.token(t, c)
	i.Close()
	key, err := i.store.LookupKey(t.Context(), i.org, c.ID)
	must(t, err)
	if ago := time.Since(key.LastUse().LastUsed); ago < 0 || ago > time.Minute {
		t.Errorf("last used at %v, %v ago; want now", key.LastUse().LastUsed, ago)
	}
}

// TestKey_EndsAtItsExpiry holds that a key is good up to its end and not at it.
func TestKey_EndsAtItsExpiry(t *testing.T) {
	end := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	key := foyer.Key{ExpiresAt: end}
	if !key.Live(end.Add(-time.Nanosecond)) || key.Live(end) || key.State(end) != "expired" {
		t.Errorf("live before its end: %v; at it: %v, %s", key.Live(end.Add(-time.Nanosecond)), key.Live(end), key.State(end))
	}
}

// TestR27_UseAfterTheEndIsNotedOfHoldersOnly holds that an alert opens for who has an ended key's secret or a token got with it, and that nothing
// is remembered of others, however many ids they try.
func TestR27_UseAfterTheEndIsNotedOfHoldersOnly(t *testing.T) {
	for name, c := range map[string]struct {
		use  func(i *installation, c oauth.Credentials, token string)
		want int
	}{
		"the secret": {func(i *installation, c oauth.Credentials, _ string) {
			i.Issue(t.Context(), oauth.Client{ID: string(c.ID), Secret: c.Secret}, 0)
		}, 1},
		"a token": {func(i *installation, _ oauth.Credentials, token string) { i.accepts(t, token) }, 1},
		"the id alone": {func(i *installation, c oauth.Credentials, _ string) {
			i.Issue(t.Context(), oauth.Client{ID: string(c.ID), Secret: "fs_x"}, 0)
		}, 0},
		"a forged token": {func(i *installation, _ oauth.Credentials, token string) { i.accepts(t, token[:len(token)-1]+"_") }, 0},
		"an unknown id": {func(i *installation, _ oauth.Credentials, _ string) {
			i.Issue(t.Context(), oauth.Client{ID: string(i.NewCredentials(i.org).ID), Secret: "fs_x"}, 0)
		}, 0},
		"nothing used it": {func(*installation, oauth.Credentials, string) {}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			i := install(t)
			key := i.key(t)
			token := i.token(t, key)
			must(t, i.store.RevokeKey(t.Context(), operator, i.org, key.ID))
			c.use(i, key, token)
			i.Close()
			alerts, err := i.store.Alerts(t.Context(), operator, i.org, true)
			must(t, err)
			if len(alerts) != c.want || c.want > 0 && (alerts[0].Kind != foyer.AlertKeyEnded || alerts[0].Key != key.ID) {
				t.Errorf("the alerts are %+v, want %d", alerts, c.want)
			}
		})
	}
}
