package registrytest

import (
	"errors"
	"fmt"
	"time"

	"gatehouse/shared/registry"
)

// approved is a contract with a usage plan.
func approved(a registry.Application, api, plan string) registry.Contract {
	c := contractOf(a, api)
	c.Status, c.UsagePlan = registry.Approved, plan
	return c
}

// unsettled are the usages that are to be settled.
func (f *fixture) unsettled() []registry.Usage {
	f.Helper()
	f.clock.Advance(time.Second)
	return all(f, 2, func(p registry.Page) ([]registry.Usage, string, error) { return f.Unsettled(f.ctx(), f.clock.Now(), p) })
}

// settle is what is done when API Gateway has done its part.
func (f *fixture) settle(k registry.ContractKey) {
	f.Helper()
	u, err := f.TakeUsage(f.ctx(), k, registry.NewID(), f.clock.Now().Add(time.Minute))
	f.must(err)
	u.KeyID, u.Held, u.Settled, u.Attempt, u.Lease = "key of "+u.Value, u.Plan, true, "", time.Time{}
	_, err = f.UpdateUsage(f.ctx(), u)
	f.must(err)
}

func usageFollows(f *fixture) {
	a := f.create(draft())
	c := contractOf(a, "orders")
	c.UsagePlan, c.UsageKey = "plan1", "not the store's"
	c, err := f.CreateContract(f.ctx(), c, auditOf(a.ID))
	f.must(err)
	var value string
	become := func(status registry.Status, plan string) {
		f.Helper()
		c.Status, c.UsagePlan, c.UsageKey = status, plan, "not the store's"
		c, err = f.UpdateContract(f.ctx(), c, auditOf(a.ID))
		f.must(err)
	}
	// want compares contract and usage with a plan; "": none, unless left.
	want := func(when, plan string, left, settled bool) {
		f.Helper()
		is, err := f.Contract(f.ctx(), c.Key())
		f.must(err)
		if is.UsagePlan != plan || is.UsageKey != c.UsageKey || (is.UsageKey == "") != (plan == "") {
			f.Errorf("%s: the contract has plan %q and key %q, want plan %q", when, is.UsagePlan, is.UsageKey, plan)
		}
		u, err := f.Usage(f.ctx(), c.Key())
		if plan == "" && !left {
			f.want(registry.ErrNotFound, err)
			return
		}
		f.must(err)
		if u.Plan != plan || u.Settled != settled || len(u.Value) != 64 || plan != "" && u.Value != is.UsageKey || u.Key() != c.Key() {
			f.Errorf("%s: got %+v, want plan %q, settled %t, of %s", when, u, plan, settled, is.UsageKey)
		}
		if value != "" && u.Value != value {
			f.Errorf("%s: the value has changed", when)
		}
		value = u.Value
		if listed := f.unsettled(); (len(listed) == 1 && listed[0].Version == u.Version) == settled {
			f.Errorf("%s: listed are %+v, want it to be: %t", when, listed, !settled)
		}
	}
	want("while it is pending", "", false, false)
	become(registry.Approved, "plan1")
	want("approved", "plan1", true, false)
	f.settle(c.Key())
	want("settled", "plan1", true, true)
	become(registry.Approved, "plan2")
	want("with another plan", "plan2", true, false)
	if u, err := f.Usage(f.ctx(), c.Key()); err != nil || u.Held != "plan1" || u.KeyID != "key of "+value {
		f.Errorf("got %+v, %v; want what is known of the key kept", u, err)
	}
	f.settle(c.Key())
	become(registry.Approved, "plan2")
	want("decided again", "plan2", true, false)
	become(registry.Revoked, "plan2")
	want("revoked", "", true, false)
	become(registry.Approved, "plan1")
	want("restored before the key was gone", "plan1", true, false)
	f.must(f.DeleteContract(f.ctx(), c, auditOf(a.ID)))
	if u, err := f.Usage(f.ctx(), c.Key()); err != nil || u.Plan != "" || u.Settled {
		f.Errorf("got %+v, %v; want it to be settled without a plan", u, err)
	}
	c, err = f.CreateContract(f.ctx(), approved(a, "orders", "plan1"), auditOf(a.ID))
	f.must(err)
	want("made anew before the key was gone", "plan1", true, false)
	become(registry.Approved, "")
	f.settle(c.Key())
	want("with a tier without a plan", "", false, false)
	if listed := f.unsettled(); len(listed) > 0 {
		f.Errorf("listed are %+v, want nothing", listed)
	}
	old := value
	value = ""
	become(registry.Approved, "plan1")
	want("with a plan again", "plan1", true, false)
	if value == old {
		f.Error("a key that is gone comes again with the same value")
	}
}

