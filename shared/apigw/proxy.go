package apigw

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// proxyEvent is the event of a proxy integration: payload format 2.0, and 1.0,
// which is also what REST APIs send (without a version).
type proxyEvent struct {
	Version           string              `json:"version"`
	RawPath           string              `json:"rawPath"`
	RawQueryString    string              `json:"rawQueryString"`
	Cookies           []string            `json:"cookies"`
	Path              string              `json:"path"`
	HTTPMethod        string              `json:"httpMethod"`
	Headers           map[string]string   `json:"headers"`
	MultiValueHeaders map[string][]string `json:"multiValueHeaders"`
	Query             map[string]string   `json:"queryStringParameters"`
	MultiValueQuery   map[string][]string `json:"multiValueQueryStringParameters"`
	Body              string              `json:"body"`
	IsBase64Encoded   bool                `json:"isBase64Encoded"`
	RequestContext    proxyContext        `json:"requestContext"`
}

type proxyContext struct {
	APIID      string          `json:"apiId"`
	Stage      string          `json:"stage"`
	DomainName string          `json:"domainName"`
	Authorizer json.RawMessage `json:"authorizer"`
	Identity   struct {
		SourceIP string `json:"sourceIp"`
	} `json:"identity"`
	HTTP struct {
		Method   string `json:"method"`
		SourceIP string `json:"sourceIp"`
	} `json:"http"`
}

// proxyResponse has both versions' members. Payload format 2.0 knows no
// multiValueHeaders, and the others no cookies.
type proxyResponse struct {
	StatusCode        int                 `json:"statusCode"`
	Headers           map[string]string   `json:"headers,omitempty"`
	MultiValueHeaders map[string][]string `json:"multiValueHeaders,omitempty"`
	Cookies           []string            `json:"cookies,omitempty"`
	Body              string              `json:"body"`
	IsBase64Encoded   bool                `json:"isBase64Encoded"`
}

// readProxyEvent returns the event and its request. The event is usable for a
// response in any case.
func readProxyEvent(ctx context.Context, event []byte) (*proxyEvent, *http.Request, error) {
	e := new(proxyEvent)
	if len(event) > maxPayload {
		return e, nil, fmt.Errorf("apigw: event: %w", ErrSize)
	}
	if err := json.Unmarshal(event, e); err != nil {
		// The error's text may quote the event.
		return new(proxyEvent), nil, fmt.Errorf("apigw: event: %w", ErrShape)
	}
	r, err := e.request(ctx)
	return e, r, err
}

func (e *proxyEvent) v2() bool { return e.Version == "2.0" }

func (e *proxyEvent) request(ctx context.Context) (*http.Request, error) {
	method, path, query, addr := e.HTTPMethod, e.Path, e.query(), e.RequestContext.Identity.SourceIP
	if e.v2() {
		method, path, query = e.RequestContext.HTTP.Method, e.RawPath, e.RawQueryString
		addr = e.RequestContext.HTTP.SourceIP
	}
	known := e.Version == "" || e.Version == "1.0" || e.v2()
	if !known || !isName(method) || !strings.HasPrefix(path, "/") {
		return nil, fmt.Errorf("apigw: event: %w", ErrShape)
	}
	body := []byte(e.Body)
	if e.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(e.Body); err != nil {
			return nil, errors.New("apigw: event: the body is not base64")
		}
	}
	target := pathURL(e.withoutStage(path))
	target.RawQuery = query
	ctx = context.WithValue(e.withAuthorizer(ctx), baseKey{}, e.base())
	r, err := http.NewRequestWithContext(ctx, method, "/", bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("apigw: event: %w", ErrShape)
	}
	r.URL = target
	r.RequestURI = path
	if query != "" {
		r.RequestURI += "?" + query
	}
	r.RemoteAddr = addr
	r.Header = e.header()
	r.Host = e.RequestContext.DomainName
	if r.Host == "" {
		r.Host = r.Header.Get("Host")
	}
	r.Header.Del("Host") // as net/http does
	return r, nil
}

// pathURL returns a URL of a path as it came. A path with a broken escape
// sequence is taken literally.
func pathURL(raw string) *url.URL {
	path, err := url.PathUnescape(raw)
	if err != nil {
		return &url.URL{Path: raw}
	}
	return &url.URL{Path: path, RawPath: raw}
}

type baseKey struct{}

// BaseURL returns the URL, without a slash at its end, that the caller of the
// request that ctx belongs to puts in front of the paths of the API: what API
// Gateway was called by, which is none but a domain name of the API. A base path
// of a custom domain name is not in it, for events do not tell it. Outside of a
// request that [HTTP] serves it is "".
func BaseURL(ctx context.Context) string {
	base, _ := ctx.Value(baseKey{}).(string)
	return base
}

