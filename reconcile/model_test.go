package reconcile_test

import (
	"maps"
	"strings"

	"foyer"
)

// model is a small, slow reference of the rules, written from their text. It remembers no rows and skips none: every upload is worked
// out from nothing, person by person. It knows the small universe of values that the random sequences use, and tables stand in it for what
// is worked out elsewhere: what a cell means, how a name splits, which phone is good.
type model struct {
	sources []modelSource
	sites   map[string]foyer.SiteID // by each way of writing it that the universe has
	people  []*modelPerson          // in the order in which they were made
	emails  map[string]modelEmail   // what an email means
}

type modelSource struct {
	id       foyer.SourceID
	site     foyer.SiteID
	priority int
	leave    bool // leaves hand-made entries alone
}

type modelEmail struct {
	who   *modelPerson
	alias bool
}

type modelPerson struct {
	id        int
	values    [foyer.NumFields]string
	owners    [foyer.NumFields]foyer.SourceID
	guesses   [foyer.NumFields]bool
	hand      siteSet
	sites     siteSet
	claims    map[foyer.SourceID]modelClaim
	enabled   bool
	reason    foyer.Reason
	permanent bool
}

type modelClaim struct {
	disabled bool
	sites    siteSet
}

type siteSet map[foyer.SiteID]bool

func (s siteSet) plus(others ...siteSet) siteSet {
	all := siteSet{}
	for _, set := range append(others, s) {
		maps.Copy(all, set)
	}
	return all
}

func (s siteSet) minus(site foyer.SiteID) siteSet {
	rest := s.plus()
	delete(rest, site)
	return rest
}

