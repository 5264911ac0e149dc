package authorizer_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/shared/apigw"
	"gatehouse/shared/registry"
	"gatehouse/shared/standin"
)

// An expired token works as long as the leeway, whether it was remembered or
// not; what API Gateway adds to that is in infra/local.
func TestTimeToRevokeAnExpiredToken(t *testing.T) {
	t.Parallel()
	s := newSite(t, orders)
	remembered, fresh := bearer(s.token("orders:read")), bearer(s.token("orders:read"))
	s.ask(t, remembered)
	s.advance(time.Hour + 59*time.Second)
	for _, r := range []request{remembered, fresh} {
		if got := s.reason(t, r); got != "allowed" {
			t.Errorf("within the leeway: got %q", got)
		}
	}
	s.advance(time.Second)
	for _, r := range []request{remembered, fresh} {
		if got := s.reason(t, r); got != "expired" {
			t.Errorf("after the leeway: got %q", got)
		}
	}
}

// A revoked opaque token works as long as the provider's last word is
// remembered: 60 s, less with cacheMax, not at all without a cache.
func TestTimeToRevokeAnOpaqueToken(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, setting string
		works         time.Duration
	}{
		{"60 s", "", time.Minute},
		{"less with cacheMax", ", cacheMax: 20s", 20 * time.Second},
		{"60 s whatever cacheMax says", ", cacheMax: 10m", time.Minute},
		{"not at all without a cache", ", cacheEntries: 0", 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, strings.Replace(introspecting, ", tokens: auto", ", tokens: auto"+row.setting, 1))
			raw := s.opaque("orders:read")
			if got := s.reason(t, bearer(raw)); got != "allowed" {
				t.Fatalf("got %q", got)
			}
			s.revoke(raw)
			if row.works > 0 {
				s.advance(row.works - 1)
				if got := s.reason(t, bearer(raw)); got != "allowed" {
					t.Errorf("just before %v: got %q; nothing should be asked", row.works, got)
				}
				s.advance(1)
			}
			if got := s.reason(t, bearer(raw)); got != "inactive" {
				t.Errorf("after %v: got %q", row.works, got)
			}
		})
	}
}

// F12: a refused token is not asked about again at once, and tokens that are
// refused push none out that are good.
func TestF12RefusedTokens(t *testing.T) {
	t.Parallel()
	s := newSite(t, strings.Replace(introspecting, ", tokens: auto", ", tokens: auto, cacheEntries: 1", 1))
	good := bearer(s.opaque("orders:read"))
	s.ask(t, good)
	for n := range 20 {
		for range 2 {
			if got := s.reason(t, bearer(fmt.Sprintf("bm9ib2R5J3M%d", n))); got != "inactive" {
				t.Fatalf("got %q", got)
			}
		}
	}
	s.ask(t, good)
	if n := s.idp.Requests(standin.Introspect); n != 21 {
		t.Errorf("got %d introspections, want 21", n)
	}
}

// shared are three APIs that trust one issuer each in its own way.
const shared = `
resultCache: 60s
providers:
  - {name: orders, type: okta, issuer: "${IDP}/oauth2/default", audiences: ["api://default", "api://orders"]}
  - {name: bills, type: okta, issuer: "${IDP}/oauth2/default", audiences: ["api://default", "api://bills"]}
  - {name: asked, type: okta, issuer: "${IDP}/oauth2/default", audiences: ["api://default"], secret: "${SECRET}", tokens: introspect}
  - {name: other, type: okta, issuer: "${IDP}/oauth2/other", audiences: ["api://default"], secret: "${SECRET}"}
apis:
  - {name: orders, providers: [orders], contract: none, match: {stageVariable: orders}, routes: [{route: GET /orders, scopes: [orders:read]}, {route: POST /orders}]}
  - {name: bills, providers: [bills], contract: none, match: {stageVariable: bills}, routes: [{route: GET /orders}, {route: POST /orders, scopes: [orders:write]}]}
  - {name: asked, providers: [asked], contract: none, match: {stageVariable: asked}, routes: [{route: GET /orders, scopes: [orders:admin]}, {route: POST /orders}]}
  - {name: both, providers: [other, orders], contract: none, match: {stageVariable: both}, routes: [{route: GET /orders, scopes: [orders:read]}]}
`

