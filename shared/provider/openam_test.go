package provider_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/shared/config"
	"gatehouse/shared/fetch"
	"gatehouse/shared/provider"
	"gatehouse/shared/secret"
	"gatehouse/shared/standin"
	"gatehouse/shared/token"
)

// adminFile writes a secret that holds an administrator's sign-in and whatever
// else registers.
func adminFile(t *testing.T, password, more string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret.json")
	if err := os.WriteFile(path, fmt.Appendf(nil, `{"username":"amadmin","password":%q%s}`, password, more), 0o600); err != nil {
		t.Fatal(err)
	}
	return "file:" + path
}

func newOpenAM(t *testing.T, o standin.OpenAM, adminSecret string) plain {
	t.Helper()
	srv, url := serveStandin(t, func(url string) (*standin.Server, error) {
		o.URL, o.User, o.Password = url, "amadmin", "p w"
		o.Clients = []standin.Client{{ID: "gatehouse", Secret: "s3cret", GrantTypes: []string{standin.ClientCredentials}}}
		return standin.NewOpenAM(o)
	})
	c := config.Provider{Type: config.OpenAM, Issuer: url + "/openam/oauth2", AdminSecret: adminSecret}
	return plain{Server: srv, Provider: registering(t, c), url: url, token: url + "/openam/oauth2/access_token"}
}

const (
	openAMAgents = "/openam/json/realms/root/realm-config/agents/OAuth2Client/"
	openAMLogin  = standin.Endpoint("/openam/json/authenticate")
	openAMPrefix = "com.forgerock.openam.oauth2provider."
)

// administer changes attributes of a client as an administrator does, and
// returns all of them.
func (s plain) administer(t *testing.T, id string, attributes map[string]any) map[string]any {
	t.Helper()
	session, _ := s.rest(t, http.MethodPost, string(openAMLogin), nil, http.Header{"X-Openam-Username": {"amadmin"}, "X-Openam-Password": {"p w"}})["tokenId"].(string)
	return s.rest(t, http.MethodPut, openAMAgents+id, attributes, http.Header{"Iplanetdirectorypro": {session}, "If-Match": {"*"}})
}

func (s plain) rest(t *testing.T, method, place string, body map[string]any, header http.Header) map[string]any {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req := httptest.NewRequestWithContext(t.Context(), method, place, bytes.NewReader(text))
	maps.Copy(req.Header, header)
	req.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	s.ServeHTTP(rec, req)
	var answer map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil || rec.Code != http.StatusOK {
		t.Fatalf("%s %s: got %d %s", method, place, rec.Code, rec.Body)
	}
	return answer
}

