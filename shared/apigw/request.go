package apigw

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Reasons an event is no authorizer request. Errors of [ParseRequest] wrap one
// of them or one of package strictjson's.
var (
	ErrShape        = errors.New("an event of no known shape")
	ErrARN          = errors.New("a malformed method ARN")
	ErrInconsistent = errors.New("the method ARN and the request context disagree")
	ErrSize         = errors.New("an event that is too large")
)

// maxEvent bounds an authorizer's event, which has no body: API Gateway itself
// stops at about 10 KiB of headers.
const maxEvent = 1 << 20

// stageVariable is the name of the stage variable that says which API a stage
// serves.
const stageVariable = "gatehouse"

// Shape says which event API Gateway sent. The zero Shape is none.
type Shape uint8

// The shapes of authorizer events.
const (
	RESTToken   Shape = iota + 1 // REST API, TOKEN authorizer
	RESTRequest                  // REST API, REQUEST authorizer
	HTTP1                        // HTTP API, payload format 1.0
	HTTP2                        // HTTP API, payload format 2.0
	WebSocket                    // WebSocket API, $connect
)

// String returns the shape's name as it stands in the log.
func (s Shape) String() string {
	switch s {
	case RESTToken:
		return "rest_token"
	case RESTRequest:
		return "rest_request"
	case HTTP1:
		return "http_1.0"
	case HTTP2:
		return "http_2.0"
	case WebSocket:
		return "websocket"
	default:
		return "unknown"
	}
}

// Request is what API Gateway asks an authorizer, whatever the shape of the
// event. It shares no memory with the event.
type Request struct {
	Shape Shape

	// ARN is the requested method; a policy must stay within its Prefix.
	ARN ARN

	// Method is the HTTP method, "" for WebSocket.
	Method string

	// Template is the route that API Gateway matched, such as "/orders/{id}":
	// "$connect" for WebSocket, "" when the event names none (TOKEN, and the
	// "$default" route of HTTP APIs).
	Template string

	// Domain is the host name API Gateway was called by; "" for TOKEN.
	Domain string

	// StageVariable is the value of the stage variable "gatehouse".
	StageVariable string

	// Authorization holds every value of every Authorization header, in order.
	// In payload format 2.0 API Gateway has joined several with commas.
	Authorization []Credential

	// AccessToken holds every value of the query parameter access_token,
	// decoded. A value with a broken escape sequence is left as it came.
	AccessToken []Credential

	// IdentitySource holds the identity sources of an HTTP API. Format 1.0
	// joins them with commas, which their values may hold too, so there the
	// joined text comes first and, if it has commas, its parts follow.
	IdentitySource []Credential

	// RequestID is API Gateway's id of the caller's request; "" for TOKEN.
	RequestID string
}

// ParseRequest reads the event of a Lambda authorizer.
func ParseRequest(event []byte) (*Request, error) {
	if len(event) > maxEvent {
		return nil, fmt.Errorf("apigw: event: %w", ErrSize)
	}
	// A header or a parameter comes once, as a rule.
	var room [4][2][]byte
	e := authorizerEvent{header: room[0][:0], headers: room[1][:0], param: room[2][:0], parameters: room[3][:0]}
	if err := e.read(event); err != nil {
		return nil, fmt.Errorf("apigw: event: %w", err)
	}
	shape, err := e.shape()
	if err != nil {
		return nil, err
	}
	return e.request(shape)
}

// shape tells the events apart. Authorizers of AppSync and of other services
// have neither version nor type.
func (e *authorizerEvent) shape() (Shape, error) {
	version, kind := string(e.version), string(e.kind)
	switch {
	case version == "2.0" && kind == "REQUEST" && e.routeARN != nil:
		return HTTP2, nil
	case version == "1.0" && kind == "REQUEST" && e.methodARN != nil:
		return HTTP1, nil
	case version != "" || e.methodARN == nil:
		return 0, fmt.Errorf("apigw: %w", ErrShape)
	case kind == "TOKEN":
		return RESTToken, nil
	case kind == "REQUEST" && string(e.context.eventType) == "CONNECT":
		return WebSocket, nil
	case kind == "REQUEST" && len(e.context.eventType) == 0:
		return RESTRequest, nil
	default:
		return 0, fmt.Errorf("apigw: %w", ErrShape)
	}
}

