package standin

import (
	"net/http"
	"slices"
)

// openIDConfiguration serves OpenID Connect Discovery.
func (s *Server) openIDConfiguration(w http.ResponseWriter, r *http.Request, as *authServer) {
	s.metadata(w, r, as.openIDMetadata(s.base))
}

// oauthMetadata serves RFC 8414.
func (s *Server) oauthMetadata(w http.ResponseWriter, r *http.Request, as *authServer) {
	s.metadata(w, r, as.oauthMetadata(s.base))
}

func (s *Server) metadata(w http.ResponseWriter, r *http.Request, document map[string]any) {
	query, err := parseParameters(r.URL.RawQuery)
	if err != nil {
		s.vendor.refuse(w, err)
		return
	}
	if id := query.Get("client_id"); id != "" {
		if _, ok := s.clients.get(id); !ok {
			s.vendor.refuse(w, refusal{reason: unknownMetaClient})
			return
		}
	}
	w.Header().Set("Cache-Control", "max-age=86400, must-revalidate")
	writeJSON(w, http.StatusOK, document)
}

// commonMetadata says what Okta says, even where the stand-in does not do it
// (implicit grants, client assertions, device and pushed authorization): a
// client has to find its way among what is advertised.
func (as *authServer) commonMetadata(base string) map[string]any {
	v1 := base + as.path + "/v1/"
	methods := []string{"client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "none"}
	return map[string]any{
		"issuer":                 as.issuer,
		"authorization_endpoint": v1 + "authorize",
		"token_endpoint":         v1 + "token",
		// One for the whole organisation, never under an authorization server.
		"registration_endpoint":                         base + "/oauth2/v1/clients",
		"jwks_uri":                                      v1 + "keys",
		"response_modes_supported":                      []string{"query", "fragment", "form_post", "okta_post_message"},
		"subject_types_supported":                       []string{"public"},
		"scopes_supported":                              append(slices.Clone(as.Scopes), userScopes()...),
		"token_endpoint_auth_methods_supported":         methods,
		"introspection_endpoint":                        v1 + "introspect",
		"introspection_endpoint_auth_methods_supported": methods,
		"revocation_endpoint":                           v1 + "revoke",
		"revocation_endpoint_auth_methods_supported":    methods,
		"code_challenge_methods_supported":              []string{"S256"},
		"end_session_endpoint":                          v1 + "logout",
		"request_parameter_supported":                   true,
		"request_object_signing_alg_values_supported":   []string{"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512"},
		"device_authorization_endpoint":                 v1 + "device/authorize",
		"pushed_authorization_request_endpoint":         v1 + "par",
		"grant_types_supported":                         []string{"authorization_code", "implicit", "refresh_token", "password", "urn:ietf:params:oauth:grant-type:device_code"},
		"response_types_supported":                      []string{"code", "id_token", "code id_token", "code token", "id_token token", "code id_token token"},
	}
}

func (as *authServer) oauthMetadata(base string) map[string]any {
	document := as.commonMetadata(base)
	document["response_types_supported"] = []string{"code", "token", "id_token", "code id_token", "code token", "id_token token", "code id_token token"}
	document["claims_supported"] = []string{"ver", "jti", "iss", "aud", "iat", "exp", "cid", "uid", "scp", "sub"}
	if !as.org {
		document["grant_types_supported"] = []string{"authorization_code", "implicit", "refresh_token", "password", "client_credentials", "urn:ietf:params:oauth:grant-type:device_code"}
	}
	return document
}

func (as *authServer) openIDMetadata(base string) map[string]any {
	document := as.commonMetadata(base)
	document["userinfo_endpoint"] = base + as.path + "/v1/userinfo"
	document["id_token_signing_alg_values_supported"] = []string{"RS256"}
	document["claims_supported"] = []string{
		"iss", "ver", "sub", "aud", "iat", "exp", "jti", "auth_time", "amr", "idp", "nonce", "name", "nickname", "preferred_username",
		"given_name", "middle_name", "family_name", "email", "email_verified", "profile", "zoneinfo", "locale", "address", "phone_number",
		"picture", "website", "gender", "birthdate", "updated_at", "at_hash", "c_hash",
	}
	return document
}
