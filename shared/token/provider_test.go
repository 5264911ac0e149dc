package token_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/shared/token"
)

// clock is a wall clock that tests set.
type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ns.Store(now().UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.ns.Load()) }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

// provider serves a key set, counts who asks and does as it is told.
type provider struct {
	server *httptest.Server

	mu      sync.Mutex // guards the fields below
	handler http.HandlerFunc
	asked   int
	events  []token.KeyEvent
}

func newProvider(tb testing.TB, set []byte) *provider {
	tb.Helper()
	p := &provider{handler: serve(set)}
	p.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.asked++
		h := p.handler
		p.mu.Unlock()
		h(w, r)
	}))
	tb.Cleanup(p.server.Close)
	return p
}

// serve answers with a key set.
func serve(set []byte) http.HandlerFunc { return serveAs("application/json", string(set)) }

func serveAs(contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, body)
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// become changes what the provider does from now on.
func (p *provider) become(h http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handler = h
}

func (p *provider) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

func (p *provider) observe(e token.KeyEvent) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, e)
}

func (p *provider) lastEvent() token.KeyEvent {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.events) == 0 {
		return token.KeyEvent{}
	}
	return p.events[len(p.events)-1]
}

func (p *provider) url(context.Context) (string, error) { return p.server.URL + "/jwks", nil }

// source is a key source at this provider as the authorizer makes it.
func (p *provider) source(c *clock) token.KeySource {
	return token.KeySource{
		URL:        p.url,
		Algorithms: everyAlgorithm(),
		Client: &http.Client{
			Transport:     p.server.Client().Transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		Now:     c.now,
		Observe: p.observe,
	}
}

func (p *provider) keys(tb testing.TB, c *clock) *token.KeySet {
	tb.Helper()
	return newKeySet(tb, p.source(c))
}

func newKeySet(tb testing.TB, source token.KeySource) *token.KeySet {
	tb.Helper()
	keys, err := token.NewKeySet(source)
	if err != nil {
		tb.Fatal(err)
	}
	return keys
}
