package policy_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gatehouse/infra/local/iam"
	"gatehouse/shared/policy"
)

// TestW1DocumentDecidesAsRoutesDo holds random documents against the oracle: on
// the request they answer and, as API Gateway's cache would, on others.
func TestW1DocumentDecidesAsRoutesDo(t *testing.T) {
	t.Parallel()
	const tables, callers, requests = 1000, 3, 10
	seed := rand.Uint64()
	for i := range uint64(tables) {
		r := rand.New(rand.NewPCG(seed, i))
		rules := randomRules(r, 8)
		if i%10 == 0 {
			rules = randomRules(r, 50)
		}
		w := newWorld(t, rules, map[string]*iam.Policy{})
		if i%10 == 0 {
			w.prefix += strings.Repeat("e", 120) // so that many documents are too long
		}
		for range callers {
			w.caller(randomScopes(r))
			var all []request
			for range requests {
				all = append(all, randomRequest(r, rules))
			}
			for _, q := range all {
				checkMatch(t, w, q)
				for _, routed := range []bool{false, true} {
					if wrong := w.check(q, routed, all); wrong != "" {
						t.Fatalf("seed %d, table %d: %s %q, routed %t: %s\n%v", seed, i, q.method, q.path, routed, wrong, w)
					}
				}
			}
		}
	}
}

// checkMatch compares the router with the oracle.
func checkMatch(t *testing.T, w *world, q request) {
	t.Helper()
	rule := w.route(q)
	route, listed := w.table.Match(q.method, q.path)
	want := rule >= 0 && allows(w.oracle.rules[rule].Requirement, w.scopes)
	if listed != (rule >= 0) || w.grant.Allows(route) != want {
		t.Fatalf("%s %q: listed %t, allowed %t, want %t, %t\n%v", q.method, q.path, listed, w.grant.Allows(route), rule >= 0, want, w)
	}
	if rule < 0 {
		return
	}
	if routed, _ := w.table.Routed(q.method, w.oracle.templates[rule]); routed != route {
		t.Fatalf("%s %q: Match and Routed differ\n%v", q.method, q.path, w)
	}
	if reason, _ := w.table.Refusal(route, policy.Caller{Scopes: w.scopes}); (reason == "") != want {
		t.Fatalf("%s %q: refused because of %q, want allowed %t\n%v", q.method, q.path, reason, want, w)
	}
}

// TestDocumentsOfAllSmallTables tries every table of up to three GET routes of
// up to three segments (a, a parameter, a proxy), every caller and every path
// of up to four segments, and holds the report against what was seen.
func TestDocumentsOfAllSmallTables(t *testing.T) {
	t.Parallel()
	templates := []string{"/"}
	level := []string{""}
	for depth := range 3 {
		var next []string
		for _, head := range level {
			next = append(next, head+"/a", fmt.Sprintf("%s/{p%d}", head, depth))
			templates = append(templates, fmt.Sprintf("%s/{p%d+}", head, depth))
		}
		templates, level = append(templates, next...), next
	}
	var paths []request
	words := []string{""}
	for range 4 {
		var next []string
		for _, head := range words {
			next = append(next, head+"/", head+"/a", head+"/z")
		}
		for _, path := range next {
			paths = append(paths, request{"GET", path})
		}
		words = next
	}
	parsed := map[string]*iam.Policy{} // many tables have the same documents
	for i := range templates {
		checkSmall(t, parsed, paths, templates[i])
		for j := range i {
			checkSmall(t, parsed, paths, templates[i], templates[j])
			for k := range j {
				if (i+j+k)%sample == 0 {
					checkSmall(t, parsed, paths, templates[i], templates[j], templates[k])
				}
			}
		}
	}
}

