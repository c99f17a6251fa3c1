package reconcile

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"foyer"
	"foyer/match"
	"foyer/store"
)

// toll is what a run takes: whom it takes away, and what else may be a mistake of the file. The guard decides by it (R21).
type toll struct {
	lost      []foyer.EntryID       // disabled, or taken off their site by absence; ascending
	moved     []moved               // enabled after it, and not so or elsewhere before; ascending
	sites     map[foyer.SiteID]int  // how many of the lost were at each site
	divisions map[string]int        // and in each division
	off       int                   // of the lost, those who are taken off sites and not disabled
	renamed   int                   // got another email by their id
	named     int                   // had a name, and got another
	redone    map[foyer.RunID]bool  // watched undos that are done again (R25)
	fresh     int                   // entries for which an undo is done again for which no run was held before
	spent     map[foyer.RunID]bool  // watches for which a run was held before
	again     int                   // entries for which only such an undo is done again
	gravest   []*foyer.Change       // of the lost, renamed, named and redone, the first
	others    []*foyer.Change       // and of the rest
	vanished  map[string][]vanished // by folded full name, whom absence disabled: they may have been renamed (R3)
	watched   []foyer.RunID         // undos that must not be done again unnoticed (R25)
	book      *store.Book           // in which they are looked up
	err       error                 // a look-up failed
	removed   map[string][]removed  // emails of added entries that undos removed
}

// vanished is someone whom absence disabled.
type vanished struct {
	id     foyer.EntryID
	email  string
	sites  []foyer.SiteID
	phones [2]string
}

// removed is an entry that an undo removed.
type removed struct {
	undo  foyer.RunID
	entry foyer.EntryID
}

// moved is someone who is enabled after a run, and was not or was elsewhere before.
type moved struct {
	id    foyer.EntryID
	sites []foyer.SiteID // after the run
}

// How many changes are kept to be shown, of the gravest and of others.
const (
	maxGravest = 2000
	maxOthers  = 500
)

// maxVanished bounds for how many of the vanished it is found out whether they were renamed.
const maxVanished = 10_000

func newToll() *toll {
	return &toll{sites: map[foyer.SiteID]int{}, divisions: map[string]int{}, vanished: map[string][]vanished{}, redone: map[foyer.RunID]bool{}, spent: map[foyer.RunID]bool{}}
}

