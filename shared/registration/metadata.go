package registration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"gatehouse/shared/fetch"
	"gatehouse/shared/oauth"
	"gatehouse/shared/registry"
	"gatehouse/shared/strictjson"
)

// Limits of metadata.
const (
	maxName        = 70 // characters: with the marker it stays within the provider's 100
	maxDescription = 4096
	maxURI         = 2048
	maxRedirects   = 20
	maxScope       = 2048
	maxJWKS        = 8 << 10 // bytes
)

// Metadata is client metadata as callers send it (RFC 7591 section 2). What
// else they send is ignored, so that no one reaches a vendor's own switches.
type Metadata struct {
	Name          string   `json:"client_name"`
	Description   string   `json:"description"`
	URI           string   `json:"client_uri"`
	RedirectURIs  []string `json:"redirect_uris"`
	GrantTypes    []string `json:"grant_types"`    // nil: authorization_code
	ResponseTypes []string `json:"response_types"` // nil: what follows from GrantTypes
	AuthMethod    string   `json:"token_endpoint_auth_method"`
	Scope         string   `json:"scope"`

	JWKSURI string          `json:"jwks_uri"`
	JWKS    json.RawMessage `json:"jwks"` // compact; nil: none
}

func metadataOf(a registry.Application) Metadata {
	return Metadata{
		Name: a.Name, Description: a.Description, URI: a.URI, RedirectURIs: a.RedirectURIs, GrantTypes: a.GrantTypes,
		ResponseTypes: a.ResponseTypes, AuthMethod: a.AuthMethod, Scope: a.Scope, JWKSURI: a.JWKSURI, JWKS: a.JWKS,
	}
}

// apply puts m into a.
func (m Metadata) apply(a *registry.Application) {
	a.Name, a.Description, a.URI, a.RedirectURIs, a.GrantTypes = m.Name, m.Description, m.URI, m.RedirectURIs, m.GrantTypes
	a.ResponseTypes, a.AuthMethod, a.Scope, a.JWKSURI, a.JWKS = m.ResponseTypes, m.AuthMethod, m.Scope, m.JWKSURI, m.JWKS
}

// member reads one member of a registration request. null resets it. It reports
// whether it knows the member.
func (m *Metadata) member(d *strictjson.Decoder, name string) (bool, error) {
	switch name {
	case "client_name":
		return true, readText(d, name, &m.Name)
	case "description":
		return true, readText(d, name, &m.Description)
	case "client_uri":
		return true, readText(d, name, &m.URI)
	case "token_endpoint_auth_method":
		return true, readText(d, name, &m.AuthMethod)
	case "scope":
		return true, readText(d, name, &m.Scope)
	case "redirect_uris":
		return true, readTexts(d, name, &m.RedirectURIs)
	case "grant_types":
		m.ResponseTypes = nil // follows, unless it is sent, too
		return true, readTexts(d, name, &m.GrantTypes)
	case "response_types":
		return true, readTexts(d, name, &m.ResponseTypes)
	case "jwks_uri":
		return true, readText(d, name, &m.JWKSURI)
	case "jwks":
		return true, readJWKS(d, &m.JWKS)
	case "software_statement":
		return true, &RefusalError{
			Status: 400, Code: unapprovedSoftware, Field: name, Detail: "is of nobody who is trusted here; leave it out",
		}
	}
	return false, nil
}

func readText(d *strictjson.Decoder, name string, into *string) error {
	*into = ""
	switch d.Kind() {
	case strictjson.Null:
		return d.Skip()
	case strictjson.String:
		b, err := d.String()
		*into = string(b)
		return err
	default:
		return invalid(name, "is not a string; send one")
	}
}

func readTexts(d *strictjson.Decoder, name string, into *[]string) error {
	*into = nil
	switch d.Kind() {
	case strictjson.Null:
		return d.Skip()
	case strictjson.Array:
		*into = []string{}
		return d.Array(func() error {
			var text string
			if d.Kind() != strictjson.String {
				return invalid(name, "has an element that is not a string; send strings")
			}
			err := readText(d, name, &text)
			*into = append(*into, text)
			return err
		})
	default:
		return invalid(name, "is not an array of strings; send one")
	}
}

// complete checks m and fills in the defaults of RFC 7591 section 2.
func (m Metadata) complete(kind registry.Kind) (Metadata, error) {
	if m.Name == "" && kind == registry.Dynamic {
		m.Name = "Unnamed client"
	}
	if m.GrantTypes == nil {
		m.GrantTypes = []string{oauth.AuthorizationCode}
	}
	if m.AuthMethod == "" {
		m.AuthMethod = oauth.SecretBasic
	}
	if m.RedirectURIs == nil {
		m.RedirectURIs = []string{}
	}
	m.Scope = strings.Join(oauth.SplitScope(m.Scope), " ")
	for _, check := range []func() error{
		m.checkTexts, func() error { return m.checkGrants(kind) }, m.checkRedirects, func() error { return m.checkURI(kind) },
		func() error { return m.checkKeys(kind) },
	} {
		if err := check(); err != nil {
			return m, err
		}
	}
	err := m.completeResponses()
	return m, err
}

