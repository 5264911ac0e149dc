package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/infra/local/gateway"
	"gatehouse/infra/local/samtemplate"
)

// world is one gateway with functions that answer what a test tells them.
type world struct {
	*gateway.Gateway

	mu     sync.Mutex          // guards events
	events map[string][][]byte // events each function was sent, by its logical id

	trace bytes.Buffer // read it only after the requests
}

// lambda answers an event with JSON.
type lambda func(ctx context.Context, event []byte) (string, error)

// says is a function that always answers the same.
func says(answer string) lambda {
	return func(context.Context, []byte) (string, error) { return answer, nil }
}

// fails is a function that always fails with the same message.
func fails(message string) lambda {
	return func(context.Context, []byte) (string, error) { return "", errors.New(message) }
}

// newWorld makes a gateway for api whose authorizers answer as given and whose
// other functions say hello; change may alter its configuration.
func newWorld(t *testing.T, api samtemplate.API, authorizer lambda, change func(*gateway.Config)) *world {
	t.Helper()
	w := &world{events: map[string][][]byte{}}
	cfg := gateway.Config{
		API:       api,
		AccountID: "123456789012",
		Region:    "eu-west-1",
		APIID:     "abc123",
		Trace:     &w.trace,
		Invoke: func(ctx context.Context, function string, event []byte) ([]byte, error) {
			w.mu.Lock()
			w.events[function] = append(w.events[function], event)
			w.mu.Unlock()
			answer := says(`{"statusCode":200,"headers":{"Content-Type":"text/plain"},"body":"hello"}`)
			if function == "Authorizer" {
				answer = authorizer
			}
			s, err := answer(ctx, event)
			return []byte(s), err
		},
	}
	if change != nil {
		change(&cfg)
	}
	g, err := gateway.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.Gateway = g
	return w
}

// asked counts the events a function was sent.
func (w *world) asked(function string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.events[function])
}

// event is the last event a function was sent.
func (w *world) event(t *testing.T, function string) []byte {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	sent := w.events[function]
	if len(sent) == 0 {
		t.Fatalf("%s was not invoked", function)
	}
	return sent[len(sent)-1]
}

// request is a request with a token.
func request(method, target string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	r.Header.Set("Authorization", "Bearer abc")
	return r
}

// send sends r and returns the response.
func (w *world) send(r *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	return rec
}

// routes are those of both kinds of API in these tests.
func routes(payload string) []samtemplate.Route {
	return []samtemplate.Route{
		{Method: "GET", Path: "/orders", Function: "Backend", Authorizer: "Auth", PayloadFormat: payload},
		{Method: "POST", Path: "/orders", Function: "Backend", Authorizer: "Auth", PayloadFormat: payload},
		{Method: "GET", Path: "/orders/{id}", Function: "Backend", Authorizer: "Auth", PayloadFormat: payload},
		{Method: "ANY", Path: "/admin/{proxy+}", Function: "Backend", Authorizer: "Auth", PayloadFormat: payload},
		{Method: "GET", Path: "/health", Function: "Backend", PayloadFormat: payload},
	}
}

var bearer = []samtemplate.IdentitySource{{In: samtemplate.Header, Name: "Authorization"}}

// restAPI is a REST API, stage v1, with a REQUEST authorizer; change may alter it.
func restAPI(change func(*samtemplate.Authorizer)) samtemplate.API {
	a := samtemplate.Authorizer{Kind: samtemplate.Request, Function: "Authorizer", IdentitySources: bearer}
	if change != nil {
		change(&a)
	}
	return samtemplate.API{
		LogicalID: "Rest", Kind: samtemplate.REST, Stage: "v1", StageVariables: map[string]string{"gatehouse": "orders"},
		Routes: routes(""), Authorizers: map[string]samtemplate.Authorizer{"Auth": a},
	}
}

