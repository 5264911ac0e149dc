package gateway

import (
	"net/http"
	"slices"
	"strings"

	"gatehouse/infra/local/samtemplate"
)

// isPreflight reports whether q is a preflight to an HTTP API with CORS. The
// gateway answers it where no route does: a route for ANY takes OPTIONS as well.
func (g *Gateway) isPreflight(q *request) bool {
	return g.api.Kind == samtemplate.HTTP && g.api.CORS != nil && q.method == http.MethodOptions &&
		q.header.Get("Origin") != "" && q.header.Get("Access-Control-Request-Method") != ""
}

// preflightHTTP is the HTTP API's answer to a preflight; addCORS completes it.
func preflightHTTP() *reply {
	return &reply{status: http.StatusNoContent, header: http.Header{}}
}

// addCORS replaces what a says about CORS by what an HTTP API's configuration
// says: the integration's own words are ignored.
func (g *Gateway) addCORS(q *request, a *reply) {
	c := g.api.CORS
	if c == nil {
		return
	}
	for name := range a.header {
		if strings.HasPrefix(name, "Access-Control-") {
			a.header.Del(name)
		}
	}
	origin := q.header.Get("Origin")
	if origin == "" || !slices.ContainsFunc(c.AllowOrigins, func(allowed string) bool {
		return allowed == "*" || allowed == origin ||
			strings.HasSuffix(allowed, "://*") && strings.HasPrefix(origin, strings.TrimSuffix(allowed, "*"))
	}) {
		return
	}
	if slices.Contains(c.AllowOrigins, "*") {
		origin = "*"
	}
	a.header.Set("Access-Control-Allow-Origin", origin)
	if c.AllowCredentials {
		a.header.Set("Access-Control-Allow-Credentials", "true")
	}
	set(a.header, "Access-Control-Expose-Headers", strings.Join(c.ExposeHeaders, ","))
	if g.isPreflight(q) {
		set(a.header, "Access-Control-Allow-Headers", strings.Join(c.AllowHeaders, ","))
		set(a.header, "Access-Control-Allow-Methods", strings.Join(c.AllowMethods, ","))
		set(a.header, "Access-Control-Max-Age", c.MaxAge)
	}
}

// preflightREST is the answer of the mock OPTIONS method that SAM generates.
func (g *Gateway) preflightREST(q *request) *reply {
	a := &reply{status: http.StatusOK, header: http.Header{"Content-Type": {"application/json"}}, body: []byte("{}\n")}
	c := g.api.CORS
	if c == nil {
		return a
	}
	methods := strings.Join(c.AllowMethods, ",")
	if methods == "" {
		methods = g.methods(q.route.Path)
	}
	set(a.header, "Access-Control-Allow-Origin", strings.Join(c.AllowOrigins, ","))
	set(a.header, "Access-Control-Allow-Headers", strings.Join(c.AllowHeaders, ","))
	set(a.header, "Access-Control-Allow-Methods", methods)
	set(a.header, "Access-Control-Max-Age", c.MaxAge)
	if c.AllowCredentials {
		a.header.Set("Access-Control-Allow-Credentials", "true")
	}
	return a
}

// methods lists the methods of path as SAM does.
func (g *Gateway) methods(path string) string {
	var methods []string
	for _, r := range g.api.Routes {
		switch {
		case r.Path != path:
		case r.Method == "ANY":
			return "DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT"
		default:
			methods = append(methods, r.Method)
		}
	}
	slices.Sort(methods)
	return strings.Join(slices.Compact(methods), ",")
}

func set(h http.Header, name, value string) {
	if value != "" {
		h.Set(name, value)
	}
}
