package token_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"gatehouse/shared/token"
)

func newCache(tb testing.TB, size int) *token.Cache {
	tb.Helper()
	c, err := token.NewCache(size)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// believed are facts of the good token and the keys that vouch for them.
func believed(tb testing.TB) (*token.Facts, *token.KeySet) {
	tb.Helper()
	i := issuer(tb, ecSigner(tb, "ES256"))
	facts, err := judge(tb, i, good(tb))
	if err != nil {
		tb.Fatal(err)
	}
	return facts, i.Keys
}

func TestCacheForgetsInTime(t *testing.T) {
	t.Parallel()
	facts, keys := believed(t)
	d := token.DigestOf(good(t))
	for name, tc := range map[string]struct {
		until, at time.Time
		want      bool
	}{
		"before its time":          {until: now().Add(time.Minute), at: now(), want: true},
		"one nanosecond before":    {until: now().Add(time.Minute), at: now().Add(time.Minute - 1), want: true},
		"at its time":              {until: now().Add(time.Minute), at: now().Add(time.Minute)},
		"before the token expires": {until: now().Add(time.Hour), at: facts.Expires.Add(-1), want: true},
		"when the token expires":   {until: now().Add(time.Hour), at: facts.Expires},
		"clock set back":           {until: now().Add(time.Minute), at: now().Add(-time.Hour), want: true},
		"a time that already came": {until: now().Add(-1), at: now()},
		"the zero time":            {until: time.Time{}, at: now()},
	} {
		c := newCache(t, 2)
		c.Put(d, facts, keys, tc.until)
		got, ok := c.Get(t.Context(), d, tc.at)
		if ok != tc.want || ok && got != facts {
			t.Errorf("%s: got %v, %t; want %t", name, got, ok, tc.want)
		}
		if !tc.want {
			if _, ok := c.Get(t.Context(), d, now().Add(-time.Hour)); ok {
				t.Errorf("%s: what was forgotten comes back", name)
			}
		}
	}
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	facts, keys := believed(t)
	c := newCache(t, 3)
	held := func(n int) bool {
		_, ok := c.Get(t.Context(), token.DigestOf(fmt.Sprint(n)), now())
		return ok
	}
	for n := range 3 {
		c.Put(token.DigestOf(fmt.Sprint(n)), facts, keys, now().Add(time.Minute))
	}
	if !held(0) { // now the most recently used
		t.Error("entry 0 is gone before the cache is full")
	}
	c.Put(token.DigestOf("3"), facts, keys, now().Add(time.Minute))
	for n, want := range []bool{true, false, true, true} {
		if held(n) != want {
			t.Errorf("entry %d held: got %t; want %t", n, !want, want)
		}
	}
}

func TestCacheThatRemembersNothing(t *testing.T) {
	t.Parallel()
	facts, keys := believed(t)
	for name, c := range map[string]*token.Cache{"nil": nil, "zero": {}, "size 0": newCache(t, 0), "size -1": newCache(t, -1)} {
		c.Put(token.DigestOf("x"), facts, keys, now().Add(time.Minute))
		if _, ok := c.Get(t.Context(), token.DigestOf("x"), now()); ok {
			t.Errorf("%s: it does remember", name)
		}
	}
}

func TestCacheAndIntrospectedFacts(t *testing.T) {
	t.Parallel()
	facts, err := issuer(t, ecSigner(t, "ES256")).ParseIntrospection([]byte(goodAnswer))
	if err != nil {
		t.Fatal(err)
	}
	c := newCache(t, 2)
	c.Put(token.DigestOf("a"), facts, nil, now().Add(time.Minute))
	if _, ok := c.Get(t.Context(), token.DigestOf("a"), now()); !ok {
		t.Error("facts without keys are not remembered")
	}
	// Facts that no key signed are not vouched for by a key set.
	_, keys := believed(t)
	c.Put(token.DigestOf("b"), facts, keys, now().Add(time.Minute))
	if _, ok := c.Get(t.Context(), token.DigestOf("b"), now()); ok {
		t.Error("a key set vouches for facts that it did not verify")
	}
	eternal := &token.Facts{}
	c.Put(token.DigestOf("c"), eternal, nil, now().Add(time.Minute))
	if _, ok := c.Get(t.Context(), token.DigestOf("c"), now()); ok {
		t.Error("facts without expiry are remembered")
	}
}

// When the keys can no longer be had, cached tokens end with them.
func TestCacheWhenKeysAreUnavailable(t *testing.T) {
	t.Parallel()
	ec := ecSigner(t, "ES256")
	p, clk := newProvider(t, jwksOf(t, ec)), newClock()
	i := issuer(t, ec)
	i.Keys = p.keys(t, clk)
	facts, err := judge(t, i, good(t))
	if err != nil {
		t.Fatal(err)
	}
	p.become(status(http.StatusInternalServerError))
	for age, want := range map[time.Duration]bool{token.KeysTTL + token.KeysStale - 1: true, token.KeysTTL + token.KeysStale: false} {
		c := newCache(t, 2)
		c.Put(token.DigestOf("x"), facts, i.Keys, now().Add(time.Minute))
		clk.ns.Store(now().Add(age).UnixNano())
		if _, ok := c.Get(t.Context(), token.DigestOf("x"), now()); ok != want {
			t.Errorf("keys %v old: got %t; want %t", age, ok, want)
		}
	}
	if i.Keys.Trusts(context.Background(), nil) {
		t.Error("no key is trusted")
	}
}