func TestOpenAMClientLives(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]standin.OpenAM{"opaque tokens": {Open: true}, "stateless tokens": {Open: true, Stateless: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newOpenAM(t, o, adminFile(t, "p w", ""))
			asked := web("app 7f3a")
			asked.Scope, asked.JWKS = "orders:read", []byte(`{"keys":[]}`)
			made, err := s.CreateClient(t.Context(), asked)
			if err != nil {
				t.Fatal(err)
			}
			if tokenStatus(t, s.token, made) != 200 || !slices.Equal(s.Registered("app")[0].Scopes, []string{"orders:read"}) {
				t.Errorf("created: %+v as %+v", made, s.Registered("app"))
			}
			if made.Management.Reveal() != "" {
				t.Error("created: the registration access token is an access token, and nothing needs it")
			}
			if _, err := s.CreateClient(t.Context(), asked); !errors.Is(err, provider.ErrNameTaken) {
				t.Errorf("created again: got %v, want %v", err, provider.ErrNameTaken)
			}
			if read, err := s.ReadClient(t.Context(), made); err != nil || !slices.Equal(read.RedirectURIs, asked.RedirectURIs) ||
				read.Name != asked.Name || read.Scope != asked.Scope || string(read.JWKS) != string(asked.JWKS) || !read.Secret.Equal(made.Secret) {
				t.Errorf("read: %+v, %v", read, err)
			}
			change := asked
			change.ClientID, change.RedirectURIs, change.Scope, change.JWKS = made.ClientID, []string{callback + "2", callback}, "orders:write orders:read", nil
			if changed, err := s.UpdateClient(t.Context(), change); err != nil || !slices.Equal(changed.RedirectURIs, change.RedirectURIs) ||
				changed.Scope != change.Scope || changed.JWKS != nil || changed.Secret.Reveal() != "" {
				t.Errorf("changed: %+v, %v", changed, err)
			}
			if got := tokenStatus(t, s.token, made); got != 200 {
				t.Errorf("token after the update: got %d", got)
			}
			rotated, err := s.RotateSecret(t.Context(), made)
			if err != nil || rotated.OldValidUntil.IsZero() {
				t.Fatalf("rotated: %+v, %v", rotated, err)
			}
			if tokenStatus(t, s.token, made) != 401 || tokenStatus(t, s.token, rotated.Client) != 200 {
				t.Error("the old secret still works, or the new one does not")
			}
			if found, ok, err := s.FindClient(t.Context(), "app 7f3a"); err != nil || !ok || found.ClientID != made.ClientID || found.Name != asked.Name {
				t.Errorf("found: %+v, %v, %v", found, ok, err)
			}
			for range 2 {
				if err := s.DeleteClient(t.Context(), made); err != nil {
					t.Error(err)
				}
			}
			if _, ok, err := s.FindClient(t.Context(), "app 7f3a"); ok || err != nil {
				t.Errorf("after the deletion: %v, %v", ok, err)
			}
			_, rotateErr := s.RotateSecret(t.Context(), made)
			for what, err := range map[string]error{
				"read":   second(s.ReadClient(t.Context(), made)),
				"update": second(s.UpdateClient(t.Context(), change)),
				"rotate": rotateErr,
			} {
				if !errors.Is(err, provider.ErrGone) || len(s.Registered("app")) > 0 {
					t.Errorf("%s after the deletion: got %v and %d clients, want %v and none", what, err, len(s.Registered("app")), provider.ErrGone)
				}
			}
			if got := s.Requests(openAMLogin); got != 1 {
				t.Errorf("signed in %d times, want once", got)
			}
		})
	}
}

// TestOpenAMUpdateKeepsWhatIsNotOurs: a scope is taken away from the default
// scopes as well, since OpenAM grants those to whoever asks for none.
func TestOpenAMUpdateKeepsWhatIsNotOurs(t *testing.T) {
	t.Parallel()
	s := newOpenAM(t, standin.OpenAM{Open: true}, adminFile(t, "p w", ""))
	asked := service("svc")
	asked.Scope = "orders:read orders:write"
	c, err := s.CreateClient(t.Context(), asked)
	if err != nil {
		t.Fatal(err)
	}
	theirs := map[string]any{"isConsentImplied": true, openAMPrefix + "accessTokenLifeTime": 120.0, openAMPrefix + "contacts": []any{"[0]=ops"}}
	set := map[string]any{
		openAMPrefix + "scopes":        []any{"[1]=orders:read|de|Lesen", "[0]=orders:read|en|Read your orders", "[2]=orders:write"},
		openAMPrefix + "defaultScopes": []any{"[0]=orders:write", "[1]=orders:read"},
	}
	maps.Copy(set, theirs)
	s.administer(t, c.ClientID, set)
	if read, err := s.ReadClient(t.Context(), c); err != nil || read.Scope != asked.Scope {
		t.Errorf("read: got %+v, %v, want scope %q", read, err, asked.Scope)
	}
	asked.ClientID, asked.Scope = c.ClientID, "orders:read"
	if changed, err := s.UpdateClient(t.Context(), asked); err != nil || changed.Scope != "orders:read" {
		t.Fatalf("got %+v, %v", changed, err)
	}
	held := s.administer(t, c.ClientID, map[string]any{})
	theirs[openAMPrefix+"scopes"] = []any{"[0]=orders:read|en|Read your orders", "[1]=orders:read|de|Lesen"}
	theirs[openAMPrefix+"defaultScopes"] = []any{"[0]=orders:read"}
	for name, want := range theirs {
		if fmt.Sprint(held[name]) != fmt.Sprint(want) {
			t.Errorf("%s: got %v, want %v", name, held[name], want)
		}
	}
	if got := tokenStatus(t, s.token, c); got != 200 {
		t.Errorf("token after the update: got %d", got)
	}
}

