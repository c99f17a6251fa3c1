package reconcile

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"foyer"
	"foyer/match"
	"foyer/store"
)

// plan says what becomes of each entry that a delivery concerns. It holds who is concerned and why; what is to be
// written is worked out entry by entry as it is asked for, so that a plan of a million people fits into memory.
type plan struct {
	b           *store.Book
	policy      *policy
	input       Input
	reading     *reading
	people      *people
	ids         *ids
	toll        *toll
	bad         []badRow // found after reading
	rowProblems problems // found after reading
	steps       []step   // by ascending entry
	adds        []int32  // persons that no entry is yet, in the order of the file
	warnings    []foyer.Problem
	unsettled   bool // the same delivery may mean more the next time
}

// step is an entry that is concerned, and why: the person of that number names it, or nobody does.
type step struct {
	entry foyer.EntryID
	why   int32
}

const (
	absent   = -1 // the source claims it and does not list it (R10)
	handMade = -2 // hand-made, and perhaps in the source's scope (R11)
	lostID   = -3 // its id is another's now (R2)
)

// stepBatch is how many entries are loaded at once.
const stepBatch = 500

func newPlan(b *store.Book, d Delivery, source *foyer.Source, rows *arena) (*plan, error) {
	policy, err := policyOf(b, source)
	if err != nil {
		return nil, err
	}
	claims, err := b.Claims(source.ID)
	if err != nil {
		return nil, err
	}
	ended, err := b.KeepsEnded()
	if err != nil {
		return nil, err
	}
	for _, entry := range ended {
		claims.Forget(entry)
	}
	p := &plan{b: b, policy: policy, input: d.Input(source), reading: newReading(claims, b.RowKey(), b.Settings, d.NoSkip), toll: newToll()}
	p.reading.rows = rows
	if err := p.toll.watch(b, source.ID); err != nil {
		return nil, err
	}
	if source.Site == 0 {
		p.reading.offices = policy.sites
	}
	if p.warnings, err = p.reading.all(p.input); err != nil {
		return nil, err
	}
	if err := p.resolve(); err != nil {
		return nil, err
	}
	if err := p.usable(d.Strict); err != nil {
		return nil, err
	}
	if err := p.decide(); err != nil {
		return nil, err
	}
	if p.reading.counts.Listed == 0 {
		return nil, foyer.Errorf(foyer.Invalid, "every row that can be used is of somebody who was erased; nothing was changed")
	}
	return p, nil
}

// rows calls yield for each row of the delivery.
func (p *plan) rows(yield func(*foyer.Row) error) error {
	_, err := p.input.Rows(yield)
	return err
}

// usable refuses a delivery without one row that can be used (R23), and where the caller is strict one with any error.
func (p *plan) usable(strict bool) error {
	wrong := slices.Concat(p.reading.problems.errors, p.rowProblems.errors)
	if strict && len(wrong) > 0 {
		return foyer.Errorf(foyer.Invalid, "%d rows have errors and handling=strict was asked for; the first: %v", p.countErrors(), wrong[0])
	}
	if p.listed() > 0 {
		return nil
	}
	c := p.reading.counts
	switch {
	case p.people.away > 0 && p.people.away == c.Rows-c.Skipped:
		return foyer.Errorf(foyer.Forbidden, "every row names another site than %q, for which alone this key delivers", p.policy.sites.of[p.policy.source.Site])
	case len(wrong) > 0:
		return foyer.Errorf(foyer.Invalid, "not one of the %d rows can be used; nothing was changed. The first: %v", c.Rows, wrong[0])
	case c.Skipped > 0:
		return foyer.Errorf(foyer.Invalid, "none of the %d rows has an email; nothing was changed. Check what the export filters and which columns it writes", c.Rows)
	}
	return foyer.Errorf(foyer.Invalid, "the file has a header and no rows; nothing was changed. Check what the export filters")
}

func (p *plan) countErrors() int {
	return p.reading.problems.countErrors + p.rowProblems.countErrors
}

// listed returns how many persons the delivery names in rows without an error.
func (p *plan) listed() int {
	n := len(p.people.persons)
	for _, line := range p.reading.lines {
		if line != 0 {
			n++
		}
	}
	return n
}

// decide finds the entries concerned.
func (p *plan) decide() error {
	p.reading.counts.Listed = p.listed()
	for i := range p.people.persons {
		person := &p.people.persons[i]
		if person.entry == 0 {
			erased, err := p.wasErased(int32(i))
			if err != nil {
				return err
			}
			if !erased {
				p.adds = append(p.adds, int32(i))
			}
			continue
		}
		at, claimed := p.reading.claims.Find(person.entry)
		if claimed {
			p.reading.lines[at] = p.reading.pending[person.first].line
			if p.people.next[person.first] >= 0 {
				if same, err := p.unchanged(person, at); err != nil {
					return err
				} else if same {
					continue
				}
			}
		}
		p.steps = append(p.steps, step{person.entry, int32(i)})
	}
	listed := map[foyer.EntryID]bool{}
	for _, step := range p.steps {
		listed[step.entry] = true
	}
	if err := p.decideAbsent(listed); err != nil {
		return err
	}
	p.decideLostIDs()
	slices.SortFunc(p.steps, func(a, b step) int { return int(a.entry - b.entry) })
	return nil
}

