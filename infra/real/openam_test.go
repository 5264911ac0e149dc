package real_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/infra/tooltest"
	"gatehouse/shared/fetch"
	"gatehouse/shared/provider"
	"gatehouse/shared/token"
)

const (
	openAMVersion = "16.0.5" // the newest that Maven Central serves
	tomcatVersion = "10.1.59"
	openAMJava    = 17

	amadmin  = "amadmin"
	password = "password of amadmin"
)

// openAM is an OpenAM of two realms: one where anyone can register and access
// tokens are JWTs, and one where registering takes a token and tokens are opaque.
type openAM struct {
	stateless, opaque server

	administrator openAMAdmin
}

// startOpenAM starts OpenAM in Tomcat and sets it up as an administrator would.
func startOpenAM(t *testing.T) openAM {
	t.Helper()
	java, err := newJava(t.Context(), openAMJava)
	if err != nil {
		tooltest.Missing(t, err)
	}
	home, err := tooltest.Cached(t.Context(), "openam-"+openAMVersion+"-tomcat-"+tomcatVersion, func(ctx context.Context, dir string) error {
		if err := unpack(ctx, dir, "org.apache.tomcat:tomcat:"+tomcatVersion+":zip"); err != nil {
			return err
		}
		return unpack(ctx, filepath.Join(dir, "openam"), "org.openidentityplatform.openam:openam-server:"+openAMVersion+":war")
	})
	if err != nil {
		tooltest.Missing(t, err)
	}
	port := freePort(t)
	base := "http://127.0.0.1:" + port // it wants a name with dots in it
	data := t.TempDir()
	start(t, exec.Command(java, tomcatArgs(t, home, data, port)...), base+"/openam/config/options.htm")

	configure(t, base, filepath.Join(data, "openam"))
	admin := openAMAdmin{base: base + "/openam/json"}
	admin.signIn(t)
	admin.send(t, http.MethodPost, "/global-config/realms?_action=create", object{"name": "opaque", "active": true, "parentPath": "/", "aliases": []string{}})
	const root, opaque = "/realms/root", "/realms/root/realms/opaque"
	for realm, stateless := range map[string]bool{root: true, opaque: false} {
		admin.send(t, http.MethodPost, realm+"/realm-config/services/oauth-oidc?_action=create", object{
			"advancedOAuth2Config": object{"supportedScopes": []string{scope, "orders:write"}, "tokenSigningAlgorithm": "RS256"},
			"advancedOIDCConfig":   object{"allowDynamicRegistration": true},
			"coreOAuth2Config":     object{"statelessTokensEnabled": stateless},
		})
	}
	// A new realm has no place for agents before it has had one, so the first is
	// registered. Without a default scope it would get no token to register with.
	const secret = "gateway-secret"
	clients := openAMAdmin{base: base + "/openam/oauth2"}
	clients.send(t, http.MethodPost, opaque+"/connect/register", object{
		"client_id": gateway, "client_secret": secret, "scopes": []string{scope}, "default_scopes": []string{scope}, "redirect_uris": []string{callback},
	})
	admin.send(t, http.MethodPut, opaque+"/realm-config/services/oauth-oidc", object{"advancedOIDCConfig": object{"allowDynamicRegistration": false}})
	realm := func(name, secret string) server {
		issuer := base + "/openam/oauth2" + name
		scopes := url.Values{"scope": {scope}}
		return server{
			kind: "openam", issuer: issuer, token: issuer + "/access_token", administrator: amadmin, key: password, secret: secret,
			// It introspects a client's own tokens alone; a JWT of its names the client in aud and nowhere else.
			settings: `insecureAnyAudience: true, clientIDClaims: [client_id, aud], endpoints: {introspection: "` + issuer + `/tokeninfo"}`,
			jwt:      scopes, introspected: scopes,
		}
	}
	return openAM{stateless: realm("", ""), opaque: realm(opaque, secret), administrator: admin}
}

const openAMPrefix = "com.forgerock.openam.oauth2provider."

