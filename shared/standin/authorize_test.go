package standin_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

func TestLoginPage(t *testing.T) {
	t.Parallel()
	o := start(t)
	path := "/oauth2/default/v1/authorize?" + authorizeQuery("web", map[string]string{"login_hint": `"><script>`})
	r := o.get(t, path)
	if r.status != http.StatusOK || r.header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("got %d %s", r.status, r.body)
	}
	nonce := regexp.MustCompile(`<style nonce="([^"]+)">`).FindStringSubmatch(r.body)
	if nonce == nil {
		t.Fatal("no style sheet")
	}
	want := "default-src 'none'; style-src 'nonce-" + nonce[1] + "'; frame-ancestors 'none'; base-uri 'none'"
	if got := r.header.Get("Content-Security-Policy"); got != want {
		t.Errorf("CSP: got %q, want %q", got, want)
	}
	for name, want := range map[string]string{"X-Frame-Options": "DENY", "Cache-Control": "no-cache, no-store", "Referrer-Policy": "same-origin"} {
		if got := r.header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if strings.Contains(r.body, "<script") {
		t.Error("the login hint is not escaped")
	}
	inputs := regexp.MustCompile(`<input id="(\w+)" name="(\w+)"`).FindAllStringSubmatch(r.body, -1)
	form := url.Values{"action": {"login"}}
	values := map[string]string{"username": "ada@example.com", "password": "pa&ss"}
	for _, in := range inputs {
		if !strings.Contains(r.body, `<label for="`+in[1]+`">`) {
			t.Errorf("input %s has no label", in[1])
		}
		form.Set(in[2], values[in[2]])
	}
	if !strings.Contains(r.body, `<form method="post">`) {
		t.Error("the form does not post to its own address")
	}
	if sentBack(t, o.post(t, path, "", form)).Get("code") == "" {
		t.Error("no code")
	}
}

func TestLoginIsRefusedInPlace(t *testing.T) {
	t.Parallel()
	o := start(t)
	path := "/oauth2/default/v1/authorize?" + authorizeQuery("web", nil)
	for name, form := range map[string]url.Values{
		"a wrong password": {"username": {"ada@example.com"}, "password": {"nope"}},
		"an unknown user":  {"username": {"eve"}, "password": {"pa&ss"}},
		"no password":      {"username": {"eve"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := o.post(t, path, "", form)
			if r.status != http.StatusForbidden || !strings.Contains(r.body, `role="alert"`) || !strings.Contains(r.body, `value="`+form.Get("username")+`"`) {
				t.Errorf("got %d %s", r.status, r.body)
			}
			if strings.Contains(r.body, "nope") {
				t.Error("the page shows the password")
			}
		})
	}
}

func TestLoginFromAnotherSiteIsRefused(t *testing.T) {
	t.Parallel()
	o := start(t)
	req := o.form(t, "/oauth2/default/v1/authorize?"+authorizeQuery("web", nil), "", "username=ada@example.com&password=pa%26ss")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	if r := do(t, req); r.status != http.StatusForbidden || r.header.Get("Location") != "" {
		t.Errorf("got %d to %q", r.status, r.header.Get("Location"))
	}
}

func TestAuthorizeRefusalsStayHereWithoutATrustedRedirect(t *testing.T) {
	t.Parallel()
	o := start(t)
	for name, query := range map[string]string{
		"an unknown client":             authorizeQuery("who", nil),
		"no client":                     authorizeQuery("", nil),
		"no redirect URI":               authorizeQuery("web", map[string]string{"redirect_uri": ""}),
		"a redirect URI with more":      authorizeQuery("web", map[string]string{"redirect_uri": callback + "&x=1"}),
		"a redirect URI in other case":  authorizeQuery("web", map[string]string{"redirect_uri": strings.ToUpper(callback)}),
		"a redirect URI of another":     authorizeQuery("spa", map[string]string{"redirect_uri": "http://127.0.0.1:9/other"}),
		"two clients":                   authorizeQuery("web", nil) + "&client_id=spa",
		"two redirect URIs":             authorizeQuery("web", nil) + "&redirect_uri=http://evil.example",
		"a query that does not parse":   authorizeQuery("web", nil) + "&a=%zz",
		"a redirect URI that is markup": authorizeQuery("web", map[string]string{"redirect_uri": "<script>"}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := o.get(t, "/oauth2/default/v1/authorize?"+query)
			if r.status != http.StatusBadRequest || r.header.Get("Location") != "" || !strings.Contains(r.body, "Your request resulted in an error.") {
				t.Errorf("got %d to %q: %s", r.status, r.header.Get("Location"), r.body)
			}
			if strings.Contains(r.body, "<script") || !strings.Contains(r.header.Get("Content-Security-Policy"), "default-src 'none'") {
				t.Errorf("the page is not safe: %v %s", r.header, r.body)
			}
		})
	}
}

