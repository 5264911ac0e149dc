package iam

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Wildcards in a [pattern]; no character is negative.
const (
	anyRun rune = -1 // *: any number of characters, / and : among them
	anyOne rune = -2 // ?
)

// pattern is text with wildcards.
type pattern struct {
	runes   []rune
	fold    bool // letters match in either case
	unknown bool // it has a variable without a value
}

// actionPattern reads an Action, where variables are not replaced.
func actionPattern(text string) pattern {
	p := pattern{fold: true}
	for _, r := range text {
		p.runes = append(p.runes, wildcard(unicode.ToLower(r)))
	}
	return p
}

// resourcePattern reads a Resource, or a value of StringLike: ${*}, ${?} and
// ${$} stand for the characters themselves.
func resourcePattern(text string) pattern {
	var p pattern
	for text != "" {
		plain, rest, found := strings.Cut(text, "${")
		for _, r := range plain {
			p.runes = append(p.runes, wildcard(r))
		}
		if !found {
			break
		}
		switch {
		case strings.HasPrefix(rest, "*}"), strings.HasPrefix(rest, "?}"), strings.HasPrefix(rest, "$}"):
			p.runes = append(p.runes, rune(rest[0]))
			text = rest[2:]
		default:
			return pattern{unknown: true}
		}
	}
	return p
}

// exactPattern reads a value of StringEquals: variables, but no wildcards.
func exactPattern(text string) pattern {
	p := resourcePattern(text)
	for i, r := range p.runes {
		switch r {
		case anyRun:
			p.runes[i] = '*'
		case anyOne:
			p.runes[i] = '?'
		}
	}
	return p
}

func wildcard(r rune) rune {
	switch r {
	case '*':
		return anyRun
	case '?':
		return anyOne
	default:
		return r
	}
}

// match compares the whole of s. It goes back only to the last *, which is
// enough, so that its time is at most the product of the lengths.
func (p pattern) match(s string) bool {
	if p.fold {
		s = strings.ToLower(s)
	}
	i, j := 0, 0        // s[:i] is matched by runes[:j]
	star, from := -1, 0 // the last * and where what follows it was tried
	for i < len(s) {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case j < len(p.runes) && p.runes[j] == anyRun:
			star, from = j, i
			j++
		case j < len(p.runes) && (p.runes[j] == anyOne || p.runes[j] == r):
			i, j = i+size, j+1
		case star >= 0:
			_, size = utf8.DecodeRuneInString(s[from:])
			from += size
			i, j = from, star+1
		default:
			return false
		}
	}
	for j < len(p.runes) && p.runes[j] == anyRun {
		j++
	}
	return j == len(p.runes)
}
