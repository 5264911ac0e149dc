package broker_test

import (
	"html"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/shared/oauth"
)

// TestC3O5NobodyIsSentToTheProviderUnasked who comes with a client that nobody
// vouches for; and everybody who comes with one that has an owner.
func TestC3O5NobodyIsSentToTheProviderUnasked(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	owned, unknown := s.register(confidential), s.selfRegister(stranger("client_name", "Weather", "scope", "orders:read"))
	if got := s.ask(request(owned)); !strings.HasPrefix(got.header.Get("Location"), org) {
		t.Errorf("got %v, want a redirect to the provider", got)
	}
	c := s.browser()
	for range 2 { // each time
		page := s.get(c, issuer+"/authorize?"+request(unknown, "resource", "https://api.test/orders").Encode())
		page.page(t, http.StatusOK, "It calls itself</dt><dd>Weather</dd>", "You will be sent to</dt><dd><strong>app.test</strong>", "<code>orders:read</code>",
			"It wants to use</dt><dd>orders</dd>", `action="`+issuer+`/authorize/consent"`)
		if cookies := page.header.Values("Set-Cookie"); len(cookies) != 1 || !strings.HasPrefix(cookies[0], "__Host-gatehouse-consent-") {
			t.Errorf("got %v, want the cookie of this page and none for the provider's answer", cookies)
		}
		allowed := s.decide(c, page, "allow")
		if allowed.status != http.StatusSeeOther || !strings.HasPrefix(allowed.header.Get("Location"), org) { // O5: no 307
			t.Fatalf("got %v, want 303 to the provider", allowed)
		}
		if _, told := s.follow(c, allowed); told == nil || s.redeem(unknown, told.Query().Get("code")).ok(t).json["scope"] != "orders:read" {
			t.Errorf("the client is told %v", told)
		}
	}
}

// TestC3Cookies are of this host alone, by TLS alone, of no script, and stay away
// when a page of elsewhere posts.
func TestC3Cookies(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	page := s.ask(request(s.selfRegister(stranger())))
	to := s.ask(request(s.register(confidential)))
	for purpose, got := range map[string]answer{"consent": page, "state": to} {
		cookies := (&http.Response{Header: got.header}).Cookies()
		if len(cookies) != 1 {
			t.Fatalf("%s: got %v", purpose, got)
		}
		c := cookies[0]
		if !strings.HasPrefix(c.Name, "__Host-gatehouse-"+purpose+"-") || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" ||
			c.Domain != "" || c.MaxAge != 600 || len(c.Value) < 43 || strings.Contains(got.body+got.header.Get("Location"), c.Value) {
			t.Errorf("%s: got %v", purpose, c)
		}
	}
}

func TestC3APersonMaySayNo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, c := s.selfRegister(stranger()), s.browser()
	page := s.get(c, issuer+"/authorize?"+request(a).Encode())
	s.decide(c, page, "deny").tellsError(t, webApp, oauth.AccessDenied)
	s.decide(c, page, "allow").page(t, http.StatusBadRequest, "did not begin") // thought better of it
	if s.okta.Requests("/oauth2/default/v1/authorize") != 0 {
		t.Error("somebody was sent to the provider")
	}
}

// TestC3O17ConsentIsOfTheBrowserThatWasAsked refuses what a page of elsewhere
// posts, to which browsers give no cookie.
func TestC3O17ConsentIsOfTheBrowserThatWasAsked(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.selfRegister(stranger())
	mine, other, owner := s.browser(), s.browser(), s.browser()
	page := s.get(mine, issuer+"/authorize?"+request(a).Encode())
	elsewhere := s.get(other, issuer+"/authorize?"+request(a).Encode())
	sealed := html.UnescapeString(hiddenField.FindStringSubmatch(page.body)[1])
	state := parameter(t, s.untilCallback(owner, request(s.register(confidential))), "state")
	post := func(c *http.Client, pairs ...string) answer {
		return s.do(c, s.formRequest("/authorize/consent", form(pairs...)))
	}
	for name, got := range map[string]answer{
		"no cookie":                  s.decide(s.client(nil), page, "allow"),
		"the cookie of another page": s.decide(other, page, "allow"),
		"another page's request":     s.decide(mine, elsewhere, "allow"),
		"no request":                 post(mine, "decision", "allow"),
		"a request that was changed": post(mine, "decision", "allow", "request", sealed[:len(sealed)-4]+"AAAA"),
		"a state in the place of it": post(owner, "decision", "allow", "request", state),
		"a decision twice":           post(mine, "decision", "allow", "decision", "deny", "request", sealed),
		"JSON":                       s.do(mine, s.typed("/authorize/consent", "application/json", `{"decision":"allow"}`)),
		"more than anyone needs":     post(mine, "decision", "allow", "request", strings.Repeat("x", 32<<10)),
	} {
		want := http.StatusBadRequest
		if strings.HasPrefix(name, "more") {
			want = http.StatusRequestEntityTooLarge
		}
		if got.page(t, want); t.Failed() {
			t.Fatal(name)
		}
	}
	allowed := s.decide(mine, page, "allow")
	if !strings.HasPrefix(allowed.header.Get("Location"), org) {
		t.Fatalf("got %v, want the owner let through", allowed)
	}
	s.decide(mine, page, "allow").page(t, http.StatusBadRequest, "did not begin") // twice

	s.decide(other, elsewhere, "perhaps").page(t, http.StatusBadRequest, "without a decision")
}

func TestC3ConsentIsGoodForTenMinutes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.selfRegister(stranger())
	for after, want := range map[time.Duration]int{10*time.Minute - time.Second: http.StatusSeeOther, 10 * time.Minute: http.StatusBadRequest} {
		c := s.browser()
		page := s.get(c, issuer+"/authorize?"+request(a).Encode())
		s.clock.Advance(after)
		if got := s.decide(c, page, "allow"); got.status != want {
			t.Errorf("after %v: got %v, want %d", after, got, want)
		}
	}
}

// TestConsentWhenTheProviderIsDown tells the client, for the form is used up.
func TestConsentWhenTheProviderIsDown(t *testing.T) {
	t.Parallel()
	s := setup{replace: []string{"dynamic: {provider: okta", "dynamic: {provider: plain"}}.site(t)
	a := s.selfRegisterAt("plain", stranger())
	c := s.browser()
	page := s.get(c, issuer+"/authorize?"+request(a).Encode())
	s.net.set("plain.test", nil)
	s.decide(c, page, "allow").tellsError(t, webApp, oauth.TemporarilyUnavailable)
}
