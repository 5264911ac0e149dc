package authorizer_test

import (
	"context"
	"maps"
	"strings"
	"testing"
	"time"

	"gatehouse/shared/apigw"
	"gatehouse/shared/authorizer"
	"gatehouse/shared/config"
	"gatehouse/shared/registry"
)

// contracted is orders, for applications with a contract.
var contracted = strings.ReplaceAll(orders, "contract: none", "contract: required")

// contract reads from the registry while it answers.
func (s *site) contract(ctx context.Context, k registry.ContractKey) (registry.Contract, error) {
	s.reads.Add(1)
	if s.down.Load() {
		return registry.Contract{}, registry.ErrUnavailable
	}
	return s.registry.Contract(ctx, k)
}

// application records an application with a client and contracts.
func (s *site) application(client registry.Client, contracts ...registry.Contract) {
	s.t.Helper()
	id := "application-of-" + client.ClientID
	i, err := s.registry.Begin(s.t.Context(), registry.Intent{
		Marker: registry.NewID(), Operation: registry.Create, Attempt: registry.NewID(), Lease: s.now().Add(time.Minute),
		Application: registry.Application{ID: id, Kind: registry.Developer, Provider: client.Provider, Owner: "ada"},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	i.Application.ClientID = client.ClientID
	for n := range contracts {
		contracts[n].Provider, contracts[n].ClientID, contracts[n].ApplicationID = client.Provider, client.ClientID, id
	}
	end := registry.Completion{Intent: i, Outcome: registry.Done, Contracts: contracts}
	if err := s.registry.Complete(s.t.Context(), end); err != nil {
		s.t.Fatal(err)
	}
}

// approve gives the client app access to APIs.
func (s *site) approve(apis ...string) {
	s.t.Helper()
	var contracts []registry.Contract
	for _, api := range apis {
		contracts = append(contracts, registry.Contract{API: api, Tier: "gold", Status: registry.Approved})
	}
	s.application(registry.Client{Provider: "okta", ClientID: "app"}, contracts...)
}

// becomes changes the status of the contract of the client app with an API.
func (s *site) becomes(api string, status registry.Status) {
	s.t.Helper()
	c, err := s.registry.Contract(s.t.Context(), registry.ContractKey{Provider: "okta", ClientID: "app", API: api})
	if err != nil {
		s.t.Fatal(err)
	}
	c.Status = status
	audit := registry.Audit{Who: "ada", What: "contract", Target: api}
	if _, err := s.registry.UpdateContract(s.t.Context(), c, audit); err != nil {
		s.t.Fatal(err)
	}
}

func TestContractForEveryShape(t *testing.T) {
	t.Parallel()
	pending := func(s *site) {
		s.application(registry.Client{Provider: "okta", ClientID: "app"},
			registry.Contract{API: "orders", Status: registry.Pending}, registry.Contract{API: "simple", Status: registry.Pending})
	}
	all := func(s *site, status registry.Status) {
		s.becomes("orders", status)
		s.becomes("simple", status)
	}
	for _, row := range []struct {
		name    string
		prepare func(*site)
		outcome string
		reason  string
	}{
		{"an approved contract opens what the token opens", func(s *site) { s.approve("orders", "simple") }, "allowed", "allowed"},
		{"a pending contract opens nothing", pending, "forbidden", "contract_pending"},
		{"a rejected contract opens nothing", func(s *site) { pending(s); all(s, registry.Rejected) }, "forbidden", "contract_rejected"},
		{"a revoked contract opens nothing", func(s *site) {
			s.approve("orders", "simple")
			all(s, registry.Revoked)
		}, "forbidden", "contract_revoked"},
		{"no contract opens nothing", func(*site) {}, "forbidden", "no_contract"},
		{"a contract of the same client id at another provider opens nothing", func(s *site) {
			s.application(registry.Client{Provider: "keycloak", ClientID: "app"},
				registry.Contract{API: "orders", Status: registry.Approved}, registry.Contract{API: "simple", Status: registry.Approved})
		}, "forbidden", "no_contract"},
		{"a registry that does not answer is a failure, not a refusal", func(s *site) {
			s.approve("orders", "simple")
			s.down.Store(true)
		}, "failed", "unavailable"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for _, shape := range shapes {
				t.Run(shape.name, func(t *testing.T) {
					s := newSite(t, contracted)
					row.prepare(s)
					a := s.ask(t, shape.of(bearer(s.token("orders:read", "orders:write", "orders:admin"))))
					if a.line["outcome"] != row.outcome || a.line["reason"] != row.reason {
						t.Errorf("log: got %v, %v; want %s, %s", a.line["outcome"], a.line["reason"], row.outcome, row.reason)
					}
					switch row.outcome {
					case "failed":
						wantError(t, a, apigw.ErrUnavailable)
					case "forbidden":
						wantNoContract(t, a)
					default:
						wantAnswer(t, a, "")
						if !a.allows() || a.context["application"] != "application-of-app" || a.context["tier"] != "gold" {
							t.Errorf("allowed: %t, with %v", a.allows(), a.context)
						}
					}
				})
			}
		})
	}
}

// wantNoContract wants an answer that says the same of every route.
func wantNoContract(t *testing.T, a answer) {
	t.Helper()
	wantAnswer(t, a, "no_contract")
	for _, rest := range []string{"GET/orders", "GET/orders/7", "POST/orders", "DELETE/admin/users", "GET/unlisted", "$connect", "GET/"} {
		if a.allowsRoute(rest) {
			t.Errorf("%s is allowed by %s", rest, a.body)
		}
	}
	if a.simple == nil && !strings.Contains(a.document, `"Effect":"Deny"`) {
		t.Errorf("no explicit deny in %s", a.document)
	}
	if a.context["client_id"] != "app" || a.context["application"] != "" || a.context["tier"] != "" {
		t.Errorf("context: got %v", a.context)
	}
}

func TestATokenWithoutAClientHasNoContract(t *testing.T) {
	t.Parallel()
	s := newSite(t, contracted)
	s.approve("orders")
	a := s.ask(t, bearer(s.minted(map[string]any{"cid": nil}, "orders:read")))
	wantAnswer(t, a, "no_contract")
	if a.allows() || a.line["reason"] != "no_client_id" || s.reads.Load() != 0 {
		t.Errorf("allowed %t, %v, after %d reads", a.allows(), a.line["reason"], s.reads.Load())
	}
}

func TestAContractIsNoScope(t *testing.T) {
	t.Parallel()
	s := newSite(t, contracted)
	s.approve("orders")
	a := s.ask(t, bearer(s.token("orders:read")).to("POST", "/orders"))
	if a.allows() || a.line["reason"] != "insufficient_scope" {
		t.Errorf("allowed %t, %v", a.allows(), a.line["reason"])
	}
}

func TestABadTokenAsksForNoContract(t *testing.T) {
	t.Parallel()
	s := newSite(t, contracted)
	s.approve("orders")
	s.down.Store(true)
	a := s.ask(t, bearer(s.minted(map[string]any{"aud": "api://other"}, "orders:read")))
	wantError(t, a, apigw.ErrUnauthorized)
	if s.reads.Load() != 0 {
		t.Errorf("got %d reads", s.reads.Load())
	}
}

func TestAContractOpensItsOwnAPI(t *testing.T) {
	t.Parallel()
	s := newSite(t, contracted)
	s.approve("orders")
	raw := s.token("orders:read")
	for range 2 {
		if got := s.reason(t, bearer(raw)); got != "allowed" {
			t.Errorf("orders: got %q", got)
		}
		if got := s.reason(t, bearer(raw).simple()); got != "no_contract" {
			t.Errorf("simple: got %q", got)
		}
	}
}

func TestAContractIsOfAClientAtOneProvider(t *testing.T) {
	t.Parallel()
	s := newSite(t, strings.NewReplacer("apis:", `  - {name: second, type: okta, issuer: "${IDP}/oauth2/other", audiences: ["api://default"]}
apis:`, "providers: [okta]", "providers: [okta, second]").Replace(contracted))
	s.approve("orders")
	for issuer, want := range map[string]string{"/oauth2/default": "allowed", "/oauth2/other": "no_contract"} {
		if got := s.reason(t, bearer(s.minted(map[string]any{"iss": s.url + issuer}, "orders:read"))); got != want {
			t.Errorf("%s: got %q, want %q", issuer, got, want)
		}
	}
}

// A contract is read again when it has been believed for 60 s, 10 s where there
// was none; what was read before counts no longer, whoever is down.
func TestTimeToRevokeAContract(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name          string
		before        func(*site)
		after         func(*site)
		believed      time.Duration
		first, second string
	}{
		{"a revoked contract works for 60 s", func(s *site) { s.approve("orders") },
			func(s *site) { s.becomes("orders", registry.Revoked) }, time.Minute, "allowed", "contract_revoked"},
		{"an approval shows after 60 s", func(s *site) {
			s.application(registry.Client{Provider: "okta", ClientID: "app"}, registry.Contract{API: "orders", Status: registry.Pending})
		}, func(s *site) { s.becomes("orders", registry.Approved) }, time.Minute, "contract_pending", "allowed"},
		{"a restored contract works after 60 s", func(s *site) { s.approve("orders"); s.becomes("orders", registry.Revoked) },
			func(s *site) { s.becomes("orders", registry.Approved) }, time.Minute, "contract_revoked", "allowed"},
		{"a new contract works after 10 s", func(*site) {},
			func(s *site) { s.approve("orders") }, 10 * time.Second, "no_contract", "allowed"},
		{"a contract is not believed for longer when the registry is down", func(s *site) { s.approve("orders") },
			func(s *site) { s.down.Store(true) }, time.Minute, "allowed", "unavailable"},
		{"a missing contract neither", func(*site) {},
			func(s *site) { s.down.Store(true) }, 10 * time.Second, "no_contract", "unavailable"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, contracted)
			row.before(s)
			r := bearer(s.token("orders:read"))
			if got := s.reason(t, r); got != row.first {
				t.Fatalf("at first: got %q, want %q", got, row.first)
			}
			row.after(s)
			s.advance(row.believed - 1)
			// Another token of the client is of the same contract.
			for _, r := range []request{r, bearer(s.token("orders:read"))} {
				if got := s.reason(t, r); got != row.first {
					t.Errorf("just before %v: got %q, want %q", row.believed, got, row.first)
				}
			}
			if n := s.reads.Load(); n != 1 {
				t.Errorf("got %d reads, want 1", n)
			}
			s.advance(1)
			if got := s.reason(t, r); got != row.second {
				t.Errorf("after %v: got %q, want %q", row.believed, got, row.second)
			}
		})
	}
}

