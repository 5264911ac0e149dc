package standin_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"gatehouse/shared/standin"
)

// site is a running server of any kind.
type site struct {
	*standin.Server

	url string
}

func serve(tb testing.TB, made func(url string) (*standin.Server, error)) site {
	tb.Helper()
	hs := httptest.NewUnstartedServer(nil)
	s := site{url: "http://" + hs.Listener.Addr().String()}
	srv, err := made(s.url)
	if err != nil {
		tb.Fatal(err)
	}
	hs.Config.Handler, s.Server = srv, srv
	hs.Start()
	tb.Cleanup(hs.Close)
	return s
}

// send sends a request with headers given as pairs. A body that begins with a
// brace is JSON, another one a form.
func (s site) send(tb testing.TB, method, path, body string, header ...string) reply {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), method, s.url+strings.TrimPrefix(path, s.url), strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if strings.HasPrefix(body, "{") {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return do(tb, req)
}

func plainServer(q standin.Quirks, initial string) func(string) (*standin.Server, error) {
	return func(url string) (*standin.Server, error) {
		return standin.NewRFC7591(standin.RFC7591{URL: url, InitialToken: initial, Quirks: q, Keys: keys()[:1]})
	}
}

const webClient = `{"client_name":"app","redirect_uris":["https://a.example/cb"],"software_statement_x":1}`

func TestRegistrationAndManagement(t *testing.T) {
	t.Parallel()
	s := serve(t, plainServer(standin.Quirks{}, "iat"))
	bad := s.send(t, "POST", "/register", webClient)
	wantRefusal(t, bad, 401, "invalid_token", "The token is not valid.")
	if got := bad.header.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Bearer") {
		t.Errorf("WWW-Authenticate: got %q", got)
	}
	r := s.send(t, "POST", "/register", webClient, "Authorization", "Bearer iat")
	made := r.object(t)
	if r.status != 201 || r.header.Get("Cache-Control") != "no-cache, no-store" || made["client_secret_expires_at"] != 0.0 || made["software_statement_x"] != nil {
		t.Fatalf("got %d %s", r.status, r.body)
	}
	at, mine := r.text(t, "registration_client_uri"), []string{"Authorization", "Bearer " + r.text(t, "registration_access_token")}
	other := s.send(t, "POST", "/register", webClient, "Authorization", "Bearer iat")
	for what, header := range map[string]string{"no token": "", "the initial one": "Bearer iat", "another client's": "Bearer " + other.text(t, "registration_access_token")} {
		if r := s.send(t, "GET", at, "", "Authorization", header); r.status != 401 {
			t.Errorf("%s: got %d", what, r.status)
		}
	}
	if r := s.send(t, "GET", "/register/unknown", "", mine...); r.status != 401 { // no oracle: RFC 7592 section 2.1
		t.Errorf("an unknown client: got %d", r.status)
	}
	id, _ := made["client_id"].(string)
	for body, want := range map[string]string{
		`{"client_name":"app","redirect_uris":["https://a.example/cb"]}`:                                                    "Client Identifier modified",
		`{"client_id":"` + id + `","redirect_uris":["https://a.example/cb"],"client_id_issued_at":1}`:                       "client_id_issued_at must not be sent",
		`{"client_id":"` + id + `","redirect_uris":["https://a.example/cb"],"client_secret":"chosen"}`:                      "client_secret cannot be chosen",
		`{"client_id":"` + id + `","redirect_uris":["https://a.example/cb"],"jwks":{},"jwks_uri":"https://a.example/jwks"}`: "jwks and jwks_uri exclude each other",
	} {
		wantRefusal(t, s.send(t, "PUT", at, body, mine...), 400, "invalid_client_metadata", want)
	}
	if r := s.send(t, "PUT", at, `{"client_id":"`+id+`","redirect_uris":["https://a.example/new"]}`, mine...); r.status != 200 || r.object(t)["client_name"] != nil {
		t.Errorf("what is left out is not reset: %d %s", r.status, r.body)
	}
	if r := s.send(t, "DELETE", at, "", mine...); r.status != 204 {
		t.Errorf("got %d %s", r.status, r.body)
	}
	if r := s.send(t, "DELETE", at, "", mine...); r.status != 401 {
		t.Errorf("deleted again: got %d", r.status)
	}
}

