package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"gatehouse/shared/config"
	"gatehouse/shared/strictjson"
)

// This file is Okta's client registration API, which is RFC 7591 but for this:
// an administrator's token does everything and there is no registration access
// token; application_type limits the grant types; names are unique; PUT wants
// the whole object as GET shows it, without its timestamps; scopes belong to
// the authorization server. See
// https://developer.okta.com/docs/api/openapi/okta-oauth/oauth/client/.

// oktaEndpoints are under the issuer of a custom authorization server
// (https://org/oauth2/default/v1/keys), and under /oauth2 for the org's own
// (https://org/oauth2/v1/keys).
func oktaEndpoints(issuer string) endpoints {
	base := strings.TrimSuffix(issuer, "/")
	if u, err := url.Parse(base); err == nil && u.Path == "" {
		base += "/oauth2"
	}
	base += "/v1"
	return endpoints{
		jwks:          base + "/keys",
		introspection: base + "/introspect",
		authorization: base + "/authorize",
		token:         base + "/token",
		revocation:    base + "/revoke",
	}
}

// okta is the client registration of one organisation.
type okta struct {
	sender  *sender
	clients string // URL of the clients
	api     string // URL of the management API
	as      string // ID of the custom authorization server; "" for the organisation's own
	group   string // name of the group to assign; "" for none

	mu       sync.Mutex // guards policies
	policies policies   // the last ones read
}

// newOkta derives everything from the organisation's URL: the registration
// endpoint is never under an authorization server.
func newOkta(c config.Provider, s *sender) *okta {
	base, path := c.Issuer, ""
	if u, err := url.Parse(c.Issuer); err == nil {
		base, path = u.Scheme+"://"+u.Host, u.Path
	}
	o := &okta{sender: s, clients: base + "/oauth2/v1/clients", group: c.AfterCreate.AssignGroup}
	if endpoint := c.Endpoints.Registration; endpoint != "" {
		o.clients = strings.TrimSuffix(endpoint, "/")
		if u, err := url.Parse(endpoint); err == nil {
			base = u.Scheme + "://" + u.Host
		}
	}
	o.api = base + "/api/v1"
	if as, ok := strings.CutPrefix(path, "/oauth2/"); ok {
		o.as = strings.Trim(as, "/")
	}
	return o
}

func (*okta) capabilities() Capabilities {
	return Capabilities{Create: true, Read: true, Update: true, Delete: true, Rotate: true, TwoSecrets: true, Find: true}
}

func (o *okta) create(ctx context.Context, c Client) (Client, error) {
	m, err := oktaMetadata(c)
	if err != nil {
		return Client{}, err
	}
	group, err := o.groupFor(ctx, c)
	if err != nil {
		return Client{}, err
	}
	if err := o.checkPolicy(ctx, c); err != nil {
		return Client{}, err
	}
	request := call{method: http.MethodPost, url: o.clients, body: m, general: true}
	r, err := o.sender.send(ctx, request)
	if err != nil {
		return Client{}, err
	}
	made, err := o.client(r, request)
	if err != nil {
		return Client{}, err
	}
	made.Scope = c.Scope
	if err := compare(c, made); err != nil {
		return made, err
	}
	if group == "" {
		return made, nil
	}
	if err := o.assign(ctx, made.ClientID, group); err != nil {
		return made, &MismatchError{Client: made, Field: "group", Err: err}
	}
	return made, nil
}

func (o *okta) read(ctx context.Context, c Client) (Client, error) {
	request := call{method: http.MethodGet, url: o.one(c)}
	r, err := o.sender.send(ctx, request)
	if err != nil {
		return Client{}, err
	}
	found, err := o.client(r, request)
	found.Secret, found.Management, found.Scope = c.Secret, c.Management, c.Scope
	return found, err
}

