package authorizer_test

import (
	"strings"
	"testing"

	"gatehouse/shared/apigw"
)

// muleSoft takes the token in the header or in the query, as Anypoint does.
const muleSoft = `
resultCache: 0s
providers:
  - {name: okta, type: okta, issuer: "${IDP}/oauth2/default", audiences: ["api://default"]}
apis:
  - name: orders
    providers: [okta]
    contract: none
    profile: mulesoft
    routes:
` + routes

func TestB1HowATokenIsSent(t *testing.T) {
	t.Parallel()
	s := newSite(t, orders)
	raw := s.token("orders:read")
	for _, row := range []struct{ name, header, reason string }{
		{"Bearer", "Bearer " + raw, "allowed"},
		{"in lower case", "bearer " + raw, "allowed"},
		{"in upper case", "BEARER " + raw, "allowed"},
		{"more than one space", "Bearer   " + raw, "allowed"},
		{"no scheme", raw, "not_bearer"},
		{"a scheme that only begins like it", "Bearers " + raw, "not_bearer"},
		{"no space", "Bearer" + raw, "not_bearer"},
		{"a colon", "Bearer: " + raw, "not_bearer"},
		{"a tab", "Bearer\t" + raw, "not_bearer"},
		{"a space in front", " Bearer " + raw, "not_bearer"},
		{"a space behind", "Bearer " + raw + " ", "token_syntax"},
		{"a line break behind", "Bearer " + raw + "\r\n", "token_syntax"},
		{"two tokens", "Bearer " + raw + " " + raw, "token_syntax"},
		{"a parameter", `Bearer token="` + raw + `"`, "token_syntax"},
		{"two credentials that a proxy has joined", "Bearer " + raw + ",Bearer " + raw, "token_syntax"},
		{"quotes", `Bearer "` + raw + `"`, "token_syntax"},
		{"a NUL", "Bearer " + raw + "\x00", "token_syntax"},
		{"only padding", "Bearer ====", "token_syntax"},
		{"more than 8 KiB", "Bearer " + strings.Repeat("a", 8<<10+1), "token_length"},
		{"8 KiB that are no JWT", "Bearer " + strings.Repeat("a", 8<<10), "opaque_token_not_accepted"},
		{"five parts, as an encrypted token has", "Bearer " + raw + ".a.b", "malformed"},
		{"DPoP", "DPoP " + raw, "not_bearer"},
		{"nothing", "", "no_token"},
		{"only a scheme", "Bearer", "no_token"},
		{"only spaces", "Bearer    ", "no_token"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for _, shape := range []apigw.Shape{apigw.RESTToken, apigw.RESTRequest, apigw.HTTP1, apigw.HTTP2, apigw.WebSocket} {
				if got := s.reason(t, request{shape: shape, authorization: []string{row.header}}); got != row.reason {
					t.Errorf("%v: got %q, want %q", shape, got, row.reason)
				}
			}
		})
	}
}

func TestHeaderNamesHaveNoCase(t *testing.T) {
	t.Parallel()
	s := newSite(t, orders)
	raw := s.token("orders:read")
	for _, name := range []string{"Authorization", "authorization", "AUTHORIZATION", "aUtHoRiZaTiOn"} {
		for _, shape := range []apigw.Shape{apigw.RESTRequest, apigw.HTTP1, apigw.HTTP2, apigw.WebSocket} {
			r := bearer(raw).as(shape)
			r.name = name
			if !s.ask(t, r).allows() {
				t.Errorf("%v: %s is not found", shape, name)
			}
		}
	}
}

func TestB2OneTokenOnly(t *testing.T) {
	t.Parallel()
	s := newSite(t, orders)
	raw := s.token("orders:read")
	value := "Bearer " + raw
	// API Gateway gives a header that a REST API's client sent twice, once as a
	// list and once as its last value.
	twice := request{authorization: []string{value, value}}
	for _, row := range []struct {
		name    string
		request request
		reason  string
	}{
		{"the same header twice at a REST API", twice, "two_tokens"},
		{"the same header twice at a WebSocket API", twice.as(apigw.WebSocket), "two_tokens"},
		{"the same header twice at an HTTP API", twice.as(apigw.HTTP2), "token_syntax"},
		{"the same header twice at an HTTP API, payload 1.0", twice.as(apigw.HTTP1), "token_syntax"},
		{"another header first", request{authorization: []string{"Basic eDp5", value}}, "two_tokens"},
		{"another header last", request{authorization: []string{value, "Basic eDp5"}}, "two_tokens"},
		{"another spelling of its name", request{authorization: []string{value}, headers: map[string]string{"AUTHORIZATION": "Bearer other"}}, "two_tokens"},
		{"header and query", request{authorization: []string{value}, query: []string{raw}}, "two_tokens"},
		{"header and query at an HTTP API", request{shape: apigw.HTTP2, authorization: []string{value}, query: []string{raw}}, "two_tokens"},
		{"an empty query parameter", request{authorization: []string{value}, query: []string{""}}, "two_tokens"},
		{"an empty header", request{authorization: []string{""}, query: []string{raw}}, "two_tokens"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for _, configuration := range []string{orders, muleSoft} {
				other := newSite(t, configuration)
				other.secret(raw)
				if got := other.reason(t, row.request); got != row.reason {
					t.Errorf("got %q, want %q", got, row.reason)
				}
			}
		})
	}
}