// TestOpenAMSecretsFollowTheMethod: OpenAM lets in whoever has a secret, even
// when the client is to authenticate otherwise.
func TestOpenAMSecretsFollowTheMethod(t *testing.T) {
	t.Parallel()
	s := newOpenAM(t, standin.OpenAM{Open: true}, adminFile(t, "p w", ""))
	held, err := s.CreateClient(t.Context(), service("svc"))
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, method, keysURI string
		secret                bool // a new one comes back
	}{
		{"a secret is kept while the method has one", "client_secret_basic", "", false},
		{"it ends when there are keys", "private_key_jwt", "https://app.example.com/jwks", false},
		{"nothing happens while there is none", "private_key_jwt", "https://app.example.com/jwks", false},
		{"and there is another one afterwards", "client_secret_basic", "", true},
	} {
		change := service("svc")
		change.ClientID, change.TokenEndpointAuthMethod, change.JWKSURI = held.ClientID, row.method, row.keysURI
		changed, err := s.UpdateClient(t.Context(), change)
		if err != nil || (changed.Secret.Reveal() != "") != row.secret || changed.JWKSURI != row.keysURI {
			t.Fatalf("%s: got %+v, %v", row.name, changed, err)
		}
		if row.secret {
			held.Secret = changed.Secret
		}
		want := http.StatusOK
		if row.keysURI != "" {
			want = http.StatusUnauthorized
		}
		if got := tokenStatus(t, s.token, held); got != want {
			t.Errorf("%s: a token: got %d, want %d", row.name, got, want)
		}
	}
	for method, more := range map[string]provider.Client{"none": {GrantTypes: []string{"authorization_code"}}, "private_key_jwt": {JWKS: []byte(`{"keys":[]}`)}} {
		c := web("without " + method)
		c.TokenEndpointAuthMethod, c.JWKS = method, more.JWKS
		if more.GrantTypes != nil {
			c.GrantTypes = more.GrantTypes
		}
		if made, err := s.CreateClient(t.Context(), c); err != nil || made.Secret.Reveal() != "" {
			t.Errorf("%s: got %+v, %v, want no secret", method, made, err)
		}
	}
}

func TestOpenAMChangesThatFail(t *testing.T) {
	t.Parallel()
	const elsewhere = `{"_id":"ID","` + openAMPrefix + `tokenEndPointAuthMethod":"client_secret_basic","` +
		openAMPrefix + `redirectionURIs":["[0]=https://evil.example.com/"]}`
	for _, row := range []struct {
		name   string
		change func(*provider.Client)
		fault  standin.Fault // of the client's place
		want   func(error) bool
	}{
		{"a redirect URI with a fragment", func(c *provider.Client) { c.RedirectURIs = []string{callback + "#f"} }, standin.Fault{}, field("redirect_uris")},
		{"one that is none", func(c *provider.Client) { c.RedirectURIs = []string{"app.example:/cb"} }, standin.Fault{}, field("redirect_uris")},
		{
			"a method that OpenAM does not know",
			func(c *provider.Client) { c.TokenEndpointAuthMethod = "client_secret_jwt" }, standin.Fault{}, field("token_endpoint_auth_method"),
		},
		{"a client that is not there", func(c *provider.Client) { c.ClientID = "gh-none" }, standin.Fault{}, is(provider.ErrGone)},
		{"rights that do not reach", nil, standin.Fault{Status: 403, Body: `{"code":403,"message":"The user has insufficient privileges"}`}, is(provider.ErrAdminCredentials)},
		{"a session that is never taken", nil, standin.Fault{Status: 401, Body: `{"code":401,"message":"Access Denied"}`}, is(provider.ErrAdminCredentials)},
		{"an error of OpenAM's", nil, standin.Fault{Status: 500, Body: `{"code":500}`}, is(provider.ErrUnavailable)},
		{"another client", nil, standin.Fault{Status: 200, Body: `{"_id":"other"}`}, is(provider.ErrUnavailable)},
		{"no client", nil, standin.Fault{Status: 200, Body: `[]`}, is(provider.ErrUnavailable)},
		{"a page", nil, standin.Fault{Status: 404, Body: standin.Garbage}, is(provider.ErrUnavailable)},
		{"what came of it is not as asked", nil, standin.Fault{Status: 200, Body: elsewhere}, func(err error) bool {
			wrong, ok := errors.AsType[*provider.MismatchError](err)
			return ok && wrong.Field == "redirect_uris" && slices.Equal(wrong.Client.RedirectURIs, []string{"https://evil.example.com/"})
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newOpenAM(t, standin.OpenAM{Open: true}, adminFile(t, "p w", ""))
			c, err := s.CreateClient(t.Context(), web("app"))
			if err != nil {
				t.Fatal(err)
			}
			if row.fault.Status != 0 {
				row.fault.Body = strings.ReplaceAll(row.fault.Body, "ID", c.ClientID)
				s.Break(standin.Endpoint(openAMAgents+c.ClientID), row.fault)
			}
			change := web("app")
			change.ClientID = c.ClientID
			if row.change != nil {
				row.change(&change)
			}
			if _, err := s.UpdateClient(t.Context(), change); !row.want(err) {
				t.Errorf("got %v", err)
			}
			if got := s.Registered("app"); len(got) != 1 || !slices.Equal(got[0].RedirectURIs, []string{callback}) || got[0].AuthMethod != standin.Basic {
				t.Errorf("it is now %+v", got)
			}
		})
	}
}