func (e *proxyEvent) base() string {
	c := &e.RequestContext
	base := "https://" + c.DomainName
	if e.ownDomain() && c.Stage != "$default" {
		base += "/" + url.PathEscape(c.Stage)
	}
	return base
}

// ownDomain reports whether the API was called by the domain name that API
// Gateway gave it.
func (e *proxyEvent) ownDomain() bool {
	c := &e.RequestContext
	return c.APIID != "" && c.Stage != "" && strings.HasPrefix(c.DomainName, c.APIID+".execute-api.")
}

// withoutStage cuts the stage from the paths of HTTP APIs, which have it if the
// API is called by its own domain name. With a custom domain name an equal
// first segment is the caller's.
func (e *proxyEvent) withoutStage(path string) string {
	if e.Version == "" || !e.ownDomain() {
		return path
	}
	rest, found := strings.CutPrefix(path, "/"+e.RequestContext.Stage)
	switch {
	case found && rest == "":
		return "/"
	case found && rest[0] == '/':
		return rest
	default:
		return path
	}
}

// query renders the parameters of format 1.0, which have been decoded.
func (e *proxyEvent) query() string {
	values := url.Values{}
	maps.Copy(values, e.MultiValueQuery)
	for name, value := range e.Query {
		if _, ok := values[name]; !ok {
			values.Set(name, value)
		}
	}
	return values.Encode()
}

func (e *proxyEvent) header() http.Header {
	header := http.Header{}
	for name, list := range e.MultiValueHeaders {
		for _, value := range list {
			header.Add(name, value)
		}
	}
	single := http.Header{}
	for name, value := range e.Headers {
		single.Add(name, value)
	}
	for name, list := range single {
		if _, ok := header[name]; !ok {
			header[name] = list
		}
	}
	if len(e.Cookies) > 0 {
		header.Set("Cookie", strings.Join(e.Cookies, "; "))
	}
	return header
}

type authorizerKey struct{}

// AuthorizerContext returns what the authorizer of r's route told about the
// caller, values as text. It is false when API Gateway asked no Lambda
// authorizer. Nothing the caller sends can appear here.
func AuthorizerContext(r *http.Request) (map[string]string, bool) {
	members, ok := r.Context().Value(authorizerKey{}).(map[string]string)
	return members, ok
}

// WithAuthorizerContext returns ctx as if the authorizer of a route had told
// these members. It is for who has verified the caller's token itself and asks
// another handler of its own process, and for nobody else: they are believed.
func WithAuthorizerContext(ctx context.Context, members map[string]string) context.Context {
	return context.WithValue(ctx, authorizerKey{}, members)
}

func (e *proxyEvent) withAuthorizer(ctx context.Context) context.Context {
	raw := e.RequestContext.Authorizer
	if e.v2() {
		var nested struct {
			Lambda json.RawMessage `json:"lambda"`
		}
		if json.Unmarshal(raw, &nested) != nil {
			return ctx
		}
		raw = nested.Lambda
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil || len(members) == 0 {
		return ctx
	}
	flat := make(map[string]string, len(members))
	for name, value := range members {
		var text string
		if json.Unmarshal(value, &text) != nil {
			text = string(value) // a number, true, or in format 2.0 anything
		}
		flat[name] = text
	}
	return context.WithValue(ctx, authorizerKey{}, flat)
}

func (e *proxyEvent) response(w *recorder) ([]byte, error) {
	w.finish()
	if w.overflow {
		return nil, fmt.Errorf("apigw: response: %w", errResponseSize)
	}
	if e.HTTPMethod == http.MethodHead || e.RequestContext.HTTP.Method == http.MethodHead {
		w.body = nil
	}
	out := proxyResponse{StatusCode: w.status, Body: string(w.body)}
	if !utf8.Valid(w.body) {
		out.Body, out.IsBase64Encoded = base64.StdEncoding.EncodeToString(w.body), true
	}
	if e.v2() {
		out.Headers = make(map[string]string, len(w.sent))
		for name, values := range w.sent {
			if name == "Set-Cookie" {
				out.Cookies = values
				continue
			}
			out.Headers[name] = strings.Join(values, ", ")
		}
	} else {
		out.MultiValueHeaders = w.sent
	}
	answer, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("apigw: response: %w", err)
	}
	if len(answer) > maxPayload {
		return nil, fmt.Errorf("apigw: response: %w", errResponseSize)
	}
	return answer, nil
}
