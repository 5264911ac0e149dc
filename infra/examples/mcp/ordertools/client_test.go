package ordertools_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// What stock clients speak.
func versions() []string { return []string{"2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26"} }

func TestAClientOfAnyVersionFindsTheTools(t *testing.T) {
	t.Parallel()
	for _, version := range versions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			_, url := start(t)
			session := connect(t, url, reader, version)
			started := session.InitializeResult()
			if started.ProtocolVersion != version || started.ServerInfo.Name != "orders" || started.Instructions == "" {
				t.Errorf("got %+v", started)
			}
			// Tools, and no news of them; no log either.
			if able, err := json.Marshal(started.Capabilities); err != nil || string(able) != `{"tools":{}}` {
				t.Errorf("capabilities: got %s, %v", able, err)
			}
			listed, err := session.ListTools(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, tool := range listed.Tools {
				got = append(got, tool.Name)
			}
			if diff := cmp.Diff([]string{"get_order", "list_orders", "place_order", "whoami"}, got); diff != "" {
				t.Errorf("tools (-want +got):\n%s", diff)
			}
			text, failed := call(t.Context(), t, session, "get_order", map[string]any{"id": "1002"})
			if failed || text != `{"id":"1002","item":"lantern","quantity":12}` {
				t.Errorf("got %s", text)
			}
		})
	}
}

func TestTools(t *testing.T) {
	t.Parallel()
	type object = map[string]any
	tests := []struct {
		name, token, tool string
		arguments         object
		want              string // how the text begins
		failed            bool
	}{
		{
			"whoami tells what the authorizer told", reader, "whoami", nil,
			`{"application":"app-1","client_id":"https://agent.example/client.json","scopes":["orders:read"],"sub":"ada","tier":"agents"}`, false,
		},
		{"an application that acts for itself is whoami, too", writer, "whoami", nil, `{"client_id":"cli","scopes":["orders:read","orders:write"]}`, false},
		{"whoami needs no scope", nobody, "whoami", nil, `{"client_id":"cli","scopes":[],"sub":"bob"}`, false},
		{"orders:read lists", reader, "list_orders", nil, `{"orders":[{"id":"1001",`, false},
		{"orders:read gets one", reader, "get_order", object{"id": "1003"}, `{"id":"1003","item":"visitor's book","quantity":1}`, false},
		{"an order that is not there is a failed call", reader, "get_order", object{"id": "7"}, "there is no such order; list_orders lists them", true},
		{"no scope lists nothing", nobody, "list_orders", nil, "list_orders needs the scope orders:read, which this connection was not granted", true},
		{"no scope gets nothing", nobody, "get_order", object{"id": "1001"}, "get_order needs the scope orders:read", true},
		{
			"orders:read places nothing", reader, "place_order", object{"item": "bell", "quantity": 1},
			"place_order needs the scope orders:write, which this connection was not granted; connect again and grant it", true,
		},
		{"orders:write places", writer, "place_order", object{"item": "bell", "quantity": 1}, `{"id":"1004","item":"bell","quantity":1}`, false},
		{"an item has a name", writer, "place_order", object{"item": "", "quantity": 1}, `validating "arguments"`, true},
		{"an item's name is short", writer, "place_order", object{"item": strings.Repeat("x", 101), "quantity": 1}, `validating "arguments"`, true},
		{"a quantity is positive", writer, "place_order", object{"item": "bell", "quantity": 0}, `validating "arguments"`, true},
		{"a quantity is at most a thousand", writer, "place_order", object{"item": "bell", "quantity": 1001}, `validating "arguments"`, true},
		{"a quantity is whole", writer, "place_order", object{"item": "bell", "quantity": 1.5}, `validating "arguments"`, true},
		{"a quantity is a number", writer, "place_order", object{"item": "bell", "quantity": "1"}, `validating "arguments"`, true},
		{"an order has no other members", writer, "place_order", object{"item": "bell", "quantity": 1, "id": "1001"}, `validating "arguments"`, true},
		{"a tool's arguments may not be missing", writer, "place_order", nil, `validating "arguments"`, true},
	}
	for _, version := range []string{"2026-07-28", "2025-11-25"} {
		for _, test := range tests {
			t.Run(version+" "+test.name, func(t *testing.T) {
				t.Parallel()
				_, url := start(t)
				text, failed := call(t.Context(), t, connect(t, url, test.token, version), test.tool, test.arguments)
				if failed != test.failed || !strings.HasPrefix(text, test.want) {
					t.Errorf("got %s (failed: %t), want %s (failed: %t)", text, failed, test.want, test.failed)
				}
			})
		}
	}
}

func TestAToolThereIsNotIsAnErrorOfTheProtocol(t *testing.T) {
	t.Parallel()
	for _, version := range versions() {
		_, url := start(t)
		_, err := connect(t, url, writer, version).CallTool(t.Context(), &mcp.CallToolParams{Name: "delete_order"})
		if refused, ok := errors.AsType[*jsonrpc.Error](err); !ok || refused.Code != jsonrpc.CodeInvalidParams {
			t.Errorf("%s: got %v, want invalid params", version, err)
		}
	}
}

// A refusal is a normal answer over HTTP; operators find it in the log.
func TestTheLogTellsWhoCalledWhichToolAndWhyItWasRefused(t *testing.T) {
	t.Parallel()
	g, url := start(t)
	if _, failed := call(t.Context(), t, connect(t, url, reader, ""), "place_order", map[string]any{"item": "bell", "quantity": 1}); !failed {
		t.Error("the call succeeded")
	}
	lines := g.lines(t)
	n := slices.IndexFunc(lines, func(line map[string]any) bool { return line["tool"] != nil })
	if n < 0 {
		t.Fatalf("no line names the tool: %v", lines)
	}
	for name, want := range map[string]any{
		"level": "INFO", "status": 200.0, "method": "POST", "rpc": "tools/call", "tool": "place_order", "client_id": "https://agent.example/client.json",
		"sub": "ada", "reason": "insufficient_scope", "needs": "orders:write",
	} {
		if lines[n][name] != want {
			t.Errorf("%s: got %v, want %v", name, lines[n][name], want)
		}
	}
}

// One instance may serve many at once, and keeps a hundred orders.
func TestOrdersPlacedAtTheSameTime(t *testing.T) {
	t.Parallel()
	_, url := start(t)
	session := connect(t, url, writer, "")
	var wg sync.WaitGroup
	var mu sync.Mutex
	ids := map[string]bool{} // guarded by mu
	for range 120 {
		wg.Go(func() {
			text, _ := call(t.Context(), t, session, "place_order", map[string]any{"item": "bell", "quantity": 1})
			var placed struct{ ID string }
			if err := json.Unmarshal([]byte(text), &placed); err != nil {
				t.Errorf("%v in %s", err, text)
			}
			mu.Lock()
			defer mu.Unlock()
			ids[placed.ID] = true
		})
	}
	wg.Wait()
	text, _ := call(t.Context(), t, session, "list_orders", nil)
	if kept := strings.Count(text, `"id"`); len(ids) != 120 || kept != 100 {
		t.Errorf("got %d numbers and %d orders, want 120 and 100", len(ids), kept)
	}
}
