package standin_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"gatehouse/shared/standin"
)

const clientsPath = "/oauth2/v1/clients"

// admin sends a request with the API token.
func (o org) admin(tb testing.TB, method, path, body string) reply {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), method, o.url+path, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("Authorization", "SSWS "+apiToken)
	req.Header.Set("Content-Type", "application/json")
	return do(tb, req)
}

// register returns the answer to a registration that must succeed.
func (o org) register(tb testing.TB, body string) map[string]any {
	tb.Helper()
	r := o.admin(tb, "POST", clientsPath, body)
	if r.status != http.StatusCreated {
		tb.Fatalf("got %d %s", r.status, r.body)
	}
	return r.object(tb)
}

const serviceClient = `{"client_name":"svc app","application_type":"service","grant_types":["client_credentials"],"response_types":["token"]}`

func TestRegisteredClientGetsTokens(t *testing.T) {
	t.Parallel()
	o := start(t)
	made := o.register(t, serviceClient)
	if made["client_secret_expires_at"] != 0.0 || made["client_uri"] != nil || made["token_endpoint_auth_method"] != "client_secret_basic" {
		t.Errorf("got %v", made)
	}
	if _, ok := made["registration_access_token"]; ok {
		t.Error("Okta has no registration access token")
	}
	id, _ := made["client_id"].(string)
	secret, _ := made["client_secret"].(string)
	token := func(secret string) reply {
		t.Helper()
		req := o.form(t, "/oauth2/default/v1/token", "", "grant_type=client_credentials&scope=orders:read")
		req.SetBasicAuth(id, secret)
		return do(t, req)
	}
	first := token(secret)
	if first.status != http.StatusOK {
		t.Fatalf("got %d %s", first.status, first.body)
	}
	o.wantActive(t, "/oauth2/default", first.text(t, "access_token"))
	if _, ok := o.admin(t, "GET", clientsPath+"/"+id, "").object(t)["client_secret"]; ok {
		t.Error("a secret is shown again")
	}
	renewed := o.admin(t, "POST", clientsPath+"/"+id+"/lifecycle/newSecret", "").text(t, "client_secret")
	wantRefusal(t, token(secret), 401, "invalid_client", "The client secret supplied for a confidential client is invalid.")
	if r := token(renewed); r.status != http.StatusOK {
		t.Errorf("with the new secret: got %d %s", r.status, r.body)
	}
	if r := o.admin(t, "DELETE", clientsPath+"/"+id, ""); r.status != http.StatusNoContent {
		t.Errorf("got %d %s", r.status, r.body)
	}
	o.wantInactive(t, "/oauth2/default", first.text(t, "access_token"))
	wantRefusal(t, token(renewed), 401, "invalid_client", "Invalid value for 'client_id' parameter.")
	wantEnvelope(t, o.admin(t, "DELETE", clientsPath+"/"+id, ""), 404, "E0000007", "Not found: Resource not found: "+id+" (PublicClientApp)")
}

func TestRegistrationNeedsTheAPIToken(t *testing.T) {
	t.Parallel()
	o := start(t)
	for _, header := range []string{"", "SSWS", "SSWS ", "SSWS wrong", "Bearer " + apiToken, apiToken} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, o.url+clientsPath, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", header)
		wantEnvelope(t, do(t, req), 401, "E0000011", "Invalid token provided")
	}
	if r := o.admin(t, "GET", clientsPath, ""); r.status != 200 || r.header.Get("X-Rate-Limit-Remaining") == "" {
		t.Errorf("got %d %v", r.status, r.header)
	}
	o.SetAPIToken("")
	wantEnvelope(t, o.admin(t, "GET", clientsPath, ""), 401, "E0000011", "Invalid token provided")
}

func TestRegistrationRefusals(t *testing.T) {
	t.Parallel()
	o := start(t)
	o.register(t, `{"client_name":"taken","redirect_uris":["https://a.example/cb"]}`)
	for body, want := range map[string]string{
		`{}`:                  "client_name: The field cannot be left blank",
		`{"client_name":" "}`: "client_name: The field cannot be left blank",
		`{"client_name":"taken","redirect_uris":["https://a.example/cb"]}`: "client_name: An object with this field already exists in the current organization",
		`{"client_name":"a"}`:             "redirect_uris: The field cannot be left blank",
		`{"client_name":"a","scope":"x"}`: "scope: The field is not supported",
		`{"client_name":"a","application_type":"web","grant_types":["client_credentials"],"response_types":["token"]}`: "grant_types: The grant type authorization_code is required for this application_type",
		`{"client_name":"a","application_type":"service","grant_types":["refresh_token"],"response_types":["token"]}`:  "grant_types: The grant type is not allowed for this application_type",
		`{"client_name":"a","application_type":"service","grant_types":["client_credentials"]}`:                        "response_types: The response types do not match the grant types",
		`{"client_name":"a","application_type":"x"}`:                                                                   "application_type: Invalid value",
		`{"client_name":"a","redirect_uris":["https://a.example"],"token_endpoint_auth_method":"private_key_jwt"}`:     "jwks: The field cannot be left blank",
	} {
		wantRefusal(t, o.admin(t, "POST", clientsPath, body), 400, "invalid_client_metadata", want)
	}
	wantRefusal(t, o.admin(t, "POST", clientsPath, `{"client_name":"a","redirect_uris":["https://a.example/#x"]}`), 400,
		"invalid_redirect_uri", "redirect_uris: must be absolute and without a fragment")
	wantEnvelope(t, o.admin(t, "POST", clientsPath, `[]`), 400, "E0000003", "The request body was not well-formed.")
	wantEnvelope(t, o.admin(t, "PATCH", clientsPath, `{}`), 405, "E0000022", "The endpoint does not support the provided HTTP method")
}

