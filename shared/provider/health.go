package provider

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
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

// Finding is what one check of a provider has shown.
type Finding struct {
	Check string // discovery, keys, introspection, registration, access policy
	Word  string // Healthy, Unavailable, Refused or Unknown
	Err   error  // why it is neither healthy nor unknown
}

// errUnchecked is a check that would change something there.
var errUnchecked = errors.New("provider: cannot be checked")

// checks are what is checked, by name, of what is configured.
func (p *Provider) checks() map[string]func(context.Context) error {
	checks := map[string]func(context.Context) error{"discovery": p.checkDiscovery}
	if p.Issuer.Keys.Remote() {
		checks["keys"] = p.checkKeys
	}
	if p.introspection != nil {
		checks["introspection"] = p.checkIntrospection
	}
	if p.registrar != nil {
		checks["registration"] = p.checkRegistration
	}
	return checks
}

// Health asks the provider for everything that Gatehouse needs of it, and says
// of each what came of it: discovery, keys, introspection, registration. What is
// not configured is not in it. It changes nothing, and to Okta it is the use
// that keeps the administrator's token alive.
func (p *Provider) Health(ctx context.Context) map[string]string {
	words := map[string]string{}
	for _, f := range examine(ctx, p.checks()) {
		words[f.Check] = f.Word
	}
	return words
}

// Examine is Health with the reasons, for whoever sets a provider up. It also
// looks whether clients like c would get tokens, where the provider tells.
func (p *Provider) Examine(ctx context.Context, c Client) []Finding {
	checks := p.checks()
	if r, ok := p.registrar.(interface {
		ready(context.Context, Client) error
	}); ok {
		checks["access policy"] = func(ctx context.Context) error { return r.ready(ctx, c) }
	}
	return examine(ctx, checks)
}

// examine does all checks at once. It returns what they found, by name.
func examine(ctx context.Context, checks map[string]func(context.Context) error) []Finding {
	names := slices.Sorted(maps.Keys(checks))
	found := make([]Finding, len(names))
	var wg sync.WaitGroup
	for n, name := range names {
		wg.Go(func() { found[n] = finding(name, checks[name](ctx)) })
	}
	wg.Wait()
	return found
}

func finding(check string, err error) Finding {
	switch {
	case err == nil:
		return Finding{check, Healthy, nil}
	case errors.Is(err, errUnchecked):
		return Finding{check, Unknown, nil}
	case errors.Is(err, errCredentials), errors.Is(err, ErrAdminCredentials):
		return Finding{check, Refused, err}
	default:
		return Finding{check, Unavailable, err}
	}
}

// checkDiscovery fetches the metadata anew.
func (p *Provider) checkDiscovery(ctx context.Context) error {
	fresh := &places{issuer: p.places.issuer, http: p.places.http, now: p.places.now}
	_, err := fresh.discover(ctx)
	return err
}

func (p *Provider) checkKeys(ctx context.Context) error {
	_, _, err := p.ExportKeys(ctx)
	return err
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
func (p *Provider) checkIntrospection(ctx context.Context) error {
	answer, err := p.introspection.ask(ctx, "health-"+rand.Text())
	if err != nil {
		return err
	}
	if _, err := p.Issuer.ParseIntrospection(answer); !errors.Is(err, token.ErrInactive) {
		return fmt.Errorf("%w: introspection does not say that a token is inactive that nobody has issued", ErrUnavailable)
	}
	return nil
}

// checkRegistration looks for a client that is not there, where clients can be
// looked for.
func (p *Provider) checkRegistration(ctx context.Context) error {
	if !p.Capabilities().Find {
		return errUnchecked
	}
	_, _, err := p.FindClient(ctx, "gatehouse health "+strings.ToLower(rand.Text()))
	return err
}
