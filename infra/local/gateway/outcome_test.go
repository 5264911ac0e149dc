package gateway_test

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gatehouse/infra/local/gateway"
	"gatehouse/infra/local/samtemplate"
)

const (
	bodyUnauthorized = `{"message":"Unauthorized"}`
	bodyDenied       = `{"Message":"User is not authorized to access this resource with an explicit deny"}`
	bodyNotAllowed   = `{"Message":"User is not authorized to access this resource"}`
	bodyNull         = `{"message":null}`
	bodyForbidden    = `{"message":"Forbidden"}`
	bodyInternal     = `{"message":"Internal Server Error"}`
)

// crash is a function that panics.
func crash(context.Context, []byte) (string, error) {
	panic("crash")
}

// hang is a function that answers when its time is over.
func hang(ctx context.Context, _ []byte) (string, error) {
	<-ctx.Done()
	return allowAll, nil
}

// impatient lets authorizers time out at once.
func impatient(cfg *gateway.Config) { cfg.Unsettled.AuthorizerTimeout = time.Nanosecond }

// TestOutcomesREST is the table of what a REST API answers.
func TestOutcomesREST(t *testing.T) {
	t.Parallel()
	const orders = restARN + "GET/orders"
	for name, c := range map[string]struct {
		authorizer lambda
		change     func(*gateway.Config)
		status     int
		body       string
		errorType  string
	}{
		"allowed by the request's own ARN":      {authorizer: says(policy(statement("Allow", orders))), status: 200, body: "hello"},
		"allowed by a wildcard":                 {authorizer: says(policy(statement("Allow", restARN+"*/ord?rs"))), status: 200, body: "hello"},
		"an error Unauthorized is 401":          {authorizer: fails("Unauthorized"), status: 401, body: bodyUnauthorized, errorType: "UnauthorizedException"},
		"an error that wraps it is not":         {authorizer: fails("authorizer: Unauthorized"), status: 500, body: bodyNull, errorType: "AuthorizerConfigurationException"},
		"nor is another case":                   {authorizer: fails("unauthorized"), status: 500, body: bodyNull, errorType: "AuthorizerConfigurationException"},
		"any other error is 500":                {authorizer: fails("boom"), status: 500, body: bodyNull, errorType: "AuthorizerConfigurationException"},
		"a crash is 500":                        {authorizer: crash, status: 500, body: bodyNull, errorType: "AuthorizerConfigurationException"},
		"a timeout is 500":                      {authorizer: hang, change: impatient, status: 500, body: bodyNull, errorType: "AuthorizerConfigurationException"},
		"an explicit deny":                      {authorizer: says(policy(statement("Deny", orders))), status: 403, body: bodyDenied, errorType: "AccessDeniedException"},
		"an explicit deny beats an allow":       {authorizer: says(policy(statement("Allow", "*"), statement("Deny", orders))), status: 403, body: bodyDenied, errorType: "AccessDeniedException"},
		"what nothing allows is denied":         {authorizer: says(policy(statement("Allow", restARN+"POST/orders"))), status: 403, body: bodyNotAllowed, errorType: "AccessDeniedException"},
		"the template's path is not the ARN's":  {authorizer: says(policy(statement("Allow", restARN+"GET/orders/{id}"))), status: 403, body: bodyNotAllowed, errorType: "AccessDeniedException"},
		"another stage's ARN does not count":    {authorizer: says(policy(statement("Allow", strings.Replace(orders, "/v1/", "/v2/", 1)))), status: 403, body: bodyNotAllowed, errorType: "AccessDeniedException"},
		"a lower-case message is a switch":      {authorizer: says(policy(statement("Deny", "*"))), change: func(c *gateway.Config) { c.Unsettled.LowerCaseDeniedMessage = true }, status: 403, body: strings.ToLower(bodyDenied[:3]) + bodyDenied[3:], errorType: "AccessDeniedException"},
		"an answer that is not JSON":            {authorizer: says(`hello`), status: 500, body: bodyNull, errorType: "AuthorizerConfigurationException"},
		"an answer that is null":                {authorizer: says(`null`), status: 500, body: bodyNull, errorType: "AuthorizerConfigurationException"},
		"an answer without principalId":         {authorizer: says(strings.Replace(allowAll, "principalId", "principal", 1)), status: 500, body: bodyNull, errorType: "AuthorizerConfigurationException"},
		"an answer without policyDocument":      {authorizer: says(`{"principalId":"user"}`), status: 500, body: bodyNull, errorType: "AuthorizerConfigurationException"},
		"an answer whose policy is none":        {authorizer: says(`{"principalId":"user","policyDocument":[]}`), status: 500, body: bodyNull, errorType: "AuthorizerConfigurationException"},
		"names of members are case-sensitive":   {authorizer: says(strings.Replace(allowAll, "policyDocument", "PolicyDocument", 1)), status: 500, body: bodyNull, errorType: "AuthorizerConfigurationException"},
		"a simple answer is none":               {authorizer: says(`{"isAuthorized":true}`), status: 500, body: bodyNull, errorType: "AuthorizerConfigurationException"},
		"an object in the context":              {authorizer: says(policyWith(`{"a":{"b":1}}`, statement("Allow", "*"))), status: 500, body: bodyNull, errorType: "AuthorizerConfigurationException"},
		"an array in the context":               {authorizer: says(policyWith(`{"a":["b"]}`, statement("Allow", "*"))), status: 500, body: bodyNull, errorType: "AuthorizerConfigurationException"},
		"a null in the context":                 {authorizer: says(policyWith(`{"a":null}`, statement("Allow", "*"))), status: 500, body: bodyNull, errorType: "AuthorizerConfigurationException"},
		"a context that is no object":           {authorizer: says(policyWith(`"a"`, statement("Allow", "*"))), status: 500, body: bodyNull, errorType: "AuthorizerConfigurationException"},
		"members nobody knows do not matter":    {authorizer: says(strings.Replace(allowAll, `{"pr`, `{"x":1,"pr`, 1)), status: 200, body: "hello"},
		"an answer beyond 8 KiB":                {authorizer: says(policyWith(`{"a":"`+strings.Repeat("a", 8192)+`"}`, statement("Allow", "*"))), status: 500, body: bodyNull, errorType: "AuthorizerConfigurationException"},
		"the largest answer is a switch":        {authorizer: says(policyWith(`{"a":"`+strings.Repeat("a", 8192)+`"}`, statement("Allow", "*"))), change: func(c *gateway.Config) { c.Unsettled.AuthorizerAnswerBytes = 1 << 20 }, status: 200, body: "hello"},
		"without an authorizer nobody is asked": {authorizer: fails("boom"), change: func(c *gateway.Config) { c.Open = true }, status: 200, body: "hello"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, restAPI(nil), c.authorizer, c.change)
			rec := w.send(request(http.MethodGet, "/v1/orders"))
			check(t, rec, c.status, c.body)
			if got := rec.Header().Get("X-Amzn-Errortype"); got != c.errorType {
				t.Errorf("got x-amzn-ErrorType %q, want %q", got, c.errorType)
			}
			if reached := w.asked("Backend") > 0; reached != (c.status == 200) {
				t.Errorf("the backend was reached: %t", reached)
			}
		})
	}
}

