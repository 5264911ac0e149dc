package oauth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
)

// This file implements Proof Key for Code Exchange (RFC 7636), by S256 alone:
// plain protects from nobody who sees the request.

// S256 is the one code challenge method.
const S256 = "S256"

// Lengths of a code verifier (§4.1).
const (
	minVerifier = 43
	maxVerifier = 128
)

// NewVerifier returns a code verifier of 256 random bits.
func NewVerifier() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Challenge is the code challenge of a verifier: BASE64URL(SHA256(ASCII(verifier))).
func Challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// ValidChallenge reports whether s can be a challenge by S256.
func ValidChallenge(s string) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(raw) == sha256.Size && len(s) == base64.RawURLEncoding.EncodedLen(sha256.Size)
}

// ValidVerifier reports whether s is a code verifier: 43 to 128 unreserved
// characters (§4.1).
func ValidVerifier(s string) bool {
	if len(s) < minVerifier || len(s) > maxVerifier {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', c == '~':
		default:
			return false
		}
	}
	return true
}

// Verifies reports whether verifier is what challenge was made of.
func Verifies(challenge, verifier string) bool {
	return ValidVerifier(verifier) && subtle.ConstantTimeCompare([]byte(Challenge(verifier)), []byte(challenge)) == 1
}
