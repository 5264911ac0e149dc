package apigw

import (
	"context"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"gatehouse/shared/strictjson"
)

// logJSON is the value of AWS_LAMBDA_LOG_FORMAT for lines in JSON.
const logJSON = "JSON"

// LineHandler writes lines of texts and numbers in JSON, as the handler of
// lambdacontext would but without reflection: half of what a decision costs with
// a cached token would be its log line. It is safe for concurrent use.
type LineHandler struct {
	slog.Handler // decides the level, and gets what holds other values

	// Writer gets one call for each line.
	Writer io.Writer

	mu sync.Mutex // guards Writer
}

// appender is a value that writes itself.
type appender interface{ appendJSON(b []byte) []byte }

// lines are buffers of lines.
var lines = sync.Pool{New: func() any { b := make([]byte, 0, 2<<10); return &b }}

// Handle implements [slog.Handler].
func (h *LineHandler) Handle(ctx context.Context, r slog.Record) error {
	attrs := make([]slog.Attr, 0, r.NumAttrs())
	r.Attrs(func(a slog.Attr) bool {
		attrs = append(attrs, a)
		return true
	})
	if known, err := h.line(ctx, &r, attrs); known {
		return err
	}
	return h.Handler.Handle(ctx, r)
}

// handle hands a line to h: r, which has no attributes yet, with these. They are
// not copied for our own handler. An error has no other place to be reported.
func handle(ctx context.Context, h slog.Handler, r slog.Record, attrs []slog.Attr) {
	if own, ok := h.(*LineHandler); ok {
		if known, _ := own.line(ctx, &r, attrs); known {
			return
		}
	}
	r.AddAttrs(attrs...)
	_ = h.Handle(ctx, r)
}

// line writes r with attrs, unless they hold what h does not know how to write.
func (h *LineHandler) line(ctx context.Context, r *slog.Record, attrs []slog.Attr) (known bool, err error) {
	if r.Time.IsZero() { // slog leaves it out
		return false, nil
	}
	room, _ := lines.Get().(*[]byte)
	defer lines.Put(room)
	b := append((*room)[:0], `{"timestamp":"`...)
	b = r.Time.AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","level":"`...)
	b = append(b, r.Level.String()...)
	b = append(b, `","message":`...)
	b = strictjson.AppendString(b, r.Message)
	for _, a := range attrs {
		if b, known = appendAttr(append(b, ','), a); !known {
			return false, nil
		}
	}
	if invocation, ok := lambdacontext.FromContext(ctx); ok {
		b = append(b, `,"requestId":`...)
		b = strictjson.AppendString(b, invocation.AwsRequestID)
	}
	b = append(b, '}', '\n')
	*room = b
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err = h.Writer.Write(b)
	return true, err
}

// appendAttr appends a member, or reports that it cannot.
func appendAttr(b []byte, a slog.Attr) ([]byte, bool) {
	if a.Key == "" {
		return b, false
	}
	b = strictjson.AppendString(b, a.Key)
	b = append(b, ':')
	switch v := a.Value; v.Kind() {
	case slog.KindString:
		return strictjson.AppendString(b, v.String()), true
	case slog.KindInt64:
		return strconv.AppendInt(b, v.Int64(), 10), true
	case slog.KindBool:
		return strconv.AppendBool(b, v.Bool()), true
	case slog.KindFloat64:
		f := v.Float64()
		return strconv.AppendFloat(b, f, 'f', -1, 64), f-f == 0 // neither infinite nor NaN
	case slog.KindGroup:
		return appendGroup(b, v.Group())
	case slog.KindAny:
		if a, ok := v.Any().(appender); ok {
			return a.appendJSON(b), true
		}
		return b, false
	default:
		return b, false
	}
}

func appendGroup(b []byte, attrs []slog.Attr) ([]byte, bool) {
	if len(attrs) == 0 {
		return b, false // slog leaves it out
	}
	mark := byte('{')
	for _, a := range attrs {
		var ok bool
		if b, ok = appendAttr(append(b, mark), a); !ok {
			return b, false
		}
		mark = ','
	}
	return append(b, '}'), true
}
