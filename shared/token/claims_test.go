package token_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/shared/token"
)

// wantClaims judges tokens with these claims.
func wantClaims(t *testing.T, i *token.Issuer, claims map[string]error) {
	t.Helper()
	s := ecSigner(t, "ES256")
	for text, want := range claims {
		facts, err := judge(t, i, s.sign(t, goodHeader, text))
		if !errors.Is(err, want) || (err == nil) != (facts != nil) {
			t.Errorf("%s: got %v; want %v", text, err, want)
		}
	}
}

func TestJ12_issuersAreStrangers(t *testing.T) {
	t.Parallel()
	ours, theirs := ecSigner(t, "ES256"), strangeEC(t)
	a := issuer(t, ours)
	b := issuer(t, theirs)
	b.Issuer = "https://other.example/"
	claimsOfB := edit(t, goodClaims, issuerURL, b.Issuer)

	if _, err := judge(t, b, theirs.sign(t, goodHeader, claimsOfB)); err != nil {
		t.Errorf("B's own token: got %v", err)
	}
	if _, err := judge(t, a, theirs.sign(t, goodHeader, claimsOfB)); !errors.Is(err, token.ErrIssuer) {
		t.Errorf("B's token before A: got %v; want %v", err, token.ErrIssuer)
	}
	if _, err := judge(t, a, theirs.sign(t, goodHeader, goodClaims)); !errors.Is(err, token.ErrSignature) {
		t.Errorf("A's iss, B's key under A's kid: got %v; want %v", err, token.ErrSignature)
	}
	named := theirs
	named.kid = "b-1"
	b.Keys = fileKeys(t, jwksOf(t, named))
	if _, err := judge(t, a, named.sign(t, named.header(), goodClaims)); !errors.Is(err, token.ErrUnknownKey) {
		t.Errorf("A's iss, B's kid: got %v; want %v", err, token.ErrUnknownKey)
	}

	i := issuer(t, ours)
	wrong := map[string]error{edit(t, goodClaims, `"iss":"`+issuerURL+`",`, ""): token.ErrIssuer}
	for _, iss := range []string{
		"", issuerURL + "/", "https://idp.example", "HTTPS://idp.example/oauth2/default", "https://idp.example:443/oauth2/default",
		"https://idp.example/oauth2/default2", " " + issuerURL, issuerURL + "?", "https://idp.example/oauth2/%64efault",
	} {
		wrong[edit(t, goodClaims, issuerURL, iss)] = token.ErrIssuer
	}
	wrong[edit(t, goodClaims, `"`+issuerURL+`"`, `["`+issuerURL+`"]`)] = token.ErrClaims
	wrong[edit(t, goodClaims, `"`+issuerURL+`"`, `null`)] = token.ErrClaims
	wantClaims(t, i, wrong)

	// The zero Issuer trusts nobody, not even a token without issuer.
	for _, claims := range []string{goodClaims, edit(t, goodClaims, issuerURL, "")} {
		if _, err := judge(t, &token.Issuer{}, ours.sign(t, goodHeader, claims)); !errors.Is(err, token.ErrIssuer) {
			t.Errorf("the zero Issuer: got %v; want %v", err, token.ErrIssuer)
		}
	}
}

func TestJ13_A6_subjects(t *testing.T) {
	t.Parallel()
	i, s := issuer(t, ecSigner(t, "ES256")), ecSigner(t, "ES256")
	wantClaims(t, i, map[string]error{
		edit(t, goodClaims, `"user-1"`, `""`):      token.ErrClaims,
		edit(t, goodClaims, `"user-1"`, `1`):       token.ErrClaims,
		edit(t, goodClaims, `"user-1"`, `null`):    token.ErrClaims,
		edit(t, goodClaims, `"user-1"`, `["a"]`):   token.ErrClaims,
		edit(t, goodClaims, `"sub":"user-1",`, ""): nil, // a client's token may have none
	})
	// Neither of subject and client is ever taken from the other.
	for name, tc := range map[string]struct{ claims, subject, client string }{
		"a user's":               {goodClaims, "user-1", "app-1"},
		"a client's":             {edit(t, goodClaims, "user-1", "app-1"), "app-1", "app-1"},
		"a client's without sub": {edit(t, goodClaims, `"sub":"user-1",`, ""), "", "app-1"},
		"without client_id":      {edit(t, goodClaims, `"client_id":"app-1",`, ""), "user-1", ""},
		"azp is not configured":  {extra(edit(t, goodClaims, `"client_id":"app-1",`, ""), `"azp":"x","cid":"x"`), "user-1", ""},
	} {
		facts, err := judge(t, i, s.sign(t, goodHeader, tc.claims))
		if err != nil || facts.Subject != tc.subject || facts.ClientID != tc.client {
			t.Errorf("%s: got %+v, %v; want sub %q and client %q", name, facts, err, tc.subject, tc.client)
		}
	}
	wantClaims(t, i, map[string]error{
		edit(t, goodClaims, `"app-1"`, `""`):      token.ErrClaims,
		edit(t, goodClaims, `"app-1"`, `7`):       token.ErrClaims,
		edit(t, goodClaims, `"app-1"`, `["app"]`): token.ErrClaims,
		edit(t, goodClaims, `"app-1"`, `null`):    token.ErrClaims,
	})
}

