package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/infra/tooltest"
	"gatehouse/shared/config"
	"gatehouse/shared/registry"
	"gatehouse/shared/standin"
)

// The tests of this file attack the registration: what clients that register
// themselves have had done, to whom they register at and to each other.

// hostileMetadata are registrations that are refused, by what is wrong with them.
var hostileMetadata = []struct{ name, members, code, field string }{
	{"a name that reads backwards", `"client_name":"Bank\u202eknaB"`, "invalid_client_metadata", "client_name"},
	{"a name with a space that does not show", `"client_name":"Ba\u200bnk"`, "invalid_client_metadata", "client_name"},
	{"a name with a letter that does not show", `"client_name":"Bank\u3164"`, "invalid_client_metadata", "client_name"},
	{"a name with a line break", `"client_name":"Bank\r\nSet-Cookie: a=b"`, "invalid_client_metadata", "client_name"},
	{"a name that fills the page", `"client_name":"` + strings.Repeat("x", 5000) + `"`, "invalid_client_metadata", "client_name"},
	{"a page of somebody else", `"client_uri":"https://bank.example.com"`, "invalid_client_metadata", "client_uri"},
	{"a page that is script", `"client_uri":"javascript:alert(1)"`, "invalid_client_metadata", "client_uri"},
	{"a redirect URI that is script (workers-oauth-provider #80)", `"redirect_uris":["javascript:alert(1)"]`, "invalid_redirect_uri", "redirect_uris"},
	{"one in mixed letters (workers-oauth-provider #98)", `"redirect_uris":["JaVaScRiPt:alert(1)"]`, "invalid_redirect_uri", "redirect_uris"},
	{"one with a control character in front", `"redirect_uris":["\u0001javascript:alert(1)"]`, "invalid_redirect_uri", "redirect_uris"},
	{"one with a character that does not show", `"redirect_uris":["java\u200bscript:alert(1)"]`, "invalid_redirect_uri", "redirect_uris"},
	{"one that is a page itself", `"redirect_uris":["data:text/html,<script>alert(1)</script>"]`, "invalid_redirect_uri", "redirect_uris"},
	{"one that is a file", `"redirect_uris":["file:///etc/passwd"]`, "invalid_redirect_uri", "redirect_uris"},
	{"one for every host", `"redirect_uris":["https://*.example.com/cb"]`, "invalid_redirect_uri", "redirect_uris"},
	{"one with a user that looks like a host", `"redirect_uris":["https://app.example.com@evil.example/cb"]`, "invalid_redirect_uri", "redirect_uris"},
	{"one with a backslash", `"redirect_uris":["https://evil.example\\@app.example.com/cb"]`, "invalid_redirect_uri", "redirect_uris"},
	{"one with a fragment", `"redirect_uris":["https://app.example.com/cb#x"]`, "invalid_redirect_uri", "redirect_uris"},
	{"one without TLS", `"redirect_uris":["http://app.example.com/cb"]`, "invalid_redirect_uri", "redirect_uris"},
	{"one that hides in letters of another alphabet", `"redirect_uris":["https://\u0430pp.example.com/cb"]`, "invalid_redirect_uri", "redirect_uris"},
	{"one that hides them, percent-encoded", `"redirect_uris":["https://%D0%B0pp.example.com/cb"]`, "invalid_redirect_uri", "redirect_uris"},
	{"one that is turned around on the page of consent", `"redirect_uris":["https://moc.elpmaxe%E2%80%AE.evil.example/cb"]`, "invalid_redirect_uri", "redirect_uris"},
	{"one of an address that only looks like this machine's", `"redirect_uris":["http://127.0.0.1.evil.example/cb"]`, "invalid_redirect_uri", "redirect_uris"},
	{"one of this machine in another way", `"redirect_uris":["http://2130706433/cb"]`, "invalid_redirect_uri", "redirect_uris"},
	{"one among good ones", `"redirect_uris":["http://127.0.0.1/cb","https://app.example.com/cb","vbscript:x"]`, "invalid_redirect_uri", "redirect_uris"},
	{"a thousand of them", `"redirect_uris":["https://a.example/1"` + strings.Repeat(`,"https://a.example/"`, 999) + `]`, "invalid_redirect_uri", "redirect_uris"},
	{"tokens for itself", `"grant_types":["client_credentials"]`, "invalid_client_metadata", "grant_types"},
	{"tokens for itself, without a secret", `"grant_types":["client_credentials"],"token_endpoint_auth_method":"none"`, "invalid_client_metadata", "grant_types"},
	{"tokens for itself, beside a good grant", `"grant_types":["authorization_code","client_credentials"]`, "invalid_client_metadata", "grant_types"},
	{"the implicit grant", `"grant_types":["implicit"],"response_types":["token"]`, "invalid_client_metadata", "grant_types"},
	{"passwords of people", `"grant_types":["password"]`, "invalid_client_metadata", "grant_types"},
	{"tokens of others", `"grant_types":["urn:ietf:params:oauth:grant-type:token-exchange"]`, "invalid_client_metadata", "grant_types"},
	{"devices", `"grant_types":["urn:ietf:params:oauth:grant-type:device_code"]`, "invalid_client_metadata", "grant_types"},
	{"a scope of the provider's own", `"scope":"okta.apps.manage"`, "invalid_client_metadata", "scope"},
	{"a scope of our own", `"scope":"orders:read gatehouse:admin"`, "invalid_client_metadata", "scope"},
	{"keys from inside (Keycloak CVE-2026-4874)", `"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"http://169.254.169.254/latest/"`, "invalid_client_metadata", "jwks_uri"},
	{"keys from this machine", `"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"ELSEWHERE/keys"`, "invalid_client_metadata", "jwks_uri"},
	{"keys from anywhere", `"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://keys.example.com/"`, "invalid_client_metadata", "jwks_uri"},
	{"keys that it does not use", `"jwks_uri":"ELSEWHERE/keys"`, "invalid_client_metadata", "jwks_uri"},
	{"its private key", `"token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[{"kty":"RSA","d":"x"}]}`, "invalid_client_metadata", "jwks"},
	{"a statement of nobody's", `"software_statement":"eyJhbGciOiJub25lIn0.e30."`, "unapproved_software_statement", "software_statement"},
	{"a member twice", `"scope":"orders:read","scope":"gatehouse:admin"`, "invalid_client_metadata", "body"},
	{"a member twice, in other letters", `"scope":"orders:read","Scope":"gatehouse:admin"`, "invalid_client_metadata", "body"},
	{"arrays in arrays", `"redirect_uris":` + strings.Repeat("[", 500), "invalid_", ""},
	{"a number for a list", `"redirect_uris":7`, "invalid_", "redirect_uris"},
}

