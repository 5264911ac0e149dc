package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/shared/config"
	"gatehouse/shared/policy"
)

// environment makes a map look like os.LookupEnv.
func environment(m map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := m[name]
		return value, ok
	}
}

func readFile(tb testing.TB, name string) []byte {
	tb.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func parse(t *testing.T, text string, env map[string]string) *config.Config {
	t.Helper()
	cfg, err := config.Parse([]byte(text), environment(env))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestEveryKeyIsRead(t *testing.T) {
	t.Parallel()
	got := parse(t, string(readFile(t, "testdata/complete.yaml")), map[string]string{
		"ISSUER": "https://example.okta.com", "ENTRIES": "5", "ANY": "true", "KIND": "list", "TENANT": "a]b: c",
	})
	got.Warnings = nil
	if own := got.APIs[len(got.APIs)-1]; !own.BuiltIn || own.Name != config.BuiltInAPI {
		t.Errorf("got %s, want Gatehouse's own API", own.Name)
	}
	got.APIs = got.APIs[:len(got.APIs)-1]
	want := &config.Config{
		PublicURL: "https://gatehouse.example.com/base",
		Registration: config.Registration{
			Keys: "gatehouse/keys", SignIn: "okta", GroupsClaim: "teams",
			Dynamic: config.Dynamic{Provider: "lab", Open: true, PerHour: 5, PerAddress: 2, UnusedLife: 24 * time.Hour},
			Portal:  config.Portal{Secret: "gatehouse/portal", Scopes: []string{config.ScopeApplications}},
		},
		Broker: config.Broker{Keys: "gatehouse/broker-keys", ClientMetadata: true, CacheClientCredentials: time.Minute},
		Providers: []config.Provider{{
			Name:           "okta",
			Type:           config.Okta,
			Issuer:         "https://example.okta.com/oauth2/default",
			Secret:         "arn:aws:secretsmanager:eu-west-1:123456789012:secret:okta-AbCdEf",
			AdminSecret:    "arn:aws:secretsmanager:eu-west-1:123456789012:secret:okta-admin-AbCdEf",
			AfterCreate:    config.AfterCreate{AssignGroup: "Everyone"},
			Tokens:         config.Introspect,
			Audiences:      []string{"api://default", "${literal}"},
			Algorithms:     []string{"PS256", "Ed25519"},
			ClientIDClaims: []string{"client", "cid"},
			ScopeClaims:    []string{"permissions"},
			TokenTypes:     []string{"", "application/at+jwt"},
			RequiredClaims: []string{"jti"},
			RequestTimeout: 2500 * time.Millisecond,
			Endpoints: config.Endpoints{
				JWKS: "https://keys.example.com/a?b=c", Introspection: "http://127.0.0.1:8080/introspect",
				Registration: "https://example.okta.com/oauth2/v1/clients", Authorization: "https://example.okta.com/authorize?acr=2",
				Token: "https://example.okta.com/token", Revocation: "https://example.okta.com/revoke",
			},
			Resource:     config.ResourceAsAudience,
			KeysFile:     "keys/okta.json",
			MaxLifetime:  90 * time.Minute,
			Leeway:       5 * time.Second,
			CacheEntries: 5,
			CacheMax:     30 * time.Second,
		}, {
			Name:                "lab",
			Type:                config.RFC7591,
			Issuer:              "http://[::1]:9000",
			OpenRegistration:    true,
			Tokens:              config.JWT,
			InsecureAnyAudience: true,
			Algorithms:          []string{"RS256"},
			ClientIDClaims:      []string{"client_id", "azp"},
			ScopeClaims:         []string{"scope", "scp"},
			TokenTypes:          []string{"at+jwt"},
			RequiredClaims:      []string{"sub", "client_id", "iat", "jti"},
			RequestTimeout:      3 * time.Second,
			Resource:            config.PassResource,
			KeysFile:            "/opt/keys.json",
			KeysOnly:            true,
			MaxLifetime:         24 * time.Hour,
			Leeway:              time.Minute,
			CacheEntries:        1000,
		}},
		APIs: []config.API{{
			Name:           "orders",
			Providers:      []string{"okta", "lab"},
			Match:          config.Match{StageVariable: "orders", APIIDs: []string{"a1b2c3d4e5"}, Domains: []string{"orders.example.com"}},
			Profile:        config.MuleSoft,
			TokenIn:        []config.Place{config.Query},
			HTTPAnswer:     config.Simple,
			Contract:       config.None,
			Resource:       "https://api.example.com/orders",
			URL:            "https://api.example.com/v1",
			Owners:         []string{"group:orders-team", "grace"},
			Tiers:          []config.Tier{{Name: "trial", AutoApprove: true, Requests: 100, Per: time.Minute, UsagePlan: "a1b2c3"}, {Name: "gold", UsagePlan: "d4e5f6"}},
			IntrospectedBy: []string{"0oa1b2c3d4e5f6g7h8i9"},
			ExposeClaims:   []string{"email", "sub"},
			Routes: []config.Route{
				{Route: "GET /orders", Scopes: []string{"orders:read", "orders:list"}},
				{
					Route:    "GET /orders/{id}",
					AnyScope: []string{"orders:read", "orders:admin"},
					Claims: []policy.Claim{
						{Name: "groups", AnyOf: []string{"platform", "7"}},
						{Name: "email_verified", AnyOf: []string{"true"}},
						{Name: "https://example.com/tenant", AnyOf: []string{"a]b: c"}},
					},
				},
				{Route: "DELETE /orders", Refuse: true},
			},
		}, {
			Name:       "chat",
			Providers:  []string{"lab"},
			Match:      config.Match{StageVariable: "chat"},
			Profile:    config.Strict,
			TokenIn:    []config.Place{config.Header},
			HTTPAnswer: config.IAM,
			Contract:   config.Required,
			Routes:     []config.Route{{Route: "$connect"}},
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want -, got +\n%s", diff)
	}
}

func TestRulesAreTheRoutesInTheirOrder(t *testing.T) {
	t.Parallel()
	a := config.API{Routes: []config.Route{
		{Route: "GET /b", Scopes: []string{"s"}, AnyScope: []string{"t"}, Claims: []policy.Claim{{Name: "c", AnyOf: []string{"v"}}}},
		{Route: "GET /a", Refuse: true},
	}}
	want := []policy.Rule{
		{Route: "GET /b", Requirement: policy.Requirement{
			Scopes: []string{"s"}, AnyScope: []string{"t"}, Claims: []policy.Claim{{Name: "c", AnyOf: []string{"v"}}},
		}},
		{Route: "GET /a", Requirement: policy.Requirement{Refuse: true}},
	}
	if diff := cmp.Diff(want, a.Rules()); diff != "" {
		t.Errorf("want -, got +\n%s", diff)
	}
}

func TestDefaultsOfEachType(t *testing.T) {
	t.Parallel()
	both := []string{"scope", "scp"}
	rows := map[config.ProviderType]config.Provider{
		config.Okta: {
			ClientIDClaims: []string{"cid"}, ScopeClaims: []string{"scp"}, TokenTypes: []string{"", "JWT", "at+jwt"}, Resource: config.DropResource,
		},
		config.PingFederate: {
			ClientIDClaims: []string{"client_id"}, ScopeClaims: both, TokenTypes: []string{"", "JWT", "at+jwt"}, Resource: config.PassResource,
		},
		config.OpenAM: {
			ClientIDClaims: []string{"client_id"}, ScopeClaims: both, TokenTypes: []string{"", "JWT", "at+jwt"}, Resource: config.DropResource,
		},
		config.Keycloak: {
			ClientIDClaims: []string{"azp", "client_id"}, ScopeClaims: both, TokenTypes: []string{"JWT", "at+jwt"}, Resource: config.DropResource,
		},
		config.RFC7591: {
			ClientIDClaims: []string{"client_id", "azp"}, ScopeClaims: both, TokenTypes: []string{"at+jwt"}, Resource: config.PassResource,
			RequiredClaims: []string{"sub", "client_id", "iat", "jti"},
		},
	}
	for kind, want := range rows {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			got := parse(t, strings.Replace(minimal, "type: okta", "type: "+string(kind), 1), nil)
			want.Name, want.Type, want.Issuer = "okta", kind, "https://example.okta.com/oauth2/default"
			want.Audiences, want.Algorithms = []string{"api://default"}, []string{"RS256"}
			want.Tokens, want.RequestTimeout = config.JWT, 3*time.Second
			want.MaxLifetime, want.Leeway, want.CacheEntries = 24*time.Hour, time.Minute, 1000
			if diff := cmp.Diff(want, got.Providers[0]); diff != "" {
				t.Errorf("want -, got +\n%s", diff)
			}
		})
	}
}

func TestDefaultsThatDependOnOtherKeys(t *testing.T) {
	t.Parallel()
	cfg := parse(t, minimal, nil)
	if got, want := cfg.ResultCache, time.Minute; got != want {
		t.Errorf("resultCache: got %s, want %s", got, want)
	}
	if got := cfg.APIs[0].TokenIn; !cmp.Equal(got, []config.Place{config.Header}) {
		t.Errorf("tokenIn of profile strict: got %v, want header", got)
	}
	cfg = parse(t, strings.Replace(minimal, "    routes:", "    profile: mulesoft\n    routes:", 1), nil)
	if got := cfg.APIs[0].TokenIn; !cmp.Equal(got, []config.Place{config.Header, config.Query}) {
		t.Errorf("tokenIn of profile mulesoft: got %v, want header and query", got)
	}
	text := strings.Replace(minimal, "    type:", "    secret: ${SECRET}\n    type:", 1)
	for secret, want := range map[string]config.TokenKind{"": config.JWT, "okta/introspection": config.Auto} {
		cfg := parse(t, text, map[string]string{"SECRET": secret})
		if got := cfg.Providers[0].Tokens; got != want {
			t.Errorf("tokens with the secret %q: got %s, want %s", secret, got, want)
		}
	}
}

func TestAnEmptyVariableLeavesTheDefault(t *testing.T) {
	t.Parallel()
	cfg := parse(t, strings.Replace(minimal, "    routes:", "    profile: ${PROFILE}\n    httpAnswer: ${ANSWER}\n    contract: ${CONTRACT}\n    routes:", 1),
		map[string]string{"PROFILE": "", "ANSWER": "", "CONTRACT": ""})
	if a := cfg.APIs[0]; a.Profile != config.Strict || a.HTTPAnswer != config.IAM || a.Contract != config.Required {
		t.Errorf("got profile %q, httpAnswer %q and contract %q, want strict, iam and required", a.Profile, a.HTTPAnswer, a.Contract)
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name     string
		old, new string
		want     string
	}{
		{
			"tokens: auto without a secret refuses opaque tokens",
			"    type: okta", "    type: okta\n    tokens: auto",
			"4:13: providers[0].tokens: is auto without a secret: opaque tokens are refused",
		},
		{
			"an issuer that ends with a slash is kept and pointed out",
			"oauth2/default", "oauth2/default/",
			"4:13: providers[0].issuer: ends with a slash; tokens match only if their iss does, too",
		},
		{
			"Okta's org authorization server issues tokens for Okta alone",
			"/oauth2/default", "",
			"4:13: providers[0].issuer: is Okta's org authorization server, whose access tokens only Okta may read; " +
				"name a custom one, such as …/oauth2/default, or set tokens: introspect",
		},
		{
			"any audience is insecure",
			`audiences: ["api://default"]`, "insecureAnyAudience: true",
			"5:26: providers[0].insecureAnyAudience: accepts tokens that the issuer made for any other API",
		},
		{
			"introspection answers are not remembered for long",
			"    type: okta", "    type: okta\n    tokens: introspect\n    secret: okta\n    cacheMax: 61s",
			"6:15: providers[0].cacheMax: is longer than introspection answers are ever remembered, which is 60s",
		},
		{
			"tokens that live for more than 30 days",
			"    type: okta", "    type: okta\n    maxLifetime: 721h",
			"4:18: providers[0].maxLifetime: is longer than 720h; a token that leaks stays good for as long",
		},
		{
			"a token in the query is no OAuth 2.1",
			"    routes:", "    tokenIn: [query]\n    routes:",
			"9:14: apis[0].tokenIn: accepts tokens in the query, which logs and browsers keep; OAuth 2.1 forbids it",
		},
		{
			"tokens in two places cannot be cached",
			"    routes:", "    profile: mulesoft\n    routes:",
			"7:5: apis[0].tokenIn: names two places, and API Gateway caches by identity sources that must all be present; " +
				"set resultCache: 0 and no identity source, or name one place",
		},
		{
			"simple answers are cached for every route",
			"    routes:", "    httpAnswer: simple\n    routes:",
			"9:17: apis[0].httpAnswer: is simple, and cached answers count for every route; " +
				"the authorizer's identity sources must include $context.routeKey",
		},
		{
			"a provider that no API uses",
			"apis:", "  - {name: spare, type: rfc7591, issuer: 'https://spare.example.com', audiences: [a]}\napis:",
			"6:12: providers[1].name: is used by no API",
		},
		{
			"two providers that introspect leave opaque tokens to nobody",
			"apis:\n  - name: orders\n    providers: [okta]",
			"  - {name: a, type: rfc7591, issuer: 'https://a.example.com', audiences: [a], secret: a}\n" +
				"  - {name: b, type: rfc7591, issuer: 'https://b.example.com', audiences: [a], secret: b}\n" +
				"apis:\n  - name: orders\n    providers: [okta, a, b]",
			"10:16: apis[0].providers: has several that introspect; an opaque token does not say whose it is, so this API refuses it",
		},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			cfg := parse(t, edit(t, row.old, row.new), nil)
			var got []string
			for _, w := range cfg.Warnings {
				got = append(got, w.String())
			}
			if diff := cmp.Diff([]string{row.want}, got); diff != "" {
				t.Errorf("want -, got +\n%s", diff)
			}
		})
	}
	for _, row := range registrationWarnings {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			cfg := parse(t, strings.Replace(registering, row.old, row.new, 1), nil)
			var got []string
			for _, w := range cfg.Warnings {
				got = append(got, w.String())
			}
			if diff := cmp.Diff([]string{row.want}, got); diff != "" {
				t.Errorf("want -, got +\n%s", diff)
			}
		})
	}
	if cfg := parse(t, minimal, nil); cfg.Warnings != nil {
		t.Errorf("a plain file: got the warnings %v, want none", cfg.Warnings)
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if cfg, err := config.Load(write("good.yaml", minimal), nil); err != nil || cfg.APIs[0].Name != "orders" {
		t.Errorf("a good file: got %v, %v", cfg, err)
	}
	rows := []struct{ name, path, want string }{
		{"a file that is missing is named", filepath.Join(dir, "none.yaml"), "none.yaml: no such file"},
		{"problems begin with the file's path", write("bad.yaml", "a: 1"), filepath.Join(dir, "bad.yaml") + ":1:1: a: is no key here"},
		{"a file of more than 1 MiB is not read", write("large.yaml", strings.Repeat("#", config.MaxSize+1)), "large.yaml:1:1: is larger than 1024 KiB"},
		{"a directory is no file", dir, "is a directory"},
	}
	for _, row := range rows {
		cfg, err := config.Load(row.path, nil)
		if cfg != nil || err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got %v, %v, want an error with %q", row.name, cfg, err, row.want)
		}
	}
}

