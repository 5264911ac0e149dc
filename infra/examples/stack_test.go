package examples_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/infra/examples/websocket/talk"
	"gatehouse/infra/local/gateway"
	"gatehouse/infra/local/samtemplate"
	"gatehouse/shared/apigw"
	"gatehouse/shared/authorizer"
	"gatehouse/shared/config"
	"gatehouse/shared/demoapi"
	"gatehouse/shared/fetch"
	"gatehouse/shared/provider"
	"gatehouse/shared/registry"
	"gatehouse/shared/secret"
	"gatehouse/shared/standin"
)

// rest stands before an example's part of gatehouse.yaml, as infra/gatehouse.yaml
// has it.
const rest = `
providers:
  - {name: okta, type: okta, issuer: "${IDP}/oauth2/default", audiences: ["api://default"]}
`

const (
	authorizerARN = "arn:aws:lambda:us-east-1:123456789012:function:gatehouse-AuthorizerFunction-1a2b3c"
	apiID         = "a1b2c3d4e5" // as rest-token/gatehouse.yaml has it
	apiToken      = "00token"    // of the identity provider's administrator
)

// Applications at the identity provider, by their clients.
const (
	storefront = "storefront" // has a contract of the tier trial
	kiosk      = "kiosk"      // has one, too
	warehouse  = "warehouse"  // has one of the tier gold
	museum     = "museum"     // has one of the tier gold, just approved
	stranger   = "stranger"   // has none
)

// contract reads one of the contracts above.
func contract(_ context.Context, k registry.ContractKey) (registry.Contract, error) {
	tier, ok := map[string]string{storefront: "trial", kiosk: "trial", warehouse: "gold", museum: "gold"}[k.ClientID]
	if !ok {
		return registry.Contract{}, registry.ErrNotFound
	}
	return registry.Contract{
		Provider: k.Provider, ClientID: k.ClientID, API: k.API, ApplicationID: k.ClientID + "-1", Tier: tier, Status: registry.Approved,
		UsageKey: "key-of-" + k.ClientID,
	}, nil
}

// changes are what a test has otherwise than the example.
type changes struct {
	parameters map[string]string          // of the template
	options    func(*samtemplate.Options) // how the template is read
	yaml       func(string) string        // gatehouse.yaml
	api        func(*samtemplate.API)     // what the template says
	contracts  authorizer.Contracts       // who may call; nil: contract
	down       bool                       // the identity provider does not answer
	gateway    func(*gateway.Config)      // how the gateway is set up
	host       string                     // that calls are for; "": the server's own
}

// stack is an example as it is deployed: its template in the emulator of API
// Gateway, its part of gatehouse.yaml in the authorizer, and an identity provider.
type stack struct {
	url  string // of the stage, without a slash at its end
	host string
	okta *standin.Server
	api  samtemplate.API // the template's, and GET /unlisted besides
	cfg  *config.Config

	mu     sync.Mutex          // guards the fields below
	clock  time.Time           // everybody's; it stands still until it is advanced
	events map[string][][]byte // that each function was sent
}

func newStack(t *testing.T, folder string, c changes) *stack {
	t.Helper()
	s := &stack{host: c.host, clock: time.Now(), events: map[string][][]byte{}, api: read(t, folder, c)}
	idp, err := s.serveOkta(t, c)
	if err != nil {
		t.Fatal(err)
	}
	if s.cfg, err = configuration(folder, idp, c); err != nil {
		t.Fatal(err)
	}
	contracts := c.contracts
	if contracts == nil {
		contracts = contract
	}
	gate, err := authorizer.New(s.cfg, provider.Environment{HTTP: fetch.NewClient(), Secrets: &secret.Manager{}, Now: s.now}, contracts)
	if err != nil {
		t.Fatal(err)
	}
	handler := gate.Handler(slog.New(slog.NewJSONHandler(t.Output(), nil)))
	functions := map[string]interface {
		Invoke(ctx context.Context, event []byte) ([]byte, error)
	}{
		s.api.Authorizers["Gatehouse"].Function: handler,
		"DemoApiFunction":                       &apigw.HTTP{Handler: demoapi.API{}.Handler(), Now: s.now},
		"TalkFunction":                          &talk.Handler{Now: s.now},
	}
	deployed := gateway.Config{API: s.api, APIID: apiID, Now: s.now, Trace: t.Output()}
	deployed.Invoke = func(ctx context.Context, function string, event []byte) ([]byte, error) {
		s.mu.Lock()
		s.events[function] = append(s.events[function], event)
		s.mu.Unlock()
		return functions[function].Invoke(ctx, event)
	}
	if c.gateway != nil {
		c.gateway(&deployed)
	}
	g, err := gateway.New(deployed)
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup // connections, too, which the server knows nothing of
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		defer served.Done()
		g.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { server.Close(); served.Wait() })
	s.url = server.URL
	if s.api.Stage != "$default" {
		s.url += "/" + s.api.Stage
	}
	return s
}

