package policy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/infra/local/iam"
	"gatehouse/shared/policy"
)

// rule is a rule that wants all of some scopes; "!" refuses.
func rule(route string, scopes ...string) policy.Rule {
	if len(scopes) == 1 && scopes[0] == "!" {
		return policy.Rule{Route: route, Requirement: policy.Requirement{Refuse: true}}
	}
	return policy.Rule{Route: route, Requirement: policy.Requirement{Scopes: scopes}}
}

// document returns the lines of a document, "+" before what it allows and "-"
// before what it denies, without the prefix.
func document(t *testing.T, doc []byte) []string {
	t.Helper()
	var d struct {
		Version   string
		Statement []struct {
			Effect, Action string
			Resource       []string
		}
	}
	decoder := json.NewDecoder(bytes.NewReader(doc))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil {
		t.Fatalf("%v: %s", err, doc)
	}
	if _, err := iam.Parse(doc); err != nil {
		t.Errorf("%v: %s", err, doc)
	}
	var lines []string
	for _, s := range d.Statement {
		sign := map[string]string{"Allow": "+", "Deny": "-"}[s.Effect]
		for _, r := range s.Resource {
			lines = append(lines, sign+strings.TrimPrefix(r, prefix+"/"))
		}
	}
	return lines
}

func TestDocument(t *testing.T) {
	t.Parallel()
	orders := []policy.Rule{
		rule("GET /orders", "read"), rule("GET /orders/{id}", "read"), rule("POST /orders", "write"),
		rule("GET /orders/mine", "own"), rule("ANY /admin/{proxy+}", "admin"),
	}
	files := []policy.Rule{rule("GET /f/{path+}", "all"), rule("GET /f/{name}", "one"), rule("POST /x", "all")}
	deep := []policy.Rule{rule("GET /a/{p+}", "all"), rule("GET /a/{x}/b", "one")}
	tests := []struct {
		name    string
		rules   []policy.Rule
		scopes  string
		request string
		want    []string
	}{
		{
			"all routes of a scope are allowed, HEAD with GET", orders, "read", "GET /orders",
			[]string{"+GET/orders", "+HEAD/orders", "+GET/orders/?*", "+HEAD/orders/?*", "-GET/orders/mine", "-GET/orders/mine/", "-HEAD/orders/mine", "-HEAD/orders/mine/"},
		},
		{
			"another request has the same answer", orders, "read", "HEAD /orders/7",
			[]string{"+GET/orders", "+HEAD/orders", "+GET/orders/?*", "+HEAD/orders/?*", "-GET/orders/mine", "-GET/orders/mine/", "-HEAD/orders/mine", "-HEAD/orders/mine/"},
		},
		{
			"a refused request has the same answer", orders, "read", "POST /orders",
			[]string{"+GET/orders", "+HEAD/orders", "+GET/orders/?*", "+HEAD/orders/?*", "-GET/orders/mine", "-GET/orders/mine/", "-HEAD/orders/mine", "-HEAD/orders/mine/"},
		},
		{
			"a slash at its end makes a refused route no other, unless an allowed route takes that",
			[]policy.Rule{rule("POST /a/{x+}", "s"), rule("POST /a/{x}/b", "!"), rule("POST /c/{x}", "s"), rule("POST /c/d", "!")},
			"s", "POST /c/1",
			[]string{"+POST/a/?*", "+POST/c/?*", "-POST/a/?*/b", "-POST/c/d", "-POST/c/d/"},
		},
		{
			"a pattern that another covers is left out", orders, "read own", "GET /orders",
			[]string{"+GET/orders", "+HEAD/orders", "+GET/orders/?*", "+HEAD/orders/?*"},
		},
		{
			"a literal needs no deny beside a parameter", orders, "own", "GET /orders/mine",
			[]string{"+GET/orders/mine", "+HEAD/orders/mine"},
		},
		{
			"ANY is seven methods", orders, "admin", "GET /admin/x",
			[]string{"+GET/admin/?*", "+HEAD/admin/?*", "+POST/admin/?*", "+PUT/admin/?*", "+PATCH/admin/?*", "+DELETE/admin/?*", "+OPTIONS/admin/?*"},
		},
		{"nothing allowed is everything denied", orders, "unrelated", "GET /orders", []string{"-*"}},
		{
			"a request that is not listed and not covered has the same answer", orders, "write", "GET /unlisted",
			[]string{"+POST/orders"},
		},
		{
			"a request that is not listed but covered is denied", orders, "read own", "GET /orders/1/2",
			[]string{"+GET/orders", "+HEAD/orders", "+GET/orders/?*", "+HEAD/orders/?*", "-GET/orders/1/2"},
		},
		{
			"a request that is not listed, covered and has a wildcard denies everything", orders, "read own", "GET /orders/1/*",
			[]string{"-*"},
		},
		{
			"a refused route is left out of its neighbour",
			[]policy.Rule{rule("GET /a/{p+}", "all"), rule("GET /a/{x}/secret", "!"), rule("GET /b", "!")},
			"all", "GET /a/1", []string{"+GET/a/?*", "+HEAD/a/?*", "-GET/a/?*/secret", "-HEAD/a/?*/secret"},
		},
		{
			"what cannot be told apart is denied to others", files, "all", "POST /x",
			[]string{"+GET/f/?*", "+HEAD/f/?*", "+POST/x", "-GET/f/?*", "-HEAD/f/?*"},
		},
		{
			"what cannot be told apart is allowed by its ARN", files, "all", "GET /f/a/b",
			[]string{"+GET/f/a/b"},
		},
		{
			"what cannot be told apart is refused when its ARN has a wildcard", files, "all", "GET /f/a/*",
			[]string{"+GET/f/?*", "+HEAD/f/?*", "+POST/x", "-GET/f/?*", "-HEAD/f/?*"},
		},
		{
			"what cannot be told apart is refused when its ARN has a variable", files, "all", "GET /f/a/${aws:username}",
			[]string{"+GET/f/?*", "+HEAD/f/?*", "+POST/x", "-GET/f/?*", "-HEAD/f/?*"},
		},
		{
			"what cannot be told apart is refused when its ARN is too long", files, "all", "GET /f/a/" + strings.Repeat("b", 500),
			[]string{"+GET/f/?*", "+HEAD/f/?*", "+POST/x", "-GET/f/?*", "-HEAD/f/?*"},
		},
		{
			"the part that can be told apart has the answer of all", deep, "all", "GET /a/1/2",
			[]string{"+GET/a/?*", "+HEAD/a/?*", "-GET/a/?*/b", "-HEAD/a/?*/b"},
		},
		{
			"the part that cannot has an answer of its own", deep, "all", "GET /a/1/2/b",
			[]string{"+GET/a/1/2/b"},
		},
		{
			"a route alone is told apart where all together are not",
			[]policy.Rule{rule("GET /{x}/a/b", "all"), rule("GET /{p+}", "all"), rule("GET /{x}/{y}/b", "one")},
			"all", "GET /1/a/b", []string{"+GET/?*/a/b"},
		},
		{"a WebSocket handshake", []policy.Rule{rule("$connect", "read"), rule("GET /a", "x")}, "read", "$connect", []string{"+$connect"}},
		{"a refused WebSocket handshake", []policy.Rule{rule("$connect", "read"), rule("GET /a", "x")}, "", "$connect", []string{"-*"}},
		{"the root is not its proxy", []policy.Rule{rule("GET /", "r"), rule("GET /{p+}", "p")}, "p", "GET /x", []string{"+GET/?*", "+HEAD/?*"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			table, err := policy.NewTable(tt.rules)
			if err != nil {
				t.Fatal(err)
			}
			ask := policy.Ask{Prefix: prefix, Grant: table.Grant(policy.Caller{Scopes: strings.Fields(tt.scopes)})}
			ask.Method, ask.Path, _ = strings.Cut(tt.request, " ")
			if ask.Path == "" {
				ask.Method, ask.Path = "", tt.request
			}
			ask.Route, _ = table.Match(ask.Method, ask.Path)
			if diff := cmp.Diff(tt.want, document(t, table.Document(ask))); diff != "" {
				t.Errorf("Document (-want +got):\n%s", diff)
			}
		})
	}
}

