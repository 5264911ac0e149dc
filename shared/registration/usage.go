package registration

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"gatehouse/shared/apigw"
	"gatehouse/shared/registry"
	"gatehouse/shared/usageplan"
)

// This file has API Gateway hold applications to the limits of their tiers. A
// contract whose tier has a usage plan has an API key in that plan, by which the
// authorizer names it. What shall be is written down with the contract; here it
// is carried out: at once as far as that can be, else by [Service.SettleUsages].

// Limits of settling usages.
const (
	usageWait = 3 * time.Second // that a request takes for all that it has changed
	rounds    = 5               // how often what shall be may change while it is carried out
)

// errNoGateway is a function that may not manage API keys.
var errNoGateway = errors.New("registration: API keys are not managed here")

// metered is a contract of a with the usage plan of the tier that holds.
func (a API) metered(c registry.Contract) registry.Contract {
	c.UsagePlan = ""
	if tier, ok := a.tier(c.Tier); ok && c.Status == registry.Approved {
		c.UsagePlan = tier.UsagePlan
	}
	return c
}

// usagesOf are those of contracts that have a usage, or would leave one.
func usagesOf(contracts ...registry.Contract) []registry.ContractKey {
	var all []registry.ContractKey
	for _, c := range contracts {
		if c.UsagePlan != "" || c.UsageKey != "" {
			all = append(all, c.Key())
		}
	}
	return all
}

// settleSoon settles the usages of contracts that have changed, within the time
// that a request has for that. The change is made, whatever comes of it: what is
// left is for [Service.SettleUsages].
func (s *Service) settleSoon(ctx context.Context, changed ...registry.ContractKey) {
	until := time.Now().Add(usageWait)
	var left []error
	for _, k := range changed {
		if _, err := s.settleUsage(ctx, k, until); err != nil {
			left = append(left, err)
		}
	}
	if left != nil {
		apigw.Log(ctx, slog.Int("usages_left", len(left)), slog.String("usages_left_because", left[0].Error()))
	}
}

// settleUsage has API Gateway do what a usage says. It reports whether that is
// done; if not, and without an error, there was nothing to do or another is at it.
//
// The rules are those for intents. Who settles a usage has taken it, calls API
// Gateway only in the first part of the lease, and gives the lease up only if
// nothing is under way any more: so whoever takes over finds what there is.
func (s *Service) settleUsage(ctx context.Context, k registry.ContractKey, until time.Time) (bool, error) {
	if s.APIKeys == nil {
		return false, errNoGateway
	}
	if !time.Now().Before(until) {
		return false, fmt.Errorf("registration: usage of %s by %s: there was no time left", k.API, k.ClientID)
	}
	u, err := s.Store.TakeUsage(ctx, k, s.newID(), s.now().Add(lease))
	switch {
	case errors.Is(err, registry.ErrNotFound), errors.Is(err, registry.ErrTransition),
		errors.Is(err, registry.ErrInProgress), errors.Is(err, registry.ErrStale):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("registration: usage of %s by %s: %w", k.API, k.ClientID, err)
	}
	attempt := u.Attempt
	var cause error
	for range rounds {
		if cause == nil {
			u, cause = s.carryOut(ctx, u, until)
		}
		_, err := s.Store.UpdateUsage(ctx, u)
		if !errors.Is(err, registry.ErrStale) {
			return err == nil && cause == nil, errors.Join(cause, err)
		}
		// What shall be has changed; what has become known has not.
		now, err := s.Store.Usage(ctx, k)
		if err != nil || now.Attempt != attempt {
			return false, errors.Join(cause, err)
		}
		now.KeyID, now.Held = u.KeyID, u.Held
		if cause != nil {
			now.Lease = u.Lease
		}
		u = now
	}
	return false, errors.Join(cause, fmt.Errorf("registration: usage of %s by %s: it changes all the time", k.API, k.ClientID))
}

// carryOut has API Gateway do what u says. It returns u as it is to be kept.
func (s *Service) carryOut(ctx context.Context, u registry.Usage, until time.Time) (registry.Usage, error) {
	left := min(time.Until(until), u.Lease.Add(-settle).Sub(s.now()))
	ctx, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	k, err := s.APIKeys(ctx, usageplan.Key{Name: usageName(u), Value: u.Value, Plan: u.Plan, ID: u.KeyID, Held: u.Held})
	u.KeyID, u.Held = k.ID, k.Held
	switch {
	case err == nil:
		u.Settled, u.Attempt, u.Lease = true, "", time.Time{}
	case !errors.Is(err, usageplan.ErrUncertain):
		u.Lease = s.now() // whoever is next need not wait
	}
	return u, err
}

