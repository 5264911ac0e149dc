package authorizer_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/shared/authorizer"
	"gatehouse/shared/config"
	"gatehouse/shared/fetch"
	"gatehouse/shared/provider"
	"gatehouse/shared/registry"
	"gatehouse/shared/secret"
	"gatehouse/shared/standin"
)

// orders is the configuration of most tests: one API that every shape of event
// can name, and the same one with simple answers.
const orders = `
resultCache: 60s
providers:
  - {name: okta, type: okta, issuer: "${IDP}/oauth2/default", audiences: ["api://default"]}
apis:
  - name: orders
    providers: [okta]
    contract: none
    match: {stageVariable: orders, apiIds: [a1b2c3d4e5], domains: [orders.example.com]}
    exposeClaims: [email, groups]
    routes:
` + routes + `
  - name: simple
    providers: [okta]
    contract: none
    match: {stageVariable: simple}
    httpAnswer: simple
    exposeClaims: [email, groups]
    routes:
` + routes

const routes = `
      - {route: GET /orders, scopes: [orders:read]}
      - {route: "GET /orders/{id}", anyScope: [orders:read, orders:admin]}
      - {route: POST /orders, scopes: [orders:read, orders:write]}
      - {route: "ANY /admin/{proxy+}", scopes: [orders:admin]}
      - {route: "GET /reports/{name}", claims: {groups: platform}}
      - {route: "GET /closed", refuse: true}
      - {route: $connect, scopes: [orders:read]}
`

// clock is a wall clock that tests set.
type clock struct{ ns atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.ns.Load()) }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

// site is an authorizer, the identity provider it asks, the registry it reads,
// the clock that all go by, and everything that was logged.
type site struct {
	*clock
	t    *testing.T
	idp  *standin.Server
	url  string // of idp
	gate *authorizer.Authorizer

	registry *registry.Store
	reads    atomic.Int32 // of contracts
	down     atomic.Bool  // the registry does not answer

	mu     sync.Mutex // guards what follows
	log    bytes.Buffer
	tokens []string // that must not be in it
}

// Write takes what is logged.
func (s *site) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

// signingKeys are made once: it takes a while.
var signingKeys = sync.OnceValues(func() ([]standin.Key, error) {
	var keys []standin.Key
	for _, id := range []string{"first", "second"} {
		private, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return nil, err
		}
		keys = append(keys, standin.Key{ID: id, Private: private})
	}
	return keys, nil
})

