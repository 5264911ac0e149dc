package authorizer_test

import (
	"strings"
	"testing"

	"gatehouse/shared/apigw"
	"gatehouse/shared/authorizer"
	"gatehouse/shared/config"
	"gatehouse/shared/fetch"
	"gatehouse/shared/provider"
)

// overrides are headers by which proxies and frameworks let callers say that a
// request is another than it is.
var overrides = map[string]string{
	"X-HTTP-Method-Override": "GET",
	"X-Original-URL":         "/orders",
	"X-Rewrite-URL":          "/orders",
	"X-Forwarded-Uri":        "/orders",
	"X-Forwarded-Method":     "GET",
	"X-Forwarded-Host":       "orders.example.com",
	"X-Forwarded-Prefix":     "/orders",
	"Host":                   "orders.example.com",
}

func TestTheRouteIsAPIGatewaysAndTheMethodThatOfTheRequest(t *testing.T) {
	t.Parallel()
	s := newSite(t, orders)
	reader, admin := s.token("orders:read"), s.token("orders:admin")
	platform := s.minted(map[string]any{"groups": []string{"sales", "platform"}})
	for _, row := range []struct {
		name             string
		raw              string
		method, template string
		reason           string
	}{
		{"a route with the scope", reader, "GET", "/orders", "allowed"},
		{"another of its routes", reader, "GET", "/orders/{id}", "allowed"},
		{"the name of a parameter does not matter", reader, "GET", "/orders/{number}", "allowed"},
		{"HEAD needs what GET needs", reader, "HEAD", "/orders", "allowed"},
		{"HEAD of a route that the token does not open", admin, "HEAD", "/orders", "insufficient_scope"},
		{"only one of two scopes", reader, "POST", "/orders", "insufficient_scope"},
		{"either of two scopes", admin, "GET", "/orders/{id}", "allowed"},
		{"any method", admin, "DELETE", "/admin/{proxy+}", "allowed"},
		{"OPTIONS is a method like the others", admin, "OPTIONS", "/admin/{proxy+}", "allowed"},
		{"OPTIONS without a token's scope", reader, "OPTIONS", "/admin/{proxy+}", "insufficient_scope"},
		{"a claim with one of the values", platform, "GET", "/reports/{name}", "allowed"},
		{"no such claim", reader, "GET", "/reports/{name}", "insufficient_claim"},
		{"a route for nobody", admin, "GET", "/closed", "route_refused"},
		{"a method that is not listed", reader, "PATCH", "/orders", "route_not_listed"},
		{"a template that is not listed", admin, "GET", "/admin", "route_not_listed"},
		{"a method that API Gateway does not route by", reader, "PURGE", "/orders", "route_not_listed"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for _, shape := range []apigw.Shape{apigw.RESTRequest, apigw.HTTP1, apigw.HTTP2} {
				r := bearer(row.raw).to(row.method, row.template).at(strings.NewReplacer("{id}", "7", "{number}", "7", "{name}", "x", "{proxy+}", "a/b").Replace(row.template)).as(shape)
				a := s.ask(t, r)
				if reason := a.line["reason"]; reason != row.reason || a.allows() != (row.reason == "allowed") {
					t.Errorf("%v: got %v, allowed %t; want %s", shape, reason, a.allows(), row.reason)
				}
				r.headers = overrides
				if b := s.ask(t, r); string(b.body) != string(a.body) {
					t.Errorf("%v: headers change the answer from %s to %s", shape, a.body, b.body)
				}
			}
		})
	}
}

// A TOKEN event and the $default route of an HTTP API name no template: the
// path is all there is, and it is compared as it was requested.
func TestPathsAreNotNormalised(t *testing.T) {
	t.Parallel()
	s := newSite(t, orders)
	raw := s.token("orders:read", "orders:admin")
	for _, row := range []struct{ path, reason string }{
		{"/orders", "allowed"},
		{"/orders/7", "allowed"},
		{"/orders/7%2F8", "allowed"}, // one segment, whatever it decodes to
		{"/orders/a:b;c=1", "allowed"},
		{"/admin/x", "allowed"},
		{"/admin/x/../y", "allowed"}, // below /admin/ as requested, and nothing else is open there
		{"/orders/", "route_not_listed"},
		{"//orders", "route_not_listed"},
		{"/orders//", "route_not_listed"},
		{"/./orders", "route_not_listed"},
		{"/x/../orders", "route_not_listed"},
		{"/Orders", "route_not_listed"},
		{"/ORDERS/7", "route_not_listed"},
		{"/%6Frders", "route_not_listed"},
		{"/orders%2F7", "route_not_listed"},
		{"/orders%2f7", "route_not_listed"},
		{"/orders%3Fx", "route_not_listed"},
		{"/orders;x", "route_not_listed"},
		{"/orders\x00", "route_not_listed"},
		{"/orders#x", "route_not_listed"},
		{"/orders/7/items", "route_not_listed"},
		{"/admin", "route_not_listed"},
		{"/admin/", "route_not_listed"},
		{"/closed", "route_refused"},
		{"/", "route_not_listed"},
	} {
		t.Run(row.path, func(t *testing.T) {
			t.Parallel()
			for _, shape := range []apigw.Shape{apigw.RESTToken, apigw.HTTP2} {
				a := s.ask(t, bearer(raw).to("GET", "$default").at(row.path).as(shape))
				if reason := a.line["reason"]; reason != row.reason || a.allows() != (row.reason == "allowed") {
					t.Errorf("%v: got %v, allowed %t; want %s", shape, reason, a.allows(), row.reason)
				}
			}
		})
	}
}

