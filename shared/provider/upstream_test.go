package provider_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/shared/config"
	"gatehouse/shared/fetch"
	"gatehouse/shared/oauth"
	"gatehouse/shared/provider"
	"gatehouse/shared/secret"
	"gatehouse/shared/standin"
)

const (
	appID     = "app 1"
	appSecret = "s3cret+%:/&=" // what must be encoded on its way into Basic and into a form
	appState  = "state&1"
)

// application is one that is registered at a provider, and the provider as it
// knows it.
type application struct {
	*provider.Provider

	server *standin.Server
	auth   provider.ClientAuth
	log    *bytes.Buffer
}

// vendors start an application at each kind of provider.
var vendors = map[string]func(t *testing.T, method string) *application{
	"Okta":         atOkta,
	"Keycloak":     atKeycloak,
	"PingFederate": atPingFederate,
	"RFC 7591":     atPlain,
}

func atOkta(t *testing.T, method string) *application {
	t.Helper()
	srv, base := serveStandin(t, func(base string) (*standin.Server, error) {
		return standin.New(standin.Okta{Org: base, Clients: appClients(method), Users: appUsers(), Keys: signingKeys(t)})
	})
	return applicationAt(t, srv, method, config.Provider{Type: config.Okta, Issuer: base + "/oauth2/default"})
}

func atKeycloak(t *testing.T, method string) *application {
	t.Helper()
	srv, base := serveStandin(t, func(base string) (*standin.Server, error) {
		return standin.NewKeycloak(standin.Keycloak{URL: base, Clients: appClients(method), Users: appUsers(), Keys: signingKeys(t)})
	})
	return applicationAt(t, srv, method, config.Provider{Type: config.Keycloak, Issuer: base + "/realms/demo"})
}

func atPingFederate(t *testing.T, method string) *application {
	t.Helper()
	srv, base := serveStandin(t, func(base string) (*standin.Server, error) {
		return standin.NewPingFederate(standin.PingFederate{URL: base, Clients: appClients(method), Users: appUsers(), Keys: signingKeys(t)})
	})
	return applicationAt(t, srv, method, config.Provider{Type: config.PingFederate, Issuer: base, Resource: config.PassResource})
}

func atPlain(t *testing.T, method string) *application {
	t.Helper()
	srv, base := serveStandin(t, func(base string) (*standin.Server, error) {
		return standin.NewRFC7591(standin.RFC7591{URL: base, Clients: appClients(method), Users: appUsers(), Keys: signingKeys(t)})
	})
	return applicationAt(t, srv, method, config.Provider{Type: config.RFC7591, Issuer: base, Resource: config.PassResource})
}

func appClients(method string) []standin.Client {
	c := standin.Client{
		ID: appID, Secret: appSecret, AuthMethod: method, RedirectURIs: []string{callback}, RefreshLeeway: -1,
		GrantTypes: []string{oauth.AuthorizationCode, oauth.RefreshToken, oauth.ClientCredentials},
	}
	if method == oauth.PublicClient {
		c.Secret = ""
	}
	limited := standin.Client{ID: "limited", Secret: appSecret, GrantTypes: []string{oauth.AuthorizationCode}, RedirectURIs: []string{callback}}
	return []standin.Client{c, limited}
}

// signingKey is shared, because making one takes longer than a provider may.
var signingKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func signingKeys(t *testing.T) []standin.Key {
	t.Helper()
	key, err := signingKey()
	if err != nil {
		t.Fatal(err)
	}
	return []standin.Key{{Private: key}}
}

func appUsers() []standin.User { return []standin.User{{Login: "ada", Password: "pw"}} }

func applicationAt(t *testing.T, srv *standin.Server, method string, c config.Provider) *application {
	t.Helper()
	a := &application{server: srv, log: &bytes.Buffer{}}
	a.auth = provider.ClientAuth{ClientID: appID, Secret: secret.New(appSecret), Method: method}
	a.Provider = using(t, c, provider.Environment{HTTP: fetch.NewClient(), Log: slog.New(slog.NewJSONHandler(a.log, nil))})
	return a
}

