package gateway

import (
	"encoding/base64"
	"unicode/utf8"

	"gatehouse/infra/local/samtemplate"
)

// tokenEvent is what a TOKEN authorizer is sent.
type tokenEvent struct {
	Type      string `json:"type"`
	Token     string `json:"authorizationToken"` // the whole value of the header, with "Bearer "
	MethodARN string `json:"methodArn"`
}

// authorizerEventV1 is what a REQUEST authorizer of a REST API is sent, and
// with version, identitySource and authorizationToken that of an HTTP API with
// payload 1.0.
type authorizerEventV1 struct {
	Version        string `json:"version,omitempty"`
	Type           string `json:"type"`
	MethodARN      string `json:"methodArn"`
	IdentitySource string `json:"identitySource,omitempty"`
	Token          string `json:"authorizationToken,omitempty"`
	requestV1
}

// proxyEventV1 is what a function behind a REST API is sent, and with version
// one behind an HTTP API with payload 1.0.
type proxyEventV1 struct {
	Version string `json:"version,omitempty"`
	requestV1
	Body            *string `json:"body"`
	IsBase64Encoded bool    `json:"isBase64Encoded"`
}

// requestV1 is what the events above have in common.
type requestV1 struct {
	Resource       string            `json:"resource"`
	Path           string            `json:"path"`
	HTTPMethod     string            `json:"httpMethod"`
	Headers        map[string]string `json:"headers"`
	Query          map[string]string `json:"queryStringParameters"`
	PathParameters map[string]string `json:"pathParameters"`
	StageVariables map[string]string `json:"stageVariables"`
	Context        contextV1         `json:"requestContext"`
	*multiV1                         // nil for an authorizer with payload 1.0
}

type multiV1 struct {
	Headers map[string][]string `json:"multiValueHeaders"`
	Query   map[string][]string `json:"multiValueQueryStringParameters"`
}

type contextV1 struct {
	AccountID         string         `json:"accountId"`
	APIID             string         `json:"apiId"`
	Authorizer        map[string]any `json:"authorizer,omitempty"`
	DomainName        string         `json:"domainName"`
	DomainPrefix      string         `json:"domainPrefix"`
	ExtendedRequestID string         `json:"extendedRequestId"`
	HTTPMethod        string         `json:"httpMethod"`
	Identity          identityV1     `json:"identity"`
	Path              string         `json:"path"` // with the stage
	Protocol          string         `json:"protocol"`
	RequestID         string         `json:"requestId"`
	RequestTime       string         `json:"requestTime"`
	RequestTimeEpoch  int64          `json:"requestTimeEpoch"` // ms
	ResourceID        string         `json:"resourceId"`
	ResourcePath      string         `json:"resourcePath"`
	Stage             string         `json:"stage"`
}

type identityV1 struct {
	APIKey      string `json:"apiKey,omitempty"` // of the header x-api-key
	SourceIP    string `json:"sourceIp"`
	UserAgent   string `json:"userAgent"`
	VPCEndpoint string `json:"vpceId,omitempty"`
}

// authorizerEventV2 is what an authorizer of an HTTP API with payload 2.0 is sent.
type authorizerEventV2 struct {
	Type           string   `json:"type"`
	RouteARN       string   `json:"routeArn"`
	IdentitySource []string `json:"identitySource"`
	requestV2
}

// proxyEventV2 is what a function behind an HTTP API with payload 2.0 is sent.
type proxyEventV2 struct {
	requestV2
	Body            string `json:"body,omitempty"`
	IsBase64Encoded bool   `json:"isBase64Encoded"`
}

// requestV2 is what the events above have in common.
type requestV2 struct {
	Version        string            `json:"version"`
	RouteKey       string            `json:"routeKey"`
	RawPath        string            `json:"rawPath"` // with a named stage; decoded, whatever its name says
	RawQueryString string            `json:"rawQueryString"`
	Cookies        []string          `json:"cookies,omitempty"`
	Headers        map[string]string `json:"headers"`
	Query          map[string]string `json:"queryStringParameters,omitempty"`
	Context        contextV2         `json:"requestContext"`
	PathParameters map[string]string `json:"pathParameters,omitempty"`
	StageVariables map[string]string `json:"stageVariables,omitempty"`
}

type contextV2 struct {
	AccountID    string         `json:"accountId"`
	APIID        string         `json:"apiId"`
	Authorizer   map[string]any `json:"authorizer,omitempty"`
	DomainName   string         `json:"domainName"`
	DomainPrefix string         `json:"domainPrefix"`
	HTTP         httpV2         `json:"http"`
	RequestID    string         `json:"requestId"`
	RouteKey     string         `json:"routeKey"`
	Stage        string         `json:"stage"`
	Time         string         `json:"time"`
	TimeEpoch    int64          `json:"timeEpoch"` // ms
}

type httpV2 struct {
	Method    string `json:"method"`
	Path      string `json:"path"`
	Protocol  string `json:"protocol"`
	SourceIP  string `json:"sourceIp"`
	UserAgent string `json:"userAgent"`
}

// timeLayout is that of requestTime and time.
const timeLayout = "02/Jan/2006:15:04:05 -0700"

