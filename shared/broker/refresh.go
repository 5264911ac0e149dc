package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"gatehouse/shared/apigw"
	"gatehouse/shared/oauth"
	"gatehouse/shared/provider"
	"gatehouse/shared/registry"
	"gatehouse/shared/secret"
)

// This file keeps what a person has granted, and exchanges refresh tokens (RFC
// 6749 §6). Each exchange makes a new one and ends the one before, for every
// kind of client, whatever the provider does with its own (RFC 9700 §4.14.2).

// Times of grants.
const (
	exchangeLease = 15 * time.Second // more than the provider may take
	waitFor       = 5 * time.Second  // for another who exchanges the same token
	waitStep      = 50 * time.Millisecond
	grace         = 30 * time.Second    // in which a client that lost the answer gets it again
	spentLife     = 10 * time.Minute    // of a grant without a refresh token: more than a code lives
	refreshLife   = 90 * 24 * time.Hour // of one that is not used
)

// kept is what is kept of a grant, sealed and bound to its id.
type kept struct {
	Refresh   string    `json:"r,omitempty"` // the provider's
	Access    string    `json:"a,omitempty"`
	Expires   time.Time `json:"x,omitzero"` // of the access token
	Scope     string    `json:"s"`          // that the client was told
	Scopes    []string  `json:"p"`          // granted
	Resources []string  `json:"t,omitempty"`
}

// refreshToken is what a refresh token says, sealed.
type refreshToken struct {
	Grant      string `json:"g"`
	Generation int    `json:"n"`
}

// share is what a client wants of what it was granted.
type share struct{ granted, wanted access }

// keep records what the provider gave for a grant, and returns what the client
// gets. If somebody has revoked the grant in the meantime, it gets nothing.
func (s *Server) keep(ctx context.Context, c client, g registry.Grant, got provider.Tokens, of share) (tokens, error) {
	t := s.answer(got, of.wanted)
	k := kept{
		Refresh: got.RefreshToken.Reveal(), Access: got.AccessToken.Reveal(), Expires: t.expires, Scope: t.scope,
		Scopes: of.granted.scopes, Resources: of.granted.resources,
	}
	life := spentLife
	if k.Refresh != "" && c.may(oauth.RefreshToken) {
		life = refreshLife
	}
	g, err := s.saveGrant(ctx, g, k, life)
	if err == nil && life == refreshLife {
		t.refresh, err = s.seal(ctx, refreshPurpose, refreshToken{g.ID, g.Generation})
	}
	if err != nil {
		s.revokeAt(ctx, c, k)
		return tokens{}, err
	}
	return t, nil
}

// saveGrant ends the exchange that g is in.
func (s *Server) saveGrant(ctx context.Context, g registry.Grant, k kept, life time.Duration) (registry.Grant, error) {
	text, err := json.Marshal(k)
	if err != nil {
		return g, fmt.Errorf("broker: grant: %w", err)
	}
	if g.Tokens, err = s.Box.Seal(ctx, grantPurpose, g.ID, text); err != nil {
		return g, fromKeys(err)
	}
	g.Attempt, g.Lease, g.Rotated = "", time.Time{}, s.now()
	g.Expires = g.Rotated.Add(life)
	saved, err := s.Store.UpdateGrant(ctx, g)
	if errors.Is(err, registry.ErrStale) || errors.Is(err, registry.ErrNotFound) || errors.Is(err, registry.ErrTransition) {
		return g, errCode // revoked meanwhile
	}
	return saved, fromStore(err)
}

// readGrant opens what is kept of a grant.
func (s *Server) readGrant(ctx context.Context, g registry.Grant) (kept, error) {
	var k kept
	if g.Tokens == nil {
		return k, nil
	}
	text, err := s.Box.Open(ctx, grantPurpose, g.ID, g.Tokens)
	if err != nil {
		return k, fromKeys(err)
	}
	if err := json.Unmarshal(text, &k); err != nil {
		return k, fmt.Errorf("broker: grant: %w", err)
	}
	return k, nil
}