// using returns a provider that is asked for tokens and nothing else.
func using(t *testing.T, c config.Provider, env provider.Environment) *provider.Provider {
	t.Helper()
	c.Name, c.Tokens = "idp", config.Introspect
	if c.RequestTimeout == 0 {
		c.RequestTimeout = 10 * time.Second
	}
	env.Secrets = &secret.Manager{}
	p, err := provider.New(c, env)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// signIn has Ada sign in to the application, and returns the request that
// redeems the code.
func (a *application) signIn(t *testing.T, resources ...string) provider.TokenRequest {
	t.Helper()
	verifier := oauth.NewVerifier()
	to, err := a.AuthorizationURL(t.Context(), provider.Authorization{
		ClientID: appID, RedirectURI: callback, State: appState, Challenge: oauth.Challenge(verifier),
		Scope: "orders:read", Resources: resources, Offline: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	back := login(t, to)
	if back.Get("state") != appState || back.Get("code") == "" {
		t.Fatalf("sent back with %v", back)
	}
	if sends, err := a.SendsIssuer(t.Context()); err != nil || sends != back.Has("iss") {
		t.Errorf("it is said to send iss: got %t, %v; it was sent: %t", sends, err, back.Has("iss"))
	}
	return provider.TokenRequest{
		Client: a.auth, GrantType: oauth.AuthorizationCode, Code: secret.New(back.Get("code")), Verifier: secret.New(verifier),
		RedirectURI: callback, Resources: resources,
	}
}

// login fills in the login form and returns the parameters that the browser is
// sent back with.
func login(t *testing.T, page string) url.Values {
	t.Helper()
	form := url.Values{"username": {"ada"}, "password": {"pw"}, "action": {"login"}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, page, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := fetch.NewClient().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	to, err := res.Location()
	if err != nil {
		t.Fatalf("login answers %d: %v", res.StatusCode, err)
	}
	return to.Query()
}

func (a *application) refresh(raw secret.Value) provider.TokenRequest {
	return provider.TokenRequest{Client: a.auth, GrantType: oauth.RefreshToken, RefreshToken: raw}
}

func (a *application) forItself(scope string) provider.TokenRequest {
	return provider.TokenRequest{Client: a.auth, GrantType: oauth.ClientCredentials, Scope: scope}
}

// TestApplicationsGetTokens takes an application through all that it does at a
// provider, in every way it can show who it is.
func TestApplicationsGetTokens(t *testing.T) {
	t.Parallel()
	for name, start := range vendors {
		for _, method := range []string{oauth.SecretBasic, oauth.SecretPost, oauth.PublicClient} {
			t.Run(name+" "+method, func(t *testing.T) {
				t.Parallel()
				a := start(t, method)
				first, err := a.Token(t.Context(), a.signIn(t))
				if err != nil {
					t.Fatal(err)
				}
				if first.AccessToken.Reveal() == "" || first.RefreshToken.Reveal() == "" || first.ExpiresIn != time.Hour || !first.ScopeTold ||
					!strings.Contains(first.Scope, "orders:read") {
					t.Errorf("for the code: got %+v", first)
				}
				second, err := a.Token(t.Context(), a.refresh(first.RefreshToken))
				if err != nil || second.RefreshToken.Equal(first.RefreshToken) || second.RefreshToken.Reveal() == "" {
					t.Fatalf("for the refresh token: got %+v, %v", second, err)
				}
				if method != oauth.PublicClient {
					own, err := a.Token(t.Context(), a.forItself("orders:read"))
					if err != nil || own.RefreshToken.Reveal() != "" || own.Scope != "orders:read" {
						t.Errorf("for itself: got %+v, %v", own, err)
					}
				}
				for hint, tok := range map[string]secret.Value{"access_token": second.AccessToken, "refresh_token": second.RefreshToken, "": secret.New("unknown")} {
					if err := a.Revoke(t.Context(), a.auth, tok, hint); err != nil {
						t.Errorf("revoking %q: %v", hint, err)
					}
				}
				_, err = a.Token(t.Context(), a.refresh(second.RefreshToken))
				if !refused(oauth.InvalidGrant)(err) {
					t.Errorf("after it was revoked: got %v", err)
				}
				a.shows(t, err, first, second)
			})
		}
	}
}

// shows checks that neither an error nor the log has anything secret in it.
func (a *application) shows(t *testing.T, err error, all ...provider.Tokens) {
	t.Helper()
	hidden := []string{appSecret, url.QueryEscape(appSecret), "MARK"}
	for _, tokens := range all {
		hidden = append(hidden, tokens.AccessToken.Reveal(), tokens.RefreshToken.Reveal())
	}
	text := fmt.Sprintf("%v %+v %v", err, all, a.log)
	for _, one := range hidden {
		if strings.Contains(text, one) {
			t.Errorf("%q is shown: %s", one, text)
		}
	}
}

func TestResourcesReachTheProvidersThatKnowThem(t *testing.T) {
	t.Parallel()
	for name, start := range vendors {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := start(t, oauth.SecretBasic)
			if _, err := a.Token(t.Context(), a.signIn(t, "https://api.example.com/a", "https://api.example.com/b")); err != nil {
				t.Error(err)
			}
		})
	}
}

// What an error of Token and Revoke can be.

func nothing(err error) bool { return err == nil }

func refused(code string) func(error) bool {
	return func(err error) bool {
		grant, ok := errors.AsType[*provider.GrantError](err)
		return ok && grant.Code == code && !errors.Is(err, provider.ErrUnavailable) && !errors.Is(err, provider.ErrUncertain)
	}
}

func unsupported(err error) bool {
	return errors.Is(err, provider.ErrUnsupported) && !errors.Is(err, provider.ErrUnavailable) && !errors.Is(err, provider.ErrUncertain)
}

// unavailable: nothing was done.
func unavailable(err error) bool {
	return errors.Is(err, provider.ErrUnavailable) && !errors.Is(err, provider.ErrUncertain)
}

// lost: it may have been done.
func lost(err error) bool {
	return errors.Is(err, provider.ErrUnavailable) && errors.Is(err, provider.ErrUncertain)
}

func limited(after time.Duration) func(error) bool {
	return func(err error) bool {
		limit, ok := errors.AsType[*provider.RateLimitError](err)
		return ok && limit.After == after && unavailable(err)
	}
}

func TestWhatProvidersRefuse(t *testing.T) {
	t.Parallel()
	for vendor, start := range vendors {
		t.Run(vendor, func(t *testing.T) {
			t.Parallel()
			a := start(t, oauth.SecretBasic)
			spent := a.signIn(t)
			if _, err := a.Token(t.Context(), spent); err != nil {
				t.Fatal(err)
			}
			for _, row := range []struct {
				name    string
				request provider.TokenRequest
				change  func(*provider.TokenRequest)
				want    string
			}{
				{"a wrong secret", a.forItself("orders:read"), func(r *provider.TokenRequest) { r.Client.Secret = secret.New("MARK") }, oauth.InvalidClient},
				{"an unknown client", a.forItself("orders:read"), func(r *provider.TokenRequest) { r.Client.ClientID = "MARK" }, oauth.InvalidClient},
				{"another way to authenticate than it is registered for", a.forItself("orders:read"), func(r *provider.TokenRequest) { r.Client.Method = oauth.SecretPost }, oauth.InvalidClient},
				{"no authentication of a client that has a secret", a.signIn(t), func(r *provider.TokenRequest) { r.Client.Method = oauth.PublicClient }, oauth.InvalidClient},
				{"a code that was redeemed", spent, func(*provider.TokenRequest) {}, oauth.InvalidGrant},
				{"a code that nobody has issued", spent, func(r *provider.TokenRequest) { r.Code = secret.New("MARK") }, oauth.InvalidGrant},
				{"a code with another verifier", a.signIn(t), func(r *provider.TokenRequest) { r.Verifier = secret.New(oauth.NewVerifier()) }, oauth.InvalidGrant},
				{"a code with another redirect URI", a.signIn(t), func(r *provider.TokenRequest) { r.RedirectURI += "MARK" }, oauth.InvalidGrant},
				{"a code without its verifier", a.signIn(t), func(r *provider.TokenRequest) { r.Verifier = secret.Value{} }, oauth.InvalidRequest},
				{"a refresh token that nobody has issued", a.refresh(secret.New("MARK")), func(*provider.TokenRequest) {}, oauth.InvalidGrant},
				{"an unknown scope", a.forItself("orders:MARK"), func(*provider.TokenRequest) {}, oauth.InvalidScope},
				{"a grant type that the client does not have", a.forItself("orders:read"), func(r *provider.TokenRequest) { r.Client.ClientID = "limited" }, oauth.UnauthorizedClient},
				{"a grant type that there is not", a.forItself("orders:read"), func(r *provider.TokenRequest) { r.GrantType = "urn:MARK" }, oauth.UnsupportedGrantType},
			} {
				row.change(&row.request)
				got, err := a.Token(t.Context(), row.request)
				if !refused(row.want)(err) || !cmp.Equal(fmt.Sprint(got), fmt.Sprint(provider.Tokens{})) {
					t.Errorf("%s: got %v, want %s", row.name, err, row.want)
				}
				a.shows(t, err)
				if strings.Contains(err.Error(), row.request.Code.Reveal()) && row.request.Code.Reveal() != "" {
					t.Errorf("%s: the code is shown: %v", row.name, err)
				}
			}
			stranger := a.auth
			stranger.Secret = secret.New("MARK")
			if err := a.Revoke(t.Context(), stranger, secret.New("unknown"), ""); !refused(oauth.InvalidClient)(err) {
				t.Errorf("revoking with a wrong secret: got %v", err)
			}
		})
	}
}

func TestOktaPolicies(t *testing.T) {
	t.Parallel()
	srv, base := serveStandin(t, func(base string) (*standin.Server, error) {
		return standin.New(standin.Okta{
			Org: base, Clients: appClients(oauth.SecretBasic), AuthorizationServers: []standin.AuthorizationServer{{ID: "default"}, {ID: "closed", Clients: []string{}}},
		})
	})
	for _, row := range []struct{ name, server, scope, want string }{
		{"a client needs a scope for a token of its own", "default", "", oauth.InvalidScope},
		{"OpenID's scopes are for people", "default", "openid", oauth.InvalidScope},
		{"a policy that lets nobody in", "closed", "orders:read", oauth.AccessDenied},
	} {
		a := applicationAt(t, srv, oauth.SecretBasic, config.Provider{Type: config.Okta, Issuer: base + "/oauth2/" + row.server})
		if _, err := a.Token(t.Context(), a.forItself(row.scope)); !refused(row.want)(err) {
			t.Errorf("%s: got %v, want %s", row.name, err, row.want)
		}
	}
}

func TestOpenAMRevokesWhereItsMetadataDoNotSay(t *testing.T) {
	t.Parallel()
	srv, base := serveStandin(t, func(base string) (*standin.Server, error) {
		return standin.NewOpenAM(standin.OpenAM{URL: base, Clients: appClients(oauth.SecretBasic)})
	})
	a := applicationAt(t, srv, oauth.SecretBasic, config.Provider{Type: config.OpenAM, Issuer: base + "/openam/oauth2"})
	tokens, err := a.Token(t.Context(), a.forItself("orders:read"))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Revoke(t.Context(), a.auth, tokens.AccessToken, "access_token"); err != nil || a.server.Requests(standin.Revoke) != 1 {
		t.Errorf("got %v after %d requests", err, a.server.Requests(standin.Revoke))
	}
}

// TestFaultsOfATokenEndpoint breaks the endpoints in every way. A request is sent
// once, whatever comes back.
func TestFaultsOfATokenEndpoint(t *testing.T) {
	t.Parallel()
	date := time.Now().UTC()
	for _, row := range []struct {
		name          string
		fault         standin.Fault
		token, revoke func(error) bool
	}{
		{"429 with Retry-After", standin.Fault{Status: 429, Header: map[string]string{"Retry-After": "7"}}, limited(7 * time.Second), limited(7 * time.Second)},
		{"429 with Okta's header, by the provider's clock", standin.Fault{Status: 429, Body: `{"errorCode":"E0000047"}`, Header: map[string]string{
			"Date": date.Format(http.TimeFormat), "X-Rate-Limit-Reset": fmt.Sprint(date.Unix() + 20),
		}}, limited(21 * time.Second), limited(21 * time.Second)},
		{"429 that names no time", standin.Fault{Status: 429, Body: `{"error":"invalid_grant"}`}, limited(30 * time.Second), limited(30 * time.Second)},
		{"500", standin.Fault{Status: 500}, lost, lost},
		{"503", standin.Fault{Status: 503}, lost, lost},
		{"500 that names an error of the request", standin.Fault{Status: 500, Body: `{"error":"invalid_grant","error_description":"MARK"}`}, lost, lost},
		{"400 that is the server's own fault, as OpenAM says it", standin.Fault{Status: 400, Body: `{"error":"server_error"}`}, lost, lost},
		{"garbage with 200", standin.Fault{Status: 200, Body: standin.Garbage}, lost, nothing},
		{"garbage with 400", standin.Fault{Status: 400, Body: standin.Garbage}, unavailable, unavailable},
		{"garbage with 502", standin.Fault{Status: 502, Body: standin.Garbage}, lost, lost},
		{"nothing with 200", standin.Fault{Status: 200, Body: " "}, lost, nothing},
		{"nothing with 401", standin.Fault{Status: 401, Body: " "}, unavailable, unavailable},
		{"nothing with 403, as Glewlwyd refuses a secret", standin.Fault{Status: 403, Body: " "}, unavailable, unavailable},
		{"a page that says 404", standin.Fault{Status: 404, Body: standin.Garbage}, unavailable, unavailable},
		{"an error that no RFC knows", standin.Fault{Status: 400, Body: `{"error":"MARK"}`}, unavailable, unavailable},
		{"an error that is no text", standin.Fault{Status: 400, Body: `{"error":{"code":"MARK"}}`}, unavailable, unavailable},
		{"an error of another kind of request", standin.Fault{Status: 400, Body: `{"error":"login_required"}`}, unavailable, unavailable},
		{"two errors", standin.Fault{Status: 400, Body: `{"error":"invalid_grant","error":"invalid_client"}`}, unavailable, unavailable},
		{"a token that cannot be revoked", standin.Fault{Status: 400, Body: `{"error":"unsupported_token_type"}`}, refused(oauth.UnsupportedTokenType), refused(oauth.UnsupportedTokenType)},
		{"a resource that the provider does not know", standin.Fault{Status: 400, Body: `{"error":"invalid_target","error_description":"MARK"}`}, refused(oauth.InvalidTarget), refused(oauth.InvalidTarget)},
		{"a policy that says no with 401", standin.Fault{Status: 401, Body: `{"error":"access_denied"}`}, refused(oauth.AccessDenied), refused(oauth.AccessDenied)},
		{"an error in Okta's envelope", standin.Fault{Status: 400, Body: `{"errorCode":"invalid_client","errorSummary":"MARK"}`}, refused(oauth.InvalidClient), refused(oauth.InvalidClient)},
		{"200 with an error, as Keycloak calls a token unknown", standin.Fault{Status: 200, Body: `{"error":"invalid_token","error_description":"Invalid token"}`}, lost, nothing},
		{"1 MiB", standin.Fault{Status: 200, Size: 1 << 20}, lost, nothing},
		{"1 MiB with 400", standin.Fault{Status: 400, Size: 1 << 20}, unavailable, unavailable},
		{"compression that was not asked for", standin.Fault{Gzip: true, Body: bearer}, lost, nothing},
		{"a redirect", standin.Fault{Redirect: "/elsewhere"}, unavailable, unavailable},
		{"a redirect that keeps the form", standin.Fault{Status: 307, Redirect: "/elsewhere"}, unavailable, unavailable},
		{"an answer that drips", standin.Fault{Status: 200, Body: `{"access_token":"MARK"}`, Drip: 50 * time.Millisecond}, lost, lost},
		{"an error that drips", standin.Fault{Status: 400, Body: `{"error":"invalid_grant"}`, Drip: 50 * time.Millisecond}, unavailable, unavailable},
		{"no answer in time", standin.Fault{Delay: time.Hour}, lost, lost},
		{"reset before anything was done", standin.Fault{Cut: standin.BeforeHeaders}, lost, lost},
		{"reset with everything done", standin.Fault{Cut: standin.AfterEffect}, lost, lost},
		{"closed in the middle of the answer", standin.Fault{Status: 200, Body: `{"access_token":"MARK"}`, Cut: standin.AfterHeaders}, lost, lost},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			srv, base := serveStandin(t, func(base string) (*standin.Server, error) {
				return standin.NewRFC7591(standin.RFC7591{URL: base, Clients: appClients(oauth.SecretPost)})
			})
			c := config.Provider{Type: config.RFC7591, Issuer: base}
			if row.fault.Delay > 0 || row.fault.Drip > 0 {
				c.RequestTimeout = 300 * time.Millisecond
			}
			a := applicationAt(t, srv, oauth.SecretPost, c)
			a.server.Break(standin.Token, row.fault)
			a.server.Break(standin.Revoke, row.fault)
			_, err := a.Token(t.Context(), a.refresh(secret.New("MARK")))
			if !row.token(err) {
				t.Errorf("token: got %v", err)
			}
			a.shows(t, err)
			err = a.Revoke(t.Context(), a.auth, secret.New("MARK"), "refresh_token")
			if !row.revoke(err) {
				t.Errorf("revoke: got %v", err)
			}
			a.shows(t, err)
			if got, want := [3]int{a.server.Requests(standin.Token), a.server.Requests(standin.Revoke), a.server.Requests("/elsewhere")}, [3]int{1, 1, 0}; got != want {
				t.Errorf("sent %v times, want %v", got, want)
			}
		})
	}
}

