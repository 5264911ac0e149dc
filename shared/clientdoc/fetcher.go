// Package clientdoc gets to know clients by the documents that their client
// identifiers point to (draft-ietf-oauth-client-id-metadata-document-02, cited
// here as "the draft").
//
// Such a client is a stranger who chose an address and what stands there. So
// Gatehouse asks through a client that goes to public addresses only
// ([gatehouse/shared/fetch.NewGuardedClient]), reads little and strictly, and
// takes no document that is not about the very address it came from. What it
// takes is a public client with redirect URIs: one that has a secret, keys or a
// method to prove itself by is refused, because nobody here would check. Nothing
// that a document points to, no logo and no key set, is fetched.
//
// Two kinds of failure are kept apart, for the log: [ErrUnavailable] is about
// the fetch, an [*InvalidError] about the document. What a caller is told is the
// same for both, and the same as for a client that is unknown.
package clientdoc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"gatehouse/shared/fetch"
	"gatehouse/shared/oauth"
)

// Times and limits.
const (
	maxBytes = 5 << 10         // of a document; the draft's recommendation (section 8.7)
	timeout  = 3 * time.Second // for all of a fetch
	minAge   = time.Minute     // see lifetime
	maxAge   = time.Hour       // a client that was withdrawn works this long at most
	pause    = 10 * time.Second
	kept     = 512 // documents, and failures; at 5 KiB each, 2.5 MiB at most
)

// ErrUnavailable is wrapped by the error of a document that could not be
// fetched, beside the reason: [fetch.ErrForbidden] when the address is none that
// a stranger may send us to, a [*fetch.StatusError] when the answer was no 200.
var ErrUnavailable = errors.New("the client metadata document cannot be had")

// Fetcher fetches documents and remembers them. Its zero value fetches none. It
// is safe for concurrent use, and must not be copied.
//
// A document is kept as long as its HTTP header says, but a minute at least and
// an hour at most, and when it is due, it is fetched again or not used: no one
// is let in on what a client used to say (section 5.2).
//
// Failures are not kept: the draft forbids it. But for ten seconds after one the
// same address is not asked again, and the answer is the same failure. An
// authorization request costs a stranger nothing, and each would send a request
// of ours to a server of their choice, and keep a function waiting for three
// seconds. Documents and failures are remembered apart, so that bad addresses
// do not drive out good documents.
type Fetcher struct {
	HTTP *http.Client     // fetch.NewGuardedClient; nil: every document is unavailable
	Now  func() time.Time // nil: time.Now

	once     sync.Once
	docs     *lru.Cache[string, outcome] // by client_id; what was taken
	failures *lru.Cache[string, outcome] // by client_id; what was not
	mu       sync.Mutex                  // guards flights
	flights  map[string]*flight          // by client_id; fetches that are under way
}

// outcome is how a fetch ended, and how long that is used: both times are of the
// wall clock, for the monotonic one stands still in a frozen Lambda.
type outcome struct {
	doc     Document
	err     error
	at, end time.Time
}

// flight is a fetch that is under way, and those who want its document.
type flight struct {
	turn    chan struct{} // holds one element while someone fetches
	waiting int
}

// Get returns the document of a client. The error is one of
// [oauth.CheckClientIDURL] for what is no address of a document, wraps
// [ErrUnavailable], or holds an [*InvalidError].
func (f *Fetcher) Get(ctx context.Context, clientID string) (Document, error) {
	if err := oauth.CheckClientIDURL(clientID); err != nil {
		return Document{}, fmt.Errorf("clientdoc: %w", err)
	}
	if f.HTTP == nil {
		return Document{}, fmt.Errorf("clientdoc: %s: %w: there is no HTTP client", clientID, ErrUnavailable)
	}
	f.once.Do(f.start)
	if known, ok := f.known(clientID); ok {
		return known.result()
	}
	leave, err := f.enter(ctx, clientID)
	if err != nil {
		return Document{}, fmt.Errorf("clientdoc: %s: %w: %w", clientID, ErrUnavailable, err)
	}
	defer leave()
	if known, ok := f.known(clientID); ok {
		return known.result() // who was before us fetched it
	}
	doc, err := f.fetch(ctx, clientID)
	return doc.clone(), err
}

func (f *Fetcher) start() {
	f.docs, _ = lru.New[string, outcome](kept) // fails for sizes below 1 only
	f.failures, _ = lru.New[string, outcome](kept)
	f.flights = map[string]*flight{}
}

func (f *Fetcher) now() time.Time {
	if f.Now == nil {
		return time.Now().Round(0)
	}
	return f.Now().Round(0)
}

// known returns what is remembered of a client, unless it is due. A clock that
// was set back makes it due, not eternal.
func (f *Fetcher) known(clientID string) (outcome, bool) {
	now := f.now()
	for _, cache := range []*lru.Cache[string, outcome]{f.docs, f.failures} {
		if o, ok := cache.Get(clientID); ok && !now.Before(o.at) && now.Before(o.end) {
			return o, true
		}
	}
	return outcome{}, false
}

func (o outcome) result() (Document, error) {
	if o.err != nil {
		return Document{}, fmt.Errorf("%w (not asked again within %v)", o.err, pause)
	}
	return o.doc.clone(), nil
}

// enter waits until nobody else fetches this document. Callers queue instead of
// sharing one fetch, so that each has its own deadline and none waits for a
// goroutine that outlives its request; whoever comes next finds the document, or
// the failure, that the one before left. One that gave up leaves neither.
func (f *Fetcher) enter(ctx context.Context, clientID string) (leave func(), err error) {
	f.mu.Lock()
	mine := f.flights[clientID]
	if mine == nil {
		mine = &flight{turn: make(chan struct{}, 1)}
		f.flights[clientID] = mine
	}
	mine.waiting++
	f.mu.Unlock()
	out := func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if mine.waiting--; mine.waiting == 0 {
			delete(f.flights, clientID)
		}
	}
	select {
	case mine.turn <- struct{}{}:
		return func() { <-mine.turn; out() }, nil
	case <-ctx.Done():
		out()
		return nil, context.Cause(ctx)
	}
}

// fetch fetches a document and remembers how that ended, unless it ended because
// the caller's time was up: that says nothing of the client.
func (f *Fetcher) fetch(ctx context.Context, clientID string) (Document, error) {
	within, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	body, header, err := fetch.GetWithHeader(within, f.HTTP, clientID, maxBytes)
	if status, ok := errors.AsType[*fetch.StatusError](err); ok {
		err = &fetch.StatusError{Status: status.Status} // without its header: what a stranger sends is not kept
	}
	var doc Document
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	} else {
		doc, err = parse(clientID, body)
	}
	now := f.now()
	if err != nil {
		err = fmt.Errorf("clientdoc: %s: %w", clientID, err)
		if ctx.Err() == nil {
			f.failures.Add(clientID, outcome{err: err, at: now, end: now.Add(pause)})
		}
		return Document{}, err
	}
	doc.Fetched = now
	f.docs.Add(clientID, outcome{doc: doc, at: now, end: now.Add(lifetime(header, now))})
	return doc, nil
}

// clone keeps callers from changing what is remembered.
func (d Document) clone() Document {
	d.RedirectURIs = slices.Clone(d.RedirectURIs)
	d.GrantTypes = slices.Clone(d.GrantTypes)
	d.ResponseTypes = slices.Clone(d.ResponseTypes)
	return d
}
