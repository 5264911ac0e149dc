package portal

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"gatehouse/shared/config"
	"gatehouse/shared/oauth"
	"gatehouse/shared/provider"
	"gatehouse/shared/secret"
	"gatehouse/shared/token"
)

// This file signs people in: the portal is a client of the provider that asks
// for a code and proves that it asked (RFC 6749 §4.1, RFC 7636).

const (
	signInLife = 10 * time.Minute // of a person at the provider
	maxCode    = 2048             // bytes of a provider's code
	maxNext    = 1024             // bytes of an address to go to afterwards
)

// signIn is a sign-in that has begun. It is sealed in a cookie, bound to the
// state: who comes back needs both.
type signIn struct {
	Verifier string    `json:"v"`
	Callback string    `json:"u"`
	Next     string    `json:"n"`
	Admin    bool      `json:"a,omitempty"`
	Expires  time.Time `json:"x"`
}

// signInCookie lets several tabs sign in at once.
func signInCookie(state string) string {
	return "__Host-gatehouse-signin-" + state[:min(len(state), 12)]
}

// getStart is where people arrive.
func (p *Portal) getStart(w http.ResponseWriter, r *http.Request) error {
	if _, err := p.session(r); err == nil {
		redirect(w, p.root(r.Context())+"/apis")
		return nil
	}
	p.show(w, r, view{Page: "start", Title: "Gatehouse", Data: p.SignIn.Name})
	return nil
}

// getSignIn sends the browser to the provider.
func (p *Portal) getSignIn(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	c, err := p.Client.Get(r.Context())
	if err != nil {
		return p.cannotSignIn(err)
	}
	state := oauth.NewVerifier() // as random as a state has to be
	f := signIn{
		Verifier: oauth.NewVerifier(), Callback: p.base(r.Context()) + prefix + "/callback",
		Next: p.next(r.Context(), q.Get("next")), Admin: q.Get("as") == "admin", Expires: p.now().Add(signInLife),
	}
	scopes := slices.Clone(p.Scopes)
	if f.Admin && !slices.Contains(scopes, config.ScopeAdmin) {
		scopes = append(scopes, config.ScopeAdmin)
	}
	at, err := p.SignIn.AuthorizationURL(r.Context(), provider.Authorization{
		ClientID: c.ClientID, RedirectURI: f.Callback, State: state, Challenge: oauth.Challenge(f.Verifier), Scope: strings.Join(scopes, " "),
	})
	if err != nil {
		return p.cannotSignIn(err)
	}
	sealed, err := p.seal(r.Context(), signInPurpose, state, f)
	if err != nil {
		return err
	}
	http.SetCookie(w, cookie(signInCookie(state), sealed, int(signInLife.Seconds())))
	redirect(w, at)
	return nil
}

// next is where a person goes after signing in: a page of the portal, whatever
// is asked for.
func (p *Portal) next(ctx context.Context, asked string) string {
	first := p.root(ctx) + "/apis"
	u, err := url.Parse(asked)
	if err != nil || len(asked) > maxNext || u.IsAbs() || u.Host != "" || !strings.HasPrefix(u.Path, prefix+"/") || strings.Contains(u.Path, "..") {
		return first
	}
	after := url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}
	return strings.TrimSuffix(p.root(ctx), prefix) + after.RequestURI()
}

// getCallback is where the provider sends people back to.
func (p *Portal) getCallback(w http.ResponseWriter, r *http.Request) error {
	q, err := oauth.ParseParameters(r.URL.RawQuery)
	if err != nil {
		return &refusal{Status: http.StatusBadRequest, Title: "This address is not complete", Text: "Sign in again.", SignIn: "person", Cause: err}
	}
	f, err := p.resume(w, r, q.Get("state"))
	if err != nil {
		return err
	}
	if err := p.fromProvider(r.Context(), q.Get("iss")); err != nil {
		return err
	}
	if code := q.Get("error"); code != "" {
		return f.refused(code)
	}
	code := q.Get("code")
	if code == "" || len(code) > maxCode {
		return p.cannotSignIn(errors.New("portal: callback: no code, or a longer one than 2,048 bytes"))
	}
	facts, err := p.redeem(r.Context(), f, secret.New(code))
	if err != nil {
		return err
	}
	s := p.sessionOf(facts)
	if err := s.usable(f); err != nil {
		return err
	}
	if err := p.begin(w, r, s); err != nil {
		return err
	}
	redirect(w, f.Next)
	return nil
}

// usable refuses people for whom there is nothing here.
func (s session) usable(f signIn) error {
	switch {
	case s.Subject == "" || strings.HasPrefix(s.Subject, groupPrefix):
		return &refusal{Status: http.StatusForbidden, Title: "The provider did not say who you are", Text: "Its token has no subject that can own an application. Ask whoever runs the provider."}
	case len(s.Scopes) == 0:
		return &refusal{Status: http.StatusForbidden, Title: "You have no access to this portal",
			Text: "The provider gave you none of the scopes that this needs. Ask whoever runs it for " + config.ScopeApplications + "."}
	case f.Admin && !s.Admin():
		return &refusal{Status: http.StatusForbidden, Title: "You are no administrator",
			Text: "The provider did not give you the scope " + config.ScopeAdmin + ". Sign in without it, or ask whoever runs the provider.", SignIn: "person"}
	}
	return nil
}

