package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"foyer/foyertest"
	"foyer/script"
	"foyer/store/storetest"
)

// TestMain builds the command and puts it in front of the path. The scripts run it, and not this program, because under the race detector
// each start of it would take half a second.
func TestMain(m *testing.M) {
	if path := os.Getenv(holdVariable); path != "" {
		holdDatabase(path)
		return
	}
	dir, err := os.MkdirTemp("", "foyer-test-")
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

// TestScripts runs the commands as somebody does who sees them for the first time.
func TestScripts(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { runScripts(t, nil) })
	t.Run("postgres", func(t *testing.T) {
		cluster, err := storetest.StartCluster()
		check(t, err)
		t.Cleanup(cluster.Stop)
		runScripts(t, cluster)
	})
}

// runScripts runs them on SQLite, or each on a database of its own of a cluster.
func runScripts(t *testing.T, cluster *storetest.Cluster) {
	mail := foyertest.StartMail(t, foyertest.MailConfig{})
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("FOYER_DATA", filepath.Join(env.WorkDir, "data"))
			env.Setenv("SMTP", "smtp://"+mail.Address)
			if cluster == nil {
				return nil
			}
			database, err := cluster.Create()
			env.Setenv("FOYER_DATABASE", cluster.URL(database))
			if err == nil {
				database, err = cluster.Create()
				env.Setenv("ANOTHER", cluster.URL(database))
			}
			return err
		},
		Condition: func(name string) (bool, error) { return name == "postgres" && cluster != nil, nil },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"fields": fields, "value": value, "serve": serve, "upload": upload, "tokenrefused": tokenRefused,
			"agekey": ageKey, "cut": cutFile,
			"mailed": func(ts *testscript.TestScript, neg bool, args []string) { mailed(ts, mail, neg, args) },
		},
	})
}

// output returns what the last command printed, as JSON.
func output(ts *testscript.TestScript, to any) {
	text := ts.ReadFile("stdout")
	ts.Check(json.Unmarshal([]byte(text), to))
}

// object returns the object that the last command printed, of a list the element of that number: "0" and so on, or "-" where it is no list.
func object(ts *testscript.TestScript, at string) map[string]any {
	if at == "-" {
		var o map[string]any
		output(ts, &o)
		return o
	}
	var list []map[string]any
	output(ts, &list)
	n := int(at[0] - '0')
	if n >= len(list) {
		ts.Fatalf("the list has %d elements: %v", len(list), list)
	}
	return list[n]
}

// fields checks that the last command printed JSON with those fields: fields (-|NUMBER) NAME…
func fields(ts *testscript.TestScript, neg bool, args []string) {
	o := object(ts, args[0])
	for _, name := range args[1:] {
		if _, ok := o[name]; ok == neg {
			ts.Fatalf("the field %s: there is %v in %v", name, ok, o)
		}
	}
}

// value puts a field of the JSON that the last command printed into an environment variable: value VARIABLE (-|NUMBER) NAME
func value(ts *testscript.TestScript, neg bool, args []string) {
	v, ok := object(ts, args[1])[args[2]]
	if neg || !ok {
		ts.Fatalf("there is no field %s", args[2])
	}
	ts.Setenv(args[0], fmt.Sprint(v))
}

// serve starts a server on the data folder in the background, and puts its address into $URL. It ends with the script, by itself once it is told to.
func serve(ts *testscript.TestScript, neg bool, args []string) {
	cmd := exec.Command("foyer", append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	cmd.Env = append(os.Environ(), "FOYER_DATA="+ts.Getenv("FOYER_DATA"), "FOYER_DATABASE="+ts.Getenv("FOYER_DATABASE"))
	var log strings.Builder
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Defer(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			ts.Fatalf("the server did not end well: %v\n%s", err, log.String())
		}
	})
	line, _ := bufio.NewReader(out).ReadString('\n')
	go io.Copy(io.Discard, out)
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "Foyer listens on ")
	if neg || !ok {
		ts.Fatalf("the server said %q", line)
	}
	ts.Setenv("URL", url)
}

// customer returns the script of a customer who has $CLIENT_ID and $CLIENT_SECRET.
func customer(ts *testscript.TestScript) *script.Script {
	client, err := script.Trust(filepath.Join(ts.Getenv("FOYER_DATA"), "tls", "ca.pem"))
	ts.Check(err)
	return &script.Script{URL: ts.Getenv("URL"), ClientID: ts.Getenv("CLIENT_ID"), ClientSecret: ts.Getenv("CLIENT_SECRET"), Client: client}
}

// upload sends a file as the customer's script does, and checks that the reply begins so: upload FILE TEXT
func upload(ts *testscript.TestScript, neg bool, args []string) {
	reply, err := customer(ts).Upload([]byte(ts.ReadFile(args[0])), nil)
	ts.Check(err)
	ts.Logf("%d %s", reply.Status, reply.Body)
	if strings.HasPrefix(reply.Body, args[1]) == neg {
		ts.Fatalf("the reply is %d %s", reply.Status, reply.Body)
	}
}

// tokenRefused checks that the customer gets no token any more.
func tokenRefused(ts *testscript.TestScript, neg bool, _ []string) {
	_, err := customer(ts).Token()
	if refused := err != nil && strings.Contains(err.Error(), "401"); refused == neg {
		ts.Fatalf("the token: %v", err)
	}
}

// mailed waits until the mail server at $SMTP was sent a message to somebody that holds a text: mailed ADDRESS TEXT
func mailed(ts *testscript.TestScript, mail *foyertest.MailServer, neg bool, args []string) {
	if neg {
		ts.Fatalf("nobody waits for what does not come")
	}
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		for _, message := range mail.Messages() {
			if message.To == args[0] && strings.Contains(message.Raw, args[1]) {
				return
			}
		}
	}
	ts.Fatalf("there was no such message in %+v", mail.Messages())
}

// TestDemo_Once holds that the demonstration, which is the first thing that anybody tries, goes through and takes a moment only.
func TestDemo_Once(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	start := time.Now()
	var out, errOut strings.Builder
	if code := run([]string{"demo", "--once", "--listen", "127.0.0.1:0"}, &out, &errOut); code != 0 {
		t.Fatalf("the exit code is %d: %s%s", code, out.String(), errOut.String())
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
	for _, want := range []string{"OK run=R-1 added=7", "OK run=R-2 added=1 updated=1 disabled=1", "did you mean", "OK run=R-3 added=0 updated=0", "HELD run=R-4 would disable 6 of 7", "rob.jones@test.com"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the demonstration does not show %q:\n%s", want, out.String())
		}
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) != 0 {
		t.Errorf("it left %v, %v", left, err)
	}
}
