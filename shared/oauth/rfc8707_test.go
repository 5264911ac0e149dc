package oauth_test

import (
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
}