func (s siteSet) meets(other siteSet) bool {
	for site := range s {
		if other[site] {
			return true
		}
	}
	return false
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

// cell returns the sites that a SITE cell names; ok is false where one of them is none (R14).
func (m *model) cell(cell string) (sites siteSet, ok bool) {
	sites = siteSet{}
	for name := range strings.SplitSeq(cell, ";") {
		id, ok := m.sites[strings.TrimSpace(name)]
		if !ok {
			return nil, false
		}
		sites[id] = true
	}
	return sites, true
}

// modelListed is what the good rows of one email say together (R16).
type modelListed struct {
	key     string
	record  foyer.Record
	sites   siteSet
	seen    []siteSet // of each row
	partial bool      // another row of the email has an error
	who     *modelPerson
	alias   bool
}

type modelBad struct {
	keys []string
	name string
}

// modelFile is an upload, read.
type modelFile struct {
	counts foyer.Counts
	listed []*modelListed // by the first row of each
	bad    []modelBad
	away   int
}

func (f *modelFile) find(key string) *modelListed {
	for _, l := range f.listed {
		if l.key == key {
			return l
		}
	}
	return nil
}

// read sorts the rows into good, bad and skipped ones (R14, R15, R16).
func (m *model) read(src modelSource, rows []foyer.Row) *modelFile {
	f := &modelFile{}
	for _, row := range rows {
		f.counts.Rows++
		key := modelKey(row.Values[foyer.Email])
		sites, ok := m.rowSites(src, &row, f)
		switch {
		case row.Bad || row.Values[foyer.Email] != "" && (key == "" || !ok):
			f.counts.Errors++
			bad := modelBad{name: modelName(row.Values[foyer.DisplayName], row.Values[foyer.FirstName], row.Values[foyer.LastName])}
			for _, email := range append([]string{row.Values[foyer.Email]}, row.Mentions...) {
				if key := modelKey(email); key != "" {
					bad.keys = append(bad.keys, key)
				}
			}
			f.bad = append(f.bad, bad)
		case row.Values[foyer.Email] == "":
			f.counts.Skipped++
		default:
			f.list(key, &row, sites)
		}
	}
	f.counts.Listed = len(f.listed)
	return f
}

// rowSites returns the sites that a row names, ok false where its SITE is an error (R14).
func (m *model) rowSites(src modelSource, row *foyer.Row, f *modelFile) (sites siteSet, ok bool) {
	if row.Site == "" {
		if src.site != 0 || row.Office == "" {
			return siteSet{}, true
		}
		sites, _ := m.cell(row.Office)
		return sites.plus(), true
	}
	sites, ok = m.cell(row.Site)
	if ok && src.site != 0 {
		if len(sites) == 1 && sites[src.site] {
			return siteSet{}, true
		}
		if !row.Bad && modelKey(row.Values[foyer.Email]) != "" {
			f.away++
		}
		return nil, false
	}
	return sites, ok
}

// list adds a good row. A warning is due where the same email stood at the same site before (R16).
func (f *modelFile) list(key string, row *foyer.Row, sites siteSet) {
	l := f.find(key)
	if l == nil {
		f.listed = append(f.listed, &modelListed{key: key, record: row.Record, sites: sites, seen: []siteSet{sites}})
		return
	}
	for _, seen := range l.seen {
		if seen.meets(sites) || len(seen) == 0 && len(sites) == 0 {
			f.counts.Warnings++
			break
		}
	}
	for field, value := range row.Values {
		if value != "" {
			l.record.Values[field] = value
		}
	}
	if row.Enabled != foyer.Unsaid {
		l.record.Enabled = row.Enabled
	}
	l.sites, l.seen = l.sites.plus(sites), append(l.seen, sites)
}

// sync applies an upload and returns its counts, refused where nothing of it can be used (R23).
func (m *model) sync(src modelSource, rows []foyer.Row) (counts foyer.Counts, refused foyer.Kind, ok bool) {
	f := m.read(src, rows)
	if len(f.listed) == 0 {
		if f.away > 0 && f.away == f.counts.Rows-f.counts.Skipped {
			return counts, foyer.Forbidden, false
		}
		return counts, foyer.Invalid, false
	}
	present := m.present(src, f)
	m.resolve(f)
	before := m.copies()
	touched := map[int]bool{}
	known := len(m.people)
	named := map[*modelPerson]bool{}
	for _, l := range f.listed {
		if l.who == nil {
			m.makeNew(l)
		}
		named[l.who] = true
		touched[l.who.id] = true
		m.merge(src, l, &f.counts)
	}
	for _, p := range m.people[:known] {
		if _, claimed := p.claims[src.id]; claimed && !named[p] && !present[p] {
			m.withdraw(src, p)
		} else if !named[p] && !present[p] && len(before[p.id].claims) == 0 {
			m.drop(src, p)
		}
	}
	m.tally(&f.counts, before, touched)
	return f.counts, 0, true
}

// present returns whom the rows with errors name: by email, else by full name if exactly one of those that the source claims has it (R15).
func (m *model) present(src modelSource, f *modelFile) map[*modelPerson]bool {
	present := map[*modelPerson]bool{}
	for _, bad := range f.bad {
		byEmail := false
		for _, key := range bad.keys {
			if l := f.find(key); l != nil {
				l.partial, byEmail = true, true
			}
			if e, ok := m.emails[key]; ok {
				present[e.who], byEmail = true, true
			}
		}
		var called []*modelPerson
		for _, p := range m.people {
			name := modelName(p.values[foyer.DisplayName], p.values[foyer.FirstName], p.values[foyer.LastName])
			if _, claimed := p.claims[src.id]; claimed && modelFold(name) == modelFold(bad.name) {
				called = append(called, p)
			}
		}
		if !byEmail && bad.name != "" && len(called) == 1 {
			present[called[0]] = true
		}
	}
	return present
}

// resolve finds out whom the rows mean (R2): an alias counts unless the entry's current email is in the file too. Of two aliases of one
// entry the first in the alphabet is the entry's.
func (m *model) resolve(f *modelFile) {
	inFile := map[string]bool{}
	for _, l := range f.listed {
		inFile[l.key] = true
	}
	good := maps.Clone(inFile)
	for _, bad := range f.bad {
		for _, key := range bad.keys {
			inFile[key] = true
		}
	}
	for _, l := range f.listed {
		e, ok := m.emails[l.key]
		if !ok || e.alias && inFile[modelKey(e.who.values[foyer.Email])] {
			continue
		}
		first := l.key
		for key, other := range m.emails {
			if e.alias && other.alias && other.who == e.who && good[key] && key < first {
				first = key
			}
		}
		if first == l.key {
			l.who, l.alias = e.who, e.alias
		}
	}
}

func (m *model) makeNew(l *modelListed) {
	l.who = m.newPerson()
	m.emails[l.key] = modelEmail{who: l.who}
}

func (m *model) newPerson() *modelPerson {
	p := &modelPerson{id: len(m.people), enabled: true, claims: map[foyer.SourceID]modelClaim{}, hand: siteSet{}, sites: siteSet{}}
	m.people = append(m.people, p)
	return p
}

// copies returns everybody as they are now.
func (m *model) copies() []modelPerson {
	var all []modelPerson
	for _, p := range m.people {
		c := *p
		c.claims = maps.Clone(p.claims)
		all = append(all, c)
	}
	return all
}

// tally counts what a person sees: values, sites and status, not ownership.
func (m *model) tally(counts *foyer.Counts, before []modelPerson, listed map[int]bool) {
	for i, p := range m.people {
		if i >= len(before) {
			counts.Added++
			delete(listed, p.id)
			continue
		}
		was, differs := before[i], false
		if was.values != p.values || !maps.Equal(was.sites, p.sites) {
			counts.Updated++
			differs = true
		}
		if was.enabled != p.enabled {
			if p.enabled {
				counts.Enabled++
			} else {
				counts.Disabled++
			}
			differs = true
		}
		if differs {
			delete(listed, p.id)
		}
	}
	counts.Unchanged = len(listed)
}

// outranks tells whether what a says wins over what b says (R8).
func (m *model) outranks(a, b foyer.SourceID) bool {
	pa, pb := m.sources[a-1].priority, m.sources[b-1].priority
	return pa > pb || pa == pb && a < b
}
