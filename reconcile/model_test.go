package reconcile_test

import (
	"maps"
	"slices"
	"strings"
	"time"

	"foyer"
)

// model is a small, slow reference of the rules, written from their text. It remembers no rows and skips none: every upload is worked
// out from nothing, person by person, on a copy of the book. It knows the small universe of values that the random sequences use, and
// tables stand in it for what is worked out elsewhere: what a cell means, how a name splits, which phone is good.
type model struct {
	now     time.Time
	sources []modelSource
	sites   map[string]foyer.SiteID // by each way of writing it that the universe has
	book    *modelBook
	acts    []*modelAct  // what changed the book, and what is held, the oldest first
	prov    modelProv    // by which acts each aspect of the book came to be what it is (R25)
	watches []*modelAct  // the undos whose runs are not to be done again unnoticed (R25)
	spent   []*modelAct  // of these, for which a run was held once
	erased  map[int]bool // who was erased for good (R28)
}

const modelSources = 5 // one more than the universe has: they count from 1

type modelSource struct {
	id       foyer.SourceID
	site     siteSet
	priority int
	leave    bool // leaves hand-made entries alone
	guard    foyer.Guard
}

// modelBook is all that an act can change. A copy shares nothing with it.
type modelBook struct {
	people []modelPerson // by number, from 1
	emails map[string]modelEmail
	ended  [modelSources]bool
	hashes map[string]int // of the erased: their emails, and their ids with their source, and who it was
}

// modelEmail is whom an email means; the zero one is nobody.
type modelEmail struct {
	who   int
	alias bool
}

type modelPerson struct {
	there     bool
	values    [foyer.NumFields]string
	owners    [foyer.NumFields]foyer.SourceID
	guesses   [foyer.NumFields]bool
	keeps     [foyer.NumFields]modelKeep
	hand      siteSet
	sites     siteSet
	claims    [modelSources]modelClaim
	ids       [modelSources]string
	enabled   bool
	reason    foyer.Reason
	permanent bool
	pinned    bool
	notes     string
}

type modelKeep struct {
	on    bool
	until time.Time
}

type modelClaim struct {
	listed   bool
	disabled bool
	sites    siteSet
}

// siteSet has a bit for each site.
type siteSet uint8

func siteOf(id foyer.SiteID) siteSet {
	if id == 0 {
		return 0
	}
	return 1 << id
}

func (s siteSet) ids() (ids []foyer.SiteID) {
	for id := foyer.SiteID(1); id < 8; id++ {
		if s&siteOf(id) != 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

func (b *modelBook) copy() *modelBook {
	c := *b
	c.people, c.emails, c.hashes = slices.Clone(b.people), maps.Clone(b.emails), maps.Clone(b.hashes)
	return &c
}

// who returns a person by number.
func (b *modelBook) who(id int) *modelPerson { return &b.people[id-1] }

func (b *modelBook) add() int {
	b.people = append(b.people, modelPerson{there: true, enabled: true})
	return len(b.people)
}

// current is the key of a person's email.
func (b *modelBook) current(id int) string { return modelKey(b.who(id).values[foyer.Email]) }

// mean says whom an email means from now on.
func (b *modelBook) mean(key string, e modelEmail) {
	if e.who == 0 {
		delete(b.emails, key)
		return
	}
	b.emails[key] = e
}

// known returns whom a source knows by an id; 0 is nobody.
func (b *modelBook) known(src foyer.SourceID, id string) int {
	for i, p := range b.people {
		if p.there && id != "" && p.ids[src] == id {
			return i + 1
		}
	}
	return 0
}

// everybody returns the numbers of those who are there.
func (b *modelBook) everybody() (ids []int) {
	for i, p := range b.people {
		if p.there {
			ids = append(ids, i+1)
		}
	}
	return ids
}

func (p *modelPerson) handMade() bool { return p.claims == [modelSources]modelClaim{} }

func (p *modelPerson) listers() (by []foyer.SourceID) {
	for id, c := range p.claims {
		if c.listed {
			by = append(by, foyer.SourceID(id))
		}
	}
	return by
}

func (p *modelPerson) name() string {
	return modelName(p.values[foyer.DisplayName], p.values[foyer.FirstName], p.values[foyer.LastName])
}

// kept tells whether a person keeps the value now (R6).
func (m *model) kept(p *modelPerson, f foyer.Field) bool {
	k := p.keeps[f]
	return k.on && (k.until.IsZero() || m.now.Before(k.until))
}

// The tables of the universe.
var (
	modelSplits  = map[string][2]string{"Ren? Jones": {"Ren?", "Jones"}, "René Jones": {"René", "Jones"}, "Jones, Rob": {"Rob", "Jones"}, "Rob": {"Rob", ""}, "Rob Jones": {"Rob", "Jones"}}
	modelExports = map[string]string{"René": "Ren?", "René Jones": "Ren? Jones"} // as an export in ASCII writes it
	modelE164    = map[string]string{"416-555-0100": "+14165550100", "(416) 555-0100": "+14165550100", "12": ""}
)

// modelKey returns the key of an email of the universe, "" where it cannot be read (R1).
func modelKey(email string) string {
	if !strings.Contains(email, "@") || strings.ContainsRune(email, '\u212A') {
		return ""
	}
	return strings.ToLower(email)
}

// modelSame tells whether a submitted value counts as equal to a stored one (R9).
func modelSame(stored, submitted string) bool {
	return stored != "" && (stored == submitted || modelExports[stored] == submitted)
}

func modelName(display, first, last string) string {
	if display == "" {
		display = strings.TrimSpace(first + " " + last)
	}
	return display
}

// modelFold is a full name of the universe ignoring case, accents and spacing.
func modelFold(name string) string {
	return strings.NewReplacer(" ", "", "é", "e").Replace(strings.ToLower(name))
}

func (m *model) source(id foyer.SourceID) modelSource { return m.sources[id-1] }

// outranks tells whether what a says wins over what b says (R8).
func (m *model) outranks(a, b foyer.SourceID) bool {
	pa, pb := m.source(a).priority, m.source(b).priority
	return pa > pb || pa == pb && a < b
}
