package web_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"gatehouse/shared/web"
)

// ask returns the answer to a request without a body.
func ask(t *testing.T, h http.Handler, method, at string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, at, nil)
	for n := 0; n+1 < len(headers); n += 2 {
		r.Header.Set(headers[n], headers[n+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// routes answer with the pattern that was found and what was in the path.
func routes(patterns ...string) web.Routes {
	all := web.Routes{}
	for _, pattern := range patterns {
		all[pattern] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, strings.TrimSpace(r.Pattern+" "+r.PathValue("id")+r.PathValue("rest")))
		})
	}
	return all
}

// refuse is how the API of these tests refuses.
func refuse(w http.ResponseWriter, _ *http.Request, status int, known string) {
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "refused, knows %q", known)
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	h := routes("GET /things", "POST /things", "GET /things/{id}", "DELETE /things/{id}", "GET /deep/{rest...}", "PUT /only").Handler(refuse)
	for name, test := range map[string]struct {
		method, at string
		status     int
		allow      string
		body       string
	}{
		"a path is found":                          {"GET", "/things", 200, "", "GET /things"},
		"by method":                                {"POST", "/things", 200, "", "POST /things"},
		"with a query":                             {"GET", "/things?limit=1", 200, "", "GET /things"},
		"with a name in it":                        {"GET", "/things/a", 200, "", "GET /things/{id} a"},
		"a slash in a name is encoded":             {"GET", "/things/a%2Fb", 200, "", "GET /things/{id} a/b"},
		"dots in a name are encoded":               {"GET", "/things/%2E%2E", 200, "", "GET /things/{id} .."},
		"the rest of a path has slashes":           {"GET", "/deep/a/b", 200, "", "GET /deep/{rest...} a/b"},
		"GET answers HEAD":                         {"HEAD", "/things", 200, "", "GET /things"},
		"a path that there is not":                 {"GET", "/thing", 404, "", `refused, knows ""`},
		"nothing is at the root":                   {"GET", "/", 404, "", `refused, knows ""`},
		"a path below another":                     {"GET", "/things/a/b", 404, "", `refused, knows ""`},
		"a path in another case":                   {"GET", "/Things", 404, "", `refused, knows ""`},
		"another method":                           {"PUT", "/things", 405, "GET, HEAD, POST", `refused, knows "GET, HEAD, POST"`},
		"another method for a name":                {"POST", "/things/a", 405, "DELETE, GET, HEAD", `refused, knows "DELETE, GET, HEAD"`},
		"another method for the rest of a path":    {"POST", "/deep/a/b", 405, "GET, HEAD", `refused, knows "GET, HEAD"`},
		"HEAD where there is no GET":               {"HEAD", "/only", 405, "PUT", `refused, knows "PUT"`},
		"OPTIONS is a method like others":          {"OPTIONS", "/only", 405, "PUT", `refused, knows "PUT"`},
		"a method that nobody knows":               {"BREW", "/only", 405, "PUT", `refused, knows "PUT"`},
		"a slash at the end is another path":       {"GET", "/things/", 404, "", `refused, knows ""`},
		"two slashes are not one":                  {"GET", "//things", 404, "", `refused, knows ""`},
		"two slashes at the end":                   {"GET", "/things//", 404, "", `refused, knows ""`},
		"dots are not followed":                    {"GET", "/deep/../things", 404, "", `refused, knows ""`},
		"a dot is not left out":                    {"GET", "/./things", 404, "", `refused, knows ""`},
		"the rest of a path is not empty":          {"GET", "/deep/", 404, "", `refused, knows ""`},
		"an unclean path of a method that is not":  {"PUT", "/things/../things", 404, "", `refused, knows ""`},
		"an unclean path is refused by any method": {"CONNECT", "/deep/../things", 404, "", `refused, knows ""`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := ask(t, h, test.method, test.at)
			if got.Code != test.status || got.Body.String() != test.body || got.Header().Get("Allow") != test.allow {
				t.Errorf("got %d %q and Allow %q, want %d %q and %q", got.Code, got.Body, got.Header().Get("Allow"), test.status, test.body, test.allow)
			}
			if got.Header().Get("Location") != "" || got.Header().Get("Cache-Control") != "no-store" || got.Header().Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("got %v", got.Header())
			}
		})
	}
}

func TestAHandlerSaysWhatCachesKeep(t *testing.T) {
	t.Parallel()
	h := web.Routes{"GET /kept": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=300")
	})}.Handler(refuse)
	if got := ask(t, h, "GET", "/kept").Header().Get("Cache-Control"); got != "public, max-age=300" {
		t.Errorf("got %q", got)
	}
}