// erasedAt returns when someone in no entry was erased, whom their rows mean by their email, or, where ids count, by their id; zero: they were not.
func (p *plan) erasedAt(i int32, ids bool) (at time.Time, err error) {
	if p.policy.erased.Empty() {
		return at, nil
	}
	person := &p.people.persons[i]
	key, err := p.reading.key(person.first)
	if err != nil {
		return at, err
	}
	id := ""
	if _, ignored := p.ids.ignored[i]; ids && !ignored {
		id, _, err = p.idOf(person)
	}
	return p.policy.erased.When(key, id), err
}

// wasErased tells whether a person who is in no entry was erased: then they are passed over, with a warning, until somebody says otherwise (R28).
func (p *plan) wasErased(i int32) (bool, error) {
	at, err := p.erasedAt(i, true)
	if at.IsZero() || err != nil {
		return false, err
	}
	person := &p.people.persons[i]
	p.reading.counts.Listed--
	p.rowProblems.add(foyer.Problem{Line: int(p.reading.pending[person.first].line), Column: foyer.Email.Label(),
		Message: fmt.Sprintf("is of someone who was erased on %s, and is passed over; to let them in again: foyer entry erase --forget", at.Format(time.DateOnly))})
	return true, nil
}

// unchanged tells whether the rows of a person are those that its claim was last applied from.
func (p *plan) unchanged(person *person, at int) (bool, error) {
	l, err := p.listing(person, &problems{})
	return err == nil && l.hash != (foyer.Hash{}) && l.hash == p.reading.claims.Hash(at), err
}

// decideAbsent finds who is claimed or hand-made and not listed, but for those whom a row with an error names (R15).
func (p *plan) decideAbsent(listed map[foyer.EntryID]bool) error {
	var missing []step
	for at, line := range p.reading.lines {
		if line == 0 {
			missing = append(missing, step{p.reading.claims.Entry(at), absent})
		}
	}
	if !p.policy.source.LeaveHandMade {
		ids, err := p.b.HandMade()
		if err != nil {
			return err
		}
		for _, id := range ids {
			missing = append(missing, step{id, handMade})
		}
	}
	if len(missing) > 0 && len(p.people.names) > 0 {
		if err := p.presentByName(); err != nil {
			return err
		}
	}
	for _, step := range missing {
		if _, present := p.people.present[step.entry]; !present && !listed[step.entry] {
			p.steps = append(p.steps, step)
		}
	}
	return nil
}

// decideLostIDs finds whose id is another's now and who is not concerned otherwise.
func (p *plan) decideLostIDs() {
	if len(p.ids.lost) == 0 {
		return
	}
	concerned := map[foyer.EntryID]bool{}
	for _, step := range p.steps {
		concerned[step.entry] = true
	}
	for entry := range p.ids.lost {
		if !concerned[entry] {
			p.steps = append(p.steps, step{entry, lostID})
		}
	}
}

// presentByName counts as present whom a row with an error names by full name, if exactly one claimed entry has it (R15).
func (p *plan) presentByName() error {
	ids := make([]foyer.EntryID, p.reading.claims.Len())
	for i := range ids {
		ids[i] = p.reading.claims.Entry(i)
	}
	wanted := map[string][]foyer.EntryID{}
	for _, name := range p.people.names {
		wanted[name] = nil
	}
	err := p.b.Entries(ids, func(e *foyer.Entry) error {
		name := match.Fold(e.FullName())
		if found, ok := wanted[name]; ok {
			wanted[name] = append(found, e.ID)
		}
		return nil
	})
	for _, entries := range wanted {
		if len(entries) == 1 {
			p.people.present[entries[0]] = true
		}
	}
	return err
}

// writes yields what is to be written, by ascending entry, and fills in the run's counts and problems when it is through.
func (p *plan) writes(run *foyer.Run) iter.Seq2[*store.Write, error] {
	return func(yield func(*store.Write, error) bool) {
		counts, found := p.reading.counts, problems{}
		touched := 0
		out := func(before *foyer.Entry, w *store.Write, wrong []foyer.Problem, why int32) bool {
			found.add(wrong...)
			if w == nil {
				return true
			}
			p.toll.note(p.policy.source.ID, before, w, why < 0)
			if tally(&counts, w) && why >= 0 {
				touched++
			}
			return yield(w, nil)
		}
		for batch := range slices.Chunk(p.steps, stepBatch) {
			if err := p.carryOut(batch, run.ID, &found, out); err != nil {
				if err != errStopped {
					yield(nil, err)
				}
				return
			}
		}
		id := p.b.NextEntry
		var n newcomer
		for _, person := range p.adds {
			l, err := p.listingOf(person, &found)
			if err != nil {
				yield(nil, err)
				return
			}
			w, wrong := p.policy.add(&n, id, l, run.ID)
			id++
			if v := p.toll.renamedFrom(w.Entry); v != nil {
				wrong = append(wrong, p.proposeJoin(v, w.Entry, person))
			}
			if !out(nil, w, wrong, person) {
				return
			}
		}
		counts.Unchanged = counts.Listed - touched
		if p.unsettled {
			run.Book = foyer.Unsettled
		}
		p.finish(run, counts, &found)
	}
}

