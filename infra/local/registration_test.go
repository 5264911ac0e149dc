package main

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/shared/config"
	"gatehouse/shared/registry"
	"gatehouse/shared/standin"
)

// as is the header of a client that an administrator has set up.
func (r *running) as(t *testing.T, g grant) []string {
	t.Helper()
	s := &story{system: r.system, out: io.Discard, client: http.DefaultClient}
	raw := s.token(t.Context(), g)
	if s.err != nil {
		t.Fatal(s.err)
	}
	return []string{"Authorization", "Bearer " + raw}
}

func (r *running) developer(t *testing.T) []string {
	t.Helper()
	return r.as(t, grant{id: developerID, secret: developerSecret, scope: config.ScopeApplications})
}

// sendJSON sends a body as JSON.
func sendJSON(t *testing.T, method, address, body string, header ...string) response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for n := 0; n+1 < len(header); n += 2 {
		req.Header.Set(header[n], header[n+1])
	}
	resp, err := (&http.Client{Timeout: 30 * time.Second}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response{resp.StatusCode, resp.Header, string(text)}
}

// known is what the store and the provider know of clients.
type known struct {
	Clients      []string
	Applications []string
	Open         int
}

func (r *running) known(t *testing.T) known {
	t.Helper()
	var k known
	for _, c := range r.standin.Registered("") {
		k.Clients = append(k.Clients, c.ID+" "+c.Name)
	}
	slices.Sort(k.Clients)
	all, _, err := r.store.ApplicationsByOwner(t.Context(), developerID, registry.Page{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		text, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		k.Applications = append(k.Applications, string(text))
	}
	open, _, err := r.store.Unfinished(t.Context(), time.Now().Add(time.Hour), registry.Page{})
	if err != nil {
		t.Fatal(err)
	}
	k.Open = len(open)
	return k
}

// TestBadInputIsRefusedAndChangesNothing, through API Gateway and the authorizer
// to the provider.
func TestBadInputIsRefusedAndChangesNothing(t *testing.T) {
	t.Parallel()
	r := start(t, repositoryFiles())
	before := r.known(t)
	developer := r.developer(t)
	stranger := r.as(t, grant{id: ownerID, secret: ownerSecret, scope: config.ScopeApplications})
	with := func(members string) string { return `{"client_name":"Reports",` + members + `}` }
	program := with(`"grant_types":["client_credentials"]`)
	for _, row := range []struct {
		name, method, path, body string
		header                   []string
		status                   int
		says                     string
	}{
		{"a redirect URI without TLS", "POST", "/applications", with(`"redirect_uris":["http://app.example.com/cb"]`), developer, 400, `"field":"redirect_uris"`},
		{"a redirect URI that is script", "POST", "/applications", with(`"redirect_uris":["javascript:alert(1)"]`), developer, 400, `"field":"redirect_uris"`},
		{"a grant that is not allowed", "POST", "/applications", with(`"grant_types":["password"]`), developer, 400, `"field":"grant_types"`},
		{"an API that there is not", "POST", "/applications", with(`"grant_types":["client_credentials"],"contracts":[{"api":"payments"}]`), developer, 400, `"field":"api"`},
		{"a scope of no API", "POST", "/applications", with(`"grant_types":["client_credentials"],"scope":"okta.apps.manage"`), developer, 400, `"field":"scope"`},
		{"a scope of Gatehouse's own", "POST", "/applications", with(`"grant_types":["client_credentials"],"scope":"gatehouse:admin"`), developer, 400, `"field":"scope"`},
		{"control characters in the name", "POST", "/applications", `{"client_name":"Rep\u001borts","grant_types":["client_credentials"]}`, developer, 400, `"field":"client_name"`},
		{"a name that reads backwards", "POST", "/applications", "{\"client_name\":\"Rep\u202eorts\",\"grant_types\":[\"client_credentials\"]}", developer, 400, `"field":"client_name"`},
		{"a private key", "POST", "/applications", with(`"grant_types":["client_credentials"],"token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[{"kty":"RSA","d":"x"}]}`), developer, 400, `"field":"jwks"`},
		{"a vendor's own switch", "POST", "/applications", with(`"grant_types":["client_credentials"],"application_type":"web"`), developer, 400, `"field":"application_type"`},
		{"a body of 10 MB", "POST", "/applications", `{"client_name":"` + strings.Repeat("x", 10<<20) + `"}`, developer, 413, `Too Large`},
		{"a body of 100 KB", "POST", "/applications", `{"client_name":"` + strings.Repeat("x", 100<<10) + `"}`, developer, 413, `64 KiB`},
		{"no JSON", "POST", "/applications", `client_name=Reports`, developer, 400, `"field":"body"`},
		{"another's application", "DELETE", "/applications/" + r.app.ID, ``, stranger, 404, `no such application`},
		{"another's application, changed", "PATCH", "/applications/" + r.app.ID, `{"client_name":"Mine"}`, stranger, 404, `no such application`},
		{"a decision by somebody who is no owner", "PATCH", "/apis/orders/contracts/" + r.app.ClientID, `{"status":"revoked"}`,
			r.as(t, grant{id: developerID, secret: developerSecret, scope: config.ScopeContracts}), 403, `only an owner`},
		{"no token", "POST", "/applications", program, nil, 401, `Unauthorized`},
		{"a token without the scope", "POST", "/applications", program, r.as(t, grant{id: developerID, secret: developerSecret, scope: "orders:read"}), 403, `Forbidden`},
		{"a token of a registered application", "POST", "/applications", program,
			r.as(t, grant{id: r.app.ClientID, secret: r.app.Secret, scope: config.ScopeAdmin}), 403, `registered here`},
		{"registration by itself where that is off", "POST", "/register", program, nil, 403, `cannot register themselves`},
	} {
		got := sendJSON(t, row.method, r.Own+row.path, row.body, row.header...)
		if got.status != row.status || !strings.Contains(got.body, row.says) {
			t.Errorf("%s: got %d %s, want %d with %s", row.name, got.status, got.body, row.status, row.says)
		}
		if diff := cmp.Diff(before, r.known(t)); diff != "" {
			t.Errorf("%s: -before +after:\n%s", row.name, diff)
		}
	}

	// A name that another client has at the provider: ours have their id in it, so
	// that takes a provider that says so.
	r.standin.Break(standin.Clients, standin.Fault{
		Status: 400, Body: `{"error":"invalid_client_metadata","error_description":"client_name: An object with this field already exists in the current organization"}`,
	})
	if got := sendJSON(t, "POST", r.Own+"/applications", program, developer...); got.status < 400 {
		t.Errorf("a name that is taken: got %d %s", got.status, got.body)
	}
	r.standin.Mend()
	if after := r.known(t); !cmp.Equal(before.Clients, after.Clients) || !cmp.Equal(before.Applications, after.Applications) {
		t.Errorf("a name that is taken: -before +after:\n%s", cmp.Diff(before, after))
	}
}
