package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/shared/policy"
)

func TestGrant(t *testing.T) {
	t.Parallel()
	type want = policy.Requirement
	claims := map[string][]string{"groups": {"staff", "platform"}, "tenant": {"t1"}, "empty": {}}
	tests := []struct {
		name   string
		want   want
		scopes string
		reason string // "" for allowed
		needs  string
	}{
		{"nothing wanted", want{}, "", "", ""},
		{"the scope", want{Scopes: []string{"a"}}, "x a", "", ""},
		{"not the scope", want{Scopes: []string{"a"}}, "x", policy.MissingScope, "a"},
		{"a scope that begins with it", want{Scopes: []string{"a"}}, "ab A", policy.MissingScope, "a"},
		{"all scopes", want{Scopes: []string{"a", "b"}}, "b a", "", ""},
		{"one of all scopes", want{Scopes: []string{"a", "b"}}, "b", policy.MissingScope, "a b"},
		{"one of any", want{AnyScope: []string{"a", "b"}}, "b", "", ""},
		{"none of any", want{AnyScope: []string{"a", "b"}}, "c", policy.MissingScope, "a"},
		{"all, but none of any", want{Scopes: []string{"a"}, AnyScope: []string{"b", "c"}}, "a", policy.MissingScope, "a b"},
		{"one of any, but not all", want{Scopes: []string{"a"}, AnyScope: []string{"b", "c"}}, "c", policy.MissingScope, "a c"},
		{"one of any and all", want{Scopes: []string{"a"}, AnyScope: []string{"b", "c"}}, "c a", "", ""},
		{"a claim among several values", want{Claims: []policy.Claim{{Name: "groups", AnyOf: []string{"x", "platform"}}}}, "", "", ""},
		{"a claim of another value", want{Claims: []policy.Claim{{Name: "groups", AnyOf: []string{"x"}}}}, "", policy.MissingClaim, ""},
		{"a claim that is absent", want{Claims: []policy.Claim{{Name: "none", AnyOf: []string{"x"}}}}, "", policy.MissingClaim, ""},
		{"a claim without values", want{Claims: []policy.Claim{{Name: "empty", AnyOf: []string{"x"}}}}, "", policy.MissingClaim, ""},
		{"all claims", want{Claims: []policy.Claim{{"groups", []string{"staff"}}, {"tenant", []string{"t1"}}}}, "", "", ""},
		{"one of all claims", want{Claims: []policy.Claim{{"groups", []string{"staff"}}, {"tenant", []string{"t2"}}}}, "", policy.MissingClaim, ""},
		{"two values of one claim", want{Claims: []policy.Claim{{"groups", []string{"staff"}}, {"groups", []string{"platform"}}}}, "", "", ""},
		{"the scope, not the claim", want{Scopes: []string{"a"}, Claims: []policy.Claim{{"tenant", []string{"t2"}}}}, "a", policy.MissingClaim, ""},
		{"the claim, not the scope", want{Scopes: []string{"a"}, Claims: []policy.Claim{{"tenant", []string{"t1"}}}}, "", policy.MissingScope, "a"},
		{"refused", want{Refuse: true}, "a b c", policy.Refused, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			table, err := policy.NewTable([]policy.Rule{{"GET /", tt.want}})
			if err != nil {
				t.Fatal(err)
			}
			c := policy.Caller{Scopes: strings.Fields(tt.scopes), Claim: func(name string) []string { return claims[name] }}
			r, _ := table.Match("GET", "/")
			g := table.Grant(c)
			if got := g.Allows(r); got != (tt.reason == "") || g.Empty() == got {
				t.Errorf("Allows = %t, Empty = %t, want reason %q", got, g.Empty(), tt.reason)
			}
			reason, needs := table.Refusal(r, c)
			if reason != tt.reason || strings.Join(needs, " ") != tt.needs {
				t.Errorf("Refusal = %q, %q, want %q, %q", reason, needs, tt.reason, tt.needs)
			}
		})
	}
}

