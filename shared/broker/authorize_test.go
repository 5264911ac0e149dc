package broker_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"gatehouse/shared/oauth"
	"gatehouse/shared/registration"
	"gatehouse/shared/registry"
	"gatehouse/shared/standin"
)

const (
	scheme   = "com.example.app:/cb"
	loopback = "http://[::1]/cb"
)

// hostile are redirect URIs that no client is registered with.
var hostile = []string{
	// For a client at https://app.test/cb.
	"javascript:alert(1)", "JaVaScRiPt:alert(1)", " javascript:alert(1)", "\tjavascript:alert(1)", "\x00javascript:alert(1)", "java\tscript:alert(1)",
	"java\nscript:alert(1)", "java\u200bscript:alert(1)", "javascript://app.test/cb", "javascript://app.test/cb?%0aalert(1)", "data:text/html,<script>alert(1)</script>",
	"DATA:text/html;base64,PHNjcmlwdD4=", "vbscript:msgbox(1)", "file:///etc/passwd", "blob:https://app.test/cb", "about:blank", "intent://app.test/cb",
	"view-source:https://app.test/cb", "mailto:eve@evil.test", "urn:ietf:wg:oauth:2.0:oob", "*", "%", "/cb", "//app.test/cb", "app.test/cb", "https:app.test/cb",
	"https:/app.test/cb", "https:///cb", `https:\\app.test\cb`, `https://evil.test\@app.test/cb`, `https://app.test\cb`, `https://app.test/cb\`, "http://app.test/cb",
	"HTTPS://app.test/cb", "https://APP.test/cb", "https://app.test/CB", "https://app.test/cb/", "https://app.test/cb/../x", "https://app.test/./cb",
	"https://app.test/x/../cb", "https://app.test//cb", "https://app.test/cb?", "https://app.test/cb?x=1", "https://app.test/cb;x", "https://app.test/cb#",
	"https://app.test/cb#x", "https://app.test/c", "https://app.test/cbx", "https://app.test", "https://app.test/", "https://app.test/cb%00", "https://app.test/cb\x00",
	"https://app.test/%63b", "https://app.test/cb%2f..%2fx", "https://app.test:443/cb", "https://app.test:8443/cb", "https://app.test:/cb", "https://eve@app.test/cb",
	"https://@app.test/cb", "https://app.test@evil.test/cb", "https://app.test:x@evil.test/cb", "https://app.test.evil.test/cb", "https://evil-app.test/cb",
	"https://evil.test/https://app.test/cb", "https://evil.test?https://app.test/cb", "https://evil.test#https://app.test/cb", "https://app.test./cb",
	"https://x.app.test/cb", "https://\u0430pp.test/cb", "https://xn--pp-6kc.test/cb", "https://app.test\u3002evil.test/cb", "https://app\u3002test/cb",
	"https://app.test\u2044cb", " https://app.test/cb", "https://app.test/cb ", "https://app.test/cb\r\nSet-Cookie: a=b", "https://app.test/cb,https://evil.test",
	"https://app.test/cb https://evil.test", "https://%61pp.test/cb", "https://app.test/cb\u202e", "http://127.0.0.1/cb", scheme,

	// For one at loopback addresses and com.example.app:/cb (RFC 8252).
	"http://127.0.0.1:0/cb", "http://127.0.0.1:65536/cb", "http://127.0.0.1:080/cb", "http://127.0.0.1:/cb", "http://127.0.0.1:-1/cb", "http://127.0.0.1:1e3/cb",
	"http://127.0.0.1:80@evil.test/cb", "http://127.0.0.1@evil.test/cb", "http://127.0.0.1.evil.test/cb", "http://127.0.0.1:1234", "http://127.0.0.1:1234/",
	"http://127.0.0.1:1234/cb/", "http://127.0.0.1:1234/cb?x", "http://127.0.0.1:1234/cb#x", "http://127.0.0.1:1234/CB", `http://127.0.0.1:1234\@evil.test/cb`,
	"https://127.0.0.1:1234/cb", "HTTP://127.0.0.1:1234/cb", "http://localhost/cb", "http://localhost:1234/cb", "http://127.0.0.2/cb", "http://127.1/cb",
	"http://2130706433/cb", "http://0x7f000001/cb", "http://0177.0.0.1/cb", "http://0.0.0.0/cb", "http://[::ffff:127.0.0.1]/cb", "http://[0:0:0:0:0:0:0:1]/cb",
	"http://[::1%25lo]/cb", "http://[::2]/cb", "http://[::1]:1234/x", "http://[::1]evil.test/cb", "com.example.app://cb", "com.example.app:/cb/x", "com.example.app:/cb?x",
	"com.example.app:cb", "COM.example.app:/cb", "com.example.app.evil:/cb", "com.example:/cb",
}

