package authorizer_test

import (
	"maps"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"gatehouse/shared/apigw"
)

func TestWhatTheBackendIsTold(t *testing.T) {
	t.Parallel()
	s := newSite(t, orders)
	raw := s.minted(map[string]any{
		"sub": "ada@example.com", "jti": "AT.1", "email": "ada@example.com", "groups": []any{"sales team", "platform", 7, true},
		"uid": "00u1", "address": map[string]any{"country": "CH"},
	}, "orders:read", "orders:write")
	want := map[string]string{
		"client_id": "app", "sub": "ada@example.com", "scope": "orders:read orders:write", "iss": s.url + "/oauth2/default",
		"exp": strconv.FormatInt(s.now().Unix()+3600, 10), "jti": "AT.1",
		"email": "ada@example.com", "groups": `["sales team","platform","7","true"]`,
	}
	for _, shape := range shapes {
		a := s.ask(t, shape.of(bearer(raw)))
		if diff := cmp.Diff(want, a.context); diff != "" {
			t.Errorf("%s: context (-want +got):\n%s", shape.name, diff)
		}
		if a.simple == nil && a.principal != "ada@example.com" {
			t.Errorf("%s: principalId: got %q", shape.name, a.principal)
		}
	}
}

func TestClaimsCannotWriteTheAnswer(t *testing.T) {
	t.Parallel()
	s := newSite(t, orders)
	long := strings.Repeat("x", 5<<10)
	for _, row := range []struct {
		name   string
		claims map[string]any
		want   map[string]string // of sub, email and groups
	}{
		{"quotes and backslashes stay text", map[string]any{"email": `a","client_id":"admin\`}, map[string]string{"sub": "app", "email": `a","client_id":"admin\`}},
		{"markup and templates stay text", map[string]any{"email": `<b>${context.x}$util.parseJson("")`}, map[string]string{"sub": "app", "email": `<b>${context.x}$util.parseJson("")`}},
		{"a value with CR and LF is left out", map[string]any{"email": "a\r\nX-Admin: 1", "sub": "a\nb"}, map[string]string{}},
		{"a value with DEL is left out", map[string]any{"email": "a\x7fb"}, map[string]string{"sub": "app"}},
		{"a value of 5 KB is left out, not cut", map[string]any{"email": long}, map[string]string{"sub": "app"}},
		{"an array of 5 KB is left out", map[string]any{"groups": []string{long}}, map[string]string{"sub": "app"}},
		{"an array with a line break is kept as JSON text", map[string]any{"groups": []string{"a\nb"}}, map[string]string{"sub": "app", "groups": `["a\u000ab"]`}},
		{"an object is left out", map[string]any{"email": map[string]any{"x": "y"}}, map[string]string{"sub": "app"}},
		{"an array of objects is left out", map[string]any{"groups": []any{map[string]any{"x": "y"}}}, map[string]string{"sub": "app"}},
		{"a text that looks like an array is an array of one", map[string]any{"groups": `["admins"]`}, map[string]string{"sub": "app", "groups": `["[\"admins\"]"]`}},
		{"an empty array is one", map[string]any{"groups": []any{}}, map[string]string{"sub": "app", "groups": "[]"}},
		{"other alphabets are kept", map[string]any{"email": "阿达@例え.jp"}, map[string]string{"sub": "app", "email": "阿达@例え.jp"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for _, shape := range []apigw.Shape{apigw.RESTRequest, apigw.HTTP2} {
				a := s.ask(t, bearer(s.minted(row.claims, "orders:read")).as(shape))
				if !a.allows() {
					t.Fatalf("%v: refused: %v, %s", shape, a.err, a.body)
				}
				got := maps.Clone(a.context)
				maps.DeleteFunc(got, func(name, _ string) bool { return name != "sub" && name != "email" && name != "groups" })
				if diff := cmp.Diff(row.want, got); diff != "" {
					t.Errorf("%v: context (-want +got):\n%s", shape, diff)
				}
				if a.context["client_id"] != "app" {
					t.Errorf("%v: client_id: got %q", shape, a.context["client_id"])
				}
			}
		})
	}
}

func TestThePrincipalIsFitToBeLogged(t *testing.T) {
	t.Parallel()
	s := newSite(t, orders)
	for _, row := range []struct {
		name   string
		claims map[string]any
		want   string
	}{
		{"the subject", map[string]any{"sub": "ada"}, "ada"},
		{"the client where there is no subject", map[string]any{"sub": nil}, "app"},
		{"never empty", map[string]any{"sub": nil, "cid": nil}, "unknown"},
		{"control characters are replaced", map[string]any{"sub": "a\r\n\x1b[31mb"}, "a\ufffd\ufffd\ufffd[31mb"},
		{"marks of the writing direction are replaced", map[string]any{"sub": "a\u202eb"}, "a\ufffdb"},
		{"256 bytes at most", map[string]any{"sub": strings.Repeat("é", 300)}, strings.Repeat("é", 128)},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			a := s.ask(t, bearer(s.minted(row.claims, "orders:read")))
			if a.principal != row.want || !utf8.ValidString(a.principal) {
				t.Errorf("got %q, want %q", a.principal, row.want)
			}
		})
	}
}

func TestProfileMuleSoft(t *testing.T) {
	t.Parallel()
	s := newSite(t, muleSoft)
	raw := s.minted(map[string]any{
		"jti": "AT.1", "uid": "00u1", "mail": "ada@example.com", "active": true, "level": 3, "scope": "ignored",
		"groups": []string{"a"}, "address": map[string]any{"x": "y"},
	}, "orders:read")
	exp := strconv.FormatInt(s.now().Unix()+3600, 10)
	want := map[string]string{
		"client_id": "app", "sub": "app", "scope": "orders:read", "iss": s.url + "/oauth2/default", "exp": exp, "jti": "AT.1",
		"X-AGW-uid": "00u1", "X-AGW-mail": "ada@example.com", "X-AGW-active": "true", "X-AGW-level": "3",
		"X-AGW-cid": "app", "X-AGW-sub": "app", "X-AGW-jti": "AT.1", "X-AGW-iss": s.url + "/oauth2/default", "X-AGW-aud": "api://default",
		"X-AGW-iat": strconv.FormatInt(s.now().Unix(), 10), "X-AGW-ver": "1",
	}
	for _, r := range []request{bearer(raw), {query: []string{raw}}, bearer(raw).as(apigw.HTTP2)} {
		if diff := cmp.Diff(want, s.ask(t, r).context); diff != "" {
			t.Errorf("context (-want +got):\n%s", diff)
		}
	}
}

// Names in the context become names of headers and of JSON members.
func TestClaimNamesCannotWriteTheAnswer(t *testing.T) {
	t.Parallel()
	s := newSite(t, muleSoft)
	a := s.ask(t, bearer(s.minted(map[string]any{
		"a\r\nb": "1", `q"`: "2", strings.Repeat("n", 2000): "3", "principalId": "4",
	}, "orders:read")))
	if !a.allows() {
		t.Fatalf("refused: %v", a.err)
	}
	for name := range a.context {
		if strings.ContainsAny(name, "\r\n") || len(name) > 1200 {
			t.Errorf("name: got %q", name)
		}
	}
	if a.context[`X-AGW-q"`] != "2" {
		t.Errorf("got %v", a.context)
	}
}
