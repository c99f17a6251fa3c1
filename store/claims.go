package store

import (
	"cmp"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sort"

	"foyer"
)

// A chunk of claims is a sequence of
//
//	uvarint  entry, less the entry before it (the first less the chunk's first)
//	byte     flags
//	[16]byte hash, where flagHash
//	uvarint  number of sites, and each, where flagSites
//
// maxChunkClaims keeps a chunk below 2 kB, which PostgreSQL stores within the row and SQLite twice on a page.
const maxChunkClaims = 80

const (
	flagHash = 1 << iota
	flagSites
	flagDisabled
)

// Claims are all claims of one source, by ascending entry. They take 27 bytes each.
type Claims struct {
	entries   paged[foyer.EntryID]
	hashes    paged[foyer.Hash]
	states    paged[uint16] // index of what the claim says in said
	said      []claimSaid
	saidKeys  map[string]uint16
	forgotten map[int]foyer.Hash // of the claims that match no row any more: what is stored
}

// claimSaid is what a claim says besides its row: few differ.
type claimSaid struct {
	disabled bool
	sites    []foyer.SiteID
}

// paged is a list that grows without being copied: of a million claims a tenth of the time of a sync would go there.
type paged[T any] struct {
	pages [][]T // full, but for the last
	count int
}

const pageSize = 1 << 14

func (p *paged[T]) add(v T) {
	if p.count%pageSize == 0 {
		p.pages = append(p.pages, make([]T, 0, min(pageSize, max(p.count, 64)))) // most sources list few
	}
	last := len(p.pages) - 1
	p.pages[last] = append(p.pages[last], v)
	p.count++
}

func (p *paged[T]) at(i int) *T { return &p.pages[i/pageSize][i%pageSize] }

// Len returns how many claims there are.
func (c *Claims) Len() int { return c.entries.count }

// Entry returns whom claim i lists.
func (c *Claims) Entry(i int) foyer.EntryID { return *c.entries.at(i) }

// Hash returns the hash of the row that claim i was last applied from; zero where it is to match none.
func (c *Claims) Hash(i int) foyer.Hash { return *c.hashes.at(i) }

// Claim returns claim i as it is stored. Its sites are shared and must not be changed.
func (c *Claims) Claim(i int) foyer.Claim {
	said, hash := c.said[*c.states.at(i)], c.Hash(i)
	if stored, ok := c.forgotten[i]; ok {
		hash = stored
	}
	return foyer.Claim{Hash: hash, Disabled: said.disabled, Sites: said.sites}
}

// Forget makes the claim on an entry, where there is one, match no row (R17).
func (c *Claims) Forget(entry foyer.EntryID) {
	if i, ok := c.Find(entry); ok && c.Hash(i) != (foyer.Hash{}) {
		c.forgotten[i], *c.hashes.at(i) = c.Hash(i), foyer.Hash{}
	}
}

// Find returns the index of the claim on an entry.
func (c *Claims) Find(entry foyer.EntryID) (i int, ok bool) {
	return sort.Find(c.Len(), func(i int) int { return cmp.Compare(entry, c.Entry(i)) })
}

func (c *Claims) add(entry foyer.EntryID, claim *foyer.Claim, key []byte) error {
	state, ok := c.saidKeys[string(key)]
	if !ok {
		if len(c.said) > 1<<16-1 {
			return errors.New("more than 65,535 combinations of sites in one source")
		}
		state = uint16(len(c.said))
		c.said = append(c.said, claimSaid{claim.Disabled, slices.Clone(claim.Sites)})
		c.saidKeys[string(key)] = state
	}
	c.entries.add(entry)
	c.hashes.add(claim.Hash)
	c.states.add(state)
	return nil
}

