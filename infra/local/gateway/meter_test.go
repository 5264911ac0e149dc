package gateway_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/infra/local/gateway"
	"gatehouse/infra/local/samtemplate"
)

const (
	trialKey = "trial-0123456789012345678901234567"
	goldKey  = "gold-01234567890123456789012345678"
	oldKey   = "old-012345678901234567890123456789"
)

// meteredAPI is restAPI whose requests need an API key.
func meteredAPI(change func(*samtemplate.API)) samtemplate.API {
	api := restAPI(nil)
	for i := range api.Routes {
		api.Routes[i].APIKey = api.Routes[i].Authorizer != ""
	}
	api.KeyFromAuthorizer = true
	api.UsagePlans = []samtemplate.UsagePlan{
		{ID: "Trial", Rate: 1, Burst: 2, Quota: 4, Period: "DAY", Keys: []samtemplate.APIKey{{LogicalID: "TrialKey", Value: trialKey}}},
		{ID: "Gold", Keys: []samtemplate.APIKey{{LogicalID: "GoldKey", Value: goldKey}, {LogicalID: "OldKey", Value: oldKey, Disabled: true}}},
	}
	if change != nil {
		change(&api)
	}
	return api
}

// keyed is allowAll with a usageIdentifierKey.
func keyed(key string) string {
	return strings.TrimSuffix(allowAll, "}") + `,"usageIdentifierKey":` + key + `}`
}

const (
	bodyTooMany = `{"message":"Too Many Requests"}`
	bodyLimit   = `{"message":"Limit Exceeded"}`
)

func TestAPIKeys(t *testing.T) {
	t.Parallel()
	byHeader := func(a *samtemplate.API) { a.KeyFromAuthorizer = false }
	for name, c := range map[string]struct {
		api        samtemplate.API
		authorizer lambda
		header     string
		status     int
		body       string
		errorType  string
	}{
		"the authorizer names a key of a plan":      {meteredAPI(nil), says(keyed(`"` + goldKey + `"`)), "", 200, "hello", ""},
		"it names none":                             {meteredAPI(nil), says(allowAll), "", 403, bodyForbidden, "ForbiddenException"},
		"it names nothing":                          {meteredAPI(nil), says(keyed(`""`)), "", 403, bodyForbidden, "ForbiddenException"},
		"it says null":                              {meteredAPI(nil), says(keyed(`null`)), "", 403, bodyForbidden, "ForbiddenException"},
		"it names a key of no plan":                 {meteredAPI(nil), says(keyed(`"unknown"`)), "", 403, bodyForbidden, "ForbiddenException"},
		"it names a key that is switched off":       {meteredAPI(nil), says(keyed(`"` + oldKey + `"`)), "", 403, bodyForbidden, "ForbiddenException"},
		"it names something that is no text":        {meteredAPI(nil), says(keyed(`1`)), "", 500, bodyNull, "AuthorizerConfigurationException"},
		"the caller's own key is not looked at":     {meteredAPI(nil), says(allowAll), goldKey, 403, bodyForbidden, "ForbiddenException"},
		"who is not authorized is not told of keys": {meteredAPI(nil), says(policy(statement("Deny", "*"))), "", 403, bodyDenied, "AccessDeniedException"},
		"it names a key made elsewhere":             {meteredAPI(nil), says(keyed(`"made-elsewhere"`)), "", 200, "hello", ""},
		"and one of a plan of other stages":         {meteredAPI(nil), says(keyed(`"lost-elsewhere"`)), "", 403, bodyForbidden, "ForbiddenException"},
		"the caller brings a key":                   {meteredAPI(byHeader), says(allowAll), goldKey, 200, "hello", ""},
		"the caller brings none":                    {meteredAPI(byHeader), says(keyed(`"` + goldKey + `"`)), "", 403, bodyForbidden, "ForbiddenException"},
		"no key is needed":                          {restAPI(nil), says(keyed(`"unknown"`)), "", 200, "hello", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c.api, c.authorizer, func(c *gateway.Config) {
				c.KeyPlan = func(value string) string {
					return map[string]string{"made-elsewhere": "Gold", "lost-elsewhere": "Other"}[value]
				}
			})
			r := request(http.MethodGet, "/v1/orders")
			if c.header != "" {
				r.Header.Set("X-Api-Key", c.header)
			}
			rec := w.send(r)
			check(t, rec, c.status, c.body)
			if got := rec.Header().Get("X-Amzn-Errortype"); got != c.errorType {
				t.Errorf("got x-amzn-ErrorType %q, want %q", got, c.errorType)
			}
			if strings.Contains(w.trace.String(), "0123456789") || strings.Contains(w.trace.String(), "elsewhere") {
				t.Errorf("the trace has a key: %s", w.trace.String())
			}
		})
	}
}

func TestUsagePlanLimits(t *testing.T) {
	t.Parallel()
	clock := &clock{now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
	key := trialKey
	w := newWorld(t, meteredAPI(func(a *samtemplate.API) {
		a.Authorizers["Auth"] = samtemplate.Authorizer{Kind: samtemplate.Request, Function: "Authorizer", IdentitySources: bearer, TTL: time.Hour}
		a.GatewayResponses = map[string]samtemplate.GatewayResponse{"THROTTLED": {Headers: map[string]string{"Retry-After": "'1'"}}}
	}), says(keyed(`"`+key+`"`)), func(c *gateway.Config) { c.Now = clock.Now })
	send := func(status int, body string) {
		t.Helper()
		rec := w.send(request(http.MethodGet, "/v1/orders"))
		check(t, rec, status, body)
		if retry := rec.Header().Get("Retry-After"); (retry == "1") != (body == bodyTooMany) {
			t.Errorf("Retry-After: got %q", retry)
		}
	}
	send(200, "hello")
	send(200, "hello")
	send(429, bodyTooMany) // two at once are the burst
	clock.advance(time.Second)
	send(200, "hello")
	send(429, bodyTooMany)
	clock.advance(time.Minute)
	send(200, "hello")
	send(429, bodyLimit) // four a day; what was throttled does not count
	clock.advance(24 * time.Hour)
	send(200, "hello")
	if n := w.asked("Authorizer"); n != 2 {
		t.Errorf("the authorizer was asked %d times, want 2: the key is cached with its answer", n)
	}
}
