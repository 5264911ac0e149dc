package token_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"math/big"
	"strings"
	"testing"

	"gatehouse/shared/token"
)

// digestInfo256 is the DER before a SHA-256 digest (RFC 8017 §9.2, note 1).
const digestInfo256 = "\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"

// encoded is the encoded message of RFC 8017 §9.2: info and digest, padded from
// the left to size bytes.
func encoded(size int, info, digest string) string {
	return "\x00\x01" + strings.Repeat("\xff", size-3-len(info)-len(digest)) + "\x00" + info + digest
}

// Whoever does not compare the whole encoded message takes some of these, which
// for a small exponent anyone can sign (CVE-2006-4339, CVE-2014-1568).
func TestEncodedMessagesThatAreNone(t *testing.T) {
	t.Parallel()
	const size = 256
	for name, message := range map[string]func(digest string) string{
		"garbage behind the digest": func(digest string) string {
			return encoded(size-8, digestInfo256, digest) + "garbage!"
		},
		"garbage in the algorithm's parameters": func(digest string) string {
			return encoded(size, "\x30\x35\x30\x11\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x04\x04abcd\x04\x20", digest)
		},
		"no parameters of the algorithm": func(digest string) string {
			return encoded(size, "\x30\x2f\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x04\x20", digest)
		},
		"a length written longer than it must be": func(digest string) string {
			return encoded(size, "\x30\x81"+digestInfo256[1:], digest)
		},
		"the name of another hash": func(digest string) string {
			return encoded(size, strings.Replace(digestInfo256, "\x02\x01\x05", "\x02\x04\x05", 1), digest)
		},
		"no name of a hash": func(digest string) string { return encoded(size, "", digest) },
		"another digest": func(digest string) string {
			return encoded(size, digestInfo256, digest[:31]+string(digest[31]^1))
		},
		"block type 2": func(digest string) string {
			return strings.Replace(encoded(size, digestInfo256, digest), "\x01", "\x02", 1)
		},
		"a zero in the padding": func(digest string) string {
			return strings.Replace(encoded(size, digestInfo256, digest), "\xff\xff", "\xff\x00", 1)
		},
		"short padding, and the rest zeros": func(digest string) string {
			short := encoded(size-100, digestInfo256, digest)
			return short + strings.Repeat("\x00", 100)
		},
		"no padding at all": func(digest string) string {
			return strings.Repeat("\x00", size-len(digest)) + digest
		},
		"zero": func(string) string { return strings.Repeat("\x00", size) },
		"one":  func(string) string { return strings.Repeat("\x00", size-1) + "\x01" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := rsaSigner(t, "RS256")
			if err := believe(t, k, message); !errors.Is(err, token.ErrSignature) {
				t.Errorf("got %v; want %v", err, token.ErrSignature)
			}
		})
	}
	right := func(digest string) string { return encoded(size, digestInfo256, digest) }
	if err := believe(t, rsaSigner(t, "RS256"), right); err != nil {
		t.Errorf("the encoded message as it must be: %v", err)
	}
}

// A signature that is not below the modulus is another one of the same message
// (RFC 8017 §5.2.2).
func TestSignatureOutOfRange(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2050) // of 257 bytes, in which twice the modulus fits
	if err != nil {
		t.Fatal(err)
	}
	s := signer{alg: "RS256", kid: "rsa-1", key: key}
	raw := s.sign(t, s.header(), goodClaims)
	if err := token.VerifyJWS(raw, jwksOf(t, s), everyAlgorithm()); err != nil {
		t.Fatalf("the signature itself: %v", err)
	}
	dot := strings.LastIndexByte(raw, '.')
	signature := new(big.Int).SetBytes([]byte(unb64(t, raw[dot+1:])))
	for name, n := range map[string]*big.Int{
		"the signature and the modulus": signature.Add(signature, key.N),
		"the modulus":                   key.N,
		"all ones":                      new(big.Int).SetBytes(bytes.Repeat([]byte{0xff}, 257)),
	} {
		forged := raw[:dot+1] + b64(string(n.FillBytes(make([]byte, 257))))
		if err := token.VerifyJWS(forged, jwksOf(t, s), everyAlgorithm()); !errors.Is(err, token.ErrSignature) {
			t.Errorf("%s: got %v; want %v", name, err, token.ErrSignature)
		}
	}
}

