package authorizer_test

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/url"
	"strings"
	"testing"

	"gatehouse/infra/local/iam"
	"gatehouse/shared/apigw"
)

// request is one request to a protected API, as one of the shapes of event. The
// zero values are GET /orders of the API orders.
type request struct {
	shape    apigw.Shape // RESTRequest
	method   string      // GET
	template string      // /orders
	path     string      // as requested; the template
	variable string      // the stage variable; orders
	apiID    string      // a1b2c3d4e5, the id of orders
	domain   string      // a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com
	stage    string      // v1

	name          string            // of the header; Authorization
	authorization []string          // its values
	query         []string          // of access_token
	headers       map[string]string // others
	identity      []string          // identity sources of an HTTP API; the header
}

// bearer is a request with a token where it belongs.
func bearer(raw string) request { return request{authorization: []string{"Bearer " + raw}} }

// as is r as another shape of event.
func (r request) as(shape apigw.Shape) request { r.shape = shape; return r }

// to is r for another route.
func (r request) to(method, template string) request {
	r.method, r.template = method, template
	return r
}

// at is r with another path than its template.
func (r request) at(path string) request { r.path = path; return r }

// simple is r for the API with simple answers.
func (r request) simple() request {
	r.shape, r.variable, r.apiID = apigw.HTTP2, "simple", "f6g7h8i9j0"
	return r
}

func (r request) withDefaults() request {
	r.shape = cmp.Or(r.shape, apigw.RESTRequest)
	r.method = cmp.Or(r.method, "GET")
	r.template = cmp.Or(r.template, "/orders")
	r.path = cmp.Or(r.path, r.template)
	r.variable = cmp.Or(r.variable, "orders")
	r.apiID = cmp.Or(r.apiID, "a1b2c3d4e5")
	r.domain = cmp.Or(r.domain, r.apiID+".execute-api.eu-west-1.amazonaws.com")
	r.stage = cmp.Or(r.stage, "v1")
	r.name = cmp.Or(r.name, "Authorization")
	return r
}

// arn is the ARN of the method that is requested.
func (r request) arn() string {
	r = r.withDefaults()
	if r.shape == apigw.WebSocket {
		return arnOf(r, "$connect")
	}
	return arnOf(r, r.method+r.path)
}

func arnOf(r request, rest string) string {
	r = r.withDefaults()
	return "arn:aws:execute-api:eu-west-1:123456789012:" + r.apiID + "/" + r.stage + "/" + rest
}

