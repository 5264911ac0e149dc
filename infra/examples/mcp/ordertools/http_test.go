package ordertools_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"gatehouse/infra/examples/mcp/ordertools"
)

const (
	ping = `{"jsonrpc":"2.0","id":1,"method":"ping"}`

	// meta is what each request of the version without sessions has.
	meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
)

// request is a POST of a client with orders:read, unless with changes it.
func request(body string, with ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/mcp", strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+reader)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	for _, header := range with {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
		if value == "" {
			r.Header.Del(name)
		}
	}
	return r
}

func TestMessages(t *testing.T) {
	t.Parallel()
	latest := func(body, method string, with ...string) *http.Request {
		return request(body, append([]string{"Mcp-Protocol-Version: 2026-07-28", "Mcp-Method: " + method}, with...)...)
	}
	get := func(method string, with ...string) *http.Request {
		r := request("", append([]string{"Accept: text/event-stream"}, with...)...)
		r.Method = method
		return r
	}
	tests := []struct {
		name    string
		request *http.Request
		status  int
		want    string // in the body
	}{
		{"a message is answered as JSON", request(ping), 200, `{"jsonrpc":"2.0","id":1,"result":{}}`},
		{"there need be no version", request(`{"jsonrpc":"2.0","id":"a","method":"tools/list"}`), 200, `"id":"a","result":{`},
		{
			"initialize needs no session",
			request(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}`),
			200, `"protocolVersion":"2025-06-18"`,
		},
		{"a notification is accepted and not answered", request(`{"jsonrpc":"2.0","method":"notifications/initialized"}`), 202, ""},
		{"a session that never was is none of our business", request(ping, "Mcp-Session-Id: x"), 200, `"result":{}`},
		{
			"a listener is told at once that there will be no news",
			latest(`{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},`+meta+`}}`, "subscriptions/listen"),
			200, `"id":1,"result":{`,
		},
		{"a method that is not there", latest(`{"jsonrpc":"2.0","id":1,"method":"tools/destroy","params":{`+meta+`}}`, "tools/destroy"), 404, `"code":-32601`},
		{"the header names another tool", latest(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami",`+meta+`}}`, "tools/call", "Mcp-Name: place_order"), 400, "mismatch"},
		{"a version that there is not", request(ping, "Mcp-Protocol-Version: 1999-01-01"), 400, "Unsupported protocol version"},

		{"GET opens no stream", get(http.MethodGet), 405, "this path has POST"},
		{"GET without a token, for that method has no authorizer", get(http.MethodGet, "Authorization: "), 405, "this path has POST"},
		{"DELETE ends no session", get(http.MethodDelete), 405, "this path has POST"},
		{"PUT is no method of it", get(http.MethodPut), 405, "this path has POST"},
		{"no authorizer was asked", request(ping, "Authorization: Bearer somebody"), 500, "this route is not protected"},

		{"scripts of the Inspector may call", request(ping, "Origin: http://localhost:6274"), 200, `"result":{}`},
		{"scripts of other pages may not", request(ping, "Origin: https://evil.example"), 403, "scripts of this origin"},
		{"an origin that is hidden is another", request(ping, "Origin: null"), 403, "scripts of this origin"},
		{"an origin that begins alike is another", request(ping, "Origin: http://localhost:62740"), 403, "scripts of this origin"},

		{"text is no message", request(ping, "Content-Type: text/plain"), 415, "application/json"},
		{"nothing is no message", request(""), 400, "not a JSON-RPC message"},
		{"garbage is no message", request("\x00\xff{"), 400, "not a JSON-RPC message"},
		{"half a message is none", request(`{"jsonrpc":"2.0","id":1`), 400, "not a JSON-RPC message"},
		{"two messages are none", request(ping + ping), 400, "not a JSON-RPC message"},
		{"a batch is none", request("[" + ping + "]"), 400, "not a JSON-RPC message"},
		{"a name twice could be read either way", request(`{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/list"}`), 400, "not a JSON-RPC message"},
		{"a name in another case, too", request(`{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/list"}`), 400, "not a JSON-RPC message"},
		{"nobody nests so deeply", request(`{"jsonrpc":"2.0","id":1,"method":"ping","params":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`), 400, "not a JSON-RPC message"},
		{"a message is not so long", request(`{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"` + strings.Repeat("x", 64<<10) + `"}}`), 413, "at most 64 KiB"},
		{"nor much longer", request(strings.Repeat(" ", 1<<20)), 413, "at most 64 KiB"},
		{"an object is no message yet", request(`{}`), 400, ""},
		{"an id is no object", request(`{"jsonrpc":"2.0","id":{},"method":"ping"}`), 400, ""},
		{"another version of JSON-RPC", request(`{"jsonrpc":"1.0","id":1,"method":"ping"}`), 400, ""},
		{"a call needs a name", request(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}`), 200, `"error":`},
		{"a call's parameters are an object", request(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":[1]}`), 200, `"error":`},
		{"an answer to nothing", request(`{"jsonrpc":"2.0","id":1,"result":{}}`), 202, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := newGate(ordertools.Server{AllowedOrigin: "http://localhost:6274"}.Handler())
			got, err := g.invoke(test.request)
			if err != nil {
				t.Fatal(err)
			}
			if got.StatusCode != test.status || !strings.Contains(got.Body, test.want) {
				t.Errorf("got %d %s, want %d and %s", got.StatusCode, got.Body, test.status, test.want)
			}
			if origin := got.MultiValueHeaders.Get("Access-Control-Allow-Origin"); origin != "http://localhost:6274" {
				t.Errorf("Access-Control-Allow-Origin: got %q", origin)
			}
			if allow := got.MultiValueHeaders.Get("Allow"); (allow == "POST") != (test.status == 405) {
				t.Errorf("Allow: got %q", allow)
			}
			if lines := g.lines(t); len(lines) != 1 {
				t.Errorf("got %d lines, want 1", len(lines))
			}
		})
	}
}

