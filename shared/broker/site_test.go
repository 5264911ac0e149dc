package broker_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/shared/broker"
	"gatehouse/shared/clientdoc"
	"gatehouse/shared/config"
	"gatehouse/shared/oauth"
	"gatehouse/shared/provider"
	"gatehouse/shared/registration"
	"gatehouse/shared/registry"
	"gatehouse/shared/secret"
	"gatehouse/shared/standin"
)

const (
	issuer   = "https://gatehouse.test"
	org      = "https://okta.test"
	document = "https://client.test/metadata.json"
	native   = "http://127.0.0.1/cb"
	webApp   = "https://app.test/cb"
	login    = "ada@example.com"
	password = "correct horse"
)

// text is the configuration of a site.
const text = `
publicURL: https://gatehouse.test
providers:
  - name: okta
    type: okta
    issuer: https://okta.test/oauth2/default
    audiences: [api://default]
    adminSecret: file:${DIR}/admin.json
    afterCreate: {assignGroup: Everyone}
    requestTimeout: 2s
  - name: plain
    type: rfc7591
    issuer: https://plain.test
    audiences: [api://default]
    requiredClaims: [jti]
    tokenTypes: ["", at+jwt]
    openRegistration: true
    requestTimeout: 2s
apis:
  - name: orders
    providers: [okta, plain]
    resource: https://api.test/orders
    match: {stageVariable: orders}
    owners: [grace]
    tiers: [{name: trial, autoApprove: true}]
    routes:
      - {route: GET /orders, scopes: [orders:read]}
      - {route: POST /orders, scopes: [orders:write]}
  - name: stock
    providers: [okta]
    resource: https://api.test/stock
    match: {stageVariable: stock}
    owners: [grace]
    introspectedBy: ["${BACKEND}"]
    routes:
      - {route: GET /stock, scopes: [orders:admin]}
registration:
  keys: file:${DIR}/registration.json
  signIn: okta
  dynamic: {provider: okta, open: true}
broker:
  keys: file:${DIR}/broker.json
  clientMetadata: true
`

// clock stands still until it is advanced.
type clock struct {
	mu sync.Mutex // guards at
	at time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// hosts brings requests to handlers by host, without a network, and remembers
// them.
type hosts struct {
	mu       sync.Mutex // guards what follows
	handlers map[string]http.Handler
	all      []exchange
	from     string // the address that requests come from

	// lose says whether the answer of a served request is lost; nil: none is.
	lose func(*http.Request) bool
}

// exchange is a request and its answer.
type exchange struct {
	*http.Request

	body   string
	form   url.Values // that it is
	answer answer
}

func (h *hosts) set(host string, handler http.Handler) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.handlers[host] = handler
}

// losing has answers lost: those of one path, so many times.
func (h *hosts) losing(path string, times int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lose = func(r *http.Request) bool {
		times--
		return r.URL.Path == path && times >= 0
	}
}

// exchanges returns those with a host and a path, in their order; "": any.
func (h *hosts) exchanges(host, path string) []exchange {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(h.all), func(e exchange) bool {
		return host != "" && e.URL.Host != host || path != "" && e.URL.Path != path
	})
}

// RoundTrip implements [http.RoundTripper].
func (h *hosts) RoundTrip(r *http.Request) (*http.Response, error) {
	h.mu.Lock()
	handler, from := h.handlers[r.URL.Host], h.from
	h.mu.Unlock()
	if handler == nil {
		return nil, fmt.Errorf("no such host: %s", r.URL.Host)
	}
	if trace := httptrace.ContextClientTrace(r.Context()); trace != nil && trace.WroteHeaders != nil {
		trace.WroteHeaders()
	}
	e := exchange{Request: r}
	if r.Body != nil {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		e.body = string(text)
		e.form, _ = url.ParseQuery(e.body)
	}
	in := r.Clone(r.Context())
	in.Body = io.NopCloser(strings.NewReader(e.body))
	in.RemoteAddr, in.RequestURI = from, r.URL.RequestURI()
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, in)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	e.answer = newAnswer(w.Code, w.Result().Header, w.Body.String())
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, e)
	if h.lose != nil && h.lose(r) {
		return nil, errors.New("connection reset")
	}
	return w.Result(), nil
}

// site is the broker and the registration in front of two providers.
type site struct {
	*broker.Server

	t     *testing.T
	reg   *registration.Service
	okta  *standin.Server
	plain *standin.Server
	clock *clock
	net   *hosts
	dir   string // where the secrets are
}

