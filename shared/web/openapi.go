package web

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"sync"

	"go.yaml.in/yaml/v3"
)

// Description is an OpenAPI document in YAML that is answered in JSON. Most
// instances of a function are never asked, so it is not read before someone
// does. Use [NewDescription].
type Description struct {
	members func() (map[string]json.RawMessage, error)
}

// NewDescription returns the description whose text this is.
func NewDescription(text []byte) *Description {
	return &Description{sync.OnceValues(func() (map[string]json.RawMessage, error) {
		var members map[string]any
		if err := yaml.Unmarshal(text, &members); err != nil {
			return nil, fmt.Errorf("web: description: %w", err)
		}
		all := map[string]json.RawMessage{}
		for name, member := range members {
			text, err := json.Marshal(member)
			if err != nil {
				return nil, fmt.Errorf("web: description: %s: %w", name, err)
			}
			all[name] = text
		}
		return all, nil
	})}
}

// Write answers with the document for the address that the API is called by: the
// same file is deployed everywhere.
func (d *Description) Write(w http.ResponseWriter, base string) error {
	members, err := d.members()
	if err != nil {
		return err
	}
	servers, err := json.Marshal([]struct {
		URL string `json:"url"`
	}{{base}})
	if err != nil {
		return fmt.Errorf("web: description: servers: %w", err)
	}
	answer := maps.Clone(members)
	answer["servers"] = servers
	w.Header().Set("Cache-Control", "public, max-age=300")
	JSON(w, http.StatusOK, answer)
	return nil
}
