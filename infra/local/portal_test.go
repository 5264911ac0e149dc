package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"gatehouse/infra/tooltest"
)

// The tests of this file are a person's in the portal: what is clicked there is
// done at the stand-in, and opens the API.

var pictures = flag.Bool("pictures", false, "write the pictures of the portal in docs/images")

func TestThePortal(t *testing.T) {
	t.Parallel()
	c := newBrowser(t)
	r := start(t, repositoryFiles())
	for name, test := range map[string]func(*testing.T, browser, *running){
		"leads from signing in to an answer of the API, without scripts":      getsAccess,
		"lets owners of an API approve and revoke, and shows both to all":     decides,
		"lets people look after what they have":                               looksAfter,
		"shows administrators how the providers are":                          administers,
		"keeps people out whom the provider or their browser does not let in": keepsOut,
		"is in order on every page":                                           portalLooks,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, c, r)
		})
	}
}

// portal is an address in the portal.
func (r *running) portal(path string) string { return r.Own + "/portal" + path }

// enters signs a person in to the portal, at the page that they want to see.
func (b *tab) enters(r *running, path string) {
	b.t.Helper()
	b.open(r.portal(path))
	b.click(`a.button.go`)
	b.sees(http.StatusOK, r.issuer()+"/v1/authorize", "Sign in to The Gatehouse portal")
	b.signIn(userLogin, userPassword)
}

// reads returns the text of an element.
func (b *tab) reads(selector string) string {
	b.t.Helper()
	return value(b, chromedp.TextContent(chromedp.CSS(selector)))
}

// fill makes a text that of a field.
func (b *tab) fill(selector, text string) {
	b.t.Helper()
	action := chromedp.SetValue(chromedp.CSS(selector), text)
	if text == "" {
		action = chromedp.Clear(chromedp.CSS(selector))
	}
	value(b, action)
}

// tick clicks what leads to no other page.
func (b *tab) tick(selector string) {
	b.t.Helper()
	value(b, chromedp.Click(chromedp.CSS(selector)))
}

// only takes away the cards that are about something else.
func (b *tab) only(text string) {
	b.t.Helper()
	const others = `[...document.querySelectorAll("main section")].filter(card => !card.innerText.includes(%q)).forEach(card => card.remove()) ?? true`
	value(b, chromedp.Evaluate[bool](fmt.Sprintf(others, text)))
}

// shownClient is a client as the portal has shown it.
type shownClient struct{ id, secret string }

// asks asks for access to the orders, with a new application.
func (b *tab) asks(r *running, name, tier string) shownClient {
	b.t.Helper()
	b.open(r.portal("/apis/orders/request"))
	b.fill("#name", name)
	b.tick(fmt.Sprintf(`input[name="tier"][value=%q]`, tier))
	b.fill("#reason", "the monthly reports")
	b.tick(`input[name="terms"]`)
	b.click("main form button.go")
	b.sees(http.StatusOK, r.portal("/apis/orders/request"), name+" is registered")
	return shownClient{b.reads("#client-id"), b.reads("#client-secret")}
}

func getsAccess(t *testing.T, c browser, r *running) {
	t.Helper()
	b := c.tab(t)
	b.withoutScripts()
	b.open(r.Own + "/portal")
	b.sees(http.StatusOK, r.Own+"/portal", "Here you ask for access to APIs")
	b.click("a.button.go")
	b.signIn(userLogin, userPassword)
	b.sees(http.StatusOK, r.portal("/apis"), "orders")
	if got, want := b.cookies(r), []string{"__Host- true, Secure true, HttpOnly true, SameSite Lax"}; !slices.Equal(got, want) {
		t.Errorf("got the cookies %q, want %q", got, want)
	}
	b.click("main h2 a")
	b.sees(http.StatusOK, r.portal("/apis/orders"), "GET /orders/{id}")
	b.click("main a.button.go")
	b.tick(`input[name="postman"]`)
	b.fill("#name", "Clicked reports")
	b.tick(`input[name="terms"]`)
	b.click("main form button.go")
	b.sees(http.StatusOK, r.portal("/apis/orders/request"), "Copy the secret now.")
	client := shownClient{b.reads("#client-id"), b.reads("#client-secret")}
	if !strings.Contains(b.reads("#curl-token"), client.id+":"+client.secret) || !strings.Contains(b.reads("#curl-call"), r.REST+"/orders") {
		t.Errorf("got the lines %q and %q, want them ready to paste", b.reads("#curl-token"), b.reads("#curl-call"))
	}
	b.pastes(t)
	environment := b.downloads(t)
	for name, want := range map[string]string{
		"client_id": client.id, "client_secret": client.secret, "token_url": r.Own + "/token", "authorize_url": r.Own + "/authorize", "api_url": r.REST, "scope": "orders:read",
	} {
		if environment[name] != want {
			t.Errorf("Postman's environment has %s %q, want %q", name, environment[name], want)
		}
	}
	b.click(`main p a[href*="/try?"]`)
	b.fill("#secret", client.secret)
	b.click("main form button.go")
	b.sees(http.StatusOK, r.portal("/try"), "200 OK")
	b.sees(http.StatusOK, r.portal("/try"), "has access, in the tier trial")
	b.fill("#secret", client.secret)
	value(b, chromedp.SetValue(chromedp.CSS("#method"), "POST"))
	b.fill("#body", `{"item":"lamp","quantity":1}`)
	b.click("main form button.go")
	b.sees(http.StatusOK, r.portal("/try"), "403 Forbidden")
	b.sees(http.StatusOK, r.portal("/try"), "it needs the scopes “orders:write”")
	if text := r.log.String(); strings.Contains(text, client.secret) {
		t.Error("the secret is in the log")
	}
	b.click("header .who button")
	b.sees(http.StatusOK, r.Own+"/portal", "Sign in")
	if left := b.cookies(r); len(left) != 0 {
		t.Errorf("got the cookies %q after signing out, want none", left)
	}
}

