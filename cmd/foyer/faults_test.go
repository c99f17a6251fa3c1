//go:build linux

package main

import (
	"bufio"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"foyer/script"
)

// suffering is a server on a disk that has faults, and a customer who sends numbered files to it.
type suffering struct {
	killing
	process *os.Process
	refused int
	said    string // with the last refusal
}

// startSuffering starts a server on a data folder, and sends it a first file.
func startSuffering(t *testing.T, data string) *suffering {
	t.Helper()
	must(t, "org", "create", "Acme", "--data", data)
	id, secret := makeKey(t, data)
	s := &suffering{killing: killing{t: t, data: data, socket: filepath.Join(t.TempDir(), "socket"), last: -1}}
	s.customer = &script.Script{URL: "http://foyer", ClientID: id, ClientSecret: secret, Client: &http.Client{Transport: unixTransport(s.socket), Timeout: 2 * time.Minute}}
	name, err := exec.LookPath("foyer") // built by TestMain
	check(t, err)
	cmd := exec.Command(name, "serve", "--data", data, "--listen", "127.0.0.1:0", "--uploads", "1000000", "--behind-proxy", "unix:"+s.socket, "--trusted-proxy", "127.0.0.1/32")
	out, err := cmd.StdoutPipe()
	check(t, err)
	var log strings.Builder
	cmd.Stderr = &log
	check(t, cmd.Start())
	s.process = cmd.Process
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server did not end well: %v", err)
		}
		if t.Failed() {
			t.Log(log.String())
		}
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.HasPrefix(line, "Foyer listens on ") {
		t.Fatalf("the server said %q, %v", line, err)
	}
	go io.Copy(io.Discard, out)
	s.wantState("ready")
	s.wantApplied()
	return s
}

// send sends the next file, whether or not the server can take it: it is applied, and acknowledged, or refused for a while. A token can always be had.
func (s *suffering) send() (applied bool) {
	s.t.Helper()
	return s.deliver(s.token())
}

func (s *suffering) token() string {
	s.t.Helper()
	token, err := s.customer.Token()
	check(s.t, err)
	return token
}

// deliver is send with a token.
func (s *suffering) deliver(token string) (applied bool) {
	s.t.Helper()
	n := s.sent
	s.sent++
	reply := s.post(token, file(n))
	switch reply.Status {
	case http.StatusOK:
		run, _, _ := strings.Cut(strings.TrimPrefix(reply.Line(), "OK run="), " ")
		s.last, s.acknowledged = n, append(s.acknowledged, run)
		return true
	case http.StatusServiceUnavailable:
		if wait, err := strconv.Atoi(reply.Header.Get("Retry-After")); err != nil || wait < 1 {
			s.t.Errorf("Retry-After is %q", reply.Header.Get("Retry-After"))
		}
		s.refused++
		s.said = reply.Body
		return false
	}
	s.t.Fatalf("upload %d: %d %s", n, reply.Status, reply.Body)
	return false
}

func (s *suffering) post(token string, file []byte) *script.Reply {
	s.t.Helper()
	req, err := s.customer.UploadRequest(token, file)
	check(s.t, err)
	req.Header.Del("Expect")
	reply, err := s.customer.Do(req)
	check(s.t, err)
	return reply
}

func (s *suffering) wantApplied() {
	s.t.Helper()
	if !s.send() {
		s.t.Fatal("the disk works, and the upload is refused")
	}
	s.check()
}

// wantState waits until /readyz says that, and checks that /healthz says ok.
func (s *suffering) wantState(line string) {
	s.t.Helper()
	said := ""
	for end := time.Now().Add(20 * time.Second); said != line && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		said = s.get("/readyz")
	}
	if said != line {
		s.t.Errorf("/readyz says %q, want %q", said, line)
	}
	if said := s.get("/healthz"); said != "ok" {
		s.t.Errorf("/healthz says %q", said)
	}
}

func (s *suffering) get(path string) string {
	s.t.Helper()
	reply, err := s.customer.Client.Get("http://foyer" + path)
	check(s.t, err)
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	check(s.t, err)
	return strings.TrimSpace(string(text))
}

// TestFaults_FullDisk fills a real disk so that it becomes full a page later in an apply each time. Tokens and readers go on; what is acknowledged is there, and what is refused is not there in part; and once there is room, the
// server takes uploads again without a restart.
func TestFaults_FullDisk(t *testing.T) {
	disk := smallDisk(t, 64<<20)
	s := startSuffering(t, filepath.Join(disk, "data"))
	for pages := int64(0); ; pages++ {
		empty := fill(t, disk, pages<<12)
		applied := s.send()
		s.check() // a command reads what is there
		if pages == 0 {
			if reply := s.post(s.token(), largeFile()); reply.Status != http.StatusServiceUnavailable {
				t.Errorf("a file that does not fit on the disk: %d %s", reply.Status, reply.Body)
			}
			s.wantState("not ready: the disk is full")
		}
		empty()
		if applied {
			break
		}
		s.wantApplied()
	}
	s.wantState("ready")
	if t.Logf("%d were refused", s.refused); s.refused < 10 {
		t.Error("too few were refused: the test shows little")
	}
}

