package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"filippo.io/age"

	"foyer"
	"foyer/store"
)

// sealFor returns what encrypts a backup, in the format of age (https://age-encryption.org/v1), and a few words for it; nil where it is not to be encrypted.
func sealFor(recipients []string, passphraseFile string) (seal store.Seal, how string, err error) {
	var to []age.Recipient
	switch {
	case passphraseFile != "":
		how = "with the passphrase in " + passphraseFile + ": nobody can restore it without"
		passphrase, err := readPassphrase(passphraseFile)
		if err != nil {
			return nil, "", err
		}
		recipient, err := age.NewScryptRecipient(passphrase)
		if err != nil {
			return nil, "", err
		}
		to = append(to, recipient)
	case len(recipients) > 0:
		how = "for " + strings.Join(recipients, ", ") + ": only who has the private key can restore it"
		for _, text := range recipients {
			some, err := age.ParseRecipients(strings.NewReader(text))
			if err != nil {
				return nil, "", foyer.Errorf(foyer.Invalid, "--recipient %q is no public key of age; such a key begins with age1, and age-keygen makes one", text)
			}
			to = append(to, some...)
		}
	default:
		return nil, "", nil
	}
	return func(out io.Writer) (io.WriteCloser, error) { return age.Encrypt(out, to...) }, how, nil
}

// minPassphrase is how short a passphrase may be, in bytes: whoever has the backup can try as many as they like.
const minPassphrase = 12

// readPassphrase returns the first line of a file that nobody else can read.
func readPassphrase(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("read the passphrase: %w", err)
	}
	if info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows" {
		return "", foyer.Errorf(foyer.Invalid, "%s can be read by others than its owner (mode %04o); run: chmod 600 %s", path, info.Mode().Perm(), path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read the passphrase: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	line = strings.TrimSuffix(line, "\r")
	if len(line) < minPassphrase {
		return "", foyer.Errorf(foyer.Invalid, "the first line of %s is the passphrase, and shorter than %d characters; take a longer one", path, minPassphrase)
	}
	return line, nil
}

// ageMagic begins every file that is encrypted by age.
const ageMagic = "age-encryption.org/"

// openBackup returns the backup as it was before it was encrypted, if it was.
func openBackup(f io.Reader, identityFile, passphraseFile string) (io.Reader, error) {
	in := bufio.NewReader(f)
	head, err := in.Peek(len(ageMagic))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read the backup: %w", err)
	}
	if !bytes.Equal(head, []byte(ageMagic)) {
		return in, nil
	}
	keys, err := identities(identityFile, passphraseFile)
	if err != nil {
		return nil, err
	}
	plain, err := age.Decrypt(in, keys...)
	if _, none := errors.AsType[*age.NoIdentityMatchError](err); none {
		return nil, foyer.Errorf(foyer.Invalid, "the backup cannot be decrypted with this: the passphrase, or the private key, is another one than it was encrypted with, or it was encrypted in the other way. Nothing was changed")
	}
	if err != nil {
		return nil, foyer.Errorf(foyer.Invalid, "the backup is damaged: %v. Take another one. Nothing was changed", err)
	}
	return &sealedReader{plain}, nil
}

// identities returns what opens a backup.
func identities(identityFile, passphraseFile string) ([]age.Identity, error) {
	switch {
	case passphraseFile != "":
		passphrase, err := readPassphrase(passphraseFile)
		if err != nil {
			return nil, err
		}
		identity, err := age.NewScryptIdentity(passphrase)
		return []age.Identity{identity}, err
	case identityFile != "":
		text, err := os.ReadFile(identityFile)
		if err != nil {
			return nil, fmt.Errorf("read the private key: %w", err)
		}
		keys, err := age.ParseIdentities(bytes.NewReader(text))
		if err != nil {
			return nil, foyer.Errorf(foyer.Invalid, "%s holds no private key of age; such a key begins with AGE-SECRET-KEY-", identityFile) // the error may quote it
		}
		return keys, nil
	}
	return nil, foyer.Errorf(foyer.Invalid, "the backup is encrypted: give the passphrase (--passphrase-file FILE) or the private key (--identity FILE) that belongs to it")
}

// sealedReader says of what does not open that the backup is damaged.
type sealedReader struct{ from io.Reader }

// Read implements io.Reader.
func (r *sealedReader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = foyer.Errorf(foyer.Invalid, "the backup is damaged: %v. Take another one", err)
	}
	return n, err
}
