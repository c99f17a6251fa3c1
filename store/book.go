package store

import (
	"context"
	"database/sql"
	"errors"
	"iter"
	"slices"

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

	t      *txn
	rowKey []byte
	chunks map[foyer.SourceID]*openChunk
}

// openChunk is the chunk of a source's claims that was read last: neighbours are asked for one after the other.
type openChunk struct {
	first, until foyer.EntryID // until 0: no end
	claims       map[foyer.EntryID]foyer.Claim
}

// Delta is what an act writes to a book, all of it or nothing.
type Delta struct {
	Run    *foyer.Run               // the act; it gets its ID before Writes is called, and is stored after
	Writes iter.Seq2[*Write, error] // by ascending ID, the new entries last; nil: the book stays as it is. Called once.
}

// Write is what an act does to one entry.
type Write struct {
	ID     foyer.EntryID
	Entry  *foyer.Entry // as it is to be; nil: it stays
	New    bool         // it is not there yet
	Key    string       // the email's key (R1), where it is new or changed
	OldKey string       // the key of the email that Key replaces: it becomes an alias
	Claims []ClaimWrite
	Change *foyer.Change // for the log; nil: nothing that it has
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

// Claims returns all claims of a source.
func (b *Book) Claims(source foyer.SourceID) (*Claims, error) {
	return loadClaims(b.t, b.Org.ID, source)
}

// Claim returns a source's claim on an entry; nil where it does not list it. Asking in the order of entries is cheap.
func (b *Book) Claim(source foyer.SourceID, entry foyer.EntryID) (*foyer.Claim, error) {
	chunk := b.chunks[source]
	if chunk == nil || entry < chunk.first || chunk.until != 0 && entry >= chunk.until {
		var err error
		if chunk, err = readChunk(b.t, b.Org.ID, source, entry); err != nil {
			return nil, err
		}
		b.chunks[source] = chunk
	}
	if claim, ok := chunk.claims[entry]; ok {
		return &claim, nil
	}
	return nil, nil
}

// Entries calls yield for the entries of those ids, which must ascend; an id that does not exist is passed over.
func (b *Book) Entries(ids []foyer.EntryID, yield func(*foyer.Entry) error) error {
	return readEntries(b.t, b.Org.ID, ids, yield)
}

// Addresses calls yield for each of the email keys that means an entry.
func (b *Book) Addresses(keys []string, yield func(key string, a Address)) error {
	if b.NextEntry == 1 {
		return nil
	}
	return readAddresses(b.t, b.Org.ID, keys, yield)
}

// HandMade returns the ids of the enabled entries that no source claims, ascending (R11).
func (b *Book) HandMade() (ids []foyer.EntryID, err error) {
	const q = `SELECT id FROM entry WHERE org = $1 AND claimed_by = '' AND enabled = 1 ORDER BY id`
	err = b.t.each(q, []any{b.Org.ID}, func(rows *sql.Rows) error {
		var id foyer.EntryID
		if err := rows.Scan(&id); err != nil {
			return err
		}
		ids = append(ids, id)
		return nil
	})
	return ids, err
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
	return s.snapshot(ctx, "read the book", func(t *txn) error {
		b, err := openBook(t, org)
		if err != nil {
			return err
		}
		b.rowKey = s.vault.Key("row")
		return fn(b)
	})
}

// Act says what an update of a book is, and so what its caller must be allowed to.
type Act struct {
	Org    foyer.OrgID
	Kind   foyer.RunKind
	Source foyer.SourceID // of a Sync
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
	release, err := s.locks.take(ctx, act.Org)
	if err != nil {
		return err
	}
	defer release()
	for try := 1; ; try++ {
		err := s.view(ctx, act.Org, func(b *Book) error {
			delta, err := fn(b)
			if err != nil || delta == nil {
				return err
			}
			return s.transact(ctx, "write to the book", func(t *txn) error { return s.apply(t, caller, b, delta) })
		})
		if !errors.Is(err, errStale) {
			return err
		}
		if try == 20 {
			return &foyer.Error{Kind: foyer.Busy, Message: "the book is being changed all the time; nothing was changed, try again", RetryAfter: busyTimeout}
		}
	}
}

func mayAct(caller foyer.Caller, act Act) error {
	if act.Kind == foyer.Sync {
		return caller.MaySync(act.Org, act.Source)
	}
	return caller.May(foyer.EditBook, act.Org)
}

// errStale says that the book changed since it was read.
var errStale = errors.New("the book changed meanwhile")

func openBook(t *txn, org foyer.OrgID) (*Book, error) {
	b := &Book{t: t, chunks: map[foyer.SourceID]*openChunk{}}
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

func readChunk(t *txn, org foyer.OrgID, source foyer.SourceID, entry foyer.EntryID) (*openChunk, error) {
	chunk := &openChunk{first: 1, claims: map[foyer.EntryID]foyer.Claim{}}
	var data []byte
	const below = `SELECT first, claims FROM claim_chunk WHERE org = $1 AND source = $2 AND first <= $3 ORDER BY first DESC LIMIT 1`
	err := t.get(below, []any{org, source, entry}, &chunk.first, &data)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, err
	}
	const next = `SELECT first FROM claim_chunk WHERE org = $1 AND source = $2 AND first > $3 ORDER BY first LIMIT 1`
	err = t.get(next, []any{org, source, entry}, &chunk.until)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, err
	}
	err = decodeClaims(chunk.first, data, func(e foyer.EntryID, c *foyer.Claim, _ []byte) error {
		claim := *c
		claim.Sites = slices.Clone(c.Sites)
		chunk.claims[e] = claim
		return nil
	})
	return chunk, err
}

// apply writes a delta that was made from b.
func (s *Store) apply(t *txn, caller foyer.Caller, b *Book, d *Delta) error {
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
	next, wrote, err := writeAll(t, org, d, b.NextEntry)
	if err != nil {
		return err
	}
	if wrote {
		version++
		if err := t.exec(`UPDATE book SET version = $1, next_entry = $2 WHERE org = $3`, version, next, org); err != nil {
			return err
		}
	}
	d.Run.Finished, d.Run.Book = s.clock(), version
	return insertRun(t, org, d.Run)
}
