package provider_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/shared/config"
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
