package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"foyer"
	"foyer/store"
	"foyer/store/storetest"
)

// connect connects a tenant to Acme, and returns the source that reads it.
func (w *tenants) connect() foyer.SourceID {
	w.t.Helper()
	source, err := w.bind(w.acme, foyer.EntraLink{For: "acme.example"}, tenantOf("acme.example"))
	w.must(err)
	w.edit(w.acme, source.ID, "agree", func(c *foyer.Connection) { c.State = foyer.Connected })
	return source.ID
}

func (w *tenants) take() *store.Reading {
	w.t.Helper()
	r, err := w.TakeReading(w.t.Context(), w.operator)
	w.must(err)
	if r == nil {
		w.t.Fatal("nothing is due")
	}
	return r
}

// item says something of a person: "title=Boss", "title=" for none any more; "gone", "whole", "manager=ID".
func item(id string, says ...string) store.EntraItem {
	i := store.EntraItem{ID: id, Attributes: map[string]json.RawMessage{}}
	for _, said := range says {
		name, value, _ := strings.Cut(said, "=")
		switch {
		case said == "gone":
			i.Gone = true
		case said == "whole":
			i.Whole = true
		case name == "manager":
			i.Manager = &value
		case value == "":
			i.Attributes[name] = json.RawMessage("null")
		default:
			i.Attributes[name] = json.RawMessage(fmt.Sprintf("%q", value))
		}
	}
	return i
}

// store stores batches of items, and wants it to tell whether they changed something.
func (w *tenants) store(r *store.Reading, full, changes bool, batches ...[]store.EntraItem) {
	w.t.Helper()
	changed, err := w.StoreReading(w.t.Context(), w.operator, r, full, "delta", each(batches))
	w.must(err)
	if changed != changes {
		w.t.Errorf("it changed something: %v", changed)
	}
}

func each(batches [][]store.EntraItem) func(func([]store.EntraItem) error) error {
	return func(yield func([]store.EntraItem) error) error {
		for _, batch := range batches {
			if err := yield(batch); err != nil {
				return err
			}
		}
		return nil
	}
}

// people returns who is known, as "id name=value … manager=mail".
func (w *tenants) people(source foyer.SourceID) (all []string) {
	w.t.Helper()
	w.must(w.EntraPeople(w.t.Context(), w.operator, w.acme, source, func(p *store.EntraPerson) error {
		text := p.ID
		for _, name := range slices.Sorted(maps.Keys(p.Attributes)) {
			text += " " + name + "=" + p.Text(name)
		}
		if p.ManagerID != "" {
			text += " manager=" + p.ManagerID + ":" + p.ManagerMail
		}
		all = append(all, text)
		return nil
	}))
	return all
}

func (w *tenants) want(source foyer.SourceID, people ...string) {
	w.t.Helper()
	if all := w.people(source); !slices.Equal(all, people) {
		w.t.Errorf("the people are\n%s\nwant\n%s", strings.Join(all, "\n"), strings.Join(people, "\n"))
	}
	if c := w.connection(source); c.People != len(people) {
		w.t.Errorf("%d people are counted, want %d", c.People, len(people))
	}
}

func (w *tenants) connection(source foyer.SourceID) foyer.Connection {
	w.t.Helper()
	all, err := w.Connections(w.t.Context(), w.operator, w.acme)
	w.must(err)
	at := slices.IndexFunc(all, func(c foyer.Connection) bool { return c.Source == source })
	return all[at]
}

func (w *tenants) end(r *store.Reading, e store.ReadingEnd) {
	w.t.Helper()
	w.must(w.EndReading(w.t.Context(), w.operator, r, e))
}

// rowsOf returns how many rows of people there are, those that nobody sees too.
func (w *tenants) rowsOf() int { return len(storetest.Rows(w.t, w.dir)["entra_person"]) }

