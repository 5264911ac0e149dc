package gateway

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"maps"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/infra/local/iam"
	"gatehouse/infra/local/samtemplate"
)

// request is one request on its way through the gateway.
type request struct {
	id       string
	at       time.Time
	method   string
	escaped  string      // the whole path as requested, beginning with the stage if that is in the URL
	path     string      // without the stage
	rawQuery string      // without ?
	query    url.Values  // decoded
	header   http.Header // with Host and what API Gateway adds
	protocol string
	domain   string // host name the request was sent to
	sourceIP string
	body     []byte

	vpcEndpoint string // that the host name has in it; "" for none

	headerBytes int // names and values, as the client sent them

	route  *route
	params map[string]string // of the path, decoded; nil for none

	identity []string // values of the authorizer's identity sources
	grant    *grant   // nil when no authorizer was asked
	latency  time.Duration
	resource iam.Verdict // of the resource policy
}

// grant is what an authorizer that let a request through said about it.
type grant struct {
	principal string
	context   map[string]any
	usageKey  string // the value of an API key; "" for none
}

// dropped returns the headers of a request that do not reach a function.
// net/http has taken Transfer-Encoding and Trailer already.
func dropped(kind samtemplate.Kind) []string {
	switch kind {
	case samtemplate.HTTP:
		return []string{"Connection", "Expect", "Te", "Upgrade"}
	case samtemplate.WebSocket:
		return nil
	default:
	}
	return []string{"Connection", "Content-Length", "Expect", "Te", "Upgrade", "Www-Authenticate"}
}

func (g *Gateway) newRequest(r *http.Request) *request {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	sourceIP, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		sourceIP = r.RemoteAddr
	}
	host, port, err := net.SplitHostPort(r.Host)
	if err != nil {
		host, port = r.Host, "443"
	}
	q := &request{
		id:       hex.EncodeToString(random[:]),
		at:       g.cfg.Now(),
		method:   r.Method,
		escaped:  r.URL.EscapedPath(),
		rawQuery: r.URL.RawQuery,
		header:   r.Header.Clone(),
		protocol: r.Proto,
		domain:   host,
		sourceIP: sourceIP,
	}
	if m := vpcEndpointHost.FindStringSubmatch(host); m != nil {
		q.vpcEndpoint = m[1]
	}
	q.headerBytes = len("Host") + len(r.Host)
	for name, values := range r.Header {
		for _, v := range values {
			q.headerBytes += len(name) + len(v)
		}
	}
	q.query, _ = url.ParseQuery(r.URL.RawQuery) // what cannot be read is left out
	for _, name := range dropped(g.api.Kind) {
		q.header.Del(name)
	}
	proto := "https"
	if r.TLS == nil {
		proto = "http"
	}
	q.header.Set("Host", r.Host)
	q.header.Set("X-Forwarded-For", strings.Join(append(q.header.Values("X-Forwarded-For"), sourceIP), ", "))
	q.header.Set("X-Forwarded-Port", port)
	q.header.Set("X-Forwarded-Proto", proto)
	q.header.Set("X-Amzn-Trace-Id", "Root=1-"+strconv.FormatInt(q.at.Unix(), 16)+"-"+q.id[:24])
	return q
}

// vpcEndpointHost is the host name of a private API that API Gateway makes for a
// VPC endpoint.
var vpcEndpointHost = regexp.MustCompile(`^[a-z0-9]+-(vpce-[0-9a-f]+)\.execute-api\.`)

// conditions is what conditions of policies may ask about q.
func (q *request) conditions() iam.Context {
	return iam.Context{SourceIP: q.sourceIP, UserAgent: q.header.Get("User-Agent"), VPCEndpoint: q.vpcEndpoint, Now: q.at}
}

// source returns the value of an identity source, "" without one. Of a header
// sent twice a REST API knows the last, an HTTP API both.
func (g *Gateway) source(q *request, s samtemplate.IdentitySource) string {
	switch s.In {
	case samtemplate.Header:
		return g.one(q.header.Values(s.Name))
	case samtemplate.QueryString:
		return g.one(q.query[s.Name])
	case samtemplate.StageVariable:
		return g.api.StageVariables[s.Name]
	case samtemplate.Context:
		return g.variable(q, s.Name)
	default:
		return ""
	}
}

