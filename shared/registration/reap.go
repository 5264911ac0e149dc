package registration

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"gatehouse/shared/registry"
)

// Reaped is what became of clients that registered themselves and were not
// used.
type Reaped struct {
	Deleted int
	Kept    int // old, but with an approved contract
	Left    []Unreaped
}

// Unreaped is a client that should be gone and could not be deleted.
type Unreaped struct {
	Application string
	Err         error
}

// Reap deletes applications that registered themselves, were not used for as
// long as such live, and have no approved contract. One that cannot be deleted
// does not keep the others from it.
func (s *Service) Reap(ctx context.Context) (Reaped, error) {
	var all Reaped
	page := registry.Page{}
	for {
		old, next, err := s.Store.Unused(ctx, s.now().Add(-s.Dynamic.UnusedLife), page)
		if err != nil {
			return all, fmt.Errorf("registration: reap: %w", err)
		}
		for _, a := range old {
			if err := ctx.Err(); err != nil {
				return all, fmt.Errorf("registration: reap: %w", err) // the rest is for the next time
			}
			s.reap(ctx, a, &all)
		}
		if next == "" {
			return all, nil
		}
		page.After = next
	}
}

func (s *Service) reap(ctx context.Context, a registry.Application, all *Reaped) {
	needed, err := s.needed(ctx, a)
	switch {
	case err != nil:
	case needed:
		all.Kept++
		return
	default:
		err = s.remove(ctx, reconciler, a)
	}
	if refusal, ok := errors.AsType[*RefusalError](err); ok && refusal.Status == http.StatusConflict {
		return // someone else is at it
	}
	if err != nil {
		all.Left = append(all.Left, Unreaped{Application: a.ID, Err: err})
		return
	}
	all.Deleted++
}

// needed reports whether a has an approved contract.
func (s *Service) needed(ctx context.Context, a registry.Application) (bool, error) {
	page := registry.Page{Limit: 100}
	for {
		contracts, next, err := s.Store.ContractsByClient(ctx, a.Client(), page)
		if err != nil {
			return false, err
		}
		for _, c := range contracts {
			if c.Status == registry.Approved {
				return true, nil
			}
		}
		if next == "" {
			return false, nil
		}
		page.After = next
	}
}
