package store_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"foyer"
	"foyer/foyertest"
	"foyer/store"
	"foyer/store/storetest"
	"foyer/vault"
)

// backup makes a backup and returns what is in the file.
func (w *world) backup() []byte {
	w.t.Helper()
	path := w.path()
	w.must(w.Store.Backup(w.t.Context(), w.Operator, path, nil))
	data, err := os.ReadFile(path)
	w.must(err)
	return data
}

// restoring is a restore of a backup into a folder, with the keys of the world.
func (w *world) restoring(dir string, backup []byte) store.Restoring {
	return store.Restoring{Dir: dir, From: bytes.NewReader(backup), Keys: func(bool) (*vault.Vault, error) { return vault.Open(vault.Config{Dir: w.Dir}) }}
}

// at is the world on the database of another folder: for looking at it.
func (w *world) at(dir string) *world {
	other, f := *w, *w.Foyer
	f.Dir = dir
	other.Foyer = &f
	return &other
}

// filesOf returns the files of a folder and hashes of what is in them.
func filesOf(t *testing.T, dir string) string {
	t.Helper()
	var out strings.Builder
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Name() == "lock" { // it is empty, and stays
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, f.Name()))
		fmt.Fprintf(&out, "%s %x %v\n", f.Name(), sha256.Sum256(data), err)
	}
	return out.String()
}

// TestRestore_BringsAllBack holds that what is restored into an empty folder is what was there, and works.
func TestRestore_BringsAllBack(t *testing.T) {
	storetest.SQLiteOnly(t)
	w := startWorld(t)
	backup, before := w.backup(), w.state("audit", "audit_head")
	dir := filepath.Join(t.TempDir(), "new")
	done, err := store.Restore(t.Context(), w.Operator, w.restoring(dir, backup))
	w.must(err)
	if done.Orgs != 2 || done.Entries == 0 || done.Lost != 0 || done.Aside != "" || done.LastAct.IsZero() {
		t.Errorf("it says %+v", done)
	}
	if after := w.at(dir).state("audit", "audit_head"); after != before {
		t.Errorf("what is restored differs:\n%s", difference(before, after))
	}
	r := w.restoring(dir, nil)
	keys, err := r.Keys(true)
	w.must(err)
	s, err := store.Open(t.Context(), store.Config{Dir: dir, Vault: keys})
	w.must(err)
	defer s.Close()
	if _, err := s.VerifyAudit(t.Context(), w.Operator, w.Org.ID); err != nil {
		t.Error(err)
	}
	last := ""
	w.must(s.Audit(t.Context(), w.Operator, w.Org.ID, func(a *foyer.Audit) error { last = a.Act; return nil }))
	if last != "store.restore" {
		t.Errorf("the last act in its audit is %s", last)
	}
}

// TestRestore_PutsWhatIsThereAside holds that the database which is replaced stays whole under another name, also what was in its log only.
func TestRestore_PutsWhatIsThereAside(t *testing.T) {
	storetest.SQLiteOnly(t)
	w := startWorld(t)
	backup := w.backup()
	dir := t.TempDir()
	keys, err := vault.Open(vault.Config{Dir: w.Dir})
	w.must(err)
	old, err := store.Open(t.Context(), store.Config{Dir: dir, Vault: keys})
	w.must(err)
	_, err = old.CreateOrg(t.Context(), w.Operator, "Old", "")
	w.must(err)
	image := t.TempDir() // as a server leaves it that was killed: with a log
	for _, name := range []string{"foyer.db", "foyer.db-wal"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		w.must(err)
		w.must(os.WriteFile(filepath.Join(image, name), data, 0o600))
	}
	w.must(old.Close())
	r := w.restoring(image, backup)
	r.Replace = true
	done, err := store.Restore(t.Context(), w.Operator, r)
	w.must(err)
	for path, want := range map[string]string{filepath.Join(image, "foyer.db"): "acme,other", done.Aside: "old"} {
		db, err := sql.Open("sqlite", path)
		w.must(err)
		defer db.Close()
		if got := strings.Join(storetest.Texts(t, db, `SELECT slug FROM org ORDER BY slug`), ","); got != want {
			t.Errorf("%s has %s, want %s", filepath.Base(path), got, want)
		}
	}
}

