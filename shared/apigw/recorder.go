package apigw

import (
	"errors"
	"net/http"
)

var errResponseSize = errors.New("more than Lambda can carry")

// recorder is the http.ResponseWriter of one request.
type recorder struct {
	header   http.Header // the handler's
	sent     http.Header // as it was when the status was written
	status   int         // 0 until then
	body     []byte
	overflow bool
}

// Header returns the header that WriteHeader will send.
func (w *recorder) Header() http.Header { return w.header }

// WriteHeader fixes the status and the header, the first time it is called.
// Informational responses do not count: API Gateway cannot send them.
func (w *recorder) WriteHeader(status int) {
	if w.status != 0 || status < http.StatusOK {
		return
	}
	w.status = status
	w.sent = w.header.Clone()
}

// Write adds to the body, within what Lambda can carry.
func (w *recorder) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if w.status == http.StatusNoContent || w.status == http.StatusNotModified {
		return 0, http.ErrBodyNotAllowed
	}
	if len(w.body)+len(p) > maxPayload {
		w.overflow = true
		return 0, errResponseSize
	}
	w.body = append(w.body, p...)
	return len(p), nil
}

// finish does what net/http does when a handler returns.
func (w *recorder) finish() {
	w.WriteHeader(http.StatusOK)
	if _, ok := w.sent["Content-Type"]; !ok && len(w.body) > 0 {
		w.sent.Set("Content-Type", http.DetectContentType(w.body))
	}
}
