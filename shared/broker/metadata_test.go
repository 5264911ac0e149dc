package broker_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/shared/apigw"
	"gatehouse/shared/broker"
	"gatehouse/shared/config"
	"gatehouse/shared/provider"
	"gatehouse/shared/standin"
)

const wellKnown = "/.well-known/oauth-authorization-server"

// serve has the broker answer a request without a network.
func (s *site) serve(r *http.Request) answer {
	s.t.Helper()
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r.WithContext(s.t.Context()))
	return newAnswer(w.Code, w.Result().Header, w.Body.String())
}

func (s *site) metadata() map[string]any {
	s.t.Helper()
	return s.get(s.client(nil), issuer+wellKnown).ok(s.t).json
}

func TestM1TheMetadataAreWhereTheIssuerSays(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, row := range []struct {
		name, issuer, path string
		want               int
	}{
		{"an issuer without a path", issuer, wellKnown, 200},
		{"and another path", issuer, wellKnown + "/prod", 404},
		{"an issuer with a path, which is inserted", issuer + "/prod", wellKnown + "/prod", 200},
		{"one whose path API Gateway has cut off", issuer + "/prod", wellKnown, 200},
		{"one with a longer path", issuer + "/a/b", wellKnown + "/a/b", 200},
		{"half of its path", issuer + "/a/b", wellKnown + "/a", 404},
		{"more than its path", issuer + "/prod", wellKnown + "/prod/x", 404},
		{"a path that begins alike", issuer + "/prod", wellKnown + "/production", 404},
		{"OpenID Connect, which is not spoken", issuer, "/.well-known/openid-configuration", 404},
		{"OpenID Connect with a path", issuer + "/prod", "/.well-known/openid-configuration/prod", 404},
		{"OpenID Connect, appended", issuer + "/prod", "/prod/.well-known/openid-configuration", 404},
		{"a path that climbs", issuer + "/prod", wellKnown + "/x/../prod", 404},
	} {
		s.PublicURL = row.issuer
		got := s.serve(httptest.NewRequest(http.MethodGet, row.path, nil))
		if got.status != row.want || row.want == 200 && got.json["issuer"] != row.issuer {
			t.Errorf("%s: got %d %s, want %d", row.name, got.status, got.body, row.want)
		}
	}
}

// TestM2O15TheIssuerIsWhatTheClientUsed has none of what a caller says of
// itself change the issuer.
func TestM2O15TheIssuerIsWhatTheClientUsed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const own = "a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com"
	v2 := func(domain, stage, path string) map[string]any {
		return map[string]any{"version": "2.0", "rawPath": path, "requestContext": map[string]any{
			"apiId": "a1b2c3d4e5", "stage": stage, "domainName": domain, "http": map[string]any{"method": "GET", "sourceIp": "192.0.2.7"},
		}}
	}
	rest := map[string]any{"path": wellKnown, "httpMethod": "GET", "requestContext": map[string]any{
		"apiId": "a1b2c3d4e5", "stage": "prod", "domainName": own, "identity": map[string]any{"sourceIp": "192.0.2.7"},
	}}
	for _, row := range []struct {
		name, configured string
		event            map[string]any
		want             string
	}{
		{"a REST API with its stage", "", rest, "https://" + own + "/prod"},
		{"an HTTP API with a named stage", "", v2(own, "prod", "/prod"+wellKnown), "https://" + own + "/prod"},
		{"the stage inserted, too", "", v2(own, "prod", "/prod"+wellKnown+"/prod"), "https://" + own + "/prod"},
		{"an HTTP API with the default stage", "", v2(own, "$default", wellKnown), "https://" + own},
		{"a domain name of one's own", "", v2("api.example.com", "prod", wellKnown), "https://api.example.com"},
		{"what is configured goes before", issuer, rest, issuer},
	} {
		s.PublicURL = row.configured
		row.event["headers"] = map[string]string{"host": "evil.test", "x-forwarded-host": "evil.test", "x-forwarded-proto": "http", "forwarded": "host=evil.test"}
		event, err := json.Marshal(row.event)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := (&apigw.HTTP{Handler: s.Handler()}).Invoke(t.Context(), event)
		if err != nil {
			t.Fatal(err)
		}
		var got struct{ Body string }
		if err := json.Unmarshal(raw, &got); err != nil {
			t.Fatal(err)
		}
		if is := newAnswer(200, nil, got.Body); is.json["issuer"] != row.want || is.json["token_endpoint"] != row.want+"/token" || strings.Contains(got.Body, "evil.test") {
			t.Errorf("%s: got %s, want %s", row.name, got.Body, row.want)
		}
	}
}

