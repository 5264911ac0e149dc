package registration_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/shared/registration"
	"gatehouse/shared/registry"
	"gatehouse/shared/usageplan/usageplantest"
)

// metered registers applications that each have a contract of a tier.
func (s *site) metered(t *testing.T, tier string, n int) []registry.Application {
	t.Helper()
	var all []registry.Application
	for range n {
		r := service("Reports")
		r.Access = []registration.Access{{API: "orders", Tier: tier}}
		made, err := s.Register(t.Context(), ada, r)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, made.Application)
	}
	return all
}

// counting counts the requests to API Gateway, which refuses all or serves all.
func (s *site) counting(refuse func(http.ResponseWriter)) *int {
	asked := new(int)
	s.gateway.Around = func(w http.ResponseWriter, _ *http.Request, serve func()) error {
		*asked++
		if refuse != nil {
			refuse(w)
			return nil
		}
		serve()
		return nil
	}
	return asked
}

func (s *site) wantUsages(t *testing.T, when string, wanted map[string]int, word string) {
	t.Helper()
	s.clock.Advance(time.Second)
	counts, notes, err := s.KeepUsagePlans(t.Context())
	if err != nil || !maps.Equal(counts, wanted) || (word == "") != (notes == nil) || !strings.Contains(strings.Join(notes, "; "), word) {
		t.Errorf("%s: got %v, %q, %v; want %v and %q", when, counts, notes, err, wanted, word)
	}
}

func TestWhatCannotBeDoneAtAPIGatewayIsAskedForOnce(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, word string
		spoil      func(*site)
		mend       func(*site)
		asked      int
	}{
		{
			"the role may not", "UsagePlans",
			func(s *site) {
				s.counting(func(w http.ResponseWriter) {
					usageplantest.Refuse(w, http.StatusForbidden, "AccessDeniedException", "")
				})
			},
			func(*site) {}, 1,
		},
		{
			"there is no such plan", "nosuch",
			func(s *site) { s.APIs[0].Tiers[0].UsagePlan = "nosuch" },
			func(s *site) { s.APIs[0].Tiers[0].UsagePlan = "trial1" }, 4, // the key, its plans, the plan, and whether it is that
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			row.spoil(s)
			s.metered(t, "trial", 3) // the contracts stand
			around := s.gateway.Around
			asked := 0
			s.gateway.Around = func(w http.ResponseWriter, r *http.Request, serve func()) error {
				asked++
				if around != nil {
					return around(w, r, serve)
				}
				serve()
				return nil
			}
			s.wantUsages(t, "broken", map[string]int{"changed": 0, "settled": 0, "left": 3}, row.word)
			if asked != row.asked {
				t.Errorf("API Gateway was asked %d times, want %d", asked, row.asked)
			}
			s.gateway.Around = nil
			row.mend(s)
			changed := 0
			if row.word == "nosuch" {
				changed = 3
			}
			s.wantUsages(t, "mended", map[string]int{"changed": changed, "settled": 3 - changed, "left": 0}, "")
			s.wantUsages(t, "mended, the next time", map[string]int{"changed": 0, "settled": changed, "left": 0}, "")
			for _, k := range s.gateway.Keys() {
				if s.gateway.PlanOf(k.Value) != "trial1" {
					t.Errorf("got %+v, want it in trial1", k)
				}
			}
		})
	}
}

// TestWhoAsksDoesNotKeepAPIGatewayBusy: it makes ten changes a second for the
// whole account, and anybody may ask.
func TestWhoAsksDoesNotKeepAPIGatewayBusy(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.metered(t, "trial", 1)[0]
	asked := s.counting(nil)
	for range 3 {
		if _, err := s.RequestAccess(t.Context(), ada, a.ID, registration.Access{API: "orders", Tier: "gold"}); err != nil {
			t.Fatal(err)
		}
	}
	if *asked != 0 {
		t.Errorf("API Gateway was asked %d times", *asked)
	}
	// An owner who decides the same again puts right what was done by hand.
	s.gateway.Change(func(*usageplantest.Key) bool { return false })
	if _, err := s.Decide(t.Context(), grace, registration.Decision{API: "orders", ClientID: a.ClientID, Tier: "trial"}); err != nil {
		t.Fatal(err)
	}
	if keys := s.gateway.Keys(); len(keys) != 1 || s.gateway.PlanOf(keys[0].Value) != "trial1" {
		t.Errorf("got %+v, want the key anew", keys)
	}
}

func TestWhereAPIKeysAreNotManagedTheContractStands(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.APIKeys = nil
	a := s.metered(t, "trial", 1)[0]
	c, err := s.Store.Contract(t.Context(), registry.ContractKey{Provider: a.Provider, ClientID: a.ClientID, API: "orders"})
	if err != nil || c.Status != registry.Approved || c.UsageKey == "" {
		t.Errorf("got %+v, %v", c, err)
	}
	s.wantUsages(t, "not managed", map[string]int{"changed": 0, "settled": 0, "left": 1}, "not managed here")
}

// TestARegistryThatIsDownFailsTheJob so that an alarm sees it.
func TestARegistryThatIsDownFailsTheJob(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.metered(t, "trial", 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.KeepUsagePlans(ctx); !errors.Is(err, registry.ErrUnavailable) {
		t.Errorf("got %v, want %v", err, registry.ErrUnavailable)
	}
}
