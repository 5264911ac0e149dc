package broker_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gatehouse/shared/oauth"
	"gatehouse/shared/standin"
)

// TestR1R3WhatARefusalLeaves is the token as it was.
func TestR1R3WhatARefusalLeaves(t *testing.T) {
	t.Parallel()
	for kind, u := range sites {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := u.site(t)
			a, b, c := s.register(confidential), s.register(confidential), s.register(public)
			tokens := s.tokens(a)
			for _, which := range []string{"access_token", "refresh_token"} {
				f := form("token", fmt.Sprint(tokens[which]))
				for name, row := range map[string]struct {
					got    answer
					status int
					code   string
				}{
					"another client":  {s.revoke(b, tokens[which]), 400, oauth.UnauthorizedClient},
					"a public client": {s.revoke(c, tokens[which]), 400, oauth.UnauthorizedClient},
					"nobody":          {s.do(s.client(nil), s.formRequest("/revoke", f)), 401, oauth.InvalidClient},
					"a wrong secret":  {s.revoke(app{a.Application, a.id, "wrong"}, tokens[which]), 401, oauth.InvalidClient},
					"another way":     {s.postBy(oauth.SecretPost, "/revoke", a, f), 401, oauth.InvalidClient},
					"GET":             {s.serve(httptest.NewRequest(http.MethodGet, "/revoke?"+f.Encode(), nil)), 405, oauth.InvalidRequest},
					"JSON":            {s.do(s.client(nil), s.typed("/revoke", "application/json", "{}")), 400, oauth.InvalidRequest},
					"two tokens":      {s.post("/revoke", a, form("token", "x", "token", "y")), 400, oauth.InvalidRequest},
					"none":            {s.revoke(a, ""), 400, oauth.InvalidRequest},
					"1 MB":            {s.revoke(a, strings.Repeat("x", 1<<20)), 413, oauth.InvalidRequest},
				} {
					if row.got.refused(t, row.status, row.code); t.Failed() {
						t.Fatal(name)
					}
				}
			}
			if !s.alive(tokens["access_token"]) {
				t.Error("the access token was revoked")
			}
			s.works(a, tokens["refresh_token"])
		})
	}
}

// TestR2R4WhatARevocationEnds, whatever the hint says: a refresh token takes its
// grant along, and an access token goes alone.
func TestR2R4WhatARevocationEnds(t *testing.T) {
	t.Parallel()
	for kind, u := range sites {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := u.site(t)
			for _, a := range []app{s.register(confidential), s.register(public)} {
				for _, hint := range []string{"", "refresh_token", "access_token", "id_token"} {
					tokens := s.tokens(a)
					if got := s.revoke(a, tokens["refresh_token"], "token_type_hint", hint); got.status != 200 || got.body != "" || s.alive(tokens["access_token"]) {
						t.Errorf("hint %s: got %v", hint, got)
					}
					s.refresh(a, tokens["refresh_token"]).refused(t, 400, oauth.InvalidGrant)
					s.revoke(a, tokens["refresh_token"], "token_type_hint", hint).ok(t) // again

					tokens = s.tokens(a)
					if got := s.revoke(a, tokens["access_token"], "token_type_hint", hint); got.status != 200 || got.body != "" || s.alive(tokens["access_token"]) {
						t.Errorf("hint %s: got %v", hint, got)
					}
					s.works(a, tokens["refresh_token"])
				}
			}
		})
	}
}

// TestR4ARefreshTokenThatWasExchanged ends all that came of it.
func TestR4ARefreshTokenThatWasExchanged(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.register(confidential)
	first := s.tokens(a)
	next := s.works(a, first["refresh_token"])
	s.revoke(a, first["refresh_token"]).ok(t)
	s.refresh(a, next["refresh_token"]).refused(t, 400, oauth.InvalidGrant)
	if s.alive(next["access_token"]) || s.alive(first["access_token"]) {
		t.Error("the provider still takes a token")
	}
}