func TestScriptsOfOtherPages(t *testing.T) {
	t.Parallel()
	const asks = "Access-Control-Request-Method"
	h := web.FromAnyOrigin(routes("GET /things", "GET /authorize", "POST /authorize/consent", "GET /callback").Handler(refuse))
	for name, test := range map[string]struct {
		method, at string
		headers    []string
		status     int
		open       bool // whether scripts may read the answer
	}{
		"may use a path":                           {"GET", "/things", nil, 200, true},
		"see why they are refused":                 {"GET", "/nothing", nil, 404, true},
		"ask before they send":                     {"OPTIONS", "/things", []string{asks, "GET"}, 204, true},
		"ask about a path that there is not":       {"OPTIONS", "/nothing", []string{asks, "GET"}, 204, true},
		"do not ask without a method":              {"OPTIONS", "/things", nil, 405, true},
		"do not ask by another method":             {"GET", "/things", []string{asks, "GET"}, 200, true},
		"may not use what people are sent to":      {"GET", "/authorize", nil, 200, false},
		"may not ask about it":                     {"OPTIONS", "/authorize", []string{asks, "GET"}, 405, false},
		"may not send what people have decided":    {"POST", "/authorize/consent", nil, 200, false},
		"may not read where people come back":      {"GET", "/callback?code=x", nil, 200, false},
		"may not read that it has no other method": {"POST", "/callback", nil, 405, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := ask(t, h, test.method, test.at, test.headers...)
			want := map[bool]string{true: "*", false: ""}[test.open]
			if got.Code != test.status || got.Header().Get("Access-Control-Allow-Origin") != want {
				t.Errorf("got %d %v, want %d and Access-Control-Allow-Origin %q", got.Code, got.Header(), test.status, want)
			}
			preflight := got.Header().Get("Access-Control-Allow-Methods") != "" && got.Header().Get("Access-Control-Allow-Headers") != ""
			if preflight != (got.Code == 204) || preflight && got.Body.Len() > 0 {
				t.Errorf("got %d %v %q", got.Code, got.Header(), got.Body)
			}
			if got.Header().Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("got %v, want no cookies sent", got.Header())
			}
		})
	}
}

func TestAPreflightSaysWhatClientsSendAndRead(t *testing.T) {
	t.Parallel()
	h := web.FromAnyOrigin(http.NotFoundHandler())
	got := ask(t, h, "OPTIONS", "/token", "Access-Control-Request-Method", "POST").Header()
	for header, names := range map[string][]string{
		"Access-Control-Allow-Methods":  {"GET", "POST", "PUT", "PATCH", "DELETE"},
		"Access-Control-Allow-Headers":  {"Authorization", "Content-Type", "Idempotency-Key", "MCP-Protocol-Version"},
		"Access-Control-Expose-Headers": {"Location", "Retry-After", "WWW-Authenticate"},
	} {
		for _, name := range names {
			if !strings.Contains(got.Get(header), name) {
				t.Errorf("got %s: %q, want %s in it", header, got.Get(header), name)
			}
		}
	}
}

func TestAddress(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ from, want string }{
		"an IPv4 address":                             {"192.0.2.7", "192.0.2.7"},
		"one as IPv6 has it":                          {"::ffff:192.0.2.7", "192.0.2.7"},
		"the first half of an IPv6 address":           {"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
		"the same for a neighbour":                    {"2001:db8:1:2::9", "2001:db8:1:2::/64"},
		"another for the next customer":               {"2001:db8:1:3::9", "2001:db8:1:3::/64"},
		"a zone is of this machine":                   {"fe80::1%eth0", "fe80::/64"},
		"what is no address, as it is":                {"192.0.2.7:4711", "192.0.2.7:4711"},
		"nothing, where the function was not told it": {"", ""},
	} {
		if got := web.Address(&http.Request{RemoteAddr: test.from}); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ before, want string }{
		"is what it says":     {"", "application/json"},
		"is of a kind of its": {"application/problem+json", "application/problem+json"},
	} {
		w := httptest.NewRecorder()
		if test.before != "" {
			w.Header().Set("Content-Type", test.before)
		}
		web.JSON(w, http.StatusTeapot, map[string]string{"a": "<b>"})
		if w.Code != http.StatusTeapot || w.Header().Get("Content-Type") != test.want || w.Body.String() != `{"a":"\u003cb\u003e"}`+"\n" {
			t.Errorf("%s: got %d %v %s", name, w.Code, w.Header(), w.Body)
		}
	}
}
