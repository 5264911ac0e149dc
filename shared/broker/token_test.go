package broker_test

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/shared/oauth"
	"gatehouse/shared/registration"
	"gatehouse/shared/registry"
	"gatehouse/shared/seal"
	"gatehouse/shared/secret"
	"gatehouse/shared/standin"
)

// atOnce sends the same many times at once.
func atOnce(times int, send func() answer) []answer {
	all := make([]answer, times)
	var wg sync.WaitGroup
	for n := range all {
		wg.Go(func() { all[n] = send() })
	}
	wg.Wait()
	return all
}

// count is how many answers have a status.
func count(all []answer, status int) int {
	n := 0
	for _, a := range all {
		if a.status == status {
			n++
		}
	}
	return n
}

func TestO9O11O18O19WhatATokenRequestIs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.register(registration.Metadata{RedirectURIs: []string{webApp}, GrantTypes: everyGrant, AuthMethod: oauth.SecretPost, Scope: "orders:read"})
	const media = "application/x-www-form-urlencoded"
	itself := form("grant_type", "client_credentials", "client_id", a.id, "client_secret", a.secret).Encode()
	var parts bytes.Buffer
	w := multipart.NewWriter(&parts)
	_ = w.WriteField("grant_type", "client_credentials")
	_ = w.Close()
	for _, row := range []struct {
		name, media, body string
		status            int
		code              string
	}{
		{"a good one", media, itself, 200, ""},
		{"with a charset", media + "; charset=UTF-8", itself, 200, ""},
		{"in upper case", strings.ToUpper(media), itself, 200, ""},
		{"with what nobody knows", media, itself + "&foo=1&audience=x", 200, ""},
		{"with what has no value, which is left out", media, itself + "&scope=&resource=&client_assertion=", 200, ""},
		{"JSON", "application/json", `{"grant_type":"client_credentials"}`, 400, oauth.InvalidRequest},
		{"parts", w.FormDataContentType(), parts.String(), 400, oauth.InvalidRequest},
		{"no type", "", itself, 400, oauth.InvalidRequest},
		{"a type that is none", "/", itself, 400, oauth.InvalidRequest},
		{"two types", media + ", text/html", itself, 400, oauth.InvalidRequest},
		{"a parameter of the type that is none", media + "; =;;", itself, 400, oauth.InvalidRequest},
		{"a type of bytes", "\xff\xfe;\"", itself, 400, oauth.InvalidRequest},
		{"nothing", media, "", 400, oauth.InvalidRequest},
		{"no grant_type", media, "client_id=x", 400, oauth.InvalidRequest},
		{"a parameter twice", media, itself + "&scope=orders:read&scope=orders:read", 400, oauth.InvalidRequest},
		{"the client twice", media, itself + "&client_id=" + a.id, 400, oauth.InvalidRequest},
		{"an escape that is none", media, itself + "&x=%zz", 400, oauth.InvalidRequest},
		{"1 MB", media, itself + "&x=" + strings.Repeat("x", 1<<20), 413, oauth.InvalidRequest},
		{"10 MB", media, itself + "&x=" + strings.Repeat("x", 10<<20), 413, oauth.InvalidRequest},
		{"O9 a password", media, itself[:0] + "grant_type=password&username=ada&password=x&client_id=" + a.id, 400, oauth.UnsupportedGrantType},
		{"O9 the implicit grant", media, "grant_type=implicit", 400, oauth.UnsupportedGrantType},
		{"a grant in another case", media, "grant_type=Client_Credentials", 400, oauth.UnsupportedGrantType},
		{"token exchange", media, "grant_type=urn:ietf:params:oauth:grant-type:token-exchange", 400, oauth.UnsupportedGrantType},
		{"O19 an assertion as a grant", media, "grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion=a.b.c", 400, oauth.UnsupportedGrantType},
		{"O18 O19 a client assertion", media, itself + "&client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer&client_assertion=a.b.c", 401, oauth.InvalidClient},
		{"a client that is not named", media, "grant_type=client_credentials", 401, oauth.InvalidClient},
		{"one that is not there", media, "grant_type=client_credentials&client_id=nobody&client_secret=x", 401, oauth.InvalidClient},
		{"one that is longer than any", media, "grant_type=client_credentials&client_id=" + strings.Repeat("x", 30<<10), 401, oauth.InvalidClient},
		{"one that is not UTF-8", media, "grant_type=client_credentials&client_id=%ff%fe%00", 401, oauth.InvalidClient},
		{"the secret in the query, which is ignored", media, form("grant_type", "client_credentials", "client_id", a.id).Encode(), 401, oauth.InvalidClient},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := s.in(t)
			got := s.do(s.client(nil), s.typed("/token?client_secret="+a.secret, row.media, row.body))
			if row.code == "" {
				got.ok(t)
			} else if got.refused(t, row.status, row.code); got.header.Get("WWW-Authenticate") != "" { // O12
				t.Errorf("got %v, want no challenge: Basic was not tried", got)
			}
		})
	}
}

