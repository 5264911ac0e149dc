package token_test

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/shared/token"
)

// rsaJWK is an RSA key of this modulus and exponent.
func rsaJWK(n *big.Int, e []byte) string {
	return fmt.Sprintf(`{"kty":"RSA","kid":"odd","alg":"RS256","use":"sig","n":%q,"e":%q}`, b64(string(n.Bytes())), b64(string(e)))
}

func ecJWK(crv, alg string, x, y []byte) string {
	return fmt.Sprintf(`{"kty":"EC","kid":"odd","alg":%q,"crv":%q,"x":%q,"y":%q}`, alg, crv, b64(string(x)), b64(string(y)))
}

// rocaModulus is that of tcId 7 of json_web_key_test.json.
func rocaModulus(tb testing.TB) *big.Int {
	tb.Helper()
	for _, g := range readVectors(tb, "json_web_key_test.json").TestGroups {
		if g.Comment != "jws_rsa_roca_key" {
			continue
		}
		var set struct {
			Keys []struct {
				N string `json:"n"`
			} `json:"keys"`
		}
		if err := json.Unmarshal(g.Public, &set); err != nil {
			tb.Fatal(err)
		}
		return new(big.Int).SetBytes([]byte(unb64(tb, set.Keys[0].N)))
	}
	tb.Fatal("no ROCA key among the vectors")
	return nil
}

func TestJ8_weakAndMalformedKeys(t *testing.T) {
	t.Parallel()
	rsaKey, ok := rsaSigner(t, "RS256").key.Public().(*rsa.PublicKey)
	if !ok {
		t.Fatal("no RSA key")
	}
	ecKey, ok := ecSigner(t, "ES256").key.Public().(*ecdsa.PublicKey)
	if !ok {
		t.Fatal("no EC key")
	}
	point, err := ecKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	x, y := point[1:33], point[33:]
	off := append([]byte{}, y...)
	off[31] ^= 1
	odd := func(bits uint) *big.Int {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		return n.SetBit(n, 0, 1)
	}
	e := []byte{1, 0, 1}
	for name, jwk := range map[string]string{
		"RSA of 1024 bits":          rsaJWK(odd(1024), e),
		"RSA of 2047 bits":          rsaJWK(odd(2047), e),
		"RSA of 16384 bits":         rsaJWK(odd(16384), e),
		"RSA with an even modulus":  rsaJWK(new(big.Int).Lsh(big.NewInt(1), 2047), e),
		"RSA with e 0":              rsaJWK(rsaKey.N, []byte{0}),
		"RSA with e 1":              rsaJWK(rsaKey.N, []byte{1}),
		"RSA with e 2":              rsaJWK(rsaKey.N, []byte{2}),
		"RSA with an even e":        rsaJWK(rsaKey.N, []byte{1, 0, 0}),
		"RSA without e":             rsaJWK(rsaKey.N, nil),
		"RSA without n":             rsaJWK(new(big.Int), e),
		"RSA from Infineon (ROCA)":  rsaJWK(rocaModulus(t), e),
		"EC point off the curve":    ecJWK("P-256", "ES256", x, off),
		"EC point at infinity":      ecJWK("P-256", "ES256", make([]byte, 32), make([]byte, 32)),
		"EC of the wrong curve":     ecJWK("P-384", "ES384", x, y),
		"EC, alg of another curve":  ecJWK("P-256", "ES384", x, y),
		"EC, oversized coordinates": ecJWK("P-256", "ES256", append([]byte{1}, x...), y),
		"EC, coordinate over p":     ecJWK("P-256", "ES256", []byte(strings.Repeat("\xff", 32)), y),
		"EC without y":              ecJWK("P-256", "ES256", x, nil),
		"EC on secp256k1":           ecJWK("secp256k1", "ES256K", x, y),
		"Ed25519 of 31 bytes":       `{"kty":"OKP","kid":"odd","crv":"Ed25519","x":"` + b64(string(x[:31])) + `"}`,
		"Ed25519 of 33 bytes":       `{"kty":"OKP","kid":"odd","crv":"Ed25519","x":"` + b64(string(point[:33])) + `"}`,
		"X25519":                    `{"kty":"OKP","kid":"odd","crv":"X25519","x":"` + b64(string(x)) + `"}`,
		"RSA in kty, EC inside":     edit(t, ecJWK("P-256", "ES256", x, y), `"EC"`, `"RSA"`),
		"base64 with padding":       edit(t, rsaJWK(rsaKey.N, e), `"AQAB"`, `"AQAB=="`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if ids, err := token.KeyIDs(jwks(jwk), everyAlgorithm()); !errors.Is(err, token.ErrNoKey) {
				t.Errorf("alone: got %q, %v; want %v", ids, err, token.ErrNoKey)
			}
			ids, err := token.KeyIDs(jwks(jwk, ecSigner(t, "ES384").jwk(t)), everyAlgorithm())
			if diff := cmp.Diff([]string{"ec-384"}, ids); diff != "" || err != nil {
				t.Errorf("beside a good key: %v, (-want +got)\n%s", err, diff)
			}
		})
	}
}

