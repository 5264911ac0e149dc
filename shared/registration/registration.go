// Package registration registers client applications at identity providers and
// keeps who may call which API.
//
// Every change at a provider is written down before it is made: an intent is
// begun, the provider is called, and one transaction records what came of it.
// Whatever stops in between is found by [Service.Reconcile]. Of a client that
// was created and not recorded nobody has the secret, so it is deleted, by the
// marker in its name; what else was begun is finished.
//
// The package passes on nothing of a provider's answer but the members of RFC
// 7591, fetches no URL that a client names, and keeps no secret: what must be
// compared is kept as an HMAC, what must be given back sealed.
package registration

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"gatehouse/shared/apigw"
	"gatehouse/shared/provider"
	"gatehouse/shared/registry"
	"gatehouse/shared/secret"
)

// Times of an operation. A provider is called only in the first part of a
// lease; in the rest whatever was sent takes effect or never will, so that who
// takes over sees the outcome.
const (
	lease  = 3 * time.Minute
	settle = 2 * time.Minute
)

// Service registers applications. All fields but Now and NewID must be set. It
// is safe for concurrent use.
type Service struct {
	Store     *registry.Store
	Providers []*provider.Provider // with registration enabled
	APIs      []API
	PublicURL string  // base of registration_client_uri, without a slash at its end
	Dynamic   Dynamic // registration by clients themselves

	Seal secret.Value // seals answers, tokens and management data; 32 random bytes or more
	HMAC secret.Value // marks secrets and tokens that are compared; 32 random bytes or more

	Now   func() time.Time // nil: time.Now
	NewID func() string    // nil: registry.NewID
}

// Dynamic says whether clients may register themselves (RFC 7591).
type Dynamic struct {
	Provider string // where; "": nowhere
	Open     bool   // without an initial access token
}

// API is what an application can have a contract with.
type API struct {
	Name      string
	Resource  string   // its identifier of RFC 8707, if it has one
	Providers []string // whose clients can call it
	Owners    []string // who decides: subjects, or "group:" and a group
	Tiers     []Tier   // none: there are no terms, and an owner decides
	Routes    []Route
}

// Tier is the terms of a contract.
type Tier struct {
	Name        string `json:"name"`
	AutoApprove bool   `json:"auto_approve"`
	Requests    int    `json:"requests,omitempty"` // 0: not limited
	Per         string `json:"per,omitempty"`      // "1m"
}

// Route is what one route of an API asks of a token.
type Route struct {
	Route    string   `json:"route"`
	Scopes   []string `json:"scopes,omitempty"`   // all of them
	AnyScope []string `json:"anyScope,omitempty"` // one of them
}

// Caller is a signed-in person or program. The zero Caller may do nothing.
type Caller struct {
	Subject      string
	Groups       []string
	Applications bool // may have applications
	Contracts    bool // may decide on contracts of APIs it owns
	Admin        bool // may see and do everything
}

// owns reports whether an owner, a subject or "group:" and a name, is c. A
// subject that looks like a group owns nothing.
func (c Caller) owns(owner string) bool {
	if group, ok := strings.CutPrefix(owner, groupPrefix); ok {
		return group != "" && slices.Contains(c.Groups, group)
	}
	return owner != "" && owner == c.Subject
}

const groupPrefix = "group:"

func (c Caller) developer() error {
	switch {
	case c.Subject == "" || strings.HasPrefix(c.Subject, groupPrefix):
		return forbidden("the token names no subject that can own an application")
	case !c.Applications && !c.Admin:
		return forbidden("this needs the scope gatehouse:applications")
	}
	return nil
}

// decides reports whether c decides on contracts with a.
func (c Caller) decides(a API) bool {
	return c.Admin || c.Contracts && slices.ContainsFunc(a.Owners, c.owns)
}

