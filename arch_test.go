package foyer_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// module is the path under which the project's packages import each other; "" is the root package.
const module = "foyer"

// anything stands for all of the project's packages but those named after it.
const anything = "anything but"

// allowed says which of the project's packages a package may import. One that is not in it fails the test: to add one is to decide this.
var allowed = map[string][]string{
	"":                {},
	"vault":           {""},
	"match":           {""},
	"phone":           {},
	"csvfile":         {""},
	"certs":           {""},
	"store":           {"", "match", "vault"},
	"store/storetest": {},
	"oauth":           {"", "store", "vault"},
	"reconcile":       {"", "match", "phone", "store"},
	"notify":          {""},
	"jobs":            {"", "notify", "store"},
	"connect":         {"", "entra", "reconcile", "store"},
	"pages":           {"", "connect", "entra"},
	"server":          {"", "connect", "csvfile", "oauth", "pages", "reconcile", "store"},
	"script":          {},
	"bench/staff":     {},
	"entra":           {""},
	"entra/entratest": {},
	"trust":           {},
	"directory":       {"", "match", "trust"},
	"push":            {"", "csvfile", "directory", "match", "trust"},
	"foyertest":       {anything, "cmd"},
	"cmd/foyer":       {anything, "foyertest"},

	"cmd/foyer-push": {"", "push"}, // and so none that knows a database: TestFoyerPush_KnowsNoDatabase
}

// stdOnly are the packages that import nothing but the standard library and what allowed says.
var stdOnly = []string{"", "script", "bench/staff", "entra/entratest"}

// vague are names of folders that say nothing of what is in them.
var vague = []string{"util", "utils", "common", "types", "models", "core", "helpers"}

// imported is one import of a package by code that is no test.
type imported struct {
	by   string // the package's folder below the root, with slashes; "" is the root
	file string
	path string
}

// TestArchitecture_ImportsAreThoseOfTheTable holds which package may know which.
func TestArchitecture_ImportsAreThoseOfTheTable(t *testing.T) {
	for _, i := range imports(t) {
		rules, known := allowed[i.by]
		if !known {
			t.Errorf("%s: the package %q is not in the table of this test", i.file, i.by)
			continue
		}
		rest, own := strings.CutPrefix(i.path+"/", module+"/")
		if to := strings.TrimSuffix(rest, "/"); own && !permits(rules, to) {
			t.Errorf("%s: %q may not import %q", i.file, i.by, i.path)
		}
	}
}

// TestArchitecture_TableHoldsNoOtherPackages holds that what is gone is gone from the table too.
func TestArchitecture_TableHoldsNoOtherPackages(t *testing.T) {
	found := map[string]bool{}
	for _, i := range imports(t) {
		found[i.by] = true
	}
	for name := range allowed {
		if !found[name] {
			t.Errorf("there is no package %q", name)
		}
	}
}

// TestArchitecture_StandardLibraryOnly holds that the nouns, and what customers may copy, depend on nobody.
func TestArchitecture_StandardLibraryOnly(t *testing.T) {
	for _, i := range imports(t) {
		first, _, _ := strings.Cut(i.path, "/")
		if slices.Contains(stdOnly, i.by) && strings.Contains(first, ".") {
			t.Errorf("%s: %q may not import %q", i.file, i.by, i.path)
		}
	}
}

// TestArchitecture_TestingStaysInTests holds that no program carries the package testing.
func TestArchitecture_TestingStaysInTests(t *testing.T) {
	for _, i := range imports(t) {
		if (i.path == "testing" || strings.HasPrefix(i.path, "testing/")) && i.by != "foyertest" && i.by != "store/storetest" {
			t.Errorf("%s imports %q", i.file, i.path)
		}
	}
}

// TestArchitecture_FoldersSayWhatIsInThem holds that no folder is a drawer for everything.
func TestArchitecture_FoldersSayWhatIsInThem(t *testing.T) {
	walk(t, func(name string, folder bool) {
		if folder && slices.Contains(vague, path.Base(name)) {
			t.Errorf("the folder %s says nothing of what is in it", name)
		}
	})
}

// permits tells whether the rules of a package let it import the one in that folder.
func permits(rules []string, to string) bool {
	if len(rules) == 0 || rules[0] != anything {
		return slices.Contains(rules, to)
	}
	return !slices.ContainsFunc(rules[1:], func(no string) bool { return to == no || strings.HasPrefix(to, no+"/") })
}

// imports returns what all files but tests import. Folders and files are read by this process, below the folder of this package: so the cache
// of go test notes them, and what passed is run again when any of them changes.
func imports(t *testing.T) []imported {
	t.Helper()
	var all []imported
	walk(t, func(name string, folder bool) {
		if folder || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return
		}
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		by := strings.TrimPrefix(path.Dir(filepath.ToSlash(name)), ".")
		all = append(all, imported{by, name, ""}) // so that a package which imports nothing is seen
		for _, spec := range file.Imports {
			target, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, imported{by, name, target})
		}
	})
	if len(all) == 0 {
		t.Fatal("there is no Go file: the test looks in the wrong place")
	}
	return all
}

// walk calls see for every file and folder of the module, but for those that the go command passes over.
func walk(t *testing.T, see func(name string, folder bool)) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(filepath.ToSlash(name))
		if d.IsDir() && name != "." && (base == "testdata" || base[0] == '.' || base[0] == '_') {
			return fs.SkipDir
		}
		see(filepath.ToSlash(name), d.IsDir())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
