package entratest_test

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"testing"
	"time"

	"foyer/entra/entratest"
)

const selection = "/users/delta?$select=id,mail,displayName,jobTitle,accountEnabled"

// ids returns the ids of items in their order.
func ids(items []map[string]any) []string {
	var all []string
	for _, i := range items {
		all = append(all, i["id"].(string))
	}
	return all
}

func TestDelta_FirstRoundHasEverybodyOnceByPages(t *testing.T) {
	w := start(t)
	w.acme.Populate(450, 1)
	items, pages, link := w.round(t, selection)
	if all := ids(items); len(items) != 452 || pages != 3 || link == "" || len(slices.Compact(slices.Sorted(slices.Values(all)))) != 452 {
		t.Errorf("%d items on %d pages", len(items), pages)
	}
}

func TestDelta_OnlyWhatIsSelectedAndWasSetEver(t *testing.T) {
	w := start(t)
	w.acme.Update(w.bob.ID, func(u *entratest.User) { u.JobTitle = "Boss" })
	w.acme.Update(w.bob.ID, func(u *entratest.User) { u.JobTitle = "" })
	items, _, _ := w.round(t, selection)
	for _, i := range items {
		want := map[string]any{"id": w.ann.ID, "mail": "ann@acme.com", "displayName": "Ann", "accountEnabled": true}
		if i["id"] == w.bob.ID {
			want = map[string]any{"id": w.bob.ID, "mail": "bob@acme.com", "displayName": "Bob", "accountEnabled": true, "jobTitle": nil}
		}
		if !reflect.DeepEqual(i, want) {
			t.Errorf("got %v, want %v", i, want)
		}
	}
}

func TestDelta_SecondRoundHasWhatChanged(t *testing.T) {
	w := start(t)
	carl, dora := w.acme.Add(entratest.User{Mail: "carl@acme.com"}), w.acme.Add(entratest.User{Mail: "dora@acme.com"})
	_, _, link := w.round(t, selection)
	w.acme.Update(w.bob.ID, func(u *entratest.User) { u.JobTitle = "Boss" })
	w.acme.Update(w.ann.ID, func(u *entratest.User) { u.Department = "not selected" })
	w.acme.SoftDelete(carl.ID)
	w.acme.Delete(dora.ID)
	eve := w.acme.Add(entratest.User{Mail: "eve@acme.com"})
	items, _, next := w.round(t, link)
	got := map[string]string{}
	for _, i := range items {
		got[i["id"].(string)] = fmt.Sprintf("%v %v %v", i["jobTitle"], i["mail"], i["@removed"])
	}
	want := map[string]string{w.bob.ID: "Boss bob@acme.com <nil>", eve.ID: "<nil> eve@acme.com <nil>",
		carl.ID: "<nil> <nil> map[reason:changed]", dora.ID: "<nil> <nil> map[reason:deleted]"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	if items, _, _ := w.round(t, next); len(items) != 0 {
		t.Errorf("the third round has %v", items)
	}
}

func TestDelta_MinimalHasOnlyWhatChanged(t *testing.T) {
	w := start(t)
	w.acme.Update(w.bob.ID, func(u *entratest.User) { u.JobTitle = "Boss" })
	_, _, link := w.round(t, selection)
	w.acme.Update(w.bob.ID, func(u *entratest.User) { u.JobTitle = "" })
	want := []map[string]any{{"id": w.bob.ID, "jobTitle": nil}}
	if items, _, _ := w.round(t, link, "Prefer", "return=minimal"); !reflect.DeepEqual(items, want) {
		t.Errorf("got %v", items)
	}
	if items, _, _ := w.round(t, link); len(items) != 1 || items[0]["mail"] != "bob@acme.com" {
		t.Errorf("without Prefer: %v", items)
	}
	w.SetHabits(entratest.Habits{Partial: true})
	if items, _, _ := w.round(t, link); !reflect.DeepEqual(items, want) {
		t.Errorf("with the habit: %v", items)
	}
}

func TestDelta_RestoredComesBackWhole(t *testing.T) {
	w := start(t)
	w.acme.SoftDelete(w.bob.ID)
	items, _, link := w.round(t, selection)
	if len(items) != 1 {
		t.Errorf("the first round names the deleted: %v", items)
	}
	w.acme.Restore(w.bob.ID)
	items, _, _ = w.round(t, link, "Prefer", "return=minimal")
	if len(items) != 1 || items[0]["mail"] != "bob@acme.com" {
		t.Errorf("got %v", items)
	}
}

func TestDelta_Habits(t *testing.T) {
	w := start(t)
	w.acme.Populate(38, 1)
	w.acme.SoftDelete(w.bob.ID)
	w.SetHabits(entratest.Habits{PageSize: 10, EmptyEvery: 2, Repeat: 1, RemovedFirst: true})
	items, pages, _ := w.round(t, selection)
	distinct := map[string]bool{}
	removed := 0
	for _, i := range items {
		distinct[i["id"].(string)] = true
		if i["@removed"] != nil {
			removed++
		}
	}
	if len(distinct) != 40 || len(items) <= 40 || pages < 8 || removed == 0 {
		t.Errorf("%d items, %d people, %d removed, %d pages", len(items), len(distinct), removed, pages)
	}
}

func TestDelta_ReplayBringsChangesTwice(t *testing.T) {
	w := start(t)
	w.SetHabits(entratest.Habits{Replay: true})
	_, _, link := w.round(t, selection)
	w.acme.Update(w.bob.ID, func(u *entratest.User) { u.JobTitle = "Boss" })
	for i, want := range []int{1, 1, 0} {
		var items []map[string]any
		if items, _, link = w.round(t, link); len(items) != want {
			t.Errorf("round %d: %v", i, items)
		}
	}
}

func TestDelta_LinkMayBeAskedAgain(t *testing.T) {
	w := start(t)
	w.acme.Populate(300, 1)
	_, page := w.get(t, selection)
	next := page["@odata.nextLink"].(string)
	_, first := w.get(t, next)
	_, second := w.get(t, next)
	if !reflect.DeepEqual(first["value"], second["value"]) {
		t.Error("the same link gave two pages")
	}
}

func TestDelta_ChangesDuringARoundAreNotLost(t *testing.T) {
	w := start(t)
	w.acme.Populate(300, 1)
	_, page := w.get(t, selection)
	w.acme.Update(page["value"].([]any)[0].(map[string]any)["id"].(string), func(u *entratest.User) { u.JobTitle = "Changed" })
	_, _, link := w.round(t, page["@odata.nextLink"].(string))
	if items, _, _ := w.round(t, link); len(items) != 1 || items[0]["jobTitle"] != "Changed" {
		t.Errorf("got %v", items)
	}
}

func TestDelta_RefusesWhatGraphRefuses(t *testing.T) {
	w := start(t)
	_, _, link := w.round(t, selection)
	for _, query := range []string{"?$top=5", "?$expand=manager", "?$orderby=mail", "?$filter=mail%20eq%20'a'", "?$select=shoeSize", "?$deltatoken=abc", "?$skiptoken=abc"} {
		if resp, _ := w.get(t, "/users/delta"+query); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d", query, resp.StatusCode)
		}
	}
	if resp, _ := w.get(t, link+"&$select=mail"); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("a link with $select: %d", resp.StatusCode)
	}
	items, _, _ := w.round(t, "/users/delta?$filter=id%20eq%20'"+w.bob.ID+"'")
	if len(items) != 1 || items[0]["id"] != w.bob.ID {
		t.Errorf("filtered by id: %v", items)
	}
}

