package broker_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/shared/fetch"
	"gatehouse/shared/oauth"
	"gatehouse/shared/registration"
	"gatehouse/shared/registry"
	"gatehouse/shared/standin"
)

// documentApp is the client that publishes a document.
var documentApp = app{Application: registry.Application{AuthMethod: oauth.PublicClient, RedirectURIs: []string{webApp}}, id: document}

// served has the host of the document answer so.
func (s *site) served(status int, header, body string) {
	s.net.set("client.test", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		name, value, _ := strings.Cut(header, ": ")
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set(name, value)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
}

// fetches is how often the document was asked for.
func (s *site) fetches() int { return len(s.net.exchanges("client.test", "")) }

// TestCI3CI5ADocumentIsEnough takes a client that nobody has registered from its
// first request to its last.
func TestCI3CI5ADocumentIsEnough(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.publish(stranger("client_name", "Weather", "scope", "orders:read unknown"))
	c := s.browser()
	page := s.get(c, issuer+"/authorize?"+request(documentApp).Encode())
	page.page(t, http.StatusOK, "It belongs to</dt><dd><strong>client.test</strong>", "<dd>Weather</dd>", "orders:read")
	_, told := s.follow(c, s.decide(c, page, "allow"))
	if told == nil || told.Query().Get("state") != "xyz" {
		t.Fatalf("the client is told %v", told)
	}
	got := s.redeem(documentApp, told.Query().Get("code")).ok(t).json
	next := s.works(documentApp, got["refresh_token"])
	s.introspect(documentApp, next["access_token"]).refused(t, http.StatusUnauthorized, oauth.InvalidClient)
	if got := s.revoke(documentApp, next["refresh_token"]); got.status != http.StatusOK {
		t.Errorf("got %v", got)
	}
	s.refresh(documentApp, next["refresh_token"]).refused(t, http.StatusBadRequest, oauth.InvalidGrant)

	a, err := s.Store.ApplicationByAlias(t.Context(), document)
	if err != nil || a.Kind != registry.Dynamic || s.okta.Requests("/oauth2/v1/clients") != 1 {
		t.Errorf("got %+v, %v, want one client at the provider", a, err)
	}
	upstream := s.okta.Registered("Weather")
	if len(upstream) != 1 || !slices.Equal(upstream[0].RedirectURIs, []string{issuer + "/callback"}) {
		t.Errorf("the provider knows %v, want our callback alone", upstream)
	}
	// By the provider's name for it, it is the same client, and has none of the codes.
	s.redeem(app{Application: a, id: a.ClientID}, s.code(documentApp)).refused(t, http.StatusBadRequest, oauth.InvalidGrant)
}

// TestInstallationsAreApart revokes what one person granted, and no more.
func TestInstallationsAreApart(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.publish(stranger())
	one, other := s.tokens(documentApp), s.tokens(documentApp)
	s.revoke(documentApp, one["refresh_token"])
	s.works(documentApp, other["refresh_token"])
}

func TestCI1WhatIsNoAddressOfADocument(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.publish(stranger())
	for _, id := range []string{
		"http://client.test/metadata.json", "https://client.test", "https://client.test/", "https://client.test/./metadata.json", "https://client.test/x/../metadata.json",
		"https://client.test/%2e%2e/metadata.json", document + "#x", document + "?x", "https://eve@client.test/metadata.json", "HTTPS://client.test/metadata.json",
		"https://CLIENT.test/metadata.json", "https://client.test:443/metadata.json", `https://client.test\metadata.json`, document + "\x00", "https://",
		"https://[::1]/metadata.json", "https://client.test/" + strings.Repeat("x", 2048), "https://clie\u0578t.test/metadata.json",
	} {
		if s.ask(request(documentApp, "client_id", id)).page(t, http.StatusBadRequest); t.Failed() {
			t.Fatal(id)
		}
	}
	if s.fetches() != 0 {
		t.Errorf("asked %d times", s.fetches())
	}
}

// TestCI2CI3CI6DocumentsThatAreNotTaken are shown to a person, register nobody and
// are told apart in the log from clients that are unknown.
func TestCI2CI3CI6DocumentsThatAreNotTaken(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	log := s.logged(false)
	doc := func(members string) string {
		return `{"client_id":"` + document + `","redirect_uris":["` + webApp + `"]` + members + `}`
	}
	const invalid, unavailable = "the client metadata document is invalid", "the client metadata document cannot be had"
	for n, row := range []struct {
		name         string
		status       int
		header, body string
		cause        string
	}{
		{"CI2 there is none", 404, "", doc(""), unavailable},
		{"CI2 created", 201, "", doc(""), unavailable},
		{"CI2 an error", 500, "", doc(""), unavailable},
		{"CI2 a redirect", 302, "Location: https://client.test/other", "", unavailable},
		{"CI2 a redirect inside", 307, "Location: http://169.254.169.254/latest", "", unavailable},
		{"CI2 a page", 200, "Content-Type: text/html", doc(""), unavailable},
		{"CI2 more than 5 KiB", 200, "", doc(`,"x":"` + strings.Repeat("x", 5<<10) + `"`), unavailable},
		{"no JSON", 200, "", "MARK", invalid},
		{"two documents", 200, "", doc("") + doc(""), invalid},
		{"CI3 of another client", 200, "", strings.Replace(doc(""), "client.test", "CLIENT.test", 1), invalid},
		{"CI3 no redirect URIs", 200, "", `{"client_id":"` + document + `"}`, invalid},
		{"CI3 a redirect URI that no client may have", 200, "", doc(`,"redirect_uris":["javascript:alert(1)"]`), invalid},
		{"CI3 a secret", 200, "", doc(`,"client_secret":"MARK"`), invalid},
		{"CI3 an end of a secret", 200, "", doc(`,"client_secret_expires_at":0`), invalid},
		{"CI3 a method with a secret", 200, "", doc(`,"token_endpoint_auth_method":"client_secret_post"`), invalid},
		{"O18 O19 a method by assertions", 200, "", doc(`,"token_endpoint_auth_method":"private_key_jwt"`), invalid},
		{"CI3 a private key", 200, "", doc(`,"jwks":{"keys":[{"kty":"OKP","d":"MARK"}]}`), invalid},
		{"the implicit grant alone", 200, "", doc(`,"grant_types":["implicit"]`), invalid},
	} {
		id := fmt.Sprintf("https://client.test/%d", n)
		s.served(row.status, row.header, strings.ReplaceAll(row.body, document, id))
		got := s.ask(request(documentApp, "client_id", id))
		got.page(t, http.StatusBadRequest, "could not be read, or is not valid", oauth.InvalidClient)
		if lines := log.take(); !strings.Contains(lines, row.cause) || strings.Contains(lines+got.body, "MARK") {
			t.Errorf("%s: the log says %s", row.name, lines)
		}
	}
	s.ask(request(documentApp, "client_id", "nobody")).page(t, http.StatusBadRequest)
	if lines := log.take(); !strings.Contains(lines, "no such application") || s.okta.Requests(standin.Clients) != 0 {
		t.Errorf("the log says %s", lines)
	}
	// At the token endpoint, nobody is asked for: who has not signed in has no code.
	before := s.fetches()
	s.redeem(documentApp, "x").refused(t, http.StatusUnauthorized, oauth.InvalidClient)
	if s.fetches() != before {
		t.Error("a token request has a document fetched")
	}
}

// TestP4CI2W5StrangersLeadNowhereInside has the client that the broker is made with
// refuse what is not public, before anything is sent.
func TestP4CI2W5StrangersLeadNowhereInside(t *testing.T) {
	t.Parallel()
	var asked int
	inside := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer inside.Close()
	s := setup{strangers: fetch.NewGuardedClient()}.site(t)
	for _, host := range []string{strings.TrimPrefix(inside.URL, "https://"), "localhost", "169.254.169.254", "10.0.0.1", "127.1", "2130706433", "metadata.internal"} {
		s.ask(request(documentApp, "client_id", "https://"+host+"/client.json")).page(t, http.StatusBadRequest, "could not be read")
	}
	if asked != 0 {
		t.Errorf("asked %d times", asked)
	}
}

// TestCI4DocumentsAreReadAnew when they are due, and what is wrong is not kept.
func TestCI4DocumentsAreReadAnew(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	members := stranger()
	s.publish(members)
	ask := func(status, fetched int) {
		t.Helper()
		if got := s.ask(request(documentApp)); got.status != status || s.fetches() != fetched {
			t.Errorf("got %d and %d fetches, want %d and %d", got.status, s.fetches(), status, fetched)
		}
	}
	good := s.net.handlers["client.test"]
	s.served(500, "", "")
	ask(400, 1)
	ask(400, 1) // a failure counts for ten seconds
	s.net.set("client.test", good)
	s.clock.Advance(10 * time.Second)
	ask(200, 2)
	s.clock.Advance(59 * time.Second)
	ask(200, 2)
	s.clock.Advance(time.Second)
	ask(200, 3)
	members["redirect_uris"] = []string{"https://app.test/new"} // CI5: what was there is there no more
	ask(200, 3)
	s.clock.Advance(time.Minute)
	ask(400, 4)
	s.ask(request(documentApp, "redirect_uri", "https://app.test/new")).page(t, http.StatusOK)
	s.served(404, "", "") // withdrawn
	s.clock.Advance(time.Minute)
	ask(400, 5)
}

// TestCI5WhatAPersonIsShown of a client that could be anyone.
func TestCI5WhatAPersonIsShown(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, uri     string
		clientName    string
		shown, hidden []string
	}{
		{"a page of the web", webApp, "Weather", []string{"client.test", "app.test", "<dd>Weather</dd>"}, []string{"runs on your computer"}},
		{"a program of this computer", native, "Weather", []string{"client.test", "127.0.0.1", "runs on your computer"}, nil},
		{"an app of a device", scheme, "Weather", []string{"an app on this device (com.example.app)", "runs on your computer"}, nil},
		{"a name in the other direction", webApp, "gatehouse\u202etset", []string{"It calls itself</dt><dd>client.test</dd>"}, []string{"\u202e"}},
		{"a name that does not show", webApp, "\u200b", []string{"It calls itself</dt><dd>client.test</dd>"}, []string{"\u200b"}},
		{"a name with tags", webApp, `<b onmouseover=alert(1)>"Bank"`, []string{`&lt;b onmouseover=alert(1)&gt;&#34;Bank&#34;`}, []string{"<b "}},
	} {
		s := newSite(t)
		s.publish(stranger("client_name", row.clientName, "redirect_uris", []string{row.uri}))
		page := s.ask(request(documentApp, "redirect_uri", row.uri))
		page.page(t, http.StatusOK, row.shown...)
		for _, text := range row.hidden {
			if strings.Contains(page.body, text) {
				t.Errorf("%s: got %v, want no %q", row.name, page, text)
			}
		}
	}
}

