// Package provider speaks to identity providers: where their endpoints are,
// which keys they sign with, what they say of an opaque token. One file holds
// what the RFCs say; what a vendor does differently stands in its own file
// and nowhere else.
//
// It sends a token to no endpoint but the one configured or discovered for its
// provider, follows no redirects, and passes nothing of a provider's answer on
// in an error.
package provider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"gatehouse/shared/config"
	"gatehouse/shared/secret"
	"gatehouse/shared/token"
)

// ErrUnavailable is wrapped by every error that is not the token's fault: the
// provider, its keys or our credentials could not be had. It must not become a
// 401.
var ErrUnavailable = errors.New("provider: unavailable")

// Provider is one identity provider.
type Provider struct {
	Name   string
	Tokens config.TokenKind
	Issuer *token.Issuer

	CacheEntries int           // 0: its tokens are not remembered
	CacheMax     time.Duration // how long they are, at most; 0: until exp

	places        *places
	introspection *introspection // nil: the provider is not asked about tokens
	registrar     registrar      // nil: clients are not registered there
	upstream      *upstream
}

// Environment is what providers share in one process.
type Environment struct {
	HTTP    *http.Client     // see fetch.NewClient
	Secrets *secret.Manager  // where secret ARNs lead
	Now     func() time.Time // nil: time.Now
	Log     *slog.Logger     // for key fetches that fail; nil: nobody

	// LastGood returns the keys that a provider served before, and when, for a
	// process that starts while it is down; nil: there are none.
	LastGood func(ctx context.Context, provider string) (set []byte, fetched time.Time, err error)
}

// New returns the provider that c describes. Nothing is fetched yet.
func New(c config.Provider, env Environment) (*Provider, error) {
	if env.Now == nil {
		env.Now = time.Now
	}
	places := locate(c, env)
	keys, err := keySet(c, env, places)
	if err != nil {
		return nil, fmt.Errorf("provider %s: %w", c.Name, err)
	}
	p := &Provider{
		Name:         c.Name,
		places:       places,
		upstream:     newUpstream(c, env, places),
		Tokens:       c.Tokens,
		CacheEntries: c.CacheEntries,
		CacheMax:     c.CacheMax,
		Issuer: &token.Issuer{
			Provider:            c.Name,
			Issuer:              c.Issuer,
			Audiences:           c.Audiences,
			InsecureAnyAudience: c.InsecureAnyAudience,
			Algorithms:          c.Algorithms,
			TokenTypes:          c.TokenTypes,
			ClientIDClaims:      c.ClientIDClaims,
			ScopeClaims:         c.ScopeClaims,
			RequiredClaims:      c.RequiredClaims,
			Leeway:              c.Leeway,
			MaxLifetime:         c.MaxLifetime,
			Keys:                keys,
			Now:                 env.Now,
		},
	}
	if c.Secret != "" && c.Tokens != config.JWT {
		p.introspection = &introspection{
			endpoint: places.introspection,
			secret:   secret.Open(c.Secret, env.Secrets),
			issuer:   p.Issuer,
			client:   env.HTTP,
			timeout:  c.RequestTimeout,
			now:      env.Now,
			breaker:  breaker{now: env.Now},
			refused:  newRefusals(env.Now),
		}
	}
	return p, nil
}

func keySet(c config.Provider, env Environment, places *places) (*token.KeySet, error) {
	if c.Tokens == config.Introspect {
		return nil, nil //nolint:nilnil // no key set is what this provider has
	}
	source := token.KeySource{
		Algorithms: c.Algorithms,
		Client:     env.HTTP,
		Timeout:    c.RequestTimeout,
		Now:        env.Now,
		Observe:    observer(c.Name, env.Log),
	}
	if !c.KeysOnly {
		source.URL = places.jwks
	}
	if env.LastGood != nil {
		source.LastGood = func(ctx context.Context) ([]byte, time.Time, error) { return env.LastGood(ctx, c.Name) }
	}
	if c.KeysFile != "" {
		file, err := os.ReadFile(c.KeysFile)
		if err != nil {
			return nil, fmt.Errorf("keysFile: %w", err)
		}
		source.File = file
	}
	return token.NewKeySet(source)
}

func observer(name string, log *slog.Logger) func(token.KeyEvent) {
	if log == nil {
		return nil
	}
	return func(e token.KeyEvent) {
		if e.Err != nil {
			log.Warn("key set", slog.String("provider", name), slog.Bool("stale", e.Stale), slog.String("cause", e.Err.Error()))
		}
	}
}

// Warm fetches what the first token would otherwise wait for.
func (p *Provider) Warm(ctx context.Context) error {
	if p.Issuer.Keys == nil {
		return nil
	}
	return p.Issuer.Keys.Warm(ctx)
}

// Introspects reports whether the provider can be asked about opaque tokens.
func (p *Provider) Introspects() bool { return p.introspection != nil }

// OneToAsk returns the provider to ask about an opaque token, which does not say
// whose it is; nil: none. With more than one to ask, some would be shown tokens
// of another: nobody is asked.
func OneToAsk(providers []*Provider) *Provider {
	var only *Provider
	for _, p := range providers {
		switch {
		case !p.Introspects():
		case only != nil:
			return nil
		default:
			only = p
		}
	}
	return only
}

// Introspect asks the provider about a token. The error is one of package
// token's refusals, or wraps [ErrUnavailable].
func (p *Provider) Introspect(ctx context.Context, raw string) (*token.Facts, error) {
	if p.introspection == nil {
		return nil, fmt.Errorf("%w: %s is not configured for introspection", ErrUnavailable, p.Name)
	}
	return p.introspection.facts(ctx, raw)
}
