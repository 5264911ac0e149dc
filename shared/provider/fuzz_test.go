package provider_test

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"gatehouse/shared/config"
	"gatehouse/shared/oauth"
	"gatehouse/shared/provider"
	"gatehouse/shared/secret"
)

// canned is a transport that answers everything alike.
type canned struct {
	status int
	body   string
}

func (c canned) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: c.status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(c.body)), Request: r,
	}, nil
}

// FuzzAnswers has every kind of provider answer anything to everything. No
// answer makes a client out of nothing, or gets into an error.
func FuzzAnswers(f *testing.F) {
	for _, body := range []string{
		`{"client_id":"a","client_secret":"MARK","redirect_uris":["https://app.example.com/cb"],"grant_types":["authorization_code"]}`,
		`{"client_id":"a","client_secret_expires_at":1e9,"token_endpoint_auth_method":["client_secret_basic"],"scope":["a"]}`,
		`{"errorCode":"E0000001","errorSummary":"MARK","errorCauses":[{"errorSummary":"client_name: MARK"}]}`,
		`{"error":"invalid_client_metadata","error_description":"client_name: An object with this field already exists"}`,
		`{"client":[{"clientId":"a","redirectUris":"x"}]}`, `{"client":{"clientId":1}}`, `[{"id":"x","status":"ACTIVE","conditions":null}]`,
		`[{"client_id":"a","client_name":"app"}]`, `{"client_id":null}`, `{`, ``, `[]`, `null`,
	} {
		f.Add(200, body)
		f.Add(400, body)
	}
	configs := []struct {
		kind     config.ProviderType
		endpoint string
	}{
		{config.Okta, ""}, {config.RFC7591, "https://idp.example.com/register"}, {config.Keycloak, ""},
		{config.PingFederate, "https://idp.example.com/pf-ws/rest/oauth/clients"}, {config.OpenAM, ""},
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 || status == http.StatusTooManyRequests {
			return
		}
		for _, row := range configs {
			c := config.Provider{Name: "idp", Type: row.kind, Issuer: "https://idp.example.com/oauth2/default", Tokens: config.Introspect, RequestTimeout: time.Minute}
			c.Endpoints.Registration = row.endpoint
			env := provider.Environment{HTTP: &http.Client{Transport: canned{status, body}}, Secrets: &secret.Manager{}}
			p, err := provider.New(c, env)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.EnableRegistration(c, env); err != nil {
				t.Fatal(err)
			}
			ref := provider.Client{ClientID: "a", Name: "app", GrantTypes: []string{"client_credentials"}}
			made, createErr := p.CreateClient(t.Context(), ref)
			if createErr == nil && (made.ClientID == "" || made.Secret.Reveal() == "") {
				t.Errorf("%s: created %+v", row.kind, made)
			}
			_, readErr := p.ReadClient(t.Context(), ref)
			_, updateErr := p.UpdateClient(t.Context(), ref)
			_, rotateErr := p.RotateSecret(t.Context(), ref)
			_, _, findErr := p.FindClient(t.Context(), "app")
			all := errors.Join(createErr, readErr, updateErr, rotateErr, findErr, p.DeleteClient(t.Context(), ref))
			if wrong, ok := errors.AsType[*provider.MismatchError](createErr); ok && strings.Contains(wrong.Client.ClientID, "MARK") {
				continue // a client ID is no secret
			}
			if all != nil && strings.Contains(all.Error(), "MARK") {
				t.Errorf("%s: the errors quote the answer: %v", row.kind, all)
			}
		}
	})
}

// everywhere is a transport that answers everything alike and knows who was
// asked.
type everywhere struct {
	body  string
	asked map[string]bool // URLs
}

func (e *everywhere) RoundTrip(r *http.Request) (*http.Response, error) {
	e.asked[r.URL.String()] = true
	return canned{http.StatusOK, e.body}.RoundTrip(r)
}

// FuzzDiscovery has an issuer publish anything as its metadata. Keys are fetched
// and secrets sent only where the metadata of this very issuer says, over TLS.
func FuzzDiscovery(f *testing.F) {
	const issuer = "https://idp.example.com/tenant"
	for _, members := range []string{
		`"jwks_uri":"https://idp.example.com/k","token_endpoint":"https://idp.example.com/t","scopes_supported":["offline_access",1]`,
		`"jwks_uri":"http://idp.example.com/k","token_endpoint":"http://127.0.0.1:8080/t"`, `"jwks_uri":"https://MARK:MARK@idp.example.com/k"`,
		`"jwks_uri":"//x","token_endpoint":"/t"`, `"jwks_uri":1,"token_endpoint":["https://idp.example.com/t"]`, `"JWKS_URI":"https://x/k"`,
		`"jwks_uri":"https://a/k","jwks_uri":"https://b/k"`, `"keys":[],"jwks_uri":"https://idp.example.com/k#x"`, `"token_endpoint":"https://[::1/t"`,
		`"token_endpoint":"https://idp.example.com/t","access_token":"MARK","token_type":"Bearer"`,
	} {
		f.Add(`{"issuer":"` + issuer + `",` + members + `}`)
	}
	f.Add(`{"issuer":"` + issuer + `/","jwks_uri":"https://idp.example.com/k"}`)
	f.Add(`<html>`)
	f.Fuzz(func(t *testing.T, body string) {
		line := &everywhere{body: body, asked: map[string]bool{}}
		c := config.Provider{
			Name: "idp", Type: config.RFC7591, Issuer: issuer, Tokens: config.JWT, Algorithms: []string{"EdDSA"}, RequestTimeout: time.Minute,
		}
		p, err := provider.New(c, provider.Environment{HTTP: &http.Client{Transport: line}, Secrets: &secret.Manager{}})
		if err != nil {
			t.Fatal(err)
		}
		warmErr := p.Warm(t.Context())
		_, tokenErr := p.Token(t.Context(), provider.TokenRequest{
			Client: provider.ClientAuth{ClientID: "app", Secret: secret.New("hunter2"), Method: oauth.SecretPost}, GrantType: oauth.ClientCredentials,
		})
		if all := errors.Join(warmErr, tokenErr); all != nil && strings.Contains(all.Error(), "hunter2") && !strings.Contains(body, "hunter2") {
			t.Errorf("the errors show the secret: %v", all)
		}
		var m map[string]any
		_ = json.Unmarshal([]byte(body), &m) // m is empty then
		for at := range line.asked {
			if strings.Contains(at, "/.well-known/") {
				continue
			}
			if m["issuer"] != issuer || at != asAsked(m["jwks_uri"]) && at != asAsked(m["token_endpoint"]) {
				t.Fatalf("%q makes us ask %s", body, at)
			}
			u, err := url.Parse(at)
			if err != nil || u.User != nil || u.Scheme != "https" && (u.Scheme != "http" || u.Hostname() != "localhost" && !net.ParseIP(u.Hostname()).IsLoopback()) {
				t.Fatalf("%q makes us ask %s", body, at)
			}
		}
	})
}

// asAsked is a URL of a metadata document as net/http asks for it.
func asAsked(v any) string {
	text, _ := v.(string)
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	u.Host = strings.TrimSuffix(u.Host, ":")
	return u.String()
}
