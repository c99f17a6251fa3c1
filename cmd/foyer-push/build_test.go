package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// platforms are those for which the program is built.
var platforms = []struct{ system, machine string }{
	{"windows", "amd64"}, {"windows", "arm64"}, {"linux", "amd64"}, {"linux", "arm64"}, {"darwin", "arm64"}, {"darwin", "amd64"},
}

// goCommand returns a go command for another platform, without cgo.
func goCommand(system, machine string, args ...string) *exec.Cmd {
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+machine)
	return cmd
}

// databases are what the paths of packages hold that know a database, or that only the server needs. (database/sql/driver alone is an interface, which
// a library for UUIDs implements.)
var databases = []string{"database/sql ", "sqlite", "modernc.org/", "pgx", "goose", "foyer/store", "foyer/server", "foyer/vault", "foyer/reconcile", "foyer/oauth", "phonenumbers"}

// TestFoyerPush_KnowsNoDatabase holds that nothing of the server is in the customer's program, on any platform.
func TestFoyerPush_KnowsNoDatabase(t *testing.T) {
	for _, p := range platforms {
		out, err := goCommand(p.system, p.machine, "list", "-deps", ".").CombinedOutput()
		if err != nil {
			t.Fatalf("%s/%s: %v\n%s", p.system, p.machine, err, out)
		}
		list := strings.Fields(string(out))
		if len(list) < 100 || !strings.Contains(string(out), "foyer/push") {
			t.Fatalf("the list has %d packages: %s", len(list), out)
		}
		for _, path := range list {
			for _, no := range databases {
				if strings.Contains(path+" ", no) {
					t.Errorf("%s/%s: %s is in it", p.system, p.machine, path)
				}
			}
		}
	}
}

// most is how large the program may be, in bytes.
const most = 15_000_000

// TestFoyerPush_WindowsIsSmall holds that the program cross-compiles for Windows, as one static file of a bounded size.
func TestFoyerPush_WindowsIsSmall(t *testing.T) {
	target := filepath.Join(t.TempDir(), "foyer-push.exe")
	if out, err := goCommand("windows", "amd64", "build", "-trimpath", "-ldflags=-s -w", "-o", target, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	info, err := os.Stat(target)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > most || info.Size() < 1_000_000 {
		t.Errorf("foyer-push.exe has %d bytes; at most %d are right", info.Size(), most)
	}
	t.Logf("foyer-push.exe has %d bytes", info.Size())
}

// TestFoyerPush_BuildsForMacOS holds that it builds for the third system.
func TestFoyerPush_BuildsForMacOS(t *testing.T) {
	if out, err := goCommand("darwin", "arm64", "build", "-o", os.DevNull, ".").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
