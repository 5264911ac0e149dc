package clientdoc

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"gatehouse/shared/oauth"
	"gatehouse/shared/strictjson"
)

// Limits of what is registered, too.
const (
	maxName      = 70 // characters
	maxRedirects = 20
)

// Reasons a document is not taken. An [*InvalidError] holds one of them.
var (
	ErrMalformed         = errors.New("it is not strict JSON, or a member has the wrong type")
	ErrClientID          = errors.New("its client_id is not the address that it was fetched from")
	ErrSecret            = errors.New("it has a client_secret, which everybody can read there")
	ErrSymmetricMethod   = errors.New("its token_endpoint_auth_method needs a shared secret, which it cannot have")
	ErrUnsupportedMethod = errors.New("its token_endpoint_auth_method is not supported here; none is")
	ErrPrivateKey        = errors.New("its jwks has private or symmetric keys, which everybody can read there")
	ErrRedirectURIs      = errors.New("its redirect_uris are missing, more than 20, or have one that is not allowed")
	ErrGrantTypes        = errors.New("its grant_types do not have authorization_code")
	ErrResponseTypes     = errors.New("its response_types do not have code")
	ErrScope             = errors.New("its scope has characters that no scope has")
)

// InvalidError is why a document that was fetched is not taken. It quotes
// nothing of the document.
type InvalidError struct{ Reason error }

// Error returns the reason.
func (e *InvalidError) Error() string {
	return "the client metadata document is invalid: " + e.Reason.Error()
}

// Unwrap returns the reason, which is one of this package and may wrap one of
// another.
func (e *InvalidError) Unwrap() error { return e.Reason }

// Document is what a client says about itself, as far as it is of use here
// (RFC 7591 section 2). The client is public, and its words are not to be
// believed: only that whoever has the host of ClientID stands behind them.
type Document struct {
	// ClientID is the address of the document, byte for byte.
	ClientID string

	// Name is what to call the client. A document without a name, or with one that
	// has more than 70 characters or some that do not show, goes by the host of its
	// address. It is not refused, for the draft does not ask for a name, and the
	// limits are ours; and the host, which users are shown anyway (section 8.5), is
	// the one thing about the client that is proven.
	Name string

	// ClientURI is a page about the client, at the host of its address; "" when
	// there is none. A page elsewhere is left out, for it would lend the client the
	// good name of another (RFC 7591 section 5).
	ClientURI string

	RedirectURIs  []string  // 1 to 20, each once; each obeys oauth.CheckRedirectURI for public clients
	GrantTypes    []string  // authorization_code, and refresh_token if the client wants it; others are left out
	ResponseTypes []string  // code; others are left out
	Scope         string    // what it asks for at most; "": it does not say
	Fetched       time.Time // wall clock
}

// metadata is a document as it stands.
type metadata struct {
	id, name, page, method, scope string
	redirects, grants, responses  []string
}

// parse reads and checks the document that was fetched from clientID. Members
// that are null count as left out, as in RFC 7591, and unknown ones are ignored.
func parse(clientID string, body []byte) (Document, error) {
	// RFC 7591 has client_secret_basic for the default method. It cannot be meant
	// here, where nobody can have a secret.
	m := metadata{method: oauth.PublicClient, grants: []string{oauth.AuthorizationCode}, responses: []string{"code"}}
	if err := m.read(strictjson.NewDecoder(body, strictjson.Token)); err != nil {
		if reason, ok := errors.AsType[*InvalidError](err); ok {
			return Document{}, reason
		}
		return Document{}, &InvalidError{Reason: fmt.Errorf("%w: %w", ErrMalformed, err)}
	}
	if err := m.check(clientID); err != nil {
		return Document{}, &InvalidError{Reason: err}
	}
	host := hostOf(clientID)
	return Document{
		ClientID:     clientID,
		Name:         nameOr(m.name, host),
		ClientURI:    pageAt(host, m.page),
		RedirectURIs: unique(m.redirects),
		GrantTypes: slices.DeleteFunc([]string{oauth.AuthorizationCode, oauth.RefreshToken}, func(grant string) bool {
			return !slices.Contains(m.grants, grant)
		}),
		ResponseTypes: []string{"code"},
		Scope:         strings.Join(oauth.SplitScope(m.scope), " "),
	}, nil
}