func (m Metadata) checkTexts() error {
	switch {
	case strings.TrimSpace(m.Name) == "":
		return invalid("client_name", "is missing; send a name that people know the application by")
	case utf8.RuneCountInString(m.Name) > maxName || strings.TrimSpace(m.Name) != m.Name:
		return invalid("client_name", "has more than %d characters, or spaces around it; shorten it", maxName)
	case strings.ContainsFunc(m.Name, oauth.Hidden):
		return invalid("client_name", "has control or invisible characters, or other spaces than U+0020; leave them out")
	case len(m.Description) > maxDescription:
		return invalid("description", "has more than %d bytes; shorten it", maxDescription)
	case strings.ContainsFunc(m.Description, func(r rune) bool { return unreadable(r) && r != '\n' }):
		return invalid("description", "has control or invisible characters; leave them out")
	case len(m.Scope) > maxScope:
		return invalid("scope", "has more than %d bytes; ask for less", maxScope)
	}
	for _, scope := range oauth.SplitScope(m.Scope) {
		if !oauth.ValidScope(scope) {
			return invalid("scope", "has characters that RFC 6749 section 3.3 does not allow; GET /apis lists the scopes")
		}
	}
	return nil
}

// unreadable reports whether r has no place in what people write, which may have
// the spaces of other programs, and pictures in colour.
func unreadable(r rune) bool {
	return oauth.Hidden(r) && !unicode.In(r, unicode.Zs, unicode.Variation_Selector)
}

func (m Metadata) checkGrants(kind registry.Kind) error {
	allowed := []string{oauth.AuthorizationCode, oauth.RefreshToken, oauth.ClientCredentials}
	if kind == registry.Dynamic {
		allowed = allowed[:2] // nobody vouches for it: a user must
	}
	for _, grant := range m.GrantTypes {
		if !slices.Contains(allowed, grant) {
			return invalid("grant_types", "can have %s only", strings.Join(allowed, ", "))
		}
	}
	code := slices.Contains(m.GrantTypes, oauth.AuthorizationCode)
	switch {
	case !slices.Contains([]string{oauth.SecretBasic, oauth.SecretPost, oauth.PrivateKeyJWT, oauth.PublicClient}, m.AuthMethod):
		return invalid("token_endpoint_auth_method", "must be %s, %s, %s or %s", oauth.SecretBasic, oauth.SecretPost, oauth.PrivateKeyJWT, oauth.PublicClient)
	case len(m.GrantTypes) == 0 || len(slices.Compact(slices.Sorted(slices.Values(m.GrantTypes)))) != len(m.GrantTypes):
		return invalid("grant_types", "is empty or repeats itself; name each once")
	case slices.Contains(m.GrantTypes, oauth.RefreshToken) && !code:
		return invalid("grant_types", "has refresh_token without authorization_code; add it or leave refresh_token out")
	case slices.Contains(m.GrantTypes, oauth.ClientCredentials) && m.AuthMethod == oauth.PublicClient:
		return invalid("token_endpoint_auth_method", "is none, but client_credentials needs a secret; use %s", oauth.SecretBasic)
	case code && len(m.RedirectURIs) == 0:
		return invalid("redirect_uris", "is missing; authorization_code needs at least one")
	}
	return nil
}

func (m Metadata) checkRedirects() error {
	if len(m.RedirectURIs) > maxRedirects {
		return invalid("redirect_uris", "has more than %d elements; send fewer", maxRedirects)
	}
	for n, uri := range m.RedirectURIs {
		if slices.Contains(m.RedirectURIs[:n], uri) {
			return invalid("redirect_uris", "has an element twice; send it once")
		}
		if oauth.CheckRedirectURI(uri, m.AuthMethod == oauth.PublicClient) != nil {
			return invalid("redirect_uris", "has an element that is not allowed; use an absolute https URI without fragment, user or wildcard and with a host in ASCII, "+
				"http for a loopback address, or, for a public client, a private scheme with a dot (RFC 8252)")
		}
	}
	return nil
}

// checkURI wants the page of a client that registered itself to be where its
// redirects go (RFC 7591 section 5).
func (m Metadata) checkURI(kind registry.Kind) error {
	if m.URI == "" {
		return nil
	}
	u, err := url.Parse(m.URI)
	if err != nil || len(m.URI) > maxURI || u.Scheme != "https" || u.Host == "" || u.User != nil || !oauth.PlainHost(u) || strings.ContainsFunc(m.URI, oauth.Hidden) {
		return invalid("client_uri", "must be an absolute https URI; write a host beyond ASCII in xn-- form")
	}
	related := func(uri string) bool {
		redirect, err := url.Parse(uri)
		return err == nil && redirect.Hostname() == u.Hostname()
	}
	if kind == registry.Dynamic && !slices.ContainsFunc(m.RedirectURIs, related) {
		return invalid("client_uri", "must be at the host of a redirect URI; change it or leave it out")
	}
	return nil
}

