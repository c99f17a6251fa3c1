package server_test

import (
	"encoding/base32"
	"encoding/binary"
	"hash/crc32"
	"net/http"
	"slices"
	"strings"
	"testing"

	"foyer"
	"foyer/foyertest"
	"foyer/script"
	"foyer/server"
	"foyer/store"
)

// access says of a route what each caller gets for each target: "caller > target", "* > target" for those who are not named. own is the caller's own; the others are
// another key's of its organization, one's of another site, one's of another organization, and one that is nobody's.
type access struct {
	public bool // it tells everybody the same
	link   bool // a page for whoever has a link, or brings back a state that their browser was given: TestConnect_LinksThatCannotBeUsedReadAlike, TestConnect_Attacks
	visit  bool // a page for whoever has a session, in their browser: TestConnect_SessionsAreOfOneBrowser
	ask    func(t *testing.T, w *tenants, caller *script.Script, target target) *http.Request
	want   map[string]int
}

var targets = []string{"own", "another key", "another site", "another organization", "nobody's"}

// routes classifies every route of the server. One that is not in it fails the test: to add one is to decide this.
var routes = map[string]access{
	"GET /":        {public: true},
	"GET /healthz": {public: true},
	"GET /readyz":  {public: true},
	"GET /.well-known/oauth-authorization-server": {public: true},
	"GET /connect/entra":                          {link: true},
	"POST /connect/entra/begin":                   {link: true},
	"GET /connect/entra/signed-in":                {link: true},
	"GET /connect/entra/agreed":                   {link: true},
	"GET /connect/entra/connection":               {visit: true},
	"GET /connect/entra/settings":                 {visit: true},
	"GET /connect/entra/groups":                   {visit: true},
	"POST /connect/entra/set":                     {visit: true},
	"POST /connect/entra/act":                     {visit: true},
	"GET /connect/entra/ended":                    {public: true},
	"GET /connect/entra/foyer.css":                {public: true},
	"GET /connect/entra/foyer.svg":                {public: true},
	"POST /auth/connect/token": {
		ask: func(t *testing.T, w *tenants, caller *script.Script, to target) *http.Request {
			return formRequest(t, w, tokenPath, grant+"&client_id="+to.id+"&client_secret="+caller.ClientSecret)
		},
		want: map[string]int{"* > own": 200, "nobody > own": 401, "revoked key > own": 401},
	},
	"POST /auth/connect/revoke": {
		ask: func(t *testing.T, w *tenants, caller *script.Script, to target) *http.Request {
			return formRequest(t, w, revokePath, inBody(caller)+"&token="+to.token)
		},
		want: map[string]int{"* > own": 200, "* > another key": 200, "* > another site": 200, "* > another organization": 200, "* > nobody's": 200,
			"nobody > own": 401, "nobody > another key": 401, "nobody > another site": 401, "nobody > another organization": 401, "nobody > nobody's": 401,
			"revoked key > own": 401, "revoked key > another key": 401, "revoked key > another site": 401, "revoked key > another organization": 401, "revoked key > nobody's": 401},
	},
	"POST /addressbook/uploadcsv": {
		ask: func(t *testing.T, w *tenants, _ *script.Script, to target) *http.Request {
			req, err := w.Script.UploadRequest(to.forged, []byte(ann))
			must(t, err)
			return req
		},
		want: map[string]int{"* > own": 200, "read key > own": 403, "nobody > own": 401, "revoked key > own": 401},
	},
}

// expected returns the status that the table wants; 401 where it says nothing.
func (a access) expected(caller, target string) int {
	for _, name := range []string{caller, "*"} {
		if status := a.want[name+" > "+target]; status != 0 {
			return status
		}
	}
	return http.StatusUnauthorized
}

// target is what a caller names: a client id, a token of that key, and the caller's own token altered so that it names that key.
type target struct{ id, token, forged string }

// tenants are two organizations with their keys, each with a token.
type tenants struct {
	*foyertest.Foyer
	callers map[string]*script.Script
	victims map[string]*script.Script // by the name of the target
	tokens  map[string]string         // by client id
}

func startTenants(t *testing.T) *tenants {
	t.Helper()
	w := &tenants{Foyer: foyertest.StartMicrosoft(t, server.Config{}).Foyer, tokens: map[string]string{}}
	other := tenant(t, w.Foyer)
	key := func(org foyer.Org, n store.NewKey) *script.Script { return w.NewKey(t, org, n) }
	w.callers = map[string]*script.Script{
		"sync key": w.Script, "read key": key(w.Org, store.NewKey{Scopes: foyer.ScopeRead}), "site key": key(w.Org, store.NewKey{Site: 1}),
		"revoked key": key(w.Org, store.NewKey{}), "key of another organization": other.Script,
	}
	w.victims = map[string]*script.Script{
		"another key": key(w.Org, store.NewKey{}), "another site": key(w.Org, store.NewKey{Site: 2}), "another organization": key(w.NewOrg(t, "Third"), store.NewKey{}),
	}
	for _, all := range []map[string]*script.Script{w.callers, w.victims} {
		for _, s := range all {
			w.tokens[s.ClientID] = token(t, s)
		}
	}
	must(t, w.Store.RevokeKey(t.Context(), w.Operator, w.Org.ID, foyer.KeyID(w.callers["revoked key"].ClientID)))
	w.callers["nobody"] = &script.Script{}
	return w
}