// heard is a transport that keeps what it is sent, and answers everything alike.
type heard struct {
	canned

	header http.Header
	form   string
	target string
}

func (h *heard) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	h.header, h.form, h.target = r.Header, string(body), r.URL.String()
	if err != nil {
		return nil, err
	}
	return h.canned.RoundTrip(r)
}

const bearer = `{"access_token":"at.1","token_type":"Bearer"}`

// configured is a provider whose endpoints are all configured.
func configured(use config.ResourceUse) config.Provider {
	const base = "https://idp.example.com"
	return config.Provider{
		Type: config.PingFederate, Issuer: base, Resource: use,
		Endpoints: config.Endpoints{Authorization: base + "/authorize", Token: base + "/token?tenant=1", Revocation: base + "/revoke"},
	}
}

func TestWhatIsSent(t *testing.T) {
	t.Parallel()
	basic := "Basic YXBwKzE6czNjcmV0JTJCJTI1JTNBJTJGJTI2JTNE" // app+1:s3cret%2B%25%3A%2F%26%3D
	code := provider.TokenRequest{
		GrantType: oauth.AuthorizationCode, Code: secret.New("c&1"), Verifier: secret.New("v"), RedirectURI: callback,
		Resources: []string{"https://a.example.com", "https://b.example.com/?x"},
	}
	redeemed := "code=c%261&code_verifier=v&grant_type=authorization_code&redirect_uri=https%3A%2F%2Fapp.example.com%2Fcb"
	for _, row := range []struct {
		name, method        string
		use                 config.ResourceUse
		request             provider.TokenRequest
		form, authorization string
	}{
		{"a code by Basic", oauth.SecretBasic, config.DropResource, code, redeemed, basic},
		{"a code by a secret in the form", oauth.SecretPost, config.DropResource, code, "client_id=app+1&client_secret=s3cret%2B%25%3A%2F%26%3D&" + redeemed, ""},
		{"a code of a public client", oauth.PublicClient, config.DropResource, code, "client_id=app+1&" + redeemed, ""},
		{"resources as they are", oauth.SecretBasic, config.PassResource, code, redeemed + "&resource=https%3A%2F%2Fa.example.com&resource=https%3A%2F%2Fb.example.com%2F%3Fx", basic},
		{"resources as audiences", oauth.SecretBasic, config.ResourceAsAudience, code, "audience=https%3A%2F%2Fa.example.com&audience=https%3A%2F%2Fb.example.com%2F%3Fx&" + redeemed, basic},
		{"no resources", oauth.SecretBasic, config.PassResource, provider.TokenRequest{GrantType: oauth.ClientCredentials, Scope: "a b"}, "grant_type=client_credentials&scope=a+b", basic},
		{"a refresh token", oauth.SecretBasic, config.PassResource, provider.TokenRequest{GrantType: oauth.RefreshToken, RefreshToken: secret.New("r+1")}, "grant_type=refresh_token&refresh_token=r%2B1", basic},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			h := &heard{canned: canned{200, bearer}}
			p := using(t, configured(row.use), provider.Environment{HTTP: &http.Client{Transport: h}})
			row.request.Client = provider.ClientAuth{ClientID: appID, Secret: secret.New(appSecret), Method: row.method}
			if _, err := p.Token(t.Context(), row.request); err != nil {
				t.Fatal(err)
			}
			if h.form != row.form || h.header.Get("Authorization") != row.authorization || h.target != "https://idp.example.com/token?tenant=1" {
				t.Errorf("got %q by %q at %s\nwant %q by %q", h.form, h.header.Get("Authorization"), h.target, row.form, row.authorization)
			}
			if got, want := h.header.Get("Content-Type"), "application/x-www-form-urlencoded"; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
	h := &heard{canned: canned{200, ""}}
	p := using(t, configured(config.PassResource), provider.Environment{HTTP: &http.Client{Transport: h}})
	auth := provider.ClientAuth{ClientID: appID, Method: oauth.PublicClient}
	if err := p.Revoke(t.Context(), auth, secret.New("t+1"), "refresh_token"); err != nil || h.form != "client_id=app+1&token=t%2B1&token_type_hint=refresh_token" {
		t.Errorf("revoking: got %q, %v", h.form, err)
	}
}

func TestWhatIsNotSent(t *testing.T) {
	t.Parallel()
	h := &heard{canned: canned{200, bearer}}
	p := using(t, configured(config.PassResource), provider.Environment{HTTP: &http.Client{Transport: h}})
	for _, method := range []string{"", "private_key_jwt", "client_secret_jwt", "tls_client_auth", "NONE"} {
		auth := provider.ClientAuth{ClientID: appID, Secret: secret.New(appSecret), Method: method}
		_, err := p.Token(t.Context(), provider.TokenRequest{Client: auth, GrantType: oauth.ClientCredentials})
		if revoked := p.Revoke(t.Context(), auth, secret.New("t"), ""); !unsupported(err) || !unsupported(revoked) {
			t.Errorf("%q: got %v and %v, want %v", method, err, revoked, provider.ErrUnsupported)
		}
	}
	if h.target != "" {
		t.Errorf("a request was sent to %s", h.target)
	}
}

func TestNobodyThereMeansThatNothingIsSpent(t *testing.T) {
	t.Parallel()
	hs := httptest.NewServer(http.NotFoundHandler())
	hs.Close()
	p := using(t, config.Provider{Type: config.Okta, Issuer: hs.URL}, provider.Environment{HTTP: fetch.NewClient()})
	auth := provider.ClientAuth{ClientID: appID, Method: oauth.PublicClient}
	if _, err := p.Token(t.Context(), provider.TokenRequest{Client: auth}); !unavailable(err) {
		t.Errorf("got %v, want %v", err, provider.ErrUnavailable)
	}
}

func TestEachTokenRequestHasAConnectionOfItsOwn(t *testing.T) {
	t.Parallel()
	var from []string
	hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from = append(from, r.RemoteAddr)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, bearer)
	}))
	t.Cleanup(hs.Close)
	p := using(t, config.Provider{Type: config.Okta, Issuer: hs.URL}, provider.Environment{HTTP: fetch.NewClient()})
	auth := provider.ClientAuth{ClientID: appID, Method: oauth.PublicClient}
	for range 2 {
		if _, err := p.Token(t.Context(), provider.TokenRequest{Client: auth}); err != nil {
			t.Fatal(err)
		}
	}
	if from[0] == from[1] {
		t.Error("a connection that may have died meanwhile is used again")
	}
}

