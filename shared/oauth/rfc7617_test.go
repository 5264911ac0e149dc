package oauth_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"gatehouse/shared/oauth"
)

func TestParseBasic(t *testing.T) {
	t.Parallel()
	encode := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	const notBasic = "another scheme"
	for name, row := range map[string]struct {
		header, id, secret string
		code               string
	}{
		"id and secret":                 {"Basic " + encode("app:s3cret"), "app", "s3cret", ""},
		"in any case, more spaces":      {"bAsIc   " + encode("app:s3cret"), "app", "s3cret", ""},
		"form-encoded, as RFC 6749 has": {"Basic " + encode("a%3Ab:p%20w+d%25"), "a:b", "p w d%", ""},
		"a secret with colons":          {"Basic " + encode("app:a:b"), "app", "a:b", ""},
		"no secret":                     {"Basic " + encode("app:"), "app", "", ""},
		"another scheme":                {"Bearer x", "", "", notBasic},
		"nothing":                       {"", "", "", notBasic},
		"the scheme alone":              {"Basic", "", "", notBasic},
		"no base64":                     {"Basic !!", "", "", oauth.InvalidClient},
		"base64 of another alphabet":    {"Basic " + strings.TrimRight(encode("app:s3cret??>>"), "="), "", "", oauth.InvalidClient},
		"no colon":                      {"Basic " + encode("app"), "", "", oauth.InvalidClient},
		"a broken escape":               {"Basic " + encode("app:100%"), "", "", oauth.InvalidClient},
		"something after it":            {"Basic " + encode("app:s3cret") + ", Basic x", "", "", oauth.InvalidClient},
	} {
		id, secret, err := oauth.ParseBasic(row.header)
		code := ""
		if errors.Is(err, oauth.ErrNotBasic) {
			code = notBasic
		}
		if refusal, is := errors.AsType[*oauth.Error](err); is {
			code = refusal.Code
		}
		if id != row.id || secret != row.secret || code != row.code {
			t.Errorf("%s: got %q, %q, %v", name, id, secret, err)
		}
	}
}

// FuzzParseBasic compares with net/http, which reads the header as RFC 7617 has
// it, without the form-encoding.
func FuzzParseBasic(f *testing.F) {
	for _, text := range []string{"app:s3cret", "a%3Ab:p%20w+d%25", "app:a:b", ":", "app", "app:100%", "\xff:\x00"} {
		encoded := base64.StdEncoding.EncodeToString([]byte(text))
		f.Add("Basic " + encoded)
		f.Add("bAsIc   " + encoded)
		f.Add("Basic " + encoded + ", Basic x")
	}
	f.Fuzz(func(t *testing.T, header string) {
		if strings.ContainsAny(header, "\r\n") {
			return // no header has them
		}
		id, secret, err := oauth.ParseBasic(header)
		theirs := &http.Request{Header: http.Header{"Authorization": {header}}}
		user, password, ok := theirs.BasicAuth()
		if err != nil {
			refusal, is := errors.AsType[*oauth.Error](err)
			if is == errors.Is(err, oauth.ErrNotBasic) || is && refusal.StatusCode() != 401 || id != "" || secret != "" {
				t.Fatalf("%q: got %q, %q, %v", header, id, secret, err)
			}
			return
		}
		if scheme, rest, _ := strings.Cut(header, " "); !ok {
			theirs.Header.Set("Authorization", scheme+" "+strings.TrimLeft(rest, " "))
			user, password, ok = theirs.BasicAuth()
		}
		wantID, idErr := url.QueryUnescape(user)
		wantSecret, secretErr := url.QueryUnescape(password)
		if !ok || idErr != nil || secretErr != nil || id != wantID || secret != wantSecret {
			t.Fatalf("%q: got %q, %q; net/http reads %q, %q, %t", header, id, secret, user, password, ok)
		}
	})
}
