package provider

import (
	"context"
	"encoding/base64"
	"encoding/json"
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
// scopes for scope and jwks as a string. It makes clients and shows them to
// whoever has their registration access token; everything else takes an
// administrator and another API, see openamagents.go. PingAM, which registers at
// …/register, needs none of this.
//
// The administrator's name and password are in the secret that registers, as
// username and password. Registering itself takes a Bearer token: the one in
// authorization, or one that the secret's client gets by client credentials, or
// none where registration is open.
//
// How OpenAM answers was seen at 16.0.5; infra/real holds both files to it.

// openAM registers clients at one realm.
type openAM struct {
	rfc7591

	tokens string        // URL of the token endpoint
	agents *openAMAgents // nil: there is no administrator
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
	o := &openAM{rfc7591: *standard, tokens: issuer + "/access_token"}
	if standard.sender.secret != nil {
		o.agents = newOpenAMAgents(issuer, standard.sender)
	}
	return o
}

func (o *openAM) capabilities() Capabilities {
	administrator := o.agents != nil
	return Capabilities{
		Create: true, Read: true, Update: administrator, Delete: administrator, Rotate: administrator, Find: administrator,
	}
}

// errNoAdministrator is a secret that lacks what manages clients.
var errNoAdministrator = fmt.Errorf("%w (the secret has no username and password of an administrator)", ErrAdminCredentials)

// errNoDefaultScope is a client that gets no token to register with: which
// scope it takes is nobody's business here, so none is asked for.
var errNoDefaultScope = fmt.Errorf("%w (the secret's client has no default scope, and OpenAM gives no token without a scope)", ErrAdminCredentials)

// create chooses the client ID, so that a client whose creation was interrupted
// can be found. None is created that could not be deleted again: the
// administrator, if there is one, must be able to sign in.
func (o *openAM) create(ctx context.Context, c Client) (Client, error) {
	if o.agents != nil {
		if _, err := o.agents.signedIn(ctx, ""); err != nil {
			return Client{}, err
		}
	}
	m := c.metadata()
	delete(m, "scope")
	m["scopes"] = strings.Fields(c.Scope)
	m["client_id"] = chosenID(c.Name)
	m["client_type"] = openAMType(c)
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
		return Client{}, o.taken(ctx, c, err)
	}
	// What comes back is called scopes, has keys in a string and, of a name with
	// "|" in it, makes a language and a name.
	made.Name, made.Scope, made.JWKS = c.Name, c.Scope, c.JWKS
	if !keepsSecret(c.TokenEndpointAuthMethod) {
		made.Secret = secret.Value{} // it lets in whoever has it, whatever the method
	}
	if o.agents != nil {
		// The registration access token is an access token, perhaps our own.
		made.Management = secret.Value{}
	}
	return made, compare(c, made)
}

// openAMType is what c is there beside its authentication method.
func openAMType(c Client) string {
	if c.TokenEndpointAuthMethod == publicClient {
		return "Public"
	}
	return "Confidential"
}

// keepsSecret reports whether a client of this method has a secret to keep.
func keepsSecret(method string) bool { return method != publicClient && method != privateKeyJWT }

// taken returns the error of a creation that failed with err. That there is
// such a client already reads like any other unacceptable metadata.
func (o *openAM) taken(ctx context.Context, c Client, err error) error {
	m, ok := errors.AsType[*MetadataError](err)
	if !ok || m.Field != "" || o.agents == nil {
		return err
	}
	switch _, held := o.agents.send(ctx, http.MethodGet, chosenID(c.Name), nil); {
	case held == nil:
		return ErrNameTaken
	case errors.Is(held, ErrGone):
		return err
	default:
		return held
	}
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
	case c.Authorization.Reveal() != "":
		return request, nil
	case c.ClientID == "":
		request.bare = true // registration is open
		return request, nil
	}
	token, err := renewing(ctx, o.sender, o.token)
	request.token = secret.New(token)
	return request, err
}

// token returns an access token of the secret's client.
func (o *openAM) token(ctx context.Context, c secret.Credentials) (string, error) {
	basic := base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(c.ClientID) + ":" + url.QueryEscape(c.ClientSecret.Reveal())))
	r, err := o.sender.send(ctx, call{
		method: http.MethodPost, url: o.tokens, body: url.Values{"grant_type": {clientCredentials}}, general: true, bare: true,
		header: http.Header{"Authorization": {"Basic " + basic}},
	})
	switch {
	case err != nil:
		return "", fmt.Errorf("%w: no token to register with", ErrUnavailable)
	case r.reason().code == "invalid_scope":
		return "", errNoDefaultScope
	}
	return r.credential("access_token")
}

// credential returns what signing in gave, under its name.
func (r reply) credential(name string) (string, error) {
	m, err := members(r.body)
	if !r.ok() || err != nil {
		return "", ErrAdminCredentials
	}
	var value string
	if err := readString(strictjson.NewDecoder(m[name], providerJSON), &value); err != nil || value == "" {
		return "", ErrAdminCredentials
	}
	return value, nil
}

// renewing signs in with the secret of s and, if that is refused, once more
// with a fresh one: it may just have been rotated.
func renewing(ctx context.Context, s *sender, signIn func(context.Context, secret.Credentials) (string, error)) (string, error) {
	c, err := s.secret.Get(ctx)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	got, err := signIn(ctx, c)
	if !errors.Is(err, ErrAdminCredentials) {
		return got, err
	}
	renewed, refreshErr := s.secret.Refresh(ctx)
	if refreshErr != nil || renewed.Equal(c) {
		return "", err
	}
	return signIn(ctx, renewed)
}

// read asks an administrator or, where there is none, by the registration
// access token; for that the URI that came with it has lost its realm.
func (o *openAM) read(ctx context.Context, c Client) (Client, error) {
	if o.agents != nil {
		return o.agents.read(ctx, c)
	}
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
	if _, ok := errors.AsType[*MetadataError](err); ok {
		err = ErrGone // the metadata of a client that is not there are "invalid"
	}
	found.Scope, found.JWKS = c.Scope, openAMKeys(found.JWKS)
	return found, err
}

// openAMKeys returns the JWK set that OpenAM has as text.
func openAMKeys(raw json.RawMessage) json.RawMessage {
	var text string
	if err := readString(strictjson.NewDecoder(raw, providerJSON), &text); err != nil || strictjson.Valid([]byte(text), providerJSON) != nil {
		return nil
	}
	return json.RawMessage(text)
}

func (o *openAM) update(ctx context.Context, c Client) (Client, error) {
	return o.agents.update(ctx, c)
}

func (o *openAM) remove(ctx context.Context, c Client) error { return o.agents.remove(ctx, c) }

func (o *openAM) rotate(ctx context.Context, c Client) (Rotated, error) {
	return o.agents.rotate(ctx, c)
}

// find asks for the client ID that a client of this name has.
func (o *openAM) find(ctx context.Context, name string) (Client, bool, error) {
	c, err := o.agents.read(ctx, Client{ClientID: chosenID(name)})
	if errors.Is(err, ErrGone) {
		return Client{}, false, nil
	}
	return c, err == nil, err
}
