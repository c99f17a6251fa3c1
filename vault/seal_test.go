package vault

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// file returns the path of a file with keys.
func file(dir, name string) string { return filepath.Join(dir, "keys", name) }

func seal(t *testing.T, v *Vault, identity, text string) []byte {
	t.Helper()
	sealed, err := v.Seal(identity, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

// wantOpen checks that something opens, and what is in it.
func wantOpen(t *testing.T, v *Vault, identity string, sealed []byte, want string) {
	t.Helper()
	if plain, err := v.Open(identity, sealed); err != nil || string(plain) != want {
		t.Errorf("it opens as %q, %v; want %q", plain, err, want)
	}
}

func TestOpen_RefusesModesThatAreTooOpen(t *testing.T) {
	for _, test := range []struct {
		path    string
		mode    os.FileMode
		refused bool
	}{
		{"keys", 0o700, false}, {"keys", 0o500, false}, {"keys", 0o750, true}, {"keys", 0o701, true}, {"keys", 0o777, true},
		{"keys/pepper", 0o600, false}, {"keys/pepper", 0o400, false}, {"keys/pepper", 0o640, true}, {"keys/pepper", 0o604, true}, {"keys/pepper", 0o620, true}, {"keys/pepper", 0o601, true},
		{"keys/at-rest", 0o600, false}, {"keys/at-rest", 0o400, false}, {"keys/at-rest", 0o640, true}, {"keys/at-rest", 0o604, true}, {"keys/at-rest", 0o622, true},
	} {
		dir := t.TempDir()
		open(t, dir)
		path := filepath.Join(dir, test.path)
		if err := os.Chmod(path, test.mode); err != nil {
			t.Fatal(err)
		}
		_, err := Open(Config{Dir: dir})
		if (err != nil) != test.refused || test.refused && (!strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "run: chmod ")) {
			t.Errorf("%s with mode %04o: %v", test.path, test.mode, err)
		}
		os.Chmod(path, 0o700)
	}
}

func TestOpen_MakesFilesForTheirOwnerAlone(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	for path, want := range map[string]os.FileMode{"keys": 0o700, "keys/pepper": 0o600, "keys/at-rest": 0o600} {
		if info, err := os.Stat(filepath.Join(dir, path)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want %04o", path, info.Mode(), err, want)
		}
	}
}

func TestOpen_RefusesADamagedKeyring(t *testing.T) {
	zero := strings.Repeat("00", 32)
	for name, text := range map[string]string{
		"empty": "", "a blank line": "\n", "no number": zero + "\n", "short": "1 " + zero[2:] + "\n", "long": "1 " + zero + "00\n", "no hex": "1 " + strings.Repeat("zz", 32) + "\n",
		"number 0": "0 " + zero + "\n", "number 256": "256 " + zero + "\n", "negative": "-1 " + zero + "\n", "one number twice": "1 " + zero + "\n1 " + strings.Repeat("01", 32) + "\n", "cut": "1 " + zero + "\n2 0000",
	} {
		dir := t.TempDir()
		open(t, dir)
		if err := os.WriteFile(file(dir, "at-rest"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "restore it from a backup") || strings.Contains(err.Error(), zero[:20]) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSeal_DamagedKeyringStopsARunningProcess holds that nothing is sealed under a key which is no longer on disk: it could not be opened after a restart.
func TestSeal_DamagedKeyringStopsARunningProcess(t *testing.T) {
	dir := t.TempDir()
	v := open(t, dir)
	sealed := seal(t, v, "a", "text")
	if err := os.WriteFile(file(dir, "at-rest"), []byte("1 00"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Seal("a", []byte("text")); err == nil {
		t.Error("it seals")
	}
	if _, err := v.Open("a", sealed); err == nil {
		t.Error("it opens")
	}
}

// TestSeal_MovedOrAlteredDoesNotOpen holds that what is sealed opens in its place, as it is, and not otherwise.
func TestSeal_MovedOrAlteredDoesNotOpen(t *testing.T) {
	v := open(t, t.TempDir())
	sealed := seal(t, v, "org R-1 rows 0", "text")
	wantOpen(t, v, "org R-1 rows 0", sealed, "text")
	for _, place := range []string{"org R-1 rows 1", "org R-2 rows 0", "grp R-1 rows 0", ""} {
		if _, err := v.Open(place, sealed); err == nil {
			t.Errorf("it opens at %q", place)
		}
	}
	for at := range sealed {
		altered := bytes.Clone(sealed)
		altered[at] ^= 1
		if _, err := v.Open("org R-1 rows 0", altered); err == nil {
			t.Errorf("it opens with byte %d altered", at)
		}
		if _, err := v.Open("org R-1 rows 0", sealed[:at]); err == nil {
			t.Errorf("it opens when cut at %d", at)
		}
	}
}

func TestSeal_HidesTheTextAndNeverRepeats(t *testing.T) {
	v := open(t, t.TempDir())
	one, other := seal(t, v, "a", "zebedee@test.com"), seal(t, v, "a", "zebedee@test.com")
	if bytes.Contains(one, []byte("zebedee")) || bytes.Equal(one, other) {
		t.Errorf("sealed it is %q and %q", one, other)
	}
}

// TestRotate_AnotherProcessReadsTheNewFile holds that a process which has the old keys in memory seals under the new one from then on, opens what another sealed under it, and what was sealed before;
// and does without a key that was dropped.
func TestRotate_AnotherProcessReadsTheNewFile(t *testing.T) {
	dir := t.TempDir()
	server, command := open(t, dir), open(t, dir)
	old := seal(t, server, "a", "old")
	number, err := command.AddAtRest()
	if err != nil || number != 2 {
		t.Fatalf("the number is %d, %v", number, err)
	}
	fresh := seal(t, server, "a", "fresh")
	if SealedUnder(old) != 1 || SealedUnder(fresh) != 2 {
		t.Errorf("sealed under %d, then %d", SealedUnder(old), SealedUnder(fresh))
	}
	wantOpen(t, server, "a", seal(t, command, "a", "other"), "other")
	wantOpen(t, server, "a", old, "old")
	wantOpen(t, command, "a", fresh, "fresh")
	if err := command.DropAtRest(1); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Open("a", old); err == nil || !strings.Contains(err.Error(), "number 1 is not there") {
		t.Errorf("under a dropped key: %v", err)
	}
	wantOpen(t, server, "a", fresh, "fresh")
}

// TestRotate_EachOfManyIsNoticed holds that no file is taken for the one before, even one of its length and its time.
func TestRotate_EachOfManyIsNoticed(t *testing.T) {
	dir := t.TempDir()
	server, command := open(t, dir), open(t, dir)
	for want := 2; want <= 9; want++ {
		before, err := os.Stat(file(dir, "at-rest"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := command.AddAtRest(); err != nil {
			t.Fatal(err)
		}
		if err := command.DropAtRest(want - 1); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file(dir, "at-rest"), before.ModTime(), before.ModTime()); err != nil {
			t.Fatal(err)
		}
		if got := SealedUnder(seal(t, server, "a", "text")); got != want {
			t.Fatalf("it seals under %d, want %d", got, want)
		}
	}
}

func TestRotate_StopsAtTheLastNumber(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	if err := os.WriteFile(file(dir, "at-rest"), []byte("255 "+newKey()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	v := open(t, dir)
	if _, err := v.AddAtRest(); err == nil || SealedUnder(seal(t, v, "a", "text")) != 255 {
		t.Errorf("the error is %v", err)
	}
}

// TestEnvironment_KeysAreGiven holds that given keys work without any folder, alone on every node, and are changed where they were given.
func TestEnvironment_KeysAreGiven(t *testing.T) {
	pepper, one, two := newKey(), newKey(), newKey()
	dir := t.TempDir()
	given := func(atRest string) *Vault {
		v, err := Open(Config{Dir: dir, Pepper: pepper, AtRest: atRest})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	v := given("1:" + one)
	sealed := seal(t, v, "a", "text")
	both := given("1:" + one + " 2:" + two)
	wantOpen(t, both, "a", sealed, "text")
	if got := SealedUnder(seal(t, both, "a", "text")); got != 2 {
		t.Errorf("it seals under %d", got)
	}
	if _, err := given("2:"+two).Open("a", sealed); err == nil {
		t.Error("it opens without its key")
	}
	if _, err := v.AddAtRest(); err == nil || !strings.Contains(err.Error(), "FOYER_AT_REST") {
		t.Errorf("the error of adding a key is %v", err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
		t.Errorf("the folder holds %v, %v", files, err)
	}
}

// TestEnvironment_DamagedKeysAreRefused holds that the error names the variable and not what is in it.
func TestEnvironment_DamagedKeysAreRefused(t *testing.T) {
	good := newKey()
	for name, c := range map[string]Config{
		"FOYER_PEPPER":  {Pepper: good[2:], AtRest: "1:" + good},
		"FOYER_AT_REST": {Pepper: good, AtRest: "1:" + good[2:]},
	} {
		if _, err := Open(c); err == nil || !strings.HasPrefix(err.Error(), name+": ") || strings.Contains(err.Error(), good[10:30]) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
