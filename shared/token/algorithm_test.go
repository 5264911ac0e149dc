package token_test

import (
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
	"math/big"
	"slices"
	"strings"
	"testing"

	"gatehouse/shared/token"
)

// Every algorithm there is verifies its own tokens, so that the refusals below
// mean something.
func TestEveryAlgorithmVerifies(t *testing.T) {
	t.Parallel()
	for _, alg := range everyAlgorithm() {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			s := signerFor(t, alg)
			facts, err := judge(t, issuer(t, s), s.sign(t, s.header(), goodClaims))
			if err != nil || facts.Subject != "user-1" || facts.Provider != "acme" {
				t.Errorf("got %v, %v; want the facts", facts, err)
			}
			raw := s.sign(t, s.header(), goodClaims)
			forged := raw[:strings.LastIndexByte(raw, '.')+1] + b64(strings.Repeat("\x01", len(s.signature(t, "", rsa.PSSSaltLengthEqualsHash))))
			if _, err := judge(t, issuer(t, s), forged); !errors.Is(err, token.ErrSignature) {
				t.Errorf("a made-up signature: got %v; want %v", err, token.ErrSignature)
			}
		})
	}
}

func signerFor(tb testing.TB, alg string) signer {
	tb.Helper()
	switch alg[:2] {
	case "RS", "PS":
		return rsaSigner(tb, alg)
	case "ES":
		return ecSigner(tb, alg)
	default:
		return edSigner(tb, alg)
	}
}

func TestJ1_algorithmIsPinnedPerIssuer(t *testing.T) {
	t.Parallel()
	rs, es := rsaSigner(t, "RS256"), ecSigner(t, "ES256")
	i := issuer(t, rs, es)
	i.Algorithms = []string{"RS256"}
	if _, err := judge(t, i, rs.sign(t, rs.header(), goodClaims)); err != nil {
		t.Errorf("RS256, which is allowed: got %v", err)
	}
	if _, err := judge(t, i, good(t)); !errors.Is(err, token.ErrAlgorithm) {
		t.Errorf("ES256 by a key of the issuer's: got %v; want %v", err, token.ErrAlgorithm)
	}
	i.Algorithms = nil
	if _, err := judge(t, i, rs.sign(t, rs.header(), goodClaims)); !errors.Is(err, token.ErrAlgorithm) {
		t.Errorf("no algorithms configured: got %v; want %v", err, token.ErrAlgorithm)
	}
	// Before key lookup: nothing is fetched for it.
	p := newProvider(t, jwksOf(t, rs))
	i.Keys = p.keys(t, newClock())
	if _, err := judge(t, i, good(t)); !errors.Is(err, token.ErrAlgorithm) || p.count() != 0 {
		t.Errorf("got %v and %d fetches; want %v and none", err, p.count(), token.ErrAlgorithm)
	}
}

func TestJ2_noneInEveryCase(t *testing.T) {
	t.Parallel()
	i := issuer(t, ecSigner(t, "ES256"))
	// Even an operator's mistake does not switch it on.
	i.Algorithms = append(i.Algorithms, "none", "None", "NONE", "nOnE", "")
	valid := good(t)
	signature := valid[strings.LastIndexByte(valid, '.')+1:]
	for bits := range 16 {
		alg := []byte("none")
		for n := range alg {
			if bits>>n&1 == 1 {
				alg[n] -= 'a' - 'A'
			}
		}
		for _, kid := range []string{`"kid":"ec-1",`, ""} {
			head := b64(`{"alg":"` + string(alg) + `",` + kid + `"typ":"at+jwt"}`)
			for _, sig := range []string{"", "AA", signature} {
				raw := head + "." + b64(goodClaims) + "." + sig
				if _, err := judge(t, i, raw); token.Reason(err) == "" {
					t.Errorf("alg %s, kid %q, signature %q: got %v; want a refusal", alg, kid, sig, err)
				}
			}
		}
	}
	for _, header := range []string{`{"kid":"ec-1","typ":"at+jwt"}`, `{"alg":"","kid":"ec-1"}`, `{"alg":null,"kid":"ec-1"}`, `{"alg":["ES256"],"kid":"ec-1"}`} {
		if _, err := judge(t, i, ecSigner(t, "ES256").sign(t, header, goodClaims)); !errors.Is(err, token.ErrMalformed) {
			t.Errorf("%s: got %v; want %v", header, err, token.ErrMalformed)
		}
	}
	for _, alg := range []string{"es256", "Es256", "ES256 ", "eddsa"} {
		header := edit(t, goodHeader, "ES256", alg)
		if _, err := judge(t, i, ecSigner(t, "ES256").sign(t, header, goodClaims)); !errors.Is(err, token.ErrAlgorithm) {
			t.Errorf("%q: got %v; want %v", alg, err, token.ErrAlgorithm)
		}
	}
}

