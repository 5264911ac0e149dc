package provider

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"gatehouse/shared/secret"
	"gatehouse/shared/strictjson"
)

// This file is OpenAM's REST API for its agents, of which OAuth clients are a
// kind. It has names of its own for everything, writes lists as "[n]=value" in
// any order, and checks little: what registration refuses of a redirect URI is
// taken here.
//
// PUT replaces the attributes that it is sent and keeps all others, so only ours
// are sent. A client sent back whole would have every default of the schema as
// a value of its own, and lose what an administrator changed meanwhile: _rev is
// not compared (the API says so of itself, mvccSupported is false).

// openAMAgents are the clients of one realm.
type openAMAgents struct {
	sender  *sender
	login   string // URL where an administrator gets a session
	clients string // URL of the clients

	mu      sync.Mutex   // guards session; held while one signs in and the others wait
	session secret.Value // zero: none yet
}

func newOpenAMAgents(issuer string, s *sender) *openAMAgents {
	base, realm, _ := strings.Cut(issuer, "/oauth2")
	if !strings.HasPrefix(realm, "/realms/") {
		realm = "/realms/root" + strings.ReplaceAll(realm, "/", "/realms/")
	}
	return &openAMAgents{
		sender: s, login: base + "/json/authenticate", clients: base + "/json" + realm + "/realm-config/agents/OAuth2Client/",
	}
}

// Attributes of a client. What follows the prefix differs from RFC 7591's names
// in more than spelling, so there is no deriving one from the other.
const (
	openAMPrefix = "com.forgerock.openam.oauth2provider."

	openAMClientName    = openAMPrefix + "clientName"
	openAMClientType    = openAMPrefix + "clientType"
	openAMRedirects     = openAMPrefix + "redirectionURIs"
	openAMResponses     = openAMPrefix + "responseTypes"
	openAMGrants        = openAMPrefix + "grantTypes" // newer releases
	openAMMethod        = openAMPrefix + "tokenEndPointAuthMethod"
	openAMScopes        = openAMPrefix + "scopes"
	openAMDefaultScopes = openAMPrefix + "defaultScopes"
	openAMKeySource     = openAMPrefix + "publicKeyLocation"
	openAMJWKSURI       = openAMPrefix + "jwksURI"
	openAMJWKS          = openAMPrefix + "jwks"
	openAMSecret        = "userpassword"
)

// openAMFields are the attributes that an error may name, longer names before
// those they contain.
var openAMFields = []struct{ attribute, field string }{
	{openAMMethod, "token_endpoint_auth_method"}, {openAMRedirects, "redirect_uris"}, {openAMResponses, "response_types"},
	{openAMClientName, "client_name"}, {openAMGrants, "grant_types"}, {openAMJWKSURI, "jwks_uri"}, {openAMJWKS, "jwks"},
	{openAMScopes, "scope"},
}

// send sends a request about one client with an administrator's session, and
// returns the members of the answer.
func (a *openAMAgents) send(ctx context.Context, method, id string, body map[string]any) (map[string]json.RawMessage, error) {
	session, err := a.signedIn(ctx, "")
	if err != nil {
		return nil, err
	}
	request := call{method: method, url: a.clients + url.PathEscape(id), bare: true, header: http.Header{
		"Accept-Api-Version": {"protocol=2.1,resource=1.0"}, "Iplanetdirectorypro": {session},
	}}
	if body != nil {
		request.body = body
		// Without it, PUT would make a client that is not there.
		request.header.Set("If-Match", "*")
	}
	r, err := a.sender.send(ctx, request)
	if err == nil && r.status == http.StatusUnauthorized {
		// The session has ended, and nothing was done.
		if session, err = a.signedIn(ctx, session); err != nil {
			return nil, err
		}
		request.header.Set("Iplanetdirectorypro", session)
		r, err = a.sender.send(ctx, request)
	}
	switch {
	case err != nil:
		return nil, err
	case !r.ok():
		return nil, openAMFailure(r, request)
	case method == http.MethodDelete:
		return map[string]json.RawMessage{}, r.deleted(request)
	}
	m, err := members(r.body)
	if err != nil || openAMText(m["_id"]) != id {
		return nil, request.lost()
	}
	return m, nil
}

// openAMFailure is failure, with the field that the error names in its own way.
func openAMFailure(r reply, request call) error {
	err := r.failure(request)
	if m, ok := errors.AsType[*MetadataError](err); ok && m.Field == "" {
		text := r.reason().text
		for _, f := range openAMFields {
			if strings.Contains(text, f.attribute) {
				return &MetadataError{f.field}
			}
		}
	}
	return err
}

