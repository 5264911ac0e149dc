package authorizer_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/shared/apigw"
	"gatehouse/shared/standin"
)

// introspecting is an API whose provider issues opaque tokens.
const introspecting = `
resultCache: 0s
providers:
  - {name: okta, type: okta, issuer: "${IDP}/oauth2/opaque", audiences: ["api://default"], secret: "${SECRET}", tokens: auto}
apis:
  - name: orders
    providers: [okta]
    contract: none
    routes:
` + routes

func TestKindsOfToken(t *testing.T) {
	t.Parallel()
	kind := func(tokens string) string {
		if tokens == "jwt" { // which needs no secret
			return strings.Replace(introspecting, `, secret: "${SECRET}", tokens: auto`, "", 1)
		}
		return strings.Replace(introspecting, "tokens: auto", "tokens: "+tokens, 1)
	}
	for _, row := range []struct {
		name, configuration string
		opaque, jwt         string // reasons
		asked, fetched      int    // introspections and key fetches
	}{
		{"jwt verifies JWTs and takes no others", kind("jwt"), "opaque_token_not_accepted", "allowed", 0, 1},
		{"introspect asks about every token", kind("introspect"), "allowed", "allowed", 2, 0},
		{"auto verifies JWTs and asks about the others", kind("auto"), "allowed", "allowed", 1, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, row.configuration)
			if got := s.reason(t, bearer(s.opaque("orders:read"))); got != row.opaque {
				t.Errorf("an opaque token: got %q, want %q", got, row.opaque)
			}
			if got := s.reason(t, bearer(s.minted(map[string]any{"iss": s.url + "/oauth2/opaque"}, "orders:read"))); got != row.jwt {
				t.Errorf("a JWT: got %q, want %q", got, row.jwt)
			}
			if asked, fetched := s.idp.Requests(standin.Introspect), s.idp.Requests(standin.Keys); asked != row.asked || fetched != row.fetched {
				t.Errorf("got %d introspections and %d key fetches, want %d and %d", asked, fetched, row.asked, row.fetched)
			}
		})
	}
}

// A provider that is to be asked is asked, whatever a token looks like, unless
// the token itself says that it is another's.
func TestAskedWhateverTheTokenLooksLike(t *testing.T) {
	t.Parallel()
	alone := strings.Replace(introspecting, "tokens: auto", "tokens: introspect", 1)
	amongOthers := strings.NewReplacer("apis:", `  - {name: second, type: okta, issuer: "${IDP}/oauth2/other", audiences: ["api://default"]}
apis:`, "providers: [okta]", "providers: [second, okta]").Replace(alone)
	for _, row := range []struct {
		name, configuration, issuer string
		reason                      string
		asked                       int
	}{
		{"the only provider, about a JWT of its own", alone, "/oauth2/opaque", "allowed", 1},
		{"the only provider, about anything", alone, "/oauth2/nowhere", "inactive", 1},
		{"one of two, about a JWT of its own", amongOthers, "/oauth2/opaque", "allowed", 1},
		{"one of two, not about a JWT of the other", amongOthers, "/oauth2/other", "allowed", 0},
		{"one of two, not about a JWT of a third", amongOthers, "/oauth2/nowhere", "wrong_issuer", 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, row.configuration)
			if got := s.reason(t, bearer(s.minted(map[string]any{"iss": s.url + row.issuer}, "orders:read"))); got != row.reason {
				t.Errorf("got %q, want %q", got, row.reason)
			}
			if n := s.idp.Requests(standin.Introspect); n != row.asked {
				t.Errorf("got %d introspections, want %d", n, row.asked)
			}
		})
	}
}

func TestOpaqueTokens(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		ask    func(*site) request
		reason string
	}{
		{"one with the scope", func(s *site) request { return bearer(s.opaque("orders:read")) }, "allowed"},
		{"one without the scope", func(s *site) request { return bearer(s.opaque("orders:write")) }, "insufficient_scope"},
		{"one that the provider does not know", func(s *site) request { return bearer(s.secret("bm9ib2R5J3M")) }, "inactive"},
		{"one that was revoked before it was ever used", func(s *site) request {
			raw := s.opaque("orders:read")
			s.revoke(raw)
			return bearer(raw)
		}, "inactive"},
		{"one that expired", func(s *site) request {
			raw := s.opaque("orders:read")
			s.advance(time.Hour)
			return bearer(raw)
		}, "inactive"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, introspecting)
			if got := s.reason(t, row.ask(s)); got != row.reason {
				t.Errorf("got %q, want %q", got, row.reason)
			}
		})
	}
}

// An opaque token does not say whose it is: with two providers to ask, one
// would be shown the tokens of the other.
func TestAnOpaqueTokenIsShownToNobodyElse(t *testing.T) {
	t.Parallel()
	s := newSite(t, strings.NewReplacer("apis:", `  - {name: second, type: okta, issuer: "${IDP}/oauth2/other", audiences: ["api://default"], secret: "${SECRET}"}
apis:`, "providers: [okta]", "providers: [okta, second]").Replace(introspecting))
	if got := s.reason(t, bearer(s.opaque("orders:read"))); got != "opaque_token_not_accepted" {
		t.Errorf("got %q", got)
	}
	if n := s.idp.Requests(standin.Introspect); n != 0 {
		t.Errorf("%d introspections", n)
	}
}

