package registration_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	validation "github.com/pb33f/libopenapi-validator/config"

	"gatehouse/shared/config"
	"gatehouse/shared/oauth"
	"gatehouse/shared/web/webtest"
)

// This file holds the handlers to openapi.yaml. Whatever the tests of this
// package ask of the API goes through [webtest.Document.Check]; when all of them
// have run, [TestMain] sees what the document promises and no test has met.

var document = webtest.Describe("openapi.yaml", webtest.Rules{
	NotMet:        map[string]string{},
	Authenticated: authenticated,
	Refusal: func(path string) (schema, media string) {
		if path == "/register" || strings.HasPrefix(path, "/register/") {
			return "Error", "application/json"
		}
		return "Problem", "application/problem+json"
	},
})

// openRoutes are those that API Gateway asks no authorizer about. All others
// are config's.
var openRoutes = []string{
	"DELETE /register/{client_id}", "GET /openapi.json", "GET /register/{client_id}", "POST /register", "PUT /register/{client_id}",
}

func TestMain(m *testing.M) { os.Exit(document.Main(m)) }

type authorizerKey struct{}

// authenticated is what API Gateway's authorizer, or the handler itself, wants
// to see.
func authenticated(ctx context.Context, in *validation.AuthenticationInput) error {
	if in.SecuritySchemeName != "accessToken" {
		_, err := oauth.ParseBearer(in.Request.Header.Get("Authorization"))
		return err
	}
	told, _ := ctx.Value(authorizerKey{}).(map[string]string)
	for _, scope := range in.Scopes {
		if !slices.Contains(oauth.SplitScope(told["scope"]), scope) {
			return fmt.Errorf("the caller has not the scope %s", scope)
		}
	}
	return nil
}

// exchange is the request and its answer as the document sees them.
func (r request) exchange(headers map[string]string, got answer) webtest.Exchange {
	return webtest.Exchange{Request: r.http(headers), Sent: r.body, Status: got.status, Header: got.header, Body: got.text, Lenient: r.lenient}
}

// http is the request without its body.
func (r request) http(headers map[string]string) *http.Request {
	at, query, _ := strings.Cut(r.path, "?")
	sent := &http.Request{
		Method: r.method, URL: &url.URL{Scheme: "https", Host: "gatehouse.example.com", Path: at, RawQuery: query},
		Header: http.Header{}, Body: http.NoBody,
	}
	for name, value := range headers {
		sent.Header.Set(name, value)
	}
	return sent.WithContext(context.WithValue(context.Background(), authorizerKey{}, r.authorizer))
}

func TestTheDocumentIsOpenAPI(t *testing.T) {
	t.Parallel()
	document.Open(t).IsOpenAPI(t)
}

func TestTheDocumentIsServedWithTheAddressItWasCalledBy(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for public, want := range map[string]string{
		"https://gatehouse.example.com": "https://gatehouse.example.com",
		"":                              "https://a1.execute-api.eu-west-1.amazonaws.com",
	} {
		a.PublicURL = public
		got := a.want(200, request{method: "GET", path: "/openapi.json"})
		document.Open(t).IsServed(t, got.text, want)
	}
}

// builtIn returns the routes of Gatehouse's own API.
func builtIn(t *testing.T) []config.Route {
	t.Helper()
	cfg, err := config.Parse([]byte(`providers: [{name: okta, type: okta, issuer: "https://example.okta.com", audiences: [a], adminSecret: okta/admin}]
apis: [{name: orders, providers: [okta], routes: [{route: GET /orders}]}]
registration: {keys: gatehouse/keys}
`), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	for _, api := range cfg.APIs {
		if api.BuiltIn {
			return api.Routes
		}
	}
	t.Fatal("there is no built-in API")
	return nil
}

func TestHandlerDocumentAndAuthorizerKnowTheSameRoutes(t *testing.T) {
	t.Parallel()
	want := slices.Clone(openRoutes)
	for _, route := range builtIn(t) {
		want = append(want, route.Route)
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, newSite(t).Patterns()); diff != "" {
		t.Errorf("the handler (-config +handler):\n%s", diff)
	}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(document.Open(t).Operations))); diff != "" {
		t.Errorf("the document (-config +document):\n%s", diff)
	}
}

func TestTheDocumentNamesTheScopesThatOpenARoute(t *testing.T) {
	t.Parallel()
	want := map[string][]string{}
	for _, pattern := range openRoutes {
		want[pattern] = nil
	}
	for _, route := range builtIn(t) {
		want[route.Route] = slices.Sorted(slices.Values(route.AnyScope))
	}
	got := map[string][]string{}
	for pattern, operation := range document.Open(t).Operations {
		got[pattern] = nil
		for _, requirement := range operation.Security {
			for scheme, scopes := range requirement.Requirements.FromOldest() {
				if scheme == "accessToken" && len(scopes) != 1 {
					t.Errorf("%s: got %v, want alternatives of one scope", pattern, scopes)
				}
				got[pattern] = append(got[pattern], scopes...)
			}
		}
		slices.Sort(got[pattern])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("scopes (-config +document):\n%s", diff)
	}
}

