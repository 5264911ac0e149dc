package oauth

import (
	"net/url"
	"strings"
)

// This file says which URIs are spelled in one way for whoever reads them.

// PlainHost reports whether the host of u is spelled as in DNS, or is an
// address: in ASCII, without percent-encoding. RFC 3986 §3.2.2 allows more, but
// then a person is shown letters that look like others, or text turned around,
// and the browser goes to the xn-- name.
func PlainHost(u *url.URL) bool {
	return uriCharacters(u.Host) && !strings.Contains(u.Host, "%")
}

// uriCharacters reports whether s has only characters of RFC 3986 §2: no
// backslash, which browsers read as a slash, and nothing beyond ASCII.
func uriCharacters(s string) bool {
	for i := range len(s) {
		if !unreserved(s[i]) && strings.IndexByte(":/?#[]@!$&'()*+,;=%", s[i]) < 0 {
			return false
		}
	}
	return true
}

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}
