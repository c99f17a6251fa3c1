package script_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// node is a node of a script's syntax tree, as testdata/grammar/parse.mjs prints it.
type node struct {
	Type, Text string
	Line       int
	Children   []*node
}

// install puts the grammar in place, once; it is the same in all tests.
var install = sync.OnceValue(func() error {
	// Looked at here, it is noted by the cache of go test: what passed is run again when it changes.
	if _, err := os.Stat("testdata/grammar/parse.mjs"); err != nil {
		return err
	}
	wanted, err := versions("testdata/grammar/package-lock.json")
	if err != nil {
		return err
	}
	if there, err := versions("testdata/grammar/node_modules/.package-lock.json"); err == nil && maps.Equal(there, wanted) {
		return nil
	}
	cmd := exec.Command("npm", "ci")
	cmd.Dir = "testdata/grammar"
	if out, err := cmd.CombinedOutput(); err != nil {
		return errors.New("npm ci in script/testdata/grammar: " + err.Error() + "\n" + string(out) + "\nIt needs node and npm: apt-get install nodejs npm")
	}
	return nil
})

// versions returns the versions that a lock file of npm's names, by folder.
func versions(file string) (map[string]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var lock struct {
		Packages map[string]struct{ Version string }
	}
	if err := json.Unmarshal(text, &lock); err != nil {
		return nil, err
	}
	found := map[string]string{}
	for folder, p := range lock.Packages {
		if folder != "" {
			found[folder] = p.Version
		}
	}
	return found, nil
}

// parse returns the syntax tree of a PowerShell script, and its errors: what is not PowerShell, or missing.
func parse(t *testing.T, text string) (tree *node, wrong []string) {
	t.Helper()
	if err := install(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", "--liftoff-only", "testdata/grammar/parse.mjs") // else node ends only once it has optimized the whole grammar
	cmd.Stdin = strings.NewReader(text)
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node parse.mjs: %v\n%s", err, errOut.String())
	}
	if err := json.Unmarshal(out, &tree); err != nil {
		t.Fatal(err)
	}
	tree.walk(func(n *node) {
		if n.Type == "ERROR" || n.Type == "MISSING" {
			wrong = append(wrong, n.Text)
		}
	})
	return tree, wrong
}

// walk calls see for the node and all below it, in the order of the text.
func (n *node) walk(see func(*node)) {
	see(n)
	for _, c := range n.Children {
		c.walk(see)
	}
}

// all returns the nodes of a type.
func (n *node) all(kind string) (found []*node) {
	n.walk(func(x *node) {
		if x.Type == kind {
			found = append(found, x)
		}
	})
	return found
}

// child returns the first child of a type, nil where there is none.
func (n *node) child(kind string) *node {
	for _, c := range n.Children {
		if c.Type == kind {
			return c
		}
	}
	return nil
}