// tomcatArgs are the arguments of java for Tomcat with OpenAM, without the
// script between. Nothing is written outside data: not even the file in the home
// directory that says where an OpenAM has its configuration.
func tomcatArgs(t *testing.T, home, data, port string) []string {
	t.Helper()
	tomcat := filepath.Join(home, "apache-tomcat-"+tomcatVersion)
	defaults, err := os.ReadFile(filepath.Join(tomcat, "conf", "web.xml"))
	if err != nil {
		t.Fatal(err)
	}
	// Looking for tag libraries and more in 400 files takes half of the start, and
	// there is nothing that is needed here.
	configuration := fmt.Appendf(nil, `<Server port="-1"><Service name="Catalina">
<Connector port="%s" address="127.0.0.1"/>
<Engine name="Catalina" defaultHost="localhost"><Host name="localhost" appBase="none" autoDeploy="false" deployOnStartup="false">
<Context path="/openam" docBase="%s"><JarScanner><JarScanFilter defaultPluggabilityScan="false" defaultTldScan="false"/></JarScanner></Context>
</Host></Engine></Service></Server>`, port, filepath.Join(home, "openam"))
	for _, dir := range []string{"conf", "temp", "home"} {
		if err := os.Mkdir(filepath.Join(data, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string][]byte{"web.xml": defaults, "server.xml": configuration} {
		if err := os.WriteFile(filepath.Join(data, "conf", name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	bin := filepath.Join(tomcat, "bin")
	return []string{
		"-Xmx768m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
		"-Duser.home=" + filepath.Join(data, "home"), "-Djava.io.tmpdir=" + filepath.Join(data, "temp"),
		"-Dcatalina.home=" + tomcat, "-Dcatalina.base=" + data,
		"-cp", filepath.Join(bin, "bootstrap.jar") + string(os.PathListSeparator) + filepath.Join(bin, "tomcat-juli.jar"),
		"org.apache.catalina.startup.Bootstrap", "start",
	}
}

// configureTimeout is for a machine that has much else to do: alone it takes 20
// seconds.
const configureTimeout = 4 * time.Minute

// configure answers the questions of the installation.
func configure(t *testing.T, base, dir string) {
	t.Helper()
	form := url.Values{
		"SERVER_URL": {base}, "DEPLOYMENT_URI": {"/openam"}, "BASE_DIR": {dir}, "COOKIE_DOMAIN": {"127.0.0.1"},
		"locale": {"en_US"}, "PLATFORM_LOCALE": {"en_US"}, "acceptLicense": {"true"}, "AM_ENC_KEY": {"an encryption key for the test"},
		"ADMIN_PWD": {password}, "ADMIN_CONFIRM_PWD": {password},
		"AMLDAPUSERPASSWD": {"password of the agent"}, "AMLDAPUSERPASSWD_CONFIRM": {"password of the agent"},
		"DATA_STORE": {"embedded"}, "DIRECTORY_SSL": {"SIMPLE"}, "DIRECTORY_SERVER": {"127.0.0.1"}, "DIRECTORY_PORT": {freePort(t)},
		"DIRECTORY_ADMIN_PORT": {freePort(t)}, "DIRECTORY_JMX_PORT": {freePort(t)},
		"ROOT_SUFFIX": {"dc=openam,dc=example"}, "DS_DIRMGRDN": {"cn=Directory Manager"}, "DS_DIRMGRPASSWD": {password},
	}
	ctx, cancel := context.WithTimeout(t.Context(), configureTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/openam/config/configurator", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil || !bytes.Contains(answer, []byte("Configuration complete!")) {
		log, _ := os.ReadFile(filepath.Join(dir, "install.log")) // whatever there is of it
		t.Fatalf("openam: configuration: got %d %s, %v\n%s", resp.StatusCode, answer, err, log)
	}
}

// openAMAdmin is an administrator at OpenAM's own REST API.
type openAMAdmin struct{ base, session string }

func (a *openAMAdmin) signIn(t *testing.T) {
	t.Helper()
	session, ok := a.do(t, http.MethodPost, "/authenticate", nil, http.Header{"X-Openam-Username": {amadmin}, "X-Openam-Password": {password}})["tokenId"].(string)
	if !ok {
		t.Fatal("openam: no session")
	}
	a.session = session
}

func (a *openAMAdmin) send(t *testing.T, method, place string, body object) object {
	t.Helper()
	return a.do(t, method, place, body, http.Header{
		"Iplanetdirectorypro": {a.session}, "Accept-Api-Version": {"protocol=2.1,resource=1.0"},
	})
}

func (a *openAMAdmin) do(t *testing.T, method, place string, body object, header http.Header) object {
	t.Helper()
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			t.Fatal(err)
		}
		header.Set("Content-Type", "application/json")
	}
	req, err := http.NewRequestWithContext(t.Context(), method, a.base+place, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer object
	err = json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&answer)
	if resp.StatusCode >= 300 || err != nil {
		t.Fatalf("openam: %s %s: got %d %v, %v", method, place, resp.StatusCode, answer["message"], err)
	}
	return answer
}

func TestOpenAM(t *testing.T) {
	t.Parallel()
	am := startOpenAM(t)
	for realm, s := range map[string]server{"anyone registers, tokens are JWTs": am.stateless, "registering takes a token, tokens are opaque": am.opaque} {
		t.Run(realm, func(t *testing.T) {
			t.Parallel()
			for name, test := range map[string]func(*testing.T, server){
				"a client lives from its creation to its deletion":       livesAsAgent,
				"a token passes by tokeninfo":                            informs,
				"a client whose creation was lost is found":              isFound,
				"a client without a secret is not let in by its old one": changesMethod,
				"a token of a deleted client is inactive":                outlives,
				"a client with keys of its own needs no secret":          holdsKeys,
				"metadata that the server refuses are named":             refuses,
				"a wrong password is the administrator's to replace":     rejects,
			} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					test(t, s)
				})
			}
		})
	}
	t.Run("tokens pass by keys, though their header says zip, and by tokeninfo", func(t *testing.T) {
		t.Parallel()
		verifies(t, am.stateless)
	})
	t.Run("an update keeps what the administrator set, but for scopes that are gone", func(t *testing.T) {
		t.Parallel()
		keeps(t, am)
	})
	t.Run("without an administrator clients are made and shown", func(t *testing.T) {
		t.Parallel()
		withoutAdministrator(t, am)
	})
}

