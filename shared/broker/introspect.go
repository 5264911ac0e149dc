package broker

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"gatehouse/shared/config"
	"gatehouse/shared/oauth"
	"gatehouse/shared/provider"
	"gatehouse/shared/registry"
	"gatehouse/shared/token"
	"gatehouse/shared/web"
)

// This file says what a token is worth (RFC 7662): to the client that has it,
// and to backends that the configuration names.

// activity is the answer of RFC 7662 §2.2. Of a token that is not active, or
// none of the caller's business, it says nothing else.
type activity struct {
	Active    bool     `json:"active"`
	Scope     string   `json:"scope,omitempty"`
	ClientID  string   `json:"client_id,omitempty"`
	TokenType string   `json:"token_type,omitempty"`
	Expires   int64    `json:"exp,omitempty"`
	Subject   string   `json:"sub,omitempty"`
	Audience  []string `json:"aud,omitempty"`
	Issuer    string   `json:"iss,omitempty"`
	ID        string   `json:"jti,omitempty"`
}

func (s *Server) postIntrospect(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(r)
	if err != nil {
		return err
	}
	c, err := s.authenticate(r, form)
	switch {
	case err != nil:
		return err
	case c.AuthMethod == oauth.PublicClient:
		// Whoever found a token could ask what it opens (§2.1).
		return refuseClient("public clients cannot ask about tokens; use a client that has a secret")
	case form.Get("token") == "":
		return oauth.Refuse(oauth.InvalidRequest, "token is missing")
	}
	is, err := s.activity(r.Context(), c, form.Get("token"))
	if err != nil {
		return err
	}
	web.JSON(w, http.StatusOK, is)
	return nil
}

func (s *Server) activity(ctx context.Context, c client, raw string) (activity, error) {
	if is, ok, err := s.refreshActivity(ctx, c, raw); ok || err != nil {
		return is, err
	}
	facts, active, err := factsOf(ctx, s.askable(c), raw)
	if err != nil || !active {
		return activity{}, err
	}
	if may, err := s.mayKnow(ctx, c, facts); err != nil || !may {
		return activity{}, err
	}
	is := activity{
		Active: true, Scope: access{scopes: facts.Scopes}.scope(), ClientID: facts.ClientID, TokenType: "Bearer",
		Subject: facts.Subject, Audience: facts.Audience, Issuer: facts.Issuer, ID: facts.ID,
	}
	if !facts.Expires.IsZero() {
		is.Expires = facts.Expires.Unix()
	}
	return is, nil
}

// refreshActivity is about one of our refresh tokens.
func (s *Server) refreshActivity(ctx context.Context, c client, raw string) (activity, bool, error) {
	var t refreshToken
	err := s.open(ctx, refreshPurpose, raw, &t)
	if errors.Is(err, errUnsealed) {
		return activity{}, false, nil
	}
	if err != nil {
		return activity{}, false, err
	}
	g, err := s.grantOf(ctx, c, t)
	switch {
	case errors.Is(err, errRefresh), err == nil && t.Generation != g.Generation:
		return activity{}, true, nil
	case err != nil:
		return activity{}, false, err
	}
	k, err := s.readGrant(ctx, g)
	return activity{Active: true, ClientID: c.id, Scope: access{scopes: k.Scopes}.scope(), Expires: g.Expires.Unix()}, true, err
}

// askable are the providers whose tokens the client may know about: its own, and
// those of the APIs that it serves.
func (s *Server) askable(c client) []*provider.Provider {
	names := []string{c.Provider}
	for _, a := range s.APIs {
		if slices.Contains(a.IntrospectedBy, c.ClientID) {
			names = append(names, a.Providers...)
		}
	}
	return slices.DeleteFunc(slices.Clone(s.Providers), func(p *provider.Provider) bool { return !slices.Contains(names, p.Name) })
}

// factsOf returns what an access token of one of the providers says, and whether
// it is active.
func factsOf(ctx context.Context, providers []*provider.Provider, raw string) (*token.Facts, bool, error) {
	unverified, notJWT := token.Parse(raw)
	if oauth.CheckToken(raw) != nil || token.LooksLikeJWT(raw) && notJWT != nil {
		return nil, false, nil //nolint:nilerr // what is no token is not active, which is an answer (§2.2)
	}
	if notJWT != nil {
		one := provider.OneToAsk(providers)
		if one == nil {
			return nil, false, nil
		}
		providers = []*provider.Provider{one}
	}
	for _, p := range providers {
		var facts *token.Facts
		var err error
		switch {
		case notJWT == nil && unverified.Issuer() != p.Issuer.Issuer:
			continue
		case notJWT == nil && p.Tokens != config.Introspect:
			facts, err = p.Issuer.Verify(ctx, unverified)
		case p.Introspects():
			facts, err = p.Introspect(ctx, raw)
		default:
			continue
		}
		switch {
		case err == nil:
			return facts, true, nil
		case errors.Is(err, provider.ErrUnavailable), errors.Is(err, token.ErrKeysUnavailable):
			return nil, false, later(retry, "the provider cannot be asked at the moment; try again", err)
		}
	}
	return nil, false, nil
}

// mayKnow reports whether a token is the client's own, or one for an API that
// the client serves: of a client that may call the API, and meant for it.
func (s *Server) mayKnow(ctx context.Context, c client, f *token.Facts) (bool, error) {
	if f.Provider == c.Provider && f.ClientID == c.ClientID {
		return true, nil
	}
	for _, a := range s.APIs {
		if !slices.Contains(a.IntrospectedBy, c.ClientID) || !slices.Contains(a.Providers, f.Provider) || s.elsewhere(a, f) {
			continue
		}
		if !a.Contract {
			return true, nil
		}
		found, err := s.Store.Contract(ctx, registry.ContractKey{Provider: f.Provider, ClientID: f.ClientID, API: a.Name})
		switch {
		case err == nil && found.Status == registry.Approved:
			return true, nil
		case err != nil && !errors.Is(err, registry.ErrNotFound):
			return false, fromStore(err)
		}
	}
	return false, nil
}

// elsewhere reports whether a token says that it is for other APIs.
func (s *Server) elsewhere(a API, f *token.Facts) bool {
	named := func(one API) bool {
		return one.Resource != "" && slices.ContainsFunc(f.Audience, func(aud string) bool { return oauth.SameResource(aud, one.Resource) })
	}
	return !named(a) && slices.ContainsFunc(s.APIs, named)
}
