package registrytest

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"gatehouse/shared/registry"
)

func pagesCover(f *fixture) {
	var want []string
	for n := range 23 {
		if n%4 == 0 { // several at the same instant too
			f.clock.Advance(time.Millisecond)
		}
		want = append(want, f.create(draft()).ID)
	}
	for _, limit := range []int{1, 7, 22, 23, 24, 100} {
		var got []string
		for _, a := range all(f, limit, func(p registry.Page) ([]registry.Application, string, error) {
			return f.ApplicationsByOwner(f.ctx(), "ada", p)
		}) {
			got = append(got, a.ID)
		}
		if !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
			f.Errorf("pages of %d list %d applications, want these %d once each", limit, len(got), len(want))
		}
	}
	if got, next, err := f.ApplicationsByOwner(f.ctx(), "ada", registry.Page{Limit: 23}); err != nil || len(got) != 23 || next != "" {
		f.Errorf("a page of exactly all has %d and cursor %q, %v; want no cursor", len(got), next, err)
	}
}

func cursorsAreChecked(f *fixture) {
	for range 3 {
		f.create(draft())
		f.begin(registry.Create, draft())
	}
	_, cursor, err := f.ApplicationsByOwner(f.ctx(), "ada", registry.Page{Limit: 1})
	f.must(err)
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	f.must(err)
	bad := []string{"x", "not base64url!", cursor + "=", cursor[:len(cursor)-2], strings.Repeat("A", 4096)}
	for n := range raw {
		flipped := slices.Clone(raw)
		flipped[n] ^= 1
		bad = append(bad, base64.RawURLEncoding.EncodeToString(flipped))
	}
	for _, c := range bad {
		_, _, err := f.ApplicationsByOwner(f.ctx(), "ada", registry.Page{After: c})
		f.want(registry.ErrCursor, err)
	}
	page := registry.Page{After: cursor}
	_, _, err = f.ApplicationsByOwner(f.ctx(), "grace", page)
	f.want(registry.ErrCursor, err)
	_, _, err = f.Unfinished(f.ctx(), f.clock.Now(), page)
	f.want(registry.ErrCursor, err)
	_, _, err = f.ContractsByAPI(f.ctx(), "orders", registry.Pending, page)
	f.want(registry.ErrCursor, err)
	_, _, err = f.Audits(f.ctx(), "ada", page)
	f.want(registry.ErrCursor, err)

	// A list that shrinks under its cursor ends.
	f.clock.Advance(time.Second)
	_, cursor, err = f.Unfinished(f.ctx(), f.clock.Now(), registry.Page{Limit: 1})
	f.must(err)
	if got, _, err := f.Unfinished(f.ctx(), f.clock.Now().Add(-time.Hour), registry.Page{After: cursor}); err != nil || len(got) != 0 {
		f.Errorf("got %v, %v; want nothing", got, err)
	}
}

func auditsAreListed(f *fixture) {
	for n := range 5 {
		f.clock.Advance(time.Second)
		audit := auditOf("target")
		audit.What = "step " + string(rune('0'+n))
		f.must(f.Append(f.ctx(), audit))
	}
	f.must(f.Append(f.ctx(), auditOf("other")))
	got := all(f, 2, func(p registry.Page) ([]registry.Audit, string, error) { return f.Audits(f.ctx(), "target", p) })
	if len(got) != 5 || got[0].What != "step 0" || got[4].What != "step 4" || got[0].Details["api"] != "orders" ||
		got[0].Who != "ada" || !got[4].When.Equal(f.clock.Now()) {
		f.Errorf("got %+v, want five in order", got)
	}
	f.want(registry.ErrInvalid, f.Append(f.ctx(), registry.Audit{Who: "ada", What: "x"}))
}

func namesAreSeparate(f *fixture) {
	a, b := draft(), draft()
	a.Provider, a.ClientID = "p#c", "d"
	b.Provider, b.ClientID = "p", "c#d"
	for _, application := range []registry.Application{a, b} {
		i := f.begin(registry.Create, application)
		f.must(f.Complete(f.ctx(), registry.Completion{Intent: i, Outcome: registry.Done}))
	}
	for _, application := range []registry.Application{a, b} {
		got, err := f.ApplicationByClient(f.ctx(), application.Client())
		f.must(err)
		if got.ID != application.ID {
			f.Errorf("%v leads to the other's application", application.Client())
		}
	}
}

func contextEnds(f *fixture) {
	ctx, cancel := context.WithCancel(f.ctx())
	cancel()
	_, err := f.Begin(ctx, f.intent(registry.Create, draft()))
	f.want(registry.ErrUnavailable, err)
	f.want(context.Canceled, err)
	_, err = f.Application(ctx, "id")
	f.want(registry.ErrUnavailable, err)
	_, _, err = f.Audits(ctx, "target", registry.Page{})
	f.want(registry.ErrUnavailable, err)
}

func oddNames(f *fixture) {
	for _, id := range []string{"", "#", "\x00", "\xff", strings.Repeat("x", 5000), "é", "%23"} {
		_, err := f.Application(f.ctx(), id)
		f.want(registry.ErrNotFound, err)
		_, err = f.Contract(f.ctx(), registry.ContractKey{Provider: id, ClientID: id, API: id})
		f.want(registry.ErrNotFound, err)
		_, err = f.ApplicationByAlias(f.ctx(), id)
		f.want(registry.ErrNotFound, err)
		_, err = f.Grant(f.ctx(), id)
		f.want(registry.ErrNotFound, err)
		_, err = f.Answer(f.ctx(), id)
		f.want(registry.ErrNotFound, err)
		if got, next, err := f.Audits(f.ctx(), id, registry.Page{}); err != nil || len(got) != 0 || next != "" {
			f.Errorf("audits of %.10q: %v, %q, %v", id, got, next, err)
		}
	}
}

func nothingIsFound(f *fixture) {
	_, err := f.ApplicationByClient(f.ctx(), registry.Client{Provider: "okta", ClientID: "client"})
	f.want(registry.ErrNotFound, err)
	_, err = f.Intent(f.ctx(), "marker")
	f.want(registry.ErrNotFound, err)
	_, err = f.Take(f.ctx(), "marker", "attempt", f.clock.Now())
	f.want(registry.ErrNotFound, err)
	_, err = f.UpdateContract(f.ctx(), registry.Contract{Provider: "okta", ClientID: "client", API: "orders"}, auditOf("x"))
	f.want(registry.ErrNotFound, err)
	f.want(registry.ErrNotFound, f.removeContracts(registry.Application{ID: "id"}))
	_, err = f.Usage(f.ctx(), registry.ContractKey{Provider: "okta", ClientID: "client", API: "orders"})
	f.want(registry.ErrNotFound, err)
	_, err = f.TakeUsage(f.ctx(), registry.ContractKey{Provider: "okta", ClientID: "client", API: "orders"}, "attempt", f.clock.Now())
	f.want(registry.ErrNotFound, err)
}
