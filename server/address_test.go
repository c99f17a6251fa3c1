package server_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"foyer"
	"foyer/foyertest"
	"foyer/server"
	"foyer/store"
)

// prefixes reads addresses and ranges.
func prefixes(t *testing.T, texts ...string) []netip.Prefix {
	t.Helper()
	all, err := foyer.ParseAllowed(texts)
	must(t, err)
	return all
}

// proxied is a server behind proxies: the tests' own machine, and 10.0.0.0/8.
func proxied(t *testing.T, c server.Config) *foyertest.Foyer {
	t.Helper()
	c.TrustedProxies = prefixes(t, "127.0.0.1", "10.0.0.0/8", "fd00::/8")
	return foyertest.StartWith(t, c)
}

// allow sets the addresses of the script's key; none: anywhere.
func allow(t *testing.T, f *foyertest.Foyer, texts ...string) {
	t.Helper()
	_, err := f.Store.AllowKey(t.Context(), f.Operator, f.Org.ID, foyer.KeyID(f.Script.ClientID), foyer.Allowed{Prefixes: prefixes(t, texts...)})
	must(t, err)
}

func allowOrg(t *testing.T, f *foyertest.Foyer, texts ...string) {
	t.Helper()
	must(t, f.Store.AllowOrg(t.Context(), f.Operator, f.Org.ID, foyer.Allowed{Prefixes: prefixes(t, texts...)}))
}

// from lets a request come from an address, through the proxy.
func from(addresses ...string) func(*http.Request) {
	return func(r *http.Request) {
		if addresses[0] != "" {
			r.Header["X-Forwarded-For"] = addresses
		}
	}
}

// tokenFrom asks for a token from an address, and returns the status.
func tokenFrom(t *testing.T, f *foyertest.Foyer, addresses ...string) int {
	t.Helper()
	return askForm(t, f.Script, tokenPath, grant+"&"+inBody(f.Script), from(addresses...)).Status
}

// wantAddress checks that the server takes a request with these X-Forwarded-For lines to come from want: it is the one address that the key may be used from.
func wantAddress(t *testing.T, f *foyertest.Foyer, want string, lines ...string) {
	t.Helper()
	allow(t, f, want)
	if status := tokenFrom(t, f, lines...); status != http.StatusOK {
		t.Errorf("X-Forwarded-For %q does not come from %s: %d", lines, want, status)
	}
}

// proxy is whom a request comes from that names nobody believable.
const proxy = "127.0.0.1"