// TestO12WhatATokenAnswerIs has nothing of what a provider says beyond RFC 6749.
func TestO12WhatATokenAnswerIs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.register(confidential)
	s.okta.Break(standin.Token, standin.Fault{Times: 1, Body: `{"access_token":"at","token_type":"bearer","expires_in":"3600","scope":"orders:write orders:read openid","refresh_token":"rt",` +
		`"id_token":"a.b.c","session_state":"MARK","issued_token_type":"MARK","tenant":{"MARK":1}}`})
	got := s.redeem(a, s.code(a)).ok(t)
	names := slices.Sorted(maps.Keys(got.json))
	if got.header.Get("Cache-Control") != "no-store" || got.header.Get("Content-Type") != "application/json" || strings.Contains(got.body, "MARK") ||
		!slices.Equal(names, []string{"access_token", "expires_in", "refresh_token", "scope", "token_type"}) || got.json["token_type"] != "Bearer" ||
		got.json["expires_in"] != 3600.0 || got.json["scope"] != "orders:read orders:write" || got.json["refresh_token"] == "rt" {
		t.Errorf("got %v", got)
	}
}

// TestO10AClientAuthenticatesInItsOneWay as it is registered.
func TestO10AClientAuthenticatesInItsOneWay(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ways := []string{oauth.SecretBasic, oauth.SecretPost, oauth.PublicClient}
	for _, registered := range ways {
		a := s.register(registration.Metadata{RedirectURIs: []string{webApp}, GrantTypes: everyGrant[:2], AuthMethod: registered})
		for _, shown := range ways {
			known := s.tokens(a)
			for _, b := range []app{a, {a.Application, a.id, "a secret of nobody"}} {
				if b.secret == "" {
					b.secret = "anything"
				}
				got := s.postBy(shown, "/token", b, form("grant_type", oauth.RefreshToken, "refresh_token", fmt.Sprint(known["refresh_token"])))
				if registered != shown || b.secret != a.secret && registered != oauth.PublicClient {
					got.refused(t, http.StatusUnauthorized, oauth.InvalidClient)
				} else {
					known = got.ok(t).json
				}
				if challenged := got.header.Get("WWW-Authenticate") != ""; challenged != (got.status == 401 && shown == oauth.SecretBasic) { // O12
					t.Errorf("registered for %s, by %s: got %v", registered, shown, got)
				}
			}
			s.works(a, known["refresh_token"]) // nothing has changed
		}
	}
}

