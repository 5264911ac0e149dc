package apigw_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"gatehouse/shared/apigw"
)

// benchEvent returns a REST REQUEST event of 4.1 KB, half of it a token in two
// places.
func benchEvent(tb testing.TB) []byte {
	tb.Helper()
	event, err := os.ReadFile("testdata/rest_request.json")
	if err != nil {
		tb.Fatal(err)
	}
	return bytes.ReplaceAll(event, []byte("{token}"), []byte(strings.Repeat("Ab0-", 200)))
}

var benchDecision = apigw.Decision{
	Outcome:   apigw.Allowed,
	Principal: "0oa1b2c3d4e5f6g7h8i9",
	Document: []byte(`{"Version":"2012-10-17","Statement":[{"Action":"execute-api:Invoke","Effect":"Allow","Resource":[` +
		`"arn:aws:execute-api:eu-central-1:123456789012:a1b2c3d4e5/prod/GET/orders",` +
		`"arn:aws:execute-api:eu-central-1:123456789012:a1b2c3d4e5/prod/GET/orders/*"]}]}`),
	Context: []byte(`{"client_id":"0oa1b2c3d4e5f6g7h8i9","sub":"jane@example.com","scope":"orders:read orders:write",` +
		`"iss":"https://id.example.com/oauth2/default","exp":"1795515657","jti":"AT.2b6a","application":"storefront","tier":"gold"}`),
	Log: []slog.Attr{
		slog.String("api", "orders"), slog.String("route", "GET /orders/{id}"),
		slog.String("client_id", "0oa1b2c3d4e5f6g7h8i9"), slog.String("provider", "okta"),
	},
	Reason: "allowed",
}

func BenchmarkParseRequest(b *testing.B) {
	event := benchEvent(b)
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(event)))
		for b.Loop() {
			if _, err := apigw.ParseRequest(event); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding_json", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(event)))
		for b.Loop() {
			var e events.APIGatewayCustomAuthorizerRequestTypeRequest
			if err := json.Unmarshal(event, &e); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkAnswer(b *testing.B) {
	r, err := apigw.ParseRequest(benchEvent(b))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := benchDecision.Answer(r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkInvoke(b *testing.B) {
	event := benchEvent(b)
	ctx := lambdacontext.NewContext(b.Context(), &lambdacontext.LambdaContext{AwsRequestID: "8286a188-ba32-4475-8077-530cd35c09a9"})
	run := func(b *testing.B, a *apigw.Authorizer) {
		b.Helper()
		a.Decide = func(context.Context, *apigw.Request) (apigw.Decision, error) { return benchDecision, nil }
		b.ReportAllocs()
		for b.Loop() {
			if _, err := a.Invoke(ctx, event); err != nil {
				b.Fatal(err)
			}
		}
	}
	log := slog.New(&apigw.LineHandler{Handler: slog.NewJSONHandler(io.Discard, nil), Writer: io.Discard})
	b.Run("no_log", func(b *testing.B) { run(b, &apigw.Authorizer{}) })
	b.Run("log", func(b *testing.B) { run(b, &apigw.Authorizer{Log: log}) })
	b.Run("log_and_metrics", func(b *testing.B) { run(b, &apigw.Authorizer{Log: log, Metrics: "Gatehouse"}) })
}
