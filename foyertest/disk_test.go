package foyertest_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// fault is what a disk does wrong.
type fault struct {
	code  int32 // what SQLite is told: sqlite3.SQLITE_FULL or sqlite3.SQLITE_IOERR
	stays bool  // every call from that one on fails, not that one alone
	loses bool  // what waited for a sync that fails is lost, as Linux may lose it: pages that could not be written count as clean
}

// faultyDisk stands between SQLite and the disk: it counts the calls that change files, fails the one that it is told to, and keeps what a restart would find. It is real SQLite on real files; it
// replaces three of the functions that SQLite calls (https://www.sqlite.org/vfs.html), in this process only.
type faultyDisk struct {
	mu     sync.Mutex
	vfs    sqlite3.Tsqlite3_vfs // as it was
	under  uintptr              // where that is
	opened map[uintptr]*content // by SQLite's file
	files  map[string]*content  // by path
	fault  fault
	count  int // calls since the fault was set
	failAt int // the call that fails; 0: none
	failed int // calls that failed
}

// content is what is in a file.
type content struct {
	methods uintptr // of the file, as they were
	now     []byte  // as every process sees it
	durable []byte  // as it is after the power was cut, at the worst
	waiting []change
}

// change is a write that waits for a sync; of nil bytes, the file is cut there.
type change struct {
	at   int64
	data []byte
}

func (c change) apply(to []byte) []byte {
	if c.data == nil {
		return append([]byte{}, to[:min(c.at, int64(len(to)))]...)
	}
	if end := c.at + int64(len(c.data)); end > int64(len(to)) {
		to = append(to, make([]byte, end-int64(len(to)))...)
	}
	copy(to[c.at:], c.data)
	return to
}

// imagePrefix begins the names of the folders in which restarts are looked at: they are on a disk that works.
const imagePrefix = "image-"

// theDisk is the one that SQLite's functions reach; they are told of files only.
var theDisk *faultyDisk

// startDisk puts a faulty disk under the databases that are opened until the test ends.
func startDisk(t *testing.T) *faultyDisk {
	t.Helper()
	tls := libc.NewTLS()
	d := &faultyDisk{opened: map[uintptr]*content{}, files: map[string]*content{}}
	d.under = sqlite3.Xsqlite3_vfs_find(tls, 0)
	d.vfs = *at[sqlite3.Tsqlite3_vfs](d.under)
	mine := libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(d.vfs)))
	name, err := libc.CString("faulty")
	if err != nil || mine == 0 {
		t.Fatal("no memory")
	}
	over := at[sqlite3.Tsqlite3_vfs](mine)
	*over = d.vfs
	over.FzName, over.FpNext, over.FxOpen, over.FxDelete = name, 0, pointer(openFile), pointer(deleteFile)
	theDisk = d
	if code := sqlite3.Xsqlite3_vfs_register(tls, mine, 1); code != 0 {
		t.Fatalf("SQLite says %d", code)
	}
	t.Cleanup(func() { // those that are still open use it to their end
		sqlite3.Xsqlite3_vfs_register(tls, d.under, 1)
		tls.Close()
	})
	return d
}

// at is memory of SQLite's, which is not Go's.
func at[T any](address uintptr) *T { return *(**T)(unsafe.Pointer(&address)) }

// pointer is a Go function as SQLite calls it; function is one of SQLite's as Go calls it.
func pointer[F any](fn F) uintptr { return *(*uintptr)(unsafe.Pointer(&fn)) }

func function[F any](address uintptr) F { return *(*F)(unsafe.Pointer(&struct{ uintptr }{address})) }

type (
	opener  = func(tls *libc.TLS, vfs, name, file uintptr, flags int32, out uintptr) int32
	deleter = func(tls *libc.TLS, vfs, name uintptr, sync int32) int32
	writer  = func(tls *libc.TLS, file, data uintptr, length int32, offset int64) int32
	cutter  = func(tls *libc.TLS, file uintptr, size int64) int32
	syncer  = func(tls *libc.TLS, file uintptr, flags int32) int32
)