func checkSmall(t *testing.T, parsed map[string]*iam.Policy, paths []request, templates ...string) {
	t.Helper()
	var rules []policy.Rule
	for i, template := range templates {
		rules = append(rules, policy.Rule{Route: "GET " + template, Requirement: policy.Requirement{Scopes: scopes[i : i+1]}})
	}
	w := newWorld(t, rules, parsed)
	routes := make([]int, len(paths))
	for i, q := range paths {
		routes[i] = w.route(q)
	}
	for held := range 1 << len(rules) {
		var own []string
		for i := range rules {
			if held&(1<<i) != 0 {
				own = append(own, scopes[i])
			}
		}
		w.caller(own)
		seen := map[string]bool{}
		for i, q := range paths {
			// The cache is tried once for each different answer.
			var others []request
			if document := string(w.answer(q, i%2 == 0)); !seen[document] && routes[i] >= 0 {
				seen[document], others = true, paths
			}
			if wrong := w.check(q, i%2 == 0, others); wrong != "" {
				t.Fatalf("GET %q: %s\n%v", q.path, wrong, w)
			}
		}
	}
	if got, want := conflictPairs(w.conflicts), seenConflicts(w, paths, routes); !slices.Equal(got, want) {
		t.Fatalf("the report has the conflicts %q, want %q\n%v", got, want, w)
	}
}

func conflictPairs(conflicts []policy.Conflict) []string {
	var pairs []string
	for _, c := range conflicts {
		pairs = append(pairs, c.Allowed+" / "+c.Refused)
	}
	slices.Sort(pairs)
	return pairs
}

// seenConflicts finds the conflicts by looking for paths that show them.
func seenConflicts(w *world, paths []request, routes []int) []string {
	covers := func(pattern, rule int) bool {
		for i, q := range paths {
			if routes[i] == rule && starred(w.oracle.templates[pattern], q.path) {
				return true
			}
		}
		return false
	}
	var pairs []string
	for allowed := range w.oracle.rules {
		for refused := range w.oracle.rules {
			if allowed == refused || !covers(refused, allowed) {
				continue
			}
			for wide := range w.oracle.rules {
				if wide != refused && covers(wide, refused) {
					pairs = append(pairs, w.oracle.rules[allowed].Route+" / "+w.oracle.rules[refused].Route)
					break
				}
			}
		}
	}
	slices.Sort(pairs)
	return pairs
}

// starred reports whether a path matches a template whose parameters each take
// one or more segments that are not together empty.
func starred(template, path string) bool {
	var match func(t, p []string) bool
	match = func(t, p []string) bool {
		if len(t) == 0 || len(p) == 0 {
			return len(t) == len(p)
		}
		if !strings.HasPrefix(t[0], "{") {
			return t[0] == p[0] && match(t[1:], p[1:])
		}
		for n := 1; n <= len(p); n++ {
			if strings.Join(p[:n], "/") != "" && match(t[1:], p[n:]) {
				return true
			}
		}
		return false
	}
	return match(strings.Split(template, "/"), strings.Split(path, "/"))
}

// FuzzDocument is TestW1DocumentDecidesAsRoutesDo for one path of any kind.
func FuzzDocument(f *testing.F) {
	for i, s := range oddities {
		f.Add(uint64(i), "GET", "/a/"+s)
	}
	f.Fuzz(func(t *testing.T, seed uint64, method, path string) {
		if !strings.HasPrefix(path, "/") || strings.Contains(method, "/") || len(path) > 400 {
			return
		}
		r := rand.New(rand.NewPCG(seed, 0))
		rules := randomRules(r, 8)
		w := newWorld(t, rules, map[string]*iam.Policy{})
		w.caller(randomScopes(r))
		q := request{method, path}
		checkMatch(t, w, q)
		others := []request{randomRequest(r, rules), randomRequest(r, rules)}
		for _, routed := range []bool{false, true} {
			if wrong := w.check(q, routed, others); wrong != "" {
				t.Errorf("seed %d: %s %q, routed %t: %s\n%v", seed, method, path, routed, wrong, w)
			}
		}
	})
}
