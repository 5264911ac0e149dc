package token_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"gatehouse/shared/token"
)

// wantKey asks for a key and compares the outcome.
func wantKey(t *testing.T, keys *token.KeySet, s signer, want error) {
	t.Helper()
	key, err := keys.Key(t.Context(), s.kid, s.alg)
	if !errors.Is(err, want) || (err == nil) != (key != nil) {
		t.Errorf("key %q: got %v; want %v", s.kid, err, want)
	}
}

func wantFetches(t *testing.T, p *provider, want int) {
	t.Helper()
	if got := p.count(); got != want {
		t.Errorf("the provider was asked %d times; want %d", got, want)
	}
}

func TestF1_providerDownWithKeysAtHand(t *testing.T) {
	t.Parallel()
	ec, rs := ecSigner(t, "ES256"), rsaSigner(t, "RS256")
	for name, fault := range map[string]func(*provider){
		"500":                func(p *provider) { p.become(status(http.StatusInternalServerError)) },
		"429":                func(p *provider) { p.become(status(http.StatusTooManyRequests)) },
		"connection refused": func(p *provider) { p.server.Close() },
		"connection cut":     func(p *provider) { p.become(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, c := newProvider(t, jwksOf(t, ec)), newClock()
			keys := p.keys(t, c)
			wantKey(t, keys, ec, nil)
			fault(p)
			c.advance(token.KeysTTL)
			for range 100 { // the first one tries to refresh, no other does
				wantKey(t, keys, ec, nil)
			}
			if e := p.lastEvent(); !e.Stale || e.Err == nil {
				t.Errorf("event: got %+v; want a stale one", e)
			}
			// Whether the provider has this key by now cannot be known.
			wantKey(t, keys, rs, token.ErrKeysUnavailable)
			if n := len(p.events); n != 2 {
				t.Errorf("%d fetches ended; want 2", n)
			}
			c.advance(token.KeysStale - time.Second)
			wantKey(t, keys, ec, nil)
			c.advance(time.Second)
			wantKey(t, keys, ec, token.ErrKeysUnavailable)
		})
	}
}

func TestF2_providerDownFromTheStart(t *testing.T) {
	t.Parallel()
	ec := ecSigner(t, "ES256")
	p, c := newProvider(t, nil), newClock()
	p.become(status(http.StatusServiceUnavailable))
	keys := p.keys(t, c)
	if err := keys.Warm(t.Context()); !errors.Is(err, token.ErrKeysUnavailable) {
		t.Errorf("Warm: got %v; want %v", err, token.ErrKeysUnavailable)
	}
	for range 100 {
		wantKey(t, keys, ec, token.ErrKeysUnavailable)
	}
	wantFetches(t, p, 1)
	if e := p.lastEvent(); e.Stale {
		t.Errorf("event: got %+v; there is nothing stale", e)
	}
	p.become(serve(jwksOf(t, ec)))
	c.advance(token.KeysCooldown - time.Nanosecond)
	wantKey(t, keys, ec, token.ErrKeysUnavailable)
	c.advance(time.Nanosecond)
	wantKey(t, keys, ec, nil)
	wantFetches(t, p, 2)
}

func TestF5_rotationUnderLoad(t *testing.T) {
	t.Parallel()
	ec, rs := ecSigner(t, "ES256"), rsaSigner(t, "RS256")
	p, c := newProvider(t, jwksOf(t, ec)), newClock()
	keys := p.keys(t, c)
	together(1000, func() { wantKey(t, keys, ec, nil) }) // cold
	wantFetches(t, p, 1)
	p.become(serve(jwksOf(t, ec, rs)))
	c.advance(token.KeysCooldown)
	together(1000, func() { wantKey(t, keys, rs, nil) }) // rotated
	wantFetches(t, p, 2)
	c.advance(token.KeysTTL)
	together(1000, func() { wantKey(t, keys, ec, nil) }) // due
	wantFetches(t, p, 3)
}

// together runs f n times at once.
func together(n int, f func()) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for range n {
		wg.Go(func() {
			<-start
			f()
		})
	}
	close(start)
	wg.Wait()
}

