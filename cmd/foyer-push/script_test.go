package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"foyer/foyertest"
)

// TestMain builds the command and puts it in front of the path.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "foyer-push-test-")
	if err != nil {
		panic(err)
	}
	build := exec.Command("go", "build", "-o", dir+string(filepath.Separator), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		panic(fmt.Sprintf("build the command: %v\n%s", err, out))
	}
	os.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// people is what the directory of the scripts holds.
const people = `dn: uid=ann,ou=people,dc=test,dc=com
objectClass: inetOrgPerson
uid: ann
cn: Ann Lee
sn: Lee
givenName: Ann
mail: ann@test.com
l: Toronto

dn: uid=rob,ou=people,dc=test,dc=com
objectClass: inetOrgPerson
uid: rob
cn: Rob Jones
sn: Jones
givenName: Rob
mail: rob@test.com
l: Toronto

dn: uid=none,ou=people,dc=test,dc=com
objectClass: inetOrgPerson
uid: none
cn: No Mail
sn: Mail

`

// TestScripts runs the command as somebody does who sees it for the first time, against a real server and a real directory. In a script's files $URL, $CA, $ID, $SECRET,
// $LDAP, $LDAP_CA and $READER stand for them; those named *.secret are for their owner's eyes.
func TestScripts(t *testing.T) {
	slapd := foyertest.StartSlapd(t, people)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			f := foyertest.Start(env.T().(testing.TB))
			values := map[string]string{"URL": f.Script.URL, "CA": f.CAFile, "ID": f.Script.ClientID, "SECRET": f.Script.ClientSecret,
				"LDAP": slapd.URL, "LDAP_CA": slapd.CAFile, "READER": foyertest.SlapdReader, "PASSWORD": foyertest.SlapdSecret}
			for name, value := range values {
				env.Setenv(name, value)
			}
			return prepare(env.WorkDir, func(name string) string { return values[name] })
		},
	})
}

// prepare fills in what stands for something in the files of a script, and closes its secrets to others.
func prepare(dir string, get func(string) string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		path := filepath.Join(dir, f.Name())
		if f.IsDir() {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(os.Expand(string(text), get)), 0o600); err != nil {
			return err
		}
		mode := os.FileMode(0o644)
		if strings.HasSuffix(path, ".secret") {
			mode = 0o600
		}
		if err := os.Chmod(path, mode); err != nil {
			return err
		}
	}
	return nil
}
