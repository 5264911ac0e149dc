package oauth

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
)

// This file implements redirect URIs: what may be registered as one (RFC 6749
// §3.1.2, RFC 8252 §7, RFC 9700 §2.6), and which of a request is a registered
// one (RFC 9700 §2.1, RFC 8252 §7.3).

// MaxRedirectURI is the longest redirect URI, in bytes.
const MaxRedirectURI = 2048

// Reasons [CheckRedirectURI] refuses a URI.
var (
	ErrRedirectLength     = errors.New("oauth: the redirect URI is longer than 2048 bytes")
	ErrRedirectCharacters = errors.New("oauth: the redirect URI has characters that no URI has, or a backslash")
	ErrRedirectWildcard   = errors.New("oauth: the redirect URI has a wildcard")
	ErrRedirectFragment   = errors.New("oauth: the redirect URI has a fragment")
	ErrRedirectSyntax     = errors.New("oauth: the redirect URI is no URI")
	ErrRedirectUserinfo   = errors.New("oauth: the redirect URI has a username")
	ErrRedirectHost       = errors.New("oauth: the redirect URI has no host")
	ErrRedirectEncoding   = errors.New("oauth: the host of the redirect URI has percent-encoding or characters that no name has; write it in xn-- form")
	ErrRedirectCleartext  = errors.New("oauth: the redirect URI is http, and not to 127.0.0.1, [::1] or localhost")
	ErrRedirectScheme     = errors.New("oauth: the scheme of the redirect URI is neither https nor a private one with a dot")
	ErrRedirectPrivate    = errors.New("oauth: the redirect URI has a private scheme, which is for public clients")
)

// CheckRedirectURI says whether a client may register uri: an absolute https
// URI, an http one of a loopback address (RFC 8252 §7.3), or, if the client is
// public, one of a private scheme. That must have a dot, because it is a domain
// name in reverse (§7.1), and so that it is none of those that browsers and
// systems know: javascript, data, vbscript, file, mailto, blob, intent.
func CheckRedirectURI(uri string, public bool) error {
	switch {
	case len(uri) > MaxRedirectURI:
		return ErrRedirectLength
	case strings.ContainsFunc(uri, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' }): // RFC 3986 §2
		return ErrRedirectCharacters
	case strings.Contains(uri, "*"):
		return ErrRedirectWildcard
	case strings.Contains(uri, "#"): // RFC 6749 §3.1.2
		return ErrRedirectFragment
	}
	u, err := url.Parse(uri)
	switch {
	case err != nil:
		return ErrRedirectSyntax
	case u.User != nil:
		return ErrRedirectUserinfo
	case !PlainHost(u):
		return ErrRedirectEncoding
	case u.Scheme == "https" && u.Hostname() == "":
		return ErrRedirectHost
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && u.Hostname() != "127.0.0.1" && u.Hostname() != "::1" && u.Hostname() != "localhost":
		return ErrRedirectCleartext
	case u.Scheme == "http":
		return nil
	case !strings.Contains(u.Scheme, "."):
		return ErrRedirectScheme
	case !public:
		return ErrRedirectPrivate
	}
	return nil
}

// RedirectMatches reports whether requested is the redirect URI that was
// registered: byte for byte, except for the port of a loopback address, which a
// native app learns from its system when it starts to listen (RFC 8252 §7.3, RFC
// 9700 §4.1.3). What was registered has passed [CheckRedirectURI].
//
// A loopback address is http, to 127.0.0.1, [::1] or localhost, and is the one
// that was registered: that two of them lead to one machine does not make them
// one (§8.3). localhost is NOT RECOMMENDED there, but what most clients use. The
// rest of 127.0.0.0/8 is in neither RFC.
func RedirectMatches(registered, requested string) bool {
	if registered == requested {
		return true
	}
	host, rest, ok := loopback(registered)
	otherHost, otherRest, alsoOK := loopback(requested)
	return ok && alsoOK && host == otherHost && rest == otherRest
}

// loopback takes the port out of an http URI of a loopback address. It works on
// the text as it stands, for every parser has its own idea of what to repair.
func loopback(uri string) (host, rest string, ok bool) {
	for _, host := range []string{"http://127.0.0.1", "http://[::1]", "http://localhost"} {
		rest, found := strings.CutPrefix(uri, host)
		if !found {
			continue
		}
		if after, found := strings.CutPrefix(rest, ":"); found {
			port := after[:len(after)-len(strings.TrimLeft(after, "0123456789"))]
			if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || port[0] == '0' {
				return "", "", false
			}
			rest = after[len(port):]
		}
		return host, rest, rest == "" || rest[0] == '/' || rest[0] == '?'
	}
	return "", "", false
}