func TestReading_IsOneProcesss(t *testing.T) {
	w := startTenants(t)
	source := w.connect()
	first := w.take()
	if first.Connection.Source != source || first.Org.ID != w.acme || first.Delta != "" {
		t.Errorf("%+v", first)
	}
	none := func() {
		t.Helper()
		if r, err := w.beside.TakeReading(t.Context(), w.operator); r != nil || err != nil {
			t.Errorf("it is taken twice: %+v, %v", r, err)
		}
	}
	none()
	w.clock.Move(store.ReadingLease - time.Second)
	w.must(w.HoldReading(t.Context(), w.operator, first))
	w.clock.Move(store.ReadingLease - time.Second)
	none()
	w.clock.Move(2 * time.Second) // it was silent for too long
	second, err := w.beside.TakeReading(t.Context(), w.operator)
	w.must(err)
	w.refused("held by who lost it", w.HoldReading(t.Context(), w.operator, first), foyer.Conflict)
	_, err = w.StoreReading(t.Context(), w.operator, first, true, "mine", each([][]store.EntraItem{{item("a")}}))
	w.refused("stored by who lost it", err, foyer.Conflict)
	w.end(first, store.ReadingEnd{State: foyer.Disconnected, Problem: "late", Alert: foyer.AlertDisconnected, Title: "late"})
	if c := w.connection(source); c.State != foyer.Connected || c.Problem != "" || c.People != 0 {
		t.Errorf("who lost it ended it: %+v", c)
	}
	none()
	w.must(w.beside.EndReading(t.Context(), w.operator, second, store.ReadingEnd{Next: w.clock.Now().Add(time.Hour)}))
	none()
	w.clock.Move(time.Hour)
	w.take()
}

// TestReading_IsOfWhatIsRead holds that a tenant is read neither before its administrator agreed nor while it is paused.
func TestReading_IsOfWhatIsRead(t *testing.T) {
	w := startTenants(t)
	source := w.connect()
	for state, reads := range map[foyer.ConnectionState]bool{foyer.Consenting: false, foyer.Confirming: true, foyer.Connected: true, foyer.Paused: false, foyer.Disconnected: false} {
		w.edit(w.acme, source, "set", func(c *foyer.Connection) { c.State = state })
		r, err := w.TakeReading(t.Context(), w.operator)
		w.must(err)
		if (r != nil) != reads {
			t.Errorf("%s is read: %v", state, r != nil)
		}
		if r != nil {
			w.end(r, store.ReadingEnd{})
		}
	}
}

func TestReading_FullOneReplacesAll(t *testing.T) {
	w := startTenants(t)
	source := w.connect()
	r := w.take()
	w.store(r, true, true, []store.EntraItem{item("b", "whole", "mail=b@x.ca", "jobTitle=Clerk", "manager=a"), item("a", "whole", "mail=A@x.ca")}, []store.EntraItem{item("c", "whole", "manager=zz")})
	w.want(source, "a mail=A@x.ca", "b jobTitle=Clerk mail=b@x.ca manager=a:A@x.ca", "c manager=zz:")
	w.store(r, true, false, []store.EntraItem{item("c", "whole", "manager=zz"), item("a", "whole", "mail=A@x.ca"), item("b", "whole", "mail=b@x.ca", "jobTitle=Clerk", "manager=a")})
	w.store(r, true, true, []store.EntraItem{item("b", "whole", "mail=b@x.ca"), item("d", "whole")})
	w.want(source, "b mail=b@x.ca", "d")
	if n := w.rowsOf(); n != 2 {
		t.Errorf("%d rows are left", n)
	}
	w.store(r, true, true)
	w.want(source)
	w.store(r, true, false)
}

