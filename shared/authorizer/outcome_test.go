package authorizer_test

import (
	"strings"
	"testing"
	"time"

	"gatehouse/shared/apigw"
	"gatehouse/shared/standin"
)

// shapes are the events of one request that every kind of API sends.
var shapes = []struct {
	name string
	http bool // an HTTP API: it has no 401 of ours
	of   func(request) request
}{
	{"REST TOKEN", false, func(r request) request { return r.as(apigw.RESTToken) }},
	{"REST REQUEST", false, func(r request) request { return r.as(apigw.RESTRequest) }},
	{"HTTP 1.0", true, func(r request) request { return r.as(apigw.HTTP1) }},
	{"HTTP 2.0", true, func(r request) request { return r.as(apigw.HTTP2) }},
	{"HTTP 2.0 with simple answers", true, request.simple},
	{"WebSocket", false, func(r request) request { return r.as(apigw.WebSocket) }},
}

func TestOutcomeForEveryShape(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		ask     func(*site) request
		outcome string // in the log
		reason  string // in the log
		error   string // in the context of an HTTP API
	}{
		{"a token that opens the route is allowed", func(s *site) request {
			return bearer(s.token("orders:read"))
		}, "allowed", "allowed", ""},
		{"B6 no credentials are unauthenticated, without an error code", func(*site) request {
			return request{}
		}, "unauthenticated", "no_token", ""},
		{"a scheme without a token is no credentials", func(*site) request {
			return request{authorization: []string{"Bearer "}}
		}, "unauthenticated", "no_token", ""},
		{"B7 an expired token is unauthenticated", func(s *site) request {
			raw := s.token("orders:read")
			s.advance(2 * time.Hour)
			return bearer(raw)
		}, "unauthenticated", "expired", "invalid_token"},
		{"a token for another audience is unauthenticated", func(s *site) request {
			return bearer(s.minted(map[string]any{"aud": "api://other"}, "orders:read"))
		}, "unauthenticated", "wrong_audience", "invalid_token"},
		{"a token of another issuer is unauthenticated", func(s *site) request {
			return bearer(s.minted(map[string]any{"iss": s.url + "/oauth2/other"}, "orders:read"))
		}, "unauthenticated", "wrong_issuer", "invalid_token"},
		{"a token without an issuer is unauthenticated", func(s *site) request {
			return bearer(s.minted(map[string]any{"iss": nil}, "orders:read"))
		}, "unauthenticated", "wrong_issuer", "invalid_token"},
		{"a changed token is unauthenticated", func(s *site) request {
			one, other := strings.Split(s.token("orders:read"), "."), strings.Split(s.token("orders:read", "orders:admin"), ".")
			return bearer(one[0] + "." + other[1] + "." + one[2])
		}, "unauthenticated", "bad_signature", "invalid_token"},
		{"an ID token is unauthenticated", func(s *site) request {
			return bearer(s.minted(map[string]any{"nonce": "n", "at_hash": "x"}, "orders:read"))
		}, "unauthenticated", "not_an_access_token", "invalid_token"},
		{"an opaque token that nobody can be asked about is unauthenticated", func(s *site) request {
			return bearer(s.secret("2YotnFZFEjr1zCsicMWpAA"))
		}, "unauthenticated", "opaque_token_not_accepted", "invalid_token"},
		{"B2 another scheme is a wrong request", func(*site) request {
			return request{authorization: []string{"Basic YXBwOmFwcC1zZWNyZXQ="}}
		}, "unauthenticated", "not_bearer", "invalid_request"},
		{"B7 a token that opens nothing is forbidden, and told what is missing", func(s *site) request {
			return bearer(s.token("orders:write"))
		}, "forbidden", "insufficient_scope", "insufficient_scope"},
		{"a token that opens other routes is forbidden, and the answer says nothing of this one", func(s *site) request {
			return bearer(s.token("orders:admin"))
		}, "forbidden", "insufficient_scope", ""},
		{"I5 keys out of reach are a failure, not a refusal", func(s *site) request {
			s.idp.Break(standin.Keys, standin.Fault{Status: 503})
			return bearer(s.token("orders:read"))
		}, "failed", "unavailable", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for _, shape := range shapes {
				t.Run(shape.name, func(t *testing.T) {
					s := newSite(t, orders)
					r := shape.of(row.ask(s))
					a := s.ask(t, r)
					if a.line["outcome"] != row.outcome || a.line["reason"] != row.reason {
						t.Errorf("log: got %v, %v; want %s, %s", a.line["outcome"], a.line["reason"], row.outcome, row.reason)
					}
					if got := a.allows(); got != (row.outcome == "allowed") {
						t.Errorf("allowed: got %t", got)
					}
					switch {
					case row.outcome == "failed":
						wantError(t, a, apigw.ErrUnavailable)
					case row.outcome == "unauthenticated" && !shape.http:
						wantError(t, a, apigw.ErrUnauthorized)
					default:
						wantAnswer(t, a, row.error)
					}
				})
			}
		})
	}
}

