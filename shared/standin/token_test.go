package standin_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestClientCredentials(t *testing.T) {
	t.Parallel()
	o := start(t)
	r := o.post(t, "/oauth2/default/v1/token", svc, url.Values{"grant_type": {"client_credentials"}, "scope": {"orders:read orders:write orders:read"}})
	got := r.object(t)
	token := r.text(t, "access_token")
	delete(got, "access_token")
	want := map[string]any{"token_type": "Bearer", "expires_in": 3600.0, "scope": "orders:read orders:write"}
	if diff := cmp.Diff(want, got); diff != "" || r.status != http.StatusOK {
		t.Errorf("status %d, answer (-want +got):\n%s", r.status, diff)
	}
	if r.header.Get("Cache-Control") != "no-cache, no-store" {
		t.Errorf("Cache-Control: got %q", r.header.Get("Cache-Control"))
	}
	header, claims := o.open(t, token)
	if diff := cmp.Diff(map[string]any{"alg": "RS256", "kid": "first"}, header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	jti, _ := claims["jti"].(string)
	if !strings.HasPrefix(jti, "AT.") || len(jti) != 46 {
		t.Errorf("jti: got %q", jti)
	}
	wantClaims := map[string]any{
		"ver": 1.0, "jti": jti, "iss": o.url + "/oauth2/default", "aud": "api://default", "sub": "svc", "cid": "svc",
		"iat": 1795457332.0, "exp": 1795460932.0, "scp": []any{"orders:read", "orders:write"},
	}
	if diff := cmp.Diff(wantClaims, claims); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	wantFacts := map[string]any{
		"active": true, "token_type": "Bearer", "scope": "orders:read orders:write", "client_id": "svc", "sub": "svc", "jti": jti,
		"iss": o.url + "/oauth2/default", "aud": "api://default", "iat": 1795457332.0, "exp": 1795460932.0,
	}
	if diff := cmp.Diff(wantFacts, o.introspect(t, "/oauth2/default", token)); diff != "" {
		t.Errorf("introspection (-want +got):\n%s", diff)
	}
}

func TestOpaqueTokensSayTheSameByIntrospection(t *testing.T) {
	t.Parallel()
	o := start(t)
	token := o.serviceToken(t, "opaque")
	if strings.Contains(token, ".") {
		t.Fatalf("token %q looks like a JWT", token)
	}
	got := o.introspect(t, "/oauth2/opaque", token)
	if got["client_id"] != "svc" || got["scope"] != "orders:read" || got["iss"] != o.url+"/oauth2/opaque" {
		t.Errorf("got %v", got)
	}
	o.wantInactive(t, "/oauth2/default", token) // another authorization server issued it
	o.clock.add(time.Hour)
	o.wantInactive(t, "/oauth2/opaque", token)
}

func TestTokenRefusals(t *testing.T) {
	t.Parallel()
	const at = "/oauth2/default/v1/token"
	const grant = "grant_type=client_credentials&scope=orders:read"
	const many = "Cannot supply multiple client credentials. Use one of the following: credentials in the Authorization header, credentials in the post body, or a client_assertion in the post body."
	const unusable = "Client authentication failed. Either the client or the client credentials are invalid."
	o := start(t)
	for _, tt := range []struct {
		name, path, user, form string
		status                 int
		code, description      string
	}{
		{"no credentials", at, "", grant, 401, "invalid_client", "No client credentials found."},
		{"an unknown client", at, "who:secret", grant, 401, "invalid_client", "Invalid value for 'client_id' parameter."},
		{"a wrong secret", at, "svc:wrong", grant, 401, "invalid_client", "The client secret supplied for a confidential client is invalid."},
		{"a wrong secret in the body", at, "", grant + "&client_id=poster&client_secret=no", 401, "invalid_client", "The client secret supplied for a confidential client is invalid."},
		{"the secret in the body of a Basic client", at, "", grant + "&client_id=svc&client_secret=svc", 401, "invalid_client", unusable},
		{"Basic of a client that posts", at, "poster:poster-secret", grant, 401, "invalid_client", unusable},
		{"a confidential client without its secret", at, "", grant + "&client_id=svc", 401, "invalid_client", unusable},
		{"a public client with a secret", at, "spa:x", grant, 401, "invalid_client", unusable},
		{"Basic and body", at, svc, grant + "&client_id=svc&client_secret=x", 401, "invalid_request", many},
		{"Basic and client_id", at, svc, grant + "&client_id=svc", 401, "invalid_request", many},
		{"credentials in the query", at + "?client_id=svc&client_secret=x", "", grant, 400, "invalid_request", "Client credentials cannot be supplied via query parameters."},
		{"a repeated parameter", at, svc, grant + "&scope=a", 400, "invalid_request", "The request contained multiple parameters with the same name."},
		{"no grant type", at, svc, "scope=a", 400, "invalid_request", "The token request must specify a 'grant_type'. Valid values: [authorization_code, client_credentials, refresh_token]"},
		{"an unknown grant type", at, svc, "grant_type=password", 400, "unsupported_grant_type", "The authorization grant type is not supported by the authorization server. Configured grant types: [authorization_code, client_credentials, refresh_token]."},
		{"a grant the client does not have", at, web, grant, 400, "unauthorized_client", "The client is not authorized to use the provided grant type. Configured grant types: [authorization_code, refresh_token]."},
		{"client credentials at the organisation", "/oauth2/v1/token", svc, grant, 400, "unsupported_grant_type", "'client_credentials' grant type can only be used with a custom authorization server."},
		{"no scope", at, svc, "grant_type=client_credentials", 400, "invalid_scope", "No scopes were requested."},
		{"an empty scope", at, svc, "grant_type=client_credentials&scope=", 400, "invalid_scope", "No scopes were requested."},
		{"an unknown scope", at, svc, grant + "%20nope", 400, "invalid_scope", "One or more scopes are not configured for the authorization server resource."},
		{"openid for a service", at, svc, grant + "%20openid", 400, "invalid_scope", "Cannot request 'openid' scopes using client credentials."},
		{"a scope the policy denies", at, reader, grant + "%20orders:write", 400, "access_denied", "Some of the requested scopes were denied by the policy. Denied scopes: [orders:write]."},
		{"only scopes the policy denies", at, reader, "grant_type=client_credentials&scope=orders:write", 400, "access_denied", "Policy evaluation succeeded, but all the requested scopes were rejected."},
		{"a client outside the policy", "/oauth2/closed/v1/token", svc, grant, 401, "access_denied", "Policy evaluation failed for this request, please check the policy configurations."},
		{"no code", at, web, "grant_type=authorization_code", 400, "invalid_request", "The required parameter 'code' is missing."},
		{"no redirect URI", at, web, "grant_type=authorization_code&code=x", 400, "invalid_request", "The required parameter 'redirect_uri' is missing."},
		{"an unknown code", at, web, "grant_type=authorization_code&code=x&redirect_uri=y", 400, "invalid_grant", "The authorization code is invalid or has expired."},
		{"no refresh token", at, web, "grant_type=refresh_token", 400, "invalid_request", "The required parameter 'refresh_token' is missing."},
		{"an unknown refresh token", at, web, "grant_type=refresh_token&refresh_token=x", 400, "invalid_grant", "The refresh token is invalid or expired."},
		{"introspection without credentials", "/oauth2/default/v1/introspect", "", "token=x", 401, "invalid_client", "No client credentials found."},
		{"introspection without a token", "/oauth2/default/v1/introspect", svc, "a=b", 400, "invalid_request", "The required parameter 'token' is missing."},
		{"introspection with a secret in the query", "/oauth2/default/v1/introspect?client_secret=x", svc, "token=x", 400, "invalid_request", "Client credentials cannot be supplied via query parameters."},
		{"revocation with a wrong secret", "/oauth2/default/v1/revoke", "svc:wrong", "token=x", 401, "invalid_client", "The client secret supplied for a confidential client is invalid."},
		{"revocation without a token", "/oauth2/default/v1/revoke", svc, "a=b", 400, "invalid_request", "The required parameter 'token' is missing."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			wantRefusal(t, do(t, o.form(t, tt.path, tt.user, tt.form)), tt.status, tt.code, tt.description)
		})
	}
	t.Run("an Authorization header that is not Basic", func(t *testing.T) {
		t.Parallel()
		req := o.form(t, at, "", grant)
		req.Header.Set("Authorization", "SSWS token")
		wantRefusal(t, do(t, req), 401, "invalid_client", "Found Authentication header but was not valid client credentials.")
	})
}

