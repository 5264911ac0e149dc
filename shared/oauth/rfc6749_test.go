package oauth_test

import (
	"errors"
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

func FuzzParseParameters(f *testing.F) {
	for _, text := range []string{"a=1&b=2", "a=%00", "a=1;b", "resource=x&resource=y", "=", "&&", "%"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := oauth.ParseParameters(text, "resource")
		if err == nil && (p.Get("resource") != "" || len(p.All("a")) > 0) {
			t.Errorf("%q: got %v", text, p)
		}
	})
}