func TestWhoseScriptsMayCall(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, allowed, origin string
		status                int
	}{
		{"any, where that is allowed", "*", "https://any.example", 200},
		{"nobody's, where none is allowed", "", "http://localhost:6274", 403},
		{"what is no browser has no origin", "", "", 200},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := newGate(ordertools.Server{AllowedOrigin: test.allowed}.Handler()).invoke(request(ping, "Origin: "+test.origin))
			if err != nil || got.StatusCode != test.status || got.MultiValueHeaders.Get("Access-Control-Allow-Origin") != test.allowed {
				t.Errorf("got %+v, %v, want %d", got, err, test.status)
			}
		})
	}
}

// C1: what stands behind the endpoint can neither read nor forward the token.
func TestC1NoTokenGetsToTheServer(t *testing.T) {
	t.Parallel()
	var seen http.Header
	var body string
	g := newGate(ordertools.NewEndpoint("", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		seen, body = r.Header, string(text)
	})))
	if _, err := g.invoke(request(ping, "X-Other: 1")); err != nil {
		t.Fatal(err)
	}
	if seen.Get("Authorization") != "" || seen.Get("X-Other") != "1" || body != ping {
		t.Errorf("got %v and %s", seen, body)
	}
}

func TestAPanicEndsTheCallAndNothingElse(t *testing.T) {
	t.Parallel()
	server := mcp.NewServer(&mcp.Implementation{Name: "broken", Version: "1"}, nil)
	server.AddReceivingMiddleware(ordertools.Contained)
	mcp.AddTool(server, &mcp.Tool{Name: "broken"}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, struct{}, error) {
		return nil, struct{}{}, []error{}[len("secret")]
	})
	g := newGate(ordertools.NewEndpoint("", mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true})))
	got, err := g.invoke(request(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"broken","arguments":{}}}`))
	if err != nil || !strings.Contains(got.Body, `"error":{"code":-32603,"message":"something broke on our side; try again"}`) {
		t.Errorf("got %+v, %v", got, err)
	}
	if cause, _ := g.lines(t)[0]["cause"].(string); !strings.Contains(cause, "panic with runtime") || strings.Contains(cause, "secret") {
		t.Errorf("cause: got %q", cause)
	}
}

// FuzzMessages sends anything as a message: it is answered by this side, never
// by an error of it.
func FuzzMessages(f *testing.F) {
	for _, seed := range []string{
		ping, "", "[]", "{}", "null", `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`,
		`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}`,
		`{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"place_order","arguments":{"item":"bell","quantity":1}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{` + meta + `}}`,
		`{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},` + meta + `}}`,
		`{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"x:"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"x"},"argument":{"name":"a","value":"b"}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"debug"}}`,
	} {
		for _, version := range []string{"", "2025-11-25", "2026-07-28"} {
			f.Add(version, seed)
		}
	}
	handler := ordertools.Server{}.Handler()
	f.Fuzz(func(t *testing.T, version, body string) {
		r := request(body, "Authorization: Bearer "+writer)
		if version != "" {
			r.Header.Set("Mcp-Protocol-Version", version)
		}
		// The headers that repeat the message, as a client would set them.
		var message struct {
			Method string
			Params struct{ Name, URI string }
		}
		if json.Unmarshal([]byte(body), &message) == nil {
			r.Header.Set("Mcp-Method", message.Method)
			r.Header.Set("Mcp-Name", message.Params.Name+message.Params.URI)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		got, err := newGate(handler).invoke(r.WithContext(ctx))
		switch {
		case err != nil:
			t.Errorf("the function failed: %v", err)
		case got.StatusCode >= 500:
			t.Errorf("got %d %s", got.StatusCode, got.Body)
		case got.StatusCode == http.StatusOK && got.Body == "":
			t.Error("got no answer")
		case ctx.Err() != nil:
			t.Error("it took too long")
		}
	})
}
