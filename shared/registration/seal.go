package registration

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"

	"gatehouse/shared/secret"
)

const minKey = 32 // bytes

var errKeys = errors.New("registration: Seal and HMAC must be keys of 32 bytes or more")

// mark is what is kept of a text that must be recognised. Marks of one kind of
// text are no marks of another.
func (s *Service) mark(kind, text string) string {
	h := hmac.New(sha256.New, []byte(s.HMAC.Reveal()))
	h.Write([]byte(kind))
	h.Write([]byte{0})
	h.Write([]byte(text))
	return hex.EncodeToString(h.Sum(nil))
}

// recognises reports whether want is the mark of text.
func (s *Service) recognises(want, kind string, text secret.Value) bool {
	return want != "" && text.Reveal() != "" && subtle.ConstantTimeCompare([]byte(want), []byte(s.mark(kind, text.Reveal()))) == 1
}

// aead is AES-256-GCM with a nonce of its own in front of each text.
func (s *Service) aead() (cipher.AEAD, error) {
	if len(s.Seal.Reveal()) < minKey {
		return nil, errKeys
	}
	key, err := hkdf.Key(sha256.New, []byte(s.Seal.Reveal()), nil, "gatehouse registration", 32)
	if err != nil {
		return nil, fmt.Errorf("registration: key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("registration: key: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// seal encrypts text for one purpose.
func (s *Service) seal(text []byte, purpose string) ([]byte, error) {
	aead, err := s.aead()
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, text, []byte(purpose)), nil //nolint:gosec // NewGCMWithRandomNonce makes the nonce
}

func (s *Service) unseal(sealed []byte, purpose string) ([]byte, error) {
	aead, err := s.aead()
	if err != nil {
		return nil, err
	}
	text, err := aead.Open(nil, nil, sealed, []byte(purpose))
	if err != nil {
		return nil, errors.New("registration: what is sealed does not open with this key for this purpose")
	}
	return text, nil
}
