package reconcile

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"

	"foyer"
	"foyer/match"
	"foyer/store"
)

// reading is a delivery held against the claims of its source: each claim whose row is unchanged is seen, the other rows are pending.
type reading struct {
	claims   *store.Claims
	lines    []int32 // of each claim the line of the row that it was seen in; 0: not seen
	index    hashIndex
	next     int // the claim expected next: files keep their order
	pending  []pendingRow
	rows     *arena
	bad      []badRow
	counts   foyer.Counts
	problems problems
	hashed   []byte // the hash's key and the settings' version, and room for a row behind them
	prefix   int
	ahead    *ahead // nil: nothing is read
	noSkip   bool
	offices  *siteNames // nil: offices say nothing
	office   string     // the first that is no site
	hasIDs   bool       // some row has an external id
}

// pendingRow is a row that is looked at, in few bytes: on a first load there are as many as rows.
type pendingRow struct {
	row    rowRef
	line   int32
	noHash bool // its hash must not be kept: it is to be looked at again next time
}

// badRow is what a row with an error says about whom it names (R15).
type badRow struct {
	emails     []string
	externalID string
	name       string
}

// newReading prepares to read a delivery. key and settings go into every row's hash: a change of settings makes every row a new one (R17).
func newReading(claims *store.Claims, key []byte, settings int64, noSkip bool) *reading {
	r := &reading{claims: claims, lines: make([]int32, claims.Len()), noSkip: noSkip}
	r.hashed = binary.BigEndian.AppendUint64(slices.Clone(key), uint64(settings))
	r.prefix = len(r.hashed)
	return r
}

// all reads a delivery. One goroutine reads its rows, another holds them against the claims: the one takes about as long as the other.
func (r *reading) all(input Input) (warnings []foyer.Problem, err error) {
	r.ahead = newAhead(r.compare)
	defer func() {
		if failed := r.ahead.end(); failed != nil {
			err = failed
		}
		r.ahead = nil
	}()
	return input.Rows(r.read)
}

// read takes one row.
func (r *reading) read(row *foyer.Row) error {
	if r.ahead.failed.Load() {
		return errStopped
	}
	r.counts.Rows++
	r.problems.add(row.Problems...)
	if len(row.Mentions) > 0 && !row.Bad {
		r.checkEmail(row)
	}
	switch {
	case row.Bad:
		r.addBad(row)
		return nil
	case row.Values[foyer.Email] == "":
		r.counts.Skipped++
		return nil
	}
	r.checkOffice(row)
	r.hasIDs = r.hasIDs || row.ExternalID != ""
	r.ahead.put(&row.Record, r.hashed[:r.prefix], aheadRow{line: int32(row.Line), noHash: len(row.Problems) > 0 || r.noSkip})
	return nil
}

// compare holds a row, which stands behind the prefix of its hash, against the claims.
func (r *reading) compare(hashed []byte, row aheadRow) error {
	hash := foyer.Hash{}
	if !row.noHash {
		hash = sumOf(hashed)
	}
	if r.seen(hash, row.line) {
		return nil
	}
	return r.keep(hashed[r.prefix:], row)
}

// keep makes a packed row a pending one.
func (r *reading) keep(packed []byte, row aheadRow) error {
	ref, err := r.rows.add(packed)
	r.pending = append(r.pending, pendingRow{ref, row.line, row.noHash})
	return err
}

// row returns a pending row: what it says, and its hash; zero where that must not be kept.
func (r *reading) row(i int32) (foyer.Record, foyer.Hash, error) {
	packed, err := r.rows.get(r.pending[i].row)
	if err != nil {
		return foyer.Record{}, foyer.Hash{}, err
	}
	if r.pending[i].noHash {
		return packed.Unpack(), foyer.Hash{}, nil
	}
	r.hashed = append(r.hashed[:r.prefix], packed...)
	return packed.Unpack(), sumOf(r.hashed), nil
}

// key returns the key of the email of a pending row, which was found to be one.
func (r *reading) key(i int32) (string, error) {
	packed, err := r.rows.get(r.pending[i].row)
	if err != nil {
		return "", err
	}
	key, err := match.Email(packed.Unpack().Values[foyer.Email])
	return string(key), err
}

