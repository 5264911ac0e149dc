package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is something wrong with the file, and where.
type Problem struct {
	Line    int    // counted from 1
	Column  int    // counted from 1, in characters
	Path    string // such as "apis[0].routes[2].route"; "" for the whole file
	Message string // what is wrong, then the way out
}

// String returns the problem on one line, such as "12:7: apis[0].name: is missing".
func (p Problem) String() string {
	if p.Path == "" {
		return fmt.Sprintf("%d:%d: %s", p.Line, p.Column, p.Message)
	}
	return fmt.Sprintf("%d:%d: %s: %s", p.Line, p.Column, p.Path, p.Message)
}

// Problems is the error of a file that cannot be used: everything that is
// wrong with it.
type Problems struct { //nolint:errname // a list that people read, not a kind of failure
	File string    // its name, for messages
	List []Problem // never empty, in the order of the file
}

// Error returns one line for each problem, beginning with file, line and column.
func (p *Problems) Error() string {
	var b strings.Builder
	for i, problem := range p.List {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(p.File + ":" + problem.String())
	}
	return b.String()
}

func sortProblems(list []Problem) {
	slices.SortStableFunc(list, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// didYouMean returns a question that ends a message, or "" when none of the
// known words is close to word.
func didYouMean(word string, known []string) string {
	best, least := "", 3
	for _, k := range known {
		if n := distance(strings.ToLower(word), strings.ToLower(k)); n < least && 2*n <= len(k) {
			best, least = k, n
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance counts the bytes to insert, delete or replace to make b of a. Words
// whose lengths differ by more than two are far apart, whatever they hold.
func distance(a, b string) int {
	if len(a)-len(b) > 2 || len(b)-len(a) > 2 {
		return 3
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			n := diagonal
			if a[i] != b[j] {
				n = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], n
		}
	}
	return row[len(b)]
}
