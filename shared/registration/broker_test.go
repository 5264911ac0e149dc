package registration_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/shared/clientdoc"
	"gatehouse/shared/registry"
	"gatehouse/shared/seal"
	"gatehouse/shared/secret"
	"gatehouse/shared/standin"
)

// This file is about what the registration does for the broker.

const brokersCallback = "https://gatehouse.example.com/callback"

// withBroker is an API whose clients the broker serves.
func withBroker(t *testing.T) *api {
	t.Helper()
	a := newAPI(t)
	a.Broker = seal.New(secret.Fixed(secret.Keys{Current: secret.New("the broker's keys, of thirty-two bytes")}))
	return a
}

// only is the one client at the provider.
func (a *api) only() standin.Client {
	a.t.Helper()
	all := a.org.Registered("")
	if len(all) != 1 {
		a.t.Fatalf("there are %d clients, want 1", len(all))
	}
	return all[0]
}

func TestTheProviderKnowsTheBrokersCallback(t *testing.T) {
	t.Parallel()
	a := withBroker(t)
	made := a.want(201, request{method: "POST", path: "/applications", authorizer: asAda,
		body: `{"provider":"okta","client_name":"Shop","redirect_uris":["https://app.example.com/cb"],"grant_types":["authorization_code","client_credentials"]}`})
	path := "/applications/" + made.string("id")
	if got := a.only().RedirectURIs; !slices.Equal(got, []string{"https://app.example.com/cb", brokersCallback}) {
		t.Errorf("the provider knows %v", got)
	}
	if strings.Contains(made.text, brokersCallback) {
		t.Errorf("the callback is not the client's: %s", made.text)
	}
	a.want(200, request{method: "PATCH", path: path, authorizer: asAda, body: `{"redirect_uris":["https://app.example.com/new"]}`})
	if got := a.only().RedirectURIs; !slices.Equal(got, []string{"https://app.example.com/new", brokersCallback}) {
		t.Errorf("after a change the provider knows %v", got)
	}
	if program := a.application(); len(a.org.Registered(program.string("client_name"))[0].RedirectURIs) != 0 {
		t.Error("nobody signs in to a program, and the provider knows a callback")
	}
	refused := a.want(400, request{method: "POST", path: "/register", body: `{"redirect_uris":["` + brokersCallback + `"]}`})
	if refused.string("error") != "invalid_redirect_uri" {
		t.Errorf("got %s", refused.text)
	}
}

// TestClientsFromBeforeTheBroker get its callback with their next change, and
// their secrets are recognised where they were, by the registration.
func TestClientsFromBeforeTheBroker(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	got, path, bearer := a.registered()
	if a.only().RedirectURIs[0] == brokersCallback || len(a.only().RedirectURIs) != 1 {
		t.Errorf("without a broker the provider knows %v", a.only().RedirectURIs)
	}
	a.Broker = withBroker(t).Broker
	body := `{"client_id":"` + got.string("client_id") + `","client_secret":"` + got.string("client_secret") + `","redirect_uris":["https://app.example.com/cb"]}`
	a.want(200, request{method: "PUT", path: path, header: bearer, body: body})
	if !slices.Contains(a.only().RedirectURIs, brokersCallback) {
		t.Errorf("after a change the provider knows %v", a.only().RedirectURIs)
	}
}

// TestTheBrokerRecognisesSecrets by its own keys, and by nothing else that the
// registration keeps.
func TestTheBrokerRecognisesSecrets(t *testing.T) {
	t.Parallel()
	a := withBroker(t)
	made := a.application()
	path := "/applications/" + made.string("id")
	recognised := func(text string) (current, previous bool) {
		t.Helper()
		app, err := a.Store.Application(t.Context(), made.string("id"))
		if err != nil {
			t.Fatal(err)
		}
		for mark, into := range map[string]*bool{app.SecretHMAC: &current, app.PreviousSecretHMAC: &previous} {
			known, err := a.Broker.Recognises(t.Context(), mark, registry.SecretMark, secret.New(text))
			if err != nil {
				t.Fatal(err)
			}
			*into = *into || known
		}
		return current, previous
	}
	first := made.string("client_secret")
	if current, previous := recognised(first); !current || previous {
		t.Errorf("a new secret: got %t, %t", current, previous)
	}
	a.clock.Advance(time.Second)
	second := a.want(200, request{method: "POST", path: path + "/secret", authorizer: asAda}).string("client_secret")
	if current, previous := recognised(first); current || !previous {
		t.Errorf("the old secret after a rotation: got %t, %t", current, previous)
	}
	if current, _ := recognised(second); !current {
		t.Error("the new secret after a rotation is not recognised")
	}
	a.clock.Advance(time.Second)
	a.want(204, request{method: "DELETE", path: path + "/secret/previous", authorizer: asAda})
	if current, previous := recognised(first); current || previous {
		t.Error("a secret that was ended is recognised")
	}
	if current, _ := recognised(second); !current {
		t.Error("the new secret is not recognised any more")
	}
}