func TestDelta_LatestHasOnlyTheLink(t *testing.T) {
	w := start(t)
	items, _, link := w.round(t, selection+"&$deltatoken=latest")
	if len(items) != 0 {
		t.Errorf("got %v", items)
	}
	w.acme.Update(w.bob.ID, func(u *entratest.User) { u.JobTitle = "Boss" })
	if items, _, _ := w.round(t, link); len(items) != 1 {
		t.Errorf("after it: %v", items)
	}
}

func TestDelta_TokensLastSevenDays(t *testing.T) {
	w := start(t)
	_, _, link := w.round(t, selection)
	w.clock.move(7*24*time.Hour - time.Minute)
	w.bearer = w.appToken(t)
	if resp, _ := w.get(t, link); resp.StatusCode != http.StatusOK {
		t.Errorf("before: %d", resp.StatusCode)
	}
	w.clock.move(time.Minute)
	if resp, reply := w.get(t, link); resp.StatusCode != http.StatusBadRequest || code(reply) != "syncStateNotFound" {
		t.Errorf("after: %d %v", resp.StatusCode, reply)
	}
}

func TestDelta_Resets(t *testing.T) {
	for reset, want := range map[entratest.Reset]string{entratest.Gone: "410 resyncRequired", entratest.SyncStateNotFound: "400 syncStateNotFound", entratest.ResyncRequired: "400 resyncRequired"} {
		w := start(t)
		_, _, link := w.round(t, selection)
		w.acme.Reset(reset)
		resp, reply := w.get(t, link)
		if got := fmt.Sprint(resp.StatusCode, " ", code(reply)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if location := resp.Header.Get("Location"); location != "" {
			if items, _, _ := w.round(t, location); len(items) != 2 {
				t.Errorf("from the Location: %v", items)
			}
		} else if reset == entratest.Gone {
			t.Error("no Location")
		}
	}
}

func TestDelta_ManagersAreTracked(t *testing.T) {
	w := start(t)
	w.acme.Update(w.bob.ID, func(u *entratest.User) { u.Manager = w.ann.ID })
	items, _, link := w.round(t, "/users/delta?$select=manager")
	for _, i := range items {
		want := "<nil>"
		if i["id"] == w.bob.ID {
			want = "[map[@odata.type:#microsoft.graph.user id:" + w.ann.ID + "]]"
		}
		if fmt.Sprint(i["manager@delta"]) != want {
			t.Errorf("got %v", i)
		}
	}
	w.acme.Update(w.bob.ID, func(u *entratest.User) { u.Manager = "" })
	items, _, _ = w.round(t, link)
	if len(items) != 1 || items[0]["manager@delta"].([]any)[0].(map[string]any)["@removed"] == nil {
		t.Errorf("got %v", items)
	}
}

func TestDelta_FiftyThousandPeopleAreCheap(t *testing.T) {
	w := start(t)
	began := time.Now()
	w.acme.Populate(50_000, 1)
	items, pages, _ := w.round(t, selection)
	if len(items) != 50_002 || pages < 250 {
		t.Errorf("%d items on %d pages", len(items), pages)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
}