// target returns what a caller names. Nobody has a token; it alters one of the sync key.
func (w *tenants) target(caller *script.Script, name string) target {
	bearer := w.tokens[caller.ClientID]
	if name == "own" && bearer == "" {
		return target{"", "ft_x", ""}
	}
	if name == "own" {
		return target{caller.ClientID, bearer, bearer}
	}
	if bearer == "" {
		bearer = w.tokens[w.Script.ClientID]
	}
	if victim := w.victims[name]; victim != nil {
		return target{victim.ClientID, w.tokens[victim.ClientID], forge(bearer, victim.ClientID)}
	}
	unknown := string(w.Authority.NewCredentials("zzzzzz").ID)
	return target{unknown, forge(bearer, unknown), forge(bearer, unknown)}
}

// forge returns a token that names another key, with the right checksum: all that one can do who does not know the pepper.
func forge(token, id string) string {
	alphabet := base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
	body, _ := alphabet.DecodeString(token[9 : len(token)-6])
	key, _ := alphabet.DecodeString(id[9 : len(id)-6])
	copy(body[7:], key)
	text := "ft_" + id[3:9] + alphabet.EncodeToString(body)
	return text + alphabet.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(text))))[:6]
}

func formRequest(t *testing.T, w *tenants, path, form string) *http.Request {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, w.Script.URL+path, strings.NewReader(form))
	must(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return req
}

// seen is all that a client sees of a reply but what differs from one request to the next: its id and the time.
func seen(r *script.Reply) string {
	id := r.Header.Get("X-Request-Id")
	h := r.Header.Clone()
	h.Del("X-Request-Id")
	h.Del("Date")
	var b strings.Builder
	h.Write(&b)
	return http.StatusText(r.Status) + "\n" + b.String() + "\n" + strings.ReplaceAll(r.Body, id, "ID")
}

func TestRoutes_EachIsClassified(t *testing.T) {
	all := server.Routes()
	for _, name := range all {
		if _, ok := routes[name]; !ok {
			t.Errorf("the route %s is not in the table of this test", name)
		}
	}
	for name := range routes {
		if !slices.Contains(all, name) {
			t.Errorf("there is no route %s", name)
		}
	}
}

// TestRoutes_NobodyReachesWhatIsAnothers walks all routes with all callers and targets: each gets what the table says, and what is another's, whether of the same
// organization, another site or another organization, reads byte for byte like what does not exist.
func TestRoutes_NobodyReachesWhatIsAnothers(t *testing.T) {
	for name, a := range routes {
		if a.ask == nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			w := startTenants(t)
			for caller, s := range w.callers {
				foreign := map[string]string{}
				for _, to := range targets {
					reply := do(t, w.Script, a.ask(t, w, s, w.target(s, to)))
					if want := a.expected(caller, to); reply.Status != want {
						t.Errorf("%s > %s: got %d %s, want %d", caller, to, reply.Status, reply.Body, want)
					}
					if to != "own" {
						foreign[seen(reply)] = to
					}
				}
				if len(foreign) != 1 {
					t.Errorf("%s can tell what is another's from what is nobody's: %v", caller, foreign)
				}
			}
			for to, victim := range w.victims {
				if reply := uploadWith(t, w.Foyer, w.tokens[victim.ClientID], ann, unchanged); reply.Status != http.StatusOK {
					t.Errorf("the token of %s is no longer good: %d %s", to, reply.Status, reply.Body)
				}
			}
		})
	}
}

func TestRoutes_WhatIsPublicIsTheSameForAll(t *testing.T) {
	w := startTenants(t)
	for name, a := range routes {
		if !a.public {
			continue
		}
		method, path, _ := strings.Cut(name, " ")
		first := ""
		for caller, s := range w.callers {
			req, err := http.NewRequest(method, w.Script.URL+path, nil)
			must(t, err)
			if bearer := w.tokens[s.ClientID]; bearer != "" {
				req.Header.Set("Authorization", "Bearer "+bearer)
			}
			reply := do(t, w.Script, req)
			if first == "" {
				first = seen(reply)
			}
			if reply.Status != http.StatusOK || seen(reply) != first {
				t.Errorf("%s: %s sees %d %s", name, caller, reply.Status, seen(reply))
			}
		}
	}
}