// believe judges a token whose signature says, by the private key of k, message
// of the digest.
func believe(tb testing.TB, k signer, message func(digest string) string) error {
	tb.Helper()
	input := b64(k.header()) + "." + b64(goodClaims)
	signature := rawSignature(tb, k, message(digestOf(k.alg, input)))
	return token.VerifyJWS(input+"."+b64(string(signature)), jwksOf(tb, k), everyAlgorithm())
}

// rawSignature is the RSA private key's operation on message, whatever it is.
func rawSignature(tb testing.TB, k signer, message string) []byte {
	tb.Helper()
	key, ok := k.key.(*rsa.PrivateKey)
	if !ok {
		tb.Fatal("not an RSA key")
	}
	m := new(big.Int).SetBytes([]byte(message))
	return new(big.Int).Exp(m.Mod(m, key.N), key.D, key.N).FillBytes(make([]byte, key.Size()))
}

var hashes = map[string]crypto.Hash{"RS256": crypto.SHA256, "RS384": crypto.SHA384, "RS512": crypto.SHA512}

func digestOf(alg, input string) string {
	h := hashes[alg].New()
	_, _ = h.Write([]byte(input))
	return string(h.Sum(nil))
}

// Our RS* and crypto/rsa's are of one opinion about every signature: as it
// comes, and as what the private key makes of a message that is almost right.
func FuzzPKCS1(f *testing.F) {
	f.Add(uint8(0), true, []byte{})
	f.Add(uint8(1), true, []byte{})
	f.Add(uint8(2), true, []byte{0, 0, 1})
	f.Add(uint8(0), true, bytes.Repeat([]byte{1}, 256))
	f.Add(uint8(0), false, []byte{})
	f.Add(uint8(1), false, []byte{0x80})
	var signers []signer
	var signatures []string
	for _, alg := range []string{"RS256", "RS384", "RS512"} {
		k := rsaSigner(f, alg)
		signers = append(signers, k)
		signatures = append(signatures, unb64(f, strings.Split(k.sign(f, k.header(), goodClaims), ".")[2]))
	}
	f.Fuzz(func(t *testing.T, which uint8, signed bool, mask []byte) {
		k, signature := signers[which%3], []byte(signatures[which%3])
		input := b64(k.header()) + "." + b64(goodClaims)
		if signed {
			message := public(t, k, signature)
			masked(message, mask)
			signature = rawSignature(t, k, string(message))
		} else {
			masked(signature, mask)
		}
		key, ok := k.key.Public().(*rsa.PublicKey)
		if !ok {
			t.Fatal("not an RSA key")
		}
		want := rsa.VerifyPKCS1v15(key, hashes[k.alg], []byte(digestOf(k.alg, input)), signature)
		got := token.VerifyJWS(input+"."+b64(string(signature)), jwksOf(t, k), everyAlgorithm())
		if (got == nil) != (want == nil) {
			t.Errorf("we say %v, crypto/rsa says %v", got, want)
		}
	})
}

// public is the RSA public key's operation.
func public(tb testing.TB, k signer, signature []byte) []byte {
	tb.Helper()
	key, ok := k.key.Public().(*rsa.PublicKey)
	if !ok {
		tb.Fatal("not an RSA key")
	}
	s := new(big.Int).SetBytes(signature)
	return s.Exp(s, big.NewInt(int64(key.E)), key.N).FillBytes(make([]byte, key.Size()))
}

// masked changes b where mask has bits.
func masked(b, mask []byte) {
	for n := range min(len(b), len(mask)) {
		b[n] ^= mask[n]
	}
}
