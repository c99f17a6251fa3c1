package entratest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"foyer/entra/entratest"
)

const eventual = "ConsistencyLevel"

func TestGroups_TransitiveMembers(t *testing.T) {
	w := start(t)
	people := w.acme.Populate(1500, 1)
	var members []string
	for _, u := range people {
		members = append(members, u.ID)
	}
	inner := w.acme.AddGroup("Inner", append(members, w.bob.ID)...)
	middle := w.acme.AddGroup("Middle", inner)
	outer := w.acme.AddGroup("Outer", middle, w.bob.ID, w.ann.ID)
	w.acme.SetMembers(inner, append(members, w.bob.ID, outer)...) // a circle
	w.acme.SoftDelete(people[0].ID)
	path := "/groups/" + outer + "/transitiveMembers/microsoft.graph.user?$select=id&$top=999&$count=true"
	items, pages, _ := w.round(t, path, eventual, "eventual")
	if all := slices.Compact(slices.Sorted(slices.Values(ids(items)))); len(items) != 1501 || len(all) != 1501 || pages != 2 || len(items[0]) != 1 {
		t.Errorf("%d items, %d people, %d pages", len(items), len(all), pages)
	}
	if _, page := w.get(t, path, eventual, "eventual"); page["@odata.count"] != 1501.0 {
		t.Errorf("count %v", page["@odata.count"])
	}
	if items, _, _ := w.round(t, "/groups/"+outer+"/transitiveMembers?$top=999"); len(items) != 1503 {
		t.Errorf("without a cast: %d", len(items))
	}
	for _, bad := range []struct{ path, level string }{{path, ""}, {strings.Replace(path, "&$count=true", "", 1), "eventual"}, {path + "&$top=1000", "eventual"}} {
		if resp, reply := w.get(t, strings.Replace(bad.path, "$top=999&$count=true&", "$count=true&", 1), eventual, bad.level); resp.StatusCode != 400 || code(reply) != "Request_UnsupportedQuery" {
			t.Errorf("%v: %d %v", bad, resp.StatusCode, reply)
		}
	}
}

func TestGroups_NeedTheirPermission(t *testing.T) {
	w := start(t)
	group := w.acme.AddGroup("Toronto", w.bob.ID)
	w.acme.Withdraw(w.app, "User.Read.All")
	w.bearer = w.appToken(t)
	items, _, _ := w.round(t, "/groups/"+group+"/transitiveMembers/microsoft.graph.user?$select=id,mail&$count=true", eventual, "eventual")
	if len(items) != 1 || items[0]["id"] != w.bob.ID || items[0]["mail"] != nil {
		t.Errorf("without User.Read.All: %v", items)
	}
	w.acme.Withdraw(w.app, "GroupMember.Read.All")
	w.bearer = w.appToken(t)
	if resp, _ := w.get(t, "/groups"); resp.StatusCode != http.StatusForbidden {
		t.Errorf("without GroupMember.Read.All: %d", resp.StatusCode)
	}
}

func TestGroups_Picker(t *testing.T) {
	w := start(t)
	for _, name := range []string{"Toronto Staff", "Montréal Staff", "O'Brien's"} {
		w.acme.AddGroup(name)
	}
	for path, want := range map[string]string{
		"/groups?$select=id,displayName":                                               "Toronto Staff, Montréal Staff, O'Brien's",
		"/groups?$filter=" + url.QueryEscape("startswith(displayName,'mon')"):          "Montréal Staff",
		"/groups?$filter=" + url.QueryEscape("displayName eq 'O''Brien''s'"):           "O'Brien's",
		"/groups?$search=" + url.QueryEscape(`"displayName:staff"`):                    "Toronto Staff, Montréal Staff",
		"/groups?$count=true&$top=1&$filter=startswith(displayName,'t')&$orderby=dis.": "Toronto Staff",
	} {
		items, _, _ := w.round(t, path, eventual, "eventual")
		var names []string
		for _, i := range items {
			names = append(names, i["displayName"].(string))
		}
		if got := strings.Join(names, ", "); got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
	if resp, _ := w.get(t, "/groups?$search="+url.QueryEscape(`"displayName:staff"`)); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("$search without the header: %d", resp.StatusCode)
	}
	group := w.acme.AddGroup("Vancouver")
	if _, reply := w.get(t, "/groups/"+group); reply["displayName"] != "Vancouver" {
		t.Errorf("got %v", reply)
	}
	w.acme.DeleteGroup(group)
	if resp, _ := w.get(t, "/groups/"+group); resp.StatusCode != http.StatusNotFound {
		t.Errorf("deleted: %d", resp.StatusCode)
	}
}

