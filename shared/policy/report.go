package policy

import (
	"cmp"
	"math/bits"
	"slices"
)

// reportPrefix is an ARN's prefix of common length, to tell sizes with.
const reportPrefix = "arn:aws:execute-api:eu-central-1:123456789012:abcdef1234/production"

// exhaustive is up to how many distinct requirements the largest document is
// looked for among all combinations of them.
const exhaustive = 8

// searchWork bounds the search in larger tables.
const searchWork = 100_000 // entries

// Report is what there is to know about a table before it is deployed.
type Report struct {
	Rows      []Row
	Conflicts []Conflict
	// Size is the length in bytes of the largest document found, for a prefix
	// such as arn:aws:execute-api:eu-central-1:123456789012:abcdef1234/production.
	// With up to 8 distinct requirements all combinations are tried, with more
	// the likeliest.
	Size  int
	Limit int    // bytes; with a larger document, each route gets answers of its own
	Costs []Cost // of Size, the routes that cost most first
	// HeadApart is whether some document has no room for the HEAD that goes with
	// each GET. Requests with it get answers of their own; while API Gateway
	// caches another answer, they are wrongly refused.
	HeadApart bool
}

// Row is a listed route.
type Row struct {
	Route   string
	Methods []string // that the rule is about; ANY and GET are about several
	Needs   string   // in words
}

// Conflict is two routes no document can tell apart. For a caller that may use
// Allowed and Wide but not Refused, documents for all routes must deny what the
// pattern of Refused matches, since the pattern of Wide matches it too, and with
// it requests for Allowed. These get answers of their own; while API Gateway
// caches an answer to another request, they are wrongly refused.
type Conflict struct {
	Allowed string
	Refused string
	Wide    string // often the same as Allowed
}

// Cost is what a route adds to a document.
type Cost struct {
	Route string
	Bytes int
}

// Report examines the table. It may take a second for a thousand routes.
func (t *Table) Report() Report {
	largest, headApart := t.largest()
	r := Report{
		Rows:      t.rows(),
		Conflicts: t.conflicts(),
		Size:      len(render(reportPrefix, largest.allow, largest.deny)),
		Limit:     maxDocument,
		HeadApart: headApart,
	}
	bytes := make([]int, len(t.rules))
	for _, l := range slices.Concat(largest.allow, largest.deny) {
		bytes[l.rule] += cost(reportPrefix, l)
	}
	for i, n := range bytes {
		if n > 0 {
			r.Costs = append(r.Costs, Cost{t.rules[i].Route, n})
		}
	}
	slices.SortStableFunc(r.Costs, func(a, b Cost) int { return cmp.Compare(b.Bytes, a.Bytes) })
	return r
}

func (t *Table) rows() []Row {
	rows := make([]Row, len(t.rules))
	for i, rule := range t.rules {
		rows[i] = Row{Route: rule.Route, Needs: rule.String()}
	}
	for _, e := range t.entries {
		if e.method != "" {
			rows[e.rule].Methods = append(rows[e.rule].Methods, e.method)
		}
	}
	return rows
}

// RuleOf returns the rule of a listed route, the zero Rule for one that is not.
func (t *Table) RuleOf(r Route) Rule {
	if r.entry < 1 || r.entry > len(t.entries) {
		return Rule{}
	}
	return t.rules[t.entries[r.entry-1].rule]
}

// conflicts finds, for each route that the pattern of another covers, the
// routes that its own pattern covers, where some caller may use those two but
// not the one.
func (t *Table) conflicts() []Conflict {
	overlaps := t.overlaps()
	coveredBy := make([][]int, len(t.entries))
	for x, covered := range overlaps {
		for _, y := range covered {
			coveredBy[y] = append(coveredBy[y], x)
		}
	}
	var conflicts []Conflict
	seen := map[[2]int]bool{}
	for refused := range t.entries {
		no := t.entries[refused].rule
		for _, y := range overlaps[refused] {
			b := t.entries[y].rule
			if seen[[2]int{no, b}] {
				continue
			}
			i := slices.IndexFunc(coveredBy[refused], func(x int) bool { return t.apart(t.entries[x].rule, no, b) })
			if i < 0 {
				continue
			}
			seen[[2]int{no, b}] = true
			wide := t.entries[coveredBy[refused][i]].rule
			conflicts = append(conflicts, Conflict{Allowed: t.rules[b].Route, Refused: t.rules[no].Route, Wide: t.rules[wide].Route})
		}
	}
	return conflicts
}

// apart reports whether a caller may use the routes of rules a and b but not of no.
func (t *Table) apart(a, no, b int) bool {
	return !t.rules[a].Refuse && !t.rules[b].Refuse &&
		!t.rules[no].impliedBy(t.rules[a].Requirement, t.rules[b].Requirement)
}

// largest returns the largest document found, and whether any of those tried
// leaves HEAD out.
func (t *Table) largest() (largest draft, headApart bool) {
	var free []int // requirements that some callers meet and some do not
	met := make([]byte, (len(t.needs)+7)/8)
	for i, n := range t.needs {
		if n.refuse {
			continue
		}
		met[i/8] |= 1 << (i % 8)
		if len(n.scopes)+len(n.anyScope)+len(n.claims) > 0 {
			free = append(free, i)
		}
	}
	size := 0
	larger := func() bool {
		d := t.best(reportPrefix, grantOf(met))
		headApart = headApart || d.form == headless
		n := d.size(reportPrefix)
		if n <= size {
			return false
		}
		largest, size = d, n
		return true
	}
	larger()
	if len(free) > exhaustive {
		for _, i := range free[:min(len(free), searchWork/len(t.entries))] {
			met[i/8] ^= 1 << (i % 8)
			if !larger() {
				met[i/8] ^= 1 << (i % 8)
			}
		}
		return largest, headApart
	}
	// A Gray code: each combination differs from the one before in a single
	// requirement.
	for step := 1; step < 1<<len(free); step++ {
		i := free[bits.TrailingZeros(uint(step))]
		met[i/8] ^= 1 << (i % 8)
		larger()
	}
	return largest, headApart
}
