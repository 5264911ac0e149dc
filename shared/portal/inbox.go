package portal

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// This file is where owners of APIs decide about access.

// statuses are those of contracts, as tabs of the inbox.
var statuses = []choice{{"pending", "Waiting", ""}, {"approved", "Approved", ""}, {"rejected", "Rejected", ""}, {"revoked", "Revoked", ""}}

// shelf is the contracts with one API.
type shelf struct {
	API   apiInfo
	All   []contract
	After string // where the list goes on; "": it does not
}

type inboxView struct {
	Statuses []choice
	Status   string
	Shelves  []shelf
	Did      string
	Problem  *refusal // of the last decision; nil: none
}

// Empty reports whether there is nothing on any shelf.
func (v inboxView) Empty() bool {
	return !slices.ContainsFunc(v.Shelves, func(s shelf) bool { return len(s.All) > 0 })
}

func (p *Portal) getInbox(w http.ResponseWriter, r *http.Request, who session) error {
	return p.showInbox(w, r, who, nil)
}

// showInbox shows what there is to decide, of one API or of all.
func (p *Portal) showInbox(w http.ResponseWriter, r *http.Request, who session, problem *refusal) error {
	q := r.URL.Query()
	v := inboxView{Statuses: statuses, Status: q.Get("status"), Did: did[q.Get("did")], Problem: problem}
	if !slices.ContainsFunc(statuses, func(c choice) bool { return c.Value == v.Status }) {
		v.Status = statuses[0].Value
	}
	for _, a := range p.owned(who) {
		if only := q.Get("api"); only != "" && only != a.Name {
			continue
		}
		var found struct {
			Contracts []contract
			Next      string
		}
		list := url.Values{"status": {v.Status}, "limit": {"20"}, "cursor": {q.Get("after")}}
		if err := p.ask(r.Context(), who, get(at("apis", a.Name, "contracts")+"?"+list.Encode()), &found); err != nil {
			return err
		}
		info, err := p.info(r.Context(), who, a.Name)
		if err != nil {
			return err
		}
		s := shelf{API: info, All: found.Contracts}
		if found.Next != "" {
			s.After = url.Values{"api": {a.Name}, "status": {v.Status}, "after": {found.Next}}.Encode()
		}
		v.Shelves = append(v.Shelves, s)
	}
	page := view{Page: "inbox", Title: "Inbox", Who: who, Data: v}
	if problem != nil {
		page.Status = problem.Status
	}
	p.show(w, r, page)
	return nil
}

// postDecision approves, rejects or revokes.
func (p *Portal) postDecision(w http.ResponseWriter, r *http.Request, who session) error {
	f := r.PostForm
	decision := map[string]string{"status": f.Get("decision")}
	for _, name := range []string{"tier", "reason"} {
		if text := strings.TrimSpace(f.Get(name)); text != "" {
			decision[name] = text
		}
	}
	if decision["status"] != "approved" {
		delete(decision, "tier")
	}
	path := at("apis", r.PathValue("api"), "contracts", f.Get("client")) + "?" + url.Values{"provider": {f.Get("provider")}}.Encode()
	var err error
	if decision["reason"] == "" && decision["status"] != "approved" {
		err = &refusal{Status: http.StatusBadRequest, Title: "Say why", Text: "Who asked wants to know the reason. Write one and decide again."}
	} else {
		err = p.ask(r.Context(), who, question{method: http.MethodPatch, path: path, body: decision}, nil)
	}
	if err == nil {
		redirect(w, p.root(r.Context())+"/inbox?did=decided")
		return nil
	}
	var failed error
	if again := p.again(err, func(problem *refusal) { failed = p.showInbox(w, r, who, problem) }); again != nil {
		return again
	}
	return failed
}