func TestUsers_CountListAndManagers(t *testing.T) {
	w := start(t)
	w.acme.Update(w.bob.ID, func(u *entratest.User) { u.Manager = w.ann.ID })
	if resp, reply := w.get(t, "/users/$count", eventual, "eventual"); resp.StatusCode != http.StatusOK || reply["text"] != "2" {
		t.Errorf("count: %d %v", resp.StatusCode, reply)
	}
	if resp, _ := w.get(t, "/users/$count"); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("count without the header: %d", resp.StatusCode)
	}
	if _, page := w.get(t, "/users?$count=true&$top=1&$select=id", eventual, "eventual"); page["@odata.count"] != 2.0 || page["@odata.nextLink"] == nil {
		t.Errorf("list: %v", page)
	}
	items, _, _ := w.round(t, "/users?$select=id&$expand=manager($select=id,displayName)")
	for _, i := range items {
		if got, want := fmt.Sprint(i["manager"]), fmt.Sprintf("map[displayName:Ann id:%s]", w.ann.ID); i["id"] == w.bob.ID && got != want {
			t.Errorf("expanded: %v", i)
		}
	}
	if _, m := w.get(t, "/users/"+w.bob.ID+"/manager?$select=mail"); m["id"] != w.ann.ID || m["mail"] != "ann@acme.com" {
		t.Errorf("manager: %v", m)
	}
	if resp, reply := w.get(t, "/users/"+w.ann.ID+"/manager"); resp.StatusCode != http.StatusNotFound || code(reply) != "Request_ResourceNotFound" {
		t.Errorf("no manager: %d %v", resp.StatusCode, reply)
	}
	if _, u := w.get(t, "/users/bob@acme.com?$select=department"); u["id"] != w.bob.ID || len(u) != 3 {
		t.Errorf("by name: %v", u)
	}
}

func (w *world) batch(t *testing.T, requests ...map[string]any) (int, map[string]any) {
	t.Helper()
	text, err := json.Marshal(map[string]any{"requests": requests})
	must(t, err)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.Graph+"/v1.0/$batch", bytes.NewReader(text))
	must(t, err)
	r.Header.Set("Authorization", "Bearer "+w.bearer)
	r.Header.Set("Content-Type", "application/json")
	resp, err := w.client.Do(r)
	must(t, err)
	return resp.StatusCode, decode(t, resp)
}

func TestBatch_AnswersEachInAnyOrder(t *testing.T) {
	w := start(t)
	w.acme.Update(w.bob.ID, func(u *entratest.User) { u.Manager = w.ann.ID })
	step := func(id, path string) map[string]any {
		return map[string]any{"id": id, "method": "GET", "url": path, "headers": map[string]string{eventual: "eventual"}}
	}
	w.FailAt("/users/"+w.ann.ID, 1, entratest.Throttled(5e9))
	_, reply := w.batch(t, step("1", "/users/"+w.bob.ID+"/manager"), step("2", "users/$count"), step("3", "/users/"+w.ann.ID+"/manager"), step("4", "/users/"+w.ann.ID))
	got := ""
	for _, r := range reply["responses"].([]any) {
		r := r.(map[string]any)
		got += fmt.Sprint(r["id"], ":", r["status"], " ")
	}
	if got != "4:429 3:404 2:200 1:200 " {
		t.Errorf("got %s", got)
	}
	many := make([]map[string]any, 21)
	for i := range many {
		many[i] = step(fmt.Sprint(i), "/users")
	}
	w.clock.move(6e9)
	if status, _ := w.batch(t, many...); status != http.StatusBadRequest {
		t.Errorf("21 requests: %d", status)
	}
	if status, _ := w.batch(t, step("a", "/users"), step("A", "/users")); status != http.StatusBadRequest {
		t.Errorf("an id twice: %d", status)
	}
}

func TestOrganization_ListsVerifiedDomainsOnly(t *testing.T) {
	w := start(t)
	w.acme.AddDomain(entratest.Domain{Name: "bigbank.com", Unverified: true})
	if resp, _ := w.get(t, "/organization"); resp.StatusCode != http.StatusForbidden {
		t.Errorf("as an application with User.Read.All: %d", resp.StatusCode)
	}
	_, reply := w.redeem(t, "organizations", w.codeForm(w.signIn(t, w.bob).Get("code")))
	w.bearer = reply["access_token"].(string)
	_, orgs := w.get(t, "/organization")
	var names []string
	for _, d := range orgs["value"].([]any)[0].(map[string]any)["verifiedDomains"].([]any) {
		d := d.(map[string]any)
		names = append(names, fmt.Sprint(d["name"], " ", d["isDefault"], " ", d["isInitial"]))
	}
	if got := strings.Join(names, ", "); got != "acme.com true false, acme.onmicrosoft.com false true" {
		t.Errorf("got %s", got)
	}
}

func TestPopulate_IsTheSameEachTimeAndAsInRealLife(t *testing.T) {
	w := start(t)
	one := w.Tenant("Big", "big.com").Populate(1000, 7)
	two := w.Tenant("Big", "big2.com").Populate(1000, 7)
	counts := map[string]int{}
	for i, u := range one {
		if u.ID != two[i].ID || u.DisplayName != two[i].DisplayName {
			t.Fatalf("%v and %v", u, two[i])
		}
		for name, is := range map[string]bool{"guests": u.UserType == "Guest", "without mail": u.Mail == "", "disabled": u.Disabled, "managed": u.Manager != "",
			"other name": u.UserPrincipalName != u.Mail, "accents": strings.ContainsAny(u.DisplayName, "éöøŁë")} {
			if is {
				counts[name]++
			}
		}
	}
	for name, least := range map[string]int{"guests": 10, "without mail": 10, "disabled": 20, "managed": 800, "other name": 50, "accents": 200} {
		if counts[name] < least {
			t.Errorf("%s: %d", name, counts[name])
		}
	}
}