// TestAttacksOnTheRegistration has clients say what they are not, and use tokens
// of others.
func TestAttacksOnTheRegistration(t *testing.T) {
	t.Parallel()
	refused := counted(t, "the registration")
	for name, try := range map[string]func(*testing.T, *attacked){
		"what clients say of themselves": onMetadata,
		"tokens and names of others":     onRegistered,
		"tokens that let in one":         onInitialTokens,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := attackable(t)
			a.refused = refused
			try(t, a)
		})
	}
}

// onMetadata registers such clients, and makes one of a client that is there.
// Nothing comes of it at the provider, and nothing is fetched.
func onMetadata(t *testing.T, a *attacked) {
	t.Helper()
	manage := bearer(a.stranger.Manage)
	var all []attack
	for _, row := range hostileMetadata {
		body := func(a *attacked, more string) string {
			members := strings.ReplaceAll(row.members, "ELSEWHERE", a.elsewhere)
			for name, value := range map[string]string{"client_name": `"Stranger"`, "redirect_uris": `["` + nativeRedirect + `"]`} {
				if !strings.Contains(members, `"`+name+`"`) {
					members += `,"` + name + `":` + value
				}
			}
			return "{" + more + members + "}"
		}
		code := `"error":"` + row.code
		all = append(all, attack{row.name, func(t *testing.T, a *attacked) response {
			t.Helper()
			got := sendJSON(t, http.MethodPost, a.Own+"/register", body(a, ""))
			if !strings.Contains(got.body, `"error_description":"`+row.field) {
				t.Errorf("got %s, want it to be about %s", got.body, row.field)
			}
			return got
		}, 400, code}, attack{row.name + ", of a client that is there", func(t *testing.T, a *attacked) response {
			t.Helper()
			return sendJSON(t, http.MethodPut, a.Own+"/register/"+a.stranger.ClientID, body(a, `"client_id":"`+a.stranger.ClientID+`",`), manage...)
		}, 400, code})
	}
	a.holds(t, all)
}