// Where API Gateway has matched a template, that is the route, however it came
// to match the path.
func TestTheTemplateGoesBeforeThePath(t *testing.T) {
	t.Parallel()
	s := newSite(t, orders)
	raw := s.token("orders:read")
	for _, row := range []struct{ name, template, path, reason string }{
		// The token opens the route; the document, which names /orders, does not
		// open /orders/.
		{"a slash that was ignored", "/orders", "/orders/", "allowed"},
		{"a path that is none of ours", "/unlisted", "/orders", "route_not_listed"},
		{"a path that another route has", "/admin/{proxy+}", "/orders", "insufficient_scope"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for _, shape := range []apigw.Shape{apigw.RESTRequest, apigw.HTTP1, apigw.HTTP2} {
				a := s.ask(t, bearer(raw).to("GET", row.template).at(row.path).as(shape))
				if a.line["reason"] != row.reason || a.allows() {
					t.Errorf("%v: got %v, allowed %t; want %s and no access", shape, a.line["reason"], a.allows(), row.reason)
				}
			}
		})
	}
}

// What the caller writes into the path becomes part of no pattern.
func TestThePathIsNoPattern(t *testing.T) {
	t.Parallel()
	s := newSite(t, orders)
	raw := s.token("orders:read")
	for _, path := range []string{"/*", "/orders/*", "/orders/?", "/orders/${aws:username}", "/orders/${*}", `/orders/"],"Action":"*`} {
		for _, shape := range []apigw.Shape{apigw.RESTToken, apigw.HTTP2} {
			a := s.ask(t, bearer(raw).to("GET", "$default").at(path).as(shape))
			for _, rest := range []string{"POST/orders", "GET/admin/x", "GET/closed", "GET/unlisted", "DELETE/orders/1"} {
				if a.allowsRoute(rest) {
					t.Errorf("%v: the answer to %s allows %s: %s", shape, path, rest, a.document)
				}
			}
		}
	}
}

// Wildcards stay within the stage that asked.
func TestAnAnswerIsForOneStageOfOneAPI(t *testing.T) {
	t.Parallel()
	s := newSite(t, orders)
	a := s.ask(t, bearer(s.token("orders:read", "orders:write", "orders:admin")))
	if !a.allows() {
		t.Fatalf("refused: %s", a.body)
	}
	for _, arn := range []string{
		"arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/v2/GET/orders",
		"arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/v1x/GET/orders",
		"arn:aws:execute-api:eu-west-1:123456789012:zzzzzzzzzz/v1/GET/orders",
		"arn:aws:execute-api:eu-west-1:999999999999:a1b2c3d4e5/v1/GET/orders",
		"arn:aws:execute-api:us-east-1:123456789012:a1b2c3d4e5/v1/GET/orders",
		"arn:aws-cn:execute-api:eu-west-1:123456789012:a1b2c3d4e5/v1/GET/orders",
	} {
		if a.allowsARN(arn) {
			t.Errorf("%s is allowed by %s", arn, a.document)
		}
	}
}

