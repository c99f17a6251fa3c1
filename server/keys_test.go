package server_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"foyer"
	"foyer/foyertest"
	"foyer/script"
	"foyer/server"
	"foyer/store"
)

// keyOf is the key of a tenant's script.
func keyOf(f *foyertest.Foyer) foyer.KeyID { return foyer.KeyID(f.Script.ClientID) }

// rotate gives the script's key another secret and returns a script that has it.
func rotate(t *testing.T, f *foyertest.Foyer, overlap time.Duration) *script.Script {
	t.Helper()
	fresh := *f.Script
	secret, mac := f.Authority.NewSecret(f.Org.ID, keyOf(f))
	_, err := f.Store.RotateKey(t.Context(), f.Operator, f.Org.ID, keyOf(f), mac, overlap)
	must(t, err)
	fresh.ClientSecret = secret
	return &fresh
}

// alertKinds returns the kinds of the open alerts, once what is to be noted of keys is written.
func alertKinds(t *testing.T, f *foyertest.Foyer) string {
	t.Helper()
	f.Authority.Close()
	alerts, err := f.Store.Alerts(t.Context(), f.Operator, f.Org.ID, false)
	must(t, err)
	kinds := []string{}
	for _, a := range alerts {
		kinds = append(kinds, string(a.Kind))
	}
	return strings.Join(kinds, " ")
}

func TestRotate_BothSecretsWorkUntilTheOldOneEnds(t *testing.T) {
	f := foyertest.Start(t)
	fresh := rotate(t, f, 24*time.Hour)
	f.Clock.Move(24*time.Hour - time.Second)
	wantToken(t, askToken(t, f.Script, ""))
	wantToken(t, askToken(t, fresh, ""))
	if kinds := alertKinds(t, f); kinds != "" {
		t.Errorf("the alerts are %s", kinds)
	}
	f.Clock.Move(time.Second)
	wantOAuth(t, askToken(t, f.Script, ""), 401, "invalid_client")
	wantToken(t, askToken(t, fresh, ""))
	if kinds := alertKinds(t, f); kinds != "key_ended" {
		t.Errorf("the alerts are %q, want key_ended", kinds)
	}
}

// TestRotate_TokenEndsWithItsSecret holds that no token outlives the secret that it was got with.
func TestRotate_TokenEndsWithItsSecret(t *testing.T) {
	f := foyertest.Start(t)
	rotate(t, f, 10*time.Minute)
	if got := wantToken(t, askToken(t, f.Script, "")); got.ExpiresIn > 600 || got.ExpiresIn < 500 {
		t.Errorf("a secret of 10 minutes gives a token of %d s", got.ExpiresIn)
	}
}

func TestRotate_AtOnceEndsTheTokens(t *testing.T) {
	f := foyertest.Start(t)
	bearer := token(t, f.Script)
	fresh := rotate(t, f, 0)
	wantInvalidToken(t, f, bearer, "expired or been revoked")
	wantOAuth(t, askToken(t, f.Script, ""), 401, "invalid_client")
	wantToken(t, askToken(t, fresh, ""))
}

