package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gatehouse/shared/oauth"
	"gatehouse/shared/registry"
)

// This file decides what a token may be for: which APIs, with which scopes.

// access is what a client asks for, or may have.
type access struct {
	scopes    []string
	resources []string // as the APIs call themselves; nil: the client named none
}

// scope is the scopes as a parameter has them.
func (a access) scope() string { return strings.Join(a.scopes, " ") }

// access returns what a client gets that asks for a scope and resources. No
// client gets a scope that it is not registered for, and none for an API that it
// has no contract with.
func (s *Server) access(ctx context.Context, c client, scope string, resources []string, where string) (access, error) {
	apis, err := s.targets(c, resources)
	if err != nil {
		return access{}, err
	}
	apis, err = s.withContract(ctx, c, apis, resources, where)
	if err != nil {
		return access{}, err
	}
	var got access
	if len(resources) > 0 {
		for _, a := range apis {
			got.resources = append(got.resources, a.Resource)
		}
	}
	got.scopes, err = grantable(c, apis, scope)
	return got, err
}

// targets returns the APIs that resources name (RFC 8707 §2); without any, those
// that clients of the provider can call.
func (s *Server) targets(c client, resources []string) ([]API, error) {
	var found []API
	for _, a := range s.APIs {
		if !slices.Contains(a.Providers, c.Provider) {
			continue
		}
		named := func(resource string) bool { return oauth.SameResource(resource, a.Resource) }
		if len(resources) == 0 || slices.ContainsFunc(resources, named) {
			found = append(found, a)
		}
	}
	for _, resource := range resources {
		if !slices.ContainsFunc(found, func(a API) bool { return oauth.SameResource(resource, a.Resource) }) {
			return nil, oauth.Refuse(oauth.InvalidTarget, "a resource is none that this client could have a token for; name one as its metadata does (RFC 9728)")
		}
	}
	return found, nil
}

// withContract leaves out the APIs that the client has no approved contract
// with. If they were asked for by name, that is a refusal.
func (s *Server) withContract(ctx context.Context, c client, apis []API, resources []string, where string) ([]API, error) {
	find, named := s.contract, len(resources) > 0
	if !named {
		find = s.contracts()
	}
	var open []API
	refused := noContract(API{Name: "any API"}, "", where)
	for _, a := range apis {
		status := registry.Approved
		if a.Contract {
			var err error
			if status, err = find(ctx, c, a); err != nil {
				return nil, fromStore(err)
			}
		}
		switch {
		case status == registry.Approved:
			open = append(open, a)
		case named:
			return nil, noContract(a, status, where)
		case len(apis) == 1:
			refused = noContract(a, status, where)
		}
	}
	if len(open) == 0 {
		return nil, refused
	}
	return open, nil
}

// contract returns the status of a contract, "" if there is none.
func (s *Server) contract(ctx context.Context, c client, a API) (registry.Status, error) {
	found, err := s.Store.Contract(ctx, registry.ContractKey{Provider: c.Provider, ClientID: c.ClientID, API: a.Name})
	if errors.Is(err, registry.ErrNotFound) {
		return "", nil
	}
	return found.Status, err
}

// contracts returns a function like contract that reads all contracts of the
// client with the first call: one query instead of a read for each API.
func (s *Server) contracts() func(context.Context, client, API) (registry.Status, error) {
	var status map[string]registry.Status
	return func(ctx context.Context, c client, a API) (registry.Status, error) {
		if status != nil {
			return status[a.Name], nil
		}
		all := map[string]registry.Status{}
		for page := (registry.Page{Limit: 100}); ; {
			some, next, err := s.Store.ContractsByClient(ctx, c.Client(), page)
			if err != nil {
				return "", err
			}
			for _, one := range some {
				all[one.API] = one.Status
			}
			if page.After = next; next == "" {
				status = all
				return status[a.Name], nil
			}
		}
	}
}

// noContract says where to ask for access.
func noContract(a API, status registry.Status, where string) error {
	var text string
	switch status {
	case registry.Pending:
		text = fmt.Sprintf("the contract of the application with %s is not decided yet; its owners do: PATCH %s/apis/%[1]s/contracts/{client_id}", a.Name, where)
	case registry.Rejected, registry.Revoked:
		text = fmt.Sprintf("the contract of the application with %s is %s; ask the owners of the API, or see %s/applications/{id}/contracts", a.Name, status, where)
	default:
		text = fmt.Sprintf("the application has no contract with %s; ask for one: POST %s/applications/{id}/contracts", a.Name, where)
	}
	return oauth.Refuse(oauth.AccessDenied, text)
}