// errRefresh is a refresh token that is not one, or not this client's, or ended.
var errRefresh = oauth.Refuse(oauth.InvalidGrant, "the refresh token is wrong, used, revoked, expired, or another client's; sign in again")

// refresh exchanges a refresh token. Of several that come with the same token at
// once one goes to the provider, and the others get what it gets.
func (s *Server) refresh(r *http.Request, c client, form oauth.Parameters) (tokens, error) {
	ctx := r.Context()
	t, err := s.readRefresh(ctx, form.Get("refresh_token"))
	if err != nil {
		return tokens{}, err
	}
	for until := time.Now().Add(waitFor); ; {
		g, err := s.grantOf(ctx, c, t)
		if err != nil {
			return tokens{}, err
		}
		switch now := s.now(); {
		case t.Generation > g.Generation:
			return tokens{}, errRefresh
		case t.Generation == g.Generation-1 && now.Before(g.Rotated.Add(grace)):
			return s.again(ctx, g)
		case t.Generation < g.Generation:
			return tokens{}, s.reused(ctx, c, g)
		case !now.Before(g.Lease):
			got, err := s.rotate(r, c, g, form)
			if errors.Is(err, registry.ErrStale) {
				continue // another was faster: see what it gets
			}
			return got, err
		case time.Now().After(until):
			return tokens{}, &oauth.Error{
				Code: oauth.TemporarilyUnavailable, Status: http.StatusTooManyRequests, RetryAfter: time.Second,
				Description: "the refresh token is being exchanged by another request; try again",
			}
		}
		if err := wait(ctx, waitStep); err != nil {
			return tokens{}, later(time.Second, "the refresh token is being exchanged by another request; try again", err)
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func (s *Server) readRefresh(ctx context.Context, sealed string) (refreshToken, error) {
	var t refreshToken
	if sealed == "" {
		return t, oauth.Refuse(oauth.InvalidRequest, "refresh_token is missing")
	}
	err := s.open(ctx, refreshPurpose, sealed, &t)
	if errors.Is(err, errUnsealed) {
		return t, errRefresh
	}
	return t, err
}

// grantOf returns the grant of a refresh token, if it is the client's and lives.
func (s *Server) grantOf(ctx context.Context, c client, t refreshToken) (registry.Grant, error) {
	g, err := s.Store.Grant(ctx, t.Grant)
	switch {
	case errors.Is(err, registry.ErrNotFound):
		return g, errRefresh
	case err != nil:
		return g, fromStore(err)
	case g.Provider != c.Provider || g.ClientID != c.ClientID || g.Revoked:
		return g, errRefresh
	}
	return g, nil
}

// again answers a client that did not get the answer, or asked twice at once.
func (s *Server) again(ctx context.Context, g registry.Grant) (tokens, error) {
	k, err := s.readGrant(ctx, g)
	if err != nil {
		return tokens{}, err
	}
	sealed, err := s.seal(ctx, refreshPurpose, refreshToken{g.ID, g.Generation})
	return tokens{access: secret.New(k.Access), expires: k.Expires, scope: k.Scope, refresh: sealed}, err
}

// reused revokes a grant of which two have refresh tokens, one of them a thief
// (RFC 9700 §4.14.2).
func (s *Server) reused(ctx context.Context, c client, g registry.Grant) error {
	apigw.Log(ctx, slog.String("alarm", "refresh_token_reused"))
	if err := s.revokeGrant(ctx, c, g.ID); err != nil {
		return err
	}
	return errRefresh
}

// rotate exchanges the current refresh token of a grant.
func (s *Server) rotate(r *http.Request, c client, g registry.Grant, form oauth.Parameters) (tokens, error) {
	ctx := r.Context()
	k, err := s.readGrant(ctx, g)
	if err != nil {
		return tokens{}, err
	}
	granted := access{scopes: k.Scopes, resources: k.Resources}
	wanted, err := narrower(granted, form.Get("scope"), form.All("resource"))
	if err != nil {
		return tokens{}, err
	}
	if wanted, err = s.stillGranted(ctx, c, wanted, s.issuer(r)); err != nil {
		return tokens{}, err
	}
	g.Attempt, g.Lease = registry.NewID(), s.now().Add(exchangeLease)
	if g, err = s.Store.UpdateGrant(ctx, g); err != nil {
		return tokens{}, fromStore(err)
	}
	ask := provider.TokenRequest{GrantType: oauth.RefreshToken, RefreshToken: secret.New(k.Refresh)}
	if len(wanted.scopes) < len(granted.scopes) {
		ask.Scope = wanted.scope()
	}
	got, err := s.exchange(ctx, c, ask, wanted)
	if err != nil {
		return tokens{}, s.notRotated(ctx, g, err)
	}
	if got.RefreshToken.Reveal() == "" {
		got.RefreshToken = secret.New(k.Refresh) // RFC 6749 §6: it goes on
	}
	g.Generation++
	return s.keep(ctx, c, g, got, share{granted, wanted})
}

// notRotated ends an exchange that led to nothing. What the provider has ended
// is ended here, too; all else can be tried again at once.
func (s *Server) notRotated(ctx context.Context, g registry.Grant, cause error) error {
	if refused, ok := errors.AsType[*provider.GrantError](cause); ok && refused.Code == oauth.InvalidGrant {
		if _, err := s.Store.RevokeGrant(ctx, g.ID); err != nil && !errors.Is(err, registry.ErrNotFound) {
			return fromStore(err)
		}
		return &oauth.Error{Code: oauth.InvalidGrant, Description: errRefresh.Description, Cause: cause}
	}
	g.Attempt, g.Lease = "", time.Time{}
	if _, err := s.Store.UpdateGrant(ctx, g); err != nil {
		apigw.Log(ctx, slog.String("not_released", err.Error()))
	}
	return fromProvider(cause)
}

// revokeGrant ends a grant, and what it has led to at the provider as far as
// that goes: that it is ended here counts.
func (s *Server) revokeGrant(ctx context.Context, c client, id string) error {
	g, err := s.Store.RevokeGrant(ctx, id)
	if errors.Is(err, registry.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fromStore(err)
	}
	k, err := s.readGrant(ctx, g)
	if err != nil {
		return err
	}
	s.revokeAt(ctx, c, k)
	return nil
}

// revokeAt revokes tokens at the provider. What goes wrong is logged.
func (s *Server) revokeAt(ctx context.Context, c client, k kept) {
	if err := s.tryRevokeAt(ctx, c, k); err != nil {
		apigw.Log(ctx, slog.String("not_revoked", err.Error()))
	}
}

// tryRevokeAt revokes what the provider can revoke. A refresh token of its own
// never left here, so that one ends in any case.
func (s *Server) tryRevokeAt(ctx context.Context, c client, k kept) error {
	var errs []error
	try := func(raw, hint string) {
		if err := c.upstream.Revoke(ctx, c.auth(), secret.New(raw), hint); !irrevocable(err) {
			errs = append(errs, err)
		}
	}
	if k.Refresh != "" {
		try(k.Refresh, "refresh_token")
	}
	if k.Access != "" && (k.Expires.IsZero() || s.now().Before(k.Expires)) {
		try(k.Access, "access_token")
	}
	return errors.Join(errs...)
}

// common returns the asked scopes that were granted, as a parameter has them.
func common(asked []string, granted string) string {
	got := oauth.SplitScope(granted)
	return strings.Join(slices.DeleteFunc(slices.Clone(asked), func(one string) bool { return !slices.Contains(got, one) }), " ")
}
