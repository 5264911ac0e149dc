package standin_test

import (
	"crypto/x509"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/shared/standin"
)

func TestMetadataIsWhereOktaHasIt(t *testing.T) {
	t.Parallel()
	o := start(t)
	for _, tt := range []struct {
		path, issuer, v1 string
		services, user   bool // client_credentials and userinfo are advertised
	}{
		{"/.well-known/openid-configuration", "", "/oauth2/v1/", false, true},
		{"/.well-known/oauth-authorization-server", "", "/oauth2/v1/", false, false},
		{"/oauth2/default/.well-known/openid-configuration", "/oauth2/default", "/oauth2/default/v1/", false, true},
		{"/oauth2/default/.well-known/oauth-authorization-server", "/oauth2/default", "/oauth2/default/v1/", true, false},
		{"/.well-known/oauth-authorization-server/oauth2/default", "/oauth2/default", "/oauth2/default/v1/", true, false},
		{"/.well-known/oauth-authorization-server/oauth2/opaque?client_id=svc", "/oauth2/opaque", "/oauth2/opaque/v1/", true, false},
	} {
		t.Run(tt.path, func(t *testing.T) {
			t.Parallel()
			r := o.get(t, tt.path)
			got := r.object(t)
			want := map[string]any{
				"issuer":                           o.url + tt.issuer,
				"registration_endpoint":            o.url + "/oauth2/v1/clients",
				"code_challenge_methods_supported": []any{"S256"},
				"subject_types_supported":          []any{"public"},
			}
			for _, name := range []string{"authorize", "token", "introspect", "revoke", "keys"} {
				member := map[string]string{"authorize": "authorization_endpoint", "token": "token_endpoint", "introspect": "introspection_endpoint", "revoke": "revocation_endpoint", "keys": "jwks_uri"}[name]
				want[member] = o.url + tt.v1 + name
			}
			for member := range want {
				if diff := cmp.Diff(want[member], got[member]); diff != "" {
					t.Errorf("%s (-want +got):\n%s", member, diff)
				}
			}
			grants, _ := got["grant_types_supported"].([]any)
			if slices.Contains(grants, any("client_credentials")) != tt.services {
				t.Errorf("grant_types_supported: got %v", grants)
			}
			if _, ok := got["userinfo_endpoint"]; ok != tt.user {
				t.Errorf("userinfo_endpoint: got %v", ok)
			}
			if r.status != http.StatusOK || r.header.Get("Content-Type") != "application/json" || r.header.Get("Cache-Control") == "" {
				t.Errorf("got %d %v", r.status, r.header)
			}
		})
	}
}