// newSite starts an identity provider and, once it is there, an authorizer with
// the given configuration, in which ${IDP} is the provider's address and
// ${SECRET} the introspection client.
func newSite(t *testing.T, configuration string) *site {
	t.Helper()
	keys, err := signingKeys()
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, clock: &clock{}}
	s.ns.Store(time.Unix(1_800_000_000, 0).UnixNano())
	if s.registry, err = (registry.Embedded{Now: s.now}).Open(); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(nil)
	s.url = "http://" + server.Listener.Addr().String()
	s.idp, err = standin.New(standin.Okta{
		Org:                  s.url,
		AuthorizationServers: []standin.AuthorizationServer{{ID: "default"}, {ID: "other"}, {ID: "opaque", Opaque: true}},
		Clients:              []standin.Client{{ID: "app", Secret: "app-secret", GrantTypes: []string{standin.ClientCredentials}}},
		Keys:                 keys[:1],
		Now:                  s.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = s.idp
	server.Start()
	t.Cleanup(server.Close)
	s.gate = s.authorizer(configuration)
	t.Cleanup(s.noTokenIsLogged)
	return s
}

// authorizer makes one, of many perhaps.
func (s *site) authorizer(configuration string) *authorizer.Authorizer {
	s.t.Helper()
	gate, err := authorizer.New(s.config(configuration), s.environment(), s.contract)
	if err != nil {
		s.t.Fatal(err)
	}
	return gate
}

func (s *site) config(configuration string) *config.Config {
	s.t.Helper()
	file := filepath.Join(s.t.TempDir(), "secret.json")
	if err := os.WriteFile(file, []byte(`{"client_id":"app","client_secret":"app-secret"}`), 0o600); err != nil {
		s.t.Fatal(err)
	}
	cfg, err := config.Parse([]byte(configuration), func(name string) (string, bool) {
		value, ok := map[string]string{"IDP": s.url, "SECRET": "file:" + file}[name]
		return value, ok
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return cfg
}

func (s *site) environment() provider.Environment {
	return provider.Environment{
		HTTP:    fetch.NewClient(),
		Secrets: &secret.Manager{},
		Now:     s.now,
		Log:     slog.New(slog.NewJSONHandler(s, nil)),
	}
}

// token is an access token of the client app with scopes, as the provider's
// first authorization server issues it.
func (s *site) token(scopes ...string) string {
	s.t.Helper()
	return s.minted(nil, scopes...)
}

// minted is a token with some claims added or replaced; nil removes one.
func (s *site) minted(claims map[string]any, scopes ...string) string {
	s.t.Helper()
	all := s.idp.Claims("app", scopes...)
	for name, value := range claims {
		if value == nil {
			delete(all, name)
			continue
		}
		all[name] = value
	}
	raw, err := s.idp.Mint(all, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.secret(raw)
}

// secret marks a token as one that must not be logged.
func (s *site) secret(raw string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens = append(s.tokens, raw)
	return raw
}

// opaque is a token that only the provider can explain.
func (s *site) opaque(scope string) string {
	s.t.Helper()
	body := s.post("/oauth2/opaque/v1/token", url.Values{"grant_type": {"client_credentials"}, "scope": {scope}})
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.AccessToken == "" {
		s.t.Fatalf("token endpoint: %v", err)
	}
	return s.secret(answer.AccessToken)
}

// revoke makes the provider forget an opaque token.
func (s *site) revoke(raw string) {
	s.t.Helper()
	s.post("/oauth2/opaque/v1/revoke", url.Values{"token": {raw}})
}

func (s *site) post(path string, form url.Values) []byte {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth("app", "app-secret")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		s.t.Fatalf("%s: %d, %v", path, resp.StatusCode, err)
	}
	return body
}

// ask sends an event through the handler as Lambda would.
func (s *site) ask(t *testing.T, r request) answer {
	t.Helper()
	return s.invoke(t.Context(), t, r)
}

func (s *site) invoke(ctx context.Context, t *testing.T, r request) answer {
	t.Helper()
	var line bytes.Buffer
	body, err := s.gate.Handler(slog.New(slog.NewJSONHandler(&line, nil))).Invoke(ctx, r.event(t))
	a := answer{t: t, request: r, err: err, body: body}
	a.read()
	if err := json.Unmarshal(line.Bytes(), &a.line); err != nil {
		t.Fatalf("not one log line: %v in %s", err, line.String())
	}
	_, _ = s.Write(line.Bytes())
	return a
}

// reason asks and returns the reason in the log line.
func (s *site) reason(t *testing.T, r request) string {
	t.Helper()
	reason, _ := s.ask(t, r).line["reason"].(string)
	return reason
}

// noTokenIsLogged holds for all that a test did: neither a token nor a part of
// one that could be put together again.
func (s *site) noTokenIsLogged() {
	s.mu.Lock()
	defer s.mu.Unlock()
	log := s.log.String()
	for _, raw := range s.tokens {
		for part := range strings.SplitSeq(raw, ".") {
			if len(part) > 16 && strings.Contains(log, part[:16]) && !strings.HasPrefix(raw, part) {
				s.t.Errorf("part of a token is in the log:\n%s", log)
				return
			}
		}
		if strings.Contains(log, raw) {
			s.t.Errorf("a token is in the log:\n%s", log)
			return
		}
	}
	if strings.Contains(log, "app-secret") {
		s.t.Errorf("the client's secret is in the log:\n%s", log)
	}
}
