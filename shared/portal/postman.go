package portal

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"net/url"
	"slices"
	"strings"

	"gatehouse/shared/oauth"
)

// This file says how an application gets a token and calls an API: in lines to
// paste, and as an environment of Postman.

// quoted is a text as one word of a shell.
func quoted(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// explain fills in what follows from the application.
func (s *shown) explain() error {
	a := s.Application
	if s.API.URL != "" {
		s.CurlCall = "curl -i -H \"Authorization: Bearer $TOKEN\" " + quoted(s.API.URL+s.API.first().path())
	}
	if s.Token != "" && slices.Contains(a.GrantTypes, oauth.ClientCredentials) && a.Secret != "" {
		who := "-u " + quoted(url.QueryEscape(a.ClientID)+":"+url.QueryEscape(a.Secret)) // RFC 6749 §2.3.1
		if a.AuthMethod == oauth.SecretPost {
			who = "-d " + quoted("client_id="+a.ClientID) + " --data-urlencode " + quoted("client_secret="+a.Secret)
		}
		s.CurlToken = "TOKEN=$(curl -s " + who + " -d grant_type=client_credentials -d " + quoted("scope="+s.Scope) + " " + quoted(s.Token) +
			` | sed 's/.*"access_token":"\([^"]*\)".*/\1/')`
	}
	text, err := s.environment()
	s.Environment = template.URL("data:application/json;base64," + base64.StdEncoding.EncodeToString(text)) //nolint:gosec // it is JSON of our own making
	return err
}

// first is a route that can be called as it stands: one to get, if there is one,
// without parameters. The zero route is none.
func (a apiView) first() route {
	var best route
	for _, r := range a.Routes {
		switch path := r.path(); {
		case path == "" || strings.Contains(path, "{"):
		case strings.HasPrefix(r.Route, "GET "):
			return r
		case best.Route == "":
			best = r
		}
	}
	return best
}

func (r route) path() string {
	_, path, _ := strings.Cut(r.Route, " ")
	return path
}

// enough are scopes that open the route.
func (r route) enough() []string {
	return append(slices.Clone(r.Scopes), r.AnyScope[:min(1, len(r.AnyScope))]...)
}

// environment is what Postman imports (its format is the one that it exports). The
// secret is of type secret there, so that it is not shown by itself.
func (s *shown) environment() ([]byte, error) {
	type variable struct {
		Key     string `json:"key"`
		Value   string `json:"value"`
		Type    string `json:"type"`
		Enabled bool   `json:"enabled"`
	}
	redirect := ""
	if at := slices.IndexFunc(s.Application.RedirectURIs, func(uri string) bool { return uri == postmanDesktop || uri == postmanBrowser }); at >= 0 {
		redirect = s.Application.RedirectURIs[at]
	}
	var values []variable
	for _, v := range []variable{
		{Key: "client_id", Value: s.Application.ClientID},
		{Key: "client_secret", Value: s.Application.Secret, Type: "secret"},
		{Key: "scope", Value: s.Scope},
		{Key: "token_url", Value: s.Token},
		{Key: "authorize_url", Value: s.Authorize},
		{Key: "redirect_uri", Value: redirect},
		{Key: "api_url", Value: s.API.URL},
	} {
		if v.Type == "" {
			v.Type = "default"
		}
		v.Enabled = true
		values = append(values, v)
	}
	text, err := json.Marshal(map[string]any{
		"name": "Gatehouse: " + s.Application.Name, "values": values, "_postman_variable_scope": "environment",
	})
	if err != nil {
		return nil, fmt.Errorf("portal: environment: %w", err)
	}
	return text, nil
}