// httpAPI is an HTTP API, stage $default, with an authorizer of payload 2.0
// that answers with a policy; change may alter it.
func httpAPI(change func(*samtemplate.Authorizer)) samtemplate.API {
	a := samtemplate.Authorizer{Kind: samtemplate.Request, Function: "Authorizer", PayloadVersion: "2.0", IdentitySources: bearer}
	if change != nil {
		change(&a)
	}
	return samtemplate.API{
		LogicalID: "Http", Kind: samtemplate.HTTP, Stage: "$default", StageVariables: map[string]string{"gatehouse": "orders"},
		Routes: routes("2.0"), Authorizers: map[string]samtemplate.Authorizer{"Auth": a},
	}
}

const restARN = "arn:aws:execute-api:eu-west-1:123456789012:abc123/v1/"

const httpARN = "arn:aws:execute-api:eu-west-1:123456789012:abc123/$default/"

// statement is one statement of a policy.
func statement(effect, resource string) string {
	return `{"Action":"execute-api:Invoke","Effect":"` + effect + `","Resource":"` + resource + `"}`
}

// policy is an authorizer's answer with a policy of statements.
func policy(statements ...string) string { return policyWith(`{}`, statements...) }

// policyWith is policy with a context.
func policyWith(context string, statements ...string) string {
	return `{"principalId":"user","policyDocument":{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]},"context":` + context + `}`
}

// allowAll allows whatever is asked for.
var allowAll = policy(statement("Allow", "*"))

// check compares a response with a status and a body.
func check(t *testing.T, rec *httptest.ResponseRecorder, status int, body string) {
	t.Helper()
	if rec.Code != status || rec.Body.String() != body {
		t.Errorf("got %d %s, want %d %s", rec.Code, rec.Body.String(), status, body)
	}
}

