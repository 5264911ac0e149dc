package registrytest

import (
	"errors"
	"sync"
	"time"

	"gatehouse/shared/registry"
)

// parallel is how many try at once.
const parallel = 12

// race runs try in parallel and returns the errors that came back.
func race(try func(n int) error) []error {
	results := make([]error, parallel)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for n := range parallel {
		wg.Go(func() {
			<-start
			results[n] = try(n)
		})
	}
	close(start)
	wg.Wait()
	return results
}

// exactlyOne reports an error unless one result is nil and all others are one
// of the refusals.
func (f *fixture) exactlyOne(what string, results []error, refusals ...error) {
	f.Helper()
	won := 0
	for _, err := range results {
		refused := false
		for _, refusal := range refusals {
			refused = refused || errors.Is(err, refusal)
		}
		switch {
		case err == nil:
			won++
		case !refused:
			f.Errorf("%s: lost with %v", what, err)
		}
	}
	if won != 1 {
		f.Errorf("%s: %d won, want 1", what, won)
	}
}

func oneWins(f *fixture) {
	a := f.create(draft())
	update := f.intent(registry.Update, a)
	f.exactlyOne("begin", race(func(int) error {
		i := update
		i.Marker, i.Attempt = registry.NewID(), registry.NewID()
		_, err := f.Begin(f.ctx(), i)
		return err
	}), registry.ErrStale, registry.ErrInProgress)

	b := f.create(draft())
	f.exactlyOne("create a contract", race(func(int) error {
		_, err := f.CreateContract(f.ctx(), contractOf(b, "orders"), auditOf(b.ID))
		return err
	}), registry.ErrConflict, registry.ErrInProgress)

	c, err := f.Contract(f.ctx(), contractOf(b, "orders").Key())
	f.must(err)
	f.exactlyOne("decide", race(func(n int) error {
		next := c
		next.Status = []registry.Status{registry.Approved, registry.Rejected}[n%2]
		_, err := f.UpdateContract(f.ctx(), next, auditOf(b.ID))
		return err
	}), registry.ErrStale, registry.ErrInProgress)
	if now, err := f.Contract(f.ctx(), c.Key()); err != nil || now.Version != c.Version+1 {
		f.Errorf("got version %d, %v; want one change", now.Version, err)
	}

	i := f.begin(registry.Create, draft())
	f.exactlyOne("complete", race(func(int) error {
		end := registry.Completion{Intent: i, Outcome: registry.Done}
		end.Intent.Attempt = registry.NewID() // each its own
		end.Intent.Application.ClientID = "client"
		return f.Complete(f.ctx(), end)
	}), registry.ErrStale, registry.ErrConflict, registry.ErrInProgress)
}

func oneClaims(f *fixture) {
	f.exactlyOne("claim", race(func(int) error {
		_, err := f.Claim(f.ctx(), f.claim())
		return err
	}), registry.ErrInProgress)
	f.clock.Advance(2 * time.Minute)
	f.exactlyOne("take over", race(func(int) error {
		_, err := f.Claim(f.ctx(), f.claim())
		return err
	}), registry.ErrInProgress)
}
