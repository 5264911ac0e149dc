package examples_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"gatehouse/infra/local/gateway"
	"gatehouse/infra/local/samtemplate"
)

// What is special of each example.

func restToken(t *testing.T, s *stack) {
	t.Helper()
	t.Run("what does not look like a bearer token costs no invocation", func(t *testing.T) {
		before := s.gatehouse()
		for _, header := range []string{"Basic dXNlcjpwYXNz", "Bearer", "Bearer a b", "Bearer ,"} {
			s.try(t, call{name: header, header: http.Header{"Authorization": {header}}, status: 401, challenge: `Bearer realm="rest-token"`})
		}
		if n := s.gatehouse() - before; n != 0 {
			t.Errorf("the authorizer was asked %d times", n)
		}
	})
	t.Run("the authorizer sees the token and the ARN, nothing else", func(t *testing.T) {
		s.try(t, call{name: "a call", path: "/orders?secret=1", token: s.token(t, storefront, "orders:read", nil), status: 200})
		s.mu.Lock()
		defer s.mu.Unlock()
		sent := s.events[authorizerARN]
		var event map[string]any
		if err := json.Unmarshal(sent[len(sent)-1], &event); err != nil {
			t.Fatal(err)
		}
		if len(event) != 3 || event["type"] != "TOKEN" || event["methodArn"] != "arn:aws:execute-api:us-east-1:123456789012:"+apiID+"/v1/GET/orders" {
			t.Errorf("got %v", event)
		}
	})
	t.Run("an id that gatehouse.yaml does not have is a mistake, not a permission", func(t *testing.T) {
		other := newStack(t, "rest-token", changes{yaml: func(text string) string { return strings.Replace(text, apiID, "z9y8x7w6v5", 1) }})
		other.try(t, call{name: "a call", token: other.token(t, storefront, "orders:read", nil), status: 500, says: `{"message":null}`})
	})
}

func restRequest(t *testing.T, s *stack) {
	t.Helper()
	t.Run("a browser asks first, without a token", func(t *testing.T) {
		h := s.try(t, call{
			name: "a preflight", method: http.MethodOptions, status: 200,
			header: http.Header{"Origin": {"https://app.example.com"}, "Access-Control-Request-Method": {"POST"}},
		})
		if h.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(h.Get("Access-Control-Allow-Headers"), "Authorization") {
			t.Errorf("got %v", h)
		}
	})
	t.Run("a script can read a refusal", func(t *testing.T) {
		h := s.try(t, call{name: "no token", status: 401, challenge: `Bearer realm="rest-request"`})
		if h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Expose-Headers") != "WWW-Authenticate" || h.Get("Cache-Control") != "no-store" {
			t.Errorf("got %v", h)
		}
	})
	t.Run("the health check is everybody's", func(t *testing.T) {
		s.try(t, call{name: "no token", path: "/health", status: 200, says: "ok"})
	})
	t.Run("one answer does for all routes", func(t *testing.T) {
		both := s.token(t, storefront, "orders:read orders:write", nil)
		before := s.gatehouse()
		s.try(t, call{name: "it reads", token: both, status: 200})
		s.try(t, call{name: "it writes", method: http.MethodPost, token: both, body: `{"item":"bell","quantity":1}`, status: 201})
		if n := s.gatehouse() - before; n != 1 {
			t.Errorf("the authorizer was asked %d times", n)
		}
	})
	t.Run("a provider that is down is no refusal", func(t *testing.T) {
		down := newStack(t, "rest-request", changes{down: true})
		h := down.try(t, call{name: "a call", token: down.token(t, storefront, "orders:read", nil), status: 503, says: "Service Unavailable"})
		if h.Get("Retry-After") != "5" || h.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("got %v", h)
		}
	})
}

func httpSimple(t *testing.T, s *stack) {
	t.Helper()
	reads := s.token(t, storefront, "orders:read", nil)
	write := call{name: "it writes", method: http.MethodPost, token: reads, body: `{"item":"bell","quantity":1}`, status: 403, says: "Forbidden"}
	t.Run("a yes that is cached counts for its route", func(t *testing.T) {
		before := s.gatehouse()
		s.try(t, call{name: "it reads", token: reads, status: 200})
		s.try(t, call{name: "it reads again", token: reads, status: 200})
		s.try(t, write)
		if n := s.gatehouse() - before; n != 2 {
			t.Errorf("the authorizer was asked %d times, want once for each route", n)
		}
	})
	t.Run("without the route among what it is cached by, it counts for all", func(t *testing.T) {
		careless := newStack(t, "http-simple", changes{api: func(api *samtemplate.API) {
			a := api.Authorizers["Gatehouse"]
			a.IdentitySources = a.IdentitySources[:1]
			api.Authorizers["Gatehouse"] = a
		}})
		write.token, write.status, write.says = careless.token(t, storefront, "orders:read", nil), 201, "bell"
		careless.try(t, call{name: "it reads", token: write.token, status: 200})
		careless.try(t, write)
	})
}

