package iam_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"gatehouse/infra/local/iam"
)

const (
	invoke = "execute-api:Invoke"
	arn    = "arn:aws:execute-api:eu-west-1:123456789012:abc123/prod"
)

func parse(t *testing.T, doc string) *iam.Policy {
	t.Helper()
	p, err := iam.Parse([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// policy is a document with one statement that allows invoke on resource and
// one, if deny is not empty, that denies it.
func policy(allow, deny string) string {
	doc := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"execute-api:Invoke","Resource":"` + allow + `"}`
	if deny != "" {
		doc += `,{"Effect":"Deny","Action":"execute-api:Invoke","Resource":"` + deny + `"}`
	}
	return doc + `]}`
}

func statement(body string) string {
	return `{"Version":"2012-10-17","Statement":{` + body + `}}`
}

func TestEvaluateResources(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, allow, deny, request string
		want                       iam.Verdict
	}{
		{"the same ARN is allowed", arn + "/GET/a", "", arn + "/GET/a", iam.Allow},
		{"another path is denied implicitly", arn + "/GET/a", "", arn + "/GET/b", iam.ImplicitDeny},
		{"a longer path is denied implicitly", arn + "/GET/a", "", arn + "/GET/a/", iam.ImplicitDeny},
		{"paths are compared with case", arn + "/GET/a", "", arn + "/GET/A", iam.ImplicitDeny},
		{"methods are compared with case", arn + "/GET/a", "", arn + "/get/a", iam.ImplicitDeny},
		{"* crosses slashes", arn + "/GET/a/*", "", arn + "/GET/a/b/c", iam.Allow},
		{"* crosses colons", "arn:aws:execute-api:*/GET/a", "", arn + "/GET/a", iam.Allow},
		{"* matches nothing at all too", arn + "/GET/a/*", "", arn + "/GET/a/", iam.Allow},
		{"* needs the slash before it", arn + "/GET/a/*", "", arn + "/GET/a", iam.ImplicitDeny},
		{"* inside is matched by any number of segments", arn + "/GET/a/*/z", "", arn + "/GET/a/b/c/z", iam.Allow},
		{"several * are tried in every way", arn + "/GET/*/b/*/c", "", arn + "/GET/b/b/c/b/c/c", iam.Allow},
		{"* alone is everything", "*", "", arn + "/GET/a", iam.Allow},
		{"? is one character", arn + "/GET/?", "", arn + "/GET/a", iam.Allow},
		{"? is not two characters", arn + "/GET/?", "", arn + "/GET/ab", iam.ImplicitDeny},
		{"? is not nothing", arn + "/GET/a?", "", arn + "/GET/a", iam.ImplicitDeny},
		{"? is one character of several bytes", arn + "/GET/?", "", arn + "/GET/é", iam.Allow},
		{"dots are literal", arn + "/GET/a.b", "", arn + "/GET/axb", iam.ImplicitDeny},
		{"brackets and plus are literal", arn + "/GET/[a]+", "", arn + "/GET/[a]+", iam.Allow},
		{"a lone $ is literal", arn + "/$connect", "", arn + "/$connect", iam.Allow},
		{"$default as a stage is literal", "arn:aws:execute-api:r:1:a/$default/GET/", "", "arn:aws:execute-api:r:1:a/$default/GET/", iam.Allow},
		{"${*} is a star", arn + "/GET/${*}", "", arn + "/GET/*", iam.Allow},
		{"${*} is not a wildcard", arn + "/GET/${*}", "", arn + "/GET/a", iam.ImplicitDeny},
		{"${?} is a question mark", arn + "/GET/a${?}b", "", arn + "/GET/a?b", iam.Allow},
		{"${$} is a dollar", arn + "/GET/${$}{x}", "", arn + "/GET/${x}", iam.Allow},
		{"another variable matches nothing", arn + "/GET/${aws:username}", "", arn + "/GET/${aws:username}", iam.ImplicitDeny},
		{"a variable without end matches nothing", arn + "/GET/${*", "", arn + "/GET/${*", iam.ImplicitDeny},
		{"wildcards in the request are text", arn + "/GET/a", "", arn + "/GET/*", iam.ImplicitDeny},
		{"a deny wins", arn + "/GET/*", arn + "/GET/a", arn + "/GET/a", iam.ExplicitDeny},
		{"a deny elsewhere does not matter", arn + "/GET/*", arn + "/GET/a", arn + "/GET/b", iam.Allow},
		{"a deny without an allow is explicit", arn + "/GET/b", arn + "/GET/*", arn + "/GET/a", iam.ExplicitDeny},
		{"a deny with a variable denies nothing", arn + "/GET/*", arn + "/GET/${x}", arn + "/GET/${x}", iam.Allow},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := parse(t, policy(tt.allow, tt.deny)).Evaluate(invoke, tt.request, iam.Context{}); got != tt.want {
				t.Errorf("Evaluate(%s) = %v, want %v", tt.request, got, tt.want)
			}
		})
	}
}

func TestEvaluateStatements(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body string
		want       iam.Verdict
	}{
		{"actions are compared without case", `"Effect":"Allow","Action":"EXECUTE-API:invoke","Resource":"*"`, iam.Allow},
		{"an action may have wildcards", `"Effect":"Allow","Action":"execute-api:*","Resource":"*"`, iam.Allow},
		{"an action may have one-character wildcards", `"Effect":"Allow","Action":"execute-api:Invok?","Resource":"*"`, iam.Allow},
		{"an action may be everything", `"Effect":"Allow","Action":"*","Resource":"*"`, iam.Allow},
		{"one of several actions is enough", `"Effect":"Allow","Action":["s3:*","execute-api:Invoke"],"Resource":"*"`, iam.Allow},
		{"another action does not apply", `"Effect":"Allow","Action":"execute-api:ManageConnections","Resource":"*"`, iam.ImplicitDeny},
		{"NotAction allows the others", `"Effect":"Allow","NotAction":"s3:*","Resource":"*"`, iam.Allow},
		{"NotAction does not allow its own", `"Effect":"Allow","NotAction":"execute-api:*","Resource":"*"`, iam.ImplicitDeny},
		{"one of several resources is enough", `"Effect":"Allow","Action":"*","Resource":["` + arn + `/GET/b","` + arn + `/GET/a"]`, iam.Allow},
		{"NotResource allows the others", `"Effect":"Allow","Action":"*","NotResource":"` + arn + `/GET/b"`, iam.Allow},
		{"NotResource does not allow its own", `"Effect":"Allow","Action":"*","NotResource":["` + arn + `/GET/b","` + arn + `/*"]`, iam.ImplicitDeny},
		{"NotResource denies the others", `"Effect":"Deny","Action":"*","NotResource":"` + arn + `/GET/b"`, iam.ExplicitDeny},
		{"NotResource with a variable does not apply", `"Effect":"Allow","Action":"*","NotResource":"${x}"`, iam.ImplicitDeny},
		{"Sid does not matter", `"Sid":"x","Effect":"Allow","Action":"*","Resource":"*"`, iam.Allow},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := parse(t, statement(tt.body)).Evaluate(invoke, arn+"/GET/a", iam.Context{}); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestEvaluateConditions(t *testing.T) {
	t.Parallel()
	request := iam.Context{
		SourceIP:  "192.0.2.7",
		UserAgent: "curl/8.0",
		Now:       time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC),
	}
	const applies, not, unknown = "applies", "does not apply", "cannot be told"
	tests := []struct {
		name, condition, want string
	}{
		{"an equal string", `{"StringEquals":{"aws:UserAgent":"curl/8.0"}}`, applies},
		{"keys in another case", `{"StringEquals":{"AWS:useragent":"curl/8.0"}}`, applies},
		{"one of several values", `{"StringEquals":{"aws:UserAgent":["x","curl/8.0"]}}`, applies},
		{"another string", `{"StringEquals":{"aws:UserAgent":"curl/9"}}`, not},
		{"a star is no wildcard for StringEquals", `{"StringEquals":{"aws:UserAgent":"curl/*"}}`, not},
		{"StringNotEquals of another string", `{"StringNotEquals":{"aws:UserAgent":"x"}}`, applies},
		{"StringNotEquals with the string among several", `{"StringNotEquals":{"aws:UserAgent":["x","curl/8.0"]}}`, not},
		{"StringLike", `{"StringLike":{"aws:UserAgent":"curl/?.*"}}`, applies},
		{"StringLike of another", `{"StringLike":{"aws:UserAgent":"wget*"}}`, not},
		{"a variable as value", `{"StringLike":{"aws:UserAgent":"${aws:username}*"}}`, unknown},
		{"an address", `{"IpAddress":{"aws:SourceIp":"192.0.2.7"}}`, applies},
		{"a block", `{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","192.0.2.0/24"]}}`, applies},
		{"another block", `{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`, not},
		{"not in a block", `{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`, applies},
		{"in a block it must not be in", `{"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}}`, not},
		{"an address operator on text", `{"NotIpAddress":{"aws:UserAgent":"192.0.2.0/24"}}`, unknown},
		{"before a date", `{"DateLessThan":{"aws:CurrentTime":"2026-11-24T12:00:01Z"}}`, applies},
		{"after a date", `{"DateGreaterThan":{"aws:CurrentTime":"2026-11-24"}}`, applies},
		{"after seconds since 1970", `{"DateGreaterThan":{"aws:CurrentTime":"1700000000"}}`, applies},
		{"not before a date that is past", `{"DateLessThan":{"aws:CurrentTime":"2026-01-01T00:00:00Z"}}`, not},
		{"a date operator on text", `{"DateLessThan":{"aws:UserAgent":"2026-01-01T00:00:00Z"}}`, unknown},
		{"encrypted transport", `{"Bool":{"aws:SecureTransport":true}}`, applies},
		{"plain transport", `{"Bool":{"aws:SecureTransport":"false"}}`, not},
		{"a boolean operator on text", `{"Bool":{"aws:UserAgent":"true"}}`, unknown},
		{"two keys that hold", `{"IpAddress":{"aws:SourceIp":"192.0.2.7"},"StringLike":{"aws:UserAgent":"curl*"}}`, applies},
		{"two keys of which one does not hold", `{"IpAddress":{"aws:SourceIp":"192.0.2.7"},"StringLike":{"aws:UserAgent":"x"}}`, not},
		{"an unknown key", `{"StringEquals":{"aws:PrincipalTag/x":"y"}}`, unknown},
		{"an unknown operator", `{"StringEqualsIgnoreCase":{"aws:UserAgent":"CURL/8.0"}}`, unknown},
		{"an unknown key and one that does not hold", `{"StringEquals":{"x":"y","aws:UserAgent":"x"}}`, not},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			allow, deny := iam.ImplicitDeny, iam.ImplicitDeny
			if tt.want == applies {
				allow = iam.Allow
			}
			if tt.want != not {
				deny = iam.ExplicitDeny
			}
			const body = `"Effect":%q,"Action":"*","Resource":"*","Condition":%s`
			if got := parse(t, statement(fmt.Sprintf(body, "Allow", tt.condition))).Evaluate(invoke, arn, request); got != allow {
				t.Errorf("as a condition of Allow: got %v, want %v", got, allow)
			}
			if got := parse(t, statement(fmt.Sprintf(body, "Deny", tt.condition))).Evaluate(invoke, arn, request); got != deny {
				t.Errorf("as a condition of Deny: got %v, want %v", got, deny)
			}
		})
	}
}

