package oauth_test

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"gatehouse/shared/oauth"
)

func TestO11ParametersAreSentOnce(t *testing.T) {
	t.Parallel()
	p, err := oauth.ParseParameters("a=1&b=&resource=x&resource=y&resource=&unknown=z", "resource")
	if err != nil || p.Get("a") != "1" || p.Get("b") != "" || p.Get("c") != "" || strings.Join(p.All("resource"), " ") != "x y" || p.Get("resource") != "" {
		t.Errorf("got %v, %v", p, err)
	}
	for name, text := range map[string]string{
		"a parameter twice, even if equal":       "a=1&a=1",
		"a parameter twice, once without value":  "a=1&a=",
		"a percent sign that escapes nothing":    "a=%zz",
		"semicolons, which some read as and":     "a=1;b=2",
		"more than anyone needs":                 "a=" + strings.Repeat("x", 32<<10),
		"a name in two spellings, decoded alike": "scope=a&s%63ope=b",
	} {
		_, err := oauth.ParseParameters(text)
		refusal, ok := errors.AsType[*oauth.Error](err)
		if !ok || refusal.Code != oauth.InvalidRequest || refusal.StatusCode() != 400 {
			t.Errorf("%s: got %v, want invalid_request", name, err)
		}
	}
}

// FuzzParseParameters compares with net/url: every parameter is there once, and
// the one that may be repeated as often as it was sent with a value.
func FuzzParseParameters(f *testing.F) {
	for _, text := range []string{"a=1&b=2", "a=%00", "a=1;b", "resource=x&resource=y", "resource=&resource", "a=&a=1", "=", "&&", "%"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := oauth.ParseParameters(text, "resource")
		values, theirs := url.ParseQuery(text)
		repeated := false
		for name, all := range values {
			repeated = repeated || name != "resource" && len(all) > 1
		}
		if want := theirs == nil && !repeated && len(text) <= oauth.MaxParameters; (err == nil) != want && !strings.Contains(text, ";") {
			t.Fatalf("%q: got %v; net/url reads %v, %v", text, err, values, theirs)
		}
		if err != nil {
			if refusal, ok := errors.AsType[*oauth.Error](err); !ok || refusal.Code != oauth.InvalidRequest {
				t.Fatalf("%q: got %v, want invalid_request", text, err)
			}
			return
		}
		for name, all := range values {
			if name != "resource" && (p.Get(name) != all[0] || p.All(name) != nil) {
				t.Fatalf("%q: %q is %q", text, name, p.Get(name))
			}
		}
		sent := slices.DeleteFunc(values["resource"], func(s string) bool { return s == "" })
		if !slices.Equal(p.All("resource"), sent) || p.Get("resource") != "" {
			t.Fatalf("%q: got %q, want %q", text, p.All("resource"), sent)
		}
	})
}
