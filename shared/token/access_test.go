package token_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gatehouse/shared/token"
)

func TestA1_typIsAtJWTUnlessConfigured(t *testing.T) {
	t.Parallel()
	s := ecSigner(t, "ES256")
	for header, want := range map[string]error{
		goodHeader: nil,
		edit(t, goodHeader, "at+jwt", "application/at+jwt"): nil,
		edit(t, goodHeader, "at+jwt", "JWT"):                token.ErrType,
		edit(t, goodHeader, `,"typ":"at+jwt"`, ""):          token.ErrType,
	} {
		if _, err := judge(t, issuer(t, s), s.sign(t, header, goodClaims)); !errors.Is(err, want) {
			t.Errorf("%s: got %v; want %v", header, err, want)
		}
	}
}

// shape is what one provider writes, and how it is configured.
type shape struct {
	header, claims  string
	types           []string
	clients, scopes []string
	want            error
	wantClient      string
	wantScopes      []string
}

// Claims that every shape has.
const base = `{"iss":"` + issuerURL + `","sub":"user-1","iat":1800000000,"exp":1800000600`

func shapes() map[string]shape {
	const (
		bare = `{"alg":"ES256","kid":"ec-1"}`
		jwt  = `{"alg":"ES256","kid":"ec-1","typ":"JWT"}`
	)
	okta := shape{header: bare, types: []string{""}, clients: []string{"cid"}, scopes: []string{"scp"}}
	keycloak := shape{header: jwt, types: []string{"JWT"}, clients: []string{"azp", "client_id"}, scopes: []string{"scope"}}
	openAM := shape{header: jwt, types: []string{"JWT"}, clients: []string{"client_id"}, scopes: []string{"scope"}}
	as := func(s shape, claims string, want error) shape {
		s.claims, s.want = base+","+claims+"}", want
		return s
	}
	says := func(s shape, client string, scopes ...string) shape {
		s.wantClient, s.wantScopes = client, scopes
		return s
	}
	return map[string]shape{
		"Okta access token": says(as(okta, `"ver":1,"jti":"AT.1","aud":"api://orders","cid":"0oa1","uid":"00u1","scp":["orders:read"],"auth_time":1800000000`, nil),
			"0oa1", "orders:read"),
		"Okta client's token":         says(as(okta, `"ver":1,"aud":"api://orders","cid":"user-1","scp":["a","b"]`, nil), "user-1", "a", "b"),
		"Okta ID token":               as(okta, `"ver":1,"aud":"api://orders","amr":["pwd"],"idp":"00o","nonce":"n","at_hash":"h","auth_time":1800000000`, token.ErrType),
		"Okta ID token without nonce": as(okta, `"aud":"api://orders","at_hash":"h"`, token.ErrType),

		"Keycloak access token": says(as(keycloak, `"typ":"Bearer","azp":"app","aud":["account","api://orders"],"acr":"1","realm_access":{"roles":["x"]},"scope":"email profile","client_id":"other"`, nil),
			"app", "email", "profile"),
		"Keycloak before 25, nonce in access token": says(as(keycloak, `"nonce":"n","typ":"Bearer","azp":"app","aud":"api://orders","scope":""`, nil), "app"),
		"Keycloak ID token":                         as(keycloak, `"typ":"ID","azp":"app","aud":"api://orders","at_hash":"h"`, token.ErrType),
		"Keycloak ID token, typ alone":              as(keycloak, `"typ":"ID","azp":"app","aud":"api://orders","scope":"email"`, token.ErrType),
		"Keycloak refresh token":                    as(keycloak, `"typ":"Refresh","azp":"app","aud":"api://orders","scope":"email"`, token.ErrType),
		"Keycloak offline token":                    as(keycloak, `"typ":"Offline","azp":"app","aud":"api://orders","scope":"email"`, token.ErrType),
		"Keycloak logout token":                     as(keycloak, `"typ":"Logout","aud":"api://orders","events":{"http://schemas.openid.net/event/backchannel-logout":{}}`, token.ErrType),

		"OpenAM stateless token": says(as(openAM, `"aud":["api://orders"],"realm":"/","tokenName":"access_token","token_type":"Bearer","scope":"a b","expires_in":3600000`, nil),
			"", "a", "b"),
		"OpenAM ID token":      as(openAM, `"aud":["api://orders"],"tokenName":"id_token"`, token.ErrType),
		"OpenAM refresh token": as(openAM, `"aud":["api://orders"],"tokenName":"refresh_token","scope":"a"`, token.ErrType),
		"PingAM scope array":   says(as(openAM, `"aud":"api://orders","scope":["a","b"],"client_id":"c","cts":"OAUTH2_STATELESS_GRANT"`, nil), "c", "a", "b"),

		"Cognito access token": says(as(okta, `"aud":"api://orders","token_use":"access","scp":["a"]`, nil), "", "a"),
		"Cognito ID token":     as(okta, `"aud":"api://orders","token_use":"id"`, token.ErrType),

		"security event":                     as(openAM, `"aud":"api://orders","events":{}`, token.ErrType),
		"ID token of a code flow":            as(openAM, `"aud":"api://orders","c_hash":"h"`, token.ErrType),
		"ID token with nonce":                as(openAM, `"aud":"api://orders","nonce":"n","client_id":"c","scope":"a"`, token.ErrType),
		"ID token for the client itself":     as(openAM, `"aud":["api://orders","c"],"client_id":"c"`, token.ErrType),
		"client is its own audience, scopes": says(as(openAM, `"aud":["api://orders","c"],"client_id":"c","scope":"a"`, nil), "c", "a"),
		"marker of an unheard-of kind":       as(openAM, `"aud":"api://orders","token_use":"x","scope":"a"`, token.ErrType),
	}
}

