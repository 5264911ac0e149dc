package authorizer

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gatehouse/shared/apigw"
	"gatehouse/shared/config"
	"gatehouse/shared/oauth"
	"gatehouse/shared/policy"
	"gatehouse/shared/provider"
	"gatehouse/shared/token"
)

// api is one protected API, ready to decide.
type api struct {
	name      string
	table     *policy.Table
	providers []*provider.Provider
	issuers   map[string]*provider.Provider // by issuer
	opaque    bool                          // its one provider wants to be asked about every token
	header    bool                          // tokens in the Authorization header
	query     bool                          // tokens in ?access_token=
	simple    bool                          // what an HTTP API with payload format 2.0 expects
	cached    bool                          // API Gateway caches answers
	mulesoft  bool
	expose    []string
	contracts *contracts      // nil: none is needed
	resource  string          // its identifier of RFC 8707; "": none
	resources map[string]bool // those of all APIs; nil: none has one
}

func newAPI(c config.API, providers map[string]*provider.Provider, resultCache time.Duration) (*api, error) {
	table, err := policy.NewTable(c.Rules())
	if err != nil {
		return nil, err
	}
	a := &api{
		name:     c.Name,
		table:    table,
		issuers:  map[string]*provider.Provider{},
		header:   slices.Contains(c.TokenIn, config.Header),
		query:    slices.Contains(c.TokenIn, config.Query),
		simple:   c.HTTPAnswer == config.Simple,
		cached:   resultCache > 0,
		mulesoft: c.Profile == config.MuleSoft,
		expose:   c.ExposeClaims,
	}
	for _, name := range c.Providers {
		p, ok := providers[name]
		if !ok {
			return nil, fmt.Errorf("provider %s is not configured", name)
		}
		if _, taken := a.issuers[p.Issuer.Issuer]; taken {
			return nil, fmt.Errorf("two of its providers have the issuer %s; tokens could not be told apart", p.Issuer.Issuer)
		}
		a.providers = append(a.providers, p)
		a.issuers[p.Issuer.Issuer] = p
	}
	a.opaque = len(a.providers) == 1 && a.providers[0].Tokens == config.Introspect
	return a, nil
}

func (a *api) accepts(name string) bool {
	return slices.ContainsFunc(a.providers, func(p *provider.Provider) bool { return p.Name == name })
}

// elsewhere reports whether a token was made for other APIs, which aud names by
// their resource identifiers, and not for this one: their owners gave it nothing
// here (RFC 9700 §2.3).
func (a *api) elsewhere(f *token.Facts) bool {
	other := false
	for _, aud := range f.Audience {
		if a.resources == nil || len(aud) < len("http") || !strings.EqualFold(aud[:len("http")], "http") {
			continue // nothing that could be one
		}
		resource, ok := oauth.CanonicalResource(aud)
		if ok && resource == a.resource {
			return false
		}
		other = other || a.resources[resource]
	}
	return other
}

// token returns the request's one access token.
func (a *api) token(r *apigw.Request) (string, error) {
	if len(r.Authorization)+len(r.AccessToken) > 1 {
		return "", errTwoTokens
	}
	switch {
	case len(r.Authorization) == 1 && a.header:
		credential := r.Authorization[0].Reveal()
		raw, err := oauth.ParseBearer(credential)
		if err != nil {
			return "", credentialError(err)
		}
		return raw, a.inCacheKey(r, credential)
	case len(r.AccessToken) == 1 && a.query:
		raw := r.AccessToken[0].Reveal()
		if raw == "" {
			return "", errNoToken
		}
		if err := oauth.CheckToken(raw); err != nil {
			return "", credentialError(err)
		}
		return raw, a.inCacheKey(r, raw)
	default:
		// RFC 6750 §2.3, OAuth 2.1 §5.1: a token where the API does not take
		// tokens is ignored.
		return "", errNoToken
	}
}

