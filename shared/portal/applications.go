package portal

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"gatehouse/shared/oauth"
)

// This file shows a person's applications, and changes them.

// applicationsView is the list.
type applicationsView struct {
	All  []application
	Next string // where the list goes on; "": it does not
	Did  string
}

// did is what was done a moment ago, by the word in the address that says so.
var did = map[string]string{
	"requested": "Access is asked for. Its state is below.",
	"changed":   "The application is changed.",
	"withdrawn": "The access is given up. It opens nothing any more, at the latest in two minutes.",
	"retired":   "The old secret does not work any more.",
	"deleted":   "The application is deleted.",
	"decided":   "That is decided, and in the audit of the application.",
}

func (p *Portal) getApplications(w http.ResponseWriter, r *http.Request, who session) error {
	all, next, err := p.mine(r.Context(), who, r.URL.Query().Get("after"))
	if err != nil {
		return err
	}
	p.show(w, r, view{Page: "applications", Title: "My applications", Who: who, Data: applicationsView{all, next, did[r.URL.Query().Get("did")]}})
	return nil
}

// applicationView is one.
type applicationView struct {
	application

	Access []contract
	Can    providerInfo // the provider
	More   []string     // APIs that it could ask for, too
	Did    string
}

// HasSecret reports whether the application authenticates by one.
func (v applicationView) HasSecret() bool {
	return v.AuthMethod == oauth.SecretBasic || v.AuthMethod == oauth.SecretPost
}

// ScopeList are the scopes it is registered with.
func (a application) ScopeList() []string { return oauth.SplitScope(a.Scope) }

// applicationView is all there is to know about an application of a person's.
func (p *Portal) applicationView(r *http.Request, who session) (applicationView, error) {
	ctx, v := r.Context(), applicationView{Did: did[r.URL.Query().Get("did")]}
	var err error
	if v.application, err = p.application(ctx, who, r.PathValue("id")); err != nil {
		return v, err
	}
	if v.Access, err = p.contracts(ctx, who, v.ID); err != nil {
		return v, err
	}
	all, err := p.providersOf(ctx, who)
	if err != nil {
		return v, err
	}
	if at := slices.IndexFunc(all, func(one providerInfo) bool { return one.Name == v.Provider }); at >= 0 {
		v.Can = all[at]
	}
	infos, err := p.infos(ctx, who)
	for _, info := range infos {
		has := slices.ContainsFunc(v.Access, func(c contract) bool { return c.API == info.Name })
		if !has && slices.Contains(info.Providers, v.Provider) {
			v.More = append(v.More, info.Name)
		}
	}
	return v, err
}

// showApplication shows a page about an application of a person's.
func (p *Portal) showApplication(w http.ResponseWriter, r *http.Request, who session, page, title string) error {
	v, err := p.applicationView(r, who)
	if err != nil {
		return err
	}
	if title == "" {
		title = v.Name
	}
	p.show(w, r, view{Page: page, Title: title, Who: who, Data: v})
	return nil
}

func (p *Portal) getApplication(w http.ResponseWriter, r *http.Request, who session) error {
	return p.showApplication(w, r, who, "application", "")
}

// editForm changes an application.
type editForm struct {
	metadataForm

	ID string
}

func (p *Portal) editForm(ctx context.Context, who session, id string) (editForm, error) {
	a, err := p.application(ctx, who, id)
	if err != nil {
		return editForm{}, err
	}
	infos, err := p.infos(ctx, who)
	f := editForm{ID: a.ID}
	f.metadata = metadataOf(a)
	for _, info := range infos {
		if slices.Contains(info.Providers, a.Provider) {
			f.Offered = append(f.Offered, info.Scopes...)
		}
	}
	f.Offered = append(f.Offered, f.Scopes...) // some are no API's, such as openid
	slices.Sort(f.Offered)
	f.Offered = slices.Compact(f.Offered)
	return f, err
}

func (p *Portal) showEdit(w http.ResponseWriter, r *http.Request, who session, f editForm) {
	v := view{Page: "edit", Title: "Change the application", Who: who, Data: f}
	if f.Problem != nil {
		v.Status = f.Problem.Status
	}
	p.show(w, r, v)
}

func (p *Portal) getEdit(w http.ResponseWriter, r *http.Request, who session) error {
	f, err := p.editForm(r.Context(), who, r.PathValue("id"))
	if err != nil {
		return err
	}
	p.showEdit(w, r, who, f)
	return nil
}

