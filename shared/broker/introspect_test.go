package broker_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/shared/oauth"
	"gatehouse/shared/registration"
	"gatehouse/shared/registry"
	"gatehouse/shared/standin"
)

// inactive fails unless the answer says that and nothing else (RFC 7662 §2.2).
func (a answer) inactive(t *testing.T) {
	t.Helper()
	if diff := cmp.Diff(map[string]any{"active": false}, a.json); diff != "" || a.status != 200 || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %v, want inactive and nothing else", a)
	}
}

func (a answer) active(t *testing.T) {
	t.Helper()
	if a.status != 200 || a.json["active"] != true || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %v, want active", a)
	}
}

// TestI1I2WhoMayAsk is clients that have shown a secret, by POST and in a form.
func TestI1I2WhoMayAsk(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, b := s.register(confidential), s.register(public)
	tokens := s.tokens(a)
	f := form("token", fmt.Sprint(tokens["access_token"]))
	for name, row := range map[string]struct {
		got    answer
		status int
		code   string
	}{
		"GET":                    {s.serve(httptest.NewRequest(http.MethodGet, "/introspect?"+f.Encode(), nil)), 405, oauth.InvalidRequest},
		"nobody":                 {s.do(s.client(nil), s.formRequest("/introspect", f)), 401, oauth.InvalidClient},
		"a public client":        {s.introspect(b, tokens["access_token"]), 401, oauth.InvalidClient},
		"a wrong secret":         {s.introspect(app{a.Application, a.id, "wrong"}, tokens["access_token"]), 401, oauth.InvalidClient},
		"the token as its right": {s.do(s.client(nil), withHeader(s.formRequest("/introspect", f), "Authorization", "Bearer "+f.Get("token"))), 401, oauth.InvalidClient},
		"JSON":                   {s.do(s.client(nil), s.typed("/introspect", "application/json", "{}")), 400, oauth.InvalidRequest},
		"no token":               {s.introspect(a, ""), 400, oauth.InvalidRequest},
		"two tokens":             {s.post("/introspect", a, form("token", "a", "token", "b")), 400, oauth.InvalidRequest},
		"1 MB":                   {s.introspect(a, strings.Repeat("x", 1<<20)), 413, oauth.InvalidRequest},
	} {
		if row.got.refused(t, row.status, row.code); t.Failed() {
			t.Fatal(name)
		}
	}
	s.introspect(a, tokens["access_token"]).active(t)
}

func withHeader(r *http.Request, name, value string) *http.Request {
	r.Header.Set(name, value)
	return r
}

// sites are one whose provider gives out JWTs and one where tokens are opaque.
var sites = map[string]setup{"JWT": {}, "opaque": {opaque: true}}

// TestI3I4WhatAClientIsTold of its tokens, and of those that are not.
func TestI3I4WhatAClientIsTold(t *testing.T) {
	t.Parallel()
	for kind, u := range sites {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := u.site(t)
			a, b, plain := s.register(confidential), s.register(confidential), s.registerAt("plain", confidential, "orders")
			tokens, itself := s.tokens(a), s.itself(a).ok(t).json
			got := s.introspect(a, tokens["access_token"])
			got.active(t)
			want := map[string]any{
				"active": true, "client_id": a.id, "sub": login, "token_type": "Bearer", "iss": org + "/oauth2/default", "aud": []any{"api://default"},
				"exp": float64(s.clock.Now().Add(time.Hour).Unix()), "scope": got.json["scope"], "jti": got.json["jti"],
			}
			if diff := cmp.Diff(want, got.json); diff != "" || !strings.Contains(fmt.Sprint(got.json["scope"]), "orders:read orders:write") {
				t.Error(diff)
			}
			refresh := s.introspect(a, tokens["refresh_token"])
			want = map[string]any{
				"active": true, "client_id": a.id, "scope": "orders:read orders:write", "exp": float64(s.clock.Now().Add(90 * 24 * time.Hour).Unix()),
			}
			if diff := cmp.Diff(want, refresh.json); diff != "" {
				t.Error(diff)
			}
			access := fmt.Sprint(tokens["access_token"])
			for name, none := range map[string]answer{
				"another client's":                s.introspect(b, access),
				"another client's refresh token":  s.introspect(b, tokens["refresh_token"]),
				"one of another provider":         s.introspect(a, s.itself(plain).ok(t).json["access_token"]),
				"to a client of another provider": s.introspect(plain, access),
				"one that is none":                s.introspect(a, "x"),
				"one that was changed":            s.introspect(a, access[:len(access)-4]+"AAAA"),
				"one with a space":                s.introspect(a, access+" "),
				"one that is longer than any":     s.introspect(a, strings.Repeat("x", 9<<10)),
				"a code":                          s.introspect(a, s.code(a)),
				"a client_id":                     s.introspect(a, a.id),
			} {
				if none.inactive(t); t.Failed() {
					t.Fatal(name)
				}
			}
			next := s.works(a, tokens["refresh_token"])
			s.introspect(a, tokens["refresh_token"]).inactive(t) // exchanged
			s.introspect(a, next["refresh_token"]).active(t)
			s.introspect(a, itself["access_token"]).active(t)
			s.revoke(a, next["refresh_token"]).ok(t)
			s.introspect(a, next["refresh_token"]).inactive(t) // revoked
			if u.opaque {
				s.introspect(a, next["access_token"]).inactive(t)
			}
			s.clock.Advance(time.Hour + time.Minute)
			s.introspect(a, itself["access_token"]).inactive(t) // expired
		})
	}
}

