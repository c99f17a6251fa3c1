package reconcile_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"foyer"
	"foyer/reconcile"
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
	files, err := filepath.Glob(filepath.Join(f.dir, "foyer.db*"))
	f.must(err)
	for _, file := range files {
		content, err := os.ReadFile(file)
		f.must(err)
		for _, text := range texts {
			if strings.Contains(strings.ToLower(string(content)), strings.ToLower(text)) {
				f.t.Errorf("%q is in %s", text, filepath.Base(file))
			}
		}
	}
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
	if _, err := reconcile.Undo(t.Context(), f.store, f.operator, f.org, second.ID, reconcile.UndoScope{}, false); err != nil && foyer.KindOf(err) != foyer.Conflict {
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
