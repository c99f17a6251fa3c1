package entratest

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// object is the account as the Graph tells it outside of deltas: with null for what is not set. Who may not read it learns the id, and null for the rest.
func (p *person) object(fields []int, mayRead bool) map[string]any {
	all := map[string]any{"id": p.ID}
	for _, i := range fields {
		all[properties[i].name] = nil
		if mayRead {
			all[properties[i].name] = properties[i].get(&p.User)
		}
	}
	return all
}

// find returns an account by its id or its user principal name.
func (t *Tenant) find(name string) *person {
	p := t.byID[name]
	if p == nil && strings.Contains(name, "@") {
		for _, other := range t.people {
			if strings.EqualFold(other.UserPrincipalName, name) {
				p = other
			}
		}
	}
	if p == nil || p.presence != alive {
		return nil
	}
	return p
}

// shown finds what $select asks for, or what comes without it.
func (c *call) shown() ([]int, *graphError) {
	names, given := c.query["$select"]
	places, _, unknown := fields(names, given)
	if unknown != "" {
		return nil, &graphError{http.StatusBadRequest, "Request_BadRequest", "Could not find a property named '" + unknown + "' on type 'microsoft.graph.user'."}
	}
	return places, nil
}

// expanded adds the manager to an object if $expand asks for it.
func (c *call) expanded(object map[string]any, p *person) map[string]any {
	if strings.HasPrefix(c.query["$expand"], "manager") {
		if m := c.tenant.find(p.Manager); m != nil {
			usual, _, _ := fields("", false)
			_, inner, _ := strings.Cut(c.query["$expand"], "($select=")
			object["manager"] = selected(m.object(usual, true), strings.TrimSuffix(inner, ")"))
		}
	}
	return object
}

// me is the account that signed in.
func (f *Fake) me(c *call) *graphError {
	switch {
	case c.user == "":
		return &graphError{http.StatusBadRequest, "BadRequest", "/me request is only valid with delegated authentication flow."}
	case !slices.Contains(c.scopes, "User.Read"):
		return &graphError{http.StatusForbidden, "Authorization_RequestDenied", "Insufficient privileges to complete the operation."}
	}
	return f.one(c, c.user)
}

// getUser is users/{id}.
func (f *Fake) getUser(c *call) *graphError { return f.one(c, c.PathValue("id")) }

func (f *Fake) one(c *call, name string) *graphError {
	places, refused := c.shown()
	if refused != nil {
		return refused
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	p := c.tenant.find(name)
	if p == nil {
		return notFound(name)
	}
	object := c.expanded(p.object(places, true), p)
	object["@odata.context"] = f.context("users/$entity")
	return c.reply(object)
}

// getManager is users/{id}/manager: 404 where there is none.
func (f *Fake) getManager(c *call) *graphError {
	places, refused := c.shown()
	if refused != nil {
		return refused
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	p := c.tenant.find(c.PathValue("id"))
	if p == nil {
		return notFound(c.PathValue("id"))
	}
	m := c.tenant.find(p.Manager)
	if m == nil {
		return notFound("manager")
	}
	object := m.object(places, true)
	object["@odata.context"], object["@odata.type"] = f.context("directoryObjects/$entity"), "#microsoft.graph.user"
	return c.reply(object)
}

// listUsers is users, by pages of $top or 100. It knows no $filter.
func (f *Fake) listUsers(c *call) *graphError {
	places, refused := c.shown()
	if refused != nil {
		return refused
	}
	if c.query["$filter"] != "" || c.query["$search"] != "" {
		return badQuery("Filters of users are not part of this fake.")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	found := c.tenant.living()
	return f.list(c, "users", len(found), func(i int) map[string]any { return c.expanded(found[i].object(places, true), found[i]) })
}

// living returns the accounts that are not deleted.
func (t *Tenant) living() []*person {
	var found []*person
	for _, p := range t.people {
		if p.presence == alive {
			found = append(found, p)
		}
	}
	return found
}

// countUsers is users/$count.
func (f *Fake) countUsers(c *call) *graphError {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count(c, len(c.tenant.living()))
}

// count answers a $count, which takes ConsistencyLevel: eventual.
func (f *Fake) count(c *call, n int) *graphError {
	if !strings.EqualFold(c.Header.Get("ConsistencyLevel"), "eventual") {
		return badQuery("$count is not currently supported without the header ConsistencyLevel: eventual.")
	}
	c.w.Header().Set("Content-Type", "text/plain")
	fmt.Fprint(c.w, n)
	return nil
}

// list answers with a page of n objects: $top of them, at most 999, or 100; where it goes on is in the nextLink.
func (f *Fake) list(c *call, of string, n int, object func(int) map[string]any) *graphError {
	size := 100
	if top := c.query["$top"]; top != "" {
		var err error
		if size, err = strconv.Atoi(top); err != nil || size < 1 || size > 999 {
			return badQuery("Invalid page size specified: '" + top + "'. Must be between 1 and 999 inclusive.")
		}
	}
	at := 0
	if token := c.query["$skiptoken"]; token != "" {
		cur := f.unseal(token)
		if cur == nil || cur.Tenant != c.tenant.ID {
			return &graphError{http.StatusBadRequest, "Directory_ExpiredPageToken", "The specified page token value has expired and can no longer be included in your request."}
		}
		at = cur.At
	}
	page := map[string]any{"@odata.context": f.context(of)}
	if c.eventual() && at == 0 {
		page["@odata.count"] = n
	}
	value := []any{}
	for ; at < n && len(value) < size; at++ {
		value = append(value, object(at))
	}
	page["value"] = value
	if at < n {
		query := url.Values{}
		for name, value := range c.query {
			query.Set(name, value)
		}
		query.Del("$skiptoken")
		page["@odata.nextLink"] = f.Graph + c.URL.Path + "?" + query.Encode() + "&$skiptoken=" + f.seal(&cursor{Tenant: c.tenant.ID, At: at})
	}
	return c.reply(page)
}