// loadClaims reads all claims of a source.
func loadClaims(t *txn, org foyer.OrgID, source foyer.SourceID) (*Claims, error) {
	c := &Claims{saidKeys: map[string]uint16{}, forgotten: map[int]foyer.Hash{}}
	const q = `SELECT first, claims FROM claim_chunk WHERE org = $1 AND source = $2 ORDER BY first`
	err := t.each(q, []any{org, source}, func(rows *sql.Rows) error {
		var first foyer.EntryID
		var chunk sql.RawBytes
		if err := rows.Scan(&first, &chunk); err != nil {
			return err
		}
		return decodeClaims(first, chunk, c.add)
	})
	return c, err
}

// decodeClaims calls yield for each claim of a chunk; key is the encoded form of all it says but its hash. The claim is reused.
func decodeClaims(first foyer.EntryID, chunk []byte, yield func(entry foyer.EntryID, claim *foyer.Claim, key []byte) error) error {
	damaged := fmt.Errorf("the claims at %v are damaged", first)
	entry := first
	var claim foyer.Claim
	var key []byte
	for at := 0; at < len(chunk); {
		step, n := binary.Uvarint(chunk[at:])
		at += n
		if n <= 0 || at >= len(chunk) {
			return damaged
		}
		entry += foyer.EntryID(step)
		flags := chunk[at]
		at++
		claim = foyer.Claim{Disabled: flags&flagDisabled != 0, Sites: claim.Sites[:0]}
		key = append(key[:0], flags&flagDisabled)
		if flags&flagHash != 0 {
			if len(chunk)-at < len(claim.Hash) {
				return damaged
			}
			at += copy(claim.Hash[:], chunk[at:])
		}
		if flags&flagSites != 0 {
			start := at
			count, n := binary.Uvarint(chunk[at:])
			for at += n; count > 0; count-- {
				site, n := binary.Uvarint(chunk[at:])
				if n <= 0 {
					return damaged
				}
				at += n
				claim.Sites = append(claim.Sites, foyer.SiteID(site))
			}
			key = append(key, chunk[start:at]...)
		}
		if err := yield(entry, &claim, key); err != nil {
			return err
		}
	}
	return nil
}

func appendClaim(b []byte, step foyer.EntryID, claim *foyer.Claim) []byte {
	b = binary.AppendUvarint(b, uint64(step))
	var flags byte
	if claim.Hash != (foyer.Hash{}) {
		flags |= flagHash
	}
	if len(claim.Sites) > 0 {
		flags |= flagSites
	}
	if claim.Disabled {
		flags |= flagDisabled
	}
	b = append(b, flags)
	if flags&flagHash != 0 {
		b = append(b, claim.Hash[:]...)
	}
	if flags&flagSites != 0 {
		b = binary.AppendUvarint(b, uint64(len(claim.Sites)))
		for _, site := range claim.Sites {
			b = binary.AppendUvarint(b, uint64(site))
		}
	}
	return b
}

// chunksMany is how many chunks a statement to PostgreSQL reads or writes.
const chunksMany = 256

// storedChunk is a chunk as it lies in the database.
type storedChunk struct {
	first, until foyer.EntryID // until: where the next one begins; 0: there is none
	claims       []byte
	stored       bool // false: the source has no claims
}

// chunkReader finds the chunks of a source's claims by entry. Of PostgreSQL it asks for more each time, since neighbours are asked for one after the other.
type chunkReader struct {
	t      *txn
	org    foyer.OrgID
	source foyer.SourceID
	ahead  []storedChunk
	many   int                           // how many were asked for last
	parsed map[foyer.EntryID]foyer.Claim // all claims on the entries from…
	from   foyer.EntryID
	until  foyer.EntryID // … to this one; 0: to the last
}

func (c *storedChunk) has(entry foyer.EntryID) bool {
	return c.stored && c.first <= entry && (c.until == 0 || entry < c.until)
}

