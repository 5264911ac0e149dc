package gateway_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"gatehouse/infra/local/gateway"
	"gatehouse/infra/local/samtemplate"
)

// fixed gives a gateway a time.
func fixed(cfg *gateway.Config) {
	cfg.Now = func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }
}

// rich is a request with two headers of a name, cookies, a repeated query
// parameter and a body.
func rich(path string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, path+"?b=2&a=1%20x&b=3", strings.NewReader(`{"a":1}`))
	r.Host = "api.example.com:8443"
	r.RemoteAddr = "192.0.2.7:4711"
	r.Header = http.Header{
		"Authorization":   {"Bearer one", "Bearer two"},
		"Content-Type":    {"application/json"},
		"Cookie":          {"c=1; d=2"},
		"User-Agent":      {"test"},
		"X-Forwarded-For": {"198.51.100.1"},
		"Te":              {"trailers"},
		"Connection":      {"close"},
	}
	return r
}

// strictly decodes data into v and refuses members v does not have.
func strictly(t *testing.T, data []byte, v any) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
}

// sameEvent compares an event with what is wanted, but for the random ids.
func sameEvent(t *testing.T, got []byte, want string) {
	t.Helper()
	event := object(t, got)
	requestContext, _ := event["requestContext"].(map[string]any)
	for _, key := range []string{"requestId", "extendedRequestId"} {
		if s, ok := requestContext[key].(string); ok && len(s) == 32 {
			requestContext[key] = "id"
		}
	}
	for _, key := range []string{"headers", "multiValueHeaders"} {
		headers, _ := event[key].(map[string]any)
		for _, name := range []string{"X-Amzn-Trace-Id", "x-amzn-trace-id"} {
			delete(headers, name)
		}
	}
	if diff := cmp.Diff(object(t, []byte(want)), event); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

const (
	headersREST = `{"Authorization":"Bearer two","Content-Type":"application/json","Cookie":"c=1; d=2","Host":"api.example.com:8443",
		"User-Agent":"test","X-Forwarded-For":"198.51.100.1, 192.0.2.7","X-Forwarded-Port":"8443","X-Forwarded-Proto":"http"}`
	multiHeadersREST = `{"Authorization":["Bearer one","Bearer two"],"Content-Type":["application/json"],"Cookie":["c=1; d=2"],"Host":["api.example.com:8443"],
		"User-Agent":["test"],"X-Forwarded-For":["198.51.100.1, 192.0.2.7"],"X-Forwarded-Port":["8443"],"X-Forwarded-Proto":["http"]}`
	headersV2 = `{"authorization":"Bearer one,Bearer two","content-type":"application/json","host":"api.example.com:8443",
		"user-agent":"test","x-forwarded-for":"198.51.100.1, 192.0.2.7","x-forwarded-port":"8443","x-forwarded-proto":"http"}`
)

// contextV1 is the requestContext of REST events and payload 1.0; more begins with a comma.
func contextV1(stage, path, resourceID, more string) string {
	return `{"accountId":"123456789012","apiId":"abc123","domainName":"api.example.com","domainPrefix":"api","extendedRequestId":"id",
		"httpMethod":"POST","identity":{"sourceIp":"192.0.2.7","userAgent":"test"},"path":"` + path + `","protocol":"HTTP/1.1","requestId":"id",
		"requestTime":"02/Jan/2026:03:04:05 +0000","requestTimeEpoch":1767323045000,"resourceId":"` + resourceID + `","resourcePath":"/orders","stage":"` + stage + `"` + more + `}`
}

func contextV2(more string) string {
	return `{"accountId":"123456789012","apiId":"abc123","domainName":"api.example.com","domainPrefix":"api",
		"http":{"method":"POST","path":"/orders","protocol":"HTTP/1.1","sourceIp":"192.0.2.7","userAgent":"test"},
		"requestId":"id","routeKey":"POST /orders","stage":"$default","time":"02/Jan/2026:03:04:05 +0000","timeEpoch":1767323045000` + more + `}`
}

const answerWithContext = `{"s":"text","n":1.50,"b":true}`

func TestEventsREST(t *testing.T) {
	t.Parallel()
	w := newWorld(t, restAPI(nil), says(policyWith(answerWithContext, statement("Allow", "*"))), fixed)
	if rec := w.send(rich("/v1/orders")); rec.Code != 200 {
		t.Fatalf("got %d", rec.Code)
	}
	const query = `"queryStringParameters":{"a":"1 x","b":"3"},"multiValueQueryStringParameters":{"a":["1 x"],"b":["2","3"]},"stageVariables":{"gatehouse":"orders"}`
	sameEvent(t, w.event(t, "Authorizer"), `{"type":"REQUEST","methodArn":"`+restARN+`POST/orders","resource":"/orders","path":"/orders","httpMethod":"POST",
		"headers":`+headersREST+`,"multiValueHeaders":`+multiHeadersREST+`,`+query+`,"pathParameters":{},
		"requestContext":`+contextV1("v1", "/v1/orders", "local", "")+`}`)
	sameEvent(t, w.event(t, "Backend"), `{"resource":"/orders","path":"/orders","httpMethod":"POST",
		"headers":`+headersREST+`,"multiValueHeaders":`+multiHeadersREST+`,`+query+`,"pathParameters":null,
		"requestContext":`+contextV1("v1", "/v1/orders", "local", `,"authorizer":{"principalId":"user","integrationLatency":0,"s":"text","n":"1.50","b":"true"}`)+`,
		"body":"{\"a\":1}","isBase64Encoded":false}`)
	strictly(t, w.event(t, "Backend"), &events.APIGatewayProxyRequest{})

	w.send(request(http.MethodGet, "/v1/health"))
	e := object(t, w.event(t, "Backend"))
	for _, key := range []string{"body", "queryStringParameters", "multiValueQueryStringParameters", "pathParameters"} {
		if v, ok := e[key]; !ok || v != nil {
			t.Errorf("got %s %v, want null", key, v)
		}
	}
	if c, ok := e["requestContext"].(map[string]any); !ok || c["authorizer"] != nil {
		t.Errorf("got %v, want a requestContext without authorizer", c)
	}
}

func TestEventToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, restAPI(func(a *samtemplate.Authorizer) { a.Kind = samtemplate.Token }), says(allowAll), nil)
	w.send(rich("/v1/orders"))
	var got events.APIGatewayCustomAuthorizerRequest
	strictly(t, w.event(t, "Authorizer"), &got)
	want := events.APIGatewayCustomAuthorizerRequest{Type: "TOKEN", AuthorizationToken: "Bearer two", MethodArn: restARN + "POST/orders"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestEventsHTTPv2(t *testing.T) {
	t.Parallel()
	w := newWorld(t, httpAPI(func(a *samtemplate.Authorizer) {
		a.IdentitySources = []samtemplate.IdentitySource{bearer[0], {In: samtemplate.QueryString, Name: "b"}}
	}), says(policyWith(`{"s":"text","list":[1,{"a":null}]}`, statement("Allow", "*"))), fixed)
	if rec := w.send(rich("/orders")); rec.Code != 200 {
		t.Fatalf("got %d", rec.Code)
	}
	const common = `"version":"2.0","routeKey":"POST /orders","rawPath":"/orders","rawQueryString":"b=2&a=1%20x&b=3","cookies":["c=1","d=2"],
		"headers":` + headersV2 + `,"queryStringParameters":{"a":"1 x","b":"2,3"},"stageVariables":{"gatehouse":"orders"}`
	sameEvent(t, w.event(t, "Authorizer"), `{"type":"REQUEST","routeArn":"`+httpARN+`POST/orders","identitySource":["Bearer one,Bearer two","2,3"],
		`+common+`,"requestContext":`+contextV2("")+`}`)
	strictly(t, w.event(t, "Authorizer"), &events.APIGatewayV2CustomAuthorizerV2Request{})
	sameEvent(t, w.event(t, "Backend"), `{`+common+`,"requestContext":`+contextV2(`,"authorizer":{"lambda":{"s":"text","list":[1,{"a":null}]}}`)+`,
		"body":"{\"a\":1}","isBase64Encoded":false}`)
	strictly(t, w.event(t, "Backend"), &events.APIGatewayV2HTTPRequest{})
}

func TestEventsHTTPv1(t *testing.T) {
	t.Parallel()
	api := httpAPI(func(a *samtemplate.Authorizer) {
		a.PayloadVersion = "1.0"
		a.IdentitySources = []samtemplate.IdentitySource{bearer[0], {In: samtemplate.QueryString, Name: "a"}}
	})
	api.Routes = routes("1.0")
	w := newWorld(t, api, says(policyWith(answerWithContext[:len(answerWithContext)-1]+`,"claims":"x"}`, statement("Allow", "*"))), fixed)
	if rec := w.send(rich("/orders")); rec.Code != 200 {
		t.Fatalf("got %d", rec.Code)
	}
	const query = `"queryStringParameters":{"a":"1 x","b":"3"},"stageVariables":{"gatehouse":"orders"}`
	identity := `"Bearer one,Bearer two,1 x"`
	sameEvent(t, w.event(t, "Authorizer"), `{"version":"1.0","type":"REQUEST","methodArn":"`+httpARN+`POST/orders","identitySource":`+identity+`,"authorizationToken":`+identity+`,
		"resource":"/orders","path":"/orders","httpMethod":"POST","headers":`+headersREST+`,`+query+`,"pathParameters":{},
		"requestContext":`+contextV1("$default", "/orders", "POST /orders", "")+`}`)
	sameEvent(t, w.event(t, "Backend"), `{"version":"1.0","resource":"/orders","path":"/orders","httpMethod":"POST",
		"headers":`+headersREST+`,"multiValueHeaders":`+multiHeadersREST+`,`+query+`,"multiValueQueryStringParameters":{"a":["1 x"],"b":["2","3"]},"pathParameters":null,
		"requestContext":`+contextV1("$default", "/orders", "POST /orders", `,"authorizer":{"principalId":"user","integrationLatency":0,"s":"text","n":"1.50","b":"true","claims":null}`)+`,
		"body":"{\"a\":1}","isBase64Encoded":false}`)
}

func TestHeaderCase(t *testing.T) {
	t.Parallel()
	w := newWorld(t, restAPI(nil), says(allowAll), func(cfg *gateway.Config) { cfg.Unsettled.LowerCaseHeaders = true })
	w.send(rich("/v1/orders"))
	for _, function := range []string{"Authorizer", "Backend"} {
		if got := texts(object(t, w.event(t, function))["headers"])["authorization"]; got != "Bearer two" {
			t.Errorf("%s: got authorization %q", function, got)
		}
	}
}

// TestPaths: which of them have the stage, and which are decoded.
func TestPaths(t *testing.T) {
	t.Parallel()
	named := httpAPI(nil)
	named.Stage = "test"
	first := httpAPI(nil)
	first.Stage, first.Routes = "test", routes("1.0")
	for name, c := range map[string]struct {
		api                samtemplate.API
		target             string
		path, raw, context string
	}{
		"REST: without the stage, as requested": {restAPI(nil), "/v1/orders/a%20b", "/orders/a%20b", "", "/v1/orders/a%20b"},
		"payload 2.0: decoded":                  {httpAPI(nil), "/orders/a%20b", "", "/orders/a b", ""},
		"payload 2.0: with a named stage":       {named, "/test/orders/a%20b", "", "/test/orders/a b", ""},
		"payload 1.0: decoded, with the stage":  {first, "/test/orders/a%20b", "/test/orders/a b", "", "/test/orders/a%20b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c.api, says(allowAll), nil)
			w.send(request(http.MethodGet, c.target))
			var e struct {
				Path, RawPath  string
				RequestContext struct{ Path string }
				PathParameters map[string]string
			}
			if err := json.Unmarshal(w.event(t, "Backend"), &e); err != nil {
				t.Fatal(err)
			}
			if e.Path != c.path || e.RawPath != c.raw || e.RequestContext.Path != c.context || e.PathParameters["id"] != "a b" {
				t.Errorf("got %+v", e)
			}
		})
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	images := restAPI(nil)
	images.BinaryMediaTypes = []string{"image/*"}
	for name, c := range map[string]struct {
		api     samtemplate.API
		media   string
		body    string
		want    string
		encoded bool
	}{
		"REST: text":                          {restAPI(nil), "image/png", "a", "a", false},
		"REST: a binary media type":           {images, "image/png", "a\xff", "Yf8=", true},
		"REST: another media type":            {images, "application/json", "{}", "{}", false},
		"HTTP: JSON is text":                  {httpAPI(nil), "application/json; charset=utf-8", "{}", "{}", false},
		"HTTP: a JSON type is text":           {httpAPI(nil), "application/problem+json", "{}", "{}", false},
		"HTTP: a form is not":                 {httpAPI(nil), "application/x-www-form-urlencoded", "a=1", "YT0x", true},
		"HTTP: nor an image":                  {httpAPI(nil), "image/png", "a", "YQ==", true},
		"HTTP: nor text that is not UTF-8":    {httpAPI(nil), "text/plain", "a\xff", "Yf8=", true},
		"HTTP: what says nothing may be text": {httpAPI(nil), "", "a", "a", false},
		"HTTP: an empty body is not encoded":  {httpAPI(nil), "image/png", "", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c.api, says(allowAll), nil)
			path := "/orders"
			if c.api.Kind == samtemplate.REST {
				path = "/v1/orders"
			}
			r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(c.body))
			r.Header.Set("Authorization", "x")
			if c.media != "" {
				r.Header.Set("Content-Type", c.media)
			}
			w.send(r)
			e := object(t, w.event(t, "Backend"))
			if got, _ := e["body"].(string); got != c.want || e["isBase64Encoded"] != c.encoded {
				t.Errorf("got %q %v, want %q %t", got, e["isBase64Encoded"], c.want, c.encoded)
			}
		})
	}
}
