package registration_test

import (
	"net/url"
	"slices"
	"testing"
)

// FuzzRegister: whatever is sent, the answer is one of those there are, and what
// is registered stays within the rules.
func FuzzRegister(f *testing.F) {
	for _, body := range []string{
		web, orders, `{}`, `[]`, `{"redirect_uris":["com.example.app:/cb"],"token_endpoint_auth_method":"none"}`,
		`{"client_name":null,"redirect_uris":["http://[::1]:8080/cb"],"grant_types":["authorization_code","refresh_token"]}`,
		`{"jwks":{"keys":[]},"redirect_uris":["https://a\u0000b/"]}`, `{"scope":"openid  orders:read","redirect_uris":["https://app.example.com"]}`,
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		a := newAPI(t)
		got := a.call(request{method: "POST", path: "/register", body: body, lenient: true})
		if !slices.Contains([]int{201, 400, 413, 415}, got.status) {
			t.Fatalf("got %d %s", got.status, got.text)
		}
		clients := a.org.Registered("")
		if (got.status == 201) != (len(clients) == 1) || len(clients) > 1 {
			t.Fatalf("got %d and %d clients", got.status, len(clients))
		}
		for _, c := range clients {
			if slices.Contains(c.GrantTypes, "client_credentials") || len(c.RedirectURIs) == 0 {
				t.Errorf("registered %+v", c)
			}
			for _, uri := range c.RedirectURIs {
				if u, err := url.Parse(uri); err != nil || !u.IsAbs() || u.Fragment != "" || u.Scheme == "javascript" {
					t.Errorf("registered the redirect URI %q", uri)
				}
			}
		}
		a.unchanged("fuzzed", len(clients))
	})
}