func TestW8TokenAnswersAreJudged(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, body string
		want       func(error) bool
		tokens     string // what is read, in Go's words
	}{
		{"the least there can be", bearer, nothing, "at.1 - 0s false "},
		{"everything", `{"access_token":"at.1","token_type":"bearer","expires_in":300,"refresh_token":"r 1","scope":"a b","id_token":"x","not-before-policy":0}`, nothing, "at.1 r 1 5m0s true a b"},
		{"BEARER in capitals", `{"access_token":"at.1","token_type":"BEARER"}`, nothing, "at.1 - 0s false "},
		{"members with null", `{"access_token":"at.1","token_type":"Bearer","expires_in":null,"refresh_token":null,"scope":null}`, nothing, "at.1 - 0s false "},
		{"seconds as text", `{"access_token":"at.1","token_type":"Bearer","expires_in":"3600"}`, nothing, "at.1 - 1h0m0s false "},
		{"seconds with a fraction", `{"access_token":"at.1","token_type":"Bearer","expires_in":59.9}`, nothing, "at.1 - 59s false "},
		{"seconds in the notation of scientists", `{"access_token":"at.1","token_type":"Bearer","expires_in":6e1}`, nothing, "at.1 - 1m0s false "},
		{"a life longer than a century", `{"access_token":"at.1","token_type":"Bearer","expires_in":1e300}`, nothing, "at.1 - 876000h0m0s false "},
		{"a scope as a list", `{"access_token":"at.1","token_type":"Bearer","scope":["a","b"]}`, nothing, "at.1 - 0s true a b"},
		{"no scope at all", `{"access_token":"at.1","token_type":"Bearer","scope":""}`, nothing, "at.1 - 0s true "},
		{"negative seconds", `{"access_token":"at.1","token_type":"Bearer","expires_in":-1}`, lost, ""},
		{"seconds that are no number", `{"access_token":"at.1","token_type":"Bearer","expires_in":"soon"}`, lost, ""},
		{"seconds that are not a number", `{"access_token":"at.1","token_type":"Bearer","expires_in":"NaN"}`, lost, ""},
		{"seconds that no number can hold", `{"access_token":"at.1","token_type":"Bearer","expires_in":1e999}`, lost, ""},
		{"seconds as a list", `{"access_token":"at.1","token_type":"Bearer","expires_in":[60]}`, lost, ""},
		{"a DPoP token", `{"access_token":"at.1","token_type":"DPoP"}`, lost, ""},
		{"no token type", `{"access_token":"at.1"}`, lost, ""},
		{"no token", `{"token_type":"Bearer"}`, lost, ""},
		{"an empty token", `{"access_token":"","token_type":"Bearer"}`, lost, ""},
		{"a token that no header can carry", `{"access_token":"MARK MARK","token_type":"Bearer"}`, lost, ""},
		{"a token with a line break", `{"access_token":"MARK\r\nX: y","token_type":"Bearer"}`, lost, ""},
		{"a token of 9 KiB", `{"access_token":"` + strings.Repeat("x", 9<<10) + `","token_type":"Bearer"}`, lost, ""},
		{"a token that is a number", `{"access_token":1,"token_type":"Bearer"}`, lost, ""},
		{"two tokens", `{"access_token":"MARK","access_token":"at.1","token_type":"Bearer"}`, lost, ""},
		{"two documents", bearer + bearer, lost, ""},
		{"a list", `[` + bearer + `]`, lost, ""},
		{"a scope with a quote", `{"access_token":"at.1","token_type":"Bearer","scope":"a\"MARK"}`, lost, ""},
		{"an answer of more than 64 KiB", `{"access_token":"at.1","token_type":"Bearer","x":"` + strings.Repeat("x", 64<<10) + `"}`, lost, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got, err := answered(t, 200, row.body)
			if !row.want(err) {
				t.Fatalf("got %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "MARK") {
				t.Errorf("the answer is quoted: %v", err)
			}
			refresh := got.RefreshToken.Reveal()
			if refresh == "" {
				refresh = "-"
			}
			text := fmt.Sprint(got.AccessToken.Reveal(), " ", refresh, " ", got.ExpiresIn, " ", got.ScopeTold, " ", got.Scope)
			if err == nil && text != row.tokens {
				t.Errorf("got %s, want %s", text, row.tokens)
			}
		})
	}
}

