package broker_test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/shared/oauth"
)

// target is a site with an application, for many requests that nobody would
// send. It is made once, when the first of them is there.
type target struct {
	once sync.Once
	*site

	handler   http.Handler
	a, native app
}

func (g *target) begin(t *testing.T) *site {
	t.Helper()
	g.once.Do(func() {
		g.site = newSite(t)
		g.handler = g.Handler()
		g.a, g.native = g.register(confidential), g.register(nativeApp)
	})
	return g.in(t)
}

// holds fails if an answer is an error of ours, leads anywhere but to a client or
// the provider, may be kept, or is a refusal that is none. It returns the status.
func (g *target) holds(t *testing.T, r *http.Request, sent string) int {
	t.Helper()
	w := httptest.NewRecorder()
	g.handler.ServeHTTP(w, r.WithContext(t.Context()))
	got := newAnswer(w.Code, w.Result().Header, w.Body.String())
	to := got.header.Get("Location")
	leads := to == "" || strings.HasPrefix(to, org+"/oauth2/default/v1/authorize?")
	for _, uri := range append(g.a.RedirectURIs, g.native.RedirectURIs...) {
		if u, err := url.Parse(to); err == nil {
			u.RawQuery, u.Host = "", strings.TrimSuffix(u.Host, ":"+u.Port())
			leads = leads || u.String() == uri
		}
	}
	_, refusal := got.json["error"].(string)
	page := got.header.Get("Content-Type") == "text/html; charset=utf-8"
	switch {
	case got.status >= 500, !leads, got.header.Get("Cache-Control") != "no-store", got.status >= 400 && !refusal && !page && r.Method != http.MethodHead:
		t.Fatalf("%s %s %q: got %v", r.Method, r.URL, sent, got)
	case page:
		got.page(t, got.status)
	}
	return got.status
}

func (g *target) form(t *testing.T, path, body, authorization string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if authorization != "" {
		r.Header["Authorization"] = []string{authorization}
	}
	g.holds(t, r, body)
}

func (g *target) query(t *testing.T, path, query string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.URL.RawQuery = query
	g.holds(t, r, "")
}

func FuzzAuthorizeQuery(f *testing.F) {
	var g target
	for _, row := range badRequests {
		f.Add(changed(request(app{id: "0oa"}), row.changes).Encode())
	}
	for _, uri := range hostile {
		f.Add(form("redirect_uri", uri).Encode())
	}
	f.Fuzz(func(t *testing.T, query string) {
		s := g.begin(t)
		g.query(t, "/authorize", query)
		g.query(t, "/authorize", query+"&client_id="+g.a.id)
		g.query(t, "/authorize", query+"&"+request(g.native).Encode())
		if s.okta.Requests("/oauth2/default/v1/authorize") != 0 {
			t.Error("the broker asks by itself")
		}
	})
}

func FuzzCallbackQuery(f *testing.F) {
	var g target
	for _, query := range []string{"", "state=x&code=y", "state=AQ&error=access_denied", "state=%ff&iss=https://okta.test", "state&state", "code=%00"} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		s := g.begin(t)
		g.query(t, "/callback", query)
		c := s.browser()
		at, err := url.Parse(s.untilCallback(c, request(g.a)))
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodGet, "/callback", nil)
		r.URL.RawQuery = "state=" + at.Query().Get("state") + "&" + query
		for _, cookie := range c.Jar.Cookies(at) {
			r.AddCookie(cookie)
		}
		g.holds(t, r, "")
	})
}

func FuzzTokenForm(f *testing.F) {
	var g target
	for _, body := range []string{
		"", "grant_type=authorization_code&code=x&code_verifier=y", "grant_type=refresh_token&refresh_token=AQAAAAA", "grant_type=client_credentials&scope=%00",
		"token=x&token_type_hint=y", "request=x&decision=allow", "grant_type=password", "a=1;b=2", "%", "client_id=%ff",
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		g.begin(t)
		public := body + "&client_id=" + g.native.id
		basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(g.a.id+":"+url.QueryEscape(g.a.secret)))
		for _, path := range []string{"/token", "/introspect", "/revoke", "/authorize/consent"} {
			g.form(t, path, body, "")
			g.form(t, path, public, "")
			g.form(t, path, body, basic)
		}
	})
}

