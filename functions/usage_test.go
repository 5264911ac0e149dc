package functions_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"gatehouse/shared/usageplan/usageplantest"
)

// metered is an organisation whose API has a usage plan for each tier.
type metered struct {
	*organisation

	gateway *usageplantest.Server
	down    atomic.Bool // API Gateway's control API does not answer
}

func newMetered(t *testing.T) *metered {
	t.Helper()
	m := &metered{organisation: newOrganisation(t), gateway: usageplantest.New(map[string]string{"trial1": "orders/v1", "gold01": "orders/v1"})}
	control := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m.down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		m.gateway.ServeHTTP(w, r)
	}))
	t.Cleanup(control.Close)
	m.variables = []string{"AWS_ENDPOINT_URL_API_GATEWAY=" + control.URL}
	m.yaml = strings.NewReplacer("autoApprove: true, requests", "autoApprove: true, usagePlan: trial1, requests",
		"{name: gold, requests", "{name: gold, usagePlan: gold01, requests")
	return m
}

// wantKey fails unless there is one API key, with this value and in this plan.
func (m *metered) wantKey(t *testing.T, when, value, plan string) {
	t.Helper()
	keys := m.gateway.Keys()
	if len(keys) != 1 || keys[0].Value != value || !keys[0].Enabled || len(keys[0].Plans) != 1 || keys[0].Plans[0] != plan {
		t.Errorf("%s: there are %+v, want one in %s", when, keys, plan)
	}
}

// TestAContractHasAnAPIKeyInThePlanOfItsTier takes the functions, as they are
// deployed, over one table and API Gateway's control API: the key comes with the
// contract, follows its tier, also when the control API does not answer at that
// moment, and goes with it.
func TestAContractHasAnAPIKeyInThePlanOfItsTier(t *testing.T) {
	t.Parallel()
	m := newMetered(t)
	registration, broker, reconciler := m.start(t, "RegistrationFunction"), m.start(t, "BrokerFunction"), m.start(t, "ReconcilerFunction")
	const developer, owner = "gatehouse:applications", "gatehouse:contracts"
	made := registration.call(t, "POST", "/applications", `{"client_name":"Reports","grant_types":["client_credentials"],"scope":"orders:read",`+
		`"contracts":[{"api":"orders","tier":"trial"}]}`, developer)
	if made.status != 201 {
		t.Fatalf("got %d %s", made.status, made.text)
	}
	token := broker.token(t, made)
	id, _ := made.body["client_id"].(string)
	said, value := m.start(t, "AuthorizerFunction").decided(t, token)
	if said != "allowed trial" || value == "" {
		t.Fatalf("got %s, API key %q", said, value)
	}
	m.wantKey(t, "approved", value, "trial1")

	decide := func(body string) {
		t.Helper()
		if got := registration.call(t, "PATCH", "/apis/orders/contracts/"+id, body, owner); got.status != 200 || strings.Contains(got.text, value) {
			t.Errorf("%s: got %d %s", body, got.status, got.text)
		}
	}
	decide(`{"tier":"gold"}`)
	m.wantKey(t, "with another tier", value, "gold01")

	m.down.Store(true)
	decide(`{"tier":"trial"}`)
	m.down.Store(false)
	m.wantKey(t, "with the control API down", value, "gold01")
	// The contract stands: who starts now goes by it, and by the same key.
	if said, now := m.start(t, "AuthorizerFunction").decided(t, token); said != "allowed trial" || now != value {
		t.Errorf("with the control API down: got %s, API key %q", said, now)
	}
	var counts map[string]map[string]int
	if err := json.Unmarshal(reconciler.send(t, []byte(`{"source":"aws.events"}`)), &counts); err != nil {
		t.Fatal(err)
	}
	if got := counts["usage"]; got["settled"] != 1 || got["left"] != 0 || got["changed"] != 0 {
		t.Errorf("got %v", got)
	}
	m.wantKey(t, "after the reconciler", value, "trial1")

	application, _ := made.body["id"].(string)
	if got := registration.call(t, "POST", "/applications/"+application+"/secret", "", developer); got.status != 200 {
		t.Errorf("got %d %s", got.status, got.text)
	}
	m.wantKey(t, "with another secret", value, "trial1")

	decide(`{"status":"revoked"}`)
	if keys := m.gateway.Keys(); len(keys) > 0 {
		t.Errorf("revoked: there are %+v", keys)
	}
	if said, now := m.start(t, "AuthorizerFunction").decided(t, token); said != "refused no_contract" || now != "" {
		t.Errorf("revoked: got %s, API key %q", said, now)
	}

	for name, p := range map[string]*process{"registration": registration, "reconciler": reconciler} {
		p.stop()
		if text := p.stdout.String() + p.stderr.String(); strings.Contains(text, value) || name == "registration" && !strings.Contains(text, "usages_left") {
			t.Errorf("%s shows the key, or not that something was left:\n%s", name, text)
		}
	}
}

// TestContractsFollowTheirTiersToUsagePlans that gatehouse.yaml has not had.
func TestContractsFollowTheirTiersToUsagePlans(t *testing.T) {
	t.Parallel()
	m := newMetered(t)
	plans := m.yaml
	m.yaml = nil
	before := m.start(t, "RegistrationFunction")
	made := before.call(t, "POST", "/applications", `{"client_name":"Reports","grant_types":["client_credentials"],"scope":"orders:read",`+
		`"contracts":[{"api":"orders","tier":"trial"}]}`, "gatehouse:applications")
	if made.status != 201 || len(m.gateway.Keys()) != 0 {
		t.Fatalf("got %d %s, %+v", made.status, made.text, m.gateway.Keys())
	}
	m.yaml = plans
	reconciler := m.start(t, "ReconcilerFunction")
	for range 2 { // what is written in the first may be listed in the second only
		reconciler.send(t, []byte(`{"source":"aws.events"}`))
	}
	keys := m.gateway.Keys()
	if len(keys) != 1 || len(keys[0].Plans) != 1 || keys[0].Plans[0] != "trial1" {
		t.Errorf("there are %+v, want one in trial1", keys)
	}
	id, _ := made.body["id"].(string)
	again := before.call(t, "DELETE", "/applications/"+id, "", "gatehouse:applications")
	if keys := m.gateway.Keys(); again.status != 204 || len(keys) > 0 {
		t.Errorf("deleted: got %d %s, %+v", again.status, again.text, keys)
	}
}
