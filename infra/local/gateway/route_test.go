package gateway_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/infra/local/gateway"
	"gatehouse/infra/local/samtemplate"
)

func contains(data []byte, s string) bool { return strings.Contains(string(data), s) }

// routed is where a request ended: the template of its route, and its parameters.
type routed struct {
	Route  string
	Params map[string]string
}

// table makes an API of routes without authorizers.
func table(kind samtemplate.Kind, stage string, keys ...string) samtemplate.API {
	api := samtemplate.API{LogicalID: "A", Kind: kind, Stage: stage}
	for _, key := range keys {
		method, path, _ := strings.Cut(key, " ")
		r := samtemplate.Route{Method: method, Path: path, Function: "Backend"}
		if key == "$default" {
			r.Method, r.Path = "", "$default"
		}
		if kind == samtemplate.HTTP {
			r.PayloadFormat = "2.0"
		}
		api.Routes = append(api.Routes, r)
	}
	return api
}

func TestRouting(t *testing.T) {
	t.Parallel()
	keys := []string{
		"ANY /{proxy+}", "GET /orders/{id}", "GET /orders", "POST /orders/{id}/lines", "GET /orders/mine", "ANY /orders/mine", "GET /",
		"PUT /orders/{id}/{rest+}", "GET /a.b/{x}",
	}
	strict := []string{"GET /orders", "GET /orders/{id}", "DELETE /orders", "ANY /admin/{proxy+}", "OPTIONS /admin/{proxy+}"}
	fold := func(c *gateway.Config) { c.Unsettled.FoldTrailingSlash = true }
	decode := func(c *gateway.Config) { c.Unsettled.DecodeBeforeRouting = true }
	rest, restStrict := table(samtemplate.REST, "v1", keys...), table(samtemplate.REST, "v1", strict...)
	web, webStrict := table(samtemplate.HTTP, "$default", append(keys, "$default")...), table(samtemplate.HTTP, "$default", strict...)
	for name, c := range map[string]struct {
		api    samtemplate.API
		method string
		path   string
		change func(*gateway.Config)
		want   string // "" for none
		params map[string]string
	}{
		"a literal":                                   {rest, "GET", "/v1/orders", nil, "GET /orders", nil},
		"a parameter":                                 {rest, "GET", "/v1/orders/7", nil, "GET /orders/{id}", map[string]string{"id": "7"}},
		"a literal before a parameter":                {rest, "GET", "/v1/orders/mine", nil, "GET /orders/mine", nil},
		"ANY takes what the others leave":             {rest, "PATCH", "/v1/orders/mine", nil, "ANY /orders/mine", nil},
		"a parameter before a greedy one":             {rest, "PUT", "/v1/orders/7/x/y", nil, "PUT /orders/{id}/{rest+}", map[string]string{"id": "7", "rest": "x/y"}},
		"a missing method falls back to a greedy one": {rest, "DELETE", "/v1/orders", nil, "ANY /{proxy+}", map[string]string{"proxy": "orders"}},
		"the root":                                    {rest, "GET", "/v1/", nil, "GET /", nil},
		"a greedy parameter is not empty":             {rest, "POST", "/v1/", nil, "", nil},
		"the stage alone is no path":                  {rest, "GET", "/v1", nil, "", nil},
		"another stage":                               {rest, "GET", "/v2/orders", nil, "", nil},
		"a stage that only begins like it":            {rest, "GET", "/v10/orders", nil, "", nil},
		"without a stage":                             {rest, "GET", "/orders", nil, "", nil},
		"parameters are decoded once":                 {rest, "GET", "/v1/orders/a%2Fb%2520", nil, "GET /orders/{id}", map[string]string{"id": "a/b%20"}},
		"a dot is a dot":                              {rest, "GET", "/v1/aXb/c", nil, "ANY /{proxy+}", map[string]string{"proxy": "aXb/c"}},
		"dots are not resolved":                       {restStrict, "GET", "/v1/orders/../orders", nil, "", nil},
		"empty segments are segments":                 {restStrict, "GET", "/v1//orders", nil, "", nil},
		"a parameter is not empty":                    {restStrict, "GET", "/v1/orders/", nil, "", nil},
		"a trailing slash, folded by switch":          {restStrict, "GET", "/v1/orders/", fold, "GET /orders", nil},
		"a trailing slash after a parameter":          {restStrict, "GET", "/v1/orders/7/", nil, "", nil},
		"and that one folded":                         {restStrict, "GET", "/v1/orders/7/", fold, "GET /orders/{id}", map[string]string{"id": "7"}},
		"two slashes are never folded":                {restStrict, "GET", "/v1/orders//", fold, "", nil},
		"a greedy parameter takes slashes":            {restStrict, "GET", "/v1/admin//x/", nil, "ANY /admin/{proxy+}", map[string]string{"proxy": "/x/"}},
		"case counts":                                 {restStrict, "GET", "/v1/Orders", nil, "", nil},
		"an encoded letter is not the letter":         {restStrict, "GET", "/v1/%6frders", nil, "", nil},
		"HEAD is not GET":                             {restStrict, "HEAD", "/v1/orders", nil, "", nil},
		"OPTIONS is not ANY where it has its own":     {restStrict, "OPTIONS", "/v1/admin/x", nil, "OPTIONS /admin/{proxy+}", map[string]string{"proxy": "x"}},
		"ANY is no method API Gateway lacks":          {restStrict, "FETCH", "/v1/admin/x", nil, "", nil},
		"HTTP: nor is $default":                       {web, "FETCH", "/x", nil, "", nil},
		"HTTP: a literal":                             {web, "GET", "/orders", nil, "GET /orders", nil},
		"HTTP: $default takes the rest":               {web, "POST", "/", nil, "$default", nil},
		"HTTP: greedy before $default":                {web, "POST", "/x", nil, "ANY /{proxy+}", map[string]string{"proxy": "x"}},
		"HTTP: unknown":                               {webStrict, "GET", "/x", nil, "", nil},
		"HTTP: a trailing slash":                      {webStrict, "GET", "/orders/", fold, "", nil},
		"HTTP: an encoded slash stays in its segment": {webStrict, "GET", "/orders/a%2Fb", nil, "GET /orders/{id}", map[string]string{"id": "a/b"}},
		"HTTP: unless paths are decoded first":        {webStrict, "GET", "/orders/a%2Fb", decode, "", nil},
		"HTTP: an encoded letter, decoded first":      {webStrict, "GET", "/%6frders", decode, "GET /orders", nil},
		"HTTP: a named stage is in the path":          {table(samtemplate.HTTP, "test", strict...), "GET", "/test/orders", nil, "GET /orders", nil},
		"HTTP: and must be":                           {table(samtemplate.HTTP, "test", strict...), "GET", "/orders", nil, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c.api, nil, c.change)
			rec := w.send(httptest.NewRequest(c.method, c.path, nil))
			if c.want == "" {
				if c.api.Kind == samtemplate.REST {
					check(t, rec, 403, `{"message":"Missing Authentication Token"}`)
				} else {
					check(t, rec, 404, `{"message":"Not Found"}`)
				}
				if w.asked("Backend") > 0 {
					t.Error("the backend was reached")
				}
				return
			}
			e := object(t, w.event(t, "Backend"))
			key, _ := e["routeKey"].(string)
			if c.api.Kind == samtemplate.REST {
				key = findKey(c.api, e["resource"], c.method)
			}
			got := routed{key, texts(e["pathParameters"])}
			if diff := cmp.Diff(routed{c.want, c.params}, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// findKey is the route of a REST API with this path that method would take:
// its events name the path only.
func findKey(api samtemplate.API, path any, method string) string {
	fallback := ""
	for _, r := range api.Routes {
		if r.Path == path && r.Method == method {
			return r.Method + " " + r.Path
		}
		if r.Path == path && r.Method == "ANY" {
			fallback = "ANY " + r.Path
		}
	}
	return fallback
}

// texts reads an object of strings.
func texts(v any) map[string]string {
	object, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	m := map[string]string{}
	for key, v := range object {
		m[key], _ = v.(string)
	}
	return m
}

// TestMethodARN: it carries the path as it was requested.
func TestMethodARN(t *testing.T) {
	t.Parallel()
	decode := func(c *gateway.Config) { c.Unsettled.DecodeBeforeRouting = true }
	for name, c := range map[string]struct {
		api    samtemplate.API
		method string
		path   string
		change func(*gateway.Config)
		want   string
	}{
		"a path with parameters":                    {restAPI(nil), "GET", "/v1/orders/7", nil, restARN + "GET/orders/7"},
		"percent-encoding stays":                    {restAPI(nil), "GET", "/v1/orders/a%2Fb%2f%2A", nil, restARN + "GET/orders/a%2Fb%2f%2A"},
		"ANY is the method that was used":           {restAPI(nil), "PATCH", "/v1/admin/a//b/", nil, restARN + "PATCH/admin/a//b/"},
		"HTTP: the stage is $default":               {httpAPI(nil), "GET", "/orders/a%2Fb", nil, httpARN + "GET/orders/a%2Fb"},
		"HTTP: decoded before routing, by a switch": {httpAPI(nil), "GET", "/admin/a%2Fb", decode, httpARN + "GET/admin/a/b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c.api, says(policy(statement("Allow", c.want))), c.change)
			rec := w.send(request(c.method, c.path))
			e := object(t, w.event(t, "Authorizer"))
			got := e["methodArn"]
			if c.api.Kind == samtemplate.HTTP {
				got = e["routeArn"]
			}
			if got != c.want {
				t.Errorf("got %v, want %s", got, c.want)
			}
			if rec.Code != 200 {
				t.Errorf("got %d, want a policy for that ARN to allow it", rec.Code)
			}
		})
	}
}

// FuzzPath: whatever is requested, a function is reached by a route only, with
// the authorizer asked first where it has one, about the path requested.
func FuzzPath(f *testing.F) {
	for _, path := range []string{
		"/v1/orders", "/v1/orders/7", "/v1//orders", "/v1/orders/", "/v1/orders/%2F", "/v1/admin/../orders", "/v1/health", "/v1", "/", "*",
		"/v1/admin/*?$", "/v1/orders/%zz", "/v1/admin/%00", "/v1/Orders;a=b", "/orders", "/admin/%2e%2e/x", "/health?x",
	} {
		f.Add("GET", path)
		f.Add("OPTIONS", path)
	}
	f.Fuzz(func(t *testing.T, method, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		for _, api := range []samtemplate.API{restAPI(nil), httpAPI(nil)} {
			var asked bool
			cfg := gateway.Config{API: api, Invoke: func(_ context.Context, function string, event []byte) ([]byte, error) {
				var e struct{ Path, RawPath, HTTPMethod, MethodARN, RouteARN, Resource, RouteKey string }
				if err := json.Unmarshal(event, &e); err != nil {
					t.Fatal(err)
				}
				if function == "Authorizer" {
					asked = true
					path := strings.TrimPrefix(u.EscapedPath(), "/v1")
					if api.Kind == samtemplate.HTTP {
						path = u.EscapedPath()
					}
					if arn := e.MethodARN + e.RouteARN; !strings.HasSuffix(arn, "/"+method+path) {
						t.Errorf("got method ARN %q for %s %s", arn, method, target)
					}
					return []byte(allowAll), nil
				}
				if public := e.Resource == "/health" || e.RouteKey == "GET /health"; public == asked {
					t.Errorf("%s %s: authorizer asked: %t, for %s%s", method, target, asked, e.Resource, e.RouteKey)
				}
				return []byte(`{"statusCode":200}`), nil
			}}
			g, err := gateway.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			r := &http.Request{Method: method, URL: u, Header: http.Header{"Authorization": {"x"}}, Body: http.NoBody, Host: "localhost", Proto: "HTTP/1.1"}
			g.ServeHTTP(httptest.NewRecorder(), r.WithContext(t.Context()))
		}
	})
}
