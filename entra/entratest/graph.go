package entratest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

const graphContent = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"

// graphError is an error of the Graph.
type graphError struct {
	status        int
	code, message string
}

func badQuery(message string) *graphError {
	return &graphError{http.StatusBadRequest, "Request_UnsupportedQuery", message}
}

// statusCodes are what the Graph says with a status.
var statusCodes = map[int]string{400: "Request_BadRequest", 401: "InvalidAuthenticationToken", 403: "Authorization_RequestDenied", 404: "Request_ResourceNotFound",
	410: "resyncRequired", 429: "TooManyRequests", 500: "InternalServerError", 502: "BadGateway", 503: "ServiceUnavailable", 504: "GatewayTimeout"}

// graphError answers with an error as the Graph does.
func (f *Fake) graphError(w http.ResponseWriter, r *http.Request, e *graphError) {
	if e.code == "" {
		e.code = statusCodes[e.status]
	}
	id := newID()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("request-id", id)
	if e.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="", authorization_uri="`+f.Authority+`/common/oauth2/authorize", client_id="00000003-0000-0000-c000-000000000000"`)
	}
	client := r.Header.Get("client-request-id")
	if client == "" {
		client = id
	}
	w.WriteHeader(e.status)
	json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"code": e.code, "message": e.message,
		"innerError": map[string]string{"date": f.clock().UTC().Format("2006-01-02T15:04:05"), "request-id": id, "client-request-id": client}}})
}

// call is a request to the Graph with a token that is good.
type call struct {
	*http.Request
	*grant
	query map[string]string // by the names in lower case: $select
	w     http.ResponseWriter
}

// graphRoutes are the paths of the Graph.
func (f *Fake) graphRoutes() http.Handler {
	mux := http.NewServeMux()
	readers := []string{"User.Read.All", "User.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"}
	members := []string{"GroupMember.Read.All", "Group.Read.All", "Group.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"}
	for _, route := range []struct {
		pattern string
		scopes  []string // delegated permissions, of which one is enough
		roles   []string // application permissions, of which one is enough
		answer  func(*call) *graphError
	}{
		{"GET /v1.0/organization", []string{"User.Read", "Directory.Read.All"}, []string{"Organization.Read.All", "Directory.Read.All"}, f.organization},
		{"GET /v1.0/me", nil, nil, f.me},
		{"GET /v1.0/users", readers, readers, f.listUsers},
		{"GET /v1.0/users/$count", readers, readers, f.countUsers},
		{"GET /v1.0/users/delta", readers, readers, f.delta},
		{"GET /v1.0/users/microsoft.graph.delta", readers, readers, f.delta},
		{"GET /v1.0/users/{id}", readers, readers, f.getUser},
		{"GET /v1.0/users/{id}/manager", readers, readers, f.getManager},
		{"GET /v1.0/groups", members, members, f.listGroups},
		{"GET /v1.0/groups/{id}", members, members, f.getGroup},
		{"GET /v1.0/groups/{id}/transitiveMembers", members, members, f.transitiveMembers},
		{"GET /v1.0/groups/{id}/transitiveMembers/{cast}", members, members, f.transitiveMembers},
	} {
		mux.HandleFunc(route.pattern, f.guard(route.scopes, route.roles, route.answer))
	}
	mux.HandleFunc("POST /v1.0/$batch", f.guard(nil, nil, f.batch(mux)))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		f.graphError(w, r, &graphError{http.StatusBadRequest, "BadRequest", "Resource not found for the segment '" + r.URL.Path + "'."})
	})
	return mux
}

// guard makes a handler that asks for a token with one of the permissions; without any named, for a token.
func (f *Fake) guard(scopes, roles []string, do func(*call) *graphError) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		g, refused := f.admit(r)
		if refused == nil && (scopes != nil || roles != nil) && !overlap(g.scopes, scopes) && !overlap(g.roles, roles) {
			refused = &graphError{http.StatusForbidden, "Authorization_RequestDenied", "Insufficient privileges to complete the operation."}
		}
		if refused == nil {
			refused = do(&call{r, g, options(r), w})
		}
		if refused != nil {
			f.graphError(w, r, refused)
		}
	}
}

// admit finds out whose token it is.
func (f *Fake) admit(r *http.Request) (*grant, *graphError) {
	bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	f.mu.Lock()
	defer f.mu.Unlock()
	g := f.grants[bearer]
	switch {
	case !ok || bearer == "":
		return nil, &graphError{http.StatusUnauthorized, "InvalidAuthenticationToken", "Access token is empty."}
	case g == nil:
		return nil, &graphError{http.StatusUnauthorized, "InvalidAuthenticationToken", "Access token validation failure. Invalid audience or signature."}
	case !f.clock().Before(g.ends):
		return nil, &graphError{http.StatusUnauthorized, "InvalidAuthenticationToken", "Lifetime validation failed, the token is expired."}
	}
	return g, nil
}

func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}

// options returns the query by names in lower case, which OData does not tell apart.
func options(r *http.Request) map[string]string {
	all := map[string]string{}
	for name, values := range r.URL.Query() {
		all[strings.ToLower(name)] = values[0]
	}
	return all
}

// eventual tells whether the request is an advanced query (aad-advanced-queries): the header and $count.
func (c *call) eventual() bool {
	return strings.EqualFold(c.Header.Get("ConsistencyLevel"), "eventual") && c.query["$count"] == "true"
}

// reply sends a JSON object.
func (c *call) reply(v any) *graphError {
	text, err := json.Marshal(v)
	if err != nil {
		return &graphError{http.StatusInternalServerError, "", err.Error()}
	}
	return c.replyText(append(text, '\n'))
}

func (c *call) replyText(text []byte) *graphError {
	c.w.Header().Set("Content-Type", graphContent)
	c.w.Header().Set("OData-Version", "4.0")
	c.w.Header().Set("request-id", newID())
	c.w.Write(text)
	return nil
}

// context is the address of what a reply is made of.
func (f *Fake) context(of string) string { return f.Graph + "/v1.0/$metadata#" + of }

// organization tells the tenant's name and its verified domains. With the delegated User.Read, and so here always, the rest is null.
func (f *Fake) organization(c *call) *graphError {
	f.mu.Lock()
	defer f.mu.Unlock()
	domains := []map[string]any{}
	for _, d := range c.tenant.domains {
		if !d.Unverified {
			domains = append(domains, map[string]any{"capabilities": "Email, OfficeCommunicationsOnline", "isDefault": d.Default, "isInitial": d.Initial, "name": d.Name, "type": "Managed"})
		}
	}
	all := map[string]any{"displayName": c.tenant.Name, "verifiedDomains": domains, "tenantType": "AAD", "city": nil, "countryLetterCode": nil, "technicalNotificationMails": []string{}}
	if names := c.query["$select"]; names != "" {
		for name := range all {
			if !slices.Contains(strings.Split(names, ","), name) {
				delete(all, name)
			}
		}
	}
	all["id"] = c.tenant.ID
	return c.reply(map[string]any{"@odata.context": f.context("organization"), "value": []any{all}})
}
