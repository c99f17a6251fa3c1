package trust_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"foyer/trust"
)

// pair makes a certificate for a name, which is its own authority, and writes it into a file.
func pair(t *testing.T, name string, until time.Time) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test"}, DNSNames: []string{name}, NotBefore: until.Add(-48 * time.Hour), NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

// serve speaks TLS by those settings, or, where there are none, something else, and returns where.
func serve(t *testing.T, config *tls.Config) string {
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
			if config == nil {
				conn.Write([]byte("220 mail.example.com ESMTP\r\n"))
			} else {
				tls.Server(conn, config).Handshake()
			}
			conn.Close()
		}
	}()
	return l.Addr().String()
}

// TestExplain_SaysWhyAHandshakeFailed holds that each way in which a handshake fails is told apart, with what to do, and that one that may pass does.
func TestExplain_SaysWhyAHandshakeFailed(t *testing.T) {
	good, goodCA := pair(t, "localhost", time.Now().Add(time.Hour))
	old, oldCA := pair(t, "localhost", time.Now().Add(-time.Hour))
	_, otherCA := pair(t, "localhost", time.Now().Add(time.Hour))
	with := func(c tls.Certificate, most uint16) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{c}, MinVersion: tls.VersionTLS10, MaxVersion: most}
	}
	for _, c := range []struct {
		what   string
		server *tls.Config
		ca     string
		name   string
		want   string
	}{
		{"all is well", with(good, tls.VersionTLS12), goodCA, "localhost", ""},
		{"TLS 1.1", with(good, tls.VersionTLS11), goodCA, "localhost", "speaks no TLS 1.2"},
		{"another authority", with(good, 0), otherCA, "localhost", "set ca_file"},
		{"no authority that is known", with(good, 0), "", "localhost", "set ca_file"},
		{"another name", with(good, 0), goodCA, "example.com", "is for other names"},
		{"an address", with(good, 0), goodCA, "127.0.0.1", "not for this IP address"},
		{"an old certificate", with(old, 0), oldCA, "localhost", "has ended"},
		{"no TLS", nil, goodCA, "localhost", "speaks no TLS: is the port right?"},
	} {
		config, err := trust.Config(c.ca)
		if err != nil {
			t.Fatal(err)
		}
		config.ServerName = c.name
		conn, err := tls.Dial("tcp", serve(t, c.server), config)
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", c.what, err)
				continue
			}
			state := conn.ConnectionState()
			if said := trust.Describe(&state); !strings.Contains(said, "TLS 1.2, TLS_ECDHE") || !strings.Contains(said, `"Test" valid until 20`) {
				t.Errorf("%s: it is described as %s", c.what, said)
			}
			continue
		}
		if err == nil || !strings.Contains(trust.Explain(err), c.want) {
			t.Errorf("%s: %v; it should be explained by %q", c.what, err, c.want)
		}
	}
	if _, err := net.Dial("tcp", "127.0.0.1:1"); err == nil || trust.Explain(err) != "" {
		t.Errorf("that nobody listens is nothing of TLS: %v", err)
	}
}

func TestConfig_WhatIsNoCertificateIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca.pem")
	if _, err := trust.Config(file); err == nil || !strings.Contains(err.Error(), "ca.pem") {
		t.Errorf("a file that is not there: %v", err)
	}
	if err := os.WriteFile(file, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := trust.Config(file); err == nil || !strings.Contains(err.Error(), "BEGIN CERTIFICATE") {
		t.Errorf("garbage: %v", err)
	}
}