// TestM3M4M6O9O19C2MetadataSayWhatWorks compares all of them, so that nothing is
// in them that is not here: no implicit grant, no passwords, no client
// assertions and their algorithms, no OpenID Connect.
func TestM3M4M6O9O19C2MetadataSayWhatWorks(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	want := map[string]any{
		"issuer": issuer, "authorization_endpoint": issuer + "/authorize", "token_endpoint": issuer + "/token",
		"introspection_endpoint": issuer + "/introspect", "revocation_endpoint": issuer + "/revoke", "registration_endpoint": issuer + "/register",
		"response_types_supported": []any{"code"}, "response_modes_supported": []any{"query"},
		"grant_types_supported":                          []any{"authorization_code", "refresh_token", "client_credentials"},
		"token_endpoint_auth_methods_supported":          []any{"client_secret_basic", "client_secret_post", "none"},
		"revocation_endpoint_auth_methods_supported":     []any{"client_secret_basic", "client_secret_post", "none"},
		"introspection_endpoint_auth_methods_supported":  []any{"client_secret_basic", "client_secret_post"},
		"code_challenge_methods_supported":               []any{"S256"},
		"authorization_response_iss_parameter_supported": true, "client_id_metadata_document_supported": true,
		"scopes_supported":      []any{"orders:admin", "orders:read", "orders:write"},
		"protected_resources":   []any{"https://api.test/orders", "https://api.test/stock"},
		"service_documentation": issuer + "/broker/openapi.json",
	}
	got := s.get(s.client(nil), issuer+wellKnown)
	if diff := cmp.Diff(want, got.json); diff != "" || got.header.Get("Content-Type") != "application/json" {
		t.Error(diff, got.header)
	}
	for name, at := range got.json { // C2: all of them by TLS, and each there
		if at, ok := at.(string); ok && name != "issuer" && strings.Contains(name, "endpoint") {
			if !strings.HasPrefix(at, "https://") || s.get(s.client(nil), at).status == http.StatusNotFound {
				t.Errorf("there is nothing at %s, %s", name, at)
			}
		}
	}
	s.Registration, s.Documents, s.APIs = false, nil, nil
	bare := s.metadata()
	for _, name := range []string{"registration_endpoint", "client_id_metadata_document_supported", "scopes_supported", "protected_resources"} {
		if is, ok := bare[name]; ok {
			t.Errorf("got %s: %v, want it left out", name, is)
		}
	}
}

func TestM5NothingOfAProviderIsInTheMetadata(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.registerAt("plain", public, "orders")
	if body := s.get(s.client(nil), issuer+wellKnown).body; strings.Contains(body, "okta") || strings.Contains(body, "plain.test") {
		t.Errorf("got %s", body)
	}
	// A provider whose metadata are another's: nobody is sent anywhere.
	s.plain.Break(standin.Metadata, standin.Fault{Body: `{"issuer":"https://evil.test","authorization_endpoint":"https://evil.test/authorize"}`})
	s.clock.Advance(2 * time.Hour)
	s.ask(request(a)).tellsError(t, native, "temporarily_unavailable")
	s.plain.Mend()
	if got := s.ask(request(a)); !strings.HasPrefix(got.header.Get("Location"), "https://plain.test/authorize?") {
		t.Errorf("got %d %v", got.status, got.header)
	}
}