func (e *authorizerEvent) request(shape Shape) (*Request, error) {
	var t keeper
	t.Grow(e.size())
	arn := e.methodARN
	if shape == HTTP2 {
		arn = e.routeARN
	}
	r := &Request{Shape: shape}
	var err error
	if r.ARN, err = parseARN(t.keep(arn)); err != nil {
		return nil, err
	}
	if (r.ARN.Method == "") != (shape == WebSocket) {
		return nil, fmt.Errorf("apigw: %w: not a method of this kind of API", ErrARN)
	}
	r.Method = r.ARN.Method
	if shape == RESTToken {
		if len(e.token) > 0 {
			r.Authorization = credentials([]string{t.keep(e.token)})
		}
		return r, nil
	}
	if !e.agrees(r) {
		return nil, fmt.Errorf("apigw: %w", ErrInconsistent)
	}
	r.Template = e.template(shape, &t)
	r.Domain = t.keep(e.context.domain)
	r.StageVariable = t.keep(e.stageVariable)
	r.RequestID = t.keep(e.context.requestID)
	r.Authorization = credentials(t.keepAll(e.headers, e.header))
	if shape == HTTP2 {
		r.AccessToken = credentials(accessTokens(t.keep(e.rawQuery)))
	} else {
		r.AccessToken = credentials(t.keepAll(e.parameters, e.param))
	}
	r.IdentitySource = credentials(e.identitySource(shape, &t))
	return r, nil
}

// size is how much text of the event a Request keeps, about.
func (e *authorizerEvent) size() int {
	c := &e.context
	n := len(e.methodARN) + len(e.routeARN) + len(e.resource) + len(c.resourcePath) + len(e.routeKey) + len(c.domain) +
		len(e.stageVariable) + len(c.requestID) + len(e.token) + len(e.rawQuery)
	for _, list := range [...][][]byte{either(e.headers, e.header), either(e.parameters, e.param), e.sources} {
		for _, b := range list {
			n += len(b)
		}
	}
	return n
}

// either returns all, or more if all is empty.
func either(all, more [][]byte) [][]byte {
	if len(all) == 0 {
		return more
	}
	return all
}

// agrees reports whether the request context describes the request that the
// ARN names, as far as it describes it.
func (e *authorizerEvent) agrees(r *Request) bool {
	c := &e.context
	method := func(b []byte) bool { return len(b) == 0 || r.Shape == WebSocket || string(b) == r.Method }
	// The console's "Test authorizer" has a name of its own for the stage.
	testing := r.ARN.Stage == "ESTestInvoke-stage" && string(c.stage) == "test-invoke-stage"
	return (len(c.apiID) == 0 || string(c.apiID) == r.ARN.APIID) &&
		(len(c.stage) == 0 || string(c.stage) == r.ARN.Stage || testing) &&
		method(c.method) && method(e.httpMethod)
}

func (e *authorizerEvent) template(shape Shape, t *keeper) string {
	if shape == WebSocket {
		return connect
	}
	template := e.context.resourcePath
	if len(template) == 0 {
		template = e.resource
	}
	if shape == HTTP2 {
		key := e.context.routeKey
		if len(key) == 0 {
			key = e.routeKey
		}
		_, template, _ = bytes.Cut(key, []byte(" ")) // "GET /orders/{id}"
	}
	if len(template) == 0 || template[0] != '/' { // "$default"
		return ""
	}
	return t.keep(template)
}

func (e *authorizerEvent) identitySource(shape Shape, t *keeper) []string {
	if shape != HTTP1 && shape != HTTP2 || len(e.sources) == 0 {
		return nil
	}
	if shape == HTTP1 && len(e.sources) == 1 && len(e.sources[0]) == 0 {
		return nil // none, joined
	}
	sources := t.keepAll(e.sources, nil)
	if shape == HTTP1 && len(sources) == 1 && strings.Contains(sources[0], ",") {
		sources = append(sources, strings.Split(sources[0], ",")...)
	}
	return sources
}

// accessTokens returns the values of access_token in a raw query string.
func accessTokens(rawQuery string) []string {
	var values []string
	for rawQuery != "" {
		var pair string
		pair, rawQuery, _ = strings.Cut(rawQuery, "&")
		name, value, _ := strings.Cut(pair, "=")
		if name, err := url.QueryUnescape(name); err != nil || name != "access_token" {
			continue
		}
		if text, err := url.QueryUnescape(value); err == nil {
			value = text
		}
		values = append(values, value)
	}
	return values
}

// keeper copies the text that outlives an event into one piece of memory. The
// event's own is used again as soon as it has been answered.
type keeper struct{ strings.Builder }

func (k *keeper) keep(b []byte) string {
	start := k.Len()
	_, _ = k.Write(b) // a Builder always takes it
	return k.String()[start:]
}

// keepAll keeps all and then those of more that are not among all: API Gateway
// gives a header once with all of its values and once with only the last.
func (k *keeper) keepAll(all, more [][]byte) []string {
	if len(all)+len(more) == 0 {
		return nil
	}
	kept := make([]string, 0, len(all)+len(more))
	for _, b := range all {
		kept = append(kept, k.keep(b))
	}
	for _, b := range more {
		if !containsBytes(all, b) {
			kept = append(kept, k.keep(b))
		}
	}
	return kept
}

func containsBytes(list [][]byte, b []byte) bool {
	for _, x := range list {
		if bytes.Equal(x, b) {
			return true
		}
	}
	return false
}
