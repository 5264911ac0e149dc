package apigw

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"
)

// Line is the log line of an invocation that no request caused.
type Line struct {
	Message  string // constant
	Function string // "reconciler", a dimension of the metrics
	Start    time.Time
	Took     time.Duration
	Failed   bool           // it is an ERROR then
	Metrics  map[string]int // counts, by the name of the metric
	Attrs    []slog.Attr
}

// Write writes the line to log, nil for nobody. metrics is the namespace of its
// metrics, which are in the embedded metric format; "" for none.
func (l *Line) Write(ctx context.Context, log *slog.Logger, metrics string) {
	level := slog.LevelInfo
	if l.Failed {
		level = slog.LevelError
	}
	if log == nil || !log.Enabled(ctx, level) {
		return
	}
	names := slices.Sorted(maps.Keys(l.Metrics))
	var attrs []slog.Attr
	for _, name := range names {
		attrs = append(attrs, slog.Int(name, l.Metrics[name]))
	}
	for _, a := range l.Attrs {
		attrs = append(attrs, cleanAttr(a))
	}
	if metrics != "" {
		attrs = append(attrs, slog.String("function", l.Function), slog.Any(metricMetadata, countsOf(l.Start, metrics, names)))
	}
	attrs = append(attrs, slog.Float64(metricLatency, milliseconds(l.Took)))
	handle(ctx, log.Handler(), slog.NewRecord(l.Start, level, l.Message, 0), attrs)
}