// seek returns the chunk that an entry belongs to: the last that begins at or before it, else the first of all.
func (r *chunkReader) seek(entry foyer.EntryID) (storedChunk, error) {
	for i := range r.ahead {
		if r.ahead[i].has(entry) {
			chunk := r.ahead[i]
			r.ahead = r.ahead[i+1:]
			return chunk, nil
		}
	}
	// Under row-level security PostgreSQL looks for no MAX at the end of an index, and for no COALESCE in one.
	const q = `SELECT first, claims FROM claim_chunk WHERE org = $1 AND source = $2 AND first >= (SELECT COALESCE(
		(SELECT first FROM claim_chunk WHERE org = $1 AND source = $2 AND first <= $3 ORDER BY first DESC LIMIT 1), 0)) ORDER BY first LIMIT $4`
	r.many = min(max(1, 4*r.many), r.t.dialect.size(1, chunksMany))
	r.ahead = r.ahead[:0]
	err := r.t.each(q, []any{r.org, r.source, entry, r.many + 1}, func(rows *sql.Rows) error {
		chunk := storedChunk{stored: true}
		err := rows.Scan(&chunk.first, &chunk.claims)
		if n := len(r.ahead); n > 0 {
			r.ahead[n-1].until = chunk.first
		}
		r.ahead = append(r.ahead, chunk)
		return err
	})
	if err != nil || len(r.ahead) == 0 {
		return storedChunk{}, err
	}
	chunk := r.ahead[0]
	if r.ahead = r.ahead[1:]; len(r.ahead) == r.many {
		r.ahead = r.ahead[:r.many-1] // where the last one ends is not known
	}
	return chunk, nil
}

