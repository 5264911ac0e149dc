package main

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/shared/fetch"
	"gatehouse/shared/oauth"
	"gatehouse/shared/registry"
	"gatehouse/shared/standin"
)

// The attacks of this file are on what the broker gives out, and to whom;
// [TestAttacksOnTheBroker] has them tried.

// onCodes redeems what others were given.
var onCodes = []attack{
	{"a code again, which ends what it has led to", func(t *testing.T, a *attacked) response {
		t.Helper()
		code := a.code(t, a.owned)
		first := answered(t, a.redeem(t, a.owned, code))
		got := a.redeem(t, a.owned, code)
		expects(t, "its refresh token", a.refresh(t, a.owned, first.RefreshToken), 400, "invalid_grant")
		expects(t, "its access token", a.by(t, a.owned, "/introspect", "token", first.RefreshToken), 200, `{"active":false}`)
		return got
	}, 400, "invalid_grant"},
	{"the code of another client, which stays good (workers-oauth-provider 0.8.0)", func(t *testing.T, a *attacked) response {
		t.Helper()
		code := a.code(t, a.owned)
		got := a.redeem(t, a.other, code, "code_verifier", a.owned.verifier)
		answered(t, a.redeem(t, a.owned, code))
		return got
	}, 400, "invalid_grant"},
	{"the code of a public client, by another", func(t *testing.T, a *attacked) response {
		t.Helper()
		code := a.code(t, a.stranger)
		got := a.redeem(t, a.native, code, "code_verifier", a.stranger.verifier)
		answered(t, a.redeem(t, a.stranger, code))
		return got
	}, 400, "invalid_grant"},
	{"a code that was stolen, without the verifier (workers-oauth-provider CVE-2025-4144)", func(t *testing.T, a *attacked) response {
		t.Helper()
		return a.redeem(t, a.stranger, a.code(t, a.stranger), "code_verifier", "")
	}, 400, "code_verifier is missing"},
	{"a code that was stolen, with a wrong verifier, which ends it", func(t *testing.T, a *attacked) response {
		t.Helper()
		code := a.code(t, a.stranger)
		got := a.redeem(t, a.stranger, code, "code_verifier", oauth.NewVerifier())
		expects(t, "with the right one", a.redeem(t, a.stranger, code), 400, "invalid_grant")
		return got
	}, 400, "invalid_grant"},
	{"the challenge as the verifier, as with plain", func(t *testing.T, a *attacked) response {
		t.Helper()
		return a.redeem(t, a.stranger, a.code(t, a.stranger), "code_verifier", oauth.Challenge(a.stranger.verifier))
	}, 400, "invalid_grant"},
	{"a code for another redirect URI", func(t *testing.T, a *attacked) response {
		t.Helper()
		return a.redeem(t, a.owned, a.code(t, a.owned), "redirect_uri", webRedirect+"/")
	}, 400, "invalid_grant"},
	{"a code for another resource", func(t *testing.T, a *attacked) response {
		t.Helper()
		return a.redeem(t, a.owned, a.code(t, a.owned), "resource", "https://elsewhere.example/")
	}, 400, "invalid_target"},
	{"a code that is too old", func(t *testing.T, a *attacked) response {
		t.Helper()
		code := a.code(t, a.owned)
		a.clock.ahead.Add(int64(61 * time.Second))
		return a.redeem(t, a.owned, code)
	}, 400, "invalid_grant"},
	{"the provider's own code", func(t *testing.T, a *attacked) response {
		t.Helper()
		back := a.signsIn(t, a.toProvider(t, visitor{}, a.owned))
		return a.redeem(t, a.owned, told(t, response{header: http.Header{"Location": {back}}}).Get("code"))
	}, 400, "invalid_grant"},
	{"a refresh token in the place of a code", func(t *testing.T, a *attacked) response {
		t.Helper()
		return a.redeem(t, a.owned, a.tokens(t, a.owned).RefreshToken)
	}, 400, "invalid_grant"},
	{"a code whose client has lost its contract", func(t *testing.T, a *attacked) response {
		t.Helper()
		code := a.code(t, a.owned)
		a.decides(t, a.owned, registry.Revoked)
		got := a.redeem(t, a.owned, code)
		a.decides(t, a.owned, registry.Approved)
		return got
	}, 400, "access_denied"},
}