func informs(t *testing.T, s server) {
	t.Helper()
	p := s.provider(t, s.key)
	c := create(t, p, service("informs"))
	_, raw := s.grant(t, c, s.introspected)
	facts, err := p.Introspect(t.Context(), raw)
	check(t, "tokeninfo", c, facts, err)
	if facts != nil && (time.Until(facts.Expires) > time.Hour || time.Until(facts.Expires) < 50*time.Minute) {
		t.Errorf("expires: got %v, want in an hour", facts.Expires)
	}
	if _, err := p.Introspect(t.Context(), "nobody-issued-this"); !errors.Is(err, token.ErrInactive) {
		t.Errorf("an unknown token: got %v, want %v", err, token.ErrInactive)
	}
}

func livesAsAgent(t *testing.T, s server) {
	t.Helper()
	p := s.provider(t, s.key)
	c := create(t, p, web("lives"))
	if status, _ := s.grant(t, c, s.jwt); status != http.StatusOK {
		t.Fatalf("token after the creation: got %d", status)
	}
	if _, err := p.CreateClient(t.Context(), web("lives")); !errors.Is(err, provider.ErrNameTaken) {
		t.Errorf("created again: got %v, want %v", err, provider.ErrNameTaken)
	}
	for n := range 2 {
		want := web("lives")
		want.ClientID, want.RedirectURIs = c.ClientID, []string{callback + fmt.Sprint(n), callback}
		if _, err := p.UpdateClient(t.Context(), want); err != nil {
			t.Fatalf("update %d: %v", n, err)
		}
		read, err := p.ReadClient(t.Context(), c)
		if err != nil {
			t.Fatalf("read after update %d: %v", n, err)
		}
		if !slices.Equal(read.RedirectURIs, want.RedirectURIs) || read.Name != want.Name || read.Scope != scope ||
			!slices.Equal(read.ResponseTypes, []string{"code"}) || read.TokenEndpointAuthMethod != "client_secret_basic" {
			t.Errorf("update %d: got %+v, want %+v", n, read, want)
		}
		if status, _ := s.grant(t, c, s.jwt); status != http.StatusOK {
			t.Errorf("token after update %d: got %d", n, status)
		}
	}
	rotated, err := p.RotateSecret(t.Context(), c)
	if err != nil || rotated.OldValidUntil.IsZero() {
		t.Fatalf("rotated: %+v, %v", rotated, err)
	}
	if status, _ := s.grant(t, c, s.jwt); status != http.StatusUnauthorized {
		t.Errorf("token with the old secret: got %d, want 401", status)
	}
	if status, _ := s.grant(t, rotated.Client, s.jwt); status != http.StatusOK {
		t.Errorf("token with the new secret: got %d", status)
	}
	for range 2 {
		if err := p.DeleteClient(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if status, _ := s.grant(t, rotated.Client, s.jwt); status != http.StatusUnauthorized {
		t.Errorf("token after the deletion: got %d, want 401", status)
	}
	change := web("lives")
	change.ClientID = c.ClientID
	_, readErr := p.ReadClient(t.Context(), c)
	_, updateErr := p.UpdateClient(t.Context(), change)
	_, rotateErr := p.RotateSecret(t.Context(), c)
	for what, err := range map[string]error{"read": readErr, "update": updateErr, "rotation": rotateErr} {
		if !errors.Is(err, provider.ErrGone) {
			t.Errorf("%s after the deletion: got %v, want %v", what, err, provider.ErrGone)
		}
	}
	if _, ok, err := p.FindClient(t.Context(), "lives"); ok || err != nil {
		t.Errorf("found after the deletion: %v, %v", ok, err)
	}
}

// deaf is a transport that loses the answers to registrations.
type deaf struct{ http.RoundTripper }

func (d deaf) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := d.RoundTripper.RoundTrip(r)
	if err == nil && strings.HasSuffix(r.URL.Path, "/register") {
		resp.Body.Close()
		return nil, io.ErrUnexpectedEOF
	}
	return resp, err
}

func isFound(t *testing.T, s server) {
	t.Helper()
	client := fetch.NewClient()
	client.Transport = deaf{client.Transport}
	p := s.providerBy(t, client, s.key)
	if _, err := p.CreateClient(t.Context(), web("is found")); !errors.Is(err, provider.ErrUncertain) {
		t.Fatalf("got %v, want %v", err, provider.ErrUncertain)
	}
	found, ok, err := p.FindClient(t.Context(), "is found")
	if err != nil || !ok || found.Name != "is found" {
		t.Fatalf("got %+v, %v, %v", found, ok, err)
	}
	if err := p.DeleteClient(t.Context(), found); err != nil {
		t.Error(err)
	}
}

// changesMethod gives up a client's secret for keys of its own, and back. OpenAM
// goes on letting in whoever has a secret.
func changesMethod(t *testing.T, s server) {
	t.Helper()
	p := s.provider(t, s.key)
	first := create(t, p, service("changes"))
	change := service("changes")
	change.ClientID, change.TokenEndpointAuthMethod, change.JWKSURI = first.ClientID, "private_key_jwt", "https://app.example.com/jwks"
	without, err := p.UpdateClient(t.Context(), change)
	if err != nil || without.Secret.Reveal() != "" || without.JWKSURI != change.JWKSURI {
		t.Fatalf("got %+v, %v, want no secret", without, err)
	}
	if status, _ := s.grant(t, first, s.jwt); status != http.StatusUnauthorized {
		t.Errorf("token with the secret that was given up: got %d, want 401", status)
	}
	change.TokenEndpointAuthMethod, change.JWKSURI = "client_secret_basic", ""
	again, err := p.UpdateClient(t.Context(), change)
	if err != nil || again.JWKSURI != "" {
		t.Fatalf("got %+v, %v, want no keys", again, err)
	}
	if status, _ := s.grant(t, again, s.jwt); status != http.StatusOK {
		t.Errorf("token with the new secret: got %d", status)
	}
	change.TokenEndpointAuthMethod, change.GrantTypes, change.RedirectURIs = "none", []string{"authorization_code"}, []string{callback}
	if public, err := p.UpdateClient(t.Context(), change); err != nil || public.Secret.Reveal() != "" {
		t.Errorf("got %+v, %v, want no secret", public, err)
	}
	if err := p.DeleteClient(t.Context(), first); err != nil {
		t.Error(err)
	}
}

func keeps(t *testing.T, am openAM) {
	t.Helper()
	s := am.stateless
	p := s.provider(t, s.key)
	asked := service("keeps")
	asked.Scope = scope + " orders:write"
	c := create(t, p, asked)
	place := "/realms/root/realm-config/agents/OAuth2Client/" + c.ClientID
	texts := []any{"[0]=" + scope + "|en|Read your orders", "[1]=orders:write"}
	theirs := object{
		"isConsentImplied": true, openAMPrefix + "accessTokenLifeTime": 120.0, openAMPrefix + "contacts": []any{"[0]=ops@example.com"},
	}
	set := object{openAMPrefix + "scopes": texts, openAMPrefix + "defaultScopes": []any{"[0]=orders:write", "[1]=" + scope}}
	maps.Copy(set, theirs)
	am.administrator.send(t, http.MethodPut, place, set)
	if read, err := p.ReadClient(t.Context(), c); err != nil || read.Scope != asked.Scope {
		t.Errorf("got %+v, %v, want scope %q", read, err, asked.Scope)
	}
	if _, raw := s.grant(t, c, nil); !strings.Contains(scopeOf(t, p, raw), "orders:write") {
		t.Error("a client that asks for no scope does not get the default ones")
	}
	asked.ClientID, asked.Scope = c.ClientID, scope
	if _, err := p.UpdateClient(t.Context(), asked); err != nil {
		t.Fatal(err)
	}
	theirs[openAMPrefix+"scopes"], theirs[openAMPrefix+"defaultScopes"] = texts[:1], []any{"[0]=" + scope}
	held := am.administrator.send(t, http.MethodGet, place, nil)
	for name, want := range theirs {
		if fmt.Sprint(held[name]) != fmt.Sprint(want) {
			t.Errorf("%s: got %v, want %v", name, held[name], want)
		}
	}
	_, raw := s.grant(t, c, nil)
	if got := scopeOf(t, p, raw); got != scope {
		t.Errorf("a client that asks for no scope gets %q, want %q", got, scope)
	}
}

func scopeOf(t *testing.T, p *provider.Provider, raw string) string {
	t.Helper()
	facts, err := p.Introspect(t.Context(), raw)
	if err != nil {
		t.Error(err)
		return ""
	}
	return strings.Join(facts.Scopes, " ")
}

func withoutAdministrator(t *testing.T, am openAM) {
	t.Helper()
	s := am.stateless
	s.administrator, s.secret = "", "gateway-secret"
	p := s.provider(t, "")
	if can := p.Capabilities(); can.Update || can.Delete || can.Rotate || can.Find || !can.Create || !can.Read {
		t.Errorf("capabilities: got %+v", can)
	}
	asked := web("shown")
	asked.JWKS = []byte(`{"keys":[]}`)
	c := create(t, p, asked)
	if read, err := p.ReadClient(t.Context(), c); err != nil || !slices.Equal(read.RedirectURIs, asked.RedirectURIs) || string(read.JWKS) != `{"keys":[]}` {
		t.Errorf("got %+v, %v", read, err)
	}
	am.administrator.send(t, http.MethodDelete, "/realms/root/realm-config/agents/OAuth2Client/"+c.ClientID, nil)
	if _, err := p.ReadClient(t.Context(), c); !errors.Is(err, provider.ErrGone) {
		t.Errorf("read after the deletion: got %v, want %v", err, provider.ErrGone)
	}
}