// onRegistered uses tokens and names of clients for others.
func onRegistered(t *testing.T, a *attacked) {
	t.Helper()
	victim := a.joins(t, "/register", `{"client_name":"Victim","redirect_uris":["`+webRedirect+`"]}`)
	mine, at := bearer(a.stranger.Manage), a.Own+"/register/"+victim.ClientID
	const hijacked = `"redirect_uris":["https://evil.example/cb"]`
	none := sendJSON(t, http.MethodGet, a.Own+"/register/0oanobody", "", mine...)
	guess := func(name, method, at, body string, header ...string) attack {
		return attack{name, func(t *testing.T, _ *attacked) response {
			t.Helper()
			got := sendJSON(t, method, at, body, header...)
			if got.body != none.body {
				t.Errorf("it can be told from the answer that there is such a client: %s, and of none %s", got.body, none.body)
			}
			return got
		}, 401, "invalid_token"}
	}
	as := func(name string, status int, says, method, path, body string, header ...string) attack {
		return attack{name, func(t *testing.T, _ *attacked) response {
			t.Helper()
			got := sendJSON(t, method, a.Own+path, body, header...)
			if strings.Contains(got.body, victim.Secret) || strings.Contains(got.body, `"client_secret":`) {
				t.Errorf("a secret is shown again: %s", got.body)
			}
			return got
		}, status, says}
	}
	theirs := "/register/" + victim.ClientID
	own := bearer(victim.Manage)
	a.holds(t, []attack{
		guess("the token of one client reads another", http.MethodGet, at, "", mine...),
		guess("the token of one client changes another", http.MethodPut, at, `{"client_id":"`+victim.ClientID+`",`+hijacked+`}`, mine...),
		guess("the token of one client deletes another", http.MethodDelete, at, "", mine...),
		guess("the token of one client deletes one that a developer has", http.MethodDelete, a.Own+"/register/"+a.owned.ClientID, "", mine...),
		guess("the token of one client deletes the portal", http.MethodDelete, a.Own+"/register/"+portalID, "", mine...),
		guess("no token", http.MethodDelete, at, ""),
		guess("a token that is cut", http.MethodDelete, at, "", bearer(victim.Manage[:len(victim.Manage)-1])...),
		guess("the secret in the place of the token", http.MethodDelete, at, "", bearer(victim.Secret)...),
		guess("an access token in the place of the token", http.MethodDelete, at, "", bearer(a.token(t, "orders:read"))...),
		guess("an administrator's token", http.MethodDelete, at, "", a.as(t, grant{id: developerID, secret: developerSecret, scope: config.ScopeAdmin})...),
		as("a path that leads to another", 404, "nothing at this path", http.MethodDelete, "/register/"+a.stranger.ClientID+"%2F..%2F"+victim.ClientID, "", mine...),
		as("its secret is read again", 200, victim.ClientID, http.MethodGet, theirs, "", own...),
		as("its secret is chosen by itself", 400, "client_secret", http.MethodPut, theirs, `{"client_id":"`+victim.ClientID+`","client_secret":"mine",`+hijacked+`}`, own...),
		as("its token is chosen by itself", 400, "registration_access_token", http.MethodPut, theirs, `{"client_id":"`+victim.ClientID+`","registration_access_token":"mine",`+hijacked+`}`, own...),
		as("its name is that of another", 400, "client_id", http.MethodPut, theirs, `{"client_id":"`+a.owned.ClientID+`",`+hijacked+`}`, own...),
		as("a registered client's token opens our own API", 403, "registered here", http.MethodGet, "/applications", "", a.ofClient(t, a.stranger, config.ScopeAdmin)...),
		as("a registered client's token makes initial access tokens", 403, "registered here", http.MethodPost, "/initial-access-tokens", `{}`, a.ofClient(t, a.stranger, config.ScopeAdmin)...),
		as("a registered client's token approves its contract", 403, "registered here", http.MethodPatch, "/apis/orders/contracts/"+a.stranger.ClientID, `{"tier":"gold"}`, a.ofClient(t, a.stranger, config.ScopeContracts)...),
		as("a developer's group that looks like a list of groups", 403, "only an owner", http.MethodPatch, "/apis/orders/contracts/"+victim.ClientID, `{"status":"revoked"}`, a.inGroup(t, `["`+ordersTeam+`"]`)...),
		as("a developer's group that looks like several", 403, "only an owner", http.MethodPatch, "/apis/orders/contracts/"+victim.ClientID, `{"status":"revoked"}`, a.inGroup(t, `x","`+ordersTeam)...),
		as("a developer who calls themselves as the owners' group", 403, "only an owner", http.MethodPatch, "/apis/orders/contracts/"+victim.ClientID, `{"status":"revoked"}`, a.named(t, "group:"+ordersTeam)...),
	})
}

