// Package schema writes the JSON Schema of gatehouse.yaml, for editors.
//
// It is made from the types of package config and their tags, so that it
// cannot disagree with what is read, and from the descriptions in this
// package. It is no second validator: what depends on two keys, on a variable
// or on YAML itself only config.Parse finds. It stands apart so that no
// function carries it to Lambda.
package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"gatehouse/shared/config"
	"gatehouse/shared/policy"
)

// node is the part of JSON Schema, draft 2020-12, that is needed.
type node struct {
	Schema      string           `json:"$schema,omitempty"`
	Title       string           `json:"title,omitempty"`
	Description string           `json:"description,omitempty"`
	Ref         string           `json:"$ref,omitempty"`
	Type        string           `json:"type,omitempty"`
	Enum        []string         `json:"enum,omitempty"`
	Const       *int             `json:"const,omitempty"`
	Pattern     string           `json:"pattern,omitempty"`
	MinLength   int              `json:"minLength,omitempty"`
	Minimum     *int             `json:"minimum,omitempty"`
	Maximum     *int             `json:"maximum,omitempty"`
	AnyOf       []*node          `json:"anyOf,omitempty"`
	Items       *node            `json:"items,omitempty"`
	MinItems    int              `json:"minItems,omitempty"`
	UniqueItems bool             `json:"uniqueItems,omitempty"`
	Properties  map[string]*node `json:"properties,omitempty"`
	MinProps    int              `json:"minProperties,omitempty"`
	Required    []string         `json:"required,omitempty"`
	Additional  any              `json:"additionalProperties,omitempty"` // false or *node
	Default     any              `json:"default,omitempty"`
	Examples    []any            `json:"examples,omitempty"`
	Defs        map[string]*node `json:"$defs,omitempty"`
}

// variable matches a value in which a variable stands; what it will be is not
// known to an editor.
var variable = &node{Ref: "#/$defs/variable"}

// JSON returns the schema, indented and with a final line break. The error
// names a key that has no description.
func JSON() ([]byte, error) {
	root, err := object(reflect.TypeFor[config.Config](), "")
	if err != nil {
		return nil, err
	}
	root.Schema = "https://json-schema.org/draft/2020-12/schema"
	root.Title = "gatehouse.yaml"
	root.Description = "The identity providers, the APIs, and what each route of them asks of a token."
	root.Defs = map[string]*node{"variable": {
		Type: "string", Pattern: `\$\{[A-Za-z_][A-Za-z0-9_]*\}`,
		Description: "A value with ${NAME}, which stands for an environment variable.",
	}}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(root); err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	return b.Bytes(), nil
}

func object(t reflect.Type, path string) (*node, error) {
	n := &node{Type: "object", Additional: false, Properties: map[string]*node{}}
	for f := range t.Fields() {
		key := f.Tag.Get("yaml")
		if key == "" {
			continue
		}
		at := strings.TrimPrefix(path+"."+key, ".")
		value, err := field(f, at)
		if err != nil {
			return nil, err
		}
		value.Description = descriptions[at]
		if value.Description == "" {
			return nil, fmt.Errorf("schema: %s: has no description", at)
		}
		n.Properties[key] = value
		if f.Tag.Get("required") != "" {
			n.Required = append(n.Required, key)
		}
	}
	return n, nil
}

func field(f reflect.StructField, path string) (*node, error) {
	t := f.Type
	switch {
	case t == reflect.TypeFor[[]policy.Claim]():
		return claims(), nil
	case t.Kind() == reflect.Struct:
		return object(t, path)
	case t.Kind() != reflect.Slice:
		return annotated(scalar(t, f.Tag), t, f.Tag), nil
	case t.Elem().Kind() == reflect.Struct:
		items, err := object(t.Elem(), path)
		return &node{Type: "array", MinItems: 1, Items: items}, err
	default:
		items := annotated(scalar(t.Elem(), f.Tag), t.Elem(), f.Tag)
		if items.Type == "string" && f.Tag.Get("blank") == "" {
			items.MinLength = 1
		}
		return &node{Type: "array", MinItems: 1, UniqueItems: true, Items: items}, nil
	}
}

func scalar(t reflect.Type, tag reflect.StructTag) *node {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		n := anyOf(&node{Type: "string", Pattern: `^(0|([0-9]+(ms|s|m|h))+)$`}, variable)
		if tag.Get("min") == "0s" {
			n.AnyOf = append(n.AnyOf, &node{Const: new(int)}) // a bare 0 is a number
		}
		return n
	case t.Kind() == reflect.Bool:
		return anyOf(&node{Type: "boolean"}, variable)
	case t.Kind() == reflect.Int:
		return anyOf(&node{Type: "integer", Minimum: bound(tag, "min"), Maximum: bound(tag, "max")}, variable)
	case tag.Get("enum") != "":
		return anyOf(&node{Type: "string", Enum: strings.Fields(tag.Get("enum"))}, variable)
	case tag.Get("required") != "":
		return &node{Type: "string", MinLength: 1}
	default:
		return &node{Type: "string"}
	}
}

// annotated adds the default and the example.
func annotated(n *node, t reflect.Type, tag reflect.StructTag) *node {
	if text, ok := tag.Lookup("default"); ok {
		n.Default = text
		if i, err := strconv.Atoi(text); err == nil && t.Kind() == reflect.Int {
			n.Default = i
		}
	}
	if text, ok := tag.Lookup("example"); ok {
		n.Examples = []any{text}
	}
	return n
}

func claims() *node {
	value := anyOf(&node{Type: "string", MinLength: 1}, &node{Type: "integer"}, &node{Type: "boolean"})
	return &node{
		Type:       "object",
		MinProps:   1,
		Additional: anyOf(value, &node{Type: "array", MinItems: 1, Items: value}),
		Examples:   []any{map[string]string{"groups": "platform"}},
	}
}

func anyOf(nodes ...*node) *node { return &node{AnyOf: nodes} }

func bound(tag reflect.StructTag, key string) *int {
	n, err := strconv.Atoi(tag.Get(key))
	if err != nil {
		return nil
	}
	return &n
}
