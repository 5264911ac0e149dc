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
// compared is kept as a mark, what must be given back sealed (package seal).
package registration

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"gatehouse/shared/apigw"
	"gatehouse/shared/config"
	"gatehouse/shared/oauth"
	"gatehouse/shared/provider"
	"gatehouse/shared/registry"
	"gatehouse/shared/seal"
	"gatehouse/shared/secret"
	"gatehouse/shared/usageplan"
)

// Times of an operation. A provider is called only in the first part of a
// lease; in the rest whatever was sent takes effect or never will, so that who
// takes over sees the outcome.
const (
	lease  = 3 * time.Minute
	settle = 2 * time.Minute
)

// Service registers applications. [New] makes one. It is safe for concurrent
// use.
type Service struct {
	Store       *registry.Store
	Box         *seal.Box // of answers, tokens and management data
	Broker      *seal.Box // the broker's, by which it recognises client secrets; nil: there is no broker
	Providers   []*provider.Provider
	APIs        []API
	PublicURL   string         // base of registration_client_uri, without a slash at its end; "": as the request came
	GroupsClaim string         // what the authorizer calls a caller's groups
	Dynamic     config.Dynamic // registration by clients themselves

	// APIKeys makes an API key at API Gateway what it shall be; nil: none are
	// managed here. [usageplan.Gateway.Settle] is one.
	APIKeys func(context.Context, usageplan.Key) (usageplan.Key, error)

	Now   func() time.Time // nil: time.Now
	NewID func() string    // nil: registry.NewID

	healths healths
}

// New returns the service that cfg describes. Nothing is read or fetched yet.
func New(cfg *config.Config, env provider.Environment, store *registry.Store) (*Service, error) {
	if !cfg.Registers() {
		return nil, errors.New("registration: it is not configured: set registration.keys in gatehouse.yaml")
	}
	s := &Service{
		Store: store, Box: seal.New(secret.OpenKeys(cfg.Registration.Keys, env.Secrets)),
		PublicURL: cfg.PublicURL, GroupsClaim: cfg.Registration.GroupsClaim, Dynamic: cfg.Registration.Dynamic, Now: env.Now,
	}
	if cfg.Brokers() {
		s.Broker = seal.New(secret.OpenKeys(cfg.Broker.Keys, env.Secrets))
	}
	for _, c := range cfg.Providers {
		p, err := provider.New(c, env)
		if err == nil && c.RegistersClients() {
			err = p.EnableRegistration(c, env)
		}
		if err != nil {
			return nil, err
		}
		s.Providers = append(s.Providers, p)
	}
	for _, a := range cfg.APIs {
		if !a.BuiltIn {
			s.APIs = append(s.APIs, apiOf(a))
		}
	}
	return s, nil
}

func apiOf(c config.API) API {
	a := API{Name: c.Name, Resource: c.Resource, Providers: c.Providers, Owners: c.Owners}
	for _, t := range c.Tiers {
		tier := Tier{Name: t.Name, AutoApprove: t.AutoApprove, Requests: t.Requests, UsagePlan: t.UsagePlan}
		if t.Per > 0 {
			tier.Per = t.Per.String()
		}
		a.Tiers = append(a.Tiers, tier)
	}
	for _, r := range c.Routes {
		if !r.Refuse {
			a.Routes = append(a.Routes, Route{Route: r.Route, Scopes: r.Scopes, AnyScope: r.AnyScope})
		}
	}
	return a
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
	UsagePlan   string `json:"-"`                  // id of the usage plan that holds it; "": it is only told
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
	Client       string // whose token it was; "" for a caller without one
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
		return forbidden("this needs the scope " + config.ScopeApplications)
	}
	return nil
}

// decides reports whether c decides on contracts with a.
func (c Caller) decides(a API) bool {
	return c.Admin || c.Contracts && slices.ContainsFunc(a.Owners, c.owns)
}

// Check reports an error if s lacks what it cannot work without. It reads the
// keys.
func (s *Service) Check(ctx context.Context) error {
	if s.Store == nil {
		return errors.New("registration: there is no store")
	}
	if s.Box == nil {
		return errors.New("registration: there are no keys")
	}
	if err := errors.Join(s.Box.Check(ctx), s.secrets().Check(ctx)); err != nil {
		return fmt.Errorf("registration: %w", err)
	}
	if s.Dynamic.Provider != "" {
		if _, ok := s.provider(s.Dynamic.Provider); !ok {
			return fmt.Errorf("registration: the provider for dynamic registration, %s, is not configured", s.Dynamic.Provider)
		}
	}
	return nil
}

// base is what stands before the paths of this API, as the sender of r knows it.
func (s *Service) base(ctx context.Context) string {
	if s.PublicURL != "" {
		return s.PublicURL
	}
	return apigw.BaseURL(ctx)
}