func TestF6_removedKey(t *testing.T) {
	t.Parallel()
	ec, rs := ecSigner(t, "ES256"), rsaSigner(t, "RS256")
	p, c := newProvider(t, jwksOf(t, ec, rs)), newClock()
	i := issuer(t, ec)
	i.Keys = p.keys(t, c)
	raw := good(t)
	facts, err := judge(t, i, raw)
	if err != nil {
		t.Fatal(err)
	}
	other, err := judge(t, i, rs.sign(t, rs.header(), goodClaims))
	if err != nil {
		t.Fatal(err)
	}
	cache := newCache(t, 8)
	later := now().Add(time.Hour)
	cache.Put(token.DigestOf(raw), facts, i.Keys, later)
	cache.Put(token.DigestOf("other"), other, i.Keys, later)

	p.become(serve(jwksOf(t, rs)))
	c.advance(token.KeysTTL - time.Nanosecond)
	if _, ok := cache.Get(t.Context(), token.DigestOf(raw), now()); !ok {
		t.Error("before the set is due, the cached token is forgotten")
	}
	c.advance(time.Nanosecond)
	if _, ok := cache.Get(t.Context(), token.DigestOf(raw), now()); ok {
		t.Error("a cached token outlives its key")
	}
	if _, ok := cache.Get(t.Context(), token.DigestOf("other"), now()); !ok {
		t.Error("a key that stays loses its cached token")
	}
	if _, err := judge(t, i, raw); !errors.Is(err, token.ErrUnknownKey) {
		t.Errorf("a token of the removed key: got %v; want %v", err, token.ErrUnknownKey)
	}
	wantFetches(t, p, 2)

	// The same kid with other key material is another key.
	impostor := strangeRSA(t)
	p.become(serve(jwksOf(t, impostor)))
	c.advance(token.KeysTTL)
	if _, ok := cache.Get(t.Context(), token.DigestOf("other"), now()); ok {
		t.Error("a cached token survives the replacement of its key under the same kid")
	}
}

func TestF7_floodOfUnknownKeys(t *testing.T) {
	t.Parallel()
	ec := ecSigner(t, "ES256")
	p, c := newProvider(t, jwksOf(t, ec)), newClock()
	i := issuer(t, ec)
	i.Keys = p.keys(t, c)
	const seconds = 60
	for second := range seconds {
		for n := range 10 {
			stranger := ec
			stranger.kid = fmt.Sprintf("kid-%d-%d", second, n)
			if _, err := judge(t, i, stranger.sign(t, stranger.header(), goodClaims)); !errors.Is(err, token.ErrUnknownKey) {
				t.Fatalf("second %d: got %v; want %v", second, err, token.ErrUnknownKey)
			}
		}
		if _, err := judge(t, i, good(t)); err != nil {
			t.Fatalf("second %d, the good token: got %v", second, err)
		}
		c.advance(time.Second)
	}
	wantFetches(t, p, seconds/10)
}

func TestF8_floodOfBadSignatures(t *testing.T) {
	t.Parallel()
	ec := ecSigner(t, "ES256")
	p, c := newProvider(t, jwksOf(t, ec)), newClock()
	i := issuer(t, ec)
	i.Keys = p.keys(t, c)
	if err := i.Keys.Warm(t.Context()); err != nil {
		t.Fatal(err)
	}
	forged := strangeEC(t).sign(t, goodHeader, goodClaims)
	for range 100 {
		c.advance(time.Second)
		if _, err := judge(t, i, forged); !errors.Is(err, token.ErrSignature) {
			t.Fatalf("got %v; want %v", err, token.ErrSignature)
		}
	}
	wantFetches(t, p, 1)
}

func TestF10_wrongDiscovery(t *testing.T) {
	t.Parallel()
	ec := ecSigner(t, "ES256")
	p, c := newProvider(t, jwksOf(t, ec)), newClock()
	source := p.source(c)
	errDiscovery := errors.New("the discovery document names another issuer")
	var wrong error
	source.URL = func(ctx context.Context) (string, error) {
		url, err := p.url(ctx)
		return url, errors.Join(wrong, err)
	}
	keys := newKeySet(t, source)
	wantKey(t, keys, ec, nil)
	wrong = errDiscovery
	c.advance(token.KeysTTL)
	wantKey(t, keys, ec, nil) // the old ones
	if e := p.lastEvent(); !e.Stale || !errors.Is(e.Err, errDiscovery) {
		t.Errorf("event: got %+v; want %v", e, errDiscovery)
	}
	cold := newKeySet(t, source)
	wantKey(t, cold, ec, token.ErrKeysUnavailable)
	wantFetches(t, p, 1)
}