// Whatever was asked before, by whichever API, the answer is the one that an
// authorizer gives that was started for this request.
func TestACachedDecisionIsTheDecision(t *testing.T) {
	t.Parallel()
	s := newSite(t, shared)
	uncached := s.authorizer(strings.ReplaceAll(shared, "type: okta", "type: okta, cacheEntries: 0"))
	var tokens []string
	for _, audience := range []string{"api://default", "api://orders", "api://bills"} {
		for _, issuer := range []string{"default", "other"} {
			for _, scopes := range [][]string{{}, {"orders:read"}, {"orders:read", "orders:write"}, {"orders:admin"}} {
				tokens = append(tokens, s.minted(map[string]any{"aud": audience, "iss": s.url + "/oauth2/" + issuer}, scopes...))
			}
		}
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	allowed := 0
	for range 600 {
		r := request{
			shape:         []apigw.Shape{apigw.RESTRequest, apigw.HTTP1, apigw.HTTP2}[random.IntN(3)],
			method:        []string{"GET", "POST"}[random.IntN(2)],
			variable:      []string{"orders", "bills", "asked", "both"}[random.IntN(4)],
			authorization: []string{"Bearer " + tokens[random.IntN(len(tokens))]},
		}
		if random.IntN(40) == 0 {
			s.advance(time.Duration(random.IntN(90)) * time.Second)
		}
		parsed, err := apigw.ParseRequest(r.event(t))
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.gate.Decide(t.Context(), parsed)
		if err != nil {
			t.Fatal(err)
		}
		want, err := uncached.Decide(t.Context(), parsed)
		if err != nil {
			t.Fatal(err)
		}
		if got.Outcome == apigw.Allowed {
			allowed++
		}
		if diff := cmp.Diff(describe(want), describe(got)); diff != "" {
			t.Fatalf("%s for API %s (-uncached +cached):\n%s", r.method, r.variable, diff)
		}
	}
	if allowed < 60 {
		t.Errorf("only %d of 600 requests were allowed: this shows little", allowed)
	}
}

// describe is a decision in texts.
func describe(d apigw.Decision) map[string]string {
	return map[string]string{
		"outcome": d.Outcome.String(), "reason": d.Reason, "document": string(d.Document), "context": string(d.Context),
		"principal": d.Principal, "error": d.Error, "scope": d.Scope, "log": fmt.Sprint(d.Log),
	}
}

// API Gateway replays an answer on every route of the stage: there it must be
// what the authorizer would have said.
func TestAnAnswerHoldsForEveryRoute(t *testing.T) {
	t.Parallel()
	s := newSite(t, orders)
	all := []request{}
	for _, route := range []struct{ method, template, path string }{
		{"GET", "/orders", ""}, {"HEAD", "/orders", ""}, {"POST", "/orders", ""}, {"GET", "/orders/{id}", "/orders/7"},
		{"PUT", "/admin/{proxy+}", "/admin/a/b"}, {"GET", "/admin/{proxy+}", "/admin/a"},
		{"GET", "/reports/{name}", "/reports/a"}, {"GET", "/closed", ""},
	} {
		all = append(all, request{method: route.method, template: route.template, path: route.path})
	}
	for _, raw := range []string{
		s.token(), s.token("orders:read"), s.token("orders:read", "orders:write"), s.token("orders:admin"),
		s.minted(map[string]any{"groups": []string{"platform"}}, "orders:read"),
	} {
		for _, first := range all {
			first.authorization = []string{"Bearer " + raw}
			cached := s.ask(t, first)
			for _, next := range all {
				next.authorization = first.authorization
				if got, want := cached.allowsARN(next.arn()), s.ask(t, next).allows(); got != want {
					t.Errorf("%s, cached for %s: allowed %t, want %t", next.arn(), first.arn(), got, want)
				}
			}
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	configuration := strings.Replace(shared, "contract: none", "contract: required", 1)
	s := newSite(t, configuration)
	s.application(registry.Client{Provider: "orders", ClientID: "app"}, registry.Contract{API: "orders", Status: registry.Approved})
	var requests []request
	for _, variable := range []string{"orders", "bills", "asked", "both"} {
		for _, scope := range []string{"orders:read", "orders:admin"} {
			r := bearer(s.token(scope))
			r.variable = variable
			requests = append(requests, r)
		}
	}
	want := make([]string, len(requests))
	for i, r := range requests {
		want[i] = string(s.ask(t, r).body)
	}
	handler := s.authorizer(configuration).Handler(nil)
	var all sync.WaitGroup
	for worker := range 16 {
		all.Go(func() {
			for i := range requests {
				n := (i + worker) % len(requests)
				if worker == 3 {
					ctx, cancel := context.WithCancel(t.Context())
					cancel()
					_, _ = handler.Invoke(ctx, requests[n].event(t)) // gives up at once, which must not disturb the others
					continue
				}
				body, err := handler.Invoke(t.Context(), requests[n].event(t))
				if err != nil || string(body) != want[n] {
					t.Errorf("got %s, %v; want %s", body, err, want[n])
				}
			}
		})
	}
	all.Wait()
}
