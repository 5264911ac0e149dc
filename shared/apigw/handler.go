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
	if r.Time.IsZero() { // slog leaves it out
		return h.Handler.Handle(ctx, r)
	}
	room, _ := lines.Get().(*[]byte)
	defer lines.Put(room)
	b := append((*room)[:0], `{"timestamp":"`...)
	b = r.Time.AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","level":"`...)
	b = append(b, r.Level.String()...)
	b = append(b, `","message":`...)
	b = strictjson.AppendString(b, r.Message)
	known := true
	r.Attrs(func(a slog.Attr) bool {
		b = append(b, ',')
		b, known = appendAttr(b, a)
		return known
	})
	*room = b
	if !known {
		return h.Handler.Handle(ctx, r)
	}
	if invocation, ok := lambdacontext.FromContext(ctx); ok {
		b = append(b, `,"requestId":`...)
		b = strictjson.AppendString(b, invocation.AwsRequestID)
	}
	b = append(b, '}', '\n')
	*room = b
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := h.Writer.Write(b)
	return err
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