// answered asks a provider for a token that answers with this.
func answered(t *testing.T, status int, body string) (provider.Tokens, error) {
	t.Helper()
	p := using(t, configured(config.PassResource), provider.Environment{HTTP: &http.Client{Transport: canned{status, body}}})
	return p.Token(t.Context(), provider.TokenRequest{
		Client: provider.ClientAuth{ClientID: appID, Secret: secret.New(appSecret), Method: oauth.SecretPost}, GrantType: oauth.ClientCredentials,
	})
}

func FuzzTokenResponse(f *testing.F) {
	for _, body := range []string{
		bearer, `{"access_token":"at.1","token_type":"bearer","expires_in":"60","refresh_token":"r","scope":["a"]}`, `{"access_token":null}`,
		`{"access_token":"a","token_type":"Bearer","expires_in":-0}`, `{"access_token":"a","ACCESS_TOKEN":"b","token_type":"Bearer"}`,
		`{"error":"invalid_grant","error_description":"MARK"}`, `{"errorCode":"invalid_client"}`, `{`, ``, `[]`, `null`,
	} {
		f.Add(200, body)
		f.Add(400, body)
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 {
			return
		}
		got, err := answered(t, status, body)
		if err != nil {
			if strings.Contains(err.Error(), "MARK") {
				t.Errorf("the answer is quoted: %v", err)
			}
			if got.AccessToken.Reveal() != "" || got.RefreshToken.Reveal() != "" {
				t.Error("there are tokens with an error")
			}
			_, refused := errors.AsType[*provider.GrantError](err)
			if refused == errors.Is(err, provider.ErrUnavailable) || status < 300 && !lost(err) {
				t.Errorf("%d: got %v", status, err)
			}
			return
		}
		if status > 299 || oauth.CheckToken(got.AccessToken.Reveal()) != nil || got.ExpiresIn < 0 || !got.ScopeTold && got.Scope != "" {
			t.Errorf("%d: got %s, %+v", status, got.AccessToken.Reveal(), got)
		}
		for _, scope := range oauth.SplitScope(got.Scope) {
			if !oauth.ValidScope(scope) {
				t.Errorf("got the scope %q", scope)
			}
		}
	})
}