func TestSecretInTheBody(t *testing.T) {
	t.Parallel()
	o := start(t)
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"orders:read"}, "client_id": {"poster"}, "client_secret": {"poster-secret"}}
	if r := o.post(t, "/oauth2/default/v1/token", "", form); r.status != http.StatusOK {
		t.Errorf("got %d %s", r.status, r.body)
	}
}

func TestCodeFlow(t *testing.T) {
	t.Parallel()
	o := start(t)
	back := o.signIn(t, "/oauth2/default", "web", nil)
	if back.Get("state") != "s t&te" || back.Get("tenant") != "1" {
		t.Errorf("sent back: got %v", back)
	}
	r := o.redeem(t, back.Get("code"), nil)
	if r.status != http.StatusOK || r.text(t, "scope") != "openid offline_access orders:read" {
		t.Fatalf("got %d %s", r.status, r.body)
	}
	access := r.text(t, "access_token")
	_, claims := o.open(t, access)
	want := map[string]any{
		"ver": 1.0, "jti": claims["jti"], "iss": o.url + "/oauth2/default", "aud": "api://default", "sub": "ada@example.com", "uid": "00uada",
		"cid": "web", "iat": 1795457332.0, "exp": 1795460932.0, "auth_time": 1795457332.0, "scp": []any{"openid", "offline_access", "orders:read"},
		"groups": []any{"platform"}, "email": "ada@example.com",
	}
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Errorf("access token (-want +got):\n%s", diff)
	}
	_, id := o.open(t, r.text(t, "id_token"))
	sum := sha256.Sum256([]byte(access))
	wantID := map[string]any{
		"ver": 1.0, "jti": id["jti"], "iss": o.url + "/oauth2/default", "aud": "web", "sub": "00uada", "nonce": "n-0", "idp": id["idp"],
		"iat": 1795457332.0, "exp": 1795460932.0, "auth_time": 1795457332.0, "amr": []any{"pwd"}, "groups": []any{"platform"}, "email": "ada@example.com",
		"cid": "evil", "preferred_username": "ada@example.com", "at_hash": base64.RawURLEncoding.EncodeToString(sum[:16]),
	}
	if diff := cmp.Diff(wantID, id); diff != "" {
		t.Errorf("ID token (-want +got):\n%s", diff)
	}
	facts := o.introspect(t, "/oauth2/default", access)
	if facts["username"] != "ada@example.com" || facts["uid"] != "00uada" || facts["client_id"] != "web" || facts["scope"] != "openid offline_access orders:read" {
		t.Errorf("introspection: got %v", facts)
	}
	wantFacts := map[string]any{
		"active": true, "token_type": "Bearer", "scope": "openid offline_access orders:read", "client_id": "web",
		"username": "ada@example.com", "sub": "ada@example.com", "exp": 1796062132.0,
	}
	if diff := cmp.Diff(wantFacts, o.introspect(t, "/oauth2/default", r.text(t, "refresh_token"))); diff != "" {
		t.Errorf("introspection of the refresh token (-want +got):\n%s", diff)
	}
	o.wantActive(t, "/oauth2/default", r.text(t, "id_token"))
}

