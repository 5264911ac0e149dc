package standin_test

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"gatehouse/shared/standin"
)

const (
	openAMToken    = "/openam/oauth2/access_token"
	openAMRegister = "/openam/oauth2/connect/register"
	openAMAgents   = "/openam/json/realms/root/realm-config/agents/OAuth2Client/"
	openAMPrefix   = "com.forgerock.openam.oauth2provider."
)

func openAMServer(o standin.OpenAM) func(string) (*standin.Server, error) {
	return func(url string) (*standin.Server, error) {
		o.URL, o.User, o.Password, o.Keys = url, "amadmin", "p", keys()[:1]
		o.Clients = []standin.Client{
			{ID: "a", Secret: "s", GrantTypes: []string{standin.ClientCredentials}},
			{ID: "b", Secret: "s", GrantTypes: []string{standin.ClientCredentials}},
		}
		o.DefaultScopes = map[string][]string{"b": {"orders:write"}}
		return standin.NewOpenAM(o)
	}
}

func TestOpenAMHasItsOwnWays(t *testing.T) {
	t.Parallel()
	s := serve(t, openAMServer(standin.OpenAM{}))
	document := s.send(t, "GET", "/openam/oauth2/.well-known/openid-configuration", "").object(t)
	if _, ok := document["introspection_endpoint"]; ok || document["revocation_endpoint"] != s.url+"/openam/oauth2/revoke" {
		t.Errorf("got %v", document)
	}
	const own, another = "Basic YTpz", "Basic Yjpz"
	token := s.send(t, "POST", openAMToken, "grant_type=client_credentials&scope=orders:read", "Authorization", own).text(t, "access_token")
	if strings.Contains(token, ".") {
		t.Errorf("not opaque: %s", token)
	}
	for who, want := range map[string]any{own: true, another: false} {
		r := s.send(t, "POST", "/openam/oauth2/introspect", url.Values{"token": {token}}.Encode(), "Authorization", who)
		if r.object(t)["active"] != want {
			t.Errorf("introspection by %s: got %s", who, r.body)
		}
	}
	info := s.send(t, "GET", "/openam/oauth2/tokeninfo?access_token="+token, "")
	if m := info.object(t); info.status != 200 || fmt.Sprint(m["scope"]) != "[orders:read]" || m["client_id"] != "a" || m["orders:read"] != "" {
		t.Errorf("tokeninfo: got %d %s", info.status, info.body)
	}
	for _, row := range []struct {
		name, body, authorization string
		status                    int
		says                      string
	}{
		{"no scope, and no default one", "grant_type=client_credentials", own, 400, "No scope requested and no default scope configured"},
		{"no scope, and a default one", "grant_type=client_credentials", another, 200, `"scope":"orders:write"`},
		{"a scope that there is not", "grant_type=client_credentials&scope=x", own, 400, "invalid_scope"},
		{"a wrong secret", "grant_type=client_credentials&scope=orders:read", "Basic YTp4", 401, "Client authentication failed"},
	} {
		r := s.send(t, "POST", openAMToken, row.body, "Authorization", row.authorization)
		if r.status != row.status || !strings.Contains(r.body, row.says) {
			t.Errorf("%s: got %d %s, want %d %s", row.name, r.status, r.body, row.status, row.says)
		}
	}
}

func TestOpenAMStatelessTokens(t *testing.T) {
	t.Parallel()
	s := serve(t, openAMServer(standin.OpenAM{Stateless: true}))
	token := s.send(t, "POST", openAMToken, "grant_type=client_credentials&scope=orders:read", "Authorization", "Basic YTpz").text(t, "access_token")
	header, _, _ := strings.Cut(token, ".")
	if text, err := base64.RawURLEncoding.DecodeString(header); err != nil || !strings.Contains(string(text), `"zip":"NONE"`) {
		t.Errorf("header: got %s, %v", text, err)
	}
	info := s.send(t, "GET", "/openam/oauth2/tokeninfo?access_token="+token, "").object(t)
	if _, ok := info["client_id"]; ok || info["aud"] != "a" || info["scope"] != "orders:read" || info["expires_in"] != 3600000.0 {
		t.Errorf("tokeninfo: got %v", info)
	}
}

func TestOpenAMRegistration(t *testing.T) {
	t.Parallel()
	s := serve(t, openAMServer(standin.OpenAM{}))
	token := s.send(t, "POST", openAMToken, "grant_type=client_credentials&scope=orders:read", "Authorization", "Basic YTpz").text(t, "access_token")
	bearer := "Bearer " + token
	for _, row := range []struct {
		name, method, place, body, authorization string
		status                                   int
		says                                     string
	}{
		{"without a token", "POST", "", `{}`, "", 400, `"error":"access_denied"`},
		{"with a wrong one", "POST", "", `{}`, "Bearer x", 400, `"error":"access_denied"`},
		{"keys in an object", "POST", "", `{"jwks":{}}`, bearer, 400, "The request contains invalid metadata."},
		{"a scope that there is not", "POST", "", `{"scopes":["x"]}`, bearer, 400, "Invalid scopes requested"},
		{"a redirect URI with a fragment", "POST", "", `{"redirect_uris":["https://a.example/#f"]}`, bearer, 400, "invalid_redirect_uri"},
		{"a redirect URI of an app's own", "POST", "", `{"redirect_uris":["a:/cb"]}`, bearer, 400, "invalid_redirect_uri"},
		{"a method that there is not", "POST", "", `{"token_endpoint_auth_method":"x"}`, bearer, 400, "Invalid token_endpoint_auth_method requested."},
		{"a client", "POST", "", `{"client_id":"c","client_name":"en|C","scope":"ignored","token_endpoint_auth_method":"none"}`, bearer, 201, `"scopes":["openid"]`},
		{"the same again", "POST", "", `{"client_id":"c"}`, bearer, 400, "The request contains invalid metadata."},
		{"it has a secret all the same", "GET", "?client_id=c", "", bearer, 200, `"client_secret":"`},
		{"and a name in a language", "GET", "?client_id=c", "", bearer, 200, `"client_name#en":"C"`},
		{"shown to another token", "GET", "?client_id=c", "", "Bearer x", 401, `"error":"invalid_token"`},
		{"shown without one", "GET", "?client_id=c", "", "", 400, `"error":"server_error"`},
		{"a client that there is not", "GET", "?client_id=d", "", bearer, 400, `"error":"invalid_client_metadata"`},
		{"changed", "PUT", "?client_id=c", `{}`, bearer, 405, ""},
		{"text that is no JSON makes one, too", "POST", "", `{`, bearer, 201, `"registration_access_token":"` + token},
	} {
		header := []string{"Authorization", row.authorization}
		if row.authorization == "" {
			header = nil
		}
		r := s.send(t, row.method, openAMRegister+row.place, row.body, header...)
		if r.status != row.status || !strings.Contains(r.body, row.says) {
			t.Errorf("%s: got %d %s, want %d %s", row.name, r.status, r.body, row.status, row.says)
		}
	}
}

