package ordertools_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"gatehouse/infra/examples/mcp/ordertools"
	"gatehouse/shared/apigw"
)

// The tokens of these tests, and what the authorizer tells about each.
const (
	reader = "eyJ.reader.token"
	writer = "eyJ.writer.token"
	nobody = "eyJ.nobody.token"
)

func callers() map[string]map[string]any {
	return map[string]map[string]any{
		reader: {
			"principalId": "ada", "integrationLatency": 3, "client_id": "https://agent.example/client.json", "sub": "ada",
			"scope": "orders:read", "application": "app-1", "tier": "agents",
		},
		writer: {"principalId": "cli", "integrationLatency": 3, "client_id": "cli", "scope": "orders:read orders:write"},
		nobody: {"principalId": "bob", "integrationLatency": 3, "client_id": "cli", "sub": "bob"},
	}
}

// gate is API Gateway as far as the function can tell: it makes a REST proxy
// event of each request, with the context of the caller whose token it has. It
// refuses nobody.
type gate struct {
	function *apigw.HTTP

	mu   sync.Mutex // guards what follows
	log  bytes.Buffer
	sent bytes.Buffer // all responses
}

// Write takes what is logged.
func (g *gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.log.Write(p)
}

func newGate(handler http.Handler) *gate {
	g := new(gate)
	g.function = &apigw.HTTP{Handler: handler, Log: slog.New(slog.NewJSONHandler(g, nil))}
	return g
}

// start serves the orders at a URL. What is logged and answered is searched
// for tokens in the end.
func start(t *testing.T) (*gate, string) {
	t.Helper()
	g := newGate(ordertools.Server{AllowedOrigin: "http://localhost:6274"}.Handler())
	server := httptest.NewServer(g)
	t.Cleanup(func() {
		server.Close()
		g.mu.Lock()
		defer g.mu.Unlock()
		for what, text := range map[string]string{"the log": g.log.String(), "a response": g.sent.String()} {
			if strings.Contains(text, "eyJ") {
				t.Errorf("there is a token in %s:\n%s", what, text)
			}
		}
	})
	return g, server.URL + "/v1/mcp"
}

// event is the REST proxy event of a request.
func event(r *http.Request, body []byte) ([]byte, error) {
	single := map[string]string{}
	for name, values := range r.Header {
		single[name] = values[len(values)-1]
	}
	requestContext := map[string]any{
		"apiId": "a1b2c3d4e5", "stage": "v1", "path": "/v1/mcp", "resourcePath": "/mcp", "httpMethod": r.Method,
		"domainName": "a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com", "identity": map[string]any{"sourceIp": "192.0.2.7"},
	}
	if told, ok := callers()[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]; ok {
		requestContext["authorizer"] = told
	}
	return json.Marshal(map[string]any{
		"resource": "/mcp", "path": "/mcp", "httpMethod": r.Method, "headers": single, "multiValueHeaders": r.Header,
		"stageVariables": map[string]string{"gatehouse": "mcp"}, "body": string(body), "isBase64Encoded": false,
		"requestContext": requestContext,
	})
}

// response is what the function answers.
type response struct {
	StatusCode        int
	MultiValueHeaders http.Header
	Body              string
}

// invoke runs the function on a request.
func (g *gate) invoke(r *http.Request) (response, error) {
	var answer response
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return answer, err
	}
	sent, err := event(r, body)
	if err != nil {
		return answer, err
	}
	got, err := g.function.Invoke(r.Context(), sent)
	if err != nil {
		return answer, err
	}
	g.mu.Lock()
	_, _ = g.sent.Write(got) // into memory
	g.mu.Unlock()
	return answer, json.Unmarshal(got, &answer)
}

// ServeHTTP answers as the function does.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, err := g.invoke(r)
	if err != nil {
		http.Error(w, "the function failed: "+err.Error(), http.StatusBadGateway)
		return
	}
	maps.Copy(w.Header(), answer.MultiValueHeaders)
	w.WriteHeader(answer.StatusCode)
	_, _ = io.WriteString(w, answer.Body) // a client that is gone needs none
}

// lines are what was logged so far.
func (g *gate) lines(t *testing.T) []map[string]any {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	var lines []map[string]any
	for text := range strings.Lines(g.log.String()) {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		lines = append(lines, line)
	}
	return lines
}

// bearer sends a token with each request.
type bearer string

// RoundTrip sends the request with the token.
func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(r)
}

// connect is a stock client that speaks a version of the protocol.
func connect(t *testing.T, url, token, version string) *mcp.ClientSession {
	t.Helper()
	client := mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{
		Endpoint: url, HTTPClient: &http.Client{Transport: bearer(token)}, MaxRetries: -1,
	}, &mcp.ClientSessionOptions{ProtocolVersion: version})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := session.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return session
}

// call calls a tool and returns the text it answers, and whether it failed.
func call(ctx context.Context, t *testing.T, session *mcp.ClientSession, tool string, arguments any) (text string, failed bool) {
	t.Helper()
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: tool, Arguments: arguments})
	if err != nil {
		t.Fatalf("%s: %v", tool, err)
	}
	if len(result.Content) != 1 {
		t.Fatalf("%s: got %d pieces of content", tool, len(result.Content))
	}
	content, ok := result.Content[0].(*mcp.TextContent)
	if !ok {
		t.Fatalf("%s: got %T", tool, result.Content[0])
	}
	return content.Text, result.IsError
}