func http10(t *testing.T, s *stack) {
	t.Helper()
	t.Run("the function is sent format 1.0", func(t *testing.T) {
		s.try(t, call{name: "a call", token: s.token(t, storefront, "orders:read", nil), status: 200})
		s.mu.Lock()
		defer s.mu.Unlock()
		for function, members := range map[string][]string{
			"DemoApiFunction": {"version", "resource", "path", "httpMethod"}, authorizerARN: {"version", "type", "methodArn", "identitySource", "authorizationToken"},
		} {
			sent := s.events[function]
			var event map[string]any
			if err := json.Unmarshal(sent[len(sent)-1], &event); err != nil {
				t.Fatal(err)
			}
			for _, name := range members {
				if event[name] == nil {
					t.Errorf("the event of %s has no %s", function, name)
				}
			}
			if event["version"] != "1.0" {
				t.Errorf("the event of %s has the version %v", function, event["version"])
			}
		}
	})
}

// byParameterStore reads the example as it is deployed beside Gatehouse's stack,
// which has put the ARN into the Parameter Store.
func byParameterStore(t *testing.T) changes {
	t.Helper()
	gatehouse, err := samtemplate.Load("../../template.yaml", samtemplate.Options{
		StackName: "gatehouse", Parameters: map[string]string{"OidcIssuer": "https://example.okta.com/oauth2/default", "OidcAudience": "api://default"},
	})
	if err != nil {
		t.Fatal(err)
	}
	arn, ok := gatehouse.SSM["/gatehouse/authorizer-arn"]
	if !ok || !strings.HasPrefix(arn, "arn:aws:lambda:") {
		t.Fatalf("Gatehouse's stack stores %v", gatehouse.SSM)
	}
	return changes{options: func(o *samtemplate.Options) {
		delete(o.Parameters, "AuthorizerArn") // the example has the name of the parameter by itself
		o.Functions, o.SSM = []string{arn}, gatehouse.SSM
	}}
}

func crossStack(t *testing.T, s *stack) {
	t.Helper()
	if a := s.api.Authorizers["Gatehouse"]; !strings.Contains(a.Function, "AuthorizerFunction") || a.Unpermitted {
		t.Errorf("got %+v", a)
	}
	t.Run("one answer does for all routes", func(t *testing.T) {
		both := s.token(t, storefront, "orders:read orders:write", nil)
		before := s.gatehouse()
		s.try(t, call{name: "it reads", token: both, status: 200})
		s.try(t, call{name: "it writes", method: http.MethodPost, token: both, body: `{"item":"bell","quantity":1}`, status: 201})
		if n := s.gatehouse() - before; n != 1 {
			t.Errorf("the authorizer was asked %d times", n)
		}
	})
	t.Run("a stack of another name is another parameter", func(t *testing.T) {
		_, err := samtemplate.Load("cross-stack/template.yaml", samtemplate.Options{SSM: map[string]string{"/other/authorizer-arn": authorizerARN}})
		if err == nil || !strings.Contains(err.Error(), "no value of /gatehouse/authorizer-arn") {
			t.Errorf("got %v", err)
		}
	})
}

// byTier stands in for API Gateway, which has the API key of each contract in the
// plan of its tier, but for one that was approved just now. How the keys get there
// is in tiers_test.go.
func byTier(*testing.T) changes {
	return changes{
		options: func(o *samtemplate.Options) {
			o.Resources = map[string]string{"TrialPlan": "a1b2c3", "GoldPlan": "d4e5f6"}
		},
		gateway: func(c *gateway.Config) {
			c.KeyPlan = func(value string) string {
				return map[string]string{"key-of-storefront": "a1b2c3", "key-of-kiosk": "a1b2c3", "key-of-warehouse": "d4e5f6"}[value]
			}
		},
	}
}

