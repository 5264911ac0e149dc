package broker_test

import (
	"context"
	"encoding/json"
	"errors"
	"html"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pb33f/libopenapi/datamodel/high/base"

	"gatehouse/shared/apigw"
	"gatehouse/shared/broker"
	"gatehouse/shared/oauth"
	"gatehouse/shared/registry"
	"gatehouse/shared/web/webtest"
)

// This file holds the handlers to openapi.yaml. Whatever the tests of this
// package ask of a site goes through [described]; when all of them have run,
// [TestMain] sees what the document promises and no test has met.

var description = webtest.Describe("openapi.yaml", webtest.Rules{
	NotMet:    map[string]string{},
	Rest:      []string{"/.well-known/oauth-authorization-server/{path}", "/.well-known/oauth-protected-resource/{path}"},
	Refusal:   func(string) (schema, media string) { return "Error", "application/json" },
	ForPeople: []string{"/authorize", "/authorize/consent", "/callback"},
	Also:      whatClientsAreTold,
})

func TestMain(m *testing.M) { os.Exit(description.Main(m)) }

// described is a server's handler whose answers are as openapi.yaml has them.
func described(t *testing.T, h http.Handler) http.Handler {
	t.Helper()
	return description.Open(t).Handler(t, h)
}

// whatClientsAreTold checks the parameters of a redirect URI, which OpenAPI can
// describe, and say nowhere that they are there.
func whatClientsAreTold(d *webtest.Document, x webtest.Exchange) error {
	to, err := url.Parse(x.Header.Get("Location"))
	if err != nil {
		return err
	}
	schema, told := "", map[string]string{}
	for name := range to.Query() {
		switch name {
		case "code":
			schema = "AuthorizationResponse"
		case "error":
			schema = "AuthorizationError"
		case "error_description", "iss", "state":
		default:
			continue // of the redirect URI, or for the provider
		}
		told[name] = to.Query().Get(name)
	}
	if schema == "" {
		return nil
	}
	text, err := json.Marshal(told)
	return errors.Join(err, d.CheckValue(schema, string(text)))
}

func TestTheDocumentIsOpenAPI(t *testing.T) {
	t.Parallel()
	description.Open(t).IsOpenAPI(t)
}

func TestExamplesAreAnswersAndNothingMore(t *testing.T) {
	t.Parallel()
	description.Open(t).Examples(t, func(r *http.Request) *http.Request { return r })
}

func TestTheDocumentIsServedWithTheAddressItWasCalledBy(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for public, want := range map[string]string{"https://other.test": "https://other.test", "": issuer} { // which the gateway is called by
		s.PublicURL = public
		got := answering(t, described(t, inFunction(t, s.Handler())), httptest.NewRequest(http.MethodGet, "/broker/openapi.json", nil))
		description.Open(t).IsServed(t, got.body, want)
	}
}

func TestHandlerAndDocumentKnowTheSameRoutes(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff(newSite(t).Patterns(), slices.Sorted(maps.Keys(description.Open(t).Operations))); diff != "" {
		t.Errorf("(-handler +document):\n%s", diff)
	}
}

var readName = regexp.MustCompile(`\b(?:p|form)\.(?:Get|All)\("([a-z_]+)"\)`)

// TestWhatTheHandlersReadIsDescribed compares the names of parameters in the
// source with those of the document.
func TestWhatTheHandlersReadIsDescribed(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	var members func(*base.Schema)
	members = func(s *base.Schema) {
		for name := range s.Properties.FromOldest() {
			known[name] = true
		}
		for _, part := range slices.Concat(s.AllOf, s.OneOf) {
			members(part.Schema())
		}
	}
	for _, operation := range description.Open(t).Operations {
		for _, p := range operation.Parameters {
			known[p.Name] = true
		}
		if operation.RequestBody != nil {
			members(operation.RequestBody.Content.GetOrZero("application/x-www-form-urlencoded").Schema.Schema())
		}
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range readName.FindAllSubmatch(text, -1) {
			if read++; !known[string(name[1])] {
				t.Errorf("%s reads %s, and the document does not know it", file, name[1])
			}
		}
	}
	if read < 20 {
		t.Errorf("got %d names in the source, want more: this test does not understand it", read)
	}
}

