package registration_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"gatehouse/shared/apigw"
)

// api calls a site as API Gateway does.
type api struct {
	*site

	t   *testing.T
	ctx context.Context // of requests; nil: the test's
	log bytes.Buffer
}

func newAPI(t *testing.T) *api {
	t.Helper()
	return &api{site: newSite(t), t: t}
}

// request is one request and, with authorizer, who the authorizer says sent it.
type request struct {
	method, path, body string
	header             map[string]string
	authorizer         map[string]string
	address            string // of the sender
	lenient            bool   // it may succeed though the document does not allow it
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   map[string]any
	text   string
}

func (a answer) string(name string) string {
	s, _ := a.body[name].(string)
	return s
}

func (a answer) list(name string) []any {
	l, _ := a.body[name].([]any)
	return l
}

var (
	asAda   = map[string]string{"sub": "ada", "scope": "gatehouse:applications"}
	asMal   = map[string]string{"sub": "mal", "scope": "gatehouse:applications gatehouse:contracts"}
	asGrace = map[string]string{"sub": "grace", "scope": "gatehouse:contracts"}
	asTeam  = map[string]string{"sub": "ivan", "scope": "gatehouse:contracts", "groups": `["staff","orders-team"]`}
	asAdmin = map[string]string{"sub": "root", "scope": "gatehouse:admin"}
)

func (a *api) call(r request) answer {
	a.t.Helper()
	path, query, _ := strings.Cut(r.path, "?")
	headers := map[string]string{}
	if r.body != "" {
		headers["content-type"] = "application/json"
	}
	for name, value := range r.header {
		headers[strings.ToLower(name)] = value
	}
	context := map[string]any{
		"apiId": "a1", "stage": "$default", "domainName": "a1.execute-api.eu-west-1.amazonaws.com",
		"http": map[string]any{"method": r.method, "sourceIp": cmp.Or(r.address, "192.0.2.7")},
	}
	if r.authorizer != nil {
		context["authorizer"] = map[string]any{"lambda": r.authorizer}
	}
	event, err := json.Marshal(map[string]any{
		"version": "2.0", "rawPath": path, "rawQueryString": query, "headers": headers, "body": r.body, "requestContext": context,
	})
	if err != nil {
		a.t.Fatal(err)
	}
	edge := apigw.HTTP{Handler: a.Handler(), Log: slog.New(slog.NewJSONHandler(&a.log, nil)), Now: a.clock.Now}
	out, err := edge.Invoke(cmp.Or(a.ctx, a.t.Context()), event)
	if err != nil {
		a.t.Fatal(err)
	}
	var response struct {
		StatusCode int               `json:"statusCode"`
		Headers    map[string]string `json:"headers"`
		Body       string            `json:"body"`
	}
	if err := json.Unmarshal(out, &response); err != nil {
		a.t.Fatal(err)
	}
	got := answer{status: response.StatusCode, header: http.Header{}, text: response.Body}
	for name, value := range response.Headers {
		got.header.Set(name, value)
	}
	if response.Body != "" && strings.Contains(got.header.Get("Content-Type"), "json") {
		if err := json.Unmarshal([]byte(response.Body), &got.body); err != nil {
			a.t.Fatalf("%s: %v", response.Body, err)
		}
	}
	d := document.Open(a.t)
	x := r.exchange(headers, got)
	d.Meet(x)
	if err := d.Check(x); err != nil {
		a.t.Errorf("%s %s %.200s: the answer %d %s is not as openapi.yaml has it: %v", r.method, r.path, r.body, got.status, got.text, err)
	}
	return got
}

func (a *api) want(status int, r request) answer {
	a.t.Helper()
	got := a.call(r)
	if got.status != status {
		a.t.Fatalf("%s %s %.80s: got %d %s, want %d", r.method, r.path, r.body, got.status, got.text, status)
	}
	return got
}

const web = `{"client_name":"Reports","redirect_uris":["https://app.example.com/cb"]}`

// registered registers web and returns the answer and the path and header to
// manage it.
func (a *api) registered() (got answer, path string, bearer map[string]string) {
	a.t.Helper()
	got = a.want(201, request{method: "POST", path: "/register", body: web})
	u, err := url.Parse(got.string("registration_client_uri"))
	if err != nil {
		a.t.Fatal(err)
	}
	return got, u.Path, map[string]string{"Authorization": "Bearer " + got.string("registration_access_token")}
}

// unchanged fails if a client or an application is there that was not.
func (a *api) unchanged(name string, clients int) {
	a.t.Helper()
	if got := len(a.org.Registered("")); got != clients {
		a.t.Errorf("%s: the provider has %d clients, want %d", name, got, clients)
	}
	if wrong := a.problems(a.t); wrong != nil {
		a.t.Errorf("%s: %v", name, wrong)
	}
}