func TestQuirks(t *testing.T) {
	t.Parallel()
	const serviceOnly = `{"grant_types":["client_credentials"],"response_types":[]}`
	for name, row := range map[string]struct {
		quirks standin.Quirks
		body   string
		status int
	}{
		"a service needs no redirect URI":    {standin.Quirks{}, serviceOnly, 201},
		"or it does":                         {standin.Quirks{NeedRedirect: true}, serviceOnly, 400},
		"200":                                {standin.Quirks{OK: true}, webClient, 200},
		"client_id is ignored":               {standin.Quirks{}, `{"client_id":"a","redirect_uris":["https://a.example/cb"]}`, 201},
		"or refused":                         {standin.Quirks{RefuseClientID: true}, `{"client_id":"a","redirect_uris":["https://a.example/cb"]}`, 400},
		"an unknown member is refused":       {standin.Quirks{StrictJSON: true}, webClient, 400},
		"code that is not a grant is wrong":  {standin.Quirks{}, `{"grant_types":["client_credentials"]}`, 400},
		"an unknown grant is refused":        {standin.Quirks{}, `{"grant_types":["x"],"response_types":[]}`, 400},
		"an unknown method is refused":       {standin.Quirks{}, `{"redirect_uris":["https://a.example/cb"],"token_endpoint_auth_method":"x"}`, 400},
		"a fragment is refused":              {standin.Quirks{}, `{"redirect_uris":["https://a.example/#x"]}`, 400},
		"a redirect URI that is no array is": {standin.Quirks{}, `{"redirect_uris":"https://a.example/cb"}`, 400},
	} {
		s := serve(t, plainServer(row.quirks, ""))
		if r := s.send(t, "POST", "/register", row.body); r.status != row.status {
			t.Errorf("%s: got %d %s, want %d", name, r.status, r.body, row.status)
		}
	}
	s := serve(t, plainServer(standin.Quirks{EmptyErrors: true, Unmanaged: true}, "iat"))
	if r := s.send(t, "POST", "/register", webClient); r.status != 401 || r.body != "" {
		t.Errorf("got %d %q", r.status, r.body)
	}
	if r := s.send(t, "POST", "/register", webClient, "Authorization", "Bearer iat"); strings.Contains(r.body, "registration_") {
		t.Errorf("names what it does not serve: %s", r.body)
	}
}

func TestKeycloakIsWhereKeycloakIs(t *testing.T) {
	t.Parallel()
	s := serve(t, func(url string) (*standin.Server, error) {
		return standin.NewKeycloak(standin.Keycloak{URL: url, InitialToken: "iat", Keys: keys()[:1]})
	})
	document := s.send(t, "GET", "/realms/demo/.well-known/openid-configuration", "").object(t)
	if document["issuer"] != s.url+"/realms/demo" || document["jwks_uri"] != s.url+"/realms/demo/protocol/openid-connect/certs" {
		t.Errorf("got %v", document)
	}
	at, _ := document["registration_endpoint"].(string)
	r := s.send(t, "POST", at, `{"redirect_uris":["https://a.example/cb"],"scope":"orders:none"}`, "Authorization", "Bearer iat")
	wantRefusal(t, r, 403, "insufficient_scope", "Not permitted to use specified clientScope")
	wantRefusal(t, s.send(t, "GET", at+"/unknown", "", "Authorization", "Bearer x"), 404, "invalid_request", "Client not found")
	if claims := s.Claims("app"); claims["azp"] != "app" {
		t.Errorf("got %v", claims)
	}
	if r := serve(t, func(url string) (*standin.Server, error) {
		return standin.NewKeycloak(standin.Keycloak{URL: url, Keys: keys()[:1]})
	}).send(t, "POST", "/realms/demo/clients-registrations/openid-connect", webClient); r.status != 401 {
		t.Errorf("anonymous: got %d", r.status)
	}
}

