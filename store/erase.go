package store

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"foyer"
)

// erasure takes a person out of everything that an organization's book keeps (R28). It looks through the whole log, since others' changes, problems of rows and held
// files may name the person too: erasures are rare, and nothing may be left. It looks in a snapshot, so that other organizations write meanwhile, and notes
// where the person is named; what it writes is only that.
type erasure struct {
	s       *Store
	t       *txn
	org     foyer.OrgID
	run     foyer.RunID
	entries map[foyer.EntryID]bool // the entry, and those that were joined to it
	keys    map[string]bool        // keys of its emails, earlier ones too
	ids     map[foyer.ExternalID]bool
	needles []string        // texts that name the person, in lower case
	called  map[string]bool // full names, in lower case
	lasts   map[string]bool // last names
	own     sieve           // what a change of the person has
	any     sieve           // what a change has that has to do with the person at all
	rows    sieve           // the same of a held row
	named
}

// named is where a person is named.
type named struct {
	version int64       // of the book that was looked at
	seen    foyer.RunID // the last run of it
	chunks  []chunkAt
	others  []foyer.EntryID // who may name the person as manager or assistant
	runs    []foyer.RunID
	held    map[heldAt]map[int]bool // which parts of what held runs keep
}

// chunkAt is a chunk of the log, heldAt a sequence of a held run.
type (
	chunkAt struct {
		run   foyer.RunID
		first foyer.EntryID
	}
	heldAt struct {
		run    foyer.RunID
		source foyer.SourceID
		kind   string
	}
)

// sieve tells of bytes whether they may hold one of some texts, which are in lower case, without reading JSON.
type sieve [][]byte

func (s *sieve) add(text string) { *s = append(*s, []byte(text)) }

// passes tells whether bytes may hold one of the texts. A text that is escaped has a backslash.
func (s sieve) passes(b []byte) bool {
	if bytes.IndexByte(b, '\\') >= 0 {
		return true
	}
	lower := bytes.ToLower(b)
	return slices.ContainsFunc(s, func(text []byte) bool { return bytes.Contains(lower, text) })
}

// Erasing says whom an erasure takes.
type Erasing struct {
	Entry  *foyer.Entry    // who is erased; nil: they are in the log only
	Others []foyer.EntryID // entries that were joined to it, or removed under one of its emails
}

// TryErase returns whom Erase would take, and changes nothing.
func (s *Store) TryErase(ctx context.Context, caller foyer.Caller, org foyer.OrgID, id foyer.EntryID, key string) (who Erasing, err error) {
	if err := caller.May(foyer.Administer, org); err != nil {
		return who, err
	}
	err = s.snapshot(ctx, org, "look for whom to erase", func(t *txn) error {
		e := newErasure(s, t, org)
		found, err := e.find(id, key)
		if err == nil && !found {
			err = nothingOf(id, key)
		}
		if err != nil {
			return err
		}
		for id := range e.entries {
			err := readEntries(t, org, []foyer.EntryID{id}, func(entry *foyer.Entry) error {
				who.Entry = entry
				return nil
			})
			if err != nil {
				return err
			}
			if who.Entry == nil || who.Entry.ID != id {
				who.Others = append(who.Others, id)
			}
		}
		slices.Sort(who.Others)
		return nil
	})
	return who, err
}

func nothingOf(id foyer.EntryID, key string) error {
	return foyer.Errorf(foyer.NotFound, "there is nothing of %s%s in this organization", key, idOrNothing(id))
}

// Erase erases a person for good: the entry of that id, or of that email, with the entries that were joined to it, and all that the log, held runs and problems of rows
// say of it. Nobody else who is in the book is erased, whatever email they once had in common. Keyed hashes of its emails and ids stay, so that the next file
// does not bring it back unnoticed. It cannot be undone. An email that means nobody any more is erased from the log. foyer.NotFound where there is nothing of it.
// Other organizations write meanwhile, but for the moment in which what names the person is written.
func (s *Store) Erase(ctx context.Context, caller foyer.Caller, org foyer.OrgID, id foyer.EntryID, key string) (run *foyer.Run, err error) {
	if err := caller.May(foyer.Administer, org); err != nil {
		return nil, err
	}
	if run, err = s.eraseInTurn(ctx, caller, org, id, key); err != nil {
		return nil, err
	}
	if !s.log.empty(ctx, emptyWithin) {
		run.Problems = append(run.Problems, foyer.Problem{Message: stillLogged})
	}
	return run, nil
}

