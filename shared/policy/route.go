package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Limits of a template. A pattern, together with an ARN's prefix of at most
// [maxPrefix] bytes, stays within the 512 characters that API Gateway reads of
// one Resource.
const (
	maxTemplate = 256 // bytes
	maxSegments = 30  // of which, twice, there is a set in a word; see states
)

const (
	connect   = "$connect" // the only route of a WebSocket API that has an authorizer
	anyMethod = "ANY"
)

// methods are the methods API Gateway routes by, in the order of documents.
var methods = [...]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// methodIndex returns the place of a method in [methods], -1 for others.
func methodIndex(method string) int { return slices.Index(methods[:], method) }

// kind is what a segment of a template matches, the most specific first.
type kind uint8

const (
	literal kind = iota // its text
	param               // {name}: one segment that is not empty
	proxy               // {name+}: the rest of the path, if that is not empty
)

// segment is one part of a template, between slashes.
type segment struct {
	kind kind
	text string // of a literal
}

// ParseRoute reads "METHOD /template", METHOD being ANY or one that API Gateway
// routes by, or "$connect". Of the latter the method is empty and the template
// "$connect", as in the events of API Gateway.
func ParseRoute(s string) (method, template string, err error) {
	if s == connect {
		return "", connect, nil
	}
	method, template, ok := strings.Cut(s, " ")
	switch {
	case !ok:
		err = errors.New(`is not "METHOD /path" or "$connect"`)
	case method != anyMethod && methodIndex(method) < 0:
		err = fmt.Errorf("the method is none of ANY, %s", strings.Join(methods[:], ", "))
	default:
		_, err = parseTemplate(template)
	}
	if err != nil {
		return "", "", fmt.Errorf("policy: route %q: %w", s, err)
	}
	return method, template, nil
}

// parseTemplate reads a path template. The root, "/", is one empty literal.
func parseTemplate(template string) ([]segment, error) {
	rest, ok := strings.CutPrefix(template, "/")
	switch {
	case !ok:
		return nil, errors.New("the path does not begin with /")
	case len(template) > maxTemplate:
		return nil, fmt.Errorf("the path has more than %d characters", maxTemplate)
	case strings.Count(template, "/") > maxSegments:
		return nil, fmt.Errorf("the path has more than %d segments", maxSegments)
	case rest == "":
		return []segment{{}}, nil
	}
	var segments []segment
	names := map[string]bool{}
	for text := range strings.SplitSeq(rest, "/") {
		s, name, err := parseSegment(text)
		switch {
		case err != nil:
			return nil, err
		case name != "" && names[name]:
			return nil, fmt.Errorf("the parameter {%s} occurs twice", name)
		case len(segments) > 0 && segments[len(segments)-1].kind == proxy:
			return nil, errors.New("something follows {name+}, which takes the rest of the path")
		}
		names[name] = true
		segments = append(segments, s)
	}
	return segments, nil
}

// parseSegment also returns the name of a parameter.
func parseSegment(text string) (segment, string, error) {
	switch {
	case text == "":
		return segment{}, "", errors.New("a segment is empty; the path must not end with / or contain //")
	case text == ".", text == "..":
		return segment{}, "", fmt.Errorf("the segment %s is resolved by clients and proxies before it gets here", text)
	case !strings.ContainsAny(text, "{}"):
		return segment{text: text}, "", checkLiteral(text)
	}
	k, name := parameter(text)
	if k == literal {
		return segment{}, "", fmt.Errorf("the segment %s is neither {name} nor {name+} nor a literal", text)
	}
	for _, c := range []byte(name) {
		if !alphanumeric(c) && !strings.ContainsRune("-._:", rune(c)) {
			return segment{}, "", fmt.Errorf("the parameter %s has a character that is neither a letter nor a digit nor one of - . _ : in its name", text)
		}
	}
	return segment{kind: k}, name, nil
}

// parameter takes {name} or {name+} apart; what is neither is a literal.
func parameter(text string) (kind, string) {
	if len(text) < len("{x}") || text[0] != '{' || text[len(text)-1] != '}' {
		return literal, text
	}
	name, more := strings.CutSuffix(text[1:len(text)-1], "+")
	switch {
	case name == "":
		return literal, text
	case more:
		return proxy, name
	default:
		return param, name
	}
}

// checkLiteral accepts the pchar of RFC 3986 §3.3 but "*", which IAM reads as a
// wildcard.
func checkLiteral(text string) error {
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '%':
			if len(text) < i+3 || !hexadecimal(text[i+1]) || !hexadecimal(text[i+2]) {
				return fmt.Errorf("the segment %q has a %% that no two hexadecimal digits follow", text)
			}
		case !alphanumeric(c) && !strings.ContainsRune("-._~!$&'()+,;=:@", rune(c)):
			return fmt.Errorf("the segment %q has the character %q, which a path cannot have or a policy cannot name", text, c)
		}
	}
	return nil
}

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

func hexadecimal(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// appendShape appends a template with the names of its parameters erased, as
// "/orders/{}/{+}", or nothing if it is not a template.
func appendShape(dst []byte, template string) []byte {
	for rest := template; rest != ""; {
		if rest[0] != '/' {
			return dst[:0]
		}
		text, _, _ := strings.Cut(rest[1:], "/")
		rest = rest[1+len(text):]
		switch k, _ := parameter(text); {
		case k == param:
			dst = append(dst, "/{}"...)
		case k == proxy:
			dst = append(dst, "/{+}"...)
		case strings.ContainsAny(text, "{}"):
			return dst[:0]
		default:
			dst = append(dst, '/')
			dst = append(dst, text...)
		}
	}
	return dst
}

// wildcard is what IAM compares a parameter with: one character or more. It
// crosses slashes. A * alone would also match none, and so a path that ends
// with a slash, which is not one of the route.
const wildcard = "?*"

// glob returns a template as IAM compares it.
func glob(segments []segment) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteByte('/')
		if s.kind == literal {
			b.WriteString(s.text)
		} else {
			b.WriteString(wildcard)
		}
	}
	return b.String()
}

// matchGlob reports whether the whole of s matches pattern, in which * stands
// for any text, ? for any character and everything else for itself. Since no
// literal has either, a pattern that matches another as text matches whatever
// that one matches.
func matchGlob(pattern, s string) bool {
	i, j := 0, 0
	star, from := -1, 0 // the last * and where what follows it was tried
	for i < len(s) {
		switch {
		case j < len(pattern) && pattern[j] == '*':
			star, from = j, i
			j++
		case j < len(pattern) && (pattern[j] == s[i] || pattern[j] == '?'):
			i, j = i+1, j+1
		case star >= 0:
			from++
			i, j = from, star+1
		default:
			return false
		}
	}
	return strings.Trim(pattern[j:], "*") == ""
}

// moreSpecific reports whether a answers the paths that both match.
func moreSpecific(a, b []segment) bool {
	for i := range min(len(a), len(b)) {
		if a[i].kind != b[i].kind {
			return a[i].kind < b[i].kind
		}
	}
	return false
}
