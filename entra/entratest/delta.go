package entratest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Habits are what the Graph is free to do with users/delta. The zero value is its usual way.
type Habits struct {
	PageSize     int  // people on a page; 0: 200
	EmptyEvery   int  // every nth page is empty, from 2 on, and so is the one with the deltaLink; 0: none
	Repeat       int  // so many people of the page before come once more
	Replay       bool // every round brings the changes of the round before once more
	Partial      bool // without Prefer: return=minimal too only what changed comes
	RemovedFirst bool // the first round names the deleted too
}

// SetHabits changes them.
func (f *Fake) SetHabits(h Habits) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.habits = h
}

// Reset is how the Graph says that a token is of no use any more.
type Reset int

// The ways of it.
const (
	Gone              Reset = iota // 410 with Location, where to start over
	SyncStateNotFound              // 400 syncStateNotFound
	ResyncRequired                 // 400 resyncRequired
)

// Reset makes all links of users/delta of this tenant that were given out so far useless.
func (t *Tenant) Reset(how Reset) {
	t.fake.mu.Lock()
	defer t.fake.mu.Unlock()
	t.generation++
	t.reset = how
}

// deltaLife is how long a token lasts, of directory objects.
const deltaLife = 7 * 24 * time.Hour

// cursor is what a $skiptoken or $deltatoken holds, sealed.
type cursor struct {
	Tenant     string
	Generation int
	Issued     time.Time
	Delta      bool     // the link is a deltaLink
	Fields     []int    // of properties
	Manager    bool     // it was selected too
	IDs        []string // of the filter; nil: everybody
	Since      uint64   // changes after it are told; 0: everybody is
	Before     uint64   // Since of the round before
	From       uint64   // Since of the next round
	People     int      // how many there were when the round began
	At         int      // where the page begins
	Page       int
	Last       []int // places of the page before
}

// delta is users/delta.
func (f *Fake) delta(c *call) *graphError {
	f.mu.Lock()
	defer f.mu.Unlock()
	cur, refused := f.open(c)
	if refused != nil {
		return refused
	}
	if cur.Delta || cur.From == 0 {
		if f.habits.Replay && cur.Before > 0 {
			cur.Since, cur.Before = cur.Before, cur.Since
		} else {
			cur.Before = cur.Since
		}
		cur.Delta, cur.From, cur.People, cur.At, cur.Page, cur.Last = false, c.tenant.seq, len(c.tenant.people), 0, 0, nil
	}
	minimal := f.habits.Partial || strings.Contains(strings.ReplaceAll(c.Header.Get("Prefer"), " ", ""), "return=minimal")
	if minimal {
		c.w.Header().Set("Preference-Applied", "return=minimal")
	}
	var page bytes.Buffer
	page.WriteString(`{"@odata.context":` + quote(f.context("users")) + `,"value":[`)
	more := f.fill(&page, c.tenant, cur, minimal)
	name, token := "@odata.nextLink", "$skiptoken"
	if cur.Page++; !more {
		name, token = "@odata.deltaLink", "$deltatoken"
		cur.Delta, cur.Since, cur.Before = true, cur.From, max(cur.Before, cur.Since)
	}
	page.WriteString(`],` + quote(name) + `:` + quote(f.Graph+"/v1.0/users/delta?"+token+"="+f.seal(cur)) + "}\n")
	return c.replyText(page.Bytes())
}

// fill writes the people of a page, moves the cursor, and tells whether pages follow.
func (f *Fake) fill(page *bytes.Buffer, t *Tenant, cur *cursor, minimal bool) (more bool) {
	every := f.habits.EmptyEvery
	if every == 1 {
		every = 2 // or the round never ended
	}
	if every > 0 && cur.Page%every == every-1 {
		return true
	}
	size := f.habits.PageSize
	if size <= 0 {
		size = 200
	}
	items := 0
	write := func(place int) {
		if items > 0 {
			page.WriteByte(',')
		}
		items++
		t.people[place].write(page, cur, minimal)
	}
	for _, place := range cur.Last {
		write(place)
	}
	var told []int
	for ; cur.At < len(t.people) && len(told) < size; cur.At++ {
		place := shuffled(cur.At, cur.People)
		if cur.concerns(t.people[place], f.habits.RemovedFirst) {
			write(place)
			told = append(told, place)
		}
	}
	cur.Last = told[max(0, len(told)-f.habits.Repeat):]
	return cur.At < len(t.people) || every > 0 && items > 0
}