func TestOrganisationIssuesOpaqueTokens(t *testing.T) {
	t.Parallel()
	o := start(t)
	back := o.signIn(t, "/oauth2", "web", map[string]string{"scope": "openid"})
	form := url.Values{"grant_type": {"authorization_code"}, "code": {back.Get("code")}, "redirect_uri": {callback}, "code_verifier": {verifier}}
	r := o.post(t, "/oauth2/v1/token", web, form)
	if r.status != http.StatusOK || strings.Contains(r.text(t, "access_token"), ".") || r.object(t)["refresh_token"] != nil {
		t.Fatalf("got %d %s", r.status, r.body)
	}
	if _, id := o.open(t, r.text(t, "id_token")); id["iss"] != o.url {
		t.Errorf("issuer: got %v, want %s", id["iss"], o.url)
	}
	if got := o.introspect(t, "/oauth2", r.text(t, "access_token")); got["aud"] != o.url {
		t.Errorf("introspection: got %v", got)
	}
}

func TestRedemptionRefusals(t *testing.T) {
	t.Parallel()
	o := start(t)
	noPKCE := map[string]string{"code_challenge": "", "code_challenge_method": ""}
	for _, tt := range []struct {
		name              string
		authorize, redeem map[string]string
		code, description string
	}{
		{"K1: a verifier of 42 characters", nil, map[string]string{"code_verifier": verifier[:42]}, "invalid_grant", "PKCE verification failed."},
		{"K1: a verifier of 129 characters", nil, map[string]string{"code_verifier": strings.Repeat("a", 129)}, "invalid_grant", "PKCE verification failed."},
		{"K1: a verifier with other characters", nil, map[string]string{"code_verifier": verifier[:42] + "+"}, "invalid_grant", "PKCE verification failed."},
		{"K4: another verifier", nil, map[string]string{"code_verifier": strings.Repeat("a", 43)}, "invalid_grant", "PKCE verification failed."},
		{"K4: the verifier left out", nil, map[string]string{"code_verifier": ""}, "invalid_request", "PKCE code verifier is required by the application."},
		{"K5: a verifier without a challenge", noPKCE, nil, "invalid_request", "PKCE code challenge should be specified in the authorize request for code verification."},
		{"another redirect URI of the client", nil, map[string]string{"redirect_uri": "http://127.0.0.1:9/other"}, "invalid_grant", "The 'redirect_uri' does not match the redirection URI used in the authorization request."},
		{"the code of another client", nil, map[string]string{"client_id": "spa"}, "invalid_grant", "The grant was issued to another client. Please make sure the 'client_id' matches the one used at the authorize request."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			code := o.signIn(t, "/oauth2/default", "web", tt.authorize).Get("code")
			wantRefusal(t, o.redeem(t, code, tt.redeem), 400, tt.code, tt.description)
			if tt.redeem["client_id"] == "" { // the right client has used it up
				wantRefusal(t, o.redeem(t, code, nil), 400, "invalid_grant", "The authorization code is invalid or has expired.")
			}
		})
	}
	t.Run("a code at another authorization server", func(t *testing.T) {
		t.Parallel()
		code := o.signIn(t, "/oauth2/opaque", "web", nil).Get("code")
		wantRefusal(t, o.redeem(t, code, nil), 400, "invalid_grant", "The authorization code is invalid or has expired.")
	})
}

