package server_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"foyer"
	"foyer/foyertest"
	"foyer/script"
	"foyer/server"
	"foyer/store"
)

const (
	tokenPath  = "/auth/connect/token"
	revokePath = "/auth/connect/revoke"
	grant      = "grant_type=client_credentials"
)

// askForm posts a form, after change had its way with the request.
func askForm(t *testing.T, s *script.Script, path, form string, change func(*http.Request)) *script.Reply {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, s.URL+path, strings.NewReader(form))
	must(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	change(req)
	return do(t, s, req)
}

// inBody is the form of the script's credentials.
func inBody(s *script.Script) string {
	return "client_id=" + s.ClientID + "&client_secret=" + s.ClientSecret
}

// asBasic sends the script's credentials as RFC 6749 §2.3.1 prefers.
func asBasic(s *script.Script) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(s.ClientID, s.ClientSecret) }
}

func unchanged(*http.Request) {}

// askToken asks for a token as the script does, with more in the form.
func askToken(t *testing.T, s *script.Script, more string) *script.Reply {
	t.Helper()
	return askForm(t, s, tokenPath, grant+"&"+inBody(s)+"&"+more, unchanged)
}

func revoke(t *testing.T, f *foyertest.Foyer, by *script.Script, token string) *script.Reply {
	t.Helper()
	return askForm(t, f.Script, revokePath, "token="+token+"&"+inBody(by), unchanged)
}

type tokenReply struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int    `json:"expires_in"`
	Scope       string `json:"scope"`
}

// wantToken checks that a reply is a token as RFC 6749 §5.1 wants it, which no cache may keep.
func wantToken(t *testing.T, r *script.Reply) tokenReply {
	t.Helper()
	var got tokenReply
	if err := json.Unmarshal([]byte(r.Body), &got); err != nil || r.Status != 200 || r.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("got %d %s %s", r.Status, r.Header.Get("Content-Type"), r.Body)
	}
	if got.AccessToken == "" || got.TokenType != "Bearer" || r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %s %s, Cache-Control %q", r.Body, got.TokenType, r.Header.Get("Cache-Control"))
	}
	return got
}

// wantOAuth checks that a reply is an error of RFC 6749 §5.2, which no cache may keep.
func wantOAuth(t *testing.T, r *script.Reply, status int, code string) {
	t.Helper()
	var got struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if err := json.Unmarshal([]byte(r.Body), &got); err != nil || r.Status != status || got.Error != code || got.Description == "" {
		t.Errorf("got %d %s; want %d %s", r.Status, r.Body, status, code)
	}
	if r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("Content-Type is %q, Cache-Control %q", r.Header.Get("Content-Type"), r.Header.Get("Cache-Control"))
	}
	wantASCII(t, r.Body)
}

func TestToken_CredentialsInTheBody(t *testing.T) {
	f := foyertest.Start(t)
	got := wantToken(t, askToken(t, f.Script, ""))
	if got.ExpiresIn != 3600 || got.Scope != "sync" || !strings.HasPrefix(got.AccessToken, "ft_") {
		t.Errorf("the token is %+v", got)
	}
}

func TestToken_CredentialsAsBasic(t *testing.T) {
	f := foyertest.Start(t)
	got := wantToken(t, askForm(t, f.Script, tokenPath, grant, asBasic(f.Script)))
	wantLine(t, uploadWith(t, f, got.AccessToken, ann, unchanged), annLine)
}

func TestToken_NoTwoAreEqual(t *testing.T) {
	f := foyertest.Start(t)
	if first, second := token(t, f.Script), token(t, f.Script); first == second {
		t.Errorf("the token %s was issued twice", first)
	}
}

// TestToken_MalformedRequests holds the errors of RFC 6749 §5.2 that are not about who the client is.
func TestToken_MalformedRequests(t *testing.T) {
	f := foyertest.Start(t)
	credentials := inBody(f.Script)
	for name, test := range map[string]struct {
		form   string
		change func(*http.Request)
		code   string
	}{
		"in body and Basic":     {grant + "&" + credentials, asBasic(f.Script), "invalid_request"},
		"in the URL":            {"", func(r *http.Request) { r.URL.RawQuery = grant + "&" + credentials }, "invalid_request"},
		"secret in the URL":     {grant + "&client_id=" + f.Script.ClientID, query("client_secret=" + f.Script.ClientSecret), "invalid_request"},
		"no grant type":         {credentials, unchanged, "invalid_request"},
		"another grant type":    {"grant_type=password&username=a&password=b&" + credentials, unchanged, "unsupported_grant_type"},
		"unknown scope":         {grant + "&scope=everything&" + credentials, unchanged, "invalid_scope"},
		"scope that it has not": {grant + "&scope=read&" + credentials, unchanged, "invalid_scope"},
		"one scope too many":    {grant + "&scope=sync+read&" + credentials, unchanged, "invalid_scope"},
		"grant type twice":      {grant + "&" + grant + "&" + credentials, unchanged, "invalid_request"},
		"secret twice":          {grant + "&" + credentials + "&client_secret=" + f.Script.ClientSecret, unchanged, "invalid_request"},
		"unknown name twice":    {grant + "&x=1&x=2&" + credentials, unchanged, "invalid_request"},
		"huge":                  {grant + "&" + credentials + "&x=" + strings.Repeat("x", 1<<20), unchanged, "invalid_request"},
		"no form":               {`{"grant_type":"client_credentials"}`, header("Content-Type", "application/json"), "invalid_request"},
		"bad escape":            {grant + "&" + credentials + "&x=%zz", unchanged, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			wantOAuth(t, askForm(t, f.Script, tokenPath, test.form, test.change), 400, test.code)
		})
	}
}