// event is what API Gateway sends.
func (r request) event(tb testing.TB) []byte {
	tb.Helper()
	r = r.withDefaults()
	var members map[string]any
	switch r.shape {
	case apigw.RESTToken:
		members = map[string]any{"type": "TOKEN", "methodArn": r.arn(), "authorizationToken": strings.Join(r.authorization, ",")}
	case apigw.HTTP2:
		members = r.http2()
	default:
		members = r.version1()
	}
	text, err := json.Marshal(members)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

func (r request) version1() map[string]any {
	single, multi := map[string]any{"User-Agent": "test"}, map[string][]string{"User-Agent": {"test"}}
	for name, value := range r.headers {
		single[name], multi[name] = value, []string{value}
	}
	if n := len(r.authorization); n > 0 {
		single[r.name], multi[r.name] = r.authorization[n-1], r.authorization
	}
	query := map[string]any{}
	if n := len(r.query); n > 0 {
		query["access_token"] = r.query[n-1]
	}
	context := map[string]any{
		"apiId": r.apiID, "stage": r.stage, "httpMethod": r.method, "resourcePath": r.template,
		"domainName": r.domain, "requestId": "c6af9ac6", "identity": map[string]any{"sourceIp": "192.0.2.1"},
	}
	e := map[string]any{
		"type": "REQUEST", "methodArn": r.arn(), "resource": r.template, "path": r.path, "httpMethod": r.method,
		"headers": single, "multiValueHeaders": multi,
		"queryStringParameters": query, "multiValueQueryStringParameters": map[string]any{"access_token": r.query},
		"stageVariables": map[string]any{"gatehouse": r.variable}, "requestContext": context,
	}
	if len(r.query) == 0 {
		e["multiValueQueryStringParameters"] = nil
	}
	switch r.shape { //nolint:exhaustive // REST is what the others add to
	case apigw.HTTP1:
		if len(r.authorization) > 0 {
			single[r.name] = strings.Join(r.authorization, ",")
		}
		e["version"] = "1.0"
		if sources := r.sources(); len(sources) > 0 {
			e["identitySource"] = strings.Join(sources, ",")
		}
		delete(e, "multiValueHeaders")
	case apigw.WebSocket:
		maps.DeleteFunc(e, func(name string, _ any) bool { return name == "resource" || name == "path" || name == "httpMethod" })
		maps.DeleteFunc(context, func(name string, _ any) bool { return name == "resourcePath" || name == "httpMethod" })
		context["eventType"], context["routeKey"], context["connectionId"] = "CONNECT", "$connect", "L0SM9cOFvHcCIhw="
	}
	return e
}

func (r request) http2() map[string]any {
	headers := map[string]any{"user-agent": "test"}
	for name, value := range r.headers {
		headers[strings.ToLower(name)] = value
	}
	if len(r.authorization) > 0 {
		headers[strings.ToLower(r.name)] = strings.Join(r.authorization, ",")
	}
	routeKey := r.method + " " + r.template
	if r.template == "$default" {
		routeKey = r.template
	}
	return map[string]any{
		"version": "2.0", "type": "REQUEST", "routeArn": r.arn(), "routeKey": routeKey, "identitySource": r.sources(),
		"rawPath": r.path, "rawQueryString": url.Values{"access_token": r.query}.Encode(), "headers": headers,
		"stageVariables": map[string]any{"gatehouse": r.variable},
		"requestContext": map[string]any{
			"apiId": r.apiID, "stage": r.stage, "routeKey": routeKey, "domainName": r.domain, "requestId": "JKJaXmPLvHcESHA=",
			"http": map[string]any{"method": r.method, "path": r.path},
		},
	}
}

func (r request) sources() []string {
	if r.identity == nil && len(r.authorization) > 0 {
		return []string{strings.Join(r.authorization, ",")}
	}
	return r.identity
}

// answer is what came back.
type answer struct {
	t       *testing.T
	request request
	err     error
	body    []byte

	principal string
	policy    *iam.Policy       // nil for a simple answer
	document  string            // what policy was read from
	simple    *bool             // nil for a policy
	context   map[string]string // nil for none
	line      map[string]any    // of the log
}

func (a *answer) read() {
	a.t.Helper()
	if a.err != nil {
		if a.body != nil {
			a.t.Errorf("both an answer and an error: %s", a.body)
		}
		return
	}
	var members struct {
		PrincipalID    string            `json:"principalId"`
		PolicyDocument json.RawMessage   `json:"policyDocument"`
		IsAuthorized   *bool             `json:"isAuthorized"`
		Context        map[string]string `json:"context"`
	}
	if err := json.Unmarshal(a.body, &members); err != nil {
		a.t.Fatalf("answer: %v in %s", err, a.body)
	}
	a.principal, a.simple, a.context = members.PrincipalID, members.IsAuthorized, members.Context
	if members.PolicyDocument == nil {
		return
	}
	var err error
	if a.policy, err = iam.Parse(members.PolicyDocument); err != nil {
		a.t.Fatalf("policy document: %v", err)
	}
	a.document = string(members.PolicyDocument)
}

// allows reports what API Gateway does with the request that was asked about.
func (a answer) allows() bool { return a.allowsARN(a.request.arn()) }

// allowsRoute reports what API Gateway does with a request for another route
// for which it has this answer in its cache.
func (a answer) allowsRoute(rest string) bool { return a.allowsARN(arnOf(a.request, rest)) }

func (a answer) allowsARN(arn string) bool {
	switch {
	case a.err != nil:
		return false
	case a.simple != nil:
		return *a.simple
	case a.policy == nil:
		a.t.Fatalf("neither a policy nor a simple answer: %s", a.body)
	}
	return a.policy.Evaluate("execute-api:Invoke", arn, iam.Context{}) == iam.Allow
}