// proposeJoin says that someone who vanished and someone who appeared in one run may be one person (R3).
func (p *plan) proposeJoin(v *vanished, e *foyer.Entry, person int32) foyer.Problem {
	line := p.reading.pending[p.people.persons[person].first].line
	return foyer.Problem{Line: int(line), Column: foyer.Email.Label(), Value: e.Values[foyer.Email],
		Message: fmt.Sprintf("renamed? %s (%v) vanishes, and this appears with the same name and the same site or phone; if they are one person, once both are in the book: foyer entry join --org %s %v %s",
			v.email, v.id, p.b.Org.Slug, v.id, e.Values[foyer.Email])}
}

// carryOut works out a batch of steps.
func (p *plan) carryOut(batch []step, run foyer.RunID, found *problems, out func(*foyer.Entry, *store.Write, []foyer.Problem, int32) bool) error {
	ids := make([]foyer.EntryID, len(batch))
	for i, step := range batch {
		ids[i] = step.entry
	}
	at := 0
	return p.b.Entries(ids, func(e *foyer.Entry) error {
		for batch[at].entry != e.ID {
			at++
		}
		step := batch[at]
		k, err := knownOf(p.b, e)
		if err != nil {
			return err
		}
		k.lostID = p.ids.lost[e.ID]
		var w *store.Write
		var wrong []foyer.Problem
		switch step.why {
		case absent:
			w = p.policy.withdraw(k, run)
		case handMade:
			if w = p.policy.drop(k, run); w == nil && k.lostID != "" {
				w = p.policy.unname(k, run)
			}
		case lostID:
			w = p.policy.unname(k, run)
		default:
			l, err := p.listingOf(step.why, found)
			if err != nil {
				return err
			}
			w, wrong = p.policy.list(k, l, run)
			p.unsettled = p.unsettled || l.alias && w != nil && len(w.IDs) > 0 // next time the row means them by the id, and renames them (R2)
		}
		if !out(e, w, wrong, step.why) {
			return errStopped
		}
		return nil
	})
}

// errStopped says that nobody asks for more writes.
var errStopped = errors.New("stopped")

// knownOf returns an entry with the claims on it.
func knownOf(b *store.Book, e *foyer.Entry) (known, error) {
	k := known{entry: e}
	for _, id := range e.ClaimedBy {
		claim, err := b.Claim(id, e.ID)
		if err != nil {
			return k, err
		}
		source := b.Source(id)
		if claim != nil && source != nil {
			k.claims = append(k.claims, claimOn{source, claim})
		}
	}
	return k, nil
}

// tally counts a write, and tells whether a person sees a difference.
func tally(counts *foyer.Counts, w *store.Write) bool {
	if w == nil || w.Change == nil {
		return false
	}
	c := w.Change
	switch {
	case c.Removed:
		counts.Removed++
		return true
	case c.Added:
		counts.Added++
		return true
	}
	seen := false
	if c.Visible() {
		counts.Updated++
		seen = true
	}
	if s := c.Status; s != nil && s[0].Enabled != s[1].Enabled {
		if s[1].Enabled {
			counts.Enabled++
		} else {
			counts.Disabled++
		}
		seen = true
	}
	return seen
}

// finish sums up the problems of the rows.
func (p *plan) finish(run *foyer.Run, counts foyer.Counts, found *problems) {
	all := problems{}
	warnings := slices.Clone(p.warnings)
	if p.policy.source.Guard.Off {
		warnings = append(warnings, foyer.Problem{Message: "the guard of this source is off: nothing holds a file that would disable everybody; foyer source edit --guard on"})
	}
	if office := p.reading.office; office != "" {
		warnings = append(warnings, foyer.Problem{Column: "office", Value: office, Message: "offices that are no sites say nothing; make this one a site, or an alias of one, if it is"})
	}
	all.add(warnings...)
	for _, part := range []*problems{&p.reading.problems, &p.rowProblems, found} {
		all.add(part.errors...)
		all.add(part.warnings...)
		all.countErrors += part.countErrors - len(part.errors)
		all.countWarned += part.countWarned - len(part.warnings)
	}
	counts.Errors, counts.Warnings = all.countErrors, all.countWarned
	run.Counts, run.Problems = counts, all.list()
}

// guarded returns the run as the guard looks at it once its writes are worked out.
func (p *plan) guarded() *guarded {
	return &guarded{b: p.b, source: p.policy.source, toll: p.toll, listed: p.reading.claims.Len(), matched: p.reading.counts.Listed - len(p.adds), claims: p.reading.claims, now: p.b.Now}
}
