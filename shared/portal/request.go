package portal

import (
	"context"
	"crypto/rand"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"gatehouse/shared/oauth"
)

// This file is how a person asks for access to an API: with a new application, or
// with one that they have.

// Where Postman has people sent back to, on a desktop and in a browser
// (https://learning.postman.com/docs/sending-requests/authorization/oauth-20/).
const (
	postmanDesktop = "https://oauth.pstmn.io/v1/callback"
	postmanBrowser = "https://oauth.pstmn.io/v1/browser-callback"
)

// ways are how clients authenticate, as people choose it.
var ways = []choice{
	{oauth.SecretBasic, "With a secret, in a header", "A server, or a program of your own. If in doubt, this."},
	{oauth.SecretPost, "With a secret, in the form", "The same, for software that cannot send the header."},
	{oauth.PublicClient, "It cannot keep a secret", "A page or an app on other people’s machines. People sign in to it."},
}

// grants are the grant types that there are.
var grants = []choice{
	{oauth.ClientCredentials, "A program acts for itself", "client_credentials"},
	{oauth.AuthorizationCode, "People sign in to it", "authorization_code and refresh_token, with PKCE"},
}

// choice is one of several.
type choice struct{ Value, Name, Hint string }

// metadata is what an application is, as a form has it.
type metadata struct {
	Name, Description string
	Grants            []string
	Way               string
	Redirects         string // one a line
	Scopes            []string
}

// readMetadata is what a person has filled in.
func readMetadata(form url.Values) metadata {
	m := metadata{
		Name: strings.TrimSpace(form.Get("name")), Description: strings.TrimSpace(strings.ReplaceAll(form.Get("description"), "\r\n", "\n")),
		Grants: form["grant"], Way: form.Get("way"), Scopes: form["scope"],
	}
	redirects := append(strings.Fields(form.Get("redirects")), form["postman"]...)
	slices.Sort(redirects)
	m.Redirects = strings.Join(slices.Compact(redirects), "\n")
	return m
}

// metadataOf is what an application is now.
func metadataOf(a application) metadata {
	return metadata{
		Name: a.Name, Description: a.Description, Way: a.AuthMethod, Scopes: oauth.SplitScope(a.Scope), Redirects: strings.Join(a.RedirectURIs, "\n"),
		Grants: slices.DeleteFunc(slices.Clone(a.GrantTypes), func(grant string) bool { return grant == oauth.RefreshToken }),
	}
}

// body is what the registration is sent. Who signs people in wants to stay
// signed in.
func (m metadata) body() map[string]any {
	granted, redirects := slices.Clone(m.Grants), strings.Fields(m.Redirects)
	if slices.Contains(granted, oauth.AuthorizationCode) {
		granted = append(granted, oauth.RefreshToken)
	} else {
		redirects = nil
	}
	return map[string]any{
		"client_name": m.Name, "description": m.Description, "grant_types": append([]string{}, granted...), "token_endpoint_auth_method": m.Way,
		"redirect_uris": append([]string{}, redirects...), "scope": strings.Join(m.Scopes, " "),
	}
}

// Has reports whether a scope, a grant type or a redirect URI is chosen.
func (m metadata) Has(value string) bool {
	return slices.Contains(m.Scopes, value) || slices.Contains(m.Grants, value) || slices.Contains(strings.Fields(m.Redirects), value)
}

// Own are the redirect URIs that are not Postman's, one a line.
func (m metadata) Own() string {
	return strings.Join(slices.DeleteFunc(strings.Fields(m.Redirects), func(uri string) bool {
		return uri == postmanDesktop || uri == postmanBrowser
	}), "\n")
}

// metadataForm is the part of a form that is about the application itself.
type metadataForm struct {
	metadata

	Offered []string // scopes
	Problem *refusal // nil: none
}

// AllGrants are the grant types that can be chosen.
func (metadataForm) AllGrants() []choice { return grants }

// AllWays are how clients can authenticate.
func (metadataForm) AllWays() []choice { return ways }

// Postman are where Postman has people sent back to.
func (metadataForm) Postman() []choice {
	return []choice{{postmanDesktop, "Postman on a desktop", ""}, {postmanBrowser, "Postman in a browser", ""}}
}

// requestForm asks for access to an API.
type requestForm struct {
	metadataForm

	API       apiView
	Have      []application // of the person, that could call it
	With      string        // the id of the one of them that is to get access; "": a new one
	Providers []string      // where a new one can be
	Provider  string
	Tier      string
	Reason    string
	Terms     bool
	Key       string // makes a form that is sent twice one application
}

