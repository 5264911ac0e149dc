package token

import (
	"bytes"
	"crypto"
	"crypto/fips140"
	"crypto/rsa"

	"filippo.io/bigmod"
)

// pkcs1 checks RSASSA-PKCS1-v1_5 signatures of one key (RFC 8017 §8.2.2). It is
// what crypto/rsa does, with crypto/rsa's own arithmetic, but for one thing: it
// keeps the modulus in Montgomery form, which crypto/rsa computes anew for each
// signature and which is a third of the time.
type pkcs1 struct {
	modulus  *bigmod.Modulus
	exponent uint
	padded   []byte // the encoded message but for the digest at its end
}

// digestInfo is the DER of what stands before a digest (RFC 8017 §9.2, note 1).
var digestInfo = map[crypto.Hash]string{
	crypto.SHA256: "\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20",
	crypto.SHA384: "\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30",
	crypto.SHA512: "\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40",
}

// newPKCS1 takes a key that checkMaterial has accepted. It returns nil where
// cryptography has to be that of Go's FIPS 140-3 module.
func newPKCS1(key *rsa.PublicKey, hash crypto.Hash) (*pkcs1, error) {
	if fips140.Enabled() {
		return nil, nil //nolint:nilnil // then crypto/rsa does it
	}
	modulus, err := bigmod.NewModulus(key.N.Bytes())
	if err != nil {
		return nil, err
	}
	info := digestInfo[hash]
	padding := bytes.Repeat([]byte{0xff}, key.Size()-3-len(info)-hash.Size())
	padded := append([]byte{0, 1}, padding...)
	padded = append(append(padded, 0), info...)
	return &pkcs1{modulus: modulus, exponent: uint(key.E), padded: padded}, nil
}

// verify reports whether signature, which is as long as the modulus, is the
// key's of what has this digest.
func (k *pkcs1) verify(digest, signature []byte) bool {
	s, err := bigmod.NewNat().SetBytes(signature, k.modulus)
	if err != nil { // RFC 8017 §5.2.2: out of range
		return false
	}
	message := bigmod.NewNat().ExpShortVarTime(s, k.exponent, k.modulus).Bytes(k.modulus)
	signed, ok := bytes.CutPrefix(message, k.padded)
	return ok && bytes.Equal(signed, digest)
}
