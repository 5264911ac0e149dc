package broker_test

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"gatehouse/shared/oauth"
	"gatehouse/shared/standin"
)

// untilCallback lets a person sign in at the provider, and returns where they are
// sent from there.
func (s *site) untilCallback(c *http.Client, q url.Values) string {
	s.t.Helper()
	a := s.get(c, issuer+"/authorize?"+q.Encode())
	if hiddenField.MatchString(a.body) {
		a = s.decide(c, a, "allow")
	}
	to, err := url.Parse(a.header.Get("Location"))
	if err != nil || a.status != http.StatusSeeOther {
		s.t.Fatalf("got %v, want a redirect to the provider", a)
	}
	back := s.signIn(c, to).header.Get("Location")
	if !strings.HasPrefix(back, issuer+"/callback?") {
		s.t.Fatalf("the provider sends people to %q", back)
	}
	return back
}

// edited returns an address with changes of its query.
func edited(t *testing.T, at string, changes ...string) string {
	t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	u.RawQuery = changed(u.Query(), changes).Encode()
	return u.String()
}

// parameter returns one of an address.
func parameter(t *testing.T, at, name string) string {
	t.Helper()
	u, err := url.Parse(at)
	if err != nil || u.Query().Get(name) == "" {
		t.Fatalf("%s has no %s: %v", at, name, err)
	}
	return u.Query().Get(name)
}

// TestO17C3StateIsOfTheBrowserThatBegan has others try it, before it and after it
// (GHSA-rww4-4w9c-7733). None of them spoils it.
func TestO17C3StateIsOfTheBrowserThatBegan(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.register(confidential)
	b := s.selfRegister(stranger())
	owner, victim, agreed := s.browser(), s.browser(), s.browser()
	at := s.untilCallback(owner, request(a))
	s.untilCallback(victim, request(a)) // which has a cookie of its own
	consent := hiddenField.FindStringSubmatch(s.get(agreed, issuer+"/authorize?"+request(b).Encode()).body)[1]

	forged, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	home := &url.URL{Scheme: "https", Host: "gatehouse.test", Path: "/"}
	for _, cookie := range owner.Jar.Cookies(home) {
		forged.SetCookies(home, []*http.Cookie{{Name: cookie.Name, Value: cookie.Value[1:] + "A", Path: "/", Secure: true}})
	}
	for _, row := range []struct {
		name string
		c    *http.Client
		at   string
		want string
	}{
		{"a browser without cookies", s.client(nil), at, "did not begin"},
		{"one with a flow of its own", victim, at, "did not begin"},
		{"one that guesses the cookie", s.client(forged), at, "did not begin"},
		{"no state", owner, edited(t, at, "state", ""), "not complete"},
		{"the state of the client", owner, edited(t, at, "state", "xyz"), "not complete"},
		{"one letter less", owner, edited(t, at, "state", parameter(t, at, "state")[1:]), "not complete"},
		{"a line break in it", owner, edited(t, at, "state", parameter(t, at, "state")+"\n"), "not complete"},
		{"what a person was asked to agree on", agreed, edited(t, at, "state", consent), "not complete"},
		{"a code in the place of it", owner, edited(t, at, "state", s.code(a)), "not complete"},
		{"two of them", owner, at + "&state=x", "twice"},
		{"two codes", owner, at + "&code=x", "twice"},
		{"a query that is none", owner, at + "&x=%", "encode"},
	} {
		s.get(row.c, row.at).page(t, http.StatusBadRequest, row.want)
	}

	got := s.get(owner, at)
	told := got.tells(t, webApp)
	if s.redeem(a, told.Get("code")).ok(t); told.Get("state") != "xyz" {
		t.Errorf("the client is told %v", told)
	}
	s.get(owner, at).page(t, http.StatusBadRequest, "did not begin") // again
}

func TestC3AStateIsGoodForTenMinutes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.register(confidential)
	for after, want := range map[time.Duration]int{10*time.Minute - time.Second: http.StatusSeeOther, 10 * time.Minute: http.StatusBadRequest} {
		c := s.browser()
		at := s.untilCallback(c, request(a))
		s.clock.Advance(after)
		if got := s.get(c, at); got.status != want {
			t.Errorf("after %v: got %v, want %d", after, got, want)
		}
	}
}

