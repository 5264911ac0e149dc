package policy

import (
	"slices"
	"strings"
)

const (
	maxAnswer   = 8192             // bytes of an authorizer's answer, documented for WebSocket APIs
	maxDocument = maxAnswer - 1536 // what else is in an answer: who called, with which scopes
	maxPrefix   = 200              // bytes of an ARN before the method
	maxResource = 512              // characters API Gateway reads of one Resource
)

// refuseAll is the answer to an ARN that could not be written in a document.
const refuseAll = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"execute-api:Invoke","Resource":["*"]}]}`

// Ask is a request to write a document for. Its ARN is Prefix, "/", Method, Path.
type Ask struct {
	Prefix   string // "arn:aws:execute-api:eu-west-1:123456789012:abc123/prod"
	Grant    Grant
	Route    Route  // of [Table.Routed] or [Table.Match]; zero: not listed
	Method   string // as in the ARN; "" for a WebSocket handshake
	Path     string // as in the ARN, beginning with "/"; "$connect" for a handshake
	Template string // what API Gateway has matched, "" when the event does not say
}

// document is a rendered document and what it is made of.
type document struct {
	draft
	json []byte
}

// draft is a document without the prefix of its ARNs.
type draft struct {
	form        form
	allow, deny []line
	apart       []int // allowed entries of which it wrongly refuses some requests, in order
}

// line is a pattern and the rule it comes from.
type line struct {
	pattern string
	rule    int
}

// form is how a document is abbreviated.
type form int

const (
	full     form = iota // every method of every route
	wideAny              // ANY is *
	headless             // and HEAD beside GET is left to answers of its own
)

// Document returns the policy document for a request, as JSON. It is the same
// for all requests of a grant but those that the package comment makes
// exceptions of. The caller must not change it.
func (t *Table) Document(a Ask) []byte {
	base := t.document(a.Prefix, a.Grant, 0)
	switch {
	case base == nil:
		return []byte(refuseAll)
	case !a.Grant.Allows(a.Route):
		return refusing(a, base)
	}
	if _, apart := slices.BinarySearch(base.apart, a.Route.entry-1); apart {
		return t.answerApart(a, base)
	}
	return base.json
}

// document returns the document for a grant, or for the one entry alone that is
// not 0 (1-based); nil when the prefix cannot be written. One that would be too
// long refuses everything: what it should allow is left to answers of its own.
func (t *Table) document(prefix string, g Grant, alone int) *document {
	k := cacheKey{prefix, g, alone}
	if d := t.cache.get(k); d != nil {
		return d
	}
	if !plainPrefix(prefix) {
		return nil
	}
	var d *document
	if alone == 0 {
		d = &document{draft: t.best(prefix, g)}
	} else {
		d = &document{draft: t.draft(g, []int{alone - 1}, full)}
	}
	if d.size(prefix) > maxDocument {
		d.draft = draft{apart: t.allowed(g)}
	}
	d.json = render(prefix, d.allow, d.deny)
	t.cache.put(k, d)
	return d
}

// allowed returns the entries of a grant.
func (t *Table) allowed(g Grant) []int {
	var allowed []int
	for i, e := range t.entries {
		if g.meets(e.need) {
			allowed = append(allowed, i)
		}
	}
	return allowed
}

// refusing returns a document that does not allow the request: base, less the
// route if base would.
func refusing(a Ask, base *document) []byte {
	resource := a.Method + a.Path
	if !base.allows(resource) {
		return base.json
	}
	deny := resource
	if path, err := parseTemplate(a.Template); err == nil && methodIndex(a.Method) >= 0 {
		if pattern := a.Method + glob(path); matchGlob(pattern, resource) {
			deny = pattern
		}
	}
	if deny == resource && !plainResource(a.Prefix, resource) {
		return render(a.Prefix, nil, nil)
	}
	return render(a.Prefix, base.allow, append(slices.Clone(base.deny), line{pattern: deny}))
}

// answerApart answers a request for a route that base refuses in part.
func (t *Table) answerApart(a Ask, base *document) []byte {
	resource := a.Method + a.Path
	if base.allows(resource) {
		return base.json
	}
	if alone := t.document(a.Prefix, a.Grant, a.Route.entry); alone.allows(resource) {
		return alone.json
	}
	// Only the ARN itself is left. It is trusted no further than our own
	// reading of the path goes.
	if route, _ := t.Match(a.Method, a.Path); route == a.Route && plainResource(a.Prefix, resource) {
		return render(a.Prefix, []line{{pattern: resource}}, nil)
	}
	return base.json
}

// best returns the draft for a grant in the first form that is short enough, or
// else the shortest.
func (t *Table) best(prefix string, g Grant) draft {
	allowed := t.allowed(g)
	exact := t.draft(g, allowed, full)
	best := exact
	for form := wideAny; form <= headless && best.size(prefix) > maxDocument; form++ {
		d := t.draft(g, allowed, form)
		if t.inexact(d, form) <= t.inexact(exact, form) && d.size(prefix) < best.size(prefix) {
			best = d
		}
	}
	return best
}

// inexact counts the entries that a draft refuses in part, but for those that
// its form leaves out.
func (t *Table) inexact(d draft, f form) int {
	n := 0
	for _, x := range d.apart {
		if f != headless || !t.entries[x].implied {
			n++
		}
	}
	return n
}

// draft allows some entries, in a form, and denies the refused ones that their
// patterns cover.
func (t *Table) draft(g Grant, allowed []int, f form) draft {
	d := draft{form: f}
	overlaps := t.overlaps()
	denied := make([]bool, len(t.entries))
	apart := make([]bool, len(t.entries))
	for _, x := range allowed {
		e := &t.entries[x]
		pattern, covers := e.pattern, overlaps[x]
		switch {
		case f == headless && e.implied:
			apart[x] = true
			continue
		case f != full && t.wide()[e.rule] != nil:
			pattern, covers = t.wide()[e.rule].pattern, t.wide()[e.rule].covers
		}
		d.allow = append(d.allow, line{pattern, e.rule})
		for _, y := range covers {
			denied[y] = denied[y] || !g.meets(t.entries[y].need)
		}
	}
	for x, e := range t.entries {
		if !denied[x] {
			continue
		}
		d.deny = append(d.deny, line{e.pattern, e.rule})
		if !t.takesSlash(&e, allowed) {
			d.deny = append(d.deny, line{e.pattern + "/", e.rule})
		}
		for _, y := range overlaps[x] {
			apart[y] = apart[y] || g.meets(t.entries[y].need)
		}
	}
	for x := range apart {
		if apart[x] {
			d.apart = append(d.apart, x)
		}
	}
	d.allow, d.deny = outermost(d.allow), outermost(d.deny)
	return d
}

// takesSlash reports whether one of the allowed entries may be sent what a
// refused one would be but for a slash at the end. If none is, documents deny
// that as well: whether API Gateway ignores such a slash is not documented.
func (t *Table) takesSlash(refused *entry, allowed []int) bool {
	slashed := language{path: append(slices.Clone(refused.path), segment{}), iam: true}
	return slices.ContainsFunc(allowed, func(x int) bool {
		e := &t.entries[x]
		return e.method == refused.method && len(e.path) > 0 && e.path[len(e.path)-1].kind == proxy &&
			mayMeet(slashed, language{path: e.path})
	})
}

// outermost drops lines that another line makes superfluous.
func outermost(lines []line) []line {
	wild := map[string][]string{} // patterns by what is before their first wildcard
	seen := map[string]bool{}
	for _, l := range lines {
		if i := strings.IndexAny(l.pattern, wildcard); i >= 0 && !seen[l.pattern] {
			wild[l.pattern[:i]] = append(wild[l.pattern[:i]], l.pattern)
		}
		seen[l.pattern] = true
	}
	return slices.DeleteFunc(lines, func(l line) bool {
		repeated := !seen[l.pattern]
		seen[l.pattern] = false
		return repeated || covered(l.pattern, wild)
	})
}

// covered reports whether another pattern matches all that pattern does. A
// wildcard is always a segment of its own.
func covered(pattern string, wild map[string][]string) bool {
	for i := 0; i <= len(pattern); i++ {
		if i > 0 && pattern[i-1] != '/' {
			continue
		}
		if slices.ContainsFunc(wild[pattern[:i]], func(w string) bool { return w != pattern && matchGlob(w, pattern) }) {
			return true
		}
	}
	return false
}

// allows evaluates the document as IAM does.
func (d *draft) allows(resource string) bool {
	matches := func(l line) bool { return matchGlob(l.pattern, resource) }
	return slices.ContainsFunc(d.allow, matches) && !slices.ContainsFunc(d.deny, matches)
}

// Parts of a document.
const (
	opening = `{"Version":"2012-10-17","Statement":[`
	closing = `]}`
	allowed = `{"Effect":"Allow","Action":"execute-api:Invoke","Resource":[`
	denied  = `{"Effect":"Deny","Action":"execute-api:Invoke","Resource":[`
)

// size returns how long the rendered document is, in bytes.
func (d *draft) size(prefix string) int {
	size := len(opening) + len(closing)
	for _, l := range slices.Concat(d.allow, d.deny) {
		size += cost(prefix, l)
	}
	if len(d.allow) > 0 {
		size += len(allowed) + len(closing) - len(",") // one line has no comma
	}
	if len(d.deny) > 0 {
		size += len(denied) + len(closing) - len(",")
	}
	if len(d.allow) > 0 && len(d.deny) > 0 {
		size += len(",")
	}
	return size
}

// cost is what a line adds to a document that has others.
func cost(prefix string, l line) int {
	return len(`"",`) + len(prefix) + len("/") + len(l.pattern)
}

// render writes a document. One that allows nothing denies everything.
// Prefixes and patterns have no characters that JSON escapes.
func render(prefix string, allow, deny []line) []byte {
	if len(allow) == 0 {
		deny = []line{{pattern: "*"}}
	}
	d := draft{allow: allow, deny: deny}
	b := make([]byte, 0, d.size(prefix))
	b = append(b, opening...)
	if len(allow) > 0 {
		b = appendStatement(b, allowed, prefix, allow)
	}
	if len(allow) > 0 && len(deny) > 0 {
		b = append(b, ',')
	}
	if len(deny) > 0 {
		b = appendStatement(b, denied, prefix, deny)
	}
	return append(b, closing...)
}

func appendStatement(b []byte, begin, prefix string, lines []line) []byte {
	b = append(b, begin...)
	for i, l := range lines {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, prefix...)
		b = append(b, '/')
		b = append(b, l.pattern...)
		b = append(b, '"')
	}
	return append(b, closing...)
}

// plainPrefix reports whether IAM and JSON read the beginning of an ARN as it
// stands. The stage may be $default: a $ begins a variable only before {.
func plainPrefix(prefix string) bool {
	return prefix != "" && len(prefix) <= maxPrefix && plain(prefix) && !strings.Contains(prefix, "{")
}

// plainResource does so for the rest. API Gateway's own $connect is never
// written by this way.
func plainResource(prefix, resource string) bool {
	return len(prefix)+len("/")+len(resource) <= maxResource && plain(resource) && !strings.Contains(resource, "$")
}

func plain(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' || strings.IndexByte(`*?"\`, c) >= 0 {
			return false
		}
	}
	return true
}