// Check reports an error if s lacks what it cannot work without.
func (s *Service) Check() error {
	if len(s.Seal.Reveal()) < minKey || len(s.HMAC.Reveal()) < minKey || s.Seal.Equal(s.HMAC) {
		return errKeys
	}
	if s.Store == nil {
		return errors.New("registration: there is no store")
	}
	if s.Dynamic.Provider != "" {
		if _, ok := s.provider(s.Dynamic.Provider); !ok {
			return fmt.Errorf("registration: the provider for dynamic registration, %s, is not configured", s.Dynamic.Provider)
		}
	}
	return nil
}

func (s *Service) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

func (s *Service) newID() string {
	if s.NewID != nil {
		return s.NewID()
	}
	return registry.NewID()
}

func (s *Service) provider(name string) (*provider.Provider, bool) {
	i := slices.IndexFunc(s.Providers, func(p *provider.Provider) bool { return p.Name == name })
	if i < 0 {
		return nil, false
	}
	return s.Providers[i], true
}

func (s *Service) api(name string) (API, bool) {
	i := slices.IndexFunc(s.APIs, func(a API) bool { return a.Name == name })
	if i < 0 {
		return API{}, false
	}
	return s.APIs[i], true
}

// upstream returns the provider of an application, or why there is none.
func (s *Service) upstream(a registry.Application) (*provider.Provider, error) {
	p, ok := s.provider(a.Provider)
	if !ok {
		return nil, fmt.Errorf("registration: application %s: %w: %s is not configured", a.ID, provider.ErrUnavailable, a.Provider)
	}
	return p, nil
}

// window bounds calls to a provider by the lease of the intent they are for.
func (s *Service) window(ctx context.Context, i registry.Intent) (context.Context, context.CancelFunc, error) {
	left := i.Lease.Add(-settle).Sub(s.now())
	if left <= 0 {
		return nil, nil, fmt.Errorf("%w: too late to call the provider", provider.ErrUnavailable)
	}
	ctx, cancel := context.WithTimeout(ctx, left)
	return ctx, cancel, nil
}

// clientName is the name at the provider. The application's ID makes it unique
// and is the marker by which a client without a record is found.
func clientName(a registry.Application) string { return a.Name + " " + a.ID }

// client is the application as its provider is told it.
func (s *Service) client(a registry.Application) (provider.Client, error) {
	c := provider.Client{
		ClientID: a.ClientID, Name: clientName(a), ClientURI: a.URI, RedirectURIs: a.RedirectURIs, GrantTypes: a.GrantTypes,
		ResponseTypes: a.ResponseTypes, TokenEndpointAuthMethod: a.AuthMethod, Scope: a.Scope,
	}
	if len(a.Management) > 0 {
		text, err := s.unseal(a.Management, "management "+a.ID)
		if err != nil {
			return c, err
		}
		c.Management = secret.New(string(text))
	}
	return c, nil
}

// learn keeps in a what the provider gave for it. c's secret, if there is one,
// is kept as an HMAC.
func (s *Service) learn(a *registry.Application, c provider.Client) error {
	a.ClientID = c.ClientID
	if text := c.Secret.Reveal(); text != "" {
		a.SecretHMAC, a.SecretExpires = s.mark("client secret", text), c.SecretExpires
	}
	a.Management = nil
	if text := c.Management.Reveal(); text != "" {
		sealed, err := s.seal([]byte(text), "management "+a.ID)
		if err != nil {
			return err
		}
		a.Management = sealed
	}
	return nil
}

// uncertain is whether a provider may have done what it was asked.
func uncertain(err error) bool { return errors.Is(err, provider.ErrUncertain) }

// audit is the record of what someone did to an application.
func audit(who, what string, a registry.Application) registry.Audit {
	return registry.Audit{Who: who, What: what, Target: a.ID, Details: map[string]string{"provider": a.Provider, "client_id": a.ClientID}}
}

// note logs why an operation was left for later.
func note(ctx context.Context, i registry.Intent, cause error) {
	apigw.Log(ctx, slog.String("intent", i.Marker), slog.String("left_because", cause.Error()))
}
