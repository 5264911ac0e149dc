package gateway_test

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"testing"
	"time"

	"gatehouse/infra/local/gateway"
	"gatehouse/infra/local/samtemplate"
)

// cached gives an authorizer a TTL of a minute and other identity sources.
func cached(sources ...samtemplate.IdentitySource) func(*samtemplate.Authorizer) {
	return func(a *samtemplate.Authorizer) { a.TTL, a.IdentitySources = time.Minute, sources }
}

// get sends a request with a token and returns the status.
func (w *world) get(path, token string) int {
	r := request(http.MethodGet, path)
	r.Header.Set("Authorization", token)
	return w.send(r).Code
}

// TestCache: each step is a request and how often the authorizer has been
// asked after it.
func TestCache(t *testing.T) {
	t.Parallel()
	type step struct {
		path, token string
		after       time.Duration // before the request
		status      int
		asked       int
	}
	header := bearer[0]
	onlyOrders := says(policy(statement("Allow", "*/GET/orders")))
	simple := func(change func(*samtemplate.Authorizer)) func(*samtemplate.Authorizer) {
		return func(a *samtemplate.Authorizer) { change(a); a.Simple = true }
	}
	// ordersOnly allows GET /orders by a simple answer.
	ordersOnly := func(_ context.Context, event []byte) (string, error) {
		return `{"isAuthorized":` + strconv.FormatBool(contains(event, `"routeKey":"GET /orders",`)) + `}`, nil
	}
	for name, c := range map[string]struct {
		api        samtemplate.API
		authorizer lambda
		change     func(*gateway.Config)
		steps      []step
	}{
		"a policy is used again for another route, and evaluated again": {restAPI(cached(header)), onlyOrders, nil, []step{
			{"/v1/orders", "a", 0, 200, 1}, {"/v1/orders", "a", 0, 200, 1}, {"/v1/orders/1", "a", 0, 403, 1}, {"/v1/orders", "a", 0, 200, 1},
		}},
		"a denied request does not spoil an allowed one": {restAPI(cached(header)), onlyOrders, nil, []step{
			{"/v1/orders/1", "a", 0, 403, 1}, {"/v1/orders", "a", 0, 200, 1},
		}},
		"another token is another key": {restAPI(cached(header)), onlyOrders, nil, []step{
			{"/v1/orders", "a", 0, 200, 1}, {"/v1/orders", "b", 0, 200, 2}, {"/v1/orders", "a", 0, 200, 2},
		}},
		"an answer lasts its TTL and not longer": {restAPI(cached(header)), onlyOrders, nil, []step{
			{"/v1/orders", "a", 0, 200, 1}, {"/v1/orders", "a", time.Minute - 1, 200, 1}, {"/v1/orders", "a", 1, 200, 2},
		}},
		"a TTL of 0 caches nothing": {restAPI(nil), onlyOrders, nil, []step{
			{"/v1/orders", "a", 0, 200, 1}, {"/v1/orders", "a", 0, 200, 2},
		}},
		"without identity sources nothing is cached": {restAPI(cached()), onlyOrders, nil, []step{
			{"/v1/orders", "a", 0, 200, 1}, {"/v1/orders", "a", 0, 200, 2},
		}},
		"a deny is cached": {restAPI(cached(header)), says(policy(statement("Deny", "*"))), nil, []step{
			{"/v1/orders", "a", 0, 403, 1}, {"/v1/orders", "a", 0, 403, 1},
		}},
		"an error is not": {restAPI(cached(header)), fails("boom"), nil, []step{
			{"/v1/orders", "a", 0, 500, 1}, {"/v1/orders", "a", 0, 500, 2},
		}},
		"nor is Unauthorized": {restAPI(cached(header)), fails("Unauthorized"), nil, []step{
			{"/v1/orders", "a", 0, 401, 1}, {"/v1/orders", "a", 0, 401, 2},
		}},
		"nor is an answer that is no use": {restAPI(cached(header)), says(`{}`), nil, []step{
			{"/v1/orders", "a", 0, 500, 1}, {"/v1/orders", "a", 0, 500, 2},
		}},
		"REST: the path as an identity source separates requests": {restAPI(cached(header, samtemplate.IdentitySource{In: samtemplate.Context, Name: "resourcePath"})), onlyOrders, nil, []step{
			{"/v1/orders", "a", 0, 200, 1}, {"/v1/orders/1", "a", 0, 403, 2}, {"/v1/orders/2", "a", 0, 403, 2},
		}},
		"HTTP: a policy is evaluated again": {httpAPI(cached(header)), onlyOrders, nil, []step{
			{"/orders", "a", 0, 200, 1}, {"/orders/1", "a", 0, 403, 1},
		}},
		"HTTP: a simple yes counts for every route": {httpAPI(simple(cached(header))), ordersOnly, nil, []step{
			{"/orders", "a", 0, 200, 1}, {"/orders/1", "a", 0, 200, 1}, {"/admin/x", "a", 0, 200, 1},
		}},
		"HTTP: a simple no counts for every route": {httpAPI(simple(cached(header))), ordersOnly, nil, []step{
			{"/orders/1", "a", 0, 403, 1}, {"/orders", "a", 0, 403, 1},
		}},
		"HTTP: the route's key separates simple answers": {httpAPI(simple(cached(header, samtemplate.IdentitySource{In: samtemplate.Context, Name: "routeKey"}))), ordersOnly, nil, []step{
			{"/orders", "a", 0, 200, 1}, {"/orders/1", "a", 0, 403, 2}, {"/orders", "a", 0, 200, 2}, {"/orders/2", "a", 0, 403, 2},
		}},
		"HTTP: a TTL the template leaves out is 0": {httpAPI(func(a *samtemplate.Authorizer) { a.TTL = samtemplate.TTLOmitted }), onlyOrders, nil, []step{
			{"/orders", "a", 0, 200, 1}, {"/orders", "a", 0, 200, 2},
		}},
		"HTTP: or a switch": {httpAPI(func(a *samtemplate.Authorizer) { a.TTL = samtemplate.TTLOmitted }), onlyOrders, func(c *gateway.Config) { c.Unsettled.OmittedTTL = time.Minute }, []step{
			{"/orders", "a", 0, 200, 1}, {"/orders", "a", 0, 200, 1}, {"/orders", "a", time.Minute, 200, 2},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
			w := newWorld(t, c.api, c.authorizer, func(cfg *gateway.Config) {
				cfg.Now = now.Now
				if c.change != nil {
					c.change(cfg)
				}
			})
			for i, s := range c.steps {
				now.advance(s.after)
				if got := w.get(s.path, s.token); got != s.status {
					t.Errorf("step %d, %s: got %d, want %d", i+1, s.path, got, s.status)
				}
				if got := w.asked("Authorizer"); got != s.asked {
					t.Errorf("step %d, %s: the authorizer was asked %d times, want %d", i+1, s.path, got, s.asked)
				}
			}
		})
	}
}

