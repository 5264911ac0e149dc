package provider

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"gatehouse/shared/config"
	"gatehouse/shared/fetch"
	"gatehouse/shared/oauth"
	"gatehouse/shared/secret"
)

// This file is a provider's authorization server as the applications use it that
// are registered there: RFC 6749, RFC 7009, RFC 8707. Every request is sent in the
// name of one of them and with its credentials.

// ClientAuth is how a client shows the token endpoint who it is.
type ClientAuth struct {
	ClientID string
	Secret   secret.Value // zero: Method is none
	Method   string       // client_secret_basic, client_secret_post or none; others are [ErrUnsupported]
}

// Authorization is what a browser is sent to the provider with. State and
// Challenge, which is made by S256, must be there.
type Authorization struct {
	ClientID, RedirectURI, State, Challenge string

	Scope     string   // space-delimited; "": what the provider gives by default
	Resources []string // see [config.Provider.Resource]

	// Offline asks for a refresh token, which the grant type alone does not always
	// bring. Registered is the scope that the client is registered with, "" for any:
	// some servers refuse offline_access outside of it.
	Offline    bool
	Registered string
}

// TokenRequest is a request for tokens. What the grant type has no use for is
// left empty.
type TokenRequest struct {
	Client    ClientAuth
	GrantType string

	Code, Verifier secret.Value
	RedirectURI    string
	RefreshToken   secret.Value

	Scope     string   // space-delimited
	Resources []string // see [config.Provider.Resource]
}

// Tokens is what a provider gives for a [TokenRequest].
type Tokens struct {
	AccessToken  secret.Value
	RefreshToken secret.Value  // zero: none, or the one that was sent goes on
	ExpiresIn    time.Duration // of AccessToken; 0: not said

	// Scope is what the tokens are for, if ScopeTold. Otherwise that is what was
	// asked for (RFC 6749 §5.1).
	Scope     string
	ScopeTold bool
}

// GrantError is a provider that refuses what an application asks for. Nothing
// was given out.
type GrantError struct {
	Code string // of RFC 6749 §4.1.2.1 or §5.2, RFC 8707 §2 or RFC 7009 §2.2.1
}

// Error names the code.
func (e *GrantError) Error() string { return "provider: it refuses, with " + e.Code }

// grantCodes are the error codes that are passed on: RFC 6749 §5.2 and, of
// §4.1.2.1, what Okta's policies and busy servers say; RFC 8707 §2; RFC 7009
// §2.2.1.
var grantCodes = []string{
	oauth.InvalidRequest, oauth.InvalidClient, oauth.InvalidGrant, oauth.UnauthorizedClient, oauth.UnsupportedGrantType, oauth.InvalidScope,
	oauth.AccessDenied, oauth.TemporarilyUnavailable, oauth.InvalidTarget, oauth.UnsupportedTokenType,
}

// errLost is a request that may have been carried out, and with that have spent
// a code or a refresh token, though there is no usable answer.
var errLost = fmt.Errorf("%w: %w", ErrUnavailable, ErrUncertain)

// AuthorizationURL returns where a browser is sent, so that a person signs in and
// the provider sends it back with a code.
func (p *Provider) AuthorizationURL(ctx context.Context, a Authorization) (string, error) {
	if a.State == "" || !oauth.ValidChallenge(a.Challenge) {
		return "", p.within("authorize", errors.New("a request needs a state and a code challenge by S256"))
	}
	endpoint, err := p.upstream.place(ctx, p.places.authorization)
	if err != nil {
		return "", p.within("authorize", err)
	}
	query := parameters(map[string]string{
		"response_type": "code", "client_id": a.ClientID, "redirect_uri": a.RedirectURI, "scope": a.Scope,
		"state": a.State, "code_challenge": a.Challenge, "code_challenge_method": oauth.S256,
	})
	p.upstream.indicate(query, a.Resources)
	if a.Offline {
		p.offline(ctx, a.Registered, query)
	}
	separator := "?"
	if strings.Contains(endpoint, "?") {
		separator = "&" // RFC 6749 §3.1: a query that is there is kept
	}
	return endpoint + separator + query.Encode(), nil
}

