package registration

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"sync"

	"go.yaml.in/yaml/v3"
)

// This file serves the description of the API (OpenAPI 3.1).

//go:embed openapi.yaml
var openAPI []byte

// document returns the members of openapi.yaml as JSON. Most instances of the
// function are never asked, so it is not read before someone does.
var document = sync.OnceValues(func() (map[string]json.RawMessage, error) {
	var members map[string]any
	if err := yaml.Unmarshal(openAPI, &members); err != nil {
		return nil, fmt.Errorf("registration: openapi.yaml: %w", err)
	}
	all := map[string]json.RawMessage{}
	for name, member := range members {
		text, err := json.Marshal(member)
		if err != nil {
			return nil, fmt.Errorf("registration: openapi.yaml: %s: %w", name, err)
		}
		all[name] = text
	}
	return all, nil
})

// server is where the API is, as OpenAPI has it.
type server struct {
	URL string `json:"url"`
}

// getOpenAPI answers with the document for the address that the function was
// called by: the same file is deployed everywhere.
func (s *Service) getOpenAPI(w http.ResponseWriter, r *http.Request) error {
	members, err := document()
	if err != nil {
		return err
	}
	servers, err := json.Marshal([]server{{URL: s.base(r)}})
	if err != nil {
		return fmt.Errorf("registration: servers: %w", err)
	}
	answer := maps.Clone(members)
	answer["servers"] = servers
	w.Header().Set("Cache-Control", "public, max-age=300")
	writeJSON(w, http.StatusOK, answer)
	return nil
}
