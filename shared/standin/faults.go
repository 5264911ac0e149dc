package standin

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Bodies worth answering by mistake.
const (
	Garbage   = "<!doctype html><title>Bad gateway</title><h1>502 Bad gateway</h1>" // sent as text/html
	EmptyKeys = `{"keys":[]}`
)

// Cut is when a fault breaks the connection.
type Cut string

// The moments a connection can break.
const (
	NoCut         Cut = ""
	BeforeHeaders Cut = "before_headers" // reset, with nothing done and nothing answered
	AfterEffect   Cut = "after_effect"   // reset, with everything done and nothing answered
	AfterHeaders  Cut = "after_headers"  // closed after the headers and half of the body
)

// Fault is what goes wrong at an endpoint. Its fields combine: the zero value
// changes nothing, Delay alone is a slow but correct answer.
type Fault struct {
	// Status replaces the answer by the vendor's error of that status (429, 500,
	// 503) or, with Body, Size or Redirect, is the status of that.
	Status int
	Header map[string]string // added to the answer's, or replacing them
	Body   string            // replaces the answer; JSON unless it starts with "<"
	// Size replaces the answer by one JSON object of at least this many bytes.
	Size int64
	// Gzip compresses the body, whether the client asked for that or not. With
	// Size it is a bomb.
	Gzip     bool
	Redirect string        // replaces the answer by a redirect to this URL
	Delay    time.Duration // before anything is answered
	Drip     time.Duration // between one byte of the body and the next
	Cut      Cut           // needs HTTP/1.1
	Times    int           // how many requests it meets before it is gone; zero means all
}

// faults are the faults set, at most one for each endpoint.
type faults struct {
	mu  sync.Mutex // guards set
	set map[Endpoint]*Fault
}

// Break makes e answer with f from now on, in place of an earlier fault. A
// fault of a path goes before the fault of its kind.
func (s *Server) Break(e Endpoint, f Fault) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.set[e] = &f
}

// Mend takes back all faults.
func (s *Server) Mend() {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	clear(s.faults.set)
}

// take returns the fault for a request and counts it.
func (fs *faults) take(kind, path Endpoint) (Fault, bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, e := range []Endpoint{path, kind} {
		f, ok := fs.set[e]
		if !ok {
			continue
		}
		if f.Times == 1 {
			delete(fs.set, e)
		}
		f.Times--
		return *f, true
	}
	return Fault{}, false
}

// play answers r as f says; own is what the endpoint would have answered.
func (s *Server) play(f Fault, w http.ResponseWriter, r *http.Request, own http.Handler) {
	if !wait(r.Context(), f.Delay) {
		return
	}
	if f.Cut == BeforeHeaders {
		cut(w, f.Cut)
		return
	}
	a := s.answer(f, r, own)
	if f.Cut == AfterEffect {
		cut(w, f.Cut)
		return
	}
	for name, value := range f.Header {
		a.header.Set(name, value)
	}
	if f.Gzip {
		a.header.Set("Content-Encoding", "gzip")
	} else {
		a.header.Set("Content-Length", strconv.FormatInt(a.length, 10))
	}
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(a.status)
	body := a.body
	if f.Cut == AfterHeaders {
		body = io.LimitReader(body, a.length/2)
	}
	if err := send(w, r, f, body); err == nil && f.Cut == AfterHeaders {
		cut(w, f.Cut)
	}
}

// answer is a response that has not been sent.
type answer struct {
	status int
	header http.Header
	body   io.Reader
	length int64 // of body, before compression
}

// answer returns what f puts in the place of own, or what own answers.
func (s *Server) answer(f Fault, r *http.Request, own http.Handler) answer {
	status := f.Status
	if status == 0 {
		status = http.StatusOK
	}
	header := http.Header{"Content-Type": {"application/json"}}
	switch {
	case f.Redirect != "":
		if f.Status == 0 {
			status = http.StatusFound
		}
		return answer{status, http.Header{"Location": {f.Redirect}}, strings.NewReader(""), 0}
	case f.Size > 0:
		const head, tail = `{"padding":"`, `"}`
		padding := max(0, f.Size-int64(len(head)+len(tail)))
		body := io.MultiReader(strings.NewReader(head), io.LimitReader(xs{}, padding), strings.NewReader(tail))
		return answer{status, header, body, int64(len(head)+len(tail)) + padding}
	case f.Body != "":
		if strings.HasPrefix(f.Body, "<") {
			header.Set("Content-Type", "text/html; charset=utf-8")
		}
		return answer{status, header, strings.NewReader(f.Body), int64(len(f.Body))}
	}
	rec := &recorder{status: http.StatusOK, header: http.Header{}}
	if f.Status != 0 {
		s.vendor.fail(rec, f.Status)
	} else {
		own.ServeHTTP(rec, r)
	}
	return answer{rec.status, rec.header, &rec.body, int64(rec.body.Len())}
}

// send writes body to w, compressed and slowed down as f says.
func send(w http.ResponseWriter, r *http.Request, f Fault, body io.Reader) error {
	var out io.Writer = w
	if f.Drip > 0 {
		out = &dripper{ctx: r.Context(), out: w, flush: http.NewResponseController(w), every: f.Drip}
	}
	if !f.Gzip {
		_, err := io.Copy(out, body)
		return err
	}
	z := gzip.NewWriter(out)
	if _, err := io.Copy(z, body); err != nil {
		return err
	}
	return z.Close()
}

// cut breaks the connection under w.
func cut(w http.ResponseWriter, when Cut) {
	c := http.NewResponseController(w)
	if when == AfterHeaders {
		// What was written must leave before the connection does.
		if err := c.Flush(); err != nil {
			return
		}
	}
	conn, _, err := c.Hijack()
	if err != nil {
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok && when != AfterHeaders {
		// Without lingering, Close sends a reset. If it cannot be set, the
		// connection still ends without an answer.
		_ = tcp.SetLinger(0)
	}
	// There is no one left to tell if this fails.
	_ = conn.Close()
}

// wait waits for d, unless ctx ends.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// recorder keeps an answer instead of sending it.
type recorder struct {
	status int
	header http.Header
	body   bytes.Buffer
}

// Header returns the header to be sent.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader keeps the status.
func (r *recorder) WriteHeader(status int) { r.status = status }

// Write keeps a part of the body.
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }

// dripper writes one byte at a time.
type dripper struct {
	ctx   context.Context // of the one request it belongs to
	out   io.Writer
	flush *http.ResponseController
	every time.Duration
}

// Write writes p as slowly as d is.
func (d *dripper) Write(p []byte) (int, error) {
	for i := range p {
		if _, err := d.out.Write(p[i : i+1]); err != nil {
			return i, err
		}
		if err := d.flush.Flush(); err != nil {
			return i, err
		}
		if !wait(d.ctx, d.every) {
			return i, d.ctx.Err()
		}
	}
	return len(p), nil
}

// xs is an endless body of one letter.
type xs struct{}

// Read fills p.
func (xs) Read(p []byte) (int, error) {
	const block = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
	for n := 0; n < len(p); {
		n += copy(p[n:], block)
	}
	return len(p), nil
}
