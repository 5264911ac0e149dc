// Package seal keeps texts secret and unchanged where others keep them: in the
// registry, in a browser, in a client's hands. What is sealed for one purpose
// opens for no other, and only where what it was bound to is known.
//
// Each purpose has keys of its own, derived by HKDF (RFC 5869) from the keys of
// one secret. What is sealed names the key that sealed it, so that keys rotate
// without anything to convert: the current one seals, those before go on
// opening. There is no other choice to make: texts are sealed by AES-256-GCM
// and marked by HMAC-SHA-256.
package seal

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"

	"gatehouse/shared/secret"
)

// What can go wrong. Neither says anything of a text.
var (
	ErrKeys   = errors.New("seal: the keys cannot be read")
	ErrSealed = errors.New("seal: it was not sealed here for this, or has been changed")
)

// Sealed texts begin with these bytes and the key's id; nonce, ciphertext and
// tag follow.
const (
	format   = 1
	idLength = 4
	overhead = 1 + idLength
)

// Overhead is how many bytes longer a text is when it is sealed.
const Overhead = overhead + 12 + 16

// Box seals and opens. Use [New]. It is safe for concurrent use.
type Box struct {
	source *secret.Source[secret.Keys]

	mu   sync.Mutex // guards keys
	keys []*key     // the current one first
}

// New returns a box that seals with the keys of source. Nothing is read yet.
func New(source *secret.Source[secret.Keys]) *Box { return &Box{source: source} }

// Check reads the keys.
func (b *Box) Check(ctx context.Context) error {
	_, err := b.ring(ctx, b.source.Get)
	return err
}

// Seal encrypts text for a purpose, bound to a text that must be known to open
// it, such as the id of the record it is kept in; "" binds it to nothing.
func (b *Box) Seal(ctx context.Context, purpose, bound string, text []byte) ([]byte, error) {
	ring, err := b.ring(ctx, b.source.Get)
	if err != nil {
		return nil, err
	}
	aead, err := ring[0].aead(purpose)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(text)+Overhead)
	out = append(out, format)
	out = append(out, ring[0].id[:]...)
	return aead.Seal(out, nil, text, []byte(bound)), nil //nolint:gosec // NewGCMWithRandomNonce makes the nonce
}

// Open decrypts what Seal has made for the same purpose and binding. A key that
// is not known may have been added a moment ago, so the keys are then read
// again, at most once in ten seconds.
func (b *Box) Open(ctx context.Context, purpose, bound string, sealed []byte) ([]byte, error) {
	if len(sealed) < Overhead || sealed[0] != format {
		return nil, ErrSealed
	}
	id, sealed := sealed[1:overhead], sealed[overhead:]
	for _, read := range []func(context.Context) (secret.Keys, error){b.source.Get, b.source.Refresh} {
		ring, err := b.ring(ctx, read)
		if err != nil {
			return nil, err
		}
		for _, k := range ring {
			if !bytes.Equal(k.id[:], id) {
				continue
			}
			aead, err := k.aead(purpose)
			if err != nil {
				return nil, err
			}
			text, err := aead.Open(nil, nil, sealed, []byte(bound))
			if err != nil {
				return nil, ErrSealed
			}
			return text, nil
		}
	}
	return nil, ErrSealed
}

// text is base64url in its one spelling.
var text = base64.RawURLEncoding.Strict()

// SealText is Seal into letters, digits, '-' and '_'.
func (b *Box) SealText(ctx context.Context, purpose, bound string, plain []byte) (string, error) {
	sealed, err := b.Seal(ctx, purpose, bound, plain)
	return text.EncodeToString(sealed), err
}

// OpenText opens what SealText has made.
func (b *Box) OpenText(ctx context.Context, purpose, bound, sealed string) ([]byte, error) {
	raw, err := text.DecodeString(sealed)
	if err != nil || strings.ContainsAny(sealed, "\r\n") {
		return nil, ErrSealed
	}
	return b.Open(ctx, purpose, bound, raw)
}

// Mark is what is kept of a text that must be recognised: 64 hexadecimal
// digits. Marks of one kind of text are no marks of another.
func (b *Box) Mark(ctx context.Context, kind, plain string) (string, error) {
	ring, err := b.ring(ctx, b.source.Get)
	if err != nil {
		return "", err
	}
	sum, err := ring[0].mark(kind, plain)
	return hex.EncodeToString(sum), err
}

// Recognises reports whether mark is that of a text, made with the current key
// or one before. No text is recognised by "", and "" by no mark.
func (b *Box) Recognises(ctx context.Context, mark, kind string, plain secret.Value) (bool, error) {
	if len(mark) != 2*sha256.Size || plain.Reveal() == "" {
		return false, nil
	}
	ring, err := b.ring(ctx, b.source.Get)
	if err != nil {
		return false, err
	}
	for _, k := range ring {
		sum, err := k.mark(kind, plain.Reveal())
		if err != nil {
			return false, err
		}
		if hmac.Equal([]byte(mark), []byte(hex.EncodeToString(sum))) {
			return true, nil
		}
	}
	return false, nil
}

// ring returns the keys as read gives them.
func (b *Box) ring(ctx context.Context, read func(context.Context) (secret.Keys, error)) ([]*key, error) {
	keys, err := read(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeys, err)
	}
	roots := append([]secret.Value{keys.Current}, keys.Previous...)
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.keys) == len(roots) && b.keys[0].root.Equal(roots[0]) {
		return b.keys, nil // a ring changes at its head
	}
	ring := make([]*key, len(roots))
	for n, root := range roots {
		if ring[n], err = newKey(root); err != nil {
			return nil, err
		}
	}
	b.keys = ring
	return ring, nil
}

// key is one key and what has been derived from it.
type key struct {
	root secret.Value
	id   [idLength]byte

	mu    sync.Mutex             // guards what follows
	aeads map[string]cipher.AEAD // by purpose
	marks map[string][]byte      // keys, by kind
}

func newKey(root secret.Value) (*key, error) {
	k := &key{root: root, aeads: map[string]cipher.AEAD{}, marks: map[string][]byte{}}
	id, err := k.derive("id", idLength)
	copy(k.id[:], id)
	return k, err
}

func (k *key) derive(what string, length int) ([]byte, error) {
	b, err := hkdf.Key(sha256.New, []byte(k.root.Reveal()), nil, "gatehouse "+what, length)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeys, err)
	}
	return b, nil
}

func (k *key) aead(purpose string) (cipher.AEAD, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if aead, ok := k.aeads[purpose]; ok {
		return aead, nil
	}
	b, err := k.derive("seal "+purpose, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeys, err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeys, err)
	}
	k.aeads[purpose] = aead
	return aead, nil
}

func (k *key) mark(kind, plain string) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	b, ok := k.marks[kind]
	if !ok {
		var err error
		if b, err = k.derive("mark "+kind, sha256.Size); err != nil {
			return nil, err
		}
		k.marks[kind] = b
	}
	h := hmac.New(sha256.New, b)
	h.Write([]byte(plain))
	return h.Sum(nil), nil
}
