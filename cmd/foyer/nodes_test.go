//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"foyer"
	"foyer/script"
	"foyer/store/storetest"
)

// node is one of several servers on one database.
type node struct {
	socket string
	mu     sync.Mutex
	cmd    *exec.Cmd
}

// fleet is several servers on one PostgreSQL, and customers that use them: each request goes to one of them, and to another where it fails.
type fleet struct {
	t        *testing.T
	cluster  *storetest.Cluster
	database string
	data     string
	nodes    []*node
	mu       sync.Mutex
	sent     map[string]string // by organization and number of the upload: the run that was acknowledged
	refused  map[int]int       // how often a request was answered so and tried again
}

func startFleet(t *testing.T, nodes int, pooled bool) *fleet {
	t.Helper()
	cluster, err := storetest.StartCluster()
	check(t, err)
	t.Cleanup(cluster.Stop)
	dir := t.TempDir()
	name, err := cluster.Create()
	check(t, err)
	database := cluster.URL(name)
	if pooled {
		database, err = cluster.Pool(name)
		check(t, err)
	}
	f := &fleet{t: t, cluster: cluster, database: database, data: filepath.Join(dir, "data"), sent: map[string]string{}, refused: map[int]int{}}
	f.run("migrate")
	for i := range nodes {
		n := &node{socket: filepath.Join(dir, fmt.Sprint("node", i))}
		f.nodes = append(f.nodes, n)
		f.start(n)
		t.Cleanup(func() { f.stop(n) })
	}
	return f
}

// run runs a command and returns what it prints.
func (f *fleet) run(args ...string) string {
	f.t.Helper()
	var out strings.Builder
	if code := run(append(args, "--data", f.data, "--database", f.database), &out, os.Stderr); code != 0 {
		f.t.Fatalf("foyer %s exits with %d", strings.Join(args, " "), code)
	}
	return out.String()
}

// start starts a node and waits until it listens.
func (f *fleet) start(n *node) {
	f.t.Helper()
	name, err := exec.LookPath("foyer") // built by TestMain
	check(f.t, err)
	os.Remove(n.socket)
	cmd := exec.Command(name, "serve", "--data", f.data, "--database", f.database, "--listen", "127.0.0.1:0", "--behind-proxy", "unix:"+n.socket,
		"--trusted-proxy", "127.0.0.1/32", "--uploads", "100000")
	out, err := cmd.StdoutPipe()
	check(f.t, err)
	log, err := os.OpenFile(n.socket+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	check(f.t, err)
	defer log.Close()
	cmd.Stderr = log
	check(f.t, cmd.Start())
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.HasPrefix(line, "Foyer listens on ") {
		f.t.Errorf("the server said %q, %v", line, err)
	}
	n.mu.Lock()
	n.cmd = cmd
	n.mu.Unlock()
}

// stop kills a node.
func (f *fleet) stop(n *node) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd != nil {
		n.cmd.Process.Kill()
		n.cmd.Wait()
		n.cmd = nil
	}
}

// customer makes an organization with a key. Its requests go to a node that is drawn.
func (f *fleet) customer(name string) []*script.Script {
	f.t.Helper()
	f.run("org", "create", name)
	id, secret := keyOf(f.t, f.run("key", "create", "--org", strings.ToLower(name), "--json"))
	var all []*script.Script
	for _, n := range f.nodes {
		all = append(all, &script.Script{URL: "http://foyer", ClientID: id, ClientSecret: secret, Client: &http.Client{Transport: unixTransport(n.socket), Timeout: 2 * time.Minute}})
	}
	return all
}

