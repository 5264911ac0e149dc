package secret

import (
	"context"
	"strings"
	"sync"
	"time"
)

// Times of keeping a secret.
const (
	fresh    = 5 * time.Minute  // a value is used this long without asking again
	stale    = time.Hour        // and this long when Secrets Manager does not answer
	cooldown = 10 * time.Second // between two reads that [Source.Refresh] asks for
	timeout  = 2 * time.Second  // of one read
	maxSize  = 64 << 10         // bytes; Secrets Manager's own limit
)

// Source is a secret, read when first needed and kept. Use [Open] or
// [OpenKeys]. It is safe for concurrent use.
type Source[T any] struct {
	Now func() time.Time // nil: time.Now

	read  func(context.Context) ([]byte, error)
	parse func([]byte) (T, error)

	mu   sync.Mutex // held while reading: one read at a time
	held T
	at   time.Time // when held was read; zero: never
}

// open returns the source that ref names: "file:" and a path on a laptop, else
// the ARN or name of a secret in Secrets Manager. Nothing is read yet.
func open[T any](ref string, manager *Manager, parse func([]byte) (T, error)) *Source[T] {
	s := &Source[T]{parse: parse}
	s.read = func(ctx context.Context) ([]byte, error) { return manager.value(ctx, ref) }
	if path, ok := strings.CutPrefix(ref, "file:"); ok {
		s.read = func(context.Context) ([]byte, error) { return readFile(path) }
	}
	return s
}

// Fixed returns a source that always has v, for what is made up on the spot.
func Fixed[T any](v T) *Source[T] {
	return &Source[T]{
		read:  func(context.Context) ([]byte, error) { return nil, nil },
		parse: func([]byte) (T, error) { return v, nil },
	}
}

// Get returns the secret, at most five minutes old, or an hour when no newer
// one can be had.
func (s *Source[T]) Get(ctx context.Context) (T, error) {
	return s.get(ctx, fresh)
}

// Refresh reads the secret again after what it is for refused it: it may have
// been rotated a moment ago. It reads at most once in ten seconds, and returns
// what it has in between.
func (s *Source[T]) Refresh(ctx context.Context) (T, error) {
	return s.get(ctx, cooldown)
}

func (s *Source[T]) get(ctx context.Context, maxAge time.Duration) (T, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// The wall clock counts: the monotonic one stands still in a frozen Lambda.
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	at := now().Round(0)
	age := at.Sub(s.at)
	if !s.at.IsZero() && age >= 0 && age < maxAge {
		return s.held, nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	text, err := s.read(ctx)
	if err == nil {
		var v T
		if v, err = s.parse(text); err == nil {
			s.held, s.at = v, at
			return v, nil
		}
	}
	if !s.at.IsZero() && age < stale {
		return s.held, nil
	}
	var none T
	return none, err
}