func openFile(tls *libc.TLS, _, name, file uintptr, flags int32, out uintptr) int32 {
	d := theDisk
	d.mu.Lock()
	defer d.mu.Unlock()
	path := ""
	if name != 0 {
		path = libc.GoString(name)
	}
	found, err := os.ReadFile(path) // before it is opened: closing it would give SQLite's locks back
	code := openerOf(d)(tls, d.under, name, file, flags, out)
	if code != 0 || path == "" || strings.Contains(path, imagePrefix) {
		return code
	}
	c := d.files[path]
	if c == nil {
		c = &content{}
		if err == nil {
			c.now, c.durable = found, bytes.Clone(found)
		}
		d.files[path] = c
	}
	f := at[sqlite3.Tsqlite3_file](file)
	c.methods = f.FpMethods
	mine := libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(sqlite3.Tsqlite3_io_methods{})))
	m := at[sqlite3.Tsqlite3_io_methods](mine)
	*m = *at[sqlite3.Tsqlite3_io_methods](f.FpMethods)
	m.FxWrite, m.FxTruncate, m.FxSync = pointer(writeFile), pointer(cutFile), pointer(syncFile)
	f.FpMethods, d.opened[file] = mine, c
	return code
}

func openerOf(d *faultyDisk) opener { return function[opener](d.vfs.FxOpen) }

func deleteFile(tls *libc.TLS, _, name uintptr, sync int32) int32 {
	d := theDisk
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.files, libc.GoString(name))
	return function[deleter](d.vfs.FxDelete)(tls, d.under, name, sync)
}

// fails counts a call, and tells whether it is to fail.
func (d *faultyDisk) fails() bool {
	d.count++
	fails := d.failAt > 0 && (d.count == d.failAt || d.fault.stays && d.count > d.failAt)
	if fails {
		d.failed++
	}
	return fails
}

func methodsOf(c *content) *sqlite3.Tsqlite3_io_methods {
	return at[sqlite3.Tsqlite3_io_methods](c.methods)
}

// writeFile fails after half of what is to be written.
func writeFile(tls *libc.TLS, file, data uintptr, length int32, offset int64) int32 {
	d := theDisk
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.opened[file]
	fails := d.fails()
	if fails {
		length /= 2
	}
	write := change{offset, bytes.Clone(unsafe.Slice(at[byte](data), length))}
	if length > 0 {
		if code := function[writer](methodsOf(c).FxWrite)(tls, file, data, length, offset); code != 0 {
			return code
		}
		c.now, c.waiting = write.apply(c.now), append(c.waiting, write)
	}
	if !fails {
		return 0
	}
	if d.fault.code == sqlite3.SQLITE_IOERR {
		return sqlite3.SQLITE_IOERR_WRITE
	}
	return d.fault.code
}

func cutFile(tls *libc.TLS, file uintptr, size int64) int32 {
	d := theDisk
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.opened[file]
	if d.fails() {
		return sqlite3.SQLITE_IOERR_TRUNCATE
	}
	code := function[cutter](methodsOf(c).FxTruncate)(tls, file, size)
	if code == 0 {
		cut := change{at: size}
		c.now, c.waiting = cut.apply(c.now), append(c.waiting, cut)
	}
	return code
}

func syncFile(tls *libc.TLS, file uintptr, flags int32) int32 {
	d := theDisk
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.opened[file]
	if d.fails() {
		if d.fault.loses {
			c.waiting = nil
		}
		return sqlite3.SQLITE_IOERR_FSYNC
	}
	code := function[syncer](methodsOf(c).FxSync)(tls, file, flags)
	if code == 0 {
		for _, w := range c.waiting {
			c.durable = w.apply(c.durable)
		}
		c.waiting = nil
	}
	return code
}

// set makes the nth call from now on fail.
func (d *faultyDisk) set(n int, f fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault, d.count, d.failAt, d.failed = f, 0, n, 0
}

// mend ends the fault and returns how many calls failed.
func (d *faultyDisk) mend() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failAt = 0
	return d.failed
}

// restarts are the ways in which a machine stops: what of the writes that waited for a sync is there after it.
var restarts = map[string]func(c *content, random *rand.Rand) []byte{
	"killed":   func(c *content, _ *rand.Rand) []byte { return bytes.Clone(c.now) }, // the machine goes on, so all of them
	"no power": func(c *content, _ *rand.Rand) []byte { return bytes.Clone(c.durable) },
	"some of it": func(c *content, random *rand.Rand) []byte {
		file := bytes.Clone(c.durable)
		for _, w := range c.waiting {
			switch random.IntN(3) {
			case 0:
				file = w.apply(file)
			case 1:
				if len(w.data) > 1 {
					file = change{w.at, w.data[:len(w.data)/2]}.apply(file)
				}
			}
		}
		return file
	},
}

// after writes what a restart would find of a folder's database into another folder.
func (d *faultyDisk) after(t *testing.T, restart, from, to string, random *rand.Rand) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for path, c := range d.files {
		name, mine := strings.CutPrefix(path, filepath.Join(from, "foyer.db"))
		if !mine {
			continue
		}
		if err := os.WriteFile(filepath.Join(to, "foyer.db"+name), restarts[restart](c, random), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
