package samtemplate

import (
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// condition evaluates the condition named by n.
func (r *resolver) condition(n *yaml.Node) (bool, error) {
	name := n.Value
	if v, ok := r.verdicts[name]; ok {
		return v, nil
	}
	body := get(r.conditions, name)
	switch {
	case body == nil:
		return false, errorAt(n, "there is no condition %q", name)
	case r.pending[name]:
		return false, errorAt(n, "condition %q depends on itself", name)
	}
	r.pending[name] = true
	v, err := r.holds(body)
	if err != nil {
		return false, err
	}
	r.verdicts[name] = v
	return v, nil
}

// holds evaluates a condition function.
func (r *resolver) holds(n *yaml.Node) (bool, error) {
	name, arg := intrinsic(n)
	if named := get(n, "Condition"); named != nil {
		name, arg = "Condition", named
	}
	switch name {
	case "Condition":
		return r.condition(arg)
	case "Fn::Equals":
		return r.equals(arg)
	case "Fn::Not":
		if arg.Kind != yaml.SequenceNode || len(arg.Content) != 1 {
			return false, errorAt(n, "Fn::Not takes one condition")
		}
		v, err := r.holds(arg.Content[0])
		return !v, err
	case "Fn::And", "Fn::Or":
		return r.combined(name == "Fn::And", arg)
	default:
		return false, errorAt(n, "want a condition: Fn::Equals, Fn::Not, Fn::And, Fn::Or or Condition")
	}
}

func (r *resolver) equals(arg *yaml.Node) (bool, error) {
	if arg.Kind != yaml.SequenceNode || len(arg.Content) != 2 {
		return false, errorAt(arg, "Fn::Equals takes two values")
	}
	a, err := r.text(arg.Content[0])
	if err != nil {
		return false, err
	}
	b, err := r.text(arg.Content[1])
	return a == b, err
}

// combined returns whether all (want true) or any (want false) of a list hold:
// the first that differs from want decides.
func (r *resolver) combined(want bool, arg *yaml.Node) (bool, error) { //nolint:revive // want is the neutral element, not a mode
	if arg.Kind != yaml.SequenceNode || len(arg.Content) < 2 || len(arg.Content) > 10 {
		return false, errorAt(arg, "Fn::And and Fn::Or take two to ten conditions")
	}
	for _, c := range arg.Content {
		v, err := r.holds(c)
		if err != nil || v != want {
			return v, err
		}
	}
	return want, nil
}

// typeStored is the type of a parameter that is given the name of a value in the
// Parameter Store.
const typeStored = "AWS::SSM::Parameter::Value<String>"

// parameter returns the value of parameter name, declared by p.
func (r *resolver) parameter(name string, p *yaml.Node) (string, error) {
	s, ok := r.given[name]
	if !ok {
		d := get(p, "Default")
		if d == nil {
			return "", errorAt(p, "parameter %s has no default and no value was given", name)
		}
		s = d.Value
	}
	kind := ""
	if n := get(p, "Type"); n != nil {
		kind = n.Value
	}
	switch kind {
	case "Number":
		return s, checkNumber(name, s, p)
	case "String":
		return s, checkString(name, s, p)
	case typeStored:
		stored, ok := r.ssm[s]
		if !ok {
			return "", errorAt(p, "parameter %s: Options.SSM has no value of %s", name, s)
		}
		return stored, checkString(name, s, p)
	default:
		return "", errorAt(p, "parameter %s: only the types String, Number and %s are supported", name, typeStored)
	}
}

func checkNumber(name, s string, p *yaml.Node) error {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return errorAt(p, "parameter %s: %q is not a number", name, s)
	}
	if least := get(p, "MinValue"); least != nil {
		if m, err := strconv.ParseFloat(least.Value, 64); err != nil || v < m {
			return errorAt(p, "parameter %s: %s is less than MinValue %s", name, s, least.Value)
		}
	}
	if most := get(p, "MaxValue"); most != nil {
		if m, err := strconv.ParseFloat(most.Value, 64); err != nil || v > m {
			return errorAt(p, "parameter %s: %s is more than MaxValue %s", name, s, most.Value)
		}
	}
	return checkAllowed(name, s, p)
}

func checkString(name, s string, p *yaml.Node) error {
	if pattern := get(p, "AllowedPattern"); pattern != nil {
		re, err := regexp.Compile("^(?:" + pattern.Value + ")$")
		if err != nil {
			return errorAt(pattern, "parameter %s: AllowedPattern: %w", name, err)
		}
		if !re.MatchString(s) {
			return errorAt(p, "parameter %s: %q does not match its AllowedPattern", name, s)
		}
	}
	return checkAllowed(name, s, p)
}

func checkAllowed(name, s string, p *yaml.Node) error {
	allowed := get(p, "AllowedValues")
	if allowed == nil {
		return nil
	}
	for _, a := range allowed.Content {
		if a.Value == s {
			return nil
		}
	}
	return errorAt(p, "parameter %s: %q is not one of its AllowedValues", name, s)
}