func TestReading_ChangesSayOnlyWhatChanged(t *testing.T) {
	w := startTenants(t)
	source := w.connect()
	r := w.take()
	w.store(r, true, true, []store.EntraItem{item("a", "whole", "mail=a@x.ca", "jobTitle=Clerk", "manager=m"), item("m", "whole", "mail=m@x.ca"), item("z", "whole")})
	for _, test := range []struct {
		changes bool
		items   []store.EntraItem
		a       string
	}{
		{false, nil, "a jobTitle=Clerk mail=a@x.ca manager=m:m@x.ca"},
		{false, []store.EntraItem{item("a")}, "a jobTitle=Clerk mail=a@x.ca manager=m:m@x.ca"},
		{true, []store.EntraItem{item("a", "department=Ops")}, "a department=Ops jobTitle=Clerk mail=a@x.ca manager=m:m@x.ca"},
		{true, []store.EntraItem{item("a", "department=")}, "a jobTitle=Clerk mail=a@x.ca manager=m:m@x.ca"},
		{false, []store.EntraItem{item("a", "department=")}, "a jobTitle=Clerk mail=a@x.ca manager=m:m@x.ca"},
		{true, []store.EntraItem{item("a", "manager=")}, "a jobTitle=Clerk mail=a@x.ca"},
		{true, []store.EntraItem{item("a", "whole", "mail=a@x.ca")}, "a mail=a@x.ca"},
		{true, []store.EntraItem{item("a", "gone")}, ""},
		{false, []store.EntraItem{item("a", "gone"), item("nobody", "gone")}, ""},
		{true, []store.EntraItem{item("a", "mail=a@x.ca")}, "a mail=a@x.ca"},
		{false, []store.EntraItem{item("a", "gone"), item("a", "mail=a@x.ca")}, "a mail=a@x.ca"},
		{false, []store.EntraItem{item("a", "mail=b@x.ca"), item("a", "mail=a@x.ca")}, "a mail=a@x.ca"},
		{false, []store.EntraItem{item("new"), item("new", "gone")}, "a mail=a@x.ca"},
		{true, []store.EntraItem{item("a", "jobTitle=1"), item("a", "jobTitle=2"), item("a", "mail=")}, "a jobTitle=2"},
	} {
		before := w.connection(source).Version
		w.store(r, false, test.changes, test.items)
		want := []string{"m mail=m@x.ca", "z"}
		if test.a != "" {
			want = slices.Insert(want, 0, test.a)
		}
		w.want(source, want...)
		if changed := w.connection(source).Version > before; changed != test.changes {
			t.Errorf("%v: the version moved: %v", test.items, changed)
		}
	}
	if n := w.rowsOf(); n != 3 {
		t.Errorf("%d rows are left", n)
	}
	known, err := w.EntraKnown(t.Context(), w.operator, r, []string{"a", "m", "nobody", "new"})
	w.must(err)
	if len(known) != 2 || !known["a"] || !known["m"] {
		t.Errorf("%v", known)
	}
}

// TestReading_AsItemByItem holds random readings, in many batches and transactions, against what their items say one after the other.
func TestReading_AsItemByItem(t *testing.T) {
	w := startTenants(t)
	source := w.connect()
	r := w.take()
	random := rand.New(rand.NewPCG(1, 2))
	var model map[string]map[string]string
	now := map[string]map[string]string{}
	for round := range 8 {
		full := round%3 == 0
		model, now = now, map[string]map[string]string{}
		if !full {
			for id, says := range model {
				now[id] = maps.Clone(says)
			}
		}
		var batches [][]store.EntraItem
		for range 1 + random.IntN(5) {
			var batch []store.EntraItem
			for range random.IntN(900) {
				id, name, value := fmt.Sprint("p", random.IntN(1500)), []string{"jobTitle", "department"}[random.IntN(2)], fmt.Sprint(random.IntN(3))
				if random.IntN(8) == 0 {
					batch = append(batch, item(id, "gone"))
					delete(now, id)
					continue
				}
				if value == "0" {
					value = ""
				}
				says := []string{name + "=" + value}
				if random.IntN(4) == 0 {
					says = append(says, "whole")
					delete(now, id)
				}
				batch = append(batch, item(id, says...))
				if now[id] == nil {
					now[id] = map[string]string{}
				}
				if now[id][name] = value; value == "" {
					delete(now[id], name)
				}
			}
			batches = append(batches, batch)
		}
		w.store(r, full, !maps.EqualFunc(model, now, maps.Equal), batches...)
		var want []string
		for _, id := range slices.Sorted(maps.Keys(now)) {
			for _, name := range slices.Sorted(maps.Keys(now[id])) {
				id += " " + name + "=" + now[strings.Fields(id)[0]][name]
			}
			want = append(want, id)
		}
		w.want(source, want...)
		if n := w.rowsOf(); n != len(want) {
			t.Errorf("%d rows are left of %d people", n, len(want))
		}
	}
}