// TestO10O12AuthorizationHeaders sends what is no, or not the only, way to
// authenticate.
func TestO10O12AuthorizationHeaders(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.register(confidential)
	basic := func(text string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(text)) }
	good := basic(a.id + ":" + a.secret)
	for _, row := range []struct {
		name    string
		headers []string
		form    []string
		status  int
		code    string
	}{
		{"the good one", []string{good}, nil, 200, ""},
		{"the scheme in lower case", []string{"basic" + good[5:]}, nil, 200, ""},
		{"the client named again", []string{good}, []string{"client_id", a.id}, 200, ""},
		{"another client named", []string{good}, []string{"client_id", "other"}, 400, oauth.InvalidRequest},
		{"the secret again", []string{good}, []string{"client_secret", a.secret}, 400, oauth.InvalidRequest},
		{"an assertion, too", []string{good}, []string{"client_assertion", "a.b.c"}, 401, oauth.InvalidClient},
		{"two headers", []string{good, good}, nil, 400, oauth.InvalidRequest},
		{"two headers in one", []string{good + ", " + good}, nil, 401, oauth.InvalidClient},
		{"the scheme alone", []string{"Basic"}, nil, 401, oauth.InvalidClient},
		{"nothing after it", []string{"Basic "}, nil, 401, oauth.InvalidClient},
		{"no base64", []string{"Basic !!!"}, nil, 401, oauth.InvalidClient},
		{"base64 cut short", []string{good[:len(good)-1]}, nil, 401, oauth.InvalidClient},
		{"base64 of another alphabet", []string{"Basic _-_-"}, nil, 401, oauth.InvalidClient},
		{"no colon", []string{basic(a.id)}, nil, 401, oauth.InvalidClient},
		{"no client", []string{basic(":" + a.secret)}, nil, 401, oauth.InvalidClient},
		{"no secret", []string{basic(a.id + ":")}, nil, 401, oauth.InvalidClient},
		{"neither", []string{basic(":")}, nil, 401, oauth.InvalidClient},
		{"a secret with a space", []string{basic(a.id + ":" + a.secret + " ")}, nil, 401, oauth.InvalidClient},
		{"an escape that is none", []string{basic(a.id + ":%zz")}, nil, 401, oauth.InvalidClient},
		{"bytes", []string{basic("\xff\x00\xfe:\x00")}, nil, 401, oauth.InvalidClient},
		{"Bearer", []string{"Bearer " + a.secret}, []string{"client_id", a.id}, 401, oauth.InvalidClient},
		{"a scheme that nobody knows", []string{"Negotiate YII="}, nil, 401, oauth.InvalidClient},
		{"a megabyte", []string{basic(strings.Repeat("x", 1<<20))}, nil, 401, oauth.InvalidClient},
	} {
		r := s.formRequest("/token", form(append(row.form, "grant_type", oauth.ClientCredentials)...))
		r.Header["Authorization"] = row.headers
		got := s.do(s.client(nil), r)
		if row.code == "" {
			got.ok(t)
		} else if got.refused(t, row.status, row.code); row.status == 401 != (got.header.Get("WWW-Authenticate") == `Basic realm="gatehouse"`) || t.Failed() {
			t.Fatalf("%s: got %v", row.name, got)
		}
	}
}

// TestO15O16GuessesAreCounted for each client and the address that they come
// from, which nobody can make up.
func TestO15O16GuessesAreCounted(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, b := s.register(confidential), s.register(confidential)
	wrong := app{a.Application, a.id, "wrong"}
	guess := func(c app) answer {
		r := s.formRequest("/token", form("grant_type", oauth.ClientCredentials))
		r.SetBasicAuth(c.id, c.secret)
		for _, name := range []string{"X-Forwarded-For", "Forwarded", "X-Real-Ip", "True-Client-Ip", "X-Amzn-Source-Ip"} {
			r.Header.Set(name, "for="+rand.Text())
		}
		return s.do(s.client(nil), r)
	}
	for range 40 {
		guess(app{id: "0oa" + rand.Text(), secret: "x"}).refused(t, 401, oauth.InvalidClient) // nobody's count
	}
	for range 30 {
		guess(wrong).refused(t, 401, oauth.InvalidClient)
	}
	got := guess(wrong)
	got.refused(t, http.StatusTooManyRequests, oauth.TemporarilyUnavailable)
	if got.header.Get("Retry-After") != "300" {
		t.Errorf("got %v, want Retry-After: 300", got)
	}
	guess(a).refused(t, http.StatusTooManyRequests, oauth.TemporarilyUnavailable) // the right one, too
	guess(b).ok(t)
	s.net.from = "198.51.100.9"
	guess(a).ok(t)
	guess(wrong).refused(t, 401, oauth.InvalidClient)
	s.net.from = "192.0.2.7"
	s.clock.Advance(5 * time.Minute)
	guess(a).ok(t)
}

