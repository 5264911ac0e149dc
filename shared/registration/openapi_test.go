package registration_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	validation "github.com/pb33f/libopenapi-validator/config"
	invalid "github.com/pb33f/libopenapi-validator/errors"
	"github.com/pb33f/libopenapi-validator/schema_validation"
	openapi "github.com/pb33f/libopenapi/datamodel/high/v3"
	"github.com/pb33f/libopenapi/orderedmap"
	"go.yaml.in/yaml/v3"

	"gatehouse/shared/config"
	"gatehouse/shared/oauth"
)

// This file holds the handlers to openapi.yaml. Whatever the tests of this
// package ask of the API goes through [described.check]; when all of them have
// run, [TestMain] sees what the document promises and no test has met.
//
// The libraries that read the document are for tests only.

// notMet is what the document promises and no test of this package can meet,
// and why.
var notMet = map[string]string{}

// openRoutes are those that API Gateway asks no authorizer about. All others
// are config's.
var openRoutes = []string{
	"DELETE /register/{client_id}", "GET /openapi.json", "GET /register/{client_id}", "POST /register", "PUT /register/{client_id}",
}

// met is which answers of which operations were seen, as "GET /apis 200".
var met sync.Map

func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 && everythingRan() {
		if wrong := unmet(); len(wrong) > 0 {
			fmt.Fprintf(os.Stderr, "openapi.yaml and the tests of this package:\n\t%s\n", strings.Join(wrong, "\n\t"))
			code = 1
		}
	}
	os.Exit(code)
}

// everythingRan reports whether no test was left out by a flag.
func everythingRan() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.fuzz"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			return false
		}
	}
	return true
}

func unmet() []string {
	d, err := document()
	if err != nil {
		return []string{err.Error()}
	}
	var wrong []string
	for pattern, operation := range d.operations {
		for status := range operation.Responses.Codes.FromOldest() {
			one := pattern + " " + status
			_, seen := met.Load(one)
			switch reason, listed := notMet[one]; {
			case !seen && !listed:
				wrong = append(wrong, one+" is in the document, and no test has met it")
			case seen && listed:
				wrong = append(wrong, one+" was met, and is in notMet: "+reason)
			}
		}
	}
	slices.Sort(wrong)
	return wrong
}

// described is openapi.yaml and what checks against it.
type described struct {
	openapi.Document

	text       []byte
	operations map[string]*openapi.Operation // by pattern of http.ServeMux
	methods    map[string][]string           // by path
	mux        *http.ServeMux                // finds the pattern of a request
	validator  validator.Validator
}

// document is the one of all tests, since building it takes longer than most of
// them.
var document = sync.OnceValues(func() (*described, error) {
	text, err := os.ReadFile("openapi.yaml")
	if err != nil {
		return nil, err
	}
	read, err := libopenapi.NewDocument(text)
	if err != nil {
		return nil, err
	}
	v, errs := validator.NewValidator(read,
		validation.WithFormatAssertions(), validation.WithRejectUndeclaredRequestBody(), validation.WithRejectUnsupportedBodyContent(),
		validation.WithAuthenticationFunc(authenticated))
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	model, err := read.BuildV3Model()
	if err != nil {
		return nil, err
	}
	d := &described{
		Document: model.Model, text: text, validator: v, mux: http.NewServeMux(),
		operations: map[string]*openapi.Operation{}, methods: map[string][]string{},
	}
	for at, item := range d.Paths.PathItems.FromOldest() {
		d.mux.Handle(at, http.NotFoundHandler()) // for methods that are not described
		for method, operation := range item.GetOperations().FromOldest() {
			method = strings.ToUpper(method)
			pattern := method + " " + at
			d.operations[pattern] = operation
			d.methods[at] = append(d.methods[at], method)
			d.mux.Handle(pattern, http.NotFoundHandler())
		}
	}
	return d, nil
})