func TestA1_shapesOfProviders(t *testing.T) {
	t.Parallel()
	s := ecSigner(t, "ES256")
	for name, sh := range shapes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := issuer(t, s)
			i.TokenTypes, i.ClientIDClaims, i.ScopeClaims = sh.types, sh.clients, sh.scopes
			facts, err := judge(t, i, s.sign(t, sh.header, sh.claims))
			if !errors.Is(err, sh.want) {
				t.Fatalf("got %v; want %v", err, sh.want)
			}
			if err != nil {
				return
			}
			if diff := cmp.Diff(sh.wantScopes, facts.Scopes, cmpopts.EquateEmpty()); diff != "" || facts.ClientID != sh.wantClient {
				t.Errorf("client %q, want %q; scopes (-want +got)\n%s", facts.ClientID, sh.wantClient, diff)
			}
		})
	}
}

// What has no issuer, expiry or audience is refused; the other claims of RFC
// 9068 §2.2 may be missing, since most providers leave some out, but are never
// of another type.
func TestA2_requiredClaims(t *testing.T) {
	t.Parallel()
	rows := map[string]error{}
	for claim, want := range map[string]error{
		`"iss":"` + issuerURL + `",`: token.ErrIssuer,
		`"exp":1800000600,`:          token.ErrClaims,
		`"aud":"api://orders",`:      token.ErrAudience,
		`"sub":"user-1",`:            nil,
		`"client_id":"app-1",`:       nil,
		`"iat":1800000000,`:          nil,
		`,"jti":"id-1"`:              nil,
	} {
		rows[edit(t, goodClaims, claim, "")] = want
	}
	for _, value := range []string{
		`"` + issuerURL + `"`, `"api://orders"`, `"user-1"`, `"app-1"`, `"orders:read orders:write"`, `1800000000`, `1800000600`, `"id-1"`,
	} {
		for _, wrong := range []string{`null`, `{}`, `true`, `[[]]`} {
			rows[edit(t, goodClaims, value, wrong)] = token.ErrClaims
		}
	}
	rows[edit(t, goodClaims, `"id-1"`, `1`)] = token.ErrClaims
	wantClaims(t, issuer(t, ecSigner(t, "ES256")), rows)

	strict := issuer(t, ecSigner(t, "ES256"))
	strict.RequiredClaims = []string{"sub", "client_id", "iat", "jti"} // RFC 9068 §2.2
	rows = map[string]error{goodClaims: nil}
	for _, claim := range []string{`"sub":"user-1",`, `"client_id":"app-1",`, `"iat":1800000000,`, `,"jti":"id-1"`} {
		rows[edit(t, goodClaims, claim, "")] = token.ErrClaims
	}
	wantClaims(t, strict, rows)
}

func TestA3_issuerAudienceAlgorithmTime(t *testing.T) {
	t.Parallel()
	wantClaims(t, issuer(t, ecSigner(t, "ES256")), map[string]error{
		goodClaims: nil,
		edit(t, goodClaims, issuerURL, issuerURL+"/"):   token.ErrIssuer,
		edit(t, goodClaims, `api://orders`, `api://x`):  token.ErrAudience,
		edit(t, goodClaims, `1800000600`, `1800000240`): token.ErrExpired, // now - leeway
	})
	raw := b64(edit(t, goodHeader, "ES256", "none")) + "." + b64(goodClaims) + ".AA"
	if _, err := judge(t, issuer(t, ecSigner(t, "ES256")), raw); !errors.Is(err, token.ErrAlgorithm) {
		t.Errorf("alg none: got %v; want %v", err, token.ErrAlgorithm)
	}
}

