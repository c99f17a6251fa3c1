package reconcile

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"time"

	"foyer"
)

// arena keeps the packed rows that are looked at: the first in few pieces of memory, the rest in a file without a name, so that a first load
// needs no more memory than another sync. Rows are asked for in nearly the order in which they were added.
type arena struct {
	dir    string // of the file; empty: the system's folder for temporary files
	budget int    // bytes of rows kept in memory; 0: arenaMemory

	open   []byte     // rows added last
	spare  []byte     // memory of those before them; not to be touched while they are written
	sealed []string   // in memory
	inside int        // bytes in sealed
	file   *os.File   // nil: all is in memory
	size   int64      // of the file, once it is written
	writes chan error // of the part that is written now; nil: there is none

	window string // a part of the file
	start  int64  // where it begins
	misses int    // rows read past the window since it was read
	buffer []byte
}

const (
	arenaMemory = 16 << 20 // bytes of rows that wait in memory
	arenaPiece  = 1 << 20  // bytes of one piece of memory
	arenaWindow = 64 << 10 // bytes read from the file at once, where rows are asked for in order
	arenaRow    = 512      // bytes read for one row, where they are not
	arenaMisses = 64       // rows read so that cost as much as a window
)

// rowRef says where a row is: its piece and place in memory, or its place in the file.
type rowRef uint64

const inFile rowRef = 1 << 63

// add takes a row. It can be read after the next seal.
func (a *arena) add(row []byte) (rowRef, error) {
	if len(a.open) > 0 && len(a.open)+len(row)+binary.MaxVarintLen32 > arenaPiece {
		if err := a.seal(); err != nil {
			return 0, err
		}
	}
	if a.open == nil {
		a.open = make([]byte, 0, arenaPiece)
	}
	ref := rowRef(len(a.sealed))<<32 | rowRef(len(a.open))
	if a.spills() {
		ref = inFile | rowRef(a.size+int64(len(a.open)))
	}
	a.open = binary.AppendUvarint(a.open, uint64(len(row)))
	a.open = append(a.open, row...)
	return ref, nil
}

// spills tells whether the rows added last go into the file.
func (a *arena) spills() bool {
	budget := a.budget
	if budget == 0 {
		budget = arenaMemory
	}
	return a.inside+arenaPiece > budget
}

// seal makes all rows added so far readable.
func (a *arena) seal() error {
	if !a.spills() {
		a.sealed = append(a.sealed, string(a.open))
		a.inside += len(a.open)
		a.open = a.open[:0]
		return nil
	}
	err := a.written()
	if err == nil {
		err = a.openFile()
	}
	if err != nil {
		return spillError(err)
	}
	file, part, done := a.file, a.open, make(chan error, 1)
	go func() { // the system takes as long to write rows as it takes to read them
		_, err := file.Write(part)
		done <- err
	}()
	a.size += int64(len(part))
	a.open, a.spare, a.writes = a.spare[:0], part, done
	return nil
}

// written waits until the file has all that was sealed.
func (a *arena) written() (err error) {
	if a.writes != nil {
		err = <-a.writes
		a.writes = nil
	}
	return err
}

func (a *arena) openFile() error {
	if a.file != nil {
		return nil
	}
	f, err := os.CreateTemp(a.dir, "rows-*")
	if err != nil {
		return err
	}
	a.file = f
	return os.Remove(f.Name())
}

// spillError is what the sender is told where rows cannot be kept.
func spillError(err error) error {
	if err == nil {
		return nil
	}
	return &foyer.Error{Kind: foyer.Busy, Message: "the rows of the delivery could not be stored until they are applied; nothing was changed, try again",
		Err: err, RetryAfter: time.Minute}
}

// get returns a row. It shares its memory with others, which is kept for as long as any of them is used.
func (a *arena) get(ref rowRef) (foyer.Packed, error) {
	if ref&inFile == 0 {
		row, _ := cut(a.sealed[ref>>32][uint32(ref):])
		return row, nil
	}
	if err := a.written(); err != nil {
		return "", spillError(err)
	}
	at := int64(ref &^ inFile)
	if row, ok := a.inWindow(at); ok {
		return row, nil
	}
	length := arenaRow
	end := a.start + int64(len(a.window))
	if a.misses++; a.misses >= arenaMisses || at >= end && at < end+arenaWindow {
		length = arenaWindow
	}
	for {
		text, err := a.read(at, length)
		if err != nil {
			return "", spillError(err)
		}
		row, missing := cut(text)
		if missing == 0 {
			if length >= arenaWindow {
				a.window, a.start, a.misses = text, at, 0
			}
			return row, nil
		}
		if len(text) < length {
			return "", spillError(io.ErrUnexpectedEOF)
		}
		length += missing
	}
}

func (a *arena) inWindow(at int64) (foyer.Packed, bool) {
	if at < a.start || at >= a.start+int64(len(a.window)) {
		return "", false
	}
	row, missing := cut(a.window[at-a.start:])
	return row, missing == 0
}

// read returns up to length bytes of the file; fewer only at its end.
func (a *arena) read(at int64, length int) (string, error) {
	if cap(a.buffer) < length {
		a.buffer = make([]byte, length)
	}
	n, err := a.file.ReadAt(a.buffer[:length], at)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return string(a.buffer[:n]), nil
}

// cut returns the row that text begins with, or how many bytes of it are missing, or may be.
func cut(text string) (row foyer.Packed, missing int) {
	size := 0
	for i := range min(len(text), binary.MaxVarintLen32) {
		size |= int(text[i]&0x7f) << (7 * i)
		if text[i] < 0x80 {
			end := i + 1 + size
			if end > len(text) {
				return "", end - len(text)
			}
			return foyer.Packed(text[i+1 : end]), 0
		}
	}
	return "", binary.MaxVarintLen32
}

// reset forgets all rows.
func (a *arena) reset() error {
	err := a.Close()
	*a = arena{dir: a.dir, budget: a.budget}
	return err
}

// Close gives the space of the file back.
func (a *arena) Close() error {
	if a.file == nil {
		return nil
	}
	a.written() // nothing of it is needed any more
	err := a.file.Close()
	a.file = nil
	return err
}
