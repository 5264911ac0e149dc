package portal_test

import (
	"encoding/base64"
	"testing"

	"gatehouse/shared/config"
	"gatehouse/shared/fetch"
	"gatehouse/shared/portal"
	"gatehouse/shared/provider"
	"gatehouse/shared/secret"
)

// TestAPastedTokenIsShownToItsProviderAlone: an opaque one does not say whose it
// is, and where two could be asked neither is.
func TestAPastedTokenIsShownToItsProviderAlone(t *testing.T) {
	t.Parallel()
	made := func(name string, kind config.TokenKind, secretID string) *provider.Provider {
		t.Helper()
		p, err := provider.New(config.Provider{
			Name: name, Type: config.RFC7591, Issuer: "https://" + name + ".test", Audiences: []string{"api"}, Algorithms: []string{"RS256"},
			Tokens: kind, Secret: secretID,
		}, provider.Environment{HTTP: fetch.NewClient(), Secrets: &secret.Manager{}})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	a, b := made("a", config.Auto, "a"), made("b", config.Auto, "b")
	keys := made("keys", config.JWT, "")
	jwt := func(issuer string) string {
		part := base64.RawURLEncoding.EncodeToString
		return part([]byte(`{"alg":"RS256","kid":"k"}`)) + "." + part([]byte(`{"iss":"https://`+issuer+`.test"}`)) + "." + part([]byte("signature"))
	}
	for _, row := range []struct {
		name string
		all  []*provider.Provider
		raw  string
		want *provider.Provider
	}{
		{"an opaque token where one can be asked", []*provider.Provider{keys, a}, "opaque", a},
		{"an opaque token where two could be", []*provider.Provider{a, b}, "opaque", nil},
		{"an opaque token where nobody can be", []*provider.Provider{keys, keys}, "opaque", nil},
		{"a JWT is its issuer's", []*provider.Provider{a, b}, jwt("b"), b},
		{"a JWT of another issuer", []*provider.Provider{a, b}, jwt("c"), nil},
		{"what looks like a JWT and is none", []*provider.Provider{a, b}, "eyJhbGciOiJub25lIn0.e30.x", nil},
		{"any token where there is one provider", []*provider.Provider{a}, "opaque", a},
	} {
		if got, err := portal.Whose(row.all, row.raw); got != row.want || (err == nil) != (row.want != nil) {
			t.Errorf("%s: got %v, %v", row.name, got, err)
		}
	}
}
