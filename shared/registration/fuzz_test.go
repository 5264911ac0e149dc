package registration_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

// FuzzRegister: whatever is sent, the answer is one of those there are, and what
// is registered stays within the rules.
func FuzzRegister(f *testing.F) {
	for _, body := range []string{
		web, orders, `{}`, `[]`, `{"redirect_uris":["com.example.app:/cb"],"token_endpoint_auth_method":"none"}`,
		`{"client_name":null,"redirect_uris":["http://[::1]:8080/cb"],"grant_types":["authorization_code","refresh_token"]}`,
		`{"jwks":{"keys":[]},"redirect_uris":["https://a\u0000b/"]}`, `{"scope":"openid  orders:read","redirect_uris":["https://app.example.com"]}`,
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		a := newAPI(t)
		got := a.call(request{method: "POST", path: "/register", body: body, lenient: true})
		if !slices.Contains([]int{201, 400, 413, 415}, got.status) {
			t.Fatalf("got %d %s", got.status, got.text)
		}
		clients := a.org.Registered("")
		if (got.status == 201) != (len(clients) == 1) || len(clients) > 1 {
			t.Fatalf("got %d and %d clients", got.status, len(clients))
		}
		for _, c := range clients {
			if slices.Contains(c.GrantTypes, "client_credentials") || len(c.RedirectURIs) == 0 {
				t.Errorf("registered %+v", c)
			}
			for _, uri := range c.RedirectURIs {
				if u, err := url.Parse(uri); err != nil || !u.IsAbs() || u.Fragment != "" || u.Scheme == "javascript" {
					t.Errorf("registered the redirect URI %q", uri)
				}
			}
		}
		a.unchanged("fuzzed", len(clients))
	})
}

// FuzzApplications: whatever a person sends, there is an application and its
// client, or neither; and with a key there is one, however often it is sent.
func FuzzApplications(f *testing.F) {
	for _, body := range []string{
		orders, web, `{}`, `{"provider":"plain","client_name":"x","grant_types":["client_credentials"]}`, `{"provider":null,"contracts":{}}`,
		`{"provider":"okta","client_name":"x","grant_types":["authorization_code"],"redirect_uris":["com.example:/cb"],"contracts":[{"api":"stock","api":"stock"}]}`,
		`{"provider":"okta","client_name":"x","grant_types":["client_credentials"],"contracts":[{"api":"orders","tier":"trial"},{"api":"stock","reason":"\u202e"}]}`,
	} {
		f.Add("", body)
		f.Add("k1", body)
	}
	f.Add(strings.Repeat("k", 256), orders)
	f.Fuzz(func(t *testing.T, key, body string) {
		a := newAPI(t)
		r := request{method: "POST", path: "/applications", body: body, authorizer: asAda, header: map[string]string{"Idempotency-Key": key}, lenient: true}
		got := a.call(r)
		if !slices.Contains([]int{201, 400, 413, 415}, got.status) {
			t.Fatalf("got %d %s", got.status, got.text)
		}
		all := a.applications(t)
		if (got.status == 201) != (len(all) == 1) || len(all) > 1 {
			t.Fatalf("got %d and the applications %+v", got.status, all)
		}
		if got.string("provider") == "plain" {
			if clients := a.plain.org.Registered(""); len(clients) != 1 || clients[0].ID != got.string("client_id") {
				t.Fatalf("%s: got the clients %+v", got.text, clients)
			}
		} else if problems := a.problems(t); problems != nil {
			t.Fatalf("%d %s: %v", got.status, got.text, problems)
		}
		if got.status != 201 {
			return
		}
		again := a.call(r)
		if len(key) > 0 && (again.status != 201 || again.string("id") != got.string("id") || len(a.applications(t)) != 1) {
			t.Fatalf("sent twice: got %d %s and %d %s", got.status, got.text, again.status, again.text)
		}
	})
}

// FuzzChanges sends anything about an application that is there: nobody but its
// owner changes it, nobody but the owner of an API approves, and its client stays
// the one.
func FuzzChanges(f *testing.F) {
	for _, body := range []string{
		`{"client_name":"Renamed"}`, `{"client_name":null,"scope":"","grant_types":[]}`, `{"api":"stock","tier":"trial","reason":"x"}`, `{"api":"orders"}`,
		`{"status":"approved","tier":"gold"}`, `{"status":"revoked","reason":"x"}`, `{"status":"approved","status":"revoked"}`, `{"jwks":{"keys":[]}}`, `null`, ``,
	} {
		f.Add("", body)
		f.Add("limit=1&cursor=AAAAAAAAAAAAAA", body)
	}
	f.Fuzz(func(t *testing.T, query, body string) {
		a := newAPI(t)
		made := a.application()
		path := "/applications/" + made.string("id")
		contract := "/apis/orders/contracts/" + made.string("client_id")
		for _, r := range []request{
			{method: "PATCH", path: path, authorizer: asMal}, {method: "PATCH", path: contract, authorizer: asMal}, {method: "PATCH", path: contract, authorizer: asAda},
			{method: "PATCH", path: path, authorizer: asAda}, {method: "POST", path: path + "/contracts", authorizer: asAda}, {method: "PATCH", path: contract, authorizer: asGrace},
			{method: "GET", path: "/applications?" + query, authorizer: asAda}, {method: "GET", path: contract[:len("/apis/orders/contracts")] + "?" + query, authorizer: asGrace},
			{method: "GET", path: path + "/audits?" + query, authorizer: asAda},
		} {
			if r.lenient = true; r.method != "GET" {
				r.body = body
			}
			got := a.call(r)
			if got.status >= 500 || got.status < 300 && r.method == "PATCH" && (r.path == path) != (r.authorizer["sub"] == "ada") {
				t.Fatalf("%s %s of %s: got %d %s", r.method, r.path, r.authorizer["sub"], got.status, got.text)
			}
			if got.status < 300 && r.authorizer["sub"] == "mal" {
				t.Fatalf("%s %s: a stranger gets %d %s", r.method, r.path, got.status, got.text)
			}
			if strings.Contains(got.text, made.string("client_secret")) {
				t.Fatalf("%s %s: the secret is told again: %s", r.method, r.path, got.text)
			}
		}
		if got := a.org.Registered(""); len(got) != 1 || got[0].ID != made.string("client_id") {
			t.Fatalf("got the clients %+v", got)
		}
		if problems := a.problems(t); problems != nil {
			t.Fatal(problems)
		}
	})
}
