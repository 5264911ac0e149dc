package broker

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"gatehouse/shared/apigw"
	"gatehouse/shared/oauth"
	"gatehouse/shared/provider"
	"gatehouse/shared/registry"
	"gatehouse/shared/secret"
	"gatehouse/shared/web"
)

// This file is the token endpoint (RFC 6749 §3.2).

// tokens are what a client gets.
type tokens struct {
	access  secret.Value
	expires time.Time // zero: nobody knows
	scope   string
	refresh string // sealed; "": none
}

// writeTokens is the answer of RFC 6749 §5.1, and nothing else that the provider
// may have said.
func (s *Server) writeTokens(w http.ResponseWriter, t tokens) {
	answer := struct {
		AccessToken  string `json:"access_token"`
		TokenType    string `json:"token_type"`
		ExpiresIn    int64  `json:"expires_in,omitempty"`
		RefreshToken string `json:"refresh_token,omitempty"`
		Scope        string `json:"scope,omitempty"`
	}{AccessToken: t.access.Reveal(), TokenType: "Bearer", RefreshToken: t.refresh, Scope: t.scope}
	if !t.expires.IsZero() {
		answer.ExpiresIn = max(1, int64(t.expires.Sub(s.now()).Seconds()))
	}
	web.JSON(w, http.StatusOK, answer)
}

func (s *Server) postToken(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(r)
	if err != nil {
		return err
	}
	grant := form.Get("grant_type")
	serve, ok := map[string]func(*http.Request, client, oauth.Parameters) (tokens, error){
		oauth.AuthorizationCode: s.redeem,
		oauth.RefreshToken:      s.refresh,
		oauth.ClientCredentials: s.forItself,
	}[grant]
	switch {
	case grant == "":
		return oauth.Refuse(oauth.InvalidRequest, "grant_type is missing; send authorization_code, refresh_token or client_credentials")
	case !ok:
		return oauth.Refuse(oauth.UnsupportedGrantType, "grant_type must be authorization_code, refresh_token or client_credentials")
	}
	apigw.Log(r.Context(), slog.String("grant_type", grant))
	c, err := s.authenticate(r, form)
	if err != nil {
		return err
	}
	if !c.may(grant) {
		return oauth.Refuse(oauth.UnauthorizedClient, "the application is not registered for this grant_type; change its grant_types")
	}
	t, err := serve(r, c, form)
	if err != nil {
		return err
	}
	s.writeTokens(w, t)
	return nil
}

// exchange asks the provider for tokens, and refuses more than was asked for.
func (s *Server) exchange(ctx context.Context, c client, ask provider.TokenRequest, wanted access) (provider.Tokens, error) {
	ask.Client, ask.Resources = c.auth(), wanted.resources
	got, err := c.upstream.Token(ctx, ask)
	if err != nil {
		return provider.Tokens{}, err
	}
	if !got.ScopeTold {
		got.Scope = wanted.scope()
	}
	var refusal error
	switch {
	case s.exceeds(wanted.scopes, got.Scope):
		refusal = &oauth.Error{
			Code: oauth.InvalidScope, Description: "the provider gave the application more than it may have, which was taken back; an administrator finds the reason in the log",
			Cause: errors.New("broker: the provider granted scopes that were not asked for; take them from the client's default scopes there"),
		}
	case len(wanted.scopes) > 0 && common(wanted.scopes, got.Scope) == "":
		refusal = &oauth.Error{
			Code: oauth.InvalidScope, Description: "the provider gave none of the scopes; an administrator finds the reason in the log",
			Cause: errors.New("broker: the provider granted none of the scopes that were asked for; let the client and the person have them there"),
		}
	default:
		return got, nil
	}
	s.revokeAt(ctx, c, kept{Refresh: got.RefreshToken.Reveal(), Access: got.AccessToken.Reveal()})
	return provider.Tokens{}, refusal
}

// answer is what the client is told of tokens of the provider.
func (s *Server) answer(got provider.Tokens, wanted access) tokens {
	t := tokens{access: got.AccessToken, scope: common(wanted.scopes, got.Scope)}
	if got.ExpiresIn > 0 {
		t.expires = s.now().Add(got.ExpiresIn)
	}
	return t
}

// redeem exchanges an authorization code (RFC 6749 §4.1.3). What is wrong with
// the request is found before the code is spent, but for a wrong verifier, which
// spends it: whoever has a code and not its verifier has stolen it.
func (s *Server) redeem(r *http.Request, c client, form oauth.Parameters) (tokens, error) {
	ctx := r.Context()
	given, wanted, err := s.readCode(ctx, c, form)
	if err != nil {
		return tokens{}, err
	}
	if !oauth.Verifies(given.Challenge, form.Get("code_verifier")) {
		return tokens{}, s.lock(ctx, c, given)
	}
	if wanted, err = s.stillGranted(ctx, c, wanted, s.issuer(r)); err != nil {
		return tokens{}, err
	}
	g, err := s.spend(ctx, c, given)
	if err != nil {
		return tokens{}, err
	}
	got, err := s.exchange(ctx, c, provider.TokenRequest{
		GrantType: oauth.AuthorizationCode, Code: secret.New(given.Upstream), Verifier: secret.New(given.Verifier), RedirectURI: given.Callback,
	}, wanted)
	if err != nil {
		return tokens{}, s.unspent(ctx, g, err)
	}
	return s.keep(ctx, c, g, got, share{wanted, wanted})
}

