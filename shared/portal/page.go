package portal

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"path"
	"strings"
	"time"

	"gatehouse/shared/apigw"
	"gatehouse/shared/config"
)

// This file shows pages.

//go:embed pages/*.html
var pageFiles embed.FS

//go:embed pages/style.css
var style string

//go:embed pages/script.js
var script string

// security lets a page be what it is and nothing else: its own style and script,
// forms to this site, nothing from elsewhere, in no frame.
var security = "default-src 'none'; style-src '" + hash(style) + "'; script-src '" + hash(script) +
	"'; img-src data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// pages are the templates of pages by name.
type pages map[string]*template.Template

// parsePages reads them, once and when the first is shown: most invocations of
// the function show none.
func parsePages() (pages, error) {
	frame, err := template.New("frame").Funcs(template.FuncMap{
		"join": func(list []string, with string) string { return strings.Join(list, with) },
		"day":  func(t time.Time) string { return t.UTC().Format("2 January 2006") },
		"when": func(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") },
		"machine": func(t time.Time) string {
			return t.UTC().Format(time.RFC3339)
		},
		"list": func(all ...any) []any { return all },
	}).ParseFS(pageFiles, "pages/frame.html", "pages/parts.html")
	if err != nil {
		return nil, fmt.Errorf("portal: pages: %w", err)
	}
	files, err := fs.Glob(pageFiles, "pages/*.html")
	if err != nil {
		return nil, fmt.Errorf("portal: pages: %w", err)
	}
	all := pages{}
	for _, file := range files {
		name := strings.TrimSuffix(path.Base(file), ".html")
		t, err := frame.Clone()
		if err == nil {
			_, err = t.ParseFS(pageFiles, file)
		}
		if err != nil {
			return nil, fmt.Errorf("portal: pages: %w", err)
		}
		all[name] = t
	}
	return all, nil
}

// view is a page that is to be shown.
type view struct {
	Status int    // of HTTP; 0: 200
	Page   string // whose template it is
	Title  string
	Who    session
	Data   any

	// What follows is the same for all pages.

	Root   string
	Here   string // the part of the portal that the page is in
	Parts  []part
	Style  template.CSS
	Script template.JS
}

// part is an entry of the navigation.
type part struct{ Path, Name string }

// parts are what a person finds there.
func (p *Portal) parts(s session) []part {
	if s.Nobody() {
		return nil
	}
	all := []part{{"/apis", "APIs"}}
	if s.May(config.ScopeApplications) {
		all = append(all, part{"/applications", "My applications"})
	}
	if len(p.owned(s)) > 0 {
		all = append(all, part{"/inbox", "Inbox"})
	}
	if s.Admin() {
		all = append(all, part{"/providers", "Providers"})
	}
	all = append(all, part{"/try", "Try it"})
	if s.May(config.ScopeApplications) {
		all = append(all, part{"/audit", "Audit"})
	}
	return all
}

// show answers with a page. What is on it may be a secret, so nobody keeps it
// and nobody is told its address.
func (p *Portal) show(w http.ResponseWriter, r *http.Request, v view) {
	v.Root, v.Parts = p.root(r.Context()), p.parts(v.Who)
	v.Style, v.Script = template.CSS(style), template.JS(script) //nolint:gosec // they are our own files
	if here, ok := strings.CutPrefix(r.URL.Path, prefix); ok {
		v.Here, _, _ = strings.Cut(strings.TrimPrefix(here, "/"), "/")
		v.Here = "/" + v.Here
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", security)
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin") // not no-referrer: forms would be posted with Origin: null
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	var text bytes.Buffer
	all, err := p.pages()
	if err == nil {
		err = all[v.Page].ExecuteTemplate(&text, "frame", v)
	}
	if err != nil {
		apigw.Log(r.Context(), slog.String("page", v.Page), slog.String("cause", err.Error()))
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, "This page cannot be shown. Tell whoever runs Gatehouse.\n")
		return
	}
	if v.Status != 0 {
		w.WriteHeader(v.Status)
	}
	_, _ = text.WriteTo(w) // a browser that has gone cannot be told
}