// resume opens a sign-in that comes back to the browser that began it, and takes
// its cookie away (RFC 9700 §4.7).
func (p *Portal) resume(w http.ResponseWriter, r *http.Request, state string) (signIn, error) {
	var f signIn
	name := signInCookie(state)
	sent, err := r.Cookie(name)
	if err == nil {
		err = p.unseal(r.Context(), signInPurpose, state, sent.Value, &f)
	}
	if err != nil {
		return f, &refusal{Status: http.StatusBadRequest, Title: "This browser did not begin this sign-in", Cause: err,
			Text: "Or its cookies were removed, or the address was opened twice. Sign in again.", SignIn: "person"}
	}
	http.SetCookie(w, cookie(name, "", -1))
	if !p.now().Before(f.Expires) {
		return f, &refusal{Status: http.StatusBadRequest, Title: "That took too long", Text: "A sign-in has ten minutes. Sign in again.", SignIn: "person", Next: f.Next}
	}
	return f, nil
}

// fromProvider refuses the answer of another provider (RFC 9207 §2.4).
func (p *Portal) fromProvider(ctx context.Context, iss string) error {
	if iss == p.SignIn.Issuer.Issuer {
		return nil
	}
	tells, err := p.SignIn.SendsIssuer(ctx)
	switch {
	case err != nil:
		return p.cannotSignIn(err)
	case iss == "" && !tells:
		return nil
	}
	return &refusal{Status: http.StatusBadRequest, Title: "That is not the provider's answer", Text: "It is another's. Sign in again.", SignIn: "person",
		Cause: errors.New("portal: callback: iss is missing or another provider's")}
}

// refused says in our words what the provider answered.
func (f signIn) refused(code string) error {
	e := &refusal{Status: http.StatusForbidden, Title: "The provider did not sign you in", SignIn: "person", Next: f.Next,
		Text: "You have cancelled, or its policy does not let you in here. Sign in again, or ask whoever runs the provider."}
	switch code {
	case oauth.AccessDenied, oauth.InvalidScope, "login_required", "consent_required", "interaction_required":
		if f.Admin {
			e.Title, e.Text = "You were not signed in as an administrator", "You have cancelled, or the provider does not give you "+config.ScopeAdmin+". Sign in without it, or ask whoever runs the provider."
		}
		e.Code = code[:min(len(code), 40)]
	case oauth.TemporarilyUnavailable, oauth.ServerError:
		e.Status, e.Text = http.StatusServiceUnavailable, "It cannot sign anyone in at the moment. Try again in a minute."
	default:
		e.Status, e.Text = http.StatusBadGateway, "It does not accept the portal's own request. Whoever runs the provider should compare the portal's client with the documentation: grant type, redirect URI, scopes."
		e.Cause = errors.New("portal: callback: the provider answered with an error that is about the portal's client")
	}
	return e
}

// redeem exchanges a code and verifies what comes of it as the authorizer does.
func (p *Portal) redeem(ctx context.Context, f signIn, code secret.Value) (*token.Facts, error) {
	c, err := p.Client.Get(ctx)
	if err != nil {
		return nil, p.cannotSignIn(err)
	}
	got, err := p.exchange(ctx, c, f, code)
	if refused, ok := errors.AsType[*provider.GrantError](err); ok && refused.Code == oauth.InvalidClient {
		// The secret may have been rotated a moment ago; who is not known has spent no code.
		if fresh, again := p.Client.Refresh(ctx); again == nil && !fresh.Equal(c) {
			c = fresh
			got, err = p.exchange(ctx, c, f, code)
		}
	}
	if err != nil {
		return nil, p.cannotSignIn(err)
	}
	facts, err := verify(ctx, p.SignIn, got.AccessToken.Reveal())
	if err == nil && facts.ClientID != "" && facts.ClientID != c.ClientID {
		err = errors.New("portal: the token is another client's")
	}
	if err != nil {
		return nil, p.cannotSignIn(err)
	}
	return facts, nil
}

func (p *Portal) exchange(ctx context.Context, c secret.Credentials, f signIn, code secret.Value) (provider.Tokens, error) {
	return p.SignIn.Token(ctx, provider.TokenRequest{
		Client:    provider.ClientAuth{ClientID: c.ClientID, Secret: c.ClientSecret, Method: oauth.SecretBasic},
		GrantType: oauth.AuthorizationCode, Code: code, Verifier: secret.New(f.Verifier), RedirectURI: f.Callback,
	})
}

// verify is what a token says, if it is one of from's for us.
func verify(ctx context.Context, from *provider.Provider, raw string) (*token.Facts, error) {
	switch opaque := from.Tokens == config.Introspect || !token.LooksLikeJWT(raw); {
	case opaque && !from.Introspects():
		return nil, token.ErrMalformed // nobody can be asked
	case opaque:
		return from.Introspect(ctx, raw)
	}
	unverified, err := token.Parse(raw)
	if err != nil {
		return nil, err
	}
	return from.Issuer.Verify(ctx, unverified)
}

// cannotSignIn is a provider, or its token, that does not do as it should.
func (*Portal) cannotSignIn(cause error) error {
	e := &refusal{Status: http.StatusBadGateway, Title: "You could not be signed in", SignIn: "person", Cause: cause,
		Text: "The provider refused, or gave a token that is not accepted here. Try again; if it stays so, whoever runs Gatehouse finds the reason in the log."}
	if errors.Is(cause, provider.ErrUnavailable) {
		e.Status, e.Title, e.RetryAfter = http.StatusServiceUnavailable, "The provider does not answer", 5*time.Second
		e.Text = "So nobody can be signed in at the moment. Try again in a minute."
	}
	if reason := token.Reason(cause); reason != "" {
		e.Code = reason
		e.Cause = fmt.Errorf("portal: the token of a sign-in is not accepted: %w", cause)
	}
	return e
}
