package token

import (
	"context"
	"fmt"
	"slices"
	"time"

	"gatehouse/shared/strictjson"
)

// Issuer is one identity provider's issuer and what its access tokens must
// satisfy. The zero Issuer trusts no token.
type Issuer struct {
	Provider string // the provider's name, for Facts
	Issuer   string // compared with iss byte for byte

	// Audiences are the values of which aud must have one. None means that no
	// token is accepted, unless InsecureAnyAudience says that aud is not to be
	// looked at.
	Audiences           []string
	InsecureAnyAudience bool

	Algorithms     []string      // accepted alg values; never none, never HS*
	TokenTypes     []string      // accepted typ header values, "" for none; nil: at+jwt alone (RFC 9068)
	ClientIDClaims []string      // claims that may hold the client id, the best first
	ScopeClaims    []string      // claims that may hold the scopes, the best first
	RequiredClaims []string      // claims a JWT must have besides iss, exp and aud (RFC 9068 §2.2); at most 64
	Leeway         time.Duration // clock skew allowed for exp, nbf and iat; 0: 60 s
	MaxLifetime    time.Duration // longest life of a token, exp - iat; 0: 24 h

	Keys *KeySet          // nil: no JWT is accepted
	Now  func() time.Time // nil: time.Now
}

// Verify checks a JWT: algorithm, key, signature, claims, in this order, so
// that nothing an attacker wrote is reported of a token whose signature is
// wrong.
func (i *Issuer) Verify(ctx context.Context, u *Unverified) (*Facts, error) {
	if u.claims.has&hasIssuer == 0 || i.Issuer == "" || u.claims.issuer != i.Issuer {
		return nil, ErrIssuer
	}
	if i.Keys == nil || !slices.Contains(i.Algorithms, u.header.algorithm) {
		return nil, ErrAlgorithm
	}
	key, err := i.Keys.Key(ctx, u.header.keyID, u.header.algorithm)
	if err != nil {
		return nil, err
	}
	if err := key.verify(u.signingInput, u.signature); err != nil {
		return nil, err
	}
	if !u.claims.expires.set {
		return nil, ErrClaims
	}
	facts, err := i.facts(u.decoder, &u.claims, u.payload, reading{required: i.RequiredClaims})
	if err != nil {
		return nil, err
	}
	facts.key = key
	if err := i.checkKind(u.header.typ, &u.claims, facts); err != nil {
		return nil, err
	}
	if err := i.check(&u.claims, i.now()); err != nil {
		return nil, err
	}
	return facts, nil
}

// ParseIntrospection reads an answer of this issuer's introspection endpoint
// (RFC 7662 §2.2) as strictly as a JWT. ErrInactive is the endpoint's own
// refusal; an answer that is no answer is [ErrMalformed] or [ErrClaims] and
// not the token's fault.
func (i *Issuer) ParseIntrospection(answer []byte) (*Facts, error) {
	var claims claimSet
	d := strictjson.NewDecoder(nil, strictjson.Token)
	err := claims.parse(d, answer)
	switch {
	case err != nil:
		return nil, fmt.Errorf("introspection answer: %w", err)
	case claims.has&hasActive == 0:
		return nil, fmt.Errorf("introspection answer: active: %w", ErrClaims)
	case !claims.active:
		return nil, ErrInactive
	case claims.has&hasIssuer != 0 && claims.issuer != i.Issuer:
		return nil, ErrIssuer
	case !bearerType(claims.tokenType):
		return nil, ErrType
	}
	facts, err := i.facts(d, &claims, answer, reading{clientID: "client_id", scope: "scope"})
	if err != nil {
		return nil, err
	}
	if err := looksLikeAccessToken(&claims, facts); err != nil {
		return nil, err
	}
	if err := i.check(&claims, i.now()); err != nil {
		return nil, err
	}
	return facts, nil
}

// bearerType reports whether the token_type of an introspection answer names
// something that may be presented as a bearer token.
func bearerType(t string) bool {
	switch mediaType(t) {
	case "", "bearer",
		"access_token", // OpenAM
		"urn:pingidentity.com:oauth2:validated_token":
		return true
	default:
		return false
	}
}

func (i *Issuer) now() time.Time {
	if i.Now != nil {
		return i.Now()
	}
	return time.Now()
}

func (i *Issuer) leeway() time.Duration {
	if i.Leeway > 0 {
		return i.Leeway
	}
	return time.Minute
}

func (i *Issuer) maxLifetime() time.Duration {
	if i.MaxLifetime > 0 {
		return i.MaxLifetime
	}
	return 24 * time.Hour
}

func (i *Issuer) tokenTypes() []string {
	if i.TokenTypes != nil {
		return i.TokenTypes
	}
	return []string{"at+jwt"}
}
