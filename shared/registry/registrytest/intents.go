package registrytest

import (
	"fmt"
	"time"

	"gatehouse/shared/registry"
)

func intentIsBegunOnce(f *fixture) {
	i := f.intent(registry.Create, draft())
	first, err := f.Begin(f.ctx(), i)
	f.must(err)
	again, err := f.Begin(f.ctx(), i)
	f.must(err)
	if again.Version != first.Version || again.Outcome != "" {
		f.Errorf("repeated it is %+v, want %+v", again, first)
	}
	i.Attempt = registry.NewID()
	_, err = f.Begin(f.ctx(), i)
	f.want(registry.ErrConflict, err)

	a := f.create(draft())
	update := f.intent(registry.Update, a)
	first, err = f.Begin(f.ctx(), update)
	f.must(err)
	again, err = f.Begin(f.ctx(), update)
	f.must(err)
	if again.Held != first.Held || again.Application.Version != first.Application.Version {
		f.Errorf("repeated it is %+v, want %+v", again, first)
	}
	for _, bad := range []func(*registry.Intent){
		func(i *registry.Intent) { i.Marker = "" },
		func(i *registry.Intent) { i.Attempt = "" },
		func(i *registry.Intent) { i.Lease = time.Time{} },
		func(i *registry.Intent) { i.Operation = "" },
		func(i *registry.Intent) { i.Key = "a key in clear" },
	} {
		i := f.intent(registry.Create, draft())
		bad(&i)
		_, err := f.Begin(f.ctx(), i)
		f.want(registry.ErrInvalid, err)
	}
}

func intentIsTaken(f *fixture) {
	i := f.begin(registry.Create, draft())
	second := registry.NewID()
	_, err := f.Take(f.ctx(), i.Marker, second, f.clock.Now().Add(time.Minute))
	f.want(registry.ErrInProgress, err)
	f.clock.Advance(time.Minute)
	taken, err := f.Take(f.ctx(), i.Marker, second, f.clock.Now().Add(time.Minute))
	f.must(err)
	if taken.Attempt != second || taken.Application.ID != i.Application.ID {
		f.Errorf("got %+v", taken)
	}
	// The first is refused whatever it tries.
	i.Application.ClientID = "client"
	f.want(registry.ErrStale, f.Complete(f.ctx(), registry.Completion{Intent: i, Outcome: registry.Done}))
	_, err = f.Advance(f.ctx(), i)
	f.want(registry.ErrStale, err)
	_, err = f.Take(f.ctx(), i.Marker, i.Attempt, f.clock.Now().Add(time.Minute))
	f.want(registry.ErrInProgress, err)

	f.must(f.Complete(f.ctx(), registry.Completion{Intent: taken, Outcome: registry.Undone}))
	_, err = f.Take(f.ctx(), i.Marker, second, f.clock.Now().Add(time.Minute))
	f.want(registry.ErrTransition, err)
}

func intentIsUndone(f *fixture) {
	i := f.begin(registry.Create, draft())
	f.must(f.Complete(f.ctx(), registry.Completion{Intent: i, Outcome: registry.Undone}))
	f.must(f.Complete(f.ctx(), registry.Completion{Intent: i, Outcome: registry.Undone}))
	_, err := f.Application(f.ctx(), i.Application.ID)
	f.want(registry.ErrNotFound, err)
	ended, err := f.Intent(f.ctx(), i.Marker)
	f.must(err)
	if ended.Outcome != registry.Undone || !ended.Finished.Equal(f.clock.Now()) || ended.Application.SecretHMAC != "" {
		f.Errorf("got %+v, want it ended and its draft dropped", ended)
	}

	a := f.create(draft())
	update := a
	update.Name = "renamed"
	i = f.begin(registry.Update, update)
	i.Application.Management = []byte("rotated and sealed")
	i, err = f.Advance(f.ctx(), i)
	f.must(err)
	f.must(f.Complete(f.ctx(), registry.Completion{Intent: i, Outcome: registry.Undone}))
	if now := f.application(a.ID); now.Name != a.Name || string(now.Management) != "rotated and sealed" || now.Pending != "" || now.State != registry.Active {
		f.Errorf("got %+v, want it as before but for what the provider changed", now)
	}
}

func intentAdvances(f *fixture) {
	i := f.begin(registry.Create, draft())
	i.Application.ClientID, i.Application.Management = "client", []byte("rotated and sealed")
	_, err := f.Advance(f.ctx(), i)
	f.must(err)
	kept, err := f.Intent(f.ctx(), i.Marker)
	f.must(err)
	if kept.Application.ClientID != "client" || string(kept.Application.Management) != "rotated and sealed" {
		f.Errorf("got %+v", kept)
	}
	f.must(f.Complete(f.ctx(), registry.Completion{Intent: kept, Outcome: registry.Done}))
	if a := f.application(i.Application.ID); string(a.Management) != "rotated and sealed" {
		f.Errorf("got %+v", a)
	}
}