func TestB3ATokenInTheQuery(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, configuration, reason string }{
		{"is ignored in profile strict", orders, "no_token"},
		{"is taken in profile mulesoft", muleSoft, "allowed"},
		{"is taken in profile strict when the API says so", strings.Replace(muleSoft, "profile: mulesoft", "tokenIn: [query]", 1), "allowed"},
		{"is ignored in profile mulesoft when the API says so", strings.Replace(muleSoft, "profile: mulesoft", "profile: mulesoft\n    tokenIn: [header]", 1), "no_token"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, row.configuration)
			raw := s.token("orders:read")
			for _, shape := range []apigw.Shape{apigw.RESTRequest, apigw.HTTP1, apigw.HTTP2, apigw.WebSocket} {
				if got := s.reason(t, request{shape: shape, query: []string{raw}}); got != row.reason {
					t.Errorf("%v: got %q, want %q", shape, got, row.reason)
				}
			}
		})
	}
}

func TestATokenInTheQueryIsHeldToTheSameRules(t *testing.T) {
	t.Parallel()
	s := newSite(t, muleSoft)
	raw := s.token("orders:read")
	for _, row := range []struct {
		name   string
		query  []string
		reason string
	}{
		{"twice", []string{raw, raw}, "two_tokens"},
		{"twice, once empty", []string{raw, ""}, "two_tokens"},
		{"empty", []string{""}, "no_token"},
		{"with a scheme", []string{"Bearer " + raw}, "token_syntax"},
		{"joined", []string{raw + "," + raw}, "token_syntax"},
		{"with a line break", []string{raw + "\n"}, "token_syntax"},
		{"more than 8 KiB", []string{strings.Repeat("a", 8<<10+1)}, "token_length"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for _, shape := range []apigw.Shape{apigw.RESTRequest, apigw.HTTP2} {
				if got := s.reason(t, request{shape: shape, query: row.query}); got != row.reason {
					t.Errorf("%v: got %q, want %q", shape, got, row.reason)
				}
			}
		})
	}
}

// Only the header is taken by an API that names the header, only the query by
// one that names the query.
func TestTheHeaderIsIgnoredWhereTheQueryIsNamed(t *testing.T) {
	t.Parallel()
	s := newSite(t, strings.Replace(muleSoft, "profile: mulesoft", "tokenIn: [query]", 1))
	if got := s.reason(t, bearer(s.token("orders:read"))); got != "no_token" {
		t.Errorf("got %q, want no_token", got)
	}
}

// An HTTP API tells its identity sources. A token from elsewhere would get its
// answer cached under a key that somebody else's request has, too.
func TestATokenOutsideTheIdentitySourcesIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, muleSoft)
	raw := s.token("orders:read")
	for _, row := range []struct {
		name    string
		request request
		reason  string
	}{
		{"the header is the source", request{authorization: []string{"Bearer " + raw}, identity: []string{"Bearer " + raw}}, "allowed"},
		{"the header is one source of two", request{authorization: []string{"Bearer " + raw}, identity: []string{"Bearer " + raw, "GET /orders"}}, "allowed"},
		{"the query is the source", request{query: []string{raw}, identity: []string{raw}}, "allowed"},
		{"there are no sources", request{query: []string{raw}, identity: []string{}}, "allowed"},
		{"another header is the source", request{authorization: []string{"Bearer " + raw}, identity: []string{"key"}}, "token_outside_cache_key"},
		{"another query parameter is the source", request{query: []string{raw}, identity: []string{"key"}}, "token_outside_cache_key"},
		{"the source only holds the token", request{authorization: []string{"Bearer " + raw}, identity: []string{raw}}, "token_outside_cache_key"},
		{"the source is longer", request{query: []string{raw}, identity: []string{raw + "x"}}, "token_outside_cache_key"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for _, shape := range []apigw.Shape{apigw.HTTP1, apigw.HTTP2} {
				if got := s.reason(t, row.request.as(shape)); got != row.reason {
					t.Errorf("%v: got %q, want %q", shape, got, row.reason)
				}
			}
		})
	}
}