func FuzzBasicHeader(f *testing.F) {
	var g target
	for _, header := range []string{"Basic", "Basic Og==", "basic  eDp5", "Basic /w==", "Bearer x", "Basic eA==, Basic eA==", "\x00", "Basic JTo6"} {
		f.Add(header, "")
	}
	f.Fuzz(func(t *testing.T, header, text string) {
		g.begin(t)
		for _, path := range []string{"/token", "/introspect", "/revoke"} {
			g.form(t, path, "grant_type=client_credentials&token=x", header)
			g.form(t, path, "grant_type=client_credentials&token=x", "Basic "+base64.StdEncoding.EncodeToString([]byte(text)))
		}
	})
}

// TestNothingThatIsSentBreaksUs sends 10,000 requests that were good ones before
// something was changed in them.
func TestNothingThatIsSentBreaksUs(t *testing.T) {
	t.Parallel()
	var g target
	s := g.begin(t)
	tokens := s.tokens(g.a)
	refresh, access := fmt.Sprint(tokens["refresh_token"]), fmt.Sprint(tokens["access_token"])
	good := []struct {
		path string
		form url.Values
	}{
		{"/authorize", request(g.a)}, {"/authorize", request(g.native)}, {"/callback", form("code", "x", "state", s.code(g.a))},
		{"/authorize/consent", form("request", s.code(g.a), "decision", "allow")}, {"/introspect", form("token", access)}, {"/revoke", form("token", s.code(g.a))},
		{"/token", form("grant_type", oauth.AuthorizationCode, "code", s.code(g.a), "code_verifier", verifier)},
		{"/token", form("grant_type", oauth.RefreshToken, "refresh_token", refresh)}, {"/token", form("grant_type", "client_credentials", "scope", "orders:reed")},
	}
	names := []string{
		"client_id", "client_secret", "redirect_uri", "response_type", "response_mode", "scope", "state", "code_challenge", "code_challenge_method", "resource",
		"grant_type", "code", "code_verifier", "refresh_token", "token", "token_type_hint", "request", "decision", "iss", "error", "client_assertion", "", "\xff", "x",
	}
	values := append([]string{
		"", "code", "S256", verifier, g.a.id, g.a.secret, g.native.id, webApp, native, "https://api.test/orders", "orders:read", strings.Repeat("x", 5000), "\x00", "\xff\xfe",
		"\u202e", "%", "&", "=", access, refresh, s.code(g.a), document, "https://[", "eyJhbGciOiJub25lIn0.e30.", oauth.RefreshToken, oauth.ClientCredentials,
	}, hostile...)
	types := []string{"application/x-www-form-urlencoded; charset=x", "application/json", "multipart/form-data", "", "/", "\xff", ";;;"}
	random := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	one := func(of []string) string { return of[random.IntN(len(of))] }
	s.net.set("client.test", nil)
	answers := map[int]int{}
	for n := range 10_000 {
		if n%100 == 0 {
			s.clock.Advance(5 * time.Minute) // guesses are forgotten
		}
		from := good[random.IntN(len(good))]
		f, method := maps.Clone(from.form), http.MethodPost
		for range random.IntN(4) {
			f[one(names)] = append([]string{one(values)}, make([]string, random.IntN(8)/7)...)
		}
		r := httptest.NewRequest(method, "/", strings.NewReader(f.Encode()))
		if r.URL.Path = from.path; from.path == "/authorize" || from.path == "/callback" {
			r.Method, r.URL.RawQuery = http.MethodGet, f.Encode()
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth(g.a.id, url.QueryEscape(g.a.secret))
		switch random.IntN(12) {
		case 0:
			r.Header["Content-Type"] = []string{one(types)}
		case 1:
			r.Method = one([]string{"GET", "HEAD", "PUT", "OPTIONS", "DELETE", "TRACE", "POST"})
		case 2:
			r.URL.Path += one([]string{"/", "/x", "/../token", "\x00"})
		case 3:
			r.SetBasicAuth(one(values), one(values))
		case 4:
			r.Header["Authorization"] = []string{one([]string{"Basic ", "Bearer ", "DPoP ", ""}) + one(values)}
		case 5:
			r.Header.Del("Authorization")
		}
		r.RemoteAddr = one(values)
		r.Header["Cookie"] = []string{"__Host-gatehouse-state-" + one(values) + "=" + one(values)}
		answers[g.holds(t, r, f.Encode())]++
	}
	for _, status := range []int{200, 303, 400, 401, 404, 405} {
		if answers[status] < 20 {
			t.Errorf("got %v, want some of each: this test does not reach what it tests", answers)
		}
	}
}
