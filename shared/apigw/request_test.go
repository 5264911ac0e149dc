package apigw_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"gatehouse/shared/apigw"
	"gatehouse/shared/strictjson"
)

const (
	prefix = "arn:aws:execute-api:eu-central-1:123456789012:a1b2c3d4e5/prod"
	getARN = prefix + "/GET/orders/1001"
)

func encode(tb testing.TB, v any) []byte {
	tb.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// webSocketEvent is what API Gateway sends for $connect; aws-lambda-go has no
// type for it.
type webSocketEvent struct {
	Type      string `json:"type"`
	MethodArn string `json:"methodArn"`
	events.APIGatewayWebsocketProxyRequest
}

// authorizerEvents returns one event of each shape, made with the types of
// aws-lambda-go, with token in the Authorization header.
func authorizerEvents(tb testing.TB, token string) map[apigw.Shape][]byte {
	tb.Helper()
	return map[apigw.Shape][]byte{
		apigw.RESTToken: encode(tb, events.APIGatewayCustomAuthorizerRequest{
			Type: "TOKEN", AuthorizationToken: token, MethodArn: getARN,
		}),
		apigw.RESTRequest: encode(tb, events.APIGatewayCustomAuthorizerRequestTypeRequest{
			Type: "REQUEST", MethodArn: getARN, Resource: "/orders/{id}", Path: "/orders/1001", HTTPMethod: "GET",
			Headers:           map[string]string{"authorization": token},
			MultiValueHeaders: map[string][]string{"authorization": {token}},
			StageVariables:    map[string]string{"gatehouse": "orders"},
			RequestContext: events.APIGatewayCustomAuthorizerRequestTypeRequestContext{
				APIID: "a1b2c3d4e5", Stage: "prod", HTTPMethod: "GET", ResourcePath: "/orders/{id}", RequestID: "r-1",
			},
		}),
		apigw.HTTP1: encode(tb, events.APIGatewayV2CustomAuthorizerV1Request{
			Version: "1.0", Type: "REQUEST", MethodArn: getARN, IdentitySource: token + ",GET /orders/{id}", AuthorizationToken: token,
			Resource: "/orders/{id}", Path: "/orders/1001", HTTPMethod: "GET",
			Headers:        map[string]string{"Authorization": token},
			StageVariables: map[string]string{"gatehouse": "orders"},
			RequestContext: events.APIGatewayV2CustomAuthorizerV1RequestTypeRequestContext{
				APIID: "a1b2c3d4e5", Stage: "prod", HTTPMethod: "GET", ResourcePath: "/orders/{id}", RequestID: "r-1",
			},
		}),
		apigw.HTTP2: encode(tb, events.APIGatewayV2CustomAuthorizerV2Request{
			Version: "2.0", Type: "REQUEST", RouteArn: getARN, IdentitySource: []string{token, "GET /orders/{id}"},
			RouteKey: "GET /orders/{id}", RawPath: "/prod/orders/1001",
			Headers:        map[string]string{"authorization": token},
			StageVariables: map[string]string{"gatehouse": "orders"},
			RequestContext: events.APIGatewayV2HTTPRequestContext{
				APIID: "a1b2c3d4e5", Stage: "prod", RouteKey: "GET /orders/{id}", RequestID: "r-1", DomainName: "api.example.com",
				HTTP: events.APIGatewayV2HTTPRequestContextHTTPDescription{Method: "GET", Path: "/prod/orders/1001"},
			},
		}),
		apigw.WebSocket: encode(tb, webSocketEvent{
			Type: "REQUEST", MethodArn: prefix + "/$connect",
			APIGatewayWebsocketProxyRequest: events.APIGatewayWebsocketProxyRequest{
				Headers:           map[string]string{"Authorization": token},
				MultiValueHeaders: map[string][]string{"Authorization": {token}},
				StageVariables:    map[string]string{"gatehouse": "orders"},
				RequestContext: events.APIGatewayWebsocketProxyRequestContext{
					APIID: "a1b2c3d4e5", Stage: "prod", RequestID: "r-1", DomainName: "ws.example.com",
					EventType: "CONNECT", RouteKey: "$connect", ConnectionID: "c",
				},
			},
		}),
	}
}

// plain is a request whose credentials can be compared and shown.
type plain struct {
	Request        apigw.Request
	Authorization  []string
	AccessToken    []string
	IdentitySource []string
}

func plainly(r *apigw.Request) *plain {
	p := &plain{*r, reveal(r.Authorization), reveal(r.AccessToken), reveal(r.IdentitySource)}
	p.Request.Authorization, p.Request.AccessToken, p.Request.IdentitySource = nil, nil, nil
	return p
}

func reveal(credentials []apigw.Credential) []string {
	var texts []string
	for _, c := range credentials {
		texts = append(texts, c.Reveal())
	}
	return texts
}

func TestEveryShapeBecomesTheSameRequest(t *testing.T) {
	t.Parallel()
	arn := apigw.ARN{
		Partition: "aws", Region: "eu-central-1", Account: "123456789012",
		APIID: "a1b2c3d4e5", Stage: "prod", Method: "GET", Path: "/orders/1001",
	}
	connect := arn
	connect.Method, connect.Path = "", "$connect"
	want := map[apigw.Shape]*plain{
		apigw.RESTToken: {Request: apigw.Request{Shape: apigw.RESTToken, ARN: arn, Method: "GET"}, Authorization: []string{"Bearer t"}},
		apigw.RESTRequest: {
			Request:       apigw.Request{Shape: apigw.RESTRequest, ARN: arn, Method: "GET", Template: "/orders/{id}", StageVariable: "orders", RequestID: "r-1"},
			Authorization: []string{"Bearer t"},
		},
		apigw.HTTP1: {
			Request:        apigw.Request{Shape: apigw.HTTP1, ARN: arn, Method: "GET", Template: "/orders/{id}", StageVariable: "orders", RequestID: "r-1"},
			Authorization:  []string{"Bearer t"},
			IdentitySource: []string{"Bearer t,GET /orders/{id}", "Bearer t", "GET /orders/{id}"},
		},
		apigw.HTTP2: {
			Request: apigw.Request{
				Shape: apigw.HTTP2, ARN: arn, Method: "GET", Template: "/orders/{id}", StageVariable: "orders",
				Domain: "api.example.com", RequestID: "r-1",
			},
			Authorization:  []string{"Bearer t"},
			IdentitySource: []string{"Bearer t", "GET /orders/{id}"},
		},
		apigw.WebSocket: {
			Request: apigw.Request{
				Shape: apigw.WebSocket, ARN: connect, Template: "$connect", StageVariable: "orders",
				Domain: "ws.example.com", RequestID: "r-1",
			},
			Authorization: []string{"Bearer t"},
		},
	}
	for shape, event := range authorizerEvents(t, "Bearer t") {
		t.Run(shape.String(), func(t *testing.T) {
			t.Parallel()
			got, err := apigw.ParseRequest(event)
			if err != nil {
				t.Fatal(err)
			}
			clear(event) // Lambda's buffer is used again
			if diff := cmp.Diff(want[shape], plainly(got)); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
			if got.ARN.Prefix() != prefix {
				t.Errorf("prefix: got %q, want %q", got.ARN.Prefix(), prefix)
			}
		})
	}
}

// rest returns a REST REQUEST event with more members.
func rest(members string) string {
	return `{"type":"REQUEST","methodArn":"` + getARN + `",` + members + `}`
}

func http2(members string) string {
	return `{"version":"2.0","type":"REQUEST","routeArn":"` + getARN + `",` + members + `}`
}

func TestParseRequestReads(t *testing.T) {
	t.Parallel()
	type parts struct {
		Method, Template, Path     string
		Authorization, AccessToken []string
	}
	tests := []struct {
		name, event string
		want        parts
	}{
		{
			"two Authorization headers as both, in order",
			rest(`"headers":{"Authorization":"b"},"multiValueHeaders":{"Authorization":["a","b"]}`),
			parts{Method: "GET", Path: "/orders/1001", Authorization: []string{"a", "b"}},
		},
		{
			"the same header twice as two",
			rest(`"headers":{"Authorization":"a"},"multiValueHeaders":{"Authorization":["a","a"]}`),
			parts{Method: "GET", Path: "/orders/1001", Authorization: []string{"a", "a"}},
		},
		{
			"headers that differ in case as all of them",
			rest(`"headers":{"AUTHORIZATION":"c"},"multiValueHeaders":{"Authorization":["a"],"authorization":["b"]}`),
			parts{Method: "GET", Path: "/orders/1001", Authorization: []string{"a", "b", "c"}},
		},
		{
			"no header that only looks like Authorization",
			rest(`"headers":{"X-Authorization":"a","Authorization ":"b","Proxy-Authorization":"c","Authorizatıon":"d"}`),
			parts{Method: "GET", Path: "/orders/1001"},
		},
		{
			"joined headers of format 2.0 as the one value it is",
			http2(`"headers":{"authorization":"Bearer a,Bearer b"}`),
			parts{Method: "GET", Path: "/orders/1001", Authorization: []string{"Bearer a,Bearer b"}},
		},
		{
			"null maps as empty",
			rest(`"headers":null,"multiValueHeaders":null,"queryStringParameters":null,"multiValueQueryStringParameters":null,` +
				`"pathParameters":null,"stageVariables":null,"requestContext":null,"body":null,"isBase64Encoded":true`),
			parts{Method: "GET", Path: "/orders/1001"},
		},
		{
			"every access_token parameter, and its name exactly",
			rest(`"queryStringParameters":{"access_token":"b","Access_Token":"x"},"multiValueQueryStringParameters":{"access_token":["a","b"]}`),
			parts{Method: "GET", Path: "/orders/1001", AccessToken: []string{"a", "b"}},
		},
		{
			"the raw query of format 2.0",
			http2(`"rawQueryString":"a=1&access_token=x%2By+z&access%5Ftoken=2&access_token&ACCESS_TOKEN=n&access_token=%zz&%zz=1",` +
				`"queryStringParameters":{"access_token":"x"}`),
			parts{Method: "GET", Path: "/orders/1001", AccessToken: []string{"x+y z", "2", "", "%zz"}},
		},
		{
			"no method override and no forwarded path",
			rest(`"headers":{"X-HTTP-Method-Override":"POST","X-Forwarded-Uri":"/admin","X-Original-URL":"/admin","Host":"evil.example"}`),
			parts{Method: "GET", Path: "/orders/1001"},
		},
		{
			"the template of a route with any method",
			http2(`"routeKey":"ANY /orders/{proxy+}","requestContext":{"http":{"method":"GET"},"apiId":"a1b2c3d4e5","stage":"prod"}`),
			parts{Method: "GET", Path: "/orders/1001", Template: "/orders/{proxy+}"},
		},
		{
			"no template of the $default route",
			http2(`"routeKey":"$default"`),
			parts{Method: "GET", Path: "/orders/1001"},
		},
		{
			"a path as it came, colons and wildcards included",
			`{"type":"TOKEN","methodArn":"` + prefix + `/GET/a:b//*/%2f..;${x}?","authorizationToken":""}`,
			parts{Method: "GET", Path: "/a:b//*/%2f..;${x}?"},
		},
		{
			"the root",
			`{"type":"TOKEN","methodArn":"` + prefix + `/GET/"}`,
			parts{Method: "GET", Path: "/"},
		},
		{
			"the console's test of an authorizer",
			`{"type":"REQUEST","methodArn":"arn:aws:execute-api:eu-central-1:123456789012:a1b2c3d4e5/ESTestInvoke-stage/GET/",` +
				`"resource":"/","httpMethod":"GET","requestContext":{"stage":"test-invoke-stage","resourcePath":"/","httpMethod":"GET"}}`,
			parts{Method: "GET", Path: "/", Template: "/"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r, err := apigw.ParseRequest([]byte(test.event))
			if err != nil {
				t.Fatal(err)
			}
			got := parts{r.Method, r.Template, r.ARN.Path, reveal(r.Authorization), reveal(r.AccessToken)}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

func TestF29ParseRequestRefuses(t *testing.T) {
	t.Parallel()
	token := func(arn string) string { return `{"type":"TOKEN","authorizationToken":"x","methodArn":"` + arn + `"}` }
	tests := []struct {
		name, event string
		want        error
	}{
		{"nothing", ``, strictjson.ErrSyntax},
		{"no object", `[]`, strictjson.ErrType},
		{"an object of no shape", `{}`, apigw.ErrShape},
		{"two documents", token(getARN) + `{}`, strictjson.ErrSyntax},
		{"a member twice", `{"type":"TOKEN","type":"TOKEN"}`, strictjson.ErrDuplicate},
		{"a header name twice", rest(`"headers":{"Authorization":"a","Authorization":"b"}`), strictjson.ErrDuplicate},
		{"broken UTF-8", rest(`"headers":{"a":"` + "\xff" + `"}`), strictjson.ErrUTF8},
		{"a header that is no string", rest(`"headers":{"Authorization":1}`), strictjson.ErrType},
		{"headers in a list of lists", rest(`"multiValueHeaders":{"Authorization":[["a"]]}`), strictjson.ErrType},
		{"a context that is no object", rest(`"requestContext":"x"`), strictjson.ErrType},
		{"deep nesting", rest(`"x":` + strings.Repeat("[", 100)), strictjson.ErrDepth},
		{"an event over 1 MiB", strings.Repeat(" ", 1<<20) + token(getARN), apigw.ErrSize},
		{"an AppSync event", `{"authorizationToken":"x","requestContext":{"apiId":"a","queryString":"query {x}"}}`, apigw.ErrShape},
		{"a proxy event", `{"resource":"/","httpMethod":"GET","requestContext":{}}`, apigw.ErrShape},
		{"a type there is not", `{"type":"OTHER","methodArn":"` + getARN + `"}`, apigw.ErrShape},
		{"a version there is not", `{"version":"3.0","type":"REQUEST","routeArn":"` + getARN + `"}`, apigw.ErrShape},
		{"format 2.0 without a routeArn", `{"version":"2.0","type":"REQUEST","methodArn":"` + getARN + `"}`, apigw.ErrShape},
		{"format 2.0 of type TOKEN", `{"version":"2.0","type":"TOKEN","routeArn":"` + getARN + `"}`, apigw.ErrShape},
		{"TOKEN without an ARN", `{"type":"TOKEN","authorizationToken":"x"}`, apigw.ErrShape},
		{"a WebSocket message", rest(`"requestContext":{"eventType":"MESSAGE"}`), apigw.ErrShape},
		{"a WebSocket event for an HTTP method", rest(`"requestContext":{"eventType":"CONNECT"}`), apigw.ErrARN},
		{"a REST event for $connect", token(prefix + "/$connect"), apigw.ErrARN},
		{"an ARN of another service", token(strings.Replace(getARN, "execute-api", "lambda", 1)), apigw.ErrARN},
		{"an ARN without a method", token(prefix), apigw.ErrARN},
		{"an empty ARN", token(""), apigw.ErrARN},
		{"a wildcard for the API", token("arn:aws:execute-api:eu-central-1:123456789012:*/prod/GET/"), apigw.ErrARN},
		{"a wildcard for the stage", token("arn:aws:execute-api:eu-central-1:123456789012:a1b2c3d4e5/*/GET/"), apigw.ErrARN},
		{"a wildcard for the method", token(prefix + "/*/orders"), apigw.ErrARN},
		{"another API in the context", rest(`"requestContext":{"apiId":"zzz"}`), apigw.ErrInconsistent},
		{"another stage in the context", rest(`"requestContext":{"stage":"test"}`), apigw.ErrInconsistent},
		{"another method in the context", rest(`"requestContext":{"httpMethod":"POST"}`), apigw.ErrInconsistent},
		{"another method beside it", rest(`"httpMethod":"POST"`), apigw.ErrInconsistent},
		{"another method in format 2.0", http2(`"requestContext":{"http":{"method":"POST"}}`), apigw.ErrInconsistent},
		{"the console's stage for another stage", rest(`"requestContext":{"stage":"test-invoke-stage"}`), apigw.ErrInconsistent},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r, err := apigw.ParseRequest([]byte(test.event))
			if !errors.Is(err, test.want) || r != nil {
				t.Errorf("got %v, %v, want no request and %v", r, err, test.want)
			}
		})
	}
}

func TestParsingAndAnsweringAllocatesLittle(t *testing.T) { //nolint:paralleltest // counts allocations of the process
	event := benchEvent(t)
	got := testing.AllocsPerRun(100, func() {
		r, err := apigw.ParseRequest(event)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := benchDecision.Answer(r); err != nil {
			t.Fatal(err)
		}
	})
	if got > 8 {
		t.Errorf("got %v allocations, want at most 8", got)
	}
}

func FuzzParseRequest(f *testing.F) {
	for _, event := range authorizerEvents(f, "Bearer a.b.c") {
		f.Add(event)
	}
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		event, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(event)
	}
	f.Add([]byte(http2(`"rawQueryString":"access_token=%zz&access_token"`)))
	f.Fuzz(func(t *testing.T, event []byte) {
		original := bytes.Clone(event)
		r, err := apigw.ParseRequest(event)
		if !bytes.Equal(event, original) {
			t.Fatal("the event has been written to")
		}
		if err != nil {
			if r != nil {
				t.Fatalf("got a request and %v", err)
			}
			return
		}
		if r.Shape.String() == "unknown" {
			t.Errorf("shape: got %d", r.Shape)
		}
		if (r.Shape == apigw.WebSocket) != (r.ARN.Method == "" && r.ARN.Path == "$connect") || r.Method != r.ARN.Method {
			t.Errorf("got %v for %v", r.ARN, r.Shape)
		}
		if strings.ContainsAny(r.ARN.Prefix()+r.Method, "*?{}\\\" ") {
			t.Errorf("prefix: got %q", r.ARN.Prefix())
		}
		if r.Shape != apigw.WebSocket && !strings.HasPrefix(r.ARN.Path, "/") {
			t.Errorf("path: got %q", r.ARN.Path)
		}
		if r.Template != "" && r.Template[0] != '/' && r.Template != "$connect" {
			t.Errorf("template: got %q", r.Template)
		}
	})
}
