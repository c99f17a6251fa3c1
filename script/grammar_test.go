package script_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"foyer/foyertest"
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
	return foyertest.InstallNPM("testdata/grammar")
})

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
