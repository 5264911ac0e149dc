package gateway

import (
	"fmt"
	"io"
	"sync"
)

// tracer writes a line per step of a request. Lines name methods, paths,
// routes, functions and resources of policies, never a header's or a query's
// value, nor what a function said.
type tracer struct {
	mu sync.Mutex // one line at a time
	w  io.Writer  // nil for none
}

func (t *tracer) step(q *request, format string, args ...any) {
	if t.w == nil {
		return
	}
	path := q.escaped
	if len(path) > 120 {
		path = path[:120] + "…"
	}
	line := fmt.Sprintf("%s %s %s: %s\n", q.id[:8], q.method, path, fmt.Sprintf(format, args...))
	t.mu.Lock()
	defer t.mu.Unlock()
	_, _ = io.WriteString(t.w, line) // a trace that cannot be written is lost
}