// update reads the whole object, puts c's members into it, and sends it back
// without what Okta does not want to see again.
func (o *okta) update(ctx context.Context, c Client) (Client, error) {
	m, err := oktaMetadata(c)
	if err != nil {
		return Client{}, err
	}
	request := call{method: http.MethodGet, url: o.one(c)}
	r, err := o.sender.send(ctx, request)
	if err != nil {
		return Client{}, err
	}
	if r.status != http.StatusOK {
		return Client{}, r.failure(request)
	}
	whole, err := members(r.body)
	if err != nil {
		return Client{}, errNoAnswer
	}
	if string(whole["application_type"]) != `"`+m["application_type"].(string)+`"` { //nolint:errcheck // oktaMetadata sets it
		// It is read-only, and it is what allows the grant types.
		return Client{}, &MetadataError{"grant_types"}
	}
	for _, name := range []string{"client_id_issued_at", "client_secret_expires_at", "client_secret"} {
		delete(whole, name)
	}
	for _, name := range []string{"client_uri", "jwks", "jwks_uri"} {
		if _, ok := whole[name]; ok {
			whole[name] = json.RawMessage("null")
		}
	}
	body := map[string]any{}
	for name, value := range whole {
		body[name] = value
	}
	maps.Copy(body, m)
	request = call{method: http.MethodPut, url: o.one(c), body: body}
	if r, err = o.sender.send(ctx, request); err != nil {
		return Client{}, err
	}
	changed, err := o.client(r, request)
	if err != nil {
		return Client{}, err
	}
	changed.Scope, changed.Management = c.Scope, c.Management
	if !sameSet(c.RedirectURIs, changed.RedirectURIs) {
		err = &MismatchError{Client: changed, Field: "redirect_uris"}
	}
	return changed, err
}

func (o *okta) remove(ctx context.Context, c Client) error {
	request := call{method: http.MethodDelete, url: o.one(c)}
	r, err := o.sender.send(ctx, request)
	if err == nil {
		err = r.deleted(request)
	}
	if errors.Is(err, ErrGone) {
		return nil
	}
	return err
}

// find looks a name up. Okta finds names by how they begin; a page of 200 that
// does not hold the whole name leaves the question open.
func (o *okta) find(ctx context.Context, name string) (Client, bool, error) {
	request := call{method: http.MethodGet, url: o.clients + "?limit=200&q=" + url.QueryEscape(name), general: true}
	r, err := o.sender.send(ctx, request)
	if err != nil {
		return Client{}, false, err
	}
	if r.status != http.StatusOK {
		return Client{}, false, r.failure(request)
	}
	var found []registrationAnswer
	d := strictjson.NewDecoder(r.body, providerJSON)
	err = d.Array(func() error {
		var a registrationAnswer
		err := d.Object(func(member []byte) error { return a.member(d, string(member)) })
		if a.Name == name {
			found = append(found, a)
		}
		return err
	})
	switch {
	case err != nil:
		return Client{}, false, errNoAnswer
	case len(found) > 0:
		return found[0].Client, true, nil
	case slices.ContainsFunc(r.header.Values("Link"), func(l string) bool { return strings.Contains(l, `rel="next"`) }):
		return Client{}, false, fmt.Errorf("%w: too many names begin like this one", ErrUnavailable)
	}
	return Client{}, false, nil
}

// one returns the URL of a client.
func (o *okta) one(c Client) string { return o.clients + "/" + url.PathEscape(c.ClientID) }

// client reads the client in an answer.
func (*okta) client(r reply, request call) (Client, error) {
	if !r.ok() {
		return Client{}, r.failure(request)
	}
	a, err := parseAnswer(r.body)
	switch {
	case err == nil && a.ClientID != "":
		return a.Client, nil
	case err == nil && a.refused:
		return Client{}, r.failure(request)
	}
	return Client{}, request.lost()
}

// oktaMetadata returns what Okta is sent for c: grant types, response types and
// application_type made to agree, and no scope, which Okta does not know.
func oktaMetadata(c Client) (map[string]any, error) {
	kind, allowed := oktaKind(c)
	for _, g := range c.GrantTypes {
		if !slices.Contains(allowed, g) {
			return nil, &MetadataError{"grant_types"}
		}
	}
	if kind != "service" && !slices.Contains(c.GrantTypes, authorizationCode) {
		return nil, &MetadataError{"grant_types"}
	}
	if slices.Contains(c.GrantTypes, clientCredentials) && !slices.Contains(c.ResponseTypes, "token") {
		c.ResponseTypes = append(list(c.ResponseTypes), "token")
	}
	m := c.metadata()
	delete(m, "scope")
	m["application_type"] = kind
	return m, nil
}

// oktaKind returns the application_type for c and the grant types it allows.
func oktaKind(c Client) (kind string, allowed []string) {
	own := slices.ContainsFunc(c.RedirectURIs, func(uri string) bool { return !strings.HasPrefix(uri, "https://") })
	switch {
	case len(c.GrantTypes) == 1 && c.GrantTypes[0] == clientCredentials:
		return "service", []string{clientCredentials}
	case c.TokenEndpointAuthMethod != publicClient:
		return "web", []string{authorizationCode, implicitGrant, refreshToken, clientCredentials}
	case own || slices.Contains(c.GrantTypes, refreshToken):
		return "native", []string{authorizationCode, implicitGrant, refreshToken}
	default:
		return "browser", []string{authorizationCode, implicitGrant}
	}
}