// TestKey_WhatHasEndedNeverLivesAgain tries all that can be done to a key that has ended: neither its secret nor its token works again.
func TestKey_WhatHasEndedNeverLivesAgain(t *testing.T) {
	f := foyertest.Start(t)
	end := map[string]func(t *testing.T, f *foyertest.Foyer){
		"revoked": func(t *testing.T, f *foyertest.Foyer) {
			must(t, f.Store.RevokeKey(t.Context(), f.Operator, f.Org.ID, keyOf(f)))
		},
		"expired": func(t *testing.T, f *foyertest.Foyer) { f.Clock.Move(time.Minute) },
		"deleted": func(t *testing.T, f *foyertest.Foyer) {
			must(t, f.Store.RevokeKey(t.Context(), f.Operator, f.Org.ID, keyOf(f)))
			must(t, f.Store.DeleteKey(t.Context(), f.Operator, f.Org.ID, keyOf(f)))
		},
		"rotated": func(t *testing.T, f *foyertest.Foyer) { rotate(t, f, 0) },
	}
	for name, end := range end {
		t.Run(name, func(t *testing.T) {
			f := tenantWith(t, f, store.NewKey{ExpiresAt: f.Clock.Now().Add(time.Minute)})
			bearer, id := token(t, f.Script), keyOf(f)
			end(t, f)
			mac := []byte("whatever")
			for act, try := range map[string]func(){
				"rotate":         func() { f.Store.RotateKey(t.Context(), f.Operator, f.Org.ID, id, mac, time.Hour) },
				"rotate at once": func() { f.Store.RotateKey(t.Context(), f.Operator, f.Org.ID, id, mac, 0) },
				"allow":          func() { allowed(t, f) },
				"revoke":         func() { f.Store.RevokeKey(t.Context(), f.Operator, f.Org.ID, id) },
				"delete":         func() { f.Store.DeleteKey(t.Context(), f.Operator, f.Org.ID, id) },
				"create anew": func() {
					f.Store.CreateKey(t.Context(), f.Operator, f.Org.ID, store.NewKey{ID: id, SecretMAC: mac, Scopes: foyer.ScopeSync})
				},
			} {
				try()
				wantOAuth(t, askToken(t, f.Script, ""), 401, "invalid_client")
				if reply := uploadWith(t, f, bearer, ann, unchanged); reply.Status != 401 {
					t.Errorf("after %s the token gives %d %s", act, reply.Status, reply.Body)
				}
			}
		})
	}
}

func allowed(t *testing.T, f *foyertest.Foyer) {
	f.Store.AllowKey(t.Context(), f.Operator, f.Org.ID, keyOf(f), foyer.Allowed{})
}

// TestKey_IdIsNotIssuedAgain holds that neither an id in use nor one that was deleted can be given to a key.
func TestKey_IdIsNotIssuedAgain(t *testing.T) {
	f := foyertest.Start(t)
	again := func() error {
		_, _, err := f.Store.CreateKey(t.Context(), f.Operator, f.Org.ID, store.NewKey{ID: keyOf(f), SecretMAC: []byte("x"), Scopes: foyer.ScopeSync})
		return err
	}
	if err := again(); foyer.KindOf(err) != foyer.Conflict {
		t.Errorf("the id of a living key: %v", err)
	}
	must(t, f.Store.RevokeKey(t.Context(), f.Operator, f.Org.ID, keyOf(f)))
	must(t, f.Store.DeleteKey(t.Context(), f.Operator, f.Org.ID, keyOf(f)))
	if err := again(); foyer.KindOf(err) != foyer.Conflict || !strings.Contains(err.Error(), "none is issued twice") {
		t.Errorf("the id of a deleted key: %v", err)
	}
}

// TestKey_LivingOneCannotBeDeleted holds that a key ends before it is removed, so that its end is in the audit.
func TestKey_LivingOneCannotBeDeleted(t *testing.T) {
	f := foyertest.Start(t)
	if err := f.Store.DeleteKey(t.Context(), f.Operator, f.Org.ID, keyOf(f)); foyer.KindOf(err) != foyer.Conflict {
		t.Errorf("the error is %v", err)
	}
	wantToken(t, askToken(t, f.Script, ""))
}

// TestLeak_RightSecretInTheURLFlagsTheKey holds that the key is flagged, wherever its id stands, and only where the secret is right: others could flag any key.
func TestLeak_RightSecretInTheURLFlagsTheKey(t *testing.T) {
	f := foyertest.Start(t)
	for name, test := range map[string]struct {
		ask  func(s *script.Script) (form string, change func(*http.Request))
		want string
	}{
		"id and secret": {func(s *script.Script) (string, func(*http.Request)) { return "", query(grant + "&" + inBody(s)) }, "key_leaked"},
		"secret alone, id in the body": {func(s *script.Script) (string, func(*http.Request)) {
			return grant + "&client_id=" + s.ClientID, query("client_secret=" + s.ClientSecret)
		}, "key_leaked"},
		"wrong secret": {func(s *script.Script) (string, func(*http.Request)) {
			return "", query(grant + "&client_id=" + s.ClientID + "&client_secret=" + s.ClientSecret + "a")
		}, ""},
		"id alone": {func(s *script.Script) (string, func(*http.Request)) { return "", query("client_id=" + s.ClientID) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := tenant(t, f)
			form, change := test.ask(f.Script)
			wantOAuth(t, askForm(t, f.Script, tokenPath, form, change), 400, "invalid_request")
			if got := alertKinds(t, f); got != test.want {
				t.Errorf("the alerts are %q, want %q", got, test.want)
			}
		})
	}
}