// maxKeyName is how long the name of an API key may be: 1,024 characters.
const maxKeyName = 1000

// usageName is what the key is called at API Gateway.
func usageName(u registry.Usage) string {
	name := "gatehouse " + u.Provider + " " + u.ClientID + " " + u.API
	if len(name) > maxKeyName {
		return "gatehouse " + digest("usage", name)
	}
	return name
}

// Usages is what became of usages that had not been settled.
type Usages struct {
	Changed int // contracts whose tier has another usage plan than it had
	Settled int
	Left    []UsageLeft
}

// UsageLeft is a usage that could not be settled.
type UsageLeft struct {
	Contract registry.ContractKey
	Err      error
}

// SettleUsages gives contracts the usage plans that their tiers have now, and
// settles all usages that are not settled and that nobody is at. One that cannot
// be does not keep the others from it. What there is no time for is left to the
// next time.
func (s *Service) SettleUsages(ctx context.Context) (Usages, error) {
	now := time.Now()
	left := lease
	if end, ok := ctx.Deadline(); ok {
		left = time.Until(end)
		left -= min(usageWait, left/4) // what is written down of the last one takes time, too
	}
	changed, err := s.followTiers(ctx, now.Add(left/2)) // the rest is for settling
	all := Usages{Changed: changed}
	if err != nil {
		return all, fmt.Errorf("registration: usages: %w", err)
	}
	round := settling{until: now.Add(left), missing: map[string]error{}}
	page := registry.Page{}
	for {
		open, next, err := s.Store.Unsettled(ctx, s.now(), page)
		if err != nil {
			return all, fmt.Errorf("registration: usages: %w", err)
		}
		for _, u := range open {
			if s.now().Before(u.Lease) {
				continue
			}
			settled, err := s.settleNext(ctx, u, &round)
			switch {
			case err != nil:
				all.Left = append(all.Left, UsageLeft{Contract: u.Key(), Err: err})
			case settled:
				all.Settled++
			}
		}
		if next == "" || !time.Now().Before(round.until) {
			return all, nil
		}
		page.After = next
	}
}

// settling is a round of [Service.SettleUsages].
type settling struct {
	until   time.Time
	missing map[string]error // by plan: there is none
	denied  error            // nothing may be done
}

// settleNext settles a usage, if those before do not tell that it is in vain.
func (s *Service) settleNext(ctx context.Context, u registry.Usage, r *settling) (bool, error) {
	if err := cmp.Or(r.denied, r.missing[u.Plan]); err != nil {
		return false, err
	}
	settled, err := s.settleUsage(ctx, u.Key(), r.until)
	switch {
	case errors.Is(err, usageplan.ErrDenied):
		r.denied = err
	case errors.Is(err, usageplan.ErrPlan):
		r.missing[u.Plan] = err
	}
	return settled, err
}

// followTiers gives approved contracts the usage plans that their tiers have in
// gatehouse.yaml now. It returns how many have changed.
func (s *Service) followTiers(ctx context.Context, until time.Time) (int, error) {
	changed := 0
	for _, a := range s.APIs {
		if !slices.ContainsFunc(a.Tiers, func(t Tier) bool { return t.UsagePlan != "" }) {
			continue
		}
		page := registry.Page{}
		for {
			contracts, next, err := s.Store.ContractsByAPI(ctx, a.Name, registry.Approved, page)
			if err != nil {
				return changed, err
			}
			for _, c := range contracts {
				to := a.metered(c)
				if to.UsagePlan == c.UsagePlan {
					continue
				}
				if !time.Now().Before(until) {
					return changed, nil
				}
				switch err := s.follow(ctx, to); {
				case err == nil:
					changed++
				case !errors.Is(err, registry.ErrStale) && !errors.Is(err, registry.ErrNotFound) && !errors.Is(err, registry.ErrInProgress):
					return changed, err
				}
			}
			if next == "" {
				break
			}
			page.After = next
		}
	}
	return changed, nil
}

// follow gives a contract the usage plan that its tier has now.
func (s *Service) follow(ctx context.Context, c registry.Contract) error {
	_, err := s.Store.UpdateContract(ctx, c, registry.Audit{
		Who: reconciler, What: "contract.planned", Target: c.ApplicationID,
		Details: map[string]string{"api": c.API, "client_id": c.ClientID, "tier": c.Tier, "usage_plan": c.UsagePlan},
	})
	return err
}
