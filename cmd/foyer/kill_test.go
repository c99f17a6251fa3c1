//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"foyer"
	"foyer/script"
)

// killed is how many uploads are sent to servers that are killed meanwhile.
const killed = 300

// TestR18_KilledAtAnyMoment kills the server at random moments of 300 applies. After each restart the book is what one whole file says: the
// last that was acknowledged, or one that was under way. A run that was acknowledged is there.
func TestR18_KilledAtAnyMoment(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	if code := run([]string{"org", "create", "Acme", "--data", data}, io.Discard, os.Stderr); code != 0 {
		t.Fatalf("org create exits with %d", code)
	}
	id, secret := makeKey(t, data)
	k := killing{t: t, data: data, socket: filepath.Join(dir, "socket"), last: -1}
	k.customer = &script.Script{URL: "http://foyer", ClientID: id, ClientSecret: secret, Client: &http.Client{Transport: unixTransport(k.socket), Timeout: time.Minute}}
	random := rand.New(rand.NewPCG(1, 2))
	for k.sent < killed {
		k.round(time.Duration(20+random.IntN(180)) * time.Millisecond)
		k.check()
	}
	t.Logf("%d uploads, %d acknowledged, %d kills", k.sent, len(k.acknowledged), k.kills)
	if len(k.acknowledged) == 0 || k.kills < 10 {
		t.Error("too few were acknowledged, or killed: the test shows nothing")
	}
}

type killing struct {
	t            *testing.T
	data, socket string
	customer     *script.Script
	sent, kills  int
	last         int // of the uploads the last that was acknowledged; -1: none
	acknowledged []string
}

// file is the nth upload: 200 people, whose title says which upload it was, and one who is in every second only.
func file(n int) []byte {
	var b strings.Builder
	b.WriteString("EMAIL,TITLE\n")
	for i := range 200 {
		fmt.Fprintf(&b, "p%d@test.com,Title %d\n", i, n)
	}
	if n%2 == 0 {
		fmt.Fprintf(&b, "even@test.com,Title %d\n", n)
	}
	return []byte(b.String())
}

// round starts a server, uploads until it is killed, and waits for its end.
func (k *killing) round(life time.Duration) {
	name, err := exec.LookPath("foyer") // built by TestMain
	check(k.t, err)
	os.Remove(k.socket)
	cmd := exec.Command(name, "serve", "--data", k.data, "--listen", "127.0.0.1:0", "--behind-proxy", "unix:"+k.socket, "--trusted-proxy", "127.0.0.1/32")
	out, err := cmd.StdoutPipe()
	check(k.t, err)
	check(k.t, cmd.Start())
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.HasPrefix(line, "Foyer listens on ") {
		k.t.Fatalf("the server said %q, %v", line, err)
	}
	token, err := k.customer.Token()
	check(k.t, err)
	timer := time.AfterFunc(life, func() { cmd.Process.Kill() })
	defer timer.Stop()
	for k.sent < killed+50 {
		n := k.sent
		k.sent++
		req, err := k.customer.UploadRequest(token, file(n))
		check(k.t, err)
		req.Header.Del("Expect")
		reply, err := k.customer.Do(req)
		if err != nil {
			break // it was killed
		}
		if reply.Status != http.StatusOK {
			k.t.Fatalf("upload %d: %d %s", n, reply.Status, reply.Body)
		}
		run, _, _ := strings.Cut(strings.TrimPrefix(reply.Line(), "OK run="), " ")
		k.last, k.acknowledged = n, append(k.acknowledged, run)
	}
	cmd.Process.Kill()
	if cmd.Wait() != nil {
		k.kills++
	}
	k.customer.Client.CloseIdleConnections()
}

// check reads the book as the next process finds it.
func (k *killing) check() {
	a := &app{ctx: k.t.Context(), cli: &cli{Data: k.data}, out: io.Discard, errOut: os.Stderr}
	check(k.t, a.withOrg("acme", func(o *opened, org foyer.Org) error {
		titles, even, err := map[string]int{}, false, error(nil)
		err = o.Entries(a.ctx, o.operator, org.ID, func(e *foyer.Entry) error {
			if e.Values[foyer.Email] == "even@test.com" {
				even = e.Enabled
			} else {
				titles[e.Values[foyer.Title]]++
			}
			return nil
		})
		if err != nil {
			return err
		}
		applied := -1
		for n := k.last; n < k.sent; n++ {
			if titles[fmt.Sprintf("Title %d", n)] == 200 {
				applied = n
			}
		}
		if len(titles) > 1 || k.last >= 0 && applied < k.last || applied >= 0 && even != (applied%2 == 0) {
			k.t.Fatalf("after upload %d, the last acknowledged %d, the titles are %v, even: %v", k.sent-1, k.last, titles, even)
		}
		runs, err := o.Runs(a.ctx, o.operator, org.ID, 0, false)
		have := map[string]bool{}
		for _, r := range runs {
			have[r.ID.String()] = r.Status == foyer.Applied
		}
		if lost := slices.IndexFunc(k.acknowledged, func(id string) bool { return !have[id] }); lost >= 0 {
			k.t.Fatalf("%s was acknowledged and is not there", k.acknowledged[lost])
		}
		return err
	}))
}