func TestPathIsWhatTheEnvironmentSays(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{"": "gatehouse.yaml", "etc/other.yaml": "etc/other.yaml"} {
		got := config.Path(func(name string) string { return map[string]string{"GATEHOUSE_CONFIG": value}[name] })
		if got != want {
			t.Errorf("GATEHOUSE_CONFIG=%q: got %q, want %q", value, got, want)
		}
	}
}

func TestVariables(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name, text string
		want       []string
	}{
		{"sorted, once each", "a: ${B}${A}\nb: [\"${A}\", {c: '${C_1}'}]", []string{"A", "B", "C_1"}},
		{"not in comments, not in keys, not escaped", "# ${A}\n\"${B}\": $${C}", nil},
		{"none where there is no YAML", "a: [${B}", nil},
	}
	for _, row := range rows {
		if diff := cmp.Diff(row.want, config.Variables([]byte(row.text))); diff != "" {
			t.Errorf("%s: want -, got +\n%s", row.name, diff)
		}
	}
}

// deployed is what template.yaml gives the function.
var deployed = map[string]string{
	"OIDC_ISSUER": "https://example.okta.com/oauth2/default", "OIDC_AUDIENCE": "api://default",
	"PROVIDER_SECRET": "", "AUTHORIZER_CACHE_SECONDS": "60",
	"ADMIN_SECRET": "gatehouse/admin", "REGISTRATION_KEYS": "gatehouse/keys", "PUBLIC_URL": "",
	"BROKER_KEYS": "gatehouse/broker-keys", "ORDERS_RESOURCE": "", "ORDERS_URL": "", "PORTAL_SECRET": "", "SIGN_IN_GROUP": "",
}

func TestTheDeployedFileIsGood(t *testing.T) {
	t.Parallel()
	data := readFile(t, "../../infra/gatehouse.yaml")
	cfg := parse(t, string(data), deployed)
	if cfg.Warnings != nil {
		t.Errorf("got the warnings %v, want none", cfg.Warnings)
	}
	want := []string{
		"ADMIN_SECRET", "AUTHORIZER_CACHE_SECONDS", "BROKER_KEYS", "OIDC_AUDIENCE", "OIDC_ISSUER", "ORDERS_RESOURCE", "ORDERS_URL", "PORTAL_SECRET", "PROVIDER_SECRET", "PUBLIC_URL",
		"REGISTRATION_KEYS", "SIGN_IN_GROUP",
	}
	if diff := cmp.Diff(want, config.Variables(data)); diff != "" {
		t.Errorf("variables: want -, got +\n%s", diff)
	}
	if _, err := policy.NewTable(cfg.APIs[0].Rules()); err != nil {
		t.Error(err)
	}
}
