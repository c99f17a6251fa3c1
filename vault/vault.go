// Package vault keeps what must not lie in the database: the pepper under which secrets, tokens and rows are hashed.
//
// The pepper is 32 random bytes, in FOYER_PEPPER (64 hexadecimal digits) or in the file keys/pepper of the data folder,
// which is made once. Whoever has the database alone can neither forge a token nor test a guess at a secret.
// Every use derives a key of its own (HKDF, RFC 5869), so that no two uses share one.
package vault

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// PepperSize is the length of the pepper in bytes.
const PepperSize = 32

// Vault derives keys from the pepper.
type Vault struct{ pepper []byte }

// New returns the vault of a pepper of PepperSize bytes.
func New(pepper []byte) (*Vault, error) {
	if len(pepper) != PepperSize {
		return nil, fmt.Errorf("the pepper has %d bytes instead of %d", len(pepper), PepperSize)
	}
	return &Vault{pepper: pepper}, nil
}

// Parse returns the vault of a pepper written as 64 hexadecimal digits.
func Parse(digits string) (*Vault, error) {
	pepper, err := hex.DecodeString(strings.TrimSpace(digits))
	if err != nil || len(pepper) != PepperSize {
		return nil, fmt.Errorf("a pepper is %d hexadecimal digits", 2*PepperSize)
	}
	return New(pepper)
}

// Open reads the pepper from the file keys/pepper in dir, and makes it where there is none. Two processes that start at once
// end with the same one. A file that others can read is refused.
func Open(dir string) (*Vault, error) {
	folder := filepath.Join(dir, "keys")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder for keys: %w", err)
	}
	path := filepath.Join(folder, "pepper")
	if err := create(path); err != nil {
		return nil, fmt.Errorf("make the pepper: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read the pepper: %w", err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by others than its owner (mode %04o); run: chmod 600 %s", path, info.Mode().Perm(), path)
	}
	digits, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the pepper: %w", err)
	}
	v, err := Parse(string(digits))
	if err != nil {
		return nil, fmt.Errorf("%s is damaged: %w; restore it from a backup: without it no key of a customer works", path, err)
	}
	return v, nil
}

// create writes a new pepper to path unless there is one. The name appears only once the content is on disk: a link never
// replaces a file, so the first of two processes wins and both read the same.
func create(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), "pepper-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	pepper := make([]byte, PepperSize)
	rand.Read(pepper)
	_, err = f.WriteString(hex.EncodeToString(pepper) + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && runtime.GOOS != "windows" {
		return err
	}
	return nil
}

// Key derives the 32-byte key for one use: "token", "secret", "row".
func (v *Vault) Key(use string) []byte {
	key, err := hkdf.Key(sha256.New, v.pepper, nil, "foyer "+use, 32)
	if err != nil {
		panic(err) // only for absurd lengths
	}
	return key
}

// Check returns what a database keeps to recognise the pepper it was made with. It gives nothing of the pepper away.
func (v *Vault) Check() string {
	mac := hmac.New(sha256.New, v.Key("check"))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}
