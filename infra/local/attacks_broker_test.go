package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/infra/tooltest"
	"gatehouse/shared/oauth"
	"gatehouse/shared/standin"
)

// The tests of this file attack the broker: what proxies in front of a provider,
// and authorization servers of MCP, have been attacked with.

// TestAttacksOnTheBroker has strangers use the consent, the codes, the tokens and
// the documents of others.
func TestAttacksOnTheBroker(t *testing.T) {
	t.Parallel()
	refused := counted(t, "the broker")
	for name, attacks := range map[string][]attack{
		"people who did not ask":        onPeople,
		"requests that ask for more":    onRequests,
		"codes of others":               onCodes,
		"tokens of others":              onTokens,
		"clients that are others":       onClients,
		"documents that lead elsewhere": onDocuments(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := attackable(t)
			a.refused = refused
			a.holds(t, attacks)
		})
	}
}

// onPeople leads people into sign-ins that they did not begin, or did not agree
// to.
var onPeople = []attack{
	{"a sign-in that an attacker has begun and agreed to (FastMCP GHSA-rww4-4w9c-7733)", func(t *testing.T, a *attacked) response {
		t.Helper()
		captured := a.toProvider(t, visitor{}, a.stranger)
		return visitor{}.send(t, a.signsIn(t, captured), nil)
	}, 400, "This browser did not begin this sign-in"},
	{"the same, on one who has agreed to the client before (FastMCP GHSA-c2jp-c369-7pvx)", func(t *testing.T, a *attacked) response {
		t.Helper()
		victim := visitor{}
		victim.send(t, a.signsIn(t, a.toProvider(t, victim, a.stranger)), nil)
		captured := a.toProvider(t, visitor{}, a.stranger)
		return victim.send(t, a.signsIn(t, captured), nil)
	}, 400, "This browser did not begin this sign-in"},
	{"the same, on one who is about to sign in (session fixation across users)", func(t *testing.T, a *attacked) response {
		t.Helper()
		victim := visitor{}
		a.toProvider(t, victim, a.stranger)
		return victim.send(t, a.signsIn(t, a.toProvider(t, visitor{}, a.stranger)), nil)
	}, 400, "This browser did not begin this sign-in"},
	{"the same, with a client that a developer vouches for", func(t *testing.T, a *attacked) response {
		t.Helper()
		return visitor{}.send(t, a.signsIn(t, a.toProvider(t, visitor{}, a.owned)), nil)
	}, 400, "This browser did not begin this sign-in"},
	{"an attacker's code in a victim's sign-in", func(t *testing.T, a *attacked) response {
		t.Helper()
		victim, attacker := visitor{}, visitor{}
		mine := told(t, response{header: http.Header{"Location": {a.toProvider(t, victim, a.owned)}}}).Get("state")
		back := a.signsIn(t, a.toProvider(t, attacker, a.owned))
		got := victim.send(t, replaced(t, back, "state", mine), nil)
		// The answer is for the client, but the code is another's: PKCE of our own leg.
		return a.redeem(t, a.owned, told(t, got).Get("code"))
	}, 400, "invalid_grant"},
	{"the same, with a cookie that is guessed", func(t *testing.T, a *attacked) response {
		t.Helper()
		attacker, victim := visitor{}, visitor{}
		back := a.signsIn(t, a.toProvider(t, attacker, a.owned))
		for name := range attacker {
			victim[name] = oauth.NewVerifier()
		}
		return victim.send(t, back, nil)
	}, 400, "This browser did not begin this sign-in"},
	{"a state that is used again", func(t *testing.T, a *attacked) response {
		t.Helper()
		v := visitor{}
		back := a.signsIn(t, a.toProvider(t, v, a.owned))
		wantsCode(t, v.send(t, back, nil))
		return v.send(t, back, nil)
	}, 400, "This browser did not begin this sign-in"},
	{"a state that took too long", func(t *testing.T, a *attacked) response {
		t.Helper()
		v := visitor{}
		back := a.signsIn(t, a.toProvider(t, v, a.owned))
		a.clock.ahead.Add(int64(11 * time.Minute))
		return v.send(t, back, nil)
	}, 400, "longer than ten minutes"},
	{"a state of the attacker's own making", func(t *testing.T, a *attacked) response {
		t.Helper()
		v := visitor{}
		back := a.signsIn(t, a.toProvider(t, v, a.owned))
		return v.send(t, replaced(t, back, "state", "xyz"), nil)
	}, 400, "not complete, or it was changed"},
	{"a client that one has agreed to before, silently", func(t *testing.T, a *attacked) response {
		t.Helper()
		v := visitor{}
		wantsCode(t, v.send(t, a.signsIn(t, a.toProvider(t, v, a.stranger)), nil))
		return v.send(t, a.request(a.stranger, "prompt", "none"), nil)
	}, 200, "Nobody here has checked this application"},
	{"consent that a page of elsewhere posts", func(t *testing.T, a *attacked) response {
		t.Helper()
		page := visitor{}.send(t, a.request(a.stranger), nil)
		return visitor{}.send(t, a.Own+"/authorize/consent", consent(t, page, "allow"))
	}, 400, "This browser did not begin this sign-in"},
	{"consent to another request than that which was shown", func(t *testing.T, a *attacked) response {
		t.Helper()
		victim := visitor{}
		victim.send(t, a.request(a.stranger), nil)
		page := visitor{}.send(t, a.request(a.stranger, "redirect_uri", "http://127.0.0.1:6666/cb"), nil)
		return victim.send(t, a.Own+"/authorize/consent", consent(t, page, "allow"))
	}, 400, "This browser did not begin this sign-in"},
	{"consent that is given twice", func(t *testing.T, a *attacked) response {
		t.Helper()
		v := visitor{}
		form := consent(t, v.send(t, a.request(a.stranger), nil), "allow")
		v.send(t, a.Own+"/authorize/consent", form)
		return v.send(t, a.Own+"/authorize/consent", form)
	}, 400, "This browser did not begin this sign-in"},
	{"consent without a decision", func(t *testing.T, a *attacked) response {
		t.Helper()
		v := visitor{}
		return v.send(t, a.Own+"/authorize/consent", consent(t, v.send(t, a.request(a.stranger), nil), ""))
	}, 400, "without a decision"},
	{"the answer of another provider (mix-up, RFC 9207)", func(t *testing.T, a *attacked) response {
		t.Helper()
		v := visitor{}
		got := v.send(t, a.signsIn(t, a.toProvider(t, v, a.owned))+"&iss="+url.QueryEscape(a.elsewhere), nil)
		if q := told(t, got); q.Has("code") || q.Get("iss") != a.Own {
			t.Errorf("the client is told %v", q)
		}
		return got
	}, 303, webRedirect + "?error=access_denied"},
	{"an error of the provider's that is markup (Hydra CVE-2019-8400)", func(t *testing.T, a *attacked) response {
		t.Helper()
		v := visitor{}
		state := told(t, response{header: http.Header{"Location": {a.toProvider(t, v, a.owned)}}}).Get("state")
		got := v.send(t, a.Own+"/callback?"+url.Values{"state": {state}, "error": {"<script>"}, "error_description": {"<script>alert(1)"}, "error_hint": {"<script>"}}.Encode(), nil)
		if strings.Contains(got.header.Get("Location"), "%3Cscript") {
			t.Errorf("the client is told %s", got.header.Get("Location"))
		}
		return got
	}, 303, webRedirect + "?error=server_error"},
	{"a sign-in to the portal as the attacker", func(t *testing.T, a *attacked) response {
		t.Helper()
		begun := visitor{}.send(t, a.Own+"/portal/signin", nil)
		victim := visitor{}
		victim.send(t, a.Own+"/portal/signin", nil)
		got := victim.send(t, a.signsIn(t, begun.header.Get("Location")), nil)
		if victim["__Host-gatehouse-portal"] != "" {
			t.Error("the victim is signed in")
		}
		return got
	}, 400, "This browser did not begin this sign-in"},
	{"a form of elsewhere in the portal, with the person's cookie", func(t *testing.T, a *attacked) response {
		t.Helper()
		return a.inPortal(t).send(t, a.Own+"/portal/applications/"+a.owned.ID+"/delete", url.Values{}, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site")
	}, 403, "This form was not sent from here"},
	{"the portal's way back to a page of elsewhere", func(t *testing.T, a *attacked) response {
		t.Helper()
		v := visitor{}
		begun := v.send(t, a.Own+"/portal/signin?next="+url.QueryEscape("//evil.example/portal/"), nil)
		return v.send(t, a.signsIn(t, begun.header.Get("Location")), nil)
	}, 303, " /portal/apis"},
}

// inPortal is a person who has signed in to the portal.
func (a *attacked) inPortal(t *testing.T) visitor {
	t.Helper()
	v := visitor{}
	begun := v.send(t, a.Own+"/portal/signin", nil)
	v.send(t, a.signsIn(t, begun.header.Get("Location")), nil)
	if v["__Host-gatehouse-portal"] == "" {
		t.Fatal("nobody is signed in")
	}
	return v
}

func wantsCode(t *testing.T, got response) {
	t.Helper()
	if told(t, got).Get("code") == "" {
		t.Fatalf("got %d %s %s, want a code", got.status, got.header.Get("Location"), got.body)
	}
}

// replaced is an address with another value of one parameter.
func replaced(t *testing.T, at, name, value string) string {
	t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	u.RawQuery = changed(u.Query(), []string{name, value}).Encode()
	return u.String()
}

// asks is an attack by an authorization request of a client that a developer
// vouches for, which is told.
func asks(name, code string, changes ...string) attack {
	return attack{name, func(t *testing.T, a *attacked) response {
		t.Helper()
		before := a.standin.Requests(standin.Authorize)
		page := visitor{}.send(t, a.request(a.stranger, append([]string{"state", "abc"}, changes...)...), nil)
		expects(t, "nobody is sent by themselves to a client that nobody vouches for", page, 400, code)
		got := visitor{}.send(t, a.request(a.owned, changes...), nil)
		if q := told(t, got); q.Has("code") || a.standin.Requests(standin.Authorize) != before || page.header.Get("Location") != "" {
			t.Errorf("the client is told %v, and people are sent to %q", q, page.header.Get("Location"))
		}
		return got
	}, 303, webRedirect + "?error=" + code}
}

// onRequests are authorization requests for more than a client may have.
var onRequests = []attack{
	asks("no challenge (workers-oauth-provider CVE-2025-4144)", "invalid_request", "code_challenge", "", "code_challenge_method", ""),
	asks("a method without a challenge (workers-oauth-provider, hevy-mcp #682)", "invalid_request", "code_challenge", ""),
	asks("the method plain", "invalid_request", "code_challenge_method", "plain"),
	asks("a challenge that is no SHA-256", "invalid_request", "code_challenge", "abc"),
	asks("the implicit grant", "unsupported_response_type", "response_type", "token"),
	asks("the hybrid flow", "unsupported_response_type", "response_type", "code id_token"),
	asks("an answer in the fragment", "invalid_request", "response_mode", "fragment"),
	asks("a request object elsewhere", "invalid_request", "request_uri", "http://169.254.169.254/latest"),
	asks("a resource that is none of ours (FastMCP CVE-2025-69196)", "invalid_target", "resource", "https://elsewhere.example/"),
	asks("the base URL as a resource (FastMCP CVE-2025-69196)", "invalid_target", "resource", "http://localhost/"),
	asks("a scope that no API has", "invalid_scope", "scope", "orders:read everything"),
	asks("a scope of our own API", "invalid_scope", "scope", "gatehouse:admin"),
	asks("a scope that the client is not registered for", "invalid_scope", "scope", "orders:admin"),
	{"a redirect URI twice", func(t *testing.T, a *attacked) response {
		t.Helper()
		return visitor{}.send(t, a.request(a.owned)+"&redirect_uri="+url.QueryEscape(a.elsewhere), nil)
	}, 400, "twice"},
	{"a client that there is not", func(t *testing.T, a *attacked) response {
		t.Helper()
		return visitor{}.send(t, a.request(party{ClientID: "0oanobody", redirect: a.elsewhere}), nil)
	}, 400, "not registered"},
	{"markup as a client", func(t *testing.T, a *attacked) response {
		t.Helper()
		got := visitor{}.send(t, a.request(a.owned, "client_id", "<script>alert(1)</script>"), nil)
		if strings.Contains(got.body, "<script") {
			t.Errorf("the page is %s", got.body)
		}
		return got
	}, 400, "not registered"},
	{"a token for another audience, which is our base URL (FastMCP CVE-2025-69196)", func(t *testing.T, a *attacked) response {
		t.Helper()
		return send(t, http.MethodGet, a.REST+"/orders", bearer(a.minted(t, "aud", a.Own))...)
	}, 401, "Unauthorized"},
}

// TestRedirectURIsThatAreNotRegistered lead nowhere: no client, no code, no
// provider, but a page (workers-oauth-provider CVE-2025-4143, turbo-ea
// GHSA-wx5f-576r-gpcx, fastmcp #262, workers-oauth-provider #80 and #98; RFC 8252
// sections 7.3 and 8.3).
func TestRedirectURIsThatAreNotRegistered(t *testing.T) {
	t.Parallel()
	a := attackable(t)
	uris := []string{
		"https://evil.example/cb", "https://app.example.com.evil.example/cb", "https://evil-app.example.com/cb", "https://x.app.example.com/cb",
		"https://app.example.com@evil.example/cb", "https://app.example.com:x@evil.example/cb", `https://evil.example\@app.example.com/cb`, `https://app.example.com\cb`,
		"https://app.example.com/cb/", "https://app.example.com/cb/../x", "https://app.example.com/cbx", "https://app.example.com/c", "https://app.example.com/CB",
		"https://app.example.com/cb?x=1", "https://app.example.com/cb?", "https://app.example.com/cb#x", "https://app.example.com/cb#", "https://app.example.com/cb%00",
		"https://app.example.com/cb%2f..%2fx", "https://app.example.com/%63b", "https://app.example.com:443/cb", "https://APP.example.com/cb", "https://app.example.com./cb",
		"https://аpp.example.com/cb", "https://app。example.com/cb", "http://app.example.com/cb", "//app.example.com/cb", "https:app.example.com/cb", "https://app.example.com/cb\r\nX: y",
		" https://app.example.com/cb", "https://app.example.com/cb,https://evil.example", "https://evil.example?https://app.example.com/cb",
		"javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\tscript:alert(1)", "java\u200bscript:alert(1)", "\x01javascript:alert(1)", "javascript://app.example.com/cb?%0aalert(1)",
		"data:text/html,<script>alert(1)</script>", "DATA:text/html;base64,PHNjcmlwdD4=", "vbscript:msgbox(1)", "file:///etc/passwd", "blob:https://app.example.com/cb", "about:blank",
		"http://localhost/cb", "http://localhost:1234/cb", "http://127.0.0.2/cb", "http://127.1/cb", "http://2130706433/cb", "http://[::1]/cb", "http://[::ffff:127.0.0.1]/cb",
		"http://0.0.0.0/cb", "http://127.0.0.1:0/cb", "http://127.0.0.1:65536/cb", "http://127.0.0.1:80@evil.example/cb", "http://127.0.0.1.evil.example/cb",
		"http://127.0.0.1:1234/", "http://127.0.0.1:1234/cb/", "http://127.0.0.1:1234/cb?x", "https://127.0.0.1/cb", "*", "urn:ietf:wg:oauth:2.0:oob",
	}
	before := a.state(t)
	for _, uri := range uris {
		for _, p := range []party{a.owned, a.native, a.stranger} {
			for _, changes := range [][]string{nil, {"response_type", "token"}, {"code_challenge", ""}, {"scope", "none"}} {
				got := visitor{}.send(t, a.request(p, append(changes, "redirect_uri", uri)...), nil)
				if got.status != http.StatusBadRequest || got.header.Get("Location")+got.header.Get("Refresh")+got.header.Get("Set-Cookie") != "" || strings.Contains(got.body, "href=") {
					t.Errorf("%q of a client at %s with %v: got %d %v %s", uri, p.redirect, changes, got.status, got.header, got.body)
				}
			}
		}
	}
	if diff := cmp.Diff(before, a.state(t)); diff != "" || a.standin.Requests(standin.Authorize) != 0 {
		t.Errorf("it changes something, or %d people were sent to the provider: %s", a.standin.Requests(standin.Authorize), diff)
	}
	for _, port := range []string{"1", "1234", "65535"} { // which the system gives
		a.code(t, a.native, "redirect_uri", "http://127.0.0.1:"+port+"/cb")
	}
	tooltest.Count(t, "attacks refused by the whole system: redirect URIs that lead elsewhere", int64(len(uris)))
}

// TestRequestsThatAreNone break nothing (workers-oauth-provider 0.8.3: a
// Content-Type and a Basic header that were answered by 500), and scripts of other
// pages are kept from what people are sent to.
func TestRequestsThatAreNone(t *testing.T) {
	t.Parallel()
	a := attackable(t)
	before := a.state(t)
	headers := [][]string{
		{"Authorization", "Basic"}, {"Authorization", "Basic "}, {"Authorization", "Basic !!!"}, {"Authorization", "Basic Og=="}, {"Authorization", "Basic YQ=="},
		{"Authorization", "Basic /////w=="}, {"Authorization", "Basic JTo="}, {"Authorization", "basic  YTpi"}, {"Authorization", "Bearer " + strings.Repeat("a", 5000)},
		{"Authorization", "Digest username=\"a\""}, {"Authorization", "\xff\xfe"}, {"Authorization", "Basic YTpi", "Authorization", "Basic YTpi"},
		{"Content-Type", ""}, {"Content-Type", "application/json"}, {"Content-Type", "multipart/form-data"}, {"Content-Type", "application/x-www-form-urlencoded; charset=\xff"},
		{"Content-Type", "a/b; a=b; a=c"}, {"Content-Type", "application/x-www-form-urlencoded, application/json"}, {"Content-Encoding", "gzip"}, {"Cookie", "__Host-gatehouse-state-=; =; ;;;"},
		{"Cookie", "__Host-gatehouse-portal=\xff"}, {"Accept", strings.Repeat("a/b,", 500)}, {"Origin", "null"}, {"Origin", "://"}, {"Idempotency-Key", strings.Repeat("k", 5000)},
		{"Host", "evil.example"}, {"Content-Length", "0"}, {"If-None-Match", "*"}, {"Range", "bytes=0-1"}, {"Expect", "200-ok"}, {"Accept-Language", "\xff"}, {"X-Forwarded-For", strings.Repeat("1,", 2000)},
	}
	bodies := []string{"", "x", "%", "grant_type=%zz", "a=b;c=d", "grant_type=authorization_code&grant_type=password", "\x00\xff", "{", `{"client_name":`, "[[[[[[[[[[[[", strings.Repeat("a=b&", 5000)}
	answers := 0
	for _, path := range []string{"/token", "/revoke", "/introspect", "/authorize/consent", "/register", "/portal/signout", "/portal/try", "/register/x", "/authorize", "/callback"} {
		for n, header := range headers {
			got := raw(t, http.MethodPost, a.Own+path, bodies[n%len(bodies)], header...)
			if answers++; got.status < 300 || got.status >= 500 {
				t.Errorf("POST %s %q %q: got %d %s", path, header, bodies[n%len(bodies)], got.status, got.body)
			}
			if got := raw(t, http.MethodGet, a.Own+path, "", header...); got.status >= 500 {
				t.Errorf("GET %s %q: got %d %s", path, header, got.status, got.body)
			}
		}
		for _, body := range bodies {
			got := raw(t, http.MethodPost, a.Own+path, body, "Content-Type", "application/x-www-form-urlencoded")
			if answers++; got.status < 300 || got.status >= 500 {
				t.Errorf("POST %s %.30q: got %d %s", path, body, got.status, got.body)
			}
		}
	}
	for _, path := range []string{"/authorize", "/callback", "/authorize/consent", "/portal", "/portal/apis", "/portal/signin"} {
		got := send(t, http.MethodGet, a.Own+path, "Origin", "https://evil.example")
		if got.header.Get("Access-Control-Allow-Origin") != "" || got.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: a script of another page may read it: %v", path, got.header)
		}
	}
	for _, query := range []string{"cursor=' OR 1=1--", "cursor=\xff", "cursor=" + a.owned.ID, "cursor=e30", "limit=-1", "limit=1e9", "cursor=../../etc"} { // Hydra CVE-2026-33504
		name, value, _ := strings.Cut(query, "=")
		got := send(t, http.MethodGet, a.Own+"/applications?"+url.Values{name: {value}}.Encode(), a.developer(t)...)
		if answers++; got.status != http.StatusBadRequest {
			t.Errorf("%q: got %d %s", query, got.status, got.body)
		}
	}
	if diff := cmp.Diff(before, a.state(t)); diff != "" {
		t.Errorf("it changes something: -before +after:\n%s", diff)
	}
	tooltest.Count(t, "attacks refused by the whole system: requests that are none", int64(answers))
}

// raw sends a request with a body as it is.
func raw(t *testing.T, method, at, body string, header ...string) response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, at, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n+1 < len(header); n += 2 {
		if header[n] == "Host" {
			req.Host = header[n+1]
			continue
		}
		req.Header[header[n]] = append(req.Header[header[n]], header[n+1])
	}
	return received(t, req)
}
