package authorizer_test

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/shared/apigw"
	"gatehouse/shared/authorizer"
	"gatehouse/shared/config"
	"gatehouse/shared/fetch"
	"gatehouse/shared/oauth"
	"gatehouse/shared/provider"
	"gatehouse/shared/standin"
)

// FuzzDecide sends a good token, for which TOKEN stands, in any way for any route.
// It counts only as the one bearer token of the request and opens the routes of its
// scope alone, whatever the path is made of.
func FuzzDecide(f *testing.F) {
	for n := range shapes {
		f.Add(uint8(n), uint8(0), "GET", "7", "Bearer TOKEN", "")
		f.Add(uint8(n), uint8(1), "GET", "*", "bearer  TOKEN", "")
		f.Add(uint8(n), uint8(1), "HEAD", "%2F..", "Bearer TOKEN ", "")
		f.Add(uint8(n), uint8(2), "DELETE", "a?b", "Bearer TOKEN,Bearer TOKEN", "")
		f.Add(uint8(n), uint8(3), "GET", `"`, "TOKEN", "TOKEN")
		f.Add(uint8(n), uint8(4), "POST", "${*}", "Bearer x", "TOKEN")
	}
	handler, raw := handlerWithToken(f)
	f.Fuzz(func(t *testing.T, shape, route uint8, method, part, header, query string) {
		if part == "" || len(method) == 0 || strings.ContainsAny(method, "/*?") {
			return
		}
		template := []string{"/orders", "/orders/{id}", "/admin/{proxy+}", "/reports/{name}", "/closed"}[route%5]
		r := request{authorization: []string{strings.ReplaceAll(header, "TOKEN", raw)}}.to(method, template)
		if query != "" {
			r.query = []string{strings.ReplaceAll(query, "TOKEN", raw)}
		}
		r = shapes[int(shape)%len(shapes)].of(r.at(strings.NewReplacer("{id}", "", "{proxy+}", "", "{name}", "").Replace(template)))
		if strings.HasSuffix(r.path, "/") {
			r.path += strings.ReplaceAll(part, "/", "x")
		}
		body, err := handler.Invoke(t.Context(), r.event(t))
		a := answer{t: t, request: r, err: err, body: body}
		a.read()
		if strings.Contains(string(body), raw) {
			t.Fatalf("the answer repeats the token: %s", body)
		}
		if a.policy != nil && (a.allowsRoute("POST/orders") || a.allowsRoute("DELETE/admin/x") || a.allowsRoute("GET/closed") || a.allowsRoute("GET/reports/x")) {
			t.Fatalf("%q for %s %s opens other routes: %s", header, method, r.path, body)
		}
		if !a.allows() {
			return
		}
		sent, err := oauth.ParseBearer(r.authorization[0])
		if err != nil || sent != raw || query != "" && r.shape != apigw.RESTToken {
			t.Fatalf("allowed with %q and %q", header, query)
		}
		if r.shape != apigw.WebSocket && (route%5 > 1 || !slices.Contains([]string{"GET", "HEAD"}, method)) {
			t.Fatalf("allowed: %s %s", method, r.path)
		}
	})
}

// handlerWithToken is an authorizer of the configuration orders, and a token with
// the scope orders:read.
func handlerWithToken(f *testing.F) (handler *apigw.Authorizer, raw string) {
	f.Helper()
	keys, err := signingKeys()
	if err != nil {
		f.Fatal(err)
	}
	at := time.Unix(1_800_000_000, 0)
	server := httptest.NewUnstartedServer(nil)
	base := "http://" + server.Listener.Addr().String()
	idp, err := standin.New(standin.Okta{
		Org: base, AuthorizationServers: []standin.AuthorizationServer{{ID: "default"}}, Keys: keys[:1], Now: func() time.Time { return at },
		Clients: []standin.Client{{ID: "app", Secret: "app-secret", GrantTypes: []string{standin.ClientCredentials}}},
	})
	if err != nil {
		f.Fatal(err)
	}
	server.Config.Handler = idp
	server.Start()
	f.Cleanup(server.Close)
	cfg, err := config.Parse([]byte(orders), func(string) (string, bool) { return base, true })
	if err != nil {
		f.Fatal(err)
	}
	gate, err := authorizer.New(cfg, provider.Environment{HTTP: fetch.NewClient(), Now: func() time.Time { return at }}, nil)
	if err != nil {
		f.Fatal(err)
	}
	if raw, err = idp.Mint(idp.Claims("app", "orders:read"), nil); err != nil {
		f.Fatal(err)
	}
	return gate.Handler(nil), raw
}