func TestConfidentialClientMayDoWithoutPKCE(t *testing.T) {
	t.Parallel()
	o := start(t)
	code := o.signIn(t, "/oauth2/default", "web", map[string]string{"code_challenge": "", "code_challenge_method": ""}).Get("code")
	if r := o.redeem(t, code, map[string]string{"code_verifier": ""}); r.status != http.StatusOK {
		t.Errorf("got %d %s", r.status, r.body)
	}
}

func TestCodeLives300Seconds(t *testing.T) {
	t.Parallel()
	o := start(t)
	young, old := o.signIn(t, "/oauth2/default", "web", nil).Get("code"), o.signIn(t, "/oauth2/default", "web", nil).Get("code")
	o.clock.add(299 * time.Second)
	if r := o.redeem(t, young, nil); r.status != http.StatusOK {
		t.Errorf("after 299 s: got %d %s", r.status, r.body)
	}
	o.clock.add(time.Second)
	wantRefusal(t, o.redeem(t, old, nil), 400, "invalid_grant", "The authorization code is invalid or has expired.")
}

func TestReplayedCodeRevokesItsTokens(t *testing.T) {
	t.Parallel()
	o := start(t)
	code := o.signIn(t, "/oauth2/default", "web", nil).Get("code")
	r := o.redeem(t, code, nil)
	access, refresh := r.text(t, "access_token"), r.text(t, "refresh_token")
	o.wantActive(t, "/oauth2/default", access)
	wantRefusal(t, o.redeem(t, code, nil), 400, "invalid_grant", "The authorization code is invalid or has expired.")
	o.wantInactive(t, "/oauth2/default", access)
	o.wantInactive(t, "/oauth2/default", refresh)
	wantRefusal(t, o.refresh(t, "web", refresh, ""), 400, "invalid_grant", "The refresh token is invalid or expired.")
}

