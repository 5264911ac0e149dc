package samtemplate

import (
	"cmp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// resolver evaluates intrinsic functions.
type resolver struct {
	parameters *yaml.Node // sections of the template; nil without one
	conditions *yaml.Node
	resources  *yaml.Node

	given    map[string]string // parameters of the caller
	pseudo   map[string]string // pseudo parameters
	physical map[string]string // Options.Resources
	foreign  []string          // Options.Functions
	ssm      map[string]string // Options.SSM

	verdicts map[string]bool // conditions that have been evaluated
	pending  map[string]bool // conditions that are being evaluated
}

func newResolver(root *yaml.Node, o Options) *resolver {
	account := cmp.Or(o.AccountID, "123456789012")
	region := cmp.Or(o.Region, "us-east-1")
	stack := cmp.Or(o.StackName, "gatehouse")
	return &resolver{
		parameters: get(root, "Parameters"),
		conditions: get(root, "Conditions"),
		resources:  get(root, "Resources"),
		given:      o.Parameters,
		physical:   o.Resources,
		foreign:    o.Functions,
		ssm:        o.SSM,
		pseudo: map[string]string{
			"AWS::AccountId": account,
			"AWS::Partition": "aws",
			"AWS::Region":    region,
			"AWS::StackId":   "arn:aws:cloudformation:" + region + ":" + account + ":stack/" + stack + "/local",
			"AWS::StackName": stack,
			"AWS::URLSuffix": "amazonaws.com",
		},
		verdicts: map[string]bool{},
		pending:  map[string]bool{},
	}
}

// intrinsic returns the long name and the argument of the function call n is,
// "" if it is none.
func intrinsic(n *yaml.Node) (name string, arg *yaml.Node) {
	if custom(n) {
		plain := *n
		plain.Tag = ""
		switch name := n.Tag[1:]; name {
		case "Ref", "Condition":
			return name, &plain
		default:
			return "Fn::" + name, &plain
		}
	}
	if n.Kind == yaml.MappingNode && len(n.Content) == 2 {
		if key := n.Content[0].Value; key == "Ref" || strings.HasPrefix(key, "Fn::") {
			return key, n.Content[1]
		}
	}
	return "", n
}

// shallow returns what n stands for: n itself, the result of the function call
// it is, or nil for AWS::NoValue. Members of the result may be calls again.
func (r *resolver) shallow(n *yaml.Node) (*yaml.Node, error) {
	name, arg := intrinsic(n)
	switch name {
	case "":
		return n, nil
	case "Ref":
		return r.ref(arg)
	case "Fn::GetAtt":
		return r.getAtt(arg)
	case "Fn::Sub":
		return r.sub(arg)
	case "Fn::Join":
		return r.join(arg)
	case "Fn::If":
		if arg.Kind != yaml.SequenceNode || len(arg.Content) != 3 || arg.Content[0].Kind != yaml.ScalarNode {
			return nil, errorAt(arg, "Fn::If takes [condition, then, else]")
		}
		yes, err := r.condition(arg.Content[0])
		if err != nil {
			return nil, err
		}
		if yes {
			return r.shallow(arg.Content[1])
		}
		return r.shallow(arg.Content[2])
	default:
		return nil, errorAt(n, "%s is not supported here", name)
	}
}

// text returns the scalar n stands for.
func (r *resolver) text(n *yaml.Node) (string, error) {
	v, err := r.shallow(n)
	if err != nil {
		return "", err
	}
	if v == nil || v.Kind != yaml.ScalarNode {
		return "", errorAt(n, "want a single value here")
	}
	return v.Value, nil
}

func (r *resolver) ref(arg *yaml.Node) (*yaml.Node, error) {
	if arg.Kind != yaml.ScalarNode {
		return nil, errorAt(arg, "Ref takes a name")
	}
	if arg.Value == "AWS::NoValue" {
		return nil, nil // the value of AWS::NoValue
	}
	s, err := r.named(arg, arg.Value)
	if err != nil {
		return nil, err
	}
	return value(arg, s), nil
}

// named returns the value of a pseudo parameter, a parameter or a resource.
func (r *resolver) named(at *yaml.Node, name string) (string, error) {
	if s, ok := r.pseudo[name]; ok {
		return s, nil
	}
	if p := get(r.parameters, name); p != nil {
		return r.parameter(name, p)
	}
	// SAM's name for the stage that it makes of an API.
	if api, ok := strings.CutSuffix(name, ".Stage"); ok && r.isAPI(api) {
		return r.text(cmp.Or(get(get(get(r.resources, api), "Properties"), "StageName"), value(at, "$default")))
	}
	// And for the alias that it makes of a function.
	if id, ok := strings.CutSuffix(name, ".Alias"); ok {
		if alias := get(get(get(r.resources, id), "Properties"), "AutoPublishAlias"); alias != nil {
			label, err := r.text(alias)
			return r.functionARN(id) + ":" + label, err
		}
	}
	if get(r.resources, name) == nil {
		return "", errorAt(at, "%q is neither a parameter nor a resource of this template", name)
	}
	return cmp.Or(r.physical[name], name), nil
}

// isAPI reports whether a resource is an API of SAM's own kinds.
func (r *resolver) isAPI(id string) bool {
	t := get(get(r.resources, id), "Type")
	return t != nil && (t.Value == typeREST || t.Value == typeHTTP)
}

func (r *resolver) getAtt(arg *yaml.Node) (*yaml.Node, error) {
	name := arg.Value
	if arg.Kind == yaml.SequenceNode && len(arg.Content) == 2 {
		name = arg.Content[0].Value + "." + arg.Content[1].Value
	}
	s, err := r.attribute(arg, name)
	if err != nil {
		return nil, err
	}
	return value(arg, s), nil
}

// attribute returns the value of "Resource.Attribute".
func (r *resolver) attribute(at *yaml.Node, name string) (string, error) {
	if s, ok := r.physical[name]; ok {
		return s, nil
	}
	id, attr, _ := strings.Cut(name, ".")
	resource := get(r.resources, id)
	if resource == nil {
		return "", errorAt(at, "Fn::GetAtt %q: no resource of that name", name)
	}
	if t := get(resource, "Type"); attr == "Arn" && t != nil && t.Value == typeFunction {
		return r.functionARN(id), nil
	}
	return "", errorAt(at, "Fn::GetAtt %q is not known here; give its value in Options.Resources", name)
}

// functionARN is the ARN of a function of this template.
func (r *resolver) functionARN(id string) string {
	return strings.Join([]string{"arn:aws:lambda", r.pseudo["AWS::Region"], r.pseudo["AWS::AccountId"], "function", id}, ":")
}

func (r *resolver) join(arg *yaml.Node) (*yaml.Node, error) {
	if arg.Kind != yaml.SequenceNode || len(arg.Content) != 2 || arg.Content[1].Kind != yaml.SequenceNode || custom(arg.Content[1]) {
		return nil, errorAt(arg, "Fn::Join takes [delimiter, [values]]")
	}
	parts := make([]string, len(arg.Content[1].Content))
	for i, c := range arg.Content[1].Content {
		s, err := r.text(c)
		if err != nil {
			return nil, err
		}
		parts[i] = s
	}
	return value(arg, strings.Join(parts, arg.Content[0].Value)), nil
}

// sub evaluates Fn::Sub: text, or [text, {name: value}].
func (r *resolver) sub(arg *yaml.Node) (*yaml.Node, error) {
	text, own := arg, (*yaml.Node)(nil)
	if arg.Kind == yaml.SequenceNode && len(arg.Content) == 2 && arg.Content[1].Kind == yaml.MappingNode {
		text, own = arg.Content[0], arg.Content[1]
	}
	if text.Kind != yaml.ScalarNode {
		return nil, errorAt(arg, "Fn::Sub takes text, or [text, {name: value}]")
	}
	var b strings.Builder
	rest := text.Value
	for {
		before, after, found := strings.Cut(rest, "${")
		b.WriteString(before)
		if !found {
			return value(arg, b.String()), nil
		}
		name, tail, found := strings.Cut(after, "}")
		if !found {
			return nil, errorAt(text, "Fn::Sub: ${ without }")
		}
		s, err := r.variable(text, own, name)
		if err != nil {
			return nil, err
		}
		b.WriteString(s)
		rest = tail
	}
}

// variable returns what ${name} in a Fn::Sub stands for.
func (r *resolver) variable(at, own *yaml.Node, name string) (string, error) {
	if literal, ok := strings.CutPrefix(name, "!"); ok {
		return "${" + literal + "}", nil
	}
	if v := get(own, name); v != nil {
		return r.text(v)
	}
	if strings.Contains(name, ".") {
		return r.attribute(at, name)
	}
	return r.named(at, name)
}
