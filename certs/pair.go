package certs

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// maxFile is the most that is read of a file, in bytes. A long chain has 10 KB.
const maxFile = 1 << 20

// readPair reads a certificate with its chain, and its key.
func readPair(certFile, keyFile string) (*tls.Certificate, error) {
	certPEM, err := readFile(certFile)
	if err != nil {
		return nil, err
	}
	leaf, err := readCertificate(certFile, certPEM)
	if err != nil {
		return nil, err
	}
	keyPEM, err := readFile(keyFile)
	if err != nil {
		return nil, err
	}
	key, err := readKey(keyFile, keyPEM)
	if err != nil {
		return nil, err
	}
	if public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(leaf.PublicKey) {
		return nil, fmt.Errorf("the key in %s does not belong to the certificate in %s: give the two that were made together; "+
			"in a chain the server's own certificate comes first", keyFile, certFile)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("the certificate in %s cannot be used with the key in %s: %w", certFile, keyFile, err)
	}
	pair.Leaf = leaf
	return &pair, nil
}

// readCertificate returns the first certificate of a PEM file.
func readCertificate(file string, text []byte) (*x509.Certificate, error) {
	block := findBlock(text, func(kind string) bool { return kind == "CERTIFICATE" })
	if block == nil {
		if findBlock(text, isKey) != nil {
			return nil, fmt.Errorf("%s holds a key, but no certificate: were the two files given the wrong way round?", file)
		}
		return nil, fmt.Errorf("%s holds no certificate in PEM form, which begins with -----BEGIN CERTIFICATE-----; "+
			"convert it with: openssl x509 -inform der -in %[1]s", file)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the first certificate in %s is damaged; restore the file: %w", file, err)
	}
	return cert, nil
}

// readKey returns the private key of a PEM file.
func readKey(file string, text []byte) (crypto.Signer, error) {
	block := findBlock(text, isKey)
	switch {
	case block == nil && findBlock(text, func(kind string) bool { return kind == "CERTIFICATE" }) != nil:
		return nil, fmt.Errorf("%s holds a certificate, but no key: were the two files given the wrong way round?", file)
	case block == nil:
		return nil, fmt.Errorf("%s holds no key in PEM form, which begins with -----BEGIN PRIVATE KEY-----", file)
	case block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
		return nil, fmt.Errorf("the key in %s is encrypted, and nobody is there to type its password; decrypt it with: "+
			"openssl pkey -in %[1]s -out NEWFILE", file)
	}
	key, err := parseKey(block)
	if err != nil {
		return nil, fmt.Errorf("the key in %s is damaged, or of a kind that is not supported (RSA, ECDSA and Ed25519 are): %w", file, err)
	}
	return key, nil
}

func parseKey(block *pem.Block) (crypto.Signer, error) {
	var key any
	var err error
	switch block.Type {
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("the key does not sign")
	}
	return signer, nil
}

// isKey tells whether a PEM block of that kind is a private key. "EC PARAMETERS" may stand before it.
func isKey(kind string) bool { return strings.HasSuffix(kind, "PRIVATE KEY") }

func findBlock(text []byte, wanted func(kind string) bool) *pem.Block {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil || wanted(block.Type) {
			return block
		}
	}
}

func readFile(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, explain(err)
	}
	defer f.Close()
	var text bytes.Buffer
	if n, err := io.Copy(&text, io.LimitReader(f, maxFile+1)); err != nil {
		return nil, fmt.Errorf("reading a certificate or key: %w", err)
	} else if n > maxFile {
		return nil, fmt.Errorf("%s is larger than %d bytes: that is no certificate and no key", file, maxFile)
	}
	return text.Bytes(), nil
}

func stat(file string) (fs.FileInfo, error) {
	info, err := os.Stat(file)
	return info, explain(err)
}

// explain adds to an error of the file system, which names the file, what to do.
func explain(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("a certificate or key file is missing; check the path: %w", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("a certificate or key file cannot be read; let the server's user read it: %w", err)
	}
	return err
}
