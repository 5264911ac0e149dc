package samlocal_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gatehouse/infra/tooltest"
)

// request is one to the demo API and its answer.
type request struct {
	name   string
	method string // "" for GET
	path   string
	event  string // of the authorizer, with the token; "" for none
	body   string

	status int
	says   string // part of the body
}

// What SAM itself answers.
const (
	unauthorized  = `{"message":"Unauthorized"}`
	notAuthorized = `{"message":"User is not authorized to access this resource"}`
	missingToken  = `{"message":"Missing Authentication Token"}`
	serverError   = `{"message":"Internal server error"}`
)

// testAPIs asserts what SAM's emulation of API Gateway answers, also where API
// Gateway is known to answer something else: who reads the README must know when
// that changes. What API Gateway does is in infra/local/gateway.
func testAPIs(t *testing.T, e engine, b built) {
	t.Helper()
	t.Run("the template as it is", func(t *testing.T) {
		t.Parallel()
		testAsItIs(t, e, b)
	})
	t.Run("the REST API", func(t *testing.T) {
		t.Parallel()
		testREST(t, e, b)
	})
	t.Run("an explicit denial", func(t *testing.T) {
		t.Parallel()
		testDenial(t, e, b)
	})
	t.Run("the HTTP API", func(t *testing.T) {
		t.Parallel()
		testHTTP(t, e, b)
	})
}

// testAsItIs: SAM does not follow the alias of the authorizer, and lets every
// request through that it should have authorized. The demo API does not.
func testAsItIs(t *testing.T, e engine, b built) {
	t.Helper()
	const unprotected = "this route is not protected"
	log := call(t, e, b.variant(t, "as-it-is", func(map[string]any) {}), "3001", []request{
		{name: "without a token", path: "/orders", status: 500, says: unprotected},
		{name: "with a token", path: "/orders", event: "rest-request-allow", status: 500, says: unprotected},
		{name: "without an authorizer", path: "/health", status: 200, says: `"ok"`},
	})
	wants(t, log, "Unable to parse the Lambda ARN for Authorizer 'Gatehouse', skipping", 1)
}

func testREST(t *testing.T, e engine, b built) {
	t.Helper()
	template := b.variant(t, "rest", func(resources map[string]any) { only(t, resources, "OrdersRestApi", "Api") })
	log := call(t, e, template, "3002", []request{
		{name: "without a token", path: "/orders", status: 401, says: unauthorized},
		{name: "with a token", path: "/orders", event: "rest-request-allow", status: 200, says: `"caller":{"client_id":"orders-app"`},
		{name: "another time", path: "/orders", event: "rest-request-allow", status: 200, says: `"item":"lantern"`},
		{name: "another route", path: "/orders/1001", event: "rest-request-allow", status: 200, says: `"id":"1001"`},
		{name: "a route the token does not open", method: "POST", path: "/orders", event: "rest-request-allow", body: `{"item":"lamp","quantity":1}`, status: 403, says: notAuthorized},
		{name: "a route that is not listed", path: "/admin/report", event: "rest-request-allow", status: 403, says: notAuthorized},
		{name: "without an authorizer", path: "/health", status: 200, says: `"ok"`},
		{name: "no route", path: "/nowhere", status: 403, says: missingToken},
		// API Gateway: 401, for the function's error is "Unauthorized".
		{name: "an expired token", path: "/orders", event: "rest-request-expired", status: 502, says: serverError},
		{name: "a token for another audience", path: "/orders", event: "rest-request-wrong-audience", status: 502, says: serverError},
		// API Gateway: the stage is the first segment of the path.
		{name: "with the stage", path: "/v1/orders", event: "rest-request-allow", status: 403, says: missingToken},
	})
	// API Gateway: the second request of a token is answered from the cache.
	wantsLines(t, log, `"message":"authorizer"`, 7)
}

// testDenial: SAM looks for a statement that allows the request, and ignores the
// one that denies it. API Gateway: 403.
func testDenial(t *testing.T, e engine, b built) {
	t.Helper()
	template := b.variant(t, "denial", func(resources map[string]any) {
		only(t, resources, "OrdersRestApi", "Api")
		b.denies(t)
		set(t, resources, "Denying", "AuthorizerFunction", "Properties", "CodeUri")
	})
	answer := invoke(t, e, template, event{"AuthorizerFunction", "authorizer/rest-request-allow"})
	if !regexp.MustCompile(`"Effect": "Deny"[^}]*/v1/GET/admin/keys"`).Match(answer) {
		t.Fatalf("nothing is denied by %s", answer)
	}
	call(t, e, template, "3003", []request{
		{name: "what is allowed", path: "/admin/report", event: "rest-request-allow", status: 200, says: `"page":"report"`},
		{name: "what is denied", path: "/admin/keys", event: "rest-request-allow", status: 200, says: `"page":"keys"`},
	})
}

