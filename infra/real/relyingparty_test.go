package real_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/infra/tooltest"
	"gatehouse/shared/broker"
	"gatehouse/shared/config"
	"gatehouse/shared/fetch"
	"gatehouse/shared/oauth"
	"gatehouse/shared/provider"
	"gatehouse/shared/registration"
	"gatehouse/shared/registry"
	"gatehouse/shared/secret"
	"gatehouse/shared/standin"
)

// oauth4webapiVersion names the cached copy; it follows package-lock.json.
const oauth4webapiVersion = "oauth4webapi-3.8.8"

// What a person types at every provider.
const (
	login         = "ada@example.com"
	loginPassword = "correct horse"
)

// bothScopes are those of the API. The first is scope.
const bothScopes = scope + " orders:write"

// brokered is Gatehouse as an authorization server before a provider. %s are the
// provider's settings, in which ${DIR} is where its secrets are.
const brokered = `
publicURL: ${GATEHOUSE}
providers:
  - {name: idp, requestTimeout: 10s, %s}
apis:
  - name: orders
    providers: [idp]
    resource: ` + api + `
    match: {stageVariable: orders}
    owners: [grace]
    tiers: [{name: trial, autoApprove: true}]
    routes:
      - {route: GET /orders, scopes: [orders:read]}
      - {route: POST /orders, scopes: [orders:write]}
registration:
  keys: file:${DIR}/registration.json
  dynamic: {provider: idp, open: true}
broker:
  keys: file:${DIR}/broker.json
`

// site is the broker and the registration before a provider.
type site struct {
	issuer       string // the broker's
	applications *registration.Service
}

// newSite starts both before a provider that is reached with these secrets.
func newSite(t *testing.T, settings string, secrets map[string]string) site {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, dir := site{issuer: "http://localhost:" + port}, t.TempDir()
	for _, name := range []string{"registration.json", "broker.json"} {
		secrets[name] = `{"current":"` + rand.Text() + rand.Text() + `"}`
	}
	for name, text := range secrets {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := map[string]string{"GATEHOUSE": s.issuer, "DIR": dir}
	cfg, err := config.Parse(fmt.Appendf(nil, brokered, settings), func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	store, err := (registry.Embedded{}).Open()
	if err != nil {
		t.Fatal(err)
	}
	environment := provider.Environment{HTTP: fetch.NewClient(), Secrets: &secret.Manager{}}
	if s.applications, err = registration.New(cfg, environment, store); err != nil {
		t.Fatal(err)
	}
	front, err := broker.New(cfg, environment, store, fetch.NewGuardedClient())
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/register", s.applications.Handler())
	mux.Handle("/", front.Handler())
	server.Config.Handler = mux
	server.Start()
	return s
}

// relyingParty is a client as the script reads it.
type relyingParty struct {
	Issuer      string `json:"issuer"`
	ClientID    string `json:"client_id"`
	Secret      string `json:"client_secret"`
	Method      string `json:"method"`
	RedirectURI string `json:"redirect_uri"`
	Scope       string `json:"scope"`
	Resource    string `json:"resource"`
}

// register has a developer register an application with a contract.
func (s site) register(t *testing.T, method string) relyingParty {
	t.Helper()
	m := registration.Metadata{
		Name: "A client with " + method, RedirectURIs: []string{callback}, AuthMethod: method, Scope: bothScopes,
		GrantTypes: []string{oauth.AuthorizationCode, oauth.RefreshToken},
	}
	if method != oauth.PublicClient {
		m.GrantTypes = append(m.GrantTypes, oauth.ClientCredentials)
	}
	done, err := s.applications.Register(t.Context(), registration.Caller{Subject: "developer", Applications: true},
		registration.Request{Provider: "idp", Metadata: m, Access: []registration.Access{{API: "orders"}}})
	if err != nil {
		t.Fatal(err)
	}
	return relyingParty{
		Issuer: s.issuer, ClientID: done.Application.ClientID, Secret: done.Secret.Reveal(), Method: method,
		RedirectURI: callback, Scope: bothScopes, Resource: api,
	}
}

// oauth4webapi returns where it is.
func oauth4webapi(t *testing.T) string {
	t.Helper()
	dir, err := tooltest.Cached(t.Context(), oauth4webapiVersion, func(ctx context.Context, dir string) error {
		return install(ctx, dir, "testdata/oauth4webapi")
	})
	if err != nil {
		tooltest.Missing(t, err)
	}
	return filepath.Join(dir, "node_modules")
}

// step is one of the script's, and what came of it.
type step struct{ Step, Got string }

// steps runs the script with a client, and a person at a browser for it.
func (c relyingParty) steps(t *testing.T) []step {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		tooltest.Missing(t, err)
	}
	script := exec.CommandContext(t.Context(), node, "testdata/oauth4webapi/client.mjs", oauth4webapi(t))
	script.Stderr = t.Output()
	in, err := script.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := script.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := script.Start(); err != nil {
		t.Fatal(err)
	}
	if err := json.NewEncoder(in).Encode(c); err != nil {
		t.Error(err)
	}
	var steps []step
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var line struct {
			step

			Open string
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Errorf("the script says %s: %v", lines.Bytes(), err)
		}
		if line.Open == "" {
			steps = append(steps, line.step)
			continue
		}
		told, err := newPerson().walk(t.Context(), line.Open, c.RedirectURI)
		if err != nil {
			t.Error(err)
		}
		if _, err := fmt.Fprintln(in, told); err != nil {
			t.Error(err)
		}
	}
	if err := script.Wait(); err != nil {
		t.Error(err)
	}
	return steps
}

