package certs_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"foyer/certs"
)

// fixture is a store's surroundings: a folder, a clock that moves, and a log that can be read.
type fixture struct {
	certs.Config
	mu  sync.Mutex
	now time.Time
	out bytes.Buffer
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{now: time.Now()}
	f.Config = certs.Config{
		Dir:   filepath.Join(t.TempDir(), "tls"),
		Clock: f.clock,
		Log:   slog.New(slog.NewTextHandler(f, nil)),
	}
	return f
}

func (f *fixture) clock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *fixture) pass(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

func (f *fixture) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.out.Write(p)
}

func (f *fixture) logged() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.out.String()
}

func (f *fixture) path(name string) string { return filepath.Join(f.Dir, name) }

func (f *fixture) load(t *testing.T) *certs.Store {
	t.Helper()
	s, err := certs.Load(f.Config)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// refused loads, and checks that the error has all of the texts.
func (f *fixture) refused(t *testing.T, texts ...string) {
	t.Helper()
	_, err := certs.Load(f.Config)
	for _, text := range texts {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("Load: %v\nwant an error with %q", err, text)
		}
	}
}

// give puts a certificate of the administrator's and its key beside the folder.
func (f *fixture) give(t *testing.T, key crypto.Signer, notAfter time.Time) {
	t.Helper()
	dir := filepath.Dir(f.Dir)
	f.CertFile, f.KeyFile = filepath.Join(dir, "given.pem"), filepath.Join(dir, "given-key.pem")
	write(t, f.CertFile, selfSigned(t, key, notAfter), 0o644)
	write(t, f.KeyFile, keyPEM(t, key), 0o640)
}

func write(t *testing.T, file string, text []byte, mode os.FileMode) {
	t.Helper()
	os.Remove(file)
	if err := os.WriteFile(file, text, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func ecKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func keyPEM(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func selfSigned(t *testing.T, key crypto.Signer, notAfter time.Time) []byte {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: "given"},
		NotBefore:    notAfter.Add(-2000 * time.Hour),
		NotAfter:     notAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		DNSNames:     []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func leafOf(t *testing.T, file string) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(read(t, file))
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestAnOwnCertificateIsMade(t *testing.T) {
	f := newFixture(t)
	f.Hosts = []string{"Foyer.Example.com.", "10.1.2.3", "[2001:db8::1]", "bücher.example", "*.example.org", "localhost"}
	s := f.load(t)
	if s.CAFile() != f.path("ca.pem") {
		t.Errorf("CAFile() = %q", s.CAFile())
	}
	ca, leaf := leafOf(t, f.path("ca.pem")), leafOf(t, f.path("server.pem"))
	if !ca.IsCA || !ca.MaxPathLenZero || ca.NotAfter.Sub(f.now).Round(24*time.Hour) != 3650*24*time.Hour {
		t.Errorf("the authority: CA %v, path length 0 %v, until %s", ca.IsCA, ca.MaxPathLenZero, ca.NotAfter)
	}
	if life := leaf.NotAfter.Sub(leaf.NotBefore); life > 397*24*time.Hour || leaf.IsCA {
		t.Errorf("the server's certificate lives %s, CA %v", life, leaf.IsCA)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	for _, host := range []string{"localhost", "127.0.0.1", "::1", "foyer.example.com", "10.1.2.3", "2001:db8::1", "xn--bcher-kva.example", "a.example.org"} {
		if _, err := leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: pool, CurrentTime: f.now}); err != nil {
			t.Errorf("as %s: %v", host, err)
		}
	}
	if parts := strings.Split(s.Fingerprint(), ":"); len(parts) != 32 || !strings.Contains(f.logged(), s.Fingerprint()) {
		t.Errorf("Fingerprint() = %q, which the log should have", s.Fingerprint())
	}
}

func TestFilesHaveSafeModes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no modes")
	}
	f := newFixture(t)
	f.load(t)
	for name, want := range map[string]os.FileMode{"": 0o700, "ca.pem": 0o644, "ca-key.pem": 0o600, "server.pem": 0o644, "server-key.pem": 0o600} {
		info, err := os.Stat(f.path(name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%q: %v, %v; want %v", name, info.Mode().Perm(), err, want)
		}
	}
	entries, _ := os.ReadDir(f.Dir)
	if len(entries) != 5 {
		t.Errorf("the folder holds %v", entries)
	}
}

func TestUnsafeModesAreRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no modes")
	}
	for _, name := range []string{"server-key.pem", "ca-key.pem"} {
		f := newFixture(t)
		f.load(t)
		os.Chmod(f.path(name), 0o640)
		f.refused(t, name, "mode 0640", "chmod 600")
	}
	f := newFixture(t)
	f.load(t)
	os.Chmod(f.Dir, 0o777)
	f.refused(t, f.Dir, "chmod 700")
}

func TestAGroupMayReadAGivenKey(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no modes")
	}
	f := newFixture(t)
	f.give(t, ecKey(t), f.now.Add(1000*time.Hour))
	for mode, good := range map[os.FileMode]bool{0o400: true, 0o600: true, 0o640: true, 0o660: false, 0o644: false, 0o602: false} {
		os.Chmod(f.KeyFile, mode)
		if good {
			f.load(t)
		} else {
			f.refused(t, f.KeyFile, "chmod 640")
		}
	}
}