// TestThePreviousSecretWorksMeanwhile while a client changes to a new one: until
// it is retired, or its time is up.
func TestThePreviousSecretWorksMeanwhile(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.register(confidential)
	rotated, err := s.reg.RotateSecret(t.Context(), ada, a.ID)
	if err != nil {
		t.Fatal(err)
	}
	next := app{rotated.Application, a.id, rotated.Secret.Reveal()}
	s.itself(a).ok(t)
	s.itself(next).ok(t)

	now, err := s.Store.Application(t.Context(), a.ID)
	if err != nil {
		t.Fatal(err)
	}
	now.PreviousSecretExpires = s.clock.Now().Add(time.Hour)
	s.record(registry.Update, now)
	s.clock.Advance(time.Hour - time.Second)
	s.itself(a).ok(t)
	s.clock.Advance(time.Second)
	s.itself(a).refused(t, 401, oauth.InvalidClient)
	s.itself(next).ok(t)

	if rotated, err = s.reg.RotateSecret(t.Context(), ada, a.ID); err != nil {
		t.Fatal(err)
	}
	s.itself(next).ok(t)
	if err := s.reg.RetireSecret(t.Context(), ada, a.ID); err != nil {
		t.Fatal(err)
	}
	s.itself(next).refused(t, 401, oauth.InvalidClient)
	s.itself(app{rotated.Application, a.id, rotated.Secret.Reveal()}).ok(t)
}

// TestO7ACodeThatComesAgain is in two hands, and what it has led to is taken from
// both: here and at the provider.
func TestO7ACodeThatComesAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, a := range []app{s.register(confidential), s.register(public)} {
		code := s.code(a)
		got := s.redeem(a, code).ok(t).json
		if !s.alive(got["access_token"]) {
			t.Fatal("the provider does not know the token")
		}
		for range 2 {
			s.redeem(a, code).refused(t, 400, oauth.InvalidGrant)
		}
		if s.alive(got["access_token"]) {
			t.Error("the provider still takes the access token")
		}
		s.refresh(a, got["refresh_token"]).refused(t, 400, oauth.InvalidGrant)

		// With a wrong verifier it is no better.
		code = s.code(a)
		got = s.redeem(a, code).ok(t).json
		s.redeem(a, code, "code_verifier", verifier+"x").refused(t, 400, oauth.InvalidGrant)
		s.refresh(a, got["refresh_token"]).refused(t, 400, oauth.InvalidGrant)
	}
}

