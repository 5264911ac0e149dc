package broker_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/shared/oauth"
	"gatehouse/shared/registration"
	"gatehouse/shared/registry"
	"gatehouse/shared/registry/registrytest"
	"gatehouse/shared/standin"
)

// everything does what people, clients and attackers do, and returns the secrets
// of the applications.
func (s *site) everything() []string {
	s.t.Helper()
	s.publish(stranger())
	post := s.register(registration.Metadata{RedirectURIs: []string{webApp}, GrantTypes: everyGrant, AuthMethod: oauth.SecretPost, Scope: "orders:read"})
	apps := []app{s.register(confidential), post, s.register(public), s.selfRegister(stranger()), documentApp}
	var secrets []string
	for _, a := range apps {
		secrets = append(secrets, a.secret)
		state := fmt.Sprint("the state of ", a.id)
		code := s.code(a, "state", state)
		s.redeem(apps[0], code) // a thief, or the owner
		tokens := s.redeem(a, code).json
		next := s.refresh(a, tokens["refresh_token"])
		s.refresh(a, tokens["refresh_token"])
		for _, raw := range []any{tokens["access_token"], tokens["refresh_token"], next.json["refresh_token"], "wrong"} {
			s.introspect(a, raw)
			s.revoke(apps[1], raw)
		}
		s.okta.Break(standin.Token, standin.Fault{Status: 500})
		s.okta.Break(standin.Revoke, standin.Fault{Status: 500})
		s.refresh(a, next.json["refresh_token"])
		s.revoke(a, next.json["refresh_token"])
		s.okta.Mend()
		s.refresh(a, next.json["refresh_token"])

		code = s.code(a, "state", state)
		s.redeem(a, code).ok(s.t)
		s.okta.Break(standin.Revoke, standin.Fault{Status: 500})
		s.redeem(a, code)
		s.okta.Mend()
		s.redeem(a, s.code(a, "state", state), "code_verifier", strings.Repeat("w", 50))
		s.itself(a)
		s.itself(a, "scope", "everything")
		s.postBy(oauth.SecretBasic, "/token", app{a.Application, a.id, "a guessed secret of the application"}, form("grant_type", "client_credentials"))
		s.ask(request(a, "state", state, "redirect_uri", "https://evil.test"))
		s.ask(request(a, "state", state, "code_challenge_method", "plain"))
		c := s.browser()
		at := s.untilCallback(c, request(a, "state", state))
		s.get(s.client(nil), at)
		s.get(c, edited(s.t, at, "code", "", "error", "server_error", "error_description", "what the provider says"))
		s.get(c, at)
	}
	return secrets
}

// secrets are the texts of all requests and answers that nobody but sender and
// receiver may know.
func (s *site) secrets() []string {
	all := []string{password, introspector.Secret, "what the provider says"}
	names := []string{"code", "state", "request", "code_verifier", "refresh_token", "access_token", "token", "client_secret", "registration_access_token", "password"}
	for _, e := range s.net.exchanges("", "") {
		scheme, credentials, _ := strings.Cut(e.Header.Get("Authorization"), " ")
		if decoded, err := base64.StdEncoding.DecodeString(credentials); err == nil && scheme == "Basic" {
			_, secret, _ := strings.Cut(string(decoded), ":")
			all = append(all, secret)
		}
		all = append(all, credentials)
		to, err := url.Parse(e.answer.header.Get("Location"))
		if err != nil {
			s.t.Fatal(err)
		}
		for _, name := range names {
			text, _ := e.answer.json[name].(string)
			all = append(all, e.form.Get(name), e.URL.Query().Get(name), to.Query().Get(name), text)
		}
		for _, cookie := range append(e.Cookies(), (&http.Response{Header: e.answer.header}).Cookies()...) {
			all = append(all, cookie.Value)
		}
	}
	return all
}

// wantNone fails if a text has one of the secrets, or the most of one.
func wantNone(t *testing.T, text string, secrets []string) {
	t.Helper()
	slices.Sort(secrets)
	looked := 0
	for _, secret := range slices.Compact(secrets) {
		if len(secret) < 12 {
			continue // of no kind that a secret has
		}
		if looked++; strings.Contains(text, secret[:min(len(secret), 32)]) {
			t.Errorf("%q is there", secret)
		}
	}
	if looked < 100 {
		t.Errorf("looked for %d secrets, want more: this test does not find them", looked)
	}
}