// TestR3WhatIsNoToken has nothing to be revoked, which is fine.
func TestR3WhatIsNoToken(t *testing.T) {
	t.Parallel()
	for kind, u := range sites {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := u.site(t)
			a := s.register(confidential)
			old := s.itself(a).ok(t).json["access_token"]
			s.clock.Advance(2 * time.Hour)
			for name, raw := range map[string]any{
				"letters": "x", "bytes": "\xff\x00", "a JWT that is none": "e30.e30.e30", "what begins like one": "eyJhbGciOiJSUzI1NiJ9.", "an expired one": old,
				"a code": s.code(a), "more than any": strings.Repeat("x", 9<<10), "spaces": "a b",
			} {
				if got := s.revoke(a, raw); got.status != 200 || got.body != "" {
					t.Errorf("%s: got %v", name, got)
				}
			}
		})
	}
}

// TestR5AProviderThatFails has the client ask again until it is done.
func TestR5AProviderThatFails(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]standin.Fault{
		"500": {Status: 500}, "503": {Status: 503}, "429": {Status: 429}, "a refusal": {Status: 400, Body: `{"error":"invalid_request","error_description":"MARK"}`},
		"invalid_client": {Status: 401, Body: `{"error":"invalid_client"}`}, "no answer in time": {Delay: 5 * time.Second}, "a redirect": {Redirect: "https://evil.test/"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup{replace: hasty(fault)}.site(t)
			a := s.register(confidential)
			one, other := s.tokens(a), s.tokens(a)
			s.okta.Break(standin.Revoke, fault)
			for _, raw := range []any{one["refresh_token"], other["access_token"]} {
				got := s.revoke(a, raw)
				if got.refused(t, 503, oauth.TemporarilyUnavailable); got.header.Get("Retry-After") == "" || strings.Contains(got.String(), "MARK") {
					t.Errorf("got %v", got)
				}
			}
			s.refresh(a, one["refresh_token"]).refused(t, 400, oauth.InvalidGrant) // here it has ended in any case
			s.okta.Mend()
			s.clock.Advance(30 * time.Second)
			for _, raw := range []any{one["refresh_token"], other["access_token"]} {
				s.revoke(a, raw).ok(t)
			}
			if s.alive(one["access_token"]) || s.alive(other["access_token"]) {
				t.Error("the provider still takes a token")
			}
		})
	}
	s := newSite(t)
	a := s.register(confidential)
	tokens := s.tokens(a)
	s.net.losing("/oauth2/default/v1/revoke", 2)
	s.revoke(a, tokens["refresh_token"]).refused(t, 503, oauth.TemporarilyUnavailable)
	s.revoke(a, tokens["refresh_token"]).ok(t)
}

// TestR6WhatTheProviderDoesNotRevoke is said; what is ours ends all the same.
func TestR6WhatTheProviderDoesNotRevoke(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.registerAt("plain", all, "orders")
	tokens := s.tokens(a)
	s.plain.Break(standin.Revoke, standin.Fault{Status: 400, Body: `{"error":"unsupported_token_type"}`})
	s.revoke(a, tokens["access_token"]).refused(t, 400, oauth.UnsupportedTokenType)
	s.revoke(a, tokens["refresh_token"]).ok(t)
	s.refresh(a, tokens["refresh_token"]).refused(t, 400, oauth.InvalidGrant)

	bare := newSite(t) // a provider without the endpoint
	bare.plain.Break(standin.Metadata, standin.Fault{Body: `{"issuer":"https://plain.test","authorization_endpoint":"https://plain.test/authorize",` +
		`"token_endpoint":"https://plain.test/token","registration_endpoint":"https://plain.test/register","jwks_uri":"https://plain.test/jwks","scopes_supported":["offline_access"]}`})
	b := bare.registerAt("plain", all, "orders")
	tokens = bare.tokens(b)
	bare.revoke(b, tokens["access_token"]).refused(t, 400, oauth.UnsupportedTokenType)
	bare.revoke(b, tokens["refresh_token"]).ok(t)
	bare.refresh(b, tokens["refresh_token"]).refused(t, 400, oauth.InvalidGrant)
}
