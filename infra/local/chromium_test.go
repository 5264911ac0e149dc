package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"gatehouse/infra/tooltest"
)

// This file is Chromium, for the tests in which a person looks at pages.

// browser is Chromium.
type browser struct{ ctx context.Context }

// newBrowser starts one that runs until the test ends.
func newBrowser(t *testing.T) browser {
	t.Helper()
	names := []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}
	at := slices.IndexFunc(names, func(name string) bool { _, err := exec.LookPath(name); return err == nil })
	if at < 0 {
		tooltest.Missing(t, errors.New("there is no Chromium in PATH"))
	}
	dir := t.TempDir()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(names[at]),
		chromedp.UserDataDir(filepath.Join(dir, "profile")), chromedp.Env("TMPDIR="+dir),
		// Whatever it would like to know by itself is not to be had here.
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"),
	)
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // which it does not have for root
	}
	ctx, stop := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Errorf("the browser does not end: %v", err)
		}
	})
	return browser{ctx}
}

// tab is one tab of a browser that has never been anywhere.
type tab struct {
	t      *testing.T
	ctx    context.Context
	status int64    // of the page that is open
	wanted []string // addresses of pages that were refused

	mu         sync.Mutex // guards complaints
	complaints []complaint
}

// complaint is what a person would see in the browser's console, or among what
// it finds wrong with a page.
type complaint struct{ at, text string }

// patience is for a machine that has much else to do.
const patience = 5 * time.Minute

// tab opens a tab. Whatever the browser has to complain about there fails the
// test, but for the status of a page.
func (c browser) tab(t *testing.T) *tab {
	t.Helper()
	b := &tab{t: t}
	ctx, stop := chromedp.NewContext(c.ctx, chromedp.WithNewBrowserContext(), chromedp.WithListener(b.listen))
	t.Cleanup(stop)
	b.ctx, stop = context.WithTimeout(ctx, patience)
	t.Cleanup(stop)
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, c := range b.complaints {
			if !slices.Contains(b.wanted, c.at) {
				t.Errorf("the browser complains about %s: %s", c.at, c.text)
			}
		}
	})
	call(b, audits.Enable, cdp.Empty{})
	return b
}

// withoutScripts has the tab run no scripts, as some people have theirs.
func (b *tab) withoutScripts() {
	b.t.Helper()
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
}

func (b *tab) listen(event any) {
	var c complaint
	switch e := event.(type) {
	case *log.EventEntryAdded:
		c = complaint{e.Entry.URL, e.Entry.Text}
	case *runtime.EventConsoleAPICalled:
		c.text = "a script writes to the console"
	case *runtime.EventExceptionThrown:
		c.text = e.ExceptionDetails.Text
	case *audits.EventIssueAdded:
		if e.Issue.Code == audits.InspectorIssueCodeBounceTrackingIssue {
			return // to it, every sign-in by redirects may look like that
		}
		text, err := json.Marshal(e.Issue)
		c.text = fmt.Sprint(string(text), err)
	default:
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.complaints = append(b.complaints, c)
}

// call sends the browser a command about a tab.
func call[P, R any](b *tab, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	result, err := chromedp.Call(b.ctx, command, params)
	if err != nil {
		b.t.Fatal(err)
	}
	return result
}

// value runs an action that has one.
func value[T any](b *tab, action chromedp.Action[T]) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, action)
	for n := 0; gone(err) && n < attempts; n++ {
		v, err = chromedp.Run(b.ctx, action)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

// attempts is how often something is done again because a page was replaced
// while it was looked at.
const attempts = 20

// gone reports whether what an action found had left the page by then, so that
// nothing was done.
func gone(err error) bool {
	if err == nil || !strings.Contains(err.Error(), "No node with given id") {
		return false
	}
	time.Sleep(50 * time.Millisecond)
	return true
}

// arrive does what leads to another page.
func (b *tab) arrive(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	answer, err := chromedp.RunResponse(b.ctx, steps...)
	for n := 0; gone(err) && len(steps) == 1 && n < attempts; n++ {
		answer, err = chromedp.RunResponse(b.ctx, steps...)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	if b.status = answer.Status; b.status >= http.StatusBadRequest {
		b.wanted = append(b.wanted, answer.URL)
	}
}

// open types an address.
func (b *tab) open(at string) {
	b.t.Helper()
	b.arrive(chromedp.Navigate(at))
}

// click clicks what a selector finds.
func (b *tab) click(selector string) {
	b.t.Helper()
	b.arrive(chromedp.Click(chromedp.CSS(selector)))
}

// signIn types into the provider's page, and sends it.
func (b *tab) signIn(username, password string) {
	b.t.Helper()
	b.arrive(
		chromedp.SendKeys(chromedp.CSS("#username"), username),
		chromedp.SendKeys(chromedp.CSS("#password"), password),
		chromedp.Click(chromedp.CSS("button.go")),
	)
}

// sees fails unless the person is at a place that answered with a status, and
// reads a text there.
func (b *tab) sees(status int64, at, text string) {
	b.t.Helper()
	is, body := place(value(b, chromedp.Location())), value(b, chromedp.Text(chromedp.CSS("body")))
	if b.status != status || is != at || !strings.Contains(body, text) {
		b.t.Errorf("got %d %s: %q, want %d %s: %q", b.status, is, body, status, at, text)
	}
}

// showsFocus fails unless a person who uses the keyboard gets to every control
// and sees where they are.
func (b *tab) showsFocus(page string) {
	b.t.Helper()
	const focus = `(() => {
		const at = document.activeElement, style = getComputedStyle(at);
		return at.matches("a, button, input, select, textarea") && style.outlineStyle === "solid" && parseFloat(style.outlineWidth) >= 2 ? "" : at.outerHTML;
	})()`
	for range value(b, chromedp.Evaluate[int](`document.querySelectorAll("a, button:not([hidden]), input:not([type=hidden], [type=radio]:not(:checked)), select, textarea").length`)) {
		value(b, chromedp.KeyEvent(kb.Tab))
		if at := value(b, chromedp.Evaluate[string](focus)); at != "" {
			b.t.Errorf("%s: got no visible focus at %s", page, at)
		}
	}
}

// fits takes a picture of the page, which must not be wider than the window.
func (b *tab) fits(page string, width int64, scheme string) {
	b.t.Helper()
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	value(b, chromedp.EmulateViewport(width, 640))
	if is := value(b, chromedp.Evaluate[int64](`document.documentElement.scrollWidth`)); is > width {
		b.t.Errorf("%s: got a page %d wide, want %d", page, is, width)
	}
	picture := value(b, chromedp.FullScreenshot(100))
	if err := os.WriteFile(filepath.Join(b.t.ArtifactDir(), fmt.Sprintf("%s, %d, %s.png", page, width, scheme)), picture, 0o600); err != nil {
		b.t.Fatal(err)
	}
}
