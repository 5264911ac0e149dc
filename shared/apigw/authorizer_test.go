package apigw_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/google/go-cmp/cmp"

	"gatehouse/shared/apigw"
	"gatehouse/shared/strictjson"
)

var (
	_ lambda.Handler = (*apigw.Authorizer)(nil)
	_ lambda.Handler = (*apigw.HTTP)(nil)
)

// jsonLog returns a logger that writes what Lambda would.
func jsonLog() (*slog.Logger, *bytes.Buffer) {
	var b bytes.Buffer
	return slog.New(slog.NewJSONHandler(&b, &slog.HandlerOptions{ReplaceAttr: lambdacontext.ReplaceAttr})), &b
}

// line returns the members of the only line in log.
func line(t *testing.T, log *bytes.Buffer) map[string]any {
	t.Helper()
	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Fatalf("got %d log lines, want 1:\n%s", n, log)
	}
	if err := strictjson.Valid(log.Bytes(), strictjson.Event); err != nil {
		t.Errorf("log line: %v\n%s", err, log)
	}
	var members map[string]any
	if err := json.Unmarshal(log.Bytes(), &members); err != nil {
		t.Fatal(err)
	}
	return members
}

func decide(d apigw.Decision, err error) func(context.Context, *apigw.Request) (apigw.Decision, error) {
	return func(context.Context, *apigw.Request) (apigw.Decision, error) { return d, err }
}

const (
	document = `{"Version":"2012-10-17","Statement":[{"Action":["execute-api:Invoke"],"Effect":"Allow","Resource":["` + prefix + `/GET/orders"]}]}`
	denyAll  = `{"Version":"2012-10-17","Statement":[{"Action":["execute-api:Invoke"],"Effect":"Deny","Resource":["` + prefix + `/*"]}]}`
)