func TestEvaluateWithoutContextFailsClosed(t *testing.T) {
	t.Parallel()
	for _, condition := range []string{
		`{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`,
		`{"StringNotEquals":{"aws:UserAgent":"x"}}`,
		`{"DateGreaterThan":{"aws:CurrentTime":"1970-01-01"}}`,
	} {
		p := parse(t, statement(`"Effect":"Allow","Action":"*","Resource":"*","Condition":`+condition))
		if got := p.Evaluate(invoke, arn, iam.Context{}); got != iam.ImplicitDeny {
			t.Errorf("%s: got %v, want %v", condition, got, iam.ImplicitDeny)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	const rest = `"Action":"execute-api:Invoke","Resource":"*"`
	tests := []struct{ name, doc, want string }{
		{"what is not JSON", `{`, "not JSON"},
		{"broken UTF-8", "{\"Version\":\"\xff\"}", "not JSON"},
		{"an array", `[]`, "not an object"},
		{"null", `null`, "not an object"},
		{"no version", `{"Statement":{"Effect":"Allow",` + rest + `}}`, "Version"},
		{"the version without variables", `{"Version":"2008-10-17","Statement":{"Effect":"Allow",` + rest + `}}`, "Version"},
		{"no statement", `{"Version":"2012-10-17"}`, "not an object"},
		{"an empty statement list", `{"Version":"2012-10-17","Statement":[]}`, "Statement is empty"},
		{"a name in another case", `{"version":"2012-10-17","Statement":[]}`, `unknown member "version"`},
		{"an unknown member", `{"Version":"2012-10-17","Statement":[],"x":1}`, `unknown member "x"`},
		{"a member twice", statement(`"Effect":"Allow","Effect":"Deny",` + rest), `"Effect" occurs twice`},
		{"no effect", statement(rest), "Effect"},
		{"an effect in another case", statement(`"Effect":"allow",` + rest), "Effect"},
		{"a principal", statement(`"Effect":"Allow","Principal":"*",` + rest), `unknown member "Principal"`},
		{"no action", statement(`"Effect":"Allow","Resource":"*"`), "one of Action and NotAction"},
		{"two kinds of action", statement(`"Effect":"Allow","NotAction":"x",` + rest), "one of Action and NotAction"},
		{"no resource", statement(`"Effect":"Allow","Action":"*"`), "one of Resource and NotResource"},
		{"two kinds of resource", statement(`"Effect":"Allow","NotResource":"x",` + rest), "one of Resource and NotResource"},
		{"an empty list of resources", statement(`"Effect":"Allow","Action":"*","Resource":[]`), "Resource: is empty"},
		{"an empty resource", statement(`"Effect":"Allow","Action":"*","Resource":[""]`), "Resource: is empty"},
		{"null as a resource", statement(`"Effect":"Allow","Action":"*","Resource":null`), "Resource: is empty"},
		{"a number as a resource", statement(`"Effect":"Allow","Action":"*","Resource":1`), "Resource: neither"},
		{"numbers as resources", statement(`"Effect":"Allow","Action":"*","Resource":[1]`), "Resource: not an array of strings"},
		{"a resource that is too long", statement(`"Effect":"Allow","Action":"*","Resource":"` + strings.Repeat("x", 513) + `"`), "more than 512"},
		{"a document that is too long", strings.Repeat(" ", 64<<10) + `{}`, "at most 65536"},
		{"a condition that is a string", statement(`"Effect":"Allow","Condition":"x",` + rest), "condition: not an object"},
		{"an operator without keys", statement(`"Effect":"Allow","Condition":{"Bool":[]},` + rest), "condition: Bool: not an object"},
		{"a condition without values", statement(`"Effect":"Allow","Condition":{"Bool":{"x":[]}},` + rest), "has no value"},
		{"a condition on a number", statement(`"Effect":"Allow","Condition":{"Bool":{"x":[1]}},` + rest), "neither a string nor a boolean"},
		{"an address that is none", statement(`"Effect":"Allow","Condition":{"IpAddress":{"x":"1.2.3"}},` + rest), "neither an address nor a CIDR block"},
		{"a block that is none", statement(`"Effect":"Allow","Condition":{"IpAddress":{"x":"1.2.3.4/99"}},` + rest), "neither an address nor a CIDR block"},
		{"a date that is none", statement(`"Effect":"Allow","Condition":{"DateLessThan":{"x":"soon"}},` + rest), "neither a date"},
		{"a truth that is none", statement(`"Effect":"Allow","Condition":{"Bool":{"x":"yes"}},` + rest), "neither true nor false"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := iam.Parse([]byte(tt.doc))
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "iam: ") {
				t.Errorf("Parse = %v, want an error that says %q", err, tt.want)
			}
		})
	}
}