// nativeApp is an app of a device.
var nativeApp = registration.Metadata{RedirectURIs: []string{native, loopback, scheme}, GrantTypes: everyGrant[:2], AuthMethod: oauth.PublicClient}

// TestO1O2O3C2HostileRedirectURIsLeadNowhere tries each of them for every kind of
// client, with a request that is good otherwise and with one that is not.
func TestO1O2O3C2HostileRedirectURIsLeadNowhere(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.publish(stranger())
	for _, a := range []app{s.register(confidential), s.register(nativeApp), s.selfRegister(stranger()), {id: document}} {
		for _, uri := range hostile {
			if slices.Contains(a.RedirectURIs, uri) || len(a.RedirectURIs) == 3 && uri == "http://127.0.0.1/cb" {
				continue
			}
			for _, changes := range [][]string{{}, {"response_type", "token"}, {"code_challenge", ""}} {
				got := s.ask(request(a, append(changes, "redirect_uri", uri)...))
				if got.page(t, http.StatusBadRequest); t.Failed() || got.header.Get("Set-Cookie") != "" || strings.Contains(got.body, "href") {
					t.Fatalf("%q of %v with %v: got %v", uri, a.RedirectURIs, changes, got)
				}
			}
		}
	}
	if len(hostile) < 40 || s.okta.Requests("/oauth2/default/v1/authorize") != 0 {
		t.Error("somebody was sent to the provider")
	}
}

func TestO2WhoeverCannotBeToldIsShownAPage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, gone, several := s.register(confidential), s.register(confidential), s.register(nativeApp)
	if err := s.reg.Delete(t.Context(), ada, gone.ID); err != nil {
		t.Fatal(err)
	}
	going, twice := s.register(confidential), s.register(confidential)
	s.okta.Break(standin.Clients, standin.Fault{Status: http.StatusInternalServerError})
	if err := s.reg.Delete(t.Context(), ada, going.ID); err == nil {
		t.Fatal("the client is deleted at a provider that does not answer")
	}
	other := twice.Application
	other.ID, other.Provider, other.Version = registry.NewID(), "plain", 0
	s.record(registry.Create, other)
	for _, row := range []struct{ name, query, want string }{
		{"no client", request(a, "client_id", "").Encode(), "client_id"},
		{"an unknown client", request(a, "client_id", "0oaNobody").Encode(), "client_id"},
		{"one that is longer than any", request(a, "client_id", strings.Repeat("x", 20<<10)).Encode(), "client_id"},
		{"one that is not UTF-8", request(a, "client_id", "\xff\xfe").Encode(), "client_id"},
		{"one that was deleted", request(gone).Encode(), "client_id"},
		{"one that is being deleted", request(going).Encode(), "client_id"},
		{"one that two providers have", request(twice).Encode(), "client_id"},
		{"no redirect URI of several", request(several, "redirect_uri", "").Encode(), "redirect_uri"},
		{"two clients", request(a).Encode() + "&client_id=" + a.id, "twice"},
		{"two redirect URIs", request(a).Encode() + "&redirect_uri=https://evil.test", "twice"},
		{"two states", request(a).Encode() + "&state=abc", "twice"},
		{"a query that is none", request(a).Encode() + "&x=%zz", "encode"},
		{"a semicolon", request(a).Encode() + ";x=1", "encode"},
		{"more than anyone needs", request(a).Encode() + "&x=" + strings.Repeat("x", 32<<10), "32 KiB"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := s.in(t)
			s.get(s.client(nil), issuer+"/authorize?"+row.query).page(t, http.StatusBadRequest, row.want)
		})
	}
}

