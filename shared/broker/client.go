package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"gatehouse/shared/apigw"
	"gatehouse/shared/oauth"
	"gatehouse/shared/provider"
	"gatehouse/shared/registry"
	"gatehouse/shared/secret"
	"gatehouse/shared/web"
)

// This file finds out who asks at the endpoints that clients call themselves.

// client is an application that has shown that it is the one, or that is public
// and cannot.
type client struct {
	registry.Application

	id       string // what it calls itself: its client_id or the URL of its metadata
	secret   secret.Value
	upstream *provider.Provider
}

// auth is how the client authenticates at the provider: as here.
func (c client) auth() provider.ClientAuth {
	return provider.ClientAuth{ClientID: c.ClientID, Secret: c.secret, Method: c.AuthMethod}
}

// may reports whether the client was registered for a grant type.
func (c client) may(grant string) bool { return slices.Contains(c.GrantTypes, grant) }

// errNoClient is a client_id that means no application that is in use.
var errNoClient = errors.New("broker: no such application")

// application finds the application that calls itself id.
func (s *Server) application(ctx context.Context, id string) (client, error) {
	if strings.HasPrefix(id, "https://") { // which no provider's client_id begins with
		if s.Documents == nil {
			return client{}, errNoClient
		}
		a, err := s.Store.ApplicationByAlias(ctx, id)
		return s.usable(id, a, err)
	}
	found := client{}
	for _, p := range s.Providers {
		a, err := s.Store.ApplicationByClient(ctx, registry.Client{Provider: p.Name, ClientID: id})
		one, err := s.usable(id, a, err)
		switch {
		case errors.Is(err, errNoClient):
		case err != nil:
			return client{}, err
		case found.id != "":
			return client{}, fmt.Errorf("%w that is the only one with this client_id: %s and %s have one", errNoClient, found.Provider, p.Name)
		default:
			found = one
		}
	}
	if found.id == "" {
		return client{}, errNoClient
	}
	return found, nil
}

// usable returns an application as a client, if it can be one.
func (s *Server) usable(id string, a registry.Application, err error) (client, error) {
	if errors.Is(err, registry.ErrNotFound) {
		return client{}, errNoClient
	}
	if err != nil {
		return client{}, fromStore(err)
	}
	p, ok := s.provider(a.Provider)
	if !ok || a.State != registry.Active {
		return client{}, errNoClient
	}
	return client{Application: a, id: id, upstream: p}, nil
}

// credentials are what a request shows of its client.
type credentials struct {
	id     string
	secret secret.Value
	method string // how
}

// readCredentials finds the one way in which a request names its client (RFC
// 6749 §2.3).
func readCredentials(r *http.Request, form oauth.Parameters) (credentials, error) {
	headers := r.Header.Values("Authorization")
	switch {
	case form.Get("client_assertion") != "" || form.Get("client_assertion_type") != "":
		return credentials{}, refuseClient("client assertions are not accepted here, for only the provider could check them; ask the provider itself")
	case len(headers) > 1:
		return credentials{}, oauth.Refuse(oauth.InvalidRequest, "there are several Authorization headers; send one")
	case len(headers) == 1:
		return basicCredentials(headers[0], form)
	case form.Get("client_id") == "":
		return credentials{}, refuseClient("the client is not named; send its client_id, and its secret if it has one")
	case form.Get("client_secret") != "":
		return credentials{form.Get("client_id"), secret.New(form.Get("client_secret")), oauth.SecretPost}, nil
	default:
		return credentials{id: form.Get("client_id"), method: oauth.PublicClient}, nil
	}
}

func basicCredentials(header string, form oauth.Parameters) (credentials, error) {
	id, text, err := oauth.ParseBasic(header)
	switch {
	case errors.Is(err, oauth.ErrNotBasic):
		return credentials{}, refuseClient("the Authorization header is not of the Basic scheme; send the client's credentials in it, or leave it out")
	case err != nil:
		return credentials{}, err
	case form.Get("client_secret") != "", form.Get("client_id") != "" && form.Get("client_id") != id:
		return credentials{}, oauth.Refuse(oauth.InvalidRequest, "the client is named in more than one way; use the one it is registered with (token_endpoint_auth_method)")
	}
	return credentials{id, secret.New(text), oauth.SecretBasic}, nil
}

