package provider_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatehouse/shared/config"
	"gatehouse/shared/provider"
	"gatehouse/shared/standin"
)

// plain is an RFC 7591 server, and a provider that registers clients there.
type plain struct {
	*standin.Server
	*provider.Provider

	url, token string // the server's URL and token endpoint
}

// serveStandin starts the server that made makes for its URL.
func serveStandin(t *testing.T, made func(url string) (*standin.Server, error)) (*standin.Server, string) {
	t.Helper()
	hs := httptest.NewUnstartedServer(nil)
	url := "http://" + hs.Listener.Addr().String()
	srv, err := made(url)
	if err != nil {
		t.Fatal(err)
	}
	hs.Config.Handler = srv
	hs.Start()
	t.Cleanup(hs.Close)
	return srv, url
}

// secretFile writes a secret that holds authorization, and returns its name.
func secretFile(t *testing.T, authorization string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret.json")
	if err := os.WriteFile(path, fmt.Appendf(nil, `{"authorization":%q}`, authorization), 0o600); err != nil {
		t.Fatal(err)
	}
	return "file:" + path
}

func newPlain(t *testing.T, q standin.Quirks) plain {
	t.Helper()
	srv, url := serveStandin(t, func(url string) (*standin.Server, error) {
		return standin.NewRFC7591(standin.RFC7591{URL: url, InitialToken: "iat", Quirks: q})
	})
	c := config.Provider{Type: config.RFC7591, Issuer: url, AdminSecret: secretFile(t, "Bearer iat")}
	return plain{Server: srv, Provider: registering(t, c), url: url, token: url + "/token"}
}

func newKeycloak(t *testing.T) plain {
	t.Helper()
	srv, url := serveStandin(t, func(url string) (*standin.Server, error) {
		return standin.NewKeycloak(standin.Keycloak{URL: url, InitialToken: "iat"})
	})
	c := config.Provider{Type: config.Keycloak, Issuer: url + "/realms/demo", AdminSecret: secretFile(t, "Bearer iat")}
	return plain{Server: srv, Provider: registering(t, c), url: url, token: url + "/realms/demo/protocol/openid-connect/token"}
}

// TestRegistrationServers takes a client through its life at servers that
// differ in every way that was ever seen.
func TestRegistrationServers(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) plain{
		"an RFC server":               func(t *testing.T) plain { t.Helper(); return newPlain(t, standin.Quirks{}) },
		"oidc-provider with rotation": func(t *testing.T) plain { t.Helper(); return newPlain(t, standin.Quirks{RotateToken: true}) },
		"Hydra": func(t *testing.T) plain {
			t.Helper()
			return newPlain(t, standin.Quirks{Forgetful: true, RotateToken: true})
		},
		"Glewlwyd": func(t *testing.T) plain {
			t.Helper()
			return newPlain(t, standin.Quirks{OK: true, Forgetful: true, Arrays: true, EmptyErrors: true})
		},
		"go-oidc": func(t *testing.T) plain {
			t.Helper()
			return newPlain(t, standin.Quirks{RefuseClientID: true, Forgetful: true})
		},
		"go-oidc that rotates all it has": func(t *testing.T) plain {
			t.Helper()
			return newPlain(t, standin.Quirks{RotateTokenOnRead: true, RotateSecret: true})
		},
		"Keycloak": newKeycloak,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			live(t, start(t))
		})
	}
}