// one makes a single value of several.
func (g *Gateway) one(values []string) string {
	if len(values) == 0 {
		return ""
	}
	if g.api.Kind == samtemplate.HTTP {
		return strings.Join(values, ",")
	}
	return values[len(values)-1]
}

// variable returns the value of $context.name, "" for one that is not known.
func (g *Gateway) variable(q *request, name string) string {
	switch name {
	case "accountId":
		return g.cfg.AccountID
	case "apiId":
		return g.cfg.APIID
	case "domainName":
		return q.domain
	case "domainPrefix":
		return prefix(q.domain)
	case "httpMethod":
		return q.method
	case "identity.sourceIp":
		return q.sourceIP
	case "identity.userAgent":
		return q.header.Get("User-Agent")
	case "path":
		return q.escaped
	case "protocol":
		return q.protocol
	case "requestId", "extendedRequestId":
		return q.id
	case "stage":
		return g.api.Stage
	}
	if q.route == nil {
		return ""
	}
	switch key, ofAuthorizer := strings.CutPrefix(name, "authorizer."); {
	case name == "resourcePath":
		return q.route.Path
	case name == "routeKey":
		return q.route.key
	case !ofAuthorizer || q.grant == nil:
		return ""
	case key == "principalId":
		return q.grant.principal
	default:
		return text(q.grant.context[key])
	}
}

// prefix is the first label of a host name.
func prefix(domain string) string {
	first, _, _ := strings.Cut(domain, ".")
	return first
}

// methodARN is what policies are evaluated against. Its path is the one
// requested, percent-encoding and all. A WebSocket route has no method.
func (g *Gateway) methodARN(q *request) string {
	if g.api.Kind == samtemplate.WebSocket {
		return g.arn + "/" + q.route.Path
	}
	return g.arn + "/" + q.method + q.path
}

// headers returns the headers as REST APIs and payload 1.0 give them: the last
// value of each, and all.
func (g *Gateway) headers(q *request) (single map[string]string, multi map[string][]string) {
	single, multi = map[string]string{}, map[string][]string{}
	for name, values := range q.header {
		if g.cfg.Unsettled.LowerCaseHeaders {
			name = strings.ToLower(name)
		}
		single[name], multi[name] = values[len(values)-1], values
	}
	return single, multi
}

// joinedHeaders returns the headers as payload 2.0 gives them: names in lower
// case, several values joined, cookies apart.
func (q *request) joinedHeaders() (headers map[string]string, cookies []string) {
	headers = map[string]string{}
	for name, values := range q.header {
		if name == "Cookie" {
			for _, v := range values {
				cookies = append(cookies, strings.Split(v, "; ")...)
			}
			continue
		}
		headers[strings.ToLower(name)] = strings.Join(values, ",")
	}
	return headers, cookies
}

// lastQuery returns the last value of each query parameter.
func (q *request) lastQuery() map[string]string {
	m := map[string]string{}
	for name, values := range q.query {
		m[name] = values[len(values)-1]
	}
	return m
}

// joinedQuery returns the values of each query parameter joined.
func (q *request) joinedQuery() map[string]string {
	m := map[string]string{}
	for name, values := range q.query {
		m[name] = strings.Join(values, ",")
	}
	return m
}

// isText reports whether an HTTP API passes a body of this type on as it is;
// any other is passed on in base64.
func isText(contentType string) bool {
	media, _, _ := strings.Cut(strings.ToLower(contentType), ";")
	media = strings.TrimSpace(media)
	return strings.HasPrefix(media, "text/") || strings.HasSuffix(media, "+json") || strings.HasSuffix(media, "+xml") ||
		slices.Contains([]string{"application/json", "application/javascript", "application/xml"}, media)
}

// binary reports whether the REST API treats media as binary.
func (g *Gateway) binary(media string) bool {
	media, _, _ = strings.Cut(media, ";")
	media = cmp.Or(strings.TrimSpace(strings.ToLower(media)), "application/json")
	major, _, _ := strings.Cut(media, "/")
	return slices.ContainsFunc(g.api.BinaryMediaTypes, func(t string) bool {
		return t == "*/*" || t == media || t == major+"/*"
	})
}

// orEmpty is m, or an empty map instead of nil.
func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return maps.Clone(m)
}

// orNil is m, or nil instead of an empty map.
func orNil[V any](m map[string]V) map[string]V {
	if len(m) == 0 {
		return nil
	}
	return m
}
