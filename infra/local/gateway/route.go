package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"gatehouse/infra/local/samtemplate"
)

// segmentKind orders segments by how specific they are.
type segmentKind int

const (
	literal segmentKind = iota
	parameter
	greedy
)

// segment is one part of a path template: orders, {id} or {proxy+}.
type segment struct {
	kind segmentKind
	text string // the literal, or the name
}

// route is a route of the API, ready to match.
type route struct {
	samtemplate.Route
	key        string // "GET /orders/{id}", "$default"
	segments   []segment
	authorizer *authorizer // nil for none
}

// authorizer is an authorizer of the API with its token pattern.
type authorizer struct {
	samtemplate.Authorizer
	name  string
	token *regexp.Regexp // nil: any
}

// compile returns the routes of api, the most specific first: literal before
// parameter before greedy, left to right, then a method before ANY; $default last.
func compile(api samtemplate.API) ([]*route, error) {
	authorizers := map[string]*authorizer{}
	for name, a := range api.Authorizers {
		compiled, err := compileAuthorizer(api.Kind, name, a)
		if err != nil {
			return nil, fmt.Errorf("authorizer %s: %w", name, err)
		}
		authorizers[name] = compiled
	}
	var routes []*route
	for _, declared := range api.Routes {
		r := &route{Route: declared, key: strings.TrimSpace(declared.Method + " " + declared.Path)}
		if declared.Authorizer != "" {
			if r.authorizer = authorizers[declared.Authorizer]; r.authorizer == nil {
				return nil, fmt.Errorf("route %s: there is no authorizer %q", r.key, declared.Authorizer)
			}
		}
		if declared.Path != "$default" && api.Kind != samtemplate.WebSocket {
			segments, err := parse(declared.Path)
			if err != nil {
				return nil, fmt.Errorf("route %s: %w", r.key, err)
			}
			r.segments = segments
		}
		routes = append(routes, r)
	}
	slices.SortStableFunc(routes, moreSpecific)
	return routes, nil
}

// compileAuthorizer refuses combinations API Gateway does not have.
func compileAuthorizer(kind samtemplate.Kind, name string, a samtemplate.Authorizer) (*authorizer, error) {
	switch {
	case kind == samtemplate.REST && a.PayloadVersion != "":
		return nil, errors.New("a REST API has no payload versions")
	case kind == samtemplate.REST && a.Kind == samtemplate.Token && len(a.IdentitySources) != 1:
		return nil, errors.New("a TOKEN authorizer has one identity source")
	case kind == samtemplate.REST && (a.Kind == samtemplate.Token || a.Kind == samtemplate.Request):
	case kind == samtemplate.WebSocket && a.Kind == samtemplate.Request && a.PayloadVersion == "" && a.TTL == 0:
	case kind == samtemplate.HTTP && a.Kind == samtemplate.Request && (a.PayloadVersion == "1.0" || a.PayloadVersion == "2.0"):
	default:
		return nil, fmt.Errorf("no authorizer of a %s API has kind %q and payload version %q", kind, a.Kind, a.PayloadVersion)
	}
	compiled := &authorizer{Authorizer: a, name: name}
	if a.ValidationExpression == "" {
		return compiled, nil
	}
	re, err := regexp.Compile("^(?:" + a.ValidationExpression + ")$")
	if err != nil {
		return nil, fmt.Errorf("validation expression: %w", err)
	}
	compiled.token = re
	return compiled, nil
}