// one returns requests of each operation, with which it could succeed, by
// pattern.
func (s *site) one() map[string]func() *http.Request {
	s.t.Helper()
	a, b := s.register(confidential), s.selfRegister(stranger())
	away := s.ask(request(a))
	to, err := url.Parse(away.header.Get("Location"))
	if err != nil {
		s.t.Fatal(err)
	}
	page := s.ask(request(b))
	field := hiddenField.FindStringSubmatch(page.body)
	if field == nil {
		s.t.Fatalf("got %v, want the consent page", page)
	}
	back := form("state", to.Query().Get("state"), "code", "c", "iss", org+"/oauth2/default")
	get := func(path string, of answer) func() *http.Request {
		return func() *http.Request { return withCookies(httptest.NewRequest(http.MethodGet, path, nil), of) }
	}
	post := func(path string, of answer, pairs ...string) func() *http.Request {
		return func() *http.Request {
			r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form(pairs...).Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if of.header == nil {
				r.SetBasicAuth(url.QueryEscape(a.id), url.QueryEscape(a.secret))
			}
			return withCookies(r, of)
		}
	}
	all := map[string]func() *http.Request{
		"GET " + wellKnown:                                    get(wellKnown, answer{}),
		"GET " + wellKnown + "/{path...}":                     get(wellKnown+"/a/b", answer{}),
		"GET /.well-known/oauth-protected-resource":           get("/.well-known/oauth-protected-resource", answer{}),
		"GET /.well-known/oauth-protected-resource/{path...}": get("/.well-known/oauth-protected-resource/a/b", answer{}),
		"GET /authorize":                                      get("/authorize?"+request(a).Encode(), answer{}),
		"POST /authorize/consent":                             post("/authorize/consent", page, "request", html.UnescapeString(field[1]), "decision", "allow"),
		"GET /callback":                                       get("/callback?"+back.Encode(), away),
		"POST /token":                                         post("/token", answer{}, "grant_type", oauth.ClientCredentials),
		"POST /introspect":                                    post("/introspect", answer{}, "token", "x"),
		"POST /revoke":                                        post("/revoke", answer{}, "token", "x"),
		"GET /broker/openapi.json":                            get("/broker/openapi.json", answer{}),
	}
	if diff := cmp.Diff(s.Patterns(), slices.Sorted(maps.Keys(all))); diff != "" {
		s.t.Fatalf("there is not one of each (-handler +requests):\n%s", diff)
	}
	return all
}

// withCookies is a request of the browser that got an answer.
func withCookies(r *http.Request, of answer) *http.Request {
	for _, cookie := range (&http.Response{Header: of.header}).Cookies() {
		r.AddCookie(cookie)
	}
	return r
}

// answering returns the answer to a request.
func answering(t *testing.T, h http.Handler, r *http.Request) answer {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return newAnswer(w.Code, w.Result().Header, w.Body.String())
}

// inFunction is a handler as API Gateway calls it in a function.
func inFunction(t *testing.T, h http.Handler) http.Handler {
	t.Helper()
	return gateway{t: t, HTTP: &apigw.HTTP{Handler: h}}
}

// TestEachOperationSucceeds where this configuration has something.
func TestEachOperationSucceeds(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for pattern, r := range s.one() {
		if got := answering(t, described(t, s.Handler()), r()); got.status >= 400 && got.status != 404 {
			t.Errorf("%s: got %v", pattern, got)
		}
	}
}

