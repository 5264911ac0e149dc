package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/infra/local/gateway"
	"gatehouse/infra/local/samtemplate"
	"gatehouse/infra/tooltest"
	"gatehouse/shared/config"
	"gatehouse/shared/oauth"
	"gatehouse/shared/registry"
	"gatehouse/shared/standin"
)

// providerTimeout is the requestTimeout of these tests.
const providerTimeout = time.Second

// hasty shortens the wait for the provider of infra/gatehouse.yaml.
var hasty = []string{"    secret: ${PROVIDER_SECRET}", "    secret: ${PROVIDER_SECRET}\n    requestTimeout: " + providerTimeout.String()}

// gated is the authorizer behind API Gateway, and a wire to its provider.
type gated struct {
	*clocked
	*tooltest.Wire

	api samtemplate.API
	at  *gateway.Gateway
}

// newGated is the authorizer of the template's REST API, with some text of its
// configuration replaced.
func newGated(t *testing.T, proxy *tooltest.Toxiproxy, replace ...string) *gated {
	t.Helper()
	g := &gated{}
	approved := func(_ context.Context, k registry.ContractKey) (registry.Contract, error) {
		return registry.Contract{Provider: k.Provider, ClientID: k.ClientID, API: k.API, Status: registry.Approved}, nil
	}
	g.clocked, g.Wire = newClockedBehind(t, proxy, approved, replace...)
	for _, api := range g.orders() {
		if api.Kind == samtemplate.REST {
			g.api = api
		}
	}
	g.at = g.gateway(g.api)
	return g
}

// pass puts the clock forward.
func (g *gated) pass(d time.Duration) { g.ns.Add(int64(d)) }

// wants asks for the orders.
func (g *gated) wants(t *testing.T, when string, status int, raw string) {
	t.Helper()
	got := g.asks(g.at, g.api, raw)
	if got.Code != status || status == http.StatusServiceUnavailable && !saysLater(got) {
		t.Errorf("%s: got %d %v, want %d", when, got.Code, got.Header(), status)
	}
}

// saysLater reports whether an answer has callers come again, with the token that
// they have.
func saysLater(w *httptest.ResponseRecorder) bool {
	return w.Header().Get("Retry-After") != "" && w.Header().Get("WWW-Authenticate") == ""
}