func unfinishedAreListed(f *fixture) {
	want := map[string]bool{}
	for n := range 20 {
		i := f.begin(registry.Create, draft())
		want[i.Marker] = n%3 != 0
		if n%3 == 0 {
			f.must(f.Complete(f.ctx(), registry.Completion{Intent: i, Outcome: registry.Undone}))
		}
	}
	f.clock.Advance(time.Minute)
	f.begin(registry.Create, draft()) // too young
	before := f.clock.Now()
	for _, limit := range []int{1, 3, 100} {
		seen := map[string]bool{}
		for _, i := range all(f, limit, func(p registry.Page) ([]registry.Intent, string, error) {
			return f.Unfinished(f.ctx(), before, p)
		}) {
			if seen[i.Marker] || !want[i.Marker] {
				f.Errorf("%s is listed twice, finished or too young", i.Marker)
			}
			seen[i.Marker] = true
		}
		if len(seen) != 13 {
			f.Errorf("pages of %d list %d, want 13", limit, len(seen))
		}
	}
}

func completionIsAtomic(f *fixture) {
	a := f.create(draft())
	// Another application for a client that has one: every part of the
	// transaction is fine but that.
	i := f.begin(registry.Create, draft())
	i.Application.ClientID = a.ClientID
	c := contractOf(i.Application, "orders")
	end := registry.Completion{
		Intent: i, Outcome: registry.Done, Contracts: []registry.Contract{c}, Audits: []registry.Audit{auditOf("target")},
	}
	f.want(registry.ErrConflict, f.Complete(f.ctx(), end))
	_, err := f.Application(f.ctx(), i.Application.ID)
	f.want(registry.ErrNotFound, err)
	_, err = f.Contract(f.ctx(), c.Key())
	f.want(registry.ErrNotFound, err)
	if audits, _, err := f.Audits(f.ctx(), "target", registry.Page{}); err != nil || len(audits) != 0 {
		f.Errorf("got audits %v, %v; want none", audits, err)
	}
	if open, err := f.Intent(f.ctx(), i.Marker); err != nil || open.Outcome != "" {
		f.Errorf("got intent %+v, %v; want it open", open, err)
	}

	end.Intent.Application.ClientID, end.Intent.Application.Alias = "its own", alias
	end.Contracts = nil
	for n := range 80 {
		end.Contracts = append(end.Contracts, contractOf(end.Intent.Application, fmt.Sprintf("api-%d", n)))
	}
	f.must(f.Complete(f.ctx(), end))
	f.must(f.Complete(f.ctx(), end))
	if got, _, err := f.ContractsByClient(f.ctx(), end.Intent.Application.Client(), registry.Page{Limit: 100}); err != nil || len(got) != 80 {
		f.Errorf("got %d contracts, %v; want 80", len(got), err)
	}
	if audits, _, err := f.Audits(f.ctx(), "target", registry.Page{}); err != nil || len(audits) != 1 {
		f.Errorf("got audits %v, %v; want one", audits, err)
	}
}

func completionIsRefused(f *fixture) {
	i := f.begin(registry.Create, draft())
	i.Application.ClientID = "client"
	own := contractOf(i.Application, "orders")
	foreign := own
	foreign.ApplicationID = "another"
	revoked := own
	revoked.Status = registry.Revoked
	for name, row := range map[string]struct {
		end  registry.Completion
		want error
	}{
		"no outcome":                  {registry.Completion{Intent: i}, registry.ErrInvalid},
		"a contract of another":       {registry.Completion{Intent: i, Outcome: registry.Done, Contracts: []registry.Contract{foreign}}, registry.ErrInvalid},
		"a contract that is revoked":  {registry.Completion{Intent: i, Outcome: registry.Done, Contracts: []registry.Contract{revoked}}, registry.ErrTransition},
		"contracts and undone":        {registry.Completion{Intent: i, Outcome: registry.Undone, Contracts: []registry.Contract{own}}, registry.ErrInvalid},
		"too many contracts":          {registry.Completion{Intent: i, Outcome: registry.Done, Contracts: make([]registry.Contract, 81)}, registry.ErrInvalid},
		"an audit without who":        {registry.Completion{Intent: i, Outcome: registry.Done, Audits: []registry.Audit{{What: "x", Target: "y"}}}, registry.ErrInvalid},
		"a claim without an answer":   {registry.Completion{Intent: i, Outcome: registry.Done, Claim: &registry.Claim{}}, registry.ErrInvalid},
		"an intent that was not read": {registry.Completion{Intent: f.intent(registry.Create, draft()), Outcome: registry.Done}, registry.ErrTransition},
	} {
		if err := f.Complete(f.ctx(), row.end); err == nil {
			f.Errorf("%s: completed", name)
		} else {
			f.want(row.want, err)
		}
	}
	if open, err := f.Intent(f.ctx(), i.Marker); err != nil || open.Outcome != "" {
		f.Errorf("got intent %+v, %v; want it open", open, err)
	}
}