// TestOutcomesHTTP is the table of what an HTTP API answers.
func TestOutcomesHTTP(t *testing.T) {
	t.Parallel()
	const orders = httpARN + "GET/orders"
	simple := func(a *samtemplate.Authorizer) { a.Simple = true }
	v1 := func(a *samtemplate.Authorizer) { a.PayloadVersion = "1.0" }
	for name, c := range map[string]struct {
		api        func(*samtemplate.Authorizer)
		authorizer lambda
		change     func(*gateway.Config)
		status     int
		body       string
	}{
		"allowed by the request's own ARN":         {nil, says(policy(statement("Allow", orders))), nil, 200, "hello"},
		"explicit deny":                            {nil, says(policy(statement("Deny", orders))), nil, 403, bodyForbidden},
		"nothing allows it":                        {nil, says(policy(statement("Allow", httpARN+"GET/other"))), nil, 403, bodyForbidden},
		"payload 1.0 allows by policy":             {v1, says(policy(statement("Allow", orders))), nil, 200, "hello"},
		"payload 1.0 denies by policy":             {v1, says(policy(statement("Deny", orders))), nil, 403, bodyForbidden},
		"payload 1.0 has no nested context":        {v1, says(policyWith(`{"a":[]}`, statement("Allow", "*"))), nil, 500, bodyInternal},
		"payload 2.0 has":                          {nil, says(policyWith(`{"a":[]}`, statement("Allow", "*"))), nil, 200, "hello"},
		"simple true":                              {simple, says(`{"isAuthorized":true}`), nil, 200, "hello"},
		"simple false":                             {simple, says(`{"isAuthorized":false,"context":{"a":1}}`), nil, 403, bodyForbidden},
		"simple neither":                           {simple, says(`{}`), nil, 500, bodyInternal},
		"simple that is no boolean":                {simple, says(`{"isAuthorized":"true"}`), nil, 500, bodyInternal},
		"a policy where a simple answer is due":    {simple, says(allowAll), nil, 500, bodyInternal},
		"a simple answer where a policy is due":    {nil, says(`{"isAuthorized":true}`), nil, 500, bodyInternal},
		"both forms in one are refused":            {simple, says(strings.Replace(allowAll, `{"pr`, `{"isAuthorized":true,"pr`, 1)), nil, 500, bodyInternal},
		"both forms in one are a switch":           {simple, says(strings.Replace(allowAll, `{"pr`, `{"isAuthorized":true,"pr`, 1)), func(c *gateway.Config) { c.Unsettled.ExtraAnswerMembers = true }, 200, "hello"},
		"no JSON":                                  {nil, says(``), nil, 500, bodyInternal},
		"an error is 500":                          {nil, fails("boom"), nil, 500, bodyInternal},
		"an error Unauthorized is 500 too":         {nil, fails("Unauthorized"), nil, 500, bodyInternal},
		"an error Unauthorized as 401 is a switch": {nil, fails("Unauthorized"), func(c *gateway.Config) { c.Unsettled.UnauthorizedErrorIs401 = true }, 401, bodyUnauthorized},
		"a crash is 500":                           {nil, crash, nil, 500, bodyInternal},
		"a timeout is 500":                         {nil, hang, impatient, 500, bodyInternal},
		"no permission is 500":                     {func(a *samtemplate.Authorizer) { a.Unpermitted = true }, says(allowAll), nil, 500, bodyInternal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, httpAPI(c.api), c.authorizer, c.change)
			rec := w.send(request(http.MethodGet, "/orders"))
			check(t, rec, c.status, c.body)
			if reached := w.asked("Backend") > 0; reached != (c.status == 200) {
				t.Errorf("the backend was reached: %t", reached)
			}
			if rec.Header().Get("X-Amzn-Errortype") != "" {
				t.Error("an HTTP API does not send x-amzn-ErrorType")
			}
		})
	}
}

