package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/shared/config"
	"gatehouse/shared/standin"
)

// repositoryFiles are those of this repository.
func repositoryFiles() files {
	return files{Template: "../../template.yaml", Config: "../gatehouse.yaml"}
}

// running is a system that answers on ports of this machine.
type running struct {
	*system
	app application // with access to the orders
	log journal
}

// journal is what functions log.
type journal struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

// Write takes a line.
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

// String returns all lines.
func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// authorizations is how often the authorizer was asked about the orders.
func (j *journal) authorizations() int {
	n := 0
	for line := range strings.Lines(j.String()) {
		if strings.Contains(line, `"msg":"authorizer"`) && strings.Contains(line, `"api":"orders"`) {
			n++
		}
	}
	return n
}

// start serves the system until the test ends. Whatever a test does, no token
// gets into the log.
func start(t *testing.T, f files) *running {
	t.Helper()
	r := &running{}
	t.Cleanup(func() {
		if text := r.log.String(); strings.Contains(text, "eyJ") || strings.Contains(text, r.app.Secret) {
			t.Errorf("a token or a secret is in the log:\n%s", text)
		}
	})
	r.system = serving(t, options{files: f, log: slog.New(slog.NewJSONHandler(&r.log, nil))})
	r.app = r.registered(t)
	return r
}

// serving is a system that answers on ports of this machine until the test ends.
func serving(t *testing.T, o options) *system {
	t.Helper()
	if o.listeners == nil {
		o.listeners = listeners(t)
	}
	s, err := newSystem(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	go func() { served <- s.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Errorf("stopping: %v", err)
		}
	})
	return s
}

// listeners are those of a system.
func listeners(t *testing.T) []net.Listener {
	t.Helper()
	all, err := listen(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// registered is a new application with access to the orders.
func (r *running) registered(t *testing.T) application {
	t.Helper()
	s := &story{system: r.system, out: io.Discard, client: http.DefaultClient}
	app := s.request(t.Context(), s.token(t.Context(), grant{id: developerID, secret: developerSecret, scope: config.ScopeApplications}))
	if s.err != nil || app.Secret == "" {
		t.Fatalf("no application: %v", s.err)
	}
	return app
}

// response is an HTTP response that was read to its end.
type response struct {
	status int
	header http.Header
	body   string
}

// send sends a request with headers given as name, value, name, value. A name
// that is given twice is sent twice.
func send(t *testing.T, method, address string, header ...string) response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Body = io.NopCloser(strings.NewReader(`{"item":"lamp","quantity":1}`))
		req.Header.Set("Content-Type", "application/json")
	}
	for n := 0; n+1 < len(header); n += 2 {
		req.Header[header[n]] = append(req.Header[header[n]], header[n+1])
	}
	return received(t, req)
}

// received is the response to a request.
func received(t *testing.T, req *http.Request) response {
	t.Helper()
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       30 * time.Second,
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response{resp.StatusCode, resp.Header, string(body)}
}

// token is what the identity provider issues for scopes, separated by spaces.
func (r *running) token(t *testing.T, scopes string) string {
	t.Helper()
	s := &story{system: r.system, out: io.Discard, client: http.DefaultClient}
	raw := s.token(t.Context(), grant{id: r.app.ClientID, secret: r.app.Secret, scope: scopes})
	if s.err != nil {
		t.Fatal(s.err)
	}
	return raw
}

