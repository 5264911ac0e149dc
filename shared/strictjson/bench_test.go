package strictjson_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"gatehouse/shared/strictjson"
)

// restEvent is about the event of a REST API's REQUEST authorizer, 4 KB long:
// most of it headers, once as they are and once with lists of values.
func restEvent(tb testing.TB) []byte {
	tb.Helper()
	headers := map[string]string{"Authorization": "Bearer " + strings.Repeat("eyJhbGciOi", 60)}
	lists := map[string][]string{}
	for n := range 12 {
		headers[fmt.Sprintf("X-Forwarded-Header-%d", n)] = strings.Repeat("value ", 7)
	}
	for name, v := range headers {
		lists[name] = []string{v}
	}
	text, err := json.Marshal(map[string]any{
		"type": "REQUEST", "methodArn": "arn:aws:execute-api:eu-central-1:123456789012:abcdef1234/prod/GET/orders/17",
		"resource": "/orders/{id}", "path": "/orders/17", "httpMethod": "GET", "headers": headers, "multiValueHeaders": lists,
		"queryStringParameters": map[string]string{"page": "2"}, "pathParameters": map[string]string{"id": "17"}, "stageVariables": nil,
		"requestContext": map[string]any{"apiId": "abcdef1234", "stage": "prod", "requestTimeEpoch": 1800000000000,
			"identity": map[string]any{"sourceIp": "192.0.2.1", "userAgent": "curl/8", "accountId": nil}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

func BenchmarkEvent(b *testing.B) {
	event := restEvent(b)
	b.Run("strictjson", func(b *testing.B) {
		b.SetBytes(int64(len(event)))
		b.ReportAllocs()
		for b.Loop() {
			if err := strictjson.Valid(event, strictjson.Event); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding-json-valid", func(b *testing.B) {
		b.SetBytes(int64(len(event)))
		b.ReportAllocs()
		for b.Loop() {
			if !json.Valid(event) {
				b.Fatal("not valid")
			}
		}
	})
	b.Run("encoding-json-decode", func(b *testing.B) {
		b.SetBytes(int64(len(event)))
		b.ReportAllocs()
		for b.Loop() {
			var v struct {
				Headers map[string]string `json:"headers"`
			}
			if err := json.Unmarshal(event, &v); err != nil {
				b.Fatal(err)
			}
		}
	})
}
