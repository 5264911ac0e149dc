// Package web is what Gatehouse's own HTTP APIs do alike, whatever they are
// about: finding the endpoint of a request, refusing what there is none for,
// headers, JSON, and the description of the API.
//
// It has no opinion of what a refusal looks like: each API has a form of its
// own for that.
package web

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"path"
	"slices"
	"strings"
)

// Routes are the handlers of an API by pattern of [http.ServeMux], method
// included.
type Routes map[string]http.Handler

// Handler serves routes. What there is none for goes to refuse: with 404, or
// with 405 and the methods that the path knows, which are in the header Allow
// then (RFC 9110 §15.5.6). No answer is kept by caches unless its handler says
// so.
func (routes Routes) Handler(refuse func(w http.ResponseWriter, r *http.Request, status int, known string)) http.Handler {
	mux := http.NewServeMux()
	methods := map[string][]string{} // by path
	for pattern, handler := range routes {
		mux.Handle(pattern, handler)
		method, at, _ := strings.Cut(pattern, " ")
		methods[at] = append(methods[at], method)
		if method == http.MethodGet {
			methods[at] = append(methods[at], http.MethodHead) // as the mux takes it
		}
	}
	for at, known := range methods {
		mux.Handle(at, wrongMethod(known, refuse))
	}
	nowhere := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { refuse(w, r, http.StatusNotFound, "") })
	mux.Handle("/", nowhere)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if at := r.URL.EscapedPath(); path.Clean(at) != at {
			nowhere.ServeHTTP(w, r) // the mux would redirect, without the stage that API Gateway has cut off
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func wrongMethod(known []string, refuse func(http.ResponseWriter, *http.Request, int, string)) http.Handler {
	slices.Sort(known)
	allow := strings.Join(known, ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", allow)
		refuse(w, r, http.StatusMethodNotAllowed, allow)
	})
}

// JSON answers with body, which must be something that encodes. A client that
// has gone cannot be told.
func JSON(w http.ResponseWriter, status int, body any) {
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// Address is whom r comes from, as far as one customer of a network provider can
// be told from the next: an IPv4 address, or the first half of an IPv6 one.
func Address(r *http.Request) string {
	ip, err := netip.ParseAddr(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	ip = ip.Unmap().WithZone("")
	if prefix, err := ip.Prefix(64); ip.Is6() && err == nil {
		return prefix.String()
	}
	return ip.String()
}

// forPeople are the paths of Gatehouse that browsers are sent to. Scripts of
// other pages have no business there (OAuth 2.1 §3.1).
var forPeople = []string{"/authorize", "/authorize/consent", "/callback"}

// FromAnyOrigin lets the scripts of any page use next (https://fetch.spec.whatwg.org,
// CORS), but for what people are sent to. Browsers send no cookies there, and
// what it takes to be let in a page must know itself.
func FromAnyOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if slices.Contains(forPeople, r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Access-Control-Expose-Headers", "Location, Retry-After, WWW-Authenticate")
		if asked := r.Header.Get("Access-Control-Request-Method"); r.Method != http.MethodOptions || asked == "" {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Access-Control-Allow-Methods", "DELETE, GET, PATCH, POST, PUT")
		w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Idempotency-Key, MCP-Protocol-Version")
		w.Header().Set("Access-Control-Max-Age", "3600")
		w.WriteHeader(http.StatusNoContent)
	})
}