func TestOAuthMetadataHasTheMembersOfOkta(t *testing.T) {
	t.Parallel()
	o := start(t)
	got := slices.Sorted(maps.Keys(o.get(t, "/oauth2/default/.well-known/oauth-authorization-server").object(t)))
	want := strings.Fields(`authorization_endpoint claims_supported code_challenge_methods_supported device_authorization_endpoint
		end_session_endpoint grant_types_supported introspection_endpoint introspection_endpoint_auth_methods_supported issuer jwks_uri
		pushed_authorization_request_endpoint registration_endpoint request_object_signing_alg_values_supported request_parameter_supported
		response_modes_supported response_types_supported revocation_endpoint revocation_endpoint_auth_methods_supported scopes_supported
		subject_types_supported token_endpoint token_endpoint_auth_methods_supported`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
}

func TestRefusalsInTheEnvelope(t *testing.T) {
	t.Parallel()
	o := start(t)
	request := func(method, path, media, body string) reply {
		req, err := http.NewRequestWithContext(t.Context(), method, o.url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", media)
		return do(t, req)
	}
	const form = "application/x-www-form-urlencoded"
	for _, tt := range []struct {
		name          string
		reply         reply
		status        int
		code, summary string
	}{
		{"unknown authorization server, keys", o.get(t, "/oauth2/nope/v1/keys"), 404, "E0000007", "Not found: Resource not found: nope (AuthorizationServer)"},
		{"unknown authorization server, metadata", o.get(t, "/.well-known/oauth-authorization-server/oauth2/nope"), 404, "E0000007", "Not found: Resource not found: nope (AuthorizationServer)"},
		{"unknown path", o.get(t, "/api/v1/nothing"), 404, "E0000007", "Not found: Resource not found"},
		{"unknown client in discovery", o.get(t, "/.well-known/openid-configuration?client_id=x"), 400, "invalid_client", "Invalid value for 'client_id' parameter."},
		{"GET of the token endpoint", o.get(t, "/oauth2/default/v1/token"), 405, "E0000022", "The endpoint does not support the provided HTTP method"},
		{"POST of the keys", request("POST", "/oauth2/default/v1/keys", form, ""), 405, "E0000022", "The endpoint does not support the provided HTTP method"},
		{"JSON at the token endpoint", request("POST", "/oauth2/default/v1/token", "application/json", "{}"), 400, "E0000021", "Bad request.  Accept and/or Content-Type headers likely do not match supported values."},
		{"a form that does not parse", request("POST", "/oauth2/default/v1/token", form, "a=%zz"), 400, "E0000003", "The request body was not well-formed."},
		{"a form of more than 64 KiB", request("POST", "/oauth2/default/v1/token", form, "a="+strings.Repeat("x", 64<<10)), 400, "E0000003", "The request body was not well-formed."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			wantEnvelope(t, tt.reply, tt.status, tt.code, tt.summary)
		})
	}
}

func TestKeysArePublishedAsJWKs(t *testing.T) {
	t.Parallel()
	o := start(t)
	for _, path := range []string{"/oauth2/default/v1/keys", "/oauth2/v1/keys?client_id=svc"} {
		r := o.get(t, path)
		set, _ := r.object(t)["keys"].([]any)
		if len(set) != 1 {
			t.Fatalf("%s: got %s", path, r.body)
		}
		key, _ := set[0].(map[string]any)
		if got, want := slices.Sorted(maps.Keys(key)), []string{"alg", "e", "kid", "kty", "n", "use"}; !slices.Equal(got, want) {
			t.Errorf("members: got %v, want %v", got, want)
		}
		if key["alg"] != "RS256" || key["use"] != "sig" || key["kty"] != "RSA" || key["kid"] != "first" || key["e"] != "AQAB" {
			t.Errorf("got %v", key)
		}
		if r.header.Get("Cache-Control") != "max-age=3600, must-revalidate" {
			t.Errorf("Cache-Control: got %q", r.header.Get("Cache-Control"))
		}
	}
}

func TestKeysRotate(t *testing.T) {
	t.Parallel()
	o := start(t)
	old := o.serviceToken(t, "default")
	if err := o.RotateKeys(keys()[1]); err != nil {
		t.Fatal(err)
	}
	if got := o.publishedIDs(t); !slices.Equal(got, []string{"first", "second"}) {
		t.Errorf("after rotation: got %v", got)
	}
	header, _ := o.open(t, o.serviceToken(t, "default"))
	if header["kid"] != "second" {
		t.Errorf("kid: got %v, want second", header["kid"])
	}
	o.open(t, old)
	o.wantActive(t, "/oauth2/default", old)
	o.DropOldKeys()
	if got := o.publishedIDs(t); !slices.Equal(got, []string{"second"}) {
		t.Errorf("after dropping: got %v", got)
	}
	o.wantInactive(t, "/oauth2/default", old)
	if err := o.RotateKeys(keys()[1]); err == nil {
		t.Error("the same kid was added twice")
	}
}

func TestMintSignsWhatItIsGiven(t *testing.T) {
	t.Parallel()
	o := start(t)
	claims := o.Claims("svc", "orders:read", "orders:write")
	want := map[string]any{
		"ver": 1, "iss": o.url + "/oauth2/default", "aud": "api://default", "sub": "svc", "cid": "svc",
		"iat": int64(1795457332), "exp": int64(1795460932), "scp": []string{"orders:read", "orders:write"}, "jti": claims["jti"],
	}
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Errorf("Claims (-want +got):\n%s", diff)
	}
	if again := o.Claims("svc"); again["jti"] == claims["jti"] {
		t.Error("two calls gave the same jti")
	}
	claims["exp"] = 1
	token, err := o.Mint(claims, map[string]any{"typ": "JWT", "kid": nil})
	if err != nil {
		t.Fatal(err)
	}
	again, err := o.Mint(claims, map[string]any{"typ": "JWT", "kid": nil})
	if err != nil || again != token {
		t.Errorf("minting again gave another token (%v)", err)
	}
	if !strings.HasPrefix(token, "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.") {
		t.Errorf("header: got %s", strings.Split(token, ".")[0])
	}
	if _, err := o.Mint(map[string]any{"f": func() {}}, nil); err == nil {
		t.Error("a claim that is no JSON was minted")
	}
}

func TestMintedTokensAreIntrospected(t *testing.T) {
	t.Parallel()
	o := start(t)
	for name, tt := range map[string]struct {
		edit func(map[string]any)
		want bool
	}{
		"as it is":             {func(map[string]any) {}, true},
		"expired":              {func(c map[string]any) { c["exp"] = o.clock.Now().Unix() }, false},
		"without exp":          {func(c map[string]any) { delete(c, "exp") }, false},
		"exp is a string":      {func(c map[string]any) { c["exp"] = "9999999999" }, false},
		"of another issuer":    {func(c map[string]any) { c["iss"] = o.url + "/oauth2/opaque" }, false},
		"with strange members": {func(c map[string]any) { c["scp"] = []any{1, "a"}; c["cid"] = 7; c["jti"] = nil; c["aud"] = []int{1} }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			claims := o.Claims("svc", "orders:read")
			tt.edit(claims)
			token, err := o.Mint(claims, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := o.introspect(t, "/oauth2/default", token); got["active"] != tt.want {
				t.Errorf("got %v, want active %v", got, tt.want)
			}
		})
	}
}

