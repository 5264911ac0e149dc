package provider

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"gatehouse/shared/fetch"
)

const (
	breakerFailures = 5                // in a row, then nobody asks
	breakerPause    = 5 * time.Second  // until one request may try again
	breakerLongest  = 30 * time.Second // whatever the provider asks for
)

// breaker keeps a provider that has stopped answering from being asked by
// every request, each waiting for its timeout. After five failures in a row,
// or at once when the provider names a time to wait, requests fail fast; then
// one at a time may probe.
type breaker struct {
	now func() time.Time

	mu       sync.Mutex // guards what follows
	failures int
	until    time.Time // closed to requests until then
	probing  bool
}

func (b *breaker) allow() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.until.IsZero() {
		return nil
	}
	if b.probing || b.now().Before(b.until) {
		return fmt.Errorf("%w: the provider has stopped answering; it is asked again soon", ErrUnavailable)
	}
	b.probing = true
	return nil
}

// forget ends a request that allow let through and that has no outcome.
func (b *breaker) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.probing = false
}

// note takes the outcome of a request that allow let through.
func (b *breaker) note(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.probing = false
	if err == nil {
		b.failures, b.until = 0, time.Time{}
		return
	}
	b.failures++
	pause := time.Duration(0)
	if status, ok := errors.AsType[*fetch.StatusError](err); ok {
		pause = min(retryAfter(status.Header, b.now()), breakerLongest)
	}
	if b.failures >= breakerFailures {
		pause = max(pause, breakerPause)
	}
	if pause > 0 {
		b.until = b.now().Add(pause).Round(0)
	}
}