// hasSecret reports whether a client that authenticates so has a secret.
func hasSecret(authMethod string) bool {
	return authMethod != oauth.PublicClient && authMethod != oauth.PrivateKeyJWT
}

// checkKeys wants keys where they are used, and nowhere else.
func (m Metadata) checkKeys(kind registry.Kind) error {
	if m.AuthMethod != oauth.PrivateKeyJWT {
		if m.JWKS != nil {
			return invalid("jwks", "goes with token_endpoint_auth_method %s; leave one out", oauth.PrivateKeyJWT)
		}
		if m.JWKSURI != "" {
			return invalid("jwks_uri", "goes with token_endpoint_auth_method %s; leave one out", oauth.PrivateKeyJWT)
		}
		return nil
	}
	switch {
	case m.JWKS != nil && m.JWKSURI != "":
		return invalid("jwks", "and jwks_uri exclude each other; send one")
	case m.JWKS != nil:
		return nil
	case m.JWKSURI == "":
		return invalid("jwks", "is missing; %s needs the client's public keys", oauth.PrivateKeyJWT)
	case kind == registry.Dynamic:
		// The provider would fetch from wherever a stranger says.
		return invalid("jwks_uri", "is not taken from clients that register themselves; send jwks")
	}
	u, err := url.Parse(m.JWKSURI)
	if err != nil || len(m.JWKSURI) > maxURI || u.Scheme != "https" || u.User != nil || strings.ContainsAny(m.JWKSURI, "# \\") ||
		strings.ContainsFunc(m.JWKSURI, oauth.Hidden) || !fetch.PublicName(u.Hostname()) {
		return invalid("jwks_uri", "must be an absolute https URI of a public host, without fragment")
	}
	return nil
}

// readJWKS reads a set of public keys.
func readJWKS(d *strictjson.Decoder, into *json.RawMessage) error {
	*into = nil
	if d.Kind() == strictjson.Null {
		return d.Skip()
	}
	raw, err := d.Raw()
	if err != nil {
		return err
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		return err
	}
	if compact.Len() > maxJWKS {
		return invalid("jwks", "has more than %d bytes; send the keys that are in use", maxJWKS)
	}
	*into = compact.Bytes()
	keys := 0
	set := strictjson.NewDecoder(compact.Bytes(), strictjson.Token)
	err = set.Object(func(name []byte) error {
		if string(name) != "keys" {
			return set.Skip()
		}
		return set.Array(func() error {
			keys++
			return set.Object(func(name []byte) error {
				if slices.Contains([]string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}, string(name)) {
					return invalid("jwks", "has private or symmetric keys; send public ones, and new ones, for these are known now")
				}
				return set.Skip()
			})
		})
	})
	if refusal, ok := errors.AsType[*RefusalError](err); ok {
		return refusal
	}
	if err != nil || keys == 0 {
		return invalid("jwks", `is no JWK set; send {"keys": [...]} with the client's public keys`)
	}
	return nil
}

// completeResponses makes response_types what grant_types need, and refuses
// others.
func (m *Metadata) completeResponses() error {
	want := []string{}
	if slices.Contains(m.GrantTypes, oauth.AuthorizationCode) {
		want = append(want, "code")
	}
	if m.ResponseTypes != nil && !slices.Equal(m.ResponseTypes, want) {
		return invalid("response_types", `does not go with grant_types; leave it out, or send ["code"] for authorization_code and [] without`)
	}
	m.ResponseTypes = want
	return nil
}

// checkMetadata refuses scopes that no API of the provider knows, and the
// broker's redirect URI, which is no client's.
func (s *Service) checkMetadata(ctx context.Context, providerName string, m Metadata) error {
	if callback := s.callback(ctx, m.GrantTypes); callback != "" && slices.Contains(m.RedirectURIs, callback) {
		return invalid("redirect_uris", "has the address where the provider sends people back to Gatehouse; leave it out")
	}
	known := []string{"openid", "profile", "email", "offline_access"}
	for _, a := range s.APIs {
		if slices.Contains(a.Providers, providerName) {
			known = append(known, a.scopes()...)
		}
	}
	for _, one := range oauth.SplitScope(m.Scope) {
		if !slices.Contains(known, one) {
			return invalid("scope", "has one that no API of this provider knows; GET /apis lists them")
		}
	}
	return nil
}

// scopes are those that routes of a ask for.
func (a API) scopes() []string {
	var all []string
	for _, r := range a.Routes {
		all = append(all, slices.Concat(r.Scopes, r.AnyScope)...)
	}
	return all
}
