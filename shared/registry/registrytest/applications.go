package registrytest

import (
	"errors"
	"strings"
	"time"

	"gatehouse/shared/registry"
)

func applicationIsFound(f *fixture) {
	a := f.create(draft())
	if a.State != registry.Active || a.Pending != "" || !a.Created.Equal(f.clock.Now()) || a.SecretHMAC != hash("a") ||
		string(a.Management) != "sealed" || len(a.RedirectURIs) != 1 {
		f.Errorf("got %+v", a)
	}
	by, err := f.ApplicationByClient(f.ctx(), a.Client())
	f.must(err)
	if by.ID != a.ID {
		f.Errorf("the client leads to %s, want %s", by.ID, a.ID)
	}
	f.clock.Advance(time.Second)
	b := f.create(draft())
	owned, next, err := f.ApplicationsByOwner(f.ctx(), "ada", registry.Page{})
	f.must(err)
	if len(owned) != 2 || owned[0].ID != a.ID || owned[1].ID != b.ID || next != "" {
		f.Errorf("got %+v and cursor %q, want both, the older first, and no cursor", owned, next)
	}
	none, _, err := f.ApplicationsByOwner(f.ctx(), "grace", registry.Page{})
	f.must(err)
	if len(none) != 0 {
		f.Errorf("another owner has %+v", none)
	}
	_, _, err = f.ApplicationsByOwner(f.ctx(), "", registry.Page{})
	f.want(registry.ErrInvalid, err)
}

func applicationIsRefused(f *fixture) {
	for name, spoil := range map[string]func(*registry.Application){
		"no id":                              func(a *registry.Application) { a.ID = "" },
		"an id that looks like a URL":        func(a *registry.Application) { a.ID = "https://app.example.com" },
		"no kind":                            func(a *registry.Application) { a.Kind = "" },
		"no provider":                        func(a *registry.Application) { a.Provider = "" },
		"a secret in place of its HMAC":      func(a *registry.Application) { a.SecretHMAC = "hunter2" },
		"an old secret in place of its HMAC": func(a *registry.Application) { a.PreviousSecretHMAC = "hunter2" },
		"an alias that is not https":         func(a *registry.Application) { a.Alias = "http://app.example.com/hunter2" },
		"an alias that is too long":          func(a *registry.Application) { a.Alias = alias + strings.Repeat("x", 2049-len(alias)) },
		"an alias that is not UTF-8":         func(a *registry.Application) { a.Alias = alias + "\xff" },
		"a token in place of its HMAC":       func(a *registry.Application) { a.RegistrationHMAC = "hunter2" },
		"more than a record may hold":        func(a *registry.Application) { a.Description = strings.Repeat("x", 33<<10) },
		"an HMAC in upper-case digits":       func(a *registry.Application) { a.SecretHMAC = hash("A") },
		"an HMAC that is longer than one":    func(a *registry.Application) { a.SecretHMAC = hash("a") + "a" },
	} {
		a := draft()
		spoil(&a)
		_, err := f.Begin(f.ctx(), f.intent(registry.Create, a))
		f.want(registry.ErrInvalid, err)
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			f.Errorf("%s: the error shows it: %v", name, err)
		}
	}
	i := f.begin(registry.Create, draft())
	f.want(registry.ErrInvalid, f.Complete(f.ctx(), registry.Completion{Intent: i, Outcome: registry.Done})) // no client_id

	i.Application.ClientID, i.Application.Owner = "client", strings.Repeat("x", 3000)
	f.want(registry.ErrInvalid, f.Complete(f.ctx(), registry.Completion{Intent: i, Outcome: registry.Done}))
}

