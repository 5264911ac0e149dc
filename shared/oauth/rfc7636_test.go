package oauth_test

import (
	"strings"
	"testing"

	"gatehouse/shared/oauth"
)

func TestK1K2K4PKCE(t *testing.T) {
	t.Parallel()
	// RFC 7636, appendix B.
	const verifier, challenge = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	if got := oauth.Challenge(verifier); got != challenge {
		t.Errorf("got %s, want %s", got, challenge)
	}
	for name, row := range map[string]struct {
		verifier string
		want     bool
	}{
		"the verifier":             {verifier, true},
		"another one":              {strings.Replace(verifier, "d", "e", 1), false},
		"the challenge itself":     {challenge, false},
		"too short":                {verifier[:42], false},
		"too long":                 {strings.Repeat("a", 129), false},
		"a character of no URL":    {verifier[:42] + " ", false},
		"nothing":                  {"", false},
		"a letter beyond ASCII":    {verifier[:41] + "ä", false},
		"padding, which is not it": {verifier + "=", false},
	} {
		if got := oauth.Verifies(challenge, row.verifier); got != row.want {
			t.Errorf("%s: got %t", name, got)
		}
	}
	for name, row := range map[string]struct {
		challenge string
		want      bool
	}{
		"a challenge":               {challenge, true},
		"a verifier of 256 bits":    {verifier, true}, // has the same form
		"padded":                    {challenge + "=", false},
		"another alphabet":          {strings.Replace(challenge, "-", "+", 1), false},
		"too short":                 {challenge[:42], false},
		"a last character too many": {challenge[:42] + "N", false}, // bits beyond the 256
		"nothing":                   {"", false},
	} {
		if got := oauth.ValidChallenge(row.challenge); got != row.want {
			t.Errorf("%s: got %t", name, got)
		}
	}
	for range 3 {
		if v := oauth.NewVerifier(); !oauth.ValidVerifier(v) || !oauth.Verifies(oauth.Challenge(v), v) || v == oauth.NewVerifier() {
			t.Errorf("got %s", v)
		}
	}
}
