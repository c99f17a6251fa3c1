package entratest

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"sync"
)

// claims are those of a JSON Web Token (RFC 7519).
type claims map[string]any

// signingKey is a key of the identity platform.
type signingKey struct {
	id  string
	key *rsa.PrivateKey
}

// keep is how many keys are published: the one that signs and the one before.
const keep = 2

// RotateKeys makes a new key, which signs from now on. The one before stays published until the next rotation.
func (f *Fake) RotateKeys() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rotate()
}

func (f *Fake) rotate() {
	f.keys = append(f.keys, signingKey{newKeyID(), newKey()})
	if len(f.keys) > keep {
		f.keys = f.keys[1:]
	}
}

// firstKey is the first key of every Fake in this process, made when it is first needed: to make one takes longer than most tests.
var firstKey = sync.OnceValue(newKey)

func newKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err) // the machine has no randomness
	}
	return key
}

// newKeyID makes the name of a key. Microsoft's is the SHA-1 of a certificate too, as x5t (RFC 7517 §4.8), and libraries refuse a key whose x5t has not its size.
func newKeyID() string {
	var sum [20]byte
	rand.Read(sum[:])
	return encode(sum[:])
}

// signer returns the key that signs.
func (f *Fake) signer() signingKey {
	if len(f.keys) == 0 {
		f.keys = []signingKey{{newKeyID(), firstKey()}}
	}
	return f.keys[len(f.keys)-1]
}

// jwk is a public key in the form of RFC 7517.
func (k signingKey) jwk(issuer string) map[string]string {
	return map[string]string{"kty": "RSA", "use": "sig", "kid": k.id, "x5t": k.id, "issuer": issuer,
		"n": encode(k.key.N.Bytes()), "e": encode(big.NewInt(int64(k.key.E)).Bytes())}
}

// sign makes a token signed with RS256.
func (k signingKey) sign(c claims) string {
	input := part(claims{"typ": "JWT", "alg": "RS256", "kid": k.id}) + "." + part(c)
	sum := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(rand.Reader, k.key, crypto.SHA256, sum[:])
	if err != nil {
		panic(err) // the key is ours
	}
	return input + "." + encode(signature)
}

// confuse makes a token signed with HS256, whose secret is the public key: who lets the token choose the algorithm takes it for ours.
func (k signingKey) confuse(c claims) string {
	der, _ := x509.MarshalPKIXPublicKey(k.key.Public())
	input := part(claims{"typ": "JWT", "alg": "HS256", "kid": k.id}) + "." + part(c)
	mac := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	mac.Write([]byte(input))
	return input + "." + encode(mac.Sum(nil))
}

// part is one of a token's, encoded.
func part(c claims) string {
	text, err := json.Marshal(c)
	if err != nil {
		panic(err) // our own claims
	}
	return encode(text)
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// token is one that somebody sent, taken apart and not checked.
type token struct {
	header, claims claims
	input          string // what is signed
	signature      []byte
}

func parseToken(s string) (*token, error) {
	parts := strings.Split(s, ".")
	if len(parts) != 3 {
		return nil, errors.New("a token has three parts")
	}
	t := &token{input: parts[0] + "." + parts[1]}
	for i, into := range []any{&t.header, &t.claims} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, into); err != nil {
			return nil, err
		}
	}
	var err error
	t.signature, err = base64.RawURLEncoding.DecodeString(parts[2])
	return t, err
}

// signedBy tells whether the key signed the token with RS256 or PS256, as its header says.
func (t *token) signedBy(key *rsa.PublicKey) bool {
	sum := sha256.Sum256([]byte(t.input))
	if t.header["alg"] == "PS256" {
		return rsa.VerifyPSS(key, crypto.SHA256, sum[:], t.signature, nil) == nil
	}
	return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], t.signature) == nil
}

// text returns a claim that is a text, or "".
func (c claims) text(name string) string {
	s, _ := c[name].(string)
	return s
}

// seconds returns a claim that is a time; ok is false if it is not there.
func (c claims) seconds(name string) (n int64, ok bool) {
	v, ok := c[name].(float64)
	return int64(v), ok
}