func is(want error) func(error) bool { return func(err error) bool { return errors.Is(err, want) } }

// TestOpenAMLostAnswers: what was sent may have been carried out.
func TestOpenAMLostAnswers(t *testing.T) {
	t.Parallel()
	for method, call := range map[string]func(*testing.T, *provider.Provider, provider.Client) error{
		http.MethodPut: func(t *testing.T, p *provider.Provider, c provider.Client) error {
			t.Helper()
			return second(p.UpdateClient(t.Context(), c))
		},
		http.MethodDelete: func(t *testing.T, p *provider.Provider, c provider.Client) error {
			t.Helper()
			return p.DeleteClient(t.Context(), c)
		},
	} {
		s := newOpenAM(t, standin.OpenAM{Open: true}, adminFile(t, "p w", ""))
		asked := web("app")
		made, err := s.CreateClient(t.Context(), asked)
		if err != nil {
			t.Fatal(err)
		}
		c := config.Provider{
			Name: "idp", Type: config.OpenAM, Issuer: s.url + "/openam/oauth2", AdminSecret: adminFile(t, "p w", ""), Tokens: config.Introspect, RequestTimeout: time.Second,
		}
		env := provider.Environment{HTTP: &http.Client{Transport: deaf(method)}, Secrets: &secret.Manager{}}
		p, err := provider.New(c, env)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.EnableRegistration(c, env); err != nil {
			t.Fatal(err)
		}
		asked.ClientID = made.ClientID
		if err := call(t, p, asked); !errors.Is(err, provider.ErrUncertain) {
			t.Errorf("%s: got %v, want %v", method, err, provider.ErrUncertain)
		}
	}
	s := newOpenAM(t, standin.OpenAM{Open: true}, adminFile(t, "p w", ""))
	s.Break(standin.Clients, standin.Fault{Cut: standin.AfterEffect, Times: 1})
	if _, err := s.CreateClient(t.Context(), web("app")); !errors.Is(err, provider.ErrUncertain) {
		t.Errorf("creation: got %v, want %v", err, provider.ErrUncertain)
	}
	if found, ok, err := s.FindClient(t.Context(), "app"); err != nil || !ok || s.DeleteClient(t.Context(), found) != nil || len(s.Registered("app")) > 0 {
		t.Errorf("found: %+v, %v, %v", found, ok, err)
	}
	// It has 400 with this, and whether there is a client now it does not say.
	s.Break(standin.Clients, standin.Fault{Status: 400, Body: `{"error":"server_error"}`, Times: 1})
	if _, err := s.CreateClient(t.Context(), web("app")); !errors.Is(err, provider.ErrUncertain) {
		t.Errorf("server_error: got %v, want %v", err, provider.ErrUncertain)
	}
}

