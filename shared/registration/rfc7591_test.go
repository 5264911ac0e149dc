package registration_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestD1OnlySmallJSONIsRead(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	a.want(415, request{method: "POST", path: "/register", body: web, header: map[string]string{"Content-Type": "text/plain"}})
	a.want(413, request{method: "POST", path: "/register", body: `{"client_name":"` + strings.Repeat("x", 64<<10) + `"}`})
	for _, body := range []string{`[]`, `{`, web + `{}`, `{"client_name":"a","client_name":"b"}`, `{"client_name":"a","Client_Name":"b"}`} {
		got := a.want(400, request{method: "POST", path: "/register", body: body})
		if got.string("error") != "invalid_client_metadata" {
			t.Errorf("%s: got %s", body, got.text)
		}
	}
	a.unchanged("refused bodies", 0)
}

// TestD2D4D7D8D11MetadataIsRefused also covers D3, D5, D8 and D10.
func TestD2D4D7D8D11MetadataIsRefused(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	const redirect, metadata = "invalid_redirect_uri", "invalid_client_metadata"
	const byKey = `"token_endpoint_auth_method":"private_key_jwt"`
	uris := func(uri string) string { return fmt.Sprintf(`{"client_name":"x","redirect_uris":[%q]}`, uri) }
	with := func(members string) string {
		return `{"client_name":"x","redirect_uris":["https://app.example.com/cb"],` + members + `}`
	}
	for name, test := range map[string]struct{ body, code, field string }{
		"D2 a code client needs a redirect URI":          {`{"client_name":"x"}`, redirect, "redirect_uris"},
		"D2 a fragment is refused":                       {uris("https://app.example.com/#a"), redirect, "redirect_uris"},
		"D2 a relative URI is refused":                   {uris("/cb"), redirect, "redirect_uris"},
		"D2 plain http is refused":                       {uris("http://app.example.com/cb"), redirect, "redirect_uris"},
		"D2 javascript is refused":                       {uris("javascript:alert(1)"), redirect, "redirect_uris"},
		"D2 a user in the URI is refused":                {uris("https://bank.example.com@evil.example/cb"), redirect, "redirect_uris"},
		"D2 a host in Cyrillic letters is refused":       {uris("https://b\u0430nk.example.com/cb"), redirect, "redirect_uris"},
		"D2 the same, percent-encoded, is refused":       {uris("https://b%D0%B0nk.example.com/cb"), redirect, "redirect_uris"},
		"D2 a wildcard is refused":                       {uris("https://*.example.com/cb"), redirect, "redirect_uris"},
		"D2 a private scheme needs a public client":      {uris("com.example.app:/cb"), redirect, "redirect_uris"},
		"D3 response types must go with grant types":     {with(`"response_types":["token"]`), metadata, "response_types"},
		"D4 private keys are refused":                    {with(`"jwks":{"keys":[{"kty":"RSA","d":"x"}]}`), metadata, "jwks"},
		"D4 a symmetric key is refused":                  {with(`"jwks":{"keys":[{"kty":"oct","k":"AAAA"}]}`), metadata, "jwks"},
		"D4 keys without a use for them are refused":     {with(`"jwks":{"keys":[{"kty":"RSA"}]}`), metadata, "jwks"},
		"D4 jwks_uri without a use for it is refused":    {with(`"jwks_uri":"https://app.example.com/keys"`), metadata, "jwks_uri"},
		"D4 jwks and jwks_uri exclude each other":        {with(byKey + `,"jwks":{"keys":[{"kty":"EC"}]},"jwks_uri":"https://app.example.com/keys"`), metadata, "jwks"},
		"D4 keys that are no set are refused":            {with(byKey + `,"jwks":{"kty":"EC"}`), metadata, "jwks"},
		"D4 a set without keys is refused":               {with(byKey + `,"jwks":{"keys":[]}`), metadata, "jwks"},
		"D4 private_key_jwt without keys is refused":     {with(byKey), metadata, "jwks"},
		"D4 a stranger's jwks_uri is refused":            {with(byKey + `,"jwks_uri":"https://169.254.169.254/"`), metadata, "jwks_uri"},
		"D4 more keys than anyone needs are refused":     {with(byKey + `,"jwks":{"keys":[{"x":"` + strings.Repeat("A", 8<<10) + `"}]}`), metadata, "jwks"},
		"D5 a number is no name":                         {`{"client_name":7}`, metadata, "client_name"},
		"D5 a string is no list":                         {`{"client_name":"x","redirect_uris":"https://app.example.com/cb"}`, redirect, "redirect_uris"},
		"D5 a list of numbers is refused":                {`{"client_name":"x","redirect_uris":[1]}`, redirect, "redirect_uris"},
		"D8 a software statement is refused":             {with(`"software_statement":"e30.e30."`), "unapproved_software_statement", "software_statement"},
		"D10 a name that reverses is refused":            {"{\"client_name\":\"a\u202eb\",\"redirect_uris\":[\"https://app.example.com/cb\"]}", metadata, "client_name"},
		"D10 control characters are refused":             {`{"client_name":"a\u0007b","redirect_uris":["https://app.example.com/cb"]}`, metadata, "client_name"},
		"D10 a letter that does not show is refused":     {"{\"client_name\":\"Bank\u3164\",\"redirect_uris\":[\"https://app.example.com/cb\"]}", metadata, "client_name"},
		"D10 a page elsewhere is refused":                {with(`"client_uri":"https://bank.example.com"`), metadata, "client_uri"},
		"D11 client_credentials needs a developer":       {`{"client_name":"x","grant_types":["client_credentials"]}`, metadata, "grant_types"},
		"D11 implicit is refused":                        {with(`"grant_types":["implicit"]`), metadata, "grant_types"},
		"D11 token exchange is refused":                  {with(`"grant_types":["urn:ietf:params:oauth:grant-type:token-exchange"]`), metadata, "grant_types"},
		"D11 a scope of no API is refused":               {with(`"scope":"okta.users.manage"`), metadata, "scope"},
		"D3 an unknown authentication method is refused": {with(`"token_endpoint_auth_method":"tls_client_auth"`), metadata, "token_endpoint_auth_method"},
	} {
		got := a.want(400, request{method: "POST", path: "/register", body: test.body})
		if got.string("error") != test.code || !strings.HasPrefix(got.string("error_description"), test.field+" ") {
			t.Errorf("%s: got %s, want %s for %s", name, got.text, test.code, test.field)
		}
		a.unchanged(name, 0)
	}
}