func TestResourcePolicies(t *testing.T) {
	t.Parallel()
	const vpce = `,"Condition":{"StringNotEquals":{"aws:SourceVpce":"vpce-1"}}`
	inside, outside := iam.Context{VPCEndpoint: "vpce-1"}, iam.Context{}
	tests := []struct {
		name, body string
		from       iam.Context
		want       iam.Verdict
	}{
		{"everybody", `"Effect":"Allow","Principal":"*"`, outside, iam.Allow},
		{"everybody with an account", `"Effect":"Allow","Principal":{"AWS":"*"}`, outside, iam.Allow},
		{"everybody among others", `"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::1:root","*"]}`, outside, iam.Allow},
		{"somebody in particular has to sign", `"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::1:root"}`, outside, iam.ImplicitDeny},
		{"who signs is not who does not", `"Effect":"Deny","Principal":{"AWS":"arn:aws:iam::1:root"}`, outside, iam.ImplicitDeny},
		{"another endpoint is denied", `"Effect":"Deny","Principal":"*"` + vpce, iam.Context{VPCEndpoint: "vpce-2"}, iam.ExplicitDeny},
		{"no endpoint is denied", `"Effect":"Deny","Principal":"*"` + vpce, outside, iam.ExplicitDeny},
		{"the endpoint is not denied", `"Effect":"Deny","Principal":"*"` + vpce, inside, iam.ImplicitDeny},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, err := iam.ParseResource([]byte(statement(tt.body + `,"Action":"execute-api:Invoke","Resource":"*"`)))
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Evaluate(invoke, arn, tt.from); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
	for principal, want := range map[string]string{
		"": "principal: not an object", `"Principal":"me",`: "principal: not an object",
		`"Principal":{"Service":"x"},`: `unknown member "Service"`, `"Principal":{"AWS":[]},`: "principal: is empty", `"NotPrincipal":"*",`: `unknown member "NotPrincipal"`,
	} {
		_, err := iam.ParseResource([]byte(statement(principal + `"Effect":"Allow","Action":"*","Resource":"*"`)))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want one with %q", principal, err, want)
		}
	}
}

