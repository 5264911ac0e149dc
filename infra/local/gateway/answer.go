package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"gatehouse/infra/local/iam"
	"gatehouse/infra/local/samtemplate"
)

// answer is what an authorizer said, in either form.
type answer struct {
	policy   *iam.Policy     // nil for a simple answer
	document json.RawMessage // what policy was parsed from
	allowed  bool            // the simple answer
	grant    grant
}

// parseAnswer reads the answer of an authorizer. Errors say what is wrong
// without quoting it.
func (g *Gateway) parseAnswer(data []byte, a *authorizer) (*answer, error) {
	if len(data) > g.cfg.Unsettled.AuthorizerAnswerBytes {
		return nil, fmt.Errorf("the answer is larger than %d bytes", g.cfg.Unsettled.AuthorizerAnswerBytes)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil || members == nil {
		return nil, errors.New("the answer is not a JSON object")
	}
	expected := []string{"principalId", "policyDocument", "context"}
	if a.Simple {
		expected = []string{"isAuthorized", "context"}
	}
	if a.PayloadVersion == "2.0" && !g.cfg.Unsettled.ExtraAnswerMembers {
		for _, name := range slices.Sorted(maps.Keys(members)) {
			if !slices.Contains(expected, name) {
				return nil, fmt.Errorf("the answer has the member %q beside %q", name, expected)
			}
		}
	}
	parsed := &answer{}
	var err error
	if a.Simple {
		err = parsed.readSimple(members)
	} else {
		err = parsed.readPolicy(members)
	}
	if err != nil {
		return nil, err
	}
	return parsed, parsed.readContext(members["context"], a)
}

func (a *answer) readSimple(members map[string]json.RawMessage) error {
	switch string(bytes.TrimSpace(members["isAuthorized"])) {
	case "true":
		a.allowed = true
	case "false":
	default:
		return errors.New("isAuthorized is not a boolean")
	}
	return nil
}

func (a *answer) readPolicy(members map[string]json.RawMessage) error {
	if err := json.Unmarshal(members["principalId"], &a.grant.principal); err != nil || a.grant.principal == "" {
		return errors.New("principalId is missing or not a string")
	}
	a.document = members["policyDocument"]
	if a.document == nil {
		return errors.New("policyDocument is missing")
	}
	policy, err := iam.Parse(a.document)
	if err != nil {
		return fmt.Errorf("policyDocument: %w", err)
	}
	a.policy = policy
	if key := members["usageIdentifierKey"]; key != nil {
		if err := json.Unmarshal(key, &a.grant.usageKey); err != nil {
			return errors.New("usageIdentifierKey is not a string")
		}
	}
	return nil
}

// readContext reads the context: any JSON with payload 2.0, else only strings,
// numbers and booleans.
func (a *answer) readContext(data json.RawMessage, from *authorizer) error {
	if data == nil || string(data) == "null" {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(&a.grant.context); err != nil {
		return errors.New("context is not an object")
	}
	if from.PayloadVersion == "2.0" {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(a.grant.context)) {
		switch a.grant.context[name].(type) {
		case string, bool, json.Number:
		default:
			return fmt.Errorf("context: %q is neither a string nor a number nor a boolean", name)
		}
	}
	return nil
}

// judge applies the answer to a request.
func (g *Gateway) judge(q *request, a *answer) *refusal {
	if a.policy == nil {
		g.trace.step(q, "the authorizer's answer: isAuthorized %t", a.allowed)
		if !a.allowed {
			return &notAllowed
		}
		return nil
	}
	arn := g.methodARN(q)
	conditions := q.conditions()
	verdict := a.policy.Evaluate("execute-api:Invoke", arn, conditions)
	switch verdict {
	case iam.Allow:
		g.trace.step(q, "the policy allows it by %s", g.matching(a, verdict, arn, conditions))
	case iam.ExplicitDeny:
		g.trace.step(q, "the policy denies it by %s", g.matching(a, verdict, arn, conditions))
		return &denied
	default:
		g.trace.step(q, "no statement of the policy covers it")
	}
	return g.together(q, verdict)
}

// matching returns the resource that decided, for the trace: the first that
// comes to the same verdict alone.
func (g *Gateway) matching(a *answer, verdict iam.Verdict, arn string, conditions iam.Context) string {
	const unknown = "a statement without Resource"
	if g.cfg.Trace == nil {
		return unknown
	}
	var document struct{ Statement json.RawMessage }
	if err := json.Unmarshal(a.document, &document); err != nil {
		return unknown
	}
	for _, statement := range oneOrMany[map[string]any](document.Statement) {
		resources, err := json.Marshal(statement["Resource"])
		if err != nil {
			continue
		}
		for _, resource := range oneOrMany[string](resources) {
			alone := maps.Clone(statement)
			alone["Resource"] = resource
			data, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": alone})
			if err != nil {
				continue
			}
			if p, err := iam.Parse(data); err == nil && p.Evaluate("execute-api:Invoke", arn, conditions) == verdict {
				return resource
			}
		}
	}
	return unknown
}

// oneOrMany reads a value that JSON writes alone or in an array.
func oneOrMany[T any](data []byte) []T {
	var many []T
	if err := json.Unmarshal(data, &many); err == nil {
		return many
	}
	var one T
	if err := json.Unmarshal(data, &one); err != nil {
		return nil
	}
	return []T{one}
}

// text is a context value as REST APIs and payload 1.0 give it.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	}
	b, _ := json.Marshal(v) // v came from JSON
	return string(b)
}

// ttl is how long answers of a are cached. Without an identity source there is
// nothing to find them by.
func (g *Gateway) ttl(a *authorizer) time.Duration {
	switch {
	case len(a.IdentitySources) == 0:
		return 0
	case a.TTL == samtemplate.TTLOmitted:
		return g.cfg.Unsettled.OmittedTTL
	default:
		return a.TTL
	}
}
