package policy

import (
	"slices"
	"strings"
)

// searchLimit bounds the search for what the patterns of a table cover. What is
// not found out by then is taken to be covered, so that documents deny it
// rather than allow it. Tables of a thousand usual routes need a thousandth.
const searchLimit = 5_000_000 // steps of one automaton

// search finds out which entries patterns cover.
type search struct {
	*Table
	rivals map[int][]language // by entry: the templates that take requests away from it
	budget int
}

// findOverlaps returns, for each entry x, the entries y that its pattern
// covers: some request that API Gateway sends to y is matched by IAM's pattern
// for x. Where x and y want the same they are always allowed together, and the
// question does not arise.
func (t *Table) findOverlaps() [][]int {
	s := search{t, map[int][]language{}, searchLimit}
	all := make([][]int, len(t.entries))
	for x, e := range t.entries {
		if !wild(e.path) {
			continue
		}
		pattern := language{path: e.path, iam: true}
		for _, y := range t.around(e) {
			if s.covers(pattern, e.need, y) {
				all[x] = append(all[x], y)
			}
		}
	}
	return all
}

// covers reports whether pattern, which belongs to an entry with that need,
// matches a request for entry y.
func (s *search) covers(pattern language, need, y int) bool {
	e := &s.entries[y]
	template := language{path: e.path}
	if e.need == need || e.path == nil || !mayMeet(pattern, template) {
		return false
	}
	method := methodIndex(e.method)
	routed := func(path string) bool { return s.root.find(path[1:], method) == y+1 }
	if s.budget <= 0 || witness(pattern, template, &s.budget, routed) {
		return true
	}
	rivals, known := s.rivals[y]
	if !known {
		rivals = s.findRivals(e)
		s.rivals[y] = rivals
	}
	s.budget -= len(rivals)
	near := slices.DeleteFunc(slices.Clone(rivals), func(r language) bool { return !mayMeet(pattern, r) })
	return meet(pattern, template, near, &s.budget)
}

// findRivals returns the templates that have the method of e, are more specific
// and may match the same path.
func (t *Table) findRivals(e *entry) []language {
	var rivals []language
	for _, z := range t.around(*e) {
		r := language{path: t.entries[z].path}
		if moreSpecific(r.path, e.path) && mayMeet(r, language{path: e.path}) {
			rivals = append(rivals, r)
		}
	}
	return rivals
}

// around returns, in order, the entries with the method of e that may match
// paths which begin with the same literals as e.
func (t *Table) around(e entry) []int {
	var found []int
	t.root.around(prefixOf(e.path), methodIndex(e.method), func(number int) { found = append(found, number-1) })
	slices.Sort(found)
	return found
}

// wild reports whether a template has a parameter, and so more than one path.
func wild(path []segment) bool {
	return slices.ContainsFunc(path, func(s segment) bool { return s.kind != literal })
}

// prefixOf returns the literals a template begins with.
func prefixOf(path []segment) []segment {
	for i, s := range path {
		if s.kind != literal {
			return path[:i]
		}
	}
	return path
}

// wide is the pattern of an ANY route with * for the method, and the entries it
// covers, which may be of other templates: the * crosses slashes.
type wide struct {
	pattern string
	covers  []int
}

// findWide returns the wide patterns by rule, nil where a rule is not ANY.
func (t *Table) findWide() []*wide {
	s := search{t, map[int][]language{}, searchLimit}
	all := make([]*wide, len(t.rules))
	for _, e := range t.entries {
		if all[e.rule] != nil || !strings.HasPrefix(t.rules[e.rule].Route, anyMethod+" ") {
			continue
		}
		w := &wide{pattern: "*" + glob(e.path)}
		pattern := language{path: e.path, iam: true, inside: true}
		for y := range t.entries {
			if s.covers(pattern, e.need, y) {
				w.covers = append(w.covers, y)
			}
		}
		all[e.rule] = w
	}
	return all
}
