// Package portal is the pages on which people ask for access to APIs, get a
// client, decide about requests of others and see how providers are. Everything
// on them is what the registration API answers about the person who looks: the
// portal asks it as any other caller does, and may do nothing that the person's
// own token would not open there.
//
// A person signs in at the identity provider, with a client of the portal's own.
// Of the token nothing is kept but what it says, sealed in a cookie of the
// browser, until the token's own end. The portal keeps no state and no secret: a
// client secret is on one page, once.
//
// It fetches nothing but from the provider and the configured addresses of APIs,
// and its pages load nothing from elsewhere.
package portal

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"gatehouse/shared/apigw"
	"gatehouse/shared/config"
	"gatehouse/shared/policy"
	"gatehouse/shared/provider"
	"gatehouse/shared/seal"
	"gatehouse/shared/secret"
)

// Portal serves the pages. [New] makes one. It is safe for concurrent use.
type Portal struct {
	// Registration is the registration API, by itself: who asks is told by
	// [apigw.WithAuthorizerContext].
	Registration http.Handler

	Box         *seal.Box // of cookies
	Providers   []*provider.Provider
	SignIn      *provider.Provider // where people sign in
	Client      *secret.Source[secret.Credentials]
	Scopes      []string // that a person is asked for
	GroupsClaim string
	APIs        []API
	Forms       []Form // of the providers, in their order
	Broker      bool   // whether clients use Gatehouse as their authorization server
	PublicURL   string // "": the address that the request came to

	HTTP *http.Client     // for trying APIs
	Now  func() time.Time // nil: time.Now

	guard *http.CrossOriginProtection
	pages func() (pages, error)
}

// API is what the portal knows of an API beside what the registration tells.
type API struct {
	Name     string
	Resource string // "": none
	URL      string // where it is called; "": nobody is told
	Query    bool   // it takes tokens in the query
	Contract bool   // a client needs a contract
	Owners   []string
	Routes   *policy.Table
}

// Form is a provider as gatehouse.yaml has it, for administrators to read.
type Form struct {
	Name   string
	Fields []Field
}

// Field is one line of a form.
type Field struct{ Name, Value string }

// Environment is what the portal shares with the registration.
type Environment struct {
	Registration http.Handler
	Box          *seal.Box
	Providers    []*provider.Provider
	HTTP         *http.Client
	Secrets      *secret.Manager
	Now          func() time.Time // nil: time.Now
}

// New returns the portal that cfg describes. Nothing is read or fetched yet.
func New(cfg *config.Config, env Environment) (*Portal, error) {
	if !cfg.HasPortal() {
		return nil, errors.New("portal: it is not configured: set registration.portal.secret in gatehouse.yaml")
	}
	r := cfg.Registration
	p := &Portal{
		Registration: env.Registration, Box: env.Box, Providers: env.Providers, HTTP: env.HTTP, Now: env.Now,
		Client: secret.Open(r.Portal.Secret, env.Secrets), Scopes: r.Portal.Scopes, GroupsClaim: r.GroupsClaim,
		Broker: cfg.Brokers(), PublicURL: cfg.PublicURL, guard: http.NewCrossOriginProtection(), pages: sync.OnceValues(parsePages),
	}
	at := slices.IndexFunc(p.Providers, func(one *provider.Provider) bool { return one.Name == r.SignIn })
	if at < 0 {
		return nil, fmt.Errorf("portal: the provider that people sign in at, %s, is not there", r.SignIn)
	}
	p.SignIn = p.Providers[at]
	for _, c := range cfg.Providers {
		p.Forms = append(p.Forms, formOf(c))
	}
	for _, c := range cfg.APIs {
		if c.BuiltIn {
			continue
		}
		routes, err := policy.NewTable(c.Rules())
		if err != nil {
			return nil, fmt.Errorf("portal: api %s: %w", c.Name, err)
		}
		p.APIs = append(p.APIs, API{
			Name: c.Name, Resource: c.Resource, URL: c.URL, Query: slices.Contains(c.TokenIn, config.Query),
			Contract: c.RequiresContract(), Owners: c.Owners, Routes: routes,
		})
	}
	if u, err := url.Parse(p.PublicURL); err == nil && u.Host != "" {
		// A proxy may call API Gateway by another name than the browser used.
		if err := p.guard.AddTrustedOrigin(u.Scheme + "://" + u.Host); err != nil {
			return nil, fmt.Errorf("portal: publicURL: %w", err)
		}
	}
	return p, nil
}

// formOf is what there is to fill in for a provider, as other platforms' forms
// have it. Of secrets it has the names.
func formOf(c config.Provider) Form {
	registers := c.AdminSecret
	if c.OpenRegistration {
		registers = "none is needed"
	}
	f := Form{Name: c.Name}
	for _, field := range []Field{
		{"Type", string(c.Type)},
		{"Issuer", c.Issuer},
		{"Client registration URL", discovered(c.Endpoints.Registration)},
		{"Authorization header, by the secret", registers},
		{"Client ID and client secret, by the secret", c.Secret},
		{"Authorize URL", discovered(c.Endpoints.Authorization)},
		{"Token URL", discovered(c.Endpoints.Token)},
		{"Token introspection URL", discovered(c.Endpoints.Introspection)},
		{"Request timeout", c.RequestTimeout.String()},
		{"Tokens", string(c.Tokens)},
		{"Audiences", strings.Join(c.Audiences, ", ")},
		{"Algorithms", strings.Join(c.Algorithms, ", ")},
	} {
		if field.Value == "" {
			field.Value = "not set"
		}
		f.Fields = append(f.Fields, field)
	}
	return f
}

func discovered(endpoint string) string {
	if endpoint == "" {
		return "as the provider's metadata say"
	}
	return endpoint
}

// Check reads the client's credentials, so that a bad deployment fails at its
// start.
func (p *Portal) Check(ctx context.Context) error {
	c, err := p.Client.Get(ctx)
	if err == nil && c.ClientID == "" {
		err = errors.New("there is no client_id in the secret")
	}
	if err != nil {
		return fmt.Errorf("portal: registration.portal.secret: %w", err)
	}
	return nil
}

func (p *Portal) now() time.Time {
	if p.Now != nil {
		return p.Now()
	}
	return time.Now()
}

// base is what stands before the paths of Gatehouse, as the browser of a request
// knows it.
func (p *Portal) base(ctx context.Context) string {
	if p.PublicURL != "" {
		return p.PublicURL
	}
	return apigw.BaseURL(ctx)
}

// root is the path of the portal in the browser of a request.
func (p *Portal) root(ctx context.Context) string {
	u, err := url.Parse(p.base(ctx))
	if err != nil {
		return prefix
	}
	return strings.TrimSuffix(u.EscapedPath(), "/") + prefix
}

// api is what is known of an API; the zero API of one that there is not.
func (p *Portal) api(name string) API {
	at := slices.IndexFunc(p.APIs, func(a API) bool { return a.Name == name })
	if at < 0 {
		return API{}
	}
	return p.APIs[at]
}

func (p *Portal) provider(name string) (*provider.Provider, bool) {
	at := slices.IndexFunc(p.Providers, func(one *provider.Provider) bool { return one.Name == name })
	if at < 0 {
		return nil, false
	}
	return p.Providers[at], true
}
