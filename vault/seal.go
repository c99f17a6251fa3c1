package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
)

// sealVersion stands before what is sealed, so that another way of sealing can be told from this one.
const sealVersion = 1

// Seal encrypts what must be read back and must not lie in the database as it is (AES-256-GCM, a random nonce each time). Identity says where it lies:
// what is moved to another place does not open.
func (v *Vault) Seal(identity string, plain []byte) []byte {
	return v.aead().Seal([]byte{sealVersion}, nil, plain, []byte(identity))
}

// Open decrypts what Seal encrypted for the same identity. It fails on anything that was altered, or sealed under another pepper.
func (v *Vault) Open(identity string, sealed []byte) ([]byte, error) {
	if len(sealed) == 0 || sealed[0] != sealVersion {
		return nil, errors.New("sealed in a way that this version does not know")
	}
	return v.aead().Open(nil, nil, sealed[1:], []byte(identity))
}

func (v *Vault) aead() cipher.AEAD {
	block, err := aes.NewCipher(v.Key("at rest"))
	if err != nil {
		panic(err) // only for keys of another length
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // only for other block sizes
	}
	return aead
}
