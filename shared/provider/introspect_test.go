package provider_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/shared/config"
	"gatehouse/shared/fetch"
	"gatehouse/shared/provider"
	"gatehouse/shared/secret"
	"gatehouse/shared/token"
)

// idp is a scripted identity provider and the clock that everything goes by.
type idp struct {
	t       *testing.T
	server  *httptest.Server
	secret  string // path of the secret file
	mu      sync.Mutex
	now     time.Time
	answer  http.HandlerFunc // of the introspection endpoint
	asked   int
	lastReq string // the form of the last request
	auth    string // Authorization of the last request
}

func newIDP(t *testing.T) *idp {
	t.Helper()
	p := &idp{t: t, now: time.Unix(1_800_000_000, 0), secret: filepath.Join(t.TempDir(), "secret.json")}
	p.rotate("s3cret")
	mux := http.NewServeMux()
	mux.HandleFunc("POST /introspect", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err != nil {
			t.Error(err)
		}
		p.mu.Lock()
		p.asked++
		p.lastReq, p.auth = string(body), r.Header.Get("Authorization")
		answer := p.answer
		p.mu.Unlock()
		answer(w, r)
	})
	p.server = httptest.NewServer(mux)
	t.Cleanup(p.server.Close)
	return p
}

func (p *idp) rotate(clientSecret string) {
	p.t.Helper()
	text := fmt.Sprintf(`{"client_id":"gate way","client_secret":%q}`, clientSecret)
	if err := os.WriteFile(p.secret, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func (p *idp) clock() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

func (p *idp) wait(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = p.now.Add(d)
}

func (p *idp) says(status int, contentType, body string, header ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func (p *idp) config() config.Provider {
	return config.Provider{
		Name: "idp", Type: config.RFC7591, Issuer: p.server.URL, Secret: "file:" + p.secret, Tokens: config.Introspect,
		Audiences: []string{"api://default"}, RequestTimeout: time.Second,
		Endpoints: config.Endpoints{Introspection: p.server.URL + "/introspect"},
	}
}

func (p *idp) provider() *provider.Provider {
	p.t.Helper()
	made, err := provider.New(p.config(), provider.Environment{
		HTTP: fetch.NewClient(), Secrets: &secret.Manager{}, Now: p.clock,
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return made
}

func (p *idp) questions() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

func (p *idp) active(more string) string {
	return fmt.Sprintf(`{"active":true,"token_type":"Bearer","scope":"orders:read orders:write","client_id":"app","sub":"ada","iss":%q,"aud":"api://default","exp":%d,"jti":"AT.1"%s}`,
		p.server.URL, p.clock().Add(time.Hour).Unix(), more)
}

func TestIntrospect(t *testing.T) {
	t.Parallel()
	p := newIDP(t)
	p.says(200, "application/json; charset=utf-8", p.active(`,"uid":"00u"`))
	facts, err := p.provider().Introspect(t.Context(), "opaque+token/1==")
	if err != nil {
		t.Fatal(err)
	}
	if facts.ClientID != "app" || facts.Subject != "ada" || strings.Join(facts.Scopes, ",") != "orders:read,orders:write" || facts.Provider != "idp" {
		t.Errorf("got %+v", facts)
	}
	if uid, ok := facts.Claim("uid"); !ok || uid.Values[0] != "00u" {
		t.Errorf("uid: got %v", uid)
	}
	if want := "token=opaque%2Btoken%2F1%3D%3D&token_type_hint=access_token"; p.lastReq != want {
		t.Errorf("form: got %q, want %q", p.lastReq, want)
	}
	// RFC 6749 §2.3.1: form-encoded, then Basic.
	if want := "Basic " + base64.StdEncoding.EncodeToString([]byte("gate+way:s3cret")); p.auth != want {
		t.Errorf("authorization: got %q, want %q", p.auth, want)
	}
}

func TestI5I7AnswersAreJudged(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, contentType string
		status            int
		body              func(*idp) string
		want              error
	}{
		{"inactive", "application/json", 200, func(*idp) string { return `{"active":false}` }, token.ErrInactive},
		{"active is a string", "application/json", 200, func(*idp) string { return `{"active":"true"}` }, provider.ErrUnavailable},
		{"active is a number", "application/json", 200, func(*idp) string { return `{"active":1}` }, provider.ErrUnavailable},
		{"active is missing", "application/json", 200, func(*idp) string { return `{"scope":"orders:read"}` }, provider.ErrUnavailable},
		{"active is there twice", "application/json", 200, func(*idp) string { return `{"active":false,"active":true}` }, provider.ErrUnavailable},
		{"active in capitals too", "application/json", 200, func(*idp) string { return `{"active":true,"ACTIVE":false}` }, provider.ErrUnavailable},
		{"two documents", "application/json", 200, func(p *idp) string { return p.active("") + `{}` }, provider.ErrUnavailable},
		{"HTML", "text/html", 200, func(p *idp) string { return p.active("") }, provider.ErrUnavailable},
		{"no content type", "", 200, func(p *idp) string { return p.active("") }, provider.ErrUnavailable},
		{"an empty body", "application/json", 200, func(*idp) string { return "" }, provider.ErrUnavailable},
		{"an answer of 1 MiB", "application/json", 200, func(p *idp) string { return p.active(`,"x":"` + strings.Repeat("x", 1<<20) + `"`) }, provider.ErrUnavailable},
		{"204", "application/json", 204, func(*idp) string { return "" }, provider.ErrUnavailable},
		{"400", "application/json", 400, func(*idp) string { return `{"error":"unsupported_token_type"}` }, provider.ErrUnavailable},
		{"401", "application/json", 401, func(*idp) string { return `{"error":"invalid_client"}` }, provider.ErrUnavailable},
		{"403", "application/json", 403, func(*idp) string { return `{"active":true}` }, provider.ErrUnavailable},
		{"429", "application/json", 429, func(*idp) string { return `{}` }, provider.ErrUnavailable},
		{"500", "application/json", 500, func(p *idp) string { return p.active("") }, provider.ErrUnavailable},
		{"another issuer", "application/json", 200, func(p *idp) string {
			return strings.Replace(p.active(""), p.server.URL, "https://other.example.com", 1)
		}, token.ErrIssuer},
		{"another audience", "application/json", 200, func(p *idp) string { return strings.Replace(p.active(""), "api://default", "api://other", 1) }, token.ErrAudience},
		{"no audience", "application/json", 200, func(p *idp) string { return strings.Replace(p.active(""), `"aud":"api://default",`, "", 1) }, token.ErrAudience},
		{"expired", "application/json", 200, func(p *idp) string {
			return strings.Replace(p.active(""), fmt.Sprint(p.clock().Add(time.Hour).Unix()), fmt.Sprint(p.clock().Add(-time.Hour).Unix()), 1)
		}, token.ErrExpired},
		{"not yet valid", "application/json", 200, func(p *idp) string { return p.active(fmt.Sprintf(`,"nbf":%d`, p.clock().Add(time.Hour).Unix())) }, token.ErrNotYetValid},
		{"a DPoP token", "application/json", 200, func(p *idp) string { return strings.Replace(p.active(""), `"Bearer"`, `"DPoP"`, 1) }, token.ErrType},
		{"bound to a key", "application/json", 200, func(p *idp) string { return p.active(`,"cnf":{"jkt":"x"}`) }, token.ErrSenderConstrained},
		{"an ID token", "application/json", 200, func(p *idp) string { return p.active(`,"token_use":"id"`) }, token.ErrType},
		{"a refresh token", "application/json", 200, func(p *idp) string { return p.active(`,"typ":"Refresh"`) }, token.ErrType},
		{"a scope with a quote", "application/json", 200, func(p *idp) string { return strings.Replace(p.active(""), "orders:read ", `orders:\"read `, 1) }, provider.ErrUnavailable},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			p := newIDP(t)
			p.says(row.status, row.contentType, row.body(p))
			_, err := p.provider().Introspect(t.Context(), "opaque")
			if !errors.Is(err, row.want) {
				t.Errorf("got %v, want %v", err, row.want)
			}
			if err != nil && (strings.Contains(err.Error(), "opaque") || strings.Contains(err.Error(), "s3cret")) {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}

func TestI8RedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	p := newIDP(t)
	stolen := false
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stolen = true }))
	t.Cleanup(thief.Close)
	p.says(http.StatusTemporaryRedirect, "application/json", "", "Location", thief.URL)
	if _, err := p.provider().Introspect(t.Context(), "opaque"); !errors.Is(err, provider.ErrUnavailable) {
		t.Errorf("got %v, want %v", err, provider.ErrUnavailable)
	}
	thief.Close()
	if stolen {
		t.Error("the token was sent to the redirect's target")
	}
}

func TestF11SlowProviderEndsWithTheTimeout(t *testing.T) {
	t.Parallel()
	p := newIDP(t)
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	p.mu.Lock()
	p.answer = func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}
	p.mu.Unlock()
	c := p.config()
	c.RequestTimeout = 50 * time.Millisecond
	made, err := provider.New(c, provider.Environment{HTTP: fetch.NewClient(), Secrets: &secret.Manager{}, Now: p.clock})
	if err != nil {
		t.Fatal(err)
	}
	_, err = made.Introspect(t.Context(), "opaque")
	if !errors.Is(err, provider.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %v because of %v", err, provider.ErrUnavailable, context.DeadlineExceeded)
	}
}

func TestF11BreakerOpensAndProbes(t *testing.T) {
	t.Parallel()
	p := newIDP(t)
	p.says(500, "application/json", "{}")
	made := p.provider()
	ask := func(raw string) error {
		_, err := made.Introspect(t.Context(), raw)
		return err
	}
	for n := range 20 {
		if err := ask(fmt.Sprint("token", n)); !errors.Is(err, provider.ErrUnavailable) {
			t.Fatalf("got %v", err)
		}
	}
	if got := p.questions(); got != 5 {
		t.Errorf("a provider that fails was asked %d times, want 5", got)
	}
	p.wait(5 * time.Second)
	for n := range 5 {
		_ = ask(fmt.Sprint("again", n))
	}
	if got := p.questions(); got != 6 {
		t.Errorf("after the pause it was asked %d times, want one probe more: 6", got)
	}
	p.wait(5 * time.Second)
	p.says(200, "application/json", p.active(""))
	for n := range 3 {
		if err := ask(fmt.Sprint("good", n)); err != nil {
			t.Errorf("after it came back: %v", err)
		}
	}
}

func TestF11RetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]func(*idp) []string{
		"Retry-After":                 func(*idp) []string { return []string{"Retry-After", "20"} },
		"X-Rate-Limit-Reset":          func(p *idp) []string { return []string{"X-Rate-Limit-Reset", fmt.Sprint(p.clock().Unix() + 20)} },
		"a day, capped at 30 seconds": func(*idp) []string { return []string{"Retry-After", "86400"} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newIDP(t)
			p.says(429, "application/json", "{}", header(p)...)
			made := p.provider()
			for range 3 {
				_, _ = made.Introspect(t.Context(), "opaque")
				p.wait(6 * time.Second)
			}
			if got := p.questions(); got != 1 {
				t.Errorf("asked %d times while told to wait, want 1", got)
			}
			p.wait(12 * time.Second)
			p.says(200, "application/json", p.active(""))
			if _, err := made.Introspect(t.Context(), "opaque"); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestF12RefusalsAreRemembered(t *testing.T) {
	t.Parallel()
	p := newIDP(t)
	p.says(200, "application/json", `{"active":false}`)
	made := p.provider()
	for range 10 {
		if _, err := made.Introspect(t.Context(), "revoked"); !errors.Is(err, token.ErrInactive) {
			t.Fatalf("got %v, want %v", err, token.ErrInactive)
		}
	}
	if got := p.questions(); got != 1 {
		t.Errorf("asked %d times, want 1", got)
	}
	p.wait(10 * time.Second)
	p.says(200, "application/json", p.active(""))
	if _, err := made.Introspect(t.Context(), "revoked"); err != nil {
		t.Errorf("after ten seconds: %v", err)
	}
}

func TestF14RotatedSecretIsReadOnceMore(t *testing.T) {
	t.Parallel()
	p := newIDP(t)
	good := "Basic " + base64.StdEncoding.EncodeToString([]byte("gate+way:new"))
	p.mu.Lock()
	p.answer = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Header.Get("Authorization") != good {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, p.active(""))
	}
	p.mu.Unlock()
	made := p.provider()
	if _, err := made.Introspect(t.Context(), "one"); !errors.Is(err, provider.ErrUnavailable) {
		t.Fatalf("with the old secret: got %v, want %v", err, provider.ErrUnavailable)
	}
	p.rotate("new")
	// The secret is read again at most once in ten seconds of the real clock,
	// so a second provider stands for the same one a little later.
	if _, err := p.provider().Introspect(t.Context(), "two"); err != nil {
		t.Errorf("with the new secret: %v", err)
	}
}