func live(t *testing.T, s plain) {
	t.Helper()
	c, err := s.CreateClient(t.Context(), web("app"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Secret.Reveal() == "" || tokenStatus(t, s.token, c) != 200 {
		t.Fatalf("created: %+v", c)
	}
	// What rotates does so every time: twice shows that the answer was kept.
	for n := range 2 {
		if c, err = s.ReadClient(t.Context(), c); err != nil {
			t.Fatalf("read %d: %v", n, err)
		}
		change := web("app")
		change.ClientID, change.Secret, change.Management = c.ClientID, c.Secret, c.Management
		change.RedirectURIs = []string{callback + fmt.Sprint(n)}
		if c, err = s.UpdateClient(t.Context(), change); err != nil {
			t.Fatalf("update %d: %v", n, err)
		}
		if !slices.Equal(s.Registered("app")[0].RedirectURIs, change.RedirectURIs) {
			t.Errorf("update %d: the server has %v", n, s.Registered("app")[0].RedirectURIs)
		}
		if got := tokenStatus(t, s.token, c); got != 200 {
			t.Errorf("update %d: token: got %d", n, got)
		}
	}
	if err := s.DeleteClient(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if got := tokenStatus(t, s.token, c); got != 401 || len(s.Registered("app")) > 0 {
		t.Errorf("after the deletion: token %d, left behind %v", got, names(s.Registered("app")))
	}
	if _, err := s.ReadClient(t.Context(), c); !errors.Is(err, provider.ErrGone) {
		t.Errorf("read after the deletion: got %v, want %v", err, provider.ErrGone)
	}
	if err := s.DeleteClient(t.Context(), c); !errors.Is(err, provider.ErrGone) {
		t.Errorf("deleted again: got %v, want %v", err, provider.ErrGone)
	}
}

func TestRegistrationServersCreateServices(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]plain{"RFC 7591": newPlain(t, standin.Quirks{}), "Keycloak": newKeycloak(t)} {
		c, err := s.CreateClient(t.Context(), service("svc"))
		if err != nil || tokenStatus(t, s.token, c) != 200 || c.Scope != "orders:read" {
			t.Errorf("%s: got %+v, %v", name, c, err)
		}
	}
	_, err := newPlain(t, standin.Quirks{NeedRedirect: true}).CreateClient(t.Context(), service("svc"))
	if !field("redirect_uris")(err) {
		t.Errorf("where redirect_uris are mandatory: got %v", err)
	}
	c := service("svc")
	c.Scope = "orders:unknown"
	if _, err := newKeycloak(t).CreateClient(t.Context(), c); !field("scope")(err) {
		t.Errorf("a scope that Keycloak does not know: got %v", err)
	}
}

func TestInitialAccessTokenThatIsRefused(t *testing.T) {
	t.Parallel()
	for name, q := range map[string]standin.Quirks{"with a body": {}, "without": {EmptyErrors: true}} {
		s := newPlain(t, q)
		c := config.Provider{Type: config.RFC7591, Issuer: s.url, AdminSecret: secretFile(t, "Bearer stale")}
		p := registering(t, c)
		if _, err := p.CreateClient(t.Context(), service("svc")); !errors.Is(err, provider.ErrAdminCredentials) {
			t.Errorf("%s: got %v, want %v", name, err, provider.ErrAdminCredentials)
		}
	}
}

func TestOpenRegistrationNeedsNoSecret(t *testing.T) {
	t.Parallel()
	_, url := serveStandin(t, func(url string) (*standin.Server, error) {
		return standin.NewRFC7591(standin.RFC7591{URL: url, Quirks: standin.Quirks{Unmanaged: true}})
	})
	p := registering(t, config.Provider{Type: config.RFC7591, Issuer: url, Endpoints: config.Endpoints{Registration: url + "/register"}})
	c, err := p.CreateClient(t.Context(), service("svc"))
	if err != nil || tokenStatus(t, url+"/token", c) != 200 {
		t.Errorf("got %+v, %v", c, err)
	}
	if _, err := p.ReadClient(t.Context(), c); !errors.Is(err, provider.ErrGone) {
		t.Errorf("where there is no management: got %v", err)
	}
}

// TestTokenIsNotSentElsewhere has a server name a management URI of another
// origin.
func TestTokenIsNotSentElsewhere(t *testing.T) {
	t.Parallel()
	other := newPlain(t, standin.Quirks{})
	s := newPlain(t, standin.Quirks{})
	for _, uri := range []string{other.url + "/register/1", "http://u@" + strings.TrimPrefix(s.url, "http://") + "/register/1", "%", ""} {
		s.Break("/register", standin.Fault{Status: 201, Body: fmt.Sprintf(
			`{"client_id":"a/../b","client_secret":"s","redirect_uris":[],"registration_access_token":"t","registration_client_uri":%q}`, uri)})
		c, err := s.CreateClient(t.Context(), service("svc"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.ReadClient(t.Context(), c); !errors.Is(err, provider.ErrGone) {
			t.Errorf("%q: got %v, want %v", uri, err, provider.ErrGone)
		}
	}
	if got := other.Requests(standin.Clients); got != 0 {
		t.Errorf("another origin was sent %d requests", got)
	}
}

func TestUpdateThatDoesNotDoAsAskedStillReturnsTheNewToken(t *testing.T) {
	t.Parallel()
	s := newPlain(t, standin.Quirks{})
	c, err := s.CreateClient(t.Context(), web("app"))
	if err != nil {
		t.Fatal(err)
	}
	s.Break(standin.Clients, standin.Fault{Body: fmt.Sprintf(
		`{"client_id":%q,"client_secret":"new","registration_access_token":"new","redirect_uris":["https://evil.example"]}`, c.ClientID)})
	change := web("app")
	change.ClientID, change.Management = c.ClientID, c.Management
	changed, err := s.UpdateClient(t.Context(), change)
	wrong, ok := errors.AsType[*provider.MismatchError](err)
	if !ok || wrong.Field != "redirect_uris" || changed.Secret.Reveal() != "new" || !strings.Contains(changed.Management.Reveal(), `"new"`) {
		t.Errorf("got %+v, %v", changed, err)
	}
	s.Break(standin.Clients, standin.Fault{Body: `{"client_id":"another","client_secret":"new"}`})
	if _, err := s.UpdateClient(t.Context(), change); !errors.Is(err, provider.ErrUncertain) {
		t.Errorf("an answer about another client: got %v, want %v", err, provider.ErrUncertain)
	}
}

func TestManagementIsNotPrinted(t *testing.T) {
	t.Parallel()
	c, err := newPlain(t, standin.Quirks{}).CreateClient(t.Context(), web("app"))
	if err != nil {
		t.Fatal(err)
	}
	printed := fmt.Sprintf("%v %+v %#v %s", c, c, c, &provider.MismatchError{Client: c, Field: "x"})
	if strings.Contains(printed, c.Secret.Reveal()) || strings.Contains(printed, "registration_access_token") {
		t.Errorf("shows secrets: %s", printed)
	}
}

func TestRFC7591ServersCannotRotateOrFind(t *testing.T) {
	t.Parallel()
	s := newPlain(t, standin.Quirks{})
	_, rotateErr := s.RotateSecret(t.Context(), provider.Client{})
	_, _, findErr := s.FindClient(t.Context(), "app")
	for what, err := range map[string]error{"rotate": rotateErr, "find": findErr, "retire": s.RetireSecret(t.Context(), provider.Client{})} {
		if !errors.Is(err, provider.ErrUnsupported) {
			t.Errorf("%s: got %v, want %v", what, err, provider.ErrUnsupported)
		}
	}
	if can := s.Capabilities(); can.Rotate || can.Find || can.TwoSecrets || !can.Create || !can.Delete {
		t.Errorf("it says %+v", can)
	}
	if got := s.Requests(standin.Clients); got != 0 {
		t.Errorf("%d requests were sent", got)
	}
}