// TestReading_ThatFailsHalfWayLeavesAllAsItWas holds it for one that fails, and for one whose process ended: then what it wrote is swept away by the next, or by pruning.
func TestReading_ThatFailsHalfWayLeavesAllAsItWas(t *testing.T) {
	w := startTenants(t)
	source := w.connect()
	r := w.take()
	w.store(r, true, true, many(0, 1500, "Clerk"))
	before, was := w.state(), w.people(source)
	fault := errors.New("the network went away")
	_, err := w.StoreReading(t.Context(), w.operator, r, true, "half", func(yield func([]store.EntraItem) error) error {
		if err := yield(many(700, 3000, "Boss")); err != nil {
			return err
		}
		if !slices.Equal(w.people(source), was) {
			t.Error("it is seen before it is whole")
		}
		return fault
	})
	if !errors.Is(err, fault) {
		t.Errorf("the error is %v", err)
	}
	if after := w.state(); after != before {
		t.Errorf("something was left:\n%.2000s", difference(before, after))
	}
	half := func() {
		t.Helper()
		_, err := w.StoreReading(t.Context(), w.operator, r, true, "half", func(yield func([]store.EntraItem) error) error {
			if err := yield(many(700, 3000, "Boss")); err != nil {
				return err
			}
			w.clock.Move(2 * store.ReadingLease)
			if r, err = w.beside.TakeReading(t.Context(), w.operator); err != nil || r == nil {
				t.Fatal(r, err)
			}
			return nil
		})
		w.refused("the reading is lost", err, foyer.Conflict)
		if w.rowsOf() < 2500 || !slices.Equal(w.people(source), was) {
			t.Errorf("there are %d rows", w.rowsOf())
		}
	}
	half()
	w.store(r, false, true, []store.EntraItem{item("00000", "jobTitle=Boss")})
	was[0] = "00000 jobTitle=Boss"
	w.want(source, was...)
	if n := w.rowsOf(); n != 1500 {
		t.Errorf("%d rows are left", n)
	}
	half()
	w.clock.Move(2 * store.ReadingLease)
	w.edit(w.acme, source, "pause", func(c *foyer.Connection) { c.State = foyer.Paused })
	w.must(w.Prune(t.Context(), w.operator, 90*24*time.Hour))
	w.want(source, was...)
	if n := w.rowsOf(); n != 1500 {
		t.Errorf("%d rows are left", n)
	}
	w.refused("a reading that pruning took", w.HoldReading(t.Context(), w.operator, r), foyer.Conflict)
}

func many(from, to int, title string) (items []store.EntraItem) {
	for i := from; i < to; i++ {
		items = append(items, item(fmt.Sprintf("%05d", i), "whole", "jobTitle="+title))
	}
	return items
}

// TestReading_TakesNoTextOnTrust holds that both databases take whatever a directory says, and that what cannot be is refused as a whole.
func TestReading_TakesNoTextOnTrust(t *testing.T) {
	w := startTenants(t)
	source := w.connect()
	r := w.take()
	odd := item("a")
	odd.Attributes["jobTitle"] = json.RawMessage("\"Ren\xe9 \\u0000 x\"")
	odd.Attributes["empty"] = nil
	w.store(r, true, true, []store.EntraItem{odd})
	w.want(source, "a jobTitle=Ren\uFFFD \x00 x")
	for _, id := range []string{"", "a\x00", "\xe9", strings.Repeat("x", 300), " a"} {
		_, err := w.StoreReading(t.Context(), w.operator, r, false, "", each([][]store.EntraItem{{item("b")}, {item(id)}}))
		w.refused(fmt.Sprintf("the id %q", id), err, foyer.Invalid)
	}
	_, err := w.StoreReading(t.Context(), w.operator, r, false, "", each([][]store.EntraItem{{item("b", "manager=\x00")}}))
	w.refused("a manager", err, foyer.Invalid)
	w.want(source, "a jobTitle=Ren\uFFFD \x00 x")
	w.end(r, store.ReadingEnd{Problem: "it says \x00\xe9" + strings.Repeat("é", 9000), Alert: foyer.AlertUnread, Title: "could\nnot\x00 be read", Next: w.clock.Now()})
	if c := w.connection(source); !strings.HasPrefix(c.Problem, "it says \uFFFDé") || len(c.Problem) > 2100 {
		t.Errorf("%q", c.Problem)
	}
}

