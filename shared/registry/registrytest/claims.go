package registrytest

import (
	"time"

	"gatehouse/shared/registry"
)

func (f *fixture) claim() registry.Claim {
	return registry.Claim{
		Caller: "ada", Key: hash("1"), Body: hash("2"),
		Marker: registry.NewID(), Attempt: registry.NewID(), Lease: f.clock.Now().Add(time.Minute),
	}
}

func claimIsAnswered(f *fixture) {
	c, err := f.Claim(f.ctx(), f.claim())
	f.must(err)
	i := f.intent(registry.Create, draft())
	i.Marker, i.Attempt, i.Key = c.Marker, c.Attempt, c.Key
	i, err = f.Begin(f.ctx(), i)
	f.must(err)
	i.Application.ClientID = "client"
	end := registry.Completion{Intent: i, Outcome: registry.Done, Claim: &c, Answer: []byte("sealed answer")}
	f.must(f.Complete(f.ctx(), end))
	f.must(f.Complete(f.ctx(), end))

	f.clock.Advance(10*time.Minute - time.Second)
	again, err := f.Claim(f.ctx(), f.claim())
	f.must(err)
	if string(again.Answer) != "sealed answer" || again.Marker != c.Marker {
		f.Errorf("got %+v, want the answer", again)
	}
	f.clock.Advance(time.Second)
	fresh := f.claim()
	again, err = f.Claim(f.ctx(), fresh)
	f.must(err)
	if again.Answer != nil || again.Marker != fresh.Marker {
		f.Errorf("got %+v, want a new claim after ten minutes", again)
	}
}

func claimIsLeased(f *fixture) {
	first := f.claim()
	first, err := f.Claim(f.ctx(), first)
	f.must(err)
	again, err := f.Claim(f.ctx(), first) // its own answer was lost
	f.must(err)
	if again.Version != first.Version {
		f.Errorf("repeated it is %+v, want %+v", again, first)
	}
	_, err = f.Claim(f.ctx(), f.claim())
	f.want(registry.ErrInProgress, err)
	f.clock.Advance(time.Hour) // longer than an answer would be kept
	second := f.claim()
	taken, err := f.Claim(f.ctx(), second)
	f.must(err)
	if taken.Marker != first.Marker || taken.Attempt != second.Attempt || taken.Answer != nil {
		f.Errorf("got %+v, want it taken over with the marker %s", taken, first.Marker)
	}
	f.want(registry.ErrStale, f.Settle(f.ctx(), first, []byte("late")))
	f.want(registry.ErrStale, f.Release(f.ctx(), first))
}

func claimIsCompared(f *fixture) {
	_, err := f.Claim(f.ctx(), f.claim())
	f.must(err)
	other := f.claim()
	other.Body = hash("3")
	_, err = f.Claim(f.ctx(), other)
	f.want(registry.ErrMismatch, err)
	other.Caller = "grace"
	_, err = f.Claim(f.ctx(), other)
	f.must(err)
	for _, bad := range []func(*registry.Claim){
		func(c *registry.Claim) { c.Caller = "" },
		func(c *registry.Claim) { c.Key = "a key in clear" },
		func(c *registry.Claim) { c.Body = "" },
		func(c *registry.Claim) { c.Marker = "" },
		func(c *registry.Claim) { c.Attempt = "" },
	} {
		c := f.claim()
		bad(&c)
		_, err := f.Claim(f.ctx(), c)
		f.want(registry.ErrInvalid, err)
	}
}

func claimIsReleased(f *fixture) {
	c, err := f.Claim(f.ctx(), f.claim())
	f.must(err)
	f.must(f.Release(f.ctx(), c))
	f.must(f.Release(f.ctx(), c))
	fresh := f.claim()
	c, err = f.Claim(f.ctx(), fresh)
	f.must(err)
	if c.Marker != fresh.Marker {
		f.Errorf("got the marker %s, want %s", c.Marker, fresh.Marker)
	}
	f.want(registry.ErrInvalid, f.Settle(f.ctx(), c, nil))
	f.must(f.Settle(f.ctx(), c, []byte("sealed")))
	again, err := f.Claim(f.ctx(), f.claim())
	f.must(err)
	if string(again.Answer) != "sealed" {
		f.Errorf("got %+v, want the answer", again)
	}
	f.want(registry.ErrInvalid, f.Settle(f.ctx(), again, []byte("another")))
}

// oldAttemptIsRefused is the race that would give one key two clients: the
// first attempt is slow, not dead, and comes back after the second has taken
// over.
func oldAttemptIsRefused(f *fixture) {
	first, err := f.Claim(f.ctx(), f.claim())
	f.must(err)
	i := f.intent(registry.Create, draft())
	i.Marker, i.Attempt = first.Marker, first.Attempt
	i, err = f.Begin(f.ctx(), i)
	f.must(err)

	f.clock.Advance(2 * time.Minute)
	second, err := f.Claim(f.ctx(), f.claim())
	f.must(err)
	// The claim alone is enough to stop it.
	i.Application.ClientID = "client of the first"
	end := registry.Completion{Intent: i, Outcome: registry.Done, Claim: &first, Answer: []byte("first")}
	f.want(registry.ErrStale, f.Complete(f.ctx(), end))

	taken, err := f.Take(f.ctx(), second.Marker, second.Attempt, f.clock.Now().Add(time.Minute))
	f.must(err)
	end.Claim, end.Answer = nil, nil
	f.want(registry.ErrStale, f.Complete(f.ctx(), end))

	taken.Application.ClientID = "client of the second"
	f.must(f.Complete(f.ctx(), registry.Completion{Intent: taken, Outcome: registry.Done, Claim: &second, Answer: []byte("second")}))
	if a := f.application(taken.Application.ID); a.ClientID != "client of the second" {
		f.Errorf("got %+v", a)
	}
	_, err = f.ApplicationByClient(f.ctx(), registry.Client{Provider: "okta", ClientID: "client of the first"})
	f.want(registry.ErrNotFound, err)
}
