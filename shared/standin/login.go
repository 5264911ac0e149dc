package standin

import (
	"bytes"
	"embed"
	"net/http"
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
	setPageHeaders(w.Header(), page.Nonce)
	s.show(w, status, "login.html", page)
}

// showRefusal says why a request cannot be sent back to a client.
func (s *Server) showRefusal(w http.ResponseWriter, err error) {
	e := s.vendor.words(err)
	nonce := random()
	setPageHeaders(w.Header(), nonce)
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

// setPageHeaders lets a page be what it is. There is no form-action: browsers
// apply it to every redirect that follows a form, and behind the client's
// redirect URI there may be more, such as a broker that sends people on.
func setPageHeaders(h http.Header, nonce string) {
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'nonce-"+nonce+"'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	// Not no-referrer: the form would then be posted with Origin: null.
	h.Set("Referrer-Policy", "same-origin")
}
