package provider

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"gatehouse/shared/config"
	"gatehouse/shared/secret"
	"gatehouse/shared/strictjson"
)

// This file is PingFederate. From 9.0 it registers by RFC 7591, at
// /as/clients.oauth2; before and beside that there is the OAuth client
// management service, which takes an administrator's password, has names of its
// own for everything, and lets the caller choose client ID and secret. An
// endpoint under /pf-ws/ means the service.

func newPingFederate(c config.Provider, standard *rfc7591) registrar {
	if u, err := url.Parse(c.Endpoints.Registration); err == nil && strings.HasPrefix(u.Path, "/pf-ws/") {
		return &pingFederate{sender: standard.sender, clients: strings.TrimSuffix(c.Endpoints.Registration, "/")}
	}
	if c.Endpoints.Registration == "" {
		endpoint := strings.TrimSuffix(c.Issuer, "/") + "/as/clients.oauth2"
		standard.endpoint = func(context.Context) (string, error) { return endpoint, nil }
	}
	return standard
}

// pingFederate registers clients by the client management service.
type pingFederate struct {
	sender  *sender
	clients string // URL of the service
}

func (*pingFederate) capabilities() Capabilities {
	return Capabilities{Create: true, Read: true, Update: true, Delete: true, Rotate: true, Find: true}
}

// create looks first whether there is such a client: whether POST would replace
// it is not documented.
func (p *pingFederate) create(ctx context.Context, c Client) (Client, error) {
	m, err := pingMetadata(c)
	if err != nil {
		return Client{}, err
	}
	c.ClientID = chosenID(c.Name)
	_, err = p.get(ctx, c.ClientID)
	switch {
	case err == nil:
		return Client{}, ErrNameTaken
	case !errors.Is(err, ErrGone):
		return Client{}, err
	}
	m["clientId"] = c.ClientID
	if c.TokenEndpointAuthMethod != publicClient {
		c.Secret = secret.New(rand.Text() + rand.Text())
		m["secret"] = c.Secret.Reveal()
	}
	made, err := p.put(ctx, call{method: http.MethodPost, url: p.clients, general: true}, m)
	if err != nil {
		return Client{}, err
	}
	made.Secret, made.TokenEndpointAuthMethod = c.Secret, c.TokenEndpointAuthMethod
	return made, compare(c, made)
}

func (p *pingFederate) read(ctx context.Context, c Client) (Client, error) {
	m, err := p.get(ctx, c.ClientID)
	if err != nil {
		return Client{}, err
	}
	found, err := pingParse(m)
	if err != nil {
		return Client{}, errNoAnswer
	}
	found.Secret, found.Management = c.Secret, c.Management
	return found, nil
}

// update keeps the settings that Gatehouse knows nothing of.
func (p *pingFederate) update(ctx context.Context, c Client) (Client, error) {
	m, err := pingMetadata(c)
	if err != nil {
		return Client{}, err
	}
	changed, err := p.change(ctx, c.ClientID, m)
	if err != nil {
		return Client{}, err
	}
	changed.Secret, changed.Management = c.Secret, c.Management
	if !sameSet(c.RedirectURIs, changed.RedirectURIs) {
		err = &MismatchError{Client: changed, Field: "redirect_uris"}
	}
	return changed, err
}

func (p *pingFederate) remove(ctx context.Context, c Client) error {
	request := call{method: http.MethodDelete, url: p.clients + "/" + url.PathEscape(c.ClientID)}
	r, err := p.sender.send(ctx, request)
	if err == nil {
		err = r.deleted(request)
	}
	if errors.Is(err, ErrGone) {
		return nil
	}
	return err
}

// rotate replaces the secret; the old one stops at once.
func (p *pingFederate) rotate(ctx context.Context, c Client) (Rotated, error) {
	c.Secret = secret.New(rand.Text() + rand.Text())
	if _, err := p.change(ctx, c.ClientID, map[string]any{"secret": c.Secret.Reveal(), "forceSecretChange": true}); err != nil {
		return Rotated{}, err
	}
	return Rotated{Client: c, OldValidUntil: p.sender.now()}, nil
}

func (*pingFederate) retire(context.Context, Client) error { return ErrUnsupported }

// find asks for the client ID that a client of this name has.
func (p *pingFederate) find(ctx context.Context, name string) (Client, bool, error) {
	c, err := p.read(ctx, Client{ClientID: chosenID(name)})
	if errors.Is(err, ErrGone) {
		return Client{}, false, nil
	}
	return c, err == nil, err
}

// chosenID derives a client's ID from its name where we choose it, so that a
// client whose creation was interrupted can be found.
func chosenID(name string) string {
	sum := sha256.Sum256([]byte(name))
	return "gh-" + hex.EncodeToString(sum[:16])
}

