package token_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/shared/token"
)

// The issuer, its good token and the time at which it is judged.
const (
	issuerURL  = "https://idp.example/oauth2/default"
	goodHeader = `{"alg":"ES256","kid":"ec-1","typ":"at+jwt"}`
	goodClaims = `{"iss":"https://idp.example/oauth2/default","aud":"api://orders","sub":"user-1",` +
		`"client_id":"app-1","scope":"orders:read orders:write","iat":1800000000,"exp":1800000600,"jti":"id-1"}`
	nowUnix = 1800000300
)

func now() time.Time { return time.Unix(nowUnix, 0) }

// signer is a private key of an issuer, the kid it is published under and the
// algorithm it signs with.
type signer struct {
	alg string
	kid string
	key crypto.Signer
}

// Keys are made once: RSA keys take long under the race detector.
var (
	rsaKeys = sync.OnceValues(func() ([2]*rsa.PrivateKey, error) {
		a, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return [2]*rsa.PrivateKey{}, err
		}
		b, err := rsa.GenerateKey(rand.Reader, 2048)
		return [2]*rsa.PrivateKey{a, b}, err
	})
	ecKeys = sync.OnceValues(func() (map[string]*ecdsa.PrivateKey, error) {
		made := map[string]*ecdsa.PrivateKey{}
		for name, curve := range map[string]elliptic.Curve{
			"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521(), "other": elliptic.P256(),
		} {
			k, err := ecdsa.GenerateKey(curve, rand.Reader)
			if err != nil {
				return nil, err
			}
			made[name] = k
		}
		return made, nil
	})
	edKey = sync.OnceValues(func() (ed25519.PrivateKey, error) {
		_, k, err := ed25519.GenerateKey(rand.Reader)
		return k, err
	})
)

// rsaSigner signs with the issuer's RSA key by any of RS* and PS*.
func rsaSigner(tb testing.TB, alg string) signer {
	tb.Helper()
	k, err := rsaKeys()
	if err != nil {
		tb.Fatal(err)
	}
	return signer{alg: alg, kid: "rsa-1", key: k[0]}
}

// strangeRSA is nobody's key.
func strangeRSA(tb testing.TB) signer {
	tb.Helper()
	k, err := rsaKeys()
	if err != nil {
		tb.Fatal(err)
	}
	return signer{alg: "RS256", kid: "rsa-1", key: k[1]}
}

func ecSigner(tb testing.TB, alg string) signer {
	tb.Helper()
	k, err := ecKeys()
	if err != nil {
		tb.Fatal(err)
	}
	kid := map[string]string{"ES256": "ec-1", "ES384": "ec-384", "ES512": "ec-521"}[alg]
	return signer{alg: alg, kid: kid, key: k[alg]}
}

// strangeEC is nobody's key.
func strangeEC(tb testing.TB) signer {
	tb.Helper()
	k, err := ecKeys()
	if err != nil {
		tb.Fatal(err)
	}
	return signer{alg: "ES256", kid: "ec-1", key: k["other"]}
}

func edSigner(tb testing.TB, alg string) signer {
	tb.Helper()
	k, err := edKey()
	if err != nil {
		tb.Fatal(err)
	}
	return signer{alg: alg, kid: "ed-1", key: k}
}

// sign makes a token of exactly these texts.
func (s signer) sign(tb testing.TB, header, claims string) string {
	tb.Helper()
	input := b64(header) + "." + b64(claims)
	return input + "." + b64(s.signature(tb, input, rsa.PSSSaltLengthEqualsHash))
}

// signature signs input; salt is the salt length of PS*.
func (s signer) signature(tb testing.TB, input string, salt int) string {
	tb.Helper()
	if k, ok := s.key.(ed25519.PrivateKey); ok {
		return string(ed25519.Sign(k, []byte(input)))
	}
	hash := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[s.alg[2:]]
	h := hash.New()
	h.Write([]byte(input))
	switch k := s.key.(type) {
	case *ecdsa.PrivateKey:
		r, ss, err := ecdsa.Sign(rand.Reader, k, h.Sum(nil))
		if err != nil {
			tb.Fatal(err)
		}
		return rawECDSA(k, r, ss)
	case *rsa.PrivateKey:
		var options crypto.SignerOpts = hash
		if s.alg[0] == 'P' {
			options = &rsa.PSSOptions{SaltLength: salt, Hash: hash}
		}
		sig, err := k.Sign(rand.Reader, h.Sum(nil), options)
		if err != nil {
			tb.Fatal(err)
		}
		return string(sig)
	default:
		tb.Fatalf("no key of type %T", s.key)
		return ""
	}
}

