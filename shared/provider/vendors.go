package provider

import (
	"net/url"
	"strings"

	"gatehouse/shared/config"
)

// vendorEndpoints are the endpoints that follow from a vendor's issuer URL, so
// that a cold start needs no discovery, or that its discovery gets wrong. An
// endpoint that is not known stays "".
func vendorEndpoints(vendor config.ProviderType, issuer string) endpoints {
	switch vendor {
	case config.Okta:
		return okta(issuer)
	case config.Keycloak:
		// Keycloak 17 and later; before, /auth was part of the issuer.
		base := strings.TrimSuffix(issuer, "/") + "/protocol/openid-connect"
		return endpoints{jwks: base + "/certs", introspection: base + "/token/introspect"}
	case config.OpenAM:
		// OpenAM's discovery leaves the introspection endpoint out.
		return endpoints{introspection: strings.TrimSuffix(issuer, "/") + "/introspect"}
	default:
		return endpoints{}
	}
}

// okta has its endpoints under the issuer of a custom authorization server
// (https://org/oauth2/default/v1/keys), and under /oauth2 for the org's own
// (https://org/oauth2/v1/keys).
func okta(issuer string) endpoints {
	base := strings.TrimSuffix(issuer, "/")
	if u, err := url.Parse(base); err == nil && u.Path == "" {
		base += "/oauth2"
	}
	return endpoints{jwks: base + "/v1/keys", introspection: base + "/v1/introspect"}
}