// TestO7K1K5N1WhatDoesNotSpendACode refuses what it is not bound to, and leaves it
// to its owner.
func TestO7K1K5N1WhatDoesNotSpendACode(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, b, c := s.register(confidential), s.register(confidential), s.register(public)
	code := s.code(a, "resource", "https://api.test/orders")
	tokens := s.tokens(a)
	for _, row := range []struct {
		name    string
		a       app
		changes []string
		status  int
		code    string
	}{
		{"another client", b, nil, 400, oauth.InvalidGrant},
		{"a public client", c, nil, 400, oauth.InvalidGrant},
		{"another client with a wrong verifier", b, []string{"code_verifier", verifier + "x"}, 400, oauth.InvalidGrant},
		{"a wrong secret", app{a.Application, a.id, "wrong"}, nil, 401, oauth.InvalidClient},
		{"another redirect URI", a, []string{"redirect_uri", webApp + "/"}, 400, oauth.InvalidGrant},
		{"N1 an unknown resource", a, []string{"resource", "https://other.test/"}, 400, oauth.InvalidTarget},
		{"N1 a resource that was not granted", a, []string{"resource", "https://api.test/stock"}, 400, oauth.InvalidTarget},
		{"N1 a resource that is none", a, []string{"resource", "https://api.test/orders#x"}, 400, oauth.InvalidTarget},
		{"K1 no verifier", a, []string{"code_verifier", ""}, 400, oauth.InvalidRequest},
		{"no code", a, []string{"code", ""}, 400, oauth.InvalidRequest},
		{"a code that is none", a, []string{"code", "x"}, 400, oauth.InvalidGrant},
		{"a code that was changed", a, []string{"code", code[:len(code)-4] + "AAAA"}, 400, oauth.InvalidGrant},
		{"the end of a code", a, []string{"code", code[1:]}, 400, oauth.InvalidGrant},
		{"a line break in it", a, []string{"code", code + "\n"}, 400, oauth.InvalidGrant},
		{"a refresh token", a, []string{"code", fmt.Sprint(tokens["refresh_token"])}, 400, oauth.InvalidGrant},
		{"an access token", a, []string{"code", fmt.Sprint(tokens["access_token"])}, 400, oauth.InvalidGrant},
	} {
		if s.redeem(row.a, code, row.changes...).refused(t, row.status, row.code); t.Failed() {
			t.Fatal(row.name)
		}
	}
	s.redeem(a, code, "redirect_uri", webApp, "resource", "https://api.test/orders").ok(t)
}

// TestK1K4AVerifierThatIsWrong spends the code: whoever has it and not its
// verifier has stolen it.
func TestK1K4AVerifierThatIsWrong(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.register(public)
	log := s.logged(false)
	for _, row := range []struct{ name, verifier string }{
		{"another", strings.Repeat("x", 43)},
		{"one letter less", verifier[:42]},
		{"in another case", strings.ToLower(verifier)},
		{"the challenge", oauth.Challenge(verifier)},
		{"too short", "x"},
		{"too long", strings.Repeat("x", 129)},
		{"with what no verifier has", verifier[:42] + "+"},
		{"with a NUL", verifier + "\x00"},
	} {
		code := s.code(a)
		log.take()
		s.redeem(a, code, "code_verifier", row.verifier).refused(t, 400, oauth.InvalidGrant)
		if alarm := log.take(); !strings.Contains(alarm, `"alarm":"wrong_verifier"`) {
			t.Errorf("%s: the log says %s", row.name, alarm)
		}
		s.redeem(a, code).refused(t, 400, oauth.InvalidGrant)
	}
}

func TestO7ACodeLivesAMinute(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.register(confidential)
	code := s.code(a)
	s.clock.Advance(time.Minute - time.Second)
	s.redeem(a, code).ok(t)
	code = s.code(a)
	s.clock.Advance(time.Minute)
	s.redeem(a, code).refused(t, 400, oauth.InvalidGrant)
}

func TestO7ManyRedeemACodeAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.register(confidential)
	code := s.code(a)
	before := s.okta.Requests(standin.Token)
	all := atOnce(20, func() answer { return s.redeem(a, code) })
	good, asked := count(all, 200), s.okta.Requests(standin.Token)-before
	if good > 1 || good+count(all, 400) != len(all) || asked > 1 {
		t.Errorf("got %d times 200, %d times 400 and %d requests to the provider", good, count(all, 400), asked)
	}
	for _, got := range all {
		if got.status == 200 && s.alive(got.json["access_token"]) {
			t.Error("a code was in many hands, and its tokens live")
		}
	}
}

// hasty returns how a provider is given little time to answer, if that is what
// it fails in.
func hasty(f standin.Fault) []string {
	if f.Delay == 0 {
		return nil
	}
	return []string{"requestTimeout: 2s", "requestTimeout: 500ms"}
}

