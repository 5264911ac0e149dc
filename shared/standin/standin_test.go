package standin_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/shared/standin"
)

const (
	verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636 appendix B
	callback = "http://127.0.0.1:9/callback?tenant=1"
	apiToken = "00api-token"
)

// keys are made once: RSA is slow under the race detector.
var keys = sync.OnceValue(func() []standin.Key {
	var made []standin.Key
	for _, id := range []string{"first", "second", "third"} {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return nil
		}
		made = append(made, standin.Key{ID: id, Private: k})
	}
	return made
})

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex // guards now
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// org is a running organisation with clients and users of all kinds.
type org struct {
	*standin.Server

	url   string // of the organisation
	clock *clock
}

func start(tb testing.TB) org {
	tb.Helper()
	hs := httptest.NewUnstartedServer(nil)
	o := org{url: "http://" + hs.Listener.Addr().String(), clock: &clock{now: time.Unix(1795457332, 0)}}
	userGrants := []string{standin.AuthorizationCode, standin.RefreshToken}
	srv, err := standin.New(standin.Okta{
		Org: o.url,
		AuthorizationServers: []standin.AuthorizationServer{
			{ID: "default"},
			{ID: "opaque", Opaque: true},
			{ID: "closed", Clients: []string{"nobody"}},
		},
		Clients: []standin.Client{
			{ID: "svc", Secret: "svc secret+/&", GrantTypes: []string{standin.ClientCredentials}},
			{ID: "poster", Secret: "poster-secret", AuthMethod: standin.Post, GrantTypes: []string{standin.ClientCredentials}},
			{ID: "reader", Secret: "reader-secret", GrantTypes: []string{standin.ClientCredentials}, Scopes: []string{"orders:read"}},
			{ID: "web", Secret: "web-secret", GrantTypes: userGrants, RedirectURIs: []string{callback, "http://127.0.0.1:9/other"}},
			{ID: "spa", AuthMethod: standin.Public, GrantTypes: userGrants, RedirectURIs: []string{callback}, RefreshLeeway: -1},
			{ID: "staff", Secret: "staff-secret", RedirectURIs: []string{callback}, Groups: []string{"staff"}},
		},
		Users: []standin.User{
			{ID: "00uada", Login: "ada@example.com", Password: "pa&ss", Groups: []string{"platform"}, Claims: map[string]any{"email": "ada@example.com", "iss": "evil", "cid": "evil"}},
		},
		APIToken: apiToken,
		Keys:     keys()[:1],
		Now:      o.clock.Now,
		Control:  true,
	})
	if err != nil {
		tb.Fatal(err)
	}
	o.Server = srv
	hs.Config.Handler = srv
	hs.Start()
	tb.Cleanup(hs.Close)
	return o
}

// reply is an answer as a client sees it.
type reply struct {
	status int
	header http.Header
	body   string
}

// object returns the body as a JSON object.
func (r reply) object(tb testing.TB) map[string]any {
	tb.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(r.body), &v); err != nil {
		tb.Fatalf("status %d, body %.200q: %v", r.status, r.body, err)
	}
	return v
}

// text returns a string member of the body.
func (r reply) text(tb testing.TB, name string) string {
	tb.Helper()
	s, _ := r.object(tb)[name].(string)
	return s
}

// try sends a request without following redirects and reads the answer.
func try(req *http.Request) (reply, error) {
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return reply{res.StatusCode, res.Header, string(body)}, err
}

