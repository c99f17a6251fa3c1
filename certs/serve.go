package certs

import (
	"crypto/tls"
	"io/fs"
	"os"
	"time"
)

// How often the files are looked at while handshakes come in, and renewals that fail are tried again.
const (
	lookEvery  = time.Second
	retryEvery = time.Hour
)

// TLSConfig returns what a listener needs: TLS 1.2 and 1.3, with forward secrecy and authenticated encryption only
// (Mozilla's "intermediate", without the finite-field Diffie-Hellman that Go does not have). TLS 1.2 must stay:
// .NET Framework on Windows Server 2016 and 2019 speaks nothing newer.
func (s *Store) TLSConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		CipherSuites: []uint16{ // of TLS 1.2; those of 1.3 are all sound, and Go's to choose
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
			tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
		GetCertificate: s.certificate,
		NextProtos:     []string{"h2", "http/1.1"},
	}
}

// certificate is tls.Config.GetCertificate. One handshake a second looks at the files; the others do not wait for it.
func (s *Store) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	now := s.clock()
	since := now.Sub(time.Unix(0, s.checked.Load()))
	if (since < 0 || since >= lookEvery) && s.mu.TryLock() {
		defer s.mu.Unlock()
		s.checked.Store(now.UnixNano())
		s.renew(now)
		s.reload()
	}
	return s.current.Load(), nil
}

// renew has the certificate renewed if it was made here and nears its end.
func (s *Store) renew(now time.Time) {
	if s.own == nil || s.current.Load().Leaf.NotAfter.Sub(now) >= renewBefore || now.Before(s.renewAt) {
		return
	}
	s.renewAt = now.Add(retryEvery)
	if err := s.own.ensure(renewWait); err != nil {
		s.log.Error("the server's certificate could not be looked after; trying again in an hour", "error", err)
	}
}

// reload reads the files if they changed. What cannot be used is logged once, and the certificate stays as it is.
func (s *Store) reload() {
	seen := s.look()
	if seen.same(s.seen) {
		return
	}
	s.seen = seen
	cert, err := s.read()
	if err != nil {
		s.log.Error("the server's certificate changed on disk and cannot be used; the one before is served on", "error", err)
		return
	}
	s.take(cert)
	s.log.Info("the server's certificate was read anew", "file", s.certFile, "not_after", cert.Leaf.NotAfter)
}

// stamp is what tells a file that was replaced or repaired from one that was not. It is taken before the file is read.
type stamp struct{ cert, key fs.FileInfo } // nil: not there

func (s *Store) look() stamp {
	cert, _ := os.Stat(s.certFile)
	key, _ := os.Stat(s.keyFile)
	return stamp{cert, key}
}

func (s stamp) same(other stamp) bool {
	return sameFile(s.cert, other.cert) && sameFile(s.key, other.key)
}

func sameFile(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.Mode() == b.Mode() && a.ModTime().Equal(b.ModTime())
}
