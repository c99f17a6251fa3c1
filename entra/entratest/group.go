package entratest

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// group is a group of a tenant: the ids of people and of other groups.
type group struct {
	id, name string
	members  []string
}

// AddGroup makes a group, with people or other groups as its members, by their ids, and returns its id.
func (t *Tenant) AddGroup(name string, members ...string) string {
	t.fake.mu.Lock()
	defer t.fake.mu.Unlock()
	g := &group{newID(), name, slices.Clone(members)}
	t.groups = append(t.groups, g)
	return g.id
}

// SetMembers replaces the members of a group.
func (t *Tenant) SetMembers(id string, members ...string) {
	t.fake.mu.Lock()
	defer t.fake.mu.Unlock()
	t.group(id).members = slices.Clone(members)
}

// DeleteGroup deletes a group.
func (t *Tenant) DeleteGroup(id string) {
	t.fake.mu.Lock()
	defer t.fake.mu.Unlock()
	t.groups = slices.DeleteFunc(t.groups, func(g *group) bool { return g.id == id })
}

func (t *Tenant) group(id string) *group {
	for _, g := range t.groups {
		if strings.EqualFold(g.id, id) {
			return g
		}
	}
	return nil
}

// all returns who is in a group or in a group within it, each once, without the deleted. Groups may be within each other in a circle.
func (t *Tenant) all(g *group, seen map[string]bool) (people []*person, groups []*group) {
	for _, id := range g.members {
		if seen[id] {
			continue
		}
		seen[id] = true
		if p := t.byID[id]; p != nil && p.presence == alive {
			people = append(people, p)
		}
		if inner := t.group(id); inner != nil {
			morePeople, moreGroups := t.all(inner, seen)
			people, groups = append(people, morePeople...), append(append(groups, inner), moreGroups...)
		}
	}
	return people, groups
}

// object is the group as the Graph tells it.
func (g *group) object() map[string]any {
	return map[string]any{"id": g.id, "displayName": g.name, "description": nil, "mail": nil, "mailEnabled": false, "securityEnabled": true, "groupTypes": []string{}}
}

// getGroup is groups/{id}.
func (f *Fake) getGroup(c *call) *graphError {
	f.mu.Lock()
	defer f.mu.Unlock()
	g := c.tenant.group(c.PathValue("id"))
	if g == nil {
		return notFound(c.PathValue("id"))
	}
	object := selected(g.object(), c.query["$select"])
	object["@odata.context"] = f.context("groups/$entity")
	return c.reply(object)
}

func notFound(id string) *graphError {
	return &graphError{http.StatusNotFound, "Request_ResourceNotFound", "Resource '" + id + "' does not exist or one of its queried reference-property objects are not present."}
}

// selected leaves of an object what $select names, and the id.
func selected(object map[string]any, names string) map[string]any {
	if names == "" {
		return object
	}
	for name := range object {
		if name != "id" && !strings.HasPrefix(name, "@") && !slices.Contains(strings.Split(names, ","), name) {
			delete(object, name)
		}
	}
	return object
}

var (
	startsWith = regexp.MustCompile(`^startswith\(displayName,\s*'((?:[^']|'')*)'\)$`)
	nameEquals = regexp.MustCompile(`^displayName eq '((?:[^']|'')*)'$`)
	nameSearch = regexp.MustCompile(`^"displayName:([^"]*)"$`)
)

// listGroups is groups. $search needs ConsistencyLevel: eventual; of $filter it knows startswith(displayName,…) and displayName eq.
func (f *Fake) listGroups(c *call) *graphError {
	match := func(string) bool { return true }
	filter, filtered := c.query["$filter"]
	search, searched := c.query["$search"]
	unquote := func(s string) string { return strings.ToLower(strings.ReplaceAll(s, "''", "'")) }
	switch {
	case searched && !strings.EqualFold(c.Header.Get("ConsistencyLevel"), "eventual"):
		return badQuery("Request with $search query parameter only works through MSGraph with a special request header: 'ConsistencyLevel: eventual'")
	case searched && nameSearch.MatchString(search):
		word := strings.ToLower(nameSearch.FindStringSubmatch(search)[1])
		match = func(name string) bool {
			return slices.ContainsFunc(strings.Fields(name), func(part string) bool { return strings.HasPrefix(part, word) }) || strings.HasPrefix(name, word)
		}
	case searched:
		return badQuery("Syntax error: character '\"' is not closed: the form is \"displayName:words\".")
	case filtered && startsWith.MatchString(filter):
		prefix := unquote(startsWith.FindStringSubmatch(filter)[1])
		match = func(name string) bool { return strings.HasPrefix(name, prefix) }
	case filtered && nameEquals.MatchString(filter):
		whole := unquote(nameEquals.FindStringSubmatch(filter)[1])
		match = func(name string) bool { return name == whole }
	case filtered:
		return badQuery("Unsupported or invalid query filter clause specified for a property of resource 'Group'.")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []*group
	for _, g := range c.tenant.groups {
		if match(strings.ToLower(g.name)) {
			found = append(found, g)
		}
	}
	return f.list(c, "groups", len(found), func(i int) map[string]any { return selected(found[i].object(), c.query["$select"]) })
}

// transitiveMembers is groups/{id}/transitiveMembers, with or without a cast. The cast is an advanced query. Who may not read users learns their ids only.
func (f *Fake) transitiveMembers(c *call) *graphError {
	f.mu.Lock()
	defer f.mu.Unlock()
	g := c.tenant.group(c.PathValue("id"))
	if g == nil {
		return notFound(c.PathValue("id"))
	}
	people, groups := c.tenant.all(g, map[string]bool{g.id: true})
	fields, _, unknown := fields(c.query["$select"], c.query["$select"] != "")
	cast := c.PathValue("cast")
	switch {
	case cast != "" && !c.eventual() && cast != "$count":
		return badQuery("The specified cast to the reference property query is currently not supported: it takes ConsistencyLevel: eventual and $count=true.")
	case cast == "$count":
		return f.count(c, len(people)+len(groups))
	case cast == "microsoft.graph.user":
		groups = nil
	case cast == "microsoft.graph.group":
		people = nil
	case cast != "":
		return &graphError{http.StatusBadRequest, "BadRequest", "Resource not found for the segment '" + cast + "'."}
	}
	if unknown != "" && cast == "microsoft.graph.user" {
		return &graphError{http.StatusBadRequest, "Request_BadRequest", "Could not find a property named '" + unknown + "' on type 'microsoft.graph.user'."}
	}
	mayRead := overlap(slices.Concat(c.roles, c.scopes), []string{"User.Read.All", "Directory.Read.All"})
	return f.list(c, "directoryObjects", len(people)+len(groups), func(i int) map[string]any {
		if i >= len(people) {
			object := selected(groups[i-len(people)].object(), c.query["$select"])
			object["@odata.type"] = "#microsoft.graph.group"
			return object
		}
		object := people[i].object(fields, mayRead)
		if cast == "" {
			object["@odata.type"] = "#microsoft.graph.user"
		}
		return object
	})
}