func TestPutReplacesTheWholeClient(t *testing.T) {
	t.Parallel()
	o := start(t)
	made := o.register(t, `{"client_name":"app","redirect_uris":["https://a.example/cb"],"tos_uri":"https://a.example/tos"}`)
	id, _ := made["client_id"].(string)
	put := func(change func(map[string]any)) reply {
		t.Helper()
		whole := o.admin(t, "GET", clientsPath+"/"+id, "").object(t)
		delete(whole, "client_id_issued_at")
		delete(whole, "client_secret_expires_at")
		change(whole)
		body, err := json.Marshal(whole)
		if err != nil {
			t.Fatal(err)
		}
		return o.admin(t, "PUT", clientsPath+"/"+id, string(body))
	}
	if r := put(func(m map[string]any) { m["client_name"] = "new name" }); r.status != 200 || r.text(t, "client_name") != "new name" {
		t.Errorf("got %d %s", r.status, r.body)
	}
	for want, change := range map[string]func(map[string]any){
		"client_id_issued_at: The field is read-only":                     func(m map[string]any) { m["client_id_issued_at"] = 1 },
		"client_id: The client_id does not match the one in the path":     func(m map[string]any) { delete(m, "client_id") },
		"tos_uri: Partial updates aren't supported":                       func(m map[string]any) { delete(m, "tos_uri") },
		"application_type: The field is read-only":                        func(m map[string]any) { m["application_type"] = "native" },
		"response_types: The response types do not match the grant types": func(m map[string]any) { m["response_types"] = []string{"token"} },
	} {
		wantRefusal(t, put(change), 400, "invalid_client_metadata", want)
	}
}

func TestClientsAreListedByPages(t *testing.T) {
	t.Parallel()
	o := start(t)
	for _, name := range []string{"list 1", "list 2", "list 3", "other"} {
		o.register(t, strings.Replace(serviceClient, "svc app", name, 1))
	}
	var seen []string
	next := clientsPath + "?limit=2&q=list"
	for next != "" {
		r := o.admin(t, "GET", next, "")
		var page []struct {
			Name string `json:"client_name"`
		}
		if err := json.Unmarshal([]byte(r.body), &page); err != nil {
			t.Fatalf("%d %s: %v", r.status, r.body, err)
		}
		for _, c := range page {
			seen = append(seen, c.Name)
		}
		next, _, _ = strings.Cut(strings.TrimPrefix(r.header.Get("Link"), "<"+o.url), ">")
	}
	if got := strings.Join(seen, ", "); got != "list 1, list 2, list 3" {
		t.Errorf("got %s", got)
	}
}

func TestSecretsOfAClient(t *testing.T) {
	t.Parallel()
	o := start(t)
	id, _ := o.register(t, serviceClient)["client_id"].(string)
	path := "/api/v1/apps/" + id + "/credentials/secrets"
	var held []struct{ ID, Status string }
	if err := json.Unmarshal([]byte(o.admin(t, "GET", path, "").body), &held); err != nil || len(held) != 1 || held[0].Status != "ACTIVE" {
		t.Fatalf("got %v, %v", held, err)
	}
	first := path + "/" + held[0].ID
	wantEnvelope(t, o.admin(t, "POST", first+"/lifecycle/deactivate", ""), 400, "E0000001", "Api validation failed: You can't deactivate the only active client secret.")
	if r := o.admin(t, "POST", path, "{}"); r.status != http.StatusCreated || r.text(t, "client_secret") == "" {
		t.Errorf("got %d %s", r.status, r.body)
	}
	if r := o.admin(t, "POST", path, "{}"); r.status != http.StatusBadRequest {
		t.Errorf("a third secret: got %d", r.status)
	}
	if r := o.admin(t, "DELETE", first, ""); r.status != http.StatusBadRequest {
		t.Errorf("an active one is deleted: got %d", r.status)
	}
	if r := o.admin(t, "POST", first+"/lifecycle/deactivate", ""); r.status != http.StatusOK {
		t.Errorf("got %d %s", r.status, r.body)
	}
	if r := o.admin(t, "DELETE", first, ""); r.status != http.StatusNoContent {
		t.Errorf("got %d %s", r.status, r.body)
	}
}

func TestRevokeAPITokenByControl(t *testing.T) {
	t.Parallel()
	o := start(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, o.url+"/_standin/revoke-api-token", nil)
	if err != nil {
		t.Fatal(err)
	}
	if r := do(t, req); r.status != http.StatusNoContent {
		t.Errorf("got %d", r.status)
	}
	wantEnvelope(t, o.admin(t, "GET", clientsPath, ""), 401, "E0000011", "Invalid token provided")
}

func TestCutAfterTheEffect(t *testing.T) {
	t.Parallel()
	o := start(t)
	o.Break(standin.Clients, standin.Fault{Cut: standin.AfterEffect, Times: 1})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, o.url+clientsPath, strings.NewReader(serviceClient))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "SSWS "+apiToken)
	req.Header.Set("Content-Type", "application/json")
	if r, err := try(req); err == nil {
		t.Errorf("answered: %d %s", r.status, r.body)
	}
	if got := o.Registered("svc app"); len(got) != 1 {
		t.Errorf("got %v, want the client to be there", got)
	}
}