func TestFrozenProcessAndClockSetBack(t *testing.T) {
	t.Parallel()
	ec := ecSigner(t, "ES256")
	for name, jump := range map[string]time.Duration{"frozen for an hour": time.Hour, "clock set back by an hour": -time.Hour} {
		p, c := newProvider(t, jwksOf(t, ec)), newClock()
		keys := p.keys(t, c)
		wantKey(t, keys, ec, nil)
		c.advance(jump)
		wantKey(t, keys, ec, nil)
		if p.count() != 2 {
			t.Errorf("%s: the provider was asked %d times; want 2", name, p.count())
		}
		wantKey(t, keys, ec, nil)
		c.advance(token.KeysTTL - 1)
		wantKey(t, keys, ec, nil)
		wantFetches(t, p, 2)
	}
}

// A caller that runs out of time says nothing about the provider.
func TestCallerWhoseTimeIsUp(t *testing.T) {
	t.Parallel()
	ec := ecSigner(t, "ES256")
	p, c := newProvider(t, nil), newClock()
	arrived, release := make(chan struct{}, 1), make(chan struct{})
	p.become(func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		select {
		case <-release:
		case <-r.Context().Done():
		}
		serve(jwksOf(t, ec))(w, r)
	})
	keys := p.keys(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, err := keys.Key(ctx, ec.kid, ec.alg)
		first <- err
	}()
	<-arrived
	// Someone who cannot wait for the fetch under way is told so.
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := keys.Key(gone, ec.kid, ec.alg); !errors.Is(err, token.ErrKeysUnavailable) {
		t.Errorf("waiting without time: got %v; want %v", err, token.ErrKeysUnavailable)
	}
	cancel()
	if err := <-first; !errors.Is(err, token.ErrKeysUnavailable) {
		t.Errorf("cancelled: got %v; want %v", err, token.ErrKeysUnavailable)
	}
	close(release)
	wantKey(t, keys, ec, nil) // at once, without a cooldown
	if n := len(p.events); n != 1 {
		t.Errorf("%d outcomes reported; want 1: the caller's cancellation is none", n)
	}
}

func TestKeysFile(t *testing.T) {
	t.Parallel()
	ec, rs := ecSigner(t, "ES256"), rsaSigner(t, "RS256")
	if _, err := token.NewKeySet(token.KeySource{Algorithms: everyAlgorithm()}); err == nil {
		t.Error("neither URL nor file: no error")
	}
	noClient := newProvider(t, nil).source(newClock())
	noClient.Client = nil
	if _, err := token.NewKeySet(noClient); err == nil {
		t.Error("a URL and no client: no error")
	}
	if _, err := token.NewKeySet(token.KeySource{File: []byte(`{}`), Algorithms: everyAlgorithm()}); !errors.Is(err, token.ErrNoKey) {
		t.Errorf("a file without keys: got %v; want %v", err, token.ErrNoKey)
	}
	alone := fileKeys(t, jwksOf(t, ec))
	wantKey(t, alone, ec, nil)
	wantKey(t, alone, rs, token.ErrUnknownKey)

	// As a seed it is due at once, and good for as long as the provider is down.
	p, c := newProvider(t, nil), newClock()
	p.become(status(http.StatusInternalServerError))
	source := p.source(c)
	source.File = jwksOf(t, ec)
	keys := newKeySet(t, source)
	wantKey(t, keys, ec, nil)
	c.advance(2 * token.KeysStale)
	wantKey(t, keys, ec, nil)
	wantFetches(t, p, 2)
	p.become(serve(jwksOf(t, rs)))
	c.advance(token.KeysCooldown)
	wantKey(t, keys, rs, nil)
	wantKey(t, keys, ec, token.ErrUnknownKey)
	if !slices.ContainsFunc(p.events, func(e token.KeyEvent) bool { return e.Stale }) {
		t.Error("living on the seed is not reported as stale")
	}
}