func TestD3D5D6D16RegistrationAnswersWhatIsRegistered(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	got := a.want(201, request{method: "POST", path: "/register", body: `{"client_name":"Reports","client_name#de":"Berichte",` +
		`"redirect_uris":["https://app.example.com/cb"],"application_type":"service","attributes":{"x":1},"logo_uri":"http://evil.example"}`})
	for name, want := range map[string]string{
		"token_endpoint_auth_method": "client_secret_basic", "grant_types": "[authorization_code]",
		"response_types": "[code]", "client_name": "Reports", "client_secret_expires_at": "0", "logo_uri": "<nil>",
	} {
		if is := fmt.Sprint(got.body[name]); is != want {
			t.Errorf("%s: got %s, want %s", name, is, want)
		}
	}
	if got.string("client_secret") == "" || !strings.HasPrefix(got.string("registration_client_uri"), "https://gatehouse.example.com/register/") {
		t.Errorf("got %s", got.text)
	}
	public := a.want(201, request{method: "POST", path: "/register",
		body: `{"client_name":"App","redirect_uris":["com.example.app:/cb","http://127.0.0.1/cb"],"token_endpoint_auth_method":"none"}`})
	if public.body["client_secret"] != nil || public.body["client_secret_expires_at"] != nil {
		t.Errorf("a public client got %s", public.text)
	}
	a.unchanged("registered", 2)
}

func TestD9InitialAccessTokensAreNeededAndUsedOnce(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	a.Dynamic.Open = false
	got := a.want(401, request{method: "POST", path: "/register", body: web})
	if got.header.Get("WWW-Authenticate") != `Bearer realm="gatehouse"` || got.string("error") != "invalid_token" {
		t.Errorf("got %v, %s", got.header, got.text)
	}
	got = a.want(401, request{method: "POST", path: "/register", body: web, header: map[string]string{"Authorization": "Bearer x"}})
	if got.header.Get("WWW-Authenticate") != `Bearer realm="gatehouse", error="invalid_token"` {
		t.Errorf("got %v", got.header)
	}
	a.want(403, request{method: "POST", path: "/initial-access-tokens", body: `{}`, authorizer: asAda})
	issue := func() map[string]string {
		issued := a.want(201, request{method: "POST", path: "/initial-access-tokens", body: `{"expires_in":600}`, authorizer: asAdmin})
		return map[string]string{"Authorization": "Bearer " + issued.string("initial_access_token"), "Idempotency-Key": "one"}
	}
	token := issue()
	a.want(400, request{method: "POST", path: "/register", body: `{}`, header: token}) // does not use it up
	first := a.want(201, request{method: "POST", path: "/register", body: web, header: token})
	again := a.want(201, request{method: "POST", path: "/register", body: web, header: token})
	if first.text != again.text {
		t.Error("repeated with the same Idempotency-Key the answer is another")
	}
	token["Idempotency-Key"] = "two"
	a.want(401, request{method: "POST", path: "/register", body: web, header: token})
	a.unchanged("used once", 1)
	late := issue()
	a.clock.Advance(10 * time.Minute)
	a.want(401, request{method: "POST", path: "/register", body: web, header: late})
	late["Authorization"] += "A"
	a.want(401, request{method: "POST", path: "/register", body: web, header: late})
}