func TestToken_OnlyPOST(t *testing.T) {
	f := foyertest.Start(t)
	for _, path := range []string{tokenPath, revokePath} {
		for _, method := range []string{"GET", "PUT", "DELETE"} {
			t.Run(method+" "+path, func(t *testing.T) {
				reply := askForm(t, f.Script, path, grant+"&"+inBody(f.Script), as(method))
				wantOAuth(t, reply, 405, "invalid_request")
				if got := reply.Header.Get("Allow"); got != "POST" {
					t.Errorf("Allow is %q", got)
				}
			})
		}
	}
}

func TestToken_NeverARedirect(t *testing.T) {
	f := foyertest.Start(t)
	f.Script.Client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for _, path := range []string{"//auth//connect/token", "/auth/connect/token/"} {
		wantToken(t, askForm(t, f.Script, path, grant+"&"+inBody(f.Script), unchanged))
	}
}

func TestToken_ScopeNarrows(t *testing.T) {
	f := foyertest.Start(t)
	both := f.NewKey(t, f.Org, store.NewKey{Scopes: foyer.ScopeRead | foyer.ScopeSync})
	for asked, want := range map[string]string{"": "sync read", "scope=": "sync read", "scope=read": "read", "scope=sync": "sync", "scope=read+sync": "sync read"} {
		if got := wantToken(t, askToken(t, both, asked)); got.Scope != want {
			t.Errorf("asked for %q, the scope is %q, want %q", asked, got.Scope, want)
		}
	}
}

// TestToken_EndsWithItsKey holds that no token outlives its key.
func TestToken_EndsWithItsKey(t *testing.T) {
	f := foyertest.Start(t)
	short := f.NewKey(t, f.Org, store.NewKey{ExpiresAt: f.Clock.Now().Add(10 * time.Minute)})
	if got := wantToken(t, askToken(t, short, "")); got.ExpiresIn > 600 || got.ExpiresIn < 500 {
		t.Errorf("a key of 10 minutes gives a token of %d s", got.ExpiresIn)
	}
}

// outsiders are clients that get no token, each for another reason.
func outsiders(t *testing.T, f *foyertest.Foyer) map[string]*script.Script {
	t.Helper()
	with := func(change func(*script.Script)) *script.Script {
		s := *f.Script
		change(&s)
		return &s
	}
	revoked := f.NewKey(t, f.Org, store.NewKey{})
	must(t, f.Store.RevokeKey(t.Context(), f.Operator, f.Org.ID, foyer.KeyID(revoked.ClientID)))
	expired := f.NewKey(t, f.Org, store.NewKey{ExpiresAt: f.Clock.Now().Add(time.Minute)})
	f.Clock.Move(2 * time.Minute)
	other := f.NewKey(t, f.Org, store.NewKey{})
	return map[string]*script.Script{
		"wrong secret":         with(func(s *script.Script) { s.ClientSecret = s.ClientSecret[:len(s.ClientSecret)-1] + "_" }),
		"another key's secret": with(func(s *script.Script) { s.ClientSecret = other.ClientSecret }),
		"no secret":            with(func(s *script.Script) { s.ClientSecret = "" }),
		"unknown id":           with(func(s *script.Script) { s.ClientID = string(f.Authority.NewCredentials(f.Org.ID).ID) }),
		"unknown organization": with(func(s *script.Script) { s.ClientID = string(f.Authority.NewCredentials("aaaaaa").ID) }),
		"malformed id":         with(func(s *script.Script) { s.ClientID = "admin" }),
		"no id":                with(func(s *script.Script) { s.ClientID, s.ClientSecret = "", "" }),
		"revoked key":          revoked,
		"expired key":          expired,
	}
}

// TestToken_OneAnswerToOutsiders holds that who gets no token is not told why: the replies are one, byte for byte.
func TestToken_OneAnswerToOutsiders(t *testing.T) {
	f := foyertest.Start(t)
	first := ""
	for name, outsider := range outsiders(t, f) {
		t.Run(name, func(t *testing.T) {
			replies := map[string]*script.Reply{
				"token, body":  askToken(t, outsider, ""),
				"token, Basic": askForm(t, f.Script, tokenPath, grant, asBasic(outsider)),
				"revoke":       revoke(t, f, outsider, "ft_x"),
			}
			for way, reply := range replies {
				wantOAuth(t, reply, 401, "invalid_client")
				if got := reply.Header.Get("WWW-Authenticate"); got != `Basic realm="foyer"` {
					t.Errorf("%s: the challenge is %q", way, got)
				}
				if first == "" {
					first = reply.Body
				}
				if reply.Body != first {
					t.Errorf("%s: the body is %s, that of another reason was %s", way, reply.Body, first)
				}
			}
		})
	}
}

