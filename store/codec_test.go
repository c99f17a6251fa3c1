package store

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"foyer"
	"foyer/store/storetest"
	"foyer/vault"
)

func openTest(t *testing.T) *Store {
	t.Helper()
	s := openBeside(t, t.TempDir())
	t.Cleanup(func() { s.Close() })
	return s
}

// openBeside opens the database in a folder, as any process would. The caller closes it.
func openBeside(t *testing.T, dir string) *Store {
	t.Helper()
	v, err := vault.Open(vault.Config{Pepper: strings.Repeat("00", vault.PepperSize), AtRest: "1:" + strings.Repeat("00", 32)})
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), Config{Dir: dir, Database: storetest.Database(t, dir), Vault: v})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// drawClaim draws a claim of few kinds.
func drawClaim(t *rapid.T) *foyer.Claim {
	c := &foyer.Claim{Disabled: rapid.Bool().Draw(t, "disabled")}
	if rapid.Bool().Draw(t, "hashed") {
		c.Hash[3] = rapid.Byte().Draw(t, "hash")
	}
	for site := foyer.SiteID(1); site < 300; site *= 7 {
		if rapid.Bool().Draw(t, "site") {
			c.Sites = append(c.Sites, site)
		}
	}
	return c
}

// TestClaimWriter holds the chunks against a map: whatever is put, withdrawn and forgotten, in ascending order within each act.
func TestClaimWriter(t *testing.T) {
	s := openTest(t)
	next := foyer.SourceID(0)
	rapid.Check(t, func(rt *rapid.T) {
		next++
		source, model := next, map[foyer.EntryID]foyer.Claim{}
		for range rapid.IntRange(1, 6).Draw(rt, "acts") {
			span := rapid.SampledFrom([]int{10, 200, 1000}).Draw(rt, "span")
			picks := rapid.SliceOfNDistinct(rapid.IntRange(1, span), 0, min(span, 400), rapid.ID[int]).Draw(rt, "entries")
			slices.Sort(picks)
			what := rapid.IntRange(0, 3).Draw(rt, "what")
			err := s.transact(t.Context(), "o", "test", func(tx *txn) error {
				w := &claimWriter{t: tx, org: "o", source: source}
				for i, pick := range picks {
					if err := putBoth(rt, w, model, foyer.EntryID(pick), what, i); err != nil {
						return err
					}
				}
				return w.finish()
			})
			if err != nil {
				rt.Fatal(err)
			}
			sameClaims(rt, s, source, model)
		}
	})
}

// putBoth writes one claim into the chunks and the model.
func putBoth(t *rapid.T, w *claimWriter, model map[foyer.EntryID]foyer.Claim, entry foyer.EntryID, what, i int) error {
	switch {
	case what == 1 || what == 3 && i%3 == 1:
		delete(model, entry)
		return w.put(entry, nil)
	case what == 2 || what == 3 && i%3 == 2:
		if c, ok := model[entry]; ok {
			c.Hash = foyer.Hash{}
			model[entry] = c
		}
		return w.forget(entry)
	}
	c := drawClaim(t)
	model[entry] = *c
	return w.put(entry, c)
}

