package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/infra/local/gateway"
	"gatehouse/shared/apigw"
	"gatehouse/shared/authorizer"
	"gatehouse/shared/config"
	"gatehouse/shared/demoapi"
	"gatehouse/shared/fetch"
	"gatehouse/shared/provider"
	"gatehouse/shared/standin"
)

// An expired token works at most as long as the leeway and API Gateway's result
// cache together: less than two minutes with the defaults, which the README
// promises and check prints.
func TestTimeToRevoke(t *testing.T) {
	t.Parallel()
	var ns atomic.Int64
	ns.Store(time.Unix(1_800_000_000, 0).UnixNano())
	now := func() time.Time { return time.Unix(0, ns.Load()) }

	idp := httptest.NewUnstartedServer(nil)
	org := "http://" + idp.Listener.Addr().String()
	okta, err := standin.New(standin.Okta{Org: org, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	idp.Config.Handler = okta
	idp.Start()
	t.Cleanup(idp.Close)

	template, err := load(repositoryFiles())
	if err != nil {
		t.Fatal(err)
	}
	environment := template.Functions[authorizerFunction].Environment
	environment["OIDC_ISSUER"] = org + "/oauth2/default"
	cfg, err := config.Load(repositoryFiles().Config, lookup(environment))
	if err != nil {
		t.Fatal(err)
	}
	gate, err := authorizer.New(cfg, provider.Environment{HTTP: fetch.NewClient(nil), Now: now}, nil)
	if err != nil {
		t.Fatal(err)
	}
	demo := &apigw.HTTP{Handler: demoapi.API{}.Handler()}
	for _, api := range template.APIs {
		g, err := gateway.New(gateway.Config{API: api, Now: now, Invoke: func(ctx context.Context, function string, event []byte) ([]byte, error) {
			if function == authorizerFunction {
				return gate.Handler(nil).Invoke(ctx, event)
			}
			return demo.Invoke(ctx, event)
		}})
		if err != nil {
			t.Fatal(err)
		}
		raw, err := okta.Mint(okta.Claims(appID, "orders:read"), nil)
		if err != nil {
			t.Fatal(err)
		}
		path := "/orders"
		if api.Stage != "$default" {
			path = "/" + api.Stage + path
		}
		begin := now()
		var worked time.Duration // after exp, which is an hour away
		// Asked once a second from then on, the authorizer is asked for the last
		// time that it allows in the last second of the leeway.
		for second := 3600 + 59 - 2*60; second < 3600+5*60; second++ {
			ns.Store(begin.Add(time.Duration(second) * time.Second).UnixNano())
			req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody)
			req.Header.Set("Authorization", "Bearer "+raw)
			w := httptest.NewRecorder()
			g.ServeHTTP(w, req)
			if w.Code == http.StatusOK {
				worked = time.Duration(second-3600) * time.Second
			}
		}
		if want := 118 * time.Second; worked != want {
			t.Errorf("%s: the token works for %v after it has expired, want %v at worst", api.LogicalID, worked, want)
		}
	}
}
