package token_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/shared/token"
)

// goodAnswer is what an introspection endpoint says of a good opaque token.
const goodAnswer = `{"active":true,"client_id":"app-1","username":"u","scope":"orders:read","token_type":"Bearer",` +
	`"iss":"https://idp.example/oauth2/default","sub":"user-1","aud":"api://orders","iat":1800000000,"exp":1800000600}`

// answers are introspection answers and what becomes of them.
func answers(tb testing.TB) map[string]struct {
	answer string
	want   error
} {
	tb.Helper()
	a := func(old, replacement string) string { return edit(tb, goodAnswer, old, replacement) }
	return map[string]struct {
		answer string
		want   error
	}{
		"I5: good":                            {goodAnswer, nil},
		"I5: not active":                      {`{"active":false}`, token.ErrInactive},
		"I5: not active, with claims":         {a(`true`, `false`), token.ErrInactive},
		"I5: active as a string":              {a(`true`, `"true"`), token.ErrClaims},
		"I5: active 1":                        {a(`true`, `1`), token.ErrClaims},
		"I5: active null":                     {a(`true`, `null`), token.ErrClaims},
		"I5: active missing":                  {a(`"active":true,`, ``), token.ErrClaims},
		"I5: Active":                          {a(`active`, `Active`), token.ErrClaims},
		"I5: active twice":                    {extra(goodAnswer, `"active":false`), token.ErrMalformed},
		"I5: nothing":                         {``, token.ErrMalformed},
		"I5: empty object":                    {`{}`, token.ErrClaims},
		"I5: a page":                          {`<html></html>`, token.ErrMalformed},
		"I5: an array":                        {`[` + goodAnswer + `]`, token.ErrMalformed},
		"I5: two answers":                     {goodAnswer + goodAnswer, token.ErrMalformed},
		"I5: an error":                        {`{"error":"invalid_client"}`, token.ErrClaims},
		"I7: another issuer":                  {a(issuerURL, "https://other.example"), token.ErrIssuer},
		"I7: no issuer":                       {a(`"iss":"`+issuerURL+`",`, ``), nil},
		"I7: another audience":                {a("api://orders", "api://x"), token.ErrAudience},
		"I7: no audience":                     {a(`"aud":"api://orders",`, ``), token.ErrAudience},
		"I7: audience with a number":          {a(`"api://orders"`, `["api://orders",1]`), token.ErrClaims},
		"I7: token_type DPoP":                 {a(`"Bearer"`, `"DPoP"`), token.ErrType},
		"I7: token_type N_A (token exchange)": {a(`"Bearer"`, `"N_A"`), token.ErrType},
		"I7: token_type refresh_token":        {a(`"Bearer"`, `"refresh_token"`), token.ErrType},
		"I7: token_type a number":             {a(`"Bearer"`, `1`), token.ErrClaims},
		"I7: token_type in lower case":        {a(`"Bearer"`, `"bearer"`), nil},
		"I7: token_type of OpenAM":            {a(`"Bearer"`, `"access_token"`), nil},
		"I7: token_type of PingFederate":      {a(`"Bearer"`, `"urn:pingidentity.com:oauth2:validated_token"`), nil},
		"I7: no token_type":                   {a(`"token_type":"Bearer",`, ``), nil},
		"I7: expired":                         {a(`1800000600`, `1800000240`), token.ErrExpired},
		"I7: exp as a string":                 {a(`1800000600`, `"1800000600"`), token.ErrClaims},
		"I7: exp in milliseconds":             {a(`1800000600`, `1800000600000`), token.ErrClaims},
		"I7: no exp":                          {a(`,"exp":1800000600`, ``), nil},
		"I7: nbf ahead":                       {extra(goodAnswer, `"nbf":1800000361`), token.ErrNotYetValid},
		"I7: iat ahead":                       {a(`1800000000`, `1800000361`), token.ErrNotYetValid},
		"I7: lives too long":                  {a(`1800000600`, `1900000000`), token.ErrLifetime},
		"I7: bound to a key":                  {extra(goodAnswer, `"cnf":{"jkt":"AA"}`), token.ErrSenderConstrained},
		"I7: an ID token":                     {extra(goodAnswer, `"nonce":"n"`), token.ErrType},
		"I7: Keycloak's refresh token":        {extra(goodAnswer, `"typ":"Refresh"`), token.ErrType},
		"I7: token_use refresh":               {extra(goodAnswer, `"token_use":"refresh_token"`), token.ErrType},
		"I7: scope a number":                  {a(`"orders:read"`, `1`), token.ErrClaims},
		"I7: empty client_id":                 {a(`"app-1"`, `""`), token.ErrClaims},
		"I7: empty sub":                       {a(`"user-1"`, `""`), token.ErrClaims},
	}
}