// inCacheKey refuses a token that is not among the identity sources an HTTP
// API reports: its answer would be cached under, and replayed to, others.
func (*api) inCacheKey(r *apigw.Request, credential string) error {
	if len(r.IdentitySource) == 0 {
		return nil
	}
	for _, source := range r.IdentitySource {
		if source.Reveal() == credential {
			return nil
		}
	}
	return errIdentitySource
}

func credentialError(err error) error {
	switch {
	case errors.Is(err, oauth.ErrNoCredentials):
		return errNoToken
	case errors.Is(err, oauth.ErrNotBearer):
		return errNotBearer
	case errors.Is(err, oauth.ErrTokenLength):
		return errTokenLength
	default:
		return errTokenSyntax
	}
}

// finder finds the API that a request is for.
type finder struct {
	only       *api // the API that names nothing to tell it by: it is the only one
	byVariable map[string]*api
	byID       map[string]*api
	byDomain   map[string]*api
}

func (f *finder) add(m config.Match, a *api) {
	if m.StageVariable == "" && len(m.APIIDs) == 0 && len(m.Domains) == 0 {
		f.only = a
	}
	put(&f.byVariable, a, m.StageVariable)
	put(&f.byID, a, m.APIIDs...)
	put(&f.byDomain, a, m.Domains...)
}

func put(index *map[string]*api, a *api, keys ...string) {
	for _, k := range keys {
		if k == "" {
			continue
		}
		if *index == nil {
			*index = map[string]*api{}
		}
		(*index)[k] = a
	}
}

// errUnknownAPI is the operator's mistake: API Gateway asks about an API that
// the configuration does not have.
var errUnknownAPI = errors.New("authorizer: no API of gatehouse.yaml matches this event: " +
	"compare its match with the stage variable \"gatehouse\", the API's id and its domain name")

// find looks at what API Gateway says of itself, never at what the caller says.
// Properties that point at two APIs contradict each other.
func (f *finder) find(r *apigw.Request) (*api, error) {
	var found *api
	for _, candidate := range [...]*api{f.byVariable[r.StageVariable], f.byID[r.ARN.APIID], f.byDomain[r.Domain]} {
		switch {
		case candidate == nil || candidate == found:
		case found != nil:
			return nil, fmt.Errorf("authorizer: the event matches both %s and %s", found.name, candidate.name)
		default:
			found = candidate
		}
	}
	if found == nil {
		found = f.only
	}
	if found == nil {
		return nil, errUnknownAPI
	}
	return found, nil
}

// maxContextValue is the longest context value in bytes. What is longer, or has
// control characters, is left out: a value that was cut or changed would say
// something else.
const maxContextValue = 1 << 10

// maxAnswer is how much of the 8 KB that API Gateway takes is for the policy
// document and the context; the rest is for the principal and what is around.
const maxAnswer = 8<<10 - 512

// context renders what the backend is told about the caller, in at most room
// bytes: what comes first matters most.
func (a *api) context(f *token.Facts, contract terms, room int) []byte {
	c := contextWriter{b: make([]byte, 0, 640), room: room}
	c.add("client_id", f.ClientID)
	c.add("application", contract.application)
	c.add("tier", contract.tier)
	c.add("sub", f.Subject)
	c.addList("scope", f.Scopes)
	c.add("iss", f.Issuer)
	c.addTime("exp", f.Expires)
	c.add("jti", f.ID)
	if len(a.expose) > 0 || a.mulesoft {
		c = a.claims(f, c)
	}
	return c.close()
}

// claims adds what the API exposes of a token. It takes and returns c so that
// contexts without claims stay off the heap.
func (a *api) claims(f *token.Facts, c contextWriter) contextWriter {
	for name, claim := range f.Claims() {
		if slices.Contains(a.expose, name) {
			c.addClaim(name, claim)
		}
		// MuleSoft's expose headers: every scalar but these two.
		if a.mulesoft && !claim.List && name != "scope" && name != "exp" {
			c.add("X-AGW-"+name, claim.Values[0])
		}
	}
	return c
}
