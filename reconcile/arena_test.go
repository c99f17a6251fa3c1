package reconcile

import (
	"bytes"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"foyer"
)

// fill adds rows of many sizes to an arena and returns them with where they are.
func fill(t *testing.T, a *arena, count int) (rows []string, refs []rowRef) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	for i := range count {
		size := random.IntN(200)
		switch {
		case i%1000 == 7:
			size = 3 * arenaWindow
		case i%100 == 3:
			size = arenaRow + i%7 - 3
		}
		row := bytes.Repeat([]byte{byte(i), byte(i >> 8)}, size/2+1)
		ref, err := a.add(row)
		if err != nil {
			t.Fatal(err)
		}
		rows, refs = append(rows, string(row)), append(refs, ref)
	}
	if err := a.seal(); err != nil {
		t.Fatal(err)
	}
	return rows, refs
}

func TestArena_GivesTheSameRowsBackInAnyOrder(t *testing.T) {
	a := &arena{dir: t.TempDir(), budget: 2 * arenaPiece}
	defer a.Close()
	rows, refs := fill(t, a, 50_000)
	if a.file == nil || len(a.sealed) < 2 {
		t.Fatalf("%d pieces in memory, file %v: nothing was spilled", len(a.sealed), a.file)
	}
	same := func(i int) {
		t.Helper()
		got, err := a.get(refs[i])
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != rows[i] {
			t.Fatalf("row %d is %d bytes, want %d", i, len(got), len(rows[i]))
		}
	}
	for i := range rows {
		same(i)
	}
	for i := range rows {
		same(len(rows) - 1 - i)
	}
	for i := range len(rows) / 2 {
		same(i)
		same(len(rows)/2 + i)
	}
	for _, i := range rand.Perm(len(rows)) {
		same(i)
	}
}

func TestArena_ReadsRowsInOrderByWindows(t *testing.T) {
	a := &arena{dir: t.TempDir(), budget: 1}
	defer a.Close()
	_, refs := fill(t, a, 50_000)
	for range 2 {
		outside := 0
		for _, ref := range refs {
			if _, err := a.get(ref); err != nil {
				t.Fatal(err)
			}
			if a.misses > 0 {
				outside++
			}
		}
		if outside > 2*arenaMisses {
			t.Errorf("%d of %d rows were read one by one", outside, len(refs))
		}
	}
}

func TestArena_ItsFileHasNoName(t *testing.T) {
	a := &arena{dir: t.TempDir(), budget: 1}
	defer a.Close()
	fill(t, a, 50_000)
	left, err := os.ReadDir(a.dir)
	if err != nil || len(left) > 0 || a.file == nil {
		t.Fatal(left, err, a.file)
	}
	info, err := a.file.Stat()
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
}

func TestArena_ForgetsAll(t *testing.T) {
	a := &arena{dir: t.TempDir(), budget: 1}
	fill(t, a, 50_000)
	if err := a.reset(); err != nil {
		t.Fatal(err)
	}
	rows, refs := fill(t, a, 10)
	if got, err := a.get(refs[9]); err != nil || string(got) != rows[9] {
		t.Error(got, err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}

func TestArena_SaysWhatFailed(t *testing.T) {
	a := &arena{dir: t.TempDir(), budget: 1}
	_, refs := fill(t, a, 50_000)
	last := refs[len(refs)-1]
	if err := a.written(); err != nil {
		t.Fatal(err)
	}
	if err := a.file.Truncate(int64(last&^inFile) + 1); err != nil {
		t.Fatal(err)
	}
	if _, err := a.get(last); foyer.KindOf(err) != foyer.Busy {
		t.Errorf("a row that is cut short: %v", err)
	}
	a.file.Close() // as a disk that is full: nothing can be written any more
	_, err := a.add([]byte(strings.Repeat("x", 2*arenaPiece)))
	if err == nil {
		err = a.seal()
	}
	if err == nil {
		_, err = a.get(inFile) // it was written meanwhile
	}
	if foyer.KindOf(err) != foyer.Busy {
		t.Errorf("a row that cannot be written: %v", err)
	}
}
