package portal_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/shared/apigw"
	"gatehouse/shared/config"
	"gatehouse/shared/portal"
	"gatehouse/shared/provider"
	"gatehouse/shared/registration"
	"gatehouse/shared/registry"
	"gatehouse/shared/secret"
	"gatehouse/shared/standin"
)

// The tests of this package run the portal before the real registration, an
// Okta organisation of the stand-in and a store in memory, as events of API
// Gateway. Only the network between them is not there.

const (
	org       = "http://127.0.0.1:7001"
	apiURL    = "http://127.0.0.1:7002/v1"
	publicURL = "https://gatehouse.example.com"
)

const file = `publicURL: ` + publicURL + `
providers:
  - name: okta
    type: okta
    issuer: ` + org + `/oauth2/default
    audiences: ["api://default"]
    adminSecret: "file:${ADMIN}"
    requestTimeout: 2s
apis:
  - name: orders
    providers: [okta]
    match: {stageVariable: orders}
    url: ` + apiURL + `
    owners: [group:orders-team]
    tiers: [{name: trial, autoApprove: true, requests: 100, per: 1m}, {name: gold}]
    routes:
      - {route: GET /orders, scopes: [orders:read]}
      - {route: POST /orders, scopes: [orders:write]}
      - {route: "GET /orders/{id}", anyScope: [orders:read, orders:admin]}
  - name: stock
    providers: [okta]
    match: {stageVariable: stock}
    owners: [heidi]
    routes: [{route: GET /stock, scopes: [stock:read]}]
registration:
  keys: "file:${KEYS}"
  portal: {secret: "file:${PORTAL}", scopes: [${SCOPES}]}
`