// upload sends a file until it is acknowledged, as a client does that simply tries again: the same request, with the same Idempotency-Key. Whatever else
// than 200, 503 or a cut connection comes fails the test.
func (f *fleet) upload(customer []*script.Script, name string, n int, file []byte) {
	token := ""
	for end := time.Now().Add(3 * time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		s := customer[rand.IntN(len(customer))]
		var err error
		if token == "" {
			if token, err = s.Token(); err != nil {
				token = ""
				continue // it was killed, or its database was away
			}
		}
		req, err := s.UploadRequest(token, file)
		if err != nil {
			f.t.Error(err)
			return
		}
		req.Header.Del("Expect")
		req.Header.Set("Idempotency-Key", fmt.Sprint(name, n))
		reply, err := s.Do(req)
		if err != nil {
			continue
		}
		f.mu.Lock()
		if reply.Status == http.StatusOK {
			f.sent[fmt.Sprint(name, " ", n)], _, _ = strings.Cut(strings.TrimPrefix(reply.Line(), "OK run="), " ")
		} else {
			f.refused[reply.Status]++
		}
		f.mu.Unlock()
		switch {
		case reply.Status == http.StatusOK:
			return
		case reply.Status != http.StatusServiceUnavailable && reply.Status != http.StatusConflict || reply.Header.Get("Retry-After") == "" && reply.Status != http.StatusConflict:
			f.t.Errorf("%s, upload %d: %d %s\n%s", name, n, reply.Status, reply.Body, f.logged("status=500"))
			return
		}
	}
	f.t.Errorf("%s, upload %d was never acknowledged", name, n)
}

// logged returns the lines of the nodes' logs with a text in them.
func (f *fleet) logged(text string) string {
	var found strings.Builder
	for _, n := range f.nodes {
		log, err := os.ReadFile(n.socket + ".log")
		if err != nil {
			return err.Error()
		}
		for line := range strings.Lines(string(log)) {
			if strings.Contains(line, text) {
				found.WriteString(line)
			}
		}
	}
	return found.String()
}

// check holds that what was acknowledged is there, each upload once, and the book is what the last run says.
func (f *fleet) check(name string) {
	f.t.Helper()
	a := &app{ctx: context.Background(), cli: &cli{Data: f.data, Database: f.database}, out: io.Discard, errOut: os.Stderr}
	check(f.t, a.withOrg(strings.ToLower(name), func(o *opened, org foyer.Org) error {
		runs, err := o.Runs(a.ctx, o.operator, org.ID, 0, false)
		if err != nil {
			return err
		}
		applied := map[string]bool{}
		for _, r := range runs {
			if r.Status == foyer.Applied {
				applied[r.ID.String()] = true
			}
		}
		acknowledged, uploads := map[string]bool{}, 0
		for upload, id := range f.sent {
			if !strings.HasPrefix(upload, name+" ") {
				continue
			}
			uploads++
			acknowledged[id] = true
			if !applied[id] {
				f.t.Errorf("upload %s was acknowledged as %q, which is not there", upload, id)
			}
		}
		if len(applied) != uploads || len(acknowledged) != uploads {
			f.t.Errorf("%s: %d runs were applied for %d uploads, of which %d were acknowledged", name, len(applied), uploads, len(acknowledged))
		}
		titles := map[string]int{}
		err = o.Entries(a.ctx, o.operator, org.ID, func(e *foyer.Entry) error {
			if e.Values[foyer.Email] != "even@test.com" {
				titles[e.Values[foyer.Title]]++
			}
			return nil
		})
		if len(titles) != 1 {
			f.t.Errorf("%s: the book is of several files: %v", name, titles)
		}
		if _, audit := o.VerifyAudit(a.ctx, o.operator, org.ID); audit != nil {
			f.t.Error(audit)
		}
		return err
	}))
}

// load lets three customers send files, by two senders at once, at least so many each, and on until meanwhile was called so often. It waits between its calls.
func (f *fleet) load(uploads, times int, meanwhile func()) {
	names := []string{"Acme", "Beta", "Gamma"}
	var all sync.WaitGroup
	var called atomic.Int64
	for _, name := range names {
		customer := f.customer(name)
		for sender := range 2 {
			all.Go(func() {
				for n := sender; n < uploads || called.Load() < int64(times); n += 2 {
					f.upload(customer, name, n, file(n))
				}
			})
		}
	}
	ended := make(chan bool)
	go func() { all.Wait(); close(ended) }()
	for {
		select {
		case <-ended:
			for _, name := range names {
				f.check(name)
			}
			f.t.Logf("%d uploads, %d faults; answered so and tried again: %v", len(f.sent), called.Load(), f.refused)
			return
		case <-time.After(time.Duration(300+rand.IntN(700)) * time.Millisecond):
			meanwhile()
			called.Add(1)
		}
	}
}

