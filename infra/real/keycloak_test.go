package real_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/infra/tooltest"
)

const (
	keycloakVersion = "26.7.5"
	keycloakJava    = 21 // the oldest it runs on
)

// startKeycloak starts Keycloak with its data in memory, and a realm as an
// administrator would set it up for Gatehouse: a client that introspects,
// optional scopes whose mappers put that client and the API into aud, a person,
// and an initial access token. Everything else is as a new realm has it.
func startKeycloak(t *testing.T) server {
	t.Helper()
	java, err := newJava(t.Context(), keycloakJava)
	if err != nil {
		tooltest.Missing(t, err)
	}
	home, err := tooltest.Cached(t.Context(), "keycloak-"+keycloakVersion, func(ctx context.Context, dir string) error {
		if err := unpack(ctx, dir, "org.keycloak:keycloak-quarkus-dist:"+keycloakVersion+":zip"); err != nil {
			return err
		}
		// What is chosen here is compiled in, once and not at every start.
		return run(ctx, dir, java, keycloakArgs(dir, "build", "--db=dev-mem", "--health-enabled=true")...)
	})
	if err != nil {
		tooltest.Missing(t, err)
	}
	port, management := freePort(t), freePort(t)
	base := "http://127.0.0.1:" + port
	cmd := exec.Command(java, keycloakArgs(home, "start", "--optimized", "--http-enabled=true", "--http-host=127.0.0.1", "--http-port="+port,
		"--http-management-port="+management, "--hostname="+base, "--cache=local")...)
	cmd.Env = append(os.Environ(), "KC_BOOTSTRAP_ADMIN_USERNAME=admin", "KC_BOOTSTRAP_ADMIN_PASSWORD=admin")
	start(t, cmd, "http://127.0.0.1:"+management+"/health/ready")

	admin := keycloakAdmin{base: base}
	admin.signIn(t)
	const secret = "gateway-secret"
	realm := "/admin/realms/demo"
	admin.send(t, http.MethodPost, "/admin/realms", object{"realm": "demo", "enabled": true})
	admin.send(t, http.MethodPost, realm+"/clients", object{
		"clientId": gateway, "secret": secret, "standardFlowEnabled": false, "directAccessGrantsEnabled": false,
	})
	for name := range strings.FieldsSeq(bothScopes) {
		optional := admin.send(t, http.MethodPost, realm+"/client-scopes", object{
			"name": name, "protocol": "openid-connect",
			"attributes":      object{"include.in.token.scope": "true"},
			"protocolMappers": []object{audience("included.client.audience", gateway), audience("included.custom.audience", api)},
		})
		admin.send(t, http.MethodPut, realm+"/default-optional-client-scopes/"+path.Base(optional.place), nil)
	}
	admin.send(t, http.MethodPost, realm+"/users", object{
		"username": login, "email": login, "firstName": "Ada", "lastName": "Lovelace", "enabled": true,
		"credentials": []object{{"type": "password", "value": loginPassword}},
	})
	initial := admin.send(t, http.MethodPost, realm+"/clients-initial-access", object{"expiration": 600, "count": 100})
	issuer := base + "/realms/demo"
	return server{
		kind: "keycloak", issuer: issuer, token: issuer + "/protocol/openid-connect/token",
		key: initial.Token, secret: secret,
		jwt: url.Values{"scope": {scope}}, introspected: url.Values{"scope": {scope}},
	}
}

// audience is a mapper that adds a value to aud.
func audience(kind, value string) object {
	return object{
		"name": value, "protocol": "openid-connect", "protocolMapper": "oidc-audience-mapper",
		"config": object{kind: value, "access.token.claim": "true", "introspection.token.claim": "true"},
	}
}

// keycloakArgs are the arguments of java for a command of bin/kc.sh. The script
// is left out because it is another process between: ending it by its pid would
// leave the server behind.
func keycloakArgs(home string, command ...string) []string {
	home = filepath.Join(home, "keycloak-"+keycloakVersion)
	return append([]string{
		"-Xmx512m", "-XX:TieredStopAtLevel=1",
		"-Dkc.home.dir=" + home,
		"-Djava.util.logging.manager=org.jboss.logmanager.LogManager",
		"-Djava.util.concurrent.ForkJoinPool.common.threadFactory=io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory",
		"-Dpicocli.disable.closures=true",
		"--add-opens=java.base/java.util=ALL-UNNAMED",
		"--add-opens=java.base/java.util.concurrent=ALL-UNNAMED",
		"--add-opens=java.base/java.security=ALL-UNNAMED",
		"-cp", filepath.Join(home, "lib", "quarkus-run.jar"),
		"io.quarkus.bootstrap.runner.QuarkusEntryPoint",
	}, command...)
}

type object map[string]any

// keycloakAdmin is an administrator at Keycloak's own REST API.
type keycloakAdmin struct{ base, bearer string }

// keycloakAnswer is what is used of an answer.
type keycloakAnswer struct {
	place string // Location

	AccessToken string `json:"access_token"`
	Token       string `json:"token"`
}

func (a *keycloakAdmin) signIn(t *testing.T) {
	t.Helper()
	form := url.Values{"grant_type": {"password"}, "client_id": {"admin-cli"}, "username": {"admin"}, "password": {"admin"}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.base+"/realms/master/protocol/openid-connect/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	a.bearer = a.do(t, req).AccessToken
}

func (a *keycloakAdmin) send(t *testing.T, method, place string, body object) keycloakAnswer {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, a.base+place, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+a.bearer)
	return a.do(t, req)
}

func (*keycloakAdmin) do(t *testing.T, req *http.Request) keycloakAnswer {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer := keycloakAnswer{place: resp.Header.Get("Location")}
	err = json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&answer)
	if resp.StatusCode >= 300 || err != nil && !errors.Is(err, io.EOF) {
		t.Fatalf("keycloak: %s %s: got %d, %v", req.Method, req.URL.Path, resp.StatusCode, err)
	}
	return answer
}