// wantError compares by identity and text: API Gateway goes by the whole text.
func wantError(t *testing.T, a answer, want error) {
	t.Helper()
	if a.err != want || a.err.Error() != want.Error() { //nolint:errorlint // wrapped would be wrong
		t.Errorf("error: got %v, want exactly %v; answer %s", a.err, want, a.body)
	}
}

func wantAnswer(t *testing.T, a answer, code string) {
	t.Helper()
	if a.err != nil {
		t.Fatalf("error: got %v, want an answer", a.err)
	}
	if got := a.context["error"]; got != code {
		t.Errorf("context: error: got %q, want %q", got, code)
	}
	if (a.context["error_description"] != "") != (code != "") {
		t.Errorf("context: error_description: got %q", a.context["error_description"])
	}
	if scope := a.context["scope"]; code == "insufficient_scope" && scope != "orders:read" {
		t.Errorf("context: scope: got %q, want what the route needs", scope)
	}
	if a.simple == nil && a.principal == "" {
		t.Error("principalId is empty")
	}
}

func TestUnauthenticatedOpensNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, orders)
	for _, shape := range []apigw.Shape{apigw.HTTP1, apigw.HTTP2} {
		a := s.ask(t, bearer("nonsense").as(shape))
		for _, rest := range []string{"GET/orders", "POST/orders", "GET/unlisted", "OPTIONS/orders", "GET/"} {
			if a.allowsRoute(rest) {
				t.Errorf("%v: %s is allowed by %s", shape, rest, a.document)
			}
		}
	}
}

func TestB7TheChallengeNamesAllScopes(t *testing.T) {
	t.Parallel()
	s := newSite(t, strings.Replace(orders, "resultCache: 60s", "resultCache: 0s", 1))
	a := s.ask(t, bearer(s.token("orders:read")).to("POST", "/orders").as(apigw.HTTP2))
	if got := a.context["scope"]; got != "orders:read orders:write" {
		t.Errorf("scope: got %q, want all that the route needs, those of the token included", got)
	}
	if needs := a.line["needs"]; needs != "orders:read orders:write" {
		t.Errorf("log: needs: got %v", needs)
	}
}

// An answer that is cached is replayed on other routes.
func TestACachedAnswerSaysNothingOfTheRoute(t *testing.T) {
	t.Parallel()
	s := newSite(t, orders)
	raw := s.token("orders:read")
	allowed := s.ask(t, bearer(raw))
	forbidden := s.ask(t, bearer(raw).to("POST", "/orders"))
	if string(allowed.body) != string(forbidden.body) {
		t.Errorf("answers differ:\n%s\n%s", allowed.body, forbidden.body)
	}
	if reason := forbidden.line["reason"]; reason != "insufficient_scope" {
		t.Errorf("log: reason: got %v", reason)
	}
}

func TestB8RefusalsRepeatNothingOfTheRequest(t *testing.T) {
	t.Parallel()
	s := newSite(t, orders)
	for _, raw := range []string{
		"marker-in-a-token",
		s.minted(map[string]any{"aud": "marker-in-aud"}, "orders:read"),
		s.minted(map[string]any{"iss": "https://marker-in-iss.example"}, "orders:read"),
		s.minted(map[string]any{"exp": "marker-in-exp"}, "orders:read"),
	} {
		a := s.ask(t, bearer(raw).as(apigw.HTTP2))
		if strings.Contains(string(a.body), "marker") || strings.Contains(string(a.body), raw) {
			t.Errorf("the answer repeats the token: %s", a.body)
		}
	}
	if strings.Contains(s.log.String(), "marker") {
		t.Errorf("the log repeats the token: %s", s.log.String())
	}
}