// read reads the template. To its API it adds a route that gatehouse.yaml does
// not list.
func read(t *testing.T, folder string, c changes) samtemplate.API {
	t.Helper()
	o := samtemplate.Options{Parameters: map[string]string{"AuthorizerArn": authorizerARN}, Functions: []string{authorizerARN}}
	maps.Copy(o.Parameters, c.parameters)
	if c.options != nil {
		c.options(&o)
	}
	template, err := samtemplate.Load(filepath.Join(folder, "template.yaml"), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(template.APIs) != 1 {
		t.Fatalf("%s has %d APIs", folder, len(template.APIs))
	}
	api := template.APIs[0]
	if api.Kind != samtemplate.WebSocket {
		unlisted := api.Routes[0]
		unlisted.Path = "/unlisted"
		api.Routes = append(api.Routes, unlisted)
	}
	if c.api != nil {
		c.api(&api)
	}
	return api
}

// serveOkta starts the stand-in and returns its URL.
func (s *stack) serveOkta(t *testing.T, c changes) (string, error) {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		return "", err
	}
	url := "http://localhost:" + port
	if s.okta, err = standin.New(standin.Okta{Org: url, APIToken: apiToken, Now: s.now}); err != nil {
		return "", err
	}
	server.Config.Handler = s.okta
	if c.down {
		server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	}
	server.Start()
	return url, nil
}

// configuration is gatehouse.yaml.
func configuration(folder, idp string, c changes) (*config.Config, error) {
	part, err := os.ReadFile(filepath.Join(folder, "gatehouse.yaml"))
	if err != nil {
		return nil, err
	}
	text := rest + string(part)
	if c.yaml != nil {
		text = c.yaml(text)
	}
	return config.Parse([]byte(text), func(name string) (string, bool) { return idp, name == "IDP" })
}

func (s *stack) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clock
}

func (s *stack) advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock = s.clock.Add(d)
}

// token is an access token of a client, with claims that are otherwise than usual.
func (s *stack) token(t *testing.T, client, scope string, other map[string]any) string {
	t.Helper()
	claims := s.okta.Claims(client, strings.Fields(scope)...)
	maps.Copy(claims, other)
	raw, err := s.okta.Mint(claims, nil)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// asked counts the events of a function.
func (s *stack) asked(function string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.events[function])
}

// gatehouse counts how often the authorizer was asked.
func (s *stack) gatehouse() int { return s.asked(s.api.Authorizers["Gatehouse"].Function) }

// told is what the authorizer told the function that was last invoked of the
// caller.
func (s *stack) told(t *testing.T, function string) map[string]any {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	sent := s.events[function]
	if len(sent) == 0 {
		t.Fatalf("%s was not invoked", function)
	}
	var event struct {
		Context struct {
			Authorizer map[string]any `json:"authorizer"`
		} `json:"requestContext"`
	}
	if err := json.Unmarshal(sent[len(sent)-1], &event); err != nil {
		t.Fatal(err)
	}
	if lambda, ok := event.Context.Authorizer["lambda"].(map[string]any); ok {
		return lambda
	}
	return event.Context.Authorizer
}

// call is a request and what must come back.
type call struct {
	name   string
	method string // "": GET
	path   string // "": /orders
	token  string // "": none
	header http.Header
	host   string // "": the server's own
	body   string

	status    int
	challenge string // WWW-Authenticate
	says      string // in the body
}

// try makes the call and compares.
func (s *stack) try(t *testing.T, c call) http.Header {
	t.Helper()
	if c.method == "" {
		c.method = http.MethodGet
	}
	if c.path == "" {
		c.path = "/orders"
	}
	req, err := http.NewRequestWithContext(t.Context(), c.method, s.url+c.path, strings.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(req.Header, c.header)
	req.Host = c.host
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if c.body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%d %q %s", resp.StatusCode, resp.Header.Get("WWW-Authenticate"), body)
	if resp.StatusCode != c.status || resp.Header.Get("WWW-Authenticate") != c.challenge || !strings.Contains(string(body), c.says) {
		t.Errorf("%s: got %s, want %d %q …%s…", c.name, got, c.status, c.challenge, c.says)
	}
	return resp.Header
}