// authorizerEvent returns the event for q's authorizer.
func (g *Gateway) authorizerEvent(q *request) any {
	a := q.route.authorizer
	switch {
	case g.api.Kind == samtemplate.WebSocket:
		return g.handshakeEvent(q)
	case a.Kind == samtemplate.Token:
		return tokenEvent{"TOKEN", q.identity[0], g.methodARN(q)}
	case a.PayloadVersion == "2.0":
		return authorizerEventV2{"REQUEST", g.methodARN(q), q.identity, g.requestV2(q)}
	}
	e := authorizerEventV1{Type: "REQUEST", MethodARN: g.methodARN(q), requestV1: g.requestV1(q)}
	e.PathParameters = orEmpty(q.params)
	e.StageVariables = orEmpty(g.api.StageVariables)
	if a.PayloadVersion == "1.0" {
		e.Version = "1.0"
		for i, v := range q.identity {
			if i > 0 {
				e.IdentitySource += ","
			}
			e.IdentitySource += v
		}
		e.Token = e.IdentitySource
		e.multiV1 = nil
	}
	return e
}

// proxyEvent returns the event for q's function.
func (g *Gateway) proxyEvent(q *request) any {
	body, encoded := g.body(q)
	if q.route.PayloadFormat == "2.0" {
		e := proxyEventV2{requestV2: g.requestV2(q), Body: body, IsBase64Encoded: encoded}
		if q.grant != nil {
			e.Context.Authorizer = map[string]any{"lambda": q.grant.context}
		}
		return e
	}
	e := proxyEventV1{Version: q.route.PayloadFormat, requestV1: g.requestV1(q), IsBase64Encoded: encoded}
	e.Query, e.multiV1.Query = orNil(e.Query), orNil(e.multiV1.Query)
	if body != "" {
		e.Body = &body
	}
	if q.grant != nil {
		e.Context.Authorizer = map[string]any{"principalId": q.grant.principal, "integrationLatency": q.latency.Milliseconds()}
		for key, v := range q.grant.context {
			e.Context.Authorizer[key] = text(v)
		}
		if g.api.Kind == samtemplate.HTTP {
			e.Context.Authorizer["claims"] = nil // reserved
		}
	}
	return e
}

// body returns the body as text, and whether that is base64.
func (g *Gateway) body(q *request) (body string, encoded bool) {
	if len(q.body) == 0 {
		return "", false
	}
	contentType := q.header.Get("Content-Type")
	encoded = g.binary(contentType)
	if g.api.Kind == samtemplate.HTTP {
		encoded = !utf8.Valid(q.body) || contentType != "" && !isText(contentType)
	}
	if encoded {
		return base64.StdEncoding.EncodeToString(q.body), true
	}
	return string(q.body), false
}

func (g *Gateway) requestV1(q *request) requestV1 {
	path, resourceID := q.path, "local"
	if g.api.Kind == samtemplate.HTTP {
		path, resourceID = decoded(q.escaped), q.route.key
	}
	e := requestV1{
		Resource:       q.route.Path,
		Path:           path,
		HTTPMethod:     q.method,
		Query:          q.lastQuery(),
		PathParameters: q.params,
		StageVariables: g.api.StageVariables,
		multiV1:        &multiV1{Query: q.query},
		Context: contextV1{
			AccountID:         g.cfg.AccountID,
			APIID:             g.cfg.APIID,
			DomainName:        q.domain,
			DomainPrefix:      prefix(q.domain),
			ExtendedRequestID: q.id,
			HTTPMethod:        q.method,
			Identity:          g.identity(q),
			Path:              q.escaped,
			Protocol:          q.protocol,
			RequestID:         q.id,
			RequestTime:       q.at.Format(timeLayout),
			RequestTimeEpoch:  q.at.UnixMilli(),
			ResourceID:        resourceID,
			ResourcePath:      q.route.Path,
			Stage:             g.api.Stage,
		},
	}
	e.Headers, e.multiV1.Headers = g.headers(q)
	return e
}

// identity is what is known of the caller. Whether an authorizer's key is shown to
// functions is not documented: it is not.
func (g *Gateway) identity(q *request) identityV1 {
	i := identityV1{SourceIP: q.sourceIP, UserAgent: q.header.Get("User-Agent"), VPCEndpoint: q.vpcEndpoint}
	if q.route.APIKey && !g.api.KeyFromAuthorizer {
		i.APIKey = q.header.Get("X-Api-Key")
	}
	return i
}

func (g *Gateway) requestV2(q *request) requestV2 {
	path := decoded(q.escaped)
	e := requestV2{
		Version:        "2.0",
		RouteKey:       q.route.key,
		RawPath:        path,
		RawQueryString: q.rawQuery,
		Query:          q.joinedQuery(),
		PathParameters: q.params,
		StageVariables: g.api.StageVariables,
		Context: contextV2{
			AccountID:    g.cfg.AccountID,
			APIID:        g.cfg.APIID,
			DomainName:   q.domain,
			DomainPrefix: prefix(q.domain),
			HTTP:         httpV2{q.method, path, q.protocol, q.sourceIP, q.header.Get("User-Agent")},
			RequestID:    q.id,
			RouteKey:     q.route.key,
			Stage:        g.api.Stage,
			Time:         q.at.UTC().Format(timeLayout),
			TimeEpoch:    q.at.UnixMilli(),
		},
	}
	e.Headers, e.Cookies = q.joinedHeaders()
	return e
}
