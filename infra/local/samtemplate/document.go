package samtemplate

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxDepth is more than any template needs and keeps recursion harmless.
const maxDepth = 64

// errorAt is an error about a line of the template, or about what is not there: n
// is nil then.
func errorAt(n *yaml.Node, format string, args ...any) error {
	if n == nil {
		return fmt.Errorf("samtemplate: %w", fmt.Errorf(format, args...))
	}
	return fmt.Errorf("samtemplate: line %d: %w", n.Line, fmt.Errorf(format, args...))
}

// document returns the mapping that data is.
func document(data []byte) (*yaml.Node, error) {
	if len(data) > maxBytes {
		return nil, fmt.Errorf("samtemplate: larger than %d bytes", maxBytes)
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		return nil, fmt.Errorf("samtemplate: %w", err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("samtemplate: more than one YAML document")
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, errorAt(root, "a template is a mapping")
	}
	return root, plain(root, 0)
}

// plain refuses the YAML that CloudFormation refuses too, and names given
// twice, of which one would be lost.
func plain(n *yaml.Node, depth int) error {
	switch {
	case depth > maxDepth:
		return errorAt(n, "nested more than %d deep", maxDepth)
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		return errorAt(n, "YAML anchors and aliases are not part of CloudFormation")
	case n.Tag == "!!null":
		return errorAt(n, "a value is missing")
	case n.Kind == yaml.MappingNode:
		seen := make(map[string]bool, len(n.Content)/2)
		for i := 0; i < len(n.Content); i += 2 {
			key := n.Content[i]
			switch {
			case key.Kind != yaml.ScalarNode || key.Tag == "!!merge" || custom(key):
				return errorAt(key, "a name must be plain text")
			case seen[key.Value]:
				return errorAt(key, "%s is given twice", key.Value)
			}
			seen[key.Value] = true
		}
	}
	for _, c := range n.Content {
		if err := plain(c, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// custom reports whether n bears a tag such as !Ref.
func custom(n *yaml.Node) bool {
	return strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!")
}

// get returns the value of key in the mapping n, nil without one.
func get(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// value returns a scalar at the line of n.
func value(n *yaml.Node, s string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Value: s, Line: n.Line, Column: n.Column}
}