// parse reads a path template.
func parse(path string) ([]segment, error) {
	if path == "/" {
		return nil, nil
	}
	rest, ok := strings.CutPrefix(path, "/")
	if !ok {
		return nil, errors.New("the path does not begin with /")
	}
	var segments []segment
	for text := range strings.SplitSeq(rest, "/") {
		if len(segments) > 0 && segments[len(segments)-1].kind == greedy {
			return nil, fmt.Errorf("something follows {%s+}", segments[len(segments)-1].text)
		}
		name, opened := strings.CutPrefix(text, "{")
		name, closed := strings.CutSuffix(name, "}")
		name, plus := strings.CutSuffix(name, "+")
		switch {
		case text == "":
			return nil, errors.New("a segment is empty")
		case !strings.ContainsAny(text, "{}"):
			segments = append(segments, segment{literal, text})
		case !opened || !closed || name == "" || strings.ContainsAny(name, "{}"):
			return nil, fmt.Errorf("a parameter is a whole segment: {name} or {name+}, not %q", text)
		case plus:
			segments = append(segments, segment{greedy, name})
		default:
			segments = append(segments, segment{parameter, name})
		}
	}
	return segments, nil
}

func moreSpecific(a, b *route) int {
	if a.Path == "$default" || b.Path == "$default" {
		return cmp.Compare(rank(a.Path == "$default"), rank(b.Path == "$default"))
	}
	for i := range min(len(a.segments), len(b.segments)) {
		if c := cmp.Compare(a.segments[i].kind, b.segments[i].kind); c != 0 {
			return c
		}
	}
	return cmp.Or(
		cmp.Compare(len(b.segments), len(a.segments)),
		cmp.Compare(rank(a.Method == "ANY"), rank(b.Method == "ANY")))
}

// rank is 1 for what comes later.
func rank(b bool) int { //nolint:revive // a conversion, not a mode
	if b {
		return 1
	}
	return 0
}

// known are the methods API Gateway has; ANY means these.
func known(method string) bool {
	switch method {
	case http.MethodDelete, http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPatch, http.MethodPost, http.MethodPut:
		return true
	default:
		return false
	}
}

// route finds the route of q, and with it its path without the stage.
func (g *Gateway) route(q *request) bool {
	if !known(q.method) {
		return false
	}
	path := q.escaped
	if g.api.Kind == samtemplate.REST || g.api.Stage != "$default" {
		rest, ok := strings.CutPrefix(path, "/"+g.api.Stage+"/")
		if !ok {
			return false
		}
		path = "/" + rest
	}
	if g.cfg.Unsettled.DecodeBeforeRouting && g.api.Kind == samtemplate.HTTP {
		path = decoded(path)
	}
	q.path = path
	if g.match(q, path) {
		return true
	}
	trimmed, folded := strings.CutSuffix(path, "/")
	return folded && g.cfg.Unsettled.FoldTrailingSlash && g.api.Kind == samtemplate.REST && g.match(q, trimmed)
}

// match finds the most specific route for method and path. A path that exists
// without the method does not hide a less specific one that has it.
func (g *Gateway) match(q *request, path string) bool {
	for _, r := range g.routes {
		if r.Method != q.method && r.Method != "ANY" && r.Path != "$default" {
			continue
		}
		if params, ok := r.match(path); ok {
			q.route, q.params = r, params
			return true
		}
	}
	return false
}

// match compares path, beginning with /, with the route's template. Literals
// are compared byte for byte, a parameter is one segment that is not empty, a
// greedy one the whole rest if that is not empty.
func (r *route) match(path string) (map[string]string, bool) {
	if r.Path == "$default" {
		return nil, true
	}
	rest, ok := strings.CutPrefix(path, "/")
	if !ok {
		return nil, false
	}
	if len(r.segments) == 0 {
		return nil, rest == ""
	}
	var params map[string]string
	for i, s := range r.segments {
		text, tail, more := strings.Cut(rest, "/")
		if s.kind == greedy {
			text, more = rest, false
		}
		switch {
		case s.kind == literal && text != s.text, text == "", more != (i < len(r.segments)-1):
			return nil, false
		case s.kind != literal:
			if params == nil {
				params = map[string]string{}
			}
			params[s.text] = decoded(text)
		}
		rest = tail
	}
	return params, true
}

// decoded is s with percent-encoding removed, or s where it is not one.
func decoded(s string) string {
	if d, err := url.PathUnescape(s); err == nil {
		return d
	}
	return s
}