// TestAddress_BehindATrustedProxy holds that the rightmost address which is no trusted proxy's counts: what stands left of it the client may have made up. Where something
// stands there that is no address, the last proxy before it counts.
func TestAddress_BehindATrustedProxy(t *testing.T) {
	f := proxied(t, server.Config{})
	for _, test := range []struct {
		want  string
		lines []string
	}{
		{proxy, []string{""}},
		{"203.0.113.7", []string{"203.0.113.7"}},
		{"203.0.113.7", []string{"  203.0.113.7  "}},
		{"203.0.113.7", []string{"203.0.113.7:4711"}},
		{"203.0.113.7", []string{"::ffff:203.0.113.7"}},
		{"203.0.113.7", []string{"[::ffff:203.0.113.7]:4711"}},
		{"203.0.113.7", []string{"::ffff:cb00:7107"}},
		{"2001:db8::7", []string{"2001:db8::7"}},
		{"2001:db8::7", []string{"[2001:db8::7]"}},
		{"2001:db8::7", []string{"[2001:db8::7]:4711"}},
		{"2001:db8::7", []string{"2001:0DB8:0:0:0:0:0:7"}},
		{"2001:db8::7", []string{"2001:db8::7%eth0"}},
		{"203.0.113.7", []string{"198.51.100.1, 203.0.113.7"}},
		{"203.0.113.7", []string{"198.51.100.1", "203.0.113.7"}},
		{"203.0.113.7", []string{"198.51.100.1, 198.51.100.2", "198.51.100.3, 203.0.113.7"}},
		{"203.0.113.7", []string{"203.0.113.7, 10.0.0.1"}},
		{"203.0.113.7", []string{"203.0.113.7, 10.0.0.1, 10.9.9.9"}},
		{"203.0.113.7", []string{"203.0.113.7", "10.0.0.1"}},
		{"203.0.113.7", []string{"203.0.113.7,10.0.0.1:80"}},
		{"203.0.113.7", []string{"203.0.113.7, ::ffff:10.0.0.1"}},
		{"203.0.113.7", []string{"203.0.113.7, fd00::1"}},
		{"203.0.113.7", []string{"127.0.0.1, 10.0.0.1, 203.0.113.7"}},
		{"203.0.113.7", []string{"garbage, 203.0.113.7"}},
		{"203.0.113.7", []string{", , 203.0.113.7"}},
		{"10.0.0.5", []string{"10.0.0.5, 10.0.0.1"}},
		{proxy, []string{"garbage"}},
		{proxy, []string{"203.0.113.7, garbage"}},
		{proxy, []string{"203.0.113.7,"}},
		{"10.0.0.1", []string{"203.0.113.7, unknown, 10.0.0.1"}},
		{proxy, []string{"203.0.113.7/24"}},
		{proxy, []string{"203.0.113.007"}},
		{proxy, []string{"203.0.113.7 203.0.113.8"}},
		{proxy, []string{"for=203.0.113.7"}},
		{proxy, []string{"0xcb007107"}},
		{proxy, []string{"3405803783"}},
		{proxy, []string{"203.0.113.7:99999"}},
		{proxy, []string{"[203.0.113.7"}},
		{proxy, []string{`"203.0.113.7"`}},
		{proxy, []string{strings.Repeat("203.0.113.7,", 500)}},
	} {
		wantAddress(t, f, test.want, test.lines...)
	}
}

// TestAddress_WithoutATrustedProxy holds that X-Forwarded-For is believed of nobody unless it is said of whom.
func TestAddress_WithoutATrustedProxy(t *testing.T) {
	f := foyertest.Start(t)
	for _, line := range []string{"", "203.0.113.7", "203.0.113.7, 127.0.0.1", "127.0.0.1, 203.0.113.7", "garbage"} {
		wantAddress(t, f, proxy, line)
	}
	allow(t, f, "203.0.113.7")
	if status := tokenFrom(t, f, "203.0.113.7"); status != http.StatusUnauthorized {
		t.Errorf("a client that says it is 203.0.113.7 gets %d", status)
	}
}

// TestAddress_OtherHeadersAreNotBelieved holds that no other header says where a client is.
func TestAddress_OtherHeadersAreNotBelieved(t *testing.T) {
	f := proxied(t, server.Config{})
	allow(t, f, "203.0.113.7")
	for _, name := range []string{"Forwarded", "X-Real-IP", "X-Client-IP", "True-Client-IP", "CF-Connecting-IP", "X-Forwarded"} {
		reply := askForm(t, f.Script, tokenPath, grant+"&"+inBody(f.Script), header(name, "203.0.113.7"))
		wantOAuth(t, reply, 401, "invalid_client")
	}
}

// TestAllowed_Lists holds what a list of addresses permits.
func TestAllowed_Lists(t *testing.T) {
	f := proxied(t, server.Config{})
	for _, test := range []struct {
		list        []string
		in, outside string
	}{
		{[]string{"203.0.113.7"}, "203.0.113.7", "203.0.113.8"},
		{[]string{"203.0.113.0/24"}, "203.0.113.255", "203.0.114.0"},
		{[]string{"203.0.113.9/24"}, "203.0.113.1", "203.0.112.9"},
		{[]string{"::ffff:203.0.113.7"}, "203.0.113.7", "203.0.113.8"},
		{[]string{"::ffff:203.0.113.0/120"}, "203.0.113.9", "203.0.114.9"},
		{[]string{"203.0.113.0/24"}, "::ffff:203.0.113.7", "::ffff:203.0.114.7"},
		{[]string{"2001:db8::/32"}, "2001:db8:ffff::1", "2001:db9::1"},
		{[]string{"2001:db8::7"}, "2001:db8::7", "2001:db8::8"},
		{[]string{"198.51.100.1", "2001:db8::/64"}, "2001:db8::9", "2001:db8:0:1::9"},
		{[]string{"2001:db8::/32"}, "2001:db8::1", "203.0.113.7"},
	} {
		allow(t, f, test.list...)
		if in, out := tokenFrom(t, f, test.in), tokenFrom(t, f, test.outside); in != 200 || out != 401 {
			t.Errorf("%v: %s gets %d, %s gets %d", test.list, test.in, in, test.outside, out)
		}
	}
}