// person is at a browser that keeps cookies by host, and sends even those for
// https to this machine, as browsers do.
type person struct {
	client  http.Client
	cookies map[string]map[string]string // by host, by name
}

func newPerson() *person {
	return &person{
		client:  http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		cookies: map[string]map[string]string{},
	}
}

// What a person finds on pages.
var (
	formAction = regexp.MustCompile(`<form[^>]* action="([^"]*)"`)
	consent    = regexp.MustCompile(`name="request" value="([^"]*)"`)
	button     = regexp.MustCompile(`<a class="button" href="([^"]*)"`)
)

// found returns what a pattern finds on a page, or otherwise.
func found(pattern *regexp.Regexp, page, otherwise string) string {
	if match := pattern.FindStringSubmatch(page); match != nil {
		return html.UnescapeString(match[1])
	}
	return otherwise
}

// walk opens an address, agrees, signs in, returns to the application, whatever
// is asked for, and says where the browser is sent there.
func (p *person) walk(ctx context.Context, at, application string) (string, error) {
	var form url.Values
	for range 10 {
		if strings.HasPrefix(at, application) {
			return at, nil
		}
		page, next, err := p.open(ctx, at, form)
		switch {
		case err != nil:
			return "", err
		case next != "":
			at, form = next, nil
		case consent.MatchString(page):
			form = url.Values{"request": {found(consent, page, "")}, "decision": {"allow"}}
			at = found(formAction, page, at)
		case strings.Contains(page, `type="password"`) && !form.Has("password"):
			form = url.Values{"username": {login}, "password": {loginPassword}, "action": {"login"}}
			at = found(formAction, page, at)
		case button.MatchString(page):
			at, form = found(button, page, at), nil
		default:
			return "", fmt.Errorf("the person does not know what to do at %s:\n%s", at, page)
		}
	}
	return "", errors.New("the person goes in circles")
}

