package policy_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/infra/local/iam"
	"gatehouse/shared/policy"
)

func report(t *testing.T, rules ...policy.Rule) policy.Report {
	t.Helper()
	table, err := policy.NewTable(rules)
	if err != nil {
		t.Fatal(err)
	}
	return table.Report()
}

func TestReportRows(t *testing.T) {
	t.Parallel()
	r := report(t,
		rule("GET /orders", "read"),
		rule("HEAD /orders", "head"),
		rule("GET /orders/{id}", "read", "more"),
		rule("ANY /orders", "admin"),
		rule("POST /x", "!"),
		rule("DELETE /x"),
		policy.Rule{Route: "PUT /x", Requirement: policy.Requirement{
			Scopes: []string{"a"}, AnyScope: []string{"b", "c"},
			Claims: []policy.Claim{{Name: "groups", AnyOf: []string{"g", "h"}}},
		}},
		rule("$connect", "read"),
	)
	want := []policy.Row{
		{Route: "GET /orders", Methods: []string{"GET"}, Needs: "read"},
		{Route: "HEAD /orders", Methods: []string{"HEAD"}, Needs: "head"},
		{Route: "GET /orders/{id}", Methods: []string{"GET", "HEAD"}, Needs: "read and more"},
		{Route: "ANY /orders", Methods: []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS"}, Needs: "admin"},
		{Route: "POST /x", Methods: []string{"POST"}, Needs: "refused"},
		{Route: "DELETE /x", Methods: []string{"DELETE"}, Needs: "any valid token"},
		{Route: "PUT /x", Methods: []string{"PUT"}, Needs: "a; b or c; groups = g or h"},
		{Route: "$connect", Needs: "read"},
	}
	if diff := cmp.Diff(want, r.Rows); diff != "" {
		t.Errorf("Rows (-want +got):\n%s", diff)
	}
}

func TestReportConflicts(t *testing.T) {
	t.Parallel()
	type conflicts = []policy.Conflict
	anyOf := func(route string, scopes ...string) policy.Rule {
		return policy.Rule{Route: route, Requirement: policy.Requirement{AnyScope: scopes}}
	}
	tests := []struct {
		name  string
		rules []policy.Rule
		want  conflicts
	}{
		{"a literal beside a parameter is none", []policy.Rule{rule("GET /o/{id}", "a"), rule("GET /o/mine", "b")}, nil},
		{"a literal beside a proxy is none", []policy.Rule{rule("GET /o/{p+}", "a"), rule("GET /o/a/b", "b")}, nil},
		{"a deeper proxy is none", []policy.Rule{rule("GET /o/{p+}", "a"), rule("GET /o/x/{p+}", "b")}, nil},
		{"a deeper parameter is none for the shallower alone", []policy.Rule{rule("GET /o/{id}", "a"), rule("GET /o/{id}/x", "!")}, nil},
		{"other methods are none", []policy.Rule{rule("GET /f/{p+}", "a"), rule("POST /f/{n}", "b")}, nil},
		{"the same scopes are none", []policy.Rule{rule("GET /f/{p+}", "a"), rule("GET /f/{n}", "a")}, nil},
		{
			"a parameter and a proxy at one place", []policy.Rule{rule("GET /f/{p+}", "a"), rule("GET /f/{n}", "b")},
			conflicts{
				{Allowed: "GET /f/{n}", Refused: "GET /f/{p+}", Wide: "GET /f/{n}"},
				{Allowed: "GET /f/{p+}", Refused: "GET /f/{n}", Wide: "GET /f/{p+}"},
			},
		},
		{
			"one direction is none where the other scopes contain the one's",
			[]policy.Rule{rule("GET /f/{p+}", "a", "b"), rule("GET /f/{n}", "b")},
			conflicts{{Allowed: "GET /f/{n}", Refused: "GET /f/{p+}", Wide: "GET /f/{n}"}},
		},
		{
			"nor where one of any is held for certain",
			[]policy.Rule{rule("GET /f/{p+}", "a"), anyOf("GET /f/{n}", "a", "b")},
			conflicts{{Allowed: "GET /f/{n}", Refused: "GET /f/{p+}", Wide: "GET /f/{n}"}},
		},
		{
			"nor where the refused takes fewer of any",
			[]policy.Rule{anyOf("GET /f/{p+}", "a"), anyOf("GET /f/{n}", "a", "b")},
			conflicts{{Allowed: "GET /f/{n}", Refused: "GET /f/{p+}", Wide: "GET /f/{n}"}},
		},
		{
			"a refused middle", []policy.Rule{rule("GET /a/{p+}", "a"), rule("GET /a/{x}/b", "!")},
			conflicts{{Allowed: "GET /a/{p+}", Refused: "GET /a/{x}/b", Wide: "GET /a/{p+}"}},
		},
		{
			"three routes", []policy.Rule{rule("GET /{x}/a/b", "a"), rule("GET /{p+}", "a"), rule("GET /{x}/{y}/b", "!")},
			conflicts{
				{Allowed: "GET /{x}/a/b", Refused: "GET /{x}/{y}/b", Wide: "GET /{p+}"},
				{Allowed: "GET /{p+}", Refused: "GET /{x}/{y}/b", Wide: "GET /{p+}"},
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, report(t, tt.rules...).Conflicts); diff != "" {
				t.Errorf("Conflicts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReportSize(t *testing.T) {
	t.Parallel()
	const stage = "arn:aws:execute-api:eu-central-1:123456789012:abcdef1234/production"
	// Without the scope t, a document is larger than with it: it denies.
	rules := []policy.Rule{rule("POST /a/{p+}", "s"), rule("POST /a/b", "t"), rule("POST /a/c", "t"), rule("POST /x/y/z", "!")}
	table, err := policy.NewTable(rules)
	if err != nil {
		t.Fatal(err)
	}
	r := table.Report()
	if want := len(table.Document(policy.Ask{Prefix: stage, Grant: table.Grant(policy.Caller{Scopes: []string{"s"}})})); r.Size != want || r.Limit != 6656 {
		t.Errorf("Size = %d of %d, want %d of 6656", r.Size, r.Limit, want)
	}
	line := len(`"` + stage + `/POST/a/b` + `",`)
	want := []policy.Cost{{Route: "POST /a/{p+}", Bytes: line + 1}, {Route: "POST /a/b", Bytes: line}, {Route: "POST /a/c", Bytes: line}}
	if diff := cmp.Diff(want, r.Costs); diff != "" {
		t.Errorf("Costs (-want +got):\n%s", diff)
	}
}

func TestReportSizeBreach(t *testing.T) {
	t.Parallel()
	var rules []policy.Rule
	for i := range 80 {
		rules = append(rules, rule(fmt.Sprintf("POST /a-rather-long-path-segment/{x}/item%02d", i), fmt.Sprint("s", i)))
	}
	rules = append(rules, rule("ANY /the-longest-of-all/"+strings.Repeat("x", 100), "s"))
	r := report(t, rules...)
	if r.Size <= r.Limit || r.HeadApart {
		t.Errorf("Size = %d, HeadApart = %t, want more than %d, false", r.Size, r.HeadApart, r.Limit)
	}
	if r.Costs[0].Route != rules[80].Route || len(r.Costs) != len(rules) {
		t.Errorf("the first of %d costs is %v, want that of %s", len(r.Costs), r.Costs[0], rules[80].Route)
	}
}

// An API of 300 routes is not refused as a whole where API Gateway takes no
// document for all of them: each route gets answers of its own.
func TestDocumentsOf300Routes(t *testing.T) {
	t.Parallel()
	for name, templates := range map[string][]string{
		"collections":            {"GET /c%d", "POST /c%d", "GET /c%d/{id}", "PUT /c%d/{id}", "DELETE /c%d/{id}"},
		"under one proxy":        {"GET /a/c%d", "GET /a/c%d/{id}", "GET /a/c%d/{id}/x", "POST /a/c%d", "ANY /a/c%d/{id}/{p+}"},
		"everything of subtrees": {"ANY /t%d/{proxy+}", "ANY /t%d", "GET /u%d", "GET /v%d", "GET /w%d"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var rules []policy.Rule
			for n := range 60 {
				for m, template := range templates {
					rules = append(rules, rule(fmt.Sprintf(template, n), []string{"s1", "s2"}[m%2]))
				}
			}
			if name == "under one proxy" {
				rules = append(rules, rule("GET /a/{p+}", "s1"))
			}
			r := report(t, rules...)
			if r.Size <= r.Limit || len(r.Costs) == 0 || r.Costs[0].Bytes == 0 {
				t.Errorf("Size = %d of %d, Costs = %v; want more, and the routes that cost it", r.Size, r.Limit, r.Costs[:1])
			}
			w := newWorld(t, rules, map[string]*iam.Policy{})
			random := rand.New(rand.NewPCG(7, 8))
			for _, scopes := range [][]string{{"s1"}, {"s2"}, {"s1", "s2"}, nil} {
				w.caller(scopes)
				for range 300 {
					q := randomRequest(random, rules)
					if wrong := w.check(q, true, []request{randomRequest(random, rules)}); wrong != "" {
						t.Fatalf("%q: %s %q: %s", scopes, q.method, q.path, wrong)
					}
					if n := len(w.answer(q, true)); n > policy.MaxDocument {
						t.Fatalf("%q: %s %q: a document of %d bytes", scopes, q.method, q.path, n)
					}
				}
			}
		})
	}
}

func TestReportHeadApart(t *testing.T) {
	t.Parallel()
	var rules []policy.Rule
	for i := range 60 {
		rules = append(rules, rule(fmt.Sprintf("GET /orders/{id}/item%02d", i), "s"))
	}
	if r := report(t, rules...); r.Size > r.Limit || !r.HeadApart {
		t.Errorf("Size = %d of %d, HeadApart = %t, want less, true", r.Size, r.Limit, r.HeadApart)
	}
	if r := report(t, rules[:30]...); r.Size > r.Limit || r.HeadApart {
		t.Errorf("Size = %d of %d, HeadApart = %t, want less, false", r.Size, r.Limit, r.HeadApart)
	}
}

func TestReportOfNothing(t *testing.T) {
	t.Parallel()
	if r := report(t); len(r.Rows)+len(r.Conflicts)+len(r.Costs) != 0 || r.Size == 0 {
		t.Errorf("Report = %+v, want the size of a document that denies everything", r)
	}
}
