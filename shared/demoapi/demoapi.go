// Package demoapi is the API that the walk-through protects: orders, and some
// administration. It checks no tokens. It shows the other half of the
// contract: a backend takes the caller from the authorizer's context and
// refuses to serve a protected route without one, so that a route on which
// somebody forgot the authorizer fails instead of standing open.
//
// Orders live in memory, at most 100 of them, and are lost with the process.
package demoapi

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"gatehouse/shared/apigw"
)

// API is the demo API. The zero API refuses protected routes to requests that
// no authorizer has seen.
type API struct {
	// Open serves them nevertheless: the walk-through starts before the policy
	// is on.
	Open bool
}

// Handler returns the API with three orders in it. Each call has its own.
func (a API) Handler() http.Handler {
	o := newOrders()
	mux := http.NewServeMux()
	mux.Handle("/health", methods{http.MethodGet: health})
	mux.Handle("/orders", a.protected(methods{http.MethodGet: o.list, http.MethodPost: o.create}))
	mux.Handle("/orders/{id}", a.protected(methods{http.MethodGet: o.read}))
	mux.Handle("/admin/{proxy...}", a.protected(http.HandlerFunc(o.admin)))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusNotFound, "there are /orders, /orders/{id}, /admin/{proxy+} and /health")
	})
	return mux
}

// protected refuses requests that no authorizer has seen.
func (a API) protected(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodOptions {
			// A preflight carries no token; API Gateway adds the CORS headers.
			w.WriteHeader(http.StatusNoContent)
			return
		}
		authorizer, ok := apigw.AuthorizerContext(r)
		if !ok && !a.Open {
			refuse(w, http.StatusInternalServerError, "no authorizer context: this route is not protected")
			return
		}
		apigw.Log(r.Context(), slog.Bool("protected", ok), slog.String("client_id", authorizer["client_id"]))
		next.ServeHTTP(w, r)
	})
}

// caller is who called, as the authorizer told.
type caller struct {
	ClientID string `json:"client_id,omitempty"`
	Subject  string `json:"sub,omitempty"`
	Scope    string `json:"scope,omitempty"`
}

// callerOf is nil when no authorizer was asked.
func callerOf(r *http.Request) *caller {
	authorizer, ok := apigw.AuthorizerContext(r)
	if !ok {
		return nil
	}
	return &caller{ClientID: authorizer["client_id"], Subject: authorizer["sub"], Scope: authorizer["scope"]}
}

// methods are the methods of one path. HEAD is GET without the body.
type methods map[string]http.HandlerFunc

// ServeHTTP answers 405 to the methods there are not.
func (m methods) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if serve, ok := m[method]; ok {
		serve(w, r)
		return
	}
	allow := make([]string, 0, len(m)+1)
	for name := range m {
		allow = append(allow, name)
		if name == http.MethodGet {
			allow = append(allow, http.MethodHead)
		}
	}
	slices.Sort(allow)
	w.Header().Set("Allow", strings.Join(allow, ", "))
	refuse(w, http.StatusMethodNotAllowed, "this path has "+strings.Join(allow, ", "))
}

func health(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]string{"status": "ok"})
}