// TestO18S9AnswersOfAnotherProvider are none, though the callback is one for all
// (mix-up, RFC 9207 §2.4).
func TestO18S9AnswersOfAnotherProvider(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	oktas, plains := s.register(confidential), s.registerAt("plain", confidential, "orders")
	for _, row := range []struct {
		name    string
		a       app
		changes []string
		want    string // error; "": a code
	}{
		{"the provider's own", plains, nil, ""},
		{"no iss of one that sends it", plains, []string{"iss", ""}, oauth.AccessDenied},
		{"that of another", plains, []string{"iss", org + "/oauth2/default"}, oauth.AccessDenied},
		{"another spelling", plains, []string{"iss", "https://plain.test/"}, oauth.AccessDenied},
		{"an error of another", plains, []string{"iss", "https://evil.test", "code", "", "error", "temporarily_unavailable"}, oauth.AccessDenied},
		{"none of one that does not", oktas, nil, ""},
		{"the provider's own, though it need not", oktas, []string{"iss", org + "/oauth2/default"}, ""},
		{"another's", oktas, []string{"iss", "https://plain.test"}, oauth.AccessDenied},
		{"ours", oktas, []string{"iss", issuer}, oauth.AccessDenied},
	} {
		c := s.browser()
		got := s.get(c, edited(t, s.untilCallback(c, request(row.a)), row.changes...))
		if row.want != "" {
			got.tellsError(t, webApp, row.want)
		} else if told := got.tells(t, webApp); told.Get("code") == "" {
			t.Errorf("%s: the client is told %v", row.name, told)
		}
	}
	two := s.browser() // whoever sends iss twice
	s.get(two, s.untilCallback(two, request(plains))+"&iss=https://evil.test").page(t, http.StatusBadRequest)
}

// TestErrorsOfTheProviderAreToldInOurWords and never in its.
func TestErrorsOfTheProviderAreToldInOurWords(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.register(confidential)
	long := strings.Repeat("c", 2049)
	for _, row := range []struct {
		name    string
		changes []string
		want    string
	}{
		{"the person declined", []string{"error", "access_denied"}, oauth.AccessDenied},
		{"OpenID Connect: nobody is signed in", []string{"error", "login_required"}, oauth.AccessDenied},
		{"OpenID Connect: it has to ask", []string{"error", "consent_required"}, oauth.AccessDenied},
		{"it is busy", []string{"error", "temporarily_unavailable"}, oauth.TemporarilyUnavailable},
		{"a scope", []string{"error", "invalid_scope"}, oauth.InvalidScope},
		{"a resource", []string{"error", "invalid_target"}, oauth.InvalidTarget},
		{"the client", []string{"error", "unauthorized_client"}, oauth.UnauthorizedClient},
		{"its own fault", []string{"error", "server_error"}, oauth.ServerError},
		{"our fault", []string{"error", "invalid_request"}, oauth.ServerError},
		{"what nobody knows", []string{"error", "MARK<script>"}, oauth.ServerError},
		{"an error and a code", []string{"error", "access_denied", "code", "c"}, oauth.AccessDenied},
		{"neither", nil, oauth.ServerError},
		{"a code that is longer than any", []string{"code", long}, oauth.ServerError},
	} {
		c := s.browser()
		at := edited(t, s.untilCallback(c, request(a)), append([]string{"code", "", "error_description", "MARK", "error_uri", "https://MARK.test"}, row.changes...)...)
		got := s.get(c, at)
		if got.tellsError(t, webApp, row.want); t.Failed() || strings.Contains(got.String(), "MARK") {
			t.Fatalf("%s: got %v", row.name, got)
		}
	}
	c := s.browser()
	at := s.untilCallback(c, request(a))
	if got := s.get(c, edited(t, at, "code", long[1:])).tells(t, webApp); got.Get("code") == "" {
		t.Errorf("the client is told %v, want a code of 2,048 bytes taken", got)
	}
}

func TestAPersonWhoCancelsAtTheProvider(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.register(confidential)
	c := s.browser()
	to, err := url.Parse(s.get(c, issuer+"/authorize?"+request(a).Encode()).header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	r := s.formRequest("", form("action", "cancel"))
	r.URL, r.Host = to, to.Host
	s.get(c, s.do(c, r).header.Get("Location")).tellsError(t, webApp, oauth.AccessDenied)
}

func TestTheApplicationIsRemovedMeanwhile(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.register(confidential)
	c := s.browser()
	at := s.untilCallback(c, request(a))
	code := s.code(a)
	if err := s.reg.Delete(t.Context(), ada, a.ID); err != nil {
		t.Fatal(err)
	}
	s.get(c, at).page(t, http.StatusBadRequest, "removed in the meantime")
	s.redeem(a, code).refused(t, http.StatusUnauthorized, oauth.InvalidClient)
}

// TestMetadataThatCannotBeHadAtTheCallback leave open whether iss is missing.
func TestMetadataThatCannotBeHadAtTheCallback(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.register(confidential)
	c := s.browser()
	at := s.untilCallback(c, request(a))
	s.okta.Break(standin.Metadata, standin.Fault{Status: http.StatusInternalServerError})
	s.get(c, at).tellsError(t, webApp, oauth.TemporarilyUnavailable)
}