// ofClient is the header with a token that the provider gave a client, for
// whatever reason.
func (a *attacked) ofClient(t *testing.T, p party, scope string) []string {
	t.Helper()
	return a.mints(t, a.standin.Claims(p.ClientID, scope))
}

func (a *attacked) mints(t *testing.T, claims map[string]any) []string {
	t.Helper()
	raw, err := a.standin.Mint(claims, nil)
	if err != nil {
		t.Fatal(err)
	}
	return bearer(raw)
}

// inGroup is the header of a developer in a group, of which the provider says the
// name and not a list.
func (a *attacked) inGroup(t *testing.T, group string) []string {
	t.Helper()
	claims := a.standin.Claims(developerID, config.ScopeContracts)
	claims["groups"] = group
	return a.mints(t, claims)
}

// named is the header of a developer with a subject.
func (a *attacked) named(t *testing.T, subject string) []string {
	t.Helper()
	claims := a.standin.Claims(developerID, config.ScopeContracts)
	claims["sub"] = subject
	return a.mints(t, claims)
}

// TestRegistrationTakesNothingOfAVendors: members that switch something at the
// provider or here, in a registration that is good otherwise, do nothing.
func TestRegistrationTakesNothingOfAVendors(t *testing.T) {
	t.Parallel()
	a := attackable(t)
	atProvider := func(p party) map[string]any {
		t.Helper()
		got := send(t, http.MethodGet, a.IDP+"/oauth2/v1/clients/"+p.ClientID, "Authorization", "SSWS "+apiToken)
		var document map[string]any
		if err := json.Unmarshal([]byte(got.body), &document); err != nil || got.status != http.StatusOK {
			t.Fatalf("got %d %s", got.status, got.body)
		}
		for _, name := range []string{"client_id", "client_id_issued_at", "client_name"} {
			delete(document, name)
		}
		return document
	}
	const good = `{"client_name":"Taken","redirect_uris":["` + webRedirect + `"]`
	plain := atProvider(a.joins(t, "/register", good+"}"))
	members := map[string]string{ // vendors: Okta, Keycloak, PingFederate, OpenAM; and ours
		"application_type": `"service"`, "initiate_login_uri": `"ELSEWHERE"`, "post_logout_redirect_uris": `["ELSEWHERE"]`, "request_object_signing_alg": `"none"`,
		"dpop_bound_access_tokens": `false`, "participate_slo": `true`, "frontchannel_logout_uri": `"ELSEWHERE"`, "trusted_origins": `["ELSEWHERE"]`,
		"attributes": `{"pkce.code.challenge.method":""}`, "protocolMappers": `[{"protocolMapper":"oidc-hardcoded-role-mapper"}]`, "serviceAccountsEnabled": `true`,
		"fullScopeAllowed": `true`, "directAccessGrantsEnabled": `true`, "consentRequired": `false`, "publicClient": `true`, "bypassApprovalPage": `true`,
		"restrictScopes": `false`, "exclusiveScopes": `["admin"]`, "isConsentImplied": `true`, "com.forgerock.openam.oauth2provider.publicKeyLocation": `"ELSEWHERE"`,
		"logo_uri": `"ELSEWHERE/logo"`, "policy_uri": `"ELSEWHERE"`, "tos_uri": `"ELSEWHERE"`, "sector_identifier_uri": `"ELSEWHERE"`, "request_uris": `["ELSEWHERE"]`,
		"id_token_signed_response_alg": `"none"`, "default_acr_values": `["0"]`, "client_id": `"` + a.owned.ClientID + `"`, "client_secret": `"mine"`,
		"client_id_issued_at": `0`, "kind": `"developer"`, "owner": `"` + developerID + `"`, "state": `"active"`, "provider": `"other"`, "alias": `"https://client.example.com/"`,
		"contracts": `[{"api":"orders","tier":"gold"}]`, "registration_access_token": `"mine"`, "callback": `"ELSEWHERE"`, "scope ": `"gatehouse:admin"`,
	}
	for name, value := range members {
		p := a.joins(t, "/register", good+`,"`+name+`":`+strings.ReplaceAll(value, "ELSEWHERE", a.elsewhere)+`}`)
		if diff := cmp.Diff(plain, atProvider(p)); diff != "" {
			t.Errorf("%s changes what the provider has: -without +with:\n%s", name, diff)
		}
		c, err := a.store.Contract(t.Context(), registry.ContractKey{Provider: "okta", ClientID: p.ClientID, API: "orders"})
		if err != nil || c.Tier != "trial" {
			t.Errorf("%s: its contract is %+v, %v", name, c, err)
		}
		record, err := a.store.ApplicationByClient(t.Context(), registry.Client{Provider: "okta", ClientID: p.ClientID})
		if err != nil || record.Kind != registry.Dynamic || record.Owner+record.Alias != "" || record.Name != "Taken" || p.Secret == "mine" || p.Manage == "mine" || p.ClientID == a.owned.ClientID {
			t.Errorf("%s: its record is %+v, %v", name, record, err)
		}
	}
	if n := a.called.Load(); n != 0 {
		t.Errorf("%d connections lead to where the metadata point", n)
	}
	tooltest.Count(t, "attacks refused by the whole system: members of vendors in registrations", int64(len(members)))
}

