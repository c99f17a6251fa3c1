// Package trust says whom a program of the customer's believes: the settings of TLS towards a server or a directory, and, where
// a handshake fails, why and what to do.
package trust

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
)

// Config returns settings for clients: TLS 1.2 or newer, verified. caFile names the authorities (PEM) that alone are trusted; where it is empty, those of
// this machine are.
func Config(caFile string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile == "" {
		return c, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("read ca_file: %w", err)
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca_file %s holds no certificate in PEM; it begins with -----BEGIN CERTIFICATE-----", caFile)
	}
	return c, nil
}

// cures are what to do about a failed handshake, by what its error's text holds: StartTLS of the LDAP library keeps nothing but the text.
var cures = []struct{ text, cure string }{
	{"signed by unknown authority", "its certificate is of an authority that is not trusted here: set ca_file to that authority's certificate (PEM)"},
	{"certificate has expired or is not yet valid", "its certificate has ended or begins later: renew it there, or set the clock of this machine right"},
	{"certificate is valid for", "its certificate is for other names: write the address with one of them"},
	{"cannot validate certificate for", "its certificate is for names, not for this IP address: write the address with one of its names"},
	{"protocol version not supported", "it speaks no TLS 1.2: update it"},
	{"unsupported versions", "it speaks no TLS 1.2: update it"},
	{"handshake failure", "it and this program have no TLS cipher in common: update it"},
	{"does not look like a TLS handshake", "what answers there speaks no TLS: is the port right?"},
	{"certificate is not standards compliant", "the system does not accept its certificate: it lives too long, or has no alternative name"},
	{"bad certificate", "it wants another certificate of this client, which this program does not have"},
}

// Explain returns why a handshake failed and what to do, or "" where err is of something else.
func Explain(err error) string {
	text := err.Error()
	for _, c := range cures {
		if strings.Contains(text, c.text) {
			return c.cure
		}
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "its certificate cannot be verified"
	}
	return ""
}

// Describe says in words what a connection is protected by.
func Describe(state *tls.ConnectionState) string {
	text := tls.VersionName(state.Version) + ", " + tls.CipherSuiteName(state.CipherSuite)
	if len(state.PeerCertificates) > 0 {
		leaf := state.PeerCertificates[0]
		text += fmt.Sprintf(", certificate of %q valid until %s", leaf.Issuer.CommonName, leaf.NotAfter.UTC().Format("2006-01-02"))
	}
	return text
}
