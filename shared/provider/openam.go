package provider

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"gatehouse/shared/config"
	"gatehouse/shared/secret"
	"gatehouse/shared/strictjson"
)

// This file is OpenAM, whose registration, …/connect/register, is RFC 7591 with
// scopes for scope and jwks as a string. The client is read by a query
// parameter and not managed otherwise, so that it takes an administrator's
// session and another API to delete one. PingAM, which registers at …/register,
// needs none of this.
//
// The administrator's name and password are in the secret that registers, as
// username and password. Registering itself takes a Bearer token: the one in
// authorization, or one that the secret's client gets by client credentials, or
// none where registration is open.

// openAM registers clients at one realm.
type openAM struct {
	rfc7591

	tokens string // URL of the token endpoint
	login  string // URL where an administrator gets a session
	agents string // URL of the clients as the REST API sees them
}

func newOpenAM(c config.Provider, standard *rfc7591) registrar {
	issuer := strings.TrimSuffix(c.Issuer, "/")
	endpoint := c.Endpoints.Registration
	if endpoint == "" {
		endpoint = issuer + "/connect/register"
	}
	standard.endpoint = func(context.Context) (string, error) { return endpoint, nil }
	if !strings.HasSuffix(endpoint, "/connect/register") {
		return standard
	}
	base, realm, _ := strings.Cut(issuer, "/oauth2")
	if !strings.HasPrefix(realm, "/realms/") {
		realm = "/realms/root" + strings.ReplaceAll(realm, "/", "/realms/")
	}
	return &openAM{
		rfc7591: *standard,
		tokens:  issuer + "/access_token",
		login:   base + "/json/authenticate",
		agents:  base + "/json" + realm + "/realm-config/agents/OAuth2Client/",
	}
}

func (o *openAM) capabilities() Capabilities {
	administrator := o.sender.secret != nil
	return Capabilities{Create: true, Read: true, Delete: administrator, Find: administrator}
}

// errNoAdministrator is a secret that lacks what deletes clients.
var errNoAdministrator = fmt.Errorf("%w (the secret has no username and password of an administrator)", ErrAdminCredentials)

// create chooses the client ID, so that a client whose creation was interrupted
// can be found. None is created that could not be deleted again.
func (o *openAM) create(ctx context.Context, c Client) (Client, error) {
	m := c.metadata()
	delete(m, "scope")
	m["scopes"] = strings.Fields(c.Scope)
	m["client_id"] = chosenID(c.Name)
	m["client_type"] = "Confidential"
	if c.TokenEndpointAuthMethod == publicClient {
		m["client_type"] = "Public"
	}
	if c.JWKS != nil {
		m["jwks"] = string(c.JWKS)
	}
	endpoint, err := o.endpoint(ctx)
	if err != nil {
		return Client{}, err
	}
	request := call{method: http.MethodPost, url: endpoint, body: m, general: true}
	if request, err = o.authorize(ctx, request); err != nil {
		return Client{}, err
	}
	r, err := o.sender.send(ctx, request)
	if err != nil {
		return Client{}, err
	}
	made, err := o.client(r, request, Client{})
	if err != nil {
		return Client{}, err
	}
	made.Scope = c.Scope // what comes back is called scopes
	return made, compare(c, made)
}

// authorize gives request the token that registering takes.
func (o *openAM) authorize(ctx context.Context, request call) (call, error) {
	if o.sender.secret == nil {
		return request, nil
	}
	c, err := o.sender.secret.Get(ctx)
	switch {
	case err != nil:
		return request, fmt.Errorf("%w: %w", ErrUnavailable, err)
	case c.Username == "":
		return request, errNoAdministrator
	case c.Authorization.Reveal() != "":
		return request, nil
	case c.ClientID == "":
		request.bare = true // registration is open
		return request, nil
	}
	basic := base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(c.ClientID) + ":" + url.QueryEscape(c.ClientSecret.Reveal())))
	asking := call{
		method: http.MethodPost, url: o.tokens, body: url.Values{"grant_type": {clientCredentials}}, general: true, bare: true,
		header: http.Header{"Authorization": {"Basic " + basic}},
	}
	r, err := o.sender.send(ctx, asking)
	if err != nil {
		return request, fmt.Errorf("%w: no token to register with", ErrUnavailable)
	}
	m, err := members(r.body)
	if !r.ok() || err != nil {
		return request, ErrAdminCredentials
	}
	var token string
	if err := readString(strictjson.NewDecoder(m["access_token"], providerJSON), &token); err != nil || token == "" {
		return request, ErrAdminCredentials
	}
	request.token = secret.New(token)
	return request, nil
}

// read asks by client_id: the URI in the answer has lost its realm.
func (o *openAM) read(ctx context.Context, c Client) (Client, error) {
	endpoint, err := o.endpoint(ctx)
	if err != nil {
		return Client{}, err
	}
	request := call{
		method: http.MethodGet, url: endpoint + "?client_id=" + url.QueryEscape(c.ClientID), token: secret.New(c.management().Token),
	}
	r, err := o.sender.send(ctx, request)
	if err != nil {
		return Client{}, err
	}
	found, err := o.client(r, request, c)
	found.Scope = c.Scope
	return found, err
}

func (o *openAM) remove(ctx context.Context, c Client) error {
	_, err := o.agent(ctx, http.MethodDelete, c.ClientID)
	return err
}

// find says that there is a client, not what is in it.
func (o *openAM) find(ctx context.Context, name string) (Client, bool, error) {
	id := chosenID(name)
	ok, err := o.agent(ctx, http.MethodGet, id)
	if !ok || err != nil {
		return Client{}, false, err
	}
	return Client{ClientID: id, Name: name}, true, nil
}

// agent sends a request about a client with an administrator's session, and
// reports whether there is such a client.
func (o *openAM) agent(ctx context.Context, method, id string) (bool, error) {
	session, err := o.session(ctx)
	if err != nil {
		return false, err
	}
	request := call{
		method: method, url: o.agents + url.PathEscape(id), bare: true,
		header: http.Header{"Iplanetdirectorypro": {session}, "Accept-Api-Version": {"protocol=2.1,resource=1.0"}},
	}
	r, err := o.sender.send(ctx, request)
	if err == nil && !r.ok() {
		err = r.failure(request)
	}
	if errors.Is(err, ErrGone) {
		return false, nil
	}
	return err == nil, err
}

// session signs the administrator in.
func (o *openAM) session(ctx context.Context) (string, error) {
	c, err := o.sender.secret.Get(ctx)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if c.Username == "" {
		return "", errNoAdministrator
	}
	r, err := o.sender.send(ctx, call{
		method: http.MethodPost, url: o.login, bare: true, general: true,
		header: http.Header{"X-Openam-Username": {c.Username}, "X-Openam-Password": {c.Password.Reveal()}},
	})
	if err != nil {
		return "", fmt.Errorf("%w: no administrator's session", ErrUnavailable)
	}
	m, err := members(r.body)
	if !r.ok() || err != nil {
		return "", ErrAdminCredentials
	}
	var session string
	if err := readString(strictjson.NewDecoder(m["tokenId"], providerJSON), &session); err != nil || session == "" {
		return "", ErrAdminCredentials
	}
	return session, nil
}