func TestParseIntrospection(t *testing.T) {
	t.Parallel()
	for name, tc := range answers(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			facts, err := issuer(t, ecSigner(t, "ES256")).ParseIntrospection([]byte(tc.answer))
			if !errors.Is(err, tc.want) || (err == nil) != (facts != nil) {
				t.Errorf("got %v, %v; want %v", facts, err, tc.want)
			}
		})
	}
}

// I6: facts carry the answer's expiry, without which they are not cached.
func TestI6_expiryOfAnswers(t *testing.T) {
	t.Parallel()
	i := issuer(t, ecSigner(t, "ES256"))
	for answer, want := range map[string]int64{goodAnswer: 1800000600, edit(t, goodAnswer, `,"exp":1800000600`, ``): 0} {
		facts, err := i.ParseIntrospection([]byte(answer))
		if err != nil {
			t.Fatal(err)
		}
		if got := facts.Expires; got.IsZero() != (want == 0) || want != 0 && got.Unix() != want {
			t.Errorf("got %v; want %d", got, want)
		}
	}
}

// The standard names are read where the provider's own are not there.
func TestIntrospectionNames(t *testing.T) {
	t.Parallel()
	i := issuer(t, ecSigner(t, "ES256"))
	i.ClientIDClaims, i.ScopeClaims = []string{"azp"}, []string{"scp"}
	for answer, want := range map[string]struct {
		client string
		scopes []string
	}{
		goodAnswer: {"app-1", []string{"orders:read"}},
		extra(goodAnswer, `"azp":"own","scp":["a","b"]`): {"own", []string{"a", "b"}},
	} {
		facts, err := i.ParseIntrospection([]byte(answer))
		if err != nil || facts.ClientID != want.client || !cmp.Equal(facts.Scopes, want.scopes) {
			t.Errorf("%s: got %+v, %v; want %+v", answer, facts, err, want)
		}
	}
}

func TestClaims(t *testing.T) {
	t.Parallel()
	const more = `"dept":"R&D","level":7,"ok":true,"esc":"a\u00e9\n","none":null,"obj":{"a":1},"list":["x",2,false],` +
		`"odd":["x",null],"deep":["x",["y"]],"empty":[],"big":12345678901234567890.50`
	i := issuer(t, ecSigner(t, "ES256"))
	facts, err := judge(t, i, ecSigner(t, "ES256").sign(t, goodHeader, extra(goodClaims, more)))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]token.Claim{
		"dept":  {Values: []string{"R&D"}},
		"level": {Values: []string{"7"}},
		"ok":    {Values: []string{"true"}},
		"esc":   {Values: []string{"aé\n"}},
		"list":  {Values: []string{"x", "2", "false"}, List: true},
		"empty": {Values: []string{}, List: true},
		"big":   {Values: []string{"12345678901234567890.50"}},
		"aud":   {Values: []string{"api://orders"}},
		"exp":   {Values: []string{"1800000600"}},
	}
	for name, w := range want {
		if got, ok := facts.Claim(name); !ok || !cmp.Equal(got, w) {
			t.Errorf("%s: got %+v, %t; want %+v", name, got, ok, w)
		}
	}
	for _, name := range []string{"none", "obj", "odd", "deep", "missing", "", "DEPT", "a"} {
		if got, ok := facts.Claim(name); ok {
			t.Errorf("%q: got %+v; want nothing", name, got)
		}
	}
	var names []string
	for name := range facts.Claims() {
		names = append(names, name)
		if name == "list" {
			break
		}
	}
	wantNames := []string{"iss", "aud", "sub", "client_id", "scope", "iat", "exp", "jti", "dept", "level", "ok", "esc", "list"}
	if diff := cmp.Diff(wantNames, names); diff != "" {
		t.Errorf("names (-want +got)\n%s", diff)
	}
	for name := range (&token.Facts{}).Claims() {
		t.Errorf("facts of nothing have the claim %q", name)
	}
}