func TestAnswers(t *testing.T) {
	t.Parallel()
	good := apigw.Decision{
		Outcome: apigw.Allowed, Principal: "jane", Document: []byte(document),
		Context: []byte(`{"client_id":"c","scope":"orders:read"}`), Reason: "allowed",
	}
	forbidden := good
	forbidden.Outcome, forbidden.Reason = apigw.Forbidden, "insufficient_scope"
	told := forbidden
	told.Error, told.Description, told.Scope = "insufficient_scope", `needs "more"`, "orders:write"
	bad := apigw.Decision{Reason: "expired", Error: "invalid_token", Document: []byte(document)}
	silent := apigw.Decision{Reason: "no_token"}
	simple := func(d apigw.Decision) apigw.Decision { d.Simple = true; return d }

	keyed := func(d apigw.Decision) apigw.Decision { d.UsageKey = `gold"key`; return d }

	rest := []apigw.Shape{apigw.RESTToken, apigw.RESTRequest, apigw.WebSocket}
	http := []apigw.Shape{apigw.HTTP1, apigw.HTTP2}
	all := append(append([]apigw.Shape{}, rest...), http...)
	only2 := []apigw.Shape{apigw.HTTP2}
	const members = `"client_id":"c","scope":"orders:read"`
	const toldMembers = `"error":"insufficient_scope","error_description":"needs \"more\"","scope":"orders:write","client_id":"c"`
	tests := []struct {
		name     string
		shapes   []apigw.Shape
		decision apigw.Decision
		err      error // of Decide
		want     string
		wantErr  error
		log      string // level, outcome, reason
	}{
		{
			"an allowed request gets the document and the context", all, good, nil,
			`{"principalId":"jane","policyDocument":` + document + `,"context":{` + members + `}}`, nil, "INFO allowed allowed",
		},
		{
			"a simple allowed request gets true", only2, simple(good), nil,
			`{"isAuthorized":true,"context":{` + members + `}}`, nil, "INFO allowed allowed",
		},
		{
			"only format 2.0 has simple answers", append(rest[:3:3], apigw.HTTP1), simple(good), nil,
			`{"principalId":"jane","policyDocument":` + document + `,"context":{` + members + `}}`, nil, "INFO allowed allowed",
		},
		{
			"a forbidden request gets the document, which does not allow it", all, forbidden, nil,
			`{"principalId":"jane","policyDocument":` + document + `,"context":{` + members + `}}`, nil, "WARN forbidden insufficient_scope",
		},
		{
			"a refusal's scope takes the place of the token's", all, told, nil,
			`{"principalId":"jane","policyDocument":` + document + `,"context":{` + toldMembers + `}}`, nil, "WARN forbidden insufficient_scope",
		},
		{
			"a simple forbidden request gets false", only2, simple(told), nil,
			`{"isAuthorized":false,"context":{` + toldMembers + `}}`, nil, "WARN forbidden insufficient_scope",
		},
		{
			"a REST API is told the API key, last", rest[:2], keyed(good), nil,
			`{"principalId":"jane","policyDocument":` + document + `,"context":{` + members + `},"usageIdentifierKey":"gold\"key"}`, nil, "INFO allowed allowed",
		},
		{
			"and with a refusal, for what its document allows", rest[:2], keyed(told), nil,
			`{"principalId":"jane","policyDocument":` + document + `,"context":{` + toldMembers + `},"usageIdentifierKey":"gold\"key"}`, nil, "WARN forbidden insufficient_scope",
		},
		{
			"no other API is told the API key", all[2:], keyed(good), nil,
			`{"principalId":"jane","policyDocument":` + document + `,"context":{` + members + `}}`, nil, "INFO allowed allowed",
		},
		{
			"a simple answer has no API key", only2, simple(keyed(good)), nil,
			`{"isAuthorized":true,"context":{` + members + `}}`, nil, "INFO allowed allowed",
		},
		{
			"a document that is missing refuses everything", all, apigw.Decision{Outcome: apigw.Forbidden, Principal: "jane", Reason: "no_contract"}, nil,
			`{"principalId":"jane","policyDocument":` + denyAll + `}`, nil, "WARN forbidden no_contract",
		},
		{
			"a permission without a document is none", all, apigw.Decision{Outcome: apigw.Allowed, Principal: "jane"}, nil,
			`{"principalId":"jane","policyDocument":` + denyAll + `}`, nil, "WARN forbidden unknown",
		},
		{
			"a bad token is Unauthorized for REST and WebSocket", rest, bad, nil,
			"", apigw.ErrUnauthorized, "WARN unauthenticated expired",
		},
		{
			"a bad token is denied for HTTP APIs whatever the document says", http, bad, nil,
			`{"principalId":"unknown","policyDocument":` + denyAll + `,"context":{"error":"invalid_token"}}`, nil, "WARN unauthenticated expired",
		},
		{
			"no token is denied without an error code", http, silent, nil,
			`{"principalId":"unknown","policyDocument":` + denyAll + `}`, nil, "WARN unauthenticated no_token",
		},
		{
			"a simple bad token gets false", only2, simple(bad), nil,
			`{"isAuthorized":false,"context":{"error":"invalid_token"}}`, nil, "WARN unauthenticated expired",
		},
		{
			"the zero decision refuses", http, apigw.Decision{}, nil,
			`{"principalId":"unknown","policyDocument":` + denyAll + `}`, nil, "WARN unauthenticated unknown",
		},
		{
			"an outcome there is not refuses", http, apigw.Decision{Outcome: 9, Document: []byte(document)}, nil,
			`{"principalId":"unknown","policyDocument":` + denyAll + `}`, nil, "WARN unknown unknown",
		},
		{
			"no decision is no 401", all, good, errors.New("provider: no route to host"),
			"", apigw.ErrUnavailable, "ERROR failed unavailable",
		},
		{
			"even if the cause says Unauthorized", all, good, apigw.ErrUnauthorized,
			"", apigw.ErrUnavailable, "ERROR failed unavailable",
		},
		{
			"a context that cannot be added to is a failure", all,
			apigw.Decision{Outcome: apigw.Forbidden, Context: []byte(`{"a":`), Error: "no_contract"}, nil,
			"", apigw.ErrUnavailable, "ERROR failed unavailable",
		},
		{
			"a principal is made printable", all, apigw.Decision{Outcome: apigw.Allowed, Principal: "a\r\nb\"\u202e\xff", Document: []byte(document)}, nil,
			`{"principalId":"a` + "\ufffd\ufffd" + `b\"` + "\ufffd\ufffd" + `","policyDocument":` + document + `}`, nil, "INFO allowed unknown",
		},
	}
	for _, test := range tests {
		for _, shape := range test.shapes {
			t.Run(test.name+"/"+shape.String(), func(t *testing.T) {
				t.Parallel()
				log, written := jsonLog()
				a := &apigw.Authorizer{Decide: decide(test.decision, test.err), Log: log}
				got, err := a.Invoke(t.Context(), authorizerEvents(t, "Bearer t")[shape])
				if err != test.wantErr { //nolint:errorlint // it must not be wrapped
					t.Errorf("error: got %v, want %v", err, test.wantErr)
				}
				if diff := cmp.Diff(test.want, strings.ReplaceAll(string(got), `\ufffd`, "\ufffd")); diff != "" {
					t.Errorf("answer (-want +got):\n%s", diff)
				}
				l := line(t, written)
				if got := fmt.Sprint(l["level"], " ", l["outcome"], " ", l["reason"]); got != test.log {
					t.Errorf("log: got %q, want %q", got, test.log)
				}
				if l["message"] != "authorizer" || l["shape"] != shape.String() || l["api"] != "a1b2c3d4e5" {
					t.Errorf("log: got %v", l)
				}
				if test.err != nil && l["cause"] != test.err.Error() {
					t.Errorf("cause: got %v, want %v", l["cause"], test.err)
				}
			})
		}
	}
}