func (p *Portal) postEdit(w http.ResponseWriter, r *http.Request, who session) error {
	f, err := p.editForm(r.Context(), who, r.PathValue("id"))
	if err != nil {
		return err
	}
	f.metadata = readMetadata(r.PostForm)
	var changed application
	err = p.ask(r.Context(), who, question{method: http.MethodPatch, path: at("applications", f.ID), body: f.body()}, &changed)
	if err == nil && changed.Secret != "" {
		return p.showSecret(w, r, who, shown{Application: changed, Old: "The change has brought a new secret; the old one does not work any more."})
	}
	if err == nil {
		redirect(w, p.root(r.Context())+at("applications", f.ID)+"?did=changed")
		return nil
	}
	return p.again(err, func(problem *refusal) {
		f.Problem = problem
		p.showEdit(w, r, who, f)
	})
}

func (p *Portal) getRotate(w http.ResponseWriter, r *http.Request, who session) error {
	return p.showApplication(w, r, who, "rotate", "Get a new secret")
}

// postRotate shows a new secret, once.
func (p *Portal) postRotate(w http.ResponseWriter, r *http.Request, who session) error {
	var changed application
	err := p.ask(r.Context(), who, question{method: http.MethodPost, path: at("applications", r.PathValue("id"), "secret")}, &changed)
	if err != nil {
		return err
	}
	s := shown{Application: changed, Old: "The old secret " + changed.OldSecret + "."}
	if access, err := p.contracts(r.Context(), who, changed.ID); err == nil && len(access) > 0 {
		if info, err := p.info(r.Context(), who, access[0].API); err == nil {
			s.API = p.viewOf(who, info)
		}
	}
	return p.showSecret(w, r, who, s)
}

func (p *Portal) postRetire(w http.ResponseWriter, r *http.Request, who session) error {
	return p.do(w, r, who, question{method: http.MethodDelete, path: at("applications", r.PathValue("id"), "secret", "previous")}, "retired")
}

func (p *Portal) postWithdraw(w http.ResponseWriter, r *http.Request, who session) error {
	return p.do(w, r, who, question{method: http.MethodDelete, path: at("applications", r.PathValue("id"), "contracts", r.PostForm.Get("api"))}, "withdrawn")
}

// do has something done to an application, and goes back to it.
func (p *Portal) do(w http.ResponseWriter, r *http.Request, who session, q question, done string) error {
	if err := p.ask(r.Context(), who, q, nil); err != nil {
		return err
	}
	redirect(w, p.root(r.Context())+at("applications", r.PathValue("id"))+"?did="+done)
	return nil
}

func (p *Portal) getDelete(w http.ResponseWriter, r *http.Request, who session) error {
	return p.showApplication(w, r, who, "delete", "Delete the application")
}

func (p *Portal) postDelete(w http.ResponseWriter, r *http.Request, who session) error {
	if err := p.ask(r.Context(), who, question{method: http.MethodDelete, path: at("applications", r.PathValue("id"))}, nil); err != nil {
		return err
	}
	redirect(w, p.root(r.Context())+"/applications?did=deleted")
	return nil
}

// auditView is what was done to an application.
type auditView struct {
	Have []application // of the person
	ID   string        // the application; "": none is chosen
	Name string
	All  []audit
	Next string
}

// Words are what was done, as people say it.
func (a audit) Words() string {
	return strings.ReplaceAll(strings.ReplaceAll(a.What, ".", " "), "_", " ")
}

func (p *Portal) getAudit(w http.ResponseWriter, r *http.Request, who session) error {
	q := r.URL.Query()
	v := auditView{ID: q.Get("application")}
	var err error
	if v.Have, _, err = p.mine(r.Context(), who, ""); err != nil {
		return err
	}
	if v.ID != "" {
		a, err := p.application(r.Context(), who, v.ID)
		if err != nil {
			return err
		}
		v.Name = a.Name
		var all struct {
			Audits []audit
			Next   string
		}
		path := at("applications", v.ID, "audits") + "?limit=50&" + url.Values{"cursor": {q.Get("after")}}.Encode()
		if err := p.ask(r.Context(), who, get(path), &all); err != nil {
			return err
		}
		v.All, v.Next = all.Audits, all.Next
	}
	p.show(w, r, view{Page: "audit", Title: "Audit", Who: who, Data: v})
	return nil
}