func TestCodeRedeemedManyTimesAtOnceLeavesNoLiveToken(t *testing.T) {
	t.Parallel()
	o := start(t)
	code := o.signIn(t, "/oauth2/default", "web", nil).Get("code")
	replies, failures := make([]reply, 16), make([]error, 16)
	var wg sync.WaitGroup
	for i := range replies {
		req := o.redemption(t, code, nil)
		wg.Go(func() { replies[i], failures[i] = try(req) })
	}
	wg.Wait()
	if err := errors.Join(failures...); err != nil {
		t.Fatal(err)
	}
	good := 0
	for _, r := range replies {
		if r.status == http.StatusOK {
			good++
			o.wantInactive(t, "/oauth2/default", r.text(t, "access_token"))
			o.wantInactive(t, "/oauth2/default", r.text(t, "refresh_token"))
		}
	}
	if good > 1 {
		t.Errorf("%d redemptions succeeded", good)
	}
}

// refresh spends a refresh token of web, by its secret, or of spa.
func (o org) refresh(tb testing.TB, client, token, scope string) reply {
	tb.Helper()
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}, "scope": {scope}}
	if client == "spa" {
		form.Set("client_id", client)
		return o.post(tb, "/oauth2/default/v1/token", "", form)
	}
	return o.post(tb, "/oauth2/default/v1/token", web, form)
}

func TestRefreshRotatesAndReuseEndsTheGrant(t *testing.T) {
	t.Parallel()
	o := start(t)
	code := o.signIn(t, "/oauth2/default", "spa", nil).Get("code")
	first := o.redeem(t, code, map[string]string{"client_id": "spa"})
	second := o.refresh(t, "spa", first.text(t, "refresh_token"), "openid orders:read")
	if second.status != http.StatusOK || second.text(t, "scope") != "openid orders:read" || second.text(t, "id_token") == "" {
		t.Fatalf("got %d %s", second.status, second.body)
	}
	_, claims := o.open(t, second.text(t, "access_token"))
	if diff := cmp.Diff([]any{"openid", "orders:read"}, claims["scp"]); diff != "" {
		t.Errorf("scp (-want +got):\n%s", diff)
	}
	if first.text(t, "refresh_token") == second.text(t, "refresh_token") {
		t.Error("the refresh token was not rotated")
	}
	o.wantInactive(t, "/oauth2/default", first.text(t, "refresh_token"))
	o.clock.add(time.Second)
	wantRefusal(t, o.refresh(t, "spa", first.text(t, "refresh_token"), ""), 400, "invalid_grant", "The refresh token is invalid or expired.")
	for _, token := range []string{first.text(t, "access_token"), second.text(t, "access_token"), second.text(t, "refresh_token")} {
		o.wantInactive(t, "/oauth2/default", token)
	}
}

