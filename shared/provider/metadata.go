package provider

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"gatehouse/shared/oauth"
	"gatehouse/shared/secret"
	"gatehouse/shared/strictjson"
)

// This file writes and reads client metadata (RFC 7591 §2 and §3.2.1).

// Grant types and authentication methods that decide something here.
const (
	authorizationCode = "authorization_code"
	clientCredentials = "client_credentials"
	refreshToken      = "refresh_token"
	implicitGrant     = "implicit"

	secretBasic   = "client_secret_basic"
	privateKeyJWT = "private_key_jwt"
	publicClient  = "none"
)

const (
	maxName = 100      // characters of a client name
	maxJWKS = 16 << 10 // bytes
)

// named reports whether c's ID can stand in a path and means one client there.
func (c Client) named() error {
	if c.ClientID == "" || c.ClientID == "." || c.ClientID == ".." || !plainClientID([]byte(c.ClientID)) {
		return &MetadataError{"client_id"}
	}
	return nil
}

// complete checks what no provider accepts and fills in RFC 7591's defaults.
func (c Client) complete() (Client, error) {
	if c.Name == "" || utf8.RuneCountInString(c.Name) > maxName || !utf8.ValidString(c.Name) || strings.ContainsFunc(c.Name, oauth.Hidden) {
		return c, &MetadataError{"client_name"}
	}
	if c.GrantTypes == nil {
		c.GrantTypes = []string{authorizationCode}
	}
	c.TokenEndpointAuthMethod = cmp.Or(c.TokenEndpointAuthMethod, secretBasic)
	if c.ResponseTypes == nil {
		c.ResponseTypes = responseTypes(c.GrantTypes)
	}
	switch {
	case len(c.GrantTypes) == 0:
		return c, &MetadataError{"grant_types"}
	case slices.Contains(c.GrantTypes, authorizationCode) && len(c.RedirectURIs) == 0:
		return c, &MetadataError{"redirect_uris"}
	case slices.Contains(c.GrantTypes, clientCredentials) && c.TokenEndpointAuthMethod == publicClient:
		return c, &MetadataError{"token_endpoint_auth_method"}
	case c.JWKS != nil && (c.JWKSURI != "" || !publicKeys(c.JWKS)):
		return c, &MetadataError{"jwks"}
	}
	return c, nil
}

// responseTypes are those that the grant types need.
func responseTypes(grants []string) []string {
	types := []string{}
	if slices.Contains(grants, authorizationCode) {
		types = append(types, "code")
	}
	if slices.Contains(grants, implicitGrant) {
		types = append(types, "token", "id_token")
	}
	return types
}

// publicKeys reports whether text is a JWK set without private members.
func publicKeys(text []byte) bool {
	if len(text) > maxJWKS {
		return false
	}
	d := strictjson.NewDecoder(text, strictjson.Token)
	private, sets := false, 0
	err := d.Object(func(name []byte) error {
		if string(name) != "keys" {
			return d.Skip()
		}
		sets++
		return d.Array(func() error {
			return d.Object(func(name []byte) error {
				switch string(name) {
				case "d", "p", "q", "dp", "dq", "qi", "oth", "k":
					private = true
				}
				return d.Skip()
			})
		})
	})
	return err == nil && d.End() == nil && !private && sets == 1
}

// metadata returns the members to send for c, from this list only. Lists are
// sent even when empty: left out, they would default to the code flow.
func (c Client) metadata() map[string]any {
	m := map[string]any{
		"client_name":                c.Name,
		"redirect_uris":              list(c.RedirectURIs),
		"grant_types":                list(c.GrantTypes),
		"response_types":             list(c.ResponseTypes),
		"token_endpoint_auth_method": c.TokenEndpointAuthMethod,
	}
	for name, value := range map[string]string{"client_uri": c.ClientURI, "scope": c.Scope, "jwks_uri": c.JWKSURI} {
		if value != "" {
			m[name] = value
		}
	}
	if c.JWKS != nil {
		m["jwks"] = c.JWKS
	}
	return m
}

func list(values []string) []string { return append([]string{}, values...) }

// registrationAnswer is what a provider says of a client.
type registrationAnswer struct {
	Client

	uri, token string // RFC 7592 §3: where and with what the client is managed
	refused    bool   // there is an error member
}

// providerJSON is how strictly a provider's own answer is read: it may hold
// whatever the vendor thinks of, but nothing ambiguous.
var providerJSON = strictjson.Rules{Depth: 16, Members: 512, Folded: true}

