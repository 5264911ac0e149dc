package oauth

import (
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
)

// This file implements client credentials in a Basic header (RFC 7617, RFC 6749
// §2.3.1).

// ErrNotBasic is a header of another scheme, or none.
var ErrNotBasic = errors.New("oauth: the credentials are not of the Basic scheme")

// ParseBasic returns the client id and secret of an Authorization header value.
// The error is [ErrNotBasic] or, when it is Basic and no credentials, an
// [*Error].
func ParseBasic(header string) (id, secret string, err error) {
	const scheme = "Basic "
	if len(header) < len(scheme) || !strings.EqualFold(header[:len(scheme)], scheme) {
		return "", "", ErrNotBasic
	}
	malformed := &Error{Code: InvalidClient, Description: "the Basic credentials cannot be read; form-encode id and secret, join them with a colon, base64 that", Status: 401}
	raw, err := base64.StdEncoding.Strict().DecodeString(strings.TrimLeft(header[len(scheme):], " "))
	if err != nil {
		return "", "", malformed
	}
	id, secret, found := strings.Cut(string(raw), ":")
	if !found {
		return "", "", malformed
	}
	// RFC 6749 §2.3.1: both are form-encoded. Clients that do not encode get by
	// unless they have a percent sign.
	if id, err = url.QueryUnescape(id); err != nil {
		return "", "", malformed
	}
	if secret, err = url.QueryUnescape(secret); err != nil {
		return "", "", malformed
	}
	return id, secret, nil
}
