package policy_test

import (
	"strings"
	"testing"

	"gatehouse/shared/policy"
)

func TestParseRoute(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, route, method, template string }{
		{"the root", "GET /", "GET", "/"},
		{"literals", "DELETE /v1/orders", "DELETE", "/v1/orders"},
		{"a parameter", "PATCH /orders/{order-id}", "PATCH", "/orders/{order-id}"},
		{"parameters in the middle", "PUT /{a}/x/{b.c:d_e}", "PUT", "/{a}/x/{b.c:d_e}"},
		{"a proxy", "ANY /admin/{proxy+}", "ANY", "/admin/{proxy+}"},
		{"a proxy at the root", "HEAD /{p+}", "HEAD", "/{p+}"},
		{"every character of a path but *", "POST /-._~!$&'()+,;=:@aZ0%2F", "POST", "/-._~!$&'()+,;=:@aZ0%2F"},
		{"a well-known document", "OPTIONS /.well-known/x", "OPTIONS", "/.well-known/x"},
		{"a WebSocket handshake", "$connect", "", "$connect"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			method, template, err := policy.ParseRoute(tt.route)
			if method != tt.method || template != tt.template || err != nil {
				t.Errorf("ParseRoute(%q) = %q, %q, %v, want %q, %q", tt.route, method, template, err, tt.method, tt.template)
			}
		})
	}
}

func TestParseRouteRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, route, want string }{
		{"nothing", "", `is not "METHOD /path"`},
		{"a path alone", "/orders", `is not "METHOD /path"`},
		{"another WebSocket route", "$default", `is not "METHOD /path"`},
		{"a method in lower case", "get /orders", "the method is none of ANY, GET"},
		{"a method of WebDAV", "PROPFIND /orders", "the method is none of ANY, GET"},
		{"two spaces", "GET  /orders", "does not begin with /"},
		{"a space at the end", "GET /orders ", `the character ' '`},
		{"a relative path", "GET orders", "does not begin with /"},
		{"a trailing slash", "GET /orders/", "a segment is empty"},
		{"a double slash", "GET /orders//x", "a segment is empty"},
		{"a dot segment", "GET /a/./b", "the segment . is resolved"},
		{"two dots", "GET /a/../b", "the segment .. is resolved"},
		{"a wildcard", "GET /a/*", `the character '*'`},
		{"a part of a wildcard", "GET /a/x*", `the character '*'`},
		{"a question mark", "GET /a?x=1", `the character '?'`},
		{"a fragment", "GET /a#b", `the character '#'`},
		{"a policy variable", "GET /${aws:username}", "neither {name} nor {name+} nor a literal"},
		{"letters that are not ASCII", "GET /é", "the character"},
		{"a quote", `GET /"`, "the character"},
		{"a backslash", `GET /a\b`, "the character"},
		{"a control character", "GET /a\x00", "the character"},
		{"half of an escape", "GET /a%2", "no two hexadecimal digits"},
		{"an escape of other letters", "GET /%zz", "no two hexadecimal digits"},
		{"a parameter without a name", "GET /{}", "neither {name} nor {name+} nor a literal"},
		{"a proxy without a name", "GET /{+}", "neither {name} nor {name+} nor a literal"},
		{"a parameter in a part of a segment", "GET /v{version}", "neither {name} nor {name+} nor a literal"},
		{"two parameters in a segment", "GET /{a}{b}", "in its name"},
		{"a parameter that is not closed", "GET /{a", "neither {name} nor {name+} nor a literal"},
		{"a brace alone", "GET /a}", "neither {name} nor {name+} nor a literal"},
		{"a parameter with a star", "GET /{a*}", "in its name"},
		{"a parameter of two words", "GET /{a b}", "in its name"},
		{"a proxy in the middle", "GET /{a+}/b", "something follows {name+}"},
		{"a parameter twice", "GET /{a}/{a}", "the parameter {a} occurs twice"},
		{"a parameter and a proxy of one name", "GET /{a}/{a+}", "the parameter {a} occurs twice"},
		{"a path that is too long", "GET /" + strings.Repeat("a", 256), "more than 256 characters"},
		{"too many segments", "GET " + strings.Repeat("/a", 33), "more than 30 segments"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, _, err := policy.ParseRoute(tt.route)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "policy: route ") {
				t.Errorf("ParseRoute(%q) = %v, want an error that says %q", tt.route, err, tt.want)
			}
		})
	}
}