// TestF11FailingEndpointsFailFast has a token endpoint fail, and all applications
// use it.
func TestF11FailingEndpointsFailFast(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	srv, base := serveStandin(t, func(base string) (*standin.Server, error) {
		return standin.NewRFC7591(standin.RFC7591{URL: base, Clients: appClients(oauth.SecretBasic), Keys: signingKeys(t)})
	})
	start := func() *application {
		a := applicationAt(t, srv, oauth.SecretBasic, config.Provider{Type: config.RFC7591, Issuer: base})
		a.Provider = using(t, config.Provider{Type: config.RFC7591, Issuer: base}, provider.Environment{
			HTTP: fetch.NewClient(), Now: func() time.Time { return now },
		})
		return a
	}
	// asked reports how many of n requests reach the endpoint.
	asked := func(a *application, n int) int {
		before := a.server.Requests(standin.Token)
		for range n {
			_, _ = a.Token(t.Context(), a.forItself("orders:read"))
		}
		return a.server.Requests(standin.Token) - before
	}
	for name, f := range map[string]standin.Fault{"500": {Status: 500}, "garbage": {Body: standin.Garbage}, "no answer": {Cut: standin.BeforeHeaders}} {
		a := start()
		a.server.Break(standin.Token, f)
		if got := asked(a, 20); got != 5 {
			t.Errorf("%s: asked %d times, want 5", name, got)
		}
		if _, err := a.Token(t.Context(), a.forItself("orders:read")); !unavailable(err) {
			t.Errorf("%s: what is not sent is not spent: got %v", name, err)
		}
		if err := a.Revoke(t.Context(), a.auth, secret.New("t"), ""); err != nil {
			t.Errorf("%s: the other endpoint is not asked, either: %v", name, err)
		}
		now = now.Add(5 * time.Second)
		if got := asked(a, 5); got != 1 {
			t.Errorf("%s: after the pause asked %d times, want one probe", name, got)
		}
		now = now.Add(5 * time.Second)
		a.server.Mend()
		if got := asked(a, 3); got != 3 {
			t.Errorf("%s: after it came back asked %d times, want 3", name, got)
		}
	}
	for name, f := range map[string]standin.Fault{
		"refusals": {Status: 400, Body: `{"error":"invalid_grant"}`}, "429": {Status: 429, Header: map[string]string{"Retry-After": "30"}},
		"404": {Status: 404, Body: standin.Garbage}, "401 without a body": {Status: 401, Body: " "}, "a redirect": {Redirect: "/elsewhere"},
	} {
		a := start()
		a.server.Break(standin.Token, f)
		if got := asked(a, 10); got != 10 {
			t.Errorf("%s: one application's refusals keep others out: asked %d times, want 10", name, got)
		}
	}
	a := start()
	a.server.Break(standin.Token, standin.Fault{Status: 503, Header: map[string]string{"Retry-After": "20"}})
	if got := asked(a, 5); got != 1 {
		t.Errorf("told to wait: asked %d times, want 1", got)
	}
}