// TestExamplesAreAnswersAndNothingMore: the details of audits are open.
func TestExamplesAreAnswersAndNothingMore(t *testing.T) {
	t.Parallel()
	document.Open(t).Examples(t, func(r *http.Request) *http.Request {
		r.Header.Set("Authorization", "Bearer a")
		asAll := map[string]string{"scope": "gatehouse:applications gatehouse:contracts gatehouse:admin"}
		return r.WithContext(context.WithValue(r.Context(), authorizerKey{}, asAll))
	}, "details")
}

// TestWhatIsNotDescribedIsNoticed is the test of the check that all other tests
// go through.
func TestWhatIsNotDescribedIsNoticed(t *testing.T) {
	t.Parallel()
	d := document.Open(t)
	const problem, list = "application/problem+json", `{"applications":[],"next":""}`
	get := request{method: "GET", path: "/applications", authorizer: asAda}
	post := request{method: "POST", path: "/initial-access-tokens", body: `{}`, authorizer: asAdmin}
	const token = `{"initial_access_token":"a","expires":"2026-11-01T08:00:00Z"}`
	for name, test := range map[string]struct {
		request request
		status  int
		header  string // "Name: value", more than Content-Type
		media   string
		body    string
		want    string // "": it is right
	}{
		"a list is right":                         {get, 200, "", "application/json", list, ""},
		"a token is right":                        {post, 201, "", "application/json", token, ""},
		"a status that is not described":          {get, 418, "", problem, `{"title":"x","status":418,"detail":"x"}`, "the document knows no 418"},
		"another media type":                      {get, 200, "", "text/html", list, "content type"},
		"a member that is missing":                {get, 200, "", "application/json", `{"applications":[]}`, "next"},
		"a member of another type":                {get, 200, "", "application/json", `{"applications":{},"next":""}`, "array"},
		"a time that is none":                     {post, 201, "", "application/json", `{"initial_access_token":"a","expires":"tomorrow"}`, "date-time"},
		"a body where there is none":              {request{method: "DELETE", path: "/intents/x", authorizer: asAdmin}, 204, "", "application/json", `{}`, "knows no body"},
		"a header that is not described":          {get, 200, "Location: /x", "application/json", list, "knows no header Location"},
		"a header that is missing":                {get, 503, "", problem, `{"title":"x","status":503,"detail":"x"}`, "Retry-After"},
		"a header that is no number":              {get, 503, "Retry-After: soon", problem, `{"title":"x","status":503,"detail":"x"}`, "integer"},
		"a problem of another status":             {get, 403, "", problem, `{"title":"x","status":404,"detail":"x"}`, "the answer's 403"},
		"success without the scope":               {request{method: "GET", path: "/applications", authorizer: asGrace}, 200, "", "application/json", list, "gatehouse:applications"},
		"success without a token":                 {request{method: "GET", path: "/applications"}, 200, "", "application/json", list, "gatehouse:applications"},
		"success with a limit that is too large":  {request{method: "GET", path: "/applications?limit=101", authorizer: asAda}, 200, "", "application/json", list, "limit"},
		"success with a member that is not known": {request{method: "POST", path: "/initial-access-tokens", body: `{"life":1}`, authorizer: asAdmin}, 201, "", "application/json", token, "life"},
		"success with a body that is not known":   {request{method: "GET", path: "/applications", body: `{}`, authorizer: asAda}, 200, "", "application/json", list, "body"},
		"success at a path that is not described": {request{method: "GET", path: "/application"}, 200, "", "application/json", list, "want 404"},
		"success of a method that is not known":   {request{method: "PUT", path: "/applications"}, 200, "", "application/json", list, "want 405"},
		"plain text where there is nothing":       {request{method: "GET", path: "/x"}, 404, "", "text/plain", "404 page not found", "Content-Type"},
		"another form below /register":            {request{method: "GET", path: "/register/a/b"}, 404, "", problem, `{"title":"x","status":404,"detail":"x"}`, "Content-Type"},
		"a method that is allowed and not told":   {request{method: "PUT", path: "/applications"}, 405, "Allow: GET", problem, `{"title":"x","status":405,"detail":"x"}`, "GET, HEAD, POST"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := answer{status: test.status, text: test.body, header: http.Header{
				"Content-Type": {test.media}, "Cache-Control": {"no-store"}, "X-Content-Type-Options": {"nosniff"}, "Access-Control-Allow-Origin": {"*"},
			}}
			if name, value, ok := strings.Cut(test.header, ": "); ok {
				got.header.Set(name, value)
			}
			err := d.Check(test.request.exchange(map[string]string{"Content-Type": "application/json"}, got))
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