// I5, F11: what is not the token's fault is no 401.
func TestI5AProviderThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		fault standin.Fault
	}{
		{"fails", standin.Fault{Status: 500}},
		{"is too busy", standin.Fault{Status: 429, Header: map[string]string{"Retry-After": "1"}}},
		{"answers in HTML", standin.Fault{Body: standin.Garbage}},
		{"forgets active", standin.Fault{Body: `{"scope":"orders:read"}`}},
		{"says active in words", standin.Fault{Body: `{"active":"true","scope":"orders:read"}`}},
		{"says active twice", standin.Fault{Body: `{"active":false,"active":true}`}},
		{"redirects", standin.Fault{Redirect: "http://localhost:9/"}},
		{"hangs up", standin.Fault{Cut: standin.BeforeHeaders}},
		{"hangs up half-way", standin.Fault{Cut: standin.AfterHeaders}},
		{"never stops", standin.Fault{Size: 1 << 20}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for _, configuration := range []string{introspecting, orders} {
				s := newSite(t, configuration)
				raw := s.token("orders:read")
				if configuration == introspecting {
					raw = s.opaque("orders:read")
				}
				s.idp.Break(standin.Introspect, row.fault)
				s.idp.Break(standin.Keys, row.fault)
				for _, shape := range shapes {
					wantError(t, s.ask(t, shape.of(bearer(raw))), apigw.ErrUnavailable)
				}
				s.idp.Mend()
				s.advance(time.Minute)
				if got := s.reason(t, bearer(raw)); got != "allowed" {
					t.Errorf("mended: got %q", got)
				}
			}
		})
	}
}

func TestF2AProviderThatIsDownAtTheStart(t *testing.T) {
	t.Parallel()
	s := newSite(t, orders)
	s.idp.Break(standin.Keys, standin.Fault{Status: 503})
	if err := s.gate.Warm(t.Context()); err == nil {
		t.Error("warm: got no error")
	}
	r := bearer(s.token("orders:read"))
	for range 5 {
		wantError(t, s.ask(t, r), apigw.ErrUnavailable)
	}
	if n := s.idp.Requests(standin.Keys); n != 1 {
		t.Errorf("the provider that is down was asked %d times at once", n)
	}
	s.idp.Mend()
	s.advance(10 * time.Second)
	if got := s.reason(t, r); got != "allowed" {
		t.Errorf("after it came up: got %q", got)
	}
}

func TestF5F6RotatedKeys(t *testing.T) {
	t.Parallel()
	s := newSite(t, orders)
	keys, err := signingKeys()
	if err != nil {
		t.Fatal(err)
	}
	old := bearer(s.token("orders:read"))
	if got := s.reason(t, old); got != "allowed" {
		t.Fatalf("got %q", got)
	}
	if err := s.idp.RotateKeys(keys[1]); err != nil {
		t.Fatal(err)
	}
	s.advance(10 * time.Second)
	renewed := bearer(s.token("orders:read"))
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if a := s.ask(t, renewed); !a.allows() {
				t.Errorf("a token of the new key: got %v, %s", a.err, a.body)
			}
		})
	}
	all.Wait()
	if n := s.idp.Requests(standin.Keys); n != 2 {
		t.Errorf("got %d fetches, want one at first and one for the new key", n)
	}
	s.idp.DropOldKeys()
	if got := s.reason(t, old); got != "allowed" {
		t.Errorf("a key that was just withdrawn: got %q", got)
	}
	s.advance(10 * time.Minute)
	if got := s.reason(t, old); got != "unknown_key" {
		t.Errorf("ten minutes after its key was withdrawn: got %q", got)
	}
	if got := s.reason(t, renewed); got != "allowed" {
		t.Errorf("the new key: got %q", got)
	}
}

func TestF8BadSignaturesFetchNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, orders)
	raw := s.token("orders:read")
	s.ask(t, bearer(raw))
	cut := strings.LastIndexByte(raw, '.')
	for range 20 {
		s.advance(time.Second)
		if got := s.reason(t, bearer(raw[:cut+1]+strings.Repeat("A", 342))); got != "bad_signature" {
			t.Fatalf("got %q", got)
		}
	}
	if n := s.idp.Requests(standin.Keys); n != 1 {
		t.Errorf("got %d fetches", n)
	}
}

// F13: an answer is given before Lambda gives up.
func TestF13TheDeadline(t *testing.T) {
	t.Parallel()
	for _, configuration := range []string{introspecting, orders} {
		s := newSite(t, configuration)
		raw := s.token("orders:read")
		if configuration == introspecting {
			raw = s.opaque("orders:read")
		}
		s.idp.Break(standin.Introspect, standin.Fault{Delay: time.Minute})
		s.idp.Break(standin.Keys, standin.Fault{Delay: time.Minute})
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		a := s.invoke(ctx, t, bearer(raw))
		wantError(t, a, apigw.ErrUnavailable)
		if ctx.Err() != nil {
			t.Error("the answer comes after the deadline")
		}
		cancel()
		if reason := a.line["reason"]; reason != "unavailable" {
			t.Errorf("log: got %v", reason)
		}
	}
}

// F26: the clocks of two machines differ.
func TestF26Skew(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		claim   string
		seconds int64 // from now
		reason  string
	}{
		{"expired for 59 s", "exp", -59, "allowed"},
		{"expired for 60 s", "exp", -60, "expired"},
		{"expired for 5 min", "exp", -300, "expired"},
		{"issued 60 s ahead", "iat", 60, "allowed"},
		{"issued 61 s ahead", "iat", 61, "not_yet_valid"},
		{"issued 5 min ahead", "iat", 300, "not_yet_valid"},
		{"valid 60 s from now", "nbf", 60, "allowed"},
		{"valid 61 s from now", "nbf", 61, "not_yet_valid"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, orders)
			raw := s.minted(map[string]any{row.claim: s.now().Unix() + row.seconds}, "orders:read")
			for range 2 { // the second time perhaps from the cache
				if got := s.reason(t, bearer(raw)); got != row.reason {
					t.Errorf("got %q, want %q", got, row.reason)
				}
			}
		})
	}
}
