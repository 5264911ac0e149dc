package provider

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"time"

	"gatehouse/shared/token"
)

// What a check of a provider says.
const (
	Healthy     = "ok"
	Unavailable = "unavailable"
	Refused     = "credentials refused" // ours, by the provider
	Unknown     = "cannot be checked"   // not without changing anything there
)

// Health asks the provider for everything that Gatehouse needs of it, and says
// of each what came of it: discovery, keys, introspection, registration. What is
// not configured is not in it. It changes nothing, and to Okta it is the use
// that keeps the administrator's token alive.
func (p *Provider) Health(ctx context.Context) map[string]string {
	checks := map[string]func(context.Context) string{"discovery": p.checkDiscovery}
	if p.Issuer.Keys.Remote() {
		checks["keys"] = p.checkKeys
	}
	if p.introspection != nil {
		checks["introspection"] = p.checkIntrospection
	}
	if p.registrar != nil {
		checks["registration"] = p.checkRegistration
	}
	found := map[string]string{}
	var mu sync.Mutex // guards found
	var wg sync.WaitGroup
	for name, check := range checks {
		wg.Go(func() {
			word := check(ctx)
			mu.Lock()
			defer mu.Unlock()
			found[name] = word
		})
	}
	wg.Wait()
	return found
}

func word(err error) string {
	switch {
	case err == nil:
		return Healthy
	case errors.Is(err, errCredentials), errors.Is(err, ErrAdminCredentials):
		return Refused
	default:
		return Unavailable
	}
}

// checkDiscovery fetches the metadata anew.
func (p *Provider) checkDiscovery(ctx context.Context) string {
	fresh := &places{issuer: p.places.issuer, http: p.places.http, now: p.places.now}
	_, err := fresh.discover(ctx)
	return word(err)
}

func (p *Provider) checkKeys(ctx context.Context) string {
	_, _, err := p.ExportKeys(ctx)
	return word(err)
}

// ExportKeys returns the keys that the provider publishes now, for others to
// start with while it is down; see [token.KeySet.Export].
func (p *Provider) ExportKeys(ctx context.Context) (set []byte, fetched time.Time, err error) {
	if p.Issuer.Keys == nil {
		return nil, time.Time{}, token.ErrKeysUnavailable
	}
	return p.Issuer.Keys.Export(ctx)
}

// checkIntrospection asks about a token that nobody has issued. That it is not
// active is the answer of a provider that is well.
func (p *Provider) checkIntrospection(ctx context.Context) string {
	answer, err := p.introspection.ask(ctx, "health-"+rand.Text())
	if err != nil {
		return word(err)
	}
	if _, err := p.Issuer.ParseIntrospection(answer); !errors.Is(err, token.ErrInactive) {
		return Unavailable
	}
	return Healthy
}

// checkRegistration looks for a client that is not there, where clients can be
// looked for.
func (p *Provider) checkRegistration(ctx context.Context) string {
	if !p.Capabilities().Find {
		return Unknown
	}
	_, _, err := p.FindClient(ctx, "gatehouse health "+strings.ToLower(rand.Text()))
	return word(err)
}