func TestOpenAMAgents(t *testing.T) {
	t.Parallel()
	s := serve(t, openAMServer(standin.OpenAM{Open: true}))
	made := s.send(t, "POST", openAMRegister, `{"client_id":"c","client_secret":"old","scopes":["orders:read"],"redirect_uris":["https://a.example/"]}`)
	if made.status != 201 {
		t.Fatalf("got %d %s", made.status, made.body)
	}
	if r := s.send(t, "DELETE", openAMAgents+"c", ""); r.status != 401 {
		t.Errorf("without a session: got %d", r.status)
	}
	if r := s.send(t, "POST", "/openam/json/authenticate", "", "X-OpenAM-Username", "amadmin", "X-OpenAM-Password", "x"); r.status != 401 {
		t.Errorf("a wrong password: got %d", r.status)
	}
	session := s.send(t, "POST", "/openam/json/authenticate", "", "X-OpenAM-Username", "amadmin", "X-OpenAM-Password", "=?utf-8?b?cA==?=").text(t, "tokenId")
	const update, create = "If-Match", "If-None-Match"
	for _, row := range []struct {
		name, method, id, condition, body string
		status                            int
		says, secret                      string // of the answer; which one gets a token afterwards
	}{
		{"the secret is not shown", "GET", "c", "", "", 200, `"userpassword":null`, "old"},
		{"lists have numbers", "GET", "c", "", "", 200, `"` + openAMPrefix + `scopes":["[0]=orders:read"]`, "old"},
		{"what is left out stays, what is null too", "PUT", "c", update, `{"isConsentImplied":true,"userpassword":null}`, 200, `redirectionURIs":["[0]=https://a.example/"]`, "old"},
		{"and is still there", "GET", "c", "", "", 200, `"isConsentImplied":true`, "old"},
		{"an empty text becomes null", "PUT", "c", update, `{"` + openAMPrefix + `jwks":""}`, 200, `jwks":null`, "old"},
		{"a redirect URI is not looked at", "PUT", "c", update, `{"` + openAMPrefix + `redirectionURIs":["[0]=x#f"]}`, 200, `["[0]=x#f"]`, "old"},
		{"a name that is not known is passed over", "PUT", "c", update, `{"nonsense":1}`, 200, `"_id":"c"`, "old"},
		{"a method is checked", "PUT", "c", update, `{"` + openAMPrefix + `tokenEndPointAuthMethod":"x"}`, 400, openAMPrefix + "tokenEndPointAuthMethod", "old"},
		{"a secret for keys of its own still gets in", "PUT", "c", update, `{"` + openAMPrefix + `tokenEndPointAuthMethod":"private_key_jwt"}`, 200, "", "old"},
		{"a new secret ends the old one", "PUT", "c", update, `{"userpassword":"new"}`, 200, `"userpassword":null`, "new"},
		{"a body that is no object", "PUT", "c", update, `{`, 400, "not a JSON object", "new"},
		{"a client that is not there is not changed", "PUT", "d", update, `{}`, 404, `"message":"Not Found"`, "new"},
		{"but made, if nothing is said of it", "PUT", "d", "", `{}`, 201, `"_id":"d"`, "new"},
		{"and not twice", "PUT", "d", create, `{}`, 412, "Service already exists", "new"},
		{"deleted", "DELETE", "d", "", "", 200, `"success":true`, "new"},
		{"deleted again", "DELETE", "d", "", "", 404, "", "new"},
	} {
		header := []string{"iPlanetDirectoryPro", session}
		if row.condition != "" {
			header = append(header, row.condition, "*")
		}
		r := s.send(t, row.method, openAMAgents+row.id, row.body, header...)
		if r.status != row.status || !strings.Contains(r.body, row.says) {
			t.Errorf("%s: got %d %s, want %d %s", row.name, r.status, r.body, row.status, row.says)
		}
		for _, secret := range []string{"old", "new"} {
			basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("c:"+secret))
			got := s.send(t, "POST", openAMToken, "grant_type=client_credentials&scope=orders:read", "Authorization", basic).status
			if (got == 200) != (secret == row.secret) {
				t.Errorf("%s: with the %s secret: got %d", row.name, secret, got)
			}
		}
	}
}
