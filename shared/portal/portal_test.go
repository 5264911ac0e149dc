package portal_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestAPersonSignsIn(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		set    settings
		as     string
		do     func(s *site, p *person, back string) page
		status int
		text   string
		log    string
	}{
		{"whoever comes back is signed in", settings{}, "", func(_ *site, p *person, back string) page { p.get(back); return p.get("/portal/apis") }, 200, "orders", `"sub":"bob"`},
		{"an administrator is one when they say so", settings{}, "admin", func(_ *site, p *person, back string) page { p.get(back); return p.get("/portal/apis") }, 200, "administrator", `"sub":"bob"`},
		{"another browser's answer is refused", settings{}, "", func(s *site, p *person, back string) page { return s.person(p.t).get(back) }, 400, "This browser did not begin this sign-in", "did not begin"},
		{"an answer that is opened twice is refused", settings{}, "", func(_ *site, p *person, back string) page { p.get(back); return p.get(back) }, 400, "This browser did not begin this sign-in", "did not begin"},
		{"an answer without a state is refused", settings{}, "", func(_ *site, p *person, _ string) page { return p.get("/portal/callback?code=x") }, 400, "This browser did not begin this sign-in", "did not begin"},
		{"an answer with another state is refused", settings{}, "", func(_ *site, p *person, back string) page { return p.get(back + "x") }, 400, "This browser did not begin", "did not begin"},
		{"an answer after ten minutes is refused", settings{}, "", func(s *site, p *person, back string) page { s.clock.Advance(10 * time.Minute); return p.get(back) }, 400, "That took too long", "too long"},
		{"an answer of another provider is refused", settings{}, "", func(_ *site, p *person, back string) page { return p.get(back + "&iss=https://evil.example.com") }, 400, "not the provider's answer", "another provider"},
		{"a person who cancels is told so", settings{}, "", func(_ *site, p *person, back string) page {
			return p.get(strings.ReplaceAll(back, "code=", "error=access_denied&x="))
		}, 403, "The provider did not sign you in", "did not sign you in"},
		{"an administrator who is refused can sign in without that", settings{}, "admin", func(_ *site, p *person, back string) page {
			return p.get(strings.ReplaceAll(back, "code=", "error=access_denied&x="))
		}, 403, "You were not signed in as an administrator", "administrator"},
		{"a provider that is busy is named", settings{}, "", func(_ *site, p *person, back string) page {
			return p.get(strings.ReplaceAll(back, "code=", "error=temporarily_unavailable&x="))
		}, 503, "cannot sign anyone in at the moment", "did not sign you in"},
		{"an error about the portal's client is for its operator", settings{}, "", func(_ *site, p *person, back string) page {
			return p.get(strings.ReplaceAll(back, "code=", "error=%3Cscript%3E&x="))
		}, 502, "does not accept the portal's own request", "portal's client"},
		{"a code that the provider does not know is refused", settings{}, "", func(_ *site, p *person, back string) page {
			return p.get(strings.ReplaceAll(back, "code=", "code=x"))
		}, 502, "You could not be signed in", "invalid_grant"},
		{"a code that is too long is not sent", settings{}, "", func(_ *site, p *person, back string) page {
			return p.get(strings.ReplaceAll(back, "code=", "code="+strings.Repeat("x", 2048)))
		}, 502, "You could not be signed in", "no code, or a longer one"},
		{"a portal with a wrong secret signs nobody in", settings{secret: "wrong"}, "", func(_ *site, p *person, back string) page { return p.get(back) }, 502, "You could not be signed in", "invalid_client"},
		{"a provider that is down signs nobody in", settings{}, "", func(s *site, p *person, back string) page { s.down = true; return p.get(back) }, 503, "The provider does not answer", "unavailable"},
		{"a token without the scopes opens nothing", settings{scopes: "orders:read"}, "", func(_ *site, p *person, back string) page { return p.get(back) }, 403, "You have no access to this portal", "no access"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, test.set)
			p := s.person(t)
			begun := p.get("/portal/signin?as=" + test.as)
			if begun.Status != http.StatusSeeOther || !strings.HasPrefix(begun.Header["Location"], org+"/oauth2/default/v1/authorize?") {
				t.Fatalf("got %d to %q", begun.Status, begun.Header["Location"])
			}
			test.do(s, p, p.atProvider(begun.Header["Location"], "bob")).wants(t, test.status, test.text)
			if line := s.logged(); !strings.Contains(line, test.log) {
				t.Errorf("got the line %s, want %q in it", line, test.log)
			}
		})
	}
}

