package reconcile

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"

	"foyer"
	"foyer/store"
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
	for after, ask := range map[string]func(*arena) error{
		"get":  func(a *arena) error { _, err := a.get(inFile); return err },
		"seal": func(a *arena) error { return a.seal() },
	} {
		a := onFullDisk(t)
		_, err := a.add([]byte(strings.Repeat("x", 2*arenaPiece)))
		if err == nil {
			err = a.seal()
		}
		if err == nil { // it is written meanwhile
			err = ask(a)
		}
		if foyer.KindOf(err) != foyer.Busy || !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s after a row that cannot be written: %v", after, err)
		}
	}
}

// onFullDisk returns an arena of which nothing can be written.
func onFullDisk(t *testing.T) *arena {
	file, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return &arena{budget: 1, file: file}
}

// many is a delivery of new people.
type many int

func (m many) Rows(yield func(*foyer.Row) error) ([]foyer.Problem, error) {
	for i := range int(m) {
		row := foyer.Row{Line: i + 2}
		row.Values[foyer.Email] = strings.Repeat("x", i%50) + "@test.com"
		if err := yield(&row); err != nil {
			return nil, err
		}
	}
	return nil, foyer.Errorf(foyer.Invalid, "the file ends badly")
}

// TestReading_WhatFailsBesideItIsNotLost holds that a delivery fails where its rows cannot be kept or compared: who is missing would be disabled.
func TestReading_WhatFailsBesideItIsNotLost(t *testing.T) {
	r := newReading(&store.Claims{}, []byte("key"), 1, false)
	r.rows = onFullDisk(t)
	if _, err := r.all(many(200_000)); foyer.KindOf(err) != foyer.Busy || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("on a full disk: %v", err)
	}
	if r.counts.Rows == 200_000 {
		t.Error("it was read to its end for nothing")
	}
	r = newReading(&store.Claims{}, []byte("key"), 1, false) // without a place for rows
	if _, err := r.all(many(10)); err == nil || !strings.Contains(err.Error(), "panic while comparing rows") {
		t.Errorf("a panic: %v", err)
	}
}
