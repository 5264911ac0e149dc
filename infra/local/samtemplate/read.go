package samtemplate

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// reader turns nodes into Go values. It keeps the first error and from then on
// returns zero values, so that reading is written without checks in between.
type reader struct {
	*resolver
	err error
}

func (r *reader) fail(n *yaml.Node, format string, args ...any) {
	if r.err == nil {
		r.err = errorAt(n, format, args...)
	}
}

// shallow is [resolver.shallow] of a node that may be missing.
func (r *reader) shallow(n *yaml.Node) *yaml.Node {
	if n == nil || r.err != nil {
		return nil
	}
	v, err := r.resolver.shallow(n)
	if err != nil {
		r.err = err
	}
	return v
}

// fields is a mapping, its values not yet resolved.
type fields struct {
	at   *yaml.Node
	keys []string // in the order of the template
	byID map[string]*yaml.Node
}

// mapping reads the mapping n stands for; a missing one is empty.
func (r *reader) mapping(n *yaml.Node) fields {
	f := fields{at: n, byID: map[string]*yaml.Node{}}
	v := r.shallow(n)
	if v == nil {
		return f
	}
	if v.Kind != yaml.MappingNode {
		r.fail(v, "want names with values here")
		return f
	}
	for i := 0; i < len(v.Content); i += 2 {
		key := v.Content[i].Value
		f.keys = append(f.keys, key)
		f.byID[key] = v.Content[i+1]
	}
	return f
}

// only refuses every field of f but the known ones; what says whose they are.
func (r *reader) only(f fields, what string, known ...string) {
	for _, key := range f.keys {
		if !slices.Contains(known, key) {
			r.fail(f.byID[key], "%s of %s is not supported here", key, what)
		}
	}
}

// list reads the elements of the list n stands for; a missing one is empty.
func (r *reader) list(n *yaml.Node) []*yaml.Node {
	v := r.shallow(n)
	if v == nil {
		return nil
	}
	if v.Kind != yaml.SequenceNode {
		r.fail(v, "want a list here")
		return nil
	}
	var elements []*yaml.Node
	for _, c := range v.Content {
		if e := r.shallow(c); e != nil {
			elements = append(elements, e)
		}
	}
	return elements
}

func (r *reader) texts(n *yaml.Node) []string {
	var list []string
	for _, e := range r.list(n) {
		list = append(list, r.text(e))
	}
	return list
}

func (r *reader) textMap(n *yaml.Node) map[string]string {
	f := r.mapping(n)
	if len(f.keys) == 0 {
		return nil
	}
	m := make(map[string]string, len(f.keys))
	for key, v := range f.byID {
		m[key] = r.text(v)
	}
	return m
}

// text reads the scalar n stands for; "" when missing.
func (r *reader) text(n *yaml.Node) string {
	v := r.shallow(n)
	if v == nil {
		return ""
	}
	if v.Kind != yaml.ScalarNode {
		r.fail(v, "want a single value here")
		return ""
	}
	return v.Value
}

// flag reads true or false; false when missing.
func (r *reader) flag(n *yaml.Node) bool {
	switch s := r.text(n); s {
	case "true", "True", "TRUE":
		return true
	case "", "false", "False", "FALSE":
		return false
	default:
		r.fail(n, "want true or false, not %q", s)
		return false
	}
}

// otherwiseTrue reads true or false; true when missing.
func (r *reader) otherwiseTrue(n *yaml.Node) bool { return n == nil || r.flag(n) }

// number reads a whole number between 0 and most; missing when there is none.
func (r *reader) number(n *yaml.Node, missing, most int) int {
	s := r.text(n)
	if s == "" {
		return missing
	}
	v, err := strconv.Atoi(s)
	if err != nil || v < 0 || v > most {
		r.fail(n, "want a whole number from 0 to %d, not %q", most, s)
	}
	return v
}

func (r *reader) seconds(n *yaml.Node, missing, most int) time.Duration {
	return time.Duration(r.number(n, missing, most)) * time.Second
}

// target returns the logical id that n, a Ref, a Ref of the alias that SAM makes
// (Function.Alias) or a Fn::GetAtt of Arn, points to, when that is a resource of
// one of types; "" otherwise.
func (r *reader) target(n *yaml.Node, types ...string) string {
	if n == nil {
		return ""
	}
	id := ""
	switch name, arg := intrinsic(n); name {
	case "Ref":
		id = strings.TrimSuffix(arg.Value, ".Alias")
	case "Fn::GetAtt":
		if arg.Kind == yaml.SequenceNode && len(arg.Content) == 2 && arg.Content[1].Value == "Arn" {
			id = arg.Content[0].Value
		} else if rest, ok := strings.CutSuffix(arg.Value, ".Arn"); ok {
			id = rest
		}
	}
	t := get(get(r.resources, id), "Type")
	if t == nil || !slices.Contains(types, t.Value) {
		return ""
	}
	return id
}
