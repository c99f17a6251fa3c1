package reconcile_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"foyer"
	"foyer/reconcile"
	"foyer/store"
	"foyer/store/storetest"
)

func (f *fixture) erase(email string) *foyer.Run {
	f.t.Helper()
	id, key, err := reconcile.ParseName(email).Key()
	f.must(err)
	run, err := f.store.Erase(f.t.Context(), f.operator, f.org, id, key)
	f.must(err)
	return run
}

// nowhere wants none of the texts to be in the database's files.
func (f *fixture) nowhere(texts ...string) {
	f.t.Helper()
	for _, text := range texts {
		if f.onDisk(text) {
			f.t.Errorf("%q is on disk", text)
		}
	}
}

// onDisk tells whether a text is in the database's files; of PostgreSQL, whose files are another's, whether it is in a row.
func (f *fixture) onDisk(text string) bool {
	f.t.Helper()
	if storetest.OnPostgres() {
		for row := range f.dump() {
			if strings.Contains(strings.ToLower(row), strings.ToLower(text)) {
				return true
			}
		}
		return false
	}
	files, err := filepath.Glob(filepath.Join(f.dir, "foyer.db*"))
	f.must(err)
	return slices.ContainsFunc(files, func(file string) bool {
		content, err := os.ReadFile(file)
		f.must(err)
		return strings.Contains(strings.ToLower(string(content)), strings.ToLower(text))
	})
}

const planted = "EMAIL,FIRSTNAME,LASTNAME,TITLE,MOBILE,MANAGER,EMPLOYEEID\n" +
	"Zelda.Quux@x.ca,Zelda,Quux,Boss,416-555-0177,,zq-4711\nbob@x.ca,Bob,Roy,Clerk,,zelda.quux@x.ca,2\n"

// TestR28_ErasedIsNowhere plants somebody in the book, the log, aliases, problems of rows, held files and others' fields, and looks for them in the bytes on disk.
func TestR28_ErasedIsNowhere(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, planted)
	f.edit("bob@x.ca", set(foyer.Assistant, "zelda.quux@x.ca"))
	f.edit("zelda.quux@x.ca", set(foyer.Email, "zelda.roy@x.ca"))
	f.edit("zelda.roy@x.ca", reconcile.Edit{Notes: new("met zelda quux")})
	f.upload(f.hr, strings.Replace(planted, "416-555-0177", "not-a-phone-zelda", 1)) // a problem of a row
	f.upload(f.hr, staff(0, 20, "Toronto")+"zelda.roy@x.ca,Zelda,Quux,Boss,Ops,Toronto,zq-4711\n")
	held := f.held(f.hr, "EMAIL,FIRSTNAME,LASTNAME,EMPLOYEEID\nzelda.roy@x.ca,Zelda,Quux,zq-4711\nbob@x.ca,Bob,Roy,2\n", "would disable 20")
	f.erase("zelda.quux@x.ca")
	f.nowhere("zelda", "quux", "zq-4711", "555-0177")
	if book := f.book(); book["zelda.roy@x.ca"] != nil || book["bob@x.ca"].Values[foyer.Manager] != "" {
		t.Errorf("the book has %v", book)
	}
	f.approve(held.ID, foyer.Applied) // what it kept has her no more
	f.nowhere("zelda", "quux", "zq-4711")
	f.value("bob@x.ca", foyer.LastName, "Roy")
}

func TestR28_ErasedIsPassedOverUntilForgotten(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, planted)
	f.erase("zelda.quux@x.ca")
	run := f.upload(f.hr, planted)
	f.emails("bob@x.ca")
	f.warns(run, "someone who was erased", "manager: names someone who was erased")
	f.upload(f.hr, strings.Replace(planted, "Zelda.Quux@", "new@", 1)) // by her id
	f.emails("bob@x.ca")
	if _, err := reconcile.Add(t.Context(), f.store, f.operator, f.org, set(foyer.Email, "zelda.quux@x.ca")); foyer.KindOf(err) != foyer.Conflict {
		t.Errorf("added by hand: %v", err)
	}
	f.nowhere("zelda", "zq-4711")
	f.must(f.store.Forget(t.Context(), f.operator, f.org, "zelda.quux@x.ca"))
	f.upload(f.hr, planted)
	f.emails("Zelda.Quux@x.ca", "bob@x.ca")
	f.value("bob@x.ca", foyer.Manager, "zelda.quux@x.ca")
}

