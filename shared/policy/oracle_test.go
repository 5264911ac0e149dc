package policy_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gatehouse/infra/local/iam"
	"gatehouse/shared/policy"
)

const (
	prefix = "arn:aws:execute-api:eu-west-1:123456789012:abc123/prod"
	invoke = "execute-api:Invoke"
)

var allMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// oracle decides routes by brute force, straight from the rules in the package
// comment and with other means than the package: regular expressions and ranks.
type oracle struct {
	rules     []policy.Rule
	methods   []string
	templates []string
	shapes    []string // a letter for each segment: the least is the most specific
	matchers  []*regexp.Regexp
}

func newOracle(rules []policy.Rule) *oracle {
	o := &oracle{rules: rules}
	for _, r := range rules {
		method, template, _ := strings.Cut(r.Route, " ")
		var expression, shape strings.Builder
		for segment := range strings.SplitSeq(template[1:], "/") {
			switch {
			case strings.HasSuffix(segment, "+}"):
				expression.WriteString("/.+")
				shape.WriteByte('c')
			case strings.HasSuffix(segment, "}"):
				expression.WriteString("/[^/]+")
				shape.WriteByte('b')
			default:
				expression.WriteString("/" + regexp.QuoteMeta(segment))
				shape.WriteByte('a')
			}
		}
		o.methods = append(o.methods, method)
		o.templates = append(o.templates, template)
		o.shapes = append(o.shapes, shape.String())
		o.matchers = append(o.matchers, regexp.MustCompile(`(?s)^`+expression.String()+`$`))
	}
	return o
}

// route returns the rule that a request is routed to, -1 for none.
func (o *oracle) route(method, path string) int {
	best := -1
	rank := func(rule int) string {
		order := []string{method, "ANY"}
		if method == "HEAD" {
			order = []string{"HEAD", "GET", "ANY"}
		}
		return o.shapes[rule] + fmt.Sprint(slices.Index(order, o.methods[rule]))
	}
	if !slices.Contains(allMethods, method) {
		return -1
	}
	for i := range o.rules {
		m := o.methods[i]
		if m != method && m != "ANY" && (method != "HEAD" || m != "GET") || !o.matchers[i].MatchString(path) {
			continue
		}
		if best < 0 || rank(i) < rank(best) {
			best = i
		}
	}
	return best
}

// allows evaluates a requirement without claims.
func allows(r policy.Requirement, scopes []string) bool {
	held := func(s string) bool { return slices.Contains(scopes, s) }
	for _, s := range r.Scopes {
		if !held(s) {
			return false
		}
	}
	return !r.Refuse && (len(r.AnyScope) == 0 || slices.ContainsFunc(r.AnyScope, held))
}

// request is what a client asks for.
type request struct{ method, path string }

// world is a table with what is known of it, for one caller.
type world struct {
	prefix    string
	oracle    *oracle
	table     *policy.Table
	grant     policy.Grant
	scopes    []string
	conflicts []policy.Conflict
	routes    map[request]int        // what the oracle has said
	parsed    map[string]*iam.Policy // by document
	broken    error                  // of a document that is none
}

func newWorld(tb testing.TB, rules []policy.Rule, parsed map[string]*iam.Policy) *world {
	tb.Helper()
	table, err := policy.NewTable(rules)
	if err != nil {
		tb.Fatal(err)
	}
	return &world{
		prefix: prefix, oracle: newOracle(rules), table: table,
		conflicts: table.Report().Conflicts,
		routes:    map[request]int{},
		parsed:    parsed,
	}
}

func (w *world) caller(scopes []string) {
	w.scopes, w.grant = scopes, w.table.Grant(policy.Caller{Scopes: scopes})
}

// route returns the rule that a request is routed to, -1 for none.
func (w *world) route(r request) int {
	rule, known := w.routes[r]
	if !known {
		rule = w.oracle.route(r.method, r.path)
		w.routes[r] = rule
	}
	return rule
}

// conflicting reports whether the report says that answers to other requests
// may refuse this rule.
func (w *world) conflicting(rule int) bool {
	return slices.ContainsFunc(w.conflicts, func(c policy.Conflict) bool { return c.Allowed == w.oracle.rules[rule].Route })
}

// answer returns the document for a request. With routed, the template that
// API Gateway has matched is known.
func (w *world) answer(r request, routed bool) []byte {
	ask := policy.Ask{Prefix: w.prefix, Grant: w.grant, Method: r.method, Path: r.path}
	rule := w.route(r)
	switch {
	case !routed:
		ask.Route, _ = w.table.Match(r.method, r.path)
	case rule >= 0:
		ask.Template = strings.ReplaceAll(w.oracle.templates[rule], "{", "{as-deployed.")
		ask.Route, _ = w.table.Routed(r.method, ask.Template)
	default:
		ask.Template = "/{unlisted+}"
	}
	return w.table.Document(ask)
}

// allowed evaluates a document as API Gateway does.
func (w *world) allowed(document []byte, r request) bool {
	p := w.parsed[string(document)]
	if p == nil {
		var err error
		if p, err = iam.Parse(document); err != nil {
			p, w.broken = &iam.Policy{}, err
		}
		w.parsed[string(document)] = p
	}
	return p.Evaluate(invoke, w.prefix+"/"+r.method+r.path, iam.Context{}) == iam.Allow
}

