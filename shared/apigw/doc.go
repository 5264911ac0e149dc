// Package apigw is the edge: it turns what API Gateway sends to a Lambda
// function into requests, and decisions and responses into what API Gateway
// expects back. Nothing behind it knows a Lambda event.
//
// [Authorizer] answers the events of Lambda authorizers: REST TOKEN and
// REQUEST, HTTP API payload formats 1.0 and 2.0, WebSocket $connect. [HTTP]
// serves an [net/http.Handler] behind a proxy integration. Both write one log
// line per invocation, with the metrics inside it.
//
// The package does not know tokens, scopes or policies, and it refuses to
// guess: an event of no known shape, or one whose parts contradict each other,
// is an error. It believes only what API Gateway composed. The caller's
// X-Forwarded-* and X-HTTP-Method-Override headers decide nothing. Event
// bytes, tokens, bodies and query strings never reach the log.
package apigw
