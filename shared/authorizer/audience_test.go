package authorizer_test

import (
	"testing"

	"gatehouse/shared/apigw"
)

// One audience of the provider may be that of several APIs. Where a token names
// one of them by its resource identifier, the others refuse it.
func TestO13C1ATokenForAnotherAPIIsRefused(t *testing.T) {
	t.Parallel()
	const apis = `
resultCache: 60s
providers:
  - {name: okta, type: okta, issuer: "${IDP}/oauth2/default", insecureAnyAudience: true}
apis:
  - {name: orders, providers: [okta], contract: none, resource: "https://api.example.com/orders", match: {stageVariable: orders}, routes: [{route: GET /orders}]}
  - {name: bills, providers: [okta], contract: none, resource: "https://API.example.com/bills", match: {stageVariable: bills}, routes: [{route: GET /orders}]}
  - {name: stock, providers: [okta], contract: none, match: {stageVariable: stock}, routes: [{route: GET /orders}]}
`
	s := newSite(t, apis)
	for _, row := range []struct {
		name, api string
		audience  any
		allowed   bool
	}{
		{"for this API", "orders", "https://api.example.com/orders", true},
		{"for this API, in another spelling", "orders", "HTTPS://api.EXAMPLE.com/orders", true},
		{"for another API", "orders", "https://api.example.com/bills", false},
		{"for another API, in another spelling", "orders", "HTTPS://api.EXAMPLE.com/bills", false},
		{"for both", "orders", []string{"https://api.example.com/bills", "https://api.example.com/orders"}, true},
		{"for another API and a general audience", "orders", []string{"api://default", "https://api.example.com/bills"}, false},
		{"for a general audience", "orders", "api://default", true},
		{"for a URL that is no API's", "orders", "https://api.example.com/", true},
		{"for another API, at one that has no identifier", "stock", "https://api.example.com/orders", false},
		{"for a general audience, at one that has no identifier", "stock", "api://default", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := bearer(s.minted(map[string]any{"aud": row.audience}))
			r.variable, r.apiID = row.api, "none"
			a := s.ask(t, r)
			if row.allowed {
				if !a.allows() {
					t.Errorf("got %v, %s", a.err, a.body)
				}
				return
			}
			wantError(t, a, apigw.ErrUnauthorized)
			if a.line["reason"] != "wrong_audience" {
				t.Errorf("got reason %v", a.line["reason"])
			}
		})
	}
}
