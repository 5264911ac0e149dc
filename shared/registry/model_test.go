package registry_test

import (
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatehouse/shared/registry"
	"gatehouse/shared/registry/registrytest"
)

const lease = time.Minute

// world is a registry and a provider that knows the markers of its clients.
type world struct {
	*testing.T
	*registry.Store
	clock    *registrytest.Clock
	provider map[string]string // marker: client_id
	clients  int
}

// attempt is one run of a registration, done step by step and abandoned at any.
type attempt struct {
	id     string
	lease  time.Time
	claim  registry.Claim
	intent registry.Intent
	client string
	next   func(*world, *attempt) bool // the next step; false: the attempt has ended
}

// TestF18InterruptedRegistrations follows the protocol of the package
// documentation through random interleavings of attempts with one idempotency
// key, crashes, lost answers of the provider and reconciliation.
func TestF18InterruptedRegistrations(t *testing.T) {
	t.Parallel()
	schedules := 3_000
	if testing.Short() {
		schedules = 500
	}
	recorded := 0
	for seed := range schedules {
		random := rand.New(rand.NewPCG(uint64(seed), 7))
		clock := registrytest.NewClock()
		w := &world{T: t, Store: openFile(t, "", clock.Now), clock: clock, provider: map[string]string{}}
		var running []*attempt
		for range 30 {
			switch n := random.IntN(10); {
			case n == 0 || len(running) == 0:
				running = append(running, &attempt{id: registry.NewID(), lease: clock.Now().Add(lease), next: claimKey})
			case n == 1: // a crash
				last := len(running) - 1
				victim := random.IntN(len(running))
				running[victim], running = running[last], running[:last]
			case n == 2: // leases end, and with them whoever held them
				clock.Advance(lease)
				running = nil
			case n == 3:
				w.reconcile()
			default:
				at := random.IntN(len(running))
				if a := running[at]; !a.next(w, a) {
					running = append(running[:at], running[at+1:]...)
				}
			}
			w.invariants(seed)
		}
		clock.Advance(lease)
		w.reconcile()
		w.invariants(seed)
		if open := w.open(); len(open) > 0 {
			t.Fatalf("schedule %d: %d intents are still open", seed, len(open))
		}
		recorded += len(w.provider)
		if t.Failed() {
			return
		}
	}
	if recorded < schedules/3 {
		t.Errorf("only %d of %d schedules came to an application", recorded, schedules)
	}
}

func claimKey(w *world, a *attempt) bool {
	c, err := w.Claim(w.Context(), registry.Claim{
		Caller: "ada", Key: strings.Repeat("1", 64), Body: strings.Repeat("2", 64),
		Marker: registry.NewID(), Attempt: a.id, Lease: a.lease,
	})
	if errors.Is(err, registry.ErrInProgress) || err == nil && c.Answer != nil {
		return false
	}
	w.must(err)
	a.claim, a.next = c, beginIntent
	return true
}

func beginIntent(w *world, a *attempt) bool {
	was, err := w.Intent(w.Context(), a.claim.Marker)
	switch {
	case errors.Is(err, registry.ErrNotFound):
		a.intent, err = w.Begin(w.Context(), registry.Intent{
			Marker: a.claim.Marker, Operation: registry.Create, Key: a.claim.Key, Attempt: a.id, Lease: a.lease,
			Application: registry.Application{ID: registry.NewID(), Kind: registry.Developer, Provider: "okta", Owner: "ada"},
		})
	case err == nil && was.Outcome == registry.Undone:
		w.must(w.Release(w.Context(), a.claim))
		a.next = claimKey
		return true
	case err == nil:
		a.intent, err = w.Take(w.Context(), a.claim.Marker, a.id, a.lease)
	}
	if errors.Is(err, registry.ErrInProgress) { // the reconciler is at it
		return false
	}
	w.must(err)
	a.next = createClient
	return true
}

// createClient finds what an earlier attempt left, or creates; in both cases
// the attempt may end before it knows.
func createClient(w *world, a *attempt) bool {
	if w.provider[a.claim.Marker] == "" {
		w.clients++
		w.provider[a.claim.Marker] = "client-" + strconv.Itoa(w.clients)
	}
	a.client, a.next = w.provider[a.claim.Marker], completeIntent
	return true
}

func completeIntent(w *world, a *attempt) bool {
	a.intent.Application.ClientID = a.client
	w.must(w.Complete(w.Context(), registry.Completion{
		Intent: a.intent, Outcome: registry.Done, Claim: &a.claim, Answer: []byte("sealed"),
	}))
	return false
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) open() []registry.Intent {
	w.Helper()
	open, _, err := w.Unfinished(w.Context(), w.clock.Now().Add(time.Second), registry.Page{Limit: 100})
	w.must(err)
	return open
}

// reconcile undoes what nobody is at any more.
func (w *world) reconcile() {
	w.Helper()
	for _, i := range w.open() {
		i, err := w.Take(w.Context(), i.Marker, registry.NewID(), w.clock.Now().Add(lease))
		if errors.Is(err, registry.ErrInProgress) {
			continue
		}
		w.must(err)
		delete(w.provider, i.Marker)
		w.must(w.Complete(w.Context(), registry.Completion{Intent: i, Outcome: registry.Undone}))
	}
}

// invariants holds at every instant: no client without a record, no active
// record without a client, one client for the key.
func (w *world) invariants(seed int) {
	w.Helper()
	recorded, _, err := w.ApplicationsByOwner(w.Context(), "ada", registry.Page{})
	w.must(err)
	if len(recorded) > 1 {
		w.Errorf("schedule %d: one key has %d applications", seed, len(recorded))
	}
	if len(w.provider) > 1 {
		w.Errorf("schedule %d: one key has %d clients", seed, len(w.provider))
	}
	known := map[string]bool{}
	for _, a := range recorded {
		known[a.ClientID] = true
	}
	for marker, client := range w.provider {
		i, err := w.Intent(w.Context(), marker)
		if !known[client] && (err != nil || i.Outcome != "") {
			w.Errorf("schedule %d: %s has no record", seed, client)
		}
		delete(known, client)
	}
	for client := range known {
		w.Errorf("schedule %d: %s is recorded and not at the provider", seed, client)
	}
}