func testHTTP(t *testing.T, e engine, b built) {
	t.Helper()
	template := b.variant(t, "http", func(resources map[string]any) { only(t, resources, "OrdersHttpApi", "HttpApi") })
	log := call(t, e, template, "3004", []request{
		{name: "without a token", path: "/orders", status: 401, says: unauthorized},
		{name: "without an authorizer", path: "/health", status: 200, says: `"ok"`},
		// API Gateway: 200. SAM takes the stage $default in the answer's ARNs for a
		// regular expression, which matches none.
		{name: "with a token", path: "/orders", event: "rest-request-allow", status: 403, says: notAuthorized},
		{name: "another time", path: "/orders", event: "rest-request-allow", status: 403, says: notAuthorized},
		// API Gateway: 403 and {"message":"Forbidden"}.
		{name: "an expired token", path: "/orders", event: "rest-request-expired", status: 403, says: notAuthorized},
		// API Gateway: 404 and {"message":"Not Found"}.
		{name: "no route", path: "/nowhere", status: 403, says: missingToken},
	})
	wantsLines(t, log, `"outcome":"allowed"`, 2)
}

// denies makes another folder of the authorizer, which allows all of /admin but
// one path.
func (b built) denies(t *testing.T) {
	t.Helper()
	dir := filepath.Join(b.dir, "Denying")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(b.dir, "AuthorizerFunction"))); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "gatehouse.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const route = "      - {route: POST /orders, scopes: [orders:write]}\n"
	more := route + `      - {route: "ANY /admin/{proxy+}", scopes: [orders:read]}
      - {route: GET /admin/keys, refuse: true}
`
	changed := strings.Replace(string(text), route, more, 1)
	if changed == string(text) {
		t.Fatalf("%s has no %s", file, route)
	}
	if err := os.WriteFile(file, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
}

// only leaves one API of the walk-through behind, for SAM has only one place for
// a path, and names the authorizer by its function, for SAM follows no alias.
func only(t *testing.T, resources map[string]any, api, kind string) {
	t.Helper()
	for id := range resources {
		if !slices.Contains([]string{api, "AuthorizerFunction", "DemoApiFunction", "RegistryTable"}, id) {
			delete(resources, id)
		}
	}
	demo, ok := resources["DemoApiFunction"].(map[string]any)
	if !ok {
		t.Fatal("there is no DemoApiFunction")
	}
	properties, _ := demo["Properties"].(map[string]any)
	events, _ := properties["Events"].(map[string]any)
	for id, event := range events {
		if e, _ := event.(map[string]any); e["Type"] != kind {
			delete(events, id)
		}
	}
	if len(events) == 0 {
		t.Fatalf("DemoApiFunction has no events of %s", kind)
	}
	set(t, resources, map[string]any{"Fn::GetAtt": []any{"AuthorizerFunction", "Arn"}}, api, "Properties", "Auth", "Authorizers", "Gatehouse", "FunctionArn")
}

// call starts the API, sends it the requests by curl, and returns what sam wrote.
func call(t *testing.T, e engine, template, port string, requests []request) string {
	t.Helper()
	log, ended := run(t, e.inside(t, sam.Program(t, "sam", "local", "start-api", "--template-file", template, "--port", port,
		"--skip-pull-image", "--warm-containers", "LAZY")))
	if err := wait(t.Context(), ended, func() bool { return strings.Contains(said(t, log), "Running on") }); err != nil {
		t.Fatalf("sam local start-api: %v", err)
	}
	for _, r := range requests {
		got := curl(t, e, "http://127.0.0.1:"+port, r)
		if got.status != r.status || !strings.Contains(got.body, r.says) {
			t.Errorf("%s: got %d %s, want %d %s", r.name, got.status, got.body, r.status, r.says)
		}
		// API Gateway: a challenge with each 401 and 403 of the REST API, by its
		// gateway responses.
		if got.challenge != "" {
			t.Errorf("%s: got the challenge %s, want none", r.name, got.challenge)
		}
	}
	return said(t, log)
}

// answer is what curl got.
type answer struct {
	status    int
	challenge string
	body      string
}

// curl sends a request.
func curl(t *testing.T, e engine, base string, r request) answer {
	t.Helper()
	args := []string{"--silent", "--show-error", "--include", "--max-time", "60", "--noproxy", "*", base + r.path}
	if r.method != "" {
		args = append(args, "--request", r.method)
	}
	if r.event != "" {
		args = append(args, "--header", "Authorization: "+token(t, r.event))
	}
	if r.body != "" {
		args = append(args, "--json", r.body)
	}
	var out bytes.Buffer
	cmd := e.inside(t, command(t, "curl", args...))
	cmd.Stdout = &out
	if err := tooltest.Run(cmd); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(&out), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header.Get("WWW-Authenticate"), string(body)}
}
