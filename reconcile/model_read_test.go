package reconcile_test

import (
	"slices"
	"strings"

	"foyer"
)

// modelListed is what the good rows of one email say together (R16).
type modelListed struct {
	key     string
	record  foyer.Record
	sites   siteSet
	seen    []siteSet // of each row
	partial bool      // another row of the email has an error
	warned  int       // warnings about its rows taken together
	who     int
	how     modelMatch
}

// modelMatch is why a row means whom it means (R2).
type modelMatch int

const (
	isNew modelMatch = iota
	byEmail
	byID
	byAlias
)

type modelBad struct {
	keys []string
	id   string
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

// cell returns the sites that a SITE cell names; ok is false where one of them is none (R14).
func (m *model) cell(cell string) (sites siteSet, ok bool) {
	for name := range strings.SplitSeq(cell, ";") {
		id, ok := m.sites[strings.TrimSpace(name)]
		if !ok {
			return 0, false
		}
		sites |= siteOf(id)
	}
	return sites, true
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
			bad := modelBad{id: row.ExternalID, name: modelName(row.Values[foyer.DisplayName], row.Values[foyer.FirstName], row.Values[foyer.LastName])}
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
	f.dropTwins()
	f.counts.Listed = len(f.listed)
	return f
}

// dropTwins takes the ids off that stand at two emails, with a warning at each (R2). Of a person's rows the last id counts (R16).
func (f *modelFile) dropTwins() {
	emails := map[string][]*modelListed{}
	for _, l := range f.listed {
		emails[l.record.ExternalID] = append(emails[l.record.ExternalID], l)
	}
	for id, at := range emails {
		if id == "" || len(at) == 1 {
			continue
		}
		for _, l := range at {
			l.record.ExternalID = ""
			l.warned++
		}
	}
}

// rowSites returns the sites that a row names, ok false where its SITE is an error (R14).
func (m *model) rowSites(src modelSource, row *foyer.Row, f *modelFile) (sites siteSet, ok bool) {
	if row.Site == "" {
		if src.site != 0 || row.Office == "" {
			return 0, true
		}
		sites, _ := m.cell(row.Office)
		return sites, true
	}
	sites, ok = m.cell(row.Site)
	if ok && src.site != 0 {
		if sites == src.site {
			return 0, true
		}
		if !row.Bad && modelKey(row.Values[foyer.Email]) != "" {
			f.away++
		}
		return 0, false
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
		if seen&sites != 0 || seen == 0 && sites == 0 {
			l.warned++
			break
		}
	}
	for field, value := range row.Values {
		if value != "" {
			l.record.Values[field] = value
		}
	}
	if row.ExternalID != "" {
		l.record.ExternalID = row.ExternalID
	}
	if row.Enabled != foyer.Unsaid {
		l.record.Enabled = row.Enabled
	}
	l.sites, l.seen = l.sites|sites, append(l.seen, sites)
}

// passOver takes those off who were erased, with a warning for each: before it is found out who is who by their email, unless it is another's now, and
// after it by their id who are in no entry (R28).
func (f *modelFile) passOver(b *modelBook, src modelSource, resolved bool) {
	f.listed = slices.DeleteFunc(f.listed, func(l *modelListed) bool {
		_, known := b.emails[l.key]
		erased := b.hashes[l.key] != 0 && !known
		if resolved {
			erased = l.who == 0 && l.record.ExternalID != "" && b.hashes[idHash(src.id, l.record.ExternalID)] != 0
		}
		if erased {
			f.counts.Listed--
			f.counts.Warnings++
		}
		return erased
	})
}

func idHash(src foyer.SourceID, id string) string { return src.String() + " " + id }

// present returns whom the rows with errors name: by email, else by id, else by full name if exactly one of those that the source claims has it (R15).
func (f *modelFile) present(b *modelBook, src modelSource) map[int]bool {
	present := map[int]bool{}
	for _, bad := range f.bad {
		named := false
		for _, key := range bad.keys {
			if l := f.find(key); l != nil {
				l.partial, named = true, true
			}
			if e, ok := b.emails[key]; ok {
				present[e.who], named = true, true
			}
		}
		if who := b.known(src.id, bad.id); !named && who != 0 {
			present[who], named = true, true
		}
		var called []int
		for _, who := range b.everybody() {
			if p := b.who(who); p.claims[src.id].listed && modelFold(p.name()) == modelFold(bad.name) {
				called = append(called, who)
			}
		}
		if !named && bad.name != "" && len(called) == 1 {
			present[called[0]] = true
		}
	}
	return present
}

// resolve finds out whom the rows mean (R2): (1) by current email, (2) by id, (3) by an earlier email. Neither (2) nor (3) where the
// current email of that entry is in the file too, nor (3) where (2) gave the entry to another row.
func (f *modelFile) resolve(b *modelBook, src modelSource) {
	inFile := map[string]bool{}
	for _, l := range f.listed {
		inFile[l.key] = true
	}
	for _, bad := range f.bad {
		for _, key := range bad.keys {
			inFile[key] = true
		}
	}
	taken := map[int]bool{}
	for _, l := range f.listed {
		if e := b.emails[l.key]; e.who != 0 && !e.alias {
			l.who, l.how = e.who, byEmail
		} else if who := b.known(src.id, l.record.ExternalID); who != 0 && !inFile[b.current(who)] {
			l.who, l.how = who, byID
			taken[who] = true
		}
	}
	mayAlias := func(l *modelListed) (who int, ok bool) {
		e := b.emails[l.key]
		if l.how == byEmail || l.how == byID || !e.alias || inFile[b.current(e.who)] || taken[e.who] {
			return 0, false
		}
		known := b.who(e.who).ids[src.id]
		return e.who, l.record.ExternalID == "" || known == "" || known == l.record.ExternalID
	}
	first := map[int]*modelListed{}
	for _, l := range f.listed {
		if who, ok := mayAlias(l); ok && (first[who] == nil || l.key < first[who].key) {
			first[who] = l
		}
	}
	for who, l := range first {
		l.who, l.how = who, byAlias
	}
}
