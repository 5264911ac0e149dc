package portal

import (
	"context"
	"net/http"
	"slices"

	"gatehouse/shared/config"
)

// This file shows what there is to call.

// apiView is an API as a person sees it.
type apiView struct {
	apiInfo

	URL      string
	Query    bool
	Contract bool
	Owned    bool // the person decides about access to it
	Asks     bool // the person can ask for access
}

func (p *Portal) viewOf(who session, info apiInfo) apiView {
	a := p.api(info.Name)
	return apiView{
		apiInfo: info, URL: a.URL, Query: a.Query, Contract: a.Contract, Owned: who.owns(a), Asks: who.May(config.ScopeApplications),
	}
}

func (p *Portal) getAPIs(w http.ResponseWriter, r *http.Request, who session) error {
	all, err := p.infos(r.Context(), who)
	if err != nil {
		return err
	}
	var views []apiView
	for _, info := range all {
		views = append(views, p.viewOf(who, info))
	}
	p.show(w, r, view{Page: "apis", Title: "APIs", Who: who, Data: views})
	return nil
}

func (p *Portal) getAPI(w http.ResponseWriter, r *http.Request, who session) error {
	info, err := p.info(r.Context(), who, r.PathValue("api"))
	if err != nil {
		return err
	}
	p.show(w, r, view{Page: "api", Title: info.Name, Who: who, Data: p.viewOf(who, info)})
	return nil
}

// registrars are the providers where clients of an API can be registered.
func (p *Portal) registrars(ctx context.Context, who session, info apiInfo) ([]string, error) {
	all, err := p.providersOf(ctx, who)
	var names []string
	for _, one := range all {
		if one.Registers && slices.Contains(info.Providers, one.Name) {
			names = append(names, one.Name)
		}
	}
	return names, err
}

// owned are the APIs that the person decides about.
func (p *Portal) owned(who session) []API {
	var all []API
	for _, a := range p.APIs {
		if who.owns(a) {
			all = append(all, a)
		}
	}
	return all
}
