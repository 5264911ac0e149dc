package registry

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// How long claims are kept.
const (
	answeredLife = 10 * time.Minute    // a repeated request gets the same answer
	openLife     = 30 * 24 * time.Hour // as long as what it began could still be found half done
)

// Claim is the use of an idempotency key. While it is in progress it has a
// lease; afterwards, for ten minutes, it has the answer.
type Claim struct {
	Caller string `json:"caller"` // who sent the key: keys of different callers are different
	Key    string `json:"key"`    // SHA-256 or HMAC of the key, lower-case hexadecimal
	Body   string `json:"body"`   // that of the request, so that another request is told apart

	Marker  string    `json:"marker"`           // of the intent; one that takes over gets that of the first
	Attempt string    `json:"attempt"`          // who is at it, see NewID
	Lease   time.Time `json:"lease"`            // until then nobody else takes over; the attempt must not outlive it
	Expires time.Time `json:"expires"`          // the key is forgotten then; set by the store
	Answer  []byte    `json:"answer,omitempty"` // sealed by the caller; nil: in progress
	Version int64     `json:"-"`
}

func (c Claim) key() key { return key{partition: join("IDEMPOTENCY", c.Caller, c.Key), sort: "-"} }

func (c Claim) record(was int64) (record, error) {
	if c.Caller == "" || c.Marker == "" || c.Attempt == "" {
		return record{}, fmt.Errorf("%w: a claim needs caller, marker and attempt", ErrInvalid)
	}
	if err := errors.Join(hexHash("key", c.Key), hexHash("body", c.Body)); err != nil {
		return record{}, err
	}
	r, err := newRecord(c.key(), c, was)
	r.expires = c.Expires
	return r, err
}

func (s *Store) answered(c Claim, answer []byte) (record, error) {
	if len(answer) == 0 || c.Answer != nil {
		return record{}, fmt.Errorf("%w: a claim is answered once, with an answer", ErrInvalid)
	}
	c.Answer, c.Expires = answer, s.clock().Add(answeredLife)
	return c.record(c.Version)
}

// Claim takes an idempotency key for an attempt. It returns the claim that
// holds: with an answer, which is then what the request gets, or without one,
// and then the caller is the one at it. If another was before and its lease has
// ended, the marker is the other's: see what became of that intent first. If it
// was Undone, release the claim and claim again with a new marker.
//
// The error is ErrInProgress while another's lease runs, and ErrMismatch when
// the key came with another body.
func (s *Store) Claim(ctx context.Context, c Claim) (Claim, error) {
	c.Expires, c.Answer = s.clock().Add(openLife), nil
	r, err := c.record(0)
	if err != nil {
		return Claim{}, err
	}
	err = s.write(ctx, create(r))
	if err == nil {
		c.Version = r.version
		return c, nil
	}
	if !errors.Is(err, ErrConflict) {
		return Claim{}, err
	}
	return s.reclaim(ctx, c)
}

// reclaim answers a claim of a key that was used before.
func (s *Store) reclaim(ctx context.Context, c Claim) (Claim, error) {
	r, err := s.read(ctx, c.key())
	if errors.Is(err, ErrNotFound) {
		return Claim{}, fmt.Errorf("%w: the claim was released this moment", ErrInProgress)
	}
	if err != nil {
		return Claim{}, err
	}
	var was Claim
	if err := decodeRecord(r, &was); err != nil {
		return Claim{}, err
	}
	was.Version = r.version
	now := s.clock()
	switch {
	case !now.Before(was.Expires): // DynamoDB drops what has expired within days, not at once
		return s.reclaimAs(ctx, c, was.Version)
	case was.Body != c.Body:
		return Claim{}, ErrMismatch
	case was.Answer != nil || was.Attempt == c.Attempt:
		return was, nil
	case now.Before(was.Lease):
		return Claim{}, fmt.Errorf("%w: the lease of the claim has not ended", ErrInProgress)
	default:
		c.Marker = was.Marker
		return s.reclaimAs(ctx, c, was.Version)
	}
}

func (s *Store) reclaimAs(ctx context.Context, c Claim, was int64) (Claim, error) {
	r, err := c.record(was)
	if err != nil {
		return Claim{}, err
	}
	err = s.write(ctx, replace(r, was))
	if errors.Is(err, ErrStale) {
		return Claim{}, fmt.Errorf("%w: another took the claim over this moment", ErrInProgress)
	}
	c.Version = r.version
	return c, err
}

// Settle gives a claim its answer when there is no intent to complete with it.
func (s *Store) Settle(ctx context.Context, c Claim, answer []byte) error {
	r, err := s.answered(c, answer)
	if err != nil {
		return err
	}
	return s.write(ctx, replace(r, c.Version))
}

// Release gives a key back that led to nothing, so that it can be used again
// at once. A claim that another has taken over is ErrStale.
func (s *Store) Release(ctx context.Context, c Claim) error {
	return s.write(ctx, change{action: remove, record: record{key: c.key()}, was: c.Version})
}
