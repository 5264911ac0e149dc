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

// adminFile writes a secret that holds an administrator's sign-in and whatever
// else registers.
func adminFile(t *testing.T, password, more string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret.json")
	if err := os.WriteFile(path, fmt.Appendf(nil, `{"username":"amadmin","password":%q%s}`, password, more), 0o600); err != nil {
		t.Fatal(err)
	}
	return "file:" + path
}

func newOpenAM(t *testing.T, o standin.OpenAM, adminSecret string) plain {
	t.Helper()
	srv, url := serveStandin(t, func(url string) (*standin.Server, error) {
		o.URL, o.User, o.Password = url, "amadmin", "p w"
		o.Clients = []standin.Client{{ID: "gatehouse", Secret: "s3cret", GrantTypes: []string{standin.ClientCredentials}}}
		return standin.NewOpenAM(o)
	})
	c := config.Provider{Type: config.OpenAM, Issuer: url + "/openam/oauth2", AdminSecret: adminSecret}
	return plain{Server: srv, Provider: registering(t, c), url: url, token: url + "/openam/oauth2/access_token"}
}

func TestOpenAMClientLives(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]standin.OpenAM{"opaque tokens": {Open: true}, "stateless tokens": {Open: true, Stateless: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newOpenAM(t, o, adminFile(t, "p w", ""))
			asked := web("app 7f3a")
			asked.Scope, asked.JWKS = "orders:read", []byte(`{"keys":[]}`)
			made, err := s.CreateClient(t.Context(), asked)
			if err != nil {
				t.Fatal(err)
			}
			if tokenStatus(t, s.token, made) != 200 || !slices.Equal(s.Registered("app")[0].Scopes, []string{"orders:read"}) {
				t.Errorf("created: %+v as %+v", made, s.Registered("app"))
			}
			if _, err := s.CreateClient(t.Context(), asked); !errors.Is(err, provider.ErrNameTaken) {
				t.Errorf("created again: got %v, want %v", err, provider.ErrNameTaken)
			}
			if read, err := s.ReadClient(t.Context(), made); err != nil || !slices.Equal(read.RedirectURIs, asked.RedirectURIs) {
				t.Errorf("read: %+v, %v", read, err)
			}
			if found, ok, err := s.FindClient(t.Context(), "app 7f3a"); err != nil || !ok || found.ClientID != made.ClientID {
				t.Errorf("found: %+v, %v, %v", found, ok, err)
			}
			for range 2 {
				if err := s.DeleteClient(t.Context(), made); err != nil {
					t.Error(err)
				}
			}
			if _, ok, err := s.FindClient(t.Context(), "app 7f3a"); ok || err != nil {
				t.Errorf("after the deletion: %v, %v", ok, err)
			}
			if _, err := s.ReadClient(t.Context(), made); !errors.Is(err, provider.ErrGone) {
				t.Errorf("read after the deletion: got %v, want %v", err, provider.ErrGone)
			}
		})
	}
}

func TestOpenAMSaysWhatItCannotDo(t *testing.T) {
	t.Parallel()
	s := newOpenAM(t, standin.OpenAM{Open: true}, "")
	if can := s.Capabilities(); can.Update || can.Delete || can.Find || can.Rotate || !can.Create || !can.Read {
		t.Errorf("without an administrator: %+v", can)
	}
	if err := s.DeleteClient(t.Context(), provider.Client{ClientID: "a"}); !errors.Is(err, provider.ErrUnsupported) {
		t.Errorf("got %v, want %v", err, provider.ErrUnsupported)
	}
	s = newOpenAM(t, standin.OpenAM{}, adminFile(t, "wrong", `,"client_id":"gatehouse","client_secret":"wrong"`))
	if err := s.DeleteClient(t.Context(), provider.Client{ClientID: "a"}); !errors.Is(err, provider.ErrAdminCredentials) {
		t.Errorf("a wrong password: got %v, want %v", err, provider.ErrAdminCredentials)
	}
	if _, err := s.CreateClient(t.Context(), service("svc")); !errors.Is(err, provider.ErrAdminCredentials) {
		t.Errorf("a wrong secret: got %v, want %v", err, provider.ErrAdminCredentials)
	}
	s = newOpenAM(t, standin.OpenAM{}, adminFile(t, "p w", `,"authorization":"Bearer stale"`))
	if _, err := s.CreateClient(t.Context(), service("svc")); !errors.Is(err, provider.ErrAdminCredentials) {
		t.Errorf("a stale token: got %v, want %v", err, provider.ErrAdminCredentials)
	}
	s = newOpenAM(t, standin.OpenAM{}, adminFile(t, "p w", ""))
	if _, err := s.CreateClient(t.Context(), service("svc")); !errors.Is(err, provider.ErrAdminCredentials) {
		t.Errorf("no token: got %v, want %v", err, provider.ErrAdminCredentials)
	}
	s = newOpenAM(t, standin.OpenAM{Open: true}, secretFile(t, "Bearer token"))
	if _, err := s.CreateClient(t.Context(), service("svc")); !errors.Is(err, provider.ErrAdminCredentials) || len(s.Registered("svc")) > 0 {
		t.Errorf("nobody to delete it again: got %v and %v, want %v and no client", err, s.Registered("svc"), provider.ErrAdminCredentials)
	}
}

func TestOpenAMRegistersWithATokenOfItsOwn(t *testing.T) {
	t.Parallel()
	s := newOpenAM(t, standin.OpenAM{}, adminFile(t, "p w", `,"client_id":"gatehouse","client_secret":"s3cret"`))
	asked := service("svc")
	if made, err := s.CreateClient(t.Context(), asked); err != nil || tokenStatus(t, s.token, made) != 200 {
		t.Errorf("got %+v, %v", made, err)
	}
}

func TestOpenAMTokenInfo(t *testing.T) {
	t.Parallel()
	s := newOpenAM(t, standin.OpenAM{Stateless: true}, "")
	p, err := provider.New(config.Provider{
		Name: "am", Type: config.OpenAM, Issuer: s.url + "/openam/oauth2", Secret: secretFile(t, "unused"), Tokens: config.Introspect,
		InsecureAnyAudience: true, RequestTimeout: 2 * time.Second, ClientIDClaims: []string{"client_id"}, ScopeClaims: []string{"scope"},
		Endpoints: config.Endpoints{Introspection: s.url + "/openam/oauth2/tokeninfo"},
	}, provider.Environment{HTTP: fetch.NewClient(nil), Secrets: &secret.Manager{}})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := s.Mint(s.Claims("app", "orders:read", "orders:write"), nil)
	if err != nil {
		t.Fatal(err)
	}
	facts, err := p.Introspect(t.Context(), raw)
	if err != nil || facts.ClientID != "app" || !slices.Equal(facts.Scopes, []string{"orders:read", "orders:write"}) {
		t.Errorf("got %+v, %v", facts, err)
	}
	if _, err := p.Introspect(t.Context(), "unknown&x=1"); !errors.Is(err, token.ErrInactive) {
		t.Errorf("an unknown token: got %v, want %v", err, token.ErrInactive)
	}
	for _, f := range []standin.Fault{{Status: 500}, {Body: "[]"}, {Body: `{"client_id":"app"}`}, {Cut: standin.BeforeHeaders}} {
		s.Break(standin.Introspect, f)
		if _, err := p.Introspect(t.Context(), "another"); !errors.Is(err, provider.ErrUnavailable) || strings.Contains(err.Error(), "another") {
			t.Errorf("%+v: got %v, want %v", f, err, provider.ErrUnavailable)
		}
	}
}