// TestNoSecretIsLogged by a function behind an HTTP API, and by one behind a REST
// API.
func TestNoSecretIsLogged(t *testing.T) {
	t.Parallel()
	for name, rest := range map[string]bool{"HTTP API": false, "REST API": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			log := s.logged(rest)
			secrets := append(s.everything(), s.secrets()...)
			text := log.take()
			wantNone(t, text, secrets)
			for _, want := range []string{`"alarm":"code_reused"`, `"alarm":"wrong_verifier"`, `"application":"`, `"provider":"okta"`, `"grant_type":"refresh_token"`, `"not_revoked":`} {
				if !strings.Contains(text, want) {
					t.Errorf("the log has no %s", want)
				}
			}
			for _, e := range s.net.exchanges("gatehouse.test", "") {
				if e.answer.status >= 500 && e.answer.status != 503 {
					t.Errorf("%s %s %s: got %v", e.Method, e.URL, e.body, e.answer)
				}
			}
		})
	}
}

// TestNothingIsAtRestInClear in the file of the embedded store.
func TestNothingIsAtRestInClear(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "registry.json")
	s := setup{
		replace: caches,
		store: func(now func() time.Time) (*registry.Store, error) {
			return registry.Embedded{Path: path, Now: now}.Open()
		},
	}.site(t)
	defer func() { _ = s.Store.Close() }()
	secrets := append(s.everything(), s.secrets()...)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{`"GRANT#`, `"ANSWER#`, `"QUOTA#`} {
		if !strings.Contains(string(text), kind) {
			t.Errorf("the file has no %s", kind)
		}
	}
	wantNone(t, string(text), secrets)
}

// TestBothStores has the tokens of a person go the same way in DynamoDB, where
// nothing is at rest in clear, either.
func TestBothStores(t *testing.T) {
	table := registrytest.NewTable(t, registrytest.DynamoDBLocal(t))
	for _, variable := range table.Environment() {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	for name, store := range map[string]func(func() time.Time) (*registry.Store, error){
		"embedded": nil,
		"DynamoDB": func(now func() time.Time) (*registry.Store, error) {
			return registry.Dynamo{Table: table.Name, Now: now, Timeout: time.Minute}.Open(t.Context())
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := setup{store: store}.site(t)
			a := s.register(confidential)
			code := s.code(a)
			first := s.redeem(a, code).ok(t).json
			all := atOnce(10, func() answer { return s.refresh(a, first["refresh_token"]) })
			if good := count(all, 200); good == 0 || good+count(all, 429) != len(all) {
				t.Errorf("got %v", all)
			}
			next := s.works(a, first["refresh_token"])
			s.redeem(a, code).refused(t, 400, oauth.InvalidGrant)
			s.refresh(a, next["refresh_token"]).refused(t, 400, oauth.InvalidGrant)
			if s.alive(next["access_token"]) {
				t.Error("the provider still takes the last token")
			}
			tokens := s.tokens(a)
			s.works(a, tokens["refresh_token"])
			s.clock.Advance(30 * time.Second)
			s.refresh(a, tokens["refresh_token"]).refused(t, 400, oauth.InvalidGrant)
			for _, id := range []string{strings.Repeat("x", 30<<10), "\xff\xfe", "a#b%c", "\x00"} {
				s.itself(app{Application: a.Application, id: id, secret: "x"}).refused(t, 401, oauth.InvalidClient)
			}
			all = atOnce(10, func() answer { return s.redeem(a, s.code(a)) })
			if count(all, 200) != len(all) {
				t.Errorf("got %v", all)
			}
			code = s.code(a)
			if all = atOnce(10, func() answer { return s.redeem(a, code) }); count(all, 200) > 1 {
				t.Errorf("got %v", all)
			}
			if store != nil {
				s.everything()
				wantNone(t, table.Text(t), s.secrets())
			}
		})
	}
}
