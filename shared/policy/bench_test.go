package policy_test

import (
	"fmt"
	"testing"

	"gatehouse/shared/policy"
)

// manyRules returns n rules of an API with collections, items, parts of items
// and, for every tenth collection, an administration.
func manyRules(n int) []policy.Rule {
	var rules []policy.Rule
	for i := 0; len(rules) < n; i++ {
		read := policy.Requirement{Scopes: []string{fmt.Sprintf("c%d:read", i)}}
		write := policy.Requirement{Scopes: []string{fmt.Sprintf("c%d:write", i)}}
		path := fmt.Sprintf("/v1/c%d", i)
		rules = append(rules,
			policy.Rule{Route: "GET " + path, Requirement: read},
			policy.Rule{Route: "POST " + path, Requirement: write},
			policy.Rule{Route: "GET " + path + "/{id}", Requirement: read},
			policy.Rule{Route: "PUT " + path + "/{id}", Requirement: write},
			policy.Rule{Route: "GET " + path + "/{id}/parts/{part}", Requirement: write},
		)
		if i%10 == 0 {
			rules = append(rules, policy.Rule{Route: "ANY " + path + "/{id}/admin/{proxy+}", Requirement: policy.Requirement{AnyScope: []string{"admin", "root"}}})
		}
	}
	return rules[:n]
}

// atSizes runs a benchmark for tables of 10 and of 1,000 rules.
func atSizes(b *testing.B, run func(*testing.B, *policy.Table)) {
	b.Helper()
	for _, n := range []int{10, 1000} {
		table, err := policy.NewTable(manyRules(n))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			run(b, table)
		})
	}
}

func someCaller() policy.Caller {
	return policy.Caller{Scopes: []string{"openid", "c0:read", "c1:read", "admin"}}
}

func BenchmarkNewTable(b *testing.B) {
	for _, n := range []int{10, 1000} {
		rules := manyRules(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				if _, err := policy.NewTable(rules); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkNewTableAndDocument is what a cold start does; the overlaps of
// routes are found for the first document.
func BenchmarkNewTableAndDocument(b *testing.B) {
	for _, n := range []int{10, 1000} {
		rules := manyRules(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				table, err := policy.NewTable(rules)
				if err != nil {
					b.Fatal(err)
				}
				table.Document(policy.Ask{Prefix: prefix, Grant: table.Grant(someCaller())})
			}
		})
	}
}

func BenchmarkGrant(b *testing.B) {
	c := someCaller()
	atSizes(b, func(b *testing.B, table *policy.Table) { //nolint:thelper // the benchmark itself
		for b.Loop() {
			table.Grant(c)
		}
	})
}

func BenchmarkRouted(b *testing.B) {
	atSizes(b, func(b *testing.B, table *policy.Table) { //nolint:thelper // the benchmark itself
		for b.Loop() {
			table.Routed("GET", "/v1/c1/{itemId}/parts/{partId}")
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	atSizes(b, func(b *testing.B, table *policy.Table) { //nolint:thelper // the benchmark itself
		for b.Loop() {
			table.Match("GET", "/v1/c1/4711/parts/12")
		}
	})
}

func BenchmarkDocument(b *testing.B) {
	atSizes(b, func(b *testing.B, table *policy.Table) { //nolint:thelper // the benchmark itself
		route, _ := table.Match("GET", "/v1/c1/4711")
		ask := policy.Ask{Prefix: prefix, Grant: table.Grant(someCaller()), Route: route, Method: "GET", Path: "/v1/c1/4711"}
		for b.Loop() {
			table.Document(ask)
		}
	})
}

func BenchmarkDocumentMiss(b *testing.B) {
	atSizes(b, func(b *testing.B, table *policy.Table) { //nolint:thelper // the benchmark itself
		ask := policy.Ask{Grant: table.Grant(someCaller())}
		for i := 0; b.Loop(); i++ {
			ask.Prefix = fmt.Sprintf("%s%d", prefix, i)
			table.Document(ask)
		}
	})
}

func BenchmarkReport(b *testing.B) {
	atSizes(b, func(b *testing.B, table *policy.Table) { //nolint:thelper // the benchmark itself
		for b.Loop() {
			table.Report()
		}
	})
}
