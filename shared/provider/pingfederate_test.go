package provider_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/shared/config"
	"gatehouse/shared/fetch"
	"gatehouse/shared/provider"
	"gatehouse/shared/secret"
	"gatehouse/shared/standin"
	"gatehouse/shared/token"
)

// newPing starts a PingFederate. The service is its client management service,
// else clients are registered by RFC 7591.
func newPing(t *testing.T, endpoint, authorization string) plain {
	t.Helper()
	srv, url := serveStandin(t, func(url string) (*standin.Server, error) {
		return standin.NewPingFederate(standin.PingFederate{
			URL: url, User: "gatehouse", Password: "pw", InitialToken: "iat",
			Clients: []standin.Client{{ID: "rs", Secret: "s3cret", GrantTypes: []string{standin.ClientCredentials}}},
		})
	})
	if endpoint != "" {
		endpoint = url + endpoint
	}
	c := config.Provider{Type: config.PingFederate, Issuer: url, AdminSecret: secretFile(t, authorization), Endpoints: config.Endpoints{Registration: endpoint}}
	return plain{Server: srv, Provider: registering(t, c), url: url, token: url + "/as/token.oauth2"}
}

const (
	pingService = "/pf-ws/rest/oauth/clients"
	pingAdmin   = "Basic Z2F0ZWhvdXNlOnB3" // gatehouse:pw
)

func TestPingFederateRegistersByRFC7591(t *testing.T) {
	t.Parallel()
	live(t, newPing(t, "", "Bearer iat"))
}

func TestPingFederateClientManagementService(t *testing.T) {
	t.Parallel()
	s := newPing(t, pingService, pingAdmin)
	asked := web("app 7f3a")
	asked.Scope = "orders:read"
	made, err := s.CreateClient(t.Context(), asked)
	if err != nil {
		t.Fatal(err)
	}
	if len(made.Secret.Reveal()) < 40 || tokenStatus(t, s.token, made) != 200 || made.Scope != "orders:read" {
		t.Errorf("created: %+v", made)
	}
	if _, err := s.CreateClient(t.Context(), asked); !errors.Is(err, provider.ErrNameTaken) {
		t.Errorf("created again: got %v, want %v", err, provider.ErrNameTaken)
	}
	found, ok, err := s.FindClient(t.Context(), "app 7f3a")
	if err != nil || !ok || found.ClientID != made.ClientID {
		t.Errorf("found: %+v, %v, %v", found, ok, err)
	}
	if _, ok, err := s.FindClient(t.Context(), "app"); ok || err != nil {
		t.Errorf("another name: %v, %v", ok, err)
	}
	change := asked
	change.ClientID, change.RedirectURIs = made.ClientID, []string{callback, callback + "2"}
	if changed, err := s.UpdateClient(t.Context(), change); err != nil || len(changed.RedirectURIs) != 2 {
		t.Errorf("changed: %+v, %v", changed, err)
	}
	if got := tokenStatus(t, s.token, made); got != 200 {
		t.Errorf("token after the update: got %d", got)
	}
	rotated, err := s.RotateSecret(t.Context(), made)
	if err != nil || rotated.OldValidUntil.IsZero() {
		t.Fatalf("rotated: %+v, %v", rotated, err)
	}
	if tokenStatus(t, s.token, made) != 401 || tokenStatus(t, s.token, rotated.Client) != 200 {
		t.Error("the old secret still works, or the new one does not")
	}
	if got := s.Registered("app")[0].RedirectURIs; !slices.Equal(got, change.RedirectURIs) {
		t.Errorf("the rotation changed the redirect URIs to %v", got)
	}
	for range 2 {
		if err := s.DeleteClient(t.Context(), made); err != nil {
			t.Error(err)
		}
	}
	for what, err := range map[string]error{
		"read":   second(s.ReadClient(t.Context(), made)),
		"update": second(s.UpdateClient(t.Context(), change)),
	} {
		if !errors.Is(err, provider.ErrGone) {
			t.Errorf("%s after the deletion: got %v, want %v", what, err, provider.ErrGone)
		}
	}
}

func second(_ provider.Client, err error) error { return err }