// TestIdentitySources: without them the authorizer is not asked.
func TestIdentitySources(t *testing.T) {
	t.Parallel()
	sources := func(in samtemplate.SourceKind, name string) func(*samtemplate.Authorizer) {
		return func(a *samtemplate.Authorizer) {
			a.IdentitySources = []samtemplate.IdentitySource{{In: in, Name: name}}
		}
	}
	token := func(a *samtemplate.Authorizer) {
		a.Kind, a.ValidationExpression = samtemplate.Token, `Bearer [a-z]+`
	}
	optional := func(c *gateway.Config) { c.Unsettled.UncachedIdentityOptional = true }
	for name, c := range map[string]struct {
		api    samtemplate.API
		path   string
		header http.Header
		change func(*gateway.Config)
		asked  bool
	}{
		"a header":                            {api: restAPI(nil), header: http.Header{"Authorization": {"x"}}, asked: true},
		"a missing header":                    {api: restAPI(nil)},
		"an empty header":                     {api: restAPI(nil), header: http.Header{"Authorization": {""}}},
		"a header declared in another case":   {api: restAPI(sources(samtemplate.Header, "aUTHORIZATION")), header: http.Header{"Authorization": {"x"}}, asked: true},
		"a missing header, optional":          {api: restAPI(nil), change: optional, asked: true},
		"a missing header, cached":            {api: restAPI(func(a *samtemplate.Authorizer) { a.TTL = time.Minute }), change: optional},
		"a token that matches":                {api: restAPI(token), header: http.Header{"Authorization": {"Bearer abc"}}, asked: true},
		"a token that matches in part":        {api: restAPI(token), header: http.Header{"Authorization": {"Bearer abc1"}}},
		"a token that matches further on":     {api: restAPI(token), header: http.Header{"Authorization": {"x Bearer abc"}}},
		"a missing token":                     {api: restAPI(token)},
		"a missing token is never optional":   {api: restAPI(token), change: optional},
		"a query parameter":                   {api: restAPI(sources(samtemplate.QueryString, "t")), path: "?t=x", asked: true},
		"a query parameter in another case":   {api: restAPI(sources(samtemplate.QueryString, "t")), path: "?T=x"},
		"a stage variable":                    {api: restAPI(sources(samtemplate.StageVariable, "gatehouse")), asked: true},
		"a missing stage variable":            {api: restAPI(sources(samtemplate.StageVariable, "other")), asked: false},
		"a value of the context":              {api: restAPI(sources(samtemplate.Context, "identity.sourceIp")), asked: true},
		"an unknown value of the context":     {api: restAPI(sources(samtemplate.Context, "nothing"))},
		"HTTP: a header":                      {api: httpAPI(nil), header: http.Header{"Authorization": {"x"}}, asked: true},
		"HTTP: a missing header":              {api: httpAPI(nil)},
		"HTTP: is never optional":             {api: httpAPI(nil), change: optional},
		"HTTP: the route's key":               {api: httpAPI(sources(samtemplate.Context, "routeKey")), asked: true},
		"HTTP: a query parameter, other case": {api: httpAPI(sources(samtemplate.QueryString, "t")), path: "?T=x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c.api, says(allowAll), c.change)
			path := "/orders" + c.path
			if c.api.Kind == samtemplate.REST {
				path = "/v1" + path
			}
			r := httptest.NewRequest(http.MethodGet, path, nil)
			maps.Copy(r.Header, c.header)
			rec := w.send(r)
			if got := w.asked("Authorizer") > 0; got != c.asked {
				t.Errorf("the authorizer was asked: %t, want %t", got, c.asked)
			}
			if !c.asked {
				check(t, rec, 401, bodyUnauthorized)
			}
		})
	}
}

