package postman

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// member is one that an example has otherwise, or has not.
type member struct {
	path  string // such as contracts.0.tier
	value any    // nil: it is left out
}

// adapt returns the example with its members changed, in their order.
func adapt(example *yaml.Node, changes []member) (*yaml.Node, error) {
	text, err := yaml.Marshal(example)
	if err != nil {
		return nil, err
	}
	var copied yaml.Node
	if err := yaml.Unmarshal(text, &copied); err != nil {
		return nil, err
	}
	whole := copied.Content[0]
	for _, c := range changes {
		names := strings.Split(c.path, ".")
		at := whole
		for _, name := range names[:len(names)-1] {
			if at = child(at, name); at == nil {
				return nil, fmt.Errorf("the example has no %s", c.path)
			}
		}
		if err := set(at, names[len(names)-1], c.value); err != nil {
			return nil, err
		}
	}
	return whole, nil
}

// child is a member of an object or an element of an array; nil if there is none.
func child(of *yaml.Node, name string) *yaml.Node {
	if of.Kind == yaml.SequenceNode {
		if n, err := strconv.Atoi(name); err == nil && n < len(of.Content) {
			return of.Content[n]
		}
		return nil
	}
	for n := 0; n+1 < len(of.Content); n += 2 {
		if of.Content[n].Value == name {
			return of.Content[n+1]
		}
	}
	return nil
}

// set sets a member of an object, or removes it if the value is nil.
func set(of *yaml.Node, name string, value any) error {
	at := -1
	for n := 0; n+1 < len(of.Content); n += 2 { // names and values take turns
		if of.Content[n].Value == name {
			at = n
		}
	}
	if value == nil {
		if at < 0 {
			return fmt.Errorf("the example has no %s", name)
		}
		of.Content = slices.Delete(of.Content, at, at+2)
		return nil
	}
	var node yaml.Node
	if err := node.Encode(value); err != nil {
		return err
	}
	if at < 0 {
		of.Content = append(of.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: name}, &node)
		return nil
	}
	of.Content[at+1] = &node
	return nil
}

// asJSON is a node as JSON, with the members in their order.
func asJSON(n *yaml.Node) ([]byte, error) {
	var b bytes.Buffer
	if err := writeJSON(&b, n); err != nil {
		return nil, err
	}
	var indented bytes.Buffer
	err := json.Indent(&indented, b.Bytes(), "", "  ")
	return indented.Bytes(), err
}

func writeJSON(b *bytes.Buffer, n *yaml.Node) error {
	brackets := "{}"
	switch n.Kind {
	case yaml.SequenceNode:
		brackets = "[]"
	case yaml.MappingNode:
	default:
		var v any
		if err := n.Decode(&v); err != nil {
			return err
		}
		text, err := json.Marshal(v)
		b.Write(text)
		return err
	}
	b.WriteByte(brackets[0])
	for i, c := range n.Content {
		switch {
		case n.Kind == yaml.MappingNode && i%2 == 1:
			b.WriteByte(':')
		case i > 0:
			b.WriteByte(',')
		}
		if err := writeJSON(b, c); err != nil {
			return err
		}
	}
	b.WriteByte(brackets[1])
	return nil
}