func FuzzParseRoute(f *testing.F) {
	for _, s := range []string{"GET /orders/{id}", "ANY /admin/{proxy+}", "$connect", "HEAD /", "GET /%2F/a:b", "GET /{a}/{b+}/c", "GET /*"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		method, template, err := policy.ParseRoute(s)
		table, tableErr := policy.NewTable([]policy.Rule{{Route: s}})
		if (err == nil) != (tableErr == nil) {
			t.Fatalf("ParseRoute(%q): %v, NewTable: %v", s, err, tableErr)
		}
		if err != nil {
			return
		}
		if joined := strings.TrimSpace(method + " " + template); joined != s {
			t.Errorf("ParseRoute(%q) = %q, %q", s, method, template)
		}
		if strings.ContainsAny(template, `*?"\`) || strings.Contains(template, "${") {
			t.Errorf("ParseRoute(%q) lets pass what IAM or JSON would read", s)
		}
		if method == "ANY" {
			method = "POST"
		}
		route, ok := table.Routed(method, template)
		if !ok {
			t.Errorf("%q is not routed", s)
		}
		// A template is a path of its own, its parameters being text.
		if matched, _ := table.Match(method, template); matched != route {
			t.Errorf("%q does not match itself", s)
		}
	})
}

// routes has a rule for each place at which precedence could go wrong; the
// scope names the rule.
func routes(t *testing.T) *policy.Table {
	t.Helper()
	var rules []policy.Rule
	for _, route := range []string{
		"GET /", "GET /{p+}", "GET /a", "GET /a/{x}", "GET /a/b", "GET /a/{x}/c", "GET /a/b/{p+}", "POST /a/b",
		"GET /{x}/b", "ANY /any", "GET /any", "HEAD /head", "ANY /head", "DELETE /only", "ANY /only/{x}", "GET /only/{x}/y",
		"GET /Case", "GET /%2F", "GET /a:b", "GET /q/{x}/{p+}", "GET /q/r/s", "$connect",
	} {
		rules = append(rules, policy.Rule{Route: route, Requirement: policy.Requirement{Scopes: []string{strings.ReplaceAll(route, " ", "")}}})
	}
	table, err := policy.NewTable(rules)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// ruleOf names the rule of a route by the scope it needs, "" for none.
func ruleOf(table *policy.Table, r policy.Route) string {
	_, needs := table.Refusal(r, policy.Caller{})
	return strings.Join(needs, " ")
}

func TestMatch(t *testing.T) {
	t.Parallel()
	table := routes(t)
	tests := []struct{ name, method, path, want string }{
		{"the root", "GET", "/", "GET/"},
		{"a literal before a proxy", "GET", "/a", "GET/a"},
		{"a parameter before a proxy", "GET", "/a/z", "GET/a/{x}"},
		{"a literal before a parameter", "GET", "/a/b", "GET/a/b"},
		{"a literal earlier wins over literals later", "GET", "/a/b/c", "GET/a/b/{p+}"},
		{"another branch when the first leads nowhere", "GET", "/a/z/c", "GET/a/{x}/c"},
		{"back to the root's proxy", "GET", "/a/z/d", "GET/{p+}"},
		{"back over a literal that has not the rest", "GET", "/q/r/t", "GET/q/{x}/{p+}"},
		{"a parameter first", "GET", "/z/b", "GET/{x}/b"},
		{"a proxy takes empty segments", "GET", "/a/b//", "GET/a/b/{p+}"},
		{"a proxy does not take nothing", "GET", "/a/b/", "GET/{p+}"},
		{"a parameter does not take nothing", "GET", "/a/", "GET/{p+}"},
		{"a double slash is an empty segment", "GET", "//b", "GET/{p+}"},
		{"case matters", "GET", "/case", "GET/{p+}"},
		{"the same case", "GET", "/Case", "GET/Case"},
		{"escapes are not decoded", "GET", "/%2f", "GET/{p+}"},
		{"the same escape", "GET", "/%2F", "GET/%2F"},
		{"an escaped letter", "GET", "/%61", "GET/{p+}"},
		{"a colon", "GET", "/a:b", "GET/a:b"},
		{"a method that is listed elsewhere only", "PUT", "/a", ""},
		{"another method of the same template", "POST", "/a/b", "POST/a/b"},
		{"HEAD is GET", "HEAD", "/a/b", "GET/a/b"},
		{"HEAD is GET before it is ANY", "HEAD", "/any", "GET/any"},
		{"HEAD is itself before it is ANY", "HEAD", "/head", "HEAD/head"},
		{"HEAD is ANY", "HEAD", "/only/x", "ANY/only/{x}"},
		{"ANY is what is not listed", "PUT", "/any", "ANY/any"},
		{"ANY is not what is listed", "GET", "/any", "GET/any"},
		{"a method that nothing is listed for", "TRACE", "/any", ""},
		{"a method in lower case", "get", "/any", ""},
		{"ANY is no method", "ANY", "/any", ""},
		{"no method", "", "/any", ""},
		{"no path", "GET", "", ""},
		{"a relative path", "GET", "a", ""},
		{"a WebSocket handshake", "", "$connect", "$connect"},
		{"a path that is too long", "GET", "/" + strings.Repeat("a", 8<<10), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r, listed := table.Match(tt.method, tt.path)
			if got := ruleOf(table, r); got != tt.want || listed != (got != "") {
				t.Errorf("Match(%q, %q) is %q, want %q", tt.method, tt.path, got, tt.want)
			}
		})
	}
}

func TestRouted(t *testing.T) {
	t.Parallel()
	table := routes(t)
	tests := []struct{ name, method, template, want string }{
		{"a literal", "GET", "/a/b", "GET/a/b"},
		{"other names of parameters", "GET", "/a/{other-name}", "GET/a/{x}"},
		{"another name of a proxy", "GET", "/{proxy+}", "GET/{p+}"},
		{"a parameter is not a proxy", "GET", "/{proxy}", ""},
		{"a template is not a path", "GET", "/a/z", ""},
		{"HEAD is GET", "HEAD", "/a/{y}", "GET/a/{x}"},
		{"ANY", "PUT", "/only/{y}", "ANY/only/{x}"},
		{"the method of a route key is not enough", "ANY", "/only/{y}", ""},
		{"a WebSocket handshake", "", "$connect", "$connect"},
		{"what the tree has inside", "GET", "/a/{}", ""},
		{"a proxy that the tree has inside", "GET", "/{+}", ""},
		{"no slash at the beginning", "GET", "xa", ""},
		{"another route of a WebSocket API", "", "$default", ""},
		{"nothing", "GET", "", ""},
		{"a long template", "GET", "/" + strings.Repeat("a", 10_000), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r, listed := table.Routed(tt.method, tt.template)
			if got := ruleOf(table, r); got != tt.want || listed != (got != "") {
				t.Errorf("Routed(%q, %q) is %q, want %q", tt.method, tt.template, got, tt.want)
			}
		})
	}
}

func TestRoutingDoesNotAllocate(t *testing.T) {
	table := routes(t)
	if n := testing.AllocsPerRun(100, func() {
		table.Routed("GET", "/a/{some-name}/c")
		table.Match("GET", "/a/z/c")
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