// TestO1LoopbackPortsAreFree has the ports vary that a system gives (RFC 8252
// §7.3), and nothing else.
func TestO1LoopbackPortsAreFree(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.register(nativeApp)
	for _, uri := range []string{native, "http://127.0.0.1:1/cb", "http://127.0.0.1:65535/cb", loopback, "http://[::1]:8080/cb", scheme} {
		told := s.authorize(request(a, "redirect_uri", uri))
		if got := s.redeem(a, told.Get("code"), "redirect_uri", uri); got.status != http.StatusOK {
			t.Errorf("%s: got %v", uri, got)
		}
	}
}

// badRequests are authorization requests that a client is told the fault of.
var badRequests = []struct {
	name    string
	changes []string
	want    string
}{
	{"K2 the method plain", []string{"code_challenge_method", "plain"}, oauth.InvalidRequest},
	{"K2 no method, which means plain", []string{"code_challenge_method", ""}, oauth.InvalidRequest},
	{"K2 an unknown method", []string{"code_challenge_method", "S512"}, oauth.InvalidRequest},
	{"K2 the method in lower case", []string{"code_challenge_method", "s256"}, oauth.InvalidRequest},
	{"K3 no challenge and no method", []string{"code_challenge", "", "code_challenge_method", ""}, oauth.InvalidRequest},
	{"K3 a method without a challenge", []string{"code_challenge", ""}, oauth.InvalidRequest},
	{"K1 a challenge that is too short", []string{"code_challenge", oauth.Challenge(verifier)[:42]}, oauth.InvalidRequest},
	{"K1 one that is too long", []string{"code_challenge", oauth.Challenge(verifier) + "A"}, oauth.InvalidRequest},
	{"K1 one with padding", []string{"code_challenge", oauth.Challenge(verifier) + "="}, oauth.InvalidRequest},
	{"K1 one of another alphabet", []string{"code_challenge", strings.Repeat("+", 43)}, oauth.InvalidRequest},
	{"K1 one with bits to spare", []string{"code_challenge", strings.Repeat("_", 43)}, oauth.InvalidRequest},
	{"no response_type", []string{"response_type", ""}, oauth.InvalidRequest},
	{"O9 the implicit grant", []string{"response_type", "token"}, oauth.UnsupportedResponseType},
	{"O9 the implicit grant of OpenID Connect", []string{"response_type", "id_token"}, oauth.UnsupportedResponseType},
	{"O9 the hybrid flow", []string{"response_type", "code token"}, oauth.UnsupportedResponseType},
	{"an answer in the fragment", []string{"response_mode", "fragment"}, oauth.InvalidRequest},
	{"an answer that is posted", []string{"response_mode", "form_post"}, oauth.InvalidRequest},
	{"a request object", []string{"request", "eyJhbGciOiJub25lIn0.e30."}, oauth.InvalidRequest},
	{"a request object elsewhere", []string{"request_uri", "http://169.254.169.254/"}, oauth.InvalidRequest},
	{"a scope that no API has", []string{"scope", "orders:read everything"}, oauth.InvalidScope},
	{"nothing but what a person is", []string{"scope", "openid profile offline_access"}, oauth.InvalidScope},
	{"one that the client is not registered for", []string{"scope", "orders:admin"}, oauth.InvalidScope},
	{"one that is none", []string{"scope", "\"\x00"}, oauth.InvalidScope},
	{"N1 an unknown resource", []string{"resource", "https://other.test/"}, oauth.InvalidTarget},
	{"N1 a resource with a fragment", []string{"resource", "https://api.test/orders#x"}, oauth.InvalidTarget},
	{"N1 a relative one", []string{"resource", "/orders"}, oauth.InvalidTarget},
	{"N2 one that begins alike", []string{"resource", "https://api.test/orders-evil"}, oauth.InvalidTarget},
	{"N2 one below it", []string{"resource", "https://api.test/orders/x"}, oauth.InvalidTarget},
	{"a resource without a contract", []string{"resource", "https://api.test/stock"}, oauth.AccessDenied},
}

