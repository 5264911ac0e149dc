package oauth

// This file is the metadata of an authorization server (RFC 8414 §2), as far as
// Gatehouse has any. Members that are empty are left out (§3.2).

// ServerMetadata describes an authorization server. All members but the first
// five are OPTIONAL there.
type ServerMetadata struct {
	Issuer                 string   `json:"issuer"`
	AuthorizationEndpoint  string   `json:"authorization_endpoint"`
	TokenEndpoint          string   `json:"token_endpoint"`
	ResponseTypesSupported []string `json:"response_types_supported"`
	GrantTypesSupported    []string `json:"grant_types_supported"`

	RegistrationEndpoint  string `json:"registration_endpoint,omitempty"`
	IntrospectionEndpoint string `json:"introspection_endpoint,omitempty"`
	RevocationEndpoint    string `json:"revocation_endpoint,omitempty"`

	TokenEndpointAuthMethodsSupported         []string `json:"token_endpoint_auth_methods_supported"`
	IntrospectionEndpointAuthMethodsSupported []string `json:"introspection_endpoint_auth_methods_supported,omitempty"`
	RevocationEndpointAuthMethodsSupported    []string `json:"revocation_endpoint_auth_methods_supported,omitempty"`

	ScopesSupported               []string `json:"scopes_supported,omitempty"`
	ResponseModesSupported        []string `json:"response_modes_supported"`
	CodeChallengeMethodsSupported []string `json:"code_challenge_methods_supported"`

	// RFC 9207 §3.
	IssuerParameterSupported bool `json:"authorization_response_iss_parameter_supported"`

	// RFC 9728 §4.
	ProtectedResources []string `json:"protected_resources,omitempty"`

	// draft-ietf-oauth-client-id-metadata-document, section 5.
	ClientIDMetadataDocumentSupported bool `json:"client_id_metadata_document_supported,omitempty"`

	ServiceDocumentation string `json:"service_documentation,omitempty"`
}