// Which API it is, API Gateway says; a contradiction is nobody's decision.
func TestFindTheAPI(t *testing.T) {
	t.Parallel()
	const apis = `
resultCache: 60s
providers:
  - {name: okta, type: okta, issuer: "${IDP}/oauth2/default", audiences: ["api://default"]}
apis:
  - {name: orders, providers: [okta], contract: none, match: {stageVariable: orders, apiIds: [a1b2c3d4e5], domains: [orders.example.com]}, routes: [{route: GET /orders}]}
  - {name: bills, providers: [okta], contract: none, match: {stageVariable: bills, apiIds: [f6g7h8i9j0], domains: [bills.example.com]}, routes: [{route: GET /bills}]}
`
	const none = "none"
	s := newSite(t, apis)
	raw := s.token()
	for _, row := range []struct {
		name    string
		request request
		api     string // "": an error
	}{
		{"by the stage variable", request{variable: "bills", apiID: none}, "bills"},
		{"by the API's id", request{variable: none, apiID: "f6g7h8i9j0"}, "bills"},
		{"by the domain", request{variable: none, apiID: none, domain: "bills.example.com"}, "bills"},
		{"by all of them", request{variable: "bills", apiID: "f6g7h8i9j0", domain: "bills.example.com"}, "bills"},
		{"by what is known, whatever the domain", request{variable: "bills", apiID: none, domain: "other.example.com"}, "bills"},
		{"nothing is known", request{variable: none, apiID: none}, ""},
		{"a stage variable in another case", request{variable: "Bills", apiID: none}, ""},
		{"the variable and the id contradict each other", request{variable: "bills", apiID: "a1b2c3d4e5"}, ""},
		{"the domain and the id contradict each other", request{variable: none, apiID: "a1b2c3d4e5", domain: "bills.example.com"}, ""},
		{"a TOKEN event goes by the id", request{shape: apigw.RESTToken, variable: "orders", apiID: "f6g7h8i9j0"}, "bills"},
		{"a TOKEN event of another API", request{shape: apigw.RESTToken, variable: "bills", apiID: none}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := row.request.to("GET", "/bills")
			r.authorization = []string{"Bearer " + raw}
			a := s.ask(t, r)
			if row.api == "" {
				wantError(t, a, apigw.ErrUnavailable)
				if a.line["outcome"] != "failed" || a.line["cause"] == nil {
					t.Errorf("log: got %v", a.line)
				}
				return
			}
			if a.line["api"] != row.api || !a.allows() {
				t.Errorf("got %v, allowed %t", a.line["api"], a.allows())
			}
		})
	}
}

// The API that is alone needs no name.
func TestTheOnlyAPI(t *testing.T) {
	t.Parallel()
	s := newSite(t, muleSoft)
	if a := s.ask(t, request{variable: "whatever", apiID: "zzzzzzzzzz", authorization: []string{"Bearer " + s.token("orders:read")}}); !a.allows() {
		t.Errorf("got %v, %s", a.err, a.body)
	}
}

// The request context describes the method that the ARN names, or nobody knows
// what is asked.
func TestAnEventThatContradictsItselfIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, orders)
	handler := s.gate.Handler(nil)
	event := string(bearer(s.token("orders:read")).event(t))
	for old, replacement := range map[string]string{
		`"stage":"v1"`:          `"stage":"v2"`,
		`"apiId":"a1b2c3d4e5"`:  `"apiId":"f6g7h8i9j0"`,
		`"httpMethod":"GET"`:    `"httpMethod":"DELETE"`,
		`execute-api:eu-west-1`: `lambda:eu-west-1`,
		`/v1/GET/orders`:        `/v1/*/orders`,
	} {
		changed := strings.ReplaceAll(event, old, replacement)
		if changed == event {
			t.Fatalf("%s is not in the event", old)
		}
		body, err := handler.Invoke(t.Context(), []byte(changed))
		if err != apigw.ErrEvent || body != nil { //nolint:errorlint // wrapped would be wrong
			t.Errorf("%s: got %s, %v", replacement, body, err)
		}
	}
}

// Whatever comes in, nothing is allowed without a token and nothing panics.
func FuzzInvoke(f *testing.F) {
	for _, shape := range shapes {
		f.Add(shape.of(request{authorization: []string{"Bearer a.b.c"}}).event(f))
		f.Add(shape.of(request{query: []string{"a"}}).event(f))
	}
	f.Add([]byte(`{"type":"REQUEST","methodArn":null,"headers":null,"requestContext":null}`))
	cfg, err := config.Parse([]byte(orders), func(string) (string, bool) { return "http://localhost:9", true })
	if err != nil {
		f.Fatal(err)
	}
	gate, err := authorizer.New(cfg, provider.Environment{HTTP: fetch.NewClient()}, nil)
	if err != nil {
		f.Fatal(err)
	}
	handler := gate.Handler(nil)
	f.Fuzz(func(t *testing.T, event []byte) {
		body, err := handler.Invoke(t.Context(), event)
		switch {
		case err == nil:
			a := answer{t: t, body: body}
			a.read()
			if a.simple != nil && *a.simple || a.policy != nil && a.allowsRoute("GET/orders") {
				t.Errorf("allowed: %s", body)
			}
		case err != apigw.ErrUnauthorized && err != apigw.ErrUnavailable && err != apigw.ErrEvent: //nolint:errorlint // wrapped would be wrong
			t.Errorf("error: got %v", err)
		}
	})
}
