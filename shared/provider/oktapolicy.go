package provider

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"gatehouse/shared/strictjson"
)

// This file is what has to be right at Okta, beside the client, before a client
// gets tokens: a group of users is assigned to it, and an access policy of the
// authorization server includes it.

// policiesTTL is how long access policies are believed without asking again.
const policiesTTL = 5 * time.Minute

// policies are what the access policies of an authorization server allow every
// client.
type policies struct {
	at    time.Time
	rules []oktaRule
}

// oktaRule is what one rule of a policy for all clients allows.
type oktaRule struct{ grants, scopes []string }

// app returns the URL of a client as the management API sees it.
func (o *okta) app(clientID string) string { return o.api + "/apps/" + url.PathEscape(clientID) }

// groupFor returns the ID of the group to assign to c, "" for none: users sign
// in to it, or nobody does.
func (o *okta) groupFor(ctx context.Context, c Client) (string, error) {
	if o.group == "" || !slices.Contains(c.GrantTypes, authorizationCode) {
		return "", nil
	}
	query := url.Values{"q": {o.group}}
	if o.group == "Everyone" {
		query = url.Values{"filter": {`type eq "BUILT_IN"`}}
	}
	request := call{method: http.MethodGet, url: o.api + "/groups?" + query.Encode(), general: true}
	groups, err := o.list(ctx, request)
	if err != nil {
		return "", err
	}
	for _, g := range groups {
		if g.name == o.group && plainID(g.id) {
			return g.id, nil
		}
	}
	return "", fmt.Errorf("%w: Okta has no group %q to assign to new clients; create it or change assignGroup", ErrAccessPolicy, o.group)
}

func (o *okta) assign(ctx context.Context, clientID, group string) error {
	return o.do(ctx, call{method: http.MethodPut, url: o.app(clientID) + "/groups/" + group, body: struct{}{}})
}

// checkPolicy reports whether every grant type of c that leads to tokens is
// allowed by a rule of an access policy for all clients. A policy that lists
// clients does not count: changing it for each client would be a race without
// an ETag.
func (o *okta) checkPolicy(ctx context.Context, c Client) error {
	if o.as == "" {
		if slices.Contains(c.GrantTypes, clientCredentials) {
			return &MetadataError{"grant_types"} // only for Okta's own scopes, at the organisation's own server
		}
		return nil
	}
	held := o.held()
	if missing := held.missing(c); missing == "" {
		return nil
	}
	rules, err := o.readRules(ctx)
	switch {
	case errors.Is(err, errForbidden):
		return nil // the token may register clients but not read policies: nothing to check with
	case err != nil:
		return err
	}
	read := policies{at: o.sender.now().Round(0), rules: rules}
	o.mu.Lock()
	o.policies = read
	o.mu.Unlock()
	if missing := read.missing(c); missing != "" {
		return fmt.Errorf("%w: in the Okta Admin Console, Security, API, authorization server %q, Access Policies: add a policy assigned to All clients with a rule for %s",
			ErrAccessPolicy, o.as, missing)
	}
	return nil
}

// ready reports whether clients like c would get tokens, and their users sign in.
func (o *okta) ready(ctx context.Context, c Client) error {
	if err := o.checkPolicy(ctx, c); err != nil {
		return err
	}
	_, err := o.groupFor(ctx, c)
	return err
}

// held returns the policies read a moment ago, or none.
func (o *okta) held() policies {
	o.mu.Lock()
	defer o.mu.Unlock()
	if age := o.sender.now().Round(0).Sub(o.policies.at); age >= 0 && age < policiesTTL {
		return o.policies
	}
	return policies{}
}

// missing names what no rule allows c, "" when nothing is missing.
func (p policies) missing(c Client) string {
	for _, grant := range c.GrantTypes {
		if grant == refreshToken {
			continue // follows from the grant it refreshes
		}
		var usable []oktaRule
		for _, r := range p.rules {
			if slices.Contains(r.grants, grant) {
				usable = append(usable, r)
			}
		}
		if usable == nil {
			return "the grant type " + grant
		}
		for scope := range strings.FieldsSeq(c.Scope) {
			if !slices.ContainsFunc(usable, func(r oktaRule) bool { return slices.Contains(r.scopes, "*") || slices.Contains(r.scopes, scope) }) {
				return "the grant type " + grant + " that allows all scopes asked for"
			}
		}
	}
	return ""
}

// readRules returns the active rules of the active policies for all clients.
func (o *okta) readRules(ctx context.Context) ([]oktaRule, error) {
	base := o.api + "/authorizationServers/" + url.PathEscape(o.as) + "/policies"
	found, err := o.list(ctx, call{method: http.MethodGet, url: base, general: true})
	if err != nil {
		return nil, err
	}
	var all []oktaRule
	for _, p := range found {
		if p.status != "ACTIVE" || !slices.Contains(p.clients, "ALL_CLIENTS") || !plainID(p.id) {
			continue
		}
		rules, err := o.list(ctx, call{method: http.MethodGet, url: base + "/" + p.id + "/rules", general: true})
		if err != nil {
			return nil, err
		}
		for _, r := range rules {
			if r.status == "ACTIVE" {
				all = append(all, oktaRule{r.grants, r.scopes})
			}
		}
	}
	return all, nil
}

// oktaObject is what is used of a group, a policy or a rule.
type oktaObject struct {
	id, status, name        string
	clients, grants, scopes []string
}

// list reads an array of objects.
func (o *okta) list(ctx context.Context, request call) ([]oktaObject, error) {
	r, err := o.sender.send(ctx, request)
	if err != nil {
		return nil, err
	}
	if r.status != http.StatusOK {
		return nil, r.failure(request)
	}
	var all []oktaObject
	d := strictjson.NewDecoder(r.body, providerJSON)
	err = d.Array(func() error {
		var x oktaObject
		err := x.read(d)
		all = append(all, x)
		return err
	})
	if err != nil {
		return nil, errNoAnswer
	}
	return all, nil
}

func (x *oktaObject) read(d *strictjson.Decoder) error {
	return d.Object(func(name []byte) error {
		switch string(name) {
		case "id":
			return readString(d, &x.id)
		case "status":
			return readString(d, &x.status)
		case "profile":
			return d.Object(func(name []byte) error {
				if string(name) == "name" {
					return readString(d, &x.name)
				}
				return d.Skip()
			})
		case "conditions":
			return d.Object(func(name []byte) error {
				switch string(name) {
				case "clients":
					return readIncluded(d, &x.clients)
				case "grantTypes":
					return readIncluded(d, &x.grants)
				case "scopes":
					return readIncluded(d, &x.scopes)
				default:
					return d.Skip()
				}
			})
		default:
			return d.Skip()
		}
	})
}

// readIncluded reads {"include":["…"]}; null is nothing.
func readIncluded(d *strictjson.Decoder, into *[]string) error {
	if d.Kind() == strictjson.Null {
		return d.Skip()
	}
	return d.Object(func(name []byte) error {
		if string(name) == "include" && d.Kind() == strictjson.Array {
			return readStrings(d, into)
		}
		return d.Skip()
	})
}