// TestFailureTypes: which gateway response a failure of the authorizer gets.
func TestFailureTypes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		authorizer lambda
		api        func(*samtemplate.Authorizer)
		change     func(*gateway.Config)
		want       string
	}{
		"a failure":                          {authorizer: fails("boom"), want: "failure"},
		"a failure, by switch":               {authorizer: fails("boom"), change: func(c *gateway.Config) { c.Unsettled.FailureIsConfigurationError = true }, want: "configuration"},
		"an answer that is no use":           {authorizer: says(`{}`), want: "configuration"},
		"a function that may not be invoked": {authorizer: says(allowAll), api: func(a *samtemplate.Authorizer) { a.Unpermitted = true }, want: "configuration"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := restAPI(c.api)
			api.GatewayResponses = map[string]samtemplate.GatewayResponse{
				"AUTHORIZER_FAILURE":             {StatusCode: 503, Templates: map[string]string{"text/plain": "failure"}},
				"AUTHORIZER_CONFIGURATION_ERROR": {StatusCode: 503, Templates: map[string]string{"text/plain": "configuration"}},
			}
			rec := newWorld(t, api, c.authorizer, c.change).send(request(http.MethodGet, "/v1/orders"))
			check(t, rec, 503, c.want)
			if got := rec.Header().Get("Content-Type"); got != "text/plain" {
				t.Errorf("got Content-Type %q, want that of the template", got)
			}
		})
	}
}