func TestJ14_S6_audiences(t *testing.T) {
	t.Parallel()
	i := issuer(t, ecSigner(t, "ES256"))
	i.Audiences = []string{"api://billing", "api://orders", ""}
	rows := map[string]error{edit(t, goodClaims, `"aud":"api://orders",`, ""): token.ErrAudience}
	for aud, want := range map[string]error{
		`"api://orders"`:               nil,
		`["api://orders"]`:             nil,
		`["x","api://orders","y"]`:     nil,
		`"api://billing"`:              nil,
		`"api://order"`:                token.ErrAudience,
		`"api://orders2"`:              token.ErrAudience,
		`"api://orders/"`:              token.ErrAudience,
		`"API://orders"`:               token.ErrAudience,
		`"api://orders api://billing"`: token.ErrAudience,
		`"api://*"`:                    token.ErrAudience,
		`[]`:                           token.ErrAudience,
		`""`:                           token.ErrAudience,
		`[""]`:                         token.ErrAudience,
		`["x",1]`:                      token.ErrClaims,
		`["api://orders",null]`:        token.ErrClaims,
		`[["api://orders"]]`:           token.ErrClaims,
		`{}`:                           token.ErrClaims,
		`null`:                         token.ErrClaims,
		`true`:                         token.ErrClaims,
		`1`:                            token.ErrClaims,
	} {
		rows[edit(t, goodClaims, `"api://orders"`, aud)] = want
	}
	wantClaims(t, i, rows)
	i.Audiences = nil
	wantClaims(t, i, map[string]error{goodClaims: token.ErrAudience, edit(t, goodClaims, `"aud":"api://orders",`, ""): token.ErrAudience})
	i.InsecureAnyAudience = true
	wantClaims(t, i, map[string]error{
		goodClaims: nil,
		edit(t, goodClaims, `"aud":"api://orders",`, ""): nil,
		edit(t, goodClaims, `"api://orders"`, `{"a":1}`): token.ErrClaims,
	})
}

func TestS4_numericDates(t *testing.T) {
	t.Parallel()
	i := issuer(t, ecSigner(t, "ES256"))
	rows := map[string]error{edit(t, goodClaims, `"exp":1800000600,`, ""): token.ErrClaims}
	for _, bad := range []string{`"1800000600"`, `true`, `null`, `[1800000600]`, `{}`, `-1`, `1e300`, `-1e300`, `1800000600000`, `253402300800`, `NaN`, `Infinity`, `+1`, `.5`} {
		rows[edit(t, goodClaims, `1800000600`, bad)] = token.ErrClaims
		rows[edit(t, goodClaims, `1800000000`, bad)] = token.ErrClaims
		rows[extra(goodClaims, `"nbf":`+bad)] = token.ErrClaims
	}
	for _, bad := range []string{`01800000600`, `1800000600.`, `0x6B49D658`, `1_800_000_600`, `1800000600e`, `1e999`, `-1e999`} {
		rows[edit(t, goodClaims, `1800000600`, bad)] = token.ErrMalformed
		rows[edit(t, goodClaims, `1800000000`, bad)] = token.ErrMalformed
		rows[extra(goodClaims, `"nbf":`+bad)] = token.ErrMalformed
	}
	for _, fine := range []string{`1800000600.5`, `1800000600.0`, `1.8000006e9`, `18000006E2`, `180000060000e-2`} {
		rows[edit(t, goodClaims, `1800000600`, fine)] = nil
	}
	for _, past := range []string{`0`, `-0`, `1e-400`, `0.5`} {
		rows[edit(t, goodClaims, `1800000600`, past)] = token.ErrExpired
	}
	rows[extra(goodClaims, `"nbf":0`)] = nil
	rows[edit(t, goodClaims, `"iat":1800000000,`, "")] = nil
	wantClaims(t, i, rows)
}

