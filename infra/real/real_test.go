package real_test

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatehouse/shared/config"
	"gatehouse/shared/fetch"
	"gatehouse/shared/provider"
	"gatehouse/shared/secret"
	"gatehouse/shared/token"
)

const (
	gateway  = "gateway" // the client that introspects
	api      = "https://api.example.com/orders"
	scope    = "orders:read"
	callback = "https://app.example.com/cb"
)

// server is a real identity provider that runs.
type server struct {
	kind          string // the type of provider in gatehouse.yaml
	issuer, token string // URLs
	settings      string // more members of the provider in gatehouse.yaml; "": audiences
	administrator string // who manages clients; "": whoever has an initial access token
	key           string // the initial access token, or the administrator's password
	secret        string // of the client gateway; "": there is no such client

	// What to ask the token endpoint for, to get a token that is verified by keys
	// and one that is introspected.
	jwt, introspected url.Values

	tokensOutliveClient bool // introspection says active when the client is gone
}

// configuration is as short as an administrator can write it, so that these
// tests hold the defaults to what the servers do. %s are the server's settings.
const configuration = `
providers:
  - {name: idp, type: "${KIND}", issuer: "${ISSUER}", secret: "${SECRET}", adminSecret: "${SECRET}", requestTimeout: 10s, %s}
apis:
  - {name: orders, providers: [idp], routes: [{route: GET /orders, scopes: ["` + scope + `"]}]}
`

const audiences = `audiences: ["` + api + `", "` + api + `/opaque"]`

// provider returns an adapter that registers clients with this key, or as anyone
// can with none.
func (s server) provider(t *testing.T, key string) *provider.Provider {
	t.Helper()
	return s.providerBy(t, fetch.NewClient(), key)
}

// providerBy is provider with an HTTP client of its own.
func (s server) providerBy(t *testing.T, client *http.Client, key string) *provider.Provider {
	t.Helper()
	credentials := map[string]string{}
	if s.secret != "" {
		credentials["client_id"], credentials["client_secret"] = gateway, s.secret
	}
	switch {
	case s.administrator != "":
		credentials["username"], credentials["password"] = s.administrator, key
	case key != "":
		credentials["authorization"] = "Bearer " + key
	}
	text, err := json.Marshal(credentials)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "secret.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"KIND": s.kind, "ISSUER": s.issuer, "SECRET": "file:" + file}
	c, err := config.Parse(fmt.Appendf(nil, configuration, cmp.Or(s.settings, audiences)), func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	})
	if err != nil {
		t.Fatal(err)
	}
	if key == "" {
		c.Providers[0].AdminSecret = ""
	}
	environment := provider.Environment{HTTP: client, Secrets: &secret.Manager{}}
	p, err := provider.New(c.Providers[0], environment)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.EnableRegistration(c.Providers[0], environment); err != nil {
		t.Fatal(err)
	}
	return p
}

// grant asks for a token by client credentials and returns the status and the
// token.
func (s server) grant(t *testing.T, c provider.Client, what url.Values) (int, string) {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}}
	maps.Copy(form, what)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.token, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(c.ClientID), url.QueryEscape(c.Secret.Reveal()))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, answer.AccessToken
}

func TestKeycloak(t *testing.T) {
	t.Parallel()
	s := startKeycloak(t)
	suite(t, s)
	t.Run("a token without our audience is refused, and inactive for a client that is not in it", func(t *testing.T) {
		t.Parallel()
		p := s.provider(t, s.key)
		_, raw := s.grant(t, create(t, p, service("no audience")), nil)
		if _, err := byKeys(t, p, raw); !errors.Is(err, token.ErrAudience) {
			t.Errorf("keys: got %v, want %v", err, token.ErrAudience)
		}
		if _, err := p.Introspect(t.Context(), raw); !errors.Is(err, token.ErrInactive) {
			t.Errorf("introspection: got %v, want %v", err, token.ErrInactive)
		}
	})
	t.Run("oauth4webapi gets along with the broker before it", func(t *testing.T) {
		t.Parallel()
		beforeKeycloak(t, s)
	})
}

func TestOIDCProvider(t *testing.T) {
	t.Parallel()
	suite(t, startOIDCProvider(t))
}