// What was read is as old as the question, however long the answer took.
func TestASlowAnswerIsNotYoung(t *testing.T) {
	t.Parallel()
	s := newSite(t, contracted)
	s.approve("orders")
	gate, err := authorizer.New(s.config(contracted), s.environment(), func(ctx context.Context, k registry.ContractKey) (registry.Contract, error) {
		c, err := s.contract(ctx, k)
		s.advance(3 * time.Second)
		return c, err
	})
	if err != nil {
		t.Fatal(err)
	}
	s.gate = gate
	r := bearer(s.token("orders:read"))
	s.ask(t, r)
	s.becomes("orders", registry.Revoked)
	s.advance(57 * time.Second)
	if got := s.reason(t, r); got != "contract_revoked" {
		t.Errorf("60 s after the question: got %q", got)
	}
}

// An answer that the registry did not give is not remembered.
func TestARegistryThatComesBackIsAskedAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t, contracted)
	s.approve("orders")
	r := bearer(s.token("orders:read"))
	s.down.Store(true)
	if got := s.reason(t, r); got != "unavailable" {
		t.Errorf("got %q", got)
	}
	s.down.Store(false)
	if got := s.reason(t, r); got != "allowed" {
		t.Errorf("got %q", got)
	}
}

func TestContractsNeedARegistry(t *testing.T) {
	t.Parallel()
	s := newSite(t, contracted)
	_, err := authorizer.New(s.config(contracted), s.environment(), nil)
	const want = "authorizer: api orders: requires contracts and there is no registry to read them from: " +
		"set REGISTRY_TABLE to the name of its table, or contract: none to let in every application that has a token"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if _, err := authorizer.New(s.config(orders), s.environment(), nil); err != nil {
		t.Errorf("without contracts: %v", err)
	}
	cfg := &config.Config{
		Providers: s.config(orders).Providers,
		APIs:      []config.API{{Name: "bare", Providers: []string{"okta"}, Routes: []config.Route{{Route: "GET /orders"}}}},
	}
	if _, err := authorizer.New(cfg, s.environment(), nil); err == nil {
		t.Error("an API that says nothing of contracts needs none")
	}
}