// watch notes which undos the run must not do again unnoticed, and the emails of those whom they removed. What else they put back is looked up for the entries that
// are written.
func (t *toll) watch(b *store.Book, source foyer.SourceID) error {
	watches, err := b.Watches(source)
	if err != nil || len(watches) == 0 {
		return err
	}
	t.book, t.removed = b, map[string][]removed{}
	for _, w := range watches {
		t.watched = append(t.watched, w.Undo)
		t.spent[w.Undo] = w.Spent
		err := b.RemovedBy(w.Undo, func(c *foyer.Change) error {
			for _, email := range c.Emails {
				t.removed[email.Key] = append(t.removed[email.Key], removed{w.Undo, c.Entry})
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// note counts what a write takes. before is the entry as it was, nil of a new one; absent says that the source did not list it.
func (t *toll) note(source foyer.SourceID, before *foyer.Entry, w *store.Write, absent bool) {
	c := w.Change
	if c == nil {
		return
	}
	grave := false
	if loss, lost := store.LossOf(c, source); lost && (len(loss.Sites) == 0 || before.Enabled && (absent || loss.Moved)) {
		grave = true
		t.lost = append(t.lost, c.Entry)
		if len(loss.Sites) > 0 {
			t.off++
		}
		for _, site := range before.Sites {
			t.sites[site]++
		}
		if division := before.Values[foyer.Division]; division != "" {
			t.divisions[division]++
		}
		t.noteVanished(before, c, absent)
	}
	if after := w.Entry; after != nil && after.Enabled && !c.Added && (c.Status != nil || c.Sites != nil) {
		t.moved = append(t.moved, moved{c.Entry, after.Sites})
	}
	named := false
	for _, f := range c.Fields {
		isName := f.Field == foyer.FirstName || f.Field == foyer.LastName || f.Field == foyer.DisplayName
		named = named || isName && f.Before != "" && f.Before != f.After
		if f.Field == foyer.Email && !c.Added && f.Before != f.After && len(c.Emails) > 0 {
			t.renamed++
			grave = true
		}
	}
	if named {
		t.named++
	}
	if t.noteRedo(w) || named || grave {
		t.gravest = keepFirst(t.gravest, c, maxGravest)
	} else {
		t.others = keepFirst(t.others, c, maxOthers)
	}
}

func keepFirst(changes []*foyer.Change, c *foyer.Change, most int) []*foyer.Change {
	if len(changes) >= most {
		return changes
	}
	kept := *c
	kept.Fields = slices.Clone(c.Fields)
	return append(changes, &kept)
}

func (t *toll) noteVanished(before *foyer.Entry, c *foyer.Change, absent bool) {
	name := match.Fold(before.FullName())
	if !absent || name == "" || c.Status == nil || c.Status[1].Reason != foyer.Absent || len(t.lost) > maxVanished {
		return
	}
	t.vanished[name] = append(t.vanished[name], vanished{before.ID, before.Values[foyer.Email], before.Sites, before.E164})
}

// renamed returns whom the vanished a new entry may be: one of the same name, and the same site or phone (R3).
func (t *toll) renamedFrom(e *foyer.Entry) *vanished {
	if len(t.vanished) == 0 {
		return nil
	}
	candidates := t.vanished[match.Fold(e.FullName())]
	for i := range candidates {
		v := &candidates[i]
		sameSite := slices.ContainsFunc(v.sites, func(s foyer.SiteID) bool { return slices.Contains(e.Sites, s) }) || len(v.sites) == 0 && len(e.Sites) == 0
		samePhone := v.phones[0] != "" && v.phones[0] == e.E164[0] || v.phones[1] != "" && v.phones[1] == e.E164[1]
		if sameSite || samePhone {
			return v
		}
	}
	return nil
}

// noteRedo counts an entry of which a write does again what was undone, and tells whether it does.
func (t *toll) noteRedo(w *store.Write) bool {
	if t.watched == nil {
		return false
	}
	var undos []foyer.RunID
	add := func(undo foyer.RunID, entry foyer.EntryID) {
		back, err := t.backAgain(undo, entry)
		t.err = errors.Join(t.err, err)
		if !back {
			undos = append(undos, undo)
		}
	}
	if w.Change.Added {
		gone := t.removed[w.Key]
		for _, email := range w.Emails {
			gone = slices.Concat(gone, t.removed[email.Key])
		}
		for _, r := range gone {
			add(r.undo, r.entry)
		}
	}
	for _, undo := range t.watched {
		undone, err := t.book.ChangeOf(undo, w.ID)
		t.err = errors.Join(t.err, err)
		if undone != nil && redoes(w.Change, undone) {
			add(undo, w.ID)
		}
	}
	for _, undo := range undos {
		t.redone[undo] = true
	}
	switch {
	case slices.ContainsFunc(undos, func(undo foyer.RunID) bool { return !t.spent[undo] }):
		t.fresh++
	case len(undos) > 0:
		t.again++
	}
	return len(undos) > 0
}

// backAgain tells whether an undo of the undo put the entry back: then it is a person who did again what was undone.
func (t *toll) backAgain(undo foyer.RunID, entry foyer.EntryID) (bool, error) {
	undos, err := t.book.UndosOf(undo)
	for _, id := range undos {
		c, err := t.book.ChangeOf(id, entry)
		if err != nil || c != nil {
			return c != nil, err
		}
	}
	return false, err
}

// unasked returns the watched undos that are done again though nobody was asked, and for how many entries at most: those for which no run was held before; on approval
// those besides the ones for which the approved run was held.
func (t *toll) unasked(approval bool, asked []foyer.RunID) (undos []foyer.RunID, entries int) {
	if !approval {
		return t.redo(false), t.fresh
	}
	all := append(t.redo(false), t.redo(true)...)
	slices.Sort(all)
	return slices.DeleteFunc(all, func(undo foyer.RunID) bool { return slices.Contains(asked, undo) }), t.fresh + t.again
}

// redo returns the watched undos that are done again, ascending: those for which no run was held before, or the others.
func (t *toll) redo(spent bool) (undos []foyer.RunID) {
	for undo := range t.redone {
		if t.spent[undo] == spent {
			undos = append(undos, undo)
		}
	}
	slices.Sort(undos)
	return undos
}

// redoes tells whether a change sets again what an undo put back.
func redoes(c, undone *foyer.Change) bool {
	for _, f := range c.Fields {
		for _, u := range undone.Fields {
			if f.Field == u.Field && f.After == u.Before && u.Before != u.After && f.Before != f.After {
				return true
			}
		}
	}
	if turns(c) && turns(undone) && c.Status[1].Enabled == undone.Status[0].Enabled {
		return true
	}
	return c.Sites != nil && undone.Sites != nil && slices.Equal(c.Sites[1], undone.Sites[0])
}

// turns tells whether a change enables or disables.
func turns(c *foyer.Change) bool {
	return c.Status != nil && c.Status[0].Enabled != c.Status[1].Enabled
}

// guarded is a run that the guard looks at.
type guarded struct {
	b       *store.Book
	source  *foyer.Source
	toll    *toll
	listed  int // by claims of the source before the run
	matched int // persons of the delivery who were there before
	claims  *store.Claims
	now     time.Time
	fresh   []foyer.EntryID // the lost whom an approval did not cover
	away    []foyer.EntryID // those taken away in the last week, whom the guard counted
}

// lossWeek is over how long the guard counts (R21).
const lossWeek = 7 * 24 * time.Hour

// judge returns why the run must be held, nil where it need not be (R21, R25). covers are those whom an approval covers, nil: there is none; redoes the undos that the
// approved run was held for.
func (g *guarded) judge(covers []foyer.EntryID, redoes []foyer.RunID) (*foyer.Hold, error) {
	if g.toll.err != nil {
		return nil, g.toll.err
	}
	hold := &foyer.Hold{Expires: g.now.Add(foyer.HoldLife)}
	if covers != nil {
		for _, id := range g.toll.lost {
			if _, shown := slices.BinarySearch(covers, id); !shown {
				g.fresh = append(g.fresh, id)
			}
		}
		if len(g.fresh) > 0 {
			hold.Reasons = append(hold.Reasons, fmt.Sprintf("would disable %d who were not among those approved", len(g.fresh)))
		}
	}
	if err := g.count(hold); err != nil {
		return nil, err
	}
	if covers == nil && !g.source.Guard.Off {
		if err := g.limitLosses(hold); err != nil {
			return nil, err
		}
		g.limitOthers(hold)
	}
	if undos, n := g.toll.unasked(covers != nil, redoes); len(undos) > 0 {
		hold.Redoes = undos
		hold.Reasons = append(hold.Reasons, fmt.Sprintf("would do again for %d what %v undid", n, undos[0]))
	}
	if len(hold.Reasons) == 0 {
		return nil, nil
	}
	hold.Shared = g.shared()
	return hold, nil
}

// count fills in how many are lost, of how many; with the losses of the last week where no approval came after.
func (g *guarded) count(hold *foyer.Hold) error {
	hold.Lost = len(g.toll.lost)
	if hold.Lost == 0 {
		return nil
	}
	disabled, err := g.b.ListedDisabled()
	if err != nil {
		return err
	}
	hold.Of = g.listed
	for _, id := range disabled {
		if _, claimed := g.claims.Find(id); claimed {
			hold.Of--
		}
	}
	if g.source.LeaveHandMade {
		return nil
	}
	handMade, err := g.b.CountHandMade(g.source.Site)
	hold.Of += handMade
	return err
}

// week notes whom the source's runs of the last week took away who still are away after this run, besides those whom it takes away itself; uncovered are those still
// away besides those whom the source covers, enabled, before it.
func (g *guarded) week() (uncovered int, err error) {
	losses, err := g.b.Losses(g.source.ID, g.now.Add(-lossWeek))
	if err != nil {
		return 0, err
	}
	var ids []foyer.EntryID
	for _, loss := range losses {
		ids = append(ids, loss.Entry)
	}
	at := 0
	err = g.b.Entries(ids, func(e *foyer.Entry) error {
		for losses[at].Entry != e.ID {
			at++
		}
		if !g.toll.stillAway(e, losses[at]) {
			return nil
		}
		if _, again := slices.BinarySearch(g.toll.lost, e.ID); !again {
			g.away = append(g.away, e.ID)
		}
		if !g.covers(e) {
			uncovered++
		}
		return nil
	})
	return uncovered, err
}

// covers tells whether the source covers an entry that is enabled (R21).
func (g *guarded) covers(e *foyer.Entry) bool {
	if _, claimed := g.claims.Find(e.ID); claimed || !e.HandMade() {
		return e.Enabled && claimed
	}
	return e.Enabled && !e.Permanent && !g.source.LeaveHandMade && (g.source.Site == 0 || slices.Contains(e.HandSites, g.source.Site))
}

// stillAway tells whether someone who was taken away is so after the run.
func (t *toll) stillAway(e *foyer.Entry, loss store.Loss) bool {
	enabled, sites := e.Enabled, e.Sites
	if at, found := slices.BinarySearchFunc(t.moved, e.ID, func(m moved, id foyer.EntryID) int { return cmp.Compare(m.id, id) }); found {
		enabled, sites = true, t.moved[at].sites
	} else if _, lost := slices.BinarySearch(t.lost, e.ID); lost {
		enabled = false
	}
	if len(loss.Sites) == 0 {
		return !enabled
	}
	return enabled && slices.ContainsFunc(loss.Sites, func(s foyer.SiteID) bool { return !slices.Contains(sites, s) })
}

// does says what a run does to the lost.
func (t *toll) does() string {
	switch t.off {
	case 0:
		return "disable"
	case len(t.lost):
		return "take off their sites"
	}
	return "disable, or take off their sites,"
}

// limitLosses adds that the run takes away too many, counted with those of the last week (R21).
func (g *guarded) limitLosses(hold *foyer.Hold) error {
	if hold.Lost == 0 {
		return nil
	}
	uncovered, err := g.week()
	if err != nil {
		return err
	}
	away := len(g.away)
	lost, all := hold.Lost+away, hold.Of+uncovered
	for _, limit := range []foyer.Limit{g.source.Guard.Many, g.source.Guard.Few} {
		if !limit.Tripped(lost, all) {
			continue
		}
		does := g.toll.does()
		reason := fmt.Sprintf("would %s %d of %d (limit %d%%)", does, hold.Lost, hold.Of, limit.Percent)
		if away > 0 {
			reason = fmt.Sprintf("would %s %d of %d; with those of the last 7 days %d of %d (limit %d%%)", does, hold.Lost, hold.Of, lost, all, limit.Percent)
		}
		hold.Reasons, hold.Away = append(hold.Reasons, reason), away
		break
	}
	return nil
}

// limitOthers adds what else may be a mistake of the file (R21).
func (g *guarded) limitOthers(hold *foyer.Hold) {
	t, guard := g.toll, g.source.Guard
	if t.renamed > 0 && guard.Renames.Tripped(t.renamed, g.matched) {
		hold.Reasons = append(hold.Reasons, fmt.Sprintf("would rename %d of %d (limit %d%%)", t.renamed, g.matched, guard.Renames.Percent))
	}
	if t.named > 0 && guard.Names.Tripped(t.named, g.matched) {
		hold.Reasons = append(hold.Reasons, fmt.Sprintf("would change the names of %d of %d (limit %d%%): are the columns shifted?", t.named, g.matched, guard.Names.Percent))
	}
}

// shared returns what the lost have in common: the sites and divisions that most of them were at, the largest first.
func (g *guarded) shared() (groups []foyer.HoldGroup) {
	names := map[foyer.SiteID]string{}
	for _, site := range g.b.Sites {
		names[site.ID] = site.Name
	}
	for site, n := range g.toll.sites {
		groups = append(groups, foyer.HoldGroup{By: "site", Value: names[site], Count: n})
	}
	for division, n := range g.toll.divisions {
		groups = append(groups, foyer.HoldGroup{By: "division", Value: division, Count: n})
	}
	slices.SortFunc(groups, func(a, b foyer.HoldGroup) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.By, b.By), cmp.Compare(a.Value, b.Value))
	})
	return groups[:min(len(groups), 10)]
}

// kept returns what a held run keeps of what the guard found.
func (g *guarded) kept() *store.Kept {
	return &store.Kept{Lost: g.toll.lost, New: g.fresh, Away: g.away, Changes: g.toll.shown()}
}

// shown returns the changes to be shown, the gravest first.
func (t *toll) shown() []*foyer.Change { return slices.Concat(t.gravest, t.others) }