// parseAnswer reads a registration answer, strings or arrays where servers
// differ about that. Members with null count as absent.
func parseAnswer(body []byte) (registrationAnswer, error) {
	var a registrationAnswer
	d := strictjson.NewDecoder(body, providerJSON)
	err := d.Object(func(name []byte) error { return a.member(d, string(name)) })
	if err == nil {
		err = d.End()
	}
	return a, err
}

func (a *registrationAnswer) member(d *strictjson.Decoder, name string) error {
	if d.Kind() == strictjson.Null {
		return d.Skip()
	}
	switch name {
	case "client_id":
		b, err := d.String()
		if plainClientID(b) {
			a.ClientID = string(b)
		}
		return err
	case "client_secret":
		return readSecret(d, &a.Secret)
	case "client_secret_expires_at":
		return readTime(d, &a.SecretExpires)
	case "registration_access_token":
		return readString(d, &a.token)
	case "registration_client_uri":
		return readString(d, &a.uri)
	case "client_name":
		return readString(d, &a.Name)
	case "client_uri":
		return readString(d, &a.ClientURI)
	case "redirect_uris":
		return readStrings(d, &a.RedirectURIs)
	case "grant_types":
		return readStrings(d, &a.GrantTypes)
	case "response_types":
		return readStrings(d, &a.ResponseTypes)
	case "token_endpoint_auth_method":
		return readJoined(d, &a.TokenEndpointAuthMethod)
	case "scope":
		return readJoined(d, &a.Scope)
	case "jwks_uri":
		return readString(d, &a.JWKSURI)
	case "jwks":
		raw, err := d.Raw()
		a.JWKS = json.RawMessage(slices.Clone(raw))
		return err
	case "error", "errorCode":
		a.refused = true
		return d.Skip()
	default:
		return d.Skip()
	}
}

// plainClientID reports whether b can be a client ID (RFC 6749 A.1) of bearable
// length. Another one counts as none.
func plainClientID(b []byte) bool {
	return len(b) <= 255 && !bytes.ContainsFunc(b, func(r rune) bool { return r < ' ' || r > '~' })
}

func readSecret(d *strictjson.Decoder, into *secret.Value) error {
	b, err := d.String()
	*into = secret.New(string(b))
	return err
}

// readTime reads seconds since 1970; 0 is never (RFC 7591 §3.2.1).
func readTime(d *strictjson.Decoder, into *time.Time) error {
	b, err := d.Number()
	if err != nil {
		return err
	}
	if n, err := json.Number(b).Int64(); err == nil && n > 0 {
		*into = time.Unix(n, 0).UTC()
	}
	return nil
}

// readStrings reads an array of strings, or one string as an array of one.
func readStrings(d *strictjson.Decoder, into *[]string) error {
	*into = []string{}
	one := func() error {
		b, err := d.String()
		*into = append(*into, string(b))
		return err
	}
	if d.Kind() == strictjson.Array {
		return d.Array(one)
	}
	return one()
}

// readJoined reads a string, or an array of strings as one with spaces.
func readJoined(d *strictjson.Decoder, into *string) error {
	var all []string
	err := readStrings(d, &all)
	*into = strings.Join(all, " ")
	return err
}

// compare reports what the provider registered other than asked. Each of these
// would only come up when the client first asks for a token.
func compare(asked, got Client) error {
	confidential := asked.TokenEndpointAuthMethod != publicClient && asked.TokenEndpointAuthMethod != privateKeyJWT
	switch {
	case confidential && got.Secret.Reveal() == "":
		return &MismatchError{Client: got, Field: "client_secret"}
	case !sameSet(asked.RedirectURIs, got.RedirectURIs):
		return &MismatchError{Client: got, Field: "redirect_uris"}
	case got.TokenEndpointAuthMethod != "" && got.TokenEndpointAuthMethod != asked.TokenEndpointAuthMethod:
		return &MismatchError{Client: got, Field: "token_endpoint_auth_method"}
	}
	if got.GrantTypes == nil {
		return nil
	}
	for _, g := range asked.GrantTypes {
		if !slices.Contains(got.GrantTypes, g) {
			return &MismatchError{Client: got, Field: "grant_types"}
		}
	}
	return nil
}

func sameSet(a, b []string) bool {
	x, y := slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(slices.Compact(x), slices.Compact(y))
}