// A contract that is remembered costs a look into a map.
func TestARememberedContractAllocatesNothing(t *testing.T) { //nolint:paralleltest // allocations of others would count
	s := newSite(t, contracted)
	s.approve("orders")
	event := bearer(s.token("orders:read")).event(t)
	request, err := apigw.ParseRequest(event)
	if err != nil {
		t.Fatal(err)
	}
	cost := func(a *authorizer.Authorizer) float64 {
		return testing.AllocsPerRun(200, func() {
			if d, err := a.Decide(t.Context(), request); err != nil || d.Outcome != apigw.Allowed {
				t.Fatalf("%v, %v", d.Reason, err)
			}
		})
	}
	with, without := cost(s.gate), cost(s.authorizer(orders))
	if with > without {
		t.Errorf("got %v allocations with a contract and %v without", with, without)
	}
}

func TestTheRegistrysNamesAreNoClaims(t *testing.T) {
	t.Parallel()
	s := newSite(t, contracted)
	s.approve("orders")
	a := s.ask(t, bearer(s.minted(map[string]any{"application": "other", "tier": "platinum"}, "orders:read")))
	want := map[string]string{"application": "application-of-app", "tier": "gold"}
	got := maps.Clone(a.context)
	maps.DeleteFunc(got, func(name, _ string) bool { return want[name] == "" })
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