func TestGatewayResponses(t *testing.T) {
	t.Parallel()
	response := func(status int, template string, headers ...string) samtemplate.GatewayResponse {
		r := samtemplate.GatewayResponse{StatusCode: status, Headers: map[string]string{}}
		if template != "" {
			r.Templates = map[string]string{"application/json": template}
		}
		for i := 0; i < len(headers); i += 2 {
			r.Headers[headers[i]] = headers[i+1]
		}
		return r
	}
	deny := policyWith(`{"reason":"expired","n":7}`, statement("Deny", "*"))
	for name, c := range map[string]struct {
		responses map[string]samtemplate.GatewayResponse
		path      string
		status    int
		body      string
		header    [2]string
	}{
		"the exact type comes first": {
			map[string]samtemplate.GatewayResponse{"ACCESS_DENIED": response(401, `{"a":1}`), "DEFAULT_4XX": response(400, "")}, "/v1/orders",
			401, `{"a":1}`, [2]string{},
		},
		"then the class": {
			map[string]samtemplate.GatewayResponse{"DEFAULT_4XX": response(418, `"d"`, "X-A", "'b'"), "UNAUTHORIZED": response(400, "")}, "/v1/orders",
			418, `"d"`, [2]string{"X-A", "b"},
		},
		"the class of another status does not count": {
			map[string]samtemplate.GatewayResponse{"DEFAULT_5XX": response(418, "")}, "/v1/orders",
			403, bodyDenied, [2]string{},
		},
		"without a template the default one speaks": {
			map[string]samtemplate.GatewayResponse{"ACCESS_DENIED": response(0, "")}, "/v1/orders",
			403, `{"message":"User is not authorized to access this resource with an explicit deny"}`, [2]string{"X-Amzn-Errortype", "AccessDeniedException"},
		},
		"a template knows the error": {
			map[string]samtemplate.GatewayResponse{"ACCESS_DENIED": response(0, `$context.error.responseType|$context.error.message|$context.error.messageString|$context.httpMethod $context.path`)}, "/v1/orders",
			403, `ACCESS_DENIED|User is not authorized to access this resource with an explicit deny|"User is not authorized to access this resource with an explicit deny"|GET /v1/orders`, [2]string{},
		},
		"a template knows the authorizer's context, as text": {
			map[string]samtemplate.GatewayResponse{"ACCESS_DENIED": response(0, `$context.authorizer.reason. $context.authorizer.n $context.authorizer.principalId [$context.authorizer.none]`)}, "/v1/orders",
			403, `expired. 7 user []`, [2]string{},
		},
		"a template knows stage variables and the request": {
			map[string]samtemplate.GatewayResponse{"ACCESS_DENIED": response(0, `$stageVariables.gatehouse $method.request.path.id $method.request.header.x-a $method.request.querystring.q`)}, "/v1/orders/7?q=8",
			403, `orders 7 9 8`, [2]string{},
		},
		"a header is a literal": {
			map[string]samtemplate.GatewayResponse{"ACCESS_DENIED": response(0, "", "WWW-Authenticate", `'Bearer error="insufficient_scope"'`)}, "/v1/orders",
			403, `{"message":"User is not authorized to access this resource with an explicit deny"}`, [2]string{"WWW-Authenticate", `Bearer error="insufficient_scope"`},
		},
		"a header is a value of the request": {
			map[string]samtemplate.GatewayResponse{"MISSING_AUTHENTICATION_TOKEN": response(404, `{}`, "X-B", "method.request.header.X-A")}, "/v1/nothing",
			404, `{}`, [2]string{"X-B", "9"},
		},
		"a header is a value of the context": {
			map[string]samtemplate.GatewayResponse{"ACCESS_DENIED": response(0, `{}`, "X-B", "context.authorizer.reason")}, "/v1/orders",
			403, `{}`, [2]string{"X-B", "expired"},
		},
		"a header without a value is left out": {
			map[string]samtemplate.GatewayResponse{"ACCESS_DENIED": response(0, `{}`, "X-B", "context.nothing")}, "/v1/orders",
			403, `{}`, [2]string{"X-B", ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := restAPI(nil)
			api.GatewayResponses = c.responses
			r := request(http.MethodGet, c.path)
			r.Header.Set("X-A", "9")
			rec := newWorld(t, api, says(deny), nil).send(r)
			check(t, rec, c.status, c.body)
			if got := rec.Header().Get(c.header[0]); got != c.header[1] {
				t.Errorf("got %s %q, want %q", c.header[0], got, c.header[1])
			}
		})
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	for _, api := range []samtemplate.API{restAPI(nil), httpAPI(nil)} {
		stage := ""
		if api.Kind == samtemplate.REST {
			stage = "/v1"
		}
		large := request(http.MethodGet, stage+"/orders")
		large.Header.Set("X-Large", strings.Repeat("x", 10240))
		body := func(n int) *http.Request {
			r := httptest.NewRequest(http.MethodPost, stage+"/orders", strings.NewReader(strings.Repeat("x", n)))
			r.Header.Set("Authorization", "x")
			r.Header.Set("Content-Type", "text/plain")
			return r
		}
		for name, c := range map[string]struct {
			r      *http.Request
			status int
			asked  int
		}{
			"headers beyond 10,240 bytes":       {large, 431, 0},
			"a method ARN beyond 1,600 bytes":   {request(http.MethodGet, stage+"/orders/"+strings.Repeat("x", 1600)), 414, 0},
			"a body of 10 MB is beyond Lambda":  {body(10 << 20), 413, 1},
			"a body beyond 10 MB":               {body(10<<20 + 1), 413, 1},
			"a body that Lambda takes":          {body(5 << 20), 200, 1},
			"a long path that is public is not": {request(http.MethodGet, stage+"/health?"+strings.Repeat("x", 1600)), 200, 0},
		} {
			t.Run(string(api.Kind)+": "+name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, api, says(allowAll), nil)
				if rec := w.send(c.r); rec.Code != c.status {
					t.Errorf("got %d, want %d", rec.Code, c.status)
				}
				if got := w.asked("Authorizer"); got != c.asked {
					t.Errorf("the authorizer was asked %d times, want %d", got, c.asked)
				}
				if reached := w.asked("Backend") > 0; reached != (c.status == 200) {
					t.Errorf("the backend was reached: %t", reached)
				}
			})
		}
	}
}