func TestReading_ItsEnd(t *testing.T) {
	w := startTenants(t)
	source := w.connect()
	alerts := func(open ...string) {
		t.Helper()
		all, err := w.Alerts(t.Context(), w.operator, w.acme, false)
		w.must(err)
		var titles []string
		for _, a := range all {
			titles = append(titles, string(a.Kind)+": "+a.Title)
		}
		if !slices.Equal(titles, open) {
			t.Errorf("the alerts are %q, want %q", titles, open)
		}
	}
	r := w.take()
	next := w.clock.Now().Add(6 * time.Hour)
	w.store(r, true, true, []store.EntraItem{item("a")})
	failed := store.ReadingEnd{Next: next, Problem: "it does not answer", Failures: 1, Alert: foyer.AlertUnread, Title: "could not be read", Cure: "wait"}
	w.end(r, failed)
	c := w.connection(source)
	if c.Failures != 1 || c.Problem != failed.Problem || !c.NextAt.Equal(next.Truncate(time.Millisecond)) || !c.CheckedAt.IsZero() || c.State != foyer.Connected {
		t.Errorf("%+v", c)
	}
	alerts(`unread: "entra" could not be read`)
	w.clock.Move(6 * time.Hour)
	r = w.take()
	if r.Delta != "delta" {
		t.Errorf("it begins at %q", r.Delta)
	}
	failed.Failures, failed.Next, failed.Forget = 2, w.clock.Now(), true
	w.end(r, failed)
	alerts(`unread: "entra" could not be read`)
	r = w.take()
	if r.Delta != "" || r.Connection.Failures != 2 {
		t.Errorf("it begins at %q: %+v", r.Delta, r.Connection)
	}
	w.end(r, store.ReadingEnd{Next: w.clock.Now()})
	if c := w.connection(source); c.Failures != 0 || c.Problem != "" || c.CheckedAt.IsZero() || c.People != 1 {
		t.Errorf("%+v", c)
	}
	alerts()
	w.end(w.take(), store.ReadingEnd{State: foyer.Disconnected, Next: w.clock.Now(), Problem: "gone", Failures: 1, Alert: foyer.AlertDisconnected, Title: "took the permission back"})
	alerts(`disconnected: "entra" took the permission back`)
	if c := w.connection(source); c.State != foyer.Disconnected {
		t.Errorf("%+v", c)
	}
	w.edit(w.acme, source, "resume", func(c *foyer.Connection) { c.State = foyer.Connected })
	alerts()
}

