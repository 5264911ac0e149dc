package provider

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"gatehouse/shared/fetch"
	"gatehouse/shared/secret"
	"gatehouse/shared/token"
)

// This file asks a provider about a token: RFC 7662.

const (
	maxAnswer      = 64 << 10 // bytes of an introspection answer
	refusedFor     = 10 * time.Second
	refusedEntries = 4096
)

// introspection is one provider's introspection endpoint and our client there.
type introspection struct {
	endpoint func(context.Context) (string, error)
	secret   *secret.Source[secret.Credentials]
	issuer   *token.Issuer
	client   *http.Client
	timeout  time.Duration
	now      func() time.Time
	breaker  breaker
	refused  *refusals
}

// facts asks about raw, unless it was refused a moment ago or the provider has
// stopped answering.
func (i *introspection) facts(ctx context.Context, raw string) (*token.Facts, error) {
	digest := token.DigestOf(raw)
	if err := i.refused.get(digest); err != nil {
		return nil, err
	}
	if err := i.breaker.allow(); err != nil {
		return nil, err
	}
	asking, cancel := context.WithTimeout(ctx, i.timeout)
	defer cancel()
	answer, err := i.ask(asking, raw)
	if err != nil && ctx.Err() != nil {
		i.breaker.forget() // our caller's time was up: this says nothing of the provider
	} else {
		i.breaker.note(err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: introspection at %s: %w", ErrUnavailable, i.issuer.Provider, err)
	}
	facts, err := i.issuer.ParseIntrospection(answer)
	switch {
	case errors.Is(err, token.ErrMalformed), errors.Is(err, token.ErrClaims):
		return nil, fmt.Errorf("%w: %s: %w", ErrUnavailable, i.issuer.Provider, err)
	case err != nil:
		i.refused.put(digest, err)
	}
	return facts, err
}

// ask sends the token and, when the provider refuses our own credentials, once
// more with fresh ones: they may just have been rotated.
func (i *introspection) ask(ctx context.Context, raw string) ([]byte, error) {
	credentials, err := i.secret.Get(ctx)
	if err != nil {
		return nil, err
	}
	answer, err := i.post(ctx, raw, credentials)
	if !errors.Is(err, errCredentials) {
		return answer, err
	}
	renewed, refreshErr := i.secret.Refresh(ctx)
	if refreshErr != nil || renewed.Equal(credentials) {
		return nil, err
	}
	return i.post(ctx, raw, renewed)
}

// errCredentials is what a 401 of the endpoint means (RFC 7662 §2.3).
var errCredentials = errors.New("the provider refuses the introspection client; check client_id and client_secret in the provider's secret")

func (i *introspection) post(ctx context.Context, raw string, c secret.Credentials) ([]byte, error) {
	endpoint, err := i.endpoint(ctx)
	if err != nil {
		return nil, err
	}
	if hasPath(endpoint, "/tokeninfo") {
		return i.tokenInfo(ctx, endpoint, raw)
	}
	if c.ClientID == "" {
		return nil, errors.New("the provider's secret has no client_id and client_secret; introspection needs them")
	}
	form := url.Values{"token": {raw}, "token_type_hint": {"access_token"}}
	validates := hasPath(endpoint, "/as/token.oauth2")
	if validates {
		form = url.Values{"token": {raw}, "grant_type": {validateBearer}}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, errors.New("the introspection endpoint is no URL")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	// RFC 6749 §2.3.1: both are form-encoded before they become Basic.
	req.SetBasicAuth(url.QueryEscape(c.ClientID), url.QueryEscape(c.ClientSecret.Reveal()))
	// Asking twice does no harm, so net/http may repeat the request on a
	// connection that died while the process was frozen. It is not sent.
	req.Header["X-Idempotency-Key"] = []string{}
	if validates {
		return i.validate(req)
	}
	body, err := fetch.Do(i.client, req, maxAnswer)
	if status, ok := errors.AsType[*fetch.StatusError](err); ok && status.Status == http.StatusUnauthorized {
		return nil, errCredentials
	}
	return body, err
}

// retryAfter reads Retry-After in seconds (RFC 9110 §10.2.3) or Okta's
// X-Rate-Limit-Reset in seconds since 1970.
func retryAfter(h http.Header, now time.Time) time.Duration {
	if n, err := strconv.Atoi(h.Get("Retry-After")); err == nil && n > 0 {
		return time.Duration(min(n, 3600)) * time.Second
	}
	if n, err := strconv.ParseInt(h.Get("X-Rate-Limit-Reset"), 10, 64); err == nil {
		return max(0, time.Unix(n, 0).Sub(now))
	}
	return 0
}

// refusals remembers for ten seconds which tokens the provider refused. It is
// apart from the cache of good tokens, so that a flood of bad ones cannot push
// those out.
type refusals struct {
	now     func() time.Time
	entries *lru.Cache[token.Digest, refusal]
}

type refusal struct {
	err   error
	until int64 // Unix nanoseconds
}

func newRefusals(now func() time.Time) *refusals {
	entries, err := lru.New[token.Digest, refusal](refusedEntries)
	if err != nil {
		return &refusals{now: now}
	}
	return &refusals{now: now, entries: entries}
}

func (r *refusals) get(d token.Digest) error {
	if r.entries == nil {
		return nil
	}
	if e, ok := r.entries.Get(d); ok && r.now().UnixNano() < e.until {
		return e.err
	}
	return nil
}

func (r *refusals) put(d token.Digest, err error) {
	if r.entries != nil {
		r.entries.Add(d, refusal{err: err, until: r.now().Add(refusedFor).UnixNano()})
	}
}
