package entra

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
)

// attributes are what is read of a person, and all that is: $select names them, and what comes beside them is not handed on. A change of the manager is told too.
var attributes = []string{"mail", "userPrincipalName", "givenName", "surname", "displayName", "jobTitle", "department", "mobilePhone", "businessPhones",
	"officeLocation", "employeeId", "accountEnabled", "userType"}

// Attributes returns the names of what is read of each person, as the Graph calls them; the manager comes beside them.
func Attributes() []string { return slices.Clone(attributes) }

// The values of Item.Removed.
const (
	RemovedChanged = "changed" // deleted, and can be restored for 30 days
	RemovedDeleted = "deleted" // gone for good
)

// Item is what the Graph says of one person: at least what changed. Persons may come several times in a read, in any order; what comes later holds.
type Item struct {
	ID         string                     // object id
	Removed    string                     // "": the person is there; RemovedChanged, RemovedDeleted: not any more, and nothing else is said
	Attributes map[string]json.RawMessage // those of Attributes that were carried; null is JSON's null, absent is unchanged
	Manager    *string                    // their id; "": none any more; nil: nothing is said of it
}

// Users reads the tenant's people page by page: all of them with link "", else what changed since the read that returned link. page gets each page when it
// is whole; an error of it ends the read and is returned as it is. Only a read that returned a deltaLink reached its end; after any other, what page got is
// part of something unknown. Resync says that link is of no use any more (delta-query-overview): read with "". A deltaLink is good for seven days.
func (t *Tenant) Users(ctx context.Context, link string, page func([]Item) error) (deltaLink string, err error) {
	start := link == ""
	if start {
		link = t.app.graph + "/v1.0/users/delta?$select=id," + strings.Join(attributes, ",") + ",manager"
	}
	var circle circle
	for {
		var p deltaPage
		err := t.get(ctx, query{address: link, parse: func(body []byte) (err error) { p, err = parseDelta(body); return err }})
		if e, ok := errors.AsType[*Error](err); ok && !start && (e.Status == 400 || e.Status == 404) {
			e.Kind, e.Message = Resync, anew // it made that link itself: "40X-series" (delta-query-overview)
		}
		if err != nil {
			return "", err
		}
		if err := t.app.checkLink(cmp.Or(p.next, p.delta)); err != nil {
			return "", err
		}
		if err := page(p.items); err != nil {
			return "", err
		}
		if p.next == "" {
			return p.delta, nil
		}
		if circle.closes(p.next) {
			return "", misread("the Graph")
		}
		start, link = false, p.next
	}
}

// circle finds out when links lead round in one, without keeping them: it compares with one of them, which it renews ever more rarely (Brent 1980).
type circle struct {
	kept        string
	steps, turn int
}

func (c *circle) closes(link string) bool {
	if link == c.kept {
		return true
	}
	if c.steps == c.turn {
		c.kept, c.steps, c.turn = link, 0, max(1, 2*c.turn)
	}
	c.steps++
	return false
}

// deltaPage is one page of users/delta. One of the links is set.
type deltaPage struct {
	items       []Item
	next, delta string
}

// parseDelta reads a page of users/delta (user-delta).
func parseDelta(body []byte) (deltaPage, error) {
	var raw struct {
		Value *[]map[string]json.RawMessage `json:"value"`
		Next  string                        `json:"@odata.nextLink"`
		Delta string                        `json:"@odata.deltaLink"`
	}
	if err := json.Unmarshal(body, &raw); err != nil {
		return deltaPage{}, err
	}
	if raw.Value == nil || (raw.Next == "") == (raw.Delta == "") {
		return deltaPage{}, errReply
	}
	p := deltaPage{items: make([]Item, 0, len(*raw.Value)), next: raw.Next, delta: raw.Delta}
	for _, object := range *raw.Value {
		item, err := newItem(object)
		if err != nil {
			return deltaPage{}, err
		}
		if links, said := object["manager@delta"]; said && item.Removed == "" {
			if item.Manager, err = managerOf(links); err != nil {
				return deltaPage{}, err
			}
		}
		p.items = append(p.items, item)
	}
	return p, nil
}

// newItem reads a person, but for the manager.
func newItem(object map[string]json.RawMessage) (Item, error) {
	var item Item
	if err := json.Unmarshal(object["id"], &item.ID); err != nil || item.ID == "" {
		return item, errReply
	}
	var removed *struct{ Reason string }
	if text, ok := object["@removed"]; ok {
		if err := json.Unmarshal(text, &removed); err != nil {
			return item, err
		}
	}
	if removed != nil {
		item.Removed = RemovedChanged // also for a reason that is not documented
		if removed.Reason == RemovedDeleted {
			item.Removed = RemovedDeleted
		}
		return item, nil
	}
	item.Attributes = make(map[string]json.RawMessage, len(attributes))
	for _, name := range attributes {
		if value, ok := object[name]; ok {
			item.Attributes[name] = value
		}
	}
	return item, nil
}

// managerOf reads manager@delta: the one from before with @removed, the one from now without, either may be absent.
func managerOf(links json.RawMessage) (*string, error) {
	var all []struct {
		ID      string
		Removed json.RawMessage `json:"@removed"`
	}
	if err := json.Unmarshal(links, &all); err != nil {
		return nil, err
	}
	manager := ""
	for _, m := range all {
		if len(m.Removed) > 0 && string(m.Removed) != "null" {
			continue
		}
		if m.ID == "" {
			return nil, errReply
		}
		manager = m.ID
	}
	return &manager, nil
}

// User reads one person with all of Attributes, and the manager; Missing where there is none with this object id.
func (t *Tenant) User(ctx context.Context, id string) (*Item, error) {
	if id = strings.ToLower(id); !isGUID(id) {
		return nil, invalid("the id of the person is no GUID")
	}
	var item Item
	address := t.app.graph + "/v1.0/users/" + id + "?$select=id," + strings.Join(attributes, ",") + "&$expand=" + url.QueryEscape("manager($select=id)")
	err := t.get(ctx, query{address: address, parse: func(body []byte) (err error) { item, err = parseUser(body); return err }})
	if err == nil && !strings.EqualFold(item.ID, id) {
		err = misread("the Graph")
	}
	if err != nil {
		return nil, err
	}
	return &item, nil
}

func parseUser(body []byte) (Item, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(body, &object); err != nil {
		return Item{}, err
	}
	item, err := newItem(object)
	if err != nil || item.Removed != "" {
		return item, err
	}
	var manager struct{ ID string } // absent where there is none
	if text, ok := object["manager"]; ok {
		err = json.Unmarshal(text, &manager)
	}
	item.Manager = &manager.ID
	return item, err
}