func TestCallersWhoGiveUpDoNotKeepOthersOut(t *testing.T) {
	t.Parallel()
	a := atPlain(t, oauth.SecretBasic)
	a.server.Break(standin.Token, standin.Fault{Delay: time.Hour})
	for range 6 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		_, err := a.Token(ctx, a.forItself("orders:read"))
		cancel()
		if !errors.Is(err, provider.ErrUnavailable) {
			t.Errorf("got %v, want %v", err, provider.ErrUnavailable)
		}
	}
	a.server.Mend()
	if _, err := a.Token(t.Context(), a.forItself("orders:read")); err != nil {
		t.Error(err)
	}
}

func TestAuthorizationURL(t *testing.T) {
	t.Parallel()
	const base = "https://idp.example.com"
	challenge := oauth.Challenge(strings.Repeat("v", 43))
	asked := provider.Authorization{
		ClientID: appID, RedirectURI: callback, State: appState, Challenge: challenge, Scope: "a b", Resources: []string{"https://a.example.com"},
	}
	with := func(change func(*provider.Authorization)) provider.Authorization {
		a := asked
		change(&a)
		return a
	}
	fixed := "client_id=app+1&code_challenge=" + challenge + "&code_challenge_method=S256&redirect_uri=https%3A%2F%2Fapp.example.com%2Fcb"
	rest := "&response_type=code&scope=a+b&state=state%261"
	for _, row := range []struct {
		name   string
		config config.Provider
		asks   provider.Authorization
		want   string
	}{
		{"a resource that is dropped", config.Provider{Type: config.Keycloak, Resource: config.DropResource}, asked, "/protocol/openid-connect/auth?" + fixed + rest},
		{"a resource that is passed", config.Provider{Type: config.Okta, Resource: config.PassResource}, asked, "/oauth2/v1/authorize?" + fixed + "&resource=https%3A%2F%2Fa.example.com" + rest},
		{"a resource that is an audience", config.Provider{Type: config.Okta, Resource: config.ResourceAsAudience}, asked, "/oauth2/v1/authorize?audience=https%3A%2F%2Fa.example.com&" + fixed + rest},
		{"no scope", config.Provider{Type: config.Okta}, with(func(a *provider.Authorization) { a.Scope = "" }), "/oauth2/v1/authorize?" + fixed + "&response_type=code&state=state%261"},
		{"an endpoint with a query", config.Provider{Type: config.Okta, Endpoints: config.Endpoints{Authorization: base + "/a?acr=2;b"}}, asked, "/a?acr=2;b&" + fixed + rest},
		{"a refresh token of Okta", config.Provider{Type: config.Okta}, with(func(a *provider.Authorization) { a.Offline = true }), "/oauth2/v1/authorize?" + fixed + "&response_type=code&scope=a+b+offline_access&state=state%261"},
		{"a refresh token of Okta, and no scope", config.Provider{Type: config.Okta}, with(func(a *provider.Authorization) { a.Offline, a.Scope = true, "" }), "/oauth2/v1/authorize?" + fixed + "&response_type=code&scope=offline_access&state=state%261"},
		{"a refresh token of Keycloak", config.Provider{Type: config.Keycloak}, with(func(a *provider.Authorization) { a.Offline = true }), "/protocol/openid-connect/auth?" + fixed + rest},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			row.config.Issuer = base
			p := using(t, row.config, provider.Environment{HTTP: &http.Client{Transport: canned{500, ""}}})
			got, err := p.AuthorizationURL(t.Context(), row.asks)
			if err != nil || got != base+row.want {
				t.Errorf("got %s, %v\nwant %s", got, err, base+row.want)
			}
		})
	}
	p := using(t, config.Provider{Type: config.Okta, Issuer: base}, provider.Environment{HTTP: &http.Client{}})
	for name, a := range map[string]provider.Authorization{
		"without a state":               with(func(a *provider.Authorization) { a.State = "" }),
		"without a challenge":           with(func(a *provider.Authorization) { a.Challenge = "" }),
		"with a verifier for challenge": with(func(a *provider.Authorization) { a.Challenge = strings.Repeat("v", 44) }),
	} {
		if got, err := p.AuthorizationURL(t.Context(), a); err == nil {
			t.Errorf("%s: got %s, want an error", name, got)
		}
	}
}