func TestJ3_publicKeyAsSharedSecret(t *testing.T) {
	t.Parallel()
	for _, s := range []signer{rsaSigner(t, "RS256"), ecSigner(t, "ES256")} {
		i := issuer(t, s)
		i.Algorithms = append(i.Algorithms, "HS256", "HS384", "HS512")
		der, err := x509.MarshalPKIXPublicKey(s.key.Public())
		if err != nil {
			t.Fatal(err)
		}
		secrets := map[string][]byte{
			"DER":     der,
			"PEM":     pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}),
			"JWK":     []byte(s.jwk(t)),
			"JWK set": jwksOf(t, s),
			"nothing": {},
		}
		if k, ok := s.key.Public().(*rsa.PublicKey); ok {
			secrets["PKCS #1"] = x509.MarshalPKCS1PublicKey(k)
		}
		for form, secret := range secrets {
			for alg, h := range map[string]func() hash.Hash{"HS256": sha256.New, "HS384": sha512.New384, "HS512": sha512.New} {
				for _, kid := range []string{fmt.Sprintf(`,"kid":%q`, s.kid), ""} {
					input := b64(`{"alg":"`+alg+`","typ":"at+jwt"`+kid+`}`) + "." + b64(goodClaims)
					mac := hmac.New(h, secret)
					mac.Write([]byte(input))
					_, err := judge(t, i, input+"."+b64(string(mac.Sum(nil))))
					if !errors.Is(err, token.ErrAlgorithm) && !errors.Is(err, token.ErrUnknownKey) {
						t.Errorf("%s with the %s of the %s key: got %v; want %v", alg, form, s.alg, err, token.ErrAlgorithm)
					}
				}
			}
		}
	}
}

func TestJ4_oneAlgorithmPerKey(t *testing.T) {
	t.Parallel()
	rs := rsaSigner(t, "RS256")
	for _, alg := range []string{"RS384", "RS512", "PS256", "PS384", "PS512"} {
		other := rsaSigner(t, alg)
		if _, err := judge(t, issuer(t, rs), other.sign(t, other.header(), goodClaims)); !errors.Is(err, token.ErrAlgorithm) {
			t.Errorf("%s with a key for RS256: got %v; want %v", alg, err, token.ErrAlgorithm)
		}
	}
	// The same key under an algorithm of another type.
	mixed := edit(t, goodHeader, "ES256", "RS256")
	if _, err := judge(t, issuer(t, rs, ecSigner(t, "ES256")), ecSigner(t, "ES256").sign(t, mixed, goodClaims)); !errors.Is(err, token.ErrAlgorithm) {
		t.Errorf("RS256 with an EC key: got %v; want %v", err, token.ErrAlgorithm)
	}
	// A key without alg is used with the issuer's first algorithm of its type.
	bare := edit(t, rs.jwk(t), `"alg":"RS256",`, "")
	keys, err := token.NewKeySet(token.KeySource{File: jwks(bare), Algorithms: []string{"ES256", "PS256", "RS256"}})
	if err != nil {
		t.Fatal(err)
	}
	for alg, want := range map[string]error{"PS256": nil, "RS256": token.ErrAlgorithm, "ES256": token.ErrAlgorithm} {
		if _, err := keys.Key(t.Context(), "rsa-1", alg); !errors.Is(err, want) {
			t.Errorf("a JWK without alg, %s: got %v; want %v", alg, err, want)
		}
	}
}

func TestJ5_onlyCurrentAlgorithms(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"HS256", "RSA1_5", "ES256K", "RS1", "ES224", "ED448", "none"} {
		for _, jwk := range []string{
			edit(t, ecSigner(t, "ES256").jwk(t), `"alg":"ES256"`, `"alg":"`+alg+`"`),
			edit(t, edit(t, ecSigner(t, "ES256").jwk(t), `"alg":"ES256"`, `"alg":"`+alg+`"`), "P-256", "secp256k1"),
		} {
			if ids, err := token.KeyIDs(jwks(jwk), append(everyAlgorithm(), alg)); !errors.Is(err, token.ErrNoKey) {
				t.Errorf("%s configured: got keys %q, %v; want %v", alg, ids, err, token.ErrNoKey)
			}
		}
	}
	// RFC 9864: Ed25519 is EdDSA with its curve said, whichever side says it.
	for _, header := range []string{"EdDSA", "Ed25519"} {
		for _, jwk := range []string{"EdDSA", "Ed25519"} {
			s := edSigner(t, header)
			i := issuer(t, edSigner(t, jwk))
			i.Algorithms = []string{header}
			if _, err := judge(t, i, s.sign(t, s.header(), goodClaims)); err != nil {
				t.Errorf("header %s, JWK %s: got %v", header, jwk, err)
			}
		}
	}
	s, i := edSigner(t, "EdDSA"), issuer(t, edSigner(t, "EdDSA"))
	i.Algorithms = []string{"Ed25519"}
	if _, err := judge(t, i, s.sign(t, s.header(), goodClaims)); !errors.Is(err, token.ErrAlgorithm) {
		t.Errorf("EdDSA where Ed25519 alone is allowed: got %v; want %v", err, token.ErrAlgorithm)
	}
}