// TestLeak_IsOverOnceTheKeyIsRotated holds that the alert ends with its cause.
func TestLeak_IsOverOnceTheKeyIsRotated(t *testing.T) {
	f := foyertest.Start(t)
	askForm(t, f.Script, tokenPath, "", query(grant+"&"+inBody(f.Script)))
	if got := alertKinds(t, f); got != "key_leaked" {
		t.Fatalf("the alerts are %q", got)
	}
	rotate(t, f, time.Hour)
	if got := alertKinds(t, f); got != "" {
		t.Errorf("the alerts are %q", got)
	}
}

// fail sends so many wrong secrets of a key from an address, and returns the last reply.
func fail(t *testing.T, f *foyertest.Foyer, times int, address string) (reply *script.Reply) {
	t.Helper()
	wrong := *f.Script
	wrong.ClientSecret = "fs_wrong"
	for range times {
		reply = askForm(t, &wrong, tokenPath, grant+"&"+inBody(&wrong), from(address))
	}
	return reply
}

// onTheMinute moves the clock to the beginning of a minute.
func onTheMinute(f *foyertest.Foyer) {
	now := f.Clock.Now()
	f.Clock.Move(now.Truncate(time.Minute).Add(time.Minute).Sub(now))
}

// wantLimited checks that a reply is 429, and that its client is told to wait for the rest of the minute.
func wantLimited(t *testing.T, r *script.Reply, atMost int) {
	t.Helper()
	if wait, err := strconv.Atoi(r.Header.Get("Retry-After")); r.Status != http.StatusTooManyRequests || err != nil || wait < 1 || wait > atMost {
		t.Errorf("got %d, Retry-After %q, %s", r.Status, r.Header.Get("Retry-After"), r.Body)
	}
}

// TestFailures_AreSlowedByKeyAndAddress holds that after 20 failures within a minute further ones of that key and address are told to wait, and nobody else is: not the right secret
// from there, not another address, not another key.
func TestFailures_AreSlowedByKeyAndAddress(t *testing.T) {
	f := proxied(t, server.Config{})
	onTheMinute(f)
	const here = "203.0.113.7"
	wantOAuth(t, fail(t, f, 20, here), 401, "invalid_client")
	f.Clock.Move(15 * time.Second)
	wantLimited(t, fail(t, f, 1, here), 45)
	if status := tokenFrom(t, f, here); status != http.StatusOK {
		t.Errorf("the right secret gets %d", status)
	}
	wantOAuth(t, fail(t, f, 1, "203.0.113.8"), 401, "invalid_client")
	wantOAuth(t, fail(t, tenant(t, f), 1, here), 401, "invalid_client")
	f.Clock.Move(45 * time.Second)
	wantOAuth(t, fail(t, f, 1, here), 401, "invalid_client")
}

// TestFailures_OfAnIPv6NetworkCountTogether holds that who has a whole network does not get 20 failures for each of its addresses.
func TestFailures_OfAnIPv6NetworkCountTogether(t *testing.T) {
	f := proxied(t, server.Config{})
	onTheMinute(f)
	for i := range 20 {
		fail(t, f, 1, "2001:db8::"+strconv.Itoa(i+1))
	}
	wantLimited(t, fail(t, f, 1, "2001:db8::ffff:1"), 60)
	wantOAuth(t, fail(t, f, 1, "2001:db8:0:1::1"), 401, "invalid_client")
}