// pastes runs the lines of the page as a person does.
func (b *tab) pastes(t *testing.T) {
	t.Helper()
	for _, name := range []string{"sh", "curl"} {
		if _, err := exec.LookPath(name); err != nil {
			tooltest.Missing(t, err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", b.reads("#curl-token")+"\n"+b.reads("#curl-call"))
	out, err := cmd.Output()
	if err != nil || !strings.HasPrefix(string(out), "HTTP/1.1 200") {
		t.Errorf("the lines give %v, %.100q, want HTTP 200", err, out)
	}
}

// downloads returns the values of the environment for Postman.
func (b *tab) downloads(t *testing.T) map[string]string {
	t.Helper()
	at := value(b, chromedp.Evaluate[string](`document.querySelector("a[download]").href`))
	text, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(at, "data:application/json;base64,"))
	var environment struct {
		Scope  string `json:"_postman_variable_scope"`
		Values []struct{ Key, Value string }
	}
	if err = errors.Join(err, json.Unmarshal(text, &environment)); err != nil || environment.Scope != "environment" {
		t.Fatalf("%v: %.60q is no environment", err, at)
	}
	all := map[string]string{}
	for _, v := range environment.Values {
		all[v.Key] = v.Value
	}
	return all
}

// decides has a system of its own: whoever was revoked once is approved by no tier
// any more, and all here are one person.
func decides(t *testing.T, c browser, _ *running) {
	t.Helper()
	r, b := start(t, repositoryFiles()), c.tab(t)
	b.enters(r, "/apis")
	b.asks(r, "Golden reports", "gold")
	b.sees(http.StatusOK, r.portal("/apis/orders/request"), "An owner of the API decides")
	for _, step := range []struct{ from, button, tell, to string }{
		{"pending", "approved", "", "approved"},
		{"approved", "revoked", "it asked for too much", "revoked"},
	} {
		b.open(r.portal("/inbox?status=" + step.from))
		b.sees(http.StatusOK, r.portal("/inbox"), "Golden reports → orders")
		b.only("Golden reports")
		if step.tell != "" {
			b.fill(`input[name="reason"]`, step.tell)
		}
		b.click(fmt.Sprintf("main button[value=%q]", step.button))
		b.sees(http.StatusOK, r.portal("/inbox"), "That is decided")
		b.open(r.portal("/inbox?status=" + step.to))
		b.sees(http.StatusOK, r.portal("/inbox"), "Golden reports → orders")
	}
	b.sees(http.StatusOK, r.portal("/inbox"), "it asked for too much")
	b.open(r.portal("/applications"))
	b.only("Golden reports")
	b.click("main h2 a")
	b.sees(http.StatusOK, place(value(b, chromedp.Location())), "Only an owner of the API can give it back.")
}

func looksAfter(t *testing.T, c browser, r *running) {
	t.Helper()
	b := c.tab(t)
	b.enters(r, "/apis")
	old := b.asks(r, "Kept reports", "trial")
	b.click(`main p.row a.button`) // to the application
	at := place(value(b, chromedp.Location()))
	b.sees(http.StatusOK, at, old.id)
	b.click(`a[href$="/edit"]`)
	b.fill("#name", "")
	value(b, chromedp.Evaluate[bool](`document.querySelector("main form").noValidate = true`))
	b.click("main form button.go")
	b.sees(http.StatusBadRequest, at+"/edit", "Name is missing")
	b.fill("#name", "Renamed reports")
	b.click("main form button.go")
	b.sees(http.StatusOK, at, "The application is changed.")
	b.sees(http.StatusOK, at, "Renamed reports")
	b.click(`a[href$="/secret"]`)
	b.sees(http.StatusOK, at+"/secret", "two secrets work at the same time")
	b.click("main form button.go")
	b.sees(http.StatusOK, at+"/secret", "The old secret works until the next rotation.")
	if fresh := b.reads("#client-secret"); fresh == old.secret || fresh == "" || b.reads("#client-id") != old.id {
		t.Error("the secret is not a new one of the same client")
	}
	b.open(at + "/secret")
	b.click("main button.bad")
	b.sees(http.StatusOK, at, "The old secret does not work any more.")
	b.click(`a[href*="/audit?"]`)
	b.sees(http.StatusOK, r.portal("/audit"), "application secret rotated")
	b.open(at + "/delete")
	b.sees(http.StatusOK, at+"/delete", "This cannot be undone")
	b.click("main button.bad")
	b.sees(http.StatusOK, r.portal("/applications"), "The application is deleted.")
	b.open(at)
	b.sees(http.StatusNotFound, at, "There is no such application among yours")
}

func administers(t *testing.T, c browser, r *running) {
	t.Helper()
	b := c.tab(t)
	b.enters(r, "/apis")
	b.open(r.portal("/providers"))
	b.sees(http.StatusForbidden, r.portal("/providers"), "This page is for administrators")
	b.click("main a.button.go")
	b.signIn(userLogin, userPassword)
	b.sees(http.StatusOK, r.portal("/providers"), "Its keys can be read")
	b.sees(http.StatusOK, r.portal("/providers"), r.issuer())
}

// keepsOut holds who is not let in to a page that says what to do.
func keepsOut(t *testing.T, c browser, r *running) {
	t.Helper()
	b := c.tab(t)
	b.open(r.portal("/applications"))
	b.sees(http.StatusUnauthorized, r.portal("/applications"), "Sign in first")
	b.click("main a.button.go")
	b.click(`button[value="cancel"]`)
	b.sees(http.StatusForbidden, r.portal("/callback"), "The provider did not sign you in")
	b.click("main a.button.go")
	b.signIn(userLogin, userPassword)
	b.sees(http.StatusOK, r.portal("/applications"), "My applications")
	b.open(r.portal("/callback?state=xyz&code=abc"))
	b.sees(http.StatusBadRequest, r.portal("/callback"), "This browser did not begin this sign-in")
	b.open(r.portal("/nothing"))
	b.sees(http.StatusNotFound, r.portal("/nothing"), "There is no such page")

	// A form of another site comes without the person's cookie, and from elsewhere.
	form := "data:text/html,<!doctype html><form method=post action=" + r.portal("/signout") + "><button>go</button></form>"
	b.wanted = append(b.wanted, "") // the browser says that it has kept the cookie back
	b.open(form)
	b.click("button")
	b.sees(http.StatusForbidden, r.portal("/signout"), "This form was not sent from here")
	b.open(r.portal("/applications"))
	b.sees(http.StatusOK, r.portal("/applications"), "My applications")
}

// portalLooks opens every page, on a phone and on a screen, by day and by night.
func portalLooks(t *testing.T, c browser, r *running) {
	t.Helper()
	axe := newAxe(t)
	b := c.tab(t)
	look := func(name string) {
		t.Helper()
		b.showsFocus(name)
		for _, scheme := range []string{"light", "dark"} {
			for _, width := range []int64{390, 1280} {
				b.fits(name, width, scheme)
				b.accessible(name, axe)
			}
		}
		b.pictured(name)
	}
	visit := func(name, path string) {
		t.Helper()
		b.open(r.portal(path))
		look(name)
	}
	visit("start", "")
	visit("signed out", "/apis")
	b.open(r.portal("/signin?as=admin"))
	b.signIn(userLogin, userPassword)
	look("apis")
	visit("applications, empty", "/applications")
	visit("inbox, empty", "/inbox?status=rejected")
	visit("audit, empty", "/audit")
	visit("api", "/apis/orders")
	visit("request", "/apis/orders/request")
	b.fill("#name", strings.Repeat("W", 70))
	b.tick(`input[name="way"][value="none"]`)
	b.tick(`input[name="terms"]`)
	b.click("main form button.go")
	b.sees(http.StatusBadRequest, r.portal("/apis/orders/request"), "Authentication is none, but client_credentials needs a secret")
	look("request, refused")
	client := b.asks(r, "Monthly reports", "gold")
	look("secret")
	b.copies("#client-secret")
	b.click(`main p a[href*="/try?"]`)
	look("try")
	b.fill("#path", "/orders?access_token=x")
	b.click("main form button.go")
	look("try, refused")
	b.open(r.portal("/try"))
	b.click("main form button.go")
	b.sees(http.StatusOK, r.portal("/try"), "401 Unauthorized")
	look("try, unauthorized")
	value(b, chromedp.Evaluate[bool](`[...document.querySelectorAll("#application option")].find(o => o.innerText == "Monthly reports").selected = true`))
	b.fill("#secret", client.secret)
	b.click("main form button.go")
	b.sees(http.StatusOK, r.portal("/try"), "the access of Monthly reports is pending")
	look("try, answered")
	visit("inbox", "/inbox")
	visit("applications", "/applications")
	b.click("main h2 a")
	at := strings.TrimPrefix(place(value(b, chromedp.Location())), r.portal(""))
	look("application")
	visit("edit", at+"/edit")
	visit("rotate", at+"/secret")
	visit("delete", at+"/delete")
	visit("audit", "/audit?application="+strings.TrimPrefix(at, "/applications/"))
	visit("providers", "/providers")
	visit("refusal", "/applications/none")
}

// copies clicks the button that copies a text, and sees that it is copied.
func (b *tab) copies(selector string) {
	b.t.Helper()
	const listen = `navigator.clipboard.writeText = (write => async text => { window.copied = text; await write.call(navigator.clipboard, text); })(navigator.clipboard.writeText)`
	value(b, chromedp.Evaluate[bool](`(() => { `+listen+`; return true; })()`))
	b.tick(fmt.Sprintf("button[data-copy=%q]", strings.TrimPrefix(selector, "#")))
	value(b, chromedp.Poll[bool](`document.getElementById("say").textContent == "Copied"`))
	if got := value(b, chromedp.Evaluate[string](`window.copied`)); got != b.reads(selector) {
		b.t.Errorf("got another text copied than that of %s", selector)
	}
}

// pictured keeps the page for the documents.
func (b *tab) pictured(page string) {
	b.t.Helper()
	shown := []string{"start", "apis", "api", "request", "secret", "try, answered", "inbox", "application", "providers", "audit"}
	if !*pictures || !slices.Contains(shown, page) {
		return
	}
	value(b, chromedp.Evaluate[bool](`document.activeElement.blur() ?? true`))
	b.fits(page, 1280, "light")
	picture := value(b, chromedp.FullScreenshot(100))
	name := "portal-" + strings.ReplaceAll(strings.ReplaceAll(page, ",", ""), " ", "-") + ".png"
	if err := errors.Join(os.MkdirAll("../../docs/images", 0o755), os.WriteFile(filepath.Join("../../docs/images", name), picture, 0o644)); err != nil {
		b.t.Fatal(err)
	}
}

// newAxe is the text of axe-core, which finds what keeps people from a page.
func newAxe(t *testing.T) string {
	t.Helper()
	const at = "testdata/axe"
	lock := contents(t, filepath.Join(at, "package-lock.json"))
	dir, err := tooltest.Cached(t.Context(), "axe-core-4.14.1", func(ctx context.Context, dir string) error {
		for name, text := range map[string][]byte{"package.json": contents(t, filepath.Join(at, "package.json")), "package-lock.json": lock} {
			if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
				return err
			}
		}
		cmd := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
		cmd.Dir = dir
		return tooltest.Run(cmd)
	})
	if err != nil {
		tooltest.Missing(t, err)
	}
	return string(contents(t, filepath.Join(dir, "node_modules/axe-core/axe.min.js")))
}

// accessible fails for what axe-core finds, up to WCAG 2.2 AA and its best
// practices.
func (b *tab) accessible(page, axe string) {
	b.t.Helper()
	value(b, chromedp.Evaluate[bool](axe+"\ntrue"))
	found := value(b, chromedp.Evaluate[string](
		`axe.run().then(r => r.violations.map(v => v.id + ": " + v.nodes.map(n => n.html + " " + n.failureSummary).join("; ")).join("\n"))`,
		chromedp.EvalAwaitPromise))
	if found != "" {
		b.t.Errorf("%s: axe finds\n%s", page, found)
	}
}
