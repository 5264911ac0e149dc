package main

import (
	"net/http"
	"strings"
	"testing"
)

// outcomes are the statuses of one request to the REST API and to the HTTP API.
type outcomes struct{ rest, web int }

// Paths that some server somewhere takes for another path.
func TestPathsThatLookLikeOthers(t *testing.T) {
	t.Parallel()
	r := start(t, repositoryFiles())
	reader := []string{"Authorization", "Bearer " + r.token(t, "orders:read")}
	everything := []string{"Authorization", "Bearer " + r.token(t, "orders:read orders:write orders:admin")}
	// 403 "Missing Authentication Token" is how a REST API says that there is no
	// such route.
	noRoute := outcomes{403, 404}
	for _, row := range []struct {
		path                string
		none, reader, admin outcomes // without a token, with orders:read, with all scopes
	}{
		{"/orders", outcomes{401, 401}, outcomes{200, 200}, outcomes{200, 200}},
		{"/orders?path=/admin", outcomes{401, 401}, outcomes{200, 200}, outcomes{200, 200}},
		{"/admin/report", outcomes{401, 401}, outcomes{403, 403}, outcomes{200, 200}},
		{"/health", outcomes{200, 200}, outcomes{200, 200}, outcomes{200, 200}},
		{"/orders/", noRoute, noRoute, noRoute},
		{"/orders/1001/", noRoute, noRoute, noRoute},
		{"//orders", noRoute, noRoute, noRoute},
		{"/orders//", noRoute, noRoute, noRoute},
		{"/./orders", noRoute, noRoute, noRoute},
		{"/health/../orders", noRoute, noRoute, noRoute},
		{"/orders/../admin/report", noRoute, noRoute, noRoute},
		{"/orders/%2e%2e/admin/report", noRoute, noRoute, noRoute},
		{"/orders%2F1001", noRoute, noRoute, noRoute},
		{"/%6Frders", noRoute, noRoute, noRoute},
		{"/Orders", noRoute, noRoute, noRoute},
		{"/ORDERS/1001", noRoute, noRoute, noRoute},
		{"/orders;x=1", noRoute, noRoute, noRoute},
		{"/health/", noRoute, noRoute, noRoute},
		{"/admin", noRoute, noRoute, noRoute},
		{"/admin/", noRoute, noRoute, noRoute},
		{"/nowhere", noRoute, noRoute, noRoute},
		{"/", noRoute, noRoute, noRoute},
		// One segment to API Gateway: it is the backend that gets the odd id.
		{"/orders/1001;x", outcomes{401, 401}, outcomes{404, 404}, outcomes{404, 404}},
		{"/orders/a%0d%0ab", outcomes{401, 401}, outcomes{404, 404}, outcomes{404, 404}},
		// The demo API's mux sends such paths away, to where the gateway is asked
		// again. A REST API gives it the path as requested, an HTTP API decoded.
		{"/orders/..", outcomes{401, 401}, outcomes{307, 307}, outcomes{307, 307}},
		{"/orders/..%2Fadmin%2Freport", outcomes{401, 401}, outcomes{404, 307}, outcomes{404, 307}},
		{"/admin/../orders", outcomes{401, 401}, outcomes{403, 403}, outcomes{307, 307}},
		{"/admin/..;/orders", outcomes{401, 401}, outcomes{403, 403}, outcomes{200, 200}},
	} {
		t.Run(row.path, func(t *testing.T) {
			t.Parallel()
			for _, caller := range []struct {
				name   string
				header []string
				want   outcomes
			}{{"no token", nil, row.none}, {"orders:read", reader, row.reader}, {"all scopes", everything, row.admin}} {
				rest, web := send(t, "GET", r.REST+row.path, caller.header...), send(t, "GET", r.HTTP+row.path, caller.header...)
				if got := (outcomes{rest.status, web.status}); got != caller.want {
					t.Errorf("%s: got %+v, want %+v", caller.name, got, caller.want)
				}
				for _, got := range []response{rest, web} {
					if caller.name != "all scopes" && strings.Contains(got.body, `"page"`) {
						t.Errorf("%s: the admin page is shown: %s", caller.name, got.body)
					}
				}
			}
		})
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	r := start(t, repositoryFiles())
	reader := []string{"Authorization", "Bearer " + r.token(t, "orders:read")}
	everything := []string{"Authorization", "Bearer " + r.token(t, "orders:read orders:write orders:admin")}
	for _, row := range []struct {
		name, method, path string
		header             []string
		want               outcomes
	}{
		{"HEAD of a GET route is no route of API Gateway", "HEAD", "/orders", reader, outcomes{403, 404}},
		{"HEAD of a route for any method", "HEAD", "/admin/report", everything, outcomes{200, 200}},
		{"HEAD without the scope", "HEAD", "/admin/report", reader, outcomes{403, 403}},
		{"HEAD without a token", "HEAD", "/admin/report", nil, outcomes{401, 401}},
		{"any method", "PUT", "/admin/report", everything, outcomes{200, 200}},
		{"any method without the scope", "PUT", "/admin/report", reader, outcomes{403, 403}},
		{"a method that no route has", "PUT", "/orders", everything, outcomes{403, 404}},
		{"TRACE", "TRACE", "/admin/report", everything, outcomes{403, 404}},
		{"a method of one's own", "PURGE", "/admin/report", everything, outcomes{403, 404}},
		{"a method in lower case", "get", "/orders", reader, outcomes{403, 404}},
		{"a method that a header names", "GET", "/admin/report", append([]string{"X-HTTP-Method-Override", "POST"}, reader...), outcomes{403, 403}},
		{"OPTIONS that is no preflight", "OPTIONS", "/orders", nil, outcomes{200, 404}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got := outcomes{send(t, row.method, r.REST+row.path, row.header...).status, send(t, row.method, r.HTTP+row.path, row.header...).status}
			if got != row.want {
				t.Errorf("got %+v, want %+v", got, row.want)
			}
		})
	}
}

// The gateway goes by what was requested; what proxies in front of other
// servers write into headers changes nothing.
func TestHeadersDoNotMoveARequest(t *testing.T) {
	t.Parallel()
	r := start(t, repositoryFiles())
	header := []string{
		"Authorization", "Bearer " + r.token(t, "orders:read"), "X-Original-Url", "/health", "X-Rewrite-Url", "/orders",
		"X-Forwarded-Uri", "/orders", "X-Forwarded-Prefix", "/orders", "X-Forwarded-Host", "localhost", "X-Forwarded-For", "127.0.0.1",
	}
	for _, base := range []string{r.REST, r.HTTP} {
		if got := send(t, "GET", base+"/admin/report", header...); got.status != http.StatusForbidden {
			t.Errorf("%s: got %d", base, got.status)
		}
		if got := send(t, "GET", base+"/orders", header[2:]...); got.status != http.StatusUnauthorized {
			t.Errorf("%s without a token: got %d", base, got.status)
		}
	}
}
