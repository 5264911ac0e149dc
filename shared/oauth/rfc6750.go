// Package oauth is the vocabulary of OAuth 2.0: names, grammars and small
// value types, one file per RFC. It imports the standard library only and
// performs no I/O; what a word means for Gatehouse is decided by the packages
// that use it.
package oauth

import (
	"errors"
	"strings"
)

// This file implements the bearer credentials of RFC 6750.

// Error codes of RFC 6750 §3.1.
const (
	InvalidRequest    = "invalid_request"
	InvalidToken      = "invalid_token"
	InsufficientScope = "insufficient_scope"
)

// MaxTokenLength is the longest access token accepted, in bytes. API Gateway
// caps all headers of a request together at 10,240 bytes.
const MaxTokenLength = 8 << 10

// Reasons [ParseBearer] refuses a header value.
var (
	ErrNoCredentials = errors.New("oauth: no credentials")
	ErrNotBearer     = errors.New("oauth: the credentials are not of the Bearer scheme")
	ErrTokenSyntax   = errors.New("oauth: the bearer token is not of the form RFC 6750 gives it")
	ErrTokenLength   = errors.New("oauth: the bearer token is too long")
)

// ParseBearer returns the token of an Authorization header value:
// "Bearer" in any case, spaces, and a b64token (RFC 6750 §2.1, with the
// spaces of RFC 9110 §11.4). Nothing may stand around it, and a comma, which
// is how two headers arrive when a proxy joins them, is no token.
func ParseBearer(header string) (string, error) {
	const scheme = "Bearer"
	if header == "" {
		return "", ErrNoCredentials
	}
	if len(header) < len(scheme) || !strings.EqualFold(header[:len(scheme)], scheme) {
		return "", ErrNotBearer
	}
	rest := header[len(scheme):]
	if rest != "" && rest[0] != ' ' {
		return "", ErrNotBearer
	}
	tok := strings.TrimLeft(rest, " ")
	if tok == "" {
		return "", ErrNoCredentials
	}
	return tok, CheckToken(tok)
}

// CheckToken reports whether tok, which came without a scheme, has the form of
// a b64token: 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"=".
func CheckToken(tok string) error {
	if len(tok) > MaxTokenLength {
		return ErrTokenLength
	}
	body := strings.TrimRight(tok, "=")
	if body == "" {
		return ErrTokenSyntax
	}
	for i := range len(body) {
		if !b64token[body[i]] {
			return ErrTokenSyntax
		}
	}
	return nil
}

var b64token = func() (t [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/") {
		t[c] = true
	}
	return t
}()