// minted is a token with orders:read and one claim changed.
func (r *running) minted(t *testing.T, name string, value any) string {
	t.Helper()
	claims := r.standin.Claims(r.app.ClientID, "orders:read")
	claims[name] = value
	raw, err := r.standin.Mint(claims, nil)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestHowATokenIsReceived(t *testing.T) {
	t.Parallel()
	r := start(t, repositoryFiles())
	good := r.token(t, "orders:read")
	unused := r.token(t, "orders:read") // for which no answer is cached
	now := time.Now().Unix()
	for _, row := range []struct {
		name      string
		header    []string
		query     string
		rest, web int // statuses of the REST API and of the HTTP API
	}{
		{"a token", []string{"Authorization", "Bearer " + good}, "", 200, 200},
		{"the scheme in lower case", []string{"Authorization", "bearer " + good}, "", 200, 200},
		{"the header's name in lower case", []string{"authorization", "Bearer " + good}, "", 200, 200},
		{"no token", nil, "", 401, 401},
		{"an empty header", []string{"Authorization", ""}, "", 401, 401},
		{"no scheme", []string{"Authorization", good}, "", 401, 403},
		{"another scheme", []string{"Authorization", "Basic YTpi"}, "", 401, 403},
		{"a scheme without a token", []string{"Authorization", "Bearer"}, "", 401, 403},
		{"two headers", []string{"Authorization", "Bearer " + unused, "Authorization", "Bearer " + unused}, "", 401, 403},
		{"two spellings of the header", []string{"Authorization", "Bearer " + unused, "AUTHORIZATION", "Bearer " + unused}, "", 401, 403},
		{"two tokens in one header", []string{"Authorization", "Bearer " + unused + ", Bearer " + unused}, "", 401, 403},
		{"a token in the query alone", nil, "?access_token=" + good, 401, 401},
		{"a token in the header and in the query", []string{"Authorization", "Bearer " + unused}, "?access_token=" + unused, 401, 403},
		{"a token of another issuer", []string{"Authorization", "Bearer " + r.minted(t, "iss", "https://elsewhere.example.com")}, "", 401, 403},
		{"a token for another audience", []string{"Authorization", "Bearer " + r.minted(t, "aud", "api://elsewhere")}, "", 401, 403},
		{"an expired token", []string{"Authorization", "Bearer " + r.minted(t, "exp", now-61)}, "", 401, 403},
		{"an ID token", []string{"Authorization", "Bearer " + r.minted(t, "at_hash", "x")}, "", 401, 403},
		{"a signature of nothing", []string{"Authorization", "Bearer " + good[:strings.LastIndexByte(good, '.')+1]}, "", 401, 403},
		{"opaque garbage", []string{"Authorization", "Bearer 2YotnFZFEjr1zCsicMWpAA"}, "", 401, 403},
		{"a header of 20 KB", []string{"Authorization", "Bearer " + strings.Repeat("a", 20<<10)}, "", 431, 431},
		{"a header of 1 MB", []string{"Authorization", "Bearer " + strings.Repeat("a", 1<<20)}, "", 431, 431},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			rest := send(t, http.MethodGet, r.REST+"/orders"+row.query, row.header...)
			web := send(t, http.MethodGet, r.HTTP+"/orders"+row.query, row.header...)
			if rest.status != row.rest || web.status != row.web {
				t.Errorf("got %d and %d, want %d and %d", rest.status, web.status, row.rest, row.web)
			}
			for _, answer := range []response{rest, web} {
				if answer.status != http.StatusOK && (strings.Contains(answer.body, "gate latch") || strings.Contains(answer.body, good)) {
					t.Errorf("a refusal says %s", answer.body)
				}
			}
		})
	}
}

// While an answer for a token is cached, the authorizer does not see what else
// comes with that token: API Gateway goes by the identity source, here the last
// header of a REST API.
func TestACachedAnswerHidesASecondToken(t *testing.T) {
	t.Parallel()
	r := start(t, repositoryFiles())
	good := r.token(t, "orders:read")
	for _, row := range []struct {
		name   string
		base   string
		query  string
		header []string
		status int
	}{
		{"REST, another in the query", r.REST, "?access_token=x", []string{"Authorization", "Bearer " + good}, 200},
		{"HTTP, another in the query", r.HTTP, "?access_token=x", []string{"Authorization", "Bearer " + good}, 200},
		{"REST, a header before it", r.REST, "", []string{"Authorization", "Bearer x", "Authorization", "Bearer " + good}, 200},
		{"REST, a header behind it", r.REST, "", []string{"Authorization", "Bearer " + good, "Authorization", "Bearer x"}, 401},
		{"HTTP, a header before it", r.HTTP, "", []string{"Authorization", "Bearer x", "Authorization", "Bearer " + good}, 403},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got := send(t, "GET", row.base+"/orders", "Authorization", "Bearer "+good); got.status != http.StatusOK {
				t.Fatalf("got %d", got.status)
			}
			if got := send(t, "GET", row.base+"/orders"+row.query, row.header...); got.status != row.status {
				t.Errorf("got %d, want %d", got.status, row.status)
			}
		})
	}
}

func TestRefusalsOfTheRESTAPI(t *testing.T) {
	t.Parallel()
	r := start(t, repositoryFiles())
	read := "Bearer " + r.token(t, "orders:read")
	metadata := `, resource_metadata="` + r.Own + `/.well-known/oauth-protected-resource/orders"`
	for _, row := range []struct {
		name      string
		method    string
		header    []string
		status    int
		challenge string
	}{
		{"B6 P2 no token: a challenge without an error", http.MethodGet, nil, 401, `Bearer realm="orders"` + metadata},
		{"B5 P2 a token that cannot be used: a challenge", http.MethodGet, []string{"Authorization", "Bearer x"}, 401, `Bearer realm="orders"` + metadata},
		{"B7 P2 a missing scope: insufficient_scope", http.MethodPost, []string{"Authorization", read}, 403, `Bearer realm="orders", error="insufficient_scope"` + metadata},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got := send(t, row.method, r.REST+"/orders", row.header...)
			if got.status != row.status || got.header.Get("WWW-Authenticate") != row.challenge {
				t.Errorf("got %d, %q; want %d, %q", got.status, got.header.Get("WWW-Authenticate"), row.status, row.challenge)
			}
			if got.header.Get("Cache-Control") != "no-store" || got.header.Get("Access-Control-Allow-Origin") != "*" ||
				got.header.Get("Access-Control-Expose-Headers") != "WWW-Authenticate" {
				t.Errorf("headers: got %v", got.header)
			}
		})
	}
}