// TestCacheKeysDoNotRunTogether: two sources cannot be shifted into each other.
func TestCacheKeysDoNotRunTogether(t *testing.T) {
	t.Parallel()
	sources := []samtemplate.IdentitySource{{In: samtemplate.QueryString, Name: "a"}, {In: samtemplate.QueryString, Name: "b"}}
	w := newWorld(t, restAPI(cached(sources...)), says(allowAll), nil)
	for i, query := range []string{"a=1&b=23", "a=12&b=3", "a=1%001&b=3", "a=1&b=1%003", "a=1,2&b=3", "a=1&b=2,3"} {
		if got := w.get("/v1/orders?"+query, "t"); got != 200 {
			t.Errorf("%s: got %d, want 200", query, got)
		}
		if got := w.asked("Authorizer"); got != i+1 {
			t.Errorf("%s: the authorizer was asked %d times, want %d", query, got, i+1)
		}
	}
}

// TestCacheIsPerAuthorizer: what one authorizer allowed says nothing about a
// route of another.
func TestCacheIsPerAuthorizer(t *testing.T) {
	t.Parallel()
	api := restAPI(cached(bearer...))
	second := api.Authorizers["Auth"]
	second.Function = "Second"
	api.Authorizers["Second"] = second
	api.Routes = append(api.Routes, samtemplate.Route{Method: "GET", Path: "/other", Function: "Backend", Authorizer: "Second"})
	w := newWorld(t, api, says(allowAll), func(cfg *gateway.Config) {
		next := cfg.Invoke
		cfg.Invoke = func(ctx context.Context, function string, event []byte) ([]byte, error) {
			if function == "Second" {
				return nil, errors.New("Unauthorized")
			}
			return next(ctx, function, event)
		}
	})
	if got := w.get("/v1/orders", "a"); got != 200 {
		t.Errorf("got %d, want 200", got)
	}
	if got := w.get("/v1/other", "a"); got != 401 {
		t.Errorf("got %d, want 401", got)
	}
}