func sameClaims(t *rapid.T, s *Store, source foyer.SourceID, model map[foyer.EntryID]foyer.Claim) {
	err := s.snapshot(t.Context(), "o", "test", func(tx *txn) error {
		claims, err := loadClaims(tx, "o", source)
		if err != nil {
			return err
		}
		if claims.Len() != len(model) {
			t.Fatalf("%d claims are stored, want %d", claims.Len(), len(model))
		}
		b := &Book{Org: foyer.Org{ID: "o"}, t: tx, chunks: map[foyer.SourceID]*chunkReader{}}
		for i := range claims.Len() {
			got, want := claims.Claim(i), model[claims.Entry(i)]
			one, err := b.Claim(source, claims.Entry(i))
			if err != nil || one == nil {
				t.Fatalf("the claim on %v alone is %v, %v", claims.Entry(i), one, err)
			}
			if !got.Same(&want) || got.Hash != want.Hash || !one.Same(&want) || one.Hash != want.Hash {
				t.Fatalf("the claim on %v is %+v and %+v, want %+v", claims.Entry(i), got, one, want)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestClaimChunksStaySmall(t *testing.T) {
	s := openTest(t)
	err := s.transact(t.Context(), "o", "test", func(tx *txn) error {
		w := &claimWriter{t: tx, org: "o", source: 1}
		for i := range foyer.EntryID(10_000) {
			if err := w.put(i+1, &foyer.Claim{Hash: foyer.Hash{1}, Sites: []foyer.SiteID{3}}); err != nil {
				return err
			}
		}
		return w.finish()
	})
	if err != nil {
		t.Fatal(err)
	}
	var chunks, largest int
	err = s.snapshot(t.Context(), "o", "test", func(tx *txn) error {
		return tx.get(`SELECT COUNT(*), MAX(LENGTH(claims)) FROM claim_chunk`, nil, &chunks, &largest)
	})
	if err != nil {
		t.Fatal(err)
	}
	if chunks > 10_000/maxChunkClaims+2 || largest > 2000 {
		t.Errorf("10,000 claims take %d chunks of up to %d bytes", chunks, largest)
	}
}

// text draws values with everything in them that the encodings use.
var text = rapid.SampledFrom([]string{"", "a", "Ann Lee", `"quoted"`, "a,b;c%25:", "é\n王", "%2C", "\u2028<&>", "\\"})

func TestOriginsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var origins, back [foyer.NumFields]foyer.Origin
		for f := range origins {
			if run := rapid.Int64Range(0, 3).Draw(t, "run"); run > 0 {
				origins[f] = foyer.Origin{
					Owner: foyer.SourceID(rapid.Int64Range(0, 2).Draw(t, "owner")), Run: foyer.RunID(run),
					Guess: rapid.Bool().Draw(t, "guess"), Before: text.Draw(t, "before"),
				}
			}
		}
		stored := string(appendOrigins(nil, &origins))
		if err := parseOrigins(stored, &back); err != nil || back != origins {
			t.Fatalf("%+v is stored as %q and read as %+v, %v", origins, stored, back, err)
		}
	})
}

// drawChange draws a change with any of its parts.
func drawChange(t *rapid.T) *foyer.Change {
	c := &foyer.Change{Entry: foyer.EntryID(rapid.Int64Range(1, 1000).Draw(t, "entry")), Added: rapid.Bool().Draw(t, "added")}
	for f := foyer.Email; f < foyer.NumFields; f++ {
		if !rapid.Bool().Draw(t, "field") {
			continue
		}
		change := foyer.FieldChange{Field: f, After: text.Draw(t, "after"), Owner: 1}
		if c.Added && change.After == "" {
			change.After = "x" // an entry is not added with empty values
		}
		if !c.Added {
			change.Before = text.Draw(t, "before")
			change.From = foyer.Origin{Owner: foyer.SourceID(rapid.Int64Range(0, 2).Draw(t, "owner")), Run: 4, Guess: rapid.Bool().Draw(t, "guess"), Before: text.Draw(t, "earlier")}
		}
		c.Fields = append(c.Fields, change)
	}
	if c.Added {
		c.Status = &[2]foyer.Status{{}, {Enabled: rapid.Bool().Draw(t, "enabled")}}
		if !c.Status[1].Enabled {
			c.Status[1].Reason = foyer.BySource
		}
	} else {
		c.Prev = foyer.RunID(rapid.Int64Range(0, 9).Draw(t, "prev"))
	}
	if rapid.Bool().Draw(t, "sites") {
		c.Sites = &[2][]foyer.SiteID{{}, {1, 2}}
	}
	if rapid.Bool().Draw(t, "flags") {
		c.Flags = []foyer.FlagChange{{Name: "permanent", Before: "false", After: "true"}, {Name: "notes", Before: text.Draw(t, "was"), After: "b"}}
	}
	if rapid.Bool().Draw(t, "claims") {
		c.Claims = []foyer.ClaimChange{{Source: 1, After: &foyer.Claim{Sites: []foyer.SiteID{2}}}, {Source: 2, Before: &foyer.Claim{Disabled: true, Sites: []foyer.SiteID{}}}}
	}
	return c
}

func TestR26_ChangesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawChange(t)
		line := appendChange(nil, c)
		back, err := parseChange(line)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if !reflect.DeepEqual(normal(&back), normal(c)) {
			t.Fatalf("%+v is stored as %s and read as %+v", c, line, back)
		}
	})
}

// normal makes empty lists equal to none.
func normal(c *foyer.Change) foyer.Change {
	n := *c
	n.Claims = nil
	for _, claim := range c.Claims {
		for _, side := range []**foyer.Claim{&claim.Before, &claim.After} {
			if *side != nil && len((*side).Sites) == 0 {
				copied := **side
				copied.Sites = nil
				*side = &copied
			}
		}
		n.Claims = append(n.Claims, claim)
	}
	return n
}

