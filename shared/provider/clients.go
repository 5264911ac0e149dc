package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gatehouse/shared/config"
	"gatehouse/shared/secret"
)

// This file is what a provider can do with clients, whatever its type.

// Reasons for which a provider does not do what it is asked. Beside these there
// are [MetadataError], [RateLimitError] and [MismatchError].
var (
	// ErrUnsupported: this provider cannot do that; [Provider.Capabilities] says
	// so before the call. Nothing was done.
	ErrUnsupported = errors.New("provider: it does not support this")

	// ErrNameTaken: another client has this name. If the name carries a marker
	// of ours, an earlier attempt went through: see [Provider.FindClient].
	// Nothing was done.
	ErrNameTaken = errors.New("provider: a client of this name exists")

	// ErrGone: the provider has no such client. RFC 7592 servers answer alike
	// when the registration access token is not the current one.
	ErrGone = errors.New("provider: it has no such client")

	// ErrAdminCredentials: the provider refuses the credentials that register
	// clients. It says nothing about any client. Nothing was done.
	ErrAdminCredentials = fmt.Errorf("%w: it refuses the credentials that register clients; renew authorization in the provider's secret", ErrUnavailable)

	// ErrUncertain: the request was sent and its outcome is not known. After one
	// about a client, look with [Provider.FindClient] before trying again; it is not
	// [ErrUnavailable] then, which says that nothing was done. After [Provider.Token]
	// it is both.
	ErrUncertain = errors.New("provider: whether the request was carried out is not known")

	// ErrAccessPolicy: clients could be created, but no access policy would ever
	// give them a token. Nothing was done.
	ErrAccessPolicy = errors.New("provider: no access policy lets new clients have tokens")
)

// MetadataError is metadata that the provider, or its type, does not accept.
// Nothing was done.
type MetadataError struct {
	Field string // RFC 7591 name; "" when the provider does not say
}

// Error names the field.
func (e *MetadataError) Error() string {
	if e.Field == "" {
		return "provider: the client metadata are not acceptable"
	}
	return "provider: " + e.Field + " is not acceptable"
}

// RateLimitError is a provider that wants to be asked later. Nothing was done.
// It wraps [ErrUnavailable].
type RateLimitError struct {
	After time.Duration
}

// Error says when to come back.
func (e *RateLimitError) Error() string {
	return fmt.Sprintf("provider: too many requests; it can be asked again in %v", e.After)
}

// Unwrap returns [ErrUnavailable].
func (*RateLimitError) Unwrap() error { return ErrUnavailable }

// MismatchError is a request that was carried out, but not as asked. Client is
// what there is now: store its secret and management data, and after a creation
// delete it.
type MismatchError struct {
	Client Client
	Field  string // what is missing or other than asked
	Err    error  // why, if that is known; may be nil
}