// Endpoints returns where the provider signs people in and where it gives out
// tokens, for telling people. One that the provider does not have is "".
func (p *Provider) Endpoints(ctx context.Context) (authorization, token string, err error) {
	for _, one := range []struct {
		find func(context.Context) (string, error)
		into *string
	}{{p.places.authorization, &authorization}, {p.places.token, &token}} {
		*one.into, err = p.upstream.place(ctx, one.find)
		if err != nil && !errors.Is(err, ErrUnsupported) {
			return "", "", p.within("endpoints", err)
		}
	}
	return authorization, token, nil
}

// SendsIssuer reports whether the provider says who it is when it sends a browser
// back (RFC 9207), so that an answer without iss is not the provider's. Only its
// metadata tell, whatever endpoints are configured.
func (p *Provider) SendsIssuer(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, p.upstream.sender.timeout)
	defer cancel()
	found, err := p.places.discover(ctx)
	if err != nil {
		return false, p.within("authorize", fmt.Errorf("%w: %w", ErrUnavailable, err))
	}
	return found.sendsIssuer, nil
}

// Token asks for tokens, once. It fails with a [GrantError] when the provider
// refuses, with [ErrUnsupported] when there is no asking it so, and otherwise with
// [ErrUnavailable]: which is [ErrUncertain] as well if the code or the refresh
// token that was sent may be spent.
func (p *Provider) Token(ctx context.Context, r TokenRequest) (Tokens, error) {
	form := parameters(map[string]string{
		"grant_type": r.GrantType, "code": r.Code.Reveal(), "code_verifier": r.Verifier.Reveal(), "redirect_uri": r.RedirectURI,
		"refresh_token": r.RefreshToken.Reveal(), "scope": r.Scope,
	})
	p.upstream.indicate(form, r.Resources)
	var got Tokens
	err := p.upstream.ask(ctx, &p.upstream.token, r.Client, form, func(body []byte) error {
		var err error
		got, err = parseTokens(body)
		return err
	})
	return got, p.within("token", err)
}

// Revoke ends a token of the client; hint says which kind it is (RFC 7009 §2.1)
// and may be "". A token that the provider does not know has ended. It fails as
// [Provider.Token] does, and can always be called again.
func (p *Provider) Revoke(ctx context.Context, c ClientAuth, tok secret.Value, hint string) error {
	form := parameters(map[string]string{"token": tok.Reveal(), "token_type_hint": hint})
	// RFC 7009 §2.2: the body of a success means nothing. Keycloak's has an error
	// in it when it does not know the token.
	return p.within("revoke", p.upstream.ask(ctx, &p.upstream.revocation, c, form, func([]byte) error { return nil }))
}

// offline asks for a refresh token by OpenID Connect Core §11 where that is how
// one is had.
func (p *Provider) offline(ctx context.Context, registered string, query url.Values) {
	ctx, cancel := context.WithTimeout(ctx, p.upstream.sender.timeout)
	defer cancel()
	wanted, consent := offlineScope(p.upstream.vendor, func() bool {
		if registered != "" && !slices.Contains(oauth.SplitScope(registered), offlineAccess) {
			return false
		}
		found, err := p.places.discover(ctx)
		return err == nil && found.offline
	})
	if wanted {
		query.Set("scope", strings.TrimSpace(query.Get("scope")+" "+offlineAccess))
	}
	if consent {
		query.Set("prompt", "consent")
	}
}

// upstream sends the requests of applications to one provider.
type upstream struct {
	vendor   config.ProviderType
	resource config.ResourceUse
	sender   *sender

	token, revocation service
}

// service is one endpoint that applications are served at.
type service struct {
	find    func(context.Context) (string, error) // its URL
	breaker breaker
}

func newUpstream(c config.Provider, env Environment, at *places) *upstream {
	s := newSender(env, c.RequestTimeout)
	s.limit = maxAnswer
	return &upstream{
		vendor: c.Type, resource: c.Resource, sender: s,
		token:      service{at.token, breaker{now: env.Now}},
		revocation: service{at.revocation, breaker{now: env.Now}},
	}
}