func TestZeroPolicyAllowsNothing(t *testing.T) {
	t.Parallel()
	if got := new(iam.Policy).Evaluate(invoke, arn, iam.Context{}); got != iam.ImplicitDeny {
		t.Errorf("got %v, want %v", got, iam.ImplicitDeny)
	}
}

func TestManyWildcardsAreFast(t *testing.T) {
	t.Parallel()
	p := parse(t, policy(strings.Repeat("*a", 250), ""))
	if got := p.Evaluate(invoke, strings.Repeat("a", 1600)+"b", iam.Context{}); got != iam.ImplicitDeny {
		t.Errorf("got %v, want %v", got, iam.ImplicitDeny)
	}
}

// FuzzParse: whatever a document says, one more statement that denies everything
// denies, and one that allows everything leaves nothing undecided.
func FuzzParse(f *testing.F) {
	f.Add(policy(arn+"/GET/*", arn+"/GET/a"), arn+"/GET/b")
	f.Add(statement(`"Effect":"Allow","NotAction":["x"],"NotResource":["${*}"],"Condition":{"Bool":{"x":true}}`), arn)
	f.Add(statement(`"Effect":"Deny","Action":"*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":["10.0.0.0/8"]}}`), arn)
	f.Fuzz(func(t *testing.T, doc, resource string) {
		p, err := iam.Parse([]byte(doc))
		if err != nil {
			return
		}
		var read struct{ Version, Statement json.RawMessage }
		if err := json.Unmarshal([]byte(doc), &read); err != nil || string(read.Version) != `"2012-10-17"` {
			t.Fatalf("%s is taken: %v", doc, err)
		}
		list := strings.TrimSuffix(strings.TrimPrefix(string(read.Statement), "["), "]")
		context := iam.Context{SourceIP: resource, UserAgent: resource}
		said := p.Evaluate(invoke, resource, context)
		allowed := said
		if said == iam.ImplicitDeny {
			allowed = iam.Allow
		}
		for effect, want := range map[string]iam.Verdict{"Deny": iam.ExplicitDeny, "Allow": allowed} {
			more := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[%s,{"Effect":%q,"Action":"*","Resource":"*"}]}`, list, effect)
			q, err := iam.Parse([]byte(more))
			if err != nil && len(more) < 64<<10 {
				t.Fatalf("%s: %v", more, err)
			}
			if err == nil && q.Evaluate(invoke, resource, context) != want {
				t.Errorf("Evaluate(%q) of %s is %v, want %v", resource, more, q.Evaluate(invoke, resource, context), want)
			}
		}
	})
}

// FuzzResource compares a Resource with a regular expression that means the
// same.
func FuzzResource(f *testing.F) {
	for _, pattern := range []string{arn + "/GET/*", arn + "/*/a?c", "*a*b*c", "${*}${?}${$}", "${aws:username}", "a${", "**?", "\xff", "É*"} {
		f.Add(pattern, arn+"/GET/abc")
		f.Add(pattern, strings.NewReplacer("${", "", "}", "", "*", "xx", "?", "y").Replace(pattern))
	}
	f.Fuzz(func(t *testing.T, pattern, resource string) {
		quoted, err := json.Marshal(pattern)
		if err != nil || !utf8.ValidString(pattern) || !utf8.ValidString(resource) {
			return
		}
		p, err := iam.Parse([]byte(statement(`"Effect":"Allow","Action":"*","Resource":` + string(quoted))))
		if want := pattern != "" && utf8.RuneCountInString(pattern) <= 512; (err == nil) != want {
			t.Fatalf("the Resource %q: %v", pattern, err)
		}
		if err != nil {
			return
		}
		want := iam.ImplicitDeny
		if expression, ok := expressionOf(pattern); ok && regexp.MustCompile(expression).MatchString(resource) {
			want = iam.Allow
		}
		if got := p.Evaluate(invoke, resource, iam.Context{}); got != want {
			t.Errorf("%q and %q: got %v, want %v", pattern, resource, got, want)
		}
	})
}

// parts of a Resource: an escaped character, a variable, a wildcard, text.
var parts = regexp.MustCompile(`\$\{[*?$]\}|\$\{|[*?$]|[^*?$]+`)

// expressionOf is a Resource as a regular expression. It is false for one with a
// variable that has no value.
func expressionOf(pattern string) (string, bool) {
	expression := `(?s)\A`
	for _, part := range parts.FindAllString(pattern, -1) {
		switch {
		case part == "${":
			return "", false
		case strings.HasPrefix(part, "${"):
			expression += regexp.QuoteMeta(part[2:3])
		case part == "*":
			expression += ".*"
		case part == "?":
			expression += "."
		default:
			expression += regexp.QuoteMeta(part)
		}
	}
	return expression + `\z`, true
}
