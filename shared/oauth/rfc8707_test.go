package oauth_test

import (
	"net/url"
	"strings"
	"testing"

	"gatehouse/shared/oauth"
)

func TestN1N2Resources(t *testing.T) {
	t.Parallel()
	const resource = "https://api.example.com/mcp"
	for name, row := range map[string]struct {
		text string
		want bool
	}{
		"the same":                       {resource, true},
		"scheme and host in upper case":  {"HTTPS://API.example.COM/mcp", true},
		"a path that begins alike":       {"https://api.example.com/mcp-evil", false},
		"a path below":                   {"https://api.example.com/mcp/x", false},
		"a slash at the end":             {"https://api.example.com/mcp/", false},
		"another case of the path":       {"https://api.example.com/MCP", false},
		"another host":                   {"https://api.example.com.evil.example/mcp", false},
		"a user in front of the host":    {"https://api.example.com@evil.example/mcp", false},
		"a fragment":                     {resource + "#a", false},
		"an empty fragment":              {resource + "#", false},
		"no TLS":                         {"http://api.example.com/mcp", false},
		"no scheme":                      {"//api.example.com/mcp", false},
		"a path alone":                   {"/mcp", false},
		"no URL of a server":             {"urn:example:mcp", false},
		"a query, which is another":      {resource + "?a", false},
		"nothing":                        {"", false},
		"more than anyone needs":         {resource + strings.Repeat("x", 2048), false},
		"an escape that spells the same": {"https://api.example.com/%6dcp", false},
	} {
		if got := oauth.SameResource(row.text, resource); got != row.want {
			t.Errorf("%s: got %t", name, got)
		}
	}
	if !oauth.SameResource("https://api.example.com", "https://API.example.com/") || !oauth.SameResource("http://localhost:8080/mcp", "http://LOCALHOST:8080/mcp") {
		t.Error("a host is the same with a slash and without, and this machine needs no TLS")
	}
	for name, pair := range map[string][2]string{
		"a Kelvin sign, whose lower case is k":                {"https://\u212a.example/", "https://k.example/"},
		"bytes of no character, which have one lower case":    {"https://\x8b.example/", "https://\x8c.example/"},
		"the same bytes, encoded":                             {"https://%8b.example/", "https://%8c.example/"},
		"a backslash, which browsers read as the path begins": {`https://api.example\mcp`, `https://api.example\mcp`},
		"a space":                           {"https://api.example/ ", "https://api.example/ "},
		"a zone of this machine":            {"https://[fe80::1%25lo]/", "https://[fe80::1%25lo]/"},
		"quotes, which Go encodes":          {`https://api.example/"`, "https://api.example/%22"},
		"letters beyond ASCII in the path":  {"https://api.example/\u00e9", "https://api.example/%C3%A9"},
		"a query of what Go does not check": {"https://api.example/?\x8b", "https://api.example/?\x8b"},
	} {
		if oauth.SameResource(pair[0], pair[1]) {
			t.Errorf("%s: %q and %q are the same", name, pair[0], pair[1])
		}
	}
}

// FuzzSameResource: one form of each resource, which is a URL of the same server
// with the same path and query.
func FuzzSameResource(f *testing.F) {
	for _, a := range []string{"https://api.example.com/mcp", "HTTPS://API.example.com", "http://[::1]:80/?", "https://a/%2f/../b?x", "https://a#", "https://\u212a/", "HTTPS://.exampl" + strings.Repeat("\x8b", 300)} {
		for _, b := range []string{"https://api.example.com/mcp", "https://api.example.com/", "http://localhost"} {
			f.Add(a, b)
		}
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		x, ok := oauth.CanonicalResource(a)
		y, known := oauth.CanonicalResource(b)
		if same := oauth.SameResource(a, b); same != (ok && known && x == y) || same != oauth.SameResource(b, a) {
			t.Fatalf("%q and %q are the same: %t; %q, %q", a, b, same, x, y)
		}
		if !ok {
			return
		}
		if again, ok := oauth.CanonicalResource(x); !ok || again != x {
			t.Fatalf("%q becomes %q, and that becomes %q", a, x, again)
		}
		was, err := url.Parse(a)
		is, againErr := url.Parse(x)
		if err != nil || againErr != nil || strings.ToLower(was.Host) != is.Host || was.RawQuery != is.RawQuery || strings.TrimPrefix(was.Path, "/") != strings.TrimPrefix(is.Path, "/") {
			t.Fatalf("%q becomes %q", a, x)
		}
		if is.User != nil || is.Fragment != "" || is.Scheme != "https" && is.Scheme != "http" {
			t.Fatalf("%q is a resource", a)
		}
	})
}
