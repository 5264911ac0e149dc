package token_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/shared/token"
)

// TestAStartWhileTheProviderIsDown: what another process has fetched does, for
// as long as it would there.
func TestAStartWhileTheProviderIsDown(t *testing.T) {
	t.Parallel()
	ec, other := ecSigner(t, "ES256"), rsaSigner(t, "RS256")
	p, c := newProvider(t, jwksOf(t, ec)), newClock()
	set, fetched, err := p.keys(t, c).Export(t.Context())
	if err != nil || !fetched.Equal(c.now()) {
		t.Fatalf("got keys of %v, %v", fetched, err)
	}
	p.become(status(http.StatusServiceUnavailable))
	asked := 0
	source := p.source(c)
	source.LastGood = func(context.Context) ([]byte, time.Time, error) {
		asked++
		return set, fetched, nil
	}
	keys := newKeySet(t, source)
	wantKey(t, keys, ec, nil)
	if e := p.lastEvent(); e.Err == nil || !e.Stale {
		t.Errorf("event: got %+v; want a stale one", e)
	}
	c.advance(token.KeysTTL)
	for range 10 {
		wantKey(t, keys, ec, nil)
	}
	wantKey(t, keys, other, token.ErrKeysUnavailable)
	c.advance(token.KeysStale)
	wantKey(t, keys, ec, token.ErrKeysUnavailable)
	if asked != 1 {
		t.Errorf("asked %d times; want once: there is a set from then on", asked)
	}

	// The provider is there again, without that key.
	p.become(serve(jwksOf(t, other)))
	c.advance(token.KeysCooldown)
	wantKey(t, keys, other, nil)
	wantKey(t, keys, ec, token.ErrUnknownKey)
}

func TestLastGoodKeysThatAreNone(t *testing.T) {
	t.Parallel()
	ec := ecSigner(t, "ES256")
	for name, row := range map[string]struct {
		set string
		age time.Duration
		err error
	}{
		"too old":      {string(jwksOf(t, ec)), token.KeysTTL + token.KeysStale, nil},
		"not there":    {"", 0, errors.New("the store does not answer")},
		"empty":        {`{"keys":[]}`, 0, nil},
		"private":      {`{"keys":[{"kty":"oct","k":"AAAA"}]}`, 0, nil},
		"no JSON":      {"<html>", 0, nil},
		"nothing":      {"", 0, nil},
		"without keys": {`{}`, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, c := newProvider(t, nil), newClock()
			p.become(status(http.StatusServiceUnavailable))
			source := p.source(c)
			source.LastGood = func(context.Context) ([]byte, time.Time, error) {
				return []byte(row.set), c.now().Add(-row.age), row.err
			}
			wantKey(t, newKeySet(t, source), ec, token.ErrKeysUnavailable)
		})
	}
}

func TestExportIsWhatVerifies(t *testing.T) {
	t.Parallel()
	ec := ecSigner(t, "ES256")
	jwk := strings.TrimSuffix(strings.TrimPrefix(string(jwksOf(t, ec)), `{"keys":[`), `]}`)
	long := strings.TrimSuffix(jwk, "}") + `,"x5c":["` + strings.Repeat("A", 1000) + `"],"note":"mine"}`
	p, c := newProvider(t, []byte(`{"keys":[`+long+`,{"kty":"EC","crv":"unknown","kid":"other"}]}`)), newClock()
	keys := p.keys(t, c)
	set, _, err := keys.Export(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ids, err := token.KeyIDs(set, everyAlgorithm())
	if err != nil || len(ids) != 1 || ids[0] != ec.kid || strings.Contains(string(set), "x5c") || strings.Contains(string(set), "mine") {
		t.Errorf("got %s: %v, %v", set, ids, err)
	}

	// Keys that would still do are not what the provider publishes now.
	p.become(status(http.StatusServiceUnavailable))
	c.advance(token.KeysTTL)
	if set, _, err := keys.Export(t.Context()); !errors.Is(err, token.ErrKeysUnavailable) {
		t.Errorf("stale: got %s, %v; want %v", set, err, token.ErrKeysUnavailable)
	}
	wantKey(t, keys, ec, nil)
}