// TestReading_WhatWasChangedMeanwhileIsKept holds that somebody who pauses, asks for another time or for all anew while the tenant is read gets it.
func TestReading_WhatWasChangedMeanwhileIsKept(t *testing.T) {
	w := startTenants(t)
	source := w.connect()
	r := w.take()
	w.edit(w.acme, source, "pause", func(c *foyer.Connection) { c.State = foyer.Paused })
	w.store(r, true, true, []store.EntraItem{item("a")})
	w.end(r, store.ReadingEnd{State: foyer.Disconnected, Next: w.clock.Now().Add(time.Hour), Problem: "gone", Alert: foyer.AlertDisconnected, Title: "gone"})
	if c := w.connection(source); c.State != foyer.Paused {
		t.Errorf("%+v", c)
	}
	if all, err := w.Alerts(t.Context(), w.operator, w.acme, false); err != nil || len(all) > 0 {
		t.Errorf("the alerts are %+v, %v", all, err)
	}

	w.edit(w.acme, source, "resume", func(c *foyer.Connection) { c.State, c.NextAt = foyer.Connected, w.clock.Now() })
	soon := w.clock.Now().Add(time.Minute)
	r = w.take()
	w.edit(w.acme, source, "set", func(c *foyer.Connection) { c.NextAt = soon })
	w.end(r, store.ReadingEnd{Next: w.clock.Now().Add(time.Hour)})
	if c := w.connection(source); !c.NextAt.Equal(soon.Truncate(time.Millisecond)) {
		t.Errorf("it is read next at %v", c.NextAt)
	}

	w.clock.Move(time.Minute)
	for act, edit := range map[string]func(*foyer.Connection){"resync": func(*foyer.Connection) {}, "set": func(c *foyer.Connection) { c.Settings.Guests = !c.Settings.Guests }} {
		r = w.take()
		w.edit(w.acme, source, act, edit)
		_, err := w.StoreReading(t.Context(), w.operator, r, false, "later", each(nil))
		w.refused(act, err, foyer.Conflict)
		w.end(r, store.ReadingEnd{Next: w.clock.Now().Add(time.Hour)})
		r = w.take()
		if r.Delta != "" {
			t.Errorf("%s: it begins at %q", act, r.Delta)
		}
		w.store(r, true, false, []store.EntraItem{item("a")})
		w.end(r, store.ReadingEnd{Next: w.clock.Now()})
	}
}

func TestConnection_WhatIsSet(t *testing.T) {
	w := startTenants(t)
	source := w.connect()
	before := w.connection(source)
	w.clock.Move(time.Hour)
	c := w.edit(w.acme, source, "set", func(c *foyer.Connection) {
		*c = foyer.Connection{Source: 99, Tenant: "other", TenantName: "New\x00 Name", Domains: []string{"new.example"}, State: foyer.Confirming, People: 7, Settings: foyer.EntraSettings{Every: time.Hour}, NextAt: w.clock.Now().Truncate(time.Millisecond).UTC()}
	})
	want := before
	want.TenantName, want.Domains, want.State, want.Settings, want.NextAt, want.Version = "New Name", []string{"new.example"}, foyer.Confirming, foyer.EntraSettings{Every: time.Hour}, w.clock.Now().Truncate(time.Millisecond).UTC(), before.Version+1
	if now := w.connection(source); fmt.Sprintf("%+v", now) != fmt.Sprintf("%+v", want) || fmt.Sprintf("%+v", c) != fmt.Sprintf("%+v", want) {
		t.Errorf("it is\n%+v, it was said to be\n%+v, want\n%+v", now, c, want)
	}
	_, err := w.EditConnection(t.Context(), w.operator, w.acme, source, "set", func(c *foyer.Connection) error { c.State = "odd"; return nil })
	if err == nil {
		t.Error("any state is taken")
	}
	_, err = w.EditConnection(t.Context(), w.operator, w.other, source, "set", func(*foyer.Connection) error { return nil })
	w.refused("another organization's", err, foyer.NotFound)
}

func TestConnection_DisconnectingForgetsTheTenant(t *testing.T) {
	w := startTenants(t)
	source := w.connect()
	r := w.take()
	w.store(r, true, true, []store.EntraItem{item("zelda", "displayName=Zelda")})
	w.visit(store.Visit{Step: store.StepSession, Source: source, Visitor: "ann"}, "browser")
	w.disconnect(w.acme, source)
	rows := storetest.Rows(t, w.dir)
	for _, table := range []string{"entra_connection", "entra_person", "entra_visit", "entra_tenant"} {
		if len(rows[table]) > 0 {
			t.Errorf("%s has %q", table, rows[table])
		}
	}
	_, err := w.StoreReading(t.Context(), w.operator, r, true, "", each([][]store.EntraItem{{item("zelda")}}))
	w.refused("stored after all", err, foyer.Conflict)
	w.end(r, store.ReadingEnd{})
	w.refused("the people", w.EntraPeople(t.Context(), w.operator, w.acme, source, func(*store.EntraPerson) error { return nil }), foyer.NotFound)
	_, err = w.bind(w.other, foyer.EntraLink{For: "acme.example"}, tenantOf("acme.example")) // it may go elsewhere
	w.must(err)
}