// parameters are those that are not empty, which would count as left out (RFC
// 6749 §3.1, §3.2).
func parameters(all map[string]string) url.Values {
	form := url.Values{}
	for name, value := range all {
		if value != "" {
			form.Set(name, value)
		}
	}
	return form
}

// indicate adds resource indicators (RFC 8707 §2) as the provider takes them.
func (u *upstream) indicate(form url.Values, resources []string) {
	switch u.resource {
	case config.PassResource:
		form["resource"] = resources
	case config.ResourceAsAudience:
		form["audience"] = resources
	case config.DropResource:
	}
}

// place returns the URL of an endpoint.
func (u *upstream) place(ctx context.Context, find func(context.Context) (string, error)) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, u.sender.timeout)
	defer cancel()
	endpoint, err := find(ctx)
	switch {
	case err == nil:
		return endpoint, nil
	case errors.Is(err, errNoEndpoint):
		return "", fmt.Errorf("%w: %w", ErrUnsupported, err)
	default:
		return "", fmt.Errorf("%w: %w", errNoAnswer, err)
	}
}

// ask sends a form in the name of c, unless the endpoint has stopped answering,
// and has the body of a success read. It is sent once: the second time, what is
// in it would be spent.
func (u *upstream) ask(ctx context.Context, at *service, c ClientAuth, form url.Values, read func(body []byte) error) error {
	request, err := c.request(form)
	if err != nil {
		return err
	}
	if err := at.breaker.allow(); err != nil {
		return err
	}
	if request.url, err = u.place(ctx, at.find); err == nil {
		err = u.send(ctx, request, read)
	}
	at.note(ctx, err)
	return err
}

// request returns a form with what shows who c is. A secret is never in the URL,
// and nothing is said twice (OAuth 2.1 §2.4).
func (c ClientAuth) request(form url.Values) (call, error) {
	request := call{method: http.MethodPost, body: form, bare: true, header: http.Header{}}
	switch c.Method {
	case oauth.SecretBasic:
		// RFC 6749 §2.3.1: both are form-encoded before they become Basic.
		pair := url.QueryEscape(c.ClientID) + ":" + url.QueryEscape(c.Secret.Reveal())
		request.header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
	case oauth.SecretPost:
		form.Set("client_id", c.ClientID)
		form.Set("client_secret", c.Secret.Reveal())
	case oauth.PublicClient:
		form.Set("client_id", c.ClientID)
	default:
		return call{}, fmt.Errorf("%w: a client that authenticates by %q", ErrUnsupported, c.Method)
	}
	return request, nil
}

func (u *upstream) send(ctx context.Context, request call, read func(body []byte) error) error {
	r, err := u.sender.attempt(ctx, request, secret.Credentials{})
	if errors.Is(err, ErrUncertain) {
		return errLost
	}
	if err != nil {
		return err
	}
	code := grantCode(u.vendor, r.reason())
	status := &fetch.StatusError{Status: r.status, Header: r.header}
	switch {
	case r.ok():
		return read(r.body)
	case r.status == http.StatusTooManyRequests:
		return &RateLimitError{After: u.sender.retryIn(r.header)}
	case r.status >= http.StatusInternalServerError, code == oauth.ServerError: // OpenAM has 400 with it
		return fmt.Errorf("%w: %w", errLost, status)
	case slices.Contains(grantCodes, code):
		return &GrantError{code}
	default:
		return fmt.Errorf("%w: %w", ErrUnavailable, status)
	}
}

// note tells the breaker what came of a request. A refusal is an answer.
func (s *service) note(ctx context.Context, err error) {
	switch {
	case ctx.Err() != nil:
		s.breaker.forget() // our caller's time was up: this says nothing of the provider
	case errors.Is(err, ErrUncertain), errors.Is(err, errNoAnswer):
		s.breaker.note(err)
	default:
		s.breaker.note(nil)
	}
}