func usageIsSettledByOne(f *fixture) {
	a := f.create(draft())
	c, err := f.CreateContract(f.ctx(), approved(a, "orders", "plan1"), auditOf(a.ID))
	f.must(err)
	lease := f.clock.Now().Add(time.Minute)
	first, err := f.TakeUsage(f.ctx(), c.Key(), "first", lease)
	f.must(err)
	_, err = f.TakeUsage(f.ctx(), c.Key(), "second", lease)
	f.want(registry.ErrInProgress, err)

	// What shall be changes under the one who is at it, who stays at it.
	c.UsagePlan = "plan2"
	c, err = f.UpdateContract(f.ctx(), c, auditOf(a.ID))
	f.must(err)
	first.Settled = true
	_, err = f.UpdateUsage(f.ctx(), first)
	f.want(registry.ErrStale, err)
	if u, err := f.Usage(f.ctx(), c.Key()); err != nil || u.Attempt != "first" || !u.Lease.Equal(lease) || u.Plan != "plan2" || u.Settled {
		f.Errorf("got %+v, %v; want it with plan2, and with the first", u, err)
	}
	_, err = f.TakeUsage(f.ctx(), c.Key(), "second", lease)
	f.want(registry.ErrInProgress, err)
	first, err = f.TakeUsage(f.ctx(), c.Key(), "first", lease)
	f.must(err)

	f.clock.Advance(time.Minute)
	second, err := f.TakeUsage(f.ctx(), c.Key(), "second", f.clock.Now().Add(time.Minute))
	f.must(err)
	_, err = f.UpdateUsage(f.ctx(), first)
	f.want(registry.ErrStale, err)
	second.Settled, second.Attempt, second.Lease = true, "", time.Time{}
	second, err = f.UpdateUsage(f.ctx(), second)
	f.must(err)
	_, err = f.TakeUsage(f.ctx(), c.Key(), "third", lease)
	f.want(registry.ErrTransition, err)

	for name, spoil := range map[string]func(*registry.Usage){
		"no version":         func(u *registry.Usage) { u.Version = 0 },
		"no value":           func(u *registry.Usage) { u.Value = "" },
		"another's contract": func(u *registry.Usage) { u.API = "billing" },
	} {
		u := second
		spoil(&u)
		if _, err := f.UpdateUsage(f.ctx(), u); !errors.Is(err, registry.ErrStale) && !errors.Is(err, registry.ErrInvalid) {
			f.Errorf("%s: got %v", name, err)
		}
	}

	// One that is dropped and made anew is not the old one.
	f.must(f.DeleteContract(f.ctx(), c, auditOf(a.ID)))
	old, err := f.TakeUsage(f.ctx(), c.Key(), "first", f.clock.Now())
	f.must(err)
	f.settle(c.Key())
	_, err = f.CreateContract(f.ctx(), approved(a, "orders", "plan1"), auditOf(a.ID))
	f.must(err)
	old.Settled = true
	_, err = f.UpdateUsage(f.ctx(), old)
	f.want(registry.ErrStale, err)
}

