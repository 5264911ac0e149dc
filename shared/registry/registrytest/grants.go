package registrytest

import (
	"errors"
	"strings"
	"time"

	"gatehouse/shared/registry"
)

func (f *fixture) grant(id string) registry.Grant {
	return registry.Grant{
		ID: id, Provider: "okta", ClientID: "client", Tokens: []byte("sealed"), Expires: f.clock.Now().Add(time.Hour),
	}
}

func grantIsMadeOnce(f *fixture) {
	_, err := f.Grant(f.ctx(), "code")
	f.want(registry.ErrNotFound, err)
	made, err := f.CreateGrant(f.ctx(), f.grant("code"))
	f.must(err)
	got, err := f.Grant(f.ctx(), "code")
	f.must(err)
	if got.Version != made.Version || got.Provider != "okta" || got.ClientID != "client" || string(got.Tokens) != "sealed" ||
		got.Revoked || !got.Created.Equal(f.clock.Now()) || !got.Expires.Equal(made.Expires) {
		f.Errorf("got %+v, want %+v", got, made)
	}
	_, err = f.CreateGrant(f.ctx(), f.grant("code"))
	f.want(registry.ErrConflict, err)
	_, err = f.CreateGrant(f.ctx(), f.grant("another"))
	f.must(err)
}

func grantIsRefused(f *fixture) {
	kept, err := f.CreateGrant(f.ctx(), f.grant("kept"))
	f.must(err)
	for name, spoil := range map[string]func(*registry.Grant){
		"no id":                         func(g *registry.Grant) { g.ID = "" },
		"no provider":                   func(g *registry.Grant) { g.Provider = "" },
		"no client":                     func(g *registry.Grant) { g.ClientID = "" },
		"no end":                        func(g *registry.Grant) { g.Expires = time.Time{} },
		"an id that is too long":        func(g *registry.Grant) { g.ID = strings.Repeat("x", 5000) },
		"more tokens than a record has": func(g *registry.Grant) { g.Tokens = make([]byte, 32<<10) },
	} {
		g, next := f.grant("code"), kept
		spoil(&g)
		spoil(&next)
		if _, err := f.CreateGrant(f.ctx(), g); !errors.Is(err, registry.ErrInvalid) {
			f.Errorf("%s: created with %v, want ErrInvalid", name, err)
		}
		if _, err := f.UpdateGrant(f.ctx(), next); !errors.Is(err, registry.ErrInvalid) {
			f.Errorf("%s: updated with %v, want ErrInvalid", name, err)
		}
	}
}

func grantIsExchanged(f *fixture) {
	first, err := f.CreateGrant(f.ctx(), f.grant("code"))
	f.must(err)
	taken := first
	taken.Attempt, taken.Lease = "attempt", f.clock.Now().Add(time.Minute)
	taken, err = f.UpdateGrant(f.ctx(), taken)
	f.must(err)
	_, err = f.UpdateGrant(f.ctx(), first)
	f.want(registry.ErrStale, err)

	f.clock.Advance(time.Second)
	next := taken
	next.Generation, next.Attempt, next.Lease = taken.Generation+1, "", time.Time{}
	next.Tokens, next.Rotated = []byte("sealed anew"), f.clock.Now()
	_, err = f.UpdateGrant(f.ctx(), next)
	f.must(err)
	got, err := f.Grant(f.ctx(), "code")
	f.must(err)
	if got.Generation != 1 || got.Attempt != "" || !got.Lease.IsZero() || string(got.Tokens) != "sealed anew" ||
		!got.Rotated.Equal(f.clock.Now()) || !got.Created.Equal(first.Created) {
		f.Errorf("got %+v, want %+v", got, next)
	}
}

func grantIsRevoked(f *fixture) {
	_, err := f.RevokeGrant(f.ctx(), "code")
	f.want(registry.ErrNotFound, err)
	before, err := f.CreateGrant(f.ctx(), f.grant("code"))
	f.must(err)
	revoked, err := f.RevokeGrant(f.ctx(), "code")
	f.must(err)
	if !revoked.Revoked || string(revoked.Tokens) != "sealed" {
		f.Errorf("got %+v, want it revoked, with its tokens", revoked)
	}
	again, err := f.RevokeGrant(f.ctx(), "code")
	f.must(err)
	if again.Version != revoked.Version || !again.Revoked {
		f.Errorf("revoked again it is %+v, want %+v", again, revoked)
	}
	for _, row := range []struct {
		name   string
		change func(*registry.Grant)
		want   error
	}{
		{"as it was before the revocation", func(g *registry.Grant) { *g = before }, registry.ErrStale},
		{"with the revocation taken back", func(g *registry.Grant) { g.Revoked = false }, registry.ErrTransition},
		{"made anew of nothing but the version", func(g *registry.Grant) {
			version := g.Version
			*g = f.grant(g.ID)
			g.Version = version
		}, registry.ErrTransition},
		{"with no version", func(g *registry.Grant) { g.Version, g.Revoked = 0, false }, registry.ErrStale},
		{"with a version that means any", func(g *registry.Grant) { g.Version, g.Revoked = -1, false }, registry.ErrStale},
		{"with its tokens dropped", func(g *registry.Grant) { g.Tokens = nil }, nil},
		{"taken back after that, too", func(g *registry.Grant) { g.Revoked = false }, registry.ErrTransition},
	} {
		g, err := f.Grant(f.ctx(), "code")
		f.must(err)
		row.change(&g)
		if _, err := f.UpdateGrant(f.ctx(), g); !errors.Is(err, row.want) {
			f.Errorf("%s: got %v, want %v", row.name, err, row.want)
		}
		if now, err := f.Grant(f.ctx(), "code"); err != nil || !now.Revoked {
			f.Errorf("%s: it is %+v, %v; want it revoked", row.name, now, err)
		}
	}
	_, err = f.CreateGrant(f.ctx(), f.grant("code"))
	f.want(registry.ErrConflict, err)
}

func grantExpires(f *fixture) {
	g, err := f.CreateGrant(f.ctx(), f.grant("code"))
	f.must(err)
	f.clock.Advance(time.Hour - time.Second)
	g.Expires = f.clock.Now().Add(time.Minute)
	_, err = f.UpdateGrant(f.ctx(), g)
	f.must(err)
	f.clock.Advance(time.Minute - time.Nanosecond)
	_, err = f.Grant(f.ctx(), "code")
	f.must(err)
	f.clock.Advance(time.Nanosecond)
	_, err = f.Grant(f.ctx(), "code")
	f.want(registry.ErrNotFound, err)
	_, err = f.RevokeGrant(f.ctx(), "code")
	f.want(registry.ErrNotFound, err)
}