// get returns the members of a client.
func (p *pingFederate) get(ctx context.Context, id string) (map[string]json.RawMessage, error) {
	request := call{method: http.MethodGet, url: p.clients + "/" + url.PathEscape(id)}
	r, err := p.sender.send(ctx, request)
	if err != nil {
		return nil, err
	}
	if !r.ok() {
		return nil, r.failure(request)
	}
	m, err := pingOnly(r.body)
	if err != nil {
		return nil, errNoAnswer
	}
	return m, nil
}

// change reads a client, replaces members of it, and sends it back whole.
func (p *pingFederate) change(ctx context.Context, id string, m map[string]any) (Client, error) {
	held, err := p.get(ctx, id)
	if err != nil {
		return Client{}, err
	}
	body := map[string]any{}
	for name, value := range held {
		body[name] = value
		if slices.Contains([]string{"redirectUris", "grantTypes", "restrictedScopes", "exclusiveScopes", "restrictedResponseTypes"}, name) {
			d := strictjson.NewDecoder(value, providerJSON)
			var values []string
			if err := readStrings(d, &values); err == nil {
				body[name] = values // a list of one comes as a string, and is not taken back so
			}
		}
	}
	delete(body, "secret")
	maps.Copy(body, m)
	return p.put(ctx, call{method: http.MethodPut, url: p.clients}, body)
}

// put sends one client and reads the answer.
func (p *pingFederate) put(ctx context.Context, request call, m map[string]any) (Client, error) {
	request.body = map[string]any{"client": []any{m}}
	r, err := p.sender.send(ctx, request)
	if err != nil {
		return Client{}, err
	}
	if !r.ok() {
		return Client{}, r.failure(request)
	}
	answer, err := pingOnly(r.body)
	if err != nil {
		return Client{}, request.lost()
	}
	c, err := pingParse(answer)
	if err != nil {
		return Client{}, request.lost()
	}
	return c, nil
}

// pingMetadata returns what PingFederate is sent for c. A client is held to the
// scopes it asked for.
func pingMetadata(c Client) (map[string]any, error) {
	kind := "SECRET"
	switch {
	case c.JWKS != nil || c.JWKSURI != "":
		return nil, &MetadataError{"jwks"}
	case c.TokenEndpointAuthMethod == publicClient:
		kind = "NONE"
	case c.TokenEndpointAuthMethod != secretBasic && c.TokenEndpointAuthMethod != "client_secret_post":
		return nil, &MetadataError{"token_endpoint_auth_method"}
	}
	return map[string]any{
		"name":             c.Name,
		"redirectUris":     list(c.RedirectURIs),
		"grantTypes":       list(c.GrantTypes),
		"clientAuthnType":  kind,
		"restrictScopes":   c.Scope != "",
		"restrictedScopes": strings.Fields(c.Scope),
	}, nil
}

// pingOnly returns the members of the one client in {"client":[{…}]}, in which
// the list may be left out.
func pingOnly(body []byte) (map[string]json.RawMessage, error) {
	outer, err := members(body)
	if err != nil {
		return nil, err
	}
	var found []json.RawMessage
	d := strictjson.NewDecoder(outer["client"], providerJSON)
	one := func() error {
		raw, err := d.Raw()
		found = append(found, raw)
		return err
	}
	if d.Kind() == strictjson.Array {
		err = d.Array(one)
	} else {
		err = one()
	}
	if err != nil || len(found) != 1 {
		return nil, errNoAnswer
	}
	return members(found[0])
}

func pingParse(m map[string]json.RawMessage) (Client, error) {
	var c Client
	var kind string
	for name, into := range map[string]any{
		"clientId": &c.ClientID, "name": &c.Name, "clientAuthnType": &kind, "redirectUris": &c.RedirectURIs, "grantTypes": &c.GrantTypes,
		"restrictedScopes": &c.Scope,
	} {
		d := strictjson.NewDecoder(m[name], providerJSON)
		if d.Kind() == strictjson.Invalid || d.Kind() == strictjson.Null {
			continue
		}
		var values []string
		if err := readStrings(d, &values); err != nil {
			return Client{}, err
		}
		switch into := into.(type) {
		case *string:
			*into = strings.Join(values, " ")
		case *[]string:
			*into = values
		}
	}
	c.TokenEndpointAuthMethod = secretBasic
	if kind == "NONE" {
		c.TokenEndpointAuthMethod = publicClient
	}
	if c.ClientID == "" || !plainClientID([]byte(c.ClientID)) {
		return Client{}, errNoAnswer
	}
	return c, nil
}