// TestP1P2P3AnAPISaysWhoseTokensItTakes reads the documents where the challenge
// of an API leads (resource_metadata; the template of API Gateway has it).
func TestP1P2P3AnAPISaysWhoseTokensItTakes(t *testing.T) {
	t.Parallel()
	s := setup{replace: []string{"https://api.test/stock", "https://gatehouse.test/v1/mcp"}}.site(t)
	document := func(name, resource string, scopes ...any) map[string]any {
		return map[string]any{
			"resource": resource, "authorization_servers": []any{issuer}, "bearer_methods_supported": []any{"header"},
			"resource_name": name, "scopes_supported": scopes,
		}
	}
	orders := document("orders", "https://api.test/orders", "orders:read", "orders:write")
	stock := document("stock", "https://gatehouse.test/v1/mcp", "orders:admin")
	for path, want := range map[string]map[string]any{
		"/orders": orders, "/stock": stock, "/v1/mcp": stock, // by its own path, as the RFC derives it
		"/v1/mcp/": nil, "/v1/mcp-evil": nil, "/v1": nil, "": nil, "/Orders": nil, "/nothing": nil, "/gatehouse": nil,
	} {
		got := s.get(s.client(nil), issuer+"/.well-known/oauth-protected-resource"+path)
		if want == nil {
			got.refused(t, 404, "invalid_request")
		} else if diff := cmp.Diff(want, got.json); diff != "" || got.status != 200 {
			t.Errorf("%s: %s", path, diff)
		}
		if strings.Contains(got.body, "offline_access") {
			t.Errorf("%s: got %s, want it without offline_access", path, got.body)
		}
	}
}

func TestWhatIsTheSameForEveryoneMayBeKept(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for path, want := range map[string]string{
		wellKnown: "public, max-age=300", "/.well-known/oauth-protected-resource/orders": "public, max-age=300",
		wellKnown + "/x": "no-store", "/nothing": "no-store",
	} {
		if got := s.get(s.client(nil), issuer+path).header.Get("Cache-Control"); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}

// TestO4ScriptsOfOtherPagesStayAwayFromPeople lets clients that are pages call
// what clients call.
func TestO4ScriptsOfOtherPagesStayAwayFromPeople(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for path, want := range map[string]string{
		"/authorize": "", "/authorize/consent": "", "/callback": "", "/authorize/": "*",
		"/token": "*", "/introspect": "*", "/revoke": "*", wellKnown: "*", "/broker/openapi.json": "*",
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodOptions} {
			r := httptest.NewRequest(method, path, nil)
			r.Header.Set("Origin", "https://evil.test")
			r.Header.Set("Access-Control-Request-Method", "POST")
			got := s.serve(r)
			if origin := got.header.Get("Access-Control-Allow-Origin"); origin != want || got.header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s %s: got %v, want %q", method, path, got.header, want)
			}
			if method == http.MethodOptions && (got.status == http.StatusNoContent) != (want == "*") {
				t.Errorf("%s %s: got %d", method, path, got.status)
			}
		}
	}
}

// TestEveryPathKnowsItsMethods goes over all of them.
func TestEveryPathKnowsItsMethods(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for path, knows := range map[string]string{
		"/authorize": "GET, HEAD", "/authorize/consent": "POST", "/callback": "GET, HEAD", "/token": "POST", "/introspect": "POST", "/revoke": "POST",
		wellKnown: "GET, HEAD",
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"} {
			got := s.serve(httptest.NewRequest(method, path, nil))
			if known := strings.Contains(knows, method); known == (got.status == http.StatusMethodNotAllowed) || !known && got.header.Get("Allow") != knows {
				t.Errorf("%s %s: got %d, Allow %q", method, path, got.status, got.header.Get("Allow"))
			}
		}
	}
}

func TestAServerIsNotMadeWithoutKeys(t *testing.T) {
	t.Parallel()
	if _, err := broker.New(&config.Config{}, provider.Environment{}, nil, nil); err == nil {
		t.Error("got a server")
	}
	s := newSite(t)
	if err := s.Warm(t.Context()); err != nil {
		t.Error(err)
	}
	s = newSite(t)
	s.net.set("plain.test", nil)
	if err := s.Warm(t.Context()); err == nil {
		t.Error("a provider that is not there is warm")
	}
}