// clock stands still until it is advanced.
type clock struct {
	mu sync.Mutex // guards at
	at time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// site is everything there is.
type site struct {
	okta   *standin.Server
	store  *registry.Store
	clock  *clock
	lambda *apigw.HTTP
	log    bytes.Buffer

	down  bool // the provider does not answer
	calls []*http.Request
	api   http.HandlerFunc // the API that is tried
}

// settings change a site before it is made.
type settings struct {
	secret string // of the portal's client; "": the right one
	scopes string // that people are asked for; "": as by default
}

// signingKey is the provider's: RSA keys take long.
var signingKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func newSite(t *testing.T, set settings) *site {
	t.Helper()
	s := &site{clock: &clock{at: time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)}}
	key, err := signingKey()
	if err != nil {
		t.Fatal(err)
	}
	s.okta, err = standin.New(standin.Okta{
		Org: org, APIToken: "00token", Now: s.clock.Now, Keys: []standin.Key{{Private: key}},
		AuthorizationServers: []standin.AuthorizationServer{{ID: "default", Scopes: []string{
			"orders:read", "orders:write", "stock:read", config.ScopeApplications, config.ScopeContracts, config.ScopeAdmin,
		}}},
		Clients: []standin.Client{{ID: "portal", Secret: "portal-secret", GrantTypes: []string{standin.AuthorizationCode}, RedirectURIs: []string{publicURL + "/portal/callback"}}},
		Users: []standin.User{
			{Login: "ada", Password: "a", Groups: []string{"Everyone", "orders-team"}},
			{Login: "bob", Password: "b", Groups: []string{"Everyone"}},
			{Login: "grace", Password: "g", Groups: hundreds()},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if set.secret == "" {
		set.secret = "portal-secret"
	}
	if set.scopes == "" {
		set.scopes = config.ScopeApplications + `", "` + config.ScopeContracts
	}
	variables := map[string]string{}
	for name, text := range map[string]string{
		"ADMIN": `{"authorization":"SSWS 00token"}`, "KEYS": `{"current":"0123456789abcdef0123456789abcdef"}`,
		"PORTAL": `{"client_id":"portal","client_secret":"` + set.secret + `"}`,
	} {
		variables[name] = filepath.Join(t.TempDir(), "secret.json")
		if err := os.WriteFile(variables[name], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := config.Parse([]byte(strings.Replace(file, "${SCOPES}", `"`+set.scopes+`"`, 1)), func(name string) (string, bool) { v, ok := variables[name]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	if s.store, err = (registry.Embedded{Now: s.clock.Now}).Open(); err != nil {
		t.Fatal(err)
	}
	env := provider.Environment{HTTP: &http.Client{Transport: s, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		Secrets: &secret.Manager{}, Now: s.clock.Now}
	service, err := registration.New(cfg, env, s.store)
	if err != nil {
		t.Fatal(err)
	}
	pages, err := portal.New(cfg, portal.Environment{
		Registration: service.Handler(), Box: service.Box, Providers: service.Providers, HTTP: env.HTTP, Secrets: env.Secrets, Now: s.clock.Now,
	})
	if err == nil {
		err = pages.Check(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	s.lambda = &apigw.HTTP{Handler: pages.Handler(service.Handler()), Log: slog.New(slog.NewJSONHandler(&s.log, nil)), Now: s.clock.Now}
	s.api = func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"orders":[]}`)) }
	return s
}

// hundreds are more groups than a cookie has room for.
func hundreds() []string {
	all := []string{"Everyone", "orders-team"}
	for range 150 {
		all = append(all, "group-"+strings.Repeat("x", 20))
	}
	return all
}

// RoundTrip implements [http.RoundTripper]: it brings requests to the provider and
// to the API.
func (s *site) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	switch {
	case r.URL.Scheme+"://"+r.URL.Host != org:
		s.calls = append(s.calls, r)
		s.api(w, r)
	case s.down:
		return nil, errors.New("connection refused")
	default:
		s.okta.ServeHTTP(w, r)
	}
	return w.Result(), nil
}

// person is somebody at a browser.
type person struct {
	t       *testing.T
	site    *site
	cookies map[string]string
	header  map[string]string // of each request
}

func (s *site) person(t *testing.T) *person {
	t.Helper()
	return &person{t: t, site: s, cookies: map[string]string{}, header: map[string]string{"sec-fetch-site": "same-origin"}}
}

// page is what a browser is answered.
type page struct {
	Status  int               `json:"statusCode"`
	Header  map[string]string `json:"headers"`
	Cookies []string          `json:"cookies"`
	Body    string            `json:"body"`
}

func (p *person) get(at string) page { p.t.Helper(); return p.send(http.MethodGet, at, nil) }

func (p *person) post(at string, form url.Values) page {
	p.t.Helper()
	return p.send(http.MethodPost, at, form)
}

// send does what the browser does, and keeps cookies.
func (p *person) send(method, at string, form url.Values) page {
	p.t.Helper()
	path, query, _ := strings.Cut(strings.TrimPrefix(at, publicURL), "?")
	header := map[string]string{"content-type": "application/x-www-form-urlencoded"}
	maps.Copy(header, p.header)
	var cookies []string
	for name, value := range p.cookies {
		cookies = append(cookies, name+"="+value)
	}
	event, err := json.Marshal(map[string]any{
		"version": "2.0", "rawPath": path, "rawQueryString": query, "cookies": cookies, "headers": header, "body": form.Encode(),
		"requestContext": map[string]any{
			"apiId": "a1b2c3", "stage": "$default", "domainName": "gatehouse.example.com", "http": map[string]string{"method": method, "sourceIp": "192.0.2.1"},
		},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	answer, err := p.site.lambda.Invoke(p.t.Context(), event)
	var got page
	if err = errors.Join(err, json.Unmarshal(answer, &got)); err != nil {
		p.t.Fatal(err)
	}
	for _, line := range got.Cookies {
		c, err := http.ParseSetCookie(line)
		if err != nil {
			p.t.Fatal(err)
		}
		if p.cookies[c.Name] = c.Value; c.MaxAge < 0 {
			delete(p.cookies, c.Name)
		}
	}
	return got
}

// atProvider has somebody sign in at the provider, and returns where they are
// sent back to.
func (p *person) atProvider(at, login string) string {
	p.t.Helper()
	form := url.Values{"username": {login}, "password": {login[:1]}, "action": {"login"}}
	r := httptest.NewRequestWithContext(p.t.Context(), http.MethodPost, at, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	p.site.okta.ServeHTTP(w, r)
	if w.Code != http.StatusSeeOther {
		p.t.Fatalf("the provider answers %d", w.Code)
	}
	return w.Header().Get("Location")
}

// signIn signs somebody in; as is "" or "admin".
func (s *site) signIn(t *testing.T, login, as string) *person {
	t.Helper()
	p := s.person(t)
	begun := p.get("/portal/signin?as=" + as)
	if done := p.get(p.atProvider(begun.Header["Location"], login)); done.Status != http.StatusSeeOther {
		t.Fatalf("got %d %s", done.Status, done.text())
	}
	return p
}

var tags = regexp.MustCompile(`(?s)<style>.*?</style>|<script>.*?</script>|<[^>]*>`)

// text is what a person reads.
func (p page) text() string {
	unescaped := strings.NewReplacer("&#39;", "'", "&#34;", `"`, "&amp;", "&", "&lt;", "<", "&gt;", ">", "&#43;", "+").Replace(tags.ReplaceAllString(p.Body, " "))
	return strings.ReplaceAll(strings.Join(strings.Fields(unescaped), " "), " :", ":") // which a tag was before
}

// wants fails unless the page has a status and a text.
func (p page) wants(t *testing.T, status int, text string) {
	t.Helper()
	if p.Status != status || !strings.Contains(p.text(), text) {
		t.Errorf("got %d %q, want %d with %q", p.Status, p.text(), status, text)
	}
}

// clients is how many were registered, beside the portal's own.
func (s *site) clients() int { return len(s.okta.Registered("")) - 1 }

// logged is the last line of the log.
func (s *site) logged() string {
	lines := strings.Split(strings.TrimSpace(s.log.String()), "\n")
	return lines[len(lines)-1]
}

// application makes one, and returns its id, client id and secret.
func (p *person) application(name, tier string) (id, client, secretText string) {
	p.t.Helper()
	got := p.post("/portal/apis/orders/request", request(name, tier))
	found := regexp.MustCompile(`(?s)id="client-id">([^<]*)<.*id="client-secret">([^<]*)<.*/applications/([a-z2-7]+)"`).FindStringSubmatch(got.Body)
	if got.Status != http.StatusOK || found == nil {
		p.t.Fatalf("got %d %s", got.Status, got.text())
	}
	return found[3], found[1], found[2]
}

// request is a form that is in order.
func request(name, tier string) url.Values {
	return url.Values{
		"name": {name}, "grant": {"client_credentials"}, "way": {"client_secret_basic"}, "scope": {"orders:read"}, "provider": {"okta"},
		"tier": {tier}, "terms": {"yes"}, "key": {name},
	}
}