// Every refusal of a token has a stable word to answer invalid_token with, and
// says nothing of the token.
func TestA4_everyRefusalHasAReason(t *testing.T) {
	t.Parallel()
	i := issuer(t, ecSigner(t, "ES256"))
	for _, odd := range oddTokens(t) {
		_, err := judge(t, i, odd.write(t))
		switch {
		case odd.want == nil:
			continue
		case token.Reason(err) == "" || errors.Is(err, token.ErrKeysUnavailable):
			t.Errorf("%s: got %v; want a refusal", odd.name, err)
		case err.Error() != odd.want.Error():
			t.Errorf("%s: got the text %q; want %q alone", odd.name, err, odd.want)
		}
	}
	if got := token.Reason(errors.Join(errors.New("x"), token.ErrExpired)); got != "expired" {
		t.Errorf("a wrapped reason: got %q; want expired", got)
	}
	for _, err := range []error{nil, errors.New("x")} {
		if got := token.Reason(err); got != "" {
			t.Errorf("%v: got %q; want none", err, got)
		}
	}
}

func TestA5_scopes(t *testing.T) {
	t.Parallel()
	i, s := issuer(t, ecSigner(t, "ES256")), ecSigner(t, "ES256")
	for scope, tc := range map[string]struct {
		scopes []string
		want   error
	}{
		`"orders:read"`: {scopes: []string{"orders:read"}},
		`"a b"`:         {scopes: []string{"a", "b"}},
		`" a  b "`:      {scopes: []string{"a", "b"}},
		`"a\u0020b"`:    {scopes: []string{"a", "b"}},
		`""`:            {},
		`[]`:            {},
		`["a","b"]`:     {scopes: []string{"a", "b"}},
		`["a b"]`:       {want: token.ErrClaims},
		`["a",""]`:      {want: token.ErrClaims},
		`["a",1]`:       {want: token.ErrClaims},
		`["a",["b"]]`:   {want: token.ErrClaims},
		`["a",null]`:    {want: token.ErrClaims},
		`"a\tb"`:        {want: token.ErrClaims},
		`"a\nb"`:        {want: token.ErrClaims},
		`"a\"b"`:        {want: token.ErrClaims},
		`"a\\b"`:        {want: token.ErrClaims},
		`"é"`:           {want: token.ErrClaims},
		`"a\u00a0b"`:    {want: token.ErrClaims},
		`7`:             {want: token.ErrClaims},
		`{"a":true}`:    {want: token.ErrClaims},
		`null`:          {want: token.ErrClaims},
	} {
		claims := edit(t, goodClaims, `"orders:read orders:write"`, scope)
		facts, err := judge(t, i, s.sign(t, goodHeader, claims))
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v; want %v", scope, err, tc.want)
			continue
		}
		if err == nil && !cmp.Equal(tc.scopes, facts.Scopes, cmpopts.EquateEmpty()) {
			t.Errorf("%s: got %q; want %q", scope, facts.Scopes, tc.scopes)
		}
	}
	// By configuration, not by guess; and the best name wins in any order.
	scp := edit(t, goodClaims, `"scope":"orders:read orders:write"`, `"scp":["a"],"scope":"b"`)
	for _, tc := range []struct{ names, want []string }{
		{names: nil, want: nil},
		{names: []string{"scope"}, want: []string{"b"}},
		{names: []string{"scp"}, want: []string{"a"}},
		{names: []string{"scope", "scp"}, want: []string{"b"}},
		{names: []string{"scp", "scope"}, want: []string{"a"}},
		{names: []string{"Scope"}, want: nil},
	} {
		i.ScopeClaims = tc.names
		facts, err := judge(t, i, s.sign(t, goodHeader, scp))
		if err != nil || !cmp.Equal(facts.Scopes, tc.want) {
			t.Errorf("scope claims %q: got %v, %v; want %q", tc.names, facts, err, tc.want)
		}
	}
}

// T2: a token that is bound to a key is no bearer token (RFC 9449, RFC 8705).
func TestT2_Q5_senderConstrained(t *testing.T) {
	t.Parallel()
	rows := map[string]error{}
	for _, cnf := range []string{`{"jkt":"AA"}`, `{"x5t#S256":"AA"}`, `{}`, `null`, `""`} {
		rows[extra(goodClaims, `"cnf":`+cnf)] = token.ErrSenderConstrained
	}
	wantClaims(t, issuer(t, ecSigner(t, "ES256")), rows)
}
