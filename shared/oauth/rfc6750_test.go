package oauth_test

import (
	"errors"
	"strings"
	"testing"

	"gatehouse/shared/oauth"
)

func TestB1ParseBearer(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", oauth.MaxTokenLength)
	for _, row := range []struct {
		name, header, want string
		err                error
	}{
		{"a token", "Bearer mF_9.B5f-4.1JqM", "mF_9.B5f-4.1JqM", nil},
		{"the scheme in lower case", "bearer abc", "abc", nil},
		{"the scheme in mixed case", "bEaReR abc", "abc", nil},
		{"several spaces", "Bearer   abc", "abc", nil},
		{"padding at the end", "Bearer abc==", "abc==", nil},
		{"every character of the grammar", "Bearer azAZ09-._~+/=", "azAZ09-._~+/=", nil},
		{"the longest token", "Bearer " + long, long, nil},
		{"one byte too long", "Bearer " + long + "a", "", oauth.ErrTokenLength},
		{"an empty header", "", "", oauth.ErrNoCredentials},
		{"the scheme alone", "Bearer", "", oauth.ErrNoCredentials},
		{"the scheme and a space", "Bearer ", "", oauth.ErrNoCredentials},
		{"a token without a scheme", "eyJhbGciOiJSUzI1NiJ9.e30.c2ln", "", oauth.ErrNotBearer},
		{"another scheme", "Basic dXNlcjpwYXNz", "", oauth.ErrNotBearer},
		{"DPoP", "DPoP abc", "", oauth.ErrNotBearer},
		{"the scheme run together with the token", "Bearerabc", "", oauth.ErrNotBearer},
		{"a tab instead of a space", "Bearer\tabc", "", oauth.ErrNotBearer},
		{"a colon", "Bearer: abc", "", oauth.ErrNotBearer},
		{"a leading space", " Bearer abc", "", oauth.ErrNotBearer},
		{"two tokens", "Bearer a b", "", oauth.ErrTokenSyntax},
		{"a trailing space", "Bearer a ", "", oauth.ErrTokenSyntax},
		{"two headers joined by a comma", "Bearer a,Bearer b", "", oauth.ErrTokenSyntax},
		{"the scheme twice", "Bearer,Bearer", "", oauth.ErrNotBearer},
		{"quotes", `Bearer "abc"`, "", oauth.ErrTokenSyntax},
		{"a line break", "Bearer a\r\nb", "", oauth.ErrTokenSyntax},
		{"padding alone", "Bearer ==", "", oauth.ErrTokenSyntax},
		{"padding in the middle", "Bearer a=b", "", oauth.ErrTokenSyntax},
		{"a letter beyond ASCII", "Bearer ä", "", oauth.ErrTokenSyntax},
		{"a NUL", "Bearer a\x00", "", oauth.ErrTokenSyntax},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got, err := oauth.ParseBearer(row.header)
			if !errors.Is(err, row.err) || (err == nil) != (row.err == nil) {
				t.Fatalf("got error %v, want %v", err, row.err)
			}
			if err == nil && got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}

func FuzzParseBearer(f *testing.F) {
	for _, s := range []string{"", "Bearer", "Bearer a", "bearer  a.b.c", "Bearer a,b", "Basic x", "Bearer a=", "Bearer \x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		tok, err := oauth.ParseBearer(header)
		if err != nil {
			return
		}
		if tok == "" || len(tok) > oauth.MaxTokenLength || strings.ContainsAny(tok, " ,\t\r\n\"") {
			t.Fatalf("%q gave %q", header, tok)
		}
		if !strings.HasSuffix(header, tok) || !strings.EqualFold(header[:6], "bearer") {
			t.Fatalf("%q gave %q", header, tok)
		}
	})
}

func TestValidScope(t *testing.T) {
	t.Parallel()
	for scope, want := range map[string]bool{
		"orders:read": true, "https://api.example.com/.default": true, "!": true, "~": true,
		"": false, "a b": false, `a"b`: false, `a\b`: false, "a\tb": false, "ä": false, "a\x7f": false,
	} {
		if got := oauth.ValidScope(scope); got != want {
			t.Errorf("%q: got %v, want %v", scope, got, want)
		}
	}
}
