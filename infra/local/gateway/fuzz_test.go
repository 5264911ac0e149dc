package gateway_test

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/infra/local/gateway"
	"gatehouse/infra/local/iam"
	"gatehouse/infra/local/samtemplate"
)

// FuzzAnswers has the authorizer answer anything, and the function: nobody gets
// through without an answer that allows it in so many words, and what the
// function says is sent as a response or not at all.
func FuzzAnswers(f *testing.F) {
	const hello = `{"statusCode":200,"headers":{"X-A":"a\r\nb"},"body":"hello"}`
	for _, answer := range []string{
		allowAll, policy(statement("Allow", "*"), statement("Deny", restARN+"GET/orders")), policy(statement("Allow", httpARN+"GET/orders")), policyWith(`{"a":{}}`, statement("Allow", "*")),
		`{"isAuthorized":true}`, `{"isAuthorized":false}`, `{"isAuthorized":"true","context":[]}`, `{}`, `null`, `[]`, ``,
	} {
		f.Add(answer, hello)
	}
	for _, answer := range []string{
		`{"statusCode":"404","multiValueHeaders":{"Set-Cookie":["a",1]},"body":null}`, `{"statusCode":99}`, `{"statusCode":200,"body":"!","isBase64Encoded":true}`,
		`"text"`, `{"a":1}`, `{"statusCode":204,"cookies":["a=b"],"headers":{"Content-Length":"7","Connection":"close"}}`,
	} {
		f.Add(allowAll, answer)
		f.Add(`{"isAuthorized":true}`, answer)
	}
	simple := func(a *samtemplate.Authorizer) { a.Simple = true }
	f.Fuzz(func(t *testing.T, authorizer, function string) {
		for _, api := range []samtemplate.API{restAPI(nil), httpAPI(nil), httpAPI(simple)} {
			reached := false
			g, err := gateway.New(gateway.Config{
				API: api, AccountID: "123456789012", Region: "eu-west-1", APIID: "abc123",
				Invoke: func(_ context.Context, name string, _ []byte) ([]byte, error) {
					if name == "Authorizer" {
						return []byte(authorizer), nil
					}
					reached = true
					return []byte(function), nil
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			target, arn := "/v1/orders", restARN+"GET/orders"
			if api.Kind == samtemplate.HTTP {
				target, arn = "/orders", httpARN+"GET/orders"
			}
			rec := httptest.NewRecorder()
			g.ServeHTTP(rec, request("GET", target))
			if reached && !allows(authorizer, arn, api.Authorizers["Auth"].Simple) {
				t.Fatalf("%s: %q lets the request through", api.LogicalID, authorizer)
			}
			if rec.Code < 200 || rec.Code > 599 || !reached && rec.Code < 400 {
				t.Fatalf("%s: got %d; the function was asked: %t", api.LogicalID, rec.Code, reached)
			}
			for name, values := range rec.Header() {
				if slices.ContainsFunc(values, func(v string) bool { return strings.ContainsAny(v, "\r\n") }) {
					t.Fatalf("%s: %s: got %q", api.LogicalID, name, values)
				}
			}
		}
	})
}

// allows reports whether an answer allows a request, going by encoding/json and
// the policy alone.
func allows(answer, arn string, simple bool) bool { //nolint:revive // a fact, not a mode
	var said map[string]json.RawMessage
	if json.Unmarshal([]byte(answer), &said) != nil {
		return false
	}
	if simple {
		return string(said["isAuthorized"]) == "true"
	}
	var principal string
	if json.Unmarshal(said["principalId"], &principal) != nil || principal == "" {
		return false
	}
	p, err := iam.Parse(said["policyDocument"])
	return err == nil && p.Evaluate("execute-api:Invoke", arn, iam.Context{SourceIP: "192.0.2.1", Now: time.Now()}) == iam.Allow
}
