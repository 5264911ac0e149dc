package broker

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"strings"

	"gatehouse/shared/oauth"
)

// This file shows a person a page. Everything on it that a client has chosen is
// text.

//go:embed style.css
var style string

// policy lets a page be what it is and nothing else: no scripts, nothing from
// elsewhere, in no frame (RFC 9700 §4.16). It has no form-action, which browsers
// apply to each redirect that follows a form, down to the client's own.
var policy = func() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; frame-ancestors 'none'; base-uri 'none'"
}()

// page is HTML that is being written. Package html/template would make the
// function half as large again.
type page struct{ text strings.Builder }

// write adds markup in which each %s is a value, escaped: it can be a text or a
// quoted attribute.
func (p *page) write(markup string, values ...string) {
	escaped := make([]any, len(values))
	for n, value := range values {
		escaped[n] = html.EscapeString(value)
	}
	fmt.Fprintf(&p.text, markup, escaped...)
}

const (
	pageHead = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>%[1]s</title>
<style>` // what follows is style itself, which the policy has the hash of
	pageBody = `</style>
</head>
<body>
<main>
  <h1>%[1]s</h1>
`
	pageEnd = `</main>
</body>
</html>
`
)

// show answers with a page. Nobody is told the address of it, in which codes
// travel.
func show(w http.ResponseWriter, status int, title string, body func(*page)) {
	p := new(page)
	p.write(pageHead, title)
	p.text.WriteString(style)
	p.write(pageBody, title)
	body(p)
	p.write(pageEnd)
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, p.text.String()) // a browser that has gone cannot be told
}

// showRefusal shows a person what a client cannot, or should not, be told by a
// redirect. back leads to the client if the person wants that; "": it does not.
func showRefusal(w http.ResponseWriter, e *oauth.Error, text, back string) {
	sayWhen(w, e)
	show(w, e.StatusCode(), "This sign-in cannot go on", func(p *page) {
		p.write("  <p>%s</p>\n", text)
		if back != "" {
			p.write(`  <p>Nothing was done. The application can be told; nobody here has checked where that leads:</p>
  <p><a class="button" href="%s" rel="noreferrer">Return to %s</a></p>
`, back, destination(back))
		}
		p.write("  <p class=\"code\">For whoever looks after the application: <code>%s</code></p>\n", e.Code)
	})
}

// toPerson answers what serve returns as a page.
func toPerson(serve endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := serve(w, r); err != nil {
			e := refusalOf(r, err)
			showRefusal(w, e, e.Description, "")
		}
	})
}

// redirect sends the browser to u. A form that was posted is not posted again
// (RFC 9700 §4.12).
func redirect(w http.ResponseWriter, u string) {
	w.Header().Set("Location", u)
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(http.StatusSeeOther)
}

// answerURL is the redirect URI with an authorization response in its query (RFC
// 6749 §4.1.2), which says who gives it (RFC 9207).
func answerURL(redirectURI, state, issuer string, values url.Values) string {
	if state != "" {
		values.Set("state", state)
	}
	values.Set("iss", issuer)
	separator := "?"
	if strings.Contains(redirectURI, "?") {
		separator = "&"
	}
	return redirectURI + separator + values.Encode()
}

// errorURL is the redirect URI with an error response (RFC 6749 §4.1.2.1).
func errorURL(redirectURI, state, issuer string, e *oauth.Error) string {
	return answerURL(redirectURI, state, issuer, url.Values{"error": {e.Code}, "error_description": {e.Description}})
}

// destination is what a person recognises a redirect URI by.
func destination(redirectURI string) string {
	u, err := url.Parse(redirectURI)
	switch {
	case err != nil:
		return "the application"
	case u.Host == "":
		return "an app on this device (" + u.Scheme + ")"
	default:
		return u.Host
	}
}
