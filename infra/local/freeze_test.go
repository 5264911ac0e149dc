package main

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"gatehouse/infra/local/gateway"
	"gatehouse/infra/local/samtemplate"
	"gatehouse/infra/tooltest"
	"gatehouse/shared/registry"
	"gatehouse/shared/standin"
)

// booted is when a machine was started, by both of its clocks.
var booted = time.Now()

// thawed is a time by a machine whose wall clock was put right after it had been
// frozen, and whose monotonic clock has stood still since it was started. Package
// time makes no such time, but Lambda does.
func thawed(wall time.Time) time.Time {
	const nanoseconds = 30 // bits
	t := booted
	raw := (*uint64)(unsafe.Pointer(&t)) // time.Time begins with the wall clock; TestThawed holds it
	*raw += uint64(wall.Unix()-t.Unix()) << nanoseconds
	*raw = *raw>>nanoseconds<<nanoseconds | uint64(wall.Nanosecond())
	return t
}

func TestThawed(t *testing.T) {
	t.Parallel()
	for _, by := range []time.Duration{-time.Hour, 0, time.Nanosecond, time.Hour, 1000 * time.Hour} {
		wall := booted.Round(0).Add(by)
		if got := thawed(wall); !got.Round(0).Equal(wall) || got.Sub(booted) != 0 {
			t.Errorf("%v later: got %v, %v later", by, got, got.Sub(booted))
		}
	}
}

// TestF25AnHourInALambdaThatWasFrozen lets an hour pass in which nothing runs, and
// which the monotonic clock does not know of. Nothing that was remembered before
// is believed after it.
func TestF25AnHourInALambdaThatWasFrozen(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret.json")
	if err := os.WriteFile(secret, []byte(`{"client_id":"gate","client_secret":"gate-secret"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	asking := []string{"    secret: ${PROVIDER_SECRET}", "    secret: file:" + secret + "\n    tokens: introspect"}
	never := func(*testing.T, *slept) {}
	var survived atomic.Int64
	t.Cleanup(func() {
		tooltest.Count(t, "faults survived: news that an hour in a frozen Lambda does not hide", survived.Load())
	})
	for _, row := range []struct {
		name    string
		replace []string
		lives   time.Duration
		happens func(*testing.T, *slept) // meanwhile
		status  int
	}{
		{"a token that is still good", nil, 2 * time.Hour, never, 200},
		{"a token that has expired", nil, 50 * time.Minute, never, 401},
		{"a token that the provider knows", asking, 2 * time.Hour, never, 200},
		{"a token that the provider has revoked", asking, 2 * time.Hour, func(_ *testing.T, s *slept) { s.okta.Revoke(s.id) }, 401},
		{"a token that the provider cannot be asked about", asking, 2 * time.Hour, func(_ *testing.T, s *slept) {
			s.okta.Break(standin.Introspect, standin.Fault{Status: http.StatusBadGateway})
		}, 503},
		{"a key that the provider has replaced and still publishes", nil, 2 * time.Hour, rotated, 200},
		{"a key that the provider has withdrawn", nil, 2 * time.Hour, func(t *testing.T, s *slept) { t.Helper(); rotated(t, s); s.okta.DropOldKeys() }, 401},
		{"a contract that was revoked", nil, 2 * time.Hour, func(_ *testing.T, s *slept) { s.contract.Store(registry.Revoked) }, 403},
		{"a table that does not answer", nil, 2 * time.Hour, func(_ *testing.T, s *slept) { s.contract.Store(registry.Status("")) }, 503},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for _, kind := range []samtemplate.Kind{samtemplate.REST, samtemplate.HTTP} {
				s := newSlept(t, kind, row.replace...)
				raw := s.lasting(t, row.lives)
				s.wants(t, "before", http.StatusOK, raw)
				row.happens(t, s)
				s.ns.Add(int64(time.Hour))
				s.wants(t, "an hour later", row.status, raw)
			}
			if !t.Failed() {
				survived.Add(1)
			}
		})
	}
}

func rotated(t *testing.T, s *slept) {
	t.Helper()
	if err := s.okta.RotateKeys(); err != nil {
		t.Fatal(err)
	}
}

// slept is the authorizer behind API Gateway, and what it is to learn.
type slept struct {
	*clocked

	id       string       // of the token
	contract atomic.Value // its status; "" is a table that does not answer

	api samtemplate.API
	at  *gateway.Gateway
}

func newSlept(t *testing.T, kind samtemplate.Kind, replace ...string) *slept {
	t.Helper()
	s := new(slept)
	s.contract.Store(registry.Approved)
	s.clocked = newClocked(t, func(_ context.Context, k registry.ContractKey) (registry.Contract, error) {
		status, _ := s.contract.Load().(registry.Status)
		if status == "" {
			return registry.Contract{}, registry.ErrUnavailable
		}
		return registry.Contract{Provider: k.Provider, ClientID: k.ClientID, API: k.API, Status: status}, nil
	}, replace...)
	for _, api := range s.orders() {
		if api.Kind == kind {
			s.api = api
		}
	}
	s.at = s.gateway(s.api)
	return s
}

// lasting is a token with so long to live.
func (s *slept) lasting(t *testing.T, d time.Duration) string {
	t.Helper()
	claims := s.okta.Claims(appID, "orders:read")
	claims["exp"] = s.now().Add(d).Unix()
	s.id, _ = claims["jti"].(string)
	raw, err := s.okta.Mint(claims, nil)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// wants asks for the orders. An HTTP API has its own statuses for the same.
func (s *slept) wants(t *testing.T, when string, status int, raw string) {
	t.Helper()
	if s.api.Kind == samtemplate.HTTP {
		switch status {
		case http.StatusUnauthorized:
			status = http.StatusForbidden
		case http.StatusServiceUnavailable:
			status = http.StatusInternalServerError
		}
	}
	got := s.asks(s.at, s.api, raw)
	if got.Code != status || got.Code != http.StatusOK && strings.Contains(got.Body.String(), "latch") {
		t.Errorf("%s, %s: got %d %s, want %d", s.api.LogicalID, when, got.Code, got.Body, status)
	}
}