// TestAllowed_KeyAndOrganization holds that both lists must permit an address.
func TestAllowed_KeyAndOrganization(t *testing.T) {
	f := proxied(t, server.Config{})
	allowOrg(t, f, "203.0.113.0/24")
	allow(t, f, "203.0.113.7", "198.51.100.1")
	for address, want := range map[string]int{"203.0.113.7": 200, "203.0.113.8": 401, "198.51.100.1": 401, "192.0.2.1": 401} {
		if got := tokenFrom(t, f, address); got != want {
			t.Errorf("%s gets %d, want %d", address, got, want)
		}
	}
	other := tenant(t, f)
	if got := tokenFrom(t, other, "192.0.2.1"); got != 200 {
		t.Errorf("another organization is held to the list: %d", got)
	}
}

// TestAllowed_LogOnly holds that a list which only notes lets pass and logs, each of the two.
func TestAllowed_LogOnly(t *testing.T) {
	log := newLines()
	f := proxied(t, server.Config{Log: log.logger()})
	list := foyer.Allowed{Prefixes: prefixes(t, "203.0.113.7"), LogOnly: true}
	_, err := f.Store.AllowKey(t.Context(), f.Operator, f.Org.ID, foyer.KeyID(f.Script.ClientID), list)
	must(t, err)
	other := tenant(t, f)
	must(t, f.Store.AllowOrg(t.Context(), f.Operator, other.Org.ID, list))
	for _, f := range []*foyertest.Foyer{f, other} {
		if in, out := tokenFrom(t, f, "203.0.113.7"), tokenFrom(t, f, "192.0.2.1"); in != 200 || out != 200 {
			t.Errorf("inside it gets %d, outside %d", in, out)
		}
		want := `msg="an address list that only notes would refuse this address" key=` + f.Script.ClientID + " from=192.0.2.1"
		if text := log.after(t, 2); strings.Count(text, want) != 1 || strings.Contains(text, "key="+f.Script.ClientID+" from=203") {
			t.Errorf("the log does not have it once: %s", text)
		}
	}
}

// TestAllowed_TokenSaysNotWhy holds that who is at a forbidden address gets the answer of a wrong secret, byte for byte.
func TestAllowed_TokenSaysNotWhy(t *testing.T) {
	f := proxied(t, server.Config{})
	wrong := *f.Script
	wrong.ClientSecret = "fs_wrong"
	allow(t, f, "203.0.113.7")
	away := askForm(t, f.Script, tokenPath, grant+"&"+inBody(f.Script), from("192.0.2.1"))
	wantOAuth(t, away, 401, "invalid_client")
	if other := askForm(t, &wrong, tokenPath, grant+"&"+inBody(&wrong), from("192.0.2.1")); seen(away) != seen(other) {
		t.Errorf("it is told from a wrong secret:\n%s\n%s", seen(away), seen(other))
	}
}

// TestAllowed_TokenOutWhileTheListChanges holds that a token is good only from where its key may be used now, and again once it may.
func TestAllowed_TokenOutWhileTheListChanges(t *testing.T) {
	f := proxied(t, server.Config{})
	bearer := token(t, f.Script)
	status := func() int { return uploadWith(t, f, bearer, ann, from("203.0.113.7")).Status }
	for _, step := range []struct {
		name   string
		change func()
		want   int
	}{
		{"no list", func() {}, 200},
		{"the key's list leaves it out", func() { allow(t, f, "198.51.100.0/24") }, 403},
		{"the key's list names it", func() { allow(t, f, "203.0.113.0/24") }, 200},
		{"the organization's leaves it out", func() { allowOrg(t, f, "198.51.100.0/24") }, 403},
		{"both are empty", func() { allow(t, f); allowOrg(t, f) }, 200},
	} {
		step.change()
		if got := status(); got != step.want {
			t.Errorf("%s: %d, want %d", step.name, got, step.want)
		}
	}
}