func TestW2UnauthorizedIsExactlyWhatAPIGatewayCompares(t *testing.T) {
	t.Parallel()
	if got := apigw.ErrUnauthorized.Error(); got != "Unauthorized" {
		t.Errorf("got %q", got)
	}
}

func TestAnswersAreWhatTheLambdaTypesExpect(t *testing.T) {
	t.Parallel()
	d := apigw.Decision{Outcome: apigw.Allowed, Principal: "jane\"\\\u2028", Document: []byte(document), Context: []byte(`{"exp":"1"}`), UsageKey: "gold"}
	a := &apigw.Authorizer{Decide: decide(d, nil)}
	b, err := a.Invoke(t.Context(), authorizerEvents(t, "Bearer t")[apigw.RESTRequest])
	if err != nil {
		t.Fatal(err)
	}
	var got events.APIGatewayCustomAuthorizerResponse
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	want := events.APIGatewayCustomAuthorizerResponse{
		PrincipalID: "jane\"\\\ufffd",
		PolicyDocument: events.APIGatewayCustomAuthorizerPolicy{
			Version: "2012-10-17",
			Statement: []events.IAMPolicyStatement{
				{Action: []string{"execute-api:Invoke"}, Effect: "Allow", Resource: []string{prefix + "/GET/orders"}},
			},
		},
		Context:            map[string]any{"exp": "1"},
		UsageIdentifierKey: "gold",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
}

func TestInvokeFailsClosed(t *testing.T) {
	t.Parallel()
	event := authorizerEvents(t, "Bearer t")[apigw.RESTRequest]
	tests := []struct {
		name    string
		a       apigw.Authorizer
		event   []byte
		want    error
		reason  string
		inCause string
	}{
		{"when there is no Decide", apigw.Authorizer{}, event, apigw.ErrUnavailable, "unavailable", "no Decide"},
		{"when the event is malformed", apigw.Authorizer{}, event[:len(event)-9], apigw.ErrEvent, "malformed_event", "not well-formed JSON"},
		{"when the event has no known shape", apigw.Authorizer{}, []byte(`{}`), apigw.ErrEvent, "malformed_event", "no known shape"},
		{"when Decide panics", apigw.Authorizer{
			Decide: func(context.Context, *apigw.Request) (apigw.Decision, error) {
				panic("MARKED")
			},
		}, event, apigw.ErrUnavailable, "panic", "TestInvokeFailsClosed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			log, written := jsonLog()
			test.a.Log = log
			answer, err := test.a.Invoke(t.Context(), test.event)
			if answer != nil || err != test.want { //nolint:errorlint // it must not be wrapped
				t.Errorf("got %s, %v, want %v", answer, err, test.want)
			}
			l := line(t, written)
			cause, _ := l["cause"].(string)
			if l["level"] != "ERROR" || l["outcome"] != "failed" || l["reason"] != test.reason || !strings.Contains(cause, test.inCause) || strings.Contains(cause, "MARKED") {
				t.Errorf("log: got %s", written)
			}
		})
	}
}

func TestNoTokenReachesTheLogOrAnError(t *testing.T) {
	t.Parallel()
	const mark = "eyJhMARKEDa.MARKED.MARKED"
	everything := func(_ context.Context, r *apigw.Request) (apigw.Decision, error) {
		panic(fmt.Sprint("cannot use ", r.Authorization[0].Reveal()))
	}
	for shape, event := range authorizerEvents(t, "Bearer "+mark) {
		for name, fn := range map[string]func(context.Context, *apigw.Request) (apigw.Decision, error){
			"panic": everything, "refusal": decide(apigw.Decision{}, nil), "permission": decide(benchDecision, nil), "failure": decide(apigw.Decision{}, context.DeadlineExceeded),
		} {
			for _, event := range [][]byte{event, event[:len(event)-2], bytes.Replace(event, []byte(mark), []byte(mark+`\x`), 1)} {
				log, written := jsonLog()
				a := &apigw.Authorizer{Decide: fn, Log: log, Metrics: "Gatehouse"}
				_, err := a.Invoke(t.Context(), event)
				if strings.Contains(fmt.Sprint(written, err), "MARKED") {
					t.Errorf("%v, %s: got %v, %s", shape, name, err, written)
				}
				line(t, written)
			}
		}
	}
}

