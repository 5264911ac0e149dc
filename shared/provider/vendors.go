package provider

import (
	"strings"

	"gatehouse/shared/config"
)

// grantCode returns the code of RFC 6749 §5.2 for what a vendor says of a request
// for a token.
func grantCode(vendor config.ProviderType, e reason) string {
	if vendor == config.Keycloak {
		return keycloakCode(e)
	}
	return e.code
}

// offlineAccess is a scope of OpenID Connect Core §11.
const offlineAccess = "offline_access"

// offlineScope reports whether a vendor must be asked for offlineAccess before it
// gives out refresh tokens, and whether the person must be asked then. Keycloak,
// PingFederate and OpenAM give one to every client that has the grant type, and
// refuse a scope that the client is not registered for; at Keycloak it would mean
// that the token outlives the session. Others offer it, or not.
func offlineScope(vendor config.ProviderType, offered func() bool) (wanted, consent bool) {
	switch vendor {
	case config.Okta:
		return true, false
	case config.RFC7591:
		wanted = offered()
		return wanted, wanted
	default:
		return false, false
	}
}

// vendorEndpoints are the endpoints that follow from a vendor's issuer URL, so
// that a cold start needs no discovery, or that its discovery gets wrong. An
// endpoint that is not known stays "".
func vendorEndpoints(vendor config.ProviderType, issuer string) endpoints {
	switch vendor {
	case config.Okta:
		return oktaEndpoints(issuer)
	case config.Keycloak:
		return keycloakEndpoints(issuer)
	case config.OpenAM:
		// OpenAM's discovery leaves the introspection endpoint out, and names a
		// revocation endpoint where there is nothing.
		realm := strings.TrimSuffix(issuer, "/")
		return endpoints{introspection: realm + "/introspect", revocation: realm + "/token/revoke"}
	default:
		return endpoints{}
	}
}