// TestK1K2K3O9N1N2S9TheClientIsToldWhatIsWrong if the application has an owner; if
// nobody vouches for it, a person is, and decides (RFC 9700 §4.11.2).
func TestK1K2K3O9N1N2S9TheClientIsToldWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, unknown := s.register(confidential), s.selfRegister(stranger("scope", "orders:read orders:write"))
	for _, row := range badRequests {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := s.in(t)
			s.ask(request(a, row.changes...)).tellsError(t, webApp, row.want)

			page := s.ask(request(unknown, row.changes...))
			page.page(t, http.StatusBadRequest, row.want, `href="`+webApp+`?error=`+row.want, "Return to app.test", "nobody here has checked")
		})
	}
	if s.okta.Requests("/oauth2/default/v1/authorize") != 0 {
		t.Error("somebody was sent to the provider")
	}
}

func TestO7AClientThatMayNotHaveCodes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.registerAt("plain", registration.Metadata{RedirectURIs: []string{webApp}, GrantTypes: everyGrant[2:], Scope: "orders:read"}, "orders")
	s.ask(request(a)).tellsError(t, webApp, oauth.UnauthorizedClient)
}

func TestALongStateIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.register(confidential)
	if told := s.ask(request(a, "state", strings.Repeat("s", 1025))).tells(t, webApp); told.Get("error") != oauth.InvalidRequest {
		t.Errorf("the client is told %v", told)
	}
	long := strings.Repeat("\u00fc\"<&\x01", 146)
	if told := s.authorize(request(a, "state", long)); told.Get("state") != long || told.Get("code") == "" {
		t.Errorf("the client is told %v, want its state", told)
	}
}

// TestAContractIsNeeded tells a client where to ask for one.
func TestAContractIsNeeded(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, b := s.registerAt("okta", all, "stock"), s.registerAt("okta", all, "stock")
	for _, row := range []struct {
		name   string
		a      app
		api    string
		status registry.Status
		want   string
	}{
		{"there is none", a, "orders", "", "POST " + issuer + "/applications/{id}/contracts"},
		{"it is not decided", a, "stock", "", "PATCH " + issuer + "/apis/stock/contracts/{client_id}"},
		{"it was granted", a, "stock", registry.Approved, ""},
		{"it was revoked", a, "stock", registry.Revoked, "revoked"},
		{"it was rejected", b, "stock", registry.Rejected, "rejected"},
	} {
		if row.status != "" {
			s.contract(row.a, row.api, row.status)
		}
		got := s.ask(request(row.a, "resource", "https://api.test/"+row.api))
		if row.want == "" {
			if got.status != http.StatusSeeOther || !strings.HasPrefix(got.header.Get("Location"), org) {
				t.Errorf("%s: got %v", row.name, got)
			}
			continue
		}
		got.tellsError(t, webApp, oauth.AccessDenied)
		if text := got.tells(t, webApp).Get("error_description"); !strings.Contains(text, row.want) {
			t.Errorf("%s: got %q", row.name, text)
		}
	}
}

// TestN1N2TheProviderIsToldOfTheResource as it bears it, and as the API calls
// itself, whatever way the client writes it.
func TestN1N2TheProviderIsToldOfTheResource(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	atOkta, atPlain := s.register(confidential), s.registerAt("plain", confidential, "orders")
	for _, row := range []struct {
		a             app
		asked         string
		want, atToken []string
	}{
		{atPlain, "https://api.test/orders", []string{"https://api.test/orders"}, nil},
		{atPlain, "HTTPS://API.Test/orders", []string{"https://api.test/orders"}, nil},
		{atPlain, "", nil, nil},
		{atOkta, "https://api.test/orders", nil, nil}, // which does not know the parameter
	} {
		got := s.ask(request(row.a, "resource", row.asked))
		to, err := url.Parse(got.header.Get("Location"))
		if err != nil || !slices.Equal(to.Query()["resource"], row.want) {
			t.Errorf("%s: got %v, want %v", row.asked, got, row.want)
		}
		s.tokens(row.a, "resource", row.asked)
		path := map[string]string{"okta": "/oauth2/default/v1/token", "plain": "/token"}[row.a.Provider]
		all := s.net.exchanges(to.Host, path)
		if last := all[len(all)-1]; !slices.Equal(last.form["resource"], row.want) {
			t.Errorf("%s: the token endpoint got %v, want %v", row.asked, last.form, row.want)
		}
	}
}

