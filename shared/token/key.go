package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	_ "crypto/sha256" // SHA-256
	_ "crypto/sha512" // SHA-384, SHA-512
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sync/atomic"

	"github.com/lestrrat-go/jwx/v2/jwk"

	"gatehouse/shared/strictjson"
)

// algorithm is a signature algorithm of RFC 7518 §3 or RFC 8037 that Gatehouse
// verifies.
type algorithm struct {
	name string      // of RFC 7518
	hash crypto.Hash // 0 for EdDSA, which has its own
	pss  bool
	kty  string
	crv  string // "" for RSA
	size int    // bytes of a signature; 0: as long as the RSA modulus
}

// algorithms are all there are. Symmetric ones and ES256K are not among them
// and cannot be configured. Ed25519 (RFC 9864) is EdDSA with its curve said.
var algorithms = map[string]algorithm{
	"RS256":   {name: "RS256", kty: "RSA", hash: crypto.SHA256},
	"RS384":   {name: "RS384", kty: "RSA", hash: crypto.SHA384},
	"RS512":   {name: "RS512", kty: "RSA", hash: crypto.SHA512},
	"PS256":   {name: "PS256", kty: "RSA", hash: crypto.SHA256, pss: true},
	"PS384":   {name: "PS384", kty: "RSA", hash: crypto.SHA384, pss: true},
	"PS512":   {name: "PS512", kty: "RSA", hash: crypto.SHA512, pss: true},
	"ES256":   {name: "ES256", kty: "EC", crv: "P-256", hash: crypto.SHA256, size: 64},
	"ES384":   {name: "ES384", kty: "EC", crv: "P-384", hash: crypto.SHA384, size: 96},
	"ES512":   {name: "ES512", kty: "EC", crv: "P-521", hash: crypto.SHA512, size: 132},
	"EdDSA":   {name: "EdDSA", kty: "OKP", crv: "Ed25519", size: 64},
	"Ed25519": {name: "EdDSA", kty: "OKP", crv: "Ed25519", size: 64},
}

// Limits of a key set. Providers publish two or three keys of 2048 or 4096 bits.
const (
	maxKeys    = 100
	minModulus = 2048 // bits, RFC 7518 §3.3
	maxModulus = 8192 // bits

	// bytes; jwx keeps the low 64 bits of an exponent, crypto/rsa takes 31
	maxExponentLen = 4
)

// Key is a public key of an issuer and the one algorithm it is used with
// (RFC 8725 §3.1).
type Key struct {
	id      string // kid; "" when the issuer did not name it
	text    string // the JWK, to recognise the key in the next set
	public  crypto.PublicKey
	alg     algorithm
	pkcs1   *pkcs1 // of RS*; nil in FIPS mode
	size    int    // bytes of a signature
	retired atomic.Bool
}

// Reasons a key set or a key in it is refused.
var (
	errKeySet     = errors.New("not a JWK set")
	errTooMany    = errors.New("more keys than a set may have")
	errPrivateKey = errors.New("holds private or symmetric key material: the provider must withdraw that key")
	errSameKeyID  = errors.New("has two signing keys with one kid")
	errNoKey      = errors.New("has no key that can be used")
	errUnusable   = errors.New("key is not used") // wrapped by what is the matter with one key
)

// parseKeys reads a JWK set (RFC 7517 §5). Keys that cannot verify signatures
// with one of the allowed algorithms are left out, as §5 asks; a set that no
// careful provider publishes is refused whole: private or symmetric members, or
// two usable keys of one name.
func parseKeys(text []byte, allowed []string) ([]*Key, error) {
	var keys []*Key
	seen := 0
	d := strictjson.NewDecoder(text, strictjson.Token)
	err := d.Object(func(name []byte) error {
		if string(name) != "keys" {
			return d.Skip()
		}
		return d.Array(func() error {
			if seen++; seen > maxKeys {
				return errTooMany
			}
			raw, err := d.Raw()
			if err != nil {
				return err
			}
			key, err := parseKey(raw, allowed)
			switch {
			case errors.Is(err, errUnusable):
				return nil
			case err != nil:
				return err
			case slices.ContainsFunc(keys, func(k *Key) bool { return k.id != "" && k.id == key.id }):
				return errSameKeyID
			}
			keys = append(keys, key)
			return nil
		})
	})
	if err == nil {
		err = d.End()
	}
	switch {
	case errors.Is(err, errTooMany), errors.Is(err, errPrivateKey), errors.Is(err, errSameKeyID):
		return nil, err
	case err != nil:
		return nil, errKeySet
	case len(keys) == 0:
		return nil, errNoKey
	}
	return keys, nil
}

// jwkMembers are the members of a JWK that decide how it may be used.
type jwkMembers struct {
	kty, crv, use, alg, kid string
	ops                     []string
	hasUse, hasOps, hasAlg  bool
}

func parseKey(raw []byte, allowed []string) (*Key, error) {
	m, err := readMembers(raw)
	if err != nil {
		return nil, err
	}
	alg, err := m.algorithm(allowed)
	if err != nil {
		return nil, err
	}
	parsed, err := jwk.ParseKey(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: it does not parse", errUnusable)
	}
	if r, ok := parsed.(jwk.RSAPublicKey); ok && len(r.E()) > maxExponentLen {
		return nil, fmt.Errorf("%w: an RSA exponent of %d bytes", errUnusable, len(r.E()))
	}
	var public any
	if err := parsed.Raw(&public); err != nil {
		return nil, fmt.Errorf("%w: it does not parse", errUnusable)
	}
	k := &Key{id: m.kid, text: string(raw), public: public, alg: alg, size: alg.size}
	return k, k.checkMaterial()
}