// faults are what a provider does wrong when it is asked for tokens.
var faults = []struct {
	name   string
	fault  standin.Fault
	status int
	code   string
	after  string // Retry-After
	again  bool   // a code is not spent
}{
	{"429", standin.Fault{Status: 429, Header: map[string]string{"Retry-After": "7"}}, 503, oauth.TemporarilyUnavailable, "7", true},
	{"429 for longer than anyone waits", standin.Fault{Status: 429, Header: map[string]string{"Retry-After": "999999"}}, 503, oauth.TemporarilyUnavailable, "3600", true},
	{"429 without a time", standin.Fault{Status: 429, Header: map[string]string{"Retry-After": ""}}, 503, oauth.TemporarilyUnavailable, "", true},
	{"400, busy", standin.Fault{Status: 400, Body: `{"error":"temporarily_unavailable","error_description":"MARK"}`}, 503, oauth.TemporarilyUnavailable, "5", true},
	{"404", standin.Fault{Status: 404, Body: "<html>MARK</html>"}, 503, oauth.TemporarilyUnavailable, "5", true},
	{"500", standin.Fault{Status: 500}, 503, oauth.TemporarilyUnavailable, "5", false},
	{"502 with a page", standin.Fault{Status: 502, Body: standin.Garbage}, 503, oauth.TemporarilyUnavailable, "5", false},
	{"503", standin.Fault{Status: 503, Body: "MARK"}, 503, oauth.TemporarilyUnavailable, "5", false},
	{"no answer in time", standin.Fault{Delay: 5 * time.Second}, 503, oauth.TemporarilyUnavailable, "5", false},
	{"200 with a page", standin.Fault{Body: standin.Garbage}, 503, oauth.TemporarilyUnavailable, "5", false},
	{"200 with nothing", standin.Fault{Body: "{}"}, 503, oauth.TemporarilyUnavailable, "5", false},
	{"200 with an error", standin.Fault{Body: `{"error":"MARK"}`}, 503, oauth.TemporarilyUnavailable, "5", false},
	{"200 of 10 MB", standin.Fault{Size: 10 << 20}, 503, oauth.TemporarilyUnavailable, "5", false},
	{"a token that is none", standin.Fault{Body: `{"access_token":"MARK\r\n","token_type":"Bearer"}`}, 503, oauth.TemporarilyUnavailable, "5", false},
	{"a token of another kind", standin.Fault{Body: `{"access_token":"MARK","token_type":"DPoP"}`}, 503, oauth.TemporarilyUnavailable, "5", false},
	{"a redirect", standin.Fault{Redirect: "https://evil.test/MARK"}, 503, oauth.TemporarilyUnavailable, "5", true},
	{"invalid_client", standin.Fault{Status: 401, Body: `{"error":"invalid_client","error_description":"MARK"}`}, 401, oauth.InvalidClient, "", false},
	{"unauthorized_client", standin.Fault{Status: 400, Body: `{"error":"unauthorized_client","error_description":"MARK"}`}, 400, oauth.UnauthorizedClient, "", false},
	{"invalid_scope", standin.Fault{Status: 400, Body: `{"error":"invalid_scope","error_description":"MARK"}`}, 400, oauth.InvalidScope, "", false},
	{"invalid_target", standin.Fault{Status: 400, Body: `{"error":"invalid_target","error_description":"MARK"}`}, 400, oauth.InvalidTarget, "", false},
	{"access_denied", standin.Fault{Status: 400, Body: `{"error":"access_denied","error_description":"MARK"}`}, 400, oauth.AccessDenied, "", false},
	{"invalid_request, which is between us and the provider", standin.Fault{Status: 400, Body: `{"error":"invalid_request","error_description":"MARK"}`}, 400, oauth.UnauthorizedClient, "", false},
	{"none of the scopes that were asked for", standin.Fault{Body: `{"access_token":"MARK","token_type":"Bearer","scope":"openid"}`}, 400, oauth.InvalidScope, "", false},
	{"more scopes than were asked for", standin.Fault{Body: `{"access_token":"MARK","token_type":"Bearer","scope":"orders:read orders:admin"}`}, 400, oauth.InvalidScope, "", false},
}