func TestOpenAMSessionsEnd(t *testing.T) {
	t.Parallel()
	s := newOpenAM(t, standin.OpenAM{Open: true}, adminFile(t, "p w", ""))
	c, err := s.CreateClient(t.Context(), web("app"))
	if err != nil {
		t.Fatal(err)
	}
	s.Break(standin.Endpoint(openAMAgents+c.ClientID), standin.Fault{Status: 401, Body: `{"code":401,"message":"Access Denied"}`, Times: 1})
	if _, err := s.ReadClient(t.Context(), c); err != nil {
		t.Errorf("read: %v", err)
	}
	if got := s.Requests(openAMLogin); got != 2 {
		t.Errorf("signed in %d times, want twice", got)
	}
	s = newOpenAM(t, standin.OpenAM{Open: true}, adminFile(t, "p w", ""))
	s.Break(openAMLogin, standin.Fault{Cut: standin.BeforeHeaders})
	if _, err := s.CreateClient(t.Context(), web("app")); !errors.Is(err, provider.ErrUnavailable) || errors.Is(err, provider.ErrUncertain) || len(s.Registered("app")) > 0 {
		t.Errorf("an administrator who cannot sign in: got %v and %+v, want %v and no client", err, s.Registered("app"), provider.ErrUnavailable)
	}
}

// served is a transport to a handler, without a network.
type served struct{ http.Handler }

func (s served) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r = r.Clone(r.Context())
		r.Body = http.NoBody
	}
	rec := httptest.NewRecorder()
	s.ServeHTTP(rec, r)
	return rec.Result(), nil
}

// TestOpenAMRenewsTheAdministrator: a password that was rotated is read again
// when the old one is refused. It has letters that a header cannot carry as they
// are.
func TestOpenAMRenewsTheAdministrator(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const base, password = "https://am.example.com", "pä ss=?wö"
		s, err := standin.NewOpenAM(standin.OpenAM{URL: base, User: "amadmin", Password: password, Open: true, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		file := adminFile(t, "old", "")
		c := config.Provider{Name: "idp", Type: config.OpenAM, Issuer: base + "/openam/oauth2", AdminSecret: file, Tokens: config.Introspect, RequestTimeout: time.Second}
		env := provider.Environment{HTTP: &http.Client{Transport: served{s}}, Secrets: &secret.Manager{}}
		p, err := provider.New(c, env)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.EnableRegistration(c, env); err != nil {
			t.Fatal(err)
		}
		if _, err := p.CreateClient(t.Context(), service("svc")); !errors.Is(err, provider.ErrAdminCredentials) || len(s.Registered("svc")) > 0 {
			t.Errorf("with the old password: got %v and %+v, want %v and no client", err, s.Registered("svc"), provider.ErrAdminCredentials)
		}
		if err := os.WriteFile(strings.TrimPrefix(file, "file:"), fmt.Appendf(nil, `{"username":"amadmin","password":%q}`, password), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(11 * time.Second) // the secret is read again at most once in ten
		if _, err := p.CreateClient(t.Context(), service("svc")); err != nil {
			t.Errorf("with the new password: %v", err)
		}
	})
}

func TestOpenAMWithoutAnAdministrator(t *testing.T) {
	t.Parallel()
	s := newOpenAM(t, standin.OpenAM{Open: true}, "")
	if can := s.Capabilities(); can.Update || can.Delete || can.Find || can.Rotate || !can.Create || !can.Read {
		t.Errorf("got %+v", can)
	}
	if err := s.DeleteClient(t.Context(), provider.Client{ClientID: "a"}); !errors.Is(err, provider.ErrUnsupported) {
		t.Errorf("deletion: got %v, want %v", err, provider.ErrUnsupported)
	}
	asked := web("app")
	asked.JWKS = []byte(`{"keys":[]}`)
	c, err := s.CreateClient(t.Context(), asked)
	if err != nil {
		t.Fatal(err)
	}
	if read, err := s.ReadClient(t.Context(), c); err != nil || !slices.Equal(read.RedirectURIs, asked.RedirectURIs) || string(read.JWKS) != string(asked.JWKS) {
		t.Errorf("read: got %+v, %v", read, err)
	}
	if _, err := s.CreateClient(t.Context(), asked); !field("")(err) {
		t.Errorf("created again: got %v, want a MetadataError", err)
	}
	gone := c
	gone.ClientID = "gh-none"
	if _, err := s.ReadClient(t.Context(), gone); !errors.Is(err, provider.ErrGone) {
		t.Errorf("a client that is not there: got %v, want %v", err, provider.ErrGone)
	}
	c.Management = secret.Value{}
	if _, err := s.ReadClient(t.Context(), c); !errors.Is(err, provider.ErrUnavailable) {
		t.Errorf("without the token: got %v, want %v", err, provider.ErrUnavailable)
	}
}

func TestOpenAMRefusals(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, password, more string
		open                 bool
		change               func(*provider.Client)
		want                 func(error) bool
	}{
		{name: "a wrong password", password: "wrong", open: true, want: is(provider.ErrAdminCredentials)},
		{name: "a wrong secret", password: "p w", more: `,"client_id":"gatehouse","client_secret":"wrong"`, want: is(provider.ErrAdminCredentials)},
		{name: "a client without a default scope", password: "p w", more: `,"client_id":"gatehouse","client_secret":"s3cret"`, want: func(err error) bool {
			return errors.Is(err, provider.ErrAdminCredentials) && strings.Contains(err.Error(), "no default scope")
		}},
		{name: "a stale token", password: "p w", more: `,"authorization":"Bearer stale"`, want: is(provider.ErrAdminCredentials)},
		{name: "no token where one is needed", password: "p w", want: is(provider.ErrAdminCredentials)},
		{name: "a scope that there is not", password: "p w", open: true, change: func(c *provider.Client) { c.Scope = "orders:own" }, want: field("scope")},
		{name: "a redirect URI of an app's own", password: "p w", open: true, change: func(c *provider.Client) { c.RedirectURIs = []string{"app:/cb"} }, want: field("redirect_uris")},
		{name: "a response type that there is not", password: "p w", open: true, change: func(c *provider.Client) { c.ResponseTypes = []string{"id_token"} }, want: field("response_types")},
		{
			name: "a method that there is not", password: "p w", open: true,
			change: func(c *provider.Client) { c.TokenEndpointAuthMethod = "tls_client_auth" }, want: field("token_endpoint_auth_method"),
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newOpenAM(t, standin.OpenAM{Open: row.open}, adminFile(t, row.password, row.more))
			c := service("svc")
			if row.change != nil {
				row.change(&c)
			}
			if _, err := s.CreateClient(t.Context(), c); !row.want(err) || len(s.Registered("svc")) > 0 {
				t.Errorf("got %v and %+v", err, s.Registered("svc"))
			}
		})
	}
	s := newOpenAM(t, standin.OpenAM{Open: true}, secretFile(t, "Bearer token"))
	if _, err := s.CreateClient(t.Context(), service("svc")); !errors.Is(err, provider.ErrAdminCredentials) || len(s.Registered("svc")) > 0 {
		t.Errorf("nobody to delete it again: got %v and %v, want %v and no client", err, s.Registered("svc"), provider.ErrAdminCredentials)
	}
}

