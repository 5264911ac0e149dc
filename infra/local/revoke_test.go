package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/infra/local/gateway"
	"gatehouse/infra/local/samtemplate"
	"gatehouse/infra/tooltest"
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

// clocked is the system around a clock that tests set.
type clocked struct {
	t         *testing.T
	ns        atomic.Int64
	okta      *standin.Server
	template  *samtemplate.Template
	cfg       *config.Config
	contracts authorizer.Contracts
	gate      *authorizer.Authorizer
}

func (c *clocked) now() time.Time { return time.Unix(0, c.ns.Load()) }

// machine is the authorizer's clock. It runs in a Lambda that is frozen whenever
// time passes.
func (c *clocked) machine() time.Time { return thawed(c.now()) }

// newClocked is the deployed configuration, some of its text replaced.
func newClocked(t *testing.T, contracts authorizer.Contracts, replace ...string) *clocked {
	t.Helper()
	c, _ := newClockedBehind(t, nil, contracts, replace...)
	return c
}

// newClockedBehind is one whose provider is reached by a wire of a proxy's; nil:
// directly.
func newClockedBehind(t *testing.T, proxy *tooltest.Toxiproxy, contracts authorizer.Contracts, replace ...string) (*clocked, *tooltest.Wire) {
	t.Helper()
	c := &clocked{t: t, contracts: contracts}
	c.ns.Store(time.Unix(1_800_000_000, 0).UnixNano())
	idp := httptest.NewUnstartedServer(nil)
	var wire *tooltest.Wire
	if proxy != nil {
		idp.Listener, wire = proxy.Behind(t, idp.Listener)
	}
	org := "http://" + idp.Listener.Addr().String()
	var err error
	if c.okta, err = standin.New(standin.Okta{Org: org, Now: c.now, Clients: []standin.Client{{ID: "gate", Secret: "gate-secret"}}}); err != nil {
		t.Fatal(err)
	}
	idp.Config.Handler = c.okta
	idp.Start()
	t.Cleanup(idp.Close)

	if c.template, err = load(repositoryFiles()); err != nil {
		t.Fatal(err)
	}
	environment := c.template.Functions[authorizerFunction].Environment
	environment["OIDC_ISSUER"] = org + "/oauth2/default"
	text, err := os.ReadFile(repositoryFiles().Config)
	if err != nil {
		t.Fatal(err)
	}
	c.cfg, err = config.Parse([]byte(strings.NewReplacer(replace...).Replace(string(text))), lookup(environment))
	if err != nil {
		t.Fatal(err)
	}
	c.restart()
	return c, wire
}

// restart has the authorizer start anew. It knows no keys.
func (c *clocked) restart() {
	c.t.Helper()
	var err error
	if c.gate, err = authorizer.New(c.cfg, provider.Environment{HTTP: fetch.NewClient(), Secrets: &secret.Manager{}, Now: c.machine}, c.contracts); err != nil {
		c.t.Fatal(err)
	}
}

// token is one of the walk-through's application.
func (c *clocked) token() string {
	c.t.Helper()
	raw, err := c.okta.Mint(c.okta.Claims(appID, "orders:read"), nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return raw
}

// orders are the APIs of the template but Gatehouse's own.
func (c *clocked) orders() []samtemplate.API {
	return slices.DeleteFunc(slices.Clone(c.template.APIs), func(a samtemplate.API) bool {
		return a.StageVariables["gatehouse"] == config.BuiltInAPI
	})
}

// gateway is API Gateway in front of one of the APIs.
func (c *clocked) gateway(api samtemplate.API) *gateway.Gateway {
	c.t.Helper()
	demo := &apigw.HTTP{Handler: demoapi.API{}.Handler()}
	g, err := gateway.New(gateway.Config{API: api, Now: c.now, Invoke: func(ctx context.Context, function string, event []byte) ([]byte, error) {
		if function == authorizerFunction {
			return c.gate.Handler(nil).Invoke(ctx, event)
		}
		return demo.Invoke(ctx, event)
	}})
	if err != nil {
		c.t.Fatal(err)
	}
	return g
}

// works asks for the orders, and reports whether they came.
func (c *clocked) works(g http.Handler, api samtemplate.API, raw string) bool {
	c.t.Helper()
	return c.asks(g, api, raw).Code == http.StatusOK
}

// asks asks for the orders.
func (c *clocked) asks(g http.Handler, api samtemplate.API, raw string) *httptest.ResponseRecorder {
	c.t.Helper()
	path := "/orders"
	if api.Stage != "$default" {
		path = "/" + api.Stage + path
	}
	req := httptest.NewRequestWithContext(c.t.Context(), http.MethodGet, path, http.NoBody)
	req.Header.Set("Authorization", "Bearer "+raw)
	w := httptest.NewRecorder()
	g.ServeHTTP(w, req)
	return w
}

// An expired token works at most as long as the leeway and API Gateway's result
// cache together: less than two minutes with the defaults, which the README
// promises and check prints.
func TestTimeToRevoke(t *testing.T) {
	t.Parallel()
	c := newClocked(t, nil, "contract: required", "contract: none")
	for _, api := range c.orders() {
		g, raw := c.gateway(api), c.token()
		begin := c.now()
		var worked time.Duration // after exp, which is an hour away
		// Asked once a second from then on, the authorizer is asked for the last
		// time that it allows in the last second of the leeway.
		for second := 3600 + 59 - 2*60; second < 3600+5*60; second++ {
			c.ns.Store(begin.Add(time.Duration(second) * time.Second).UnixNano())
			if c.works(g, api, raw) {
				worked = time.Duration(second-3600) * time.Second
			}
		}
		if want := 118 * time.Second; worked != want {
			t.Errorf("%s: the token works for %v after it has expired, want %v at worst", api.LogicalID, worked, want)
		}
	}
}

// A revoked contract works at most as long as the authorizer's cache of
// contracts and API Gateway's result cache together: less than two minutes with
// the defaults, which the README promises and check prints.
func TestTimeToRevokeAContract(t *testing.T) {
	t.Parallel()
	var status atomic.Value
	c := newClocked(t, func(_ context.Context, k registry.ContractKey) (registry.Contract, error) {
		s, _ := status.Load().(registry.Status)
		return registry.Contract{Provider: k.Provider, ClientID: k.ClientID, API: k.API, Status: s}, nil
	})
	for _, api := range c.orders() {
		g, first, second := c.gateway(api), c.token(), c.token()
		status.Store(registry.Approved)
		begin := c.now()
		if !c.works(g, api, first) {
			t.Fatalf("%s: the contract does not work", api.LogicalID)
		}
		status.Store(registry.Revoked)
		var worked time.Duration
		// At worst another token comes when the authorizer believes the contract
		// for the last second, and API Gateway then believes the authorizer.
		for n := 59; n < 5*60; n++ {
			c.ns.Store(begin.Add(time.Duration(n) * time.Second).UnixNano())
			if c.works(g, api, second) {
				worked = time.Duration(n) * time.Second
			}
		}
		if want := 118 * time.Second; worked != want {
			t.Errorf("%s: the contract works for %v after it was revoked, want %v at worst", api.LogicalID, worked, want)
		}
		c.ns.Store(begin.Add(time.Hour / 2).UnixNano())
	}
}