// TestNewAddresses_ComeBackInTheOrderOfTheIndex holds them against a sorted map: keys that begin alike, that are longer than a piece, and none.
func TestNewAddresses_ComeBackInTheOrderOfTheIndex(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		drawn := rapid.MapOf(rapid.StringMatching(`(same-beginning\.)?[a-z0-9ü.]{0,12}@x\.ca`), rapid.Int64Range(1, 1<<40)).Draw(t, "addresses")
		drawn[strings.Repeat("z", 5000)] = 7
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		for range rapid.IntRange(0, 2000).Draw(t, "many") { // so many of them begin alike that they are sorted by their bytes
			drawn[fmt.Sprintf("%s%d@x.ca", []string{"a", "ann.", "same-beginning.and-more."}[random.IntN(3)], random.IntN(3000))] = 9
		}
		n := &newAddresses{run: rapid.OneOf(rapid.IntRange(1, 5), rapid.Just(addressRun)).Draw(t, "run")}
		for key, entry := range drawn {
			n.add(key, foyer.EntryID(entry))
		}
		var keys []string
		for a := range n.sorted() {
			key, entry := n.get(a)
			keys = append(keys, string(key))
			if drawn[string(key)] != int64(entry) {
				t.Fatalf("%s means %d, want %d", key, entry, drawn[string(key)])
			}
		}
		if want := slices.Sorted(maps.Keys(drawn)); !slices.Equal(keys, want) {
			t.Fatalf("%q, want %q", keys, want)
		}
	})
}

// TestRowTexts_StoreWhatValuesStore holds that rows of which columns are the same in all are stored as if each value had been handed over.
func TestRowTexts_StoreWhatValuesStore(t *testing.T) {
	storetest.SQLiteOnly(t)
	s := openTest(t)
	if _, err := s.write.Exec(`CREATE TABLE few (a, b, c); CREATE TABLE all_of_them (a, b, c)`); err != nil {
		t.Fatal(err)
	}
	var texts rowTexts
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.IntRange(1, 30).Draw(t, "rows")
		kinds := rapid.IntRange(0, 7).Draw(t, "columns that differ")
		var args []any
		for row := range rows {
			for column, value := range []any{"text", int64(7), ""} {
				if kinds>>column&1 != 0 && rapid.Bool().Draw(t, "differs") {
					value = int64(row)
				}
				args = append(args, value)
			}
		}
		if _, err := s.write.Exec(`DELETE FROM few; DELETE FROM all_of_them`); err != nil {
			t.Fatal(err)
		}
		if _, err := s.write.Exec(`INSERT INTO all_of_them VALUES `+values(rows, 3), args...); err != nil {
			t.Fatal(err)
		}
		full := len(texts.texts) == maxShapes // others are written value by value then
		text, few := texts.of(slices.Clone(args), 3)
		if kinds == 0 && !full && len(few) != 3 {
			t.Fatalf("%d parameters for rows that are all the same", len(few))
		}
		if _, err := s.write.Exec(`INSERT INTO few VALUES `+text, few...); err != nil {
			t.Fatal(err)
		}
		var differ, count int
		err := s.write.QueryRow(`SELECT count(*), sum(f.a IS NOT l.a OR f.b IS NOT l.b OR f.c IS NOT l.c OR typeof(f.a) <> typeof(l.a))
			FROM few f JOIN all_of_them l ON f.rowid = l.rowid`).Scan(&count, &differ)
		if err != nil || count != rows || differ != 0 {
			t.Fatalf("%d rows, %d of them differ, want %d and none: %v", count, differ, rows, err)
		}
	})
}

// TestR17_ForgettingKeepsWhatIsStored holds that a claim which is to match no row is still told as it is stored: whoever writes it compares with that.
func TestR17_ForgettingKeepsWhatIsStored(t *testing.T) {
	s := openTest(t)
	stored := foyer.Claim{Hash: foyer.Hash{7}, Sites: []foyer.SiteID{3}}
	err := s.transact(t.Context(), "o", "test", func(tx *txn) error {
		w := &claimWriter{t: tx, org: "o", source: 1}
		return errors.Join(w.put(5, &stored), w.finish())
	})
	if err != nil {
		t.Fatal(err)
	}
	err = s.snapshot(t.Context(), "o", "test", func(tx *txn) error {
		b := &Book{Org: foyer.Org{ID: "o"}, t: tx, claims: map[foyer.SourceID]*Claims{}}
		claims, err := b.Claims(1)
		if err != nil {
			return err
		}
		claims.Forget(5)
		claims.Forget(5)
		if claims.Hash(0) != (foyer.Hash{}) {
			t.Errorf("a row may match it: %v", claims.Hash(0))
		}
		if got, err := b.Claim(1, 5); err != nil || got == nil || got.Hash != stored.Hash || !got.Same(&stored) {
			t.Errorf("the claim is %+v, %v; want %+v", got, err, stored)
		}
		if got, err := b.Claim(1, 6); err != nil || got != nil {
			t.Errorf("there is a claim %+v, %v", got, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