// authenticate returns the client of a request, which must show what it is
// registered with, and nothing else (OAuth 2.1 §2.4).
func (s *Server) authenticate(r *http.Request, form oauth.Parameters) (client, error) {
	shown, err := readCredentials(r, form)
	if err != nil {
		return client{}, err
	}
	c, err := s.application(r.Context(), shown.id)
	if errors.Is(err, errNoClient) {
		return client{}, &oauth.Error{
			Code: oauth.InvalidClient, Status: http.StatusUnauthorized, Cause: err,
			Description: "there is no such client, or its credentials are wrong; check client_id and secret",
		}
	}
	if err != nil {
		return client{}, err
	}
	apigw.Log(r.Context(), slog.String("application", c.ID), slog.String("provider", c.Provider), slog.String("client_id", c.ClientID))
	if c.AuthMethod != shown.method {
		return client{}, refuseClient("the client authenticates in another way than it is registered with; see its token_endpoint_auth_method")
	}
	c.secret = shown.secret
	if shown.method != oauth.PublicClient {
		if err := s.checkSecret(r, c); err != nil {
			return client{}, err
		}
	}
	s.touch(r.Context(), c)
	return c, nil
}

func refuseClient(description string) error {
	return &oauth.Error{Code: oauth.InvalidClient, Status: http.StatusUnauthorized, Description: description}
}

// checkSecret refuses a secret that is not the client's, and, after too many of
// them, every secret from where they came (OAuth 2.1 §7.7).
func (s *Server) checkSecret(r *http.Request, c client) error {
	guess := "client " + c.ID + " " + web.Address(r)
	if until, blocked := s.guesses.blocked(guess, s.now()); blocked {
		return tooManyGuesses(until.Sub(s.now()), nil)
	}
	known, err := s.recognises(r.Context(), c)
	if err != nil || known {
		return err
	}
	wrong := refuseClient("there is no such client, or its credentials are wrong; check client_id and secret")
	err = s.Store.Spend(r.Context(), registry.Quota{Name: guess, Limit: guessLimit, Window: guessWindow})
	switch {
	case errors.Is(err, registry.ErrSpent), errors.Is(err, registry.ErrInProgress):
		until := s.now().Truncate(guessWindow).Add(guessWindow)
		s.guesses.block(guess, until)
		return tooManyGuesses(until.Sub(s.now()), err)
	case err != nil:
		return fromStore(err)
	}
	return wrong
}

// recognises reports whether the client's secret is the current one, or the one
// before while that lives.
func (s *Server) recognises(ctx context.Context, c client) (bool, error) {
	for _, kept := range []struct {
		mark    string
		expires time.Time
	}{{c.SecretHMAC, c.SecretExpires}, {c.PreviousSecretHMAC, c.PreviousSecretExpires}} {
		if !kept.expires.IsZero() && !s.now().Before(kept.expires) {
			continue
		}
		known, err := s.Box.Recognises(ctx, kept.mark, registry.SecretMark, c.secret)
		if err != nil || known {
			return known, fromKeys(err)
		}
	}
	return false, nil
}

// touch notes that a client is in use. That it could not be noted is no reason
// to refuse.
func (s *Server) touch(ctx context.Context, c client) {
	if _, err := s.Store.Touch(ctx, c.Application); err != nil {
		apigw.Log(ctx, slog.String("not_touched", err.Error()))
	}
}

// How many wrong secrets may come for one client from one address. Secrets are
// too long to be guessed; this keeps those who try from costing much.
const (
	guessLimit  = 30
	guessWindow = 5 * time.Minute
	guessesKept = 10_000
)

// guesses remembers from where no secrets are looked at for a while. It is as
// good as each instance's memory: the count itself is in the registry.
type guesses struct {
	once  sync.Once
	until *lru.Cache[string, time.Time]
}

func (g *guesses) cache() *lru.Cache[string, time.Time] {
	g.once.Do(func() { g.until, _ = lru.New[string, time.Time](guessesKept) }) // fails for sizes below 1 only
	return g.until
}

func (g *guesses) block(guess string, until time.Time) { g.cache().Add(guess, until) }

func (g *guesses) blocked(guess string, now time.Time) (until time.Time, blocked bool) {
	until, ok := g.cache().Get(guess)
	return until, ok && now.Before(until)
}

func tooManyGuesses(after time.Duration, cause error) error {
	return &oauth.Error{
		Code: oauth.TemporarilyUnavailable, Status: http.StatusTooManyRequests, RetryAfter: after, Cause: cause,
		Description: "too many wrong secrets came for this client from your address; try again later with the right one",
	}
}