// TestTrace: it says what happened and keeps what it must not say.
func TestTrace(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t"
	answer := policyWith(`{"a":"`+secret+`"}`, statement("Allow", restARN+"GET/orders"), statement("Deny", restARN+"*/admin/*"))
	w := newWorld(t, restAPI(func(a *samtemplate.Authorizer) { a.TTL = time.Minute }), says(answer), nil)
	get := func(path string) {
		r := httptest.NewRequest(http.MethodGet, path+"?access_token="+secret, nil)
		r.Header.Set("Authorization", "Bearer "+secret)
		w.send(r)
	}
	get("/v1/orders")
	get("/v1/admin/x")
	get("/v1/orders/1")
	w.send(httptest.NewRequest(http.MethodGet, "/v1/orders", nil))
	failing := newWorld(t, restAPI(nil), fails(secret), nil)
	failing.send(request(http.MethodGet, "/v1/orders"))

	trace := w.trace.String() + failing.trace.String()
	if strings.Contains(trace, secret) {
		t.Errorf("the trace has the secret:\n%s", trace)
	}
	for _, want := range []string{
		"GET /v1/orders: route GET /orders\n",
		"identity source header Authorization is there",
		"authorizer Auth: nothing is cached; asking Authorizer",
		"the policy allows it by " + restARN + "GET/orders\n",
		"integration Backend",
		"authorizer Auth: an answer is cached",
		"the policy denies it by " + restARN + "*/admin/*\n",
		"no statement of the policy covers it",
		"gateway response built in for ACCESS_DENIED",
		"identity source header Authorization is missing; the authorizer is not asked",
		"authorizer Auth: failed: the function returned an error",
		"answered 403",
	} {
		if !strings.Contains(trace, want) {
			t.Errorf("the trace lacks %q:\n%s", want, trace)
		}
	}
}