func TestJ9_noSymmetricKeys(t *testing.T) {
	t.Parallel()
	oct := `{"kty":"oct","kid":"s","alg":"HS256","k":"` + b64(strings.Repeat("k", 64)) + `"}`
	for name, set := range map[string][]byte{
		"alone":              jwks(oct),
		"beside a good key":  jwks(ecSigner(t, "ES256").jwk(t), oct),
		"without k":          jwks(ecSigner(t, "ES256").jwk(t), `{"kty":"oct","kid":"s"}`),
		"k in an RSA key":    jwks(extra(rsaSigner(t, "RS256").jwk(t), `"k":"AAAA"`)),
		"for encryption (k)": jwks(ecSigner(t, "ES256").jwk(t), extra(oct, `"use":"enc"`)),
	} {
		_, err := token.NewKeySet(token.KeySource{File: set, Algorithms: append(everyAlgorithm(), "HS256")})
		if !errors.Is(err, token.ErrPrivateKey) {
			t.Errorf("%s: got %v; want %v", name, err, token.ErrPrivateKey)
		}
	}
}

// CVE-2022-21449 and its kin.
func TestS8_ecdsaEdgeValues(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"ES256", "ES384", "ES512"} {
		s := ecSigner(t, alg)
		k, ok := s.key.(*ecdsa.PrivateKey)
		if !ok {
			t.Fatalf("key of type %T", s.key)
		}
		n := k.Params().N
		edges := []*big.Int{new(big.Int), big.NewInt(1), new(big.Int).Sub(n, big.NewInt(1)), n}
		input := b64(s.header()) + "." + b64(goodClaims)
		var signatures []string
		for _, r := range edges {
			for _, ss := range edges {
				signatures = append(signatures, rawECDSA(k, r, ss))
			}
		}
		right := s.signature(t, input, 0)
		half := len(right) / 2
		signatures = append(signatures,
			right[:len(right)-1],                // 63 bytes
			right+"\x00",                        // 65 bytes
			"\x00"+right,                        //
			right[:half],                        // r alone
			right+right,                         //
			right[half:]+right[:half],           // s || r
			strings.Repeat("\x00", 21<<10)[:64], // all zero
			"\x30\x44\x02\x20"+right[:half]+"\x02\x20"+right[half:], // DER
		)
		i := issuer(t, s)
		for _, sig := range slices.Compact(signatures) {
			if _, err := judge(t, i, input+"."+b64(sig)); !errors.Is(err, token.ErrSignature) {
				t.Errorf("%s, signature %x: got %v; want %v", alg, sig, err, token.ErrSignature)
			}
		}
	}
}

func TestS8_pssSaltLength(t *testing.T) {
	t.Parallel()
	for alg, size := range map[string]int{"PS256": 32, "PS384": 48, "PS512": 64} {
		s := rsaSigner(t, alg)
		input := b64(s.header()) + "." + b64(goodClaims)
		for _, salt := range []int{0, 1, 20, 32, 48, 64, 100} {
			if salt == 0 {
				continue // rsa.PSSSaltLengthAuto
			}
			want := token.ErrSignature
			_, err := judge(t, issuer(t, s), input+"."+b64(s.signature(t, input, salt)))
			if salt == size && err != nil || salt != size && !errors.Is(err, want) {
				t.Errorf("%s with a salt of %d bytes: got %v", alg, salt, err)
			}
		}
	}
}

func TestSignatureLengthRSA(t *testing.T) {
	t.Parallel()
	s := rsaSigner(t, "RS256")
	input := b64(s.header()) + "." + b64(goodClaims)
	right := s.signature(t, input, 0)
	for _, sig := range []string{right[1:], right[:255], right + "\x00", "\x00" + right, strings.Repeat("\x00", 256), strings.Repeat("\xff", 256)} {
		if _, err := judge(t, issuer(t, s), input+"."+b64(sig)); !errors.Is(err, token.ErrSignature) {
			t.Errorf("a signature of %d bytes: got %v; want %v", len(sig), err, token.ErrSignature)
		}
	}
}