func TestASessionEndsWithItsToken(t *testing.T) {
	t.Parallel()
	s := newSite(t, settings{})
	p := s.signIn(t, "bob", "")
	p.get("/portal/applications").wants(t, 200, "You have no application yet")
	s.clock.Advance(time.Hour)
	got := p.get("/portal/applications?after=x")
	got.wants(t, 401, "You have been signed out")
	if !strings.Contains(got.Body, `/portal/signin?next=%2fportal%2fapplications%3fafter%3dx`) {
		t.Errorf("got %s, want a way back to the page", got.Body)
	}
	for name := range p.cookies {
		p.cookies[name] += "x"
	}
	p.get("/portal/applications").wants(t, 401, "Sign in first")
}

func TestASignInLeadsNowhereElse(t *testing.T) {
	t.Parallel()
	s := newSite(t, settings{})
	for next, want := range map[string]string{
		"/portal/audit?application=x": "/portal/audit?application=x", "": "/portal/apis", "//evil.example.com/portal/": "/portal/apis", "https://evil.example.com/portal/": "/portal/apis",
		"/register": "/portal/apis", "/portal/../register": "/portal/apis", `/\evil.example.com/portal/`: "/portal/apis", "portal/x": "/portal/apis",
		"/portal/%2e%2e/register": "/portal/apis", "/portal/" + strings.Repeat("x", 1024): "/portal/apis",
	} {
		p := s.person(t)
		begun := p.get("/portal/signin?" + url.Values{"next": {next}}.Encode())
		if got := p.get(p.atProvider(begun.Header["Location"], "bob")).Header["Location"]; got != want {
			t.Errorf("next %q: got %q, want %q", next, got, want)
		}
	}
}

func TestACookieHasRoomForEverybody(t *testing.T) {
	t.Parallel()
	s := newSite(t, settings{})
	p := s.signIn(t, "grace", "")
	for name, value := range p.cookies {
		if len(name)+len(value) > 1024 {
			t.Errorf("the cookie %s has %d bytes", name, len(value))
		}
	}
	p.get("/portal/inbox").wants(t, 200, "Nobody is waiting for you.")
}

// asked is what there is of a portal for tests of pages: one application of
// Ada's that waits, and what leads to it.
func asked(t *testing.T) (s *site, id, client string) {
	t.Helper()
	s = newSite(t, settings{})
	ada := s.signIn(t, "ada", "")
	id, client, _ = ada.application("<b>Reports</b>", "gold")
	return s, id, client
}

