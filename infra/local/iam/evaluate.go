package iam

import "time"

// Verdict is what a policy says about a request.
type Verdict int

// The zero verdict refuses.
const (
	ImplicitDeny Verdict = iota // no statement allows it
	ExplicitDeny                // a Deny statement applies, whatever else allows it
	Allow
)

// String returns the verdict in the words of the AWS documentation.
func (v Verdict) String() string {
	switch v {
	case Allow:
		return "allow"
	case ExplicitDeny:
		return "explicit deny"
	default:
		return "implicit deny"
	}
}

// Context is what conditions may ask about a request. An empty field is a key
// the request does not have.
type Context struct {
	SourceIP    string    // aws:SourceIp, without a port
	UserAgent   string    // aws:UserAgent
	VPCEndpoint string    // aws:SourceVpce
	Now         time.Time // aws:CurrentTime
}

// Evaluate says whether a request for action, such as "execute-api:Invoke", on
// resource, the ARN of the method, is allowed. A Deny that applies wins.
//
// A statement that asks what cannot be answered (an operator or a condition
// key that is not supported, or that the request does not have) fails closed:
// an Allow does not apply, a Deny does. A Resource with a policy variable other
// than ${*}, ${?} and ${$} matches nothing in AWS where the variable has no
// value, as with a Lambda authorizer: its statement never applies.
func (p *Policy) Evaluate(action, resource string, conditions Context) Verdict {
	verdict := ImplicitDeny
	for _, s := range p.statements {
		if !s.applies(action, resource, conditions) {
			continue
		}
		if s.deny {
			return ExplicitDeny
		}
		verdict = Allow
	}
	return verdict
}

func (s statement) applies(action, resource string, c Context) bool {
	if s.others {
		return false
	}
	named := false
	for _, p := range s.resources {
		if p.unknown {
			return false
		}
		named = named || p.match(resource)
	}
	if named == s.notResources {
		return false
	}
	named = false
	for _, p := range s.actions {
		named = named || p.match(action)
	}
	if named == s.notActions {
		return false
	}
	for _, condition := range s.conditions {
		switch condition.evaluate(c) {
		case no:
			return false
		case unknown:
			if !s.deny {
				return false
			}
		case yes:
		}
	}
	return true
}
