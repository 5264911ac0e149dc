package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"gatehouse/shared/oauth"
)

// The tests of this file are a person's who signs in: Chromium opens the pages,
// with all that browsers do by themselves about cookies, redirects and policies.

// Buttons of the consent page.
const (
	allow = `button[value="allow"]`
	deny  = `button[value="deny"]`
)

// clientApp is an application that waits at its redirect URI.
type clientApp struct {
	id, redirect string
	verifier     string
	told         chan url.Values
}

// newClientApp starts the application's own server.
func newClientApp(t *testing.T) *clientApp {
	t.Helper()
	a := &clientApp{verifier: oauth.NewVerifier(), told: make(chan url.Values, 10)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /callback", func(w http.ResponseWriter, r *http.Request) {
		a.told <- r.URL.Query()
		_, _ = io.WriteString(w, `<!doctype html><html lang="en"><title>Done</title><link rel="icon" href="data:,"><h1>done</h1>`)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	a.redirect = server.URL + "/callback"
	return a
}

// begin is the address that the application sends a browser to.
func (a *clientApp) begin(r *running, changes ...string) string {
	q := url.Values{
		"response_type": {"code"}, "client_id": {a.id}, "redirect_uri": {a.redirect}, "state": {"xyz"}, "scope": {"orders:read"},
		"code_challenge": {oauth.Challenge(a.verifier)}, "code_challenge_method": {oauth.S256},
	}
	for n := 0; n+1 < len(changes); n += 2 {
		q.Set(changes[n], changes[n+1])
	}
	return r.Own + "/authorize?" + q.Encode()
}

// hears returns what the application is told, with its state and our issuer.
func (a *clientApp) hears(t *testing.T, r *running) url.Values {
	t.Helper()
	select {
	case told := <-a.told:
		if told.Get("state") != "xyz" || told.Get("iss") != r.Own {
			t.Errorf("the application is told %v", told)
		}
		return told
	default:
		t.Fatal("the application is told nothing")
		return nil
	}
}

// redeems fails unless the code that the application is told becomes tokens.
func (a *clientApp) redeems(t *testing.T, r *running) {
	t.Helper()
	s := &story{system: r.system, out: io.Discard, client: http.DefaultClient}
	s.ask(t.Context(), r.Own+"/token", url.Values{
		"grant_type": {oauth.AuthorizationCode}, "client_id": {a.id}, "code": {a.hears(t, r).Get("code")}, "code_verifier": {a.verifier},
	}, nil)
	if s.err != nil {
		t.Error(s.err)
	}
}

// register registers the application: as a developer does, or by itself.
func (a *clientApp) register(t *testing.T, address string, members map[string]any, header ...string) {
	t.Helper()
	m := map[string]any{
		"client_name": "A client", "redirect_uris": []string{a.redirect}, "token_endpoint_auth_method": oauth.PublicClient,
		"grant_types": []string{oauth.AuthorizationCode, oauth.RefreshToken}, "scope": "orders:read",
	}
	maps.Copy(m, members)
	body, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	got := sendJSON(t, http.MethodPost, address, string(body), header...)
	var registered struct {
		ClientID string `json:"client_id"`
	}
	if err := json.Unmarshal([]byte(got.body), &registered); err != nil || registered.ClientID == "" {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	a.id = registered.ClientID
}

// developed is an application of a developer's, and stranger one that registers
// itself.
func (r *running) developed(t *testing.T) *clientApp {
	t.Helper()
	a := newClientApp(t)
	a.register(t, r.Own+"/applications", map[string]any{"contracts": []map[string]string{{"api": "orders", "tier": "trial"}}}, r.developer(t)...)
	return a
}

func (r *running) stranger(t *testing.T, members map[string]any) *clientApp {
	t.Helper()
	a := newClientApp(t)
	a.register(t, r.Own+"/register", members)
	return a
}

// openFiles are those of this repository, but for clients that may register
// themselves.
func openFiles(t *testing.T) files {
	t.Helper()
	f := repositoryFiles()
	const closed = "# dynamic: {provider: okta, open: false}"
	text := string(contents(t, f.Config))
	if !strings.Contains(text, closed) {
		t.Fatalf("%s does not have %q", f.Config, closed)
	}
	f.Config = filepath.Join(t.TempDir(), "gatehouse.yaml")
	if err := os.WriteFile(f.Config, []byte(strings.Replace(text, closed, "dynamic: {provider: okta, open: true}", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestAPersonSignsInWithABrowser(t *testing.T) {
	t.Parallel()
	c := newBrowser(t)
	r := start(t, openFiles(t))
	for name, test := range map[string]func(*testing.T, browser, *running){
		"to an application of a developer":                           signsIn,
		"to one that nobody vouches for, by keyboard, if they agree": agrees,
		"to none that they do not want":                              declines,
		"but not with the request of another browser":                crosses,
		"and finds the pages in order":                               looks,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, c, r)
		})
	}
}

func signsIn(t *testing.T, c browser, r *running) {
	t.Helper()
	a, b := r.developed(t), c.tab(t)
	b.withoutScripts()
	b.open(a.begin(r))
	b.sees(http.StatusOK, r.issuer()+"/v1/authorize", "Sign in to")
	if got, want := b.cookies(r), []string{"__Host- true, Secure true, HttpOnly true, SameSite Lax"}; !slices.Equal(got, want) {
		t.Errorf("got the cookies %q, want %q", got, want)
	}
	b.signIn(userLogin, "wrong")
	b.sees(http.StatusForbidden, r.issuer()+"/v1/authorize", "The username or password is wrong.")
	b.signIn("", userPassword) // the name is still there
	b.sees(http.StatusOK, a.redirect, "done")
	a.redeems(t, r)
	if left := b.cookies(r); len(left) != 0 {
		t.Errorf("got the cookies %q afterwards, want none", left)
	}
}

// cookies says of each cookie that the browser has for the broker what it is like.
func (b *tab) cookies(r *running) []string {
	b.t.Helper()
	var all []string
	for _, c := range call(b, network.GetCookies, network.GetCookiesParams{URLs: []string{r.Own}}).Cookies {
		all = append(all, fmt.Sprintf("__Host- %t, Secure %t, HttpOnly %t, SameSite %s", strings.HasPrefix(c.Name, "__Host-"), c.Secure, c.HTTPOnly, c.SameSite))
	}
	return all
}

func agrees(t *testing.T, c browser, r *running) {
	t.Helper()
	a, b := r.stranger(t, nil), c.tab(t)
	b.withoutScripts()
	b.open(a.begin(r))
	b.sees(http.StatusOK, r.Own+"/authorize", "Nobody here has checked this application")
	tab, enter := chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Enter)
	b.arrive(tab, enter)
	b.sees(http.StatusOK, r.issuer()+"/v1/authorize", "Sign in to")
	b.arrive(tab, chromedp.KeyEvent(userLogin), tab, chromedp.KeyEvent(userPassword), enter)
	b.sees(http.StatusOK, a.redirect, "done")
	a.redeems(t, r)
}

func declines(t *testing.T, c browser, r *running) {
	t.Helper()
	a, b := r.stranger(t, nil), c.tab(t)
	for _, where := range []struct {
		name string
		do   func()
	}{
		{"here", func() { b.click(deny) }},
		{"at the provider", func() { b.click(allow); b.click(`button[value="cancel"]`) }},
	} {
		b.open(a.begin(r))
		where.do()
		b.sees(http.StatusOK, a.redirect, "done")
		if told := a.hears(t, r); told.Get("error") != oauth.AccessDenied || told.Has("code") {
			t.Errorf("%s: the application is told %v", where.name, told)
		}
	}
}

// crosses has somebody else sign in, and sends a person to where that leads. They
// must not end up in the application as somebody else.
func crosses(t *testing.T, c browser, r *running) {
	t.Helper()
	a, theirs, ours := r.developed(t), c.tab(t), c.tab(t)
	theirs.open(a.begin(r))
	back, err := newPerson().open(t.Context(), value(theirs, chromedp.Location()), url.Values{"username": {userLogin}, "password": {userPassword}, "action": {"login"}})
	if err != nil {
		t.Fatal(err)
	}
	ours.open(back)
	ours.sees(http.StatusBadRequest, r.Own+"/callback", "This browser did not begin this sign-in")
	if len(a.told) != 0 {
		t.Errorf("the application is told %v", <-a.told)
	}
	theirs.open(back)
	theirs.sees(http.StatusOK, a.redirect, "done")
	a.redeems(t, r)
}

// Names as long and as unbreakable as clients may choose them.
var (
	longName     = strings.Repeat("W", 70)
	longRedirect = "https://" + strings.Repeat(strings.Repeat("w", 60)+".", 3) + "example.com/callback"
)

// looks opens every page, on a phone and on a screen, by day and by night. Run
// with -artifacts and -outputdir to keep the pictures.
func looks(t *testing.T, c browser, r *running) {
	t.Helper()
	const scopes = "orders:read orders:write orders:admin"
	short := r.stranger(t, nil)
	long := r.stranger(t, map[string]any{"client_name": longName, "redirect_uris": []string{longRedirect}, "scope": scopes})
	long.redirect = longRedirect
	for name, lead := range map[string]func(*tab){
		"consent":            func(b *tab) { b.open(short.begin(r, "resource", r.REST+"/orders")) },
		"consent, long":      func(b *tab) { b.open(long.begin(r, "scope", scopes)) },
		"refusal":            func(b *tab) { b.open(r.Own + "/authorize") },
		"refusal, back":      func(b *tab) { b.open(short.begin(r, "scope", "orders:none")) },
		"refusal, back long": func(b *tab) { b.open(long.begin(r, "scope", "orders:none")) },
		"login":              func(b *tab) { b.open(short.begin(r)); b.click(allow) },
		"login, long":        func(b *tab) { b.open(long.begin(r)); b.click(allow) },
		"login, failed":      func(b *tab) { b.open(short.begin(r)); b.click(allow); b.signIn(userLogin, "wrong") },
		"login, refusal":     func(b *tab) { b.open(r.issuer() + "/v1/authorize") },
	} {
		b := c.tab(t)
		lead(b)
		b.showsFocus(name)
		for _, width := range []int64{320, 1024} {
			for _, scheme := range []string{"light", "dark"} {
				b.fits(name, width, scheme)
			}
		}
	}
}
