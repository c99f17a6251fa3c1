// Package certs holds the server's certificate: one that the administrator gives, or one made here.
//
// Without a certificate of the administrator's, the first start makes a certificate authority of the installation's own
// and, under it, a certificate for the server. Clients trust ca.pem once, for ten years; the server's own certificate
// is renewed under it by itself, whenever it nears its end or the server gets another name.
//
// Either way a certificate that changes on disk is served without a restart, and one that is broken
// never replaces one that works. Several processes may share a folder.
package certs

import (
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"foyer"
)

// Config says where the certificate is. Either CertFile and KeyFile are given, or Dir.
type Config struct {
	Dir      string       // a folder for what is made here; it is created with mode 0700
	CertFile string       // the administrator's: PEM, the server's certificate first, then what it was issued by
	KeyFile  string       // its private key: PEM, not encrypted, not readable by everybody
	Hosts    []string     // further names and addresses of the server, beside localhost, 127.0.0.1 and ::1; for Dir only
	Clock    foyer.Clock  // nil: time.Now
	Log      *slog.Logger // nil: slog.Default()
}

// Store serves a certificate, and keeps it current. It may be used by several goroutines at once.
type Store struct {
	certFile, keyFile string
	own               *authority // nil: the administrator's certificate
	clock             foyer.Clock
	log               *slog.Logger

	current atomic.Pointer[tls.Certificate] // never nil
	checked atomic.Int64                    // when the files were last looked at, in Unix nanoseconds

	mu      sync.Mutex // whoever looks at the files; what follows is theirs
	seen    stamp      // the files as last read, well or badly
	renewAt time.Time  // no attempt to renew before this
}

// Load reads the certificate, makes it where there is none, and renews it where that is due. An expired certificate
// of the administrator's is served, with a warning. Errors name the file and what to do about it.
func Load(c Config) (*Store, error) {
	s := &Store{certFile: c.CertFile, keyFile: c.KeyFile, clock: c.Clock, log: c.Log}
	if s.clock == nil {
		s.clock = time.Now
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	switch {
	case (c.CertFile == "") != (c.KeyFile == ""):
		return nil, errors.New("a certificate needs its key: give both the certificate file and the key file, or neither")
	case c.CertFile == "" && c.Dir == "":
		return nil, errors.New("there is no folder for the server's certificate: give one, or a certificate file and its key file")
	case c.CertFile == "":
		if err := s.makeOwn(c.Dir, c.Hosts); err != nil {
			return nil, err
		}
	}
	seen := s.look()
	cert, err := s.read()
	if err != nil {
		return nil, err
	}
	s.seen = seen
	s.checked.Store(s.clock().UnixNano())
	s.take(cert)
	return s, nil
}

func (s *Store) makeOwn(dir string, hosts []string) error {
	names, err := readHosts(hosts)
	if err != nil {
		return err
	}
	s.own = &authority{dir: dir, hosts: names, clock: s.clock, log: s.log}
	s.certFile, s.keyFile = s.own.path(serverCert), s.own.path(serverKey)
	return s.own.ensure(loadWait)
}

// read reads the pair, and refuses a key that the wrong people can read.
func (s *Store) read() (*tls.Certificate, error) {
	// A group may read the administrator's key: Debian's ssl-cert is there for that.
	mask, advice := modeMask(0o027), "chmod 640"
	if s.own != nil {
		mask, advice = 0o077, "chmod 600"
	}
	if err := mask.check(s.keyFile, advice); err != nil {
		return nil, err
	}
	return readPair(s.certFile, s.keyFile)
}

// take serves the certificate from now on.
func (s *Store) take(cert *tls.Certificate) {
	now, leaf := s.clock(), cert.Leaf
	attrs := []any{"file", s.certFile, "not_before", leaf.NotBefore, "not_after", leaf.NotAfter}
	switch {
	case now.After(leaf.NotAfter):
		s.log.Warn("the server's certificate has expired: clients will refuse it; replace it", attrs...)
	case now.Before(leaf.NotBefore):
		s.log.Warn("the server's certificate is not valid yet: clients will refuse it; check the clock", attrs...)
	case s.own == nil && leaf.NotAfter.Sub(now) < renewBefore:
		s.log.Warn("the server's certificate ends soon: replace it", attrs...)
	}
	s.current.Store(cert)
}

// CAFile returns the path of the certificate authority's certificate, which clients must trust; "" where the
// administrator's certificate is served.
func (s *Store) CAFile() string {
	if s.own == nil {
		return ""
	}
	return s.own.path(caCert)
}

// Fingerprint returns the SHA-256 of the certificate served now, as openssl and browsers show it: AB:CD:….
func (s *Store) Fingerprint() string {
	return fingerprint(s.current.Load().Certificate[0])
}

// CAFingerprint returns the SHA-256 of the certificate authority that was made in that folder, as Fingerprint does; "" where there is none.
func CAFingerprint(dir string) (string, error) {
	path := filepath.Join(dir, caCert)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", explain(err)
	}
	ca, err := readCertificate(path, text)
	if err != nil {
		return "", err
	}
	return fingerprint(ca.Raw), nil
}

func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":")
}

// modeMask is the permission bits that a key file must not have.
type modeMask uint32

// check refuses a file with such a bit; Windows has none.
func (m modeMask) check(file, advice string) error {
	info, err := stat(file)
	if err != nil || runtime.GOOS == "windows" {
		return err
	}
	if mode := info.Mode().Perm(); uint32(mode)&uint32(m) != 0 {
		return fmt.Errorf("the key in %s can be read or written by others (mode %04o): %s %s", file, uint32(mode), advice, filepath.Clean(file))
	}
	return nil
}