func TestOpenAMRegistersWithATokenOfItsOwn(t *testing.T) {
	t.Parallel()
	s := newOpenAM(t, standin.OpenAM{DefaultScopes: map[string][]string{"gatehouse": {"orders:read"}}}, adminFile(t, "p w", `,"client_id":"gatehouse","client_secret":"s3cret"`))
	asked := service("svc")
	if made, err := s.CreateClient(t.Context(), asked); err != nil || tokenStatus(t, s.token, made) != 200 {
		t.Errorf("got %+v, %v", made, err)
	}
}

// FuzzOpenAMAgents has the REST API answer anything to everything, signing in
// included. No client is made of nothing, and no answer gets into an error.
func FuzzOpenAMAgents(f *testing.F) {
	for _, body := range []string{
		`{"tokenId":"s","_id":"a","` + openAMPrefix + `redirectionURIs":["[1]=MARK","[0]=b"],"` + openAMPrefix + `scopes":["[0]=a|en|MARK"]}`,
		`{"tokenId":"s","_id":"a","` + openAMPrefix + `jwks":"{","` + openAMPrefix + `publicKeyLocation":"jwks","` + openAMPrefix + `clientName":["[0]="]}`,
		`{"tokenId":"s","_id":"b","` + openAMPrefix + `scopes":[["[0]="]]}`, `{"tokenId":"s","code":400,"message":"MARK ` + openAMPrefix + `scopes"}`,
		`{"tokenId":1}`, `{`, `null`,
	} {
		f.Add(200, body)
		f.Add(400, body)
	}
	path := filepath.Join(f.TempDir(), "secret.json")
	if err := os.WriteFile(path, []byte(`{"username":"amadmin","password":"p"}`), 0o600); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 || status == http.StatusTooManyRequests {
			return
		}
		c := config.Provider{
			Name: "idp", Type: config.OpenAM, Issuer: "https://am.example.com/openam/oauth2", AdminSecret: "file:" + path, Tokens: config.Introspect, RequestTimeout: time.Minute,
		}
		env := provider.Environment{HTTP: &http.Client{Transport: canned{status, body}}, Secrets: &secret.Manager{}}
		p, err := provider.New(c, env)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.EnableRegistration(c, env); err != nil {
			t.Fatal(err)
		}
		ref := provider.Client{ClientID: "a", Name: "app", GrantTypes: []string{"client_credentials"}}
		read, readErr := p.ReadClient(t.Context(), ref)
		updated, updateErr := p.UpdateClient(t.Context(), ref)
		if readErr == nil && read.ClientID != "a" || updateErr == nil && updated.ClientID != "a" {
			t.Errorf("read %+v, updated %+v", read, updated)
		}
		_, rotateErr := p.RotateSecret(t.Context(), ref)
		_, _, findErr := p.FindClient(t.Context(), "app")
		all := errors.Join(readErr, updateErr, rotateErr, findErr, p.DeleteClient(t.Context(), ref))
		if all != nil && strings.Contains(all.Error(), "MARK") {
			t.Errorf("the errors quote the answer: %v", all)
		}
	})
}