// TestManyBringANewClientAtOnce has it registered once, though all of them ask.
func TestManyBringANewClientAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.publish(stranger())
	own := s.own()
	var all, asking sync.WaitGroup
	asking.Add(8)
	s.net.set("gatehouse.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/register" {
			asking.Done()
			asking.Wait()
		}
		own.ServeHTTP(w, r)
	}))
	for range 8 {
		all.Go(func() { s.ask(request(documentApp)).page(t, http.StatusOK) })
	}
	all.Wait()
	if all := s.okta.Registered("Stranger"); len(all) != 1 {
		t.Errorf("the provider has %d clients of it, want 1", len(all))
	}
}

// TestAClientThatIsNotTheOneBefore gets nothing that was for that one, though it
// calls itself the same.
func TestAClientThatIsNotTheOneBefore(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.publish(stranger())
	c, tokens := s.browser(), s.tokens(documentApp)
	at, code := s.untilCallback(c, request(documentApp)), s.code(documentApp)
	a, err := s.Store.ApplicationByAlias(t.Context(), document)
	if err == nil {
		err = s.reg.Delete(t.Context(), registration.Caller{Subject: "root", Admin: true}, a.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.tokens(documentApp)
	s.get(c, at).page(t, http.StatusBadRequest, "removed in the meantime")
	s.redeem(documentApp, code).refused(t, http.StatusBadRequest, oauth.InvalidGrant)
	s.refresh(documentApp, tokens["refresh_token"]).refused(t, http.StatusBadRequest, oauth.InvalidGrant)
}

// TestNobodyIsRegisteredForNothing when the request is no good anyway.
func TestNobodyIsRegisteredForNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.publish(stranger("redirect_uris", []string{webApp, native}))
	for _, uri := range []string{"", "https://evil.test"} {
		s.ask(request(documentApp, "redirect_uri", uri)).page(t, http.StatusBadRequest, "redirect_uri")
	}
	if n := s.okta.Requests(standin.Clients); n != 0 {
		t.Errorf("the provider had %d requests", n)
	}
}

// TestTheRegistrationRefuses or does not answer.
func TestTheRegistrationRefuses(t *testing.T) {
	t.Parallel()
	s := setup{replace: []string{"open: true}", "open: true, perAddress: 1}"}}.site(t)
	s.publish(stranger())
	s.net.set("gatehouse.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/register" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		s.Handler().ServeHTTP(w, r)
	}))
	s.ask(request(documentApp)).page(t, http.StatusServiceUnavailable, "Try again")
	s.net.set("gatehouse.test", s.own())
	s.selfRegister(stranger())
	got := s.ask(request(documentApp))
	if got.page(t, http.StatusTooManyRequests, "Try again later"); got.header.Get("Retry-After") != "3600" {
		t.Errorf("got %v, want Retry-After", got)
	}
	s.clock.Advance(time.Hour)
	s.ask(request(documentApp)).page(t, http.StatusOK)
}

// TestCI7NoClientOfAProviderIsTakenForADocument even if a provider gave out a
// client_id that looks like one.
func TestCI7NoClientOfAProviderIsTakenForADocument(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.register(public).Application
	a.ID, a.ClientID, a.Version = registry.NewID(), document, 0
	s.record(registry.Create, a)
	s.served(404, "", "")
	s.ask(request(documentApp, "redirect_uri", native)).page(t, http.StatusBadRequest)
	s.Documents = nil
	s.ask(request(documentApp, "redirect_uri", native)).page(t, http.StatusBadRequest, "not registered")
	s.redeem(documentApp, "x").refused(t, http.StatusUnauthorized, oauth.InvalidClient)
}
