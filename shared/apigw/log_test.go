package apigw_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/shared/apigw"
)

func TestW9TheLineHasEachMemberOnceAndNoRawText(t *testing.T) {
	t.Parallel()
	log, written := jsonLog()
	d := apigw.Decision{Outcome: apigw.Allowed, Document: []byte(document), Reason: "allowed", Log: []slog.Attr{
		slog.String("api", "orders"), slog.String("client_id", "c\n{\"level\":\"ERROR\"}\u202e"), slog.String("long", strings.Repeat("é", 4096)),
		slog.String("reason", "other"), slog.String("outcome", "other"), slog.Int("Decisions", 7), slog.String("_aws", "x"),
		slog.String("message", "x"), slog.String("requestId", "x"), slog.Int("contracts", 2),
	}}
	a := &apigw.Authorizer{Decide: decide(d, nil), Log: log, Metrics: "Gatehouse"}
	event := `{"version":"2.0","type":"REQUEST","routeArn":"` + getARN + `","rawPath":"/orders/1001","rawQueryString":"secret=QUERY",` +
		`"routeKey":"GET /orders/{id}` + `\u0007\u2028","requestContext":{"requestId":"r-1"}}`
	if _, err := a.Invoke(t.Context(), []byte(event)); err != nil {
		t.Fatal(err)
	}
	l := line(t, written) // refuses repeated members
	want := map[string]any{
		"api": "orders", "client_id": "c\ufffd{\"level\":\"ERROR\"}\ufffd", "reason": "allowed", "outcome": "allowed", "Decisions": 1.0,
		"contracts": 2.0, "template": "/orders/{id}\ufffd\ufffd", "api_id": "a1b2c3d4e5", "stage": "prod", "method": "GET",
		"gateway_request_id": "r-1", "level": "INFO", "message": "authorizer",
	}
	for key, value := range want {
		if l[key] != value {
			t.Errorf("%s: got %q, want %q", key, l[key], value)
		}
	}
	if long, _ := l["long"].(string); len(long) != 512 {
		t.Errorf("long: got %d bytes, want 512", len(long))
	}
	if strings.Contains(written.String(), "QUERY") || strings.Contains(written.String(), "1001") {
		t.Errorf("the line has the path or the query: %s", written)
	}
}

func TestMetricsAreValidEmbeddedMetricFormat(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 9, 20, 57, 0, time.UTC)
	clock := func() time.Time { now = now.Add(250 * time.Microsecond); return now }
	for name, test := range map[string]struct {
		fn    func(context.Context, *apigw.Request) (apigw.Decision, error)
		event string
	}{
		"of a permission":           {decide(benchDecision, nil), rest(`"a":1`)},
		"of a refusal":              {decide(apigw.Decision{}, nil), rest(`"a":1`)},
		"of a failure":              {decide(apigw.Decision{}, context.Canceled), rest(`"a":1`)},
		"of an unreadable event":    {nil, `{`},
		"of an api that is no text": {decide(apigw.Decision{Log: []slog.Attr{slog.Any("api", nil)}}, nil), rest(`"a":1`)},
		"of an api without a name":  {decide(apigw.Decision{Log: []slog.Attr{slog.String("api", "")}}, nil), rest(`"a":1`)},
	} {
		log, written := jsonLog()
		a := &apigw.Authorizer{Decide: test.fn, Log: log, Metrics: "Gatehouse", Now: clock}
		start := now.Add(250 * time.Microsecond)
		_, _ = a.Invoke(t.Context(), []byte(test.event)) // the answers are other tests' concern
		l := line(t, written)
		checkEMF(t, written.Bytes(), start)
		if l["Latency"] != 0.25 {
			t.Errorf("%s: latency: got %v, want 0.25", name, l["Latency"])
		}
	}
}

// checkEMF checks a line against the CloudWatch embedded metric format
// specification.
func checkEMF(t *testing.T, line []byte, at time.Time) {
	t.Helper()
	var root map[string]any
	if err := json.Unmarshal(line, &root); err != nil {
		t.Fatal(err)
	}
	var metadata struct {
		AWS struct {
			Timestamp         int64
			CloudWatchMetrics []struct {
				Namespace  string
				Dimensions [][]string
				Metrics    []struct{ Name, Unit string }
			}
		} `json:"_aws"`
	}
	if err := json.Unmarshal(line, &metadata); err != nil {
		t.Fatal(err)
	}
	if got := metadata.AWS.Timestamp; got != at.UnixMilli() {
		t.Errorf("Timestamp: got %d, want %d", got, at.UnixMilli())
	}
	if len(metadata.AWS.CloudWatchMetrics) == 0 {
		t.Error("there are no metrics")
	}
	units := []string{"Count", "Milliseconds"} // of those CloudWatch knows
	for _, d := range metadata.AWS.CloudWatchMetrics {
		if d.Namespace == "" || len(d.Dimensions) == 0 || len(d.Metrics) == 0 || len(d.Metrics) > 100 {
			t.Errorf("directive: got %+v", d)
		}
		for _, set := range d.Dimensions {
			if len(set) > 30 {
				t.Errorf("dimensions: got %d, want at most 30", len(set))
			}
			for _, name := range set {
				if value, ok := root[name].(string); !ok || value == "" || len(value) > 1024 {
					t.Errorf("dimension %s: got %v, want a text", name, root[name])
				}
			}
		}
		for _, m := range d.Metrics {
			if _, ok := root[m.Name].(float64); !ok || !slices.Contains(units, m.Unit) {
				t.Errorf("metric %s: got %v in %q", m.Name, root[m.Name], m.Unit)
			}
		}
	}
}

func TestALoggerIsNotNeeded(t *testing.T) {
	t.Parallel()
	for _, l := range []*slog.Logger{nil, slog.New(slog.DiscardHandler)} {
		a := &apigw.Authorizer{Decide: decide(benchDecision, nil), Log: l, Metrics: "Gatehouse"}
		if _, err := a.Invoke(t.Context(), []byte(rest(`"a":1`))); err != nil {
			t.Error(err)
		}
	}
}

func TestLoggerStartsAtInfo(t *testing.T) {
	t.Parallel()
	log := apigw.Logger()
	if !log.Enabled(t.Context(), slog.LevelInfo) || log.Enabled(t.Context(), slog.LevelDebug) {
		t.Error("got another level than INFO")
	}
}
