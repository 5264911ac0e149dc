package config_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/shared/config"
	"gatehouse/shared/policy"
)

// registering is a file with everything that registration needs.
const registering = `providers:
  - name: okta
    type: okta
    issuer: https://example.okta.com/oauth2/default
    adminSecret: okta/admin
    audiences: ["api://default"]
apis:
  - name: orders
    providers: [okta]
    owners: [group:orders-team]
    tiers: [{name: trial, autoApprove: true}]
    routes:
      - {route: GET /orders, scopes: [orders:read]}
registration:
  keys: gatehouse/keys
  dynamic: {provider: okta}
`

var registrationRefusals = []struct{ name, old, new, want string }{
	{
		"a provider that signs in and is none is refused",
		"  keys:", "  signIn: okat\n  keys:",
		`15:11: registration.signIn: is "okat", which is no provider; did you mean "okta"?`,
	},
	{
		"with two providers it must be said which one signs in",
		"apis:", "  - {name: lab, type: rfc7591, issuer: 'https://lab.example.com', audiences: [a], openRegistration: true}\napis:",
		"16:3: registration.signIn: is missing; say which provider developers and administrators have tokens of",
	},
	{
		"a claim of groups that the authorizer's own answer uses is refused",
		"  keys:", "  groupsClaim: tier\n  keys:",
		`15:16: registration.groupsClaim: is "tier", a name that the authorizer's own answer uses`,
	},
	{
		"dynamic registration at no provider is refused",
		"{provider: okta}", "{provider: lab}",
		`16:23: registration.dynamic.provider: is "lab", which is no provider; there are okta`,
	},
	{
		"dynamic registration at a provider that registers none is refused",
		"    adminSecret: okta/admin\n", "",
		`15:23: registration.dynamic.provider: is "okta", where clients are not registered; give it an adminSecret`,
	},
	{
		"open registration that does not say where is refused",
		"{provider: okta}", "{open: true}",
		"16:12: registration.dynamic.provider: is missing; say where clients that register themselves go",
	},
	{
		"open registration beside an administrator's secret is refused",
		"    audiences", "    openRegistration: true\n    audiences",
		"6:23: providers[0].openRegistration: contradicts adminSecret; keep one of them",
	},
	{
		"open registration at Okta is refused",
		"adminSecret: okta/admin", "openRegistration: true",
		"5:23: providers[0].openRegistration: is nothing that Okta has; set adminSecret",
	},
	{
		"a group to assign elsewhere than at Okta is refused",
		"    type: okta", "    type: keycloak\n    afterCreate: {assignGroup: Everyone}",
		"4:32: providers[0].afterCreate.assignGroup: is for Okta only; remove it",
	},
	{
		"a secret in the place of its name is refused",
		"adminSecret: okta/admin", "adminSecret: SSWS hunter2",
		"5:18: providers[0].adminSecret: is no ARN or name of a secret; keep the secret itself in Secrets Manager",
	},
	{
		"a file without a name is refused",
		"keys: gatehouse/keys", "keys: 'file:'",
		"15:9: registration.keys: names no file; write file: and its path",
	},
	{
		"an API of Gatehouse's own name is refused",
		"name: orders", "name: gatehouse",
		"8:11: apis[0].name: is what Gatehouse calls its own API; choose another",
	},
	{
		"an API with Gatehouse's own stage variable is refused",
		"    routes:", "    match: {stageVariable: gatehouse}\n    routes:",
		"12:28: apis[0].match.stageVariable: is the one of Gatehouse's own API; choose another",
	},
	{
		"two APIs of one resource are refused",
		"    routes:", `    resource: https://api.example.com/a
    match: {stageVariable: a}
    routes: [{route: GET /}]
  - name: stock
    providers: [okta]
    owners: [ada]
    resource: https://API.example.com/a
    match: {stageVariable: b}
    routes:`,
		"18:15: apis[1].resource: is that of apis[0], too",
	},
	{
		"an address of an API that ends with a slash is refused",
		"    routes:", "    url: https://api.example.com/v1/\n    routes:",
		"12:10: apis[0].url: ends with a slash; leave it out",
	},
	{
		"a portal with the client of another purpose is refused",
		"keys: gatehouse/keys", "keys: gatehouse/keys\n  portal: {secret: okta/admin}",
		"16:20: registration.portal.secret: is providers[].adminSecret of okta; the portal's client is one of its own, with the redirect URI /portal/callback",
	},
	{
		"a portal without keys is refused",
		"keys: gatehouse/keys", "keys: ''\n  portal: {secret: gatehouse/portal}",
		"16:20: registration.portal.secret: needs registration.keys, too: what the portal keeps in browsers is sealed with them",
	},
	{
		"a scope of the portal that is two is refused",
		"keys: gatehouse/keys", `keys: gatehouse/keys
  portal: {secret: gatehouse/portal, scopes: ["gatehouse:applications gatehouse:contracts"]}`,
		`16:47: registration.portal.scopes[0]: is "gatehouse:applications gatehouse:contracts"; a scope has no spaces, quotes or backslashes`,
	},
	{
		"a resource with a fragment is refused",
		"    routes:", "    resource: https://api.example.com/#a\n    routes:",
		"12:15: apis[0].resource: has a query or a fragment; remove everything from the ? or #",
	},
	{
		"a resource that no token can be compared with is refused",
		"    routes:", "    resource: https://api.exampl%C3%A9.com/\n    routes:",
		"12:15: apis[0].resource: is no resource indicator (RFC 8707): it has at most 2048 bytes, all of them characters of RFC 3986, a host without percent-encoding, and http:// only for localhost, 127.0.0.1 and [::1]",
	},
	{
		"an owner that is a group without a name is refused",
		"[group:orders-team]", `["group:"]`,
		`10:14: apis[0].owners[0]: names no group; write "group:" and its name`,
	},
	{
		"a limit without a time is refused",
		"autoApprove: true}", "autoApprove: true, requests: 5}",
		"11:13: apis[0].tiers[0]: has requests or per; a limit needs both, such as requests: 100 and per: 1m",
	},
	{
		"a time without a limit is refused",
		"autoApprove: true}", "autoApprove: true, per: 1m}",
		"11:13: apis[0].tiers[0]: has requests or per; a limit needs both, such as requests: 100 and per: 1m",
	},
	{
		"a usage plan that is no id is refused",
		"autoApprove: true}", "autoApprove: true, usagePlan: trial plan}",
		`11:57: apis[0].tiers[0].usagePlan: is "trial plan"; it must be the id of a usage plan, such as a1b2c3`,
	},
	{
		"a usage plan that is too long for an id is refused",
		"autoApprove: true}", "autoApprove: true, usagePlan: a1b2c3d4e5f6g7h8i9j0k}",
		`11:57: apis[0].tiers[0].usagePlan: is "a1b2c3d4e5f6g7h8i9j0k"; it must be the id of a usage plan, such as a1b2c3`,
	},
	{
		"a broker without a registration is refused",
		"registration:\n  keys: gatehouse/keys\n  dynamic: {provider: okta}\n", "broker: {keys: gatehouse/broker}\n",
		"14:16: broker.keys: needs registration.keys, too: the broker serves applications that are registered",
	},
	{
		"a broker with the registration's keys is refused",
		"registration:\n  keys: gatehouse/keys\n", "broker: {keys: gatehouse/keys}\nregistration:\n  keys: gatehouse/keys\n",
		"14:16: broker.keys: is registration.keys; the broker must not open what the registration seals: give it keys of its own",
	},
	{
		"keys of a broker that are no name of a secret are refused",
		"registration:\n", "broker: {keys: a secret}\nregistration:\n",
		"14:16: broker.keys: is no ARN or name of a secret; keep the secret itself in Secrets Manager",
	},
	{
		"clients with metadata that could be registered nowhere are refused",
		"  dynamic: {provider: okta}\n", "broker: {keys: gatehouse/broker, clientMetadata: true}\n",
		"16:50: broker.clientMetadata: needs registration.dynamic.provider, where such clients are registered",
	},
	{
		"a backend that is named twice is refused",
		"    routes:", "    introspectedBy: [a, b, a]\n    routes:",
		`12:28: apis[0].introspectedBy[2]: is repeated: "a"`,
	},
	{
		"a kept token that would outlive what revokes it is refused",
		"registration:\n", "broker: {keys: gatehouse/broker, cacheClientCredentials: 6m}\nregistration:\n",
		`14:58: broker.cacheClientCredentials: is "6m"; it must be from 1s to 5m`,
	},
	{
		"two tiers of one name are refused",
		"autoApprove: true}", "autoApprove: true}, {name: trial}",
		`11:54: apis[0].tiers[1].name: is "trial", a name that another one has`,
	},
	{
		"a public URL that ends with a slash is refused",
		"providers:\n  - name", "publicURL: https://gatehouse.example.com/\nproviders:\n  - name",
		"1:12: publicURL: ends with a slash; leave it out",
	},
	{
		"a public URL without TLS is refused",
		"providers:\n  - name", "publicURL: http://gatehouse.example.com\nproviders:\n  - name",
		"1:12: publicURL: must begin with https:// (http:// only for localhost, 127.0.0.0/8 and [::1])",
	},
}

