// Package token decides whether an access token may be believed.
//
// A JWT passes, in this order: the gate ([Parse]: compact form, canonical
// base64url, strict JSON, no header member that changes what the rest means),
// the issuer's algorithms, the issuer's keys, the signature, the claims
// ([Issuer.Verify]). What an introspection endpoint says of an opaque token
// passes the same checks of its claims ([Issuer.ParseIntrospection]). Either
// way the result is [Facts], one shape whatever the identity provider called
// the claims.
//
// The package refuses to decrypt: a JWE is not an access token here, and no
// code that could decrypt one is linked. It never takes a key from a token,
// never fetches a URL from a token, and never puts token text in an error.
package token

import (
	"errors"
	"iter"
	"time"

	"gatehouse/shared/strictjson"
)

// refusalError is a reason a token is refused: a stable word.
type refusalError string

func (r refusalError) Error() string { return "token: " + string(r) }

// Reasons a token is refused. The words are stable: they go to the log line
// and to metrics, and [Reason] returns them.
const (
	ErrMalformed         = refusalError("malformed")           // not a JWS in compact form with strict JSON inside
	ErrHeader            = refusalError("forbidden_header")    // crit, b64, zip, an embedded key or its URL, a nested JWT
	ErrAlgorithm         = refusalError("algorithm")           // not among the issuer's, or not the key's
	ErrUnknownKey        = refusalError("unknown_key")         // no key of the issuer has this kid
	ErrSignature         = refusalError("bad_signature")       // the signature does not verify
	ErrClaims            = refusalError("bad_claims")          // a claim is missing or of the wrong type
	ErrIssuer            = refusalError("wrong_issuer")        // no configured provider has this iss
	ErrAudience          = refusalError("wrong_audience")      // aud names none of the issuer's audiences
	ErrExpired           = refusalError("expired")             // exp has passed
	ErrNotYetValid       = refusalError("not_yet_valid")       // nbf or iat lies ahead
	ErrLifetime          = refusalError("lifetime")            // exp lies further ahead than the issuer's tokens live
	ErrType              = refusalError("not_an_access_token") // typ, or the claims of an ID, refresh or logout token
	ErrSenderConstrained = refusalError("sender_constrained")  // cnf: bound to a key, so no bearer token
	ErrInactive          = refusalError("inactive")            // the provider says active: false
)

// Reasons a token could not be judged. They are not the token's fault, and
// must not become a 401.
const (
	ErrKeysUnavailable = refusalError("keys_unavailable") // no usable key set could be had
)

// Reason returns the stable word for err, or "" when err is no refusal of this
// package.
func Reason(err error) string {
	if r, ok := errors.AsType[refusalError](err); ok {
		return string(r)
	}
	return ""
}

// Facts is what a verified access token says. It is immutable and may be
// shared.
type Facts struct {
	Provider string    // name of the provider that vouches for it
	Issuer   string    // the provider's issuer
	Subject  string    // sub; "" when the token has none
	ClientID string    // the client the token was issued to; "" when the token does not say
	ID       string    // jti; "" when the token has none
	Scopes   []string  // granted scopes
	Audience []string  // aud
	Expires  time.Time // exp; zero when an introspection answer has none

	claims []byte // the JSON object all this was read from, checked
	key    *Key   // the key that signed it; nil for introspected tokens
}

// Claim is the value of a claim: one text for a string, number or boolean, one
// for each such element of an array.
type Claim struct {
	Values []string
	List   bool // it was an array
}

// Claim returns the claim called name. ok is false when the token does not
// have it, or when it is an object or has elements that are not scalars.
func (f *Facts) Claim(name string) (c Claim, ok bool) {
	for n, v := range f.Claims() {
		if n == name {
			return v, true
		}
	}
	return Claim{}, false
}

// Claims iterates over the claims that [Facts.Claim] would return, in the
// order of the token.
func (f *Facts) Claims() iter.Seq2[string, Claim] {
	return func(yield func(string, Claim) bool) {
		errStop := errors.New("stop")
		d := strictjson.NewDecoder(f.claims, strictjson.Token)
		// The claims were checked before; an error here can only be errStop.
		_ = d.Object(func(name []byte) error {
			c, ok, err := readClaim(d)
			if err != nil {
				return err
			}
			if ok && !yield(string(name), c) {
				return errStop
			}
			return nil
		})
	}
}

func readClaim(d *strictjson.Decoder) (c Claim, ok bool, err error) {
	if d.Kind() != strictjson.Array {
		s, ok, err := readScalar(d)
		return Claim{Values: []string{s}}, ok, err
	}
	c, ok = Claim{Values: []string{}, List: true}, true
	err = d.Array(func() error {
		s, scalar, err := readScalar(d)
		ok = ok && scalar
		c.Values = append(c.Values, s)
		return err
	})
	return c, ok, err
}

func readScalar(d *strictjson.Decoder) (s string, ok bool, err error) {
	switch d.Kind() {
	case strictjson.String:
		b, err := d.String()
		return string(b), true, err
	case strictjson.Number, strictjson.Bool:
		b, err := d.Raw()
		return string(b), true, err
	default:
		return "", false, d.Skip()
	}
}