// stillLogged says that the database's log could not be emptied yet.
const stillLogged = "the database's log still holds what was erased, until those who read the database now have ended; it is emptied then, while foyer serve runs"

// eraseInTurn erases while nothing else of the organization is at work. It starts over where another process changed the book in between.
func (s *Store) eraseInTurn(ctx context.Context, caller foyer.Caller, org foyer.OrgID, id foyer.EntryID, key string) (run *foyer.Run, err error) {
	release, err := s.locks.take(ctx, org)
	if err != nil {
		return nil, err
	}
	defer release()
	for try := 1; ; try++ {
		run = &foyer.Run{Kind: foyer.Erase, Actor: caller.Name, Status: foyer.Applied, Started: s.clock()}
		var e *erasure
		err := s.snapshot(ctx, org, "look for whom to erase", func(t *txn) error {
			e = newErasure(s, t, org)
			found, err := e.find(id, key)
			if err == nil && !found {
				err = nothingOf(id, key)
			}
			if err != nil {
				return err
			}
			return e.locate()
		})
		if err == nil {
			err = s.inTurn(ctx, org, "erase the entry", func(t *txn) error { return e.write(t, caller, run) })
		}
		if !errors.Is(err, errStale) {
			return run, err
		}
		if try == 20 {
			return nil, &foyer.Error{Kind: foyer.Busy, Message: "the book is being changed all the time; nothing was changed, try again", RetryAfter: busyTimeout}
		}
	}
}

// write carries the erasure out, as the run, unless the book changed since.
func (e *erasure) write(t *txn, caller foyer.Caller, run *foyer.Run) (err error) {
	e.t = t
	var version int64
	if err := t.get(`SELECT version FROM book WHERE org = $1`, []any{e.org}, &version); err != nil {
		return err
	}
	if version != e.version {
		return errStale
	}
	if run.ID, err = nextRun(t, e.org); err != nil {
		return err
	}
	e.run = run.ID
	if err := e.erase(); err != nil {
		return err
	}
	run.Removed = len(e.entries)
	for _, entry := range e.entryIDs() {
		run.Message = strings.TrimSpace(run.Message + " " + entry.String())
	}
	run.Book = version + 1
	if err := t.exec(`UPDATE book SET version = $1 WHERE org = $2`, run.Book, e.org); err != nil {
		return err
	}
	run.Finished = e.s.clock()
	if err := insertRun(t, e.org, run); err != nil {
		return err
	}
	if err := oweEmpty(t, e.org, run.ID); err != nil {
		return err
	}
	return e.s.audit(t, caller, e.org, "entry.erase", run.ID.String(), run.Message)
}

func idOrNothing(id foyer.EntryID) string {
	if id == 0 {
		return ""
	}
	return id.String()
}

func newErasure(s *Store, t *txn, org foyer.OrgID) *erasure {
	return &erasure{s: s, t: t, org: org, entries: map[foyer.EntryID]bool{}, keys: map[string]bool{}, ids: map[foyer.ExternalID]bool{}, called: map[string]bool{},
		lasts: map[string]bool{},
		named: named{held: map[heldAt]map[int]bool{}}}
}

func (e *erasure) entryIDs() []foyer.EntryID { return slices.Sorted(maps.Keys(e.entries)) }

// erase carries it out.
func (e *erasure) erase() error {
	for _, step := range []func() error{e.locateNew, e.removeEntries, e.scrubOthers, e.scrubChanges, e.scrubRuns, e.scrubAlerts, e.scrubHeld, e.keepHashes} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}
