package postman

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// document is what is read of an OpenAPI document.
type document struct {
	name       string
	operations map[string]*operation // by operationId
}

// operation is one of a document's, with the parameters of its path.
type operation struct {
	method, path string

	ID          string                 `yaml:"operationId"`
	Summary     string                 `yaml:"summary"`
	Description string                 `yaml:"description"`
	Security    []map[string][]string  `yaml:"security"`
	Parameters  []parameter            `yaml:"parameters"`
	RequestBody struct{ Content body } `yaml:"requestBody"`
	Responses   map[string]response    `yaml:"responses"`
}

type parameter struct {
	Ref         string `yaml:"$ref"`
	Name        string `yaml:"name"`
	In          string `yaml:"in"`
	Required    bool   `yaml:"required"`
	Description string `yaml:"description"`
	Example     any    `yaml:"example"`
}

type response struct {
	Ref     string `yaml:"$ref"`
	Content body   `yaml:"content"`
}

// body is what is sent or answered, by media type.
type body map[string]struct {
	Example  yaml.Node                            `yaml:"example"`
	Examples map[string]struct{ Value yaml.Node } `yaml:"examples"`
}

// pathItem is a path with its operations.
type pathItem struct {
	Parameters []parameter `yaml:"parameters"`
	Get        *operation  `yaml:"get"`
	Put        *operation  `yaml:"put"`
	Post       *operation  `yaml:"post"`
	Patch      *operation  `yaml:"patch"`
	Delete     *operation  `yaml:"delete"`
}

// read reads the document of a file.
func read(name, file string) (*document, error) {
	text, err := os.ReadFile(file) //nolint:gosec // the command line names it
	if err != nil {
		return nil, fmt.Errorf("postman: %w", err)
	}
	var all struct {
		Paths      map[string]pathItem `yaml:"paths"`
		Components struct {
			Parameters map[string]parameter `yaml:"parameters"`
			Responses  map[string]response  `yaml:"responses"`
		} `yaml:"components"`
	}
	if err := yaml.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("postman: %s: %w", file, err)
	}
	d := &document{name: name, operations: map[string]*operation{}}
	for path, item := range all.Paths {
		for method, o := range map[string]*operation{"GET": item.Get, "PUT": item.Put, "POST": item.Post, "PATCH": item.Patch, "DELETE": item.Delete} {
			if o == nil {
				continue
			}
			o.method, o.path = method, path
			o.Parameters = append(slices.Clone(item.Parameters), o.Parameters...)
			for n, p := range o.Parameters {
				if p.Ref != "" {
					o.Parameters[n] = all.Components.Parameters[last(p.Ref)]
				}
			}
			for status, r := range o.Responses {
				if r.Ref != "" {
					o.Responses[status] = all.Components.Responses[last(r.Ref)]
				}
			}
			d.operations[o.ID] = o
		}
	}
	return d, nil
}

// last is the name that a reference ends with.
func last(ref string) string { return ref[strings.LastIndexByte(ref, '/')+1:] }

// sent is the media type and the example of what an operation takes; an
// operation that takes nothing has no media type. Of several examples it is the
// one that is named.
func (o *operation) sent(name string) (string, *yaml.Node, error) {
	for media, content := range o.RequestBody.Content {
		example := content.Example
		if name != "" {
			example = content.Examples[name].Value
		}
		if example.Kind != yaml.MappingNode {
			return "", nil, fmt.Errorf("postman: %s has no example %q of an object to send", o.ID, name)
		}
		return media, &example, nil
	}
	return "", nil, nil
}