func usagesComeWithAnApplication(f *fixture) {
	a := draft()
	a.ClientID = "client-" + a.ID
	contracts := []registry.Contract{contractOf(a, "pending"), contractOf(a, "told")}
	contracts[0].UsagePlan, contracts[1].Status = "plan", registry.Approved
	for n := range 39 {
		contracts = append(contracts, approved(a, fmt.Sprintf("api%d", n), "plan"))
	}
	i := f.begin(registry.Create, a)
	i.Application.ClientID = a.ClientID
	end := registry.Completion{Intent: i, Outcome: registry.Done, Contracts: contracts}
	f.want(registry.ErrInvalid, f.Complete(f.ctx(), end)) // 41 contracts, 40 of which count twice
	end.Contracts = contracts[:40]
	f.must(f.Complete(f.ctx(), end))
	values := map[string]bool{}
	for _, c := range all(f, 100, func(p registry.Page) ([]registry.Contract, string, error) {
		return f.ContractsByClient(f.ctx(), a.Client(), p)
	}) {
		u, err := f.Usage(f.ctx(), c.Key())
		if c.API == "pending" || c.API == "told" {
			f.want(registry.ErrNotFound, err)
			if c.UsageKey != "" || c.UsagePlan != "" {
				f.Errorf("%s: got %+v, want no usage", c.API, c)
			}
			continue
		}
		f.must(err)
		if u.Plan != "plan" || u.Value != c.UsageKey || u.Settled || values[u.Value] {
			f.Errorf("%s: got %+v of %+v", c.API, u, c)
		}
		values[u.Value] = true
	}
	if listed := f.unsettled(); len(listed) != 38 {
		f.Errorf("%d are to be settled, want 38", len(listed))
	}

	f.begin(registry.Delete, f.application(a.ID))
	left, err := f.RemoveContracts(f.ctx(), a.ID)
	f.must(err)
	if len(left) != 38 {
		f.Errorf("got %d usages left, want 38", len(left))
	}
	for _, k := range left {
		if u, err := f.Usage(f.ctx(), k); err != nil || u.Plan != "" || !values[u.Value] {
			f.Errorf("got %+v, %v; want the key to be removed", u, err)
		}
		f.settle(k)
	}
	if listed := f.unsettled(); len(listed) > 0 {
		f.Errorf("listed are %+v, want nothing", listed)
	}
}

// contractGetsThrough lets everybody settle while a contract changes.
func contractGetsThrough(f *fixture) {
	a := f.create(draft())
	c, err := f.CreateContract(f.ctx(), approved(a, "orders", "plan0"), auditOf(a.ID))
	f.must(err)
	for _, err := range race(func(n int) error {
		if n == 0 {
			return f.changeOften(c)
		}
		for range 20 {
			u, err := f.Usage(f.ctx(), c.Key())
			if err != nil {
				return err
			}
			u.Settled = n%2 == 0
			if _, err := f.UpdateUsage(f.ctx(), u); err != nil && !errors.Is(err, registry.ErrStale) && !errors.Is(err, registry.ErrInProgress) {
				return err
			}
		}
		return nil
	}) {
		f.must(err)
	}
	is, err := f.Contract(f.ctx(), c.Key())
	f.must(err)
	if u, err := f.Usage(f.ctx(), c.Key()); err != nil || u.Plan != is.UsagePlan || u.Value != is.UsageKey || is.UsagePlan != "plan9" {
		f.Errorf("got %+v, %v, of %+v", u, err, is)
	}
}

// changeOften gives a contract another plan, again and again. That it is
// contended is fine; that it had changed, which nobody does, is not.
func (f *fixture) changeOften(c registry.Contract) error {
	for n := range 10 {
		c.UsagePlan = fmt.Sprintf("plan%d", n)
		next, err := f.UpdateContract(f.ctx(), c, auditOf("orders"))
		for errors.Is(err, registry.ErrInProgress) {
			next, err = f.UpdateContract(f.ctx(), c, auditOf("orders"))
		}
		if err != nil {
			return err
		}
		c = next
	}
	return nil
}