// TestF1F2F11TCPFaultsMeetTheAuthorizer spoils the way to the provider under
// everything that the authorizer asks it. Nobody is sent to get a new token, no
// request waits for longer than requestTimeout, and when the way is good again,
// so are the tokens.
func TestF1F2F11TCPFaultsMeetTheAuthorizer(t *testing.T) {
	t.Parallel()
	proxy := tooltest.StartToxiproxy(t)
	secret := filepath.Join(t.TempDir(), "secret.json")
	if err := os.WriteFile(secret, []byte(`{"client_id":"gate","client_secret":"gate-secret"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	asking := []string{hasty[0], strings.Replace(hasty[1], "${PROVIDER_SECRET}", "file:"+secret, 1) + "\n    tokens: introspect"}
	discovering := append([]string{
		"type: okta # or pingfederate", "type: rfc7591 # or pingfederate", "    afterCreate:", "    clientIDClaims: [cid]\n    scopeClaims: [scp]\n" +
			"    requiredClaims: [sub]\n    tokenTypes: [application/okta-internal-at+jwt, JWT, at+jwt, \"\"]\n    # afterCreate:",
	}, hasty...)
	all := tooltest.NewSurvived(t, "faults survived: TCP, between the authorizer and the provider")
	for _, row := range []struct {
		name    string
		replace []string
		meets   func(t *testing.T, g *gated, f tooltest.TCPFault)
	}{
		{"F2: keys are fetched for the first token", hasty, coldKeys},
		{"F2: keys are discovered for the first token", discovering, coldKeys},
		{"F1: keys are fetched anew", hasty, warmKeys},
		{"F11: a token is introspected", asking, introspection},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			g := newGated(t, proxy, row.replace...)
			g.wants(t, "before", http.StatusOK, g.token())
			all.Run(t, tooltest.TCPFaults(), func(t *testing.T, f tooltest.TCPFault) {
				t.Helper()
				row.meets(t, g, f)
			})
		})
	}
}

// coldKeys has an authorizer start that cannot fetch keys.
func coldKeys(t *testing.T, g *gated, f tooltest.TCPFault) {
	t.Helper()
	g.pass(time.Hour)
	g.restart()
	raw := g.token()
	f.Spoil(t, g.Wire)
	if f.Answers {
		tooltest.Within(t, providerTimeout, func() { g.wants(t, "meanwhile", http.StatusOK, raw) })
		g.Mend(t)
		return
	}
	tooltest.Within(t, providerTimeout, func() { g.wants(t, "meanwhile", http.StatusServiceUnavailable, raw) })
	asked := g.okta.Requests(standin.Keys) + g.okta.Requests(standin.Metadata)
	g.wants(t, "at once again", http.StatusServiceUnavailable, raw)
	if again := g.okta.Requests(standin.Keys) + g.okta.Requests(standin.Metadata); again != asked {
		t.Errorf("the provider was asked %d times more", again-asked)
	}
	g.Mend(t)
	g.pass(11 * time.Second)
	g.wants(t, "afterwards", http.StatusOK, raw)
}

// warmKeys has keys at hand that are due, and then a token of a key that is not
// among them.
func warmKeys(t *testing.T, g *gated, f tooltest.TCPFault) {
	t.Helper()
	g.pass(11 * time.Minute)
	known := g.token()
	other := g.token()
	forged := known[:strings.LastIndexByte(known, '.')] + other[strings.LastIndexByte(other, '.'):]
	f.Spoil(t, g.Wire)
	tooltest.Within(t, providerTimeout, func() { g.wants(t, "a key that is at hand", http.StatusOK, known) })
	g.wants(t, "the signature of another token", http.StatusUnauthorized, forged)
	if err := g.okta.RotateKeys(); err != nil {
		t.Fatal(err)
	}
	g.pass(11 * time.Second)
	unknown, want := g.token(), http.StatusServiceUnavailable
	if f.Answers {
		want = http.StatusOK
	}
	tooltest.Within(t, providerTimeout, func() { g.wants(t, "a key that is not", want, unknown) })
	g.wants(t, "the other still", http.StatusOK, known)
	g.Mend(t)
	g.pass(11 * time.Second)
	g.wants(t, "afterwards", http.StatusOK, unknown)
	g.okta.DropOldKeys()
}

// introspection asks about a token that nobody has seen.
func introspection(t *testing.T, g *gated, f tooltest.TCPFault) {
	t.Helper()
	g.pass(2 * time.Minute)
	raw, want := g.token(), http.StatusServiceUnavailable
	if f.Answers {
		want = http.StatusOK
	}
	f.Spoil(t, g.Wire)
	tooltest.Within(t, providerTimeout, func() { g.wants(t, "meanwhile", want, raw) })
	g.Mend(t)
	g.wants(t, "afterwards", http.StatusOK, raw)
}

// wired is a whole system, and a wire to its provider.
type wired struct {
	*system
	*tooltest.Wire

	clock *demoClock
	app   application
}

func newWired(t *testing.T, proxy *tooltest.Toxiproxy) *wired {
	t.Helper()
	text, err := os.ReadFile(repositoryFiles().Config)
	if err != nil {
		t.Fatal(err)
	}
	f := repositoryFiles()
	f.Config = filepath.Join(t.TempDir(), "gatehouse.yaml")
	if err := os.WriteFile(f.Config, []byte(strings.NewReplacer(hasty...).Replace(string(text))), 0o600); err != nil {
		t.Fatal(err)
	}
	w := &wired{clock: new(demoClock)}
	all := listeners(t)
	all[2], w.Wire = proxy.Behind(t, all[2])
	w.system = serving(t, options{files: f, now: w.clock.now, listeners: all})
	w.app = (&running{system: w.system}).registered(t)
	return w
}

// developer is a token of somebody who has applications.
func (w *wired) developer(t *testing.T) string {
	t.Helper()
	raw, err := w.standin.Mint(w.standin.Claims(developerID, config.ScopeApplications), nil)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// call sends a request of a developer.
func (w *wired) call(t *testing.T, method, path, body, key string) response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, w.Own+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+w.developer(t))
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", key)
	}
	return received(t, req)
}

// grants asks the broker for a token of the application.
func (w *wired) grants(t *testing.T) response {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"orders:read"}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.Own+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(w.app.ClientID, w.app.Secret)
	return received(t, req)
}

// settle reconciles until every lease is over.
func (w *wired) settle(t *testing.T) {
	t.Helper()
	for range 2 {
		w.clock.ahead.Add(int64(5 * time.Minute))
		if _, err := w.invoke(t.Context(), reconcilerFunction, []byte(`{}`)); err != nil {
			t.Fatal(err)
		}
	}
}

// balanced fails unless each client that was registered has its record, each
// record its client, and there are so many of them.
func (w *wired) balanced(t *testing.T, when string, want int) {
	t.Helper()
	d := &developersAtWork{t: t, sys: w.system, client: http.DefaultClient, token: w.developer(t)}
	recorded, clients := d.listed(t.Context()), 0
	for _, c := range w.standin.Registered("") {
		if c.ID == developerID || c.ID == portalID || c.ID == ownerID {
			continue
		}
		if clients++; !recorded[c.ID] {
			t.Errorf("%s: client %s, %q, has no record", when, c.ID, c.Name)
		}
	}
	if clients != want || len(recorded) != want {
		t.Errorf("%s: there are %d clients and %d records, want %d of each", when, clients, len(recorded), want)
	}
}

// TestF13TCPFaultsMeetTheTokenExchange spoils the way to the provider under the
// broker.
func TestF13TCPFaultsMeetTheTokenExchange(t *testing.T) {
	t.Parallel()
	w := newWired(t, tooltest.StartToxiproxy(t))
	w.Measure()
	if got := w.grants(t); got.status != http.StatusOK {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	tooltest.NewSurvived(t, "faults survived: TCP, between the broker and the provider").Run(t, tooltest.TCPFaults(), func(t *testing.T, f tooltest.TCPFault) {
		t.Helper()
		f.Spoil(t, w.Wire)
		tooltest.Within(t, providerTimeout, func() { wants(t, f, w.grants(t), http.StatusOK, `"error":"`+oauth.TemporarilyUnavailable+`"`) })
		w.Mend(t)
		if got := w.grants(t); got.status != http.StatusOK {
			t.Errorf("afterwards: got %d %s", got.status, got.body)
		}
	})
}

// wants fails unless an answer has the status of a success, or says that it is
// nothing the caller could mend, and when to come back.
func wants(t *testing.T, f tooltest.TCPFault, got response, status int, says string) {
	t.Helper()
	later := got.status == http.StatusServiceUnavailable && got.header.Get("Retry-After") != "" && got.header.Get("WWW-Authenticate") == "" &&
		strings.Contains(got.body, says)
	if f.Answers && got.status != status || !f.Answers && !later {
		t.Errorf("got %d %v %s", got.status, got.header, got.body)
	}
}

// TestF20F22TCPFaultsMeetRegistration spoils the way to the provider under what
// makes clients and what deletes them. Whatever the provider has done, after the
// reconciler each client has its record and each record its client.
func TestF20F22TCPFaultsMeetRegistration(t *testing.T) {
	t.Parallel()
	proxy := tooltest.StartToxiproxy(t)
	all := tooltest.NewSurvived(t, "faults survived: TCP, between the registration and the provider")
	t.Run("F20: a client is made", func(t *testing.T) {
		t.Parallel()
		w := newWired(t, proxy)
		w.Measure()
		w.registers(t, "before")
		clients := 2
		all.Run(t, tooltest.TCPFaults(), func(t *testing.T, f tooltest.TCPFault) {
			t.Helper()
			w.creation(t, f, clients)
			clients++
		})
	})
	t.Run("F22: a client is deleted", func(t *testing.T) {
		t.Parallel()
		w := newWired(t, proxy)
		app := w.registers(t, "before")
		if got := w.call(t, http.MethodDelete, "/applications/"+app.ID, "", ""); got.status != http.StatusNoContent {
			t.Fatalf("got %d %s", got.status, got.body)
		}
		all.Run(t, tooltest.WithoutBody(), w.deletion)
	})
}

// registers is a developer that registers an application and is told of it.
func (w *wired) registers(t *testing.T, name string) application {
	t.Helper()
	made := w.call(t, http.MethodPost, "/applications", strings.Replace(requestAccess, "My reports", name, 1), name)
	var app application
	if err := json.Unmarshal([]byte(made.body), &app); err != nil || made.status != http.StatusCreated {
		t.Fatalf("got %d %s", made.status, made.body)
	}
	return app
}

// registrationTimeout is what the provider may cost a request of a developer: a
// client takes several requests to the provider, and a mishap some to look what
// became of it.
const registrationTimeout = 8 * providerTimeout

// arrival returns what fails unless from now on requests about clients get to the
// provider as with f.
func (w *wired) arrival(f tooltest.TCPFault) func(*testing.T) {
	before := w.standin.Requests(standin.Clients)
	return func(t *testing.T) {
		t.Helper()
		if n := w.standin.Requests(standin.Clients) - before; n > 0 != f.Arrives {
			t.Errorf("%d requests got to the provider", n)
		}
	}
}

// creation has a developer register where there are so many clients already.
func (w *wired) creation(t *testing.T, f tooltest.TCPFault, clients int) {
	t.Helper()
	body := strings.Replace(requestAccess, "My reports", f.Name, 1)
	wantArrival := w.arrival(f)
	f.Spoil(t, w.Wire)
	tooltest.Within(t, registrationTimeout, func() {
		wants(t, f, w.call(t, http.MethodPost, "/applications", body, f.Name), http.StatusCreated, `"status":503`)
	})
	wantArrival(t)
	w.Mend(t)
	if !f.Answers {
		w.settle(t)
		w.balanced(t, "after the reconciler", clients)
	}
	w.registers(t, f.Name)
	w.balanced(t, "afterwards", clients+1)
}

// deletion has a developer delete an application.
func (w *wired) deletion(t *testing.T, f tooltest.TCPFault) {
	t.Helper()
	app := w.registers(t, f.Name)
	wantArrival := w.arrival(f)
	f.Spoil(t, w.Wire)
	tooltest.Within(t, registrationTimeout, func() {
		wants(t, f, w.call(t, http.MethodDelete, "/applications/"+app.ID, "", ""), http.StatusNoContent, `"status":503`)
	})
	wantArrival(t)
	w.Mend(t)
	w.settle(t)
	w.balanced(t, "after the reconciler", 1)
	if got := w.call(t, http.MethodDelete, "/applications/"+app.ID, "", ""); got.status != http.StatusNotFound {
		t.Errorf("afterwards: got %d %s", got.status, got.body)
	}
}