func usagePlan(t *testing.T, s *stack) {
	t.Helper()
	s.advance(time.Hour) // what the other calls have used is there again
	trial, gold := s.token(t, storefront, "orders:read", nil), s.token(t, warehouse, "orders:read", nil)
	slower := call{name: "trial", token: trial, status: 429, says: `{"message":"Too Many Requests"}`}
	t.Run("an application is limited by its tier in what comes at once", func(t *testing.T) {
		for range s.api.UsagePlans[0].Burst {
			s.try(t, call{name: "trial", token: trial, status: 200})
		}
		if h := s.try(t, slower); h.Get("Retry-After") != "1" || h.Get("Cache-Control") != "no-store" {
			t.Errorf("got %v", h)
		}
		slower.token = s.token(t, storefront, "orders:read", nil)
		s.try(t, slower) // another token is nobody else's
		s.try(t, call{name: "another application of the tier", token: s.token(t, kiosk, "orders:read", nil), status: 200})
		for range s.api.UsagePlans[0].Burst + 1 {
			s.try(t, call{name: "another tier", token: gold, status: 200})
		}
		s.advance(time.Second)
		s.try(t, call{name: "a second later", token: trial, status: 200})
	})
	t.Run("and in a day", func(t *testing.T) {
		c := byTier(t)
		c.api = func(api *samtemplate.API) { api.UsagePlans[0].Quota = 2 }
		exhausted := newStack(t, "usage-plan", c)
		raw := exhausted.token(t, storefront, "orders:read", nil)
		exhausted.try(t, call{name: "one", token: raw, status: 200})
		exhausted.try(t, call{name: "two", token: raw, status: 200})
		if h := exhausted.try(t, call{name: "three", token: raw, status: 429, says: `{"message":"Limit Exceeded"}`}); h.Get("Retry-After") != "3600" {
			t.Errorf("got %v", h)
		}
	})
	t.Run("nobody brings a key", func(t *testing.T) {
		brought := http.Header{"X-Api-Key": {"key-of-warehouse"}}
		s.try(t, call{
			name: "a contract whose key is not there yet", token: s.token(t, museum, "orders:read", nil), header: brought,
			status: 403, says: `{"message":"Forbidden"}`,
		})
		s.try(t, call{name: "no token", header: brought, status: 401, challenge: `Bearer realm="usage-plan"`})
	})
	t.Run("the plans are what developers are told of the tiers", func(t *testing.T) {
		for i, tier := range s.cfg.APIs[0].Tiers {
			plan := s.api.UsagePlans[i]
			if told := float64(tier.Requests) / tier.Per.Seconds(); told != plan.Rate || tier.UsagePlan != plan.ID {
				t.Errorf("%s: developers are told of %v requests a second, %s allows %v", tier.Name, told, plan.ID, plan.Rate)
			}
		}
	})
}

const endpoint = "vpce-0a1b2c3d"

// byEndpoint reaches the API by the host name of its VPC endpoint.
func byEndpoint(*testing.T) changes {
	return changes{parameters: map[string]string{"VpcEndpointId": endpoint}, host: apiID + "-" + endpoint + ".execute-api.us-east-1.amazonaws.com"}
}

func private(t *testing.T, s *stack) {
	t.Helper()
	reads := s.token(t, storefront, "orders:read", nil)
	beside := strings.Replace(s.host, endpoint, "vpce-0ffffff0", 1)
	const anonymous = "User: anonymous is not authorized to perform: execute-api:Invoke on resource: arn:aws:execute-api:us-east-1:********9012:" + apiID + "/v1/GET/"
	t.Run("who comes another way is refused, and Gatehouse is not asked", func(t *testing.T) {
		before := s.gatehouse()
		refused := `Bearer realm="private", error="insufficient_scope"`
		s.try(t, call{name: "by another endpoint", token: reads, host: beside, status: 403, challenge: refused, says: anonymous + "orders with an explicit deny"})
		s.try(t, call{name: "by another endpoint, without a token", host: beside, status: 403, challenge: refused, says: anonymous})
		s.try(t, call{name: "the health check, by another endpoint", path: "/health", host: beside, status: 403, challenge: refused, says: anonymous})
		s.try(t, call{name: "from the Internet", token: reads, host: apiID + ".execute-api.us-east-1.amazonaws.com", status: 403, says: "Forbidden"})
		if n := s.gatehouse() - before; n != 0 {
			t.Errorf("the authorizer was asked %d times", n)
		}
	})
	t.Run("the health check is that of all who come this way", func(t *testing.T) {
		s.try(t, call{name: "no token", path: "/health", host: s.host, status: 200, says: "ok"})
	})
	t.Run("an Allow of everything would open every route", func(t *testing.T) {
		c := byEndpoint(t)
		c.api = func(api *samtemplate.API) {
			api.ResourcePolicy = []byte(strings.Replace(string(api.ResourcePolicy), "execute-api:/v1/GET/health", "execute-api:/*", 1))
		}
		open := newStack(t, "private", c)
		open.try(t, call{name: "a token without the scope", token: open.token(t, storefront, "orders:write", nil), host: s.host, status: 200})
		open.try(t, call{name: "no token", host: s.host, status: 401, challenge: `Bearer realm="private"`})
	})
}

// dial connects. It returns the status of the answer, and the connection if there
// is one.
func (s *stack) dial(t *testing.T, query, token string) (*websocket.Conn, int) {
	t.Helper()
	options := &websocket.DialOptions{HTTPHeader: http.Header{}}
	if token != "" {
		options.HTTPHeader.Set("Authorization", "Bearer "+token)
	}
	conn, resp, err := websocket.Dial(t.Context(), s.url+query, options) //nolint:bodyclose // there is none to close, says Dial
	if resp == nil {
		t.Fatal(err)
	}
	if err == nil {
		t.Cleanup(func() { _ = conn.CloseNow() })
	}
	return conn, resp.StatusCode
}