// errCode is a code that is not one, or not this client's: all look the same.
var errCode = oauth.Refuse(oauth.InvalidGrant, "the code is wrong, expired, used, or another client's; authorize anew")

// readCode opens the code of a request and checks all that spends nothing.
func (s *Server) readCode(ctx context.Context, c client, form oauth.Parameters) (code, access, error) {
	var given code
	switch {
	case form.Get("code") == "":
		return code{}, access{}, oauth.Refuse(oauth.InvalidRequest, "code is missing")
	case form.Get("code_verifier") == "":
		return code{}, access{}, oauth.Refuse(oauth.InvalidRequest, "code_verifier is missing")
	}
	err := s.open(ctx, codePurpose, form.Get("code"), &given)
	switch {
	case errors.Is(err, errUnsealed):
		return code{}, access{}, errCode
	case err != nil:
		return code{}, access{}, err
	case given.Application != c.ID || given.Client != c.id || !s.now().Before(given.Ends):
		return code{}, access{}, errCode
	}
	// OAuth 2.1 has no redirect_uri here; OAuth 2.0 wants the one of the request.
	if uri := form.Get("redirect_uri"); uri != "" && uri != given.Redirect {
		return code{}, access{}, oauth.Refuse(oauth.InvalidGrant, "redirect_uri is another than that of the authorization request")
	}
	wanted, err := narrower(given.access(), "", form.All("resource"))
	return given, wanted, err
}

// spend records that a code is redeemed, which can be done once. A code that
// comes again is in two hands: what it has led to is revoked (RFC 9700 §4.2.4).
func (s *Server) spend(ctx context.Context, c client, given code) (registry.Grant, error) {
	g, err := s.Store.CreateGrant(ctx, registry.Grant{
		ID: given.Grant, Provider: c.Provider, ClientID: c.ClientID,
		Attempt: registry.NewID(), Lease: s.now().Add(exchangeLease), Expires: s.now().Add(spentLife),
	})
	if !errors.Is(err, registry.ErrConflict) {
		return g, fromStore(err)
	}
	g, err = s.Store.Grant(ctx, given.Grant)
	switch {
	case errors.Is(err, registry.ErrNotFound):
		return registry.Grant{}, errCode
	case err != nil:
		return registry.Grant{}, fromStore(err)
	case !g.Revoked && g.Tokens == nil && g.Attempt == "": // the provider did nothing with it
		g.Attempt, g.Lease = registry.NewID(), s.now().Add(exchangeLease)
		g, err = s.Store.UpdateGrant(ctx, g)
		if errors.Is(err, registry.ErrStale) {
			return registry.Grant{}, errCode
		}
		return g, fromStore(err)
	}
	apigw.Log(ctx, slog.String("alarm", "code_reused"))
	if err := s.revokeGrant(ctx, c, g.ID); err != nil {
		return registry.Grant{}, err
	}
	return registry.Grant{}, errCode
}

// unspent gives a code back that the provider did nothing with, so that it can
// be tried again while it lives. It returns the refusal that cause is.
func (s *Server) unspent(ctx context.Context, g registry.Grant, cause error) error {
	refusal := fromProvider(cause)
	e, ok := errors.AsType[*oauth.Error](refusal)
	if ok && e.RetryAfter > 0 && !errors.Is(cause, provider.ErrUncertain) {
		g.Attempt, g.Lease = "", time.Time{}
		if _, err := s.Store.UpdateGrant(ctx, g); err != nil {
			apigw.Log(ctx, slog.String("not_released", err.Error()))
		}
	}
	return refusal
}

// lock spends a code that came with a wrong verifier.
func (s *Server) lock(ctx context.Context, c client, given code) error {
	_, err := s.Store.CreateGrant(ctx, registry.Grant{
		ID: given.Grant, Provider: c.Provider, ClientID: c.ClientID, Revoked: true, Expires: s.now().Add(spentLife),
	})
	if errors.Is(err, registry.ErrConflict) {
		err = s.revokeGrant(ctx, c, given.Grant)
	}
	if err != nil {
		return fromStore(err)
	}
	apigw.Log(ctx, slog.String("alarm", "wrong_verifier"))
	return oauth.Refuse(oauth.InvalidGrant, "code_verifier is not the one of the authorization request; authorize anew")
}
