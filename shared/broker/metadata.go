package broker

import (
	"net/http"
	"net/url"
	"slices"

	"gatehouse/shared/oauth"
	"gatehouse/shared/web"
)

// This file is what clients find out by themselves: the metadata of the
// authorization server (RFC 8414) and of the APIs (RFC 9728).

const (
	serverWellKnown   = "/.well-known/oauth-authorization-server"
	resourceWellKnown = "/.well-known/oauth-protected-resource"
)

// cacheable lets others keep an answer that is the same for everyone.
const cacheable = "public, max-age=300"

// getServerMetadata answers at the place that follows from the issuer: if that
// has a path, the path follows the well-known one (RFC 8414 §3.1). Where the
// path is in front instead, API Gateway has cut it off.
func (s *Server) getServerMetadata(w http.ResponseWriter, r *http.Request) error {
	issuer := s.issuer(r)
	if at := r.PathValue("path"); at != "" && "/"+at != pathOf(issuer) {
		return errNothing
	}
	w.Header().Set("Cache-Control", cacheable)
	web.JSON(w, http.StatusOK, s.metadata(issuer))
	return nil
}

func pathOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Path
}

// errNothing is a well-known path of nothing that is here.
var errNothing = &oauth.Error{Code: oauth.InvalidRequest, Status: http.StatusNotFound, Description: "there is nothing at this path; GET /broker/openapi.json tells what there is"}

// metadata says what works, and no more.
func (s *Server) metadata(issuer string) oauth.ServerMetadata {
	m := oauth.ServerMetadata{
		Issuer:                 issuer,
		AuthorizationEndpoint:  issuer + "/authorize",
		TokenEndpoint:          issuer + "/token",
		IntrospectionEndpoint:  issuer + "/introspect",
		RevocationEndpoint:     issuer + "/revoke",
		ResponseTypesSupported: []string{"code"},
		ResponseModesSupported: []string{"query"},
		GrantTypesSupported:    []string{oauth.AuthorizationCode, oauth.RefreshToken, oauth.ClientCredentials},

		TokenEndpointAuthMethodsSupported:         []string{oauth.SecretBasic, oauth.SecretPost, oauth.PublicClient},
		RevocationEndpointAuthMethodsSupported:    []string{oauth.SecretBasic, oauth.SecretPost, oauth.PublicClient},
		IntrospectionEndpointAuthMethodsSupported: []string{oauth.SecretBasic, oauth.SecretPost},

		CodeChallengeMethodsSupported:     []string{oauth.S256},
		IssuerParameterSupported:          true,
		ClientIDMetadataDocumentSupported: s.Documents != nil,
		ServiceDocumentation:              issuer + "/broker/openapi.json",
	}
	if s.Registration {
		m.RegistrationEndpoint = issuer + "/register"
	}
	for _, a := range s.APIs {
		m.ScopesSupported = append(m.ScopesSupported, a.Scopes...)
		if a.Resource != "" {
			m.ProtectedResources = append(m.ProtectedResources, a.Resource)
		}
	}
	slices.Sort(m.ScopesSupported)
	m.ScopesSupported = slices.Compact(m.ScopesSupported)
	return m
}

// getResourceMetadata answers for an API by its name, or by the path of its
// resource if that is at this very host (RFC 9728 §3.1).
func (s *Server) getResourceMetadata(w http.ResponseWriter, r *http.Request) error {
	issuer := s.issuer(r)
	a, ok := s.apiAt(issuer, r.PathValue("path"))
	if !ok {
		return errNothing
	}
	w.Header().Set("Cache-Control", cacheable)
	web.JSON(w, http.StatusOK, oauth.ResourceMetadata{
		Resource: a.Resource, AuthorizationServers: []string{issuer}, ScopesSupported: a.Scopes,
		BearerMethodsSupported: []string{"header"}, ResourceName: a.Name,
	})
	return nil
}

func (s *Server) apiAt(issuer, path string) (API, bool) {
	here, err := url.Parse(issuer)
	if err != nil {
		return API{}, false
	}
	here.Path = "/" + path
	for _, a := range s.APIs {
		if a.Resource != "" && (a.Name == path || oauth.SameResource(a.Resource, here.String())) {
			return a, true
		}
	}
	return API{}, false
}
