package main_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"gatehouse/infra/examples/mcp/ordertools"
	"gatehouse/infra/local/gateway"
	"gatehouse/infra/local/samtemplate"
	"gatehouse/shared/apigw"
	"gatehouse/shared/authorizer"
	"gatehouse/shared/broker"
	"gatehouse/shared/config"
	"gatehouse/shared/fetch"
	"gatehouse/shared/provider"
	"gatehouse/shared/registration"
	"gatehouse/shared/registry"
	"gatehouse/shared/secret"
	"gatehouse/shared/standin"
)

// rest stands before the example's part of gatehouse.yaml, as infra/gatehouse.yaml
// has it. The stand-in's tokens lack what RFC 9068 asks for.
const rest = `
publicURL: ${GATEHOUSE}
providers:
  - {name: okta, type: rfc7591, issuer: "${IDP}", audiences: ["api://default", "${MCP}"], openRegistration: true,
     tokenTypes: [JWT, ""], requiredClaims: [client_id]}
registration:
  keys: file:${DIR}/registration.json
  dynamic: {provider: okta, open: true}
broker:
  keys: file:${DIR}/broker.json
  clientMetadata: true
`

// authorizerHere replaces the authorizer of another stack, which the emulator
// cannot call.
const authorizerHere = `
  AuthorizerFunction:
    Type: AWS::Serverless::Function
    Properties: {Handler: bootstrap, CodeUri: .}
  AuthorizerPermission:
    Type: AWS::Lambda::Permission
    Properties: {FunctionName: !GetAtt AuthorizerFunction.Arn, Principal: apigateway.amazonaws.com}
`

// exampleResource is what gatehouse.yaml calls the endpoint.
const exampleResource = "https://a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com/v1/mcp"

// stack is the example as it is deployed: its template in the emulator of API
// Gateway, its part of gatehouse.yaml in the authorizer, the registration and
// the broker, and an identity provider.
type stack struct {
	mcp, gatehouse, idp string // URLs; the first is the endpoint's

	store *registry.Store
	cfg   *config.Config
	env   provider.Environment
}

// clientOf is a client at the identity provider that acts for itself.
func clientOf(id string) standin.Client {
	return standin.Client{ID: id, Secret: id + "-secret", GrantTypes: []string{standin.ClientCredentials}}
}

// stranger has no contract with the API.
const stranger = "stranger"

