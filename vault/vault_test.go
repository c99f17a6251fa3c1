package vault

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func open(t *testing.T, dir string) *Vault {
	t.Helper()
	v, err := Open(Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestOpen_MakesThePepperOnce(t *testing.T) {
	dir := t.TempDir()
	checks := make([]string, 8)
	var all sync.WaitGroup
	for i := range checks {
		all.Go(func() {
			if v, err := Open(Config{Dir: dir}); err == nil {
				checks[i] = v.Check()
			}
		})
	}
	all.Wait()
	for _, check := range checks {
		if check == "" || check != checks[0] {
			t.Fatalf("those who started at once have the peppers %q", checks)
		}
	}
	files, err := os.ReadDir(filepath.Join(dir, "keys"))
	if err != nil || len(files) != 2 {
		t.Errorf("the folder holds %v, want the pepper and the keys at rest alone (%v)", files, err)
	}
}

func TestOpen_RefusesWhatOthersCanRead(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	if err := os.Chmod(filepath.Join(dir, "keys", "pepper"), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("the error is %v, want one that says chmod 600", err)
	}
}

func TestOpen_RefusesADamagedPepper(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "keys", "pepper"), []byte("abc\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "backup") {
		t.Errorf("the error is %v, want one that says to restore it", err)
	}
}

func TestKey_DiffersByUseAndPepper(t *testing.T) {
	one, other := open(t, t.TempDir()), open(t, t.TempDir())
	if bytes.Equal(one.Key("token"), one.Key("secret")) || bytes.Equal(one.Key("token"), other.Key("token")) {
		t.Error("two uses, or two peppers, share a key")
	}
	if !bytes.Equal(one.Key("token"), one.Key("token")) {
		t.Error("a key is not the same twice")
	}
}
