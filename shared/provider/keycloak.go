package provider

import (
	"strings"

	"gatehouse/shared/oauth"
)

// This file is Keycloak, whose registration is RFC 7591 and 7592 at a place of
// its own. It has an initial access token unless anonymous registration is
// allowed, a new registration access token in the answer to every update, and
// it refuses members it does not know, client_id in a registration among them.

// keycloakEndpoints are those of Keycloak 17 and later; before, /auth was part
// of the issuer.
func keycloakEndpoints(issuer string) endpoints {
	realm := strings.TrimSuffix(issuer, "/")
	connect := realm + "/protocol/openid-connect"
	return endpoints{
		jwks:          connect + "/certs",
		introspection: connect + "/token/introspect",
		registration:  realm + "/clients-registrations/openid-connect",
		authorization: connect + "/auth",
		token:         connect + "/token",
		revocation:    connect + "/revoke",
	}
}

// keycloakCode tells a client whose secret is wrong from one that the grant is
// not allowed to. Keycloak calls both unauthorized_client, as seen at 26.7.
func keycloakCode(e reason) string {
	if e.code == oauth.UnauthorizedClient && strings.HasPrefix(e.text, "Invalid client") {
		return oauth.InvalidClient
	}
	return e.code
}