// TestAllowed_UploadIs403 holds that the refusal names the address, has no effect, and is no run.
func TestAllowed_UploadIs403(t *testing.T) {
	f := proxied(t, server.Config{})
	bearer := token(t, f.Script)
	allow(t, f, "198.51.100.0/24")
	p := wantProblem(t, uploadWith(t, f, bearer, ann, from("203.0.113.7")), 403, "forbidden")
	if !strings.Contains(p.Detail, "203.0.113.7") {
		t.Errorf("the detail is %q", p.Detail)
	}
	wantBook(t, f)
	if all := runs(t, f); len(all) != 0 {
		t.Errorf("there are %d runs", len(all))
	}
}

// slowUpload sends the head and a part of a file, calls meanwhile once the server has let it in, and sends the rest.
func slowUpload(t *testing.T, f *foyertest.Foyer, address string, meanwhile func()) *wireReply {
	t.Helper()
	w := dial(t, f)
	body := uploadBody("a.csv", ann)
	w.send(w.uploadHead(w.token(f), "X-Forwarded-For: "+address+"\r\nExpect: 100-continue\r\n", len(body)))
	for range 2 { // 100 Continue: the token was looked at
		_, err := w.in.ReadLine()
		must(t, err)
	}
	meanwhile()
	w.send(body)
	return w.receive()
}

// TestR18_AddressIsCheckedAgainInTheTransaction holds that a list which changes while a file is on its way holds for it.
func TestR18_AddressIsCheckedAgainInTheTransaction(t *testing.T) {
	for name, change := range map[string]func(*testing.T, *foyertest.Foyer){
		"the key's":          func(t *testing.T, f *foyertest.Foyer) { allow(t, f, "198.51.100.0/24") },
		"the organization's": func(t *testing.T, f *foyertest.Foyer) { allowOrg(t, f, "198.51.100.0/24") },
	} {
		t.Run(name, func(t *testing.T) {
			f := proxied(t, server.Config{})
			reply := slowUpload(t, f, "203.0.113.7", func() { change(t, f) })
			if reply.status != "HTTP/1.1 403 Forbidden" || !strings.Contains(reply.body, "may not be used from this address any more") {
				t.Errorf("got %s %s", reply.status, reply.body)
			}
			wantBook(t, f)
		})
	}
}

// TestR18_KeyIsCheckedAgainInTheTransaction holds the same of a key, or a secret, that ends meanwhile.
func TestR18_KeyIsCheckedAgainInTheTransaction(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *foyertest.Foyer, foyer.KeyID){
		"revoked": func(t *testing.T, f *foyertest.Foyer, id foyer.KeyID) {
			must(t, f.Store.RevokeKey(t.Context(), f.Operator, f.Org.ID, id))
		},
		"expired": func(_ *testing.T, f *foyertest.Foyer, _ foyer.KeyID) { f.Clock.Move(time.Hour) },
		"rotated": func(t *testing.T, f *foyertest.Foyer, id foyer.KeyID) {
			_, err := f.Store.RotateKey(t.Context(), f.Operator, f.Org.ID, id, []byte("x"), 0)
			must(t, err)
		},
		"deleted": func(t *testing.T, f *foyertest.Foyer, id foyer.KeyID) {
			must(t, f.Store.RevokeKey(t.Context(), f.Operator, f.Org.ID, id))
			must(t, f.Store.DeleteKey(t.Context(), f.Operator, f.Org.ID, id))
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := foyertest.Start(t)
			f = tenantWith(t, f, store.NewKey{ExpiresAt: f.Clock.Now().Add(time.Hour)})
			reply := slowUpload(t, f, "", func() { end(t, f, foyer.KeyID(f.Script.ClientID)) })
			if reply.status != "HTTP/1.1 401 Unauthorized" || !strings.Contains(reply.body, "the key has ended; nothing was changed") {
				t.Errorf("got %s %s", reply.status, reply.body)
			}
			wantBook(t, f)
		})
	}
}