func TestS5_theEdgesOfTime(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	s := ecSigner(t, "ES256")
	exp, iat := time.Unix(1800000600, 0), time.Unix(1800000000, 0)
	nbf := extra(goodClaims, `"nbf":1800000100`)
	nbfTime := time.Unix(1800000100, 0)
	fraction := edit(t, goodClaims, `1800000600`, `1800000600.25`)
	for name, tc := range map[string]struct {
		claims string
		leeway time.Duration
		now    time.Time
		want   error
	}{
		"exp: 1 ms before exp + leeway":            {goodClaims, time.Second, exp.Add(time.Second - ms), nil},
		"exp: at exp + leeway":                     {goodClaims, time.Second, exp.Add(time.Second), token.ErrExpired},
		"exp: at exp, the shortest leeway":         {goodClaims, ms, exp.Add(ms), token.ErrExpired},
		"exp: default leeway is 60 s, just before": {goodClaims, 0, exp.Add(time.Minute - ms), nil},
		"exp: default leeway is 60 s":              {goodClaims, 0, exp.Add(time.Minute), token.ErrExpired},
		"exp: a negative leeway is the default":    {goodClaims, -time.Hour, exp.Add(time.Minute - ms), nil},
		"exp: fraction counts, just before":        {fraction, time.Second, exp.Add(time.Second + 249*ms), nil},
		"exp: fraction counts":                     {fraction, time.Second, exp.Add(time.Second + 250*ms), token.ErrExpired},
		"nbf: 1 ms before nbf - leeway":            {nbf, time.Second, nbfTime.Add(-time.Second - ms), token.ErrNotYetValid},
		"nbf: at nbf - leeway":                     {nbf, time.Second, nbfTime.Add(-time.Second), nil},
		"iat: 1 ms before iat - leeway":            {goodClaims, time.Second, iat.Add(-time.Second - ms), token.ErrNotYetValid},
		"iat: at iat - leeway":                     {goodClaims, time.Second, iat.Add(-time.Second), nil},
		"five minutes of skew are not allowed":     {goodClaims, 0, iat.Add(-5 * time.Minute), token.ErrNotYetValid},
		"five minutes of skew where they are set":  {goodClaims, 5 * time.Minute, iat.Add(-5 * time.Minute), nil},
		"five minutes the other way":               {goodClaims, 5 * time.Minute, exp.Add(5*time.Minute - ms), nil},
		"a clock of 1970 believes no token":        {goodClaims, 0, time.Unix(0, 0), token.ErrNotYetValid},
		"a clock far ahead believes no token":      {goodClaims, 0, exp.AddDate(100, 0, 0), token.ErrExpired},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := issuer(t, s)
			i.Leeway, i.Now = tc.leeway, func() time.Time { return tc.now }
			if _, err := judge(t, i, s.sign(t, goodHeader, tc.claims)); !errors.Is(err, tc.want) {
				t.Errorf("got %v; want %v", err, tc.want)
			}
		})
	}
}

func TestLifetime(t *testing.T) {
	t.Parallel()
	i := issuer(t, ecSigner(t, "ES256"))
	wantClaims(t, i, map[string]error{
		edit(t, goodClaims, `1800000600`, `1800086460`):                                   nil, // iat + 24 h + leeway
		edit(t, goodClaims, `1800000600`, `1800086461`):                                   token.ErrLifetime,
		edit(t, goodClaims, `1800000000`, `1`):                                            token.ErrLifetime,
		edit(t, goodClaims, `1800000600`, `253402300799`):                                 token.ErrLifetime,
		edit(t, edit(t, goodClaims, `1800000600`, `1800086761`), `"iat":1800000000,`, ""): token.ErrLifetime,
	})
	i.MaxLifetime = 10 * time.Minute
	wantClaims(t, i, map[string]error{
		goodClaims: nil,
		edit(t, goodClaims, `1800000600`, `1800000661`): token.ErrLifetime,
	})
}

// golang-jwt CVE-2024-51744: of a token whose signature is wrong, nothing else
// is said.
func TestSignatureIsJudgedFirst(t *testing.T) {
	t.Parallel()
	i := issuer(t, ecSigner(t, "ES256"))
	forger := strangeEC(t)
	for _, claims := range []string{
		edit(t, goodClaims, `1800000600`, `1700000000`),
		edit(t, goodClaims, `"exp":1800000600,`, ""),
		edit(t, goodClaims, `api://orders`, `other`),
		extra(goodClaims, `"cnf":{}`),
		edit(t, goodClaims, `"orders:read orders:write"`, `7`),
	} {
		for _, header := range []string{goodHeader, edit(t, goodHeader, "at+jwt", "logout+jwt")} {
			if facts, err := judge(t, i, forger.sign(t, header, claims)); !errors.Is(err, token.ErrSignature) || facts != nil {
				t.Errorf("%s: got %v, %v; want %v", claims, facts, err, token.ErrSignature)
			}
		}
	}
}

func TestFacts(t *testing.T) {
	t.Parallel()
	facts, err := judge(t, issuer(t, ecSigner(t, "ES256")), good(t))
	if err != nil {
		t.Fatal(err)
	}
	want := token.Facts{
		Provider: "acme", Issuer: issuerURL, Subject: "user-1", ClientID: "app-1", ID: "id-1",
		Scopes: []string{"orders:read", "orders:write"}, Audience: []string{"api://orders"}, Expires: time.Unix(1800000600, 0),
	}
	if diff := cmp.Diff(want, *facts, cmp.FilterPath(unexported, cmp.Ignore())); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// unexported selects fields that tests do not see.
func unexported(p cmp.Path) bool {
	field, ok := p.Last().(cmp.StructField)
	return ok && slices.Contains([]string{"claims", "key"}, field.Name())
}