func TestWhoSeesWhat(t *testing.T) {
	t.Parallel()
	s, id, _ := asked(t)
	who := map[string]*person{
		"nobody": s.person(t), "bob": s.signIn(t, "bob", ""), "ada": s.signIn(t, "ada", ""), "an administrator": s.signIn(t, "bob", "admin"),
	}
	for _, test := range []struct {
		who, path string
		status    int
		text      string
	}{
		{"nobody", "", 200, "Here you ask for access to APIs"},
		{"nobody", "/apis", 401, "Sign in first"},
		{"nobody", "/nothing", 404, "There is no such page"},
		{"bob", "", 303, ""},
		{"bob", "/apis", 200, "3 routes · trial, gold"},
		{"bob", "/apis/orders", 200, "100 requests each minute, approved at once"},
		{"bob", "/apis/orders", 200, "orders:read or orders:admin"},
		{"bob", "/apis/stock", 200, "There are no tiers: an owner of the API decides about each request."},
		{"bob", "/apis/none", 404, "There is no such API"},
		{"bob", "/apis/none/request", 404, "There is no such API"},
		{"bob", "/apis/orders/request", 200, "Postman in a browser"},
		{"bob", "/apis/orders/request?with=" + id, 200, "I keep to the terms"},
		{"bob", "/applications", 200, "You have no application yet."},
		{"bob", "/applications/" + id, 404, "There is no such application among yours"},
		{"bob", "/applications/" + id + "/edit", 404, "There is no such application among yours"},
		{"bob", "/applications/" + id + "/secret", 404, "There is no such application among yours"},
		{"bob", "/applications/" + id + "/delete", 404, "There is no such application among yours"},
		{"bob", "/audit?application=" + id, 404, "There is no such application among yours"},
		{"bob", "/audit", 200, "You have no application yet."},
		{"bob", "/inbox", 200, "Nobody is waiting for you."},
		{"bob", "/providers", 403, "This page is for administrators"},
		{"bob", "/try", 200, "Send it"},
		{"bob", "/try?api=stock", 404, "That API cannot be tried"},
		{"bob", "/try?api=none", 404, "That API cannot be tried"},
		{"ada", "/applications", 200, "<b>Reports</b>"},
		{"ada", "/applications/" + id, 200, "asked for tier gold"},
		{"ada", "/audit?application=" + id, 200, "application created by ada"},
		{"ada", "/inbox", 200, "<b>Reports</b> → orders pending"},
		{"ada", "/inbox?status=nonsense", 200, "<b>Reports</b> → orders pending"},
		{"ada", "/inbox?status=revoked", 200, "There is nothing here."},
		{"ada", "/inbox?api=stock", 200, "Nobody is waiting for you."},
		{"ada", "/inbox?api=orders&after=nonsense", 400, "Cursor is not one of this list"},
		{"ada", "/providers", 403, "This page is for administrators"},
		{"an administrator", "/applications/" + id, 200, "asked for tier gold"},
		{"an administrator", "/inbox", 200, "Asked by ada"},
		{"an administrator", "/audit?application=" + id, 200, "application created by ada"},
		{"an administrator", "/providers", 200, "Its metadata can be read"},
	} {
		got := who[test.who].get("/portal" + test.path)
		if got.Status != test.status || !strings.Contains(got.text(), test.text) {
			t.Errorf("%s at %s: got %d %q, want %d with %q", test.who, test.path, got.Status, got.text(), test.status, test.text)
		}
		if strings.Contains(got.Body, "<b>Reports") {
			t.Errorf("%s at %s: the name is markup", test.who, test.path)
		}
	}
}

func TestEachPageIsForPeopleWhoHaveSignedIn(t *testing.T) {
	t.Parallel()
	s, id, client := asked(t)
	before := s.state(t, id, client)
	for path, methods := range map[string][]string{
		"/apis": {"GET"}, "/apis/orders": {"GET"}, "/apis/orders/request": {"GET", "POST"}, "/applications": {"GET"}, "/applications/" + id: {"GET"},
		"/applications/" + id + "/edit": {"GET", "POST"}, "/applications/" + id + "/secret": {"GET", "POST"}, "/applications/" + id + "/secret/previous": {"POST"},
		"/applications/" + id + "/delete": {"GET", "POST"}, "/applications/" + id + "/withdraw": {"POST"}, "/inbox": {"GET"}, "/inbox/orders": {"POST"},
		"/providers": {"GET"}, "/try": {"GET", "POST"}, "/audit": {"GET"},
	} {
		for _, method := range methods {
			got := s.person(t).send(method, "/portal"+path, url.Values{"client": {client}, "decision": {"approved"}, "api": {"orders"}})
			if got.Status != http.StatusUnauthorized {
				t.Errorf("%s %s: got %d, want 401", method, path, got.Status)
			}
		}
	}
	if after := s.state(t, id, client); after != before {
		t.Errorf("got %s, want %s", after, before)
	}
}