// decides has the owner of the orders decide.
func (a *attacked) decides(t *testing.T, p party, status registry.Status) {
	t.Helper()
	owner := a.as(t, grant{id: ownerID, secret: ownerSecret, scope: "gatehouse:contracts"})
	got := sendJSON(t, http.MethodPatch, a.Own+"/apis/orders/contracts/"+p.ClientID, `{"status":"`+string(status)+`"}`, owner...)
	expects(t, "the owner", got, 200, string(status))
}

// onTokens uses tokens that others have, or that have ended.
var onTokens = []attack{
	{"a refresh token of another client, which stays good", func(t *testing.T, a *attacked) response {
		t.Helper()
		mine := a.tokens(t, a.owned)
		got := a.refresh(t, a.other, mine.RefreshToken)
		answered(t, a.refresh(t, a.owned, mine.RefreshToken))
		return got
	}, 400, "invalid_grant"},
	{"revocation of another client's refresh token (workers-oauth-provider 0.8.0)", func(t *testing.T, a *attacked) response {
		t.Helper()
		mine := a.tokens(t, a.owned)
		got := a.by(t, a.other, "/revoke", "token", mine.RefreshToken)
		answered(t, a.refresh(t, a.owned, mine.RefreshToken))
		return got
	}, 400, "unauthorized_client"},
	{"revocation of another client's access token", func(t *testing.T, a *attacked) response {
		t.Helper()
		mine := a.tokens(t, a.owned)
		got := a.by(t, a.stranger, "/revoke", "token", mine.AccessToken)
		expects(t, "the token", send(t, http.MethodGet, a.REST+"/orders", bearer(mine.AccessToken)...), 200, "gate latch")
		return got
	}, 400, "unauthorized_client"},
	{"revocation by nobody", func(t *testing.T, a *attacked) response {
		t.Helper()
		mine := a.tokens(t, a.owned)
		got := post(t, a.Own+"/revoke", url.Values{"token": {mine.RefreshToken}, "client_id": {a.owned.ClientID}})
		answered(t, a.refresh(t, a.owned, mine.RefreshToken))
		return got
	}, 401, "invalid_client"},
	{"a question about another client's token", func(t *testing.T, a *attacked) response {
		t.Helper()
		return a.by(t, a.other, "/introspect", "token", a.tokens(t, a.owned).AccessToken)
	}, 200, `{"active":false}`},
	{"a question about a token that was found", func(t *testing.T, a *attacked) response {
		t.Helper()
		return a.by(t, a.stranger, "/introspect", "token", a.tokens(t, a.owned).AccessToken)
	}, 401, "invalid_client"},
	{"a refresh token twice at once, and then after a while", func(t *testing.T, a *attacked) response {
		t.Helper()
		first := a.tokens(t, a.owned)
		all := make(chan response, 2)
		for range cap(all) {
			go func() { all <- a.refresh(t, a.owned, first.RefreshToken) }()
		}
		one, two := answered(t, <-all), answered(t, <-all)
		if one.AccessToken != two.AccessToken {
			t.Error("two families of tokens come of one")
		}
		if again := answered(t, a.refresh(t, a.owned, first.RefreshToken)); again.AccessToken != one.AccessToken {
			t.Error("who has lost the answer gets another")
		}
		a.clock.ahead.Add(int64(31 * time.Second))
		got := a.refresh(t, a.owned, first.RefreshToken)
		expects(t, "the thief's, or the owner's", a.refresh(t, a.owned, one.RefreshToken), 400, "invalid_grant")
		return got
	}, 400, "invalid_grant"},
	{"what one installation has, when another signs out (workers-oauth-provider 0.10.3)", func(t *testing.T, a *attacked) response {
		t.Helper()
		laptop, phone := a.tokens(t, a.native), a.tokens(t, a.native)
		expects(t, "signing out", a.by(t, a.native, "/revoke", "token", phone.RefreshToken), 200, "")
		answered(t, a.refresh(t, a.native, laptop.RefreshToken))
		expects(t, "the access token of the one", send(t, http.MethodGet, a.REST+"/orders", bearer(laptop.AccessToken)...), 200, "gate latch")
		return a.refresh(t, a.native, phone.RefreshToken)
	}, 400, "invalid_grant"},
	{"more scopes than were granted, by a refresh token", func(t *testing.T, a *attacked) response {
		t.Helper()
		return a.by(t, a.owned, "/token", "grant_type", oauth.RefreshToken, "refresh_token", a.tokens(t, a.owned).RefreshToken, "scope", "orders:read orders:write")
	}, 400, "invalid_scope"},
	{"our refresh token at the provider", func(t *testing.T, a *attacked) response {
		t.Helper()
		mine := a.tokens(t, a.owned)
		return post(t, a.tokenURL(), url.Values{"grant_type": {oauth.RefreshToken}, "refresh_token": {mine.RefreshToken}}, "Authorization", basic(a.owned.ClientID, a.owned.Secret))
	}, 400, "invalid_grant"},
	{"an access token that was cached for a client, with a wrong secret", func(t *testing.T, a *attacked) response {
		t.Helper()
		answered(t, a.by(t, a.owned, "/token", "grant_type", oauth.ClientCredentials, "scope", "orders:read"))
		return post(t, a.Own+"/token", url.Values{"grant_type": {oauth.ClientCredentials}, "scope": {"orders:read"}}, "Authorization", basic(a.owned.ClientID, "wrong"))
	}, 401, "invalid_client"},
	{"an access token that was cached for another scope", func(t *testing.T, a *attacked) response {
		t.Helper()
		answered(t, a.by(t, a.owned, "/token", "grant_type", oauth.ClientCredentials, "scope", "orders:write"))
		narrow := answered(t, a.by(t, a.owned, "/token", "grant_type", oauth.ClientCredentials, "scope", "orders:read"))
		return send(t, http.MethodPost, a.REST+"/orders", bearer(narrow.AccessToken)...)
	}, 403, "message"},
	{"an access token that was cached before the contract ended", func(t *testing.T, a *attacked) response {
		t.Helper()
		answered(t, a.by(t, a.other, "/token", "grant_type", oauth.ClientCredentials, "scope", "orders:read"))
		a.decides(t, a.other, registry.Revoked)
		got := a.by(t, a.other, "/token", "grant_type", oauth.ClientCredentials, "scope", "orders:read")
		a.decides(t, a.other, registry.Approved)
		return got
	}, 400, "access_denied"},
	{"a refresh token as an access token", func(t *testing.T, a *attacked) response {
		t.Helper()
		return send(t, http.MethodGet, a.REST+"/orders", bearer(a.tokens(t, a.owned).RefreshToken)...)
	}, 401, "Unauthorized"},
	{"what the provider says beside tokens (token passthrough)", func(t *testing.T, a *attacked) response {
		t.Helper()
		v := visitor{}
		code := told(t, v.send(t, a.signsIn(t, a.toProvider(t, v, a.owned, "scope", "openid profile offline_access orders:read")), nil)).Get("code")
		got := a.redeem(t, a.owned, code)
		var members map[string]any
		if err := json.Unmarshal([]byte(got.body), &members); err != nil {
			t.Fatal(err)
		}
		if names, want := slices.Sorted(maps.Keys(members)), []string{"access_token", "expires_in", "refresh_token", "scope", "token_type"}; !slices.Equal(names, want) {
			t.Errorf("the client gets %v, want %v", names, want)
		}
		return got
	}, 200, `"scope":"orders:read"`},
}