func TestPingFederateManagementService(t *testing.T) {
	t.Parallel()
	s := serve(t, func(url string) (*standin.Server, error) {
		return standin.NewPingFederate(standin.PingFederate{URL: url, User: "u", Password: "p", Keys: keys()[:1]})
	})
	const path, basic = "/pf-ws/rest/oauth/clients", "Basic dTpw"
	one := func(more string) string {
		return `{"client":[{"clientId":"a","name":"A","redirectUris":["https://a.example/cb"],"grantTypes":["client_credentials"],"clientAuthnType":"SECRET"` + more + `}]}`
	}
	if r := s.send(t, "POST", path, one(`,"secret":"x"`), "Authorization", "Basic dTp4"); r.status != 401 || r.body != "" {
		t.Errorf("a wrong password: got %d %q", r.status, r.body)
	}
	for _, row := range []struct {
		name, method, path, body string
		status                   int
	}{
		{"no secret", "POST", path, one(""), 400},
		{"created", "POST", path, one(`,"secret":"x"`), 200},
		{"again", "POST", path, one(`,"secret":"x"`), 400},
		{"no client", "POST", path, `{}`, 400},
		{"changed", "PUT", path, one(""), 200},
		{"another is not there", "PUT", path, strings.Replace(one(""), `"a"`, `"b"`, 1), 404},
		{"read", "GET", path + "/a", "", 200},
		{"deleted", "DELETE", path + "/a", "", 200},
		{"and gone", "GET", path + "/a", "", 404},
		{"dynamic registration is off", "POST", "/as/clients.oauth2", webClient, 401},
	} {
		r := s.send(t, row.method, row.path, row.body, "Authorization", basic)
		if r.status != row.status {
			t.Errorf("%s: got %d %s, want %d", row.name, r.status, r.body, row.status)
		}
		if row.name == "read" && !strings.Contains(r.body, `"redirectUris":"https://a.example/cb"`) {
			t.Errorf("a list of one is not a string: %s", r.body)
		}
	}
}

func TestMistakesInOtherServers(t *testing.T) {
	t.Parallel()
	_, plainErr := standin.NewRFC7591(standin.RFC7591{URL: "localhost/"})
	_, keycloakErr := standin.NewKeycloak(standin.Keycloak{URL: "http://localhost", Realm: "a/b"})
	_, pingErr := standin.NewPingFederate(standin.PingFederate{URL: "http://localhost", User: "a:b"})
	_, openAMErr := standin.NewOpenAM(standin.OpenAM{URL: "http://localhost", User: "a"})
	for name, err := range map[string]error{"URL": plainErr, "realm": keycloakErr, "User \"a:b\"": pingErr, "User \"a\"": openAMErr} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want %s in it", err, name)
		}
	}
}

// FuzzRegister sends anything to the registration endpoint: the answer is JSON.
func FuzzRegister(f *testing.F) {
	f.Add(webClient)
	f.Add(serviceClient)
	f.Add(`{"redirect_uris":[1],"grant_types":null,"jwks":{"keys":[]}}`)
	s := serve(f, plainServer(standin.Quirks{}, ""))
	f.Fuzz(func(t *testing.T, body string) {
		rec := httptest.NewRecorder()
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/register", strings.NewReader(body))
		req.Header.Set("Content-Type", "application/json")
		s.ServeHTTP(rec, req)
		if rec.Code != 201 && rec.Code != 400 || !json.Valid(rec.Body.Bytes()) {
			t.Errorf("got %d %s", rec.Code, rec.Body)
		}
	})
}
