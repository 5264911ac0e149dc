package provider

import (
	"strings"

	"gatehouse/shared/config"
)

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
		// OpenAM's discovery leaves the introspection endpoint out.
		return endpoints{introspection: strings.TrimSuffix(issuer, "/") + "/introspect"}
	default:
		return endpoints{}
	}
}
