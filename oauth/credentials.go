package oauth

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"hash/crc32"
	"regexp"
	"strings"

	"foyer"
)

// Ids, secrets and tokens are written in lower-case base32, with a prefix that names the kind, the organization's id, and a checksum at the end:
// the seed's script puts them into a form unescaped, scanners of source code recognise them, and a slip of the keyboard is seen before any look-up.
const (
	keyPrefix    = "fk_"
	secretPrefix = "fs_"
	tokenPrefix  = "ft_"

	orgLength      = 6
	checksumLength = 6
	keyRandom      = 10 // bytes
	secretRandom   = 32 // bytes: no slow hash is needed
)

var alphabet = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// credential finds secrets and tokens in a text.
var credential = regexp.MustCompile(`(?i)(fs_|ft_)[a-z0-9]+`)

// Redact returns a text that is to be kept without the secrets and tokens that somebody put there.
func Redact(text string) string { return credential.ReplaceAllString(text, "…") }

// compose returns prefix, organization, body and checksum.
func compose(prefix string, org foyer.OrgID, body []byte) string {
	text := prefix + string(org) + alphabet.EncodeToString(body)
	return text + checksum(text)
}

// checksum returns the first 30 bits of the CRC-32 of text.
func checksum(text string) string {
	return alphabet.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(text))))[:checksumLength]
}

// decompose is the reverse of compose; ok is false for anything that compose did not make.
func decompose(prefix, text string) (org foyer.OrgID, body []byte, ok bool) {
	rest, ok := strings.CutPrefix(text, prefix)
	if !ok || len(rest) <= orgLength+checksumLength {
		return "", nil, false
	}
	end := len(text) - checksumLength
	if checksum(text[:end]) != text[end:] {
		return "", nil, false
	}
	body, err := alphabet.DecodeString(rest[orgLength : len(rest)-checksumLength])
	if err != nil {
		return "", nil, false
	}
	return foyer.OrgID(rest[:orgLength]), body, true
}

// OrgOf returns the organization that a client id carries.
func OrgOf(id foyer.KeyID) (foyer.OrgID, bool) {
	org, _, ok := decompose(keyPrefix, string(id))
	return org, ok
}

// Credentials are a new client id and secret. The secret is shown once and kept nowhere.
type Credentials struct {
	ID        foyer.KeyID
	Secret    string
	SecretMAC []byte
}

// NewCredentials makes a client id and secret for an organization.
func (a *Authority) NewCredentials(org foyer.OrgID) Credentials {
	id := make([]byte, keyRandom)
	rand.Read(id)
	c := Credentials{ID: foyer.KeyID(compose(keyPrefix, org, id))}
	c.Secret, c.SecretMAC = a.NewSecret(org, c.ID)
	return c
}

// NewSecret makes a further secret for a client id.
func (a *Authority) NewSecret(org foyer.OrgID, id foyer.KeyID) (secret string, mac []byte) {
	random := make([]byte, secretRandom)
	rand.Read(random)
	secret = compose(secretPrefix, org, random)
	return secret, a.secretMAC(id, secret)
}
