package registration

import (
	_ "embed"
	"net/http"

	"gatehouse/shared/web"
)

//go:embed openapi.yaml
var openAPI []byte

var description = web.NewDescription(openAPI)

// getOpenAPI answers with the description of the API (OpenAPI 3.1).
func (s *Service) getOpenAPI(w http.ResponseWriter, r *http.Request) error {
	return description.Write(w, s.base(r.Context()))
}