// TestAProviderThatFails has the client told the truth, never by an error of ours
// or in the provider's words. It can try again where nothing is spent.
func TestAProviderThatFails(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(*site, app) func() answer{
		"a code": func(s *site, a app) func() answer {
			code := s.code(a)
			return func() answer { return s.redeem(a, code) }
		},
		"a refresh token": func(s *site, a app) func() answer {
			last := s.tokens(a)
			return func() answer { return s.refresh(a, last["refresh_token"]) }
		},
		"a client for itself": func(s *site, a app) func() answer { return func() answer { return s.itself(a) } },
	} {
		for _, row := range faults {
			t.Run(name+" "+row.name, func(t *testing.T) {
				t.Parallel()
				s := setup{replace: slices.Concat(hasty(row.fault), caches)}.site(t)
				send := begin(s, s.register(confidential))
				row.fault.Times = 1
				s.okta.Break(standin.Token, row.fault)
				got := send()
				got.refused(t, row.status, row.code)
				after := got.header.Get("Retry-After")
				if strings.Contains(got.String(), "MARK") || row.after != "" && after != row.after || (row.status == 503) != (after != "") {
					t.Errorf("got %v", got)
				}
				if got = send(); name == "a code" && !row.again {
					got.refused(t, 400, oauth.InvalidGrant)
				} else {
					got.ok(t)
				}
			})
		}
	}
}

// TestACodeAndALine that is cut before the provider is reached, and after it.
func TestACodeAndALine(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.register(confidential)
	code := s.code(a)
	s.net.set("okta.test", nil)
	for range 3 {
		s.redeem(a, code).refused(t, 503, oauth.TemporarilyUnavailable)
	}
	s.net.set("okta.test", s.okta)
	s.clock.Advance(59 * time.Second)
	s.redeem(a, code).ok(t)

	code = s.code(a)
	s.net.losing("/oauth2/default/v1/token", 1)
	s.redeem(a, code).refused(t, 503, oauth.TemporarilyUnavailable)
	s.redeem(a, code).refused(t, 400, oauth.InvalidGrant) // it may be spent: the person signs in again
}

// TestMoreThanWasAskedForIsTakenBack from the provider, too.
func TestMoreThanWasAskedForIsTakenBack(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.register(confidential)
	code := s.code(a, "scope", "orders:read")
	var granted map[string]any
	s.net.set("okta.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/oauth2/default/v1/token" {
			s.okta.ServeHTTP(w, r)
			return
		}
		given := httptest.NewRecorder()
		s.okta.ServeHTTP(given, r)
		granted = newAnswer(given.Code, nil, given.Body.String()).json
		answer := maps.Clone(granted)
		answer["scope"] = "orders:read orders:write"
		_ = json.NewEncoder(w).Encode(answer)
	}))
	s.redeem(a, code).refused(t, 400, oauth.InvalidScope)
	if granted["access_token"] == nil || s.alive(granted["access_token"]) {
		t.Errorf("the provider still takes what it gave: %v", granted)
	}
}

// TestAContractThatEndsBeforeTheCodeIsRedeemed leaves the code as it is.
func TestAContractThatEndsBeforeTheCodeIsRedeemed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.register(confidential)
	code := s.code(a)
	s.contract(a, "orders", registry.Revoked)
	s.redeem(a, code).refused(t, 400, oauth.AccessDenied)
	s.contract(a, "orders", registry.Approved)
	s.redeem(a, code).ok(t)
}

// rotateKeys gives the broker the keys that a function has after a rotation of
// them and a start: the current one is new, and previous says which of those
// before stay.
func (s *site) rotateKeys(previous func(was []string) []string) {
	s.t.Helper()
	name := filepath.Join(s.dir, "broker.json")
	text, err := os.ReadFile(name)
	if err != nil {
		s.t.Fatal(err)
	}
	var was, is struct {
		Current  string   `json:"current"`
		Previous []string `json:"previous,omitempty"`
	}
	if err := json.Unmarshal(text, &was); err != nil {
		s.t.Fatal(err)
	}
	is.Current = rand.Text() + rand.Text()
	is.Previous = previous(append([]string{was.Current}, was.Previous...))
	if text, err = json.Marshal(is); err != nil {
		s.t.Fatal(err)
	}
	s.write("broker.json", string(text))
	s.Box = seal.New(secret.OpenKeys("file:"+name, nil))
}