// TestRestore_RefusesAndChangesNothing holds that each reason not to restore is told, and that the folder is left as it was.
func TestRestore_RefusesAndChangesNothing(t *testing.T) {
	storetest.SQLiteOnly(t)
	w := startWorld(t)
	good := w.backup()
	flipped := bytes.Clone(good)
	for i := range 2000 {
		flipped[len(good)/2/4096*4096+i] ^= 0xff
	}
	otherKeys := func(bool) (*vault.Vault, error) { return vault.Open(vault.Config{Dir: t.TempDir()}) }
	halfKeys := func(bool) (*vault.Vault, error) {
		pepper, err := os.ReadFile(filepath.Join(w.Dir, "keys", "pepper"))
		w.must(err)
		return vault.Open(vault.Config{Pepper: string(pepper), AtRest: "1:" + strings.Repeat("ab", 32)})
	}
	noKeys := func(bool) (*vault.Vault, error) { return nil, errors.New("the keys are not there") }
	newer := w.altered(good, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)`)
	for name, test := range map[string]struct {
		change func(*store.Restoring)
		want   string
	}{
		"a database is there":       {func(r *store.Restoring) { r.Replace = false }, "--replace"},
		"another text":              {func(r *store.Restoring) { r.From = strings.NewReader("EMAIL\n") }, "no backup of Foyer's"},
		"nothing":                   {func(r *store.Restoring) { r.From = strings.NewReader("") }, "no backup of Foyer's"},
		"cut":                       {func(r *store.Restoring) { r.From = bytes.NewReader(good[:len(good)/2]) }, "the backup is damaged"},
		"cut to one page":           {func(r *store.Restoring) { r.From = bytes.NewReader(good[:4096]) }, "the backup is damaged"},
		"flipped bits":              {func(r *store.Restoring) { r.From = bytes.NewReader(flipped) }, "the backup is damaged"},
		"another program's":         {func(r *store.Restoring) { r.From = bytes.NewReader(w.foreign()) }, "the database of another program"},
		"a newer schema":            {func(r *store.Restoring) { r.From = bytes.NewReader(newer) }, "newer Foyer: its schema is number 999"},
		"another pepper":            {func(r *store.Restoring) { r.Keys = otherKeys }, "another pepper"},
		"another key at rest":       {func(r *store.Restoring) { r.Keys = halfKeys }, "key at rest number 1 is another one"},
		"no keys":                   {func(r *store.Restoring) { r.Keys = noKeys }, "the keys are not there"},
		"a reader that fails":       {func(r *store.Restoring) { r.From = failing{bytes.NewReader(good[:50_000])} }, "torn tape"},
		"somebody who is nobody":    {nil, ""},
		"only looked at, and fine":  {func(r *store.Restoring) { r.CheckOnly = true }, "fine"},
		"only looked at, and newer": {func(r *store.Restoring) { r.CheckOnly, r.From = true, bytes.NewReader(newer) }, "newer Foyer"},
	} {
		dir := filepath.Join(t.TempDir(), "data")
		_, err := store.Restore(t.Context(), w.Operator, w.restoring(dir, good))
		w.must(err)
		before := filesOf(t, dir)
		r, caller := w.restoring(dir, good), w.Operator
		if r.Replace = true; test.change == nil {
			caller = foyer.Caller{}
		} else {
			test.change(&r)
		}
		_, err = store.Restore(t.Context(), caller, r)
		if fine := test.want == "fine"; fine != (err == nil) || !fine && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: the error is %v, want %q", name, err, test.want)
		}
		if after := filesOf(t, dir); after != before {
			t.Errorf("%s: the folder was\n%s and is\n%s", name, before, after)
		}
	}
}

// altered returns a backup after a statement was carried out on it.
func (w *world) altered(backup []byte, statement string) []byte {
	w.t.Helper()
	path := w.path()
	w.must(os.WriteFile(path, backup, 0o600))
	db, err := sql.Open("sqlite", path)
	w.must(err)
	_, err = db.Exec(statement)
	w.must(errors.Join(err, db.Close()))
	data, err := os.ReadFile(path)
	w.must(err)
	return data
}

func (w *world) foreign() []byte { return w.altered(nil, `CREATE TABLE tape (name TEXT)`) }

// failing reads so far, and then fails.
type failing struct{ from io.Reader }

// Read implements io.Reader.
func (f failing) Read(p []byte) (int, error) {
	n, err := f.from.Read(p)
	if err != nil {
		err = errors.New("torn tape")
	}
	return n, err
}

// TestRestore_NotUnderWhoeverWorksOnIt holds that nothing is restored over a database that a server, a command, or another program has open, and that none opens it during a restore.
func TestRestore_NotUnderWhoeverWorksOnIt(t *testing.T) {
	storetest.SQLiteOnly(t)
	w := startWorld(t)
	r := w.restoring(w.Dir, w.backup())
	r.Replace = true
	if _, err := store.Restore(t.Context(), w.Operator, r); foyer.KindOf(err) != foyer.Conflict || !strings.Contains(err.Error(), "stop it first") {
		t.Errorf("under a store: %v", err)
	}
	dir := t.TempDir()
	_, err := store.Restore(t.Context(), w.Operator, w.restoring(dir, w.backup()))
	w.must(err)
	other := w.at(dir).open() // it does not know of the lock of the folder
	other.SetMaxOpenConns(1)
	storetest.Texts(t, other, `PRAGMA journal_mode(WAL)`)
	storetest.Texts(t, other, `SELECT slug FROM org`)
	r = w.restoring(dir, w.backup())
	r.Replace = true
	if _, err := store.Restore(t.Context(), w.Operator, r); foyer.KindOf(err) != foyer.Conflict || !strings.Contains(err.Error(), "stop it first") {
		t.Errorf("under another program: %v", err)
	}
	w.must(other.Close())
	r = w.restoring(dir, w.backup())
	r.Replace = true
	opening := r.Keys
	r.Keys = func(atRest bool) (*vault.Vault, error) {
		v, err := opening(atRest)
		w.must(err)
		if _, err := store.Open(t.Context(), store.Config{Dir: dir, Vault: v}); foyer.KindOf(err) != foyer.Conflict {
			t.Errorf("during a restore it opens: %v", err)
		}
		return v, nil
	}
	_, err = store.Restore(t.Context(), w.Operator, r)
	w.must(err)
}

// TestRestore_OverADamagedDatabase holds that a restore is possible where it is needed most.
func TestRestore_OverADamagedDatabase(t *testing.T) {
	storetest.SQLiteOnly(t)
	w := startWorld(t)
	backup := w.backup()
	for name, damaged := range map[string][]byte{"no database": []byte("nothing at all, for some pages"), "empty": {}, "cut": backup[:10_000]} {
		dir := t.TempDir()
		w.must(os.WriteFile(filepath.Join(dir, "foyer.db"), damaged, 0o600))
		w.must(os.WriteFile(filepath.Join(dir, "foyer.db-wal"), []byte("a log of something else"), 0o600))
		r := w.restoring(dir, backup)
		r.Replace = true
		done, err := store.Restore(t.Context(), w.Operator, r)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := storetest.Texts(t, w.at(dir).open(), `SELECT slug FROM org ORDER BY slug`); strings.Join(got, ",") != "acme,other" {
			t.Errorf("%s: there are %v", name, got)
		}
		if _, err := os.Stat(done.Aside); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRestore_OfEachOlderSchema holds that a backup that an older version made is brought up to date, and kept as it is.
func TestRestore_OfEachOlderSchema(t *testing.T) {
	storetest.SQLiteOnly(t)
	w := startWorld(t)
	versions, err := filepath.Glob("migrations/sqlite/*.sql")
	w.must(err)
	for version := range int64(len(versions)) {
		if version == 0 {
			continue
		}
		path := w.path()
		db, err := sql.Open("sqlite", path)
		w.must(err)
		p, err := goose.NewProvider(goose.DialectSQLite3, db, os.DirFS("migrations/sqlite"))
		w.must(err)
		_, err = p.UpTo(t.Context(), version)
		w.must(err)
		keys, err := vault.Open(vault.Config{Dir: w.Dir})
		w.must(err)
		_, err = db.Exec(`INSERT INTO meta VALUES ('pepper', $1); INSERT INTO org (id, slug, name, country, created_at) VALUES ('aaaaaa', 'old', 'Old', 'CA', 1);
			INSERT INTO book (org, version, settings, next_entry, next_site, next_source) VALUES ('aaaaaa', 1, 1, 1, 1, 1)`, keys.Check())
		w.must(errors.Join(err, db.Close()))
		backup, err := os.ReadFile(path)
		w.must(err)
		dir := t.TempDir()
		done, err := store.Restore(t.Context(), w.Operator, w.restoring(dir, backup))
		if err != nil || done.Schema != version || done.Orgs != 1 {
			t.Errorf("of the schema %d: %+v, %v", version, done, err)
			continue
		}
		s, err := store.Open(t.Context(), store.Config{Dir: dir, Vault: keys})
		w.must(err)
		defer s.Close()
		if org, err := s.FindOrg(t.Context(), w.Operator, "old"); err != nil || org.Name != "Old" {
			t.Errorf("of the schema %d: %+v, %v", version, org, err)
		}
		w.must(s.Ready(t.Context()))
	}
}

// TestRestore_SaysWhatOfHeldRunsIsLost holds that a backup can be restored when a key at rest is gone that was retired since, and that this is told.
func TestRestore_SaysWhatOfHeldRunsIsLost(t *testing.T) {
	storetest.SQLiteOnly(t)
	w := startWorld(t)
	backup := w.backup()
	keys, err := vault.Open(vault.Config{Dir: w.Dir})
	w.must(err)
	_, err = keys.AddAtRest()
	w.must(err)
	w.must(keys.DropAtRest(1))
	done, err := store.Restore(t.Context(), w.Operator, w.restoring(t.TempDir(), backup))
	w.must(err)
	if done.Lost == 0 {
		t.Error("it says that nothing is lost")
	}
}

// TestBackup_IsOneMoment holds that a copy which is made while syncs are applied is of the book as one of them left it.
func TestBackup_IsOneMoment(t *testing.T) {
	storetest.SQLiteOnly(t)
	f := foyertest.Start(t)
	w := &world{Foyer: f, t: t}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	var sent atomic.Int64
	running.Go(func() {
		for ; ctx.Err() == nil; sent.Add(1) {
			f.Upload(t, strings.ReplaceAll(people(300), "Clerk", fmt.Sprint("Title ", sent.Load())))
			f.Clock.Move(1e10)
		}
	})
	defer func() { stop(); running.Wait() }()
	titles := map[string]bool{}
	for range 15 {
		for before := sent.Load(); sent.Load() == before; time.Sleep(time.Millisecond) { // so that the copies are not all of one state, however busy the machine is
		}
		backup, dir := w.backup(), t.TempDir()
		_, err := store.Restore(t.Context(), w.Operator, w.restoring(dir, backup))
		w.must(err)
		db := w.at(dir).open()
		found := storetest.Texts(t, db, `SELECT title, count(*) FROM entry GROUP BY title`)
		if len(found) > 1 || len(found) == 1 && !strings.HasSuffix(found[0], "|300") {
			t.Fatalf("the titles are %v", found)
		}
		titles[strings.Join(found, "")] = true
		db.Close()
	}
	if len(titles) < 3 {
		t.Errorf("the copies are of %d states only: the test shows little", len(titles))
	}
}

// TestBackup_OfADamagedDatabaseIsRefused holds that no copy is made of what could not be restored.
func TestBackup_OfADamagedDatabaseIsRefused(t *testing.T) {
	storetest.SQLiteOnly(t)
	w := startWorld(t)
	dir := t.TempDir()
	_, err := store.Restore(t.Context(), w.Operator, w.restoring(dir, w.backup()))
	w.must(err)
	f, err := os.OpenFile(filepath.Join(dir, "foyer.db"), os.O_RDWR, 0)
	w.must(err)
	root := storetest.Texts(t, w.open(), `SELECT rootpage FROM sqlite_schema WHERE name = 'address'`)[0]
	var page int64
	fmt.Sscan(root, &page)
	_, err = f.WriteAt(bytes.Repeat([]byte{0xff}, 4096), (page-1)*4096)
	w.must(errors.Join(err, f.Close()))
	keys, err := vault.Open(vault.Config{Dir: w.Dir})
	w.must(err)
	s, err := store.Open(t.Context(), store.Config{Dir: dir, Vault: keys})
	w.must(err)
	defer s.Close()
	to := t.TempDir()
	if err := s.Backup(t.Context(), w.Operator, filepath.Join(to, "copy.db"), nil); foyer.KindOf(err) != foyer.Invalid || !strings.Contains(err.Error(), "the database is damaged") {
		t.Errorf("the error is %v", err)
	}
	if left := filesOf(t, to); left != "" {
		t.Errorf("it leaves %s", left)
	}
}