// claim returns the source's claim on an entry; nil where it does not list it.
func (r *chunkReader) claim(entry foyer.EntryID) (*foyer.Claim, error) {
	if r.parsed == nil || entry < r.from || r.until != 0 && entry >= r.until {
		chunk, err := r.seek(entry)
		if err != nil {
			return nil, err
		}
		r.from, r.until, r.parsed = min(entry, chunk.first), chunk.until, map[foyer.EntryID]foyer.Claim{}
		err = decodeClaims(chunk.first, chunk.claims, func(e foyer.EntryID, c *foyer.Claim, _ []byte) error {
			claim := *c
			claim.Sites = slices.Clone(c.Sites)
			r.parsed[e] = claim
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if claim, ok := r.parsed[entry]; ok {
		return &claim, nil
	}
	return nil, nil
}

// heldClaim is a claim in a chunk that is open for writing.
type heldClaim struct {
	entry foyer.EntryID
	claim foyer.Claim
}

// claimWriter writes claims of one source in the order of their entries. It reads each chunk that is touched once and writes it once.
type claimWriter struct {
	t      *txn
	org    foyer.OrgID
	source foyer.SourceID

	reader  chunkReader
	open    bool           // a chunk is open
	stored  bool           // it is in the database, under first
	first   foyer.EntryID  // its key there
	until   foyer.EntryID  // where the next chunk begins; 0: there is none
	held    []heldClaim    // its claims, written and not
	at      int            // held[:at] are below the last entry written
	changed bool           // it differs from the database
	sites   []foyer.SiteID // memory of the claims read
	waiting []any          // rows of claim_chunk that are to be written
}

// put stores a claim, or withdraws it where claim is nil. Entries must come in ascending order.
func (w *claimWriter) put(entry foyer.EntryID, claim *foyer.Claim) error {
	if err := w.seek(entry); err != nil {
		return err
	}
	at, found := w.find(entry)
	w.at = at
	switch {
	case claim == nil && found:
		w.held = slices.Delete(w.held, at, at+1)
	case claim == nil:
		return nil
	case found:
		w.held[at].claim = *claim
	default:
		w.held = slices.Insert(w.held, at, heldClaim{entry, *claim})
	}
	w.changed = true
	if len(w.held) >= 2*maxChunkClaims && w.at >= maxChunkClaims {
		return w.spill()
	}
	return nil
}

// forget clears the hash of a claim, where there is one, so that its next row is looked at whatever it says (R17).
func (w *claimWriter) forget(entry foyer.EntryID) error {
	if err := w.seek(entry); err != nil {
		return err
	}
	at, found := w.find(entry)
	w.at = at
	if found && w.held[at].claim.Hash != (foyer.Hash{}) {
		w.held[at].claim.Hash = foyer.Hash{}
		w.changed = true
	}
	return nil
}

func (w *claimWriter) find(entry foyer.EntryID) (int, bool) {
	if n := len(w.held); n > 0 && w.held[n-1].entry < entry {
		return n, false
	}
	at, found := slices.BinarySearchFunc(w.held[w.at:], entry, func(h heldClaim, e foyer.EntryID) int { return int(h.entry - e) })
	return w.at + at, found
}

// seek opens the chunk that an entry belongs to: the last that begins at or before it, else the first of all.
func (w *claimWriter) seek(entry foyer.EntryID) error {
	if w.open && (w.until == 0 || entry < w.until) {
		return nil
	}
	if err := w.flush(); err != nil {
		return err
	}
	w.reader.t, w.reader.org, w.reader.source = w.t, w.org, w.source
	chunk, err := w.reader.seek(entry)
	if err != nil {
		return err
	}
	w.open, w.stored, w.changed, w.at, w.first, w.until = true, chunk.stored, false, 0, chunk.first, chunk.until
	w.sites = w.sites[:0]
	return decodeClaims(w.first, chunk.claims, func(entry foyer.EntryID, claim *foyer.Claim, _ []byte) error {
		start := len(w.sites)
		w.sites = append(w.sites, claim.Sites...)
		c := *claim
		c.Sites = w.sites[start:len(w.sites):len(w.sites)]
		w.held = append(w.held, heldClaim{entry, c})
		return nil
	})
}

// spill writes the lower claims of an open chunk that has outgrown its size, and keeps the rest open.
func (w *claimWriter) spill() error {
	if err := w.remove(); err != nil {
		return err
	}
	if err := w.insert(w.held[:maxChunkClaims]); err != nil {
		return err
	}
	w.held = slices.Delete(w.held, 0, maxChunkClaims)
	w.at -= maxChunkClaims
	return nil
}

// flush writes the open chunk, in parts of equal size where it has outgrown one, and closes it.
func (w *claimWriter) flush() error {
	if w.open && w.changed {
		if err := w.remove(); err != nil {
			return err
		}
		parts := (len(w.held) + maxChunkClaims - 1) / maxChunkClaims
		for n, rest := parts, w.held; n > 0; n-- {
			size := (len(rest) + n - 1) / n
			if err := w.insert(rest[:size]); err != nil {
				return err
			}
			rest = rest[size:]
		}
	}
	w.open = false
	w.held = w.held[:0]
	return nil
}

// finish writes the open chunk, and what waits.
func (w *claimWriter) finish() error {
	if err := w.flush(); err != nil {
		return err
	}
	return w.send()
}

// remove deletes the open chunk from the database, unless the next insert replaces it under the same key.
func (w *claimWriter) remove() error {
	stored := w.stored
	w.stored = false
	if !stored || len(w.held) > 0 && w.held[0].entry == w.first {
		return nil
	}
	return w.t.exec(`DELETE FROM claim_chunk WHERE org = $1 AND source = $2 AND first = $3`, w.org, w.source, w.first)
}

func (w *claimWriter) insert(claims []heldClaim) error {
	first := claims[0].entry
	var encoded []byte
	before := first
	for i := range claims {
		encoded = appendClaim(encoded, claims[i].entry-before, &claims[i].claim)
		before = claims[i].entry
	}
	w.waiting = append(w.waiting, string(w.org), int64(w.source), int64(first), encoded)
	if len(w.waiting) < 4*w.t.dialect.size(1, chunksMany) {
		return nil
	}
	return w.send()
}

// send writes the chunks that wait. What comes later is about entries above them: nothing asks for them meanwhile.
func (w *claimWriter) send() error {
	if len(w.waiting) == 0 {
		return nil
	}
	text, args := w.t.dialect.rows(nil, w.waiting, 4)
	w.waiting = w.waiting[:0]
	return w.t.exec(`INSERT INTO claim_chunk (org, source, first, claims) `+text+` ON CONFLICT (org, source, first) DO UPDATE SET claims = excluded.claims`, args...)
}
