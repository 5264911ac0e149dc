package policy

import (
	"errors"
	"fmt"
	"slices"
	"sync"
)

// maxRules bounds the work of reading a table. API Gateway has 300 routes in
// an API unless asked for more.
const maxRules = 5000

// Table is the routes of one API and what each requires. It does not change
// and is safe for concurrent use.
type Table struct {
	rules   []Rule
	entries []entry
	byShape map[string]*leaf // by template without parameter names
	root    node
	connect int // the entry of $connect, 1-based; 0: not listed

	needs  []need         // the distinct requirements
	first  [][]int        // those that want all of some scopes, by the first of these
	others []int          // the rest of them
	scopes map[string]int // every scope of them, numbered
	claims []string       // every claim of them

	overlaps func() [][]int // by entry: those it covers, see findOverlaps
	wide     func() []*wide // by rule: ANY written as *, nil for other rules
	cache    cache
}

// entry is one method at one template: what API Gateway routes to.
type entry struct {
	method  string // "" for $connect
	path    []segment
	pattern string // as IAM compares it: METHOD/path, each parameter a wildcard
	rule    int    // in Table.rules
	need    int    // in Table.needs
	implied bool   // HEAD that is listed as GET
}

// Route is a listed route: one method at one template. The zero value is a
// route that is not listed. It belongs to the [Table] that returned it.
type Route struct {
	entry int // 1-based
	need  int
}

// NewTable reads rules. Its error joins everything that is wrong with them, one
// problem a line, each with the route it is about.
func NewTable(rules []Rule) (*Table, error) {
	if len(rules) > maxRules {
		return nil, fmt.Errorf("policy: %d routes are listed; at most %d are read", len(rules), maxRules)
	}
	t := &Table{
		rules:   make([]Rule, len(rules)),
		byShape: map[string]*leaf{},
		scopes:  map[string]int{},
	}
	var problems []error
	listed := listing{shapes: map[string]*declared{}}
	for i, r := range rules {
		t.rules[i] = r.clone()
		for _, err := range r.check() {
			problems = append(problems, fmt.Errorf("policy: route %q: %w", r.Route, err))
		}
		if err := listed.add(i, rules); err != nil {
			problems = append(problems, err)
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	t.expand(listed)
	t.overlaps = sync.OnceValue(t.findOverlaps)
	t.wide = sync.OnceValue(t.findWide)
	return t, nil
}

// clone lets the caller change its slices afterwards.
func (r Rule) clone() Rule {
	r.Scopes, r.AnyScope, r.Claims = slices.Clone(r.Scopes), slices.Clone(r.AnyScope), slices.Clone(r.Claims)
	for i := range r.Claims {
		r.Claims[i].AnyOf = slices.Clone(r.Claims[i].AnyOf)
	}
	return r
}

// listing is the rules by template while a table is read.
type listing struct {
	shapes map[string]*declared
	order  []*declared // by rule
}

// declared is what is listed at one template.
type declared struct {
	shape    string
	path     []segment
	byMethod map[string]int // the rule of a method, or of ANY
}

func (l *listing) add(rule int, rules []Rule) error {
	method, template, err := ParseRoute(rules[rule].Route)
	if err != nil {
		return err
	}
	d := &declared{shape: template, byMethod: map[string]int{}}
	if template != connect {
		d.shape = string(appendShape(nil, template))
	}
	if same := l.shapes[d.shape]; same != nil {
		d = same
	} else {
		if template != connect {
			d.path, err = parseTemplate(template)
		}
		l.shapes[d.shape] = d
	}
	if other, taken := d.byMethod[method]; taken {
		return fmt.Errorf("policy: route %q: is listed already, as %q", rules[rule].Route, rules[other].Route)
	}
	d.byMethod[method] = rule
	l.order = append(l.order, d)
	return err
}

// expand makes an entry of every method of every template, in the order of the
// rules and, within one, of [methods].
func (t *Table) expand(l listing) {
	distinct := map[string]int{}
	for rule, d := range l.order {
		key := t.rules[rule].canonical()
		number, known := distinct[key]
		if !known {
			number = len(t.needs)
			distinct[key] = number
			t.need(t.compile(t.rules[rule].Requirement))
		}
		if d.path == nil {
			t.entries = append(t.entries, entry{pattern: connect, rule: rule, need: number})
			t.connect = len(t.entries)
			continue
		}
		for i, method := range methods {
			if d.ruleOf(method) != rule {
				continue
			}
			_, itself := d.byMethod[method]
			t.entries = append(t.entries, entry{
				method: method, path: d.path, pattern: method + glob(d.path), rule: rule, need: number,
				implied: !itself && method == "HEAD" && t.rules[rule].Route[:4] == "GET ",
			})
			t.leaf(d).entries[i] = len(t.entries)
		}
	}
}

// ruleOf returns the rule that is about a method, -1 if there is none.
func (d *declared) ruleOf(method string) int {
	candidates := []string{method, anyMethod}
	if method == "HEAD" {
		candidates = []string{method, "GET", anyMethod}
	}
	for _, m := range candidates {
		if rule, ok := d.byMethod[m]; ok {
			return rule
		}
	}
	return -1
}

// leaf returns the place of a template in both indexes.
func (t *Table) leaf(d *declared) *leaf {
	if l := t.byShape[d.shape]; l != nil {
		return l
	}
	l := t.root.leaf(d.path)
	t.byShape[d.shape] = l
	return l
}

// Routed returns the route for a request whose template API Gateway has
// matched, as in the resource or the routeKey of its event; for a WebSocket
// handshake that is "$connect". Names of parameters do not matter.
func (t *Table) Routed(method, template string) (Route, bool) {
	if template == connect {
		return t.route(t.connect)
	}
	m := methodIndex(method)
	if m < 0 {
		return Route{}, false
	}
	var room [maxTemplate]byte
	l := t.byShape[string(appendShape(room[:0], template))]
	if l == nil {
		return Route{}, false
	}
	return t.route(l.entries[m])
}

// Match returns the route for a request of which only the path is known: as
// requested and as in the ARN of its method, beginning with "/", or "$connect".
func (t *Table) Match(method, path string) (Route, bool) {
	if path == connect {
		return t.route(t.connect)
	}
	m := methodIndex(method)
	if m < 0 || path == "" || path[0] != '/' || len(path) > maxPath {
		return Route{}, false
	}
	return t.route(t.root.find(path[1:], m))
}

// route returns the handle of an entry, 1-based.
func (t *Table) route(number int) (Route, bool) {
	if number == 0 {
		return Route{}, false
	}
	return Route{entry: number, need: t.entries[number-1].need}, true
}