// open opens an address, or sends a form to it. It returns the page, or where
// the browser is sent instead.
func (p *person) open(ctx context.Context, at string, form url.Values) (page, next string, err error) {
	method := http.MethodGet
	if form != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, at, strings.NewReader(form.Encode()))
	if err != nil {
		return "", "", err
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	jar := p.cookies[req.URL.Host]
	if jar == nil {
		jar = map[string]string{}
		p.cookies[req.URL.Host] = jar
	}
	for name, value := range jar {
		req.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return "", "", err
	}
	defer resp.Body.Close()
	for _, c := range resp.Cookies() {
		jar[c.Name] = c.Value
	}
	if to, err := resp.Location(); err == nil {
		return "", to.String(), nil
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return string(text), "", err
}

// stranger is a client that registers itself.
func (s site) stranger() relyingParty {
	return relyingParty{Issuer: s.issuer, Method: oauth.PublicClient, RedirectURI: callback, Scope: bothScopes, Resource: api}
}

// before is how a provider's tokens look from the broker.
type before struct {
	granted string // the scopes that they say they have, sorted
	revoked string // what introspection says of an access token that was revoked
}

// outcomes are the steps of a client with a secret and of one without, and what
// must come of them; "": it does not take the step.
func (b before) outcomes() []struct{ step, secret, public string } {
	const tokens, none = "bearer, expires, refresh token, ", "bearer, expires, no refresh token, "
	return []struct{ step, secret, public string }{
		{"the metadata are its own, with PKCE and iss", "true, S256, true", "true, S256, true"},
		{"it registers itself", "", "none, " + bothScopes},
		{"a scope that it may not have is refused at its redirect URI", "invalid_scope", "invalid_scope"},
		{"a person signs in", "code,iss,state", "code,iss,state"},
		{"the answer is not taken for another's of this server", `unexpected "state" response parameter value`, `unexpected "state" response parameter value`},
		{"the answer is not taken for another server's", `unexpected "iss" (issuer) response parameter value`, `unexpected "iss" (issuer) response parameter value`},
		{"the code becomes tokens", tokens + bothScopes, tokens + bothScopes},
		{"the access token is active", "active, " + b.granted, ""},
		{"the refresh token is active", "active, " + bothScopes, ""},
		{"it may not ask about tokens", "", "401 invalid_client"},
		{"the refresh token becomes another", "true, " + tokens + bothScopes, "true, " + tokens + bothScopes},
		{"and another, with tokens for less", tokens + scope, tokens + scope},
		{"but none for more than was granted", "400 invalid_scope", "400 invalid_scope"},
		{"the first refresh token is not active any more", "inactive", ""},
		{"the last one is revoked", "revoked", "revoked"},
		{"twice, which is fine", "revoked", "revoked"},
		{"it is not active any more", "inactive", ""},
		{"nor is the access token that came with it, if anybody asks the provider", b.revoked, ""},
		{"the revoked refresh token brings nothing", "400 invalid_grant", "400 invalid_grant"},
		{"it asks for a token of its own", none + scope, "400 unauthorized_client"},
		{"that token is active", "active, " + scope, ""},
		{"it is revoked", "revoked", ""},
		{"it is not active any more, if anybody asks the provider", b.revoked, ""},
		{"a wrong secret brings nothing", "401", ""},
		{"a wrong verifier brings nothing", "400 invalid_grant", "400 invalid_grant"},
		{"and the right one nothing after it", "400 invalid_grant", "400 invalid_grant"},
		{"a code becomes tokens once", tokens + bothScopes, tokens + bothScopes},
		{"the same code brings nothing", "400 invalid_grant", "400 invalid_grant"},
		{"and ends what it had brought", "400 invalid_grant", "400 invalid_grant"},
	}
}

// getsAlong takes all kinds of clients through everything.
func getsAlong(t *testing.T, s site, b before) {
	t.Helper()
	for name, c := range map[string]relyingParty{
		"a client with a secret in the header": s.register(t, oauth.SecretBasic),
		"a client with a secret in the form":   s.register(t, oauth.SecretPost),
		"a client without a secret":            s.register(t, oauth.PublicClient),
		"a client that registers itself":       s.stranger(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var want []step
			for _, o := range b.outcomes() {
				got := o.secret
				if c.Method == oauth.PublicClient {
					got = o.public
				}
				switch {
				case got == "", o.step == "it registers itself" && c.ClientID != "":
					continue
				case got == "401" && c.Method == oauth.SecretBasic: // RFC 6749 §5.2
					got = "401 basic"
				case got == "401":
					got = "401 invalid_client"
				}
				want = append(want, step{o.step, got})
			}
			if diff := cmp.Diff(want, c.steps(t)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestOAuth4WebAPIGetsAlongWithTheBrokerBeforeOkta(t *testing.T) {
	t.Parallel()
	org := httptest.NewUnstartedServer(nil)
	t.Cleanup(org.Close)
	base := "http://" + org.Listener.Addr().String()
	okta, err := standin.New(standin.Okta{
		Org: base, APIToken: "00token", Users: []standin.User{{Login: login, Password: loginPassword, Groups: []string{"Everyone"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	org.Config.Handler = okta
	org.Start()
	s := newSite(t, `type: okta, issuer: "`+base+`/oauth2/default", audiences: ["api://default"], afterCreate: {assignGroup: Everyone},
     adminSecret: "file:${DIR}/admin.json"`, map[string]string{"admin.json": `{"authorization":"SSWS 00token"}`})
	getsAlong(t, s, before{granted: "offline_access " + bothScopes, revoked: "active, " + scope})
}

// beforeKeycloak lets the broker verify Keycloak's tokens by its keys, and ask
// Keycloak about them.
func beforeKeycloak(t *testing.T, k server) {
	t.Helper()
	for name, row := range map[string]struct{ tokens, revoked string }{
		"keys verify its tokens":       {"jwt", "active, " + scope},
		"it is asked about its tokens": {"introspect", "inactive"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, `type: keycloak, issuer: "`+k.issuer+`", audiences: ["`+api+`"], tokens: `+row.tokens+`,
     secret: "file:${DIR}/secret.json", adminSecret: "file:${DIR}/admin.json"`, map[string]string{
				"secret.json": `{"client_id":"` + gateway + `","client_secret":"` + k.secret + `"}`,
				"admin.json":  `{"authorization":"Bearer ` + k.key + `"}`,
			})
			getsAlong(t, s, before{granted: bothScopes, revoked: row.revoked})
		})
	}
}