func applicationIsChanged(f *fixture) {
	a := f.create(draft())
	f.clock.Advance(time.Hour)
	i := f.begin(registry.Update, a)
	if now := f.application(a.ID); now.Pending != i.Marker || now.State != registry.Active {
		f.Errorf("got %+v, want it active and marked", now)
	}
	// One at a time.
	_, err := f.Begin(f.ctx(), f.intent(registry.Rotate, f.application(a.ID)))
	f.want(registry.ErrInProgress, err)

	i.Application.Name, i.Application.Owner = "renamed", "grace"
	f.must(f.Complete(f.ctx(), registry.Completion{Intent: i, Outcome: registry.Done}))
	b := f.application(a.ID)
	if b.Name != "renamed" || b.Pending != "" || !b.Created.Equal(a.Created) || !b.Updated.Equal(f.clock.Now()) {
		f.Errorf("got %+v", b)
	}
	if owned, _, err := f.ApplicationsByOwner(f.ctx(), "ada", registry.Page{}); err != nil || len(owned) != 0 {
		f.Errorf("the former owner lists %v, %v", owned, err)
	}
	_, err = f.Begin(f.ctx(), f.intent(registry.Rotate, a)) // as it was before
	f.want(registry.ErrStale, err)

	i = f.begin(registry.Rotate, b)
	i.Application.SecretHMAC = hash("b")
	f.must(f.Complete(f.ctx(), registry.Completion{Intent: i, Outcome: registry.Done}))
	if c := f.application(a.ID); c.SecretHMAC != hash("b") || c.Name != "renamed" {
		f.Errorf("got %+v", c)
	}

	i = f.begin(registry.Update, f.application(a.ID))
	i.Application.ClientID = "another"
	f.want(registry.ErrInvalid, f.Complete(f.ctx(), registry.Completion{Intent: i, Outcome: registry.Done}))
}

func applicationIsDeleted(f *fixture) {
	a := draft()
	a.ClientID = "client-" + a.ID
	approved := contractOf(a, "orders")
	approved.Status = registry.Approved
	a = f.create(a, approved)
	f.want(registry.ErrTransition, f.removeContracts(a))

	i := f.begin(registry.Delete, a)
	if now := f.application(a.ID); now.State != registry.Deleting {
		f.Errorf("got %+v, want a tombstone", now)
	}
	for _, operation := range []registry.Operation{registry.Update, registry.Rotate, registry.Delete} {
		_, err := f.Begin(f.ctx(), f.intent(operation, f.application(a.ID)))
		f.want(registry.ErrTransition, err)
	}
	end := registry.Completion{Intent: i, Outcome: registry.Done}
	f.want(registry.ErrTransition, f.Complete(f.ctx(), end)) // it has a contract
	_, err := f.CreateContract(f.ctx(), contractOf(a, "billing"), auditOf(a.ID))
	f.want(registry.ErrTransition, err)

	f.must(f.removeContracts(a))
	f.must(f.removeContracts(a))
	_, err = f.Contract(f.ctx(), approved.Key())
	f.want(registry.ErrNotFound, err)

	f.want(registry.ErrTransition, f.Complete(f.ctx(), registry.Completion{Intent: i, Outcome: registry.Undone}))
	f.must(f.Complete(f.ctx(), end))
	f.must(f.Complete(f.ctx(), end))
	_, err = f.Application(f.ctx(), a.ID)
	f.want(registry.ErrNotFound, err)
	_, err = f.ApplicationByClient(f.ctx(), a.Client())
	f.want(registry.ErrNotFound, err)
	_, err = f.Begin(f.ctx(), f.intent(registry.Update, a))
	f.want(registry.ErrNotFound, err)
}

func (f *fixture) removeContracts(a registry.Application) error {
	_, err := f.RemoveContracts(f.ctx(), a.ID)
	return err
}

// alias is the URL of a client's metadata.
const alias = "https://app.example.com/client.json"

func aliasLeads(f *fixture) {
	_, err := f.ApplicationByAlias(f.ctx(), alias)
	f.want(registry.ErrNotFound, err)
	a := draft()
	a.Alias, a.Callback = alias, "https://gatehouse.example.com/callback"
	f.must(f.Complete(f.ctx(), registry.Completion{Intent: f.begin(registry.Create, a), Outcome: registry.Undone}))
	_, err = f.ApplicationByAlias(f.ctx(), alias)
	f.want(registry.ErrNotFound, err)

	a = f.create(a)
	f.create(draft()) // any number have none
	by, err := f.ApplicationByAlias(f.ctx(), alias)
	f.must(err)
	if by.ID != a.ID || by.Alias != alias || by.Callback != a.Callback {
		f.Errorf("the alias leads to %+v, want %+v", by, a)
	}
	for _, other := range []string{"", alias + "/", "https://app.example.com/CLIENT.json"} {
		_, err := f.ApplicationByAlias(f.ctx(), other)
		f.want(registry.ErrNotFound, err)
	}

	second := draft()
	second.Alias, second.ClientID = alias, "its own"
	i := f.begin(registry.Create, second)
	f.want(registry.ErrConflict, f.Complete(f.ctx(), registry.Completion{Intent: i, Outcome: registry.Done}))
	f.must(f.Complete(f.ctx(), registry.Completion{Intent: i, Outcome: registry.Undone}))

	i = f.begin(registry.Delete, a)
	f.must(f.Complete(f.ctx(), registry.Completion{Intent: i, Outcome: registry.Done}))
	_, err = f.ApplicationByAlias(f.ctx(), alias)
	f.want(registry.ErrNotFound, err)
	f.create(second)
}