// onClients pretends to be a client, or to be one of another kind.
var onClients = []attack{
	{"a secret of a client that has none (workers-oauth-provider 0.9.0)", func(t *testing.T, a *attacked) response {
		t.Helper()
		code := a.code(t, a.native)
		got := a.redeem(t, a.native, code, "client_secret", "guessed")
		answered(t, a.redeem(t, a.native, code))
		return got
	}, 401, "invalid_client"},
	{"Basic with an empty secret, of a client that has none", func(t *testing.T, a *attacked) response {
		t.Helper()
		return post(t, a.Own+"/token", url.Values{"grant_type": {oauth.RefreshToken}, "refresh_token": {a.tokens(t, a.native).RefreshToken}}, "Authorization", basic(a.native.ClientID, ""))
	}, 401, "invalid_client"},
	{"a client that has a secret, without it", func(t *testing.T, a *attacked) response {
		t.Helper()
		code := a.code(t, a.owned)
		got := post(t, a.Own+"/token", url.Values{"grant_type": {oauth.AuthorizationCode}, "code": {code}, "code_verifier": {a.owned.verifier}, "client_id": {a.owned.ClientID}})
		answered(t, a.redeem(t, a.owned, code))
		return got
	}, 401, "invalid_client"},
	{"the right secret in the form, of a client with Basic", func(t *testing.T, a *attacked) response {
		t.Helper()
		return post(t, a.Own+"/token", url.Values{"grant_type": {oauth.ClientCredentials}, "client_id": {a.owned.ClientID}, "client_secret": {a.owned.Secret}})
	}, 401, "invalid_client"},
	{"two clients in one request", func(t *testing.T, a *attacked) response {
		t.Helper()
		return a.by(t, a.owned, "/token", "grant_type", oauth.ClientCredentials, "client_id", a.other.ClientID)
	}, 400, "invalid_request"},
	{"a client of the provider that was not registered here", func(t *testing.T, a *attacked) response {
		t.Helper()
		return a.by(t, party{ClientID: developerID, Secret: developerSecret}, "/token", "grant_type", oauth.ClientCredentials)
	}, 401, "invalid_client"},
	{"an assertion that is not signed", func(t *testing.T, a *attacked) response {
		t.Helper()
		return post(t, a.Own+"/token", url.Values{
			"grant_type": {oauth.ClientCredentials}, "client_id": {a.owned.ClientID}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
			"client_assertion": {of(`{"alg":"none"}`, `{"sub":"`+a.owned.ClientID+`"}`, nil)},
		})
	}, 401, "invalid_client"},
	{"a token for itself, of a client that nobody vouches for", func(t *testing.T, a *attacked) response {
		t.Helper()
		return a.by(t, a.stranger, "/token", "grant_type", oauth.ClientCredentials)
	}, 400, "unauthorized_client"},
	{"a password of a person", func(t *testing.T, a *attacked) response {
		t.Helper()
		return a.by(t, a.owned, "/token", "grant_type", "password", "username", userLogin, "password", userPassword)
	}, 400, "unsupported_grant_type"},
	{"an exchange of somebody's token", func(t *testing.T, a *attacked) response {
		t.Helper()
		return a.by(t, a.owned, "/token", "grant_type", "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token", a.tokens(t, a.other).AccessToken)
	}, 400, "unsupported_grant_type"},
	{"the scope of another API, for itself", func(t *testing.T, a *attacked) response {
		t.Helper()
		return a.by(t, a.owned, "/token", "grant_type", oauth.ClientCredentials, "scope", "gatehouse:admin")
	}, 400, "invalid_scope"},
	{"a resource that is none, for itself", func(t *testing.T, a *attacked) response {
		t.Helper()
		return a.by(t, a.owned, "/token", "grant_type", oauth.ClientCredentials, "resource", a.elsewhere)
	}, 400, "invalid_target"},
	{"metadata with a host of the attacker's (mcp-remote CVE-2025-6514)", func(t *testing.T, a *attacked) response {
		t.Helper()
		got := send(t, http.MethodGet, a.Own+"/.well-known/oauth-authorization-server",
			"X-Forwarded-Host", "evil.example$(calc)", "Forwarded", "host=evil.example", "X-Forwarded-Proto", "javascript", "X-Original-Host", "evil.example")
		if strings.Contains(got.body, "evil.example") || strings.Contains(got.body, "javascript") || strings.ContainsAny(got.body, "$`;|") {
			t.Errorf("the metadata are %s", got.body)
		}
		return got
	}, 200, `"code_challenge_methods_supported":["S256"]`},
	{"a provider that sends the client's secret elsewhere", func(t *testing.T, a *attacked) response {
		t.Helper()
		a.standin.Break(standin.Token, standin.Fault{Status: http.StatusTemporaryRedirect, Redirect: a.elsewhere})
		defer a.standin.Mend()
		return a.by(t, a.owned, "/token", "grant_type", oauth.ClientCredentials, "scope", "orders:write")
	}, 503, "temporarily_unavailable"},
	{"secrets that are guessed", func(t *testing.T, a *attacked) response {
		t.Helper()
		var got response
		for range 31 {
			got = post(t, a.Own+"/token", url.Values{"grant_type": {oauth.ClientCredentials}}, "Authorization", basic(a.other.ClientID, oauth.NewVerifier()))
		}
		return got
	}, 429, "temporarily_unavailable"},
}

