package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"gatehouse/shared/secret"
	"gatehouse/shared/strictjson"
)

// This file sends the requests that change something at a provider.

const (
	maxReply    = 256 << 10        // bytes
	longestWait = 10 * time.Second // for a rate limit to pass, within one call
	unknownWait = 30 * time.Second // told to the caller when the provider names no time
)

// sender sends requests to one provider, none of them twice unless that does no
// harm.
type sender struct {
	client  *http.Client
	secret  *secret.Source[secret.Credentials] // nil: registration is open
	timeout time.Duration                      // of one request
	limit   int64                              // of an answer, in bytes
	now     func() time.Time
	wait    func(context.Context, time.Duration) error
}

func newSender(env Environment, timeout time.Duration) *sender {
	client := *env.HTTP
	if t, ok := client.Transport.(*http.Transport); ok {
		// A request that creates something must not meet a connection that died
		// while the process was frozen: its fate would be unknown.
		t = t.Clone()
		t.DisableKeepAlives = true
		client.Transport = t
	}
	return &sender{client: &client, timeout: timeout, limit: maxReply, now: env.Now, wait: wait}
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// call is one request.
type call struct {
	method, url string
	body        any          // sent as JSON, or as a form if it is url.Values; nil: none
	token       secret.Value // a registration access token; zero: the administrator's credentials
	general     bool         // it is about no client in particular
	bare        bool         // without other credentials than header has
	header      http.Header  // more of it
}

// asAdmin reports whether c is sent with the administrator's credentials.
func (c call) asAdmin() bool { return !c.bare && c.token.Reveal() == "" }

// reply is an answer. body is nil unless it is JSON of bearable size.
type reply struct {
	status  int
	header  http.Header
	body    []byte
	foreign bool // there was a body, and it is none of ours
}

func (r reply) ok() bool { return r.status >= 200 && r.status < 300 }

// send sends c, once more with fresh credentials when those it has are refused,
// and once more when a rate limit passes soon: in both cases nothing can have
// happened. Any other answer is for the caller to judge; see [reply.failure].
func (s *sender) send(ctx context.Context, c call) (reply, error) {
	credentials, err := s.credentials(ctx, c)
	if err != nil {
		return reply{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	r, err := s.attempt(ctx, c, credentials)
	if err == nil && r.refusesAdmin(c) && c.asAdmin() && s.secret != nil {
		renewed, refreshErr := s.secret.Refresh(ctx)
		if refreshErr == nil && !renewed.Equal(credentials) {
			r, err = s.attempt(ctx, c, renewed)
			credentials = renewed
		}
	}
	if err != nil || r.status != http.StatusTooManyRequests {
		return r, err
	}
	pause := s.retryIn(r.header)
	if !s.affordable(ctx, pause) {
		return reply{}, &RateLimitError{After: pause}
	}
	if err := s.wait(ctx, pause); err != nil {
		return reply{}, &RateLimitError{After: pause}
	}
	r, err = s.attempt(ctx, c, credentials)
	if err == nil && r.status == http.StatusTooManyRequests {
		return reply{}, &RateLimitError{After: s.retryIn(r.header)}
	}
	return r, err
}

func (s *sender) credentials(ctx context.Context, c call) (secret.Credentials, error) {
	if !c.asAdmin() || s.secret == nil {
		return secret.Credentials{}, nil
	}
	return s.secret.Get(ctx)
}

// refusesAdmin reports whether r is about the credentials that c is sent with. A
// 401 whose body says invalid_client is about the client in its path. OpenAM's
// registration says access_denied, with 400.
func (r reply) refusesAdmin(c call) bool {
	switch r.status {
	case http.StatusUnauthorized:
		return c.general || r.reason().code != "invalid_client"
	case http.StatusBadRequest:
		return c.general && r.reason().code == "access_denied"
	}
	return false
}

// affordable reports whether the caller has time to wait and ask again.
func (s *sender) affordable(ctx context.Context, pause time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return pause <= longestWait && (!ok || time.Until(deadline) > pause+s.timeout)
}

// retryIn returns how long the provider wants to be left alone: Retry-After, or
// Okta's X-Rate-Limit-Reset by the provider's own clock, and a second more as
// Okta's SDK does.
func (s *sender) retryIn(h http.Header) time.Duration {
	if n, err := strconv.Atoi(h.Get("Retry-After")); err == nil && n >= 0 {
		return time.Duration(min(n, 3600)) * time.Second
	}
	n, err := strconv.ParseInt(h.Get("X-Rate-Limit-Reset"), 10, 64)
	if err != nil {
		return unknownWait
	}
	now, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		now = s.now()
	}
	return min(max(0, time.Unix(n, 0).Sub(now)), time.Hour) + time.Second
}

// attempt sends c once. It fails with [ErrUncertain] only if the provider may
// have carried c out.
func (s *sender) attempt(ctx context.Context, c call, credentials secret.Credentials) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	var sent atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }})
	req, err := c.request(ctx)
	if err != nil {
		return reply{}, err
	}
	switch {
	case c.bare:
	case c.token.Reveal() != "":
		req.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	case credentials.Authorization.Reveal() != "":
		req.Header.Set("Authorization", credentials.Authorization.Reveal())
	}
	resp, err := s.client.Do(req)
	if err != nil {
		if !sent.Load() {
			return reply{}, errNoAnswer
		}
		return reply{}, c.lost()
	}
	defer resp.Body.Close()
	r := reply{status: resp.StatusCode, header: resp.Header}
	body, err := io.ReadAll(io.LimitReader(resp.Body, s.limit+1))
	if err != nil && r.ok() {
		return reply{}, c.lost()
	}
	if err == nil && int64(len(body)) <= s.limit && strictjson.Valid(body, providerJSON) == nil {
		r.body = body
	} else {
		r.foreign = len(body) > 0
	}
	return r, nil
}