// TestK6BothLegsHaveTheirOwnPKCE looks at all that the provider, the browser and
// the client see.
func TestK6BothLegsHaveTheirOwnPKCE(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.register(confidential)
	seen := map[string]bool{oauth.Challenge(verifier): true, verifier: true}
	for range 2 {
		s.tokens(a)
	}
	upstream := s.net.exchanges("okta.test", "/oauth2/default/v1/token")
	for n, e := range s.net.exchanges("okta.test", "/oauth2/default/v1/authorize") {
		q := e.URL.Query()
		if challenge := q.Get("code_challenge"); n%2 == 0 && seen[challenge] || q.Get("code_challenge_method") != "S256" || q.Get("state") == "xyz" {
			t.Errorf("the provider sees %v", q)
		}
		seen[q.Get("code_challenge")] = true
	}
	for _, e := range upstream {
		secret := e.form.Get("code_verifier")
		if seen[secret] || !seen[oauth.Challenge(secret)] || len(secret) < 43 {
			t.Errorf("the provider sees %v", e.form)
		}
		seen[secret] = true
		for _, other := range s.net.exchanges("", "") {
			if other.Request != e.Request && strings.Contains(other.URL.String()+other.body+other.answer.String(), secret) {
				t.Errorf("the verifier leaves in %s", other.URL.Path)
			}
		}
	}
	if len(upstream) != 2 {
		t.Errorf("got %d token requests, want 2", len(upstream))
	}
}

// TestS9EveryAnswerSaysWhoseItIs exactly once, as the metadata do (RFC 9207).
func TestS9EveryAnswerSaysWhoseItIs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	if s.metadata()["issuer"] != issuer {
		t.Fatal("the metadata have another issuer")
	}
	a, query := s.register(confidential), webApp+"?tenant=1"
	b := s.register(registration.Metadata{RedirectURIs: []string{query}, GrantTypes: everyGrant[:2], Scope: "orders:read"})
	for name, told := range map[string]url.Values{
		"a code":                     s.authorize(request(a)),
		"a refusal":                  s.ask(request(a, "response_type", "token")).tells(t, webApp),
		"a code without a state":     s.authorize(request(a, "state", "")),
		"a code to a URI with query": s.authorize(request(b)),
	} {
		if len(told["iss"]) != 1 || told.Get("iss") != issuer || told.Has("code") == told.Has("error") || len(told["state"]) > 1 {
			t.Errorf("%s: the client is told %v", name, told)
		}
	}
	if told := s.authorize(request(b)); told.Get("tenant") != "1" {
		t.Errorf("the client is told %v, want its own query, too", told)
	}
}

func TestWhatMayBeLeftOut(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.register(confidential)
	for _, row := range []struct {
		name    string
		changes []string
		want    string
	}{
		{"all", []string{"redirect_uri", "", "state", "", "scope", ""}, "orders:read orders:write"},
		{"parameters without a value", []string{"response_mode", "query"}, "orders:read orders:write"},
		{"a part of the scopes", []string{"scope", "orders:read orders:read"}, "orders:read"},
		{"scopes of OpenID Connect, which are ignored", []string{"scope", "openid profile email offline_access orders:read"}, "orders:read"},
		{"offline_access, which is for those who are registered for it", []string{"scope", "offline_access"}, "orders:read orders:write"},
		{"what nobody knows", []string{"nonce", "n", "prompt", "none", "claims", "{}"}, "orders:read orders:write"},
	} {
		if got := s.tokens(a, row.changes...); got["scope"] != row.want {
			t.Errorf("%s: got %v", row.name, got)
		}
	}
}

// TestTheProviderMustKnowOurCallback of an application that was registered
// before there was a broker, or a new address of it.
func TestTheProviderMustKnowOurCallback(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.register(confidential)
	s.PublicURL = "https://elsewhere.test"
	got := s.ask(request(a))
	if to := got.header.Get("Location"); !strings.HasPrefix(to, webApp+"?error=") || !strings.Contains(to, "server_error") || !strings.Contains(to, "iss=https%3A%2F%2Felsewhere.test") {
		t.Errorf("got %v", got)
	}
}

// TestWhenTheProviderIsDownTheClientIsTold, and never sees an error of ours.
func TestWhenTheProviderIsDownTheClientIsTold(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.registerAt("plain", confidential, "orders")
	s.net.set("plain.test", nil)
	s.ask(request(a)).tellsError(t, webApp, oauth.TemporarilyUnavailable)
}