// check compares the answer to request q with the oracle, on q itself and, as
// if API Gateway had cached it, on others. It returns what is wrong.
func (w *world) check(q request, routed bool, others []request) string {
	rule := w.route(q)
	document := w.answer(q, routed)
	want := rule >= 0 && allows(w.oracle.rules[rule].Requirement, w.scopes)
	unwritable := strings.ContainsFunc(q.path, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`*?$"\`, r) })
	if got := w.allowed(document, q); got != want && (got || !unwritable || !w.conflicting(rule)) {
		return fmt.Sprintf("own answer: allowed = %t, want %t: %s", got, want, document)
	}
	// With a prefix longer than the report's, documents may be shortened.
	alone := w.table.TooLong(w.prefix, w.grant)
	inexact := func(method string, rule int) bool {
		return alone || w.conflicting(rule) || method == "HEAD" && len(w.prefix) > len(prefix)
	}
	exact := rule >= 0 && !inexact(q.method, rule)
	for _, o := range others {
		rule := w.route(o)
		if rule < 0 {
			continue // not listed: see the package comment
		}
		want := allows(w.oracle.rules[rule].Requirement, w.scopes)
		if got := w.allowed(document, o); got && !want || !got && want && exact && !inexact(o.method, rule) {
			return fmt.Sprintf("on %s %q: allowed = %t, want %t: %s", o.method, o.path, got, want, document)
		}
	}
	if w.broken != nil {
		return fmt.Sprintf("%v: %s", w.broken, document)
	}
	return ""
}

func (w *world) String() string {
	var b strings.Builder
	for _, r := range w.oracle.rules {
		fmt.Fprintf(&b, "  %s: %s\n", r.Route, r.Requirement)
	}
	fmt.Fprintf(&b, "  scopes %q, conflicts %v", w.scopes, w.conflicts)
	return b.String()
}

// Segments of random templates and paths.
var (
	literals = []string{"a", "b", "a", "b", "A", "a:b", "%2F", "$", ";x", "c-d"}
	oddities = []string{"", "a", "b", "z", "A", "%2F", "%2f", "*", "?", "$", "${*}", "${aws:username}", "..", ".", "é", ":", ";x", "a:b", "a*", "{x}", " ", `"`, `\`, "%00"}
	scopes   = []string{"s1", "s2", "s3"}
)

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// randomTemplate returns a template of up to 4 segments.
func randomTemplate(r *rand.Rand) string {
	if r.IntN(12) == 0 {
		return "/"
	}
	var b strings.Builder
	for i, n := 0, 1+r.IntN(4); i < n; i++ {
		switch k := r.IntN(10); {
		case k < 5:
			b.WriteString("/" + pick(r, literals[:2+r.IntN(len(literals)-2)]))
		case k < 8 || i < n-1:
			fmt.Fprintf(&b, "/{p%d}", i)
		default:
			fmt.Fprintf(&b, "/{p%d+}", i)
		}
	}
	return b.String()
}

func randomRequirement(r *rand.Rand) policy.Requirement {
	switch r.IntN(8) {
	case 0:
		return policy.Requirement{}
	case 1:
		return policy.Requirement{Refuse: true}
	case 2:
		return policy.Requirement{Scopes: scopes[:2]}
	case 3:
		return policy.Requirement{AnyScope: scopes[1:]}
	case 4:
		return policy.Requirement{Scopes: scopes[:1], AnyScope: scopes[1:]}
	default:
		return policy.Requirement{Scopes: []string{pick(r, scopes)}}
	}
}

// randomRules returns a table of up to n rules without duplicates.
func randomRules(r *rand.Rand, n int) []policy.Rule {
	var rules []policy.Rule
	seen := map[string]bool{}
	for range 1 + r.IntN(n) {
		template := randomTemplate(r)
		if len(rules) > 0 && r.IntN(3) == 0 { // another method of the same
			_, template, _ = strings.Cut(pick(r, rules).Route, " ")
		}
		route := pick(r, []string{"GET", "GET", "GET", "ANY", "ANY", "HEAD", "POST", "DELETE"}) + " " + template
		if !seen[shapeOf(route)] {
			seen[shapeOf(route)] = true
			rules = append(rules, policy.Rule{Route: route, Requirement: randomRequirement(r)})
		}
	}
	return rules
}

// shapeOf erases the names of parameters.
func shapeOf(template string) string {
	return regexp.MustCompile(`\{\w+`).ReplaceAllString(template, "{")
}

func randomScopes(r *rand.Rand) []string {
	var held []string
	for _, s := range append([]string{"unrelated"}, scopes...) {
		if r.IntN(2) == 0 {
			held = append(held, s)
		}
	}
	return held
}

// randomRequest returns a request that often is one for a route of the rules.
func randomRequest(r *rand.Rand, rules []policy.Rule) request {
	method, template, _ := strings.Cut(pick(r, rules).Route, " ")
	if r.IntN(4) == 0 || method == "ANY" {
		method = pick(r, append([]string{"TRACE", "get"}, allMethods...))
	}
	if r.IntN(5) == 0 {
		template = randomTemplate(r)
	}
	segments := strings.Split(template[1:], "/")
	for i, s := range segments {
		if strings.HasPrefix(s, "{") || r.IntN(10) == 0 {
			segments[i] = pick(r, oddities)
		}
		if strings.HasSuffix(s, "+}") {
			for range r.IntN(3) {
				segments = append(segments, pick(r, oddities))
			}
		}
	}
	path := "/" + strings.Join(segments, "/")
	if r.IntN(12) == 0 {
		path += "/"
	}
	return request{method, path}
}