func TestRevokedTokensAreInactive(t *testing.T) {
	t.Parallel()
	o := start(t)
	for _, as := range []string{"default", "opaque"} {
		token := o.serviceToken(t, as)
		jti, _ := o.introspect(t, "/oauth2/"+as, token)["jti"].(string)
		o.Revoke(jti)
		o.wantInactive(t, "/oauth2/"+as, token)
	}
}

func TestLiveTokensSurviveTheSweep(t *testing.T) {
	t.Parallel()
	o := start(t)
	expired := o.serviceToken(t, "opaque")
	o.clock.add(time.Hour)
	live, code := o.serviceToken(t, "opaque"), o.signIn(t, "/oauth2/default", "web", nil).Get("code")
	for i := range 1100 { // enough for what has expired to be forgotten
		o.Revoke(strconv.Itoa(i))
	}
	o.wantInactive(t, "/oauth2/opaque", expired)
	o.wantActive(t, "/oauth2/opaque", live)
	if r := o.redeem(t, code, nil); r.status != http.StatusOK {
		t.Errorf("got %d %s", r.status, r.body)
	}
}

func TestMistakesInTheConfiguration(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		okta standin.Okta
		want string
	}{
		"an org with a path":                   {standin.Okta{Org: "http://h/x"}, `Org "http://h/x"`},
		"an org that is no URL":                {standin.Okta{Org: "h"}, `Org "h"`},
		"a client without an ID":               {standin.Okta{Clients: []standin.Client{{Secret: "s"}}}, "ID is empty"},
		"a client twice":                       {standin.Okta{Clients: []standin.Client{{ID: "a", Secret: "s"}, {ID: "a", Secret: "s"}}}, "given twice"},
		"a confidential client without secret": {standin.Okta{Clients: []standin.Client{{ID: "a"}}}, `client "a": a client has a secret`},
		"a public client with a secret":        {standin.Okta{Clients: []standin.Client{{ID: "a", Secret: "s", AuthMethod: "none"}}}, `client "a": a client has a secret`},
		"an unknown method":                    {standin.Okta{Clients: []standin.Client{{ID: "a", AuthMethod: "tls"}}}, `unknown AuthMethod "tls"`},
		"a redirect URI with a fragment":       {standin.Okta{Clients: []standin.Client{{ID: "a", Secret: "s", RedirectURIs: []string{"http://h/#x"}}}}, "without a fragment"},
		"a user without a password":            {standin.Okta{Users: []standin.User{{Login: "a"}}}, `user "a"`},
		"an authorization server named v1":     {standin.Okta{AuthorizationServers: []standin.AuthorizationServer{{ID: "v1"}}}, `authorization server "v1"`},
		"an authorization server with a slash": {standin.Okta{AuthorizationServers: []standin.AuthorizationServer{{ID: "a/b"}}}, `authorization server "a/b"`},
		"a lifetime of half a second":          {standin.Okta{AuthorizationServers: []standin.AuthorizationServer{{ID: "a", Lifetime: time.Second / 2}}}, "whole seconds"},
		"a key without a key":                  {standin.Okta{Keys: []standin.Key{{ID: "k"}}}, `key "k": no private key`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := standin.New(tt.okta); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func TestZeroOktaServes(t *testing.T) {
	t.Parallel()
	srv, err := standin.New(standin.Okta{})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{
		"/oauth2/default/.well-known/openid-configuration": http.StatusOK,
		"/oauth2/default/v1/keys":                          http.StatusOK,
		"/_standin/requests":                               http.StatusNotFound,
	} {
		rec := httptest.NewRecorder()
		srv.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if rec.Code != want {
			t.Errorf("%s: got %d, want %d", path, rec.Code, want)
		}
	}
	if err := srv.RotateKeys(); err != nil {
		t.Error(err)
	}
}

func TestParseKey(t *testing.T) {
	t.Parallel()
	private := keys()[0].Private
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range []*pem.Block{
		{Type: "PRIVATE KEY", Bytes: pkcs8},
		{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)},
	} {
		k, err := standin.ParseKey("k", pem.EncodeToMemory(block))
		if err != nil || k.ID != "k" || !k.Private.Equal(private) {
			t.Errorf("%s: got %v, %v", block.Type, k.ID, err)
		}
	}
	for _, text := range []string{"", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if _, err := standin.ParseKey("k", []byte(text)); err == nil {
			t.Errorf("%q was parsed", text)
		}
	}
}