// TestDocumentLeavesOutTrailingSlashes: API Gateway may send GET /orders/ to
// GET /orders, which a caller of GET /orders/{id} need not have access to.
func TestDocumentLeavesOutTrailingSlashes(t *testing.T) {
	t.Parallel()
	for _, route := range []string{"GET /orders/{id}", "GET /orders/{p+}"} {
		w := newWorld(t, []policy.Rule{rule(route, "s"), rule("GET /orders", "other")}, map[string]*iam.Policy{})
		w.caller([]string{"s"})
		if doc := w.answer(request{"GET", "/orders/1"}, true); w.allowed(doc, request{"GET", "/orders/"}) {
			t.Errorf("the document for %s allows GET /orders/: %s", route, doc)
		}
	}
}

func TestDocumentIsWrittenSo(t *testing.T) {
	t.Parallel()
	table, err := policy.NewTable([]policy.Rule{rule("POST /a/{p+}", "s"), rule("POST /a/b", "!")})
	if err != nil {
		t.Fatal(err)
	}
	got := table.Document(policy.Ask{Prefix: "arn:aws:execute-api:eu-west-1:123456789012:abc123/$default", Grant: table.Grant(policy.Caller{Scopes: []string{"s"}})})
	const want = `{"Version":"2012-10-17","Statement":[` +
		`{"Effect":"Allow","Action":"execute-api:Invoke","Resource":["arn:aws:execute-api:eu-west-1:123456789012:abc123/$default/POST/a/?*"]},` +
		`{"Effect":"Deny","Action":"execute-api:Invoke","Resource":["arn:aws:execute-api:eu-west-1:123456789012:abc123/$default/POST/a/b"]}]}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestDocumentDistrustsWhatItIsAsked mixes up what API Gateway would not.
func TestDocumentDistrustsWhatItIsAsked(t *testing.T) {
	t.Parallel()
	table, err := policy.NewTable([]policy.Rule{rule("GET /a/{p+}", "s"), rule("GET /a/{x}/b", "!"), rule("GET /c", "t")})
	if err != nil {
		t.Fatal(err)
	}
	grant := table.Grant(policy.Caller{Scopes: []string{"s"}})
	route, _ := table.Match("GET", "/a/1")
	base := []string{"+GET/a/?*", "+HEAD/a/?*", "-GET/a/?*/b", "-HEAD/a/?*/b"}
	tests := []struct {
		name string
		ask  policy.Ask
		want []string
	}{
		{"a prefix with a wildcard denies everything", policy.Ask{Prefix: "arn:*", Grant: grant, Route: route, Method: "GET", Path: "/a/1"}, []string{"-*"}},
		{"a prefix with a variable denies everything", policy.Ask{Prefix: "arn:${x}", Grant: grant, Route: route, Method: "GET", Path: "/a/1"}, []string{"-*"}},
		{"a prefix with a quote denies everything", policy.Ask{Prefix: `arn:"`, Grant: grant, Route: route, Method: "GET", Path: "/a/1"}, []string{"-*"}},
		{"no prefix denies everything", policy.Ask{Grant: grant, Route: route, Method: "GET", Path: "/a/1"}, []string{"-*"}},
		{"a long prefix denies everything", policy.Ask{Prefix: strings.Repeat("a", 201), Grant: grant, Route: route, Method: "GET", Path: "/a/1"}, []string{"-*"}},
		{"no grant denies everything", policy.Ask{Prefix: prefix, Route: route, Method: "GET", Path: "/a/1"}, []string{"-*"}},
		{"a path of another route is not allowed for it", policy.Ask{Prefix: prefix, Grant: grant, Route: route, Method: "GET", Path: "/c"}, base},
		{"nor is one that we would route to a refused one", policy.Ask{Prefix: prefix, Grant: grant, Route: route, Method: "GET", Path: "/a/1/b"}, base},
		{"nor another method", policy.Ask{Prefix: prefix, Grant: grant, Route: route, Method: "PUT", Path: "/a/1/2/b"}, base},
		{
			"an unlisted template that would be covered is denied",
			policy.Ask{Prefix: prefix, Grant: grant, Method: "GET", Path: "/a/1/z", Template: "/a/{x}/z"},
			append(base[:4:4], "-GET/a/?*/z"),
		},
		{
			"an unlisted template with a path that needs it",
			policy.Ask{Prefix: prefix, Grant: grant, Method: "GET", Path: "/a/*/z", Template: "/a/{x}/z"},
			append(base[:4:4], "-GET/a/?*/z"),
		},
		{
			"an unlisted template that the path does not match is not used",
			policy.Ask{Prefix: prefix, Grant: grant, Method: "GET", Path: "/a/1/y", Template: "/z/{x}"},
			append(base[:4:4], "-GET/a/1/y"),
		},
		{
			"what is no template is not used",
			policy.Ask{Prefix: prefix, Grant: grant, Method: "GET", Path: "/a/1/y", Template: "/a/*"},
			append(base[:4:4], "-GET/a/1/y"),
		},
		{"a path that JSON would escape is not written", policy.Ask{Prefix: prefix, Grant: grant, Method: "GET", Path: "/a/\"\n"}, []string{"-*"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			doc := table.Document(tt.ask)
			if diff := cmp.Diff(tt.want, document(t, doc)); diff != "" {
				t.Errorf("Document (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDocumentIsShortenedWhenItIsTooLong(t *testing.T) {
	t.Parallel()
	var anys, gets []policy.Rule
	for i := range 40 {
		anys = append(anys, rule(fmt.Sprintf("ANY /any%d/{p+}", i), "s"))
	}
	for i := range 30 {
		gets = append(gets, rule(fmt.Sprintf("GET /a-path-that-is-long/get%d", i), "s"), rule(fmt.Sprintf("POST /a-path-that-is-long/get%d", i), "s"))
	}
	refused := rule("GET /x/{y}/any3/{z}", "other") // which */any3/* covers
	tests := []struct {
		name     string
		rules    []policy.Rule
		has, not string
	}{
		{"ANY is a star", anys, "+*/any3/?*", "+GET/any3/?*"},
		{"a star is kept off refused routes of other templates", append(anys[:40:40], refused), "-GET/x/?*/any3/?*", "+GET/any3/?*"},
		{
			"a star is not used where it is not exact, and each route has an answer of its own",
			append(anys[:40:40], refused, rule("GET /x/{y}/any3/{z}/{p+}", "s")), "-*", "+*/any3/?*",
		},
		{"HEAD beside GET is left out", gets, "+GET/a-path-that-is-long/get7", "+HEAD/a-path-that-is-long/get7"},
		{"HEAD that is listed is not", append(gets[:60:60], rule("HEAD /a", "s")), "+HEAD/a", "+HEAD/a-path-that-is-long/get7"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tt.rules, map[string]*iam.Policy{})
			w.caller([]string{"s"})
			lines := strings.Join(document(t, w.answer(request{"POST", "/"}, false)), "\n") + "\n"
			if !strings.Contains(lines, tt.has+"\n") || strings.Contains(lines, tt.not+"\n") {
				t.Errorf("the document must have %s and not %s:\n%s", tt.has, tt.not, lines)
			}
			r := rand.New(rand.NewPCG(1, 2))
			var all []request
			for range 200 {
				q := randomRequest(r, tt.rules)
				if q.method != "HEAD" || !w.table.Report().HeadApart {
					all = append(all, q)
				}
				if wrong := w.check(q, true, nil); wrong != "" {
					t.Errorf("%s %q: %s", q.method, q.path, wrong)
				}
			}
			for _, q := range all[:20] {
				if wrong := w.check(q, true, all); wrong != "" {
					t.Errorf("%s %q: %s", q.method, q.path, wrong)
				}
			}
		})
	}
}

// TestTablesTooTangledToAnalyse has so many wildcards that the search for
// overlaps gives up: documents may refuse more, but never allow more.
func TestTablesTooTangledToAnalyse(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	var rules []policy.Rule
	seen := map[string]bool{}
	for len(rules) < 500 {
		var b strings.Builder
		for i, n := 0, 1+r.IntN(7); i < n; i++ {
			switch k := r.IntN(10); {
			case k < 4:
				b.WriteString("/" + pick(r, []string{"a", "b", "c", "d"}))
			case k < 8 || i < n-1:
				fmt.Fprintf(&b, "/{p%d}", i)
			default:
				fmt.Fprintf(&b, "/{p%d+}", i)
			}
		}
		if shape := shapeOf(b.String()); !seen[shape] {
			seen[shape] = true
			rules = append(rules, rule("GET "+b.String(), fmt.Sprint("s", r.IntN(20))))
		}
	}
	w := newWorld(t, rules, map[string]*iam.Policy{})
	for held := range 20 {
		w.caller([]string{fmt.Sprint("s", held)})
		var all []request
		for range 100 {
			all = append(all, request{"GET", "/" + strings.Join(slices.Repeat([]string{pick(r, oddities)}, r.IntN(3)), "/") + randomRequest(r, rules).path})
		}
		for _, q := range all[:20] {
			if wrong := w.check(q, false, all); wrong != "" {
				t.Fatalf("%s %q: %s", q.method, q.path, wrong)
			}
		}
	}
}

func TestDocumentsAreCached(t *testing.T) {
	table, err := policy.NewTable([]policy.Rule{rule("GET /a/{x}", "s"), rule("GET /b", "t")})
	if err != nil {
		t.Fatal(err)
	}
	ask := policy.Ask{Prefix: prefix, Grant: table.Grant(policy.Caller{Scopes: []string{"s"}}), Method: "GET", Path: "/a/1"}
	ask.Route, _ = table.Match("GET", "/a/1")
	first := table.Document(ask)
	want := string(first)
	if n := testing.AllocsPerRun(100, func() { table.Document(ask) }); n != 0 {
		t.Errorf("%v allocations for a document that is known, want none", n)
	}
	for i := range 1000 { // many more stages than are kept
		other := ask
		other.Prefix = fmt.Sprintf("%s%d", prefix, i)
		if got := string(table.Document(other)); got != strings.ReplaceAll(want, prefix, other.Prefix) {
			t.Fatalf("stage %d has the document %s", i, got)
		}
	}
	again := table.Document(ask)
	if string(again) != want {
		t.Errorf("got %s, want %s", again, want)
	}
	if &again[0] == &first[0] {
		t.Error("the first of 1,000 documents is still kept")
	}
}

func TestDocumentConcurrently(t *testing.T) {
	t.Parallel()
	rules := manyRules(50)
	table, err := policy.NewTable(rules)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	for n := range 8 {
		go func() {
			defer func() { done <- struct{}{} }()
			for i := range 300 {
				c := policy.Caller{Scopes: []string{fmt.Sprintf("c%d:read", i%9)}}
				table.Document(policy.Ask{Prefix: fmt.Sprint(prefix, (i+n)%40), Grant: table.Grant(c)})
			}
		}()
	}
	for range 8 {
		<-done
	}
}