// onDocuments has the broker fetch what a client is said to say of itself, from
// where only the broker gets (server-side request forgery: FastMCP #3098,
// CVE-2026-32871, Keycloak CVE-2026-4874).
func onDocuments() []attack {
	var all []attack
	for name, id := range map[string]string{
		"this machine by its address":            "https://127.0.0.1:PORT/client.json",
		"this machine by its name":               "https://localhost:PORT/client.json",
		"this machine without TLS":               "http://localhost:PORT/client.json",
		"this machine in one number":             "https://2130706433:PORT/client.json",
		"this machine in octal":                  "https://0177.0.0.1:PORT/client.json",
		"this machine in hexadecimal":            "https://0x7f.1:PORT/client.json",
		"this machine in short":                  "https://127.1:PORT/client.json",
		"this machine by IPv6":                   "https://[::1]:PORT/client.json",
		"this machine by IPv4 in IPv6":           "https://[::ffff:127.0.0.1]:PORT/client.json",
		"this machine by NAT64":                  "https://[64:ff9b::7f00:1]:PORT/client.json",
		"any address":                            "https://0.0.0.0:PORT/client.json",
		"a name below localhost":                 "https://a.localhost:PORT/client.json",
		"the metadata of EC2":                    "https://169.254.169.254/latest/meta-data/",
		"the credentials of a container":         "https://169.254.170.2/v2/credentials",
		"the metadata of EC2 by its name":        "https://instance-data.ec2.internal/latest/",
		"a name of the network inside":           "https://vault.corp/client.json",
		"a name without a dot":                   "https://vault/client.json",
		"a user before the host":                 "https://client.example.com@127.0.0.1:PORT/client.json",
		"a backslash before the host":            `https://client.example.com\@127.0.0.1:PORT/client.json`,
		"letters that become digits":             "https://①②⑦.⓪.⓪.①:PORT/client.json",
		"a path that leads out (CVE-2026-32871)": "https://client.example.com/a/../../client.json",
		"a path that leads out, encoded":         "https://client.example.com/%2e%2e/client.json",
		"a file":                                 "file:///etc/passwd",
		"a line break":                           "https://127.0.0.1:PORT/\r\nHost: client.example.com",
		"a port of elsewhere":                    "https://client.example.com:22/client.json",
	} {
		all = append(all, attack{name, func(t *testing.T, a *attacked) response {
			t.Helper()
			here, err := url.Parse(a.elsewhere)
			if err != nil {
				t.Fatal(err)
			}
			p := party{ClientID: strings.ReplaceAll(id, "PORT", here.Port()), redirect: webRedirect}
			before := len(a.log.String())
			got := visitor{}.send(t, a.request(p), nil)
			// Refused for what it is, and not because nothing is there.
			if line := a.log.String()[before:]; !strings.Contains(line, fetch.ErrForbidden.Error()) && !strings.Contains(line, "oauth: the ") && !strings.Contains(line, "no such application") {
				t.Errorf("the log says %s", line)
			}
			if strings.Contains(got.body, "refused") || strings.Contains(got.body, "no such host") || strings.Contains(got.body, "127.0.0.1") {
				t.Errorf("the page tells what is there: %s", got.body)
			}
			expects(t, "its token request", a.by(t, p, "/token", "grant_type", oauth.AuthorizationCode, "code", "x", "code_verifier", "y"), 401, "invalid_client")
			return got
		}, 400, "invalid_client"})
	}
	return all
}
