package registrytest

import (
	"fmt"
	"time"

	"gatehouse/shared/registry"
)

var statuses = []registry.Status{registry.Pending, registry.Approved, registry.Rejected, registry.Revoked}

func contractTransitions(f *fixture) {
	allowed := map[[2]registry.Status]bool{
		{"", registry.Pending}: true, {"", registry.Approved}: true,
		{registry.Pending, registry.Pending}: true, {registry.Pending, registry.Approved}: true, {registry.Pending, registry.Rejected}: true,
		{registry.Approved, registry.Approved}: true, {registry.Approved, registry.Revoked}: true,
		{registry.Rejected, registry.Pending}: true,
		{registry.Revoked, registry.Approved}: true,
	}
	ways := map[registry.Status][]registry.Status{
		registry.Pending:  {registry.Pending},
		registry.Approved: {registry.Approved},
		registry.Rejected: {registry.Pending, registry.Rejected},
		registry.Revoked:  {registry.Approved, registry.Revoked},
	}
	a := f.create(draft())
	for _, to := range append(statuses, "", "other") {
		c := contractOf(a, "begins-"+string(to))
		c.Status = to
		_, err := f.CreateContract(f.ctx(), c, auditOf(a.ID))
		f.verdict(allowed, [2]registry.Status{"", to}, err)
		for _, from := range statuses {
			c := contractOf(a, fmt.Sprintf("%s-%s", from, to))
			for n, step := range ways[from] {
				c.Status = step
				if n == 0 {
					c, err = f.CreateContract(f.ctx(), c, auditOf(a.ID))
				} else {
					c, err = f.UpdateContract(f.ctx(), c, auditOf(a.ID))
				}
				f.must(err)
			}
			c.Status, c.Tier = to, "silver"
			_, err := f.UpdateContract(f.ctx(), c, auditOf(a.ID))
			change := [2]registry.Status{from, to}
			f.verdict(allowed, change, err)
			now, err := f.Contract(f.ctx(), c.Key())
			f.must(err)
			if want := map[bool]registry.Status{true: to, false: from}[allowed[change]]; now.Status != want {
				f.Errorf("from %q to %q: it is %q now, want %q", from, to, now.Status, want)
			}
		}
	}
}

// verdict reports an error unless err is what the change of status deserves.
func (f *fixture) verdict(allowed map[[2]registry.Status]bool, change [2]registry.Status, err error) {
	f.Helper()
	if !allowed[change] {
		f.want(registry.ErrTransition, err)
	} else if err != nil {
		f.Errorf("from %q to %q: %v", change[0], change[1], err)
	}
}

func contractNeedsApplication(f *fixture) {
	a := f.create(draft())
	c, err := f.CreateContract(f.ctx(), contractOf(a, "orders"), auditOf(a.ID))
	f.must(err)
	if c.Version <= 0 || !c.Created.Equal(f.clock.Now()) {
		f.Errorf("got %+v", c)
	}
	_, err = f.CreateContract(f.ctx(), contractOf(a, "orders"), auditOf(a.ID))
	f.want(registry.ErrConflict, err)
	foreign := contractOf(a, "billing")
	foreign.ClientID = "another"
	_, err = f.CreateContract(f.ctx(), foreign, auditOf(a.ID))
	f.want(registry.ErrInvalid, err)
	nobodys := contractOf(a, "billing")
	nobodys.ApplicationID = "another"
	_, err = f.CreateContract(f.ctx(), nobodys, auditOf(a.ID))
	f.want(registry.ErrNotFound, err)
	_, err = f.CreateContract(f.ctx(), contractOf(a, ""), auditOf(a.ID))
	f.want(registry.ErrInvalid, err)
	_, err = f.CreateContract(f.ctx(), contractOf(a, "billing"), registry.Audit{})
	f.want(registry.ErrInvalid, err)

	// What a contract is of stays, whatever an update says.
	f.clock.Advance(time.Hour)
	next := c
	next.Status, next.Tier, next.ApplicationID = registry.Approved, "gold", "another"
	_, err = f.UpdateContract(f.ctx(), next, auditOf(a.ID))
	f.must(err)
	now, err := f.Contract(f.ctx(), c.Key())
	f.must(err)
	if now.ApplicationID != a.ID || now.Tier != "gold" || !now.Created.Equal(c.Created) || !now.Updated.Equal(f.clock.Now()) {
		f.Errorf("got %+v", now)
	}
	_, err = f.UpdateContract(f.ctx(), next, auditOf(a.ID)) // as it was before
	f.want(registry.ErrStale, err)
}