// TestManyStrangersAtOnce are stopped here, not at the provider, whatever they say
// of where they come from; and those that nobody uses go away.
func TestManyStrangersAtOnce(t *testing.T) {
	t.Parallel()
	clock := midHour()
	sys := serving(t, options{now: clock.now, files: altered(t,
		"# dynamic: {provider: okta, open: false}", "dynamic: {provider: okta, open: true, perAddress: 5}", "{name: trial, autoApprove: true,", "{name: trial, autoApprove: false,",
	)})
	others := len(sys.standin.Registered(""))
	const body = `{"client_name":"One of many","redirect_uris":["` + webRedirect + `"]}`
	for n := range 20 {
		got := sendJSON(t, http.MethodPost, sys.Own+"/register", body, "X-Forwarded-For", fmt.Sprint("203.0.113.", n), "Forwarded", fmt.Sprint("for=203.0.113.", n), "X-Real-Ip", fmt.Sprint("203.0.113.", n))
		switch {
		case n < 5:
			expects(t, "a registration", got, 201, "client_id")
		default:
			if expects(t, "one too many", got, 429, "temporarily_unavailable"); got.header.Get("Retry-After") == "" {
				t.Errorf("nobody is told when to come back: %v", got.header)
			}
		}
	}
	if n := len(sys.standin.Registered("")) - others; n != 5 {
		t.Errorf("the provider has %d of them, want 5", n)
	}
	clock.ahead.Add(int64(31 * 24 * time.Hour))
	if _, err := sys.invoke(t.Context(), reconcilerFunction, []byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	if n := len(sys.standin.Registered("")) - others; n != 0 {
		t.Errorf("the provider has %d of them a month later, want none", n)
	}
}

// onInitialTokens has more than one client registered by a token, where
// registration is not open.
func onInitialTokens(t *testing.T, a *attacked) {
	t.Helper()
	sys := serving(t, options{now: a.clock.now, files: altered(t, "# dynamic: {provider: okta, open: false}", "dynamic: {provider: okta, open: false}")})
	closed := &attacked{running: &running{system: sys}, clock: a.clock, called: a.called, refused: a.refused}
	issued := func() string {
		t.Helper()
		got := sendJSON(t, http.MethodPost, closed.Own+"/initial-access-tokens", `{"expires_in":600}`, closed.as(t, grant{id: developerID, secret: developerSecret, scope: config.ScopeAdmin})...)
		var answer struct {
			Token string `json:"initial_access_token"`
		}
		if err := json.Unmarshal([]byte(got.body), &answer); err != nil || answer.Token == "" {
			t.Fatalf("got %d %s", got.status, got.body)
		}
		return answer.Token
	}
	const body = `{"client_name":"Invited","redirect_uris":["` + webRedirect + `"]}`
	used, late := issued(), issued()
	invited := closed.joins(t, "/register", body, bearer(used)...)
	with := func(name string, header ...string) attack {
		return attack{name, func(t *testing.T, a *attacked) response {
			t.Helper()
			return sendJSON(t, http.MethodPost, a.Own+"/register", body, header...)
		}, 401, "invalid_token"}
	}
	closed.holds(t, []attack{
		with("no token"),
		with("a token of nothing", "Authorization", "Bearer x"),
		with("a token that is changed", bearer(late[:len(late)-2]+"AA")...),
		with("a token that was used", bearer(used)...),
		with("a token that was used, with a key", append(bearer(used), "Idempotency-Key", "k")...),
		with("the registration token of a client", bearer(invited.Manage)...),
		with("an access token", closed.developer(t)...),
		with("a token in the address")})
	a.clock.ahead.Add(int64(11 * time.Minute))
	closed.holds(t, []attack{with("a token that is too old", bearer(late)...)})
}

// TestClientsThatGetLost between the provider and us: the answer to a registration
// does not arrive, and nobody keeps a client that nobody knows.
func TestClientsThatGetLost(t *testing.T) {
	t.Parallel()
	a := attackable(t)
	for _, how := range []standin.Fault{
		{Status: http.StatusTemporaryRedirect, Redirect: a.elsewhere, Times: 1}, {Cut: standin.AfterEffect, Times: 1}, {Cut: standin.AfterHeaders, Times: 1}, {Status: 201, Body: standin.Garbage, Times: 1},
	} {
		a.standin.Break(standin.Clients, how)
		got := sendJSON(t, http.MethodPost, a.Own+"/register", `{"client_name":"Lost","redirect_uris":["`+webRedirect+`"]}`)
		a.standin.Mend()
		if got.status != http.StatusServiceUnavailable && got.status != http.StatusBadGateway {
			t.Errorf("got %d %s", got.status, got.body)
		}
	}
	for range 6 {
		a.clock.ahead.Add(int64(10 * time.Minute))
		if _, err := a.invoke(t.Context(), reconcilerFunction, []byte(`{}`)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range a.standin.Registered("Lost") {
		t.Errorf("the provider still has %s, %q, whose secret nobody knows", c.ID, c.Name)
	}
	if s := a.state(t); s.Open != 0 || s.Called != 0 {
		t.Errorf("%d registrations are not finished, and %d went elsewhere", s.Open, s.Called)
	}
}

// TestAnIdempotencyKeyOfAnother gets nobody the secret that its owner got.
func TestAnIdempotencyKeyOfAnother(t *testing.T) {
	t.Parallel()
	a := attackable(t)
	const body = `{"client_name":"Keyed","grant_types":["client_credentials"]}`
	key := []string{"Idempotency-Key", "the same"}
	mine := a.joins(t, "/applications", body, append(a.developer(t), key...)...)
	theirs := a.joins(t, "/applications", body, append(a.as(t, grant{id: ownerID, secret: ownerSecret, scope: config.ScopeApplications}), key...)...)
	if mine.ClientID == theirs.ClientID || mine.Secret == theirs.Secret {
		t.Error("two developers got one client")
	}
}

// TestANameThatIsMarkup is text wherever people see it: when they are asked, and
// where owners and administrators look after clients.
func TestANameThatIsMarkup(t *testing.T) {
	t.Parallel()
	a := attackable(t)
	const name = `<img src=x onerror=alert(1)>{{.}}`
	p := a.joins(t, "/register", `{"client_name":"`+name+`","redirect_uris":["`+webRedirect+`"],"description":"<script>alert(2)</script>"}`)
	owned := a.joins(t, "/applications", `{"client_name":"`+name+`","redirect_uris":["`+webRedirect+`"],"description":"<script>alert(2)</script>","contracts":[{"api":"orders","tier":"gold","reason":"<script>alert(3)</script>"}]}`, a.developer(t)...)
	ada := a.inPortal(t)
	shown := 0
	for _, at := range []string{
		a.request(p, "scope", ""), a.request(p, "scope", "none"), a.Own + "/portal/inbox?status=pending", a.Own + "/portal/inbox?status=approved", a.Own + "/portal/applications",
		a.Own + "/portal/applications/" + owned.ID, a.Own + "/portal/inbox?status=" + url.QueryEscape(name), a.Own + "/portal/" + url.PathEscape(name), a.Own + "/portal/audit?application=" + url.QueryEscape(name),
		a.Own + "/portal/try?path=" + url.QueryEscape(name),
	} {
		got := ada.send(t, at, nil)
		if strings.Contains(got.body, "<img src=x") || strings.Contains(got.body, "<script>alert") || !strings.Contains(got.header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: got %v %s", at, got.header, got.body)
		}
		if strings.Contains(got.body, "&lt;img src=x") {
			shown++
		}
	}
	if shown < 3 {
		t.Errorf("the name is shown on %d pages: that is no trial", shown)
	}
}
