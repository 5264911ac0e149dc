package functions_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatehouse/shared/registry/registrytest"
	"gatehouse/shared/standin"
)

// organisation is an Okta organisation and what the functions know of it.
type organisation struct {
	*standin.Server
	url   string
	table registrytest.Table

	yaml      *strings.Replacer // what gatehouse.yaml has otherwise; nil: nothing
	variables []string          // further ones of the functions
}

// newOrganisation starts one, and an empty table.
func newOrganisation(t *testing.T) *organisation {
	t.Helper()
	hs := httptest.NewUnstartedServer(nil)
	o := &organisation{url: "http://" + hs.Listener.Addr().String(), table: registrytest.NewTable(t, registrytest.DynamoDBLocal(t))}
	var err error
	if o.Server, err = standin.New(standin.Okta{Org: o.url, APIToken: "00token"}); err != nil {
		t.Fatal(err)
	}
	hs.Config.Handler = o.Server
	hs.Start()
	t.Cleanup(hs.Close)
	return o
}

// start runs a function as it is deployed, but that its secrets are files.
func (o *organisation) start(t *testing.T, id string) *process {
	t.Helper()
	return o.run(t, id, o.pack(t, id))
}

// pack packs a function, with its configuration and its secrets.
func (o *organisation) pack(t *testing.T, id string) (dir string) {
	t.Helper()
	dir = pack(t, id)
	text, err := os.ReadFile("../infra/gatehouse.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if o.yaml != nil {
		text = []byte(o.yaml.Replace(string(text)))
	}
	files := map[string]string{
		"gatehouse.yaml": string(text),
		"admin.json":     `{"authorization":"SSWS 00token"}`,
		"keys.json":      `{"current":"0123456789abcdef0123456789abcdef"}`,
		"broker.json":    `{"current":"the broker's keys, which it alone and the registration have"}`,
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// run runs a function that is packed.
func (o *organisation) run(t *testing.T, id, dir string) *process {
	t.Helper()
	variables := slices.Concat(environment(t, id), o.table.Environment(), o.variables)
	return start(t, dir, append(variables, "OIDC_ISSUER="+o.url+"/oauth2/default",
		"ADMIN_SECRET=file:admin.json", "REGISTRATION_KEYS=file:keys.json", "BROKER_KEYS=file:broker.json"))
}

// answer is what a function behind an HTTP API answers.
type answer struct {
	status int
	body   map[string]any
	text   string
}

// call sends a request of somebody with scopes to the registration function.
func (p *process) call(t *testing.T, method, path, body, scope string) answer {
	t.Helper()
	return p.request(t, map[string]any{
		"version": "2.0", "rawPath": path, "headers": map[string]string{"content-type": "application/json"}, "body": body,
		"requestContext": map[string]any{
			"http":       map[string]any{"method": method, "sourceIp": "192.0.2.7"},
			"authorizer": map[string]any{"lambda": map[string]string{"sub": "ada", "client_id": "cli", "scope": scope, "groups": `["orders-team"]`}},
		},
	})
}

// request sends the event of a request.
func (p *process) request(t *testing.T, members map[string]any) answer {
	t.Helper()
	event, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	var response struct {
		StatusCode int    `json:"statusCode"`
		Body       string `json:"body"`
	}
	if err := json.Unmarshal(p.send(t, event), &response); err != nil {
		t.Fatal(err)
	}
	a := answer{status: response.StatusCode, text: response.Body}
	if response.Body != "" {
		if err := json.Unmarshal([]byte(response.Body), &a.body); err != nil {
			t.Fatalf("%v in %s", err, response.Body)
		}
	}
	return a
}

// token is what a client gets from the broker.
func (p *process) token(t *testing.T, client answer) string {
	t.Helper()
	id, _ := client.body["client_id"].(string)
	secret, _ := client.body["client_secret"].(string)
	got := p.request(t, map[string]any{
		"version": "2.0", "rawPath": "/token", "headers": map[string]string{
			"content-type": "application/x-www-form-urlencoded", "authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret)),
		},
		"body": "grant_type=client_credentials", "requestContext": map[string]any{"http": map[string]any{"method": "POST", "sourceIp": "192.0.2.7"}},
	})
	token, _ := got.body["access_token"].(string)
	if got.status != 200 || token == "" {
		t.Fatalf("got %d %s", got.status, got.text)
	}
	return token
}

// decision is the authorizer's about GET /orders of a REST API.
func (p *process) decision(t *testing.T, token string) string {
	t.Helper()
	said, _ := p.decided(t, token)
	return said
}

// requestForOrders is the event of GET /orders with a token.
const requestForOrders = `{"type":"REQUEST","methodArn":"arn:aws:execute-api:eu-west-1:123456789012:a1/v1/GET/orders","resource":"/orders","path":"/orders",` +
	`"httpMethod":"GET","headers":{"Authorization":"Bearer %[1]s"},"multiValueHeaders":{"Authorization":["Bearer %[1]s"]},` +
	`"stageVariables":{"gatehouse":"orders"},"requestContext":{"resourcePath":"/orders","httpMethod":"GET","apiId":"a1","stage":"v1"}}`

// decided is the authorizer's decision and the API key that it names.
func (p *process) decided(t *testing.T, token string) (said, usageKey string) {
	t.Helper()
	event := fmt.Appendf(nil, requestForOrders, token)
	var answer struct {
		Policy struct {
			Statement []struct{ Effect string }
		} `json:"policyDocument"`
		Context struct {
			Error, Tier string
		} `json:"context"`
		UsageKey string `json:"usageIdentifierKey"`
	}
	if err := json.Unmarshal(p.send(t, event), &answer); err != nil {
		t.Fatal(err)
	}
	for _, s := range answer.Policy.Statement {
		if s.Effect == "Allow" {
			return "allowed " + answer.Context.Tier, answer.UsageKey
		}
	}
	return "refused " + answer.Context.Error, answer.UsageKey
}

// TestAccessFromTheRequestToTheRevocation takes the functions, as they are
// deployed, over one table: a client appears at the provider, it gets tokens from
// the broker, they open the API, and no longer once its contract is revoked.
func TestAccessFromTheRequestToTheRevocation(t *testing.T) {
	t.Parallel()
	o := newOrganisation(t)
	registration, gate, broker := o.start(t, "RegistrationFunction"), o.start(t, "AuthorizerFunction"), o.start(t, "BrokerFunction")
	const developer, owner = "gatehouse:applications", "gatehouse:contracts"
	made := registration.call(t, "POST", "/applications", `{"client_name":"Reports","grant_types":["client_credentials"],"scope":"orders:read",`+
		`"contracts":[{"api":"orders","tier":"trial"}]}`, developer)
	if made.status != 201 {
		t.Fatalf("got %d %s", made.status, made.text)
	}
	token := broker.token(t, made)
	if got := gate.decision(t, token); got != "allowed trial" {
		t.Errorf("got %s", got)
	}
	id, _ := made.body["client_id"].(string)
	if got := registration.call(t, "PATCH", "/apis/orders/contracts/"+id, `{"status":"revoked"}`, owner); got.status != 200 {
		t.Errorf("got %d %s", got.status, got.text)
	}
	// What the authorizer remembers of a contract another test waits for; one that
	// starts now remembers nothing.
	if got := o.start(t, "AuthorizerFunction").decision(t, token); got != "refused no_contract" {
		t.Errorf("got %s", got)
	}

	// The table and the logs hold no secret.
	secret, _ := made.body["client_secret"].(string)
	registration.stop()
	gate.stop()
	broker.stop()
	for what, text := range map[string]string{
		"the table": o.table.Text(t), "registration's log": registration.stdout.String(), "the authorizer's log": gate.stdout.String(),
		"the broker's log": broker.stdout.String(),
	} {
		if secret == "" || !strings.Contains(text, id) || strings.Contains(text, secret) || strings.Contains(text, "00token") || strings.Contains(text, token[:20]) {
			t.Errorf("%s lacks the client or shows a secret:\n%s", what, text)
		}
	}
}

// TestTheReconcilerKeepsKeys that are enough for an authorizer to start with
// while the provider is down.
func TestTheReconcilerKeepsKeys(t *testing.T) {
	t.Parallel()
	o := newOrganisation(t)
	var counts map[string]map[string]int
	if err := json.Unmarshal(o.start(t, "ReconcilerFunction").send(t, []byte(`{"source":"aws.events"}`)), &counts); err != nil {
		t.Fatal(err)
	}
	if counts["providers"]["healthy"] != 1 || counts["keys"]["kept"] != 1 || counts["interrupted"]["left"] != 0 {
		t.Errorf("got %v", counts)
	}
	o.Break(standin.Keys, standin.Fault{Status: http.StatusServiceUnavailable})
	claims := o.Claims("nobody", "orders:read")
	token, err := o.Mint(claims, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := o.start(t, "AuthorizerFunction").decision(t, token); got != "refused no_contract" {
		t.Errorf("with the keys of the registry: got %s", got)
	}
}
