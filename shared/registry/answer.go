package registry

import (
	"context"
	"fmt"
	"time"
)

// Answer is what a request was answered with, for any instance to give again.
// It is a cache: whoever does not find one makes it anew.
type Answer struct {
	Key     string    `json:"-"`       // SHA-256 or HMAC of the request, lower-case hexadecimal
	Sealed  []byte    `json:"sealed"`  // by the caller
	Expires time.Time `json:"expires"` // it is not found from then on
}

func answerKey(hash string) key { return key{partition: join("ANSWER", hash), sort: "-"} }

// SaveAnswer keeps an answer in the place of any before. The last who writes is
// right.
func (s *Store) SaveAnswer(ctx context.Context, a Answer) error {
	if len(a.Sealed) == 0 || a.Expires.IsZero() {
		return fmt.Errorf("%w: an answer needs sealed and expires", ErrInvalid)
	}
	if err := hexHash("key", a.Key); err != nil {
		return err
	}
	return s.note(ctx, answerKey(a.Key), a, a.Expires)
}

// Answer returns what was kept under a key. What has expired is ErrNotFound.
func (s *Store) Answer(ctx context.Context, key string) (Answer, error) {
	a := Answer{Key: key}
	if err := s.noted(ctx, answerKey(key), &a); err != nil {
		return Answer{}, err
	}
	if !s.clock().Before(a.Expires) { // DynamoDB drops it within days, not at once
		return Answer{}, ErrNotFound
	}
	return a, nil
}
