package ordertools

import "net/http"

// Contained is what stands around each message.
var Contained = contained

// NewEndpoint is the endpoint with another MCP server behind it.
func NewEndpoint(origin string, mcp http.Handler) http.Handler {
	return &endpoint{origin: origin, mcp: mcp}
}
