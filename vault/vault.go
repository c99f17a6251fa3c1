// Package vault keeps what must not lie in the database: the pepper under which secrets, tokens and rows are hashed, and the keys at rest under which
// is sealed what must be read back (seal.go).
//
// The pepper is 32 random bytes, in FOYER_PEPPER (64 hexadecimal digits) or in the file keys/pepper of the data folder,
// which is made once. Whoever has the database alone can neither forge a token nor test a guess at a secret.
// Every use derives a key of its own (HKDF, RFC 5869), so that no two uses share one.
package vault

import (
	"crypto/hkdf"
	"crypto/hmac"
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

// Vault derives keys from the pepper, and seals what must be read back under keys of its own.
type Vault struct {
	pepper []byte
	ring   *keyring
}

// Config says where the vault's keys are. Given texts go before the files in Dir.
type Config struct {
	Dir    string // the data folder: keys/pepper and keys/at-rest in it are made where they are missing
	Pepper string // 64 hexadecimal digits
	AtRest string // "1:HEX 2:HEX"
}

// Open opens the vault. Two processes that start at once end with the same keys. A file or folder that others can read is refused.
func Open(c Config) (*Vault, error) {
	folder := filepath.Join(c.Dir, "keys")
	if c.Pepper == "" || c.AtRest == "" {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, fmt.Errorf("make the folder for keys: %w", err)
		}
		info, err := os.Stat(folder)
		if err == nil {
			err = checkMode(folder, info)
		}
		if err != nil {
			return nil, err
		}
	}
	v := &Vault{}
	var err error
	if c.Pepper != "" {
		if v.pepper, err = parsePepper(c.Pepper); err != nil {
			return nil, fmt.Errorf("FOYER_PEPPER: %w", err)
		}
	} else if v.pepper, err = openPepper(filepath.Join(folder, "pepper")); err != nil {
		return nil, err
	}
	if c.AtRest != "" {
		if v.ring, err = parseKeyring(c.AtRest); err != nil {
			return nil, fmt.Errorf("FOYER_AT_REST: %w", err)
		}
		return v, nil
	}
	v.ring, err = openKeyring(folder)
	return v, err
}

func parsePepper(digits string) ([]byte, error) {
	pepper, err := hex.DecodeString(strings.TrimSpace(digits))
	if err != nil || len(pepper) != PepperSize {
		return nil, fmt.Errorf("a pepper is %d hexadecimal digits", 2*PepperSize)
	}
	return pepper, nil
}

// openPepper reads the pepper from its file, and makes it where there is none.
func openPepper(path string) ([]byte, error) {
	if err := create(path, func() string { return newKey() + "\n" }); err != nil {
		return nil, fmt.Errorf("make the pepper: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read the pepper: %w", err)
	}
	if err := checkMode(path, info); err != nil {
		return nil, err
	}
	digits, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the pepper: %w", err)
	}
	pepper, err := parsePepper(string(digits))
	if err != nil {
		return nil, fmt.Errorf("%s is damaged: %w; restore it from a backup: without it no key of a customer works", path, err)
	}
	return pepper, nil
}

// checkMode refuses a file or folder that others than its owner can read.
func checkMode(path string, info fs.FileInfo) error {
	if runtime.GOOS == "windows" || info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	mode := "600"
	if info.IsDir() {
		mode = "700"
	}
	return fmt.Errorf("%s can be read by others than its owner (mode %04o); run: chmod %s %s", path, info.Mode().Perm(), mode, path)
}

// create writes a new file unless there is one. The name appears only once the content is on disk: a link never
// replaces a file, so the first of two processes wins and both read the same.
func create(path string, content func() string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(content())
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