// state is what a form can change.
func (s *site) state(t *testing.T, id, client string) string {
	t.Helper()
	a, err := s.store.Application(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s %s %s %d", a.Name, a.State, a.SecretHMAC, s.clients()) + client
}

func TestAFormOfAnotherSiteDoesNothing(t *testing.T) {
	t.Parallel()
	s, id, client := asked(t)
	before := s.state(t, id, client)
	for name, header := range map[string]map[string]string{
		"another site's, as the browser says":  {"sec-fetch-site": "cross-site"},
		"a neighbour's, as the browser says":   {"sec-fetch-site": "same-site"},
		"another site's, by its origin":        {"origin": "https://evil.example.com"},
		"a neighbour's, by its origin":         {"origin": "https://other.gatehouse.example.com"},
		"one without an origin, in a sandbox":  {"origin": "null"},
		"one over http, which anyone can send": {"origin": "http://evil.example.com"},
	} {
		p := s.signIn(t, "ada", "")
		p.header = header
		for _, at := range []string{"/applications/" + id + "/delete", "/applications/" + id + "/secret", "/apis/orders/request", "/inbox/orders", "/signout", "/try"} {
			got := p.post("/portal"+at, request("Forged", "trial"))
			if got.Status != http.StatusForbidden || !strings.Contains(got.text(), "This form was not sent from here") || !strings.Contains(s.logged(), "cross-origin") {
				t.Errorf("%s to %s: got %d %q, log %s", name, at, got.Status, got.text(), s.logged())
			}
		}
		if len(p.cookies) != 1 {
			t.Errorf("%s: got the cookies %v, want the session", name, p.cookies)
		}
	}
	if after := s.state(t, id, client); after != before {
		t.Errorf("got %s, want %s", after, before)
	}
}

// TestWhatAPageMayDo: its own style and script, and nothing from elsewhere.
func TestWhatAPageMayDo(t *testing.T) {
	t.Parallel()
	s := newSite(t, settings{})
	for _, got := range []page{s.person(t).get("/portal"), s.person(t).get("/portal/apis"), s.signIn(t, "ada", "").get("/portal/apis/orders/request")} {
		for name, want := range map[string]string{
			"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin",
			"Content-Type": "text/html; charset=utf-8", "Access-Control-Allow-Origin": "",
		} {
			if got.Header[name] != want {
				t.Errorf("%s: got %q, want %q", name, got.Header[name], want)
			}
		}
		policy := got.Header["Content-Security-Policy"]
		for _, want := range []string{"default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("got the policy %q, want %q in it", policy, want)
			}
		}
		for _, tag := range []string{"style", "script"} {
			found := regexp.MustCompile(`(?s)<`+tag+`>(.*?)</`+tag+`>`).FindAllStringSubmatch(got.Body, -1)
			if len(found) != 1 {
				t.Fatalf("got %d of %s, want 1", len(found), tag)
			}
			sum := sha256.Sum256([]byte(found[0][1]))
			if want := tag + "-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(policy, want) {
				t.Errorf("got the policy %q, want %q in it", policy, want)
			}
		}
		if regexp.MustCompile(` on[a-z]+=| style=|javascript:|ZgotmplZ`).MatchString(got.Body) {
			t.Error("the page has what its policy forbids")
		}
	}
}

func TestTheRegistrationAnswersBesideThePortal(t *testing.T) {
	t.Parallel()
	s := newSite(t, settings{})
	p := s.signIn(t, "ada", "")
	for path, want := range map[string]int{"/openapi.json": 200, "/applications": 401, "/portals": 404, "/portal/": 404} {
		if got := p.get(path); got.Status != want {
			t.Errorf("%s: got %d, want %d", path, got.Status, want)
		}
	}
	if got := p.send(http.MethodOptions, "/portal/apis", nil); got.Status != http.StatusMethodNotAllowed || got.Header["Access-Control-Allow-Origin"] != "" {
		t.Errorf("got %d %v, want 405 and no CORS", got.Status, got.Header)
	}
}
