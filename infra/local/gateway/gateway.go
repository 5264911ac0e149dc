// Package gateway is Amazon API Gateway as far as an authorizer and its
// backends can tell: it routes requests, asks Lambda authorizers, caches and
// evaluates their answers, and hands what is allowed to functions, as the JSON
// events API Gateway sends. One [Gateway] is one stage of one REST, HTTP or
// WebSocket API.
//
// It is strict where it matters: a request reaches a function only by a route
// of the API and past that route's authorizer, and whatever goes wrong on the
// way refuses. What AWS does not document, and no measurement settles, is a
// field of [Switches] whose zero value is the behaviour that is safer to rely on.
//
// It is for tests and laptops. Usage plans limit requests to the letter, which
// API Gateway does as well as it can, and count those of one gateway. A private
// API is reached by the host names API Gateway gives it, which have the VPC
// endpoint in them; other host names count as the Internet. Throttling of stages
// and accounts, mutual TLS, messages from a backend to WebSocket connections
// (@connections) and policies of VPC endpoints are not imitated.
//
// A Gateway must see the path as it was requested: behind an [http.ServeMux],
// which cleans paths, it is not API Gateway any more.
package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"time"

	"gatehouse/infra/local/iam"
	"gatehouse/infra/local/samtemplate"
)

// Config says what a [Gateway] serves.
type Config struct {
	API samtemplate.API

	// Invoke runs a function, named by its logical id, on an event and returns
	// its answer, both JSON. An error is the function's error: its text is what
	// Lambda would report as errorMessage.
	Invoke func(ctx context.Context, function string, event []byte) ([]byte, error)

	// KeyPlan returns the id of the usage plan that an API key is in which no
	// template has, by the key's value; "" for none. nil: there are no such keys.
	KeyPlan func(value string) string

	AccountID string           // default "123456789012"
	Region    string           // default "us-east-1"
	APIID     string           // default: the API's logical id in lower case
	Now       func() time.Time // default time.Now
	Trace     io.Writer        // one line per step of each request; nil for none
	Open      bool             // serve routes as if no authorizer were attached
	Unsettled Switches
}

// Switches are the points on which AWS's behaviour is not known. The zero value
// is what this package does by default.
type Switches struct {
	// HTTP API: an authorizer's error "Unauthorized" gives 401. Default 500, the
	// only answer the documentation promises.
	UnauthorizedErrorIs401 bool

	// REST API: declared identity sources of a REQUEST authorizer may be missing
	// when its answers are not cached. Default: still 401.
	UncachedIdentityOptional bool

	// REST API: WWW-Authenticate of a proxy integration reaches the client.
	// Default: renamed to x-amzn-Remapped-WWW-Authenticate.
	KeepWWWAuthenticate bool

	// REST API: the built-in body of ACCESS_DENIED spells "message" in lower
	// case. Default {"Message": …}.
	LowerCaseDeniedMessage bool

	// REST API: with a resource policy, both it and the authorizer must allow a
	// request. Default: where neither denies it, one of them is enough, which is
	// what the documentation says (table A of "How API Gateway resource policies
	// affect authorization workflow").
	BothPoliciesAllow bool

	// HTTP API, payload 2.0: members beyond those of the expected form of answer
	// are ignored. Default: 500.
	ExtraAnswerMembers bool

	// HTTP API: how long answers are cached when the template does not set
	// ReauthorizeEvery. Default: not at all.
	OmittedTTL time.Duration

	// How long an authorizer may take. Default 10 s, documented for HTTP APIs.
	AuthorizerTimeout time.Duration

	// Largest answer of an authorizer in bytes. Default 8192.
	AuthorizerAnswerBytes int

	// REST API: every failure of an authorizer is AUTHORIZER_CONFIGURATION_ERROR.
	// Default: AUTHORIZER_FAILURE when the function fails or times out.
	FailureIsConfigurationError bool

	// REST API and payload 1.0: header names arrive in lower case, as HTTP/2
	// clients send them. Default: in canonical case.
	LowerCaseHeaders bool

	// REST API: /orders/ is served by /orders if nothing else serves it.
	// Default: it is not a route.
	FoldTrailingSlash bool

	// HTTP API: routes and routeArn go by the percent-decoded path, as rawPath
	// does. Default: by the path as requested.
	DecodeBeforeRouting bool
}

// Limits of API Gateway and Lambda.
const (
	maxHeaderBytes = 10240    // names and values of a request's headers
	maxBodyBytes   = 10 << 20 // a request's payload
	maxLambdaBytes = 6 << 20  // an event or an answer
	maxARNBytes    = 1600     // a method ARN sent to an authorizer
	maxMessage     = 128 << 10

	restTimeout = 29 * time.Second
	httpTimeout = 30 * time.Second

	idleTimeout       = 10 * time.Minute // of a WebSocket connection
	connectionTimeout = 2 * time.Hour
)

