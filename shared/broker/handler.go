package broker

import (
	_ "embed"
	"net/http"

	"gatehouse/shared/oauth"
	"gatehouse/shared/web"
)

//go:embed openapi.yaml
var openAPI []byte

var description = web.NewDescription(openAPI)

// Handler serves the authorization server. What clients call is open to scripts
// of any page, for there are clients that are pages; what people are sent to is
// not (OAuth 2.1 §3.1).
func (s *Server) Handler() http.Handler {
	return web.FromAnyOrigin(s.routes().Handler(elsewhere))
}

// routes returns what answers each request.
func (s *Server) routes() web.Routes {
	return web.Routes{
		"GET " + serverWellKnown:                  answered(s.getServerMetadata),
		"GET " + serverWellKnown + "/{path...}":   answered(s.getServerMetadata),
		"GET " + resourceWellKnown:                answered(s.getResourceMetadata),
		"GET " + resourceWellKnown + "/{path...}": answered(s.getResourceMetadata),
		"GET /authorize":                          toPerson(s.getAuthorize),
		"POST /authorize/consent":                 toPerson(s.postConsent),
		"GET /callback":                           toPerson(s.getCallback),
		"POST /token":                             answered(s.postToken),
		"POST /introspect":                        answered(s.postIntrospect),
		"POST /revoke":                            answered(s.postRevoke),
		"GET /broker/openapi.json":                answered(s.getOpenAPI),
	}
}

func (s *Server) getOpenAPI(w http.ResponseWriter, r *http.Request) error {
	return description.Write(w, s.issuer(r))
}

// elsewhere refuses what no route is for.
func elsewhere(w http.ResponseWriter, r *http.Request, status int, known string) {
	refusal := errNothing
	if status == http.StatusMethodNotAllowed {
		refusal = &oauth.Error{Code: oauth.InvalidRequest, Status: status, Description: "this path does not know the method; it knows " + known}
	}
	refuse(w, r, refusal)
}