// personal are the scopes of OpenID Connect that clients ask for out of habit.
// The broker does not speak it, so they are left out (RFC 6749 §3.3).
var personal = []string{"openid", "profile", "email", "address", "phone"}

// scopesOf returns the scopes of APIs that are asked for; none if scope does not
// say any. A client that wants nothing but to know the person gets nothing if
// there is more to be had: without its scopes the request would be one for all.
func scopesOf(scope string, may []string) ([]string, error) {
	all := oauth.SplitScope(scope)
	slices.Sort(all)
	// Refresh tokens are for those who are registered for them.
	all = slices.DeleteFunc(slices.Compact(all), func(one string) bool { return one == "offline_access" })
	asked := slices.DeleteFunc(slices.Clone(all), func(one string) bool { return slices.Contains(personal, one) })
	if len(asked) == 0 && len(all) > 0 && len(may) > 0 {
		return nil, oauth.Refuse(oauth.InvalidScope, "scope names nothing but what OpenID Connect knows of a person, which is not to be had here; name scopes of APIs, or leave scope out")
	}
	return asked, nil
}

// grantable returns the scopes that a client gets: what it asks for, or, if it
// does not say, all that it may have.
func grantable(c client, apis []API, asked string) ([]string, error) {
	var may []string
	registered := oauth.SplitScope(c.Scope)
	for _, a := range apis {
		for _, scope := range a.Scopes {
			if len(registered) == 0 || slices.Contains(registered, scope) {
				may = append(may, scope)
			}
		}
	}
	slices.Sort(may)
	may = slices.Compact(may)
	wanted, err := scopesOf(asked, may)
	if err != nil {
		return nil, err
	}
	if len(wanted) == 0 {
		return may, nil
	}
	for _, one := range wanted {
		if !slices.Contains(may, one) {
			return nil, oauth.Refuse(oauth.InvalidScope, "a scope is none that this application may have for this resource; leave scope out to get all that it may have")
		}
	}
	return wanted, nil
}

// narrower returns what is left of granted when a client asks for a part of it
// at the token endpoint (RFC 6749 §6, RFC 8707 §2.2).
func narrower(granted access, scope string, resources []string) (access, error) {
	left := granted
	if len(resources) > 0 {
		left.resources = nil
		for _, resource := range resources {
			at := slices.IndexFunc(granted.resources, func(one string) bool { return oauth.SameResource(one, resource) })
			if at < 0 {
				return access{}, oauth.Refuse(oauth.InvalidTarget, "a resource was not granted; leave resource out, or authorize anew for it")
			}
			left.resources = append(left.resources, granted.resources[at])
		}
	}
	wanted, err := scopesOf(scope, granted.scopes)
	if err != nil {
		return access{}, err
	}
	if len(wanted) > 0 {
		for _, one := range wanted {
			if !slices.Contains(granted.scopes, one) {
				return access{}, oauth.Refuse(oauth.InvalidScope, "a scope was not granted; leave scope out, or authorize anew for it")
			}
		}
		left.scopes = wanted
	}
	return left, nil
}

// stillGranted returns what is left of what was granted: a contract may have
// been revoked since.
func (s *Server) stillGranted(ctx context.Context, c client, granted access, where string) (access, error) {
	now, err := s.access(ctx, c, "", granted.resources, where)
	if err != nil {
		return access{}, err
	}
	left := access{resources: granted.resources}
	for _, one := range granted.scopes {
		if slices.Contains(now.scopes, one) {
			left.scopes = append(left.scopes, one)
		}
	}
	if len(left.scopes) == 0 && len(granted.scopes) > 0 {
		return access{}, oauth.Refuse(oauth.AccessDenied, "the application may have none of the scopes any more; see "+where+"/applications/{id}/contracts")
	}
	return left, nil
}

// exceeds reports whether the provider has granted a scope that opens something
// at an API and that was not asked for. Scopes that no API knows, such as a
// provider gives by default, open nothing.
func (s *Server) exceeds(asked []string, granted string) bool {
	for _, one := range oauth.SplitScope(granted) {
		known := slices.ContainsFunc(s.APIs, func(a API) bool { return slices.Contains(a.Scopes, one) })
		if known && !slices.Contains(asked, one) {
			return true
		}
	}
	return false
}