// Gateway is an [http.Handler] that serves one stage of one API.
type Gateway struct {
	cfg    Config
	api    samtemplate.API
	routes []*route    // most specific first
	arn    string      // of the stage: arn:aws:execute-api:…:account:api/stage
	policy *iam.Policy // the API's resource policy; nil for none
	cache  cache
	meters meters
	trace  tracer
}

// New checks cfg and returns its gateway.
func New(cfg Config) (*Gateway, error) {
	if cfg.Invoke == nil {
		return nil, errors.New("gateway: Config.Invoke is nil")
	}
	switch cfg.API.Kind {
	case samtemplate.REST, samtemplate.HTTP, samtemplate.WebSocket:
	default:
		return nil, fmt.Errorf("gateway: %s: the kind %q is none of REST, HTTP and WebSocket", cfg.API.LogicalID, cfg.API.Kind)
	}
	cfg.AccountID = cmp.Or(cfg.AccountID, "123456789012")
	cfg.Region = cmp.Or(cfg.Region, "us-east-1")
	cfg.APIID = cmp.Or(cfg.APIID, strings.ToLower(cfg.API.LogicalID))
	cfg.Unsettled.AuthorizerTimeout = cmp.Or(cfg.Unsettled.AuthorizerTimeout, 10*time.Second)
	cfg.Unsettled.AuthorizerAnswerBytes = cmp.Or(cfg.Unsettled.AuthorizerAnswerBytes, 8192)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	routes, err := compile(cfg.API)
	if err != nil {
		return nil, fmt.Errorf("gateway: %s: %w", cfg.API.LogicalID, err)
	}
	arn := fmt.Sprintf("arn:aws:execute-api:%s:%s:%s/", cfg.Region, cfg.AccountID, cfg.APIID)
	policy, err := compilePolicy(cfg.API, arn)
	if err != nil {
		return nil, fmt.Errorf("gateway: %s: %w", cfg.API.LogicalID, err)
	}
	return &Gateway{
		cfg:    cfg,
		api:    cfg.API,
		routes: routes,
		arn:    arn + cfg.API.Stage,
		policy: policy,
		trace:  tracer{w: cfg.Trace},
	}, nil
}

// ServeHTTP serves r as API Gateway would.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := g.newRequest(r)
	if g.api.Kind == samtemplate.WebSocket {
		g.serveWebSocket(w, r, q)
		return
	}
	g.answer(w, q, g.serve(r.Context(), q, http.MaxBytesReader(w, r.Body, maxBodyBytes)))
}

// answer sends a to the client.
func (g *Gateway) answer(w http.ResponseWriter, q *request, a *reply) {
	if g.api.Kind == samtemplate.HTTP {
		g.addCORS(q, a)
		a.header.Set("Apigw-Requestid", q.id)
	} else {
		a.header.Set("X-Amzn-Requestid", q.id)
	}
	maps.Copy(w.Header(), a.header)
	g.trace.step(q, "answered %d", a.status)
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) //nolint:gosec // the function that answers escapes; and a client that is gone nobody can tell
}

// reply is what the client gets.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (g *Gateway) serve(ctx context.Context, q *request, body io.Reader) *reply {
	if q.headerBytes > maxHeaderBytes {
		g.trace.step(q, "the headers are larger than %d bytes", maxHeaderBytes)
		return g.refuse(q, headersTooLarge)
	}
	if g.api.Private && q.vpcEndpoint == "" {
		g.trace.step(q, "the API is private and %s no host name of a VPC endpoint", q.domain)
		return g.refuse(q, unreachable)
	}
	if !g.route(q) {
		if g.isPreflight(q) {
			return preflightHTTP()
		}
		g.trace.step(q, "no route")
		return g.refuse(q, noRoute)
	}
	g.trace.step(q, "route %s", q.route.key)
	if refused := g.admit(ctx, q); refused != nil {
		return g.refuse(q, *refused)
	}
	if q.route.Preflight {
		return g.preflightREST(q)
	}
	var err error
	if q.body, err = io.ReadAll(body); err != nil {
		g.trace.step(q, "the body could not be read or is larger than %d bytes", maxBodyBytes)
		return g.refuse(q, bodyTooLarge)
	}
	return g.integrate(ctx, q)
}

// admit returns why q, which has a route, does not reach the function of it: the
// resource policy, the authorizer and the usage plan are asked in this order.
func (g *Gateway) admit(ctx context.Context, q *request) *refusal {
	if refused := g.asResource(q); refused != nil {
		return refused
	}
	switch {
	case q.route.authorizer == nil:
		g.trace.step(q, "the route has no authorizer")
	case g.cfg.Open:
		g.trace.step(q, "the authorizer is not attached")
	default:
		if refused := g.authorize(ctx, q); refused != nil {
			return refused
		}
	}
	return g.meter(q)
}