// signedIn returns an administrator's session: the one there is, unless it is
// the one that has ended. A session for every request would leave hundreds of
// them behind, which OpenAM keeps for hours.
func (a *openAMAgents) signedIn(ctx context.Context, ended string) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if held := a.session.Reveal(); held != "" && held != ended {
		return held, nil
	}
	session, err := renewing(ctx, a.sender, a.signIn)
	a.session = secret.New(session)
	return session, err
}

func (a *openAMAgents) signIn(ctx context.Context, c secret.Credentials) (string, error) {
	if c.Username == "" {
		return "", errNoAdministrator
	}
	r, err := a.sender.send(ctx, call{
		method: http.MethodPost, url: a.login, bare: true, general: true,
		header: http.Header{
			"Accept-Api-Version": {"protocol=1.0,resource=2.0"},
			// Not UTF-8 as it is: OpenAM reads that as Latin-1.
			"X-Openam-Username": {mime.BEncoding.Encode("utf-8", c.Username)},
			"X-Openam-Password": {mime.BEncoding.Encode("utf-8", c.Password.Reveal())},
		},
	})
	if err != nil {
		return "", fmt.Errorf("%w: no administrator's session", ErrUnavailable)
	}
	return r.credential("tokenId")
}

func (a *openAMAgents) read(ctx context.Context, c Client) (Client, error) {
	m, err := a.send(ctx, http.MethodGet, c.ClientID, nil)
	if err != nil {
		return Client{}, err
	}
	found := openAMClient(m)
	found.Secret, found.SecretExpires, found.Management = c.Secret, c.SecretExpires, c.Management
	return found, nil
}

// update replaces what Gatehouse knows of a client. The secret is sent only
// when the method of authentication says that there is one now, or none any
// more: OpenAM lets in whoever has a secret, whatever the method.
func (a *openAMAgents) update(ctx context.Context, c Client) (Client, error) {
	if slices.ContainsFunc(c.RedirectURIs, func(uri string) bool { return !acceptableRedirect(uri) }) {
		return Client{}, &MetadataError{"redirect_uris"}
	}
	held, err := a.send(ctx, http.MethodGet, c.ClientID, nil)
	if err != nil {
		return Client{}, err
	}
	m := openAMAttributes(c, held)
	had, has := keepsSecret(openAMText(held[openAMMethod])), keepsSecret(c.TokenEndpointAuthMethod)
	if had != has {
		c.Secret = secret.New(rand.Text() + rand.Text())
		m[openAMSecret] = c.Secret.Reveal()
	}
	if !has {
		c.Secret = secret.Value{} // nobody's, if there is one
	}
	answer, err := a.send(ctx, http.MethodPut, c.ClientID, m)
	if err != nil {
		return Client{}, err
	}
	changed := openAMClient(answer)
	changed.Secret, changed.SecretExpires, changed.Management = c.Secret, c.SecretExpires, c.Management
	switch {
	case !sameSet(c.RedirectURIs, changed.RedirectURIs):
		return changed, &MismatchError{Client: changed, Field: "redirect_uris"}
	case !sameSet(strings.Fields(c.Scope), strings.Fields(changed.Scope)):
		return changed, &MismatchError{Client: changed, Field: "scope"}
	case changed.TokenEndpointAuthMethod != c.TokenEndpointAuthMethod:
		return changed, &MismatchError{Client: changed, Field: "token_endpoint_auth_method"}
	}
	return changed, nil
}

// acceptableRedirect reports whether registration would take uri: nobody else
// looks at it when a client is changed.
func acceptableRedirect(uri string) bool {
	u, err := url.Parse(uri)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && !strings.Contains(uri, "#")
}

// remove deletes a client; one that is not there is success.
func (a *openAMAgents) remove(ctx context.Context, c Client) error {
	_, err := a.send(ctx, http.MethodDelete, c.ClientID, nil)
	if errors.Is(err, ErrGone) {
		return nil
	}
	return err
}

// rotate replaces the secret; the old one stops at once.
func (a *openAMAgents) rotate(ctx context.Context, c Client) (Rotated, error) {
	c.Secret = secret.New(rand.Text() + rand.Text())
	if _, err := a.send(ctx, http.MethodPut, c.ClientID, map[string]any{openAMSecret: c.Secret.Reveal()}); err != nil {
		return Rotated{}, err
	}
	return Rotated{Client: c, OldValidUntil: a.sender.now()}, nil
}

