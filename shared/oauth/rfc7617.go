package oauth

import (
	"encoding/base64"
	"net/url"
	"strings"
)

// This file implements client credentials in a Basic header (RFC 7617, RFC 6749
// §2.3.1).

// ParseBasic returns the client id and secret of an Authorization header value.
// ok is false when it is not of the Basic scheme; the error is one of a header
// that is Basic and no credentials.
func ParseBasic(header string) (id, secret string, ok bool, err error) {
	const scheme = "Basic "
	if len(header) < len(scheme) || !strings.EqualFold(header[:len(scheme)], scheme) {
		return "", "", false, nil
	}
	malformed := &Error{Code: InvalidClient, Description: "the Basic credentials cannot be read; form-encode id and secret, join them with a colon, base64 that", Status: 401}
	raw, err := base64.StdEncoding.Strict().DecodeString(strings.TrimLeft(header[len(scheme):], " "))
	if err != nil {
		return "", "", true, malformed
	}
	id, secret, found := strings.Cut(string(raw), ":")
	if !found {
		return "", "", true, malformed
	}
	// RFC 6749 §2.3.1: both are form-encoded. Clients that do not encode get by
	// unless they have a percent sign.
	if id, err = url.QueryUnescape(id); err != nil {
		return "", "", true, malformed
	}
	if secret, err = url.QueryUnescape(secret); err != nil {
		return "", "", true, malformed
	}
	return id, secret, true, nil
}
