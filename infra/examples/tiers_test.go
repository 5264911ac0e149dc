package examples_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/infra/local/gateway"
	"gatehouse/shared/apigw"
	"gatehouse/shared/fetch"
	"gatehouse/shared/provider"
	"gatehouse/shared/registration"
	"gatehouse/shared/registry"
	"gatehouse/shared/secret"
	"gatehouse/shared/usageplan/usageplantest"
)

// tiers is the example usage-plan with the registration before it, and a stand-in
// for the control API of API Gateway.
type tiers struct {
	*stack

	registration *apigw.HTTP
	keys         *usageplantest.Server
}

func newTiers(t *testing.T) *tiers {
	t.Helper()
	store, err := (registry.Embedded{}).Open()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for name, text := range map[string]string{
		"admin.json": `{"authorization":"SSWS ` + apiToken + `"}`, "keys.json": `{"current":"0123456789abcdef0123456789abcdef"}`,
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := &tiers{keys: usageplantest.New(map[string]string{"a1b2c3": "orders/v1", "d4e5f6": "orders/v1"})}
	c := byTier(t)
	c.contracts = store.Contract
	c.gateway = func(c *gateway.Config) { c.KeyPlan = s.keys.PlanOf }
	c.yaml = func(text string) string {
		return strings.Replace(text, "type: okta,", "type: okta, adminSecret: file:"+filepath.Join(folder, "admin.json")+",", 1) +
			"registration: {keys: file:" + filepath.Join(folder, "keys.json") + "}\n"
	}
	s.stack = newStack(t, "usage-plan", c)
	service, err := registration.New(s.cfg, provider.Environment{HTTP: fetch.NewClient(), Secrets: &secret.Manager{}}, store)
	if err != nil {
		t.Fatal(err)
	}
	service.APIKeys = s.keys.Gateway().Settle
	s.registration = &apigw.HTTP{Handler: service.Handler()}
	return s
}

// ask sends a request to the registration, of somebody who is developer and owner.
func (s *tiers) ask(t *testing.T, method, path, body string, status int) map[string]any {
	t.Helper()
	event, err := json.Marshal(map[string]any{
		"version": "2.0", "rawPath": path, "headers": map[string]string{"content-type": "application/json"}, "body": body,
		"requestContext": map[string]any{
			"http": map[string]any{"method": method, "sourceIp": "192.0.2.7"},
			"authorizer": map[string]any{"lambda": map[string]string{
				"sub": "ada", "client_id": "cli", "scope": "gatehouse:applications gatehouse:contracts", "groups": `["orders-team"]`,
			}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := s.registration.Invoke(t.Context(), event)
	if err != nil {
		t.Fatal(err)
	}
	var response struct {
		StatusCode int    `json:"statusCode"`
		Body       string `json:"body"`
	}
	if err := json.Unmarshal(answer, &response); err != nil || response.StatusCode != status {
		t.Fatalf("%s %s: got %d %s, %v; want %d", method, path, response.StatusCode, response.Body, err, status)
	}
	var members map[string]any
	if response.Body != "" {
		if err := json.Unmarshal([]byte(response.Body), &members); err != nil {
			t.Fatal(err)
		}
	}
	return members
}

// TestTiersBite goes from the request for access to the revocation: what the
// registration does with API keys is what API Gateway holds callers to.
func TestTiersBite(t *testing.T) {
	t.Parallel()
	s := newTiers(t)
	trial, gold := s.api.UsagePlans[0], s.api.UsagePlans[1]
	made := s.ask(t, "POST", "/applications", `{"client_name":"Reports","grant_types":["client_credentials"],"scope":"orders:read",`+
		`"contracts":[{"api":"usage-plan","tier":"trial"}]}`, 201)
	client, _ := made["client_id"].(string)
	application, _ := made["id"].(string)
	contract := "/apis/usage-plan/contracts/" + client
	token := s.token(t, client, "orders:read", nil)

	for range trial.Burst {
		s.try(t, call{name: "trial", token: token, status: 200})
	}
	s.try(t, call{name: "trial, one more", token: token, status: 429, says: `{"message":"Too Many Requests"}`})

	s.ask(t, "PATCH", contract, `{"tier":"gold"}`, 200)
	if keys := s.keys.Keys(); len(keys) != 1 || s.keys.PlanOf(keys[0].Value) != gold.ID {
		t.Errorf("with another tier there are %+v, want one in %s", keys, gold.ID)
	}
	s.advance(time.Minute)
	for range trial.Burst + 1 {
		s.try(t, call{name: "gold", token: token, status: 200})
	}

	// The key is gone at once, whatever is remembered of the contract.
	s.ask(t, "PATCH", contract, `{"status":"revoked"}`, 200)
	s.try(t, call{name: "revoked", token: token, status: 403, says: `{"message":"Forbidden"}`})
	s.advance(3 * time.Minute)
	s.try(t, call{
		name: "revoked, and nothing remembered", token: token, status: 403, challenge: `Bearer realm="usage-plan", error="insufficient_scope"`,
		says: "not authorized",
	})

	s.ask(t, "PATCH", contract, `{"status":"approved"}`, 200)
	s.advance(3 * time.Minute)
	s.try(t, call{name: "restored", token: token, status: 200})
	s.ask(t, "DELETE", "/applications/"+application, "", 204)
	s.try(t, call{name: "deleted", token: token, status: 403, says: `{"message":"Forbidden"}`})
	if keys := s.keys.Keys(); len(keys) > 0 {
		t.Errorf("there are %+v, want none", keys)
	}
}