// TestKeysRotate without anyone noticing, as long as the previous ones stay.
func TestKeysRotate(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, c := s.register(confidential), s.browser()
	at, code, tokens := s.untilCallback(c, request(a)), s.code(a), s.tokens(a)
	stay := func(was []string) []string { return was }
	s.rotateKeys(stay)
	s.rotateKeys(stay)
	told := s.get(c, at).tells(t, webApp)
	s.redeem(a, told.Get("code")).ok(t)
	s.redeem(a, code).ok(t)
	s.works(a, tokens["refresh_token"])

	b, d := s.register(public), s.browser() // without a secret to recognise
	at, code, tokens = s.untilCallback(d, request(b)), s.code(b), s.tokens(b)
	s.rotateKeys(func([]string) []string { return nil })
	s.get(d, at).page(t, 400, "not complete")
	s.redeem(b, code).refused(t, 400, oauth.InvalidGrant)
	s.refresh(b, tokens["refresh_token"]).refused(t, 400, oauth.InvalidGrant)
	s.itself(a).refused(t, 401, oauth.InvalidClient)

	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	s.write("broker.json", "MARK")
	s.Box = seal.New(secret.OpenKeys("file:"+filepath.Join(s.dir, "broker.json"), nil))
	for name, got := range map[string]answer{
		"a secret": s.itself(a), "a code": s.redeem(b, code), "a token": s.refresh(b, tokens["refresh_token"]), "a revocation": s.revoke(b, tokens["refresh_token"]),
	} {
		got.refused(t, 503, oauth.TemporarilyUnavailable)
		if got.header.Get("Retry-After") == "" || strings.Contains(got.String(), "MARK") {
			t.Errorf("%s: got %v", name, got)
		}
	}
	if err := s.Check(t.Context()); err == nil || strings.Contains(err.Error(), "MARK") {
		t.Errorf("got %v, want a bad deployment to fail at its start", err)
	}
	s.ask(request(b)).tellsError(t, native, oauth.TemporarilyUnavailable)
	s.get(d, at).page(t, 503)
}

// TestO14ClientsDoNotChooseTheirNames so that none can be taken for a person.
func TestO14ClientsDoNotChooseTheirNames(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.selfRegister(stranger("client_id", login, "sub", login, "client_secret", "chosen"))
	if a.id == login || a.secret == "chosen" {
		t.Errorf("got %+v, want a name that the provider chose", a)
	}
	b := s.register(confidential)
	got := s.introspect(b, s.itself(b).ok(t).json["access_token"]).ok(t).json
	if got["sub"] != b.id || got["client_id"] != b.id {
		t.Errorf("got %v, want the client itself for a subject", got)
	}
}

// TestO18O19NoClientCanUseAssertions not even one that is registered to.
func TestO18O19NoClientCanUseAssertions(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.register(registration.Metadata{
		RedirectURIs: []string{webApp}, GrantTypes: everyGrant[:2], AuthMethod: oauth.PrivateKeyJWT,
		JWKS: json.RawMessage(`{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`),
	})
	code := s.code(a)
	for name, f := range map[string]url.Values{
		"an assertion":        form("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion", "a.b.c"),
		"its type alone":      form("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
		"nothing":             form("client_id", a.id),
		"a secret of nothing": form("client_id", a.id, "client_secret", "x"),
	} {
		maps.Copy(f, form("grant_type", oauth.AuthorizationCode, "code", code, "code_verifier", cmp.Or(verifier, name)))
		s.do(s.client(nil), s.formRequest("/token", f)).refused(t, 401, oauth.InvalidClient)
	}
}
