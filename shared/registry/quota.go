package registry

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrSpent is a quota that is used up until its window ends.
var ErrSpent = errors.New("registry: the quota is used up")

// Quota is how often something may happen in each window of time.
type Quota struct {
	Name   string // what is counted: names of different kinds must differ
	Limit  int
	Window time.Duration // windows begin at multiples of it
}

// spending is what is counted in one window.
type spending struct {
	Count int `json:"count"`
}

// Spend counts one of a quota. The error is [ErrSpent] when there is none left,
// and ErrInProgress when too many count at the same time, which is refused, too:
// a quota is there for floods.
func (s *Store) Spend(ctx context.Context, q Quota) error {
	if q.Name == "" || q.Window <= 0 {
		return fmt.Errorf("%w: a quota needs a name and a window", ErrInvalid)
	}
	begin := s.clock().Truncate(q.Window)
	k := key{partition: join("QUOTA", q.Name), sort: sortTime(begin)}
	return insist("quota", func() error { return s.spend(ctx, k, q.Limit, begin.Add(q.Window)) })
}

func (s *Store) spend(ctx context.Context, k key, limit int, end time.Time) error {
	was, err := s.read(ctx, k)
	var so spending
	switch {
	case errors.Is(err, ErrNotFound):
	case err != nil:
		return err
	default:
		if err := decodeRecord(was, &so); err != nil {
			return err
		}
	}
	if so.Count >= limit {
		return ErrSpent
	}
	so.Count++
	r, err := newRecord(k, so, was.version)
	if err != nil {
		return err
	}
	r.expires = end
	return s.write(ctx, change{action: put, record: r, was: was.version})
}
