package standin

import (
	"bytes"
	"embed"
	"net/http"
	"net/url"
	"strings"
)

//go:embed login.html refusal.html
var pageFiles embed.FS

// login is what the login page shows.
type login struct {
	Nonce    string // of the style sheet
	Client   string
	Scopes   []string
	Username string
	Failed   bool // the last attempt was refused
}

func (s *Server) showLogin(w http.ResponseWriter, status int, req authorization, page login) {
	page.Client = req.client.Name
	page.Scopes = parseScope(req.params.Get("scope"))
	page.Nonce = random()
	// Browsers apply form-action to the redirect that answers the form, too.
	setPageHeaders(w.Header(), page.Nonce, "'self' "+sourceOf(req.redirect))
	s.show(w, status, "login.html", page)
}

// showRefusal says why a request cannot be sent back to a client.
func (s *Server) showRefusal(w http.ResponseWriter, err error) {
	e := s.vendor.words(err)
	nonce := random()
	setPageHeaders(w.Header(), nonce, "'none'")
	s.show(w, http.StatusBadRequest, "refusal.html", map[string]string{"Nonce": nonce, "Code": e.code, "Text": e.text})
}

func (s *Server) show(w http.ResponseWriter, status int, name string, data any) {
	var page bytes.Buffer
	if err := s.pages.ExecuteTemplate(&page, name, data); err != nil {
		s.vendor.refuse(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	// A browser that has gone cannot be told.
	_, _ = page.WriteTo(w)
}

func setPageHeaders(h http.Header, nonce, formAction string) {
	h.Set("Content-Security-Policy", strings.Join([]string{
		"default-src 'none'",
		"style-src 'nonce-" + nonce + "'",
		"form-action " + formAction,
		"frame-ancestors 'none'",
		"base-uri 'none'",
	}, "; "))
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	// Not no-referrer: the form would then be posted with Origin: null.
	h.Set("Referrer-Policy", "same-origin")
}

// sourceOf returns the CSP source that a redirect URI belongs to: its origin,
// or its scheme when it is an application's own.
func sourceOf(redirect string) string {
	u, err := url.Parse(redirect)
	switch {
	case err != nil || strings.ContainsAny(u.Host, ";, "):
		return ""
	case u.Scheme == "http" || u.Scheme == "https":
		return u.Scheme + "://" + u.Host
	default:
		return u.Scheme + ":"
	}
}