// callback is the redirect URI of the broker, where the provider sends people
// whom a client with these grant types has brought; "": nowhere.
func (s *Service) callback(ctx context.Context, grants []string) string {
	if s.Broker == nil || !slices.Contains(grants, oauth.AuthorizationCode) {
		return ""
	}
	return s.base(ctx) + "/callback"
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

// request is one call of a provider about a client.
type request func(context.Context, *provider.Provider, provider.Client) error

// send does a request about an application at its provider, within the lease of
// the intent that it is for.
func (s *Service) send(ctx context.Context, i registry.Intent, a registry.Application, do request) error {
	p, err := s.upstream(a)
	if err != nil {
		return err
	}
	c, err := s.client(ctx, a)
	if err != nil {
		return err
	}
	left := i.Lease.Add(-settle).Sub(s.now())
	if left <= 0 {
		return fmt.Errorf("%w: too late to call the provider", provider.ErrUnavailable)
	}
	ctx, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	return do(ctx, p, c)
}

// clientName is the name at the provider. The application's ID makes it unique
// and is the marker by which a client without a record is found.
func clientName(a registry.Application) string { return a.Name + " " + a.ID }

// Purposes of what is sealed, and kinds of what is marked.
const (
	managementPurpose = "registration management" // bound to the application's ID
	answerPurpose     = "registration answer"     // bound to the claim's key
	initialPurpose    = "initial access token"

	registrationTokenMark = "registration access token"
)

// client is the application as its provider is told it.
func (s *Service) client(ctx context.Context, a registry.Application) (provider.Client, error) {
	c := provider.Client{
		ClientID: a.ClientID, Name: clientName(a), ClientURI: a.URI, RedirectURIs: redirectsAt(a), GrantTypes: a.GrantTypes,
		ResponseTypes: a.ResponseTypes, TokenEndpointAuthMethod: a.AuthMethod, Scope: a.Scope, JWKSURI: a.JWKSURI, JWKS: a.JWKS,
	}
	if len(a.Management) > 0 {
		text, err := s.Box.Open(ctx, managementPurpose, a.ID, a.Management)
		if err != nil {
			return c, fmt.Errorf("registration: application %s: %w: %w", a.ID, provider.ErrUnavailable, err)
		}
		c.Management = secret.New(string(text))
	}
	return c, nil
}

// redirectsAt returns the redirect URIs that the provider knows: those of the
// client, which may speak to it without the broker, and the broker's. A client
// that is known by the URL of its metadata is none to the provider.
func redirectsAt(a registry.Application) []string {
	switch {
	case a.Callback == "":
		return a.RedirectURIs
	case a.Alias != "":
		return []string{a.Callback}
	default:
		return append(slices.Clone(a.RedirectURIs), a.Callback)
	}
}

// secrets is the box that client secrets are marked with: the broker's if there
// is one, for it has to recognise them and opens nothing else.
func (s *Service) secrets() *seal.Box {
	if s.Broker != nil {
		return s.Broker
	}
	return s.Box
}

// isSecret reports whether a text is the secret of a. One that was marked before
// there was a broker is recognised, too.
func (s *Service) isSecret(ctx context.Context, a registry.Application, text secret.Value) (bool, error) {
	known, err := s.secrets().Recognises(ctx, a.SecretHMAC, registry.SecretMark, text)
	if err != nil || known || s.Broker == nil {
		return known, err
	}
	return s.Box.Recognises(ctx, a.SecretHMAC, registry.SecretMark, text)
}

// learn keeps in a what the provider gave for it. c's secret, if there is one,
// is kept as a mark.
func (s *Service) learn(ctx context.Context, a *registry.Application, c provider.Client) error {
	a.ClientID = c.ClientID
	if text := c.Secret.Reveal(); text != "" {
		mark, err := s.secrets().Mark(ctx, registry.SecretMark, text)
		if err != nil {
			return err
		}
		a.SecretHMAC, a.SecretExpires = mark, c.SecretExpires
	}
	a.Management = nil
	if text := c.Management.Reveal(); text != "" {
		sealed, err := s.Box.Seal(ctx, managementPurpose, a.ID, []byte(text))
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

// digest is what is kept of a text that is no secret but may be long: 64
// hexadecimal digits. Digests of one kind of text are none of another.
func digest(kind, text string) string {
	sum := sha256.Sum256([]byte(kind + "\x00" + text))
	return hex.EncodeToString(sum[:])
}

// logged puts the application that a request is about into its log line.
func logged(ctx context.Context, a registry.Application) {
	apigw.Log(ctx, slog.String("application", a.ID), slog.String("provider", a.Provider), slog.String("client_id", a.ClientID))
}

// note logs why an operation was left for later.
func note(ctx context.Context, i registry.Intent, cause error) {
	apigw.Log(ctx, slog.String("intent", i.Marker), slog.String("left_because", cause.Error()))
}
