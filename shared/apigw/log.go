package apigw

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/lambdacontext"
)

// maxAttr is the most bytes of a text that the log shows.
const maxAttr = 512

// Logger returns the logger of a Lambda function. It writes to standard output
// in the format and from the level that AWS_LAMBDA_LOG_FORMAT and
// AWS_LAMBDA_LOG_LEVEL say, and adds the invocation's requestId to each line.
func Logger() *slog.Logger {
	h := lambdacontext.NewLogHandler()
	if os.Getenv("AWS_LAMBDA_LOG_FORMAT") == logJSON { //nolint:forbidigo // lambdacontext reads the same
		h = &LineHandler{Handler: h, Writer: os.Stdout}
	}
	return slog.New(h)
}

// NotStarted writes why a function does not start: a bad deployment fails then,
// not at the first request. metrics is the namespace to count it in, "" for none.
func NotStarted(log *slog.Logger, metrics, function string, cause error) {
	line := Line{
		Message: "start", Function: function, Start: time.Now(), Failed: true,
		Metrics: map[string]int{"StartFailures": 1}, Attrs: []slog.Attr{slog.String("cause", cause.Error())},
	}
	line.Write(context.Background(), log, metrics)
}

// authorizerLine is the log line of one authorizer invocation.
type authorizerLine struct {
	start    time.Time
	took     time.Duration
	request  *Request // nil when the event could not be read
	decision Decision
	failure  string // reason, "" if there was a decision
	cause    string
}

// fail records why there was no decision and returns public, which is all that
// API Gateway learns.
func (l *authorizerLine) fail(public error, reason string, cause error) error {
	l.failure, l.cause = reason, cause.Error()
	return public
}

func (l *authorizerLine) write(ctx context.Context, a *Authorizer) {
	if a.Log == nil {
		return
	}
	level, outcome, reason := slog.LevelInfo, l.decision.Outcome.String(), l.decision.Reason
	switch {
	case l.failure != "":
		level, outcome, reason = slog.LevelError, "failed", l.failure
	case l.decision.Outcome != Allowed:
		level = slog.LevelWarn
	}
	h := a.Log.Handler()
	if !h.Enabled(ctx, level) {
		return
	}
	if reason == "" {
		reason = "unknown"
	}
	var room [24]slog.Attr
	attrs := append(room[:0],
		slog.String("outcome", outcome),
		slog.String("reason", clean(reason, maxAttr)))
	api := ""
	if r := l.request; r != nil {
		api = r.ARN.APIID
		attrs = append(attrs,
			slog.String("shape", r.Shape.String()),
			slog.String("api_id", r.ARN.APIID),
			slog.String("stage", r.ARN.Stage),
			slog.String("method", clean(r.Method, maxAttr)),
			slog.String("template", clean(r.Template, maxAttr)),
			slog.String("gateway_request_id", clean(r.RequestID, maxAttr)))
	}
	for _, attr := range l.decision.Log {
		switch {
		case attr.Key == "api":
			api = attr.Value.String()
		case !reserved(attr.Key):
			attrs = append(attrs, cleanAttr(attr))
		}
	}
	if l.cause != "" {
		attrs = append(attrs, slog.String("cause", clean(l.cause, maxAttr)))
	}
	if api = clean(api, maxAttr); api == "" {
		api = "unknown"
	}
	attrs = append(attrs, slog.String("api", api))
	if a.Metrics != "" {
		attrs = append(attrs,
			slog.Int(metricDecisions, 1),
			slog.Any(metricMetadata, decisions{l.start, a.Metrics}))
	}
	attrs = append(attrs, slog.Float64(metricLatency, milliseconds(l.took)))
	handle(ctx, h, slog.NewRecord(l.start, level, "authorizer", 0), attrs)
}

// reserved reports whether the line has an attribute of that name already. One
// name twice would make it ambiguous JSON and no valid metric.
func reserved(key string) bool {
	switch key {
	case "outcome", "reason", "shape", "api_id", "stage", "method", "template", "gateway_request_id", "cause",
		metricDecisions, metricLatency, metricMetadata,
		"time", "timestamp", "level", "msg", "message", "requestId":
		return true
	}
	return false
}

func milliseconds(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Microsecond)) / 1000
}

func cleanAttr(a slog.Attr) slog.Attr {
	switch a.Value.Kind() { //nolint:exhaustive // the other kinds are no text
	case slog.KindString:
		a.Value = slog.StringValue(clean(a.Value.String(), maxAttr))
	case slog.KindAny:
		texts, ok := a.Value.Any().([]string)
		if !ok {
			return a
		}
		all := make([]string, len(texts))
		for n, text := range texts {
			all[n] = clean(text, maxAttr)
		}
		a.Value = slog.AnyValue(all)
	}
	return a
}

// clean makes text that others wrote fit to be logged: what does not print
// (control characters, line separators, marks that change the writing
// direction) becomes U+FFFD, and what exceeds limit bytes is cut off.
func clean(s string, limit int) string {
	if len(s) <= limit && printsASCII(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if !unicode.IsPrint(r) {
			r = utf8.RuneError
		}
		if b.Len()+utf8.RuneLen(r) > limit {
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}

func printsASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// Panicked describes a panic by its type and the functions that led to it. The
// value stays out: it may quote what the function was working on.
func Panicked(v any) error {
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	var b strings.Builder
	for {
		f, more := frames.Next()
		if !strings.HasPrefix(f.Function, "runtime.") {
			b.WriteString(" < " + f.Function + ":" + strconv.Itoa(f.Line))
		}
		if !more {
			return fmt.Errorf("apigw: panic with %T%s", v, b.String())
		}
	}
}