func TestRefreshTokenMayBeSpentAgainWithinTheLeeway(t *testing.T) {
	t.Parallel()
	o := start(t)
	token := o.redeem(t, o.signIn(t, "/oauth2/default", "web", nil).Get("code"), nil).text(t, "refresh_token")
	wantRefusal(t, o.refresh(t, "web", token, "orders:admin"), 400, "access_denied",
		"Some of the scopes requested for the refresh request were not granted in the original authorize request. Denied scopes: orders:admin.")
	for range 2 {
		if r := o.refresh(t, "web", token, ""); r.status != http.StatusOK {
			t.Fatalf("got %d %s", r.status, r.body)
		}
		o.clock.add(30 * time.Second)
	}
	wantRefusal(t, o.refresh(t, "web", token, ""), 400, "invalid_grant", "The refresh token is invalid or expired.")
}

func TestRevocation(t *testing.T) {
	t.Parallel()
	o := start(t)
	r := o.redeem(t, o.signIn(t, "/oauth2/default", "web", nil).Get("code"), nil)
	access, refresh := r.text(t, "access_token"), r.text(t, "refresh_token")
	revoke := func(user, query string, form url.Values) {
		t.Helper()
		if got := o.post(t, "/oauth2/default/v1/revoke"+query, user, form); got.status != http.StatusOK || got.body != "" {
			t.Errorf("got %d %q", got.status, got.body)
		}
	}
	revoke(web, "", url.Values{"token": {"unknown"}})
	for _, token := range []string{access, refresh} { // others' tokens stay alive
		revoke(svc, "", url.Values{"token": {token}})
		revoke("", "?client_id=spa", url.Values{"token": {token}})
		o.wantActive(t, "/oauth2/default", token)
	}
	revoke(web, "", url.Values{"token": {access}, "token_type_hint": {"refresh_token"}})
	o.wantInactive(t, "/oauth2/default", access)
	o.wantActive(t, "/oauth2/default", refresh)
	second := o.refresh(t, "web", refresh, "")
	revoke(web, "", url.Values{"token": {second.text(t, "refresh_token")}})
	o.wantInactive(t, "/oauth2/default", second.text(t, "refresh_token"))
	o.wantInactive(t, "/oauth2/default", second.text(t, "access_token"))
}

func FuzzTokenForm(f *testing.F) {
	o := start(f)
	code := o.signIn(f, "/oauth2/default", "spa", nil).Get("code")
	for _, form := range []map[string]string{
		{"grant_type": "authorization_code", "code": code, "redirect_uri": callback, "code_verifier": verifier, "client_id": "spa"},
		{"grant_type": "client_credentials", "scope": "orders:read", "client_id": "poster", "client_secret": "poster-secret"},
		{"grant_type": "refresh_token", "refresh_token": "x", "client_id": "spa"},
		{"token": o.serviceToken(f, "default"), "client_id": "spa"},
	} {
		values := url.Values{}
		for name, value := range form {
			values.Set(name, value)
		}
		f.Add(values.Encode(), "")
	}
	f.Add("a=%zz", "client_id=spa")
	f.Fuzz(func(t *testing.T, form, query string) {
		for _, endpoint := range []string{"token", "introspect", "revoke"} {
			req := o.form(t, "/oauth2/default/v1/"+endpoint, "", form)
			req.URL.RawQuery = url.PathEscape(query)
			if r := do(t, req); r.status >= 500 {
				t.Errorf("%s: got %d %s", endpoint, r.status, r.body)
			}
		}
	})
}
