package oauth_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"gatehouse/shared/oauth"
)

func TestParseBasic(t *testing.T) {
	t.Parallel()
	encode := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for name, row := range map[string]struct {
		header, id, secret string
		ok                 bool
		code               string
	}{
		"id and secret":                 {"Basic " + encode("app:s3cret"), "app", "s3cret", true, ""},
		"in any case, more spaces":      {"bAsIc   " + encode("app:s3cret"), "app", "s3cret", true, ""},
		"form-encoded, as RFC 6749 has": {"Basic " + encode("a%3Ab:p%20w+d%25"), "a:b", "p w d%", true, ""},
		"a secret with colons":          {"Basic " + encode("app:a:b"), "app", "a:b", true, ""},
		"no secret":                     {"Basic " + encode("app:"), "app", "", true, ""},
		"another scheme":                {"Bearer x", "", "", false, ""},
		"nothing":                       {"", "", "", false, ""},
		"the scheme alone":              {"Basic", "", "", false, ""},
		"no base64":                     {"Basic !!", "", "", true, oauth.InvalidClient},
		"base64 of another alphabet":    {"Basic " + strings.TrimRight(encode("app:s3cret??>>"), "="), "", "", true, oauth.InvalidClient},
		"no colon":                      {"Basic " + encode("app"), "", "", true, oauth.InvalidClient},
		"a broken escape":               {"Basic " + encode("app:100%"), "", "", true, oauth.InvalidClient},
		"something after it":            {"Basic " + encode("app:s3cret") + ", Basic x", "", "", true, oauth.InvalidClient},
	} {
		id, secret, ok, err := oauth.ParseBasic(row.header)
		code := ""
		if refusal, is := errors.AsType[*oauth.Error](err); is {
			code = refusal.Code
		}
		if id != row.id || secret != row.secret || ok != row.ok || code != row.code {
			t.Errorf("%s: got %q, %q, %t, %v", name, id, secret, ok, err)
		}
	}
}