// clock is a time that a test moves.
type clock struct {
	mu  sync.Mutex // guards now
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func TestNew(t *testing.T) {
	t.Parallel()
	invoke := func(context.Context, string, []byte) ([]byte, error) { return nil, nil }
	with := func(api samtemplate.API, a samtemplate.Authorizer) samtemplate.API {
		api.Authorizers = map[string]samtemplate.Authorizer{"Auth": a}
		return api
	}
	path := func(p string) samtemplate.API {
		return samtemplate.API{LogicalID: "A", Kind: samtemplate.HTTP, Stage: "$default", Routes: []samtemplate.Route{{Method: "GET", Path: p}}}
	}
	for name, c := range map[string]struct {
		cfg  gateway.Config
		want string
	}{
		"without Invoke nothing can be served":        {gateway.Config{API: restAPI(nil)}, "Invoke is nil"},
		"the kind of API must be known":               {gateway.Config{Invoke: invoke}, "none of REST, HTTP and WebSocket"},
		"a route's authorizer must exist":             {gateway.Config{Invoke: invoke, API: samtemplate.API{Kind: samtemplate.REST, Routes: routes("")}}, `no authorizer "Auth"`},
		"a TOKEN authorizer needs its header":         {gateway.Config{Invoke: invoke, API: with(restAPI(nil), samtemplate.Authorizer{Kind: samtemplate.Token})}, "one identity source"},
		"an HTTP API has no TOKEN authorizer":         {gateway.Config{Invoke: invoke, API: with(httpAPI(nil), samtemplate.Authorizer{Kind: samtemplate.Token, PayloadVersion: "1.0"})}, "no authorizer of a HTTP API"},
		"an HTTP API's authorizer needs a version":    {gateway.Config{Invoke: invoke, API: with(httpAPI(nil), samtemplate.Authorizer{Kind: samtemplate.Request})}, "no authorizer of a HTTP API"},
		"a REST API's authorizer has no version":      {gateway.Config{Invoke: invoke, API: with(restAPI(nil), samtemplate.Authorizer{Kind: samtemplate.Request, PayloadVersion: "2.0"})}, "no payload versions"},
		"a WebSocket API's answers are not cached":    {gateway.Config{Invoke: invoke, API: with(talkAPI(), samtemplate.Authorizer{Kind: samtemplate.Request, TTL: 1})}, "no authorizer of a WebSocket API"},
		"a resource policy must be one":               {gateway.Config{Invoke: invoke, API: samtemplate.API{Kind: samtemplate.REST, ResourcePolicy: []byte(`{}`)}}, "resource policy: iam: "},
		"the zero authorizer is none":                 {gateway.Config{Invoke: invoke, API: with(restAPI(nil), samtemplate.Authorizer{})}, "no authorizer of a REST API"},
		"a validation expression must compile":        {gateway.Config{Invoke: invoke, API: with(restAPI(nil), samtemplate.Authorizer{Kind: samtemplate.Token, IdentitySources: bearer, ValidationExpression: "("})}, "validation expression"},
		"a path begins with a slash":                  {gateway.Config{Invoke: invoke, API: path("a")}, "does not begin with /"},
		"a path has no empty segment":                 {gateway.Config{Invoke: invoke, API: path("/a//b")}, "segment is empty"},
		"a greedy parameter is the last":              {gateway.Config{Invoke: invoke, API: path("/{a+}/b")}, "something follows"},
		"a parameter is a whole segment":              {gateway.Config{Invoke: invoke, API: path("/a{b}")}, "whole segment"},
		"a parameter has a name":                      {gateway.Config{Invoke: invoke, API: path("/{}")}, "whole segment"},
		"a parameter's name has no braces of its own": {gateway.Config{Invoke: invoke, API: path("/{a}{b}")}, "whole segment"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := gateway.New(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
		})
	}
}

// TestTheTemplateOfThisRepository: its gateways start, ask the authorizer where
// they should and challenge as the template says.
func TestTheTemplateOfThisRepository(t *testing.T) {
	t.Parallel()
	tpl, err := samtemplate.Load("../../../template.yaml", samtemplate.Options{
		Parameters: map[string]string{"OidcIssuer": "https://id.example.com", "OidcAudience": "api://default"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, api := range tpl.APIs {
		if api.LogicalID == "GatehouseHttpApi" {
			continue // it has other routes
		}
		t.Run(string(api.Kind), func(t *testing.T) {
			t.Parallel()
			g, err := gateway.New(gateway.Config{API: api, Invoke: func(_ context.Context, function string, _ []byte) ([]byte, error) {
				if function == "AuthorizerFunction" {
					return nil, errors.New("the provider is unreachable")
				}
				return []byte(`{"statusCode":200,"body":"ok"}`), nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			stage, want := "", map[string]int{"health": 200, "orders": 500, "preflight": 204, "admin preflight": 200}
			if api.Kind == samtemplate.REST {
				stage, want = "/v1", map[string]int{"health": 200, "orders": 503, "preflight": 200, "admin preflight": 200}
			}
			preflight := func(path string) *http.Request {
				r := httptest.NewRequest(http.MethodOptions, stage+path, nil)
				r.Header.Set("Origin", "https://app.example.com")
				r.Header.Set("Access-Control-Request-Method", "GET")
				return r
			}
			for name, r := range map[string]*http.Request{
				"health": httptest.NewRequest(http.MethodGet, stage+"/health", nil), "orders": request(http.MethodGet, stage+"/orders"),
				"preflight": preflight("/orders"), "admin preflight": preflight("/admin/x"),
			} {
				rec := httptest.NewRecorder()
				g.ServeHTTP(rec, r)
				if rec.Code != want[name] {
					t.Errorf("%s: got %d %s, want %d", name, rec.Code, rec.Body, want[name])
				}
				if origin := rec.Header().Get("Access-Control-Allow-Origin"); strings.HasSuffix(name, "preflight") && origin != "*" {
					t.Errorf("%s: got Access-Control-Allow-Origin %q, want *", name, origin)
				}
			}
			if api.Kind == samtemplate.HTTP {
				return
			}
			rec := httptest.NewRecorder()
			g.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/v1/orders", nil))
			check(t, rec, 401, `{"message":"Unauthorized","detail":"Send an access token as Authorization: Bearer. One in the `+
				`address (?access_token=) counts only for an API in profile mulesoft, for addresses end up in logs and histories."}`)
			if got := rec.Header().Get("Www-Authenticate"); got != `Bearer realm="orders"` {
				t.Errorf("got WWW-Authenticate %q", got)
			}
			if got := rec.Header().Get("Cache-Control"); got != "no-store" {
				t.Errorf("got Cache-Control %q, want no-store", got)
			}
		})
	}
}

// object reads a JSON object.
func object(t *testing.T, data []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	return m
}
