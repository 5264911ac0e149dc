// Package ordertools is an MCP server with the tools of a small shop: list, get
// and place orders, and whoami. It shows what an MCP server behind API Gateway
// has left to do when Gatehouse's authorizer stands in front of it.
//
// It believes the authorizer's context and nothing else about the caller, and
// serves no message without one, so that a method on which somebody forgot the
// authorizer fails instead of standing open. Which scope a tool needs it checks
// itself: to API Gateway all tools are one route, POST /mcp. It takes the token
// off each request before anything else sees it, and calls nobody.
//
// It is stateless, for the next request may reach another instance of the
// function, and answers JSON, for proxy integrations do not stream.
package ordertools

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"slices"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"gatehouse/shared/apigw"
	"gatehouse/shared/oauth"
	"gatehouse/shared/strictjson"
)

// maxBody is more than any message to these tools needs, in bytes.
const maxBody = 64 << 10

// message is how strict the JSON of a message is read.
var message = strictjson.Rules{Depth: 32, Members: 256}

// Server is the MCP server. The zero value serves no browser.
type Server struct {
	// AllowedOrigin is the origin whose scripts may call, such as
	// "http://localhost:6274", or "*" for any. Empty: none may. What is not a
	// browser sends no origin.
	AllowedOrigin string
}

// Handler returns the server with three orders in it. Each call has its own. It
// serves whatever path API Gateway sends it.
func (s Server) Handler() http.Handler {
	server := newServer(newOrders())
	return &endpoint{
		origin: s.AllowedOrigin,
		mcp: mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{
			Stateless:                    true,
			JSONResponse:                 true,
			MaxRequestBodyBytes:          maxBody,
			PropagateRequestCancellation: true,
			// It compares Host with the address that a process listens on. A
			// function listens on none, and behind an emulator it is the emulator's.
			DisableLocalhostProtection: true,
		}),
	}
}

// endpoint is the one path that an MCP server has.
type endpoint struct {
	origin string
	mcp    http.Handler
}

// ServeHTTP hands on the messages of callers whom the authorizer let through.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if e.origin != "" {
		w.Header().Set("Access-Control-Allow-Origin", e.origin)
	}
	told, authorized := apigw.AuthorizerContext(r)
	switch {
	case !e.allows(r.Header["Origin"]):
		refuse(w, http.StatusForbidden, "scripts of this origin may not call this server")
		return
	case r.Method != http.MethodPost:
		// Neither streams (GET) nor sessions that could be ended (DELETE).
		w.Header().Set("Allow", http.MethodPost)
		refuse(w, http.StatusMethodNotAllowed, "this path has POST")
		return
	case !authorized:
		refuse(w, http.StatusInternalServerError, "no authorizer context: this route is not protected")
		return
	}
	c := callerOf(told)
	apigw.Log(r.Context(), slog.String("client_id", c.ClientID), slog.String("sub", c.Subject))

	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		refuse(w, http.StatusRequestEntityTooLarge, "a message has at most 64 KiB")
		return
	}
	if !isMessage(body) {
		refuse(w, http.StatusBadRequest, "the body is not a JSON-RPC message: one JSON object, without names that occur twice")
		return
	}
	r = r.Clone(context.WithValue(r.Context(), callerKey{}, c))
	r.Header.Del("Authorization")
	r.Body = io.NopCloser(bytes.NewReader(body))
	e.mcp.ServeHTTP(w, r)
}

// allows reports whether scripts of the request's origin may call. The
// specification asks for it against DNS rebinding. There is nothing to rebind
// here: API Gateway answers to its own names and certificates only, and a
// browser adds no credentials by itself. But it costs little, and a token that
// ended up in the wrong page is of no use there.
func (e *endpoint) allows(origins []string) bool {
	return e.origin == "*" || !slices.ContainsFunc(origins, func(origin string) bool { return origin != e.origin })
}

// isMessage reports whether body is one JSON object that all readers read
// alike. Batches, which MCP had for a while, are none.
func isMessage(body []byte) bool {
	d := strictjson.NewDecoder(body, message)
	return d.Object(func([]byte) error { return d.Skip() }) == nil && d.End() == nil
}

// caller is who calls, as the authorizer told.
type caller struct {
	ClientID    string   `json:"client_id" jsonschema:"the application that calls"`
	Subject     string   `json:"sub,omitempty" jsonschema:"the person it calls for; the application itself when there is none"`
	Scopes      []string `json:"scopes" jsonschema:"what it may do"`
	Application string   `json:"application,omitempty" jsonschema:"the application's id where it is registered"`
	Tier        string   `json:"tier,omitempty" jsonschema:"the terms of its access"`
}

type callerKey struct{}

func callerOf(told map[string]string) caller {
	scopes := append([]string{}, oauth.SplitScope(told["scope"])...)
	slices.Sort(scopes)
	return caller{ClientID: told["client_id"], Subject: told["sub"], Scopes: scopes, Application: told["application"], Tier: told["tier"]}
}

// may reports whether the caller may use what needs scope, "" for no scope.
func (c caller) may(scope string) bool { return scope == "" || slices.Contains(c.Scopes, scope) }

// refuse answers a problem document (RFC 9457) of type about:blank.
func refuse(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	problem := struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}{http.StatusText(status), status, detail}
	_ = json.NewEncoder(w).Encode(problem) // the types here always encode; a caller that is gone needs no answer
}