func TestPreflightsNeedNoToken(t *testing.T) {
	t.Parallel()
	r := start(t, repositoryFiles())
	for _, row := range []struct {
		name, address string
		status        int
	}{
		{"REST API", r.REST + "/orders", http.StatusOK},
		{"REST API, a path with a parameter", r.REST + "/orders/1001", http.StatusOK},
		{"HTTP API", r.HTTP + "/orders", http.StatusNoContent},
		{"HTTP API, a route for any method", r.HTTP + "/admin/report", http.StatusNoContent},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got := send(t, http.MethodOptions, row.address, "Origin", "https://app.example.com",
				"Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "authorization")
			if got.status != row.status || got.header.Get("Access-Control-Allow-Origin") != "*" ||
				!strings.Contains(strings.ToLower(got.header.Get("Access-Control-Allow-Headers")), "authorization") ||
				!strings.Contains(got.header.Get("Access-Control-Allow-Methods"), "GET") {
				t.Errorf("got %d %v", got.status, got.header)
			}
		})
	}
	if n := r.log.authorizations(); n != 0 {
		t.Errorf("the authorizer was asked %d times", n)
	}
}

// One answer serves every route, with the result each would have got.
func TestOneAnswerServesEveryRoute(t *testing.T) {
	t.Parallel()
	for _, web := range []bool{false, true} {
		r := start(t, repositoryFiles())
		base := r.REST
		if web {
			base = r.HTTP
		}
		read := []string{"Authorization", "Bearer " + r.token(t, "orders:read")}
		for _, row := range []struct {
			method, path string
			status       int
		}{
			{"GET", "/orders/1002", 200}, {"GET", "/orders", 200}, {"POST", "/orders", 403}, {"GET", "/admin/report", 403},
			{"DELETE", "/admin/a/b", 403}, {"HEAD", "/admin/report", 403}, {"GET", "/orders", 200}, {"GET", "/health", 200},
		} {
			if got := send(t, row.method, base+row.path, read...); got.status != row.status {
				t.Errorf("%s %s: got %d, want %d", row.method, base+row.path, got.status, row.status)
			}
		}
		if n := r.log.authorizations(); n != 1 {
			t.Errorf("%s: the authorizer was asked %d times, want once", base, n)
		}
		// Another token is another answer, and a refused token is none.
		for range 2 {
			send(t, "GET", base+"/orders", "Authorization", "Bearer "+r.token(t, "orders:admin"))
		}
		if n := r.log.authorizations(); n != 3 {
			t.Errorf("%s: the authorizer was asked %d times, want 3", base, n)
		}
	}
}

// A provider that cannot be reached is no reason to send anybody to get a new
// token.
func TestAProviderThatIsDown(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret.json")
	if err := os.WriteFile(secret, []byte(`{"client_id":"`+developerID+`","client_secret":"`+developerSecret+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../gatehouse.yaml")
	if err != nil {
		t.Fatal(err)
	}
	asking := filepath.Join(dir, "gatehouse.yaml")
	changed := strings.Replace(string(text), "secret: ${PROVIDER_SECRET}", "secret: file:"+secret+"\n    tokens: introspect", 1)
	if err := os.WriteFile(asking, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, files{Template: "../../template.yaml", Config: asking})
	header := []string{"Authorization", "Bearer " + r.token(t, "orders:read")}
	r.standin.Break(standin.Introspect, standin.Fault{Status: http.StatusServiceUnavailable})
	rest := send(t, "GET", r.REST+"/orders", header...)
	if rest.status != http.StatusServiceUnavailable || rest.header.Get("Retry-After") != "5" || rest.header.Get("WWW-Authenticate") != "" ||
		rest.body != `{"message":"Service Unavailable"}` {
		t.Errorf("REST: got %+v", rest)
	}
	web := send(t, "GET", r.HTTP+"/orders", header...)
	if web.status != http.StatusInternalServerError || web.body != `{"message":"Internal Server Error"}` {
		t.Errorf("HTTP: got %+v", web)
	}
	r.standin.Mend()
	for _, base := range []string{r.REST, r.HTTP} {
		if got := send(t, "GET", base+"/orders", header...); got.status != http.StatusOK {
			t.Errorf("%s: mended: got %d", base, got.status)
		}
	}
}

// What the caller says of itself reaches the backend as headers at most, never
// as the authorizer's context.
func TestCallersCannotNameThemselves(t *testing.T) {
	t.Parallel()
	r := start(t, repositoryFiles())
	header := []string{
		"Authorization", "Bearer " + r.token(t, "orders:read"), "client_id", "root", "X-Amzn-Client_id", "root",
		"X-Amzn-Request-Context", `{"authorizer":{"client_id":"root"}}`, "X-Amzn-Lambda-Context", `{"client_id":"root"}`,
	}
	query := "?" + url.Values{"client_id": {"root"}, "authorizer": {"root"}}.Encode()
	for _, base := range []string{r.REST, r.HTTP} {
		got := send(t, "GET", base+"/orders"+query, header...)
		if got.status != http.StatusOK || !strings.Contains(got.body, `"client_id":"`+r.app.ClientID+`"`) || strings.Contains(got.body, "root") {
			t.Errorf("%s: got %d %s", base, got.status, got.body)
		}
	}
}