func TestF28APanicLeavesTheAuthorizerUsable(t *testing.T) {
	t.Parallel()
	first := true
	a := &apigw.Authorizer{Decide: func(context.Context, *apigw.Request) (apigw.Decision, error) {
		if first {
			first = false
			panic("once")
		}
		return apigw.Decision{Outcome: apigw.Allowed, Document: []byte(document)}, nil
	}}
	event := authorizerEvents(t, "Bearer t")[apigw.HTTP2]
	if _, err := a.Invoke(t.Context(), event); !errors.Is(err, apigw.ErrUnavailable) {
		t.Errorf("first: got %v, want %v", err, apigw.ErrUnavailable)
	}
	if _, err := a.Invoke(t.Context(), event); err != nil {
		t.Errorf("second: got %v", err)
	}
}

func TestDecideGetsTheSmallerBudget(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name           string
		budget, remain time.Duration
		least, most    time.Duration
	}{
		{"4 s when nothing else is known", 0, 0, 3 * time.Second, 4 * time.Second},
		{"its own budget when there is time", 2 * time.Second, time.Minute, time.Second, 2 * time.Second},
		{"the invocation's time less 200 ms", time.Minute, 3 * time.Second, 2 * time.Second, 2800 * time.Millisecond},
		{"nothing when the deadline is near", 0, 100 * time.Millisecond, -time.Minute, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			if test.remain != 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, test.remain)
				defer cancel()
			}
			a := &apigw.Authorizer{Budget: test.budget, Decide: func(ctx context.Context, _ *apigw.Request) (apigw.Decision, error) {
				end, ok := ctx.Deadline()
				if left := time.Until(end); !ok || left < test.least || left > test.most {
					t.Errorf("got %v, want %v to %v", left, test.least, test.most)
				}
				return apigw.Decision{}, ctx.Err()
			}}
			_, err := a.Invoke(ctx, authorizerEvents(t, "Bearer t")[apigw.HTTP2])
			if wantErr := test.most == 0; (err != nil) != wantErr {
				t.Errorf("got %v, want an error: %v", err, wantErr)
			}
		})
	}
}

func TestConcurrentInvocationsDoNotMeet(t *testing.T) {
	t.Parallel()
	log, written := jsonLog()
	a := &apigw.Authorizer{Log: log, Metrics: "Gatehouse", Decide: func(_ context.Context, r *apigw.Request) (apigw.Decision, error) {
		return apigw.Decision{Outcome: apigw.Allowed, Principal: r.Authorization[0].Reveal(), Document: []byte(`{}`), Log: []slog.Attr{slog.String("api", r.Authorization[0].Reveal())}}, nil
	}}
	const n = 200
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			token := fmt.Sprint("t", i)
			got, err := a.Invoke(t.Context(), fmt.Appendf(nil, `{"type":"TOKEN","authorizationToken":%q,"methodArn":%q}`, token, getARN))
			if want := fmt.Sprintf(`{"principalId":%q,"policyDocument":{}}`, token); string(got) != want || err != nil {
				t.Errorf("got %s, %v, want %s", got, err, want)
			}
		})
	}
	wg.Wait()
	for i := range n {
		if !strings.Contains(written.String(), fmt.Sprintf(`"api":"t%d"`, i)) {
			t.Errorf("no log line of t%d", i)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add("needs \"more\"\\ \u2028\x00\x1f\x7f\xff<é😀>", []byte(`{"error_description":"x","scop\u0065":"y","a":"b"}`))
	f.Add("\xed\xa0\x80", []byte(`{}`))
	r, err := apigw.ParseRequest(authorizerEvents(f, "Bearer t")[apigw.HTTP2])
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string, members []byte) {
		if text == "" {
			return
		}
		d := apigw.Decision{Outcome: apigw.Forbidden, Principal: text, Context: members, Description: text, Scope: text}
		answer, err := d.Answer(r)
		if err != nil {
			return
		}
		if err := strictjson.Valid(answer, strictjson.Event); err != nil {
			t.Fatalf("%v in %s", err, answer)
		}
		var got struct {
			PrincipalID string `json:"principalId"`
			Context     map[string]any
		}
		if err := json.Unmarshal(answer, &got); err != nil {
			t.Fatal(err)
		}
		if want := string([]rune(text)); got.PrincipalID == "" || got.Context["error_description"] != want || got.Context["scope"] != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}