// begin is an empty form.
func (p *Portal) requestForm(ctx context.Context, who session, api, with string) (requestForm, error) {
	info, err := p.info(ctx, who, api)
	if err != nil {
		return requestForm{}, err
	}
	f := requestForm{API: p.viewOf(who, info), With: with, Key: rand.Text()}
	f.Offered, f.Scopes, f.Grants, f.Way = info.Scopes, f.API.first().enough(), []string{oauth.ClientCredentials}, oauth.SecretBasic
	if len(info.Tiers) > 0 {
		f.Tier = info.Tiers[0].Name
	}
	if f.Providers, err = p.registrars(ctx, who, info); err != nil {
		return requestForm{}, err
	}
	if len(f.Providers) > 0 {
		f.Provider = f.Providers[0]
	}
	have, _, err := p.mine(ctx, who, "")
	for _, a := range have {
		if slices.Contains(info.Providers, a.Provider) && a.State == "active" {
			f.Have = append(f.Have, a)
		}
	}
	return f, err
}

func (p *Portal) getRequest(w http.ResponseWriter, r *http.Request, who session) error {
	f, err := p.requestForm(r.Context(), who, r.PathValue("api"), r.URL.Query().Get("with"))
	if err != nil {
		return err
	}
	if tier := r.URL.Query().Get("tier"); tier != "" {
		f.Tier = tier
	}
	p.showRequest(w, r, who, f)
	return nil
}

func (p *Portal) showRequest(w http.ResponseWriter, r *http.Request, who session, f requestForm) {
	v := view{Page: "request", Title: "Request access to " + f.API.Name, Who: who, Data: f}
	if f.Problem != nil {
		v.Status = f.Problem.Status
	}
	p.show(w, r, v)
}

// postRequest gives a person the application, and shows its secret: once, or
// again to the same form within ten minutes.
func (p *Portal) postRequest(w http.ResponseWriter, r *http.Request, who session) error {
	f, err := p.requestForm(r.Context(), who, r.PathValue("api"), r.PostForm.Get("with"))
	if err != nil {
		return err
	}
	f.metadata = readMetadata(r.PostForm)
	f.Provider, f.Tier, f.Reason, f.Terms = r.PostForm.Get("provider"), r.PostForm.Get("tier"), strings.TrimSpace(r.PostForm.Get("reason")), r.PostForm.Get("terms") == "yes"
	if key := r.PostForm.Get("key"); key != "" {
		f.Key = key
	}
	if !f.Terms {
		f.Problem = &refusal{Status: http.StatusBadRequest, Field: "terms", Text: "Agree to the terms of the tier, or choose another."}
		p.showRequest(w, r, who, f)
		return nil
	}
	access := map[string]string{"api": f.API.Name, "tier": f.Tier, "reason": f.Reason}
	if f.With != "" {
		err = p.ask(r.Context(), who, question{method: http.MethodPost, path: at("applications", f.With, "contracts"), body: access}, nil)
		if err == nil {
			redirect(w, p.root(r.Context())+at("applications", f.With)+"?did=requested")
			return nil
		}
	} else {
		var made application
		body := f.body()
		body["provider"], body["contracts"] = f.Provider, []any{access}
		if err = p.ask(r.Context(), who, question{method: http.MethodPost, path: "/applications", body: body, key: f.Key}, &made); err == nil {
			return p.showSecret(w, r, who, shown{Application: made, New: true, API: f.API})
		}
	}
	return p.again(err, func(problem *refusal) {
		f.Problem = problem
		p.showRequest(w, r, who, f)
	})
}

// again shows a form once more with what is wrong with it, if it is the form
// that something is wrong with.
func (*Portal) again(err error, show func(*refusal)) error {
	problem, ok := errors.AsType[*refusal](err)
	if !ok || problem.Status == http.StatusForbidden || problem.Status == http.StatusNotFound {
		return err
	}
	show(problem)
	return nil
}

// shown is a page with a secret.
type shown struct {
	Application application
	New         bool // it is a new application; else it has a new secret
	API         apiView

	Old         string // what becomes of the secret before
	Token       string // URL
	Authorize   string // URL
	Scope       string
	CurlToken   string
	CurlCall    string
	Environment template.URL // for Postman: a data URL
}

// showSecret shows a secret, and how to use it.
func (p *Portal) showSecret(w http.ResponseWriter, r *http.Request, who session, s shown) error {
	s.Authorize, s.Token = p.endpoints(r.Context(), s.Application.Provider)
	s.Scope = s.Application.Scope
	if err := s.explain(); err != nil {
		return err
	}
	title := "Your client"
	if !s.New {
		title = "Your new secret"
	}
	p.show(w, r, view{Page: "secret", Title: title, Who: who, Data: s})
	return nil
}

// endpoints are where applications of a provider are sent: the broker's, if there
// is one, which are the same for all. "": they are not known at the moment.
func (p *Portal) endpoints(ctx context.Context, name string) (authorize, token string) {
	if p.Broker {
		return p.base(ctx) + "/authorize", p.base(ctx) + "/token"
	}
	from, ok := p.provider(name)
	if !ok {
		return "", ""
	}
	authorize, token, err := from.Endpoints(ctx)
	if err != nil {
		return "", "" // the page is worth showing without them
	}
	return authorize, token
}