func (m *metadata) read(d *strictjson.Decoder) error {
	err := d.Object(func(name []byte) error {
		switch string(name) {
		case "client_id":
			return readText(d, &m.id)
		case "client_name":
			return readText(d, &m.name)
		case "client_uri":
			return readText(d, &m.page)
		case "token_endpoint_auth_method":
			return readText(d, &m.method)
		case "scope":
			return readText(d, &m.scope)
		case "redirect_uris":
			return readTexts(d, &m.redirects)
		case "grant_types":
			return readTexts(d, &m.grants)
		case "response_types":
			return readTexts(d, &m.responses)
		case "jwks":
			return readKeys(d)
		case "client_secret", "client_secret_expires_at":
			if d.Kind() != strictjson.Null {
				return &InvalidError{Reason: ErrSecret}
			}
		}
		return d.Skip()
	})
	if err != nil {
		return err
	}
	return d.End()
}

func readText(d *strictjson.Decoder, into *string) error {
	if d.Kind() == strictjson.Null {
		return d.Skip()
	}
	b, err := d.String()
	*into = string(b)
	return err
}

func readTexts(d *strictjson.Decoder, into *[]string) error {
	if d.Kind() == strictjson.Null {
		return d.Skip()
	}
	*into = []string{}
	return d.Array(func() error {
		b, err := d.String()
		*into = append(*into, string(b))
		return err
	})
}

// private are the members of a JWK that make it a private or a symmetric key
// (RFC 7518 section 6; priv is that of the AKP keys for ML-DSA).
var private = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"}

// readKeys reads a key set for what must not be in it (draft section 4.1): a
// client that publishes its private key has lost it, whatever it is for.
func readKeys(d *strictjson.Decoder) error {
	if d.Kind() == strictjson.Null {
		return d.Skip()
	}
	return d.Object(func(name []byte) error {
		if string(name) != "keys" {
			return d.Skip()
		}
		return d.Array(func() error {
			return d.Object(func(name []byte) error {
				if slices.Contains(private, string(name)) {
					return &InvalidError{Reason: ErrPrivateKey}
				}
				return d.Skip()
			})
		})
	})
}

// check returns the reason not to take the document, if there is one.
func (m *metadata) check(clientID string) error {
	switch m.method {
	case oauth.PublicClient:
	case oauth.SecretBasic, oauth.SecretPost, "client_secret_jwt":
		return ErrSymmetricMethod
	default:
		// Not even private_key_jwt: a method that is not checked must not be
		// accepted (draft section 8.2).
		return ErrUnsupportedMethod
	}
	switch {
	case m.id != clientID: // RFC 3986 section 6.2.1
		return ErrClientID
	case len(m.redirects) == 0 || len(m.redirects) > maxRedirects:
		return ErrRedirectURIs
	case !slices.Contains(m.grants, oauth.AuthorizationCode):
		return ErrGrantTypes
	case !slices.Contains(m.responses, "code"):
		return ErrResponseTypes
	}
	for _, uri := range m.redirects {
		if err := oauth.CheckRedirectURI(uri, true); err != nil {
			return fmt.Errorf("%w: %w", ErrRedirectURIs, err)
		}
	}
	for _, scope := range oauth.SplitScope(m.scope) {
		if !oauth.ValidScope(scope) {
			return ErrScope
		}
	}
	return nil
}

// hostOf returns the host of a client_id, with the port if it has one.
func hostOf(clientID string) string {
	host, _, _ := strings.Cut(strings.TrimPrefix(clientID, "https://"), "/")
	return host
}

// unique leaves out what comes again.
func unique(list []string) []string {
	var all []string
	for _, one := range list {
		if !slices.Contains(all, one) {
			all = append(all, one)
		}
	}
	return all
}

// nameOr returns the name, or the host if that cannot be shown. Of a host that is
// longer than a name its end is what counts: that is whose it is.
func nameOr(name, host string) string {
	name = strings.TrimSpace(name)
	if name != "" && utf8.RuneCountInString(name) <= maxName && !strings.ContainsFunc(name, oauth.Hidden) {
		return name
	}
	if len(host) > maxName {
		host = "…" + host[len(host)-maxName+1:]
	}
	return host
}

// pageAt returns page if it is an https page at host.
func pageAt(host, page string) string {
	u, err := url.Parse(page)
	beyond := func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' }
	if err != nil || !strings.HasPrefix(page, "https://") || u.Host != host || u.User != nil || len(page) > oauth.MaxRedirectURI || strings.ContainsFunc(page, beyond) {
		return ""
	}
	return page
}
