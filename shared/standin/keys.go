package standin

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// Key is an RSA signing key.
type Key struct {
	ID      string // kid; empty means the key's RFC 7638 thumbprint
	Private *rsa.PrivateKey
}

// ParseKey reads a PEM block that holds an RSA private key, PKCS #1 or PKCS #8.
func ParseKey(id string, text []byte) (Key, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return Key{}, errors.New("standin: key: no PEM block")
	}
	if private, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return Key{ID: id, Private: private}, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return Key{}, fmt.Errorf("standin: key: %w", err)
	}
	private, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return Key{}, errors.New("standin: key: not an RSA key")
	}
	return Key{ID: id, Private: private}, nil
}

// keyring holds the keys, the one that signs last. It makes the first one when
// it is first needed, because that takes a while.
type keyring struct {
	mu   sync.Mutex // guards keys
	keys []Key
}

// all returns the keys that are published.
func (r *keyring) all() ([]Key, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.keys) == 0 {
		k, err := generate()
		if err != nil {
			return nil, err
		}
		r.keys = []Key{k}
	}
	return slices.Clone(r.keys), nil
}

func (r *keyring) rotate(next []Key) error {
	if _, err := r.all(); err != nil {
		return err
	}
	if len(next) == 0 {
		k, err := generate()
		if err != nil {
			return err
		}
		next = []Key{k}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	named, err := withIDs(append(slices.Clone(r.keys), next...))
	if err != nil {
		return err
	}
	r.keys = named
	return nil
}

func (r *keyring) dropOld() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.keys); n > 1 {
		r.keys = slices.Clone(r.keys[n-1:])
	}
}

func generate() (Key, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return Key{}, fmt.Errorf("standin: key: %w", err)
	}
	named, err := withIDs([]Key{{Private: private}})
	if err != nil {
		return Key{}, err
	}
	return named[0], nil
}

// withIDs returns keys with every ID filled in, all of them different.
func withIDs(keys []Key) ([]Key, error) {
	named := make([]Key, 0, len(keys))
	seen := map[string]bool{}
	for _, k := range keys {
		if k.Private == nil {
			return nil, fmt.Errorf("standin: key %q: no private key", k.ID)
		}
		if k.ID == "" {
			public, err := jwk.FromRaw(k.Private.Public())
			if err != nil {
				return nil, fmt.Errorf("standin: key: %w", err)
			}
			sum, err := public.Thumbprint(crypto.SHA256)
			if err != nil {
				return nil, fmt.Errorf("standin: key: %w", err)
			}
			k.ID = encode(sum)
		}
		if seen[k.ID] {
			return nil, fmt.Errorf("standin: key %q: given twice", k.ID)
		}
		seen[k.ID] = true
		named = append(named, k)
	}
	return named, nil
}

// published returns the JWK set (RFC 7517 section 5).
func (r *keyring) published() (jwk.Set, error) {
	keys, err := r.all()
	if err != nil {
		return nil, err
	}
	set := jwk.NewSet()
	for _, k := range keys {
		public, err := jwk.FromRaw(k.Private.Public())
		if err != nil {
			return nil, fmt.Errorf("standin: key %q: %w", k.ID, err)
		}
		for name, value := range map[string]any{jwk.KeyIDKey: k.ID, jwk.AlgorithmKey: jwa.RS256, jwk.KeyUsageKey: jwk.ForSignature} {
			if err := public.Set(name, value); err != nil {
				return nil, fmt.Errorf("standin: key %q: %w", k.ID, err)
			}
		}
		if err := set.AddKey(public); err != nil {
			return nil, fmt.Errorf("standin: key %q: %w", k.ID, err)
		}
	}
	return set, nil
}

// sign returns a compact JWS of claims. The parts are put together here and not
// by jws.Sign so that a test can give the header any member it likes.
func (r *keyring) sign(claims, header map[string]any) (string, error) {
	keys, err := r.all()
	if err != nil {
		return "", err
	}
	key := keys[len(keys)-1]
	full := map[string]any{"alg": jwa.RS256.String(), "kid": key.ID}
	maps.Copy(full, header)
	maps.DeleteFunc(full, func(_ string, v any) bool { return v == nil })
	h, err := json.Marshal(full)
	if err != nil {
		return "", fmt.Errorf("standin: token header: %w", err)
	}
	c, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("standin: token claims: %w", err)
	}
	signer, err := jws.NewSigner(jwa.RS256)
	if err != nil {
		return "", fmt.Errorf("standin: token: %w", err)
	}
	input := encode(h) + "." + encode(c)
	signature, err := signer.Sign([]byte(input), key.Private)
	if err != nil {
		return "", fmt.Errorf("standin: token: %w", err)
	}
	return input + "." + encode(signature), nil
}

// verify returns the claims of a JWT that one of the published keys signed.
func (r *keyring) verify(token string) ([]byte, bool) {
	if strings.Count(token, ".") != 2 {
		return nil, false
	}
	keys, err := r.all()
	if err != nil {
		return nil, false
	}
	for _, k := range keys {
		claims, err := jws.Verify([]byte(token), jws.WithKey(jwa.RS256, k.Private.Public()), jws.WithCompact())
		if err == nil {
			return claims, true
		}
	}
	return nil, false
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
