package gateway

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"gatehouse/infra/local/samtemplate"
)

// integrate invokes q's function and renders its answer.
func (g *Gateway) integrate(ctx context.Context, q *request) *reply {
	limit := restTimeout
	if g.api.Kind == samtemplate.HTTP {
		limit = httpTimeout
	}
	g.trace.step(q, "integration %s", q.route.Function)
	data, err := g.invoke(ctx, q.route.Function, g.proxyEvent(q), limit)
	switch {
	case errors.Is(err, errEventTooLarge):
		g.trace.step(q, "integration failed: %s", reason(err))
		return g.refuse(q, eventTooLarge)
	case errors.Is(err, errTimeout):
		g.trace.step(q, "integration failed: %s", reason(err))
		return g.refuse(q, integrationTimedOut)
	case err != nil:
		g.trace.step(q, "integration failed: %s", reason(err))
		return g.refuse(q, integrationFailed)
	}
	a, err := g.parseResponse(q, data)
	if err != nil {
		g.trace.step(q, "integration: %v", err)
		return g.refuse(q, integrationFailed)
	}
	return a
}

// response is what a function answers.
type response struct {
	StatusCode        json.Number
	Headers           map[string]any
	MultiValueHeaders map[string][]any // not with payload 2.0
	Cookies           []string         // payload 2.0
	Body              *string
	IsBase64Encoded   bool
}

// errMalformed is about an answer that is not of the form API Gateway expects.
var errMalformed = errors.New("malformed Lambda proxy response")

func (g *Gateway) parseResponse(q *request, data []byte) (*reply, error) {
	if q.route.PayloadFormat == "2.0" && !hasStatus(data) {
		return inferred(data)
	}
	var r response
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, errMalformed
	}
	status, err := r.StatusCode.Int64()
	if err != nil || status < 200 || status > 599 {
		return nil, errMalformed
	}
	a := &reply{status: int(status), header: http.Header{}}
	g.setHeaders(q, a, r)
	if r.Body == nil {
		return a, nil
	}
	a.body = []byte(*r.Body)
	if r.IsBase64Encoded && (g.api.Kind == samtemplate.HTTP || g.acceptsBinary(q)) {
		if a.body, err = base64.StdEncoding.DecodeString(*r.Body); err != nil {
			return nil, errMalformed
		}
	}
	return a, nil
}

// hasStatus reports whether data is an object with a statusCode.
func hasStatus(data []byte) bool {
	var r struct{ StatusCode json.RawMessage }
	return json.Unmarshal(data, &r) == nil && r.StatusCode != nil
}

// inferred is the reply payload 2.0 makes of an answer without a statusCode:
// the answer itself.
func inferred(data []byte) (*reply, error) {
	if !json.Valid(data) {
		return nil, errMalformed
	}
	a := &reply{status: http.StatusOK, header: http.Header{"Content-Type": {"application/json"}}, body: bytes.TrimSpace(data)}
	var s string
	if json.Unmarshal(data, &s) == nil && a.body[0] == '"' {
		a.body = []byte(s)
	}
	return a, nil
}

// setHeaders gives a the headers of r.
func (g *Gateway) setHeaders(q *request, a *reply, r response) {
	for name, v := range r.Headers {
		a.header.Set(name, headerText(v))
	}
	if q.route.PayloadFormat == "2.0" {
		for _, cookie := range r.Cookies {
			a.header.Add("Set-Cookie", headerText(cookie))
		}
	} else {
		for name, values := range r.MultiValueHeaders {
			a.header.Del(name)
			for _, v := range values {
				a.header.Add(name, headerText(v))
			}
		}
	}
	fallback := "text/plain; charset=utf-8"
	if g.api.Kind == samtemplate.REST {
		fallback = "application/json"
		g.remap(a.header)
	}
	if a.header.Get("Content-Type") == "" {
		a.header.Set("Content-Type", fallback)
	}
	for _, name := range []string{"Connection", "Content-Length", "Transfer-Encoding"} {
		a.header.Del(name) // net/http knows better
	}
}

// remap renames the headers that a REST API does not take from a function.
func (g *Gateway) remap(h http.Header) {
	names := []string{"Connection", "Content-Length", "Date", "Server"}
	if !g.cfg.Unsettled.KeepWWWAuthenticate {
		names = append(names, "Www-Authenticate")
	}
	for _, name := range names {
		if values := h.Values(name); len(values) > 0 {
			h["X-Amzn-Remapped-"+name] = values
			h.Del(name)
		}
	}
}

// headerText is a header value on one line.
func headerText(v any) string {
	return strings.NewReplacer("\r", " ", "\n", " ").Replace(text(v))
}

// acceptsBinary reports whether a REST API decodes a base64 answer: the first
// type the client accepts must be one of its binary ones.
func (g *Gateway) acceptsBinary(q *request) bool {
	first, _, _ := strings.Cut(q.header.Get("Accept"), ",")
	return g.binary(first)
}