func aliasStays(f *fixture) {
	a := draft()
	a.Alias = alias
	a = f.create(a)
	for name, row := range map[string]struct {
		change func(*registry.Application)
		want   error
	}{
		"renamed it keeps its alias":      {func(a *registry.Application) { a.Name = "renamed" }, nil},
		"another alias is refused":        {func(a *registry.Application) { a.Alias += "/2" }, registry.ErrInvalid},
		"the end of the alias is refused": {func(a *registry.Application) { a.Alias = "" }, registry.ErrInvalid},
		"a rotation keeps the old secret": {func(a *registry.Application) { a.PreviousSecretHMAC, a.SecretHMAC = a.SecretHMAC, hash("b") }, nil},
	} {
		i := f.begin(registry.Update, f.application(a.ID))
		row.change(&i.Application)
		err := f.Complete(f.ctx(), registry.Completion{Intent: i, Outcome: registry.Done})
		if !errors.Is(err, row.want) {
			f.Errorf("%s: got %v, want %v", name, err, row.want)
		}
		if err != nil {
			f.must(f.Complete(f.ctx(), registry.Completion{Intent: i, Outcome: registry.Undone}))
		}
		if by, err := f.ApplicationByAlias(f.ctx(), alias); err != nil || by.ID != a.ID || by.Alias != alias {
			f.Errorf("%s: the alias leads to %+v, %v", name, by, err)
		}
	}
	if now := f.application(a.ID); now.PreviousSecretHMAC != hash("a") || now.SecretHMAC != hash("b") || now.Name != "renamed" {
		f.Errorf("got %+v", now)
	}
}

func unusedIsListed(f *fixture) {
	a := draft()
	a.Kind, a.Owner = registry.Dynamic, ""
	a = f.create(a)
	f.create(draft()) // a developer's is never unused
	unused := func(age time.Duration) []registry.Application {
		before := f.clock.Now().Add(-age)
		return all(f, 10, func(p registry.Page) ([]registry.Application, string, error) { return f.Unused(f.ctx(), before, p) })
	}
	if got := unused(0); len(got) != 0 {
		f.Errorf("got %+v, want nothing: it is new", got)
	}
	f.clock.Advance(48 * time.Hour)
	if got := unused(24 * time.Hour); len(got) != 1 || got[0].ID != a.ID {
		f.Errorf("got %+v, want the one that was never used", got)
	}
	f.touch(a)
	if got := unused(24 * time.Hour); len(got) != 0 {
		f.Errorf("got %+v, want nothing: it was used", got)
	}
	f.clock.Advance(48 * time.Hour)
	f.begin(registry.Delete, f.application(a.ID))
	if got := unused(24 * time.Hour); len(got) != 0 {
		f.Errorf("got %+v, want nothing: it is being deleted", got)
	}
}

func useIsTouched(f *fixture) {
	a := f.create(draft())
	used := f.touch(a)
	if now := f.application(a.ID); now.Version != used.Version || !used.LastUsed.Equal(f.clock.Now()) {
		f.Errorf("last used %v, want %v", used.LastUsed, f.clock.Now())
	}
	f.clock.Advance(23 * time.Hour)
	f.touch(used)
	if again := f.application(a.ID); again.Version != used.Version {
		f.Error("it was written again within a day")
	}
	f.clock.Advance(2 * time.Hour)
	_, err := f.Touch(f.ctx(), a)
	f.want(registry.ErrStale, err)
	i := f.begin(registry.Update, used)
	f.touch(f.application(a.ID)) // must not get in the way of the intent
	f.must(f.Complete(f.ctx(), registry.Completion{Intent: i, Outcome: registry.Done}))
}

func (f *fixture) touch(a registry.Application) registry.Application {
	f.Helper()
	used, err := f.Touch(f.ctx(), a)
	f.must(err)
	return used
}