func TestPingFederateServiceRefuses(t *testing.T) {
	t.Parallel()
	s := newPing(t, pingService, "Basic eDp5")
	if _, err := s.CreateClient(t.Context(), service("svc")); !errors.Is(err, provider.ErrAdminCredentials) {
		t.Errorf("a wrong password: got %v, want %v", err, provider.ErrAdminCredentials)
	}
	s = newPing(t, pingService, pingAdmin)
	c := service("svc")
	c.JWKSURI = "https://app.example.com/jwks"
	if _, err := s.CreateClient(t.Context(), c); !field("jwks")(err) {
		t.Errorf("keys: got %v", err)
	}
	c = service("svc")
	c.TokenEndpointAuthMethod = "private_key_jwt"
	if _, err := s.CreateClient(t.Context(), c); !field("token_endpoint_auth_method")(err) {
		t.Errorf("an assertion: got %v", err)
	}
	s.Break(pingService, standin.Fault{Cut: standin.AfterEffect, Times: 1})
	if _, err := s.CreateClient(t.Context(), service("svc")); !errors.Is(err, provider.ErrUncertain) {
		t.Errorf("a lost answer: got %v, want %v", err, provider.ErrUncertain)
	}
	found, ok, err := s.FindClient(t.Context(), "svc")
	if err != nil || !ok || s.DeleteClient(t.Context(), found) != nil || len(s.Registered("svc")) > 0 {
		t.Errorf("found %v, %v; left %v", ok, err, names(s.Registered("svc")))
	}
}

func TestPingFederateValidatesBearerTokens(t *testing.T) {
	t.Parallel()
	s := newPing(t, pingService, pingAdmin)
	path := filepath.Join(t.TempDir(), "secret.json")
	if err := os.WriteFile(path, []byte(`{"client_id":"rs","client_secret":"s3cret"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	asking := func(ref string) *provider.Provider {
		t.Helper()
		p, err := provider.New(config.Provider{
			Name: "ping", Type: config.PingFederate, Issuer: s.url, Secret: ref, Tokens: config.Introspect,
			Audiences: []string{"api://default"}, RequestTimeout: 2 * time.Second,
			Endpoints: config.Endpoints{Introspection: s.url + "/as/token.oauth2"},
		}, provider.Environment{HTTP: fetch.NewClient(), Secrets: &secret.Manager{}})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := asking("file:" + path)
	raw, err := s.Mint(s.Claims("app", "orders:read"), nil)
	if err != nil {
		t.Fatal(err)
	}
	facts, err := p.Introspect(t.Context(), raw)
	if err != nil || facts.ClientID != "app" || !slices.Equal(facts.Scopes, []string{"orders:read"}) {
		t.Errorf("got %+v, %v", facts, err)
	}
	if _, err := p.Introspect(t.Context(), "unknown"); !errors.Is(err, token.ErrInactive) {
		t.Errorf("an unknown token: got %v, want %v", err, token.ErrInactive)
	}
	for name, f := range map[string]standin.Fault{
		"another 400":            {Status: 400, Body: `{"error":"invalid_request"}`},
		"401":                    {Status: 401},
		"500":                    {Status: 500},
		"garbage":                {Body: standin.Garbage},
		"too much":               {Size: 1 << 20},
		"no attributes":          {Body: `{"client_id":"app","expires_in":60}`},
		"no expiry":              {Body: `{"client_id":"app","access_token":{}}`},
		"reset":                  {Cut: standin.AfterEffect},
		"an expiry that is text": {Body: `{"client_id":"app","access_token":{},"expires_in":"60"}`},
	} {
		s.Break(standin.Token, f)
		_, err := asking("file:"+path).Introspect(t.Context(), raw)
		if !errors.Is(err, provider.ErrUnavailable) || strings.Contains(err.Error(), raw) {
			t.Errorf("%s: got %v, want %v", name, err, provider.ErrUnavailable)
		}
	}
	s.Break(standin.Token, standin.Fault{Body: fmt.Sprintf(
		`{"client_id":"app","scope":"orders:read","token_type":"urn:pingidentity.com:oauth2:validated_token","expires_in":60,`+
			`"access_token":{"iss":%q,"aud":"api://default","sub":"ada","active":false,"client_id":"evil","scope":"orders:admin","exp":1}}`, s.url)})
	facts, err = p.Introspect(t.Context(), "other")
	if err != nil || facts.ClientID != "app" || !slices.Equal(facts.Scopes, []string{"orders:read"}) {
		t.Errorf("attributes that speak for PingFederate: got %+v, %v", facts, err)
	}
	if got := s.Requests(standin.Introspect); got != 0 {
		t.Errorf("introspection was asked %d times", got)
	}
}