func openDocument(t *testing.T) *described {
	t.Helper()
	d, err := document()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

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

// announced are the headers that an answer has only if the document says so.
var announced = []string{"Allow", "Location", "Retry-After", "WWW-Authenticate"}

// check returns an error if an answer, or the request if it succeeded, is not as
// the document says.
func (d *described) check(r request, headers map[string]string, got answer) error {
	sent := r.http(headers)
	pattern := d.pattern(sent)
	operation, ok := d.operations[pattern]
	if !ok {
		return d.checkElsewhere(sent, pattern, got)
	}
	status := fmt.Sprint(got.status)
	promised := operation.Responses.Codes.GetOrZero(status)
	if promised == nil {
		return fmt.Errorf("%s: the document knows no %s", pattern, status)
	}
	wrong := []error{d.checkAnswer(sent, got)}
	if orderedmap.Len(promised.Content) == 0 && got.text != "" {
		wrong = append(wrong, fmt.Errorf("%s %s: the document knows no body", pattern, status))
	}
	for _, name := range announced {
		known := promised.Headers != nil && promised.Headers.GetOrZero(name) != nil
		if got.header.Get(name) != "" && !known {
			wrong = append(wrong, fmt.Errorf("%s %s: the document knows no header %s", pattern, status, name))
		}
	}
	wrong = append(wrong, got.checkProblem())
	if got.status < 300 && !r.lenient {
		wrong = append(wrong, d.checkRequest(r.http(headers)))
	}
	return errors.Join(wrong...)
}

// pattern is the one of http.ServeMux that a request meets: that of an
// operation, that of a path whose method is not described, or "".
func (d *described) pattern(sent *http.Request) string {
	if path.Clean(sent.URL.Path) != sent.URL.Path {
		return "" // the mux would know the clean one
	}
	_, pattern := d.mux.Handler(sent)
	return pattern
}

// checkAnswer checks status, headers, media type and body.
func (d *described) checkAnswer(sent *http.Request, got answer) error {
	response := &http.Response{StatusCode: got.status, Header: got.header, Body: io.NopCloser(strings.NewReader(got.text))}
	defer response.Body.Close()
	_, errs := d.validator.ValidateHttpResponse(sent, response)
	return said("the answer", errs)
}

// checkRequest checks everything of a request: who may send it, parameters and
// body.
func (d *described) checkRequest(sent *http.Request) error {
	_, errs := d.validator.ValidateHttpRequestSync(sent)
	return said("the request", errs)
}

// checkElsewhere checks the answer to what is not described.
func (d *described) checkElsewhere(sent *http.Request, pattern string, got answer) error {
	want, allow := http.StatusNotFound, ""
	if methods := slices.Clone(d.methods[pattern]); len(methods) > 0 {
		if slices.Contains(methods, http.MethodGet) {
			methods = append(methods, http.MethodHead)
		}
		slices.Sort(methods)
		want, allow = http.StatusMethodNotAllowed, strings.Join(methods, ", ")
	}
	if got.status != want || got.header.Get("Allow") != allow {
		return fmt.Errorf("got %d and Allow %q, want %d and %q", got.status, got.header.Get("Allow"), want, allow)
	}
	form, media := "Problem", "application/problem+json"
	if sent.URL.Path == "/register" || strings.HasPrefix(sent.URL.Path, "/register/") {
		form, media = "Error", "application/json"
	}
	if is := got.header.Get("Content-Type"); is != media {
		return fmt.Errorf("got Content-Type %q, want %q", is, media)
	}
	schema := d.Components.Schemas.GetOrZero(form).Schema()
	_, errs := schema_validation.NewSchemaValidator().ValidateSchemaString(schema, got.text)
	return errors.Join(said("the answer", errs), got.checkProblem())
}

// checkProblem wants a problem document to have the status of the answer.
func (a answer) checkProblem() error {
	if a.header.Get("Content-Type") == "application/problem+json" && a.body["status"] != float64(a.status) {
		return fmt.Errorf("the problem's status is %v, the answer's %d", a.body["status"], a.status)
	}
	return nil
}

func said(what string, errs []*invalid.ValidationError) error {
	all := make([]error, len(errs))
	for n, err := range errs {
		all[n] = fmt.Errorf("%s: %w", what, err)
	}
	return errors.Join(all...)
}

// http is the request as the document sees it.
func (r request) http(headers map[string]string) *http.Request {
	at, query, _ := strings.Cut(r.path, "?")
	sent := &http.Request{
		Method: r.method, URL: &url.URL{Scheme: "https", Host: "gatehouse.example.com", Path: at, RawQuery: query},
		Header: http.Header{}, Body: http.NoBody, ContentLength: int64(len(r.body)),
	}
	if r.body != "" {
		sent.Body = io.NopCloser(strings.NewReader(r.body))
	}
	for name, value := range headers {
		sent.Header.Set(name, value)
	}
	return sent.WithContext(context.WithValue(context.Background(), authorizerKey{}, r.authorizer))
}

func TestTheDocumentIsOpenAPI(t *testing.T) {
	t.Parallel()
	d := openDocument(t)
	if _, errs := d.validator.ValidateDocument(); len(errs) > 0 {
		t.Error(said("openapi.yaml", errs))
	}
	if d.Version != "3.1.0" || len(d.Servers) > 0 {
		t.Errorf("got version %s and servers %v, want 3.1.0 and none", d.Version, d.Servers)
	}
	var tags []string
	for _, tag := range d.Tags {
		tags = append(tags, tag.Name)
	}
	ids := map[string]string{}
	for pattern, operation := range d.operations {
		if operation.OperationId == "" || ids[operation.OperationId] != "" || operation.Summary == "" {
			t.Errorf("%s: got the operationId %q and the summary %q, want an operationId of its own and a summary",
				pattern, operation.OperationId, operation.Summary)
		}
		ids[operation.OperationId] = pattern
		if len(operation.Tags) != 1 || !slices.Contains(tags, operation.Tags[0]) {
			t.Errorf("%s: got the tags %v, want one of %v", pattern, operation.Tags, tags)
		}
	}
}

func TestTheDocumentIsServedWithTheAddressItWasCalledBy(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	var members map[string]any
	if err := yaml.Unmarshal(openDocument(t).text, &members); err != nil {
		t.Fatal(err)
	}
	for public, want := range map[string]string{
		"https://gatehouse.example.com": "https://gatehouse.example.com",
		"":                              "https://a1.execute-api.eu-west-1.amazonaws.com",
	} {
		a.PublicURL = public
		got := a.want(200, request{method: "GET", path: "/openapi.json"})
		if got.header.Get("Content-Type") != "application/json" || got.header.Get("Cache-Control") != "public, max-age=300" {
			t.Errorf("got %v", got.header)
		}
		members["servers"] = []any{map[string]any{"url": want}}
		text, err := json.Marshal(members)
		if err != nil {
			t.Fatal(err)
		}
		var file map[string]any
		if err := json.Unmarshal(text, &file); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(file, got.body); diff != "" {
			t.Errorf("what is served is not the file (-file +served):\n%s", diff)
		}
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
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(openDocument(t).operations))); diff != "" {
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
	for pattern, operation := range openDocument(t).operations {
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

// TestExamplesAreAnswersAndNothingMore: each example of the document is valid,
// and with a member more, wherever that is, it is not.
func TestExamplesAreAnswersAndNothingMore(t *testing.T) {
	t.Parallel()
	d := openDocument(t)
	for pattern, operation := range d.operations {
		method, at, _ := strings.Cut(pattern, " ")
		r := request{method: method, path: strings.NewReplacer("{", "", "}", "").Replace(at)}
		if operation.RequestBody != nil {
			r.body = example(t, operation.RequestBody.Content.GetOrZero("application/json"))
			r.authorizer = map[string]string{"scope": "gatehouse:applications gatehouse:contracts gatehouse:admin"}
			headers := map[string]string{"Content-Type": "application/json", "Authorization": "Bearer a"}
			if err := d.checkRequest(r.http(headers)); err != nil {
				t.Errorf("the example of %s: %v", pattern, err)
			}
		}
		for status, response := range operation.Responses.Codes.FromOldest() {
			for media, content := range response.Content.FromOldest() {
				if at == "/openapi.json" && status == "200" {
					continue // it would be the document in itself
				}
				text := example(t, content)
				got := answer{header: http.Header{"Content-Type": {media}}, text: text}
				if _, err := fmt.Sscan(status, &got.status); err != nil {
					t.Fatal(err)
				}
				for name, header := range response.Headers.FromOldest() {
					got.header.Set(name, header.Example.Value)
				}
				if err := d.checkAnswer(r.http(nil), got); err != nil {
					t.Errorf("the example of %s %s: %v", pattern, status, err)
				}
				for _, more := range withOneMore(t, text) {
					got.text = more
					if d.checkAnswer(r.http(nil), got) == nil {
						t.Errorf("%s %s: %s passes", pattern, status, more)
					}
				}
			}
		}
	}
}

// example is the example of a body as JSON.
func example(t *testing.T, media *openapi.MediaType) string {
	t.Helper()
	if media == nil || media.Example == nil {
		t.Fatal("a body has no example")
	}
	var value any
	if err := media.Example.Decode(&value); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// withOneMore returns an answer with a member more in each of its objects but
// the details of audits, which are open.
func withOneMore(t *testing.T, text string) []string {
	t.Helper()
	var root any
	if err := json.Unmarshal([]byte(text), &root); err != nil {
		t.Fatal(err)
	}
	var all []string
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, one := range v {
				walk(one)
			}
		case map[string]any:
			v["undocumented"] = "x"
			more, err := json.Marshal(root)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, string(more))
			delete(v, "undocumented")
			for name, one := range v {
				if name != "details" {
					walk(one)
				}
			}
		}
	}
	walk(root)
	return all
}

// TestWhatIsNotDescribedIsNoticed is the test of the check that all other tests
// go through.
func TestWhatIsNotDescribedIsNoticed(t *testing.T) {
	t.Parallel()
	d := openDocument(t)
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
			got := answer{status: test.status, header: http.Header{"Content-Type": {test.media}}, text: test.body}
			if name, value, ok := strings.Cut(test.header, ": "); ok {
				got.header.Set(name, value)
			}
			_ = json.Unmarshal([]byte(test.body), &got.body) // not all of them are JSON
			err := d.check(test.request, map[string]string{"Content-Type": "application/json"}, got)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