// TestI3C1ATokenForOthers or made by others is none.
func TestI3C1ATokenForOthers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.register(confidential)
	for _, row := range []struct {
		name   string
		change func(claims, header map[string]any)
		good   bool
	}{
		{"as it should be", func(_, _ map[string]any) {}, true},
		{"for another audience", func(claims, _ map[string]any) { claims["aud"] = "api://other" }, false},
		{"of another issuer", func(claims, _ map[string]any) { claims["iss"] = org + "/oauth2/other" }, false},
		{"of a provider that is not ours", func(claims, _ map[string]any) { claims["iss"] = "https://evil.test" }, false},
		{"without an end", func(claims, _ map[string]any) { delete(claims, "exp") }, false},
		{"that is not good yet", func(claims, _ map[string]any) { claims["nbf"] = s.clock.Now().Add(time.Hour).Unix() }, false},
		{"bound to a key", func(claims, _ map[string]any) { claims["cnf"] = map[string]any{"jkt": "x"} }, false},
		{"by an algorithm that is none", func(_, header map[string]any) { header["alg"] = "none" }, false},
		{"by a key that nobody knows", func(_, header map[string]any) { header["kid"] = "other" }, false},
	} {
		claims, header := s.okta.Claims(a.id, "orders:read"), map[string]any{}
		row.change(claims, header)
		raw, err := s.okta.Mint(claims, header)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.introspect(a, raw); row.good {
			got.active(t)
		} else if got.inactive(t); t.Failed() {
			t.Fatal(row.name)
		}
	}
}

// withBackend returns a site with the backend of the API stock, a client that may
// ask about tokens for it (introspectedBy). Okta counts its clients, so that the
// first one of every site has the same name.
func withBackend(t *testing.T, u setup) (s *site, backend app) {
	t.Helper()
	service := registration.Metadata{GrantTypes: everyGrant[2:]}
	u.variables = []string{"BACKEND", newSite(t).registerAt("okta", service).id}
	s = u.site(t)
	if backend = s.registerAt("okta", service); backend.id != u.variables[1] {
		t.Fatalf("got %s, want %s", backend.id, u.variables[1])
	}
	return s, backend
}

// TestI3ABackendSeesTokensForItsAPI of clients that have a contract with it, and
// no others.
func TestI3ABackendSeesTokensForItsAPI(t *testing.T) {
	t.Parallel()
	for kind, u := range sites {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s, backend := withBackend(t, u)
			a, b := s.registerAt("okta", all, "stock", "orders"), s.registerAt("okta", all, "orders")
			plain := s.registerAt("plain", all, "orders")
			s.contract(a, "stock", registry.Approved)
			tokens, others := s.tokens(a), s.itself(b).ok(t).json
			got := s.introspect(backend, tokens["access_token"])
			if got.active(t); got.json["client_id"] != a.id || got.json["sub"] != login {
				t.Errorf("got %v", got)
			}
			for name, none := range map[string]answer{
				"a token of a client without a contract": s.introspect(backend, others["access_token"]),
				"one of a provider that it is not for":   s.introspect(backend, s.itself(plain).ok(t).json["access_token"]),
				"a refresh token":                        s.introspect(backend, tokens["refresh_token"]),
				"another client that asks":               s.introspect(b, tokens["access_token"]),
			} {
				if none.inactive(t); t.Failed() {
					t.Fatal(name)
				}
			}
			s.contract(a, "stock", registry.Revoked)
			s.introspect(backend, tokens["access_token"]).inactive(t)
			s.introspect(a, tokens["access_token"]).active(t) // its own
		})
	}
}

// TestI3C1ABackendSeesNoTokenForAnotherAPI though its client has a contract.
func TestI3C1ABackendSeesNoTokenForAnotherAPI(t *testing.T) {
	t.Parallel()
	s, backend := withBackend(t, setup{replace: []string{"audiences: [api://default]\n    adminSecret", "insecureAnyAudience: true\n    adminSecret"}})
	a := s.registerAt("okta", all, "stock", "orders")
	s.contract(a, "stock", registry.Approved)
	for aud, want := range map[any]bool{
		"https://api.test/stock": true, "HTTPS://API.test/stock": true, "api://default": true, "https://api.test/orders": false, "https://api.test/stock-evil": true,
	} {
		claims := s.okta.Claims(a.id, "orders:admin")
		claims["aud"] = aud
		raw, err := s.okta.Mint(claims, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.introspect(backend, raw); (got.json["active"] == true) != want {
			t.Errorf("aud %v: got %v", aud, got)
		}
	}
}

// TestIntrospectionAndAProviderThatFails says that it does not know, and not that
// the token is no good.
func TestIntrospectionAndAProviderThatFails(t *testing.T) {
	t.Parallel()
	for kind, u := range sites {
		for name, fault := range map[string]standin.Fault{
			"500": {Status: 500}, "401": {Status: 401}, "429": {Status: 429}, "a page": {Body: standin.Garbage}, "active as text": {Body: `{"active":"true"}`}, "no answer": {Delay: 5 * time.Second},
		} {
			if kind == "JWT" && fault.Status != 500 {
				continue
			}
			t.Run(kind+" "+name, func(t *testing.T) {
				t.Parallel()
				s := setup{opaque: u.opaque, replace: hasty(fault)}.site(t)
				a := s.register(confidential)
				tokens := s.itself(a).ok(t).json
				s.okta.Break(standin.Introspect, fault)
				s.okta.Break(standin.Keys, fault)
				got := s.introspect(a, tokens["access_token"])
				if got.refused(t, 503, oauth.TemporarilyUnavailable); got.header.Get("Retry-After") == "" {
					t.Errorf("got %v", got)
				}
			})
		}
	}
}