// TestFailures_UnknownIdsAreSlowedLikeKnownOnes holds that the limit does not tell who exists.
func TestFailures_UnknownIdsAreSlowedLikeKnownOnes(t *testing.T) {
	f := foyertest.Start(t)
	onTheMinute(f)
	unknown := *f
	s := *f.Script
	s.ClientID = string(f.Authority.NewCredentials(f.Org.ID).ID)
	unknown.Script = &s
	one, other := fail(t, f, 21, ""), fail(t, &unknown, 21, "")
	wantLimited(t, other, 60)
	if seen(one) != seen(other) {
		t.Errorf("they differ:\n%s\n%s", seen(one), seen(other))
	}
}

// TestFailures_RightSecretOfAnEndedKeyIsNotTold holds that while failures are slowed a right secret that may not be used, of an ended key or from a forbidden address, gets the answer of a wrong one.
func TestFailures_RightSecretOfAnEndedKeyIsNotTold(t *testing.T) {
	f := proxied(t, server.Config{})
	onTheMinute(f)
	for name, forbid := range map[string]func(t *testing.T, f *foyertest.Foyer){
		"ended": func(t *testing.T, f *foyertest.Foyer) {
			must(t, f.Store.RevokeKey(t.Context(), f.Operator, f.Org.ID, keyOf(f)))
		},
		"address": func(t *testing.T, f *foyertest.Foyer) { allow(t, f, "198.51.100.1") },
	} {
		t.Run(name, func(t *testing.T) {
			f := tenant(t, f)
			forbid(t, f)
			wrong := fail(t, f, 21, "203.0.113.7")
			right := askForm(t, f.Script, tokenPath, grant+"&"+inBody(f.Script), from("203.0.113.7"))
			if seen(right) != seen(wrong) {
				t.Errorf("the right secret is told from a wrong one:\n%s\n%s", seen(right), seen(wrong))
			}
		})
	}
}

// TestUploads_AreLimitedByKey holds that the 121st upload within a minute has to wait, and that another key, and the next minute, are let in.
func TestUploads_AreLimitedByKey(t *testing.T) {
	f := foyertest.Start(t)
	onTheMinute(f)
	bearer := token(t, f.Script)
	for i := range 120 {
		if reply := uploadWith(t, f, bearer, ann, query("dry_run=1")); reply.Status != http.StatusOK {
			t.Fatalf("upload %d: %d %s", i+1, reply.Status, reply.Body)
		}
	}
	f.Clock.Move(20 * time.Second)
	reply := uploadWith(t, f, bearer, ann, unchanged)
	wantProblem(t, reply, 429, "too-many-requests")
	wantLimited(t, reply, 40)
	wantLimited(t, uploadWith(t, f, token(t, f.Script), ann, unchanged), 40) // another token of the key
	other := *f
	other.Script = f.NewKey(t, f.Org, store.NewKey{})
	wantBook(t, f)
	wantLine(t, upload(t, &other, ann, unchanged), annLine)
	f.Clock.Move(40 * time.Second)
	if reply := uploadWith(t, f, bearer, ann, unchanged); reply.Status != http.StatusOK {
		t.Errorf("in the next minute: %d %s", reply.Status, reply.Body)
	}
}

// TestRevocations_AreLimitedByKey holds that a key cannot fill the audit by revoking tokens.
func TestRevocations_AreLimitedByKey(t *testing.T) {
	f := foyertest.Start(t)
	onTheMinute(f)
	for range 120 {
		if reply := revoke(t, f, f.Script, token(t, f.Script)); reply.Status != http.StatusOK {
			t.Fatalf("%d %s", reply.Status, reply.Body)
		}
	}
	last := token(t, f.Script)
	wantLimited(t, revoke(t, f, f.Script, last), 60)
	if reply := uploadWith(t, f, last, ann, unchanged); reply.Status != http.StatusOK {
		t.Errorf("the token that was not revoked gives %d", reply.Status)
	}
}