func contractIsDeleted(f *fixture) {
	a := f.create(draft())
	c, err := f.CreateContract(f.ctx(), contractOf(a, "orders"), auditOf(a.ID))
	f.must(err)
	old := c
	c.Status = registry.Approved
	c, err = f.UpdateContract(f.ctx(), c, auditOf(a.ID))
	f.must(err)
	f.want(registry.ErrStale, f.DeleteContract(f.ctx(), old, auditOf(a.ID)))
	c.Status = registry.Revoked
	c, err = f.UpdateContract(f.ctx(), c, auditOf(a.ID))
	f.must(err)
	f.want(registry.ErrTransition, f.DeleteContract(f.ctx(), c, auditOf(a.ID)))
	c.Status = registry.Approved
	c, err = f.UpdateContract(f.ctx(), c, auditOf(a.ID))
	f.must(err)
	f.must(f.DeleteContract(f.ctx(), c, auditOf(a.ID)))
	f.want(registry.ErrNotFound, f.DeleteContract(f.ctx(), c, auditOf(a.ID)))
	if audits, _, err := f.Audits(f.ctx(), a.ID, registry.Page{}); err != nil || len(audits) != 5 {
		f.Errorf("got %d audits, %v; want one for each change that was made, 5", len(audits), err)
	}
}

func contractsAreListed(f *fixture) {
	a, b := f.create(draft()), f.create(draft())
	for _, application := range []registry.Application{a, b} {
		for _, api := range []string{"orders", "billing"} {
			f.clock.Advance(time.Second)
			_, err := f.CreateContract(f.ctx(), contractOf(application, api), auditOf(a.ID))
			f.must(err)
		}
	}
	of, _, err := f.ContractsByClient(f.ctx(), a.Client(), registry.Page{})
	f.must(err)
	if len(of) != 2 || of[0].API != "billing" || of[1].API != "orders" {
		f.Errorf("got %+v, want billing and orders", of)
	}
	pending, _, err := f.ContractsByAPI(f.ctx(), "orders", registry.Pending, registry.Page{})
	f.must(err)
	if len(pending) != 2 || pending[0].ClientID != a.ClientID || pending[1].ClientID != b.ClientID {
		f.Errorf("got %+v, want both, the older first", pending)
	}
	next := pending[0]
	next.Status = registry.Approved
	_, err = f.UpdateContract(f.ctx(), next, auditOf(a.ID))
	f.must(err)
	for status, want := range map[registry.Status]string{registry.Pending: b.ClientID, registry.Approved: a.ClientID} {
		got, _, err := f.ContractsByAPI(f.ctx(), "orders", status, registry.Page{})
		f.must(err)
		if len(got) != 1 || got[0].ClientID != want {
			f.Errorf("%s: got %+v, want that of %s", status, got, want)
		}
	}
	_, _, err = f.ContractsByAPI(f.ctx(), "orders", "other", registry.Page{})
	f.want(registry.ErrInvalid, err)
}

// A slow decision about a contract must not hit the one that took its place.
func contractIsNotTheOldOne(f *fixture) {
	a := f.create(draft())
	old, err := f.CreateContract(f.ctx(), contractOf(a, "orders"), auditOf(a.ID))
	f.must(err)
	f.must(f.DeleteContract(f.ctx(), old, auditOf(a.ID)))
	anew, err := f.CreateContract(f.ctx(), contractOf(a, "orders"), auditOf(a.ID))
	f.must(err)
	decision := old
	decision.Status = registry.Approved
	_, err = f.UpdateContract(f.ctx(), decision, auditOf(a.ID))
	f.want(registry.ErrStale, err)
	f.want(registry.ErrStale, f.DeleteContract(f.ctx(), old, auditOf(a.ID)))
	if now, err := f.Contract(f.ctx(), anew.Key()); err != nil || now.Version != anew.Version || now.Status != registry.Pending {
		f.Errorf("got %+v, %v; want it untouched", now, err)
	}
}

func ownerIsBarred(f *fixture) {
	barred := func(when string, want bool) {
		f.Helper()
		for owner, want := range map[string]bool{"ada": want, "grace": false} {
			if got, err := f.Barred(f.ctx(), owner, "orders"); err != nil || got != want {
				f.Errorf("%s: %s barred: got %t, %v, want %t", when, owner, got, err, want)
			}
		}
	}
	a := f.create(draft())
	c := contractOf(a, "orders")
	c.Status = registry.Approved
	c, err := f.CreateContract(f.ctx(), c, auditOf(a.ID))
	f.must(err)
	become := func(status registry.Status) {
		c.Status = status
		c, err = f.UpdateContract(f.ctx(), c, auditOf(a.ID))
		f.must(err)
	}
	barred("before", false)
	become(registry.Revoked)
	barred("revoked", true)
	become(registry.Approved)
	barred("restored", false)
	become(registry.Revoked)
	f.begin(registry.Delete, f.application(a.ID))
	f.must(f.removeContracts(a))
	barred("when the application goes", true)
}
