package policy

import (
	"encoding/binary"
	"slices"
)

// fresh stands for every segment that no template has as a literal. (No
// literal is a *.)
const fresh = "*"

// language is a set of paths, read segment by segment: those that a template
// matches, or those that IAM's pattern for it matches.
type language struct {
	path   []segment
	iam    bool // of the pattern: a {name} takes as much as a {name+}
	inside bool // anything may come before the template, as after * for a method
}

// states is a set of states of the automaton for a language. In state i the
// first i segments of the template are matched. In state half+i so are they,
// and the next, which takes more than one, has taken an empty one; that alone is
// not enough.
type states uint64

const half = 32 // more than maxSegments

func (s states) has(i int) bool { return s&(1<<i) != 0 }

// greedy reports whether part i takes one or more segments, if they are not
// together empty.
func (l language) greedy(i int) bool {
	return l.path[i].kind == proxy || l.iam && l.path[i].kind == param
}

// loops reports whether state i can take any segment and stay.
func (l language) loops(i int) bool {
	if i == 0 {
		return l.inside
	}
	return l.greedy(i - 1)
}

// final reports whether the template is matched.
func (l language) final(s states) bool { return s.has(len(l.path)) }

// forever reports whether the template is matched and will be, whatever follows.
func (l language) forever(s states) bool { return l.final(s) && l.loops(len(l.path)) }

// next reads one segment, as text; see [fresh].
func (l language) next(s states, text string) states {
	var next states
	for i := range len(l.path) + 1 {
		if s.has(i) && l.loops(i) {
			next |= 1 << i
		}
		if s.has(half + i) {
			next |= 1 << (i + 1)
		}
		if !s.has(i) || i == len(l.path) {
			continue
		}
		part := l.path[i]
		switch {
		case part.kind == literal && part.text == text, part.kind != literal && text != "":
			next |= 1 << (i + 1)
		case part.kind != literal && l.greedy(i):
			next |= 1 << (half + i)
		}
	}
	return next
}

// mayMeet reports whether a and b may have a path in common; it is quick and
// errs on that side.
func mayMeet(a, b language) bool {
	var row, below states // the states of b that are reached together with state i of a, and i+1
	row = 1
	for i := 0; i <= len(a.path); i++ {
		below = 0
		for j := 0; j <= len(b.path); j++ {
			if !row.has(j) {
				continue
			}
			more := j < len(b.path)
			if more && a.loops(i) {
				row |= 1 << (j + 1)
			}
			if i < len(a.path) && b.loops(j) {
				below |= 1 << j
			}
			if more && i < len(a.path) && agree(a.path[i], b.path[j]) {
				below |= 1 << (j + 1)
			}
		}
		if i < len(a.path) {
			row = below
		}
	}
	return row.has(len(b.path))
}

func agree(a, b segment) bool {
	return a.kind != literal || b.kind != literal || a.text == b.text
}

// witness looks for a path in both a and b that passes a test, and takes the
// steps that took from budget. It tries a few and may miss one.
func witness(a, b language, budget *int, test func(path string) bool) bool {
	type place struct {
		a, b states
		path string
	}
	texts := alphabet(a, b)
	open := []place{{1, 1, ""}}
	visited := map[[2]states]bool{}
	for tries := 0; len(open) > 0 && tries < 8; {
		at := open[len(open)-1]
		open = open[:len(open)-1]
		*budget -= 2 * len(texts)
		for _, text := range texts {
			to := place{a.next(at.a, text), b.next(at.b, text), at.path + "/" + text}
			if a.final(to.a) && b.final(to.b) {
				tries++
				if test(to.path) {
					return true
				}
			}
			if key := [2]states{to.a, to.b}; to.a != 0 && to.b != 0 && !visited[key] {
				visited[key] = true
				open = append(open, to)
			}
		}
	}
	return false
}

// meet reports whether some path is in both a and b and in none of others, and
// takes the steps that took from budget. With none left, its answer is yes.
func meet(a, b language, others []language, budget *int) bool {
	all := append([]language{a, b}, others...)
	texts := alphabet(a, b)
	open := [][]states{slices.Repeat([]states{1}, len(all))}
	visited := map[string]bool{}
	for len(open) > 0 {
		at := open[len(open)-1]
		open = open[:len(open)-1]
		for _, text := range texts {
			if *budget -= len(all); *budget <= 0 {
				return true
			}
			to, found := step(all, at, text)
			if found {
				return true
			}
			if key := keyOf(to); to != nil && !visited[key] {
				visited[key] = true
				open = append(open, to)
			}
		}
	}
	return false
}

// step reads text in every language. It finds a path that is in the first two
// and in none of the others, or returns no states when none can follow.
func step(all []language, from []states, text string) (to []states, found bool) {
	to = make([]states, len(all))
	found = true
	for i, l := range all {
		to[i] = l.next(from[i], text)
		switch {
		case i < 2 && to[i] == 0, i >= 2 && l.forever(to[i]):
			return nil, false
		case l.final(to[i]) != (i < 2):
			found = false
		}
	}
	return to, found
}

// alphabet returns the segments that matter for paths in a and b: a literal
// that only others have does the same to a and b as a fresh segment, and leads
// others to everything that one does and more. The likeliest to lead out of
// others is last, where the search begins.
func alphabet(a, b language) []string {
	texts := []string{""}
	for _, s := range slices.Concat(a.path, b.path) {
		if s.kind == literal && !slices.Contains(texts, s.text) {
			texts = append(texts, s.text)
		}
	}
	return append(texts, fresh)
}

func keyOf(s []states) string {
	var key []byte
	for _, set := range s {
		key = binary.LittleEndian.AppendUint64(key, uint64(set))
	}
	return string(key)
}
