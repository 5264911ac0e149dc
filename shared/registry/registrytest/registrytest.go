// Package registrytest is the suite that every place to keep a registry in
// passes, and DynamoDB Local to pass it with. It is test support: nothing that
// is deployed imports it.
package registrytest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/shared/registry"
)

// Clock is a clock that only the test moves.
type Clock struct {
	mu  sync.Mutex // guards now
	now time.Time
}

// NewClock returns a clock that stands at a time in 2026.
func NewClock() *Clock {
	return &Clock{now: time.Date(2026, 11, 24, 2, 0, 0, 0, time.UTC)}
}

// Now returns the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Open returns an empty registry that reads the clock, and ends with the test.
type Open func(t *testing.T, now func() time.Time) *registry.Store

// Run runs the suite, each part on a registry of its own.
func Run(t *testing.T, open Open) {
	t.Helper()
	parts := map[string]func(*fixture){
		"an application is created, found and listed":              applicationIsFound,
		"an application that cannot be kept is refused":            applicationIsRefused,
		"an application is updated and rotated by intents":         applicationIsChanged,
		"an application is deleted after its contracts":            applicationIsDeleted,
		"an unused dynamic application is listed":                  unusedIsListed,
		"an alias leads to one application while there is one":     aliasLeads,
		"an alias stays what it was":                               aliasStays,
		"an intent is begun once":                                  intentIsBegunOnce,
		"an intent is taken over when its lease has ended":         intentIsTaken,
		"an intent that is undone leaves nothing":                  intentIsUndone,
		"an intent keeps what has become known":                    intentAdvances,
		"unfinished intents are listed by age":                     unfinishedAreListed,
		"a completion is all or nothing":                           completionIsAtomic,
		"a completion that makes no sense is refused":              completionIsRefused,
		"a contract changes only as the table says":                contractTransitions,
		"a contract is of an active application":                   contractNeedsApplication,
		"a contract is deleted unless it is revoked":               contractIsDeleted,
		"contracts are listed by client and by API":                contractsAreListed,
		"a contract that is made anew is not the old one":          contractIsNotTheOldOne,
		"an owner is barred from what was revoked":                 ownerIsBarred,
		"a usage follows its contract":                             usageFollows,
		"a usage is settled by one at a time":                      usageIsSettledByOne,
		"usages come and go with an application":                   usagesComeWithAnApplication,
		"a contract changes whoever settles its usage":             contractGetsThrough,
		"a grant is made once":                                     grantIsMadeOnce,
		"a grant that cannot be kept is refused":                   grantIsRefused,
		"a grant is exchanged as it was read":                      grantIsExchanged,
		"a grant that was revoked stays so":                        grantIsRevoked,
		"a grant is not found when it has expired":                 grantExpires,
		"an answer is kept until it expires":                       answerIsKept,
		"a quota is counted in its window":                         quotaIsCounted,
		"what is known of a provider is replaced":                  notesAreReplaced,
		"pages cover a list without gaps or repetitions":           pagesCover,
		"a cursor that is not of the list is refused":              cursorsAreChecked,
		"an idempotency key gives the same answer":                 claimIsAnswered,
		"an idempotency key is in progress until the lease":        claimIsLeased,
		"an idempotency key with another body is refused":          claimIsCompared,
		"a claim is settled and released":                          claimIsReleased,
		"an old attempt cannot complete what was taken over":       oldAttemptIsRefused,
		"audits are listed by target":                              auditsAreListed,
		"of parallel changes exactly one wins":                     oneWins,
		"of parallel claims of a key exactly one wins":             oneClaims,
		"of parallel redemptions and exchanges exactly one wins":   oneRedeems,
		"of parallel first uses of an alias exactly one wins":      oneTakesTheAlias,
		"a revocation gets through whatever else happens":          revocationWins,
		"names cannot run into each other":                         namesAreSeparate,
		"what is done after the caller has gone is refused":        contextEnds,
		"identifiers that no store could keep are not found":       oddNames,
		"last use is written once a day and never in between":      useIsTouched,
		"every operation names what it wants when it is not there": nothingIsFound,
	}
	for name, part := range parts {
		t.Run(name, func(t *testing.T) {
			clock := NewClock()
			part(&fixture{T: t, Store: open(t, clock.Now), clock: clock})
		})
	}
}

// fixture is one part's test and registry.
type fixture struct {
	*testing.T
	*registry.Store
	clock *Clock
}

func (f *fixture) ctx() context.Context { return f.Context() }

// must ends the test unless err is nil.
func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// want reports an error unless err is wanted.
func (f *fixture) want(wanted, err error) {
	f.Helper()
	if !errors.Is(err, wanted) {
		f.Errorf("got error %v, want %v", err, wanted)
	}
}

// hash is what a caller would have made of a secret or key.
func hash(digit string) string { return strings.Repeat(digit, 64) }

// draft is an application as registration knows it before the provider does.
func draft() registry.Application {
	return registry.Application{
		ID: registry.NewID(), Kind: registry.Developer, Provider: "okta", Owner: "ada",
		Name: "reports", RedirectURIs: []string{"https://app.example.com/callback"},
		GrantTypes: []string{"authorization_code"}, SecretHMAC: hash("a"), Management: []byte("sealed"),
	}
}

// begin begins an intent to do something with a.
func (f *fixture) begin(operation registry.Operation, a registry.Application) registry.Intent {
	f.Helper()
	i, err := f.Begin(f.ctx(), f.intent(operation, a))
	f.must(err)
	return i
}

func (f *fixture) intent(operation registry.Operation, a registry.Application) registry.Intent {
	return registry.Intent{
		Marker: registry.NewID(), Operation: operation, Application: a,
		Attempt: registry.NewID(), Lease: f.clock.Now().Add(time.Minute),
	}
}

// create registers a as if its provider had answered.
func (f *fixture) create(a registry.Application, contracts ...registry.Contract) registry.Application {
	f.Helper()
	i := f.begin(registry.Create, a)
	i.Application.ClientID = "client-" + a.ID
	f.must(f.Complete(f.ctx(), registry.Completion{Intent: i, Outcome: registry.Done, Contracts: contracts}))
	return f.application(a.ID)
}

func (f *fixture) application(id string) registry.Application {
	f.Helper()
	a, err := f.Application(f.ctx(), id)
	f.must(err)
	return a
}

func contractOf(a registry.Application, api string) registry.Contract {
	return registry.Contract{
		Provider: a.Provider, ClientID: a.ClientID, ApplicationID: a.ID,
		API: api, RequestedTier: "gold", Status: registry.Pending,
	}
}

func auditOf(target string) registry.Audit {
	return registry.Audit{Who: "ada", What: "test", Target: target, Details: map[string]string{"api": "orders"}}
}

// all walks a list to its end.
func all[T any](f *fixture, limit int, next func(registry.Page) ([]T, string, error)) []T {
	f.Helper()
	var found []T
	page := registry.Page{Limit: limit}
	for range 1000 {
		part, after, err := next(page)
		f.must(err)
		if len(part) > limit {
			f.Fatalf("a page of %d has %d", limit, len(part))
		}
		found = append(found, part...)
		if after == "" {
			return found
		}
		page.After = after
	}
	f.Fatal("the list does not end")
	return nil
}
