package broker_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"gatehouse/shared/broker"
	"gatehouse/shared/oauth"
	"gatehouse/shared/registration"
	"gatehouse/shared/registry"
	"gatehouse/shared/standin"
)

// caches has a token that a client got for itself given to it again for two
// minutes.
var caches = []string{"clientMetadata: true", "clientMetadata: true\n  cacheClientCredentials: 2m"}

// another is a second instance of the server, which shares the store and the keys.
func (s *site) another() *site {
	s.t.Helper()
	other := s.in(s.t)
	other.Server = &broker.Server{
		Store: s.Store, Box: s.Box, Providers: s.Providers, APIs: s.APIs, PublicURL: s.PublicURL, HTTP: s.HTTP, CacheFor: s.CacheFor, Now: s.Now,
	}
	return other
}

// itselfHere is itself without a network, so that it is this instance that is
// asked.
func (s *site) itselfHere(a app) answer {
	s.t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/token", strings.NewReader("grant_type=client_credentials"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(url.QueryEscape(a.id), url.QueryEscape(a.secret))
	return s.serve(r)
}

func TestAClientGetsATokenForItself(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, b := s.register(confidential), s.registerAt("okta", confidential)
	code := s.register(registration.Metadata{RedirectURIs: []string{webApp}, GrantTypes: everyGrant[:2], Scope: "orders:read"})
	stocks := s.registerAt("okta", all, "stock")
	for _, row := range []struct {
		name    string
		a       app
		changes []string
		status  int
		want    string // scope or error
	}{
		{"all that it may have", a, nil, 200, "orders:read orders:write"},
		{"a part", a, []string{"scope", "orders:write"}, 200, "orders:write"},
		{"by resource", a, []string{"resource", "https://api.test/orders"}, 200, "orders:read orders:write"},
		{"with scopes of OpenID Connect, which are ignored", a, []string{"scope", "openid orders:read"}, 200, "orders:read"},
		{"more than it is registered for", a, []string{"scope", "orders:admin"}, 400, oauth.InvalidScope},
		{"nothing but what a person is", a, []string{"scope", "openid"}, 400, oauth.InvalidScope},
		{"a scope that nobody knows", a, []string{"scope", "x"}, 400, oauth.InvalidScope},
		{"N1 a resource that nobody knows", a, []string{"resource", "https://other.test/"}, 400, oauth.InvalidTarget},
		{"a resource without a contract", a, []string{"resource", "https://api.test/stock"}, 400, oauth.AccessDenied},
		{"without any contract", b, nil, 400, oauth.AccessDenied},
		{"with a contract that is not decided", stocks, nil, 400, oauth.AccessDenied},
		{"without being registered for it", code, nil, 400, oauth.UnauthorizedClient},
		{"a public client", s.register(public), nil, 400, oauth.UnauthorizedClient},
	} {
		asked := s.okta.Requests(standin.Token)
		got := s.itself(row.a, row.changes...)
		if row.status != 200 {
			if got.refused(t, row.status, row.want); t.Failed() || s.okta.Requests(standin.Token) != asked {
				t.Fatalf("%s: it is refused by the provider, or in another way", row.name)
			}
			continue
		}
		if got.ok(t); got.json["scope"] != row.want || got.json["refresh_token"] != nil || !s.alive(got.json["access_token"]) {
			t.Errorf("%s: got %v", row.name, got)
		}
	}
	if x, y := s.itself(a).ok(t), s.itself(a).ok(t); x.json["access_token"] == y.json["access_token"] {
		t.Error("a token is given again, which is not configured")
	}
}

// TestATokenIsGivenAgain while it is configured to be, to the same client for the
// same.
func TestATokenIsGivenAgain(t *testing.T) {
	t.Parallel()
	s := setup{replace: caches}.site(t)
	a, b := s.register(confidential), s.register(confidential)
	token := func(got answer) any { t.Helper(); return got.ok(t).json["access_token"] }
	first := token(s.itself(a))
	differ := map[string]any{
		"another client":   token(s.itself(b)),
		"less":             token(s.itself(a, "scope", "orders:read")),
		"another resource": token(s.itself(a, "resource", "https://api.test/orders")),
	}
	for name, other := range differ {
		if other == first {
			t.Errorf("%s gets the same token", name)
		}
	}
	s.clock.Advance(2*time.Minute - time.Second)
	again := s.itself(a, "scope", "orders:write orders:read") // in another order
	if token(again) != first || again.json["expires_in"] != 3481.0 || token(s.another().itselfHere(a)) != first {
		t.Errorf("got %v, want the token again", again)
	}
	s.clock.Advance(time.Second)
	if token(s.itself(a)) == first || token(s.another().itselfHere(a)) == first {
		t.Error("the token is given again when its time is up")
	}
}

// TestATokenThatIsKept opens nothing to whoever has lost the right to it.
func TestATokenThatIsKept(t *testing.T) {
	t.Parallel()
	s := setup{replace: caches}.site(t)
	a := s.register(confidential)
	first := s.itself(a).ok(t).json["access_token"]
	s.itself(app{a.Application, a.id, "wrong"}).refused(t, 401, oauth.InvalidClient)
	s.contract(a, "orders", registry.Revoked)
	s.itself(a).refused(t, 400, oauth.AccessDenied)
	s.contract(a, "orders", registry.Approved)

	s.okta.Break(standin.Token, standin.Fault{Status: 500}) // which is not asked
	if got := s.itself(a).ok(t); got.json["access_token"] != first {
		t.Errorf("got %v, want %v again", got, first)
	}
	s.okta.Mend()
	rotated, err := s.reg.RotateSecret(t.Context(), ada, a.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.itself(app{rotated.Application, a.id, rotated.Secret.Reveal()}).ok(t); got.json["access_token"] == first {
		t.Error("a new secret gets an old token")
	}
}

// TestATokenIsNotKept whose end is near, or not known.
func TestATokenIsNotKept(t *testing.T) {
	t.Parallel()
	s := setup{replace: caches}.site(t)
	a := s.register(confidential)
	for expires, again := range map[string]bool{"": false, `,"expires_in":0`: false, `,"expires_in":30`: false, `,"expires_in":31`: true} {
		s.clock.Advance(time.Hour)
		before := s.okta.Requests(standin.Token)
		s.okta.Break(standin.Token, standin.Fault{Body: `{"access_token":"at","token_type":"Bearer"` + expires + `}`})
		s.itself(a).ok(t)
		s.itself(a).ok(t)
		if asked := s.okta.Requests(standin.Token) - before; (asked == 1) != again {
			t.Errorf("%s: the provider was asked %d times", expires, asked)
		}
	}
}
