package entratest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// Config says where a Fake listens and what it goes by. Its zero value works.
type Config struct {
	Login, Graph string           // host:port to listen on; "": 127.0.0.1 and a free port. The host is part of the base URL: localhost is another site than 127.0.0.1
	Clock        func() time.Time // nil: time.Now
	Resource     string           // what the Graph is called in scopes; "": both https://graph.microsoft.com and Fake.Graph
}

// Fake is a running identity platform and Graph. Its methods may be called while it answers.
type Fake struct {
	Authority string         // base URL of the identity platform, without a slash at its end
	Graph     string         // base URL of the Graph, without a slash at its end and without v1.0
	Elsewhere string         // base URL of a host that is neither: it answers as a last page of users/delta does, and notes who asked
	CA        *x509.CertPool // what the three certificates are checked with
	CAPEM     []byte         // the same, for files

	clock    func() time.Time
	resource []string
	servers  []*http.Server
	sealer   cipher.AEAD
	hooking  sync.Mutex // held while hooks are asked
	mu       sync.Mutex
	habits   Habits
	hooks    []*hook
	waits    map[string]time.Time
	tooEarly int
	log      []*Request
	keys     []signingKey
	wrong    Wrong
	apps     map[string]*App
	tenants  []*Tenant
	codes    map[string]*code
	grants   map[string]*grant
	spent    map[string]bool // ids of assertions
}

// TB is what Start needs of testing.TB.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Cleanup(func())
}

// Start starts a Fake. It ends with the test.
func Start(t TB) *Fake {
	t.Helper()
	return StartWith(t, Config{})
}

// StartWith is Start with settings.
func StartWith(t TB, c Config) *Fake {
	t.Helper()
	f, err := New(c)
	if err != nil {
		t.Fatalf("starting the fake of Microsoft: %v", err)
	}
	t.Cleanup(f.Close)
	return f
}

// New starts a Fake outside of tests. Close ends it.
func New(c Config) (*Fake, error) {
	f := &Fake{clock: c.Clock, waits: map[string]time.Time{}, apps: map[string]*App{}, codes: map[string]*code{}, grants: map[string]*grant{}, spent: map[string]bool{}}
	if f.clock == nil {
		f.clock = time.Now
	}
	authority, err := newAuthority()
	if err != nil {
		return nil, err
	}
	f.CA, f.CAPEM = authority.pool(), authority.pem()
	if f.sealer, err = newSealer(); err != nil {
		return nil, err
	}
	for _, s := range []struct {
		url     *string
		address string
		name    string
		handler http.Handler
	}{{&f.Authority, c.Login, Login, f.loginRoutes()}, {&f.Graph, c.Graph, Graph, f.graphRoutes()}, {&f.Elsewhere, "", Elsewhere, http.HandlerFunc(f.elsewhere)}} {
		if *s.url, err = f.listen(s.address, authority, f.observe(s.name, s.handler)); err != nil {
			f.Close()
			return nil, err
		}
	}
	f.resource = []string{c.Resource}
	if c.Resource == "" {
		f.resource = []string{"https://graph.microsoft.com", f.Graph}
	}
	return f, nil
}

// listen serves the handler and returns its base URL.
func (f *Fake) listen(address string, a *authority, handler http.Handler) (string, error) {
	if address == "" {
		address = "127.0.0.1:0"
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return "", err
	}
	certificate, err := a.issue(host)
	if err != nil {
		return "", err
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}}}
	f.servers = append(f.servers, server)
	go server.ServeTLS(l, "", "")
	_, port, err := net.SplitHostPort(l.Addr().String())
	return "https://" + net.JoinHostPort(host, port), err
}

// Close ends the servers, and cuts what is under way.
func (f *Fake) Close() {
	for _, s := range f.servers {
		s.Close()
	}
}

// Client returns a new client that trusts the three hosts and nobody else. It follows redirects.
func (f *Fake) Client() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: f.CA}, ForceAttemptHTTP2: true, IdleConnTimeout: 5 * time.Second}}
}

// newID returns a GUID at random.
func newID() string {
	var b [16]byte
	rand.Read(b[:])
	return guid(b)
}

// guid writes 16 bytes as a GUID of version 4.
func guid(b [16]byte) string {
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

func newSealer() (cipher.AEAD, error) {
	key := make([]byte, 16)
	rand.Read(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
