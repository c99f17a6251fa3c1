package certs_test

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"foyer/certs"
)

func TestClientsThatAreSafeConnect(t *testing.T) {
	f := newFixture(t)
	s := f.load(t)
	address := serve(t, s.TLSConfig())
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(read(t, s.CAFile()))
	tests := []struct {
		name   string
		config *tls.Config
		check  func(tls.ConnectionState) bool
	}{
		{"TLS 1.2 with the suite that Windows before 2016 has", &tls.Config{
			MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
		}, func(c tls.ConnectionState) bool {
			return c.Version == tls.VersionTLS12 && c.CipherSuite == tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
		}},
		{"TLS 1.3", &tls.Config{MinVersion: tls.VersionTLS13}, func(c tls.ConnectionState) bool { return c.Version == tls.VersionTLS13 }},
		{"HTTP/2", &tls.Config{NextProtos: []string{"h2", "http/1.1"}}, func(c tls.ConnectionState) bool { return c.NegotiatedProtocol == "h2" }},
		{"HTTP/1.1", &tls.Config{NextProtos: []string{"http/1.1"}}, func(c tls.ConnectionState) bool { return c.NegotiatedProtocol == "http/1.1" }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.config.RootCAs = pool
			if state, err := dial(t, address, test.config); err != nil || !test.check(state) {
				t.Errorf("%v, version %x, suite %x, protocol %q", err, state.Version, state.CipherSuite, state.NegotiatedProtocol)
			}
		})
	}
}

// Each client is also shown to a server that takes everything: it must be ours that refuses.
func TestClientsThatAreNotSafeAreRefused(t *testing.T) {
	f := newFixture(t)
	f.give(t, rsaKey(t), f.now.Add(1000*time.Hour))
	ours := f.load(t).TLSConfig()
	pair, err := tls.LoadX509KeyPair(f.CertFile, f.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	lax := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS10}
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		lax.CipherSuites = append(lax.CipherSuites, suite.ID)
	}
	strictAddress, laxAddress := serve(t, ours), serve(t, lax)
	for name, config := range map[string]*tls.Config{
		"TLS 1.0":          {MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10},
		"TLS 1.1":          {MinVersion: tls.VersionTLS11, MaxVersion: tls.VersionTLS11},
		"CBC":              {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA}},
		"CBC with SHA-256": {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256}},
		"RSA key exchange": {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}},
		"RC4":              {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_RC4_128_SHA}},
	} {
		config.InsecureSkipVerify = true
		if _, err := dial(t, laxAddress, config); err != nil {
			t.Errorf("%s: not even a lax server takes it: %v", name, err)
		}
		if _, err := dial(t, strictAddress, config); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

// served returns the serial number of the certificate that a client is shown.
func served(t *testing.T, address string) string {
	t.Helper()
	state, err := dial(t, address, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	return state.PeerCertificates[0].SerialNumber.String()
}

func TestACertificateRenewedOnDiskIsServed(t *testing.T) {
	f := newFixture(t)
	key := ecKey(t)
	f.give(t, key, f.now.Add(1000*time.Hour))
	s := f.load(t)
	address := serve(t, s.TLSConfig())
	first, print := served(t, address), s.Fingerprint()

	f.give(t, ecKey(t), f.now.Add(1500*time.Hour))
	if served(t, address) != first {
		t.Error("the files are looked at more than once a second")
	}
	f.pass(time.Second)
	if served(t, address) == first || s.Fingerprint() == print {
		t.Error("the renewed certificate is not served")
	}
}

func TestABrokenCertificateOnDiskIsNotServed(t *testing.T) {
	f := newFixture(t)
	f.give(t, ecKey(t), f.now.Add(1000*time.Hour))
	address := serve(t, f.load(t).TLSConfig())
	first := served(t, address)

	write(t, f.CertFile, []byte("half a certif"), 0o644)
	for range 3 {
		f.pass(time.Second)
		if served(t, address) != first {
			t.Error("another certificate is served")
		}
	}
	if n := strings.Count(f.logged(), "level=ERROR"); n != 1 {
		t.Errorf("%d errors are logged, want 1: %s", n, f.logged())
	}
	os.Remove(f.CertFile)
	for range 3 {
		f.pass(time.Second)
		served(t, address)
	}
	if n := strings.Count(f.logged(), "level=ERROR"); n != 2 {
		t.Errorf("%d errors are logged, want 2: %s", n, f.logged())
	}
	f.give(t, ecKey(t), f.now.Add(1000*time.Hour))
	f.pass(time.Second)
	if served(t, address) == first {
		t.Error("the repaired certificate is not served")
	}
}

func TestHandshakesMayComeAllAtOnce(t *testing.T) {
	f := newFixture(t)
	key := ecKey(t)
	f.give(t, key, f.now.Add(1000*time.Hour))
	s := f.load(t)
	get := s.TLSConfig().GetCertificate
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for range 200 {
				f.pass(time.Second)
				if cert, err := get(nil); cert == nil || err != nil {
					t.Error(err)
				}
				s.Fingerprint()
			}
		})
	}
	for range 20 {
		write(t, f.CertFile, selfSigned(t, key, f.clock().Add(1000*time.Hour)), 0o644)
	}
	clients.Wait()
}

func BenchmarkGetCertificate(b *testing.B) {
	s, err := certs.Load(certs.Config{Dir: b.TempDir() + "/tls"})
	if err != nil {
		b.Fatal(err)
	}
	get := s.TLSConfig().GetCertificate
	b.ReportAllocs()
	for b.Loop() {
		get(nil)
	}
}