// TestToken_RevokedKeyStaysRevoked holds that no setting of the clock brings a revoked key back.
func TestToken_RevokedKeyStaysRevoked(t *testing.T) {
	f := foyertest.Start(t)
	must(t, f.Store.RevokeKey(t.Context(), f.Operator, f.Org.ID, foyer.KeyID(f.Script.ClientID)))
	f.Clock.Move(-time.Hour)
	wantOAuth(t, askToken(t, f.Script, ""), 401, "invalid_client")
}

// TestRevoke_ForeignToken holds that another key's token is passed over in silence and stays good (RFC 7009 §2.1).
func TestRevoke_ForeignToken(t *testing.T) {
	f := foyertest.Start(t)
	bearer := token(t, f.Script)
	for name, by := range map[string]*script.Script{
		"same organization": f.NewKey(t, f.Org, store.NewKey{}), "another organization": tenant(t, f).Script,
	} {
		t.Run(name, func(t *testing.T) {
			if reply := revoke(t, f, by, bearer); reply.Status != 200 || reply.Body != "" {
				t.Errorf("got %d %s", reply.Status, reply.Body)
			}
			if reply := uploadWith(t, f, bearer, ann, unchanged); reply.Status != 200 {
				t.Errorf("the token is good no more: %d %s", reply.Status, reply.Body)
			}
		})
	}
}

// TestRevoke_SilentOnUnknownTokens holds that revoking what is no token, or none any more, is 200 (RFC 7009 §2.2).
func TestRevoke_SilentOnUnknownTokens(t *testing.T) {
	f := foyertest.Start(t)
	bearer := token(t, f.Script)
	for _, text := range []string{"nonsense", "ft_" + strings.Repeat("a", 60), bearer, bearer} {
		if reply := revoke(t, f, f.Script, text); reply.Status != 200 {
			t.Errorf("%s: got %d %s", text, reply.Status, reply.Body)
		}
	}
}

// TestRevoke_OneTokenOnly holds that the other tokens of a key live on.
func TestRevoke_OneTokenOnly(t *testing.T) {
	f := foyertest.Start(t)
	bearer, other := token(t, f.Script), token(t, f.Script)
	revoke(t, f, f.Script, bearer)
	wantLine(t, uploadWith(t, f, other, ann, unchanged), annLine)
}

func TestRevoke_WithoutToken(t *testing.T) {
	f := foyertest.Start(t)
	wantOAuth(t, askForm(t, f.Script, revokePath, inBody(f.Script), unchanged), 400, "invalid_request")
}

// metadata asks for RFC 8414's document.
func metadata(t *testing.T, f *foyertest.Foyer) map[string]any {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, f.Script.URL+"/.well-known/oauth-authorization-server", nil)
	must(t, err)
	reply := do(t, f.Script, req)
	got := map[string]any{}
	if err := json.Unmarshal([]byte(reply.Body), &got); err != nil || reply.Status != 200 || reply.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("got %d %s %s", reply.Status, reply.Header.Get("Content-Type"), reply.Body)
	}
	return got
}

// TestMetadata_Works holds that a client which knows nothing but the metadata gets a token (RFC 8414).
func TestMetadata_Works(t *testing.T) {
	f := foyertest.Start(t)
	got := metadata(t, f)
	if got["issuer"] != f.Script.URL {
		t.Errorf("the issuer is %v, want %s", got["issuer"], f.Script.URL)
	}
	endpoint, err := url.Parse(got["token_endpoint"].(string))
	must(t, err)
	wantToken(t, askForm(t, f.Script, endpoint.Path, grant+"&"+inBody(f.Script), unchanged))
	for name, want := range map[string][]any{
		"grant_types_supported":                 {"client_credentials"},
		"token_endpoint_auth_methods_supported": {"client_secret_post", "client_secret_basic"},
		"scopes_supported":                      {"sync", "read"},
		"response_types_supported":              {},
	} {
		if list, ok := got[name].([]any); !ok || !slices.Equal(list, want) {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
}

func TestMetadata_PublicURL(t *testing.T) {
	f := foyertest.StartWith(t, server.Config{PublicURL: "https://foyer.example.com/"})
	got := metadata(t, f)
	for name, want := range map[string]string{
		"issuer": "https://foyer.example.com", "token_endpoint": "https://foyer.example.com" + tokenPath, "revocation_endpoint": "https://foyer.example.com" + revokePath,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %s", name, got[name], want)
		}
	}
}