// openAMAttributes returns what makes c of the client that is held.
func openAMAttributes(c Client, held map[string]json.RawMessage) map[string]any {
	scopes := strings.Fields(c.Scope)
	m := map[string]any{
		openAMClientName: openAMList([]string{c.Name}),
		openAMClientType: openAMType(c),
		openAMRedirects:  openAMList(c.RedirectURIs),
		openAMResponses:  openAMList(c.ResponseTypes),
		openAMMethod:     c.TokenEndpointAuthMethod,
		openAMScopes:     openAMList(scopesAsHeld(scopes, openAMValues(held[openAMScopes]))),
		// A default scope is granted even when it is none of the client's scopes.
		openAMDefaultScopes: openAMList(slices.DeleteFunc(openAMValues(held[openAMDefaultScopes]), func(entry string) bool {
			return !slices.Contains(scopes, scopeOf(entry))
		})),
	}
	if _, ok := held[openAMGrants]; ok {
		m[openAMGrants] = openAMList(c.GrantTypes)
	}
	source := openAMText(held[openAMKeySource])
	switch {
	case c.JWKS != nil:
		m[openAMKeySource], m[openAMJWKS] = "jwks", string(c.JWKS)
	case c.JWKSURI != "":
		m[openAMKeySource], m[openAMJWKSURI] = "jwks_uri", c.JWKSURI
	case source == "jwks", source == "jwks_uri":
		m[openAMKeySource], m[openAMJWKS], m[openAMJWKSURI] = "x509", "", "" // as of a client that was registered without keys
	}
	return m
}

// scopesAsHeld returns entries for scopes. Those that an administrator gave
// texts for the page of consent, "scope|language|text", stay as they are.
func scopesAsHeld(scopes, held []string) []string {
	var entries []string
	for _, scope := range scopes {
		n := len(entries)
		for _, entry := range held {
			if scopeOf(entry) == scope {
				entries = append(entries, entry)
			}
		}
		if len(entries) == n {
			entries = append(entries, scope)
		}
	}
	return entries
}

func scopeOf(entry string) string {
	scope, _, _ := strings.Cut(entry, "|")
	return scope
}

// openAMClient reads the attributes of a client. There is no secret among them.
func openAMClient(m map[string]json.RawMessage) Client {
	c := Client{
		ClientID:                openAMText(m["_id"]),
		RedirectURIs:            openAMValues(m[openAMRedirects]),
		ResponseTypes:           openAMValues(m[openAMResponses]),
		GrantTypes:              openAMValues(m[openAMGrants]),
		TokenEndpointAuthMethod: openAMText(m[openAMMethod]),
	}
	if names := openAMValues(m[openAMClientName]); len(names) > 0 {
		c.Name = names[0]
	}
	var scopes []string
	for _, entry := range openAMValues(m[openAMScopes]) {
		if scope := scopeOf(entry); !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	c.Scope = strings.Join(scopes, " ")
	switch openAMText(m[openAMKeySource]) {
	case "jwks":
		c.JWKS = openAMKeys(m[openAMJWKS])
	case "jwks_uri":
		c.JWKSURI = openAMText(m[openAMJWKSURI])
	}
	return c
}

// openAMText returns a text attribute; one that is null or of another type
// counts as empty.
func openAMText(raw json.RawMessage) string {
	var text string
	if err := readString(strictjson.NewDecoder(raw, providerJSON), &text); err != nil {
		return ""
	}
	return text
}

// openAMList writes values as a list attribute.
func openAMList(values []string) []string {
	entries := make([]string, 0, len(values))
	for n, v := range values {
		entries = append(entries, "["+strconv.Itoa(n)+"]="+v)
	}
	return entries
}

// openAMValues reads a list attribute in the order of its numbers. An empty
// list may be "[0]=".
func openAMValues(raw json.RawMessage) []string {
	var entries []string
	if err := readStrings(strictjson.NewDecoder(raw, providerJSON), &entries); err != nil {
		return nil
	}
	type numbered struct {
		n     int
		value string
	}
	var all []numbered
	for _, entry := range entries {
		number, value, ok := strings.Cut(strings.TrimPrefix(entry, "["), "]=")
		n, err := strconv.Atoi(number)
		if !ok || err != nil {
			n, value = len(all), entry // without a number
		}
		if value != "" {
			all = append(all, numbered{n, value})
		}
	}
	slices.SortStableFunc(all, func(a, b numbered) int { return cmp.Compare(a.n, b.n) })
	var values []string
	for _, e := range all {
		values = append(values, e.value)
	}
	return values
}