func TestAuthorizeRefusalsAreSentBack(t *testing.T) {
	t.Parallel()
	o := start(t)
	const missing = "PKCE code challenge is required by the application."
	const method = "PKCE code challenge method is not supported. Valid values: [S256]"
	const illegal = "PKCE code challenge contains illegal characters."
	for _, tt := range []struct {
		name, as, client  string
		changes           map[string]string
		code, description string
	}{
		{"no state", "default", "web", map[string]string{"state": ""}, "invalid_request", "The authentication request has an invalid 'state' parameter."},
		{"no response type", "default", "web", map[string]string{"response_type": ""}, "unsupported_response_type", "The response type is not supported by the authorization server. Configured response types: [code]."},
		{"the implicit flow", "default", "web", map[string]string{"response_type": "token"}, "unsupported_response_type", "The response type is not supported by the authorization server. Configured response types: [code]."},
		{"another response mode", "default", "web", map[string]string{"response_mode": "form_post"}, "unsupported_response_mode", "The response mode isn't supported by the authorization server. Valid response modes: [query]."},
		{"K2: plain", "default", "web", map[string]string{"code_challenge_method": "plain"}, "invalid_request", method},
		{"K2: no method, which means plain", "default", "web", map[string]string{"code_challenge_method": ""}, "invalid_request", method},
		{"K2: an unknown method", "default", "web", map[string]string{"code_challenge_method": "s256"}, "invalid_request", method},
		{"K3: a public client without a challenge", "default", "spa", map[string]string{"code_challenge": "", "code_challenge_method": ""}, "invalid_request", missing},
		{"a method without a challenge", "default", "web", map[string]string{"code_challenge": ""}, "invalid_request", missing},
		{"a challenge that is too short", "default", "web", map[string]string{"code_challenge": "abc"}, "invalid_request", illegal},
		{"a challenge that is not base64url", "default", "web", map[string]string{"code_challenge": strings.Repeat("~", 43)}, "invalid_request", illegal},
		{"no scope", "default", "web", map[string]string{"scope": ""}, "invalid_scope", "No scopes were requested."},
		{"an unknown scope", "default", "web", map[string]string{"scope": "openid nope"}, "invalid_scope", "One or more scopes are not configured for the authorization server resource."},
		{"a custom scope at the organisation", "", "web", map[string]string{"scope": "openid orders:read"}, "invalid_scope", "One or more scopes are not configured for the authorization server resource."},
		{"profile without openid", "default", "web", map[string]string{"scope": "profile"}, "invalid_scope", "Requests for ID tokens or access tokens with OpenID scopes require the 'openid' scope."},
		{"a client outside the policy", "closed", "web", nil, "access_denied", "Policy evaluation failed for this request, please check the policy configurations."},
		{"no prompt and no session", "default", "web", map[string]string{"prompt": "none"}, "login_required", "The client specified not to prompt, but the user is not logged in."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := "/oauth2/" + tt.as + "/v1/authorize?"
			if tt.as == "" {
				path = "/oauth2/v1/authorize?"
			}
			r := o.get(t, path+authorizeQuery(tt.client, tt.changes))
			back := sentBack(t, r)
			if back.Get("error") != tt.code || back.Get("error_description") != tt.description {
				t.Errorf("got %v, want %s: %s", back, tt.code, tt.description)
			}
			if _, changed := tt.changes["state"]; !changed && back.Get("state") != "s t&te" {
				t.Errorf("state: got %q", back.Get("state"))
			}
			if r.header.Get("Referrer-Policy") != "no-referrer" || back.Has("code") {
				t.Errorf("got %v %v", r.header, back)
			}
		})
	}
}

func TestUserRefusalsAreSentBack(t *testing.T) {
	t.Parallel()
	o := start(t)
	if back := o.signIn(t, "/oauth2/default", "staff", map[string]string{"scope": "openid"}); back.Get("error_description") != "User is not assigned to the client application." || back.Get("error") != "access_denied" {
		t.Errorf("a user who is not assigned: got %v", back)
	}
	path := "/oauth2/default/v1/authorize?" + authorizeQuery("web", nil)
	back := sentBack(t, o.post(t, path, "", url.Values{"action": {"cancel"}}))
	if back.Get("error") != "access_denied" || back.Get("error_description") != "The resource owner or authorization server denied the request." {
		t.Errorf("a user who cancels: got %v", back)
	}
	twice := sentBack(t, o.get(t, path+"&nonce=2"))
	if twice.Get("error") != "invalid_request" {
		t.Errorf("a repeated parameter: got %v", twice)
	}
}

func FuzzAuthorize(f *testing.F) {
	o := start(f)
	f.Add(authorizeQuery("web", nil), "username=ada@example.com&password=pa%26ss")
	f.Add(authorizeQuery("spa", map[string]string{"code_challenge_method": "plain"}), "action=cancel")
	f.Add("client_id=spa&client_id=web", "a=%zz")
	f.Fuzz(func(t *testing.T, query, form string) {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			req := o.form(t, "/oauth2/default/v1/authorize", "", form)
			req.Method = method
			req.URL.RawQuery = regexp.MustCompile(`[^!-~]|#`).ReplaceAllString(query, "")
			r := do(t, req)
			if r.status >= 500 {
				t.Errorf("%s: got %d %s", method, r.status, r.body)
			}
			if to := r.header.Get("Location"); to != "" && !strings.HasPrefix(to, callback+"&") && !strings.HasPrefix(to, "http://127.0.0.1:9/other?") {
				t.Errorf("%s: sent to %q", method, to)
			}
		}
	})
}