func TestAGivenCertificateIsServed(t *testing.T) {
	f := newFixture(t)
	f.give(t, ecKey(t), f.now.Add(1000*time.Hour))
	s := f.load(t)
	if s.CAFile() != "" {
		t.Errorf("CAFile() = %q", s.CAFile())
	}
	if _, err := os.Stat(f.Dir); err == nil {
		t.Error("a folder was made")
	}
	if strings.Contains(f.logged(), "level=WARN") {
		t.Error(f.logged())
	}
}

func TestAnEndingGivenCertificateIsServedWithAWarning(t *testing.T) {
	for text, left := range map[string]time.Duration{"has expired": -time.Hour, "ends soon": 10 * 24 * time.Hour, "not valid yet": 3000 * time.Hour} {
		f := newFixture(t)
		f.give(t, ecKey(t), f.now.Add(left))
		f.load(t)
		if !strings.Contains(f.logged(), text) {
			t.Errorf("the log has no %q: %s", text, f.logged())
		}
	}
}

func TestUnusableGivenFilesAreExplained(t *testing.T) {
	key := ecKey(t)
	encrypted := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")})
	old := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED"}, Bytes: []byte("x")})
	damagedKey := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")})
	damaged := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})
	tests := []struct {
		name      string
		cert, key []byte // nil: good
		texts     []string
	}{
		{"another key", nil, keyPEM(t, ecKey(t)), []string{"given-key.pem does not belong to", "given.pem"}},
		{"a key of another kind", nil, keyPEM(t, rsaKey(t)), []string{"does not belong to"}},
		{"not PEM", []byte("\x30\x82garbage"), nil, []string{"given.pem holds no certificate in PEM form", "openssl x509"}},
		{"empty", []byte{}, nil, []string{"given.pem holds no certificate"}},
		{"the wrong way round", keyPEM(t, key), nil, []string{"given.pem holds a key", "wrong way round"}},
		{"twice the certificate", nil, selfSigned(t, key, time.Now()), []string{"given-key.pem holds a certificate", "wrong way round"}},
		{"a damaged certificate", damaged, nil, []string{"given.pem is damaged"}},
		{"garbage for a key", nil, []byte("garbage"), []string{"given-key.pem holds no key in PEM form"}},
		{"a damaged key", nil, damagedKey, []string{"given-key.pem is damaged"}},
		{"an encrypted key", nil, encrypted, []string{"given-key.pem is encrypted", "openssl pkey"}},
		{"a key encrypted the old way", nil, old, []string{"given-key.pem is encrypted", "openssl pkey"}},
		{"too large", bytes.Repeat([]byte("x"), 2<<20), nil, []string{"given.pem is larger than"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t)
			f.give(t, key, f.now.Add(1000*time.Hour))
			if test.cert != nil {
				write(t, f.CertFile, test.cert, 0o644)
			}
			if test.key != nil {
				write(t, f.KeyFile, test.key, 0o600)
			}
			f.refused(t, test.texts...)
		})
	}
}

func TestMissingFilesAndHalfConfigurationsAreExplained(t *testing.T) {
	f := newFixture(t)
	f.give(t, ecKey(t), f.now.Add(time.Hour))
	os.Remove(f.KeyFile)
	f.refused(t, "missing", f.KeyFile)
	f.KeyFile = ""
	f.refused(t, "needs its key")
	f.Config = certs.Config{}
	f.refused(t, "there is no folder")
	for _, host := range []string{"", "a b", "https://x", "x:8443", "x/y", "a..b"} {
		f = newFixture(t)
		f.Hosts = []string{host}
		f.refused(t, fmt.Sprintf("%q is neither a host name nor an IP address", host))
	}
}

func TestKeysOfOtherFormsAreRead(t *testing.T) {
	rsaOne, ecOne := rsaKey(t), ecKey(t)
	ecDER, err := x509.MarshalECPrivateKey(ecOne.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	parameters := pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 8}})
	ecPEM := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: ecDER})
	rsaPEM := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaOne)})
	f := newFixture(t)
	f.give(t, ecOne, f.now.Add(1000*time.Hour))
	write(t, f.KeyFile, append(parameters, ecPEM...), 0o600)
	f.load(t)
	f.give(t, rsaOne, f.now.Add(1000*time.Hour))
	write(t, f.KeyFile, rsaPEM, 0o600)
	f.load(t)
}

// serve answers handshakes on the loopback until the test ends.
func serve(t *testing.T, config *tls.Config) (address string) {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			conn.(*tls.Conn).Handshake()
			conn.Close()
		}
	}()
	t.Cleanup(func() { listener.Close(); <-done })
	return listener.Addr().String()
}

func dial(t *testing.T, address string, config *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	conn, err := tls.DialWithDialer(dialer, "tcp", address, config)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	return conn.ConnectionState(), nil
}

// TestCAFingerprint holds that it is that of the authority, without a server, and that there is none where the administrator's certificate is served.
func TestCAFingerprint(t *testing.T) {
	dir := t.TempDir()
	if got, err := certs.CAFingerprint(dir); got != "" || err != nil {
		t.Errorf("of nothing it is %q, %v", got, err)
	}
	s, err := certs.Load(certs.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(leafOf(t, s.CAFile()).Raw)
	if got, err := certs.CAFingerprint(dir); got != strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":") || err != nil {
		t.Errorf("it is %q, %v", got, err)
	}
}