// TestW6WhatBreaksIsToldToTheOperatorOnly: a Server that is nil breaks at every
// operation.
func TestW6WhatBreaksIsToldToTheOperatorOnly(t *testing.T) {
	t.Parallel()
	all := newSite(t).one()
	broken := described(t, inFunction(t, (*broker.Server)(nil).Handler()))
	for _, pattern := range description.Open(t).Answering("500") {
		got := answering(t, broken, all[pattern]())
		if got.status != 500 || got.header.Get("Content-Type") != "application/problem+json" || strings.Contains(got.body, "nil") {
			t.Errorf("%s: got %v", pattern, got)
		}
	}
}

// TestARecordThatIsDamaged is answered in the form of the path.
func TestARecordThatIsDamaged(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "registry.json")
	open := func(now func() time.Time) (*registry.Store, error) {
		return registry.Embedded{Path: file, Now: now}.Open()
	}
	s := setup{store: open}.site(t)
	all := s.one()
	if err := s.Store.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text = regexp.MustCompile(`"client_name": "[^"]*"`).ReplaceAll(text, []byte(`"client_name": 7`))
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if s.Store, err = open(s.clock.Now); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Store.Close() })
	for _, pattern := range description.Open(t).Answering("503") {
		got := answering(t, described(t, s.Handler()), all[pattern]())
		if strings.Contains(pattern, "/authorize") || strings.Contains(pattern, "/callback") {
			got.page(t, 500, "something broke on our side; try again", "server_error")
			continue
		}
		got.refused(t, 500, oauth.ServerError)
	}
}

// TestTheStoreIsAway: where the store is needed, the answer says when to come
// back.
func TestTheStoreIsAway(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	all := s.one()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, pattern := range description.Open(t).Answering("503") {
		got := answering(t, described(t, s.Handler()), all[pattern]().WithContext(ctx))
		if got.status != 503 || got.header.Get("Retry-After") != "5" || !strings.Contains(got.body, "the store does not answer at the moment; try again") {
			t.Errorf("%s: got %v", pattern, got)
		}
	}
}

func TestW4OnlyFormsThatAreNotTooLargeAreRead(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	all := s.one()
	for _, pattern := range description.Open(t).Answering("413") {
		for status, change := range map[int]func(*http.Request){
			413: func(r *http.Request) {
				r.Body = io.NopCloser(strings.NewReader("x=" + strings.Repeat("x", oauth.MaxParameters)))
			},
			400: func(r *http.Request) { r.Header.Set("Content-Type", "application/json") },
		} {
			r := all[pattern]()
			change(r)
			if got := answering(t, described(t, s.Handler()), r); got.status != status {
				t.Errorf("%s: got %v, want %d", pattern, got, status)
			}
		}
	}
}

func TestAnAddressThatIsNotComplete(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, path := range []string{"/authorize", "/callback"} {
		answering(t, described(t, s.Handler()), httptest.NewRequest(http.MethodGet, path, nil)).page(t, 400, oauth.InvalidRequest)
	}
}

func TestNothingOpensWithoutAClient(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	all := s.one()
	for _, pattern := range description.Open(t).Answering("401") {
		for authorization, challenge := range map[string]string{"": "", "Basic Og==": `Basic realm="gatehouse"`} {
			r := all[pattern]()
			if r.Header.Del("Authorization"); authorization != "" {
				r.Header.Set("Authorization", authorization)
			}
			got := answering(t, described(t, s.Handler()), r)
			if got.refused(t, 401, oauth.InvalidClient); got.header.Get("WWW-Authenticate") != challenge {
				t.Errorf("%s: got %v", pattern, got)
			}
		}
	}
}

func TestWhoGuessesSecretsIsSentAway(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	all := s.one()
	wrong := func(pattern string) answer {
		r := all[pattern]()
		id, _, _ := r.BasicAuth()
		r.SetBasicAuth(id, "wrong")
		return answering(t, described(t, s.Handler()), r)
	}
	for range 30 {
		wrong("POST /token")
	}
	for _, pattern := range description.Open(t).Answering("429") {
		if pattern == "GET /authorize" {
			continue // where there are no secrets
		}
		if got := wrong(pattern); got.status != 429 || got.header.Get("Retry-After") == "" {
			t.Errorf("%s: got %v", pattern, got)
		}
	}
}

