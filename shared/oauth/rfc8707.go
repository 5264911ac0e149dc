package oauth

import (
	"net/url"
	"strings"
)

// This file implements resource indicators (RFC 8707).

// MaxResource is the longest resource indicator, in bytes.
const MaxResource = 2048

// CanonicalResource returns a resource indicator in the form that two of them
// are compared in: scheme and host in lower case, no slash for an empty path. It
// is false for what is no absolute https URL without user and fragment (§2), or
// an http one of this machine. Only a plain host has a lower case of its own:
// strings.ToLower makes k of the Kelvin sign, too.
func CanonicalResource(s string) (string, bool) {
	if len(s) > MaxResource || !uriCharacters(s) || strings.Contains(s, "#") {
		return "", false
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.Opaque != "" || !PlainHost(u) {
		return "", false
	}
	u.Scheme, u.Host = strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	switch host := u.Hostname(); {
	case u.Scheme == "https":
	case u.Scheme == "http" && (host == "localhost" || host == "127.0.0.1" || host == "::1"):
	default:
		return "", false
	}
	if u.Path == "/" && u.RawQuery == "" {
		u.Path, u.RawPath = "", ""
	}
	return u.String(), true
}

// SameResource reports whether two resource indicators mean the same. Paths are
// compared whole: /mcp is not /mcp-evil, and /mcp/ is not /mcp.
func SameResource(a, b string) bool {
	x, ok := CanonicalResource(a)
	y, known := CanonicalResource(b)
	return ok && known && x == y
}
