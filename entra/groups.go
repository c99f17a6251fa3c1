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
	var reply struct{ Value []groupObject }
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
		var ids []string
		var next string
		err := t.get(ctx, query{address: link, eventual: true, parse: func(body []byte) (err error) { ids, next, err = parseMembers(body); return err }})
		if err != nil {
			return err
		}
		if next != "" {
			if err := t.app.checkLink(next); err != nil {
				return err
			}
		}
		if err := each(ids); err != nil {
			return err
		}
		if next != "" && circle.closes(next) {
			return misread("the Graph")
		}
		link = next
	}
	return nil
}

// parseMembers reads a page of members (paging).
func parseMembers(body []byte) (ids []string, next string, err error) {
	var raw struct {
		Value *[]struct{ ID string } `json:"value"`
		Next  string                 `json:"@odata.nextLink"`
	}
	if err := json.Unmarshal(body, &raw); err != nil {
		return nil, "", err
	}
	if raw.Value == nil {
		return nil, "", errPage
	}
	for _, m := range *raw.Value {
		if m.ID == "" {
			return nil, "", errPage
		}
		ids = append(ids, m.ID)
	}
	return ids, raw.Next, nil
}
