package broker

import (
	"context"
	"errors"
	"net/http"

	"gatehouse/shared/oauth"
	"gatehouse/shared/provider"
	"gatehouse/shared/registry"
	"gatehouse/shared/secret"
	"gatehouse/shared/token"
)

// This file ends tokens (RFC 7009).

// errNotYours is a token of another client, which stays as it is (§2.1).
var errNotYours = oauth.Refuse(oauth.UnauthorizedClient, "the token was issued to another client, and was not revoked")

func (s *Server) postRevoke(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(r)
	if err != nil {
		return err
	}
	c, err := s.authenticate(r, form)
	if err != nil {
		return err
	}
	raw := form.Get("token")
	if raw == "" {
		return oauth.Refuse(oauth.InvalidRequest, "token is missing")
	}
	// What the hint says does not matter: ours tell themselves apart (§2.1).
	var t refreshToken
	switch err = s.open(r.Context(), refreshPurpose, raw, &t); {
	case err == nil:
		err = s.endGrant(r.Context(), c, t)
	case errors.Is(err, errUnsealed):
		err = endAccess(r.Context(), c, raw)
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// endGrant revokes a grant by any refresh token of it, and the access token that
// came with the last one (§2.1). A provider that does not do its part is an
// error: the client asks again, which is fine.
func (s *Server) endGrant(ctx context.Context, c client, t refreshToken) error {
	g, err := s.Store.Grant(ctx, t.Grant)
	if err == nil && (g.Provider != c.Provider || g.ClientID != c.ClientID) {
		return errNotYours
	}
	if err == nil {
		g, err = s.Store.RevokeGrant(ctx, t.Grant)
	}
	if errors.Is(err, registry.ErrNotFound) {
		return nil // §2.2: it is no good any more, as wanted
	}
	if err != nil {
		return fromStore(err)
	}
	k, err := s.readGrant(ctx, g)
	if err != nil {
		return err
	}
	return revoked(s.tryRevokeAt(ctx, c, k))
}

// endAccess revokes an access token, if it is the client's. Whose it is only the
// provider knows if it cannot be asked; then it decides, too.
func endAccess(ctx context.Context, c client, raw string) error {
	if oauth.CheckToken(raw) != nil {
		return nil //nolint:nilerr // invalid already, which is fine (§2.2)
	}
	facts, active, err := factsOf(ctx, []*provider.Provider{c.upstream}, raw)
	known := c.upstream.Introspects() || token.LooksLikeJWT(raw)
	switch {
	case err != nil:
		return err
	case active && facts.ClientID != c.ClientID:
		return errNotYours
	case !active && known:
		return nil
	}
	return revoked(c.upstream.Revoke(ctx, c.auth(), secret.New(raw), "access_token"))
}

// revoked is what a client is told of what the provider did. It is never told
// that a token is revoked that may not be (§2.2.1).
func revoked(err error) error {
	if irrevocable(err) {
		return &oauth.Error{Code: oauth.UnsupportedTokenType, Description: "the provider cannot revoke such tokens; they end by themselves", Cause: err}
	}
	if err != nil {
		return later(retry, "the provider did not say that the token is revoked; try again", err)
	}
	return nil
}

// irrevocable reports whether the provider does not revoke this kind of token at
// all.
func irrevocable(err error) bool {
	refused, ok := errors.AsType[*provider.GrantError](err)
	return errors.Is(err, provider.ErrUnsupported) || ok && refused.Code == oauth.UnsupportedTokenType
}