func TestOpenAMTokenInfo(t *testing.T) {
	t.Parallel()
	for name, stateless := range map[string]bool{"opaque tokens": false, "stateless tokens": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			informed(t, newOpenAM(t, standin.OpenAM{Open: true, Stateless: stateless}, adminFile(t, "p w", "")))
		})
	}
}

func informed(t *testing.T, s plain) {
	t.Helper()
	p, err := provider.New(config.Provider{
		Name: "am", Type: config.OpenAM, Issuer: s.url + "/openam/oauth2", Secret: secretFile(t, "unused"), Tokens: config.Introspect,
		InsecureAnyAudience: true, RequestTimeout: 2 * time.Second, ClientIDClaims: []string{"client_id", "aud"}, ScopeClaims: []string{"scope"},
		Endpoints: config.Endpoints{Introspection: s.url + "/openam/oauth2/tokeninfo"},
	}, provider.Environment{HTTP: fetch.NewClient(), Secrets: &secret.Manager{}})
	if err != nil {
		t.Fatal(err)
	}
	asked := service("app")
	asked.Scope = "orders:read orders:write"
	c, err := s.CreateClient(t.Context(), asked)
	if err != nil {
		t.Fatal(err)
	}
	facts, err := p.Introspect(t.Context(), s.grant(t, c))
	if err != nil || facts.ClientID != c.ClientID || !slices.Equal(facts.Scopes, []string{"orders:read", "orders:write"}) {
		t.Fatalf("got %+v, %v", facts, err)
	}
	// Of a stateless token expires_in is in milliseconds.
	if left := time.Until(facts.Expires); left < 50*time.Minute || left > time.Hour {
		t.Errorf("expires in %v, want an hour", left)
	}
	if _, err := p.Introspect(t.Context(), "unknown&x=1"); !errors.Is(err, token.ErrInactive) {
		t.Errorf("an unknown token: got %v, want %v", err, token.ErrInactive)
	}
	for _, f := range []standin.Fault{{Status: 500}, {Body: "[]"}, {Body: `{"client_id":"app"}`}, {Cut: standin.BeforeHeaders}} {
		s.Break(standin.Introspect, f)
		if _, err := p.Introspect(t.Context(), "another"); !errors.Is(err, provider.ErrUnavailable) || strings.Contains(err.Error(), "another") {
			t.Errorf("%+v: got %v, want %v", f, err, provider.ErrUnavailable)
		}
	}
}

// grant returns a token for all scopes of c.
func (s plain) grant(t *testing.T, c provider.Client) string {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {c.Scope}}
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/openam/oauth2/access_token", strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(c.ClientID), url.QueryEscape(c.Secret.Reveal()))
	rec := httptest.NewRecorder()
	s.ServeHTTP(rec, req)
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil || rec.Code != http.StatusOK {
		t.Fatalf("token: got %d %s", rec.Code, rec.Body)
	}
	return answer.AccessToken
}