func readMembers(raw []byte) (jwkMembers, error) {
	var m jwkMembers
	d := strictjson.NewDecoder(raw, strictjson.Token)
	err := d.Object(func(name []byte) error {
		switch string(name) {
		case "kty":
			return readString(d, &m.kty)
		case "crv":
			return readString(d, &m.crv)
		case "kid":
			return readString(d, &m.kid)
		case "use":
			m.hasUse = true
			return readString(d, &m.use)
		case "alg":
			m.hasAlg = true
			return readString(d, &m.alg)
		case "key_ops":
			m.hasOps = true
			return d.Array(func() error {
				var op string
				err := readString(d, &op)
				m.ops = append(m.ops, op)
				return err
			})
		case "d", "p", "q", "dp", "dq", "qi", "oth", "k": // RFC 7518 §6.2.2, §6.3.2, §6.4.1
			return errPrivateKey
		default:
			return d.Skip()
		}
	})
	switch {
	case errors.Is(err, errPrivateKey):
		return m, err
	case err != nil:
		return m, fmt.Errorf("%w: a member has the wrong type", errUnusable)
	case m.kty == "oct":
		return m, errPrivateKey
	}
	return m, nil
}

// algorithm chooses the one algorithm the key is used with: its own alg, or the
// first allowed one that its type can do.
func (m jwkMembers) algorithm(allowed []string) (algorithm, error) {
	switch {
	case m.hasUse && m.use != "sig":
		return algorithm{}, fmt.Errorf("%w: use is not sig", errUnusable)
	case m.hasOps && !slices.Contains(m.ops, "verify"):
		return algorithm{}, fmt.Errorf("%w: key_ops does not name verify", errUnusable)
	}
	for _, name := range allowed {
		a, ok := algorithms[name]
		if ok && a.kty == m.kty && a.crv == m.crv && (!m.hasAlg || a.name == algorithms[m.alg].name) {
			return a, nil
		}
	}
	return algorithm{}, fmt.Errorf("%w: no allowed algorithm suits it", errUnusable)
}

// checkMaterial refuses weak and malformed public keys (RFC 8725 §3.4, §3.5).
func (k *Key) checkMaterial() error {
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		bits := public.N.BitLen()
		switch {
		case bits < minModulus || bits > maxModulus:
			return fmt.Errorf("%w: an RSA modulus of %d bits", errUnusable, bits)
		case public.E < 3 || public.E%2 == 0 || public.N.Bit(0) == 0:
			return fmt.Errorf("%w: an RSA key that is none", errUnusable)
		case roca(public.N):
			return fmt.Errorf("%w: the RSA key has the ROCA weakness (CVE-2017-15361)", errUnusable)
		}
		return k.prepare(public)
	case *ecdsa.PublicKey:
		if _, err := public.ECDH(); err != nil || public.Curve.Params().Name != k.alg.crv {
			return fmt.Errorf("%w: the point is not on %s", errUnusable, k.alg.crv)
		}
	case ed25519.PublicKey:
		if len(public) != ed25519.PublicKeySize {
			return fmt.Errorf("%w: an Ed25519 key of %d bytes", errUnusable, len(public))
		}
	default:
		return fmt.Errorf("%w: it is no public key", errUnusable)
	}
	return nil
}

// prepare makes an RSA key that was accepted ready to verify.
func (k *Key) prepare(public *rsa.PublicKey) (err error) {
	k.size = public.Size()
	if k.alg.pss {
		return nil
	}
	if k.pkcs1, err = newPKCS1(public, k.alg.hash); err != nil {
		return fmt.Errorf("%w: an RSA key that is none", errUnusable)
	}
	return nil
}

// roca reports whether n is the product of primes that Infineon's library made:
// modulo every small prime it lies in the subgroup that 65537 generates
// (Nemec et al., "The Return of Coppersmith's Attack", 2017, §2.3).
func roca(n *big.Int) bool {
	var rest, prime big.Int
	for _, p := range rocaPrimes {
		r := rest.Mod(n, prime.SetInt64(p)).Int64()
		x := int64(1)
		for x != r {
			if x = x * 65537 % p; x == 1 {
				return false
			}
		}
	}
	return true
}

var rocaPrimes = []int64{
	3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83,
	89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
}

// verify checks a JWS signature (RFC 7515 §5.2). Its length is checked first:
// no decoder of signatures sees an odd one.
func (k *Key) verify(signingInput string, signature []byte) error {
	if len(signature) != k.size {
		return ErrSignature
	}
	input, ok := []byte(signingInput), false
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		ok = k.verifyRSA(public, input, signature)
	case *ecdsa.PublicKey:
		r, s := signature[:k.size/2], signature[k.size/2:] // RFC 7518 §3.4
		ok = ecdsa.Verify(public, k.digest(input), new(big.Int).SetBytes(r), new(big.Int).SetBytes(s))
	case ed25519.PublicKey:
		ok = ed25519.Verify(public, input, signature)
	}
	if !ok {
		return ErrSignature
	}
	return nil
}

func (k *Key) verifyRSA(public *rsa.PublicKey, input, signature []byte) bool {
	switch {
	case k.alg.pss:
		// The salt is as long as the hash (RFC 7518 §3.5).
		options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
		return rsa.VerifyPSS(public, k.alg.hash, k.digest(input), signature, options) == nil
	case k.pkcs1 != nil:
		return k.pkcs1.verify(k.digest(input), signature)
	default:
		return rsa.VerifyPKCS1v15(public, k.alg.hash, k.digest(input), signature) == nil
	}
}

func (k *Key) digest(input []byte) []byte {
	h := k.alg.hash.New()
	h.Write(input)
	return h.Sum(make([]byte, 0, 64))
}
