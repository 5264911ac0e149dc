package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"gatehouse/infra/local/gateway"
)

const (
	toEverybody = `{"Effect":"Allow","Principal":"*","Action":"execute-api:Invoke","Resource":"execute-api:/*"}`
	notOutside  = `{"Effect":"Deny","Principal":"*","Action":"execute-api:Invoke","Resource":"execute-api:/*","Condition":{"StringNotEquals":{"aws:SourceVpce":"vpce-0a1b"}}}`
	toOthers    = `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::1:root"},"Action":"execute-api:Invoke","Resource":"execute-api:/*"}`
	toHealth    = `{"Effect":"Allow","Principal":"*","Action":"execute-api:Invoke","Resource":"execute-api:/v1/GET/health"}`

	insideHost  = "abc123-vpce-0a1b.execute-api.eu-west-1.amazonaws.com"
	besideHost  = "abc123-vpce-0a1c.execute-api.eu-west-1.amazonaws.com"
	outsideHost = "abc123.execute-api.eu-west-1.amazonaws.com"

	anonymous = `{"Message":"User: anonymous is not authorized to perform: execute-api:Invoke on resource: arn:aws:execute-api:eu-west-1:********9012:abc123/v1/`
)

// TestResourcePolicies is table A of "How API Gateway resource policies affect
// authorization workflow", and what holds for routes without an authorizer.
func TestResourcePolicies(t *testing.T) {
	t.Parallel()
	const orders = restARN + "GET/orders"
	allows, denies, silent := says(policy(statement("Allow", orders))), says(policy(statement("Deny", orders))), says(policy(statement("Allow", restARN+"POST/orders")))
	both := func(c *gateway.Config) { c.Unsettled.BothPoliciesAllow = true }
	for name, c := range map[string]struct {
		policy     string // statements
		path, host string
		authorizer lambda
		change     func(*gateway.Config)
		status     int
		body       string // how it begins
		asked      bool
	}{
		"allow, allow":                           {toEverybody, "/orders", outsideHost, allows, nil, 200, "hello", true},
		"allow, neither":                         {notOutside, "/orders", insideHost, allows, nil, 200, "hello", true},
		"allow, neither, about who signs":        {toOthers, "/orders", outsideHost, allows, nil, 200, "hello", true},
		"allow, deny, and nobody is asked":       {notOutside, "/orders", outsideHost, allows, nil, 403, anonymous + `GET/orders with an explicit deny"}`, false},
		"neither, allow lets it through":         {toEverybody, "/orders", outsideHost, silent, nil, 200, "hello", true},
		"neither, neither":                       {notOutside, "/orders", insideHost, silent, nil, 403, bodyNotAllowed, true},
		"neither, deny":                          {notOutside, "/orders", besideHost, silent, nil, 403, anonymous, false},
		"deny, allow":                            {toEverybody, "/orders", outsideHost, denies, nil, 403, bodyDenied, true},
		"deny, neither":                          {notOutside, "/orders", insideHost, denies, nil, 403, bodyDenied, true},
		"both must allow, by a switch":           {toEverybody, "/orders", outsideHost, silent, both, 403, bodyNotAllowed, true},
		"both must allow, and do":                {toEverybody, "/orders", outsideHost, allows, both, 200, "hello", true},
		"both must allow, and one does not":      {notOutside, "/orders", insideHost, allows, both, 403, bodyNotAllowed, true},
		"without an authorizer, allow":           {toHealth, "/health", outsideHost, allows, nil, 200, "hello", false},
		"without an authorizer, neither":         {toOthers, "/health", outsideHost, allows, nil, 403, anonymous + `GET/health"}`, false},
		"without an authorizer, deny wins":       {toHealth + "," + notOutside, "/health", outsideHost, allows, nil, 403, anonymous, false},
		"a failing authorizer is none that asks": {toEverybody, "/orders", outsideHost, fails("Unauthorized"), nil, 401, bodyUnauthorized, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := restAPI(nil)
			api.ResourcePolicy = []byte(`{"Version":"2012-10-17","Statement":[` + c.policy + `]}`)
			w := newWorld(t, api, c.authorizer, c.change)
			r := request(http.MethodGet, "/v1"+c.path)
			r.Host = c.host
			rec := w.send(r)
			if rec.Code != c.status || !strings.HasPrefix(rec.Body.String(), c.body) {
				t.Errorf("got %d %s, want %d %s", rec.Code, rec.Body, c.status, c.body)
			}
			if got := w.asked("Authorizer") > 0; got != c.asked {
				t.Errorf("the authorizer was asked: %t", got)
			}
		})
	}
}

func TestAPrivateAPIDoesNotAnswerTheInternet(t *testing.T) {
	t.Parallel()
	api := restAPI(nil)
	api.Private = true
	api.ResourcePolicy = []byte(`{"Version":"2012-10-17","Statement":` + notOutside + `}`)
	w := newWorld(t, api, says(allowAll), nil)
	for host, want := range map[string]int{insideHost: 200, besideHost: 403, outsideHost: 403} {
		r := request(http.MethodGet, "/v1/orders")
		r.Host = host
		rec := w.send(r)
		if rec.Code != want {
			t.Errorf("%s: got %d %s, want %d", host, rec.Code, rec.Body, want)
		}
	}
	identity, _ := object(t, w.event(t, "Backend"))["requestContext"].(map[string]any)["identity"].(map[string]any)
	if identity["vpceId"] != "vpce-0a1b" {
		t.Errorf("the backend is told the endpoint %v", identity["vpceId"])
	}
	if n := w.asked("Authorizer"); n != 1 {
		t.Errorf("the authorizer was asked %d times", n)
	}
}

func TestAResourcePolicyHoldsForAnOpenAPI(t *testing.T) {
	t.Parallel()
	api := restAPI(nil)
	api.ResourcePolicy = []byte(`{"Version":"2012-10-17","Statement":` + toOthers + `}`)
	w := newWorld(t, api, says(allowAll), func(c *gateway.Config) { c.Open = true })
	if rec := w.send(request(http.MethodGet, "/v1/orders")); rec.Code != http.StatusForbidden {
		t.Errorf("got %d", rec.Code)
	}
}
