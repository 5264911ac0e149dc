package ordertools

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"gatehouse/shared/apigw"
)

// The scopes that tools need.
const (
	read  = "orders:read"
	write = "orders:write"
)

func newServer(o *orders) *mcp.Server {
	server := mcp.NewServer(
		&mcp.Implementation{Name: "orders", Title: "Orders", Version: "1.0.0"},
		&mcp.ServerOptions{
			Instructions: "The orders of a small shop. If a tool lacks a scope, ask the user to connect again and grant it.",
			// Tools alone, and no news of changes: there is nothing to send them on.
			Capabilities: &mcp.ServerCapabilities{Tools: &mcp.ToolCapabilities{}},
		})
	server.AddReceivingMiddleware(contained)
	closed := false // nothing here reaches beyond these orders
	readOnly := &mcp.ToolAnnotations{ReadOnlyHint: true, OpenWorldHint: &closed}

	add(server, "", mcp.Tool{
		Name: "whoami", Description: "Tells who is calling: application, person and scopes.", Annotations: readOnly,
	}, func(c caller, _ struct{}) (caller, error) { return c, nil })
	add(server, read, mcp.Tool{
		Name: "list_orders", Description: "Lists all orders, the oldest first.", Annotations: readOnly,
	}, func(caller, struct{}) (list, error) { return list{o.snapshot()}, nil })
	add(server, read, mcp.Tool{
		Name: "get_order", Description: "Gets one order.", Annotations: readOnly,
	}, func(_ caller, in number) (order, error) { return o.get(in.ID) })
	add(server, write, mcp.Tool{
		Name: "place_order", Description: "Places an order.",
		Annotations: &mcp.ToolAnnotations{DestructiveHint: &closed, OpenWorldHint: &closed},
		InputSchema: json.RawMessage(`{
			"type": "object",
			"properties": {
				"item": {"type": "string", "minLength": 1, "maxLength": 100, "description": "what is ordered, such as lantern"},
				"quantity": {"type": "integer", "minimum": 1, "maximum": 1000, "description": "how many"}
			},
			"required": ["item", "quantity"],
			"additionalProperties": false
		}`),
	}, func(_ caller, in wanted) (order, error) { return o.add(in.Item, in.Quantity), nil })
	return server
}

// What tools take and give.
type (
	number struct {
		ID string `json:"id" jsonschema:"number of the order, such as 1001"`
	}
	wanted struct {
		Item     string `json:"item"`
		Quantity int    `json:"quantity"`
	}
	list struct {
		Orders []order `json:"orders"`
	}
)

// add adds a tool that needs scope, "" for none. Everybody sees all tools, so
// that a client knows what there is to ask for. A call without the scope is a
// failed call of the tool, not a 403: a REST API renames the challenge that a
// client would need to get the scope by itself.
func add[In, Out any](server *mcp.Server, scope string, tool mcp.Tool, run func(caller, In) (Out, error)) {
	if scope != "" {
		tool.Description += " Needs the scope " + scope + "."
	}
	mcp.AddTool(server, &tool, func(ctx context.Context, _ *mcp.CallToolRequest, in In) (*mcp.CallToolResult, Out, error) {
		c, _ := ctx.Value(callerKey{}).(caller)
		if !c.may(scope) {
			apigw.Log(ctx, slog.String("reason", "insufficient_scope"), slog.String("needs", scope))
			var none Out
			return nil, none, fmt.Errorf("%s needs the scope %s, which this connection was not granted; connect again and grant it", tool.Name, scope)
		}
		out, err := run(c, in)
		return nil, out, err
	})
}

// contained tells the log what was asked for, and keeps a panic from ending
// the function: tools run in goroutines of the SDK's, where package apigw
// cannot catch it.
func contained(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (result mcp.Result, err error) {
		attrs := []slog.Attr{slog.String("rpc", method)}
		if call, ok := req.(*mcp.CallToolRequest); ok {
			attrs = append(attrs, slog.String("tool", call.Params.Name))
		}
		apigw.Log(ctx, attrs...)
		defer func() {
			if v := recover(); v != nil {
				apigw.Log(ctx, slog.String("cause", apigw.Panicked(v).Error()))
				result, err = nil, errBroken
			}
		}()
		return next(ctx, method, req)
	}
}

// errBroken is all that a caller learns about a panic.
var errBroken = &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: "something broke on our side; try again"}

var errNoOrder = errors.New("there is no such order; list_orders lists them")