// largeFile is a file that waits on the disk until it has arrived whole.
func largeFile() []byte {
	return []byte("EMAIL,TITLE\n" + strings.Repeat("somebody@test.com,Clerk\n", 100_000))
}

// TestFaults_FailingDisk lets the kernel refuse what the server writes, in each of the ways in which a disk fails, while it runs, and then lets it work again.
func TestFaults_FailingDisk(t *testing.T) {
	s := startSuffering(t, filepath.Join(t.TempDir(), "data"))
	const last, full = "all of it was applied, or nothing; send it again", "the disk is full; nothing was changed"
	for inject, said := range map[string]string{
		"pwrite64,fsync,fdatasync,ftruncate:error=EIO": last, "fsync,fdatasync:error=EIO": last, "pwrite64,ftruncate,fallocate:error=EROFS": last,
		"pwrite64,fallocate:error=ENOSPC": full, "pwrite64:retval=0": full, // nothing was written, and no reason given
	} {
		before := s.refused
		mend := s.inject(inject)
		for range 3 {
			if s.send() {
				t.Errorf("%s: it was acknowledged", inject)
			}
			if !strings.Contains(s.said, said) {
				t.Errorf("%s: the reply is %s, want %q", inject, s.said, said)
			}
		}
		s.wantState("not ready: the database cannot be written")
		mend()
		s.wantState("ready")
		s.check()
		s.wantApplied()
		if s.refused != before+3 {
			t.Errorf("%s: %d were refused", inject, s.refused-before)
		}
	}
}

// TestFaults_UnreadableDisk holds that who cannot be served because the database cannot be read is told to come again, and is served again once it can.
func TestFaults_UnreadableDisk(t *testing.T) {
	s := startSuffering(t, filepath.Join(t.TempDir(), "data"))
	token := s.token()
	mend := s.inject("pread64:error=EIO")
	for range 20 { // what is still in memory is served from there
		if _, err := s.customer.Token(); err != nil && !strings.Contains(err.Error(), "503") {
			t.Errorf("a token: %v", err)
		}
		s.deliver(token)
	}
	mend()
	if t.Logf("%d of 20 were refused", s.refused); s.refused == 0 {
		t.Error("all was in memory: the test shows nothing")
	}
	s.wantState("ready")
	s.wantApplied()
}

// inject has strace do that to the server's calls, until the function that it returns is called.
func (s *suffering) inject(what string) (mend func()) {
	s.t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		s.t.Fatal("strace is missing: apt-get install strace")
	}
	cmd := exec.Command(strace, "-f", "-o", "/dev/null", "-e", "inject="+what, "-p", fmt.Sprint(s.process.Pid))
	said, err := cmd.StderrPipe()
	check(s.t, err)
	check(s.t, cmd.Start())
	lines := bufio.NewReader(said)
	if line, err := lines.ReadString('\n'); err != nil || !strings.Contains(line, " attached") {
		s.t.Fatalf("strace says %q, %v", line, err)
	}
	go io.Copy(io.Discard, lines)
	return func() {
		s.t.Helper()
		check(s.t, cmd.Process.Signal(os.Interrupt)) // it lets go of the server
		cmd.Wait()
	}
}

// holdVariable makes of this program one that writes to the database that it names, and does not come to an end with it before its input ends.
const holdVariable = "FOYER_TEST_HOLD"

func holdDatabase(path string) {
	db, err := sql.Open("sqlite", path)
	if err == nil {
		db.SetMaxOpenConns(1)
		_, err = db.Exec(`PRAGMA busy_timeout = 10000; BEGIN EXCLUSIVE`)
	}
	fmt.Println("held", err)
	io.Copy(io.Discard, os.Stdin)
	db.Exec(`ROLLBACK`)
	db.Close()
}

// TestFaults_AnotherProcessHoldsTheDatabase holds that while another program keeps the database to itself for writing, tokens and readers go on, an upload is refused for a while, and that it is over with the other one.
func TestFaults_AnotherProcessHoldsTheDatabase(t *testing.T) {
	s := startSuffering(t, filepath.Join(t.TempDir(), "data"))
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), holdVariable+"="+filepath.Join(s.data, "foyer.db"))
	in, err := cmd.StdinPipe()
	check(t, err)
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill() })
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "held <nil>\n" {
		t.Fatalf("the other program says %q, %v", line, err)
	}
	answered := make(chan bool, 1)
	go func() {
		defer close(answered)
		answered <- s.send()
	}()
	s.wantState("ready")
	s.token()
	if list := must(t, "run", "list", "--org", "acme", "--data", s.data); !strings.Contains(list, "R-1 ") {
		t.Errorf("a command reads %q", list)
	}
	select {
	case <-answered:
		t.Fatal("the upload did not wait")
	default:
	}
	if applied, ended := <-answered; applied || !ended {
		t.Error("it was acknowledged, or failed")
	}
	check(t, in.Close())
	check(t, cmd.Wait())
	s.wantApplied()
}