func TestD12D13D15TokensManageTheirOwnClientOnly(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	_, path, bearer := a.registered()
	_, other, _ := a.registered()
	a.want(200, request{method: "GET", path: path, header: bearer})
	wrong := a.want(401, request{method: "GET", path: other, header: bearer})
	missing := a.want(401, request{method: "GET", path: "/register/nobody", header: bearer})
	none := a.want(401, request{method: "GET", path: path})
	if wrong.text != missing.text || wrong.text != none.text {
		t.Errorf("it can be told from the answers which clients there are: %s, %s, %s", wrong.text, missing.text, none.text)
	}
	a.want(405, request{method: "PATCH", path: path, header: bearer})
	a.want(401, request{method: "DELETE", path: other, header: bearer})
	a.unchanged("foreign token", 2)
	a.want(204, request{method: "DELETE", path: path, header: bearer})
	a.unchanged("deleted", 1)
	for _, method := range []string{"DELETE", "GET"} {
		if got := a.want(401, request{method: method, path: path, header: bearer}); got.text != wrong.text {
			t.Errorf("%s: got %s", method, got.text)
		}
	}
}

func TestD14PutReplacesAndClientsChooseNoSecret(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	made, path, bearer := a.registered()
	id, current := made.string("client_id"), made.string("client_secret")
	put := func(status int, members string) answer {
		t.Helper()
		return a.want(status, request{method: "PUT", path: path, header: bearer, body: `{` + members + `}`})
	}
	const uris = `"redirect_uris":["https://app.example.com/new"]`
	put(400, uris)
	put(400, uris+`,"client_id":"another"`)
	put(400, uris+`,"client_id":"`+id+`","client_secret":"mine"`)
	for _, member := range []string{"registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"} {
		put(400, uris+`,"client_id":"`+id+`","`+member+`":null`)
	}
	got := put(200, uris+`,"client_id":"`+id+`","client_secret":"`+current+`"`)
	if got.string("client_name") != "Unnamed client" || got.body["client_secret"] != nil {
		t.Errorf("got %s, want the name reset and no secret", got.text)
	}
	if read := a.want(200, request{method: "GET", path: path, header: bearer}); read.string("client_name") != "Unnamed client" {
		t.Errorf("got %s", read.text)
	}
	a.unchanged("replaced", 1)
	if strings.Contains(a.log.String(), current) || strings.Contains(a.log.String(), bearer["Authorization"]) {
		t.Error("a secret is in the log")
	}
}

func TestRegistrationThatIsClosedIsForbidden(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	a.Dynamic.Provider = ""
	a.want(403, request{method: "POST", path: "/register", body: web})
	a.want(401, request{method: "GET", path: "/register/x", header: map[string]string{"Authorization": "Bearer x"}})
}

// TestOpenRegistrationHasQuotas: in a flood the provider is not reached.
func TestOpenRegistrationHasQuotas(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	a.Dynamic.PerHour, a.Dynamic.PerAddress = 3, 2
	from := func(address string) request {
		return request{method: "POST", path: "/register", body: web, address: address}
	}
	a.want(201, from("192.0.2.7"))
	a.want(201, from("192.0.2.7"))
	got := a.want(429, from("192.0.2.7"))
	if got.header.Get("Retry-After") != "3600" || got.string("error") != "temporarily_unavailable" {
		t.Errorf("got %v %s", got.header, got.text)
	}
	a.want(201, from("2001:db8::1"))
	a.want(429, from("2001:db8:1::1")) // the hour's last went to another
	a.unchanged("quota", 3)
	a.clock.Advance(time.Hour)
	a.want(201, from("2001:db8::1"))
	a.want(201, from("2001:db8::2"))
	a.want(429, from("2001:db8::ffff:ffff")) // one customer has them all
	a.unchanged("next hour", 5)
	a.Dynamic.Open = false
	issued := a.want(201, request{method: "POST", path: "/initial-access-tokens", body: `{}`, authorizer: asAdmin})
	r := from("2001:db8::1")
	r.header = map[string]string{"Authorization": "Bearer " + issued.string("initial_access_token")}
	a.want(201, r)
}

func TestClientsKnowTheAddressTheyCameTo(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	a.PublicURL = ""
	got := a.want(201, request{method: "POST", path: "/register", body: web})
	if uri := got.string("registration_client_uri"); !strings.HasPrefix(uri, "https://a1.execute-api.eu-west-1.amazonaws.com/register/") {
		t.Errorf("got %s", uri)
	}
}
