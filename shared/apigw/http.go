package apigw

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// maxPayload is the most bytes that Lambda carries in either direction.
const maxPayload = 6_291_556

// defaultHTTPBudget keeps under the 29 s that API Gateway gives an integration.
const defaultHTTPBudget = 25 * time.Second

// HTTP serves the events of a Lambda proxy integration: REST APIs, and HTTP
// APIs in payload formats 1.0 and 2.0. It is a lambda.Handler that is safe for
// concurrent invocations.
//
// The request's RemoteAddr is the caller's address without a port, and its
// Host the domain name that API Gateway was called by. The stage is cut from
// the path where API Gateway has put it there: HTTP APIs with a named stage,
// called by their own domain name. RequestURI keeps it.
type HTTP struct {
	Handler http.Handler

	// Log gets one line per request; nil discards it. Handlers add to the line
	// with the function Log.
	Log *slog.Logger

	// Metrics is the namespace of metrics that are added to the line in the
	// embedded metric format: requests by the class of their status, latency,
	// and one for each attribute "alarm" that a handler adds. "" adds none.
	Metrics string

	// Function is what the metrics call the function: "broker".
	Function string

	// Budget bounds the request's context; 0 means 25 s. It is less when the
	// invocation's own deadline, less 200 ms, is nearer.
	Budget time.Duration

	// Now is the clock of the log line; nil means time.Now.
	Now func() time.Time
}

// Invoke answers one proxy event. It answers what goes wrong (an event that
// cannot be read, a panic, a response that is too large) over HTTP, too, and
// returns no error.
func (h *HTTP) Invoke(ctx context.Context, event []byte) ([]byte, error) {
	start := now(h.Now)
	l := new(requestLine)
	ctx, cancel := withBudget(context.WithValue(ctx, lineKey{}, l), h.Budget, defaultHTTPBudget)
	defer cancel()

	e, r, err := readProxyEvent(ctx, event)
	w := &recorder{header: http.Header{}}
	if err != nil {
		l.cause = err
		refuse(w, http.StatusBadRequest, "the event is not an API Gateway proxy event")
		if errors.Is(err, ErrSize) {
			refuse(w, http.StatusRequestEntityTooLarge, "the request is too large")
		}
	} else {
		l.serve(h.Handler, w, r)
	}
	answer, err := e.response(w)
	if err != nil {
		l.cause = err
		refuse(w, http.StatusInternalServerError, "the response is too large")
		answer, err = e.response(w)
	}
	l.took = now(h.Now).Sub(start)
	l.write(ctx, h, &served{request: r, status: w.status, bytes: len(w.body), start: start})
	return answer, err
}

// serve calls the handler and answers 500 in its stead if it panics.
func (l *requestLine) serve(handler http.Handler, w *recorder, r *http.Request) {
	defer func() {
		if v := recover(); v != nil {
			l.cause = Panicked(v)
			refuse(w, http.StatusInternalServerError, "something broke on our side; try again")
		}
	}()
	handler.ServeHTTP(w, r)
}

// refuse replaces whatever has been answered by a problem document (RFC 9457).
func refuse(w *recorder, status int, detail string) {
	*w = recorder{header: http.Header{}}
	w.header.Set("Content-Type", "application/problem+json")
	w.header.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	problem := struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}{http.StatusText(status), status, detail}
	_ = json.NewEncoder(w).Encode(problem) // strings and numbers, into memory
}

type lineKey struct{}

// requestLine is the log line of one request.
type requestLine struct {
	cause error // of an answer that no handler gave
	took  time.Duration

	mu    sync.Mutex
	attrs []slog.Attr // guarded by mu
}

// served is what a request line tells about every request.
type served struct {
	request *http.Request // nil when the event could not be read
	status  int
	bytes   int
	start   time.Time
}

// Log adds facts to the log line of the request that ctx belongs to. Outside
// of a request that [HTTP] serves it does nothing.
func Log(ctx context.Context, attrs ...slog.Attr) {
	l, ok := ctx.Value(lineKey{}).(*requestLine)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.attrs = append(l.attrs, attrs...)
}

func (l *requestLine) write(ctx context.Context, h *HTTP, s *served) {
	log := h.Log
	if log == nil {
		return
	}
	level := slog.LevelInfo
	switch {
	case s.status >= http.StatusInternalServerError:
		level = slog.LevelError
	case s.status >= http.StatusBadRequest:
		level = slog.LevelWarn
	}
	if !log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{slog.Int("status", s.status), slog.Int("bytes", s.bytes)}
	if r := s.request; r != nil {
		// The pattern, not the path: a path may hold what only the caller may know.
		attrs = append(attrs,
			slog.String("method", clean(r.Method, maxAttr)),
			slog.String("route", clean(r.Pattern, maxAttr)))
	}
	added, alarms := l.added()
	attrs = append(attrs, added...)
	if h.Metrics != "" {
		attrs = append(attrs,
			slog.String("function", h.Function),
			slog.String("class", strconv.Itoa(s.status/100)+"xx"),
			slog.Int(metricRequests, 1),
			slog.Any(metricMetadata, requestsOf(s.start, h.Metrics, len(alarms) > 0)))
		if len(alarms) > 0 {
			attrs = append(attrs, slog.Int(metricAlarms, len(alarms)))
		}
	}
	attrs = append(attrs, slog.Float64(metricLatency, milliseconds(l.took)))
	handle(ctx, log.Handler(), slog.NewRecord(s.start, level, "request", 0), attrs)
}

// added returns what there is to say beyond what is said of every request, and
// what of it are alarms. One name twice would make the line ambiguous JSON: the
// first counts.
func (l *requestLine) added() (attrs []slog.Attr, alarms []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.attrs
	if l.cause != nil {
		all = append([]slog.Attr{slog.String("cause", l.cause.Error())}, all...)
	}
	taken := map[string]bool{}
	for _, a := range all {
		switch {
		case a.Key == "alarm":
			alarms = append(alarms, clean(a.Value.String(), maxAttr))
		case !taken[a.Key] && !ofEveryRequest(a.Key):
			taken[a.Key] = true
			attrs = append(attrs, cleanAttr(a))
		}
	}
	if len(alarms) > 0 {
		attrs = append(attrs, slog.String("alarm", joined(alarms)))
	}
	return attrs, alarms
}

// ofEveryRequest reports whether the line of each request has something of that
// name.
func ofEveryRequest(key string) bool {
	switch key {
	case "status", "bytes", "method", "route",
		"function", "class", metricRequests, metricAlarms, metricLatency, metricMetadata,
		"time", "timestamp", "level", "msg", "message", "requestId":
		return true
	}
	return false
}
