package token_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"math/big"
	"strings"
	"testing"
	"time"

	"gatehouse/shared/token"
)

// BenchmarkVerify compares the whole way of a token with the cryptography in
// it, which nothing can save.
func BenchmarkVerify(b *testing.B) {
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		s := signerFor(b, alg)
		raw := s.sign(b, s.header(), goodClaims)
		dot := strings.LastIndexByte(raw, '.')
		signature := []byte(unb64(b, raw[dot+1:]))
		b.Run("bare-"+alg, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !bareVerify(s.key.Public(), raw[:dot], signature) {
					b.Fatal("the signature does not verify")
				}
			}
		})
		i := issuer(b, s)
		b.Run(alg, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				u, err := token.Parse(raw)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := i.Verify(b.Context(), u); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func bareVerify(public crypto.PublicKey, input string, signature []byte) bool {
	digest := sha256.Sum256([]byte(input))
	switch k := public.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(k, crypto.SHA256, digest[:], signature) == nil
	case *ecdsa.PublicKey:
		var r, s big.Int
		return ecdsa.Verify(k, digest[:], r.SetBytes(signature[:32]), s.SetBytes(signature[32:]))
	case ed25519.PublicKey:
		return ed25519.Verify(k, []byte(input), signature)
	default:
		return false
	}
}

// BenchmarkParse is the gate and the claims, without keys.
func BenchmarkParse(b *testing.B) {
	raw := good(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := token.Parse(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCacheHit(b *testing.B) {
	facts, keys := believed(b)
	raw := good(b)
	c := newCache(b, 1024)
	c.Put(token.DigestOf(raw), facts, keys, now().Add(time.Minute))
	at := now()
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := c.Get(b.Context(), token.DigestOf(raw), at); !ok {
			b.Fatal("forgotten")
		}
	}
}