// Error names the client and the field.
func (e *MismatchError) Error() string {
	text := fmt.Sprintf("provider: client %q exists, but its %s is not as asked", e.Client.ClientID, e.Field)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns Err.
func (e *MismatchError) Unwrap() error { return e.Err }

// Client is a client at the provider: the metadata of RFC 7591 §2 that are sent
// and understood, and what the provider gave for it. Every other metadata is
// left out, so that no caller reaches a vendor's own switches through it.
type Client struct {
	ClientID      string
	Secret        secret.Value // zero: not given, or given before and kept
	SecretExpires time.Time    // zero: never

	// Management is what it takes to manage the client later: store it sealed,
	// anew after every call that returns a Client, and hand it in again.
	Management secret.Value

	Name                    string // unique at the provider: put a marker into it
	ClientURI               string
	RedirectURIs            []string
	GrantTypes              []string
	ResponseTypes           []string // nil: what follows from GrantTypes
	TokenEndpointAuthMethod string
	Scope                   string // space-delimited; not every provider keeps it
	JWKSURI                 string
	JWKS                    json.RawMessage
}

// Rotated is a client with a new secret.
type Rotated struct {
	Client Client

	// OldValidUntil is when the old secret stops. Zero: not before
	// [Provider.RetireSecret] or the next rotation.
	OldValidUntil time.Time
}

// Capabilities is what a provider can do with clients.
type Capabilities struct {
	Create, Read, Update, Delete bool

	Rotate     bool // a new secret
	TwoSecrets bool // the old one goes on until it is retired
	Find       bool // by name
}

// registrar is how one type of provider does it. Its methods are called only
// for what it says it can do.
type registrar interface {
	capabilities() Capabilities
	create(context.Context, Client) (Client, error)
	read(context.Context, Client) (Client, error)
	update(context.Context, Client) (Client, error)
	remove(context.Context, Client) error
	rotate(context.Context, Client) (Rotated, error)
	retire(context.Context, Client) error
	find(ctx context.Context, name string) (Client, bool, error)
}

// EnableRegistration lets p manage clients, with the credentials of c's
// AdminSecret. Nothing is fetched yet.
func (p *Provider) EnableRegistration(c config.Provider, env Environment) error {
	if c.Endpoints.Registration != "" && !secureURL(c.Endpoints.Registration) {
		return fmt.Errorf("provider %s: the registration endpoint must be an https URL", c.Name)
	}
	if env.Now == nil {
		env.Now = time.Now
	}
	s := newSender(env, c.RequestTimeout)
	if c.AdminSecret != "" {
		s.secret = secret.Open(c.AdminSecret, env.Secrets)
	}
	standard := rfc7591{sender: s, endpoint: locate(c, env).registration}
	switch c.Type {
	case config.Okta:
		p.registrar = newOkta(c, s)
	case config.PingFederate:
		p.registrar = newPingFederate(c, &standard)
	case config.OpenAM:
		p.registrar = newOpenAM(c, &standard)
	default:
		p.registrar = &standard
	}
	return nil
}

// Capabilities returns what p can do with clients: nothing before
// [Provider.EnableRegistration].
func (p *Provider) Capabilities() Capabilities {
	if p.registrar == nil {
		return Capabilities{}
	}
	return p.registrar.capabilities()
}

// CreateClient registers c. It fails with [ErrUncertain] when the client may
// have been created nevertheless, and with a [MismatchError] when one was
// created that must be deleted. It never creates two.
func (p *Provider) CreateClient(ctx context.Context, c Client) (Client, error) {
	if !p.Capabilities().Create {
		return Client{}, p.wrap("create", ErrUnsupported)
	}
	c, err := c.complete()
	if err != nil {
		return Client{}, p.wrap("create", err)
	}
	made, err := p.registrar.create(ctx, c)
	return made, p.wrap("create", err)
}

// ReadClient returns the client that c's ClientID and Management name. Reading
// may change secret and management data at some servers: store what comes back,
// and do not use it as a health check.
func (p *Provider) ReadClient(ctx context.Context, c Client) (Client, error) {
	if !p.Capabilities().Read {
		return Client{}, p.wrap("read", ErrUnsupported)
	}
	if err := c.named(); err != nil {
		return Client{}, p.wrap("read", err)
	}
	found, err := p.registrar.read(ctx, c)
	return found, p.wrap("read", err)
}

// UpdateClient makes the client that c's ClientID and Management name what the
// rest of c says. What c leaves empty is reset. Store what comes back.
func (p *Provider) UpdateClient(ctx context.Context, c Client) (Client, error) {
	if !p.Capabilities().Update {
		return Client{}, p.wrap("update", ErrUnsupported)
	}
	if err := c.named(); err != nil {
		return Client{}, p.wrap("update", err)
	}
	c, err := c.complete()
	if err != nil {
		return Client{}, p.wrap("update", err)
	}
	changed, err := p.registrar.update(ctx, c)
	return changed, p.wrap("update", err)
}

// DeleteClient deletes the client that c's ClientID and Management name. With
// an administrator's credentials a client that is not there is success; with a
// registration access token it is [ErrGone], since the token may be the reason.
func (p *Provider) DeleteClient(ctx context.Context, c Client) error {
	if !p.Capabilities().Delete {
		return p.wrap("delete", ErrUnsupported)
	}
	if err := c.named(); err != nil {
		return p.wrap("delete", err)
	}
	return p.wrap("delete", p.registrar.remove(ctx, c))
}

// RotateSecret gives the client that c's ClientID and Management name a new
// secret.
func (p *Provider) RotateSecret(ctx context.Context, c Client) (Rotated, error) {
	if !p.Capabilities().Rotate {
		return Rotated{}, p.wrap("rotate the secret of", ErrUnsupported)
	}
	if err := c.named(); err != nil {
		return Rotated{}, p.wrap("rotate the secret of", err)
	}
	r, err := p.registrar.rotate(ctx, c)
	return r, p.wrap("rotate the secret of", err)
}

// RetireSecret ends every secret of the client but the newest one that
// [Provider.RotateSecret] returned.
func (p *Provider) RetireSecret(ctx context.Context, c Client) error {
	if !p.Capabilities().TwoSecrets {
		return p.wrap("retire a secret of", ErrUnsupported)
	}
	if err := c.named(); err != nil {
		return p.wrap("retire a secret of", err)
	}
	return p.wrap("retire a secret of", p.registrar.retire(ctx, c))
}

// FindClient returns the client whose whole name this is, and whether there is
// one: for what [ErrUncertain] leaves open.
func (p *Provider) FindClient(ctx context.Context, name string) (Client, bool, error) {
	if !p.Capabilities().Find {
		return Client{}, false, p.wrap("find", ErrUnsupported)
	}
	c, ok, err := p.registrar.find(ctx, name)
	return c, ok, p.wrap("find", err)
}

func (p *Provider) wrap(what string, err error) error { return p.within(what+" client", err) }

// within says where an error comes from.
func (p *Provider) within(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("provider %s: %s: %w", p.Name, what, err)
}