func TestZeroValuesRefuse(t *testing.T) {
	t.Parallel()
	table, err := policy.NewTable([]policy.Rule{{Route: "GET /"}})
	if err != nil {
		t.Fatal(err)
	}
	r, _ := table.Match("GET", "/")
	if (policy.Grant{}).Allows(r) || !(policy.Grant{}).Empty() {
		t.Error("the zero Grant allows something")
	}
	if table.Grant(policy.Caller{}).Allows(policy.Route{}) {
		t.Error("the zero Route is allowed")
	}
	if reason, needs := table.Refusal(policy.Route{}, policy.Caller{}); reason != policy.NotListed || needs != nil {
		t.Errorf("Refusal = %q, %q, want %q", reason, needs, policy.NotListed)
	}
	empty, err := policy.NewTable(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, listed := empty.Match("GET", "/"); listed || !empty.Grant(policy.Caller{}).Empty() {
		t.Error("a table without rules allows something")
	}
	// A route of another table, by mistake.
	if reason, _ := empty.Refusal(r, policy.Caller{}); reason != policy.NotListed {
		t.Errorf("Refusal = %q, want %q", reason, policy.NotListed)
	}
}

func TestGrantOfManyRequirements(t *testing.T) {
	t.Parallel()
	var rules []policy.Rule
	for i := range 3000 {
		rules = append(rules, policy.Rule{Route: fmt.Sprintf("GET /%d", i), Requirement: policy.Requirement{Scopes: []string{fmt.Sprint("s", i)}}})
	}
	table, err := policy.NewTable(rules)
	if err != nil {
		t.Fatal(err)
	}
	g := table.Grant(policy.Caller{Scopes: []string{"s7", "s2999", "unrelated"}})
	for i := range rules {
		r, _ := table.Match("GET", fmt.Sprintf("/%d", i))
		if got, want := g.Allows(r), i == 7 || i == 2999; got != want {
			t.Errorf("/%d: allowed = %t, want %t", i, got, want)
		}
	}
	if other := table.Grant(policy.Caller{Scopes: []string{"s2999", "s7"}}); other != g {
		t.Error("equal grants differ")
	}
}

func TestClaimsAreAskedForOnce(t *testing.T) {
	t.Parallel()
	var rules []policy.Rule
	for i := range 10 {
		rules = append(rules, policy.Rule{Route: fmt.Sprintf("GET /%d", i), Requirement: policy.Requirement{
			Claims: []policy.Claim{{Name: "groups", AnyOf: []string{fmt.Sprint(i)}}},
		}})
	}
	table, err := policy.NewTable(rules)
	if err != nil {
		t.Fatal(err)
	}
	var asked []string
	table.Grant(policy.Caller{Claim: func(name string) []string { asked = append(asked, name); return nil }})
	if want := []string{"groups"}; !slices.Equal(asked, want) {
		t.Errorf("asked for %q, want %q", asked, want)
	}
}

func TestNewTableReportsEveryProblem(t *testing.T) {
	t.Parallel()
	type want = policy.Requirement
	_, err := policy.NewTable([]policy.Rule{
		{"GET /orders/{id}", want{}},
		{"GET /orders/{orderId}", want{}},
		{"HEAD /orders/{id}", want{}},
		{"ANY /{p+}", want{}},
		{"ANY /{proxy+}", want{}},
		{"$connect", want{}},
		{"$connect", want{}},
		{"GET /a/*", want{Scopes: []string{""}}},
		{"GET /b", want{Scopes: []string{"a b"}}},
		{"GET /c", want{Scopes: []string{"x", "y", "x"}}},
		{"GET /d", want{Scopes: []string{"x"}, AnyScope: []string{"x"}}},
		{"GET /e", want{Refuse: true, Scopes: []string{"x"}}},
		{"GET /f", want{Refuse: true, Claims: []policy.Claim{{Name: "c", AnyOf: []string{"x"}}}}},
		{"GET /g", want{Claims: []policy.Claim{{AnyOf: []string{"x"}}}}},
		{"GET /h", want{Claims: []policy.Claim{{Name: "c"}}}},
		{"GET /i", want{Claims: []policy.Claim{{Name: "c", AnyOf: []string{""}}}}},
	})
	if err == nil {
		t.Fatal("no error")
	}
	wants := []string{
		`policy: route "GET /orders/{orderId}": is listed already, as "GET /orders/{id}"`,
		`policy: route "ANY /{proxy+}": is listed already, as "ANY /{p+}"`,
		`policy: route "$connect": is listed already, as "$connect"`,
		`policy: route "GET /a/*": the scope "" is empty or has characters that RFC 6749 §3.3 does not allow`,
		`policy: route "GET /a/*": the segment "*" has the character '*', which a path cannot have or a policy cannot name`,
		`policy: route "GET /b": the scope "a b" is empty or has characters that RFC 6749 §3.3 does not allow`,
		`policy: route "GET /c": the scope "x" occurs twice`,
		`policy: route "GET /d": the scope "x" occurs twice`,
		`policy: route "GET /e": is refused to everybody, so it cannot want scopes or claims`,
		`policy: route "GET /f": is refused to everybody, so it cannot want scopes or claims`,
		`policy: route "GET /g": a claim has no name`,
		`policy: route "GET /h": the claim "c" has no values to compare with`,
		`policy: route "GET /i": the claim "c" is compared with an empty value`,
	}
	if diff := cmp.Diff(wants, strings.Split(err.Error(), "\n")); diff != "" {
		t.Errorf("NewTable (-want +got):\n%s", diff)
	}
}

func TestNewTableBoundsItsInput(t *testing.T) {
	t.Parallel()
	if _, err := policy.NewTable(make([]policy.Rule, 5001)); err == nil || !strings.Contains(err.Error(), "at most 5000") {
		t.Errorf("NewTable = %v, want an error that says %q", err, "at most 5000")
	}
}

func TestTableKeepsItsRules(t *testing.T) {
	t.Parallel()
	scopes := []string{"a"}
	rules := []policy.Rule{{"GET /", policy.Requirement{Scopes: scopes}}}
	table, err := policy.NewTable(rules)
	if err != nil {
		t.Fatal(err)
	}
	scopes[0], rules[0].Route = "b", "GET /b"
	r, listed := table.Match("GET", "/")
	if _, needs := table.Refusal(r, policy.Caller{}); !listed || !slices.Equal(needs, []string{"a"}) {
		t.Errorf("needs %q, want a", needs)
	}
}