func TestR28_R25_UndoDoesNotBringBack(t *testing.T) {
	f := newFixture(t)
	first := f.upload(f.hr, planted)
	second := f.upload(f.hr, "EMAIL,TITLE\nbob@x.ca,Clerk\n") // disables her
	f.erase("zelda.quux@x.ca")
	if _, err := reconcile.Undo(t.Context(), f.store, f.operator, f.org, reconcile.Undoing{Run: second.ID}); err != nil && foyer.KindOf(err) != foyer.Conflict {
		t.Error(err)
	}
	f.undo(first.ID)
	f.nowhere("zelda")
}

// TestR28_JoinedAndRemovedEntriesAreErasedToo holds that what a join or an undo removed is not left in the log.
func TestR28_JoinedAndRemovedEntriesAreErasedToo(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, planted)
	f.add(reconcile.Edit{Values: map[foyer.Field]string{foyer.Email: "zelda@home.ca", foyer.FirstName: "Zelda"}})
	_, _, err := reconcile.Join(t.Context(), f.store, f.operator, f.org, reconcile.ParseName("zelda.quux@x.ca"), reconcile.ParseName("zelda@home.ca"))
	f.must(err)
	f.erase("zelda.quux@x.ca")
	f.nowhere("zelda")

	f.undo(f.upload(f.source(foyer.Source{Name: "other", LeaveHandMade: true}), "EMAIL\nwalter.plonk@x.ca\n").ID)
	f.erase("walter.plonk@x.ca")
	f.nowhere("plonk")
	if _, err := f.store.Erase(t.Context(), f.operator, f.org, 0, "nobody@x.ca"); foyer.KindOf(err) != foyer.NotFound {
		t.Errorf("erased nobody: %v", err)
	}
}

func TestR28_NobodyElseIsTouched(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, strings.Replace(planted, "zelda.quux@x.ca,2", ",2", 1))
	before := f.entry("bob@x.ca")
	f.erase("zelda.quux@x.ca")
	if after := f.entry("bob@x.ca"); !sameEntry(before, after) {
		t.Errorf("bob was %+v and is %+v", before, after)
	}
	run := f.upload(f.hr, "EMAIL,FIRSTNAME,LASTNAME,TITLE,EMPLOYEEID\nbob@x.ca,Bob,Roy,Clerk,2\n")
	f.counts(run, foyer.Counts{Unchanged: 1})
}

// TestR28_WhoeverHasTheEmailNowIsSomebodyElse holds that a recycled email, and a join that was undone, draw nobody else into an erasure.
func TestR28_WhoeverHasTheEmailNowIsSomebodyElse(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMPLOYEEID,EMAIL,FIRSTNAME,LASTNAME\n1,a.lee@x.ca,Ann,Lee\n2,bob@x.ca,Bob,Roy\n")
	const renamed = "EMPLOYEEID,EMAIL,FIRSTNAME,LASTNAME\n1,ann.smith@x.ca,Ann,Smith\n2,bob@x.ca,Bob,Roy\n"
	f.upload(f.hr, renamed)
	const recycled = renamed + "9,a.lee@x.ca,Alan,Lee\n"
	f.upload(f.hr, recycled)
	alan := f.entry("a.lee@x.ca")
	_, run, err := reconcile.Join(t.Context(), f.store, f.operator, f.org, reconcile.ParseName("ann.smith@x.ca"), reconcile.ParseName(f.add(set(foyer.Email, "zoe@x.ca")).ID.String()))
	f.must(err)
	f.undo(run.ID)
	f.erase("ann.smith@x.ca")
	f.emails("a.lee@x.ca", "bob@x.ca", "zoe@x.ca")
	if e := f.entry("a.lee@x.ca"); !sameEntry(alan, e) {
		t.Errorf("he was %+v and is %+v", alan, e)
	}
	f.nowhere("ann.smith", "Smith")
	f.upload(f.source(foyer.Source{Name: "other", LeaveHandMade: true}), "EMAIL\nann.smith@x.ca\na.lee@x.ca\n")
	f.emails("a.lee@x.ca", "bob@x.ca", "zoe@x.ca")
}

