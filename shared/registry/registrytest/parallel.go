package registrytest

import (
	"errors"
	"strconv"
	"sync"
	"time"

	"gatehouse/shared/registry"
)

// parallel is how many try at once, if a part does not say.
const parallel = 12

// race runs try in parallel and returns the errors that came back.
func race(try func(n int) error) []error { return raceOf(parallel, try) }

func raceOf(many int, try func(n int) error) []error {
	results := make([]error, many)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for n := range many {
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

func oneRedeems(f *fixture) {
	f.exactlyOne("create a grant", raceOf(50, func(n int) error {
		g := f.grant("code")
		g.Attempt = strconv.Itoa(n)
		_, err := f.CreateGrant(f.ctx(), g)
		return err
	}), registry.ErrConflict)

	g, err := f.Grant(f.ctx(), "code")
	f.must(err)
	f.exactlyOne("exchange", raceOf(50, func(n int) error {
		next := g
		next.Attempt, next.Generation = strconv.Itoa(n), g.Generation+1
		_, err := f.UpdateGrant(f.ctx(), next)
		return err
	}), registry.ErrStale)
	if now, err := f.Grant(f.ctx(), "code"); err != nil || now.Version != g.Version+1 || now.Generation != 1 {
		f.Errorf("got %+v, %v; want one exchange", now, err)
	}
}

// revocationWins lets everybody exchange until they see the revocation.
func revocationWins(f *fixture) {
	_, err := f.CreateGrant(f.ctx(), f.grant("code"))
	f.must(err)
	for _, err := range race(func(n int) error {
		if n == 0 {
			return f.revoke("code")
		}
		for {
			g, err := f.Grant(f.ctx(), "code")
			if err != nil || g.Revoked {
				return err
			}
			g.Generation++
			if _, err := f.UpdateGrant(f.ctx(), g); err != nil && !errors.Is(err, registry.ErrStale) {
				return err
			}
		}
	}) {
		f.must(err)
	}
	if g, err := f.Grant(f.ctx(), "code"); err != nil || !g.Revoked {
		f.Errorf("got %+v, %v; want it revoked", g, err)
	}
}

// revoke revokes a grant, however often others come before.
func (f *fixture) revoke(id string) error {
	for {
		g, err := f.RevokeGrant(f.ctx(), id)
		if errors.Is(err, registry.ErrInProgress) {
			continue
		}
		if err == nil && !g.Revoked {
			f.Errorf("got %+v, want it revoked", g)
		}
		return err
	}
}

func oneTakesTheAlias(f *fixture) {
	a := draft()
	a.Alias = alias
	f.exactlyOne("complete", race(func(int) error {
		i := f.intent(registry.Create, a)
		i.Application.ID = registry.NewID()
		i, err := f.Begin(f.ctx(), i)
		if err != nil {
			return err
		}
		i.Application.ClientID = "client-" + i.Application.ID
		return f.Complete(f.ctx(), registry.Completion{Intent: i, Outcome: registry.Done})
	}), registry.ErrConflict, registry.ErrInProgress)
	owned, _, err := f.ApplicationsByOwner(f.ctx(), a.Owner, registry.Page{})
	f.must(err)
	if by, err := f.ApplicationByAlias(f.ctx(), a.Alias); err != nil || len(owned) != 1 || by.ID != owned[0].ID {
		f.Errorf("the alias leads to %s, %v; want it to lead to the one of %v", by.ID, err, owned)
	}
}