func newStack(t *testing.T) *stack {
	t.Helper()
	s := stack{env: provider.Environment{HTTP: fetch.NewClient(), Secrets: &secret.Manager{}}}
	idp, gatehouse, api := listen(t, &s.idp), listen(t, &s.gatehouse), listen(t, &s.mcp)
	s.mcp += "/v1/mcp"

	okta, err := standin.NewRFC7591(standin.RFC7591{
		URL: s.idp, Clients: []standin.Client{clientOf("program"), clientOf(stranger)},
		Users: []standin.User{{Login: "ada@example.com", Password: "correct horse"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	idp.Config.Handler = okta
	idp.Start()
	if s.store, err = (registry.Embedded{}).Open(); err != nil {
		t.Fatal(err)
	}
	s.cfg = s.config(t)
	gatehouse.Config.Handler = s.own(t)
	gatehouse.Start()

	functions := map[string]func(context.Context, []byte) ([]byte, error){
		"AuthorizerFunction": s.authorizer(t).Invoke,
	}
	template := s.template(t)
	origin := template.Functions["McpFunction"].Environment["ALLOWED_ORIGIN"]
	functions["McpFunction"] = (&apigw.HTTP{Handler: ordertools.Server{AllowedOrigin: origin}.Handler()}).Invoke
	if len(template.APIs) != 1 {
		t.Fatalf("got %d APIs", len(template.APIs))
	}
	api.Config.Handler, err = gateway.New(gateway.Config{
		API: template.APIs[0],
		Invoke: func(ctx context.Context, function string, event []byte) ([]byte, error) {
			return functions[function](ctx, event)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	api.Start()
	return &s
}

// listen returns a server that is not started yet, and its URL.
func listen(t *testing.T, at *string) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	*at = "http://localhost:" + port
	return server
}

// template is template.yaml, with the authorizer in it.
func (s *stack) template(t *testing.T) *samtemplate.Template {
	t.Helper()
	text, err := os.ReadFile("template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	here := string(text)
	for _, change := range [][2]string{
		{"\nResources:\n", "\nResources:\n" + authorizerHere},
		{"FunctionArn: !Ref AuthorizerArn", "FunctionArn: !GetAtt AuthorizerFunction.Arn"},
		{"AllowedPattern: ^https://", "AllowedPattern: ^http://"}, // of GatehouseUrl
	} {
		if strings.Count(here, change[0]) != 1 {
			t.Fatalf("template.yaml does not have %q once", change[0])
		}
		here = strings.Replace(here, change[0], change[1], 1)
	}
	template, err := samtemplate.Parse([]byte(here), samtemplate.Options{Parameters: map[string]string{
		"GatehouseUrl": s.gatehouse, "AuthorizerArn": "arn:aws:lambda:eu-west-1:123456789012:function:gatehouse-AuthorizerFunction-1a2b",
	}})
	if err != nil {
		t.Fatal(err)
	}
	return template
}

// config is gatehouse.yaml.
func (s *stack) config(t *testing.T) *config.Config {
	t.Helper()
	text, err := os.ReadFile("gatehouse.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"registration.json", "broker.json"} {
		keys := `{"current":"` + rand.Text() + rand.Text() + `"}`
		if err := os.WriteFile(filepath.Join(dir, name), []byte(keys), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	values := map[string]string{"IDP": s.idp, "GATEHOUSE": s.gatehouse, "MCP": s.mcp, "DIR": dir}
	here := strings.Replace(string(text), exampleResource, s.mcp, 1)
	if here == string(text) {
		t.Fatalf("gatehouse.yaml does not have %s", exampleResource)
	}
	cfg, err := config.Parse([]byte(rest+here), func(name string) (string, bool) { v, ok := values[name]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// own is Gatehouse's own API, as far as strangers may call it.
func (s *stack) own(t *testing.T) http.Handler {
	t.Helper()
	service, err := registration.New(s.cfg, s.env, s.store)
	if err != nil {
		t.Fatal(err)
	}
	server, err := broker.New(s.cfg, s.env, s.store, &http.Client{Transport: theWeb{}})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/register", service.Handler())
	mux.Handle("/", server.Handler())
	return mux
}

// authorizer is Gatehouse's, which knows the contract of one client that never
// registered itself, and those of the registry.
func (s *stack) authorizer(t *testing.T) *apigw.Authorizer {
	t.Helper()
	gate, err := authorizer.New(s.cfg, s.env, func(ctx context.Context, k registry.ContractKey) (registry.Contract, error) {
		if k.ClientID == "program" {
			return registry.Contract{Provider: k.Provider, ClientID: k.ClientID, API: k.API, Tier: "agents", Status: registry.Approved}, nil
		}
		return s.store.Contract(ctx, k)
	})
	if err != nil {
		t.Fatal(err)
	}
	return gate.Handler(slog.New(slog.NewJSONHandler(t.Output(), nil)))
}

// document is where an agent tells about itself.
const document = "https://agent.example.com/client.json"

// theWeb is the web, as far as there is anything of interest.
type theWeb struct{}

// RoundTrip implements [http.RoundTripper].
func (theWeb) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.String() != document {
		return nil, errors.New("there is no such page")
	}
	w := httptest.NewRecorder()
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"client_id":%q,"client_name":"An agent","redirect_uris":["http://localhost/callback"],"token_endpoint_auth_method":"none"}`, document)
	return w.Result(), nil
}

// Ways for a stock client that knows nothing but the endpoint to become one.
var (
	registersItself = auth.AuthorizationCodeHandlerConfig{
		DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{Metadata: &oauthex.ClientRegistrationMetadata{
			ClientName: "An agent", RedirectURIs: []string{"http://localhost:3118/callback"}, TokenEndpointAuthMethod: "none",
			GrantTypes: []string{"authorization_code"}, ResponseTypes: []string{"code"}, Scope: "orders:read orders:write",
		}},
	}
	isKnownByItsDocument = auth.AuthorizationCodeHandlerConfig{
		ClientIDMetadataDocumentConfig: &auth.ClientIDMetadataDocumentConfig{URL: document}, RedirectURL: "http://localhost:3118/callback",
	}
)

// agent is a stock client. Ada signs in and grants it the scopes that narrow
// leaves.
func (s *stack) agent(t *testing.T, c auth.AuthorizationCodeHandlerConfig, narrow func(asked []string) []string) *mcp.ClientSession {
	t.Helper()
	c.AuthorizationCodeFetcher, c.ScopeFilter = signIn, narrow
	handler, err := auth.NewAuthorizationCodeHandler(&c)
	if err != nil {
		t.Fatal(err)
	}
	session, err := mcp.NewClient(&mcp.Implementation{Name: "agent", Version: "1"}, nil).Connect(t.Context(),
		&mcp.StreamableClientTransport{Endpoint: s.mcp, OAuthHandler: handler, MaxRetries: -1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
	return session
}

// person is ada and her browser. Its cookies are all for Gatehouse.
type person struct{ cookies []*http.Cookie }

// signIn has ada agree to the client, which nobody knows, and type her password.
func signIn(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
	ada := new(person)
	asked, err := ada.open(ctx, args.URL, nil)
	if err != nil {
		return nil, err
	}
	field := consent.FindStringSubmatch(asked.page)
	if field == nil {
		return nil, fmt.Errorf("got %d %s, want to be asked", asked.status, asked.page)
	}
	agree, err := url.Parse(args.URL)
	if err != nil {
		return nil, err
	}
	agree.Path, agree.RawQuery = "/authorize/consent", ""
	login, err := ada.open(ctx, agree.String(), url.Values{"request": {html.UnescapeString(field[1])}, "decision": {"allow"}})
	if err != nil {
		return nil, err
	}
	signedIn, err := ada.open(ctx, login.location, url.Values{"username": {"ada@example.com"}, "password": {"correct horse"}})
	if err != nil {
		return nil, err
	}
	done, err := ada.open(ctx, signedIn.location, nil)
	if err != nil {
		return nil, err
	}
	back, err := url.Parse(done.location)
	if err != nil {
		return nil, err
	}
	if back.Query().Get("code") == "" {
		return nil, fmt.Errorf("got %d %q, want a code", done.status, done.location)
	}
	return &auth.AuthorizationResult{Code: back.Query().Get("code"), State: back.Query().Get("state"), Iss: back.Query().Get("iss")}, nil
}

// consent is the field of the page on which a person agrees.
var consent = regexp.MustCompile(`name="request" value="([^"]*)"`)

// shown is what a browser gets.
type shown struct {
	status   int
	location string // it is sent to
	page     string
}

// open opens a page, or sends a form. It follows no redirect.
func (p *person) open(ctx context.Context, at string, form url.Values) (shown, error) {
	method := http.MethodGet
	if form != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, at, strings.NewReader(form.Encode()))
	if err != nil {
		return shown{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, c := range p.cookies {
		req.AddCookie(c)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return shown{}, err
	}
	defer resp.Body.Close()
	p.cookies = append(p.cookies, resp.Cookies()...)
	body, err := io.ReadAll(resp.Body)
	return shown{resp.StatusCode, resp.Header.Get("Location"), string(body)}, err
}

// token is what the identity provider gives a client that acts for itself.
func (s *stack) token(t *testing.T, id, scope string) string {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {scope}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.idp+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(id, id+"-secret")
	status, _, body := send(t, req)
	var issued struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(body), &issued); err != nil || issued.AccessToken == "" {
		t.Fatalf("got %d %s", status, body)
	}
	return issued.AccessToken
}

func send(t *testing.T, req *http.Request) (status int, header http.Header, body string) {
	t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(text)
}

func text(t *testing.T, session *mcp.ClientSession, tool string, arguments map[string]any) string {
	t.Helper()
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: arguments})
	if err != nil {
		t.Fatal(err)
	}
	content, ok := result.Content[0].(*mcp.TextContent)
	if !ok {
		t.Fatalf("got %T", result.Content[0])
	}
	return content.Text
}

// From the first 401 to an order: what a person sees who types one URL.
func TestAnAgentThatKnowsOnlyTheAddress(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]auth.AuthorizationCodeHandlerConfig{
		"it registers itself": registersItself, "its client_id is the URL of its metadata": isKnownByItsDocument,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ordersSomething(t, newStack(t).agent(t, c, nil))
		})
	}
}

func ordersSomething(t *testing.T, session *mcp.ClientSession) {
	t.Helper()
	for _, want := range []string{`"sub":"ada@example.com"`, `"scopes":["orders:read","orders:write"]`, `"application":"`, `"tier":"agents"`} {
		if got := text(t, session, "whoami", nil); !strings.Contains(got, want) {
			t.Errorf("whoami: got %s, want %s", got, want)
		}
	}
	if got := text(t, session, "place_order", map[string]any{"item": rand.Text(), "quantity": 1}); !strings.Contains(got, `"id":"1004"`) {
		t.Errorf("place_order: got %s", got)
	}
}

func TestAnAgentThatMayOnlyLook(t *testing.T) {
	t.Parallel()
	session := newStack(t).agent(t, registersItself, func([]string) []string { return []string{"orders:read"} })
	if got := text(t, session, "list_orders", nil); !strings.HasPrefix(got, `{"orders":[`) {
		t.Errorf("list_orders: got %s", got)
	}
	if got := text(t, session, "place_order", map[string]any{"item": "bell", "quantity": 1}); !strings.Contains(got, "needs the scope orders:write") {
		t.Errorf("place_order: got %s", got)
	}
}

func TestC4B5B6WhatTheGatewayAnswers(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	const ping = `{"jsonrpc":"2.0","id":1,"method":"ping"}`
	metadata := `resource_metadata="` + s.gatehouse + `/.well-known/oauth-protected-resource/mcp"`
	tests := []struct {
		name, method, path, token string
		status                    int
		challenge                 string // WWW-Authenticate
		body                      string // in it
	}{
		{"no token gets the challenge that clients start from", "POST", "", "", 401, `Bearer realm="mcp", scope="orders:read orders:write", ` + metadata, "Unauthorized"},
		{"a token that is none, too", "POST", "", "garbage", 401, `Bearer realm="mcp", scope="orders:read orders:write", ` + metadata, "Unauthorized"},
		{
			"a token without any scope of the API", "POST", "", s.token(t, "program", "orders:admin"),
			403, `Bearer realm="mcp", error="insufficient_scope", scope="orders:read orders:write", ` + metadata, `"error":"insufficient_scope"`,
		},
		{
			"an application without a contract learns it from the body", "POST", "", s.token(t, stranger, "orders:read"),
			403, `Bearer realm="mcp", error="insufficient_scope", scope="orders:read orders:write", ` + metadata, `"error":"no_contract"`,
		},
		{"an application that acts for itself", "POST", "", s.token(t, "program", "orders:write"), 200, "", `"result":{}`},
		{"there is no stream, and no token is needed to learn it", "GET", "", "", 405, "", "this path has POST"},
		{"there is no session to end", "DELETE", "", "", 405, "", "this path has POST"},
		{"a method there is not", "PUT", "", "", 403, "", "Missing Authentication Token"},
		{"a path there is not", "POST", "/x", "", 403, "", "Missing Authentication Token"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			req, err := http.NewRequestWithContext(t.Context(), test.method, s.mcp+test.path, strings.NewReader(ping))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Accept", "application/json, text/event-stream")
			req.Header.Set("Origin", "http://localhost:6274")
			if test.token != "" {
				req.Header.Set("Authorization", "Bearer "+test.token)
			}
			status, header, body := send(t, req)
			if status != test.status || header.Get("WWW-Authenticate") != test.challenge || !strings.Contains(body, test.body) {
				t.Errorf("got %d %q %s, want %d %q %s", status, header.Get("WWW-Authenticate"), body, test.status, test.challenge, test.body)
			}
			if header.Get("Access-Control-Allow-Origin") != "http://localhost:6274" {
				t.Errorf("a script cannot read it: %v", header)
			}
			if exposed := header.Get("Access-Control-Expose-Headers"); (exposed == "WWW-Authenticate") != (test.challenge != "") {
				t.Errorf("Access-Control-Expose-Headers: got %q", exposed)
			}
		})
	}
}

// A browser asks first, without a token, for each header that MCP adds.
func TestAPreflightNeedsNoToken(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, s.mcp, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", "http://localhost:6274")
	req.Header.Set("Access-Control-Request-Method", "POST")
	status, header, body := send(t, req)
	if status != http.StatusOK || header.Get("Access-Control-Allow-Origin") != "http://localhost:6274" || !strings.Contains(header.Get("Access-Control-Allow-Methods"), "POST") {
		t.Errorf("got %d %v %s", status, header, body)
	}
	allowed := strings.Split(header.Get("Access-Control-Allow-Headers"), ",")
	for _, name := range []string{"Authorization", "Content-Type", "Mcp-Protocol-Version", "Mcp-Session-Id", "Mcp-Method", "Mcp-Name", "Last-Event-ID"} {
		found := false
		for _, one := range allowed {
			found = found || strings.TrimSpace(one) == name
		}
		if !found {
			t.Errorf("%s is not among %q", name, allowed)
		}
	}
}
