package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"foyer"
)

// The files of a folder.
const (
	caCert     = "ca.pem"         // 0644: for clients
	caKey      = "ca-key.pem"     // 0600
	serverCert = "server.pem"     // 0644: the server's certificate, then the authority's
	serverKey  = "server-key.pem" // 0600
	lockFile   = "lock"           // whoever holds it makes or renews
)

// Times of certificates. Apple's systems refuse more than 398 days for a server.
const (
	caLife      = 10 * 365 * 24 * time.Hour
	serverLife  = 397 * 24 * time.Hour
	renewBefore = 30 * 24 * time.Hour
	backdated   = time.Hour // for clients whose clock is slow; part of the life
)

// How long to wait for another process that makes or renews: at the start, and while a client waits.
const (
	loadWait  = 30 * time.Second
	renewWait = time.Second
)

// authority makes certificates in a folder.
type authority struct {
	dir   string
	hosts hosts
	clock foyer.Clock
	log   *slog.Logger
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

// ensure makes what is missing, and renews the server's certificate if it is due or not for all hosts. It does nothing else, however
// often it is called and by how many processes at once.
func (a *authority) ensure(wait time.Duration) error {
	if err := a.makeDir(); err != nil {
		return err
	}
	unlock, err := lock(a.path(lockFile), wait)
	if err != nil {
		return err
	}
	defer unlock()
	ca, err := a.ensureCA()
	if err != nil {
		return err
	}
	reason, err := a.whyIssue(ca)
	if reason == "" || err != nil {
		return err
	}
	err = a.issue(ca, reason)
	if err != nil && reason == endsSoon {
		a.log.Error("the server's certificate could not be renewed; it is served on until the next attempt succeeds", "error", err)
		return nil
	}
	return err
}

func (a *authority) makeDir() error {
	if err := os.MkdirAll(a.dir, 0o700); err != nil {
		return fmt.Errorf("making the folder for the server's certificate: %w", err)
	}
	info, err := os.Stat(a.dir)
	if err != nil {
		return fmt.Errorf("looking at the folder for the server's certificate: %w", err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("others can put keys of theirs into the folder %s (mode %04o): chmod 700 %[1]s", a.dir, uint32(info.Mode().Perm()))
	}
	return nil
}

// ensureCA returns the authority's certificate. It never replaces one, since clients trust it.
func (a *authority) ensureCA() (*x509.Certificate, error) {
	text, err := os.ReadFile(a.path(caCert))
	if errors.Is(err, fs.ErrNotExist) {
		return a.makeCA()
	}
	if err != nil {
		return nil, explain(err)
	}
	ca, err := readCertificate(a.path(caCert), text)
	if err != nil {
		return nil, err
	}
	if !ca.IsCA {
		return nil, fmt.Errorf("the certificate in %s is not an authority's; restore the file, or remove it to have a new one made, "+
			"which clients must trust anew", a.path(caCert))
	}
	return ca, nil
}

// makeCA writes the key first: a key without its certificate, which a crash may leave, is known to no client and is used.
func (a *authority) makeCA() (*x509.Certificate, error) {
	key, err := a.ensureKey(caKey)
	if err != nil {
		return nil, err
	}
	mark := make([]byte, 4)
	rand.Read(mark)
	now := a.clock()
	template := &x509.Certificate{
		// Two installations must not have authorities of the same name: a client that trusts both could take one for the other.
		Subject:               pkix.Name{CommonName: "Foyer CA " + hex.EncodeToString(mark)},
		NotBefore:             now.Add(-backdated),
		NotAfter:              now.Add(caLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("making the certificate authority: %w", err)
	}
	if err := writeFile(a.path(caCert), encode("CERTIFICATE", der), 0o644); err != nil {
		return nil, err
	}
	a.log.Info("made a certificate authority; clients must trust it", "file", a.path(caCert), "sha256", fingerprint(der))
	return x509.ParseCertificate(der)
}

// endsSoon is the one reason for another certificate that leaves the old one good for a while.
const endsSoon = "it ends soon"

// whyIssue returns why the server needs another certificate, "" where it does not.
func (a *authority) whyIssue(ca *x509.Certificate) (string, error) {
	for _, key := range []string{caKey, serverKey} {
		// A server may run without the authority's key, kept elsewhere, until it has to renew.
		if err := modeMask(0o077).check(a.path(key), "chmod 600"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	if _, err := os.Stat(a.path(serverCert)); errors.Is(err, fs.ErrNotExist) {
		return "there is none", nil
	}
	pair, err := readPair(a.path(serverCert), a.path(serverKey))
	if errors.Is(err, fs.ErrPermission) {
		return "", err
	}
	now := a.clock()
	switch {
	case err != nil: // nothing is lost with it
		return "the one there cannot be used: " + err.Error(), nil
	case !bytes.Equal(pair.Leaf.RawIssuer, ca.RawSubject) || pair.Leaf.CheckSignatureFrom(ca) != nil:
		return "the one there is of another authority", nil
	case !a.hosts.coveredBy(pair.Leaf):
		return "the server has another name", nil
	case pair.Leaf.NotAfter.Sub(now) < renewBefore && pair.Leaf.NotAfter.Before(ca.NotAfter):
		return endsSoon, nil
	case ca.NotAfter.Sub(now) < renewBefore:
		a.log.Warn("the certificate authority ends, and with it what it issued: remove "+caCert+", "+caKey+" and "+serverCert+
			" and start again to have a new one made, which clients must trust anew", "file", a.path(caCert), "not_after", ca.NotAfter)
	}
	return "", nil
}

// issue writes a certificate for the server. The key stays when there is a good one: so a renewal replaces a single file, and
// nobody ever reads a certificate and a key that do not belong together.
func (a *authority) issue(ca *x509.Certificate, reason string) error {
	issuer, err := a.issuerKey(ca)
	if err != nil {
		return err
	}
	key, err := a.serverKey()
	if err != nil {
		return err
	}
	now := a.clock()
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "Foyer server"},
		NotBefore:   now.Add(-backdated),
		NotAfter:    earlier(now.Add(serverLife-backdated), ca.NotAfter),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    a.hosts.names,
		IPAddresses: a.hosts.addresses,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, key.Public(), issuer)
	if err != nil {
		return fmt.Errorf("making the server's certificate: %w", err)
	}
	chain := append(encode("CERTIFICATE", der), encode("CERTIFICATE", ca.Raw)...)
	if err := writeFile(a.path(serverCert), chain, 0o644); err != nil {
		return err
	}
	a.log.Info("made a certificate for the server", "file", a.path(serverCert), "reason", reason,
		"names", a.hosts.names, "addresses", a.hosts.addresses, "not_after", template.NotAfter, "sha256", fingerprint(der))
	return nil
}

// issuerKey returns the authority's key, if the authority can still issue.
func (a *authority) issuerKey(ca *x509.Certificate) (crypto.Signer, error) {
	anew := "remove " + a.path(caCert) + " to have a new authority made, which clients must trust anew"
	if !a.clock().Before(ca.NotAfter) {
		return nil, fmt.Errorf("the certificate authority in %s ended on %s: %s", a.path(caCert), ca.NotAfter.Format(time.DateOnly), anew)
	}
	text, err := os.ReadFile(a.path(caKey))
	if err != nil {
		return nil, fmt.Errorf("the server needs a new certificate, for which the authority's key is missing; put it back, or %s: %w", anew, err)
	}
	key, err := readKey(a.path(caKey), text)
	if err != nil {
		return nil, fmt.Errorf("%w; restore it, or remove it too and %s", err, anew)
	}
	if public, ok := key.Public().(*ecdsa.PublicKey); !ok || !public.Equal(ca.PublicKey) {
		return nil, fmt.Errorf("the key in %s does not belong to the certificate in %s; restore it, or remove it too and %s",
			a.path(caKey), a.path(caCert), anew)
	}
	return key, nil
}

// serverKey returns the server's key, a new one where there is none that can be used.
func (a *authority) serverKey() (crypto.Signer, error) {
	key, err := a.ensureKey(serverKey)
	if err == nil {
		return key, nil
	}
	a.log.Warn("the server's key cannot be used; another is made", "error", err)
	if err := os.Remove(a.path(serverKey)); err != nil {
		return nil, fmt.Errorf("removing the server's key: %w", err)
	}
	return a.ensureKey(serverKey)
}

// ensureKey reads a key, or makes it where there is none.
func (a *authority) ensureKey(name string) (crypto.Signer, error) {
	text, err := os.ReadFile(a.path(name))
	if err == nil {
		return readKey(a.path(name), text)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, explain(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("writing a key: %w", err)
	}
	return key, writeFile(a.path(name), encode("PRIVATE KEY", der), 0o600)
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
