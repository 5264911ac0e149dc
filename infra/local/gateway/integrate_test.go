package gateway_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/infra/local/gateway"
	"gatehouse/infra/local/samtemplate"
)

// backend makes every function answer with l.
func backend(l lambda) func(*gateway.Config) {
	return func(cfg *gateway.Config) {
		cfg.Invoke = func(ctx context.Context, _ string, event []byte) ([]byte, error) {
			s, err := l(ctx, event)
			return []byte(s), err
		}
	}
}

func TestIntegrationResponses(t *testing.T) {
	t.Parallel()
	const badGateway = `{"message":"Internal server error"}`
	v1 := table(samtemplate.HTTP, "$default", "GET /x")
	v1.Routes[0].PayloadFormat = "1.0"
	rest, web := table(samtemplate.REST, "v1", "GET /x"), table(samtemplate.HTTP, "$default", "GET /x")
	images := rest
	images.BinaryMediaTypes = []string{"image/png"}
	for name, c := range map[string]struct {
		api    samtemplate.API
		answer lambda
		change func(*gateway.Config)
		status int
		body   string
		header http.Header // those to compare; a nil value means absent
	}{
		"REST: status, headers, body": {
			rest, says(`{"statusCode":201,"headers":{"X-A":"1","X-N":2,"X-B":true},"multiValueHeaders":{"Set-Cookie":["a=1","b=2"],"X-A":["3"]},"body":"b"}`), nil, 201, "b",
			http.Header{"X-A": {"3"}, "X-N": {"2"}, "X-B": {"true"}, "Set-Cookie": {"a=1", "b=2"}, "Content-Type": {"application/json"}},
		},
		"REST: headers it renames": {
			rest, says(`{"statusCode":401,"headers":{"WWW-Authenticate":"Bearer","Server":"s","Date":"d","Connection":"c","Content-Length":"9"}}`), nil, 401, "",
			http.Header{
				"Www-Authenticate": nil, "X-Amzn-Remapped-Www-Authenticate": {"Bearer"}, "X-Amzn-Remapped-Server": {"s"}, "X-Amzn-Remapped-Date": {"d"},
				"X-Amzn-Remapped-Connection": {"c"}, "X-Amzn-Remapped-Content-Length": {"9"}, "Server": nil, "Connection": nil, "Content-Length": nil,
			},
		},
		"REST: WWW-Authenticate kept by a switch": {
			rest, says(`{"statusCode":401,"headers":{"WWW-Authenticate":"Bearer"}}`), func(c *gateway.Config) { c.Unsettled.KeepWWWAuthenticate = true }, 401, "",
			http.Header{"Www-Authenticate": {"Bearer"}, "X-Amzn-Remapped-Www-Authenticate": nil},
		},
		"REST: base64 is text without binary types":  {rest, says(`{"statusCode":200,"body":"YQ==","isBase64Encoded":true}`), nil, 200, "YQ==", nil},
		"REST: base64 is decoded for who accepts it": {images, says(`{"statusCode":200,"body":"YQ==","isBase64Encoded":true}`), nil, 200, "a", nil},
		"REST: a function error is 502":              {rest, fails("boom"), nil, 502, badGateway, nil},
		"REST: a crash is 502":                       {rest, crash, nil, 502, badGateway, nil},
		"REST: no JSON is 502":                       {rest, says(`x`), nil, 502, badGateway, nil},
		"REST: no status is 502":                     {rest, says(`{"body":"x"}`), nil, 502, badGateway, nil},
		"REST: a status that is none is 502":         {rest, says(`{"statusCode":99}`), nil, 502, badGateway, nil},
		"REST: a body that is no text is 502":        {rest, says(`{"statusCode":200,"body":{}}`), nil, 502, badGateway, nil},
		"REST: more than Lambda gives is 502":        {rest, says(`{"statusCode":200,"body":"` + strings.Repeat("x", 6<<20) + `"}`), nil, 502, badGateway, nil},
		"HTTP 1.0: status, headers, body": {
			v1, says(`{"statusCode":200,"headers":{"WWW-Authenticate":"Bearer"},"multiValueHeaders":{"X-A":["1","2"]},"body":"YQ==","isBase64Encoded":true}`), nil, 200, "a",
			http.Header{"X-A": {"1", "2"}, "Www-Authenticate": {"Bearer"}, "Content-Type": {"text/plain; charset=utf-8"}},
		},
		"HTTP 1.0: no status is 500": {v1, says(`{"body":"x"}`), nil, 500, bodyInternal, nil},
		"HTTP 2.0: status, headers, cookies, body": {
			web, says(`{"statusCode":201,"headers":{"X-A":"1"},"cookies":["a=1","b=2"],"body":"b"}`), nil, 201, "b",
			http.Header{"X-A": {"1"}, "Set-Cookie": {"a=1", "b=2"}},
		},
		"HTTP 2.0: base64 is decoded":          {web, says(`{"statusCode":200,"body":"YQ==","isBase64Encoded":true}`), nil, 200, "a", nil},
		"HTTP 2.0: base64 that is none is 500": {web, says(`{"statusCode":200,"body":"?","isBase64Encoded":true}`), nil, 500, bodyInternal, nil},
		"HTTP 2.0: an answer without a status is the body": {
			web, says(`{"a": 1}`), nil, 200, `{"a": 1}`, http.Header{"Content-Type": {"application/json"}},
		},
		"HTTP 2.0: text is the body":                  {web, says(`"hello"`), nil, 200, `hello`, http.Header{"Content-Type": {"application/json"}}},
		"HTTP 2.0: no JSON is 500":                    {web, says(`x`), nil, 500, bodyInternal, nil},
		"HTTP 2.0: an empty answer is 500":            {web, says(``), nil, 500, bodyInternal, nil},
		"HTTP 2.0: a function error is 500":           {web, fails("boom"), nil, 500, bodyInternal, nil},
		"HTTP 2.0: a header cannot add another":       {web, says(`{"statusCode":200,"headers":{"X-A":"1\r\nX-B: 2"}}`), nil, 200, "", http.Header{"X-A": {"1  X-B: 2"}, "X-B": nil}},
		"HTTP 2.0: a status that is no number is 500": {web, says(`{"statusCode":"x"}`), nil, 500, bodyInternal, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := "/x"
			if c.api.Kind == samtemplate.REST {
				path = "/v1/x"
			}
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.Header.Set("Accept", "image/png, */*")
			w := newWorld(t, c.api, nil, func(cfg *gateway.Config) {
				backend(c.answer)(cfg)
				if c.change != nil {
					c.change(cfg)
				}
			})
			rec := w.send(r)
			check(t, rec, c.status, c.body)
			for name, want := range c.header {
				if diff := cmp.Diff(want, rec.Result().Header[name]); diff != "" {
					t.Errorf("%s, -want +got:\n%s", name, diff)
				}
			}
		})
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	web := httpAPI(nil)
	web.CORS = &samtemplate.CORS{
		AllowOrigins: []string{"https://app.example.com", "http://*"}, AllowHeaders: []string{"authorization"},
		AllowMethods: []string{"GET", "POST"}, ExposeHeaders: []string{"x-a"}, MaxAge: "600", AllowCredentials: true,
	}
	anyone := httpAPI(nil)
	anyone.CORS = &samtemplate.CORS{AllowOrigins: []string{"*"}}
	rest := restAPI(nil)
	rest.CORS = &samtemplate.CORS{AllowOrigins: []string{"*"}, AllowHeaders: []string{"Authorization", "X-A"}, MaxAge: "5"}
	rest.Routes = append(rest.Routes,
		samtemplate.Route{Method: "OPTIONS", Path: "/orders", Preflight: true},
		samtemplate.Route{Method: "OPTIONS", Path: "/admin/{proxy+}", Preflight: true},
		samtemplate.Route{Method: "OPTIONS", Path: "/orders/{id}", Preflight: true, Authorizer: "Auth"})
	for name, c := range map[string]struct {
		api     samtemplate.API
		method  string
		path    string
		origin  string
		status  int
		origins string // Access-Control-Allow-Origin
		methods string // Access-Control-Allow-Methods
		asked   int
	}{
		"HTTP: a preflight is answered by the gateway":      {web, "OPTIONS", "/orders", "https://app.example.com", 204, "https://app.example.com", "GET,POST", 0},
		"HTTP: also for what no route serves":               {web, "OPTIONS", "/x", "https://app.example.com", 204, "https://app.example.com", "GET,POST", 0},
		"HTTP: an origin of an allowed scheme":              {web, "OPTIONS", "/orders", "http://localhost:3000", 204, "http://localhost:3000", "GET,POST", 0},
		"HTTP: another origin learns nothing":               {web, "OPTIONS", "/orders", "https://evil.example.com", 204, "", "", 0},
		"HTTP: any origin":                                  {anyone, "OPTIONS", "/orders", "https://a.example.com", 204, "*", "", 0},
		"HTTP: a route for ANY takes the preflight":         {web, "OPTIONS", "/admin/x", "https://app.example.com", 401, "https://app.example.com", "GET,POST", 0},
		"HTTP: OPTIONS without an origin is no preflight":   {web, "OPTIONS", "/orders", "", 404, "", "", 0},
		"HTTP: without CORS nobody answers":                 {httpAPI(nil), "OPTIONS", "/orders", "https://app.example.com", 404, "", "", 0},
		"HTTP: answers have CORS too":                       {web, "GET", "/orders", "https://app.example.com", 200, "https://app.example.com", "", 1},
		"REST: a preflight is answered by the mock":         {rest, "OPTIONS", "/v1/orders", "https://a.example.com", 200, "*", "GET,OPTIONS,POST", 0},
		"REST: a route for ANY does not take the preflight": {rest, "OPTIONS", "/v1/admin/x", "https://a.example.com", 200, "*", "DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT", 0},
		"REST: unless the template says so":                 {rest, "OPTIONS", "/v1/orders/1", "https://a.example.com", 401, "", "", 0},
		"REST: a path without the mock":                     {rest, "OPTIONS", "/v1/health", "https://a.example.com", 403, "", "", 0},
		"HEAD is not sent to the authorizer of GET":         {web, "HEAD", "/orders", "", 404, "", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c.api, says(allowAll), nil)
			r := httptest.NewRequest(c.method, c.path, nil)
			if c.origin != "" {
				r.Header.Set("Origin", c.origin)
				r.Header.Set("Access-Control-Request-Method", "GET")
			}
			if c.method == http.MethodGet {
				r.Header.Set("Authorization", "x")
			}
			rec := w.send(r)
			if rec.Code != c.status {
				t.Errorf("got %d, want %d", rec.Code, c.status)
			}
			if got := rec.Header().Get("Access-Control-Allow-Origin"); got != c.origins {
				t.Errorf("got Access-Control-Allow-Origin %q, want %q", got, c.origins)
			}
			if got := rec.Header().Get("Access-Control-Allow-Methods"); got != c.methods {
				t.Errorf("got Access-Control-Allow-Methods %q, want %q", got, c.methods)
			}
			if got := w.asked("Authorizer"); got != c.asked {
				t.Errorf("the authorizer was asked %d times, want %d", got, c.asked)
			}
		})
	}
	t.Run("HTTP: what the function says about CORS is ignored", func(t *testing.T) {
		t.Parallel()
		api := table(samtemplate.HTTP, "$default", "GET /x")
		api.CORS = web.CORS
		w := newWorld(t, api, nil, backend(says(`{"statusCode":200,"headers":{"Access-Control-Allow-Origin":"*"}}`)))
		rec := w.send(httptest.NewRequest(http.MethodGet, "/x", nil))
		if got, ok := rec.Header()["Access-Control-Allow-Origin"]; ok {
			t.Errorf("got Access-Control-Allow-Origin %q, want none", got)
		}
	})
}

// TestTheWire: over a connection, the path and two headers arrive as they were sent.
func TestTheWire(t *testing.T) {
	t.Parallel()
	w := newWorld(t, restAPI(nil), says(allowAll), nil)
	server := httptest.NewServer(w)
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/v1/admin//a%2Fb/../%7e?x=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header["Authorization"] = []string{"one", "two"}
	resp, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("got %d, want 200", resp.StatusCode)
	}
	e := object(t, w.event(t, "Authorizer"))
	if got, want := e["methodArn"], restARN+"GET/admin//a%2Fb/../%7e"; got != want {
		t.Errorf("got %v, want %s", got, want)
	}
	headers, _ := e["multiValueHeaders"].(map[string]any)
	if diff := cmp.Diff([]any{"one", "two"}, headers["Authorization"]); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