func TestNotTooManyNewClientsComeWithinTheHour(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.reg.Dynamic.PerAddress = 1
	s.selfRegister(stranger())
	s.publish(stranger())
	q := request(app{id: document}, "redirect_uri", webApp)
	s.ask(q).page(t, 429, "Too many new applications came within the hour")
}

// TestMetadataAtEachPath looks where only some configurations have anything.
func TestMetadataAtEachPath(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	all := s.one()
	ask := func(pattern string) answer { return answering(t, described(t, s.Handler()), all[pattern]()) }
	for _, pattern := range description.Open(t).Answering("404") {
		ask(pattern).refused(t, 404, oauth.InvalidRequest)
	}
	s.PublicURL = issuer + "/a/b"
	s.APIs = append(s.APIs, broker.API{Name: "root", Resource: issuer}, broker.API{Name: "deep", Resource: issuer + "/a/b"})
	for _, pattern := range description.Open(t).Answering("404") {
		ask(pattern).ok(t)
	}
}

// TestWhatIsNotDescribedIsNoticed is the test of the check that all other tests
// go through.
func TestWhatIsNotDescribedIsNoticed(t *testing.T) {
	t.Parallel()
	d := description.Open(t)
	const (
		tokens  = `{"access_token":"a","token_type":"Bearer","scope":"orders:read"}`
		page    = "<!doctype html>"
		refusal = `{"error":"invalid_request","error_description":"x"}`
		query   = "/authorize?response_type=code&client_id=a&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256"
	)
	for name, test := range map[string]struct {
		method, at, form string
		status           int
		body             string
		headers          string // "Name: value" by line, more than those of all answers; "Name:" to leave one out
		want             string // "": it is right
	}{
		"tokens are right":                          {"POST", "/token", "grant_type=client_credentials&scope=orders%3Aread", 200, tokens, "", ""},
		"what is not known in a form is ignored":    {"POST", "/token", "grant_type=client_credentials&x=1", 200, tokens, "", ""},
		"a field without a value is not there":      {"POST", "/token", "grant_type=client_credentials&client_assertion=", 200, tokens, "", ""},
		"two resources are a list":                  {"POST", "/token", "grant_type=client_credentials&resource=https://a.test&resource=https://b.test", 200, tokens, "", ""},
		"success with a field that is sent twice":   {"POST", "/token", "grant_type=client_credentials&scope=a&scope=b", 200, tokens, "", "failed to validate schema"},
		"success with a field that is refused":      {"POST", "/token", "grant_type=client_credentials&client_assertion=x", 200, tokens, "", "failed to validate schema"},
		"success of a grant type that is not known": {"POST", "/token", "grant_type=password", 200, tokens, "", "failed to validate schema"},
		"success without a field":                   {"POST", "/token", "grant_type=authorization_code&code=a", 200, tokens, "", "failed to validate schema"},
		"success without a form":                    {"POST", "/token", "", 200, tokens, "", "body"},
		"a refusal of a bad form":                   {"POST", "/token", "grant_type=password", 400, refusal, "", ""},
		"a code that cannot occur":                  {"POST", "/introspect", "token=a", 400, strings.Replace(refusal, "invalid_request", "invalid_grant", 1), "", "invalid_request"},
		"a description with a quote":                {"POST", "/token", "", 400, `{"error":"invalid_request","error_description":"\"x\""}`, "", "pattern"},
		"an answer that caches keep":                {"POST", "/token", "grant_type=client_credentials", 200, tokens, "Cache-Control: public", "want no-store"},
		"one of whose type a browser guesses":       {"POST", "/token", "grant_type=client_credentials", 200, tokens, "X-Content-Type-Options:", "want nosniff"},
		"one that scripts may not read":             {"POST", "/token", "grant_type=client_credentials", 200, tokens, "Access-Control-Allow-Origin:", `want "*"`},
		"a page that scripts may read":              {"GET", query, "", 200, page, pageHeaders + "Access-Control-Allow-Origin: *", `want ""`},
		"a page is right":                           {"GET", query, "", 200, page, pageHeaders, ""},
		"a page that may be in a frame":             {"GET", query, "", 200, page, pageHeaders + "X-Frame-Options:", "X-Frame-Options"},
		"a page that is none":                       {"GET", query, "", 200, "Hello", pageHeaders, "pattern"},
		"a cookie for scripts":                      {"GET", query, "", 200, page, pageHeaders + "Set-Cookie: a=b", "pattern"},
		"a cookie with tokens":                      {"POST", "/token", "grant_type=client_credentials", 200, tokens, "Set-Cookie: a=b", "knows no header Set-Cookie"},
		"success without a challenge":               {"GET", "/authorize?response_type=code&client_id=a", "", 200, page, pageHeaders, "code_challenge"},
		"success with a request object":             {"GET", query + "&request=x", "", 200, page, pageHeaders, "request"},
		"a parameter without a value":               {"GET", query + "&request=", "", 200, page, pageHeaders, ""},
		"an answer to a client is right":            {"GET", "/callback?state=a&code=c", "", 303, "", toClient + "?code=a&iss=https://gatehouse.test&state=s", ""},
		"an answer to a client without iss":         {"GET", "/callback?state=a&code=c", "", 303, "", toClient + "?code=a&state=s", "iss"},
		"an error to a client with another code":    {"GET", "/callback?state=a&code=c", "", 303, "", toClient + "?error=login_required&error_description=x&iss=https://gatehouse.test", "access_denied"},
		"success without the sealed state":          {"GET", "/callback?code=c", "", 303, "", toClient + "?code=a&iss=https://gatehouse.test", "state"},
		"a path with slashes":                       {"GET", wellKnown + "/a/b", "", 404, refusal, "", ""},
		"another status for a path with slashes":    {"GET", wellKnown + "/a/b", "", 400, refusal, "", "knows no 400"},
		"success at a path that is not described":   {"GET", "/.well-known/openid-configuration", "", 200, `{}`, "", "want 404"},
		"a preflight is right":                      {"OPTIONS", "/token", "", 204, "", preflight, ""},
		"a preflight that is not told its headers":  {"OPTIONS", "/token", "", 204, "", preflight + "Access-Control-Allow-Headers:", "Allow-Headers"},
		"a preflight of what is for people":         {"OPTIONS", "/authorize", "", 204, "", preflight, "want 405"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := webtest.Exchange{Request: httptest.NewRequest(test.method, test.at, nil), Sent: test.form, Status: test.status, Body: test.body}
			x.Request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			x.Request.Header.Set("Access-Control-Request-Method", "POST")
			x.Header = http.Header{"Cache-Control": {"no-store"}, "X-Content-Type-Options": {"nosniff"}}
			if !strings.Contains(test.headers, pageHeaders) && !strings.Contains(test.headers, toClient) {
				x.Header.Set("Content-Type", "application/json")
				x.Header.Set("Access-Control-Allow-Origin", "*")
			}
			for line := range strings.Lines(test.headers) {
				name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
				if x.Header.Del(name); value != "" {
					x.Header.Set(name, strings.TrimSpace(value))
				}
			}
			err := d.Check(x)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

const (
	pageHeaders = "Content-Type: text/html; charset=utf-8\nX-Frame-Options: DENY\nReferrer-Policy: no-referrer\n" +
		"Content-Security-Policy: default-src 'none'; style-src 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='; frame-ancestors 'none'; base-uri 'none'\n"
	toClient = "Referrer-Policy: no-referrer\nSet-Cookie: __Host-gatehouse-state-Zm9vYmFyYmE=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax\n" +
		"Location: https://app.test/cb"
	preflight = "Access-Control-Allow-Methods: POST\nAccess-Control-Allow-Headers: Authorization\n"
)