func do(tb testing.TB, req *http.Request) reply {
	tb.Helper()
	r, err := try(req)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func (o org) get(tb testing.TB, path string) reply {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, o.url+path, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return do(tb, req)
}

// post sends a form; user is "id:secret" for HTTP Basic, or empty.
func (o org) post(tb testing.TB, path, user string, form url.Values) reply {
	tb.Helper()
	return do(tb, o.form(tb, path, user, form.Encode()))
}

func (o org) form(tb testing.TB, path, user, body string) *http.Request {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, o.url+path, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if id, secret, ok := strings.Cut(user, ":"); ok {
		req.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	}
	return req
}

const (
	svc    = "svc:svc secret+/&"
	reader = "reader:reader-secret"
	web    = "web:web-secret"
)

// serviceToken returns an access token of svc from this authorization server.
func (o org) serviceToken(tb testing.TB, as string) string {
	tb.Helper()
	r := o.post(tb, "/oauth2/"+as+"/v1/token", svc, url.Values{"grant_type": {"client_credentials"}, "scope": {"orders:read"}})
	if r.status != http.StatusOK {
		tb.Fatalf("token: got %d %s", r.status, r.body)
	}
	return r.text(tb, "access_token")
}

// authorizeQuery returns a good authorization request, with changes: an empty
// value takes a parameter away.
func authorizeQuery(client string, changes map[string]string) string {
	sum := sha256.Sum256([]byte(verifier))
	q := map[string]string{
		"client_id": client, "redirect_uri": callback, "response_type": "code", "state": "s t&te", "nonce": "n-0",
		"scope": "openid offline_access orders:read", "code_challenge": base64.RawURLEncoding.EncodeToString(sum[:]), "code_challenge_method": "S256",
	}
	maps.Copy(q, changes)
	values := url.Values{}
	for name, value := range q {
		if value != "" {
			values.Set(name, value)
		}
	}
	return values.Encode()
}

// signIn posts the login page and returns the parameters sent to the client.
func (o org) signIn(tb testing.TB, as, client string, changes map[string]string) url.Values {
	tb.Helper()
	path := as + "/v1/authorize?" + authorizeQuery(client, changes)
	return sentBack(tb, o.post(tb, path, "", url.Values{"username": {"ada@example.com"}, "password": {"pa&ss"}, "action": {"login"}}))
}

// sentBack returns the parameters of a redirect to the callback.
func sentBack(tb testing.TB, r reply) url.Values {
	tb.Helper()
	location := r.header.Get("Location")
	if r.status != http.StatusSeeOther || !strings.HasPrefix(location, callback+"&") {
		tb.Fatalf("got %d to %q, want 303 to the callback; %.300s", r.status, location, r.body)
	}
	u, err := url.Parse(location)
	if err != nil {
		tb.Fatal(err)
	}
	return u.Query()
}

// redeem sends a code of web, with changes to the form.
func (o org) redeem(tb testing.TB, code string, changes map[string]string) reply {
	tb.Helper()
	return do(tb, o.redemption(tb, code, changes))
}

func (o org) redemption(tb testing.TB, code string, changes map[string]string) *http.Request {
	tb.Helper()
	form := map[string]string{"grant_type": "authorization_code", "code": code, "redirect_uri": callback, "code_verifier": verifier}
	maps.Copy(form, changes)
	values := url.Values{}
	for name, value := range form {
		if value != "" {
			values.Set(name, value)
		}
	}
	user := web
	if form["client_id"] != "" {
		user = ""
	}
	return o.form(tb, "/oauth2/default/v1/token", user, values.Encode())
}

// open checks the signature of a JWT with nothing but crypto/rsa and the
// published keys, and returns its header and claims.
func (o org) open(tb testing.TB, token string) (header, claims map[string]any) {
	tb.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		tb.Fatalf("token has %d parts", len(parts))
	}
	var raw [3][]byte
	for i, p := range parts {
		b, err := base64.RawURLEncoding.DecodeString(p)
		if err != nil {
			tb.Fatal(err)
		}
		raw[i] = b
	}
	for i, v := range []*map[string]any{&header, &claims} {
		if err := json.Unmarshal(raw[i], v); err != nil {
			tb.Fatal(err)
		}
	}
	kid, _ := header["kid"].(string)
	at := slices.IndexFunc(keys(), func(k standin.Key) bool { return k.ID == kid })
	if at < 0 || !slices.Contains(o.publishedIDs(tb), kid) {
		tb.Fatalf("kid %q is not published", kid)
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(&keys()[at].Private.PublicKey, crypto.SHA256, sum[:], raw[2]); err != nil {
		tb.Fatal(err)
	}
	return header, claims
}

func (o org) publishedIDs(tb testing.TB) []string {
	tb.Helper()
	var set struct{ Keys []struct{ Kid string } }
	if err := json.Unmarshal([]byte(o.get(tb, "/oauth2/default/v1/keys").body), &set); err != nil {
		tb.Fatal(err)
	}
	var ids []string
	for _, k := range set.Keys {
		ids = append(ids, k.Kid)
	}
	return ids
}

// introspect asks web's question about a token.
func (o org) introspect(tb testing.TB, as, token string) map[string]any {
	tb.Helper()
	r := o.post(tb, as+"/v1/introspect", web, url.Values{"token": {token}})
	if r.status != http.StatusOK || r.header.Get("Cache-Control") != "no-cache, no-store" {
		tb.Fatalf("introspect: got %d %s %v", r.status, r.body, r.header)
	}
	return r.object(tb)
}

func (o org) wantActive(tb testing.TB, as, token string) {
	tb.Helper()
	if got := o.introspect(tb, as, token); got["active"] != true {
		tb.Errorf("introspection: got %v, want active", got)
	}
}

func (o org) wantInactive(tb testing.TB, as, token string) {
	tb.Helper()
	if diff := cmp.Diff(map[string]any{"active": false}, o.introspect(tb, as, token)); diff != "" {
		tb.Errorf("introspection (-want +got):\n%s", diff)
	}
}

// wantRefusal compares an answer with an OAuth error.
func wantRefusal(tb testing.TB, r reply, status int, code, description string) {
	tb.Helper()
	want := map[string]any{"error": code, "error_description": description}
	if diff := cmp.Diff(want, r.object(tb)); diff != "" || r.status != status {
		tb.Errorf("got status %d, want %d; body (-want +got):\n%s", r.status, status, diff)
	}
	if got := r.header.Get("Cache-Control"); got != "no-cache, no-store" {
		tb.Errorf("Cache-Control: got %q", got)
	}
}

// wantEnvelope compares an answer with an Okta error.
func wantEnvelope(tb testing.TB, r reply, status int, code, summary string) {
	tb.Helper()
	got := r.object(tb)
	if id, _ := got["errorId"].(string); !strings.HasPrefix(id, "oae") {
		tb.Errorf("errorId: got %q", id)
	}
	delete(got, "errorId")
	want := map[string]any{"errorCode": code, "errorSummary": summary, "errorLink": code, "errorCauses": []any{}}
	if diff := cmp.Diff(want, got); diff != "" || r.status != status {
		tb.Errorf("got status %d, want %d; body (-want +got):\n%s", r.status, status, diff)
	}
}