// rawECDSA is r || s (RFC 7518 §3.4).
func rawECDSA(k *ecdsa.PrivateKey, r, s *big.Int) string {
	size := (k.Curve.Params().BitSize + 7) / 8
	out := make([]byte, 2*size)
	r.FillBytes(out[:size])
	s.FillBytes(out[size:])
	return string(out)
}

// header is the JOSE header of an RFC 9068 token of this key.
func (s signer) header() string {
	return fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"at+jwt"}`, s.alg, s.kid)
}

// jwk is the public key as the issuer publishes it, with alg.
func (s signer) jwk(tb testing.TB) string {
	tb.Helper()
	m := map[string]string{"kid": s.kid, "alg": s.alg, "use": "sig"}
	switch k := s.key.Public().(type) {
	case *rsa.PublicKey:
		m["kty"], m["n"], m["e"] = "RSA", b64(string(k.N.Bytes())), b64(string(big.NewInt(int64(k.E)).Bytes()))
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		if err != nil {
			tb.Fatal(err)
		}
		half := len(point) / 2
		m["kty"], m["crv"] = "EC", k.Params().Name
		m["x"], m["y"] = b64(string(point[1:1+half])), b64(string(point[1+half:]))
	case ed25519.PublicKey:
		m["kty"], m["crv"], m["x"] = "OKP", "Ed25519", b64(string(k))
	}
	text, err := json.Marshal(m)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

// jwks is a JWK set of keys in JSON.
func jwks(jwk ...string) []byte { return []byte(`{"keys":[` + strings.Join(jwk, ",") + `]}`) }

func jwksOf(tb testing.TB, signers ...signer) []byte {
	tb.Helper()
	list := make([]string, 0, len(signers))
	for _, s := range signers {
		list = append(list, s.jwk(tb))
	}
	return jwks(list...)
}

func everyAlgorithm() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"}
}

// fileKeys is a key set that fetches nothing.
func fileKeys(tb testing.TB, set []byte) *token.KeySet {
	tb.Helper()
	keys, err := token.NewKeySet(token.KeySource{File: set, Algorithms: everyAlgorithm()})
	if err != nil {
		tb.Fatal(err)
	}
	return keys
}

// issuer is the issuer of the good token with the public keys of signers.
func issuer(tb testing.TB, signers ...signer) *token.Issuer {
	tb.Helper()
	return &token.Issuer{
		Provider:       "acme",
		Issuer:         issuerURL,
		Audiences:      []string{"api://orders"},
		Algorithms:     everyAlgorithm(),
		ClientIDClaims: []string{"client_id"},
		ScopeClaims:    []string{"scope"},
		Keys:           fileKeys(tb, jwksOf(tb, signers...)),
		Now:            now,
	}
}

// judge is the whole way of a JWT.
func judge(tb testing.TB, i *token.Issuer, raw string) (*token.Facts, error) {
	tb.Helper()
	u, err := token.Parse(raw)
	if err != nil {
		return nil, err
	}
	return i.Verify(tb.Context(), u)
}

// good is the good token.
func good(tb testing.TB) string {
	tb.Helper()
	return ecSigner(tb, "ES256").sign(tb, goodHeader, goodClaims)
}

// edit replaces old, which must be there.
func edit(tb testing.TB, text, old, replacement string) string {
	tb.Helper()
	if strings.Count(text, old) != 1 {
		tb.Fatalf("%q occurs %d times in %s", old, strings.Count(text, old), text)
	}
	return strings.Replace(text, old, replacement, 1)
}

// extra adds a member at the end of a JSON object.
func extra(object, member string) string { return object[:len(object)-1] + "," + member + "}" }

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func unb64(tb testing.TB, s string) string {
	tb.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}
