package registration_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gatehouse/shared/config"
	"gatehouse/shared/provider"
	"gatehouse/shared/registration"
	"gatehouse/shared/registry"
	"gatehouse/shared/seal"
	"gatehouse/shared/secret"
	"gatehouse/shared/standin"
	"gatehouse/shared/usageplan/usageplantest"
)

const (
	org      = "http://okta.test"
	plainURL = "https://plain.test"
)

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

// direct brings requests to an Okta organisation without a network, or loses
// them.
type direct struct {
	org *standin.Server

	// around calls serve, or does not, and returns an error when the answer is
	// lost; nil: every request is served.
	around func(r *http.Request, serve func()) error
}

var errReset = errors.New("connection reset")

// RoundTrip implements [http.RoundTripper].
func (d *direct) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	serve := func() {
		if trace := httptrace.ContextClientTrace(r.Context()); trace != nil && trace.WroteHeaders != nil {
			trace.WroteHeaders()
		}
		d.org.ServeHTTP(w, r)
	}
	if d.around == nil {
		serve()
		return w.Result(), nil
	}
	if err := d.around(r, serve); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

// site is the registration function before an Okta organisation.
type site struct {
	*registration.Service

	org   *standin.Server
	line  *direct
	plain *direct // the line to a server of RFC 7591 and RFC 7592 and nothing more
	clock *clock

	gateway *usageplantest.Server
}

func newSite(t *testing.T) *site {
	t.Helper()
	c := &clock{at: time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)}
	okta, err := standin.New(standin.Okta{Org: org, APIToken: "00token", Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "okta.json")
	if err := os.WriteFile(path, []byte(`{"authorization":"SSWS 00token"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	plain, err := standin.NewRFC7591(standin.RFC7591{URL: plainURL, Now: c.Now, Quirks: standin.Quirks{RotateToken: true}})
	if err != nil {
		t.Fatal(err)
	}
	s := &site{org: okta, line: &direct{org: okta}, plain: &direct{org: plain}, clock: c}
	providers := []*provider.Provider{
		s.provider(t, s.line, config.Provider{Name: "okta", Type: config.Okta, Issuer: org + "/oauth2/default", AdminSecret: "file:" + path}),
		s.provider(t, s.plain, config.Provider{Name: "plain", Type: config.RFC7591, Issuer: plainURL, Endpoints: config.Endpoints{Registration: plainURL + "/register"}}),
	}
	s.Service = &registration.Service{
		Providers: providers,
		APIs: []registration.API{
			{
				Name: "orders", Providers: []string{"okta", "plain"}, Owners: []string{"group:orders-team", "grace"},
				Tiers: []registration.Tier{
					{Name: "trial", AutoApprove: true, Requests: 100, Per: "1m", UsagePlan: "trial1"}, {Name: "gold", UsagePlan: "gold01"}, {Name: "told"},
				},
				Routes: []registration.Route{{Route: "GET /orders", Scopes: []string{"orders:read"}}},
			},
			{
				Name: "stock", Providers: []string{"okta"}, Owners: []string{"heidi"},
				Routes: []registration.Route{{Route: "GET /stock", AnyScope: []string{"stock:read"}}},
			},
		},
		PublicURL:   "https://gatehouse.example.com",
		GroupsClaim: "groups",
		Dynamic:     config.Dynamic{Provider: "okta", Open: true, PerHour: 100, PerAddress: 100, UnusedLife: 30 * 24 * time.Hour},
		Box:         seal.New(secret.Fixed(secret.Keys{Current: secret.New("0123456789abcdef0123456789abcdef")})),
		Now:         c.Now,
	}
	s.open(t)
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// provider returns a provider that registers clients over a line.
func (s *site) provider(t *testing.T, line *direct, cfg config.Provider) *provider.Provider {
	t.Helper()
	cfg.Tokens, cfg.RequestTimeout = config.Introspect, 5*time.Second
	env := provider.Environment{HTTP: &http.Client{Transport: line}, Secrets: &secret.Manager{}, Now: s.clock.Now}
	p, err := provider.New(cfg, env)
	if err == nil {
		err = p.EnableRegistration(cfg, env)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// open gives the site an empty store, and an API Gateway without keys.
func (s *site) open(t *testing.T) {
	t.Helper()
	s.gateway = usageplantest.New(map[string]string{"trial1": "orders/v1", "gold01": "orders/v1"})
	s.APIKeys = s.gateway.Gateway().Settle
	store, err := registry.Embedded{Now: s.clock.Now}.Open()
	if err != nil {
		t.Fatal(err)
	}
	s.Store = store
}

var (
	ada   = registration.Caller{Subject: "ada", Applications: true}
	grace = registration.Caller{Subject: "grace", Contracts: true}
)

func service(name string) registration.Request {
	return registration.Request{
		Provider: "okta",
		Metadata: registration.Metadata{Name: name, GrantTypes: []string{"client_credentials"}, Scope: "orders:read"},
	}
}

// problems are what contradicts the invariant: no client without a record, no
// active record without a client.
func (s *site) problems(t *testing.T) []string {
	t.Helper()
	var all []string
	clients := map[string]string{}
	markers := map[string]bool{}
	for _, c := range s.org.Registered("") {
		clients[c.ID] = c.Name
	}
	open, _, err := s.Store.Unfinished(t.Context(), s.clock.Now().Add(time.Hour), registry.Page{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range open {
		markers[i.Marker] = i.Operation == registry.Create
	}
	for id, name := range clients {
		_, err := s.Store.ApplicationByClient(t.Context(), registry.Client{Provider: "okta", ClientID: id})
		if err != nil && (len(name) < 26 || !markers[name[len(name)-26:]]) {
			all = append(all, fmt.Sprintf("client %q has no record: %v", name, err))
		}
	}
	for _, a := range s.applications(t) {
		name, ok := clients[a.ClientID]
		if a.State == registry.Active && !ok {
			all = append(all, fmt.Sprintf("application %s %q has no client", a.ID, a.Name))
		}
		if want := a.Name + " " + a.ID; ok && a.Pending == "" && name != want {
			all = append(all, fmt.Sprintf("the client of %q is called %q", want, name))
		}
	}
	return all
}

func (s *site) applications(t *testing.T) []registry.Application {
	t.Helper()
	all, _, err := s.Store.ApplicationsByOwner(t.Context(), "ada", registry.Page{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
