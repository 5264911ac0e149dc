// Package iam evaluates the policy documents that Lambda authorizers return, and
// the resource policies of APIs, as API Gateway does, for the gateway on the
// laptop and for tests.
//
// It knows the part of the policy language that such documents use: Effect,
// Action, NotAction, Resource, NotResource and a few conditions. It refuses a
// document it does not understand as a whole rather than guess at a part: an
// unknown member, a missing Effect, a Principal in an authorizer's document. It
// never fetches anything, knows no other policies (boundaries, session policies)
// and shares no code with what writes the documents, so that it can judge it.
//
// See https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies.html
package iam

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// Limits of [Parse].
const (
	maxDocument = 64 << 10 // bytes; API Gateway documents 8 KB for WebSocket APIs and nothing for the others
	maxResource = 512      // characters of one Resource that an authorizer returns
)

// Policy is a policy document, read by [Parse]. The zero value allows nothing.
type Policy struct {
	statements []statement
}

// statement is one statement. Exactly one of Action and NotAction was given,
// and one of Resource and NotResource.
type statement struct {
	deny         bool
	actions      []pattern
	notActions   bool
	resources    []pattern
	notResources bool
	conditions   []condition
	others       bool // it is about principals that sign their requests
}

// Parse reads the policy document of an authorizer: a JSON object of at most 64
// KiB with Version "2012-10-17" and one Statement or an array of them. Names and
// Effect are compared as written, every member must be known and none may occur
// twice.
func Parse(doc []byte) (*Policy, error) { return parse(doc, parseStatement) }

// ParseResource reads the resource policy of an API, whose statements have a
// Principal besides. It is evaluated for requests that nobody has signed: a
// statement about anybody but "*" does not apply to them.
func ParseResource(doc []byte) (*Policy, error) { return parse(doc, parseResourceStatement) }

func parse(doc []byte, statementOf func(json.RawMessage) (statement, error)) (*Policy, error) {
	if len(doc) > maxDocument {
		return nil, fmt.Errorf("iam: the document has %d bytes; at most %d are read", len(doc), maxDocument)
	}
	if !utf8.Valid(doc) || !json.Valid(doc) {
		return nil, errors.New("iam: the document is not JSON")
	}
	p, err := parsePolicy(doc, statementOf)
	if err != nil {
		return nil, fmt.Errorf("iam: %w", err)
	}
	return p, nil
}

func parsePolicy(doc json.RawMessage, statementOf func(json.RawMessage) (statement, error)) (*Policy, error) {
	m, err := members(doc, "Version", "Id", "Statement")
	if err != nil {
		return nil, err
	}
	// The older version, 2008-10-17, has no policy variables: ${*} would mean
	// something else.
	if string(m["Version"]) != `"2012-10-17"` {
		return nil, errors.New(`the Version is not "2012-10-17"`)
	}
	raws := []json.RawMessage{m["Statement"]}
	if isArray(m["Statement"]) {
		if err := json.Unmarshal(m["Statement"], &raws); err != nil {
			return nil, err
		}
	}
	if len(raws) == 0 {
		return nil, errors.New("the Statement is empty")
	}
	p := &Policy{}
	for i, raw := range raws {
		s, err := statementOf(raw)
		if err != nil {
			return nil, fmt.Errorf("statement %d: %w", i, err)
		}
		p.statements = append(p.statements, s)
	}
	return p, nil
}

func parseStatement(raw json.RawMessage) (statement, error) {
	m, err := members(raw, "Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition")
	if err != nil {
		return statement{}, err
	}
	return parseMembers(m)
}

func parseResourceStatement(raw json.RawMessage) (statement, error) {
	m, err := members(raw, "Sid", "Effect", "Principal", "Action", "NotAction", "Resource", "NotResource", "Condition")
	if err != nil {
		return statement{}, err
	}
	s, err := parseMembers(m)
	if err != nil {
		return s, err
	}
	s.others, err = parsePrincipal(m["Principal"])
	return s, err
}

// parsePrincipal reports whether a Principal is anybody in particular. It is "*",
// or {"AWS": …} with a name or an array of them.
func parsePrincipal(raw json.RawMessage) (bool, error) {
	if string(raw) == `"*"` {
		return false, nil
	}
	m, err := members(raw, "AWS")
	if err != nil {
		return false, fmt.Errorf("principal: %w", err)
	}
	names, err := oneOrMany(m["AWS"])
	if err != nil {
		return false, fmt.Errorf("principal: %w", err)
	}
	return !slices.Contains(names, "*"), nil
}

// parseMembers reads what the statements of all kinds of policy have.
func parseMembers(m map[string]json.RawMessage) (statement, error) {
	var s statement
	switch string(m["Effect"]) {
	case `"Allow"`:
	case `"Deny"`:
		s.deny = true
	default:
		return s, errors.New(`the Effect is neither "Allow" nor "Deny"`)
	}
	var texts []string
	var err error
	if s.notActions, texts, err = either(m, "Action", "NotAction"); err != nil {
		return s, err
	}
	for _, text := range texts {
		s.actions = append(s.actions, actionPattern(text))
	}
	if s.notResources, texts, err = either(m, "Resource", "NotResource"); err != nil {
		return s, err
	}
	for _, text := range texts {
		if utf8.RuneCountInString(text) > maxResource {
			return s, fmt.Errorf("a Resource has more than %d characters", maxResource)
		}
		s.resources = append(s.resources, resourcePattern(text))
	}
	if raw, ok := m["Condition"]; ok {
		s.conditions, err = parseConditions(raw)
	}
	return s, err
}

// either returns the values of the one of two members that is there, and
// whether it is the second, which negates.
func either(m map[string]json.RawMessage, name, negated string) (bool, []string, error) {
	_, plain := m[name]
	_, not := m[negated]
	if plain == not {
		return false, nil, fmt.Errorf("needs one of %s and %s", name, negated)
	}
	if not {
		name = negated
	}
	values, err := oneOrMany(m[name])
	if err != nil {
		return false, nil, fmt.Errorf("%s: %w", name, err)
	}
	return not, values, nil
}

// oneOrMany reads a string that is not empty, or an array of them that is not.
func oneOrMany(raw json.RawMessage) ([]string, error) {
	var values []string
	if isArray(raw) {
		if err := json.Unmarshal(raw, &values); err != nil {
			return nil, errors.New("not an array of strings")
		}
	} else {
		var value string
		if err := json.Unmarshal(raw, &value); err != nil {
			return nil, errors.New("neither a string nor an array of strings")
		}
		values = []string{value}
	}
	if len(values) == 0 || slices.Contains(values, "") {
		return nil, errors.New("is empty")
	}
	return values, nil
}

func isArray(raw json.RawMessage) bool { return bytes.HasPrefix(raw, []byte("[")) }

// members reads the members of an object by their exact names, which
// encoding/json does not do for structs. Without allowed, any name will do.
func members(raw json.RawMessage, allowed ...string) (map[string]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("not an object")
	}
	m := map[string]json.RawMessage{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name, ok := t.(string)
		switch _, repeated := m[name]; {
		case !ok:
			return nil, errors.New("not an object")
		case repeated:
			return nil, fmt.Errorf("member %q occurs twice", name)
		case len(allowed) > 0 && !slices.Contains(allowed, name):
			return nil, fmt.Errorf("unknown member %q", name)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		m[name] = value
	}
	return m, nil
}