// shuffled puts the first n numbers into another order, and leaves those after as they are: who is added during a round comes at its end.
func shuffled(i, n int) int {
	if i >= n {
		return i
	}
	step := 7919
	for n%step == 0 || gcd(step, n) != 1 {
		step++
	}
	return (i*step + n/2) % n
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// concerns tells whether the round names somebody.
func (cur *cursor) concerns(p *person, removedFirst bool) bool {
	if cur.IDs != nil && !slices.Contains(cur.IDs, p.ID) {
		return false
	}
	if cur.Since == 0 {
		return p.presence == alive || removedFirst
	}
	if p.moved > cur.Since || p.presence != alive {
		return p.moved > cur.Since
	}
	return cur.Manager && p.managed > cur.Since || slices.ContainsFunc(cur.Fields, func(i int) bool { return p.changed[i] > cur.Since })
}

// write writes one item: all that was ever set of what is selected, or only what changed.
func (p *person) write(page *bytes.Buffer, cur *cursor, minimal bool) {
	page.WriteString(`{"id":` + quote(p.ID))
	if p.presence != alive {
		reason := map[presence]string{softDeleted: "changed", purged: "deleted"}[p.presence]
		page.WriteString(`,"@removed":{"reason":` + quote(reason) + `}}`)
		return
	}
	all := !minimal || cur.Since == 0 || p.moved > cur.Since
	for _, i := range cur.Fields {
		if p.changed[i] == 0 || !all && p.changed[i] <= cur.Since {
			continue
		}
		value, _ := json.Marshal(properties[i].get(&p.User))
		page.WriteString(`,"` + properties[i].name + `":`)
		page.Write(value)
	}
	if cur.Manager && (all && p.Manager != "" || p.managed > max(cur.Since, p.moved)) {
		p.writeManager(page, cur.Since > 0 && p.managed > cur.Since)
	}
	page.WriteByte('}')
}

// writeManager writes who the manager is, and if that changed who it was.
func (p *person) writeManager(page *bytes.Buffer, changed bool) {
	var links []string
	if changed && p.forerunner != "" && p.forerunner != p.Manager {
		links = append(links, `{"@odata.type":"#microsoft.graph.user","id":`+quote(p.forerunner)+`,"@removed":{"reason":"deleted"}}`)
	}
	if p.Manager != "" {
		links = append(links, `{"@odata.type":"#microsoft.graph.user","id":`+quote(p.Manager)+`}`)
	}
	page.WriteString(`,"manager@delta":[` + strings.Join(links, ",") + `]`)
}

// open reads the request: a new round, or one that goes on.
func (f *Fake) open(c *call) (*cursor, *graphError) {
	sealed, isDelta := c.query["$deltatoken"]
	if !isDelta {
		sealed = c.query["$skiptoken"]
	}
	for _, name := range []string{"$top", "$expand", "$orderby", "$search", "$count", "$skip"} {
		if _, given := c.query[name]; given {
			return nil, badQuery("Query option '" + name + "' is not supported with delta queries of users.")
		}
	}
	if sealed == "" || sealed == "latest" {
		cur, refused := f.begin(c)
		if refused == nil && sealed == "latest" {
			cur.From, cur.At, cur.People = c.tenant.seq, len(c.tenant.people), 0
			cur.Page = -1
		}
		return cur, refused
	}
	cur := f.unseal(sealed)
	if cur == nil || cur.Delta != isDelta || cur.Tenant != c.tenant.ID || len(c.query) != 1 {
		return nil, &graphError{http.StatusBadRequest, "Request_BadRequest", "Badly formed token."}
	}
	if cur.Generation != c.tenant.generation {
		return nil, f.useless(c, cur)
	}
	if f.clock().Sub(cur.Issued) >= deltaLife {
		return nil, &graphError{http.StatusBadRequest, "syncStateNotFound", "The sync state is not found; it may have expired. Start over with a full synchronization."}
	}
	return cur, nil
}

// begin reads the first request of all.
func (f *Fake) begin(c *call) (*cursor, *graphError) {
	cur := &cursor{Tenant: c.tenant.ID, Generation: c.tenant.generation}
	names, given := c.query["$select"]
	var unknown string
	if cur.Fields, cur.Manager, unknown = fields(names, given); unknown != "" {
		return nil, &graphError{http.StatusBadRequest, "Request_BadRequest", "Could not find a property named '" + unknown + "' on type 'microsoft.graph.user'."}
	}
	filter, given := c.query["$filter"]
	if !given {
		return cur, nil
	}
	for _, term := range strings.Split(filter, " or ") {
		m := byID.FindStringSubmatch(term)
		if m == nil {
			return nil, badQuery("Unsupported Query. Delta queries of users can be filtered by id only.")
		}
		cur.IDs = append(cur.IDs, m[1])
	}
	if len(cur.IDs) > 50 {
		return nil, badQuery("Too many objects in the filter: 50 is the limit.")
	}
	return cur, nil
}

var byID = regexp.MustCompile(`^\s*id\s+eq\s+'([^']*)'\s*$`)

// fields finds the places of the properties that $select names, and the one that it does not know.
func fields(names string, given bool) (places []int, manager bool, unknown string) {
	for i, p := range properties {
		if !given && p.usual {
			places = append(places, i)
		}
	}
	if !given {
		return places, false, ""
	}
	for _, name := range strings.Split(names, ",") {
		name = strings.TrimSpace(name)
		i := slices.IndexFunc(properties[:], func(p property) bool { return strings.EqualFold(p.name, name) })
		switch {
		case strings.EqualFold(name, "manager"):
			manager = true
		case i >= 0:
			places = append(places, i)
		case !strings.EqualFold(name, "id"):
			return nil, false, name
		}
	}
	return places, manager, ""
}

// useless says of a token from before a reset that it is of no use.
func (f *Fake) useless(c *call, cur *cursor) *graphError {
	switch c.tenant.reset {
	case SyncStateNotFound:
		return &graphError{http.StatusBadRequest, "syncStateNotFound", "The sync state generation is not found."}
	case ResyncRequired:
		return &graphError{http.StatusBadRequest, "resyncRequired", "Resync required. Start over with a full synchronization."}
	}
	names := []string{"id"}
	for _, i := range cur.Fields {
		names = append(names, properties[i].name)
	}
	c.w.Header().Set("Location", f.Graph+"/v1.0/users/delta?$deltatoken=&$select="+strings.Join(names, ","))
	return &graphError{http.StatusGone, "resyncRequired", "Resync required. Start over with a full synchronization."}
}

// seal makes a token of a cursor, which nobody can read or change.
func (f *Fake) seal(cur *cursor) string {
	cur.Issued = f.clock()
	text, _ := json.Marshal(cur)
	return url.QueryEscape(base64.RawURLEncoding.EncodeToString(f.sealer.Seal(nil, nil, text, nil)))
}

func (f *Fake) unseal(token string) *cursor {
	sealed, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return nil
	}
	text, err := f.sealer.Open(nil, nil, sealed, nil)
	cur := &cursor{}
	if err != nil || json.Unmarshal(text, cur) != nil {
		return nil
	}
	return cur
}

// quote writes a text as JSON.
func quote(s string) string {
	text, _ := json.Marshal(s)
	return string(text)
}
