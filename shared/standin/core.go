package standin

import (
	"slices"
	"strings"
	"time"
)

// Grant types (RFC 6749).
const (
	AuthorizationCode = "authorization_code"
	RefreshToken      = "refresh_token"
	ClientCredentials = "client_credentials"
)

// Client authentication methods (RFC 7591 section 2).
const (
	Basic  = "client_secret_basic"
	Post   = "client_secret_post"
	Public = "none"
)

// Client is a registered application.
type Client struct {
	ID         string
	Secret     string   // empty exactly when AuthMethod is Public
	Name       string   // shown on the login page; empty means ID
	AuthMethod string   // empty means Basic
	GrantTypes []string // nil means AuthorizationCode only
	// RedirectURIs are compared character by character. They are absolute and
	// have no fragment.
	RedirectURIs []string
	// Scopes are the custom scopes the access policy grants it; nil means all
	// the authorization server has.
	Scopes []string
	// Groups are assigned to it: only their members may sign in. Nil means everyone.
	Groups []string
	// Claims are added to the tokens it gets for itself, as custom claims are that
	// an administrator has written an expression for.
	Claims map[string]any
	// RefreshLeeway is how long a refresh token may be used again after it was
	// exchanged. Zero means the vendor's default, 30 s; negative means never.
	RefreshLeeway time.Duration
}

func (c Client) leeway() time.Duration {
	if c.RefreshLeeway == 0 {
		return 30 * time.Second
	}
	return c.RefreshLeeway
}

func (c Client) may(grantType string) bool { return slices.Contains(c.GrantTypes, grantType) }

// assigned reports whether u may sign in to c.
func (c Client) assigned(u User) bool {
	return c.Groups == nil || slices.Contains(c.Groups, everyone) || slices.ContainsFunc(u.Groups, func(g string) bool { return slices.Contains(c.Groups, g) })
}

// User is a person who can sign in.
type User struct {
	ID       string // empty means one derived from Login
	Login    string // such as "ada@example.com"
	Password string
	Groups   []string       // the groups claim of their tokens; nil means no such claim
	Claims   map[string]any // more claims of their tokens; they do not replace the server's own
}

// AuthorizationServer issues tokens for one audience.
type AuthorizationServer struct {
	ID       string        // "default", or as the vendor makes them up: letters and digits
	Audience string        // empty means "api://default"
	Lifetime time.Duration // of an access token, whole seconds; zero means 1 h
	// Scopes are the custom ones. Nil means orders:read, orders:write and
	// orders:admin.
	Scopes []string
	// Clients are the client IDs that its access policy includes; nil means
	// all. Empty but not nil, it has no policy, as a new one at Okta.
	Clients []string
	// Opaque makes access tokens random strings that only introspection explains.
	Opaque bool
}

// authServer is an AuthorizationServer with its defaults and its place.
type authServer struct {
	AuthorizationServer

	issuer      string
	path        string         // of its endpoints, such as "/oauth2/default"
	org         bool           // the one of the organisation itself
	lax         bool           // a request may name no scope, and gets none
	sendsIssuer bool           // in its authorization responses (RFC 9207)
	refreshes   bool           // without offline_access
	header      map[string]any // of its access tokens, beside alg and kid
}

// userScopes are the scopes that speak of a person.
func userScopes() []string { return []string{"openid", "profile", "email", "offline_access"} }

// grantScopes returns the scopes that c gets at as out of a scope parameter.
func grantScopes(as *authServer, c Client, scope, grantType string) ([]string, error) {
	scopes := parseScope(scope)
	if len(scopes) == 0 && !as.lax {
		return nil, refusal{reason: noScopes}
	}
	var custom, denied []string
	for _, name := range scopes {
		switch {
		case slices.Contains(userScopes(), name):
			if grantType == ClientCredentials {
				return nil, refusal{reason: userScope}
			}
		case slices.Contains(as.Scopes, name):
			custom = append(custom, name)
			if c.Scopes != nil && !slices.Contains(c.Scopes, name) {
				denied = append(denied, name)
			}
		default:
			return nil, refusal{reason: unknownScope}
		}
	}
	openid := slices.Contains(scopes, "openid")
	if !openid && (slices.Contains(scopes, "profile") || slices.Contains(scopes, "email")) {
		return nil, refusal{reason: openidMissing}
	}
	if as.Clients != nil && !slices.Contains(as.Clients, c.ID) {
		return nil, refusal{reason: noPolicy}
	}
	if len(denied) > 0 && len(denied) == len(custom) {
		return nil, refusal{reason: allScopesDenied}
	}
	if len(denied) > 0 {
		return nil, refusal{reason: someScopesDenied, detail: strings.Join(denied, ", ")}
	}
	return scopes, nil
}

// parseScope splits a scope parameter and drops repetitions.
func parseScope(scope string) []string {
	var scopes []string
	for name := range strings.SplitSeq(scope, " ") {
		if name != "" && !slices.Contains(scopes, name) {
			scopes = append(scopes, name)
		}
	}
	return scopes
}