// suite is what every real server must do with us.
func suite(t *testing.T, s server) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, server){
		"a client lives from its creation to its deletion":               lives,
		"a registration access token that was replaced is not taken":     replaces,
		"tokens pass by keys and by introspection":                       verifies,
		"a token of a deleted client is as good as the server says":      outlives,
		"a client with keys of its own needs no secret":                  holdsKeys,
		"metadata that the server refuses are named":                     refuses,
		"a wrong initial access token is the administrator's to replace": rejects,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, s)
		})
	}
}

func web(name string) provider.Client {
	return provider.Client{
		Name: name, RedirectURIs: []string{callback}, ClientURI: "https://app.example.com", Scope: scope,
		GrantTypes: []string{"authorization_code", "refresh_token", "client_credentials"},
	}
}

func service(name string) provider.Client {
	return provider.Client{Name: name, GrantTypes: []string{"client_credentials"}, Scope: scope}
}

// create creates a client; it goes when the server does.
func create(t *testing.T, p *provider.Provider, c provider.Client) provider.Client {
	t.Helper()
	made, err := p.CreateClient(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func lives(t *testing.T, s server) {
	t.Helper()
	p := s.provider(t, s.key)
	c := create(t, p, web("lives"))
	if status, _ := s.grant(t, c, s.jwt); status != http.StatusOK {
		t.Fatalf("token after the creation: got %d", status)
	}
	// What rotates does so every time: twice shows that the answer was kept.
	for n := range 2 {
		read, err := p.ReadClient(t.Context(), c)
		if err != nil {
			t.Fatalf("read %d: %v", n, err)
		}
		want := web("lives")
		want.ClientID, want.Secret, want.Management = read.ClientID, read.Secret, read.Management
		want.RedirectURIs = []string{callback + fmt.Sprint(n), callback}
		if c, err = p.UpdateClient(t.Context(), want); err != nil {
			t.Fatalf("update %d: %v", n, err)
		}
		if read, err = p.ReadClient(t.Context(), c); err != nil {
			t.Fatalf("read after update %d: %v", n, err)
		}
		slices.Sort(read.RedirectURIs)
		slices.Sort(want.RedirectURIs)
		if !slices.Equal(read.RedirectURIs, want.RedirectURIs) || read.Name != want.Name || read.ClientURI != want.ClientURI {
			t.Errorf("update %d: got %+v, want %+v", n, read, want)
		}
		if !has(read.GrantTypes, want.GrantTypes...) || !has(strings.Fields(read.Scope), scope) {
			t.Errorf("update %d: got grant types %v and scope %q, want %v and %q", n, read.GrantTypes, read.Scope, want.GrantTypes, scope)
		}
		c = read
		if status, _ := s.grant(t, c, s.jwt); status != http.StatusOK {
			t.Errorf("token after update %d: got %d", n, status)
		}
	}
	if err := p.DeleteClient(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if status, _ := s.grant(t, c, s.jwt); status != http.StatusUnauthorized {
		t.Errorf("token after the deletion: got %d, want 401", status)
	}
	if _, err := p.ReadClient(t.Context(), c); !errors.Is(err, provider.ErrGone) {
		t.Errorf("read after the deletion: got %v, want %v", err, provider.ErrGone)
	}
	if err := p.DeleteClient(t.Context(), c); !errors.Is(err, provider.ErrGone) {
		t.Errorf("deleted again: got %v, want %v", err, provider.ErrGone)
	}
}

// has reports whether all has every one of wanted; servers add their own.
func has(all []string, wanted ...string) bool {
	return !slices.ContainsFunc(wanted, func(w string) bool { return !slices.Contains(all, w) })
}

func replaces(t *testing.T, s server) {
	t.Helper()
	p := s.provider(t, s.key)
	old := create(t, p, web("replaces"))
	change := web("replaces")
	change.ClientID, change.Management = old.ClientID, old.Management
	updated, err := p.UpdateClient(t.Context(), change)
	if err != nil {
		t.Fatal(err)
	}
	if updated.Management.Equal(old.Management) {
		t.Fatal("update: got the registration access token that there was")
	}
	if _, err := p.ReadClient(t.Context(), old); !errors.Is(err, provider.ErrGone) {
		t.Errorf("read with the old token: got %v, want %v", err, provider.ErrGone)
	}
	if err := p.DeleteClient(t.Context(), updated); err != nil {
		t.Error(err)
	}
}

func verifies(t *testing.T, s server) {
	t.Helper()
	p := s.provider(t, s.key)
	c := create(t, p, service("verifies"))
	_, jwt := s.grant(t, c, s.jwt)
	facts, err := byKeys(t, p, jwt)
	check(t, "keys", c, facts, err)
	_, other := s.grant(t, c, s.introspected)
	facts, err = p.Introspect(t.Context(), other)
	check(t, "introspection", c, facts, err)
	if _, err := byKeys(t, p, jwt[:len(jwt)-8]+strings.Repeat("A", 8)); !errors.Is(err, token.ErrSignature) {
		t.Errorf("keys, changed signature: got %v, want %v", err, token.ErrSignature)
	}
	if _, err := p.Introspect(t.Context(), "nobody-issued-this"); !errors.Is(err, token.ErrInactive) {
		t.Errorf("introspection of an unknown token: got %v, want %v", err, token.ErrInactive)
	}
}

func byKeys(t *testing.T, p *provider.Provider, raw string) (*token.Facts, error) {
	t.Helper()
	u, err := token.Parse(raw)
	if err != nil {
		return nil, err
	}
	return p.Issuer.Verify(t.Context(), u)
}

func check(t *testing.T, how string, c provider.Client, f *token.Facts, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", how, err)
		return
	}
	if f.ClientID != c.ClientID || !slices.Contains(f.Scopes, scope) || f.Expires.IsZero() {
		t.Errorf("%s: got %+v, want client %s with scope %s", how, f, c.ClientID, scope)
	}
}

// outlives shows why deleting a client is not how access is withdrawn: not every
// server ends the client's tokens with it.
func outlives(t *testing.T, s server) {
	t.Helper()
	p := s.provider(t, s.key)
	c := create(t, p, service("outlives"))
	_, raw := s.grant(t, c, s.introspected)
	if err := p.DeleteClient(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	var want error = token.ErrInactive
	if s.tokensOutliveClient {
		want = nil
	}
	if _, err := p.Introspect(t.Context(), raw); !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

func holdsKeys(t *testing.T, s server) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes() // 4, x, y
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	p := s.provider(t, s.key)
	want := web("holds keys")
	want.TokenEndpointAuthMethod = "private_key_jwt"
	want.JWKS = fmt.Appendf(nil, `{"keys":[{"kty":"EC","crv":"P-256","kid":"1","use":"sig","alg":"ES256","x":%q,"y":%q}]}`, b64(point[1:33]), b64(point[33:]))
	c := create(t, p, want)
	got, err := p.ReadClient(t.Context(), c)
	if err != nil || got.TokenEndpointAuthMethod != want.TokenEndpointAuthMethod || !strings.Contains(string(got.JWKS), b64(point[1:33])) {
		t.Errorf("got %+v, %v", got, err)
	}
	if err := p.DeleteClient(t.Context(), got); err != nil {
		t.Error(err)
	}
}

func refuses(t *testing.T, s server) {
	t.Helper()
	p := s.provider(t, s.key)
	for name, row := range map[string]struct {
		change func(*provider.Client)
		field  string
	}{
		"a redirect URI with a fragment": {func(c *provider.Client) { c.RedirectURIs = []string{callback + "#f"} }, "redirect_uris"},
		"a scope that there is not":      {func(c *provider.Client) { c.Scope = "orders:own" }, "scope"},
	} {
		c := web(name)
		row.change(&c)
		_, err := p.CreateClient(t.Context(), c)
		m, ok := errors.AsType[*provider.MetadataError](err)
		if !ok || m.Field != row.field {
			t.Errorf("%s: got %v, want a MetadataError for %s", name, err, row.field)
		}
	}
}

func rejects(t *testing.T, s server) {
	t.Helper()
	_, err := s.provider(t, "wrong").CreateClient(t.Context(), web("rejects"))
	if !errors.Is(err, provider.ErrAdminCredentials) {
		t.Errorf("got %v, want %v", err, provider.ErrAdminCredentials)
	}
}
