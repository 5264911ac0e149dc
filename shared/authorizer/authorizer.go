// Package authorizer decides which requests API Gateway lets through: it finds
// the API and the token of a request, verifies the token, compares what it says
// with the API's routes, and describes the result.
//
// It refuses whatever it does not know: an API that is not configured, a route
// that is not listed, a client without a contract, a request with two tokens. A
// provider or a registry that cannot be reached is an error and never a
// decision.
package authorizer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"gatehouse/shared/apigw"
	"gatehouse/shared/config"
	"gatehouse/shared/oauth"
	"gatehouse/shared/policy"
	"gatehouse/shared/provider"
	"gatehouse/shared/token"
)

// Authorizer judges requests for the configured APIs. Use [New]. It is safe for
// concurrent use.
type Authorizer struct {
	apis      finder
	providers []*provider.Provider
	cache     *token.Cache
	now       func() time.Time
}

// New returns the authorizer that cfg describes. Nothing is fetched or read yet;
// see [Authorizer.Warm]. read may be nil if no API requires contracts.
func New(cfg *config.Config, env provider.Environment, read Contracts) (*Authorizer, error) {
	if env.Now == nil {
		env.Now = time.Now
	}
	a := &Authorizer{now: env.Now}
	byName := map[string]*provider.Provider{}
	entries := 0
	for _, c := range cfg.Providers {
		p, err := provider.New(c, env)
		if err != nil {
			return nil, err
		}
		byName[c.Name] = p
		a.providers = append(a.providers, p)
		entries += c.CacheEntries
	}
	var err error
	if a.cache, err = token.NewCache(entries); err != nil {
		return nil, err
	}
	known, err := newContracts(read, a.now)
	if err != nil {
		return nil, err
	}
	resources := resourcesOf(cfg.APIs)
	for _, c := range cfg.APIs {
		one, err := newAPI(c, byName, cfg.ResultCache)
		if err != nil {
			return nil, fmt.Errorf("api %s: %w", c.Name, err)
		}
		one.resource, _ = oauth.CanonicalResource(c.Resource)
		one.resources = resources
		if c.RequiresContract() {
			if read == nil {
				return nil, fmt.Errorf("authorizer: api %s: %w", c.Name, errNoRegistry)
			}
			one.contracts = known
		}
		a.apis.add(c.Match, one)
	}
	return a, nil
}

// resourcesOf are the resource identifiers of APIs, nil if none has one.
func resourcesOf(apis []config.API) map[string]bool {
	var all map[string]bool
	for _, a := range apis {
		resource, ok := oauth.CanonicalResource(a.Resource)
		if !ok {
			continue
		}
		if all == nil {
			all = map[string]bool{}
		}
		all[resource] = true
	}
	return all
}

