package entra

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
)

// Group is a group of a tenant.
type Group struct {
	ID   string // object id
	Name string
	Mail string // "": it has none
}

const (
	maxGroups = 100 // that are listed for choosing
	maxPrefix = 256 // bytes of what their names begin with
)

// Groups returns up to 100 groups whose name begins so, by name; with "" any. It takes GroupMember.Read.All (MaySeeGroups).
func (t *Tenant) Groups(ctx context.Context, prefix string) ([]Group, error) {
	if len(prefix) > maxPrefix {
		return nil, invalid("the beginning of the group's name is too long")
	}
	q := url.Values{"$select": {"id,displayName,mail"}, "$top": {"100"}}
	if prefix != "" {
		q.Set("$filter", "startswith(displayName,'"+strings.ReplaceAll(prefix, "'", "''")+"')")
	}
	var reply list[groupObject]
	if err := t.get(ctx, query{address: t.app.graph + "/v1.0/groups?" + q.Encode(), parse: into(&reply)}); err != nil {
		return nil, err
	}
	groups := make([]Group, 0, len(reply.Value))
	for _, g := range reply.Value[:min(len(reply.Value), maxGroups)] {
		groups = append(groups, Group(g))
	}
	slices.SortFunc(groups, func(a, b Group) int { return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) })
	return groups, nil
}

// groupObject is a Group as the Graph writes it.
type groupObject struct {
	ID   string `json:"id"`
	Name string `json:"displayName"`
	Mail string `json:"mail"`
}

// Group returns the group with this object id, Missing where there is none.
func (t *Tenant) Group(ctx context.Context, id string) (Group, error) {
	if id = strings.ToLower(id); !isGUID(id) {
		return Group{}, invalid("the id of the group is no GUID")
	}
	var g groupObject
	err := t.get(ctx, query{address: t.app.graph + "/v1.0/groups/" + id + "?$select=id,displayName,mail", parse: into(&g)})
	if err == nil && !strings.EqualFold(g.ID, id) {
		err = misread("the Graph")
	}
	return Group(g), err
}

// Members hands on the object ids of all people in a group, and in groups within it, each page when it is whole (group-list-transitivemembers). An error of each
// ends it and is returned as it is. After an error, who was not named may be a member nevertheless. Missing says that there is no such group.
func (t *Tenant) Members(ctx context.Context, group string, each func(ids []string) error) error {
	if group = strings.ToLower(group); !isGUID(group) {
		return invalid("the id of the group is no GUID")
	}
	link := t.app.graph + "/v1.0/groups/" + group + "/transitiveMembers/microsoft.graph.user?$select=id&$top=999&$count=true"
	var circle circle
	for link != "" {
		var page list[member]
		if err := t.get(ctx, query{address: link, eventual: true, parse: into(&page)}); err != nil {
			return err
		}
		if page.Next != "" {
			if err := t.app.checkLink(page.Next); err != nil {
				return err
			}
		}
		ids := make([]string, len(page.Value))
		for i, m := range page.Value {
			ids[i] = string(m)
		}
		if err := each(ids); err != nil {
			return err
		}
		if page.Next != "" && circle.closes(page.Next) {
			return misread("the Graph")
		}
		link = page.Next
	}
	return nil
}

// member is the id of one.
type member string

// UnmarshalJSON reads it from its object.
func (m *member) UnmarshalJSON(text []byte) error {
	var object struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(text, &object); err != nil {
		return err
	}
	if object.ID == "" {
		return errReply
	}
	*m = member(object.ID)
	return nil
}