// say sends a message and returns what is answered.
func say(t *testing.T, conn *websocket.Conn, message string) map[string]string {
	t.Helper()
	if err := conn.Write(t.Context(), websocket.MessageText, []byte(message)); err != nil {
		t.Fatal(err)
	}
	_, answer, err := conn.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]string
	if err := json.Unmarshal(answer, &members); err != nil {
		t.Fatalf("%v in %s", err, answer)
	}
	return members
}

func webSocket(t *testing.T, s *stack) {
	t.Helper()
	reads := s.token(t, storefront, "orders:read", nil)
	unlisted := newStack(t, "websocket", changes{yaml: func(text string) string { return strings.Replace(text, "$connect", "GET /orders", 1) }})
	for _, c := range []struct {
		name         string
		at           *stack
		query, token string
		want         int
	}{
		{"no token", s, "", "", 401},
		{"a token that is none", s, "", "garbage", 401},
		{"an expired token", s, "", s.token(t, storefront, "orders:read", map[string]any{"exp": s.now().Add(-time.Hour).Unix()}), 401},
		{"a token for another audience", s, "", s.token(t, storefront, "orders:read", map[string]any{"aud": "api://other"}), 401},
		{"a token in the query, where it is not taken", s, "?access_token=" + reads, "", 401},
		{"two tokens", s, "?access_token=" + reads, reads, 401},
		{"a token without the scope", s, "", s.token(t, storefront, "orders:write", nil), 403},
		{"an application without a contract", s, "", s.token(t, stranger, "orders:read", nil), 403},
		{"an API that does not list $connect", unlisted, "", unlisted.token(t, storefront, "orders:read", nil), 403},
		{"a path there is not", s, "/nothing", reads, 403},
		{"a token that reads", s, "", reads, 101},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, status := c.at.dial(t, c.query, c.token); status != c.want {
				t.Errorf("got %d, want %d", status, c.want)
			}
		})
	}
	t.Run("the backend is told who connected, with each message", func(t *testing.T) {
		conn, _ := s.dial(t, "", reads)
		got := say(t, conn, `{"action":"anything","text":"hello"}`)
		if got["client_id"] != storefront || got["scope"] != "orders:read" || !strings.Contains(got["said"], "hello") {
			t.Errorf("got %v", got)
		}
		told := s.told(t, "TalkFunction")
		if told["application"] != "storefront-1" || told["tier"] != "trial" || told["principalId"] != storefront {
			t.Errorf("got %v", told)
		}
	})
	t.Run("answers are never cached", func(t *testing.T) {
		before := s.gatehouse()
		s.dial(t, "", reads)
		s.dial(t, "", reads)
		if n := s.gatehouse() - before; n != 2 {
			t.Errorf("the authorizer was asked %d times", n)
		}
	})
	t.Run("a connection outlives its token, and nothing is served on it then", func(t *testing.T) {
		conn, _ := s.dial(t, "", s.token(t, storefront, "orders:read", map[string]any{"exp": s.now().Add(time.Minute).Unix()}))
		if got := say(t, conn, "hello"); got["said"] != "hello" {
			t.Errorf("got %v", got)
		}
		s.advance(2 * time.Minute)
		if got := say(t, conn, "hello"); got["error"] != "invalid_token" || got["said"] != "" {
			t.Errorf("got %v", got)
		}
	})
	t.Run("a backend behind an open $connect serves nobody", func(t *testing.T) {
		open := newStack(t, "websocket", changes{api: func(api *samtemplate.API) { api.Routes[0].Authorizer = "" }})
		conn, _ := open.dial(t, "", "")
		if got := say(t, conn, "hello"); got["message"] != "Internal server error" {
			t.Errorf("got %v", got)
		}
	})
	t.Run("a browser has its token in the query, if the template says so", func(t *testing.T) {
		browsers := newStack(t, "websocket", changes{
			parameters: map[string]string{"IdentitySource": "route.request.querystring.access_token"},
			yaml:       func(text string) string { return strings.Replace(text, "tokenIn: [header]", "tokenIn: [query]", 1) },
		})
		raw := browsers.token(t, storefront, "orders:read", nil)
		for query, want := range map[string]int{"?access_token=" + raw: 101, "": 401, "?access_token=garbage": 401} {
			if _, status := browsers.dial(t, query, ""); status != want {
				t.Errorf("got %d, want %d", status, want)
			}
		}
		if _, status := browsers.dial(t, "", raw); status != 401 {
			t.Errorf("a token in the header got %d", status)
		}
	})
}
