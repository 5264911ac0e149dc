package provider

import (
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
	found endpoints
	at    time.Time
}

// endpoints are URLs; "" when unknown.
type endpoints struct{ jwks, introspection, registration string }

func locate(c config.Provider, env Environment) *places {
	fixed := vendorEndpoints(c.Type, c.Issuer)
	if c.Endpoints.JWKS != "" {
		fixed.jwks = c.Endpoints.JWKS
	}
	if c.Endpoints.Introspection != "" {
		fixed.introspection = c.Endpoints.Introspection
	}
	if c.Endpoints.Registration != "" {
		fixed.registration = c.Endpoints.Registration
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

func (p *places) find(ctx context.Context, name string, of func(endpoints) string) (string, error) {
	if u := of(p.fixed); u != "" {
		return u, nil
	}
	found, err := p.discover(ctx)
	if err != nil {
		return "", err
	}
	if u := of(found); u != "" {
		return u, nil
	}
	return "", fmt.Errorf("discovery: the metadata of %s has no usable %s; set it under endpoints", p.issuer, name)
}

func (p *places) discover(ctx context.Context) (endpoints, error) {
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
	return endpoints{}, errors.Join(errs...)
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

func (p *places) fetch(ctx context.Context, from string) (endpoints, error) {
	body, err := fetch.Get(ctx, p.http, from, maxMetadata)
	if err != nil {
		return endpoints{}, fmt.Errorf("discovery: %s: %w", from, err)
	}
	found, issuer, err := parseMetadata(body)
	switch {
	case err != nil:
		return endpoints{}, fmt.Errorf("discovery: %s: not a metadata document", from)
	case issuer != p.issuer:
		// RFC 8414 §3.3: a document for another issuer must not be used.
		return endpoints{}, fmt.Errorf("discovery: %s: its issuer is not exactly %q; set issuer to what the provider says, to the last slash", from, p.issuer)
	}
	return found, nil
}

func parseMetadata(body []byte) (found endpoints, issuer string, err error) {
	d := strictjson.NewDecoder(body, strictjson.Rules{Depth: 16, Members: 512, Folded: true})
	err = d.Object(func(name []byte) error {
		switch string(name) {
		case "issuer":
			return readString(d, &issuer)
		case "jwks_uri":
			return readString(d, &found.jwks)
		case "introspection_endpoint":
			return readString(d, &found.introspection)
		case "registration_endpoint":
			return readString(d, &found.registration)
		default:
			return d.Skip()
		}
	})
	if err == nil {
		err = d.End()
	}
	if !secureURL(found.jwks) {
		found.jwks = ""
	}
	if !secureURL(found.introspection) {
		found.introspection = ""
	}
	if !secureURL(found.registration) {
		found.registration = ""
	}
	return found, issuer, err
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