const agentURL = "https://agent.example.com/client.json"

// agent is what the broker sends for a client that it has read the metadata of.
const agent = `{"client_name":"Agent","redirect_uris":["http://127.0.0.1/cb"],"grant_types":["authorization_code"],"token_endpoint_auth_method":"none"}`

// vouched is the request with which the broker has a client registered.
func (a *api) vouched(body string, life time.Duration) request {
	a.t.Helper()
	voucher, err := clientdoc.Vouch(a.t.Context(), a.Broker, clientdoc.Voucher{
		ClientID: agentURL, From: "198.51.100.1", Expires: a.clock.Now().Add(life),
	}, []byte(body))
	if err != nil {
		a.t.Fatal(err)
	}
	return request{method: "POST", path: "/register", body: body, header: map[string]string{"Authorization": "Bearer " + voucher}}
}

func TestTheBrokerHasClientsRegistered(t *testing.T) {
	t.Parallel()
	a := withBroker(t)
	a.Dynamic.Open = false // the broker's word is enough
	a.want(204, a.vouched(agent, time.Minute))
	app, err := a.Store.ApplicationByAlias(t.Context(), agentURL)
	if err != nil || app.ClientID != a.only().ID || app.RegistrationHMAC != "" || app.Kind != registry.Dynamic || app.Callback != brokersCallback {
		t.Errorf("got %+v, %v", app, err)
	}
	if known := a.only().RedirectURIs; !slices.Equal(known, []string{brokersCallback}) {
		t.Errorf("the provider knows %v, want the callback alone", known)
	}
	if contract, err := a.Store.Contract(t.Context(), registry.ContractKey{Provider: "okta", ClientID: app.ClientID, API: "orders"}); err != nil || contract.Status != registry.Approved {
		t.Errorf("a tier that approves itself: got %v, %v", contract.Status, err)
	}
	if contract, err := a.Store.Contract(t.Context(), registry.ContractKey{Provider: "okta", ClientID: app.ClientID, API: "stock"}); err != nil || contract.Status != registry.Pending {
		t.Errorf("an API without tiers: got %v, %v", contract.Status, err)
	}
	a.want(409, a.vouched(agent, time.Minute))
	a.unchanged("twice", 1)
}

func TestOnlyTheBrokersWordCounts(t *testing.T) {
	t.Parallel()
	a := withBroker(t)
	a.Dynamic.Open = false
	for name, change := range map[string]func(*request){
		"for other metadata":       func(r *request) { r.body = strings.Replace(r.body, "Agent", "Bank", 1) },
		"a changed voucher":        func(r *request) { r.header["Authorization"] += "A" },
		"an initial access token?": func(r *request) { r.header["Authorization"] = "Bearer x" },
		"none":                     func(r *request) { r.header = nil },
	} {
		r := a.vouched(agent, time.Minute)
		change(&r)
		a.want(401, r)
		a.unchanged(name, 0)
	}
	late := a.vouched(agent, time.Minute)
	a.clock.Advance(time.Minute)
	a.want(401, late)
	other := withBroker(t)
	other.Broker = seal.New(secret.Fixed(secret.Keys{Current: secret.New("keys of somebody else, of 32 bytes or so")}))
	foreign := other.vouched(agent, time.Hour)
	a.want(401, foreign)
	a.Broker = nil
	a.want(401, foreign)
	a.unchanged("by nobody", 0)
}

// TestWhatTheBrokerBringsIsLimited by whom the person comes from, for they bring
// the clients.
func TestWhatTheBrokerBringsIsLimited(t *testing.T) {
	t.Parallel()
	a := withBroker(t)
	a.Dynamic.PerAddress = 1
	a.want(400, a.vouched(`{"redirect_uris":["javascript:alert(1)"],"token_endpoint_auth_method":"none"}`, time.Minute))
	got := a.want(429, a.vouched(agent, time.Minute))
	if got.header.Get("Retry-After") == "" {
		t.Errorf("got %v", got.header)
	}
	a.unchanged("too many", 0)
}

// TestOneClientForOneURL whoever comes with it, however many at a time.
func TestOneClientForOneURL(t *testing.T) {
	t.Parallel()
	a := withBroker(t)
	var wg sync.WaitGroup
	var mu sync.Mutex // guards statuses
	var statuses []int
	for range 8 {
		r := a.vouched(agent, time.Minute)
		wg.Go(func() {
			got := (&api{site: a.site, t: t}).call(r) // with a log of its own
			mu.Lock()
			defer mu.Unlock()
			statuses = append(statuses, got.status)
		})
	}
	wg.Wait()
	made := 0
	for _, status := range statuses {
		switch status {
		case http.StatusNoContent:
			made++
		case http.StatusConflict, http.StatusServiceUnavailable:
		default:
			t.Errorf("got %d", status)
		}
	}
	if made != 1 {
		t.Errorf("%d were told that they made it: %v", made, statuses)
	}
	if _, err := a.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.only()
	if problems := a.problems(t); len(problems) > 0 {
		t.Error(problems)
	}
}
