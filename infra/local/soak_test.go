package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/infra/tooltest"
	"gatehouse/shared/standin"
)

// soakFor is how long TestSoak takes. Rotations and expiries need minutes.
var soakFor = flag.Duration("soak", 3*time.Second, "how long the system is under load")

// Times of what happens to the provider, and of what is promised about it.
const (
	rotateEvery = 40 * time.Second
	flapFor     = 3 * time.Second  // within each rotation, keys cannot be had
	keyKnown    = 25 * time.Second // after a rotation every instance has the key: two fetches, one of which may fail
	lifeOfShort = 20 * time.Second
	goneAfter   = 2 * time.Minute // after its end a token opens nothing: leeway and API Gateway's cache
)

// soaked is a token whose fate is known.
type soaked struct {
	raw       string
	use, ends time.Time // from when to when it opens its routes
}

// soak is a system under load.
type soak struct {
	*running

	mu      sync.Mutex // guards tokens and rotated
	tokens  []soaked
	rotated time.Time

	held    atomic.Int64 // requests
	refused atomic.Int64 // of which rightly
	wrong   atomic.Int64
	t       *testing.T
}

// TestSoak asks for orders as fast as the machine can, while keys rotate, tokens
// expire and the provider fails. Nobody gets in who must not, nobody is kept out
// who may, and nothing piles up.
func TestSoak(t *testing.T) {
	if *soakFor < 10*time.Second {
		t.Parallel() // too short for its memory to say anything
	}
	s := &soak{t: t, running: &running{system: serving(t, options{files: repositoryFiles()})}, rotated: time.Now().Add(-time.Hour)}
	s.app = s.registered(t)

	ctx, cancel := context.WithTimeout(t.Context(), *soakFor)
	defer cancel()
	var all sync.WaitGroup
	all.Go(func() { s.mint(ctx) })
	all.Go(func() { s.trouble(ctx) })
	for n := range 4 {
		all.Go(func() { s.call(ctx, rand.New(rand.NewPCG(uint64(n), 1))) })
	}
	wait(ctx, *soakFor/2)
	before := used() // when everything has warmed up
	all.Wait()
	after := used()

	tooltest.Count(t, "load: requests held", s.held.Load())
	tooltest.Count(t, "load: requests of these, rightly refused", s.refused.Load())
	tooltest.Count(t, "load: wrong answers", s.wrong.Load())
	if s.held.Load() < 100 || s.refused.Load() == 0 || s.refused.Load() == s.held.Load() {
		t.Errorf("%d requests, %d refused: that is no load", s.held.Load(), s.refused.Load())
	}
	if *soakFor >= time.Minute && (after.heap > before.heap*3/2+20<<20 || after.goroutines > before.goroutines+50) {
		t.Errorf("it grows: from %+v to %+v", before, after)
	}
	t.Logf("from %+v to %+v", before, after)
}

// usage is what the process takes.
type usage struct {
	heap       uint64 // bytes that are reachable
	goroutines int
}

func used() usage {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{m.HeapAlloc, runtime.NumGoroutine()}
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// mint makes a token every tenth of a second, one of three short-lived.
func (s *soak) mint(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		now := time.Now()
		claims := s.standin.Claims(s.app.ClientID, "orders:read")
		ends := now.Add(time.Hour)
		if n%3 == 0 {
			ends = now.Add(keyKnown + lifeOfShort)
		}
		claims["exp"] = ends.Unix()
		s.mu.Lock()
		raw, err := s.standin.Mint(claims, nil)
		if err != nil {
			s.t.Error(err)
		}
		s.tokens = append(s.tokens, soaked{raw, laterOf(now, s.rotated.Add(keyKnown)), time.Unix(ends.Unix(), 0)})
		if len(s.tokens) > 2000 {
			s.tokens = s.tokens[500:]
		}
		s.mu.Unlock()
		// A token of a key that is new makes the authorizer look for it. What it
		// gets is not promised yet.
		s.ask(ctx, s.REST+"/orders", raw)
		wait(ctx, 100*time.Millisecond)
	}
}

func laterOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// trouble rotates the provider's keys, and lets it fail now and then.
func (s *soak) trouble(ctx context.Context) {
	for wait(ctx, rotateEvery/4); ctx.Err() == nil; wait(ctx, rotateEvery) {
		s.mu.Lock()
		if err := s.standin.RotateKeys(); err != nil {
			s.t.Error(err)
		}
		s.rotated = time.Now()
		s.mu.Unlock()
		wait(ctx, time.Duration(rand.Int64N(int64(rotateEvery/8))))
		s.standin.Break(standin.Keys, standin.Fault{Status: http.StatusServiceUnavailable})
		wait(ctx, flapFor)
		s.standin.Mend()
	}
}

// call asks for what is allowed and what is not.
func (s *soak) call(ctx context.Context, random *rand.Rand) {
	for ctx.Err() == nil {
		s.mu.Lock()
		n := len(s.tokens)
		if n == 0 {
			s.mu.Unlock()
			wait(ctx, 10*time.Millisecond)
			continue
		}
		token := s.tokens[random.IntN(n)]
		s.mu.Unlock()
		switch random.IntN(6) {
		case 0: // no scope for it
			s.wants(ctx, token, s.REST+"/admin/report", http.StatusForbidden, http.StatusForbidden)
		case 1: // changed
			token.raw = token.raw[:len(token.raw)-8] + "AAAAAAAA"
			token.use = time.Time{}
			s.wants(ctx, token, s.REST+"/orders", http.StatusUnauthorized, http.StatusUnauthorized)
		case 2:
			s.wants(ctx, token, s.HTTP+"/orders", http.StatusOK, http.StatusForbidden)
		default:
			s.wants(ctx, token, s.REST+"/orders", http.StatusOK, http.StatusUnauthorized)
		}
	}
}

// wants sends a token to where it opens the route with one status while it lives
// and gets another long after. In between both are right.
func (s *soak) wants(ctx context.Context, token soaked, at string, alive, dead int) {
	start := time.Now()
	if start.Before(token.use) {
		return
	}
	status := s.ask(ctx, at, token.raw)
	if status == 0 {
		return // it is over
	}
	right := status == alive || status == dead
	switch {
	case time.Now().Before(token.ends):
		right = status == alive
	case start.After(token.ends.Add(goneAfter)):
		right = status == dead || status == http.StatusUnauthorized
	default:
		right = right || status == http.StatusUnauthorized
	}
	s.held.Add(1)
	if status != http.StatusOK {
		s.refused.Add(1)
	}
	if !right && s.wrong.Add(1) < 20 {
		s.t.Errorf("%s answered %d to a token that ends %v", place(at), status, time.Until(token.ends))
	}
}

// ask sends a token, and returns the status, 0 when the time is over.
func (s *soak) ask(ctx context.Context, at, raw string) int {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, http.NoBody)
	if err != nil {
		s.t.Error(err)
		return 0
	}
	req.Header.Set("Authorization", "Bearer "+raw)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		if ctx.Err() == nil {
			s.t.Error(strings.ReplaceAll(fmt.Sprint(err), raw, "…"))
		}
		return 0
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil && ctx.Err() == nil {
		s.t.Error(err)
	}
	return resp.StatusCode
}