// checkOffice notes the first office that is no site: it says nothing, with one warning each time (R14).
func (r *reading) checkOffice(row *foyer.Row) {
	if r.offices == nil || r.office != "" || row.Office == "" || row.Site != "" {
		return
	}
	if _, err := r.offices.find(row.Office); err != nil {
		r.office = strings.Clone(row.Office)
	}
}

// checkEmail makes a row bad at once where its email cannot be read but other cells hold one: those may say who it is (R15).
func (r *reading) checkEmail(row *foyer.Row) {
	email := row.Values[foyer.Email]
	if _, err := match.Email(email); err != nil {
		r.problems.add(foyer.Problem{Line: row.Line, Column: foyer.Email.Label(), Value: email, Message: err.Error(), Error: true})
		row.Bad = true
	}
}

func sumOf(hashed []byte) foyer.Hash {
	sum := sha256.Sum256(hashed)
	return foyer.Hash(sum[:len(foyer.Hash{})])
}

// seen marks the claim that was last applied from such a row, where there is one that was not seen yet.
func (r *reading) seen(hash foyer.Hash, line int32) bool {
	if hash == (foyer.Hash{}) {
		return false
	}
	at := r.next
	if at >= len(r.lines) || r.claims.Hash(at) != hash {
		if r.index.slots == nil {
			r.index = newHashIndex(r.claims)
		}
		var ok bool
		if at, ok = r.index.find(r.claims, hash); !ok {
			return false
		}
	}
	if r.lines[at] != 0 {
		return false // the same row twice: it is looked at, and found to be so
	}
	r.lines[at] = line
	r.next = at + 1
	return true
}

func (r *reading) addBad(row *foyer.Row) {
	name := foyer.FullName(row.Values[foyer.DisplayName], row.Values[foyer.FirstName], row.Values[foyer.LastName])
	b := badRow{name: strings.Clone(name), externalID: strings.Clone(row.ExternalID)} // the row is reused
	for _, email := range append([]string{row.Values[foyer.Email]}, row.Mentions...) {
		if email != "" {
			b.emails = append(b.emails, strings.Clone(email))
		}
	}
	r.bad = append(r.bad, b)
}

// hashIndex finds a claim by its hash: an open-addressing table of claim numbers, four bytes a slot.
type hashIndex struct {
	slots []int32 // claim + 1; 0: free
	mask  uint64
}

func newHashIndex(claims *store.Claims) hashIndex {
	size := 16
	for size < 2*claims.Len() {
		size *= 2
	}
	x := hashIndex{slots: make([]int32, size), mask: uint64(size - 1)}
	for i := range claims.Len() {
		hash := claims.Hash(i)
		if hash == (foyer.Hash{}) {
			continue
		}
		at := binary.LittleEndian.Uint64(hash[:]) & x.mask
		for x.slots[at] != 0 {
			at = (at + 1) & x.mask
		}
		x.slots[at] = int32(i + 1)
	}
	return x
}

func (x hashIndex) find(claims *store.Claims, hash foyer.Hash) (int, bool) {
	for at := binary.LittleEndian.Uint64(hash[:]) & x.mask; x.slots[at] != 0; at = (at + 1) & x.mask {
		if i := int(x.slots[at] - 1); claims.Hash(i) == hash {
			return i, true
		}
	}
	return 0, false
}

// problems collects what was wrong with rows: all are counted, the first are kept, errors before warnings.
type problems struct {
	errors, warnings         []foyer.Problem
	countErrors, countWarned int
}

func (p *problems) add(found ...foyer.Problem) {
	for _, problem := range found {
		kept, count := &p.warnings, &p.countWarned
		if problem.Error {
			kept, count = &p.errors, &p.countErrors
		}
		*count++
		if len(*kept) < foyer.MaxProblems {
			problem.Value, problem.Column = strings.Clone(problem.Value), strings.Clone(problem.Column) // the row is reused
			*kept = append(*kept, problem)
		}
	}
}

// list returns the problems kept, by line.
func (p *problems) list() []foyer.Problem {
	all := slices.Concat(p.errors, p.warnings)
	all = all[:min(len(all), foyer.MaxProblems)]
	slices.SortStableFunc(all, func(a, b foyer.Problem) int { return a.Line - b.Line })
	return all
}