func TestRefusalsOfRegistration(t *testing.T) {
	t.Parallel()
	for _, row := range registrationRefusals {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if strings.Count(registering, row.old) == 0 {
				t.Fatalf("%q is not in the file", row.old)
			}
			_, err := config.Parse([]byte(strings.Replace(registering, row.old, row.new, 1)), nil)
			got := "nothing"
			if err != nil {
				got = strings.ReplaceAll(err.Error(), "gatehouse.yaml:", "")
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("want -, got +\n%s", diff)
			}
		})
	}
}

var registrationWarnings = []struct{ name, old, new, want string }{
	{
		"registration without a provider that registers",
		registering, strings.NewReplacer("    adminSecret: okta/admin\n", "", "  dynamic: {provider: okta}\n", "").Replace(registering),
		"14:3: registration: is on, but clients are registered at no provider; give one an adminSecret",
	},
	{
		"an API that only administrators decide about",
		"    owners: [group:orders-team]\n", "",
		"8:5: apis[0].owners: are missing; only administrators decide who gets access",
	},
	{
		"a tier that approves clients of nobody",
		"{provider: okta}", "{provider: okta, open: true}",
		"11:40: apis[0].tiers[0].autoApprove: approves clients that nobody knows: whoever registers itself gets the first tier",
	},
	{
		"an administrator's secret that the authorizer reads",
		"    adminSecret: okta/admin", "    adminSecret: okta/admin\n    secret: okta/admin",
		"5:18: providers[0].adminSecret: is the secret that the authorizer reads, too; keep the administrator's in one of its own",
	},
	{
		"tiers of an API that asks for no contract",
		"    routes:", "    contract: none\n    routes:",
		"11:12: apis[0].tiers: have no effect with contract: none",
	},
	{
		"a tier without a usage plan beside one that has one",
		"autoApprove: true}", "autoApprove: true}, {name: gold, usagePlan: a1b2c3}",
		"11:13: apis[0].tiers[0]: has no usagePlan, and others have; where API Gateway asks for an API key it refuses the clients of this tier",
	},
	{
		"a broker's setting without a broker",
		"registration:\n", "broker: {clientMetadata: true}\nregistration:\n",
		"14:26: broker.clientMetadata: has no effect without broker.keys",
	},
	{
		"a provider that registers without a registration",
		"registration:\n  keys: gatehouse/keys\n  dynamic: {provider: okta}\n", "",
		"2:5: providers[0]: registers clients, but there is no registration; set registration.keys",
	},
}

