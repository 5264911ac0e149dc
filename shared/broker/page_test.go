package broker_test

import (
	"crypto/sha256"
	"encoding/base64"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gatehouse/shared/oauth"
)

var (
	tags  = regexp.MustCompile(`<(/?[a-zA-Z!][^\s>]*)((?:\s+[a-z-]+(?:="[^"]*")?)*)\s*/?>`)
	known = []string{
		"!doctype", "html", "head", "meta", "title", "style", "body", "main", "h1", "p", "dl", "dt", "dd", "ul", "li", "code", "strong", "form", "input", "button", "a",
	}
	attributes = regexp.MustCompile(`([a-z-]+)="`)
	harmless   = []string{"lang", "charset", "name", "content", "class", "method", "action", "type", "value", "href", "rel"}
)

// markup fails unless a page consists of what we wrote: of our tags, whatever a
// client has chosen.
func (a answer) markup(t *testing.T) {
	t.Helper()
	bare := styleElement.ReplaceAllString(a.body, "")
	for _, tag := range tags.FindAllStringSubmatch(bare, -1) {
		if !slices.Contains(known, strings.ToLower(strings.TrimPrefix(tag[1], "/"))) {
			t.Errorf("got the tag %s", tag[0])
		}
		for _, attribute := range attributes.FindAllStringSubmatch(tag[2], -1) {
			if !slices.Contains(harmless, attribute[1]) {
				t.Errorf("got the attribute %s in %s", attribute[1], tag[0])
			}
		}
	}
	if rest := tags.ReplaceAllString(bare, ""); strings.ContainsAny(rest, "<>") {
		t.Errorf("got %s, which has < or > in its text", rest)
	}
}

// TestO6D10WhatClientsChooseIsText on each page that has anything of it.
func TestO6D10WhatClientsChooseIsText(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, evil := range []string{
		"<script>alert(1)</script>", `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, "</title><svg/onload=alert(1)>", "{{.}}", "%s%!d(x)", "&lt;b&gt;",
		"</dd></dl><form action=https://evil.test><button>Go on", "javascript:alert(1)", "<!--", "]]>", "\\u003cscript\\u003e",
	} {
		uri := webApp + "?x=" + strings.NewReplacer(" ", "+", `\`, "/", "#", "", "*", "").Replace(evil)
		if oauth.CheckRedirectURI(uri, true) != nil {
			uri = webApp
		}
		a := s.selfRegister(stranger("client_name", evil, "redirect_uris", []string{uri}))
		s.net.from += "x" // so many may come from one address only
		page := s.ask(request(a, "state", evil))
		page.page(t, http.StatusOK, "It calls itself</dt><dd>"+html.EscapeString(evil)+"</dd>")
		page.markup(t)

		for _, changes := range [][]string{{"scope", evil}, {"response_type", evil}, {"resource", evil}, {"code_challenge_method", evil}} {
			page = s.ask(request(a, append(changes, "state", evil)...))
			page.page(t, http.StatusBadRequest)
			page.markup(t)
			href := regexp.MustCompile(`href="([^"]*)"`).FindStringSubmatch(page.body)
			if href == nil {
				t.Fatalf("got %v, want a link", page)
			}
			to, err := url.Parse(html.UnescapeString(href[1]))
			if err != nil || to.Scheme != "https" || to.Host != "app.test" || to.Query().Get("state") != evil || to.Query().Get("error") == "" {
				t.Errorf("the link leads to %v", to)
			}
		}
		for _, q := range []url.Values{request(a, "client_id", evil), request(a, "redirect_uri", evil), {evil: {evil}}} {
			page = s.ask(q)
			page.page(t, http.StatusBadRequest)
			if page.markup(t); strings.Contains(page.body, html.EscapeString(evil)) {
				t.Errorf("got %v, which repeats what was sent", page)
			}
		}
	}
}

// TestO6ThePolicyAllowsTheStyleAlone by its hash: if that were another, people
// would see pages without one, and nobody would notice.
func TestO6ThePolicyAllowsTheStyleAlone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, got := range []answer{s.ask(request(s.selfRegister(stranger()))), s.ask(nil)} {
		_, style, _ := strings.Cut(got.body, "<style>")
		style, _, _ = strings.Cut(style, "</style>")
		sum := sha256.Sum256([]byte(style))
		want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; frame-ancestors 'none'; base-uri 'none'"
		if policy := got.header.Get("Content-Security-Policy"); policy != want || style == "" {
			t.Errorf("got %q, want %q", policy, want)
		}
		if strings.Contains(style, "url(") || strings.Contains(style, "@import") {
			t.Error("the style leads elsewhere")
		}
	}
}
