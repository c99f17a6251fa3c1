package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"foyer"
)

// Book is one organization's address book at one moment, as Update and View show it. It is good only until they return.
type Book struct {
	Org       foyer.Org
	Sites     []foyer.Site   // by ascending id
	Sources   []foyer.Source // by ascending id
	Version   int64          // grows with every change of the book and its settings
	Settings  int64          // grows with every setting that decides what a row does (R17)
	NextEntry foyer.EntryID  // the id of the next new entry
	Now       time.Time      // when the book was opened

	t      *txn
	store  *Store
	rowKey []byte
	claims map[foyer.SourceID]*Claims // those that were read
	chunks map[foyer.SourceID]*chunkReader
}

// Delta is what an act writes to a book, all of it or nothing.
type Delta struct {
	Run     *foyer.Run               // the act; it gets its ID before Writes is called, and is stored after
	Writes  iter.Seq2[*Write, error] // by ascending ID, the new entries last; nil: the book stays as it is. Called once. An entry and the fields of its change are good until the next is asked for
	Verdict func() (*Delta, error)   // nil, or asked once Writes is through: what it returns, if not nil, is written in place of all this
	Kept    *Kept                    // of a run that is held
	Decided *foyer.RunID             // the held run that this one approves
	Marks   map[foyer.RunID]foyer.RunStatus
	Watch   []Watch  // undos whose source is watched, or not any more
	End     []Ending // sources that end, or go on
}

// Watch says that the next run of a source which would do again what was undone is to be held (R25).
type Watch struct {
	Source foyer.SourceID
	Undo   foyer.RunID // the run that undid it; 0: the act itself
	Spent  bool        // a run was held for it once
	Over   bool        // it is not watched any more
}

// Ending says that a source ends, or that its end is undone.
type Ending struct {
	Source foyer.SourceID
	Ended  bool
}

// Write is what an act does to one entry.
type Write struct {
	ID     foyer.EntryID
	Entry  *foyer.Entry // as it is to be; nil: it stays
	New    bool         // it is not there yet
	Remove bool         // it is not to be there
	Key    string       // of a new entry the key of its email (R1), unless Emails says it
	Claims []ClaimWrite
	Emails []foyer.EmailChange // what emails mean from now on
	IDs    []foyer.IDChange    // by which ids sources know it from now on
	Change *foyer.Change       // for the log; nil: nothing that it has
}

// ClaimWrite is what an act does to one claim on an entry.
type ClaimWrite struct {
	Source foyer.SourceID
	Claim  *foyer.Claim // nil: withdrawn
	Forget bool         // the claim stays, but the next row is looked at whatever it says (R17)
}

// Source returns the source of that id; nil where there is none.
func (b *Book) Source(id foyer.SourceID) *foyer.Source {
	for i := range b.Sources {
		if b.Sources[i].ID == id {
			return &b.Sources[i]
		}
	}
	return nil
}

// RowKey returns the key under which rows are hashed.
func (b *Book) RowKey() []byte { return b.rowKey }

// Claims returns all claims of a source. The book keeps them, to answer Claim.
func (b *Book) Claims(source foyer.SourceID) (*Claims, error) {
	claims, err := loadClaims(b.t, b.Org.ID, source)
	if err == nil {
		b.claims[source] = claims
	}
	return claims, err
}

// Claim returns a source's claim on an entry; nil where it does not list it. Asking in the order of entries is cheap.
func (b *Book) Claim(source foyer.SourceID, entry foyer.EntryID) (*foyer.Claim, error) {
	if all := b.claims[source]; all != nil {
		i, ok := all.Find(entry)
		if !ok {
			return nil, nil
		}
		claim := all.Claim(i)
		claim.Sites = slices.Clone(claim.Sites)
		return &claim, nil
	}
	if b.chunks[source] == nil {
		b.chunks[source] = &chunkReader{t: b.t, org: b.Org.ID, source: source}
	}
	return b.chunks[source].claim(entry)
}

// Entries calls yield for the entries of those ids, which must ascend; an id that does not exist is passed over.
func (b *Book) Entries(ids []foyer.EntryID, yield func(*foyer.Entry) error) error {
	return readEntries(b.t, b.Org.ID, ids, yield)
}

// Addresses calls yield for each of the email keys that means an entry.
func (b *Book) Addresses(keys []string, yield func(key string, a foyer.Address)) error {
	if b.NextEntry == 1 {
		return nil
	}
	return readAddresses(b.t, b.Org.ID, keys, yield)
}

