package provider

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"gatehouse/shared/config"
	"gatehouse/shared/fetch"
	"gatehouse/shared/strictjson"
)

// discoveryTTL is how long a metadata document is used before it is fetched
// again; an old one is kept when that fails.
const discoveryTTL = time.Hour

// maxMetadata is the longest metadata document read, in bytes.
const maxMetadata = 256 << 10

// places finds a provider's endpoints: configured, known for its type, or
// discovered (RFC 8414, OpenID Connect Discovery).
type places struct {
	fixed  endpoints
	issuer string
	http   *http.Client
	now    func() time.Time

	mu    sync.Mutex // held while fetching
	found document
	at    time.Time
}

// endpoints are URLs; "" when unknown.
type endpoints struct {
	jwks, introspection, registration string
	authorization, token, revocation  string
}

// document is what is read of a metadata document.
type document struct {
	endpoints

	sendsIssuer bool // authorization_response_iss_parameter_supported (RFC 9207 §3)
	offline     bool // scopes_supported lists offline_access
}

func locate(c config.Provider, env Environment) *places {
	vendor := vendorEndpoints(c.Type, c.Issuer)
	fixed := endpoints{
		jwks:          cmp.Or(c.Endpoints.JWKS, vendor.jwks),
		introspection: cmp.Or(c.Endpoints.Introspection, vendor.introspection),
		registration:  cmp.Or(c.Endpoints.Registration, vendor.registration),
		authorization: cmp.Or(c.Endpoints.Authorization, vendor.authorization),
		token:         cmp.Or(c.Endpoints.Token, vendor.token),
		revocation:    cmp.Or(c.Endpoints.Revocation, vendor.revocation),
	}
	return &places{fixed: fixed, issuer: c.Issuer, http: env.HTTP, now: env.Now}
}

func (p *places) jwks(ctx context.Context) (string, error) {
	return p.find(ctx, "jwks_uri", func(e endpoints) string { return e.jwks })
}

func (p *places) introspection(ctx context.Context) (string, error) {
	return p.find(ctx, "introspection_endpoint", func(e endpoints) string { return e.introspection })
}

func (p *places) registration(ctx context.Context) (string, error) {
	return p.find(ctx, "registration_endpoint", func(e endpoints) string { return e.registration })
}

func (p *places) authorization(ctx context.Context) (string, error) {
	return p.find(ctx, "authorization_endpoint", func(e endpoints) string { return e.authorization })
}

func (p *places) token(ctx context.Context) (string, error) {
	return p.find(ctx, "token_endpoint", func(e endpoints) string { return e.token })
}

func (p *places) revocation(ctx context.Context) (string, error) {
	return p.find(ctx, "revocation_endpoint", func(e endpoints) string { return e.revocation })
}

// errNoEndpoint ends the error for an endpoint that nobody names.
var errNoEndpoint = errors.New("set it under endpoints")

func (p *places) find(ctx context.Context, name string, of func(endpoints) string) (string, error) {
	if u := of(p.fixed); u != "" {
		return u, nil
	}
	found, err := p.discover(ctx)
	if err != nil {
		return "", err
	}
	if u := of(found.endpoints); u != "" {
		return u, nil
	}
	return "", fmt.Errorf("discovery: the metadata of %s has no usable %s; %w", p.issuer, name, errNoEndpoint)
}

func (p *places) discover(ctx context.Context) (document, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now().Round(0)
	if age := now.Sub(p.at); !p.at.IsZero() && age >= 0 && age < discoveryTTL {
		return p.found, nil
	}
	var errs []error
	for _, u := range metadataURLs(p.issuer) {
		found, err := p.fetch(ctx, u)
		if err == nil {
			p.found, p.at = found, now
			return found, nil
		}
		errs = append(errs, err)
	}
	if !p.at.IsZero() {
		return p.found, nil
	}
	return document{}, errors.Join(errs...)
}

// metadataURLs are where an issuer's metadata may stand: OpenID Connect
// Discovery §4 appends to the issuer, RFC 8414 §3.1 inserts before its path.
func metadataURLs(issuer string) []string {
	const oidc, oauth = "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"
	trimmed := strings.TrimSuffix(issuer, "/")
	urls := []string{trimmed + oidc, trimmed + oauth}
	if u, err := url.Parse(trimmed); err == nil && u.Path != "" {
		u.Path, u.RawPath = oauth+u.Path, ""
		urls = append(urls, u.String())
	}
	return urls
}

func (p *places) fetch(ctx context.Context, from string) (document, error) {
	body, err := fetch.Get(ctx, p.http, from, maxMetadata)
	if err != nil {
		return document{}, fmt.Errorf("discovery: %s: %w", from, err)
	}
	found, issuer, err := parseMetadata(body)
	switch {
	case err != nil:
		return document{}, fmt.Errorf("discovery: %s: not a metadata document", from)
	case issuer != p.issuer:
		// RFC 8414 §3.3: a document for another issuer must not be used.
		return document{}, fmt.Errorf("discovery: %s: its issuer is not exactly %q; set issuer to what the provider says, to the last slash", from, p.issuer)
	}
	return found, nil
}

// parseMetadata reads a metadata document. What is not of the type that it should
// be counts as left out, as does a URL that is not to be trusted.
func parseMetadata(body []byte) (found document, issuer string, err error) {
	urls := map[string]*string{
		"jwks_uri":               &found.jwks,
		"introspection_endpoint": &found.introspection,
		"registration_endpoint":  &found.registration,
		"authorization_endpoint": &found.authorization,
		"token_endpoint":         &found.token,
		"revocation_endpoint":    &found.revocation,
	}
	d := strictjson.NewDecoder(body, providerJSON)
	err = d.Object(func(name []byte) error {
		kind, into := d.Kind(), urls[string(name)]
		switch {
		case kind == strictjson.String && string(name) == "issuer":
			return readString(d, &issuer)
		case kind == strictjson.String && into != nil:
			return readString(d, into)
		case kind == strictjson.Bool && string(name) == "authorization_response_iss_parameter_supported":
			sends, err := d.Bool()
			found.sendsIssuer = sends
			return err
		case kind == strictjson.Array && string(name) == "scopes_supported":
			return d.Array(func() error { return found.scope(d) })
		default:
			return d.Skip()
		}
	})
	if err == nil {
		err = d.End()
	}
	for _, u := range urls {
		if !secureURL(*u) {
			*u = ""
		}
	}
	return found, issuer, err
}

// scope reads one of the scopes that the provider has.
func (f *document) scope(d *strictjson.Decoder) error {
	if d.Kind() != strictjson.String {
		return d.Skip()
	}
	scope, err := d.String()
	f.offline = f.offline || string(scope) == offlineAccess
	return err
}

func readString(d *strictjson.Decoder, into *string) error {
	b, err := d.String()
	*into = string(b)
	return err
}

// secureURL reports whether u may be sent a token or asked for keys: https, or
// http to this very machine.
func secureURL(u string) bool {
	parsed, err := url.Parse(u)
	if err != nil || parsed.Host == "" || parsed.User != nil || parsed.Fragment != "" {
		return false
	}
	return parsed.Scheme == "https" || parsed.Scheme == "http" && config.Loopback(parsed.Hostname())
}
