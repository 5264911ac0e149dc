package oauth

// This file is the metadata of a protected resource (RFC 9728 §2), as far as
// Gatehouse has any.

// ResourceMetadata describes a protected resource.
type ResourceMetadata struct {
	Resource               string   `json:"resource"`              // REQUIRED
	AuthorizationServers   []string `json:"authorization_servers"` // OPTIONAL; MCP needs one
	ScopesSupported        []string `json:"scopes_supported,omitempty"`
	BearerMethodsSupported []string `json:"bearer_methods_supported"` // RFC 6750 §2
	ResourceName           string   `json:"resource_name,omitempty"`
}
