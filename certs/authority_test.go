package certs_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"foyer/certs"
)

const day = 24 * time.Hour

func TestTheSecondStartMakesNothing(t *testing.T) {
	f := newFixture(t)
	first := f.load(t).Fingerprint()
	before := f.logged()
	if again := f.load(t).Fingerprint(); again != first || f.logged() != before {
		t.Errorf("the second start made another certificate: %s", f.logged())
	}
}

func TestTheCertificateIsRenewedWhileServing(t *testing.T) {
	f := newFixture(t)
	s := f.load(t)
	address := serve(t, s.TLSConfig())
	ca, key, first := read(t, f.path("ca.pem")), read(t, f.path("server-key.pem")), served(t, address)
	f.pass(365 * day)
	if served(t, address) != first {
		t.Error("renewed too early")
	}
	f.pass(3 * day)
	if served(t, address) == first {
		t.Error("not renewed with 29 days left")
	}
	if !bytes.Equal(ca, read(t, f.path("ca.pem"))) || !bytes.Equal(key, read(t, f.path("server-key.pem"))) {
		t.Error("the authority or the key changed")
	}
	if left := leafOf(t, f.path("server.pem")).NotAfter.Sub(f.now); left < 390*day {
		t.Errorf("the renewed certificate ends in %s", left)
	}
}

func TestTheCertificateIsRenewedAtTheStart(t *testing.T) {
	f := newFixture(t)
	first := f.load(t).Fingerprint()
	f.pass(2 * 365 * day) // expired
	if f.load(t).Fingerprint() == first {
		t.Error("an expired certificate was not renewed")
	}
}

func TestANewHostGetsANewCertificate(t *testing.T) {
	f := newFixture(t)
	first := f.load(t).Fingerprint()
	f.Hosts = []string{"foyer.example.com", "10.1.2.3"}
	second := f.load(t).Fingerprint()
	if second == first {
		t.Error("the certificate is not for the new host")
	}
	f.Hosts = []string{"10.1.2.3"}
	if f.load(t).Fingerprint() != second {
		t.Error("fewer hosts need no other certificate")
	}
}

