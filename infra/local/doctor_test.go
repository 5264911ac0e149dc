package main

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gatehouse/shared/config"
	"gatehouse/shared/standin"
)

// consult runs a command as somebody does who has the system's secrets, with
// text on standard input. It returns all that is printed, and the exit status.
func (r *running) consult(t *testing.T, text string, args ...string) (string, int) {
	t.Helper()
	env := map[string]string{
		"OIDC_ISSUER": r.issuer(), "OIDC_AUDIENCE": "api://default", "SIGN_IN_GROUP": "Everyone", "AUTHORIZER_CACHE_SECONDS": "60",
		"ADMIN_SECRET": "file:" + filepath.Join(r.folder, "admin_secret.json"),
	}
	// A machine that has much else to do gets more time than a provider.
	patient := strings.Replace(string(contents(t, "../gatehouse.yaml")), "  - name: okta\n", "  - name: okta\n    requestTimeout: 10s\n", 1)
	file := filepath.Join(t.TempDir(), "gatehouse.yaml")
	if err := os.WriteFile(file, []byte(patient), 0o600); err != nil {
		t.Fatal(err)
	}
	var printed bytes.Buffer
	args = append(args, "--template", "../../template.yaml", "--config", file)
	code := execute(t.Context(), args, stage{in: strings.NewReader(text), out: &printed, err: &printed, env: lookup(env)})
	return printed.String(), code
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	r := start(t, repositoryFiles())
	for _, row := range []struct {
		name  string
		spoil func()
		code  int
		want  []string // printed, in this order
	}{
		{"all is well", func() {}, 0, []string{"Provider okta (okta), http://", "access policy   ok", "discovery       ok", "keys            ok", "registration    ok", "clock", "All is well."}},
		{"no keys", func() { r.standin.Break(standin.Keys, standin.Fault{Status: 503}) }, 1, []string{"keys            unavailable", "→ keys: the provider's jwks_uri must be reached", "1 of the checks above need you"}},
		{"no metadata", func() { r.standin.Break(standin.Metadata, standin.Fault{Status: 404}) }, 1, []string{"discovery       unavailable", "→ discovery: open http://"}},
		{"a token of the administrator that is revoked", func() {
			r.standin.Break(standin.Clients, standin.Fault{Status: 401, Body: `{"errorCode":"E0000011","errorSummary":"MARK"}`})
		}, 1, []string{"registration    credentials refused", "→ registration: the credentials in the secret file:"}},
		{"no access policy", func() {
			r.standin.Break("/api/v1/authorizationServers/default/policies", standin.Fault{Status: 200, Body: `[]`})
		}, 1, []string{"access policy   unavailable", "Access Policies: add a policy assigned to All clients", "→ access policy: do what it says"}},
	} {
		r.standin.Mend()
		row.spoil()
		got, code := r.consult(t, "", "doctor")
		at := 0
		for _, want := range row.want {
			n := strings.Index(got[at:], want)
			if n < 0 {
				t.Errorf("%s: got\n%s\nwant %q", row.name, got, want)
				break
			}
			at += n
		}
		if code != row.code || strings.Contains(got, "MARK") || strings.Contains(got, apiToken) {
			t.Errorf("%s: got %d\n%s", row.name, code, got)
		}
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	r := start(t, repositoryFiles())
	s := &story{system: r.system, out: t.Output(), client: http.DefaultClient}
	reads := s.token(t.Context(), grant{id: r.app.ClientID, secret: r.app.Secret, scope: "orders:read"})
	develops := s.token(t.Context(), grant{id: developerID, secret: developerSecret, scope: config.ScopeApplications})
	if s.err != nil {
		t.Fatal(s.err)
	}
	for _, row := range []struct {
		name, token string
		args        []string
		code        int
		want        []string
	}{
		{"allowed", reads + "\n", []string{"GET", "/orders"}, 0, []string{
			"JWT,", "(provider okta)", "exp ", `GET /orders is "GET /orders" of API orders. It needs orders:read`, "taken for approved", "allowed: allowed", "allow ", "GET/orders",
		}},
		{"a scope is missing", "Bearer " + reads, []string{"POST", "/orders"}, 1, []string{"It needs orders:write", "403: insufficient_scope", "see Route above"}},
		{"another API", develops, []string{"GET", "/apis", "--api", "gatehouse"}, 0, []string{"of API gatehouse", "allowed"}},
		{"a route that is not listed", reads, []string{"GET", "/nowhere"}, 1, []string{"does not list GET /nowhere: nobody may call it", "403:"}},
		{"a signature that was changed", reads[:len(reads)-20] + strings.Repeat("A", 20), []string{"GET", "/orders"}, 1, []string{"401: bad_signature", "It was changed"}},
		{"an opaque token", "opaque", []string{"GET", "/orders"}, 1, []string{"opaque, 6 bytes", "401: opaque_token_not_accepted"}},
		{"no token", " \n", []string{"GET", "/orders"}, 1, []string{"there is no token on standard input"}},
		{"an API that there is not", reads, []string{"GET", "/orders", "--api", "x"}, 1, []string{"say which API with --api: there are orders"}},
		{"no path", reads, []string{"GET", "orders"}, 1, []string{"no request that API Gateway would pass on"}},
	} {
		got, code := r.consult(t, row.token, append([]string{"explain"}, row.args...)...)
		for _, want := range row.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: got\n%s\nwant %q", row.name, got, want)
			}
		}
		if secret := strings.TrimSpace(strings.TrimPrefix(row.token, "Bearer ")); code != row.code || len(secret) > 20 && strings.Contains(got, secret[len(secret)-20:]) {
			t.Errorf("%s: got %d\n%s", row.name, code, got)
		}
	}
}

// reasonWords finds the words where they are declared, or returned.
var reasonWords = regexp.MustCompile(`(?:refusalError|requestError)\("([a-z_]+)"\)|return (?:terms\{\}, )?"([a-z]+_[a-z_]+)"|(?:NotListed|Refused|Missing[A-Z][a-z]+) += "([a-z_]+)"`)

// plain are the words for what the command itself rules out, or says otherwise.
var plain = []string{"allowed", "keys_unavailable", "no_token", "two_tokens", "not_bearer", "token_outside_cache_key"}

// TestEveryReasonHasARemedy reads the words from the packages that say them.
func TestEveryReasonHasARemedy(t *testing.T) {
	t.Parallel()
	said := map[string]bool{}
	for _, path := range []string{"../../shared/token/token.go", "../../shared/authorizer/authorizer.go", "../../shared/authorizer/contract.go", "../../shared/policy/requirement.go"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range reasonWords.FindAllSubmatch(text, -1) {
			said[string(m[1])+string(m[2])+string(m[3])] = true
		}
	}
	for word := range said {
		if remedies[word] == "" && !slices.Contains(plain, word) {
			t.Errorf("%s has no remedy", word)
		}
	}
	for word := range remedies {
		if !said[word] {
			t.Errorf("nothing says %s", word)
		}
	}
}