func TestGatehousesOwnAPI(t *testing.T) {
	t.Parallel()
	cfg := parse(t, registering, nil)
	if cfg.Warnings != nil {
		t.Errorf("got the warnings %v, want none", cfg.Warnings)
	}
	own := cfg.APIs[len(cfg.APIs)-1]
	if len(cfg.APIs) != 2 || !own.BuiltIn || own.RequiresContract() || !slices.Equal(own.Providers, []string{"okta"}) ||
		!slices.Equal(own.ExposeClaims, []string{"groups"}) || own.Match.StageVariable != config.BuiltInAPI {
		t.Errorf("got %+v", own)
	}
	if _, err := policy.NewTable(own.Rules()); err != nil {
		t.Error(err)
	}
	for _, route := range own.Routes {
		if len(route.AnyScope) == 0 || !slices.Contains(route.AnyScope, config.ScopeAdmin) {
			t.Errorf("%s: opened by %v, want administrators and perhaps others", route.Route, route.AnyScope)
		}
	}
	if cfg := parse(t, minimal, nil); len(cfg.APIs) != 1 || cfg.Registers() {
		t.Errorf("without registration there is %+v", cfg.APIs)
	}
	off := strings.Replace(registering, "keys: gatehouse/keys", "keys: ${KEYS}", 1)
	if cfg := parse(t, off, map[string]string{"KEYS": ""}); len(cfg.APIs) != 1 || cfg.Registers() {
		t.Errorf("with an empty variable there is %+v", cfg.APIs)
	}
}

// TestTheProvidersShownInTheDeployedFile: whoever uncomments one of them has a
// file that is good.
func TestTheProvidersShownInTheDeployedFile(t *testing.T) {
	t.Parallel()
	text := string(readFile(t, "../../infra/gatehouse.yaml"))
	before, rest, ok := strings.Cut(text, "  # The other providers, as they may stand here:\n")
	shown, after, closed := strings.Cut(rest, "apis:\n")
	if !ok || !closed {
		t.Fatal("infra/gatehouse.yaml shows no other providers")
	}
	var real strings.Builder
	for line := range strings.Lines(shown) {
		real.WriteString(strings.Replace(strings.Replace(line, "  # ", "  ", 1), "  #\n", "\n", 1))
	}
	after = strings.Replace(after, "providers: [okta]", "providers: [okta, pingfederate, openam, keycloak]", 1)
	after = strings.Replace(after, "  keys: ", "  signIn: okta\n  keys: ", 1)
	cfg := parse(t, before+real.String()+"apis:\n"+after, deployed)
	var kinds []string
	for _, p := range cfg.Providers {
		kinds = append(kinds, string(p.Type))
		if !p.RegistersClients() {
			t.Errorf("no clients are registered at %s", p.Name)
		}
	}
	if diff := cmp.Diff([]string{"okta", "pingfederate", "openam", "keycloak"}, kinds); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	var warnings []string
	for _, w := range cfg.Warnings {
		warnings = append(warnings, w.Path)
	}
	want := []string{"providers[2].insecureAnyAudience", "apis[0].providers"} // as the comments say
	if diff := cmp.Diff(want, warnings); diff != "" {
		t.Errorf("warnings: -want +got:\n%s", diff)
	}
}
