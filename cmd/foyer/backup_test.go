package main

import (
	"os"
	"strings"

	"filippo.io/age"
	"github.com/rogpeppe/go-internal/testscript"
)

// ageKey makes a pair of keys of age, as age-keygen does: agekey FILE VARIABLE
func ageKey(ts *testscript.TestScript, neg bool, args []string) {
	key, err := age.GenerateX25519Identity()
	ts.Check(err)
	if neg {
		ts.Fatalf("a key is made, or it is not")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte("# a comment, as age-keygen writes one\n"+key.String()+"\n"), 0o600))
	ts.Setenv(args[1], key.Recipient().String())
}

// cutFile writes the first two thirds of a file into another: cut FILE TO
func cutFile(ts *testscript.TestScript, neg bool, args []string) {
	text := ts.ReadFile(args[0])
	if neg || strings.TrimSpace(text) == "" {
		ts.Fatalf("%s is empty", args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text[:len(text)*2/3]), 0o600))
}