func TestR28_TryingSaysWhom(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, planted)
	before := f.dump()
	who, err := f.store.TryErase(t.Context(), f.operator, f.org, 0, "zelda.quux@x.ca")
	f.must(err)
	if who.Entry == nil || who.Entry.ID != 1 || len(who.Others) != 0 {
		t.Errorf("it would take %+v", who)
	}
	if rows := written(before, f.dump()); len(rows) > 0 {
		t.Errorf("it wrote %v", rows)
	}
}

// TestR28_NamedAsManager holds that who is named as manager by email, full name or distinguished name is taken out of others' entries, changes and held rows, and no namesake by part.
func TestR28_NamedAsManager(t *testing.T) {
	f := newFixture(t)
	const people = "EMAIL,FIRSTNAME,LASTNAME,MANAGER\nann.lee@x.ca,Ann,Lee,\nbob@x.ca,Bob,Ray,Ann Lee\ncy@x.ca,Cy,Ray,\"CN=Ann Lee,OU=Staff,DC=x\"\n" +
		"di@x.ca,Di,Ray,\"CN=Lee\\, Ann,OU=Staff\"\ned@x.ca,Ed,Ray,Ann Leeson\nflo@x.ca,Flo,Ray,ann.lee@x.ca\n"
	f.upload(f.hr, people)
	f.upload(f.hr, strings.ReplaceAll(people, "Ray,Ann Lee\n", "Ray,Joann Lee\n"))
	f.upload(f.hr, people)
	f.upload(f.hr, people+strings.TrimPrefix(titled(0, 20, "T,,"), "EMAIL,TITLE\n"))
	held := f.held(f.hr, people+"Ann,Ann,Lee,\n", "would disable 20")
	f.erase("ann.lee@x.ca")
	want := map[string]string{"bob": "", "cy": "", "di": "", "ed": "Ann Leeson", "flo": ""}
	for who, manager := range want {
		f.value(who+"@x.ca", foyer.Manager, manager)
	}
	f.named("Ann Lee", "Lee\\, Ann", "ann.lee@x.ca")
	for _, manager := range f.heldManagers(held.ID) {
		if manager != "" && manager != "Ann Leeson" {
			t.Errorf("a held row names %q", manager)
		}
	}
	if n := len(f.heldManagers(held.ID)); n != 5 {
		t.Errorf("%d rows are held, want 5", n)
	}
	f.approve(held.ID, foyer.Applied)
	f.value("ed@x.ca", foyer.Manager, "Ann Leeson")
}

// named wants none of the texts to be a value in the log.
func (f *fixture) named(texts ...string) {
	f.t.Helper()
	runs, err := f.store.Runs(f.t.Context(), f.operator, f.org, 0, true)
	f.must(err)
	for _, run := range runs {
		for _, c := range f.changes(run.ID) {
			for _, value := range c.Fields {
				for _, text := range texts {
					if said := value.Before + "|" + value.After + "|" + value.From.Before; strings.Contains(strings.ReplaceAll(said, "Ann Leeson", ""), text) && !strings.Contains(said, "Joann") {
						f.t.Errorf("%v says %q of %v", run.ID, said, c.Entry)
					}
				}
			}
		}
	}
}

// heldManagers returns the managers in the rows that a held run keeps.
func (f *fixture) heldManagers(id foyer.RunID) (managers []string) {
	f.t.Helper()
	f.must(f.store.View(f.t.Context(), f.operator, f.org, func(b *store.Book) error {
		held, err := b.Held(id)
		if err != nil {
			return err
		}
		_, err = held.Rows(func(r *foyer.Row) error {
			managers = append(managers, r.Values[foyer.Manager])
			return nil
		})
		return err
	}))
	return managers
}

