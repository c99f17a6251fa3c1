//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"foyer/script"
)

// TestR18_AppliedMeansOnDisk holds, by what the server asks of the kernel, that the sync of the database's log lies between the request and the "OK" of each
// upload: the reply is not sent before what it says is on disk.
func TestR18_AppliedMeansOnDisk(t *testing.T) {
	dir := t.TempDir()
	customer, stop := traceServer(t, dir)
	token, err := customer.Token()
	check(t, err)
	settle(t, dir, customer.ClientID)
	for _, title := range []string{"Clerk", "Boss", "Chief"} {
		req, err := customer.UploadRequest(token, []byte("EMAIL,TITLE\nann@test.com,"+title+"\n"))
		check(t, err)
		req.Header.Del("Expect")
		if reply, err := customer.Do(req); err != nil || reply.Status != 200 {
			t.Fatalf("the upload: %+v, %v", reply, err)
		}
	}
	stop()
	trace := readTrace(t, filepath.Join(dir, "trace"))
	replied := 0
	for _, run := range []string{"R-1", "R-2", "R-3"} {
		replied = trace.wantSynced(t, run, replied)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// traceServer runs foyer serve under strace, which writes to the file trace. Besides TLS it listens in the clear, as behind a proxy, so that the
// trace shows what is said. It returns a customer's script that speaks in the clear, and what ends the server.
func traceServer(t *testing.T, dir string) (customer *script.Script, stop func()) {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Fatal("strace is missing: apt-get install strace")
	}
	name, err := exec.LookPath("foyer") // built by TestMain
	check(t, err)
	data := filepath.Join(dir, "data")
	if code := run([]string{"org", "create", "Acme", "--data", data}, io.Discard, os.Stderr); code != 0 {
		t.Fatalf("org create exits with %d", code)
	}
	id, secret := makeKey(t, data)
	socket := filepath.Join(dir, "socket")
	const calls = "trace=read,write,fsync,fdatasync,pwrite64"
	cmd := exec.Command(strace, "-f", "-y", "-s", "64", "-e", calls, "-e", "signal=none", "-o", filepath.Join(dir, "trace"),
		name, "serve", "--data", data, "--listen", "127.0.0.1:0", "--behind-proxy", "unix:"+socket, "--trusted-proxy", "127.0.0.1/32")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // what is started is ended together
	out, err := cmd.StdoutPipe()
	check(t, err)
	var log strings.Builder
	cmd.Stderr = &log
	check(t, cmd.Start())
	t.Cleanup(func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.HasPrefix(line, "Foyer listens on ") {
		t.Fatalf("the server said %q, %v", line, err)
	}
	go io.Copy(io.Discard, out)
	stop = func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server did not end well: %v\n%s", err, log.String())
		}
	}
	client := &http.Client{Transport: unixTransport(socket), Timeout: time.Minute}
	return &script.Script{URL: "http://foyer", ClientID: id, ClientSecret: secret, Client: client}, stop
}

// call is a call of the kernel: when it began and ended, as lines of the trace.
type call struct {
	begin, end int
	name       string
	text       string // its arguments and result
}

// trace is what strace saw, in the order in which the calls began.
type trace []call

var (
	traceLine  = regexp.MustCompile(`^(\d+) +(\w+)\((.*)$`)
	resumeLine = regexp.MustCompile(`^(\d+) +<\.\.\. (\w+) resumed>(.*)$`)
)

// readTrace reads what strace -f wrote: a call during which another thread was seen stands on two lines.
func readTrace(t *testing.T, name string) trace {
	t.Helper()
	text, err := os.ReadFile(name)
	check(t, err)
	var all trace
	open := map[string]int{} // by thread, the call that has not ended
	for n, line := range strings.Split(string(text), "\n") {
		if m := traceLine.FindStringSubmatch(line); m != nil {
			rest, unfinished := strings.CutSuffix(m[3], " <unfinished ...>")
			all = append(all, call{n, n, m[2], rest})
			if unfinished {
				open[m[1]] = len(all) - 1
			}
		} else if m := resumeLine.FindStringSubmatch(line); m != nil {
			c := &all[open[m[1]]]
			c.end, c.text = n, c.text+m[3]
		}
	}
	return all
}

// find returns the first call that fits and did not end before that line. A read may have begun long before: the connection waited in it.
func (all trace) find(t *testing.T, line int, what, name, text string) *call {
	t.Helper()
	var first *call
	for i := range all {
		if c := &all[i]; c.end > line && c.name == name && strings.Contains(c.text, text) && (first == nil || c.end < first.end) {
			first = c
		}
	}
	if first == nil {
		t.Fatalf("the trace of %d calls has no %s after line %d", len(all), what, line)
	}
	return first
}

// wantSynced checks that between the end of the read of the next upload and the start of its reply, the log of the database was written, and
// after that synced with success. It returns the line of the reply.
func (all trace) wantSynced(t *testing.T, run string, line int) int {
	t.Helper()
	read := all.find(t, line, "request", "read", `OST /addressbook/uploadcsv`) // net/http may read the P by itself
	reply := all.find(t, read.end, "reply", "write", `"HTTP/1.1 200 OK`)
	written, synced := 0, false // written: the line on which the last write to the log ended
	for _, c := range all {
		if !strings.Contains(c.text, "/foyer.db-wal>") || c.begin <= read.end || c.end >= reply.begin {
			continue
		}
		switch c.name {
		case "pwrite64", "write":
			written, synced = c.end, false
		case "fsync", "fdatasync":
			synced = written > 0 && c.begin > written && strings.HasSuffix(c.text, "= 0")
		}
	}
	if written == 0 || !synced {
		t.Errorf("%s: the log was written: %v, and synced after that: %v, before the reply", run, written > 0, synced)
	}
	return reply.end
}

// unixTransport connects to a socket, whatever the host.
func unixTransport(socket string) *http.Transport {
	return &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}
}

// makeKey makes a key and returns its id and secret.
func makeKey(t *testing.T, data string) (id, secret string) {
	t.Helper()
	var out strings.Builder
	if code := run([]string{"key", "create", "--org", "acme", "--data", data, "--json"}, &out, os.Stderr); code != 0 {
		t.Fatalf("key create exits with %d", code)
	}
	return keyOf(t, out.String())
}

// keyOf returns the id and the secret of a key that was printed as JSON.
func keyOf(t *testing.T, printed string) (id, secret string) {
	t.Helper()
	var key keyJSON
	check(t, json.Unmarshal([]byte(printed), &key))
	return string(key.ClientID), key.ClientSecret
}

// settle waits until the use of the key is noted: that writes and syncs behind the request's back, and would be taken for the upload's.
func settle(t *testing.T, dir, id string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var out strings.Builder
		if code := run([]string{"key", "list", "--org", "acme", "--data", filepath.Join(dir, "data"), "--json"}, &out, os.Stderr); code != 0 {
			t.Fatalf("key list exits with %d", code)
		}
		var keys []keyJSON
		check(t, json.Unmarshal([]byte(out.String()), &keys))
		if len(keys) == 1 && string(keys[0].ClientID) == id && keys[0].LastUsedAt != nil {
			return
		}
	}
	t.Fatal("the use of the key was never noted")
}
