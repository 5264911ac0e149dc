package config

import (
	"errors"
	"fmt"
	"iter"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"gatehouse/shared/policy"
)

// decoder fills a [Config] from YAML nodes and collects what is wrong.
type decoder struct {
	env      func(string) (string, bool)
	nodes    map[string]*yaml.Node // what the file has, by path
	faulty   map[string]bool       // paths that have a problem
	problems []Problem
	warnings []Problem
}

func newDecoder(env func(string) (string, bool)) *decoder {
	return &decoder{env: env, nodes: map[string]*yaml.Node{}, faulty: map[string]bool{}}
}

type position struct{ line, column int }

func nodePosition(n *yaml.Node) position { return position{max(n.Line, 1), max(n.Column, 1)} }

// member and element extend a path. A key that nobody would want to read in
// full is cut.
func member(path, key string) string {
	if len(key) > 64 || !utf8.ValidString(key) || strings.ContainsFunc(key, unprintable) {
		key = quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

func element(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

func (d *decoder) problemAt(at position, path, format string, args ...any) {
	d.faulty[path] = true
	d.problems = append(d.problems, Problem{at.line, at.column, path, fmt.Sprintf(format, args...)})
}

// problem reports what is wrong at path, at the place of the nearest thing
// around it that the file has.
func (d *decoder) problem(path, format string, args ...any) {
	d.problemAt(d.position(path), path, format, args...)
}

func (d *decoder) warn(path, message string) {
	at := d.position(path)
	d.warnings = append(d.warnings, Problem{at.line, at.column, path, message})
}

func (d *decoder) position(path string) position {
	for {
		if n, ok := d.nodes[path]; ok {
			return nodePosition(n)
		}
		if path == "" {
			return position{1, 1}
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
}

// has reports whether the file has a value at path, even a wrong one.
func (d *decoder) has(path string) bool { return d.nodes[path] != nil }

// shown returns the value at path as the file writes it, so that what a
// variable holds is not shown.
func (d *decoder) shown(path string) string {
	if n := d.nodes[path]; n != nil {
		return quote(n.Value)
	}
	return `""`
}

func quote(s string) string {
	const most = 80
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strconv.Quote(s)
}

func (d *decoder) decodeRoot(n *yaml.Node, cfg *Config) {
	d.nodes[""] = n
	d.object(n, reflect.ValueOf(cfg).Elem(), "")
}

// decode sets v, the value of a field with the given tag.
func (d *decoder) decode(n *yaml.Node, v reflect.Value, tag reflect.StructTag, path string) {
	d.nodes[path] = n
	if foreign(n) {
		return
	}
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		d.problem(path, "has no value; give it one%s", orRemove(tag))
		return
	}
	switch {
	case v.Type() == reflect.TypeFor[[]policy.Claim]():
		v.Set(reflect.ValueOf(d.claims(n, path)))
	case v.Kind() == reflect.Slice:
		d.list(n, v, tag, path)
	case v.Kind() == reflect.Struct:
		d.object(n, v, path)
	default:
		d.scalar(n, v, tag, path)
	}
}

func orRemove(tag reflect.StructTag) string {
	if tag.Get("required") != "" {
		return ""
	}
	return " or remove the key"
}

// object sets the fields of a struct from a mapping.
func (d *decoder) object(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		d.problem(path, "is %s; it must have keys: %s", kind(n), strings.Join(keysOf(v.Type()), ", "))
		return
	}
	known := map[string]int{}
	for i := range v.NumField() {
		known[keyOf(v.Type().Field(i))] = i
	}
	delete(known, "")
	for key, value := range d.members(n, path) {
		at := member(path, key.Value)
		if i, ok := known[key.Value]; ok {
			d.decode(value, v.Field(i), v.Type().Field(i).Tag, at)
			continue
		}
		hint := didYouMean(key.Value, keysOf(v.Type()))
		if hint == "" {
			hint = "; there are " + strings.Join(keysOf(v.Type()), ", ")
		}
		d.problemAt(nodePosition(key), at, "is no key here%s", hint)
	}
	for i := range v.NumField() {
		d.absent(v.Field(i), v.Type().Field(i), path)
	}
}

// absent sets the default of a field that the file does not have, or reports
// that it must.
func (d *decoder) absent(v reflect.Value, field reflect.StructField, path string) {
	at := member(path, keyOf(field))
	if keyOf(field) == "" || d.has(at) {
		return
	}
	setDefaults(v, field.Tag)
	if field.Tag.Get("required") == "" {
		return
	}
	if example := field.Tag.Get("example"); example != "" && v.Kind() == reflect.String {
		d.problem(at, "is missing; write for example %s: %s", keyOf(field), example)
		return
	}
	d.problem(at, "is missing")
}

// setDefaults sets the default of a value that is not there, and of what it
// consists of.
func setDefaults(v reflect.Value, tag reflect.StructTag) {
	if text, ok := tag.Lookup("default"); ok {
		// The defaults are ours, and a test decodes each of them.
		_ = setText(v, text, tag)
	}
	if v.Kind() != reflect.Struct {
		return
	}
	for i := range v.NumField() {
		if f := v.Type().Field(i); keyOf(f) != "" {
			setDefaults(v.Field(i), f.Tag)
		}
	}
}

// members iterates over the keys and values of a mapping, each key once.
func (d *decoder) members(n *yaml.Node, path string) iter.Seq2[*yaml.Node, *yaml.Node] {
	return func(yield func(key, value *yaml.Node) bool) {
		lines := map[string]int{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			at := nodePosition(key)
			switch {
			case key.Kind != yaml.ScalarNode && key.Kind != yaml.AliasNode:
				d.problemAt(at, path, "has %s as a key; a key is a word", kind(key))
			case key.Kind == yaml.AliasNode || key.ShortTag() == "!!merge":
				// reported by structure
			case lines[key.Value] != 0:
				d.problemAt(at, member(path, key.Value), "is repeated; line %d has it already", lines[key.Value])
			default:
				lines[key.Value] = at.line
				if !yield(key, value) {
					return
				}
			}
		}
	}
}

// list sets a slice of structs or of strings from a sequence.
func (d *decoder) list(n *yaml.Node, v reflect.Value, tag reflect.StructTag, path string) {
	if n.Kind != yaml.SequenceNode {
		d.problem(path, "is %s; it must be a list, even of one: [ ]", kind(n))
		return
	}
	if len(n.Content) == 0 {
		d.problem(path, "is an empty list; name at least one%s", orRemove(tag))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	seen := map[string]bool{}
	for i, child := range n.Content {
		at, item := element(path, i), v.Index(i)
		before := len(d.problems)
		d.decode(child, item, tag, at)
		if item.Kind() != reflect.String || foreign(child) || len(d.problems) > before {
			continue
		}
		switch {
		case item.Len() == 0 && tag.Get("blank") == "":
			d.problem(at, "is empty")
		case seen[item.String()]:
			d.problem(at, "is repeated: %s", d.shown(at))
		}
		seen[item.String()] = true
	}
}

// claims reads the claims a route asks for: names with a value, or a list of
// values of which one is enough.
func (d *decoder) claims(n *yaml.Node, path string) []policy.Claim {
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		d.problem(path, "is %s; it must name claims and their values, such as {groups: platform}", kind(n))
		return nil
	}
	var claims []policy.Claim
	for key, value := range d.members(n, path) {
		at := member(path, key.Value)
		d.nodes[at] = value
		if key.Value == "" || strings.Contains(key.Value, "${") {
			d.problemAt(nodePosition(key), at, "is no name of a claim; variables are for values")
		}
		values := []*yaml.Node{value}
		if value.Kind == yaml.SequenceNode {
			values = value.Content
		}
		if len(values) == 0 {
			d.problem(at, "is an empty list; name a value or remove the claim")
		}
		claim := policy.Claim{Name: key.Value}
		for i, v := range values {
			where := at
			if v != value {
				where = element(at, i)
				d.nodes[where] = v
			}
			claim.AnyOf = append(claim.AnyOf, d.claimValue(v, where))
		}
		claims = append(claims, claim)
	}
	return claims
}

// claimValue reads a value as a token would write it in JSON: numbers and
// booleans are compared by their text.
func (d *decoder) claimValue(n *yaml.Node, path string) string {
	tag := n.ShortTag()
	i, _ := strconv.ParseInt(n.Value, 10, 64)
	whole := strconv.FormatInt(i, 10) == n.Value
	switch {
	case foreign(n):
	case n.Kind != yaml.ScalarNode:
		d.problem(path, "is %s; it must be a value or a list of values", kind(n))
	case tag == "!!bool" && (n.Value == "true" || n.Value == "false"), tag == "!!int" && whole:
		return n.Value
	default:
		text, ok := d.text(n, path)
		if ok && text == "" {
			d.problem(path, "is empty")
		}
		return text
	}
	return ""
}

// foreign reports whether n is YAML that structure refuses, so that there is
// nothing more to say of its value.
func foreign(n *yaml.Node) bool { return n.Kind == yaml.AliasNode || n.Style&yaml.TaggedStyle != 0 }

// kind describes a node that is something else than it should be.
func kind(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode && len(n.Content) == 0:
		return "empty"
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "a boolean"
	case "!!null":
		return "empty"
	case "!!timestamp":
		return "a date"
	default:
		return "text"
	}
}

// keyOf returns the name of a field in the file, "" for a field that is not in it.
func keyOf(f reflect.StructField) string { return f.Tag.Get("yaml") }

// keysOf returns the names of a struct's fields in the file, in their order.
func keysOf(t reflect.Type) []string {
	var keys []string
	for f := range t.Fields() {
		if key := keyOf(f); key != "" {
			keys = append(keys, key)
		}
	}
	return keys
}

// setText sets a scalar from its text. The error says what it must be.
func setText(v reflect.Value, text string, tag reflect.StructTag) error {
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		return setDuration(v, text, tag)
	case v.Kind() == reflect.Int:
		return setInt(v, text, tag)
	case v.Kind() == reflect.Bool:
		if text != "true" && text != "false" {
			return errors.New("must be true or false")
		}
		v.SetBool(text == "true")
	default:
		return setString(v, text, tag)
	}
	return nil
}
