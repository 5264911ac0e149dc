package oauth

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// This file implements the scope grammar, the parameters and the errors of RFC
// 6749.

// ValidScope reports whether s is one scope-token: 1*( %x21 / %x23-5B / %x5D-7E )
// (§3.3).
func ValidScope(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}

// SplitScope splits a space-delimited scope value into its tokens.
func SplitScope(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ' ' })
}

// Grant types (§4, RFC 7591 §2).
const (
	AuthorizationCode = "authorization_code"
	ClientCredentials = "client_credentials"
	RefreshToken      = "refresh_token"
)

// Ways for a client to authenticate at the token endpoint (RFC 7591 §2).
const (
	SecretBasic   = "client_secret_basic"
	SecretPost    = "client_secret_post"
	PrivateKeyJWT = "private_key_jwt"
	PublicClient  = "none"
)

// Error codes of §4.1.2.1 and §5.2, and of RFC 8707 §2 and RFC 7009 §2.2.1.
const (
	AccessDenied            = "access_denied"
	InvalidClient           = "invalid_client"
	InvalidGrant            = "invalid_grant"
	InvalidScope            = "invalid_scope"
	InvalidTarget           = "invalid_target"
	ServerError             = "server_error"
	TemporarilyUnavailable  = "temporarily_unavailable"
	UnauthorizedClient      = "unauthorized_client"
	UnsupportedGrantType    = "unsupported_grant_type"
	UnsupportedResponseType = "unsupported_response_type"
	UnsupportedTokenType    = "unsupported_token_type"
)

// Error is an answer other than success: what is wrong, then what to do. Code
// and Description are for the caller, the rest for us.
type Error struct {
	Code        string
	Description string        // ASCII without quotes and backslashes (§5.2)
	Status      int           // of HTTP; 0: 400
	RetryAfter  time.Duration // 0: trying again does not help
	Cause       error         // for the log; may be nil
}

// Error returns what the caller is told, and for the operator the cause.
func (e *Error) Error() string {
	text := "oauth: " + e.Code + ": " + e.Description
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// StatusCode is the status of the answer: 400 unless the error says another.
func (e *Error) StatusCode() int {
	if e.Status == 0 {
		return http.StatusBadRequest
	}
	return e.Status
}

// Refuse returns an error with a code and what to do about it.
func Refuse(code, description string) *Error { return &Error{Code: code, Description: description} }

// MaxParameters is the most bytes of a form or a query.
const MaxParameters = 32 << 10

// Parameters are those of one request, each sent once.
type Parameters struct {
	values   map[string]string
	repeated map[string][]string // of those that may be repeated
}

// Get returns a parameter. One without a value counts as left out (§3.1, §3.2).
func (p Parameters) Get(name string) string { return p.values[name] }

// All returns the values of a parameter that may be repeated.
func (p Parameters) All(name string) []string { return p.repeated[name] }

// errForm is a form that is none. What is wrong with it is not said, for that
// could quote it.
var errForm = errors.New("oauth: not application/x-www-form-urlencoded")

// ParseParameters reads a form or a query. A parameter that is sent twice is
// refused (§3.1, §3.2) unless its name is among the repeatable ones. What nobody
// asks for is ignored.
func ParseParameters(text string, repeatable ...string) (Parameters, error) {
	if len(text) > MaxParameters {
		return Parameters{}, Refuse(InvalidRequest, "the parameters are longer than 32 KiB; send less")
	}
	values, err := url.ParseQuery(text)
	if err != nil || strings.Contains(text, ";") {
		return Parameters{}, &Error{Code: InvalidRequest, Description: "the parameters are not application/x-www-form-urlencoded; encode them so", Cause: errForm}
	}
	p := Parameters{values: map[string]string{}, repeated: map[string][]string{}}
	for _, name := range repeatable {
		for _, value := range values[name] {
			if value != "" {
				p.repeated[name] = append(p.repeated[name], value)
			}
		}
		delete(values, name)
	}
	for name, all := range values {
		if len(all) > 1 {
			return p, Refuse(InvalidRequest, "a parameter is sent twice; send each once")
		}
		p.values[name] = all[0]
	}
	return p, nil
}