// TestR28_LargeHeldFile holds that a held file of several parts loses the person's rows only, also where a whole part is theirs.
func TestR28_LargeHeldFile(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, "EMAIL,TITLE\nzelda@x.ca,Boss\n"+strings.TrimPrefix(titled(0, 30, "A"), "EMAIL,TITLE\n"))
	mine := strings.Repeat("zelda@x.ca,"+strings.Repeat("x", 3000)+"\n", 400)
	held := f.held(f.hr, "EMAIL,TITLE\n"+mine+strings.TrimPrefix(titled(100, 900, strings.Repeat("y", 3000)), "EMAIL,TITLE\n"), "would disable 30")
	f.erase("zelda@x.ca")
	if n := len(f.heldManagers(held.ID)); n != 800 {
		t.Errorf("%d rows are held, want 800", n)
	}
	f.nowhere("zelda")
}

// titled is a file of people with a title.
func titled(from, to int, title string) string {
	var b strings.Builder
	b.WriteString("EMAIL,TITLE\n")
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, "p%d@x.ca,%s\n", i, title)
	}
	return b.String()
}

// TestR28_PrunedBeforeIsNowhere holds that changes which were deleted before an erasure, and what held runs kept, are not readable in pages that are free.
func TestR28_PrunedBeforeIsNowhere(t *testing.T) {
	f := newFixture(t)
	all := titled(0, 400, "T") + "zelda.quux@x.ca,Boss\n"
	f.upload(f.hr, all)
	f.upload(f.hr, strings.ReplaceAll(all, ",T\n", ",U\n"))
	f.upload(f.hr, strings.ReplaceAll(all, ",Boss\n", ",Chief\n"))
	f.undo(f.upload(f.source(foyer.Source{Name: "other", LeaveHandMade: true}), strings.ReplaceAll(titled(400, 700, "T"), "@x", ".zelda@x")).ID)
	f.clock.Move(100 * 24 * time.Hour)
	f.must(f.store.Prune(t.Context(), f.operator, 90*24*time.Hour))
	f.erase("zelda.quux@x.ca")
	f.nowhere("zelda")
}

// TestR28_WhoReadsDelaysNobody holds that an erasure ends although somebody reads the database, that others write meanwhile, that it says that the log holds
// what was erased still, and that the log is emptied once nobody reads it any more.
func TestR28_WhoReadsDelaysNobody(t *testing.T) {
	f := newFixture(t)
	f.upload(f.hr, planted)
	other, err := f.store.CreateOrg(t.Context(), f.operator, "Other", "CA")
	f.must(err)
	var run *foyer.Run
	f.must(f.store.View(t.Context(), f.operator, other.ID, func(*store.Book) error {
		start, slowest, done := time.Now(), time.Duration(0), make(chan bool)
		go func() { run = f.erase("zelda.quux@x.ca"); close(done) }()
		for i := 0; ; i++ {
			select {
			case <-done:
				if slowest > 2*time.Second || time.Since(start) > 20*time.Second {
					t.Errorf("a write took %v, the erasure %v", slowest, time.Since(start))
				}
				return nil
			case <-time.After(50 * time.Millisecond):
			}
			at := time.Now()
			_, err := f.store.CreateSite(t.Context(), f.operator, other.ID, foyer.Site{Name: fmt.Sprint("X", i)})
			f.must(err)
			slowest = max(slowest, time.Since(at))
		}
	}))
	if !storetest.OnPostgres() && (len(run.Problems) != 1 || !strings.Contains(run.Problems[0].Message, "log still holds")) {
		t.Errorf("it says %v", run.Problems)
	}
	for end := time.Now().Add(10 * time.Second); f.onDisk("quux") && time.Now().Before(end); {
		time.Sleep(50 * time.Millisecond)
	}
	f.nowhere("zelda", "quux")
}