// TestNodes_KilledUnderLoad kills one of three nodes every second or so while customers upload, through a pooler that gives each transaction another connection: whatever was acknowledged is there, and every upload was applied once.
func TestNodes_KilledUnderLoad(t *testing.T) {
	f := startFleet(t, 3, true)
	f.load(40, 10, func() {
		n := f.nodes[rand.IntN(len(f.nodes))]
		f.stop(n)
		f.start(n)
	})
}

// TestNodes_DatabaseRestartedUnderLoad ends the database at once, as pg_ctl restart -m immediate does, in the middle of applies. The nodes go on without a restart.
func TestNodes_DatabaseRestartedUnderLoad(t *testing.T) {
	f := startFleet(t, 2, false)
	f.load(40, 5, func() {
		f.cluster.Kill()
		time.Sleep(time.Duration(rand.IntN(500)) * time.Millisecond) // away for a while
		check(t, f.cluster.Start())
	})
	if slices.ContainsFunc(f.nodes, func(n *node) bool { return n.cmd.ProcessState != nil }) {
		t.Error("a node ended")
	}
}

// TestNodes_ReadOnlyDatabase holds what goes on while the database takes no writes, as one that fails over does: tokens are issued and 503 is answered to who uploads, with
// when to try again; commands read, and a node can start. Once it takes them again, so do the nodes.
func TestNodes_ReadOnlyDatabase(t *testing.T) {
	f := startFleet(t, 1, false)
	customer := f.customer("Acme")
	f.upload(customer, "Acme", 0, file(0))
	send := func() *script.Reply {
		token, err := customer[0].Token()
		check(t, err)
		req, err := customer[0].UploadRequest(token, file(1))
		check(t, err)
		req.Header.Del("Expect")
		reply, err := customer[0].Do(req)
		check(t, err)
		return reply
	}
	check(t, f.cluster.ReadOnly(true))
	time.Sleep(100 * time.Millisecond) // its processes are told
	if reply := send(); reply.Status != http.StatusServiceUnavailable || reply.Header.Get("Retry-After") == "" || !strings.Contains(reply.Body, "read-only") {
		t.Errorf("%d %s", reply.Status, reply.Body)
	}
	if out := f.run("entry", "list", "--org", "acme"); !strings.Contains(out, "p199@test.com") { // as from a replica
		t.Errorf("the entries are %s", out)
	}
	f.stop(f.nodes[0])
	f.start(f.nodes[0])
	check(t, f.cluster.ReadOnly(false))
	time.Sleep(100 * time.Millisecond)
	if reply := send(); reply.Status != http.StatusOK {
		t.Errorf("%d %s", reply.Status, reply.Body)
	}
}

// TestNodes_FullDisk fills the disk of the database. Who uploads is told to come again, and nothing is half done; once there is room, uploads go through without a restart of the node.
func TestNodes_FullDisk(t *testing.T) {
	disk, err := os.MkdirTemp("", "foyer-disk") // PostgreSQL runs as another user, who may not look into the test's folder
	check(t, err)
	t.Cleanup(func() { os.Remove(disk) })
	mount(t, disk, "size=200m,mode=0755")
	t.Setenv("TMPDIR", disk)
	f := startFleet(t, 1, false)
	customer := f.customer("Acme")
	f.upload(customer, "Acme", 0, file(0))
	empty := fill(t, disk, 0)
	refused := 0
	for n := 1; n < 4; n++ {
		token, err := customer[0].Token()
		if err != nil {
			refused++ // where PostgreSQL cannot write its log it ends, and starts again
			continue
		}
		req, err := customer[0].UploadRequest(token, file(n))
		check(t, err)
		req.Header.Del("Expect")
		reply, err := customer[0].Do(req)
		check(t, err)
		if reply.Status != http.StatusServiceUnavailable {
			t.Errorf("%d %s", reply.Status, reply.Body)
		}
		refused++
	}
	empty()
	if refused == 0 {
		t.Error("the disk was never full: the test shows nothing")
	}
	for n := 1; n < 4; n++ {
		f.upload(customer, "Acme", n, file(n))
	}
	f.check("Acme")
}
