//go:build linux

package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	_ "modernc.org/sqlite"
)

// must runs a command line of foyer's that works.
func must(t *testing.T, args ...string) string {
	t.Helper()
	var out strings.Builder
	if code := run(args, &out, os.Stderr); code != 0 {
		t.Fatalf("foyer %s exits with %d", strings.Join(args, " "), code)
	}
	return out.String()
}

// smallDisk mounts a disk of so many bytes that is gone with the test, and returns its folder.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	mount(t, dir, fmt.Sprintf("size=%d,mode=0700", size))
	return dir
}

func mount(t *testing.T, dir, options string) {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Fatalf("a small tmpfs cannot be mounted: %v; run this as root, or under: unshare -rm", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// fill fills a disk but for so many bytes, and returns what makes room again.
func fill(t *testing.T, dir string, but int64) (empty func()) {
	t.Helper()
	var disk syscall.Statfs_t
	check(t, syscall.Statfs(dir, &disk))
	name := filepath.Join(dir, "filler")
	f, err := os.Create(name)
	check(t, err)
	if size := int64(disk.Bavail)*disk.Bsize - but; size > 0 {
		check(t, syscall.Fallocate(int(f.Fd()), 0, 0, size))
	}
	check(t, f.Close())
	return func() { check(t, os.Remove(name)) }
}

// twoStates makes a folder whose database has the organization old, and a backup that has new.
func twoStates(t *testing.T) (data, backup string) {
	t.Helper()
	dir := t.TempDir()
	data, backup = filepath.Join(dir, "data"), filepath.Join(dir, "backup.db")
	must(t, "org", "create", "New", "--data", data)
	must(t, "backup", backup, "--data", data)
	for _, name := range []string{"foyer.db", "foyer.db-wal"} {
		if err := os.Remove(filepath.Join(data, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	must(t, "org", "create", "Old", "--data", data)
	return data, backup
}

// copyFolder copies a data folder to another place.
func copyFolder(t *testing.T, from, to string) {
	t.Helper()
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// orgsIn returns the organizations of a database, after it was read to its end.
func orgsIn(t *testing.T, path string) string {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	check(t, err)
	defer db.Close()
	var whole, slugs string
	check(t, db.QueryRow(`PRAGMA integrity_check`).Scan(&whole))
	check(t, db.QueryRow(`SELECT group_concat(slug) FROM org`).Scan(&slugs))
	if whole != "ok" {
		t.Errorf("%s: %s", path, whole)
	}
	return slugs
}

// left returns the files of a folder by their names, and hashes of what is in them; those of keys and the lock, which is empty, aside.
func left(t *testing.T, dir string) string {
	t.Helper()
	files, err := os.ReadDir(dir)
	check(t, err)
	var out strings.Builder
	for _, f := range files {
		if text, err := os.ReadFile(filepath.Join(dir, f.Name())); err == nil && f.Name() != "lock" && f.Name() != "filler" {
			fmt.Fprintf(&out, "%s %x\n", f.Name(), sha256.Sum256(text))
		} else if f.IsDir() && f.Name() != "keys" {
			fmt.Fprintln(&out, f.Name())
		}
	}
	return out.String()
}

// TestRestore_KilledAtEachStep kills a restore as it begins each of the calls that change files. There is one database or the other in the place each time, whole; the old one is not lost; and the
// restore goes through when it is run again, and leaves nothing of the first behind.
func TestRestore_KilledAtEachStep(t *testing.T) {
	data, backup := twoStates(t)
	kills, replaced := 0, 0
	for call, most := range map[string]int{"linkat": 2, "renameat": 2, "unlinkat": 6, "fsync": 12, "fdatasync": 8, "pwrite64": 60, "write": 20, "ftruncate": 4} {
		for n := 1; n <= most; n += 1 + n/6 {
			dir := filepath.Join(t.TempDir(), "data")
			copyFolder(t, data, dir)
			err := restoreUnder(t, fmt.Sprintf("inject=%s:signal=SIGKILL:when=%d", call, n), dir, backup)
			if err != nil {
				kills++
			}
			aside, _ := filepath.Glob(filepath.Join(dir, "foyer.db.before-*"))
			switch is := orgsIn(t, filepath.Join(dir, "foyer.db")); {
			case is == "old" && err != nil:
			case is == "new" && len(aside) == 1 && orgsIn(t, aside[0]) == "old":
				replaced++
			default:
				t.Errorf("killed at %s %d (%v) there is %q, and aside %q", call, n, err, is, aside)
			}
			must(t, "restore", backup, "--replace", "--data", dir)
			if staged, _ := filepath.Glob(filepath.Join(dir, "restore-*")); len(staged) > 0 || orgsIn(t, filepath.Join(dir, "foyer.db")) != "new" {
				t.Errorf("after %s %d and again: left is %v", call, n, staged)
			}
		}
	}
	t.Logf("%d were killed; in %d cases the backup was in its place", kills, replaced)
	if kills < 20 || replaced == 0 {
		t.Error("too few were killed, or none came to its end: the test shows nothing")
	}
}

// restoreUnder restores under strace, which does that to it; an error where it was killed.
func restoreUnder(t *testing.T, inject, dir, backup string) error {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Fatal("strace is missing: apt-get install strace")
	}
	name, err := exec.LookPath("foyer") // built by TestMain
	check(t, err)
	cmd := exec.CommandContext(context.Background(), strace, "-f", "-qq", "-o", "/dev/null", "-e", inject, name, "restore", backup, "--replace", "--data", dir)
	out, err := cmd.CombinedOutput()
	if err != nil && len(out) > 0 {
		t.Fatalf("%s: it says %s", inject, out)
	}
	return err
}

// TestRestore_DiskFull holds that a restore for which there is no room changes nothing and leaves nothing, however far it came, and goes through once there is room.
func TestRestore_DiskFull(t *testing.T) {
	data, backup := twoStates(t)
	disk := smallDisk(t, 4<<20)
	dir := filepath.Join(disk, "data")
	copyFolder(t, data, dir)
	before, failures := left(t, dir), 0
	for but := int64(0); ; but += 32 << 10 {
		empty := fill(t, disk, but)
		code := run([]string{"restore", backup, "--replace", "--data", dir}, io.Discard, io.Discard)
		empty()
		if code == 0 {
			break
		}
		failures++
		if after := left(t, dir); after != before {
			t.Fatalf("with %d bytes free the folder is\n%s, and was\n%s", but, after, before)
		}
	}
	if failures < 5 {
		t.Errorf("it failed %d times only", failures)
	}
	if is := orgsIn(t, filepath.Join(dir, "foyer.db")); is != "new" {
		t.Errorf("there is %q", is)
	}
}

// TestBackup_DiskFull holds that a backup for which there is no room says so, and leaves nothing.
func TestBackup_DiskFull(t *testing.T) {
	data, _ := twoStates(t)
	disk := smallDisk(t, 1<<20)
	for _, but := range []int64{0, 4 << 10, 100 << 10} {
		empty := fill(t, disk, but)
		var said strings.Builder
		if code := run([]string{"backup", filepath.Join(disk, "copy.db"), "--data", data}, io.Discard, &said); code != 1 || !strings.Contains(said.String(), "no space left") {
			t.Errorf("with %d bytes free: %d %s", but, code, said.String())
		}
		empty()
		if after := left(t, disk); after != "" {
			t.Errorf("with %d bytes free it leaves %s", but, after)
		}
	}
	must(t, "backup", filepath.Join(disk, "copy.db"), "--data", data)
}
