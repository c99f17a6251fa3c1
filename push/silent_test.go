package push_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"foyer/certs"
	"foyer/foyertest"
	"foyer/push"
)

// soonEnough is how long a test waits for what should take a fraction of a second, on a machine that is busy.
const soonEnough = time.Minute

// startSilent starts what takes connections, and speaks TLS if it is given a certificate, but never answers. It returns its address.
func startSilent(t *testing.T, config *tls.Config) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			if config != nil {
				go tls.Server(conn, config).Handshake()
			}
		}
	}()
	return l.Addr().String()
}

// certificate returns settings of TLS for a server on this machine, and who vouches for it.
func certificate(t *testing.T) (*tls.Config, string) {
	t.Helper()
	made, err := certs.Load(certs.Config{Dir: t.TempDir(), Hosts: []string{"localhost"}, Log: (&customer{}).logger()})
	if err != nil {
		t.Fatal(err)
	}
	config := made.TLSConfig().Clone()
	config.NextProtos = nil // LDAP has none
	return config, made.CAFile()
}

// impatient are settings of a server that must answer at once.
func impatient(c *customer, t *testing.T) {
	c.write(t, "foyer-push.toml", strings.Replace(c.read(t, "foyer-push.toml"), "[server]", "[server]\ntimeout = \"200ms\"\nattempts = 2", 1))
}

// TestUpload_ASilentServerIsGivenUp holds that who takes a connection and says nothing, before TLS or after it, is not waited for longer than the settings say, by the doctor neither.
func TestUpload_ASilentServerIsGivenUp(t *testing.T) {
	f := foyertest.Start(t)
	config, caFile := certificate(t)
	for want, address := range map[string]string{"TLS handshake timeout": startSilent(t, nil), "no answer within 200ms": startSilent(t, config)} {
		c := newCustomer(t, f, "https://"+address, caFile, "")
		impatient(c, t)
		begin := time.Now()
		sent, outcome := c.send(t, two, false)
		if outcome != push.Unreachable || !strings.Contains(sent.Err.Error(), "2 times without an answer") || !strings.Contains(sent.Err.Error(), "no answer within 200ms") && !strings.Contains(sent.Err.Error(), want) {
			t.Errorf("%s: %v, %v", want, outcome, sent.Err)
		}
		outcome, said := examine(t, c, c.dir+"/staff.csv")
		if outcome != push.Unreachable || !strings.Contains(said, "[TLS] FAIL") || !strings.Contains(said, "skip, needs server") {
			t.Errorf("%s: the doctor: %v\n%s", want, outcome, said)
		}
		if took := time.Since(begin); took > soonEnough {
			t.Errorf("%s: it took %v", want, took)
		}
	}
}

// TestDirectory_ASilentOneIsGivenUp holds the same of a directory, and that the message says so.
func TestDirectory_ASilentOneIsGivenUp(t *testing.T) {
	f := foyertest.Start(t)
	config, caFile := certificate(t)
	plain, spoken := startSilent(t, nil), startSilent(t, config)
	for address, want := range map[string]string{"ldaps://" + plain: "no answer within 300ms", "ldap://" + plain: "no answer within 300ms", "ldaps://" + spoken: "there was no answer in time"} {
		c := newCustomer(t, f, f.Script.URL, f.CAFile, fmt.Sprintf("[[directory]]\nkind = \"ldap\"\nurls = [%q]\nca_file = %q\nbind_dn = \"cn=x\"\npassword_file = \"ldap.secret\"\nbases = [\"dc=x\"]\ntimeout = \"300ms\"\n", address, caFile))
		c.write(t, "ldap.secret", "secret")
		begin := time.Now()
		_, err := push.FromDirectories(t.Context(), c.load(t), c.logger(), nil)
		if push.OutcomeOf(err) != push.NotRead || !strings.Contains(err.Error(), want) || time.Since(begin) > soonEnough {
			t.Errorf("%s: after %v: %v; it should say %q", address, time.Since(begin), err, want)
		}
	}
}

// TestUpload_AnswerThatWasCutIsTriedAgain holds that of an answer whose JSON was cut on the way, though all that was announced came, the file is sent again as the same, and that in the end it is told.
func TestUpload_AnswerThatWasCutIsTriedAgain(t *testing.T) {
	f := foyertest.Start(t)
	keys := map[string]bool{}
	for _, cut := range []int{2, 100} {
		fr := newFront(t, f, func(n int, w http.ResponseWriter, r *http.Request, pass http.Handler) {
			keys[r.Header.Get("Idempotency-Key")] = true
			if n <= cut {
				pass.ServeHTTP(&cutter{ResponseWriter: w}, r)
				return
			}
			pass.ServeHTTP(w, r)
		})
		c := newCustomer(t, f, fr.url, fr.caFile, "")
		sent, outcome := c.send(t, two, false)
		switch {
		case cut == 2 && (outcome != push.Applied || sent.Reply.Run != "R-1" || sent.Reply.Added != 2 || fr.uploads.Load() != 3 || len(keys) != 1):
			t.Errorf("%v, %+v, sent %d times under %d keys", outcome, sent, fr.uploads.Load(), len(keys))
		case cut == 100 && (outcome != push.Unreachable || !strings.Contains(sent.Err.Error(), "8 times, and the last answer") || !strings.Contains(sent.Err.Error(), "was cut")):
			t.Errorf("%v, %v", outcome, sent.Err)
		}
	}
}

// cutter passes on the half of what is written, with a length as if that were all.
type cutter struct{ http.ResponseWriter }

func (c *cutter) WriteHeader(status int) {
	c.Header().Del("Content-Length")
	c.ResponseWriter.WriteHeader(status)
}

func (c *cutter) Write(p []byte) (int, error) {
	_, err := c.ResponseWriter.Write(p[:len(p)/2])
	return len(p), err
}

// TestUpload_ARedirectSaysWhereItLeads holds that the message says where, and nothing of what is behind the path.
func TestUpload_ARedirectSaysWhereItLeads(t *testing.T) {
	f := foyertest.Start(t)
	fr := newFront(t, f, func(n int, w http.ResponseWriter, r *http.Request, pass http.Handler) {
		http.Redirect(w, r, "https://user:pw@login.example.com/sign-in?session=private", http.StatusFound)
	})
	c := newCustomer(t, f, fr.url, fr.caFile, "")
	sent, outcome := c.send(t, two, false)
	if outcome != push.Unreachable || !strings.Contains(sent.Err.Error(), "answered 302: what answered is not Foyer, but refers to https://login.example.com/sign-in, which is not followed") || strings.Contains(sent.Err.Error(), "private") {
		t.Errorf("%v, %v", outcome, sent.Err)
	}
}

// TestUpload_AProxyThatWantsAPasswordIsSaid holds that it is not tried again and again, and what to do.
func TestUpload_AProxyThatWantsAPasswordIsSaid(t *testing.T) {
	f := foyertest.Start(t)
	l := startRefusing(t)
	c := newCustomer(t, f, f.Script.URL, f.CAFile, "")
	c.write(t, "foyer-push.toml", strings.Replace(c.read(t, "foyer-push.toml"), `"none"`, `"http://`+l+`"`, 1))
	sent, outcome := c.send(t, two, false)
	if outcome != push.Unreachable || !strings.Contains(sent.Err.Error(), "HTTPS_PROXY") || strings.Contains(sent.Err.Error(), "times") {
		t.Errorf("%v, %v", outcome, sent.Err)
	}
}

// startRefusing starts a proxy that wants a password.
func startRefusing(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusProxyAuthRequired) }))
	return l.Addr().String()
}