// setup is what makes a site unlike others.
type setup struct {
	variables []string // of its configuration: name, value, …
	replace   []string // in its configuration: old, new, …
	opaque    bool     // Okta's access tokens are, and it can be asked about them
	strangers *http.Client

	store func(now func() time.Time) (*registry.Store, error) // nil: one in memory
}

// newSite returns a site whose store is in memory.
func newSite(t *testing.T, variables ...string) *site {
	t.Helper()
	return setup{variables: variables}.site(t)
}

// signingKey is the one of all providers, because making one takes a while.
var signingKey = sync.OnceValues(func() (standin.Key, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	return standin.Key{ID: "one", Private: private}, err
})

// introspector is a client of Okta's that may ask about tokens.
var introspector = standin.Client{ID: "introspector", Secret: "of the introspector", AuthMethod: standin.Basic, GrantTypes: []string{oauth.ClientCredentials}}

func (u setup) site(t *testing.T) *site {
	t.Helper()
	s := &site{
		t: t, clock: &clock{at: time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)}, net: &hosts{handlers: map[string]http.Handler{}, from: "192.0.2.7"},
		dir: t.TempDir(),
	}
	for name, content := range map[string]string{
		"admin.json":        `{"authorization":"SSWS 00token"}`,
		"introspector.json": `{"client_id":"` + introspector.ID + `","client_secret":"` + introspector.Secret + `"}`,
		"registration.json": `{"current":"` + rand.Text() + rand.Text() + `"}`,
		"broker.json":       `{"current":"` + rand.Text() + rand.Text() + `"}`,
	} {
		s.write(name, content)
	}
	u.providers(s)
	if u.opaque {
		u.replace = append(u.replace, "adminSecret: file:${DIR}/admin.json", "adminSecret: file:${DIR}/admin.json\n    secret: file:${DIR}/introspector.json")
	}
	known := map[string]string{"DIR": s.dir, "BACKEND": "nobody"}
	for n := 0; n+1 < len(u.variables); n += 2 {
		known[u.variables[n]] = u.variables[n+1]
	}
	cfg, err := config.Parse([]byte(strings.NewReplacer(u.replace...).Replace(text)), func(name string) (string, bool) { v, ok := known[name]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	if u.store == nil {
		u.store = func(now func() time.Time) (*registry.Store, error) { return registry.Embedded{Now: now}.Open() }
	}
	store, err := u.store(s.clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	if u.strangers == nil {
		u.strangers = s.client(nil)
	}
	env := provider.Environment{HTTP: s.client(nil), Secrets: &secret.Manager{}, Now: s.clock.Now}
	if s.reg, err = registration.New(cfg, env, store); err != nil {
		t.Fatal(err)
	}
	if s.Server, err = broker.New(cfg, env, store, u.strangers); err != nil {
		t.Fatal(err)
	}
	s.net.set("gatehouse.test", s.own())
	return s
}

// providers puts both providers in place.
func (u setup) providers(s *site) {
	s.t.Helper()
	key, err := signingKey()
	if err != nil {
		s.t.Fatal(err)
	}
	users := []standin.User{{Login: login, Password: password, Groups: []string{"Everyone"}}}
	s.okta, err = standin.New(standin.Okta{
		Org: org, APIToken: "00token", Users: users, Now: s.clock.Now, Keys: []standin.Key{key}, Clients: []standin.Client{introspector},
		AuthorizationServers: []standin.AuthorizationServer{{ID: "default", Opaque: u.opaque}},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.plain, err = standin.NewRFC7591(standin.RFC7591{URL: "https://plain.test", Users: users, Now: s.clock.Now, Keys: []standin.Key{key}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.net.set("okta.test", s.okta)
	s.net.set("plain.test", s.plain)
}

// in returns the site for a part of its test.
func (s *site) in(t *testing.T) *site {
	t.Helper()
	part := *s
	part.t = t
	return &part
}

// write makes a file of a secret.
func (s *site) write(name, content string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// own serves what Gatehouse's own API does.
func (s *site) own() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/register", s.reg.Handler())
	mux.Handle("/", described(s.t, s.Handler()))
	return mux
}

// client returns a client that follows no redirects.
func (s *site) client(jar http.CookieJar) *http.Client {
	return &http.Client{Transport: s.net, Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// app is a registered application and what it knows.
type app struct {
	registry.Application

	id     string // what it calls itself
	secret string
}

var ada = registration.Caller{Subject: "ada", Applications: true}

// register registers an application that has a contract with orders.
func (s *site) register(m registration.Metadata) app {
	s.t.Helper()
	return s.registerAt("okta", m, "orders")
}

func (s *site) registerAt(name string, m registration.Metadata, apis ...string) app {
	s.t.Helper()
	m.Name = "app " + rand.Text()[:6]
	r := registration.Request{Provider: name, Metadata: m}
	for _, api := range apis {
		r.Access = append(r.Access, registration.Access{API: api})
	}
	done, err := s.reg.Register(s.t.Context(), ada, r)
	if err != nil {
		s.t.Fatal(err)
	}
	return app{done.Application, done.Application.ClientID, done.Secret.Reveal()}
}

var (
	everyGrant = []string{oauth.AuthorizationCode, oauth.RefreshToken, oauth.ClientCredentials}

	all          = registration.Metadata{RedirectURIs: []string{webApp}, GrantTypes: everyGrant} // of every scope
	confidential = registration.Metadata{RedirectURIs: []string{webApp}, GrantTypes: everyGrant, Scope: "orders:read orders:write"}
	public       = registration.Metadata{RedirectURIs: []string{native}, GrantTypes: everyGrant[:2], AuthMethod: oauth.PublicClient}
)

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
	json   map[string]any
}

func newAnswer(status int, header http.Header, body string) answer {
	a := answer{status: status, header: header, body: body}
	_ = json.Unmarshal([]byte(body), &a.json)
	return a
}

var styleElement = regexp.MustCompile(`(?s)<style>.*</style>`)

// String is what a person looking for a fault wants to see.
func (a answer) String() string {
	return fmt.Sprintf("%d %s %v", a.status, styleElement.ReplaceAllString(a.body, ""), a.header)
}

func (s *site) do(c *http.Client, r *http.Request) answer {
	s.t.Helper()
	resp, err := c.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return newAnswer(resp.StatusCode, resp.Header, string(body))
}

func (s *site) get(c *http.Client, at string) answer {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, at, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.do(c, r)
}

// form is a form, whose pairs come as name, value, name, value.
func form(pairs ...string) url.Values {
	f := url.Values{}
	for n := 0; n+1 < len(pairs); n += 2 {
		f.Add(pairs[n], pairs[n+1])
	}
	return f
}

// post sends a form of an application, authenticated as it is registered.
func (s *site) post(path string, a app, f url.Values) answer {
	s.t.Helper()
	return s.postBy(a.AuthMethod, path, a, f)
}

// postBy sends a form of an application, authenticated in one way.
func (s *site) postBy(method, path string, a app, f url.Values) answer {
	s.t.Helper()
	f = maps.Clone(f)
	if method != oauth.SecretBasic {
		f.Set("client_id", a.id)
	}
	if method == oauth.SecretPost {
		f.Set("client_secret", a.secret)
	}
	r := s.formRequest(path, f)
	if method == oauth.SecretBasic {
		r.SetBasicAuth(url.QueryEscape(a.id), url.QueryEscape(a.secret))
	}
	return s.do(s.client(nil), r)
}

func (s *site) formRequest(path string, f url.Values) *http.Request {
	s.t.Helper()
	return s.typed(path, "application/x-www-form-urlencoded", f.Encode())
}

// typed returns a request with a body of a media type.
func (s *site) typed(path, media, body string) *http.Request {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, issuer+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", media)
	return r
}

// refused fails unless the answer is this refusal, as RFC 6749 §5.2 has it.
func (a answer) refused(t *testing.T, status int, code string) {
	t.Helper()
	description, _ := a.json["error_description"].(string)
	if a.status != status || a.json["error"] != code || !plainText(description) || a.header.Get("Cache-Control") != "no-store" ||
		a.header.Get("Content-Type") != "application/json" {
		t.Errorf("got %v, want %d %s that no cache keeps", a, status, code)
	}
}

// plainText reports whether s can be an error_description (RFC 6749 §5.2).
func plainText(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' })
}

// ok fails unless the answer is a success.
func (a answer) ok(t *testing.T) answer {
	t.Helper()
	if a.status != http.StatusOK {
		t.Fatalf("got %v, want 200", a)
	}
	return a
}

// page fails unless the answer is a page of the broker's that can do no harm,
// and that leads nowhere by itself.
func (a answer) page(t *testing.T, status int, texts ...string) {
	t.Helper()
	for name, want := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
		"X-Content-Type-Options": "nosniff", "Location": "", "Refresh": "", "Access-Control-Allow-Origin": "",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("got %v, want %s: %q", a, name, want)
		}
	}
	policy := a.header.Get("Content-Security-Policy")
	for _, directive := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(policy, directive) {
			t.Errorf("got the policy %q, want %s in it", policy, directive)
		}
	}
	if a.status != status || strings.Contains(strings.ToLower(a.body), "<script") {
		t.Errorf("got %v, want %d", a, status)
	}
	for _, text := range texts {
		if !strings.Contains(a.body, text) {
			t.Errorf("got %v, want %q in it", a, text)
		}
	}
}

// tells returns what the answer has a browser tell the client at a redirect URI
// (RFC 6749 §4.1.2), which must be without a trace and say who tells it (RFC 9207).
func (a answer) tells(t *testing.T, at string) url.Values {
	t.Helper()
	to := a.header.Get("Location")
	if a.status != http.StatusSeeOther || !strings.HasPrefix(to, at+"?") || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Referrer-Policy") != "no-referrer" {
		t.Fatalf("got %v, want 303 to %s", a, at)
	}
	values, err := url.ParseQuery(to[len(at)+1:])
	if err != nil || len(values["iss"]) != 1 || values.Get("iss") != issuer {
		t.Errorf("the client is told %v, want iss once and ours", values)
	}
	return values
}

// tellsError fails unless the client is told of this error, with its state.
func (a answer) tellsError(t *testing.T, at, code string) {
	t.Helper()
	told := a.tells(t, at)
	if told.Get("error") != code || !plainText(told.Get("error_description")) || told.Has("code") || told.Get("state") != "xyz" {
		t.Errorf("the client is told %v, want %s", told, code)
	}
}

// verifier is the code verifier of all tests; others are wrong.
const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

// request is an authorization request as a good client sends it, with changes.
func request(a app, changes ...string) url.Values {
	q := url.Values{
		"response_type": {"code"}, "client_id": {a.id}, "state": {"xyz"}, "code_challenge": {oauth.Challenge(verifier)}, "code_challenge_method": {"S256"},
	}
	if len(a.RedirectURIs) > 0 {
		q.Set("redirect_uri", a.RedirectURIs[0])
	}
	return changed(q, changes)
}

// changed returns a form with changes: a name and a value, "" to leave it out.
func changed(f url.Values, changes []string) url.Values {
	for n := 0; n+1 < len(changes); n += 2 {
		if f.Del(changes[n]); changes[n+1] != "" {
			f.Set(changes[n], changes[n+1])
		}
	}
	return f
}

// browser is a person's, with cookies.
func (s *site) browser() *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.client(jar)
}

var hiddenField = regexp.MustCompile(`name="request" value="([^"]*)"`)

// follow lets a person follow redirects, sign in and agree, until it ends: at a
// page of the broker's, or with what a client is told.
func (s *site) follow(c *http.Client, a answer) (end answer, told *url.URL) {
	s.t.Helper()
	for range 10 {
		to, err := url.Parse(a.header.Get("Location"))
		switch {
		case err != nil:
			s.t.Fatal(err)
		case a.status == http.StatusOK && hiddenField.MatchString(a.body):
			a = s.decide(c, a, "allow")
			continue
		case to.String() == "":
			return a, nil
		case to.Host != "gatehouse.test" && to.Host != "okta.test" && to.Host != "plain.test":
			return a, to
		}
		if a = s.get(c, to.String()); to.Host != "gatehouse.test" && a.status == http.StatusOK {
			a = s.signIn(c, to)
		}
	}
	s.t.Fatal("the browser goes in circles")
	return a, nil
}

// decide sends the consent page back.
func (s *site) decide(c *http.Client, page answer, decision string) answer {
	s.t.Helper()
	field := hiddenField.FindStringSubmatch(page.body)
	if field == nil {
		s.t.Fatalf("got %v, want a page to agree on", page)
	}
	return s.do(c, s.formRequest("/authorize/consent", form("request", html.UnescapeString(field[1]), "decision", decision)))
}

func (s *site) signIn(c *http.Client, at *url.URL) answer {
	s.t.Helper()
	f := form("username", login, "password", password, "action", "login")
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, at.String(), strings.NewReader(f.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return s.do(c, r)
}

// ask sends a person without cookies to the authorization endpoint.
func (s *site) ask(q url.Values) answer {
	s.t.Helper()
	return s.get(s.client(nil), issuer+"/authorize?"+q.Encode())
}

// authorize does a whole sign-in and returns what the client is told.
func (s *site) authorize(q url.Values) url.Values {
	s.t.Helper()
	c := s.browser()
	end, told := s.follow(c, s.get(c, issuer+"/authorize?"+q.Encode()))
	if told == nil {
		s.t.Fatalf("the client is told nothing: %v", end)
	}
	return told.Query()
}

// code returns an authorization code.
func (s *site) code(a app, changes ...string) string {
	s.t.Helper()
	told := s.authorize(request(a, changes...))
	if told.Get("code") == "" {
		s.t.Fatalf("the client is told %v, want a code", told)
	}
	return told.Get("code")
}

// redeem exchanges a code as a good client does.
func (s *site) redeem(a app, code string, changes ...string) answer {
	s.t.Helper()
	return s.post("/token", a, changed(form("grant_type", oauth.AuthorizationCode, "code", code, "code_verifier", verifier), changes))
}

// tokens signs in and returns the tokens.
func (s *site) tokens(a app, changes ...string) map[string]any {
	s.t.Helper()
	got := s.redeem(a, s.code(a, changes...))
	if got.status != http.StatusOK {
		s.t.Fatalf("got %v", got)
	}
	return got.json
}

// refresh exchanges a refresh token.
func (s *site) refresh(a app, token any, changes ...string) answer {
	s.t.Helper()
	return s.post("/token", a, changed(form("grant_type", oauth.RefreshToken, "refresh_token", fmt.Sprint(token)), changes))
}

// record puts an application into the registry as it is given.
func (s *site) record(operation registry.Operation, a registry.Application) {
	s.t.Helper()
	i, err := s.Store.Begin(s.t.Context(), registry.Intent{
		Marker: registry.NewID(), Operation: operation, Application: a, Attempt: registry.NewID(), Lease: s.clock.Now().Add(time.Minute),
	})
	if err == nil {
		err = s.Store.Complete(s.t.Context(), registry.Completion{Intent: i, Outcome: registry.Done})
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// itself asks for a token for the application itself.
func (s *site) itself(a app, changes ...string) answer {
	s.t.Helper()
	return s.post("/token", a, changed(form("grant_type", oauth.ClientCredentials), changes))
}

// revoke revokes a token, and introspect asks about one.
func (s *site) revoke(a app, token any, changes ...string) answer {
	s.t.Helper()
	return s.post("/revoke", a, changed(form("token", fmt.Sprint(token)), changes))
}

func (s *site) introspect(a app, token any) answer {
	s.t.Helper()
	return s.post("/introspect", a, form("token", fmt.Sprint(token)))
}

// alive reports whether Okta takes a token for a good one.
func (s *site) alive(token any) bool {
	s.t.Helper()
	r := s.formRequest("", form("token", fmt.Sprint(token)))
	r.URL, r.Host = &url.URL{Scheme: "https", Host: "okta.test", Path: "/oauth2/default/v1/introspect"}, "okta.test"
	r.SetBasicAuth(introspector.ID, url.QueryEscape(introspector.Secret))
	return s.do(s.client(nil), r).json["active"] == true
}

// works fails unless a refresh token can be exchanged, and returns what for.
func (s *site) works(a app, token any) map[string]any {
	s.t.Helper()
	return s.refresh(a, token).ok(s.t).json
}

// selfRegister registers a client that nobody vouches for (RFC 7591).
func (s *site) selfRegister(members map[string]any) app {
	s.t.Helper()
	return s.selfRegisterAt("okta", members)
}

func (s *site) selfRegisterAt(name string, members map[string]any) app {
	s.t.Helper()
	body, err := json.Marshal(members)
	if err != nil {
		s.t.Fatal(err)
	}
	got := s.do(s.client(nil), s.typed("/register", "application/json", string(body)))
	if got.status != http.StatusCreated {
		s.t.Fatalf("got %v", got)
	}
	a := app{id: fmt.Sprint(got.json["client_id"])}
	a.secret, _ = got.json["client_secret"].(string)
	a.Application, err = s.Store.ApplicationByClient(s.t.Context(), registry.Client{Provider: name, ClientID: a.id})
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// stranger is what a client says of itself that nobody vouches for.
func stranger(changes ...any) map[string]any {
	m := map[string]any{
		"client_name": "Stranger", "redirect_uris": []string{webApp}, "grant_types": everyGrant[:2], "token_endpoint_auth_method": oauth.PublicClient,
	}
	for n := 0; n+1 < len(changes); n += 2 {
		m[fmt.Sprint(changes[n])] = changes[n+1]
	}
	return m
}

// contract changes the status of an application's contract.
func (s *site) contract(a app, api string, status registry.Status) {
	s.t.Helper()
	_, err := s.reg.Decide(s.t.Context(), registration.Caller{Subject: "grace", Contracts: true}, registration.Decision{API: api, ClientID: a.ClientID, Status: status})
	if err != nil {
		s.t.Fatal(err)
	}
}

// publish makes a client metadata document. Its "client_id" is added.
func (s *site) publish(members map[string]any) {
	members["client_id"] = document
	s.net.set("client.test", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(members)
	}))
	s.Documents = &clientdoc.Fetcher{HTTP: s.client(nil), Now: s.clock.Now}
}
