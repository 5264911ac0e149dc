package registry

import (
	"context"
	"encoding/json"
	"time"
)

// This file keeps what is known of providers. The last who writes is right.

// Keys is the last good key set of a provider, for whoever starts while the
// provider is down.
type Keys struct {
	Set     json.RawMessage `json:"set"`     // a JWK set of public keys
	Fetched time.Time       `json:"fetched"` // when the provider last served it
}

func keysKey(provider string) key { return key{partition: join("KEYS", provider), sort: "-"} }

// SaveKeys replaces the key set of a provider.
func (s *Store) SaveKeys(ctx context.Context, provider string, k Keys) error {
	return s.note(ctx, keysKey(provider), k, time.Time{})
}

// Keys returns the key set of a provider.
func (s *Store) Keys(ctx context.Context, provider string) (Keys, error) {
	var k Keys
	return k, s.noted(ctx, keysKey(provider), &k)
}

// Health is how a provider was when it was last looked at.
type Health struct {
	Checks  map[string]string    `json:"checks"`            // by what was checked: "ok", or what is wrong
	Checked time.Time            `json:"checked"`           // when
	LastOK  map[string]time.Time `json:"last_ok,omitempty"` // by what was checked: when it last was ok
}

func healthKey(provider string) key { return key{partition: join("HEALTH", provider), sort: "-"} }

// SaveHealth replaces the health of a provider.
func (s *Store) SaveHealth(ctx context.Context, provider string, h Health) error {
	return s.note(ctx, healthKey(provider), h, time.Time{})
}

// Health returns the health of a provider.
func (s *Store) Health(ctx context.Context, provider string) (Health, error) {
	var h Health
	return h, s.noted(ctx, healthKey(provider), &h)
}

// note makes v what is kept under k, until expires; zero: for good.
func (s *Store) note(ctx context.Context, k key, v any, expires time.Time) error {
	r, err := newRecord(k, v, 0)
	if err != nil {
		return err
	}
	r.expires = expires
	return s.write(ctx, change{action: put, record: r, was: whatever})
}

func (s *Store) noted(ctx context.Context, k key, v any) error {
	r, err := s.read(ctx, k)
	if err != nil {
		return err
	}
	return decodeRecord(r, v)
}
