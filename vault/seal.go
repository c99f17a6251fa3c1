package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// sealVersion stands before what is sealed, so that another way of sealing can be told from this one. The number of the key follows.
const sealVersion = 1

// maxKeys is the highest number that a key can have: it is a byte of what is sealed.
const maxKeys = 255

// keyring holds the keys under which is sealed what must be read back: 32 random bytes each, by number. The highest seals, all open.
//
// They are in FOYER_AT_REST ("1:HEX 2:HEX"), or in the file keys/at-rest of the data folder, a line "1 HEX" each, which is read at each use: a key that one
// process adds is known to the others.
type keyring struct {
	mu     sync.Mutex
	path   string // "": the keys are given
	keys   map[int][]byte
	newest int
}

func parseKeyring(text string) (*keyring, error) {
	r := &keyring{keys: map[int][]byte{}}
	for _, word := range strings.FieldsFunc(text, func(c rune) bool { return c == '\n' || c == ',' || c == ' ' && strings.Contains(text, ":") }) {
		number, digits, ok := strings.Cut(strings.ReplaceAll(strings.TrimSpace(word), " ", ":"), ":")
		n, err := strconv.Atoi(number)
		key, err2 := hex.DecodeString(digits)
		if !ok || err != nil || err2 != nil || n < 1 || n > maxKeys || len(key) != 32 || r.keys[n] != nil {
			return nil, errors.New("a key at rest is a number, a colon, and 64 hexadecimal digits")
		}
		r.keys[n], r.newest = key, max(r.newest, n)
	}
	if len(r.keys) == 0 {
		return nil, errors.New("there is no key at rest in it")
	}
	return r, nil
}

// openKeyring reads the keys from the file, and makes it with one key where there is none.
func openKeyring(folder string) (*keyring, error) {
	r := &keyring{path: filepath.Join(folder, "at-rest")}
	if err := create(r.path, func() string { return "1 " + newKey() + "\n" }); err != nil {
		return nil, fmt.Errorf("make the key at rest: %w", err)
	}
	return r, r.load()
}

func newKey() string {
	key := make([]byte, 32)
	rand.Read(key)
	return hex.EncodeToString(key)
}

// load reads the file. It is small, and no time or number of it tells for sure that it is the one that was read before.
func (r *keyring) load() error {
	if r.path == "" {
		return nil
	}
	info, err := os.Stat(r.path)
	if err != nil {
		return fmt.Errorf("read the keys at rest: %w", err)
	}
	if err := checkMode(r.path, info); err != nil {
		return err
	}
	text, err := os.ReadFile(r.path)
	if err != nil {
		return fmt.Errorf("read the keys at rest: %w", err)
	}
	fresh, err := parseKeyring(string(text))
	if err != nil {
		return fmt.Errorf("%s is damaged: %w; restore it from a backup", r.path, err)
	}
	r.keys, r.newest = fresh.keys, fresh.newest
	return nil
}

// get returns the key of that number, 0 for the newest.
func (r *keyring) get(number int) (int, []byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.load(); err != nil {
		return 0, nil, err
	}
	if number == 0 {
		number = r.newest
	}
	key := r.keys[number]
	if key == nil {
		return 0, nil, fmt.Errorf("the key at rest number %d is not there: restore keys/at-rest from a backup", number)
	}
	return number, key, nil
}

// write replaces the file by one with those keys, so that it is never there in part.
func (r *keyring) write(keys map[int][]byte) error {
	if r.path == "" {
		return errors.New("the keys at rest are in FOYER_AT_REST: change them there, on every node")
	}
	var b strings.Builder
	for _, n := range slices.Sorted(maps.Keys(keys)) {
		fmt.Fprintf(&b, "%d %s\n", n, hex.EncodeToString(keys[n]))
	}
	f, err := os.CreateTemp(filepath.Dir(r.path), "at-rest-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(b.String())
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), r.path); err != nil {
		return err
	}
	r.keys = nil
	return errors.Join(syncFolder(filepath.Dir(r.path)), r.load())
}

// AtRest returns the numbers of the keys at rest, ascending; the last one seals.
func (v *Vault) AtRest() ([]int, error) {
	v.ring.mu.Lock()
	defer v.ring.mu.Unlock()
	if err := v.ring.load(); err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(v.ring.keys)), nil
}

// AddAtRest adds a key at rest, which seals from now on, and returns its number. What was sealed before opens as ever.
func (v *Vault) AddAtRest() (int, error) {
	v.ring.mu.Lock()
	defer v.ring.mu.Unlock()
	if err := v.ring.load(); err != nil {
		return 0, err
	}
	number := v.ring.newest + 1
	if number > maxKeys {
		return 0, errors.New("there were 255 keys at rest; no further one can be told from them")
	}
	keys := maps.Clone(v.ring.keys)
	keys[number], _ = hex.DecodeString(newKey())
	return number, v.ring.write(keys)
}

// DropAtRest removes a key at rest. What is sealed under it never opens again.
func (v *Vault) DropAtRest(number int) error {
	v.ring.mu.Lock()
	defer v.ring.mu.Unlock()
	if err := v.ring.load(); err != nil {
		return err
	}
	keys := maps.Clone(v.ring.keys)
	delete(keys, number)
	return v.ring.write(keys)
}

// AtRestCheck returns what a database keeps to recognise a key at rest. It gives nothing of the key away.
func (v *Vault) AtRestCheck(number int) (string, error) {
	_, key, err := v.ring.get(number)
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("foyer check"))
	return hex.EncodeToString(mac.Sum(nil)[:16]), nil
}

// Seal encrypts what must be read back and must not lie in the database as it is (AES-256-GCM, a random nonce each time), under the newest key at rest.
// Identity says where it lies: what is moved to another place does not open.
func (v *Vault) Seal(identity string, plain []byte) ([]byte, error) {
	number, key, err := v.ring.get(0)
	if err != nil {
		return nil, err
	}
	return aead(key).Seal([]byte{sealVersion, byte(number)}, nil, plain, []byte(identity)), nil
}

// Open decrypts what Seal encrypted for the same identity. It fails on anything that was altered or moved.
func (v *Vault) Open(identity string, sealed []byte) ([]byte, error) {
	if len(sealed) < 2 || sealed[0] != sealVersion || sealed[1] == 0 {
		return nil, errors.New("sealed in a way that this version does not know")
	}
	_, key, err := v.ring.get(int(sealed[1]))
	if err != nil {
		return nil, err
	}
	return aead(key).Open(nil, nil, sealed[2:], []byte(identity))
}

// SealedUnder returns the number of the key at rest under which something is sealed.
func SealedUnder(sealed []byte) int {
	if len(sealed) < 2 {
		return 0
	}
	return int(sealed[1])
}

func aead(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // only for keys of another length
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // only for other block sizes
	}
	return aead
}
