package foyertest_test

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"foyer"
	"foyer/foyertest"
	"foyer/store"
)

// TestR19_FiftyUploadsAtOnce sends 50 different files at once. The runs say in which order they were applied: the same files one after the other, in that
// order, make the same book in another organization; each was applied once.
func TestR19_FiftyUploadsAtOnce(t *testing.T) {
	f := foyertest.Start(t)
	unguarded(t, f)
	random := rand.New(rand.NewPCG(3, 4))
	files := map[string]string{} // by digest
	for n := range 50 {
		file := randomFile(random, n)
		sum := sha256.Sum256([]byte(file))
		files[string(sum[:])] = file
	}
	var all sync.WaitGroup
	for _, file := range files {
		all.Go(func() {
			if reply, err := f.Script.Upload([]byte(file), nil); err != nil || reply.Status != 200 {
				t.Errorf("%+v, %v", reply, err)
			}
		})
	}
	all.Wait()
	runs, err := f.Store.Runs(t.Context(), f.Operator, f.Org.ID, 0, false)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(runs)
	if len(runs) != len(files) {
		t.Fatalf("%d runs of %d files", len(runs), len(files))
	}
	again := *f
	again.Org = f.NewOrg(t, "Again")
	again.Script = f.NewKey(t, again.Org, store.NewKey{})
	unguarded(t, &again)
	for i, run := range runs {
		file, ok := files[string(run.Digest)]
		if !ok || run.Status != foyer.Applied || run.ID != foyer.RunID(i+1) {
			t.Fatalf("%v is %s, of a file that was sent: %v", run.ID, run.Status, ok)
		}
		delete(files, string(run.Digest)) // once
		again.Upload(t, file)
	}
	book := again.Book(t)
	for e := range maps.Values(f.Book(t)) {
		other := book[e.Values[foyer.Email]]
		if other == nil || other.Values != e.Values || other.Enabled != e.Enabled || other.Reason != e.Reason || !slices.Equal(other.Sites, e.Sites) || other.LastRun != e.LastRun {
			t.Errorf("%+v\none after the other: %+v", e, other)
		}
	}
}

// unguarded lets every file be applied, whomever it moves.
func unguarded(t *testing.T, f *foyertest.Foyer) {
	t.Helper()
	sources, err := f.Store.Sources(t.Context(), f.Operator, f.Org.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, source := range sources {
		if _, err := f.Store.EditSource(t.Context(), f.Operator, f.Org.ID, source.ID, func(s *foyer.Source) { s.Guard.Off = true }); err != nil {
			t.Fatal(err)
		}
	}
}

// randomFile lists at least 96 of 100 people, at random sites.
func randomFile(random *rand.Rand, n int) string {
	var b strings.Builder
	b.WriteString("EMAIL,TITLE,SITE\n")
	left := 4
	for i := range 100 {
		if left > 0 && random.IntN(25) == 0 {
			left--
			continue
		}
		fmt.Fprintf(&b, "p%d@test.com,Title %d,%s\n", i, random.IntN(3), []string{"Toronto", "MTL", ""}[random.IntN(3)])
	}
	fmt.Fprintf(&b, "extra%d@test.com,File %d,\n", random.IntN(3), n)
	return b.String()
}
