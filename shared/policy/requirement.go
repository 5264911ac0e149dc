package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"gatehouse/shared/oauth"
)

// Caller is what a verified token says about its bearer, as far as routes
// require something of it.
type Caller struct {
	Scopes []string
	// Claim returns the values of a claim: one for a scalar, each for an array,
	// none when the token does not have it. Without Claim there are no claims.
	Claim func(name string) []string
}

// Requirement is what a route wants of a caller. The zero value wants a valid
// token and nothing more.
type Requirement struct {
	Scopes   []string // all of them
	AnyScope []string // at least one of them
	Claims   []Claim  // all of them
	Refuse   bool     // nobody: listed so that a neighbour's {proxy+} leaves it out; alone
}

// Claim wants a claim to have at least one of some values.
type Claim struct {
	Name  string
	AnyOf []string
}

// Rule is one listed route, as [ParseRoute] reads it, and what it wants.
type Rule struct {
	Route string
	Requirement
}

// Reasons of [Table.Refusal]. They are stable: logs and metrics have them.
const (
	NotListed    = "route_not_listed"   // no rule is about the route
	Refused      = "route_refused"      // its rule has Refuse set
	MissingScope = "insufficient_scope" // RFC 6750 §3.1
	MissingClaim = "insufficient_claim" // the scopes suffice, a claim is absent or has other values
)

// check returns everything that is wrong with a requirement.
func (r Requirement) check() []error {
	var problems []error
	seen := map[string]bool{}
	for _, scope := range slices.Concat(r.Scopes, r.AnyScope) {
		switch {
		case !oauth.ValidScope(scope):
			problems = append(problems, fmt.Errorf("the scope %q is empty or has characters that RFC 6749 §3.3 does not allow", scope))
		case seen[scope]:
			problems = append(problems, fmt.Errorf("the scope %q occurs twice", scope))
		}
		seen[scope] = true
	}
	for _, c := range r.Claims {
		switch {
		case c.Name == "":
			problems = append(problems, errors.New("a claim has no name"))
		case len(c.AnyOf) == 0:
			problems = append(problems, fmt.Errorf("the claim %q has no values to compare with", c.Name))
		case slices.Contains(c.AnyOf, ""):
			problems = append(problems, fmt.Errorf("the claim %q is compared with an empty value", c.Name))
		}
	}
	if r.Refuse && len(r.Scopes)+len(r.AnyScope)+len(r.Claims) > 0 {
		problems = append(problems, errors.New("is refused to everybody, so it cannot want scopes or claims"))
	}
	return problems
}

// canonical is the same for requirements that want the same.
func (r Requirement) canonical() string {
	claims := make([]string, len(r.Claims))
	for i, c := range r.Claims {
		claims[i] = fmt.Sprintf("%q%q", c.Name, sorted(c.AnyOf))
	}
	return fmt.Sprintf("%q%q%q%t", sorted(r.Scopes), sorted(r.AnyScope), sorted(claims), r.Refuse)
}

func sorted(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return slices.Compact(s)
}

// String returns the requirement in words, for people.
func (r Requirement) String() string {
	if r.Refuse {
		return "refused"
	}
	var parts []string
	if len(r.Scopes) > 0 {
		parts = append(parts, strings.Join(r.Scopes, " and "))
	}
	if len(r.AnyScope) > 0 {
		parts = append(parts, strings.Join(r.AnyScope, " or "))
	}
	for _, c := range r.Claims {
		parts = append(parts, c.Name+" = "+strings.Join(c.AnyOf, " or "))
	}
	if len(parts) == 0 {
		return "any valid token"
	}
	return strings.Join(parts, "; ")
}

// impliedBy reports whether whoever meets a and b also meets r. It may miss
// that they do, never the contrary.
func (r Requirement) impliedBy(a, b Requirement) bool {
	if r.Refuse {
		return false
	}
	held := slices.Concat(a.Scopes, b.Scopes)
	for _, scope := range r.Scopes {
		if !slices.Contains(held, scope) {
			return false
		}
	}
	if len(r.AnyScope) > 0 && !intersect(r.AnyScope, held) && !within(a.AnyScope, r.AnyScope) && !within(b.AnyScope, r.AnyScope) {
		return false
	}
	for _, claim := range r.Claims {
		if !slices.ContainsFunc(slices.Concat(a.Claims, b.Claims), func(c Claim) bool {
			return c.Name == claim.Name && within(c.AnyOf, claim.AnyOf)
		}) {
			return false
		}
	}
	return true
}

func intersect(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}

// within reports whether a is not empty and all of it is in b.
func within(a, b []string) bool {
	return len(a) > 0 && !slices.ContainsFunc(a, func(s string) bool { return !slices.Contains(b, s) })
}
