// Package broker is an OAuth 2.1 authorization server for clients and an OAuth
// client of identity providers: whatever provider stands behind it, clients see
// one issuer and one set of rules.
//
// Each application has its own client at the provider, so the broker has no
// identity there that applications would share, and people sign in at the
// provider, never here. What must be known between two requests travels sealed
// in the state and in the code; only what must happen once (a code, a refresh
// token) is kept in the registry.
//
// The package is strict where OAuth 2.0 left a choice: PKCE by S256 for every
// client, exact redirect URIs, one way for a client to authenticate, rotating
// refresh tokens. It passes on nothing of a provider's answer but the members of
// RFC 6749, speaks no OpenID Connect, and checks no client assertions, which only
// the provider could.
package broker

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"gatehouse/shared/apigw"
	"gatehouse/shared/clientdoc"
	"gatehouse/shared/config"
	"gatehouse/shared/provider"
	"gatehouse/shared/registry"
	"gatehouse/shared/seal"
	"gatehouse/shared/secret"
)

// Server is the authorization server. [New] makes one. It is safe for concurrent
// use.
type Server struct {
	Store     *registry.Store
	Box       *seal.Box // of states, codes and tokens; it recognises client secrets
	Providers []*provider.Provider
	APIs      []API
	PublicURL string // the issuer; "": the address that the request came to

	// Registration reports whether clients that nobody vouches for can register
	// themselves.
	Registration bool

	// Documents reads metadata of clients that are known by the URL of it; nil:
	// there are none. HTTP is how the registration is asked to register them.
	Documents *clientdoc.Fetcher
	HTTP      *http.Client

	// CacheFor is how long a token that a client got for itself is given to it
	// again; 0: never.
	CacheFor time.Duration

	Now func() time.Time // nil: time.Now

	guesses guesses
	tokens  tokenCache
}

// API is what a token can be for.
type API struct {
	Name           string
	Resource       string   // its identifier of RFC 8707; "": none
	Providers      []string // whose clients can call it
	Scopes         []string // that its routes ask for, sorted
	Contract       bool     // a client needs a contract
	IntrospectedBy []string // client_ids of those that may ask about tokens for it
}

// New returns the server that cfg describes. Nothing is read or fetched yet.
// Strangers is the client for addresses that strangers choose, see
// fetch.NewGuardedClient.
func New(cfg *config.Config, env provider.Environment, store *registry.Store, strangers *http.Client) (*Server, error) {
	if !cfg.Brokers() {
		return nil, errors.New("broker: it is not configured: set broker.keys in gatehouse.yaml")
	}
	dynamic := cfg.Registration.Dynamic
	s := &Server{
		Store: store, Box: seal.New(secret.OpenKeys(cfg.Broker.Keys, env.Secrets)), PublicURL: cfg.PublicURL, HTTP: env.HTTP, Now: env.Now,
		Registration: dynamic.Provider != "" && dynamic.Open,
		CacheFor:     cfg.Broker.CacheClientCredentials,
	}
	if cfg.Broker.ClientMetadata {
		s.Documents = &clientdoc.Fetcher{HTTP: strangers, Now: env.Now}
	}
	for _, c := range cfg.Providers {
		p, err := provider.New(c, env)
		if err != nil {
			return nil, err
		}
		s.Providers = append(s.Providers, p)
	}
	for _, a := range cfg.APIs {
		if !a.BuiltIn { // which no application may call
			s.APIs = append(s.APIs, apiOf(a))
		}
	}
	return s, nil
}

func apiOf(c config.API) API {
	a := API{
		Name: c.Name, Resource: c.Resource, Providers: c.Providers, Contract: c.RequiresContract(), IntrospectedBy: c.IntrospectedBy,
	}
	for _, r := range c.Routes {
		if !r.Refuse {
			a.Scopes = slices.Concat(a.Scopes, r.Scopes, r.AnyScope)
		}
	}
	slices.Sort(a.Scopes)
	a.Scopes = slices.Compact(a.Scopes)
	return a
}

// Check reads the keys, so that a bad deployment fails at its start.
func (s *Server) Check(ctx context.Context) error { return s.Box.Check(ctx) }

// Warm fetches what the first request would otherwise wait for.
func (s *Server) Warm(ctx context.Context) error {
	var errs []error
	for _, p := range s.Providers {
		errs = append(errs, p.Warm(ctx))
	}
	return errors.Join(errs...)
}

// issuer is what clients know the server by (RFC 8414 §2), and what its paths
// are appended to.
func (s *Server) issuer(r *http.Request) string {
	if s.PublicURL != "" {
		return s.PublicURL
	}
	return apigw.BaseURL(r.Context())
}

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

func (s *Server) provider(name string) (*provider.Provider, bool) {
	at := slices.IndexFunc(s.Providers, func(p *provider.Provider) bool { return p.Name == name })
	if at < 0 {
		return nil, false
	}
	return s.Providers[at], true
}