// An exponent that wraps around to 3 in 64 bits must not become 3.
func TestJ8_exponentThatOverflows(t *testing.T) {
	t.Parallel()
	k, ok := rsaSigner(t, "RS256").key.Public().(*rsa.PublicKey)
	if !ok {
		t.Fatal("no RSA key")
	}
	for _, e := range []*big.Int{
		new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 64), big.NewInt(65537)),
		new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 32), big.NewInt(65537)),
	} {
		set := jwks(edit(t, rsaJWK(k.N, e.Bytes()), `"odd"`, `"rsa-1"`))
		s := rsaSigner(t, "RS256")
		if err := token.VerifyJWS(s.sign(t, s.header(), goodClaims), set, everyAlgorithm()); err == nil {
			t.Errorf("e %v verifies as 65537", e)
		}
	}
}

func TestS7_whatAKeySetMayHold(t *testing.T) {
	t.Parallel()
	ec, rs := ecSigner(t, "ES256").jwk(t), rsaSigner(t, "RS256").jwk(t)
	unnamed := func(jwk, kid string) string { return edit(t, jwk, `"kid":"`+kid+`"`, `"x-kid":""`) }
	many := make([]string, token.MaxKeys+1)
	for n := range many {
		many[n] = fmt.Sprintf(`{"kty":"unheard-of","kid":"k%d"}`, n)
	}
	for name, tc := range map[string]struct {
		set  []byte
		ids  []string
		want error
	}{
		"two keys":                        {set: jwks(ec, rs), ids: []string{"ec-1", "rsa-1"}},
		"members nobody knows":            {set: []byte(`{"x":{"y":[1]},"keys":[` + extra(ec, `"x-new":{"a":1}`) + `],"z":null}`), ids: []string{"ec-1"}},
		"unknown kty is ignored":          {set: jwks(`{"kty":"AKP","alg":"ML-DSA-44","pub":"AA"}`, ec), ids: []string{"ec-1"}},
		"no kty is ignored":               {set: jwks(`{}`, ec), ids: []string{"ec-1"}},
		"an element that is no object":    {set: jwks(`1`, `"x"`, `null`, ec), ids: []string{"ec-1"}},
		"use enc is ignored":              {set: jwks(edit(t, rs, `"use":"sig"`, `"use":"enc"`), ec), ids: []string{"ec-1"}},
		"empty use is ignored":            {set: jwks(edit(t, rs, `"use":"sig"`, `"use":""`), ec), ids: []string{"ec-1"}},
		"key_ops without verify":          {set: jwks(extra(rs, `"key_ops":["encrypt"]`), ec), ids: []string{"ec-1"}},
		"key_ops with verify":             {set: jwks(extra(rs, `"key_ops":["verify"]`), ec), ids: []string{"rsa-1", "ec-1"}},
		"key_ops of the wrong type":       {set: jwks(extra(rs, `"key_ops":"verify"`), ec), ids: []string{"ec-1"}},
		"kid of the wrong type":           {set: jwks(edit(t, rs, `"rsa-1"`, `1`), ec), ids: []string{"ec-1"}},
		"encryption and signing, one kid": {set: jwks(edit(t, edit(t, rs, `"use":"sig"`, `"use":"enc"`), "rsa-1", "ec-1"), ec), ids: []string{"ec-1"}},
		"keys without kid":                {set: jwks(unnamed(ec, "ec-1"), unnamed(rs, "rsa-1")), ids: []string{"", ""}},
		"an algorithm nobody allows":      {set: jwks(edit(t, rs, "RS256", "RS1")), want: token.ErrNoKey},
		"no keys":                         {set: []byte(`{"keys":[]}`), want: token.ErrNoKey},
		"no member keys":                  {set: []byte(`{"Keys":[` + ec + `]}`), want: token.ErrNoKey},
		"the same kid twice":              {set: jwks(ec, edit(t, rs, "rsa-1", "ec-1")), want: token.ErrSameKeyID},
		"one key twice":                   {set: jwks(ec, ec), want: token.ErrSameKeyID},
		"private EC":                      {set: jwks(rs, extra(ec, `"d":"AA"`)), want: token.ErrPrivateKey},
		"private RSA":                     {set: jwks(extra(rs, `"dp":"AA"`), ec), want: token.ErrPrivateKey},
		"a private key for encryption":    {set: jwks(extra(edit(t, rs, `"use":"sig"`, `"use":"enc"`), `"d":"AA"`), ec), want: token.ErrPrivateKey},
		"symmetric":                       {set: jwks(ec, `{"kty":"oct","k":"AA"}`), want: token.ErrPrivateKey},
		"more keys than a set may have":   {set: jwks(many...), want: token.ErrTooMany},
		"a key with a member twice":       {set: jwks(extra(ec, `"kid":"x"`)), want: token.ErrKeySet},
		"a key with KID and kid":          {set: jwks(extra(ec, `"KID":"x"`)), want: token.ErrKeySet},
		"two documents":                   {set: append(jwks(ec), jwks(rs)...), want: token.ErrKeySet},
		"keys twice":                      {set: []byte(`{"keys":[` + ec + `],"keys":[` + rs + `]}`), want: token.ErrKeySet},
		"an array":                        {set: []byte(`[` + ec + `]`), want: token.ErrKeySet},
		"keys an object":                  {set: []byte(`{"keys":` + ec + `}`), want: token.ErrKeySet},
		"a page":                          {set: []byte(`<html></html>`), want: token.ErrKeySet},
		"nothing":                         {set: nil, want: token.ErrKeySet},
		"cut short":                       {set: jwks(ec)[:100], want: token.ErrKeySet},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ids, err := token.KeyIDs(tc.set, everyAlgorithm())
			if diff := cmp.Diff(tc.ids, ids); diff != "" || !errors.Is(err, tc.want) {
				t.Errorf("got error %v, want %v; keys (-want +got)\n%s", err, tc.want, diff)
			}
		})
	}
}

// A token without kid means the only key that fits its algorithm, and is
// refused when that is a guess.
func TestTokenWithoutKeyID(t *testing.T) {
	t.Parallel()
	s := ecSigner(t, "ES256")
	raw := s.sign(t, `{"alg":"ES256","typ":"at+jwt"}`, goodClaims)
	if _, err := judge(t, issuer(t, rsaSigner(t, "RS256"), s), raw); err != nil {
		t.Errorf("one key for ES256: got %v", err)
	}
	other := strangeEC(t)
	other.kid = "ec-2"
	if _, err := judge(t, issuer(t, s, other), raw); !errors.Is(err, token.ErrUnknownKey) {
		t.Errorf("two keys for ES256: got %v; want %v", err, token.ErrUnknownKey)
	}
}