func TestAFailedRenewalIsLoggedOnceAnHour(t *testing.T) {
	f := newFixture(t)
	get := f.load(t).TLSConfig().GetCertificate
	os.Remove(f.path("ca-key.pem")) // kept elsewhere
	f.pass(370 * day)
	for range 10 {
		f.pass(time.Minute)
		if cert, err := get(nil); cert == nil || err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(f.logged(), "level=ERROR"); n != 1 || !strings.Contains(f.logged(), "authority's key is missing") {
		t.Errorf("%d errors: %s", n, f.logged())
	}
	f.load(t) // and no obstacle to a start
	f.pass(time.Hour)
	get(nil)
	if n := strings.Count(f.logged(), "level=ERROR"); n != 3 {
		t.Errorf("%d errors, want one more of the start and one of the next hour: %s", n, f.logged())
	}
}

func TestABrokenServerCertificateIsMadeAnew(t *testing.T) {
	for _, name := range []string{"server.pem", "server-key.pem"} {
		for _, text := range []string{"", "garbage", string(keyPEM(t, ecKey(t)))} {
			f := newFixture(t)
			first := f.load(t).Fingerprint()
			ca := read(t, f.path("ca.pem"))
			write(t, f.path(name), []byte(text), 0o600)
			if f.load(t).Fingerprint() == first || !bytes.Equal(ca, read(t, f.path("ca.pem"))) {
				t.Errorf("%s %.20q: the certificate is the same, or the authority is not", name, text)
			}
		}
	}
}

func TestAnAuthorityIsNeverReplaced(t *testing.T) {
	f := newFixture(t)
	f.load(t)
	write(t, f.path("ca.pem"), []byte("garbage"), 0o644)
	f.refused(t, "ca.pem holds no certificate")
	write(t, f.path("ca.pem"), selfSigned(t, ecKey(t), f.now.Add(day)), 0o644)
	f.refused(t, "ca.pem is not an authority's")

	for text, broken := range map[string]func(f *fixture){
		"authority's key is missing":          func(f *fixture) { os.Remove(f.path("ca-key.pem")) },
		"ca-key.pem does not belong to":       func(f *fixture) { write(t, f.path("ca-key.pem"), keyPEM(t, ecKey(t)), 0o600) },
		"ca-key.pem holds no key in PEM form": func(f *fixture) { write(t, f.path("ca-key.pem"), []byte("garbage"), 0o600) },
		"ended on":                            func(f *fixture) { f.pass(11 * 365 * day) },
	} {
		f := newFixture(t)
		f.load(t)
		ca := read(t, f.path("ca.pem"))
		broken(f)
		os.Remove(f.path("server.pem"))
		f.refused(t, text, "remove")
		if !bytes.Equal(ca, read(t, f.path("ca.pem"))) {
			t.Errorf("%s: the authority was replaced", text)
		}
	}
}

func TestAnEndingAuthorityIsAnnounced(t *testing.T) {
	f := newFixture(t)
	f.load(t)
	f.pass(3640 * day)
	f.load(t)
	if leaf := leafOf(t, f.path("server.pem")); leaf.NotAfter.After(leafOf(t, f.path("ca.pem")).NotAfter) {
		t.Error("the server's certificate outlives its authority")
	}
	f.load(t)
	if !strings.Contains(f.logged(), "the certificate authority ends") {
		t.Error(f.logged())
	}
}

// A crash right after the key was written leaves a key without its certificate.
func TestAKeyLeftByACrashIsUsed(t *testing.T) {
	f := newFixture(t)
	f.load(t)
	key := read(t, f.path("ca-key.pem"))
	os.Remove(f.path("ca.pem"))
	write(t, f.path("server.pem.tmp"), []byte("half"), 0o644)
	f.load(t)
	if !bytes.Equal(key, read(t, f.path("ca-key.pem"))) {
		t.Error("another key was made")
	}
	if ca := leafOf(t, f.path("ca.pem")); !bytes.Equal(leafOf(t, f.path("server.pem")).RawIssuer, ca.RawSubject) {
		t.Error("the server's certificate is not the new authority's")
	}
	if _, err := os.Stat(f.path("server.pem.tmp")); err == nil {
		t.Error("the half-written file is still there")
	}
}

const dirVariable = "FOYER_TEST_CERTS_DIR"

// TestMain makes this program a server's start when the test below runs it.
func TestMain(m *testing.M) {
	dir := os.Getenv(dirVariable)
	if dir == "" {
		os.Exit(m.Run())
	}
	s, err := certs.Load(certs.Config{Dir: dir})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(s.Fingerprint())
}

func TestProcessesThatStartAtOnceShareAnAuthority(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Skip(err)
	}
	f := newFixture(t)
	outputs := make(chan string)
	const processes = 4
	for range processes {
		go func() {
			command := exec.Command(program)
			command.Env = append(os.Environ(), dirVariable+"="+f.Dir)
			output, err := command.Output()
			if err != nil {
				t.Error(err, string(output))
			}
			outputs <- string(output)
		}()
	}
	prints := map[string]bool{}
	for range processes {
		prints[<-outputs] = true
	}
	if len(prints) != 1 {
		t.Errorf("the processes serve %v", prints)
	}
	if s := f.load(t); !prints[s.Fingerprint()+"\n"] {
		t.Errorf("what is on disk is not what they serve")
	}
	if err := leafOf(t, f.path("server.pem")).CheckSignatureFrom(leafOf(t, f.path("ca.pem"))); err != nil {
		t.Error(err)
	}
}

func TestAFolderThatCannotBeWrittenIsExplained(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("another error")
	}
	f := newFixture(t)
	write(t, f.Dir, nil, 0o644)
	f.refused(t, "making the folder", f.Dir)
}