func TestMetadataOfAnAuthorizationServer(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, more   string
		registered   string
		to           string // the beginning of the authorization URL; "" when want says why there is none
		want         func(error) bool
		sends, offer bool
	}{
		{"its endpoint", `,"authorization_endpoint":"BASE/a"`, "", "/a?", nothing, false, false},
		{"it sends iss", `,"authorization_endpoint":"BASE/a","authorization_response_iss_parameter_supported":true`, "", "/a?", nothing, true, false},
		{"it says that it does not", `,"authorization_endpoint":"BASE/a","authorization_response_iss_parameter_supported":false`, "", "/a?", nothing, false, false},
		{"it says so in words, which is no promise", `,"authorization_endpoint":"BASE/a","authorization_response_iss_parameter_supported":"true"`, "", "/a?", nothing, false, false},
		{"it has offline_access", `,"authorization_endpoint":"BASE/a","scopes_supported":["openid",1,"offline_access","a"]`, "", "/a?", nothing, false, true},
		{"it has offline_access, and the client may have it", `,"authorization_endpoint":"BASE/a","scopes_supported":["offline_access"]`, "a offline_access", "/a?", nothing, false, true},
		{"it has offline_access, and the client may not have it", `,"authorization_endpoint":"BASE/a","scopes_supported":["offline_access"]`, "a", "/a?", nothing, false, false},
		{"members that are not of their type", `,"authorization_endpoint":"BASE/a","revocation_endpoint":null,"jwks_uri":1,"scopes_supported":"offline_access"`, "", "/a?", nothing, false, false},
		{"an endpoint over plain http to another host", `,"authorization_endpoint":"http://example.com/a"`, "", "", unsupported, false, false},
		{"no endpoint", ``, "", "", unsupported, false, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			base, _ := metadata(t, map[string]string{"/.well-known/openid-configuration": `{"issuer":"BASE"` + row.more + `}`})
			p := using(t, config.Provider{Type: config.RFC7591, Issuer: base}, provider.Environment{HTTP: fetch.NewClient()})
			got, err := p.AuthorizationURL(t.Context(), provider.Authorization{
				ClientID: "app", State: "s", Challenge: oauth.Challenge("v"), Offline: true, Registered: row.registered,
			})
			if !row.want(err) || err == nil && !strings.HasPrefix(got, base+row.to) {
				t.Errorf("got %s, %v", got, err)
			}
			// OpenID Connect Core §11: who asks for offline access asks for consent.
			if asks := strings.Contains(got, "&prompt=consent&response_type=code&scope=offline_access&"); asks != row.offer {
				t.Errorf("asks for offline access: got %t, want %t", asks, row.offer)
			}
			if sends, err := p.SendsIssuer(t.Context()); err != nil || sends != row.sends {
				t.Errorf("sends iss: got %t, %v, want %t", sends, err, row.sends)
			}
			auth := provider.ClientAuth{ClientID: "app", Method: oauth.PublicClient}
			if err := p.Revoke(t.Context(), auth, secret.New("t"), ""); !unsupported(err) {
				t.Errorf("revoking without an endpoint: got %v, want %v", err, provider.ErrUnsupported)
			}
		})
	}
}

func TestProviderWithoutMetadataIsUnavailable(t *testing.T) {
	t.Parallel()
	base, _ := metadata(t, nil)
	p := using(t, config.Provider{Type: config.RFC7591, Issuer: base}, provider.Environment{HTTP: fetch.NewClient()})
	_, authorizeErr := p.AuthorizationURL(t.Context(), provider.Authorization{ClientID: "app", State: "s", Challenge: oauth.Challenge("v")})
	sends, issuerErr := p.SendsIssuer(t.Context())
	_, tokenErr := p.Token(t.Context(), provider.TokenRequest{Client: provider.ClientAuth{ClientID: "app", Method: oauth.PublicClient}})
	for what, err := range map[string]error{"authorize": authorizeErr, "iss": issuerErr, "token": tokenErr} {
		if !unavailable(err) || sends {
			t.Errorf("%s: got %v, want %v", what, err, provider.ErrUnavailable)
		}
	}
}
