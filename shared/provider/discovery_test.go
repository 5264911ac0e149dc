package provider_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gatehouse/shared/config"
	"gatehouse/shared/fetch"
	"gatehouse/shared/provider"
	"gatehouse/shared/secret"
)

// metadata serves documents by path and counts what it is asked for.
func metadata(t *testing.T, docs map[string]string) (base string, asked func(string) int) {
	t.Helper()
	counts := map[string]int{}
	var srv *httptest.Server
	srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		counts[r.URL.Path]++
		doc, ok := docs[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, strings.ReplaceAll(doc, "BASE", srv.URL))
	}))
	t.Cleanup(srv.Close)
	return srv.URL, func(path string) int { return counts[path] }
}

const keys = `{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","kid":"1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`

func warm(t *testing.T, c config.Provider) error {
	t.Helper()
	c.Name, c.Tokens, c.Algorithms, c.RequestTimeout = "idp", config.JWT, []string{"EdDSA"}, time.Second
	made, err := provider.New(c, provider.Environment{HTTP: fetch.NewClient(), Secrets: &secret.Manager{}})
	if err != nil {
		t.Fatal(err)
	}
	return made.Warm(t.Context())
}

func TestDiscovery(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, kind, issuer string
		docs               map[string]string
		want               string // part of the error; "" for none
	}{
		{"OpenID Connect Discovery", "rfc7591", "", map[string]string{
			"/.well-known/openid-configuration": `{"issuer":"BASE","jwks_uri":"BASE/k"}`, "/k": keys}, ""},
		{"an issuer with a trailing slash", "rfc7591", "/", map[string]string{
			"/.well-known/openid-configuration": `{"issuer":"BASE/","jwks_uri":"BASE/k"}`, "/k": keys}, ""},
		{"RFC 8414, inserted before the path", "rfc7591", "/tenant/1", map[string]string{
			"/.well-known/oauth-authorization-server/tenant/1": `{"issuer":"BASE/tenant/1","jwks_uri":"BASE/k"}`, "/k": keys}, ""},
		{"RFC 8414, appended", "rfc7591", "/tenant", map[string]string{
			"/tenant/.well-known/oauth-authorization-server": `{"issuer":"BASE/tenant","jwks_uri":"BASE/k"}`, "/k": keys}, ""},
		{"a second document after a bad first", "rfc7591", "", map[string]string{
			"/.well-known/openid-configuration":       `<html>`,
			"/.well-known/oauth-authorization-server": `{"issuer":"BASE","jwks_uri":"BASE/k"}`, "/k": keys}, ""},
		{"Okta's custom server needs none", "okta", "/oauth2/default", map[string]string{"/oauth2/default/v1/keys": keys}, ""},
		{"Okta's own server needs none", "okta", "", map[string]string{"/oauth2/v1/keys": keys}, ""},
		{"Keycloak needs none", "keycloak", "/realms/r", map[string]string{"/realms/r/protocol/openid-connect/certs": keys}, ""},
		{"F10: the document of another issuer", "rfc7591", "", map[string]string{
			"/.well-known/openid-configuration": `{"issuer":"https://other.example.com","jwks_uri":"BASE/k"}`, "/k": keys}, "its issuer is not exactly"},
		{"F10: the issuer with a slash too many", "rfc7591", "", map[string]string{
			"/.well-known/openid-configuration": `{"issuer":"BASE/","jwks_uri":"BASE/k"}`, "/k": keys}, "its issuer is not exactly"},
		{"F10: the issuer twice", "rfc7591", "", map[string]string{
			"/.well-known/openid-configuration": `{"issuer":"BASE","issuer":"BASE","jwks_uri":"BASE/k"}`, "/k": keys}, "not a metadata document"},
		{"no jwks_uri", "rfc7591", "", map[string]string{"/.well-known/openid-configuration": `{"issuer":"BASE"}`}, "no usable jwks_uri"},
		{"a jwks_uri over plain http to another host", "rfc7591", "", map[string]string{
			"/.well-known/openid-configuration": `{"issuer":"BASE","jwks_uri":"http://keys.example.com/k"}`}, "no usable jwks_uri"},
		{"nothing there", "rfc7591", "", nil, "answers 404"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			base, _ := metadata(t, row.docs)
			err := warm(t, config.Provider{Type: config.ProviderType(row.kind), Issuer: base + row.issuer})
			switch {
			case row.want == "" && err != nil:
				t.Error(err)
			case row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)):
				t.Errorf("got %v, want %q in it", err, row.want)
			}
		})
	}
}

func TestConfiguredEndpointsNeedNoDiscovery(t *testing.T) {
	t.Parallel()
	base, asked := metadata(t, map[string]string{"/elsewhere": keys})
	err := warm(t, config.Provider{Type: config.RFC7591, Issuer: base, Endpoints: config.Endpoints{JWKS: base + "/elsewhere"}})
	if err != nil {
		t.Error(err)
	}
	if n := asked("/.well-known/openid-configuration"); n != 0 {
		t.Errorf("discovery was asked %d times", n)
	}
}

func TestF9RedirectedKeysAreNotFetched(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/private" {
			t.Error("the redirect was followed")
		}
		http.Redirect(w, r, "/private", http.StatusFound)
	}))
	t.Cleanup(srv.Close)
	err := warm(t, config.Provider{Type: config.RFC7591, Issuer: srv.URL, Endpoints: config.Endpoints{JWKS: srv.URL + "/k"}})
	if want := fmt.Sprint(http.StatusFound); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s in it", err, want)
	}
}
