package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"gatehouse/shared/apigw"
	"gatehouse/shared/oauth"
	"gatehouse/shared/provider"
	"gatehouse/shared/registry"
	"gatehouse/shared/secret"
)

// This file gives clients tokens for themselves (RFC 6749 §4.4), if wanted the
// same one for a while: a client that asks before every call would otherwise
// spend the provider's rate limit.

// spare is how much of its life a token must have left to be given again.
const spare = 30 * time.Second

func (s *Server) forItself(r *http.Request, c client, form oauth.Parameters) (tokens, error) {
	ctx := r.Context()
	wanted, err := s.access(ctx, c, form.Get("scope"), form.All("resource"), s.issuer(r))
	if err != nil {
		return tokens{}, err
	}
	ask := func() (tokens, error) {
		got, err := s.exchange(ctx, c, provider.TokenRequest{GrantType: oauth.ClientCredentials, Scope: wanted.scope()}, wanted)
		if err != nil {
			return tokens{}, fromProvider(err)
		}
		return s.answer(got, wanted), nil
	}
	if s.CacheFor == 0 {
		return ask()
	}
	return s.cached(ctx, c, wanted, ask)
}

// cachedToken is a token as it is kept, sealed.
type cachedToken struct {
	Access  string    `json:"a"`
	Expires time.Time `json:"x"` // of the token
	Until   time.Time `json:"u"` // it is given again
	Scope   string    `json:"s"`
}

// cached returns the token that the client got before for the same, or else a
// new one. Who gets it was authenticated before, and its contract looked at.
func (s *Server) cached(ctx context.Context, c client, wanted access, ask func() (tokens, error)) (tokens, error) {
	// The secret is part of the key: a new one begins anew.
	key, err := s.Box.Mark(ctx, answerPurpose, strings.Join(append([]string{c.Provider, c.ClientID, c.secret.Reveal(), wanted.scope()}, wanted.resources...), "\n"))
	if err != nil {
		return tokens{}, fromKeys(err)
	}
	if t, ok := s.tokens.get(key, s.now()); ok {
		return t.tokens(), nil
	}
	t, ok, err := s.fetchCached(ctx, key)
	if err != nil {
		// The cache is there to spare requests; without it they are made.
		apigw.Log(ctx, slog.String("not_cached", err.Error()))
	}
	if ok {
		s.tokens.put(key, t)
		return t.tokens(), nil
	}
	fresh, err := ask()
	if err != nil {
		return tokens{}, err
	}
	if until := s.cacheUntil(fresh.expires); until.After(s.now()) {
		t := cachedToken{Access: fresh.access.Reveal(), Expires: fresh.expires, Until: until, Scope: fresh.scope}
		s.tokens.put(key, t)
		if err := s.storeCached(ctx, key, t); err != nil {
			apigw.Log(ctx, slog.String("not_cached", err.Error()))
		}
	}
	return fresh, nil
}

// cacheUntil is how long a token may be given again: never one whose end is not
// known.
func (s *Server) cacheUntil(expires time.Time) time.Time {
	if expires.IsZero() {
		return time.Time{}
	}
	until := s.now().Add(s.CacheFor)
	if end := expires.Add(-spare); end.Before(until) {
		until = end
	}
	return until
}

func (t cachedToken) tokens() tokens {
	return tokens{access: secret.New(t.Access), expires: t.Expires, scope: t.Scope}
}

func (s *Server) fetchCached(ctx context.Context, key string) (cachedToken, bool, error) {
	found, err := s.Store.Answer(ctx, key)
	if errors.Is(err, registry.ErrNotFound) {
		return cachedToken{}, false, nil
	}
	if err != nil {
		return cachedToken{}, false, err
	}
	text, err := s.Box.Open(ctx, answerPurpose, key, found.Sealed)
	if err != nil {
		return cachedToken{}, false, err
	}
	var t cachedToken
	if err := json.Unmarshal(text, &t); err != nil {
		return cachedToken{}, false, fmt.Errorf("broker: cached token: %w", err)
	}
	return t, s.now().Before(t.Until), nil
}

func (s *Server) storeCached(ctx context.Context, key string, t cachedToken) error {
	text, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("broker: cached token: %w", err)
	}
	sealed, err := s.Box.Seal(ctx, answerPurpose, key, text)
	if err != nil {
		return err
	}
	return s.Store.SaveAnswer(ctx, registry.Answer{Key: key, Sealed: sealed, Expires: t.Until})
}

// tokenCache keeps tokens in memory, by the mark of all that they depend on.
type tokenCache struct {
	once sync.Once
	kept *lru.Cache[string, cachedToken]
}

const tokensKept = 1000

func (c *tokenCache) cache() *lru.Cache[string, cachedToken] {
	c.once.Do(func() { c.kept, _ = lru.New[string, cachedToken](tokensKept) }) // fails for sizes below 1 only
	return c.kept
}

func (c *tokenCache) get(key string, now time.Time) (cachedToken, bool) {
	t, ok := c.cache().Get(key)
	return t, ok && now.Before(t.Until)
}

func (c *tokenCache) put(key string, t cachedToken) { c.cache().Add(key, t) }