func (c call) request(ctx context.Context) (*http.Request, error) {
	var body io.Reader
	form, isForm := c.body.(url.Values)
	contentType := "application/json"
	switch {
	case isForm:
		body, contentType = strings.NewReader(form.Encode()), "application/x-www-form-urlencoded"
	case c.body != nil:
		text, err := json.Marshal(c.body)
		if err != nil {
			return nil, fmt.Errorf("provider: request: %w", err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, c.method, c.url, body)
	if err != nil {
		return nil, errors.New("provider: the endpoint is no URL")
	}
	maps.Copy(req.Header, c.header)
	req.Header.Set("Accept", "application/json")
	if c.body != nil {
		req.Header.Set("Content-Type", contentType)
	}
	return req, nil
}

// errForbidden is a request that the administrator's credentials do not reach.
var errForbidden = fmt.Errorf("%w (it forbids them this request)", ErrAdminCredentials)

var errNoAnswer = fmt.Errorf("%w: it does not answer", ErrUnavailable)

// lost is the error of a request that was sent and has no usable answer.
// Reading can always be done again.
func (c call) lost() error {
	if c.method != http.MethodGet {
		return ErrUncertain
	}
	return errNoAnswer
}

// reason is what an error body says. Only the code and the field are used; the
// texts are never passed on.
type reason struct{ code, text string }

// reason reads the error body: RFC 6749's form, Okta's envelope, which may
// carry an OAuth code, or PingFederate's and OpenAM's, which have a message.
func (r reply) reason() reason {
	var e reason
	var cause string
	d := strictjson.NewDecoder(r.body, providerJSON)
	err := d.Object(func(name []byte) error {
		switch {
		case (string(name) == "error" || string(name) == "errorCode") && d.Kind() == strictjson.String:
			return readString(d, &e.code)
		case (string(name) == "error_description" || string(name) == "errorSummary" || string(name) == "message") && d.Kind() == strictjson.String:
			return readString(d, &e.text)
		case string(name) == "errorCauses" || string(name) == "validationErrors":
			raw, err := d.Raw()
			cause = string(raw)
			return err
		default:
			return d.Skip()
		}
	})
	if err != nil {
		return reason{}
	}
	e.text += " " + cause
	return e
}

// fields are the metadata that a provider's error text may name, longer names
// before those they contain.
var fields = []string{
	"token_endpoint_auth_method", "application_type", "response_types", "redirect_uris", "client_name", "grant_types",
	"client_uri", "jwks_uri", "jwks", "scope",
}

// failure returns the error for an answer that is not a success.
func (r reply) failure(c call) error {
	e := r.reason()
	admin := c.token.Reveal() == "" || c.general
	switch {
	case r.status == http.StatusNotFound && (c.general || strings.HasPrefix(r.header.Get("Content-Type"), "text/html")):
		// A page is not how an API says that a client is gone: something stands
		// between, or the place is wrong.
		return fmt.Errorf("%w: there is nothing at the place configured for registration", ErrUnavailable)
	case r.status == http.StatusNotFound, r.status == http.StatusGone, r.status == http.StatusUnauthorized && !r.refusesAdmin(c):
		return ErrGone
	case r.refusesAdmin(c) && admin:
		return ErrAdminCredentials
	case r.status == http.StatusUnauthorized:
		return ErrGone
	case r.status == http.StatusForbidden && strings.Contains(e.text, "clientScope"):
		return &MetadataError{"scope"} // Keycloak, when a policy forbids a scope
	case r.status == http.StatusForbidden && admin:
		return errForbidden
	case r.status == http.StatusForbidden, r.status == http.StatusMethodNotAllowed, r.status == http.StatusNotImplemented:
		return ErrUnsupported
	case r.status == http.StatusConflict, strings.Contains(e.text, "already exists"):
		return ErrNameTaken
	case r.status >= 500, e.code == "server_error": // RFC 6749 §4.1.2.1; OpenAM has 400 with it
		return c.lost()
	case r.status == http.StatusBadRequest, r.status == http.StatusUnprocessableEntity, r.ok() && e.code != "":
		return &MetadataError{e.field()}
	case r.ok(): // something that stands between has answered
		return c.lost()
	}
	return fmt.Errorf("%w: it answers %d", ErrUnavailable, r.status)
}

// deleted judges the answer to a deletion: 204 (RFC 7592 §2.3), or another
// success with nothing or JSON in it. A page comes from something that stands
// between, and nobody knows what became of the client.
func (r reply) deleted(c call) error {
	switch {
	case !r.ok():
		return r.failure(c)
	case r.foreign:
		return c.lost()
	default:
		return nil
	}
}

func (e reason) field() string {
	if e.code == "invalid_redirect_uri" {
		return "redirect_uris"
	}
	for _, name := range fields {
		if strings.Contains(e.text, name) {
			return name
		}
	}
	return ""
}