// HandMade returns the ids of the enabled entries that no source claims, ascending (R11).
func (b *Book) HandMade() ([]foyer.EntryID, error) {
	return b.ids(`SELECT id FROM entry WHERE org = $1 AND claimed_by = '' AND enabled = 1 ORDER BY id`, b.Org.ID)
}

// EntryOfID returns the entry that a source knows by each of the ids, where it knows one (R2).
func (b *Book) EntryOfID(source foyer.SourceID, ids []string, yield func(id string, entry foyer.EntryID)) error {
	for batch := range slices.Chunk(ids, b.t.dialect.size(lookupBatch, lookupMany)) {
		query, args := lookUp(b.t.dialect, "external_id, entry", "external_id", "org = ? AND source = ?", []any{b.Org.ID, source}, "external_id", batch)
		err := b.t.each(query, args, func(rows *sql.Rows) error {
			var id string
			var entry foyer.EntryID
			err := rows.Scan(&id, &entry)
			if err == nil {
				yield(id, entry)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Watches returns the undos of a source's runs that the next run must not do again unnoticed (R25).
func (b *Book) Watches(source foyer.SourceID) (watches []Watch, err error) {
	err = b.t.each(`SELECT undo, spent FROM redo_watch WHERE org = $1 AND source = $2 ORDER BY undo`, []any{b.Org.ID, source}, func(rows *sql.Rows) error {
		w := Watch{Source: source}
		err := rows.Scan(&w.Undo, &w.Spent)
		watches = append(watches, w)
		return err
	})
	return watches, err
}

// View calls fn with the organization's book as it is now.
func (s *Store) View(ctx context.Context, caller foyer.Caller, org foyer.OrgID, fn func(*Book) error) error {
	if err := caller.May(foyer.ReadBook, org); err != nil {
		return err
	}
	return s.view(ctx, org, fn)
}

// Preview is View for a caller that may deliver for a source: it shows a sync what it would find, and writes nothing (R24).
func (s *Store) Preview(ctx context.Context, caller foyer.Caller, org foyer.OrgID, source foyer.SourceID, fn func(*Book) error) error {
	if err := caller.MaySync(org, source); err != nil {
		return err
	}
	return s.view(ctx, org, fn)
}

func (s *Store) view(ctx context.Context, org foyer.OrgID, fn func(*Book) error) error {
	return s.snapshot(ctx, org, "read the book", func(t *txn) error {
		b, err := openBook(t, org)
		if err != nil {
			return err
		}
		b.rowKey, b.store = s.vault.Key("row"), s
		return fn(b)
	})
}

// Act says what an update of a book is, and so what its caller must be allowed to.
type Act struct {
	Org     foyer.OrgID
	Right   foyer.Right    // SyncBook: for its Source only
	Source  foyer.SourceID // of a Sync
	Request Request        // that asks for it
}

// Update changes an organization's book: fn reads it and says what to write, and that is written in one durable transaction, or nothing
// is (R18). Acts of one organization run one at a time, in the order in which they came (R19). A caller whose key ended meanwhile writes nothing.
//
// fn may be called again, with a newer book, where another process changed the book in between: it must start afresh each time.
// Failing to get a turn within 30 seconds is foyer.Busy. After nil, all is on disk.
func (s *Store) Update(ctx context.Context, caller foyer.Caller, act Act, fn func(*Book) (*Delta, error)) error {
	if err := mayAct(caller, act); err != nil {
		return err
	}
	s.hideToken(&act)
	release, err := s.locks.take(ctx, act.Org)
	if err != nil {
		return err
	}
	defer release()
	for try := 1; ; try++ {
		err := s.attempt(ctx, caller, act, fn)
		if !errors.Is(err, errStale) {
			return err
		}
		if try == 20 {
			return &foyer.Error{Kind: foyer.Busy, Message: "the book is being changed all the time; nothing was changed, try again", RetryAfter: busyTimeout}
		}
	}
}

// attempt carries an act out once. SQLite's one writer is not held while it is found out what to write. On PostgreSQL the book's row is, by a transaction of its own
// beside that which reads: other organizations do not wait for it, and other nodes' acts on this one wait instead of starting over.
func (s *Store) attempt(ctx context.Context, caller foyer.Caller, act Act, fn func(*Book) (*Delta, error)) error {
	read := func(carry func(*Book, *Delta) error) error {
		return s.view(ctx, act.Org, func(b *Book) error {
			if err := seenBefore(b.t, caller, act); err != nil {
				return err
			}
			delta, err := fn(b)
			if err != nil || delta == nil {
				return err
			}
			return carry(b, delta)
		})
	}
	if s.dialect == postgresDialect {
		return s.inTurn(ctx, act.Org, writingToTheBook, func(t *txn) error {
			return read(func(b *Book, delta *Delta) error {
				return instead(delta, func(delta *Delta) error {
					return t.nested(func() error { return s.apply(t, caller, act, b, delta) })
				})
			})
		})
	}
	return read(func(b *Book, delta *Delta) error {
		return instead(delta, func(delta *Delta) error {
			return s.inTurn(ctx, act.Org, writingToTheBook, func(t *txn) error { return s.apply(t, caller, act, b, delta) })
		})
	})
}

// writingToTheBook is what an Update does.
const writingToTheBook = "write to the book"

// instead applies a delta, or what its verdict puts in its place.
func instead(delta *Delta, apply func(*Delta) error) error {
	err := apply(delta)
	if other, ok := errors.AsType[*insteadError](err); ok {
		delta = other.delta
		err = apply(delta)
	}
	if err != nil {
		delta.Run.ID = 0 // its number is another's now
	}
	return err
}

// insteadError undoes what was written of a delta, since its verdict puts another in its place.
type insteadError struct{ delta *Delta }

// Error implements error; nobody sees it.
func (*insteadError) Error() string { return "something else is to be written" }

func mayAct(caller foyer.Caller, act Act) error {
	if act.Right == foyer.SyncBook {
		return caller.MaySync(act.Org, act.Source)
	}
	return caller.May(act.Right, act.Org)
}

// errStale says that the book changed since it was read.
var errStale = errors.New("the book changed meanwhile")

func openBook(t *txn, org foyer.OrgID) (*Book, error) {
	b := &Book{t: t, Now: t.now, claims: map[foyer.SourceID]*Claims{}, chunks: map[foyer.SourceID]*chunkReader{}}
	var err error
	if b.Org, err = readOrg(t, org); err != nil {
		return nil, err
	}
	const q = `SELECT version, settings, next_entry FROM book WHERE org = $1`
	if err := t.get(q, []any{org}, &b.Version, &b.Settings, &b.NextEntry); err != nil {
		return nil, err
	}
	if b.Sites, err = readSites(t, org); err != nil {
		return nil, err
	}
	b.Sources, err = readSources(t, org)
	return b, err
}

// apply writes a delta that was made from b.
func (s *Store) apply(t *txn, caller foyer.Caller, act Act, b *Book, d *Delta) error {
	t.now = s.clock() // on PostgreSQL it began before the book was read
	if err := s.checkKey(t, caller); err != nil {
		return err
	}
	org := b.Org.ID
	var version int64
	if err := t.get(`SELECT version FROM book WHERE org = $1`, []any{org}, &version); err != nil {
		return err
	}
	if version != b.Version {
		return errStale
	}
	var err error
	if d.Run.ID, err = nextRun(t, org); err != nil {
		return err
	}
	d.Writes = b.within(caller, d.Writes)
	var touched []foyer.EntryID // by an act on a few entries
	if kind := d.Run.Kind; d.Writes != nil && (kind == foyer.Edit || kind == foyer.Join) {
		d.Writes = noteEntries(d.Writes, &touched)
	}
	next, wrote, err := writeAll(t, org, d, b.NextEntry)
	if err != nil {
		return err
	}
	if d.Verdict != nil {
		instead, err := d.Verdict()
		if err != nil {
			return err
		}
		if instead != nil {
			return &insteadError{instead}
		}
	}
	if wrote || len(d.End) > 0 {
		version++
		if err := t.exec(`UPDATE book SET version = $1, next_entry = $2 WHERE org = $3`, version, next, org); err != nil {
			return err
		}
	}
	if d.Run.Finished = s.clock(); d.Run.Book != foyer.Unsettled {
		d.Run.Book = version
	}
	if err := s.checkKeyAgain(t, caller); err != nil {
		return err
	}
	if err := s.conclude(t, caller, org, d); err != nil {
		return err
	}
	if wrote || d.Run.Status == foyer.Held || d.Decided != nil || len(d.End) > 0 {
		if err := s.audit(t, caller, org, "run."+string(d.Run.Kind), d.Run.ID.String(), runDetail(d.Run, touched)); err != nil {
			return err
		}
	}
	return answer(t, caller, act, d.Run)
}

// runDetail says for the audit what a run did; of an act on a few entries, on which.
func runDetail(r *foyer.Run, touched []foyer.EntryID) string {
	detail := fmt.Sprintf("status=%s added=%d updated=%d disabled=%d enabled=%d removed=%d", r.Status, r.Added, r.Updated, r.Disabled, r.Enabled, r.Removed)
	if r.Source != 0 {
		detail = fmt.Sprintf("source=%v %s", r.Source, detail)
	}
	if r.Of != 0 {
		detail += fmt.Sprintf(" of=%v", r.Of)
	}
	for _, id := range touched {
		detail += fmt.Sprintf(" entry=%v", id)
	}
	return detail
}

// within passes writes on, and fails where one is not the caller's to make: of a site administrator, to an entry that is or comes to be at none of their sites, or
// that changes other sites than theirs.
func (b *Book) within(caller foyer.Caller, writes iter.Seq2[*Write, error]) iter.Seq2[*Write, error] {
	if len(caller.Sites) == 0 || writes == nil {
		return writes
	}
	return func(yield func(*Write, error) bool) {
		for w, err := range writes {
			if err == nil && w != nil {
				err = b.permits(caller, w)
			}
			if !yield(w, err) || err != nil {
				return
			}
		}
	}
}

func (b *Book) permits(caller foyer.Caller, w *Write) error {
	before, after := &foyer.Entry{}, w.Entry
	err := b.Entries([]foyer.EntryID{w.ID}, func(e *foyer.Entry) error {
		before = e
		return caller.MayEditAt(e.Sites)
	})
	if err != nil || after == nil {
		return err
	}
	return errors.Join(caller.MayEditAt(after.Sites), caller.MayMove(before.HandSites, after.HandSites))
}

// noteEntries passes writes on and notes to which entries they are.
func noteEntries(writes iter.Seq2[*Write, error], ids *[]foyer.EntryID) iter.Seq2[*Write, error] {
	return func(yield func(*Write, error) bool) {
		for w, err := range writes {
			if w != nil {
				*ids = append(*ids, w.ID)
			}
			if !yield(w, err) {
				return
			}
		}
	}
}

// conclude stores the run of a delta, and what becomes of other runs and of sources with it.
func (s *Store) conclude(t *txn, caller foyer.Caller, org foyer.OrgID, d *Delta) error {
	run := d.Run
	if d.Decided != nil {
		held, err := readRun(t, org, *d.Decided)
		if err == nil {
			err = waits(held, t.now) // it may have been rejected or superseded since it was read
		}
		if err != nil {
			return err
		}
		held.Status = foyer.Approved
		if err := s.endHeld(t, org, held, run.Actor+" as "+run.ID.String()); err != nil {
			return err
		}
	}
	if run.Source != 0 && (run.Kind == foyer.Sync || run.Kind == foyer.End) {
		if err := s.supersede(t, caller, org, run); err != nil {
			return err
		}
	}
	if d.Kept != nil {
		if err := s.keep(t, org, run.ID, d.Kept); err != nil {
			return err
		}
	}
	for id, status := range d.Marks {
		if err := t.exec(`UPDATE run SET status = $1 WHERE org = $2 AND id = $3`, status, org, id); err != nil {
			return err
		}
	}
	if err := s.watchUndos(t, org, d); err != nil {
		return err
	}
	for _, e := range d.End {
		at := int64(0)
		if e.Ended {
			at = millis(s.clock())
		}
		if err := t.exec(`UPDATE source SET ended_at = $1 WHERE org = $2 AND id = $3`, at, org, e.Source); err != nil {
			return err
		}
	}
	if run.Replays != 0 && run.Status == foyer.Applied {
		if err := replayed(t, org, run, run.Replays, run.Finished); err != nil {
			return err
		}
	}
	if run.Redoes != 0 && run.Status == foyer.Applied {
		if err := redone(t, org, run); err != nil {
			return err
		}
	}
	return insertRun(t, org, run)
}

func (s *Store) watchUndos(t *txn, org foyer.OrgID, d *Delta) error {
	for _, w := range d.Watch {
		if w.Undo == 0 {
			w.Undo = d.Run.ID
		}
		var err error
		if w.Over {
			err = t.exec(`DELETE FROM redo_watch WHERE org = $1 AND source = $2 AND undo = $3`, org, w.Source, w.Undo)
		} else {
			err = t.exec(`INSERT INTO redo_watch (org, source, undo, spent) VALUES ($1, $2, $3, $4)
				ON CONFLICT (org, source, undo) DO UPDATE SET spent = excluded.spent`, org, w.Source, w.Undo, flag(w.Spent))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