// Warm fetches the keys of all providers at once. A provider that does not
// answer is asked again by the first token that needs it, so its error is only
// worth a line in the log.
func (a *Authorizer) Warm(ctx context.Context) error {
	errs := make([]error, len(a.providers))
	var wg sync.WaitGroup
	for n, p := range a.providers {
		wg.Go(func() { errs[n] = p.Warm(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Handler returns a as a Lambda handler that writes to log.
func (a *Authorizer) Handler(log *slog.Logger) *apigw.Authorizer {
	return &apigw.Authorizer{Decide: a.Decide, Log: log, Now: a.now}
}

// Decide judges one request; see [apigw.Authorizer]. An error means that no
// decision was possible.
func (a *Authorizer) Decide(ctx context.Context, r *apigw.Request) (apigw.Decision, error) {
	api, err := a.apis.find(r)
	if err != nil {
		return apigw.Decision{}, err
	}
	raw, err := api.token(r)
	if err != nil {
		return api.unauthenticated(err), nil
	}
	facts, err := a.verify(ctx, api, raw)
	switch {
	case err != nil && refusal(err):
		return api.unauthenticated(err), nil
	case err != nil:
		return apigw.Decision{}, err
	}
	if api.elsewhere(facts) {
		return api.unauthenticated(token.ErrAudience), nil
	}
	contract, refused, err := api.contract(ctx, facts)
	switch {
	case err != nil:
		return apigw.Decision{}, err
	case refused != "":
		return api.withoutContract(facts, refused), nil
	default:
		return api.decide(r, facts, contract), nil
	}
}

// refusal reports whether err says something about the token. Everything else
// is our trouble or the provider's.
func refusal(err error) bool {
	return reason(err) != "" && !errors.Is(err, provider.ErrUnavailable) && !errors.Is(err, token.ErrKeysUnavailable)
}

// introspectedFor bounds how long what a provider said of a token is believed.
const introspectedFor = time.Minute

// verify returns what the token says, from the cache if it was verified before.
func (a *Authorizer) verify(ctx context.Context, api *api, raw string) (*token.Facts, error) {
	digest := token.DigestOf(raw)
	// What another API's provider says of the token counts for nothing here:
	// the two may have one issuer and yet different rules.
	if facts, ok := a.cache.Get(ctx, digest, a.now()); ok && api.accepts(facts.Provider) {
		return facts, nil
	}
	if api.opaque || !token.LooksLikeJWT(raw) {
		p := provider.OneToAsk(api.providers)
		if p == nil {
			return nil, errOpaque
		}
		return a.introspect(ctx, p, raw, digest)
	}
	return a.verifyJWT(ctx, api, raw, digest)
}

func (a *Authorizer) verifyJWT(ctx context.Context, api *api, raw string, digest token.Digest) (*token.Facts, error) {
	unverified, err := token.Parse(raw)
	if err != nil {
		return nil, err
	}
	p, ok := api.issuers[unverified.Issuer()]
	if !ok {
		return nil, token.ErrIssuer
	}
	if p.Tokens == config.Introspect {
		return a.introspect(ctx, p, raw, digest)
	}
	facts, err := p.Issuer.Verify(ctx, unverified)
	if err != nil {
		return nil, err
	}
	a.remember(p, digest, facts, p.Issuer.Keys, facts.Expires)
	return facts, nil
}

func (a *Authorizer) introspect(ctx context.Context, p *provider.Provider, raw string, digest token.Digest) (*token.Facts, error) {
	facts, err := p.Introspect(ctx, raw)
	if err != nil {
		return nil, err
	}
	a.remember(p, digest, facts, nil, a.now().Add(introspectedFor))
	return facts, nil
}

// remember puts facts into the cache. keys vouch for them; nil: the provider
// itself was asked.
func (a *Authorizer) remember(p *provider.Provider, digest token.Digest, facts *token.Facts, keys *token.KeySet, until time.Time) {
	if p.CacheEntries == 0 {
		return
	}
	if limit := a.now().Add(p.CacheMax); p.CacheMax > 0 && limit.Before(until) {
		until = limit
	}
	a.cache.Put(digest, facts, keys, until)
}

// requestError is a reason that lies in the request, not in the token.
type requestError string

func (r requestError) Error() string { return "authorizer: " + string(r) }

// Reasons a request is refused before its token is looked at.
const (
	errNoToken        = requestError("no_token")
	errTwoTokens      = requestError("two_tokens")                // RFC 6750 §2: one method, one token
	errNotBearer      = requestError("not_bearer")                // another scheme, or none
	errTokenSyntax    = requestError("token_syntax")              // not a b64token
	errTokenLength    = requestError("token_length")              // longer than 8 KiB
	errIdentitySource = requestError("token_outside_cache_key")   // API Gateway would cache the answer for another token
	errOpaque         = requestError("opaque_token_not_accepted") // no provider, or more than one, to ask
)

// reason returns the stable word for why a token or request was refused, "" for
// other errors.
func reason(err error) string {
	if r, ok := errors.AsType[requestError](err); ok {
		return string(r)
	}
	return token.Reason(err)
}

// unauthenticated is the decision about a request without a usable token. What
// the caller may read is the same for all of them; the log has the reason.
func (a *api) unauthenticated(err error) apigw.Decision {
	d := apigw.Decision{
		Outcome: apigw.Unauthenticated,
		Simple:  a.simple,
		Reason:  reason(err),
		Log:     []slog.Attr{slog.String("api", a.name)},
	}
	switch {
	case errors.Is(err, errNoToken):
		// RFC 6750 §3.1: no credentials, no error code.
	case errors.Is(err, errTwoTokens), errors.Is(err, errNotBearer), errors.Is(err, errTokenSyntax), errors.Is(err, errTokenLength):
		d.Error, d.Description = oauth.InvalidRequest, "send one access token, as: Authorization: Bearer TOKEN"
	default:
		d.Error, d.Description = oauth.InvalidToken, "the access token is expired, malformed or not for this API; get a new one"
	}
	return d
}

// logged is what the log line says of a verified token. There is room for one
// more.
func (a *api) logged(f *token.Facts) []slog.Attr {
	return append(make([]slog.Attr, 0, 6),
		slog.String("api", a.name),
		slog.String("provider", f.Provider),
		slog.String("client_id", f.ClientID),
		slog.String("sub", f.Subject),
		slog.String("jti", f.ID))
}

// decide compares a verified token, whose client has a contract if it needs
// one, with the API's routes.
func (a *api) decide(r *apigw.Request, f *token.Facts, contract terms) apigw.Decision {
	caller := policy.Caller{Scopes: f.Scopes, Claim: claimValues(f)}
	route, _ := a.route(r)
	grant := a.table.Grant(caller)
	d := apigw.Decision{Principal: principal(f), Simple: a.simple, Log: a.logged(f), UsageKey: contract.usageKey}
	if !a.simple || r.Shape != apigw.HTTP2 {
		d.Document = a.table.Document(policy.Ask{
			Prefix: r.ARN.Prefix(), Grant: grant, Route: route,
			Method: r.ARN.Method, Path: r.ARN.Path, Template: r.Template,
		})
	}
	d.Context = a.context(f, contract, maxAnswer-len(d.Document)-len(d.UsageKey))
	if grant.Allows(route) {
		d.Outcome, d.Reason = apigw.Allowed, "allowed"
		return d
	}
	d.Outcome = apigw.Forbidden
	var needs []string
	d.Reason, needs = a.table.Refusal(route, caller)
	d.Log = append(d.Log, slog.String("needs", strings.Join(needs, " ")))
	// An answer that API Gateway caches must be true of every route it is
	// replayed on: why this one was refused is said only where it is not.
	if grant.Empty() || !a.cached {
		d.Error, d.Description = oauth.InsufficientScope, "the access token does not open this route"
		d.Scope = strings.Join(needs, " ")
	}
	return d
}

// route finds the listed route of a request: by API Gateway's template where
// the event has it, else by the path.
func (a *api) route(r *apigw.Request) (policy.Route, bool) {
	if r.Template != "" {
		return a.table.Routed(r.Method, r.Template)
	}
	return a.table.Match(r.ARN.Method, r.ARN.Path)
}

func claimValues(f *token.Facts) func(string) []string {
	return func(name string) []string {
		c, _ := f.Claim(name)
		return c.Values
	}
}

// principal names the caller for API Gateway's own logs: the user, or the
// client where there is none.
func principal(f *token.Facts) string {
	if f.Subject != "" {
		return f.Subject
	}
	return f.ClientID
}
